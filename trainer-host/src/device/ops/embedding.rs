//! Embedding: a row of a table for each token.

use super::{
    DeviceOpKind, OpExample,
    registry::{encoding, scattered},
};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, Quantization, Rows};
use samara_runtime::{
    ops::embedding::{EMBEDDING, Parameters},
    quant,
};

/// A table with a row for each token.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// The rows, one behind the other.
    pub table: Vec<f32>,
}

impl Embedding {
    fn encoded(&self, context: &NodeContext<'_>, table: u32) -> Encoded {
        let rows = self.table.len() / context.output.channels().max(1);
        Encoded::new(&EMBEDDING, &Parameters { table, rows: rows as u32 })
    }
}

impl DeviceOp for Embedding {
    fn takes_tokens(&self) -> bool {
        true
    }

    fn fold_output(&mut self, scale: &[f32], shift: &[f32]) -> bool {
        let pairs = scale.iter().zip(shift).cycle();
        self.table.iter_mut().zip(pairs).for_each(|(value, (scale, shift))| *value = *value * scale + shift);
        true
    }

    fn scale_output(&mut self, factors: &[f32]) -> bool {
        self.table.iter_mut().zip(factors.iter().cycle()).for_each(|(value, factor)| *value *= factor);
        true
    }

    fn rows(&self, context: &NodeContext<'_>) -> Rows {
        context.each_row(1)
    }

    fn encode_f32(&self, context: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(self.encoded(context, constants.push_f32(&self.table)))
    }

    fn encode_i8(
        &self,
        context: &NodeContext<'_>,
        _: &[Quantization],
        output: Quantization,
        constants: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        let quantized = |&value: &f32| quant::quantize(value, output.scale, output.zero_point);
        let table: Vec<i8> = self.table.iter().map(quantized).collect();
        Ok(self.encoded(context, constants.push_i8(&table)))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "embedding",
    encodings: &[encoding!(EMBEDDING, Parameters, "u32 offset of the table, u32 rows of it")],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let example = |name, rows: usize, input: &[usize], output: &[usize]| {
        let table = scattered(rows * output.last().copied().unwrap_or(1), 6.0);
        OpExample::new(name, Embedding { table }, &[input], output)
    };
    vec![
        example("embedding", 5, &[3], &[3, 2]),
        example("embedding_rank_2", 9, &[2, 3], &[2, 3, 5]),
        example("embedding_1", 1, &[1], &[1, 1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::run::DeviceModel;
    use samara_runtime::InputError;

    #[test]
    fn tokens_beyond_the_vocabulary_read_its_ends() {
        let example = OpExample::new("embedding", Embedding { table: vec![1.0, 2.0, 3.0] }, &[&[5]], &[5, 1]);
        let device = DeviceModel::new(&example.f32_file().expect("an op").to_bytes()).expect("a file");
        let tokens = [1, -1, 3, i32::MIN, i32::MAX];
        let write = |session: &mut samara_runtime::Session<'_>, sample: usize| match sample {
            0 => session.write_i32(0, &tokens),
            _ => session.write_f32(0, &tokens.map(|token| token as f32 / 2.0)),
        };
        let read = |session: &samara_runtime::Session<'_>, _| session.output_f32(0).map(Iterator::collect::<Vec<f32>>);
        assert_eq!(device.run_each(1, write, read).expect("a run"), [Some(vec![2.0, 1.0, 3.0, 1.0, 3.0])]);
        let error = device.run_each(2, write, read).expect_err("halves").to_string();
        assert!(error.contains(&InputError::NotInteger { position: 0 }.to_string()), "{error}");
    }
}
