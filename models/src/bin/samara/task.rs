//! What a command works on: data by name or path, the net, and the loss that goes with them. A CSV file has a net made to fit it,
//! and what its columns are is learned once, and kept beside the weights.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_models::{ZOO, table_mlp};
use samara_trainer::Model;
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::{Columns, CsvFile, Splits, TableOptions, Targets};
use samara_trainer::graph::Shape;

use crate::losses::LossName;
use crate::names::ModelName;
use crate::{files, names, output};

/// Name of the file that says what the columns of a CSV file are.
pub const COLUMNS: &str = "columns.json";

/// The arguments that say what a CSV file's columns are.
#[derive(Debug, Clone, clap::Args)]
pub struct TableArguments {
    /// Column of a CSV file that is to be predicted: classes if its fields are names, else numbers
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Column of a CSV file whose fields are names, even if they look like numbers: months, class numbers; once for each
    #[arg(long = "category", value_name = "COLUMN")]
    categories: Vec<String>,
    /// Column of a CSV file that is not to be learned from; once for each
    #[arg(long = "leave-out", value_name = "COLUMN")]
    left_out: Vec<String>,
}

impl TableArguments {
    /// Reads a CSV file, says what its columns are, and finds the loss that goes with the target.
    ///
    /// # Errors
    /// If it cannot be read, or arguments do not go with it.
    pub fn read(&self, data: &str, loss: Option<LossName>) -> Result<(Splits, Columns, LossName)> {
        let file = CsvFile::open(data)?;
        let columns = file.names().collect::<Vec<_>>().join(", ");
        let target =
            self.target.clone().with_context(|| format!("--target is missing: which column of {data}? It has {columns}"))?;
        let mut options = TableOptions::new(target.clone());
        let wants_classes = loss.is_some_and(|loss| loss.targets() == Targets::Classes).then_some(&target);
        for column in self.categories.iter().chain(wants_classes) {
            options = options.category(column);
        }
        for column in &self.left_out {
            options = options.leave_out(column);
        }
        let (splits, columns) = file.splits(&options)?;
        let loss = loss_for(&columns, loss)?;
        tell(&file, &columns)?;
        note_splits(data, &splits);
        Ok((splits, columns, loss))
    }

    /// Refuses what names columns, for data that has none.
    ///
    /// # Errors
    /// If something does.
    pub fn refuse(&self, data: &str) -> Result<()> {
        let given = [("--target", self.target.as_ref()), ("--category", self.categories.first())];
        let given = given.into_iter().chain([("--leave-out", self.left_out.first())]);
        match given.into_iter().find(|(_, value)| value.is_some()) {
            Some((argument, _)) => bail!("{argument} names a column of a CSV file, but --data is {data}"),
            None => Ok(()),
        }
    }

    /// As commands take them.
    pub fn to_arguments(&self) -> Vec<String> {
        let target = self.target.iter().map(|column| ("--target", column));
        let rest = self.categories.iter().map(|column| ("--category", column));
        let rest = rest.chain(self.left_out.iter().map(|column| ("--leave-out", column)));
        target.chain(rest).flat_map(|(name, column)| [name.to_owned(), column.clone()]).collect()
    }
}

/// Which classes are learned.
#[derive(Debug, Clone, clap::Args)]
pub struct ClassArguments {
    /// Class whose samples are left out of all that is learned and measured, for a device to learn later; once for each
    #[arg(long = "without-class", value_name = "NUMBER")]
    without: Vec<usize>,
}

impl ClassArguments {
    /// The samples of the other classes.
    ///
    /// # Errors
    /// If there is no such class, or no other.
    pub fn keep(&self, mut splits: Splits, data: &str) -> Result<Splits> {
        if self.without.is_empty() {
            return Ok(splits);
        }
        let classes = splits.classes();
        if let Some(class) = self.without.iter().find(|class| **class >= classes) {
            bail!("--without-class is {class}, but the labels of {data} are 0 to {}", classes.saturating_sub(1));
        }
        for (part, what) in [(&mut splits.train, "train"), (&mut splits.validation, "validate"), (&mut splits.test, "test")] {
            let others = part.of_classes(|class| !self.without.contains(&class));
            *part = others.with_context(|| format!("without these classes {data} leaves nothing to {what} with"))?;
        }
        Ok(splits)
    }
}

