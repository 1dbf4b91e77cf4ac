//! Sources beyond memory: the same bits as a data set in memory, checks batch by batch, errors that end a training.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Fit, Model, Objective};
use crate::data::{BatchBuffers, Dataset, Field, Source, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Named, input};
use crate::layers::{Activation, Apply, Dense, Dropout};
use crate::losses::{MeanSquaredError, SparseCategoricalCrossentropy};
use crate::numeric::random::Random;
use crate::optimizers::{Adam, Sgd};

fn points(samples: usize) -> Dataset {
    let mut random = Random::new(3, 1);
    let values: Vec<f32> = (0..samples * 2).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    let labels: Vec<u8> = values.chunks(2).map(|point| u8::from(point[0] * point[1] > 0.0)).collect();
    let weights = (0..samples).map(|sample| 0.5 + (sample % 3) as f32 * 0.25).collect();
    let points = Tensor::from_samples([2], values).unwrap();
    Dataset::new(points, Tensor::from_labels(&labels)).unwrap().with_weights(weights).unwrap()
}

/// Spoils the sample at this position of a batch.
type Fault = fn(&mut BatchBuffers, usize);

/// The same samples, but nobody knows before they are taken; with a fault in one sample.
struct Stream<'a> {
    data: &'a Dataset,
    fault: Option<(u32, Fault)>,
    taken: AtomicU32,
}

impl<'a> Stream<'a> {
    fn of(data: &'a Dataset) -> Self {
        Self { data, fault: None, taken: AtomicU32::new(0) }
    }
}

impl Source for Stream<'_> {
    fn samples(&self) -> usize {
        self.data.samples()
    }

    fn inputs(&self) -> Vec<Field> {
        Source::inputs(self.data)
    }

    fn targets(&self) -> Vec<Field> {
        Source::targets(self.data)
    }

    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.data.fill(samples, key, batch)?;
        if let Some((number, fault)) = self.fault
            && let Some(position) = samples.iter().position(|&sample| sample == number)
        {
            fault(batch, position);
        }
        Ok(())
    }
}

fn model() -> Model {
    let x = input([2]).named("point");
    let y = Dropout::new(0.1).apply(Dense::new(8).activation(Activation::Tanh).apply(&x));
    let mut model = Model::new("points", &x, Dense::new(2).activation(Activation::Softmax).apply(&y)).unwrap();
    let objective = Objective::new(SparseCategoricalCrossentropy).class_weights([1.0, 2.0]);
    model.compile(Adam::new(0.01), objective).unwrap();
    model
}

fn trained(source: &dyn Source, threads: usize) -> Result<(Vec<u32>, Vec<u64>)> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
        let mut model = model();
        let options = Fit { epochs: 3, batch: 16, verbose: false, validation: Some(source), ..Fit::default() };
        let history = model.fit(source, options)?;
        let weights = model.parameter("dense/kernel")?.iter().map(|value| value.to_bits()).collect();
        let measured = history.epochs.iter().flat_map(|epoch| epoch.measurements.iter()).map(|(_, value)| value.to_bits());
        Ok((weights, measured.collect()))
    })
}

#[test]
fn a_stream_gives_the_bits_of_the_data_in_memory() {
    let data = points(150);
    let expected = trained(&data, 1).unwrap();
    for threads in [1, 2, 3] {
        assert!(trained(&Stream::of(&data), threads).unwrap() == expected, "{threads} threads");
    }
    let (model, stream) = (model(), Stream::of(&data));
    assert_eq!(model.evaluate(&stream).unwrap(), model.evaluate(&data).unwrap());
    assert_eq!(model.predict(&stream).unwrap(), model.predict(&data.inputs()[0]).unwrap());
}

#[test]
fn augmentation_depends_on_no_thread() {
    let data = points(150);
    let noisy = (&data).map(|sample, random| sample.input(0).iter_mut().for_each(|v| *v += random.normal() as f32 * 0.1));
    let one = trained(&noisy, 1).unwrap();
    assert!(trained(&noisy, 3).unwrap() == one);
    assert!(trained(&data, 1).unwrap() != one, "nothing was changed");
}

#[test]
fn faults_of_streams_are_told_with_their_sample() {
    let data = points(150);
    let message = |number: u32, fault: Fault| {
        let stream = Stream { fault: Some((number, fault)), ..Stream::of(&data) };
        trained(&stream, 2).unwrap_err().to_string()
    };
    assert_eq!(
        message(77, |batch, position| batch.input(0)[position * 2 + 1] = f32::NAN),
        "input 'point' has the value NaN in sample 77, position 1: all values must be finite"
    );
    assert_eq!(
        message(149, |batch, position| batch.target(0)[position] = 2.0),
        "the target of output 'dense_1/softmax' has the label 2 in sample 149, but the model has 2 classes: 0 to 1"
    );
    assert_eq!(
        message(5, |batch, position| batch.weights(0)[position] = -1.0),
        "a sample's weight is -1, but must be 0 or a positive number"
    );
}

#[test]
fn an_error_of_a_source_ends_the_training_at_once() {
    struct Broken;
    impl Source for Broken {
        fn samples(&self) -> usize {
            1_000_000
        }
        fn inputs(&self) -> Vec<Field> {
            vec![Field { name: None, shape: [2].into() }]
        }
        fn targets(&self) -> Vec<Field> {
            vec![Field { name: None, shape: [].into() }]
        }
        fn fill(&self, _samples: &[u32], _key: u64, _batch: &mut BatchBuffers) -> Result<()> {
            Err(std::io::Error::other("the camera is off").into())
        }
    }
    assert!(matches!(trained(&Broken, 2), Err(Error::File(error)) if error.to_string() == "the camera is off"));
    // A model that diverges needs no more batches than the one that is under way.
    let data = points(3200);
    let stream = Stream::of(&data);
    let x = input([2]);
    let mut model = Model::new("line", &x, Dense::new(1).apply(&x)).unwrap();
    model.compile(Sgd::new(1e20), MeanSquaredError).unwrap();
    let result = model.fit(&stream, Fit { batch: 16, verbose: false, ..Fit::default() });
    assert!(matches!(result, Err(Error::Diverged { .. })), "{result:?}");
    let taken = stream.taken.load(Ordering::Relaxed);
    assert!(taken < 20, "{taken} batches were taken");
}

#[test]
fn a_panic_of_a_source_is_the_callers_and_nobody_waits_for_its_batches() {
    let data = points(150);
    let stream = Stream { fault: Some((77, |_, _| panic!("the camera fell"))), ..Stream::of(&data) };
    let panic = std::panic::catch_unwind(|| trained(&stream, 2));
    assert!(panic.is_err());
    assert!(stream.taken.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_predictor_gives_what_predict_gives_for_any_number_of_samples() {
    let (data, model) = (points(40), model());
    let all = model.predict(&data.inputs()[0]).unwrap();
    for batch in [1, 7, 1000] {
        let mut predictor = model.predictor(batch).unwrap();
        for range in [0..1, 3..4, 0..40, 20..33] {
            let part = predictor.predict(&data.inputs()[0].slice(range.clone())).unwrap();
            assert_eq!(part, all.slice(range), "batches of {batch}");
        }
        assert_eq!(predictor.predict(&data.inputs()[0].slice(0..0)).unwrap().samples(), 0);
    }
    assert_eq!(model.predictor(0).unwrap_err().to_string(), "batch is 0, but must be at least 1");
}
