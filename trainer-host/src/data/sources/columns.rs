//! What the columns of a table are: numbers or categories, learned from the rows to train on.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::{CsvFile, SourceError, Splits, VALIDATION_SAMPLES};
use crate::data::{Dataset, Random, Tensor};
use crate::error::{Error, counted};

/// How the fields of a table become values: one for a number, and one for each category that its column has in the rows to
/// train on. It belongs to the model that was trained with it: other rows get the same values by it.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// # let directory = std::env::temp_dir().join(format!("samara-columns-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory)?;
/// # let path = directory.join("trees.csv");
/// # let mut text = "height,bark,kind\n".to_owned();
/// # (0..20).for_each(|i| text += &format!("{}.5,{},{}\n", i, ["smooth", "rough"][i % 2], ["beech", "oak"][i % 2]));
/// # std::fs::write(&path, text)?;
/// let file = CsvFile::open(&path)?; // height,bark,kind
/// let (splits, columns) = file.splits(&TableOptions::new("kind"))?;
/// assert_eq!((columns.width(), columns.classes()), (3, Some(&["beech".to_owned(), "oak".to_owned()][..])));
/// assert_eq!((splits.train.samples(), splits.validation.samples(), splits.test.samples()), (15, 1, 4));
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// The columns that samples are made of, in the order of their values.
    pub inputs: Vec<Column>,
    /// The column to be predicted.
    pub target: Column,
    /// CRC-32 of the file whose rows were split: [`CsvFile::checksum`].
    pub file: u32,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the header.
    pub name: String,
    /// What its fields are.
    pub kind: ColumnKind,
}

/// What the fields of a column are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Numbers. As an input, a number becomes (number - mean) / deviation; as a target, it stays what it is.
    Number {
        /// The mean of the rows to train on.
        mean: f32,
        /// Their standard deviation, or 1 if they are all the same.
        deviation: f32,
    },
    /// Names. As an input, 1 in the place of the name and 0 in the others, all 0 for a name that is not among them; as a
    /// target, the name's place.
    Category(Vec<String>),
}

impl ColumnKind {
    /// Number of values that a field becomes.
    fn width(&self) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::Category(names) => names.len(),
        }
    }
}

/// What is to be known of a table beside its fields.
#[derive(Debug, Clone, Default)]
pub struct TableOptions {
    target: String,
    categories: Vec<String>,
    left_out: Vec<String>,
}

impl TableOptions {
    /// The column to be predicted: classes if its fields are names, else numbers.
    pub fn new(target: impl Into<String>) -> Self {
        Self { target: target.into(), ..Self::default() }
    }

    /// Takes a column's fields as names, even if they look like numbers: months, postal codes, class numbers.
    pub fn category(mut self, column: impl Into<String>) -> Self {
        self.categories.push(column.into());
        self
    }

    /// Leaves a column out of the inputs: a row's number, say.
    pub fn leave_out(mut self, column: impl Into<String>) -> Self {
        self.left_out.push(column.into());
        self
    }
}

/// Where the order of rows to be split comes from; another one would tear old splits apart.
const SPLIT_SEED: u64 = 0;

impl CsvFile {
    /// Splits the rows, drawn by lot and the same way for every file of as many rows: a fifth is to judge by, of the rest a
    /// tenth, at most 5,000, to choose by. What the columns are is learned from the rows that are left.
    ///
    /// # Errors
    /// If a column that the options name is not there, none is left to learn from, a field is empty, a column has numbers and
    /// names (unless it is said to be of categories), or there are less than three rows.
    pub fn splits(&self, options: &TableOptions) -> Result<(Splits, Columns), SourceError> {
        let [train, ..] = self.split_rows()?;
        let columns = Columns::learn(self, &train, options)?;
        Ok((columns.splits(self)?, columns))
    }

    /// Rows to train on, to validate, to test.
    fn split_rows(&self) -> Result<[Vec<usize>; 3], SourceError> {
        let count = self.rows();
        if count < 3 {
            let reason = format!("it has {}, expected at least 3: to train, to validate, to test", counted(count, "rows"));
            return Err(SourceError::malformed(self.path(), reason));
        }
        let mut rows: Vec<usize> = (0..count).collect();
        Random::new(SPLIT_SEED, 0).shuffle(&mut rows);
        let mut train = rows.split_off((count / 5).max(1));
        let held_out = (train.len() / 10).clamp(1, VALIDATION_SAMPLES);
        let mut validation: Vec<usize> = train.drain(..held_out).collect();
        for part in [&mut train, &mut validation, &mut rows] {
            part.sort_unstable();
        }
        Ok([train, validation, rows])
    }
}

