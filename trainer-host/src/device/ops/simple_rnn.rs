//! The plain recurrent layer.

use super::{
    DeviceOpKind, OpExample,
    recurrent::{self, HIDDEN, Kernels},
    registry::encoding,
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization, Rows};
use crate::graph::LengthRule;
use samara_runtime::ops::{
    recurrent::Memory,
    simple_rnn::{ParametersF32, ParametersI8, SIMPLE_RNN_F32, SIMPLE_RNN_I8, memory_f32, memory_i8},
};

/// `h = tanh(kernel * x + recurrent * h + bias)`.
#[derive(Debug, Clone)]
pub struct SimpleRnn {
    /// Its kernels.
    pub kernels: Kernels,
}

impl SimpleRnn {
    fn units(&self) -> usize {
        self.kernels.recurrent.len()
    }
}

impl DeviceOp for SimpleRnn {
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
        let ([kernel, recurrent, bias], flags) = (self.kernels.encode_f32(constants), self.kernels.order.flags());
        let Memory { scratch, state } = memory_f32(self.units(), flags);
        let parameters = ParametersF32 { kernel, recurrent, bias, flags };
        Ok(Encoded::new(&SIMPLE_RNN_F32, &parameters).with_scratch(scratch).with_state(state))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        inputs: &[Quantization],
        _: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let [input, recurrent] = self.kernels.encode_i8(context, inputs[0], constants)?;
        let flags = self.kernels.order.flags();
        let Memory { scratch, state } = memory_i8(context.inputs[0].channels(), self.units(), flags);
        Ok(Encoded::new(&SIMPLE_RNN_I8, &ParametersI8 { input, recurrent, flags }).with_scratch(scratch).with_state(state))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "simple_rnn",
    encodings: &[
        encoding!(SIMPLE_RNN_I8, ParametersI8, "2 × product int8, u8 flags"),
        encoding!(
            SIMPLE_RNN_F32,
            ParametersF32,
            "u32 offset of the kernel, u32 of the recurrent kernel, u32 of the biases, u8 flags"
        ),
    ],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    recurrent::examples("simple_rnn", 1, false, 1, |kernels| SimpleRnn { kernels })
}
