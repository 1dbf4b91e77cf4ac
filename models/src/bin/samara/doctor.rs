//! `samara doctor`: where int8 hurts a net, and what helps.
//!
//! Remedies are judged on validation samples; the test samples are looked at once, for the one that is chosen.

use std::cmp::Ordering;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use samara_trainer::Model;
use samara_trainer::data::sources::Splits;
use samara_trainer::data::{Dataset, Tensor};
use samara_trainer::device::run::DeviceModel;
use samara_trainer::losses::Loss;
use samara_trainer::quantize::{Calibration, Diagnosis, Options, diagnose};
use serde_json::{Value, json};

use crate::aware::{self, AwareArguments};
use crate::convert::{self, EqualizeName, Quantizing};
use crate::losses::Measured;
use crate::weights::{Trained, TrainedArguments};
use crate::{cost, device, files, names, output};

/// Samples on which nodes are compared one by one.
const COMPARED_SAMPLES: usize = 128;
/// Numbers of nodes that are tried with int16 activations, and then in f32, the worst first.
const KEPT: [usize; 3] = [1, 2, 4];
/// A channel that uses fewer steps of int8 than this is told.
const FEW_STEPS: f64 = 16.0;
/// A larger share of values that is cut off is told.
const MUCH_CUT_OFF: f64 = 0.001;

/// Arguments of `samara doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    trained: TrainedArguments,
    /// Validation samples that remedies are judged on
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = names::count)]
    judged: usize,
    /// What int8 may cost: points of accuracy, or hundredths of the loss
    #[arg(long, value_name = "POINTS", default_value = "0.5", value_parser = names::positive)]
    within: f32,
    #[command(flatten)]
    aware: AwareArguments,
    /// Take the file with the fewest bytes of those that cost no more than --within, int4 among them, instead of the one that is quickest
    #[arg(long)]
    smallest: bool,
    /// Write the file of the remedy that is taken to --out: the cheapest that loses no more, of several that cost the same the best
    #[arg(long, requires = "out")]
    fix: bool,
    /// The int8 file that --fix writes
    #[arg(long, value_name = "FILE", requires = "fix")]
    out: Option<PathBuf>,
    #[command(flatten)]
    golden: convert::Golden,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Looks, tries, and says what helps.
///
/// # Errors
/// If the weights are damaged or not the model's, or the data does not fit, or a layer cannot be quantized.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Trained { model, splits, loss, calibration, .. } = arguments.trained.load()?;
    if splits.validation.samples() == 0 {
        bail!("{} has no validation samples to judge remedies on", arguments.trained.data);
    }
    let practice = Practice {
        calibration,
        judged: splits.validation.slice(0..splits.validation.samples().min(arguments.judged))?,
        loss,
        model,
        within: f64::from(arguments.within) / 100.0,
        smallest: arguments.smallest,
        aware: arguments.aware,
        golden: arguments.golden,
    };
    let f32_file = convert::to_f32(&practice.model, &practice.calibration, convert::Pace::default(), practice.golden)?;
    let float = device::measure(&f32_file, &practice.judged, &*practice.loss)?;
    let compared = practice.judged.slice(0..practice.judged.samples().min(COMPARED_SAMPLES))?;
    let options = Quantizing::default();
    output::note(&format!(
        "comparing the nodes one by one, and trying remedies on {} validation samples",
        practice.judged.samples()
    ));
    let diagnosis = diagnose(&practice.model.device_graph()?, &practice.calibration, compared.inputs(), options.options())?;
    let trials = practice.try_remedies(&diagnosis, &splits)?;
    let chosen = practice.choose(&float, &trials);
    let test = |file| device::measure(file, &splits.test, &*practice.loss);
    let (tested, float_tested) = (test(&trials[chosen].file)?, test(&f32_file)?);
    if let Some(out) = &arguments.out {
        files::write(out, trials[chosen].file.bytes())?;
    }
    let report =
        Report { diagnosis: &diagnosis, float: &float, trials: &trials, chosen, tested: &tested, float_tested: &float_tested };
    if arguments.json {
        return output::print_json(&report.to_json(arguments));
    }
    output::print(&report.shown(arguments))
}

/// A net, and what its files are made from and judged on.
struct Practice {
    model: Model,
    calibration: Vec<Tensor>,
    judged: Dataset,
    loss: Arc<dyn Loss>,
    within: f64,
    smallest: bool,
    aware: AwareArguments,
    golden: convert::Golden,
}

