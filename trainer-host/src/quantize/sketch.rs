//! How large values are, in constant memory.

/// Bins of one octave: the first 7 bits of the fraction, so that a bin's ends are at most 1/128 apart.
const PER_OCTAVE: usize = 128;
/// Octaves below the largest magnitude that are told apart; what is smaller is next to nothing.
const OCTAVES: usize = 20;
const BINS: usize = PER_OCTAVE * OCTAVES;

/// Counts of values by their sign and the first 16 bits of their f32: 20 octaves below the largest magnitude, 128 bins each,
/// however many values there are. It does not depend on the order of the values, nor on how they were split and joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// Bin of the largest magnitude.
    top: usize,
    /// Of negative and of positive values: the bins from the top down.
    counts: [Vec<u64>; 2],
    /// Of values below all bins.
    small: u64,
}

impl Sketch {
    /// Of no values.
    pub fn new() -> Self {
        Self { top: 0, counts: [vec![0; BINS], vec![0; BINS]], small: 0 }
    }

    /// Counts a finite value.
    pub fn add(&mut self, value: f32) {
        let bin = (value.abs().to_bits() >> 16) as usize;
        if bin == 0 {
            self.small += 1;
            return;
        }
        self.raise(bin);
        match self.counts[usize::from(value > 0.0)].get_mut(self.top - bin) {
            Some(count) => *count += 1,
            None => self.small += 1,
        }
    }

    /// Adds what another one counted.
    pub fn join(mut self, mut other: Self) -> Self {
        self.raise(other.top);
        other.raise(self.top);
        for (count, more) in self.counts.iter_mut().flatten().zip(other.counts.iter().flatten()) {
            *count += more;
        }
        self.small += other.small;
        self
    }

    /// Moves the bins up, so that this one is among them.
    fn raise(&mut self, bin: usize) {
        let Some(by) = bin.checked_sub(self.top).filter(|&by| by > 0) else { return };
        for counts in &mut self.counts {
            let lost = BINS.saturating_sub(by);
            self.small += counts.drain(lost..).sum::<u64>();
            counts.splice(0..0, vec![0; BINS - lost]);
        }
        self.top = bin;
    }

    /// How far the negative and the positive values reach if as many on each side are left out as together are not in this
    /// part of all values. At most 1/128 beyond the exact percentile; 0 where everything is left out.
    pub fn reaches(&self, part: f64) -> [f32; 2] {
        let total = self.small + self.counts.iter().flatten().sum::<u64>();
        let spare = ((1.0 - part) / 2.0 * total as f64) as u64;
        [0, 1].map(|sign| {
            let mut seen = 0;
            let kept = self.counts[sign].iter().position(|count| {
                seen += count;
                seen > spare
            });
            kept.map_or(0.0, |place| f32::from_bits(((self.top - place + 1) << 16) as u32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::random::Random;

    /// Values of both signs over many octaves, some of them zero.
    fn scattered(count: usize, seed: u64) -> Vec<f32> {
        let mut random = Random::new(seed, 0);
        let value = |_| match random.below(20) {
            0 => 0.0,
            octave => (random.below(2001) as f32 - 1000.0) * f32::powi(2.0, octave as i32 - 12),
        };
        (0..count).map(value).collect()
    }

    fn of(values: &[f32]) -> Sketch {
        values.iter().fold(Sketch::new(), |mut sketch, &value| {
            sketch.add(value);
            sketch
        })
    }

    #[test]
    fn percentiles_are_the_exact_ones_within_a_bin() {
        for (seed, count) in [(1, 10), (2, 1000), (3, 50_000)] {
            let mut values = scattered(count, seed);
            let sketch = of(&values);
            values.sort_by(f32::total_cmp);
            for part in [0.5, 0.9, 0.99, 0.999, 1.0] {
                let spare = ((1.0 - part) / 2.0 * count as f64) as usize;
                let exact = [-values[spare], values[count - 1 - spare]].map(|reach| if reach > 0.0 { reach } else { 0.0 });
                for (found, exact) in sketch.reaches(part).into_iter().zip(exact) {
                    assert!(
                        exact <= found && found <= exact * (1.0 + 1.0 / 128.0),
                        "{part} of {count}: {found}, exactly {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_outlier_does_not_blur_the_others() {
        // Evenly spaced bins up to the outlier would all be wider than the other values.
        let mut values = scattered(10_000, 4);
        values.push(1e9);
        let [_, exact] = of(&values[..10_000]).reaches(0.99);
        let [_, found] = of(&values).reaches(0.99);
        assert!((found / exact - 1.0).abs() < 0.02, "{found}, without the outlier {exact}");
    }

    #[test]
    fn the_order_and_the_parts_do_not_matter() {
        let values = scattered(3000, 5);
        let mut turned = values.clone();
        turned.sort_by(f32::total_cmp);
        let whole = of(&values);
        assert_eq!(of(&turned), whole);
        let parts = values.chunks(700).map(of).reduce(Sketch::join);
        assert_eq!(parts, Some(whole));
    }

    #[test]
    fn nothing_and_the_largest_numbers_there_are() {
        assert_eq!(Sketch::new().reaches(0.99), [0.0, 0.0]);
        assert_eq!(of(&[0.0, -0.0]).reaches(1.0), [0.0, 0.0]);
        assert_eq!(of(&[f32::MAX, -1.0]).reaches(1.0), [0.0, f32::INFINITY], "20 octaves below, a value is next to nothing");
    }
}
