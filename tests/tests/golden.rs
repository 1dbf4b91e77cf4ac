//! int8 ops against LiteRT's reference kernels: the same tensors, weights and biases, our exporter's parameters, our kernels.
//!
//! Outputs may differ by one unit, since LiteRT rounds twice where we round once (`docs/golden.md`). Each test also
//! holds the fraction of outputs that may differ at all, so that a kernel that is off by one everywhere fails.

use samara_runtime::{
    ALL_OPS,
    ops::{
        activation::{Function, Parameters},
        quantize::{DEQUANTIZE, QUANTIZE},
    },
};
use samara_tests::{
    golden::{self, Case},
    single::{assembled, exported, f32_values, i8_values, run},
};
use samara_trainer::device::{
    DeviceOp,
    ops::{
        Activation, Add, Concat, Kind, Linear, Maximum, Multiply, Pad, Pool, PoolKind, Prelu, Rescale, Reshape, ScaleShift,
        Softmax, Upsample,
    },
};

/// Runs all cases of a file; outputs are within one unit of LiteRT's, and at most `differing` of them differ.
fn check<Op: DeviceOp + 'static>(op: &str, differing: f64, build: impl Fn(&Case) -> Op) {
    let vectors = golden::read(op);
    assert_eq!(vectors.op, op);
    let (mut outputs, mut different) = (0, 0);
    for case in &vectors.cases {
        let inputs: Vec<_> = case.inputs.iter().map(|port| port.port()).collect();
        let file =
            exported(build(case), &inputs, &case.output.port()).unwrap_or_else(|error| panic!("{op} {}: {error}", case.name));
        let mut different_here = 0;
        for (number, sample) in case.samples.iter().enumerate() {
            let inputs: Vec<&[u8]> = sample.inputs.iter().map(Vec::as_slice).collect();
            let (ours, theirs) = (i8_values(&run(&file, &inputs)), i8_values(&sample.output));
            assert_eq!(ours.len(), theirs.len(), "{op} {} sample {number}: number of outputs", case.name);
            for (place, (&ours, &theirs)) in ours.iter().zip(&theirs).enumerate() {
                let distance = ours.abs_diff(theirs);
                assert!(distance <= 1, "{op} {} sample {number} output {place}: ours {ours}, LiteRT's {theirs}", case.name);
                different_here += usize::from(distance);
            }
            outputs += ours.len();
        }
        if different_here > 0 {
            println!("{op} {}: {different_here} outputs differ by one", case.name);
        }
        different += different_here;
    }
    let fraction = different as f64 / outputs as f64;
    println!("{op}: {different} of {outputs} outputs differ from LiteRT {} by one, {:.2}%", vectors.litert, fraction * 100.0);
    assert!(fraction <= differing, "{op}: {different} of {outputs} outputs differ from LiteRT by one, allowed is {differing}");
}

fn linear(case: &Case, kind: Kind) -> Linear {
    Linear { kind, rows: case.real_rows(), bias: case.real_bias(), clamp: case.bounds() }
}

#[test]
fn fully_connected_equals_litert() {
    check("fully_connected", 0.0, |case| linear(case, Kind::Dense));
}

#[test]
fn conv2d_is_within_one_unit_of_litert() {
    check("conv2d", 0.005, |case| linear(case, Kind::Conv2d(case.window.unwrap())));
}

#[test]
fn depthwise_conv2d_is_within_one_unit_of_litert() {
    check("depthwise_conv2d", 0.005, |case| linear(case, Kind::DepthwiseConv2d(case.window.unwrap())));
}

#[test]
fn scale_shift_is_within_one_unit_of_a_1x1_depthwise_convolution_of_litert() {
    check("scale_shift", 0.005, |case| ScaleShift {
        scale: case.real_rows().concat(),
        shift: case.real_bias(),
        clamp: case.bounds(),
    });
}

#[test]
fn average_pool_is_within_one_unit_of_litert() {
    check("average_pool", 0.15, |case| Pool { kind: PoolKind::Average, window: case.window.unwrap() });
}

#[test]
fn an_average_pool_of_the_whole_image_is_within_one_unit_of_the_mean_of_litert() {
    check("global_average", 0.03, |case| Pool { kind: PoolKind::Average, window: case.window.unwrap() });
}

#[test]
fn max_pool_equals_litert() {
    check("max_pool", 0.0, |case| Pool { kind: PoolKind::Maximum, window: case.window.unwrap() });
}

#[test]
fn softmax_is_within_one_unit_of_litert() {
    check("softmax", 0.01, |_| Softmax);
}

#[test]
fn add_is_within_one_unit_of_litert() {
    check("add", 0.1, |case| Add { coefficients: [1.0; 2], clamp: case.bounds() });
}

