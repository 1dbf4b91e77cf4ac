//! What int8 makes of the values between layers.

use crate::device::Quantization;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rounds values to those that an int8 tensor can hold. Gradients pass straight through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    scale: f32,
    lowest: f32,
    highest: f32,
}

impl Rounding {
    /// To the values of a tensor of this quantization.
    pub fn new(Quantization { scale, zero_point }: Quantization) -> Self {
        let steps = |bound: i8| f32::from(bound) - f32::from(zero_point);
        Self { scale, lowest: steps(i8::MIN), highest: steps(i8::MAX) }
    }

    /// Each value becomes the nearest there is; ties go to even numbers of steps. NaN stays NaN.
    pub fn apply(&self, values: &mut [f32]) {
        // Adding and subtracting this leaves no fraction of numbers that are small beside it.
        const NO_FRACTION: f32 = (3 << 22) as f32;
        let (Self { scale, lowest, highest }, steps) = (*self, 1.0 / self.scale);
        for value in values {
            let clamped = (*value * steps).clamp(lowest, highest);
            *value = (clamped + NO_FRACTION - NO_FRACTION) * scale;
        }
    }
}

/// What a node's values are rounded to now, if they are: one for the node and all plans made of it, so that a training under way
/// follows.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedRounding(Arc<AtomicU64>);

impl SharedRounding {
    /// No scale is 0.
    const NONE: u64 = 0;

    /// From now on.
    pub fn set(&self, quantization: Option<Quantization>) {
        let bits = quantization.map_or(Self::NONE, |Quantization { scale, zero_point }| {
            u64::from(scale.to_bits()) | u64::from(zero_point.cast_unsigned()) << 32
        });
        self.0.store(bits, Ordering::Relaxed);
    }

    /// The quantization whose values these are.
    pub fn quantization(&self) -> Option<Quantization> {
        let bits = self.0.load(Ordering::Relaxed);
        let (scale, zero_point) = (f32::from_bits(bits as u32), ((bits >> 32) as u8).cast_signed());
        (bits != Self::NONE).then_some(Quantization { scale, zero_point })
    }

    /// What rounds to them.
    pub fn get(&self) -> Option<Rounding> {
        self.quantization().map(Rounding::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_nearest_of_256_and_zero_stays() {
        let mut values = [0.0, 0.3, -0.3, 0.75, 1000.0, -1000.0, 31.6];
        Rounding::new(Quantization { scale: 0.5, zero_point: 100 }).apply(&mut values);
        // 27 steps above the zero point, 228 below; 1.5 steps are a tie.
        assert_eq!(values, [0.0, 0.5, -0.5, 1.0, 13.5, -114.0, 13.5]);
        let mut values = [f32::NAN];
        Rounding::new(Quantization { scale: 0.5, zero_point: 0 }).apply(&mut values);
        assert!(values[0].is_nan());
    }

    #[test]
    fn what_is_shared_is_seen_by_all() {
        let (own, other) = (SharedRounding::default(), SharedRounding::default());
        let shared = own.clone();
        assert_eq!(shared.get(), None);
        for zero_point in [-128, -1, 0, 127] {
            let quantization = Quantization { scale: 0.25, zero_point };
            own.set(Some(quantization));
            assert_eq!((shared.quantization(), shared.get()), (Some(quantization), Some(Rounding::new(quantization))));
        }
        own.set(None);
        assert_eq!((shared.get(), other.get()), (None, None));
    }
}
