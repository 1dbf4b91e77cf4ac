//! NPY files, what `numpy.save` writes: `\x93NUMPY`, version, length of the header, a Python dictionary, the elements.
//!
//! Read are whole numbers of 8 to 64 bits, f16, f32, f64 and booleans, of either byte order, in C or Fortran order.
//! Not read: complex numbers, records, strings, objects. What the header says is believed only where the file bears it out: the
//! file must be exactly as long as its shape asks for.
//!
//! Source: NumPy Enhancement Proposal 1, versions 1, 2 and 3 of the format.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::SourceError;
use crate::data::{BatchBuffers, Field, Source, Tensor};
use crate::error::{Error, Result};
use crate::graph::Shape;

/// The longest header that is read; NumPy's own limit is 10,000 bytes.
const LARGEST_HEADER: usize = 1 << 16;

/// An array in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct NpyArray {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The elements, the last dimension closest in memory.
    pub elements: Elements,
}

/// The elements of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// Unsigned bytes: images as cameras give them, 0 to 255.
    Bytes(Vec<u8>),
    /// Numbers of any other type.
    Numbers(Vec<f32>),
}

impl NpyArray {
    /// Reads a file whole.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or holds something else than numbers.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        let content = std::fs::read(path).map_err(|error| SourceError::read(path, error))?;
        Self::parse(&content).map_err(|reason| SourceError::malformed(path, reason))
    }

    /// Parses the content of a file; an error is the end of a sentence about the array.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let header = Header::read(&mut &content[..], content.len() as u64)?;
        let elements = &content[header.start as usize..];
        let Header { element, order, shape, .. } = header;
        Ok(match element.kind {
            Kind::Unsigned8 => Self { elements: Elements::Bytes(in_c_order(elements.to_vec(), &shape, order)), shape },
            _ => {
                let mut values = vec![0.0; elements.len() / element.kind.bytes()];
                element.decode(elements, &mut values);
                Self { elements: Elements::Numbers(in_c_order(values, &shape, order)), shape }
            }
        })
    }

    /// The array as samples, one along the first dimension. Bytes stay bytes, and each value is its byte over `divisor`: 255 for
    /// values from 0 to 1, 1 for the bytes as they are. Other numbers are taken as they are.
    ///
    /// # Errors
    /// If `divisor` is not at least 1.
    pub fn into_tensor(self, divisor: f32) -> Result<Tensor> {
        match self.elements {
            Elements::Bytes(bytes) => Tensor::from_bytes(self.shape, bytes, divisor),
            Elements::Numbers(values) => Tensor::new(self.shape, values),
        }
    }
}

/// A file whose samples, one along the first dimension, are read when they are asked for: it may be larger than memory.
#[derive(Debug)]
pub struct NpyFile {
    path: PathBuf,
    file: Mutex<File>,
    header: Header,
    name: Option<String>,
    divisor: f32,
}

impl NpyFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, holds something else than numbers, or lies in Fortran order, in which no sample is in
    /// one piece: [`NpyArray::read`] reads such a file whole.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let read = |error| SourceError::read(path, error);
        let mut file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        let header = Header::read(&mut file, length).map_err(|reason| SourceError::malformed(path, reason))?;
        if header.shape.is_empty() {
            return Err(SourceError::malformed(path, "it holds a single number, expected samples along a first dimension"));
        }
        if header.order == Order::Fortran && header.shape.len() > 1 {
            let reason = "it is in Fortran order, in which no sample is in one piece: save numpy.ascontiguousarray(x), or read it \
                          whole with NpyArray::read";
            return Err(SourceError::malformed(path, reason));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), header, name: None, divisor: 1.0 })
    }

    /// The same file for the model's input or output of this name.
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The same file, its values over `divisor`: 255 for bytes of images.
    pub fn divided_by(self, divisor: f32) -> Self {
        Self { divisor, ..self }
    }

    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.header.shape[0]
    }

    /// The shape of a sample.
    pub fn sample_shape(&self) -> Shape {
        Shape::from(&self.header.shape[1..])
    }

    /// Reads samples by their numbers, one after another into `values`. Only they are read.
    ///
    /// # Errors
    /// If the file cannot be read, or has no sample of such a number.
    ///
    /// # Panics
    /// If `values` has not [`NpyFile::sample_shape`]'s size for each sample.
    pub fn read(&self, samples: &[u32], values: &mut [f32]) -> Result<(), SourceError> {
        let size = self.sample_shape().size();
        assert_eq!(values.len(), samples.len() * size, "space for {} samples of {size} values", samples.len());
        if size == 0 {
            return Ok(());
        }
        let bytes = size * self.header.element.kind.bytes();
        let mut content = vec![0; bytes];
        // A thread that panicked while it read has left no state that matters: each read seeks first.
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (&sample, values) in samples.iter().zip(values.chunks_exact_mut(size)) {
            if sample as usize >= self.samples() {
                let reason = format!("it has {} samples, and none of number {sample}", self.samples());
                return Err(SourceError::malformed(&self.path, reason));
            }
            let start = self.header.start + u64::from(sample) * bytes as u64;
            file.seek(SeekFrom::Start(start))
                .and_then(|_| file.read_exact(&mut content))
                .map_err(|error| SourceError::read(&self.path, error))?;
            self.header.element.decode(&content, values);
            if self.divisor != 1.0 {
                values.iter_mut().for_each(|value| *value /= self.divisor);
            }
        }
        Ok(())
    }
}

