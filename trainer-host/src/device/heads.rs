//! Heads that a device goes on learning with: their sums and weights are made here, by the code that the device runs, and go
//! into the model file.

use super::run::{DeviceModel, RunError, write_sample};
use crate::data::Tensor;
use samara_runtime::{
    ALL_OPS, ElementType, LoadError, Session,
    arena::AlignedBuffer,
    format::writer::{ModelFile, NodeRecord},
    train::{
        ClosedFormHead, HeadKind, Strangeness, TrainError, closed_form_bytes, conformal,
        record::{HeadRecord, MOST_CLASSES, MOST_FEATURES, solution_words, sums_words},
        solve_bytes,
    },
};

/// What a closed-form head is to be like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedFormOptions {
    /// The output of the model whose last dense layer the head stands for.
    pub output: usize,
    /// Classes that a device has room for; at least those of the samples. None for four more.
    pub capacity: Option<usize>,
    /// What is added to the covariance's diagonal, as a share of its mean; above 0, at most 1.
    pub shrinkage: f32,
    /// How strangeness is measured; none for a head that answers every sample with a class.
    pub unknown: Option<Unknown>,
}

/// How a head knows what it does not know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unknown {
    /// The score.
    pub strangeness: Strangeness,
    /// The share of samples of known classes that may be taken for unknown, above 0, below 1.
    pub error_rate: f32,
}

/// Of so many training samples one is held back to find where the unknown begins.
const CALIBRATION_SHARE: usize = 10;

impl Default for ClosedFormOptions {
    /// Of the first output, with room for four more classes, a shrinkage of 0.01, and 5 in 100 samples taken for unknown by their
    /// distance.
    fn default() -> Self {
        let unknown = Some(Unknown { strangeness: Strangeness::Distance, error_rate: 0.05 });
        Self { output: 0, capacity: None, shrinkage: 0.01, unknown }
    }
}

/// Why a head was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The model has fewer outputs.
    #[error("the model has {outputs} outputs, there is no output {output}")]
    NoSuchOutput {
        /// The output asked for, from 0 on.
        output: usize,
        /// Outputs of the model.
        outputs: usize,
    },
    /// The output does not end in a dense layer.
    #[error(
        "output {output} is computed by the node {node:?} ({op}); a head stands for a dense layer at the end, behind which there is nothing but an activation"
    )]
    NoDense {
        /// The output.
        output: usize,
        /// Name of the node that ends the search.
        node: String,
        /// Its op.
        op: &'static str,
    },
    /// The features are no int8 vector of a size that a head can have.
    #[error(
        "the features, {name:?}, are {found}; a head takes an int8 vector of at most {MOST_FEATURES}: export an int8 file, and pool or narrow the features"
    )]
    Features {
        /// Name of their tensor.
        name: String,
        /// What they are.
        found: String,
    },
    /// Labels and samples differ in number.
    #[error("there are {samples} samples and {labels} labels")]
    Labels {
        /// Samples of the first input.
        samples: usize,
        /// Labels.
        labels: usize,
    },
    /// A label beyond the classes that there is room for.
    #[error("sample {sample} has the label {label}, but there is room for {capacity} classes, 0 to {}; raise the capacity (at most {MOST_CLASSES})", capacity - 1)]
    Label {
        /// The sample.
        sample: usize,
        /// Its label.
        label: usize,
        /// Classes.
        capacity: usize,
    },
    /// Too few samples say anything about the unknown.
    #[error("{samples} samples, a tenth of the training samples, are too few to find a limit that a share of {rate} exceeds: at least {} are needed", (1.0 / rate).ceil() as usize)]
    TooFewSamples {
        /// Samples held back.
        samples: usize,
        /// The share asked for.
        rate: f32,
    },
    /// The shrinkage or the error rate is out of range.
    #[error("the {what} is {value}; it lies above 0 and {most}")]
    Range {
        /// What it is.
        what: &'static str,
        /// The value.
        value: f32,
        /// The upper end.
        most: &'static str,
    },
    /// The room is for fewer classes than the layer has, or for more than a head can have.
    #[error("there is to be room for {capacity} classes; the layer has {classes}, and a head at most {MOST_CLASSES}")]
    Capacity {
        /// Classes that there is to be room for.
        capacity: usize,
        /// Those of the layer.
        classes: usize,
    },
    /// Weights that are not the layer's.
    #[error(
        "the kernel has {kernel} values and the bias {bias}; the layer takes a kernel [{features}, {classes}] and a bias [{classes}] or none, of finite values"
    )]
    Weights {
        /// Values of the kernel.
        kernel: usize,
        /// Values of the bias.
        bias: usize,
        /// Features of the layer.
        features: usize,
        /// Its outputs.
        classes: usize,
    },
    /// What is before the dense layer is no block that a device trains.
    #[error(
        "output {output} has no last block to train: {node:?} ({op}) {reason}; a block is a dense layer or a pointwise convolution with the dense layer at \
         the end, perhaps a depthwise convolution before and the mean over the whole in between"
    )]
    NoBlock {
        /// The output.
        output: usize,
        /// Name of the node that ends the search.
        node: String,
        /// Its op.
        op: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Weights that are not the block's.
    #[error("there are {found} weights and biases; the block has {expected}, all of them finite")]
    BlockWeights {
        /// Those given.
        found: usize,
        /// Those of the block.
        expected: usize,
    },
    /// A sample does not fit, or the runtime refuses the file.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The runtime refuses the file.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The head cannot be solved.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// The node that a head stands for: the last dense layer of an output.
///
/// # Errors
/// [`HeadError::NoSuchOutput`], [`HeadError::NoDense`] and [`HeadError::Features`].
pub fn dense_of(file: &ModelFile, output: usize) -> Result<(u16, u32), HeadError> {
    let outputs = file.outputs.len();
    let mut tensor = *file.outputs.get(output).ok_or(HeadError::NoSuchOutput { output, outputs })?;
    loop {
        let Some(index) = producer(file, tensor) else {
            let node = file.metadata.tensors.get(tensor as usize).cloned().unwrap_or_default();
            return Err(HeadError::NoDense { output, node, op: "an input" });
        };
        let node = &file.nodes[index];
        let op = op_of(node);
        let [input, ..] = node.inputs[..] else { break Err(no_dense(file, output, index, op)) };
        match op {
            "dense_i8" | "dense_f32" => break are_features(file, input).map(|()| (index as u16, input)),
            "softmax_i8" | "softmax_f32" | "lut_i8" | "activation_f32" | "dequantize" | "reshape" => tensor = input,
            _ => break Err(no_dense(file, output, index, op)),
        }
    }
}

/// The node that makes a tensor.
pub(super) fn producer(file: &ModelFile, tensor: u32) -> Option<usize> {
    file.nodes.iter().rposition(|node| node.output == tensor)
}

/// Name of a node's op.
pub(super) fn op_of(node: &NodeRecord) -> &'static str {
    ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("unknown", |op| op.name)
}

