//! What a file says of a head.
//!
//! The heads' section of the file is a list of records, each as long as its first field says (at least
//! [`HEAD_RECORD_BYTES`]); what is behind the fields below is skipped.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u16 | bytes of the record, a multiple of 4 |
//! | 2 | u16 | node that the head stands for: the body is what runs before it |
//! | 4 | u32 | tensor of the features, int8, an input of that node |
//! | 8 | u32 | features, `D` |
//! | 12 | u32 | classes that the file knows, `K` |
//! | 16 | u32 | classes that a device has room for |
//! | 20 | u8 | kind, [`HeadKind`] |
//! | 21 | u8 | score that tells the unknown, [`Strangeness`]; 0 for none |
//! | 22 | u16 | output of the model that the head stands for |
//! | 24 | u32 | offset of the head in the constants, a multiple of 4 |
//! | 28 | f32 | shrinkage of the covariance, above 0, at most 1 (closed form) |
//! | 32 | f32 | the largest score that is known |
//! | 36 | f32 | share of known samples that it takes for unknown |
//!
//! In the constants, closed form: the sums, as [`sums_words`] has them for `K` classes; weights, f32 `[K][D]`; biases, f32
//! `[K]`; centre, f32 `[D]`. Dense: weights and biases alone, of real features. A block: see [`block_record`](super::block_record), which has
//! more fields, too; its `D` is the number of elements of the features.

use super::{
    Loss, TrainError,
    block_record::{BlockRecord, BlockSizes, MOST_BLOCK_FEATURES},
};
use crate::{
    format::header::{array, assert_header, at, u16_at, u32_at},
    model::Model,
    tensor::ElementType,
};

/// Size of a head's record in this version.
pub const HEAD_RECORD_BYTES: usize = 40;
/// Most features, so that no size overflows. (Their second moments would be 33 MB.)
pub const MOST_FEATURES: u32 = 4096;
/// Most classes, likewise.
pub const MOST_CLASSES: u32 = 4096;

/// How a head is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)]
pub enum HeadKind {
    /// Solved from sums: [`ClosedFormHead`](super::ClosedFormHead).
    ClosedForm = 1,
    /// Trained by gradients, from the weights of the dense layer that it stands for.
    Dense = 2,
    /// Trained by gradients, with the layer before it and that one's depthwise convolution: [`BlockHead`](super::BlockHead).
    Block = 3,
}

/// The score that tells whether a sample is of no class that the head knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[repr(u8)]
pub enum Strangeness {
    /// The squared Mahalanobis distance from the mean of the class that is found (Lee et al. 2018).
    Distance = 1,
    /// By how little the best class is ahead of the second, negated.
    Margin = 2,
}

/// Where the unknown begins.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Threshold {
    /// The score.
    pub strangeness: Strangeness,
    /// The largest score that is known.
    pub limit: f32,
    /// The share of samples of known classes that it takes for unknown, found by split conformal calibration.
    pub error_rate: f32,
}

/// A head as the file has it.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// How it is learned.
    pub kind: HeadKind,
    /// The node that it stands for.
    pub node: u16,
    /// The tensor of its features.
    pub feature_tensor: u32,
    /// The output of the model that it stands for.
    pub output: u16,
    /// Features.
    pub features: usize,
    /// Classes that the file knows.
    pub classes: usize,
    /// Classes that there is room for.
    pub capacity: usize,
    /// Scale of the features: `real = scale * (q - zero_point)`.
    pub scale: f32,
    /// Zero point of the features.
    pub zero_point: i8,
    /// What is added to the covariance's diagonal, as a share of its mean.
    pub shrinkage: f32,
    /// Where the unknown begins, if the host found out.
    pub threshold: Option<Threshold>,
    /// What is before the dense layer and learns, too; a block alone has it.
    pub block: Option<BlockRecord>,
    /// The file's sums, weights, biases and centre, as words.
    words: &'a [u32],
}

