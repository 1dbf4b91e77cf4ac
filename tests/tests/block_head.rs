//! Last blocks that a device trains by gradients, from a net's int8 layers to what they have learned.

use rand::Rng;
use samara_runtime::{
    ALL_OPS, Model as DeviceFile, Session,
    arena::AlignedBuffer,
    format::writer::{ModelFile, repair_crc},
    train::{
        BlockHead, GradientHead, GradientOptions, Loss, Target, TrainError, block_bytes, block_record::BLOCK_RECORD_BYTES,
    },
};
use samara_tests::generator;
use samara_trainer::device::{
    block_head::{add_block_head, block_of, block_weights},
    dense_head::DenseHeadOptions,
    heads::HeadError,
};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const CLASSES: usize = 3;

fn images(shape: [usize; 3], count: usize, seed: u64) -> Tensor {
    let mut random = generator(seed);
    let values = (0..count * shape.iter().product::<usize>()).map(|_| random.random_range(-1.0..1.0)).collect();
    Tensor::from_samples(shape, values).unwrap()
}

fn file(model: &Model, samples: &Tensor) -> ModelFile {
    ModelFile::from_bytes(&model.export_int8(std::slice::from_ref(samples), Options::default()).unwrap()).unwrap()
}

/// Nets that end in a block of each form, and the features that it reads.
fn nets() -> Vec<(&'static str, Model, [usize; 3])> {
    let head = |x: &SymbolicTensor| Dense::new(CLASSES).named("head").apply(x);
    let image = || input([9, 8, 3]);
    let relu = |x: &SymbolicTensor| ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(x));
    let (a, b, c, d) = (image(), image(), input([11, 5]), image());
    let body = |x: &SymbolicTensor| relu(&Conv2D::new(10, 3).padding(Padding::Same).apply(x));
    // As in DS-CNN: both layers have a norm and a ReLU.
    let x = relu(&DepthwiseConv2D::new(3).padding(Padding::Same).apply(body(&a)));
    let x = relu(&Conv2D::new(6, 1).apply(&x));
    let both = head(&Flatten::new().apply(AveragePooling2D::new((9, 8)).apply(&x)));
    // A separable one with strides, without anything in between.
    let x = relu(&SeparableConv2D::new(7, 3).strides(2).apply(body(&b)));
    let separable = head(&GlobalAveragePooling2D::new().apply(&x));
    let x = relu(&SeparableConv1D::new(6, 3).apply(Conv1D::new(8, 3).activation(Activation::Relu).apply(&c)));
    let sequence = head(&GlobalAveragePooling1D::new().apply(&x));
    let dense = head(&Dense::new(5).activation(Activation::Relu).apply(Flatten::new().apply(body(&d))));
    vec![
        ("depthwise and pointwise", Model::new("a", &a, both).unwrap(), [9, 8, 10]),
        ("separable", Model::new("b", &b, separable).unwrap(), [9, 8, 10]),
        ("of a sequence", Model::new("c", &c, sequence).unwrap(), [9, 1, 8]),
        ("dense", Model::new("d", &d, dense).unwrap(), [1, 1, 720]),
    ]
}

/// Calls `work` with a device that has the file's last head, a block.
fn on_device<T>(
    file: &ModelFile,
    options: GradientOptions<'_>,
    work: impl FnOnce(&mut Session<'_>, &mut BlockHead<'_>) -> T,
) -> T {
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    let number = file.heads.len() - 1;
    let mut memory = AlignedBuffer::zeros(block_bytes(bytes.as_slice(), number));
    let mut head = BlockHead::new(&model, number, 4, options, memory.as_mut_slice()).unwrap();
    work(&mut Session::new(model, arena.as_mut_slice()).unwrap(), &mut head)
}

