//! Samples as a person takes them in: pictures, sounds, curves, rows of a table.

use std::fmt::Write as _;

use anyhow::Result;
use samara_trainer::data::sources::{Column, ColumnKind, Columns};

use super::chart;
use crate::output;
use samara_models::chart::escape;

/// Channels that are drawn as curves; more of them are a picture.
const MOST_CURVES: usize = 8;
/// Fields of a row that are shown.
const MOST_FIELDS: usize = 12;

/// How the samples of a data set are shown.
#[derive(Debug, Clone, Copy)]
pub struct Media<'a> {
    pub shape: &'a [usize],
    /// Of sounds that are there as samples, `[samples, 1]`.
    pub sample_rate: Option<u32>,
    pub columns: Option<&'a Columns>,
}

impl Media<'_> {
    /// A sample as HTML that stands for itself.
    ///
    /// # Errors
    /// None in practice: PNG is written to memory.
    pub fn show(&self, values: &[f32]) -> Result<String> {
        Ok(match (self.shape, self.sample_rate) {
            (&[height, width, channels @ (1 | 3)], _) => picture(values, [height, width, channels])?,
            (&[_, 1], Some(rate)) => sound(values, rate),
            (&[steps, channels], _) if channels <= MOST_CURVES => curves(values, steps, channels),
            // Time to the right, as spectrograms are read.
            (&[steps, bands], _) => picture(&turned(values, steps, bands), [bands, steps, 1])?,
            _ => self.columns.map_or_else(|| numbers(values), |columns| fields(values, columns)),
        })
    }
}

/// The least and the greatest value.
fn extremes(values: impl Iterator<Item = f32> + Clone) -> [f32; 2] {
    [values.clone().min_by(f32::total_cmp), values.max_by(f32::total_cmp)].map(Option::unwrap_or_default)
}

/// From black for the least value to white for the greatest, if they are not from 0 to 1.
fn picture(values: &[f32], [height, width, channels]: [usize; 3]) -> Result<String> {
    let [least, greatest] = extremes(values.iter().copied().chain([0.0, 1.0]));
    let byte = |value: &f32| ((value - least) / (greatest - least) * 255.0).round() as u8;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(if channels == 3 { png::ColorType::Rgb } else { png::ColorType::Grayscale });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&values.iter().map(byte).collect::<Vec<_>>())?;
    Ok(format!("<img alt=\"sample\" src=\"data:image/png;base64,{}\"/>", base64(&bytes)))
}

/// The matrix with rows for columns, its first row last: low bands are at the bottom.
fn turned(values: &[f32], steps: usize, bands: usize) -> Vec<f32> {
    (0..bands).rev().flat_map(|band| (0..steps).map(move |step| values[step * bands + band])).collect()
}

/// A WAV file of 16 bits, as loud as it can be.
fn sound(values: &[f32], rate: u32) -> String {
    let [_, peak] = extremes(values.iter().map(|value| value.abs()).chain([f32::MIN_POSITIVE]));
    let data: Vec<u8> = values.iter().flat_map(|value| ((value / peak * 32_000.0) as i16).to_le_bytes()).collect();
    let size = data.len() as u32;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(size.to_le_bytes());
    bytes.extend(data);
    format!("<audio controls=\"controls\" preload=\"none\" src=\"data:audio/wav;base64,{}\"></audio>", base64(&bytes))
}

fn curves(values: &[f32], steps: usize, channels: usize) -> String {
    let [least, greatest] = extremes(values.iter().copied());
    let range = if greatest > least { greatest - least } else { 1.0 };
    let (wide, high) = (150.0, 90.0);
    let mut svg = format!("<svg class=\"sample\" viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"sample\">");
    for channel in 0..channels {
        let point = |step: usize| {
            let x = 2.0 + (wide - 4.0) * step as f32 / (steps.max(2) - 1) as f32;
            let y = high - 3.0 - (high - 6.0) * (values[step * channels + channel] - least) / range;
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = (0..steps).map(point).collect();
        let colour = chart::COLOURS[channel % chart::COLOURS.len()];
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" points=\"{}\"/>", points.join(" "));
    }
    svg + "</svg>"
}

