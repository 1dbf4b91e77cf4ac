//! What evaluation, prediction and data sets of bytes take of the memory, by counting what is allocated.

use std::alloc::System;

use samara_trainer::prelude::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Grey images of one shade each, made when they are asked for.
struct Shades(usize);

impl Source for Shades {
    fn samples(&self) -> usize {
        self.0
    }

    fn inputs(&self) -> Vec<Field> {
        vec![Field { name: None, shape: [96, 96, 3].into() }]
    }

    fn targets(&self) -> Vec<Field> {
        vec![Field { name: None, shape: [].into() }]
    }

    fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
        for (position, &sample) in samples.iter().enumerate() {
            batch.input(0)[position * 27_648..][..27_648].fill((sample % 10) as f32 / 10.0);
            batch.target(0)[position] = (sample % 2) as f32;
        }
        Ok(())
    }
}

/// One test, so that no other counts in.
#[test]
fn memory_grows_with_what_is_under_way_and_not_with_the_data() {
    const MEGABYTE: usize = 1 << 20;
    let image = input([96, 96, 3]);
    let x = Conv2D::new(8, 3).strides(2).padding(Padding::Same).activation(Activation::Relu).apply(&image);
    let y = Dense::new(2).activation(Activation::Softmax).apply(GlobalAveragePooling2D::new().apply(&x));
    let mut model = Model::new("shades", image, y).unwrap();
    model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy).unwrap();
    // All inputs of the batch at once would be 211 MB, and as much again in the lanes.
    let region = Region::new(ALLOCATOR);
    model.evaluate_in_batches(&Shades(2000), 10_000).unwrap();
    let evaluated = region.change().bytes_allocated;
    assert!(evaluated < 40 * MEGABYTE, "evaluation allocated {evaluated} bytes");
    let region = Region::new(ALLOCATOR);
    assert_eq!(model.predict(&Shades(2000)).unwrap().samples(), 2000);
    let predicted = region.change().bytes_allocated;
    assert!(predicted < 40 * MEGABYTE, "prediction allocated {predicted} bytes");

    // A predictor makes neither plan nor copy of the weights again: what is left is the batch and the output.
    let mut predictor = model.predictor(1).unwrap();
    let region = Region::new(ALLOCATOR);
    predictor.predict(&Shades(1)).unwrap();
    let once = region.change().bytes_allocated;
    assert!(once < 27_648 * 4 + 4096, "a prediction allocated {once} bytes");

    // Bytes stay bytes, in slices and in training.
    let bytes = Tensor::from_bytes([1000, 96, 96, 3], vec![7; 27_648_000], 255.0).unwrap();
    let data = Dataset::new(bytes, Tensor::from_labels(&[1u8; 1000])).unwrap();
    let region = Region::new(ALLOCATOR);
    let part = data.slice(0..500).unwrap();
    let sliced = region.change().bytes_allocated;
    assert!(sliced < 14 * MEGABYTE, "half the data took {sliced} bytes");
    let region = Region::new(ALLOCATOR);
    model.fit(&part, Fit { batch: 8, verbose: false, ..Fit::default() }).unwrap();
    let fitted = region.change().bytes_allocated;
    assert!(fitted < 40 * MEGABYTE, "training on 13.8 MB of bytes allocated {fitted} bytes");
}
