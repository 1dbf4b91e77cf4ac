//! Pointwise functions of f32. In int8 they are a [`lut`](super::lut) (or a clamp of the layer before).
//! Shape: any; the output's is the input's.
//!
//! They are libm's functions, within a few units of the last place, unless the feature `micromath` makes them shorter. Then the
//! largest absolute errors are these; the other functions stay as they are:
//!
//! | function | error |
//! |---|---|
//! | `Selu` | 2.2e-3 |
//! | `Sigmoid` | 5.5e-4 |
//! | `Tanh` | 1.1e-3 |
//! | `Elu` | 1.2e-3 times alpha |
//! | `Gelu` | 5.5e-4 |
//! | `Swish` | 5.5e-4 |
//! | `Softplus` | 8e-4 |
//! | [softmax](super::softmax) | 6e-4 per share; they still sum to 1 |

use crate::{
    error::NodeFault,
    format::cursor::Cursor,
    math::{Exact, Functions, OfKernels},
    op::{Lengths, NodeCheck, NodeRun, OpDef, as_f32_mut, ensure, in_place},
    tensor::ElementType::F32,
};

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

    /// The function's value, exact whatever the features: the host makes int8 tables of it. Bit for bit the same on every core.
    pub fn apply(&self, x: f32) -> f32 {
        self.apply_by::<Exact>(x)
    }

    fn apply_by<By: Functions>(&self, x: f32) -> f32 {
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
            Function::Selu => 1.050_701 * if x > 0.0 { x } else { 1.673_263_2 * By::exp_minus_one(x) },
            Function::Sigmoid => sigmoid::<By>(x),
            Function::Tanh => By::tanh(x),
            Function::Elu => {
                if x > 0.0 {
                    x
                } else {
                    self.alpha * By::exp_minus_one(x)
                }
            }
            Function::Gelu => 0.5 * x * (1.0 + By::erf(x * core::f32::consts::FRAC_1_SQRT_2)),
            Function::Swish => x * sigmoid::<By>(x),
            Function::HardSwish => x * hard_sigmoid(x),
            Function::HardSigmoid => hard_sigmoid(x),
            // ln(1 + exp(x)) without overflow: max(x, 0) + ln(1 + exp(-|x|)).
            Function::Softplus => {
                let (positive, magnitude) = if x > 0.0 { (x, x) } else { (0.0, -x) };
                positive + By::ln_one_plus(By::exp(-magnitude))
            }
        }
    }
}

pub(super) fn sigmoid<By: Functions>(x: f32) -> f32 {
    1.0 / (1.0 + By::exp(-x))
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
        as_f32_mut(node.buffers_in_place().output).iter_mut().for_each(|x| *x = parameters.apply_by::<OfKernels>(*x));
    }
}

/// The op.
pub static ACTIVATION_F32: OpDef =
    OpDef { code: 12, name: "activation_f32", alias: in_place, lengths: Lengths::Rows, check, run };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Approximate;

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

    /// The formulas in f64.
    fn reference(function: Function, x: f64) -> f64 {
        let negative = |value: f64| if x > 0.0 { x } else { value };
        let sigmoid = 1.0 / (1.0 + libm::exp(-x));
        match function {
            Function::Selu => f64::from(1.050_701_f32) * negative(f64::from(1.673_263_2_f32) * libm::expm1(x)),
            Function::Sigmoid => sigmoid,
            Function::Tanh => libm::tanh(x),
            Function::Elu => negative(libm::expm1(x)),
            Function::Gelu => 0.5 * x * (1.0 + libm::erf(x * core::f64::consts::FRAC_1_SQRT_2)),
            Function::Swish => x * sigmoid,
            Function::Softplus => libm::log1p(libm::exp(x)),
            _ => panic!("{function:?} is no function of exp"),
        }
    }

    #[test]
    fn approximate_functions_are_as_far_off_as_documented() {
        // A bound that is passed, or that is twice too large, makes the table above wrong.
        for (function, bound) in [
            (Function::Selu, 2.2e-3),
            (Function::Sigmoid, 5.5e-4),
            (Function::Tanh, 1.1e-3),
            (Function::Elu, 1.2e-3),
            (Function::Gelu, 5.5e-4),
            (Function::Swish, 5.5e-4),
            (Function::Softplus, 8e-4),
        ] {
            let parameters = Parameters { function, alpha: 1.0 };
            let error = |x: f32| (f64::from(parameters.apply_by::<Approximate>(x)) - reference(function, f64::from(x))).abs();
            let worst =
                (-40 << 10..=40 << 10).map(|step| error(step as f32 / 1024.0)).fold(0.0, |a, b| if b > a { b } else { a });
            assert!((bound / 2.0..=bound).contains(&worst), "{function:?} is off by {worst}, the table says {bound}");
        }
    }

    #[test]
    fn approximate_functions_go_where_the_exact_ones_go() {
        // micromath alone makes numbers of NaN, and NaN of exp(88.8).
        let far = [f32::NAN, f32::INFINITY, f32::MAX, 1e30, 89.0, 88.8, 88.72, 88.71, 88.7, 88.0, 87.4, 87.3, 1e-40, 0.0];
        for function in Function::ALL {
            let parameters = Parameters { function, alpha: 1.0 };
            for x in far.into_iter().flat_map(|x| [x, -x]) {
                let (exact, approximate) = (parameters.apply(x), parameters.apply_by::<Approximate>(x));
                let same = exact.is_nan() && approximate.is_nan() || exact == approximate || (exact - approximate).abs() < 1e-4;
                assert!(same, "{function:?} of {x} is {approximate}, expected {exact}");
            }
        }
    }
}
