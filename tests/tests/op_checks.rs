//! What the ops' own checks refuse: each line breaks one rule of one op, in a file that is sound but for it, and the error says which. If a
//! line fails, a check is gone, or another one comes before it. What is the same for all ops is in `refusals.rs`.

use samara_runtime::{
    ALL_OPS,
    ElementType::{self, F32, I8, I16, I32},
    LengthGroup, LoadError,
    NodeFault::{self, Alias, Constants, InputCount, Length, Parameter, Quantization, Record, Scratch, Shape, State},
    Tensor,
    format::writer::{ModelFile, encode_parameters},
    ops::{
        activation, add, concat, delay, dot, embedding, forest, layer_normalization, linear, lut, mean, multiply, pad, prelu,
        scale_shift, slice, softmax, upsample, wide,
    },
};
use samara_tests::{
    examples::{self, Small},
    refusal::{
        Base,
        Port::{self, In, Out},
        example, of_a_length, parse, reshape, roomy, tensor, words,
    },
};

/// The ops with examples of their own.
fn of_each_op() -> Vec<(&'static str, Small)> {
    let mut all: Vec<Small> = examples::all();
    all.sort_by_cached_key(|small| small.file.to_bytes().len());
    let of = |op: &&'static samara_runtime::OpDef| {
        let is_it = |small: &&Small| small.file.nodes[0].code == u16::from(op.code);
        let small = all.iter().find(is_it)?;
        Some((op.name, Small { name: small.name.clone(), file: roomy(small.file.clone()) }))
    };
    ALL_OPS.iter().filter_map(of).collect()
}

fn refusal(name: &str, fault: NodeFault, file: &ModelFile, what: &str) {
    assert_eq!(parse(file), Err(LoadError::Node { node: 0, fault }), "{name}: {what}");
}

#[test]
fn every_op_counts_its_inputs_and_the_bytes_of_its_parameters() {
    for (op, Small { name, file }) in of_each_op() {
        assert_eq!(parse(&file), Ok(()), "{name}");
        let changed = |change: &dyn Fn(&mut ModelFile)| {
            let mut file = file.clone();
            change(&mut file);
            file
        };
        refusal(&name, Record, &changed(&|file| file.nodes[0].parameters.push(0)), "parameters and more");
        let size = file.nodes[0].parameters.len();
        if size > 0 {
            refusal(&name, Record, &changed(&|file| file.nodes[0].parameters.truncate(size - 1)), "parameters that are cut");
        }
        if op != "concat" {
            let first = file.nodes[0].inputs[0];
            let many = |file: &mut ModelFile| file.nodes[0].inputs.extend([first; 3]);
            refusal(&name, InputCount, &changed(&many), "three inputs more");
            refusal(&name, InputCount, &changed(&|file| file.nodes[0].inputs.clear()), "no input");
        }
        if file.nodes[0].scratch_bytes > 0 {
            refusal(&name, Scratch, &changed(&|file| file.nodes[0].scratch_bytes -= 1), "scratch that is too small");
        }
        if file.nodes[0].state_bytes > 0 {
            refusal(&name, State, &changed(&|file| file.nodes[0].state_bytes -= 1), "a state that is too small");
        }
    }
}

/// As a tensor of another type, with scales that it may have.
fn retyped(file: &ModelFile, port: Port, element_type: ElementType) -> ModelFile {
    let mut file = file.clone();
    let tensor = tensor(&mut file, port);
    let is_real = matches!(element_type, F32 | I32);
    *tensor = Tensor { element_type, scale: if is_real { 1.0 } else { tensor.scale }, zero_point: 0, ..*tensor };
    file
}

#[test]
fn every_op_takes_its_types_alone() {
    for (op, Small { name, file }) in of_each_op() {
        let ports = (0..file.nodes[0].inputs.len()).map(In).chain([Out]);
        for (port, element_type) in ports.flat_map(|port| [F32, I8, I16, I32].map(|element_type| (port, element_type))) {
            let own = tensor(&mut file.clone(), port).element_type;
            // Tables are of any type; conversions go from and to two.
            let may_be = match (op, port) {
                ("embedding", Out) => element_type != I32,
                ("rescale_i16", _) => matches!(element_type, I8 | I16),
                _ => element_type == own,
            };
            if !may_be {
                let what = match port {
                    In(number) => format!("input {number} of {element_type:?}"),
                    Out => format!("an output of {element_type:?}"),
                };
                refusal(&name, NodeFault::ElementType, &retyped(&file, port, element_type), &what);
            }
        }
    }
}

