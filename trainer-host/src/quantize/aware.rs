//! Training that sees what int8 will make of a model: weights and the values between layers are rounded as the exporter will round
//! them, and gradients pass straight through (Jacob and others, *Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference*, 2018).
//!
//! Weights have a scale for each output, so that folding a batch-norm into them does not change how they are rounded, and none has to
//! be folded before the file is written. Ranges are those of [`quantize`](super::quantize), taken from the same samples by the same code.

use super::{Observer, Options, Range, assign, part_fixed_inputs};
use crate::Model;
use crate::data::Tensor;
use crate::device::{DeviceGraph, ExportError, Form, Quantization, ops::WeightBits};
use crate::export::lower;
use crate::graph::{Rounding, Shape, Transform};
use std::collections::HashMap;
use std::sync::Arc;

/// Weights as an int8 file has them.
#[derive(Debug)]
struct RoundedWeights {
    bits: WeightBits,
    outputs: usize,
}

impl Transform for RoundedWeights {
    fn apply(&self, _: &Shape, stored: &[f32], effective: &mut [f32]) {
        let Self { bits, outputs } = *self;
        let scales = bits.scales(stored, outputs);
        for (to, from) in effective.chunks_mut(outputs).zip(stored.chunks(outputs)) {
            for ((to, &from), &scale) in to.iter_mut().zip(from).zip(&scales) {
                *to = if scale > 0.0 { (f64::from(bits.round(from, scale)) * scale) as f32 } else { 0.0 };
            }
        }
    }
}

/// Kernels that int8 files hold as int8, by the last part of their names.
const KERNELS: [&str; 4] = ["kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel"];

/// Which kernel a parameter of this name is, if it is one.
fn kernel_of(parameter: &str) -> Option<&str> {
    parameter.rsplit('/').next().filter(|name| KERNELS.contains(name))
}

/// How far apart, in parts of its range, the ends of a range may lie for two values to count as one.
const SAME_RANGE: f32 = 1e-3;

/// A graph's values by name: the quantization of each, and its range in the graph as it is and in another.
fn ranges_by_name(
    graph: &DeviceGraph,
    samples: &[Tensor],
    options: Options<'_>,
) -> Result<(Vec<Range>, HashMap<String, Range>), ExportError> {
    let ranges = Observer::new(graph, samples)?.observe(options.calibration)?.ranges;
    let named = graph.values.iter().map(|(_, name)| name.clone()).zip(ranges.iter().copied()).collect();
    Ok((ranges, named))
}

fn is_same(a: Range, b: Range) -> bool {
    let most = SAME_RANGE * (a.maximum - a.minimum);
    (a.minimum - b.minimum).abs() <= most && (a.maximum - b.maximum).abs() <= most
}

impl Model {
    /// Lets the model compute as its int8 file would, with ranges as they now are on the samples, one tensor per input: predictions,
    /// measurements, and trainings that begin. Call it again where ranges may have moved, before each epoch or so; what is trained
    /// like that is then exported with the same samples and options. [`forget_quantization`](Self::forget_quantization) ends it. It is no
    /// part of a saved model.
    ///
    /// What is rounded: kernels, the model's inputs, and what lies between layers, where the file has a tensor of the same values. Not:
    /// outputs, biases, tables of embeddings, what recurrent and separable layers keep to themselves. Channels are not evened out here
    /// ([`Equalization`](super::Equalization)), so a file with the very numbers of the training is one with
    /// [`Equalization::Off`](super::Equalization::Off).
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    /// use samara_trainer::quantize::Options;
    ///
    /// let x = input([2]);
    /// let mut model = Model::new("m", &x, Dense::new(1).without_bias().apply(&x))?;
    /// model.set_parameter("dense/kernel", &[1.0, 0.3])?;
    /// let samples = [Tensor::new([2, 2], vec![1.0, 1.0, -1.0, 0.0])?];
    /// model.follow_quantization(&samples, Options::default())?;
    /// // 0.3 is 38.1 times 1 / 127.
    /// let output = model.predict(&Tensor::new([1, 2], vec![0.0, 1.0])?)?;
    /// assert!((output.values()[0] - 38.0 / 127.0).abs() < 2e-3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`export_int8`](Self::export_int8).
    pub fn follow_quantization(&mut self, samples: &[Tensor], options: Options<'_>) -> Result<(), ExportError> {
        self.forget_quantization();
        self.round_kernels(options)?;
        let inputs = self.calibration(samples)?.into_owned();
        let (_, as_trained) = ranges_by_name(&lower(self.name(), self.graph())?, &inputs, options)?;
        let mut graph = self.device_graph()?;
        part_fixed_inputs(&mut graph);
        options.set_weight_bits(&mut graph)?;
        let (ranges, in_file) = ranges_by_name(&graph, &inputs, options)?;
        let names = graph.values.iter().map(|(_, name)| name.as_str());
        let mut quantizations: HashMap<&str, Quantization> = names.zip(assign(&graph, &ranges, &[])).collect();
        for (node, _) in graph.nodes.iter().zip(options.forms(&graph)?).filter(|(_, form)| *form != Form::I8) {
            quantizations.remove(graph.values[node.output.0].1.as_str());
        }
        let rounding = |name: &str| {
            let is_in_file = is_same(*as_trained.get(name)?, *in_file.get(name)?);
            quantizations.get(name).filter(|_| is_in_file).map(|&quantization| Rounding::new(quantization))
        };
        for node in 0..self.graph().nodes.len() {
            let is_output = self.graph().outputs.contains(&node);
            let rounding = rounding(&self.graph().nodes[node].name).filter(|_| !is_output);
            self.set_rounding(node, rounding);
        }
        Ok(())
    }