/// Inputs and targets in NPY files, read batch by batch.
///
/// ```no_run
/// use samara_trainer::data::sources::{NpyFile, NpySource};
///
/// let images = NpyFile::open("images.npy")?.divided_by(255.0);
/// let data = NpySource::new(vec![images], vec![NpyFile::open("labels.npy")?])?;
/// # Ok::<(), samara_trainer::Error>(())
/// ```
#[derive(Debug)]
pub struct NpySource {
    inputs: Vec<NpyFile>,
    targets: Vec<NpyFile>,
}

impl NpySource {
    /// Files for a model's inputs and for its outputs, in the model's order or by name. Targets of the shape `[N]` are class
    /// numbers.
    ///
    /// # Errors
    /// If there is no input, or the numbers of samples differ.
    pub fn new(inputs: Vec<NpyFile>, targets: Vec<NpyFile>) -> Result<Self> {
        let Some(first) = inputs.first() else {
            return Err(Error::EmptyData { what: "it has no input, and so".to_owned() });
        };
        let expected = first.samples();
        for file in inputs.iter().chain(&targets) {
            let found = file.samples();
            if found != expected {
                return Err(Error::SampleCount { what: file.path.display().to_string(), found, expected });
            }
        }
        Ok(Self { inputs, targets })
    }
}

impl Source for NpySource {
    fn samples(&self) -> usize {
        self.inputs.first().map_or(0, NpyFile::samples)
    }

    fn inputs(&self) -> Vec<Field> {
        fields(&self.inputs)
    }

    fn targets(&self) -> Vec<Field> {
        fields(&self.targets)
    }

    fn fill(&self, samples: &[u32], _key: u64, batch: &mut BatchBuffers) -> Result<()> {
        for (input, file) in self.inputs.iter().enumerate() {
            file.read(samples, batch.input(input))?;
        }
        for (target, file) in self.targets.iter().enumerate() {
            file.read(samples, batch.target(target))?;
        }
        Ok(())
    }
}

fn fields(files: &[NpyFile]) -> Vec<Field> {
    files.iter().map(|file| Field { name: file.name.clone(), shape: file.sample_shape() }).collect()
}

/// What a file says of its elements, checked against its length.
#[derive(Debug)]
struct Header {
    element: ElementType,
    order: Order,
    shape: Vec<usize>,
    /// Where the elements begin.
    start: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The last dimension lies closest.
    C,
    /// The first dimension lies closest.
    Fortran,
}

