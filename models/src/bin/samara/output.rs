//! What goes to standard output and standard error, without a panic where nobody reads it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use serde_json::Value;

/// Prints a result.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.trim_end())?;
    Ok(out.flush()?)
}

/// Prints a result as one line of JSON.
pub fn print_json(value: &Value) -> Result<()> {
    print(&value.to_string())
}

/// Whether another process tells what is going on.
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only errors are told: another process tells what is going on.
pub fn be_quiet() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// Tells what is going on, on standard error.
pub fn note(text: &str) {
    if IS_QUIET.load(Ordering::Relaxed) && !text.starts_with("error: ") {
        return;
    }
    // Nothing is left to be done if even that fails.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// An error and what it comes from. The trainer's errors say that themselves: no cause is told twice.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// `true` if the reader of standard output has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The shortest number that stands for this one: 0.001 where a plain conversion gives 0.0010000000474974513.
pub fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

/// 1,234,567.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns below their titles; numbers, which start with a digit, stand to the right.
pub fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize, title: &str| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([title.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = titles.iter().enumerate().map(|(column, title)| width(column, title)).collect();
    let is_number = |cell: &str| cell.chars().all(|letter| letter.is_ascii_digit() || ".,%-".contains(letter));
    let line = |cells: Vec<&str>| {
        let pad = |(cell, &width): (&str, &usize)| {
            if is_number(cell) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        };
        cells.into_iter().zip(&widths).map(pad).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(titles.to_vec());
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    [head].into_iter().chain(body).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_get_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn causes_are_told_once() {
        let missing = || samara_trainer::data::sources::CsvFile::open("none.csv").unwrap_err();
        let reason = "none.csv cannot be read: No such file or directory (os error 2)";
        assert_eq!(sentence(&missing().into()), reason);
        let error = anyhow::Error::new(missing()).context("no table");
        assert_eq!(sentence(&error), format!("no table: {reason}"));
    }

    #[test]
    fn numbers_stay_short() {
        assert_eq!([0.001, 1e-30, 3.0].map(decimal), [0.001, 1e-30, 3.0]);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["dense".to_owned(), "7,840".to_owned()], vec!["softmax".to_owned(), "0".to_owned()]];
        assert_eq!(table(&["op", "MACs"], &rows), "op       MACs\ndense    7,840\nsoftmax      0");
    }
}
