//! Training that sees what int8 will make of a model: weights and the values between layers are rounded as the exporter will round
//! them, and gradients pass straight through (Jacob and others, *Quantization and Training of Neural Networks for Efficient
//! Integer-Arithmetic-Only Inference*, 2018).
//!
//! Weights have a scale for each output, so that folding a batch-norm into them does not change how they are rounded, and none has to
//! be folded before the file is written. Ranges are those of [`quantize`](super::quantize), taken from the same samples by the same code.

use super::{Observer, Options, Range, assign, part_fixed_inputs};
use crate::Model;
use crate::data::Tensor;
use crate::device::{
    DeviceGraph, ExportError, Form, Quantization,
    ops::{HIDDEN, WeightBits},
};
use crate::export::lower;
use crate::graph::{Node, Shape, Transform};
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

/// The ranges that the values of a simplified graph take, in its order: those that a net was trained with.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges(pub(super) Vec<Range>);

/// How a model computes as its int8 file does: what each node's output is rounded to, in the order of the graph, then what its layer rounds
/// within; and the ranges in the file that this comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Followed {
    pub roundings: Vec<Option<Quantization>>,
    pub ranges: Ranges,
}

impl Followed {
    /// As two lists of numbers: for each node the scale (0 where nothing is rounded) and the zero point; for each value of the file the
    /// bounds of its range.
    pub fn to_numbers(&self) -> [Vec<f32>; 2] {
        let numbers = |rounding: &Option<Quantization>| {
            rounding.map_or([0.0, 0.0], |Quantization { scale, zero_point }| [scale, f32::from(zero_point)])
        };
        let bounds = |&Range { minimum, maximum }: &Range| [minimum, maximum];
        [self.roundings.iter().flat_map(numbers).collect(), self.ranges.0.iter().flat_map(bounds).collect()]
    }

    /// What [`to_numbers`](Self::to_numbers) made these of.
    pub fn from_numbers(roundings: &[f32], ranges: &[f32]) -> Self {
        let rounding =
            |&[scale, zero_point]: &[f32; 2]| (scale > 0.0).then_some(Quantization { scale, zero_point: zero_point as i8 });
        let range = |&[minimum, maximum]: &[f32; 2]| Range { minimum, maximum };
        Self {
            roundings: roundings.as_chunks().0.iter().map(rounding).collect(),
            ranges: Ranges(ranges.as_chunks().0.iter().map(range).collect()),
        }
    }
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
    /// What is rounded: kernels, the model's inputs and outputs, and what lies between layers, where the file has a tensor of the same values;
    /// within separable convolutions what lies between the two, in recurrent layers the states that go into the next step's products. An
    /// output whose activation the loss includes (a softmax under a cross-entropy) is rounded in predictions alone. Not: biases, tables of
    /// embeddings, what a layer within `TimeDistributed` keeps to itself. Channels are not evened out here
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
    /// Gives the ranges, for a file with the very scales ([`Options::ranges`]). [`QuantizationAware`](crate::callbacks::QuantizationAware)
    /// does all this in a training.
    ///
    /// # Errors
    /// As [`export_int8`](Self::export_int8).
    pub fn follow_quantization(&mut self, samples: &[Tensor], options: Options<'_>) -> Result<Ranges, ExportError> {
        self.forget_quantization();
        self.round_kernels(options)?;
        let followed = self.followed(samples, options)?;
        self.round_values(&followed);
        Ok(followed.ranges)
    }

    /// What values are to be rounded to, with the kernels as they are now.
    pub(crate) fn followed(&self, samples: &[Tensor], options: Options<'_>) -> Result<Followed, ExportError> {
        let inputs = self.calibration(samples)?.into_owned();
        let ranges = |graph: &DeviceGraph| -> Result<Vec<Range>, ExportError> {
            Ok(Observer::new(graph, &inputs)?.observe(options.calibration)?.ranges)
        };
        let by_name = |graph: &DeviceGraph, ranges: &[Range]| -> HashMap<String, Range> {
            graph.values.iter().map(|(_, name)| name.clone()).zip(ranges.iter().copied()).collect()
        };
        let graph = lower(self.name(), self.graph())?;
        let as_trained = by_name(&graph, &ranges(&graph)?);
        let mut graph = self.device_graph()?;
        part_fixed_inputs(&mut graph);
        options.set_weight_bits(&mut graph)?;
        let ranges = ranges(&graph)?;
        let in_file = by_name(&graph, &ranges);
        let names = graph.values.iter().map(|(_, name)| name.as_str());
        let mut quantizations: HashMap<&str, Quantization> = names.zip(assign(&graph, &ranges, &[])).collect();
        for (node, _) in graph.nodes.iter().zip(options.forms(&graph)?).filter(|(_, form)| *form != Form::I8) {
            quantizations.remove(graph.values[node.output.0].1.as_str());
        }
        let rounding = |name: &str| {
            let is_in_file = is_same(*as_trained.get(name)?, *in_file.get(name)?);
            quantizations.get(name).copied().filter(|_| is_in_file)
        };
        let nodes = &self.graph().nodes;
        let inner = |node: &Node| match node.layer.as_ref()?.kind() {
            "SeparableConv1D" | "SeparableConv2D" => rounding(&format!("{}/depthwise", node.name)),
            "LSTM" | "GRU" | "SimpleRNN" => quantizations.contains_key(&*node.name).then_some(HIDDEN),
            _ => None,
        };
        let roundings = nodes.iter().map(|node| rounding(&node.name)).chain(nodes.iter().map(inner)).collect();
        Ok(Followed { roundings, ranges: Ranges(ranges) })
    }

