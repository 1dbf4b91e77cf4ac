//! Small models for the self-test: every op in every element type, on shapes with odd ends.
//!
//! The weights are random: these models compute nothing of use, but use every bit of a kernel. Tensors do not share memory,
//! but where an op works in place.

use std::{string::String, vec, vec::Vec};

use super::Generator;
use crate::{
    format::{
        ALIGNMENT,
        writer::{ModelFile, NodeRecord, encode_parameters},
    },
    op::OpDef,
    ops::{
        activation, add, concat, conv2d, dense, depthwise_conv2d,
        linear::{ClampF32, LinearF32, LinearI8, pack_f32, rows_scratch_bytes},
        lut, maximum, multiply, pad, pool, prelu, quantize, reshape, scale_shift, softmax, upsample,
        window::Window,
    },
    simd,
    tensor::{
        ElementType::{self, F32, I8},
        Tensor,
    },
};

/// Scale and zero point of the int8 tensors.
const SCALE: f32 = 0.05;
const ZERO_POINT: i8 = -3;

/// Name and file of each model. `every-int8-op` is one network with all int8 ops.
pub fn op_models() -> Vec<(String, Vec<u8>)> {
    let mut models = Vec::new();
    for element_type in [I8, F32] {
        let suffix = if element_type == I8 { "i8" } else { "f32" };
        for (name, build) in [
            ("dense", dense_net as fn(ElementType) -> Net),
            ("conv2d", conv2d_net),
            ("depthwise-conv2d", depthwise_net),
            ("pool", pool_net),
            ("activation", activation_net),
            ("add", add_net),
            ("scale-shift", scale_shift_net),
            ("shape", shape_net),
            ("elementwise", elementwise_net),
        ] {
            let name = std::format!("{name}-{suffix}");
            models.push((name.clone(), build(element_type).finish(&name)));
        }
    }
    models.push(("quantize".into(), quantize_net().finish("quantize")));
    models.push(("every-int8-op".into(), every_int8_op().finish("every-int8-op")));
    models
}

fn window(kernel: [u16; 2], stride: [u16; 2], dilation: [u16; 2], padding: [u16; 2]) -> Window {
    Window { kernel, stride, dilation, padding }
}

/// A 3x3 window with a padding of one.
fn window_3x3(stride: u16) -> Window {
    window([3, 3], [stride; 2], [1, 1], [1, 1])
}

fn dense_net(element_type: ElementType) -> Net {
    let mut net = Net::new(1);
    for (input, channels) in [(&[1][..], 1), (&[7], 5), (&[64], 10), (&[3, 13], 6), (&[130], 33)] {
        let x = net.input(element_type, input);
        let y = net.dense(x, channels);
        net.output(y);
    }
    net
}

fn conv2d_net(element_type: ElementType) -> Net {
    let mut net = Net::new(2);
    let image = net.input(element_type, &[7, 6, 3]);
    let wide = net.input(element_type, &[5, 5, 17]);
    for (x, window, size, channels) in [
        (image, window_3x3(1), [7, 6], 5),
        (image, window_3x3(2), [4, 3], 8),
        (image, window([3, 2], [1, 1], [2, 3], [2, 0]), [7, 3], 4),
        (image, window([7, 6], [1, 1], [1, 1], [0, 0]), [1, 1], 3),
        (wide, window([1, 1], [1, 1], [1, 1], [0, 0]), [5, 5], 7),
        (wide, window([1, 1], [2, 2], [1, 1], [0, 0]), [3, 3], 16),
        (wide, window_3x3(1), [5, 5], 9),
    ] {
        let y = net.conv2d(x, window, size, channels);
        net.output(y);
    }
    net
}

