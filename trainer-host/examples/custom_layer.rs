//! A layer of one's own, as fast as the library's: a gated linear unit (Dauphin et al. 2017),
//! `y = (x * W + b) * sigmoid(x * V + c)`, value by value.
//!
//! It learns its parameters, its gradient is checked against differences of the loss, it runs on the device as four of
//! the runtime's ops, and models with it are saved and loaded. `cargo run --release --example custom_layer`

use samara_runtime::ops::activation::{Function, Parameters};
use samara_trainer::device::{Clamp, Lowering, Value, linear, ops, run::DeviceModel};
use samara_trainer::initializers::{glorot_uniform, zeros};
use samara_trainer::numeric::random::Random;
use samara_trainer::numeric::{Matrix, add_column_sums, multiply, vectorized};
use samara_trainer::prelude::*;
use serde::{Deserialize, Serialize};

/// A gated linear unit: inputs `[I]`, outputs `[O]`. Parameters: kernel `[I, 2 * O]`, the columns of `W` and then those of
/// `V`, so that one product serves both; bias `[2 * O]`, `b` and then `c`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct GatedLinearUnit {
    base: LayerBase,
    units: usize,
}

impl GatedLinearUnit {
    fn new(units: usize) -> Self {
        Self { base: LayerBase::new(), units }
    }
}

/// Functions that a vectorized loop calls are inlined into it. (`f32::exp` is a call to the system's library, which no
/// compiler vectorizes: the products are what takes the time.)
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Layer for GatedLinearUnit {
    identity!("GatedLinearUnit", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            _ if self.units == 0 => Err("at least 1 unit".to_owned()),
            [shape] if shape.len() == 1 => Ok(Shape::from([self.units])),
            _ => Err("one input of shape [features]".to_owned()),
        }
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        vec![
            ParameterSpec::weight("kernel", [inputs[0].size(), 2 * self.units], glorot_uniform()),
            ParameterSpec::weight("bias", [2 * self.units], zeros()),
        ]
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        // Forward leaves the sums before the gate and the gate for backward.
        Requirements { backward_reads_inputs: true, saved: 2 * self.units, ..Requirements::default() }
    }

    fn scratch(&self, _inputs: &[Shape], samples: usize) -> usize {
        2 * self.units * samples
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (features, units) = (pass.input_shapes[0].size(), self.units);
        // Nothing is saved where no backward pass follows.
        let sums = if pass.saved.is_empty() { &mut pass.scratch[..2 * units * pass.samples] } else { &mut *pass.saved };
        let input = Matrix::new(pass.inputs.get(0), pass.samples, features);
        multiply(sums, input, Matrix::new(pass.parameters.get(0), features, 2 * units), false);
        let (bias, gate_bias) = pass.parameters.get(1).split_at(units);
        let output = &mut *pass.output;
        vectorized!({
            for (sums, output) in sums.chunks_exact_mut(2 * units).zip(output.chunks_exact_mut(units)) {
                let (linear, gate) = sums.split_at_mut(units);
                for unit in 0..units {
                    linear[unit] += bias[unit];
                    gate[unit] = sigmoid(gate[unit] + gate_bias[unit]);
                    output[unit] = linear[unit] * gate[unit];
                }
            }
        });
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (features, units) = (pass.input_shapes[0].size(), self.units);
        let gradients = &mut pass.scratch[..2 * units * pass.samples];
        let (saved, output_gradient) = (pass.saved, &*pass.output_gradient);
        vectorized!({
            let samples = saved.chunks_exact(2 * units).zip(output_gradient.chunks_exact(units));
            for (gradients, (saved, output_gradient)) in gradients.chunks_exact_mut(2 * units).zip(samples) {
                let (linear, gate) = saved.split_at(units);
                for unit in 0..units {
                    gradients[unit] = output_gradient[unit] * gate[unit];
                    gradients[units + unit] = output_gradient[unit] * linear[unit] * gate[unit] * (1.0 - gate[unit]);
                }
            }
        });
        // Gradients are added to what is there: a layer may stand at several places of a model. There is none where the
        // layer is frozen, or where nothing before it learns.
        if let Some(kernel_gradient) = pass.parameter_gradients.get_mut(0) {
            let input = Matrix::new(pass.inputs.get(0), pass.samples, features);
            multiply(kernel_gradient, input.transposed(), Matrix::new(gradients, pass.samples, 2 * units), true);
        }
        if let Some(bias_gradient) = pass.parameter_gradients.get_mut(1) {
            add_column_sums(bias_gradient, gradients);
        }
        if let Some(slot) = pass.input_gradients.get_mut(0) {
            let kernel = Matrix::new(pass.parameters.get(0), features, 2 * units);
            let gradients = Matrix::new(gradients, pass.samples, 2 * units);
            multiply(slot.values, gradients, kernel.transposed(), slot.accumulate);
        }
    }

    fn describe(&self) -> String {
        format!("{} units", self.units)
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let (units, shape, inputs) = (self.units, lowering.output_shape.clone(), lowering.inputs.clone());
        let half = |values: &[f32], first: usize| -> Vec<f32> {
            values.chunks_exact(2 * units).flat_map(|row| &row[first..first + units]).copied().collect()
        };
        let dense = |first: usize| {
            let (kernel, bias) = (lowering.parameter("kernel"), lowering.parameter("bias"));
            linear(ops::Kind::Dense, &half(kernel, first), &half(bias, first), units)
        };
        let (linear, gate) = (dense(0), dense(units));
        let linear = lowering.part("linear", linear, &inputs, shape.clone());
        let gate = lowering.part("gate", gate, &inputs, shape.clone());
        let sigmoid = ops::Activation(Parameters { function: Function::Sigmoid, alpha: 0.0 });
        let gate = lowering.part("sigmoid", sigmoid, &[gate], shape);
        lowering.inputs = vec![linear, gate];
        Ok(lowering.output(ops::Multiply { clamp: Clamp::NONE }))
    }
}