/// Elements of the upper triangle of a symmetric matrix of `n` rows.
pub const fn triangle(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Words of the sums for so many classes: counts, u32 `[classes]`; samples of forgotten classes, u32; sums, i32
/// `[classes][features]`; second moments, i32, the upper triangle row by row.
pub const fn sums_words(classes: usize, features: usize) -> usize {
    classes + 1 + classes * features + triangle(features)
}

/// Words of a solution for so many classes: weights, biases, centre.
pub const fn solution_words(classes: usize, features: usize) -> usize {
    classes * features + classes + features
}

/// Words that a [`ClosedFormHead`](super::ClosedFormHead) works in: sums, solution, one row, and, if it tells the unknown by
/// distances, the factor of the covariance.
pub(super) const fn closed_form_words(capacity: usize, features: usize, has_distances: bool) -> usize {
    let factor = if has_distances { triangle(features) } else { 0 };
    sums_words(capacity, features) + solution_words(capacity, features) + features + factor
}

/// Words that a [`GradientHead`](super::GradientHead) works in: solution and velocity, and for each sample of a batch a derivative for
/// each output, and int8 features.
pub(super) const fn gradient_words(capacity: usize, features: usize, batch: usize) -> usize {
    2 * capacity * (features + 1) + batch * capacity + (batch * features).div_ceil(4)
}

/// Words that a [`Guard`](super::Guard) works in: weights, targets, and int8 features.
pub(super) const fn guard_words(capacity: usize, features: usize, samples: usize, target: usize) -> usize {
    capacity * (features + 1) + samples * target + (samples * features).div_ceil(4)
}

/// Words that a solution is computed in: a factor, and the features' totals and centre.
pub(super) const fn solve_words(features: usize) -> usize {
    triangle(features) + 2 * features
}

/// The record of head `number`, cut at the end of the section.
const fn record(model: &[u8], number: usize) -> Option<&[u8]> {
    // Fields that a short header does not have read as 0.
    let Some((header, _)) = model.split_at_checked(u16_at(model, at::HEADER_BYTES) as usize) else { return None };
    let Some((_, section)) = model.split_at_checked(u32_at(header, at::HEADS_OFFSET) as usize) else { return None };
    let Some((mut rest, _)) = section.split_at_checked(u32_at(header, at::HEADS_BYTES) as usize) else { return None };
    let mut before = number;
    loop {
        match cut(rest) {
            None => return None,
            Some((record, _)) if before == 0 => return Some(record),
            Some((_, behind)) => (before, rest) = (before - 1, behind),
        }
    }
}

/// The first record of a section, and what is behind it.
const fn cut(section: &[u8]) -> Option<(&[u8], &[u8])> {
    match u16_at(section, 0) as usize {
        HEAD_RECORD_BYTES.. => section.split_at_checked(u16_at(section, 0) as usize),
        _ => None,
    }
}

/// A record, field for field.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[expect(missing_docs, reason = "the module's table explains the fields")]
pub struct HeadRecord {
    pub node: u16,
    pub feature_tensor: u32,
    pub features: u32,
    pub classes: u32,
    pub capacity: u32,
    pub kind: u8,
    pub strangeness: u8,
    pub output: u16,
    pub constants: u32,
    pub shrinkage: f32,
    pub limit: f32,
    pub error_rate: f32,
    pub block: Option<BlockRecord>,
}

impl HeadRecord {
    /// The fields of a record's bytes; zeros past their end.
    pub const fn read(bytes: &[u8]) -> Self {
        let [kind, strangeness] = array(bytes, 20);
        Self {
            node: u16_at(bytes, 2),
            feature_tensor: u32_at(bytes, 4),
            features: u32_at(bytes, 8),
            classes: u32_at(bytes, 12),
            capacity: u32_at(bytes, 16),
            kind,
            strangeness,
            output: u16_at(bytes, 22),
            constants: u32_at(bytes, 24),
            shrinkage: f32::from_bits(u32_at(bytes, 28)),
            limit: f32::from_bits(u32_at(bytes, 32)),
            error_rate: f32::from_bits(u32_at(bytes, 36)),
            block: if kind == HeadKind::Block as u8 { Some(BlockRecord::read(bytes)) } else { None },
        }
    }

    /// The record's bytes.
    #[cfg(feature = "std")]
    pub fn to_bytes(&self) -> std::vec::Vec<u8> {
        let block = self.block.map(BlockRecord::to_bytes).unwrap_or_default();
        let bytes = [
            &((HEAD_RECORD_BYTES + block.len()) as u16).to_le_bytes()[..],
            &self.node.to_le_bytes(),
            &self.feature_tensor.to_le_bytes(),
            &self.features.to_le_bytes(),
            &self.classes.to_le_bytes(),
            &self.capacity.to_le_bytes(),
            &[self.kind, self.strangeness],
            &self.output.to_le_bytes(),
            &self.constants.to_le_bytes(),
            &self.shrinkage.to_le_bytes(),
            &self.limit.to_le_bytes(),
            &self.error_rate.to_le_bytes(),
            &block,
        ];
        bytes.concat()
    }

    /// The records of a section, up to the first that is malformed.
    #[cfg(feature = "std")]
    pub(crate) fn all(mut section: &[u8]) -> impl Iterator<Item = Self> + '_ {
        core::iter::from_fn(move || {
            let (record, behind) = cut(section)?;
            section = behind;
            Some(Self::read(record))
        })
    }
}

