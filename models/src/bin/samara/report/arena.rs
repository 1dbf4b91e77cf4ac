//! The arena over time, as a picture: who lies where, from the first node to the last.

use std::fmt::Write as _;

use samara_runtime::format::writer::ModelFile;

use super::chart::COLOURS;
use crate::arena;
use crate::output::thousands;
use samara_models::chart::escape;

/// Pixels.
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 66.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
const LEAST_WIDTH: f64 = 640.0;
const LEAST_STEP: f64 = 18.0;

/// A column for each node, the arena's first byte at the bottom. A tensor is a rectangle from the node that writes it to the last that
/// reads it; scratch is grey, states are dark.
pub fn draw(file: &ModelFile) -> String {
    let nodes = file.nodes.len().max(1);
    let step = LEAST_STEP.max((LEAST_WIDTH - LEFT) / nodes as f64);
    let (wide, high) = (LEFT + step * nodes as f64 + 10.0, TOP + HEIGHT + BOTTOM);
    let bytes = f64::from(file.arena_bytes.max(1));
    let y = |byte: usize| TOP + HEIGHT * (1.0 - byte as f64 / bytes);
    let name = |node: usize| file.metadata.nodes.get(node).map_or(String::new(), |name| escape(name));
    let mut svg = format!(
        "<svg class=\"wide\" viewBox=\"0 0 {wide:.0} {high}\" width=\"{wide:.0}\" role=\"img\" aria-label=\"arena over time\">"
    );
    for quarter in 0..=4 {
        let byte = file.arena_bytes as usize * quarter / 4;
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{1:.1}\"/><text class=\"y\" x=\"{2}\" y=\"{3:.1}\">{4}</text>",
            y(byte),
            wide - 10.0,
            LEFT - 6.0,
            y(byte) + 4.0,
            thousands(byte as u64)
        );
    }
    let mut rectangle = |first: usize, last: usize, range: std::ops::Range<usize>, fill: &str, title: &str| {
        let _ = write!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" fill-opacity=\"0.78\" stroke=\"#fff\" \
             stroke-width=\"0.8\"><title>{title}</title></rect>",
            LEFT + step * first as f64,
            y(range.end),
            step * (last + 1 - first) as f64,
            y(range.start) - y(range.end)
        );
    };
    for (tensor, life) in arena::lives(file).into_iter().enumerate() {
        let Some((first, last)) = life else { continue };
        let range = file.tensors[tensor].range();
        let maker = file.nodes.iter().position(|node| node.output as usize == tensor);
        let maker = maker.map_or("input".to_owned(), name);
        let title = format!("{maker}: {} bytes at {}", thousands(range.len() as u64), thousands(range.start as u64));
        rectangle(first, last.min(nodes - 1), range, COLOURS[tensor % 6], &title);
    }
    for (number, node) in file.nodes.iter().enumerate() {
        for (offset, size, fill, what) in [
            (node.scratch_offset, node.scratch_bytes, "#9aa5b1", "scratch"),
            (node.state_offset, node.state_bytes, "#1c2733", "state"),
        ] {
            if size > 0 {
                let (first, last) = if what == "state" { (0, nodes - 1) } else { (number, number) };
                let title = format!("{what} of {}: {} bytes", name(number), thousands(u64::from(size)));
                rectangle(first, last, offset as usize..(offset + size) as usize, fill, &title);
            }
        }
    }
    let every = (40.0 / step).ceil() as usize;
    for node in (0..nodes).step_by(every.max(1)) {
        let at = LEFT + step * (node as f64 + 0.5);
        let _ = write!(svg, "<text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>", TOP + HEIGHT + 16.0, node + 1);
    }
    let _ = write!(
        svg,
        "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">node, as numbered in the table</text>",
        (LEFT + wide) / 2.0,
        high - 5.0
    );
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    #[test]
    fn every_tensor_has_a_rectangle() {
        let x = input([6]);
        let model = Model::new("m", &x, Dense::new(2).apply(Dense::new(4).named("a<b").apply(&x))).unwrap();
        let file = ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap();
        let scratch = file.nodes.iter().filter(|node| node.scratch_bytes > 0).count();
        let svg = draw(&file);
        assert_eq!(svg.matches("<rect").count(), file.tensors.len() + scratch, "{svg}");
        assert!(svg.contains("a&lt;b: 16 bytes") && !svg.contains("NaN"), "{svg}");
    }
}
