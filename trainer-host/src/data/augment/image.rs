//! Changes of pictures.

use super::{add_noise, between, check, within};
use crate::data::Random;
use crate::error::{Error, Result};
use crate::graph::Shape;

/// A random change of a picture. Where it reads beyond the picture, there is 0. Values between pixels are bilinear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImageChange {
    /// Left becomes right, in half of the cases.
    FlipHorizontal,
    /// Up becomes down, in half of the cases.
    FlipVertical,
    /// Moves it by whole pixels, evenly drawn up to these parts of height and width, 0 to 1.
    Shift {
        /// Of the height.
        rows: f32,
        /// Of the width.
        columns: f32,
    },
    /// Cuts a window out, of a side from `least` to 1 times the picture's, evenly drawn, and resizes it to the picture's.
    Crop {
        /// Above 0, at most 1.
        least: f32,
    },
    /// Turns it around its middle by an angle, evenly drawn up to this one in either direction.
    Rotate {
        /// 0 to 180.
        degrees: f32,
    },
    /// Enlarges it around its middle by a factor, evenly drawn; below 1 makes it smaller.
    Zoom {
        /// The least factor, at least 0.1.
        least: f32,
        /// The largest factor, at most 10.
        most: f32,
    },
    /// Multiplies each channel's distance from its mean with a factor, evenly drawn from `1 - most` to `1 + most`.
    Contrast {
        /// 0 to 1.
        most: f32,
    },
    /// Adds normal random numbers.
    Noise {
        /// Their standard deviation.
        deviation: f32,
    },
    /// Sets a rectangle to 0, its middle evenly drawn, cut off at the picture's edges.
    CutOut {
        /// In pixels.
        height: usize,
        /// In pixels.
        width: usize,
    },
}

/// Random changes of pictures `[height, width, channels]`, one after another.
///
/// ```
/// use samara_trainer::data::augment::{ImageAugmentation, ImageChange};
/// use samara_trainer::prelude::*;
///
/// let images = Tensor::new([2, 8, 8, 1], vec![0.5; 128])?;
/// let data = Dataset::new(images, Tensor::from_labels(&[0u8, 1]))?;
/// let changes = vec![ImageChange::FlipHorizontal, ImageChange::Rotate { degrees: 10.0 }];
/// let augmentation = ImageAugmentation::new([8, 8, 1], changes)?;
/// let augmented = (&data).map(|sample, random| augmentation.apply(sample.input(0), random));
/// # assert_eq!(augmented.samples(), 2);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ImageAugmentation {
    size: Size,
    changes: Vec<ImageChange>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    height: usize,
    width: usize,
    channels: usize,
}

impl ImageAugmentation {
    /// Changes of pictures of a shape.
    ///
    /// # Errors
    /// If the shape is none of pictures, or an argument of a change is out of range.
    pub fn new(shape: impl Into<Shape>, changes: Vec<ImageChange>) -> Result<Self> {
        let shape = shape.into();
        let (Some((height, width, channels)), None) = (shape.as_image(), shape.fault()) else {
            let expected = "[height, width, channels]".to_owned();
            return Err(Error::Argument { name: "the shape of pictures to augment", found: shape.to_string(), expected });
        };
        for change in &changes {
            match *change {
                ImageChange::FlipHorizontal | ImageChange::FlipVertical | ImageChange::CutOut { .. } => {}
                ImageChange::Shift { rows, columns } => {
                    check("the rows of a shift", rows, 0.0, 1.0)?;
                    check("the columns of a shift", columns, 0.0, 1.0)?;
                }
                ImageChange::Crop { least } => check("the least side of a crop", least, 0.01, 1.0)?,
                ImageChange::Rotate { degrees } => check("the degrees of a rotation", degrees, 0.0, 180.0)?,
                ImageChange::Zoom { least, most } => {
                    check("the largest zoom", most, 0.1, 10.0)?;
                    check("the least zoom", least, 0.1, most)?;
                }
                ImageChange::Contrast { most } => check("the change of contrast", most, 0.0, 1.0)?,
                ImageChange::Noise { deviation } => check("the deviation of noise", deviation, 0.0, f32::MAX)?,
            }
        }
        Ok(Self { size: Size { height, width, channels }, changes })
    }

