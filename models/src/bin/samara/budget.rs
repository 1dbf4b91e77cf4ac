//! `samara budget`: what a device can learn within so many bytes of RAM.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use samara_runtime::Session;
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::train::record::{HeadRecord, MOST_CLASSES, block_sizes, sums_bytes, triangle};
use samara_runtime::train::{
    HeadKind, Loss, Strangeness, block_bytes, closed_form_bytes, gradient_bytes, guard_bytes, replay_bytes, solve_bytes,
};
use samara_trainer::device::block_head::block_of;
use samara_trainer::device::heads::dense_of;
use samara_trainer::device::run::DeviceModel;
use serde_json::{Value, json};

use crate::head::{BATCH, HeadName, MORE_CLASSES};
use crate::{files, names, output};

/// Samples of a batch that are listed.
const BATCHES: [usize; 3] = [1, 8, BATCH];
/// Samples that a guard holds out, in the last row of a dense head.
const HELD_OUT: usize = 16;
/// Samples of each class that a replay keeps, in that row.
const REPLAYED: usize = 8;

/// Arguments of `samara budget`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An int8 model file, with heads or without
    model: PathBuf,
    /// RAM for the arena and what learns, such as 64k, 1M or 4096
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    ram: Option<usize>,
    /// RAM for what learns alone
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    training_ram: Option<usize>,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints a row for each way to learn.
///
/// # Errors
/// If the file cannot be read, is no model, or has neither a head nor a dense layer that one could stand for.
pub fn run(arguments: &Arguments) -> Result<()> {
    let shown = || arguments.model.display().to_string();
    let model = DeviceModel::new(&files::read(&arguments.model)?).with_context(shown)?;
    let budget = Budget::of(&model).with_context(shown)?;
    if arguments.json {
        return output::print_json(&budget.to_json(arguments));
    }
    output::print(&budget.draw(arguments))
}

/// Bytes beside the arena that learning takes at least, with one of the heads that the file has or could have.
///
/// # Errors
/// If nothing can be learned with it.
pub fn least_training_bytes(model: &DeviceModel) -> Result<usize> {
    let budget = Budget::of(model)?;
    budget.ways.iter().map(Way::training_bytes).min().context("nothing can be learned")
}

/// A way to learn, and its bytes.
struct Way {
    /// The head's number in the file; none for one that the file could have.
    head: Option<usize>,
    output: u16,
    name: HeadName,
    features: usize,
    capacity: usize,
    /// Samples of a step; none for a closed form.
    batch: Option<usize>,
    memory_bytes: usize,
    /// What a solution is computed in where the arena is too small for that.
    scratch_bytes: usize,
    guard_bytes: usize,
    replay_bytes: usize,
    saved_bytes: usize,
    body_macs: u64,
    /// Of a solution, or a step and a guard's check.
    learn_macs: u64,
    /// Names of the layers that learn.
    layers: Vec<String>,
}

impl Way {
    /// What a Cortex-M4F takes for it, about: instructions of a multiply-accumulate as `cargo xtask device-bench --heads` counts them.
    const fn learn_instructions(&self) -> u64 {
        match self.name {
            HeadName::ClosedForm => 9 * self.learn_macs,
            HeadName::Dense => 10 * self.learn_macs,
            HeadName::Block => 4 * self.learn_macs,
        }
    }

    const fn training_bytes(&self) -> usize {
        self.memory_bytes + self.scratch_bytes + self.guard_bytes + self.replay_bytes
    }

    /// In words.
    fn describe(&self) -> String {
        let place = self.head.map_or_else(|| "could be added".to_owned(), |number| format!("head {number}"));
        let batch = self.batch.map_or_else(String::new, |batch| format!(", batches of {batch}"));
        let layers = if self.layers.is_empty() { String::new() } else { format!(": {}", self.layers.join(", ")) };
        let extras = if self.guard_bytes > 0 {
            format!(", {HELD_OUT} held out, {REPLAYED} of each class replayed")
        } else {
            String::new()
        };
        format!("{} of output {} ({place}){batch}{extras}{layers}", names::shown(self.name), self.output)
    }
}

/// All ways to learn with a file.
struct Budget {
    arena_bytes: usize,
    ways: Vec<Way>,
    /// Why outputs can have no head.
    without: Vec<String>,
}

