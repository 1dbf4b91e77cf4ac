//! Runs a plan: lanes in parallel, meetings in between.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::feed::Feed;
use super::objective::{Objective, class_of};
use super::plan::{Meeting, Piece, PieceGradient, Plan, PlanNode, Step};
use crate::data::BatchBuffers;
use crate::error::{Error, Result};
use crate::graph::pass::{
    Backward, Forward, InputGradients, Inputs, ParameterGradients, Parameters, Prepare, RandomKey, WeightGradient,
};
use crate::losses::{Loss, LossPass};
use crate::metrics::MetricPass;
use crate::numeric::Aligned;
use crate::numeric::random::derive;
use crate::optimizers::{MOST_SLOTS, Optimizer, Update};

/// A batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub feed: &'a Feed<'a>,
    pub buffers: &'a BatchBuffers,
    /// From which layers' random numbers derive.
    pub key: u64,
}

/// The parameters' values.
#[derive(Debug)]
pub(crate) struct Values {
    pub weights: Aligned,
    pub statistics: Aligned,
}

/// Buffers of some consecutive samples.
#[derive(Debug)]
struct Shard {
    /// Where it begins within the batch, and how many samples it has in this step.
    first: usize,
    samples: usize,
    values: Vec<Aligned>,
    gradients: Vec<Aligned>,
    targets: Vec<Aligned>,
}

/// What one thread works on at a time: some shards in a row, with the sums over them.
#[derive(Debug)]
struct Lane {
    shards: Vec<Shard>,
    scratch: Aligned,
    gradients: Aligned,
    sums: Vec<f64>,
    /// For each output the sum of its losses, then the sums of its metrics; the last is left to the executor.
    results: Vec<f64>,
    /// What went wrong in it.
    fault: Option<Fault>,
}

/// A plan with its memory.
#[derive(Debug)]
pub(crate) struct Executor {
    plan: Plan,
    objectives: Vec<Objective>,
    training: bool,
    lanes: Vec<Lane>,
    states: Vec<Vec<f32>>,
    /// The weights that layers see, where they are not the stored ones.
    effective: Aligned,
    sums: Vec<f64>,
    /// Gradients that come out of meetings, laid out as those of lanes.
    meeting_gradients: Aligned,
    results: Vec<f64>,
}

/// What all lanes may read.
#[derive(Clone, Copy)]
struct Shared<'a> {
    plan: &'a Plan,
    objectives: &'a [Objective],
    training: bool,
    weights: &'a [f32],
    statistics: &'a [f32],
    states: &'a [Vec<f32>],
    batch: Batch<'a>,
}

impl Executor {
    pub fn new(plan: Plan, objectives: Vec<Objective>, training: bool) -> Self {
        let results = objectives.iter().map(Objective::sums).sum::<usize>() + 1;
        let shard = |number: usize| {
            let buffers = |sizes: &[usize]| sizes.iter().map(|size| Aligned::zeros(size * plan.shard_samples)).collect();
            let targets: Vec<usize> =
                if objectives.is_empty() { Vec::new() } else { plan.outputs.iter().map(|o| o.target_size).collect() };
            Shard {
                first: number * plan.shard_samples,
                samples: 0,
                values: buffers(&plan.value_sizes),
                gradients: buffers(&plan.gradient_sizes),
                targets: buffers(&targets),
            }
        };
        let lanes = (0..plan.lanes)
            .map(|lane| Lane {
                shards: (0..plan.lane_shards).map(|number| shard(lane * plan.lane_shards + number)).collect(),
                scratch: Aligned::zeros(plan.scratch),
                gradients: Aligned::zeros(plan.lane_gradients),
                sums: vec![0.0; plan.largest_sums],
                results: vec![0.0; results],
                fault: None,
            })
            .collect();
        Self {
            lanes,
            states: plan.nodes.iter().map(|node| vec![0.0; node.state]).collect(),
            effective: Aligned::zeros(if plan.transforms.is_empty() { 0 } else { plan.weights }),
            sums: vec![0.0; plan.largest_sums],
            meeting_gradients: Aligned::zeros(plan.lane_gradients),
            results: vec![0.0; results],
            plan,
            objectives,
            training,
        }
    }

