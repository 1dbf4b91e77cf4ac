//! Frames around the boxes of models that were applied like layers.

use std::collections::BTreeMap;

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

/// The frames of applied models, outer ones first, with room of `margin` around the boxes and `title` more above them, for boxes that are
/// within these models each. Where another box would lie within a frame, there is none.
pub fn frames<'a>(boxes: &[(&'a [String], Area)], margin: f64, title: f64) -> Vec<(&'a str, Area)> {
    let mut members: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
    for (number, (path, _)) in boxes.iter().enumerate() {
        (1..=path.len()).for_each(|depth| members.entry(&path[..depth]).or_default().push(number));
    }
    let deepest = members.keys().map(|path| path.len()).max().unwrap_or(0);
    let framed = members.into_iter().filter_map(|(path, own)| {
        let area = own.iter().map(|&number| boxes[number].1).reduce(Area::around)?;
        // An outer frame has room for those within.
        let levels = (1 + deepest - path.len()) as f64;
        let area = area.wider(margin * levels);
        let area = Area { top: area.top - title * levels, ..area };
        let is_foreign = |(number, (_, other)): (usize, &(&[String], Area))| !own.contains(&number) && area.meets(*other);
        (!boxes.iter().enumerate().any(is_foreign)).then_some((path.last()?.as_str(), area))
    });
    framed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(left: f64, top: f64) -> Area {
        Area { left, top, right: left + 10.0, bottom: top + 10.0 }
    }

    fn path(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn boxes_of_an_applied_model_have_a_frame() {
        let (none, base, inner, other) = (path(&[]), path(&["base"]), path(&["base", "base/inner"]), path(&["other"]));
        let boxes = [
            (&none[..], at(0.0, 0.0)),
            (&base[..], at(0.0, 20.0)),
            (&inner[..], at(0.0, 40.0)),
            (&inner[..], at(0.0, 60.0)),
            (&other[..], at(30.0, 20.0)),
            (&none[..], at(0.0, 90.0)),
        ];
        let wanted = [
            ("base", Area { left: -4.0, top: 14.0, right: 14.0, bottom: 74.0 }),
            ("base/inner", Area { left: -2.0, top: 37.0, right: 12.0, bottom: 72.0 }),
            ("other", Area { left: 26.0, top: 14.0, right: 44.0, bottom: 34.0 }),
        ];
        assert_eq!(frames(&boxes, 2.0, 1.0), wanted);
    }

    #[test]
    fn no_frame_is_around_the_box_of_another() {
        let (base, none) = (path(&["base"]), path(&[]));
        let boxes = [(&base[..], at(0.0, 0.0)), (&none[..], at(0.0, 20.0)), (&base[..], at(0.0, 40.0))];
        assert_eq!(frames(&boxes, 2.0, 0.0), []);
    }
}
