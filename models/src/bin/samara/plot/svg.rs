//! A picture of a graph as SVG.

use std::fmt::Write as _;

use samara_models::chart::escape;

use super::frames::{Area, frames};
use super::layout::{self, Item, Link, Node, Placed};
use super::picture::{Block, Family, Picture};

/// Pixels: of a line of text, around the text of a box, between layers, around everything, of the title.
const LINE: f64 = 17.0;
const MARGIN: f64 = 10.0;
const BETWEEN_LAYERS: f64 = 34.0;
const AROUND: f64 = 20.0;
const TITLE: f64 = 50.0;
/// Room between the boxes of an applied model and its frame, and for its name.
const FRAME: f64 = 9.0;
const FRAME_TITLE: f64 = 14.0;
/// Between arrows that end at one box.
const ARROWS: f64 = 16.0;

const STYLE: &str = "text { font: 13px 'DejaVu Sans', Verdana, sans-serif; text-anchor: middle; fill: #1c2733 } \
    .title { font-size: 15px; font-weight: bold } .name { font-weight: bold } \
    .frame { fill: #1c2733; fill-opacity: 0.035; stroke: #8795a5; stroke-dasharray: 5 4 } \
    .of-frame { text-anchor: start; fill: #5a6b7d; font-style: italic } \
    .arrow { fill: none; stroke: #5a6b7d; stroke-width: 1.4 }";

/// The picture: boxes in layers from top to bottom, those of applied models in frames.
pub fn draw(picture: &Picture) -> String {
    let scene = Scene::new(picture);
    let (wide, high) = (scene.width, scene.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">\n\
         <style>{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0.8L7.5 4L0 7.2z\" fill=\"#5a6b7d\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"{:.1}\" y=\"28\">{}</text>\n",
        wide / 2.0,
        escape(&picture.title)
    );
    let [frames, names] = scene.frames();
    svg += &frames;
    for edge in 0..picture.arrows.len() {
        svg += &scene.arrow(edge);
    }
    svg += &names;
    for (layer, item) in scene.items() {
        if let Some(node) = item.node {
            svg += &draw_box(&picture.blocks[node], scene.area(layer, item));
        }
    }
    svg + "</svg>\n"
}

/// A picture whose boxes have places.
struct Scene<'a> {
    picture: &'a Picture,
    placed: Placed,
    /// Of each layer.
    tops: Vec<f64>,
    bottoms: Vec<f64>,
    left: f64,
    width: f64,
    height: f64,
}

