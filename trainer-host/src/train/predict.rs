//! `predict`: outputs for inputs.

use super::feed::Purpose;
use super::loader::{Loader, Order};
use super::model::check_batch;
use super::plan::Plan;
use super::{Model, in_pool};
use super::{
    execute::{Executor, Values},
    lane::Batch,
};
use crate::data::{Source, Tensor};
use crate::error::{Error, Result};
use crate::graph::Shape;
use crate::numeric::random::derive;

/// A model made ready to predict many times: plan, buffers and a copy of the parameters, as they were when it was made. It begins with
/// the states that `stateful` layers then had, and from there goes on by itself.
#[derive(Debug)]
pub struct Predictor<'m> {
    model: &'m Model,
    executor: Executor,
    values: Values,
    batch: usize,
    /// Where noise comes from, if layers make any, and the number of the prediction.
    noise: Option<(u64, u64)>,
}

impl Model {
    /// The output for each sample, with batch normalization by moving averages and without dropout. The samples are a
    /// [`Tensor`], or any source; its targets, if it has some, are not looked at. A `stateful` model goes on from where it stands, in
    /// batches of as many samples as it has states of, or, after [`Model::reset_states`], in one batch.
    ///
    /// # Errors
    /// If the model has several outputs (see [`Model::predict_all`]), the inputs do not fit the model, or a value is not
    /// finite.
    pub fn predict(&self, inputs: &(impl Source + ?Sized)) -> Result<Tensor> {
        let mut predictor = self.predictor(inputs.samples().max(1))?;
        let output = predictor.predict(inputs)?;
        predictor.values.carried.store(self.graph());
        Ok(output)
    }

    /// All outputs for all samples. The samples are a list of tensors, one for each input of the model, or any source: a
    /// [`crate::data::Dataset`] with inputs by name.
    ///
    /// # Errors
    /// If the inputs do not fit the model, or a value is not finite.
    pub fn predict_all(&self, inputs: &(impl Source + ?Sized)) -> Result<Vec<Tensor>> {
        let mut predictor = self.predictor(inputs.samples().max(1))?;
        let outputs = predictor.predict_all(inputs)?;
        predictor.values.carried.store(self.graph());
        Ok(outputs)
    }

    /// A predictor with at most this many samples at a time (a net with large layers takes fewer by itself): what
    /// [`Model::predict`] makes for every call. For samples that come one by one, `predictor(1)`.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([2]);
    /// let model = Model::new("m", &x, Dense::new(1).apply(&x))?;
    /// let mut predictor = model.predictor(1)?;
    /// for value in [0.0, 0.5, 1.0] {
    ///     let output = predictor.predict(&Tensor::new([1, 2], vec![value, -value])?)?;
    ///     assert_eq!(output.values().len(), 1);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If `batch` is 0.
    pub fn predictor(&self, batch: usize) -> Result<Predictor<'_>> {
        check_batch(batch)?;
        Ok(self.predictor_with(batch, Values::load(self.graph())))
    }

    /// As [`Model::predictor`], with these values of the parameters.
    pub(super) fn predictor_with(&self, batch: usize, values: Values) -> Predictor<'_> {
        let batch = match values.carried.rows() {
            Some(rows) => batch.min(rows),
            None if self.graph().is_stateful() => batch,
            None => batch.min(Plan::most_samples_at_once(self.graph())),
        };
        let executor = Executor::new(Plan::new(self.graph(), batch, &[], false), Vec::new(), false);
        Predictor { model: self, executor, values, batch, noise: None }
    }
}

