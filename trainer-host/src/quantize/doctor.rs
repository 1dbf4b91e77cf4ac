//! Where int8 loses: each node of a quantized graph beside the same node in f32, on samples.

use super::{Options, calibrate::samples_of, quantize_with, scales::part_fixed_inputs};
use crate::data::Tensor;
use crate::device::{
    DeviceGraph, ExportError, Form, Quantization,
    encode::{Numbers, encode, to_checked_bytes},
    run::{DeviceModel, RunError, write_sample},
};
use samara_runtime::{ALL_OPS, ElementType, InputError, Session, arena::AlignedBuffer, format::writer::ModelFile};
use std::collections::HashMap;

/// What int8 makes of a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosis {
    /// In the order in which they run.
    pub nodes: Vec<NodeDiagnosis>,
    /// Signal to noise of the worst output, in decibels.
    pub output_db: f64,
    /// Samples that were looked at.
    pub samples: usize,
}

/// What int8 makes of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeDiagnosis {
    /// Its name.
    pub name: String,
    /// Its op in the file.
    pub op: &'static str,
    /// Signal to noise of its output in decibels, with all that the nodes before it lost.
    pub node_db: f64,
    /// Signal to noise of the model's worst output in decibels, if this node alone is in int8.
    pub alone_db: f64,
    /// The share of its output's values that int8 cuts off.
    pub saturated: f64,
    /// Channel (of the last axis) of its output that uses the fewest steps of int8.
    pub worst_channel: usize,
    /// How many of 255 steps that channel's values reach over.
    pub worst_steps: f64,
    /// Whether it may have int16 activations.
    pub takes_int16: bool,
}

impl Diagnosis {
    /// The nodes that cost the outputs most when they alone are in int8, the worst first; those that lose nothing are left out.
    pub fn worst(&self) -> Vec<&NodeDiagnosis> {
        let mut nodes: Vec<_> = self.nodes.iter().filter(|node| node.alone_db.is_finite()).collect();
        nodes.sort_by(|a, b| a.alone_db.total_cmp(&b.alone_db));
        nodes
    }
}

/// Compares each node of a simplified graph in int8 with the same node in f32, on `judged` samples; `samples` are for calibration.
///
/// # Errors
/// As [`quantize`](super::quantize).
pub fn diagnose(
    graph: &DeviceGraph,
    samples: &[Tensor],
    judged: &[Tensor],
    options: Options<'_>,
) -> Result<Diagnosis, ExportError> {
    let comparison = Comparison::new(graph, samples, judged, options)?;
    let (exact, found) = (comparison.outputs(&comparison.real)?, comparison.outputs(&comparison.int8)?);
    let seen = comparison.look()?;
    let nodes =
        seen.iter().enumerate().map(|(number, seen)| comparison.node(number, seen, &exact)).collect::<Result<_, _>>()?;
    Ok(Diagnosis { nodes, output_db: worst_output(&exact, &found), samples: comparison.count })
}

/// A graph in f32 and in int8, and the samples on which the two are compared.
struct Comparison<'a> {
    graph: DeviceGraph,
    quantizations: Vec<Quantization>,
    forms: Vec<Form>,
    real: DeviceModel,
    int8: DeviceModel,
    int8_file: ModelFile,
    judged: &'a [Tensor],
    count: usize,
}

/// Of each sample, what each output is.
type Outputs = Vec<Vec<Vec<f32>>>;

impl<'a> Comparison<'a> {
    fn new(graph: &DeviceGraph, samples: &[Tensor], judged: &'a [Tensor], options: Options<'_>) -> Result<Self, ExportError> {
        let mut graph = graph.clone();
        part_fixed_inputs(&mut graph);
        let options = Options { bias_correction: false, float_ports: false, ..options };
        let (quantizations, int8_file) = quantize_with(&mut graph, samples, options, &[])?;
        let (real, int8) = (load(&encode(&graph, Numbers::F32)?)?, load(&int8_file)?);
        let count = samples_of(&graph, judged)?;
        let forms = options.forms(&graph)?;
        Ok(Self { graph, quantizations, forms, real, int8, int8_file, judged, count })
    }

    fn write(&self, session: &mut Session<'_>, sample: usize) -> Result<(), InputError> {
        let mut inputs = self.judged.iter().enumerate();
        inputs.try_for_each(|(index, tensor)| write_sample(session, index, tensor, sample))
    }