    /// Changes a picture.
    ///
    /// # Panics
    /// If it has not as many values as the shape.
    pub fn apply(&self, image: &mut [f32], random: &mut Random) {
        let size = self.size;
        assert_eq!(image.len(), size.height * size.width * size.channels, "the values of a picture");
        for change in &self.changes {
            match *change {
                ImageChange::FlipHorizontal if random.uniform() < 0.5 => size.flip_horizontal(image),
                ImageChange::FlipVertical if random.uniform() < 0.5 => size.flip_vertical(image),
                ImageChange::FlipHorizontal | ImageChange::FlipVertical => {}
                ImageChange::Shift { rows, columns } => {
                    let rows = within(rows * size.height as f32, random).round();
                    let columns = within(columns * size.width as f32, random).round();
                    size.resample(image, |row, column| (row - rows, column - columns));
                }
                ImageChange::Crop { least } => {
                    let side = between(least, 1.0, random);
                    let place = |all: usize, random: &mut Random| (1.0 - side) * all as f32 * random.uniform() as f32;
                    let (top, left) = (place(size.height, random), place(size.width, random));
                    size.crop(image, side, top, left);
                }
                ImageChange::Rotate { degrees } => {
                    let angle = within(degrees, random).to_radians();
                    size.turn_and_zoom(image, libm::cosf(angle), libm::sinf(angle));
                }
                ImageChange::Zoom { least, most } => size.turn_and_zoom(image, 1.0 / between(least, most, random), 0.0),
                ImageChange::Contrast { most } => size.contrast(image, 1.0 + within(most, random)),
                ImageChange::Noise { deviation } => add_noise(image, deviation, random),
                ImageChange::CutOut { height, width } => {
                    let (row, column) = (random.below(size.height), random.below(size.width));
                    size.cut_out(image, row, column, height, width);
                }
            }
        }
    }
}

impl Size {
    fn flip_horizontal(self, image: &mut [f32]) {
        for row in image.chunks_exact_mut(self.width * self.channels) {
            for column in 0..self.width / 2 {
                let other = self.width - 1 - column;
                (0..self.channels)
                    .for_each(|channel| row.swap(column * self.channels + channel, other * self.channels + channel));
            }
        }
    }

    fn flip_vertical(self, image: &mut [f32]) {
        let row = self.width * self.channels;
        for top in 0..self.height / 2 {
            let (above, below) = image.split_at_mut((self.height - 1 - top) * row);
            above[top * row..][..row].swap_with_slice(&mut below[..row]);
        }
    }

    /// Each pixel becomes what was at another place, given as row and column: bilinear, and 0 beyond the picture.
    fn resample(self, image: &mut [f32], from: impl Fn(f32, f32) -> (f32, f32)) {
        let source = image.to_vec();
        let at = |row: f32, column: f32, channel: usize| {
            let is_inside = row >= 0.0 && column >= 0.0 && row < self.height as f32 && column < self.width as f32;
            if !is_inside {
                return 0.0;
            }
            source[(row as usize * self.width + column as usize) * self.channels + channel]
        };
        for (place, pixel) in image.chunks_exact_mut(self.channels).enumerate() {
            let (row, column) = from((place / self.width) as f32, (place % self.width) as f32);
            let (top, left) = (row.floor(), column.floor());
            let (down, across) = (row - top, column - left);
            for (channel, value) in pixel.iter_mut().enumerate() {
                let between = |row| {
                    let (left, right) = (at(row, left, channel), at(row, left + 1.0, channel));
                    left + (right - left) * across
                };
                let (above, below) = (between(top), between(top + 1.0));
                *value = above + (below - above) * down;
            }
        }
    }

    /// A window whose sides are `side` times the picture's, at `top` and `left`, over the whole picture. Between half-pixel centres;
    /// what would lie beyond the picture's edge is the pixel at the edge.
    fn crop(self, image: &mut [f32], side: f32, top: f32, left: f32) {
        let place = |index: f32, start: f32, size: usize| (start + (index + 0.5) * side - 0.5).clamp(0.0, (size - 1) as f32);
        self.resample(image, |row, column| (place(row, top, self.height), place(column, left, self.width)));
    }

    /// Around the middle, the pixel `(y, x)` becomes what was at `(cos y + sin x, cos x - sin y)`: turned to the left by an angle, or
    /// enlarged by 1 over `cos`.
    fn turn_and_zoom(self, image: &mut [f32], cos: f32, sin: f32) {
        let middle = ((self.height - 1) as f32 / 2.0, (self.width - 1) as f32 / 2.0);
        self.resample(image, |row, column| {
            let (y, x) = (row - middle.0, column - middle.1);
            (middle.0 + cos * y + sin * x, middle.1 - sin * y + cos * x)
        });
    }

    fn contrast(self, image: &mut [f32], factor: f32) {
        let pixels = (self.height * self.width) as f64;
        for channel in 0..self.channels {
            let sum: f64 = image.iter().skip(channel).step_by(self.channels).map(|&value| f64::from(value)).sum();
            let mean = (sum / pixels) as f32;
            let values = image.iter_mut().skip(channel).step_by(self.channels);
            values.for_each(|value| *value = mean + (*value - mean) * factor);
        }
    }

