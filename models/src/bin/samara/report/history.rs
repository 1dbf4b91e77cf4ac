//! What was measured in each epoch of a training, from what it left.

use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_trainer::{History, TrainingState};
use serde_json::{Map, Value};

use crate::files;

/// The first bytes of a training's state.
const STATE_MAGIC: &[u8] = b"SMRT";

/// Measurements by name, each with a value for each epoch; none where one is missing.
pub type Curves = Vec<(String, Vec<Option<f64>>)>;

/// Reads a training's state, lines of JSON with an object for each epoch, what `samara train --json` printed, or CSV with a header.
///
/// # Errors
/// If the file cannot be read, or is nothing of these.
pub fn read(path: &Path) -> Result<Curves> {
    let shown = || path.display().to_string();
    let bytes = files::read(path)?;
    if bytes.starts_with(STATE_MAGIC) {
        return Ok(of_training(TrainingState::from_bytes(&bytes).with_context(shown)?.history()));
    }
    let text = String::from_utf8(bytes).with_context(|| format!("{} is no text", path.display()))?;
    let epochs = if text.trim_start().starts_with('{') { of_json(&text) } else { of_csv(&text) };
    let curves = curves(&epochs.with_context(shown)?);
    if curves.is_empty() {
        bail!("{} has no measurements: expected a training.state, lines of JSON, or CSV with a header", path.display());
    }
    Ok(curves)
}

/// What a training measured, with its learning rate.
pub fn of_training(history: &History) -> Curves {
    let epochs = history.epochs.iter().map(|log| {
        let measured = log.measurements.iter().map(|(name, value)| (name.to_owned(), value));
        measured.chain([("learning_rate".to_owned(), f64::from(log.learning_rate))]).collect()
    });
    curves(&epochs.collect::<Vec<_>>())
}

/// Of one epoch.
type Epoch = Vec<(String, f64)>;

fn curves(epochs: &[Epoch]) -> Curves {
    let mut curves: Curves = Vec::new();
    for (number, epoch) in epochs.iter().enumerate() {
        for (name, value) in epoch.iter().filter(|(name, _)| name != "epoch") {
            let place = curves.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                curves.push((name.clone(), vec![None; epochs.len()]));
                curves.len() - 1
            });
            curves[place].1[number] = Some(*value);
        }
    }
    curves
}

fn of_json(text: &str) -> Result<Vec<Epoch>> {
    let numbers = |object: &Map<String, Value>| -> Epoch {
        object.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
    };
    let mut epochs = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
        let Value::Object(object) = value else { bail!("line {} is no object", number + 1) };
        match object.get("history") {
            Some(Value::Array(history)) => epochs.extend(history.iter().filter_map(Value::as_object).map(numbers)),
            _ => epochs.push(numbers(&object)),
        }
    }
    Ok(epochs)
}

fn of_csv(text: &str) -> Result<Vec<Epoch>> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let (_, header) = lines.next().context("the file is empty")?;
    let fields = |line: &str| line.split(',').map(|field| field.trim().trim_matches('"').to_owned()).collect::<Vec<_>>();
    let names = fields(header);
    let epoch = |(number, line): (usize, &str)| {
        let fields = fields(line);
        if fields.len() != names.len() {
            bail!("line {} has {} fields, the header has {}", number + 1, fields.len(), names.len());
        }
        Ok(names.iter().zip(fields).filter_map(|(name, field)| Some((name.clone(), field.parse().ok()?))).collect())
    };
    lines.map(epoch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Curves> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn all_forms_say_the_same() {
        let wanted = vec![("loss".to_owned(), vec![Some(2.0), Some(1.0)]), ("val_loss".to_owned(), vec![Some(2.5), None])];
        assert_eq!(read_text("epoch,loss,val_loss\n1,2.0,2.5\n2,1,\n").unwrap(), wanted);
        assert_eq!(read_text("{\"epoch\": 1, \"loss\": 2, \"val_loss\": 2.5}\n{\"epoch\": 2, \"loss\": 1}\n").unwrap(), wanted);
        assert_eq!(read_text("{\"history\": [{\"loss\": 2, \"val_loss\": 2.5}, {\"loss\": 1}]}").unwrap(), wanted);
    }

    #[test]
    fn what_is_no_history_is_told() {
        let message = |text: &str| format!("{:#}", read_text(text).unwrap_err());
        assert!(message("loss,accuracy\n1\n").contains("line 2 has 1 fields, the header has 2"));
        assert!(message("{\"loss\": 1}\n{broken\n").contains("line 2"));
        assert!(message("name\nx\n").contains("has no measurements"));
    }
}
