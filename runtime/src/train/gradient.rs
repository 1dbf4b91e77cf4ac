//! A head that is trained by gradients: the last dense layer of an output, in f32, on the int8 features that a frozen body computes. For what
//! the closed form cannot do: numbers, several truths at once, classes that no straight discriminant parts.
//!
//! `z_k = b_k + sum_d w_kd * x_d`, `x_d = scale * (q_d - zero_point)`: K outputs of D features. Samples are gathered into a batch;
//! [`step`](GradientHead::step) computes their outputs with the same weights, and from the derivatives `e_ik` of their losses
//! ([`Loss`]) the gradient `g_kd = sum_i e_ik * x_id / n`, without room for it: each block of elements is computed where it is needed,
//! once for the norm and once for the update. Then, with rate r, momentum m, decay y and the factor `f = min(1, limit / norm of all g)`:
//!
//! `w = w - r * y * w` (not biases), `v = m * v - r * f * g`, `w = w + v`, as Keras's SGD with decoupled `weight_decay` and
//! `global_clipnorm`. A step costs three times the multiply-accumulates of the head's outputs, for each sample.
//!
//! All is plain f32 in the order written, sums ascending: the same bits on every core and on the host.
//!
//! ```no_run
//! use samara_runtime::{Session, train::{GradientHead, Guard, Replay, Target, TrainError, Verdict}};
//!
//! /// Learns an image of a class, beside three of those seen before; `false` if the head is better off without.
//! fn learn(
//!     session: &mut Session<'_>,
//!     head: &mut GradientHead<'_>,
//!     (replay, guard): (&mut Replay<'_>, &mut Guard<'_>),
//!     (image, class): (&[i8], usize),
//! ) -> Result<bool, TrainError> {
//!     session.write_i8(0, image).map_err(|_| TrainError::Record)?;
//!     let features = session.features(head.record());
//!     head.add(features, Target::Class(class))?;
//!     replay.add(features, class)?;
//!     for _ in 0..3 {
//!         if let Some((features, class)) = replay.draw() {
//!             head.add(features, Target::Class(class))?;
//!         }
//!     }
//!     head.step()?;
//!     Ok(matches!(guard.check(head)?, Verdict::Kept { .. }))
//! }
//! ```

use super::{
    Loss, Target, TrainError, check_count,
    record::{Head, HeadKind, gradient_words},
    words,
};
use crate::{
    math::Exact,
    model::Model,
    op::{as_i8_mut, copy},
};

/// How a head is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientOptions<'a> {
    /// What is made small.
    pub loss: Loss,
    /// The rate of learning, 0 or more.
    pub learning_rate: f32,
    /// The share of the last update that the next one keeps, from 0 to below 1.
    pub momentum: f32,
    /// The share of each weight, times the learning rate, that a step takes away, 0 or more.
    pub weight_decay: f32,
    /// The largest norm of all gradients together, above 0: larger ones are scaled down to it. Infinite for none.
    pub clip_norm: f32,
    /// How much each class counts ([`Loss`]), 0 or more for each that there is room for; empty if all count alike.
    pub class_weights: &'a [f32],
}

impl GradientOptions<'_> {
    /// Softmax cross-entropy with a rate of 0.05, a momentum of 0.9 and gradients of a norm of at most 1.
    pub const DEFAULT: Self = Self {
        loss: Loss::SoftmaxCrossEntropy,
        learning_rate: 0.05,
        momentum: 0.9,
        weight_decay: 0.0,
        clip_norm: 1.0,
        class_weights: &[],
    };

    pub(super) fn check(&self, outputs: usize) -> Result<(), TrainError> {
        let is_size = |value: f32| value >= 0.0 && value.is_finite();
        let sound = is_size(self.learning_rate)
            && is_size(self.weight_decay)
            && self.learning_rate * self.weight_decay < 1.0
            && self.momentum >= 0.0
            && self.momentum < 1.0
            && self.clip_norm > 0.0
            && (self.class_weights.is_empty() || self.class_weights.len() == outputs)
            && self.class_weights.iter().all(|&weight| is_size(weight))
            && (self.loss != Loss::SoftmaxCrossEntropy || outputs > 1);
        if sound { Ok(()) } else { Err(TrainError::Options) }
    }
}

impl Default for GradientOptions<'_> {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Step {
    /// The mean loss of the batch's samples before the step.
    pub loss: f32,
    /// The norm of all gradients, before clipping.
    pub norm: f32,
}

