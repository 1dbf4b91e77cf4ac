//! Dense, convolution and depthwise convolution.

use super::{
    DeviceOpKind, OpExample, POINTWISE, WeightBits,
    registry::encoding,
    wide::{Matrix16, bounds},
    window, window_3x3, window_rows,
};
use crate::device::{Clamp, Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::{
    ops::{
        conv2d::{self, CONV2D_F32, CONV2D_I4, CONV2D_I8},
        dense::{DENSE_F32, DENSE_I4, DENSE_I8},
        depthwise_conv2d::{self, DEPTHWISE_CONV2D_F32, DEPTHWISE_CONV2D_I8},
        linear::{LinearF32, LinearI8, MAXIMUM_FAN_IN, pack_f32, rows_scratch_bytes},
        matrix::{int4_scratch_bytes, pack_int4},
        wide::{self, conv2d::CONV2D_I16, dense::DENSE_I16, depthwise_conv2d::DEPTHWISE_CONV2D_I16, linear::LinearI16},
        window::Window,
    },
    quant::SHORT_SUM,
    simd,
};

/// Which linear layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Over the last axis.
    Dense,
    /// Over windows and channels.
    Conv2d(Window),
    /// Over windows, each channel for itself.
    DepthwiseConv2d(Window),
}

/// A linear layer with a clamp behind it.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Which.
    pub kind: Kind,
    /// Weights, one row per output channel; within a row `[kernel height][kernel width][input channels]`.
    pub rows: Vec<Vec<f32>>,
    /// Bias, one value per output channel.
    pub bias: Vec<f32>,
    /// The clamp behind it.
    pub clamp: Clamp,
    /// Scale of each row's int8 weights, if these are given, as those of an imported file are. Else a row's largest weight
    /// becomes 127.
    pub weight_scales: Option<Vec<f64>>,
    /// What an int8 file keeps of the weights: 8 bits, but for depthwise convolutions the choice of who quantizes.
    pub weight_bits: WeightBits,
}

/// Largest shift of accumulators.
const LARGEST_SHIFT: u32 = 7;
/// Biases stay below this; a channel whose weights are too small for that gets a larger weight scale.
const LARGEST_BIAS: f64 = (1u32 << 29) as f64;

/// `(m, s)`: the smallest shift `s` with `m = floor(factor * 2^(32 - s) + 0.5) <= 2^31 - 1`, at most `largest_shift`.
pub(super) fn multiplier(factor: f64, largest_shift: u32) -> Option<(i32, u32)> {
    (0..=largest_shift).find_map(|shift| Some((multiplier_at(factor, shift)?, shift)))
}

pub(super) fn multiplier_at(factor: f64, shift: u32) -> Option<i32> {
    let multiplier = (factor * f64::powi(2.0, 32 - shift as i32) + 0.5).floor();
    (multiplier <= f64::from(i32::MAX)).then_some(multiplier as i32)
}

impl Linear {
    /// A layer without a clamp, its weights' scales its own choice.
    pub fn new(kind: Kind, rows: Vec<Vec<f32>>, bias: Vec<f32>) -> Self {
        Self { kind, rows, bias, clamp: Clamp::NONE, weight_scales: None, weight_bits: WeightBits::Eight }
    }

    /// As the golden vectors have it.
    #[cfg(test)]
    fn of_case(case: &super::golden::Case, kind: Kind) -> Self {
        let (rows, bias, scales) = case.linear();
        let weight_scales = Some(scales.into_iter().map(f64::from).collect());
        Self { clamp: case.clamp(), weight_scales, ..Self::new(kind, rows, bias) }
    }

    /// Multiplies each row and the scale of its int8 weights, which stay as they are.
    fn scale_rows(&mut self, factors: &[f32]) {
        for (row, factor) in self.rows.iter_mut().zip(factors.iter().cycle()) {
            row.iter_mut().for_each(|weight| *weight *= factor);
        }
        for (scale, &factor) in self.weight_scales.iter_mut().flatten().zip(factors.iter().cycle()) {
            *scale *= f64::from(factor.abs());
        }
    }

