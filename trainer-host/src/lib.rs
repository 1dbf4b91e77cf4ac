//! Samara's trainer: builds, trains, quantizes and exports models on the desktop.
//!
//! Layers are applied to symbolic tensors, as in Keras; a [`Model`] is what lies between inputs and outputs. Nothing
//! fails line by line: [`Model::new`] reports all that is wrong at once.
//!
//! ```
//! use samara_trainer::prelude::*;
//!
//! # fn main() -> Result<()> {
//! // Points of the plane: is the product of both coordinates positive?
//! let values: Vec<f32> = (0..800).map(|number| ((number * 37) % 101) as f32 / 50.0 - 1.0).collect();
//! let labels: Vec<u8> = values.chunks(2).map(|point| u8::from(point[0] * point[1] > 0.0)).collect();
//! let data = Dataset::new(Tensor::new([400, 2], values)?, Tensor::from_labels(&labels))?;
//!
//! let point = input([2]).named("point");
//! let x = Dense::new(16).activation(Activation::Tanh).apply(&point);
//! let shortcut = Dense::new(16).apply(&x);
//! let x = Add::new().apply([&x, &shortcut]);
//! let class = Dense::new(2).activation(Activation::Softmax).apply(&x);
//! let mut model = Model::new("quadrants", point, class)?;
//! println!("{}", model.summary());
//!
//! model.compile(Adam::new(0.01), SparseCategoricalCrossentropy)?;
//! let history = model.fit(&data, Fit { epochs: 40, verbose: false, ..Fit::default() })?;
//! assert!(history.last("accuracy") > Some(0.9));
//! assert!(model.evaluate(&data)?.get("accuracy") > Some(0.9));
//! let probabilities = model.predict(&Tensor::new([1, 2], vec![0.5, -0.5])?)?;
//! assert!(probabilities.values()[0] > 0.5);
//! # Ok(())
//! # }
//! ```
//!
//! The graph is known before the first step, so training follows a static plan: every buffer is allocated once, shards
//! of a batch run through chains of layers on all threads, and the same seed gives the same bits for any number of
//! threads.

mod activation;
pub mod callbacks;
pub mod checkpoint;
pub mod constraints;
pub mod data;
pub mod device;
pub mod ensemble;
mod error;
mod export;
pub mod forest;
pub mod graph;
pub mod initializers;
pub mod layers;
pub mod link;
pub mod losses;
pub mod metrics;
pub mod model_text;
pub mod names;
pub mod numeric;
pub mod optimizers;
pub mod quantize;
pub mod regularizers;
mod saved;
pub mod schedules;
mod tensorboard;
mod train;

pub use error::{Error, Result};
pub use train::{
    EpochLog, Fit, History, IntoObjective, IntoObjectives, Measurements, Model, Objective, Predictor, Sequential, Training,
    TrainingState, on,
};

/// What most programs need: `use samara_trainer::prelude::*;`. The errors of all that they call become an [`Error`], so
/// that `?` takes them from data to the device:
///
/// ```
/// use samara_trainer::prelude::*;
///
/// fn main() -> Result<()> {
///     # let directory = std::env::temp_dir().join(format!("samara-prelude-{}", std::process::id()));
///     # std::fs::create_dir_all(&directory)?;
///     # let rows = (0..200).map(|i| format!("{},{},{}\n", i % 17, i % 5, if i % 17 > i % 5 { "above" } else { "below" }));
///     # std::fs::write(directory.join("points.csv"), format!("x,y,place\n{}", rows.collect::<String>()))?;
///     # let path = |name: &str| directory.join(name);
///     let (splits, columns) = CsvFile::open(path("points.csv"))?.splits(&TableOptions::new("place"))?;
///     let Splits { train, validation, test, .. } = splits;
///
///     let mut model = Sequential::new("points", [columns.width()])
///         .add(Dense::new(8).activation(Activation::Relu))
///         .add(Dense::new(2).activation(Activation::Softmax))
///         .build()?;
///     model.compile(Adam::new(0.02), SparseCategoricalCrossentropy)?;
///     let save = callbacks::SaveState::new(path("training.state"));
///     let fit = Fit { epochs: 20, verbose: false, callbacks: vec![Box::new(save)], ..Fit::default() };
///     model.fit(&train, Fit { validation: Some(&validation), ..fit })?;
///     println!("accuracy {:?}", model.evaluate(&test)?.get("accuracy"));
///     model.save_weights(path("weights.bin"))?;
///     Weights::load(path("weights.bin"))?.restore(&model)?;
///     let resume = Some(TrainingState::load(path("training.state"))?);
///     model.fit(&train, Fit { epochs: 21, verbose: false, resume, ..Fit::default() })?;
///
///     let options = quantize::Options { calibration: Calibration::Percentile(0.999), ..Default::default() };
///     let file = model.export_int8(train.inputs(), options)?;
///     std::fs::write(path("points.samara"), &file)?;
///     let device = DeviceModel::new(&std::fs::read(path("points.samara"))?)?;
///     let (here, there) = (model.predict(&test)?, device.predict(test.inputs())?);
///     let differences = here.values().iter().zip(there[0].values()).map(|(here, there)| (here - there).abs());
///     assert!(differences.sum::<f32>() / (here.values().len() as f32) < 0.05);
///     let arena_bytes = device.model()?.arena_bytes();
///     # assert!(arena_bytes > 0);
///     # std::fs::remove_dir_all(&directory)?;
///     Ok(())
/// }
/// ```
pub mod prelude {
    pub use crate::callbacks::{self, Callback};
    pub use crate::checkpoint::Weights;
    pub use crate::constraints::{Constraint, MaxNorm, NonNegative, UnitNorm};
    pub use crate::data::sources::{self, Columns, CsvFile, NpzFile, Splits, TableOptions};
    pub use crate::data::{BatchBuffers, Dataset, Field, Source, Tensor};
    pub use crate::device::run::DeviceModel;
    pub use crate::graph::{Shape, SymbolicTensor, Transform, input};
    pub use crate::initializers::{self, Initializer};
    pub use crate::layers::*;
    pub use crate::losses::*;
    pub use crate::metrics::{self, Metric};
    pub use crate::optimizers::{AdaGrad, AdaMax, Adam, AdamW, Lion, Nadam, Optimizer, RmsProp, Sgd};
    pub use crate::quantize::{self, Calibration};
    pub use crate::regularizers::{L1, L1L2, L2, Regularizer};
    pub use crate::schedules::{Cosine, CosineRestarts, ExponentialDecay, InverseTimeDecay, OneCycle};
    pub use crate::schedules::{PiecewiseConstant, PolynomialDecay, Schedule, StepDecay};
    pub use crate::{EpochLog, Error, Fit, History, Measurements, Model, Objective, Result, Sequential, on};
    pub use crate::{Training, TrainingState};
}
