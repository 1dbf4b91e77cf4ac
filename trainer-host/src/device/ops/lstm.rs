//! LSTM.

use super::{
    DeviceOpKind, OpExample,
    recurrent::{self, HIDDEN, Kernels},
    registry::encoding,
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use crate::graph::LengthRule;
use samara_runtime::ops::{
    lstm::{LSTM_F32, LSTM_I8, ParametersF32, ParametersI8, cell_scale, memory_f32, memory_i8},
    recurrent::{CELL, Memory},
};

/// A long short-term memory; gates in the order i, f, g, o.
#[derive(Debug, Clone)]
pub struct Lstm {
    kernels: Kernels,
    /// The largest magnitude of a cell.
    cell: f32,
    /// The output is the cell after the last step, not the hidden state.
    gives_cell: bool,
}

/// Cells' magnitude where nobody measured it.
const USUAL_CELL: f32 = 8.0;

impl Lstm {
    /// With these kernels.
    pub fn new(kernels: Kernels) -> Self {
        Self { kernels, cell: USUAL_CELL, gives_cell: false }
    }

    /// The same, but it gives the cell after the last step.
    pub fn gives_cell(self) -> Self {
        Self { gives_cell: true, ..self }
    }

    fn flags(&self) -> u8 {
        self.kernels.order.flags() | if self.gives_cell { CELL } else { 0 }
    }

    /// What cells are in int8.
    fn of_cells(&self) -> Quantization {
        Quantization { scale: cell_scale(self.cell_bits()), zero_point: 0 }
    }

    fn units(&self) -> usize {
        self.kernels.recurrent.len() / 4
    }

    /// Bits of the cell behind the point: with as many as fit beside its largest magnitude.
    fn cell_bits(&self) -> u8 {
        (0..=15).rev().find(|&bits| f64::from(self.cell) <= f64::powi(2.0, 15 - i32::from(bits))).unwrap_or(0)
    }
}

impl DeviceOp for Lstm {
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        self.kernels.macs(context.inputs[0][0])
    }

    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Fixed(if self.gives_cell { self.of_cells() } else { HIDDEN })
    }

    fn input_quantization(&self, input: usize) -> Option<Quantization> {
        let of_cells = || (input == 2 && self.kernels.order.begins_with_inputs).then(|| self.of_cells());
        self.kernels.input_quantization(input).or_else(of_cells)
    }

    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        self.kernels.fold_input(scale, shift)
    }

    fn inner_magnitude(&self, context: &NodeContext<'_>, input: &dyn Fn(usize) -> Vec<f32>) -> f32 {
        let (values, features, units) = (input(0), context.inputs[0].channels(), self.units());
        let (mut hidden, mut cells) = (vec![0.0f32; units], vec![0.0f32; units]);
        if self.kernels.order.begins_with_inputs {
            (hidden, cells) = (input(1), input(2));
        }
        let mut largest = cells.iter().fold(0.0f32, |largest, cell| if cell.abs() > largest { cell.abs() } else { largest });
        let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
        let logistic = |x: f32| 1.0 / (1.0 + (-x).exp());
        for step in self.kernels.order.walk(values.len() / features) {
            let x = &values[step * features..][..features];
            let Kernels { input, recurrent, bias, .. } = &self.kernels;
            let sums: Vec<f32> =
                (0..4 * units).map(|row| bias[row] + dot(&input[row], x) + dot(&recurrent[row], &hidden)).collect();
            for unit in 0..units {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| sums[gate * units + unit]);
                cells[unit] = logistic(f) * cells[unit] + logistic(i) * g.tanh();
                hidden[unit] = logistic(o) * cells[unit].tanh();
                largest = if cells[unit].abs() > largest { cells[unit].abs() } else { largest };
            }
        }
        largest
    }

    fn take_inner_magnitude(&mut self, magnitude: f32) {
        self.cell = magnitude;
    }

    fn rows(&self, _: &NodeContext<'_>) -> Rows {
        self.kernels.order.rows()
    }

    fn length_rule(&self, context: &NodeContext<'_>) -> Option<LengthRule> {
        // Backwards, too: the walk begins with the last step that there is.
        context.length_rule(Rows::Past)
    }

    fn stream(&mut self) {
        self.kernels.order.stateful = true;
    }

    fn encode_f32(&self, _: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        let ([kernel, recurrent, bias], flags) = (self.kernels.encode_f32(constants), self.flags());
        let Memory { scratch, state } = memory_f32(self.units(), flags);
        let parameters = ParametersF32 { kernel, recurrent, bias, flags };
        Ok(Encoded::new(&LSTM_F32, &parameters).with_scratch(scratch).with_state(state))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        _: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let [input, recurrent] = self.kernels.encode_i8(context, inputs[0], constants)?;
        let flags = self.flags();
        let Memory { scratch, state } = memory_i8(context.inputs[0].channels(), self.units(), flags);
        let parameters = ParametersI8 { input, recurrent, cell_bits: self.cell_bits(), flags };
        Ok(Encoded::new(&LSTM_I8, &parameters).with_scratch(scratch).with_state(state))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "lstm",
    encodings: &[
        encoding!(LSTM_I8, ParametersI8, "2 × product int8, u8 bits of the cell, u8 flags"),
        encoding!(
            LSTM_F32,
            ParametersF32,
            "u32 offset of the kernel, u32 of the recurrent kernel, u32 of the biases, u8 flags"
        ),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let of_cell = recurrent::examples("lstm_cell", 4, false, 2, |kernels| Lstm::new(kernels).gives_cell());
    // One that gives its cell gives a single one.
    let of_cell = of_cell.into_iter().filter(|example| example.graph.shape(example.graph.outputs[0]).len() == 1);
    recurrent::examples("lstm", 4, false, 2, Lstm::new).into_iter().chain(of_cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{golden, recurrent::Order};
    use super::*;
    use crate::device::{
        DeviceGraph,
        encode::{Numbers, encode},
        run::DeviceModel,
    };
    use serde::Deserialize;
    use std::collections::BTreeMap;

    /// A net as `tests/golden/make.py` describes it, and what LiteRT makes of it step by step.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        features: usize,
        units: usize,
        input_scale: f32,
        input_zero_point: i8,
        cell_bits: i32,
        kernel: String,
        recurrent_kernel: String,
        /// Of each gate.
        scales: BTreeMap<String, Vec<f32>>,
        bias: Vec<i32>,
        steps: Vec<GoldenStep>,
    }

    #[derive(Deserialize)]
    struct GoldenStep {
        input: String,
        hidden: String,
        cell: String,
    }

    impl Case {
        /// One step, with states that stay.
        fn graph(&self) -> DeviceGraph {
            let rows = |weights: &str, fan_in: usize, scales: &[f32]| -> Vec<Vec<f32>> {
                let bytes = golden::bytes_of(weights);
                let rows = bytes.chunks_exact(fan_in).enumerate();
                rows.map(|(row, bytes)| bytes.iter().map(|&q| f32::from(q as i8) * scales[row / self.units]).collect())
                    .collect()
            };
            let of_input = &self.scales["kernel"];
            let bias = self.bias.iter().enumerate();
            let kernels = Kernels {
                input: rows(&self.kernel, self.features, of_input),
                recurrent: rows(&self.recurrent_kernel, self.units, &self.scales["recurrent_kernel"]),
                bias: bias
                    .map(|(row, &bias)| {
                        let scale = f64::from(of_input[row / self.units]) * f64::from(self.input_scale);
                        (f64::from(bias) * scale) as f32
                    })
                    .collect(),
                recurrent_bias: Vec::new(),
                order: Order { stateful: true, ..Order::default() },
            };
            let mut op = Lstm::new(kernels);
            op.take_inner_magnitude(2.0f32.powi(15 - self.cell_bits));
            DeviceGraph::single(self.name.clone(), op, &[[1, self.features].into()], [self.units].into())
        }
    }

    /// From each of LiteRT's states, one step more is LiteRT's next within one unit of the hidden state; a gate's
    /// sum may be two units of 2^-12 away, which are 16 of a cell with 15 bits behind the point.
    #[test]
    fn each_step_is_within_one_unit_of_litert_s() {
        #[derive(Deserialize)]
        struct Vectors {
            cases: Vec<Case>,
        }
        let (mut outputs, mut different, mut furthest) = (0, 0, 0);
        for case in golden::read::<Vectors>("lstm").cases {
            let quantizations = [Quantization { scale: case.input_scale, zero_point: case.input_zero_point }, HIDDEN];
            let file = encode(&case.graph(), Numbers::I8 { quantizations: &quantizations, float_ports: false }).unwrap();
            let device = DeviceModel::new(&file.to_bytes()).unwrap();
            let (mut cell, mut hidden) = (vec![0; 2 * case.units], vec![0; case.units]);
            for (number, step) in case.steps.iter().enumerate() {
                // `[c, h]`, each of whole groups of four.
                let padded = |bytes: &[u8]| [bytes, &[0; 3][..bytes.len().next_multiple_of(4) - bytes.len()]].concat();
                let before = [padded(&cell), padded(&hidden)].concat();
                let found = device.run_each(
                    1,
                    |session, _| {
                        let mut state = before.clone();
                        state.resize(session.state().len(), 0);
                        session.set_state(&state)?;
                        session.input_bytes_mut(0)?.copy_from_slice(&golden::bytes_of(&step.input));
                        Ok(())
                    },
                    |session, _| (session.state().to_vec(), session.output_bytes(0).unwrap_or_default().to_vec()),
                );
                let [(state, output)] = &found.unwrap()[..] else { panic!("one run") };
                (cell, hidden) = (golden::bytes_of(&step.cell), golden::bytes_of(&step.hidden));
                for (place, (&ours, &theirs)) in output.iter().zip(&hidden).enumerate() {
                    let distance = (ours as i8).abs_diff(theirs as i8);
                    assert!(
                        distance <= 1,
                        "{} step {number} unit {place}: ours {}, LiteRT's {}",
                        case.name,
                        ours as i8,
                        theirs as i8
                    );
                    different += usize::from(distance > 0);
                    outputs += 1;
                }
                let number_of = |bytes: &[u8]| i32::from(i16::from_le_bytes([bytes[0], bytes[1]]));
                for (ours, theirs) in state.chunks_exact(2).zip(cell.chunks_exact(2)) {
                    furthest = furthest.max((number_of(ours) - number_of(theirs)).abs());
                }
            }
        }
        println!("lstm: {different} of {outputs} hidden states differ from LiteRT's by one; cells by at most {furthest}");
        assert!(different * 50 < outputs && furthest <= 16, "{different} of {outputs}, {furthest}");
    }
}
