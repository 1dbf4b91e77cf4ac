//! `samara inspect`: what is in a model file, or in a file of `Model::save`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_runtime::train::{Strangeness, Threshold};
use samara_runtime::{ALL_OPS, ElementType, SelfTestError, Session, Tensor, arena::AlignedBuffer, format::writer::ModelFile};
use samara_trainer as trainer;
use samara_trainer::device::{plan::least_arena_bytes, run::DeviceModel};
use serde_json::{Value, json};

use crate::head::{self, HeadName};
use crate::{arena, files, names, output};

/// Arguments of `samara inspect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file for devices; or one of the trainer with a whole model (`Model::save`), or a text file (FILE.toml), of which the
    /// layers are shown
    file: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Prints nodes, tensors and totals.
///
/// # Errors
/// If the file cannot be read, or is no model.
pub fn run(arguments: &Arguments) -> Result<()> {
    let shown = || arguments.file.display().to_string();
    let is_text = names::is_model_file(&arguments.file);
    let bytes = files::read(&arguments.file)?;
    if is_text || trainer::Model::is_in(&bytes) {
        let model = if is_text {
            names::model_file(&arguments.file)?
        } else {
            trainer::Model::from_bytes(&bytes, &[]).with_context(shown)?
        };
        return if arguments.json {
            output::print_json(&describe_layers(&arguments.file, &model))
        } else {
            output::print(&model.summary().to_string())
        };
    }
    let model = DeviceModel::new(&bytes).with_context(shown)?;
    let file = ModelFile::from_bytes(model.bytes()).with_context(shown)?;
    let self_test = self_test(&model)?;
    let heads = heads(&model, &file).with_context(shown)?;
    if arguments.json {
        let mut described = describe(&arguments.file, &file, model.bytes().len(), &self_test);
        described["heads"] = heads.iter().map(HeadView::to_json).collect();
        output::print_json(&described)
    } else {
        output::print(&(draw(&file, model.bytes().len(), &self_test) + &draw_heads(&heads)))
    }
}

/// A head that a device goes on learning with.
struct HeadView<'a> {
    name: HeadName,
    node: &'a str,
    output: u16,
    features: usize,
    classes: usize,
    capacity: usize,
    memory_bytes: usize,
    threshold: Option<Threshold>,
}

fn heads<'a>(model: &DeviceModel, file: &'a ModelFile) -> Result<Vec<HeadView<'a>>> {
    let parsed = model.model()?;
    let view = |number: usize| {
        let head = parsed.head(number).with_context(|| format!("head {number}"))?;
        let name = HeadName::of(head.kind).with_context(|| format!("head {number} is of a kind that is not known"))?;
        Ok(HeadView {
            name,
            node: file.metadata.nodes.get(usize::from(head.node)).map_or("", String::as_str),
            output: head.output,
            features: head.features,
            classes: head.classes,
            capacity: head.capacity,
            memory_bytes: name.memory_bytes(model.bytes(), number),
            threshold: head.threshold,
        })
    };
    (0..file.heads.len()).map(view).collect()
}

const fn score(strangeness: Strangeness) -> &'static str {
    match strangeness {
        Strangeness::Distance => "distance",
        Strangeness::Margin => "margin",
        _ => "another score",
    }
}

impl HeadView<'_> {
    fn to_json(&self) -> Value {
        let unknown = self.threshold.map(|Threshold { strangeness, limit, error_rate }| {
            json!({"score": score(strangeness), "limit": output::decimal(limit), "error_rate": output::decimal(error_rate)})
        });
        json!({
            "kind": names::shown(self.name),
            "node": self.node,
            "output": self.output,
            "features": self.features,
            "classes": self.classes,
            "capacity": self.capacity,
            "memory_bytes": self.memory_bytes,
            "unknown": unknown,
        })
    }
}