impl Header {
    /// Reads the header of a file of this length.
    fn read(file: &mut impl Read, file_bytes: u64) -> Result<Self, String> {
        let cut = |_| format!("it ends within its NPY header, after {file_bytes} bytes");
        let mut start = [0; 8];
        file.read_exact(&mut start).map_err(cut)?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err("it does not start as an NPY file does".to_owned());
        }
        let (header_start, length) = match start[6] {
            1 => {
                let mut length = [0; 2];
                file.read_exact(&mut length).map_err(cut)?;
                (10, usize::from(u16::from_le_bytes(length)))
            }
            2 | 3 => {
                let mut length = [0; 4];
                file.read_exact(&mut length).map_err(cut)?;
                (12, u32::from_le_bytes(length) as usize)
            }
            other => return Err(format!("it has version {other} of the NPY format, expected 1, 2 or 3")),
        };
        if length > LARGEST_HEADER {
            return Err(format!("its NPY header has {length} bytes, expected at most {LARGEST_HEADER}"));
        }
        let mut header = vec![0; length];
        file.read_exact(&mut header).map_err(cut)?;
        let start = header_start + length as u64;
        let dictionary = Dictionary::parse(&String::from_utf8_lossy(&header))?;
        let Dictionary { element, order, shape } = dictionary;
        let expected = shape.iter().try_fold(element.kind.bytes() as u64, |product, &size| product.checked_mul(size as u64));
        let found = file_bytes - start;
        if expected != Some(found) || shape.iter().try_fold(1usize, |size, &next| size.checked_mul(next)).is_none() {
            let expected = expected.map_or_else(|| "more than any file has".to_owned(), |bytes| bytes.to_string());
            return Err(format!(
                "it has {found} bytes of elements, expected {expected} for {} of shape {shape:?}",
                element.name()
            ));
        }
        Ok(Self { element, order, shape, start })
    }
}

/// The header's Python dictionary: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
#[derive(Debug, PartialEq)]
struct Dictionary {
    element: ElementType,
    order: Order,
    shape: Vec<usize>,
}

