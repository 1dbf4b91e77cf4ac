//! Milliseconds per training step of the nets W1 to W4, for comparison with other frameworks:
//! `cargo run --release -p samara-trainer --example steps [w1|w2|w3|w4] [batch]`.
//!
//! The clock covers whole epochs of about 0.3 s, shuffling included, planning left out; the median and the fastest of
//! several. `RAYON_NUM_THREADS` sets the number of threads.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use samara_trainer::callbacks::{Begin, Callback};
use samara_trainer::optimizers::Optimizer;
use samara_trainer::prelude::*;
use samara_trainer::{EpochLog, Result};

/// The textbook's multilayer perceptron with batch normalization.
fn w1() -> Result<Model> {
    Sequential::new("w1", [28, 28])
        .add(Flatten::new())
        .add(BatchNormalization::new())
        .add(Dense::new(300).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dense::new(100).activation(Activation::Relu))
        .add(BatchNormalization::new())
        .add(Dense::new(10).activation(Activation::Softmax))
        .build()
}

/// A separable convolution with its ReLU.
fn separable(filters: usize, x: &SymbolicTensor) -> SymbolicTensor {
    SeparableConv2D::new(filters, 3).padding(Padding::Same).activation(Activation::Relu).apply(x)
}

/// A separable convnet.
fn w2() -> Result<Model> {
    let image = input([28, 28, 1]);
    let x = BatchNormalization::new().apply(separable(32, &image));
    let x = BatchNormalization::new().apply(separable(64, &x));
    let x = MaxPooling2D::new(2).apply(&x);
    let x = separable(128, &separable(64, &x));
    let x = GlobalAveragePooling2D::new().apply(MaxPooling2D::new(2).apply(&x));
    let x = Dense::new(32).activation(Activation::Relu).apply(&x);
    Model::new("w2", image, Dense::new(10).activation(Activation::Softmax).apply(&x))
}

fn relu(x: &SymbolicTensor) -> SymbolicTensor {
    ActivationLayer::new(Activation::Relu).apply(x)
}

/// ResNet-8.
fn w3() -> Result<Model> {
    let convolution = |x: &SymbolicTensor, filters: usize, stride: usize| {
        let x = Conv2D::new(filters, 3).strides(stride).padding(Padding::Same).apply(x);
        BatchNormalization::new().apply(&x)
    };
    let image = input([32, 32, 3]);
    let mut x = relu(&convolution(&image, 16, 1));
    for (filters, stride) in [(16, 1), (32, 2), (64, 2)] {
        let y = convolution(&relu(&convolution(&x, filters, stride)), filters, 1);
        if stride == 2 {
            x = Conv2D::new(filters, 1).strides(2).padding(Padding::Same).apply(&x);
        }
        x = relu(&Add::new().apply([&x, &y]));
    }
    let x = Flatten::new().apply(AveragePooling2D::new(8).apply(&x));
    Model::new("w3", image, Dense::new(10).activation(Activation::Softmax).apply(&x))
}

/// DS-CNN for keyword spotting.
fn w4() -> Result<Model> {
    let normalized = |x: SymbolicTensor| relu(&BatchNormalization::new().apply(&x));
    let sound = input([49, 10, 1]);
    let mut x = normalized(Conv2D::new(64, [10, 4]).strides(2).padding(Padding::Same).apply(&sound));
    for _ in 0..4 {
        x = normalized(DepthwiseConv2D::new(3).padding(Padding::Same).apply(&x));
        x = normalized(Conv2D::new(64, 1).apply(&x));
    }
    let x = Flatten::new().apply(AveragePooling2D::new([25, 5]).apply(&x));
    Model::new("w4", sound, Dense::new(12).activation(Activation::Softmax).apply(&x))
}

/// Random data of a model's shapes, the same in every run.
fn data(model: &Model, samples: usize) -> Result<Dataset> {
    let graph = model.graph();
    let shape = graph.nodes[graph.inputs[0]].shape.clone();
    let classes = graph.nodes[graph.outputs[0]].shape.channels() as u64;
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let values = (0..samples * shape.size()).map(|_| random() as f32 / (1 << 24) as f32).collect();
    let labels: Vec<u32> = (0..samples).map(|_| (random() % classes) as u32).collect();
    Dataset::new(Tensor::from_samples(shape, values)?, Tensor::from_labels(&labels))
}

/// Takes the time of every epoch and ends the training after a while.
struct Clock {
    started: Instant,
    limit: Duration,
    steps: usize,
    milliseconds: Arc<Mutex<Vec<f64>>>,
}

impl Callback for Clock {
    fn begin(&mut self, begin: &Begin) {
        self.steps = begin.steps;
        self.started = Instant::now();
    }

    fn epoch(&mut self, log: &EpochLog) -> bool {
        if let Ok(mut milliseconds) = self.milliseconds.lock() {
            milliseconds.push(log.seconds * 1e3 / self.steps as f64);
        }
        self.started.elapsed() < self.limit
    }
}

/// A net's name, how to build it, its optimizer, and the batch sizes to measure.
type Workload = (&'static str, fn() -> Result<Model>, Arc<dyn Optimizer>, &'static [usize]);

/// Times of a step, sorted.
fn measure(model: &mut Model, batch: usize, steps: usize, seconds: u64) -> Result<Vec<f64>> {
    let data = data(model, batch * steps)?;
    let milliseconds = Arc::new(Mutex::new(Vec::new()));
    let limit = Duration::from_secs(seconds);
    let clock = Clock { started: Instant::now(), limit, steps, milliseconds: milliseconds.clone() };
    model.fit(&data, Fit { epochs: 400, batch, verbose: false, callbacks: vec![Box::new(clock)], ..Fit::default() })?;
    let mut times = milliseconds.lock().map(|times| times.clone()).unwrap_or_default();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only_batch: Option<usize> = arguments.get(1).and_then(|batch| batch.parse().ok());
    println!("{} threads; milliseconds per step: median, fastest", rayon::current_num_threads());
    let nets: [Workload; 4] = [
        ("w1", w1, Arc::new(Sgd::new(1e-3)), &[32, 128]),
        ("w2", w2, Arc::new(Adam::new(1e-3)), &[32, 128]),
        ("w3", w3, Arc::new(Adam::new(1e-3)), &[32, 128]),
        ("w4", w4, Arc::new(Adam::new(1e-3)), &[100]),
    ];
    for (name, net, optimizer, batches) in nets {
        if arguments.first().is_some_and(|wanted| wanted != name) {
            continue;
        }
        for &batch in batches.iter().filter(|&&batch| only_batch.is_none_or(|only| only == batch)) {
            let mut model = net()?;
            model.compile_with(optimizer.clone(), SparseCategoricalCrossentropy)?;
            let pilot = measure(&mut model, batch, 4, 0)?;
            let steps = (300.0 / pilot[0]).clamp(4.0, 1200.0) as usize;
            let times = measure(&mut model, batch, steps, 3)?;
            println!("{name} batch {batch:3}: {:7.2} {:7.2}", times[times.len() / 2], times[0]);
        }
    }
    Ok(())
}