#[test]
fn what_goes_element_by_element_keeps_its_shape() {
    for name in words(
        "relu_f32 add_i8 add_f32 add_i16 maximum_i8 maximum_f32 multiply_i8 multiply_f32 multiply_i16 prelu_i8 \
         prelu_f32 scale_shift_i8 scale_shift_f32 scale_shift_i16 softmax_i8 softmax_f32 softmax_i16 relu_i8 \
         relu_i16 layer_normalization_i8 layer_normalization_f32 conv2d_add_i8",
    ) {
        let base = Base::new(name);
        let mut file = base.file.clone();
        // A convolution has its image behind what is added to it.
        let inputs = if name == "conv2d_add_i8" { 1 } else { file.nodes[0].inputs.len() };
        for port in (0..inputs).map(In) {
            let own = *tensor(&mut file, port);
            let longer: Vec<u32> = own.shape().iter().map(|size| size + 1).collect();
            base.shaped(Shape, "an input of another shape", port, &longer);
            base.shaped(Shape, "an input of another rank", port, &[&[1], own.shape()].concat());
        }
    }
    Base::new("convert_i8").shaped(Shape, "another shape", Out, &[8]);
}

#[test]
fn outputs_lie_on_inputs_that_their_ops_read_in_order() {
    for (name, may_lie_on) in [("multiply_i8", 1), ("maximum_i8", 2), ("add_i16", 2), ("conv2d_add_1_i8", 1)] {
        let base = Base::new(name);
        for number in 0..2 {
            let mut file = base.file.clone();
            if name == "conv2d_add_1_i8" {
                reshape(&mut file, In(1), &[8, 8, 1]);
            }
            tensor(&mut file, Out).offset = tensor(&mut file, In(number)).offset;
            let expected = if number < may_lie_on { Ok(()) } else { Err(LoadError::Node { node: 0, fault: Alias }) };
            assert_eq!(parse(&file), expected, "{name} on input {number}");
        }
    }
}

#[test]
fn what_moves_elements_keeps_their_quantization() {
    for name in words(
        "concat_i8 delay_i8 maximum_i8 mean_i8 pad_i8 max_pool_i8 average_pool_i8 max_pool_i16 reshape_i8 \
         slice_i8 upsample_i8",
    ) {
        let base = Base::new(name);
        base.refused(Quantization, "another scale", |file| tensor(file, In(0)).scale *= 2.0);
        if !name.ends_with("i16") {
            base.refused(Quantization, "another zero point", |file| tensor(file, In(0)).zero_point += 1);
        }
    }
}