/// A table of heads; nothing for none.
fn draw_heads(heads: &[HeadView<'_>]) -> String {
    let row = |head: &HeadView<'_>| {
        let unknown = head.threshold.map_or("not told".to_owned(), |Threshold { strangeness, limit, error_rate }| {
            format!("{} above {limit} (share {error_rate})", score(strangeness))
        });
        let numbers = [head.features, head.classes, head.capacity, head.memory_bytes];
        let numbers = numbers.map(|number| output::thousands(number as u64));
        [names::shown(head.name), head.node.to_owned()].into_iter().chain(numbers).chain([unknown]).collect()
    };
    let rows: Vec<Vec<String>> = heads.iter().map(row).collect();
    let memory = format!("memory bytes (dense: batches of {})", head::BATCH);
    let titles = ["head", "node", "features", "classes", "room for", &memory, "unknown"];
    if rows.is_empty() { String::new() } else { format!("\n{}\n", output::table(&titles, &rows)) }
}

/// Runs the file's golden samples.
pub fn self_test(model: &DeviceModel) -> Result<Result<usize, SelfTestError>> {
    let mut arena = AlignedBuffer::zeros(model.model()?.arena_bytes());
    Ok(Session::new(model.model()?, arena.as_mut_slice())?.self_test())
}

/// A node with what belongs to it.
struct NodeView<'a> {
    name: &'a str,
    op: &'static str,
    inputs: Vec<Tensor>,
    output: Tensor,
    macs: u64,
    scratch: (u32, u32),
}

fn nodes(file: &ModelFile) -> Vec<NodeView<'_>> {
    let tensor = |index: u32| file.tensors[index as usize];
    let view = |(number, node): (usize, &'_ samara_runtime::format::writer::NodeRecord)| NodeView {
        name: file.metadata.nodes.get(number).map_or("", String::as_str),
        op: ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name),
        inputs: node.inputs.iter().map(|&input| tensor(input)).collect(),
        output: tensor(node.output),
        macs: node.macs.into(),
        scratch: (node.scratch_offset, node.scratch_bytes),
    };
    file.nodes.iter().enumerate().map(view).collect()
}

/// `29x12`; `<=29x12` for sequences of several lengths.
fn shape(tensor: &Tensor) -> String {
    let sizes = tensor.shape().iter().map(u32::to_string).collect::<Vec<_>>().join("x");
    if tensor.length_group > 0 { format!("<={sizes}") } else { sizes }
}

fn quantization(tensor: &Tensor) -> String {
    match tensor.element_type {
        ElementType::F32 | ElementType::I32 => tensor.element_type.name().to_owned(),
        ElementType::I16 => format!("int16 {:.4e}", tensor.scale),
        ElementType::I8 => format!("int8 {:.4e} {:+}", tensor.scale, tensor.zero_point),
    }
}

/// The bytes that a tensor takes in the arena: first and one past the last.
fn place(offset: usize, bytes: usize) -> String {
    if bytes == 0 { String::new() } else { format!("{offset}..{}", offset + bytes) }
}

fn draw(file: &ModelFile, model_bytes: usize, self_test: &Result<usize, SelfTestError>) -> String {
    let port = |kind: &str, index: u32| {
        let tensor = &file.tensors[index as usize];
        let place = place(tensor.offset as usize, tensor.bytes());
        format!("{kind}: {} {}, arena {place}\n", shape(tensor), quantization(tensor))
    };
    let mut text = format!("model {}\n", file.metadata.name);
    file.inputs.iter().for_each(|&index| text += &port("input", index));
    let row = |node: &NodeView<'_>| {
        vec![
            node.name.to_owned(),
            node.op.to_owned(),
            node.inputs.iter().map(shape).collect::<Vec<_>>().join(" + "),
            shape(&node.output),
            quantization(&node.output),
            output::thousands(node.macs),
            place(node.output.offset as usize, node.output.bytes()),
            place(node.scratch.0 as usize, node.scratch.1 as usize),
        ]
    };
    let nodes = nodes(file);
    let rows: Vec<_> = nodes.iter().map(row).collect();
    let titles = ["node", "op", "input", "output", "type, scale, zero point", "MACs", "arena", "scratch"];
    text += &format!("\n{}\n\n", output::table(&titles, &rows));
    file.outputs.iter().for_each(|&index| text += &port("output", index));
    let live = |(node, moment): (&NodeView<'_>, &arena::Moment)| {
        let live_bytes = output::thousands(moment.live_bytes() as u64);
        vec![node.name.to_owned(), live_bytes, moment.draw(file.arena_bytes as usize)]
    };
    let rows: Vec<_> = nodes.iter().zip(&arena::moments(file)).map(live).collect();
    let title = format!("arena, first byte to last: {}", arena::LEGEND);
    text += &format!("\n{}\n", output::table(&["node", "live bytes", &title], &rows));
    let macs = nodes.iter().map(|node| node.macs).sum();
    let totals = [
        ("multiply-accumulates", macs),
        ("arena bytes", u64::from(file.arena_bytes)),
        ("no plan of this order has fewer than", least_arena_bytes(file, ALL_OPS) as u64),
        ("of it state, bytes", file.state_bytes() as u64),
        ("constants in flash, bytes", file.constants.len() as u64),
        ("model bytes", model_bytes as u64),
        ("golden samples", file.golden.len() as u64),
        ("of them in flash, bytes", file.golden_bytes() as u64),
    ];
    let mut rows: Vec<_> = totals.iter().map(|(name, number)| vec![(*name).to_owned(), output::thousands(*number)]).collect();
    let outcome = match self_test {
        Ok(count) => format!("{count} of {count} right"),
        Err(error) => error.to_string(),
    };
    rows.push(vec!["self-test".to_owned(), outcome]);
    let notes: String = file.metadata.notes.iter().map(|note| format!("note: {note}\n")).collect();
    text + "\n" + &output::table(&["total", ""], &rows) + "\n" + &notes
}