    fn fan_in(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// What is to be quantized. Scales that were given are those of 8 bits.
    fn matrix(&self) -> RealMatrix<'_> {
        let scales = self.weight_scales.as_deref().filter(|_| self.weight_bits == WeightBits::Eight);
        RealMatrix { rows: &self.rows, bias: &self.bias, bits: self.weight_bits, scales }
    }

    /// For the constant input `shift` per input channel: what it adds to each output.
    fn response(&self, shift: &[f32]) -> Vec<f64> {
        let of_row = |row: &Vec<f32>| {
            row.iter().zip(shift.iter().cycle()).map(|(&weight, &shift)| f64::from(weight) * f64::from(shift)).sum()
        };
        self.rows.iter().map(of_row).collect()
    }
}

/// Scales of the rows' weights, given the input's, and the largest. A row of zeros has the scale 0: any would do, and it must not
/// decide about the others'.
pub(super) fn weight_scales(matrix: RealMatrix<'_>, input_scale: f64) -> (Vec<f64>, f64) {
    let RealMatrix { rows, bias, bits, scales } = matrix;
    let own = |(row, bias): (&Vec<f32>, &f32)| {
        let own = bits.scales(row, 1)[0];
        let least = f64::from(bias.abs()) / (input_scale * LARGEST_BIAS);
        if own >= least { own } else { least }
    };
    let scales: Vec<f64> = scales.map_or_else(|| rows.iter().zip(bias).map(own).collect(), <[f64]>::to_vec);
    let largest = scales.iter().copied().fold(0.0, f64::max);
    (scales, largest)
}

/// A matrix to be quantized.
#[derive(Debug, Clone, Copy)]
pub(super) struct RealMatrix<'a> {
    /// The weights.
    pub rows: &'a [Vec<f32>],
    /// One for each row.
    pub bias: &'a [f32],
    /// What is kept of the weights.
    pub bits: WeightBits,
    /// Scales of the rows' weights, where they are given.
    pub scales: Option<&'a [f64]>,
}

/// An int8 matrix with what its products need: those of a linear layer's kernels, and of a recurrent one's.
#[derive(Debug)]
pub(super) struct Matrix8 {
    /// The weights.
    pub rows: Vec<Vec<i8>>,
    /// Their scales, one for each row.
    pub scales: Vec<f64>,
    /// Bias, with the input's zero point folded in, and multiplier of each row.
    pub pairs: Vec<i32>,
    /// Left shift of accumulators.
    pub shift: u32,
}

impl Matrix8 {
    /// Quantizes rows for inputs of a quantization and outputs of a scale.
    pub fn quantize(
        context: &NodeContext<'_>,
        real: RealMatrix<'_>,
        input: Quantization,
        output_scale: f64,
    ) -> Result<Self, ExportError> {
        let input_scale = f64::from(input.scale);
        let RealMatrix { rows, bias, bits, scales: given } = real;
        let (mut scales, largest) = weight_scales(real, input_scale);
        let largest = if largest > 0.0 { largest } else { output_scale / input_scale };
        scales.iter_mut().filter(|scale| **scale == 0.0).for_each(|scale| *scale = largest);
        let factor = |scale: f64| input_scale * scale / output_scale;
        let Some((_, shift)) = multiplier(factor(largest), LARGEST_SHIFT) else {
            return Err(context.error(format!("its output's scale {output_scale} is too small for its input's {input_scale}")));
        };
        let mut matrix = Self { rows: Vec::new(), scales: Vec::new(), pairs: Vec::new(), shift };
        for (channel, mut scale) in scales.into_iter().enumerate() {
            let quantized = |scale: f64| {
                let row: Vec<i8> = rows[channel].iter().map(|&weight| bits.round(weight, scale)).collect();
                let sum: i64 = row.iter().map(|&weight| i64::from(weight)).sum();
                let magnitude: i64 = row.iter().map(|&weight| i64::from(weight).abs()).sum();
                let bias = (f64::from(bias[channel]) / (input_scale * scale)).round() as i64;
                let folded = bias - i64::from(input.zero_point) * sum;
                (row, folded, (128 * magnitude + folded.abs()) << shift)
            };
            let (mut row, mut folded, mut reach) = quantized(scale);
            if reach >= 1 << 31 && given.is_none() {
                // The shift is the node's: where another channel asks for a large one, a large bias needs a coarser scale.
                scale = (scale * reach as f64 / f64::from(1 << 30)).min(largest);
                (row, folded, reach) = quantized(scale);
            }
            if reach >= 1 << 31 {
                return Err(context.error(format!("channel {channel}'s accumulator would leave 32 bits")));
            }
            let Some(multiplier) = multiplier_at(factor(scale), shift) else {
                return Err(context.error(format!("channel {channel}'s multiplier would leave 31 bits")));
            };
            matrix.pairs.extend([folded as i32, multiplier]);
            matrix.rows.push(row);
            matrix.scales.push(scale);
        }
        Ok(matrix)
    }
}

