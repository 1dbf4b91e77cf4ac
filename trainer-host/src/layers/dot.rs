//! Dot products of the rows of two tensors: `y[i, j] = sum_k a[i, k] * b[j, k]`, over the last axis of both; or their cosines,
//! `y[i, j]` divided by the lengths `sqrt(max(sum_k a[i, k]^2, 1e-12))` and the same of `b[j]`.
//!
//! Inputs `[K]` or `[M, K]`, and `[K]` or `[N, K]`; outputs `[M, N]`, without the axis of an input that is a vector, `[1]` for two
//! vectors.

use serde::{Deserialize, Serialize};

use super::{Backward, Example, Forward, Layer, LayerBase, Requirements, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;

/// Multiplies the rows of its two inputs: how alike they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Dot {
    base: LayerBase,
    normalized: bool,
}

/// What the squares of a row sum up to at least, where it is divided by its length.
const LEAST_SQUARES: f32 = 1e-12;

impl Dot {
    /// The products.
    pub fn new() -> Self {
        Self::default()
    }

    /// The cosines, from -1 to 1: products of rows of length 1.
    pub fn normalized(mut self) -> Self {
        self.normalized = true;
        self
    }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// The sum of squares, as far as it counts, and what of the gradient depends on it: nothing for a row of next to nothing.
fn squares(row: &[f32]) -> (f32, f32) {
    let squares = product(row, row);
    if squares > LEAST_SQUARES { (squares, 1.0) } else { (LEAST_SQUARES, 0.0) }
}

impl Layer for Dot {
    identity!("Dot", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [a, b] if (1..=2).contains(&a.len()) && (1..=2).contains(&b.len()) && a.channels() == b.channels() => {
                let rows = [&a[..a.len() - 1], &b[..b.len() - 1]].concat();
                Ok(Shape::from(if rows.is_empty() { vec![1] } else { rows }))
            }
            _ => Err("two inputs with the same last axis, vectors [K] or matrices [M, K] and [N, K]".to_owned()),
        }
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let size = pass.input_shapes[0].channels();
        let samples = pass.inputs.get(0).chunks_exact(pass.input_shapes[0].size());
        let samples = samples.zip(pass.inputs.get(1).chunks_exact(pass.input_shapes[1].size()));
        for ((a, b), output) in samples.zip(pass.output.chunks_exact_mut(pass.output_shape.size())) {
            let mut outputs = output.iter_mut();
            for a in a.chunks_exact(size) {
                for (b, output) in b.chunks_exact(size).zip(&mut outputs) {
                    let product = product(a, b);
                    *output = if self.normalized { product / squares(a).0.sqrt() / squares(b).0.sqrt() } else { product };
                }
            }
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let size = pass.input_shapes[0].channels();
        let sizes = [pass.input_shapes[0].size(), pass.input_shapes[1].size()];
        for own in 0..2 {
            let other = 1 - own;
            let Some(slot) = pass.input_gradients.get_mut(own) else { continue };
            let rows = sizes.map(|size_of_sample| size_of_sample / size);
            let inputs = pass.inputs.get(own).chunks_exact(sizes[own]).zip(pass.inputs.get(other).chunks_exact(sizes[other]));
            let gradients = slot.to_add().chunks_exact_mut(sizes[own]);
            let parts = pass.output_gradient.chunks_exact(pass.output_shape.size());
            for (((a, b), gradient), parts) in inputs.zip(gradients).zip(parts) {
                for (i, (a, gradient)) in a.chunks_exact(size).zip(gradient.chunks_exact_mut(size)).enumerate() {
                    for (j, b) in b.chunks_exact(size).enumerate() {
                        let part = parts[if own == 0 { i * rows[1] + j } else { j * rows[1] + i }];
                        // The product's slope along b, and the length's along a.
                        let (along_b, along_a) = if self.normalized {
                            let ((squares_a, counts), (squares_b, _)) = (squares(a), squares(b));
                            let slope = part / squares_a.sqrt() / squares_b.sqrt();
                            (slope, counts * slope * product(a, b) / squares_a)
                        } else {
                            (part, 0.0)
                        };
                        for ((gradient, a), b) in gradient.iter_mut().zip(a).zip(b) {
                            *gradient += along_b * b - along_a * a;
                        }
                    }
                }
            }
        }
    }

    fn describe(&self) -> String {
        if self.normalized { "normalized".to_owned() } else { String::new() }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        Ok(lowering.output(ops::Dot { normalized: self.normalized }))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Dot::new(), &[&[6], &[6]]),
        Example::new(Dot::new().normalized(), &[&[6], &[6]]),
        Example::new(Dot::new(), &[&[3, 4], &[2, 4]]),
        Example::new(Dot::new().normalized(), &[&[3, 4], &[4]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for (first, second) in [(vec![6], vec![6]), (vec![3, 5], vec![2, 5]), (vec![4], vec![3, 4]), (vec![1], vec![1])] {
            for layer in [Dot::new(), Dot::new().normalized()] {
                // The cosine of single numbers is their signs, without slope.
                let shapes = [Shape::new(first.clone()), Shape::new(second.clone())];
                let size = shapes[0].channels();
                check(&layer, &shapes, &|inputs, _| {
                    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                    let value = |a: &[f64], b: &[f64]| match layer.normalized {
                        true => product(a, b) / (product(a, a) * product(b, b)).sqrt(),
                        false => product(a, b),
                    };
                    let rows = inputs[0].chunks_exact(size);
                    rows.flat_map(|a| inputs[1].chunks_exact(size).map(move |b| value(a, b))).collect()
                });
            }
        }
    }

    #[test]
    fn cosines_by_hand() {
        let layer = Dot::new().normalized();
        let mut harness = Harness::new(&layer, &[Shape::from([2, 2]), Shape::from([2])], 1);
        harness.inputs[0].copy_from_slice(&[3.0, 4.0, 0.0, 0.0]);
        harness.inputs[1].copy_from_slice(&[6.0, 8.0]);
        assert_eq!(harness.output_shape, Shape::from([2]));
        assert_eq!(harness.forward(), [1.0, 0.0]);
        let error = layer.output_shape(&[Shape::from([2, 3]), Shape::from([2])]).expect_err("other axes");
        assert_eq!(error, "two inputs with the same last axis, vectors [K] or matrices [M, K] and [N, K]");
    }
}
