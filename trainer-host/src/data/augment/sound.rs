//! Changes of sounds and of their features.

use super::{add_noise, check, within};
use crate::data::Random;
use crate::error::{Error, Result};
use crate::graph::Shape;

/// A random change of a sound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SoundChange {
    /// Moves it by whole samples, evenly drawn up to this in either direction; zeros follow.
    Shift {
        /// The largest number of samples.
        samples: usize,
    },
    /// Makes it louder or softer, evenly drawn up to this in either direction.
    Gain {
        /// 0 to 60.
        decibels: f32,
    },
    /// Adds normal random numbers.
    Noise {
        /// Their standard deviation; 1 is the loudest that whole numbers hold.
        deviation: f32,
    },
}

/// Random changes of sounds, one after another, before features are computed: [`crate::data::sources::WavFolder::augment`].
#[derive(Debug, Clone, PartialEq)]
pub struct SoundAugmentation {
    changes: Vec<SoundChange>,
}

impl SoundAugmentation {
    /// Changes of sounds of any length.
    ///
    /// # Errors
    /// If an argument of a change is out of range.
    pub fn new(changes: Vec<SoundChange>) -> Result<Self> {
        for change in &changes {
            match *change {
                SoundChange::Shift { .. } => {}
                SoundChange::Gain { decibels } => check("the decibels of a gain", decibels, 0.0, 60.0)?,
                SoundChange::Noise { deviation } => check("the deviation of noise", deviation, 0.0, f32::MAX)?,
            }
        }
        Ok(Self { changes })
    }

    /// Changes a sound.
    pub fn apply(&self, sound: &mut [f32], random: &mut Random) {
        for change in &self.changes {
            match *change {
                SoundChange::Shift { samples } => {
                    let samples = samples.min(sound.len());
                    let later = random.below(2 * samples + 1);
                    shift(sound, later, samples);
                }
                SoundChange::Gain { decibels } => {
                    let factor = libm::powf(10.0, within(decibels, random) / 20.0);
                    sound.iter_mut().for_each(|value| *value *= factor);
                }
                SoundChange::Noise { deviation } => add_noise(sound, deviation, random),
            }
        }
    }
}

/// Moves a sound `later` samples to its end and `earlier` ones to its start.
fn shift(sound: &mut [f32], later: usize, earlier: usize) {
    let length = sound.len();
    if later >= earlier {
        let by = (later - earlier).min(length);
        sound.copy_within(..length - by, by);
        sound[..by].fill(0.0);
    } else {
        let by = (earlier - later).min(length);
        sound.copy_within(by.., 0);
        sound[length - by..].fill(0.0);
    }
}

/// A random change of features `[frames, bands]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureChange {
    /// Sets some frames in a row to the features' mean, as many as is evenly drawn from 0 up to this.
    MaskTime {
        /// The largest number of frames.
        frames: usize,
    },
    /// Sets some bands in a row to the features' mean, as many as is evenly drawn from 0 up to this.
    MaskBands {
        /// The largest number of bands.
        bands: usize,
    },
}

/// Random changes of features `[frames, bands]` or `[frames, bands, 1]`, one after another, to be mapped over a source.
///
/// Source: D. S. Park et al., *SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition*, 2019, without its
/// warping of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureAugmentation {
    frames: usize,
    bands: usize,
    changes: Vec<FeatureChange>,
}

impl FeatureAugmentation {
    /// Changes of features of a shape.
    ///
    /// # Errors
    /// If the shape is none of features.
    pub fn new(shape: impl Into<Shape>, changes: Vec<FeatureChange>) -> Result<Self> {
        let shape = shape.into();
        match shape[..] {
            [frames, bands] | [frames, bands, 1] if shape.fault().is_none() => Ok(Self { frames, bands, changes }),
            _ => {
                let expected = "[frames, bands] or [frames, bands, 1]".to_owned();
                Err(Error::Argument { name: "the shape of features to augment", found: shape.to_string(), expected })
            }
        }
    }

