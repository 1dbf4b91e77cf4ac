//! As `op_checks.rs`, of what has windows, weights or steps: convolutions, pools, dense and recurrent layers.

use samara_runtime::{
    NodeFault::{Constants, InputCount, Parameter, Quantization, Shape, State},
    format::writer::{ModelFile, decode_parameters, encode_parameters},
    ops::{conv2d, conv2d_add, gru, linear, lstm, recurrent, simple_rnn, wide, window::Window},
};
use samara_tests::refusal::{
    Base,
    Port::{In, Out},
    reshape, tensor, words,
};
use serde::{Serialize, de::DeserializeOwned};

#[test]
fn windows() {
    let base = Base::new("max_pool_padded_i8");
    base.shaped(Shape, "an input of rank 4", In(0), &[3, 4, 1, 2]);
    base.shaped(Shape, "an output of rank 4", Out, &[3, 2, 1, 2]);
    base.shaped(Shape, "other channels", Out, &[3, 2, 3]);
    for size in [0, 4097] {
        base.with(Parameter, "a kernel of no size", |window: &mut Window| window.kernel[1] = size);
        base.with(Parameter, "a stride of no size", |window: &mut Window| window.stride[1] = size);
        base.with(Parameter, "a dilation of no size", |window: &mut Window| window.dilation[1] = size);
    }
    base.with(Parameter, "padding beyond the kernel", |window: &mut Window| window.padding[0] = 3);
    base.with(Parameter, "a pool with dilation", |window: &mut Window| window.dilation[0] = 2);
    base.with(Parameter, "a pool of too many pixels", |window: &mut Window| window.kernel = [257, 256]);
    base.shaped(Shape, "an image beyond 15 bits", In(0), &[3, 1 << 15, 2]);
    base.refused(Shape, "an output beyond 15 bits", |file| {
        // Within the first image row as far as all else is concerned.
        reshape(file, Out, &[3, 1 << 15, 2]);
        reshape(file, In(0), &[3, (1 << 15) - 1, 2]);
        file.nodes[0].parameters = encode_parameters(&samara_trainer::device::ops::window([3, 4], [1, 1], [1, 1], [1, 3]));
    });
    base.shaped(Shape, "a window outside the image", Out, &[5, 2, 2]);
    let whole = Base::new("max_pool_whole_image_i8");
    whole.shaped(Shape, "other channels", Out, &[1, 1, 5]);
    whole.with(Parameter, "a stride of no size", |window: &mut Window| window.stride[0] = 0);
}

/// Constants of a linear layer, and its numbers.
fn linear_i8<P: Serialize + DeserializeOwned>(base: &Base, part: fn(&mut P) -> &mut linear::LinearI8) {
    base.with(Constants, "weights that are not there", |p| part(p).weights = 1 << 20);
    base.with(Constants, "channels that are not there", |p| part(p).channels = 1 << 20);
    base.with(Quantization, "a shift beyond 7", |p| part(p).shift = 8);
    base.with(Quantization, "bounds out of order", |p| (part(p).minimum, part(p).maximum) = (1, 0));
}

fn linear_f32<P: Serialize + DeserializeOwned>(base: &Base, part: fn(&mut P) -> &mut linear::LinearF32) {
    base.with(Constants, "weights that are not there", |p| part(p).weights = 1 << 20);
    base.with(Constants, "biases that are not there", |p| part(p).bias = 1 << 20);
    base.with(Quantization, "bounds out of order", |p| part(p).clamp = linear::ClampF32 { minimum: 1.0, maximum: 0.0 });
}

fn linear_i16<P: Serialize + DeserializeOwned>(base: &Base, part: fn(&mut P) -> &mut wide::linear::LinearI16) {
    base.with(Constants, "weights that are not there", |p| part(p).weights = 1 << 20);
    base.with(Constants, "channels that are not there", |p| part(p).channels = 1 << 20);
    base.with(Quantization, "no shift", |p| part(p).shift = 0);
    base.with(Quantization, "a large shift", |p| part(p).shift = wide::linear::LARGEST_SHIFT as u8 + 1);
    base.with(Quantization, "bounds out of order", |p| (part(p).minimum, part(p).maximum) = (1, 0));
}

