//! CSV files: a header with the columns' names, then a row for each sample, fields between commas, quoted where they hold
//! commas, quotes or ends of lines.
//!
//! Source: RFC 4180, *Common Format and MIME Type for Comma-Separated Values (CSV) Files*.

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use crate::error::counted;

/// A table of text. What its fields mean, [`super::Columns`] say.
pub struct CsvFile {
    path: PathBuf,
    checksum: u32,
    columns: Vec<TextColumn>,
    /// Where each row begins in the file, from 1.
    lines: Vec<u64>,
}

/// A column's fields, one behind the other.
struct TextColumn {
    name: String,
    text: String,
    /// Where each field ends.
    ends: Vec<u32>,
}

impl TextColumn {
    fn field(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[row] as usize]
    }
}

/// The names and the number of rows.
impl std::fmt::Debug for CsvFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CsvFile({}: {} rows of {})", self.path.display(), self.rows(), self.names().collect::<Vec<_>>().join(", "))
    }
}

impl CsvFile {
    /// Reads a file. Spaces around fields do not count, and neither do lines without any text.
    ///
    /// # Errors
    /// If it cannot be read, is no UTF-8, a name stands twice in the header or is missing, or a row has more or fewer fields
    /// than the header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        Self::parse(path, &fs::read(path).map_err(|error| SourceError::read(path, error))?)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, SourceError> {
        let malformed = |reason: String| SourceError::malformed(path, reason);
        if u32::try_from(bytes.len()).is_err() {
            return Err(malformed(format!("it has {} bytes, expected less than 4 GiB", bytes.len())));
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header = reader.headers().map_err(|error| malformed(error.to_string()))?.clone();
        let mut columns: Vec<TextColumn> = Vec::new();
        for (number, name) in header.iter().map(str::trim).enumerate() {
            if name.is_empty() {
                return Err(malformed(format!("column {} has no name in its first line, the header", number + 1)));
            }
            if columns.iter().any(|column| column.name == name) {
                return Err(malformed(format!("two columns have the name {name} in its first line, the header")));
            }
            columns.push(TextColumn { name: name.to_owned(), text: String::new(), ends: Vec::new() });
        }
        if columns.is_empty() {
            return Err(malformed("it is empty, expected a header with the names of columns, then rows".to_owned()));
        }
        let mut lines = Vec::new();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| of_csv(path, &columns, &error))? {
            let line = line_of(bytes, record.position());
            if record.len() == 1 && record[0].trim().is_empty() && columns.len() > 1 {
                continue;
            }
            if record.len() != columns.len() {
                let (found, expected) = (counted(record.len(), "fields"), columns.len());
                return Err(malformed(format!("line {line} has {found}, expected {expected} as in the header")));
            }
            for (column, field) in columns.iter_mut().zip(&record) {
                column.text.push_str(field.trim());
                column.ends.push(column.text.len() as u32);
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Err(malformed("it has a header, but no rows below it".to_owned()));
        }
        Ok(Self { path: path.to_owned(), checksum: samara_runtime::crc32(bytes), columns, lines })
    }

    /// The columns' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// Number of rows, the header not counted.
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// CRC-32 of the file.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the column of this name.
    pub(super) fn column(&self, name: &str) -> Result<usize, SourceError> {
        let place = self.columns.iter().position(|column| column.name == name);
        place.ok_or_else(|| {
            let names = self.names().collect::<Vec<_>>().join(", ");
            SourceError::malformed(&self.path, format!("it has no column {name}; it has {names}"))
        })
    }

    /// A field's text.
    pub(super) fn field(&self, row: usize, column: usize) -> &str {
        self.columns[column].field(row)
    }

    /// A sentence about a field.
    pub(super) fn fault(&self, row: usize, column: usize, expected: impl Into<String>) -> SourceError {
        let field = self.field(row, column);
        SourceError::Field {
            path: self.path.clone(),
            line: self.lines[row],
            column: self.columns[column].name.clone(),
            found: if field.is_empty() { "nothing".to_owned() } else { format!("{field:?}") },
            expected: expected.into(),
        }
    }

    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines[row]
    }
}

