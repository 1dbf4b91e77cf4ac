//! Milliseconds per training step of the workloads w1 to w6, for comparison with other frameworks:
//! `cargo run --release -p samara-benches --example steps -- [w1|w2|w3|w4|w5|w6] [batch] [--json]`.
//!
//! The clock covers whole epochs of about 0.3 s, shuffling included, planning left out; the median and the fastest of
//! several. `RAYON_NUM_THREADS` sets the number of threads.

use std::time::{Duration, Instant};

use clap::{Parser, builder::PossibleValuesParser};
use samara_benches::training::{WORKLOADS, Workload};
use samara_trainer::prelude::*;
use serde_json::json;

/// Seconds of an epoch, about.
const EPOCH: f64 = 0.3;
/// Time for the epochs of one measurement.
const LIMIT: Duration = Duration::from_secs(3);

#[derive(Parser)]
#[command(about = "Milliseconds per training step: median and fastest")]
struct Arguments {
    /// Only this workload
    #[arg(value_parser = PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name)))]
    workload: Option<String>,
    /// Samples per step [default: those that are compared]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: Option<u32>,
    /// Prints a line of JSON for each measurement
    #[arg(long)]
    json: bool,
}

/// Ends the training after a while.
struct Clock {
    started: Instant,
    limit: Duration,
}

impl Callback for Clock {
    fn train_begin(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.started = Instant::now();
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if self.started.elapsed() >= self.limit {
            training.stop();
        }
        Ok(())
    }
}

/// Milliseconds per step of each epoch, sorted.
fn measure(workload: &Workload, model: &mut Model, batch: usize, steps: usize, limit: Duration) -> Result<Vec<f64>> {
    let data = workload.random_data(model, batch * steps)?;
    let clock = Clock { started: Instant::now(), limit };
    let fit = Fit { epochs: 400, batch, verbose: false, callbacks: vec![Box::new(clock)], ..Fit::default() };
    let history = model.fit(&data, fit)?;
    let mut times: Vec<f64> = history.epochs.iter().map(|epoch| epoch.seconds * 1e3 / steps as f64).collect();
    times.sort_by(f64::total_cmp);
    Ok(times)
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let threads = rayon::current_num_threads();
    if !arguments.json {
        println!("{threads} threads; milliseconds per step: median, fastest");
    }
    let wanted = |name| arguments.workload.as_deref().is_none_or(|only| only == name);
    for workload in WORKLOADS.iter().filter(|workload| wanted(workload.name)) {
        let only_batch = arguments.batch.map(|batch| batch as usize);
        for &batch in only_batch.as_ref().map_or(workload.batches, std::slice::from_ref) {
            let mut model = workload.compiled()?;
            let pilot = measure(workload, &mut model, batch, 4, Duration::ZERO)?;
            let steps = (EPOCH * 1e3 / pilot[0]).clamp(4.0, 1200.0) as usize;
            let times = measure(workload, &mut model, batch, steps, LIMIT)?;
            let (median, fastest) = (times[times.len() / 2], times[0]);
            if arguments.json {
                let parameters: usize = model.parameters().iter().map(|parameter| parameter.shape.size()).sum();
                let line = json!({
                    "workload": workload.name,
                    "batch": batch,
                    "milliseconds": median,
                    "fastest_milliseconds": fastest,
                    "parameters": parameters,
                    "threads": threads,
                    "versions": concat!("samara ", env!("CARGO_PKG_VERSION")),
                });
                println!("{line}");
            } else {
                println!("{} batch {batch:3}: {median:7.2} {fastest:7.2}", workload.name);
            }
        }
    }
    Ok(())
}
