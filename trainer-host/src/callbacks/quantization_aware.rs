//! Lets a model compute as its int8 file will while it is trained.

use super::{Callback, Kept};
use crate::checkpoint::CheckpointError;
use crate::data::Tensor;
use crate::device::ExportError;
use crate::error::Result;
use crate::quantize::{Followed, Options, Ranges};
use crate::train::{Model, Training};

/// What epochs batch-norms still follow their batches in: behind this share of them they keep their statistics, as in the file.
const NORMS_LEARN: f64 = 2.0 / 3.0;

/// Rounds weights and the values between layers as the int8 file will ([`Model::follow_quantization`]), with ranges taken anew before each
/// epoch, in training and in validation; gradients pass straight through. In the last third of the epochs batch-norms are frozen:
/// they keep their statistics and learn nothing, also behind the training. Put it behind all callbacks that set weights.
///
/// Behind the training, [`ranges`](Self::ranges) are those that the model's weights were trained with: of the best epoch, where
/// [`EarlyStopping`](super::EarlyStopping) went back to it. Averages of weights were measured with those of the last epoch.
///
/// ```
/// use samara_trainer::prelude::*;
/// use samara_trainer::callbacks::QuantizationAware;
/// use samara_trainer::quantize::Options;
///
/// let x = input([2]);
/// let mut model = Model::new("m", &x, Dense::new(1).apply(&Dense::new(4).activation(Activation::Relu).apply(&x)))?;
/// model.compile(Adam::new(0.01), MeanSquaredError)?;
/// let inputs = Tensor::new([4, 2], vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
/// let data = Dataset::new(inputs, Tensor::new([4, 1], vec![0.0, 1.0, 1.0, 2.0])?)?;
/// let options = Options::default();
/// let mut aware = QuantizationAware::new(&model, data.inputs(), options)?;
/// model.fit(&data, Fit { epochs: 3, verbose: false, callbacks: vec![Box::new(&mut aware)], ..Fit::default() })?;
/// let file = model.export_int8(data.inputs(), Options { ranges: Some(aware.ranges()), ..options })?;
/// # assert!(!file.is_empty());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct QuantizationAware<'a> {
    samples: &'a [Tensor],
    options: Options<'a>,
    /// Now.
    followed: Followed,
    /// Of each finished epoch, with what tells its parameters.
    of_epochs: Vec<(u64, Followed)>,
}

impl<'a> QuantizationAware<'a> {
    /// For trainings of the model that begin from now on, with these samples, one tensor for each input, to take ranges from. The file must
    /// be exported with the same options. [`Model::forget_quantization`] ends it.
    ///
    /// # Errors
    /// As [`Model::export_int8`].
    pub fn new(model: &Model, samples: &'a [Tensor], options: Options<'a>) -> Result<Self, ExportError> {
        model.forget_quantization();
        model.round_kernels(options)?;
        let followed = model.followed(samples, options)?;
        model.round_values(&followed);
        Ok(Self { samples, options, followed, of_epochs: Vec::new() })
    }

    /// The ranges of the model as it is behind the training.
    pub fn ranges(&self) -> &Ranges {
        &self.followed.ranges
    }

    /// How the model is quantized, in a number.
    fn checksum(&self) -> u64 {
        u64::from(samara_runtime::crc32(format!("{:?}", self.options).as_bytes()))
    }
}

/// What tells the parameters of now from others.
fn parameters_of(training: &Training<'_>) -> u64 {
    let bytes: Vec<u8> = training.values().into_iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    u64::from(samara_runtime::crc32(&bytes))
}

