//! Layer normalization: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, mean and variance those of the values of one
//! sample along the last axis or the last few (Ba, Kiros and Hinton 2016). Training and inference are the same.
//!
//! Inputs and outputs of any shape. Parameters of the shape of the axes that are normalized: gamma, beta. Sums are taken in the
//! order in which the device takes them.

use serde::{Deserialize, Serialize};

use super::options::trainable_methods;
use super::{Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, identity};
use crate::device::{Clamp, Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::{ones, zeros};

/// Normalizes each sample by itself, over its last axes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LayerNormalization {
    base: LayerBase,
    axes: usize,
    epsilon: f32,
    gamma: Trainable,
    beta: Trainable,
    has_gamma: bool,
    has_beta: bool,
}

impl LayerNormalization {
    /// Over the last axis, with Keras's epsilon of 0.001.
    pub fn new() -> Self {
        let (gamma, beta) = (Trainable::new(ones()), Trainable::new(zeros()));
        Self { base: LayerBase::new(), axes: 1, epsilon: 1e-3, gamma, beta, has_gamma: true, has_beta: true }
    }

    trainable_methods!(gamma, "gamma", gamma_initializer, gamma_regularizer);
    trainable_methods!(beta, "beta", beta_initializer, beta_regularizer);

    /// Over this many of the last axes together.
    pub fn over_last_axes(mut self, axes: usize) -> Self {
        self.axes = axes;
        self
    }

