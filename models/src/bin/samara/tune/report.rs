//! `report.html`: what a search tried, on one page that needs nothing else.

use anyhow::Result;
use samara_search::{Distribution, Importance, Parameter, State, Study, Trial};
use serde_json::Value;
use std::fmt::Write as _;

use super::Tuning;
use super::cost::Cost;
use super::picture::{self, Mark, Point};
use super::winner::plain;
use crate::output;
use crate::report::page::{Page, scrolling};
use samara_models::chart::COLOURS;
use samara_models::chart::escape;

/// Trials in the table.
const LISTED: usize = 20;
/// Pairs of parameters whose bars are drawn, and the least part of one.
const PAIRS: usize = 10;
const LEAST_SHOWN: f64 = 0.005;
/// The part of differences below which what parameters explain is chance.
const LITTLE: f64 = 0.2;
/// Pixels of parallel coordinates: between two axes, of an axis, around them.
const BETWEEN: f64 = 130.0;
const HIGH: f64 = 260.0;
const MARGIN: f64 = 70.0;
/// Costs that values are drawn over.
const DRAWN: [Cost; 3] = [Cost::Flash, Cost::Ram, Cost::Instructions];

impl Tuning {
    /// The page of a study.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub(super) fn report(&self, study: &mut Study, winner: &Trial, facts: &[(String, String)]) -> Result<String> {
        let trials = study.trials()?;
        let complete: Vec<&Trial> =
            trials.iter().filter(|trial| trial.state == State::Complete && value(trial).is_finite()).collect();
        let name = self.objective();
        let mut page = Page::new(
            &format!("Search: {} trials", trials.len()),
            &format!("{name} on {}, and what it depends on", self.data.name),
        );
        page.facts(facts);
        page.section(
            "History",
            "Each trial in the order in which it was begun. Grey ones ended early, at the value that they had then; the line is the best so far.",
            &self.history(&trials),
        );
        let costs: String = DRAWN.iter().map(|cost| self.over_cost(*cost, &complete, winner)).collect();
        page.section(
            "Against what it takes",
            "Complete trials over their size on a device, as planned before training. Those with a ring are beaten by nobody in both; dashed lines are limits.",
            &format!("<div class=\"charts\">{costs}</div>"),
        );
        page.section(
            "Parallel coordinates",
            "A line for each complete trial, through the values that were chosen for it: the darker, the better; the winner is drawn thick. A gap is a parameter that was not there.",
            &scrolling(&self.coordinates(&complete, winner)),
        );
        page.section(
            "Importance",
            "How much of the differences between complete trials each parameter explains alone, and two beyond that together: functional ANOVA of a random \
             forest, with each parameter spread over its whole range, whatever was tried more often. What is left to 1 is due to three and more.",
            &importance(study.importance()?.as_ref()),
        );
        page.section(
            &format!("The best {}", LISTED.min(complete.len())),
            "Complete trials.",
            &scrolling(&self.table(&complete)),
        );
        Ok(page.to_html())
    }

    fn is_better(&self, one: f64, other: f64) -> bool {
        if self.direction() == samara_search::Direction::Maximize { one > other } else { one < other }
    }

    fn history(&self, trials: &[Trial]) -> String {
        let (mut points, mut best) = (Vec::new(), Vec::new());
        for trial in trials {
            let (value, mark) = match trial.state {
                State::Complete => (value(trial), Mark::Dot),
                State::Pruned => (trial.intermediate.last().map_or(f64::NAN, |last| last.1), Mark::Faint),
                _ => continue,
            };
            if !value.is_finite() {
                continue;
            }
            let at = trial.number as f64;
            points.push(Point { across: at, up: value, mark });
            if mark == Mark::Dot && best.last().is_none_or(|(_, last)| self.is_better(value, *last)) {
                best.extend(best.last().map(|(_, last)| (at, *last)));
                best.push((at, value));
            }
        }
        if let (Some((_, last)), Some(trial)) = (best.last().copied(), trials.last()) {
            best.push((trial.number as f64, last));
        }
        picture::scatter(self.objective(), "trial", &points, &best, None)
    }

    /// Values over a cost, with its limit.
    fn over_cost(&self, cost: Cost, complete: &[&Trial], winner: &Trial) -> String {
        let known: Vec<(f64, f64, u64)> =
            complete.iter().filter_map(|trial| Some((noted(trial, cost)?, value(trial), trial.number))).collect();
        let points: Vec<Point> = known
            .iter()
            .map(|(amount, value, number)| {
                let beats = |(other_amount, other, _): &(f64, f64, u64)| {
                    let not_worse = other_amount <= amount && !self.is_better(*value, *other);
                    not_worse && (other_amount < amount || self.is_better(*other, *value))
                };
                let mark = match known.iter().any(beats) {
                    _ if *number == winner.number => Mark::Chosen,
                    true => Mark::Dot,
                    false => Mark::Ring,
                };
                Point { across: *amount, up: *value, mark }
            })
            .collect();
        let across = match cost {
            Cost::Flash => "bytes of the file",
            Cost::Ram => "bytes of the arena",
            Cost::Instructions => "instructions on a Cortex-M4F, about",
            Cost::Macs => "multiply-accumulates",
            Cost::TrainingRam => "bytes to learn in",
        };
        picture::scatter(self.objective(), across, &points, &[], self.plan.limit(cost).map(|limit| limit as f64))
    }

    fn coordinates(&self, complete: &[&Trial], winner: &Trial) -> String {
        let parameters = self.template.space().parameters();
        let values: Vec<f64> = complete.iter().map(|trial| value(trial)).collect();
        let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(*value), high.max(*value)));
        let part = |value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
        let wide = 2.0 * MARGIN + BETWEEN * parameters.len() as f64;
        let y = |part: f64| MARGIN / 2.0 + HIGH * (1.0 - part);
        let x = |axis: usize| MARGIN + BETWEEN * axis as f64;
        let total = HIGH + MARGIN * 1.3;
        let mut svg = format!(
            "<svg class=\"wide\" width=\"{wide}\" viewBox=\"0 0 {wide} {total:.0}\" role=\"img\" aria-label=\"Parallel coordinates\">"
        );
        // The best are drawn last, above the others.
        let mut order: Vec<&&Trial> = complete.iter().collect();
        order.sort_by(|a, b| value(a).total_cmp(&value(b)));
        if self.is_better(0.0, 1.0) {
            order.reverse();
        }
        for trial in order {
            let places = parameters
                .iter()
                .map(|parameter| trial.parameters.get(&parameter.name).and_then(|value| place(parameter, value)));
            let mut text = String::new();
            let mut is_begun = false;
            for (axis, place) in places.chain([Some(part(value(trial)))]).enumerate() {
                match place {
                    Some(place) => {
                        let _ = write!(text, "{}{:.1} {:.1}", if is_begun { "L" } else { "M" }, x(axis), y(place));
                        is_begun = true;
                    }
                    None => is_begun = false,
                }
            }
            let goodness = if self.is_better(0.0, 1.0) { 1.0 - part(value(trial)) } else { part(value(trial)) };
            let (colour, width, opacity) = if trial.number == winner.number {
                (COLOURS[1], 3.0, 1.0)
            } else {
                (COLOURS[0], 1.2, 0.08 + 0.72 * goodness * goodness)
            };
            let _ = write!(
                svg,
                "<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" opacity=\"{opacity:.2}\" d=\"{text}\"/>"
            );
        }
        let ends = parameters.iter().map(|parameter| (parameter.name.as_str(), ends(parameter)));
        for (axis, (name, [least, most])) in
            ends.chain([(self.objective(), [format!("{low:.4}"), format!("{high:.4}")])]).enumerate()
        {
            let (x, top, bottom) = (x(axis), y(1.0), y(0.0));
            let _ = write!(
                svg,
                "<path stroke=\"#1c2733\" d=\"M{x} {top}V{bottom}\"/><text class=\"x\" x=\"{x}\" y=\"{}\">{}</text>\
                 <text class=\"x\" x=\"{x}\" y=\"{}\">{}</text><text class=\"x title\" x=\"{x}\" y=\"{}\">{}</text>",
                top - 8.0,
                escape(&most),
                bottom + 17.0,
                escape(&least),
                bottom + 38.0,
                escape(name)
            );
        }
        svg + "</svg>"
    }

    fn table(&self, complete: &[&Trial]) -> String {
        let parameters = self.template.space().parameters();
        let names = parameters.iter().map(|parameter| parameter.name.as_str());
        let titles = ["trial", self.objective(), "arena", "file", "instructions"].into_iter().chain(names);
        let head: String = titles.map(|title| format!("<th>{}</th>", escape(title))).collect();
        let mut best: Vec<&&Trial> = complete.iter().collect();
        best.sort_by(|a, b| value(b).total_cmp(&value(a)).then(a.number.cmp(&b.number)));
        if self.is_better(0.0, 1.0) {
            best.sort_by(|a, b| value(a).total_cmp(&value(b)).then(a.number.cmp(&b.number)));
        }
        let row = |trial: &&&Trial| {
            let costs = [Cost::Ram, Cost::Flash, Cost::Instructions];
            let costs =
                costs.map(|cost| noted(trial, cost).map_or_else(String::new, |amount| output::thousands(amount as u64)));
            let chosen =
                parameters.iter().map(|parameter| trial.parameters.get(&parameter.name).map_or_else(String::new, plain));
            let cells = [trial.number.to_string(), format!("{:.4}", value(trial))].into_iter().chain(costs).chain(chosen);
            format!("<tr>{}</tr>", cells.map(|cell| format!("<td>{}</td>", escape(&cell))).collect::<String>())
        };
        let rows: String = best.iter().take(LISTED).map(row).collect();
        format!("<table><tr>{head}</tr>{rows}</table>")
    }
}