impl Budget {
    fn of(model: &DeviceModel) -> Result<Self> {
        let mut file = ModelFile::from_bytes(model.bytes())?;
        let in_file = file.heads.len();
        let mut without = Vec::new();
        for output in 0..file.outputs.len() {
            match could_have(&file, output) {
                Ok(heads) => file.heads.extend(heads),
                Err(error) => {
                    without.push(error.to_string());
                    continue;
                }
            }
            match could_have_block(&file, output) {
                Ok(head) => file.heads.extend(head),
                Err(error) => without.push(error.to_string()),
            }
        }
        let parsed = model.model()?;
        // A damaged record is told, not reckoned with.
        (0..in_file).try_for_each(|number| parsed.head(number).map(drop).with_context(|| format!("head {number}")))?;
        let arena_bytes = parsed.arena_bytes();
        let mut arena = AlignedBuffer::zeros(arena_bytes);
        let free_bytes = Session::new(parsed, arena.as_mut_slice())?.scratch().len();
        // The sizes are functions of a file: of one that has all heads.
        let bytes = file.to_bytes();
        let heads = file.heads.iter().enumerate();
        let ways: Vec<Way> =
            heads.flat_map(|(number, head)| ways(&file, &bytes, (number, head), number < in_file, free_bytes)).collect();
        if ways.is_empty() {
            bail!("nothing can be learned: {}", without.join("; "));
        }
        Ok(Self { arena_bytes, ways, without })
    }

    fn to_json(&self, arguments: &Arguments) -> Value {
        let over = |bytes: usize, limit: Option<usize>| limit.map(|limit| bytes.saturating_sub(limit));
        let way = |way: &Way| {
            let training_bytes = way.training_bytes();
            json!({
                "head": way.head,
                "output": way.output,
                "kind": names::shown(way.name),
                "features": way.features,
                "capacity": way.capacity,
                "batch": way.batch,
                "memory_bytes": way.memory_bytes,
                "scratch_bytes": way.scratch_bytes,
                "guard_bytes": way.guard_bytes,
                "replay_bytes": way.replay_bytes,
                "training_bytes": training_bytes,
                "total_bytes": self.arena_bytes + training_bytes,
                "saved_bytes": way.saved_bytes,
                "body_macs": way.body_macs,
                "learn_macs": way.learn_macs,
                "learn_instructions": way.learn_instructions(),
                "layers": way.layers,
                "over_ram": over(self.arena_bytes + training_bytes, arguments.ram),
                "over_training_ram": over(training_bytes, arguments.training_ram),
            })
        };
        json!({
            "file": arguments.model,
            "arena_bytes": self.arena_bytes,
            "ram": arguments.ram,
            "training_ram": arguments.training_ram,
            "ways": self.ways.iter().map(way).collect::<Vec<_>>(),
            "without": self.without,
        })
    }

    fn draw(&self, arguments: &Arguments) -> String {
        let number = |bytes: usize| output::thousands(bytes as u64);
        let fits = |bytes: usize, limit: usize| match bytes.saturating_sub(limit) {
            0 => "fits".to_owned(),
            over => format!("{} too many", number(over)),
        };
        let row = |way: &Way| {
            let training_bytes = way.training_bytes();
            let total_bytes = self.arena_bytes + training_bytes;
            let bytes = [training_bytes, way.scratch_bytes, total_bytes, way.saved_bytes].map(number);
            let macs = [way.body_macs, way.learn_macs, way.learn_instructions()].map(output::thousands);
            let verdicts = [(training_bytes, arguments.training_ram), (total_bytes, arguments.ram)];
            let verdicts = verdicts.into_iter().filter_map(|(bytes, limit)| Some(fits(bytes, limit?)));
            [way.describe()].into_iter().chain(bytes).chain(macs).chain(verdicts).collect()
        };
        let limit = |name: &str, limit: Option<usize>| limit.map(|bytes| format!("{name} {}", number(bytes)));
        let limits = [limit("--training-ram", arguments.training_ram), limit("--ram", arguments.ram)];
        let fixed =
            ["what learns", "RAM", "of it scratch", "with arena", "saved", "MACs of body", "MACs to learn", "instructions"];
        let titles: Vec<&str> = fixed.into_iter().chain(limits.iter().flatten().map(String::as_str)).collect();
        let rows: Vec<Vec<String>> = self.ways.iter().map(row).collect();
        let without: String = self.without.iter().map(|sentence| format!("{sentence}\n")).collect();
        format!(
            "arena bytes: {}\n\n{}\n\n{without}MACs to learn: a solution, or a step and, with held-out samples, a check; instructions for them are about what a \
             Cortex-M4F takes.\nStack, program and drivers come on top.",
            number(self.arena_bytes),
            output::table(&titles, &rows),
        )
    }
}

/// Heads that an output could have beside those of the file: of each kind that it has none of.
fn could_have(file: &ModelFile, output: usize) -> Result<Vec<HeadRecord>> {
    let is_there = |kind: HeadKind| file.heads.iter().any(|head| usize::from(head.output) == output && head.kind == kind as u8);
    let kinds: Vec<HeadKind> = [HeadKind::ClosedForm, HeadKind::Dense].into_iter().filter(|&kind| !is_there(kind)).collect();
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let (node, feature_tensor) = dense_of(file, output)?;
    let features = file.tensors[feature_tensor as usize].elements() as u32;
    let classes = file.tensors[file.nodes[usize::from(node)].output as usize].elements() as u32;
    if classes > MOST_CLASSES {
        bail!("output {output} has {classes} classes; a head has at most {MOST_CLASSES}");
    }
    let capacity = MOST_CLASSES.min(classes + MORE_CLASSES as u32);
    let output = u16::try_from(output)?;
    let head = HeadRecord { node, feature_tensor, features, classes, capacity, output, ..HeadRecord::default() };
    // As `samara head` adds them if nothing else is asked.
    let strangeness = |kind: HeadKind| if kind == HeadKind::ClosedForm { Strangeness::Distance as u8 } else { 0 };
    Ok(kinds.into_iter().map(|kind| HeadRecord { kind: kind as u8, strangeness: strangeness(kind), ..head }).collect())
}

