//! Model files looked at as a whole: every tensor of a run, where tensors may lie, and what each node loses.

use crate::signal_to_noise;
use samara_runtime::{
    ALL_OPS, ElementType, Tensor,
    format::{
        cursor::Cursor,
        writer::{ModelFile, NodeRecord, encode_parameters},
    },
    ops::{
        conv2d::{self, CONV2D_F32},
        dense::DENSE_F32,
        depthwise_conv2d::DEPTHWISE_CONV2D_F32,
        linear::{LinearF32, pack_f32},
        window::Window,
    },
};
use samara_trainer::{
    Model, data,
    device::{
        plan::arrange,
        run::{DeviceModel, write_sample},
    },
    quantize::Options,
};
use std::{collections::BTreeMap, ops::Range};

/// The bytes of each output, for each sample.
pub type Outputs = Vec<Vec<Vec<u8>>>;

/// Runs a file. Inputs are real numbers; the file may quantize them.
///
/// # Errors
/// If the runtime refuses the file or a sample.
pub fn run(file: &ModelFile, inputs: &[data::Tensor], samples: usize) -> Result<Outputs, String> {
    let device = DeviceModel::new(&file.to_bytes()).map_err(|error| error.to_string())?;
    let outputs = file.outputs.len();
    let ran = device.run_each(
        samples,
        |session, sample| {
            session.reset_state();
            inputs.iter().enumerate().try_for_each(|(index, tensor)| write_sample(session, index, tensor, sample))
        },
        |session, _| (0..outputs).map(|index| session.output_bytes(index).unwrap_or_default().to_vec()).collect(),
    );
    ran.map_err(|error| error.to_string())
}

/// The values of one f32 output of all samples, one after the other.
pub fn real(outputs: &Outputs, index: usize) -> Vec<f32> {
    let values = outputs.iter().flat_map(|outputs| outputs[index].as_chunks().0);
    values.map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// The values of all samples, one after the other, each with as many steps as it has.
pub fn real_steps(samples: &data::Tensor) -> Vec<f32> {
    let of_sample = |sample: usize| {
        let values = samples.sample(sample).unwrap_or_default();
        let size = match samples.lengths() {
            Some(lengths) => values.len() / samples.sample_shape()[0] * lengths[sample] as usize,
            None => values.len(),
        };
        values[..size].to_vec()
    };
    (0..samples.samples()).flat_map(of_sample).collect()
}

/// One sample alone, and the file as it is for sequences of as many steps as it has.
///
/// # Panics
/// If a length has no place in the file, which is a defect.
pub fn of_sample(file: &ModelFile, inputs: &[data::Tensor], sample: usize) -> (ModelFile, Vec<data::Tensor>) {
    let mut lengths: Vec<u32> = file.length_groups.iter().map(|group| group.maximum).collect();
    let group_of = |tensor: &Tensor| usize::from(tensor.length_group).checked_sub(1);
    let mut alone = Vec::new();
    for (&tensor, samples) in file.inputs.iter().zip(inputs) {
        let (values, mut shape) = (samples.sample(sample).expect("such a sample"), samples.sample_shape().to_vec());
        let mut size = values.len();
        if let Some(group) = group_of(&file.tensors[tensor as usize]) {
            lengths[group] = samples.length(sample) as u32;
            size = size / shape[0] * samples.length(sample);
            shape[0] = samples.length(sample);
        }
        alone.push(data::Tensor::from_samples(shape, values[..size].to_vec()).expect("a whole sample"));
    }
    for (number, group) in file.length_groups.iter().enumerate().filter(|(_, group)| group.source > 0) {
        lengths[number] = group.derived(lengths[usize::from(group.source) - 1]).expect("steps that are left");
    }
    let mut fixed = ModelFile { length_groups: Vec::new(), golden: Vec::new(), ..file.clone() };
    for tensor in &mut fixed.tensors {
        if let Some(group) = group_of(tensor) {
            (tensor.dimensions[0], tensor.length_group) = (lengths[group], 0);
        }
    }
    arrange(&mut fixed, ALL_OPS).expect("an arena");
    (fixed, alone)
}

/// Of some samples, the file gives the bits of files that are made for their lengths.
///
/// # Errors
/// The output that differs.
pub fn check_lengths(file: &ModelFile, inputs: &[data::Tensor], samples: usize) -> Result<(), String> {
    let found = run(file, inputs, samples)?;
    for (sample, found) in found.iter().enumerate() {
        let (fixed, alone) = of_sample(file, inputs, sample);
        let expected = run(&fixed, &alone, 1).map_err(|fault| format!("sample {sample}, made for its length: {fault}"))?;
        if let Some(output) = (0..found.len()).find(|&output| found[output] != expected[0][output]) {
            let lengths: Vec<usize> = inputs.iter().map(|input| input.length(sample)).collect();
            return Err(format!(
                "sample {sample} of lengths {lengths:?}: output {output} has other bits than from a file made for it"
            ));
        }
    }
    Ok(())
}

/// How far a model's files are from what the trainer predicts, in decibels; the worst output counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratios {
    /// The f32 file.
    pub f32: f64,
    /// The int8 file, with f32 ports.
    pub int8: f64,
}

