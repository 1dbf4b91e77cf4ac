//! Golden samples: inputs that go into a file with the checksum of what they give, for
//! [`Session::self_test`](samara_runtime::Session::self_test).

use super::run::{DeviceModel, RunError};
use samara_runtime::{
    format::writer::{GoldenSample, ModelFile},
    golden::checksum,
};

/// Most samples that are taken where no number is given.
const MOST: usize = 4;
/// All but the first take at most one in so many bytes of the file.
const SHARE: usize = 16;

/// How many golden samples a file of this size and these inputs has if nobody says: one, so that every device can test itself,
/// and up to 4 in at most a sixteenth of the file's bytes. For an image of 96 by 96 pixels in colours, one takes 27 KB:
/// [`sample_bytes`] says what it costs.
pub fn usual_count(file: &ModelFile) -> usize {
    (file.to_bytes().len() / SHARE / sample_bytes(file)).clamp(1, MOST)
}

/// Bytes that one golden sample takes in the file.
pub fn sample_bytes(file: &ModelFile) -> usize {
    4 + file.inputs.iter().map(|&input| file.tensors[input as usize].bytes()).sum::<usize>()
}

/// Makes the first samples golden, as many as `count` says or as [usual](usual_count), instead of those that the file has. For each
/// input of the model, `inputs` has all samples one after the other.
///
/// # Errors
/// If the runtime refuses the file, or a sample does not fit its inputs.
pub fn add_golden_samples(file: &mut ModelFile, inputs: &[&[f32]], count: Option<usize>) -> Result<(), RunError> {
    file.golden.clear();
    let count = count.unwrap_or_else(|| usual_count(file));
    let model = DeviceModel::new(&file.to_bytes())?;
    let sizes: Vec<usize> = file.inputs.iter().map(|&input| file.tensors[input as usize].elements()).collect();
    file.golden = model.work_each(count, |session, sample| {
        let mut bytes = Vec::new();
        for (index, &size) in sizes.iter().enumerate() {
            let values = inputs.get(index).and_then(|values| values.get(sample * size..)?.get(..size));
            session.write_f32(index, values.unwrap_or_default())?;
            bytes.extend_from_slice(session.input_bytes_mut(index)?);
        }
        session.reset_state();
        session.run();
        Ok(GoldenSample { inputs: bytes, checksum: checksum(session) })
    })?;
    Ok(())
}
