//! Callbacks on a training whose validation losses are known, alone and together, and resumed after every step.

use std::fs;
use std::path::Path;

use super::*;
use crate::checkpoint::Weights;
use crate::data::{Dataset, Tensor};
use crate::graph::input;
use crate::layers::{Apply, BatchNormalization, Dense};
use crate::losses::MeanSquaredError;
use crate::optimizers::{Adam, Sgd};
use crate::schedules::Cosine;
use crate::train::{Fit, History, Model};

/// The weight of the validation of each epoch; the validation loss is its square.
const SCRIPT: [f32; 12] = [4.0, 2.0, 3.0, 3.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0];

fn column(value: f32, rows: usize) -> Tensor {
    Tensor::new([rows, 1], vec![value; rows]).unwrap()
}

/// One weight, whose prediction for 1 is to be 0.
fn line() -> (Model, Dataset) {
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).without_bias().apply(&x)).unwrap();
    model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
    (model, Dataset::new(column(1.0, 1), column(0.0, 1)).unwrap())
}

/// Sets the weight before each validation.
fn script() -> Lambda<'static> {
    Lambda::new().test_begin(|training| {
        let mut weights = training.weights();
        weights.parameters[0].values[0] = SCRIPT[training.epoch() - 1];
        training.set_weights(&weights)
    })
}

/// The weight at the end, and the history.
fn run<'a>(callbacks: Vec<Box<dyn Callback + 'a>>, resume: Option<TrainingState>) -> Result<(f32, History)> {
    let (mut model, data) = line();
    let mut all: Vec<Box<dyn Callback + 'a>> = vec![Box::new(script())];
    all.extend(callbacks);
    let fit = Fit { validation: Some(&data), callbacks: all, resume, verbose: false, ..Fit::default() };
    let history = model.fit(&data, Fit { epochs: SCRIPT.len(), ..fit })?;
    Ok((model.parameter("dense/kernel")?[0], history))
}

/// What Keras 3.15 does with the same losses: the number of epochs, and the weight at the end.
#[test]
fn early_stopping_as_in_keras() {
    let stop = EarlyStopping::new;
    let cases = [
        (stop(0), 3, 3.0, Some(3)),
        (stop(2), 4, 3.0, Some(4)),
        (stop(3), 8, 2.0, Some(8)),
        (stop(3).restore_best_weights(), 8, 1.0, Some(8)),
        (stop(3).min_delta(3.5).restore_best_weights(), 5, 2.0, Some(5)),
        (stop(3).baseline(2.0).restore_best_weights(), 3, 2.0, Some(3)),
        (stop(2).mode(Mode::Max), 3, 3.0, Some(3)),
        // Keras counts from 0: its start_from_epoch is 5.
        (stop(2).start_from_epoch(6).restore_best_weights(), 8, 2.0, Some(8)),
        (stop(20).restore_best_weights(), 12, 1.0, None),
    ];
    for (mut stop, epochs, weight, stopped) in cases {
        let told = format!("{stop:?}");
        let (found, history) = run(vec![Box::new(&mut stop)], None).unwrap();
        assert_eq!((found, history.epochs.len(), stop.stopped_epoch()), (weight, epochs, stopped), "{told}");
    }
    let message = run(vec![Box::new(stop(1).monitor("val_lss"))], None).unwrap_err().to_string();
    assert!(message.contains("the mode is Mode::Auto, but must be Mode::Min or Mode::Max"), "{message}");
    let message = run(vec![Box::new(stop(1).monitor("valid_loss"))], None).unwrap_err().to_string();
    assert_eq!(message, "model 'line' has no measurement named 'valid_loss'; it has loss, val_loss");
}

