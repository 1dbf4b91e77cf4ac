//! What a layer sees of a step: the values of some consecutive samples of the batch, the parameters, and where to put
//! its results. All memory is the plan's; nothing is allocated here.

use std::ops::Range;

use super::{ParameterKind, Shape};
use crate::numeric::Aligned;
use crate::numeric::random::derive;

/// Where a tensor's values lie within the buffers of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The buffer.
    pub slot: usize,
    /// Values per sample.
    pub size: usize,
}

/// The values of a node's inputs.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    pub(crate) slots: &'a [Aligned],
    pub(crate) places: &'a [Place],
    pub(crate) samples: usize,
}

impl<'a> Inputs<'a> {
    /// The values of one input, sample by sample.
    pub fn get(&self, input: usize) -> &'a [f32] {
        let place = self.places[input];
        &self.slots[place.slot][..place.size * self.samples]
    }
}

/// Where a parameter's values lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterPlace {
    /// What it is: which buffer it lies in.
    pub kind: ParameterKind,
    /// The values within the buffer of all weights, or of all statistics; the same whether the parameter learns or not.
    pub range: Range<usize>,
    /// The gradient within a lane's buffer; empty for what does not learn, outside training, and if the gradient is made
    /// over the whole batch.
    pub lane_range: Range<usize>,
}

/// The values of a layer's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) statistics: &'a [f32],
    pub(crate) places: &'a [ParameterPlace],
}

impl<'a> Parameters<'a> {
    /// The values of one parameter, in the order of `Layer::parameters`.
    pub fn get(&self, parameter: usize) -> &'a [f32] {
        let place = &self.places[parameter];
        let values = match place.kind {
            ParameterKind::Weight => self.weights,
            ParameterKind::Statistic => self.statistics,
        };
        &values[place.range.clone()]
    }
}

/// From what a layer's random numbers derive: seed, step and node, so that they depend on no thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomKey {
    pub(crate) key: u64,
    pub(crate) first_sample: usize,
}

impl RandomKey {
    /// The key of one sample of this pass.
    pub fn of_sample(&self, sample: usize) -> u64 {
        derive(self.key, (self.first_sample + sample) as u64)
    }
}

/// The forward pass of a node over some samples.
#[derive(Debug)]
pub struct Forward<'a> {
    /// Number of samples.
    pub samples: usize,
    /// `true` in training: batch statistics, dropout. `false` too for frozen layers with statistics, which keep them.
    pub training: bool,
    /// The inputs' values; not for layers in place.
    pub inputs: Inputs<'a>,
    /// The inputs' shapes.
    pub input_shapes: &'a [Shape],
    /// The output's shape.
    pub output_shape: &'a Shape,
    /// The output's values: undefined on entry, or the input's for layers in place.
    pub output: &'a mut [f32],
    /// The parameters.
    pub parameters: Parameters<'a>,
    /// How many steps each sample has, if the inputs are sequences that may be shorter than their shapes say: those behind are zeros.
    pub lengths: Option<&'a [u32]>,
    /// What `prepare` left.
    pub state: &'a [f32],
    /// What `backward` is going to see of these samples ([`Requirements::saved`](super::Requirements::saved)), undefined on
    /// entry; empty where no backward pass follows.
    pub saved: &'a mut [f32],
    /// What these rows of the batch carry from batch to batch ([`Requirements::carried`](super::Requirements::carried)), sample by
    /// sample: on entry what the batch before left, zeros at first.
    pub carried: &'a mut [f32],
    /// Scratch memory, undefined on entry.
    pub scratch: &'a mut [f32],
    /// For random numbers.
    pub random: RandomKey,
}

/// Where the gradients of a node's inputs go.
#[derive(Debug)]
pub struct InputGradients<'a> {
    pub(crate) slots: &'a mut [Aligned],
    pub(crate) places: &'a [Option<GradientPlace>],
    pub(crate) samples: usize,
}

/// Where the gradient of an input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GradientPlace {
    /// The buffer.
    pub place: Place,
    /// `true` if another node's part stands there already.
    pub accumulate: bool,
}

/// The gradient of one input, to be added to.
#[derive(Debug)]
pub struct GradientSlot<'a> {
    /// The values, sample by sample.
    pub values: &'a mut [f32],
    /// `true`: add to the values. `false`: they are undefined, replace them.
    pub accumulate: bool,
}

impl<'a> GradientSlot<'a> {
    /// The values to add to, zeroed first if they are undefined.
    pub fn to_add(self) -> &'a mut [f32] {
        if !self.accumulate {
            self.values.fill(0.0);
        }
        self.values
    }

    /// Adds a gradient that is all there, value by value.
    pub fn add(self, gradient: &[f32]) {
        if self.accumulate {
            for (value, &part) in self.values.iter_mut().zip(gradient) {
                *value += part;
            }
        } else {
            self.values.copy_from_slice(gradient);
        }
    }

    /// Adds a multiple of a gradient that is all there, value by value.
    pub fn add_scaled(self, factor: f32, gradient: &[f32]) {
        if factor == 1.0 {
            return self.add(gradient);
        }
        for (value, &part) in self.values.iter_mut().zip(gradient) {
            *value = if self.accumulate { *value + factor * part } else { factor * part };
        }
    }
}

