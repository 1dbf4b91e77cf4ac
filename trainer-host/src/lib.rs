//! Samara's trainer: builds, trains, quantizes and exports models on the desktop.

pub mod callbacks;
pub mod data;
mod error;
pub mod export;
pub mod graph;
pub mod initializers;
pub mod layers;
pub mod losses;
pub mod metrics;
mod numeric;
pub mod optimizers;
pub mod quantize;
pub mod schedules;
mod train;

pub use error::{Error, Result};
pub use train::{EpochLog, Fit, History, Measurements, Model, Sequential, Trainer};

/// What most programs need: `use samara_trainer::prelude::*;`.
pub mod prelude {
    pub use crate::data::{Dataset, Tensor};
    pub use crate::graph::{Shape, SymbolicTensor, input, named_input};
    pub use crate::layers::*;
    pub use crate::losses::*;
    pub use crate::optimizers::{Adam, RmsProp, Sgd};
    pub use crate::schedules::{Cosine, OneCycle};
    pub use crate::{Error, Fit, History, Measurements, Model, Result, Sequential};
}
