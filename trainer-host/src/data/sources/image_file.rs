//! Pictures in PNG and JPEG files, told apart by their content, as `[height, width, channels]` of values from 0 to 1.

use std::io::Cursor;
use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::SourceError;

/// The most pixels that a picture may have: a damaged header asks for no more memory than this.
const LARGEST_PIXELS: usize = 1 << 26;

/// A decoded picture.
#[derive(Debug, PartialEq)]
pub(super) struct Image {
    width: usize,
    height: usize,
    /// Of a pixel: 1 grey, 2 grey and opacity, 3 red, green and blue, 4 those and opacity.
    channels: usize,
    bytes: Vec<u8>,
}

impl Image {
    /// Reads and decodes a file.
    ///
    /// # Errors
    /// If it cannot be read, is neither PNG nor JPEG, or is damaged.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let content = std::fs::read(path).map_err(|error| SourceError::read(path, error))?;
        Self::decode(&content).map_err(|reason| SourceError::malformed(path, reason))
    }

    fn decode(content: &[u8]) -> Result<Self, String> {
        if content.starts_with(b"\x89PNG\r\n\x1a\n") {
            decode_png(content)
        } else if content.starts_with(&[0xff, 0xd8]) {
            decode_jpeg(content)
        } else {
            let start: Vec<String> = content.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let start = if start.is_empty() { "nothing in it".to_owned() } else { format!("{} at its start", start.join(" ")) };
            Err(format!("it has {start}, expected a PNG file (89 50 4e 47) or a JPEG file (ff d8)"))
        }
    }

    /// The picture in another size, grey (1 channel) or red, green and blue (3), its values from 0 to 1.
    ///
    /// Bilinear with half-pixel centres and without smoothing, as `image_dataset_from_directory` of Keras: the value at row `i` of
    /// `n` is that at row `(i + 1/2) H / n - 1/2` of the picture's `H`, between its two neighbours, and likewise in columns. Grey
    /// is `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601). Opacity is left out.
    pub fn resize_to(&self, height: usize, width: usize, channels: usize, values: &mut [f32]) {
        let value = |row: usize, column: usize, channel: usize| {
            let pixel = &self.bytes[(row * self.width + column) * self.channels..][..self.channels];
            match (pixel, channels) {
                (&[red, green, blue, ..], 1) => 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue),
                (&[red, green, blue, ..], _) => f32::from([red, green, blue][channel]),
                _ => f32::from(pixel[0]),
            }
        };
        let rows = neighbours(self.height, height);
        let columns = neighbours(self.width, width);
        let places = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
        for (&(top, bottom, down), &(left, right, across), pixel) in
            places.zip(values.chunks_exact_mut(channels)).map(|((row, column), pixel)| (row, column, pixel))
        {
            for (channel, to) in pixel.iter_mut().enumerate() {
                let between = |row| {
                    let (left, right) = (value(row, left, channel), value(row, right, channel));
                    left + (right - left) * across
                };
                let (top, bottom) = (between(top), between(bottom));
                *to = (top + (bottom - top) * down) / 255.0;
            }
        }
    }
}

/// For each of `to` places, the two of `from` that it lies between, and how far from the first.
fn neighbours(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let place = |index: usize| {
        let position = (index as f32 + 0.5) * (from as f32 / to as f32) - 0.5;
        let first = position.floor();
        let limited = |place: f32| (place.clamp(0.0, from as f32)) as usize;
        (limited(first).min(from - 1), limited(first + 1.0).min(from - 1), position - first)
    };
    (0..to).map(place).collect()
}

