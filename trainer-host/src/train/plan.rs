//! The plan: everything decided before the first step. Order, buffers, and the points where all shards must meet.
//!
//! A batch is cut into **shards** of consecutive samples, small enough that what a chain of layers touches stays in the
//! cache; some shards in a row make a **lane**, which is what threads take. Both depend on the model and the batch size,
//! never on the number of threads. Between the points where something of the whole batch is needed (batch
//! normalization's moments) a shard runs the whole chain of layers without waiting.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::memory::{Lifetime, share};
use crate::constraints::SharedConstraint;
use crate::graph::Layer;
use crate::graph::pass::{GradientPlace, ParameterPlace, Place};
use crate::graph::{Graph, Node, ParameterEntry, ParameterKind, Shape, SharedRounding, SharedTransform};
use crate::losses::Loss;
use crate::regularizers::SharedRegularizer;
use samara_runtime::LengthGroup;

/// What a lane does for one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Copies an input's samples.
    Gather { input: usize },
    /// Adds up what a node wants of its inputs.
    ForwardSums { node: usize },
    /// A node's output.
    Forward { node: usize },
    /// An output's loss, metric and gradient.
    Loss { output: usize },
    /// Adds up what a node wants of its output's gradient.
    BackwardSums { node: usize },
    /// A node's gradients.
    Backward { node: usize },
}

/// What happens when all shards have met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Barrier {
    /// Sums to state before a node's forward pass.
    Forward { node: usize },
    /// Sums to state before a node's backward pass.
    Backward { node: usize },
    /// Nothing more than waiting.
    End,
}

/// Steps for every shard, then a barrier.
#[derive(Debug)]
pub(super) struct Segment {
    pub steps: Vec<Step>,
    pub barrier: Barrier,
}

/// A node of the plan.
#[derive(Debug)]
pub(super) struct PlanNode {
    pub name: String,
    /// The layer; `None` for inputs.
    pub layer: Option<Arc<dyn Layer>>,
    pub input_shapes: Vec<Shape>,
    pub shape: Shape,
    pub in_place: bool,
    pub rounding: SharedRounding,
    /// The length groups of the output and of the inputs, numbered from 1 on; 0 for none.
    pub length: u16,
    pub input_length: u16,
    /// `true` if passes are those of training: not for frozen layers with statistics.
    pub training: bool,
    pub input_places: Vec<Place>,
    pub place: Place,
    /// Where the output's gradient lies, if there is one.
    pub gradient: Option<Place>,
    pub input_gradients: Vec<Option<GradientPlace>>,
    pub parameters: Vec<ParameterPlace>,
    pub state: usize,
    /// Values for each row that go on from batch to batch.
    pub carried: usize,
    /// Where lies what the forward pass leaves for the backward pass; nothing where none follows.
    pub saved: Option<Place>,
    pub sums: usize,
    pub backward_sums: usize,
}

/// An output with its loss.
#[derive(Debug)]
pub(super) struct PlanOutput {
    pub node: usize,
    pub target_size: usize,
    /// The node whose gradient the loss gives: the output, or what comes before the fused activation.
    pub gradient_node: usize,
    /// `true` if the loss includes the last activation.
    pub fused: bool,
    /// For sequences of several lengths the shapes of the output, of one step, of two, ...
    pub shapes: Vec<Shape>,
}

/// A block of a weight that learns: its gradient is brought together, then the optimizer changes it.
#[derive(Debug)]
pub(super) struct ParameterBlock {
    /// Of its parameter.
    pub name: String,
    /// Where the block starts within all weights.
    pub offset: usize,
    pub length: usize,
    pub gradient: BlockGradient,
    /// Adds its own to the gradient.
    pub regularizer: Option<SharedRegularizer>,
    /// What changes the gradient, with the number of the block's first value within its weight.
    pub transform: Option<(SharedTransform, usize)>,
    /// Whose learning-rate factor counts.
    pub layer: Arc<dyn Layer>,
}

/// How the gradient of a block comes about.
#[derive(Debug)]
pub(super) enum BlockGradient {
    /// Added up from the lanes, where it starts here.
    Lanes { start: usize },
    /// Made by the layer of these nodes over the whole batch.
    Batch {
        nodes: Vec<usize>,
        parameter: usize,
        /// Where the block starts within the parameter.
        start: usize,
    },
}