    fn cut_out(self, image: &mut [f32], row: usize, column: usize, height: usize, width: usize) {
        let range = |middle: usize, size: usize, all: usize| {
            middle.saturating_sub(size / 2)..middle.saturating_add(size.div_ceil(2)).min(all)
        };
        let columns = range(column, width, self.width);
        for row in range(row, height, self.height) {
            let start = row * self.width * self.channels;
            image[start + columns.start * self.channels..start + columns.end * self.channels].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { height: 3, width: 3, channels: 1 };

    fn changed(change: impl Fn(&mut [f32])) -> Vec<f32> {
        let mut image: Vec<f32> = (1..10u8).map(f32::from).collect();
        change(&mut image);
        image
    }

    fn rounded(values: Vec<f32>) -> Vec<f32> {
        values.into_iter().map(|value| (value * 1000.0).round() / 1000.0).collect()
    }

    #[test]
    fn each_change_moves_pixels_as_it_says() {
        assert_eq!(changed(|image| SIZE.flip_horizontal(image)), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0]);
        assert_eq!(changed(|image| SIZE.flip_vertical(image)), [7.0, 8.0, 9.0, 4.0, 5.0, 6.0, 1.0, 2.0, 3.0]);
        let shifted = changed(|image| SIZE.resample(image, |row, column| (row - 1.0, column + 1.0)));
        assert_eq!(shifted, [0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 5.0, 6.0, 0.0]);
        // A quarter turn: the right column comes to the top.
        let turned = changed(|image| SIZE.turn_and_zoom(image, 0.0, 1.0));
        assert_eq!(turned, [3.0, 6.0, 9.0, 2.0, 5.0, 8.0, 1.0, 4.0, 7.0]);
        // Twice as large: halfway between the middle and each neighbour.
        assert_eq!(changed(|image| SIZE.turn_and_zoom(image, 0.5, 0.0)), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
        // Half as large: what is beyond is 0.
        assert_eq!(changed(|image| SIZE.turn_and_zoom(image, 2.0, 0.0)), [0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(changed(|image| SIZE.crop(image, 1.0, 0.0, 0.0)), changed(|_| ()));
        // The upper left third is one pixel, whose corners and neighbours are mixed by thirds.
        let cropped = rounded(changed(|image| SIZE.crop(image, 1.0 / 3.0, 0.0, 0.0)));
        assert_eq!(cropped, [1.0, 1.0, 1.333, 1.0, 1.0, 1.333, 2.0, 2.0, 2.333]);
        assert_eq!(changed(|image| SIZE.contrast(image, 0.5)), [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
        assert_eq!(changed(|image| SIZE.cut_out(image, 0, 1, 2, 2)), [0.0, 0.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        assert_eq!(changed(|image| SIZE.cut_out(image, 2, 2, 1, 3)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.0, 0.0]);
        assert_eq!(changed(|image| SIZE.cut_out(image, 1, 1, 0, 5)), changed(|_| ()));
        assert_eq!(changed(|image| SIZE.cut_out(image, 1, 1, 9, 9)), [0.0; 9]);
    }

    #[test]
    fn channels_stay_together() {
        let size = Size { height: 1, width: 2, channels: 2 };
        let mut image = [1.0, 10.0, 2.0, 20.0];
        size.flip_horizontal(&mut image);
        assert_eq!(image, [2.0, 20.0, 1.0, 10.0]);
        size.contrast(&mut image, 2.0);
        assert_eq!(image, [2.5, 25.0, 0.5, 5.0]);
    }

    #[test]
    fn the_same_key_gives_the_same_picture() {
        let changes = vec![
            ImageChange::FlipHorizontal,
            ImageChange::FlipVertical,
            ImageChange::Shift { rows: 0.2, columns: 0.2 },
            ImageChange::Crop { least: 0.7 },
            ImageChange::Rotate { degrees: 20.0 },
            ImageChange::Zoom { least: 0.8, most: 1.25 },
            ImageChange::Contrast { most: 0.3 },
            ImageChange::Noise { deviation: 0.1 },
            ImageChange::CutOut { height: 2, width: 3 },
        ];
        let augmentation = ImageAugmentation::new([5, 4, 3], changes.clone()).unwrap();
        let applied = |augmentation: &ImageAugmentation, key: u64, sample: u64| {
            let mut image: Vec<f32> = (0..60u8).map(f32::from).collect();
            augmentation.apply(&mut image, &mut Random::new(key, sample));
            image
        };
        let all = |key, sample| applied(&augmentation, key, sample);
        assert_eq!(all(1, 2), all(1, 2));
        assert_ne!(all(1, 2), all(1, 3));
        assert_ne!(all(1, 2), all(2, 2));
        for change in changes {
            let one = ImageAugmentation::new([5, 4, 3], vec![change]).unwrap();
            assert!(
                (0..20).any(|sample| applied(&one, 1, sample) != applied(&one, 1, sample + 20)),
                "{change:?} changes nothing"
            );
            assert!(applied(&one, 1, 0).iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn arguments_out_of_range_are_told() {
        let message = |change| ImageAugmentation::new([4, 4, 1], vec![change]).unwrap_err().to_string();
        assert_eq!(message(ImageChange::Crop { least: 0.0 }), "the least side of a crop is 0, but must be from 0.01 to 1");
        assert_eq!(message(ImageChange::Zoom { least: 2.0, most: 1.0 }), "the least zoom is 2, but must be from 0.1 to 1");
        assert_eq!(
            message(ImageChange::Noise { deviation: f32::NAN }),
            "the deviation of noise is NaN, but must be a number of at least 0"
        );
        assert!(message(ImageChange::Shift { rows: 2.0, columns: 0.0 }).starts_with("the rows of a shift is 2"));
        let message = ImageAugmentation::new([4, 4], vec![]).unwrap_err().to_string();
        assert_eq!(message, "the shape of pictures to augment is [4, 4], but must be [height, width, channels]");
    }
}