#[test]
fn lengths_that_an_op_cannot_follow() {
    let first = |file: &mut ModelFile| of_a_length(file, In(0));
    // Whole tensors; rows with rows; concatenations of rows, pads, reshapes and enlargements that move them.
    for name in words(
        "dot_i8 delay_i8 conv2d_add_i8 add_i8 softmax_rows_f32 concat_i8 concat_rows_i8 reshape_i8 pad_i8 \
         upsample_i8 mean_i8 conv2d_i8 depthwise_conv2d_f32 max_pool_i8 lstm_i8 gru_f32",
    ) {
        Base::new(name).refused(Length, "a length of the first input alone", first);
    }
    let rows = |file: &mut ModelFile| (of_a_length(file, In(0)), of_a_length(file, In(1)), of_a_length(file, Out));
    Base::new("concat_rows_i8").refused(Length, "lengths along the axis", |file| rows(file).0);
    let base = Base::of("concat_rows_i8", example("concat_fewer_rows_i8"));
    base.shaped(Shape, "more rows than there are", Out, &[5, 3]);
    let of_rows = "the same number of rows, of which one alone has a length";
    let mut file = example("reshape_i8");
    reshape(&mut file, Out, &[2, 6]);
    Base::of("reshape_i8", file).refused(Length, of_rows, first);
    let mut file = example("pad_i8");
    reshape(&mut file, Out, &[2, 5, 2]);
    file.nodes[0].parameters = encode_parameters(&pad::Parameters { top: 0, left: 2 });
    Base::of("pad_i8", file).refused(Length, of_rows, first);
    let mut file = example("upsample_i8");
    reshape(&mut file, Out, &[2, 6, 3]);
    file.nodes[0].parameters = encode_parameters(&upsample::Parameters { vertical: 1, horizontal: 3 });
    Base::of("upsample_i8", file).refused(Length, of_rows, first);
    Base::new("lstm_last_i8").refused(Length, "a length of the output alone", |file| {
        reshape(file, Out, &[4, 2]);
        of_a_length(file, Out);
    });
    let base = Base::of("slice_i8", rest_of_a_length());
    base.with(Shape, "rows from the middle of one on", |p: &mut slice::Parameters| p.start += 1);
    base.shaped(Shape, "rows of another size", Out, &[2, 2]);
    base.with(Parameter, "zeros before the last", |p: &mut slice::Parameters| p.start = slice::FROM_END | slice::PADDED | 3);
    base.with(Length, "zeros in as many rows as there are", |p: &mut slice::Parameters| p.start |= slice::PADDED);
    base.refused(Length, "another stride", |file| (file.length_groups[1].stride, file.length_groups[1].add) = (2, 0));
    let mut file = example("slice_i8");
    of_a_length(&mut file, In(0));
    base.refused(Shape, "the second row, which there may not be", |rest| {
        *rest = file;
        reshape(rest, Out, &[1, 3]);
        rest.nodes[0].parameters = encode_parameters(&slice::Parameters { start: 3 });
    });
    window_of_a_length();
}

/// All rows from the third on, of a sequence of several lengths.
fn rest_of_a_length() -> ModelFile {
    let mut file = example("slice_i8");
    of_a_length(&mut file, In(0));
    file.length_groups.push(LengthGroup { source: 1, stride: 1, add: -2, maximum: 2 });
    tensor(&mut file, Out).length_group = 2;
    file
}

/// A convolution over rows of several lengths.
fn window_of_a_length() {
    let mut file = example("conv2d_i8");
    of_a_length(&mut file, In(0));
    tensor(&mut file, Out).length_group = 1;
    let base = Base::of("conv2d_i8", file);
    let of = |add: i32, stride: u16| {
        move |file: &mut ModelFile| {
            let maximum = ((3 + add) / i32::from(stride)) as u32;
            file.length_groups.push(LengthGroup { source: 1, stride, add, maximum });
            let [_, width, channels, _] = tensor(file, Out).dimensions;
            reshape(file, Out, &[maximum, width, channels]);
            tensor(file, Out).length_group = 2;
        }
    };
    base.refused(Length, "another stride than the window's", of(0, 2));
    base.refused(Length, "fewer rows than there are windows", of(-2, 1));
}

