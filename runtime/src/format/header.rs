//! The fixed header, readable at compile time.
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | 4 bytes | magic `SMRA` |
//! | 4 | u16 | format version |
//! | 6 | u16 | header bytes, at least 80: fields that a shorter header does not have are 0 |
//! | 8 | u32 | CRC-32 of all other bytes |
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
//! | 80 | u32 | state bytes, a multiple of 16: they lie at the arena's start |
//! | 84 | u16 | the least runtime level that may run the file, see [`RUNTIME_LEVEL`] |
//! | 86 | u16 | number of length groups |
//! | 88 | u32 | length groups offset |
//! | 92 | u32 | largest node's multiply-accumulates |
//! | 96 | u32 | golden samples offset |
//! | 100 | u32 | golden samples bytes |
//! | 104 | u32 | heads offset |
//! | 108 | u32 | heads bytes |

/// First bytes of every model file.
pub const MAGIC: [u8; 4] = *b"SMRA";
/// The version of the format that this runtime reads and writes.
pub const FORMAT_VERSION: u16 = 1;
/// What this runtime computes beyond the least that format version 1 asks for. 1: state, length groups, outputs that overlap
/// an input or lie on the second one. A file that uses any of it asks for 1, so that a runtime that cannot refuses it. A
/// later version that adds to what a file may use counts on; a new op is no reason, since tables of ops say what there is.
pub const RUNTIME_LEVEL: u16 = 1;
/// Size of the smallest header.
pub const LEAST_HEADER_BYTES: usize = 80;
/// Size of the header that this version writes.
pub const HEADER_BYTES: usize = 112;
/// Size of a tensor record: type, rank, zero point, length group (one byte each), four dimensions (u32), scale (f32), arena
/// offset (u32).
pub const TENSOR_RECORD_BYTES: usize = 28;
/// Size of a length group's record: source (u16), stride (u16), what is added (i32), largest length (u32).
pub const LENGTH_GROUP_BYTES: usize = 12;

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
    pub const STATE_BYTES: usize = 80;
    pub const MINIMUM_RUNTIME: usize = 84;
    pub const LENGTH_GROUP_COUNT: usize = 86;
    pub const LENGTH_GROUPS_OFFSET: usize = 88;
    pub const LARGEST_NODE: usize = 92;
    pub const GOLDEN_OFFSET: usize = 96;
    pub const GOLDEN_BYTES: usize = 100;
    pub const HEADS_OFFSET: usize = 104;
    pub const HEADS_BYTES: usize = 108;
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
    if model.len() < LEAST_HEADER_BYTES || !magic {
        panic!("not a Samara model");
    }
    if u16_at(model, at::VERSION) != FORMAT_VERSION {
        panic!("the model has a format version that this runtime does not read");
    }
    // Fields that a short header does not have read as 0.
    let header = match model.split_at_checked(u16_at(model, at::HEADER_BYTES) as usize) {
        Some((header, _)) => header,
        None => model,
    };
    if u16_at(header, at::MINIMUM_RUNTIME) > RUNTIME_LEVEL {
        panic!("the model needs a later version of the runtime");
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
