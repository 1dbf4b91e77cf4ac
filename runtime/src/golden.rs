//! Golden samples: a few inputs inside the file, with the checksum of the outputs that the exporter's machine gave. Where they
//! give other bits, the file's weights, the memory or the build is not what it was.

use crate::{
    exec::Session,
    format::{crc::Crc32, header::u32_at},
    tensor::ElementType,
};

/// What [`Session::self_test`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SelfTestError {
    /// The section is no whole number of samples.
    Malformed,
    /// The outputs of a sample have another checksum.
    Mismatch {
        /// Its number, from 0 on.
        sample: usize,
    },
}

impl SelfTestError {
    /// A number for logs and error counters, stable between versions.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Malformed => 1,
            Self::Mismatch { .. } => 2,
        }
    }
}

#[cfg(feature = "std")]
impl core::fmt::Display for SelfTestError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed => f.write_str("the golden samples are no whole number of samples"),
            Self::Mismatch { sample } => {
                write!(f, "golden sample {sample}: the outputs differ from those of the exporter's machine")
            }
        }
    }
}

#[cfg(feature = "std")]
impl core::error::Error for SelfTestError {}

impl Session<'_> {
    /// Runs the file's golden samples and compares the checksums of their outputs. Returns how many there are, which may be
    /// none. Each starts from a state that is reset, in its own lengths; afterwards, whatever was found, the session is reset, in
    /// the largest.
    ///
    /// # Errors
    /// [`SelfTestError`].
    pub fn self_test(&mut self) -> Result<usize, SelfTestError> {
        let found = self.run_golden_samples();
        self.reset();
        found
    }

    fn run_golden_samples(&mut self) -> Result<usize, SelfTestError> {
        let mut rest = self.model().view.golden();
        let mut sample = 0;
        while !rest.is_empty() {
            let Some((expected, mut tail)) = rest.split_at_checked(4) else { return Err(SelfTestError::Malformed) };
            self.reset();
            let mut number = 1;
            while let Some(group) = self.model().length_group(number) {
                if group.source == 0 {
                    let Some((length, behind)) = tail.split_at_checked(4) else { return Err(SelfTestError::Malformed) };
                    self.set_length(number as u8, u32_at(length, 0)).map_err(|_| SelfTestError::Malformed)?;
                    tail = behind;
                }
                number += 1;
            }
            let mut input = 0;
            while let Ok(bytes) = self.input_bytes_mut(input) {
                let Some((values, behind)) = tail.split_at_checked(bytes.len()) else { return Err(SelfTestError::Malformed) };
                bytes.copy_from_slice(values);
                tail = behind;
                input += 1;
            }
            self.run();
            if checksum(self) != u32_at(expected, 0) {
                return Err(SelfTestError::Mismatch { sample });
            }
            sample += 1;
            rest = tail;
        }
        Ok(sample)
    }
}

/// CRC-32 of all outputs of a run, one behind the other.
pub fn checksum(session: &Session<'_>) -> u32 {
    let mut crc = Crc32::new();
    let mut index = 0;
    while let Some((tensor, bytes)) = session.output(index) {
        update(&mut crc, tensor.element_type, bytes);
        index += 1;
    }
    crc.finish()
}

/// Adds a tensor's bytes, every NaN counted as the same one: the bits of a NaN differ between processors.
pub(crate) fn update(crc: &mut Crc32, element_type: ElementType, bytes: &[u8]) {
    match element_type {
        ElementType::I8 | ElementType::I16 | ElementType::I32 => {
            crc.update(bytes);
        }
        ElementType::F32 => {
            for four in bytes.as_chunks().0 {
                let bits = u32::from_le_bytes(*four);
                let bits = if bits & 0x7fff_ffff > 0x7f80_0000 { 0x7fc0_0000 } else { bits };
                crc.update(&bits.to_le_bytes());
            }
        }
    }
}
