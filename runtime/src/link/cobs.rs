//! Consistent overhead byte stuffing: bytes without a zero, so that a zero can end a frame.
//!
//! Blocks of a code and `code - 1` bytes; behind each block but the last one and those of code 255 stands a zero in what is
//! encoded. Source: S. Cheshire, M. Baker, *Consistent Overhead Byte Stuffing*, IEEE/ACM Transactions on Networking, 1999.

/// Most bytes of a block.
const BLOCK: usize = 254;

/// The longest that so many bytes become.
pub const fn longest(bytes: usize) -> usize {
    bytes + bytes / BLOCK + 1
}

/// Hands the encoded bytes to `write`, piece by piece.
///
/// # Errors
/// The first of `write`.
pub fn encode<E>(mut bytes: &[u8], mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    loop {
        let run = bytes.iter().take(BLOCK).take_while(|&&byte| byte != 0).count();
        let (block, rest) = bytes.split_at_checked(run).unwrap_or_default();
        write(&[run as u8 + 1])?;
        write(block)?;
        bytes = match rest {
            [] => return Ok(()),
            // A full block stands for no zero.
            rest if run == BLOCK => rest,
            [_zero, rest @ ..] => rest,
        };
        if bytes.is_empty() && run < BLOCK {
            // What was encoded ends in a zero: an empty block says so.
            return write(&[1]);
        }
    }
}

/// Decodes in place what stood before a zero; returns the decoded bytes' count, or `None` if it is no such encoding.
pub fn decode(bytes: &mut [u8]) -> Option<usize> {
    let (mut read, mut written) = (0, 0);
    while let Some(&code) = bytes.get(read) {
        let block = read + 1..read + usize::from(code);
        if code == 0 || block.end > bytes.len() {
            return None;
        }
        let length = block.len();
        read = block.end;
        bytes.copy_within(block, written);
        written += length;
        if code != u8::MAX && read < bytes.len() {
            *bytes.get_mut(written)? = 0;
            written += 1;
        }
    }
    Some(written)
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        let write = |piece: &[u8]| {
            encoded.extend_from_slice(piece);
            Ok::<(), core::convert::Infallible>(())
        };
        let Ok(()) = encode(bytes, write);
        encoded
    }

    #[test]
    fn published_examples() {
        assert_eq!(encoded(&[]), [1]);
        assert_eq!(encoded(&[0]), [1, 1]);
        assert_eq!(encoded(&[0, 0]), [1, 1, 1]);
        assert_eq!(encoded(&[0x11, 0x22, 0, 0x33]), [3, 0x11, 0x22, 2, 0x33]);
        assert_eq!(encoded(&[0x11, 0, 0, 0]), [2, 0x11, 1, 1, 1]);
        let full: Vec<u8> = (1..=254).collect();
        assert_eq!(encoded(&full), [vec![255], full.clone()].concat());
        let more: Vec<u8> = (1..=255).collect();
        assert_eq!(encoded(&more), [vec![255], full, vec![2, 255]].concat());
    }

    #[test]
    fn what_is_no_encoding_is_refused() {
        assert_eq!(decode(&mut [3, 1]), None, "a block beyond the end");
        assert_eq!(decode(&mut [2, 1, 0]), None, "a zero");
        assert_eq!(decode(&mut []), Some(0));
    }

    proptest! {
        #[test]
        fn decoding_gives_back_what_was_encoded(bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..1500)) {
            let mut encoded = encoded(&bytes);
            prop_assert!(!encoded.contains(&0));
            prop_assert!(encoded.len() <= longest(bytes.len()));
            let length = decode(&mut encoded);
            prop_assert_eq!(length, Some(bytes.len()));
            prop_assert_eq!(encoded.get(..bytes.len()), Some(&bytes[..]));
        }

        #[test]
        fn random_bytes_are_no_trap(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let length = bytes.len();
            prop_assert!(decode(&mut bytes).is_none_or(|decoded| decoded <= length));
        }
    }
}