fn decode_png(content: &[u8]) -> Result<Image, String> {
    let damaged = |error: png::DecodingError| format!("the PNG data cannot be decoded ({error}): it was cut short or damaged");
    let limits = png::Limits { bytes: LARGEST_PIXELS * 8 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    check_size(width, height)?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
    let channels = frame.color_type.samples();
    if bytes.len() != width * height * channels {
        return Err(format!("its PNG data has {} bytes, expected {width} x {height} x {channels}", bytes.len()));
    }
    Ok(Image { width, height, channels, bytes })
}

fn decode_jpeg(content: &[u8]) -> Result<Image, String> {
    let damaged = |error| format!("the JPEG data cannot be decoded ({error:?}): it was cut short or damaged");
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(1 << 16).set_max_height(1 << 16);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(content), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(width, height)?;
    let (space, channels) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (ColorSpace::Luma, 1),
        _ => (ColorSpace::RGB, 3),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let bytes = decoder.decode().map_err(damaged)?;
    if bytes.len() != width * height * channels {
        return Err(format!("its JPEG data has {} bytes, expected {width} x {height} x {channels}", bytes.len()));
    }
    Ok(Image { width, height, channels, bytes })
}

fn check_size(width: usize, height: usize) -> Result<(), String> {
    match width.checked_mul(height) {
        Some(1..=LARGEST_PIXELS) => Ok(()),
        _ => Err(format!("it is a picture of {width} x {height} pixels, expected 1 to {LARGEST_PIXELS} in all")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn png_file(color: png::ColorType, depth: png::BitDepth, width: u32, height: u32, bytes: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        let mut encoder = png::Encoder::new(&mut content, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette(vec![10, 20, 30, 255, 0, 0]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(bytes).unwrap();
        writer.finish().unwrap();
        content
    }

    /// A JPEG of 8 x 8 equal pixels: only the constant coefficients are not 0, in units of 8, which is one level.
    fn jpeg_file(components: u8, dc_table: &[u8], scan: &[u8]) -> Vec<u8> {
        let each = |of: &dyn Fn(u8) -> Vec<u8>| (1..=components).flat_map(of).collect::<Vec<u8>>();
        let segment =
            |marker: u8, content: &[u8]| [&[0xff, marker][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat();
        let frame = [&[8, 0, 8, 0, 8, components][..], &each(&|id| vec![id, 0x11, 0])].concat();
        let start = [&[components][..], &each(&|id| vec![id, 0]), &[0, 63, 0]].concat();
        [
            vec![0xff, 0xd8],
            segment(0xdb, &[&[0][..], &[8; 64]].concat()),
            segment(0xc0, &frame),
            segment(0xc4, dc_table),
            // One code of one bit: the end of the block.
            segment(0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat()),
            segment(0xda, &start),
            scan.to_vec(),
            vec![0xff, 0xd9],
        ]
        .concat()
    }

    fn values(content: &[u8], [height, width, channels]: [usize; 3]) -> Vec<f32> {
        let mut values = vec![9.0; height * width * channels];
        Image::decode(content).unwrap().resize_to(height, width, channels, &mut values);
        values.iter().map(|value| value * 255.0).map(|value| (value * 1000.0).round() / 1000.0).collect()
    }

    #[test]
    fn png_of_every_kind_becomes_grey_or_colour() {
        use png::{BitDepth, ColorType};
        let grey = png_file(ColorType::Grayscale, BitDepth::Eight, 2, 1, &[0, 255]);
        assert_eq!(values(&grey, [1, 2, 1]), [0.0, 255.0]);
        assert_eq!(values(&grey, [1, 2, 3]), [0.0, 0.0, 0.0, 255.0, 255.0, 255.0]);
        let colour = png_file(ColorType::Rgb, BitDepth::Eight, 1, 1, &[100, 50, 200]);
        assert_eq!(values(&colour, [1, 1, 3]), [100.0, 50.0, 200.0]);
        // 29.9 + 29.35 + 22.8.
        assert_eq!(values(&colour, [1, 1, 1]), [82.05]);
        let with_opacity = png_file(ColorType::Rgba, BitDepth::Eight, 1, 1, &[100, 50, 200, 0]);
        assert_eq!(values(&with_opacity, [1, 1, 3]), [100.0, 50.0, 200.0]);
        assert_eq!(values(&png_file(ColorType::GrayscaleAlpha, BitDepth::Eight, 1, 1, &[7, 0]), [1, 1, 1]), [7.0]);
        assert_eq!(values(&png_file(ColorType::Grayscale, BitDepth::One, 2, 1, &[0b0100_0000]), [1, 2, 1]), [0.0, 255.0]);
        assert_eq!(values(&png_file(ColorType::Grayscale, BitDepth::Sixteen, 1, 1, &[12, 99]), [1, 1, 1]), [12.0]);
        let palette = png_file(ColorType::Indexed, BitDepth::Eight, 2, 1, &[1, 0]);
        assert_eq!(values(&palette, [1, 2, 3]), [255.0, 0.0, 0.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn jpeg_is_decoded() {
        // Grey 200: 72 levels above 128, 7 bits 1001000 behind the only code, 0; then the end of the block, 0.
        let grey = jpeg_file(1, &[&[0x00, 1][..], &[0; 15], &[7]].concat(), &[0x48, 0x7f]);
        assert_eq!(values(&grey, [1, 1, 1]), [200.0]);
        assert_eq!(values(&grey, [1, 1, 3]), [200.0; 3]);
        // Luma 100 (-28, 5 bits), Cb 128 (0), Cr 148 (20, 5 bits); codes 00 for 5 bits, 01 for none.
        let colour = jpeg_file(3, &[&[0x00, 0, 2][..], &[0; 14], &[5, 0]].concat(), &[0x06, 0x45, 0x1f]);
        let [red, green, blue] = values(&colour, [1, 1, 3])[..] else { panic!() };
        // 100 + 1.402 x 20, 100 - 0.714 x 20, 100; each decoder rounds in its own way.
        assert!(
            (red - 128.0).abs() <= 1.0 && (green - 86.0).abs() <= 1.0 && (blue - 100.0).abs() <= 1.0,
            "{red} {green} {blue}"
        );
    }

    #[test]
    fn resizing_is_bilinear_between_half_pixel_centres() {
        let row = png_file(png::ColorType::Grayscale, png::BitDepth::Eight, 2, 1, &[0, 200]);
        assert_eq!(values(&row, [1, 4, 1]), [0.0, 50.0, 150.0, 200.0]);
        assert_eq!(values(&row, [2, 1, 1]), [100.0, 100.0]);
        // Smaller by 3: the middle one of each three, and no other, as without smoothing.
        let six = png_file(png::ColorType::Grayscale, png::BitDepth::Eight, 6, 1, &[1, 2, 3, 4, 50, 6]);
        assert_eq!(values(&six, [1, 2, 1]), [2.0, 50.0]);
        let square = png_file(png::ColorType::Grayscale, png::BitDepth::Eight, 2, 2, &[0, 100, 200, 40]);
        assert_eq!(values(&square, [1, 1, 1]), [85.0]);
        assert_eq!(values(&square, [3, 3, 1])[4], 85.0);
    }

    #[test]
    fn broken_files_are_told() {
        let reason = |content: &[u8]| Image::decode(content).unwrap_err();
        assert_eq!(
            reason(b"GIF89a"),
            "it has 47 49 46 38 at its start, expected a PNG file (89 50 4e 47) or a JPEG file (ff d8)"
        );
        assert!(reason(b"").starts_with("it has nothing in it, expected"));
        let png = png_file(png::ColorType::Rgb, png::BitDepth::Eight, 5, 5, &[77; 75]);
        let jpeg = jpeg_file(1, &[&[0x00, 1][..], &[0; 15], &[7]].concat(), &[0x48, 0x7f]);
        // The last chunk of a PNG has no pixels, and a JPEG's last marker can be done without.
        for (content, must_fail) in [(&png, png.len() - 12), (&jpeg, jpeg.len() - 4)] {
            for length in 0..content.len() {
                assert!(Image::decode(&content[..length]).is_err() || length >= must_fail, "{length} of {}", content.len());
            }
            for position in 0..content.len() {
                for flip in [0x01, 0xff] {
                    let mut bad = content.clone();
                    bad[position] ^= flip;
                    let _ = Image::decode(&bad);
                }
            }
        }
        assert!(reason(&png[..60]).contains("the PNG data cannot be decoded"), "{}", reason(&png[..60]));
        assert!(reason(&jpeg[..60]).contains("the JPEG data cannot be decoded"), "{}", reason(&jpeg[..60]));
        assert!(check_size(0, 5).is_err() && check_size(usize::MAX, 2).is_err() && check_size(8192, 8192).is_ok());
    }
}
