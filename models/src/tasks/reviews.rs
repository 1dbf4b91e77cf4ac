//! Praise or blame: a net of convolutions along a text.
//!
//! A review has 48 words of 300. The first is "not"; of the others, each has its own worth between -1 and 1, the same in all
//! reviews, and "not" before a word turns it over. A review whose words are worth more than 0 together is praise; one that is worth less
//! than half a word either way is not drawn.

use super::{Score, Task, random};
use samara_trainer::{numeric::random::Random, prelude::*};

const LENGTH: usize = 48;
const WORDS: usize = 300;

/// The task.
pub const TASK: Task = Task {
    name: "reviews",
    description: "48 words, some of which turn the next one over; praise or blame",
    build,
    compile: |model| model.compile(Adam::new(3e-3), BinaryCrossentropy),
    data,
    samples: 6000,
    epochs: 12,
    scores: &[("praise", Score::Half)],
};

fn build() -> Result<Model> {
    Sequential::new("reviews", [LENGTH])
        .add(Embedding::new(WORDS, 16).named("words"))
        .add(Conv1D::new(32, 2).activation(Activation::Relu))
        .add(Conv1D::new(32, 3).activation(Activation::Relu))
        .add(GlobalAveragePooling1D::new())
        .add(Dense::new(1).activation(Activation::Sigmoid).named("praise"))
        .build()
}

fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let mut meaning = Random::new(1, 0);
    let worth: Vec<f64> = (0..WORDS).map(|word| if word == 0 { 0.0 } else { 2.0 * meaning.uniform() - 1.0 }).collect();
    let mut random = random(seed, 2);
    let (mut words, mut praise) = (Vec::new(), Vec::new());
    while praise.len() < samples {
        let review: Vec<usize> =
            (0..LENGTH).map(|_| if random.below(5) == 0 { 0 } else { 1 + random.below(WORDS - 1) }).collect();
        let turned = |place: usize| if place > 0 && review[place - 1] == 0 { -1.0 } else { 1.0 };
        let sum: f64 = review.iter().enumerate().map(|(place, &word)| turned(place) * worth[word]).sum();
        if sum.abs() > 0.5 {
            words.extend(review.into_iter().map(|word| word as f32));
            praise.push(if sum > 0.0 { 1.0 } else { 0.0 });
        }
    }
    Dataset::new(Tensor::from_samples([LENGTH], words)?, Tensor::from_samples([1], praise)?)
}