fn no_dense(file: &ModelFile, output: usize, node: usize, op: &'static str) -> HeadError {
    HeadError::NoDense { output, node: file.metadata.nodes.get(node).cloned().unwrap_or_default(), op }
}

fn are_features(file: &ModelFile, tensor: u32) -> Result<(), HeadError> {
    let features = &file.tensors[tensor as usize];
    let is_vector = features.pixels() == 1 && features.length_group == 0;
    if features.element_type == ElementType::I8 && is_vector && features.elements() <= MOST_FEATURES as usize {
        return Ok(());
    }
    let name = file.metadata.tensors.get(tensor as usize).cloned().unwrap_or_default();
    Err(HeadError::Features { name, found: format!("{:?} of {:?}", features.shape(), features.element_type) })
}

/// Adds a closed-form head to a file: it learns the [features](features_of) of samples as a device would, one label from 0 on
/// for each, and its sums, weights and limit of the unknown go into the file. The file's outputs stay as they are, its
/// [hash](samara_runtime::Model::hash) changes.
///
/// # Errors
/// [`HeadError`]. The file is then as before.
pub fn add_closed_form_head(
    file: &mut ModelFile,
    rows: &[Vec<i8>],
    labels: &[usize],
    options: ClosedFormOptions,
) -> Result<(), HeadError> {
    let (node, feature_tensor) = dense_of(file, options.output)?;
    let features = file.tensors[feature_tensor as usize].elements();
    let classes = labels.iter().max().map_or(1, |label| label + 1);
    let capacity = options.capacity.unwrap_or(classes + 4);
    check(rows.len(), labels, capacity, &options)?;
    let mut with_head = file.clone();
    with_head.constants.resize(with_head.constants.len().next_multiple_of(4), 0);
    let place = with_head.constants.len();
    let strangeness = options.unknown.map(|unknown| unknown.strangeness);
    let number = with_head.heads.len();
    with_head.heads.push(HeadRecord {
        node,
        feature_tensor,
        features: features as u32,
        classes: classes as u32,
        capacity: capacity as u32,
        kind: HeadKind::ClosedForm as u8,
        strangeness: strangeness.map_or(0, |strangeness| strangeness as u8),
        output: options.output as u16,
        constants: place as u32,
        shrinkage: options.shrinkage,
        limit: f32::INFINITY,
        error_rate: options.unknown.map_or(0.0, |unknown| unknown.error_rate),
        block: None,
    });
    let constants = 4 * (sums_words(classes, features) + solution_words(classes, features));
    with_head.constants.resize(place + constants, 0);

    let blank = DeviceModel::new(&with_head.to_bytes())?;
    let is_held_back = |sample: usize| options.unknown.is_some() && sample % CALIBRATION_SHARE == CALIBRATION_SHARE - 1;
    let mut memory = AlignedBuffer::zeros(closed_form_bytes(blank.bytes(), number));
    let mut scratch = AlignedBuffer::zeros(solve_bytes(blank.bytes(), number));
    let mut head = ClosedFormHead::new(&blank.model()?, number, memory.as_mut_slice())?;
    for (sample, (row, &label)) in rows.iter().zip(labels).enumerate() {
        if !is_held_back(sample) {
            head.add(row, label)?;
        }
    }
    head.solve(scratch.as_mut_slice())?;
    if let Some(unknown) = options.unknown {
        let held_back = rows.iter().enumerate().filter(|(sample, _)| is_held_back(*sample));
        let mut scores = Vec::new();
        for (_, row) in held_back {
            scores.push(head.classify(row)?.strangeness);
        }
        scores.sort_by(|a, b| b.total_cmp(a));
        let too_few = HeadError::TooFewSamples { samples: scores.len(), rate: unknown.error_rate };
        with_head.heads[number].limit = scores[conformal::rank(scores.len(), unknown.error_rate).ok_or(too_few)? - 1];
    }
    let kept = kept_words(&head);
    with_head.constants.truncate(place);
    with_head.constants.extend(kept.iter().flat_map(|word| word.to_le_bytes()));
    *file = with_head;
    Ok(())
}

