//! How far something is, from two cameras that share one base: a model used as a layer, twice.
//!
//! Pictures of 24 by 32 pixels have dim noise and a bright disc of 3 to 5 pixels' radius. The right camera sees it 0, 3, 6 or 9 pixels
//! further to the left than the left one: the four distances.

use super::{Score, Task, between, random};
use samara_trainer::{numeric::random::Random, prelude::*};

const ROWS: usize = 24;
const COLUMNS: usize = 32;
const DISTANCES: usize = 4;

/// The task.
pub const TASK: Task = Task {
    name: "cameras",
    description: "a picture of 24x32 from each of two cameras over one base; one of four distances",
    build,
    compile: |model| model.compile(Adam::new(2e-3), SparseCategoricalCrossentropy),
    data,
    samples: 3000,
    epochs: 12,
    scores: &[("distance", Score::Class)],
};

fn build() -> Result<Model> {
    let picture = input([ROWS, COLUMNS, 1]);
    let conv = |filters, x: &SymbolicTensor| {
        let x = Conv2D::new(filters, 3).strides(2).padding(Padding::Same).without_bias().apply(x);
        ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x))
    };
    let features = Flatten::new().apply(conv(8, &conv(8, &conv(8, &picture))));
    let base = Model::new("base", [picture], [features])?;
    let (left, right) = (input([ROWS, COLUMNS, 1]).named("left"), input([ROWS, COLUMNS, 1]).named("right"));
    let both = Concatenate::new().apply([&base.apply(&left), &base.apply(&right)]);
    let x = Dense::new(64).activation(Activation::Relu).apply(&both);
    let distance = Dense::new(DISTANCES).activation(Activation::Softmax).named("distance").apply(&x);
    Model::new("cameras", [left, right], [distance])
}

/// A picture with a disc.
fn picture(random: &mut Random, row: f32, column: f32, radius: f32) -> impl Iterator<Item = f32> {
    (0..ROWS * COLUMNS).map(move |place| {
        let (y, x) = ((place / COLUMNS) as f32 - row, (place % COLUMNS) as f32 - column);
        let bright = if y * y + x * x <= radius * radius { 0.7 } else { 0.0 };
        bright + between(random, 0.0, 0.3)
    })
}

fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let mut random = random(seed, 3);
    let (mut left, mut right, mut distances) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let (distance, radius) = (random.below(DISTANCES), between(&mut random, 3.0, 5.0));
        let (row, column) = (between(&mut random, 6.0, 18.0), between(&mut random, 14.0, 26.0));
        left.extend(picture(&mut random, row, column, radius));
        right.extend(picture(&mut random, row, column - 3.0 * distance as f32, radius));
        distances.push(distance as f32);
    }
    Dataset::builder()
        .input("left", Tensor::from_samples([ROWS, COLUMNS, 1], left)?)
        .input("right", Tensor::from_samples([ROWS, COLUMNS, 1], right)?)
        .target("distance", Tensor::from_samples([1], distances)?)
        .build()
}