/// Exports a model in both types of numbers, with ranges from the samples, and compares on them.
///
/// # Errors
/// If an export fails.
pub fn ratios(model: &Model, inputs: &[data::Tensor]) -> Result<Ratios, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let expected = model.predict_all(inputs).map_err(|error| text(&error))?;
    let options = Options { float_ports: true, ..Options::default() };
    let files = [model.export_f32(), model.export_int8(inputs, options)];
    let mut ratios = [f64::INFINITY; 2];
    for (ratio, bytes) in ratios.iter_mut().zip(files) {
        let file = ModelFile::from_bytes(&bytes.map_err(|error| text(&error))?).map_err(|error| text(&error))?;
        let found = run(&file, inputs, inputs.first().map_or(0, data::Tensor::samples))?;
        for (output, expected) in expected.iter().enumerate() {
            let found = signal_to_noise(&real_steps(expected), &real(&found, output));
            if found < *ratio || found.is_nan() {
                *ratio = found;
            }
        }
    }
    let [f32, int8] = ratios;
    Ok(Ratios { f32, int8 })
}

/// The same file with every tensor and every scratch region in a place of its own, all tensors outputs.
pub fn placed_apart(file: &ModelFile) -> ModelFile {
    let mut file = file.clone();
    // Behind what holds from run to run.
    let states = file.nodes.iter().map(|node| node.state_bytes.next_multiple_of(16)).sum::<u32>();
    let mut next = states + (4 * file.length_groups.len() as u32).next_multiple_of(16);
    let mut take = |bytes: usize| {
        let offset = next;
        next += (bytes as u32).next_multiple_of(16);
        offset
    };
    file.tensors.iter_mut().for_each(|tensor| tensor.offset = take(tensor.bytes()));
    for node in file.nodes.iter_mut().filter(|node| node.scratch_bytes > 0) {
        node.scratch_offset = take(node.scratch_bytes as usize);
    }
    file.arena_bytes = next;
    file.outputs = (0..file.tensors.len() as u32).collect();
    file
}

/// Between which nodes each tensor holds what was written to it: from the number of nodes that ran before it was there to
/// the last node that reads it; beyond the last node for outputs. `None` for a tensor that is never written.
fn lifetimes(file: &ModelFile) -> Vec<Option<Range<usize>>> {
    let of_tensor = |tensor: usize| {
        let index = tensor as u32;
        let written = file.nodes.iter().position(|node| node.output == index).map(|node| node + 1);
        let first = written.or(file.inputs.contains(&index).then_some(0))?;
        let read = file.nodes.iter().rposition(|node| node.inputs.contains(&index)).unwrap_or(0);
        Some(first..if file.outputs.contains(&index) { file.nodes.len() + 1 } else { read.max(first.saturating_sub(1)) + 1 })
    };
    (0..file.tensors.len()).map(of_tensor).collect()
}

