//! Several processes on one study, and what becomes of their trials when they are asked to end.

#![cfg(unix)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use samara_search::{Direction, Options, Space, State, Study, Trial};

use crate::common::{Place, images, json, refusal, success};
use crate::tuning::SEARCH;

fn trials(place: &Place) -> Vec<Trial> {
    let space = Space::from_toml(SEARCH).unwrap();
    let path = place.path("out/studies.db");
    Study::open(&path, "small", &[Direction::Maximize], space, Options::default()).unwrap().trials().unwrap()
}

#[test]
fn workers_share_a_study_and_others_join() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (file, out) = (place.write("small.toml", SEARCH.as_bytes()), place.text("out"));
    let search = ["tune", &file, "--data", &data, "--out", &out, "--trials", "8", "--workers", "3", "--pruner", "off"];
    // All of them know the state of the evolution.
    let found = json(&[&search[..], &["--sampler", "cma-es"]].concat());
    assert_eq!((&found["trials"], &found["complete"]), (&8.into(), &8.into()), "{found}");
    let ours = trials(&place);
    assert_eq!(ours.iter().map(|trial| trial.number).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    let rates: std::collections::HashSet<String> = ours.iter().map(|trial| trial.parameters["rate"].to_string()).collect();
    assert_eq!(rates.len(), 8, "two workers tried the same");
    // Any trial is trained again to the same bits, whoever trained it.
    let again = json(&["tune", &file, "--data", &data, "--out", &out, "--retrain", "5"]);
    assert_eq!(again["validation"].as_f64(), Some(ours[5].values[0]));

    // A worker that comes later finds the file and the plan in the study, and no more to do.
    let storage = place.text("out/studies.db");
    success(&["tune", "worker", "--storage", &storage, "--study", "small"]);
    assert_eq!(trials(&place).len(), 8);
    let wrong = refusal(1, &["tune", "worker", "--storage", &storage, "--study", "large"]);
    assert!(wrong.ends_with("there is no study \"large\" that `samara tune` began; there are small"), "{wrong}");
    let nowhere = refusal(1, &["tune", "worker", "--storage", &place.text("no.db"), "--study", "small"]);
    assert!(
        nowhere.ends_with("there is no such file, and a worker begins no study") && !place.path("no.db").exists(),
        "{nowhere}"
    );
    let missing = refusal(1, &["tune", "worker", "--storage", &storage, "--study", "small", "--data", "nothing"]);
    assert!(missing.contains("there is no data set \"nothing\""), "{missing}");
}

#[test]
fn a_study_that_was_begun_is_left_to_workers() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (file, out) = (place.write("small.toml", SEARCH.as_bytes()), place.text("out"));
    let begin = ["tune", &file, "--data", &data, "--out", &out, "--trials", "3"];
    success(&[&begin[..], &["--begin"]].concat());
    assert!(trials(&place).is_empty());
    success(&["tune", "worker", "--storage", &place.text("out/studies.db"), "--study", "small"]);
    let theirs = trials(&place);
    assert!(theirs.len() == 3 && theirs.iter().all(|trial| trial.state.is_finished()), "{theirs:?}");
    let found = json(&begin);
    assert_eq!((&found["trials"], trials(&place) == theirs), (&3.into(), true), "there is no more to do");
}

/// Ctrl-C to the first process alone, and to one that works by itself.
#[test]
fn an_interrupted_search_gives_its_trials_back() {
    for workers in [&["--workers", "2"][..], &[]] {
        let place = Place::new();
        let data = images(&place, 2000, |sample| (sample % 10) as u8);
        let long = SEARCH.replace("epochs = 2", "epochs = 300").replace("batch = 20", "batch = 4");
        let (file, out) = (place.write("small.toml", long.as_bytes()), place.text("out"));
        let arguments = [&["tune", &file, "--data", &data, "--out", &out, "--trials", "5"], workers].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
        let process = command.args(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        let begun =
            || place.path("out/studies.db").exists() && trials(&place).iter().any(|trial| !trial.intermediate.is_empty());
        while !begun() {
            assert!(started.elapsed() < Duration::from_secs(60), "no trial is begun");
            std::thread::sleep(Duration::from_millis(100));
        }
        let asked = Instant::now();
        assert!(Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap().success());
        let output = process.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(told.lines().last().unwrap().starts_with("interrupted: the trial"), "{told}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());

        // They run for the study, but nobody has them: whoever asks next gets the first, as if it had never been begun.
        let before = trials(&place);
        assert!(before.iter().all(|trial| trial.state == State::Running), "{before:?}");
        let space = Space::from_toml(SEARCH).unwrap();
        let mut study =
            Study::open(&place.path("out/studies.db"), "small", &[Direction::Maximize], space, Options::default()).unwrap();
        let next = study.ask().unwrap();
        assert_eq!((next.number, next.attempt, &next.parameters), (0, 1, &before[0].parameters));
        assert!(!next.notes.contains_key("interrupted"), "{next:?}");
    }
}
