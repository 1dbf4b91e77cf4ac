//! Initial values of parameters: one file each.

mod constant;
mod orthogonal;
mod uniform;
mod unit_forget_bias;
mod variance_scaling;

pub use constant::Constant;
pub use orthogonal::Orthogonal;
pub use uniform::Uniform;
pub use unit_forget_bias::UnitForgetBias;
pub use variance_scaling::{Distribution, FanMode, VarianceScaling};

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::numeric::random::Random;
use crate::saved::saved_kinds;

/// How a parameter gets its initial values.
pub trait Initializer: fmt::Debug + Send + Sync + Any {
    /// Fills the values of a parameter of this shape.
    fn fill(&self, shape: &[usize], random: &mut Random, values: &mut [f32]);
}

/// An initializer as layers keep it.
pub type SharedInitializer = Arc<dyn Initializer>;

saved_kinds!(SavedInitializer of Initializer, "initializer": Constant, Orthogonal, Uniform, UnitForgetBias, VarianceScaling);

/// All zeros.
pub fn zeros() -> Constant {
    Constant::new(0.0)
}

/// All ones.
pub fn ones() -> Constant {
    Constant::new(1.0)
}

/// Uniform with variance `2 / (fan_in + fan_out)`, Keras's default for kernels (Glorot and Bengio 2010).
pub fn glorot_uniform() -> VarianceScaling {
    VarianceScaling::new(1.0, FanMode::Average, Distribution::Uniform)
}

/// Truncated normal with variance `2 / (fan_in + fan_out)` (Glorot and Bengio 2010).
pub fn glorot_normal() -> VarianceScaling {
    VarianceScaling::new(1.0, FanMode::Average, Distribution::TruncatedNormal)
}

/// Uniform with variance `2 / fan_in`, for ReLU and its kin (He et al. 2015).
pub fn he_uniform() -> VarianceScaling {
    VarianceScaling::new(2.0, FanMode::In, Distribution::Uniform)
}

/// Truncated normal with variance `2 / fan_in`, for ReLU and its kin (He et al. 2015).
pub fn he_normal() -> VarianceScaling {
    VarianceScaling::new(2.0, FanMode::In, Distribution::TruncatedNormal)
}

/// Uniform with variance `1 / fan_in`, for SELU (LeCun et al. 1998).
pub fn lecun_uniform() -> VarianceScaling {
    VarianceScaling::new(1.0, FanMode::In, Distribution::Uniform)
}

/// Truncated normal with variance `1 / fan_in`, for SELU (LeCun et al. 1998).
pub fn lecun_normal() -> VarianceScaling {
    VarianceScaling::new(1.0, FanMode::In, Distribution::TruncatedNormal)
}
