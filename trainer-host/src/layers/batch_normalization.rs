//! Batch normalization: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta` for each channel, the last axis; in
//! training with mean and variance of the whole batch, else with moving averages of them (Ioffe and Szegedy 2015).
//!
//! Inputs and outputs `[..., C]`. Parameters `[C]` each: gamma, beta; the statistics moving mean and moving variance.
//! Renormalized (Ioffe 2017), `h = (x - mean) / sqrt(variance + epsilon)` of the batch becomes `r * h + d` with
//! `r = deviation of the batch / moving one` and `d = (mean of the batch - moving one) / moving deviation`, both limited and constant for
//! gradients: what is trained is then nearly what is used later, also with small batches.
//! The moments are summed in f64, since the difference of two large sums must leave the variance exact.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::{
    Backward, Example, Forward, GradientSlot, Layer, LayerBase, ParameterSpec, Prepare, Requirements, Trainable, identity,
};
use crate::device::{Clamp, Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::{ones, zeros};
use crate::numeric::{BLOCK, combine, scale_and_shift, vectorized};

/// Normalizes each channel over the batch. Stands anywhere: on inputs, before or after activations.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BatchNormalization {
    base: LayerBase,
    momentum: f32,
    epsilon: f32,
    /// As the user counts: from the first after the batch, or below 0 from the end.
    #[serde(default = "last")]
    axis: isize,
    gamma: Trainable,
    beta: Trainable,
    /// The limits of r and d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renormalization: Option<(f32, f32)>,
}

const fn last() -> isize {
    -1
}

impl BatchNormalization {
    /// With Keras's defaults: momentum 0.99, epsilon 0.001.
    pub fn new() -> Self {
        let (gamma, beta) = (Trainable::new(ones()), Trainable::new(zeros()));
        Self { base: LayerBase::new(), momentum: 0.99, epsilon: 1e-3, axis: last(), gamma, beta, renormalization: None }
    }

    trainable_methods!(gamma, "gamma", gamma_initializer, gamma_regularizer);
    trainable_methods!(beta, "beta", beta_initializer, beta_regularizer);

    /// Sets how slowly the moving averages follow, from 0 to 1.
    pub fn momentum(mut self, momentum: f32) -> Self {
        self.momentum = momentum;
        self
    }

    /// Says which axis the channels are, as Keras's option does: 0 is the first after the batch, -1 the last. It is the last in all layers,
    /// and a model with another one is refused with a sentence, rather than normalized along what was not meant.
    pub fn axis(mut self, axis: isize) -> Self {
        self.axis = axis;
        self
    }

    /// Sets what is added to the variance.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Renormalizes (Ioffe 2017): brings what the batch's moments give to what the moving averages would, by a factor of at most `r_max`,
    /// from 1 on, and a shift of at most `d_max`, from 0 on. The paper begins with 1 and 0, which is no renormalization, and goes to 3 and 5.
    pub fn renormalized(mut self, r_max: f32, d_max: f32) -> Self {
        self.renormalization = Some((r_max, d_max));
        self
    }

    /// The factor and the shift of a channel, from the moments of the batch and the moving ones.
    fn factor_and_shift(&self, [mean, variance]: [f64; 2], [moving_mean, moving_variance]: [f64; 2]) -> (f64, f64) {
        let Some((r_max, d_max)) = self.renormalization else { return (1.0, 0.0) };
        let deviation = |variance: f64| (variance + f64::from(self.epsilon)).sqrt();
        let (r_max, d_max, moving) = (f64::from(r_max), f64::from(d_max), deviation(moving_variance));
        ((deviation(variance) / moving).clamp(1.0 / r_max, r_max), ((mean - moving_mean) / moving).clamp(-d_max, d_max))
    }

    /// What is added to the variance; the exporter folds the layer with it.
    pub fn variance_epsilon(&self) -> f32 {
        self.epsilon
    }
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self::new()
    }
}

