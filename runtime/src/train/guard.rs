//! Takes back what makes a head worse: samples that are held out are measured after some steps, and a head that got worse on them goes
//! back to the weights that it had.
//!
//! Mislabelled samples, a rate that is too high, a sensor that broke: whatever went into the steps, the head answers held-out samples
//! as well as before, up to a tolerance. Held-out samples are never learned.

use super::{
    GradientHead, Head, Target, TrainError, check_count,
    gradient::{row, row_mut},
    record::guard_words,
    words,
};
use crate::op::{as_i8_mut, copy};

/// What became of the steps since the last check.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Verdict {
    /// They stay.
    Kept {
        /// The mean loss of the held-out samples now.
        loss: f32,
        /// The least one before.
        best: f32,
    },
    /// They were taken back: the head has the weights of the last check that kept them, and no velocity.
    RolledBack {
        /// The mean loss that they led to; perhaps no finite number.
        loss: f32,
        /// The least one before.
        best: f32,
    },
}

/// Samples that are held out, and the weights to go back to.
#[derive(Debug)]
pub struct Guard<'a> {
    tolerance: f32,
    /// As [`GradientHead::solution`], of the last check that kept it.
    kept: &'a mut [f32],
    /// A row for each sample, as the loss encodes it.
    targets: &'a mut [f32],
    features: &'a mut [i8],
    target_words: usize,
    /// Samples that there is room for, and that are held out.
    room: usize,
    held: usize,
    /// The least mean loss of what is held now.
    best: Option<f32>,
}

impl<'a> Guard<'a> {
    /// A guard that trusts the head as it is, in memory of [`guard_bytes`](super::guard_bytes) for so many samples. The mean loss of
    /// held-out samples may rise by `tolerance` above the least so far: 0 for none, more where new classes take room from old ones.
    ///
    /// # Errors
    /// [`TrainError::Options`] if the tolerance is below 0 or no number; [`TrainError::MemoryTooSmall`],
    /// [`TrainError::MemoryMisaligned`].
    pub fn new(head: &GradientHead<'_>, samples: usize, tolerance: f32, memory: &'a mut [u8]) -> Result<Self, TrainError> {
        let Head { features, capacity, .. } = *head.record();
        if tolerance.is_nan() || tolerance < 0.0 {
            return Err(TrainError::Options);
        }
        let target_words = head.options().loss.target_words(capacity);
        let words: &mut [f32] = words(memory, guard_words(capacity, features, samples, target_words))?;
        let (kept, rest) = words.split_at_mut_checked(capacity * (features + 1)).ok_or(TrainError::Record)?;
        let (targets, rest) = rest.split_at_mut_checked(samples * target_words).ok_or(TrainError::Record)?;
        let rows = as_i8_mut(bytemuck::cast_slice_mut(rest)).get_mut(..samples * features).unwrap_or_default();
        copy(kept, head.solution());
        Ok(Self { tolerance, kept, targets, features: rows, target_words, room: samples, held: 0, best: None })
    }

    /// Samples that are held out.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Holds a sample out.
    ///
    /// # Errors
    /// As of [`GradientHead::add`]; [`TrainError::Full`] if there is no room: [`clear`](Self::clear) makes some.
    pub fn hold(&mut self, head: &GradientHead<'_>, features: &[i8], target: Target<'_>) -> Result<(), TrainError> {
        let Head { features: size, capacity, .. } = *head.record();
        check_count(features, size)?;
        if self.held >= self.room {
            return Err(TrainError::Full { capacity: self.room as u32 });
        }
        head.options().loss.encode(target, capacity, row_mut(self.targets, self.held, self.target_words))?;
        copy(row_mut(self.features, self.held, size), features);
        self.held += 1;
        self.best = None;
        Ok(())
    }

    /// Lets go of all samples that are held out.
    pub fn clear(&mut self) {
        self.held = 0;
        self.best = None;
    }

    /// Trusts the head as it is, after it was restored or reset: this is what later checks go back to.
    pub fn trust(&mut self, head: &GradientHead<'_>) {
        copy(self.kept, head.solution());
        self.best = None;
    }

    /// Measures the held-out samples. If their mean loss is above the least so far by more than the tolerance, or is no finite
    /// number where that was one, the head goes back to what it was at the last check that kept it.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`] if none is held out; the head stays as it is.
    pub fn check(&mut self, head: &mut GradientHead<'_>) -> Result<Verdict, TrainError> {
        let best = match self.best {
            Some(best) => best,
            None => self.mean_loss(head, self.kept).ok_or(TrainError::NoSamples)?,
        };
        let loss = self.mean_loss(head, head.solution()).ok_or(TrainError::NoSamples)?;
        // A loss that was infinite, of classes that had never been seen, cannot have become worse.
        let is_no_worse = loss <= best + self.tolerance || (!best.is_finite() && !loss.is_nan());
        if head.is_sound(head.solution()) && is_no_worse {
            copy(self.kept, head.solution());
            self.best = Some(if loss < best { loss } else { best });
            return Ok(Verdict::Kept { loss, best });
        }
        self.best = Some(best);
        head.go_back(self.kept);
        Ok(Verdict::RolledBack { loss, best })
    }

    /// The mean loss of what is held out, by these weights; `None` if nothing is.
    fn mean_loss(&self, head: &GradientHead<'_>, solution: &[f32]) -> Option<f32> {
        let size = head.record().features;
        let loss = |sample: usize| {
            let target = row(self.targets, sample, self.target_words);
            head.loss_by(solution, row(self.features, sample, size), target)
        };
        let sum = (0..self.held).fold(0.0, |sum, sample| sum + loss(sample));
        (self.held > 0).then_some(sum / self.held as f32)
    }
}
