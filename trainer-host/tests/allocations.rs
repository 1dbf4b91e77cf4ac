//! A training step allocates no memory: everything is planned before the first one.

use std::alloc::System;

use samara_trainer::callbacks::each_batch;
use samara_trainer::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Steps per epoch, the last of them with 10 samples.
const STEPS: usize = 101;
const SAMPLES: usize = 32 * (STEPS - 1) + 10;

fn model() -> Model {
    let image = input([12, 12, 2]);
    let x = Conv2D::new(16, 3).kernel_regularizer(L2::default()).padding(Padding::Same).named("first");
    let x = x.activation(Activation::Relu).apply(&image);
    let x = BatchNormalization::new().named("norm").apply(&x);
    let y = SeparableConv2D::new(16, 3).padding(Padding::Same).activation(Activation::Relu).apply(&x);
    let y = DepthwiseConv2D::new(3).padding(Padding::Same).apply(&y);
    let x = Add::new().apply([&x, &y]);
    let x = Concatenate::new().apply([&MaxPooling2D::new(2).apply(&x), &AveragePooling2D::new(2).apply(&x)]);
    let x = Dropout::new(0.2).apply(Flatten::new().apply(&x));
    let x = Dense::new(300).kernel_regularizer(L1L2::new(1e-4, 1e-4)).activation(Activation::Selu).apply(&x);
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    let mut model = Model::new("everything", image, y).unwrap();
    model.compile(Adam::new(1e-3).clip_norm(1.0), SparseCategoricalCrossentropy).unwrap();
    model
}

/// How many allocations there were up to each step.
fn counts(model: &mut Model, epochs: usize, validation: Option<&dyn Source>, data: &Dataset) -> Vec<usize> {
    let mut counts = Vec::with_capacity(STEPS * epochs);
    let counter = each_batch(|_| {
        let stats = ALLOCATOR.stats();
        counts.push(stats.allocations + stats.reallocations);
        Ok(())
    });
    let options = Fit { epochs, validation, verbose: false, callbacks: vec![Box::new(counter)], ..Fit::default() };
    model.fit(data, options).unwrap();
    assert_eq!(counts.len(), STEPS * epochs);
    counts
}

/// One test, since the count is the whole process's.
#[test]
fn a_step_allocates_nothing() {
    let values = (0..SAMPLES * 288).map(|number| (number % 17) as f32 / 17.0).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|number| (number % 10) as u8).collect();
    let data = Dataset::new(Tensor::new([SAMPLES, 12, 12, 2], values).unwrap(), Tensor::from_labels(&labels)).unwrap();

    let mut model = model();
    let all = counts(&mut model, 1, None, &data);
    // The first steps make what threads keep: the matrix product's packing buffers, the pool's queues.
    assert_eq!(all[STEPS - 1] - all[20], 0, "steps 21 to {STEPS}");

    // With a validation after each epoch, and layers frozen, the second epoch's steps are as free of allocations.
    for name in ["first", "norm"] {
        model.set_trainable(name, false).unwrap();
    }
    let frozen = counts(&mut model, 2, Some(&data), &data);
    assert_eq!(frozen[STEPS - 1] - frozen[20], 0, "steps 21 to {STEPS} with frozen layers");
    assert_eq!(frozen[2 * STEPS - 1] - frozen[STEPS], 0, "the second epoch's steps after a validation");
}
