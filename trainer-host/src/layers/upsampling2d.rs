//! Nearest-neighbour enlargement: `y[oy, ox, c] = x[oy / vertical, ox / horizontal, c]`, rounded down.
//!
//! Inputs `[H, W, C]`, outputs `[H * vertical, W * horizontal, C]`.

use serde::{Deserialize, Serialize};

use super::windows::{Size2D, checked, image_of, image_on_device, lower_on_images, one_or_two_axes, sizes};
use super::{Backward, Example, Forward, Layer, LayerBase, identity};
use crate::device::{Lowering, Value, ops};
use crate::graph::Shape;
use crate::numeric::vectorized;

/// Repeats each row and each column of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpSampling2D {
    base: LayerBase,
    /// Axes of the image: 2, or 1 for a sequence.
    #[serde(deserialize_with = "one_or_two_axes")]
    rank: usize,
    factors: [usize; 2],
}

/// What factors may be at most: an image that small would have lost its meaning, and sizes stay far from overflow.
const LARGEST_FACTOR: usize = 4096;

impl UpSampling2D {
    /// A layer that repeats rows and columns this often: a number or `[vertical, horizontal]`.
    pub fn new(factors: impl Into<Size2D>) -> Self {
        Self { base: LayerBase::new(), rank: 2, factors: factors.into().0 }
    }

    /// A layer that repeats the steps of a sequence this often.
    pub(super) fn along_steps(factor: usize) -> Self {
        Self { rank: 1, ..Self::new([1, factor]) }
    }

    /// How often each row and each column is repeated.
    pub fn factors(&self) -> [usize; 2] {
        self.factors
    }
}

impl Layer for UpSampling2D {
    identity!("UpSampling2D", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [vertical, horizontal] = self.factors;
        if !self.factors.iter().all(|factor| (1..=LARGEST_FACTOR).contains(factor)) {
            let what = if self.rank == 1 { "a factor" } else { "factors" };
            return Err(format!("{what} from 1 to {LARGEST_FACTOR}, not {}", self.describe()));
        }
        let [height, width, channels] = image_of(inputs, self.rank)?;
        let enlarged = [height * vertical, width * horizontal, channels];
        Ok(Shape::from(&enlarged[2 - self.rank..]))
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let [vertical, horizontal] = self.factors;
        let [_, width, channels] = checked(image_of(pass.input_shapes, self.rank));
        let row = width * channels;
        let long_row = row * horizontal;
        // Rows of all samples in one go: a sample has as many bands of rows as its input has rows.
        let bands = pass.output.chunks_exact_mut(long_row * vertical);
        for (row, band) in pass.inputs.get(0).chunks_exact(row).zip(bands) {
            let (first, others) = band.split_at_mut(long_row);
            for (pixel, pixels) in row.chunks_exact(channels).zip(first.chunks_exact_mut(channels * horizontal)) {
                pixels.chunks_exact_mut(channels).for_each(|copy| copy.copy_from_slice(pixel));
            }
            others.chunks_exact_mut(long_row).for_each(|copy| copy.copy_from_slice(first));
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let [vertical, horizontal] = self.factors;
        let [_, width, channels] = checked(image_of(pass.input_shapes, self.rank));
        let row = width * channels;
        let long_row = row * horizontal;
        let Some(slot) = pass.input_gradients.get_mut(0) else { return };
        let bands = pass.output_gradient.chunks_exact(long_row * vertical);
        let rows = slot.to_add().chunks_exact_mut(row).zip(bands);
        vectorized!({
            for (sums, band) in rows {
                for parts in band.chunks_exact(long_row) {
                    for (sums, parts) in sums.chunks_exact_mut(channels).zip(parts.chunks_exact(channels * horizontal)) {
                        for part in parts.chunks_exact(channels) {
                            sums.iter_mut().zip(part).for_each(
                                #[inline(always)]
                                |(sum, &part)| *sum += part,
                            );
                        }
                    }
                }
            }
        });
    }

    fn describe(&self) -> String {
        sizes(&self.factors[2 - self.rank..])
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let [vertical, horizontal] = self.factors;
        let factors = if self.rank == 1 { [horizontal, vertical] } else { self.factors };
        let image = image_on_device(self.rank, &lowering.output_shape);
        Ok(lower_on_images(lowering, "upsample", ops::Upsample(factors), image))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![Example::new(UpSampling2D::new(2), &[&[3, 4, 2]]), Example::new(UpSampling2D::new([1, 3]), &[&[2, 3, 5]])]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for [vertical, horizontal] in [[1, 1], [2, 2], [3, 1], [1, 4]] {
            for [height, width, channels] in [[3, 4, 2], [1, 1, 17], [5, 2, 1]] {
                let layer = UpSampling2D::new([vertical, horizontal]);
                check(&layer, &[Shape::from([height, width, channels])], &|inputs, _| {
                    let columns = width * horizontal;
                    let value = |place: usize| {
                        let (pixel, channel) = (place / channels, place % channels);
                        let (row, column) = (pixel / columns / vertical, pixel % columns / horizontal);
                        inputs[0][(row * width + column) * channels + channel]
                    };
                    (0..height * vertical * columns * channels).map(value).collect()
                });
            }
        }
    }

    #[test]
    fn pixels_become_blocks() {
        let layer = UpSampling2D::new([2, 3]);
        let mut harness = Harness::new(&layer, &[Shape::from([1, 2, 1])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0]);
        assert_eq!(harness.forward(), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        harness.output_gradient.fill(0.5);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [3.0, 3.0]);
    }

    #[test]
    fn wants_an_image_and_factors() {
        let image = [Shape::from([2, 2, 1])];
        assert_eq!(UpSampling2D::new(0).output_shape(&image), Err("factors from 1 to 4096, not 0x0".to_owned()));
        let error = UpSampling2D::new(2).output_shape(&[Shape::from([5])]).expect_err("no image");
        assert_eq!(error, "one input of shape [height, width, channels]");
    }
}
