//! Two nodes of an int8 file as one, where that makes the arena smaller: a convolution and the sum that alone reads it. The
//! bits stay the same, so this stands behind quantization, which wants to see every tensor.

use super::{ExportError, plan::arrange};
use samara_runtime::{
    ALL_OPS,
    format::writer::{ModelFile, NodeRecord, decode_parameters, encode_parameters},
    ops::{
        add::{self, ADD_I8},
        conv2d::{self, CONV2D_I8},
        conv2d_add::{CONV2D_ADD_I8, Parameters, scratch_bytes},
    },
};

/// Fuses what can be fused, if the arena does not become larger by it. Meant for files without golden samples and heads: tensors
/// get other numbers.
///
/// # Errors
/// [`ExportError::TooLarge`], as the planner.
pub fn fuse(file: ModelFile) -> Result<ModelFile, ExportError> {
    let mut fused = file.clone();
    if !fuse_sums(&mut fused) {
        return Ok(file);
    }
    arrange(&mut fused, ALL_OPS)?;
    Ok(if fused.arena_bytes <= file.arena_bytes { fused } else { file })
}

/// Moves convolutions into the sums behind them: `true` if there were any. The plan is not valid any more.
fn fuse_sums(file: &mut ModelFile) -> bool {
    let tensors = file.tensors.len();
    let mut producers = vec![None; tensors];
    let mut uses = vec![0; tensors];
    file.outputs.iter().for_each(|&output| uses[output as usize] += 1);
    for (index, node) in file.nodes.iter().enumerate() {
        producers[node.output as usize] = Some(index);
        node.inputs.iter().for_each(|&input| uses[input as usize] += 1);
    }
    let mut removed = vec![false; file.nodes.len()];
    for index in 0..file.nodes.len() {
        let [first, second] = file.nodes[index].inputs[..] else { continue };
        // What is made last: the other one is there by then.
        let made = producers[first as usize].max(producers[second as usize]);
        let Some(convolution) = made.filter(|&made| uses[file.nodes[made].output as usize] == 1) else { continue };
        let other = if file.nodes[convolution].output == first { second } else { first };
        if let Some(node) = fused(file, convolution, index, other) {
            let name = format!("{}+{}", file.metadata.nodes[convolution], file.metadata.nodes[index]);
            (file.nodes[index], file.metadata.nodes[index]) = (node, name);
            removed[convolution] = true;
        }
    }
    let kept: Vec<bool> = removed.iter().map(|removed| !removed).collect();
    let mut used = vec![true; tensors];
    file.nodes.iter().zip(&removed).filter(|(_, removed)| **removed).for_each(|(node, _)| used[node.output as usize] = false);
    retain(&mut file.nodes, &kept);
    retain(&mut file.metadata.nodes, &kept);
    retain(&mut file.tensors, &used);
    retain(&mut file.metadata.tensors, &used);
    let mut next = 0;
    let number = |used: &bool| {
        next += u32::from(*used);
        next.wrapping_sub(1)
    };
    let numbers: Vec<u32> = used.iter().map(number).collect();
    let ports = file.inputs.iter_mut().chain(&mut file.outputs);
    let nodes = file.nodes.iter_mut().flat_map(|node| node.inputs.iter_mut().chain([&mut node.output]));
    ports.chain(nodes).for_each(|tensor| *tensor = numbers[*tensor as usize]);
    removed.contains(&true)
}

/// Keeps the items that are marked.
fn retain<T>(items: &mut Vec<T>, marks: &[bool]) {
    let mut marks = marks.iter();
    items.retain(|_| marks.next() == Some(&true));
}

