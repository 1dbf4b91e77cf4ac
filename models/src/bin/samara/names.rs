//! Names on the command line, and the near ones where a name is unknown.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};
use samara_models::tasks::TASKS;
use samara_models::{ZOO, ZooModel, textbook};
use samara_trainer::Model;
use samara_trainer::data::sources::{self, SOURCES, SourceError, Splits, Targets};
use samara_trainer::graph::Shape;
pub use samara_trainer::names::suggest;
use samara_trainer::quantize::Calibration;

use crate::{files, output};

/// A model of the zoo, or a text file that describes one.
#[derive(Debug, Clone)]
pub enum ModelName {
    /// Of the zoo.
    Zoo(&'static ZooModel),
    /// A text file (docs/model-files.md).
    File(PathBuf),
}

impl ModelName {
    /// The model with its initial parameters.
    ///
    /// # Errors
    /// If the file cannot be read, or describes no model.
    pub fn build(&self) -> Result<Model> {
        match self {
            Self::Zoo(model) => Ok(model.build()?),
            Self::File(path) => model_file(path),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zoo(model) => f.write_str(model.name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// `true` for the name of a text file that describes a model.
pub fn is_model_file(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"))
}

/// The model that a text file describes.
///
/// # Errors
/// If the file cannot be read, or describes no model.
pub fn model_file(path: &Path) -> Result<Model> {
    let shown = || path.display().to_string();
    let text = String::from_utf8(files::read(path)?).with_context(shown)?;
    Model::from_toml(&text).with_context(shown)
}

/// A model of the zoo by name, or a text file.
pub fn model(name: &str) -> Result<ModelName, String> {
    if is_model_file(Path::new(name)) {
        return Ok(ModelName::File(name.into()));
    }
    let names: Vec<&str> = ZOO.iter().map(|model| model.name).collect();
    let found = samara_models::find(&name.replace('_', "-")).map(ModelName::Zoo);
    found.ok_or_else(|| format!("there is no model {name:?}, and no FILE.toml; {}", suggest(name, &names)))
}

/// Builds a net.
type Build = Box<dyn Fn() -> samara_trainer::Result<Model>>;

/// The nets that are known by name, those of the tasks and of the textbooks included.
fn known() -> Vec<(&'static str, Build)> {
    let of_zoo = ZOO.iter().map(|model| (model.name, Box::new(|| model.build()) as Build));
    let of_tasks = TASKS.iter().map(|task| (task.name, Box::new(task.build) as Build));
    let of_textbooks: [(&str, Build); 5] = [
        ("inception-module", Box::new(|| textbook::inception_module([28, 28, 16], samara_trainer::layers::Padding::Same))),
        ("question-answering", Box::new(|| textbook::question_answering(100, 20))),
        ("siamese-lstm", Box::new(|| textbook::siamese_lstm(20))),
        ("xception", Box::new(textbook::xception)),
        ("dual-camera", Box::new(textbook::dual_camera)),
    ];
    of_zoo.chain(of_tasks).chain(of_textbooks).collect()
}

/// The names of all nets that are known.
pub fn of_known() -> Vec<&'static str> {
    known().into_iter().map(|(name, _)| name).collect()
}

/// The net of that name, or that a text file describes.
///
/// # Errors
/// If there is none.
pub fn any_model(name: &str) -> Result<Model> {
    if is_model_file(Path::new(name)) {
        return model_file(Path::new(name));
    }
    let found = known().into_iter().find(|(known, _)| *known == name);
    let (_, build) = found.with_context(|| format!("there is no model {name:?}"))?;
    Ok(build()?)
}

/// Reads the name of a net that is known, or of a text file; shells and `--help` learn all names from it.
#[derive(Debug, Clone)]
pub struct AnyModelParser;

impl TypedValueParser for AnyModelParser {
    type Value = String;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        let parser = |name: &str| {
            let known = of_known();
            let found = is_model_file(Path::new(name)) || known.contains(&name);
            let unknown = || format!("there is no model {name:?}, and no FILE.toml; {}", suggest(name, &known));
            found.then(|| name.to_owned()).ok_or_else(unknown)
        };
        parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(of_known().into_iter().map(PossibleValue::new)))
    }
}

/// Reads the name of a model; shells and `--help` learn all names from it.
#[derive(Debug, Clone)]
pub struct ModelParser;

impl TypedValueParser for ModelParser {
    type Value = ModelName;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Self::Value, clap::Error> {
        let parser: fn(&str) -> Result<Self::Value, String> = model;
        parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(ZOO.iter().map(|model| PossibleValue::new(model.name).help(model.description))))
    }
}

/// Reads a data set by name or by path, and says so. Pictures, sounds and series are brought to the shape of the model's input.
///
/// # Errors
/// If there is none, or it is damaged.
pub fn data(name_or_path: &str, targets: Targets, shape: Option<&Shape>) -> Result<Splits> {
    let splits = sources::load_with(name_or_path, targets, shape).map_err(|error| {
        let names: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
        match error {
            SourceError::Unknown { .. } => anyhow::anyhow!(
                "there is no data set {name_or_path:?}, and no directory, NPZ or CSV file of that name; {}",
                suggest(name_or_path, &names)
            ),
            other => other.into(),
        }
    })?;
    let what = match targets {
        Targets::Classes => format!("{} classes", splits.classes()),
        Targets::Values => format!("targets of shape {}", splits.train.targets()[0].sample_shape()),
    };
    output::note(&format!(
        "data {name_or_path}: {} samples to train, {} to validate, {} to test, shape {}, {what}",
        output::thousands(splits.train.samples() as u64),
        output::thousands(splits.validation.samples() as u64),
        output::thousands(splits.test.samples() as u64),
        splits.train.inputs()[0].sample_shape(),
    ));
    Ok(splits)
}

/// The name of a choice on the command line.
pub fn shown(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// `minmax` or `percentile=0.9999`.
pub fn calibration(text: &str) -> Result<Calibration, String> {
    if text == "minmax" {
        return Ok(Calibration::MinMax);
    }
    let part = text.strip_prefix("percentile=").and_then(|part| part.parse().ok());
    match part {
        Some(part) if (0.5..=1.0).contains(&part) => Ok(Calibration::Percentile(part)),
        _ => Err("expected minmax, or percentile= and a number from 0.5 to 1, such as percentile=0.9999".to_owned()),
    }
}

/// A positive number.
pub fn positive(text: &str) -> Result<f32, String> {
    let number = text.parse::<f32>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a positive number".to_owned())
}

/// A number of things, at least one.
pub fn count(text: &str) -> Result<usize, String> {
    text.parse::<usize>().ok().filter(|&number| number > 0).ok_or_else(|| "expected a whole number, at least 1".to_owned())
}

/// Bytes: 4096, 64k (of 1,024 each) or 1.5M, at least one.
pub fn bytes(text: &str) -> Result<usize, String> {
    let bytes = scaled(text, 1 << 10).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "expected a whole number of bytes, such as 4096, 64k or 1.5M".to_owned())
}

/// A number of things: 4096, 500k (of 1,000 each) or 1.9M, at least one.
pub fn amount(text: &str) -> Result<u64, String> {
    scaled(text, 1_000).ok_or_else(|| "expected a whole number, such as 4096, 500k or 1.9M".to_owned())
}

/// A whole number above 0, of which k is so many and M their square. Decimals before a unit are exact: 1.9M is 1,900,000 of 1,000 each, and of 1,024
/// each no whole number, so that it is refused.
fn scaled(text: &str, thousand: u64) -> Option<u64> {
    let (number, unit) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, thousand),
        None => text.strip_suffix('M').map_or((text, 1), |number| (number, thousand * thousand)),
    };
    let (whole, decimals) = match number.split_once('.') {
        // Zeros at the end say nothing, and would make the numbers below larger.
        Some((whole, decimals)) if unit > 1 && !decimals.is_empty() => (whole, decimals.trim_end_matches('0')),
        Some(_) => return None,
        None => (number, ""),
    };
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) {
        return None;
    }
    let parts = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let amount = format!("{whole}{decimals}").parse::<u128>().ok()?.checked_mul(unit.into())?;
    u64::try_from(amount / parts).ok().filter(|scaled| *scaled > 0 && amount % parts == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(model("fashion_separable").unwrap().to_string(), "fashion-separable");
        assert_eq!(
            model("fashion-seperable").unwrap_err(),
            "there is no model \"fashion-seperable\", and no FILE.toml; did you mean fashion-separable?"
        );
        assert!(matches!(model("nets/own.toml"), Ok(ModelName::File(_))));
        let message = model("yolo").unwrap_err();
        assert!(message.contains("; known are fashion-separable, ") && message.contains(", anomaly-autoencoder"), "{message}");
    }

    #[test]
    fn arguments_are_checked() {
        assert_eq!(calibration("percentile=0.999"), Ok(Calibration::Percentile(0.999)));
        assert!(["percentile=2", "percentile=NaN", "max", ""].into_iter().all(|text| calibration(text).is_err()));
        assert!(["0", "-1", "inf", "NaN", "x"].into_iter().all(|text| positive(text).is_err()));
        assert!(["0", "-1", "1.5"].into_iter().all(|text| count(text).is_err()));
        assert_eq!(["4096", "64k", "48K", "1M"].map(bytes), [Ok(4096), Ok(65_536), Ok(49_152), Ok(1_048_576)]);
        assert!(["0k", "", "k", "64kB", "-1k", "+1k", "99999999999999M"].into_iter().all(|text| bytes(text).is_err()));
    }

    /// `--max-instructions 1.9M` was refused.
    #[test]
    fn decimals_before_a_unit_are_exact_or_refused() {
        let amounts = [("1.9M", 1_900_000), ("0.5k", 500), ("2.50M", 2_500_000), ("1.000001M", 1_000_001), ("0007", 7)];
        assert_eq!(amounts.map(|(text, _)| amount(text)), amounts.map(|(_, expected)| Ok(expected)));
        // 0.1 has no exact binary form; 4.35 as a float times 100 is 434.99999999999994.
        assert_eq!((amount("0.1k"), amount("4.35M"), amount("18446744073709551615")), (Ok(100), Ok(4_350_000), Ok(u64::MAX)));
        assert_eq!(["1.5k", "1.5M", "0.0625M"].map(bytes), [Ok(1_536), Ok(1_572_864), Ok(65_536)]);
        let refused = [
            "1.9",
            "1.0",
            "1.0005k",
            "0.0000001M",
            "0.0k",
            ".5M",
            "1.M",
            "1.2.3M",
            "1.-5k",
            "1e3k",
            "1,5M",
            "18446744073709551616",
        ];
        assert!(refused.into_iter().all(|text| amount(text).is_err()), "{:?}", refused.map(amount));
        // 1.9M of 1,024 * 1,024 would be 1,992,294.4 bytes.
        assert_eq!(bytes("1.9M").unwrap_err(), "expected a whole number of bytes, such as 4096, 64k or 1.5M");
    }
}
