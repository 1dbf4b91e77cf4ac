//! Trainings that leave out a part of the samples, or that are saved along the way: members of an ensemble that differ.

use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_trainer::callbacks::ModelCheckpoint;
use samara_trainer::data::{Dataset, Select};

use crate::names;
use crate::schedule::ScheduleArgument;

/// The arguments that make members of one net.
#[derive(Debug, Clone, clap::Args)]
pub struct MembersArguments {
    /// Train on the first so many of the training samples only, to try something out or to see what more data would bring; validation and test
    /// samples stay [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = names::count)]
    train_samples: Option<usize>,
    /// Leave out the I-th of K parts of the training samples, those whose number leaves the remainder I - 1: for K members of an ensemble,
    /// each of which has seen other samples
    #[arg(long, value_name = "I/K", value_parser = Fold::parse)]
    fold: Option<Fold>,
    /// Train in so many rounds, in each of which the learning rate falls to 0 along half a cosine, and save the net at the end of each as
    /// DIR/snapshot-EPOCH.model, a member of an ensemble
    #[arg(long, value_name = "ROUNDS", value_parser = names::count, conflicts_with = "schedule")]
    snapshots: Option<usize>,
}

/// One of several parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fold {
    /// From 0 on.
    number: usize,
    of: usize,
}

impl Fold {
    fn parse(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if of >= 2 && (1..=of).contains(&number) => Ok(Self { number: number - 1, of }),
            _ => Err("expected a part and how many there are, two or more, such as 1/5".to_owned()),
        }
    }
}

impl MembersArguments {
    /// The samples to train on.
    ///
    /// # Errors
    /// If none are left, or there are not as many.
    pub fn keep(&self, mut train: Dataset) -> Result<Dataset> {
        if let Some(count) = self.train_samples {
            if count > train.samples() {
                bail!("--train-samples is {count}, but there are {} samples to train on", train.samples());
            }
            train = train.slice(0..count)?;
        }
        let Some(Fold { number, of }) = self.fold else { return Ok(train) };
        let others = (0..train.samples()).filter(|sample| sample % of != number).map(|sample| sample as u32).collect();
        let part = Select::new(&train, others).and_then(|others| Dataset::from_source(&others));
        part.with_context(|| format!("--fold {}/{of} leaves nothing to train on", number + 1))
    }

    /// The schedule of a training of so many epochs, and what saves it along the way; the one that is given where nothing is asked for.
    ///
    /// # Errors
    /// If the epochs are no multiple of the rounds.
    pub fn rounds(
        &self,
        given: &ScheduleArgument,
        epochs: usize,
        out: &Path,
    ) -> Result<(ScheduleArgument, Option<ModelCheckpoint>)> {
        let Some(rounds) = self.snapshots else { return Ok((given.clone(), None)) };
        if !epochs.is_multiple_of(rounds) {
            bail!("--snapshots {rounds} makes no rounds of whole epochs of --epochs {epochs}: say a multiple of {rounds}");
        }
        let length = epochs / rounds;
        let schedule =
            ScheduleArgument::parse(&format!("cosine-restarts:first={length},growth=1")).map_err(anyhow::Error::msg)?;
        Ok((schedule, Some(ModelCheckpoint::new(out.join("snapshot-{epoch:02}.model")).every_epochs(length))))
    }
}

#[cfg(test)]
mod tests {
    use samara_trainer::data::Tensor;

    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!(Fold::parse("2/5"), Ok(Fold { number: 1, of: 5 }));
        assert!(["0/5", "6/5", "1/1", "1", "a/b", "1/0", ""].into_iter().all(|text| Fold::parse(text).is_err()));
    }

    #[test]
    fn each_sample_is_left_out_once() {
        let train =
            Dataset::new(Tensor::new([7, 1], (0..7).map(|x| x as f32).collect()).unwrap(), Tensor::from_labels(&[0u8; 7]));
        let train = train.unwrap();
        let kept = |text: &str| {
            let arguments = MembersArguments { train_samples: None, fold: Some(Fold::parse(text).unwrap()), snapshots: None };
            arguments.keep(train.clone()).unwrap().inputs()[0].values().to_vec()
        };
        assert_eq!(kept("1/3"), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(kept("2/3"), [0.0, 2.0, 3.0, 5.0, 6.0]);
        assert_eq!(kept("3/3"), [0.0, 1.0, 3.0, 4.0, 6.0]);
    }

    #[test]
    fn the_first_samples_stay() {
        let train =
            Dataset::new(Tensor::new([4, 1], vec![0.0, 1.0, 2.0, 3.0]).unwrap(), Tensor::from_labels(&[0u8; 4])).unwrap();
        let keep = |count, fold: Option<&str>| {
            let fold = fold.map(|text| Fold::parse(text).unwrap());
            MembersArguments { train_samples: Some(count), fold, snapshots: None }.keep(train.clone())
        };
        assert_eq!(keep(3, None).unwrap().inputs()[0].values(), [0.0, 1.0, 2.0]);
        assert_eq!(keep(3, Some("1/2")).unwrap().inputs()[0].values(), [1.0]);
        assert_eq!(keep(5, None).unwrap_err().to_string(), "--train-samples is 5, but there are 4 samples to train on");
    }

    #[test]
    fn rounds_are_whole_epochs() {
        let given = ScheduleArgument::parse("cosine").unwrap();
        let rounds = |snapshots, epochs| {
            MembersArguments { train_samples: None, fold: None, snapshots }.rounds(&given, epochs, Path::new("out"))
        };
        assert_eq!(rounds(None, 5).unwrap().0, given);
        assert_eq!(rounds(Some(3), 6).unwrap().0.text, "cosine-restarts:first=2,growth=1");
        let message = rounds(Some(3), 7).unwrap_err().to_string();
        assert_eq!(message, "--snapshots 3 makes no rounds of whole epochs of --epochs 7: say a multiple of 3");
    }
}
