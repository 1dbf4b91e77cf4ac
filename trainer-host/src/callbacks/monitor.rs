//! A measurement that callbacks watch, and what counts as better.

use crate::error::{Error, Result};
use crate::train::Training;

/// Whether a measurement is to become small or large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// By its name: losses and errors small; accuracies, areas under curves, precision, recall, F1, Dice, R2, cosine similarities large.
    #[default]
    Auto,
    /// Small is good.
    Min,
    /// Large is good.
    Max,
}

/// Ends of the names of measurements that are to become large.
const LARGE: [&str; 11] =
    ["accuracy", "auc", "precision", "recall", "f1", "f1_score", "dice", "r2", "r2_score", "cosine_similarity", "iou"];
/// Ends of the names of those that are to become small.
const SMALL: [&str; 3] = ["loss", "error", "divergence"];

/// A measurement and what counts as better.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    pub name: String,
    pub mode: Mode,
    /// How much better is better.
    pub min_delta: f64,
}

impl Monitor {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), mode: Mode::Auto, min_delta: 0.0 }
    }

    /// Checks the options before the first step.
    pub fn check(&self) -> Result<()> {
        if !(self.min_delta >= 0.0 && self.min_delta.is_finite()) {
            let (found, expected) = (self.min_delta.to_string(), "0 or a positive number".to_owned());
            return Err(Error::Argument { name: "min_delta", found, expected });
        }
        self.is_max().map(drop)
    }

    fn is_max(&self) -> Result<bool> {
        let ends = |ends: &[&str]| ends.iter().any(|end| self.name.ends_with(end));
        match self.mode {
            Mode::Min => Ok(false),
            Mode::Max => Ok(true),
            Mode::Auto if ends(&LARGE) => Ok(true),
            Mode::Auto if ends(&SMALL) => Ok(false),
            Mode::Auto => {
                let expected = format!("Mode::Min or Mode::Max, as the name of the measurement '{}' does not tell", self.name);
                Err(Error::Argument { name: "the mode", found: "Mode::Auto".to_owned(), expected })
            }
        }
    }

    /// What everything is better than.
    pub fn worst(&self) -> Result<f64> {
        Ok(if self.is_max()? { f64::NEG_INFINITY } else { f64::INFINITY })
    }

    /// Whether a value is better than another by more than `min_delta`.
    pub fn is_better(&self, value: f64, than: f64) -> Result<bool> {
        Ok(if self.is_max()? { value - self.min_delta > than } else { value + self.min_delta < than })
    }

    /// What the epoch that just ended measured.
    pub fn value(&self, training: &Training<'_>) -> Result<f64> {
        let measurements = training.log().map(|log| &log.measurements);
        measurements.and_then(|measured| measured.get(&self.name)).ok_or_else(|| {
            let known: Vec<&str> = measurements.iter().flat_map(|measured| measured.iter()).map(|(name, _)| name).collect();
            Error::NotFound {
                model: training.model().name().to_owned(),
                what: "measurement",
                name: self.name.clone(),
                known: known.join(", "),
            }
        })
    }
}

/// The builder's methods for a field `monitor`.
macro_rules! monitor_methods {
    () => {
        /// Watches another measurement: `"val_accuracy"`.
        pub fn monitor(mut self, name: &str) -> Self {
            self.monitor.name = name.to_owned();
            self
        }

        /// Says whether it is to become small or large; by default its name tells.
        pub fn mode(mut self, mode: $crate::callbacks::Mode) -> Self {
            self.monitor.mode = mode;
            self
        }
    };
    (min_delta) => {
        $crate::callbacks::monitor::monitor_methods!();

        /// Sets how much better a measurement must be to count as better.
        pub fn min_delta(mut self, min_delta: f64) -> Self {
            self.monitor.min_delta = min_delta;
            self
        }
    };
}

pub(super) use monitor_methods;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_is_better() {
        let better = |name: &str, value: f64, than: f64| Monitor::new(name).is_better(value, than);
        assert!(better("val_loss", 0.5, 0.6).unwrap() && !better("val_loss", 0.6, 0.6).unwrap());
        assert!(better("price_mean_absolute_error", 0.5, 0.6).unwrap());
        assert!(better("val_accuracy", 0.6, 0.5).unwrap() && !better("kind_auc", 0.5, 0.6).unwrap());
        assert_eq!(Monitor::new("val_recall").worst().unwrap(), f64::NEG_INFINITY);
        assert!(!better("val_loss", f64::NAN, f64::INFINITY).unwrap());
        let message = better("val_taste", 0.0, 1.0).unwrap_err().to_string();
        let expected = "the mode is Mode::Auto, but must be Mode::Min or Mode::Max, as the name of the measurement 'val_taste'";
        assert!(message.starts_with(expected), "{message}");
        let by_hand = Monitor { mode: Mode::Max, min_delta: 0.25, ..Monitor::new("val_taste") };
        assert!(by_hand.is_better(1.5, 1.0).unwrap() && !by_hand.is_better(1.25, 1.0).unwrap());
        assert!(Monitor { min_delta: f64::NAN, ..by_hand }.check().is_err());
    }
}
