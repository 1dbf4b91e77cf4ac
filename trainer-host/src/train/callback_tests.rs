//! What callbacks can do with a training in their hands.

use super::tests::{quiet, small_net, three_classes};
use super::{Fit, Model, Training};
use crate::callbacks::{Callback, each_batch, each_epoch};
use crate::checkpoint::Weights;
use crate::constraints::MaxNorm;
use crate::data::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::input;
use crate::layers::*;
use crate::losses::MeanSquaredError;
use crate::optimizers::Sgd;
use crate::schedules::Schedule;

fn failure() -> Error {
    Error::EmptyData { what: "the disk".to_owned() }
}

/// One weight, whose gradient for an input of 1 and a target of 0 is twice its value: 8, with a rate of 0.25 halved in each
/// step.
fn halving() -> (Model, Dataset) {
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.25), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    let column = |value: f32| Tensor::new([4, 1], vec![value; 4]).unwrap();
    (model, Dataset::new(column(1.0), column(0.0)).unwrap())
}

/// Steps of one sample, four in an epoch.
fn one_by_one(epochs: usize) -> Fit<'static> {
    Fit { epochs, batch: 1, verbose: false, ..Fit::default() }
}

#[test]
fn all_hooks_are_called_in_order_by_reference() {
    #[derive(Default)]
    struct Recorder(Vec<String>);
    impl Recorder {
        fn note(&mut self, what: &str, training: &Training<'_>) -> Result<()> {
            let loss = training.log().map_or(0.0, |log| log.measurements.get("loss").unwrap());
            self.0.push(format!("{what} {} {} {loss} {}", training.epoch(), training.step(), training.loss()));
            Ok(())
        }
    }
    impl Callback for Recorder {
        fn train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.note("train_begin", training)
        }
        fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.note("epoch_begin", training)
        }
        fn batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.note("batch_end", training)
        }
        fn epoch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.note("epoch_end", training)
        }
        fn train_end(&mut self, training: &mut Training<'_>) -> Result<()> {
            self.note("train_end", training)
        }
    }
    let (mut model, data) = halving();
    let mut recorder = Recorder::default();
    let fit = Fit { batch: 2, callbacks: vec![Box::new(&mut recorder)], ..one_by_one(2) };
    model.fit(&data, fit).unwrap();
    // Losses 8^2, 4^2, 2^2, 1^2.
    let expected = [
        "train_begin 0 0 0 0",
        "epoch_begin 1 0 0 0",
        "batch_end 1 1 0 64",
        "batch_end 1 2 0 40",
        "epoch_end 1 2 40 40",
        "epoch_begin 2 0 40 0",
        "batch_end 2 1 40 4",
        "batch_end 2 2 40 2.5",
        "epoch_end 2 2 2.5 2.5",
        "train_end 2 2 2.5 2.5",
    ];
    assert_eq!(recorder.0, expected);
}

#[test]
fn rates_weights_and_freezing_change_amid_an_epoch() {
    let (mut model, data) = halving();
    let mut seen = Vec::new();
    let act = each_batch(|training: &mut Training<'_>| {
        seen.push((training.parameter("dense/kernel")?[0], training.learning_rate()));
        match (training.epoch(), training.step()) {
            (1, 1) => training.set_base_learning_rate(0.125)?,
            (1, 2) => {
                let mut weights = training.weights();
                weights.parameters[0].values[0] = 16.0;
                training.set_weights(&weights)?;
                training.set_base_learning_rate(0.25)?;
            }
            (1, 3) => training.model().set_trainable("dense", false)?,
            (2, 1) => training.model().set_trainable("dense", true)?,
            _ => {}
        }
        assert!(training.set_base_learning_rate(f32::NAN).is_err());
        Ok(())
    });
    model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..one_by_one(2) }).unwrap();
    let expected = [(4.0, 0.25), (3.0, 0.125), (8.0, 0.25), (8.0, 0.25), (8.0, 0.25), (4.0, 0.25), (2.0, 0.25), (1.0, 0.25)];
    assert_eq!(seen, expected);
    assert_eq!(model.parameter("dense/kernel").unwrap(), [1.0]);
}

#[test]
fn a_callback_stops_within_an_epoch_and_goes_back_to_the_best() {
    let (mut model, data) = halving();
    let mut best: Option<(f64, Weights)> = None;
    let act = each_batch(|training: &mut Training<'_>| {
        if training.step() == 2 {
            best = Some((training.loss(), training.weights()));
        }
        if let (3, Some((_, weights))) = (training.step(), &best) {
            training.set_weights(weights)?;
            training.stop();
        }
        Ok(())
    });
    let history = model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..one_by_one(5) }).unwrap();
    assert_eq!(model.parameter("dense/kernel").unwrap(), [2.0]);
    // The epoch is logged by what it did: (64 + 16 + 4) / 3.
    assert_eq!(history.get("loss"), [28.0]);
    assert_eq!(best.map(|(loss, _)| loss), Some(40.0));
    // Restoring at the end of an epoch, or of the training, reaches the layers as well.
    let (mut model, data) = halving();
    let start = Weights::of(&model);
    let act = each_epoch(|training: &mut Training<'_>| training.set_weights(&start));
    model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..one_by_one(1) }).unwrap();
    assert_eq!(model.parameter("dense/kernel").unwrap(), [8.0]);
    // Stopped before the first step, nothing is logged.
    struct Never;
    impl Callback for Never {
        fn epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
            training.stop();
            Ok(())
        }
    }
    assert!(model.fit(&data, Fit { callbacks: vec![Box::new(Never)], ..one_by_one(3) }).unwrap().epochs.is_empty());
}