/// A way to quantize, and what came of it.
struct Trial {
    remedy: Quantizing,
    /// The training that knows.
    aware: Option<AwareArguments>,
    file: DeviceModel,
    measured: Measured,
}

/// What is better is larger.
fn score(measured: &Measured) -> f64 {
    measured.accuracy.unwrap_or(-measured.loss)
}

/// Whether one is worse than another; where as many answers are right, by the loss.
fn compare(a: &Trial, b: &Trial) -> Ordering {
    let (a, b) = (&a.measured, &b.measured);
    score(a).total_cmp(&score(b)).then(b.loss.total_cmp(&a.loss))
}

/// A remedy that costs a device nothing.
type Change = fn(&mut Quantizing);

impl Practice {
    fn attempt(&self, remedy: Quantizing) -> Result<Trial> {
        let file = convert::to_int8(&self.model, &self.calibration, remedy.options(), convert::Pace::default(), self.golden)?;
        let measured = device::measure(&file, &self.judged, &*self.loss)?;
        let trial = Trial { remedy, aware: None, file, measured };
        output::note(&format!("{}: {}", trial.name(), trial.measured.shown().1));
        Ok(trial)
    }

    /// Trains a copy of the net on, rounded like that, from the weights that it has.
    fn train_on(&self, remedy: Quantizing, splits: &Splits) -> Option<Trial> {
        let name = remedy.arguments().join(" ");
        let trial = self.try_to_train(remedy, splits);
        trial.map_err(|error| output::note(&format!("training with the rounded net {name} came to nothing: {error:#}"))).ok()
    }

    fn try_to_train(&self, remedy: Quantizing, splits: &Splits) -> Result<Trial> {
        let mut model = self.model.duplicate()?;
        let options = aware::quantized_as_trained(remedy.options());
        let ranges = self.aware.train(&mut model, (splits, self.loss.clone()), (&self.calibration, options))?;
        let options = Options { ranges: ranges.as_ref(), ..options };
        let file = convert::to_int8(&model, &self.calibration, options, convert::Pace::default(), self.golden)?;
        let measured = device::measure(&file, &self.judged, &*self.loss)?;
        Ok(Trial { remedy, aware: Some(self.aware), file, measured })
    }

    /// Plain int8; each remedy that costs nothing, and on top of the best the other kinds, as long as that helps; training that knows, if it is
    /// asked for; on top of the best the worst nodes, or all, with int16 activations, and the worst in f32. So the cheaper ones come first. Last
    /// what saves bytes: weights of 4 bits.
    fn try_remedies(&self, diagnosis: &Diagnosis, splits: &Splits) -> Result<Vec<Trial>> {
        let mut trials = vec![self.attempt(Quantizing::default())?];
        let mut best = Quantizing::default();
        let mut kinds: Vec<Vec<Change>> = vec![
            vec![|remedy| remedy.calibration = Calibration::Percentile(0.9999), |remedy| {
                remedy.calibration = Calibration::Percentile(0.999)
            }],
            vec![|remedy| remedy.equalize = EqualizeName::Balanced, |remedy| remedy.equalize = EqualizeName::Full],
            vec![|remedy| remedy.correct_bias = true],
        ];
        while !kinds.is_empty() {
            let mut round = Vec::new();
            for (kind, change) in
                kinds.iter().enumerate().flat_map(|(kind, changes)| changes.iter().map(move |change| (kind, change)))
            {
                let mut remedy = best.clone();
                change(&mut remedy);
                round.push((kind, self.attempt(remedy)?));
            }
            let helps = |trial: &Trial| trials.iter().all(|before| compare(before, trial).is_lt());
            let better = round.iter().max_by(|(_, a), (_, b)| compare(a, b)).filter(|(_, trial)| helps(trial));
            let found = better.map(|(kind, trial)| (*kind, trial.remedy.clone()));
            trials.extend(round.into_iter().map(|(_, trial)| trial));
            let Some((kind, remedy)) = found else { break };
            kinds.remove(kind);
            best = remedy;
        }
        if self.aware.aware.is_some() {
            trials.extend(self.train_on(Quantizing::default(), splits));
        }
        let worst: Vec<String> = diagnosis.worst().into_iter().map(|node| node.name.clone()).collect();
        let wide: Vec<String> =
            diagnosis.worst().into_iter().filter(|node| node.takes_int16).map(|node| node.name.clone()).collect();
        for count in KEPT.into_iter().filter(|count| *count <= wide.len()) {
            trials.push(self.attempt(Quantizing { int16: wide[..count].to_vec(), ..best.clone() })?);
        }
        if !wide.is_empty() {
            trials.push(self.attempt(best.clone().all_int16())?);
            let alone = Quantizing::default().all_int16();
            if best != Quantizing::default() {
                trials.push(self.attempt(alone)?);
            }
        }
        for count in KEPT.into_iter().filter(|count| *count <= worst.len()) {
            trials.push(self.attempt(Quantizing { keep_f32: worst[..count].to_vec(), ..best.clone() })?);
        }
        trials.push(self.attempt(best.all_int4())?);
        if self.aware.aware.is_some() {
            trials.extend(self.train_on(Quantizing::default().all_int4(), splits));
        }
        Ok(trials)
    }

