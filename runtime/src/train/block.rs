//! The last block of a net, trained by gradients: a depthwise convolution, the linear layer behind it and the head, in f32, over the int8
//! features that a frozen body computes. For what a head alone cannot give: another voice, another sensor, features that were never needed.
//!
//! Of features `x` [H, W, C] (`scale * (q - zero_point)`), at each place p, with bounds `clip` of each layer:
//!
//! - `y_pc = clip(b_c + sum over taps of w_tc * x_(p+t)c)`, or `y_pc = x_pc` where there is no depthwise convolution;
//! - `u_pm = clip(b_m + sum_c W_mc * y_pc)`, and its mean over all places, `a_m`;
//! - `z_k = b_k + sum_m V_km * a_m`, which the loss looks at ([`Loss`](super::Loss)).
//!
//! A dense layer is the linear layer at a single place. What was folded into the layers, batch-norms, stays as it was.
//!
//! Each sample is learned as it is added, so that the memory has no samples, and as gradients the one copy of all weights that a momentum
//! needs anyway, the direction `d`: a batch's first sample makes `d = m * d`, and each adds its gradient, `d = d + g / n`, n the size of a whole batch.
//! [`step`](BlockHead::step) then goes, with rate r, decay y, limit l = `clip_norm / (1 - m)` and `f = min(1, l / norm of d)`:
//!
//! `d = f * d`, `w = w - r * y * w` (not biases), `w = w - r * d`.
//!
//! Without clipping this is SGD as of a [`GradientHead`](super::GradientHead). What is clipped is the direction, to what gradients of `clip_norm` could add
//! up to. What the linear layer reads is not kept, but computed again on the way back; of its outputs a bit each is kept, whether
//! they were within the bounds.
//!
//! All is plain f32 in the order written: the same bits on every core and on the host.

use super::{
    Step, Target, TrainError,
    block_depthwise::Features,
    block_kernels::{self as kernels, Parts, PartsMut},
    block_record::{BlockRecord, BlockSizes, TILE},
    check_count,
    gradient::{GradientOptions, largest},
    record::{Head, HeadKind},
    words,
};
use crate::{math::Exact, model::Model, op::copy};

/// The last block of a net, trained in place.
#[derive(Debug)]
pub struct BlockHead<'a> {
    record: Head<'a>,
    block: BlockRecord,
    sizes: BlockSizes,
    options: GradientOptions<'a>,
    /// All weights and biases, as [`BlockSizes::parts`] has them.
    solution: &'a mut [f32],
    /// As the solution: where it goes.
    direction: &'a mut [f32],
    /// Means of the linear layer's units; on the way back their derivatives.
    units: &'a mut [f32],
    /// The target, first; then the derivatives of the outputs.
    outputs: &'a mut [f32],
    /// What the linear layer reads at some places.
    tile: &'a mut [f32],
    /// Room for the features of a few channels around these, or for a sum of rows.
    strip: &'a mut [f32],
    /// The derivatives of what it reads where all units pass.
    open: &'a mut [f32],
    /// For each tile and unit a bit for each place.
    masks: &'a mut [u8],
    /// Samples of a step, those that were added, and the sum of their losses.
    batch: usize,
    filled: usize,
    loss: f32,
}

impl<'a> BlockHead<'a> {
    /// The block of that number in the file, which makes a step of so many samples, in memory of [`block_bytes`](super::block_bytes). It
    /// begins with the file's weights. Classes that the file does not know are never found before a step with a sample of theirs.
    ///
    /// # Errors
    /// [`TrainError::NoSuchHead`] (if it is no block, too), [`TrainError::Record`], [`TrainError::Options`] (a batch of 0, too),
    /// [`TrainError::MemoryTooSmall`], [`TrainError::MemoryMisaligned`].
    pub fn new(
        model: &Model<'a>,
        number: usize,
        batch: usize,
        options: GradientOptions<'a>,
        memory: &'a mut [u8],
    ) -> Result<Self, TrainError> {
        let record = model.head(number)?;
        if record.kind == HeadKind::Block { Self::of(record, batch, options, memory) } else { Err(TrainError::NoSuchHead) }
    }

