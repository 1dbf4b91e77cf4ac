//! The one layout of constants that every architecture reads, and the sizes of scratch memory.
//!
//! **Paired rows** (dense and convolution): a weight matrix `[channels, k]`, k padded with zeros to a multiple of 4, an
//! odd number of channels padded with one row of zeros. Rows lie in pairs, and within a pair groups of four weights alternate:
//! `r0[0..4], r1[0..4], r0[4..8], r1[4..8], ...`. On Armv7E-M one LDM fetches both channels of a tile; on Helium
//! VLD20/VLD21 part them while loading, at no cost; portable code walks both rows with one pointer.
//!
//! **Depthwise weights** lie as they are, `[taps, channels]`, unpadded.

use super::depthwise::BLOCK;

/// `k` rounded up to whole groups of four weights.
pub const fn padded(k: usize) -> usize {
    k.next_multiple_of(4)
}

/// Bytes of a weight matrix `[channels, k]` in the paired layout; `usize::MAX` stands for too many.
pub const fn paired_bytes(channels: usize, k: usize) -> usize {
    channels.next_multiple_of(2).saturating_mul(padded(k))
}

/// Where the weight of `channel` at `index` (below the padded k) lies in the paired layout.
pub const fn paired_position(channel: usize, index: usize, k: usize) -> usize {
    (channel / 2) * 2 * padded(k) + (index / 4) * 8 + (channel % 2) * 4 + index % 4
}

/// Writes the weights `[channels, k]` to `paired`, `paired_bytes(channels, k)` long. Other lengths leave `paired` as it is.
pub fn pair_rows(rows: &[i8], channels: usize, k: usize, paired: &mut [i8]) {
    if rows.len() != channels * k || paired.len() != paired_bytes(channels, k) {
        return;
    }
    paired.fill(0);
    for (channel, row) in rows.chunks_exact(k.max(1)).enumerate() {
        for (index, &weight) in row.iter().enumerate() {
            if let Some(place) = paired.get_mut(paired_position(channel, index, k)) {
                *place = weight;
            }
        }
    }
}

/// Words of scratch memory for the columns of as many pixels as a variant takes at a time, of `pixels` with `k` inputs each: enough for
/// every architecture.
///
/// DSP kernels widen the inputs to 16 bits, and take one pixel or three; Helium reads them 16 bytes at a time.
pub const fn columns_words(k: usize, pixels: usize) -> usize {
    let widened = padded(k) / 2;
    let sixteens = k.div_ceil(16) * 4;
    at_a_time(pixels) * if widened > sixteens { widened } else { sixteens }
}

/// As many of `pixels` as any variant takes at a time, for which scratch memory has room.
pub const fn at_a_time(pixels: usize) -> usize {
    if pixels > 1 { 3 } else { 1 }
}

/// Words of scratch memory for [`depthwise`](super::depthwise) with `taps` taps per channel, enough for every architecture.
///
/// A table of taps; a block of zero points; and the DSP kernel's stream per four channels of a block: biases, four words of
/// weights per pair of taps, two for an odd tap, multipliers and zero point.
pub const fn depthwise_words(taps: usize, channels: usize) -> usize {
    let block = if channels < BLOCK { channels } else { BLOCK };
    // Helium wants 32 words per sixteen channels.
    let (streams, constants) = (block.div_ceil(4) * stream_words(taps), block.div_ceil(16) * 32);
    taps + BLOCK / 4 + if streams > constants { streams } else { constants }
}

/// Words of the DSP kernel's stream for four channels.
pub(super) const fn stream_words(taps: usize) -> usize {
    4 + taps / 2 * 4 + taps % 2 * 2 + 5
}
