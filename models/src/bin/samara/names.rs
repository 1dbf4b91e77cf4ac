//! Names on the command line, and the near ones where a name is unknown.

use std::ffi::OsStr;

use anyhow::Result;
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum};
use samara_models::{ZOO, ZooModel};
use samara_trainer::data::sources::{self, SOURCES, SourceError, Splits, Targets};
use samara_trainer::graph::Shape;
use samara_trainer::quantize::Calibration;

use crate::output;

/// A model of the zoo.
pub fn model(name: &str) -> Result<&'static ZooModel, String> {
    let names: Vec<&str> = ZOO.iter().map(|model| model.name).collect();
    samara_models::find(&name.replace('_', "-")).ok_or_else(|| format!("there is no model {name:?}; {}", suggest(name, &names)))
}

/// Reads the name of a model; shells and `--help` learn all names from it.
#[derive(Debug, Clone)]
pub struct ModelParser;

impl TypedValueParser for ModelParser {
    type Value = &'static ZooModel;

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

/// "did you mean x?" if one is near, else all there are.
pub fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|other| (distance(name, other), other)).min();
    match nearest {
        Some((distance, other)) if distance <= 1 + name.chars().count() / 3 => format!("did you mean {other}?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// Letters to insert, delete or exchange (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let exchange = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(1 + row[j]).min(1 + diagonal);
        }
    }
    row[b.len()]
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

/// Bytes: 4096, 64k (of 1,024 each) or 1M, at least one.
pub fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1 << 10),
        None => text.strip_suffix('M').map_or((text, 1), |digits| (digits, 1 << 20)),
    };
    let bytes = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "expected a number of bytes, such as 4096, 64k or 1M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(model("fashion_separable").unwrap().name, "fashion-separable");
        assert_eq!(
            model("fashion-seperable").unwrap_err(),
            "there is no model \"fashion-seperable\"; did you mean fashion-separable?"
        );
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
        assert!(["0k", "", "k", "64kB", "-1k", "1.5M", "99999999999999M"].into_iter().all(|text| bytes(text).is_err()));
    }
}