fn depthwise_net(element_type: ElementType) -> Net {
    let mut net = Net::new(3);
    for (shape, window, size) in [
        ([7, 6, 5], window_3x3(1), [7, 6]),
        ([8, 8, 8], window_3x3(2), [4, 4]),
        ([9, 2, 4], window([5, 1], [1, 1], [1, 1], [2, 0]), [9, 2]),
        ([6, 7, 1], window([2, 3], [1, 1], [2, 2], [1, 2]), [6, 7]),
        ([4, 4, 70], window_3x3(1), [4, 4]),
        ([5, 5, 3], window([1, 1], [1, 1], [1, 1], [0, 0]), [5, 5]),
    ] {
        let x = net.input(element_type, &shape);
        let y = net.depthwise_conv2d(x, window, size);
        net.output(y);
    }
    net
}

fn pool_net(element_type: ElementType) -> Net {
    let mut net = Net::new(4);
    let x = net.input(element_type, &[7, 5, 6]);
    for average in [false, true] {
        for (window, size) in [
            (window([2, 2], [2, 2], [1, 1], [0, 0]), [3, 2]),
            (window_3x3(1), [7, 5]),
            (window([3, 2], [2, 1], [1, 1], [1, 0]), [4, 5]),
            (window([7, 5], [1, 1], [1, 1], [0, 0]), [1, 1]),
        ] {
            let y = net.pool(x, average, window, size);
            net.output(y);
        }
    }
    net
}

fn activation_net(element_type: ElementType) -> Net {
    let mut net = Net::new(5);
    let x = net.input(element_type, &[300]);
    if element_type == I8 {
        let y = net.lut(x, false);
        net.output(y);
    } else {
        for function in activation::Function::ALL {
            let y = net.activation(x, function, 0.3);
            net.output(y);
        }
        let y = net.activation(x, activation::Function::Relu, f32::INFINITY);
        net.output(y);
    }
    for shape in [&[1][..], &[10], &[4, 3]] {
        let x = net.input(element_type, shape);
        let y = net.softmax(x);
        net.output(y);
    }
    net
}

fn add_net(element_type: ElementType) -> Net {
    let mut net = Net::new(6);
    let first = net.input(element_type, &[5, 5, 3]);
    let second = net.input(element_type, &[5, 5, 3]);
    let apart = net.add(first, second, false);
    let in_place = net.add(second, first, true);
    net.output(apart);
    net.output(in_place);
    net
}

fn scale_shift_net(element_type: ElementType) -> Net {
    let mut net = Net::new(7);
    let x = net.input(element_type, &[4, 5, 7]);
    let y = net.scale_shift(x);
    net.output(y);
    net
}

fn shape_net(element_type: ElementType) -> Net {
    let mut net = Net::new(8);
    let a = net.input(element_type, &[3, 4, 5]);
    let b = net.input(element_type, &[3, 4, 2]);
    let deep = net.concat(&[a, b, a], 2);
    let high = net.concat(&[b, b], 0);
    let padded = net.pad(a, 1, 2, [6, 7]);
    let flat = net.reshape(a, &[60]);
    for y in [deep, high, padded, flat] {
        net.output(y);
    }
    net
}

fn elementwise_net(element_type: ElementType) -> Net {
    let mut net = Net::new(11);
    let first = net.input(element_type, &[3, 4, 5]);
    let second = net.input(element_type, &[3, 4, 5]);
    let gate = net.input(element_type, &[1, 1, 5]);
    let product = net.multiply(first, second, false);
    let gated = net.multiply(second, gate, false);
    let larger = net.maximum(first, second);
    let sloped = net.prelu(first);
    let enlarged = net.upsample(first, [2, 3]);
    for y in [product, gated, larger, sloped, enlarged] {
        net.output(y);
    }
    net
}

fn quantize_net() -> Net {
    let mut net = Net::new(9);
    let real = net.input(F32, &[50]);
    let quantized = net.convert(real, I8);
    let back = net.convert(quantized, F32);
    net.output(quantized);
    net.output(back);
    net
}

