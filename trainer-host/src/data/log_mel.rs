//! Log-mel features of sounds.

use std::f64::consts::TAU;

use crate::error::{Error, Result};

/// How log-mel features are computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogMelOptions {
    /// Samples per second of the sound.
    pub sample_rate: u32,
    /// Samples of a frame, 2 at least. The spectrum is taken of the next power of two, behind the frame filled with zeros.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Bands on the mel scale.
    pub bands: usize,
    /// Where the first band begins, in Hz.
    pub lowest_frequency: f32,
    /// Where the last band ends, in Hz: at most half the sample rate.
    pub highest_frequency: f32,
    /// The least energy of a band, above 0: less is taken for it.
    pub floor: f32,
}

impl LogMelOptions {
    /// Frames of 32 ms every 20 ms, 40 bands from 20 Hz to half the sample rate, a floor of 1e-6.
    pub fn at(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            window: (sample_rate as usize * 32).div_ceil(1000),
            hop: sample_rate as usize / 50,
            bands: 40,
            lowest_frequency: 20.0,
            highest_frequency: sample_rate as f32 / 2.0,
            floor: 1e-6,
        }
    }
}

/// Log-mel features `[frames, bands]` of a sound, as nets for spotting words take them.
///
/// With the window `w[n] = 1/2 - cos(2 pi n / W) / 2` (Hann's, periodic) of `W` samples, the hop `H`, and `N`, the least power of
/// two that is not below `W`:
///
/// ```text
/// P[t, k] = |sum over n < W of w[n] x[t H + n] exp(-2 pi i k n / N)|^2        k = 0 to N / 2
/// E[t, b] = sum over k of M[b, k] P[t, k]
/// y[t, b] = ln(max(E[t, b], floor))
/// ```
///
/// `M[b, k]` are triangles on the mel scale, `m(f) = 2595 log10(1 + f / 700)`: of `bands + 2` places at equal distances from
/// `m(lowest)` to `m(highest)`, band `b` rises from place `b` to 1 at place `b + 1` and falls to 0 at place `b + 2`. (So do
/// `tf.signal.linear_to_mel_weight_matrix` and Keras's `MelSpectrogram`; others draw the triangles' sides straight in Hz.)
///
/// All is f32, in a fixed order: a Cooley-Tukey transform in place, radix 2, decimation in time, then each band's bins from the
/// lowest on. Window, twiddle factors and triangles are computed once in f64 and rounded. Logarithms are those of the runtime, so
/// a device that follows this gets the same bits.
///
/// ```
/// use samara_trainer::data::{LogMel, LogMelOptions};
///
/// let log_mel = LogMel::new(LogMelOptions { bands: 10, ..LogMelOptions::at(16_000) })?;
/// let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.1).sin()).collect();
/// assert_eq!(log_mel.frames(tone.len()), 49);
/// let features = log_mel.compute(&tone);
/// assert_eq!(features.len(), 49 * 10);
/// # Ok::<(), samara_trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LogMel {
    options: LogMelOptions,
    window: Vec<f32>,
    /// `exp(-2 pi i k / N)` for `k` below `N / 2`.
    twiddles: Vec<(f32, f32)>,
    bands: Vec<Band>,
}

#[derive(Debug, Clone, PartialEq)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

/// The largest transform.
const LARGEST_WINDOW: usize = 1 << 16;

/// A frequency in Hz on the mel scale.
fn mel(frequency: f64) -> f64 {
    2595.0 * libm::log10(1.0 + frequency / 700.0)
}