/// The last block that an output could have, if the file has none of it.
fn could_have_block(file: &ModelFile, output: usize) -> Result<Option<HeadRecord>> {
    if file.heads.iter().any(|head| usize::from(head.output) == output && head.kind == HeadKind::Block as u8) {
        return Ok(None);
    }
    let block = block_of(file, output)?;
    let classes = block.classes as u32;
    Ok(Some(HeadRecord {
        node: block.node,
        feature_tensor: block.feature_tensor,
        features: file.tensors[block.feature_tensor as usize].elements() as u32,
        classes,
        capacity: classes,
        kind: HeadKind::Block as u8,
        output: u16::try_from(output)?,
        block: Some(block.record),
        ..HeadRecord::default()
    }))
}

/// The ways to learn with a head: one for a closed form and for a block; for a dense one those of its batches, and one with guard and replay.
fn ways(file: &ModelFile, model: &[u8], (number, head): (usize, &HeadRecord), is_in_file: bool, free_bytes: usize) -> Vec<Way> {
    let (features, capacity) = (head.features as usize, head.capacity as usize);
    if head.kind == HeadKind::Block as u8 {
        let sizes = block_sizes(model, number);
        let layers = block_of(file, head.output.into()).map(|block| block.layers(file)).unwrap_or_default();
        return vec![Way {
            head: is_in_file.then_some(number),
            output: head.output,
            name: HeadName::Block,
            features,
            capacity,
            batch: Some(1),
            memory_bytes: block_bytes(model, number),
            scratch_bytes: 0,
            guard_bytes: 0,
            replay_bytes: 0,
            saved_bytes: 4 * sizes.parameters(),
            body_macs: body_macs(file, head),
            learn_macs: (sizes.forward_macs() + sizes.backward_macs() + 3 * sizes.parameters()) as u64,
            layers,
        }];
    }
    let way = Way {
        head: is_in_file.then_some(number),
        output: head.output,
        name: HeadName::ClosedForm,
        features,
        capacity,
        batch: None,
        memory_bytes: closed_form_bytes(model, number),
        scratch_bytes: Some(solve_bytes(model, number)).filter(|&bytes| bytes > free_bytes).unwrap_or(0),
        guard_bytes: 0,
        replay_bytes: 0,
        saved_bytes: sums_bytes(model, number),
        body_macs: body_macs(file, head),
        learn_macs: solve_macs(capacity as u64, features as u64),
        layers: Vec::new(),
    };
    if head.kind == HeadKind::ClosedForm as u8 {
        return vec![way];
    }
    let products = (capacity * features) as u64;
    let dense = |batch: usize, with_guard: bool| Way {
        name: HeadName::Dense,
        batch: Some(batch),
        memory_bytes: gradient_bytes(model, number, batch),
        scratch_bytes: 0,
        guard_bytes: if with_guard { guard_bytes(model, number, Loss::SoftmaxCrossEntropy, HELD_OUT) } else { 0 },
        replay_bytes: if with_guard { replay_bytes(capacity, REPLAYED, features) } else { 0 },
        saved_bytes: 4 * capacity * (features + 1),
        learn_macs: products * (3 * batch + if with_guard { HELD_OUT } else { 0 }) as u64,
        layers: Vec::new(),
        ..way
    };
    BATCHES.map(|batch| dense(batch, false)).into_iter().chain([dense(BATCH, true)]).collect()
}

/// Multiply-accumulates of what is before a head.
fn body_macs(file: &ModelFile, head: &HeadRecord) -> u64 {
    file.nodes.iter().take(head.node.into()).map(|node| u64::from(node.macs)).sum()
}

/// Multiply-accumulates of a solution for so many classes: centred moments; for each class its sums, their outer product, two
/// triangles and the bias; the factor.
const fn solve_macs(classes: u64, features: u64) -> u64 {
    let triangle = triangle(features as usize) as u64;
    let of_class = triangle + features * features.saturating_sub(1) + 3 * features;
    3 * triangle + classes * of_class + (features * features * features).saturating_sub(features) / 6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_counts_its_products() {
        // Of two features and one class: 3 * 3, then 3 + 2 + 6, then the one product below the first pivot.
        assert_eq!(solve_macs(1, 2), 9 + 11 + 1);
        // Cubic in features: the factor is what grows.
        assert_eq!(solve_macs(0, 64), 3 * 2080 + 64 * 63 * 65 / 6);
    }
}
