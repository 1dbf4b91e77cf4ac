//! Augmentation: changes of pictures, sounds and features by random numbers, to be mapped over a source.
//!
//! Each is a function of the sample and of the random numbers it is given, which by [`super::Source::map`] depend on the seed, the
//! epoch and the sample's number alone: the same for any number of threads and any order.

mod image;
mod sound;

pub use image::{ImageAugmentation, ImageChange};
pub use sound::{FeatureAugmentation, FeatureChange, SoundAugmentation, SoundChange};

use super::Random;
use crate::error::{Error, Result};

/// A random number from `-most` to `most`.
fn within(most: f32, random: &mut Random) -> f32 {
    between(-most, most, random)
}

/// A random number from `least` to `most`.
fn between(least: f32, most: f32, random: &mut Random) -> f32 {
    least + (most - least) * random.uniform() as f32
}

/// Adds normal random numbers of mean 0.
fn add_noise(values: &mut [f32], deviation: f32, random: &mut Random) {
    values.iter_mut().for_each(|value| *value += deviation * random.normal() as f32);
}

/// An argument of a change must be in a range.
fn check(name: &'static str, value: f32, least: f32, most: f32) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let expected = if most == f32::MAX { format!("a number of at least {least}") } else { format!("from {least} to {most}") };
    Err(Error::Argument { name, found: value.to_string(), expected })
}
