//! How the weights of a matrix lie in the file: as int8, or as int4, two in a byte.
//!
//! **int4** weights are `-7..=7`; what the kernels multiply with is 16 times that, an int8 value. So sums, biases, multipliers and
//! rounding are those of int8 layers, whose kernels serve both, and the scale of the weights is a sixteenth. In the file, four
//! bytes hold what eight hold in the paired layout ([`layout`](crate::simd::layout)): four weights of the first row in the low
//! halves, four of the second in the high halves. Some rows at a time are unpacked to scratch memory.

use crate::simd::{self, PIXELS, Requantize, layout::padded};

/// A form of weights `[channels, k]` in paired rows.
pub(crate) trait Matrix {
    /// Bytes in the file; `usize::MAX` stands for too many.
    fn bytes(channels: usize, k: usize) -> usize;

    /// Bytes of scratch memory that [`multiply`](Self::multiply) wants, a multiple of 8.
    fn scratch_bytes(channels: usize, k: usize) -> usize;

    /// As [`simd::multiply`], with weights as they lie in the file.
    fn multiply(
        weights: &[u8],
        k: usize,
        columns: &[u32],
        requantize: &Requantize<'_>,
        scratch: &mut [u8],
        outputs: [&mut [i8]; PIXELS],
    );
}

/// Weights of 8 bits.
#[derive(Debug)]
pub(crate) struct Int8;

impl Matrix for Int8 {
    fn bytes(channels: usize, k: usize) -> usize {
        simd::paired_bytes(channels, k)
    }

    fn scratch_bytes(_: usize, _: usize) -> usize {
        0
    }

    #[inline(always)]
    fn multiply(
        weights: &[u8],
        k: usize,
        columns: &[u32],
        requantize: &Requantize<'_>,
        _: &mut [u8],
        outputs: [&mut [i8]; PIXELS],
    ) {
        simd::multiply(bytemuck::cast_slice(weights), k, columns, requantize, outputs);
    }
}

/// Weights of 4 bits.
#[derive(Debug)]
pub(crate) struct Int4;

/// What a block of unpacked rows takes at most, if it has more than two rows: enough to make little of calling the kernel for each.
const BLOCK_BYTES: usize = 512;

/// Bytes of an unpacked row; never 0, which the compiler shall know.
const fn row_bytes(k: usize) -> usize {
    let bytes = padded(k);
    if bytes > 4 { bytes } else { 4 }
}

/// Rows that are unpacked at a time, an even number; never 0.
const fn block_rows(channels: usize, k: usize) -> usize {
    let (rows, all) = ((BLOCK_BYTES / row_bytes(k)) & !1, channels.next_multiple_of(2));
    let rows = if rows < all { rows } else { all };
    if rows > 2 { rows } else { 2 }
}

/// Bytes of int4 weights `[channels, k]` in the file; `usize::MAX / 2` stands for too many.
pub const fn int4_bytes(channels: usize, k: usize) -> usize {
    simd::paired_bytes(channels, k) / 2
}

/// Bytes of scratch memory for the rows of int4 weights `[channels, k]` that are unpacked at a time.
pub const fn int4_scratch_bytes(channels: usize, k: usize) -> usize {
    block_rows(channels, k) * row_bytes(k)
}

impl Matrix for Int4 {
    fn bytes(channels: usize, k: usize) -> usize {
        int4_bytes(channels, k)
    }

    fn scratch_bytes(channels: usize, k: usize) -> usize {
        int4_scratch_bytes(channels, k)
    }

