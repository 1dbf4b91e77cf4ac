//! `samara compare`: the same net trained by several optimizers, and their learning curves.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::ValueEnum;
use samara_models::chart::COLOURS;
use samara_trainer::data::sources::{Splits, Targets};
use samara_trainer::losses::SparseCategoricalCrossentropy;
use samara_trainer::{Error, Fit, History};
use serde_json::{Value, json};

use crate::curves::{self, Curve};
use crate::losses::Measured;
use crate::names::ModelName;
use crate::optimizers::{OptimizerArguments, OptimizerName};
use crate::{files, names, output, task, train};

/// Arguments of `samara compare`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Model of the zoo, or a text file
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::ModelParser)]
    model: ModelName,
    /// Data set by name or path, as for `samara train`
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// An optimizer by its name for `samara train`, and its own learning rate if need be: adam, or adam=0.002; once for each
    #[arg(long = "optimizer", value_name = "NAME[=NUMBER]", value_parser = contestant, required = true)]
    optimizers: Vec<Contestant>,
    /// How many times to go through the training samples
    #[arg(long, default_value = "10", value_parser = names::count)]
    epochs: usize,
    /// Samples per step
    #[arg(long, default_value = "32", value_parser = names::count)]
    batch: usize,
    /// Learning rate of the optimizers that are given none of their own [default: as for `samara train`]
    #[arg(long, value_name = "NUMBER", value_parser = names::positive)]
    learning_rate: Option<f32>,
    /// Where initial weights and the order of samples come from: the same for all optimizers
    #[arg(long, default_value = "1")]
    seed: u64,
    /// The SVG file to write; what it shows is also written beside it, as `--json` prints it, with the ending .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// An optimizer, and the learning rate if it has one of its own.
type Contestant = (OptimizerName, Option<f32>);

fn contestant(text: &str) -> Result<Contestant, String> {
    let (name, rate) = text.split_once('=').map_or((text, None), |(name, rate)| (name, Some(rate)));
    let known: Vec<String> = OptimizerName::value_variants().iter().map(|&name| names::shown(name)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let optimizer = OptimizerName::from_str(name, false)
        .map_err(|_| format!("there is no optimizer {name:?}; {}", names::suggest(name, &known)))?;
    let rate = rate.map(names::positive).transpose().map_err(|reason| format!("{reason} as learning rate"))?;
    Ok((optimizer, rate))
}

/// What one optimizer achieved.
struct Outcome {
    optimizer: OptimizerName,
    learning_rate: f32,
    seconds: f64,
    /// What it measured, epoch by epoch, and on the test samples; or why it came to nothing.
    result: Result<(History, Measured), String>,
}

/// Trains with each optimizer, and writes and prints how they did.
///
/// # Errors
/// If the data cannot be had or does not fit the model, or a file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { out, optimizers, .. } = arguments;
    if out.extension().is_none_or(|ending| ending != "svg") {
        bail!("--out is {}, expected the name of an SVG file, such as curves.svg", out.display());
    }
    if optimizers.len() > COLOURS.len() {
        let most = COLOURS.len();
        bail!("--optimizer is given {} times, expected at most {most}: there are no more colours", optimizers.len());
    }
    files::prepare_directory(out.parent().unwrap_or(Path::new("")))?;
    let shape = task::input_shape(&arguments.model.build()?);
    let splits = names::data(&arguments.data, Targets::Classes, shape.as_ref())?;
    let mut outcomes = Vec::new();
    for (number, &contestant) in optimizers.iter().enumerate() {
        let outcome = train_with(arguments, &splits, contestant, number + 1)?;
        outcomes.push(outcome);
        // Hours of training are not lost with the next optimizer.
        files::write(&out.with_extension("json"), format!("{}\n", describe(arguments, &outcomes)).as_bytes())?;
        files::write(out, draw(arguments, &outcomes).as_bytes())?;
    }
    if arguments.json {
        return output::print_json(&describe(arguments, &outcomes));
    }
    let titles = ["optimizer", "learning rate", "training loss", "validation accuracy", "test accuracy", "seconds"];
    output::print(&output::table(&titles, &outcomes.iter().map(row).collect::<Vec<_>>()))?;
    output::note(&format!("written: {} and {}", out.display(), out.with_extension("json").display()));
    Ok(())
}

