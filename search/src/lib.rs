//! Hyper-parameter search: [`Space`] says what may be chosen, a [`Study`] keeps what was tried in a database that Optuna's package and
//! dashboard open, and asks a [`Sampler`] what to try next. Nothing here knows of nets.
//!
//! ```
//! use samara_search::{Direction, Options, Outcome, Space, Study};
//!
//! let space = Space::from_toml("[space]\nx = { float = [-4.0, 4.0] }\nsquare = { choice = [true, false] }")?;
//! let directory = tempfile::tempdir()?;
//! let mut study = Study::open(&directory.path().join("s.db"), "parabola", &[Direction::Minimize], space, Options::default())?;
//! for _ in 0..20 {
//!     let trial = study.ask()?;
//!     let x = trial.float("x")?;
//!     let value = if trial.flag("square")? { x * x } else { 20.0 };
//!     study.tell(&trial, Outcome::Complete(vec![value]))?;
//! }
//! assert!(study.best()?.is_some_and(|best| best.values[0] < 2.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod database;
mod distribution;
mod error;
mod evolution;
mod front;
mod gaussian;
mod importance;
mod parzen;
mod pruner;
mod random;
mod sampler;
mod space;
mod study;
mod template;
mod trial;

pub use database::Storage;
pub use distribution::{Distribution, Value};
pub use error::{Error, Result};
pub use importance::Importance;
pub use pruner::Pruner;
pub use sampler::Sampler;
pub use space::{Chosen, Condition, Parameter, Space, Test};
pub use study::{Options, Study};
pub use template::Template;
pub use trial::{Direction, Outcome, State, Trial};