#[test]
fn activations_are_those_of_now() {
    let data = three_classes(200);
    let samples = data.inputs()[0].clone();
    let mut model = small_net();
    let mut seen = Vec::new();
    let act = each_batch(|training: &mut Training<'_>| {
        seen.push(training.activations("batch_normalization", std::slice::from_ref(&samples))?);
        let unknown = training.activations("dense_9", std::slice::from_ref(&samples)).unwrap_err();
        assert!(unknown.to_string().contains("no layer named 'dense_9'"), "{unknown}");
        Ok(())
    });
    model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..quiet(2) }).unwrap();
    let part = Model::new("part", model.tensor("input").unwrap(), model.tensor("batch_normalization").unwrap()).unwrap();
    assert_eq!(seen.len(), 4);
    assert_ne!(seen[2], seen[3]);
    assert_eq!(seen[3], part.predict(&samples).unwrap());
}

#[test]
fn activations_of_a_layer_that_needs_one_input_of_two() {
    let (a, b) = (input([1]), input([1]));
    let doubled = Dense::new(1).without_bias().named("doubled").apply(&b);
    let mut model = Model::new("two", [&a, &b], Add::new().apply([&a, &doubled])).unwrap();
    model.compile(Sgd::new(0.0), MeanSquaredError).unwrap();
    model.set_parameter("doubled/kernel", &[2.0]).unwrap();
    let column = |value: f32| Tensor::new([1, 1], vec![value]).unwrap();
    let inputs = vec![column(5.0), column(3.0)];
    let data = Dataset::with_many(inputs.clone(), vec![column(0.0)]).unwrap();
    let mut seen = Vec::new();
    let act = each_epoch(|training: &mut Training<'_>| {
        seen = training.activations("doubled", &inputs)?.values().to_vec();
        assert!(training.activations("doubled", &inputs[..1]).is_err());
        Ok(())
    });
    model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..one_by_one(1) }).unwrap();
    assert_eq!(seen, [6.0]);
}

#[test]
fn a_callback_that_fails_ends_the_training_and_loses_nothing() {
    let (mut model, data) = halving();
    model.compile(Sgd::new(0.25).momentum(0.5), MeanSquaredError).unwrap();
    let act = each_batch(|training: &mut Training<'_>| if training.step() == 2 { Err(failure()) } else { Ok(()) });
    let error = model.fit(&data, Fit { callbacks: vec![Box::new(act)], ..one_by_one(3) }).unwrap_err();
    assert_eq!(error.to_string(), failure().to_string());
    // 8 - 4 = 4; v = -0.5 * 4 - 2 = -4: 0. The velocity is kept: the next step is 0 - 2.
    assert_eq!(model.parameter("dense/kernel").unwrap(), [0.0]);
    let stop = each_batch(|training: &mut Training<'_>| {
        training.stop();
        Ok(())
    });
    model.fit(&data, Fit { callbacks: vec![Box::new(stop)], ..one_by_one(1) }).unwrap();
    assert_eq!(model.parameter("dense/kernel").unwrap(), [-2.0]);
}

#[test]
fn a_schedule_sets_rate_and_momentum_of_each_step() {
    /// The rate halved from the second step on, the momentum 0.5 in the first, then 0.
    #[derive(Debug)]
    struct Steps;
    impl Schedule for Steps {
        fn factor(&self, step: usize, _steps: usize) -> f32 {
            if step == 0 { 1.0 } else { 0.5 }
        }
        fn momentum(&self, step: usize, _steps: usize) -> Option<f32> {
            Some(if step == 1 { 0.5 } else { 0.0 })
        }
    }
    let (mut model, data) = halving();
    let fit = || Fit { batch: 2, schedule: Some(Box::new(Steps)), ..one_by_one(1) };
    let message = model.fit(&data, fit()).unwrap_err().to_string();
    assert!(message.starts_with("the momentum of the schedule is for the optimizer sgd, but must be"), "{message}");
    model.compile(Sgd::new(0.25).momentum(0.9), MeanSquaredError).unwrap();
    model.fit(&data, fit()).unwrap();
    // v = -0.25 * 16 = -4, 8 - 4 = 4; v = 0.5 * -4 - 0.125 * 8 = -3, 4 - 3 = 1.
    assert_eq!(model.parameter("dense/kernel").unwrap(), [1.0]);
}

#[test]
fn constraints_hold_after_every_step_and_for_weights_that_learn() {
    let (mut model, data) = halving();
    model.set_constraint("dense/kernel", MaxNorm::new(1.5)).unwrap();
    let mut seen = Vec::new();
    let record = each_batch(|training: &mut Training<'_>| {
        seen.push(training.parameter("dense/kernel")?[0]);
        Ok(())
    });
    model.fit(&data, Fit { callbacks: vec![Box::new(record)], batch: 2, ..one_by_one(1) }).unwrap();
    // 8 - 4 = 4 is kept within 1.5, which is halved.
    assert_eq!(seen, [1.5, 0.75]);
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    model.set_trainable("dense", false).unwrap();
    model.fit(&data, one_by_one(1)).unwrap();
    assert_eq!(model.parameter("dense/kernel").unwrap(), [8.0]);
    assert!(model.set_constraint("dense/bias", MaxNorm::new(1.0)).is_err());
}
