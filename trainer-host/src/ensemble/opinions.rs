//! What models say of the same samples.

use super::EnsembleError;
use crate::data::Dataset;
use crate::error::Result;
use crate::graph::Shape;
use crate::losses::EPSILON;
use crate::metrics::largest;
use crate::train::Model;

/// How far the probabilities of a sample may be from 1 together.
const TOLERANCE: f32 = 1e-3;

/// Probabilities `[N, C]` of each member for the same N samples, and the samples' classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinions {
    classes: usize,
    labels: Vec<usize>,
    members: Vec<Vec<f32>>,
}

/// A member without which the plain mean of the others is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drag {
    /// The best member, and its accuracy.
    pub best: (usize, f64),
    /// The accuracy of the plain mean of all.
    pub mean: f64,
    /// The member whose leaving helps the mean most, and the accuracy of the mean of the others.
    pub without: (usize, f64),
}

impl Opinions {
    /// What models say of the samples of a data set, whose only target is the number of a class.
    ///
    /// # Errors
    /// [`EnsembleError`] if there are fewer than two models, their inputs or classes are not the same, or an output is no probability;
    /// if the data does not fit them.
    pub fn of(models: &[&Model], data: &Dataset) -> Result<Self> {
        let classes = check(models)?;
        let labels = data.targets().first().map(|targets| targets.values().to_vec()).unwrap_or_default();
        let said = models.iter().map(|model| Ok((model.name(), model.predict(data)?.values().to_vec())));
        Self::new(classes, &labels, said.collect::<Result<Vec<_>>>()?)
    }

    /// Of so many classes, with the class of each sample, and each member's name and probabilities, sample by sample.
    ///
    /// # Errors
    /// [`EnsembleError`] if a label is no class, a member does not have a probability for each class of each sample, or there are fewer
    /// than two.
    pub fn new(classes: usize, labels: &[f32], members: Vec<(&str, Vec<f32>)>) -> Result<Self> {
        if members.len() < 2 {
            return Err(EnsembleError::TooFew { found: members.len() }.into());
        }
        check_labels(labels, classes)?;
        members.iter().try_for_each(|(name, values)| check_probabilities(name, values, labels.len(), classes))?;
        let labels = labels.iter().map(|&label| label as usize).collect();
        Ok(Self { classes, labels, members: members.into_iter().map(|(_, values)| values).collect() })
    }

    /// Number of members.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The class of each sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The probabilities that a member gives, sample by sample.
    pub fn of_member(&self, member: usize) -> &[f32] {
        &self.members[member]
    }

    /// The members' mean with these weights, rounded as [`WeightedSum`](crate::layers::WeightedSum) rounds.
    pub fn mean(&self, weights: &[f32]) -> Vec<f32> {
        let mut mean = vec![0.0; self.labels.len() * self.classes];
        for (member, &weight) in self.members.iter().zip(weights) {
            mean.iter_mut().zip(member).for_each(|(mean, &value)| *mean += weight * value);
        }
        mean
    }

    /// The same weight for each member.
    pub fn plain_weights(&self) -> Vec<f32> {
        vec![1.0 / self.members.len() as f32; self.members.len()]
    }

    /// Which samples some probabilities get right.
    pub fn right(&self, probabilities: &[f32]) -> Vec<bool> {
        let rows = probabilities.chunks_exact(self.classes);
        rows.zip(&self.labels).map(|(row, &label)| largest(row) == label).collect()
    }

    /// The share of samples that some probabilities get right.
    pub fn accuracy(&self, probabilities: &[f32]) -> f64 {
        self.right(probabilities).into_iter().filter(|&right| right).count() as f64 / self.labels.len().max(1) as f64
    }

    /// The share of samples that the mean with these weights gets right.
    pub fn accuracy_of(&self, weights: &[f32]) -> f64 {
        self.accuracy(&self.mean(weights))
    }