#[test]
fn what_moves_elements() {
    let base = Base::new("concat_i8");
    base.with(Parameter, "an axis beyond the rank", |p: &mut concat::Parameters| p.axis = 2);
    base.shaped(Shape, "another size beside the axis", In(1), &[3, 1]);
    base.shaped(Shape, "another rank", In(1), &[2, 1, 1]);
    base.shaped(Shape, "sizes whose sum is another", In(1), &[2, 2]);
    let base = Base::new("delay_i8");
    base.with(Parameter, "a state beyond all bounds", |p: &mut delay::Parameters| p.elements = (1 << 28) + 1);
    base.shaped(Shape, "more than there is", Out, &[11]);
    let base = Base::new("embedding_i8");
    base.with(Parameter, "no rows", |p: &mut embedding::Parameters| p.rows = 0);
    base.with(Constants, "more rows than there are", |p: &mut embedding::Parameters| p.rows = 1000);
    base.with(Constants, "rows whose size overflows", |p: &mut embedding::Parameters| p.rows = u32::MAX);
    base.shaped(Shape, "as many tokens, no row for each", Out, &[3]);
    Base::new("embedding_rank_2_i8").shaped(Shape, "tokens in another order", Out, &[3, 2, 5]);
    let base = Base::new("pad_i8");
    base.shaped(Shape, "an input of rank 4", In(0), &[2, 3, 1, 2]);
    base.shaped(Shape, "an output of rank 4", Out, &[4, 5, 1, 2]);
    base.shaped(Shape, "other channels", Out, &[4, 5, 3]);
    base.with(Shape, "more rows above than there are", |p: &mut pad::Parameters| p.top = 3);
    base.with(Shape, "more columns than there are", |p: &mut pad::Parameters| p.left = 3);
    let base = Base::new("upsample_i8");
    base.shaped(Shape, "an input of rank 4", In(0), &[2, 2, 1, 3]);
    base.shaped(Shape, "an output of rank 4", Out, &[4, 6, 1, 3]);
    base.shaped(Shape, "other channels", Out, &[4, 6, 2]);
    base.shaped(Shape, "other rows", Out, &[5, 6, 3]);
    base.shaped(Shape, "other columns", Out, &[4, 7, 3]);
    Base::new("reshape_i8").shaped(Shape, "other elements", Out, &[2, 3, 3]);
    Base::new("slice_i8").with(Shape, "elements behind the last", |p: &mut slice::Parameters| p.start = 7);
    let from_end = slice::FROM_END;
    Base::new("slice_last_i8").with(Shape, "elements before the first", |p: &mut slice::Parameters| p.start = from_end | 13);
    let base = Base::new("mean_i8");
    let axes = |axes: u8| move |p: &mut mean::Parameters| p.axes = axes;
    base.with(Shape, "an axis beyond the rank", axes(0b110));
    base.shaped(Shape, "other elements", Out, &[3]);
    base.refused(Shape, "no axis", |file| {
        file.nodes[0].parameters = encode_parameters(&mean::Parameters { axes: 0 });
        reshape(file, Out, &[2, 5]);
    });
    base.shaped(Shape, "more values than a sum takes", In(0), &[2, mean::MAXIMUM_COUNT + 1]);
}

#[test]
fn forests() {
    use forest::{Form, LEAF, ParametersI8};
    let base = Base::new("forest_i8");
    for (what, change) in [
        ("more trees than there are", (|form| form.trees = 1000) as fn(&mut Form)),
        ("more splits than there are", |form| form.splits = 1000),
        ("more leaves than there are", |form| form.leaves = 1000),
        ("constants that are not there", |form| form.constants = 1 << 20),
    ] {
        base.with(Constants, what, |p: &mut ParametersI8| change(&mut p.form));
        Base::new("forest_f32").with(Constants, what, change);
    }
    for (what, change) in [
        ("more trees than may be", (|form| form.trees = forest::MAXIMUM_TREES as u32 + 1) as fn(&mut Form)),
        ("more splits than may be", |form| form.splits = forest::MAXIMUM_NODES as u32 + 1),
        ("more leaves than may be", |form| form.leaves = u32::MAX),
        ("leaves that are wider than the output", |form| form.width = 4),
        // The first split's child is then beyond the last.
        ("fewer splits than there are", |form| form.splits = 1),
    ] {
        base.with(Parameter, what, |p: &mut ParametersI8| change(&mut p.form));
    }
    base.with(Quantization, "a large shift", |p: &mut ParametersI8| p.shift = forest::LARGEST_SHIFT as u8 + 1);
    base.shaped(Shape, "more features than may be", In(0), &[forest::MAXIMUM_FEATURES as u32 + 1]);
    base.shaped(Shape, "more outputs than may be", Out, &[forest::MAXIMUM_OUTPUTS as u32 + 1]);
    base.shaped(Parameter, "fewer features than splits ask for", In(0), &[1]);
    Base::new("forest_boosted_i8").refused(Length, "a length", |file| of_a_length(file, In(0)));
    // Two trees of three splits each, over five features, with leaves of three values: biases, trees and children come first.
    let (trees, children) = (12, 12 + 8);
    let word = |file: &mut ModelFile, at: usize, value: u16| file.constants[at..at + 2].copy_from_slice(&value.to_le_bytes());
    for (what, at, value) in [
        ("a root that is no split", trees, 6),
        ("a root that is no leaf", trees, LEAF | 8),
        ("a first output beyond the last", trees + 2, 1),
        ("a child that is its own parent", children, 0),
        ("a child before its parent", children + 4 * 2, 1),
        ("a child that is no split", children, 6),
        ("a child that is no leaf", children + 2, LEAF | 8),
        ("a feature that the input does not have", children + 4 * 6, 5),
    ] {
        base.refused(Parameter, what, |file| word(file, at, value));
    }
    base.refused(Quantization, "a bias beyond 30 bits", |file| word(file, 2, 0x4000));
}