/// Blocks of channels whose sums are taken of some rows before the next rows are read, and how many rows: values come from
/// memory in the order in which they lie there, and those of the rows stay in the first-level cache.
const GROUP: usize = 4;
const ROWS: usize = 16;

/// Adds to `sums` each channel's sum of `a`, and behind them each channel's sum of `second(a, b)`.
#[inline(always)]
fn add_sums(sums: &mut [f64], a: &[f32], b: &[f32], second: impl Fn(f64, f64) -> f64) {
    let channels = sums.len() / 2;
    vectorized!({
        let (firsts, seconds) = sums.split_at_mut(channels);
        let whole = channels - channels % BLOCK;
        for start in (0..whole).step_by(GROUP * BLOCK) {
            let blocks = ((whole - start) / BLOCK).min(GROUP);
            let mut group_sums = [[[0.0; BLOCK]; 2]; GROUP];
            for (a, b) in a.chunks(ROWS * channels).zip(b.chunks(ROWS * channels)) {
                for (block, sums) in group_sums[..blocks].iter_mut().enumerate() {
                    let at = start + block * BLOCK;
                    let [mut first_sums, mut second_sums] = *sums;
                    for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
                        let (Some(a), Some(b)) = (a[at..].first_chunk::<BLOCK>(), b[at..].first_chunk::<BLOCK>()) else {
                            continue;
                        };
                        for lane in 0..BLOCK {
                            let (a, b) = (f64::from(a[lane]), f64::from(b[lane]));
                            first_sums[lane] += a;
                            second_sums[lane] += second(a, b);
                        }
                    }
                    *sums = [first_sums, second_sums];
                }
            }
            for (block, [first_sums, second_sums]) in group_sums[..blocks].iter().enumerate() {
                for lane in 0..BLOCK {
                    firsts[start + block * BLOCK + lane] += first_sums[lane];
                    seconds[start + block * BLOCK + lane] += second_sums[lane];
                }
            }
        }
        for channel in whole..channels {
            for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
                let (a, b) = (f64::from(a[channel]), f64::from(b[channel]));
                firsts[channel] += a;
                seconds[channel] += second(a, b);
            }
        }
    });
}

/// The state's parts, `C` values each.
struct State<'a> {
    /// The output is `(input - mean) * scale + beta`.
    mean: &'a [f32],
    scale: &'a [f32],
    /// The input's gradient is `output gradient * scale + (input - mean) * factor + shift`.
    factor: &'a [f32],
    shift: &'a [f32],
}

/// Where the parts lie within the state; behind them the inverse deviation of the batch, and the renormalization's factor and shift, for
/// `prepare_backward` alone.
const MEAN: usize = 0;
const SCALE: usize = 1;
const FACTOR: usize = 2;
const SHIFT: usize = 3;
const INVERSE: usize = 4;
const RENORM_FACTOR: usize = 5;
const RENORM_SHIFT: usize = 6;
const PARTS: usize = 7;

impl<'a> State<'a> {
    fn of(state: &'a [f32], channels: usize) -> Self {
        let part = |number: usize| &state[number * channels..(number + 1) * channels];
        Self { mean: part(MEAN), scale: part(SCALE), factor: part(FACTOR), shift: part(SHIFT) }
    }
}

