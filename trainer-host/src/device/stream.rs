//! From a graph over whole sequences to one that a stream runs through, some rows at a time.
//!
//! A row is an element of a tensor's first dimension: a step of a sequence, a frame of features. In a streaming graph, a run takes the
//! next `hop` rows of each input. An op that takes each row for itself computes the new rows; a window gets the rows that it reaches back to
//! from a [`Delay`], which keeps them; an op with a memory keeps it. An op that needs all rows (a pool over the sequence, a dense
//! layer behind a flattening) gets the last ones, as many as the whole sequence has, from a delay, too, and so gives an
//! output for each run. What is computed is what the whole graph computes, bit for bit:
//!
//! - After the reset, the first rows that a whole sequence has give its outputs: in the run, or at the row, that [`Streamed::outputs`] says.
//! - From then on, if nothing but windows without padding, pools and ops on rows is in the graph, every output is that of the
//!   sequence of the last rows. Causal convolutions and recurrent layers, which remember more, go on with what came before.

use super::{DeviceGraph, DeviceNode, DeviceOp, ExportError, Rows, Value, ops::Delay};
use crate::graph::Shape;
use samara_runtime::format::writer::ModelFile;
use std::collections::HashMap;

/// A graph that a stream runs through.
#[derive(Debug, Clone)]
pub struct Streamed {
    /// The graph. Its inputs and outputs are the whole graph's, in their order.
    pub graph: DeviceGraph,
    /// For each value, the whole graph's with the same quantization.
    pub origins: Vec<Value>,
    /// When each output begins.
    pub outputs: Vec<Start>,
    /// What costs more than a hop should, in sentences.
    pub notes: Vec<String>,
}

impl Streamed {
    /// The file of this graph with sentences for people: when each output begins, and what costs more than a hop should.
    pub(crate) fn noted(&self, mut file: ModelFile) -> ModelFile {
        let names = self.graph.outputs.iter().map(|output| &self.graph.values[output.0].1);
        let starts = names.zip(&self.outputs).map(|(name, start)| match start {
            Start::Row { rows, first } => {
                format!("stream: {name:?} gives {rows} rows in each run, from row {first} since the reset on")
            }
            Start::Run(run) => format!("stream: {name:?} is that of a whole sequence from run {run} since the reset on"),
        });
        file.metadata.notes.extend(starts.chain(self.notes.iter().cloned()));
        file
    }
}

/// When an output gives what it gives for a whole sequence from its first row on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Each run gives so many rows; of all rows since the reset, this one is the sequence's first.
    Row {
        /// Rows of a run.
        rows: usize,
        /// Number of the row, from 0.
        first: usize,
    },
    /// The output of the whole sequence is that of this run.
    Run(usize),
}

/// A value of the whole graph in the stream.
#[derive(Debug, Clone, Copy)]
struct Flow {
    value: Value,
    /// Rows of a run; `None` if each run gives all there is.
    rows: Option<usize>,
    /// Number of the stream's row, or else run, that is the whole graph's first.
    first: usize,
}

/// The graph for `hop` rows of every input at a time.
///
/// Inputs of one dimension that are not tokens are no sequences: they are given anew for each run.
///
/// # Errors
/// If there is no sequence among the inputs, or one is shorter than a hop; if a layer's stride does not divide the rows that come to
/// it at a time; if there is a bidirectional layer.
pub fn stream(graph: &DeviceGraph, hop: usize) -> Result<Streamed, ExportError> {
    let tokens = graph.tokens()?;
    let mut building = Building::new(graph);
    for &input in &graph.inputs {
        let (shape, name) = &graph.values[input.0];
        let is_sequence = shape.len() > 1 || tokens.contains(&input);
        if is_sequence && (hop == 0 || shape[0] < hop) {
            let reason = format!("it has {} rows, of which a hop of {hop} is to be a part", shape[0]);
            return Err(ExportError::Layer { layer: name.clone(), reason });
        }
        let shape = if is_sequence { with_rows(shape, hop) } else { shape.clone() };
        let value = building.value(shape, name.clone(), input);
        building.streamed.graph.inputs.push(value);
        building.flows[input.0] = Some(Flow { value, rows: is_sequence.then_some(hop), first: 0 });
    }
    if building.flows.iter().flatten().all(|flow| flow.rows.is_none()) {
        let reason = "a stream needs an input with rows: of two dimensions or more, or of tokens".to_owned();
        return Err(ExportError::Layer { layer: graph.name.clone(), reason });
    }
    for node in &graph.nodes {
        let flow = building.node(node)?;
        building.flows[node.output.0] = Some(flow);
    }
    for &output in &graph.outputs {
        let flow = building.flow(output);
        building.streamed.graph.outputs.push(flow.value);
        let start = match flow.rows {
            Some(rows) => Start::Row { rows, first: flow.first },
            None => Start::Run(flow.first),
        };
        building.streamed.outputs.push(start);
    }
    Ok(building.streamed)
}

