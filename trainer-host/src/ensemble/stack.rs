//! Stacking (Wolpert 1992): a small head on what members say, which learns whom to trust about which class.

use super::{EnsembleError, Opinions};
use crate::data::{Dataset, Tensor};
use crate::error::Result;
use crate::graph::{Apply, Named, input};
use crate::layers::{Activation, Dense};
use crate::losses::SparseCategoricalCrossentropy;
use crate::optimizers::Adam;
use crate::regularizers::L2;
use crate::schedules::Cosine;
use crate::train::{Fit, Model};

/// How much the head makes of the plain mean before it has learned: its softmax of `SHARPNESS * mean` is about as sure as the mean.
const SHARPNESS: f32 = 5.0;
/// What keeps a head of few samples small.
const PENALTY: f32 = 1e-4;
const LEARNING_RATE: f32 = 0.01;
const BATCH: usize = 64;

/// How a head is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackOptions {
    /// Into how many parts the samples are cut, from 2 on. Each is answered by a head that learned from the others.
    pub folds: usize,
    /// How many times a head sees its samples.
    pub epochs: usize,
    /// Where the order of samples comes from.
    pub seed: u64,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self { folds: 5, epochs: 20, seed: 1 }
    }
}

/// A head, and how good it is.
#[derive(Debug)]
pub struct Stacked {
    /// The head, `[members * C]` to `[C]`, trained on all samples.
    pub head: Model,
    /// What heads say of the samples of folds that they did not learn from, sample by sample.
    pub out_of_fold: Vec<f32>,
}

impl Stacked {
    /// What the head says of other samples that the same members were asked about.
    ///
    /// # Errors
    /// If there are not as many members, or not as many classes.
    pub fn answer(&self, opinions: &Opinions) -> Result<Vec<f32>> {
        let all: Vec<usize> = (0..opinions.labels().len()).collect();
        Ok(self.head.predict(&features(opinions, &all)?)?.values().to_vec())
    }
}

/// Trains a dense layer with a softmax on what members say, side by side. It begins as the plain mean. The samples should be none that members
/// were trained on.
///
/// # Errors
/// [`EnsembleError::Folds`] if there are fewer than two folds, or a fold would be empty.
pub fn stack(opinions: &Opinions, options: StackOptions) -> Result<Stacked> {
    let (samples, classes) = (opinions.labels().len(), opinions.classes());
    let StackOptions { folds, .. } = options;
    if folds < 2 || samples < folds {
        return Err(EnsembleError::Folds { samples, folds }.into());
    }
    let mut out_of_fold = vec![0.0; samples * classes];
    for fold in 0..folds {
        let (own, others): (Vec<usize>, Vec<usize>) = (0..samples).partition(|sample| sample % folds == fold);
        let head = train(opinions, &others, options)?;
        let said = head.predict(&features(opinions, &own)?)?;
        for (&sample, row) in own.iter().zip(said.values().chunks_exact(classes)) {
            out_of_fold[sample * classes..][..classes].copy_from_slice(row);
        }
    }
    let all: Vec<usize> = (0..samples).collect();
    Ok(Stacked { head: train(opinions, &all, options)?, out_of_fold })
}

/// What members say of some samples, side by side.
fn features(opinions: &Opinions, samples: &[usize]) -> Result<Tensor> {
    let classes = opinions.classes();
    let members = 0..opinions.members();
    let row =
        |&sample: &usize| members.clone().flat_map(move |member| &opinions.of_member(member)[sample * classes..][..classes]);
    Tensor::from_samples([opinions.members() * classes], samples.iter().flat_map(row).copied().collect())
}

fn train(opinions: &Opinions, samples: &[usize], options: StackOptions) -> Result<Model> {
    let (members, classes) = (opinions.members(), opinions.classes());
    let said = input([members * classes]).named("said");
    let dense = Dense::new(classes).activation(Activation::Softmax).kernel_regularizer(L2::new(PENALTY)).named("trust");
    let mut head = Model::new("head", &said, dense.apply(&said))?;
    let share = SHARPNESS / members as f32;
    let kernel =
        (0..members * classes).flat_map(|from| (0..classes).map(move |to| if from % classes == to { share } else { 0.0 }));
    head.set_parameter("trust/kernel", &kernel.collect::<Vec<f32>>())?;
    head.compile(Adam::new(LEARNING_RATE), SparseCategoricalCrossentropy)?;
    let labels: Vec<u32> = samples.iter().map(|&sample| opinions.labels()[sample] as u32).collect();
    let data = Dataset::new(features(opinions, samples)?, Tensor::from_labels(&labels))?;
    let (epochs, seed, schedule) = (options.epochs, options.seed, Some(Box::new(Cosine::new()) as _));
    head.fit(&data, Fit { epochs, batch: BATCH, seed, schedule, verbose: false, ..Fit::default() })?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members, one of which knows the classes 0 and 1, and says 0 of 2; the other takes 0 for 1 and 1 for 0, and knows 2.
    fn specialists(samples: usize) -> Opinions {
        let labels: Vec<f32> = (0..samples).map(|sample| (sample * 7 % 3) as f32).collect();
        let sure = |class: usize, sample: usize| {
            let less = (sample % 5) as f32 * 0.01;
            (0..3).map(move |other| if other == class { 0.8 - less } else { 0.1 + less / 2.0 })
        };
        let of = |answers: [usize; 3]| {
            labels.iter().enumerate().flat_map(|(sample, &label)| sure(answers[label as usize], sample)).collect::<Vec<f32>>()
        };
        Opinions::new(3, &labels, vec![("first", of([0, 1, 0])), ("second", of([1, 0, 2]))]).unwrap()
    }

    #[test]
    fn a_head_learns_whom_to_trust() {
        let opinions = specialists(600);
        // No weight serves: where the first has more, 2 is taken for 0, else 0 for 1.
        for weight in [0.3, 0.5, 0.7] {
            assert!(opinions.accuracy_of(&[weight, 1.0 - weight]) < 0.7);
        }
        let stacked = stack(&opinions, StackOptions { epochs: 30, ..StackOptions::default() }).unwrap();
        assert_eq!(opinions.accuracy(&stacked.out_of_fold), 1.0);
        assert_eq!(opinions.accuracy(&stacked.answer(&opinions).unwrap()), 1.0);
    }

    #[test]
    fn an_untrained_head_answers_as_the_plain_mean() {
        let opinions = super::super::opinions::tests::three();
        let stacked = stack(&opinions, StackOptions { folds: 6, epochs: 0, seed: 1 }).unwrap();
        let mean = opinions.mean(&opinions.plain_weights());
        assert_eq!(opinions.right(&stacked.out_of_fold), opinions.right(&mean));
        // softmax of 5 times the mean 0.68333, 0.31667 of the first sample: 1 / (1 + exp(-5 * 0.36667)).
        assert!((stacked.out_of_fold[0] - 0.862_158).abs() < 1e-5, "{:?}", stacked.out_of_fold);
    }

    #[test]
    fn folds_have_samples() {
        let opinions = super::super::opinions::tests::three();
        let message =
            |folds: usize| stack(&opinions, StackOptions { folds, ..StackOptions::default() }).unwrap_err().to_string();
        let expected = "6 samples make no 7 folds, of which each has to have one at least; from 2 folds on";
        assert_eq!(message(7), expected);
        assert!(message(1).starts_with("6 samples make no 1 folds"));
    }
}
