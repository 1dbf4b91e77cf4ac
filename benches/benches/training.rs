//! One training step of each workload that is compared with other frameworks (`cargo xtask peers`), 32 samples; steps of an LSTM by length of
//! the sequence and by batch, whose time per element says whether it is linear in both; planning of a graph of 2,000 nodes.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use samara_benches::training::WORKLOADS;
use samara_trainer::prelude::*;

const BATCH: usize = 32;
/// Steps of an epoch, at most: enough that what an epoch costs besides its steps does not show.
const STEPS: u64 = 50;

/// The time of `iterations` training steps, planning and data left out. `data` gives as many samples as it is told.
fn steps(model: &mut Model, batch: usize, iterations: u64, data: impl Fn(&Model, usize) -> Result<Dataset>) -> Duration {
    let steps = iterations.min(STEPS);
    let data = data(model, steps as usize * batch).expect("data of the model's shapes");
    let epochs = iterations.div_ceil(steps);
    let fit = Fit { epochs: epochs as usize, batch, verbose: false, ..Fit::default() };
    let history = model.fit(&data, fit).expect("labels within the classes");
    let seconds: f64 = history.epochs.iter().map(|epoch| epoch.seconds).sum();
    // The last epoch is filled up, so that all have the same steps.
    Duration::from_secs_f64(seconds * iterations as f64 / (epochs * steps) as f64)
}

fn training(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("training step");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(BATCH as u64));
    for workload in WORKLOADS {
        let mut model = workload.compiled().expect("a net of the zoo");
        group.bench_function(format!("{} {}", workload.name, model.name()), |bencher| {
            bencher.iter_custom(|iterations| {
                steps(&mut model, BATCH, iterations, |model, samples| workload.random_data(model, samples))
            });
        });
    }
    group.finish();
}

/// Steps of one LSTM of 32 units on 32 features. Criterion's throughput is in steps of the sequence times samples: the same in all rows if the
/// time is linear in both.
fn lengths_and_batches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("LSTM, sequence x batch");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for (length, batch) in [(25, 32), (100, 32), (400, 32), (100, 8), (100, 128)] {
        let mut model = Sequential::new("lstm", [length, 32]).add(Lstm::new(32)).add(Dense::new(1)).build().expect("a net");
        model.compile(Sgd::new(1e-3), MeanSquaredError).expect("a loss that fits");
        group.throughput(Throughput::Elements((length * batch) as u64));
        group.bench_function(format!("{length} x {batch}"), |bencher| {
            bencher.iter_custom(|iterations| {
                steps(&mut model, batch, iterations, |_, samples| {
                    let values = (0..samples * length * 32).map(|number| (number % 101) as f32 / 101.0).collect();
                    Dataset::new(Tensor::from_samples([length, 32], values)?, Tensor::from_samples([1], vec![0.5; samples])?)
                })
            });
        });
    }
    group.finish();
}

/// Building, planning the training, and planning the arena of a graph of 2,000 nodes with forks.
fn planning(criterion: &mut Criterion) {
    let build = || {
        let x = input([16]);
        let mut y = Dense::new(16).apply(&x);
        for _ in 0..1000 {
            y = Average::new().apply([&y, &ActivationLayer::new(Activation::Relu).apply(&y)]);
        }
        Model::new("deep", x, y)
    };
    let mut group = criterion.benchmark_group("2,000 nodes");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.bench_function("build", |bencher| bencher.iter(|| build().expect("a graph")));
    let mut model = build().expect("a graph");
    model.compile(Sgd::new(1e-3), MeanSquaredError).expect("a loss that fits");
    let tensor = || Tensor::from_samples([16], vec![0.5; 32]).expect("one sample");
    let data = Dataset::new(tensor(), tensor()).expect("as many targets");
    group.bench_function("plan and train one step of two samples", |bencher| {
        bencher.iter(|| model.fit(&data, Fit { batch: 2, verbose: false, ..Fit::default() }).expect("a step"));
    });
    group.bench_function("export in f32", |bencher| bencher.iter(|| model.export_f32().expect("a file")));
    group.finish();
}

criterion_group!(benches, training, lengths_and_batches, planning);
criterion_main!(benches);
