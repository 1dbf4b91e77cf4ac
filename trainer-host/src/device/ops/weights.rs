//! How real weights become integers: the rounding of the exporter, and of training that is aware of it.

/// Bits that an int8 layer's weights have in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightBits {
    /// `-7..=7`, kept as 16 times that; two in a byte.
    Four,
    /// `-127..=127`.
    #[default]
    Eight,
}

/// Parts of a row's largest weight that may become the largest int4 value: where few values are left, it can pay to cut the largest
/// weights, so that all others are rounded less.
const CUTS: [f64; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6];

impl WeightBits {
    /// The distance of neighbouring values, as the kernels see them.
    const fn step(self) -> f64 {
        match self {
            Self::Four => 16.0,
            Self::Eight => 1.0,
        }
    }

    /// The largest value, in steps.
    const fn largest(self) -> f64 {
        match self {
            Self::Four => 7.0,
            Self::Eight => 127.0,
        }
    }

    /// What 1, as the kernels see it, stands for in the weights of each output: with 8 bits the largest weight becomes 127, with 4 bits
    /// the squares of what rounding loses are as small as some scales can make them. 0 for weights that are all 0. Weight `i` is that of
    /// output `i % outputs`.
    pub fn scales(self, weights: &[f32], outputs: usize) -> Vec<f64> {
        let mut scales = vec![0.0; outputs];
        for row in weights.chunks(outputs.max(1)) {
            for (largest, &weight) in scales.iter_mut().zip(row) {
                *largest = if f64::from(weight.abs()) > *largest { weight.abs().into() } else { *largest };
            }
        }
        scales.iter_mut().for_each(|scale| *scale /= self.largest() * self.step());
        if self == Self::Eight {
            return scales;
        }
        let widest = scales.clone();
        let mut least = vec![f64::INFINITY; outputs];
        for cut in CUTS {
            let mut lost = vec![0.0; outputs];
            for row in weights.chunks(outputs.max(1)) {
                for ((lost, &weight), &widest) in lost.iter_mut().zip(row).zip(&widest) {
                    let scale = cut * widest;
                    *lost += (f64::from(weight) - self.nearest(weight, scale) * scale).powi(2);
                }
            }
            for (((scale, least), lost), widest) in scales.iter_mut().zip(&mut least).zip(lost).zip(&widest) {
                if lost < *least {
                    (*scale, *least) = (cut * widest, lost);
                }
            }
        }
        scales
    }

    /// The value next to a weight, as the kernels see it; 0 for a scale of 0.
    pub fn round(self, weight: f32, scale: f64) -> i8 {
        self.nearest(weight, scale) as i8
    }

    /// As [`round`](Self::round), still a real number. Ties go to even numbers of steps.
    fn nearest(self, weight: f32, scale: f64) -> f64 {
        // Adding and subtracting this leaves no fraction, and needs no instruction that the oldest processors lack.
        const NO_FRACTION: f64 = (3_u64 << 51) as f64;
        let steps = f64::from(weight) / (scale * self.step());
        let steps = steps.clamp(-self.largest(), self.largest());
        (steps + NO_FRACTION - NO_FRACTION) * self.step()
    }
}

#[cfg(test)]
mod tests {
    use super::WeightBits::{Eight, Four};

    #[test]
    fn the_largest_weight_is_127_or_16_times_7() {
        let weights = [0.5_f32, -1.0, 0.25];
        let rounded = |bits: super::WeightBits| weights.map(|weight| bits.round(weight, bits.scales(&weights, 1)[0]));
        assert_eq!(rounded(Eight), [64, -127, 32]);
        // 3.5 steps would be lost in a tie: 0.95 of the largest weight makes 3.7 of them.
        assert_eq!(rounded(Four).map(|value| value / 16), [4, -7, 2]);
        assert_eq!((Eight.scales(&[0.0], 1), Four.scales(&[0.0], 1)), (vec![0.0], vec![0.0]));
    }

    #[test]
    fn outputs_have_scales_of_their_own() {
        let (first, second) = ([0.5, -0.3, 0.2], [8.0, 0.1, -6.0]);
        let both: Vec<f32> = first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect();
        for bits in [Four, Eight] {
            assert_eq!(bits.scales(&both, 2), [bits.scales(&first, 1)[0], bits.scales(&second, 1)[0]]);
        }
    }

    /// What was rounded once is not rounded again: weights that training has seen rounded are exported as they were.
    #[test]
    fn rounded_weights_keep_their_scale() {
        let weights: Vec<f32> = (0..50).map(|i| ((i * 29 % 50) as f32 - 20.0) / 50.0).collect();
        for bits in [Four, Eight] {
            let scale = bits.scales(&weights, 1)[0];
            let integers: Vec<i8> = weights.iter().map(|&weight| bits.round(weight, scale)).collect();
            let rounded: Vec<f32> = integers.iter().map(|&value| (f64::from(value) * scale) as f32).collect();
            let again = bits.scales(&rounded, 1)[0];
            assert!((again / scale - 1.0).abs() < 1e-6, "{bits:?}: {scale} became {again}");
            assert!(rounded.iter().map(|&weight| bits.round(weight, again)).eq(integers));
        }
    }

    #[test]
    fn one_large_weight_is_cut_where_that_loses_less() {
        let weights: Vec<f32> = [1.0].into_iter().chain((0..200).map(|i| (i % 20) as f32 / 40.0 - 0.25)).collect();
        let scale = Four.scales(&weights, 1)[0];
        assert!(scale < 1.0 / 112.0);
        assert_eq!(Four.round(1.0, scale), 112);
    }
}