/// What parameters explain.
fn importance(found: Option<&Importance>) -> String {
    let Some(found) = found else { return "<p>It takes ten complete trials.</p>".to_owned() };
    let pairs = found.pairs.iter().filter(|(_, part)| *part >= LEAST_SHOWN).take(PAIRS);
    let pairs = pairs.map(|([one, other], part)| (format!("{one} \u{d7} {other}"), *part));
    let bars: Vec<(String, f64)> = found.parameters.iter().cloned().chain(pairs).collect();
    let says = if found.explained < LITTLE { " With so little, the bars are chance." } else { "" };
    let known = format!("<p>From other trials, {:.2} of the differences between trials are known.{says}</p>", found.explained);
    known + &picture::bars(&bars)
}

/// The first objective's.
fn value(trial: &Trial) -> f64 {
    trial.values.first().copied().unwrap_or(f64::NAN)
}

/// What was noted of a trial.
fn noted(trial: &Trial, cost: Cost) -> Option<f64> {
    trial.notes.get(cost.key()).and_then(Value::as_f64)
}

/// Where a value lies between a parameter's ends, from 0 to 1.
fn place(parameter: &Parameter, value: &Value) -> Option<f64> {
    let between = |low: f64, high: f64, log: bool| {
        let value = value.as_f64()?;
        let part = if log { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) };
        Some(if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.5 })
    };
    match &parameter.distribution {
        Distribution::Float { low, high, log, .. } => between(*low, *high, *log),
        Distribution::Integer { low, high, log, .. } => between(*low as f64, *high as f64, *log),
        Distribution::Choice(choices) => {
            let place = choices.iter().position(|choice| choice == value)?;
            Some(if choices.len() > 1 { place as f64 / (choices.len() - 1) as f64 } else { 0.5 })
        }
    }
}

