//! Last blocks that a device trains by gradients: the last dense layer, what it reads the mean of, and a depthwise convolution before that.

use super::{
    dense_head::{DenseHeadOptions, Layer, capacity_of, layer_weights},
    heads::{HeadError, dense_of, op_of, producer},
    run::DeviceModel,
};
use samara_runtime::{
    ElementType,
    format::writer::{ModelFile, decode_parameters},
    ops::{
        conv2d::ParametersI8,
        linear::{ClampF32, LinearI8},
        mean,
        window::Window,
    },
    simd,
    tensor::Tensor,
    train::{
        BlockRecord, BlockSizes, HeadKind,
        block_record::{MOST_BLOCK_FEATURES, MOST_PARAMETERS},
        record::HeadRecord,
    },
};

/// The last block of an output, as a file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Block {
    /// The node that it begins with.
    pub node: u16,
    /// What that one reads.
    pub feature_tensor: u32,
    /// Its sizes, windows and bounds.
    pub record: BlockRecord,
    /// Outputs of the dense layer at its end.
    pub classes: usize,
    /// The depthwise convolution, if there is one; the linear layer; the dense layer at the end.
    nodes: [Option<usize>; 3],
}

impl Block {
    /// Its sizes, with room for the file's classes.
    ///
    /// # Panics
    /// Not of a block that [`block_of`] gives.
    pub fn sizes(&self) -> BlockSizes {
        self.record.sizes(self.classes).expect("sizes were looked at when the block was found")
    }

    /// Names of the layers that learn, first to last.
    pub fn layers(&self, file: &ModelFile) -> Vec<String> {
        self.nodes.iter().flatten().map(|&node| file.metadata.nodes.get(node).cloned().unwrap_or_default()).collect()
    }
}

/// What a linear layer or a depthwise convolution is made of.
struct Found {
    node: usize,
    input: u32,
    linear: LinearI8,
    /// All zeros for a dense layer.
    window: Window,
}

const NO_WINDOW: Window = Window { kernel: [0; 2], stride: [0; 2], dilation: [0; 2], padding: [0; 2] };

/// The last block of an output.
///
/// # Errors
/// [`HeadError::NoSuchOutput`], [`HeadError::NoDense`], [`HeadError::Features`]; [`HeadError::NoBlock`], which names the node where it ends.
pub fn block_of(file: &ModelFile, output: usize) -> Result<Block, HeadError> {
    let (head, head_features) = dense_of(file, output)?;
    let head = usize::from(head);
    let none = |node: Option<usize>, reason: &str| HeadError::NoBlock {
        output,
        node: node.map_or("the model's input", |node| file.metadata.nodes.get(node).map_or("", String::as_str)).to_owned(),
        op: node.map_or("an input", |node| op_of(&file.nodes[node])),
        reason: reason.to_owned(),
    };
    let (mut tensor, mut is_mean) = (head_features, false);
    let linear = loop {
        let node = producer(file, tensor);
        let Some(index) = node else { break Err(none(node, "is all that the dense layer reads")) };
        match op_of(&file.nodes[index]) {
            "reshape" => tensor = file.nodes[index].inputs[0],
            "average_pool_i8" | "mean_i8" if !is_mean => {
                if !is_global(file, index) {
                    break Err(none(node, "is no mean over the whole"));
                }
                (tensor, is_mean) = (file.nodes[index].inputs[0], true);
            }
            "dense_i8" | "conv2d_i8" => break layer(file, index).ok_or_else(|| none(node, "is no pointwise one")),
            _ => break Err(none(node, "is neither a dense layer nor a pointwise convolution, nor the mean of what one gives")),
        }
    }?;
    let depthwise = producer(file, linear.input).filter(|&node| op_of(&file.nodes[node]) == "depthwise_conv2d_i8");
    let depthwise = depthwise.and_then(|node| convolution(file, node));
    let first = depthwise.as_ref().unwrap_or(&linear);
    let features = file.tensors[first.input as usize];
    let (node, places) = (first.node, file.tensors[linear.input as usize]);
    let units = file.tensors[file.nodes[linear.node].output as usize];
    let of_image = |tensor: Tensor| match tensor.height_width_channels() {
        Some((height, width, _)) => [height, width],
        None => [tensor.pixels(), 1],
    };
    let [height, width] = of_image(features);
    let record = BlockRecord {
        input: [height as u32, width as u32, features.channels() as u32],
        places: of_image(places).map(|size| size as u16),
        window: depthwise.as_ref().map_or(NO_WINDOW, |found| found.window),
        depthwise: depthwise.as_ref().map_or(ClampF32 { minimum: 0.0, maximum: 0.0 }, |found| bounds(file, found)),
        units: units.channels() as u32,
        linear: bounds(file, &linear),
    };
    let classes = file.tensors[file.nodes[head].output as usize].elements();
    if features.element_type != ElementType::I8 || features.length_group != 0 {
        return Err(none(Some(node), "reads sequences of several lengths"));
    }
    if !is_mean && units.pixels() != 1 {
        return Err(none(Some(linear.node), "gives several places, of which the dense layer reads each instead of their mean"));
    }
    if record.sizes(classes).is_none() {
        let reason = format!(
            "is too large: a block reads at most {MOST_BLOCK_FEATURES} values, and has at most {MOST_PARAMETERS} weights"
        );
        return Err(none(Some(node), &reason));
    }
    let nodes = [depthwise.map(|found| found.node), Some(linear.node), Some(head)];
    Ok(Block {
        node: node as u16,
        feature_tensor: if let Some(node) = nodes[0] { file.nodes[node].inputs[0] } else { linear.input },
        record,
        classes,
        nodes,
    })
}

