//! Model files: damaged, inspected, drawn, exported.

use std::fs;

use samara_runtime::format::writer::repair_crc;
use samara_trainer::prelude::*;
use serde_json::Value;

use crate::common::{Place, images, json, length, refusal, small_model, success};

#[test]
fn model_files_that_are_damaged() {
    let place = Place::new();
    let good = small_model();
    let message = |name: &str, bytes: &[u8]| {
        let path = place.write(name, bytes);
        let message = refusal(1, &["inspect", &path]);
        message.strip_prefix(&format!("{path}: ")).map(str::to_owned).unwrap_or(message)
    };
    assert_eq!(message("text.samara", b"a model"), "the file is shorter than a header (80 bytes)");
    assert_eq!(message("other.samara", &[7; 200]), "the file does not start with SMRA: it is not a Samara model");
    let cut = &good[..good.len() - 16];
    assert!(message("cut.samara", cut).contains(&format!("promises {} bytes, there are {}", good.len(), cut.len())));
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_eq!(message("flipped.samara", &flipped), "the checksum is wrong: the file was damaged");
    let mut newer = good.clone();
    newer[4] = 9;
    repair_crc(&mut newer);
    assert_eq!(message("newer.samara", &newer), "the file has format version 9, this runtime reads version 1");
    assert!(refusal(1, &["inspect", &place.text("none.samara")]).contains("none.samara cannot be read"));
    assert!(refusal(1, &["evaluate", &place.text("cut.samara"), "--data", "x"]).contains("cut.samara: the header promises"));
}

#[test]
fn inspect_shows_nodes_and_totals() {
    let place = Place::new();
    let path = place.write("small.samara", &small_model());
    let text = success(&["inspect", &path]);
    assert!(text.starts_with("model small\ninput: 28x28x1 int8 "), "{text}");
    assert!(text.contains("dense_i8") && text.contains("softmax_i8") && text.contains("7,840"), "{text}");
    let described = json(&["inspect", &path]);
    assert_eq!((&described["file"], &described["model"]), (&Value::from(path.as_str()), &Value::from("small")));
    assert_eq!(described["macs"], 7840);
    assert_eq!(described["model_bytes"], length(&path));
    assert_eq!(described["outputs"][0]["zero_point"], -128);

    // The arena over time: the image is read while the dense layer writes, and is gone when softmax runs.
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("first byte to last")).collect();
    let [_, flatten, dense, softmax, ..] = rows[..] else { panic!("{text}") };
    assert!(flatten.contains("...###") && dense.contains("~~~#===") && !softmax.contains('='), "{text}");
    let live = |node: usize| described["nodes"][node]["live_bytes"].as_u64().unwrap();
    assert_eq!((live(0), live(2)), (784, 10));
    let scratch = described["nodes"][1]["scratch_bytes"].as_u64().unwrap();
    // Its output lies on the first bytes of its input.
    assert_eq!(live(1), 784 + scratch);
}

#[test]
fn initial_weights_are_exported_and_drawn() {
    let place = Place::new();
    let (out, again, picture) = (place.text("a.samara"), place.text("b.samara"), place.text("a.svg"));
    let summary = json(&["export", "--model", "ds-cnn", "--out", &out]);
    assert_eq!(summary["macs"], 2_656_768);
    assert_eq!(summary["model_bytes"], length(&out));
    success(&["export", "--model", "ds-cnn", "--out", &again]);
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
    success(&["export", "--model", "ds-cnn", "--out", &again, "--seed", "2"]);
    assert_ne!(fs::read(&out).unwrap(), fs::read(&again).unwrap());
    success(&["export", "--model", "ds-cnn", "--out", &again, "--f32"]);
    assert!(success(&["inspect", &again]).contains("input: 49x10x1 f32"));

    success(&["plot", &out, "--out", &picture]);
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">25 x 5 x 64 int8<"), "{svg}");
    let png = place.text("b.png");
    success(&["plot", "--model", "siamese-lstm", "--out", &png]);
    assert!(fs::read(&png).unwrap().starts_with(b"\x89PNG\r\n"));
    assert!(refusal(1, &["plot", &out, "--out", &place.text("a.gif")]).contains("a.gif, but must end in .svg or .png"));
    assert!(refusal(1, &["plot", &picture, "--out", &picture]).contains("a.svg: the file does not start with SMRA"));
    assert!(refusal(2, &["export", "--model", "ds-cn", "--out", &out]).ends_with("did you mean ds-cnn?"));
}

