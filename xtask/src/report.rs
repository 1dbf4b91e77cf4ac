//! Reads the report that firmware writes: lines of a key and words.

use std::path::Path;

use anyhow::{Context, Result};

/// A firmware's report.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    lines: Vec<(String, Vec<String>)>,
}

impl Report {
    /// Reads the file that the firmware wrote.
    ///
    /// # Errors
    /// If there is no such file: the firmware stopped before its end.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("the firmware left no report at {}: it stopped early, see its log above", crate::paths::shown(path))
        })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            Some((words.next()?, words.collect()))
        });
        Self { lines: lines.collect() }
    }

    /// The words of each line with that key.
    pub fn all<'a, 'k>(&'a self, key: &'k str) -> impl Iterator<Item = &'a [String]> + use<'a, 'k> {
        self.lines.iter().filter(move |(found, _)| found == key).map(|(_, words)| words.as_slice())
    }

    /// The first word of the first line with that key.
    ///
    /// # Errors
    /// If there is none.
    pub fn word(&self, key: &str) -> Result<&str> {
        let words = self.all(key).next().with_context(|| format!("the firmware's report has no line {key:?}"))?;
        words.first().map(String::as_str).with_context(|| format!("the line {key:?} of the firmware's report is empty"))
    }

    /// The numbers on the first line with that key, as many as there must be.
    ///
    /// # Errors
    /// If there is no such line, or others are there.
    pub fn numbers<const N: usize>(&self, key: &str) -> Result<[u64; N]> {
        let words = self.all(key).next().with_context(|| format!("the firmware's report has no line {key:?}"))?;
        let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
        let right = numbers.try_into().ok().filter(|_| words.len() == N);
        right.with_context(|| format!("the line {key:?} of the firmware's report has other than {N} numbers"))
    }

    /// The number on the first line with that key.
    ///
    /// # Errors
    /// If there is none.
    pub fn number(&self, key: &str) -> Result<u64> {
        let word = self.word(key)?;
        word.parse().with_context(|| format!("the firmware reports {key} {word}, which is not a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_words_and_numbers() {
        let report = Report::parse("variant dsp\nnode 0 12\nnode 1 34\nstack 18446744073709551615\n");
        assert_eq!(report.word("variant").unwrap(), "dsp");
        assert_eq!(report.number("stack").unwrap(), u64::MAX);
        assert_eq!(report.all("node").map(|words| words[1].as_str()).collect::<Vec<_>>(), ["12", "34"]);
        assert_eq!(report.numbers("node").unwrap(), [0, 12]);
        assert!(report.numbers::<3>("node").unwrap_err().to_string().contains("3 numbers"));
        assert!(report.number("variant").unwrap_err().to_string().contains("variant dsp"));
        assert!(report.word("absent").unwrap_err().to_string().contains("absent"));
    }
}
