//! Random orthogonal matrices: the shorter side's vectors are perpendicular to each other and all of length `gain`
//! (Saxe et al. 2013).

use serde::{Deserialize, Serialize};

use super::Initializer;
use crate::numeric::random::Random;

/// Orthogonal rows or columns, whichever are fewer.
///
/// A kernel of more than two dimensions counts as the matrix `[all but the last, last]`, as in Keras.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Orthogonal {
    gain: f64,
}

impl Orthogonal {
    /// Vectors of length `gain`: 1 keeps lengths, `sqrt(2)` makes up for a ReLU behind it.
    pub fn new(gain: f64) -> Self {
        Self { gain }
    }
}

/// Takes from `vector` what it has along each of the `basis`, which are of length 1.
fn straighten(vector: &mut [f64], basis: &[Vec<f64>]) {
    for direction in basis {
        let along: f64 = vector.iter().zip(direction).map(|(a, b)| a * b).sum();
        vector.iter_mut().zip(direction).for_each(|(value, &part)| *value -= along * part);
    }
}

impl Initializer for Orthogonal {
    /// Normal vectors are turned about evenly in space, and stay so when each loses its parts along those before it (the
    /// process of Gram and Schmidt). That is done twice, since the first time leaves rounding errors where vectors are
    /// nearly parallel.
    fn fill(&self, shape: &[usize], random: &mut Random, values: &mut [f32]) {
        let columns = shape.last().copied().unwrap_or(1);
        let rows = values.len().checked_div(columns).unwrap_or(0);
        let (count, length) = if rows < columns { (rows, columns) } else { (columns, rows) };
        let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
        while basis.len() < count {
            let mut vector: Vec<f64> = (0..length).map(|_| random.normal()).collect();
            straighten(&mut vector, &basis);
            straighten(&mut vector, &basis);
            let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
            // What happened to lie within the space of those before is drawn again.
            if norm > 1e-6 {
                vector.iter_mut().for_each(|value| *value /= norm);
                basis.push(vector);
            }
        }
        for (place, value) in values.iter_mut().enumerate() {
            let (row, column) = (place / columns, place % columns);
            let direction = if rows < columns { basis[row][column] } else { basis[column][row] };
            *value = (self.gain * direction) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Products of all pairs of rows (`rows < columns`) or columns.
    fn products(rows: usize, columns: usize, values: &[f32]) -> Vec<f64> {
        let vector = |number: usize| -> Vec<f64> {
            let (skip, step, take) = if rows < columns { (number * columns, 1, columns) } else { (number, columns, rows) };
            values.iter().skip(skip).step_by(step).take(take).map(|&value| f64::from(value)).collect()
        };
        let count = if rows < columns { rows } else { columns };
        let product = |i: usize, j: usize| vector(i).iter().zip(vector(j)).map(|(a, b)| a * b).sum();
        (0..count * count).map(|pair| product(pair / count, pair % count)).collect()
    }

    #[test]
    fn the_fewer_vectors_are_orthogonal() {
        for shape in [vec![20, 12], vec![12, 20], vec![9, 9], vec![3, 3, 2, 7], vec![5], vec![1, 1]] {
            let mut values = vec![0.0; shape.iter().product()];
            Orthogonal::new(1.5).fill(&shape, &mut Random::new(1, 2), &mut values);
            let columns = shape[shape.len() - 1];
            let rows = values.len() / columns;
            let count = if rows < columns { rows } else { columns };
            for (pair, product) in products(rows, columns, &values).iter().enumerate() {
                let wanted = if pair / count == pair % count { 2.25 } else { 0.0 };
                assert!((product - wanted).abs() < 1e-6, "{shape:?}: product {pair} is {product}, wanted {wanted}");
            }
        }
    }

    #[test]
    fn directions_are_evenly_spread() {
        // Entries of a random rotation in 3 dimensions have mean 0 and variance 1/3.
        let mut random = Random::new(3, 0);
        let (mut sums, mut squares) = ([0.0; 9], [0.0; 9]);
        for _ in 0..3000 {
            let mut values = [0.0; 9];
            Orthogonal::new(1.0).fill(&[3, 3], &mut random, &mut values);
            for (place, value) in values.into_iter().enumerate() {
                sums[place] += f64::from(value) / 3000.0;
                squares[place] += f64::from(value * value) / 3000.0;
            }
        }
        assert!(sums.iter().all(|mean| mean.abs() < 0.04), "{sums:?}");
        assert!(squares.iter().all(|variance| (variance - 1.0 / 3.0).abs() < 0.03), "{squares:?}");
    }
}
