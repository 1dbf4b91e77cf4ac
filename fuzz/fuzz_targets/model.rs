//! Parses arbitrary bytes as a model and runs what is accepted: nothing may panic, overflow or take long.
//!
//! The first byte chooses: even for the bytes as they are, odd for the bytes with magic, version, length and checksum
//! repaired, so that the fuzzer gets past the door. It also fills the model's inputs. Seeds are the tests' small models:
//!
//! ```text
//! cargo run -p samara-tests --example fuzz_seeds    # writes fuzz/corpus/model
//! cargo +nightly fuzz run -s none model -- -max_len=4096
//! ```
#![no_main]

#[path = "../../tests/src/hostile.rs"]
mod hostile;

use libfuzzer_sys::fuzz_target;
use samara_runtime::format::{FORMAT_VERSION, HEADER_BYTES, header::MAGIC, writer::repair_crc};
use std::cell::RefCell;

/// Most steps of one run, so that the fuzzer does thousands a second.
const LARGEST_COST: u64 = 1 << 16;

thread_local! {
    static VICTIM: RefCell<hostile::Victim> = RefCell::new(hostile::Victim::new(LARGEST_COST));
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if first % 2 == 1 {
        bytes.truncate(bytes.len() / 16 * 16);
        if bytes.len() < HEADER_BYTES {
            return;
        }
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&(HEADER_BYTES as u16).to_le_bytes());
        let total = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&total.to_le_bytes());
        repair_crc(&mut bytes);
    }
    VICTIM.with_borrow_mut(|victim| victim.attack(&bytes, first));
});
