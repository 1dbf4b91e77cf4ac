//! The graph: symbolic tensors that layers are applied to, and what a model makes of them.

mod apply;
mod base;
mod build;
mod layer;
mod lengths;
mod options;
pub mod pass;
mod rounding;
mod shape;
mod summary;
mod symbolic;
mod transform;

pub use apply::{Apply, IntoInputs, Named};
pub use base::{LayerBase, ParameterKind, ParameterSpec, ParameterValue};
pub use build::{Graph, Node, ParameterEntry};
pub use layer::{Layer, Requirements};
pub use lengths::LengthRule;
pub(crate) use lengths::{clear_behind, length_before_padding};
pub use options::LayerOptions;
pub use rounding::Rounding;
pub(crate) use rounding::SharedRounding;
pub use shape::Shape;
pub use symbolic::{SymbolicTensor, input};
pub use transform::{SharedTransform, Transform};

pub(crate) use apply::apply_shared;
pub(crate) use base::Trainable;
pub(crate) use build::snake_case;
pub(crate) use symbolic::{Application, Origin, Scope, ShapeFault};
