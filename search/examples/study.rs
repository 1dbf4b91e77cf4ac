//! A study of a function, in a file that Optuna opens: `cargo run -p samara-search --example study -- FILE TRIALS`. Run it several times at
//! once, or beside a Python worker, and all work on the same study.

use samara_search::{Direction, Options, Outcome, Pruner, Space, State, Study};
use std::error::Error;
use std::path::Path;

const SPACE: &str = r#"
[space]
x = { float = [1e-3, 1.0], log = true }
n = { integer = [1, 8] }
kind = { choice = ["even", "odd"] }
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, trials] = &arguments[..] else { return Err("expected a file and a number of trials".into()) };
    let options = Options { pruner: Pruner::Median, ..Options::default() };
    let mut study = Study::open(Path::new(file), "function", &[Direction::Minimize], Space::from_toml(SPACE)?, options)?;
    for _ in 0..trials.parse()? {
        let mut trial = study.ask()?;
        let kind = if trial.parameters["kind"] == "even" { 0.0 } else { 1.0 };
        let value = (trial.float("x")?.log10() + 2.0).powi(2) + (trial.integer("n")? as f64 - 5.0).abs() + kind;
        let mut outcome = Outcome::Complete(vec![value]);
        for step in 1..=3 {
            if study.report(&mut trial, step, value + 1.0 / step as f64)? {
                outcome = Outcome::Pruned;
                break;
            }
        }
        study.tell(&trial, outcome)?;
    }
    let trials = study.trials()?;
    for state in [State::Complete, State::Pruned, State::Running, State::Fail, State::Waiting] {
        println!("{state:?} {}", trials.iter().filter(|trial| trial.state == state).count());
    }
    if let Some(best) = study.best()? {
        println!("best: trial {} with {:.4}", best.number, best.values[0]);
    }
    Ok(())
}
