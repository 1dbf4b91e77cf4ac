//! What the textbook says of deep nets, as tables and pictures: how activations and gradients fade or stay through layers, by activation and initial weights;
//! SELU's mean and variance through 20 layers; residual connections, by depth; batch-norm, epoch by epoch. docs/training.md has what it printed.
//!
//! ```text
//! cargo run --release -p samara-models --example depth                      # fashion-mnist, 10000 samples, seed 1
//! cargo run --release -p samara-models --example depth -- DATA SAMPLES SEED
//! cargo run --release -p samara-models --example depth -- DATA SAMPLES SEED DIR   # writes the pictures, too
//! ```
//!
//! Source: A. Géron, *Hands-On Machine Learning with Scikit-Learn, Keras, and TensorFlow*, third edition, chapter 11.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use samara_models::chart::{self, Entry, Line, Panel, Stroke};
use samara_trainer::data::Random;
use samara_trainer::{checkpoint::write_file, prelude::*};

type Outcome = std::result::Result<(), Box<dyn Error>>;

/// Layers of the chains whose activations are looked at.
const DEPTH: usize = 20;
/// Units of each.
const UNITS: usize = 100;

/// A chain of layers of one activation.
fn chain(activation: Activation, initializer: impl Initializer + Clone + 'static) -> Result<Model> {
    let mut model = Sequential::new("chain", [UNITS]);
    for _ in 0..DEPTH {
        model = model.add(Dense::new(UNITS).activation(activation).kernel_initializer(initializer.clone()));
    }
    model.build()
}

/// Mean and deviation of values.
fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    (mean, (values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count).sqrt())
}

/// The layers that are printed.
const PRINTED: [usize; 5] = [1, 5, 10, 15, DEPTH];

/// The name of a layer, counted from 1.
fn layer(number: usize) -> String {
    if number == 1 { "dense".to_owned() } else { format!("dense_{}", number - 1) }
}

/// What a chain's layers give, and what comes back to them.
struct Faded {
    name: &'static str,
    /// Mean and deviation of activations behind each layer.
    activations: Vec<(f64, f64)>,
    /// Deviation of the gradients of each kernel.
    gradients: Vec<f64>,
}

impl Faded {
    /// Of normal inputs and targets.
    fn of(name: &'static str, mut model: Model, seed: u64) -> Result<Self> {
        model.initialize(seed);
        model.compile(Sgd::new(0.0), MeanSquaredError)?;
        let mut random = Random::new(seed, 1);
        let mut normal = || Tensor::new([500, UNITS], (0..500 * UNITS).map(|_| random.normal() as f32).collect());
        let (inputs, targets) = (normal()?, normal()?);
        let activations = (1..=DEPTH).map(|number| {
            let part = Model::new("part", model.tensor("input")?, model.tensor(&layer(number))?)?;
            Ok(moments(part.predict(&inputs)?.values()))
        });
        let activations = activations.collect::<Result<_>>()?;
        let mut gradients = Vec::new();
        let read = callbacks::each_batch(|training: &mut Training<'_>| {
            for number in 1..=DEPTH {
                gradients.push(moments(&training.gradient(&format!("{}/kernel", layer(number)))?).1);
            }
            Ok(())
        });
        let fit = Fit { batch: 500, verbose: false, callbacks: vec![Box::new(read)], ..Fit::default() };
        model.fit(&Dataset::new(inputs, targets)?, fit)?;
        Ok(Self { name, activations, gradients })
    }

    fn print(&self) {
        let cells = PRINTED.map(|number| self.activations[number - 1]);
        let cells: String = cells.map(|(mean, deviation)| format!("{:>16}", format!("{mean:.3} ± {deviation:.3}"))).concat();
        println!("{:<30}{cells}", self.name);
        let cells = PRINTED.map(|number| format!("{:>16}", format!("{:.1e}", self.gradients[number - 1])));
        println!("{:<30}{}", "  gradients", cells.concat());
    }
}

/// A line from the first layer, or epoch, on.
fn line(colour: usize, stroke: Stroke, values: impl Iterator<Item = f64>) -> Line {
    Line { colour, stroke, points: (1..).map(f64::from).zip(values).collect() }
}

