//! Every rounding of the runtime, written once.
//!
//! `real = scale * (q - zero_point)`; activations are int8 with one scale per tensor, weights int8 symmetric with one scale
//! per output channel, accumulators and biases int32.
//!
//! **int16 activations** have the zero point 0 and the same weights. What becomes of their sums is one product in 64 bits and one
//! rounding, half up, with a multiplier below 2^31 and a shift of 1 to 62 that the host chooses, the shift as large as both allow:
//! `clamp(zero_point + ((accumulator * multiplier + 2^(shift - 1)) >> shift))` ([`scaled`]). The host proves
//! `|accumulator| * multiplier < 2^62`, and of a layer of up to [`SHORT_SUM`] inputs that accumulators, bias included, stay below
//! 2^31. Longer sums are taken in parts of that many products, each below 2^31 whatever the numbers are, and added in 64 bits.

/// Requantizes an accumulator: `clamp(zero_point + (((accumulator << shift) * multiplier + 2^31) >> 32), minimum, maximum)`.
///
/// One rounding, half up: `SMMLAR` on Arm's DSP extension, `VRMULH.S32` on Helium, `mulh` and the low word's top bit on RV32.
/// The host proves `|accumulator| << shift < 2^31`; a file that breaks this computes nonsense, safely.
#[inline(always)]
pub const fn requantize(accumulator: i32, shift: u32, multiplier: i32, zero_point: i32, minimum: i32, maximum: i32) -> i8 {
    clamp(rounding_high_multiply(accumulator.wrapping_shl(shift), multiplier).wrapping_add(zero_point), minimum, maximum)
}

/// `(a * b + 2^31) >> 32`.
#[inline(always)]
pub const fn rounding_high_multiply(a: i32, b: i32) -> i32 {
    if cfg!(simd_v6m) { rounding_high_multiply_by_halves(a, b) } else { ((a as i64 * b as i64 + (1 << 31)) >> 32) as i32 }
}