fn with_rows(shape: &Shape, rows: usize) -> Shape {
    [rows].into_iter().chain(shape[1..].iter().copied()).collect::<Vec<_>>().into()
}

/// A streaming graph in the making.
struct Building<'a> {
    whole: &'a DeviceGraph,
    streamed: Streamed,
    /// By value of the whole graph.
    flows: Vec<Option<Flow>>,
    /// Delays there are: of a value, of so many elements, with so many in the output.
    delays: HashMap<(Value, usize, usize), Value>,
}

impl<'a> Building<'a> {
    fn new(whole: &'a DeviceGraph) -> Self {
        let graph = DeviceGraph { name: whole.name.clone(), ..DeviceGraph::default() };
        let streamed = Streamed { graph, origins: Vec::new(), outputs: Vec::new(), notes: Vec::new() };
        Self { whole, streamed, flows: vec![None; whole.values.len()], delays: HashMap::new() }
    }

    fn value(&mut self, shape: Shape, name: String, origin: Value) -> Value {
        self.streamed.origins.push(origin);
        self.streamed.graph.value(shape, name)
    }

    /// # Panics
    /// If nodes do not stand in the order in which they run.
    fn flow(&self, value: Value) -> Flow {
        self.flows[value.0].expect("what a node reads was made before")
    }

    fn push(&mut self, name: &str, op: Box<dyn DeviceOp>, inputs: Vec<Value>, shape: Shape, origin: Value) -> Value {
        let output = self.value(shape, name.to_owned(), origin);
        self.streamed.graph.nodes.push(DeviceNode { name: name.to_owned(), op, inputs, output });
        output
    }

    /// The flow's last elements: `kept` from runs before, then those of this run; the first of them, in `shape`.
    fn delayed(&mut self, flow: Flow, origin: Value, kept: usize, shape: Shape) -> Value {
        let own = self.streamed.graph.shape(flow.value).clone();
        if kept == 0 && own.size() == shape.size() {
            return flow.value;
        }
        let key = (flow.value, kept, shape.size());
        if let Some(&value) = self.delays.get(&key) {
            return value;
        }
        let name = format!("{}/delay", self.whole.values[origin.0].1);
        let value = self.push(&name, Box::new(Delay { elements: kept }), vec![flow.value], shape, origin);
        self.delays.insert(key, value);
        value
    }

    /// The value with all rows that a sequence has: one for each run, the last of them those that came last.
    fn gathered(&mut self, origin: Value) -> Flow {
        let flow = self.flow(origin);
        let Some(rows) = flow.rows else { return flow };
        let whole = self.whole.shape(origin).clone();
        let kept = backlog(whole[0], rows, flow.first);
        let value = self.delayed(flow, origin, kept * (whole.size() / whole[0]), whole);
        Flow { value, rows: None, first: (flow.first + kept) / rows }
    }

    /// The flows, delayed so that their first rows, or runs, come at the same time.
    fn aligned(&mut self, flows: &[(Value, Flow)]) -> (Vec<Value>, usize) {
        let first = flows.iter().map(|(_, flow)| flow.first).max().unwrap_or(0);
        let mut align = |&(origin, flow): &(Value, Flow)| {
            let shape = self.streamed.graph.shape(flow.value).clone();
            let row = shape.size() / flow.rows.unwrap_or(1);
            self.delayed(flow, origin, (first - flow.first) * row, shape)
        };
        (flows.iter().map(&mut align).collect(), first)
    }

