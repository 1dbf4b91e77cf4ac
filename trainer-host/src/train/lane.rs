//! What lanes do between two barriers: the steps of a plan, for some shards of the batch.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::feed::Feed;
use super::objective::{Objective, class_of};
use super::plan::{Plan, PlanNode, Step};
use crate::data::BatchBuffers;
use crate::error::Error;
use crate::graph::pass::{Backward, Forward, InputGradients, Inputs, ParameterGradients, Parameters, RandomKey};
use crate::graph::{Shape, clear_behind, length_before_padding};
use crate::losses::{Loss, LossPass};
use crate::metrics::MetricPass;
use crate::numeric::Aligned;
use crate::numeric::random::derive;

/// A batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub feed: &'a Feed<'a>,
    pub buffers: &'a BatchBuffers,
    /// From which layers' random numbers derive.
    pub key: u64,
}

/// Buffers of some consecutive samples.
#[derive(Debug)]
pub(super) struct Shard {
    /// Where it begins within the batch, and how many samples it has in this step.
    pub first: usize,
    pub samples: usize,
    pub values: Vec<Aligned>,
    pub gradients: Vec<Aligned>,
    pub targets: Vec<Aligned>,
    /// For each length group, how many steps each sample has.
    pub lengths: Vec<Vec<u32>>,
    /// For each node what its rows carry from batch to batch.
    pub carried: Vec<Vec<f32>>,
}

/// What one thread works on at a time: some shards in a row, with the sums over them.
#[derive(Debug)]
pub(super) struct Lane {
    pub shards: Vec<Shard>,
    pub scratch: Aligned,
    pub gradients: Aligned,
    pub sums: Vec<f64>,
    /// For each output the sum of its losses, then the sums of its metrics; the last is left to the executor.
    pub results: Vec<f64>,
    /// What went wrong in it.
    pub fault: Option<Fault>,
}

/// What all lanes may read.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub plan: &'a Plan,
    pub objectives: &'a [Objective],
    pub training: bool,
    pub weights: &'a [f32],
    pub statistics: &'a [f32],
    pub states: &'a [Vec<f32>],
    pub batch: Batch<'a>,
}

/// A panic in what may be written outside.
#[derive(Debug)]
pub(super) struct Fault {
    node: usize,
    doing: &'static str,
    reason: String,
}

impl Fault {
    pub fn of(self, plan: &Plan) -> Error {
        let node = &plan.nodes[self.node];
        let kind = node.layer.as_ref().map_or("input", |layer| layer.kind());
        Error::Panic { layer: node.name.clone(), kind, doing: self.doing, reason: self.reason }
    }
}

/// Calls a layer, a loss or a metric.
pub(super) fn guarded(node: usize, doing: &'static str, work: impl FnOnce()) -> Result<(), Fault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Fault { node, doing, reason: text.unwrap_or_else(|| "it panicked".to_owned()) }
    })
}

impl Lane {
    /// Does steps for all shards, until a layer, loss or metric panics.
    pub fn run(&mut self, steps: &[Step], is_first: bool, shared: Shared<'_>) {
        self.sums.fill(0.0);
        if is_first {
            self.results.fill(0.0);
            self.gradients.fill(0.0);
        }
        let Self { shards, scratch, gradients, sums, results, fault } = self;
        for shard in shards.iter_mut().filter(|shard| shard.samples > 0) {
            for &step in steps {
                let (node, doing) = match step {
                    Step::Gather { input } => (shared.plan.inputs[input], "gathering its samples"),
                    Step::ForwardSums { node } => (node, "the sums before its forward pass"),
                    Step::Forward { node } => (node, "its forward pass"),
                    Step::Loss { output } => (shared.plan.outputs[output].node, "the loss or a metric of its output"),
                    Step::BackwardSums { node } => (node, "the sums before its backward pass"),
                    Step::Backward { node } => (node, "its backward pass"),
                };
                let work = || match step {
                    Step::Gather { input } => shard.gather(input, shared),
                    Step::ForwardSums { node } => shard.forward(node, shared, scratch, Some(sums)),
                    Step::Forward { node } => shard.forward(node, shared, scratch, None),
                    Step::Loss { output } => shard.loss(output, shared, results),
                    Step::BackwardSums { node } => shard.backward(node, shared, scratch, gradients, Some(sums)),
                    Step::Backward { node } => shard.backward(node, shared, scratch, gradients, None),
                };
                if let Err(found) = guarded(node, doing, work) {
                    *fault = Some(found);
                    return;
                }
            }
        }
    }
}

