//! The price of a house from numbers, an advertisement and a photo: inputs of three kinds in one model.
//!
//! Numbers are area, rooms, age and distance, each from 0 to 1. The advertisement has 16 words of 100, of which each adds or takes
//! something, the same in all; the photo of 16 by 16 pixels, in bytes, is greener the larger the garden is. The price is
//! `2 * area + rooms / 2 - age / 2 - distance + words + 1.5 * garden`.

use super::{Score, Task, between, random};
use samara_trainer::{numeric::random::Random, prelude::*};

const WORDS: usize = 100;
const LENGTH: usize = 16;
const SIDE: usize = 16;

/// The task.
pub const TASK: Task = Task {
    name: "price",
    description: "four numbers, 16 words and a photo of 16x16x3; a price",
    build,
    compile: |model| model.compile(Adam::new(2e-3), MeanSquaredError),
    data,
    samples: 4000,
    epochs: 15,
    scores: &[("price", Score::Explained)],
};

fn build() -> Result<Model> {
    let (facts, words) = (input([4]).named("facts"), input([LENGTH]).named("words"));
    let photo = input([SIDE, SIDE, 3]).named("photo");
    let text = GlobalAveragePooling1D::new()
        .apply(Conv1D::new(16, 3).activation(Activation::Relu).apply(Embedding::new(WORDS, 8).apply(&words)));
    let x = Conv2D::new(8, 3).strides(2).activation(Activation::Relu).apply(&photo);
    let picture = GlobalAveragePooling2D::new().apply(Conv2D::new(8, 3).activation(Activation::Relu).apply(&x));
    let all = Concatenate::new().apply([&facts, &text, &picture]);
    let x = Dense::new(32).activation(Activation::Relu).apply(&all);
    let price = Dense::new(1).named("price").apply(&x);
    Model::new("price", [facts, words, photo], [price])
}

fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let mut meaning = Random::new(2, 0);
    let worth: Vec<f32> = (0..WORDS).map(|_| between(&mut meaning, -0.2, 0.2)).collect();
    let mut random = random(seed, 4);
    let (mut facts, mut words, mut photos, mut prices) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let [area, rooms, age, distance, garden] = [(); 5].map(|()| between(&mut random, 0.0, 1.0));
        let mut price = 2.0 * area + rooms / 2.0 - age / 2.0 - distance + 1.5 * garden;
        facts.extend([area, rooms, age, distance]);
        for _ in 0..LENGTH {
            let word = random.below(WORDS);
            price += worth[word];
            words.push(word as f32);
        }
        for _ in 0..SIDE * SIDE {
            let light = between(&mut random, 40.0, 120.0);
            let green = if random.uniform() < f64::from(garden) { 120.0 } else { 0.0 };
            photos.extend([light, light + green, light].map(|value| value as u8));
        }
        prices.push(price);
    }
    Dataset::builder()
        .input("facts", Tensor::from_samples([4], facts)?)
        .input("words", Tensor::from_samples([LENGTH], words)?)
        .input("photo", Tensor::from_bytes([samples, SIDE, SIDE, 3], photos, 255.0)?)
        .target("price", Tensor::from_samples([1], prices)?)
        .build()
}
