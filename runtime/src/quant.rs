//! Every rounding of the runtime, written once.
//!
//! `real = scale * (q - zero_point)`; activations are int8 with one scale per tensor, weights int8 symmetric with one scale
//! per output channel, accumulators and biases int32.

/// Requantizes an accumulator: `clamp(zero_point + (((accumulator << shift) * multiplier + 2^31) >> 32), minimum, maximum)`.
///
/// One rounding, half up: `SMMLAR` on Arm's DSP extension, `VRMULH.S32` on Helium, `mulh` and the low word's top bit on RV32.
/// The host proves `|accumulator| << shift < 2^31`; a file that breaks this computes nonsense, safely.
#[inline(always)]
pub const fn requantize(accumulator: i32, shift: u32, multiplier: i32, zero_point: i32, minimum: i32, maximum: i32) -> i8 {
    clamp(rounding_high_multiply(accumulator.wrapping_shl(shift), multiplier).wrapping_add(zero_point), minimum, maximum)
}

/// `(a * b + 2^31) >> 32` in 64-bit arithmetic.
#[inline(always)]
pub const fn rounding_high_multiply(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64 + (1 << 31)) >> 32) as i32
}

/// `value` limited to `minimum..=maximum`, both within int8.
#[inline(always)]
pub const fn clamp(value: i32, minimum: i32, maximum: i32) -> i8 {
    (if value < minimum {
        minimum
    } else if value > maximum {
        maximum
    } else {
        value
    }) as i8
}

/// `value` limited to 16 bits.
#[inline(always)]
pub const fn saturate_i16(value: i32) -> i16 {
    (if value < i16::MIN as i32 {
        i16::MIN as i32
    } else if value > i16::MAX as i32 {
        i16::MAX as i32
    } else {
        value
    }) as i16
}

/// Quantizes a real number: `clamp(round(value / scale) + zero_point)`, halves away from zero; NaN gives the zero point.
pub fn quantize(value: f32, scale: f32, zero_point: i8) -> i8 {
    let rounded = libm::roundf(value / scale) as i32;
    clamp(rounded.saturating_add(zero_point as i32), -128, 127)
}

/// `scale * (q - zero_point)`.
pub fn dequantize(q: i8, scale: f32, zero_point: i8) -> f32 {
    (q as i32 - zero_point as i32) as f32 * scale
}

/// `floor((2 * sum + count) / (2 * count))`: the mean of `count` int8 values whose sum is `sum`, halves up.
///
/// Written on the sum of `value + 128`, which is never negative, so that the division is unsigned.
#[inline(never)] // By lanes, a compiler would write the division as many times.
pub fn mean(sum: i32, count: core::num::NonZeroU32) -> i8 {
    let doubled = core::num::NonZeroU32::new(count.get() << 1).unwrap_or(count);
    let shifted = sum.wrapping_add((count.get() as i32) << 7) as u32;
    ((shifted << 1).wrapping_add(count.get()) / doubled).wrapping_sub(128) as i8
}

/// `floor(sqrt(value))`, a bit at a time.
pub const fn square_root(value: u64) -> u64 {
    let (mut root, mut rest, mut bit) = (0, value, 1 << 62);
    while bit != 0 {
        let part: u64 = root + bit;
        root >>= 1;
        if rest >= part {
            rest -= part;
            root += bit;
        }
        bit >>= 2;
    }
    root
}

/// `floor(numerator / divisor)`, 0 for a divisor of 0.
pub const fn divide(numerator: u64, divisor: u64) -> u64 {
    match numerator.checked_div(divisor) {
        Some(quotient) => quotient,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::num::NonZeroU32;

    #[test]
    fn square_roots_are_rounded_down() {
        for root in [0, 1, 2, 3, 1000, 65_535, 65_536, 3_037_000_499, u64::from(u32::MAX)] {
            let square = root * root;
            assert_eq!(square_root(square), root);
            assert_eq!(square_root(square + 2 * root), root, "just below the next square");
            assert_eq!(square_root(square.saturating_sub(1)), root.saturating_sub(1));
        }
        assert_eq!((square_root(u64::MAX), divide(7, 2), divide(7, 0)), (u64::from(u32::MAX), 3, 0));
    }

    #[test]
    fn requantize_rounds_half_up_once() {
        // m = 2^31 - 1 is just under a half: 3 * 0.5 = 1.5 -> 1 (just under), -3 * 0.5 = -1.5 -> -1.
        assert_eq!(requantize(3, 0, i32::MAX, 0, -128, 127), 1);
        assert_eq!(requantize(-3, 0, i32::MAX, 0, -128, 127), -1);
        // Exactly a quarter: 2 * 0.25 = 0.5 -> 1, -2 * 0.25 = -0.5 -> 0 (half up).
        assert_eq!(requantize(2, 0, 1 << 30, 0, -128, 127), 1);
        assert_eq!(requantize(-2, 0, 1 << 30, 0, -128, 127), 0);
        // A shift of 2 makes that factor one.
        assert_eq!(requantize(37, 2, 1 << 30, -5, -128, 127), 32);
        assert_eq!(requantize(1000, 2, 1 << 30, 0, -128, 127), 127);
        assert_eq!(requantize(-1000, 2, 1 << 30, 0, 3, 127), 3);
    }

    #[test]
    fn quantize_rounds_half_away_from_zero_and_saturates() {
        assert_eq!(quantize(0.5, 1.0, 0), 1);
        assert_eq!(quantize(-0.5, 1.0, 0), -1);
        assert_eq!(quantize(0.24, 0.1, 10), 12);
        assert_eq!(quantize(1e30, 0.1, 10), 127);
        assert_eq!(quantize(f32::NEG_INFINITY, 0.1, 10), -128);
        assert_eq!(quantize(f32::NAN, 0.1, 10), 10);
        assert_eq!(dequantize(12, 0.5, 10), 1.0);
    }

    #[test]
    fn mean_is_the_floor_formula() {
        for count in 1..=49i32 {
            for sum in (-128 * count)..=(127 * count) {
                let expected = (2 * sum + count).div_euclid(2 * count);
                assert_eq!(mean(sum, NonZeroU32::new(count as u32).unwrap()) as i32, expected, "sum {sum} count {count}");
            }
        }
    }
}