fn describe(path: &Path, file: &ModelFile, model_bytes: usize, self_test: &Result<usize, SelfTestError>) -> Value {
    let tensor = |tensor: &Tensor| {
        json!({
            "shape": tensor.shape(),
            "type": tensor.element_type.name(),
            "scale": f64::from(tensor.scale),
            "zero_point": tensor.zero_point,
            "arena_offset": tensor.offset,
            "bytes": tensor.bytes(),
        })
    };
    let node = |(node, moment): (&NodeView<'_>, &arena::Moment)| {
        json!({
            "name": node.name,
            "op": node.op,
            "inputs": node.inputs.iter().map(tensor).collect::<Vec<_>>(),
            "output": tensor(&node.output),
            "macs": node.macs,
            "scratch_offset": node.scratch.0,
            "scratch_bytes": node.scratch.1,
            "live_bytes": moment.live_bytes(),
        })
    };
    let ports = |indices: &[u32]| indices.iter().map(|&index| tensor(&file.tensors[index as usize])).collect::<Vec<_>>();
    let nodes = nodes(file);
    json!({
        "file": path,
        "model": file.metadata.name,
        "inputs": ports(&file.inputs),
        "outputs": ports(&file.outputs),
        "nodes": nodes.iter().zip(&arena::moments(file)).map(node).collect::<Vec<_>>(),
        "macs": nodes.iter().map(|node| node.macs).sum::<u64>(),
        "arena_bytes": file.arena_bytes,
        "least_arena_bytes": least_arena_bytes(file, ALL_OPS),
        "constant_bytes": file.constants.len(),
        "model_bytes": model_bytes,
        "state_bytes": file.state_bytes(),
        "golden_samples": file.golden.len(),
        "golden_bytes": file.golden_bytes(),
        "self_test": self_test.is_ok(),
        "notes": file.metadata.notes,
    })
}

/// The layers of a whole model of the trainer.
fn describe_layers(path: &Path, model: &trainer::Model) -> Value {
    let graph = model.graph();
    let node = |node: &trainer::graph::Node| {
        let inputs = node.inputs.iter().map(|&input| graph.nodes[input].name.as_str());
        json!({
            "name": node.name,
            "kind": node.layer.as_ref().map_or("Input", |layer| layer.kind()),
            "inputs": inputs.collect::<Vec<_>>(),
            "shape": node.shape.to_vec(),
            "parameters": graph.parameters[node.parameters.clone()].iter().map(|entry| entry.shape.size()).sum::<usize>(),
        })
    };
    json!({
        "file": path,
        "model": model.name(),
        "inputs": graph.input_names(),
        "outputs": graph.output_names(),
        "nodes": graph.nodes.iter().map(node).collect::<Vec<_>>(),
        "parameters": model.parameters().iter().map(|entry| entry.shape.size()).sum::<usize>(),
        "trainable": model.trainable_size(),
    })
}