impl Layer for BatchNormalization {
    identity!("BatchNormalization", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(format!("a momentum from 0 to 1, not {}", self.momentum));
        }
        if self.epsilon.is_nan() || self.epsilon <= 0.0 {
            return Err(format!("an epsilon above 0, not {}", self.epsilon));
        }
        if let Some((r_max, d_max)) = self.renormalization
            && !((1.0..=f32::MAX).contains(&r_max) && (0.0..=f32::MAX).contains(&d_max))
        {
            return Err(format!("renormalization with r_max from 1 on and d_max from 0 on, not {r_max} and {d_max}"));
        }
        match inputs {
            [shape] if !shape.is_empty() => {
                let last = shape.len() - 1;
                if ![-1, last as isize].contains(&self.axis) {
                    return Err(format!(
                        "`axis(-1)`, or {last}, the last axis, not {}: channels are the last axis in all layers, as [height, width, \
                         channels]; give the data in that order",
                        self.axis
                    ));
                }
                Ok(shape.clone())
            }
            _ => Err("one input of shape [..., channels]".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let channels = [inputs[0].channels()];
        vec![
            self.gamma.spec("gamma", channels),
            self.beta.spec("beta", channels),
            ParameterSpec::statistic("moving_mean", channels, zeros()),
            ParameterSpec::statistic("moving_variance", channels, ones()),
        ]
    }

    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        let channels = inputs[0].channels();
        Requirements {
            backward_reads_inputs: true,
            forward_sums: 2 * channels,
            backward_sums: 2 * channels,
            state: PARTS * channels,
            ..Requirements::default()
        }
    }

    fn forward_sums(&self, pass: &Forward<'_>, sums: &mut [f64]) {
        let input = pass.inputs.get(0);
        add_sums(
            sums,
            input,
            input,
            #[inline(always)]
            |x, _| x * x,
        );
    }