/// Points of a square; the answer is `x * y`, which a linear model cannot give.
fn data(samples: usize) -> Result<Dataset> {
    let mut random = Random::new(1, 0);
    let points: Vec<f32> = (0..2 * samples).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
    let products = points.chunks_exact(2).map(|point| point[0] * point[1]).collect();
    Dataset::new(Tensor::new([samples, 2], points)?, Tensor::new([samples, 1], products)?)
}

/// Compares the gradients, as a step of gradient descent shows them, with differences of the loss.
fn check_gradients(data: &Dataset) -> Result<()> {
    let point = input([2]);
    let mut model = Model::new("checked", &point, GatedLinearUnit::new(1).apply(&point))?;
    model.compile(Sgd::new(1.0), MeanSquaredError)?;
    let names: Vec<String> = model.parameters().iter().map(|parameter| parameter.name.clone()).collect();
    let values = |model: &Model| names.iter().map(|name| model.parameter(name)).collect::<Result<Vec<_>>>();
    let before = values(&model)?;
    // One step over all data, of the gradient's length.
    model.fit(data, Fit { batch: data.samples(), verbose: false, ..Fit::default() })?;
    let after = values(&model)?;
    for (name, values) in names.iter().zip(&before) {
        model.set_parameter(name, values)?;
    }
    for (name, (before, after)) in names.iter().zip(before.iter().zip(&after)) {
        for position in 0..before.len() {
            let loss = |offset: f32| -> Result<f64> {
                let mut moved = before.clone();
                moved[position] += offset;
                model.set_parameter(name, &moved)?;
                Ok(model.evaluate(data)?.get("loss").unwrap_or(f64::NAN))
            };
            let difference = (loss(1e-2)? - loss(-1e-2)?) / 2e-2;
            let gradient = f64::from(before[position] - after[position]);
            assert!((gradient - difference).abs() < 1e-3, "{name}[{position}]: {gradient}, by differences {difference}");
        }
        model.set_parameter(name, before)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let data = data(1000)?;
    check_gradients(&data)?;

    let point = input([2]);
    let hidden = GatedLinearUnit::new(16).apply(&point);
    let mut model = Model::new("product", &point, Dense::new(1).apply(&hidden))?;
    model.compile(Adam::new(0.01), MeanSquaredError)?;
    println!("{}", model.summary());
    model.fit(&data, Fit { epochs: 20, verbose: false, ..Fit::default() })?;
    let loss = model.evaluate(&data)?.get("loss").unwrap_or(f64::NAN);
    println!("mean squared error {loss:.5}; of the mean alone it would be 0.111");
    assert!(loss < 0.01, "the layer does not learn: {loss}");

    let device = DeviceModel::new(&model.export_f32()?)?;
    let (inputs, trained) = (data.inputs()[0].values(), model.predict(&data.inputs()[0])?);
    let outputs = device.run_each(
        data.samples(),
        |session, sample| session.write_f32(0, &inputs[2 * sample..2 * sample + 2]),
        |session, _| session.output_f32(0).and_then(|mut values| values.next()).unwrap_or(f32::NAN),
    )?;
    let worst = outputs.iter().zip(trained.values()).map(|(a, b)| (a - b).abs()).fold(0.0, |a, b| if b > a { b } else { a });
    println!("the device's outputs are the trainer's within {worst:e}");
    assert!(worst < 1e-5);

    // A model with it is saved whole; the library reads it by one layer of the kind.
    let again = Model::from_bytes(&model.to_bytes()?, &[&GatedLinearUnit::new(1)])?;
    assert_eq!(again.predict(&data.inputs()[0])?, trained);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