impl Shard {
    fn gather(&mut self, input: usize, shared: Shared<'_>) {
        let node = &shared.plan.nodes[shared.plan.inputs[input]];
        let Batch { feed, buffers, .. } = shared.batch;
        let own = |values: &'_ [f32]| -> Range<usize> {
            let size = values.len() / buffers.samples();
            self.first * size..(self.first + self.samples) * size
        };
        let from = buffers.input_values(feed.inputs[input]);
        let (from, to) = (&from[own(from)], &mut self.values[node.place.slot]);
        if node.length == 0 {
            to[..from.len()].copy_from_slice(from);
        }
        if input == 0 {
            for (targets, &target) in self.targets.iter_mut().zip(&feed.targets) {
                let from = buffers.target_values(target);
                let from = &from[own(from)];
                targets[..from.len()].copy_from_slice(from);
            }
        }
        if node.length > 0 {
            let given = buffers.length_values(feed.inputs[input]).map(|given| &given[self.first..self.first + self.samples]);
            self.gather_steps(from, given, shared.plan, input);
        }
        if let Some(rounding) = node.rounding.get() {
            rounding.apply(&mut self.values[node.place.slot][..node.place.size * self.samples]);
        }
    }

    /// Copies the steps that samples have, of which the source may have fewer than the model takes at most, and finds how many that
    /// are, and what follows for other length groups. Behind them stand zeros.
    fn gather_steps(&mut self, from: &[f32], given: Option<&[u32]>, plan: &Plan, input: usize) {
        let node = &plan.nodes[plan.inputs[input]];
        let size = node.place.size;
        let row = size / node.shape[0];
        let own = &mut self.lengths[usize::from(node.length) - 1][..self.samples];
        let samples =
            from.chunks_exact((from.len() / own.len()).max(1)).zip(self.values[node.place.slot].chunks_exact_mut(size));
        for (sample, (own, (from, to))) in own.iter_mut().zip(samples).enumerate() {
            let length = match (given, plan.paddings[input]) {
                (Some(given), _) => given[sample] as usize,
                (None, Some(padding)) => length_before_padding(from, row, padding),
                (None, None) => from.len() / row,
            };
            let (real, behind) = to.split_at_mut(length * row);
            real.copy_from_slice(&from[..length * row]);
            behind.fill(0.0);
            *own = length as u32;
        }
        for (number, group) in plan.length_groups.iter().enumerate().filter(|(_, group)| group.source > 0) {
            let (before, own) = self.lengths.split_at_mut(number);
            let source = &before[usize::from(group.source) - 1][..self.samples];
            own[0].iter_mut().zip(source).for_each(|(own, &source)| *own = group.derived(source).unwrap_or(0));
        }
    }

    /// How many steps each sample has in a length group; `None` for no group.
    pub fn lengths_of(&self, group: u16) -> Option<&[u32]> {
        lengths_of(&self.lengths, group, self.samples)
    }

    fn random(&self, index: usize, shared: Shared<'_>) -> RandomKey {
        RandomKey { key: derive(shared.batch.key, index as u64), first_sample: self.first }
    }

    fn forward(&mut self, index: usize, shared: Shared<'_>, scratch: &mut [f32], sums: Option<&mut Vec<f64>>) {
        let node = &shared.plan.nodes[index];
        let Some(layer) = &node.layer else { return };
        let samples = self.samples;
        let random = self.random(index, shared);
        // The output's buffer is taken out while the layer reads the others.
        let mut output = std::mem::take(&mut self.values[node.place.slot]);
        let saved_place = node.saved.filter(|_| sums.is_none());
        let mut saved = saved_place.map(|place| std::mem::take(&mut self.values[place.slot])).unwrap_or_default();
        if node.in_place && sums.is_none() {
            let input = node.input_places[0];
            if input.slot != node.place.slot {
                output[..input.size * samples].copy_from_slice(&self.values[input.slot][..input.size * samples]);
            }
        }
        let mut pass = Forward {
            samples,
            training: node.training,
            inputs: Inputs { slots: &self.values, places: &node.input_places, samples },
            input_shapes: &node.input_shapes,
            output_shape: &node.shape,
            output: &mut output[..node.place.size * samples],
            parameters: parameters(node, shared),
            lengths: lengths_of(&self.lengths, node.input_length, samples),
            state: &shared.states[index],
            saved: &mut saved[..saved_place.map_or(0, |place| place.size * samples)],
            carried: &mut self.carried[index][..node.carried * samples],
            scratch,
            random,
        };
        match sums {
            Some(sums) => layer.forward_sums(&pass, &mut sums[..node.sums]),
            None => {
                layer.forward(&mut pass);
                self.clear_behind(node, &mut output);
                if let Some(rounding) = node.rounding.get() {
                    rounding.apply(&mut output[..node.place.size * samples]);
                }
            }
        }
        self.values[node.place.slot] = output;
        if let Some(place) = saved_place {
            self.values[place.slot] = saved;
        }
    }

    fn backward(
        &mut self,
        index: usize,
        shared: Shared<'_>,
        scratch: &mut [f32],
        gradients: &mut [f32],
        sums: Option<&mut Vec<f64>>,
    ) {
        let node = &shared.plan.nodes[index];
        let (Some(layer), Some(place)) = (&node.layer, node.gradient) else { return };
        let samples = self.samples;
        let random = self.random(index, shared);
        let mut output_gradient = std::mem::take(&mut self.gradients[place.slot]);
        self.clear_behind(node, &mut output_gradient);
        let is_sums = sums.is_some();
        let mut pass = Backward {
            samples,
            inputs: Inputs { slots: &self.values, places: &node.input_places, samples },
            input_shapes: &node.input_shapes,
            output: &self.values[node.place.slot][..node.place.size * samples],
            output_shape: &node.shape,
            output_gradient: &mut output_gradient[..place.size * samples],
            input_gradients: InputGradients { slots: &mut self.gradients, places: &node.input_gradients, samples },
            parameters: parameters(node, shared),
            parameter_gradients: ParameterGradients { values: gradients, places: &node.parameters },
            lengths: lengths_of(&self.lengths, node.input_length, samples),
            state: &shared.states[index],
            saved: node.saved.map_or(&[], |place| &self.values[place.slot][..place.size * samples]),
            scratch,
            random,
        };
        match sums {
            Some(sums) => layer.backward_sums(&pass, &mut sums[..node.backward_sums]),
            None => layer.backward(&mut pass),
        }
        if node.in_place
            && !is_sums
            && let Some(input) = node.input_gradients[0]
            && input.place.slot != place.slot
        {
            let mut input_gradients = InputGradients { slots: &mut self.gradients, places: &node.input_gradients, samples };
            if let Some(slot) = input_gradients.get_mut(0) {
                slot.add(&output_gradient[..place.size * samples]);
            }
        }
        self.gradients[place.slot] = output_gradient;
    }

    /// Makes zeros of what lies behind the steps that samples have in a node's output or its gradient.
    fn clear_behind(&self, node: &PlanNode, values: &mut [f32]) {
        if let Some(lengths) = self.lengths_of(node.length) {
            clear_behind(values, lengths, node.place.size, node.shape[0]);
        }
    }

    fn loss(&mut self, index: usize, shared: Shared<'_>, results: &mut [f64]) {
        let Some(objective) = shared.objectives.get(index) else { return };
        let output = &shared.plan.outputs[index];
        let samples = self.samples;
        let node = &shared.plan.nodes[output.node];
        let before = &shared.plan.nodes[output.gradient_node];
        let targets = &self.targets[index][..output.target_size * samples];
        let values = &self.values[node.place.slot][..node.place.size * samples];
        let gradient = before.gradient.filter(|_| shared.training);
        let gradient = gradient.map(|place| &mut self.gradients[place.slot][..place.size * samples]);
        let mut pass = LossPass {
            samples,
            shape: &node.shape,
            output: values,
            before_activation: output.fused.then(|| &self.values[before.place.slot][..before.place.size * samples]),
            targets,
            gradient,
            scale: objective.weight / shared.batch.buffers.samples() as f32,
        };
        let classes = objective.class_weights.as_deref().filter(|_| shared.training);
        let own = shared.batch.buffers.weight_values(shared.batch.feed.targets[index]);
        let lengths = lengths_of(&self.lengths, node.length, samples);
        let parts = Parts { target_size: output.target_size, shapes: &output.shapes, lengths };
        let sum = if own.is_none() && classes.is_none() && lengths.is_none() {
            objective.loss.evaluate(&mut pass)
        } else {
            let size = output.target_size;
            let of_class = |sample: usize, classes: &[f32]| {
                class_of(&targets[sample * size..(sample + 1) * size]).and_then(|class| classes.get(class).copied())
            };
            weighted(&*objective.loss, pass, parts, |sample| {
                let own = own.map_or(1.0, |weights| weights[self.first + sample]);
                own * classes.and_then(|classes| of_class(sample, classes)).unwrap_or(1.0)
            })
        };
        let start: usize = shared.objectives[..index].iter().map(Objective::sums).sum();
        results[start] += sum;
        let mut results = &mut results[start + 1..];
        for metric in objective.metrics() {
            let (own, others) = results.split_at_mut(metric.sums());
            if lengths.is_some() {
                for sample in 0..samples {
                    let (shape, range, of_target) = parts.of_sample(&node.shape, sample);
                    metric.add(&MetricPass { samples: 1, shape, output: &values[range], targets: &targets[of_target] }, own);
                }
            } else {
                metric.add(&MetricPass { samples, shape: &node.shape, output: values, targets }, own);
            }
            results = others;
        }
    }
}