#[test]
fn arithmetic() {
    let base = Base::new("relu_f32");
    base.with(Parameter, "a bound that is no number", |p: &mut activation::Parameters| p.alpha = f32::NAN);
    let base = Base::new("add_i8");
    base.with(Quantization, "a factor beyond 16 bits", |p: &mut add::ParametersI8| p.factors[1] = 32768);
    base.with(Quantization, "an offset beyond 30 bits", |p: &mut add::ParametersI8| p.offset = 1 << 30);
    base.with(Quantization, "a shift beyond 22", |p: &mut add::ParametersI8| p.shift = 23);
    base.with(Quantization, "bounds out of order", |p: &mut add::ParametersI8| (p.minimum, p.maximum) = (1, 0));
    let base = Base::new("add_f32");
    let bounds = |clamp: &mut linear::ClampF32| (clamp.minimum, clamp.maximum) = (1.0, 0.0);
    base.with(Quantization, "bounds out of order", |p: &mut add::ParametersF32| bounds(&mut p.clamp));
    let base = Base::new("add_i16");
    base.with(Quantization, "no shift", |p: &mut wide::add::Parameters| p.shift = 0);
    base.with(Quantization, "a shift that is too large", |p: &mut wide::add::Parameters| {
        p.shift = wide::add::LARGEST_SHIFT as u8 + 1;
    });
    base.with(Quantization, "bounds out of order", |p: &mut wide::add::Parameters| (p.minimum, p.maximum) = (1, 0));
    let base = Base::new("multiply_i8");
    base.shaped(Shape, "an output of another shape", Out, &[2, 3, 3]);
    base.with(Quantization, "a large shift", |p: &mut multiply::Parameters| p.shift = multiply::LARGEST_SHIFT as u8 + 1);
    base.with(Quantization, "bounds out of order", |p: &mut multiply::Parameters| (p.minimum, p.maximum) = (1, 0));
    Base::new("multiply_f32").with(Quantization, "bounds out of order", bounds);
    let vector = Base::new("multiply_vector_i8");
    vector.shaped(Shape, "a vector of other channels", In(1), &[1, 1, 2]);
    vector.shaped(Shape, "more than a vector", In(1), &[1, 2, 3]);
    let base = Base::new("multiply_i16");
    base.with(Quantization, "no shift", |p: &mut wide::multiply::Parameters| p.shift = 0);
    base.with(Quantization, "a shift that is too large", |p: &mut wide::multiply::Parameters| {
        p.shift = wide::multiply::LARGEST_SHIFT as u8 + 1;
    });
    base.with(Quantization, "bounds out of order", |p: &mut wide::multiply::Parameters| (p.minimum, p.maximum) = (1, 0));
    let base = Base::new("dot_i8");
    base.shaped(Shape, "rows of another length", In(1), &[1, 8]);
    base.shaped(Shape, "other products", Out, &[3, 3]);
    base.with(Parameter, "neither products nor cosines", |p: &mut dot::ParametersI8| p.normalized = 2);
    base.with(Quantization, "a shift beyond 1", |p: &mut dot::ParametersI8| p.shift = 2);
    base.refused(Shape, "more products than a sum takes", |file| {
        reshape(file, In(0), &[3, dot::MAXIMUM_FAN_IN as u32 + 1]);
        reshape(file, In(1), &[2, dot::MAXIMUM_FAN_IN as u32 + 1]);
    });
    let base = Base::new("prelu_i8");
    base.with(Quantization, "a large shift", |p: &mut prelu::ParametersI8| p.shift = prelu::LARGEST_SHIFT as u8 + 1);
    base.with(Constants, "slopes that are not there", |p: &mut prelu::ParametersI8| p.negative = 1 << 20);
    let base = Base::new("prelu_f32");
    base.with(Constants, "slopes that are not there", |p: &mut prelu::ParametersF32| p.alpha = 1 << 20);
    let base = Base::new("scale_shift_i8");
    base.with(Quantization, "a shift beyond 16", |p: &mut scale_shift::Parameters| p.shift = 17);
    base.with(Quantization, "bounds out of order", |p: &mut scale_shift::Parameters| (p.minimum, p.maximum) = (1, 0));
    base.with(Constants, "channels that are not there", |p: &mut scale_shift::Parameters| p.channels = 1 << 20);
    let base = Base::new("scale_shift_i16");
    base.with(Quantization, "a large shift", |p: &mut wide::linear::LinearI16| {
        p.shift = wide::scale_shift::LARGEST_SHIFT as u8 + 1;
    });
    base.with(Constants, "channels that are not there", |p: &mut wide::linear::LinearI16| p.channels = 1 << 20);
    let base = Base::new("layer_normalization_i8");
    type Normalization = layer_normalization::ParametersI8;
    base.with(Quantization, "a large shift", |p: &mut Normalization| {
        p.epsilon_shift = layer_normalization::LARGEST_EPSILON_SHIFT + 1;
    });
    base.with(Quantization, "bounds out of order", |p: &mut Normalization| (p.minimum, p.maximum) = (1, 0));
    base.with(Constants, "channels that are not there", |p: &mut Normalization| p.constants = 1 << 20);
    base.refused(Shape, "more values than a row may have", |file| {
        let channels = layer_normalization::MAXIMUM_CHANNELS as u32 + 1;
        (reshape(file, In(0), &[1, channels]), reshape(file, Out, &[1, channels])).1
    });
    let base = Base::new("layer_normalization_f32");
    base.with(Quantization, "bounds out of order", |p: &mut layer_normalization::ParametersF32| bounds(&mut p.clamp));
    let base = Base::new("relu_i16");
    base.with(Constants, "a table that is not there", |p: &mut lut::Parameters| p.table = 1 << 20);
    let base = Base::new("softmax_i16");
    base.with(Constants, "a table that is not there", |p: &mut lut::Parameters| p.table = 1 << 20);
    base.refused(Quantization, "another scale", |file| tensor(file, Out).scale *= 2.0);
    softmax_of_i8();
    rescale();
}

