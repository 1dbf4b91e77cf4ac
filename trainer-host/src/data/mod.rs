//! Data: tensors with values, and data sets in memory.

mod dataset;
pub mod sources;
mod tensor;

pub use dataset::Dataset;
pub(crate) use dataset::check_weights;
pub use tensor::Tensor;