/// The rates of Keras 3.15 after each epoch with the same losses.
#[test]
fn rates_on_a_plateau_as_in_keras() {
    let half = |patience: usize| ReduceLROnPlateau::new(0.5, patience);
    let cases: [(ReduceLROnPlateau, [f32; 12]); 6] = [
        (half(1), [0.1, 0.1, 0.05, 0.025, 0.025, 0.0125, 0.00625, 0.003125, 0.0015625, 0.0007813, 0.0003906, 0.0001953]),
        (half(2), [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625]),
        (half(1).cooldown(2), [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625, 0.003125]),
        (half(1).min_rate(0.03), [0.1, 0.1, 0.05, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03, 0.03]),
        (half(2).min_delta(3.5), [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625, 0.003125]),
        (half(2).mode(Mode::Max), [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625, 0.00625, 0.003125, 0.003125]),
    ];
    for (plateau, expected) in cases {
        let told = format!("{plateau:?}");
        let mut rates = Vec::new();
        let record = each_epoch(|training: &mut Training<'_>| {
            rates.push(training.base_learning_rate());
            Ok(())
        });
        run(vec![Box::new(plateau), Box::new(record)], None).unwrap();
        let near = rates.iter().zip(&expected).all(|(found, wanted)| (found - wanted).abs() < 1e-7);
        assert!(near && rates.len() == 12, "{told}: {rates:?}");
    }
    let message = run(vec![Box::new(ReduceLROnPlateau::new(1.0, 1))], None).unwrap_err().to_string();
    assert_eq!(message, "the factor of the plateau is 1, but must be at least 0 and below 1");
}

#[test]
fn a_function_sets_the_rates_of_epochs() {
    let scheduler = LearningRateScheduler::new(|epoch, rate| if epoch <= 2 { rate } else { 0.5 * rate });
    let (_, history) = run(vec![Box::new(scheduler)], None).unwrap();
    let rates: Vec<f32> = history.epochs.iter().map(|log| log.learning_rate).take(5).collect();
    assert_eq!(rates, [0.1, 0.1, 0.05, 0.025, 0.0125]);
    let message = run(vec![Box::new(LearningRateScheduler::new(|_, _| -1.0))], None).unwrap_err().to_string();
    assert_eq!(message, "the learning rate is -1, but must be 0 or a positive number");
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn checkpoints_have_the_weights_and_names_of_their_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let best = ModelCheckpoint::new(path("best/{epoch:02}-{val_loss:.1}.model")).best_only();
    let large = ModelCheckpoint::new(path("large/{epoch}.model")).best_only().mode(Mode::Max).initial_threshold(15.0);
    let some = ModelCheckpoint::new(path("some/{epoch:02d}.weights")).weights_only().every_epochs(5);
    let steps = ModelCheckpoint::new(path("steps/{epoch}-{step}-{loss:.0f}.weights")).weights_only().every_steps(6);
    run(vec![Box::new(best), Box::new(large), Box::new(some), Box::new(steps)], None).unwrap();
    assert_eq!(names(&path("best")), ["01-16.0.model", "02-4.0.model", "05-1.0.model"]);
    assert_eq!(names(&path("large")), ["1.model"]);
    assert_eq!(names(&path("some")), ["05.weights", "10.weights"]);
    // The losses of the weights that training begins these epochs with: 1 and 2, of epochs 5 and 11.
    assert_eq!(names(&path("steps")), ["12-1-4.weights", "6-1-1.weights"]);
    assert_eq!(Model::load(path("best/05-1.0.model")).unwrap().parameter("dense/kernel").unwrap(), [1.0]);
    assert_eq!(Weights::load(path("some/10.weights")).unwrap().parameters[0].values, [2.0]);
    let unknown = ModelCheckpoint::new(path("x-{val_lss}"));
    let message = run(vec![Box::new(unknown)], None).unwrap_err().to_string();
    assert_eq!(message, "model 'line' has no measurement named 'val_lss'; it has loss, val_loss");
}

