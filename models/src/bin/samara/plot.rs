//! `samara plot`: a picture of the graph in a model file.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use samara_runtime::{ALL_OPS, Tensor, format::writer::ModelFile};
use samara_trainer::device::run::DeviceModel;
use serde_json::json;

use crate::frames::{Area, frames};
use crate::layout::{self, Item};
use crate::{files, output};

/// Arguments of `samara plot`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file
    file: PathBuf,
    /// The SVG file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Draws and writes.
///
/// # Errors
/// If the file cannot be read, is no model, or the picture cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let shown = || arguments.file.display().to_string();
    let model = DeviceModel::new(&files::read(&arguments.file)?).with_context(shown)?;
    let file = ModelFile::from_bytes(model.bytes()).with_context(shown)?;
    files::write(&arguments.out, draw(&file).as_bytes())?;
    if arguments.json {
        return output::print_json(&json!({
            "file": arguments.file, "model": file.metadata.name, "out": arguments.out,
            "macs": file.macs(), "arena_bytes": file.arena_bytes, "model_bytes": model.bytes().len(),
        }));
    }
    output::note(&format!("{} nodes drawn in {}", file.nodes.len(), arguments.out.display()));
    Ok(())
}

/// Pixels: of a letter in the fixed-width font, of a line of text, around boxes, and between layers.
const LETTER: f64 = 7.3;
const LINE: f64 = 17.0;
const MARGIN: f64 = 10.0;
const BETWEEN_LAYERS: f64 = 34.0;
const TITLE_HEIGHT: f64 = 44.0;

/// A box with its lines of text, the first one bold.
struct Shown {
    /// The node's, empty for inputs and outputs.
    name: String,
    lines: Vec<String>,
    class: &'static str,
}

/// The model's boxes, and the lines between them: from, to.
fn graph_of(file: &ModelFile) -> (Vec<Shown>, Vec<(usize, usize)>) {
    let (mut boxes, mut edges) = (Vec::new(), Vec::new());
    let mut writer_of: HashMap<u32, usize> = HashMap::new();
    let name = |tensor: u32| file.metadata.tensors.get(tensor as usize).map_or("", String::as_str);
    for &input in &file.inputs {
        writer_of.insert(input, boxes.len());
        let lines = vec![format!("input {}", name(input)), form(&file.tensors[input as usize])];
        boxes.push(Shown { name: String::new(), lines, class: "port" });
    }
    for (number, node) in file.nodes.iter().enumerate() {
        edges.extend(node.inputs.iter().filter_map(|input| writer_of.get(input)).map(|&from| (from, boxes.len())));
        writer_of.insert(node.output, boxes.len());
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name);
        let name = file.metadata.nodes.get(number).cloned().unwrap_or_default();
        let mut lines = vec![name.clone(), op.to_owned()];
        lines.push(form(&file.tensors[node.output as usize]));
        let macs = file.nodes.get(number).map_or(0, |node| u64::from(node.macs));
        if macs > 0 {
            lines.push(format!("{} MACs", output::thousands(macs)));
        }
        boxes.push(Shown { name, lines, class: if macs > 0 { "heavy" } else { "light" } });
    }
    for &tensor in &file.outputs {
        edges.extend(writer_of.get(&tensor).map(|&from| (from, boxes.len())));
        let lines = vec!["output".to_owned(), form(&file.tensors[tensor as usize])];
        boxes.push(Shown { name: String::new(), lines, class: "port" });
    }
    (boxes, edges)
}

/// Shape and type: `14x14x16 int8`.
fn form(tensor: &Tensor) -> String {
    let sizes: Vec<String> = tensor.shape().iter().map(u32::to_string).collect();
    format!("{} {}", sizes.join("x"), tensor.element_type.name())
}

/// Text as SVG takes it: control characters have no form there.
pub fn escape(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        '<' => "&lt;".to_owned(),
        '&' => "&amp;".to_owned(),
        letter if letter.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&letter) => "\u{fffd}".to_owned(),
        letter => letter.to_string(),
    });
    letters.collect()
}

/// Room between the boxes of an applied model and its frame.
const FRAME: f64 = 6.0;

