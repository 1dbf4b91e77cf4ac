//! Random models of all layers (`graphs.rs`), on their way to the device: nothing may be lost on it.
//!
//! `SAMARA_RANDOM_GRAPHS=10000` draws as many models, `SAMARA_RANDOM_SEED` begins with another; a failure names the seed and
//! the number of steps, and prints the model.

use samara_runtime::{
    ALL_OPS, OpDef,
    format::writer::{ModelFile, NodeRecord},
    ops::{conv2d::CONV2D_I8, delay::DELAY, dense::DENSE_I8},
};
use samara_tests::{
    graphs::{self, SAMPLES},
    signal_to_noise,
    whole::{self, Noises, check_bits, check_lengths, check_nodes, check_places, check_ranges, is_recurrent, of_sample},
};
use samara_trainer::device::{
    DeviceGraph, DeviceNode,
    encode::{Numbers, encode},
    fuse::fuse,
};
use samara_trainer::layers::ALL_LAYERS;
use samara_trainer::prelude::*;
use samara_trainer::quantize::{Options, Selection, quantize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::{env, fs};

/// Models in an ordinary run.
const GRAPHS: u64 = 1000;
/// Models whose files the boards run: those of the first seeds.
const ON_BOARDS: u64 = 24;
/// Samples on which every tensor of a run is looked at.
const FEW: usize = 2;
/// How far f32 may be from the trainer, as a part of the largest value or of 1.
const TOLERANCE: f32 = 1e-5;
/// Signal to quantization noise that an int8 file keeps, in decibels. Where it does not, each of its nodes still loses one
/// rounding and no more ([`check_nodes`]): the model makes little of much, and rounding is large beside it.
const LEAST_RATIO: f64 = 20.0;
/// The mean squared error of each op's int8 values, in steps, at most: 1/12 for what is rounded.
const LARGEST_MEAN_NOISE: f64 = 0.09;
/// That of embeddings: a dozen tables have few values, which are given again and again.
const LARGEST_MEAN_NOISE_OF_TABLES: f64 = 0.11;
/// That of forests: each value of a leaf is rounded, too, in steps that are not far below those of a sum of few.
const LARGEST_MEAN_NOISE_OF_LEAVES: f64 = 0.13;
/// That of ops that go on from what they rounded the step before.
const LARGEST_MEAN_NOISE_OF_STEPS: f64 = 0.3;
/// That of nodes with int16 activations, where the f32 sums that they are held against round, too.
const LARGEST_MEAN_NOISE_OF_INT16: f64 = 0.1;
/// One output in so many may be below the least ratio.
const OUTPUTS_PER_EXCUSE: usize = 100;
/// One model in so many may be refused in int8.
const GRAPHS_PER_REFUSAL: u64 = 1000;
/// Models on sequences of several lengths among those of an ordinary run.
const VARIABLE: usize = 90;
/// Half of the outputs keep so many decibels.
const LEAST_MEDIAN: f64 = 42.0;

/// What the models of a run were, and what became of their outputs in int8.
#[derive(Debug, Default)]
struct Tally {
    /// How many layers of each kind there were.
    layers: BTreeMap<&'static str, usize>,
    /// Codes of the ops in the files.
    ops: BTreeSet<u16>,
    /// Signal to quantization noise of each output.
    ratios: Vec<f64>,
    /// Outputs without a signal.
    silent: usize,
    /// Models with sequences of several lengths.
    variable: usize,
    /// Models whose int8 file is refused, as it should be.
    refused: usize,
    /// What nodes lost, by their ops.
    noises: Noises,
    /// What nodes with int16 activations lost, in steps of theirs.
    wide_noises: Noises,
}

impl Tally {
    fn add(&mut self, more: Self) {
        more.layers.into_iter().for_each(|(kind, count)| *self.layers.entry(kind).or_default() += count);
        self.ops.extend(more.ops);
        self.ratios.extend(more.ratios);
        self.silent += more.silent;
        self.variable += more.variable;
        self.refused += more.refused;
        more.noises.into_iter().for_each(|(op, noise)| self.noises.entry(op).or_default().add(noise));
        more.wide_noises.into_iter().for_each(|(op, noise)| self.wide_noises.entry(op).or_default().add(noise));
    }

    /// Outputs below the least ratio.
    fn excused(&self) -> usize {
        self.ratios.iter().filter(|&&ratio| ratio < LEAST_RATIO).count()
    }

    fn median(&self) -> f64 {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or_default()
    }
}

/// An f32 file gives what the trainer gives, within a part of the largest value.
fn check_values(file: &ModelFile, inputs: &[Tensor], expected: &[Tensor], tolerance: f32) -> Result<(), String> {
    let found = whole::run(file, inputs, SAMPLES)?;
    for (output, expected) in expected.iter().enumerate() {
        let expected = whole::real_steps(expected);
        let largest = expected.iter().map(|value| value.abs()).fold(0.0, |a: f32, b| if b > a { b } else { a });
        let found = whole::real(&found, output);
        if found.len() != expected.len() {
            return Err(format!("output {output}: {} values in training, {} in f32", expected.len(), found.len()));
        }
        for (place, (a, b)) in expected.iter().zip(&found).enumerate() {
            let is_near = (a - b).abs() <= tolerance * (1.0 + largest);
            if !is_near {
                return Err(format!("output {output}: {a} in training, {b} in f32, at {place}, among values up to {largest}"));
            }
        }
    }
    Ok(())
}

/// The real number between two int8 values of an output that is dequantized.
fn step_of(int8: &ModelFile, output: usize) -> f32 {
    let node = int8.nodes.iter().find(|node| node.output == int8.outputs[output]).expect("an f32 port");
    int8.tensors[node.inputs[0] as usize].scale
}

/// The same samples, three times as large; tokens as they are.
fn tripled(model: &Model, input: usize, samples: &Tensor) -> Tensor {
    let factor = if graphs::vocabulary(model, input).is_some() { 1.0 } else { 3.0 };
    let values = samples.values().iter().map(|value| factor * value).collect();
    let tripled = Tensor::from_samples(samples.sample_shape().clone(), values).expect("as many values");
    match samples.lengths() {
        Some(lengths) => tripled.with_lengths(lengths.iter().map(|&length| length as usize)).expect("the same lengths"),
        None => tripled,
    }
}

/// Leaves a file for the boards.
fn keep(seed: u64, element_type: &str, file: &ModelFile) {
    if let Some(directory) = samara_tests::results().filter(|_| seed < ON_BOARDS) {
        let directory = directory.join("random");
        fs::create_dir_all(&directory).expect("a directory that can be made");
        fs::write(directory.join(format!("random-{seed}-{element_type}.samara")), file.to_bytes())
            .expect("a file that can be written");
    }
}

/// Whether int8 is refused for what it cannot say, with the layer's name: a recurrent layer whose inputs reach so far that a step of theirs
/// is beyond what its gates tell apart.
fn is_out_of_reach(error: &str) -> bool {
    error.contains(&format!("its output's scale {} is too small for its input's", 1.0 / 4096.0))
}

fn check(seed: u64, steps: usize) -> Result<Tally, String> {
    let mut tally = Tally::default();
    let (model, inputs) = graphs::random_model(seed, steps);
    let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
    layers.for_each(|layer| *tally.layers.entry(layer.kind()).or_default() += 1);
    let expected = model.predict_all(&inputs).map_err(|error| error.to_string())?;

    let mut graph = model.device_graph().map_err(|error| error.to_string())?;
    let f32_file = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
    check_values(&f32_file, &inputs, &expected, TOLERANCE)?;
    check_places(&f32_file).map_err(|fault| format!("f32: {fault}"))?;
    check_bits(&f32_file, &inputs, FEW).map_err(|fault| format!("f32: {fault}"))?;
    check_lengths(&f32_file, &inputs, FEW).map_err(|fault| format!("f32: {fault}"))?;

    let options = Options { float_ports: true, ..Options::default() };
    let int8 = match quantize(&mut graph, &inputs, options) {
        Err(error) if is_out_of_reach(&error.to_string()) => {
            tally.refused += 1;
            return Ok(tally);
        }
        other => other.map_err(|error| error.to_string())?,
    };
    check_places(&int8).map_err(|fault| format!("int8: {fault}"))?;
    check_bits(&int8, &inputs, FEW).map_err(|fault| format!("int8: {fault}"))?;
    check_lengths(&int8, &inputs, FEW).map_err(|fault| format!("int8: {fault}"))?;
    // What was rounded: the same function, with its channels evened out.
    let quantized = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
    check_values(&quantized, &inputs, &expected, TOLERANCE).map_err(|fault| format!("before rounding: {fault}"))?;
    // Also beyond the values that it was calibrated on, where clamps clamp; large values cancel each other with larger errors.
    let beyond: Vec<Tensor> = inputs.iter().enumerate().map(|(input, samples)| tripled(&model, input, samples)).collect();
    let expected_beyond = model.predict_all(&beyond).map_err(|error| error.to_string())?;
    check_values(&quantized, &beyond, &expected_beyond, 10.0 * TOLERANCE)
        .map_err(|fault| format!("before rounding, beyond: {fault}"))?;
    check_ranges(&quantized, &int8, &inputs)?;
    if int8.length_groups.is_empty() {
        tally.noises = check_nodes(&quantized, &int8, &inputs)?;
    } else {
        tally.variable += 1;
        for sample in 0..FEW {
            let (quantized, _) = of_sample(&quantized, &inputs, sample);
            let (int8, alone) = of_sample(&int8, &inputs, sample);
            let noises = check_nodes(&quantized, &int8, &alone).map_err(|fault| format!("sample {sample}: {fault}"))?;
            noises.into_iter().for_each(|(op, noise)| tally.noises.entry(op).or_default().add(noise));
        }
    }
    check_mixed(seed, &quantized, &model, &inputs)?;
    let (wide, noises) = check_wide(seed, &quantized, &model, &inputs)?;
    noises.into_iter().for_each(|(op, noise)| tally.wide_noises.entry(op).or_default().add(noise));
    let found = whole::run(&int8, &inputs, SAMPLES)?;
    let fused = fuse(int8.clone()).map_err(|error| error.to_string())?;
    check_places(&fused).map_err(|fault| format!("fused: {fault}"))?;
    check_bits(&fused, &inputs, FEW).map_err(|fault| format!("fused: {fault}"))?;
    if whole::run(&fused, &inputs, SAMPLES)? != found {
        return Err("fused nodes give other bits".to_owned());
    }
    for (output, expected) in expected.iter().enumerate() {
        let found = whole::real(&found, output);
        let expected = whole::real_steps(expected);
        if expected.iter().all(|&value| value == 0.0) {
            // No signal has no ratio: what rectifiers make of each other. The scale of what is always zero is not that of what was
            // rounded before it, so a few steps are nothing.
            tally.silent += 1;
            let step = step_of(&int8, output);
            if let Some(value) = found.iter().find(|value| value.abs() > 4.0 * step) {
                return Err(format!("output {output}: {value} in int8 instead of nothing, the step is {step}"));
            }
            continue;
        }
        tally.ratios.push(signal_to_noise(&expected, &found));
    }
    let int4 = check_int4(&model, &inputs).map_err(|fault| format!("int4: {fault}"))?;
    for (element_type, file) in [("f32", &f32_file), ("int8", &fused), ("int16", &wide), ("int4", &int4)] {
        tally.ops.extend(file.nodes.iter().map(|node| node.code));
        keep(seed, element_type, file);
    }
    Ok(tally)
}

/// Some nodes in f32 among int8 ones: the file's places and bits are sound; and with all nodes in f32, it gives the bits of the f32 file.
fn check_mixed(seed: u64, real: &ModelFile, model: &Model, inputs: &[Tensor]) -> Result<(), String> {
    let all = &real.metadata.nodes;
    let some: Vec<String> = all
        .iter()
        .enumerate()
        .filter(|(number, _)| (*number as u64 ^ seed).is_multiple_of(3))
        .map(|(_, name)| name.clone())
        .collect();
    let file = |keep_f32: &[String]| {
        let options = Options { float_ports: true, keep_f32, ..Options::default() };
        let mut graph = model.device_graph().map_err(|error| error.to_string())?;
        let file = quantize(&mut graph, inputs, options).map_err(|error| error.to_string())?;
        Ok::<_, String>((graph, file))
    };
    let (_, mixed) = file(&some).map_err(|fault| format!("mixed: {fault}"))?;
    check_places(&mixed).map_err(|fault| format!("mixed: {fault}"))?;
    check_bits(&mixed, inputs, FEW).map_err(|fault| format!("mixed: {fault}"))?;
    // An input that is an output, too, is rounded on its way.
    if real.outputs.iter().any(|output| real.inputs.contains(output)) {
        return Ok(());
    }
    let (graph, all_real) = file(all)?;
    let real = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
    if whole::run(&all_real, inputs, FEW)? != whole::run(&real, inputs, FEW)? {
        return Err("all nodes are kept in f32, and yet the bits are not those of the f32 file".to_owned());
    }
    Ok(())
}

/// Weights of 4 bits in all layers that take them: a file whose places, bits and lengths are sound.
fn check_int4(model: &Model, inputs: &[Tensor]) -> Result<ModelFile, String> {
    let options = Options { float_ports: true, int4: Selection::All, ..Options::default() };
    let mut graph = model.device_graph().map_err(|error| error.to_string())?;
    let file = quantize(&mut graph, inputs, options).map_err(|error| error.to_string())?;
    let is_left = |node: &&NodeRecord| [DENSE_I8.code, CONV2D_I8.code].map(u16::from).contains(&node.code);
    if let Some(node) = file.nodes.iter().find(is_left) {
        return Err(format!("the layer that gives tensor {} has weights of 8 bits", node.output));
    }
    check_places(&file)?;
    check_bits(&file, inputs, FEW)?;
    check_lengths(&file, inputs, FEW)?;
    Ok(file)
}

/// Int16 activations: all nodes that can have them are exact but for one rounding, and a third of them among int8 ones and f32 ones give a
/// file whose places and bits are sound.
fn check_wide(seed: u64, real: &ModelFile, model: &Model, inputs: &[Tensor]) -> Result<(ModelFile, Noises), String> {
    let file = |options: Options<'_>| {
        let mut graph = model.device_graph().map_err(|error| error.to_string())?;
        let file = quantize(&mut graph, inputs, Options { float_ports: true, ..options }).map_err(|error| error.to_string())?;
        check_places(&file)?;
        check_bits(&file, inputs, FEW)?;
        Ok::<_, String>((graph, file))
    };
    let every_third = |graph: &DeviceGraph, rest: u64, takes: fn(&DeviceNode) -> bool| -> Vec<String> {
        let nodes = graph.nodes.iter().enumerate();
        let chosen = nodes.filter(|(number, node)| (*number as u64 ^ seed) % 3 == rest && takes(node));
        chosen.map(|(_, node)| node.name.clone()).collect()
    };
    let graph = model.device_graph().map_err(|error| error.to_string())?;
    let wide = every_third(&graph, 0, |node| node.op.takes_i16());
    let keep_f32: Vec<String> = every_third(&graph, 1, |_| true).into_iter().filter(|name| !wide.contains(name)).collect();
    let options = Options { int16: Selection::Named(&wide), keep_f32: &keep_f32, ..Options::default() };
    file(options).map_err(|fault| format!("some in int16: {fault}"))?;
    let options = Options { int16: Selection::All, ..Options::default() };
    let (graph, all) = file(options).map_err(|fault| format!("int16: {fault}"))?;
    check_lengths(&all, inputs, FEW).map_err(|fault| format!("int16: {fault}"))?;
    let mut noises = Noises::new();
    if real.length_groups.is_empty() {
        let exact = encode(&graph, Numbers::F32).map_err(|error| error.to_string())?;
        noises = check_nodes(&exact, &all, inputs).map_err(|fault| format!("int16: {fault}"))?;
    }
    Ok((all, noises))
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
            match check(seed, steps) {
                Ok(more) => tally.add(more),
                Err(_) => {
                    // The fewest steps that fail.
                    let (steps, fault) = (0..=steps)
                        .find_map(|steps| Some((steps, check(seed, steps).err()?)))
                        .expect("a check that failed before");
                    faults.push(format!("seed {seed}, {steps} steps: {fault}\n{}", text(seed, steps)));
                }
            }
        }
        (tally, faults)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a check that does not panic")).collect()
    });
    let (mut tally, mut faults) = (Tally::default(), Vec::new());
    for (part, more) in results {
        tally.add(part);
        faults.extend(more);
    }
    let (outputs, excused) = (tally.ratios.len(), tally.excused());
    let (median, silent) = (tally.median(), tally.silent);
    println!("{count} graphs from seed {first}: {outputs} outputs in int8, half of them above {median:.1} dB, {excused} below");
    println!("{LEAST_RATIO} dB, {silent} without a signal; {} models on sequences of several lengths", tally.variable);
    println!("{} models refused in int8: inputs of a recurrent layer reach too far", tally.refused);
    let noises = tally.noises.iter().map(|(op, noise)| format!("{op} {:.3}", noise.mean()));
    println!("mean squared errors of nodes, in steps: {}", noises.collect::<Vec<_>>().join(", "));
    let noises = tally.wide_noises.iter().map(|(op, noise)| format!("{op} {:.3}", noise.mean()));
    println!("of those with int16 activations: {}", noises.collect::<Vec<_>>().join(", "));
    println!("layers: {:?}", tally.layers);
    assert!(faults.is_empty(), "{} of {count} graphs\n{}", faults.len(), faults.join("\n"));
    if count >= GRAPHS {
        assert!(tally.variable >= VARIABLE, "{} models on sequences of several lengths", tally.variable);
        assert!(excused * OUTPUTS_PER_EXCUSE <= outputs, "{excused} of {outputs} outputs are below {LEAST_RATIO} dB");
        let refused = tally.refused as u64;
        assert!(refused * GRAPHS_PER_REFUSAL <= count, "{refused} of {count} models are refused in int8");
        assert!(median >= LEAST_MEDIAN, "half of the outputs are below {median:.1} dB");
        for (op, noise) in &tally.noises {
            let largest = match *op {
                "embedding" => LARGEST_MEAN_NOISE_OF_TABLES,
                "forest_f32" => LARGEST_MEAN_NOISE_OF_LEAVES,
                op if is_recurrent(op) => LARGEST_MEAN_NOISE_OF_STEPS,
                _ => LARGEST_MEAN_NOISE,
            };
            assert!(noise.mean() <= largest, "{op}: a mean squared error of {:.3} steps", noise.mean());
        }
        for (op, noise) in &tally.wide_noises {
            assert!(
                noise.mean() <= LARGEST_MEAN_NOISE_OF_INT16,
                "{op} of int16: a mean squared error of {:.3} steps",
                noise.mean()
            );
        }
        let missing = ALL_LAYERS.iter().filter(|kind| !tally.layers.contains_key(kind.name)).map(|kind| kind.name);
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "kinds of layers that were not drawn");
        // Only streams delay: `streams.rs`.
        let drawn = |op: &OpDef| tally.ops.contains(&op.code.into()) || op.code == DELAY.code;
        let missing = ALL_OPS.iter().filter(|op| !drawn(op)).map(|op| op.name);
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "ops that were not in a file");
    }
}
