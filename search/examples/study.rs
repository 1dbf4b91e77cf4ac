//! A study of a function, in a file or on a server that Optuna opens, worked on until it has so many trials:
//! `cargo run -p samara-search --features postgres --example study -- FILE|URL TRIALS`. Run it several times at once, or beside a Python
//! worker, and all work on the same study. `--lease SECONDS` and `--step SECONDS` make it a worker of the kill test: how long a lease is, and how
//! long each of three steps takes.

use samara_search::{Direction, Error, Options, Outcome, Pruner, Space, State, Storage, Study, Trial};
use std::time::Duration;

const SPACE: &str = r#"
[space]
x = { float = [1e-3, 1.0], log = true }
n = { integer = [1, 8] }
kind = { choice = ["even", "odd"] }
"#;
/// How long news is waited for, at most: a Python worker tells none.
const NEWS: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut option = |name: &str, usual: f64| -> Result<f64, Box<dyn std::error::Error>> {
        let Some(place) = arguments.iter().position(|argument| argument == name) else { return Ok(usual) };
        let (_, value) = (arguments.remove(place), arguments.get(place).cloned());
        let value = value.ok_or_else(|| format!("{name} takes a number"))?;
        arguments.remove(place);
        Ok(value.parse()?)
    };
    let (step, lease_seconds) = (option("--step", 0.0)?, option("--lease", 60.0)?);
    let [storage, trials] = &arguments[..] else { return Err("expected a file or URL, and a number of trials".into()) };
    let options = Options { pruner: Pruner::Median, lease_seconds, attempts: 20, ..Options::default() };
    let space = Space::from_toml(SPACE)?;
    let mut study = Study::open_in(Storage::open(storage)?, "function", &[Direction::Minimize], space, options)?;
    loop {
        let Some(mut trial) = study.ask_limited(trials.parse()?, |_| true)? else {
            if study.wait(NEWS)? {
                continue;
            }
            break;
        };
        println!("began {} {}", trial.number, trial.attempt);
        match work(&mut study, &mut trial, Duration::from_secs_f64(step)) {
            Ok(()) => println!("ended {} {}", trial.number, trial.attempt),
            Err(Error::Refused { .. }) => println!("refused {} {}", trial.number, trial.attempt),
            Err(error) => return Err(error.into()),
        }
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

fn work(study: &mut Study, trial: &mut Trial, seconds: Duration) -> Result<(), Error> {
    let kind = if trial.parameters["kind"] == "even" { 0.0 } else { 1.0 };
    let value = (trial.float("x")?.log10() + 2.0).powi(2) + (trial.integer("n")? as f64 - 5.0).abs() + kind;
    let mut outcome = Outcome::Complete(vec![value]);
    for step in 1..=3 {
        std::thread::sleep(seconds);
        if study.report(trial, step, value + 1.0 / step as f64)? {
            outcome = Outcome::Pruned;
            break;
        }
    }
    study.tell(trial, outcome)
}
