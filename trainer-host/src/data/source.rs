//! Sources of samples: what fills the batches of `fit`, `evaluate` and `predict`.

use super::{Dataset, Tensor};
use crate::error::{Error, Result};
use crate::graph::Shape;
use crate::numeric::random::{Random, derive};

/// What a source has for one input or for one target of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name of the input or output, if it goes by name.
    pub name: Option<String>,
    /// The shape of one sample.
    pub shape: Shape,
}

/// Samples that need not be in memory: files, generators, what a camera sees. A [`Dataset`] is one, and so is a [`Tensor`] or
/// a list of them, with inputs alone.
///
/// Batches are filled on a thread of their own, the next one while the model works on the last, so a source may take its
/// time without slowing the training.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// /// Points of the plane and whether they lie in the unit circle, computed when they are asked for.
/// struct Circle;
///
/// impl Source for Circle {
///     fn samples(&self) -> usize {
///         10_000
///     }
///
///     fn inputs(&self) -> Vec<Field> {
///         vec![Field { name: None, shape: [2].into() }]
///     }
///
///     fn targets(&self) -> Vec<Field> {
///         vec![Field { name: None, shape: [1].into() }]
///     }
///
///     fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
///         for (position, &sample) in samples.iter().enumerate() {
///             let point = [f32::from(sample as u16 % 100) / 40.0, f32::from(sample as u16 / 100) / 40.0];
///             batch.input(0)[position * 2..][..2].copy_from_slice(&point);
///             batch.target(0)[position] = f32::from(point[0].hypot(point[1]) < 1.0);
///         }
///         Ok(())
///     }
/// }
///
/// let x = input([2]);
/// let y = Dense::new(1).activation(Activation::Sigmoid).apply(Dense::new(8).activation(Activation::Tanh).apply(&x));
/// let mut model = Model::new("circle", &x, y)?;
/// model.compile(Adam::new(0.01), BinaryCrossentropy)?;
/// let history = model.fit(&Circle, Fit { epochs: 2, verbose: false, ..Fit::default() })?;
/// assert!(history.last("loss") < Some(0.4));
/// # Ok::<(), Error>(())
/// ```
pub trait Source: Sync {
    /// Number of samples.
    fn samples(&self) -> usize;

    /// What there is for the model's inputs: by name, or in the model's order.
    fn inputs(&self) -> Vec<Field>;

    /// What there is for the model's outputs: by name, or in the model's order. Empty where there is only something to predict.
    fn targets(&self) -> Vec<Field>;

    /// Fills a batch with the samples of these numbers, in their order; of sequences of several lengths, these, too
    /// ([`BatchBuffers::lengths`]). Random numbers derive from `key`, which is another in
    /// every epoch, and from the sample's number, so that a training can be repeated.
    ///
    /// # Errors
    /// What ends the training: a file that cannot be read, ... Values that are not finite and labels that are no classes need
    /// no check: they are found, with the sample's number.
    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()>;

    /// The data set, for sources that are one: it is checked as a whole before the first batch, and not batch by batch.
    fn as_dataset(&self) -> Option<&Dataset> {
        None
    }

    /// The same samples changed by a function each time they are taken: augmentation. It may change the sample's inputs and
    /// targets in place; its random numbers depend on the seed, the epoch and the sample, and on nothing else.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let images = Tensor::new([2, 2, 2, 1], vec![0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25])?;
    /// let data = Dataset::new(images, Tensor::from_labels(&[0u8, 1]))?;
    /// let mirrored = (&data).map(|sample, random| {
    ///     if random.uniform() < 0.5 {
    ///         sample.input(0).chunks_exact_mut(2).for_each(|row| row.reverse());
    ///     }
    /// });
    /// # let x = input([2, 2, 1]);
    /// # let y = Dense::new(2).activation(Activation::Softmax).apply(Flatten::new().apply(&x));
    /// # let mut model = Model::new("m", &x, y)?;
    /// # model.compile(Adam::new(0.01), SparseCategoricalCrossentropy)?;
    /// model.fit(&mirrored, Fit { validation: Some(&data), verbose: false, ..Fit::default() })?;
    /// # Ok::<(), Error>(())
    /// ```
    fn map<F>(self, change: F) -> Map<Self, F>
    where
        Self: Sized,
        F: Fn(&mut Sample<'_>, &mut Random) + Sync,
    {
        Map { source: self, change }
    }
}

/// The values of some samples, which a source fills: for each input and target of the source one buffer, sample by sample.
#[derive(Debug)]
pub struct BatchBuffers {
    samples: usize,
    numbers: Vec<u32>,
    inputs: Vec<Buffer>,
    targets: Vec<Buffer>,
    /// Of each target.
    weights: Vec<Given<f32>>,
}

#[derive(Debug)]
struct Buffer {
    size: usize,
    values: Vec<f32>,
    /// Steps of a whole sample, and how many each sample has.
    steps: usize,
    lengths: Given<u32>,
}

/// Values of samples that a source may give or not.
#[derive(Debug)]
struct Given<T> {
    are_given: bool,
    values: Vec<T>,
}

impl<T: Copy> Given<T> {
    fn none(value: T, batch: usize) -> Self {
        Self { are_given: false, values: vec![value; batch] }
    }

