//! An activation ([`Activation`]) as a layer, in place.
//!
//! Derivatives are functions of the output, so that the input need not be kept; gelu, swish and hard_swish are not monotonic,
//! their derivatives want the input.

use serde::{Deserialize, Serialize};

use super::{Activation, Backward, Example, Forward, Layer, LayerBase, Requirements, SELU_ALPHA, SELU_SCALE, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::{LengthRule, Shape};
use crate::numeric::vectorized;
use samara_runtime::ops::activation::{Function, Parameters};

/// An activation as a layer of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActivationLayer {
    base: LayerBase,
    activation: Activation,
}

impl ActivationLayer {
    /// A layer that applies this function.
    pub fn new(activation: Activation) -> Self {
        Self { base: LayerBase::new(), activation }
    }

    /// The layer that others put behind them for their `activation`; none for the identity.
    pub(super) fn behind(activation: Activation) -> Option<Self> {
        (activation != Activation::Linear).then(|| Self::new(activation))
    }

    /// The function.
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

/// Softmax of each row of `size` values, in place.
pub(crate) fn softmax_rows(values: &mut [f32], size: usize) {
    for row in values.chunks_exact_mut(size) {
        let largest = row.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sum = 0.0;
        for value in row.iter_mut() {
            *value = (*value - largest).exp();
            sum += *value;
        }
        for value in row {
            *value /= sum;
        }
    }
}

/// Applies a function to each value.
#[inline(always)]
fn map(values: &mut [f32], function: impl Fn(f32) -> f32) {
    vectorized!({
        values.iter_mut().for_each(
            #[inline(always)]
            |value| *value = function(*value),
        )
    });
}

/// Multiplies each gradient by a function of the output, or of the input.
#[inline(always)]
fn scale(gradients: &mut [f32], values: &[f32], slope: impl Fn(f32) -> f32) {
    vectorized!({
        for (gradient, &value) in gradients.iter_mut().zip(values) {
            *gradient *= slope(value);
        }
    });
}

#[inline(always)]
fn relu(x: f32) -> f32 {
    // Adding 0 changes nothing here, but without it the compiler sees a choice between what stands in memory and 0, and
    // makes it a masked store of zeros: many times slower on some processors than storing all values.
    let x = x + 0.0;
    if x > 0.0 { x } else { 0.0 }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))`; beyond 0 as `x + ln(1 + exp(-x))`, which does not overflow.
fn softplus(x: f32) -> f32 {
    (if x > 0.0 { x } else { 0.0 }) + (-x.abs()).exp().ln_1p()
}

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    let shifted = x + 3.0;
    let above = if shifted > 0.0 { shifted } else { 0.0 };
    (if above < 6.0 { above } else { 6.0 }) / 6.0
}

/// The runtime's: the standard library has no error function.
fn gelu(x: f32) -> f32 {
    Parameters { function: Function::Gelu, alpha: 0.0 }.apply(x)
}

/// The normal distribution's share below `x`, plus `x` times its density.
fn gelu_slope(x: f32) -> f32 {
    const DENSITY_AT_0: f32 = 0.398_942_3;
    let share = if x.abs() > 1e-20 { gelu(x) / x } else { 0.5 };
    share + x * DENSITY_AT_0 * (-0.5 * x * x).exp()
}

/// `s + x * s * (1 - s)`, `s` being the logistic function.
fn swish_slope(x: f32) -> f32 {
    let s = sigmoid(x);
    s + x * s * (1.0 - s)
}

#[inline(always)]
fn hard_swish_slope(x: f32) -> f32 {
    let within = (2.0 * x + 3.0) / 6.0;
    let below = if x > -3.0 { within } else { 0.0 };
    if x < 3.0 { below } else { 1.0 }
}

impl Layer for ActivationLayer {
    identity!("Activation", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        if let Activation::LeakyRelu { slope } = self.activation
            && !(slope > 0.0 && slope.is_finite())
        {
            return Err(format!("a slope above 0, not {slope}"));
        }
        match inputs {
            [shape] => Ok(shape.clone()),
            _ => Err("exactly one input".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        let backward_reads_inputs = self.activation.derives_from_input();
        let backward_reads_output = self.activation != Activation::Linear && !backward_reads_inputs;
        Requirements {
            in_place: !backward_reads_inputs,
            backward_reads_inputs,
            backward_reads_output,
            ..Requirements::default()
        }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let values = &mut *pass.output;
        if self.activation.derives_from_input() {
            values.copy_from_slice(pass.inputs.get(0));
        }
        match self.activation {
            Activation::Linear => {}
            Activation::Relu => map(values, relu),
            Activation::Relu6 => map(
                values,
                #[inline(always)]
                |x| {
                    let above = relu(x);
                    if above < 6.0 { above } else { 6.0 }
                },
            ),
            Activation::LeakyRelu { slope } => {
                map(
                    values,
                    #[inline(always)]
                    move |x| x * if x > 0.0 { 1.0 } else { slope },
                );
            }
            Activation::Selu => map(values, |x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() }),
            Activation::Elu => map(values, |x| if x > 0.0 { x } else { x.exp_m1() }),
            Activation::Sigmoid => map(values, sigmoid),
            Activation::Tanh => map(values, f32::tanh),
            Activation::Softplus => map(values, softplus),
            Activation::Gelu => map(values, gelu),
            Activation::Swish => map(values, |x| x * sigmoid(x)),
            Activation::HardSigmoid => map(values, hard_sigmoid),
            Activation::HardSwish => map(
                values,
                #[inline(always)]
                |x| x * hard_sigmoid(x),
            ),
            Activation::Softmax => softmax_rows(values, pass.output_shape.channels()),
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (gradients, outputs) = (&mut *pass.output_gradient, pass.output);
        if self.activation.derives_from_input() {
            let inputs = pass.inputs.get(0);
            let Some(slot) = pass.input_gradients.get_mut(0) else { return };
            match self.activation {
                Activation::Gelu => scale(gradients, inputs, gelu_slope),
                Activation::Swish => scale(gradients, inputs, swish_slope),
                _ => scale(gradients, inputs, hard_swish_slope),
            }
            return slot.add(gradients);
        }
        match self.activation {
            Activation::Linear | Activation::Gelu | Activation::Swish | Activation::HardSwish => {}
            Activation::Relu => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| if y > 0.0 { 1.0 } else { 0.0 },
            ),
            Activation::Relu6 => {
                scale(
                    gradients,
                    outputs,
                    #[inline(always)]
                    |y| if y > 0.0 && y < 6.0 { 1.0 } else { 0.0 },
                );
            }
            Activation::LeakyRelu { slope } => {
                scale(
                    gradients,
                    outputs,
                    #[inline(always)]
                    move |y| if y > 0.0 { 1.0 } else { slope },
                );
            }
            Activation::Elu => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| if y > 0.0 { 1.0 } else { y + 1.0 },
            ),
            Activation::Selu => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| if y > 0.0 { SELU_SCALE } else { y + SELU_SCALE * SELU_ALPHA },
            ),
            Activation::Sigmoid => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| y * (1.0 - y),
            ),
            Activation::Tanh => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| 1.0 - y * y,
            ),
            // The logistic function of the input: `1 - exp(-y)`.
            Activation::Softplus => scale(gradients, outputs, |y| -(-y).exp_m1()),
            Activation::HardSigmoid => scale(
                gradients,
                outputs,
                #[inline(always)]
                |y| if y > 0.0 && y < 1.0 { 1.0 / 6.0 } else { 0.0 },
            ),
            Activation::Softmax => {
                let size = pass.output_shape.channels();
                for (gradient, output) in gradients.chunks_exact_mut(size).zip(outputs.chunks_exact(size)) {
                    let sum: f32 = gradient.iter().zip(output).map(|(g, y)| g * y).sum();
                    for (gradient, &output) in gradient.iter_mut().zip(output) {
                        *gradient = output * (*gradient - sum);
                    }
                }
            }
        }
    }

    fn as_activation(&self) -> Option<Activation> {
        Some(self.activation)
    }

    fn describe(&self) -> String {
        self.activation.name().to_owned()
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let (function, alpha) = match self.activation {
            Activation::Linear => return Ok(lowering.inputs[0]),
            Activation::Softmax => return Ok(lowering.output(ops::Softmax)),
            Activation::Relu => (Function::Relu, f32::INFINITY),
            Activation::Relu6 => (Function::Relu, 6.0),
            Activation::LeakyRelu { slope } => (Function::LeakyRelu, slope),
            Activation::Elu => (Function::Elu, 1.0),
            Activation::Selu => (Function::Selu, 0.0),
            Activation::Sigmoid => (Function::Sigmoid, 0.0),
            Activation::Tanh => (Function::Tanh, 0.0),
            Activation::Softplus => (Function::Softplus, 0.0),
            Activation::Gelu => (Function::Gelu, 0.0),
            Activation::Swish => (Function::Swish, 0.0),
            Activation::HardSigmoid => (Function::HardSigmoid, 0.0),
            Activation::HardSwish => (Function::HardSwish, 0.0),
        };
        Ok(lowering.output(ops::Activation(Parameters { function, alpha })))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    Activation::ALL.into_iter().map(|activation| Example::new(ActivationLayer::new(activation), &[&[3, 2, 5]])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    /// The error function, by a series whose terms all have one sign, so that nothing cancels.
    fn erf(x: f64) -> f64 {
        let (mut sum, mut term) = (0.0, x);
        for n in 0..200 {
            sum += term;
            term *= 2.0 * x * x / f64::from(2 * n + 3);
        }
        sum * (-x * x).exp() * 2.0 / std::f64::consts::PI.sqrt()
    }

    /// The formulas of the table at the top, in f64; softmax is no function of one value.
    fn formula(activation: Activation, x: f64) -> f64 {
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        let line = ((x + 3.0) / 6.0).clamp(0.0, 1.0);
        match activation {
            Activation::Linear | Activation::Softmax => x,
            Activation::Relu => x.max(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::LeakyRelu { slope } => x.max(0.0) + f64::from(slope) * x.min(0.0),
            Activation::Elu => x.max(0.0) + x.min(0.0).exp() - 1.0,
            Activation::Selu => 1.050_700_987 * (x.max(0.0) + 1.673_263_242 * (x.min(0.0).exp() - 1.0)),
            Activation::Sigmoid => sigmoid,
            Activation::Tanh => x.tanh(),
            Activation::Softplus => (1.0 + x.exp()).ln(),
            Activation::Gelu => x * (1.0 + erf(x / 2f64.sqrt())) / 2.0,
            Activation::Swish => x * sigmoid,
            Activation::HardSigmoid => line,
            Activation::HardSwish => x * line,
        }
    }

    #[test]
    fn values_and_slopes_are_those_of_the_formulas() {
        for activation in Activation::ALL.into_iter().filter(|&activation| activation != Activation::Softmax) {
            let layer = ActivationLayer::new(activation);
            check(&layer, &[Shape::from([3, 7])], &|inputs, _| inputs[0].iter().map(|&x| formula(activation, x)).collect());
            // Further out than the harness goes, where the pieces of some functions meet others.
            let places: Vec<f64> = (-16..=26).map(|step| f64::from(step) * 0.25 + 0.1).collect();
            let mut harness = Harness::new(&layer, &[Shape::from([places.len()])], 1);
            places.iter().zip(harness.inputs[0].iter_mut()).for_each(|(&x, value)| *value = x as f32);
            harness.output_gradient.fill(2.0);
            let outputs = harness.forward().to_vec();
            harness.backward(true, false);
            for ((&x, output), gradient) in places.iter().zip(outputs).zip(harness.input_gradients[0].iter()) {
                let slope = (formula(activation, x + 1e-6) - formula(activation, x - 1e-6)) / 2e-6;
                let near = |found: f32, wanted: f64| (f64::from(found) - wanted).abs() < 2e-6 * (1.0 + wanted.abs());
                assert!(near(output, formula(activation, x)), "{activation}({x}) is {output}");
                assert!(near(*gradient, 2.0 * slope), "slope of {activation} at {x}: {}, wanted {slope}", gradient / 2.0);
            }
        }
    }

    #[test]
    fn far_values_stay_finite() {
        for activation in Activation::ALL {
            let layer = ActivationLayer::new(activation);
            let mut harness = Harness::new(&layer, &[Shape::from([4])], 1);
            harness.inputs[0].copy_from_slice(&[-200.0, -100.0, 0.0, 200.0]);
            assert!(harness.forward().iter().all(|value| value.is_finite()), "{activation}: {:?}", harness.output);
            harness.backward(true, false);
            assert!(harness.input_gradients[0].iter().all(|value| value.is_finite()), "{activation}, gradient");
        }
    }

    #[test]
    fn softplus_keeps_its_slope_where_it_is_nearly_0() {
        let layer = ActivationLayer::new(Activation::Softplus);
        let mut harness = Harness::new(&layer, &[Shape::from([1])], 1);
        harness.inputs[0][0] = -20.0;
        harness.output_gradient[0] = 1.0;
        let output = harness.forward()[0];
        harness.backward(true, false);
        // exp(-20), to which both come down.
        assert!((output / 2.061_153_6e-9 - 1.0).abs() < 1e-6, "{output}");
        assert!((harness.input_gradients[0][0] / 2.061_153_6e-9 - 1.0).abs() < 1e-6);
    }
}
