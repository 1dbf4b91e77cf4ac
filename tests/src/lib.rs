//! What the whole-stack tests share: models of one op, hostile files, naive references, and the golden vectors.

pub mod examples;
pub mod golden;
pub mod graphs;
pub mod hostile;
pub mod naive;
pub mod random;
pub mod refusal;
pub mod single;
pub mod specification;
pub mod stateful;
pub mod whole;

use std::path::PathBuf;

use rand::{SeedableRng, rngs::StdRng};

/// A generator that gives the same numbers in every run; each test has a seed of its own.
pub fn generator(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Signal to noise in decibels: the power of `expected` to that of its difference from `found`; infinite where nothing differs.
pub fn signal_to_noise(expected: &[f32], found: &[f32]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let signal = power(&mut expected.iter().map(|&a| f64::from(a)));
    let noise = power(&mut expected.iter().zip(found).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

/// Where tests leave the files that `cargo xtask test` runs on the emulated boards: `$SAMARA_RESULTS`. `None` without it.
pub fn results() -> Option<PathBuf> {
    std::env::var_os("SAMARA_RESULTS").map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels() {
        assert!((signal_to_noise(&[10.0, 0.0], &[9.0, 0.0]) - 20.0).abs() < 1e-9);
        assert!((signal_to_noise(&[3.0, 4.0], &[3.0, 4.5]) - 20.0).abs() < 1e-9);
        assert_eq!(signal_to_noise(&[1.0], &[1.0]), f64::INFINITY);
        assert_eq!(signal_to_noise(&[0.0], &[-0.0]), f64::INFINITY);
        assert!(signal_to_noise(&[1.0], &[f32::NAN]).is_nan());
    }
}
