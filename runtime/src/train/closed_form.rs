//! A head that is solved from sums: it learns classes sample by sample, in any order, on any number of devices.
//!
//! Sums are integers and exact: counts and sums for each class, and the second moments that all classes share. So samples
//! may come in any order and be split over devices ([`merge`](ClosedFormHead::merge)): the same samples give the same bits. Nothing is
//! stored of a sample, and nothing is forgotten unless asked.
//!
//! The head follows from the sums when [`solve`](ClosedFormHead::solve) is called, as `discriminant.rs` says: the same bits on
//! every core and on the host.

use super::{
    Strangeness, TrainError, check_count, discriminant,
    record::{Head, HeadKind, closed_form_words, solution_words, solve_words, sums_words},
    words,
};
use crate::{model::Model, op::fill};

/// A class, and how sure the head is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prediction {
    /// The class of the highest score, from 0 on.
    pub class: usize,
    /// By how much it is ahead of the second: a difference of log-likelihoods, 0 or more, infinite if there is one class.
    pub margin: f32,
    /// How strange the sample is, in the measure of the file's [`Threshold`](super::Threshold); the larger, the stranger. 0 if
    /// the file has no threshold; infinite for a distance before the first solution.
    pub strangeness: f32,
    /// Whether the strangeness is at most the file's limit; `true` if it has none.
    pub known: bool,
}

/// A linear discriminant over a frozen body's int8 features.
#[derive(Debug)]
pub struct ClosedFormHead<'a> {
    record: Head<'a>,
    /// As [`sums_words`] has them for the capacity.
    sums: &'a mut [i32],
    /// Weights, biases, centre.
    solution: &'a mut [f32],
    /// The Cholesky factor of the covariance; empty if it tells no distances.
    factor: &'a mut [f32],
    /// One row of features, to work in.
    row: &'a mut [f32],
    /// Whether there is a factor: not before the first solution.
    has_factor: bool,
}

/// The parts of the sums.
struct Sums<'s> {
    counts: &'s [i32],
    forgotten: i32,
    sums: &'s [i32],
    moments: &'s [i32],
}

impl<'s> Sums<'s> {
    fn new(words: &'s [i32], classes: usize, features: usize) -> Self {
        let (counts, rest) = words.split_at_checked(classes).unwrap_or_default();
        let (&forgotten, rest) = rest.split_first().unwrap_or((&0, &[]));
        let (sums, moments) = rest.split_at_checked(classes * features).unwrap_or_default();
        Self { counts, forgotten, sums, moments }
    }
}

/// The diagonal of an upper triangle of so many rows.
fn diagonal(moments: &[i32], size: usize) -> impl Iterator<Item = &i32> {
    let mut place = 0;
    (0..size).map_while(move |row| {
        let variance = moments.get(place);
        place += size - row;
        variance
    })
}

impl<'a> ClosedFormHead<'a> {
    /// The head of that number in the file, in memory of [`closed_form_bytes`](super::closed_form_bytes). It knows what the file knows:
    /// its sums and its weights. Distances are there after the first [`solve`](Self::solve).
    ///
    /// # Errors
    /// [`TrainError::NoSuchHead`], [`TrainError::Record`], [`TrainError::MemoryTooSmall`], [`TrainError::MemoryMisaligned`].
    pub fn new(model: &Model<'a>, number: usize, memory: &'a mut [u8]) -> Result<Self, TrainError> {
        let record = model.head(number)?;
        if record.kind == HeadKind::ClosedForm { Self::of(record, memory) } else { Err(TrainError::NoSuchHead) }
    }

    pub(super) fn of(record: Head<'a>, memory: &'a mut [u8]) -> Result<Self, TrainError> {
        let (features, capacity) = (record.features, record.capacity);
        let words: &mut [i32] = words(memory, closed_form_words(capacity, features, record.has_distances()))?;
        let cut = words.split_at_mut_checked(sums_words(capacity, features));
        let (sums, rest) = cut.ok_or(TrainError::Record)?;
        let rest: &mut [f32] = bytemuck::cast_slice_mut(rest);
        let cut = rest.split_at_mut_checked(solution_words(capacity, features));
        let (solution, rest) = cut.ok_or(TrainError::Record)?;
        let (row, factor) = rest.split_at_mut_checked(features).ok_or(TrainError::Record)?;
        let mut head = Self { record, sums, solution, factor, row, has_factor: false };
        head.reset();
        Ok(head)
    }