/// An image classifier with every int8 op, small enough for 16 KiB of RAM.
fn every_int8_op() -> Net {
    let mut net = Net::new(10);
    let x = net.input(I8, &[12, 12, 1]);
    let x = net.pad(x, 1, 1, [14, 14]);
    let x = net.conv2d(x, window([3, 3], [2, 2], [1, 1], [0, 0]), [6, 6], 8);
    let side = net.depthwise_conv2d(x, window_3x3(1), [6, 6]);
    let side = net.scale_shift(side);
    let side = net.lut(side, true);
    let sum = net.add(side, x, true);
    let sum = net.maximum(sum, x);
    let sum = net.multiply(sum, x, true);
    let sum = net.prelu(sum);
    let x = net.concat(&[sum, x], 2);
    let x = net.conv2d(x, window([1, 1], [1, 1], [1, 1], [0, 0]), [6, 6], 12);
    let x = net.pool(x, false, window([2, 2], [2, 2], [1, 1], [0, 0]), [3, 3]);
    let x = net.pool(x, true, window([2, 2], [1, 1], [1, 1], [0, 0]), [2, 2]);
    let x = net.upsample(x, [1, 2]);
    let x = net.reshape(x, &[96]);
    let x = net.dense(x, 10);
    let x = net.softmax(x);
    net.output(x);
    net
}

/// A model in the making.
struct Net {
    file: ModelFile,
    random: Generator,
}

impl Net {
    fn new(seed: u32) -> Self {
        Self { file: ModelFile::default(), random: Generator::new(seed) }
    }

    fn finish(mut self, name: &str) -> Vec<u8> {
        self.file.metadata.name = name.into();
        self.file.metadata.tensors = (0..self.file.tensors.len()).map(|index| std::format!("tensor {index}")).collect();
        self.file.to_bytes()
    }

    /// Takes arena bytes that nothing else uses.
    fn reserve(&mut self, bytes: usize) -> u32 {
        let offset = self.file.arena_bytes;
        self.file.arena_bytes += bytes.next_multiple_of(ALIGNMENT) as u32;
        offset
    }

    fn tensor_at(&mut self, offset: u32, element_type: ElementType, shape: &[u32], quantization: (f32, i8)) -> u32 {
        let mut dimensions = [1; 4];
        dimensions.iter_mut().zip(shape).for_each(|(to, from)| *to = *from);
        let (scale, zero_point) = if element_type == I8 { quantization } else { (1.0, 0) };
        let rank = shape.len() as u8;
        self.file.tensors.push(Tensor { element_type, rank, zero_point, dimensions, scale, offset });
        self.file.tensors.len() as u32 - 1
    }

    fn tensor(&mut self, element_type: ElementType, shape: &[u32]) -> u32 {
        let elements: u32 = shape.iter().product();
        let offset = self.reserve(elements as usize * element_type.bytes());
        self.tensor_at(offset, element_type, shape, (SCALE, ZERO_POINT))
    }

    fn input(&mut self, element_type: ElementType, shape: &[u32]) -> u32 {
        let tensor = self.tensor(element_type, shape);
        self.file.inputs.push(tensor);
        tensor
    }

    fn output(&mut self, tensor: u32) {
        self.file.outputs.push(tensor);
    }

    fn of(&self, tensor: u32) -> Tensor {
        self.file.tensors.get(tensor as usize).copied().unwrap_or(Tensor {
            element_type: I8,
            rank: 1,
            zero_point: 0,
            dimensions: [1; 4],
            scale: 1.0,
            offset: 0,
        })
    }

    fn node(&mut self, op: &OpDef, inputs: &[u32], output: u32, scratch_bytes: usize, parameters: Vec<u8>, macs: usize) -> u32 {
        let scratch_offset = self.reserve(scratch_bytes);
        let (inputs, scratch_bytes) = (inputs.to_vec(), scratch_bytes as u32);
        let code = op.code.into();
        self.file.nodes.push(NodeRecord { code, inputs, output, scratch_offset, scratch_bytes, parameters });
        self.file.metadata.nodes.push(op.name.into());
        self.file.metadata.macs.push(macs as u64);
        output
    }

