//! Every kind of layer on the device: the f32 file gives what the trainer gives, the int8 file comes close.

use samara_trainer::export::run::DeviceModel;
use samara_trainer::layers::{ALL_LAYERS, Example};
use samara_trainer::prelude::*;
use samara_trainer::quantize::Options;

const SAMPLES: usize = 20;

/// Numbers between -1 and 1 without order, the same in each run.
fn scattered(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|number| (((number + 1) * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// The layer by itself as a model, its parameters moved off their initial values.
fn model_of(example: &Example) -> Model {
    let inputs: Vec<SymbolicTensor> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
    let model = Model::new("layer", inputs.clone(), example.apply(inputs)).expect("an example that fits its inputs");
    let parameters = model.parameters().iter().map(|parameter| (parameter.name.clone(), parameter.trainable));
    for (number, (name, trainable)) in parameters.enumerate() {
        let mut values = model.parameter(&name).expect("a parameter of the model");
        let moves = scattered(values.len(), number);
        // A variance stays positive.
        let width = if trainable { 0.5 } else { 0.2 };
        values.iter_mut().zip(moves).for_each(|(value, by)| *value += width * by);
        model.set_parameter(&name, &values).expect("as many values");
    }
    model
}

fn inputs_of(example: &Example) -> Vec<Tensor> {
    let tensor = |(number, shape): (usize, &Shape)| {
        Tensor::from_samples(shape.clone(), scattered(SAMPLES * shape.size(), 50 + number)).expect("whole samples")
    };
    example.inputs.iter().enumerate().map(tensor).collect()
}

/// The outputs of all samples, by the device's code.
fn on_device(bytes: &[u8], inputs: &[Tensor]) -> Vec<f32> {
    let device = DeviceModel::new(bytes).expect("a file that the runtime accepts");
    let outputs = device.run_each(
        SAMPLES,
        |session, sample| {
            inputs
                .iter()
                .enumerate()
                .try_for_each(|(index, tensor)| session.write_f32(index, tensor.sample(sample).unwrap_or_default()))
        },
        |session, _| session.output_f32(0).map(Iterator::collect::<Vec<f32>>).unwrap_or_default(),
    );
    outputs.expect("inputs that fit").concat()
}

/// Pairs of numbers of each layer's output: the trainer's and the device's.
fn for_each_layer(export: impl Fn(&Model, &[Tensor]) -> Vec<u8>, check: impl Fn(&Example, &[f32], &[f32])) {
    for kind in ALL_LAYERS {
        for example in (kind.examples)() {
            let (model, inputs) = (model_of(&example), inputs_of(&example));
            let trained = model.predict_all(&inputs).expect("a prediction");
            let device = on_device(&export(&model, &inputs), &inputs);
            assert_eq!(device.len(), trained[0].values().len(), "{:?}", example.layer);
            check(&example, trained[0].values(), &device);
        }
    }
}

#[test]
fn f32_files_give_what_the_trainer_gives() {
    for_each_layer(
        |model, _| model.export_f32().expect("every layer lowers"),
        |example, trained, device| {
            for (place, (a, b)) in trained.iter().zip(device).enumerate() {
                let bound = 1e-5 * (1.0 + a.abs());
                assert!((a - b).abs() <= bound, "{:?}: {a} in training, {b} on the device, at {place}", example.layer);
            }
        },
    );
}

#[test]
fn int8_files_come_close() {
    for_each_layer(
        |model, inputs| {
            let options = Options { float_ports: true, ..Options::default() };
            model.export_int8(inputs, options).expect("every layer quantizes")
        },
        |example, trained, device| {
            let signal: f64 = trained.iter().map(|&a| f64::from(a).powi(2)).sum();
            let noise: f64 = trained.iter().zip(device).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
            // 25 dB: noise of one part in 316.
            assert!(noise * 316.0 < signal, "{:?}: signal {signal}, noise {noise}", example.layer);
        },
    );
}

#[test]
fn a_tensor_may_be_merged_with_itself() {
    // In place, the device would write what it still has to read.
    let merges: [fn(&SymbolicTensor) -> SymbolicTensor; 5] = [
        |x| Add::new().apply([x, x]),
        |x| Subtract::new().apply([x, x]),
        |x| Multiply::new().apply([x, x, x]),
        |x| Average::new().apply([x, x, x]),
        |x| Maximum::new().apply([x, x]),
    ];
    let inputs = [Tensor::from_samples([6], scattered(SAMPLES * 6, 3)).expect("whole samples")];
    for (number, merge) in merges.into_iter().enumerate() {
        let x = input([6]);
        let hidden = ActivationLayer::new(Activation::Swish).apply(&x);
        let model = Model::new("merged", &x, merge(&hidden)).expect("a model");
        let trained = model.predict_all(&inputs).expect("a prediction");
        let device = on_device(&model.export_f32().expect("every layer lowers"), &inputs);
        assert_eq!(trained[0].values().len(), device.len());
        for (a, b) in trained[0].values().iter().zip(&device) {
            assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "merge {number}: {a} in training, {b} on the device");
        }
    }
}
