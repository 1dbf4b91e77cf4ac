//! Running models on this machine, with the kernels that firmware links.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use samara_runtime::{
    ALL_OPS, Model, Session,
    arena::AlignedBuffer,
    format::writer::{GoldenSample, ModelFile},
    golden::checksum,
};

use crate::{boards::Board, paths};

/// A model file, read and checked.
#[derive(Debug, Clone)]
pub struct ModelBytes {
    /// The file's name without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes of arena that it needs.
    pub arena_bytes: usize,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
}

impl ModelBytes {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// If it cannot be read, or is refused.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = paths::shown(path);
        let bytes = std::fs::read(path).with_context(|| format!("the model {shown} cannot be read"))?;
        let arena_bytes =
            with_model(&bytes, |model| Ok(model.arena_bytes())).with_context(|| format!("{shown} is refused as a model"))?;
        let file = ModelFile::from_bytes(&bytes).map_err(anyhow::Error::from).with_context(|| format!("in {shown}"))?;
        let macs = file.macs();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, path: path.to_owned(), bytes, arena_bytes, macs })
    }

    /// `true` if the board has flash and RAM enough, with something to spare for code and stack.
    pub fn fits(&self, board: &Board) -> bool {
        self.fits_beside(0, board)
    }

    /// As [`ModelBytes::fits`], with this many bytes of the flash taken by others.
    pub fn fits_beside(&self, taken: usize, board: &Board) -> bool {
        // The self-test's: it holds the kernels of all ops.
        const CODE: usize = 200 << 10;
        const STACK: usize = 6 << 10;
        self.bytes.len() + taken + CODE <= board.flash_bytes && self.arena_bytes + STACK <= board.ram_bytes
    }

    /// The largest lengths of sequences, where they vary: a record begins with its own, four bytes each.
    ///
    /// # Errors
    /// If the model is refused.
    pub fn lengths(&self) -> Result<Vec<u32>> {
        with_model(&self.bytes, |model| Ok(own_groups(model).map(|(_, maximum)| maximum).collect()))
    }

    /// Cuts bytes into records: lengths of sequences, where they vary, then all inputs, one after the other.
    ///
    /// # Errors
    /// If the model is refused, or there is no whole number of records.
    pub fn records<'a>(&self, mut bytes: &'a [u8]) -> Result<Vec<&'a [u8]>> {
        with_model(&self.bytes, |model| {
            let mut records = Vec::new();
            while !bytes.is_empty() {
                let refused = || format!("{}: record {} is not whole", self.name, records.len());
                let mut size = 0;
                for tensor in (0..).map_while(|index| model.input(index)).map(|tensor| model.tensor(tensor)) {
                    let place = own_groups(model).position(|(number, _)| number == tensor.length_group);
                    size += match place {
                        None => tensor.bytes(),
                        Some(place) => {
                            let length = bytes.get(4 * place..).and_then(<[u8]>::first_chunk).with_context(refused)?;
                            tensor.bytes() / tensor.dimensions[0] as usize * u32::from_le_bytes(*length) as usize
                        }
                    };
                }
                let size = size + 4 * own_groups(model).count();
                let (record, behind) = bytes.split_at_checked(size).filter(|_| size > 0).with_context(refused)?;
                records.push(record);
                bytes = behind;
            }
            Ok(records)
        })
    }

    /// Bytes of each element of one record, in order.
    ///
    /// # Errors
    /// If the model is refused.
    pub fn input_elements(&self) -> Result<Vec<usize>> {
        with_model(&self.bytes, |model| {
            let inputs = (0..).map_while(|index| model.input(index)).map(|tensor| model.tensor(tensor));
            Ok(inputs.flat_map(|tensor| vec![tensor.element_type.bytes(); tensor.elements()]).collect())
        })
    }

    /// Runs the model on each record; returns the bytes of all outputs.
    ///
    /// # Errors
    /// If `records` is no whole number of records.
    pub fn infer(&self, records: &[u8]) -> Result<Vec<u8>> {
        let records = self.records(records)?;
        with_model(&self.bytes, |model| {
            let mut arena = AlignedBuffer::zeros(model.arena_bytes());
            let mut session = Session::new(*model, arena.as_mut_slice())?;
            let mut outputs = Vec::new();
            for mut record in records {
                for (group, _) in own_groups(model) {
                    let (length, inputs) = record.split_first_chunk().context("a record without its length")?;
                    session.set_length(group, u32::from_le_bytes(*length))?;
                    record = inputs;
                }
                for index in 0.. {
                    let Ok(input) = session.input_bytes_mut(index) else { break };
                    let (head, tail) = record.split_at(input.len());
                    input.copy_from_slice(head);
                    record = tail;
                }
                session.run();
                for bytes in (0..).map_while(|index| session.output_bytes(index)) {
                    outputs.extend_from_slice(bytes);
                }
            }
            Ok(outputs)
        })
    }
}

impl ModelBytes {
    /// Writes the model beside the others that tests make, with one golden sample that is right on this machine, or whose checksum
    /// is off by one bit.
    ///
    /// # Errors
    /// If the model is refused, or the file cannot be written.
    pub fn with_golden_sample(&self, right: bool) -> Result<Self> {
        let mut file = ModelFile::from_bytes(&self.bytes)?;
        file.golden = with_model(&self.bytes, |model| {
            let mut arena = AlignedBuffer::zeros(model.arena_bytes());
            let mut session = Session::new(*model, arena.as_mut_slice())?;
            let mut inputs: Vec<u8> = own_groups(model).flat_map(|(_, maximum)| maximum.to_le_bytes()).collect();
            for index in 0.. {
                let Ok(input) = session.input_bytes_mut(index) else { break };
                input.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 73) as u8);
                inputs.extend_from_slice(input);
            }
            session.run();
            Ok(vec![GoldenSample { inputs, checksum: checksum(&session) ^ u32::from(!right) }])
        })?;
        let name = if right { "golden" } else { "golden-tampered" };
        let path = paths::artifacts("selftest").join(name).with_extension("samara");
        std::fs::write(&path, file.to_bytes()).with_context(|| format!("{} cannot be written", paths::shown(&path)))?;
        Self::read(&path)
    }
}

/// All model files of the repository, by name.
///
/// # Errors
/// If one is refused: what is in the repository must load.
pub fn repository_models() -> Result<Vec<ModelBytes>> {
    let mut files = Vec::new();
    let mut directories = vec![paths::root().join("models")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| format!("{} cannot be read", paths::shown(&directory)))? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|ending| ending == "samara") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| ModelBytes::read(path)).collect()
}

/// Numbers and largest lengths of the groups whose length is set.
fn own_groups(model: &Model<'_>) -> impl Iterator<Item = (u8, u32)> {
    let groups = (1..).map_while(|number| Some((number, model.length_group(u16::from(number))?)));
    groups.filter(|(_, group)| group.source == 0).map(|(number, group)| (number, group.maximum))
}

fn with_model<T>(bytes: &[u8], action: impl FnOnce(&Model<'_>) -> Result<T>) -> Result<T> {
    action(&Model::parse(AlignedBuffer::copy_of(bytes).as_slice(), ALL_OPS)?)
}