    /// Changes features.
    ///
    /// # Panics
    /// If there are not as many values as the shape has.
    pub fn apply(&self, features: &mut [f32], random: &mut Random) {
        assert_eq!(features.len(), self.frames * self.bands, "the values of features");
        for change in &self.changes {
            let sum: f64 = features.iter().map(|&value| f64::from(value)).sum();
            let mean = (sum / features.len() as f64) as f32;
            let mut range = |most: usize, all: usize| {
                let count = random.below(most.min(all) + 1);
                let start = random.below(all - count + 1);
                start..start + count
            };
            match *change {
                FeatureChange::MaskTime { frames } => {
                    let range = range(frames, self.frames);
                    features[range.start * self.bands..range.end * self.bands].fill(mean);
                }
                FeatureChange::MaskBands { bands } => {
                    let range = range(bands, self.bands);
                    features.chunks_exact_mut(self.bands).for_each(|frame| frame[range.clone()].fill(mean));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_goes_either_way_and_zeros_follow() {
        let shifted = |later, earlier| {
            let mut sound = [1.0, 2.0, 3.0];
            shift(&mut sound, later, earlier);
            sound
        };
        assert_eq!(shifted(1, 0), [0.0, 1.0, 2.0]);
        assert_eq!(shifted(0, 2), [3.0, 0.0, 0.0]);
        assert_eq!(shifted(2, 2), [1.0, 2.0, 3.0]);
        assert_eq!(shifted(9, 0), [0.0; 3]);
        assert_eq!(shifted(0, 9), [0.0; 3]);
    }

    #[test]
    fn the_same_key_gives_the_same_sound_within_its_range() {
        let applied = |change: SoundChange, sample: u64| {
            let mut sound = [0.5; 8];
            SoundAugmentation::new(vec![change]).unwrap().apply(&mut sound, &mut Random::new(7, sample));
            sound
        };
        let (mut softest, mut loudest, mut lengths) = (f32::MAX, 0.0f32, [false; 4]);
        for sample in 0..200 {
            let gain = SoundChange::Gain { decibels: 6.0 };
            let value = applied(gain, sample)[3];
            assert_eq!(value, applied(gain, sample)[3]);
            softest = if value < softest { value } else { softest };
            loudest = if value > loudest { value } else { loudest };
            let zeros = applied(SoundChange::Shift { samples: 3 }, sample).iter().filter(|value| **value == 0.0).count();
            lengths[zeros] = true;
        }
        // 6 dB are a factor of 1.995.
        assert!((0.2505..0.26).contains(&softest) && (0.96..0.9977).contains(&loudest), "{softest} to {loudest}");
        assert_eq!(lengths, [true; 4], "every shift up to 3 is drawn");
        let noisy = applied(SoundChange::Noise { deviation: 0.01 }, 1);
        assert!(noisy.iter().all(|value| (value - 0.5).abs() < 0.06) && noisy != [0.5; 8]);
        let message = SoundAugmentation::new(vec![SoundChange::Gain { decibels: -1.0 }]).unwrap_err().to_string();
        assert_eq!(message, "the decibels of a gain is -1, but must be from 0 to 60");
    }

    #[test]
    fn masks_cover_whole_frames_or_bands() {
        let start: Vec<f32> = (0..12u8).map(f32::from).collect();
        for sample in 0..100 {
            let applied = |change| {
                let mut features = start.clone();
                FeatureAugmentation::new([4, 3, 1], vec![change]).unwrap().apply(&mut features, &mut Random::new(1, sample));
                // The mean, 5.5, is no value of the features.
                features.iter().map(|value| *value == 5.5).collect::<Vec<bool>>()
            };
            let masked = applied(FeatureChange::MaskTime { frames: 2 });
            let frames: Vec<bool> = masked.chunks(3).map(|frame| frame[0]).collect();
            assert!(masked.chunks(3).all(|frame| frame.iter().all(|value| *value == frame[0])));
            assert!(frames.iter().filter(|masked| **masked).count() <= 2);
            let masked = applied(FeatureChange::MaskBands { bands: 9 });
            assert!(masked.chunks(3).all(|frame| frame == &masked[..3]), "bands are masked in all frames alike");
        }
        assert!(
            FeatureAugmentation::new([4, 3, 2], vec![])
                .unwrap_err()
                .to_string()
                .contains("the shape of features to augment is [4, 3, 2]")
        );
    }
}