impl DeviceOp for Linear {
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        (context.output.size() * self.fan_in()) as u64
    }

    fn fuse_clamp(&mut self, clamp: Clamp) -> bool {
        self.clamp = self.clamp.then(clamp);
        true
    }

    fn weight_bits(&mut self) -> Option<&mut WeightBits> {
        (!matches!(self.kind, Kind::DepthwiseConv2d(_))).then_some(&mut self.weight_bits)
    }

    fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
        let input_scale = f64::from(inputs[0].scale);
        let (_, largest) = weight_scales(self.matrix(), input_scale);
        // Half of what the largest shift allows, so that rounding does not decide.
        (input_scale * largest / f64::from(1u32 << (LARGEST_SHIFT - 2))) as f32
    }

    fn fold_output(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if self.clamp != Clamp::NONE || scale.len() != self.rows.len() {
            return false;
        }
        self.scale_rows(scale);
        for (bias, (scale, shift)) in self.bias.iter_mut().zip(scale.iter().zip(shift)) {
            *bias = *bias * scale + shift;
        }
        true
    }

    fn scale_output(&mut self, factors: &[f32]) -> bool {
        if !self.clamp.is_homogeneous() || factors.len() != self.rows.len() {
            return false;
        }
        self.scale_rows(factors);
        self.bias.iter_mut().zip(factors).for_each(|(bias, factor)| *bias *= factor);
        true
    }

    fn takes_factors_for_free(&self) -> bool {
        matches!(self.kind, Kind::DepthwiseConv2d(_))
    }

    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let channels = match self.kind {
            Kind::Dense => self.fan_in(),
            Kind::Conv2d(window) => self.fan_in() / window.taps(),
            Kind::DepthwiseConv2d(_) => self.rows.len(),
        };
        // With padding, the zeros around the image would have to become other values: not exact, unless nothing is shifted.
        let padded = match self.kind {
            Kind::Dense => false,
            Kind::Conv2d(window) | Kind::DepthwiseConv2d(window) => window.kernel != [1, 1],
        };
        let shifts = shift.iter().any(|&shift| shift != 0.0);
        if scale.is_empty() || !channels.is_multiple_of(scale.len()) || (padded && shifts) {
            return false;
        }
        if let Kind::DepthwiseConv2d(_) = self.kind {
            for ((row, bias), &shift) in self.rows.iter().zip(&mut self.bias).zip(shift.iter().cycle()) {
                *bias += shift * row.iter().sum::<f32>();
            }
            self.scale_rows(scale);
            return true;
        }
        let response = self.response(shift);
        for (bias, response) in self.bias.iter_mut().zip(response) {
            *bias = (f64::from(*bias) + response) as f32;
        }
        self.weight_scales = None;
        for row in &mut self.rows {
            row.iter_mut().zip(scale.iter().cycle()).for_each(|(weight, &scale)| *weight *= scale);
        }
        true
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        match &self.kind {
            Kind::Dense => context.each_row(1),
            Kind::Conv2d(window) | Kind::DepthwiseConv2d(window) => window_rows(window),
        }
    }

    fn stream(&mut self) {
        if let Kind::Conv2d(window) | Kind::DepthwiseConv2d(window) = &mut self.kind {
            window.padding[0] = 0;
        }
    }

    fn correct_bias(&mut self, context: &NodeContext<'_>, input: Quantization, output: Quantization, means: &[f32]) {
        let rounded = Matrix8::quantize(context, self.matrix(), input, f64::from(output.scale));
        let Ok(Matrix8 { rows, scales, .. }) = rounded else { return };
        let is_depthwise = matches!(self.kind, Kind::DepthwiseConv2d(_));
        for (channel, ((row, real), scale)) in rows.iter().zip(&self.rows).zip(scales).enumerate() {
            let mean_of = |place: usize| f64::from(means[if is_depthwise { channel } else { place } % means.len()]);
            let moved = row.iter().zip(real).enumerate();
            let moved: f64 =
                moved.map(|(place, (&int8, &real))| (f64::from(int8) * scale - f64::from(real)) * mean_of(place)).sum();
            self.bias[channel] -= moved as f32;
        }
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let flat: Vec<f32> = self.rows.concat();
        let weights = match self.kind {
            Kind::Dense | Kind::Conv2d(_) => pack_f32(&flat, self.fan_in()),
            Kind::DepthwiseConv2d(_) => transpose(&self.rows),
        };
        let linear =
            LinearF32 { weights: constants.push_f32(&weights), bias: constants.push_f32(&self.bias), clamp: self.clamp.into() };
        Ok(match self.kind {
            Kind::Dense => Encoded::new(&DENSE_F32, &linear),
            Kind::Conv2d(window) => Encoded::new(&CONV2D_F32, &conv2d::ParametersF32 { window, linear }),
            Kind::DepthwiseConv2d(window) => Encoded::new(&DEPTHWISE_CONV2D_F32, &conv2d::ParametersF32 { window, linear }),
        })
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let depth = context.inputs[0].channels();
        let fan_in = match self.kind {
            Kind::Conv2d(window) => window.packed_inputs(depth),
            Kind::Dense | Kind::DepthwiseConv2d(_) => self.fan_in(),
        };
        if fan_in > MAXIMUM_FAN_IN {
            return Err(context.error(format!("an int8 output has at most {MAXIMUM_FAN_IN} inputs, here it has {fan_in}")));
        }
        let Matrix8 { mut rows, pairs, shift, .. } =
            Matrix8::quantize(context, self.matrix(), inputs[0], f64::from(output.scale))?;
        if let Kind::Conv2d(window) = self.kind {
            rows.iter_mut().for_each(|row| *row = conv2d::pad_kernel_rows(row, &window, depth));
        }
        let is_int4 = self.weight_bits == WeightBits::Four;
        let (minimum, maximum) = self.clamp.quantized(output);
        let linear = LinearI8 {
            weights: constants.push_i8(&if is_int4 {
                pack_int4(&laid_out(self.kind, &rows))
            } else {
                laid_out(self.kind, &rows)
            }),
            channels: constants.push_i32(pairs),
            shift: shift as u8,
            minimum,
            maximum,
        };
        let pixels = context.output.size() / context.output.channels().max(1);
        let (dense, conv2d, unpacked) = match self.weight_bits {
            WeightBits::Four => (&DENSE_I4, &CONV2D_I4, int4_scratch_bytes(rows.len(), fan_in)),
            WeightBits::Eight => (&DENSE_I8, &CONV2D_I8, 0),
        };
        Ok(match self.kind {
            Kind::Dense => Encoded::new(dense, &linear).with_scratch(unpacked + rows_scratch_bytes(pixels, fan_in)),
            Kind::Conv2d(window) => {
                let scratch = unpacked + conv2d::scratch_bytes(&window, depth, pixels);
                Encoded::new(conv2d, &conv2d::ParametersI8 { window, linear }).with_scratch(scratch)
            }
            Kind::DepthwiseConv2d(window) => Encoded::new(&DEPTHWISE_CONV2D_I8, &conv2d::ParametersI8 { window, linear })
                .with_scratch(depthwise_conv2d::scratch_bytes(&window, rows.len())),
        })
    }

    fn takes_i16(&self) -> bool {
        match self.kind {
            Kind::Dense | Kind::Conv2d(_) => self.fan_in() <= MAXIMUM_FAN_IN,
            Kind::DepthwiseConv2d(window) => window.taps() <= SHORT_SUM,
        }
    }

    fn encode_i16(
        &self,
        context: &NodeContext<'_>,
        inputs: &[f32],
        output: f32,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        if !self.takes_i16() {
            return Err(
                context.error(format!("an int16 output has at most {MAXIMUM_FAN_IN} inputs, a depthwise one {SHORT_SUM}"))
            );
        }
        let Matrix16 { rows, pairs, shift } = Matrix16::quantize(context, self, inputs[0], output)?;
        let (minimum, maximum) = bounds(self.clamp, output);
        let (weights, channels) = (constants.push_i8(&laid_out(self.kind, &rows)), constants.push_i32(pairs));
        let linear = LinearI16 { weights, channels, shift: shift as u8, minimum, maximum };
        let pixels = context.output.size() / context.output.channels().max(1);
        Ok(match self.kind {
            Kind::Dense => {
                let scratch = wide::linear::rows_scratch_bytes(pixels, self.fan_in());
                Encoded::new(&DENSE_I16, &linear).with_scratch(scratch)
            }
            Kind::Conv2d(window) => {
                let scratch = wide::conv2d::scratch_bytes(&window, context.inputs[0].channels(), pixels);
                Encoded::new(&CONV2D_I16, &wide::conv2d::Parameters { window, linear }).with_scratch(scratch)
            }
            Kind::DepthwiseConv2d(window) => Encoded::new(&DEPTHWISE_CONV2D_I16, &wide::conv2d::Parameters { window, linear })
                .with_scratch(wide::depthwise_conv2d::scratch_bytes(&window)),
        })
    }
}

