//! Frames around the nodes of models that were applied like layers, for pictures of graphs.

use std::collections::{BTreeMap, HashSet};

/// A rectangle of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Area {
    fn around(self, other: Self) -> Self {
        let smaller = |a: f64, b: f64| if b < a { b } else { a };
        let larger = |a: f64, b: f64| if b > a { b } else { a };
        Self {
            left: smaller(self.left, other.left),
            top: smaller(self.top, other.top),
            right: larger(self.right, other.right),
            bottom: larger(self.bottom, other.bottom),
        }
    }

    fn wider(self, by: f64) -> Self {
        Self { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by }
    }

    fn meets(self, other: Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }
}

/// The frames of applied models, outer ones first, for the boxes of nodes with these names. An applied model is what stands
/// before a slash and is no node itself: `base` of `base/dense`, but not `dense` of `dense` and `dense/softmax`. Where another
/// node's box would lie within a frame, there is none: the names say it, too.
pub fn frames<'a>(boxes: &[(&'a str, Area)], margin: f64) -> Vec<(&'a str, Area)> {
    let nodes: HashSet<&str> = boxes.iter().map(|(name, _)| *name).collect();
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, (name, _)) in boxes.iter().enumerate() {
        let prefixes = name.match_indices('/').map(|(place, _)| &name[..place]);
        prefixes.filter(|prefix| !nodes.contains(prefix)).for_each(|prefix| members.entry(prefix).or_default().push(number));
    }
    let depth = members.keys().map(|prefix| prefix.matches('/').count()).max().unwrap_or(0);
    let framed = members.into_iter().filter_map(|(prefix, own)| {
        let area = own.iter().map(|&number| boxes[number].1).reduce(Area::around)?;
        // An outer frame has room for those within.
        let area = area.wider(margin * (1 + depth - prefix.matches('/').count()) as f64);
        let is_foreign = |(number, (_, other)): (usize, &(&str, Area))| !own.contains(&number) && area.meets(*other);
        (!boxes.iter().enumerate().any(is_foreign)).then_some((prefix, area))
    });
    framed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(left: f64, top: f64) -> Area {
        Area { left, top, right: left + 10.0, bottom: top + 10.0 }
    }

    #[test]
    fn nodes_of_an_applied_model_have_a_frame() {
        let boxes = [
            ("input", at(0.0, 0.0)),
            ("base/dense", at(0.0, 20.0)),
            ("base/inner/dense", at(0.0, 40.0)),
            ("base/inner/dense/softmax", at(0.0, 60.0)),
            ("base@1/dense", at(30.0, 20.0)),
            ("head", at(0.0, 80.0)),
            ("head/softmax", at(0.0, 100.0)),
        ];
        let wanted = [
            ("base", Area { left: -4.0, top: 16.0, right: 14.0, bottom: 74.0 }),
            ("base/inner", Area { left: -2.0, top: 38.0, right: 12.0, bottom: 72.0 }),
            ("base@1", Area { left: 26.0, top: 16.0, right: 44.0, bottom: 34.0 }),
        ];
        assert_eq!(frames(&boxes, 2.0), wanted);
    }

    #[test]
    fn no_frame_is_around_the_node_of_another() {
        let boxes = [("base/a", at(0.0, 0.0)), ("between", at(0.0, 20.0)), ("base/b", at(0.0, 40.0))];
        assert_eq!(frames(&boxes, 2.0), []);
    }
}
