//! The model zoo: nets for microcontrollers, each a documented function that builds it, and the checkpoints of their weights.
//!
//! ```
//! use samara_trainer::prelude::*;
//!
//! let mut model = samara_models::find("fashion-separable").expect("a model of the zoo").build()?;
//! model.initialize(1);
//! model.compile(Adam::new(2e-3), SparseCategoricalCrossentropy)?;
//! println!("{}", model.summary());
//! # Ok::<(), samara_trainer::Error>(())
//! ```
//!
//! The command `samara` (in `src/bin/samara`) trains, quantizes, evaluates and inspects them; `samara --help` tells how.

mod anomaly_autoencoder;
pub mod chart;
mod ds_cnn;
mod fashion_inception;
mod fashion_mlp;
mod fashion_mlp_deep;
mod fashion_mlp_variants;
mod fashion_residual;
mod fashion_separable;
mod fashion_separable_large;
mod fashion_xception;
mod mobilenet_v1;
mod motions;
mod motions_lstm;
mod resnet8;
mod spoken_digits;
mod table_mlp;
pub mod tasks;
pub mod textbook;
mod vowels;

pub use anomaly_autoencoder::anomaly_autoencoder;
pub use ds_cnn::ds_cnn;
pub use fashion_inception::fashion_inception;
pub use fashion_mlp::fashion_mlp;
pub use fashion_mlp_deep::fashion_mlp_deep;
pub use fashion_mlp_variants::{fashion_mlp_leaky_relu, fashion_mlp_normalized_first, fashion_mlp_selu};
pub use fashion_residual::{fashion_residual, fashion_residual_projected};
pub use fashion_separable::fashion_separable;
pub use fashion_separable_large::fashion_separable_large;
pub use fashion_xception::fashion_xception;
pub use mobilenet_v1::mobilenet_v1;
pub use motions::motions;
pub use motions_lstm::motions_lstm;
pub use resnet8::resnet8;
pub use spoken_digits::spoken_digits;
pub use table_mlp::table_mlp;
pub use vowels::vowels;

use samara_trainer::{Model, Result};

/// The examples in the README run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// A model of the zoo.
#[derive(Debug, Clone, Copy)]
pub struct ZooModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    build: fn() -> Result<Model>,
}

impl ZooModel {
    /// Builds the model with its initial parameters, the same ones every time; [`Model::initialize`] draws others.
    ///
    /// # Errors
    /// None in practice: the zoo's graphs are tested.
    pub fn build(&self) -> Result<Model> {
        (self.build)()
    }
}

/// All models, by name.
pub const ZOO: &[ZooModel] = &[
    ZooModel {
        name: "fashion-separable",
        description: "small separable convolutions with batch-norm, 28x28x1, 10 classes: the demo's model",
        build: fashion_separable,
    },
    ZooModel {
        name: "fashion-separable-large",
        description: "separable convolutions at full resolution, 28x28x1, 10 classes",
        build: fashion_separable_large,
    },
    ZooModel {
        name: "fashion-mlp",
        description: "dense layers 300, 100, 10 with batch-norm after the activations, 28x28x1, 10 classes",
        build: fashion_mlp,
    },
    ZooModel {
        name: "fashion-mlp-normalized-first",
        description: "dense layers 300, 100, 10 with batch-norm before the activations, 28x28x1, 10 classes",
        build: fashion_mlp_normalized_first,
    },
    ZooModel {
        name: "fashion-mlp-leaky-relu",
        description: "dense layers 300, 100, 10 with LeakyReLU and He's initial weights, 28x28x1, 10 classes",
        build: fashion_mlp_leaky_relu,
    },
    ZooModel {
        name: "fashion-mlp-selu",
        description: "dense layers 300, 100, 10 with SELU and LeCun's initial weights, 28x28x1, 10 classes",
        build: fashion_mlp_selu,
    },
    ZooModel {
        name: "fashion-mlp-deep",
        description: "three dense layers of 100 with He's initial weights, 28x28x1, 10 classes: to compare optimizers on",
        build: fashion_mlp_deep,
    },
    ZooModel { name: "fashion-inception", description: "two inception modules, 28x28x1, 10 classes", build: fashion_inception },
    ZooModel {
        name: "fashion-residual",
        description: "residual blocks around the identity, 28x28x1, 10 classes",
        build: fashion_residual,
    },
    ZooModel {
        name: "fashion-residual-projected",
        description: "residual blocks beside 1x1 projections, 28x28x1, 10 classes",
        build: fashion_residual_projected,
    },
    ZooModel {
        name: "fashion-xception",
        description: "a small Xception: separable convolutions in residual blocks, 28x28x1, 10 classes",
        build: fashion_xception,
    },
    ZooModel {
        name: "resnet8",
        description: "ResNet-8 of MLPerf Tiny's image classification, 32x32x3, 10 classes",
        build: resnet8,
    },
    ZooModel { name: "ds-cnn", description: "DS-CNN of MLPerf Tiny's keyword spotting, 49x10x1, 12 classes", build: ds_cnn },
    ZooModel {
        name: "mobilenet-v1",
        description: "MobileNetV1-0.25 of MLPerf Tiny's visual wake words, 96x96x3, 2 classes",
        build: mobilenet_v1,
    },
    ZooModel {
        name: "anomaly-autoencoder",
        description: "autoencoder of MLPerf Tiny's anomaly detection, 640 values in and out",
        build: anomaly_autoencoder,
    },
    ZooModel {
        name: "spoken-digits",
        description: "convolutions along 49 frames of 40 log-mel bands, 10 digits; whole, or a stream",
        build: spoken_digits,
    },
    ZooModel {
        name: "motions",
        description: "convolutions along 100 steps of 6 channels of a smart watch, 4 activities; whole, or a stream",
        build: motions,
    },
    ZooModel {
        name: "motions-lstm",
        description: "an LSTM along 100 steps of 6 channels of a smart watch, 4 activities; whole, or a stream",
        build: motions_lstm,
    },
    ZooModel {
        name: "vowels",
        description: "an LSTM along up to 29 frames of 12 coefficients of two vowels, 9 speakers; each as long as it is, or a stream",
        build: vowels,
    },
];