fn softmax_of_i8() {
    let base = Base::new("softmax_i8");
    base.refused(Quantization, "another scale", |file| tensor(file, Out).scale *= 2.0);
    base.refused(Quantization, "another zero point", |file| tensor(file, Out).zero_point += 1);
    base.with(Constants, "a table that is not there", |p: &mut softmax::Parameters| p.table = 1 << 20);
    let first = |file: &mut ModelFile, entry: u32| file.constants[..4].copy_from_slice(&entry.to_le_bytes());
    base.refused(Quantization, "a table that begins with 0", |file| first(file, 0));
    base.refused(Quantization, "a table that begins beyond 2^23", |file| first(file, (1 << 23) + 1));
    base.refused(Quantization, "an entry above the first", |file| first(file, 1));
    let classes = |count: usize| {
        move |file: &mut ModelFile| (reshape(file, In(0), &[1, count as u32]), reshape(file, Out, &[1, count as u32])).1
    };
    base.refused(Shape, "more classes than a sum takes", |file| {
        file.constants.fill(0);
        (first(file, 1), classes(softmax::MAXIMUM_CLASSES + 1)(file)).1
    });
    base.refused(Quantization, "a sum beyond 2^31", |file| (first(file, 1 << 23), classes(257)(file)).1);
}

fn rescale() {
    // Behind an f32 input, it is not node 0; its own tensors are.
    let mut file = example("convert_wide_i16");
    let code = u16::from(wide::rescale::RESCALE.code);
    file.nodes.retain(|node| node.code == code);
    file.nodes.truncate(1);
    let base = Base::of("rescale_i16", file);
    base.shaped(Shape, "another shape", Out, &[1, 13]);
    base.with(Quantization, "no shift", |p: &mut wide::rescale::Parameters| p.shift = 0);
    base.with(Quantization, "a large shift", |p: &mut wide::rescale::Parameters| {
        p.shift = wide::rescale::LARGEST_SHIFT as u8 + 1;
    });
    base.refused(NodeFault::ElementType, "from int8 to int8", |file| {
        (tensor(file, In(0)).element_type, tensor(file, Out).element_type) = (I8, I8);
    });
}