#[test]
fn linear_layers() {
    let many = linear::MAXIMUM_FAN_IN as u32 + 1;
    for name in ["dense_rows_i8", "dense_rows_f32", "dense_rows_i16", "dense_int4_rows_130_i8"] {
        let base = Base::new(name);
        let [rows, channels] = [0, 1].map(|axis| tensor(&mut base.file.clone(), Out).dimensions[axis]);
        base.shaped(Shape, "another rank", Out, &[1, rows, channels]);
        base.shaped(Shape, "other rows", Out, &[rows + 1, channels]);
        if !name.ends_with("f32") {
            base.shaped(Shape, "more inputs than a sum takes", In(0), &[rows, many]);
        }
    }
    linear_i8::<linear::LinearI8>(&Base::new("dense_i8"), |p| p);
    linear_i8::<linear::LinearI8>(&Base::new("dense_int4_i8"), |p| p);
    linear_f32::<linear::LinearF32>(&Base::new("dense_f32"), |p| p);
    linear_i16::<wide::linear::LinearI16>(&Base::new("dense_i16"), |p| p);
    linear_i8::<conv2d::ParametersI8>(&Base::new("conv2d_i8"), |p| &mut p.linear);
    linear_i8::<conv2d::ParametersI8>(&Base::new("conv2d_int4_i8"), |p| &mut p.linear);
    linear_f32::<conv2d::ParametersF32>(&Base::new("conv2d_f32"), |p| &mut p.linear);
    linear_i16::<wide::conv2d::Parameters>(&Base::new("conv2d_i16"), |p| &mut p.linear);
    linear_i8::<conv2d::ParametersI8>(&Base::new("depthwise_conv2d_i8"), |p| &mut p.linear);
    linear_f32::<conv2d::ParametersF32>(&Base::new("depthwise_conv2d_f32"), |p| &mut p.linear);
    linear_i16::<wide::conv2d::Parameters>(&Base::new("depthwise_conv2d_i16"), |p| &mut p.linear);
    linear_f32::<linear::LinearF32>(&Base::new("scale_shift_f32"), |p| p);
    linear_i8::<conv2d_add::Parameters>(&Base::new("conv2d_add_i8"), |p| &mut p.convolution.linear);
    for name in ["conv2d_pointwise_i8", "conv2d_pointwise_i16"] {
        Base::new(name).shaped(Shape, "fewer pixels than a pointwise one has", Out, &[2, 3, 4]);
    }
    for name in ["depthwise_conv2d_i8", "depthwise_conv2d_f32", "depthwise_conv2d_i16"] {
        Base::new(name).shaped(Shape, "other channels", Out, &[4, 3, 4]);
    }
    for (name, kernel) in [("depthwise_conv2d_i8", [257, 256]), ("depthwise_conv2d_i16", [23, 23])] {
        let large = |p: &mut Window| p.kernel = kernel;
        // The window comes first in both kinds of parameters.
        Base::new(name).refused(Shape, "more taps than a sum takes", |file| {
            let (mut window, length) = decode_parameters::<Window>(&file.nodes[0].parameters).expect("a window");
            large(&mut window);
            file.nodes[0].parameters.splice(..length, encode_parameters(&window));
        });
    }
    for name in words(
        "conv2d_i8 conv2d_f32 conv2d_i16 conv2d_int4_i8 depthwise_conv2d_i8 depthwise_conv2d_f32 \
         depthwise_conv2d_i16 conv2d_add_i8",
    ) {
        let window = |change: fn(&mut Window)| {
            move |file: &mut ModelFile| {
                let (mut window, length) = decode_parameters::<Window>(&file.nodes[0].parameters).expect("a window");
                change(&mut window);
                file.nodes[0].parameters.splice(..length, encode_parameters(&window));
            }
        };
        let base = Base::new(name);
        base.refused(Parameter, "a stride of no size", window(|window| window.stride = [0; 2]));
        base.refused(Parameter, "a dilation of no size", window(|window| window.dilation = [1, 0]));
        base.refused(Parameter, "a dilation beyond 4096", window(|window| window.dilation = [1, 4097]));
    }
    let sum = Base::new("conv2d_add_i8");
    sum.with(Quantization, "a sum's shift beyond 22", |p: &mut conv2d_add::Parameters| p.sum.shift = 23);
}

