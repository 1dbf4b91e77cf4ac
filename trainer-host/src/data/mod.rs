//! Data: tensors with values, data sets in memory, and sources of batches that need not be.

pub mod augment;
mod builder;
mod dataset;
mod log_mel;
mod npz_writer;
mod select;
mod source;
pub mod sources;
mod tensor;
mod text;

pub use crate::numeric::random::Random;
pub use builder::DatasetBuilder;
pub use dataset::Dataset;
pub(crate) use dataset::check_weights;
pub use log_mel::{LogMel, LogMelOptions};
pub use npz_writer::write_npz;
pub(crate) use npz_writer::{TOO_LARGE, npz_bytes};
pub use select::{Select, validation_split};
pub use source::{BatchBuffers, Field, Map, Sample, Source};
pub use tensor::Tensor;
pub use text::{PADDING, Side, UNKNOWN, Vocabulary, pad_sequences};
