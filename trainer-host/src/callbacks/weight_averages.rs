//! Averages of weights over steps or epochs, which often do better than the last weights: `a = momentum * a + (1 - momentum) * w` after
//! every step (Polyak and Juditsky 1992; Keras's `use_ema`), and the mean over the last epochs (Izmailov et al. 2018).

use super::{Callback, Kept};
use crate::error::{Error, Result};
use crate::optimizers::check_option;
use crate::train::Training;

/// Averages of all parameters: weights, and the statistics that go with them.
#[derive(Debug, Clone, Default)]
struct Averages {
    values: Vec<f32>,
    /// How often they were changed.
    count: u64,
    /// The parameters that training goes on with, while the averages stand in their place.
    trained: Option<Vec<f32>>,
}

impl Averages {
    /// Moves the averages towards the parameters of now; `share` gives how far, from how often they were moved before.
    fn follow(&mut self, training: &Training<'_>, share: impl Fn(u64) -> f32) {
        // Weights that diverged are nothing to average.
        if !training.loss().is_finite() {
            return;
        }
        let now = training.values();
        if self.count == 0 {
            self.values = now.into_iter().flatten().copied().collect();
        } else {
            let share = share(self.count);
            for (average, &value) in self.values.iter_mut().zip(now.into_iter().flatten()) {
                *average += share * (value - *average);
            }
        }
        self.count += 1;
    }

    /// Puts the averages in the parameters' place; not in that of what a training that diverged goes back to.
    fn show(&mut self, training: &mut Training<'_>) {
        if self.count > 0 && self.trained.is_none() && training.loss().is_finite() {
            self.trained = Some(training.values().into_iter().flatten().copied().collect());
            training.set_values(&self.values);
        }
    }

    /// Puts the parameters back.
    fn hide(&mut self, training: &mut Training<'_>) {
        if let Some(trained) = self.trained.take() {
            training.set_values(&trained);
        }
    }

    fn keeps(&self, callback: &str) -> Kept {
        let kept = Kept::new(callback).with_u64("count", [self.count]).with_f32("averages", self.values.clone());
        match &self.trained {
            Some(trained) => kept.with_f32("trained", trained.clone()),
            None => kept,
        }
    }

    fn restore(&mut self, kept: &Kept, training: &Training<'_>) -> Result<()> {
        [self.count] = kept.u64("count")?;
        let size = training.values().into_iter().flatten().count();
        let read = |name: &str| match kept.f32(name)? {
            Some(values) if values.len() == size && values.iter().all(|value| value.is_finite()) => Ok(Some(values.to_vec())),
            Some([]) | None => Ok(None),
            Some(_) => Err(kept.wrong(name)),
        };
        self.values = read("averages")?.unwrap_or_default();
        self.trained = read("trained")?;
        if (self.count > 0) == self.values.is_empty() {
            return Err(kept.wrong("averages"));
        }
        Ok(())
    }
}

/// The hooks of callbacks with a field `averages`, which is shown from validation to the end of an epoch.
macro_rules! average_hooks {
    ($name:literal) => {
        fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.averages.hide(training);
            Ok(())
        }

        fn test_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.averages.show(training);
            Ok(())
        }

        fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.averages.show(training);
            Ok(())
        }

        fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.averages.show(training);
            Ok(())
        }

        fn keeps(&self) -> Option<Kept> {
            Some(self.averages.keeps($name))
        }

        fn restore(&mut self, kept: &Kept, training: &mut Training<'_>) -> Result<()> {
            self.averages.restore(kept, training)
        }
    };
}

/// Averages the parameters after every step, recent ones counting more, as the `use_ema` of Keras's optimizers; statistics (moving means of
/// batch-norms) are averaged alike. The averages stand in the parameters' place from validation to the end of an epoch, and when the training
/// ends: callbacks that save or compare models see what was validated. (Without validation, those behind this one.)
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let average = callbacks::ExponentialMovingAverage::new(0.999);
/// let fit = Fit { epochs: 10, callbacks: vec![Box::new(average)], ..Fit::default() };
/// ```
#[derive(Debug, Clone)]
pub struct ExponentialMovingAverage {
    momentum: f32,
    averages: Averages,
}

impl ExponentialMovingAverage {
    /// Averages with a momentum from 0 to below 1; 0.99 is Keras's default.
    pub fn new(momentum: f32) -> Self {
        Self { momentum, averages: Averages::default() }
    }
}

impl Callback for ExponentialMovingAverage {
    fn train_begin(&mut self, _training: &mut Training<'_>) -> Result<()> {
        check_option("the momentum of the average", self.momentum, 0.0..1.0, "at least 0 and below 1")?;
        self.averages = Averages::default();
        Ok(())
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.averages.follow(training, |_| 1.0 - self.momentum);
        Ok(())
    }

    average_hooks!("exponential_moving_average");
}

/// Averages the parameters over epochs, each counting alike; statistics (moving means of batch-norms) are averaged alike. The averages stand in the
/// parameters' place as those of [`ExponentialMovingAverage`] do.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// // Of the last five epochs.
/// let average = callbacks::StochasticWeightAveraging::new(16);
/// let fit = Fit { epochs: 20, callbacks: vec![Box::new(average)], ..Fit::default() };
/// ```
#[derive(Debug, Clone)]
pub struct StochasticWeightAveraging {
    from_epoch: usize,
    averages: Averages,
}

impl StochasticWeightAveraging {
    /// Averages what the weights are at the ends of this epoch, counted from 1, and all behind it.
    pub fn new(from_epoch: usize) -> Self {
        Self { from_epoch, averages: Averages::default() }
    }
}

impl Callback for StochasticWeightAveraging {
    fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        if self.from_epoch == 0 || self.from_epoch > training.epochs() {
            let (found, expected) = (self.from_epoch.to_string(), format!("from 1 to {}, the last", training.epochs()));
            return Err(Error::Argument { name: "the epoch that averaging begins with", found, expected });
        }
        self.averages = Averages::default();
        Ok(())
    }

    fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        if training.epoch() >= self.from_epoch && training.step() == training.steps() {
            self.averages.follow(training, |count| 1.0 / (count + 1) as f32);
        }
        Ok(())
    }

    average_hooks!("stochastic_weight_averaging");
}