    /// The first that costs no more accuracy than it may: of those without int16, then with, then with nodes in f32; or the smallest file of
    /// those that do; and of several that take the same bytes and instructions the best. If none is good enough, the best of all.
    fn choose(&self, float: &Measured, trials: &[Trial]) -> usize {
        let allowed = float.accuracy.map_or(self.within * float.loss.abs(), |_| self.within);
        let enough = |trial: &&Trial| score(&trial.measured) >= score(float) - allowed;
        let mut good = trials.iter().filter(enough);
        let cheapest = if self.smallest { good.min_by_key(|trial| trial.file.bytes().len()) } else { good.next() };
        let candidates = (0..trials.len()).filter(|&trial| {
            cheapest.is_none_or(|cheapest| enough(&&trials[trial]) && trials[trial].cost() == cheapest.cost())
        });
        candidates.max_by(|&a, &b| compare(&trials[a], &trials[b])).unwrap_or(0)
    }
}

/// What was found.
struct Report<'a> {
    diagnosis: &'a Diagnosis,
    float: &'a Measured,
    trials: &'a [Trial],
    chosen: usize,
    tested: &'a Measured,
    float_tested: &'a Measured,
}

impl Report<'_> {
    fn shown(&self, arguments: &Arguments) -> String {
        let what = self.float.shown().0;
        let db = |value: f64| if value.is_finite() { format!("{value:.1}") } else { "exact".to_owned() };
        let node = |node: &samara_trainer::quantize::NodeDiagnosis| {
            vec![
                node.name.clone(),
                node.op.to_owned(),
                db(node.node_db),
                db(node.alone_db),
                format!("{:.2} %", 100.0 * node.saturated),
                format!("{}: {:.0}", node.worst_channel, node.worst_steps),
            ]
        };
        let nodes: Vec<_> = self.diagnosis.nodes.iter().map(node).collect();
        let titles = ["node", "op", "dB here", "dB of the output, it alone in int8", "cut off", "worst channel: steps of 255"];
        let mut text = output::table(&titles, &nodes);
        text += &format!("\n{}\n", self.verdict());
        let row = |name: String, measured: &Measured, file: Option<&DeviceModel>| {
            let bytes = file.map_or(String::new(), |file| output::thousands(file.bytes().len() as u64));
            let arena = file
                .and_then(|file| file.model().ok())
                .map_or(String::new(), |model| output::thousands(model.arena_bytes() as u64));
            let work = file.map_or(String::new(), |file| output::thousands(cost::instructions(file)));
            vec![name, measured.shown().1, bytes, arena, work]
        };
        let float = row("f32".to_owned(), self.float, None);
        let trials = self.trials.iter().map(|trial| row(trial.name(), &trial.measured, Some(&trial.file)));
        let rows: Vec<_> = [float].into_iter().chain(trials).collect();
        text += &format!(
            "\n{}",
            output::table(&["remedy", &format!("validation {what}"), "bytes", "arena", "instructions"], &rows)
        );
        let chosen = &self.trials[self.chosen];
        let [test, float] = [self.tested, self.float_tested].map(|measured| measured.shown().1);
        text += &format!("\nTaken: {}; test {what} {test}, in f32 {float}", chosen.name());
        text += &match &arguments.out {
            Some(out) => format!(", written to {}", out.display()),
            None => {
                format!(". --fix --out FILE writes the file; so does `samara quantize ... {}`", chosen.arguments().join(" "))
            }
        };
        text + &self.offer()
    }

    /// What would save bytes against the one that is taken, and what it costs.
    fn offer(&self) -> String {
        let chosen = &self.trials[self.chosen];
        let size = |trial: &Trial| trial.file.bytes().len();
        let small = self.trials.iter().filter(|trial| !trial.remedy.int4.is_empty() && size(trial) < size(chosen));
        let Some(offer) = small.max_by(|a, b| compare(a, b)) else {
            return String::new();
        };
        let [bytes, saved] = [size(offer), size(chosen) - size(offer)].map(|bytes| output::thousands(bytes as u64));
        let instructions = output::thousands(cost::instructions(&offer.file));
        let ((what, value), (_, than)) = (offer.measured.shown(), chosen.measured.shown());
        let hint = if offer.aware.is_none() { "; --aware EPOCHS trains for it" } else { "" };
        format!(
            "\nSmaller: {} takes {bytes} bytes, {saved} less, and about {instructions} instructions, at a validation {what} of {value} \
             instead of {than}{hint}.",
            offer.name()
        )
    }

    /// What hurts, in a sentence or two.
    fn verdict(&self) -> String {
        let Some(worst) = self.diagnosis.worst().first().copied() else { return "int8 loses nothing.".to_owned() };
        let mut text = format!(
            "The model's output has {:.1} dB of signal to noise. {} hurts most: it alone leaves {:.1} dB.",
            self.diagnosis.output_db, worst.name, worst.alone_db
        );
        let narrow = self.diagnosis.nodes.iter().filter(|node| node.worst_steps < FEW_STEPS && node.node_db.is_finite());
        let narrow: Vec<&str> = narrow.map(|node| node.name.as_str()).collect();
        if !narrow.is_empty() {
            text += &format!(
                "\nOf what {} give, a channel uses fewer than {FEW_STEPS} of 255 steps: where that matters, evening channels out (--equalize) helps.",
                narrow.join(", ")
            );
        }
        if worst.saturated > MUCH_CUT_OFF {
            text +=
                &format!("\n{:.2} % of its values are cut off: more calibration samples may help.", 100.0 * worst.saturated);
        }
        text
    }

    fn to_json(&self, arguments: &Arguments) -> Value {
        let finite = |value: f64| value.is_finite().then_some(value);
        let nodes = self.diagnosis.nodes.iter().map(|node| {
            json!({
                "name": node.name, "op": node.op, "node_db": finite(node.node_db), "alone_db": finite(node.alone_db),
                "saturated": node.saturated, "worst_channel": node.worst_channel, "worst_steps": node.worst_steps,
            })
        });
        let trials = self.trials.iter().map(|trial| {
            json!({
                "arguments": trial.arguments(), "accuracy": trial.measured.accuracy, "loss": trial.measured.loss,
                "bytes": trial.file.bytes().len(), "arena_bytes": trial.file.model().map(|model| model.arena_bytes()).ok(),
                "instructions": cost::instructions(&trial.file),
            })
        });
        json!({
            "nodes": nodes.collect::<Vec<_>>(), "output_db": finite(self.diagnosis.output_db),
            "worst": self.diagnosis.worst().first().map(|node| &node.name),
            "f32_accuracy": self.float.accuracy, "f32_loss": self.float.loss,
            "remedies": trials.collect::<Vec<_>>(), "chosen": self.chosen,
            "test_accuracy": self.tested.accuracy, "test_loss": self.tested.loss, "f32_test_accuracy": self.float_tested.accuracy, "f32_test_loss": self.float_tested.loss, "out": arguments.out,
        })
    }
}