/// The whole plan.
#[derive(Debug)]
pub(super) struct Plan {
    pub nodes: Vec<PlanNode>,
    pub inputs: Vec<usize>,
    /// What fills up the steps of each input, if its lengths are found by that.
    pub paddings: Vec<Option<f32>>,
    pub length_groups: Vec<LengthGroup>,
    pub outputs: Vec<PlanOutput>,
    pub segments: Vec<Segment>,
    /// Sizes per sample of the buffers for values.
    pub value_sizes: Vec<usize>,
    /// Sizes per sample of the buffers for gradients.
    pub gradient_sizes: Vec<usize>,
    /// All weights that learn in blocks, by offset; what is frozen leaves gaps.
    pub blocks: Vec<ParameterBlock>,
    /// Where the learning weights with a penalty in the loss lie within all weights; none without losses.
    pub regularized: Vec<(Range<usize>, SharedRegularizer)>,
    /// What makes effective weights from stored ones, with the shape and where the weight lies within all weights.
    pub transforms: Vec<(Range<usize>, Shape, SharedTransform)>,
    /// What weights that learn are kept within after each step.
    pub constraints: Vec<(Range<usize>, Shape, SharedConstraint)>,
    /// Number of values of all weights.
    pub weights: usize,
    /// Size of the buffer of a lane's gradients.
    pub lane_gradients: usize,
    pub largest_sums: usize,
    /// Samples per shard, and shards per lane.
    pub shard_samples: usize,
    pub lane_shards: usize,
    pub lanes: usize,
    pub scratch: usize,
}

/// Parameters in a block, about: enough to be worth a task.
const BLOCK: usize = 1 << 15;
/// Bytes that a shard's largest layer should touch, at most: half of a core's second-level cache.
const SHARD_BYTES: usize = 512 << 10;
/// Most samples of a shard.
const MOST_SHARD_SAMPLES: usize = 32;
/// Most lanes: each has its own gradients, which must be added up.
const MOST_LANES: usize = 8;

impl Plan {
    /// How many samples all lanes work on at once, a shard each: where samples need not be seen together, larger batches take
    /// memory and give nothing.
    pub fn most_samples_at_once(graph: &Graph) -> usize {
        let shapes: Vec<Vec<Shape>> = (0..graph.nodes.len()).map(|node| graph.input_shapes(node)).collect();
        MOST_LANES * in_cache(working_set(graph.nodes.iter().map(|node| &node.shape).zip(shapes.iter().map(Vec::as_slice))))
    }

    /// Lets layers that make noise in training make it in this plan, too.
    pub fn with_noise(mut self) -> Self {
        for node in &mut self.nodes {
            node.training |= node.layer.as_ref().is_some_and(|layer| layer.is_noise());
        }
        self
    }