    /// Sets what is added to the variance.
    pub fn epsilon(mut self, epsilon: f32) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Leaves the factors out (Keras's `scale=False`).
    pub fn without_gamma(mut self) -> Self {
        self.has_gamma = false;
        self
    }

    /// Leaves the shifts out (Keras's `center=False`).
    pub fn without_beta(mut self) -> Self {
        self.has_beta = false;
        self
    }

    /// The shape of what is normalized together.
    fn normalized(&self, input: &Shape) -> Shape {
        Shape::from(&input[input.len() - self.axes..])
    }

    /// Mean and `1 / sqrt(variance + epsilon)`.
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let count = row.len() as f32;
        let mean = row.iter().fold(0.0, |sum, x| sum + x) / count;
        let squares = row.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        (mean, 1.0 / (squares / count + self.epsilon).sqrt())
    }
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer for LayerNormalization {
    identity!("LayerNormalization", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let is_usable = self.epsilon > 0.0 && self.epsilon.is_finite();
        match inputs {
            _ if !is_usable => Err(format!("an epsilon above 0, not {}", self.epsilon)),
            [shape] if (1..=shape.len()).contains(&self.axes) => Ok(shape.clone()),
            [_] => Err(format!("an input of at least {} axes, and one axis to normalize over", self.axes)),
            _ => Err("exactly one input".to_owned()),
        }
    }

    fn length_rule(&self, inputs: &[Shape]) -> Result<LengthRule, String> {
        if self.axes < inputs[0].len() { Ok(LengthRule::Kept) } else { Err("axes without that of the steps".to_owned()) }
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let shape = self.normalized(&inputs[0]);
        let gamma = self.has_gamma.then(|| self.gamma.spec("gamma", shape.clone()));
        let beta = self.has_beta.then(|| self.beta.spec("beta", shape.clone()));
        gamma.into_iter().chain(beta).collect()
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let size = pass.input_shapes[0][pass.input_shapes[0].len() - self.axes..].iter().product();
        let gamma = if self.has_gamma { pass.parameters.get(0) } else { &[] };
        let beta = if self.has_beta { pass.parameters.get(usize::from(self.has_gamma)) } else { &[] };
        for (row, output) in pass.inputs.get(0).chunks_exact(size).zip(pass.output.chunks_exact_mut(size)) {
            let (mean, factor) = self.moments(row);
            output.iter_mut().zip(row).for_each(|(y, x)| *y = (x - mean) * factor);
            output.iter_mut().zip(gamma).for_each(|(y, gamma)| *y *= gamma);
            output.iter_mut().zip(beta).for_each(|(y, beta)| *y += beta);
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let size = pass.input_shapes[0][pass.input_shapes[0].len() - self.axes..].iter().product();
        let gamma = if self.has_gamma { pass.parameters.get(0) } else { &[] };
        let mut slot = pass.input_gradients.get_mut(0);
        let rows = pass.inputs.get(0).chunks_exact(size).zip(pass.output_gradient.chunks_exact_mut(size));
        for (number, (row, gradient)) in rows.enumerate() {
            let (mean, factor) = self.moments(row);
            if let Some(sums) = pass.parameter_gradients.get_mut(0).filter(|_| self.has_gamma) {
                let parts = sums.iter_mut().zip(row).zip(&*gradient);
                parts.for_each(|((sum, x), part)| *sum += part * (x - mean) * factor);
            }
            if self.has_beta
                && let Some(sums) = pass.parameter_gradients.get_mut(usize::from(self.has_gamma))
            {
                sums.iter_mut().zip(&*gradient).for_each(|(sum, part)| *sum += part);
            }
            let Some(slot) = &mut slot else { continue };
            gradient.iter_mut().zip(gamma).for_each(|(part, gamma)| *part *= gamma);
            // What the mean and the variance take away.
            let count = size as f32;
            let level = gradient.iter().fold(0.0, |sum, part| sum + part) / count;
            let tilt = gradient.iter().zip(row).fold(0.0, |sum, (part, x)| sum + part * (x - mean) * factor) / count;
            let sums = &mut slot.values[number * size..][..size];
            for ((sum, part), x) in sums.iter_mut().zip(&*gradient).zip(row) {
                let value = factor * (part - level - (x - mean) * factor * tilt);
                *sum = if slot.accumulate { *sum + value } else { value };
            }
        }
    }

    fn describe(&self) -> String {
        if self.axes == 1 { String::new() } else { format!("over the last {} axes", self.axes) }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let input = lowering.input_shape(0).clone();
        let size = self.normalized(&input).size();
        let values = |name: &str, default: f32| match lowering.parameter(name) {
            [] => vec![default; size],
            values => values.to_vec(),
        };
        let (gamma, beta) = (values("gamma", 1.0), values("beta", 0.0));
        let op = ops::LayerNormalization { gamma, beta, epsilon: self.epsilon, clamp: Clamp::NONE };
        if self.axes == 1 {
            return Ok(lowering.output(op));
        }
        let (inputs, rows) = (lowering.inputs.clone(), Shape::from([input.size() / size, size]));
        let rows_of_input = lowering.part("rows", ops::Reshape, &inputs, rows.clone());
        lowering.inputs = vec![lowering.part("normalization", op, &[rows_of_input], rows)];
        Ok(lowering.output(ops::Reshape))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(LayerNormalization::new(), &[&[3, 8]]),
        Example::new(LayerNormalization::new().over_last_axes(2).epsilon(0.1), &[&[2, 3, 5]]),
        Example::new(LayerNormalization::new().without_gamma(), &[&[9]]),
        Example::new(LayerNormalization::new().without_beta(), &[&[2, 2, 6]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check, ramp};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        let new = LayerNormalization::new;
        for (layer, shape, size) in [
            (new(), vec![3, 8], 8),
            (new().over_last_axes(2), vec![2, 3, 5], 15),
            (new().without_gamma().epsilon(0.1), vec![17], 17),
            (new().without_beta(), vec![2, 2, 6], 6),
            (new().without_beta().without_gamma(), vec![4, 5], 5),
        ] {
            check(&layer, &[Shape::new(shape)], &|inputs, parameters| {
                let (gamma, beta) =
                    (layer.has_gamma.then(|| &parameters[0]), layer.has_beta.then(|| parameters.last()).flatten());
                let row = |row: &[f64]| -> Vec<f64> {
                    let mean = row.iter().sum::<f64>() / size as f64;
                    let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / size as f64;
                    let value = |(c, x): (usize, &f64)| {
                        let normalized = (x - mean) / (variance + f64::from(layer.epsilon)).sqrt();
                        normalized * gamma.map_or(1.0, |gamma| gamma[c]) + beta.map_or(0.0, |beta| beta[c])
                    };
                    row.iter().enumerate().map(value).collect()
                };
                inputs[0].chunks_exact(size).flat_map(row).collect()
            });
        }
    }

    #[test]
    fn keras_gives_the_same() {
        // Keras 3.15: values of ramps, gradients of the sum of the outputs times a ramp; the last bits of sums differ.
        let near = |found: &[f32], wanted: &[f32]| {
            assert_eq!(found.len(), wanted.len());
            let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
            assert!(found.iter().zip(wanted).all(is_near), "{found:?} instead of {wanted:?}");
        };
        let run = |layer: &LayerNormalization, shape: [usize; 2], wanted: [&[f32]; 4]| {
            let mut harness = Harness::new(layer, &[Shape::from(shape)], 1);
            ramp(&mut harness.inputs[0], 11, 5.0);
            ramp(&mut harness.output_gradient, 5, 2.0);
            ramp(harness.parameter_mut(0), 13, 6.0);
            ramp(harness.parameter_mut(1), 3, 1.0);
            near(harness.forward(), wanted[0]);
            harness.backward(true, false);
            near(&harness.input_gradients[0], wanted[1]);
            near(harness.gradient(0), wanted[2]);
            near(harness.gradient(1), wanted[3]);
        };
        run(
            &LayerNormalization::new(),
            [2, 5],
            [
                &[8.097718, 0.524868, 4.207529, 1.799298, -0.933099, 4.691815, 1.264848, 1.0, -3.529696, -3.794543],
                &[2.360636, 0.708115, -3.263021, 0.916329, -0.722059, 3.28868, 1.264747, -2.90915, -1.391231, -0.253045],
                &[4.929844, 0.0, -1.283012, -0.134801, 1.181911],
                &[-4.0, 0.0, 4.0, -2.0, 2.0],
            ],
        );
        run(
            &LayerNormalization::new().over_last_axes(2).epsilon(0.5),
            [2, 4],
            [
                &[8.524705, 0.52915, 4.40168, 1.87253, -0.907115, -1.948123, -4.40168, -0.302372],
                &[3.06, 0.290277, -3.224145, 0.053563, -1.041886, -2.137335, 0.53563, 2.463897],
                &[3.174902, 0.0, -1.360672, -1.436265, 0.226779, 1.965415, 0.0, -0.151186],
                &[-2.0, 0.0, 2.0, -1.0, 1.0, -2.0, 0.0, 2.0],
            ],
        );
    }

    #[test]
    fn faults_say_what_is_wanted() {
        let shape = [Shape::from([3, 4])];
        let error = LayerNormalization::new().over_last_axes(3).output_shape(&shape).expect_err("too many axes");
        assert_eq!(error, "an input of at least 3 axes, and one axis to normalize over");
        assert!(LayerNormalization::new().over_last_axes(0).output_shape(&shape).is_err());
        let error = LayerNormalization::new().epsilon(-1.0).output_shape(&shape).expect_err("no variance");
        assert_eq!(error, "an epsilon above 0, not -1");
    }
}
