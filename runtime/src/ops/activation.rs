//! Pointwise functions of f32. In int8 they are a [`lut`](super::lut) (or a clamp of the layer before).
//! Shape: any; the output's is the input's.

use super::{
    Alias, NodeCheck, NodeRun, OpDef,
    node::{as_f32_mut, ensure},
};
use crate::{error::NodeFault, format::cursor::Cursor, tensor::ElementType::F32};

/// A function, by its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Function {
    /// `min(max(x, 0), alpha)`; alpha is infinite for plain ReLU, 6 for ReLU6.
    Relu = 0,
    /// `x` for `x > 0`, else `alpha * x`.
    LeakyRelu = 1,
    /// `1.050701 * (x` for `x > 0`, else `1.673263 * (exp(x) - 1))` (Klambauer et al. 2017).
    Selu = 2,
    /// `1 / (1 + exp(-x))`.
    Sigmoid = 3,
    /// Hyperbolic tangent.
    Tanh = 4,
    /// `x` for `x > 0`, else `alpha * (exp(x) - 1)` (Clevert et al. 2015).
    Elu = 5,
    /// `x * (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016).
    Gelu = 6,
    /// `x * sigmoid(x)` (Ramachandran et al. 2017).
    Swish = 7,
    /// `x * min(max(x + 3, 0), 6) / 6` (Howard et al. 2019).
    HardSwish = 8,
    /// `min(max(x + 3, 0), 6) / 6`.
    HardSigmoid = 9,
    /// `ln(1 + exp(x))`.
    Softplus = 10,
}

impl Function {
    /// All of them, by number.
    pub const ALL: [Self; 11] = [
        Self::Relu,
        Self::LeakyRelu,
        Self::Selu,
        Self::Sigmoid,
        Self::Tanh,
        Self::Elu,
        Self::Gelu,
        Self::Swish,
        Self::HardSwish,
        Self::HardSigmoid,
        Self::Softplus,
    ];
}

/// Parameters in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Parameters {
    /// The function.
    pub function: Function,
    /// Its parameter, 0 where it has none.
    pub alpha: f32,
}

impl Parameters {
    /// Reads what the file holds; `None` for a function that this version does not know.
    pub fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let function = *Function::ALL.get(usize::from(cursor.u8()))?;
        Some(Self { function, alpha: cursor.f32() })
    }

    /// The function's value. Bit for bit the same on every core.
    pub fn apply(&self, x: f32) -> f32 {
        match self.function {
            Function::Relu => {
                let positive = if x < 0.0 { 0.0 } else { x };
                if positive > self.alpha { self.alpha } else { positive }
            }
            Function::LeakyRelu => {
                if x > 0.0 {
                    x
                } else {
                    self.alpha * x
                }
            }
            Function::Selu => 1.050_701 * if x > 0.0 { x } else { 1.673_263_2 * libm::expm1f(x) },
            Function::Sigmoid => sigmoid(x),
            Function::Tanh => libm::tanhf(x),
            Function::Elu => {
                if x > 0.0 {
                    x
                } else {
                    self.alpha * libm::expm1f(x)
                }
            }
            Function::Gelu => 0.5 * x * (1.0 + libm::erff(x * core::f32::consts::FRAC_1_SQRT_2)),
            Function::Swish => x * sigmoid(x),
            Function::HardSwish => x * hard_sigmoid(x),
            Function::HardSigmoid => hard_sigmoid(x),
            // ln(1 + exp(x)) without overflow: max(x, 0) + ln(1 + exp(-|x|)).
            Function::Softplus => {
                let (positive, magnitude) = if x > 0.0 { (x, x) } else { (0.0, -x) };
                positive + libm::log1pf(libm::expf(-magnitude))
            }
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

fn hard_sigmoid(x: f32) -> f32 {
    let shifted = x + 3.0;
    if shifted < 0.0 {
        0.0
    } else if shifted > 6.0 {
        1.0
    } else {
        shifted / 6.0
    }
}

fn check(node: &NodeCheck<'_>) -> Result<(), NodeFault> {
    let [input] = node.inputs(F32)?;
    ensure(input.same_form(&node.output), NodeFault::Shape)?;
    let parameters = node.parameters(Parameters::decode)?.ok_or(NodeFault::Parameter)?;
    ensure(!parameters.alpha.is_nan(), NodeFault::Parameter)
}

fn run(node: &mut NodeRun<'_>) {
    if let Some(parameters) = Parameters::decode(&mut node.parameters()) {
        as_f32_mut(node.buffers_in_place().output).iter_mut().for_each(|x| *x = parameters.apply(*x));
    }
}

/// The op.
pub static ACTIVATION_F32: OpDef = OpDef { code: 12, name: "activation_f32", alias: Alias::InPlace, check, run };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_formulas() {
        let of = |function, alpha, x| Parameters { function, alpha }.apply(x);
        assert_eq!(of(Function::Relu, 6.0, 7.0), 6.0);
        assert_eq!(of(Function::Relu, f32::INFINITY, -1.0), 0.0);
        assert_eq!(of(Function::LeakyRelu, 0.25, -2.0), -0.5);
        assert!((of(Function::Selu, 0.0, -1.0) + 1.111_330_7).abs() < 1e-6);
        assert_eq!(of(Function::Sigmoid, 0.0, 0.0), 0.5);
        assert!((of(Function::Tanh, 0.0, 0.5) - 0.462_117_16).abs() < 1e-7);
        assert!((of(Function::Elu, 0.5, -1.0) + 0.316_060_28).abs() < 1e-7);
        assert!((of(Function::Gelu, 0.0, 1.0) - 0.841_344_8).abs() < 1e-6);
        assert!((of(Function::Swish, 0.0, 1.0) - 0.731_058_6).abs() < 1e-6);
        assert_eq!(of(Function::HardSwish, 0.0, 1.5), 1.125);
        assert_eq!(of(Function::HardSigmoid, 0.0, -4.0), 0.0);
        assert!((of(Function::Softplus, 0.0, 0.0) - core::f32::consts::LN_2).abs() < 1e-7);
        assert_eq!(of(Function::Softplus, 0.0, 200.0), 200.0);
    }

    #[test]
    fn numbers_in_files_are_the_places_in_the_list() {
        for (number, function) in Function::ALL.into_iter().enumerate() {
            assert_eq!(function as usize, number);
        }
    }
}
