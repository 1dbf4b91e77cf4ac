//! Samples of each class to learn from again, so that a head that learns something new keeps what it knew: int8 features, a bounded
//! number of each class, each of those ever seen with the same probability (reservoir sampling; Vitter 1985, algorithm R).

use super::{TrainError, check_count};
use crate::{
    op::{as_i8_mut, copy},
    random::Generator,
};

/// Bytes of memory of a [`Replay`] for so many classes, samples of each, and features: a byte for each feature, and four for each class.
pub const fn replay_bytes(classes: usize, of_class: usize, features: usize) -> usize {
    4 * classes + classes * of_class * features
}

/// Samples of each class.
#[derive(Debug)]
pub struct Replay<'a> {
    /// Of each class, how many were ever seen.
    seen: &'a mut [u32],
    /// `[classes][of_class][features]`.
    rows: &'a mut [i8],
    of_class: usize,
    features: usize,
    generator: Generator,
}

impl<'a> Replay<'a> {
    /// An empty one, in memory of [`replay_bytes`]. What it keeps and draws depends on what comes and on `seed` alone.
    ///
    /// # Errors
    /// [`TrainError::Options`] if one of the numbers is 0; [`TrainError::MemoryTooSmall`], [`TrainError::MemoryMisaligned`].
    pub fn new(classes: usize, of_class: usize, features: usize, seed: u32, memory: &'a mut [u8]) -> Result<Self, TrainError> {
        if classes == 0 || of_class == 0 || features == 0 {
            return Err(TrainError::Options);
        }
        let (required, found) = (replay_bytes(classes, of_class, features), memory.len() as u32);
        let memory = memory.get_mut(..required).ok_or(TrainError::MemoryTooSmall { required: required as u32, found })?;
        let (seen, rows) = memory.split_at_mut_checked(4 * classes).unwrap_or_default();
        let seen: &mut [u32] = bytemuck::try_cast_slice_mut(seen).map_err(|_| TrainError::MemoryMisaligned)?;
        seen.fill(0);
        Ok(Self { seen, rows: as_i8_mut(rows), of_class, features, generator: Generator::new(seed) })
    }

    /// Samples of a class that were ever seen; 0 if there is no such class.
    pub fn seen(&self, class: usize) -> u32 {
        self.seen.get(class).copied().unwrap_or(0)
    }

    /// Samples of a class that are kept.
    pub fn kept(&self, class: usize) -> usize {
        let seen = self.seen(class) as usize;
        if seen < self.of_class { seen } else { self.of_class }
    }

    /// All that is kept, to be saved and [restored](Self::restore): how many were seen of each class, then the samples.
    pub fn bytes(&self) -> [&[u8]; 2] {
        [bytemuck::cast_slice(self.seen), bytemuck::cast_slice(self.rows)]
    }

    /// Takes what was saved.
    ///
    /// # Errors
    /// [`TrainError::Sums`] if it has another length; all is then as before.
    pub fn restore(&mut self, saved: &[u8]) -> Result<(), TrainError> {
        let (seen, rows) = saved.split_at_checked(4 * self.seen.len()).ok_or(TrainError::Sums)?;
        if rows.len() != self.rows.len() {
            return Err(TrainError::Sums);
        }
        let seen = seen.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
        self.seen.iter_mut().zip(seen).for_each(|(to, from)| *to = from);
        self.rows.iter_mut().zip(rows).for_each(|(to, &from)| *to = from as i8);
        Ok(())
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.seen.fill(0);
    }

    /// Takes in a sample, which stays or not.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`], [`TrainError::NoSuchClass`].
    pub fn add(&mut self, features: &[i8], class: usize) -> Result<(), TrainError> {
        check_count(features, self.features)?;
        let capacity = self.seen.len() as u32;
        let no_class = TrainError::NoSuchClass { capacity, found: u32::try_from(class).unwrap_or(u32::MAX) };
        let seen = self.seen.get_mut(class).ok_or(no_class)?;
        let before = *seen;
        *seen = before.saturating_add(1);
        let place = if (before as usize) < self.of_class { before } else { self.below(before.saturating_add(1)) };
        if (place as usize) < self.of_class {
            let start = (class * self.of_class + place as usize) * self.features;
            let row = self.rows.get_mut(start..).and_then(|rows| rows.get_mut(..self.features));
            copy(row.unwrap_or_default(), features);
        }
        Ok(())
    }

    /// A sample that was kept, by its number within its class.
    pub fn get(&self, class: usize, number: usize) -> Option<&[i8]> {
        let start = (class * self.of_class + number) * self.features;
        if number < self.kept(class) { self.rows.get(start..)?.get(..self.features) } else { None }
    }

