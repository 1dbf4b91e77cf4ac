//! Nets with several inputs or outputs, each as small as a microcontroller needs it, with a task to learn. The data are drawn by rules
//! that the files describe: a seed gives the same, and what there is to learn is known. `cargo run --release -p samara-models
//! --example tasks` trains all of them, and shows how good they are in f32 and in int8.

mod answers;
mod cameras;
mod gestures;
mod posts;
mod price;
mod reviews;

use samara_trainer::{
    data::{Dataset, Tensor},
    numeric::random::Random,
    prelude::*,
};

/// A net and what it learns.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The net's name.
    pub name: &'static str,
    /// What goes in and comes out, in a line.
    pub description: &'static str,
    /// Builds the net.
    pub build: fn() -> Result<Model>,
    /// Sets optimizer and losses.
    pub compile: fn(&mut Model) -> Result<()>,
    /// So many samples, drawn from a seed.
    pub data: fn(u64, usize) -> Result<Dataset>,
    /// Samples to train on.
    pub samples: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// What counts for each output.
    pub scores: &'static [(&'static str, Score)],
}

/// How good an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Score {
    /// The share of samples whose largest output is that of the label.
    Class,
    /// The share of samples whose probability is on the target's side of one half.
    Half,
    /// The share of the target's variance that the output explains: 1 for all of it.
    Explained,
}

/// All tasks.
pub const TASKS: &[Task] = &[posts::TASK, reviews::TASK, cameras::TASK, price::TASK, answers::TASK, gestures::TASK];

impl Score {
    /// Of one output for all samples.
    pub fn of(self, outputs: &Tensor, targets: &Tensor) -> f64 {
        let size = outputs.sample_shape().size();
        let pairs = || outputs.values().chunks_exact(size).zip(targets.values());
        let count = targets.values().len() as f64;
        match self {
            Self::Class => pairs().filter(|(scores, label)| largest(scores) == **label as usize).count() as f64 / count,
            Self::Half => pairs().filter(|(given, target)| (given[0] > 0.5) == (**target > 0.5)).count() as f64 / count,
            Self::Explained => {
                let mean = targets.values().iter().map(|&target| f64::from(target)).sum::<f64>() / count;
                let square = |a: f32, b: f64| (f64::from(a) - b).powi(2);
                let (missed, all) = pairs().fold((0.0, 0.0), |(missed, all), (given, &target)| {
                    (missed + square(target, f64::from(given[0])), all + square(target, mean))
                });
                1.0 - missed / all
            }
        }
    }
}

/// The place of the largest value, the first of equals.
fn largest(values: &[f32]) -> usize {
    let mut best = 0;
    for (place, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = place;
        }
    }
    best
}

/// A generator of its own for a task's data.
fn random(seed: u64, task: u64) -> Random {
    Random::new(seed, 0x7a5c_0000 + task)
}

/// A uniform number between two.
fn between(random: &mut Random, least: f64, most: f64) -> f32 {
    (least + random.uniform() * (most - least)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nets_fit_their_data_and_a_microcontroller() {
        for task in TASKS {
            let mut model = (task.build)().unwrap();
            assert_eq!(model.name(), task.name);
            model.initialize(1);
            (task.compile)(&mut model).unwrap();
            let (data, again) = ((task.data)(3, 64).unwrap(), (task.data)(3, 64).unwrap());
            assert!(data.inputs() == again.inputs() && data.targets() == again.targets(), "{}: a seed, two sets", task.name);
            assert!((task.data)(4, 64).unwrap().inputs() != data.inputs(), "{}: two seeds, one set", task.name);
            model.evaluate(&data).unwrap_or_else(|error| panic!("{}: {error}", task.name));
            assert_eq!(task.scores.len(), data.targets().len());
            let file = model.export_int8(data.inputs(), quantize::Options::default()).unwrap();
            assert!(file.len() < 100_000, "{}: {} bytes", task.name, file.len());
        }
    }

    #[test]
    fn scores_are_counted_by_hand() {
        let tensor = |size: usize, values: &[f32]| Tensor::from_samples([size], values.to_vec()).unwrap();
        let labels = tensor(1, &[1.0, 0.0, 1.0]);
        assert_eq!(Score::Class.of(&tensor(2, &[0.1, 0.9, 0.5, 0.5, 0.7, 0.3]), &labels), 2.0 / 3.0);
        assert_eq!(Score::Half.of(&tensor(1, &[0.9, 0.6, 0.4]), &labels), 1.0 / 3.0);
        // A variance of 2, of which 0.5 is missed.
        assert_eq!(Score::Explained.of(&tensor(1, &[1.5, 2.0, 2.5]), &tensor(1, &[1.0, 2.0, 3.0])), 0.75);
    }
}