    fn outputs(&self, model: &DeviceModel) -> Result<Outputs, ExportError> {
        let read = |session: &Session<'_>, _| -> Vec<Vec<f32>> {
            (0..self.graph.outputs.len()).map(|output| session.output_f32(output).into_iter().flatten().collect()).collect()
        };
        model.run_each(self.count, |session, sample| self.write(session, sample), read).map_err(failed)
    }

    /// Runs all samples in f32 and in int8, and looks at the output of each node.
    fn look(&self) -> Result<Vec<Seen>, ExportError> {
        let int8 = self.int8.model()?;
        let producers: HashMap<usize, usize> =
            self.graph.nodes.iter().enumerate().map(|(number, node)| (node.output.0, number)).collect();
        let work = |all: &mut Vec<Seen>, session: &mut Session<'_>, sample: usize| -> Result<(), InputError> {
            let mut expected = vec![Vec::new(); self.graph.values.len()];
            self.write(session, sample)?;
            session.run_observed(|node, tensors| {
                let output = self.graph.nodes[node].output.0;
                expected[output] = tensors.values(output as u32).collect();
            });
            let mut arena = AlignedBuffer::zeros(int8.arena_bytes());
            let Ok(mut session) = Session::new(int8, arena.as_mut_slice()) else { return Ok(()) };
            self.write(&mut session, sample)?;
            // Conversions may stand between the graph's nodes; tensors keep their numbers.
            session.run_observed(|node, tensors| {
                let output = self.int8_file.nodes[node].output as usize;
                if let Some(&producer) = producers.get(&output) {
                    let (found, tensor) = (tensors.values(output as u32), &self.int8_file.tensors[output]);
                    let bound = |q: f32| (q - f32::from(tensor.zero_point)) * tensor.scale;
                    let most = if tensor.element_type == ElementType::I16 { 32767.5 } else { 127.5 };
                    all[producer].add(&expected[output], found, [bound(-most - 1.0), bound(most)]);
                }
            });
            Ok(())
        };
        let new = || self.graph.nodes.iter().map(|node| Seen::nothing(self.graph.shape(node.output).channels())).collect();
        let join = |all: Vec<Seen>, more: Vec<Seen>| all.into_iter().zip(more).map(|(a, b)| a.join(b)).collect();
        self.real.fold_each(self.count, new, work, join).map_err(failed)
    }

    /// What was seen of a node, and what it costs if it alone is in int8.
    fn node(&self, number: usize, seen: &Seen, exact: &Outputs) -> Result<NodeDiagnosis, ExportError> {
        let mut forms = vec![Form::F32; self.graph.nodes.len()];
        forms[number] = self.forms[number];
        let alone = Numbers::Mixed { quantizations: &self.quantizations, float_ports: true, forms: &forms };
        let alone = load(&encode(&self.graph, alone)?)?;
        let node = &self.graph.nodes[number];
        let record = self.int8_file.nodes.iter().find(|record| record.output as usize == node.output.0);
        let op = ALL_OPS.iter().find(|op| record.is_some_and(|record| u16::from(op.code) == record.code));
        let (worst_channel, reach) = seen.narrowest();
        Ok(NodeDiagnosis {
            name: node.name.clone(),
            op: op.map_or("", |op| op.name),
            node_db: decibels(seen.signal, seen.noise),
            alone_db: worst_output(exact, &self.outputs(&alone)?),
            saturated: seen.saturated as f64 / seen.count.max(1) as f64,
            worst_channel,
            worst_steps: f64::from(reach / self.quantizations[node.output.0].scale),
            takes_int16: node.op.takes_i16(),
        })
    }
}

fn load(file: &ModelFile) -> Result<DeviceModel, ExportError> {
    Ok(DeviceModel::new(&to_checked_bytes(file)?)?)
}

fn failed(error: RunError) -> ExportError {
    ExportError::Calibration(error.to_string())
}

/// Signal to noise in decibels; infinite without noise.
fn decibels(signal: f64, noise: f64) -> f64 {
    10.0 * (signal / noise).log10()
}

/// Signal to noise of the worst output over all samples, in decibels.
fn worst_output(exact: &Outputs, found: &Outputs) -> f64 {
    let outputs = exact.first().map_or(0, Vec::len);
    let of_output = |output: usize| {
        let (mut signal, mut noise) = (0.0, 0.0);
        for (exact, found) in exact.iter().zip(found) {
            for (&exact, &found) in exact[output].iter().zip(&found[output]) {
                signal += f64::from(exact).powi(2);
                noise += (f64::from(exact) - f64::from(found)).powi(2);
            }
        }
        decibels(signal, noise)
    };
    (0..outputs).map(of_output).fold(f64::INFINITY, f64::min)
}

