//! Does a model know how sure it is: of all that it says with a confidence of 0.8, is 0.8 right?

use std::fmt::Write as _;

/// Bins of confidence, of equal width.
const BINS: usize = 10;

/// Samples whose confidence lies in a bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    pub samples: usize,
    /// Their mean confidence, and the share of them that is right.
    pub confidence: f64,
    pub accuracy: f64,
}

/// How sure a model is, and how right.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub bins: [Bin; BINS],
    /// The expected calibration error: the mean distance of accuracy from confidence, weighted by samples.
    pub error: f64,
}

impl Calibration {
    /// Of answers, each a confidence from 0 to 1 and whether it was right.
    pub fn of(answers: &[(f64, bool)]) -> Self {
        let mut bins = [Bin::default(); BINS];
        for &(confidence, is_right) in answers {
            let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
            bin.samples += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(u8::from(is_right));
        }
        for bin in bins.iter_mut().filter(|bin| bin.samples > 0) {
            bin.confidence /= bin.samples as f64;
            bin.accuracy /= bin.samples as f64;
        }
        let distances = bins.iter().map(|bin| (bin.accuracy - bin.confidence).abs() * bin.samples as f64);
        let error = distances.sum::<f64>() / answers.len().max(1) as f64;
        Self { bins, error }
    }

    /// The reliability diagram: a bar for each bin, and the line that a calibrated model is on.
    pub fn draw(&self) -> String {
        const SIDE: f64 = 260.0;
        const LEFT: f64 = 44.0;
        const TOP: f64 = 12.0;
        let (wide, high) = (LEFT + SIDE + 16.0, TOP + SIDE + 46.0);
        let most = self.bins.iter().map(|bin| bin.samples).max().unwrap_or(0).max(1) as f64;
        let (x, y) = (|part: f64| LEFT + part * SIDE, |part: f64| TOP + SIDE - part * SIDE);
        let mut svg =
            format!("<svg class=\"chart small\" viewBox=\"0 0 {wide} {high}\" role=\"img\" aria-label=\"reliability\">");
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let _ = write!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {:.1}h{SIDE}\"/><text class=\"y\" x=\"{}\" y=\"{:.1}\">{tick}</text>\
                 <text class=\"x\" x=\"{:.1}\" y=\"{}\">{tick}</text>",
                y(tick),
                LEFT - 6.0,
                y(tick) + 4.0,
                x(tick),
                TOP + SIDE + 17.0
            );
        }
        for (number, bin) in self.bins.iter().enumerate().filter(|(_, bin)| bin.samples > 0) {
            let width = SIDE / BINS as f64;
            // The more samples, the darker.
            let shade = 0.25 + 0.75 * (bin.samples as f64 / most).sqrt();
            let _ = write!(
                svg,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#0072b2\" fill-opacity=\"{shade:.2}\">\
                 <title>{} samples: confidence {:.3}, accuracy {:.3}</title></rect>",
                x(number as f64 / BINS as f64) + 1.0,
                y(bin.accuracy),
                width - 2.0,
                bin.accuracy * SIDE,
                bin.samples,
                bin.confidence,
                bin.accuracy
            );
        }
        let _ = write!(
            svg,
            "<path stroke=\"#d55e00\" stroke-width=\"1.6\" stroke-dasharray=\"6 4\" fill=\"none\" d=\"M{LEFT} {:.1}L{:.1} {TOP}\"/>\
             <text class=\"x\" x=\"{:.1}\" y=\"{}\">confidence</text>",
            TOP + SIDE,
            LEFT + SIDE,
            x(0.5),
            TOP + SIDE + 38.0
        );
        svg + "</svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four answers of 0.75, three of them right; two of 0.95, one of them right.
    #[test]
    fn the_error_is_the_mean_distance_from_confidence() {
        let answers = [(0.75, true), (0.75, true), (0.75, true), (0.75, false), (0.95, true), (0.95, false)];
        let found = Calibration::of(&answers);
        assert_eq!(found.bins[7], Bin { samples: 4, confidence: 0.75, accuracy: 0.75 });
        assert_eq!(found.bins[9], Bin { samples: 2, confidence: 0.95, accuracy: 0.5 });
        assert!((found.error - 2.0 * 0.45 / 6.0).abs() < 1e-12, "{}", found.error);
    }

    #[test]
    fn certainty_is_in_the_last_bin() {
        assert_eq!(Calibration::of(&[(1.0, true)]).bins[9].samples, 1);
        let none = Calibration::of(&[]);
        assert_eq!(none.error, 0.0);
        assert!(!none.draw().contains("NaN"));
    }
}