/// A dense layer over a frozen body's int8 features, trained in place.
#[derive(Debug)]
pub struct GradientHead<'a> {
    record: Head<'a>,
    options: GradientOptions<'a>,
    /// Weights `[K][D]`, then biases `[K]`.
    solution: &'a mut [f32],
    /// As the solution.
    velocity: &'a mut [f32],
    /// `[batch][K]`: of samples that wait for a step their targets, first; in a step the derivatives of their losses.
    slopes: &'a mut [f32],
    /// `[batch][D]`.
    features: &'a mut [i8],
    /// Samples that there is room for, and that wait.
    batch: usize,
    filled: usize,
}

impl<'a> GradientHead<'a> {
    /// The head of that number in the file, with room for a batch of so many samples, in memory of
    /// [`gradient_bytes`](super::gradient_bytes). It begins with the file's weights. Classes that the file does not know have weights of zero, and
    /// are never found before a step with a sample of theirs.
    ///
    /// # Errors
    /// [`TrainError::NoSuchHead`] (if it is no dense layer's, too), [`TrainError::Record`], [`TrainError::Options`],
    /// [`TrainError::MemoryTooSmall`], [`TrainError::MemoryMisaligned`].
    pub fn new(
        model: &Model<'a>,
        number: usize,
        batch: usize,
        options: GradientOptions<'a>,
        memory: &'a mut [u8],
    ) -> Result<Self, TrainError> {
        let record = model.head(number)?;
        if record.kind == HeadKind::Dense { Self::of(record, batch, options, memory) } else { Err(TrainError::NoSuchHead) }
    }

    pub(super) fn of(
        record: Head<'a>,
        batch: usize,
        options: GradientOptions<'a>,
        memory: &'a mut [u8],
    ) -> Result<Self, TrainError> {
        let Head { features, capacity, .. } = record;
        options.check(capacity)?;
        let words: &mut [f32] = words(memory, gradient_words(capacity, features, batch))?;
        let parameters = capacity * (features + 1);
        let cut = |words: &'a mut [f32], count| words.split_at_mut_checked(count).ok_or(TrainError::Record);
        let (solution, rest) = cut(words, parameters)?;
        let (velocity, rest) = cut(rest, parameters)?;
        let (slopes, rest) = cut(rest, batch * capacity)?;
        let rows = as_i8_mut(bytemuck::cast_slice_mut(rest)).get_mut(..batch * features).unwrap_or_default();
        let mut head = Self { record, options, solution, velocity, slopes, features: rows, batch, filled: 0 };
        head.reset();
        Ok(head)
    }

    /// Forgets all that was learned on the device, and the samples that wait: the head is the file's.
    pub fn reset(&mut self) {
        let Head { features, classes, capacity, .. } = self.record;
        let (weights, biases) = self.record.solution().split_at_checked(classes * features).unwrap_or_default();
        let never = self.options.loss.bias_of_the_unseen();
        let of_file = weights.iter().copied().chain(core::iter::repeat_n(0.0, (capacity - classes) * features));
        let biases = biases.iter().copied().chain(core::iter::repeat_n(never, capacity - classes));
        self.solution.iter_mut().zip(of_file.chain(biases)).for_each(|(to, from)| *to = from);
        self.velocity.fill(0.0);
        self.filled = 0;
    }

