//! Precision, recall, F1 and Dice: what follows from how many values are rightly and wrongly said to be positive.

use super::{Metric, MetricPass, check_same_shape, largest};
use crate::graph::Shape;

/// Sums of a class: positives that are found, others that are taken for such, positives that are missed.
const SUMS: usize = 3;

/// The share of what is said to be positive that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision(Counted);

/// The share of what is positive that is found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recall(Counted);

/// What counts as positive.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counted {
    threshold: f32,
    class: Option<usize>,
}

impl Counted {
    const NEW: Self = Self { threshold: 0.5, class: None };

    /// Why outputs of this shape with such targets cannot be counted, if they cannot.
    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        let classes = output.channels();
        if let Some(class) = self.class.filter(|class| *class >= classes) {
            return Err(format!("a class below {classes}, not {class}"));
        }
        check_targets(output, target)
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        for_each_value(pass, |class, output, target| {
            if self.class.is_none_or(|own| own == class) {
                count(output > self.threshold, target, sums);
            }
        });
    }
}

/// Targets are values of the output's shape, or class numbers.
fn check_targets(output: &Shape, target: &Shape) -> Result<(), String> {
    let positions = output.split_last().map_or(&[][..], |(_, positions)| positions);
    if output.channels() > 1 && target[..] == *positions { Ok(()) } else { check_same_shape(output, target) }
}

/// Calls `visit` with the class of each value, the output, and whether its target is positive.
fn for_each_value(pass: &MetricPass<'_>, mut visit: impl FnMut(usize, f32, bool)) {
    let classes = pass.shape.channels();
    let are_numbers = pass.targets.len() < pass.output.len();
    for (position, &output) in pass.output.iter().enumerate() {
        let (row, class) = (position / classes, position % classes);
        let target = if are_numbers { pass.targets[row] as usize == class } else { pass.targets[position] > 0.5 };
        visit(class, output, target);
    }
}

fn count(is_said: bool, is_true: bool, sums: &mut [f64]) {
    match (is_said, is_true) {
        (true, true) => sums[0] += 1.0,
        (true, false) => sums[1] += 1.0,
        (false, true) => sums[2] += 1.0,
        (false, false) => {}
    }
}

/// `part / all`, and 0 where there is nothing.
fn share(part: f64, all: f64) -> f64 {
    if all > 0.0 { part / all } else { 0.0 }
}

macro_rules! counted {
    ($kind:ident, $name:literal, $result:expr) => {
        impl Default for $kind {
            /// Of all values, those above 0.5 being said to be positive.
            fn default() -> Self {
                Self(Counted::NEW)
            }
        }

        impl $kind {
            /// Takes values above this as said to be positive: 0.5 by default, 0 for logits.
            pub fn threshold(mut self, threshold: f32) -> Self {
                self.0.threshold = threshold;
                self
            }

            /// Looks at the values of one class (place on the last axis) only.
            pub fn class(mut self, class: usize) -> Self {
                self.0.class = Some(class);
                self
            }
        }

        impl Metric for $kind {
            fn name(&self) -> &'static str {
                $name
            }

            fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
                self.0.check(output, target)
            }

            fn sums(&self) -> usize {
                SUMS
            }

            fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
                self.0.add(pass, sums);
            }

            fn result(&self, sums: &[f64], _samples: usize) -> f64 {
                $result(sums[0], sums[1], sums[2])
            }
        }
    };
}

counted!(Precision, "precision", |found, wrong, _missed| share(found, found + wrong));
counted!(Recall, "recall", |found, _wrong, missed| share(found, found + missed));

/// How the values of classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Average {
    /// Their mean.
    #[default]
    Macro,
    /// Of all classes' counts together.
    Micro,
    /// Their mean, each class counting as often as it occurs.
    Weighted,
}

/// The harmonic mean of precision and recall, of classes of which the one with the largest output is said; or of independent values, with a
/// threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct F1Score {
    classes: usize,
    average: Average,
    threshold: Option<f32>,
}

impl F1Score {
    /// The mean over so many classes: the size of the last axis.
    pub fn new(classes: usize) -> Self {
        Self { classes, average: Average::Macro, threshold: None }
    }

    /// Sets how the values of classes become one.
    pub fn average(self, average: Average) -> Self {
        Self { average, ..self }
    }

    /// Takes each value above this as said to be positive, instead of the largest of a position.
    pub fn threshold(self, threshold: f32) -> Self {
        Self { threshold: Some(threshold), ..self }
    }
}

/// `2 found / (2 found + wrong + missed)`.
fn f1(sums: &[f64]) -> f64 {
    share(2.0 * sums[0], 2.0 * sums[0] + sums[1] + sums[2])
}

