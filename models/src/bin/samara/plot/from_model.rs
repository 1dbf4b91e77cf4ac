//! The picture of a model of the trainer: a box for each layer.

use std::collections::HashMap;
use std::sync::Arc;

use samara_trainer::Model;
use samara_trainer::graph::{Graph, Node};

use super::picture::{Block, Blocks, Family, Picture};
use crate::output::thousands;

/// A line of text that is longer is broken, where there is a comma.
const LONGEST_LINE: usize = 34;

/// A box for each layer, with its activation in it; one that is applied several times, alone or as part of a model, has one box.
pub fn picture(model: &Model) -> Picture {
    let graph = model.graph();
    let mut blocks = Blocks::default();
    let mut box_of_layer: HashMap<Identity, usize> = HashMap::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        if node.part_of.is_some() {
            blocks.fold(blocks.block_of[node.inputs[0]], &node.inputs);
            continue;
        }
        let identity = identity(node);
        let known = identity.and_then(|identity| box_of_layer.get(&identity).copied());
        if known.is_some_and(|known| blocks.apply_again(known, &node.inputs)) {
            continue;
        }
        blocks.add(block(graph, node), &node.inputs);
        if let Some(identity) = identity {
            box_of_layer.entry(identity).or_insert(blocks.block_of[number]);
        }
    }
    for (&node, name) in graph.outputs.iter().zip(graph.output_names()) {
        blocks.add(Block::new(Family::Port, vec![format!("output {name}")]), &[node]);
    }
    let parameters: usize = model.parameters().iter().map(|entry| entry.shape.size()).sum();
    blocks.picture(format!("{}: {} parameters", model.name(), thousands(parameters as u64)))
}

/// What tells layers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Identity {
    /// By where their parameters are.
    Parameters(usize),
    /// By where they are themselves: those of a model have one place, however often it is applied.
    Place(*const ()),
}

/// Of a layer with parameters, or within an applied model: others may be applied several times, but have nothing to share.
fn identity(node: &Node) -> Option<Identity> {
    let layer = node.layer.as_ref()?;
    if !node.parameters.is_empty() {
        return Some(Identity::Parameters(node.parameters.start));
    }
    (!node.scopes.is_empty()).then(|| Identity::Place(Arc::as_ptr(layer).cast()))
}

fn block(graph: &Graph, node: &Node) -> Block {
    let sizes: Vec<String> = node.shape.iter().map(usize::to_string).collect();
    let shape = if node.length_group > 0 { format!("\u{2264} {}", sizes.join(" x ")) } else { sizes.join(" x ") };
    let Some(layer) = &node.layer else {
        return Block::new(Family::Port, vec![format!("input {}", node.name), shape]);
    };
    let scope = node.scopes.last().map_or("", String::as_str);
    let name = node.name.strip_prefix(scope).map_or(node.name.as_str(), |rest| rest.trim_start_matches('/'));
    let described = layer.describe();
    let what = if described.is_empty() { layer.kind().to_owned() } else { format!("{}: {described}", layer.kind()) };
    let mut lines = vec![name.to_owned()];
    lines.extend(broken(&what));
    let parameters: usize = graph.parameters[node.parameters.clone()].iter().map(|entry| entry.shape.size()).sum();
    let parameters = if parameters > 0 { format!(", {} parameters", thousands(parameters as u64)) } else { String::new() };
    lines.push(format!("{shape}{parameters}"));
    Block { path: node.scopes.clone(), ..Block::new(Family::of(layer.kind()), lines) }
}

/// The text in lines that are not too long, if its commas allow.
fn broken(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in text.split(", ") {
        match lines.last_mut() {
            Some(line) if line.chars().count() + part.chars().count() < LONGEST_LINE => *line += &format!(", {part}"),
            _ => lines.push(part.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    fn names(picture: &Picture) -> Vec<&str> {
        picture.blocks.iter().map(|block| block.lines[0].as_str()).collect()
    }

    #[test]
    fn an_applied_model_has_its_boxes_once() {
        let (a, b, x) = (input([4]).named("a"), input([4]).named("b"), input([4]));
        let hidden = Dense::new(5).named("hidden").activation(Activation::Relu).apply(&x);
        let base = Model::new("base", &x, Dense::new(3).named("code").apply(hidden)).unwrap();
        let both = Concatenate::new().named("both").apply([&base.apply(&a), &base.apply(&b)]);
        let model = Model::new("pair", [&a, &b], Dense::new(1).named("same").apply(both)).unwrap();
        let picture = picture(&model);
        assert_eq!(names(&picture), ["input a", "input b", "hidden", "code", "both", "same", "output same"]);
        assert_eq!(picture.arrows.iter().filter(|arrow| **arrow == (3, 4)).count(), 2);
        assert_eq!((picture.blocks[2].times, &picture.blocks[3].path[..]), (2, &["base".to_owned()][..]));
        assert_eq!(picture.blocks[2].lines[1..], ["Dense: 5 units, relu", "5, 25 parameters"]);
        assert_eq!(picture.title, "pair: 50 parameters");
    }

    #[test]
    fn a_layer_applied_to_what_it_gave_has_two_boxes() {
        let x = input([4]);
        let dense = Dense::new(4).named("again");
        let model = Model::new("twice", &x, dense.apply(dense.apply(&x))).unwrap();
        assert_eq!(names(&picture(&model))[1..3], ["again", "again@1"]);
    }

    #[test]
    fn long_texts_are_broken_at_commas() {
        assert_eq!(
            broken("Conv2D: 32 filters, 3x3, strides 2, same, relu"),
            ["Conv2D: 32 filters, 3x3, strides 2", "same, relu"]
        );
        assert_eq!(broken("short"), ["short"]);
    }
}