/// Looks for bytes that two living things share: tensors still to be read, and the scratch region of the node that runs. A
/// node's output may lie on an input that nobody reads any more where its op says so.
///
/// # Errors
/// What lies on what, and when.
pub fn check_places(file: &ModelFile) -> Result<(), String> {
    let lifetimes = lifetimes(file);
    let share = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
    for (step, node) in file.nodes.iter().enumerate() {
        // What is read by this node or later, and what it writes.
        let held = |tensor: &usize| lifetimes[*tensor].as_ref().is_some_and(|life| life.start <= step && step < life.end);
        let living: Vec<usize> = (0..file.tensors.len()).filter(held).collect();
        let output = node.output as usize;
        let range = |tensor: usize| file.tensors[tensor].range();
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).ok_or("an unknown op")?;
        let first = node.inputs.first().map_or(output, |&input| input as usize);
        let alias = (op.alias)(&file.tensors[first], &file.tensors[output], Cursor::new(&node.parameters));
        for (place, &a) in living.iter().enumerate() {
            for &b in &living[..place] {
                if share(&range(a), &range(b)) {
                    return Err(format!("before node {step}, tensors {a} and {b} lie on each other"));
                }
            }
            let last_read = lifetimes[a].as_ref().is_some_and(|life| life.end == step + 1);
            let number = node.inputs.iter().position(|&input| input as usize == a);
            let may_lie_on = last_read && number.is_some_and(|number| alias.allows(number, &range(a), &range(output)));
            if share(&range(a), &range(output)) && !may_lie_on {
                return Err(format!("node {step} overwrites tensor {a} with its output {output}"));
            }
        }
        let scratch = node.scratch_offset as usize..(node.scratch_offset + node.scratch_bytes) as usize;
        if let Some(on) = living.iter().chain([&output]).find(|&&tensor| share(&range(tensor), &scratch)) {
            return Err(format!("node {step} has scratch memory on tensor {on}"));
        }
    }
    Ok(())
}

/// Runs the file node by node beside the same file with all tensors apart: whatever tensor is still to be read has the same
/// bits.
///
/// # Errors
/// The tensor that differs, and when.
pub fn check_bits(file: &ModelFile, inputs: &[data::Tensor], samples: usize) -> Result<(), String> {
    let expected = run(&placed_apart(file), inputs, samples)?;
    let lifetimes = lifetimes(file);
    for ran in 0..=file.nodes.len() {
        let held = |tensor: &u32| lifetimes[*tensor as usize].as_ref().is_some_and(|life| life.contains(&ran));
        let living: Vec<u32> = (0..file.tensors.len() as u32).filter(held).collect();
        let part = ModelFile { nodes: file.nodes[..ran].to_vec(), outputs: living.clone(), ..file.clone() };
        for (sample, (found, expected)) in run(&part, inputs, samples)?.iter().zip(&expected).enumerate() {
            if let Some((tensor, _)) = living.iter().zip(found).find(|&(&tensor, found)| *found != expected[tensor as usize]) {
                return Err(format!(
                    "sample {sample}, after {ran} nodes: tensor {tensor} has other bits than in a place of its own"
                ));
            }
        }
    }
    Ok(())
}

/// Every value that a tensor takes on these samples in f32 lies within what its int8 tensor can say, but for one step. The int8
/// file's first tensors are those of the f32 file.
///
/// # Errors
/// The tensor whose values would be clipped.
pub fn check_ranges(f32_file: &ModelFile, int8: &ModelFile, inputs: &[data::Tensor]) -> Result<(), String> {
    let values = run(&placed_apart(f32_file), inputs, inputs.first().map_or(0, data::Tensor::samples))?;
    let quantized = |(_, tensor): &(usize, &Tensor)| tensor.element_type == ElementType::I8;
    for (index, tensor) in int8.tensors.iter().take(f32_file.tensors.len()).enumerate().filter(quantized) {
        let real = |q: i32| tensor.scale * (q - i32::from(tensor.zero_point)) as f32;
        let (minimum, maximum) = (real(-129), real(128));
        // The last bits of f32: a cosine may be 1.0000001.
        let rounding = 1e-6 * (maximum - minimum);
        let is_inside = |value: f32| minimum - rounding <= value && value <= maximum + rounding;
        if let Some(value) = self::real(&values, index).iter().find(|&&value| !is_inside(value)) {
            return Err(format!("tensor {index} takes the value {value}, its int8 values are {minimum} to {maximum}"));
        }
    }
    Ok(())
}

/// What f32 sums round, in steps of int16.
const INT16_SLACK: f32 = 0.5;

/// The real numbers of an int8 or int16 tensor's bytes.
pub fn quantized_values(tensor: &Tensor, bytes: &[u8]) -> Vec<f32> {
    match tensor.element_type {
        ElementType::I16 => bytes.as_chunks().0.iter().map(|&two| tensor.scale * f32::from(i16::from_le_bytes(two))).collect(),
        _ => {
            let zero_point = i32::from(tensor.zero_point);
            bytes.iter().map(|&byte| tensor.scale * (i32::from(byte as i8) - zero_point) as f32).collect()
        }
    }
}

