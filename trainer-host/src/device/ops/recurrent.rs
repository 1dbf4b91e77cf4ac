//! What recurrent ops share: their kernels in real numbers.

use super::{
    OpExample, WeightBits,
    linear::{Matrix8, RealMatrix},
    registry::scattered,
};
use crate::device::{Constants, DeviceOp, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::{
    ops::{
        linear::pack_f32,
        recurrent::{BACKWARDS, IN_ORDER, ProductI8, STATEFUL},
    },
    simd,
};

/// Scale of the hidden state in int8: it lies between -1 and 1.
pub(crate) const HIDDEN: Quantization = Quantization { scale: 1.0 / 128.0, zero_point: 0 };
/// Scale of the products of a gate.
pub(super) const PRODUCT_SCALE: f64 = 1.0 / 4096.0;

/// In which order the steps come, and what stays of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Order {
    /// From the last step to the first.
    pub backwards: bool,
    /// The states stay from run to run.
    pub stateful: bool,
    /// Outputs have the inputs' order also if the walk is backwards.
    pub in_order: bool,
    /// The states before the first step are further inputs, the hidden state first.
    pub begins_with_inputs: bool,
}

impl Order {
    pub(super) fn flags(self) -> u8 {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        flag(self.backwards, BACKWARDS) | flag(self.stateful, STATEFUL) | flag(self.in_order, IN_ORDER)
    }

    /// How rows come from rows.
    pub(super) fn rows(self) -> Rows {
        match self {
            Self { begins_with_inputs: true, .. } => Rows::All,
            Self { backwards: false, .. } => Rows::Past,
            Self { in_order: true, .. } => Rows::Future,
            _ => Rows::All,
        }
    }

    /// The steps of a sequence in the order in which they come.
    pub(super) fn walk(self, steps: usize) -> impl Iterator<Item = usize> {
        (0..steps).map(move |number| if self.backwards { steps - 1 - number } else { number })
    }
}

/// The kernels of a recurrent op: a row for each unit of each gate.
#[derive(Debug, Clone)]
pub struct Kernels {
    /// Of the inputs.
    pub input: Vec<Vec<f32>>,
    /// Of the hidden state.
    pub recurrent: Vec<Vec<f32>>,
    /// Biases of the inputs' products.
    pub bias: Vec<f32>,
    /// Biases of the hidden state's products; empty for ops that have none.
    pub recurrent_bias: Vec<f32>,
    /// Order and memory.
    pub order: Order,
}

impl Kernels {
    /// Multiply-accumulates of a run over these many steps.
    pub(super) fn macs(&self, steps: usize) -> u64 {
        let rows = |rows: &[Vec<f32>]| rows.iter().map(Vec::len).sum::<usize>();
        (steps * (rows(&self.input) + rows(&self.recurrent))) as u64
    }

    /// Takes in `scale[c] * x[c] + shift[c]` that comes before, per feature.
    pub(super) fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        if self.order.begins_with_inputs || self.input.iter().any(|row| row.len() != scale.len()) {
            return false;
        }
        for (row, bias) in self.input.iter_mut().zip(&mut self.bias) {
            let shifted: f64 = row.iter().zip(shift).map(|(&weight, &shift)| f64::from(weight) * f64::from(shift)).sum();
            *bias = (f64::from(*bias) + shifted) as f32;
            row.iter_mut().zip(scale).for_each(|(weight, scale)| *weight *= scale);
        }
        true
    }

    /// What an input must be in int8: the hidden state before the first step.
    pub(super) fn input_quantization(&self, input: usize) -> Option<Quantization> {
        (input == 1 && self.order.begins_with_inputs).then_some(HIDDEN)
    }

    /// A bias for each row of the hidden state's products.
    pub(super) fn recurrent_biases(&self) -> Vec<f32> {
        let mut biases = self.recurrent_bias.clone();
        biases.resize(self.recurrent.len(), 0.0);
        biases
    }

    /// Both kernels and the biases for f32, each with its offset.
    pub(super) fn encode_f32(&self, constants: &mut Constants) -> [u32; 3] {
        let mut packed = |rows: &[Vec<f32>]| {
            let fan_in = rows.first().map_or(0, Vec::len);
            constants.push_f32(&pack_f32(&rows.concat(), fan_in))
        };
        let (input, recurrent) = (packed(&self.input), packed(&self.recurrent));
        [input, recurrent, constants.push_f32(&self.bias)]
    }

    /// Both products for int8.
    pub(super) fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        input: Quantization,
        constants: &mut Constants,
    ) -> Result<[ProductI8; 2], ExportError> {
        let recurrent_bias = self.recurrent_biases();
        Ok([
            product(context, &self.input, &self.bias, input, constants)?,
            product(context, &self.recurrent, &recurrent_bias, HIDDEN, constants)?,
        ])
    }
}

/// Examples of a recurrent op with so many gates and states: with and without all steps, both ways, with states that stay or are given.
pub(super) fn examples<Op: DeviceOp + 'static>(
    kind: &str,
    gates: usize,
    has_recurrent_bias: bool,
    states: usize,
    op: impl Fn(Kernels) -> Op,
) -> Vec<OpExample> {
    let example = |name: &str, features: usize, units: usize, input: &[usize], output: &[usize], order: Order| {
        let rows = |fan_in: usize, largest: f32| {
            let values = scattered(gates * units * fan_in, largest / (fan_in as f32).sqrt());
            values.chunks_exact(fan_in).map(<[f32]>::to_vec).collect()
        };
        let recurrent_bias = if has_recurrent_bias { scattered(gates * units, 0.25) } else { Vec::new() };
        let bias = scattered(gates * units, 0.5);
        let kernels = Kernels { input: rows(features, 0.8), recurrent: rows(units, 1.5), bias, recurrent_bias, order };
        let state = [units];
        let inputs = [vec![input], vec![&state[..]; if order.begins_with_inputs { states } else { 0 }]].concat();
        OpExample::new(format!("{kind}{name}"), op(kernels), &inputs, output)
    };
    let forward = Order::default();
    let backwards = Order { backwards: true, ..forward };
    vec![
        example("", 2, 3, &[3, 2], &[3, 3], forward),
        example("_last", 5, 2, &[4, 5], &[2], forward),
        example("_backwards", 3, 4, &[3, 3], &[3, 4], backwards),
        example("_backwards_in_order", 3, 2, &[6, 3], &[6, 2], Order { in_order: true, ..backwards }),
        example("_stateful", 4, 5, &[2, 4], &[2, 5], Order { stateful: true, ..forward }),
        example("_given_states", 3, 5, &[2, 3], &[2, 5], Order { begins_with_inputs: true, ..forward }),
    ]
}

fn product(
    context: &NodeContext<'_>,
    rows: &[Vec<f32>],
    bias: &[f32],
    input: Quantization,
    constants: &mut Constants,
) -> Result<ProductI8, ExportError> {
    let fan_in = rows.first().map_or(0, Vec::len);
    let real = RealMatrix { rows, bias, bits: WeightBits::Eight, scales: None };
    let Matrix8 { rows, pairs, shift, .. } = Matrix8::quantize(context, real, input, PRODUCT_SCALE)?;
    let mut paired = vec![0; simd::paired_bytes(rows.len(), fan_in)];
    simd::pair_rows(&rows.concat(), rows.len(), fan_in, &mut paired);
    Ok(ProductI8 { weights: constants.push_i8(&paired), channels: constants.push_i32(pairs), shift: shift as u8 })
}
