//! What a file says of a last block: the fields behind those of every head.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 40 | u16 x 2 | height and width of the features; 1 and 1 for a vector |
//! | 44 | u32 | channels of the features, `C` |
//! | 48 | u16 x 2 | rows and columns that the depthwise convolution gives; height and width if there is none |
//! | 52 | u16 x 8 | its window: kernel, stride, dilation, padding, vertical and horizontal each; zeros if there is none |
//! | 68 | f32 x 2 | lowest and highest value that it gives |
//! | 76 | u32 | units of the linear layer, `M` |
//! | 80 | f32 x 2 | lowest and highest value that it gives |
//!
//! In the constants, f32: depthwise weights `[taps][C]` and biases `[C]`; weights of the linear layer `[M][C]` and biases `[M]`; weights of the
//! head `[K][M]` and biases `[K]`.

use super::record::MOST_CLASSES;
use crate::{
    format::header::{u16_at, u32_at},
    ops::{linear::ClampF32, window::Window},
};

/// Size of a block's record in this version.
pub const BLOCK_RECORD_BYTES: usize = 88;
/// Most features of a block, and most places that its depthwise convolution has.
pub const MOST_BLOCK_FEATURES: u32 = 1 << 16;
/// Most weights and biases.
pub const MOST_PARAMETERS: usize = 1 << 22;
/// Most steps of a window, and most elements of a kernel.
const MOST_TAPS: u32 = 4096;
/// Places of the linear layer that are computed together.
pub const TILE: usize = 8;
/// Channels of the depthwise convolution that are computed together.
pub(super) const STRIP: usize = 8;

/// A block's own part of a record, field for field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockRecord {
    /// Height, width and channels of the features.
    pub input: [u32; 3],
    /// Rows and columns that the depthwise convolution gives.
    pub places: [u16; 2],
    /// Its window; all zeros for none.
    pub window: Window,
    /// Bounds of what it gives.
    pub depthwise: ClampF32,
    /// Units of the linear layer.
    pub units: u32,
    /// Bounds of what it gives.
    pub linear: ClampF32,
}

impl BlockRecord {
    /// The fields of a record's bytes; zeros past their end.
    pub const fn read(bytes: &[u8]) -> Self {
        const fn pair(bytes: &[u8], at: usize) -> [u16; 2] {
            [u16_at(bytes, at), u16_at(bytes, at + 2)]
        }
        const fn clamp(bytes: &[u8], at: usize) -> ClampF32 {
            ClampF32 { minimum: f32::from_bits(u32_at(bytes, at)), maximum: f32::from_bits(u32_at(bytes, at + 4)) }
        }
        Self {
            input: [u16_at(bytes, 40) as u32, u16_at(bytes, 42) as u32, u32_at(bytes, 44)],
            places: pair(bytes, 48),
            window: Window {
                kernel: pair(bytes, 52),
                stride: pair(bytes, 56),
                dilation: pair(bytes, 60),
                padding: pair(bytes, 64),
            },
            depthwise: clamp(bytes, 68),
            units: u32_at(bytes, 76),
            linear: clamp(bytes, 80),
        }
    }

    /// The record's bytes, to follow those of every head.
    #[cfg(feature = "std")]
    pub(super) fn to_bytes(self) -> std::vec::Vec<u8> {
        let Self { input: [height, width, channels], places, window, depthwise, units, linear } = self;
        let pair = |pair: [u16; 2]| pair.into_iter().flat_map(u16::to_le_bytes);
        let clamp = |clamp: ClampF32| [clamp.minimum, clamp.maximum].into_iter().flat_map(f32::to_le_bytes);
        let mut bytes: std::vec::Vec<u8> = pair([height as u16, width as u16]).chain(channels.to_le_bytes()).collect();
        for of in [places, window.kernel, window.stride, window.dilation, window.padding] {
            bytes.extend(pair(of));
        }
        bytes.extend(clamp(depthwise).chain(units.to_le_bytes()).chain(clamp(linear)));
        bytes
    }

    /// Its sizes, with a head of so many classes. `None` if they do not fit together, or are too large.
    pub const fn sizes(&self, classes: usize) -> Option<BlockSizes> {
        let [height, width, channels] = self.input;
        let [rows, columns] = self.places;
        let Window { kernel, stride, dilation, padding } = self.window;
        let has_depthwise = kernel[0] != 0 || kernel[1] != 0;
        let windows_fit = if has_depthwise {
            fits(height, rows, [kernel[0], stride[0], dilation[0], padding[0]])
                && fits(width, columns, [kernel[1], stride[1], dilation[1], padding[1]])
                && kernel[0] as u32 * kernel[1] as u32 <= MOST_TAPS
        } else {
            rows as u32 == height && columns as u32 == width
        };
        let (features, places) = (height as u64 * width as u64 * channels as u64, rows as u64 * columns as u64);
        let most = MOST_BLOCK_FEATURES as u64;
        let counts_fit = features >= 1
            && features <= most
            && places >= 1
            && places <= most
            && self.units >= 1
            && self.units <= MOST_CLASSES
            && classes >= 1
            && classes <= MOST_CLASSES as usize;
        let bounds_fit = self.depthwise.minimum <= self.depthwise.maximum && self.linear.minimum <= self.linear.maximum;
        if !(windows_fit && counts_fit && bounds_fit) {
            return None;
        }
        let sizes = BlockSizes {
            taps: kernel[0] as usize * kernel[1] as usize,
            channels: channels as usize,
            places: places as usize,
            units: self.units as usize,
            classes,
            strip: if has_depthwise { self.strip_rows() * width as usize } else { 0 },
        };
        // Each part is at most 2^28, so that their sum is a number.
        if sizes.parameters() > MOST_PARAMETERS {
            return None;
        }
        Some(sizes)
    }
}