/// Of some samples, the lengths of a group.
fn lengths_of(lengths: &[Vec<u32>], group: u16, samples: usize) -> Option<&[u32]> {
    lengths.get(usize::from(group).checked_sub(1)?).map(|lengths| &lengths[..samples])
}

/// Where samples lie in outputs and targets, each with as many steps as it has.
#[derive(Clone, Copy)]
struct Parts<'a> {
    target_size: usize,
    shapes: &'a [Shape],
    lengths: Option<&'a [u32]>,
}

impl<'a> Parts<'a> {
    /// Shape and place of a sample's output of this shape, and the place of its target: of the steps that it has.
    fn of_sample(&self, shape: &'a Shape, sample: usize) -> (&'a Shape, Range<usize>, Range<usize>) {
        let place = |size: usize, own: usize| sample * size..sample * size + own;
        let Some(lengths) = self.lengths else {
            return (shape, place(shape.size(), shape.size()), place(self.target_size, self.target_size));
        };
        let own = &self.shapes[lengths[sample] as usize - 1];
        // A target that has no steps is one for the whole sequence.
        let of_target = real_part(self.target_size, shape[0], lengths[sample]);
        (own, place(shape.size(), own.size()), place(self.target_size, of_target))
    }
}

/// The values of a sample's target, of `size` values, that are for so many of the output's `steps`.
pub(super) fn real_part(size: usize, steps: usize, length: u32) -> usize {
    if size.is_multiple_of(steps) { size / steps * length as usize } else { size }
}

/// The sum of the samples' losses times their weights: the loss is asked for one sample at a time, of the steps that it has.
fn weighted(loss: &dyn Loss, pass: LossPass<'_>, parts: Parts<'_>, weight: impl Fn(usize) -> f32) -> f64 {
    let LossPass { samples, shape, output, before_activation, targets, mut gradient, scale } = pass;
    let mut sum = 0.0;
    for sample in 0..samples {
        let ((own, range, of_target), weight) = (parts.of_sample(shape, sample), weight(sample));
        let own = loss.evaluate(&mut LossPass {
            samples: 1,
            shape: own,
            output: &output[range.clone()],
            before_activation: before_activation.map(|values| &values[range.clone()]),
            targets: &targets[of_target],
            gradient: gradient.as_mut().map(|values| &mut values[range]),
            scale: scale * weight,
        });
        sum += f64::from(weight) * own;
    }
    sum
}

fn parameters<'a>(node: &'a PlanNode, shared: Shared<'a>) -> Parameters<'a> {
    Parameters { weights: shared.weights, statistics: shared.statistics, places: &node.parameters }
}
