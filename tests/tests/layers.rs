//! Every kind of layer: it trains, its f32 file gives what the trainer gives, its int8 file comes close.

use std::fs;

use samara_tests::signal_to_noise;
use samara_trainer::device::run::DeviceModel;
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
    for (number, parameter) in model.parameters().iter().enumerate() {
        let (name, mut values) = (&parameter.name, parameter.values());
        let moves = scattered(values.len(), number);
        values.iter_mut().zip(moves).for_each(|(value, by)| *value += 0.5 * by);
        if name.ends_with("variance") {
            values.iter_mut().for_each(|value| *value = value.abs());
        }
        model.set_parameter(name, &values).expect("as many values");
    }
    model
}

fn inputs_of(example: &Example) -> Vec<Tensor> {
    let tensor = |(number, shape): (usize, &Shape)| {
        let mut values = scattered(SAMPLES * shape.size(), 50 + number);
        if let Some(vocabulary) = example.layer.vocabulary(number) {
            values.iter_mut().for_each(|value| *value = ((*value + 1.0) * 0.4999 * vocabulary as f32).floor());
        }
        let tensor = Tensor::from_samples(shape.clone(), values).expect("whole samples");
        match example.layer.padding(number) {
            // Nothing of what is drawn is to be padding.
            Some(_) => tensor.with_lengths(vec![shape[0]; SAMPLES]).expect("lengths of whole samples"),
            None => tensor,
        }
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
                .try_for_each(|(index, tensor)| session.write_f32(index, &tensor.sample(sample).unwrap_or_default()))
        },
        |session, _| session.output_f32(0).map(Iterator::collect::<Vec<f32>>).unwrap_or_default(),
    );
    outputs.expect("inputs that fit").concat()
}

/// What a model file of one example does, and its bytes.
type Run = Result<Vec<u8>, String>;

/// Trains a net of dense layers, one before each input, and the example: the loss falls, so gradients pass the layer. What none passes has a
/// dense layer behind it.
fn trains(example: &Example) -> Result<(), String> {
    let inputs: Vec<SymbolicTensor> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
    let is_of_model = |number: usize| {
        let layer = &example.layer;
        layer.vocabulary(number).is_some() || layer.padding(number).is_some() || !layer.passes_gradient()
    };
    let before = inputs.iter().enumerate().map(|(number, x)| match is_of_model(number) {
        true => x.clone(),
        false => Dense::new(example.inputs[number].channels()).apply(x),
    });
    let output = example.apply(before.collect());
    let output = if is_of_model(0) { Dense::new(2).apply(output) } else { output };
    let built = Model::new("layer", inputs.clone(), output);
    let mut model = built.map_err(|error| error.to_string())?;
    let target_shape = model.graph().nodes[model.graph().outputs[0]].shape.clone();
    let targets: Vec<f32> = scattered(SAMPLES * target_shape.size(), 90).iter().map(|value| 0.4 + 0.4 * value).collect();
    let data =
        Tensor::from_samples(target_shape, targets).and_then(|targets| Dataset::with_many(inputs_of(example), vec![targets]));
    let data = data.map_err(|error| error.to_string())?;
    model.compile(Adam::new(0.01), MeanSquaredError).map_err(|error| error.to_string())?;
    let fit = Fit { epochs: 60, batch: SAMPLES, verbose: false, ..Fit::default() };
    let history = model.fit(&data, fit).map_err(|error| error.to_string())?;
    let losses = history.get("loss");
    match losses[..] {
        [first, .., last] if last < 0.95 * first => Ok(()),
        _ => Err(format!("the loss went from {:?} to {:?}", losses.first(), losses.last())),
    }
}

/// The f32 file gives what the trainer gives.
fn runs_in_f32(model: &Model, inputs: &[Tensor]) -> Run {
    let trained = model.predict_all(inputs).map_err(|error| error.to_string())?;
    let bytes = model.export_f32().map_err(|error| error.to_string())?;
    let device = on_device(&bytes, inputs);
    if device.len() != trained[0].values().len() {
        return Err(format!("{} values in training, {} on the device", trained[0].values().len(), device.len()));
    }
    for (place, (a, b)) in trained[0].values().iter().zip(&device).enumerate() {
        let is_near = (a - b).abs() <= 1e-5 * (1.0 + a.abs());
        if !is_near {
            return Err(format!("{a} in training, {b} on the device, at {place}"));
        }
    }
    Ok(bytes)
}