    /// Runs all steps for a batch of at most the planned size. The results are, for each output, the sum of its losses,
    /// then of its metrics; last, the regularizers' penalty, once for each sample.
    ///
    /// # Errors
    /// If a layer, loss or metric panics, which may be written outside.
    pub fn run(&mut self, values: &mut Values, batch: Batch<'_>) -> Result<()> {
        let count = batch.buffers.samples();
        for shard in self.lanes.iter_mut().flat_map(|lane| &mut lane.shards) {
            shard.samples = count.saturating_sub(shard.first).min(self.plan.shard_samples);
        }
        if !self.plan.transforms.is_empty() {
            self.effective.copy_from_slice(&values.weights);
            for (range, shape, transform) in &self.plan.transforms {
                transform.apply(shape, &values.weights[range.clone()], &mut self.effective[range.clone()]);
            }
        }
        self.meeting_gradients.fill(0.0);
        for node in 0..self.plan.nodes.len() {
            if self.plan.nodes[node].sums == 0 && self.plan.nodes[node].state > 0 {
                self.meet(Meeting::Forward { node }, values, count)?;
            }
        }
        for segment in 0..self.plan.segments.len() {
            let Self { plan, objectives, training, lanes, states, effective, .. } = self;
            let (weights, statistics) = (seen(effective, &values.weights), &values.statistics[..]);
            let shared = Shared { plan, objectives, training: *training, weights, statistics, states, batch };
            let steps = &shared.plan.segments[segment].steps;
            lanes.par_iter_mut().with_max_len(1).for_each(|lane| lane.run(steps, segment == 0, shared));
            if let Some(fault) = lanes.iter_mut().find_map(|lane| lane.fault.take()) {
                return Err(fault.of(plan));
            }
            self.meet(self.plan.segments[segment].meeting, values, count)?;
        }
        self.results.fill(0.0);
        for lane in &self.lanes {
            for (total, &part) in self.results.iter_mut().zip(&lane.results) {
                *total += part;
            }
        }
        let penalties = self.plan.regularized.iter();
        let penalty: f64 = penalties.map(|(range, regularizer)| regularizer.penalty(&values.weights[range.clone()])).sum();
        if let Some(last) = self.results.last_mut() {
            *last = penalty * count as f64;
        }
        Ok(())
    }

    /// Adds up the lanes' sums, in their order, and lets the layer use them.
    fn meet(&mut self, meeting: Meeting, values: &mut Values, samples: usize) -> Result<()> {
        let (index, forward) = match meeting {
            Meeting::Forward { node } => (node, true),
            Meeting::Backward { node } => (node, false),
            Meeting::End => return Ok(()),
        };
        let node = &self.plan.nodes[index];
        let Some(layer) = &node.layer else { return Ok(()) };
        let sums = &mut self.sums[..if forward { node.sums } else { node.backward_sums }];
        sums.fill(0.0);
        for lane in &self.lanes {
            for (total, &part) in sums.iter_mut().zip(&lane.sums) {
                *total += part;
            }
        }
        let mut pass = Prepare {
            samples,
            training: node.training,
            input_shapes: &node.input_shapes,
            sums,
            state: &mut self.states[index],
            weights: seen(&self.effective, &values.weights),
            statistics: &mut values.statistics,
            places: &node.parameters,
            gradients: ParameterGradients { values: &mut self.meeting_gradients, places: &node.parameters },
        };
        let work = || if forward { layer.prepare(&mut pass) } else { layer.prepare_backward(&mut pass) };
        guarded(index, "what it prepares for a pass", work).map_err(|fault| fault.of(&self.plan))
    }