impl Metric for F1Score {
    fn name(&self) -> &'static str {
        "f1_score"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        if output.channels() != self.classes {
            return Err(format!("as many classes as the last axis has, {}, not {}", output.channels(), self.classes));
        }
        if self.threshold.is_none() && self.classes < 2 {
            return Err("a threshold where there is one class".to_owned());
        }
        check_targets(output, target)
    }

    fn sums(&self) -> usize {
        SUMS * self.classes
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        let mut position = 0;
        let mut said = 0;
        for_each_value(pass, |class, output, target| {
            if class == 0 {
                said = largest(&pass.output[position..position + self.classes]);
            }
            let is_said = self.threshold.map_or(class == said, |threshold| output > threshold);
            count(is_said, target, &mut sums[SUMS * class..SUMS * (class + 1)]);
            position += 1;
        });
    }

    fn result(&self, sums: &[f64], _samples: usize) -> f64 {
        let classes = sums.chunks_exact(SUMS);
        match self.average {
            Average::Macro => classes.map(f1).sum::<f64>() / self.classes as f64,
            Average::Micro => {
                let all = classes.fold([0.0; SUMS], |all, own| [all[0] + own[0], all[1] + own[1], all[2] + own[2]]);
                f1(&all)
            }
            Average::Weighted => {
                let occurs = |sums: &[f64]| sums[0] + sums[2];
                share(classes.clone().map(|own| f1(own) * occurs(own)).sum(), classes.map(occurs).sum())
            }
        }
    }
}

/// Dice's coefficient (1945), `2 sum(t y) / (sum(t) + sum(y))` over all values: how much masks overlap.
#[derive(Debug, Clone, Copy, Default)]
pub struct Dice;

impl Metric for Dice {
    fn name(&self) -> &'static str {
        "dice"
    }

    fn check(&self, output: &Shape, target: &Shape) -> Result<(), String> {
        check_same_shape(output, target)
    }

    fn sums(&self) -> usize {
        2
    }

    fn add(&self, pass: &MetricPass<'_>, sums: &mut [f64]) {
        for (&y, &t) in pass.output.iter().zip(pass.targets) {
            sums[0] += f64::from(y) * f64::from(t);
            sums[1] += f64::from(y) + f64::from(t);
        }
    }

    /// 1 where both masks are empty.
    fn result(&self, sums: &[f64], _samples: usize) -> f64 {
        if sums[1] > 0.0 { 2.0 * sums[0] / sums[1] } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(metric: &dyn Metric, shape: &[usize], output: &[f32], targets: &[f32]) -> f64 {
        let shape = Shape::from(shape);
        let samples = output.len() / shape.size();
        // In two batches, as sums of sums.
        let half = samples / 2;
        let mut sums = vec![0.0; metric.sums()];
        let size = targets.len() / samples;
        for range in [0..half, half..samples] {
            let output = &output[range.start * shape.size()..range.end * shape.size()];
            let targets = &targets[range.start * size..range.end * size];
            metric.add(&MetricPass { samples: range.len(), shape: &shape, output, targets }, &mut sums);
        }
        metric.result(&sums, samples)
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    }

    const PROBABILITIES: [f32; 15] = [0.2, 0.5, 0.3, 0.6, 0.1, 0.3, 0.1, 0.2, 0.7, 0.3, 0.4, 0.3, 0.8, 0.1, 0.1];
    const ONE_HOT: [f32; 15] = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
    const LABELS: [f32; 5] = [2.0, 0.0, 2.0, 1.0, 1.0];

    /// Keras 3.15's `Precision`, `Recall` and `F1Score`.
    #[test]
    fn as_in_keras() {
        let (output, targets) = ([0.1, 0.4, 0.35, 0.8, 0.9, 0.5], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        let of = |metric: &dyn Metric| value(metric, &[1], &output, &targets);
        near(of(&Precision::default()), 1.0);
        near(of(&Recall::default()), 0.666_666_67);
        near(of(&Precision::default().threshold(0.3)), 0.6);
        near(of(&Recall::default().threshold(0.3)), 1.0);
        near(of(&F1Score::new(1).threshold(0.5)), 0.8);
        for targets in [&ONE_HOT[..], &LABELS] {
            let of = |metric: &dyn Metric| value(metric, &[3], &PROBABILITIES, targets);
            near(of(&F1Score::new(3)), 0.611_111);
            near(of(&F1Score::new(3).average(Average::Micro)), 0.6);
            near(of(&F1Score::new(3).average(Average::Weighted)), 0.6);
            near(of(&Precision::default().class(1)), 0.0);
            // Above 0.25: the right one, and one of two.
            near(of(&Recall::default().threshold(0.25).class(2)), 1.0);
            near(of(&Precision::default().threshold(0.25).class(2)), 0.5);
        }
        // 1 less Keras's Dice loss.
        near(value(&Dice, &[3], &[0.9, 0.2, 0.7, 0.1, 0.6, 0.3], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]), 1.0 - 0.241_379_4);
    }

    #[test]
    fn nothing_to_count() {
        near(value(&Precision::default(), &[1], &[0.1, 0.2], &[1.0, 0.0]), 0.0);
        near(value(&Recall::default(), &[1], &[0.9, 0.2], &[0.0, 0.0]), 0.0);
        near(value(&Dice, &[1], &[0.0, 0.0], &[0.0, 0.0]), 1.0);
        let (output, numbers) = (Shape::from([3]), Shape::from([]));
        assert!(Precision::default().check(&output, &numbers).is_ok() && Precision::default().check(&output, &output).is_ok());
        assert_eq!(Recall::default().class(3).check(&output, &output).unwrap_err(), "a class below 3, not 3");
        let reason = F1Score::new(2).check(&output, &numbers).unwrap_err();
        assert_eq!(reason, "as many classes as the last axis has, 3, not 2");
        assert!(F1Score::new(1).check(&Shape::from([1]), &Shape::from([1])).is_err());
    }
}
