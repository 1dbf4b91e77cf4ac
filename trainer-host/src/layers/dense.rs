//! Dense: `y[o] = bias[o] + sum_i x[i] * kernel[i, o]`, then an activation.
//!
//! Inputs `[..., I]`, outputs `[..., O]`: dimensions before the last are treated alike. Kernel `[I, O]`, bias `[O]`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::epilogue::Epilogue;
use super::options::{output_methods, trainable_methods};
use super::{
    Activation, Backward, Example, Forward, Layer, LayerBase, ParameterSpec, Requirements, Trainable, WeightGradient, identity,
};
use crate::device::{Lowering, Value, linear, ops};
use crate::graph::{LengthRule, Shape};
use crate::initializers::glorot_uniform;
use crate::numeric::{Matrix, add_bias, add_column_sums, multiply};

/// A fully connected layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dense {
    base: LayerBase,
    units: usize,
    kernel: Trainable,
    epilogue: Epilogue,
}

impl Dense {
    /// A layer with this many outputs, with bias, without activation, kernels drawn by `glorot_uniform`.
    pub fn new(units: usize) -> Self {
        Self { base: LayerBase::new(), units, kernel: Trainable::new(glorot_uniform()), epilogue: Epilogue::new() }
    }

    output_methods!(epilogue);
    trainable_methods!(kernel, "the kernel", kernel_initializer, kernel_regularizer);

    /// Number of outputs.
    pub fn units(&self) -> usize {
        self.units
    }
}

impl Layer for Dense {
    identity!("Dense", options);

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            _ if self.units == 0 => Err("at least 1 unit".to_owned()),
            [shape] if !shape.is_empty() => {
                let mut output = shape.to_vec();
                if let Some(last) = output.last_mut() {
                    *last = self.units;
                }
                Ok(Shape::from(output))
            }
            _ => Err("one input of shape [..., features]".to_owned()),
        }
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        let mut specs = vec![self.kernel.spec("kernel", [inputs[0].channels(), self.units])];
        specs.extend(self.epilogue.spec(self.units));
        specs
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { backward_reads_inputs: true, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let (inputs, outputs) = (pass.input_shapes[0].channels(), self.units);
        let rows = pass.output.len() / outputs;
        let input = Matrix::new(pass.inputs.get(0), rows, inputs);
        multiply(pass.output, input, Matrix::new(pass.parameters.get(0), inputs, outputs), false);
        if self.epilogue.has_bias {
            add_bias(pass.output, pass.parameters.get(1));
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let (inputs, outputs) = (pass.input_shapes[0].channels(), self.units);
        let rows = pass.output_gradient.len() / outputs;
        if let Some(gradient) = pass.input_gradients.get_mut(0) {
            let kernel = Matrix::new(pass.parameters.get(0), inputs, outputs).transposed();
            multiply(gradient.values, Matrix::new(pass.output_gradient, rows, outputs), kernel, gradient.accumulate);
        }
    }

    fn has_batch_weight_gradient(&self) -> bool {
        true
    }

    fn weight_gradient(&self, pass: &mut WeightGradient<'_>) {
        let (inputs, outputs) = (pass.input_shapes[0].channels(), self.units);
        let WeightGradient { gradient, range, parameter, .. } = pass;
        let mut accumulate = pass.accumulate;
        if *parameter == 1 && !accumulate {
            gradient.fill(0.0);
        }
        (pass.shards)(&mut |input, output_gradient| {
            let rows = output_gradient.len() / outputs;
            if *parameter == 0 {
                // Some rows of the kernel: these features of the inputs, all outputs.
                let features = range.start / outputs..range.end / outputs;
                let input = Matrix::new(input.get(0), rows, inputs).columns(features).transposed();
                multiply(gradient, input, Matrix::new(output_gradient, rows, outputs), accumulate);
                accumulate = true;
            } else {
                add_column_sums(gradient, output_gradient);
            }
        });
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let dense = linear(ops::Kind::Dense, lowering.parameter("kernel"), lowering.parameter("bias"), self.units);
        Ok(lowering.output(dense))
    }

    fn activation_layer(&self) -> Option<Arc<dyn Layer>> {
        self.epilogue.activation_layer()
    }

    fn describe(&self) -> String {
        format!("{} units{}", self.units, self.epilogue.describe())
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    vec![
        Example::new(Dense::new(5), &[&[7]]),
        Example::new(Dense::new(3).without_bias().activation(Activation::Tanh), &[&[2, 4]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::harness::{Harness, check};
    use super::*;

    #[test]
    fn agrees_with_the_naive_reference() {
        for (layer, shape) in
            [(Dense::new(5), vec![7]), (Dense::new(3).without_bias(), vec![2, 4]), (Dense::new(17), vec![3, 1, 2])]
        {
            let (units, features) = (layer.units, shape[shape.len() - 1]);
            check(&layer, &[Shape::from(shape)], &|inputs, parameters| {
                let mut output = Vec::new();
                for row in inputs[0].chunks(features) {
                    for unit in 0..units {
                        let products = row.iter().enumerate().map(|(i, x)| x * parameters[0][i * units + unit]);
                        output.push(products.sum::<f64>() + parameters.get(1).map_or(0.0, |bias| bias[unit]));
                    }
                }
                output
            });
        }
    }

    #[test]
    fn two_units_by_hand() {
        let layer = Dense::new(2);
        let mut harness = Harness::new(&layer, &[Shape::from([3])], 1);
        harness.inputs[0].copy_from_slice(&[1.0, 2.0, 3.0]);
        harness.parameter_mut(0).copy_from_slice(&[1.0, -1.0, 0.5, 0.0, 0.0, 2.0]);
        harness.parameter_mut(1).copy_from_slice(&[10.0, 20.0]);
        assert_eq!(harness.forward(), [12.0, 25.0]);
        harness.output_gradient.copy_from_slice(&[1.0, 10.0]);
        harness.backward(true, false);
        assert_eq!(harness.input_gradients[0][..], [-9.0, 0.5, 20.0]);
        assert_eq!(harness.gradient(0), [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]);
        assert_eq!(harness.gradient(1), [1.0, 10.0]);
    }
}
