//! The self-test: the same models, inputs and checksums on the host and on every device.
//!
//! A *case* is one model. Its inputs come from a small generator seeded with the model's hash, in [`ROUNDS`] rounds, and from the second
//! round on the lengths of its sequences, too, where these may vary; after each round, each output has one CRC-32. Two machines agree on a case if all its checksums are equal: bit for bit, but
//! for the bits of a NaN, which count as one value.
//!
//! Firmware carries its cases in a *bundle*, which starts at a multiple of 16 (all numbers are little-endian):
//!
//! | offset | type | field |
//! |---|---|---|
//! | 0 | u32 | number of models |
//! | 4 + 8 i | u32 | offset of model i, a multiple of 16 |
//! | 8 + 8 i | u32 | length of model i |

pub use crate::random::Generator;

use crate::{
    exec::Session,
    format::{
        crc::Crc32,
        header::{arena_bytes, u32_at},
    },
    golden,
    tensor::ElementType,
};

/// Rounds of a case: random inputs, extreme inputs, random inputs again.
pub const ROUNDS: u32 = 3;

/// The extreme inputs of an f32 tensor: zeros of both signs, denormals, values whose sums overflow.
const EXTREMES: [f32; 8] = [0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38, 1.0, -1.0];

/// Runs the session's model for [`ROUNDS`] rounds and hands `(round, output, checksum)` to `report`.
pub fn run_case(session: &mut Session<'_>, mut report: impl FnMut(u32, usize, u32)) {
    let mut generator = Generator::new(session.model().hash() as u32);
    for round in 0..ROUNDS {
        if round > 0 {
            draw_lengths(session, &mut generator);
        }
        let mut input = 0;
        while let Some(tensor) = session.model().input(input) {
            let element_type = session.model().tensor(tensor).element_type;
            fill(session.input_bytes_mut(input).unwrap_or_default(), element_type, round, &mut generator);
            input += 1;
        }
        session.run();
        let mut output = 0;
        while let Some((tensor, bytes)) = session.output(output) {
            report(round, output, checksum(bytes, tensor.element_type));
            output += 1;
        }
    }
}

/// Sets lengths to any that there are; one that leaves a window no place is left as it was.
fn draw_lengths(session: &mut Session<'_>, generator: &mut Generator) {
    let mut number = 1;
    while let Some(group) = session.model().length_group(number) {
        if group.source == 0 {
            let below = (u64::from(generator.next_u32()) * u64::from(group.maximum)) >> 32;
            let _ = session.set_length(number as u8, below as u32 + 1);
        }
        number += 1;
    }
}

/// Fills an input's bytes: int8 and int16 with any value, f32 with multiples of 1/32 in [-4, 4), i32 with numbers below 32; with extremes
/// in round 1.
fn fill(bytes: &mut [u8], element_type: ElementType, round: u32, generator: &mut Generator) {
    let extreme = round == 1;
    match element_type {
        ElementType::I8 => bytes.iter_mut().for_each(|byte| {
            let random = generator.next_u32();
            *byte = match (extreme, random >> 31) {
                (false, _) => (random >> 24) as u8,
                (true, 0) => i8::MIN as u8,
                (true, _) => i8::MAX as u8,
            };
        }),
        ElementType::I16 => bytes.chunks_exact_mut(2).for_each(|two| {
            let random = generator.next_u32();
            let value = match (extreme, random >> 31) {
                (false, _) => (random >> 16) as i16,
                (true, 0) => i16::MIN,
                (true, _) => i16::MAX,
            };
            two.copy_from_slice(&value.to_le_bytes());
        }),
        ElementType::F32 => bytes.chunks_exact_mut(4).for_each(|four| {
            let random = generator.next_u32();
            let value = if extreme {
                EXTREMES.get((random >> 29) as usize).copied().unwrap_or_default()
            } else {
                f32::from((random >> 24) as i8) / 32.0
            };
            four.copy_from_slice(&value.to_le_bytes());
        }),
        ElementType::I32 => bytes.chunks_exact_mut(4).for_each(|four| {
            let random = generator.next_u32();
            let value = if extreme { random as i32 } else { (random >> 27) as i32 };
            four.copy_from_slice(&value.to_le_bytes());
        }),
    }
}

fn checksum(bytes: &[u8], element_type: ElementType) -> u32 {
    let mut crc = Crc32::new();
    golden::update(&mut crc, element_type, bytes);
    crc.finish()
}

/// `true` if a loop over denormal numbers, which the compiler may vectorize, keeps them: a vector unit that flushes them to
/// zero would break the equality of f32 results.
pub fn keeps_denormals() -> bool {
    let tiny = core::hint::black_box([f32::from_bits(1), f32::from_bits(0x0012_3456), -1e-40, 1e-39].map(|value| [value; 4]));
    let one = core::hint::black_box([[1.0f32; 4]; 4]);
    let mut products = [[0.0f32; 4]; 4];
    for ((products, tiny), one) in products.iter_mut().zip(&tiny).zip(&one) {
        for ((product, tiny), one) in products.iter_mut().zip(tiny).zip(one) {
            *product = tiny * one;
        }
    }
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    core::hint::black_box(products).as_flattened().iter().zip(tiny.as_flattened()).all(same)
}

/// Number of models in a bundle.
pub const fn bundle_models(bundle: &[u8]) -> usize {
    u32_at(bundle, 0) as usize
}

