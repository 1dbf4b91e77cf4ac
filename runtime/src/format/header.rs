//! The fixed header, readable at compile time.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 4 bytes | magic `SMRA` |
//! | 4 | u16 | format version |
//! | 6 | u16 | header bytes, 80 |
//! | 8 | u32 | CRC-32 of all bytes from 12 on |
//! | 12 | u32 | total bytes, a multiple of 16 |
//! | 16 | u32 | arena bytes |
//! | 20 | u128 | the ops used: bit `n` for op code `n` |
//! | 36 | u16 | tensor count |
//! | 38 | u16 | node count |
//! | 40 | u16 | layout of the constants |
//! | 42 | u16 | bytes of one tensor record |
//! | 44 | u32 | tensors offset |
//! | 48 | u32 | nodes offset |
//! | 52 | u32 | nodes bytes |
//! | 56 | u32 | ports offset |
//! | 60 | u32 | ports bytes |
//! | 64 | u32 | constants offset, a multiple of 16 |
//! | 68 | u32 | constants bytes |
//! | 72 | u64 | model hash: the same for the same graph and constants |

/// First bytes of every model file.
pub const MAGIC: [u8; 4] = *b"SMRA";
/// The version of the format that this runtime reads and writes.
pub const FORMAT_VERSION: u16 = 1;
/// Size of the header.
pub const HEADER_BYTES: usize = 80;
/// Size of a tensor record: type, rank, zero point, 0 (one byte each), four dimensions (u32), scale (f32), arena offset (u32).
pub const TENSOR_RECORD_BYTES: usize = 28;

/// Offsets of the header's fields.
pub(crate) mod at {
    pub const VERSION: usize = 4;
    pub const HEADER_BYTES: usize = 6;
    pub const CRC: usize = 8;
    pub const TOTAL_BYTES: usize = 12;
    pub const ARENA_BYTES: usize = 16;
    pub const OPS: usize = 20;
    pub const TENSOR_COUNT: usize = 36;
    pub const NODE_COUNT: usize = 38;
    pub const LAYOUT: usize = 40;
    pub const TENSOR_RECORD_BYTES: usize = 42;
    pub const TENSORS_OFFSET: usize = 44;
    pub const NODES_OFFSET: usize = 48;
    pub const NODES_BYTES: usize = 52;
    pub const PORTS_OFFSET: usize = 56;
    pub const PORTS_BYTES: usize = 60;
    pub const CONSTANTS_OFFSET: usize = 64;
    pub const CONSTANTS_BYTES: usize = 68;
    pub const MODEL_HASH: usize = 72;
}

/// `N` bytes at `offset`, zeros past the end.
#[inline]
pub(crate) const fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    match bytes.split_at_checked(offset) {
        Some((_, rest)) => match rest.first_chunk() {
            Some(chunk) => *chunk,
            None => [0; N],
        },
        None => [0; N],
    }
}

pub(crate) const fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array(bytes, offset))
}

pub(crate) const fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array(bytes, offset))
}

/// The set of ops that the model uses: bit `n` for op code `n`.
pub(crate) const fn ops_of(model: &[u8]) -> u128 {
    u128::from_le_bytes(array(model, at::OPS))
}

#[expect(clippy::panic, reason = "meant for compile time, where the panic is the error message")]
pub(crate) const fn assert_header(model: &[u8]) {
    let magic = u32_at(model, 0) == u32::from_le_bytes(MAGIC);
    if model.len() < HEADER_BYTES || !magic {
        panic!("not a Samara model");
    }
    if u16_at(model, at::VERSION) != FORMAT_VERSION {
        panic!("the model has a format version that this runtime does not read");
    }
    if u32_at(model, at::TOTAL_BYTES) as usize != model.len() {
        panic!("the model file was cut or extended");
    }
}

/// Bytes of arena that `model` needs, scratch included. Meant for compile time.
///
/// # Panics
/// If `model` does not start with a header of this version, or has another length than the header says.
pub const fn arena_bytes(model: &[u8]) -> usize {
    assert_header(model);
    u32_at(model, at::ARENA_BYTES) as usize
}