impl Columns {
    fn learn(file: &CsvFile, rows: &[usize], options: &TableOptions) -> Result<Self, SourceError> {
        let TableOptions { target, categories, left_out } = options;
        for name in [target].into_iter().chain(categories).chain(left_out) {
            file.column(name)?;
        }
        let kind = |name: &str| -> Result<Column, SourceError> {
            let is_category = categories.iter().any(|other| other == name);
            Ok(Column { name: name.to_owned(), kind: learn(file, rows, file.column(name)?, is_category)? })
        };
        let inputs = file.names().filter(|&name| name != target && left_out.iter().all(|other| other != name));
        let inputs = inputs.map(kind).collect::<Result<Vec<_>, _>>()?;
        if inputs.is_empty() {
            let reason = format!("no column is left to predict {target} from");
            return Err(SourceError::malformed(file.path(), reason));
        }
        Ok(Self { inputs, target: kind(target)?, file: file.checksum() })
    }

    /// Number of values of a sample.
    pub fn width(&self) -> usize {
        self.inputs.iter().map(|column| column.kind.width()).sum()
    }

    /// The names of the classes, in the order of their numbers; `None` if the target is a number.
    pub fn classes(&self) -> Option<&[String]> {
        match &self.target.kind {
            ColumnKind::Category(names) => Some(names),
            ColumnKind::Number { .. } => None,
        }
    }

    /// The splits of the file that these columns were learned from.
    ///
    /// # Errors
    /// If a field is empty, or is no number where one is expected, or the target is none of the classes; if the file has less
    /// than three rows.
    pub fn splits(&self, file: &CsvFile) -> Result<Splits, SourceError> {
        let [train, validation, test] = file.split_rows()?;
        let part = |rows: &[usize]| self.rows(file, rows);
        let class_names = self.classes().map(<[String]>::to_vec).unwrap_or_default();
        Ok(Splits { train: part(&train)?, validation: part(&validation)?, test: part(&test)?, class_names })
    }

    /// All rows of a file.
    ///
    /// # Errors
    /// As for [`Columns::splits`].
    pub fn dataset(&self, file: &CsvFile) -> Result<Dataset, SourceError> {
        self.rows(file, &(0..file.rows()).collect::<Vec<_>>())
    }

    /// The samples of all rows of a file, which need not have the target's column.
    ///
    /// # Errors
    /// As for [`Columns::splits`].
    pub fn samples(&self, file: &CsvFile) -> Result<Tensor, SourceError> {
        self.inputs_of(file, &(0..file.rows()).collect::<Vec<_>>())
    }

    /// The fields of a file that are categories of no row that was trained on: line, column, field. In samples they are all 0.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn unknown<'a>(&'a self, file: &'a CsvFile) -> Result<Vec<(u64, &'a str, &'a str)>, SourceError> {
        let mut unknown = Vec::new();
        for column in &self.inputs {
            let (place, ColumnKind::Category(names)) = (file.column(&column.name)?, &column.kind) else { continue };
            let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let rows = (0..file.rows()).filter(|&row| !known.contains(file.field(row, place)));
            unknown.extend(rows.map(|row| (file.line(row), column.name.as_str(), file.field(row, place))));
        }
        Ok(unknown)
    }

    fn rows(&self, file: &CsvFile, rows: &[usize]) -> Result<Dataset, SourceError> {
        let inputs = self.inputs_of(file, rows)?;
        let target = self.target_of(file, rows)?;
        Dataset::new(inputs, target).map_err(|error| data_error(file, error))
    }

    fn inputs_of(&self, file: &CsvFile, rows: &[usize]) -> Result<Tensor, SourceError> {
        // Columns that were read from a file may have no values: no samples of them, but no panic.
        let width = self.width();
        let mut values = vec![0.0; rows.len() * width];
        let mut start = 0;
        for column in &self.inputs {
            let place = file.column(&column.name)?;
            match &column.kind {
                ColumnKind::Number { mean, deviation } => {
                    for (sample, &row) in values.chunks_exact_mut(width.max(1)).zip(rows) {
                        sample[start] = (number(file, row, place)? - mean) / deviation;
                    }
                }
                ColumnKind::Category(names) => {
                    let places = places(names);
                    for (sample, &row) in values.chunks_exact_mut(width.max(1)).zip(rows) {
                        let field = file.field(row, place);
                        if field.is_empty() {
                            return Err(file.fault(row, place, format!("one of {}", shown(names))));
                        }
                        if let Some(number) = places.get(field) {
                            sample[start + number] = 1.0;
                        }
                    }
                }
            }
            start += column.kind.width();
        }
        Tensor::new([rows.len(), width], values).map_err(|error| data_error(file, error))
    }

    fn target_of(&self, file: &CsvFile, rows: &[usize]) -> Result<Tensor, SourceError> {
        let place = file.column(&self.target.name)?;
        match &self.target.kind {
            ColumnKind::Number { .. } => {
                let values = rows.iter().map(|&row| number(file, row, place)).collect::<Result<Vec<_>, _>>()?;
                Tensor::new([rows.len(), 1], values).map_err(|error| data_error(file, error))
            }
            ColumnKind::Category(names) => {
                let places = places(names);
                let label = |&row: &usize| {
                    let label = places.get(file.field(row, place)).map(|&place| place as u32);
                    label.ok_or_else(|| file.fault(row, place, format!("one of {}, as in training", shown(names))))
                };
                Ok(Tensor::from_labels(&rows.iter().map(label).collect::<Result<Vec<_>, _>>()?))
            }
        }
    }
}

