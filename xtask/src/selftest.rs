//! The same models and inputs here and on every board; one differing bit fails.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use samara_runtime::{
    selftest::{Checksum, checksums, pack_bundle},
    train,
};

use crate::{
    boards::{self, Board},
    emulator::{self, Clock},
    firmware::{self, Elf, Embed},
    host::ModelBytes,
    made::{Made, Ran},
    paths,
    report::Report,
    setup,
};

/// The model of the self-test that holds every int8 op.
pub const EVERY_INT8_OP: &str = "every-int8-op";
const EMULATOR_LIMIT: Duration = Duration::from_secs(240);

/// A model of the self-test, with this machine's checksums.
#[derive(Debug)]
struct Case {
    model: ModelBytes,
    checksums: Vec<Checksum>,
}

/// The models of the self-test.
#[derive(Debug)]
pub struct Cases {
    cases: Vec<Case>,
    made: Made,
}

impl Cases {
    /// The files of every op's, layer's and zoo net's examples, of random models, and `more`.
    ///
    /// # Errors
    /// If the tests that make files fail, or a model is refused.
    pub fn collect(more: &[PathBuf]) -> Result<Self> {
        fs::create_dir_all(paths::artifacts("selftest"))?;
        let made = Made::collect()?;
        let files = made.ops.iter().cloned().chain(made.layer_files()).chain([&made.zoo[..], &made.random, more].concat());
        let models: Vec<ModelBytes> = files.map(|path| ModelBytes::read(&path)).collect::<Result<_>>()?;
        let with_checksums = |model: ModelBytes| {
            let checksums = checksums(&model.bytes).with_context(|| format!("{} is refused as a model", model.name))?;
            Ok(Case { model, checksums })
        };
        Ok(Self { cases: models.into_iter().map(with_checksums).collect::<Result<_>>()?, made })
    }

    /// What the tests made.
    pub fn made(&self) -> &Made {
        &self.made
    }

    /// The cases that the board can hold, in bundles that fit into its flash.
    fn bundles(&self, board: &Board) -> Vec<Vec<&Case>> {
        let mut bundles: Vec<(usize, Vec<&Case>)> = Vec::new();
        for case in self.cases.iter().filter(|case| case.model.fits(board)) {
            // In a bundle, models start at multiples of 16, and each has 8 bytes of index.
            let bytes = case.model.bytes.len().next_multiple_of(16) + 8;
            match bundles.iter_mut().find(|(used, _)| case.model.fits_beside(*used + 32, board)) {
                Some((used, bundle)) => {
                    *used += bytes;
                    bundle.push(case);
                }
                None => bundles.push((bytes, vec![case])),
            }
        }
        bundles.into_iter().map(|(_, bundle)| bundle).collect()
    }

    /// Builds the board's self-test with its first bundle.
    ///
    /// # Errors
    /// If the build fails.
    pub fn build(&self, board: &Board) -> Result<Elf> {
        self.build_bundle(board, self.bundles(board).first().map_or(&[], Vec::as_slice))
    }

    fn build_bundle(&self, board: &Board, cases: &[&Case]) -> Result<Elf> {
        let models: Vec<&[u8]> = cases.iter().map(|case| case.model.bytes.as_slice()).collect();
        let bundle = Self::bundle_path(board);
        paths::write_if_changed(&bundle, &pack_bundle(&models))?;
        firmware::build(board, "selftest", self.embed(&bundle))
    }

    /// What `selftest` and `infer` embed in tests: both are built from the same files, so that neither is built twice.
    pub fn embed<'a>(&'a self, bundle: &'a Path) -> Embed<'a> {
        Embed { model: self.model(EVERY_INT8_OP).map(|model| model.path.as_path()), bundle: Some(bundle), taught: None }
    }

    /// Where the board's bundle lies.
    pub fn bundle_path(board: &Board) -> PathBuf {
        paths::artifacts("selftest").join(format!("{}.bundle", board.name))
    }

    /// Builds and runs the board's self-test, bundle by bundle, and compares.
    ///
    /// # Errors
    /// If a build fails, or anything differs: the SIMD variant, its results, denormals, a checksum.
    pub fn run(&self, board: &'static Board) -> Result<Ran> {
        let mut ran = Ran { board, checksums: 0, models: BTreeSet::new() };
        for cases in self.bundles(board) {
            let elf = self.build_bundle(board, &cases)?;
            let place = emulator::run(board, &elf, &[], &[], Clock::Free, EMULATOR_LIMIT)?;
            ran.checksums += compare(board, &cases, &Report::read(&place.join("report"))?)?;
            ran.models.extend(cases.iter().map(|case| case.model.name.clone()));
        }
        Ok(ran)
    }

    /// The case of that name.
    pub fn model(&self, name: &str) -> Option<&ModelBytes> {
        self.cases.iter().map(|case| &case.model).find(|model| model.name == name)
    }
}

/// Compares a bundle's report with this machine's checksums. Returns the number of those that were equal.
fn compare(board: &Board, cases: &[&Case], report: &Report) -> Result<usize> {
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
    let heads = train::selftest::checksums().map(|sum| sum.to_string());
    if report.all("heads").next() != Some(&heads[..]) {
        bail!("{}: a head that learns gives other bits than on this machine", board.name);
    }
    let mut found = report.all("case");
    let mut equal = 0;
    for (index, case) in cases.iter().enumerate() {
        for sum in &case.checksums {
            let line = [index as u64, u64::from(sum.round), sum.output as u64, u64::from(sum.crc)].map(|n| n.to_string());
            if found.next() != Some(line.as_slice()) {
                let (board, model) = (board.name, &case.model.name);
                bail!("{board}: {model} differs from this machine in round {}, output {}", sum.round, sum.output);
            }
            equal += 1;
        }
    }
    if found.next().is_some() || report.number("cases")? != cases.len() as u64 {
        bail!("{} ran other cases than this machine", board.name);
    }
    Ok(equal)
}

/// Runs the self-test on the boards.
///
/// # Errors
/// At the first board that differs.
pub fn run(board_names: &[String], more: &[PathBuf]) -> Result<()> {
    let boards = boards::select(board_names, boards::all)?;
    setup::require(&boards)?;
    let cases = Cases::collect(more)?;
    for board in boards {
        println!("{}: {}", board.core, cases.run(board)?);
    }
    Ok(())
}