/// How far int8 values are from exact arithmetic on the values that their nodes read.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Values.
    pub count: usize,
    /// The sum of their squared errors, in steps of their tensors.
    pub squares: f64,
}

impl Noise {
    /// More values.
    pub fn add(&mut self, more: Self) {
        self.count += more.count;
        self.squares += more.squares;
    }

    /// Mean squared error: 1/12 for values that are rounded, if they are spread over the steps; 0 for those that only move.
    pub fn mean(self) -> f64 {
        self.squares / self.count as f64
    }
}

/// `true` for ops that go on, step by step, from what they rounded before: their errors add up, and are more than one rounding.
/// `recurrent.rs` among the tests holds them to the formulas.
pub fn is_recurrent(op: &str) -> bool {
    ["lstm_", "gru_", "simple_rnn_"].iter().any(|start| op.starts_with(start))
}

/// What ops lose, by their names.
pub type Noises = BTreeMap<&'static str, Noise>;

/// Looks at each node of an int8 file alone: from the int8 values that it reads, exact arithmetic comes to a real number, and
/// the node gives one of the two int8 values beside it, but for [recurrent](is_recurrent) ones. Exact is the node of the f32 file, its weights rounded to 127 steps per
/// channel and its biases to the steps of the accumulators, clipped to what an int8 tensor can say. So no error of a node hides
/// behind those before it, and none looks larger for what is made of it later. The int8 file's first tensors are those of the
/// f32 file.
///
/// Of a file with int16 nodes, those are looked at that read int16 as it was made; where f32 sums round, the fine steps of int16 are
/// a part of one off.
///
/// # Errors
/// The tensor, what it holds and what it should.
pub fn check_nodes(f32_file: &ModelFile, int8: &ModelFile, inputs: &[data::Tensor]) -> Result<Noises, String> {
    let samples = inputs.first().map_or(0, data::Tensor::samples);
    let tensors = &int8.tensors[..f32_file.tensors.len()];
    let bytes = run(&placed_apart(int8), inputs, samples)?;
    let values_of = |(index, tensor): (usize, &Tensor)| -> data::Tensor {
        // Tokens are what came in.
        let given = f32_file.inputs.iter().position(|&input| input as usize == index);
        let is_quantized = matches!(tensor.element_type, ElementType::I8 | ElementType::I16);
        let values = match given.filter(|_| !is_quantized) {
            Some(input) => inputs[input].values().to_vec(),
            None => bytes.iter().flat_map(|outputs| quantized_values(tensor, &outputs[index])).collect(),
        };
        let shape: Vec<usize> = tensor.shape().iter().map(|&size| size as usize).collect();
        data::Tensor::from_samples(shape, values).expect("as many values as the shape says")
    };
    let read: Vec<data::Tensor> = tensors.iter().enumerate().map(values_of).collect();
    let alone = run(&nodes_alone(f32_file, tensors), &read, samples)?;

    let given = f32_file.inputs.iter().zip(inputs).map(|(&tensor, given)| (tensor, "input", given.values().to_vec()));
    let nodes = f32_file.nodes.iter().enumerate().map(|(number, node)| {
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code);
        (node.output, op.map_or("unknown", |op| op.name), real(&alone, number))
    });
    let mut noises = Noises::new();
    let has_int16 = tensors.iter().any(|tensor| tensor.element_type == ElementType::I16);
    let reads_int16 = |tensor: u32| {
        let node = f32_file.nodes.iter().find(|node| node.output == tensor);
        node.is_some_and(|node| node.inputs.iter().all(|&input| tensors[input as usize].element_type == ElementType::I16))
    };
    for (tensor, op, exact) in given.chain(nodes) {
        let Tensor { element_type, scale, zero_point, .. } = tensors[tensor as usize];
        let (most, slack) = match element_type {
            ElementType::I8 if !has_int16 => (127, 0.0),
            ElementType::I16 if reads_int16(tensor) && !op.starts_with("activation") => (32_767, INT16_SLACK),
            _ => continue,
        };
        let [minimum, maximum] = [-most - 1, most].map(|q| (q - i32::from(zero_point)) as f32);
        let noise = noises.entry(op).or_default();
        for (place, (exact, found)) in exact.iter().zip(read[tensor as usize].values()).enumerate() {
            let (exact, found) = (exact / scale, found / scale);
            let error = exact.clamp(minimum, maximum) - found;
            let is_beside = error.abs() < 1.0 + slack || is_recurrent(op);
            if !is_beside {
                return Err(format!("tensor {tensor} of {op}: {found} steps at {place}, but {exact} come from what was read"));
            }
            noise.add(Noise { count: 1, squares: f64::from(error).powi(2) });
        }
    }
    Ok(noises)
}

