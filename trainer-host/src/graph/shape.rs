//! Shapes without the batch.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// The shape of one sample of a tensor, the batch left out: `[28, 28, 1]` for grey images of 28 x 28. Images are
/// `[height, width, channels]`; the last axis lies closest in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Shape(Vec<usize>);

/// The values a sample or a parameter may have, far beyond any model for a microcontroller: what a mistyped size asks for is
/// an error and not an attempt to get the memory.
const LARGEST_SIZE: usize = i32::MAX as usize;

/// The dimensions a sample or a parameter may have, far beyond any model, too.
const LARGEST_RANK: usize = 32;

impl Shape {
    /// A shape from its dimensions.
    pub fn new(dimensions: impl Into<Vec<usize>>) -> Self {
        Self(dimensions.into())
    }

    /// The number of values in one sample; 1 for `[]`. A number beyond `usize` is the largest there is: wrapped around, it
    /// could pass for a small one.
    pub fn size(&self) -> usize {
        self.0.iter().fold(1, |size: usize, &dimension| size.saturating_mul(dimension))
    }

    /// Why no tensor has this shape, if so: a dimension of 0, too many dimensions or too many values.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.contains(&0) {
            return Some("every dimension must be at least 1".to_owned());
        }
        if self.len() > LARGEST_RANK {
            return Some(format!("a tensor may have at most {LARGEST_RANK} dimensions"));
        }
        (self.size() > LARGEST_SIZE).then(|| format!("a tensor may have at most {LARGEST_SIZE} values"))
    }

    /// The last dimension: channels or features; 1 for `[]`.
    pub fn channels(&self) -> usize {
        self.0.last().copied().unwrap_or(1)
    }

    /// The dimensions as `(height, width, channels)`, if there are exactly three.
    pub fn as_image(&self) -> Option<(usize, usize, usize)> {
        match self.0[..] {
            [height, width, channels] => Some((height, width, channels)),
            _ => None,
        }
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dimensions: [usize; N]) -> Self {
        Self(dimensions.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dimensions: &[usize]) -> Self {
        Self(dimensions.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dimensions: Vec<usize>) -> Self {
        Self(dimensions)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
