//! How a head's test accuracy grows with the number of samples that it learned, as a picture and as JSON.

use anyhow::Result;
use samara_runtime::arena::AlignedBuffer;
use samara_runtime::train::ClosedFormHead;
use serde_json::{Value, json};

use crate::learned::MeasuredHead;
use samara_models::chart::{self, Entry, Line, Panel, Stroke};

/// What is drawn, and how it is called: the mean of the accuracies of these classes.
const LINES: [&str; 3] = ["all classes", "classes before", "new classes"];
/// Of ten: samples after which it is measured.
const STEPS: [usize; 6] = [10, 15, 20, 30, 50, 70];

/// Accuracies after some numbers of samples of each new class.
pub struct LearningCurve {
    /// Samples of each class, and the accuracies of [`LINES`].
    points: Vec<(usize, [f64; 3])>,
    /// The accuracies after all samples that there are.
    all: [f64; 3],
}

impl LearningCurve {
    /// Lets `head` learn the first `counts` of each class's samples in turn, measuring by `judge` now and then, and then all others.
    ///
    /// # Errors
    /// If the head does not take a sample, or has no solution.
    pub fn measure(
        head: &mut ClosedFormHead<'_>,
        samples: &[(usize, Vec<Vec<i8>>)],
        counts: impl Iterator<Item = usize>,
        scratch: usize,
        judge: impl Fn(&mut ClosedFormHead<'_>) -> Result<MeasuredHead>,
    ) -> Result<Self> {
        let mut scratch = AlignedBuffer::zeros(scratch);
        let mut learn = |head: &mut ClosedFormHead<'_>, from: usize, to: usize| {
            for (class, rows) in samples {
                rows.iter().take(to).skip(from).try_for_each(|row| head.add(row, *class))?;
            }
            head.solve(scratch.as_mut_slice())?;
            let is_new = |class| samples.iter().any(|(new, _)| *new == class);
            let measured = judge(head)?;
            anyhow::Ok([measured.mean_of(|_| true), measured.mean_of(|class| !is_new(class)), measured.mean_of(is_new)])
        };
        let most = counts.max().unwrap_or(0);
        let mut points = Vec::new();
        let mut learned = 0;
        for count in numbers(most) {
            points.push((count, learn(head, learned, count)?));
            learned = count;
        }
        Ok(Self { points, all: learn(head, learned, usize::MAX)? })
    }

    /// `[{"samples", "mean", "old", "new"}]`, the last without a number of samples: after all that there are.
    pub fn to_json(&self) -> Value {
        let point = |samples: Option<usize>, [mean, old, new]: [f64; 3]| json!({"samples": samples, "mean": mean, "old": old, "new": new});
        let points = self.points.iter().map(|(samples, accuracies)| point(Some(*samples), *accuracies));
        points.chain([point(None, self.all)]).collect()
    }

    /// As SVG: a line for each of what is measured, and a dashed one at what it reaches with all samples.
    pub fn draw(&self, data: &str) -> String {
        let most = self.points.last().map_or(0, |(samples, _)| *samples) as f64;
        let line = |number: usize, stroke| {
            let points = self.points.iter().map(|(samples, accuracies)| (*samples as f64, accuracies[number]));
            let points = match stroke {
                Stroke::Solid => points.collect(),
                Stroke::Dashed => [0.0, most].map(|samples| (samples, self.all[number])).to_vec(),
            };
            Line { colour: number, stroke, points }
        };
        let strokes = [Stroke::Dashed, Stroke::Solid];
        let lines = strokes.into_iter().flat_map(|stroke| (0..LINES.len()).map(move |number| (number, stroke)));
        let lines = lines.map(|(number, stroke)| line(number, stroke)).collect();
        let panel = Panel { name: "accuracy", across: "samples of each new class", lines };
        let colours = LINES.iter().enumerate();
        let colours: Vec<Entry<'_>> =
            colours.map(|(number, label)| Entry { stroke: Stroke::Solid, colour: Some(number), label }).collect();
        let all = [Entry { stroke: Stroke::Dashed, colour: None, label: "the same from all samples" }];
        chart::draw(&format!("{data}: what a device learns"), &[panel], &[&colours, &all])
    }
}

/// 1, 2, 3, 5, 7, 10, 15 and so on up to `most`, which is the last.
fn numbers(most: usize) -> Vec<usize> {
    let tens = (0..).map(|power| 10usize.pow(power));
    let numbers = tens.flat_map(|ten| STEPS.map(|step| step * ten / 10)).take_while(|number| *number < most);
    let mut numbers: Vec<usize> = numbers.chain([most]).collect();
    numbers.dedup();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_measured_often_at_first() {
        assert_eq!(numbers(50), [1, 2, 3, 5, 7, 10, 15, 20, 30, 50]);
        assert_eq!(numbers(1), [1]);
        assert_eq!(numbers(120), [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 120]);
    }

    #[test]
    fn a_picture_has_lines_and_what_all_samples_reach() {
        let curve = LearningCurve { points: vec![(1, [0.5, 0.9, 0.1]), (2, [0.6, 0.9, 0.3])], all: [0.8, 0.9, 0.7] };
        let svg = curve.draw("a<b");
        assert_eq!((svg.matches("<circle").count(), svg.matches("class=\"dashed\"").count()), (6, 3 + 1));
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
        assert_eq!(curve.to_json()[1], json!({"samples": 2, "mean": 0.6, "old": 0.9, "new": 0.3}));
        assert_eq!(curve.to_json()[2]["samples"], Value::Null);
    }
}