    /// Those of so many samples, at first `usual`.
    fn get_mut(&mut self, samples: usize, usual: T) -> &mut [T] {
        let values = &mut self.values[..samples];
        if !std::mem::replace(&mut self.are_given, true) {
            values.fill(usual);
        }
        values
    }

    fn get(&self, samples: usize) -> Option<&[T]> {
        self.are_given.then(|| &self.values[..samples])
    }
}

impl BatchBuffers {
    /// For batches of a source up to this size.
    pub(crate) fn new(source: &dyn Source, batch: usize) -> Self {
        let buffers = |fields: Vec<Field>| {
            let buffer = |Field { shape, .. }: Field| Buffer {
                size: shape.size(),
                values: vec![0.0; shape.size() * batch],
                steps: shape.first().copied().unwrap_or(1),
                lengths: Given::none(1, batch),
            };
            fields.into_iter().map(buffer).collect::<Vec<_>>()
        };
        let (inputs, targets) = (buffers(source.inputs()), buffers(source.targets()));
        let weights = targets.iter().map(|_| Given::none(1.0, batch)).collect();
        Self { samples: 0, numbers: Vec::with_capacity(batch), inputs, targets, weights }
    }

    /// Takes the samples of these numbers from a source.
    pub(crate) fn take(&mut self, source: &dyn Source, numbers: impl Iterator<Item = u32>, key: u64) -> Result<()> {
        let mut taken = std::mem::take(&mut self.numbers);
        taken.clear();
        taken.extend(numbers);
        self.samples = taken.len();
        self.weights.iter_mut().for_each(|weights| weights.are_given = false);
        self.inputs.iter_mut().for_each(|input| input.lengths.are_given = false);
        let result = source.fill(&taken, key, self);
        self.numbers = taken;
        result
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The values of an input, sample by sample. They are those of an earlier batch until they are filled.
    pub fn input(&mut self, input: usize) -> &mut [f32] {
        self.inputs[input].filled_mut(self.samples)
    }

    /// The values of a target, sample by sample. They are those of an earlier batch until they are filled.
    pub fn target(&mut self, target: usize) -> &mut [f32] {
        self.targets[target].filled_mut(self.samples)
    }

    /// What each sample counts in the loss of the output of a target: 1, if not set. Must be finite and not negative.
    pub fn weights(&mut self, target: usize) -> &mut [f32] {
        self.weights[target].get_mut(self.samples, 1.0)
    }

    /// How many steps each sample of an input of sequences has: all, if not set. At least 1.
    pub fn lengths(&mut self, input: usize) -> &mut [u32] {
        let Buffer { steps, lengths, .. } = &mut self.inputs[input];
        lengths.get_mut(self.samples, *steps as u32)
    }

    /// The samples' numbers.
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    pub(crate) fn input_values(&self, input: usize) -> &[f32] {
        self.inputs[input].filled(self.samples)
    }

    pub(crate) fn target_values(&self, target: usize) -> &[f32] {
        self.targets[target].filled(self.samples)
    }

    pub(crate) fn weight_values(&self, target: usize) -> Option<&[f32]> {
        self.weights.get(target)?.get(self.samples)
    }

    pub(crate) fn length_values(&self, input: usize) -> Option<&[u32]> {
        self.inputs[input].lengths.get(self.samples)
    }
}

impl Buffer {
    fn filled(&self, samples: usize) -> &[f32] {
        &self.values[..samples * self.size]
    }