    /// Brings all gradients together and, with an optimizer, changes the weights: where it clips, when all gradients
    /// are there; else each piece at once, while it is in the cache. `sizes` are those of the weights.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    pub fn update(
        &mut self,
        values: &mut Values,
        gradients: &mut [f32],
        slots: &mut [Aligned],
        sizes: &[usize],
        optimizer: Option<(&dyn Optimizer, f32, u64)>,
    ) -> Result<()> {
        let this = &*self;
        let failed = Mutex::new(None);
        let clipping = optimizer.and_then(|(optimizer, ..)| optimizer.clipping());
        let pieces = &self.plan.pieces;
        let work = |piece: &Piece, mut parts: Parts<'_>| {
            if let Err(fault) = this.bring_together(piece, parts.gradients) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                return;
            }
            if let Some((transform, first)) = &piece.transform {
                transform.change_gradient(*first, parts.weights, parts.gradients);
            }
            if let Some(regularizer) = &piece.regularizer {
                regularizer.add_gradient(parts.weights, parts.gradients);
            }
            if clipping.is_none() {
                parts.change(piece, optimizer);
            }
        };
        for_each_piece(pieces, 0, Parts::new(&mut values.weights, gradients, slots), &work);
        if let Some(fault) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(fault.of(&self.plan));
        }
        if let Some(clipping) = clipping {
            clipping.apply(gradients, sizes);
            let work = |piece: &Piece, mut parts: Parts<'_>| parts.change(piece, optimizer);
            for_each_piece(pieces, 0, Parts::new(&mut values.weights, gradients, slots), &work);
        }
        Ok(())
    }

    /// The gradient of a piece.
    fn bring_together(&self, piece: &Piece, gradient: &mut [f32]) -> Result<(), Fault> {
        match &piece.gradient {
            PieceGradient::Lanes { start } => {
                let range = *start..start + piece.length;
                gradient.copy_from_slice(&self.meeting_gradients[range.clone()]);
                for lane in &self.lanes {
                    for (total, &part) in gradient.iter_mut().zip(&lane.gradients[range.clone()]) {
                        *total += part;
                    }
                }
            }
            PieceGradient::Batch { nodes, parameter, start } => {
                for (position, &index) in nodes.iter().enumerate() {
                    let node = &self.plan.nodes[index];
                    let (Some(layer), Some(place)) = (&node.layer, node.gradient) else { continue };
                    let shards = |visit: &mut dyn FnMut(Inputs<'_>, &[f32])| {
                        for shard in self.lanes.iter().flat_map(|lane| &lane.shards).filter(|s| s.samples > 0) {
                            let samples = shard.samples;
                            let inputs = Inputs { slots: &shard.values, places: &node.input_places, samples };
                            visit(inputs, &shard.gradients[place.slot][..place.size * samples]);
                        }
                    };
                    let mut pass = WeightGradient {
                        parameter: *parameter,
                        range: *start..start + piece.length,
                        gradient,
                        accumulate: position > 0,
                        input_shapes: &node.input_shapes,
                        output_shape: &node.shape,
                        shards: &shards,
                    };
                    guarded(index, "the gradient of its weights", || layer.weight_gradient(&mut pass))?;
                }
            }
        }
        Ok(())
    }

    /// What the last run measured.
    pub fn results(&self) -> &[f64] {
        &self.results
    }

    pub fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    /// The weighted loss with the penalties, from sums such as `results`, as a mean over samples.
    pub fn loss_of(&self, sums: &[f64], samples: usize) -> f64 {
        let mut start = 0;
        let mut loss = 0.0;
        for objective in &self.objectives {
            loss += f64::from(objective.weight) * sums[start] / samples as f64;
            start += objective.sums();
        }
        loss + sums[start] / samples as f64
    }

    /// Copies the values of an output, sample by sample.
    pub fn read_output(&self, output: usize, to: &mut Vec<f32>) {
        let place = self.plan.nodes[self.plan.outputs[output].node].place;
        for shard in self.lanes.iter().flat_map(|lane| &lane.shards) {
            to.extend_from_slice(&shard.values[place.slot][..place.size * shard.samples]);
        }
    }
}