/// Rounds the weights of a linear op's f32 node to 127 steps per output channel, fewer beside a large bias, and its biases to steps of the input's scale
/// times the weights', in constants of the node's own.
fn round_weights(file: &mut ModelFile, node: usize, input_scale: f64) {
    let NodeRecord { code, inputs, output, parameters, .. } = &file.nodes[node];
    let channels_of = |tensor: u32| file.tensors[tensor as usize].shape().last().copied().unwrap_or(1) as usize;
    let (from, to) = (channels_of(inputs[0]), channels_of(*output));
    let read = "parameters that the exporter wrote";
    let (window, mut linear): (Option<Window>, LinearF32) = if *code == u16::from(DENSE_F32.code) {
        (None, postcard::from_bytes(parameters).expect(read))
    } else if [CONV2D_F32.code, DEPTHWISE_CONV2D_F32.code].map(u16::from).contains(code) {
        let conv2d::ParametersF32 { window, linear } = postcard::from_bytes(parameters).expect(read);
        (Some(window), linear)
    } else {
        return;
    };
    let taps = window.map_or(1, |window| window.taps());
    // The output channel of each weight, as they lie in the file.
    let channels: Vec<usize> = if *code == u16::from(DEPTHWISE_CONV2D_F32.code) {
        (0..taps).flat_map(|_| 0..to).collect()
    } else {
        let rows: Vec<f32> = (0..to).flat_map(|channel| vec![channel as f32; taps * from]).collect();
        pack_f32(&rows, taps * from).into_iter().map(|channel| channel as usize).collect()
    };
    let floats = |offset: u32, count: usize| -> Vec<f64> {
        let bytes = file.constants[offset as usize..].as_chunks().0;
        bytes.iter().take(count).map(|&bytes| f32::from_le_bytes(bytes).into()).collect()
    };
    let (mut weights, mut biases) = (floats(linear.weights, channels.len()), floats(linear.bias, to));
    let mut scales = vec![0.0f64; to];
    for (weight, &channel) in weights.iter().zip(&channels) {
        let scale = weight.abs() / 127.0;
        if scale > scales[channel] {
            scales[channel] = scale;
        }
    }
    // Biases stay below 2^29 steps: beside a large one, weights are coarser.
    for (scale, bias) in scales.iter_mut().zip(&biases) {
        let least = bias.abs() / (input_scale * f64::from(1 << 29));
        *scale = if least > *scale { least } else { *scale };
    }
    let round = |value: &mut f64, step: f64| *value = (*value / step).round() * step;
    for (weight, &channel) in weights.iter_mut().zip(&channels).filter(|(_, channel)| scales[**channel] > 0.0) {
        round(weight, scales[channel]);
    }
    for (bias, scale) in biases.iter_mut().zip(scales).filter(|&(_, scale)| scale > 0.0) {
        round(bias, scale * input_scale);
    }
    let mut push = |values: Vec<f64>| {
        file.constants.resize(file.constants.len().next_multiple_of(16), 0);
        let offset = file.constants.len() as u32;
        file.constants.extend(values.into_iter().flat_map(|value| (value as f32).to_le_bytes()));
        offset
    };
    (linear.weights, linear.bias) = (push(weights), push(biases));
    file.nodes[node].parameters = match window {
        None => encode_parameters(&linear),
        Some(window) => encode_parameters(&conv2d::ParametersF32 { window, linear }),
    };
}

/// An f32 file whose every tensor is an input, and whose nodes write outputs that none of them reads; their weights are rounded
/// as those of int8 nodes are that read the tensors `like`.
fn nodes_alone(file: &ModelFile, like: &[Tensor]) -> ModelFile {
    let count = file.tensors.len() as u32;
    let mut file = file.clone();
    for node in 0..file.nodes.len() {
        let input_scale = like[file.nodes[node].inputs[0] as usize].scale;
        round_weights(&mut file, node, input_scale.into());
    }
    file.tensors.extend_from_within(..);
    file.inputs = (0..count).collect();
    file.nodes.iter_mut().for_each(|node| node.output += count);
    let outputs = file.nodes.iter().map(|node| node.output).collect();
    ModelFile { outputs, ..placed_apart(&file) }
}
