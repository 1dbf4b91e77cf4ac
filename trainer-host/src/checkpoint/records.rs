//! The container of all checkpoints (docs/checkpoints.md): named arrays behind a magic and a version, with a checksum at the end.

use super::CheckpointError;

/// Named values.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Values,
}

/// The values of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    F32(Vec<f32>),
    F64(Vec<f64>),
    U64(Vec<u64>),
    Text(String),
}

/// The version that is read and written.
pub const VERSION: u16 = 1;
/// Magic, version and checksum.
const OVERHEAD: usize = 10;

impl Record {
    /// One dimension.
    pub fn list(name: &str, values: Values) -> Self {
        let length = match &values {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::U64(values) => values.len(),
            Values::Text(text) => text.len(),
        };
        Self { name: name.to_owned(), shape: vec![length], values }
    }
}

/// The file with these records.
pub fn write(magic: [u8; 4], records: &[Record]) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    for Record { name, shape, values } in records {
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend(name.as_bytes());
        let (kind, payload): (u8, Vec<u8>) = match values {
            Values::F32(values) => (0, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Values::F64(values) => (1, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Values::U64(values) => (2, values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Values::Text(text) => (3, text.as_bytes().to_vec()),
        };
        bytes.extend([kind, shape.len() as u8]);
        bytes.extend(shape.iter().flat_map(|&size| (size as u32).to_le_bytes()));
        bytes.extend(payload);
    }
    bytes.extend(samara_runtime::crc32(&bytes).to_le_bytes());
    bytes
}

/// The records of a file.
pub fn read(magic: [u8; 4], bytes: &[u8]) -> Result<Vec<Record>, CheckpointError> {
    if !bytes.starts_with(&magic) {
        return Err(CheckpointError::Magic { expected: String::from_utf8_lossy(&magic).into_owned() });
    }
    let damaged = |reason: &str| CheckpointError::Damaged { reason: reason.to_owned() };
    if bytes.len() < OVERHEAD {
        return Err(damaged("it was cut short"));
    }
    let version = u16::from_le_bytes([bytes[4], bytes[5]]);
    if version != VERSION {
        return Err(CheckpointError::Version { found: version, expected: VERSION });
    }
    let (content, checksum) = bytes.split_at(bytes.len() - 4);
    if samara_runtime::crc32(content).to_le_bytes() != checksum {
        return Err(damaged("it was cut short or changed: its checksum is wrong"));
    }
    let mut rest = &content[6..];
    let mut records: Vec<Record> = Vec::new();
    let mut names = std::collections::HashSet::new();
    while !rest.is_empty() {
        let record = read_record(&mut rest).ok_or_else(|| damaged(&format!("record {} makes no sense", records.len())))?;
        if !names.insert(record.name.clone()) {
            return Err(damaged(&format!("the record {} stands twice", record.name)));
        }
        records.push(record);
    }
    Ok(records)
}

fn read_record(rest: &mut &[u8]) -> Option<Record> {
    let mut take = |length: usize| rest.split_off(..length);
    let length = take(2)?;
    let name = std::str::from_utf8(take(usize::from(u16::from_le_bytes([length[0], length[1]])))?).ok()?.to_owned();
    let [kind, rank] = *take(2)? else { return None };
    let dimensions = take(4 * usize::from(rank))?.as_chunks().0;
    let shape: Vec<usize> = dimensions.iter().map(|&bytes| u32::from_le_bytes(bytes) as usize).collect();
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
    let mut payload = |size: usize| take(count.checked_mul(size)?);
    let values = match kind {
        0 => Values::F32(payload(4)?.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        1 => Values::F64(payload(8)?.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()),
        2 => Values::U64(payload(8)?.as_chunks().0.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect()),
        3 => Values::Text(std::str::from_utf8(payload(1)?).ok()?.to_owned()),
        _ => return None,
    };
    Some(Record { name, shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 4] = *b"SMRW";

    fn records() -> Vec<Record> {
        let matrix = Record { name: "weights/ä".to_owned(), shape: vec![2, 1], values: Values::F32(vec![1.5, f32::MIN]) };
        vec![
            matrix,
            Record::list("b", Values::F64(vec![0.1])),
            Record::list("c", Values::U64(vec![u64::MAX, 0])),
            Record { name: String::new(), shape: vec![], values: Values::U64(vec![7]) },
            Record::list("d", Values::Text("é".to_owned())),
        ]
    }

    #[test]
    fn the_bytes_are_those_of_the_table() {
        let record = Record { name: "ab".to_owned(), shape: vec![1], values: Values::F32(vec![1.0]) };
        let bytes = write(MAGIC, &[record]);
        let expected = [&b"SMRW\x01\x00\x02\x00ab\x00\x01\x01\x00\x00\x00"[..], &1f32.to_le_bytes()].concat();
        assert_eq!(bytes[..bytes.len() - 4], expected);
    }

    #[test]
    fn records_survive_the_round_trip() {
        assert_eq!(read(MAGIC, &write(MAGIC, &records())).unwrap(), records());
    }

    #[test]
    fn every_truncation_and_flipped_bit_is_told() {
        let good = write(MAGIC, &records());
        for length in 0..good.len() {
            assert!(read(MAGIC, &good[..length]).is_err(), "cut to {length}");
        }
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(MAGIC, &bad).is_err(), "bit {bit} changed");
        }
    }

    #[test]
    fn a_right_checksum_does_not_make_nonsense_valid() {
        let with_checksum = |mut bytes: Vec<u8>| {
            bytes.truncate(bytes.len() - 4);
            bytes.extend(samara_runtime::crc32(&bytes).to_le_bytes());
            bytes
        };
        let good = write(MAGIC, &records());
        for position in 6..good.len() - 4 {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[position] = value;
                // Whatever is read, nothing panics and nothing huge is allocated.
                let _ = read(MAGIC, &with_checksum(bad));
            }
        }
        let message = |bytes: Vec<u8>| read(MAGIC, &with_checksum(bytes)).unwrap_err().to_string();
        let twice = write(MAGIC, &[records().remove(1), records().remove(1)]);
        assert_eq!(message(twice), "the file is damaged: the record b stands twice");
        // A size of 2^32 - 1 values in a file of some bytes.
        let mut huge = write(MAGIC, &[records().remove(1)]);
        huge[11..15].fill(0xff);
        assert_eq!(message(huge), "the file is damaged: record 0 makes no sense");
    }
}
