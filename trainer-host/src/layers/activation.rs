//! Activations: a function of each value, or of each last axis for softmax, in place.
//!
//! | name | formula |
//! |---|---|
//! | linear | `x` |
//! | relu | `x` above 0, else 0 |
//! | relu6 | relu, at most 6 |
//! | leaky_relu | `x` above 0, else `slope * x` |
//! | selu | `1.0507 * (x above 0, else 1.67326 * (exp(x) - 1))` (Klambauer et al. 2017) |
//! | sigmoid | `1 / (1 + exp(-x))` |
//! | tanh | `tanh(x)` |
//! | softmax | `exp(x_i) / sum_j exp(x_j)` over the last axis |
//!
//! Every derivative is a function of the output, so that the input need not be kept.

use std::fmt;
use std::sync::Arc;

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements};
use crate::export::lower::Lowering;
use crate::export::{Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;
use samara_runtime::ops::activation::Function;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// The identity.
    Linear,
    /// `x` above 0, else 0.
    Relu,
    /// ReLU, at most 6.
    Relu6,
    /// `x` above 0, else `slope * x`. The slope lies above 0; Keras's default is 0.3 for the layer.
    LeakyRelu {
        /// The slope below 0.
        slope: f32,
    },
    /// Scaled exponential linear unit.
    Selu,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Exponentials over their sum along the last axis.
    Softmax,
}

/// SELU's factor.
pub const SELU_SCALE: f32 = 1.050_701;
/// SELU's alpha.
pub const SELU_ALPHA: f32 = 1.673_263_2;

impl Activation {
    /// Leaky ReLU with Keras's slope for the layer, 0.3.
    pub const LEAKY_RELU: Self = Self::LeakyRelu { slope: 0.3 };

    /// The name, as in Keras.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Selu => "selu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softmax => "softmax",
        }
    }

    /// The layer that other layers put behind them for their `activation`; none for the identity.
    pub(crate) fn as_layer(self) -> Option<Arc<dyn Layer>> {
        (self != Self::Linear).then(|| Arc::new(ActivationLayer::new(self)) as Arc<dyn Layer>)
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeakyRelu { slope } => write!(f, "leaky_relu({slope})"),
            _ => f.write_str(self.name()),
        }
    }
}

/// An activation as a layer of its own.
#[derive(Debug, Clone)]
pub struct ActivationLayer {
    base: LayerBase,
    activation: Activation,
}

impl ActivationLayer {
    /// A layer that applies this function.
    pub fn new(activation: Activation) -> Self {
        Self { base: LayerBase::new(), activation }
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
    vectorized(
        #[inline(always)]
        || {
            values.iter_mut().for_each(
                #[inline(always)]
                |value| *value = function(*value),
            )
        },
    );
}

/// Multiplies each gradient by a function of the output.
#[inline(always)]
fn scale(gradients: &mut [f32], outputs: &[f32], slope: impl Fn(f32) -> f32) {
    vectorized(
        #[inline(always)]
        || {
            for (gradient, &output) in gradients.iter_mut().zip(outputs) {
                *gradient *= slope(output);
            }
        },
    );
}

impl Layer for ActivationLayer {
    fn kind(&self) -> &'static str {
        "Activation"
    }

    fn base(&self) -> &LayerBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut LayerBase {
        &mut self.base
    }

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

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        let backward_reads_output = self.activation != Activation::Linear;
        Requirements { in_place: true, backward_reads_output, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let values = &mut *pass.output;
        match self.activation {
            Activation::Linear => {}
            Activation::Relu => map(
                values,
                #[inline(always)]
                |x| if x > 0.0 { x } else { 0.0 },
            ),
            Activation::Relu6 => map(
                values,
                #[inline(always)]
                |x| {
                    let above = if x > 0.0 { x } else { 0.0 };
                    if above < 6.0 { above } else { 6.0 }
                },
            ),
            Activation::LeakyRelu { slope } => {
                map(
                    values,
                    #[inline(always)]
                    move |x| if x > 0.0 { x } else { slope * x },
                );
            }
            Activation::Selu => map(values, |x| SELU_SCALE * if x > 0.0 { x } else { SELU_ALPHA * x.exp_m1() }),
            Activation::Sigmoid => map(values, |x| 1.0 / (1.0 + (-x).exp())),
            Activation::Tanh => map(values, f32::tanh),
            Activation::Softmax => softmax_rows(values, pass.output_shape.channels()),
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (gradients, outputs) = (&mut *pass.output_gradient, pass.output);
        match self.activation {
            Activation::Linear => {}
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
            Activation::Selu => (Function::Selu, 0.0),
            Activation::Sigmoid => (Function::Sigmoid, 0.0),
            Activation::Tanh => (Function::Tanh, 0.0),
        };
        Ok(lowering.output(ops::Activation(samara_runtime::ops::activation::Parameters { function, alpha })))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    [
        Activation::Linear,
        Activation::Relu,
        Activation::Relu6,
        Activation::LEAKY_RELU,
        Activation::Selu,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softmax,
    ]
    .into_iter()
    .map(|activation| Example::new(ActivationLayer::new(activation), &[&[3, 2, 5]]))
    .collect()
}