/// A model of a bundle. `None` past the end, or if the bundle is damaged.
pub const fn bundle_model(bundle: &[u8], index: usize) -> Option<&[u8]> {
    if index >= bundle_models(bundle) {
        return None;
    }
    let offset = u32_at(bundle, 4 + 8 * index) as usize;
    let length = u32_at(bundle, 8 + 8 * index) as usize;
    match bundle.split_at_checked(offset) {
        Some((_, rest)) => match rest.split_at_checked(length) {
            Some((model, _)) => Some(model),
            None => None,
        },
        None => None,
    }
}

/// Bytes of arena for the most demanding model of a bundle. Meant for compile time.
///
/// # Panics
/// If the bundle holds something that is no model of this version.
pub const fn bundle_arena_bytes(bundle: &[u8]) -> usize {
    let mut most = 0;
    let mut index = 0;
    while let Some(model) = bundle_model(bundle, index) {
        if arena_bytes(model) > most {
            most = arena_bytes(model);
        }
        index += 1;
    }
    most
}

#[cfg(feature = "std")]
mod host {
    use super::run_case;
    use crate::{arena::AlignedBuffer, error::LoadError, exec::Session, format::ALIGNMENT, model::Model, ops::ALL_OPS};

    /// One checksum of a case.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Checksum {
        /// The round, from 0.
        pub round: u32,
        /// The model's output, from 0.
        pub output: usize,
        /// CRC-32 of the output.
        pub crc: u32,
    }

    /// Runs the case on this machine, with the kernels that firmware links.
    ///
    /// # Errors
    /// If `model` is refused.
    pub fn checksums(model: &[u8]) -> Result<Vec<Checksum>, LoadError> {
        let bytes = AlignedBuffer::copy_of(model);
        let model = Model::parse(bytes.as_slice(), ALL_OPS)?;
        let mut arena = AlignedBuffer::zeros(model.arena_bytes());
        let mut checksums = Vec::new();
        let mut session = Session::new(model, arena.as_mut_slice())?;
        run_case(&mut session, |round, output, crc| checksums.push(Checksum { round, output, crc }));
        Ok(checksums)
    }

    /// Packs models into a bundle.
    pub fn pack_bundle<M: AsRef<[u8]>>(models: &[M]) -> Vec<u8> {
        let mut bundle = (models.len() as u32).to_le_bytes().to_vec();
        let mut offset = (4 + 8 * models.len()).next_multiple_of(ALIGNMENT);
        for model in models {
            let length = model.as_ref().len();
            bundle.extend((offset as u32).to_le_bytes());
            bundle.extend((length as u32).to_le_bytes());
            offset = (offset + length).next_multiple_of(ALIGNMENT);
        }
        for model in models {
            bundle.resize(bundle.len().next_multiple_of(ALIGNMENT), 0);
            bundle.extend(model.as_ref());
        }
        bundle
    }
}

#[cfg(feature = "std")]
pub use host::{Checksum, checksums, pack_bundle};

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_documented_one() {
        let mut generator = Generator::new(0);
        assert_eq!([0; 3].map(|_| generator.next_u32()), [1_013_904_223, 1_196_435_762, 3_519_870_697]);
    }

    #[test]
    fn int8_inputs_are_random_or_extreme() {
        let mut bytes = [0; 6];
        fill(&mut bytes, ElementType::I8, 0, &mut Generator::new(0));
        assert_eq!(bytes[..3], [0x3c, 0x47, 0xd1]);
        fill(&mut bytes, ElementType::I8, 1, &mut Generator::new(0));
        assert_eq!(bytes[..3], [0x80, 0x80, 0x7f]);
    }

    #[test]
    fn f32_inputs_are_multiples_of_a_32nd_or_extreme() {
        let mut bytes = [0; 12];
        let values =
            |bytes: &[u8]| bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect::<Vec<_>>();
        fill(&mut bytes, ElementType::F32, 2, &mut Generator::new(0));
        assert_eq!(values(&bytes), [60.0 / 32.0, 71.0 / 32.0, -47.0 / 32.0]);
        fill(&mut bytes, ElementType::F32, 1, &mut Generator::new(0));
        assert_eq!(values(&bytes), [-0.0, 1e-40, 1.0]);
    }

    #[test]
    fn all_nans_count_as_one_and_zeros_keep_their_sign() {
        let bytes = |bits: u32| bits.to_le_bytes();
        let sum = |bits: u32| checksum(&bytes(bits), ElementType::F32);
        assert_eq!(sum(0x7fc0_0000), sum(0xffff_ffff));
        assert_ne!(sum(0x7f80_0000), sum(0x7fc0_0000), "an infinity is no NaN");
        assert_ne!(sum(0x0000_0000), sum(0x8000_0000));
        assert_eq!(sum(0x3f80_0000), crate::crc32(&bytes(0x3f80_0000)));
    }

    #[test]
    fn this_machine_keeps_denormals() {
        assert!(keeps_denormals());
    }

    #[test]
    fn a_bundle_gives_back_its_models_aligned() {
        let models: [&[u8]; 3] = [b"first", b"", b"the third is longer than sixteen bytes"];
        let bundle = pack_bundle(&models);
        assert_eq!(bundle_models(&bundle), 3);
        for (index, model) in models.iter().enumerate() {
            let found = bundle_model(&bundle, index).unwrap();
            assert_eq!(found, *model);
            assert_eq!((found.as_ptr().addr() - bundle.as_ptr().addr()) % 16, 0);
        }
        assert_eq!(bundle_model(&bundle, 3), None);
        assert_eq!(bundle_model(&bundle[..bundle.len() - 1], 2), None, "a damaged bundle");
    }
}
