//! Some samples of a source, and splits.

use super::{BatchBuffers, Dataset, Field, Random, Source, Tensor};
use crate::error::{Error, Result};

/// Some samples of a source, in an order of their own. Errors and random numbers count them from 0.
#[derive(Debug, Clone)]
pub struct Select<S> {
    source: S,
    numbers: Vec<u32>,
}

impl<S: Source> Select<S> {
    /// The samples of these numbers.
    ///
    /// # Errors
    /// If there are none, or the source has no sample of such a number.
    pub fn new(source: S, numbers: Vec<u32>) -> Result<Self> {
        if numbers.is_empty() {
            return Err(Error::EmptyData { what: "the list of samples to select".to_owned() });
        }
        let samples = source.samples();
        match numbers.iter().find(|&&number| number as usize >= samples) {
            None => Ok(Self { source, numbers }),
            Some(number) => Err(Error::Argument {
                name: "the number of a sample to select",
                found: number.to_string(),
                expected: format!("less than {samples}, the number of samples"),
            }),
        }
    }

    /// The numbers that the samples have in the source.
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }
}

impl<S: Source> Source for Select<S> {
    fn samples(&self) -> usize {
        self.numbers.len()
    }

    fn inputs(&self) -> Vec<Field> {
        self.source.inputs()
    }

    fn targets(&self) -> Vec<Field> {
        self.source.targets()
    }

    fn fill(&self, samples: &[u32], key: u64, batch: &mut BatchBuffers) -> Result<()> {
        let numbers: Vec<u32> = samples.iter().map(|&sample| self.numbers[sample as usize]).collect();
        self.source.fill(&numbers, key, batch)
    }
}

/// Samples to learn from and samples to validate by, drawn by a seed: `part` of them, above 0 and below 1, are for validation,
/// rounded down, but at least one.
///
/// # Errors
/// If `part` is out of range, or there are fewer than two samples.
pub fn validation_split<S: Source>(source: &S, part: f64, seed: u64) -> Result<(Select<&S>, Select<&S>)> {
    let samples = source.samples();
    if !(part > 0.0 && part < 1.0) {
        let (found, expected) = (part.to_string(), "above 0 and below 1".to_owned());
        return Err(Error::Argument { name: "the part of the samples for validation", found, expected });
    }
    if samples < 2 {
        let expected = "at least 2, one to learn from and one to validate by".to_owned();
        return Err(Error::Argument { name: "the number of samples to split", found: samples.to_string(), expected });
    }
    let mut numbers: Vec<u32> = (0..samples as u32).collect();
    Random::new(seed, 0).shuffle(&mut numbers);
    let held_out = ((samples as f64 * part) as usize).clamp(1, samples - 1);
    let train = numbers.split_off(held_out);
    Ok((Select::new(source, train)?, Select::new(source, numbers)?))
}

impl Dataset {
    /// All samples of a source, read into memory, as the first epoch of a training with the seed 0 has them. Weights of samples
    /// are left out.
    ///
    /// # Errors
    /// If the source has none or cannot read one, or a value is NaN or infinite.
    pub fn from_source(source: &dyn Source) -> Result<Self> {
        /// Samples that are read at once.
        const BATCH: u32 = 64;
        let (inputs, targets) = (source.inputs(), source.targets());
        let mut values = vec![Vec::new(); inputs.len() + targets.len()];
        // Of each input, and whether any batch says them.
        let mut lengths: Vec<(Vec<usize>, bool)> = vec![(Vec::new(), false); inputs.len()];
        let mut batch = BatchBuffers::new(source, BATCH as usize);
        let samples = u32::try_from(source.samples()).map_err(|_| Error::Argument {
            name: "the number of samples",
            found: source.samples().to_string(),
            expected: format!("at most {}", u32::MAX),
        })?;
        for first in (0..samples).step_by(BATCH as usize) {
            batch.take(source, first..samples.min(first.saturating_add(BATCH)), 0)?;
            let (of_inputs, of_targets) = values.split_at_mut(inputs.len());
            of_inputs.iter_mut().enumerate().for_each(|(input, values)| values.extend(batch.input_values(input)));
            for (input, (lengths, are_given)) in lengths.iter_mut().enumerate() {
                *are_given |= batch.length_values(input).is_some();
                lengths.extend(batch.lengths(input).iter().map(|&length| length as usize));
            }
            of_targets.iter_mut().enumerate().for_each(|(target, values)| values.extend(batch.target_values(target)));
        }
        let mut values = values.into_iter();
        let mut read = |fields: Vec<Field>| -> Result<(Vec<Tensor>, Vec<Option<String>>)> {
            let tensor = |(field, values): (Field, Vec<f32>)| {
                let shape = [&[samples as usize][..], &field.shape].concat();
                Ok((Tensor::new(shape, values)?, field.name))
            };
            let tensors: Result<Vec<_>> = fields.into_iter().zip(&mut values).map(tensor).collect();
            Ok(tensors?.into_iter().unzip())
        };
        let (mut inputs, input_names) = read(inputs)?;
        for (input, (lengths, _)) in inputs.iter_mut().zip(lengths).filter(|(_, (_, are_given))| *are_given) {
            *input = std::mem::replace(input, Tensor::from_labels::<u8>(&[])).with_lengths(lengths)?;
        }
        let (targets, target_names) = read(targets)?;
        Self::with_names(inputs, input_names, targets, target_names)
    }

