//! A training may be killed at any moment: it goes on, and ends with the bytes of one that was not.
//!
//! `SAMARA_KILLS=50 cargo test -p samara-models --test command kills -- --nocapture` kills at 50 random points, `SAMARA_SEED` draws others.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use samara_trainer::data::Random;
use samara_trainer::prelude::*;

use crate::common::{Place, images, names, samara};

const EPOCHS: usize = 12;

/// All that a training keeps: averages, patience, best weights, lowered rates, logs.
fn arguments(data: &str, out: &Path) -> Vec<String> {
    let path = |name: &str| out.join(name).display().to_string();
    let fixed = "train --model fashion-mlp-deep --batch 20 --optimizer adam --schedule cosine:warm-up=1 --resume --ema 0.9 \
                 --early-stopping 4 --reduce-lr 1 --reduce-lr-factor 0.5 --min-delta 0.001";
    let mut arguments: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
    let epochs = EPOCHS.to_string();
    let rest = [
        "--epochs",
        &epochs,
        "--data",
        data,
        "--out",
        &out.display().to_string(),
        "--csv",
        &path("log.csv"),
        "--jsonl",
        &path("log.jsonl"),
    ];
    arguments.extend(rest.map(str::to_owned));
    arguments
}

fn command(arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// All files but the state, which has times in it; what a kill left of files that were not yet whole is gone where the training went on.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let is_result = |name: &String| name != "training.state" && (cfg!(target_os = "linux") || !name.ends_with(".part"));
    let read = |name: String| (name.clone(), fs::read(directory.join(name)).unwrap());
    names(directory).into_iter().filter(is_result).map(read).collect()
}

#[test]
fn kills_at_random_points_change_no_byte() {
    kills_change_no_byte(EPOCHS, arguments);
}

/// With rounded epochs behind those in f32, from wherever in them.
#[test]
fn kills_in_training_that_knows_of_int8_change_no_byte() {
    kills_change_no_byte(EPOCHS, |data, out| {
        let mut arguments = arguments(data, out);
        let place = arguments.iter().position(|argument| argument == "--epochs").unwrap();
        arguments[place + 1] = "3".to_owned();
        let more = format!("--aware {} --int4 all --save-every 4", EPOCHS - 3);
        arguments.extend(more.split_whitespace().map(str::to_owned));
        arguments
    });
}

fn kills_change_no_byte(epochs: usize, arguments: impl Fn(&str, &Path) -> Vec<String>) {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let whole = place.path("whole");
    let started = Instant::now();
    assert!(command(&arguments(&data, &whole)).status().unwrap().success());
    let duration = started.elapsed();
    let expected = files(&whole);
    assert_eq!(expected.len(), 5);

    let points = number("SAMARA_KILLS").unwrap_or(4);
    let seed = number("SAMARA_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let mut random = Random::new(seed, 0);
    let mut killed = vec![0; epochs + 1];
    for point in 0..points {
        let out = place.path(&format!("killed-{point}"));
        let arguments = arguments(&data, &out);
        // Now and then, the one that goes on is killed, too.
        for _ in 0..1 + random.below(2) {
            let mut child = command(&arguments).spawn().unwrap();
            sleep(duration.mul_f64(random.uniform()));
            let is_running = child.try_wait().unwrap().is_none();
            let _ = child.kill();
            child.wait().unwrap();
            let saved = TrainingState::load(out.join("training.state")).map_or(0, |state| state.history().epochs.len());
            killed[saved] += u32::from(is_running);
            // At most the epoch in progress is lost: one whose row is there may lack its state, no more.
            let rows = fs::read_to_string(out.join("log.csv")).map_or(0, |text| text.lines().count() - 1);
            assert!(saved + 1 >= rows && saved <= rows, "{rows} epochs are logged, {saved} saved; point {point}, seed {seed}");
        }
        assert!(command(&arguments).status().unwrap().success(), "point {point}, seed {seed}");
        let found = files(&out);
        assert_eq!(found.len(), expected.len(), "{:?}; point {point}, seed {seed}", names(&out));
        for ((name, found), (_, wanted)) in found.iter().zip(&expected) {
            assert!(found == wanted, "{name} differs; point {point}, seed {seed}");
        }
        fs::remove_dir_all(out).unwrap();
    }
    println!("{points} points, seed {seed}: kills by the number of epochs that were saved: {killed:?}");
    assert!(killed.iter().sum::<u32>() > 0);
}

/// Ctrl-C, as a terminal sends it.
#[cfg(unix)]
#[test]
fn an_interruption_saves_the_step_and_says_how_to_go_on() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let (whole, interrupted) = (place.path("whole"), place.path("interrupted"));
    assert!(command(&arguments(&data, &whole)).status().unwrap().success());
    let arguments = arguments(&data, &interrupted);
    let child = command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    while !interrupted.join("log.csv").exists() {
        sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    let state = interrupted.join("training.state");
    let expected =
        format!("interrupted: all steps so far are in {}; the same command with --resume goes on from there", state.display());
    assert_eq!(told.lines().last(), Some(expected.as_str()));
    assert!(TrainingState::load(&state).unwrap().epoch() < EPOCHS);
    assert_eq!(names(&interrupted), ["log.csv", "log.jsonl", "training.state"]);
    assert!(command(&arguments).status().unwrap().success());
    assert!(files(&interrupted) == files(&whole));
}

#[test]
fn a_pipe_gets_lines_and_no_control_characters() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let arguments = arguments(&data, &place.path("out"));
    let output = samara(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
    assert!(text.lines().any(|line| line.starts_with("epoch 1/12  ") && line.contains("val_loss")), "{text}");
    assert!(text.contains("there is no ") && text.contains("training.state to resume from: the training begins"), "{text}");
}

#[test]
fn what_does_not_fit_is_told_before_the_first_step() {
    let place = Place::new();
    let data = images(&place, 300, |sample| (sample % 10) as u8);
    let out = place.path("out");
    let with = |more: &[&str]| {
        let mut arguments = arguments(&data, &out);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let output = samara(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = with(&["--board", "microbit", "--max-ram", "512"]);
    assert_eq!(code, Some(1), "{told}");
    let told = told.lines().last().unwrap();
    assert!(
        told.starts_with("error: the model fashion-mlp-deep does not fit on microbit (Cortex-M0): in int8 it has an arena of "),
        "{told}"
    );
    assert!(told.contains(" bytes, of which there are 512"), "{told}");
    assert!(names(&out).is_empty());
    let (code, told) = with(&["--aware", "2", "--int4", "dense_7"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("dense_7") && !told.contains("epoch 1/") && names(&out).is_empty(), "{told}");
    let (code, told) = with(&["--board", "microbitt"]);
    assert!(code == Some(2) && told.contains("there is no board \"microbitt\"; did you mean microbit?"), "{told}");
    let (code, told) = with(&["--max-flash", "4M"]);
    assert!(code == Some(0) && told.contains("in int8 the model has an arena of "), "{told}");
}
