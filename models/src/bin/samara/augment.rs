//! `--augment`: random changes of the training samples, pictures `[height, width, channels]`.

use anyhow::{Context, Result};
use samara_trainer::Model;
use samara_trainer::data::augment::{ImageAugmentation, ImageChange};

use crate::names::suggest;

/// What `--help` says.
pub const HELP: &str = "Random changes of the training pictures, drawn anew for each sample and epoch, in this order, behind commas: \
    flip (left and right), flip-vertical, shift:PART (up to this part of height and width), crop:LEAST (a window of this part at least), \
    rotate:DEGREES, zoom:LEAST:LARGEST, contrast:MOST, noise:DEVIATION, cut-out:PIXELS (a square) [default: none]";

/// The changes that a text names.
#[derive(Debug, Clone)]
pub struct Changes(Vec<ImageChange>);

impl Changes {
    /// Reads `flip,shift:0.1`.
    ///
    /// # Errors
    /// What was found and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(change).collect::<Result<_, _>>().map(Self)
    }

    /// The changes for the pictures that a model takes.
    ///
    /// # Errors
    /// If the model takes no pictures, or an argument is out of range.
    pub fn for_model(&self, model: &Model) -> Result<ImageAugmentation> {
        let graph = model.graph();
        let shape = graph.nodes[graph.inputs[0]].shape.clone();
        ImageAugmentation::new(shape, self.0.clone()).context("--augment")
    }
}

fn change(text: &str) -> Result<ImageChange, String> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let numbers = parts.map(|part| part.parse::<f32>().map_err(|_| format!("{text:?} has {part:?}, expected a number")));
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    let square = |side: f32| (side >= 1.0 && side.fract() == 0.0).then_some(side as usize);
    let change = match (name, &numbers[..]) {
        ("flip", []) => Some(ImageChange::FlipHorizontal),
        ("flip-vertical", []) => Some(ImageChange::FlipVertical),
        ("shift", &[part]) => Some(ImageChange::Shift { rows: part, columns: part }),
        ("crop", &[least]) => Some(ImageChange::Crop { least }),
        ("rotate", &[degrees]) => Some(ImageChange::Rotate { degrees }),
        ("zoom", &[least, largest]) => Some(ImageChange::Zoom { least, most: largest }),
        ("contrast", &[most]) => Some(ImageChange::Contrast { most }),
        ("noise", &[deviation]) => Some(ImageChange::Noise { deviation }),
        ("cut-out", &[side]) => square(side).map(|side| ImageChange::CutOut { height: side, width: side }),
        _ => None,
    };
    let forms = [
        "flip",
        "flip-vertical",
        "shift:0.1",
        "crop:0.8",
        "rotate:10",
        "zoom:0.9:1.1",
        "contrast:0.2",
        "noise:0.05",
        "cut-out:8",
    ];
    let names: Vec<&str> = forms.iter().filter_map(|form| form.split(':').next()).collect();
    change.ok_or_else(|| match names.iter().position(|known| *known == name) {
        Some(place) => format!("found {text:?}, expected such as {}", forms[place]),
        None => format!("there is no change {name:?}; {}", suggest(name, &names)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_in_their_order_and_mistakes_told() {
        let Changes(changes) = Changes::parse("flip,shift:0.1,cut-out:8").unwrap();
        assert_eq!(changes.len(), 3);
        assert!(matches!(changes[1], ImageChange::Shift { rows: 0.1, columns: 0.1 }));
        let message = |text: &str| Changes::parse(text).unwrap_err();
        assert_eq!(message("shft:0.1"), "there is no change \"shft\"; did you mean shift?");
        assert_eq!(message("shift"), "found \"shift\", expected such as shift:0.1");
        assert_eq!(message("shift:x"), "\"shift:x\" has \"x\", expected a number");
        assert_eq!(message("cut-out:0.5"), "found \"cut-out:0.5\", expected such as cut-out:8");
    }
}