#[test]
fn logs_are_as_long_as_the_training() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("log.csv"), "old\n").unwrap();
    fs::write(path("more.csv"), "epoch;learning_rate;loss;val_loss\n9;0.5;1;1\n").unwrap();
    let run = || {
        run(
            vec![
                Box::new(EarlyStopping::new(0)),
                Box::new(CsvLogger::new(path("log.csv"))),
                Box::new(CsvLogger::new(path("more.csv")).append().separator(';')),
                Box::new(JsonLines::new(path("log.jsonl"))),
                Box::new(JsonLines::new(path("more.jsonl")).append()),
            ],
            None,
        )
        .unwrap()
    };
    let (_, history) = run();
    let losses = history.get("loss");
    let rows = |separator: &str| -> String {
        let row = |(epoch, loss, val_loss): (usize, f64, u8)| {
            [epoch.to_string(), "0.1".to_owned(), loss.to_string(), val_loss.to_string()]
        };
        let epochs = [(1, losses[0], 16), (2, losses[1], 4), (3, losses[2], 9)];
        epochs.map(row).iter().map(|row| row.join(separator) + "\n").collect()
    };
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert_eq!(read("log.csv"), format!("epoch,learning_rate,loss,val_loss\n{}", rows(",")));
    let more = format!("epoch;learning_rate;loss;val_loss\n9;0.5;1;1\n{}", rows(";"));
    assert_eq!(read("more.csv"), more);
    let lines: Vec<serde_json::Value> = read("log.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = serde_json::json!({"epoch": 2, "learning_rate": 0.1, "loss": losses[1], "val_loss": 4.0});
    assert_eq!((lines.len(), &lines[1]), (3, &expected));
    assert_eq!(read("more.jsonl"), read("log.jsonl"));
    run();
    assert_eq!(read("log.csv"), format!("epoch,learning_rate,loss,val_loss\n{}", rows(",")));
    assert_eq!(read("more.csv"), more + &rows(";"));
    assert_eq!(read("more.jsonl"), read("log.jsonl").repeat(2));
}

/// A weight of 8 is halved in each step; the losses are 64, 16, 4, 1.
fn halving() -> (Model, Dataset) {
    let (mut model, _) = line();
    model.compile(Sgd::new(0.25), MeanSquaredError).unwrap();
    model.set_parameter("dense/kernel", &[8.0]).unwrap();
    (model, Dataset::new(column(1.0, 4), column(0.0, 4)).unwrap())
}

/// The averages of Keras 3.15's SGD with `use_ema=True, ema_momentum=0.75`: 4, 3.5, 2.875, 2.28125.
#[test]
fn exponential_averages_as_in_keras() {
    let (mut model, data) = halving();
    let mut seen = Vec::new();
    let record = Lambda::new().epoch_begin(|training| {
        seen.push(training.parameter("dense/kernel")?[0]);
        Ok(())
    });
    let callbacks: Vec<Box<dyn Callback + '_>> = vec![Box::new(ExponentialMovingAverage::new(0.75)), Box::new(record)];
    let fit = Fit { epochs: 2, batch: 2, validation: Some(&data), callbacks, verbose: false, ..Fit::default() };
    let history = model.fit(&data, fit).unwrap();
    // Averages after two steps of each epoch: 3.5 and 2.28125. What is trained on goes on from 2.
    assert_eq!(history.get("val_loss"), [12.25, 2.28125 * 2.28125]);
    assert_eq!(model.parameter("dense/kernel").unwrap(), [2.28125]);
    assert_eq!(seen, [8.0, 2.0]);
}

#[test]
fn means_of_the_last_epochs() {
    let (mut model, data) = halving();
    let directory = tempfile::tempdir().unwrap();
    // Without validation, what is behind the callback sees the averages.
    let save = ModelCheckpoint::new(directory.path().join("{epoch}.weights")).weights_only();
    let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(StochasticWeightAveraging::new(2)), Box::new(save)];
    let fit = Fit { epochs: 3, batch: 4, callbacks, verbose: false, ..Fit::default() };
    model.fit(&data, fit).unwrap();
    let saved =
        |epoch: usize| Weights::load(directory.path().join(format!("{epoch}.weights"))).unwrap().parameters[0].values[0];
    // 4, then the means of 2, and of 2 and 1.
    assert_eq!([saved(1), saved(2), saved(3)], [4.0, 2.0, 1.5]);
    assert_eq!(model.parameter("dense/kernel").unwrap(), [1.5]);
    let fit = |from| Fit { callbacks: vec![Box::new(StochasticWeightAveraging::new(from))], verbose: false, ..Fit::default() };
    let message = model.fit(&data, fit(2)).unwrap_err().to_string();
    assert_eq!(message, "the epoch that averaging begins with is 2, but must be from 1 to 1, the last");
}

