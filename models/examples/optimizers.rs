//! Optimizers compared on MNIST: 784 values, a layer of 250 units, 10 classes, in batches of 128, each picture's values brought to
//! length 1. The book's test accuracies are 0.9037 (sgd, 0.01), 0.9764 (rmsprop), 0.9157 (adagrad) and 0.9763 (adam).
//!
//! ```text
//! cargo run --release -p samara-models --example optimizers
//! cargo run --release -p samara-models --example optimizers -- DATA EPOCHS SEED    # mnist, 20 and 42 where not given
//! ```
//!
//! Where MNIST is neither on this machine nor to be downloaded, it says so; `fashion-mnist` is another set of its form.

use std::{error::Error, process::ExitCode};

use samara_models::textbook::benchmark_mlp;
use samara_trainer::prelude::*;

/// Gives a model its optimizer and its loss.
type Compile = fn(&mut Model) -> Result<()>;

/// The data with each sample divided by its length; zeros stay.
fn normalized(data: &Dataset) -> Result<Dataset> {
    let images = &data.inputs()[0];
    let mut values = Vec::with_capacity(data.samples() * images.sample_shape().size());
    for sample in 0..data.samples() {
        let image = images.sample(sample).unwrap_or_default();
        let length = image.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.extend(image.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }));
    }
    Dataset::new(Tensor::from_samples(images.sample_shape().clone(), values)?, data.targets()[0].clone())
}

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> std::result::Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "mnist".to_owned());
    let epochs = arguments.next().map_or(Ok(20), |epochs| epochs.parse())?;
    let seed = arguments.next().map_or(Ok(42), |seed| seed.parse())?;
    let splits = sources::load(&data)?;
    let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(normalized);
    let (train, validation, test) = (train?, validation?, test?);
    println!("{data}: {} samples to train, {} to test; {epochs} epochs", train.samples(), test.samples());
    let optimizers: [(&str, Compile); 4] = [
        ("sgd 0.01", |model| model.compile(Sgd::new(0.01), SparseCategoricalCrossentropy)),
        ("rmsprop 0.001", |model| model.compile(RmsProp::new(0.001), SparseCategoricalCrossentropy)),
        ("adagrad 0.01", |model| model.compile(AdaGrad::new(0.01), SparseCategoricalCrossentropy)),
        ("adam 0.001", |model| model.compile(Adam::new(0.001), SparseCategoricalCrossentropy)),
    ];
    for (name, compile) in optimizers {
        let mut model = benchmark_mlp()?;
        model.initialize(seed);
        compile(&mut model)?;
        let fit = Fit { epochs, batch: 128, seed, validation: Some(&validation), verbose: false, ..Fit::default() };
        let history = model.fit(&train, fit)?;
        let of = |name| history.last(name).unwrap_or_default();
        let measured = model.evaluate(&test)?;
        println!(
            "{name:13}  loss {:.4}  validation accuracy {:.4}  test accuracy {:.4}",
            of("loss"),
            of("val_accuracy"),
            measured.get("accuracy").unwrap_or_default()
        );
    }
    Ok(())
}