fn data_error(file: &CsvFile, error: Error) -> SourceError {
    SourceError::Data { origin: file.path().display().to_string(), error: Box::new(error) }
}

fn places(names: &[String]) -> HashMap<&str, usize> {
    names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect()
}

fn finite(field: &str) -> Option<f32> {
    field.parse().ok().filter(|number: &f32| number.is_finite())
}

/// The field as a number.
fn number(file: &CsvFile, row: usize, column: usize) -> Result<f32, SourceError> {
    finite(file.field(row, column)).ok_or_else(|| file.fault(row, column, "a finite number"))
}

/// What the fields of these rows are.
fn learn(file: &CsvFile, rows: &[usize], column: usize, is_category: bool) -> Result<ColumnKind, SourceError> {
    if let Some(&row) = rows.iter().find(|&&row| file.field(row, column).is_empty()) {
        return Err(file.fault(row, column, "a number or a name: there must be no gaps"));
    }
    let number_in = |&&row: &&usize| finite(file.field(row, column)).is_some();
    let first_name = rows.iter().find(|row| !number_in(row));
    match (rows.iter().find(number_in), first_name) {
        (Some(&with_number), Some(&with_name)) if !is_category => {
            let expected =
                format!("a number, as in line {}; or else this is to be a column of categories", file.line(with_number));
            Err(file.fault(with_name, column, expected))
        }
        (Some(_), None) if !is_category => {
            let numbers = rows.iter().map(|&row| number(file, row, column)).collect::<Result<Vec<_>, _>>()?;
            let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / numbers.len() as f64;
            let mean = mean_of(&mut numbers.iter().map(|&number| f64::from(number)));
            let variance = mean_of(&mut numbers.iter().map(|&number| (f64::from(number) - mean).powi(2)));
            let deviation = if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 };
            Ok(ColumnKind::Number { mean: mean as f32, deviation })
        }
        _ => {
            let names: BTreeSet<&str> = rows.iter().map(|&row| file.field(row, column)).collect();
            let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            names.sort_by(|a, b| by_number(a, b));
            Ok(ColumnKind::Category(names))
        }
    }
}