    /// Plans the steps for a batch of this size. With losses the plan computes losses and metrics; with `training` also
    /// gradients.
    pub fn new(graph: &Graph, batch: usize, losses: &[(Arc<dyn Loss>, f32)], training: bool) -> Self {
        let parameters = place_parameters(graph, training);
        let mut nodes: Vec<PlanNode> = graph
            .nodes
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let input_shapes = graph.input_shapes(index);
                let requirements = node.layer.as_ref().map(|layer| layer.requirements(&input_shapes));
                let requirements = requirements.unwrap_or_default();
                let training = training && !keeps_statistics(&graph.parameters[node.parameters.clone()]);
                PlanNode {
                    name: node.name.clone(),
                    training,
                    layer: node.layer.clone(),
                    length: node.length_group,
                    input_length: node
                        .inputs
                        .iter()
                        .map(|&input| graph.nodes[input].length_group)
                        .find(|&group| group > 0)
                        .unwrap_or(0),
                    shape: node.shape.clone(),
                    in_place: requirements.in_place,
                    rounding: node.rounding.clone(),
                    input_places: Vec::new(),
                    place: Place { slot: 0, size: node.shape.size() },
                    gradient: None,
                    input_gradients: vec![None; node.inputs.len()],
                    parameters: parameters.places[node.parameters.clone()].to_vec(),
                    state: requirements.state,
                    carried: requirements.carried,
                    saved: None,
                    sums: if training { requirements.forward_sums } else { 0 },
                    backward_sums: if training { requirements.backward_sums } else { 0 },
                    input_shapes,
                }
            })
            .collect();
        let outputs = plan_outputs(graph, losses);
        // A loss that includes the activation is of what it gives before it is rounded: a probability of 0 has no logarithm.
        for output in outputs.iter().filter(|output| output.fused) {
            nodes[output.node].rounding = SharedRounding::default();
        }
        let steps = order_steps(graph, &nodes, &outputs, training);
        let value_sizes = place_values(graph, &mut nodes, &outputs, &steps, training, !losses.is_empty());
        let gradient_sizes = if training { place_gradients(graph, &mut nodes, &outputs, &steps) } else { Vec::new() };
        let working_set = working_set(nodes.iter().map(|node| (&node.shape, &node.input_shapes[..])));
        let (lanes, lane_shards, shard_samples) = cut(batch, working_set);
        let scratch_of =
            |node: &PlanNode| node.layer.as_ref().map_or(0, |layer| layer.scratch(&node.input_shapes, shard_samples));
        Self {
            scratch: nodes.iter().map(scratch_of).fold(0, Ord::max),
            largest_sums: nodes.iter().map(|node| node.sums.max(node.backward_sums)).fold(0, Ord::max),
            blocks: if training { blocks(graph, &nodes) } else { Vec::new() },
            regularized: if losses.is_empty() { Vec::new() } else { regularized(graph, &parameters) },
            transforms: transforms(graph, &parameters),
            constraints: constraints(graph, &parameters),
            weights: parameters.weights,
            inputs: graph.inputs.clone(),
            paddings: graph.inputs.iter().map(|&input| graph.padding(input)).collect(),
            length_groups: graph.length_groups.clone(),
            outputs,
            segments: segments(&nodes, steps),
            value_sizes,
            gradient_sizes,
            lane_gradients: parameters.lane_gradients,
            shard_samples,
            lane_shards,
            lanes,
            nodes,
        }
    }
}

/// Bytes of one sample that a node reads and writes, at most.
fn working_set<'a>(nodes: impl Iterator<Item = (&'a Shape, &'a [Shape])>) -> usize {
    let of_node = |(output, inputs): (&Shape, &[Shape])| 4 * (output.size() + inputs.iter().map(|i| i.size()).sum::<usize>());
    nodes.map(of_node).fold(1, Ord::max)
}

/// Samples of a shard, at most.
fn in_cache(working_set: usize) -> usize {
    (SHARD_BYTES / working_set).clamp(1, MOST_SHARD_SAMPLES)
}

/// Lanes, shards per lane and samples per shard for a batch.
fn cut(batch: usize, bytes_per_sample: usize) -> (usize, usize, usize) {
    let in_cache = in_cache(bytes_per_sample);
    // At least two lanes' worth, so that small batches of small nets still use two threads.
    let shard_samples = in_cache.min(batch.div_ceil(2)).max(1);
    let shards = batch.div_ceil(shard_samples);
    let lane_shards = shards.div_ceil(MOST_LANES);
    (shards.div_ceil(lane_shards), lane_shards, shard_samples)
}

/// Where all parameters lie.
struct PlacedParameters {
    places: Vec<ParameterPlace>,
    weights: usize,
    statistics: usize,
    lane_gradients: usize,
}

fn place_parameters(graph: &Graph, training: bool) -> PlacedParameters {
    let mut placed = PlacedParameters { places: Vec::new(), weights: 0, statistics: 0, lane_gradients: 0 };
    for entry in &graph.parameters {
        let size = entry.shape.size();
        let end = match entry.kind {
            ParameterKind::Weight => &mut placed.weights,
            ParameterKind::Statistic => &mut placed.statistics,
        };
        let range = *end..*end + size;
        *end += size;
        // A gradient made over the whole batch has no place in the lanes.
        let whole_batch = entry.layer.has_batch_weight_gradient();
        let in_lane = if training && entry.learns() && !whole_batch { size } else { 0 };
        let lane_range = placed.lane_gradients..placed.lane_gradients + in_lane;
        placed.lane_gradients += in_lane;
        placed.places.push(ParameterPlace { kind: entry.kind, range, lane_range });
    }
    placed
}

/// `true` for the parameters of a frozen layer with statistics.
fn keeps_statistics(parameters: &[ParameterEntry]) -> bool {
    let is_statistic = |entry: &ParameterEntry| entry.kind == ParameterKind::Statistic;
    parameters.iter().any(|entry| is_statistic(entry) && !entry.layer.base().is_trainable())
}

