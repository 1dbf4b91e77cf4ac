//! The same models and inputs here and on every board; one differing bit fails.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use samara_runtime::selftest::{Checksum, checksums, pack_bundle};

use crate::{
    boards::{self, BOARDS, Board},
    emulator::{self, Clock},
    firmware::{self, Elf, Embed},
    host::{self, ModelBytes},
    paths,
    report::Report,
};

/// The model of the self-test that holds every int8 op.
pub const EVERY_INT8_OP: &str = "every-int8-op";
const EMULATOR_LIMIT: Duration = Duration::from_secs(240);

/// The models of the self-test, with this machine's checksums.
#[derive(Debug)]
pub struct Cases {
    cases: Vec<(ModelBytes, Vec<Checksum>)>,
}

impl Cases {
    /// One small model per op and element type, the repository's models, and `more`.
    ///
    /// # Errors
    /// If a model is refused.
    pub fn collect(more: &[PathBuf]) -> Result<Self> {
        let directory = paths::artifacts("selftest");
        fs::create_dir_all(&directory)?;
        let mut models = Vec::new();
        for (name, bytes) in samara_runtime::selftest::op_models() {
            let path = directory.join(format!("{name}.samara"));
            paths::write_if_changed(&path, &bytes)?;
            models.push(ModelBytes::read(&path)?);
        }
        models.extend(host::repository_models()?);
        for path in more {
            models.push(ModelBytes::read(path)?);
        }
        let with_checksums = |model: ModelBytes| {
            let sums = checksums(&model.bytes).with_context(|| format!("{} is refused as a model", model.name))?;
            Ok((model, sums))
        };
        Ok(Self { cases: models.into_iter().map(with_checksums).collect::<Result<_>>()? })
    }

    /// The cases that the board can hold, all together in flash; and the names of the others.
    fn on(&self, board: &Board) -> (Vec<&(ModelBytes, Vec<Checksum>)>, Vec<&str>) {
        let mut flash = 0;
        let mut held = Vec::new();
        let mut left = Vec::new();
        for case in &self.cases {
            let bytes = case.0.bytes.len();
            // The last case of the bundle must fit after all that came before.
            let reserved = ModelBytes { bytes: vec![0; flash + bytes], ..case.0.clone() };
            if reserved.fits(board) {
                flash += bytes.next_multiple_of(16) + 8;
                held.push(case);
            } else {
                left.push(case.0.name.as_str());
            }
        }
        (held, left)
    }

    /// Builds the board's self-test.
    ///
    /// # Errors
    /// If the build fails.
    pub fn build(&self, board: &Board) -> Result<Elf> {
        let (held, left) = self.on(board);
        if !left.is_empty() {
            println!("  {}: too small for {}", board.name, left.join(", "));
        }
        let models: Vec<&[u8]> = held.iter().map(|case| case.0.bytes.as_slice()).collect();
        let bundle = Self::bundle_path(board);
        paths::write_if_changed(&bundle, &pack_bundle(&models))?;
        firmware::build(board, "selftest", self.embed(&bundle))
    }

    /// What `selftest` and `infer` embed in tests: both are built from the same files, so that neither is built twice.
    pub fn embed<'a>(&'a self, bundle: &'a Path) -> Embed<'a> {
        Embed { model: self.model(EVERY_INT8_OP).map(|model| model.path.as_path()), bundle: Some(bundle) }
    }

    /// Where the board's bundle lies.
    pub fn bundle_path(board: &Board) -> PathBuf {
        paths::artifacts("selftest").join(format!("{}.bundle", board.name))
    }

    /// Runs a board's self-test and compares. Returns the number of checksums that were equal.
    ///
    /// # Errors
    /// If anything differs: the SIMD variant, its results, denormals, a checksum.
    pub fn check(&self, board: &Board, elf: &Elf) -> Result<usize> {
        let place = emulator::run(board, elf, &[], &[], Clock::Free, EMULATOR_LIMIT)?;
        self.compare(board, &Report::read(&place.join("report"))?)
    }

    fn compare(&self, board: &Board, report: &Report) -> Result<usize> {
        let variant = report.word("variant")?;
        if variant != board.simd_variant {
            bail!("{} runs the {variant} kernels, expected {}", board.name, board.simd_variant);
        }
        let mismatches = report.number("simd_mismatches")?;
        if mismatches > 0 {
            bail!("{}: {mismatches} results of the {variant} kernels differ from the portable ones", board.name);
        }
        if report.number("keeps_denormals")? != 1 {
            bail!("{} flushes denormal numbers to zero", board.name);
        }
        let (held, _) = self.on(board);
        let mut found = report.all("case");
        let mut equal = 0;
        for (index, (model, expected)) in held.iter().enumerate() {
            for sum in expected {
                let line = [index as u64, u64::from(sum.round), sum.output as u64, u64::from(sum.crc)].map(|n| n.to_string());
                if found.next() != Some(line.as_slice()) {
                    bail!(
                        "{}: {} differs from this machine in round {}, output {}",
                        board.name,
                        model.name,
                        sum.round,
                        sum.output
                    );
                }
                equal += 1;
            }
        }
        if found.next().is_some() || report.number("cases")? != held.len() as u64 {
            bail!("{} ran other cases than this machine", board.name);
        }
        Ok(equal)
    }

    /// The case of that name.
    pub fn model(&self, name: &str) -> Option<&ModelBytes> {
        self.cases.iter().map(|case| &case.0).find(|model| model.name == name)
    }
}

/// Runs the self-test on the boards.
///
/// # Errors
/// At the first board that differs.
pub fn run(board_names: &[String], more: &[PathBuf]) -> Result<()> {
    let all: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
    let cases = Cases::collect(more)?;
    for board in boards::select(board_names, &all)? {
        let elf = cases.build(board)?;
        let equal = cases.check(board, &elf)?;
        println!("{}: {equal} checksums equal this machine's, {} kernels", board.core, board.simd_variant);
    }
    Ok(())
}