fn check(samples: usize, labels: &[usize], capacity: usize, options: &ClosedFormOptions) -> Result<(), HeadError> {
    if samples != labels.len() {
        return Err(HeadError::Labels { samples, labels: labels.len() });
    }
    let most = capacity.min(MOST_CLASSES as usize);
    if let Some((sample, &label)) = labels.iter().enumerate().find(|(_, label)| **label >= most) {
        return Err(HeadError::Label { sample, label, capacity: most.max(1) });
    }
    if !(options.shrinkage > 0.0 && options.shrinkage <= 1.0) {
        return Err(HeadError::Range { what: "shrinkage", value: options.shrinkage, most: "is at most 1" });
    }
    match options.unknown {
        Some(Unknown { error_rate, .. }) if !(error_rate > 0.0 && error_rate < 1.0) => {
            Err(HeadError::Range { what: "error rate", value: error_rate, most: "below 1" })
        }
        _ => Ok(()),
    }
}

/// What a file with the head's samples holds of it: the sums, and the solution, for the classes that the file knows.
fn kept_words(head: &ClosedFormHead<'_>) -> Vec<u32> {
    let record = head.record();
    let (features, classes, capacity) = (record.features, record.classes, record.capacity);
    let sums: Vec<u32> = head.sums().as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let solution: Vec<u32> = head.solution().iter().map(|value| value.to_bits()).collect();
    let (counts, sums) = sums.split_at(capacity);
    let (forgotten, sums) = sums.split_at(1);
    let (sums, moments) = sums.split_at(capacity * features);
    let (weights, solution) = solution.split_at(capacity * features);
    let (biases, centre) = solution.split_at(capacity);
    let (sums, weights) = (&sums[..classes * features], &weights[..classes * features]);
    [&counts[..classes], forgotten, sums, moments, weights, &biases[..classes], centre].concat()
}

/// The features that the body computes of samples, for a head of this output: what a device's
/// [`Session::features`](samara_runtime::Session::features) gives. A tensor of samples for each input.
///
/// # Errors
/// If the output has no dense layer, or a sample does not fit the model's inputs.
pub fn features_of(file: &ModelFile, output: usize, samples: &[Tensor]) -> Result<Vec<Vec<i8>>, HeadError> {
    let (node, tensor) = dense_of(file, output)?;
    features_at(file, node, tensor, samples)
}

/// The values of an int8 tensor that the body computes of samples up to a node: for a head those of its record's node and feature tensor.
///
/// # Errors
/// If a sample does not fit the model's inputs.
pub fn features_at(file: &ModelFile, node: u16, tensor: u32, samples: &[Tensor]) -> Result<Vec<Vec<i8>>, HeadError> {
    let work = |session: &mut Session<'_>, sample: usize| {
        for (input, values) in samples.iter().enumerate() {
            write_sample(session, input, values, sample)?;
        }
        session.run_until(node);
        let row = session.tensors().get(tensor).1.iter().map(|&byte| byte as i8).collect();
        session.abandon();
        Ok(row)
    };
    let count = samples.iter().map(Tensor::samples).min().unwrap_or(0);
    Ok(DeviceModel::new(&file.to_bytes())?.work_each(count, work)?)
}