/// The weights with a penalty in the loss.
fn regularized(graph: &Graph, parameters: &PlacedParameters) -> Vec<(Range<usize>, SharedRegularizer)> {
    let entries = graph.parameters.iter().zip(&parameters.places).filter(|(entry, _)| entry.learns());
    entries.filter_map(|(entry, place)| Some((place.range.clone(), entry.regularizer.clone()?))).collect()
}

/// The weights that layers see transformed.
fn transforms(graph: &Graph, parameters: &PlacedParameters) -> Vec<(Range<usize>, Shape, SharedTransform)> {
    let entries = graph.parameters.iter().zip(&parameters.places).filter(|(entry, _)| entry.kind == ParameterKind::Weight);
    entries.filter_map(|(entry, place)| Some((place.range.clone(), entry.shape.clone(), entry.transform()?))).collect()
}

/// The weights that are kept within something.
fn constraints(graph: &Graph, parameters: &PlacedParameters) -> Vec<(Range<usize>, Shape, SharedConstraint)> {
    let entries = graph.parameters.iter().zip(&parameters.places).filter(|(entry, _)| entry.learns());
    entries.filter_map(|(entry, place)| Some((place.range.clone(), entry.shape.clone(), entry.constraint()?))).collect()
}

/// Decides for each output whether loss and last activation are computed as one.
fn plan_outputs(graph: &Graph, losses: &[(Arc<dyn Loss>, f32)]) -> Vec<PlanOutput> {
    let mut outputs = Vec::new();
    for (position, &node) in graph.outputs.iter().enumerate() {
        let mut output = PlanOutput { node, target_size: 0, gradient_node: node, fused: false, shapes: Vec::new() };
        let Node { shape, length_group, .. } = &graph.nodes[node];
        if *length_group > 0 {
            output.shapes = (1..=shape[0]).map(|steps| Shape::from([&[steps], &shape[1..]].concat())).collect();
        }
        if let Some((loss, _)) = losses.get(position) {
            output.target_size = loss.target_shape(&graph.nodes[node].shape).map_or(0, |shape| shape.size());
            let activation = graph.nodes[node].layer.as_ref().and_then(|layer| layer.as_activation());
            if let (Some(fused), Some(last)) = (loss.fused_activation(), activation)
                && fused == last
                && graph.nodes[node].consumers.is_empty()
                && graph.outputs.iter().filter(|&&other| other == node).count() == 1
            {
                output.gradient_node = graph.nodes[node].inputs[0];
                output.fused = true;
            }
        }
        outputs.push(output);
    }
    outputs
}

/// Which nodes' outputs need gradients: those that depend on something that learns.
fn wants_gradient(graph: &Graph) -> Vec<bool> {
    let mut wants = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        let own = graph.parameters[node.parameters.clone()].iter().any(ParameterEntry::learns);
        wants[index] = own || node.inputs.iter().any(|&input| wants[input]);
    }
    wants
}

/// All steps in order, as if nobody had to meet.
fn order_steps(graph: &Graph, nodes: &[PlanNode], outputs: &[PlanOutput], training: bool) -> Vec<Step> {
    let mut steps: Vec<Step> = (0..graph.inputs.len()).map(|input| Step::Gather { input }).collect();
    for (node, plan) in nodes.iter().enumerate().filter(|(_, plan)| plan.layer.is_some()) {
        if plan.sums > 0 {
            steps.push(Step::ForwardSums { node });
        }
        steps.push(Step::Forward { node });
    }
    steps.extend((0..outputs.len()).map(|output| Step::Loss { output }));
    if training {
        let wants = wants_gradient(graph);
        for node in (0..nodes.len()).rev().filter(|&node| wants[node] && nodes[node].layer.is_some()) {
            if outputs.iter().any(|output| output.fused && output.node == node) {
                continue;
            }
            if nodes[node].backward_sums > 0 {
                steps.push(Step::BackwardSums { node });
            }
            steps.push(Step::Backward { node });
        }
    }
    steps
}