fn train_with(arguments: &Arguments, splits: &Splits, contestant: Contestant, number: usize) -> Result<Outcome> {
    let (name, own_rate) = contestant;
    let learning_rate = own_rate.or(arguments.learning_rate);
    let optimizer = OptimizerArguments { name, learning_rate, weight_decay: None, clip_norm: None }.build();
    let learning_rate = optimizer.learning_rate();
    let (shown, count) = (names::shown(name), arguments.optimizers.len());
    output::note(&format!("optimizer {number} of {count}: {shown}, learning rate {learning_rate}"));
    let mut model = arguments.model.build()?;
    model.initialize(arguments.seed);
    model.compile_with(optimizer, SparseCategoricalCrossentropy)?;
    train::check(&model, splits, &arguments.data)?;
    let Arguments { epochs, batch, seed, .. } = *arguments;
    let started = Instant::now();
    let result =
        match model.fit(&splits.train, Fit { epochs, batch, seed, validation: Some(&splits.validation), ..Fit::default() }) {
            Ok(history) => Ok((history, Measured::by_trainer(&model.evaluate(&splits.test)?)?)),
            // The others may do better.
            Err(error @ Error::Diverged { .. }) => {
                output::note(&error.to_string());
                Err(error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
    Ok(Outcome { optimizer: name, learning_rate, seconds: started.elapsed().as_secs_f64(), result })
}

fn draw(arguments: &Arguments, outcomes: &[Outcome]) -> String {
    let curve = |outcome: &Outcome| {
        let label = format!("{} {}", names::shown(outcome.optimizer), outcome.learning_rate);
        match &outcome.result {
            Ok((history, ..)) => Curve {
                label,
                training: curves::PANELS.map(|name| history.get(name)),
                validation: curves::PANELS.map(|name| history.get(&format!("val_{name}"))),
            },
            Err(_) => Curve { label: format!("{label} (diverged)"), ..Curve::default() },
        }
    };
    let title = format!("{} on {}", arguments.model, arguments.data);
    curves::draw(&title, &outcomes.iter().map(curve).collect::<Vec<_>>())
}

fn row(outcome: &Outcome) -> Vec<String> {
    let numbers = match &outcome.result {
        Ok((history, test)) => [history.last("loss"), history.last("val_accuracy"), test.accuracy]
            .map(|value| value.map(|value| format!("{value:.4}"))),
        Err(_) => [const { None }; 3],
    };
    let numbers = numbers.map(|number| number.unwrap_or_else(|| "diverged".to_owned()));
    let head = [names::shown(outcome.optimizer), outcome.learning_rate.to_string()];
    head.into_iter().chain(numbers).chain([format!("{:.1}", outcome.seconds)]).collect()
}

fn describe(arguments: &Arguments, outcomes: &[Outcome]) -> Value {
    let outcome = |outcome: &Outcome| {
        let (result, error) = (outcome.result.as_ref().ok(), outcome.result.as_ref().err());
        json!({
            "optimizer": names::shown(outcome.optimizer),
            "learning_rate": output::decimal(outcome.learning_rate),
            "f32_loss": result.map(|(_, test)| test.loss),
            "f32_accuracy": result.map(|(_, test)| test.accuracy),
            "training_seconds": outcome.seconds,
            "history": result.map(|(history, ..)| train::describe(history)),
            "error": error,
        })
    };
    json!({
        "model": arguments.model.to_string(),
        "data": arguments.data,
        "epochs": arguments.epochs,
        "batch": arguments.batch,
        "seed": arguments.seed,
        "out": arguments.out,
        "optimizers": outcomes.iter().map(outcome).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optimizers_may_have_their_own_rate() {
        assert_eq!(contestant("adam"), Ok((OptimizerName::Adam, None)));
        assert_eq!(contestant("sgd=0.25"), Ok((OptimizerName::Sgd, Some(0.25))));
        assert_eq!(contestant("adamm").unwrap_err(), "there is no optimizer \"adamm\"; did you mean adam?");
        assert_eq!(contestant("adam=fast").unwrap_err(), "expected a positive number as learning rate");
        assert!(contestant("adam=").is_err() && contestant("=1").is_err());
    }
}
