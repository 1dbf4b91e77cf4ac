//! `samara ensemble`: trained nets that answer together, as one file.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::data::sources::{Columns, Splits, Targets};
use samara_trainer::ensemble::{Combination, Opinions, StackOptions, Stacked, are_alike, find_weights, join, stack};
use samara_trainer::{Model, losses::Loss};
use serde_json::{Value, json};

use crate::convert::{self, Pace};
use crate::losses::LossName;
use crate::member::MemberArgument;
use crate::task::{self, Task};
use crate::{device, files, names, output, train};

/// Names of the files that are written.
const MODEL: &str = "ensemble.model";
const F32_FILE: &str = "ensemble-f32.samara";
const INT8_FILE: &str = "ensemble.samara";

/// Arguments of `samara ensemble`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A trained net, once for each: a directory that `samara train` wrote or a file as `samara weights` takes it, behind the model of the
    /// zoo or the text file that the weights belong to [default: the one of the zoo that they name]; or a file that `Model::save` or
    /// `--checkpoint` wrote
    #[arg(long = "member", value_name = "[MODEL=]DIR|FILE", required = true, value_parser = MemberArgument::parse)]
    members: Vec<MemberArgument>,
    /// Data set by name or path, as for `samara train`: weights and heads are found on the samples to validate
    #[arg(long, value_name = "NAME|PATH")]
    data: String,
    /// What is made of the members' probabilities in the files
    #[arg(long, value_enum, default_value = "weighted")]
    combine: Combine,
    /// Parts of the samples to validate: what is stacked is measured on each part with a head that learned from the others
    #[arg(long, default_value = "5", value_parser = names::count)]
    folds: usize,
    /// Where the head gets its order of samples from
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Name of the model in the files
    #[arg(long, default_value = "ensemble")]
    name: String,
    /// Directory for ensemble.samara (int8), ensemble-f32.samara and ensemble.model, which other commands take as a teacher or a member;
    /// without one, the members are compared, and nothing is written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    quantizing: convert::Quantizing,
    #[command(flatten)]
    golden: convert::Golden,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// How members answer together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Combine {
    /// The mean of their probabilities
    Mean,
    /// The mean with weights that Nelder and Mead's search finds on the samples to validate
    Weighted,
    /// A dense layer on their probabilities, trained on the samples to validate
    Stacked,
}

/// A trained net.
struct Member {
    /// Its model's name, which it has in the ensemble, too.
    name: String,
    path: PathBuf,
    model: Model,
}

/// Shares of right answers.
#[derive(Debug, Clone, Copy)]
struct Accuracy {
    validation: f64,
    test: f64,
}

/// What the members say, and what they say together.
struct Comparison {
    validation: Opinions,
    test: Opinions,
    weights: Vec<f32>,
    stacked: Stacked,
}

/// Compares, combines and writes.
///
/// # Errors
/// If a member cannot be read, members have not the same inputs and classes, or the data does not fit them.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let [only] = &arguments.members[..] {
        bail!("an ensemble has two members or more, but --member names {} alone", only.path.display());
    }
    let (members, splits, columns) = load(arguments)?;
    if splits.validation.samples() == 0 {
        bail!("{} has no samples to validate, on which weights are found", arguments.data);
    }
    let models: Vec<&Model> = members.iter().map(|member| &member.model).collect();
    let validation = Opinions::of(&models, &splits.validation)?;
    let options = StackOptions { folds: arguments.folds, seed: arguments.seed, ..StackOptions::default() };
    let comparison = Comparison {
        test: Opinions::of(&models, &splits.test)?,
        weights: find_weights(&validation)?,
        stacked: stack(&validation, options)?,
        validation,
    };
    let plain = comparison.validation.plain_weights();
    let combination = match arguments.combine {
        Combine::Mean => Combination::Weighted(&plain),
        Combine::Weighted => Combination::Weighted(&comparison.weights),
        Combine::Stacked => Combination::Stacked(&comparison.stacked.head),
    };
    let ensemble = join(&arguments.name, &models, &combination)?;
    if let Some(out) = &arguments.out {
        files::prepare_directory(out)?;
    }

    let loss = LossName::default().build();
    let calibration = train::calibration_samples(&splits.train, train::CALIBRATION_SAMPLES);
    let to_int8 = |model: &Model| {
        convert::to_int8(model, &calibration, arguments.quantizing.options(), Pace::default(), arguments.golden)
    };
    let measure = |model: &Model| int8_accuracy(&to_int8(model)?, &splits, &*loss);
    let of_members = models.iter().map(|model| measure(model)).collect::<Result<Vec<_>>>()?;
    let int8_file = to_int8(&ensemble)?;
    let together = int8_accuracy(&int8_file, &splits, &*loss)?;
    if let Some(out) = &arguments.out {
        ensemble.save(out.join(MODEL))?;
        let f32_file = convert::to_f32(&ensemble, &calibration, Pace::default(), arguments.golden)?;
        files::write(&out.join(F32_FILE), f32_file.bytes())?;
        files::write(&out.join(INT8_FILE), int8_file.bytes())?;
        if let Some(columns) = &columns {
            task::save_columns(columns, out)?;
        }
    }
    let report = Report {
        arguments,
        members: &members,
        comparison: &comparison,
        int8: (&of_members, together),
        warnings: warnings(&members, &comparison),
        file: ModelFile::from_bytes(int8_file.bytes())?,
        sizes: (int8_file.model()?.arena_bytes(), int8_file.bytes().len()),
    };
    if arguments.json {
        return output::print_json(&report.to_json()?);
    }
    report.print()
}

