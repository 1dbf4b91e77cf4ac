//! Points over axes, and bars, for the page of a search.

use std::fmt::Write as _;

use crate::output;
use samara_models::chart::escape;
use samara_models::chart::{Axis, COLOURS};

/// A trial in a picture.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub across: f64,
    pub up: f64,
    pub mark: Mark,
}

/// How a point is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Dot,
    Faint,
    Ring,
    Chosen,
}

/// Pixels.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;
/// Of a bar and its name.
const BAR: f64 = 24.0;
const NAMES: f64 = 180.0;

/// Points, a line, and a limit that is drawn across.
pub fn scatter(up: &str, across: &str, points: &[Point], line: &[(f64, f64)], limit: Option<f64>) -> String {
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (first, last) = range(&mut points.iter().map(|point| point.across).chain(limit));
    let (low, high) = range(&mut points.iter().map(|point| point.up));
    let across_axis = Axis::new(first, last, 1.0).whole_steps();
    let up_axis = Axis::new(low, high, 0.0).whole_steps();
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let x = |value: f64| LEFT + (right - LEFT) * across_axis.part(value);
    let y = |value: f64| bottom - (bottom - TOP) * up_axis.part(value);
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0} over {1}\"><text class=\"title\" x=\"{LEFT}\" y=\"16\">{0}</text>",
        escape(up),
        escape(across)
    );
    for tick in up_axis.ticks() {
        let at = y(tick);
        let text = format!("{tick:.*}", up_axis.decimals());
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{text}</text>",
            LEFT - 6.0,
            at + 4.0
        );
    }
    for tick in across_axis.ticks() {
        let _ = write!(svg, "<text class=\"x\" x=\"{:.1}\" y=\"{}\">{}</text>", x(tick), bottom + 17.0, short(tick));
    }
    let _ = write!(svg, "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>", (LEFT + right) / 2.0, HEIGHT - 6.0, escape(across));
    if let Some(limit) = limit {
        let at = x(limit);
        let _ = write!(svg, "<path stroke=\"{}\" stroke-dasharray=\"5 4\" d=\"M{at:.1} {TOP}V{bottom}\"/>", COLOURS[1]);
    }
    if !line.is_empty() {
        let places: Vec<String> = line.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"2\" points=\"{}\"/>",
            COLOURS[2],
            places.join(" ")
        );
    }
    for point in points {
        let style = match point.mark {
            Mark::Dot => format!("r=\"3\" fill=\"{}\"", COLOURS[0]),
            Mark::Faint => format!("r=\"2.5\" fill=\"{}\" opacity=\"0.6\"", COLOURS[7]),
            Mark::Ring => format!("r=\"5\" fill=\"{}\" stroke=\"#1c2733\" stroke-width=\"1.5\"", COLOURS[0]),
            Mark::Chosen => format!("r=\"6\" fill=\"{}\" stroke=\"#1c2733\" stroke-width=\"1.5\"", COLOURS[1]),
        };
        let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" {style}/>", x(point.across), y(point.up));
    }
    svg + "</svg>"
}

/// 12,000 as 12k: ticks have little room.
fn short(number: f64) -> String {
    match number {
        number if number >= 1e6 => format!("{}M", number / 1e6),
        number if number >= 1e4 => format!("{}k", number / 1e3),
        number => output::thousands(number.max(0.0).round() as u64),
    }
}

/// A bar for each name, of a part of 1.
pub fn bars(parts: &[(String, f64)]) -> String {
    let high = BAR * parts.len() as f64 + 6.0;
    let wide = 640.0;
    let mut svg =
        format!("<svg class=\"wide\" width=\"{wide}\" viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"Importance\">");
    for (place, (name, part)) in parts.iter().enumerate() {
        let top = BAR * place as f64 + 4.0;
        let long = (wide - NAMES - 60.0) * part;
        let _ = write!(
            svg,
            "<text class=\"y\" x=\"{}\" y=\"{}\">{}</text><rect x=\"{NAMES}\" y=\"{top}\" width=\"{long:.1}\" height=\"{}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{part:.2}</text>",
            NAMES - 8.0,
            top + 14.0,
            escape(name),
            BAR - 6.0,
            COLOURS[0],
            NAMES + long + 6.0,
            top + 14.0
        );
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_values_are() {
        let point = |across: f64, up: f64, mark: Mark| Point { across, up, mark };
        let points = [point(0.0, 0.0, Mark::Dot), point(10.0, 1.0, Mark::Chosen)];
        let svg = scatter("val_accuracy", "bytes", &points, &[(0.0, 0.0), (10.0, 1.0)], Some(5.0));
        assert!(
            svg.contains("<circle cx=\"62.0\" cy=\"246.0\" r=\"3\"")
                && svg.contains("<circle cx=\"444.0\" cy=\"34.0\" r=\"6\""),
            "{svg}"
        );
        assert!(svg.contains("points=\"62.0,246.0 444.0,34.0\"") && svg.contains("d=\"M253.0 34V246\""), "{svg}");
        assert_eq!([999.0, 12_000.0, 2.5e6, 3e6].map(short), ["999", "12k", "2.5M", "3M"]);
        assert!(!scatter("x", "y", &[], &[], None).contains("NaN"));
        assert_eq!(bars(&[("a<b".to_owned(), 0.5), ("c".to_owned(), 0.0)]).matches("<rect").count(), 2);
    }
}