/// A panic in what may be written outside.
#[derive(Debug)]
struct Fault {
    node: usize,
    doing: &'static str,
    reason: String,
}

impl Fault {
    fn of(self, plan: &Plan) -> Error {
        let node = &plan.nodes[self.node];
        let kind = node.layer.as_ref().map_or("input", |layer| layer.kind());
        Error::Panic { layer: node.name.clone(), kind, doing: self.doing, reason: self.reason }
    }
}

/// Calls a layer, a loss or a metric.
fn guarded(node: usize, doing: &'static str, work: impl FnOnce()) -> Result<(), Fault> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Fault { node, doing, reason: text.unwrap_or_else(|| "it panicked".to_owned()) }
    })
}

/// The weights that layers see.
fn seen<'a>(effective: &'a [f32], stored: &'a [f32]) -> &'a [f32] {
    if effective.is_empty() { stored } else { effective }
}

/// A stretch of all weights, with the same stretch of their gradients and of the optimizer's slots.
#[derive(Default)]
struct Parts<'a> {
    weights: &'a mut [f32],
    gradients: &'a mut [f32],
    slots: [&'a mut [f32]; MOST_SLOTS],
}

impl<'a> Parts<'a> {
    fn new(weights: &'a mut [f32], gradients: &'a mut [f32], slots: &'a mut [Aligned]) -> Self {
        let mut parts = Self { weights, gradients, ..Self::default() };
        for (part, slot) in parts.slots.iter_mut().zip(slots) {
            *part = slot;
        }
        parts
    }

    fn split_at(self, middle: usize) -> (Self, Self) {
        let (mut left, mut right) = (Self::default(), Self::default());
        (left.weights, right.weights) = self.weights.split_at_mut(middle);
        (left.gradients, right.gradients) = self.gradients.split_at_mut(middle);
        for (slot, halves) in self.slots.into_iter().zip(left.slots.iter_mut().zip(&mut right.slots)) {
            // The slots that the optimizer does not have are empty.
            let middle = middle.min(slot.len());
            (*halves.0, *halves.1) = slot.split_at_mut(middle);
        }
        (left, right)
    }

    /// Lets the optimizer, if there is one, change the piece whose parts these are.
    fn change(&mut self, piece: &Piece, optimizer: Option<(&dyn Optimizer, f32, u64)>) {
        let Some((optimizer, learning_rate, step)) = optimizer else { return };
        let mut slots = self.slots.each_mut().map(|slot| &mut **slot);
        optimizer.update(&mut Update {
            step,
            learning_rate: learning_rate * piece.layer.base().learning_rate_factor(),
            parameters: self.weights,
            gradients: self.gradients,
            slots: &mut slots[..optimizer.slots().len()],
        });
    }
}

/// Calls `work` for all pieces in parallel, each with its parts; allocates nothing. `base` is where `parts` begin.
fn for_each_piece<W>(pieces: &[Piece], base: usize, parts: Parts<'_>, work: &W)
where
    W: Fn(&Piece, Parts<'_>) + Sync,
{
    match pieces {
        [] => {}
        [piece] => {
            let (_, parts) = parts.split_at(piece.offset - base);
            work(piece, parts.split_at(piece.length).0);
        }
        _ => {
            let (left, right) = pieces.split_at(pieces.len() / 2);
            let middle = right[0].offset;
            let (parts_left, parts_right) = parts.split_at(middle - base);
            rayon::join(|| for_each_piece(left, base, parts_left, work), || for_each_piece(right, middle, parts_right, work));
        }
    }
}

impl Lane {
    fn run(&mut self, steps: &[Step], is_first: bool, shared: Shared<'_>) {
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
