//! Heads that a device trains by gradients: the weights of a dense layer go into the model file in f32.

use super::{
    heads::{HeadError, dense_of},
    run::DeviceModel,
};
use samara_runtime::{
    LoadError,
    format::writer::{ModelFile, decode_parameters},
    ops::linear::LinearI8,
    simd,
    train::{
        HeadKind,
        record::{HeadRecord, MOST_CLASSES},
    },
};

/// What a dense head is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DenseHeadOptions {
    /// The output of the model whose last dense layer the head stands for.
    pub output: usize,
    /// Classes that a device has room for; at least those of the layer. None for as many.
    pub capacity: Option<usize>,
}

/// Adds a head to a file that a device trains by gradients, a [`GradientHead`](samara_runtime::train::GradientHead): it begins with the
/// kernel `[features, classes]` and the bias `[classes]` of the dense layer at the end of the output, as
/// [`Model::parameter`](crate::Model::parameter) gives them (a kernel of zeros and a bias of zeros for a new one; no bias is one of zeros). What was folded into
/// that layer, a batch-norm before it, must be in them. The file's outputs stay as they are, its
/// [hash](samara_runtime::Model::hash) changes.
///
/// # Errors
/// [`HeadError`]. The file is then as before.
pub fn add_dense_head(file: &mut ModelFile, options: DenseHeadOptions, kernel: &[f32], bias: &[f32]) -> Result<(), HeadError> {
    let (node, feature_tensor) = dense_of(file, options.output)?;
    let features = file.tensors[feature_tensor as usize].elements();
    let classes = file.tensors[file.nodes[usize::from(node)].output as usize].elements();
    let capacity = capacity_of(options, classes)?;
    let is_finite = kernel.iter().chain(bias).all(|value| value.is_finite());
    if kernel.len() != features * classes || ![0, classes].contains(&bias.len()) || !is_finite {
        return Err(HeadError::Weights { kernel: kernel.len(), bias: bias.len(), features, classes });
    }
    file.constants.resize(file.constants.len().next_multiple_of(4), 0);
    let constants = file.constants.len() as u32;
    let rows = (0..classes).flat_map(|class| kernel.iter().skip(class).step_by(classes));
    let biases = bias.iter().copied().chain(std::iter::repeat_n(0.0, classes - bias.len()));
    file.constants.extend(rows.copied().chain(biases).flat_map(f32::to_le_bytes));
    file.heads.push(HeadRecord {
        node,
        feature_tensor,
        features: features as u32,
        classes: classes as u32,
        capacity: capacity as u32,
        kind: HeadKind::Dense as u8,
        output: options.output as u16,
        constants,
        ..HeadRecord::default()
    });
    Ok(())
}

/// Kernel `[features, classes]` and bias `[classes]` of the dense layer at the end of an output, as the file's int8 layer computes it, so that
/// a head that begins with them gives the file's answers, but for the rounding and the bounds of the layer's output. What was folded into the
/// layer is in them.
///
/// # Errors
/// [`HeadError::NoSuchOutput`], [`HeadError::NoDense`] and [`HeadError::Features`]; [`HeadError::Run`] if the runtime refuses the file.
pub fn dense_weights(file: &ModelFile, output: usize) -> Result<(Vec<f32>, Vec<f32>), HeadError> {
    // From here on parameters and constants are what the runtime takes.
    DeviceModel::new(&file.to_bytes())?;
    let (number, feature_tensor) = dense_of(file, output)?;
    let node = &file.nodes[usize::from(number)];
    let [features, channels] = [feature_tensor, node.output].map(|tensor| file.tensors[tensor as usize].elements());
    let (linear, _) = decode_parameters::<LinearI8>(&node.parameters).ok_or(LoadError::Section)?;
    let place = |class: usize, feature: usize| simd::paired_position(class, feature, features);
    let (rows, biases) = layer_weights(file, number.into(), Layer { linear, fan_in: features, channels }, place);
    let kernel = (0..features).flat_map(|feature| rows.iter().copied().skip(feature).step_by(features)).collect();
    Ok((kernel, biases))
}

/// The classes that there is to be room for.
pub(super) fn capacity_of(options: DenseHeadOptions, classes: usize) -> Result<usize, HeadError> {
    let capacity = options.capacity.unwrap_or(classes);
    if (classes..=MOST_CLASSES as usize).contains(&capacity) {
        Ok(capacity)
    } else {
        Err(HeadError::Capacity { capacity, classes })
    }
}

/// An int8 layer: where its constants are, and how many.
pub(super) struct Layer {
    pub linear: LinearI8,
    pub fan_in: usize,
    pub channels: usize,
}

/// Weights `[channels][fan_in]` and biases of a node's layer in real numbers, of a file that the runtime takes. `place` says where the weight of a
/// channel and an input lies.
pub(super) fn layer_weights(
    file: &ModelFile,
    node: usize,
    Layer { linear, fan_in, channels }: Layer,
    place: impl Fn(usize, usize) -> usize,
) -> (Vec<f32>, Vec<f32>) {
    let node = &file.nodes[node];
    let (input, output) = (file.tensors[node.inputs[0] as usize], file.tensors[node.output as usize]);
    let weight =
        |channel: usize, index: usize| i64::from(file.constants[linear.weights as usize + place(channel, index)] as i8);
    let word = |channel: usize, place: usize| {
        let start = linear.channels as usize + 8 * channel + 4 * place;
        let bytes = file.constants[start..start + 4].try_into().unwrap_or_default();
        i32::from_le_bytes(bytes)
    };
    // `accumulator * multiplier * 2^(shift - 32)` is the output in steps of its scale.
    let factor =
        |channel: usize| f64::from(output.scale) * f64::from(word(channel, 1)) * f64::powi(2.0, i32::from(linear.shift) - 32);
    let step = |channel: usize| factor(channel) / f64::from(input.scale);
    let row = |channel: usize| (0..fan_in).map(move |index| (channel, index));
    let rows =
        (0..channels).flat_map(row).map(|(channel, index)| (weight(channel, index) as f64 * step(channel)) as f32).collect();
    let bias = |channel: usize| {
        let sum: i64 = (0..fan_in).map(|index| weight(channel, index)).sum();
        let bias = i64::from(word(channel, 0)) + i64::from(input.zero_point) * sum;
        (bias as f64 * factor(channel)) as f32
    };
    (rows, (0..channels).map(bias).collect())
}
