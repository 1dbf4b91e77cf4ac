//! Small line charts.

use std::fmt::Write as _;

use samara_models::chart::Axis;
pub use samara_models::chart::COLOURS;
use samara_models::chart::escape;

/// A line of a chart.
pub struct Line<'a> {
    pub name: &'a str,
    pub values: &'a [Option<f64>],
}

/// Pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;

/// Lines over epochs, from 1. Values that are not finite leave gaps.
pub fn draw(title: &str, lines: &[Line<'_>]) -> String {
    let epochs = lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(2);
    let across = Axis::new(1.0, epochs as f64, 1.0);
    let finite = |line: &Line<'_>| line.values.iter().flatten().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
    let all: Vec<f64> = lines.iter().flat_map(finite).collect();
    let upwards = Axis::new(all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(f64::MIN, f64::max), 0.0)
        .whole_steps();
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = |epoch: f64| LEFT + (right - LEFT) * across.part(epoch);
    let y = |value: f64| bottom - (bottom - TOP) * upwards.part(value);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\
         <text class=\"title\" x=\"{LEFT}\" y=\"16\">{0}</text>",
        escape(title)
    );
    for tick in upwards.ticks() {
        let text = format!("{tick:.*}", upwards.decimals());
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{right}\"/><text class=\"y\" x=\"{1}\" y=\"{2:.1}\">{text}</text>",
            y(tick),
            LEFT - 6.0,
            y(tick) + 4.0
        );
    }
    for tick in across.ticks() {
        let _ = write!(svg, "<text class=\"x\" x=\"{:.1}\" y=\"{}\">{tick}</text>", x(tick), bottom + 17.0);
    }
    let _ = write!(svg, "<text class=\"x\" x=\"{}\" y=\"{}\">epoch</text>", (LEFT + right) / 2.0, HEIGHT - 4.0);
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points = line.values.iter().enumerate().filter_map(|(epoch, value)| {
            let value = value.filter(|value| value.is_finite())?;
            Some((x((epoch + 1) as f64), y(value)))
        });
        let points: Vec<(f64, f64)> = points.collect();
        let text: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", text.join(" "));
        if let Some((x, y)) = points.last() {
            let _ = write!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        if lines.len() > 1 {
            // From the right, so that titles have room.
            let at = right - 95.0 * (lines.len() - number) as f64 + 20.0;
            let _ = write!(
                svg,
                "<path stroke=\"{colour}\" stroke-width=\"2\" d=\"M{at} 12h16\"/><text x=\"{}\" y=\"16\">{}</text>",
                at + 21.0,
                escape(line.name)
            );
        }
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_point_for_each_epoch_that_was_measured() {
        let values = [Some(1.0), None, Some(f64::NAN), Some(0.5)];
        let svg = draw("loss", &[Line { name: "training", values: &values }, Line { name: "validation", values: &[] }]);
        let points = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(points.split(' ').count(), 2, "{svg}");
        assert!(!svg.contains("NaN") && svg.contains(">validation<"), "{svg}");
    }
}
