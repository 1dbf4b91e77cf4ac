//! WAV files: `RIFF`, a length, `WAVE`, then chunks, each with a name of four letters, a little-endian length and, padded to an
//! even number of bytes, its content. `fmt ` says how the samples in `data` are coded.
//!
//! Read are whole numbers of 8, 16, 24 and 32 bits and floats of 32 and 64, of any number of channels. Not read: A-law, mu-law,
//! ADPCM and other packed samples, and files of more than 4 GB.
//!
//! Source: Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0*, 1991; WAVEFORMATEXTENSIBLE.

use std::path::Path;

use super::SourceError;

/// What is in a WAV file.
#[derive(Debug, Clone, PartialEq)]
pub struct WavFile {
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels that the file has; `samples` are their mean.
    pub channels: u16,
    /// One channel. Whole numbers become values from -1 on to below 1, floats are taken as they are.
    pub samples: Vec<f32>,
}

/// How samples are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
}

impl Coding {
    fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 => 1,
            Self::Signed16 => 2,
            Self::Signed24 => 3,
            Self::Signed32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    fn decode(self, bytes: &[u8]) -> f32 {
        /// The highest bytes of a 32-bit number.
        fn whole(bytes: &[u8]) -> f32 {
            let mut padded = [0; 4];
            padded[4 - bytes.len()..].copy_from_slice(bytes);
            i32::from_le_bytes(padded) as f32 / 2_147_483_648.0
        }
        match (self, bytes) {
            (Self::Unsigned8, &[byte]) => (f32::from(byte) - 128.0) / 128.0,
            (Self::Float32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::Float64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => whole(bytes),
        }
    }
}

struct Format {
    coding: Coding,
    sample_rate: u32,
    channels: u16,
}

impl WavFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, is no WAV file, is damaged, or its samples are coded in another way.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let content = std::fs::read(path).map_err(|error| SourceError::read(path, error))?;
        Self::parse(&content).map_err(|reason| SourceError::malformed(path, reason))
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        if content.get(..4) != Some(b"RIFF") || content.get(8..12) != Some(b"WAVE") {
            return Err("it does not start as a WAV file does, with RIFF, a length and WAVE".to_owned());
        }
        let (mut format, mut offset) = (None, 12);
        while let Some((header, rest)) = content.get(offset..).and_then(|rest| rest.split_first_chunk::<8>()) {
            let [a, b, c, d, length @ ..] = *header;
            let length = u32::from_le_bytes(length) as usize;
            let name = String::from_utf8_lossy(&[a, b, c, d]).into_owned();
            let chunk = rest.get(..length).ok_or_else(|| {
                let found = rest.len();
                format!("its chunk {name:?} at byte {offset} has {found} bytes, expected {length}: it was cut short or damaged")
            })?;
            match &*name {
                "fmt " => {
                    format =
                        Some(Format::parse(chunk).map_err(|reason| format!("its chunk \"fmt \" at byte {offset} {reason}"))?)
                }
                "data" => {
                    let format = format.ok_or("its chunk \"data\" comes before \"fmt \", which says what is in it")?;
                    return format.decode(chunk).map_err(|reason| format!("its chunk \"data\" at byte {offset} {reason}"));
                }
                _ => {}
            }
            offset += 8 + length + length % 2;
        }
        Err(format!("it has no chunk \"data\" with samples in its {} bytes", content.len()))
    }
}