    /// Rounds kernels as the options ask for.
    fn round_kernels(&self, options: Options<'_>) -> Result<(), ExportError> {
        let mut graph = self.device_graph()?;
        options.set_weight_bits(&mut graph)?;
        let forms = options.forms(&graph)?;
        for node in &self.graph().nodes {
            let Some(layer) = &node.layer else { continue };
            let is_own =
                |name: &str| name.strip_prefix(&*node.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let mut bits = WeightBits::Eight;
            let mut is_real = false;
            for (other, form) in graph.nodes.iter_mut().zip(&forms).filter(|(other, _)| is_own(&other.name)) {
                is_real |= *form == Form::F32;
                if other.op.weight_bits().is_some_and(|own| *own == WeightBits::Four) {
                    bits = WeightBits::Four;
                }
            }
            if is_real {
                continue;
            }
            for entry in &self.graph().parameters[node.parameters.clone()] {
                if let Some(kernel) = kernel_of(&entry.name) {
                    // A depthwise kernel has an output for each channel and, behind it, each of its multiples.
                    let is_depthwise = kernel == "depthwise_kernel" || layer.kind().starts_with("Depthwise");
                    let (axes, bits) = if is_depthwise { (2, WeightBits::Eight) } else { (1, bits) };
                    let outputs = entry.shape[entry.shape.len() - axes..].iter().product();
                    let rounded = RoundedWeights { bits, outputs };
                    entry.layer.base().parameters_mut()[entry.index].transform = Some(Arc::new(rounded));
                }
            }
        }
        Ok(())
    }

    /// Lets the model compute in f32 again; transforms of kernels that were set otherwise are gone, too.
    pub fn forget_quantization(&mut self) {
        (0..self.graph().nodes.len()).for_each(|node| self.set_rounding(node, None));
        for entry in self.parameters().iter().filter(|entry| kernel_of(&entry.name).is_some()) {
            entry.layer.base().parameters_mut()[entry.index].transform = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Equalization, Options, Selection};
    use crate::device::{ops::WeightBits, run::DeviceModel};
    use crate::prelude::*;

    fn samples(count: usize) -> Tensor {
        let values = (0..count * 64).map(|i| ((i as f32 * 0.37).sin() + (i as f32 * 0.011).cos()) * 0.7).collect();
        Tensor::from_samples([8, 8, 1], values).unwrap()
    }

    /// Convolution, batch-norm, depthwise, pool, a sum and dense, as small as they come.
    fn net() -> Model {
        let x = input([8, 8, 1]);
        let y = Conv2D::new(6, 3).padding(Padding::Same).without_bias().apply(&x);
        let y = ActivationLayer::new(Activation::Relu).apply(BatchNormalization::new().apply(&y));
        let z = DepthwiseConv2D::new(3).padding(Padding::Same).activation(Activation::Relu).apply(&y);
        let sum = Add::new().apply([&y, &z]);
        let pooled = MaxPooling2D::new(2).apply(&sum);
        let y = Dense::new(5).activation(Activation::Relu).apply(Flatten::new().apply(&pooled));
        let mut model = Model::new("net", &x, Dense::new(3).apply(&y)).unwrap();
        model.initialize(3);
        for (name, values) in
            [("moving_mean", [0.1, -0.2, 0.0, 0.3, 0.05, -0.1]), ("moving_variance", [0.5, 1.5, 0.2, 2.0, 1.0, 0.7])]
        {
            model.set_parameter(&format!("batch_normalization/{name}"), &values).unwrap();
        }
        model
    }

    /// The share of outputs that are another int8 value than the trainer's, and the largest difference in steps.
    fn differences(model: &Model, options: Options<'_>) -> (f64, f32) {
        let samples = [samples(40)];
        let file = DeviceModel::new(&model.export_int8(&samples, options).unwrap()).unwrap();
        let scale = file.model().unwrap().tensor(file.model().unwrap().output(0).unwrap()).scale;
        let (device, trainer) = (file.predict(&samples).unwrap(), model.predict(&samples).unwrap());
        let steps = |(a, b): (&f32, &f32)| ((a - b) / scale).abs();
        let all: Vec<f32> = device[0].values().iter().zip(trainer.values()).map(steps).collect();
        let others = all.iter().filter(|&&steps| steps > 0.6).count();
        (
            others as f64 / all.len() as f64,
            all.into_iter().fold(0.0, |largest, steps| if steps > largest { steps } else { largest }),
        )
    }

    #[test]
    fn the_model_computes_what_its_file_does() {
        for int4 in [Selection::None, Selection::All] {
            let options = Options { equalization: Equalization::Off, int4, ..Options::default() };
            let mut model = net();
            let (apart, _) = differences(&model, options);
            model.follow_quantization(&[samples(40)], options).unwrap();
            let (others, largest) = differences(&model, options);
            assert!(apart > 0.3, "in f32 it is another net: {apart}");
            // A tie that goes the other way in one layer can be some steps in the last.
            assert!(others < 0.02 && largest < 4.0, "{others} of the outputs are others, by up to {largest} steps");
            model.set_transform("dense/bias", super::RoundedWeights { bits: WeightBits::Eight, outputs: 5 }).unwrap();
            model.forget_quantization();
            let with_transform = model.parameters().iter().filter(|parameter| parameter.transform().is_some());
            assert!(with_transform.map(|parameter| &*parameter.name).eq(["dense/bias"]), "what is no kernel's stays");
            model.remove_transform("dense/bias").unwrap();
            assert_eq!(differences(&model, options).0, apart);
        }
    }
}
