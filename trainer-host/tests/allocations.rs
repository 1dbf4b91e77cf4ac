//! A training step allocates no memory: everything is planned before the first one.

use std::alloc::System;
use std::sync::{Arc, Mutex};

use samara_trainer::callbacks::{Callback, StepLog};
use samara_trainer::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Notes how many allocations there were up to each step.
struct Counter {
    counts: Arc<Mutex<Vec<usize>>>,
}

impl Callback for Counter {
    fn step(&mut self, _log: &StepLog) {
        let stats = ALLOCATOR.stats();
        self.counts.lock().unwrap().push(stats.allocations + stats.reallocations);
    }
}

#[test]
fn a_step_allocates_nothing() {
    let image = input([12, 12, 2]);
    let x = Conv2D::new(16, 3).kernel_regularizer(L2::default()).padding(Padding::Same);
    let x = x.activation(Activation::Relu).apply(&image);
    let x = BatchNormalization::new().apply(&x);
    let y = SeparableConv2D::new(16, 3).padding(Padding::Same).activation(Activation::Relu).apply(&x);
    let y = DepthwiseConv2D::new(3).padding(Padding::Same).apply(&y);
    let x = Add::new().apply([&x, &y]);
    let x = Concatenate::new().apply([&MaxPooling2D::new(2).apply(&x), &AveragePooling2D::new(2).apply(&x)]);
    let x = Dropout::new(0.2).apply(Flatten::new().apply(&x));
    let x = Dense::new(300).kernel_regularizer(L1L2::new(1e-4, 1e-4)).activation(Activation::Selu).apply(&x);
    let y = Dense::new(10).activation(Activation::Softmax).apply(&x);
    let mut model = Model::new("everything", image, y).unwrap();
    model.compile(Adam::new(1e-3).clip_norm(1.0), SparseCategoricalCrossentropy).unwrap();

    let samples = 3210;
    let values = (0..samples * 288).map(|number| (number % 17) as f32 / 17.0).collect();
    let labels: Vec<u8> = (0..samples).map(|number| (number % 10) as u8).collect();
    let data = Dataset::new(Tensor::new([samples, 12, 12, 2], values).unwrap(), Tensor::from_labels(&labels)).unwrap();
    let counts = Arc::new(Mutex::new(Vec::with_capacity(1000)));
    let counter = Counter { counts: counts.clone() };
    // 101 steps, the last of them with 10 samples.
    let options = Fit { batch: 32, verbose: false, callbacks: vec![Box::new(counter)], ..Fit::default() };
    model.fit(&data, options).unwrap();

    let counts = counts.lock().unwrap();
    assert_eq!(counts.len(), 101);
    // The first steps make what threads keep: the matrix product's packing buffers, the pool's queues.
    let warm = counts[20];
    let later = counts[100] - warm;
    assert_eq!(later, 0, "{later} allocations in steps 21 to 101");
}
