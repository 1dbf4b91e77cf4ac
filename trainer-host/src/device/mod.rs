//! The graph that a device runs, and its way into a file. It knows no layer: `export.rs` lowers models to it.
//!
//! ```text
//! DeviceGraph ──simplify──> DeviceGraph ──encode──> ModelFile ──fuse──> ModelFile ──> bytes ──> DeviceModel
//!  real numbers, ops of the  batch-norms folded,    f32 or int8,        sums in                 runs on the host, by
//!  runtime                   activations fused      arena planned       convolutions            the device's own code
//! ```
//!
//! A [`DeviceGraph`] knows real numbers only. What an op needs for one element type is in its file in [`ops`], as
//! implementations of [`DeviceOp`]; nothing here matches over kinds of ops.

pub mod block_head;
pub mod dense_head;
pub mod encode;
mod error;
pub mod fuse;
pub mod golden;
mod graph;
pub mod heads;
mod lengths;
mod lowering;
mod op;
pub mod ops;
pub mod plan;
pub mod run;
pub mod simplify;
pub mod stream;

pub use error::ExportError;
pub use graph::{DeviceGraph, DeviceNode, Value};
pub use lowering::{Lowering, linear};
pub use op::{Clamp, CloneOp, Constants, DeviceOp, Encoded, Form, NodeContext, OutputQuantization, Quantization, Rows, Steps};