/// A net with its data.
pub struct Task {
    /// The net with its initial parameters.
    pub model: Model,
    /// The data.
    pub splits: Splits,
    /// What training makes small.
    pub loss: LossName,
    /// What the columns are, if the data is a CSV file.
    pub columns: Option<Columns>,
}

impl Task {
    /// What is to be trained.
    ///
    /// # Errors
    /// If the data cannot be had, or arguments do not go with it.
    pub fn begin(model: Option<&ModelName>, data: &str, table: &TableArguments, loss: Option<LossName>) -> Result<Self> {
        if !is_table(data) {
            let loss = loss.unwrap_or_default();
            table.refuse(data)?;
            let model = named_model(model, data)?.build()?;
            let splits = names::data(data, loss.targets(), input_shape(&model).as_ref())?;
            return Ok(Self { model, splits, loss, columns: None });
        }
        refuse_model(model, data)?;
        let (splits, columns, loss) = table.read(data, loss)?;
        Ok(Self { model: table_mlp(&columns)?, splits, loss, columns: Some(columns) })
    }

    /// What was trained, from the weights in a directory.
    ///
    /// # Errors
    /// If the data cannot be had, is another file than the training's, or there is none of its columns.
    pub fn trained(model: Option<&ModelName>, data: &str, directory: &Path, loss: Option<LossName>) -> Result<Self> {
        if !is_table(data) {
            let loss = loss.unwrap_or_default();
            let model = named_model(model, data)?.build()?;
            let splits = names::data(data, loss.targets(), input_shape(&model).as_ref())?;
            return Ok(Self { model, splits, loss, columns: None });
        }
        refuse_model(model, data)?;
        let (file, columns) = (CsvFile::open(data)?, columns_in(directory)?);
        if file.checksum() != columns.file {
            bail!("{data} is not the file of the training, whose training samples are needed");
        }
        let (splits, loss) = (columns.splits(&file)?, loss_for(&columns, loss)?);
        Ok(Self { model: table_mlp(&columns)?, splits, loss, columns: Some(columns) })
    }
}

/// Samples to judge by.
pub struct TestData {
    /// The samples.
    pub samples: Dataset,
    /// What is measured.
    pub loss: LossName,
    /// What the columns are, if the data is a CSV file.
    pub columns: Option<Columns>,
    /// The names of the classes, by number, if they have any.
    pub class_names: Vec<String>,
}

impl TestData {
    /// The test samples for a model file or weights, brought to the shape of the model's input. Of the CSV file that was trained on they are the rows that were held out, of
    /// another one all rows.
    ///
    /// # Errors
    /// If the data cannot be had, or it is a CSV file and there is none of its columns beside the file.
    pub fn of(
        data: &str,
        file_of_model: &Path,
        shape: Option<&Shape>,
        target: Option<&str>,
        loss: Option<LossName>,
    ) -> Result<Self> {
        if !is_table(data) {
            if target.is_some() {
                bail!("--target names a column of a CSV file, but --data is {data}");
            }
            let loss = loss.unwrap_or_default();
            let Splits { test: samples, class_names, .. } = names::data(data, loss.targets(), shape)?;
            return Ok(Self { samples, loss, columns: None, class_names });
        }
        let (file, columns) = (CsvFile::open(data)?, columns_in(file_of_model.parent().unwrap_or(Path::new("")))?);
        if let Some(target) = target.filter(|target| *target != columns.target.name) {
            bail!("--target is {target}, but the net was trained to predict {}", columns.target.name);
        }
        let loss = loss_for(&columns, loss)?;
        tell(&file, &columns)?;
        let samples = if file.checksum() == columns.file {
            let test = columns.splits(&file)?.test;
            output::note(&format!("data {data}: the {} rows that were held out of the training", test.samples()));
            test
        } else {
            output::note(&format!("data {data}: all {} rows, it is not the file of the training", file.rows()));
            columns.dataset(&file)?
        };
        let class_names = columns.classes().unwrap_or_default().to_vec();
        Ok(Self { samples, loss, columns: Some(columns), class_names })
    }
}

