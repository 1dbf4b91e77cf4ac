//! Runs a plan: lanes in parallel, barriers in between.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::carried::Carried;
use super::lane::{Batch, Fault, Lane, Shard, Shared, guarded};
use super::objective::Objective;
use super::plan::{Barrier, BlockGradient, ParameterBlock, Plan};
use crate::error::Result;
use crate::graph::pass::{Inputs, ParameterGradients, Prepare, WeightGradient};
use crate::numeric::Aligned;
use crate::optimizers::{MOST_SLOTS, Optimizer, Update};

/// The parameters' values, and what goes on from batch to batch.
#[derive(Debug)]
pub(crate) struct Values {
    pub weights: Aligned,
    pub statistics: Aligned,
    pub carried: Carried,
}

/// How an optimizer steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub learning_rate: f32,
    /// Where a schedule sets it.
    pub momentum: Option<f32>,
    /// From 1.
    pub step: u64,
    /// Where noise comes from.
    pub seed: u64,
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
    /// Gradients that come out of barriers, laid out as those of lanes.
    meeting_gradients: Aligned,
    results: Vec<f64>,
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
                lengths: plan.length_groups.iter().map(|_| vec![0; plan.shard_samples]).collect(),
                carried: plan.nodes.iter().map(|node| vec![0.0; node.carried * plan.shard_samples]).collect(),
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
        values.carried.hand_out(&self.plan.nodes, &mut self.lanes, count);
        if !self.plan.transforms.is_empty() {
            self.effective.copy_from_slice(&values.weights);
            for (range, shape, transform) in &self.plan.transforms {
                transform.apply(shape, &values.weights[range.clone()], &mut self.effective[range.clone()]);
            }
        }
        self.meeting_gradients.fill(0.0);
        for node in 0..self.plan.nodes.len() {
            if self.plan.nodes[node].sums == 0 && self.plan.nodes[node].state > 0 {
                self.meet(Barrier::Forward { node }, values, count)?;
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
            self.meet(self.plan.segments[segment].barrier, values, count)?;
        }
        values.carried.take_back(&self.lanes);
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
    fn meet(&mut self, barrier: Barrier, values: &mut Values, samples: usize) -> Result<()> {
        let (index, forward) = match barrier {
            Barrier::Forward { node } => (node, true),
            Barrier::Backward { node } => (node, false),
            Barrier::End => return Ok(()),
        };
        let node = &self.plan.nodes[index];
        let Some(layer) = &node.layer else { return Ok(()) };
        let steps = (node.input_length > 0).then(|| self.lengths(node.input_length).sum());
        let sums = &mut self.sums[..if forward { node.sums } else { node.backward_sums }];
        sums.fill(0.0);
        for lane in &self.lanes {
            for (total, &part) in sums.iter_mut().zip(&lane.sums) {
                *total += part;
            }
        }
        let mut pass = Prepare {
            samples,
            steps,
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
    /// are there; else each block at once, while it is in the cache. `sizes` are those of the weights.
    ///
    /// # Errors
    /// As for [`Executor::run`].
    pub fn update(
        &mut self,
        values: &mut Values,
        gradients: &mut [f32],
        slots: &mut [Aligned],
        sizes: &[usize],
        optimizer: Option<(&dyn Optimizer, Pace)>,
    ) -> Result<()> {
        let this = &*self;
        let failed = Mutex::new(None);
        let clipping = optimizer.and_then(|(optimizer, ..)| optimizer.clipping());
        let blocks = &self.plan.blocks;
        let work = |block: &ParameterBlock, mut parts: Parts<'_>| {
            if let Err(fault) = this.bring_together(block, parts.gradients) {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                return;
            }
            if let Some((transform, first)) = &block.transform {
                transform.change_gradient(*first, parts.weights, parts.gradients);
            }
            if let Some(regularizer) = &block.regularizer {
                regularizer.add_gradient(parts.weights, parts.gradients);
            }
            if clipping.is_none() {
                parts.change(block, optimizer);
            }
        };
        for_each_block(blocks, 0, Parts::new(&mut values.weights, gradients, slots), &work);
        if let Some(fault) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(fault.of(&self.plan));
        }
        if let Some(clipping) = clipping {
            clipping.apply(gradients, sizes);
            let work = |block: &ParameterBlock, mut parts: Parts<'_>| parts.change(block, optimizer);
            for_each_block(blocks, 0, Parts::new(&mut values.weights, gradients, slots), &work);
        }
        if optimizer.is_some() {
            for (range, shape, constraint) in &self.plan.constraints {
                constraint.apply(shape, &mut values.weights[range.clone()]);
            }
        }
        Ok(())
    }

    /// The gradient of a block.
    fn bring_together(&self, block: &ParameterBlock, gradient: &mut [f32]) -> Result<(), Fault> {
        match &block.gradient {
            BlockGradient::Lanes { start } => {
                let range = *start..start + block.length;
                gradient.copy_from_slice(&self.meeting_gradients[range.clone()]);
                for lane in &self.lanes {
                    for (total, &part) in gradient.iter_mut().zip(&lane.gradients[range.clone()]) {
                        *total += part;
                    }
                }
            }
            BlockGradient::Batch { nodes, parameter, start } => {
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
                        range: *start..start + block.length,
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

    /// How many steps each sample has in a length group.
    fn lengths(&self, group: u16) -> impl Iterator<Item = usize> {
        let shards = self.lanes.iter().flat_map(|lane| &lane.shards);
        shards.flat_map(move |shard| shard.lengths_of(group).unwrap_or_default()).map(|&length| length as usize)
    }

    /// How many steps each sample of an output has, if that depends on the sample.
    pub fn read_lengths(&self, output: usize, to: &mut Vec<usize>) {
        let group = self.plan.nodes[self.plan.outputs[output].node].length;
        to.extend(self.lengths(group));
    }

    /// Copies the values of an output, sample by sample.
    pub fn read_output(&self, output: usize, to: &mut Vec<f32>) {
        let place = self.plan.nodes[self.plan.outputs[output].node].place;
        for shard in self.lanes.iter().flat_map(|lane| &lane.shards) {
            to.extend_from_slice(&shard.values[place.slot][..place.size * shard.samples]);
        }
    }
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

    /// Lets the optimizer, if there is one, change the block whose parts these are.
    fn change(&mut self, block: &ParameterBlock, optimizer: Option<(&dyn Optimizer, Pace)>) {
        let Some((optimizer, Pace { learning_rate, momentum, step, seed })) = optimizer else { return };
        let mut slots = self.slots.each_mut().map(|slot| &mut **slot);
        if let Some(noise) = optimizer.gradient_noise() {
            noise.add(step, seed, block.offset, self.gradients);
        }
        optimizer.update(&mut Update {
            name: &block.name,
            step,
            learning_rate: learning_rate * block.layer.base().learning_rate_factor(),
            momentum,
            parameters: self.weights,
            gradients: self.gradients,
            slots: &mut slots[..optimizer.slots().len()],
        });
    }
}

/// Calls `work` for all blocks in parallel, each with its parts; allocates nothing. `base` is where `parts` begin.
fn for_each_block<W>(blocks: &[ParameterBlock], base: usize, parts: Parts<'_>, work: &W)
where
    W: Fn(&ParameterBlock, Parts<'_>) + Sync,
{
    match blocks {
        [] => {}
        [block] => {
            let (_, parts) = parts.split_at(block.offset - base);
            work(block, parts.split_at(block.length).0);
        }
        _ => {
            let (left, right) = blocks.split_at(blocks.len() / 2);
            let middle = right[0].offset;
            let (parts_left, parts_right) = parts.split_at(middle - base);
            rayon::join(|| for_each_block(left, base, parts_left, work), || for_each_block(right, middle, parts_right, work));
        }
    }
}
