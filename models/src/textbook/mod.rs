//! The nets of the textbooks at their printed size: what a reader of them builds first, and what shows that a graph of any kind
//! can be built. They are for the desktop; the nets of the zoo are those for chips.
//!
//! Sources: F. Chollet, *Deep Learning with Python*, 1st edition, chapters 5 and 7; A. Géron, *Hands-On Machine Learning with
//! Scikit-Learn, Keras, and TensorFlow*, 2nd edition, chapter 11.

mod dense;
mod images;
mod sequences;
mod xception;

pub use dense::{benchmark_mlp, functional_mlp, selu_classifier, sequential_mlp};
pub use images::{inception_module, separable_classifier};
pub use sequences::{imdb_text, posts, question_answering, siamese_lstm};
pub use xception::{dual_camera, xception, xception_base};