/// What was seen of one node's output so far.
#[derive(Debug, Clone)]
struct Seen {
    signal: f64,
    noise: f64,
    saturated: u64,
    count: u64,
    /// Lowest and highest value of each channel in f32, zero among them.
    reach: Vec<(f32, f32)>,
}

impl Seen {
    fn nothing(channels: usize) -> Self {
        Self { signal: 0.0, noise: 0.0, saturated: 0, count: 0, reach: vec![(0.0, 0.0); channels] }
    }

    /// Adds a sample's values; those outside of `beyond` are cut off.
    fn add(&mut self, exact: &[f32], found: impl Iterator<Item = f32>, beyond: [f32; 2]) {
        let channels = self.reach.len();
        for (place, (&exact, found)) in exact.iter().zip(found).enumerate() {
            self.signal += f64::from(exact).powi(2);
            self.noise += (f64::from(exact) - f64::from(found)).powi(2);
            self.saturated += u64::from(exact < beyond[0] || exact > beyond[1]);
            self.count += 1;
            let reach = &mut self.reach[place % channels];
            *reach = joined(*reach, (exact, exact));
        }
    }

    fn join(self, more: Self) -> Self {
        Self {
            signal: self.signal + more.signal,
            noise: self.noise + more.noise,
            saturated: self.saturated + more.saturated,
            count: self.count + more.count,
            reach: self.reach.into_iter().zip(more.reach).map(|(a, b)| joined(a, b)).collect(),
        }
    }

    /// The channel that reaches least far, of those that are not always zero, and how far it does.
    fn narrowest(&self) -> (usize, f32) {
        let reaches = self.reach.iter().map(|(low, high)| high - low).enumerate();
        reaches.filter(|(_, reach)| *reach > 0.0).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0))
    }
}

fn joined((low, high): (f32, f32), (other_low, other_high): (f32, f32)) -> (f32, f32) {
    (if other_low < low { other_low } else { low }, if other_high > high { other_high } else { high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ops::{Kind, Linear};

    /// Two dense layers. The first gives 1,000 and 1 times its inputs, the second takes the first channel by a thousandth: in one tensor,
    /// the second channel is rounded away.
    fn uneven() -> DeviceGraph {
        let mut graph = DeviceGraph::default();
        let x = graph.input([2].into(), "x");
        let first = Linear::new(Kind::Dense, vec![vec![1000.0, 0.0], vec![0.0, 1.0]], vec![0.0; 2]);
        let y = graph.push("first", first, &[x], [2].into());
        let second = Linear::new(Kind::Dense, vec![vec![0.001, 1.0], vec![0.001, -1.0]], vec![0.0; 2]);
        let y = graph.push("second", second, &[y], [2].into());
        graph.outputs.push(y);
        graph
    }

    #[test]
    fn the_layer_whose_channels_differ_is_found_and_evening_out_helps() {
        let values: Vec<f32> = (0..64).map(|value| (value as f32 * 0.7).sin()).collect();
        let samples = [Tensor::from_samples([2], values).unwrap()];
        let diagnosis = diagnose(&uneven(), &samples, &samples, Options::default()).unwrap();
        let names: Vec<&str> = diagnosis.worst().iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["second", "first"], "one takes what the other gives: {diagnosis:?}");
        let first = &diagnosis.nodes[0];
        assert_eq!((first.worst_channel, first.op, diagnosis.samples), (1, "dense_i8", 32));
        assert!(first.worst_steps < 0.5 && first.alone_db < 10.0 && first.saturated == 0.0, "{first:?}");
        let options = Options { equalization: super::super::Equalization::Full, ..Options::default() };
        let evened = diagnose(&uneven(), &samples, &samples, options).unwrap();
        assert!(evened.output_db > diagnosis.output_db + 20.0, "{} after {}", evened.output_db, diagnosis.output_db);
    }

    #[test]
    fn decibels_are_those_of_power() {
        assert_eq!((decibels(100.0, 1.0), decibels(1.0, 0.0)), (20.0, f64::INFINITY));
        let rows = |values: [f32; 2]| vec![vec![vec![values[0]], vec![values[1]]]];
        assert_eq!(worst_output(&rows([10.0, 1.0]), &rows([9.0, 1.0])), 20.0);
    }
}