    #[inline(never)] // One for dense and convolution.
    fn multiply(
        weights: &[u8],
        k: usize,
        columns: &[u32],
        requantize: &Requantize<'_>,
        scratch: &mut [u8],
        outputs: [&mut [i8]; PIXELS],
    ) {
        let channels = requantize.channels.len();
        let rows = block_rows(channels, k);
        let packed: &[u32] = bytemuck::try_cast_slice(weights).unwrap_or_default();
        let unpacked: &mut [u32] = bytemuck::try_cast_slice_mut(scratch).unwrap_or_default();
        let mut outputs = outputs.map(|outputs| outputs.chunks_mut(rows));
        let words = (rows * row_bytes(k) / 8).max(1);
        for (packed, channels) in packed.chunks(words).zip(requantize.channels.chunks(rows)) {
            let Some(unpacked) = unpacked.get_mut(..packed.len() * 2) else { return };
            for (word, pair) in packed.iter().zip(unpacked.as_chunks_mut::<2>().0) {
                *pair = [(word & 0x0f0f_0f0f) << 4, word & 0xf0f0_f0f0];
            }
            let outputs = outputs.each_mut().map(|outputs| outputs.next().unwrap_or_default());
            simd::multiply(bytemuck::cast_slice(unpacked), k, columns, &Requantize { channels, ..*requantize }, outputs);
        }
    }
}

/// Packs paired rows whose weights are multiples of 16, as [`pair_rows`](simd::pair_rows) lays them out.
#[cfg(feature = "std")]
pub fn pack_int4(paired: &[i8]) -> std::vec::Vec<i8> {
    let pairs = paired.as_chunks::<8>().0.iter();
    pairs.flat_map(|[a, b, c, d, rest @ ..]| [*a, *b, *c, *d].into_iter().zip(*rest)).map(pack).collect()
}

/// The first row's weight and the second's, 16 times int4 each.
#[cfg(feature = "std")]
fn pack((first, second): (i8, i8)) -> i8 {
    ((first as u8 >> 4) | (second as u8 & 0xf0)) as i8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::linear::split_pixels;

    #[test]
    fn two_weights_lie_in_a_byte() {
        let paired = [16, -16, 112, -112, 32, 0, -32, 48];
        assert_eq!(pack_int4(&paired), [0x21, 0x0f, 0xe7_u8 as i8, 0x39]);
    }

    #[test]
    fn rows_are_unpacked_as_many_as_fit_and_two_at_least() {
        assert_eq!((block_rows(10, 64), block_rows(10, 300), block_rows(3, 64), block_rows(1, 1)), (8, 2, 4, 2));
        assert_eq!(int4_scratch_bytes(10, 65), 6 * 68);
    }

    /// Every shape that has a last block of its own, one pixel and two.
    #[test]
    fn products_are_those_of_the_unpacked_weights() {
        for (channels, k) in [(1, 1), (2, 3), (5, 7), (9, 64), (17, 33), (3, 200), (4, 300)] {
            let rows: std::vec::Vec<i8> = (0..channels * k).map(|i| ((i * 5 % 15) as i8 - 7) * 16).collect();
            let mut paired = std::vec![0; simd::paired_bytes(channels, k)];
            simd::pair_rows(&rows, channels, k, &mut paired);
            let packed = pack_int4(&paired);
            assert_eq!(packed.len(), int4_bytes(channels, k));
            let constants: std::vec::Vec<[i32; 2]> = (0..channels as i32).map(|c| [c * 100 - 300, 1 << 21]).collect();
            let requantize = Requantize { channels: &constants, shift: 1, zero_point: 3, minimum: -100, maximum: 120 };
            let inputs: std::vec::Vec<i8> = (0..PIXELS * k).map(|i| (i * 37 % 256) as u8 as i8).collect();
            for pixels in 1..=PIXELS {
                let mut columns = std::vec![0; simd::columns_words(k, pixels)];
                let mut rows = inputs[..pixels * k].chunks(k);
                simd::pack_columns(&mut columns, k, 0, [(); PIXELS].map(|()| rows.next().unwrap_or_default()));
                let (mut expected, mut found) = (std::vec![0; pixels * channels], std::vec![1; pixels * channels]);
                simd::multiply(&paired, k, &columns, &requantize, split_pixels(&mut expected, channels));
                let mut scratch = std::vec![0_u32; int4_scratch_bytes(channels, k) / 4];
                let scratch = bytemuck::cast_slice_mut(&mut scratch);
                let outputs = split_pixels(&mut found, channels);
                Int4::multiply(bytemuck::cast_slice(&packed), k, &columns, &requantize, scratch, outputs);
                assert!(expected == found, "{channels} channels of {k}, {pixels} pixels");
            }
        }
    }
}
