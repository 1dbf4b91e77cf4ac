//! Line charts as SVG: panels side by side, over a legend.

use std::fmt::Write as _;

/// A panel: what it shows, over what, and its lines.
pub struct Panel<'a> {
    /// What goes up.
    pub name: &'a str,
    /// What goes to the right.
    pub across: &'a str,
    /// In the order of their colours.
    pub lines: Vec<Line>,
}

/// A line through points.
pub struct Line {
    /// Number of its colour in [`COLOURS`].
    pub colour: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Where it goes; what is not finite is left out.
    pub points: Vec<(f64, f64)>,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Thick, with a dot at each point.
    Solid,
    /// Thin and dashed; a single point is a dot.
    Dashed,
}

/// What the legend says of a stroke or a colour.
pub struct Entry<'a> {
    /// Of the line beside the text.
    pub stroke: Stroke,
    /// Its colour, none for what is true of all colours.
    pub colour: Option<usize>,
    /// The text.
    pub label: &'a str,
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Self::Solid => "solid",
            Self::Dashed => "dashed",
        }
    }
}

/// Colours that colour-blind readers can tell apart, in this order (M. Okabe, K. Ito, *Color Universal Design*, 2008, without
/// the yellow that a white page swallows, with a grey).
pub const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#888888"];
/// Pixels: of a panel, around it, of a line of the legend and of an entry.
const PANEL_WIDTH: f64 = 350.0;
const PANEL_HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 66.0;
const LEGEND_LINE: f64 = 22.0;
const LEGEND_ENTRY: f64 = 190.0;
/// About so many ticks along an axis.
const TICKS: f64 = 6.0;

/// Text as SVG and HTML take it, also in attributes: control characters have no form there.
pub fn escape(text: &str) -> String {
    let letters = text.chars().map(|letter| match letter {
        '<' => "&lt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        letter if letter.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&letter) => "\u{fffd}".to_owned(),
        letter => letter.to_string(),
    });
    letters.collect()
}

/// Draws panels over rows of the legend's entries.
pub fn draw(title: &str, panels: &[Panel<'_>], legend: &[&[Entry<'_>]]) -> String {
    let wide = panels.len() as f64 * (LEFT + PANEL_WIDTH + RIGHT);
    let columns = ((wide - LEFT) / LEGEND_ENTRY).round() as usize;
    let rows: Vec<&[Entry<'_>]> = legend.iter().flat_map(|entries| entries.chunks(columns)).collect();
    let below = TOP + PANEL_HEIGHT + 68.0;
    let high = below + LEGEND_LINE * rows.len() as f64 - 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\">\n\
         <style>text {{ font: 13px sans-serif; fill: #222 }} .title {{ font-weight: bold; text-anchor: middle }} \
         .x {{ text-anchor: middle }} .y {{ text-anchor: end }} .grid {{ stroke: #ddd }} .axis {{ stroke: #667 }} \
         polyline {{ fill: none; stroke-linejoin: round }} .solid {{ stroke-width: 2.2 }} \
         .dashed {{ stroke-width: 1.2; stroke-dasharray: 5 3 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"{}\" y=\"24\">{}</text>\n",
        wide / 2.0,
        escape(title)
    );
    for (number, panel) in panels.iter().enumerate() {
        svg += &panel.draw(LEFT + number as f64 * (LEFT + PANEL_WIDTH + RIGHT));
    }
    for (row, entries) in rows.into_iter().enumerate() {
        for (column, entry) in entries.iter().enumerate() {
            let (x, y) = (LEFT + LEGEND_ENTRY * column as f64, below + LEGEND_LINE * row as f64);
            let _ = writeln!(
                svg,
                "<polyline class=\"{}\" stroke=\"{}\" points=\"{x},{y} {},{y}\"/><text x=\"{}\" y=\"{}\">{}</text>",
                entry.stroke.class(),
                entry.colour.map_or("#222", |colour| COLOURS[colour]),
                x + 30.0,
                x + 38.0,
                y + 4.5,
                escape(entry.label)
            );
        }
    }
    svg + "</svg>\n"
}

impl Panel<'_> {
    /// Its axes and lines, the left edge at `left`.
    fn draw(&self, left: f64) -> String {
        let finite = || self.lines.iter().flat_map(|line| line.finite());
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
        };
        let (first, last) = range(&mut finite().map(|(x, _)| x));
        let (low, high) = range(&mut finite().map(|(_, y)| y));
        let across = Axis::new(first, last.max(first + 1.0), 1.0);
        let upwards = Axis::new(low, high, 0.0).whole_steps();
        let (right, bottom) = (left + PANEL_WIDTH, TOP + PANEL_HEIGHT);
        let x = |value: f64| left + PANEL_WIDTH * across.part(value);
        let y = |value: f64| bottom - PANEL_HEIGHT * upwards.part(value);

        let mut svg = format!("<text x=\"{left}\" y=\"{}\">{}</text>\n", TOP - 14.0, escape(self.name));
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
        let (middle, below) = ((left + right) / 2.0, bottom + 40.0);
        let _ = writeln!(svg, "<text class=\"x\" x=\"{middle}\" y=\"{below}\">{}</text>", escape(self.across));
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            let (class, colour) = (line.stroke.class(), COLOURS[line.colour]);
            let points: Vec<(f64, f64)> = line.finite().map(|(across, up)| (x(across), y(up))).collect();
            let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let _ = writeln!(svg, "<polyline class=\"{class}\" stroke=\"{colour}\" points=\"{}\"/>", text.join(" "));
            // A single point has no line.
            for (x, y) in points.iter().filter(|_| line.stroke == Stroke::Solid || line.points.len() == 1) {
                let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\"/>");
            }
        }
        svg
    }
}

impl Line {
    fn finite(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    }
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
    fn names_cannot_break_the_picture() {
        assert_eq!(escape("a<b>&\u{1}c\""), "a&lt;b>&amp;\u{fffd}c&quot;");
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
}