#[expect(clippy::panic, reason = "meant for compile time, where the panic is the error message")]
const fn sizes(model: &[u8], number: usize) -> (usize, usize) {
    assert_header(model);
    let Some(record) = record(model, number) else { panic!("the model has no head of that number") };
    let HeadRecord { features, capacity, .. } = HeadRecord::read(record);
    if features > MOST_FEATURES || capacity > MOST_CLASSES {
        panic!("the model's head has a malformed record");
    }
    (features as usize, capacity as usize)
}

/// Bytes of memory that the [`ClosedFormHead`](super::ClosedFormHead) of head `number` needs. Meant for compile time.
///
/// # Panics
/// If `model` does not start with a header of this version, or has no such head.
pub const fn closed_form_bytes(model: &[u8], number: usize) -> usize {
    let (features, capacity) = sizes(model, number);
    let has_distances = match record(model, number) {
        Some(record) => HeadRecord::read(record).strangeness == Strangeness::Distance as u8,
        None => false,
    };
    4 * closed_form_words(capacity, features, has_distances)
}

/// Bytes that [`solve`](super::ClosedFormHead::solve) of head `number` works in. Meant for compile time.
///
/// # Panics
/// As [`closed_form_bytes`].
pub const fn solve_bytes(model: &[u8], number: usize) -> usize {
    4 * solve_words(sizes(model, number).0)
}

/// Bytes of the [`sums`](super::ClosedFormHead::sums) of head `number` on a device. Meant for compile time.
///
/// # Panics
/// As [`closed_form_bytes`].
pub const fn sums_bytes(model: &[u8], number: usize) -> usize {
    let (features, capacity) = sizes(model, number);
    4 * sums_words(capacity, features)
}

/// Bytes of memory that the [`GradientHead`](super::GradientHead) of head `number` needs, for batches of so many samples. Meant for compile
/// time.
///
/// # Panics
/// As [`closed_form_bytes`].
pub const fn gradient_bytes(model: &[u8], number: usize, batch: usize) -> usize {
    let (features, capacity) = sizes(model, number);
    4 * gradient_words(capacity, features, batch)
}

/// Bytes of memory that the [`Guard`](super::Guard) of head `number` needs, trained by that loss, with so many samples held out. Meant for
/// compile time.
///
/// # Panics
/// As [`closed_form_bytes`].
pub const fn guard_bytes(model: &[u8], number: usize, loss: Loss, samples: usize) -> usize {
    let (features, capacity) = sizes(model, number);
    4 * guard_words(capacity, features, samples, loss.target_words(capacity))
}

/// Sizes of block `number`. Meant for compile time.
///
/// # Panics
/// If `model` does not start with a header of this version, or has no such block.
#[expect(clippy::panic, reason = "meant for compile time, where the panic is the error message")]
pub const fn block_sizes(model: &[u8], number: usize) -> BlockSizes {
    assert_header(model);
    let Some(record) = record(model, number) else { panic!("the model has no head of that number") };
    let HeadRecord { block: Some(block), capacity, .. } = HeadRecord::read(record) else { panic!("the head is no block") };
    let Some(sizes) = block.sizes(capacity as usize) else { panic!("the model's block has a malformed record") };
    sizes
}

/// Bytes of memory that the [`BlockHead`](super::BlockHead) of head `number` needs. Meant for compile time.
///
/// # Panics
/// As [`block_sizes`].
pub const fn block_bytes(model: &[u8], number: usize) -> usize {
    4 * block_sizes(model, number).words()
}

impl<'a> Model<'a> {
    /// The head of that number in the file, from 0 on. Its record is checked here.
    ///
    /// # Errors
    /// [`TrainError::NoSuchHead`] and [`TrainError::Record`].
    pub fn head(&self, number: usize) -> Result<Head<'a>, TrainError> {
        let record = record(self.bytes(), number).ok_or(TrainError::NoSuchHead)?;
        Head::decode(self, record).ok_or(TrainError::Record)
    }
}