    /// The mean of `-ln(p)` of the right classes.
    pub fn cross_entropy(&self, probabilities: &[f32]) -> f64 {
        let rows = probabilities.chunks_exact(self.classes);
        let loss = |(row, &label): (&[f32], &usize)| -f64::from(row[label].clamp(EPSILON, 1.0)).ln();
        rows.zip(&self.labels).map(loss).sum::<f64>() / self.labels.len().max(1) as f64
    }

    /// The member that drags the plain mean below the best one; none where the mean is as good.
    pub fn drag(&self) -> Option<Drag> {
        let mean = self.accuracy_of(&self.plain_weights());
        let alone = (0..self.members()).map(|member| (member, self.accuracy(self.of_member(member))));
        let best = best_of(alone)?;
        if mean >= best.1 {
            return None;
        }
        let without = (0..self.members()).map(|left_out| {
            let weight = 1.0 / (self.members() - 1) as f32;
            let weights: Vec<f32> = (0..self.members()).map(|member| if member == left_out { 0.0 } else { weight }).collect();
            (left_out, self.accuracy_of(&weights))
        });
        Some(Drag { best, mean, without: best_of(without)? })
    }
}

/// The first of those with the largest number.
fn best_of(all: impl Iterator<Item = (usize, f64)>) -> Option<(usize, f64)> {
    all.reduce(|best, other| if other.1 > best.1 { other } else { best })
}

/// Checks that labels are classes.
pub(super) fn check_labels(labels: &[f32], classes: usize) -> Result<()> {
    let is_class = |label: f32| label >= 0.0 && label.fract() == 0.0 && (label as usize) < classes;
    match labels.iter().position(|&label| !is_class(label)) {
        None => Ok(()),
        Some(sample) => Err(EnsembleError::Label { sample, label: labels[sample], classes }.into()),
    }
}

