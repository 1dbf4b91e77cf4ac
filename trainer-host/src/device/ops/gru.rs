//! GRU.

use super::{
    DeviceOpKind, OpExample,
    recurrent::{self, HIDDEN, Kernels},
    registry::encoding,
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use crate::graph::LengthRule;
use samara_runtime::ops::{
    gru::{GRU_F32, GRU_I8, ParametersF32, ParametersI8, RESET_FIRST, memory_f32, memory_i8},
    recurrent::Memory,
};

/// A gated recurrent unit; gates in the order z, r, candidate.
#[derive(Debug, Clone)]
pub struct Gru {
    /// Its kernels.
    pub kernels: Kernels,
    /// Whether the reset gate comes before the candidate's product, not behind it.
    pub resets_first: bool,
}

impl Gru {
    fn units(&self) -> usize {
        self.kernels.recurrent.len() / 3
    }

    fn flags(&self) -> u8 {
        self.kernels.order.flags() | if self.resets_first { RESET_FIRST } else { 0 }
    }
}

impl DeviceOp for Gru {
    fn macs(&self, context: &NodeContext<'_>) -> u64 {
        self.kernels.macs(context.inputs[0][0])
    }

    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Fixed(HIDDEN)
    }

    fn input_quantization(&self, input: usize) -> Option<Quantization> {
        self.kernels.input_quantization(input)
    }

    fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        self.kernels.fold_input(scale, shift)
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
        let recurrent_bias = constants.push_f32(&self.kernels.recurrent_biases());
        let Memory { scratch, state } = memory_f32(self.units(), flags);
        let parameters = ParametersF32 { kernel, recurrent, bias, recurrent_bias, flags };
        Ok(Encoded::new(&GRU_F32, &parameters).with_scratch(scratch).with_state(state))
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
        Ok(Encoded::new(&GRU_I8, &ParametersI8 { input, recurrent, flags }).with_scratch(scratch).with_state(state))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "gru",
    encodings: &[
        encoding!(GRU_I8, ParametersI8, "2 × product int8, u8 flags"),
        encoding!(
            GRU_F32,
            ParametersF32,
            "u32 offset of the kernel, u32 of the recurrent kernel, u32 of the biases, u32 of the recurrent biases, u8 flags"
        ),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let after = recurrent::examples("gru", 3, true, 1, |kernels| Gru { kernels, resets_first: false });
    let first = recurrent::examples("gru_reset_first", 3, false, 1, |kernels| Gru { kernels, resets_first: true });
    after.into_iter().chain(first).collect()
}