    fn constant(&mut self, bytes: &[u8]) -> u32 {
        let offset = self.file.constants.len().next_multiple_of(ALIGNMENT);
        self.file.constants.resize(offset, 0);
        self.file.constants.extend(bytes);
        offset as u32
    }

    /// A number in [-1, 1).
    fn real(&mut self) -> f32 {
        (self.random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn reals(&mut self, count: usize, factor: f32) -> Vec<f32> {
        (0..count).map(|_| self.real() * factor).collect()
    }

    /// int8 weights `[rows][fan_in]`, and biases and multipliers that spread the outputs over the range.
    fn linear_i8(&mut self, rows: usize, fan_in: usize, pack: impl FnOnce(&[i8]) -> Vec<i8>) -> LinearI8 {
        let weights: Vec<i8> = (0..rows * fan_in).map(|_| (self.real() * 127.9) as i8).collect();
        let weights = pack(&weights);
        let weights = self.constant(bytemuck::cast_slice(&weights));
        // Sums spread by about sqrt(fan_in) * 74 * 74; a standard deviation of 60 clips a few outputs.
        let spread = 60.0 / ((fan_in as f32).sqrt() * 74.0 * 74.0);
        let channels: Vec<[i32; 2]> = (0..rows)
            .map(|_| {
                let bias = (self.real() * 20_000.0) as i32;
                [bias, (spread * (1.0 + 0.4 * self.real()) * 4_294_967_296.0) as i32]
            })
            .collect();
        let channels = self.constant(bytemuck::cast_slice(&channels));
        LinearI8 { weights, channels, shift: 0, minimum: -110, maximum: 127 }
    }

    fn linear_f32(&mut self, rows: usize, fan_in: usize, pack: impl FnOnce(&[f32]) -> Vec<f32>) -> LinearF32 {
        let weights = self.reals(rows * fan_in, 1.0);
        let weights = pack(&weights);
        let weights = self.constant(bytemuck::cast_slice(&weights));
        let bias = self.reals(rows, 0.5);
        let bias = self.constant(bytemuck::cast_slice(&bias));
        LinearF32 { weights, bias, clamp: ClampF32 { minimum: -6.0, maximum: f32::INFINITY } }
    }

    /// Parameters of a layer whose matrix is in the layout of the matrix product.
    fn matrix<I: serde::Serialize, F: serde::Serialize>(
        &mut self,
        element_type: ElementType,
        [rows, fan_in]: [usize; 2],
        as_i8: impl FnOnce(LinearI8) -> I,
        as_f32: impl FnOnce(LinearF32) -> F,
    ) -> Vec<u8> {
        if element_type == I8 {
            let linear = self.linear_i8(rows, fan_in, |weights| {
                let mut paired = vec![0; simd::paired_bytes(rows, fan_in)];
                simd::pair_rows(weights, rows, fan_in, &mut paired);
                paired
            });
            encode_parameters(&as_i8(linear))
        } else {
            encode_parameters(&as_f32(self.linear_f32(rows, fan_in, |weights| pack_f32(weights, fan_in))))
        }
    }

    fn dense(&mut self, x: u32, channels: u32) -> u32 {
        let input = self.of(x);
        let fan_in = input.channels();
        let mut shape = input.shape().to_vec();
        shape.pop();
        shape.push(channels);
        let y = self.tensor(input.element_type, &shape);
        let parameters = self.matrix(input.element_type, [channels as usize, fan_in], |linear| linear, |linear| linear);
        let macs = input.elements() * channels as usize;
        if input.element_type == I8 {
            let scratch = rows_scratch_bytes(input.elements() / fan_in, fan_in);
            self.node(&dense::DENSE_I8, &[x], y, scratch, parameters, macs)
        } else {
            self.node(&dense::DENSE_F32, &[x], y, 0, parameters, macs)
        }
    }

    fn conv2d(&mut self, x: u32, window: Window, [height, width]: [u32; 2], channels: u32) -> u32 {
        let input = self.of(x);
        let y = self.tensor(input.element_type, &[height, width, channels]);
        let fan_in = window.taps() * input.channels();
        let parameters = self.matrix(
            input.element_type,
            [channels as usize, fan_in],
            |linear| conv2d::ParametersI8 { window, linear },
            |linear| conv2d::ParametersF32 { window, linear },
        );
        let pixels = (height * width) as usize;
        let macs = pixels * channels as usize * fan_in;
        if input.element_type == I8 {
            let scratch = conv2d::scratch_bytes(&window, input.channels(), pixels);
            self.node(&conv2d::CONV2D_I8, &[x], y, scratch, parameters, macs)
        } else {
            self.node(&conv2d::CONV2D_F32, &[x], y, 0, parameters, macs)
        }
    }

    fn depthwise_conv2d(&mut self, x: u32, window: Window, [height, width]: [u32; 2]) -> u32 {
        let input = self.of(x);
        let channels = input.channels();
        let y = self.tensor(input.element_type, &[height, width, channels as u32]);
        let macs = (height * width) as usize * channels * window.taps();
        if input.element_type == I8 {
            let linear = self.linear_i8(channels, window.taps(), <[i8]>::to_vec);
            let parameters = encode_parameters(&conv2d::ParametersI8 { window, linear });
            let scratch = depthwise_conv2d::scratch_bytes(&window, channels);
            self.node(&depthwise_conv2d::DEPTHWISE_CONV2D_I8, &[x], y, scratch, parameters, macs)
        } else {
            let linear = self.linear_f32(channels, window.taps(), <[f32]>::to_vec);
            let parameters = encode_parameters(&conv2d::ParametersF32 { window, linear });
            self.node(&depthwise_conv2d::DEPTHWISE_CONV2D_F32, &[x], y, 0, parameters, macs)
        }
    }

    fn pool(&mut self, x: u32, average: bool, window: Window, [height, width]: [u32; 2]) -> u32 {
        let input = self.of(x);
        let y = self.tensor(input.element_type, &[height, width, input.channels() as u32]);
        let op = match (average, input.element_type) {
            (false, I8) => &pool::MAX_POOL_I8,
            (false, F32) => &pool::MAX_POOL_F32,
            (true, I8) => &pool::AVERAGE_POOL_I8,
            (true, F32) => &pool::AVERAGE_POOL_F32,
        };
        self.node(op, &[x], y, 0, encode_parameters(&window), 0)
    }

    /// A tensor like `x`, in the same place if `in_place`.
    fn like(&mut self, x: u32, in_place: bool) -> u32 {
        let input = self.of(x);
        if in_place {
            self.tensor_at(input.offset, input.element_type, input.shape(), (input.scale, input.zero_point))
        } else {
            self.tensor(input.element_type, input.shape())
        }
    }

    fn lut(&mut self, x: u32, in_place: bool) -> u32 {
        let y = self.like(x, in_place);
        let table: Vec<u8> = (0..lut::TABLE_BYTES).map(|_| (self.random.next_u32() >> 24) as u8).collect();
        let table = self.constant(&table);
        self.node(&lut::LUT_I8, &[x], y, 0, encode_parameters(&lut::Parameters { table }), 0)
    }

    fn activation(&mut self, x: u32, function: activation::Function, alpha: f32) -> u32 {
        let y = self.like(x, false);
        let parameters = encode_parameters(&activation::Parameters { function, alpha });
        self.node(&activation::ACTIVATION_F32, &[x], y, 0, parameters, 0);
        // All are one op: tables of instructions per node tell them apart by the function.
        self.file.metadata.nodes.pop();
        self.file.metadata.nodes.push(std::format!("{function:?}"));
        y
    }

    fn softmax(&mut self, x: u32) -> u32 {
        let input = self.of(x);
        if input.element_type == F32 {
            let y = self.like(x, true);
            return self.node(&softmax::SOFTMAX_F32, &[x], y, 0, Vec::new(), 0);
        }
        let y = self.tensor_at(input.offset, I8, input.shape(), (1.0 / 256.0, -128));
        let table = softmax::table(input.scale, input.channels());
        let table = self.constant(bytemuck::cast_slice(&table));
        self.node(&softmax::SOFTMAX_I8, &[x], y, 0, encode_parameters(&softmax::Parameters { table }), 0)
    }

    fn add(&mut self, first: u32, second: u32, in_place: bool) -> u32 {
        let y = self.like(first, in_place);
        if self.of(first).element_type == F32 {
            let clamp = ClampF32 { minimum: -6.0, maximum: 6.0 };
            let parameters = add::ParametersF32 { coefficients: [1.0, -0.5], clamp };
            return self.node(&add::ADD_F32, &[first, second], y, 0, encode_parameters(&parameters), 0);
        }
        let quantization = |tensor: Tensor| (tensor.scale, tensor.zero_point);
        let inputs = [quantization(self.of(first)), quantization(self.of(second))];
        #[expect(clippy::expect_used, reason = "the scales are equal")]
        let parameters = add::factors(inputs, [1.0, -0.5], quantization(self.of(y)), (-100, 120)).expect("a ratio of 1");
        self.node(&add::ADD_I8, &[first, second], y, 0, encode_parameters(&parameters), 0)
    }

    fn multiply(&mut self, first: u32, second: u32, in_place: bool) -> u32 {
        let y = self.like(first, in_place);
        if self.of(first).element_type == F32 {
            let clamp = ClampF32 { minimum: -1e6, maximum: 1e6 };
            return self.node(&multiply::MULTIPLY_F32, &[first, second], y, 0, encode_parameters(&clamp), 0);
        }
        let parameters = multiply::Parameters { multiplier: 1 << 25, shift: 0, minimum: -128, maximum: 110 };
        self.node(&multiply::MULTIPLY_I8, &[first, second], y, 0, encode_parameters(&parameters), 0)
    }

    fn maximum(&mut self, first: u32, second: u32) -> u32 {
        let y = self.like(first, false);
        let op = if self.of(first).element_type == I8 { &maximum::MAXIMUM_I8 } else { &maximum::MAXIMUM_F32 };
        self.node(op, &[first, second], y, 0, Vec::new(), 0)
    }

    fn prelu(&mut self, x: u32) -> u32 {
        let y = self.like(x, false);
        let channels = self.of(x).channels();
        let slopes = self.reals(channels, 1.0);
        if self.of(x).element_type == F32 {
            let alpha = self.constant(bytemuck::cast_slice(&slopes));
            return self.node(&prelu::PRELU_F32, &[x], y, 0, encode_parameters(&prelu::ParametersF32 { alpha }), 0);
        }
        let negative: Vec<i32> = slopes.iter().map(|slope| (slope * 1e9) as i32).collect();
        let negative = self.constant(bytemuck::cast_slice(&negative));
        let parameters = prelu::ParametersI8 { positive: 1_000_000_000, negative, shift: 2 };
        self.node(&prelu::PRELU_I8, &[x], y, 0, encode_parameters(&parameters), 0)
    }

    fn upsample(&mut self, x: u32, [vertical, horizontal]: [u32; 2]) -> u32 {
        let input = self.of(x);
        let [height, width, channels, _] = input.dimensions;
        let y = self.tensor(input.element_type, &[height * vertical, width * horizontal, channels]);
        let parameters = encode_parameters(&upsample::Parameters { vertical, horizontal });
        self.node(&upsample::UPSAMPLE, &[x], y, 0, parameters, 0)
    }

    fn scale_shift(&mut self, x: u32) -> u32 {
        let input = self.of(x);
        let y = self.like(x, true);
        if input.element_type == F32 {
            let linear = self.linear_f32(input.channels(), 1, <[f32]>::to_vec);
            return self.node(&scale_shift::SCALE_SHIFT_F32, &[x], y, 0, encode_parameters(&linear), 0);
        }
        let channels: Vec<[i32; 2]> =
            (0..input.channels()).map(|_| [self.real() * 1e6, self.real() * 32_767.0].map(|value| value as i32)).collect();
        let channels = self.constant(bytemuck::cast_slice(&channels));
        // A weight of 2^15 is about one.
        let parameters = scale_shift::Parameters { channels, multiplier: 1 << 17, shift: 0, minimum: -128, maximum: 120 };
        self.node(&scale_shift::SCALE_SHIFT_I8, &[x], y, 0, encode_parameters(&parameters), 0)
    }

    fn concat(&mut self, inputs: &[u32], axis: usize) -> u32 {
        let first = self.of(inputs.first().copied().unwrap_or(0));
        let size = |tensor: &u32| self.of(*tensor).shape().get(axis).copied().unwrap_or(0);
        let total = inputs.iter().map(size).sum();
        let mut shape = first.shape().to_vec();
        shape.iter_mut().skip(axis).take(1).for_each(|size| *size = total);
        let y = self.tensor(first.element_type, &shape);
        self.node(&concat::CONCAT, inputs, y, 0, encode_parameters(&concat::Parameters { axis: axis as u8 }), 0)
    }

    fn pad(&mut self, x: u32, top: u32, left: u32, [height, width]: [u32; 2]) -> u32 {
        let input = self.of(x);
        let y = self.tensor(input.element_type, &[height, width, input.channels() as u32]);
        self.node(&pad::PAD, &[x], y, 0, encode_parameters(&pad::Parameters { top, left }), 0)
    }

    fn reshape(&mut self, x: u32, shape: &[u32]) -> u32 {
        let input = self.of(x);
        let y = self.tensor_at(input.offset, input.element_type, shape, (input.scale, input.zero_point));
        self.node(&reshape::RESHAPE, &[x], y, 0, Vec::new(), 0)
    }

    fn convert(&mut self, x: u32, element_type: ElementType) -> u32 {
        let shape = self.of(x).shape().to_vec();
        let y = self.tensor(element_type, &shape);
        let op = if element_type == I8 { &quantize::QUANTIZE } else { &quantize::DEQUANTIZE };
        self.node(op, &[x], y, 0, Vec::new(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ALL_OPS, op_count,
        selftest::{host, run_rounds},
    };

    #[test]
    fn every_op_is_in_a_model_and_every_model_loads() {
        let models = op_models();
        let mut used = [false; 128];
        for (name, bytes) in &models {
            let sums = crate::selftest::checksums(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!sums.is_empty(), "{name} has no output");
            for node in ModelFile::from_bytes(bytes).unwrap().nodes {
                used[node.code as usize] = true;
            }
        }
        for op in ALL_OPS {
            assert!(used[op.code as usize], "no model of the self-test has the op {}", op.name);
        }
    }

    #[test]
    fn the_int8_network_holds_every_int8_op() {
        let models = op_models();
        let (_, bytes) = models.iter().find(|(name, _)| name == "every-int8-op").unwrap();
        let expected = ALL_OPS.iter().filter(|op| !op.name.ends_with("f32") && !op.name.ends_with("quantize")).count();
        assert_eq!(op_count(bytes), expected);
    }

    #[test]
    fn outputs_are_spread_over_the_range() {
        // A test whose outputs all clip would not see a wrong kernel.
        for (name, bytes) in op_models().iter().filter(|(name, _)| name.ends_with("i8")) {
            let check = |round, output, _, bytes: &[u8]| {
                let distinct: std::collections::BTreeSet<_> = bytes.iter().collect();
                let least = if bytes.len() < 20 { 1 } else { bytes.len().min(60) / 3 };
                let count = distinct.len();
                assert!(round != 0 || count >= least, "{name}, output {output}: {count} values in {} bytes", bytes.len());
            };
            host::with_session(bytes, |session| run_rounds(session, check)).unwrap();
        }
    }
}