impl LogMel {
    /// Computes window, twiddle factors and triangles.
    ///
    /// # Errors
    /// If an option is out of range, or a band is so narrow that no frequency of the spectrum lies in it.
    pub fn new(options: LogMelOptions) -> Result<Self> {
        let LogMelOptions { sample_rate, window, hop, bands, lowest_frequency, highest_frequency, floor } = options;
        let check = |name, is_right: bool, found: String, expected: String| {
            if is_right { Ok(()) } else { Err(Error::Argument { name, found, expected }) }
        };
        let window_range = format!("from 2 to {LARGEST_WINDOW} samples");
        check("the window of log-mel features", (2..=LARGEST_WINDOW).contains(&window), window.to_string(), window_range)?;
        check("the hop of log-mel features", hop >= 1, hop.to_string(), "at least 1 sample".to_owned())?;
        let band_range = format!("from 1 to {}, the bins of the spectrum", window.next_power_of_two() / 2);
        let are_bands = (1..=window.next_power_of_two() / 2).contains(&bands);
        check("the number of mel bands", are_bands, bands.to_string(), band_range)?;
        let half = sample_rate as f32 / 2.0;
        let is_range = 0.0 <= lowest_frequency && lowest_frequency < highest_frequency && highest_frequency <= half;
        let found = format!("{lowest_frequency} to {highest_frequency} Hz");
        check("the range of mel bands", is_range, found, format!("within 0 to {half} Hz, half the sample rate"))?;
        let is_floor = floor > 0.0 && floor.is_finite();
        check("the floor of log-mel features", is_floor, floor.to_string(), "a positive number".to_owned())?;

        let size = window.next_power_of_two();
        let angle = |n: usize, of: usize| TAU * n as f64 / of as f64;
        let (low, high) = (mel(f64::from(lowest_frequency)), mel(f64::from(highest_frequency)));
        let place = |place: usize| low + (high - low) * place as f64 / (bands + 1) as f64;
        let bin_mel: Vec<f64> = (0..=size / 2).map(|bin| mel(bin as f64 * f64::from(sample_rate) / size as f64)).collect();
        let band = |band: usize| {
            let (left, center, right) = (place(band), place(band + 1), place(band + 2));
            let weight =
                |mel: f64| if mel <= center { (mel - left) / (center - left) } else { (right - mel) / (right - center) };
            let first_bin = bin_mel.iter().position(|&mel| mel > left).unwrap_or(0);
            let inside = bin_mel[first_bin..].iter().take_while(|&&mel| mel < right);
            let weights: Vec<f32> = inside.map(|&mel| weight(mel) as f32).collect();
            let found = format!("{bands} from {lowest_frequency} to {highest_frequency} Hz");
            let expected =
                format!("so many that each holds a frequency of the spectrum of {size} samples: band {band} does not");
            check("the number of mel bands", !weights.is_empty(), found, expected)?;
            Ok(Band { first_bin, weights })
        };
        Ok(Self {
            options,
            window: (0..window).map(|n| (0.5 - 0.5 * libm::cos(angle(n, window))) as f32).collect(),
            twiddles: (0..size / 2).map(|k| (libm::cos(angle(k, size)) as f32, -libm::sin(angle(k, size)) as f32)).collect(),
            bands: (0..bands).map(band).collect::<Result<_>>()?,
        })
    }

    /// How the features are computed.
    pub fn options(&self) -> &LogMelOptions {
        &self.options
    }

    /// The frames that lie whole in so many samples.
    pub fn frames(&self, samples: usize) -> usize {
        samples.checked_sub(self.options.window).map_or(0, |rest| 1 + rest / self.options.hop)
    }

    /// The least samples that hold so many frames.
    pub fn samples(&self, frames: usize) -> usize {
        frames.checked_sub(1).map_or(0, |hops| self.options.window + hops * self.options.hop)
    }

    /// The features of a sound, `[frames, bands]`.
    pub fn compute(&self, samples: &[f32]) -> Vec<f32> {
        let frames = self.frames(samples.len());
        let mut features = Vec::with_capacity(frames * self.bands.len());
        let mut spectrum = vec![(0.0, 0.0); self.window.len().next_power_of_two()];
        for frame in 0..frames {
            let frame = &samples[frame * self.options.hop..][..self.window.len()];
            spectrum.fill((0.0, 0.0));
            for ((value, &sample), &weight) in spectrum.iter_mut().zip(frame).zip(&self.window) {
                *value = (sample * weight, 0.0);
            }
            transform(&mut spectrum, &self.twiddles);
            for band in &self.bands {
                let bins = spectrum[band.first_bin..].iter().zip(&band.weights);
                let energy = bins.fold(0.0, |sum, (&(re, im), &weight)| sum + weight * (re * re + im * im));
                // A value that is no number stays one, to be found.
                let energy = if energy < self.options.floor { self.options.floor } else { energy };
                features.push(libm::logf(energy));
            }
        }
        features
    }
}

