//! Learning curves as SVG: loss and accuracy, epoch by epoch, of several trainings.

use std::fmt::Write as _;

use crate::plot::escape;

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

/// Colours that colour-blind readers can tell apart, in this order (M. Okabe, K. Ito, *Color Universal Design*, 2008, without
/// the yellow that a white page swallows, with a grey).
pub const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888"];
/// What the panels show.
pub const PANELS: [&str; 2] = ["loss", "accuracy"];
/// Pixels: of a panel, around it, of a line of the legend and of an entry.
const PANEL_WIDTH: f64 = 350.0;
const PANEL_HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 66.0;
const LEGEND_LINE: f64 = 22.0;
const LEGEND_ENTRY: f64 = 190.0;
const LEGEND_COLUMNS: usize = 4;
/// About so many ticks along an axis.
const TICKS: f64 = 6.0;

/// Draws the curves; there are at most as many as [`COLOURS`].
pub fn draw(title: &str, curves: &[Curve]) -> String {
    let wide = PANELS.len() as f64 * (LEFT + PANEL_WIDTH + RIGHT);
    let legend = TOP + PANEL_HEIGHT + 68.0;
    let high = legend + LEGEND_LINE * (1 + curves.len().div_ceil(LEGEND_COLUMNS)) as f64 - 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\">\n\
         <style>text {{ font: 13px sans-serif; fill: #222 }} .title {{ font-weight: bold; text-anchor: middle }} \
         .x {{ text-anchor: middle }} .y {{ text-anchor: end }} .grid {{ stroke: #ddd }} .axis {{ stroke: #667 }} \
         polyline {{ fill: none; stroke-linejoin: round }} .validation {{ stroke-width: 2.2 }} \
         .training {{ stroke-width: 1.2; stroke-dasharray: 5 3 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"{}\" y=\"24\">{}</text>\n",
        wide / 2.0,
        escape(title)
    );
    for number in 0..PANELS.len() {
        svg += &panel(number, LEFT + number as f64 * (LEFT + PANEL_WIDTH + RIGHT), curves);
    }
    let mut entry = |place: usize, class: &str, colour: &str, label: &str| {
        let x = LEFT + LEGEND_ENTRY * (place % LEGEND_COLUMNS) as f64;
        let y = legend + LEGEND_LINE * (place / LEGEND_COLUMNS) as f64;
        let _ = writeln!(
            svg,
            "<polyline class=\"{class}\" stroke=\"{colour}\" points=\"{x},{y} {},{y}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            x + 30.0,
            x + 38.0,
            y + 4.5,
            escape(label)
        );
    };
    entry(0, "validation", "#222", "validation");
    entry(1, "training", "#222", "training");
    for (number, (curve, colour)) in curves.iter().zip(COLOURS).enumerate() {
        entry(LEGEND_COLUMNS + number, "validation", colour, &curve.label);
    }
    svg + "</svg>\n"
}

