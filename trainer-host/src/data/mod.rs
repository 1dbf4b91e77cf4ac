//! Data: tensors with values, and data sets in memory.

mod builder;
mod dataset;
pub mod sources;
mod tensor;

pub use builder::DatasetBuilder;
pub use dataset::Dataset;
pub(crate) use dataset::check_weights;
pub use tensor::Tensor;
