//! A study of ours in Optuna's own hands, and its trials in ours: `tests/optuna/take_part.py`.

use std::path::Path;
use std::process::Command;

use samara_search::{Direction, Options, Outcome, Sampler, Space, State, Study};
use serde_json::{Value, json};

const SPACE: &str = r#"
[space]
x = { float = [1e-3, 1.0], log = true }
n = { integer = [1, 8] }
kind = { choice = ["even", "odd"] }
"#;
/// Trials that Python adds.
const THEIRS: usize = 6;

fn open(file: &Path, sampler: Sampler) -> Study {
    let options = Options { sampler, ..Options::default() };
    Study::open(file, "function", &[Direction::Minimize], Space::from_toml(SPACE).unwrap(), options).unwrap()
}

/// Complete trials, one with an infinite value, one that was pruned, one that failed, and one that still runs.
fn ours(study: &mut Study) {
    for number in 0..14 {
        let mut trial = study.ask().unwrap();
        study.report(&mut trial, 1, number as f64 + 0.5).unwrap();
        study.note(&mut trial, "arena", json!(number * 16)).unwrap();
        let outcome = match number {
            3 => Outcome::Pruned,
            5 => Outcome::Failed("no memory".to_owned()),
            7 => Outcome::Complete(vec![f64::INFINITY]),
            13 => return,
            _ => Outcome::Complete(vec![number as f64 + trial.float("x").unwrap()]),
        };
        study.tell(&trial, outcome).unwrap();
    }
}

#[test]
#[ignore = "needs Optuna"]
fn optuna_reads_our_trials_and_we_read_those_that_it_adds() {
    // CMA-ES keeps its state with the trials: what it adds must not be in Optuna's way.
    for sampler in [Sampler::Tpe, Sampler::CmaEs] {
        takes_part(sampler);
    }
}

fn takes_part(sampler: Sampler) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("studies.db");
    let mut study = open(&file, sampler);
    ours(&mut study);
    let before = study.trials().unwrap();

    let python = std::env::var("SAMARA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("optuna/take_part.py");
    let output = Command::new(&python).arg(script).arg(&file).arg(THEIRS.to_string()).output().unwrap();
    assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(seen["direction"], "MINIMIZE");
    let seen = seen["trials"].as_array().unwrap();
    assert_eq!(seen.len(), before.len());
    let states: Vec<&str> = seen.iter().filter_map(|trial| trial["state"].as_str()).collect();
    assert_eq!((states[0], states[3], states[5], states[13]), ("COMPLETE", "PRUNED", "FAIL", "RUNNING"));
    for (ours, theirs) in before.iter().zip(seen) {
        let number = theirs["number"].as_u64().unwrap();
        assert_eq!((ours.number, ours.state.is_finished()), (number, theirs["ended"].as_bool().unwrap()));
        assert_eq!(theirs["params"], json!(ours.parameters), "trial {number}");
        assert_eq!(theirs["steps"]["1"], json!(number as f64 + 0.5));
        assert_eq!(theirs["notes"]["arena"], json!(number * 16));
        if ours.state == State::Complete && number != 7 {
            assert_eq!(theirs["values"], json!(ours.values));
        }
    }
    assert_eq!(seen[5]["notes"]["error"], "no memory");

    let after = study.trials().unwrap();
    assert_eq!(after.len(), before.len() + THEIRS);
    for theirs in &after[before.len()..] {
        let (x, n) = (theirs.float("x").unwrap(), theirs.integer("n").unwrap() as f64);
        let value = x.log10().powi(2) + n + if theirs.parameters["kind"] == "odd" { 1.0 } else { 0.0 };
        assert!(theirs.state == State::Complete && (theirs.values[0] - value).abs() < 1e-9, "{theirs:?}");
    }
    let next = open(&file, sampler).ask().unwrap();
    assert_eq!(next.number, after.len() as u64, "what Python added counts, and what still runs is left alone");
}