impl Predictor<'_> {
    /// Lets dropout and other layers that make noise in training make it in predictions, too; batch normalization goes by moving averages
    /// all the same. Each prediction has other noise, the same for the same seed. The mean of many predictions is Monte-Carlo dropout (Gal and
    /// Ghahramani 2015), and their deviation says how sure the model is.
    ///
    /// ```
    /// use samara_trainer::prelude::*;
    ///
    /// let x = input([64]);
    /// let model = Model::new("m", &x, Dense::new(1).apply(Dropout::new(0.5).apply(&x)))?;
    /// let sample = Tensor::new([1, 64], vec![1.0; 64])?;
    /// let mut predictor = model.predictor(1)?.with_noise(7);
    /// assert_ne!(predictor.predict(&sample)?, predictor.predict(&sample)?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_noise(mut self, seed: u64) -> Self {
        let plan = Plan::new(self.model.graph(), self.batch, &[], false).with_noise();
        self.executor = Executor::new(plan, Vec::new(), false);
        self.noise = Some((seed, 0));
        self
    }

    /// Lets `stateful` layers begin anew; those of the model keep their states.
    pub fn reset_states(&mut self) {
        self.values.carried.reset();
    }

    /// As [`Model::predict`].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict(&mut self, inputs: &(impl Source + ?Sized)) -> Result<Tensor> {
        let mut outputs = self.predict_all(inputs)?;
        match outputs.pop() {
            Some(output) if outputs.is_empty() => Ok(output),
            _ => Err(Error::Argument {
                name: "the number of outputs for `predict`",
                found: self.model.graph().outputs.len().to_string(),
                expected: "1: `predict_all` gives all".to_owned(),
            }),
        }
    }

    /// As [`Model::predict_all`].
    ///
    /// # Errors
    /// As [`Model::predict_all`].
    pub fn predict_all(&mut self, inputs: &(impl Source + ?Sized)) -> Result<Vec<Tensor>> {
        let Self { model, executor, values, batch, noise } = self;
        let feed = model.feed(&inputs, Purpose::Predict)?;
        let samples = feed.source().samples();
        let batch = (*batch).min(samples).max(1);
        values.carried.check(model.graph(), batch, samples)?;
        let nodes = model.graph().outputs.iter().map(|&output| &model.graph().nodes[output]);
        let mut outputs: Vec<_> = nodes
            .map(|node| {
                (Vec::with_capacity(node.shape.size() * samples), Vec::new(), node.shape.clone(), node.length_group > 0)
            })
            .collect();
        let mut loader = Loader::new(feed, batch);
        let key = noise.as_mut().map_or(0, |(seed, number)| {
            *number += 1;
            derive(*seed, *number)
        });
        let mut batches = 0;
        in_pool(|| {
            loader.for_each(Order::Range(0..samples), 0, |feed, buffers| {
                executor.run(values, Batch { feed, buffers, key: derive(key, batches) })?;
                batches += 1;
                for (output, (to, lengths, ..)) in outputs.iter_mut().enumerate() {
                    executor.read_output(output, to);
                    executor.read_lengths(output, lengths);
                }
                Ok(true)
            })
        })?;
        let tensor = |(values, lengths, shape, varies): (Vec<f32>, Vec<usize>, Shape, bool)| {
            let tensor = Tensor::from_samples(shape, values)?;
            if varies { tensor.with_lengths(lengths) } else { Ok(tensor) }
        };
        outputs.into_iter().map(tensor).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{SymbolicTensor, input};
    use crate::layers::{Apply, Bidirectional, Gru, Lstm, SimpleRnn};

    /// Monte-Carlo dropout: inputs and states drop in predictions that ask for it, about the mean that predictions without have.
    #[test]
    fn predictions_with_noise_drop_within() {
        let x = input([6, 8]);
        let inputs = Tensor::new([1, 6, 8], (0..48u8).map(|value| f32::from(value % 7) / 7.0 - 0.4).collect()).unwrap();
        let nets: [(SymbolicTensor, bool); 4] = [
            (Lstm::new(16).dropout(0.2).apply(&x), true),
            (Gru::new(16).recurrent_dropout(0.2).apply(&x), true),
            (Bidirectional::new(SimpleRnn::new(8).dropout(0.2)).apply(&x), true),
            (Lstm::new(16).apply(&x), false),
        ];
        for (output, is_noisy) in nets {
            let model = Model::new("m", &x, output).unwrap();
            let plain = model.predict(&inputs).unwrap();
            let predict = |seed| -> Vec<Tensor> {
                let mut predictor = model.predictor(1).unwrap().with_noise(seed);
                (0..400).map(|_| predictor.predict(&inputs).unwrap()).collect()
            };
            let noisy = predict(3);
            assert_eq!(noisy, predict(3));
            let name = &model.graph().nodes[1].name;
            let (others, first) = (noisy.iter().filter(|&output| *output != plain).count(), &noisy[0]);
            assert_eq!((others > 200, noisy.iter().any(|output| output != first)), (is_noisy, is_noisy), "{name}: {others}");
            assert_eq!(model.predict(&inputs).unwrap(), plain);
            for (place, plain) in plain.values().iter().enumerate() {
                let mean = noisy.iter().map(|output| output.values()[place]).sum::<f32>() / noisy.len() as f32;
                assert!((mean - plain).abs() < 0.2, "{name}: {mean} {plain}");
            }
        }
    }
}