    /// Rounds values from now on, also in a training under way.
    pub(crate) fn round_values(&self, followed: &Followed) {
        let nodes = &self.graph().nodes;
        let (outputs, inner) = followed.roundings.split_at(nodes.len().min(followed.roundings.len()));
        for ((node, rounding), inner) in nodes.iter().zip(outputs).zip(inner) {
            node.rounding.set(*rounding);
            if let Some(layer) = &node.layer {
                layer.base().inner_rounding().set(*inner);
            }
        }
    }

    /// Rounds kernels as the options ask for.
    pub(crate) fn round_kernels(&self, options: Options<'_>) -> Result<(), ExportError> {
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
    pub fn forget_quantization(&self) {
        let nothing = Followed { roundings: vec![None; 2 * self.graph().nodes.len()], ranges: Ranges(Vec::new()) };
        self.round_values(&nothing);
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

    /// Separable convolutions, whose depthwise parts give what only they see.
    fn separable_net() -> Model {
        let x = input([8, 8, 1]);
        let y = SeparableConv2D::new(6, 3).padding(Padding::Same).activation(Activation::Relu).apply(&x);
        let y = SeparableConv2D::new(8, 3).activation(Activation::Relu).apply(&y);
        let mut model = Model::new("separable", &x, Dense::new(4).apply(Flatten::new().apply(&y))).unwrap();
        model.initialize(3);
        model
    }

    /// Rows of pixels as steps, through a recurrent layer.
    fn recurrent_net(layer: impl Apply) -> Model {
        let x = input([8, 8, 1]);
        let y = layer.apply(Reshape::new([8, 8]).apply(&x));
        let mut model = Model::new("recurrent", &x, Dense::new(4).apply(&y)).unwrap();
        model.initialize(3);
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

    /// The layer that rounds within, of a model with one such.
    fn rounding_layer(model: &Model) -> &dyn Layer {
        let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_deref());
        layers.into_iter().find(|layer| layer.base().inner_rounding().get().is_some()).unwrap()
    }

    /// Outputs are rounded, too: those that are the same are so to the bit.
    #[test]
    fn what_lies_within_separable_convolutions_is_rounded() {
        let options = Options { equalization: Equalization::Off, ..Options::default() };
        let mut model = separable_net();
        model.follow_quantization(&[samples(40)], options).unwrap();
        let (others, largest) = differences(&model, options);
        assert!(others < 0.02 && largest < 4.0, "{others} of the outputs are others, by up to {largest} steps");
        rounding_layer(&model).base().inner_rounding().set(None);
        let (without, _) = differences(&model, options);
        assert!(without > 0.3, "without that of one layer the net is another: {without}");
        model.forget_quantization();
        assert!(model.graph().nodes.iter().all(|node| node.rounding.get().is_none()));
    }

    /// The file's gates come from tables, so outputs are other steps now and then; but not as often, nor as far, as where states stay
    /// real numbers.
    #[test]
    fn states_that_go_into_the_next_step_are_rounded() {
        let options = Options { equalization: Equalization::Off, ..Options::default() };
        let nets =
            [recurrent_net(Lstm::new(12)), recurrent_net(Gru::new(12)), recurrent_net(Bidirectional::new(SimpleRnn::new(12)))];
        let (mut with, mut without) = (0.0, 0.0);
        for mut model in nets {
            model.follow_quantization(&[samples(40)], options).unwrap();
            let rounded = differences(&model, options);
            for node in &model.graph().nodes {
                node.layer.iter().for_each(|layer| layer.base().inner_rounding().set(None));
            }
            let real = differences(&model, options);
            println!("{}: {rounded:?}, with states that are real numbers {real:?}", model.graph().nodes[2].name);
            (with, without) = (with + rounded.0, without + real.0);
        }
        assert!(with < 0.8 * without, "{with} after {without}");
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