impl Callback for QuantizationAware<'_> {
    fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let model = training.model();
        let (before, epochs) = (training.before(), training.epochs());
        let done = (training.epoch() - 1 - before) as f64 / epochs.saturating_sub(before).max(1) as f64;
        if done >= NORMS_LEARN {
            let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
            layers.filter(|layer| layer.kind() == "BatchNormalization").for_each(|layer| layer.set_trainable(false));
        }
        // In the middle of an epoch, a training that goes on has those of the epoch's beginning.
        if training.step() == 0 {
            self.followed = model.followed(self.samples, self.options)?;
            model.round_values(&self.followed);
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.of_epochs.push((parameters_of(training), self.followed.clone()));
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let parameters = parameters_of(training);
        if let Some((_, followed)) = self.of_epochs.iter().rev().find(|(of_epoch, _)| *of_epoch == parameters) {
            self.followed = followed.clone();
            training.model().round_values(&self.followed);
        }
        Ok(())
    }

    fn keeps(&self) -> Option<Kept> {
        let with = |kept: Kept, name: &str, followed: &Followed| {
            let [roundings, ranges] = followed.to_numbers();
            kept.with_f32(&format!("{name}/roundings"), roundings).with_f32(&format!("{name}/ranges"), ranges)
        };
        let mut kept = Kept::new("quantization_aware").with_u64("options", [self.checksum()]);
        kept = with(kept, "now", &self.followed);
        for (number, (parameters, followed)) in self.of_epochs.iter().enumerate() {
            let name = format!("epoch_{number}");
            kept = with(kept.with_u64(&format!("{name}/parameters"), [*parameters]), &name, followed);
        }
        Some(kept)
    }

    fn restore(&mut self, kept: &Kept, training: &mut Training<'_>) -> Result<()> {
        let [options] = kept.u64("options")?;
        if options != self.checksum() {
            let (what, found) = ("quantization (--int4, --int16 and their like)".to_owned(), "another".to_owned());
            return Err(CheckpointError::Training { what, found, expected: format!("{:?}", self.options) }.into());
        }
        let sizes = self.followed.to_numbers().map(|numbers| numbers.len());
        let read = |name: &str| -> Result<Option<Followed>> {
            let [roundings, ranges] = ["roundings", "ranges"].map(|part| format!("{name}/{part}"));
            let (Some(first), Some(second)) = (kept.f32(&roundings)?, kept.f32(&ranges)?) else { return Ok(None) };
            if [first.len(), second.len()] != sizes {
                return Err(kept.wrong(&roundings));
            }
            Ok(Some(Followed::from_numbers(first, second)))
        };
        self.followed = read("now")?.ok_or_else(|| kept.wrong("now/roundings"))?;
        training.model().round_values(&self.followed);
        self.of_epochs.clear();
        while let Some(followed) = read(&format!("epoch_{}", self.of_epochs.len()))? {
            let [parameters] = kept.u64(&format!("epoch_{}/parameters", self.of_epochs.len()))?;
            self.of_epochs.push((parameters, followed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::callbacks::{EarlyStopping, each_epoch};
    use crate::prelude::*;
    use crate::quantize::{Equalization, Selection};

    const OPTIONS: Options<'static> = Options {
        equalization: Equalization::Off,
        int4: Selection::All,
        calibration: crate::quantize::Calibration::MinMax,
        float_ports: false,
        bias_correction: false,
        keep_f32: &[],
        int16: Selection::None,
        ranges: None,
    };

    fn data() -> Dataset {
        let inputs = (0..40 * 36).map(|i| ((i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()) * 0.7).collect();
        let labels: Vec<u8> = (0..40).map(|sample| sample % 3).collect();
        Dataset::new(Tensor::from_samples([6, 6, 1], inputs).unwrap(), Tensor::from_labels(&labels)).unwrap()
    }

    fn net() -> Model {
        let x = input([6, 6, 1]);
        let y = BatchNormalization::new().apply(Conv2D::new(4, 3).without_bias().apply(&x));
        let y = Flatten::new().apply(ActivationLayer::new(Activation::Relu).apply(&y));
        let y = Dropout::new(0.2).apply(Dense::new(8).activation(Activation::Relu).apply(&y));
        let mut model = Model::new("net", &x, Dense::new(3).activation(Activation::Softmax).apply(&y)).unwrap();
        model.initialize(5);
        model.compile(Adam::new(0.02), SparseCategoricalCrossentropy).unwrap();
        model
    }

    /// Ends the training with its state behind so many steps.
    struct EndAt<'a>(usize, &'a mut Option<TrainingState>);

    impl Callback for EndAt<'_> {
        fn wants_state(&self, training: &Training<'_>) -> bool {
            let steps = (training.epoch() - 1) * training.steps() + training.step();
            // Behind the last step of an epoch once it is measured.
            steps == self.0 && (training.step() < training.steps() || training.is_between_epochs())
        }

        fn take_state(&mut self, state: &TrainingState) -> Result<()> {
            *self.1 = Some(TrainingState::from_bytes(&state.to_bytes())?);
            Err(std::io::Error::from(ErrorKind::Interrupted).into())
        }
    }

    /// Parameters and file behind six epochs of four steps that follow two others.
    fn trained(end: Option<EndAt<'_>>, resume: Option<TrainingState>) -> Result<(Vec<u8>, Vec<u8>)> {
        let (mut model, data) = (net(), data());
        let mut aware = QuantizationAware::new(&model, data.inputs(), OPTIONS)?;
        let mut callbacks: Vec<Box<dyn Callback>> = vec![Box::new(&mut aware)];
        callbacks.extend(end.map(|end| Box::new(end) as Box<dyn Callback>));
        let epoch = |epoch| EpochLog { epoch, learning_rate: 0.1, seconds: 0.0, measurements: Default::default() };
        let follows = History { epochs: vec![epoch(1), epoch(2)] };
        let schedule = Some(Box::new(crate::schedules::Cosine::new()) as Box<dyn crate::schedules::Schedule>);
        let fit = Fit { epochs: 8, batch: 10, verbose: false, callbacks, schedule, follows, resume, ..Fit::default() };
        let history = model.fit(&data, fit)?;
        assert_eq!(history.epochs.iter().map(|log| log.epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
        // Along half a cosine of 24 steps.
        let last = 0.02 * (0.5 + 0.5 * (std::f32::consts::PI * 23.0 / 24.0).cos());
        assert!((history.epochs[7].learning_rate - last).abs() < 1e-6, "{}", history.epochs[7].learning_rate);
        model.forget_quantization();
        let file = model.export_int8(data.inputs(), Options { ranges: Some(aware.ranges()), ..OPTIONS })?;
        Ok((crate::checkpoint::Weights::of(&model).to_bytes(), file))
    }

    #[test]
    fn what_is_interrupted_anywhere_ends_with_the_same_bits() {
        let whole = trained(None, None).unwrap();
        // Within an epoch, behind one, and where the batch-norm has stopped.
        for steps in [9, 14, 16, 24, 26, 31, 32] {
            let mut state = None;
            assert!(trained(Some(EndAt(steps, &mut state)), None).is_err());
            let resumed = trained(None, state).unwrap();
            assert!(resumed == whole, "{steps}");
        }
    }

    #[test]
    fn other_options_are_told() {
        let mut state = None;
        assert!(trained(Some(EndAt(13, &mut state)), None).is_err());
        let (mut model, data) = (net(), data());
        let mut aware = QuantizationAware::new(&model, data.inputs(), Options::default()).unwrap();
        let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(&mut aware)];
        let schedule = Some(Box::new(crate::schedules::Cosine::new()) as Box<dyn crate::schedules::Schedule>);
        let fit = Fit { epochs: 8, batch: 10, verbose: false, callbacks, schedule, resume: state, ..Fit::default() };
        let told = model.fit(&data, fit).unwrap_err().to_string();
        assert!(told.contains("its quantization (--int4, --int16 and their like) was another, but is Options {"), "{told}");
    }

    #[test]
    fn the_file_has_the_ranges_of_the_epoch_whose_weights_it_has() {
        let (mut model, data) = (net(), data());
        let mut aware = QuantizationAware::new(&model, data.inputs(), OPTIONS).unwrap();
        let mut ranges = Vec::new();
        let mut losses = Vec::new();
        let measured = each_epoch(|training| {
            losses.push(training.log().and_then(|log| log.measurements.get("val_loss")).unwrap_or(0.0));
            ranges.push(training.model().graph().nodes.iter().map(|node| node.rounding.quantization()).collect::<Vec<_>>());
            Ok(())
        });
        // The first epoch is the best.
        let stopping = EarlyStopping::new(2).mode(crate::callbacks::Mode::Max).restore_best_weights();
        let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(stopping), Box::new(measured), Box::new(&mut aware)];
        let fit = Fit { epochs: 6, batch: 10, validation: Some(&data), verbose: false, callbacks, ..Fit::default() };
        model.fit(&data, fit).unwrap();
        let best = (0..losses.len()).max_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
        assert_eq!((best, losses.len()), (0, 3), "{losses:?}");
        assert!(ranges[0] != ranges[2], "they moved");
        let now: Vec<_> = model.graph().nodes.iter().map(|node| node.rounding.quantization()).collect();
        assert!(now == ranges[best]);
        // What was measured is what the model measures, and what its file gives.
        assert!((model.evaluate(&data).unwrap().get("loss").unwrap() - losses[best]).abs() < 1e-6);
    }
}