/// The model of that name.
pub fn find(name: &str) -> Option<&'static ZooModel> {
    ZOO.iter().find(|model| model.name == name)
}

/// The checks that every model of the zoo has.
#[cfg(test)]
pub(crate) mod expect {
    use samara_runtime::format::writer::ModelFile;
    use samara_trainer::Model;

    /// Number of parameters, statistics included.
    pub fn parameters(model: &Model) -> usize {
        model.parameters().iter().map(|parameter| parameter.shape.size()).sum()
    }

    /// The device's f32 file.
    pub fn file(model: &Model) -> ModelFile {
        ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap()
    }

    /// Multiply-accumulates on the device.
    pub fn macs(model: &Model) -> u64 {
        file(model).macs()
    }

    /// Number of parameters that the loss counts 1e-4 times the square of, as MLPerf Tiny has it.
    pub fn penalized(model: &Model) -> usize {
        let mut count = 0;
        for parameter in model.parameters() {
            if let Some(regularizer) = &parameter.regularizer {
                assert_eq!(regularizer.penalty(&[2.0]), f64::from(1e-4f32) * 4.0, "{}", parameter.name);
                count += parameter.shape.size();
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_models_build() {
        for (position, model) in ZOO.iter().enumerate() {
            assert_eq!(ZOO.iter().position(|other| other.name == model.name), Some(position));
            let built = model.build().unwrap();
            assert_eq!(built.name(), model.name, "checkpoints name the model they belong to");
        }
        assert!(find("resnet-8").is_none());
    }

    #[test]
    fn the_readme_has_the_whole_zoo() {
        let thousands = |number: u64| match number {
            1_000_000.. => format!("{},{:03},{:03}", number / 1_000_000, number / 1000 % 1000, number % 1000),
            _ => format!("{},{:03}", number / 1000, number % 1000),
        };
        let readme = include_str!("../../README.md");
        for model in ZOO {
            let built = model.build().unwrap();
            let input = &built.graph().nodes[built.graph().inputs[0]].shape;
            let shape = input.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            let sizes = [expect::parameters(&built) as u64, expect::macs(&built)].map(thousands);
            let row = format!("| `{}` | {shape} | {} | {} | ", model.name, sizes[0], sizes[1]);
            assert!(readme.contains(&row), "README.md should have a row {row}");
        }
    }

    #[test]
    fn batch_norms_fold_into_the_layers_beside_them() {
        for model in ZOO {
            let built = model.build().unwrap();
            for parameter in built.parameters().iter().filter(|parameter| parameter.name.ends_with("/beta")) {
                built.set_parameter(&parameter.name, &vec![0.5; parameter.shape.size()]).unwrap();
            }
            let file = expect::file(&built);
            let names = samara_runtime::ALL_OPS.iter().filter(|op| op.name.starts_with("scale_shift"));
            let codes: Vec<u16> = names.map(|op| u16::from(op.code)).collect();
            let left = file.nodes.iter().filter(|node| codes.contains(&node.code)).count();
            let expected = match model.name {
                // Behind ReLU and before a padded depthwise convolution, a shift is no longer the same everywhere.
                "fashion-separable-large" => 2,
                // The first of each block stands behind a fork.
                "fashion-xception" => 3,
                // That of the input stands before a window.
                "spoken-digits" | "motions" => 1,
                _ => 0,
            };
            assert_eq!(left, expected, "{}", model.name);
        }
    }
}
