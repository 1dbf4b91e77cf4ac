//! Golden samples: inputs that go into a file with the checksum of what they give, for
//! [`Session::self_test`](samara_runtime::Session::self_test).

use super::run::{DeviceModel, RunError, write_sample};
use crate::data::Tensor;
use samara_runtime::{
    InputError,
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

/// Bytes that one golden sample takes in the file, if its sequences have their largest lengths.
pub fn sample_bytes(file: &ModelFile) -> usize {
    let lengths = file.length_groups.iter().filter(|group| group.source == 0).count();
    4 + 4 * lengths + file.inputs.iter().map(|&input| file.tensors[input as usize].bytes()).sum::<usize>()
}

/// Makes the first samples golden, as many as `count` says or as [usual](usual_count), instead of those that the file has: a tensor
/// for each input of the model.
///
/// # Errors
/// If the runtime refuses the file, or a sample does not fit its inputs.
pub fn add_golden_samples(file: &mut ModelFile, samples: &[Tensor], count: Option<usize>) -> Result<(), RunError> {
    file.golden.clear();
    let count = count.unwrap_or_else(|| usual_count(file));
    let model = DeviceModel::new(&file.to_bytes())?;
    let groups = (1..).zip(&file.length_groups).filter(|(_, group)| group.source == 0);
    let groups: Vec<u8> = groups.map(|(number, _)| number).collect();
    file.golden = model.work_each(count, |session, sample| {
        for index in 0..file.inputs.len() {
            let samples = samples.get(index).ok_or(InputError::NoSuchInput { index })?;
            write_sample(session, index, samples, sample)?;
        }
        let lengths = groups.iter().filter_map(|&group| session.length(group));
        let mut inputs: Vec<u8> = lengths.flat_map(u32::to_le_bytes).collect();
        for index in 0..file.inputs.len() {
            inputs.extend_from_slice(session.input_bytes_mut(index)?);
        }
        session.run();
        Ok(GoldenSample { inputs, checksum: checksum(session) })
    })?;
    Ok(())
}
