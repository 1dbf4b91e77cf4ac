//! Weights as safetensors, the format of Hugging Face's libraries: a JSON header of names, types, shapes and places, then the values.
//! PyTorch, JAX and Keras read and write it.
//!
//! Names and shapes are the model's own: a dense kernel is `[inputs, units]`, a convolution's `[height, width, inputs, filters]`, as in Keras.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{CheckpointError, SavedParameter, Weights};
use crate::error::Result;

/// The header's note of the model's name.
const MODEL: &str = "model";

impl Weights {
    /// All parameters as a safetensors file, f32; the header's `model` is the model's name.
    ///
    /// # Errors
    /// If a parameter has not as many values as its shape says.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let parts: Vec<(&SavedParameter, Vec<u8>)> = self
            .parameters
            .iter()
            .map(|parameter| (parameter, parameter.values.iter().flat_map(|value| value.to_le_bytes()).collect()))
            .collect();
        let views = parts.iter().map(|(parameter, bytes)| {
            let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes).map_err(damaged)?;
            Ok((parameter.name.clone(), view))
        });
        let views = views.collect::<std::result::Result<Vec<_>, CheckpointError>>()?;
        let note = HashMap::from([(MODEL.to_owned(), self.model.clone())]);
        Ok(safetensors::serialize(views, Some(note)).map_err(damaged)?)
    }

    /// Reads a safetensors file whose tensors are f32 or f64; a model's name is empty where the header has none.
    ///
    /// # Errors
    /// If the file is damaged, or a tensor is of another type.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let model = header.metadata().as_ref().and_then(|notes| notes.get(MODEL)).cloned().unwrap_or_default();
        let parameter = |(name, tensor): (&str, TensorView<'_>)| {
            let data = tensor.data();
            let values = match tensor.dtype() {
                Dtype::F32 => data.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
                Dtype::F64 => data.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
                other => {
                    let reason = format!("tensor {name:?} is of type {other:?}, F32 and F64 are read");
                    return Err(CheckpointError::Damaged { reason });
                }
            };
            Ok(SavedParameter { name: name.to_owned(), shape: tensor.shape().to_vec(), values })
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut parameters = tensors.iter().map(parameter).collect::<std::result::Result<Vec<_>, _>>()?;
        // They come in no order.
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { model, parameters })
    }

    /// `true` if bytes may be a safetensors file: its first eight give the length of the header, which begins with a brace.
    pub(super) fn may_be_safetensors(bytes: &[u8]) -> bool {
        let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
        length.is_some_and(|length| length < bytes.len() as u64) && bytes.get(8) == Some(&b'{')
    }
}

fn damaged(error: safetensors::SafeTensorError) -> CheckpointError {
    CheckpointError::Damaged { reason: format!("no safetensors: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> Weights {
        let parameter = |name: &str, shape: &[usize], values: &[f32]| SavedParameter {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let parameters = vec![parameter("a/kernel", &[2, 1], &[1.0, -2.5]), parameter("b", &[1], &[0.125])];
        Weights { model: "tiny".to_owned(), parameters }
    }

    /// What the `safetensors` package of Python wrote of the same two arrays and the same note:
    /// `save({"a/kernel": numpy.array([[1], [-2.5]], "f4"), "b": numpy.array([0.125], "f4")}, {"model": "tiny"})`.
    const BY_PYTHON: &[u8] = include_bytes!("python.safetensors");

    #[test]
    fn what_python_wrote_is_read_and_the_other_way_round() {
        assert_eq!(Weights::from_bytes(BY_PYTHON).unwrap(), weights());
        assert_eq!(weights().to_safetensors().unwrap(), BY_PYTHON);
    }

    #[test]
    fn damaged_files_are_refused() {
        let good = weights().to_safetensors().unwrap();
        for length in 0..good.len() {
            assert!(Weights::from_bytes(&good[..length]).is_err(), "{length} bytes of {}", good.len());
        }
        let mut other = good.clone();
        let place = other.windows(3).position(|window| window == b"F32").unwrap();
        other[place..place + 3].copy_from_slice(b"I32");
        let message = Weights::from_bytes(&other).unwrap_err().to_string();
        assert!(message.contains("tensor \"a/kernel\" is of type I32"), "{message}");
    }
}
