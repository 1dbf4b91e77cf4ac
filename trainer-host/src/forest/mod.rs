//! Forests: decision trees that grow on samples, and answer beside nets. Unlike models help each other more than better ones of a kind, and nothing
//! is less like a net than trees.
//!
//! [`grow`] makes a random forest; a layer [`Forest`](crate::layers::Forest) has its [`Trees`] in a model, which is saved, exported and joined with others
//! ([`ensemble::join`](crate::ensemble::join)) as all models are.
//!
//! ```
//! use samara_trainer::forest::{Growth, grow};
//! use samara_trainer::prelude::*;
//!
//! let values: Vec<f32> = (0..800).map(|number| ((number * 37) % 101) as f32 / 50.0 - 1.0).collect();
//! let labels: Vec<u8> = values.chunks(2).map(|point| u8::from(point[0] * point[1] > 0.0)).collect();
//! let data = Dataset::new(Tensor::new([400, 2], values)?, Tensor::from_labels(&labels))?;
//!
//! let trees = grow(&data, 2, &Growth { trees: 10, depth: 6, ..Growth::default() })?;
//! let x = input([2]);
//! let mut model = Model::new("forest", &x, Forest::new(trees).apply(&x))?;
//! model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy)?;
//! assert!(model.evaluate(&data)?.get("accuracy") > Some(0.95));
//! let file = model.export_int8(data.inputs(), quantize::Options::default())?;
//! # assert!(DeviceModel::new(&file)?.model()?.arena_bytes() > 0);
//! # Ok::<(), Error>(())
//! ```

mod grow;
mod trees;

pub use grow::{ForestError, Growth, grow};
pub use trees::{Parts, Trees};

pub(crate) use trees::{Full, Rows, full};