    pub(super) fn of(
        record: Head<'a>,
        batch: usize,
        options: GradientOptions<'a>,
        memory: &'a mut [u8],
    ) -> Result<Self, TrainError> {
        let block = record.block.ok_or(TrainError::Record)?;
        let sizes = block.sizes(record.capacity).ok_or(TrainError::Record)?;
        options.check(sizes.classes)?;
        if batch == 0 {
            return Err(TrainError::Options);
        }
        let words: &mut [f32] = words(memory, sizes.words())?;
        let cut = |words: &'a mut [f32], count| words.split_at_mut_checked(count).ok_or(TrainError::Record);
        let (solution, rest) = cut(words, sizes.parameters())?;
        let (direction, rest) = cut(rest, sizes.parameters())?;
        let (units, rest) = cut(rest, sizes.units)?;
        let (outputs, rest) = cut(rest, sizes.classes)?;
        let (tile, rest) = cut(rest, sizes.tile() * sizes.channels)?;
        let (strip, rest) = cut(rest, sizes.strip_words())?;
        let (open, rest) = cut(rest, sizes.open_words())?;
        let (filled, loss, masks) = (0, 0.0, bytemuck::cast_slice_mut(rest));
        let mut head = Self {
            record,
            block,
            sizes,
            options,
            solution,
            direction,
            units,
            outputs,
            tile,
            strip,
            open,
            masks,
            batch,
            filled,
            loss,
        };
        head.reset();
        Ok(head)
    }

    /// Forgets all that was learned on the device, and the samples of a step that was not made: the block is the file's.
    pub fn reset(&mut self) {
        let Head { classes, capacity, .. } = self.record;
        let before = self.sizes.parameters() - capacity * (self.sizes.units + 1);
        let never = self.options.loss.bias_of_the_unseen();
        let (file_before, file_head) = self.record.solution().split_at_checked(before).unwrap_or_default();
        let (file_weights, file_biases) = file_head.split_at_checked(classes * self.sizes.units).unwrap_or_default();
        let (to_before, to_head) = self.solution.split_at_mut_checked(before).unwrap_or_default();
        let (to_weights, to_biases) = to_head.split_at_mut_checked(capacity * self.sizes.units).unwrap_or_default();
        to_weights.fill(0.0);
        to_biases.fill(never);
        copy(to_before, file_before);
        to_weights.iter_mut().zip(file_weights).for_each(|(to, from)| *to = *from);
        to_biases.iter_mut().zip(file_biases).for_each(|(to, from)| *to = *from);
        self.stand();
    }

    /// Goes nowhere: no direction, no samples.
    fn stand(&mut self) {
        self.direction.fill(0.0);
        (self.filled, self.loss) = (0, 0.0);
    }

