//! `samara report`: all that is known of a model on one page.

mod arena;
mod boards;
mod calibration;
mod chart;
mod confusion;
mod cores;
mod history;
mod layers;
mod media;
mod mistakes;
pub mod page;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_runtime::format::writer::ModelFile;
use samara_trainer::checkpoint::Weights;
use samara_trainer::device::run::DeviceModel;
use serde_json::json;

use self::calibration::Calibration;
use self::chart::Line;
use self::confusion::Confusion;
use self::history::Curves;
use self::media::Media;
use self::page::{Page, scrolling};
use crate::device::Answer;
use crate::losses::LossName;
use crate::output::thousands;
use crate::task::TestData;
use crate::{device, files, output, train};

/// Arguments of `samara report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file, as `samara train` writes it; what lies beside it is used, too: training.state, weights.bin, model-f32.samara
    model: PathBuf,
    /// Data set by name or path, as for `samara evaluate`: without it, nothing is said of answers
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// The column of a CSV file that the net was trained to predict; need not be said
    #[arg(long, value_name = "COLUMN", requires = "data")]
    target: Option<String>,
    /// The loss of the training [default: as for `samara train`]
    #[arg(long, value_enum, requires = "data")]
    loss: Option<LossName>,
    /// What each epoch measured: a training.state, lines of JSON, what `samara train --json` printed, or CSV [default: the
    /// training.state beside the model]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// What `cargo xtask device-bench --model FILE` wrote: instructions, stack and code on each core
    #[arg(long, value_name = "FILE")]
    device_bench: Option<PathBuf>,
    /// Samples per second, where samples are sounds themselves: they can be listened to then
    #[arg(long, value_name = "HZ")]
    sample_rate: Option<u32>,
    /// The HTML file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Gathers, measures and writes.
///
/// # Errors
/// If a file cannot be read or written, or the data does not fit the model.
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = Subject::read(&arguments.model)?;
    let tested = match &arguments.data {
        Some(data) => {
            device::check_ports(&model.device, &arguments.model)?;
            let shape = device::input_shape(&model.device)?;
            let test = TestData::of(data, &arguments.model, Some(&shape), arguments.target.as_deref(), arguments.loss)?;
            Some(Tested::new(data, test, &model.device)?)
        }
        None => None,
    };
    let Arguments { history, device_bench, sample_rate, .. } = arguments;
    let report = Report::of(&model, tested.as_ref(), history.as_deref(), device_bench.as_deref(), *sample_rate)?;
    files::write(&arguments.out, report.page.to_html().as_bytes())?;
    if arguments.json {
        return output::print_json(&json!({
            "file": arguments.model, "model": report.model, "data": arguments.data, "out": arguments.out,
            "samples": report.samples, "accuracy": report.accuracy, "loss": report.loss, "calibration_error": report.calibration_error,
        }));
    }
    output::note(&format!("written: {}", arguments.out.display()));
    Ok(())
}

/// The page of a model that was just trained, with what lies beside it.
///
/// # Errors
/// As [`run`].
pub fn of_training(model: &Path, data: &str, test: TestData, out: &Path) -> Result<()> {
    let model = Subject::read(model)?;
    let tested = Tested::new(data, test, &model.device)?;
    let report = Report::of(&model, Some(&tested), None, None, None)?;
    files::write(out, report.page.to_html().as_bytes())
}

/// The model that is reported on.
struct Subject {
    path: PathBuf,
    device: DeviceModel,
    file: ModelFile,
}

impl Subject {
    fn read(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        let device = DeviceModel::new(&files::read(path)?).with_context(shown)?;
        let file = ModelFile::from_bytes(device.bytes()).with_context(shown)?;
        Ok(Self { path: path.to_owned(), device, file })
    }

    /// The file of this name beside the model, if there is one.
    fn beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.path.with_file_name(name)).filter(|path| path.exists())
    }
}

/// A page, and what it says in numbers.
struct Report {
    page: Page,
    model: String,
    samples: Option<usize>,
    accuracy: Option<f64>,
    loss: Option<f64>,
    calibration_error: Option<f64>,
}

impl Report {
    fn of(
        model: &Subject,
        tested: Option<&Tested>,
        history: Option<&Path>,
        device_bench: Option<&Path>,
        sample_rate: Option<u32>,
    ) -> Result<Self> {
        let (file, bytes) = (&model.file, model.device.bytes().len());
        let on = tested.map_or(String::new(), |tested| format!(", tested on {}", tested.name));
        let mut report = Self {
            page: Page::new(&file.metadata.name, &format!("{}{on}", model.path.display())),
            model: file.metadata.name.clone(),
            samples: None,
            accuracy: None,
            loss: None,
            calibration_error: None,
        };
        report.facts(file, bytes, tested);
        if let Some(path) = history.map(Path::to_owned).or_else(|| model.beside(train::STATE)) {
            report.curves(&history::read(&path)?);
        }
        if let Some(tested) = tested {
            report.answers(tested, sample_rate)?;
        }
        report.layers(model, tested)?;
        report.page.section(
            "Arena over time",
            &format!(
                "All that a run needs of RAM, {} bytes, byte by byte from below: each rectangle is a tensor from the node that writes it to \
                 the last that reads it; grey is scratch.",
                thousands(u64::from(file.arena_bytes))
            ),
            &scrolling(&arena::draw(file)),
        );
        if let Some(path) = device_bench {
            let explanation =
                "Of one inference, as cargo xtask device-bench counted them on emulated cores: instructions, not cycles.";
            report.page.section("Cost on each core", explanation, &scrolling(&cores::draw(path, file, bytes)?));
        }
        report.page.section(
            "Boards",
            "RAM in one piece and flash, by the makers' data sheets; of RAM the arena is counted, of flash the model file. The program's code \
             and stack, and what else it holds, come on top.",
            &scrolling(&boards::draw(file.arena_bytes as usize, bytes)),
        );
        Ok(report)
    }

