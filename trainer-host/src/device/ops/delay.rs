//! Delay.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::{Constants, DeviceOp, Encoded, ExportError, NodeContext, OutputQuantization, Quantization};
use samara_runtime::ops::delay::{DELAY, Parameters};

/// What came in the runs before, then what comes now: as many of their first elements as the output has.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    /// Elements that stay from run to run.
    pub elements: usize,
}

impl Delay {
    fn encode(&self, element_bytes: usize) -> Encoded {
        let parameters = Parameters { elements: self.elements as u32 };
        Encoded::new(&DELAY, &parameters).with_state(element_bytes * self.elements)
    }
}

impl DeviceOp for Delay {
    fn output_quantization(&self) -> OutputQuantization {
        OutputQuantization::Shared
    }

    fn takes_i16(&self) -> bool {
        true
    }

    fn encode_f32(&self, _: &NodeContext<'_>, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(self.encode(size_of::<f32>()))
    }

    fn encode_i16(&self, _: &NodeContext<'_>, _: &[f32], _: f32, _: &mut Constants) -> Result<Encoded, ExportError> {
        Ok(self.encode(size_of::<i16>()))
    }

    fn encode_i8(
        &self,
        _: &NodeContext<'_>,
        _: &[Quantization],
        _: Quantization,
        _: &mut Constants,
    ) -> Result<Encoded, ExportError> {
        Ok(self.encode(size_of::<i8>()))
    }
}

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "delay",
    encodings: &[encoding!(DELAY, Parameters, "u32 elements of the state")],
    examples,
    #[cfg(test)]
    golden: &[],
};

fn examples() -> Vec<OpExample> {
    let example =
        |name, elements, input: &[usize], output: &[usize]| OpExample::new(name, Delay { elements }, &[input], output);
    vec![
        example("delay", 4, &[3, 2], &[5, 2]),
        example("delay_longer_than_its_input", 15, &[1, 5], &[4, 5]),
        example("delay_shorter", 3, &[12], &[7]),
        example("delay_by_nothing", 0, &[2, 3], &[2, 3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{
        DeviceGraph,
        encode::{Numbers, encode},
        run::DeviceModel,
    };
    use samara_runtime::{Session, arena::AlignedBuffer};

    /// What a delay of int8 values with this zero point gives, run by run.
    fn runs<const IN: usize>(elements: usize, outputs: usize, zero_point: i8, inputs: &[[i8; IN]]) -> Vec<Vec<i8>> {
        let graph = DeviceGraph::single("delay", Delay { elements }, &[[IN].into()], [outputs].into());
        let quantizations = [Quantization { scale: 1.0, zero_point }; 2];
        let file = encode(&graph, Numbers::I8 { quantizations: &quantizations, float_ports: false }).expect("a small graph");
        let device = DeviceModel::new(&file.to_bytes()).expect("a file that was just made");
        let model = device.model().expect("a file that was just made");
        let mut arena = AlignedBuffer::zeros(model.arena_bytes());
        let mut session = Session::new(model, arena.as_mut_slice()).expect("an arena that fits");
        let run = |input: &[i8; IN]| {
            session.input_bytes_mut(0).expect("an input").copy_from_slice(&input.map(|value| value as u8));
            session.run();
            session.output_bytes(0).expect("an output").iter().map(|&byte| byte as i8).collect()
        };
        inputs.iter().map(run).collect()
    }

    #[test]
    fn what_came_before_stands_first_and_zeros_before_all() {
        let inputs = [[1, 2], [3, 4], [5, 6]];
        assert_eq!(runs(3, 5, 0, &inputs), [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4], [2, 3, 4, 5, 6]]);
        assert_eq!(runs(3, 5, -7, &inputs), [[-7, -7, -7, 1, 2], [-7, 1, 2, 3, 4], [2, 3, 4, 5, 6]]);
        // The newest come out later where the output is shorter.
        assert_eq!(runs(3, 2, 100, &inputs), [[100, 100], [100, 1], [2, 3]]);
        assert_eq!(runs(1, 2, 0, &inputs), [[0, 1], [2, 3], [4, 5]]);
        assert_eq!(runs(0, 1, 9, &inputs), [[1], [3], [5]]);
    }
}
