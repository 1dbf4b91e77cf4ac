//! What TensorBoard reads: event files, their messages, and the projector's files. The callback is
//! [`crate::callbacks::TensorBoard`].

pub(crate) mod collect;
mod crc32c;
mod curves;
pub(crate) mod graph;
mod histogram;
mod image;
pub(crate) mod messages;
pub(crate) mod projector;
mod record;
pub(crate) mod runs;
mod values;
mod writer;
