//! Random models of most layers (those of `graphs.rs`), on their way to the device: nothing may be lost on it.
//!
//! `SAMARA_RANDOM_GRAPHS=10000` draws as many models, `SAMARA_RANDOM_SEED` begins with another; a failure names the seed and
//! the number of steps, and prints the model.

use samara_tests::{
    graphs::{self, SAMPLES},
    signal_to_noise,
    whole::{self, check_bits, check_places},
};
use samara_trainer::device::encode::{Numbers, encode};
use samara_trainer::prelude::*;
use samara_trainer::quantize::{Options, quantize};
use std::env;
use std::fmt::Write as _;

/// Models in an ordinary run.
const GRAPHS: u64 = 300;
/// Samples on which every tensor of a run is looked at.
const FEW: usize = 2;
/// Signal to quantization noise that an int8 file keeps, in decibels, where rounding allows it.
const LEAST_RATIO: f64 = 20.0;
/// What an int8 file may lose against each value rounded once, in decibels.
const LARGEST_LOSS: f64 = 4.0;
/// Beyond this, nothing is asked: values that happen to be exact may be rounded again.
const BEST_RATIO: f64 = 50.0;

/// What became of a model's outputs in int8.
#[derive(Debug, Default)]
struct Tally {
    outputs: usize,
    /// Below the least ratio, since rounding alone is.
    excused: usize,
}

fn check(seed: u64, steps: usize, tally: &mut Tally) -> Result<(), String> {
    let (model, inputs) = graphs::random_model(seed, steps);
    let expected = model.predict_all(&inputs).map_err(|error| error.to_string())?;

    let graph = model.device_graph().map_err(|error| error.to_string())?;
    let file = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
    let found = whole::run(&file, &inputs, SAMPLES)?;
    for (output, expected) in expected.iter().enumerate() {
        let largest = expected.values().iter().map(|value| value.abs()).fold(0.0, |a: f32, b| if b > a { b } else { a });
        let found = whole::real(&found, output);
        if found.len() != expected.values().len() {
            return Err(format!("output {output}: {} values in training, {} in f32", expected.values().len(), found.len()));
        }
        for (place, (a, b)) in expected.values().iter().zip(&found).enumerate() {
            let is_near = (a - b).abs() <= 1e-5 * (1.0 + largest);
            if !is_near {
                return Err(format!("output {output}: {a} in training, {b} in f32, at {place}, among values up to {largest}"));
            }
        }
    }
    check_places(&file).map_err(|fault| format!("f32: {fault}"))?;
    check_bits(&file, &inputs, FEW).map_err(|fault| format!("f32: {fault}"))?;

    let mut graph = graph;
    let values: Vec<&[f32]> = inputs.iter().map(Tensor::values).collect();
    let options = Options { float_ports: true, ..Options::default() };
    let int8 = quantize(&mut graph, &values, options).map_err(|error| error.to_string())?;
    check_places(&int8).map_err(|fault| format!("int8: {fault}"))?;
    check_bits(&int8, &inputs, FEW).map_err(|fault| format!("int8: {fault}"))?;
    let found = whole::run(&int8, &inputs, SAMPLES)?;
    let quantized = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
    let rounded = whole::run(&whole::rounded(&quantized, &int8.tensors), &inputs, SAMPLES)?;
    for (output, expected) in expected.iter().enumerate() {
        let ratio = |found| signal_to_noise(expected.values(), &whole::real(found, output));
        let (by_rounding, by_device) = (ratio(&rounded), ratio(&found));
        tally.outputs += 1;
        tally.excused += usize::from(by_device < LEAST_RATIO);
        if env::var_os("SAMARA_RANDOM_TABLE").is_some() {
            println!("{seed}:{steps} {output} {by_device:.1} {by_rounding:.1}");
        }
        let is_near = by_device >= by_rounding.min(BEST_RATIO) - LARGEST_LOSS;
        if !is_near {
            return Err(format!("output {output}: {by_device:.1} dB in int8, {by_rounding:.1} dB by rounding alone"));
        }
    }
    Ok(())
}

/// The model as text: what to look at when it fails.
fn text(seed: u64, steps: usize) -> String {
    let (model, _) = graphs::random_model(seed, steps);
    let mut text = model.summary().to_string();
    for node in &model.graph().nodes {
        let description = node.layer.as_ref().map(|layer| layer.describe()).unwrap_or_default();
        if !description.is_empty() {
            let _ = writeln!(text, "{}: {description}", node.name);
        }
    }
    let _ = writeln!(
        text,
        "outputs: {:?}",
        model.graph().outputs.iter().map(|&node| &model.graph().nodes[node].name).collect::<Vec<_>>()
    );
    match model.device_graph() {
        Ok(graph) => {
            for node in &graph.nodes {
                let _ = writeln!(text, "{:?} = {} {:?}", node.output, node.name, node.inputs);
            }
        }
        Err(error) => text.push_str(&error.to_string()),
    }
    text
}

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

#[test]
fn nothing_is_lost_on_the_way_to_the_device() {
    let (count, first) = (setting("SAMARA_RANDOM_GRAPHS", GRAPHS), setting("SAMARA_RANDOM_SEED", 0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let work = |thread: u64| {
        let (mut tally, mut faults) = (Tally::default(), Vec::new());
        for seed in (first + thread..first + count).step_by(threads as usize) {
            let steps = graphs::steps(seed);
            if check(seed, steps, &mut tally).is_ok() {
                continue;
            }
            // The fewest steps that fail.
            let (steps, fault) = (0..=steps)
                .find_map(|steps| Some((steps, check(seed, steps, &mut Tally::default()).err()?)))
                .expect("a check that failed before");
            faults.push(format!("seed {seed}, {steps} steps: {fault}\n{}", text(seed, steps)));
        }
        (tally, faults)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a check that does not panic")).collect()
    });
    let mut tally = Tally::default();
    let mut faults = Vec::new();
    for (part, more) in results {
        tally.outputs += part.outputs;
        tally.excused += part.excused;
        faults.extend(more);
    }
    println!("{count} graphs from seed {first}: {tally:?}");
    assert!(faults.is_empty(), "{} of {count} graphs\n{}", faults.len(), faults.join("\n"));
}
