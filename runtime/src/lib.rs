//! Runs Samara models on microcontrollers: `no_std`, no heap, checked once, then infallible.
//!
//! A model file is embedded with [`include_model!`], its sizes are known to the compiler, and only the kernels that it
//! uses are linked:
//!
//! ```no_run
//! use samara_runtime::{Model, Session};
//!
//! fn classify(model_bytes: &[u8], arena: &mut [u8], image: &[i8]) -> Option<i8> {
//!     let model = Model::parse(model_bytes, samara_runtime::ALL_OPS).ok()?; // every byte is checked here
//!     let mut session = Session::new(model, arena).ok()?;
//!     session.write_i8(0, image).ok()?;
//!     session.run(); // cannot fail, cannot panic
//!     session.output_i8(0)?.iter().copied().max()
//! }
//! ```
//!
//! In firmware, [`arena_bytes`], [`op_count`] and [`select_ops`] turn the model's header into constants:
//!
//! ```text
//! static MODEL: &[u8] = include_model!("digits.samara");
//! static OPS: [&OpDef; op_count(MODEL)] = select_ops(MODEL);
//! static ARENA: ConstStaticCell<Arena<{ arena_bytes(MODEL) }>> = ConstStaticCell::new(Arena::for_model(MODEL));
//! ```
//!
//! A session runs whole, in steps ([`Session::run_until`], [`Session::run_for`]), over sequences of any length up to the file's
//! ([`Session::set_length`]), and for many streams, one [state](Session::state) each. [`Session::self_test`] runs the inputs
//! that came with the file and compares what they give. What is not called is not linked.
//!
//! The file format is described in [`mod@format`], the numbers in [`quant`].
//!
//! # Features
//!
//! None is on by default.
//!
//! - `std`: the host's side of the file format, its writer.
//! - `train`: heads that learn on the device ([`train`]).
//! - `defmt`: errors, tensors and reports as defmt logs.
//! - `micromath`: f32 activations and softmax by shorter, less exact functions, for f32 nets on cores without FPU or with
//!   little flash; [`ops::activation`] has the errors, `docs/measurements.md` what it saves. int8 models do not change by a
//!   bit. A device built with it gives the bits of a host that is built with it too
//!   (`--features samara-runtime/micromath`); from other hosts it differs by about those errors, and their self-test by its
//!   checksums.
//! - `link`: a host that talks to the device over a serial line: the module of that name. Comes with `persist` and `train`.
//! - `persist`: what a device learns, in NOR flash, as generations that are whole whenever the power fails: the module `persist`.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod arena;
pub mod error;
pub mod exec;
pub mod format;
mod gates;
pub mod golden;
#[cfg(feature = "link")]
pub mod link;
mod math;
pub mod model;
pub mod op;
pub mod ops;
#[cfg(feature = "persist")]
pub mod persist;
pub mod quant;
mod random;
pub mod selftest;
pub mod simd;
pub mod tensor;
#[cfg(feature = "train")]
pub mod train;

pub use arena::{Aligned, Arena};
pub use error::{InputError, LoadError, NodeFault};
pub use exec::{Session, Tensors};
pub use format::{
    crc::{Crc32, crc32},
    header::arena_bytes,
};
pub use golden::SelfTestError;
pub use model::Model;
pub use op::OpDef;
pub use ops::{ALL_OPS, op_count, select_ops};
pub use tensor::{ElementType, LengthGroup, Tensor};
