//! Post-training quantization: int8 activations with one scale per tensor, int8 weights with one per output channel.
//!
//! [`quantize`] runs the f32 graph on given samples with the device's own kernels, evens out the channels of tensors
//! ([`equalize()`]), takes each tensor's range, and gives every tensor a scale and a zero point. Tensors that a concatenation, pool, reshape or pad ties together share one.

mod aware;
mod bias;
mod calibrate;
mod doctor;
mod equalize;
mod scales;
mod shared;
mod sketch;

pub(crate) use aware::Followed;
pub use aware::Ranges;
pub use calibrate::{Calibration, Observed, Observer, Range};
pub use doctor::{Diagnosis, NodeDiagnosis, diagnose};
pub use equalize::{Equalization, equalize};
pub use scales::{assign, part_fixed_inputs};

use crate::data::Tensor;
use crate::device::{
    DeviceGraph, DeviceNode, ExportError, Form, OutputQuantization, Quantization, Value,
    encode::{Numbers, encode},
    ops::WeightBits,
    stream::stream,
};
use bias::correct_biases;
use samara_runtime::format::writer::ModelFile;
use std::collections::HashSet;

/// Options of [`quantize`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Options<'a> {
    /// How ranges are taken.
    pub calibration: Calibration,
    /// `true` if inputs and outputs of the file are to be f32, converted on the device.
    pub float_ports: bool,
    /// Where channels are evened out.
    pub equalization: Equalization,
    /// `true` if biases take up what rounding moves the mean of each channel by.
    pub bias_correction: bool,
    /// Names of nodes of the simplified graph that stay in f32; conversions stand where they meet int8.
    pub keep_f32: &'a [String],
    /// Nodes whose activations are int16, with the int8 weights that they would have anyway; nodes that only move what these give (reshape,
    /// pad, concat, pools) are too. Conversions stand where they meet others.
    pub int16: Selection<'a>,
    /// Nodes whose weights have 4 bits in the file: dense layers and convolutions but depthwise ones, with int8 activations.
    pub int4: Selection<'a>,
    /// The ranges that a net was trained with, which are then those of the file; where channels are evened out they are taken anew.
    pub ranges: Option<&'a Ranges>,
}

/// Some of the nodes of a simplified graph.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Selection<'a> {
    /// None of them.
    #[default]
    None,
    /// Those of these names.
    Named(&'a [String]),
    /// All that can be what is asked for; the others stay as they are.
    All,
}

impl<'a> Selection<'a> {
    /// The names that are given.
    fn names(self) -> &'a [String] {
        if let Self::Named(names) = self { names } else { &[] }
    }
}