impl<'a> Scene<'a> {
    fn new(picture: &'a Picture) -> Self {
        let blocks = &picture.blocks;
        let mut groups: Vec<&str> = Vec::new();
        let mut group = |block: &'a Block| {
            let Some(model) = block.path.first() else { return usize::MAX };
            groups.iter().position(|known| known == model).unwrap_or_else(|| {
                groups.push(model);
                groups.len() - 1
            })
        };
        let nodes: Vec<Node> = blocks.iter().map(|block| Node { width: width(block), group: group(block) }).collect();
        let placed = layout::place(&nodes, &picture.arrows);
        let depth = |layer: &[Item]| layer.iter().filter_map(|item| item.node).map(|node| blocks[node].path.len()).max();
        let high =
            |layer: &[Item]| layer.iter().filter_map(|item| item.node).map(|node| height(&blocks[node])).reduce(f64::max);
        let (mut tops, mut bottoms) = (Vec::new(), Vec::new());
        let (mut y, mut before) = (TITLE, 0);
        for layer in &placed.layers {
            // Where frames begin, their names need room; where they end, their edge.
            let now = depth(layer).unwrap_or(before);
            y += now.saturating_sub(before) as f64 * (FRAME + FRAME_TITLE) + before.saturating_sub(now) as f64 * FRAME;
            before = now;
            tops.push(y);
            y += high(layer).unwrap_or(0.0);
            bottoms.push(y);
            y += BETWEEN_LAYERS;
        }
        let around = AROUND + FRAME * blocks.iter().map(|block| block.path.len()).max().unwrap_or(0) as f64;
        let width = (placed.width + 2.0 * around).max(text_width(&picture.title, 15.0) * 1.1 + 2.0 * AROUND);
        let left = (width - placed.width) / 2.0;
        let height = bottoms.last().copied().unwrap_or(TITLE) + around;
        Self { picture, placed, tops, bottoms, left, width, height }
    }

    fn items(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.placed.layers.iter().enumerate().flat_map(|(layer, items)| items.iter().map(move |item| (layer, item)))
    }

    /// Of a box, which stands in the middle of its layer; of a line that passes, the layer's height.
    fn area(&self, layer: usize, item: &Item) -> Area {
        let (x, top, bottom) = (item.x + self.left, self.tops[layer], self.bottoms[layer]);
        let Some(node) = item.node else { return Area { left: x, top, right: x, bottom } };
        let block = &self.picture.blocks[node];
        let (half, space) = (width(block) / 2.0, (bottom - top - height(block)) / 2.0);
        Area { left: x - half, top: top + space, right: x + half, bottom: bottom - space }
    }

    /// The frames of applied models, and their names, which stand above arrows.
    fn frames(&self) -> [String; 2] {
        let of_item =
            |(layer, item): (usize, &'_ Item)| Some((&self.picture.blocks[item.node?].path[..], self.area(layer, item)));
        let boxes: Vec<_> = self.items().filter_map(of_item).collect();
        let [mut svg, mut names] = [String::new(), String::new()];
        for (name, Area { left, top, right, bottom }) in frames(&boxes, FRAME, FRAME_TITLE) {
            let within = self.picture.blocks.iter().filter(|block| block.path.iter().any(|model| model == name));
            let times = within.map(|block| block.times).min().unwrap_or(1);
            let times = if times > 1 { format!(" \u{d7} {times}") } else { String::new() };
            let (wide, high) = (right - left, bottom - top);
            let _ = writeln!(
                svg,
                "<rect class=\"frame\" rx=\"6\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"/>"
            );
            let (x, y) = (left + 8.0, top + 15.0);
            let _ = writeln!(names, "<text class=\"of-frame\" x=\"{x:.1}\" y=\"{y:.1}\">{}{times}</text>", escape(name));
        }
        [svg, names]
    }

    /// A line from box to box, straight down through the layers that it passes.
    fn arrow(&self, edge: usize) -> String {
        let mut pieces: Vec<Link> = self.placed.links.iter().filter(|link| link.edge == edge).copied().collect();
        pieces.sort_by_key(|link| link.layer);
        let mut path = String::new();
        for (number, link) in pieces.iter().enumerate() {
            let (start, end) = (&self.placed.layers[link.layer][link.from], &self.placed.layers[link.layer + 1][link.to]);
            let (from, to) = (self.area(link.layer, start), self.area(link.layer + 1, end));
            let x0 = start.x + self.left;
            let x1 = end.x + self.left + if end.node.is_some() { self.shift(link) } else { 0.0 };
            if number == 0 {
                let _ = write!(path, "M{x0:.1} {:.1}", from.bottom);
            }
            let (y0, y1) = (self.bottoms[link.layer], to.top.max(self.tops[link.layer + 1]));
            let bend = (y1 - y0) * 0.55;
            let _ = write!(path, "V{y0:.1}C{x0:.1} {:.1} {x1:.1} {:.1} {x1:.1} {y1:.1}", y0 + bend, y1 - bend);
            if end.node.is_none() {
                let _ = write!(path, "V{:.1}", to.bottom);
            }
        }
        format!("<path class=\"arrow\" marker-end=\"url(#tip)\" d=\"{path}\"/>\n")
    }

    /// How far from a box's middle a line ends: they end side by side, in the order in which they come.
    fn shift(&self, link: &Link) -> f64 {
        let mut ends: Vec<&Link> =
            self.placed.links.iter().filter(|other| other.layer == link.layer && other.to == link.to).collect();
        ends.sort_by(|a, b| {
            let x = |link: &Link| self.placed.layers[link.layer][link.from].x;
            x(a).total_cmp(&x(b)).then(a.edge.cmp(&b.edge))
        });
        let own = ends.iter().position(|other| *other == link).unwrap_or(0);
        let Some(node) = self.placed.layers[link.layer + 1][link.to].node else { return 0.0 };
        let room = width(&self.picture.blocks[node]) - 2.0 * MARGIN;
        let step = ARROWS.min(room / ends.len() as f64);
        (own as f64 - (ends.len() - 1) as f64 / 2.0) * step
    }
}