/// What stands at the lower and the upper end of an axis.
fn ends(parameter: &Parameter) -> [String; 2] {
    match &parameter.distribution {
        Distribution::Float { low, high, .. } => [low.to_string(), high.to_string()],
        Distribution::Integer { low, high, .. } => [low.to_string(), high.to_string()],
        Distribution::Choice(choices) => [choices.first(), choices.last()].map(|choice| choice.map_or_else(String::new, plain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_search::Space;
    use serde_json::json;

    #[test]
    fn pairs_stand_below_parameters_and_chance_is_named() {
        let named = |names: [&str; 2]| names.map(str::to_owned);
        let mut found = Importance {
            parameters: vec![("rate".to_owned(), 0.6), ("a<b".to_owned(), 0.0)],
            pairs: vec![(named(["rate", "a<b"]), 0.25), (named(["a<b", "c"]), 0.001)],
            explained: 0.91,
        };
        let text = importance(Some(&found));
        assert!(text.contains("0.91 of the differences") && !text.contains("chance"), "{text}");
        assert!(text.matches("<rect").count() == 3 && text.contains("rate \u{d7} a&lt;b"), "{text}");
        found.explained = 0.1;
        assert!(importance(Some(&found)).contains("the bars are chance"));
        assert!(importance(None).contains("ten complete trials"));
    }

    #[test]
    fn values_lie_between_the_ends_of_their_axis() {
        let space = "[space]\nrate = { float = [1e-4, 1.0], log = true }\nunits = { integer = [8, 24] }\nkind = { choice = [\"a\", \"b\", \"c\"] }";
        let space = Space::from_toml(space).unwrap();
        let [rate, units, kind] = space.parameters() else { panic!("three parameters") };
        assert!((place(rate, &json!(0.01)).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!(
            (place(units, &json!(12)), place(kind, &json!("c")), place(kind, &json!("d"))),
            (Some(0.25), Some(1.0), None)
        );
        assert_eq!((ends(units), ends(kind)), (["8".into(), "24".into()], ["a".into(), "c".into()]));
    }
}