/// The weights in the order in which kernels read them.
fn laid_out(kind: Kind, rows: &[Vec<i8>]) -> Vec<i8> {
    let fan_in = rows.first().map_or(0, Vec::len);
    match kind {
        Kind::Dense | Kind::Conv2d(_) => {
            let mut paired = vec![0; simd::paired_bytes(rows.len(), fan_in)];
            simd::pair_rows(&rows.concat(), rows.len(), fan_in, &mut paired);
            paired
        }
        Kind::DepthwiseConv2d(_) => transpose(rows),
    }
}

/// `[channels][taps]` as `[taps][channels]`.
fn transpose<T: Copy>(rows: &[Vec<T>]) -> Vec<T> {
    let taps = rows.first().map_or(0, Vec::len);
    (0..taps).flat_map(|tap| rows.iter().map(move |row| row[tap])).collect()
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "linear",
    encodings: &[
        encoding!(DENSE_I8, LinearI8, "linear int8"),
        encoding!(DENSE_F32, LinearF32, "linear f32"),
        encoding!(DENSE_I4, LinearI8, "linear int8"),
        encoding!(CONV2D_I4, conv2d::ParametersI8, "window, linear int8"),
        encoding!(CONV2D_I8, conv2d::ParametersI8, "window, linear int8"),
        encoding!(CONV2D_F32, conv2d::ParametersF32, "window, linear f32"),
        encoding!(DEPTHWISE_CONV2D_I8, conv2d::ParametersI8, "window, linear int8"),
        encoding!(DEPTHWISE_CONV2D_F32, conv2d::ParametersF32, "window, linear f32"),
        encoding!(DENSE_I16, LinearI16, "linear int16"),
        encoding!(CONV2D_I16, wide::conv2d::Parameters, "window, linear int16"),
        encoding!(DEPTHWISE_CONV2D_I16, wide::conv2d::Parameters, "window, linear int16"),
    ],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("fully_connected", 0.0, |case| case.model(Linear::of_case(case, Kind::Dense))),
        super::golden::vectors("fully_connected_i16", 0.0, |case| case.model(Linear::of_case(case, Kind::Dense))),
        super::golden::vectors("conv2d_i16", 0.06, |case| {
            case.model(Linear::of_case(case, Kind::Conv2d(case.field("window"))))
        }),
        super::golden::vectors("depthwise_conv2d_i16", 0.08, |case| {
            case.model(Linear::of_case(case, Kind::DepthwiseConv2d(case.field("window"))))
        }),
        super::golden::vectors("conv2d", 0.005, |case| case.model(Linear::of_case(case, Kind::Conv2d(case.field("window"))))),
        super::golden::vectors("depthwise_conv2d", 0.005, |case| {
            case.model(Linear::of_case(case, Kind::DepthwiseConv2d(case.field("window"))))
        }),
    ],
};