impl Trial {
    /// Bytes of the file and of its arena, and about how many instructions it takes.
    fn cost(&self) -> (usize, Option<usize>, u64) {
        (self.file.bytes().len(), self.file.model().ok().map(|model| model.arena_bytes()), cost::instructions(&self.file))
    }

    /// Those of `samara quantize`.
    fn arguments(&self) -> Vec<String> {
        self.remedy.arguments().into_iter().chain(self.aware.into_iter().flat_map(AwareArguments::arguments)).collect()
    }

    /// Its arguments; of nodes with int16 activations or in f32 only how many.
    fn name(&self) -> String {
        let is_all = self.remedy == self.remedy.clone().all_int16();
        let (kept, wide) = (self.remedy.keep_f32.len(), if is_all { 0 } else { self.remedy.int16.len() });
        let int16 = if is_all { self.remedy.int16.clone() } else { Vec::new() };
        let mut parts = Quantizing { keep_f32: Vec::new(), int16, ..self.remedy.clone() }.arguments();
        parts.extend(self.aware.and_then(|aware| aware.aware).map(|epochs| format!("--aware {epochs}")));
        for (count, form) in [(wide, "int16"), (kept, "f32")].into_iter().filter(|(count, _)| *count > 0) {
            parts.push(format!("the worst {count} in {form}"));
        }
        if parts.is_empty() { "plain int8".to_owned() } else { parts.join(" ") }
    }
}