    fn filled_mut(&mut self, samples: usize) -> &mut [f32] {
        &mut self.values[..samples * self.size]
    }

    fn sample(&mut self, position: usize) -> &mut [f32] {
        &mut self.values[position * self.size..(position + 1) * self.size]
    }
}

/// A sample to be changed: see [`Source::map`].
#[derive(Debug)]
pub struct Sample<'a> {
    number: u32,
    position: usize,
    batch: &'a mut BatchBuffers,
}

impl Sample<'_> {
    /// Its number in the source.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its values of an input.
    pub fn input(&mut self, input: usize) -> &mut [f32] {
        self.batch.inputs[input].sample(self.position)
    }

    /// Its values of a target.
    pub fn target(&mut self, target: usize) -> &mut [f32] {
        self.batch.targets[target].sample(self.position)
    }
}

/// A source whose samples are changed when they are taken: [`Source::map`].
#[derive(Debug, Clone)]
pub struct Map<S, F> {
    source: S,
    change: F,
}

impl<S: Source, F: Fn(&mut Sample<'_>, &mut Random) + Sync> Source for Map<S, F> {
    fn samples(&self) -> usize {
        self.source.samples()
    }

    fn inputs(&self) -> Vec<Field> {
        self.source.inputs()
    }

    fn targets(&self) -> Vec<Field> {
        self.source.targets()
    }

    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
        // One map within another has random numbers of its own.
        self.source.fill(samples, derive(key, 1), batch)?;
        for (position, &number) in samples.iter().enumerate() {
            (self.change)(&mut Sample { number, position, batch }, &mut Random::new(key, u64::from(number)));
        }
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn samples(&self) -> usize {
        (**self).samples()
    }

    fn inputs(&self) -> Vec<Field> {
        (**self).inputs()
    }

    fn targets(&self) -> Vec<Field> {
        (**self).targets()
    }

    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
        (**self).fill(samples, key, batch)
    }

    fn as_dataset(&self) -> Option<&Dataset> {
        (**self).as_dataset()
    }
}

impl Source for Dataset {
    fn samples(&self) -> usize {
        self.samples()
    }

    fn inputs(&self) -> Vec<Field> {
        fields(self.inputs(), &self.input_names())
    }

    fn targets(&self) -> Vec<Field> {
        fields(self.targets(), &self.target_names())
    }

    fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
        for (input, tensor) in self.inputs().iter().enumerate() {
            take_input(tensor, samples, input, batch);
        }
        for (target, tensor) in self.targets().iter().enumerate() {
            tensor.gather(samples, batch.target(target));
            if let Some(weights) = self.weights(target) {
                for (to, &sample) in batch.weights(target).iter_mut().zip(samples) {
                    *to = weights[sample as usize];
                }
            }
        }
        Ok(())
    }

    fn as_dataset(&self) -> Option<&Dataset> {
        Some(self)
    }
}

/// The tensors of a model's inputs, in its order.
impl Source for [Tensor] {
    fn samples(&self) -> usize {
        self.first().map_or(0, Tensor::samples)
    }

    fn inputs(&self) -> Vec<Field> {
        fields(self, &vec![None; self.len()])
    }

    fn targets(&self) -> Vec<Field> {
        Vec::new()
    }

    fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
        for (input, tensor) in self.iter().enumerate() {
            if tensor.samples() != Source::samples(self) {
                let (what, expected) = (format!("input {input}"), Source::samples(self));
                return Err(Error::SampleCount { what, found: tensor.samples(), expected });
            }
            take_input(tensor, samples, input, batch);
        }
        Ok(())
    }
}

macro_rules! as_list_of_tensors {
    ([$($generics:tt)*] $type:ty, $own:ident => $list:expr) => {
        impl<$($generics)*> Source for $type {
            fn samples(&self) -> usize {
                let $own = self;
                Source::samples($list)
            }

            fn inputs(&self) -> Vec<Field> {
                let $own = self;
                Source::inputs($list)
            }

            fn targets(&self) -> Vec<Field> {
                Vec::new()
            }

            fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
                let $own = self;
                Source::fill($list, samples, key, batch)
            }
        }
    };
}
as_list_of_tensors!([] Vec<Tensor>, own => &own[..]);
as_list_of_tensors!([const N: usize] [Tensor; N], own => &own[..]);
as_list_of_tensors!([] Tensor, own => std::slice::from_ref(own));

