//! The model file.
//!
//! All numbers are little-endian. A file is a header, the graph in postcard's wire format, and the constants:
//!
//! | section | place | content |
//! |---|---|---|
//! | header | 0 | [`header`]: fixed, readable by a `const fn` |
//! | tensors | `tensors_offset` | `tensor_count` records of `tensor_record_bytes` each ([`header::TENSOR_RECORD_BYTES`] in this version) |
//! | nodes | `nodes_offset` | `node_count` records, each a varint length and that many bytes ([`node`]) |
//! | ports | `ports_offset` | two lists of tensor indices: inputs, outputs |
//! | metadata | after the ports | names, and the exporter's notes where there are some, for the host; never read on a device |
//! | length groups | `length_groups_offset` | [`header::LENGTH_GROUP_BYTES`] each |
//! | golden samples | `golden_offset` | checksums and inputs ([`golden`](crate::golden)) |
//! | heads | `heads_offset` | what a device can learn: usually none (`train::record`, feature `train`) |
//! | constants | `constants_offset`, a multiple of 16 | weights, biases and tables, used where they lie |
//!
//! The sections from tensors to metadata are one postcard value, [`writer::Graph`] (feature `std`); the
//! offsets point past the counts of its lists. The device reads it with [`cursor::Cursor`].
//!
//! **Growing.** Records are extended by appending fields: a reader skips what it does not know, by the header's size,
//! `tensor_record_bytes` and the nodes' lengths. Op codes and layout numbers are never used twice. `docs/format.md` is the full specification.

pub mod crc;
pub mod cursor;
pub mod header;
pub mod node;
pub(crate) mod view;
#[cfg(feature = "std")]
pub mod writer;

pub use header::{FORMAT_VERSION, HEADER_BYTES};

/// Layout of the constants that this version writes: convolution and dense weights in pairs of rows, see [`crate::simd`].
pub const LAYOUT_PAIRED: u16 = 1;
/// Alignment of the constants' section, of the file and of the arena.
pub const ALIGNMENT: usize = 16;
