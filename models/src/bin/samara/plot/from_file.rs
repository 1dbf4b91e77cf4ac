//! The picture of a model file for devices: a box for each node.

use std::collections::HashMap;

use samara_runtime::format::writer::{ModelFile, NodeRecord};
use samara_runtime::{ALL_OPS, Tensor};

use super::picture::{Block, Blocks, Family, Picture};
use crate::output::thousands;

/// A box for each node. Further applications of a layer or a model, whose names end in `@1` and so on, have the box of the first.
pub fn picture(file: &ModelFile) -> Picture {
    let mut blocks = Blocks::default();
    let mut writer_of: HashMap<u32, usize> = HashMap::new();
    let mut node_of: HashMap<String, usize> = HashMap::new();
    let models = applied_models(file);
    for &input in &file.inputs {
        writer_of.insert(input, blocks.block_of.len());
        let name = file.metadata.tensors.get(input as usize).map_or("", String::as_str);
        let lines = vec![format!("input {name}").trim_end().to_owned(), form(&file.tensors[input as usize])];
        blocks.add(Block::new(Family::Port, lines), &[]);
    }
    for (number, node) in file.nodes.iter().enumerate() {
        let name = file.metadata.nodes.get(number).map_or("", String::as_str);
        let inputs: Vec<usize> = node.inputs.iter().filter_map(|input| writer_of.get(input).copied()).collect();
        writer_of.insert(node.output, blocks.block_of.len());
        let first = first_application(name);
        let is_again = node_of.get(&first).is_some_and(|&known| {
            let is_same = file.nodes[known].code == node.code && first != name;
            is_same && blocks.apply_again(blocks.block_of[file.inputs.len() + known], &inputs)
        });
        if !is_again {
            blocks.add(block(file, node, name, &models), &inputs);
            node_of.insert(name.to_owned(), number);
        }
    }
    for &output in &file.outputs {
        let inputs: Vec<usize> = writer_of.get(&output).copied().into_iter().collect();
        blocks.add(Block::new(Family::Port, vec!["output".to_owned(), form(&file.tensors[output as usize])]), &inputs);
    }
    blocks.picture(format!(
        "{}: {} multiply-accumulates, {} bytes of arena",
        file.metadata.name,
        thousands(file.macs()),
        thousands(u64::from(file.arena_bytes))
    ))
}

fn block(file: &ModelFile, node: &NodeRecord, name: &str, models: &[String]) -> Block {
    let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name);
    let path: Vec<String> = models.iter().filter(|model| is_within(name, model)).cloned().collect();
    let scope = path.last().map_or("", String::as_str);
    let own = name.strip_prefix(scope).map_or(name, |rest| rest.trim_start_matches('/'));
    let mut lines = vec![own.to_owned(), op.to_owned(), form(&file.tensors[node.output as usize])];
    if node.macs > 0 {
        lines.push(format!("{} MACs", thousands(u64::from(node.macs))));
    }
    Block { path, ..Block::new(Family::of(op), lines) }
}

/// What stands before a slash in names and is no node itself: `base` of `base/dense`, but not `dense` of `dense` and `dense/softmax`.
/// Outer ones first.
fn applied_models(file: &ModelFile) -> Vec<String> {
    let names = &file.metadata.nodes;
    let mut models: Vec<String> = Vec::new();
    for name in names {
        for (place, _) in name.match_indices('/') {
            let model = &name[..place];
            if !names.iter().any(|other| other == model) && !models.iter().any(|known| known == model) {
                models.push(model.to_owned());
            }
        }
    }
    models
}

fn is_within(name: &str, model: &str) -> bool {
    name.strip_prefix(model).is_some_and(|rest| rest.starts_with('/'))
}

/// The name without what tells applications apart: `base/dense` of `base@1/dense`.
fn first_application(name: &str) -> String {
    let strip = |part: &str| match part.rsplit_once('@') {
        Some((first, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => first.to_owned(),
        _ => part.to_owned(),
    };
    name.split('/').map(strip).collect::<Vec<_>>().join("/")
}

/// Shape and type: `14 x 14 x 16 int8`.
fn form(tensor: &Tensor) -> String {
    let sizes: Vec<String> = tensor.shape().iter().map(u32::to_string).collect();
    format!("{} {}", sizes.join(" x "), tensor.element_type.name())
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    fn picture_of(model: &Model) -> (ModelFile, Picture) {
        let file = ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap();
        let picture = picture(&file);
        (file, picture)
    }

    #[test]
    fn every_node_has_a_box_and_every_use_an_arrow() {
        let (file, picture) = picture_of(&samara_models::resnet8().unwrap());
        assert_eq!(picture.blocks.len(), file.nodes.len() + 2);
        assert_eq!(picture.arrows.len(), file.nodes.iter().map(|node| node.inputs.len()).sum::<usize>() + 1);
        assert!(picture.title.starts_with("resnet8: 12,501,632 multiply-accumulates"), "{}", picture.title);
    }

    #[test]
    fn applied_models_are_drawn_once() {
        let (a, b, x) = (input([4]), input([4]), input([4]));
        let base = Model::new("base", &x, Dense::new(3).apply(Dense::new(5).apply(&x))).unwrap();
        let both = Concatenate::new().apply([&base.apply(&a), &base.apply(&b)]);
        let (file, picture) = picture_of(&Model::new("pair", [&a, &b], Dense::new(1).apply(both)).unwrap());
        let within: Vec<&Block> = picture.blocks.iter().filter(|block| !block.path.is_empty()).collect();
        assert_eq!(within.len(), 2, "{picture:?}");
        assert!(within.iter().all(|block| block.path == ["base"] && block.times == 2), "{within:?}");
        assert_eq!(picture.arrows.len(), file.nodes.iter().map(|node| node.inputs.len()).sum::<usize>() + 1);
    }

    #[test]
    fn names_of_further_applications_lead_to_the_first() {
        let names = ["base@1/dense", "dense@12", "a@b/c", "a@", "x"].map(first_application);
        assert_eq!(names, ["base/dense", "dense", "a@b/c", "a@", "x"]);
    }
}