#[test]
fn a_training_that_diverges_is_no_error_if_it_is_terminated() {
    let (mut model, data) = halving();
    // A weight of 8 becomes 8 - 2e30 * 8, and then overflows.
    let rate = LearningRateScheduler::new(|epoch, rate| if epoch == 1 { rate } else { 1e30 });
    let average = ExponentialMovingAverage::new(0.0);
    let callbacks: Vec<Box<dyn Callback>> = vec![Box::new(rate), Box::new(TerminateOnNan), Box::new(average)];
    let fit = Fit { epochs: 9, batch: 1, callbacks, verbose: false, ..Fit::default() };
    let history = model.fit(&data, fit).unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert!(!history.last("loss").unwrap().is_finite());
    assert_eq!(model.parameter("dense/kernel").unwrap(), [0.5]);
}

/// A net with statistics, and targets that it can learn.
fn net() -> (Model, Dataset) {
    let x = input([2]);
    let y = Dense::new(1).apply(BatchNormalization::new().apply(Dense::new(6).apply(&x)));
    let mut model = Model::new("net", &x, y).unwrap();
    model.compile(Adam::new(0.05), MeanSquaredError).unwrap();
    let values: Vec<f32> = (0..80u16).map(|number| f32::from(number * 37 % 101) / 101.0).collect();
    let targets = values.chunks(2).map(|pair| pair[0] * pair[1]).collect();
    (model, Dataset::new(Tensor::new([40, 2], values).unwrap(), Tensor::new([40, 1], targets).unwrap()).unwrap())
}

/// All that callbacks of the library keep, in one training.
fn all_that_keep(directory: &Path) -> Vec<Box<dyn Callback>> {
    vec![
        Box::new(ExponentialMovingAverage::new(0.9)),
        Box::new(StochasticWeightAveraging::new(5)),
        Box::new(ReduceLROnPlateau::new(0.5, 1).cooldown(1).min_delta(1e-3)),
        Box::new(LearningRateScheduler::new(|_, rate| 0.97 * rate)),
        Box::new(EarlyStopping::new(2).min_delta(2e-3).restore_best_weights()),
        Box::new(EarlyStopping::new(30).monitor("loss")),
        Box::new(ModelCheckpoint::new(directory.join("best.weights")).best_only().weights_only()),
        Box::new(CsvLogger::new(directory.join("log.csv"))),
        Box::new(CsvLogger::new(directory.join("more.csv")).append()),
        Box::new(JsonLines::new(directory.join("log.jsonl"))),
    ]
}

/// Trains, if need be up to a step, of which all states are given; gives the bits of the model and the files.
fn train(
    directory: &Path,
    resume: Option<&TrainingState>,
    states: Option<&mut Vec<TrainingState>>,
) -> (Vec<u32>, Vec<Vec<u8>>) {
    struct Keep<'a>(&'a mut Vec<TrainingState>);
    impl Callback for Keep<'_> {
        fn wants_state(&self, _training: &Training<'_>) -> bool {
            true
        }
        fn take_state(&mut self, state: &TrainingState) -> Result<()> {
            self.0.push(TrainingState::from_bytes(&state.to_bytes())?);
            Ok(())
        }
    }
    let (mut model, data) = net();
    if resume.is_some() {
        model.initialize(5);
    }
    let mut callbacks = all_that_keep(directory);
    if let Some(states) = states {
        // First, where what others keep is not yet of the same step.
        callbacks.insert(0, Box::new(Keep(states)));
    }
    let schedule = Some(Box::new(Cosine::new()) as Box<dyn crate::schedules::Schedule>);
    let fit = Fit { epochs: 30, batch: 16, validation: Some(&data), callbacks, schedule, verbose: false, ..Fit::default() };
    model.fit(&data, Fit { resume: resume.cloned(), ..fit }).unwrap();
    let bits = model.parameters().iter().flat_map(|entry| entry.values()).map(f32::to_bits).collect();
    (bits, names(directory).iter().map(|name| fs::read(directory.join(name)).unwrap()).collect())
}

#[test]
fn callbacks_go_on_with_the_same_bits_from_any_step_and_epoch() {
    let whole = tempfile::tempdir().unwrap();
    fs::write(whole.path().join("more.csv"), "epoch,learning_rate,loss,val_loss\n").unwrap();
    let mut states = Vec::new();
    let expected = train(whole.path(), None, Some(&mut states));
    let last = states.last().unwrap();
    assert!((6..25).contains(&last.epoch()), "stopped after epoch {}: neither too early nor too late to see all", last.epoch());
    for state in &states {
        // A killed training leaves logs and checkpoints that may be ahead of its state.
        let resumed = tempfile::tempdir().unwrap();
        for name in names(whole.path()) {
            fs::copy(whole.path().join(&name), resumed.path().join(name)).unwrap();
        }
        assert!(train(resumed.path(), Some(state), None) == expected, "from epoch {}, step {}", state.epoch(), state.step());
    }
}

