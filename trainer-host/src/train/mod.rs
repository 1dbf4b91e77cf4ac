//! Training: the static plan, the step, `fit`, `evaluate`, `predict`.

mod arrange;
#[cfg(test)]
mod callback_tests;
mod carried;
#[cfg(test)]
mod carried_tests;
mod compile;
#[cfg(test)]
mod duplicate_tests;
mod evaluate;
mod execute;
mod feed;
mod fit;
#[cfg(test)]
mod freezing_tests;
mod history;
mod lane;
mod learning;
#[cfg(test)]
mod length_tests;
mod loader;
mod memory;
mod model;
mod objective;
#[cfg(test)]
mod options_tests;
mod plan;
mod predict;
#[cfg(test)]
mod regularizer_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod saving_tests;
mod sequential;
#[cfg(test)]
mod source_tests;
mod state;
#[cfg(test)]
mod tests;
mod trainer;
mod training;
#[cfg(test)]
mod transform_tests;

pub use fit::Fit;
pub use history::{EpochLog, History, Measurements};
pub use model::Model;
pub use objective::{IntoObjective, IntoObjectives, Objective, on};
pub use predict::Predictor;
pub use sequential::Sequential;
pub use state::TrainingState;
pub use training::Training;

/// Runs `work` on a thread of the pool, so that its parallel loops need no message from outside (which would allocate).
fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() { work() } else { rayon::scope(|_| work()) }
}