/// What goes wrong: a row of weights taken for another, a zero point, a shift or a bound left out, a place that is not that of the file.
#[test]
fn a_block_begins_with_the_answers_of_the_file() {
    for (what, mut model, features) in nets() {
        model.initialize(3);
        let shape = model.graph().nodes[model.graph().inputs[0]].shape.clone();
        let mut random = generator(8);
        let values = (0..60 * shape.size()).map(|_| random.random_range(-1.0..1.0)).collect();
        let samples = Tensor::from_samples(shape, values).unwrap();
        let mut file = file(&model, &samples);
        let block = block_of(&file, 0).unwrap();
        assert_eq!(block.record.input.map(|size| size as usize), features, "{what}");
        let weights = block_weights(&file, 0).unwrap();
        add_block_head(&mut file, DenseHeadOptions::default(), &weights).unwrap();
        let of_file = DeviceModel::new(&file.to_bytes()).unwrap().predict(std::slice::from_ref(&samples)).unwrap();
        let scale = file.tensors[file.outputs[0] as usize].scale;
        let options = GradientOptions { loss: Loss::MeanSquaredError, ..GradientOptions::DEFAULT };
        on_device(&file, options, |session, head| {
            let mut apart = 0.0;
            for (sample, expected) in
                samples.values().chunks(samples.sample_shape().size()).zip(of_file[0].values().chunks(CLASSES))
            {
                session.write_f32(0, sample).unwrap();
                let features = session.features(head.record()).to_vec();
                let mut found = [0.0; CLASSES];
                head.predict(&features, &mut found).unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    apart += f64::from((found - expected).abs() / scale);
                }
            }
            // The file rounds after each layer: some steps of 255, where anything wrong is tens of them.
            let mean = apart / (60 * CLASSES) as f64;
            assert!(mean < 2.0, "{what}: {mean} steps apart");
        });
    }
}

#[test]
fn a_device_learns_and_goes_on_where_it_was() {
    let (_, mut model, _) = nets().swap_remove(0);
    model.initialize(4);
    let samples = images([9, 8, 3], 12, 5);
    let mut file = file(&model, &samples);
    let weights = block_weights(&file, 0).unwrap();
    add_block_head(&mut file, DenseHeadOptions { capacity: Some(CLASSES + 1), ..Default::default() }, &weights).unwrap();
    // Each class has a channel of its own, the last one none.
    let of_class =
        |number: usize, value: (usize, &f32)| 0.3 * value.1 + if value.0 % 3 == number % (CLASSES + 1) { 1.0 } else { -0.3 };
    let rows: Vec<Vec<f32>> = (samples.values().chunks(216).enumerate())
        .map(|(number, sample)| sample.iter().enumerate().map(|value| of_class(number, value)).collect())
        .collect();
    let options = GradientOptions { learning_rate: 0.1, ..GradientOptions::DEFAULT };
    let learned = on_device(&file, options, |session, head| {
        let mut losses = Vec::new();
        for _ in 0..80 {
            for (number, row) in rows.iter().enumerate() {
                session.write_f32(0, row).unwrap();
                head.add(session.features(head.record()), Target::Class(number % (CLASSES + 1))).unwrap();
                if head.room() == 0 {
                    losses.push(head.step().unwrap().loss);
                }
            }
        }
        assert!(losses[losses.len() - 3..].iter().all(|loss| *loss < 0.5 * losses[0]), "{losses:?}");
        head.solution().to_vec()
    });
    on_device(&file, options, |session, head| {
        head.restore(&learned).unwrap();
        for (number, row) in rows.iter().enumerate() {
            session.write_f32(0, row).unwrap();
            let features = session.features(head.record()).to_vec();
            assert_eq!(head.classify(&features), Ok(number % (CLASSES + 1)), "sample {number}");
        }
    });
}

#[test]
fn tails_that_are_no_block_are_named() {
    let image = input([6, 6, 2]);
    let refusal = |x: &SymbolicTensor| {
        let mut model = Model::new("tail", &image, Dense::new(CLASSES).apply(x)).unwrap();
        model.initialize(1);
        let error = block_of(&file(&model, &images([6, 6, 2], 4, 1)), 0).unwrap_err();
        assert!(matches!(error, HeadError::NoBlock { .. }), "{error}");
        error.to_string()
    };
    let conv = Conv2D::new(4, 3).named("conv").apply(&image);
    let message = refusal(&GlobalAveragePooling2D::new().apply(&conv));
    assert!(
        message.starts_with("output 0 has no last block to train: \"conv\" (conv2d_i8) is no pointwise one; a block is"),
        "{message}"
    );
    let pointwise = Conv2D::new(4, 1).named("pointwise").apply(&image);
    let message = refusal(&Flatten::new().apply(&pointwise));
    assert!(message.contains("\"pointwise\" (conv2d_i8) gives several places"), "{message}");
    let pooled = AveragePooling2D::new((3, 3)).named("part").apply(&pointwise);
    let message = refusal(&Flatten::new().apply(&pooled));
    assert!(message.contains("is no mean over the whole"), "{message}");
    let message = refusal(&GlobalMaxPooling2D::new().named("largest").apply(&pointwise));
    assert!(message.contains("\"largest") && message.contains("is neither a dense layer nor"), "{message}");
    let message = refusal(&Flatten::new().apply(&image));
    assert!(message.contains("\"the model's input\" (an input) is all that the dense layer reads"), "{message}");
}