/// Numbers before names, by size.
fn by_number(a: &str, b: &str) -> Ordering {
    match (finite(a), finite(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The first names of a list.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { format!(" and {} others", names.len() - SHOWN) } else { String::new() };
    names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ") + &more
}

#[cfg(test)]
mod tests {
    use super::super::csv_file::tests::parsed;
    use super::*;

    fn learned(text: &str, options: &TableOptions) -> Result<(CsvFile, Columns), String> {
        let file = parsed(text)?;
        let rows: Vec<usize> = (0..file.rows()).collect();
        let columns = Columns::learn(&file, &rows, options).map_err(|error| error.to_string())?;
        Ok((file, columns))
    }

    const TEXT: &str = "id,month,size,colour,kind\n7,2,1.0,red,oak\n8,10,3.0,\"dark, green\",ash\n9,2,5.0,red,oak\n";

    fn options() -> TableOptions {
        TableOptions::new("kind").category("month").leave_out("id")
    }

    #[test]
    fn fields_become_values() {
        let (file, columns) = learned(TEXT, &options()).unwrap();
        let deviation = (8.0f32 / 3.0).sqrt();
        assert_eq!(columns.inputs[1].kind, ColumnKind::Number { mean: 3.0, deviation });
        assert_eq!(columns.classes().unwrap(), ["ash", "oak"]);
        let data = columns.dataset(&file).unwrap();
        // Months 2 and 10, the size, dark green and red.
        let unit = 2.0 / deviation;
        assert_eq!(data.inputs()[0].sample_shape()[..], [5]);
        let expected = [1.0, 0.0, -unit, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, unit, 0.0, 1.0];
        assert_eq!(data.inputs()[0].values(), expected);
        assert_eq!(data.targets()[0].values(), [1.0, 0.0, 1.0]);
    }

    #[test]
    fn other_files_get_the_same_codes() {
        let (_, columns) = learned(TEXT, &options()).unwrap();
        // Another order of columns, a month and a colour that were not there, no target.
        let other = parsed("colour,size,month\nblue,3,10\nred,3,4\n").unwrap();
        assert_eq!(columns.samples(&other).unwrap().values(), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(columns.unknown(&other).unwrap(), [(3, "month", "4"), (2, "colour", "blue")]);
        let message = columns.dataset(&other).unwrap_err().to_string();
        assert_eq!(message, "x.csv: it has no column kind; it has colour, size, month");
        let other = parsed(&format!("{TEXT}1,2,3,red,elm\n")).unwrap();
        let message = columns.dataset(&other).unwrap_err().to_string();
        assert_eq!(message, "x.csv, line 5, column kind: found \"elm\", expected one of ash, oak, as in training");
        let other = parsed(&format!("{TEXT}1,2,1e39,red,oak\n")).unwrap();
        let message = columns.dataset(&other).unwrap_err().to_string();
        assert_eq!(message, "x.csv, line 5, column size: found \"1e39\", expected a finite number");
        let other = parsed(&format!("{TEXT}1,2,3,,oak\n")).unwrap();
        let message = columns.dataset(&other).unwrap_err().to_string();
        assert_eq!(message, "x.csv, line 5, column colour: found nothing, expected one of dark, green, red");
    }

    #[test]
    fn targets_may_be_numbers() {
        let (file, columns) = learned(TEXT, &TableOptions::new("size")).unwrap();
        assert_eq!(columns.classes(), None);
        let data = columns.dataset(&file).unwrap();
        assert_eq!((data.targets()[0].values(), &data.targets()[0].sample_shape()[..]), (&[1.0, 3.0, 5.0][..], &[1][..]));
        // All the same: nothing to learn from, but no division by zero.
        let (file, columns) = learned("a,b\n2,1\n2,3\n", &TableOptions::new("b")).unwrap();
        assert_eq!(columns.samples(&file).unwrap().values(), [0.0, 0.0]);
    }

    #[test]
    fn faults_name_line_and_column() {
        let message = |text: &str, options: &TableOptions| learned(text, options).unwrap_err();
        let plain = TableOptions::new("kind");
        assert_eq!(
            message("size,kind\n1,oak\n\n,ash\n", &plain),
            "x.csv, line 4, column size: found nothing, expected a number or a name: there must be no gaps"
        );
        assert_eq!(
            message("size,kind\n1,oak\n2.5x,ash\n", &plain),
            "x.csv, line 3, column size: found \"2.5x\", expected a number, as in line 2; or else this is to be a column of categories"
        );
        assert!(learned("size,kind\n1,oak\n2.5x,ash\n", &plain.clone().category("size")).is_ok());
        assert!(message("size,kind\n1,oak\nNaN,ash\n", &plain).contains("line 3, column size: found \"NaN\""));
        assert_eq!(
            message(TEXT, &TableOptions::new("kinds")),
            "x.csv: it has no column kinds; it has id, month, size, colour, kind"
        );
        assert_eq!(message("kind\noak\n", &plain), "x.csv: no column is left to predict kind from");
        let few = parsed("size,kind\n1,oak\n2,ash\n").unwrap().splits(&plain).unwrap_err().to_string();
        assert_eq!(few, "x.csv: it has 2 rows, expected at least 3: to train, to validate, to test");
    }

    /// Files are often sorted by class: rows are drawn by lot. Each is in one part.
    #[test]
    fn rows_are_split_by_lot() {
        let text: String = (0..100).map(|row| format!("{row},{}\n", ["oak", "ash"][row / 50])).collect();
        let file = parsed(&format!("row,kind\n{text}")).unwrap();
        let [train, validation, test] = file.split_rows().unwrap();
        assert_eq!((train.len(), validation.len(), test.len()), (72, 8, 20));
        let mut all = [&train[..], &validation, &test].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
        let (splits, columns) = file.splits(&TableOptions::new("kind")).unwrap();
        let ashes = splits.test.targets()[0].values().iter().filter(|&&label| label == 0.0).count();
        assert!((4..=16).contains(&ashes), "{ashes} of 20");
        // Means and categories are those of the rows to train on, whatever the others hold.
        let mean = train.iter().sum::<usize>() as f32 / 72.0;
        assert!(matches!(columns.inputs[0].kind, ColumnKind::Number { mean: found, .. } if found == mean));
    }

    #[test]
    fn columns_survive_the_round_trip() {
        let (_, columns) = learned(TEXT, &options()).unwrap();
        let text = serde_json::to_string(&columns).unwrap();
        assert_eq!(serde_json::from_str::<Columns>(&text).unwrap(), columns);
        // What someone has changed by hand makes no panic.
        let file = parsed(TEXT).unwrap();
        let none =
            Columns { inputs: vec![Column { kind: ColumnKind::Category(vec![]), ..columns.inputs[0].clone() }], ..columns };
        assert!(none.samples(&file).unwrap().values().is_empty());
    }
}
