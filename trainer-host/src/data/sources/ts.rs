//! `.ts` files, the format of the UEA archive of time series: lines of comment that begin with `#`, lines `@key value`, `@data`,
//! then a series a line, its channels separated by `:`, the values of a channel by `,`, its class last.
//!
//! Series may have different lengths, which are kept. Missing values, time stamps and numbers to predict are refused.
//!
//! Source: A. Bagnall et al., *The UEA multivariate time series classification archive*, 2018.

use std::path::Path;

use super::SourceError;
use crate::data::Tensor;
use crate::error::{Error, Result};

/// Labelled sequences.
#[derive(Debug, Clone, PartialEq)]
pub struct TsFile {
    /// Values of a step.
    pub channels: usize,
    /// The names of the classes, by number.
    pub class_names: Vec<String>,
    /// The sequences.
    pub series: Vec<Series>,
}

/// A sequence with its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// `[steps, channels]`.
    pub values: Vec<f32>,
    /// The class's number.
    pub class: usize,
}

/// The lines with `@`.
#[derive(Default)]
struct Header {
    channels: Option<usize>,
    steps: Option<usize>,
    are_equal: bool,
    class_names: Option<Vec<String>>,
}

impl TsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, has missing values, time stamps or no classes.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let content = std::fs::read(path).map_err(|error| SourceError::read(path, error))?;
        let text = String::from_utf8(content)
            .map_err(|error| SourceError::malformed(path, format!("byte {} is no UTF-8", error.utf8_error().valid_up_to())))?;
        Self::parse(&text).map_err(|reason| SourceError::malformed(path, reason))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut header = Header::default();
        let mut file: Option<Self> = None;
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let failed = |reason: String| format!("line {line}: {reason}");
            match &mut file {
                Some(file) => {
                    let series = file.series(text, &header).map_err(failed)?;
                    file.series.push(series);
                }
                None if text.eq_ignore_ascii_case("@data") => {
                    let class_names =
                        header.class_names.clone().ok_or_else(|| failed("@data comes before @classLabel".to_owned()))?;
                    file = Some(Self { channels: header.channels.unwrap_or(1), class_names, series: Vec::new() });
                }
                None => header.read(text).map_err(failed)?,
            }
        }
        let file = file.ok_or("it has no line @data: it is no .ts file, or was cut short")?;
        if file.series.is_empty() { Err("it has no series behind @data".to_owned()) } else { Ok(file) }
    }

    fn series(&self, text: &str, header: &Header) -> Result<Series, String> {
        let (channels, class) = text.rsplit_once(':').ok_or("it has no ':' before the class")?;
        let class = class.trim();
        let class = self
            .class_names
            .iter()
            .position(|name| name == class)
            .ok_or_else(|| format!("its class is {class:?}, expected one of {}", self.class_names.join(", ")))?;
        let mut columns: Vec<Vec<f32>> = Vec::with_capacity(self.channels);
        for (channel, text) in channels.split(':').enumerate() {
            let value = |(step, text): (usize, &str)| match text.trim().parse::<f32>() {
                Ok(value) if value.is_finite() => Ok(value),
                _ if matches!(text.trim(), "?" | "NaN" | "") => {
                    Err(format!("the value of channel {channel} in step {step} is missing: fill or leave out such series"))
                }
                _ => Err(format!("channel {channel} has {:?} in step {step}, expected a number", text.trim())),
            };
            let column = text.split(',').enumerate().map(value).collect::<Result<Vec<_>, _>>()?;
            if let Some(first) = columns.first().filter(|first| first.len() != column.len()) {
                return Err(format!("channel {channel} has {} steps, channel 0 has {}", column.len(), first.len()));
            }
            columns.push(column);
        }
        if columns.len() != self.channels {
            return Err(format!("it has {} channels, expected {}", columns.len(), self.channels));
        }
        let steps = columns[0].len();
        if let Some(expected) = header.steps.filter(|&expected| header.are_equal && expected != steps) {
            return Err(format!("it has {steps} steps, but all series are said to have {expected}"));
        }
        let values = (0..steps).flat_map(|step| columns.iter().map(move |column| column[step])).collect();
        Ok(Series { values, class })
    }

    /// The steps of the longest series.
    pub fn longest(&self) -> usize {
        self.lengths().into_iter().max().unwrap_or(0)
    }

    /// The steps of each series.
    pub fn lengths(&self) -> Vec<usize> {
        self.series.iter().map(|series| series.values.len() / self.channels).collect()
    }

    /// All series as `[series, steps, channels]` with their lengths, followed by zeros where they are shorter.
    ///
    /// # Errors
    /// If one is longer.
    pub fn padded(&self, steps: usize) -> Result<Tensor> {
        if let Some((series, length)) = self.lengths().into_iter().enumerate().find(|&(_, length)| length > steps) {
            let (found, expected) = (format!("{length} steps"), format!("at most {steps} steps"));
            return Err(Error::Argument {
                name: "the length of a series",
                found: format!("{found}, in series {series}"),
                expected,
            });
        }
        let mut values = vec![0.0; self.series.len() * steps * self.channels];
        for (to, series) in values.chunks_exact_mut((steps * self.channels).max(1)).zip(&self.series) {
            to[..series.values.len()].copy_from_slice(&series.values);
        }
        Tensor::new([self.series.len(), steps, self.channels], values)?.with_lengths(self.lengths())
    }

    /// The classes as targets.
    pub fn targets(&self) -> Tensor {
        Tensor::from_labels(&self.series.iter().map(|series| series.class as u32).collect::<Vec<_>>())
    }
}

