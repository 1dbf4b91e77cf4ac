//! Names of files with placeholders: `best-{epoch:02}-{val_loss:.3}.model`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A name with placeholders for an epoch, a step and measurements, as Python's `str.format` and Rust's `format!` have them: behind a
/// colon a width (with a 0 before it if it is to be filled with zeros), a dot with the number of decimals, and, as Keras's users write them, `d`
/// or `f`.
#[derive(Debug, Clone)]
pub(super) struct FileName(String);

/// How a value is written.
#[derive(Debug, Clone, Copy, Default)]
struct Format {
    zeros: bool,
    width: usize,
    decimals: Option<usize>,
}

impl FileName {
    pub fn new(template: &Path) -> Self {
        Self(template.to_string_lossy().into_owned())
    }

    /// Checks that all placeholders are closed and their formats make sense.
    pub fn check(&self) -> Result<()> {
        self.fill(|_| Ok(Value::Real(0.0))).map(drop)
    }

    /// The name with these values.
    pub fn fill(&self, value: impl Fn(&str) -> Result<Value>) -> Result<PathBuf> {
        let mut name = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once('{') {
            let (placeholder, others) =
                behind.split_once('}').ok_or_else(|| self.faulty("a placeholder that is not closed"))?;
            let (key, format) = placeholder.split_once(':').unwrap_or((placeholder, ""));
            let parsed = Format::parse(format).ok_or_else(|| self.faulty(&format!("the format {format:?}")))?;
            name.push_str(before);
            name.push_str(&value(key)?.show(parsed));
            rest = others;
        }
        name.push_str(rest);
        Ok(name.into())
    }

    fn faulty(&self, what: &str) -> Error {
        let expected = "one with placeholders like {epoch:02} or {val_loss:.3}".to_owned();
        Error::Argument { name: "the name of a checkpoint", found: format!("{} with {what}", self.0), expected }
    }
}

/// What stands for a placeholder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Count(usize),
    Real(f64),
}

impl Value {
    fn show(self, Format { zeros, width, decimals }: Format) -> String {
        let text = match (self, decimals) {
            (Self::Count(count), _) => count.to_string(),
            (Self::Real(value), Some(decimals)) => format!("{value:.decimals$}"),
            (Self::Real(value), None) => value.to_string(),
        };
        let missing = width.saturating_sub(text.chars().count());
        let (sign, digits) = if zeros && text.starts_with('-') { text.split_at(1) } else { ("", text.as_str()) };
        format!("{sign}{}{digits}", if zeros { "0" } else { " " }.repeat(missing))
    }
}

impl Format {
    /// Most digits: a name of a file has not more than 255 bytes.
    const MOST: usize = 99;

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix(['d', 'f']).unwrap_or(text);
        let (width, decimals) = text.split_once('.').map_or((text, None), |(width, decimals)| (width, Some(decimals)));
        let number = |digits: &str| digits.parse::<usize>().ok().filter(|&number| number <= Self::MOST);
        let decimals = match decimals {
            Some(digits) => Some(number(digits)?),
            None => None,
        };
        let zeros = width.starts_with('0');
        Some(Self { zeros, width: if width.is_empty() { 0 } else { number(width)? }, decimals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String> {
        let name = FileName::new(Path::new(template));
        name.check()?;
        let value = |key: &str| Ok(if key == "epoch" { Value::Count(7) } else { Value::Real(-0.125) });
        Ok(name.fill(value)?.display().to_string())
    }

    /// Python's `"{epoch:02d}-{val_loss:.2f}".format(epoch=7, val_loss=-0.125)`, and so on.
    #[test]
    fn placeholders_are_filled_as_in_python() {
        for (template, expected) in [
            ("plain.model", "plain.model"),
            ("{epoch:02}-{val_loss:.2}", "07--0.12"),
            ("{epoch:02d}-{val_loss:.2f}", "07--0.12"),
            ("a/{epoch}{epoch:3}", "a/7  7"),
            ("{val_loss}", "-0.125"),
            ("{val_loss:08.3f}", "-000.125"),
        ] {
            assert_eq!(filled(template).unwrap(), expected, "{template}");
        }
        for template in ["{epoch", "{epoch:x}", "{epoch:.}", "{epoch:2000}"] {
            let message = filled(template).unwrap_err().to_string();
            assert!(message.starts_with("the name of a checkpoint is {epoch"), "{message}");
        }
    }
}