    fn facts(&mut self, file: &ModelFile, model_bytes: usize, tested: Option<&Tested>) {
        let mut facts = Vec::new();
        if let Some(tested) = tested {
            let count = tested.answers.len();
            let right: Option<f64> = tested.answers.iter().map(|answer| answer.right).sum();
            (self.samples, self.accuracy) = (Some(count), right.map(|right| right / count as f64));
            self.loss = Some(tested.answers.iter().map(|answer| answer.loss).sum::<f64>() / count as f64);
            facts.extend(self.accuracy.map(|accuracy| ("accuracy".to_owned(), format!("{accuracy:.4}"))));
            facts.extend(self.loss.map(|loss| ("loss".to_owned(), format!("{loss:.4}"))));
            facts.push(("test samples".to_owned(), thousands(count as u64)));
        }
        for (name, number) in [
            ("multiply-accumulates", file.macs()),
            ("bytes of arena (RAM)", u64::from(file.arena_bytes)),
            ("bytes of model (flash)", model_bytes as u64),
        ] {
            facts.push((name.to_owned(), thousands(number)));
        }
        self.page.facts(&facts);
    }

    /// A chart for each measurement, with what it is on validation data.
    fn curves(&mut self, curves: &Curves) {
        if curves.is_empty() {
            return;
        }
        let find = |name: &str| curves.iter().find(|(known, _)| known == name).map(|(_, values)| &values[..]);
        let is_first = |name: &str| name.strip_prefix("val_").is_none_or(|rest| find(rest).is_none());
        let mut charts = String::new();
        for (name, values) in curves.iter().filter(|(name, _)| is_first(name) && name != "seconds") {
            let mut lines = vec![Line { name: "training", values }];
            lines.extend(find(&format!("val_{name}")).map(|values| Line { name: "validation", values }));
            charts += &chart::draw(&name.replace('_', " "), &lines);
        }
        self.page.section("Learning curves", "By epoch.", &format!("<div class=\"charts\">{charts}</div>"));
    }

    /// What the model gets right and wrong.
    fn answers(&mut self, tested: &Tested, sample_rate: Option<u32>) -> Result<()> {
        let judged = mistakes::judge(&tested.answers, tested.test.loss);
        if let Some(judged) = &judged {
            let confusion = Confusion::of(judged.classes, judged.answers.iter().map(|answer| (answer.label, answer.said)));
            self.page.section(
                "Confusion",
                "Rows are true classes, columns what the model says; \"found\" is the share of a class's samples that it finds.",
                &scrolling(&confusion.draw(&tested.test.class_names)),
            );
            let pairs: Vec<_> = judged.answers.iter().map(|answer| (answer.confidence, answer.label == answer.said)).collect();
            let calibration = Calibration::of(&pairs);
            self.calibration_error = Some(calibration.error);
            self.page.section(
                "Confidence",
                &format!(
                    "How often the model is right (bars, darker for more samples) where it is so sure; on the dashed line it would know. The \
                     expected calibration error is {:.4}.",
                    calibration.error
                ),
                &calibration.draw(),
            );
        }
        let input = &tested.test.samples.inputs()[0];
        let media = Media { shape: input.sample_shape(), sample_rate, columns: tested.test.columns.as_ref() };
        let figures = mistakes::draw(tested, judged.as_ref(), &media)?;
        let title = if judged.is_some() { "Worst mistakes" } else { "Largest losses" };
        if !figures.is_empty() {
            let explanation = "The test samples whose loss is largest, with what they are and what the model says.";
            self.page.section(title, explanation, &format!("<div class=\"mistakes\">{figures}</div>"));
        }
        Ok(())
    }

    fn layers(&mut self, model: &Subject, tested: Option<&Tested>) -> Result<()> {
        let exact = model.beside(train::F32_MODEL).filter(|path| *path != model.path);
        let noise = match (exact, tested) {
            (Some(path), Some(tested)) => {
                let exact = Subject::read(&path)?;
                Some(layers::noise(&model.device, &exact.device, &tested.test.samples.inputs()[0])?)
            }
            _ => None,
        };
        let weights = model.beside(train::WEIGHTS).map(Weights::load).transpose()?;
        let mut explanation = "In the order in which they run.".to_owned();
        if noise.is_some() {
            explanation += " The last column compares with model-f32.samara: decibels from what a node gives to the error of int8, on test \
                            samples, up to a factor for each channel; more is better, 20 is an error of a tenth.";
        }
        let table = layers::draw(&model.file, weights.as_ref(), noise.as_ref());
        self.page.section("Layers", &explanation, &scrolling(&table));
        Ok(())
    }
}

/// What a model made of test samples.
pub struct Tested {
    /// What the data is called.
    name: String,
    test: TestData,
    answers: Vec<Answer>,
}

impl Tested {
    fn new(name: &str, test: TestData, model: &DeviceModel) -> Result<Self> {
        let answers = device::answers(model, &test.samples, &*test.loss.build())?;
        Ok(Self { name: name.to_owned(), test, answers })
    }
}