/// The share of test samples that an int8 file gets right.
fn int8_accuracy(file: &samara_trainer::device::run::DeviceModel, splits: &Splits, loss: &dyn Loss) -> Result<f64> {
    device::measure(file, &splits.test, loss)?.accuracy.context("there is no accuracy without classes")
}

/// The members and their data.
fn load(arguments: &Arguments) -> Result<(Vec<Member>, Splits, Option<Columns>)> {
    let table = if task::is_table(&arguments.data) {
        let directory = arguments.members[0].directory();
        let Task { splits, loss, columns, .. } = Task::trained(None, &arguments.data, &directory, None)?;
        if loss.targets() != Targets::Classes {
            bail!("members tell classes apart, but what they were trained to predict of {} is a number", arguments.data);
        }
        Some((splits, columns.context("a CSV file has columns")?))
    } else {
        None
    };
    let columns = table.as_ref().map(|(_, columns)| columns);
    let mut members: Vec<Member> = Vec::new();
    for argument in &arguments.members {
        let (path, model) = argument.read("--member", columns)?;
        let taken = |name: &str| members.iter().any(|member| member.name == name);
        let own = model.name();
        let numbered = (1..).map(|number| format!("{own}_{number}")).find(|name| !taken(name));
        let name = if taken(own) { numbered.unwrap_or_default() } else { own.to_owned() };
        members.push(Member { name, path, model });
    }
    let (splits, columns) = match table {
        Some((splits, columns)) => (splits, Some(columns)),
        None => {
            let shape = task::input_shape(&members[0].model);
            (names::data(&arguments.data, Targets::Classes, shape.as_ref())?, None)
        }
    };
    Ok((members, splits, columns))
}

/// What speaks against the members.
fn warnings(members: &[Member], comparison: &Comparison) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = |member: usize| &members[member].name;
    if let Some(drag) = comparison.validation.drag() {
        let (weak, without) = drag.without;
        let helped = if without > drag.mean {
            format!("{} drags it down most, without which the mean has {without:.4}", name(weak))
        } else {
            "no member's leaving helps it".to_owned()
        };
        warnings.push(format!(
            "the plain mean is worse than {} alone on the samples to validate, {:.4} against {:.4}: {helped}",
            name(drag.best.0),
            drag.mean,
            drag.best.1
        ));
    }
    for (number, member) in members.iter().enumerate() {
        let alike: Vec<&str> = members
            .iter()
            .skip(number + 1)
            .filter(|other| are_alike(&member.model, &other.model))
            .map(|other| &*other.name)
            .collect();
        let told = members.iter().take(number).any(|earlier| are_alike(&earlier.model, &member.model));
        if !alike.is_empty() && !told {
            warnings.push(format!(
                "{} and {} are nets of one kind, which differ by their training alone, such as its seed: unlike nets help each other more",
                member.name,
                alike.join(", ")
            ));
        }
    }
    if let Some(only) = comparison.weights.iter().position(|weight| *weight == 1.0) {
        warnings.push(format!("{} has all the weight: on the samples to validate no other one helps it", name(only)));
    }
    warnings
}

/// All that was found.
struct Report<'a> {
    arguments: &'a Arguments,
    members: &'a [Member],
    comparison: &'a Comparison,
    /// The accuracy of the members' int8 files on the test samples, and of the ensemble's.
    int8: (&'a [f64], f64),
    warnings: Vec<String>,
    file: ModelFile,
    /// Bytes of the arena and of the int8 file.
    sizes: (usize, usize),
}