impl InputGradients<'_> {
    /// Where the gradient of one input goes; `None` if nothing before it can learn.
    pub fn get_mut(&mut self, input: usize) -> Option<GradientSlot<'_>> {
        let GradientPlace { place, accumulate } = self.places[input]?;
        Some(GradientSlot { values: &mut self.slots[place.slot][..place.size * self.samples], accumulate })
    }
}

/// Where the gradients of a node's parameters go: one buffer per lane, added up after the step in the order of lanes.
#[derive(Debug)]
pub struct ParameterGradients<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) places: &'a [ParameterPlace],
}

impl ParameterGradients<'_> {
    /// The gradient of one weight, to be added to; `None` if it does not learn.
    pub fn get_mut(&mut self, parameter: usize) -> Option<&mut [f32]> {
        let range = self.places.get(parameter)?.lane_range.clone();
        (!range.is_empty()).then(|| &mut self.values[range])
    }
}

/// The backward pass of a node over some samples.
#[derive(Debug)]
pub struct Backward<'a> {
    /// Number of samples.
    pub samples: usize,
    /// The inputs' values, if the layer asked for them.
    pub inputs: Inputs<'a>,
    /// The inputs' shapes.
    pub input_shapes: &'a [Shape],
    /// The output's values, if the layer asked for them.
    pub output: &'a [f32],
    /// The output's shape.
    pub output_shape: &'a Shape,
    /// The output's gradient; layers in place turn it into the input's.
    pub output_gradient: &'a mut [f32],
    /// The inputs' gradients; not for layers in place.
    pub input_gradients: InputGradients<'a>,
    /// The parameters.
    pub parameters: Parameters<'a>,
    /// The parameters' gradients.
    pub parameter_gradients: ParameterGradients<'a>,
    /// As in the forward pass.
    pub lengths: Option<&'a [u32]>,
    /// What `prepare` and `prepare_backward` left.
    pub state: &'a [f32],
    /// What `forward` left for these samples.
    pub saved: &'a [f32],
    /// Scratch memory, undefined on entry.
    pub scratch: &'a mut [f32],
    /// As in the forward pass.
    pub random: RandomKey,
}

/// Between the passes over all samples: sums over the batch to state.
#[derive(Debug)]
pub struct Prepare<'a> {
    /// Number of samples of the whole batch.
    pub samples: usize,
    /// Number of steps of all of them, if the inputs are sequences that may be shorter than their shapes say.
    pub steps: Option<usize>,
    /// `true` in training, but for frozen layers with statistics.
    pub training: bool,
    /// The inputs' shapes.
    pub input_shapes: &'a [Shape],
    /// What `forward_sums` or `backward_sums` added up over the batch.
    pub sums: &'a [f64],
    /// What `forward` and `backward` will see.
    pub state: &'a mut [f32],
    /// All weights' values.
    pub weights: &'a [f32],
    /// All statistics.
    pub statistics: &'a mut [f32],
    /// Where the layer's own lie in these two.
    pub places: &'a [ParameterPlace],
    /// The gradients of the layer's parameters, to be added to in `prepare_backward`.
    pub gradients: ParameterGradients<'a>,
}

impl Prepare<'_> {
    /// How often each channel, the last axis of the first input, stands in the batch: in the steps that the samples have.
    pub fn positions(&self) -> usize {
        let shape = &self.input_shapes[0];
        let of_sample = shape.size() / shape.channels();
        match self.steps {
            Some(steps) => steps * (of_sample / shape[0]),
            None => self.samples * of_sample,
        }
    }
}

/// What is called with the inputs and the output's gradient of each shard of a batch.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(Inputs<'_>, &[f32]);

/// The gradient of some rows of a parameter, from the whole batch.
pub struct WeightGradient<'a> {
    /// Which parameter.
    pub parameter: usize,
    /// Which values of it, a whole number of rows of its last dimension.
    pub range: Range<usize>,
    /// The gradient of these values.
    pub gradient: &'a mut [f32],
    /// `true`: add to it. `false`: it is undefined, replace it.
    pub accumulate: bool,
    /// The inputs' shapes.
    pub input_shapes: &'a [Shape],
    /// The output's shape.
    pub output_shape: &'a Shape,
    pub(crate) shards: &'a dyn Fn(Visit<'_>),
}

impl WeightGradient<'_> {
    /// Calls `visit` with the inputs and the output's gradient of each shard of the batch, in order.
    pub fn for_each_shard(&self, mut visit: impl FnMut(Inputs<'_>, &[f32])) {
        (self.shards)(&mut visit);
    }
}