impl<'a> Head<'a> {
    fn decode(model: &Model<'a>, record: &[u8]) -> Option<Self> {
        let record = HeadRecord::read(record);
        let HeadRecord { node, feature_tensor, features, classes, capacity, output, shrinkage, limit, .. } = record;
        let kind = match record.kind {
            1 => HeadKind::ClosedForm,
            2 => HeadKind::Dense,
            3 => HeadKind::Block,
            _ => return None,
        };
        let strangeness = match record.strangeness {
            0 => None,
            1 => Some(Strangeness::Distance),
            2 => Some(Strangeness::Margin),
            _ => return None,
        };
        let error_rate = record.error_rate;
        let threshold = strangeness.map(|strangeness| Threshold { strangeness, limit, error_rate });
        let reads_features = |node: crate::format::node::Node<'_>| node.inputs().any(|input| input == feature_tensor);
        let tensor = model.tensor(feature_tensor);
        let fits = (feature_tensor as usize) < model.tensor_count()
            && model.nodes().nth(node.into()).is_some_and(reads_features)
            && model.output(output.into()).is_some()
            && tensor.element_type == ElementType::I8
            && tensor.length_group == 0
            && tensor.elements() == features as usize
            && features <= if kind == HeadKind::Block { MOST_BLOCK_FEATURES } else { MOST_FEATURES }
            && (1..=capacity).contains(&classes)
            && capacity <= MOST_CLASSES
            && (kind != HeadKind::ClosedForm || (shrinkage > 0.0 && shrinkage <= 1.0))
            && !limit.is_nan();
        if !fits {
            return None;
        }
        let (features, classes, capacity) = (features as usize, classes as usize, capacity as usize);
        let words = match kind {
            HeadKind::ClosedForm => sums_words(classes, features) + solution_words(classes, features),
            HeadKind::Dense => classes * (features + 1),
            HeadKind::Block => {
                let block = record.block?;
                let [height, width, channels] = block.input.map(|size| size as usize);
                // Room for classes makes it larger, and the sizes of what it works in must fit, too.
                block.sizes(capacity)?;
                if height * width * channels != features {
                    return None;
                }
                block.sizes(classes)?.parameters()
            }
        };
        let bytes = model.view.constants(record.constants, 4 * words)?;
        let words = bytemuck::try_cast_slice(bytes).ok()?;
        Some(Self {
            kind,
            node,
            feature_tensor,
            output,
            features,
            classes,
            capacity,
            scale: tensor.scale,
            zero_point: tensor.zero_point,
            shrinkage,
            threshold,
            block: record.block,
            words,
        })
    }

    /// Whether it tells the unknown by distances, for which it keeps the factor of the covariance.
    pub(super) fn has_distances(&self) -> bool {
        self.threshold.is_some_and(|threshold| threshold.strangeness == Strangeness::Distance)
    }

    /// The file's sums, as [`sums_words`] has them for [`classes`](Self::classes); empty for others.
    pub fn sums(&self) -> &'a [i32] {
        match self.kind {
            HeadKind::ClosedForm => {
                let words = self.words.get(..sums_words(self.classes, self.features));
                bytemuck::cast_slice(words.unwrap_or_default())
            }
            HeadKind::Dense | HeadKind::Block => &[],
        }
    }

    /// The file's weights `[K][D]`, biases `[K]` and, in closed form, the centre `[D]`; of a block all weights and biases.
    pub fn solution(&self) -> &'a [f32] {
        bytemuck::cast_slice(self.words.get(self.sums().len()..).unwrap_or_default())
    }
}

/// Heads of no file: the words that a file would hold, for the first of `[classes that it knows, room for classes]`.
impl<'a> Head<'a> {
    /// A dense head: weights and biases.
    pub(super) const fn dense(
        features: usize,
        [classes, capacity]: [usize; 2],
        scale: f32,
        zero_point: i8,
        words: &'a [u32],
    ) -> Self {
        Self {
            kind: HeadKind::Dense,
            node: 0,
            feature_tensor: 0,
            output: 0,
            features,
            classes,
            capacity,
            scale,
            zero_point,
            shrinkage: 0.0,
            threshold: None,
            block: None,
            words,
        }
    }

    /// A closed form: sums, weights, biases, centre.
    pub(super) const fn closed_form(
        features: usize,
        room: [usize; 2],
        shrinkage: f32,
        threshold: Option<Threshold>,
        words: &'a [u32],
    ) -> Self {
        let kind = HeadKind::ClosedForm;
        Self { kind, shrinkage, threshold, ..Self::dense(features, room, 1.0, 0, words) }
    }

    /// A block: all weights and biases.
    pub(super) const fn block(block: BlockRecord, room: [usize; 2], scale: f32, zero_point: i8, words: &'a [u32]) -> Self {
        let [height, width, channels] = block.input;
        let dense = Self::dense((height * width * channels) as usize, room, scale, zero_point, words);
        Self { kind: HeadKind::Block, block: Some(block), ..dense }
    }
}