fn entry(stroke: Stroke, colour: Option<usize>, label: &str) -> Entry<'_> {
    Entry { stroke, colour, label }
}

/// How far activations and gradients of chains deviate from their means, layer by layer.
fn draw_faded(chains: &[Faded]) -> String {
    let panel = |name, values: fn(&Faded) -> Vec<f64>| {
        let lines = chains.iter().enumerate();
        let lines = lines.map(|(colour, chain)| line(colour, Stroke::Solid, values(chain).into_iter().map(f64::log10)));
        Panel { name, across: "layer", lines: lines.collect() }
    };
    let panels = [
        panel("activations: log10 of their deviation", |chain| {
            chain.activations.iter().map(|(_, deviation)| *deviation).collect()
        }),
        panel("kernels' gradients: log10 of their deviation", |chain| chain.gradients.clone()),
    ];
    let legend = chains.iter().enumerate().map(|(colour, chain)| entry(Stroke::Solid, Some(colour), chain.name));
    chart::draw(&format!("{DEPTH} layers of {UNITS} units, before training"), &panels, &[&legend.collect::<Vec<_>>()])
}

/// A net of so many hidden layers on images, with what stands behind each.
fn net(layers: usize, activation: Activation, residual: bool, normalized: bool) -> Result<Model> {
    let image = input([28, 28, 1]);
    let dense = || match activation {
        Activation::Relu => Dense::new(UNITS).kernel_initializer(initializers::he_normal()),
        _ => Dense::new(UNITS),
    };
    let mut x = dense().activation(activation).apply(Flatten::new().apply(&image));
    for _ in 1..layers {
        let y = dense().apply(&x);
        let y = if normalized { BatchNormalization::new().apply(&y) } else { y };
        let y = ActivationLayer::new(activation).apply(&y);
        x = if residual { Add::new().apply([&x, &y]) } else { y };
    }
    Model::new("net", &image, Dense::new(10).activation(Activation::Softmax).apply(&x))
}

/// The textbook's net of 300 and 100 units, its kernels drawn as He did; with batch-norm, one stands before each activation and one before
/// all.
fn textbook_net(activation: Activation, normalized: bool) -> Result<Model> {
    let image = input([28, 28, 1]);
    let mut x = Flatten::new().apply(&image);
    if normalized {
        x = BatchNormalization::new().apply(&x);
    }
    for units in [300, 100] {
        let dense = Dense::new(units).kernel_initializer(initializers::he_normal());
        x = if normalized { BatchNormalization::new().apply(dense.without_bias().apply(&x)) } else { dense.apply(&x) };
        x = ActivationLayer::new(activation).apply(&x);
    }
    Model::new("textbook", &image, Dense::new(10).activation(Activation::Softmax).apply(&x))
}

/// The validation accuracy after each epoch.
fn train(mut model: Model, rate: f32, train: &Dataset, validation: &Dataset, epochs: usize, seed: u64) -> Result<Vec<f64>> {
    model.initialize(seed);
    model.compile(Sgd::new(rate), SparseCategoricalCrossentropy)?;
    // Plain deep nets may diverge, which is part of the picture.
    let stop = callbacks::TerminateOnNan;
    let fit = Fit { epochs, batch: 32, seed, validation: Some(validation), verbose: false, ..Fit::default() };
    let history = model.fit(train, Fit { callbacks: vec![Box::new(stop)], ..fit })?;
    Ok(history.get("val_accuracy"))
}

