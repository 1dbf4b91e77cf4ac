//! Learning curves: loss and accuracy, epoch by epoch, of several trainings.

use samara_models::chart::{self, Entry, Line, Panel, Stroke};

/// One training's lines in each of the [`PANELS`]: a value for each epoch.
#[derive(Default)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// Measured on what it was trained on.
    pub training: [Vec<f64>; 2],
    /// Measured on what was held out.
    pub validation: [Vec<f64>; 2],
}

/// What the panels show.
pub const PANELS: [&str; 2] = ["loss", "accuracy"];

/// Draws the curves; there are at most as many as [`chart::COLOURS`].
pub fn draw(title: &str, curves: &[Curve]) -> String {
    let line = |colour, stroke, values: &[f64]| {
        let points = (1..).map(f64::from).zip(values.iter().copied()).collect();
        Line { colour, stroke, points }
    };
    let panel = |number: usize| {
        let training = curves.iter().map(|curve| (Stroke::Dashed, &curve.training[number])).enumerate();
        let validation = curves.iter().map(|curve| (Stroke::Solid, &curve.validation[number])).enumerate();
        let lines = training.chain(validation).map(|(colour, (stroke, values))| line(colour, stroke, values));
        Panel { name: PANELS[number], across: "epoch", lines: lines.collect() }
    };
    let strokes = [(Stroke::Solid, "validation"), (Stroke::Dashed, "training")];
    let strokes = strokes.map(|(stroke, label)| Entry { stroke, colour: None, label });
    let colours = curves.iter().enumerate();
    let colours: Vec<Entry<'_>> =
        colours.map(|(colour, curve)| Entry { stroke: Stroke::Solid, colour: Some(colour), label: &curve.label }).collect();
    chart::draw(title, &[panel(0), panel(1)], &[&strokes, &colours])
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_models::chart::COLOURS;

    /// Both lines of a training have its colour; one that came to nothing has only its name.
    #[test]
    fn every_training_has_its_lines_and_its_name() {
        let curve = |label: &str, values: &[f64]| {
            let lines = || [values.to_vec(), values.iter().map(|value| value / 4.0).collect()];
            Curve { label: label.to_owned(), training: lines(), validation: lines() }
        };
        let curves = [curve("a<b", &[2.0, 1.5, 1.0, f64::INFINITY]), curve("second", &[1.0]), curve("nothing", &[])];
        let svg = draw("title", &curves);
        let count = |text: &str| svg.matches(text).count();
        // Two panels with two lines each, and one in the legend.
        assert_eq!([0, 1, 2].map(|number| count(&format!("stroke=\"{}\"", COLOURS[number]))), [5, 5, 1]);
        // The first training's three validations that were finite, the second's validation and training, in each panel.
        assert_eq!(count("<circle"), 2 * (3 + 2));
        assert!(
            ["a&lt;b", "second", "nothing", ">loss<", ">accuracy<", ">epoch<"].iter().all(|text| svg.contains(text)),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!draw("none", &[]).contains("NaN"));
    }
}