    /// What the file says of the head.
    pub const fn record(&self) -> &Head<'a> {
        &self.record
    }

    /// How it is trained.
    pub const fn options(&self) -> &GradientOptions<'a> {
        &self.options
    }

    /// Weights `[capacity][features]`, then biases `[capacity]`: what was learned, to be saved and [restored](Self::restore). Biases of
    /// classes that were never seen are negative infinity.
    pub fn solution(&self) -> &[f32] {
        self.solution
    }

    /// Takes weights and biases that were saved; the velocity begins at zero, samples that wait stay.
    ///
    /// # Errors
    /// [`TrainError::Sums`] if they are not as many as this head's, or not finite; the head is then as before.
    pub fn restore(&mut self, solution: &[f32]) -> Result<(), TrainError> {
        if solution.len() != self.solution.len() || !self.is_sound(solution) {
            return Err(TrainError::Sums);
        }
        self.go_back(solution);
        Ok(())
    }

    /// Whether all is finite, but for biases of classes that were never seen.
    pub(super) fn is_sound(&self, solution: &[f32]) -> bool {
        let weights = self.record.capacity * self.record.features;
        let never = self.options.loss.bias_of_the_unseen();
        let mut places = solution.iter().enumerate();
        places.all(|(place, value)| value.is_finite() || (place >= weights && *value == never))
    }

    /// Samples that wait for a step.
    pub const fn waiting(&self) -> usize {
        self.filled
    }

    /// Samples that the batch has room for.
    pub const fn room(&self) -> usize {
        self.batch.saturating_sub(self.filled)
    }

    /// Puts a sample into the batch.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`], [`TrainError::NoSuchClass`]; [`TrainError::Target`] if the target does not go with the loss;
    /// [`TrainError::Full`] if the batch is: call [`step`](Self::step).
    pub fn add(&mut self, features: &[i8], target: Target<'_>) -> Result<(), TrainError> {
        let (size, outputs) = (self.record.features, self.record.capacity);
        check_count(features, size)?;
        if self.filled >= self.batch {
            return Err(TrainError::Full { capacity: self.batch as u32 });
        }
        self.options.loss.encode(target, outputs, row_mut(self.slopes, self.filled, outputs))?;
        copy(row_mut(self.features, self.filled, size), features);
        self.filled += 1;
        Ok(())
    }

    /// Learns from the samples that wait, which are then gone.
    ///
    /// # Errors
    /// [`TrainError::NoSamples`] if none waits; [`TrainError::NotFinite`] if loss or gradient is no finite number: the head is then
    /// as before.
    pub fn step(&mut self) -> Result<Step, TrainError> {
        let count = core::mem::take(&mut self.filled);
        if count == 0 {
            return Err(TrainError::NoSamples);
        }
        self.open_classes(count);
        let (record, options) = (self.record, self.options);
        let mut loss = 0.0;
        for sample in 0..count {
            let features = row(self.features, sample, record.features);
            let slopes = row_mut(self.slopes, sample, record.capacity);
            loss += options.loss.derive(outputs(&record, self.solution, features), slopes, options.class_weights);
        }
        let loss = loss / count as f32;
        let batch = Batch { record: &record, slopes: self.slopes, features: self.features, count };
        let mut squares = 0.0;
        batch.gradients(|gradient, _| squares += gradient * gradient);
        let norm = Exact::square_root(squares);
        if !(loss.is_finite() && norm.is_finite()) {
            return Err(TrainError::NotFinite);
        }
        let GradientOptions { learning_rate, momentum, weight_decay, clip_norm, .. } = options;
        let (rate, decay) =
            (learning_rate * if norm > clip_norm { clip_norm / norm } else { 1.0 }, learning_rate * weight_decay);
        let mut places = self.solution.iter_mut().zip(self.velocity.iter_mut());
        batch.gradients(|gradient, is_weight| {
            let Some((value, velocity)) = places.next() else { return };
            if is_weight {
                *value -= decay * *value;
            }
            *velocity = momentum * *velocity - rate * gradient;
            *value += *velocity;
        });
        Ok(Step { loss, norm })
    }

    /// Classes that were never seen and are now begin with a bias of zero.
    fn open_classes(&mut self, count: usize) {
        let Head { features, capacity, .. } = self.record;
        let biases = self.solution.iter_mut().skip(capacity * features).enumerate();
        for (class, bias) in biases.filter(|(_, bias)| **bias == f32::NEG_INFINITY) {
            if (0..count).any(|sample| self.options.loss.names(row(self.slopes, sample, capacity), class)) {
                *bias = 0.0;
            }
        }
    }

    /// What the outputs say of a sample: probabilities, or for the squared error numbers, one for each class that there is room for.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`]; [`TrainError::MemoryTooSmall`] if `to` has no place for each output.
    pub fn predict(&self, features: &[i8], to: &mut [f32]) -> Result<(), TrainError> {
        let Head { features: size, capacity, .. } = self.record;
        check_count(features, size)?;
        let found = 4 * to.len() as u32;
        let to = to.get_mut(..capacity).ok_or(TrainError::MemoryTooSmall { required: 4 * capacity as u32, found })?;
        to.iter_mut().zip(outputs(&self.record, self.solution, features)).for_each(|(to, output)| *to = output);
        self.options.loss.activate(to);
        Ok(())
    }

    /// The class of the largest output, the first of equal ones.
    ///
    /// # Errors
    /// [`TrainError::FeatureCount`]; [`TrainError::NoSamples`] if the head knows no class.
    pub fn classify(&self, features: &[i8]) -> Result<usize, TrainError> {
        check_count(features, self.record.features)?;
        largest(outputs(&self.record, self.solution, features)).ok_or(TrainError::NoSamples)
    }

    /// The loss of a sample by other weights than the head's.
    pub(super) fn loss_by(&self, solution: &[f32], features: &[i8], target: &[f32]) -> f32 {
        let outputs = outputs(&self.record, solution, features);
        self.options.loss.value(outputs, target, self.options.class_weights)
    }

    /// Takes back weights, and forgets where they were going.
    pub(super) fn go_back(&mut self, solution: &[f32]) {
        copy(self.solution, solution);
        self.velocity.fill(0.0);
    }
}