/// The picture: boxes in layers from top to bottom, those of applied models in frames.
fn draw(file: &ModelFile) -> String {
    let (boxes, edges) = graph_of(file);
    let width = |shown: &Shown| {
        let letters = shown.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        LETTER * letters as f64 + 2.0 * MARGIN
    };
    let widths: Vec<f64> = boxes.iter().map(width).collect();
    let placed = layout::place(&widths, &edges);
    let lines_in = |layer: &[Item]| layer.iter().filter_map(|item| item.node).map(|node| boxes[node].lines.len()).max();
    let mut tops = vec![TITLE_HEIGHT];
    let mut bottoms = Vec::new();
    for layer in &placed.layers {
        let top = tops.last().copied().unwrap_or(0.0);
        bottoms.push(top + LINE * lines_in(layer).unwrap_or(1) as f64 + MARGIN);
        tops.push(bottoms.last().copied().unwrap_or(top) + BETWEEN_LAYERS);
    }
    let bottom_of = |layer: usize, item: &Item| {
        item.node.map_or(bottoms[layer], |node| tops[layer] + LINE * boxes[node].lines.len() as f64 + MARGIN)
    };
    let title = format!(
        "{}: {} multiply-accumulates, {} bytes of arena",
        file.metadata.name,
        output::thousands(file.macs()),
        output::thousands(u64::from(file.arena_bytes))
    );
    let wide = (placed.width + 2.0 * MARGIN).max(LETTER * title.chars().count() as f64 + 4.0 * MARGIN);
    let shift = (wide - placed.width) / 2.0;
    let high = bottoms.last().copied().unwrap_or(TITLE_HEIGHT) + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">\n\
         <style>text {{ font: 12px monospace; text-anchor: middle; fill: #222 }} .name {{ font-weight: bold }} \
         rect {{ stroke: #667; rx: 5px }} .port {{ fill: #eee }} .light {{ fill: #fff }} .heavy {{ fill: #dcebfa }} \
         .frame {{ fill: #f6f4ea; stroke: #ba8; stroke-dasharray: 5 3 }} .of-frame {{ text-anchor: start; fill: #875 }} \
         path {{ fill: none; stroke: #667; stroke-width: 1.3 }}</style>\n\
         <rect class=\"light\" style=\"stroke: none\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"name\" x=\"{:.1}\" y=\"26\">{}</text>\n",
        wide / 2.0,
        escape(&title)
    );
    let items = placed.layers.iter().enumerate().flat_map(|(layer, items)| items.iter().map(move |item| (layer, item)));
    let areas = items.filter_map(|(layer, item)| {
        let (node, x) = (item.node?, item.x + shift);
        let name = boxes[node].name.as_str();
        let half = widths[node] / 2.0;
        Some((name, Area { left: x - half, top: tops[layer], right: x + half, bottom: bottom_of(layer, item) }))
    });
    for (name, Area { left, top, right, bottom }) in frames(&areas.collect::<Vec<_>>(), FRAME) {
        let (wide, high) = (right - left, bottom - top);
        svg += &format!(
            "<rect class=\"frame\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"/>\n\
             <text class=\"of-frame\" x=\"{left:.1}\" y=\"{:.1}\">{}</text>\n",
            top - 3.0,
            escape(name)
        );
    }
    for &(layer, from, to) in &placed.links {
        let (start, end) = (&placed.layers[layer][from], &placed.layers[layer + 1][to]);
        let (x0, y0, x1, y1) = (start.x + shift, bottom_of(layer, start), end.x + shift, tops[layer + 1]);
        let middle = (bottoms[layer] + y1) / 2.0;
        svg += &format!(
            "<path d=\"M{x0:.1} {y0:.1}V{:.1}C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}",
            bottoms[layer]
        );
        // A line that only passes through the next layer goes on to its lower edge.
        svg += &end.node.map_or(format!("V{:.1}\"/>\n", bottoms[layer + 1]), |_| "\"/>\n".to_owned());
    }
    for (layer, items) in placed.layers.iter().enumerate() {
        for (item, node) in items.iter().filter_map(|item| item.node.map(|node| (item, node))) {
            let (x, top, shown) = (item.x + shift, tops[layer], &boxes[node]);
            let (left, high) = (x - widths[node] / 2.0, LINE * shown.lines.len() as f64 + MARGIN);
            let class = shown.class;
            svg += &format!(
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{high:.1}\"/>\n",
                widths[node]
            );
            for (number, line) in shown.lines.iter().enumerate() {
                let style = if number == 0 { " class=\"name\"" } else { "" };
                let y = top + LINE * (number + 1) as f64;
                svg += &format!("<text{style} x=\"{x:.1}\" y=\"{y:.1}\">{}</text>\n", escape(line));
            }
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    #[test]
    fn names_cannot_break_the_picture() {
        assert_eq!(escape("a<b>&\u{1}c"), "a&lt;b>&amp;\u{fffd}c");
    }

    /// ResNet-8's second and third shortcut have a convolution of their own: two forks of two, and one of the identity.
    #[test]
    fn every_node_has_a_box_and_every_use_a_line() {
        let model = samara_models::resnet8().unwrap();
        let file = ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap();
        let (boxes, edges) = graph_of(&file);
        assert_eq!(boxes.len(), file.nodes.len() + 2);
        assert_eq!(edges.len(), file.nodes.iter().map(|node| node.inputs.len()).sum::<usize>() + 1);
        let svg = draw(&file);
        assert_eq!(svg.matches("<rect").count(), boxes.len() + 1);
        assert!(svg.contains(">32x32x16 f32<") && svg.contains("resnet8: 12,501,632 multiply-accumulates"), "{svg}");
    }

    #[test]
    fn applied_models_stand_in_frames() {
        let (a, b, x) = (input([4]), input([4]), input([4]));
        let base = Model::new("base", &x, Dense::new(3).apply(Dense::new(5).apply(&x))).unwrap();
        let both = Concatenate::new().apply([&base.apply(&a), &base.apply(&b)]);
        let model = Model::new("pair", [&a, &b], Dense::new(1).apply(both)).unwrap();
        let svg = draw(&ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap());
        assert_eq!(svg.matches("<rect class=\"frame\"").count(), 2, "{svg}");
        assert!(svg.contains(">base</text>") && svg.contains(">base@1</text>"), "{svg}");
    }
}
