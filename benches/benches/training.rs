//! One training step of each workload that is compared with other frameworks (`cargo xtask peers`), 32 samples.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use samara_benches::training::{WORKLOADS, random_data};
use samara_trainer::prelude::*;

const BATCH: usize = 32;
/// Steps of an epoch, at most: enough that what an epoch costs besides its steps does not show.
const STEPS: u64 = 50;

/// The time of `iterations` training steps, planning and data left out.
fn steps(model: &mut Model, iterations: u64) -> Duration {
    let steps = iterations.min(STEPS);
    let data = random_data(model, steps as usize * BATCH).expect("data of the model's shapes");
    let epochs = iterations.div_ceil(steps);
    let fit = Fit { epochs: epochs as usize, batch: BATCH, verbose: false, ..Fit::default() };
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
        group.bench_function(format!("{} {}", workload.name, workload.model), |bencher| {
            bencher.iter_custom(|iterations| steps(&mut model, iterations));
        });
    }
    group.finish();
}

criterion_group!(benches, training);
criterion_main!(benches);