fn draw_box(block: &Block, Area { left, top, right, bottom }: Area) -> String {
    let (fill, stroke) = colours(block.family);
    let mut svg = format!(
        "<rect rx=\"6\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" stroke=\"{stroke}\"/>\n",
        right - left,
        bottom - top
    );
    for (number, line) in block.lines.iter().enumerate() {
        let class = if number == 0 { " class=\"name\"" } else { "" };
        let y = top + MARGIN / 2.0 + LINE * (number as f64 + 0.8);
        let _ = writeln!(svg, "<text{class} x=\"{:.1}\" y=\"{y:.1}\">{}</text>", (left + right) / 2.0, escape(line));
    }
    svg
}

/// Of the box and of its edge.
const fn colours(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Port => ("#eef1f4", "#5a6b7d"),
        Family::Convolution => ("#dcebfa", "#3b78b5"),
        Family::Dense => ("#e9e2f7", "#7a5cb8"),
        Family::Recurrent => ("#fde7d3", "#c97a2b"),
        Family::Pool => ("#dff3e4", "#4b9a64"),
        Family::Normalization => ("#e2f1f1", "#4a9293"),
        Family::Merge => ("#fdf4cf", "#b6962b"),
        Family::Embedding => ("#fbe3ee", "#b8578a"),
        Family::Activation => ("#fbe4e1", "#bf5f52"),
        Family::Other => ("#ffffff", "#8795a5"),
    }
}

fn height(block: &Block) -> f64 {
    LINE * block.lines.len() as f64 + MARGIN
}

fn width(block: &Block) -> f64 {
    // Bold letters are wider.
    let lines =
        block.lines.iter().enumerate().map(|(number, line)| text_width(line, 13.0) * if number == 0 { 1.12 } else { 1.0 });
    lines.fold(0.0, f64::max) + 2.0 * MARGIN
}

/// About as wide as the widest of the fonts.
pub fn text_width(text: &str, size: f64) -> f64 {
    let letter = |letter: char| match letter {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' | ' ' | 'I' => 0.33,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '/' | '-' => 0.41,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.95,
        'A'..='Z' | '\u{2264}' => 0.74,
        _ => 0.62,
    };
    text.chars().map(letter).sum::<f64>() * size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let block = |name: &str, path: &[&str], times| Block {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            times,
            ..Block::new(Family::Dense, vec![name.to_owned(), "5 units".to_owned()])
        };
        let blocks = vec![
            block("a", &[], 1),
            block("b", &[], 1),
            block("shared", &["base"], 2),
            block("code", &["base"], 2),
            block("together", &[], 1),
        ];
        Picture { title: "pair".to_owned(), blocks, arrows: vec![(0, 2), (1, 2), (2, 3), (2, 3), (3, 4), (3, 4), (0, 4)] }
    }

    #[test]
    fn every_box_and_every_arrow_is_drawn() {
        let svg = draw(&picture());
        // The page, five boxes, a frame.
        assert_eq!((svg.matches("<rect").count(), svg.matches("<path class=\"arrow\"").count()), (7, 7), "{svg}");
        assert_eq!(svg.matches(">base \u{d7} 2<").count(), 1, "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    /// Two arrows from one box to another are two.
    #[test]
    fn arrows_end_side_by_side() {
        let svg = draw(&picture());
        let ends: Vec<&str> = svg.lines().filter(|line| line.contains("class=\"arrow\"")).collect();
        let mut different = ends.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), ends.len(), "{ends:#?}");
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let svg = draw(&Picture { title: "none".to_owned(), blocks: Vec::new(), arrows: Vec::new() });
        assert!(svg.contains(">none</text>"), "{svg}");
    }
}
