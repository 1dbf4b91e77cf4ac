//! Whether two gestures are of one kind: a siamese net, one LSTM on both.
//!
//! A gesture has 24 steps of 6 channels: each channel is a sum of two waves that the kind decides, at its own strength, started up to three
//! steps early, with noise. There are 12 kinds; one pair in two is of the same kind.

use std::f32::consts::TAU;

use super::{Score, Task, between, random};
use samara_trainer::{numeric::random::Random, prelude::*};

const STEPS: usize = 24;
const CHANNELS: usize = 6;
const KINDS: usize = 12;

/// The task.
pub const TASK: Task = Task {
    name: "gestures",
    description: "two gestures of 24 steps and 6 channels, through one LSTM; whether they are of one kind",
    build,
    compile: |model| model.compile(Adam::new(3e-3), BinaryCrossentropy),
    data,
    samples: 6000,
    epochs: 15,
    scores: &[("same", Score::Half)],
};

fn build() -> Result<Model> {
    let [first, second] = ["first", "second"].map(|name| input([STEPS, CHANNELS]).named(name));
    let lstm = Lstm::new(24);
    let apart = AbsoluteDifference::new().apply([&lstm.apply(&first), &lstm.apply(&second)]);
    let same = Dense::new(1).activation(Activation::Sigmoid).named("same").apply(&apart);
    Model::new("gestures", [first, second], [same])
}

/// Frequency, phase and strength of the two waves of each channel.
fn waves(kind: usize) -> Vec<[[f32; 3]; 2]> {
    let mut random = Random::new(kind as u64, 0);
    let mut wave = || [between(&mut random, 0.5, 2.5), between(&mut random, 0.0, 1.0), between(&mut random, 0.2, 1.0)];
    (0..CHANNELS).map(|_| [wave(), wave()]).collect()
}

fn gesture<'a>(random: &'a mut Random, waves: &'a [[[f32; 3]; 2]]) -> impl Iterator<Item = f32> + 'a {
    let (early, strength) = (between(random, 0.0, 3.0), between(random, 0.7, 1.3));
    (0..STEPS * CHANNELS).map(move |place| {
        let time = ((place / CHANNELS) as f32 + early) / STEPS as f32;
        let wave = |[frequency, phase, height]: [f32; 3]| height * (TAU * (frequency * time + phase)).sin();
        strength * waves[place % CHANNELS].into_iter().map(wave).sum::<f32>() + between(random, -0.2, 0.2)
    })
}

fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let kinds: Vec<_> = (0..KINDS).map(waves).collect();
    let mut random = random(seed, 6);
    let (mut first, mut second, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..samples {
        let one = random.below(KINDS);
        let other = if number % 2 == 0 { one } else { (one + 1 + random.below(KINDS - 1)) % KINDS };
        first.extend(gesture(&mut random, &kinds[one]));
        second.extend(gesture(&mut random, &kinds[other]));
        same.push(if one == other { 1.0 } else { 0.0 });
    }
    Dataset::builder()
        .input("first", Tensor::from_samples([STEPS, CHANNELS], first)?)
        .input("second", Tensor::from_samples([STEPS, CHANNELS], second)?)
        .target("same", Tensor::from_samples([1], same)?)
        .build()
}
