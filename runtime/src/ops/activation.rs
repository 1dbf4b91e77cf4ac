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
        let function = match cursor.u8() {
            0 => Function::Relu,
            1 => Function::LeakyRelu,
            2 => Function::Selu,
            3 => Function::Sigmoid,
            4 => Function::Tanh,
            _ => return None,
        };
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
            Function::Sigmoid => 1.0 / (1.0 + libm::expf(-x)),
            Function::Tanh => libm::tanhf(x),
        }
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
    }
}