impl BlockRecord {
    /// Rows of the features in which the taps of a tile lie.
    const fn strip_rows(&self) -> usize {
        let [rows, columns] = [self.places[0] as usize, self.places[1] as usize];
        let spanned = (TILE + columns - 2) / columns + 1;
        let spanned = if spanned < rows { spanned } else { rows };
        let Window { kernel, stride, dilation, .. } = self.window;
        let strip = (spanned - 1) * stride[0] as usize + (kernel[0] as usize - 1) * dilation[0] as usize + 1;
        if strip < self.input[0] as usize { strip } else { self.input[0] as usize }
    }
}

/// Whether a window `[kernel, stride, dilation, padding]` gives so many places along an axis of that size: the first tap of the last window
/// and some tap of the first one are within.
const fn fits(size: u32, places: u16, [kernel, stride, dilation, padding]: [u16; 4]) -> bool {
    let (kernel, stride, dilation, padding) = (kernel as u32, stride as u32, dilation as u32, padding as u32);
    let [is_kernel, is_stride, is_dilation] =
        [kernel >= 1 && kernel <= MOST_TAPS, stride >= 1 && stride <= MOST_TAPS, dilation >= 1 && dilation <= MOST_TAPS];
    is_kernel
        && is_stride
        && is_dilation
        && places >= 1
        && padding <= (kernel - 1) * dilation
        && (places as u32 - 1) * stride < size + padding
}

/// How large a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSizes {
    /// Taps of the depthwise convolution; 0 without one.
    pub taps: usize,
    /// Channels of the features.
    pub channels: usize,
    /// Places of the linear layer, over which the mean is taken.
    pub places: usize,
    /// Units of the linear layer.
    pub units: usize,
    /// Outputs of the head.
    pub classes: usize,
    /// Pixels of the features in which the taps of places next to each other lie.
    strip: usize,
}

impl BlockSizes {
    /// Weights and biases of the depthwise convolution, of the linear layer and of the head, as they lie one behind the other.
    pub const fn parts(&self) -> [usize; 6] {
        let Self { taps, channels, units, classes, .. } = *self;
        let depthwise_biases = if taps == 0 { 0 } else { channels };
        [taps * channels, depthwise_biases, units * channels, units, classes * units, classes]
    }

    /// Weights and biases, all together.
    pub const fn parameters(&self) -> usize {
        let [a, b, c, d, e, f] = self.parts();
        a + b + c + d + e + f
    }

    /// Places that are computed together.
    pub const fn tile(&self) -> usize {
        if self.places < TILE { self.places } else { TILE }
    }

    /// Words of the features of a few channels, or of a row of sums, or of a list of half of the units.
    pub(super) const fn strip_words(&self) -> usize {
        let strip = self.strip * if self.channels < STRIP { 1 } else { STRIP };
        let list = if self.taps == 0 { 0 } else { self.units };
        let row = if self.channels > list { self.channels } else { list };
        if strip > row { strip } else { row }
    }

    /// Words of the derivatives that lead down from all units.
    pub(super) const fn open_words(&self) -> usize {
        if self.taps == 0 { 0 } else { self.channels }
    }

    /// Words that a [`BlockHead`](super::BlockHead) works in: parameters and direction; means of the units, and outputs; what the linear
    /// layer reads at some places, and what that is computed from; what leads down from all units; for each place and unit a bit.
    pub(super) const fn words(&self) -> usize {
        2 * self.parameters()
            + self.units
            + self.classes
            + self.tile() * self.channels
            + self.strip_words()
            + self.open_words()
            + (self.places.div_ceil(TILE) * self.units).div_ceil(4)
    }

    /// Multiply-accumulates of the forward pass of a sample.
    pub const fn forward_macs(&self) -> usize {
        self.places * self.channels * (self.taps + self.units) + self.units * self.classes
    }

    /// Multiply-accumulates of the gradients of a sample: those of the weights, and those that lead down to the depthwise convolution. What
    /// is computed again, its outputs, does not count.
    pub const fn backward_macs(&self) -> usize {
        let linear = self.places * self.channels * self.units;
        let down = if self.taps == 0 { 0 } else { linear };
        linear + down + self.places * self.channels * self.taps + 2 * self.units * self.classes
    }
}
