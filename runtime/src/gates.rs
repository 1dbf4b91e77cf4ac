//! sigmoid and tanh of recurrent ops, from one table: inputs in Q3.12, results in Q0.15.
//!
//! `S[i] = min(65535, floor(65536 * sigmoid(i / 32) + 0.5))`, interpolated between entries. Within 1.02 (sigmoid) and 1.53 (tanh) units
//! of 2^-15, monotone. Linked only where such an op is.

/// `S`.
static TABLE: [u16; 513] = table();

const fn table() -> [u16; 513] {
    // exp(-1/32), to the last place of an f64.
    const STEP: f64 = 0.969_233_234_476_344_1;
    let mut table = [0; 513];
    let (mut i, mut falling) = (0, 1.0);
    while i < 513 {
        let value = (65536.0 / (1.0 + falling) + 0.5) as u32;
        #[expect(clippy::indexing_slicing, reason = "at compile time")]
        {
            table[i] = if value > 65535 { 65535 } else { value as u16 };
        }
        falling *= STEP;
        i += 1;
    }
    table
}

/// `2^23 * sigmoid(p / 4096)`, p at most 65,534.
#[inline(always)]
fn core(p: u32) -> i32 {
    let entry = |i: u32| i32::from(TABLE.get(i as usize).copied().unwrap_or(u16::MAX));
    let i = p >> 7;
    let low = entry(i);
    low * 128 + (entry(i + 1) - low) * (p & 127) as i32
}

/// The magnitude, at most 32,767.
#[inline(always)]
fn magnitude(x: i16) -> u32 {
    u32::from(x.saturating_abs().unsigned_abs())
}

#[inline(always)]
fn at_most_one(value: i32) -> i32 {
    if value > 32767 { 32767 } else { value }
}

/// `sigmoid(x)`.
pub(crate) fn sigmoid(x: i16) -> i16 {
    let value = at_most_one((core(magnitude(x)) + 128) >> 8);
    (if x < 0 { 32768 - value } else { value }) as i16
}

/// `tanh(x)`.
pub(crate) fn tanh(x: i16) -> i16 {
    let value = at_most_one((core(2 * magnitude(x)) - (1 << 22) + 64) >> 7);
    (if x < 0 { -value } else { value }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_its_formula() {
        for (i, &entry) in TABLE.iter().enumerate() {
            let exact = (65536.0 / (1.0 + libm::exp(-(i as f64) / 32.0)) + 0.5).floor();
            assert_eq!(f64::from(entry), if exact > 65535.0 { 65535.0 } else { exact }, "entry {i}");
        }
    }

    #[test]
    fn within_the_promised_distance_and_monotone() {
        let (mut worst, mut last) = ([0.0f64; 2], [i16::MIN; 2]);
        for x in i16::MIN..=i16::MAX {
            let real = f64::from(x) / 4096.0;
            let exact = [1.0 / (1.0 + libm::exp(-real)), libm::tanh(real)];
            for (number, found) in [sigmoid(x), tanh(x)].into_iter().enumerate() {
                // One is no Q0.15: 32767 stands for it.
                let wanted = exact[number] * 32768.0;
                let wanted = if wanted > 32767.0 { 32767.0 } else { wanted };
                let distance = (f64::from(found) - wanted).abs();
                worst[number] = if distance > worst[number] { distance } else { worst[number] };
                assert!(found >= last[number], "falls at {x}");
                last[number] = found;
            }
        }
        assert!(worst[0] <= 1.02 && worst[1] <= 1.53, "{worst:?} units");
        assert_eq!([sigmoid(0), tanh(0), sigmoid(4096), tanh(-4096)], [16384, 0, 23956, -24956]);
    }
}
