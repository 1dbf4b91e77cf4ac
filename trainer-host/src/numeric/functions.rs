//! Exponentials for loops that are compiled to vectors: the standard library's are calls, one value at a time. Without a branch, accurate to
//! 3e-7 of the result.

use std::f32::consts::LOG2_E;

/// Added to a number below 2^22 in magnitude, it leaves the nearest integer in the last bits.
const TO_INTEGER: f32 = 12_582_912.0;
/// `ln 2` as a number of few bits, whose multiples are exact, and what it lacks.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// `x = n * ln 2 + r` with `r` nearest to 0: `2^n` and `exp(r) - 1`. `x` from -87 to 88.
#[inline(always)]
fn parts(x: f32) -> [f32; 2] {
    let shifted = x * LOG2_E + TO_INTEGER;
    let n = shifted - TO_INTEGER;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    // The first terms of its series; r is at most 0.35, so the next one is below 1e-8.
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)));
    let below_one = r + r * r * (0.5 + r * (1.0 / 6.0 + r * tail));
    let exponent = shifted.to_bits().wrapping_sub(TO_INTEGER.to_bits()).wrapping_add(127);
    [f32::from_bits(exponent << 23), below_one]
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let above = if x < -87.0 { -87.0 } else { x };
    let within = if above > 87.0 { 87.0 } else { above };
    let [power, below_one] = parts(-within);
    1.0 / (1.0 + (power + power * below_one))
}

/// `tanh(x)`, as `(exp(2x) - 1) / (exp(2x) + 1)`.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let above = if x < -20.0 { -20.0 } else { x };
    let within = if above > 20.0 { 20.0 } else { above };
    let [power, below_one] = parts(2.0 * within);
    let less_one = power * below_one + (power - 1.0);
    less_one / (less_one + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_accurate_everywhere() {
        let steps = (-400_000..=400_000).map(|step| step as f32 * 2.5e-4);
        for x in steps.chain([1e-8, -1e-20, 0.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY]) {
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            let distance = (f64::from(sigmoid(x)) - exact).abs();
            // Below exp(-87) it stays there.
            assert!(distance <= 3e-7 * exact + 2e-38, "sigmoid({x}) = {}, exactly {exact}", sigmoid(x));
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - exact).abs() <= 3e-7 * exact.abs(), "tanh({x}) = {}, exactly {exact}", tanh(x));
        }
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }
}
