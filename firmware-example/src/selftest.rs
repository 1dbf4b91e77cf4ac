//! The self-test: known inputs through every model of a bundle, a checksum of each output.
//!
//! Inputs and checksums come from [`samara_runtime::selftest`], which the host runs, too. The report has `variant NAME`,
//! `simd_mismatches N`, `keeps_denormals 0|1`, `heads CRC CRC CRC` of the three kinds of heads that learn, a line `case MODEL ROUND OUTPUT CRC` per output, and `cases N` at its end.

use embedded_io::Write;
use samara_runtime::{ALL_OPS, LoadError, Model, Session, selftest, simd, train};

use crate::report::Report;

/// Rounds of comparing the active SIMD variant with the portable one.
const SIMD_ROUNDS: u32 = 200;

/// Runs all cases.
///
/// # Errors
/// The model's index and the reason, if one is refused.
pub fn run(bundle: &[u8], arena: &mut [u8], report: &mut Report<impl Write>) -> Result<(), (usize, LoadError)> {
    report.word("variant", simd::VARIANT.name());
    report.line("simd_mismatches", &[u64::from(simd::self_check(1, SIMD_ROUNDS))]);
    report.line("keeps_denormals", &[u64::from(selftest::keeps_denormals())]);
    report.line("heads", &train::selftest::checksums().map(u64::from));
    let mut cases = 0;
    while let Some(bytes) = selftest::bundle_model(bundle, cases) {
        let refused = |error| (cases, error);
        let model = Model::parse(bytes, ALL_OPS).map_err(refused)?;
        let mut session = Session::new(model, arena).map_err(refused)?;
        selftest::run_case(&mut session, |round, output, crc| {
            report.line("case", &[cases as u64, u64::from(round), output as u64, u64::from(crc)]);
        });
        cases += 1;
    }
    report.line("cases", &[cases as u64]);
    Ok(())
}
