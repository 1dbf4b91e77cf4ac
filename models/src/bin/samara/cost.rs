//! About what an inference takes on a Cortex-M4F: what `cargo xtask device-bench --nodes` counted for each multiply-accumulate of the nets in
//! the zoo, times those of a file. It orders files by their cost; the bench counts.

use samara_runtime::ALL_OPS;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::device::run::DeviceModel;

/// Instructions for ten multiply-accumulates, by op.
const OF_TEN: [(&str, u64); 9] = [
    ("dense_i8", 13),
    ("conv2d_i8", 14),
    ("depthwise_conv2d_i8", 32),
    ("dense_i16", 30),
    ("conv2d_i16", 20),
    ("depthwise_conv2d_i16", 66),
    ("dense_f32", 40),
    ("conv2d_f32", 45),
    ("depthwise_conv2d_f32", 80),
];
/// Instructions for an element that comes out of another op.
const OF_AN_ELEMENT: u64 = 10;

/// Instructions of an inference, about.
pub fn instructions(file: &DeviceModel) -> u64 {
    let Ok(file) = ModelFile::from_bytes(file.bytes()) else { return 0 };
    let of_node = |node: &samara_runtime::format::writer::NodeRecord| {
        let name = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name);
        let elements = file.tensors.get(node.output as usize).map_or(0, |tensor| tensor.elements() as u64);
        match OF_TEN.iter().find(|(op, _)| *op == name) {
            Some((_, of_ten)) => u64::from(node.macs) * of_ten / 10,
            // Other ops with products, as recurrent ones: as dense.
            None => elements * OF_AN_ELEMENT + u64::from(node.macs) * 2,
        }
    };
    file.nodes.iter().map(of_node).sum()
}