    /// What the file says of the block.
    pub const fn record(&self) -> &Head<'a> {
        &self.record
    }

    /// How large it is.
    pub const fn sizes(&self) -> &BlockSizes {
        &self.sizes
    }

    /// How it is trained.
    pub const fn options(&self) -> &GradientOptions<'a> {
        &self.options
    }

    /// All weights and biases, as [`BlockSizes::parts`] has them: what was learned, to be saved and [restored](Self::restore). Biases of
    /// classes that were never seen are negative infinity.
    pub fn solution(&self) -> &[f32] {
        self.solution
    }

    /// Takes weights and biases that were saved; the direction begins at zero, samples of a step that was not made are gone.
    ///
    /// # Errors
    /// [`TrainError::Sums`] if they are not as many as this block's, or not finite; the block is then as before.
    pub fn restore(&mut self, solution: &[f32]) -> Result<(), TrainError> {
        if solution.len() != self.solution.len() || !self.is_sound(solution) {
            return Err(TrainError::Sums);
        }
        copy(self.solution, solution);
        self.stand();
        Ok(())
    }

    /// Whether all is finite, but for biases of classes that were never seen.
    fn is_sound(&self, solution: &[f32]) -> bool {
        let biases = self.sizes.parameters() - self.sizes.classes;
        let never = self.options.loss.bias_of_the_unseen();
        solution.iter().enumerate().all(|(place, value)| value.is_finite() || (place >= biases && *value == never))
    }

    /// Samples that were added since the last step.
    pub const fn waiting(&self) -> usize {
        self.filled
    }

    /// Samples that make the step whole.
    pub const fn room(&self) -> usize {
        self.batch.saturating_sub(self.filled)
    }

    /// Adds the gradient of a sample.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`], [`TrainError::NoSuchClass`]; [`TrainError::Target`] if the target does not go with the loss;
    /// [`TrainError::Full`] if the batch is: call [`step`](Self::step).
    pub fn add(&mut self, features: &[i8], target: Target<'_>) -> Result<(), TrainError> {
        check_count(features, self.record.features)?;
        if self.filled >= self.batch {
            return Err(TrainError::Full { capacity: self.batch as u32 });
        }
        let loss = self.options.loss;
        loss.encode(target, self.sizes.classes, self.outputs)?;
        if self.filled == 0 {
            self.direction.iter_mut().for_each(|d| *d *= self.options.momentum);
        }
        self.filled += 1;
        let biases = self.sizes.parameters() - self.sizes.classes;
        let unseen = self.solution.iter_mut().skip(biases).enumerate().filter(|(_, bias)| **bias == f32::NEG_INFINITY);
        unseen.filter(|(class, _)| loss.names(self.outputs, *class)).for_each(|(_, bias)| *bias = 0.0);
        self.forward(features);
        let weights = Parts::of(&self.sizes, self.solution);
        self.loss += loss.derive(outputs(&self.sizes, &weights, self.units), self.outputs, self.options.class_weights);
        self.backward(features);
        Ok(())
    }

    /// The means of all units.
    fn forward(&mut self, features: &[i8]) {
        let (block, sizes) = (&self.block, &self.sizes);
        let weights = Parts::of(sizes, self.solution);
        let features = Features::new(&self.record, block, sizes, features);
        self.units.fill(0.0);
        for (number, masks) in self.masks.chunks_exact_mut(sizes.units).enumerate() {
            let first = number * TILE;
            let tile = tile_at(sizes, self.tile, first);
            features.read(&weights, first, tile, self.strip);
            kernels::forward(&block.linear, &weights, tile, sizes.channels, self.units, masks);
        }
        let share = 1.0 / sizes.places as f32;
        self.units.iter_mut().for_each(|unit| *unit *= share);
    }

    /// Adds the gradients of all that led to the derivatives of the outputs.
    fn backward(&mut self, features: &[i8]) {
        let (block, sizes) = (&self.block, &self.sizes);
        let weights = Parts::of(sizes, self.solution);
        let mut to = PartsMut::of(sizes, self.direction);
        let features = Features::new(&self.record, block, sizes, features);
        let share = 1.0 / self.batch as f32;
        self.outputs.iter_mut().for_each(|slope| *slope *= share);
        for ((row, bias), slope) in to.head.chunks_exact_mut(sizes.units).zip(to.head_biases.iter_mut()).zip(&*self.outputs) {
            row.iter_mut().zip(&*self.units).for_each(|(to, unit)| *to += slope * unit);
            *bias += slope;
        }
        self.units.fill(0.0);
        for (row, slope) in weights.head.chunks_exact(sizes.units).zip(&*self.outputs) {
            self.units.iter_mut().zip(row).for_each(|(to, weight)| *to += slope * weight);
        }
        let share = 1.0 / sizes.places as f32;
        self.units.iter_mut().for_each(|slope| *slope *= share);
        kernels::descend_open(&weights, self.units, self.open);
        // From the last tile back: that is still there.
        let mut is_there = true;
        for (number, masks) in self.masks.chunks_exact(sizes.units).enumerate().rev() {
            let first = number * TILE;
            let tile = tile_at(sizes, self.tile, first);
            if !is_there {
                features.read(&weights, first, tile, self.strip);
            }
            is_there = false;
            kernels::add_gradients(&mut to, tile, sizes.channels, self.units, masks, self.strip);
            if sizes.taps > 0 {
                let list: &mut [u32] = bytemuck::cast_slice_mut(self.strip);
                kernels::descend(&block.depthwise, &weights, tile, (self.open, list.as_chunks_mut().0), self.units, masks);
                features.add_gradients(&mut to, first, tile, self.strip);
            }
        }
    }

    /// Learns from the samples that were added.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`] if there are none; [`TrainError::NotFinite`] if loss or gradient is no finite number: the block is then
    /// as before, and its direction zero.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        if self.filled == 0 {
            return Err(TrainError::NoSamples);
        }
        let loss = self.loss / self.filled as f32;
        (self.filled, self.loss) = (0, 0.0);
        let norm = Exact::square_root(self.direction.iter().fold(0.0, |sum, d| sum + d * d));
        if !(loss.is_finite() && norm.is_finite()) {
            self.stand();
            return Err(TrainError::NotFinite);
        }
        let GradientOptions { learning_rate, momentum, weight_decay, clip_norm, .. } = self.options;
        let limit = clip_norm / (1.0 - momentum);
        if norm > limit {
            let factor = limit / norm;
            self.direction.iter_mut().for_each(|d| *d *= factor);
        }
        let decay = learning_rate * weight_decay;
        let PartsMut { depthwise, linear, head, .. } = PartsMut::of(&self.sizes, self.solution);
        for weights in [depthwise, linear, head] {
            weights.iter_mut().for_each(|weight| *weight -= decay * *weight);
        }
        self.solution.iter_mut().zip(&*self.direction).for_each(|(value, d)| *value -= learning_rate * d);
        Ok(Step { loss, norm })
    }

    /// What the outputs say of a sample: probabilities, or for the squared error numbers, one for each class that there is room for.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`]; [`TrainError::MemoryTooSmall`] if `to` has no place for each output.
    pub fn predict(&mut self, features: &[i8], to: &mut [f32]) -> Result<(), TrainError> {
        check_count(features, self.record.features)?;
        let (found, capacity) = (4 * to.len() as u32, self.sizes.classes);
        let to = to.get_mut(..capacity).ok_or(TrainError::MemoryTooSmall { required: 4 * capacity as u32, found })?;
        self.forward(features);
        let weights = Parts::of(&self.sizes, self.solution);
        to.iter_mut().zip(outputs(&self.sizes, &weights, self.units)).for_each(|(to, output)| *to = output);
        self.options.loss.activate(to);
        Ok(())
    }

    /// The class of the largest output, the first of equal ones.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`]; [`TrainError::NoSamples`] if the head knows no class.
    pub fn classify(&mut self, features: &[i8]) -> Result<usize, TrainError> {
        check_count(features, self.record.features)?;
        self.forward(features);
        let weights = Parts::of(&self.sizes, self.solution);
        largest(outputs(&self.sizes, &weights, self.units)).ok_or(TrainError::NoSamples)
    }
}

/// The part of the tile that the places from `first` on take.
fn tile_at<'t>(sizes: &BlockSizes, tile: &'t mut [f32], first: usize) -> &'t mut [f32] {
    let places = sizes.places.saturating_sub(first);
    let places = if places < TILE { places } else { TILE };
    tile.get_mut(..places * sizes.channels).unwrap_or_default()
}

/// The outputs of the head, one after the other, from the means of the units.
fn outputs<'s>(sizes: &BlockSizes, weights: &Parts<'s>, units: &'s [f32]) -> impl Iterator<Item = f32> + use<'s> {
    let rows = weights.head.chunks_exact(sizes.units.max(1)).zip(weights.head_biases);
    rows.map(move |(row, bias)| bias + row.iter().zip(units).fold(0.0, |sum, (weight, unit)| sum + weight * unit))
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