fn take_input(tensor: &Tensor, samples: &[u32], input: usize, batch: &mut BatchBuffers) {
    tensor.gather(samples, batch.input(input));
    if let Some(lengths) = tensor.lengths() {
        for (to, &sample) in batch.lengths(input).iter_mut().zip(samples) {
            *to = lengths[sample as usize];
        }
    }
}

fn fields(tensors: &[Tensor], names: &[Option<&str>]) -> Vec<Field> {
    let field = |(tensor, name): (&Tensor, &Option<&str>)| Field {
        name: name.map(str::to_owned),
        shape: tensor.sample_shape().clone(),
    };
    tensors.iter().zip(names).map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Dataset {
        let images = Tensor::from_bytes([3, 2], vec![0, 51, 102, 153, 204, 255], 255.0).unwrap();
        Dataset::builder()
            .input("x", images)
            .target("a", Tensor::from_labels(&[7u8, 8, 9]))
            .target("b", Tensor::new([3, 1], vec![-1.0, -2.0, -3.0]).unwrap())
            .sample_weights("b", vec![0.5, 0.25, 0.125])
            .build()
            .unwrap()
    }

    fn filled(source: &dyn Source, samples: &[u32], key: u64) -> BatchBuffers {
        let mut batch = BatchBuffers::new(source, 4);
        batch.take(source, samples.iter().copied(), key).unwrap();
        batch
    }

    #[test]
    fn a_data_set_gathers_samples_and_weights() {
        let batch = filled(&data(), &[2, 0], 0);
        assert_eq!((batch.samples(), batch.numbers()), (2, &[2, 0][..]));
        assert_eq!(batch.input_values(0), [0.8, 1.0, 0.0, 0.2]);
        assert_eq!((batch.target_values(0), batch.target_values(1)), (&[9.0, 7.0][..], &[-3.0, -1.0][..]));
        assert_eq!((batch.weight_values(0), batch.weight_values(1)), (None, Some(&[0.125, 0.5][..])));
        // The buffers of a larger batch show no sample of it in the next.
        let mut batch = filled(&data(), &[0, 1, 2], 0);
        batch.take(&data(), [1].into_iter(), 0).unwrap();
        assert_eq!((batch.input_values(0), batch.target_values(1)), (&[0.4, 0.6][..], &[-2.0][..]));
    }

    #[test]
    fn a_map_changes_samples_by_key_and_number_alone() {
        let data = data();
        let moved = (&data).map(|sample, random| {
            let step = random.uniform() as f32;
            sample.input(0).iter_mut().for_each(|value| *value = step);
            sample.target(0)[0] = sample.number() as f32;
        });
        let batch = filled(&moved, &[2, 0], 5);
        let [of_two, of_zero] = [batch.input_values(0)[0], batch.input_values(0)[2]];
        assert_ne!(of_two, of_zero);
        assert_eq!(batch.target_values(0), [2.0, 0.0]);
        // The same in another place and batch, another in the next epoch, and others in a second map.
        assert_eq!(filled(&moved, &[0, 1, 2], 5).input_values(0)[4], of_two);
        assert_ne!(filled(&moved, &[2], 6).input_values(0)[0], of_two);
        let twice = (&moved).map(|sample, random| sample.input(0)[1] -= random.uniform() as f32);
        assert_ne!(filled(&twice, &[2], 5).input_values(0)[1], 0.0);
    }

    #[test]
    fn tensors_are_inputs_by_position() {
        let tensors = vec![Tensor::new([2, 1], vec![1.0, 2.0]).unwrap(), Tensor::new([3, 1], vec![1.0; 3]).unwrap()];
        let mut batch = BatchBuffers::new(&tensors, 2);
        let error = batch.take(&tensors, [0].into_iter(), 0).unwrap_err();
        assert_eq!(error.to_string(), "input 1 has 3 samples, but the first input has 2");
        assert_eq!(filled(&tensors[0], &[1], 0).input_values(0), [2.0]);
    }
}