/// The line where a record begins. The reader's own position is before the empty lines that it skipped.
fn line_of(bytes: &[u8], position: Option<&csv::Position>) -> u64 {
    let (byte, line) = position.map_or((0, 1), |position| (position.byte() as usize, position.line()));
    let skipped = bytes[byte.min(bytes.len())..].iter().take_while(|byte| b"\r\n".contains(byte));
    line + skipped.filter(|&&byte| byte == b'\n').count() as u64
}

/// What the reader complains about.
fn of_csv(path: &Path, columns: &[TextColumn], error: &csv::Error) -> SourceError {
    match error.kind() {
        csv::ErrorKind::Utf8 { pos, err } => SourceError::Field {
            path: path.to_owned(),
            line: pos.as_ref().map_or(0, csv::Position::line),
            column: columns.get(err.field()).map_or_else(|| (err.field() + 1).to_string(), |column| column.name.clone()),
            found: "bytes that are no UTF-8".to_owned(),
            expected: "text in UTF-8".to_owned(),
        },
        _ => SourceError::malformed(path, error.to_string()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn parsed(text: &str) -> Result<CsvFile, String> {
        parsed_bytes(text.as_bytes())
    }

    fn parsed_bytes(bytes: &[u8]) -> Result<CsvFile, String> {
        CsvFile::parse(Path::new("x.csv"), bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn quotes_commas_and_ends_of_lines_within_fields() {
        let file = parsed("\u{feff}a, b ,\"c, d\"\r\n1,\"x, \"\"y\"\"\",\"two\nlines\"\n\n\n 2 ,z,w\n").unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "c, d"]);
        assert_eq!(file.rows(), 2);
        let fields = |row| (0..3).map(move |column| (row, column));
        let text = |row| fields(row).map(|(row, column)| file.field(row, column)).collect::<Vec<_>>();
        assert_eq!(text(0), ["1", "x, \"y\"", "two\nlines"]);
        assert_eq!(text(1), ["2", "z", "w"]);
        assert_eq!((file.line(0), file.line(1)), (2, 6));
    }

    #[test]
    fn faults_name_the_line() {
        let message = |text: &str| parsed(text).unwrap_err();
        assert_eq!(message(""), "x.csv: it is empty, expected a header with the names of columns, then rows");
        assert_eq!(message("a,b\n"), "x.csv: it has a header, but no rows below it");
        assert_eq!(message("a,,c\n1,2,3\n"), "x.csv: column 2 has no name in its first line, the header");
        assert_eq!(message("a,b,a\n1,2,3\n"), "x.csv: two columns have the name a in its first line, the header");
        assert_eq!(message("a,b\n1,2\n\n3\n"), "x.csv: line 4 has 1 field, expected 2 as in the header");
        assert_eq!(message("a,b\n1,2,3\n"), "x.csv: line 2 has 3 fields, expected 2 as in the header");
        let message = parsed_bytes(b"a,b\n1,2\n3,\xff\n").unwrap_err();
        assert_eq!(message, "x.csv, line 3, column b: found bytes that are no UTF-8, expected text in UTF-8");
        assert!(CsvFile::open("no/such.csv").unwrap_err().to_string().contains("no/such.csv cannot be read"));
    }

    #[test]
    fn any_bytes_are_a_table_or_an_error() {
        let good = "a,b\n1,\"x, \"\"y\"\"\"\n2,z\n".as_bytes();
        for length in 0..good.len() {
            let _ = parsed_bytes(&good[..length]);
        }
        for position in 0..good.len() {
            for value in [0, b'\n', b'\r', b'"', b',', 0x80, 0xff] {
                let mut bad = good.to_vec();
                bad[position] = value;
                let _ = parsed_bytes(&bad);
            }
        }
    }
}