/// A measurement over epochs, its left edge at `left`.
fn panel(number: usize, left: f64, curves: &[Curve]) -> String {
    let name = PANELS[number];
    let training: Vec<&[f64]> = curves.iter().map(|curve| &curve.training[number][..]).collect();
    let validation: Vec<&[f64]> = curves.iter().map(|curve| &curve.validation[number][..]).collect();
    let epochs = training.iter().map(|line| line.len()).max().unwrap_or(0).max(2);
    let across = Axis::new(1.0, epochs as f64, 1.0);
    let values = || training.iter().chain(&validation).copied().flatten().copied().filter(|value| value.is_finite());
    let upwards = Axis::new(values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max), 0.0).whole_steps();
    let (right, bottom) = (left + PANEL_WIDTH, TOP + PANEL_HEIGHT);
    let x = |epoch: f64| left + PANEL_WIDTH * across.part(epoch);
    let y = |value: f64| bottom - PANEL_HEIGHT * upwards.part(value);

    let mut svg = format!("<text class=\"x\" x=\"{left}\" y=\"{}\">{name}</text>\n", TOP - 14.0);
    for tick in upwards.ticks() {
        let at = y(tick);
        let text = format!("{tick:.*}", upwards.decimals());
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>");
        let _ = writeln!(svg, "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>", left - 7.0, at + 4.5);
    }
    for tick in across.ticks() {
        let at = x(tick);
        let _ = writeln!(svg, "<path class=\"axis\" d=\"M{at:.1} {bottom}v5\"/>");
        let _ = writeln!(svg, "<text class=\"x\" x=\"{at:.1}\" y=\"{}\">{tick}</text>", bottom + 20.0);
    }
    let _ = writeln!(svg, "<path class=\"axis\" fill=\"none\" d=\"M{left} {TOP}V{bottom}H{right}\"/>");
    let _ = writeln!(svg, "<text class=\"x\" x=\"{}\" y=\"{}\">epoch</text>", (left + right) / 2.0, bottom + 40.0);
    for (class, lines) in [("training", &training), ("validation", &validation)] {
        for (&line, colour) in lines.iter().zip(COLOURS).filter(|(line, _)| !line.is_empty()) {
            let finite = (1..).zip(line).filter(|(_, value)| value.is_finite());
            let points: Vec<(f64, f64)> = finite.map(|(epoch, &value)| (x(f64::from(epoch)), y(value))).collect();
            let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"{class}\" stroke=\"{colour}\" points=\"{}\"/>", text.join(" "));
            // A single epoch has no line.
            for (x, y) in points.iter().filter(|_| class == "validation" || line.len() == 1) {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>");
            }
        }
    }
    svg
}

/// A range with round numbers along it.
#[derive(Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// From the lowest to the highest value, in steps of 1, 2 or 5 times a power of ten, none below `least_step`.
    pub fn new(low: f64, high: f64, least_step: f64) -> Self {
        // No values at all, or one.
        let (low, high) = match high - low {
            range if range > 0.0 => (low, high),
            _ if high >= low => (low - 0.5, high + 0.5),
            _ => (0.0, 1.0),
        };
        let rough = (high - low) / TICKS;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
        Self { low, high, step: step.unwrap_or(rough).max(least_step) }
    }

    /// Widened to the next round numbers.
    pub fn whole_steps(self) -> Self {
        let Self { low, high, step } = self;
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// Where a value lies, from 0 at the lowest to 1 at the highest.
    pub fn part(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The round numbers within the range.
    pub fn ticks(&self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step - 1e-6).ceil() as i64, (self.high / self.step + 1e-6).floor() as i64);
        let step = self.step;
        (first..=last).map(move |number| number as f64 * step)
    }

    /// Digits behind the point that ticks need.
    pub fn decimals(&self) -> usize {
        (-(self.step * 1.001).log10().floor()) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<String> {
        axis.ticks().map(|tick| format!("{tick:.*}", axis.decimals())).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        let axis = Axis::new(0.257, 1.93, 0.0).whole_steps();
        assert_eq!(ticks(&axis), ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!((axis.part(0.0), axis.part(1.0)), (0.0, 0.5));
        assert_eq!(ticks(&Axis::new(0.853, 0.892, 0.0).whole_steps()), ["0.85", "0.86", "0.87", "0.88", "0.89", "0.90"]);
        assert_eq!(ticks(&Axis::new(1.0, 30.0, 1.0)), ["5", "10", "15", "20", "25", "30"]);
        assert_eq!(ticks(&Axis::new(1.0, 3.0, 1.0)), ["1", "2", "3"], "there are no half epochs");
        assert_eq!(ticks(&Axis::new(3.0e7, 5.0e7, 0.0).whole_steps())[0], "30000000");
        assert_eq!(ticks(&Axis::new(0.25, 0.25, 0.0).whole_steps()).len(), 7, "one value alone");
        assert_eq!(ticks(&Axis::new(f64::MAX, f64::MIN, 0.0)).len(), 6, "nothing to show");
    }

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
