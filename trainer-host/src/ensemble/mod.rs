//! Ensembles: several models that answer together.
//!
//! [`Opinions`] are what some models say of the same samples. From them follow how unlike the models are ([`Opinions::pairs`]), weights
//! for a mean ([`find_weights`]) and a head that learns whom to trust ([`stack`]). [`join`] makes one model of all, to be exported as one
//! file. [`taught`] is how an ensemble teaches one small net.
//!
//! ```
//! use samara_trainer::ensemble::{Combination, Opinions, find_weights, join};
//! use samara_trainer::prelude::*;
//!
//! let values: Vec<f32> = (0..400).map(|number| ((number * 37) % 101) as f32 / 50.0 - 1.0).collect();
//! let labels: Vec<u8> = values.chunks(2).map(|point| u8::from(point[0] * point[1] > 0.0)).collect();
//! let data = Dataset::new(Tensor::new([200, 2], values)?, Tensor::from_labels(&labels))?;
//! let net = |name: &str, activation| -> Result<Model> {
//!     let x = input([2]);
//!     let hidden = Dense::new(8).activation(activation).apply(&x);
//!     let mut model = Model::new(name, &x, Dense::new(2).activation(Activation::Softmax).apply(&hidden))?;
//!     model.compile(Adam::new(0.02), SparseCategoricalCrossentropy)?;
//!     model.fit(&data, Fit { epochs: 10, verbose: false, ..Fit::default() })?;
//!     Ok(model)
//! };
//! let members = [&net("smooth", Activation::Tanh)?, &net("edged", Activation::Relu)?];
//! let opinions = Opinions::of(&members, &data)?;
//! let weights = find_weights(&opinions)?;
//! assert!(opinions.accuracy_of(&weights) >= opinions.accuracy_of(&[0.5, 0.5]));
//! let both = join("both", &members, &Combination::Weighted(&weights))?;
//! let file = both.export_int8(data.inputs(), quantize::Options::default())?; // one file, one arena
//! # assert!(DeviceModel::new(&file)?.model()?.arena_bytes() > 0);
//! # Ok::<(), Error>(())
//! ```

mod alike;
mod diversity;
mod error;
mod join;
mod opinions;
mod stack;
mod teach;
mod weights;

pub use alike::are_alike;
pub use diversity::Pair;
pub use error::EnsembleError;
pub use join::{Combination, join};
pub use opinions::{Drag, Opinions};
pub use stack::{StackOptions, Stacked, stack};
pub use teach::taught;
pub use weights::find_weights;