fn print_epochs(title: &str, accuracies: &[f64]) {
    println!("{title:<22}{}", accuracies.iter().map(|value| format!("{value:>10.4}")).collect::<String>());
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "fashion-mnist".to_owned());
    let samples = arguments.next().map_or(Ok(10_000), |samples| samples.parse())?;
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let pictures = arguments.next().map(PathBuf::from);
    let write = |name: &str, picture: &str| match &pictures {
        Some(directory) => write_file(&directory.join(name), picture.as_bytes()),
        None => Ok(()),
    };

    println!("mean ± deviation of activations behind a layer, and deviation of its kernel's gradients");
    println!("{:<30}{}", "layer", PRINTED.map(|number| format!("{number:>16}")).concat());
    // Variance 1, whatever the size of the layer.
    let normal =
        initializers::VarianceScaling::new(UNITS as f64, initializers::FanMode::In, initializers::Distribution::Normal);
    let faded = [
        Faded::of("sigmoid, normal", chain(Activation::Sigmoid, normal)?, seed)?,
        Faded::of("relu, Glorot", chain(Activation::Relu, initializers::glorot_normal())?, seed)?,
        Faded::of("relu, He", chain(Activation::Relu, initializers::he_normal())?, seed)?,
        Faded::of("selu, LeCun", chain(Activation::Selu, initializers::lecun_normal())?, seed)?,
    ];
    faded.iter().for_each(Faded::print);
    write("fading.svg", &draw_faded(&faded))?;

    let splits = sources::load(&data)?;
    let part = splits.train.slice(0..samples)?;
    println!("\nvalidation accuracy after 3 epochs, {samples} samples of {data}, batch-norm in all hidden layers");
    println!("{:<14}{:>10}{:>10}", "hidden layers", "plain", "residual");
    let mut by_depth = [Vec::new(), Vec::new()];
    for layers in [2, 5, 10, 20, 40] {
        let last = |residual| -> Result<f64> {
            let accuracies = train(net(layers, Activation::Relu, residual, true)?, 0.01, &part, &splits.validation, 3, seed)?;
            Ok(accuracies.last().copied().unwrap_or(0.0))
        };
        let [plain, residual] = [last(false)?, last(true)?];
        println!("{layers:<14}{plain:>10.4}{residual:>10.4}");
        for (points, accuracy) in by_depth.iter_mut().zip([plain, residual]) {
            points.push((layers as f64, accuracy));
        }
    }
    let lines = by_depth.into_iter().enumerate().map(|(colour, points)| Line { colour, stroke: Stroke::Solid, points });
    let panel = Panel { name: "validation accuracy", across: "hidden layers", lines: lines.collect() };
    let legend = ["plain", "residual"].iter().enumerate().map(|(colour, name)| entry(Stroke::Solid, Some(colour), name));
    write("residual.svg", &chart::draw("3 epochs of training", &[panel], &[&legend.collect::<Vec<_>>()]))?;
    println!("\nvalidation accuracy by epoch, 10 hidden layers");
    for (title, activation, normalized) in [
        ("relu", Activation::Relu, false),
        ("relu, batch-norm", Activation::Relu, true),
        ("sigmoid", Activation::Sigmoid, false),
        ("sigmoid, batch-norm", Activation::Sigmoid, true),
    ] {
        let accuracies = train(net(10, activation, false, normalized)?, 0.01, &part, &splits.validation, 4, seed)?;
        print_epochs(title, &accuracies);
    }
    let all = splits.train.samples();
    println!("\nthe same of the textbook's net, 300 and 100 units, all {all} samples, SGD at 0.001");
    let (mut lines, names) = (Vec::new(), ["relu", "elu", "selu"]);
    for (colour, activation) in [Activation::Relu, Activation::Elu, Activation::Selu].into_iter().enumerate() {
        for (normalized, stroke, with) in [(false, Stroke::Dashed, ""), (true, Stroke::Solid, ", batch-norm")] {
            let net = textbook_net(activation, normalized)?;
            let accuracies = train(net, 0.001, &splits.train, &splits.validation, 4, seed)?;
            print_epochs(&format!("{}{with}", names[colour]), &accuracies);
            lines.push(line(colour, stroke, accuracies.into_iter()));
        }
    }
    let strokes = [entry(Stroke::Solid, None, "with batch-norm"), entry(Stroke::Dashed, None, "without")];
    let colours: Vec<_> = names.iter().enumerate().map(|(colour, name)| entry(Stroke::Solid, Some(colour), name)).collect();
    let panel = Panel { name: "validation accuracy", across: "epoch", lines };
    write("batch-norm.svg", &chart::draw("The textbook's net", &[panel], &[&strokes, &colours]))?;
    Ok(())
}
