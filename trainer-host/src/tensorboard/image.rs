//! Tensors as pictures.

use crate::data::Tensor;

/// Samples of a tensor that are shown.
const MOST_PICTURES: usize = 8;
/// Filters of a kernel that are shown along each side.
const MOST_FILTERS: usize = 16;

/// A picture in the making: `[height, width, channels]`, of numbers from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    pub values: Vec<f32>,
}

impl Picture {
    /// The bytes of a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width as u32, self.height as u32);
        encoder.set_color(if self.channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
        encoder.set_depth(png::BitDepth::Eight);
        let pixels: Vec<u8> = self.values.iter().map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        // Nothing can fail in memory, with as many pixels as the size says.
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels));
        debug_assert!(written.is_ok(), "{written:?}");
        bytes
    }
}

/// The first samples of images `[height, width, 1 or 3]`, from black for the least value of each to white for the greatest; none of
/// samples of another shape.
pub fn samples(tensor: &Tensor) -> Vec<Picture> {
    let &[height, width, channels @ (1 | 3)] = &tensor.sample_shape()[..] else { return Vec::new() };
    let shown = (0..tensor.samples().min(MOST_PICTURES)).filter_map(|sample| tensor.sample(sample));
    shown.map(|values| Picture { width, height, channels, values: stretched(&values) }).collect()
}

/// A kernel or a table as one grey picture, from black for the least value to white for the greatest: of a matrix `[inputs, units]`
/// a row for each input; of filters `[.., height, width, channels, filters]` a tile for each, a column for each filter, a row for each
/// channel, at most 16 of either. None of vectors.
pub fn weight(shape: &[usize], values: &[f32]) -> Option<Picture> {
    match *shape {
        [height, width] => Some(Picture { width, height, channels: 1, values: stretched(values) }),
        [width, channels, filters] => Some(tiles([1, width, channels, filters], values)),
        [height, width, channels, filters] => Some(tiles([height, width, channels, filters], values)),
        _ => None,
    }
}

/// Filters beside each other, a pixel of grey between them.
fn tiles([height, width, channels, filters]: [usize; 4], values: &[f32]) -> Picture {
    let values = stretched(values);
    let (rows, columns) = (channels.min(MOST_FILTERS), filters.min(MOST_FILTERS));
    let (high, wide) = (rows * (height + 1) - 1, columns * (width + 1) - 1);
    let mut picture = vec![0.5; high * wide];
    for y in 0..high {
        for x in 0..wide {
            let (row, column, y_within, x_within) = (y / (height + 1), x / (width + 1), y % (height + 1), x % (width + 1));
            if y_within < height && x_within < width {
                picture[y * wide + x] = values[((y_within * width + x_within) * channels + row) * filters + column];
            }
        }
    }
    Picture { width: wide, height: high, channels: 1, values: picture }
}

/// The values from 0 for the least to 1 for the greatest; 0.5 where all are the same.
fn stretched(values: &[f32]) -> Vec<f32> {
    let extreme = |order: fn(&f32, &f32) -> std::cmp::Ordering| values.iter().copied().max_by(order).unwrap_or(0.0);
    let (least, greatest) = (extreme(|a, b| b.total_cmp(a)), extreme(f32::total_cmp));
    let range = greatest - least;
    values.iter().map(|value| if range > 0.0 { (value - least) / range } else { 0.5 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(png: &[u8]) -> (png::OutputInfo, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info, pixels)
    }

    #[test]
    fn the_least_value_is_black_and_the_greatest_white() {
        let picture = weight(&[2, 3], &[-1.0, 0.0, 1.0, 1.0, 0.0, -1.0]).unwrap();
        let (info, pixels) = pixels(&picture.to_png());
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Grayscale));
        assert_eq!(pixels, [0, 128, 255, 255, 128, 0]);
    }

    /// Two filters of one pixel for two channels: channel 0 has 0 and 1, channel 1 has 2 and 4.
    #[test]
    fn filters_stand_in_columns_and_channels_in_rows() {
        let picture = weight(&[1, 1, 2, 2], &[0.0, 1.0, 2.0, 4.0]).unwrap();
        assert_eq!((picture.width, picture.height), (3, 3));
        assert_eq!(picture.values, [0.0, 0.5, 0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0]);
        assert_eq!(weight(&[4], &[0.0; 4]), None);
    }

    #[test]
    fn samples_are_pictures_if_they_have_the_shape() {
        let tensor = Tensor::new([9, 1, 2, 3], (0..54u8).map(f32::from).collect()).unwrap();
        let found = samples(&tensor);
        assert_eq!((found.len(), found[1].values[5], found[1].channels), (8, 1.0, 3));
        assert!(samples(&Tensor::new([1, 2, 2, 2], vec![0.0; 8]).unwrap()).is_empty());
    }
}