/// The fields of a row, as they were in the file.
fn fields(values: &[f32], columns: &Columns) -> String {
    let mut lines = Vec::new();
    let mut rest = values;
    for Column { name, kind } in &columns.inputs {
        let width = if let ColumnKind::Category(names) = kind { names.len() } else { 1 };
        let Some(own) = rest.split_off(..width) else { break };
        let field = match kind {
            ColumnKind::Number { mean, deviation } => output::decimal(own[0] * deviation + mean).to_string(),
            ColumnKind::Category(names) => {
                let place = own.iter().position(|value| *value > 0.5);
                place.and_then(|place| names.get(place)).map_or("?".to_owned(), |name| escape(name))
            }
        };
        lines.push(format!("{}: {field}", escape(name)));
    }
    let more = if lines.len() > MOST_FIELDS { "<br/>.." } else { "" };
    lines.truncate(MOST_FIELDS);
    format!("<span class=\"fields\">{}{more}</span>", lines.join("<br/>"))
}

fn numbers(values: &[f32]) -> String {
    let shown: Vec<String> = values.iter().take(MOST_FIELDS).map(|value| output::decimal(*value).to_string()).collect();
    let more = if values.len() > MOST_FIELDS { ", .." } else { "" };
    format!("<span class=\"fields\">{}{more}</span>", shown.join(", "))
}

/// As text (RFC 4648).
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0u32, |number, place| number << 8 | u32::from(*group.get(place).unwrap_or(&0)));
        for place in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(shape: &[usize], values: &[f32], sample_rate: Option<u32>) -> String {
        Media { shape, sample_rate, columns: None }.show(values).unwrap()
    }

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn the_shape_says_what_a_sample_is() {
        assert!(show(&[2, 2, 1], &[0.0, 1.0, 0.5, 0.25], None).starts_with("<img "));
        assert!(show(&[4, 1], &[0.0, 1.0, 0.5, 0.25], Some(8000)).starts_with("<audio "));
        assert_eq!(show(&[2, 2], &[0.0, 1.0, 0.5, 0.25], None).matches("<polyline").count(), 2);
        assert!(show(&[2, 9], &[0.5; 18], None).starts_with("<img "));
        assert_eq!(show(&[2], &[0.5, 0.1], None), "<span class=\"fields\">0.5, 0.1</span>");
    }

    /// Two samples at 8,000 Hz: the header of 44 bytes that every player reads, and 32,000 and -16,000.
    #[test]
    fn sounds_are_wav_files() {
        let wav =
            b"RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x04\0\0\0\x00\x7d\x80\xc1";
        assert!(show(&[2, 1], &[0.5, -0.25], Some(8000)).contains(&base64(wav)));
    }

    #[test]
    fn rows_are_shown_as_they_were_in_the_file() {
        let column = |name: &str, kind| Column { name: name.to_owned(), kind };
        let kinds = ColumnKind::Category(["red".to_owned(), "a<b".to_owned()].into());
        let columns = Columns {
            inputs: vec![column("size", ColumnKind::Number { mean: 2.0, deviation: 4.0 }), column("colour", kinds)],
            target: column("kind", ColumnKind::Number { mean: 0.0, deviation: 1.0 }),
            file: 0,
        };
        let html = Media { shape: &[3], sample_rate: None, columns: Some(&columns) }.show(&[0.5, 0.0, 1.0]).unwrap();
        assert_eq!(html, "<span class=\"fields\">size: 4<br/>colour: a&lt;b</span>");
    }

    #[test]
    fn low_bands_are_at_the_bottom() {
        assert_eq!(turned(&[1.0, 2.0, 3.0, 4.0], 2, 2), [2.0, 4.0, 1.0, 3.0]);
    }
}
