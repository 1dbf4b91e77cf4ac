//! What a device goes on learning with: heads that are added, shown, and measured against a budget.

use samara_trainer::prelude::*;
use serde_json::Value;

use crate::common::{Place, images, json, length, refusal, small_model, success, train};

/// Classes that the heads below have room for: ten, and four more.
const ROOM: u64 = 14;

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

#[test]
fn a_training_adds_heads_of_both_kinds() {
    let place = Place::new();
    let data = images(&place, 300, |sample| sample as u8 % 10);
    let out = place.text("out");
    let heads = ["--head", "closed-form", "--head", "dense", "--error-rate", "0.2", "--learning-rate", "0.01"];
    let summary = json(&[&train(&data, &out)[..], &heads].concat());
    let model = format!("{out}/model.samara");
    assert_eq!(number(&summary, "model_bytes"), length(&model));
    let [closed, dense] = &summary["heads"].as_array().unwrap()[..] else { panic!("{summary}") };
    assert_eq!((&closed["kind"], &dense["kind"]), (&Value::from("closed-form"), &Value::from("dense")));
    assert!(closed["solve_bytes"].is_u64() && dense["solve_bytes"].is_null() && dense["unknown_share"].is_null());
    // A dense head begins as the file's layer: on 20 samples the rounding of outputs may decide about two.
    let apart = dense["head_accuracy"].as_f64().unwrap() - summary["int8_accuracy"].as_f64().unwrap();
    assert!(apart.abs() <= 0.1, "{summary}");

    let shown = json(&["inspect", &model]);
    for (head, added) in shown["heads"].as_array().unwrap().iter().zip([closed, dense]) {
        for name in ["kind", "features", "classes", "capacity", "memory_bytes"] {
            assert_eq!(head[name], added[name], "{name}");
        }
        assert_eq!((&head["capacity"], &head["output"]), (&ROOM.into(), &0.into()));
    }
    let unknown = &shown["heads"][0]["unknown"];
    assert_eq!((&unknown["score"], &unknown["error_rate"]), (&"distance".into(), &0.2.into()));
    assert!(unknown["limit"].as_f64().unwrap() > 0.0 && shown["heads"][1]["unknown"].is_null());
    let text = success(&["inspect", &model]);
    assert!(text.contains("distance above ") && text.contains("closed-form  "), "{text}");
    assert_eq!(json(&["evaluate", &model, "--data", &data])["accuracy"], summary["int8_accuracy"]);
}

#[test]
fn heads_are_added_to_a_file() {
    let place = Place::new();
    let data = images(&place, 40, |sample| sample as u8 % 10);
    let (model, out) = (place.write("small.samara", &small_model()), place.text("head.samara"));
    let added = json(&["head", &model, "--kind", "dense", "--capacity", "11", "--data", &data, "--out", &out]);
    assert_eq!((&added["heads"][0]["kind"], &added["heads"][0]["capacity"]), (&"dense".into(), &11.into()));
    assert_eq!(number(&added, "model_bytes"), length(&out));
    // Batches of 16: weights and velocity, derivatives, features.
    assert_eq!(number(&added["heads"][0], "memory_bytes"), 8 * 11 * 785 + 4 * 16 * 11 + 16 * 784);
    let text = success(&["head", &model, "--kind", "dense", "--data", &data, "--out", &out]);
    assert!(text.starts_with("dense head") && text.contains("bytes of memory, in batches of 16"), "{text}");

    let arguments = ["head", &model, "--kind", "dense", "--capacity", "9", "--data", &data, "--out", &out];
    let message = refusal(1, &arguments);
    assert!(message.ends_with("there is to be room for 9 classes; the layer has 10, and a head at most 4096"), "{message}");
    assert!(refusal(2, &["head", &model, "--kind", "forest", "--data", &data, "--out", &out]).contains("'forest'"));
    let numbers = ["train", "--model", "fashion-separable", "--loss", "mean-squared-error", "--head", "dense"];
    let message = refusal(1, &[&numbers[..], &["--data", &data, "--out", &place.text("out")]].concat());
    assert!(message.contains("--head learns classes, but --loss is mean-squared-error"), "{message}");
}

