//! The graph: symbolic tensors that layers are applied to, and what a model makes of them.

mod build;
mod shape;
mod summary;
mod symbolic;

pub use build::{Graph, Node, ParameterEntry};
pub use shape::Shape;
pub use symbolic::{SymbolicTensor, input, named_input};

pub(crate) use symbolic::Origin;