    /// The node in the stream, and what it gives.
    fn node(&mut self, node: &DeviceNode) -> Result<Flow, ExportError> {
        let flows: Vec<(Value, Flow)> = node.inputs.iter().map(|&input| (input, self.flow(input))).collect();
        let rows = flows.first().and_then(|(_, flow)| flow.rows);
        if let Some(rows) = rows.filter(|_| flows.iter().all(|(_, flow)| flow.rows == rows))
            && let Some(flow) = self.on_rows(node, &flows, rows)?
        {
            return Ok(flow);
        }
        let gathered: Vec<_> = node.inputs.iter().map(|&input| (input, self.gathered(input))).collect();
        let (inputs, first) = self.aligned(&gathered);
        let shape = self.whole.shape(node.output).clone();
        let value = self.push(&node.name, node.op.clone(), inputs, shape, node.output);
        Ok(Flow { value, rows: None, first })
    }

    /// The node on the rows of a run, if it can work on them.
    fn on_rows(&mut self, node: &DeviceNode, flows: &[(Value, Flow)], rows: usize) -> Result<Option<Flow>, ExportError> {
        let context = self.whole.context(node);
        let whole = self.whole.shape(node.output).clone();
        let (origin, flow) = flows[0];
        let length = context.inputs[0][0];
        let mut op = node.op.clone();
        op.stream();
        match node.op.rows(&context) {
            Rows::All => Ok(None),
            Rows::Future => Err(context.error(
                "it goes from the last step to the first beside a layer that goes forward, and a stream has no last step: export the \
                 whole model, or leave the backward layer out",
            )),
            Rows::Each => {
                let (inputs, first) = self.aligned(flows);
                let value = self.push(&node.name, op, inputs, with_rows(&whole, rows), node.output);
                Ok(Some(Flow { value, rows: Some(rows), first }))
            }
            Rows::Past if flow.first > 0 => {
                self.note(node, "it remembers, and would remember what comes before a window is full");
                Ok(None)
            }
            Rows::Past if whole.len() == context.inputs[0].len() => {
                let value = self.push(&node.name, op, vec![flow.value], with_rows(&whole, rows), node.output);
                Ok(Some(Flow { value, rows: Some(rows), first: 0 }))
            }
            Rows::Past => {
                if !length.is_multiple_of(rows) {
                    return Err(context.error(format!("its {length} steps are no multiple of the {rows} that come at a time")));
                }
                let value = self.push(&node.name, op, vec![flow.value], whole, node.output);
                Ok(Some(Flow { value, rows: None, first: length / rows - 1 }))
            }
            Rows::Windows { extent, stride, padding } => {
                // A single window is over all there is, for each run anew.
                if whole[0] == 1 {
                    return Ok(None);
                }
                if (whole[0] - 1) * stride + extent > length + padding || (padding > 0 && flow.first > 0) {
                    self.note(node, "of its padding at the sequence's ends");
                    return Ok(None);
                }
                if !rows.is_multiple_of(stride) {
                    return Err(context.error(format!(
                        "its stride of {stride} does not divide the {rows} rows that come to it at a time: take a hop {} times as large",
                        stride / greatest_common_divisor(stride, rows)
                    )));
                }
                let windows = rows / stride;
                // Windows begin where the whole sequence's do, its padding before its first row.
                let least = extent.saturating_sub(stride);
                let kept = (least..).find(|kept| (flow.first + kept) % stride == padding % stride).unwrap_or(least);
                let row = context.inputs[0].size() / length;
                let shape = with_rows(context.inputs[0], extent + (windows - 1) * stride);
                let input = self.delayed(flow, origin, kept * row, shape);
                let value = self.push(&node.name, op, vec![input], with_rows(&whole, windows), node.output);
                Ok(Some(Flow { value, rows: Some(windows), first: (flow.first + kept - padding) / stride }))
            }
        }
    }

    fn note(&mut self, node: &DeviceNode, why: &str) {
        let note = format!("{:?} computes its whole sequence in every run, because {why}", node.name);
        self.streamed.notes.push(note);
    }
}

/// Rows to keep so that the last `length` are at hand after a run of `rows`, the stream's row `first` being the first of them.
fn backlog(length: usize, rows: usize, first: usize) -> usize {
    let least = length.saturating_sub(rows);
    (least..).find(|kept| (first + kept).is_multiple_of(rows)).unwrap_or(least)
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