    /// The samples of some classes: those whose label, the first target's, `keep` wants. Labels stay as they are.
    ///
    /// # Errors
    /// If there are none.
    pub fn of_classes(&self, keep: impl Fn(usize) -> bool) -> Result<Self> {
        let labels = self.targets().first().map_or(&[][..], Tensor::values);
        let kept = (0u32..).zip(labels).filter(|&(_, &label)| keep(label as usize)).map(|(sample, _)| sample);
        Self::from_source(&Select::new(self, kept.collect())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(samples: usize) -> Dataset {
        let x = (0..samples * 2).map(|value| value as f32).collect();
        let y = (0..samples).map(|value| -(value as f32)).collect();
        let (x, y) = (Tensor::new([samples, 2], x).unwrap(), Tensor::new([samples], y).unwrap());
        Dataset::builder().input("x", x).target("y", y).build().unwrap()
    }

    #[test]
    fn samples_of_some_classes() {
        let (x, y) = (Tensor::new([4, 1], vec![0.0, 1.0, 2.0, 3.0]), Tensor::from_labels(&[7u8, 2, 7, 0]));
        let data = Dataset::new(x.unwrap(), y).unwrap();
        let sevens = data.of_classes(|class| class == 7).unwrap();
        assert_eq!((sevens.inputs()[0].values(), sevens.targets()[0].values()), (&[0.0, 2.0][..], &[7.0, 7.0][..]));
        assert!(data.of_classes(|class| class == 1).is_err());
    }

    #[test]
    fn a_split_by_seed_has_every_sample_once() {
        let data = data(10);
        let (train, validation) = validation_split(&data, 0.25, 3).unwrap();
        assert_eq!((train.samples(), validation.samples()), (8, 2));
        let mut all = [train.numbers(), validation.numbers()].concat();
        assert_ne!(all, (0..10).collect::<Vec<_>>(), "the order is random");
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        let again = validation_split(&data, 0.25, 3).unwrap();
        assert_eq!(again.1.numbers(), validation.numbers());
        assert_ne!(validation_split(&data, 0.25, 4).unwrap().0.numbers(), train.numbers());
        let read = Dataset::from_source(&validation).unwrap();
        for (sample, &number) in validation.numbers().iter().enumerate() {
            assert_eq!(read.inputs()[0].sample(sample), data.inputs()[0].sample(number as usize));
            assert_eq!(read.targets()[0].values()[sample], -(number as f32));
        }
        assert_eq!(validation_split(&data, 0.001, 0).unwrap().1.samples(), 1);
        assert!(validation_split(&data, 1.0, 0).is_err() && validation_split(&data, f64::NAN, 0).is_err());
    }

    #[test]
    fn faults_of_a_selection_are_told() {
        let message = Select::new(data(3), vec![0, 3]).unwrap_err().to_string();
        assert_eq!(message, "the number of a sample to select is 3, but must be less than 3, the number of samples");
        assert_eq!(
            Select::new(data(3), vec![]).unwrap_err().to_string(),
            "the data set is empty: the list of samples to select has no samples"
        );
        let message = validation_split(&data(1), 0.5, 0).unwrap_err().to_string();
        assert!(message.starts_with("the number of samples to split is 1, but must be at least 2"), "{message}");
    }

    #[test]
    fn a_source_is_read_whole_with_its_names_and_lengths() {
        let data = data(130);
        assert_eq!(Dataset::from_source(&data).unwrap(), data);
        let short = data.inputs()[0].clone().with_lengths((0..130).map(|sample| 1 + sample % 2)).unwrap();
        let short = Dataset::new(short, data.targets()[0].clone()).unwrap();
        assert_eq!(Dataset::from_source(&short).unwrap(), short);
    }
}