    /// Forgets all that was learned on the device: the head is the file's.
    pub fn reset(&mut self) {
        let Head { features, classes, capacity, .. } = self.record;
        fill(bytemuck::cast_slice_mut(self.sums), 0);
        self.solution.fill(f32::NEG_INFINITY); // So are the biases of classes that the file does not know.
        self.has_factor = false;
        let file = Sums::new(self.record.sums(), classes, features);
        for (class, value) in file.counts.iter().enumerate() {
            copy(self.sums, class, &[*value]);
        }
        copy(self.sums, capacity, &[file.forgotten]);
        copy(self.sums, capacity + 1, file.sums);
        copy(self.sums, capacity + 1 + capacity * features, file.moments);
        let solution = self.record.solution();
        let (weights, rest) = solution.split_at_checked(classes * features).unwrap_or_default();
        let (biases, centre) = rest.split_at_checked(classes).unwrap_or_default();
        self.solution.iter_mut().take(capacity * features).for_each(|weight| *weight = 0.0);
        copy(self.solution, 0, weights);
        copy(self.solution, capacity * features, biases);
        copy(self.solution, capacity * (features + 1), centre);
    }

    /// What the file says of the head.
    pub const fn record(&self) -> &Head<'a> {
        &self.record
    }

    fn parts(&self) -> Sums<'_> {
        Sums::new(self.sums, self.record.capacity, self.record.features)
    }

    /// Samples of a class that the head has seen and not forgotten; 0 if there is no such class.
    pub fn count(&self, class: usize) -> u32 {
        self.parts().counts.get(class).map_or(0, |&count| count as u32)
    }

    /// The sums: what a device has learned, to be saved, sent and restored by [`restore`](Self::restore), or merged into another
    /// device's by [`merge`](Self::merge). They fit heads of models with the same [hash](Model::hash).
    pub fn sums(&self) -> &[u8] {
        bytemuck::cast_slice(self.sums)
    }

    /// The solution: weights `[capacity][features]`, biases `[capacity]`, centre `[features]`, f32. Biases of classes without
    /// samples are negative infinity.
    pub fn solution(&self) -> &[f32] {
        self.solution
    }

    /// Learns one sample of a class: a new one, if it had none.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`], [`TrainError::NoSuchClass`], [`TrainError::TooManySamples`].
    pub fn add(&mut self, features: &[i8], class: usize) -> Result<(), TrainError> {
        self.add_times(features, class, 1)
    }

    /// Learns a sample as if it had come so many times: a few samples of a class that the file knows by many weigh little otherwise, as
    /// those of a device's owner. Counts as many samples, also for what the spread and the unknown follow from: the file's limit then no longer
    /// has the rate that it was found for, and [`Calibrator`](super::Calibrator) finds another.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_times(&mut self, features: &[i8], class: usize, times: u16) -> Result<(), TrainError> {
        self.accumulate(features, class, times.into(), TrainError::TooManySamples)
    }

    /// Forgets one sample of a class, exactly: as if it had never been added.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`], [`TrainError::NoSuchClass`]; [`TrainError::NothingToForget`] if such a sample cannot have been
    /// added.
    pub fn forget(&mut self, features: &[i8], class: usize) -> Result<(), TrainError> {
        self.forget_times(features, class, 1)
    }

    /// Forgets so many of a sample, as [`add_times`](Self::add_times) learned it.
    ///
    /// # Errors
    /// As [`forget`](Self::forget).
    pub fn forget_times(&mut self, features: &[i8], class: usize, times: u16) -> Result<(), TrainError> {
        self.accumulate(features, class, -i32::from(times), TrainError::NothingToForget)
    }

    /// Adds a sample so many times, or takes it away where `times` is negative: 2^16 at most, so that no product leaves 31 bits.
    fn accumulate(&mut self, features: &[i8], class: usize, times: i32, beyond: TrainError) -> Result<(), TrainError> {
        let (size, capacity) = (self.record.features, self.record.capacity);
        check_count(features, size)?;
        self.class_exists(class)?;
        // Not one of the other sums is larger than the largest on the diagonal, since |q| <= q * q and by Cauchy-Schwarz.
        let Sums { counts, moments, .. } = self.parts();
        let in_range = |value: i32, change: i32| value.checked_add(change).is_some_and(|sum| sum >= 0);
        let square = |q: i8| times * i32::from(q) * i32::from(q);
        let counted = counts.get(class).is_some_and(|&count| in_range(count, times));
        if !(counted && diagonal(moments, size).zip(features).all(|(&moment, &q)| in_range(moment, square(q)))) {
            return Err(beyond);
        }
        let (counts, rest) = self.sums.split_at_mut_checked(capacity).unwrap_or_default();
        let (sums, mut moments) = rest.split_at_mut_checked(1 + capacity * size).unwrap_or_default();
        counts.iter_mut().skip(class).take(1).for_each(|count| *count = count.wrapping_add(times));
        let sums = sums.iter_mut().skip(1 + class * size);
        sums.zip(features).for_each(|(sum, &q)| *sum = sum.wrapping_add(times * i32::from(q)));
        let mut columns = features;
        while let Some((&q, behind)) = columns.split_first() {
            let Some((row, below)) = moments.split_at_mut_checked(columns.len()) else { break };
            let q = times * i32::from(q);
            row.iter_mut().zip(columns).for_each(|(moment, &other)| *moment = moment.wrapping_add(q * i32::from(other)));
            (moments, columns) = (below, behind);
        }
        Ok(())
    }

    fn class_exists(&self, class: usize) -> Result<(), TrainError> {
        let capacity = self.record.capacity;
        if class < capacity {
            Ok(())
        } else {
            Err(TrainError::NoSuchClass { capacity: capacity as u32, found: u32::try_from(class).unwrap_or(u32::MAX) })
        }
    }

    /// Forgets a class: its count and its sums, so where it lies. How its samples spread around their mean stays in the
    /// second moments, which all classes share; [`forget`](Self::forget) of each sample takes that away, too. The class can be
    /// learned anew.
    ///
    /// # Errors
    /// [`TrainError::NoSuchClass`]; [`TrainError::NothingToForget`] if it has no sample.
    pub fn forget_class(&mut self, class: usize) -> Result<(), TrainError> {
        self.class_exists(class)?;
        let (size, capacity) = (self.record.features, self.record.capacity);
        let (counts, rest) = self.sums.split_at_mut_checked(capacity).unwrap_or_default();
        let (forgotten, rest) = rest.split_first_mut().ok_or(TrainError::Record)?;
        let (sums, mut moments) = rest.split_at_mut_checked(capacity * size).unwrap_or_default();
        let count = counts.get_mut(class).filter(|count| **count > 0).ok_or(TrainError::NothingToForget)?;
        *forgotten = forgotten.checked_add(*count).ok_or(TrainError::TooManySamples)?;
        let sums = sums.get_mut(class * size..).and_then(|sums| sums.get_mut(..size)).unwrap_or_default();
        let mut columns = &*sums;
        while let Some((&sum, behind)) = columns.split_first() {
            let Some((row, below)) = moments.split_at_mut_checked(columns.len()) else { break };
            for (moment, &other) in row.iter_mut().zip(columns) {
                let product = discriminant::rounded_quotient(i64::from(sum) * i64::from(other), i64::from(*count));
                *moment = moment.wrapping_sub(product as i32);
            }
            (moments, columns) = (below, behind);
        }
        *count = 0;
        sums.fill(0);
        Ok(())
    }

    /// Adds what another device has learned beyond the file: its [`sums`](Self::sums), from a head of the same model.
    ///
    /// # Errors
    /// [`TrainError::Sums`] if they cannot be such a head's, or both forgot the same samples; [`TrainError::TooManySamples`].
    pub fn merge(&mut self, other: &[u8]) -> Result<(), TrainError> {
        self.combine(other, |own, other, file| i64::from(own) + i64::from(other) - i64::from(file))
    }

    /// Restores [`sums`](Self::sums) that were saved. [`solve`](Self::solve) makes the head of them.
    ///
    /// # Errors
    /// [`TrainError::Sums`] if they cannot be such a head's.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), TrainError> {
        self.combine(saved, |_, saved, _| saved.into())
    }

    /// Replaces each sum by what `f` gives of it, another's, and the file's.
    fn combine(&mut self, other: &[u8], f: impl Fn(i32, i32, i32) -> i64) -> Result<(), TrainError> {
        let (others, odd) = other.as_chunks::<4>();
        if others.len() != self.sums.len() || !odd.is_empty() {
            return Err(TrainError::Sums);
        }
        let Head { features, classes, capacity, .. } = self.record;
        let file = Sums::new(self.record.sums(), classes, features);
        let unknown = capacity - classes;
        let zeros = |count: usize| core::iter::repeat_n(0, count);
        let file = || {
            let counts = file.counts.iter().copied().chain(zeros(unknown)).chain([file.forgotten]);
            counts.chain(file.sums.iter().copied()).chain(zeros(unknown * features)).chain(file.moments.iter().copied())
        };
        let check = |own: &[i32]| -> Result<(), TrainError> {
            let (mut diagonal, mut row) = (capacity + 1 + capacity * features, features);
            for (position, ((&own, &other), file)) in own.iter().zip(others).zip(file()).enumerate() {
                let value = f(own, i32::from_le_bytes(other), file);
                let on_diagonal = position == diagonal;
                if on_diagonal {
                    (diagonal, row) = (diagonal + row, row.saturating_sub(1));
                }
                if value < 0 && (position <= capacity || on_diagonal) {
                    return Err(TrainError::Sums);
                }
                if i32::try_from(value).is_err() {
                    return Err(TrainError::TooManySamples);
                }
            }
            Ok(())
        };
        check(self.sums)?;
        for ((own, &other), file) in self.sums.iter_mut().zip(others).zip(file()) {
            *own = f(*own, i32::from_le_bytes(other), file) as i32;
        }
        Ok(())
    }

    /// Makes the head of the sums. `scratch` is what it works in: [`solve_bytes`](super::solve_bytes) at a multiple of 4, such as
    /// [`Session::scratch`](crate::Session::scratch) if the arena is that large.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`], [`TrainError::Singular`], [`TrainError::MemoryTooSmall`], [`TrainError::MemoryMisaligned`]: the head
    /// is then as before.
    pub fn solve(&mut self, scratch: &mut [u8]) -> Result<(), TrainError> {
        let Head { features, capacity, shrinkage, .. } = self.record;
        let scratch: &mut [i32] = words(scratch, solve_words(features))?;
        let (totals, rest) = scratch.split_at_mut_checked(features).unwrap_or_default();
        let (centre, covariance) = rest.split_at_mut_checked(features).unwrap_or_default();
        let covariance: &mut [f32] = bytemuck::cast_slice_mut(covariance);
        let Sums { counts, forgotten, sums, moments } = Sums::new(self.sums, capacity, features);
        let seen: i64 = counts.iter().map(|&count| i64::from(count)).sum();
        if seen == 0 {
            return Err(TrainError::NoSamples);
        }
        let samples = seen + i64::from(forgotten);
        discriminant::centre(sums, seen, totals, centre);
        discriminant::centred_moments(moments, seen, totals, centre, covariance);
        let classes = || counts.iter().zip(sums.chunks_exact(features.max(1))).map(|(&count, sums)| (i64::from(count), sums));
        for (count, sums) in classes().filter(|&(count, _)| count > 0) {
            discriminant::centred_sums(sums, count, centre, self.row);
            discriminant::subtract_outer_product(covariance, self.row, count as f32);
        }
        discriminant::shrink(covariance, features, samples as f32, shrinkage);
        if !discriminant::factorize(covariance, features) {
            return Err(TrainError::Singular);
        }
        self.factor.iter_mut().zip(&*covariance).for_each(|(to, from)| *to = *from);
        self.has_factor = true;
        let (weights, rest) = self.solution.split_at_mut_checked(capacity * features).unwrap_or_default();
        let (biases, centres) = rest.split_at_mut_checked(capacity).unwrap_or_default();
        centres.iter_mut().zip(&*centre).for_each(|(to, &from)| *to = from as f32);
        let heads = weights.chunks_exact_mut(features.max(1)).zip(biases);
        for ((count, sums), (weights, bias)) in classes().zip(heads) {
            if count == 0 {
                weights.fill(0.0);
                *bias = f32::NEG_INFINITY;
                continue;
            }
            discriminant::centred_sums(sums, count, centre, self.row);
            self.row.iter_mut().for_each(|sum| *sum /= count as f32);
            weights.copy_from_slice(self.row);
            discriminant::solve_transposed(covariance, weights);
            discriminant::solve_upper(covariance, weights);
            *bias = 0.5 * (features as f32 / count as f32 - discriminant::dot(self.row, weights));
        }
        Ok(())
    }

    /// The class of a sample, and how sure that is.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`]; [`TrainError::NoSamples`] if the head knows no class.
    pub fn classify(&mut self, features: &[i8]) -> Result<Prediction, TrainError> {
        let (mut first, mut second) = ((0, f32::NEG_INFINITY), f32::NEG_INFINITY);
        self.score_each(features, |class, score| {
            if score > first.1 {
                (first, second) = ((class, score), first.1);
            } else if score > second {
                second = score;
            }
        })?;
        let (class, score) = first;
        if score == f32::NEG_INFINITY {
            return Err(TrainError::NoSamples);
        }
        let margin = score - second;
        let Some(threshold) = self.record.threshold else {
            return Ok(Prediction { class, margin, strangeness: 0.0, known: true });
        };
        let strangeness = match threshold.strangeness {
            Strangeness::Margin => -margin,
            Strangeness::Distance => self.distance(score),
        };
        Ok(Prediction { class, margin, strangeness, known: strangeness <= threshold.limit })
    }

    /// Hands the score of each class to `take`: the logarithm of its likelihood, up to what all classes share.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`].
    pub fn score_each(&mut self, features: &[i8], mut take: impl FnMut(usize, f32)) -> Result<(), TrainError> {
        let (size, capacity) = (self.record.features, self.record.capacity);
        check_count(features, size)?;
        let (weights, rest) = self.solution.split_at_checked(capacity * size).unwrap_or_default();
        let (biases, centre) = rest.split_at_checked(capacity).unwrap_or_default();
        let values = features.iter().zip(centre).map(|(&q, &centre)| f32::from(q) - centre);
        self.row.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        for (class, (weights, &bias)) in weights.chunks_exact(size.max(1)).zip(biases).enumerate() {
            take(class, discriminant::dot(weights, self.row) + bias);
        }
        Ok(())
    }

    /// The squared Mahalanobis distance of the sample that [`score_each`](Self::score_each) has left in the row from the mean of
    /// the class whose score this is, less what the mean's own error adds.
    fn distance(&mut self, score: f32) -> f32 {
        if !self.has_factor {
            return f32::INFINITY;
        }
        discriminant::solve_transposed(self.factor, self.row);
        discriminant::dot(self.row, self.row) - 2.0 * score
    }
}

/// Copies `from` to `to` from `offset` on.
fn copy<T: Copy>(to: &mut [T], offset: usize, from: &[T]) {
    to.iter_mut().skip(offset).zip(from).for_each(|(to, from)| *to = *from);
}

#[cfg(test)]
#[path = "closed_form_tests.rs"]
mod tests;