#[test]
fn subtract_is_within_one_unit_of_litert() {
    check("subtract", 0.1, |case| Add { coefficients: [1.0, -1.0], clamp: case.bounds() });
}

#[test]
fn multiply_is_within_one_unit_of_litert() {
    check("multiply", 0.02, |case| Multiply { clamp: case.bounds() });
}

#[test]
fn maximum_equals_litert() {
    check("maximum", 0.0, |_| Maximum);
}

#[test]
fn prelu_is_within_one_unit_of_litert() {
    check("prelu", 0.01, |case| Prelu { alpha: case.slopes.clone() });
}

#[test]
fn upsample_equals_litert() {
    check("upsample", 0.0, |case| Upsample(case.factors));
}

#[test]
fn concat_equals_litert() {
    check("concat", 0.0, |case| Concat { axis: case.axis });
}

#[test]
fn reshape_equals_litert() {
    check("reshape", 0.0, |_| Reshape);
}

#[test]
fn pad_equals_litert() {
    check("pad", 0.0, |case| Pad { top: case.padding[0], left: case.padding[1] });
}

#[test]
fn activations_are_within_one_unit_of_litert() {
    check("activation", 0.05, |case| {
        let (function, alpha) = match case.function.as_str() {
            "relu" => (Function::Relu, f32::INFINITY),
            "relu6" => (Function::Relu, 6.0),
            "leaky_relu" => (Function::LeakyRelu, case.alpha),
            "sigmoid" => (Function::Sigmoid, 0.0),
            "gelu" => (Function::Gelu, 0.0),
            "hard_swish" => (Function::HardSwish, 0.0),
            "tanh" => (Function::Tanh, 0.0),
            other => panic!("unknown function {other}"),
        };
        Activation(Parameters { function, alpha })
    });
}

#[test]
fn rescaling_is_within_one_unit_of_litert() {
    check("rescale", 0.15, |_| Rescale);
}

#[test]
fn quantize_equals_litert() {
    for case in golden::read("quantize").cases {
        let file = assembled(&QUANTIZE, vec![], vec![], 0, &[case.inputs[0].port()], &case.output.port());
        for sample in &case.samples {
            let ours = i8_values(&run(&file, &[&sample.inputs[0]]));
            assert_eq!(ours, i8_values(&sample.output), "{} of {:?}", case.name, f32_values(&sample.inputs[0]));
        }
    }
}

#[test]
fn dequantize_equals_litert() {
    for case in golden::read("dequantize").cases {
        let file = assembled(&DEQUANTIZE, vec![], vec![], 0, &[case.inputs[0].port()], &case.output.port());
        for sample in &case.samples {
            let ours = f32_values(&run(&file, &[&sample.inputs[0]]));
            assert_eq!(ours, f32_values(&sample.output), "{} of {:?}", case.name, i8_values(&sample.inputs[0]));
        }
    }
}

/// The vectors that hold each op which works on int8.
const VECTORS: [(&str, &str); 18] = [
    ("dense_i8", "fully_connected"),
    ("conv2d_i8", "conv2d"),
    ("depthwise_conv2d_i8", "depthwise_conv2d"),
    ("max_pool_i8", "max_pool"),
    ("average_pool_i8", "average_pool"),
    ("lut_i8", "activation"),
    ("softmax_i8", "softmax"),
    ("add_i8", "add"),
    ("concat", "concat"),
    ("reshape", "reshape"),
    ("pad", "pad"),
    ("scale_shift_i8", "scale_shift"),
    ("quantize", "quantize"),
    ("dequantize", "dequantize"),
    ("multiply_i8", "multiply"),
    ("maximum_i8", "maximum"),
    ("prelu_i8", "prelu"),
    ("upsample", "upsample"),
];

#[test]
fn every_int8_op_has_golden_vectors() {
    for op in ALL_OPS.iter().filter(|op| !op.name.ends_with("_f32")) {
        let file = VECTORS.iter().find(|(name, _)| *name == op.name).map(|(_, file)| file);
        let file = file.unwrap_or_else(|| panic!("{} has no golden vectors: add it to tests/golden/make.py and here", op.name));
        let cases = golden::read(file).cases;
        assert!(!cases.is_empty(), "tests/golden/{file}.json has no cases");
    }
}

/// Vectors that are all at the bounds of int8 would show nothing.
#[test]
fn the_vectors_are_not_all_saturated() {
    for (_, file) in VECTORS {
        let outputs: Vec<u8> =
            golden::read(file).cases.iter().flat_map(|case| &case.samples).flat_map(|s| s.output.clone()).collect();
        let inside = outputs.iter().filter(|&&byte| byte as i8 > -128 && (byte as i8) < 127).count();
        assert!(inside * 4 > outputs.len(), "{file}: only {inside} of {} outputs lie within the bounds", outputs.len());
    }
}