impl Report<'_> {
    fn member(&self, member: usize) -> Accuracy {
        let of = |opinions: &Opinions| opinions.accuracy(opinions.of_member(member));
        Accuracy { validation: of(&self.comparison.validation), test: of(&self.comparison.test) }
    }

    fn weighted(&self, weights: &[f32]) -> Accuracy {
        let Comparison { validation, test, .. } = self.comparison;
        Accuracy { validation: validation.accuracy_of(weights), test: test.accuracy_of(weights) }
    }

    fn stacked(&self) -> Result<Accuracy> {
        let Comparison { validation, test, stacked, .. } = self.comparison;
        let said = stacked.answer(test)?;
        Ok(Accuracy { validation: validation.accuracy(&stacked.out_of_fold), test: test.accuracy(&said) })
    }

    /// What members say together, in each way.
    fn together(&self) -> Result<[(Combine, Accuracy); 3]> {
        let plain = self.comparison.validation.plain_weights();
        Ok([
            (Combine::Mean, self.weighted(&plain)),
            (Combine::Weighted, self.weighted(&self.comparison.weights)),
            (Combine::Stacked, self.stacked()?),
        ])
    }

    fn to_json(&self) -> Result<Value> {
        let member = |(number, member): (usize, &Member)| {
            let Accuracy { validation, test } = self.member(number);
            json!({
                "name": member.name, "file": member.path, "validation_accuracy": validation, "test_accuracy": test,
                "int8_accuracy": self.int8.0[number], "weight": output::decimal(self.comparison.weights[number]),
            })
        };
        let mut value = json!({
            "name": self.arguments.name,
            "data": self.arguments.data,
            "members": self.members.iter().enumerate().map(member).collect::<Vec<_>>(),
            "pairs": self.comparison.validation.pairs().iter().map(|pair| json!({
                "members": pair.members.map(|member| &self.members[member].name),
                "disagreement": pair.disagreement, "error_correlation": pair.error_correlation,
            })).collect::<Vec<_>>(),
            "combine": names::shown(self.arguments.combine),
            "int8_accuracy": self.int8.1,
            "macs": self.file.macs(), "arena_bytes": self.sizes.0, "model_bytes": self.sizes.1,
            "warnings": self.warnings,
            "out": self.arguments.out,
        });
        for (combine, Accuracy { validation, test }) in self.together()? {
            value[names::shown(combine)] = json!({ "validation_accuracy": validation, "test_accuracy": test });
        }
        Ok(value)
    }

    fn print(&self) -> Result<()> {
        let row = |name: String, accuracy: Accuracy, int8: Option<f64>, weight: Option<f32>| {
            let Accuracy { validation, test } = accuracy;
            let int8 = int8.map_or(String::new(), |accuracy| format!("{accuracy:.4}"));
            let weight = weight.map_or(String::new(), |weight| format!("{weight:.4}"));
            vec![name, format!("{validation:.4}"), format!("{test:.4}"), int8, weight]
        };
        let weights = self.comparison.weights.iter().zip(self.int8.0).enumerate();
        let mut rows: Vec<Vec<String>> = weights
            .map(|(number, (&weight, &int8))| {
                row(self.members[number].name.clone(), self.member(number), Some(int8), Some(weight))
            })
            .collect();
        for (combine, accuracy) in self.together()? {
            let int8 = (combine == self.arguments.combine).then_some(self.int8.1);
            rows.push(row(format!("all: {}", names::shown(combine)), accuracy, int8, None));
        }
        output::print(&output::table(&["accuracy", "validation", "test", "int8 test", "weight"], &rows))?;
        let pairs = self.comparison.validation.pairs();
        let pair = |pair: &samara_trainer::ensemble::Pair| {
            let [one, other] = pair.members.map(|member| &self.members[member].name);
            let correlation = pair.error_correlation.map_or("none".to_owned(), |value| format!("{value:.4}"));
            vec![format!("{one}, {other}"), format!("{:.4}", pair.disagreement), correlation]
        };
        let rows: Vec<Vec<String>> = pairs.iter().map(pair).collect();
        output::print("")?;
        output::print(&output::table(&["how unlike (validation)", "disagreement", "correlation of errors"], &rows))?;
        self.warnings.iter().for_each(|warning| output::note(&format!("warning: {warning}")));
        if let Some(out) = &self.arguments.out {
            let [macs, arena, bytes] = [self.file.macs(), self.sizes.0 as u64, self.sizes.1 as u64].map(output::thousands);
            output::note(&format!(
                "written: {INT8_FILE} ({bytes} bytes, arena {arena} bytes, {macs} multiply-accumulates), {F32_FILE} and {MODEL} in {}",
                out.display()
            ));
        }
        Ok(())
    }
}