/// The number of the largest output, the first of equal ones; none if all are negative infinity.
pub(super) fn largest(outputs: impl Iterator<Item = f32>) -> Option<usize> {
    let mut first = (None, f32::NEG_INFINITY);
    for (class, output) in outputs.enumerate() {
        if output > first.1 {
            first = (Some(class), output);
        }
    }
    first.0
}

/// A row of a matrix with rows of this size.
pub(super) fn row<T>(values: &[T], number: usize, size: usize) -> &[T] {
    values.get(number * size..).and_then(|rest| rest.get(..size)).unwrap_or_default()
}

/// A row of a matrix with rows of this size.
pub(super) fn row_mut<T>(values: &mut [T], number: usize, size: usize) -> &mut [T] {
    values.get_mut(number * size..).and_then(|rest| rest.get_mut(..size)).unwrap_or_default()
}

/// A feature, but for its scale.
fn real(record: &Head<'_>, q: i8) -> f32 {
    f32::from(i16::from(q) - i16::from(record.zero_point))
}

/// The outputs of one sample, one after the other.
fn outputs<'s>(record: &Head<'_>, solution: &'s [f32], features: &'s [i8]) -> impl Iterator<Item = f32> + use<'s> {
    let (size, scale, zero_point) = (record.features, record.scale, i16::from(record.zero_point));
    let (weights, biases) = solution.split_at_checked(record.capacity * size).unwrap_or_default();
    weights.chunks_exact(size.max(1)).zip(biases).map(move |(weights, bias)| {
        let products = weights.iter().zip(features).map(|(weight, &q)| weight * f32::from(i16::from(q) - zero_point));
        bias + scale * products.fold(0.0, |sum, product| sum + product)
    })
}

/// Gradients that are summed side by side, in registers: of 8, 16 and 24 the fastest on a Cortex-M4F.
const BLOCK: usize = 16;

/// What a step learns from.
struct Batch<'b> {
    record: &'b Head<'b>,
    slopes: &'b [f32],
    features: &'b [i8],
    count: usize,
}

impl Batch<'_> {
    /// Shows the mean gradient of each weight, then of each bias, and whether it is a weight's.
    fn gradients(&self, mut show: impl FnMut(f32, bool)) {
        let (size, capacity, count) = (self.record.features, self.record.capacity, self.count as f32);
        let scale = self.record.scale / count;
        for output in 0..capacity {
            let blocks = size - size % BLOCK;
            for feature in (0..blocks).step_by(BLOCK) {
                self.sums::<BLOCK>(output, feature).into_iter().for_each(|sum| show(scale * sum, true));
            }
            for feature in blocks..size {
                self.sums::<1>(output, feature).into_iter().for_each(|sum| show(scale * sum, true));
            }
        }
        for output in 0..capacity {
            show(self.slopes(output).fold(0.0, |sum, slope| sum + slope) / count, false);
        }
    }

    /// The samples' derivatives with respect to an output.
    fn slopes(&self, output: usize) -> impl Iterator<Item = &f32> {
        self.slopes.chunks_exact(self.record.capacity.max(1)).take(self.count).filter_map(move |row| row.get(output))
    }

    /// The sums over samples, from the first on, of an output's derivative times each of N features next to each other.
    fn sums<const N: usize>(&self, output: usize, feature: usize) -> [f32; N] {
        let mut sums = [0.0; N];
        for (slope, row) in self.slopes(output).zip(self.features.chunks_exact(self.record.features.max(1))) {
            let Some(features) = row.get(feature..).and_then(<[i8]>::first_chunk::<N>) else { break };
            sums.iter_mut().zip(features).for_each(|(sum, &q)| *sum += slope * real(self.record, q));
        }
        sums
    }
}

#[cfg(test)]
#[path = "gradient_tests.rs"]
mod tests;