#[test]
fn whole_models_of_the_trainer_are_shown_and_exported() {
    let place = Place::new();
    let x = input([4]).named("facts");
    let base = Sequential::new("base", [4]).add(Dense::new(3)).build().unwrap();
    let model = Model::new("twice", &x, Add::new().apply([&base.apply(&x), &base.apply(&x)])).unwrap();
    model.save(place.path("twice.model")).unwrap();
    let path = place.text("twice.model");
    let text = success(&["inspect", &path]);
    assert!(text.starts_with("model 'twice'\n") && text.contains("base@1/dense"), "{text}");
    let described = json(&["inspect", &path]);
    assert_eq!((&described["file"], &described["model"]), (&Value::from(path.as_str()), &Value::from("twice")));
    assert_eq!((&described["inputs"][0], &described["parameters"]), (&Value::from("facts"), &Value::from(15)));
    assert_eq!(described["nodes"][1]["kind"], "Dense");
    let out = place.text("twice.samara");
    let exported = json(&["export", "--saved", &path, "--f32", "--out", &out]);
    assert_eq!((&exported["model"], exported["model_bytes"].as_u64()), (&Value::from("twice"), Some(length(&out))));
    for without in [&["export", "--saved", &path, "--out", &out][..], &["export", "--out", &out]] {
        assert!(refusal(2, without).contains("required arguments were not provided"));
    }
    place.write("twice.model", &fs::read(&path).unwrap()[..100]);
    assert!(refusal(1, &["inspect", &path]).contains("twice.model: the file is damaged"));
}

/// A net of a text file is trained, quantized, measured, drawn and shown as one of the zoo.
#[test]
fn a_net_that_a_text_file_describes_is_taken_wherever_one_of_the_zoo_is() {
    let place = Place::new();
    let data = images(&place, 60, |sample| (sample % 10) as u8);
    let text = "name = \"own\"\ninput = [28, 28, 1]\n[[layer]]\nkind = \"Flatten\"\n[[layer]]\nkind = \"Dense\"\nunits = 10\n\
                activation = \"softmax\"\n";
    let own = place.write("own.toml", text.as_bytes());
    let [out, again, drawn] = ["out", "again.samara", "own.svg"].map(|name| place.text(name));
    let summary = json(&["train", "--model", &own, "--data", &data, "--out", &out, "--epochs", "1"]);
    assert_eq!((&summary["model"], &summary["parameters"]), (&Value::from("own"), &Value::from(7850)));
    success(&["quantize", "--model", &own, "--weights", &out, "--data", &data, "--out", &again]);
    let weights = place.text("out/weights.bin");
    let measured = json(&["evaluate", &weights, "--model", &own, "--data", &data]);
    assert_eq!(measured["accuracy"], summary["f32_accuracy"]);
    assert!(refusal(1, &["evaluate", &weights, "--data", &data]).contains("names a model that is not of the zoo, say --model"));
    success(&["plot", "--model", &own, "--out", &drawn]);
    assert!(success(&["inspect", &own]).contains("model 'own'"));
    success(&["export", "--model", &own, "--out", &again]);

    let printed = place.text("printed.toml");
    success(&["model", "resnet8", "--out", &printed]);
    assert_eq!(success(&["model", &printed]), success(&["model", "resnet8"]));
    assert!(success(&["model"]).lines().any(|name| name == "siamese-lstm"));
    assert!(refusal(2, &["model", "resnet9"]).ends_with("did you mean resnet8?"));
    let wrong = place.write("wrong.toml", text.replace("Dense", "Densee").as_bytes());
    let message = refusal(1, &["train", "--model", &wrong, "--data", &data, "--out", &out]);
    assert!(message.ends_with("wrong.toml: line 5: there is no kind of layer \"Densee\"; did you mean Dense?"), "{message}");
}

/// Pictures that are changed at random are other samples.
#[test]
fn training_pictures_are_augmented() {
    let place = Place::new();
    let data = images(&place, 60, |sample| (sample % 10) as u8);
    let [plain, changed] = ["plain", "changed"].map(|name| place.text(name));
    let line = ["train", "--model", "fashion-mlp-deep", "--data", &data, "--epochs", "1", "--out"];
    success(&[&line[..], &[&plain]].concat());
    success(&[&line[..], &[&changed, "--augment", "flip,shift:0.1"]].concat());
    let weights = |out: &str| fs::read(place.path(out).join("weights.bin")).unwrap();
    assert_ne!(weights("plain"), weights("changed"));
    let message = refusal(2, &[&line[..], &[&changed, "--augment", "shft:0.1"]].concat());
    assert!(message.ends_with("there is no change \"shft\"; did you mean shift?"), "{message}");
    assert!(refusal(1, &[&line[..], &[&changed, "--augment", "shift:2"]].concat()).contains("--augment: "));
}
