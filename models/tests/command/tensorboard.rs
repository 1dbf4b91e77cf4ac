//! `samara train --tensorboard`.

use std::fs;

use crate::common::{Place, images, json, names, refusal, train};

#[test]
fn event_files_are_where_tensorboard_looks_for_them() {
    let place = Place::new();
    let (data, out, board) = (images(&place, 100, |sample| (sample % 10) as u8), place.text("out"), place.text("board"));
    let mut arguments = train(&data, &out);
    arguments.extend(["--tensorboard", &board, "--tensorboard-histogram-freq", "1", "--tensorboard-pr-curves-freq", "1"]);
    arguments.extend(["--tensorboard-update-freq", "batch", "--tensorboard-write-images"]);
    json(&arguments);
    let found = names(&place.path("board"));
    assert_eq!((found.len(), &found[1..]), (3, &["train".to_owned(), "validation".to_owned()][..]), "{found:?}");
    let bytes = |run: &str| {
        let files = fs::read_dir(place.path("board").join(run)).unwrap().map(|entry| entry.unwrap().path());
        let events = files.filter(|path| path.to_string_lossy().contains("tfevents"));
        events.flat_map(|path| fs::read(path).unwrap()).collect::<Vec<u8>>()
    };
    let holds = |run: &str, text: &str| bytes(run).windows(text.len()).any(|window| window == text.as_bytes());
    for (run, tag) in [
        ("train", "epoch_loss"),
        ("train", "batch_accuracy"),
        ("train", "dense/kernel/gradient"),
        ("train", "dense/softmax/activations"),
        ("train", "dense/kernel/image"),
        ("validation", "epoch_accuracy"),
        ("validation", "dense/class_9"),
        (".", "_hparams_/session_end_info"),
    ] {
        assert!(holds(run, tag), "{tag} in {run}");
    }
    assert!(!holds("train", "epoch_val_loss"));

    // Two epochs more, which are all that the files of the resumed training have.
    let before = bytes("validation").len();
    arguments[4] = "2";
    json(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(names(&place.path("board/validation")).len(), 2);
    assert!(bytes("validation").len() < before * 5 / 2, "{before} bytes became {}", bytes("validation").len());
}

#[test]
fn options_of_tensorboard_need_a_directory() {
    let place = Place::new();
    let arguments = |more: [&'static str; 2]| [vec!["train", "--data", "x", "--out", "y"], more.to_vec()].concat();
    assert!(refusal(2, &arguments(["--tensorboard-histogram-freq", "1"])).contains("required arguments"));
    let message = refusal(2, &[&arguments(["--tensorboard", "b"])[..], &["--tensorboard-update-freq", "0"]].concat());
    assert!(message.contains("expected epoch, batch or a number of steps"), "{message}");
    assert!(!place.path("b").exists());
}