#[test]
fn a_backup_is_gone_on_from_and_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("training.state");
    let fit = |callbacks| {
        let (mut model, data) = net();
        let fit = Fit { epochs: 6, batch: 16, callbacks, verbose: false, ..Fit::default() };
        let history = model.fit(&data, fit).map(|history| history.epochs.len());
        (history, Weights::of(&model))
    };
    let average = || -> Box<dyn Callback> { Box::new(ExponentialMovingAverage::new(0.9)) };
    let (_, expected) = fit(vec![average()]);
    for (epoch, step) in [(1, 1), (2, 3), (4, 2)] {
        let fail = each_batch(move |training: &mut Training<'_>| {
            let is_there = (training.epoch(), training.step()) == (epoch, step);
            if is_there { Err(crate::Error::EmptyData { what: "the disk".to_owned() }) } else { Ok(()) }
        });
        let backup = || Box::new(BackupAndRestore::new(&path).every_steps(2));
        let (history, _) = fit(vec![backup(), average(), Box::new(fail)]);
        assert!(history.is_err());
        assert_eq!(path.exists(), epoch > 1, "the first state is saved after two steps");
        let (history, weights) = fit(vec![backup(), average()]);
        assert_eq!(history.unwrap(), 6);
        assert!(weights == expected, "from epoch {epoch}, step {step}");
        assert!(!path.exists());
    }
}

#[test]
fn all_hooks_have_closures() {
    let (mut model, data) = halving();
    let seen = std::sync::Mutex::new(Vec::new());
    let note = |what: &'static str| {
        let seen = &seen;
        move |training: &mut Training<'_>| {
            let place = format!("{what} {}.{}", training.epoch(), training.step());
            seen.lock().unwrap().push(place);
            Ok(())
        }
    };
    let lambda = Lambda::new()
        .train_begin(note("train_begin"))
        .epoch_begin(note("epoch_begin"))
        .batch_begin(note("batch_begin"))
        .batch_end(note("batch_end"))
        .test_begin(note("test_begin"))
        .test_end(note("test_end"))
        .epoch_end(note("epoch_end"))
        .train_end(note("train_end"));
    let fit = Fit { batch: 2, validation: Some(&data), callbacks: vec![Box::new(lambda)], verbose: false, ..Fit::default() };
    model.fit(&data, fit).unwrap();
    let expected = [
        "train_begin 0.0",
        "epoch_begin 1.0",
        "batch_begin 1.0",
        "batch_end 1.1",
        "batch_begin 1.1",
        "batch_end 1.2",
        "test_begin 1.2",
        "test_end 1.2",
        "epoch_end 1.2",
        "train_end 1.2",
    ];
    assert_eq!(seen.into_inner().unwrap(), expected);
}

#[test]
fn what_is_kept_is_checked() {
    let mut states = Vec::new();
    let directory = tempfile::tempdir().unwrap();
    train(directory.path(), None, Some(&mut states));
    let records = states[7].to_bytes();
    let state = TrainingState::from_bytes(&records).unwrap();
    assert_eq!(state, states[7]);
    // A callback that was not there begins anew.
    let (mut model, data) = net();
    model.compile(Adam::new(0.05), MeanSquaredError).unwrap();
    let mut stop = EarlyStopping::new(1).monitor("loss");
    let schedule = Some(Box::new(Cosine::new()) as Box<dyn crate::schedules::Schedule>);
    let fit = Fit { epochs: 30, batch: 16, callbacks: vec![Box::new(&mut stop)], schedule, verbose: false, ..Fit::default() };
    model.fit(&data, Fit { resume: Some(state), ..fit }).unwrap();
    let damaged = Kept::new("early_stopping").with_f64("best", [1.0, 2.0]);
    assert_eq!(
        damaged.f64::<1>("best").unwrap_err().to_string(),
        "the file is damaged: what the callback early_stopping kept as best is missing, or makes no sense"
    );
    assert!(damaged.u64::<3>("counters").is_err() && damaged.f32("best").is_err());
}
