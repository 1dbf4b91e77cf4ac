//! Transfer of what a net has learned to a task of few samples: the textbook's experiment (A. Géron, *Hands-On Machine
//! Learning*, 2nd edition, chapter 11), on Fashion-MNIST.
//!
//! Net A learns eight classes from 43,986 images. Net B has to tell shirts from sandals, the other two classes, and gets 200
//! images: once from scratch, once with the hidden layers of A, which stay as they are for four epochs, in which the new last
//! layer finds its place, and then learn for sixteen more. The book's nets come to 0.9705 and 0.9930 on the test images.
//!
//! ```text
//! cargo run --release -p samara-models --example transfer
//! cargo run --release -p samara-models --example transfer -- SEED FILE    # from other weights; writes the better one, in int8
//! ```

use std::error::Error;

use samara_models::textbook::selu_classifier;
use samara_trainer::{checkpoint::write_file, prelude::*};

const SANDAL: f32 = 5.0;
const SHIRT: f32 = 6.0;

/// Images of some classes, with new labels: `label` says which, or `None` to leave an image out.
fn select(data: &Dataset, most: usize, label: impl Fn(f32) -> Option<f32>) -> Result<Dataset> {
    let (images, labels) = (&data.inputs()[0], data.targets()[0].values());
    let (mut chosen, mut targets) = (Vec::new(), Vec::new());
    let kept = labels.iter().enumerate().filter_map(|(sample, &old)| Some((sample, label(old)?)));
    for (sample, target) in kept.take(most) {
        chosen.extend_from_slice(&images.sample(sample).unwrap_or_default());
        targets.push(target);
    }
    Dataset::new(Tensor::from_samples(images.sample_shape().clone(), chosen)?, Tensor::from_samples([1], targets)?)
}

fn eight_classes(label: f32) -> Option<f32> {
    (label != SANDAL && label != SHIRT).then_some(if label > SHIRT { label - 2.0 } else { label })
}

fn is_shirt(label: f32) -> Option<f32> {
    (label == SANDAL || label == SHIRT).then_some(f32::from(u8::from(label == SHIRT)))
}

/// Trains, and says how well the model does on the validation and on the test samples.
fn train(model: &mut Model, epochs: usize, seed: u64, train: &Dataset, validation: &Dataset) -> Result<f64> {
    let fit = Fit { epochs, seed, validation: Some(validation), verbose: false, ..Fit::default() };
    let history = model.fit(train, fit)?;
    Ok(history.last("val_accuracy").unwrap_or_default())
}

fn report(model: &Model, what: &str, test: &Dataset) -> Result<()> {
    let measured = model.evaluate(test)?;
    let of = |name| measured.get(name).unwrap_or_default();
    println!("{what}: test accuracy {:.4}, loss {:.4}", of("accuracy"), of("loss"));
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().map_or(Ok(42), |seed| seed.parse())?;
    let splits = sources::load("fashion-mnist")?;
    let all = usize::MAX;
    let [train_a, validation_a] = [&splits.train, &splits.validation].map(|part| select(part, all, eight_classes));
    let (train_a, validation_a) = (train_a?, validation_a?);
    let train_b = select(&splits.train, 200, is_shirt)?;
    let [validation_b, test_b] = [&splits.validation, &splits.test].map(|part| select(part, all, is_shirt));
    let (validation_b, test_b) = (validation_b?, test_b?);
    println!("A: {} images of 8 classes; B: {} images, shirt or sandal", train_a.samples(), train_b.samples());

    let mut a = selu_classifier("a", 8)?;
    a.initialize(seed);
    a.compile(Sgd::new(1e-3), SparseCategoricalCrossentropy)?;
    println!("A, 20 epochs: validation accuracy {:.4}", train(&mut a, 20, seed, &train_a, &validation_a)?);

    let mut scratch = selu_classifier("b", 1)?;
    scratch.initialize(seed);
    scratch.compile(Sgd::new(1e-3), BinaryCrossentropy)?;
    train(&mut scratch, 20, seed, &train_b, &validation_b)?;
    report(&scratch, "B from scratch, 20 epochs", &test_b)?;

    // A copy of A's hidden layers: training it leaves A as it is.
    let mut transferred = selu_classifier("b", 1)?;
    transferred.initialize(seed);
    transferred.compile(Sgd::new(1e-3), BinaryCrossentropy)?;
    let hidden = ["hidden_1", "hidden_2", "hidden_3", "hidden_4", "hidden_5"];
    for layer in hidden {
        for name in ["kernel", "bias"].map(|part| format!("{layer}/{part}")) {
            transferred.set_parameter(&name, &a.parameter(&name)?)?;
        }
        transferred.set_trainable(layer, false)?;
    }
    report(&transferred, "B on A, before training", &test_b)?;
    println!("B on A: {} trainable parameters, 4 epochs", transferred.trainable_size());
    train(&mut transferred, 4, seed, &train_b, &validation_b)?;
    for layer in hidden {
        transferred.set_trainable(layer, true)?;
    }
    train(&mut transferred, 16, seed, &train_b, &validation_b)?;
    report(&transferred, "B on A, 16 epochs more with all layers", &test_b)?;

    let int8 = transferred.export_int8(train_b.inputs(), quantize::Options::default())?;
    let answers = DeviceModel::new(&int8)?.run_each(
        test_b.samples(),
        |session, sample| session.write_f32(0, &test_b.inputs()[0].sample(sample).unwrap_or_default()),
        |session, _| session.output_f32(0).and_then(|mut values| values.next()),
    )?;
    let right = answers.iter().zip(test_b.targets()[0].values());
    let right = right.filter(|&(answer, &target)| answer.is_some_and(|answer| (answer > 0.5) == (target > 0.5))).count();
    println!("B on A in int8, {} bytes: test accuracy {:.4}", int8.len(), right as f64 / answers.len() as f64);
    if let Some(path) = arguments.next() {
        write_file(path.as_ref(), &int8)?;
    }
    Ok(())
}
