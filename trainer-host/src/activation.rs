//! Functions of each value, or of each last axis for softmax; what the layer [`ActivationLayer`](crate::layers::ActivationLayer) applies.
//!
//! | name | formula |
//! |---|---|
//! | linear | `x` |
//! | relu | `x` above 0, else 0 |
//! | relu6 | relu, at most 6 |
//! | leaky_relu | `x` above 0, else `slope * x` |
//! | elu | `x` above 0, else `exp(x) - 1` (Clevert et al. 2015) |
//! | selu | `1.0507 * (x above 0, else 1.67326 * (exp(x) - 1))` (Klambauer et al. 2017) |
//! | sigmoid | `1 / (1 + exp(-x))` |
//! | tanh | `tanh(x)` |
//! | softplus | `ln(1 + exp(x))` |
//! | gelu | `x * (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016) |
//! | swish | `x * sigmoid(x)`, also called SiLU (Ramachandran et al. 2017) |
//! | hard_sigmoid | `(x + 3) / 6`, at least 0, at most 1 |
//! | hard_swish | `x * hard_sigmoid(x)` (Howard et al. 2019) |
//! | softmax | `exp(x_i) / sum_j exp(x_j)` over the last axis |

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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
    /// Exponential linear unit: `x` above 0, else `exp(x) - 1`.
    Elu,
    /// Scaled exponential linear unit.
    Selu,
    /// Logistic function.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// Gaussian error linear unit, exact: `x` times the normal distribution's share below `x`.
    Gelu,
    /// `x * sigmoid(x)`.
    Swish,
    /// The logistic function as three lines: `(x + 3) / 6`, from 0 to 1.
    HardSigmoid,
    /// `x * hard_sigmoid(x)`.
    HardSwish,
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

    /// All of them, for tests and tables; leaky ReLU with Keras's slope.
    pub const ALL: [Self; 14] = [
        Self::Linear,
        Self::Relu,
        Self::Relu6,
        Self::LEAKY_RELU,
        Self::Elu,
        Self::Selu,
        Self::Sigmoid,
        Self::Tanh,
        Self::Softplus,
        Self::Gelu,
        Self::Swish,
        Self::HardSigmoid,
        Self::HardSwish,
        Self::Softmax,
    ];

    /// The name, as in Keras.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softplus => "softplus",
            Self::Gelu => "gelu",
            Self::Swish => "swish",
            Self::HardSigmoid => "hard_sigmoid",
            Self::HardSwish => "hard_swish",
            Self::Softmax => "softmax",
        }
    }

    /// `true` if the derivative is no function of the output.
    pub(crate) fn derives_from_input(&self) -> bool {
        matches!(self, Self::Gelu | Self::Swish | Self::HardSwish)
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