    /// A sample and its class: each class that has some with the same probability, each sample of it with the same. `None` if nothing
    /// is kept.
    pub fn draw(&mut self) -> Option<(&[i8], usize)> {
        let known = self.seen.iter().filter(|&&seen| seen > 0).count();
        let chosen = self.below(known as u32) as usize;
        let class = self.seen.iter().enumerate().filter(|(_, seen)| **seen > 0).nth(chosen)?.0;
        let number = self.below(self.kept(class) as u32) as usize;
        self.get(class, number).map(|features| (features, class))
    }

    /// Forgets all samples of a class.
    pub fn forget_class(&mut self, class: usize) {
        self.seen.iter_mut().skip(class).take(1).for_each(|seen| *seen = 0);
    }

    /// A number below `limit`, each with the same probability but for one in `2^32 / limit`; 0 if there is none.
    fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.generator.next_u32()) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::AlignedBuffer;

    #[test]
    fn memory_is_bounded_and_each_sample_stays_with_the_same_probability() {
        const KEPT: usize = 5;
        const SEEN: usize = 40;
        const RUNS: u32 = 4000;
        let mut memory = AlignedBuffer::zeros(replay_bytes(2, KEPT, 1));
        let mut stays = [0u32; SEEN];
        for seed in 0..RUNS {
            let mut replay = Replay::new(2, KEPT, 1, seed.wrapping_mul(2_654_435_761), memory.as_mut_slice()).unwrap();
            for number in 0..SEEN {
                replay.add(&[number as i8], 1).unwrap();
                assert_eq!(replay.kept(1), if number < KEPT { number + 1 } else { KEPT });
            }
            assert_eq!((replay.seen(1), replay.kept(0), replay.get(0, 0)), (SEEN as u32, 0, None));
            assert_eq!(replay.get(1, KEPT), None);
            (0..KEPT).for_each(|number| stays[replay.get(1, number).unwrap()[0] as usize] += 1);
        }
        // 500 each, with a standard deviation of 21; the sum of squares as chi-squared with 39 degrees of freedom (99.9%: 72).
        let expected = f64::from(RUNS) * KEPT as f64 / SEEN as f64;
        let chi: f64 = stays.iter().map(|&count| (f64::from(count) - expected).powi(2) / expected).sum();
        assert!(chi < 72.0, "{chi}: {stays:?}");
    }

    #[test]
    fn draws_are_even_over_classes_and_samples() {
        let mut memory = AlignedBuffer::zeros(replay_bytes(4, 3, 2));
        let mut replay = Replay::new(4, 3, 2, 9, memory.as_mut_slice()).unwrap();
        assert_eq!(replay.draw(), None);
        for (class, samples) in [(0, 1), (2, 3), (3, 2)] {
            (0..samples).for_each(|number| replay.add(&[class as i8, number], class).unwrap());
        }
        let mut drawn = [[0u32; 3]; 4];
        for _ in 0..6000 {
            let (features, class) = replay.draw().unwrap();
            assert_eq!(features[0], class as i8);
            drawn[class][features[1] as usize] += 1;
        }
        // A third for each class, evenly within it; five standard deviations.
        for (class, samples) in [(0, 1), (2, 3), (3, 2)] {
            let share = 1.0 / (3 * samples) as f64;
            let bound = 5.0 * (6000.0 * share * (1.0 - share)).sqrt();
            for &count in &drawn[class][..samples] {
                assert!((f64::from(count) - 6000.0 * share).abs() < bound, "{drawn:?}");
            }
        }
        replay.forget_class(2);
        assert_eq!((replay.kept(2), replay.get(2, 0)), (0, None));
        assert!((0..100).all(|_| replay.draw().unwrap().1 != 2));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut memory = AlignedBuffer::zeros(replay_bytes(2, 3, 5));
        let memory = memory.as_mut_slice();
        let error = |result: Result<Replay<'_>, TrainError>| result.err();
        let too_small = TrainError::MemoryTooSmall { required: 38, found: 37 };
        assert_eq!(error(Replay::new(2, 3, 5, 0, &mut memory[..37])), Some(too_small));
        assert_eq!(error(Replay::new(2, 2, 5, 0, &mut memory[1..])), Some(TrainError::MemoryMisaligned));
        assert_eq!(error(Replay::new(2, 0, 5, 0, memory)), Some(TrainError::Options));
        let mut replay = Replay::new(2, 3, 5, 0, memory).unwrap();
        assert_eq!(replay.add(&[0; 4], 0), Err(TrainError::FeatureCount { expected: 5, found: 4 }));
        assert_eq!(replay.add(&[0; 5], 2), Err(TrainError::NoSuchClass { capacity: 2, found: 2 }));
        assert_eq!(replay.seen(2), 0);
    }
}