fn examples() -> Vec<OpExample> {
    let (none, relu6) = (Clamp::NONE, Clamp { minimum: 0.0, maximum: 6.0 });
    let dense =
        |name: &str, input: &[usize], output: &[usize], clamp| OpExample::linear(name, Kind::Dense, input, output, clamp);
    let conv = |name: &str, window, input: [usize; 3], output: [usize; 3], clamp| {
        OpExample::linear(name, Kind::Conv2d(window), &input, &output, clamp)
    };
    let depthwise = |name: &str, window, input: [usize; 3], [height, width]: [usize; 2], clamp| {
        OpExample::linear(name, Kind::DepthwiseConv2d(window), &input, &[height, width, input[2]], clamp)
    };
    let int4 = |mut example: OpExample| {
        let bits = example.graph.nodes.iter_mut().filter_map(|node| node.op.weight_bits());
        bits.for_each(|bits| *bits = WeightBits::Four);
        example
    };
    let dilated = window([2, 3], [2, 1], [1, 2], [1, 2]);
    let strided = Window { stride: [2; 2], ..POINTWISE };
    vec![
        dense("dense", &[5], &[3], none),
        dense("dense_rows", &[3, 6], &[3, 4], relu6),
        dense("dense_1", &[1], &[1], none),
        dense("dense_7", &[7], &[5], none),
        dense("dense_64", &[64], &[10], none),
        dense("dense_rows_13", &[3, 13], &[3, 6], none),
        dense("dense_130", &[130], &[33], relu6),
        conv("conv2d", window_3x3(1), [3, 4, 2], [3, 4, 3], relu6),
        conv("conv2d_dilated", dilated, [4, 5, 2], [2, 5, 2], none),
        conv("conv2d_pointwise", POINTWISE, [3, 3, 3], [3, 3, 4], none),
        conv("conv2d_3", window_3x3(1), [7, 6, 3], [7, 6, 5], none),
        conv("conv2d_3_stride_2", window_3x3(2), [7, 6, 3], [4, 3, 8], relu6),
        conv("conv2d_3_dilated", window([3, 2], [1, 1], [2, 3], [2, 0]), [7, 6, 3], [7, 3, 4], none),
        conv("conv2d_whole_image", window([7, 6], [1, 1], [1, 1], [0, 0]), [7, 6, 3], [1, 1, 3], none),
        conv("conv2d_17_pointwise", POINTWISE, [5, 5, 17], [5, 5, 7], none),
        conv("conv2d_17_pointwise_stride_2", strided, [5, 5, 17], [3, 3, 16], none),
        conv("conv2d_17", window_3x3(1), [5, 5, 17], [5, 5, 9], none),
        depthwise("depthwise_conv2d", window_3x3(1), [4, 3, 3], [4, 3], relu6),
        depthwise("depthwise_conv2d_dilated", dilated, [4, 5, 2], [2, 5], relu6),
        depthwise("depthwise_conv2d_5", window_3x3(1), [7, 6, 5], [7, 6], none),
        depthwise("depthwise_conv2d_8_stride_2", window_3x3(2), [8, 8, 8], [4, 4], none),
        depthwise("depthwise_conv2d_column", window([5, 1], [1, 1], [1, 1], [2, 0]), [9, 2, 4], [9, 2], none),
        depthwise("depthwise_conv2d_1", window([2, 3], [1, 1], [2, 2], [1, 2]), [6, 7, 1], [6, 7], none),
        depthwise("depthwise_conv2d_70", window_3x3(1), [4, 4, 70], [4, 4], relu6),
        int4(dense("dense_int4", &[7], &[3], none)),
        int4(dense("dense_int4_rows_130", &[3, 130], &[3, 33], relu6)),
        int4(conv("conv2d_int4", window_3x3(1), [3, 4, 2], [3, 4, 3], relu6)),
        int4(conv("conv2d_int4_17_pointwise", POINTWISE, [5, 5, 17], [5, 5, 7], none)),
        int4(conv("conv2d_int4_8", window_3x3(2), [7, 6, 8], [4, 3, 70], none)),
        depthwise("depthwise_conv2d_1x1", POINTWISE, [5, 5, 3], [5, 5], none),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::registry::scattered;
    use super::*;
    use crate::device::{
        DeviceGraph,
        encode::{Numbers, encode, to_checked_bytes},
        run::DeviceModel,
    };
    use samara_runtime::Session;

    /// The int8 weights of a dense op of two inputs and one output.
    fn weights(op: Linear) -> Vec<i8> {
        let graph = DeviceGraph::single("dense", op, &[[2].into()], [1].into());
        let context = graph.context(&graph.nodes[0]);
        let quantization = Quantization { scale: 0.1, zero_point: 0 };
        let mut constants = Constants::default();
        graph.nodes[0]
            .op
            .encode_i8(&context, &[quantization], quantization, &mut constants)
            .expect("an op that can be encoded");
        // Paired rows: four weights of the first row, four of a second that is not there.
        constants.into_bytes()[..2].iter().map(|&byte| byte as i8).collect()
    }

    /// 0.5 and 0.126 are 127 and 32 of 0.5 / 127: the second is 0.126 - 0.0000157 too small, times its input's mean of 10.
    #[test]
    fn a_bias_takes_up_what_rounded_weights_move() {
        let graph = DeviceGraph::single("dense", Linear::new(Kind::Dense, vec![], vec![]), &[[2].into()], [1].into());
        let quantization = Quantization { scale: 0.1, zero_point: 0 };
        let mut dense = Linear::new(Kind::Dense, vec![vec![0.5, 0.126]], vec![1.0]);
        dense.correct_bias(&graph.context(&graph.nodes[0]), quantization, quantization, &[3.0, 10.0]);
        let expected = 1.0 - 10.0 * (32.0 * 0.5 / 127.0 - 0.126);
        assert!((dense.bias[0] - expected).abs() < 1e-6, "{} is not {expected}", dense.bias[0]);
    }

    /// A sixth of 2^32 is 715827882.67; a third of 2^31, for which 2 / 3 of 2^32 is too much, 1431655765.33.
    #[test]
    fn multipliers_are_rounded() {
        assert_eq!(multiplier(1.0 / 6.0, 7), Some((715_827_883, 0)));
        assert_eq!(multiplier(2.0 / 3.0, 7), Some((1_431_655_765, 1)));
        assert_eq!((multiplier(63.0, 7), multiplier(63.0, 6)), (Some((63 << 25, 7)), None));
    }

    #[test]
    fn int4_layers_are_int8_layers_of_16_times_the_weights() {
        for (kind, input, output) in [
            (Kind::Dense, vec![4, 37], vec![4, 21]),
            (Kind::Dense, vec![5], vec![3]),
            (Kind::Conv2d(window_3x3(1)), vec![5, 6, 3], vec![5, 6, 9]),
            (Kind::Conv2d(POINTWISE), vec![3, 3, 65], vec![3, 3, 30]),
        ] {
            let (channels, depth) = (output[output.len() - 1], input[input.len() - 1]);
            let fan_in = if kind == Kind::Conv2d(window_3x3(1)) { 9 * depth } else { depth };
            let scale = |channel: usize| 0.001 * (channel + 1) as f64;
            let weight = |channel: usize, k: usize| if k == 0 { 7 } else { ((channel * 5 + k * 11) % 15) as i32 - 7 };
            let row = |channel| (0..fan_in).map(|k| (f64::from(16 * weight(channel, k)) * scale(channel)) as f32).collect();
            let int8 = Linear {
                weight_scales: Some((0..channels).map(scale).collect()),
                ..Linear::new(kind, (0..channels).map(row).collect(), scattered(channels, 0.5))
            };
            let int4 = Linear { weight_scales: None, weight_bits: WeightBits::Four, ..int8.clone() };
            let [(int8, large), (int4, small)] = [int8, int4].map(|linear| outputs_and_bytes(linear, &input, &output));
            assert!(int8 == int4, "{kind:?}: other bits");
            assert!(int8.iter().flatten().any(|&byte| byte != int8[0][0]), "{kind:?}: outputs without variety");
            let saved = simd::paired_bytes(channels, fan_in) / 2;
            assert!(large - small + 16 > saved, "{kind:?}: {large} and {small} bytes, {saved} should be saved");
        }
    }

    /// What a layer gives for some inputs, and the size of its file.
    fn outputs_and_bytes(linear: Linear, input: &[usize], output: &[usize]) -> (Vec<Vec<u8>>, usize) {
        let graph = DeviceGraph::single("linear", linear, &[input.into()], output.into());
        let quantizations = [Quantization { scale: 0.05, zero_point: -7 }, Quantization { scale: 0.8, zero_point: 3 }];
        let numbers = Numbers::I8 { quantizations: &quantizations, float_ports: false };
        let bytes = to_checked_bytes(&encode(&graph, numbers).expect("a linear layer")).expect("a file");
        let device = DeviceModel::new(&bytes).expect("a file");
        let write = |session: &mut Session<'_>, sample: usize| {
            let places = session.input_bytes_mut(0)?.iter_mut().enumerate();
            places.for_each(|(place, byte)| *byte = (place * 31 + sample * 101) as u8);
            Ok(())
        };
        let read = |session: &Session<'_>, _| session.output_bytes(0).unwrap_or_default().to_vec();
        (device.run_each(8, write, read).expect("inputs that fit"), bytes.len())
    }

    #[test]
    fn given_scales_are_kept_and_others_chosen() {
        let own = || Linear::new(Kind::Dense, vec![vec![0.5, -0.25]], vec![1.0]);
        let given = || Linear { weight_scales: Some(vec![0.01]), ..own() };
        assert_eq!(weights(own()), [127, -64]);
        assert_eq!(weights(given()), [50, -25]);
        let mut folded = given();
        assert!(folded.fold_output(&[-3.0], &[1.0]));
        assert_eq!(weights(folded), [-50, 25]);
        // Factors that differ within a row leave no scale to keep.
        let mut mixed = given();
        assert!(mixed.fold_input(&[1.0, 2.0], &[0.0, 0.0]));
        assert_eq!(weights(mixed), [127, -127]);
    }
}
