//! A node's record: op code (varint), inputs (list of varints), output, scratch offset, scratch bytes, state offset, state
//! bytes, multiply-accumulates (varints), and the op's parameters (length and bytes). Fields of later versions follow.

use super::cursor::Cursor;

/// A decoded record. Inputs and parameters are still bytes of the file.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    /// Code of the op.
    pub code: u16,
    /// Number of inputs.
    pub input_count: usize,
    /// The inputs' tensor indices, as varints.
    inputs: Cursor<'a>,
    /// Tensor index of the output.
    pub output: u32,
    /// First byte of the scratch region in the arena.
    pub scratch_offset: usize,
    /// Bytes of the scratch region.
    pub scratch_bytes: usize,
    /// First byte of the state region in the arena.
    pub state_offset: usize,
    /// Bytes of the state region.
    pub state_bytes: usize,
    /// Multiply-accumulates; `u32::MAX` for that many and more.
    pub macs: u32,
    /// The op's parameters.
    pub parameters: Cursor<'a>,
}

impl<'a> Node<'a> {
    /// Decodes a record, and says whether it was whole.
    pub fn decode(record: &'a [u8]) -> (Self, bool) {
        let mut cursor = Cursor::new(record);
        let code = cursor.u32();
        let input_count = cursor.usize();
        let inputs = cursor.clone();
        // A count larger than the record breaks the cursor after as many steps as the record has bytes.
        for _ in 0..input_count {
            cursor.u32();
            if !cursor.is_sound() {
                break;
            }
        }
        let node = Self {
            code: code as u16,
            input_count,
            inputs,
            output: cursor.u32(),
            scratch_offset: cursor.usize(),
            scratch_bytes: cursor.usize(),
            state_offset: cursor.usize(),
            state_bytes: cursor.usize(),
            macs: cursor.u32(),
            parameters: Cursor::new(cursor.bytes()),
        };
        let sound = cursor.is_sound() && code <= u16::MAX as u32;
        (node, sound)
    }

    /// Tensor indices of the inputs.
    pub fn inputs(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut cursor = self.inputs.clone();
        (0..self.input_count).map(move |_| cursor.u32())
    }
}
