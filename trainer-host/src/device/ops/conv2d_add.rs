//! A convolution and the sum behind it, which [`fuse`](crate::device::fuse::fuse) makes of a [`Linear`](super::Linear) and an [`Add`] in int8.

use super::{Add, DeviceOpKind, Kind, OpExample, registry::encoding, window, window_3x3};
use crate::device::Clamp;
use samara_runtime::ops::{
    conv2d_add::{CONV2D_ADD_I8, Parameters},
    window::Window,
};

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "conv2d_add",
    encodings: &[encoding!(
        CONV2D_ADD_I8,
        Parameters,
        "window, linear int8, i8 zero_point, i32 offset, 2 × i32 factors, u8 shift, i8 minimum, i8 maximum"
    )],
    examples,
    #[cfg(test)]
    golden: &[],
};

/// The sum of an input and of another one's convolution.
fn example(name: &str, window: Window, image: [usize; 3], output: [usize; 3], clamp: Clamp) -> OpExample {
    let convolution = OpExample::linear(name, Kind::Conv2d(window), &image, &output, Clamp::NONE);
    let mut graph = convolution.graph;
    // So that what is between the two is not clipped.
    graph.nodes[0].op.scale_output(&vec![0.5; output[2]]);
    let (made, other) = (graph.outputs[0], graph.input(output.into(), "other"));
    let sum = graph.push("sum", Add { coefficients: [1.0; 2], clamp }, &[made, other], output.into());
    graph.outputs = vec![sum];
    OpExample { graph, ..convolution }
}

fn examples() -> Vec<OpExample> {
    let relu6 = Clamp { minimum: 0.0, maximum: 6.0 };
    vec![
        example("conv2d_add", window_3x3(1), [5, 5, 2], [5, 5, 3], relu6),
        example("conv2d_add_stride_2", window_3x3(2), [9, 9, 3], [5, 5, 8], Clamp::NONE),
        example("conv2d_add_1", window([2, 2], [1, 1], [1, 1], [0, 0]), [9, 9, 1], [8, 8, 1], Clamp::NONE),
    ]
}