    fn prepare(&self, pass: &mut Prepare<'_>) {
        let shape = &pass.input_shapes[0];
        let channels = shape.channels();
        let count = pass.positions() as f64;
        let place = |parameter: usize| pass.places[parameter].range.clone();
        let gamma = &pass.weights[place(0)];
        let (mean_place, variance_place) = (place(2), place(3));
        for (channel, &gamma) in gamma.iter().enumerate() {
            let moving_mean = &mut pass.statistics[mean_place.clone()][channel];
            let mut mean = f64::from(*moving_mean);
            let moving = [mean, f64::from(pass.statistics[variance_place.clone()][channel])];
            let moving_mean = &mut pass.statistics[mean_place.clone()][channel];
            if pass.training {
                mean = pass.sums[channel] / count;
                *moving_mean = self.momentum * *moving_mean + (1.0 - self.momentum) * mean as f32;
            }
            let moving_variance = &mut pass.statistics[variance_place.clone()][channel];
            let mut variance = f64::from(*moving_variance);
            if pass.training {
                let difference = pass.sums[channels + channel] / count - mean * mean;
                variance = if difference > 0.0 { difference } else { 0.0 };
                *moving_variance = self.momentum * *moving_variance + (1.0 - self.momentum) * variance as f32;
            }
            let inverse = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            let (factor, shift) = if pass.training { self.factor_and_shift([mean, variance], moving) } else { (1.0, 0.0) };
            let scale = f64::from(gamma) * inverse * factor;
            // Where `r * h + d` is 0.
            let mean = mean - shift / (inverse * factor);
            // Factor and shift are those of a frozen layer, which has no `prepare_backward`.
            let parts = [(MEAN, mean), (SCALE, scale), (INVERSE, inverse), (FACTOR, 0.0), (SHIFT, 0.0)];
            for (part, value) in parts.into_iter().chain([(RENORM_FACTOR, factor), (RENORM_SHIFT, shift)]) {
                pass.state[part * channels + channel] = value as f32;
            }
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let channels = pass.output_shape.channels();
        let State { mean, scale, .. } = State::of(pass.state, channels);
        scale_and_shift(pass.output, pass.inputs.get(0), [mean, scale, pass.parameters.get(1)]);
    }

    fn backward_sums(&self, pass: &Backward<'_>, sums: &mut [f64]) {
        add_sums(
            sums,
            pass.output_gradient,
            pass.inputs.get(0),
            #[inline(always)]
            |gradient, x| gradient * x,
        );
    }

    fn prepare_backward(&self, pass: &mut Prepare<'_>) {
        let shape = &pass.input_shapes[0];
        let channels = shape.channels();
        let count = pass.positions() as f64;
        for channel in 0..channels {
            let part = |number: usize| f64::from(pass.state[number * channels + channel]);
            let (scale, zero, inverse) = (part(SCALE), part(MEAN), part(INVERSE));
            let (renorm_factor, renorm_shift) = (part(RENORM_FACTOR), part(RENORM_SHIFT));
            let mean = zero + renorm_shift / (inverse * renorm_factor);
            // With h the normalized input: dx = scale * (dy - mean(dy) - h * mean(dy * h)).
            let gradients = pass.sums[channel];
            let products = (pass.sums[channels + channel] - mean * gradients) * inverse;
            for (parameter, part) in [(0, renorm_factor * products + renorm_shift * gradients), (1, gradients)] {
                if let Some(gradient) = pass.gradients.get_mut(parameter) {
                    gradient[channel] += part as f32;
                }
            }
            let factor = -scale * inverse * products / count;
            pass.state[FACTOR * channels + channel] = factor as f32;
            pass.state[SHIFT * channels + channel] = (-scale * gradients / count + factor * (zero - mean)) as f32;
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let channels = pass.output_shape.channels();
        let State { mean, scale, factor, shift } = State::of(pass.state, channels);
        let values = [&*pass.output_gradient, pass.inputs.get(0)];
        let factors = [scale, mean, factor, shift];
        match pass.input_gradients.get_mut(0) {
            Some(GradientSlot { values: to, accumulate: true }) => combine::<true>(to, values, factors),
            Some(GradientSlot { values: to, accumulate: false }) => combine::<false>(to, values, factors),
            None => {}
        }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let values = |name| lowering.parameter(name).iter();
        let deviations = values("moving_variance").map(|variance| (f64::from(*variance) + f64::from(self.epsilon)).sqrt());
        let scale: Vec<f32> = values("gamma").zip(deviations).map(|(&gamma, d)| (f64::from(gamma) / d) as f32).collect();
        let means = values("moving_mean").zip(&scale).map(|(mean, scale)| mean * scale);
        let shift = values("beta").zip(means).map(|(beta, mean)| beta - mean).collect();
        Ok(lowering.output(ops::ScaleShift { scale, shift, clamp: Clamp::NONE }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(BatchNormalization::new(), &[&[19]]),
        Example::new(BatchNormalization::new().momentum(0.5).epsilon(0.1), &[&[3, 4, 16]]),
        // Limits for which the gradients are those of differences, which factor and shift would change with.
        Example::new(BatchNormalization::new().renormalized(1.0, 0.0), &[&[5, 7]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check_batch};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for (shape, epsilon) in [(vec![3, 4, 5], 1e-3), (vec![6, 19], 0.1), (vec![7], 0.5)] {
            let (channels, layer) = (shape[shape.len() - 1], BatchNormalization::new().epsilon(epsilon));
            check_batch(&layer, &[Shape::from(shape)], &|inputs, parameters| {
                let mut output = vec![0.0; inputs[0].len()];
                for (channel, (gamma, beta)) in parameters[0].iter().zip(&parameters[1]).enumerate() {
                    let values: Vec<f64> = inputs[0].iter().skip(channel).step_by(channels).copied().collect();
                    let count = values.len() as f64;
                    let mean = values.iter().sum::<f64>() / count;
                    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
                    let deviation = (variance + f64::from(epsilon)).sqrt();
                    for (x, y) in values.iter().zip(output.iter_mut().skip(channel).step_by(channels)) {
                        *y = gamma * (x - mean) / deviation + beta;
                    }
                }
                output
            });
        }
    }

    #[test]
    fn sums_are_exact_for_any_number_of_channels_and_rows() {
        // Small whole numbers: no sum is rounded, in whatever order.
        for (channels, rows) in [(1, 40), (16, 16), (17, 33), (64, 1), (83, 50), (150, 17)] {
            let numbers = |factor: usize| -> Vec<f32> {
                (0..rows * channels).map(|number| ((number * factor) % 101) as f32 - 50.0).collect()
            };
            let (a, b) = (numbers(7), numbers(11));
            let mut sums = vec![3.0; 2 * channels];
            add_sums(&mut sums, &a, &b, |a, b| a * b);
            for channel in 0..channels {
                let of =
                    |values: &dyn Fn(usize) -> f64| 3.0 + (0..rows).map(|row| values(row * channels + channel)).sum::<f64>();
                assert_eq!(sums[channel], of(&|at| f64::from(a[at])), "{channels} channels, {rows} rows");
                assert_eq!(sums[channels + channel], of(&|at| f64::from(a[at]) * f64::from(b[at])));
            }
        }
    }

    #[test]
    fn one_channel_by_hand() {
        // The values are 4 - 3 and 4 + 3: mean 4, variance 9.
        let layer = BatchNormalization::new().epsilon(1e-12);
        let mut harness = Harness::new(&layer, &[Shape::from([1])], 2);
        harness.inputs[0].copy_from_slice(&[1.0, 7.0]);
        harness.parameter_mut(0).copy_from_slice(&[2.0]);
        harness.parameter_mut(1).copy_from_slice(&[0.5]);
        assert_eq!(harness.forward(), [-1.5, 2.5]);
        // The gradient of the mean is taken out, and that along the normalized values: nothing is left.
        harness.output_gradient.copy_from_slice(&[3.0, 5.0]);
        harness.backward(true, false);
        assert!(harness.input_gradients[0].iter().all(|gradient| gradient.abs() < 1e-6), "{:?}", harness.input_gradients[0]);
        assert_eq!((harness.gradient(0), harness.gradient(1)), (&[2.0][..], &[8.0][..]));
    }

    #[test]
    fn renormalized_by_hand() {
        // Mean 4, deviation 3; moving ones 3 and 2: r = 1.5, d = 0.5, so that the output is that of the moving averages, (x - 3) / 2.
        let train = |layer: BatchNormalization| {
            let layer = layer.epsilon(1e-12);
            let mut harness = Harness::new(&layer, &[Shape::from([1])], 4);
            harness.inputs[0].copy_from_slice(&[1.0, 1.0, 7.0, 7.0]);
            for (parameter, value) in [(0, 2.0), (1, 0.5), (2, 3.0), (3, 4.0)] {
                harness.parameter_mut(parameter).copy_from_slice(&[value]);
            }
            let output = harness.forward().to_vec();
            harness.output_gradient.copy_from_slice(&[3.0, 5.0, 2.0, 0.0]);
            harness.backward(true, false);
            (output, harness.input_gradients[0].to_vec(), harness.gradient(0)[0], harness.gradient(1)[0])
        };
        let near = |found: &[f32], expected: [f32; 4]| {
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
        };
        let (output, gradient, gamma, beta) = train(BatchNormalization::new().renormalized(3.0, 5.0));
        near(&output, [-1.5, -1.5, 4.5, 4.5]);
        // gamma * r / 3 * (dy - 2.5 + 1.5 h), and 1.5 * -6 + 0.5 * 10.
        near(&gradient, [-1.0, 1.0, 1.0, -1.0]);
        assert!((gamma + 4.0).abs() < 1e-5 && beta == 10.0, "{gamma} {beta}");
        // Within limits of 1.2 and 0.25: h * 1.2 + 0.25.
        let (output, gradient, gamma, _) = train(BatchNormalization::new().renormalized(1.2, 0.25));
        near(&output, [-1.4, -1.4, 3.4, 3.4]);
        near(&gradient, [-0.8, 0.8, 0.8, -0.8]);
        assert!((gamma + 4.7).abs() < 1e-5, "{gamma}");
        let (output, ..) = train(BatchNormalization::new());
        near(&output, [-1.5, -1.5, 2.5, 2.5]);
        let reason = BatchNormalization::new().renormalized(0.5, 0.0).output_shape(&[Shape::from([1])]).unwrap_err();
        assert_eq!(reason, "renormalization with r_max from 1 on and d_max from 0 on, not 0.5 and 0");
    }
}