impl Options<'_> {
    /// The numbers of a file with these options.
    fn numbers<'a>(&self, quantizations: &'a [Quantization], forms: &'a [Form]) -> Numbers<'a> {
        Numbers::Mixed { quantizations, float_ports: self.float_ports, forms }
    }

    /// The form in which each node computes.
    ///
    /// # Errors
    /// If a name is no node's, or a node cannot be what it is to be.
    fn forms(&self, graph: &DeviceGraph) -> Result<Vec<Form>, ExportError> {
        let wide = self.int16.names();
        let known: HashSet<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        if let Some(name) = self.keep_f32.iter().chain(wide).find(|name| !known.contains(name.as_str())) {
            return Err(ExportError::NoNode(name.clone()));
        }
        if let Some(name) = wide.iter().find(|name| self.keep_f32.contains(name)) {
            let reason = "it is to stay in f32 and to be int16".to_owned();
            return Err(ExportError::Layer { layer: name.clone(), reason });
        }
        let mut is_wide = vec![false; graph.values.len()];
        let mut form = |node: &DeviceNode| {
            let moves_wide = || {
                let is_move = node.op.output_quantization() == OutputQuantization::Shared;
                is_move && node.op.takes_i16() && node.inputs.iter().all(|input| is_wide[input.0])
            };
            let form = match self.int16 {
                _ if self.keep_f32.contains(&node.name) => Form::F32,
                Selection::All if node.op.takes_i16() => Form::I16,
                Selection::Named(names) if names.contains(&node.name) || moves_wide() => Form::I16,
                _ => Form::I8,
            };
            is_wide[node.output.0] = form == Form::I16;
            form
        };
        Ok(graph.nodes.iter().map(&mut form).collect())
    }

    /// Gives nodes the bits that their weights are to have.
    ///
    /// # Errors
    /// If a name is no node's, or that of one whose weights have 8 bits always.
    fn set_weight_bits(&self, graph: &mut DeviceGraph) -> Result<(), ExportError> {
        let (all, named) = (self.int4 == Selection::All, self.int4.names());
        let is_node = |name: &&String| graph.nodes.iter().any(|node| node.name == **name);
        if let Some(name) = named.iter().find(|name| !is_node(name)) {
            return Err(ExportError::NoNode(name.clone()));
        }
        let forms = self.forms(graph)?;
        for (node, form) in graph.nodes.iter_mut().zip(forms) {
            let named = named.contains(&node.name);
            match node.op.weight_bits().filter(|_| form == Form::I8) {
                Some(bits) => *bits = if named || all { WeightBits::Four } else { WeightBits::Eight },
                None if named => {
                    let reason =
                        "weights of 4 bits are for dense and convolution layers with int8 activations, but depthwise ones"
                            .to_owned();
                    return Err(ExportError::Layer { layer: node.name.clone(), reason });
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Quantizes a simplified graph.
///
/// `samples` are for calibration, a tensor for each input of the model; of sequences of variable length, those steps count that a
/// sample has. A layer that
/// is used several times has one set of constants where that costs less than 0.3 dB; else the file's metadata says what it would
/// cost.
///
/// # Errors
/// If the samples do not fit the model's inputs or are not finite, or an op cannot be quantized.
pub fn quantize(graph: &mut DeviceGraph, samples: &[Tensor], options: Options<'_>) -> Result<ModelFile, ExportError> {
    Ok(quantize_whole(graph, samples, options)?.1)
}

/// Quantizes a simplified graph, and says how.
fn quantize_whole(
    graph: &mut DeviceGraph,
    samples: &[Tensor],
    options: Options<'_>,
) -> Result<(Vec<Quantization>, ModelFile), ExportError> {
    part_fixed_inputs(graph);
    match shared::shared_layers(graph)? {
        shared if shared.is_empty() => quantize_with(graph, samples, options, &[]),
        shared => shared::quantize_shared(graph, samples, options, shared),
    }
}

/// Quantizes a simplified graph as [`quantize`] does, and gives the file through which a stream runs, `hop` rows at a time.
///
/// # Errors
/// As [`quantize`] and [`stream`].
pub fn quantize_stream(
    graph: &mut DeviceGraph,
    samples: &[Tensor],
    options: Options<'_>,
    hop: usize,
) -> Result<ModelFile, ExportError> {
    let (of_whole, whole) = quantize_whole(graph, samples, options)?;
    let streamed = stream(graph, hop)?;
    let quantizations: Vec<_> = streamed.origins.iter().map(|&Value(origin)| of_whole[origin]).collect();
    let forms = options.forms(&streamed.graph)?;
    let mut file = streamed.noted(encode(&streamed.graph, options.numbers(&quantizations, &forms))?);
    file.metadata.notes.extend(whole.metadata.notes);
    Ok(file)
}

/// Quantizes a graph, and says how; each group of nodes `together`, one layer used several times, has one set of constants.
fn quantize_with(
    graph: &mut DeviceGraph,
    samples: &[Tensor],
    options: Options<'_>,
    together: &[Vec<usize>],
) -> Result<(Vec<Quantization>, ModelFile), ExportError> {
    options.set_weight_bits(graph)?;
    let mut observed = Observer::new(graph, samples)?.observe(options.calibration)?;
    if equalize(graph, &observed.magnitudes, options.equalization, together) {
        observed = Observer::new(graph, samples)?.observe(options.calibration)?;
    } else if let Some(Ranges(ranges)) = options.ranges {
        if ranges.len() != observed.ranges.len() {
            let (given, values) = (ranges.len(), observed.ranges.len());
            return Err(ExportError::Calibration(format!("{given} ranges are given, but the graph has {values} values")));
        }
        observed.ranges.clone_from(ranges);
    }
    graph.nodes.iter_mut().for_each(|node| node.op.take_inner_magnitude(observed.inner[node.output.0]));
    let quantizations = assign(graph, &observed.ranges, together);
    let forms = options.forms(graph)?;
    if options.bias_correction {
        correct_biases(graph, samples, &quantizations, &forms, together)?;
    }
    let file = encode(graph, options.numbers(&quantizations, &forms))?;
    Ok((quantizations, file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{
            Clamp, Constants, DeviceOp, Encoded, NodeContext,
            ops::{Add, Concat, Kind, Linear, Reshape, ScaleShift, Softmax},
            simplify::simplify,
        },
        graph::Shape,
    };
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    /// How often the exporter asked ops anything, and how often it encoded them in f32: once to find shared layers, and once
    /// for each pass of calibration.
    #[derive(Debug, Clone, Default)]
    struct Visits {
        all: Arc<AtomicUsize>,
        encodings: Arc<AtomicUsize>,
    }

    /// A reshape that counts its visits.
    #[derive(Debug, Clone)]
    struct Counted(Visits);

    impl Counted {
        fn reshape(&self) -> Reshape {
            self.0.all.fetch_add(1, Relaxed);
            Reshape
        }
    }

    impl DeviceOp for Counted {
        fn output_quantization(&self) -> OutputQuantization {
            self.reshape().output_quantization()
        }

        fn least_output_scale(&self, inputs: &[Quantization]) -> f32 {
            self.reshape().least_output_scale(inputs)
        }

        fn fold_output(&mut self, scale: &[f32], shift: &[f32]) -> bool {
            self.reshape().fold_output(scale, shift)
        }

        fn fold_input(&mut self, scale: &[f32], shift: &[f32]) -> bool {
            self.reshape().fold_input(scale, shift)
        }

        fn scale_output(&mut self, factors: &[f32]) -> bool {
            self.reshape().scale_output(factors)
        }

        fn as_scale_shift(&self) -> Option<(&[f32], &[f32])> {
            self.0.all.fetch_add(1, Relaxed);
            None
        }

        fn lets_pass(&self, context: &NodeContext<'_>, scale: &[f32]) -> bool {
            self.reshape().lets_pass(context, scale)
        }

        fn encode_f32(&self, context: &NodeContext<'_>, constants: &mut Constants) -> Result<Encoded, ExportError> {
            self.0.encodings.fetch_add(1, Relaxed);
            self.reshape().encode_f32(context, constants)
        }

        fn encode_i8(
            &self,
            context: &NodeContext<'_>,
            _: &[Quantization],
            _: Quantization,
            constants: &mut Constants,
        ) -> Result<Encoded, ExportError> {
            self.reshape().encode_f32(context, constants)
        }
    }

    fn pair() -> Shape {
        Shape::from([2])
    }

    fn dense(graph: &mut DeviceGraph, x: Value) -> Value {
        // Of its own: layers with the same weights would be one.
        let own = 1.0 / (graph.nodes.len() + 1) as f32;
        let rows = vec![vec![0.5, 0.25 * own], vec![-0.5, 1.0]];
        graph.push("dense", Linear::new(Kind::Dense, rows, vec![0.125, 0.0]), &[x], pair())
    }

    fn norm(graph: &mut DeviceGraph, x: Value) -> Value {
        let own = 1.5 + 1.0 / (graph.nodes.len() + 1) as f32;
        graph.push("norm", ScaleShift { scale: vec![0.75, own], shift: vec![0.0, 0.5], clamp: Clamp::NONE }, &[x], pair())
    }

    /// The number of visits to a graph of this many nodes, from folding to the file.
    fn visits(nodes: usize) -> usize {
        let visits = Visits::default();
        let mut graph = DeviceGraph::default();
        let first = graph.input(pair(), "x");
        let (mut x, mut shortcut) = (first, first);
        while graph.nodes.len() < nodes {
            x = match graph.nodes.len() % 20 {
                0 => dense(&mut graph, x),
                1 | 5 | 9 => norm(&mut graph, x),
                10 => {
                    let softmax = graph.push("softmax", Softmax, &[x], pair());
                    let both = graph.push("both", Concat { axis: 0 }, &[softmax, shortcut], Shape::from([4]));
                    let rows = vec![vec![0.25; 4], vec![-1.0 / (graph.nodes.len() + 1) as f32; 4]];
                    graph.push("halves", Linear::new(Kind::Dense, rows, vec![0.0; 2]), &[both], pair())
                }
                15 => {
                    let sum = Add { coefficients: [0.5; 2], clamp: Clamp::NONE };
                    shortcut = graph.push("sum", sum, &[x, shortcut], pair());
                    shortcut
                }
                _ => graph.push("counted", Counted(visits.clone()), &[x], pair()),
            };
        }
        graph.outputs.push(x);
        simplify(&mut graph);
        let values: Vec<f32> = (0..20).map(|value| value as f32 / 10.0 - 1.0).collect();
        let file = quantize(&mut graph, &[Tensor::from_samples([2], values).unwrap()], Options::default())
            .expect("a graph that can be quantized");
        assert!(file.nodes.len() > nodes / 2);
        visits.all.load(Relaxed)
    }

    #[test]
    fn graphs_of_thousands_of_nodes_take_work_in_proportion() {
        let (less, more) = (visits(1500), visits(3000));
        assert!(more <= 2 * less + less / 50, "{less} visits to 1,500 nodes, {more} to 3,000");
        assert!(more < 100 * 3000, "{more} visits to 3,000 nodes");
    }

    #[test]
    fn samples_run_once_where_nothing_is_evened_out() {
        let passes = |with_norm: bool| {
            let visits = Visits::default();
            let mut graph = DeviceGraph::default();
            let x = graph.input(pair(), "x");
            let mut y = dense(&mut graph, x);
            y = graph.push("counted", Counted(visits.clone()), &[y], pair());
            // A norm behind a layer takes factors, another layer does not.
            y = if with_norm { norm(&mut graph, y) } else { dense(&mut graph, y) };
            graph.outputs.push(y);
            let method = Options { calibration: Calibration::Percentile(0.999), ..Options::default() };
            quantize(&mut graph, &[Tensor::from_samples([2], vec![1.0, 0.5, -1.0, 0.25]).unwrap()], method)
                .expect("a graph that can be quantized");
            visits.encodings.load(Relaxed)
        };
        assert_eq!((passes(false), passes(true)), (1 + 1, 1 + 2));
    }

    #[test]
    fn int16_nodes_are_those_that_are_named_and_what_moves_theirs() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(pair(), "x");
        let y = dense(&mut graph, x);
        let y = graph.push("same", Reshape, &[y], pair());
        let y = graph.push("other", Linear::new(Kind::Dense, vec![vec![1.0, 0.5]; 2], vec![0.0; 2]), &[y], pair());
        graph.outputs.push(y);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let forms = |int16: Selection<'_>, keep_f32: &[&str]| {
            Options { int16, keep_f32: &names(keep_f32), ..Options::default() }.forms(&graph)
        };
        let (i8, i16, f32) = (Form::I8, Form::I16, Form::F32);
        assert_eq!(forms(Selection::None, &[]).unwrap(), [i8; 3]);
        assert_eq!(forms(Selection::Named(&names(&["dense"])), &[]).unwrap(), [i16, i16, i8]);
        assert_eq!(forms(Selection::Named(&names(&["other"])), &["dense"]).unwrap(), [f32, i8, i16]);
        assert_eq!(forms(Selection::All, &["other"]).unwrap(), [i16, i16, f32]);
        let unknown = forms(Selection::Named(&names(&["dens"])), &[]).unwrap_err().to_string();
        assert!(unknown.contains("no node is called \"dens\""), "{unknown}");
        let both = forms(Selection::Named(&names(&["dense"])), &["dense"]).unwrap_err().to_string();
        assert!(both.contains("\"dense\"") && both.contains("to stay in f32 and to be int16"), "{both}");
    }
}
