//! Conversions between f32 and int8: no op of a graph, since a graph knows real numbers only, but what the exporter puts around
//! int8 graphs whose inputs and outputs are f32.

use super::{DeviceOpKind, OpExample, registry::encoding};
use crate::device::DeviceGraph;
use samara_runtime::ops::quantize::{DEQUANTIZE, QUANTIZE};

pub(super) static KIND: DeviceOpKind = DeviceOpKind {
    name: "convert",
    encodings: &[encoding!(QUANTIZE), encoding!(DEQUANTIZE)],
    examples,
    #[cfg(test)]
    golden: &[
        super::golden::vectors("quantize", 0.0, |case| identity(case.size())),
        super::golden::vectors("dequantize", 0.0, |case| identity(case.size())),
    ],
};

fn examples() -> Vec<OpExample> {
    let example =
        |name: &str, size| OpExample { name: name.to_owned(), graph: identity(size), float_ports: true, forms: Vec::new() };
    vec![example("convert", 7), example("convert_odd", 50)]
}

/// A graph that gives its input back: with f32 ports, both conversions.
fn identity(size: usize) -> DeviceGraph {
    let mut graph = DeviceGraph { name: "conversions".to_owned(), ..DeviceGraph::default() };
    let value = graph.input([size].into(), "input");
    graph.outputs.push(value);
    graph
}
