//! Layers that a model applies several times: one set of int8 constants where that costs next to nothing.
//!
//! The constants of an int8 op depend on the scales of its input and output. One set for several uses needs the same scales for
//! all of them, so their ranges are taken together. Where the uses' ranges differ much, that costs precision: both files are run
//! on samples, and one set is taken where it loses less than 0.3 dB.

use super::{Options, quantize_with};
use crate::data::Tensor;
use crate::device::{
    Constants, DeviceGraph, ExportError, Quantization,
    encode::{Numbers, encode, to_checked_bytes},
    run::{DeviceModel, write_sample},
};
use samara_runtime::{InputError, format::writer::ModelFile};
use std::collections::{BTreeMap, HashMap};

/// What one set of constants may cost against one for each use, in decibels of the worst output.
const LARGEST_LOSS: f64 = 0.3;
/// Samples on which that is judged.
const JUDGED_SAMPLES: usize = 256;

/// Nodes that are one layer used several times: groups of indices of nodes with the same op and the same constants, however they
/// came to it.
pub fn shared_layers(graph: &DeviceGraph) -> Result<Vec<Vec<usize>>, ExportError> {
    let mut first: HashMap<(u8, Vec<u8>, Vec<u8>), usize> = HashMap::new();
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let mut constants = Constants::default();
        let encoded = node.op.encode_f32(&graph.context(node), &mut constants)?;
        let constants = constants.into_bytes();
        if !constants.is_empty() {
            let first = *first.entry((encoded.op.code, encoded.parameters, constants)).or_insert(index);
            groups.entry(first).or_default().push(index);
        }
    }
    Ok(groups.into_values().filter(|group| group.len() > 1).collect())
}

/// Quantizes a graph with layers that are used several times.
pub fn quantize_shared(
    graph: &mut DeviceGraph,
    samples: &[Tensor],
    options: Options<'_>,
    shared: Vec<Vec<usize>>,
) -> Result<(Vec<Quantization>, ModelFile), ExportError> {
    let expected = outputs(&encode(graph, Numbers::F32)?, graph, samples)?;
    let attempt = |together: &[Vec<usize>]| -> Result<Attempt, ExportError> {
        let mut graph = graph.clone();
        let (quantizations, file) = quantize_with(&mut graph, samples, options, together)?;
        let found = outputs(&file, &graph, samples)?;
        let noise = expected.iter().zip(&found).map(|(expected, found)| noise(expected, found)).collect();
        Ok(Attempt { graph, quantizations, file, noise })
    };
    let apart = attempt(&[])?;
    let mut best = attempt(&shared)?;
    let mut notes = Vec::new();
    if best.loss(&apart) >= LARGEST_LOSS {
        // Layer by layer: what costs too much beside those that were taken before stays apart.
        let (mut together, mut kept) = (Vec::new(), None);
        for group in shared {
            let name = graph.nodes[group[0]].name.clone();
            together.push(group);
            let trial = attempt(&together)?;
            let loss = trial.loss(&apart);
            if loss < LARGEST_LOSS {
                kept = Some(trial);
            } else {
                together.pop();
                notes.push(format!("{name:?} has int8 constants for each of its uses: one set would cost {loss:.1} dB"));
            }
        }
        best = kept.unwrap_or(apart);
    }
    *graph = best.graph;
    best.file.metadata.notes.extend(notes);
    Ok((best.quantizations, best.file))
}

/// A graph quantized in one way.
struct Attempt {
    graph: DeviceGraph,
    quantizations: Vec<Quantization>,
    file: ModelFile,
    /// Power of each output's noise.
    noise: Vec<f64>,
}

impl Attempt {
    /// How much louder the noise is than that of another attempt, at the worst output, in decibels.
    fn loss(&self, other: &Self) -> f64 {
        let of_output = |(own, other): (&f64, &f64)| if own <= other { 0.0 } else { 10.0 * (own / other).log10() };
        self.noise.iter().zip(&other.noise).map(of_output).fold(0.0, f64::max)
    }
}

fn noise(expected: &[f32], found: &[f32]) -> f64 {
    expected.iter().zip(found).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// The outputs on the first samples, each output's one behind the other.
fn outputs(file: &ModelFile, graph: &DeviceGraph, samples: &[Tensor]) -> Result<Vec<Vec<f32>>, ExportError> {
    let count = samples.iter().map(Tensor::samples).min().unwrap_or(0);
    let write = |session: &mut samara_runtime::Session<'_>, sample: usize| -> Result<(), InputError> {
        session.reset_state();
        samples.iter().enumerate().try_for_each(|(index, tensor)| write_sample(session, index, tensor, sample))
    };
    let read = |session: &samara_runtime::Session<'_>, _| -> Vec<Vec<f32>> {
        (0..graph.outputs.len()).map(|output| session.output_f32(output).into_iter().flatten().collect()).collect()
    };
    let failed = |error: &dyn std::fmt::Display| ExportError::Calibration(error.to_string());
    let model = DeviceModel::new(&to_checked_bytes(file)?)?;
    let ran = model.run_each(count.min(JUDGED_SAMPLES), write, read).map_err(|error| failed(&error))?;
    let of_output = |output: usize| ran.iter().flat_map(|sample| sample[output].iter().copied()).collect();
    Ok((0..graph.outputs.len()).map(of_output).collect())
}
