//! Runs a model file on the host with the device's own code: what it gives is what the device gives, bit for bit.

use crate::data::Tensor;
use rayon::prelude::*;
use samara_runtime::{ALL_OPS, InputError, LoadError, Model, Session, arena::AlignedBuffer};

/// A model file that the runtime accepted, on the heap.
#[derive(Debug, Clone)]
pub struct DeviceModel {
    bytes: AlignedBuffer,
}

/// Samples that one session runs before its results are joined with others'.
const SAMPLES_PER_TASK: usize = 64;

impl DeviceModel {
    /// Checks the bytes of a model file.
    ///
    /// # Errors
    /// What [`Model::parse`] finds.
    pub fn new(bytes: &[u8]) -> Result<Self, LoadError> {
        let bytes = AlignedBuffer::copy_of(bytes);
        Model::parse(bytes.as_slice(), ALL_OPS)?;
        Ok(Self { bytes })
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The model.
    ///
    /// # Errors
    /// None in practice: the bytes were accepted before.
    pub fn model(&self) -> Result<Model<'_>, LoadError> {
        Model::parse(self.bytes(), ALL_OPS)
    }

    /// Runs `samples` samples on all threads. `write(session, sample)` fills the inputs of one, `read(session, sample)` takes
    /// what is wanted of its results; these come in the order of the samples. Each begins with the state reset.
    ///
    /// # Errors
    /// The first that `write` returns.
    pub fn run_each<T: Send>(
        &self,
        samples: usize,
        write: impl Fn(&mut Session<'_>, usize) -> Result<(), InputError> + Sync,
        read: impl Fn(&Session<'_>, usize) -> T + Sync,
    ) -> Result<Vec<T>, RunError> {
        self.work_each(samples, |session, sample| {
            write(session, sample)?;
            session.run();
            Ok(read(session, sample))
        })
    }

    /// As [`run_each`](Self::run_each), for work that runs the session itself: to look at tensors between nodes.
    ///
    /// # Errors
    /// One that `work` returns.
    pub fn work_each<T: Send>(
        &self,
        samples: usize,
        work: impl Fn(&mut Session<'_>, usize) -> Result<T, InputError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let push = |all: &mut Vec<T>, session: &mut Session<'_>, sample| {
            all.push(work(session, sample)?);
            Ok(())
        };
        let join = |mut all: Vec<T>, more| {
            all.extend(more);
            all
        };
        self.fold_each(samples, Vec::new, push, join)
    }

    /// Works on `samples` samples on all threads. What `work` finds in some consecutive samples it adds to one accumulator,
    /// made by `new`; these are joined in the order of the samples as soon as may be, so that there are few at a time,
    /// however many samples there are.
    ///
    /// # Errors
    /// One that `work` returns.
    pub fn fold_each<A: Send>(
        &self,
        samples: usize,
        new: impl Fn() -> A + Sync,
        work: impl Fn(&mut A, &mut Session<'_>, usize) -> Result<(), InputError> + Sync,
        join: impl Fn(A, A) -> A + Sync,
    ) -> Result<A, RunError> {
        let task = |task: usize| {
            let model = self.model()?;
            let mut arena = AlignedBuffer::zeros(model.arena_bytes());
            let mut session = Session::new(model, arena.as_mut_slice())?;
            let mut found = new();
            for sample in task * SAMPLES_PER_TASK..samples.min((task + 1) * SAMPLES_PER_TASK) {
                session.reset_state();
                work(&mut found, &mut session, sample).map_err(|error| RunError::Input { sample, error })?;
            }
            Ok(found)
        };
        let tasks = (0..samples.div_ceil(SAMPLES_PER_TASK)).into_par_iter();
        tasks.map(task).try_reduce_with(|all, more| Ok(join(all, more))).unwrap_or_else(|| Ok(new()))
    }
}

/// Writes a sample to an input of a session: as many steps as it has, if the input is of variable length, else all there is.
///
/// # Errors
/// As [`Session::write_f32`] and [`Session::set_length`]; [`InputError::Length`] if there is no such sample.
pub fn write_sample(session: &mut Session<'_>, input: usize, samples: &Tensor, sample: usize) -> Result<(), InputError> {
    let values = samples.sample(sample).unwrap_or_default();
    let model = session.model();
    let group = model.input(input).map_or(0, |tensor| model.tensor(tensor).length_group);
    if group == 0 {
        return session.write_f32(input, &values);
    }
    let (length, most) = (samples.length(sample), samples.sample_shape().first().copied().unwrap_or(1));
    session.set_length(group, u32::try_from(length).unwrap_or(u32::MAX))?;
    session.write_f32(input, &values[..values.len() / most * length])
}

/// Why samples were not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The model was refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A sample does not fit the model's inputs.
    #[error("sample {sample}: {error}")]
    Input {
        /// Its number.
        sample: usize,
        /// What the runtime says.
        #[source]
        error: InputError,
    },
}

/// What the device makes of bytes: a graph of one output, for the tests of ops.
#[cfg(test)]
pub(crate) fn answer(graph: &super::DeviceGraph, numbers: super::encode::Numbers<'_>, inputs: &[&[u8]]) -> Vec<u8> {
    let file = super::encode::encode(graph, numbers).expect("a graph that can be encoded").to_bytes();
    let write = |session: &mut Session<'_>, _| {
        for (number, bytes) in inputs.iter().enumerate() {
            session.input_bytes_mut(number)?.copy_from_slice(bytes);
        }
        Ok(())
    };
    let read = |session: &Session<'_>, _| session.output_bytes(0).unwrap_or_default().to_vec();
    DeviceModel::new(&file).expect("a file").run_each(1, write, read).expect("a run").concat()
}