/// The discrete Fourier transform of a power of two of complex numbers, in place.
fn transform(values: &mut [(f32, f32)], twiddles: &[(f32, f32)]) {
    let size = values.len();
    let bits = size.trailing_zeros();
    for index in 0..size {
        let other = index.reverse_bits() >> (usize::BITS - bits);
        if index < other {
            values.swap(index, other);
        }
    }
    let mut half = 1;
    while half < size {
        let stride = size / (2 * half);
        for block in values.chunks_exact_mut(2 * half) {
            let (first, second) = block.split_at_mut(half);
            for (index, (a, b)) in first.iter_mut().zip(second).enumerate() {
                let (cos, sin) = twiddles[index * stride];
                let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Random;

    /// The formula of the docs, term by term.
    fn naive(options: &LogMelOptions, x: &[f32]) -> Vec<f64> {
        let LogMelOptions { sample_rate, window, hop, bands, .. } = *options;
        let size = window.next_power_of_two();
        let m = |f: f64| 2595.0 * (1.0 + f / 700.0).log10();
        let (low, high) = (m(f64::from(options.lowest_frequency)), m(f64::from(options.highest_frequency)));
        let mut features = Vec::new();
        for t in 0..1 + (x.len() - window) / hop {
            let power: Vec<f64> = (0..=size / 2)
                .map(|k| {
                    let (mut re, mut im) = (0.0, 0.0);
                    for n in 0..window {
                        let w = 0.5 - 0.5 * (TAU * n as f64 / window as f64).cos();
                        let angle = -TAU * (k * n) as f64 / size as f64;
                        re += w * f64::from(x[t * hop + n]) * angle.cos();
                        im += w * f64::from(x[t * hop + n]) * angle.sin();
                    }
                    re * re + im * im
                })
                .collect();
            for b in 0..bands {
                let place = |i: usize| low + (high - low) * i as f64 / (bands + 1) as f64;
                let energy: f64 = (0..=size / 2)
                    .map(|k| {
                        let f = m(k as f64 * f64::from(sample_rate) / size as f64);
                        let rising = (f - place(b)) / (place(b + 1) - place(b));
                        let falling = (place(b + 2) - f) / (place(b + 2) - place(b + 1));
                        rising.min(falling).max(0.0) * power[k]
                    })
                    .sum();
                features.push(energy.max(f64::from(options.floor)).ln());
            }
        }
        features
    }

    #[test]
    fn features_are_those_of_the_formula() {
        let mut random = Random::new(4, 0);
        let sound: Vec<f32> = (0..700).map(|n| (n as f32 * 0.3).sin() * 0.5 + 0.1 * random.normal() as f32).collect();
        let odd = LogMelOptions { window: 200, hop: 77, bands: 12, lowest_frequency: 100.0, ..LogMelOptions::at(8000) };
        for options in [LogMelOptions::at(8000), odd] {
            let (found, expected) = (LogMel::new(options).unwrap().compute(&sound), naive(&options, &sound));
            assert_eq!(found.len(), expected.len());
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!((f64::from(*found) - expected).abs() < 2e-4, "{place}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn the_mel_scale_has_its_known_values() {
        // 2595 log10(2) at 700 Hz; 1000 Hz are 1000 mel.
        assert!((mel(700.0) - 781.172_84).abs() < 1e-4);
        assert!((mel(1000.0) - 999.985_54).abs() < 1e-4);
        assert_eq!(mel(0.0), 0.0);
    }

    #[test]
    fn a_tone_is_in_its_band_and_silence_at_the_floor() {
        let options = LogMelOptions::at(8000);
        let log_mel = LogMel::new(options).unwrap();
        // 1000 Hz is bin 32 of 256. Hann's window sums to 128, so the bin has (128 / 2)^2, its neighbours a quarter of that.
        let tone: Vec<f32> = (0..256).map(|n| (TAU * n as f64 / 8.0).cos() as f32).collect();
        let features = log_mel.compute(&tone);
        let loudest = (0..40).max_by(|&a, &b| features[a].total_cmp(&features[b])).unwrap();
        let place = (mel(1000.0) - mel(20.0)) / (mel(4000.0) - mel(20.0)) * 41.0;
        assert!((loudest as f64 + 1.0 - place).abs() <= 1.0, "band {loudest}, place {place}");
        let total: f32 = features.iter().map(|feature| feature.exp()).sum();
        // Triangles of neighbours add up to 1.
        assert!((total / (64.0 * 64.0 * 1.5) - 1.0).abs() < 0.001, "{total}");
        assert_eq!(log_mel.compute(&[0.0; 256]), vec![libm::logf(1e-6); 40]);
        assert!(log_mel.compute(&[f32::NAN; 256]).iter().all(|feature| feature.is_nan()));
        assert_eq!(log_mel.compute(&[0.0; 255]), [0.0; 0]);
        assert_eq!((log_mel.frames(415), log_mel.frames(416), log_mel.samples(2), log_mel.samples(0)), (1, 2, 416, 0));
    }

    #[test]
    fn options_out_of_range_are_told() {
        let message = |options| LogMel::new(options).unwrap_err().to_string();
        let good = LogMelOptions::at(8000);
        assert_eq!(
            message(LogMelOptions { window: 1, ..good }),
            "the window of log-mel features is 1, but must be from 2 to 65536 samples"
        );
        assert!(message(LogMelOptions { hop: 0, ..good }).contains("the hop of log-mel features is 0"));
        assert_eq!(
            message(LogMelOptions { bands: 128, ..good }),
            "the number of mel bands is 128 from 20 to 4000 Hz, but must be so many that each holds a frequency of the spectrum of \
             256 samples: band 4 does not"
        );
        assert!(message(LogMelOptions { bands: 129, ..good }).contains("from 1 to 128, the bins of the spectrum"));
        assert_eq!(
            message(LogMelOptions { highest_frequency: 4001.0, ..good }),
            "the range of mel bands is 20 to 4001 Hz, but must be within 0 to 4000 Hz, half the sample rate"
        );
        assert!(message(LogMelOptions { lowest_frequency: f32::NAN, ..good }).contains("the range of mel bands is NaN"));
        assert!(message(LogMelOptions { floor: 0.0, ..good }).contains("the floor of log-mel features is 0"));
    }
}