/// Checks that a member gives a probability for each class of each sample.
pub(super) fn check_probabilities(name: &str, values: &[f32], samples: usize, classes: usize) -> Result<()> {
    if values.len() != samples * classes {
        let expected = format!("{} are", samples * classes);
        let what = format!("member '{name}' and {samples} samples");
        return Err(EnsembleError::Count { what, found: values.len(), expected }.into());
    }
    let is_probability =
        |row: &[f32]| row.iter().all(|value| *value >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() <= TOLERANCE;
    match values.chunks_exact(classes).enumerate().find(|(_, row)| !is_probability(row)) {
        None => Ok(()),
        Some((sample, row)) => {
            let values = row.iter().take(3).map(f32::to_string).collect::<Vec<_>>().join(", ");
            Err(EnsembleError::NoProbabilities { member: name.to_owned(), sample, values }.into())
        }
    }
}

/// The number of classes that models tell apart, if they can answer together.
pub(super) fn check(models: &[&Model]) -> Result<usize> {
    let [first, _, ..] = models else { return Err(EnsembleError::TooFew { found: models.len() }.into()) };
    let shapes = |model: &Model| {
        let graph = model.graph();
        let shapes = graph.inputs.iter().map(|&input| graph.nodes[input].shape.to_string());
        shapes.collect::<Vec<_>>().join(" and ")
    };
    let (expected_inputs, expected) = (shapes(first), classes_of(first)?);
    for model in models {
        let (member, first) = (model.name().to_owned(), first.name().to_owned());
        let (inputs, found) = (shapes(model), classes_of(model)?);
        if inputs != expected_inputs {
            return Err(EnsembleError::Inputs { member, found: inputs, first, expected: expected_inputs }.into());
        }
        if found != expected {
            return Err(EnsembleError::Classes { member, found, first, expected }.into());
        }
    }
    Ok(expected)
}

/// The number of classes that a model tells apart.
pub(super) fn classes_of(model: &Model) -> Result<usize> {
    let graph = model.graph();
    let shapes: Vec<&Shape> = graph.outputs.iter().map(|&output| &graph.nodes[output].shape).collect();
    match shapes[..] {
        [shape] if shape.len() == 1 && shape.size() > 1 => Ok(shape.size()),
        _ => {
            let found = match shapes[..] {
                [shape] => format!("an output of shape {shape}"),
                _ => format!("{} outputs", shapes.len()),
            };
            Err(EnsembleError::Output { member: model.name().to_owned(), found }.into())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Three members, six samples of two classes: the first is wrong about 4 and 5, the second about 0 and 5, the third about 1, 2, 3.
    pub fn three() -> Opinions {
        let of = |first: [f32; 6]| first.iter().flat_map(|&p| [p, 1.0 - p]).collect::<Vec<f32>>();
        let labels = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
        let members = vec![
            ("a", of([0.9, 0.8, 0.7, 0.2, 0.6, 0.7])),
            ("b", of([0.4, 0.9, 0.6, 0.3, 0.1, 0.6])),
            ("c", of([0.75, 0.25, 0.125, 0.9, 0.0, 0.0])),
        ];
        Opinions::new(2, &labels, members).unwrap()
    }

    #[test]
    fn shares_of_right_answers() {
        let opinions = three();
        let alone = [0, 1, 2].map(|member| opinions.accuracy(opinions.of_member(member)));
        assert_eq!(alone, [4.0 / 6.0, 4.0 / 6.0, 3.0 / 6.0]);
        // First classes of the mean of a and b: 0.65, 0.85, 0.65, 0.25, 0.35, 0.65.
        assert_eq!(opinions.accuracy_of(&[0.5, 0.5, 0.0]), 5.0 / 6.0);
        let mean = opinions.mean(&[0.5, 0.25, 0.25]);
        assert!((mean[0] - 0.7375).abs() < 1e-6 && (mean[11] - 0.5).abs() < 1e-6, "{mean:?}");
        let loss = opinions.cross_entropy(opinions.of_member(0));
        let expected = -[0.9f64, 0.8, 0.7, 0.8, 0.4, 0.3].iter().map(|p| p.ln()).sum::<f64>() / 6.0;
        assert!((loss - expected).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn a_weak_member_that_drags_the_mean_is_found() {
        // The mean of all is right about all but 2, and better than the best alone.
        assert_eq!(three().drag(), None);
        let sure = |right: [f32; 4]| right.iter().flat_map(|&p| [p, 1.0 - p]).collect::<Vec<f32>>();
        let members =
            vec![("good", sure([0.6; 4])), ("wrong", sure([0.0, 0.0, 0.1, 0.9])), ("fair", sure([0.6, 0.6, 0.6, 0.3]))];
        let drag = Opinions::new(2, &[0.0; 4], members).unwrap().drag().unwrap();
        assert_eq!((drag.best, drag.mean, drag.without), ((0, 1.0), 0.25, (1, 0.75)));
    }

    #[test]
    fn what_is_no_opinion_is_refused() {
        let message =
            |labels: &[f32], members: Vec<(&str, Vec<f32>)>| Opinions::new(2, labels, members).unwrap_err().to_string();
        let fair = || ("fair", vec![0.5, 0.5]);
        assert_eq!(message(&[0.0], vec![fair()]), "an ensemble has two members or more, but 1 was given");
        assert_eq!(
            message(&[2.0], vec![fair(), fair()]),
            "sample 0 has the target 2, but members tell 2 classes apart: 0 to 1"
        );
        assert_eq!(
            message(&[1.0], vec![fair(), ("logits", vec![3.5, -1.0])]),
            "member 'logits' gives 3.5, -1 for sample 0, which are no probabilities: its last layer has to end in a softmax"
        );
        assert_eq!(
            message(&[1.0], vec![fair(), ("nan", vec![f32::NAN, 1.0])]),
            "member 'nan' gives NaN, 1 for sample 0, which are no probabilities: its last layer has to end in a softmax"
        );
        assert_eq!(
            message(&[1.0], vec![fair(), ("short", vec![1.0])]),
            "member 'short' and 1 samples: 1 value, but 2 are expected"
        );
    }
}
