//! Forests: files, members of ensembles, tables, and what keeps trees from growing.

use crate::common::{Place, images, json, names, refusal, success};

#[test]
fn a_forest_grows_and_answers_beside_a_net() {
    let place = Place::new();
    let data = images(&place, 600, |sample| (sample % 10) as u8);
    let out = place.text("forest");
    let grow = |out: &str, more: &[&str]| {
        let base = ["forest", "--data", &data, "--trees", "12", "--depth", "6", "--samples", "300", "--out", out];
        json(&[&base[..], more].concat())
    };
    let found = grow(&out, &[]);
    assert_eq!(names(&place.path("forest")), ["forest.model", "model-f32.samara", "model.samara"]);
    assert_eq!((found["trees"].as_u64(), found["model"].as_str()), (Some(12), Some("forest")));
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert!(number(&found["f32_accuracy"]) > 0.9 && number(&found["int8_accuracy"]) > 0.9, "{found}");
    assert!(number(&found["depth"]) <= 6.0, "{found}");
    // Seven bytes for each split, at most ten for each leaf, and little more: the input that proves the file has 784.
    let most = 7.0 * number(&found["splits"]) + 10.0 * number(&found["leaves"]) + 12.0 * 4.0 + 784.0 + 1000.0;
    assert!(number(&found["model_bytes"]) < most, "{found}");
    for (file, accuracy) in [("model.samara", "int8_accuracy"), ("model-f32.samara", "f32_accuracy")] {
        let measured = json(&["evaluate", &place.text(&format!("forest/{file}")), "--data", &data]);
        assert_eq!(measured["accuracy"], found[accuracy], "{file}");
    }
    // The same seed gives the same file, another one another.
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    grow(&place.text("again"), &[]);
    assert!(bytes("again/model.samara") == bytes("forest/model.samara"));
    grow(&place.text("other"), &["--seed", "2"]);
    assert!(bytes("other/model.samara") != bytes("forest/model.samara"));

    // A net and a forest are one file.
    let text = "name = \"net\"\ninput = [28, 28, 1]\nlayer = [\n  { kind = \"Flatten\" },\n  { kind = \"Dense\", units = 10, activation = \"softmax\" },\n]\n";
    let net = place.write("net.toml", text.as_bytes());
    success(&["train", "--model", &net, "--data", &data, "--epochs", "2", "--batch", "20", "--out", &place.text("net")]);
    let (member, all) = (format!("{net}={}", place.text("net")), place.text("all"));
    let together =
        json(&["ensemble", "--member", &member, "--member", &out, "--data", &data, "--combine", "mean", "--out", &all]);
    let members: Vec<&str> = together["members"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(members, ["net", "forest"]);
    assert_eq!(together["members"][1]["int8_accuracy"], found["int8_accuracy"]);
    let measured = json(&["evaluate", &place.text("all/ensemble.samara"), "--data", &data]);
    assert_eq!(measured["accuracy"], together["int8_accuracy"]);
    let nodes = success(&["inspect", &place.text("all/ensemble.samara")]);
    assert!(nodes.contains("forest_i8"), "{nodes}");
    // Forests that differ by their seeds are of one kind, and an ensemble with a forest is a member, too.
    let other = place.text("other");
    let three = json(&[
        "ensemble",
        "--member",
        &out,
        "--member",
        &other,
        "--member",
        &place.text("all/ensemble.model"),
        "--data",
        &data,
    ]);
    let warnings = three["warnings"].to_string();
    assert!(warnings.contains("forest and forest_1 are nets of one kind"), "{warnings}");
}

#[test]
fn a_forest_grows_on_a_table_and_refuses_what_it_cannot_tell() {
    let place = Place::new();
    let rows = |number: usize| {
        let (x, y) = (number * 37 % 101, number * 53 % 97);
        format!("{x},{y},{},{}\n", x + y, if x > 50 && y > 40 { "both" } else { "not" })
    };
    let text = format!("x,y,sum,kind\n{}", (0..300).map(rows).collect::<String>());
    let data = place.write("points.csv", text.as_bytes());
    let out = place.text("forest");
    let base = ["forest", "--data", &data, "--out", &out];
    let found = json(&[&base[..], &["--target", "kind", "--features", "2"]].concat());
    assert_eq!(names(&place.path("forest")), ["columns.json", "forest.model", "model-f32.samara", "model.samara"]);
    assert!(found["int8_accuracy"].as_f64().unwrap() > 0.95, "{found}");
    success(&["train", "--data", &data, "--target", "kind", "--epochs", "3", "--out", &place.text("net")]);
    let together = json(&["ensemble", "--member", &place.text("net"), "--member", &out, "--data", &data]);
    assert_eq!(together["members"][1]["int8_accuracy"], found["int8_accuracy"]);

    let error = refusal(1, &[&base[..], &["--target", "sum"]].concat());
    assert_eq!(
        error,
        "a forest tells classes apart, but the column sum has numbers: say --category sum, if they stand for classes"
    );
    let error = refusal(1, &base);
    assert!(error.contains("--target is missing"), "{error}");
    let pictures = images(&place, 100, |sample| (sample % 10) as u8);
    let error = refusal(1, &["forest", "--data", &pictures, "--target", "kind", "--out", &out]);
    assert!(error.contains("--target names a column of a CSV file"), "{error}");
    let many = ["forest", "--data", &pictures, "--trees", "9000", "--samples", "60", "--depth", "9", "--out", &out];
    let error = refusal(1, &many);
    assert!(error.starts_with("the trees have more than 32768 "), "{error}");
}