/// Node `sum` of `other` and of what node `convolution` makes, as one. `None` if they are something else.
fn fused(file: &ModelFile, convolution: usize, sum: usize, other: u32) -> Option<NodeRecord> {
    let (made, sum) = (&file.nodes[convolution], &file.nodes[sum]);
    let is = |node: &NodeRecord, op: &samara_runtime::OpDef| node.code == u16::from(op.code);
    let tensor = |number: u32| &file.tensors[number as usize];
    let all = [&made.inputs[..], &sum.inputs, &[sum.output]].concat();
    let fixed = all.iter().all(|&number| tensor(number).length_group == 0);
    if !is(made, &CONV2D_I8) || !is(sum, &ADD_I8) || !fixed {
        return None;
    }
    let (convolution, _) = decode_parameters::<conv2d::ParametersI8>(&made.parameters)?;
    let (mut parameters, _) = decode_parameters::<add::ParametersI8>(&sum.parameters)?;
    if convolution.window.is_pointwise() {
        return None; // its output may lie on its input, which is worth as much
    }
    if sum.inputs[0] == made.output {
        parameters.factors.reverse();
    }
    let (image, output) = (tensor(made.inputs[0]), tensor(sum.output));
    let scratch = scratch_bytes(&convolution.window, image.channels(), output.pixels(), output.channels());
    Some(NodeRecord {
        code: CONV2D_ADD_I8.code.into(),
        inputs: vec![other, made.inputs[0]],
        scratch_bytes: scratch as u32,
        macs: made.macs,
        parameters: encode_parameters(&Parameters { convolution, zero_point: tensor(made.output).zero_point, sum: parameters }),
        ..sum.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{
            Clamp, DeviceGraph, Quantization, Value,
            encode::{Numbers, encode, to_checked_bytes},
            ops::{Add, Kind, Linear, POINTWISE, window},
            run::DeviceModel,
        },
        numeric::random::Random,
    };
    use samara_runtime::{Session, ops::window::Window};

    fn convolution(random: &mut Random, window: Window, depth: usize, channels: usize) -> Linear {
        let mut row = || (0..window.taps() * depth).map(|_| random.uniform() as f32 - 0.5).collect();
        let rows = (0..channels).map(|_| row()).collect();
        Linear::new(Kind::Conv2d(window), rows, (0..channels).map(|channel| channel as f32 * 0.1).collect())
    }

    /// A residual block: an image, convolved once to `channels` and twice more, and the sum of the first and the third; on the side of
    /// the sum that is asked for.
    fn block(random: &mut Random, window: Window, shape: [usize; 3], channels: usize, residual_first: bool) -> DeviceGraph {
        let [height, width, depth] = shape;
        let made = [height, width, channels];
        let mut graph = DeviceGraph::default();
        let x = graph.input(shape.into(), "x");
        let first = convolution(random, POINTWISE, depth, channels);
        let residual = graph.push("first", first, &[x], made.into());
        let second = convolution(random, window, channels, channels);
        let y = graph.push("second", second, &[residual], made.into());
        let y = graph.push("third", convolution(random, window, channels, channels), &[y], made.into());
        let inputs = if residual_first { [residual, y] } else { [y, residual] };
        let sum = Add { coefficients: [1.0, -0.5], clamp: Clamp { minimum: 0.0, maximum: 5.0 } };
        let y = graph.push("sum", sum, &inputs, made.into());
        let y = graph.push("last", convolution(random, window, channels, channels), &[y], made.into());
        graph.outputs.push(y);
        graph
    }

    fn int8_file(graph: &DeviceGraph) -> ModelFile {
        let quantization = |value| Quantization { scale: 0.02 + 0.01 * value as f32, zero_point: 5 * value as i8 - 9 };
        let quantizations: Vec<_> = (0..graph.values.len()).map(quantization).collect();
        encode(graph, Numbers::I8 { quantizations: &quantizations, float_ports: false }).expect("a small graph")
    }

    fn outputs(file: &ModelFile) -> Vec<Vec<u8>> {
        let device = DeviceModel::new(&to_checked_bytes(file).expect("a file")).expect("a file");
        let write = |session: &mut Session<'_>, sample: usize| {
            let places = session.input_bytes_mut(0)?.iter_mut().enumerate();
            places.for_each(|(place, byte)| *byte = (place * 37 + sample * 101) as u8);
            Ok(())
        };
        device.run_each(4, write, |session, _| session.output_bytes(0).unwrap_or_default().to_vec()).expect("inputs that fit")
    }

    #[test]
    fn fused_blocks_give_the_same_bits_in_less_memory() {
        let mut random = Random::new(1, 0);
        let same = window([3, 3], [1, 1], [1, 1], [1, 1]);
        let dilated = window([2, 3], [1, 1], [2, 1], [1, 1]);
        let shapes = [([5, 6, 3], 7), ([1, 1, 4], 1), ([3, 3, 1], 16), ([8, 8, 5], 2)];
        for (window, (shape, channels)) in [same, dilated, POINTWISE].into_iter().flat_map(|w| shapes.map(|s| (w, s))) {
            for residual_first in [true, false] {
                let apart = int8_file(&block(&mut random, window, shape, channels, residual_first));
                let fused = fuse(apart.clone()).unwrap();
                let (expected, found) = (outputs(&apart), outputs(&fused));
                assert_eq!(expected, found, "{window:?} over {shape:?} to {channels}, residual first: {residual_first}");
                if window == POINTWISE {
                    assert_eq!(fused, apart);
                } else if shape[0] * shape[1] * channels > 100 {
                    assert_eq!(fused.metadata.nodes, ["first", "second", "third+sum", "last"]);
                    assert_eq!(fused.metadata.tensors, ["x", "first", "second", "sum", "last"]);
                    assert!(fused.arena_bytes < apart.arena_bytes, "{} bytes, {}", fused.arena_bytes, apart.arena_bytes);
                }
            }
        }
    }

    #[test]
    fn what_is_read_twice_given_out_or_no_sum_of_two_stays() {
        let mut random = Random::new(2, 0);
        let names = |change: &dyn Fn(&mut DeviceGraph, Value)| {
            let mut graph = block(&mut Random::new(3, 0), window([3, 3], [1, 1], [1, 1], [1, 1]), [8, 8, 4], 4, true);
            let made = graph.nodes[2].output;
            change(&mut graph, made);
            fuse(int8_file(&graph)).unwrap().metadata.nodes
        };
        assert_eq!(names(&|_, _| ()), ["first", "second", "third+sum", "last"]);
        assert_eq!(names(&|graph, made| graph.outputs.push(made)), ["first", "second", "third", "sum", "last"]);
        assert_eq!(names(&|graph, made| graph.nodes[3].inputs = vec![made, made]), ["first", "second", "third", "sum", "last"]);
        let more = convolution(&mut random, POINTWISE, 4, 4);
        let read_again = |graph: &mut DeviceGraph, made| {
            let y = graph.push("more", more.clone(), &[made], [8, 8, 4].into());
            graph.outputs.push(y);
        };
        assert_eq!(names(&read_again), ["first", "second", "third", "sum", "last", "more"]);
    }
}