/// The int8 file comes within 25 dB of what the trainer gives: noise of one part in 316.
fn runs_in_int8(model: &Model, inputs: &[Tensor]) -> Run {
    let trained = model.predict_all(inputs).map_err(|error| error.to_string())?;
    let options = Options { float_ports: true, ..Options::default() };
    let bytes = model.export_int8(inputs, options).map_err(|error| error.to_string())?;
    let device = on_device(&bytes, inputs);
    let ratio = signal_to_noise(trained[0].values(), &device);
    let is_enough = ratio >= 25.0;
    if !is_enough {
        return Err(format!("{ratio:.1} dB of signal to quantization noise"));
    }
    // What a device runs has int8 ports; the float ones above show what the rounding of the outputs alone would hide.
    model.export_int8(inputs, Options::default()).map_err(|error| error.to_string())
}

/// Every kind of layer trains, and runs in f32 and in int8. What ran is left in
/// `layers.json`, beside the files: `cargo xtask test` runs them on the emulated boards and holds docs/layers.md against it.
#[test]
fn every_layer_trains_and_runs_on_the_device() {
    let directory = samara_tests::results();
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for kind in ALL_LAYERS {
        let (mut trained, mut files) = (0, [Vec::new(), Vec::new()]);
        for (number, example) in (kind.examples)().iter().enumerate() {
            let mut note = |what: &str, fault: String| faults.push(format!("{:?} {what}: {fault}", example.layer));
            match trains(example) {
                Ok(()) => trained += 1,
                Err(fault) => note("in training", fault),
            }
            let (model, inputs) = (model_of(example), inputs_of(example));
            let runs = [("f32", runs_in_f32(&model, &inputs)), ("int8", runs_in_int8(&model, &inputs))];
            for ((element_type, run), files) in runs.into_iter().zip(&mut files) {
                match run {
                    Ok(bytes) => {
                        let name = format!("{}-{number}-{element_type}", kind.name);
                        if let Some(directory) = &directory {
                            fs::write(directory.join(format!("{name}.samara")), bytes).expect("a file that can be written");
                        }
                        files.push(name);
                    }
                    Err(fault) => note(element_type, fault),
                }
            }
        }
        rows.push(serde_json::json!({ "layer": kind.name, "trained": trained, "f32": files[0], "int8": files[1] }));
    }
    if let Some(directory) = &directory {
        let list = serde_json::Value::from(rows).to_string();
        fs::write(directory.join("layers.json"), list).expect("a file that can be written");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn channels_of_zeros_cost_the_others_no_precision() -> Result<(), String> {
    // What pruning leaves: a channel that is always zero, beside outputs far smaller than the inputs.
    let inputs = [Tensor::from_samples([2], scattered(SAMPLES * 2, 3)).expect("whole samples")];
    let x = input([2]);
    for kernel in [[0.5, -0.7, 0.0, 0.9, 0.1, 0.0], [0.0; 6]] {
        let model = Model::new("pruned", &x, Dense::new(3).apply(&x)).expect("a model");
        model.set_parameter("dense/kernel", &kernel.map(|weight| weight * 1e-6)).expect("a kernel");
        runs_in_int8(&model, &inputs)?;
    }
    Ok(())
}

#[test]
fn a_large_bias_beside_large_weights_is_quantized() -> Result<(), String> {
    // The first channel's weights ask for a shift of all accumulators, also of the second's, which is all bias.
    let x = input([1]);
    let model = Model::new("biased", &x, Dense::new(2).apply(&x)).expect("a model");
    model.set_parameter("dense/kernel", &[1000.0, 0.0]).expect("a kernel");
    model.set_parameter("dense/bias", &[0.0, 1.0]).expect("a bias");
    runs_in_int8(&model, &[Tensor::from_samples([1], vec![0.0; SAMPLES]).expect("whole samples")])?;
    Ok(())
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