#[test]
fn what_does_not_fit_a_block_is_refused() {
    let (_, mut model, _) = nets().swap_remove(3);
    model.initialize(1);
    let mut file = file(&model, &images([9, 8, 3], 4, 1));
    let weights = block_weights(&file, 0).unwrap();
    let error = add_block_head(&mut file, DenseHeadOptions::default(), &weights[1..]).unwrap_err().to_string();
    assert_eq!(error, "there are 3622 weights and biases; the block has 3623, all of them finite");
    let narrow = DenseHeadOptions { capacity: Some(2), ..Default::default() };
    let error = add_block_head(&mut file, narrow, &weights).unwrap_err().to_string();
    assert_eq!(error, "there is to be room for 2 classes; the layer has 3, and a head at most 4096");
    assert!(file.heads.is_empty());
    add_block_head(&mut file, DenseHeadOptions::default(), &weights).unwrap();
    let bytes = AlignedBuffer::copy_of(&file.to_bytes());
    let model = DeviceFile::parse(bytes.as_slice(), ALL_OPS).unwrap();
    let mut memory = AlignedBuffer::zeros(1 << 16);
    let other = GradientHead::new(&model, 0, 4, GradientOptions::DEFAULT, memory.as_mut_slice()).err();
    assert_eq!(other, Some(TrainError::NoSuchHead));
    let none = BlockHead::new(&model, 1, 4, GradientOptions::DEFAULT, memory.as_mut_slice()).err();
    assert_eq!(none, Some(TrainError::NoSuchHead));
}

/// Records that were damaged are refused, or learn with what they say: nothing panics.
#[test]
fn damaged_blocks_are_refused_or_learn_without_a_panic() {
    let (_, mut model, _) = nets().swap_remove(1);
    model.initialize(2);
    let mut file = file(&model, &images([9, 8, 3], 4, 1));
    let weights = block_weights(&file, 0).unwrap();
    add_block_head(&mut file, DenseHeadOptions::default(), &weights).unwrap();
    let bytes = file.to_bytes();
    let record = file.heads[0].to_bytes();
    assert_eq!(record.len(), BLOCK_RECORD_BYTES);
    let start = bytes.windows(record.len()).position(|window| window == record).unwrap();
    let mut random = generator(3);
    let (mut refused, mut learned) = (0, 0);
    for round in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..random.random_range(1..4) {
            let place = start + random.random_range(0..BLOCK_RECORD_BYTES);
            damaged[place] = if round % 2 == 0 { random.random() } else { damaged[place] ^ 1 << random.random_range(0..8) };
        }
        repair_crc(&mut damaged);
        let damaged = AlignedBuffer::copy_of(&damaged);
        let Ok(model) = DeviceFile::parse(damaged.as_slice(), ALL_OPS) else { continue };
        let Ok(record) = model.head(0) else {
            refused += 1;
            continue;
        };
        let mut memory = AlignedBuffer::zeros(1 << 20);
        let row = vec![random.random(); record.features];
        let head = BlockHead::new(&model, 0, 1, GradientOptions::DEFAULT, memory.as_mut_slice());
        let Ok(mut head) = head else {
            refused += 1;
            continue;
        };
        let _ = head.add(&row, Target::Class(0));
        let _ = head.step();
        let _ = head.classify(&row);
        learned += 1;
    }
    assert!(refused > 1_000 && learned > 1_000, "{refused} refused, {learned} learned");
}