/// The same for cores that multiply to 32 bits only, where a product of 64 is a call of a function. No step overflows: a product of halves
/// is at most `32767 * 65535`, and `65534 + 2^15` more is `2^31 - 1`.
const fn rounding_high_multiply_by_halves(a: i32, b: i32) -> i32 {
    let (a_high, a_low, b_high, b_low) = (a >> 16, a & 0xffff, b >> 16, b & 0xffff);
    let low = (a_low as u32).wrapping_mul(b_low as u32) >> 16;
    let middle = (a_high * b_low).wrapping_add(low as i32 + 0x8000);
    let other_middle = (a_low * b_high).wrapping_add(middle & 0xffff);
    (a_high * b_high).wrapping_add(middle >> 16).wrapping_add(other_middle >> 16)
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

/// Products of an int16 and an int8 in -127..=127 whose sum always fits 32 bits: `512 * 127 * 32768 < 2^31`.
pub const SHORT_SUM: usize = 512;

/// `(value + 2^(shift - 1)) >> shift` for shifts of 1 to 62: one rounding, half up.
#[inline(always)]
pub const fn rounding_shift(value: i64, shift: u32) -> i64 {
    value.wrapping_add(1i64.wrapping_shl(shift.wrapping_sub(1))).wrapping_shr(shift)
}

/// `(accumulator * multiplier + 2^(shift - 1)) >> shift` for shifts of 1 to 62.
#[inline(always)]
pub const fn scaled(accumulator: i64, multiplier: i32, shift: u32) -> i64 {
    rounding_shift(accumulator.wrapping_mul(multiplier as i64), shift)
}

/// [`requantize_i16`] for shifts above 32, as almost all are. The product's upper word is enough, since what is below never carries:
/// `SMMLA` on Arm's DSP extension, `VMULH.S32` on Helium, `mulh` on RV32.
#[inline(always)]
pub const fn requantize_upper_i16(accumulator: i32, multiplier: i32, shift: u32, minimum: i16, maximum: i16) -> i16 {
    let upper = ((accumulator as i64 * multiplier as i64) >> 32) as i32;
    let half = 1i32.wrapping_shl(shift.wrapping_sub(33));
    clamp_i16(upper.wrapping_add(half).wrapping_shr(shift.wrapping_sub(32)), minimum, maximum)
}

/// [`scaled`] and clamped, of an accumulator of 32 bits.
#[inline(always)]
pub const fn requantize_i16(accumulator: i32, multiplier: i32, shift: u32, minimum: i16, maximum: i16) -> i16 {
    if shift > 32 {
        requantize_upper_i16(accumulator, multiplier, shift, minimum, maximum)
    } else {
        requantize_long_i16(accumulator as i64, multiplier, shift, minimum, maximum)
    }
}

/// [`scaled`] and clamped, of an accumulator of 64 bits.
#[inline(never)] // Once per sum of hundreds of products.
pub const fn requantize_long_i16(accumulator: i64, multiplier: i32, shift: u32, minimum: i16, maximum: i16) -> i16 {
    clamp_i16(saturate_i32(scaled(accumulator, multiplier, shift)), minimum, maximum)
}

/// `value` limited to `minimum..=maximum`.
#[inline(always)]
pub const fn clamp_i16(value: i32, minimum: i16, maximum: i16) -> i16 {
    if value < minimum as i32 {
        minimum
    } else if value > maximum as i32 {
        maximum
    } else {
        value as i16
    }
}

/// `value` limited to 32 bits.
#[inline(always)]
pub const fn saturate_i32(value: i64) -> i32 {
    if value < i32::MIN as i64 {
        i32::MIN
    } else if value > i32::MAX as i64 {
        i32::MAX
    } else {
        value as i32
    }
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

/// Quantizes a real number to int16: `clamp(round(value / scale))`, halves away from zero; NaN gives 0.
pub fn quantize_i16(value: f32, scale: f32) -> i16 {
    saturate_i16(libm::roundf(value / scale) as i32)
}

/// `scale * q`.
pub fn dequantize_i16(q: i16, scale: f32) -> f32 {
    q as f32 * scale
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

/// `floor((2 * sum + count) / (2 * count))` of `count` int16 values, at most 2^16, as [`mean`] of int8.
#[inline(never)]
pub fn mean_i16(sum: i32, count: core::num::NonZeroU32) -> i16 {
    let shifted = (sum as u32).wrapping_add(count.get() << 15);
    let (quotient, rest) = (shifted / count, shifted % count);
    let rounded = quotient.wrapping_add((rest >= count.get() - rest) as u32);
    rounded.wrapping_sub(1 << 15) as i16
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
    fn int16_sums_are_rounded_once_and_half_up() {
        // A half: 3 * 0.5 = 1.5 -> 2, -3 * 0.5 = -1.5 -> -1; with shifts on both sides of 32.
        for shift in [1, 20, 31] {
            let of = |accumulator| requantize_i16(accumulator, 1 << (shift - 1), shift, i16::MIN, i16::MAX);
            assert_eq!((of(3), of(-3), of(2), of(-2), of(1 << 20)), (2, -1, 1, -1, i16::MAX));
        }
        // 2^30 / 2^34 is a sixteenth.
        let of = |accumulator| requantize_i16(accumulator, 1 << 30, 34, -100, 200);
        assert_eq!((of(8), of(-8), of(7), of(-9), of(i32::MAX), of(i32::MIN)), (1, 0, 0, -1, 200, -100));
        // 2^40 * 3 / 2^30.
        assert_eq!(requantize_long_i16(1 << 40, 3, 30, i16::MIN, i16::MAX), 3072);
        assert_eq!(requantize_long_i16(-(1 << 30), i32::MAX, 30, i16::MIN, i16::MAX), i16::MIN);
        assert_eq!((quantize_i16(0.75, 0.5), quantize_i16(-1e9, 0.5), quantize_i16(f32::NAN, 0.5)), (2, i16::MIN, 0));
        assert_eq!(dequantize_i16(-3, 0.5), -1.5);
    }

    #[test]
    fn the_upper_word_is_enough_for_shifts_above_32() {
        let mut generator = crate::random::Generator::new(16);
        let extremes = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];
        for round in 0..100_000 {
            let random = generator.next_u32() as i32 >> (generator.next_u32() % 32);
            let accumulator = *extremes.get(round % 14).unwrap_or(&random);
            let multiplier = (generator.next_u32() >> 1) as i32 >> (generator.next_u32() % 31);
            let shift = 33 + generator.next_u32() % 30;
            let short = requantize_i16(accumulator, multiplier, shift, i16::MIN, i16::MAX);
            let long = requantize_long_i16(accumulator.into(), multiplier, shift, i16::MIN, i16::MAX);
            assert_eq!(short, long, "{accumulator} * {multiplier} >> {shift}");
        }
    }

    #[test]
    fn the_mean_of_int16_is_the_floor_formula() {
        for count in [1i64, 2, 3, 7, 49, 1000, 65_535, 65_536] {
            for mean in [-32_768i64, -32_767, -1000, -1, 0, 1, 5, 32_766, 32_767] {
                for sum in [mean * count, mean * count - 1, mean * count + count / 2, mean * count + (count + 1) / 2] {
                    let sum = sum.clamp(-32_768 * count, 32_767 * count);
                    let expected = (2 * sum + count).div_euclid(2 * count);
                    let found = mean_i16(sum as i32, NonZeroU32::new(count as u32).unwrap());
                    assert_eq!(i64::from(found), expected, "sum {sum} count {count}");
                }
            }
        }
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
