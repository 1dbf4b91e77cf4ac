//! Test samples as a device takes them, and how well it does on them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{host::ModelBytes, paths, process};

/// The command `samara` with these arguments.
pub fn samara(arguments: &[&str]) -> Command {
    let mut command = process::cargo(&["run", "--release", "--package", "samara-models", "--bin", "samara", "--"]);
    command.args(arguments);
    command
}

/// The line of JSON that a command ends with.
///
/// # Errors
/// If the command fails, or its last line is no JSON.
pub fn json_of(command: &mut Command) -> Result<Value> {
    let mut last = String::new();
    process::run_lines(command, |line| last = line.to_owned())?;
    serde_json::from_str(&last).with_context(|| format!("the command ended with {last:?}, which is no JSON"))
}

/// Test samples, what this machine makes of them, and what they are.
pub struct Samples {
    /// The records of all samples.
    pub inputs: Vec<u8>,
    /// The outputs of all records.
    pub expected: Vec<u8>,
    labels: Vec<u8>,
    /// Records of a sample: the output of the last counts.
    runs: usize,
}

impl Samples {
    /// The first `count` test samples of a data set, each of `runs` records, by way of files whose names begin as `place`.
    ///
    /// # Errors
    /// If the data cannot be had or does not fit the model.
    pub fn export(place: &Path, model: &ModelBytes, data: &str, count: usize, runs: usize) -> Result<Self> {
        let file = |ending: &str| place.with_extension(ending);
        let mut command = samara(&["export-samples", "--data", data, "--count", &count.to_string()]);
        command.args(["--runs", &runs.to_string()]);
        command.arg("--model").arg(&model.path).arg("--out").arg(file("inputs"));
        command.arg("--expected").arg(file("outputs")).arg("--labels").arg(file("labels"));
        process::run(&mut command)?;
        let read =
            |ending: &str| fs::read(file(ending)).with_context(|| format!("{} cannot be read", paths::shown(&file(ending))));
        let samples = Self { inputs: read("inputs")?, expected: read("outputs")?, labels: read("labels")?, runs };
        let records = model.records(&samples.inputs)?.len();
        if (records, samples.labels.len()) != (count * runs, count) {
            bail!("export-samples wrote {records} records and {} labels, expected {}", samples.labels.len(), count * runs);
        }
        Ok(samples)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Share of samples whose largest output, after their last record, is the label's.
    ///
    /// # Errors
    /// If there are not as many outputs as this machine's.
    pub fn accuracy(&self, outputs: &[u8]) -> Result<f64> {
        if outputs.len() != self.expected.len() {
            bail!("{} samples gave {} output bytes, expected {}", self.count(), outputs.len(), self.expected.len());
        }
        let of_sample = outputs.len() / self.count().max(1);
        let scores = outputs.chunks_exact(of_sample.max(1)).map(|outputs| &outputs[of_sample - of_sample / self.runs..]);
        let right = scores.zip(&self.labels).filter(|(scores, label)| winner(scores) == usize::from(**label));
        Ok(right.count() as f64 / self.count() as f64)
    }
}

/// Index of the largest int8 score, the first of equals.
fn winner(scores: &[u8]) -> usize {
    let mut best = 0;
    for (index, &score) in scores.iter().enumerate() {
        if (score as i8) > (scores[best] as i8) {
            best = index;
        }
    }
    best
}

/// Bytes in which two outputs differ; bytes that one of them lacks count, too.
pub fn differing(found: &[u8], expected: &[u8]) -> usize {
    let pairs = found.iter().zip(expected).filter(|(found, expected)| found != expected).count();
    pairs + found.len().abs_diff(expected.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_reads_scores_as_signed_and_prefers_the_first_of_equals() {
        let mut outputs = vec![0x80; 2 * 10];
        outputs[3] = 0x7f; // 127
        outputs[4] = 0x7f;
        outputs[10 + 9] = 0x81; // -127, the largest there
        let samples = Samples { inputs: vec![], expected: vec![0; 20], labels: vec![3, 8], runs: 1 };
        assert_eq!(samples.accuracy(&outputs).unwrap(), 0.5);
        assert!(samples.accuracy(&outputs[1..]).is_err());
    }

    #[test]
    fn the_last_run_of_a_sample_counts() {
        let samples = Samples { inputs: vec![], expected: vec![0; 12], labels: vec![1, 0], runs: 3 };
        assert_eq!(samples.accuracy(&[9, 0, 9, 0, 0, 9, 0, 9, 0, 9, 9, 0]).unwrap(), 1.0);
        assert_eq!(samples.accuracy(&[0, 9, 0, 9, 9, 0, 9, 0, 9, 0, 9, 0]).unwrap(), 0.5);
    }

    #[test]
    fn missing_and_surplus_bytes_differ() {
        assert_eq!(differing(&[1, 2, 3], &[1, 9]), 2);
        assert_eq!(differing(&[1, 2], &[1, 2, 3]), 1);
        assert_eq!(differing(&[1, 2], &[1, 2]), 0);
    }
}
