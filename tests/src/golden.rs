//! What golden model files give.

use crate::single::f32_bytes;
use samara_runtime::{ALL_OPS, ElementType, LoadError, Model, Session, arena::AlignedBuffer, crc32};

/// Rounds of a golden file.
const ROUNDS: usize = 3;

/// Runs a model file on fixed inputs, and gives a line per round: the checksums of all outputs.
///
/// # Errors
/// If the runtime refuses the file.
pub fn checksums(file: &[u8]) -> Result<String, LoadError> {
    let bytes = AlignedBuffer::copy_of(file);
    let model = Model::parse(bytes.as_slice(), ALL_OPS)?;
    let mut arena = AlignedBuffer::zeros(model.arena_bytes());
    let mut session = Session::new(model, arena.as_mut_slice())?;
    let mut lines = String::new();
    for round in 0..ROUNDS {
        for (number, tensor) in (0..).map_while(|number| Some((number, model.tensor(model.input(number)?)))) {
            let value = |i: usize| (i * 73 + number * 31 + round * 97) as u8;
            let input = match tensor.element_type {
                ElementType::I8 => (0..tensor.elements()).map(value).collect(),
                ElementType::I16 => (0..tensor.elements()).flat_map(|i| (i16::from(value(i)) * 257).to_le_bytes()).collect(),
                ElementType::I32 => (0..tensor.elements()).flat_map(|i| (i32::from(value(i)) % 8).to_le_bytes()).collect(),
                ElementType::F32 => {
                    f32_bytes(&(0..tensor.elements()).map(|i| f32::from(value(i) as i8) / 16.0).collect::<Vec<_>>())
                }
            };
            session.input_bytes_mut(number).expect("an input of that number").copy_from_slice(&input);
        }
        session.run();
        let sums = (0..).map_while(|number| Some(format!("{:08x}", crc32(session.output_bytes(number)?))));
        lines += &(sums.collect::<Vec<_>>().join(" ") + "\n");
    }
    Ok(lines)
}