/// All samples for a model file with inputs of this shape, classes as targets.
///
/// # Errors
/// If the data cannot be had, or is a CSV file that the model was not trained on.
pub fn splits_of(data: &str, file_of_model: &Path, shape: &Shape) -> Result<Splits> {
    if !is_table(data) {
        return names::data(data, Targets::Classes, Some(shape));
    }
    let (file, columns) = (CsvFile::open(data)?, columns_in(file_of_model.parent().unwrap_or(Path::new("")))?);
    if columns.classes().is_none() {
        bail!("the column {} has numbers, but a head learns classes", columns.target.name);
    }
    if file.checksum() != columns.file {
        bail!("{data} is not the file of the training, whose training samples are needed");
    }
    Ok(columns.splits(&file)?)
}

/// The shape of a model's first input.
pub fn input_shape(model: &Model) -> Option<Shape> {
    let graph = model.graph();
    graph.inputs.first().map(|&input| graph.nodes[input].shape.clone())
}

/// `true` for the name of a CSV file.
pub fn is_table(data: &str) -> bool {
    let path = Path::new(data);
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"))
}

fn named_model<'a>(model: Option<&'a ModelName>, data: &str) -> Result<&'a ModelName> {
    model.with_context(|| {
        let known = ZOO.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        format!("--model is missing: {data} is no CSV file, for which a net is made to fit; known are {known}, and FILE.toml")
    })
}

fn refuse_model(model: Option<&ModelName>, data: &str) -> Result<()> {
    if let Some(model) = model {
        bail!("--model is {}, but {data} is a CSV file, for which a net is made to fit: leave --model out", model);
    }
    Ok(())
}

/// The loss that goes with the target.
fn loss_for(columns: &Columns, loss: Option<LossName>) -> Result<LossName> {
    let (name, target) = (&columns.target.name, columns.classes().map_or(Targets::Values, |_| Targets::Classes));
    let loss = loss.unwrap_or(match target {
        Targets::Classes => LossName::SparseCategoricalCrossentropy,
        Targets::Values => LossName::MeanSquaredError,
    });
    if loss.targets() != target {
        bail!("--loss is {}, which expects numbers, but the column {name} has names", names::shown(loss));
    }
    if loss == LossName::BinaryCrossentropy {
        bail!(
            "--loss is binary-crossentropy, but the net for CSV files gives a number of any size: say --category {name} for two classes"
        );
    }
    Ok(loss)
}

/// Says what the columns are, and which of their fields are unknown.
fn tell(file: &CsvFile, columns: &Columns) -> Result<()> {
    let target = match columns.classes() {
        Some(classes) => format!("{} classes", classes.len()),
        None => format!("a number (for classes say --category {})", columns.target.name),
    };
    output::note(&format!(
        "{} columns make {} values; {} is {target}",
        columns.inputs.len(),
        columns.width(),
        columns.target.name
    ));
    let unknown = columns.unknown(file)?;
    if let [(line, column, field), ..] = unknown[..] {
        let count = output::thousands(unknown.len() as u64);
        output::note(&format!(
            "names that no training row has are all 0: {count}, the first {field:?} in line {line}, column {column}"
        ));
    }
    Ok(())
}

fn note_splits(data: &str, splits: &Splits) {
    let [train, validation, test] =
        [&splits.train, &splits.validation, &splits.test].map(|part| output::thousands(part.samples() as u64));
    output::note(&format!("data {data}: {train} rows to train, {validation} to validate, {test} to test, drawn by lot"));
}

/// Writes what the columns are into a directory.
///
/// # Errors
/// If the file cannot be written.
pub fn save_columns(columns: &Columns, directory: &Path) -> Result<()> {
    files::write(&directory.join(COLUMNS), format!("{}\n", serde_json::to_string_pretty(columns)?).as_bytes())
}

/// What the columns of the training are whose files lie in a directory.
///
/// # Errors
/// If there is no file that says so, or it is damaged.
pub fn columns_in(directory: &Path) -> Result<Columns> {
    let path: PathBuf = directory.join(COLUMNS);
    let bytes = files::read(&path).context("what the columns of a CSV file are is kept beside the weights")?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}
