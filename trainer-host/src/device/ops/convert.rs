//! Conversions between f32 and int8: no op of a graph, since a graph knows real numbers only, but what the exporter puts around
//! int8 graphs whose inputs and outputs are f32.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::DeviceGraph;
use samara_runtime::ops::quantize::{DEQUANTIZE, QUANTIZE};

pub(super) static KIND: DeviceOpKind =
    DeviceOpKind { name: "convert", encodings: &[encoding!(QUANTIZE), encoding!(DEQUANTIZE)], examples };

fn examples() -> Vec<OpExample> {
    let example = |name: &str, size: usize| {
        let mut graph = DeviceGraph { name: name.to_owned(), ..DeviceGraph::default() };
        let value = graph.input([size].into(), "input");
        graph.outputs.push(value);
        OpExample { name: name.to_owned(), graph, float_ports: true }
    };
    vec![example("convert", 7), example("convert_odd", 50)]
}