/// Whether a pool or a mean is over all places.
fn is_global(file: &ModelFile, node: usize) -> bool {
    let node = &file.nodes[node];
    let (input, output) = (file.tensors[node.inputs[0] as usize], file.tensors[node.output as usize]);
    let is_whole = match op_of(node) {
        "mean_i8" => decode_parameters::<mean::Parameters>(&node.parameters)
            .is_some_and(|(mean, _)| u32::from(mean.axes) == (1 << (input.rank - 1)) - 1),
        _ => decode_parameters::<Window>(&node.parameters).is_some_and(|(window, _)| {
            let covers = |axis: usize| u32::from(window.kernel[axis]) >= input.dimensions[axis];
            window.padding == [0, 0] && covers(0) && covers(1)
        }),
    };
    is_whole && output.elements() == input.channels()
}

/// A dense layer or a pointwise convolution.
fn layer(file: &ModelFile, node: usize) -> Option<Found> {
    let record = &file.nodes[node];
    if op_of(record) == "conv2d_i8" {
        return convolution(file, node).filter(|found| found.window.is_pointwise());
    }
    let (linear, _) = decode_parameters(&record.parameters)?;
    Some(Found { node, input: record.inputs[0], linear, window: NO_WINDOW })
}

fn convolution(file: &ModelFile, node: usize) -> Option<Found> {
    let record = &file.nodes[node];
    let (ParametersI8 { window, linear }, _) = decode_parameters(&record.parameters)?;
    Some(Found { node, input: record.inputs[0], linear, window })
}

/// The least and the largest number that an int8 layer gives.
fn bounds(file: &ModelFile, found: &Found) -> ClampF32 {
    let output = file.tensors[file.nodes[found.node].output as usize];
    let real = |q: i8| output.scale * f32::from(i16::from(q) - i16::from(output.zero_point));
    ClampF32 { minimum: real(found.linear.minimum), maximum: real(found.linear.maximum) }
}

/// All weights and biases of the last block of an output, as [`BlockSizes::parts`] has them, as the file's int8 layers compute them, so that
/// a block that begins with them gives the file's answers, but for the rounding of what is between the layers. What was folded into the layers is
/// in them.
///
/// # Errors
/// As [`block_of`]; [`HeadError::Run`] if the runtime refuses the file.
pub fn block_weights(file: &ModelFile, output: usize) -> Result<Vec<f32>, HeadError> {
    // From here on parameters and constants are what the runtime takes.
    DeviceModel::new(&file.to_bytes())?;
    let block = block_of(file, output)?;
    let sizes = block.sizes();
    let mut weights = Vec::with_capacity(sizes.parameters());
    if let Some(found) = block.nodes[0].and_then(|node| convolution(file, node)) {
        let place = |channel: usize, tap: usize| tap * sizes.channels + channel;
        let (rows, biases) = layer_weights(
            file,
            found.node,
            Layer { linear: found.linear, fan_in: sizes.taps, channels: sizes.channels },
            place,
        );
        // Rows of taps become taps of channels.
        weights.extend((0..sizes.taps).flat_map(|tap| rows.iter().skip(tap).step_by(sizes.taps)));
        weights.extend(biases);
    }
    let dense = [(block.nodes[1], sizes.channels, sizes.units), (block.nodes[2], sizes.units, sizes.classes)];
    for (node, fan_in, channels) in dense {
        let Some(found) = node.and_then(|node| layer(file, node)) else { continue };
        let place = |channel: usize, index: usize| simd::paired_position(channel, index, fan_in);
        let (rows, biases) = layer_weights(file, found.node, Layer { linear: found.linear, fan_in, channels }, place);
        weights.extend(rows);
        weights.extend(biases);
    }
    Ok(weights)
}

/// Adds the last block of an output to a file, for a device to train by gradients, as a [`BlockHead`](samara_runtime::train::BlockHead). It begins
/// with these weights and biases: [`block_weights`], or others in the same order. The file's outputs stay as they are, its
/// [hash](samara_runtime::Model::hash) changes.
///
/// # Errors
/// [`HeadError`]. The file is then as before.
pub fn add_block_head(file: &mut ModelFile, options: DenseHeadOptions, weights: &[f32]) -> Result<(), HeadError> {
    let block = block_of(file, options.output)?;
    let capacity = capacity_of(options, block.classes)?;
    let expected = block.sizes().parameters();
    if weights.len() != expected || !weights.iter().all(|value| value.is_finite()) {
        return Err(HeadError::BlockWeights { found: weights.len(), expected });
    }
    let features = file.tensors[block.feature_tensor as usize].elements();
    file.constants.resize(file.constants.len().next_multiple_of(4), 0);
    let constants = file.constants.len() as u32;
    file.constants.extend(weights.iter().flat_map(|weight| weight.to_le_bytes()));
    file.heads.push(HeadRecord {
        node: block.node,
        feature_tensor: block.feature_tensor,
        features: features as u32,
        classes: block.classes as u32,
        capacity: capacity as u32,
        kind: HeadKind::Block as u8,
        output: options.output as u16,
        constants,
        block: Some(block.record),
        ..HeadRecord::default()
    });
    Ok(())
}