/// Both products of a recurrent layer.
fn products<P: Serialize + DeserializeOwned>(base: &Base, parts: fn(&mut P) -> [&mut recurrent::ProductI8; 2]) {
    for part in 0..2 {
        base.with(Constants, "weights that are not there", |p| parts(p)[part].weights = 1 << 20);
        base.with(Constants, "channels that are not there", |p| parts(p)[part].channels = 1 << 20);
        base.with(Quantization, "a shift beyond 7", |p| parts(p)[part].shift = 8);
    }
}

fn offsets<P: Serialize + DeserializeOwned, const N: usize>(base: &Base, parts: fn(&mut P) -> [&mut u32; N]) {
    for part in 0..N {
        base.with(Constants, "constants that are not there", |p| *parts(p)[part] = 1 << 20);
    }
}

#[test]
fn recurrent_layers() {
    products::<lstm::ParametersI8>(&Base::new("lstm_i8"), |p| [&mut p.input, &mut p.recurrent]);
    products::<gru::ParametersI8>(&Base::new("gru_i8"), |p| [&mut p.input, &mut p.recurrent]);
    products::<simple_rnn::ParametersI8>(&Base::new("simple_rnn_i8"), |p| [&mut p.input, &mut p.recurrent]);
    offsets::<lstm::ParametersF32, 3>(&Base::new("lstm_f32"), |p| [&mut p.kernel, &mut p.recurrent, &mut p.bias]);
    offsets::<simple_rnn::ParametersF32, 3>(&Base::new("simple_rnn_f32"), |p| [&mut p.kernel, &mut p.recurrent, &mut p.bias]);
    offsets::<gru::ParametersF32, 4>(&Base::new("gru_f32"), |p| {
        [&mut p.kernel, &mut p.recurrent, &mut p.bias, &mut p.recurrent_bias]
    });
    let lstm = Base::new("lstm_i8");
    lstm.with(Quantization, "more bits than a cell has", |p: &mut lstm::ParametersI8| p.cell_bits = 16);
    lstm.with(Parameter, "a cell of each step", |p: &mut lstm::ParametersI8| p.flags |= recurrent::CELL);
    Base::new("lstm_given_states_i8").refused(InputCount, "one state of two", |file| file.nodes[0].inputs.truncate(2));
    for name in ["lstm", "gru", "simple_rnn"] {
        let example = |what: &str| Box::leak(format!("{name}{what}").into_boxed_str());
        let flags = |flags: u8| move |file: &mut ModelFile| *file.nodes[0].parameters.last_mut().expect("flags") |= flags;
        for numbers in ["_i8", "_f32"] {
            let base = Base::new(example(numbers));
            base.refused(Parameter, "an unknown flag", flags(64));
            base.shaped(Shape, "other steps", Out, &[4, 3]);
            base.shaped(Shape, "an output of rank 3", Out, &[3, 1, 3]);
            base.shaped(Shape, "an input of rank 3", In(0), &[3, 2, 1]);
            let many = linear::MAXIMUM_FAN_IN as u32 + 1;
            base.shaped(Shape, "more features than a sum takes", In(0), &[3, many]);
            base.shaped(Shape, "more units than a sum takes", Out, &[3, many]);
            let given = Base::new(example(&format!("_given_states{numbers}")));
            given.refused(Parameter, "states that are given and stay", flags(recurrent::STATEFUL));
            given.shaped(Shape, "a state of other units", In(1), &[4]);
            given.shaped(Shape, "a state of rank 2", In(1), &[1, 5]);
            let stateful = Base::new(example(&format!("_stateful{numbers}")));
            stateful.refused(State, "a state that is too small", |file| file.nodes[0].state_bytes -= 1);
        }
        for port in [In(1), Out] {
            let given = Base::new(example("_given_states_i8"));
            given.refused(Quantization, "another scale of a state", |file| tensor(file, port).scale *= 2.0);
            given.refused(Quantization, "a zero point of a state", |file| tensor(file, port).zero_point = 1);
        }
    }
    let given = Base::new("lstm_given_states_i8");
    given.refused(Quantization, "another scale of a cell", |file| tensor(file, In(2)).scale *= 2.0);
}