/// What goes wrong: a block's memory or its layers told wrongly, a block that is measured on the features of another head.
#[test]
fn a_block_is_added_listed_and_measured() {
    let place = Place::new();
    let data = images(&place, 300, |sample| sample as u8 % 10);
    let out = place.text("out");
    let summary = json(&[&train(&data, &out)[..], &["--head", "dense", "--head", "block", "--learning-rate", "0.01"]].concat());
    let model = format!("{out}/model.samara");
    let [_, block] = &summary["heads"].as_array().unwrap()[..] else { panic!("{summary}") };
    let parameters = 9 * 64 + 64 + 128 * 65 + 10 * 129;
    // A copy of all weights for where they go; units, outputs, eight places, the features of eight channels around them, a row, bits.
    let bytes = 4 * (2 * parameters + 128 + 10 + 8 * 64 + 4 * 7 * 8 + 64 + 7 * 32);
    assert_eq!(
        (&block["kind"], number(block, "features"), number(block, "memory_bytes")),
        (&"block".into(), 7 * 7 * 64, bytes)
    );
    let apart = block["head_accuracy"].as_f64().unwrap() - summary["int8_accuracy"].as_f64().unwrap();
    assert!(apart.abs() <= 0.15, "{summary}");
    let shown = json(&["inspect", &model]);
    assert_eq!(
        (&shown["heads"][1]["kind"], &shown["heads"][1]["node"]),
        (&"block".into(), &"separable_conv2d_3/depthwise".into())
    );
    let budget = json(&["budget", &model, "--training-ram", &(bytes - 1).to_string()]);
    let way = budget["ways"].as_array().unwrap().iter().find(|way| way["kind"] == "block").unwrap();
    assert_eq!((number(way, "head"), number(way, "over_training_ram"), number(way, "saved_bytes")), (1, 1, 4 * parameters));
    let layers = ["separable_conv2d_3/depthwise", "separable_conv2d_3", "dense"];
    assert_eq!(way["layers"], serde_json::json!(layers));
    let text = success(&["budget", &model]);
    assert!(text.contains(&format!("block of output 0 (head 1), batches of 1: {}", layers.join(", "))), "{text}");
    let small = place.write("small.samara", &small_model());
    let message = refusal(1, &["head", &small, "--kind", "block", "--data", &data, "--out", &place.text("head.samara")]);
    assert!(message.contains("output 0 has no last block to train: \"the model's input\""), "{message}");
}

#[test]
fn a_budget_says_what_fits_to_the_byte() {
    let place = Place::new();
    let model = place.write("small.samara", &small_model());
    let budget = json(&["budget", &model]);
    let ways = budget["ways"].as_array().unwrap();
    let triangle = 784 * 785 / 2;
    let sums = 4 * (ROOM + 1 + ROOM * 784 + triangle);
    let bytes: Vec<u64> = ways.iter().map(|way| number(way, "training_bytes")).collect();
    let dense = |batch: u64| 8 * ROOM * 785 + 4 * batch * ROOM + batch * 784;
    let guard = 4 * ROOM * 785 + 4 * 16 + 16 * 784;
    let replay = 4 * ROOM + ROOM * 8 * 784;
    // The arena is far too small to solve in: closed forms bring scratch of their own.
    let scratch = 4 * (triangle + 2 * 784);
    let closed = sums + 4 * (ROOM * 784 + ROOM + 784 + triangle + 784) + scratch;
    assert_eq!(bytes, [closed, dense(1), dense(8), dense(16), dense(16) + guard + replay]);
    let saved: Vec<u64> = ways.iter().map(|way| number(way, "saved_bytes")).collect();
    assert_eq!(saved[..2], [sums, 4 * ROOM * 785]);
    let macs: Vec<u64> = ways.iter().skip(1).map(|way| number(way, "learn_macs")).collect();
    assert_eq!(macs, [3, 24, 48, 48 + 16].map(|times| times * ROOM * 784));
    assert!(ways.iter().all(|way| number(way, "body_macs") == 0 && way["head"].is_null() && way["over_ram"].is_null()));

    let arena = number(&budget, "arena_bytes");
    let limits = [(arena + dense(8)).to_string(), (dense(8) - 1).to_string()];
    let limited = json(&["budget", &model, "--ram", &limits[0], "--training-ram", &limits[1]]);
    let over = |name: &str| limited["ways"].as_array().unwrap().iter().map(|way| number(way, name)).collect::<Vec<_>>();
    assert_eq!(over("over_ram")[1..4], [0, 0, dense(16) - dense(8)]);
    assert_eq!(over("over_training_ram")[1..4], [0, 1, dense(16) - dense(8) + 1]);
    let text = success(&["budget", &model, "--ram", "1M", "--training-ram", &limits[1]]);
    assert!(text.contains("--ram 1,048,576") && text.contains("  1 too many") && text.contains("  fits"), "{text}");
    assert!(refusal(2, &["budget", &model, "--ram", "64kB"]).contains("such as 4096, 64k or 1.5M"));
}