/// Gives every node's output a buffer, and what nodes save for their backward passes; returns the buffers' sizes.
fn place_values(
    graph: &Graph,
    nodes: &mut [PlanNode],
    outputs: &[PlanOutput],
    steps: &[Step],
    training: bool,
    losses: bool,
) -> Vec<usize> {
    let is_output = |node: usize| outputs.iter().any(|output| output.node == node);
    let is_before_fused = |node: usize| outputs.iter().any(|output| output.fused && output.gradient_node == node);
    // A layer in place writes over its input where nobody else looks at it: the head of such a chain owns the buffer.
    let mut head: Vec<usize> = (0..nodes.len()).collect();
    for node in 0..nodes.len() {
        let [input] = graph.nodes[node].inputs[..] else { continue };
        let producer = &nodes[input];
        let producer_reads =
            training && producer.layer.as_ref().is_some_and(|l| l.requirements(&producer.input_shapes).backward_reads_output);
        let kept = is_output(input) || (losses && is_before_fused(input)) || producer_reads;
        if nodes[node].in_place && graph.nodes[input].consumers.len() == 1 && !kept {
            head[node] = head[input];
        }
    }
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; nodes.len()];
    let mut touch = |node: usize, step: usize| {
        let size = nodes[node].shape.size();
        let life = lifetimes[head[node]].get_or_insert(Lifetime { first: step, last: step, size });
        life.last = life.last.max(step);
    };
    for (step, &kind) in steps.iter().enumerate() {
        match kind {
            Step::Gather { input } => touch(graph.inputs[input], step),
            Step::ForwardSums { node } => graph.nodes[node].inputs.iter().for_each(|&input| touch(input, step)),
            Step::Forward { node } => {
                graph.nodes[node].inputs.iter().for_each(|&input| touch(input, step));
                touch(node, step);
            }
            Step::Loss { output } => {
                touch(outputs[output].node, step);
                touch(outputs[output].gradient_node, step);
            }
            Step::BackwardSums { node } | Step::Backward { node } => {
                let Some(layer) = &nodes[node].layer else { continue };
                let requirements = layer.requirements(&nodes[node].input_shapes);
                let until = if layer.has_batch_weight_gradient() { steps.len() } else { step };
                if requirements.backward_reads_inputs {
                    graph.nodes[node].inputs.iter().for_each(|&input| touch(input, until));
                }
                if requirements.backward_reads_output {
                    touch(node, step);
                }
            }
        }
    }
    // The caller of a prediction reads the outputs after the last step.
    outputs.iter().for_each(|output| touch(output.node, steps.len()));
    lifetimes.extend(lives_of_saved(nodes, steps));
    let (places, sizes) = share(&lifetimes);
    let (places, saved) = places.split_at(nodes.len());
    for node in 0..nodes.len() {
        nodes[node].saved = saved[node];
        nodes[node].place = places[head[node]].unwrap_or(nodes[node].place);
        nodes[node].input_places = graph.nodes[node].inputs.iter().map(|&input| nodes[input].place).collect();
    }
    sizes
}

/// When what nodes save is in use: from their forward to their backward passes.
fn lives_of_saved(nodes: &[PlanNode], steps: &[Step]) -> Vec<Option<Lifetime>> {
    let mut born = vec![0; nodes.len()];
    let mut lives = vec![None; nodes.len()];
    for (step, &kind) in steps.iter().enumerate() {
        match kind {
            Step::Forward { node } => born[node] = step,
            Step::Backward { node } => {
                let saved = nodes[node].layer.as_ref().map_or(0, |layer| layer.requirements(&nodes[node].input_shapes).saved);
                lives[node] = (saved > 0).then_some(Lifetime { first: born[node], last: step, size: saved });
            }
            _ => {}
        }
    }
    lives
}

