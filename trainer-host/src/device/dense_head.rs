//! Heads that a device trains by gradients: the weights of a dense layer go into the model file in f32.

use super::heads::{HeadError, dense_of};
use samara_runtime::{
    format::writer::ModelFile,
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
    let capacity = options.capacity.unwrap_or(classes);
    if !(classes..=MOST_CLASSES as usize).contains(&capacity) {
        return Err(HeadError::Capacity { capacity, classes });
    }
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