#[test]
fn a_budget_has_the_heads_of_the_file_and_of_each_output() {
    let place = Place::new();
    let x = input([8]);
    let features = Dense::new(6).activation(Activation::Relu).apply(&x);
    let (class, sum) =
        (Dense::new(3).activation(Activation::Softmax).apply(&features), Add::new().apply([&features, &features]));
    let model = Model::new("two", &x, [&class, &sum]).unwrap();
    let samples = Tensor::new([2, 8], (0..16u8).map(|value| f32::from(value) / 16.0).collect()).unwrap();
    let path = place.write("two.samara", &model.export_int8(std::slice::from_ref(&samples), Default::default()).unwrap());
    let budget = json(&["budget", &path]);
    assert_eq!(budget["ways"].as_array().unwrap().len(), 6);
    let way = &budget["ways"][0];
    assert_eq!((&way["features"], &way["capacity"], &way["body_macs"]), (&6.into(), &7.into(), &48.into()));
    assert!(
        budget["without"][0].as_str().unwrap().starts_with("output 1 is computed by the node \"add\" (add_i8)"),
        "{budget}"
    );

    let one = Model::new("one", &x, &sum).unwrap();
    let path = place.write("one.samara", &one.export_int8(std::slice::from_ref(&samples), Default::default()).unwrap());
    let message = refusal(1, &["budget", &path]);
    assert!(message.contains("one.samara: nothing can be learned: output 0 is computed by the node \"add\""), "{message}");

    let classes = |classes: usize| {
        let many = Sequential::new("many", [8]).add(Dense::new(classes)).build().unwrap();
        place.write("many.samara", &many.export_int8(std::slice::from_ref(&samples), Default::default()).unwrap())
    };
    assert_eq!(json(&["budget", &classes(4095)])["ways"][0]["capacity"], 4096);
    let message = refusal(1, &["budget", &classes(4097)]);
    assert!(message.ends_with("nothing can be learned: output 0 has 4097 classes; a head has at most 4096"), "{message}");

    let data = images(&place, 40, |sample| sample as u8 % 10);
    let (small, out) = (place.write("small.samara", &small_model()), place.text("head.samara"));
    success(&["head", &small, "--kind", "dense", "--capacity", "20", "--data", &data, "--out", &out]);
    let budget = json(&["budget", &out]);
    let heads: Vec<_> = budget["ways"].as_array().unwrap().iter().map(|way| (&way["head"], &way["capacity"])).collect();
    let (in_file, possible) = ((&Value::from(0), &Value::from(20)), (&Value::Null, &Value::from(ROOM)));
    assert_eq!(heads, [in_file, in_file, in_file, in_file, possible]);
}
