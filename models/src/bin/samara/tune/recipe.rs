//! How a trial is trained: the table `[train]` of its file, places filled.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use samara_search::{Chosen, Distribution, Template};
use samara_trainer::Model;
use samara_trainer::data::Tensor;
use samara_trainer::quantize::{Options, Selection};
use serde_json::Value;

use crate::augment::Changes;
use crate::names;
use crate::optimizers::{OptimizerArguments, OptimizerName};
use crate::schedule::ScheduleArgument;

/// Epochs, unless the file says.
const EPOCHS: usize = 9;

/// How a trial is trained.
pub struct Recipe {
    pub optimizer: OptimizerArguments,
    pub batch: usize,
    pub epochs: usize,
    pub schedule: ScheduleArgument,
    /// Random changes of the training pictures.
    pub augment: Option<Changes>,
    /// Of the file.
    pub numbers: Numbers,
    /// The trial counts for what its file gives, not for what the net in f32 does: so that fewer bits are not free.
    pub is_measured_as_file: bool,
}

/// What numbers a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Numbers {
    /// Weights and activations
    Int8,
    /// Weights of 4 bits where there are such kernels
    Int4,
    /// Activations of 16 bits where there are such kernels
    Int16,
}

impl Numbers {
    /// For the exporter.
    pub fn options(self) -> Options<'static> {
        match self {
            Self::Int8 => Options::default(),
            Self::Int4 => Options { int4: Selection::All, ..Options::default() },
            Self::Int16 => Options { int16: Selection::All, ..Options::default() },
        }
    }

    /// The file of a net.
    ///
    /// # Errors
    /// If it has none.
    pub fn export(self, model: &Model, samples: &[Tensor]) -> Result<Vec<u8>> {
        Ok(model.export_int8(samples, self.options())?)
    }
}

/// Values at a parameter's ends, or each of its choices.
fn extremes(distribution: &Distribution) -> Vec<Value> {
    match distribution {
        Distribution::Float { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
        Distribution::Integer { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
        Distribution::Choice(choices) => choices.clone(),
    }
}

/// Sets of values in which each parameter has each of its [`extremes`] once at least.
fn corners(template: &Template) -> Vec<Chosen> {
    let values: Vec<(&String, Vec<Value>)> =
        template.space().parameters().iter().map(|parameter| (&parameter.name, extremes(&parameter.distribution))).collect();
    let most = values.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let corner =
        |place: usize| values.iter().map(|(name, values)| ((*name).clone(), values[place % values.len()].clone())).collect();
    (0..most).map(corner).collect()
}

impl Recipe {
    /// Reads `[train]` with all parameters at their ends, and with each choice: what is wrong with it is told before any trial.
    ///
    /// # Errors
    /// What [`read`](Self::read) finds.
    pub fn check(template: &Template) -> Result<()> {
        corners(template).iter().try_for_each(|chosen| Self::read(template.fill_only("train", chosen)?).map(drop))
    }

    /// Epochs of the longest training.
    pub fn most_epochs(template: &Template) -> u64 {
        let epochs = |chosen: &Chosen| Some(Self::read(template.fill_only("train", chosen).ok()?).ok()?.epochs as u64);
        corners(template).iter().filter_map(epochs).max().unwrap_or(EPOCHS as u64)
    }

    /// Reads the table, places filled.
    ///
    /// # Errors
    /// A sentence with what is wrong with it.
    pub fn read(table: Option<toml::Value>) -> Result<Self> {
        let table = match table {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => bail!("train is not a table"),
        };
        let known =
            ["optimizer", "learning_rate", "weight_decay", "clip_norm", "batch", "epochs", "schedule", "augment", "quantize"];
        if let Some(other) = table.keys().find(|key| !known.contains(&key.as_str())) {
            bail!("[train] has {other}; known are {}", known.join(", "));
        }
        let number = |name: &str| -> Result<Option<f32>> {
            let Some(value) = table.get(name) else { return Ok(None) };
            let number =
                value.as_float().or_else(|| value.as_integer().map(|value| value as f64)).filter(|number| *number > 0.0);
            Ok(Some(number.with_context(|| format!("[train] {name} is {value}, expected a number above 0"))? as f32))
        };
        let count = |name: &str, usual: usize| -> Result<usize> {
            let Some(value) = table.get(name) else { return Ok(usual) };
            let number = value.as_integer().and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0);
            number.with_context(|| format!("[train] {name} is {value}, expected an integer above 0"))
        };
        let text = |name: &str, usual: &'static str| -> Result<String> {
            let Some(value) = table.get(name) else { return Ok(usual.to_owned()) };
            Ok(value.as_str().with_context(|| format!("[train] {name} is {value}, expected text"))?.to_owned())
        };
        let optimizer = text("optimizer", "adam")?;
        let optimizer = OptimizerName::from_str(&optimizer, true).map_err(|_| {
            let names: Vec<String> = OptimizerName::value_variants().iter().map(|name| names::shown(*name)).collect();
            anyhow::anyhow!("[train] optimizer is {optimizer:?}; known are {}", names.join(", "))
        })?;
        let schedule = ScheduleArgument::parse(&text("schedule", "constant")?)
            .map_err(|error| anyhow::anyhow!("[train] schedule: {error}"))?;
        let augment = match text("augment", "")?.as_str() {
            "" | "none" => None,
            changes => Some(Changes::parse(changes).map_err(|error| anyhow::anyhow!("[train] augment: {error}"))?),
        };
        let numbers = text("quantize", "int8")?;
        let numbers = Numbers::from_str(&numbers, false).map_err(|_| {
            let names: Vec<String> = Numbers::value_variants().iter().map(|name| names::shown(*name)).collect();
            anyhow::anyhow!("[train] quantize is {numbers:?}; known are {}", names.join(", "))
        })?;
        Ok(Self {
            is_measured_as_file: table.contains_key("quantize"),
            augment,
            numbers,
            optimizer: OptimizerArguments {
                name: optimizer,
                learning_rate: number("learning_rate")?,
                weight_decay: number("weight_decay")?,
                clip_norm: number("clip_norm")?,
            },
            batch: count("batch", 32)?,
            epochs: count("epochs", EPOCHS)?,
            schedule,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(train: &str) -> Template {
        let space =
            "[space]\ne = { integer = [2, 27] }\nr = { float = [0.1, 1.0] }\nk = { choice = [\"int8\", \"int4\", \"int5\"] }\n";
        Template::from_toml(&format!("{space}[train]\n{train}")).unwrap()
    }

    #[test]
    fn mistakes_are_found_whatever_is_chosen() {
        let wrong = |train: &str| Recipe::check(&template(train)).unwrap_err().to_string();
        assert_eq!(wrong("quantize = \"$k\""), "[train] quantize is \"int5\"; known are int8, int4, int16");
        assert_eq!(wrong("epochs = \"$r\""), "[train] epochs is 0.1, expected an integer above 0");
        assert!(wrong("augment = \"flop\"").starts_with("[train] augment: "));
        assert!(wrong("epoch = 3").starts_with("[train] has epoch; known are optimizer, "));
        Recipe::check(&template("epochs = \"$e\"\nlearning_rate = \"$r\"\naugment = \"none\"")).unwrap();
    }

    #[test]
    fn the_longest_training_is_known() {
        assert_eq!(Recipe::most_epochs(&template("epochs = \"$e\"")), 27);
        assert_eq!(Recipe::most_epochs(&template("epochs = 5")), 5);
        assert_eq!(Recipe::most_epochs(&template("")), 9);
    }
}