impl Header {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let Some(text) = text.strip_prefix('@') else {
            return Err(format!(
                "found {:?}, expected @key value, or @data before the series",
                text.chars().take(20).collect::<String>()
            ));
        };
        let mut words = text.split_whitespace();
        let key = words.next().unwrap_or_default().to_lowercase();
        let value = words.next().unwrap_or_default();
        let boolean = || match () {
            () if value.eq_ignore_ascii_case("true") => Ok(true),
            () if value.eq_ignore_ascii_case("false") => Ok(false),
            () => Err(format!("@{key} is {value:?}, expected true or false")),
        };
        let count = || match value.parse::<usize>() {
            Ok(count @ 1..) => Ok(Some(count)),
            _ => Err(format!("@{key} is {value:?}, expected a whole number of at least 1")),
        };
        match &*key {
            "timestamps" if boolean()? => return Err("@timeStamps is true: series with time stamps are not read".to_owned()),
            "missing" if boolean()? => {
                return Err("@missing is true: fill what is missing, or leave such series out".to_owned());
            }
            "univariate" if boolean()? => self.channels = Some(1),
            "dimensions" | "dimension" => self.channels = count()?,
            "equallength" => self.are_equal = boolean()?,
            "serieslength" => self.steps = count()?,
            "classlabel" if boolean()? => {
                let names: Vec<String> = words.map(str::to_owned).collect();
                if names.is_empty() {
                    return Err("@classLabel names no class".to_owned());
                }
                self.class_names = Some(names);
            }
            "classlabel" | "targetlabel" => return Err("the series have no classes".to_owned()),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const SAMPLE: &str = "# Two sensors\n@problemName Two\n@timeStamps false\n@missing false\n@univariate false\n\
        @dimensions 2\n@equalLength false\n@classLabel true up down\n@data\n1,2,3:-1,-2,-3:up\n\n0.5,1e-1: 7 ,8:down\r\n";

    #[test]
    fn lengths_are_kept() {
        let file = TsFile::parse(SAMPLE).unwrap();
        assert_eq!((file.channels, file.lengths(), file.longest()), (2, vec![3, 2], 3));
        assert_eq!(file.class_names, ["up", "down"]);
        assert_eq!(file.series[0], Series { values: vec![1.0, -1.0, 2.0, -2.0, 3.0, -3.0], class: 0 });
        assert_eq!(file.series[1], Series { values: vec![0.5, 7.0, 0.1, 8.0], class: 1 });
        let padded = file.padded(3).unwrap();
        assert_eq!(padded.sample(1).unwrap()[..], [0.5, 7.0, 0.1, 8.0, 0.0, 0.0]);
        assert_eq!(file.targets().values(), [0.0, 1.0]);
        let message = file.padded(2).unwrap_err().to_string();
        assert_eq!(message, "the length of a series is 3 steps, in series 0, but must be at most 2 steps");
    }

    #[test]
    fn faults_name_line_channel_and_step() {
        let reason = |from: &str, to: &str| {
            assert!(SAMPLE.contains(from), "{from}");
            TsFile::parse(&SAMPLE.replacen(from, to, 1)).unwrap_err()
        };
        assert_eq!(reason("-2,", "?,"), "line 10: the value of channel 1 in step 1 is missing: fill or leave out such series");
        assert_eq!(reason("1e-1", "x"), "line 12: channel 0 has \"x\" in step 1, expected a number");
        assert_eq!(reason("1e-1", "1e99"), "line 12: channel 0 has \"1e99\" in step 1, expected a number");
        assert_eq!(reason(",8", ""), "line 12: channel 1 has 1 steps, channel 0 has 2");
        assert_eq!(reason(": 7 ,8", ""), "line 12: it has 1 channels, expected 2");
        assert_eq!(reason(":down\r", ":left\r"), "line 12: its class is \"left\", expected one of up, down");
        assert_eq!(
            reason("@missing false", "@missing true"),
            "line 4: @missing is true: fill what is missing, or leave such series out"
        );
        assert_eq!(reason("@missing false", "@missing no"), "line 4: @missing is \"no\", expected true or false");
        assert!(reason("@timeStamps false", "@timeStamps true").starts_with("line 3: @timeStamps is true"));
        assert_eq!(
            reason("@dimensions 2", "@dimensions 0"),
            "line 6: @dimensions is \"0\", expected a whole number of at least 1"
        );
        assert_eq!(
            reason("@equalLength false", "@equalLength true\n@seriesLength 3"),
            "line 13: it has 2 steps, but all series are said to have 3"
        );
        assert_eq!(reason("@classLabel true up down\n", ""), "line 8: @data comes before @classLabel");
        assert_eq!(reason("true up down", "false"), "line 8: the series have no classes");
        assert_eq!(reason("true up down", "true"), "line 8: @classLabel names no class");
        assert_eq!(
            reason("@data", "@date"),
            "line 10: found \"1,2,3:-1,-2,-3:up\", expected @key value, or @data before the series"
        );
        assert_eq!(TsFile::parse("").unwrap_err(), "it has no line @data: it is no .ts file, or was cut short");
        assert_eq!(TsFile::parse("@classLabel true a\n@data\n").unwrap_err(), "it has no series behind @data");
        // Cut anywhere, it is an error, whole, or without the last values.
        for length in 0..SAMPLE.len() {
            let _ = TsFile::parse(&SAMPLE[..length]);
        }
    }
}