impl Dictionary {
    fn parse(text: &str) -> Result<Self, String> {
        let damaged = |expected: &str, rest: &str| {
            let found: String = rest.chars().take(16).collect();
            format!("its NPY header has {found:?} at byte {}, expected {expected}", text.len() - rest.len())
        };
        let (mut element, mut order, mut shape) = (None, None, None);
        let mut rest = text.trim_start();
        rest = rest.strip_prefix('{').ok_or_else(|| damaged("a dictionary", rest))?.trim_start();
        while let Some((key, after)) = quoted(rest) {
            rest = after.trim_start();
            rest = rest.strip_prefix(':').ok_or_else(|| damaged("':'", rest))?.trim_start();
            match key {
                "descr" if element.is_none() => {
                    let (name, after) =
                        quoted(rest).ok_or("its elements are records, expected numbers: save one field of them")?;
                    element = Some(ElementType::parse(name)?);
                    rest = after;
                }
                "fortran_order" if order.is_none() => {
                    let (found, after) = [("False", Order::C), ("True", Order::Fortran)]
                        .into_iter()
                        .find_map(|(word, order)| Some((order, rest.strip_prefix(word)?)))
                        .ok_or_else(|| damaged("False or True", rest))?;
                    order = Some(found);
                    rest = after;
                }
                "shape" if shape.is_none() => {
                    let wrong = || damaged("a shape such as (60000, 28, 28)", rest);
                    let (inside, after) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(wrong)?;
                    let inside = inside.trim_end();
                    let inside = inside.strip_suffix(',').unwrap_or(inside);
                    let sizes = inside.split(',').map(str::trim).filter(|_| !inside.is_empty());
                    shape = Some(sizes.map(|size| size.parse().map_err(|_| wrong())).collect::<Result<Vec<usize>, _>>()?);
                    rest = after;
                }
                _ => {
                    return Err(format!(
                        "its NPY header has the key {key:?}, expected descr, fortran_order and shape, each once"
                    ));
                }
            }
            rest = rest.trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or_else(|| damaged("'}'", rest))?;
        if !rest.trim().is_empty() {
            return Err(damaged("its end", rest));
        }
        let missing = |key: &str| format!("its NPY header has no {key}");
        Ok(Self {
            element: element.ok_or_else(|| missing("descr"))?,
            order: order.ok_or_else(|| missing("fortran_order"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
        })
    }
}

/// A string in quotes at the start of a text, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// A NumPy type of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ElementType {
    kind: Kind,
    is_big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Unsigned8,
    Signed8,
    Unsigned16,
    Signed16,
    Unsigned32,
    Signed32,
    Unsigned64,
    Signed64,
    Float16,
    Float32,
    Float64,
}

impl Kind {
    const ALL: [(&'static str, Self); 12] = [
        ("b1", Self::Boolean),
        ("u1", Self::Unsigned8),
        ("i1", Self::Signed8),
        ("u2", Self::Unsigned16),
        ("i2", Self::Signed16),
        ("u4", Self::Unsigned32),
        ("i4", Self::Signed32),
        ("u8", Self::Unsigned64),
        ("i8", Self::Signed64),
        ("f2", Self::Float16),
        ("f4", Self::Float32),
        ("f8", Self::Float64),
    ];

    fn bytes(self) -> usize {
        match self {
            Self::Boolean | Self::Unsigned8 | Self::Signed8 => 1,
            Self::Unsigned16 | Self::Signed16 | Self::Float16 => 2,
            Self::Unsigned32 | Self::Signed32 | Self::Float32 => 4,
            Self::Unsigned64 | Self::Signed64 | Self::Float64 => 8,
        }
    }
}

impl ElementType {
    fn parse(text: &str) -> Result<Self, String> {
        let order_and_kind = || {
            let kind = text.get(1..)?;
            let (_, kind) = Kind::ALL.into_iter().find(|(name, _)| *name == kind)?;
            let is_big_endian = match text.as_bytes()[0] {
                b'<' | b'=' => false,
                b'>' => true,
                b'|' if kind.bytes() == 1 => false,
                _ => return None,
            };
            Some(Self { kind, is_big_endian })
        };
        order_and_kind().ok_or_else(|| {
            format!(
                "its elements have the NumPy type {text:?}, expected whole numbers of 8 to 64 bits, f16, f32, f64 or booleans"
            )
        })
    }

    fn name(self) -> &'static str {
        Kind::ALL.into_iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name)
    }

    /// Elements as f32: the nearest one where f32 has no such number.
    fn decode(self, bytes: &[u8], values: &mut [f32]) {
        fn each<const SIZE: usize>(bytes: &[u8], is_big_endian: bool, values: &mut [f32], convert: impl Fn([u8; SIZE]) -> f32) {
            for (value, &element) in values.iter_mut().zip(bytes.as_chunks::<SIZE>().0) {
                let mut element = element;
                if is_big_endian {
                    element.reverse();
                }
                *value = convert(element);
            }
        }
        let big = self.is_big_endian;
        match self.kind {
            Kind::Boolean => each(bytes, big, values, |[byte]| f32::from(u8::from(byte != 0))),
            Kind::Unsigned8 => each(bytes, big, values, |[byte]| f32::from(byte)),
            Kind::Signed8 => each(bytes, big, values, |element| f32::from(i8::from_le_bytes(element))),
            Kind::Unsigned16 => each(bytes, big, values, |element| f32::from(u16::from_le_bytes(element))),
            Kind::Signed16 => each(bytes, big, values, |element| f32::from(i16::from_le_bytes(element))),
            Kind::Unsigned32 => each(bytes, big, values, |element| u32::from_le_bytes(element) as f32),
            Kind::Signed32 => each(bytes, big, values, |element| i32::from_le_bytes(element) as f32),
            Kind::Unsigned64 => each(bytes, big, values, |element| u64::from_le_bytes(element) as f32),
            Kind::Signed64 => each(bytes, big, values, |element| i64::from_le_bytes(element) as f32),
            Kind::Float16 => each(bytes, big, values, |element| half(u16::from_le_bytes(element))),
            Kind::Float32 => each(bytes, big, values, f32::from_le_bytes),
            Kind::Float64 => each(bytes, big, values, |element| f64::from_le_bytes(element) as f32),
        }
    }
}

/// An IEEE 754 binary16 as f32, which holds all of them: 1 bit of sign, 5 of exponent, 10 of fraction.
fn half(bits: u16) -> f32 {
    let fraction = f32::from(bits & 0x3ff) / 1024.0;
    let magnitude = match (bits >> 10) & 0x1f {
        0 => fraction * 2f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1.0 + fraction) * 2f32.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Elements in C order.
fn in_c_order<T: Copy>(elements: Vec<T>, shape: &[usize], order: Order) -> Vec<T> {
    if order == Order::C || shape.len() < 2 || elements.is_empty() {
        return elements;
    }
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &size in shape {
        strides.push(stride);
        stride *= size;
    }
    let mut index = vec![0; shape.len()];
    let mut from = 0;
    let mut ordered = Vec::with_capacity(elements.len());
    for _ in 0..elements.len() {
        ordered.push(elements[from]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            from -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn npy(element_type: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
        npy_with(&format!("{{'descr': '{element_type}', 'fortran_order': False, 'shape': {shape}, }}\n"), elements)
    }

    fn npy_with(header: &str, elements: &[u8]) -> Vec<u8> {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
    }

    fn numbers(element_type: &str, elements: &[u8]) -> Vec<f32> {
        let count = elements.len() / element_type[2..].parse::<usize>().unwrap();
        match NpyArray::parse(&npy(element_type, &format!("({count},)"), elements)).unwrap().elements {
            Elements::Numbers(values) => values,
            Elements::Bytes(bytes) => bytes.into_iter().map(f32::from).collect(),
        }
    }

    #[test]
    fn elements_of_every_type_and_byte_order() {
        assert_eq!(numbers("|b1", &[0, 1, 2]), [0.0, 1.0, 1.0]);
        assert_eq!(numbers("|u1", &[0, 255]), [0.0, 255.0]);
        assert_eq!(numbers("|i1", &[1, 255]), [1.0, -1.0]);
        assert_eq!(numbers("<u2", &[1, 2, 255, 255]), [513.0, 65535.0]);
        assert_eq!(numbers(">u2", &[1, 2, 255, 255]), [258.0, 65535.0]);
        assert_eq!(numbers("<i2", &[254, 255]), [-2.0]);
        assert_eq!(numbers(">i2", &[255, 254]), [-2.0]);
        assert_eq!(numbers("<u4", &70_000u32.to_le_bytes()), [70_000.0]);
        assert_eq!(numbers(">i4", &(-70_000i32).to_be_bytes()), [-70_000.0]);
        assert_eq!(numbers("<u8", &(1u64 << 40).to_le_bytes()), [(1u64 << 40) as f32]);
        assert_eq!(numbers(">i8", &(-7i64).to_be_bytes()), [-7.0]);
        assert_eq!(numbers("<f4", &1.5f32.to_le_bytes()), [1.5]);
        assert_eq!(numbers(">f4", &1.5f32.to_be_bytes()), [1.5]);
        assert_eq!(numbers("=f8", &(-0.25f64).to_le_bytes()), [-0.25]);
        // 1, -2, the largest, the smallest subnormal, zero.
        let halves = [0x3c00u16, 0xc000, 0x7bff, 0x0001, 0x8000];
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        assert_eq!(numbers("<f2", &bytes), [1.0, -2.0, 65504.0, 5.960_464_5e-8, 0.0]);
        assert!(numbers("<f2", &[0x00, 0x7c, 0x01, 0x7c]).iter().all(|value| !value.is_finite()));
    }

    #[test]
    fn fortran_order_is_turned_into_c_order() {
        // numpy.asfortranarray(numpy.arange(12, dtype="u1").reshape(2, 3, 2)).
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 2), }\n";
        let array = NpyArray::parse(&npy_with(header, &[0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11])).unwrap();
        assert_eq!((array.shape, array.elements), (vec![2, 3, 2], Elements::Bytes((0..12).collect())));
    }

    #[test]
    fn keys_in_any_order_quotes_of_any_kind_and_versions() {
        let header = "{\"shape\":(2,1),\"fortran_order\":False,\"descr\":\"<i2\"}";
        let first = npy_with(header, &[1, 0, 2, 0]);
        let mut third = [b"\x93NUMPY\x03\x00", &(header.len() as u32).to_le_bytes()[..], header.as_bytes()].concat();
        third.extend([1, 0, 2, 0]);
        for content in [first, third] {
            let array = NpyArray::parse(&content).unwrap();
            assert_eq!((array.shape, array.elements), (vec![2, 1], Elements::Numbers(vec![1.0, 2.0])));
        }
        assert_eq!(NpyArray::parse(&npy("|u1", "()", &[7])).unwrap().shape, [0usize; 0]);
    }

    #[test]
    fn hostile_headers_are_told() {
        let reason = |content: &[u8]| NpyArray::parse(content).unwrap_err();
        let with = |header: &str| reason(&npy_with(header, &[1]));
        let expected = "expected whole numbers of 8 to 64 bits, f16, f32, f64 or booleans";
        assert_eq!(reason(&npy("<c8", "(1,)", &[0; 8])), format!("its elements have the NumPy type \"<c8\", {expected}"));
        for other in ["|O", "<U3", "|f4", "", "<", "é4"] {
            assert!(reason(&npy(other, "(1,)", &[0; 4])).contains(expected), "{other}");
        }
        assert_eq!(reason(&npy("|u1", "(3,)", &[1, 2])), "it has 2 bytes of elements, expected 3 for u1 of shape [3]");
        assert_eq!(
            reason(&npy("<f8", "(4294967296, 4294967296)", &[])),
            "it has 0 bytes of elements, expected more than any file has for f8 of shape [4294967296, 4294967296]"
        );
        // A product that wraps behind a size of 0 is no small array.
        assert!(reason(&npy("|u1", "(0, 4294967296, 4294967296, 4294967296)", &[1])).contains("expected 0"));
        assert_eq!(
            with("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
            "its elements are records, expected numbers: save one field of them"
        );
        assert_eq!(
            with("{'descr': '|u1', 'fortran_order': 1, 'shape': (1,)}"),
            "its NPY header has \"1, 'shape': (1,)\" at byte 34, expected False or True"
        );
        assert!(with("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}").contains("expected a shape such as"));
        assert!(with("{'descr': '|u1', 'fortran_order': False, 'shape': (,,)}").contains("expected a shape such as"));
        assert_eq!(with("{'descr': '|u1', 'shape': (1,)}"), "its NPY header has no fortran_order");
        assert!(with("{'descr': '|u1', 'descr': '|u1'}").contains("the key \"descr\", expected"));
        assert!(with("[]").contains("expected a dictionary"));
        assert!(with("{'descr': '|u1', 'fortran_order': False, 'shape': (1,)} x").contains("expected its end"));
        assert_eq!(reason(b"\x93NUMPY\x09\x00\x00\x00"), "it has version 9 of the NPY format, expected 1, 2 or 3");
        let long = [&b"\x93NUMPY\x02\x00"[..], &u32::MAX.to_le_bytes()].concat();
        assert_eq!(reason(&long), "its NPY header has 4294967295 bytes, expected at most 65536");
        let good = npy("|u1", "(2,)", &[1, 2]);
        for length in 0..good.len() {
            assert!(NpyArray::parse(&good[..length]).is_err(), "cut to {length}");
        }
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 0xff;
            let _ = NpyArray::parse(&bad);
        }
    }

    #[test]
    fn samples_are_read_where_they_lie() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let images = write("x.npy", &npy("|u1", "(3, 1, 2)", &[0, 51, 102, 153, 204, 255]));
        let labels = write("y.npy", &npy(">i8", "(3,)", &[7i64, 8, 9].map(i64::to_be_bytes).concat()));
        let open = |path: &Path| NpyFile::open(path).unwrap();
        let source = NpySource::new(vec![open(&images).divided_by(255.0).named("x")], vec![open(&labels)]).unwrap();
        assert_eq!((source.samples(), source.inputs()[0].name.as_deref()), (3, Some("x")));
        assert_eq!((source.inputs()[0].shape.to_vec(), source.targets()[0].shape.to_vec()), (vec![1, 2], vec![]));
        let mut batch = BatchBuffers::new(&source, 3);
        batch.take(&source, [2, 0].into_iter(), 0).unwrap();
        assert_eq!((batch.input_values(0), batch.target_values(0)), (&[0.8, 1.0, 0.0, 0.2][..], &[9.0, 7.0][..]));
        let message = open(&labels).read(&[3], &mut [0.0]).unwrap_err().to_string();
        assert!(message.ends_with("y.npy: it has 3 samples, and none of number 3"), "{message}");
        // The file is cut while it is in use.
        let file = open(&labels);
        std::fs::write(&labels, [0; 4]).unwrap();
        let message = file.read(&[1], &mut [0.0]).unwrap_err().to_string();
        assert!(message.contains("y.npy cannot be read"), "{message}");

        let two = write("two.npy", &npy("|u1", "(2,)", &[1, 2]));
        let message = NpySource::new(vec![open(&images)], vec![open(&two)]).unwrap_err().to_string();
        assert!(message.ends_with("two.npy has 2 samples, but the first input has 3"), "{message}");
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (1, 1), }\n";
        let fortran = write("f.npy", &npy_with(header, &[1]));
        assert!(NpyFile::open(fortran).unwrap_err().to_string().contains("f.npy: it is in Fortran order"));
        assert!(NpyFile::open(write("n.npy", &npy("|u1", "()", &[1]))).unwrap_err().to_string().contains("a single number"));
    }
}
