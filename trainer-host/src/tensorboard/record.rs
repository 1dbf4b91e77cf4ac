//! Records of a TFRecord file: length (u64), its masked CRC-32C, the data, its masked CRC-32C, all little-endian.

use super::crc32c::masked;

/// Bytes before a record's data, and behind it.
const HEAD: usize = 12;
const TAIL: usize = 4;

/// The record of this data.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

/// The data of all records, up to one that is damaged or cut short: what a killed program left.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (length, checksum) = head.split_at(HEAD - 4);
        if masked(length).to_le_bytes() != checksum {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (data, rest) = rest.split_at_checked(length)?;
        let (checksum, rest) = rest.split_at_checked(TAIL)?;
        bytes = rest;
        (masked(data).to_le_bytes() == checksum).then_some(data)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the writer of record files in TensorBoard 2.21's Python package for the data `hello`.
    const HELLO: [u8; 21] = [5, 0, 0, 0, 0, 0, 0, 0, 234, 178, 4, 62, 104, 101, 108, 108, 111, 187, 31, 28, 25];

    #[test]
    fn a_record_has_the_bytes_that_others_write() {
        assert_eq!(frame(b"hello"), HELLO);
    }

    #[test]
    fn reading_stops_where_the_file_is_damaged() {
        let whole = [frame(b"one"), frame(b""), frame(b"three")].concat();
        assert_eq!(records(&whole).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        for cut in 0..whole.len() {
            let count = [19, 35].iter().filter(|end| **end <= cut).count();
            assert_eq!(records(&whole[..cut]).count(), count, "cut at {cut}");
            let mut changed = whole.clone();
            changed[cut] ^= 4;
            let count = [19, 35].iter().filter(|end| **end <= cut).count();
            assert_eq!(records(&changed).count(), count, "changed at {cut}");
        }
    }
}