impl Format {
    fn parse(chunk: &[u8]) -> Result<Self, String> {
        const PCM: u16 = 1;
        const FLOAT: u16 = 3;
        const EXTENSIBLE: u16 = 0xfffe;
        let number = |at: usize| Some(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?));
        let short = || format!("has {} bytes, expected at least 16", chunk.len());
        let [tag, channels, rate_low, rate_high, block, bits] = [0, 2, 4, 6, 12, 14].map(|at| number(at).ok_or_else(short));
        let (tag, channels, block, bits) = (tag?, channels?, block?, bits?);
        let sample_rate = u32::from(rate_low?) | u32::from(rate_high?) << 16;
        // An extensible header has the tag at the start of an identifier of 16 bytes.
        let tag = if tag == EXTENSIBLE { number(24).ok_or("is cut short")? } else { tag };
        let coding = match (tag, bits) {
            (PCM, 8) => Coding::Unsigned8,
            (PCM, 16) => Coding::Signed16,
            (PCM, 24) => Coding::Signed24,
            (PCM, 32) => Coding::Signed32,
            (FLOAT, 32) => Coding::Float32,
            (FLOAT, 64) => Coding::Float64,
            _ => {
                let kind = match tag {
                    PCM => "whole numbers",
                    FLOAT => "floats",
                    2 | 17 => "ADPCM",
                    6 => "A-law",
                    7 => "mu-law",
                    0x55 => "MP3",
                    _ => "a coding that is not known",
                };
                return Err(format!(
                    "says that samples are {kind} (format {tag}) of {bits} bits, expected whole numbers of 8, 16, 24 or 32 bits or \
                     floats of 32 or 64"
                ));
            }
        };
        if channels == 0 || sample_rate == 0 {
            return Err(format!("has {channels} channels at {sample_rate} samples per second, expected at least 1 of each"));
        }
        if usize::from(block) != coding.bytes() * usize::from(channels) {
            return Err(format!("has {block} bytes for {channels} channels of {bits} bits"));
        }
        Ok(Self { coding, sample_rate, channels })
    }

    fn decode(&self, chunk: &[u8]) -> Result<WavFile, String> {
        let bytes = self.coding.bytes() * usize::from(self.channels);
        if !chunk.len().is_multiple_of(bytes) {
            return Err(format!(
                "has {} bytes, expected a multiple of {bytes}, the bytes of a sample of all channels",
                chunk.len()
            ));
        }
        let mean = |frame: &[u8]| {
            let sum: f32 = frame.chunks_exact(self.coding.bytes()).map(|sample| self.coding.decode(sample)).sum();
            sum / f32::from(self.channels)
        };
        let samples = chunk.chunks_exact(bytes).map(mean).collect();
        Ok(WavFile { sample_rate: self.sample_rate, channels: self.channels, samples })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let block = channels * bits / 8;
        let mut format = Vec::new();
        format.extend(tag.to_le_bytes());
        format.extend(channels.to_le_bytes());
        format.extend(rate.to_le_bytes());
        format.extend((rate * u32::from(block)).to_le_bytes());
        format.extend(block.to_le_bytes());
        format.extend(bits.to_le_bytes());
        // A chunk of an odd length, which one more byte follows, stands between.
        let chunks = [chunk(b"fmt ", &format), chunk(b"LIST", b"odd"), vec![0], chunk(b"data", data)].concat();
        [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WAVE", &chunks].concat()
    }

    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [name, &(content.len() as u32).to_le_bytes()[..], content].concat()
    }

    fn samples(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<f32> {
        WavFile::parse(&wav(tag, channels, 8000, bits, data)).unwrap().samples
    }

    #[test]
    fn every_coding_has_its_range() {
        assert_eq!(samples(1, 1, 8, &[0, 128, 192, 255]), [-1.0, 0.0, 0.5, 0.992_187_5]);
        assert_eq!(samples(1, 1, 16, &[0, 0x80, 0, 0x40, 0xff, 0x7f]), [-1.0, 0.5, 32767.0 / 32768.0]);
        assert_eq!(samples(1, 1, 24, &[0, 0, 0x80, 0, 0, 0x40, 1, 0, 0]), [-1.0, 0.5, 1.0 / 8_388_608.0]);
        assert_eq!(samples(1, 1, 32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40]), [-1.0, 0.5]);
        assert_eq!(samples(3, 1, 32, &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(samples(3, 1, 64, &(-0.25f64).to_le_bytes()), [-0.25]);
        // Left and right: their mean.
        assert_eq!(samples(1, 2, 8, &[0, 128, 192, 128]), [-0.5, 0.25]);
    }

    #[test]
    fn an_extensible_header_names_the_coding_further_behind() {
        let mut content = wav(0xfffe, 1, 16_000, 16, &[0, 0x40]);
        let extension = [&[22u8, 0, 16, 0, 4, 0, 0, 0, 1, 0][..], &[0; 14]].concat();
        content.splice(36..36, extension);
        content[16] = 40;
        let file = WavFile::parse(&content).unwrap();
        assert_eq!((file.sample_rate, file.channels, file.samples), (16_000, 1, vec![0.5]));
    }

    #[test]
    fn broken_and_other_files_are_told() {
        let reason = |content: &[u8]| WavFile::parse(content).unwrap_err();
        assert_eq!(reason(b"OggS"), "it does not start as a WAV file does, with RIFF, a length and WAVE");
        let codings = "expected whole numbers of 8, 16, 24 or 32 bits or floats of 32 or 64";
        assert_eq!(
            reason(&wav(6, 1, 8000, 8, &[])),
            format!("its chunk \"fmt \" at byte 12 says that samples are A-law (format 6) of 8 bits, {codings}")
        );
        assert!(reason(&wav(1, 1, 8000, 12, &[])).contains("whole numbers (format 1) of 12 bits"));
        assert!(reason(&wav(1, 0, 8000, 16, &[])).contains("0 channels at 8000"));
        assert_eq!(
            reason(&wav(1, 2, 8000, 16, &[0; 6])),
            "its chunk \"data\" at byte 48 has 6 bytes, expected a multiple of 4, the bytes of a sample of all channels"
        );
        let good = wav(1, 1, 8000, 16, &[1, 2, 3, 4]);
        assert_eq!(reason(&good[..58]), "its chunk \"data\" at byte 48 has 2 bytes, expected 4: it was cut short or damaged");
        for length in 0..good.len() {
            assert!(WavFile::parse(&good[..length]).is_err(), "cut to {length}");
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0xff;
            let _ = WavFile::parse(&bad);
        }
        let headless = [b"RIFF\0\0\0\0WAVE", &chunk(b"data", &[0])[..]].concat();
        assert!(reason(&headless).contains("comes before \"fmt \""));
        assert_eq!(reason(&headless[..12]), "it has no chunk \"data\" with samples in its 12 bytes");
    }
}
