//! What lanes do between two barriers: the steps of a plan, for some shards of the batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::feed::Feed;
use super::objective::{Objective, class_of};
use super::plan::{Plan, PlanNode, Step};
use crate::data::BatchBuffers;
use crate::error::Error;
use crate::graph::pass::{Backward, Forward, InputGradients, Inputs, ParameterGradients, Parameters, RandomKey};
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
        let place = shared.plan.nodes[shared.plan.inputs[input]].place;
        let Batch { feed, buffers, .. } = shared.batch;
        let copy = |from: &[f32], to: &mut [f32]| {
            let size = from.len() / buffers.samples();
            to[..size * self.samples].copy_from_slice(&from[self.first * size..(self.first + self.samples) * size]);
        };
        copy(buffers.input_values(feed.inputs[input]), &mut self.values[place.slot]);
        if input == 0 {
            for (targets, &target) in self.targets.iter_mut().zip(&feed.targets) {
                copy(buffers.target_values(target), targets);
            }
        }
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
            state: &shared.states[index],
            saved: &mut saved[..saved_place.map_or(0, |place| place.size * samples)],
            scratch,
            random,
        };
        match sums {
            Some(sums) => layer.forward_sums(&pass, &mut sums[..node.sums]),
            None => layer.forward(&mut pass),
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
        let sum = match (own, classes) {
            (None, None) => objective.loss.evaluate(&mut pass),
            (own, classes) => {
                let size = output.target_size;
                let of_class = |sample: usize, classes: &[f32]| {
                    class_of(&targets[sample * size..(sample + 1) * size]).and_then(|class| classes.get(class).copied())
                };
                weighted(&*objective.loss, pass, size, |sample| {
                    let own = own.map_or(1.0, |weights| weights[self.first + sample]);
                    own * classes.and_then(|classes| of_class(sample, classes)).unwrap_or(1.0)
                })
            }
        };
        let start: usize = shared.objectives[..index].iter().map(Objective::sums).sum();
        results[start] += sum;
        let pass = MetricPass { samples, shape: &node.shape, output: values, targets };
        let mut results = &mut results[start + 1..];
        for metric in objective.metrics() {
            let (own, others) = results.split_at_mut(metric.sums());
            metric.add(&pass, own);
            results = others;
        }
    }
}

/// The sum of the samples' losses times their weights: the loss is asked for one sample at a time.
fn weighted(loss: &dyn Loss, pass: LossPass<'_>, target_size: usize, weight: impl Fn(usize) -> f32) -> f64 {
    let LossPass { samples, shape, output, before_activation, targets, mut gradient, scale } = pass;
    let size = shape.size();
    let mut sum = 0.0;
    for sample in 0..samples {
        let (range, weight) = (sample * size..(sample + 1) * size, weight(sample));
        let own = loss.evaluate(&mut LossPass {
            samples: 1,
            shape,
            output: &output[range.clone()],
            before_activation: before_activation.map(|values| &values[range.clone()]),
            targets: &targets[sample * target_size..(sample + 1) * target_size],
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