/// Gives every gradient a buffer; returns the buffers' sizes.
fn place_gradients(graph: &Graph, nodes: &mut [PlanNode], outputs: &[PlanOutput], steps: &[Step]) -> Vec<usize> {
    let wants = wants_gradient(graph);
    // How many parts each gradient is added up from.
    let mut parts = vec![0; nodes.len()];
    for output in outputs {
        parts[output.gradient_node] += usize::from(wants[output.gradient_node]);
    }
    for (node, entry) in graph.nodes.iter().enumerate() {
        if wants[node] && !outputs.iter().any(|output| output.fused && output.node == node) {
            entry.inputs.iter().for_each(|&input| parts[input] += 1);
        }
    }
    let mut head: Vec<usize> = (0..nodes.len()).collect();
    for node in (0..nodes.len()).rev() {
        let [input] = graph.nodes[node].inputs[..] else { continue };
        let fused = outputs.iter().any(|output| output.fused && output.node == node);
        if nodes[node].in_place && parts[input] == 1 && !fused {
            head[input] = head[node];
        }
    }
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; nodes.len()];
    let mut begun = vec![false; nodes.len()];
    let mut touch = |node: usize, step: usize| {
        let size = nodes[node].shape.size();
        let life = lifetimes[head[node]].get_or_insert(Lifetime { first: step, last: step, size });
        life.last = life.last.max(step);
    };
    let mut accumulates: Vec<Vec<bool>> = graph.nodes.iter().map(|node| vec![false; node.inputs.len()]).collect();
    for (step, &kind) in steps.iter().enumerate() {
        match kind {
            Step::Loss { output } => {
                let node = outputs[output].gradient_node;
                if wants[node] {
                    touch(node, step);
                    begun[node] = true;
                }
            }
            Step::BackwardSums { node } => touch(node, step),
            Step::Backward { node } => {
                let Some(layer) = &nodes[node].layer else { continue };
                let whole_batch = layer.has_batch_weight_gradient();
                touch(node, if whole_batch { steps.len() } else { step });
                for (position, &input) in graph.nodes[node].inputs.iter().enumerate().filter(|&(_, &i)| wants[i]) {
                    touch(input, step);
                    accumulates[node][position] = std::mem::replace(&mut begun[input], true);
                }
            }
            _ => {}
        }
    }
    let (places, sizes) = share(&lifetimes);
    for node in 0..nodes.len() {
        nodes[node].gradient = places[head[node]];
        nodes[node].input_gradients = graph.nodes[node]
            .inputs
            .iter()
            .zip(&accumulates[node])
            .map(|(&input, &accumulate)| {
                let place = if wants[input] { places[head[input]] } else { None };
                place.map(|place| GradientPlace { place, accumulate })
            })
            .collect();
    }
    sizes
}

/// Cuts the steps where a node needs sums over the batch.
fn segments(nodes: &[PlanNode], steps: Vec<Step>) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut current = Vec::new();
    for step in steps {
        // Without sums there is nothing to wait for, but state is filled all the same before the first segment.
        let barrier = match step {
            Step::ForwardSums { node } if nodes[node].sums > 0 => Some(Barrier::Forward { node }),
            Step::BackwardSums { node } => Some(Barrier::Backward { node }),
            _ => None,
        };
        current.push(step);
        if let Some(barrier) = barrier {
            segments.push(Segment { steps: std::mem::take(&mut current), barrier });
        }
    }
    segments.push(Segment { steps: current, barrier: Barrier::End });
    segments
}

/// All weights that learn in blocks, by offset.
fn blocks(graph: &Graph, nodes: &[PlanNode]) -> Vec<ParameterBlock> {
    let mut blocks = Vec::new();
    let mut sharing: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(_, node)| !node.parameters.is_empty()) {
        sharing.entry(node.parameters.start).or_default().push(index);
    }
    for (index, node) in nodes.iter().enumerate() {
        let Some(layer) = &node.layer else { continue };
        let range = &graph.nodes[index].parameters;
        // Once for each layer: at the first of its nodes.
        let Some(sharing) = sharing.get(&range.start).filter(|sharing| sharing.first() == Some(&index)) else { continue };
        for (parameter, place) in node.parameters.iter().enumerate() {
            let entry = &graph.parameters[range.start + parameter];
            if !entry.learns() {
                continue;
            }
            let row = entry.shape.channels();
            let step = (BLOCK / row).max(1) * row;
            for start in (0..place.range.len()).step_by(step) {
                let gradient = if layer.has_batch_weight_gradient() {
                    BlockGradient::Batch { nodes: sharing.clone(), parameter, start }
                } else {
                    BlockGradient::Lanes { start: place.lane_range.start + start }
                };
                let length = step.min(place.range.len() - start);
                let (offset, regularizer) = (place.range.start + start, entry.regularizer.clone());
                let (layer, transform) = (layer.clone(), entry.transform().map(|transform| (transform, start)));
                let name = entry.name.clone();
                blocks.push(ParameterBlock { name, offset, length, gradient, regularizer, transform, layer });
            }
        }
    }
    blocks.sort_by_key(|block| block.offset);
    blocks
}
