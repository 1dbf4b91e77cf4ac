//! What a post tells of who wrote it: the textbook's net with three outputs, scaled to a microcontroller (the book's has 14,146,316
//! parameters, `samara_models::textbook::posts`; this one 21,932).
//!
//! A writer has an age from 18 to 80, one of ten groups of income, and a gender. A post has 64 words of 500. Of every ten, five mean
//! nothing (100 words), one or two tell the age (100 words, by age, give or take two), the income (ten words for each group) and the gender
//! (100 words for each).

use super::{Score, Task, between, random};
use samara_trainer::prelude::*;

const LENGTH: usize = 64;
const WORDS: usize = 500;
const GROUPS: usize = 10;

/// The task.
pub const TASK: Task = Task {
    name: "posts",
    description: "64 words; age, one of ten groups of income, gender",
    build,
    compile,
    data,
    samples: 6000,
    epochs: 12,
    scores: &[("age", Score::Explained), ("income", Score::Class), ("gender", Score::Half)],
};

fn build() -> Result<Model> {
    let words = input([LENGTH]).named("words");
    let conv = |filters, x: &SymbolicTensor| Conv1D::new(filters, 3).activation(Activation::Relu).apply(x);
    let x = conv(32, &Embedding::new(WORDS, 24).apply(&words));
    let x = conv(48, &MaxPooling1D::new(3).apply(&x));
    let x = GlobalAveragePooling1D::new().apply(&x);
    let x = Dense::new(48).activation(Activation::Relu).apply(&x);
    let age = Dense::new(1).named("age").apply(&x);
    let income = Dense::new(GROUPS).activation(Activation::Softmax).named("income").apply(&x);
    let gender = Dense::new(1).activation(Activation::Sigmoid).named("gender").apply(&x);
    Model::new("posts", [words], [age, income, gender])
}

/// The book's weights of the losses.
fn compile(model: &mut Model) -> Result<()> {
    let losses = [
        on("age", MeanSquaredError).weight(0.25),
        on("income", SparseCategoricalCrossentropy).weight(1.0),
        on("gender", BinaryCrossentropy).weight(10.0),
    ];
    model.compile(Adam::new(2e-3), losses)
}

/// Ages are in decades.
fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let mut random = random(seed, 1);
    let (mut words, mut ages, mut incomes, mut genders) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let (age, income, gender) = (between(&mut random, 18.0, 80.0), random.below(GROUPS), random.below(2));
        for _ in 0..LENGTH {
            let word = match random.below(10) {
                0 | 1 => {
                    let near = (age - 18.0) / 62.0 * 95.0 + between(&mut random, 0.0, 5.0);
                    100 + (near as usize).min(99)
                }
                2 | 3 => 200 + 10 * income + random.below(10),
                4 => 300 + 100 * gender + random.below(100),
                _ => random.below(100),
            };
            words.push(word as f32);
        }
        ages.push(age / 10.0);
        incomes.push(income as f32);
        genders.push(gender as f32);
    }
    let target = |values| Tensor::from_samples([1], values);
    Dataset::builder()
        .input("words", Tensor::from_samples([LENGTH], words)?)
        .target("age", target(ages)?)
        .target("income", target(incomes)?)
        .target("gender", target(genders)?)
        .build()
}
