//! `cargo xtask test`: everything, in stages with time budgets.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::{
    boards::BOARDS,
    device_bench,
    emulator::{self, Clock},
    firmware::{self, Embed},
    layers, paths, process,
    selftest::{Cases, EVERY_INT8_OP},
    setup,
    stages::{Shown, Stopwatch, Tally},
    symbols,
    table::{self, thousands},
};

/// A stage of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Tests of all crates, documentation's examples included
    Host,
    /// Format, lints, documentation, the runtime's features
    Lint,
    /// Firmware for all boards builds, and holds no forbidden code
    Firmware,
    /// Emulated boards give this machine's bits
    Qemu,
    /// Tests that need Fashion-MNIST
    Data,
}

impl Stage {
    /// Minutes that the stage may take on two cores, from a clean clone.
    const fn budget_minutes(self) -> u64 {
        match self {
            Self::Host => 8,
            Self::Lint => 4,
            Self::Firmware => 5,
            Self::Qemu => 3,
            Self::Data => 5,
        }
    }

    fn run(self, tally: &mut Tally) -> Result<()> {
        match self {
            Self::Host => host(tally),
            Self::Lint => lint(tally)?,
            Self::Firmware => build_firmware(tally)?,
            Self::Qemu => qemu(tally)?,
            Self::Data => data(tally),
        }
        Ok(())
    }
}

const EMULATOR_LIMIT: Duration = Duration::from_secs(60);

/// Runs the stages, prints a table, and ends with a line `N passed, N failed`. `true` if nothing failed, and, in continuous
/// integration, nothing was skipped.
///
/// # Errors
/// If continuous integration cannot install what it needs.
pub fn run(stages: &[Stage]) -> Result<bool> {
    let stages = if stages.is_empty() { Stage::value_variants() } else { stages };
    if setup::is_ci() {
        setup::all()?;
    } else {
        setup::rust_targets()?;
    }
    let whole = Stopwatch::start();
    let mut rows = Vec::new();
    let mut total = Tally::default();
    for &stage in stages {
        let name = format!("{stage:?}").to_lowercase();
        println!("\n== {name} (budget {} min) ==", stage.budget_minutes());
        let watch = Stopwatch::start();
        let mut tally = Tally::default();
        if let Err(error) = stage.run(&mut tally) {
            tally.failed += 1;
            println!("  FAILED: {error:#}");
        }
        let elapsed = watch.elapsed();
        let over = elapsed.0 > Duration::from_secs(60 * stage.budget_minutes());
        rows.push(vec![
            name,
            tally.passed.to_string(),
            tally.failed.to_string(),
            tally.skipped.len().to_string(),
            format!("{elapsed}{}", if over { " (over)" } else { "" }),
            Shown(Duration::from_secs(60 * stage.budget_minutes())).to_string(),
        ]);
        total.passed += tally.passed;
        total.failed += tally.failed;
        total.skipped.extend(tally.skipped);
    }
    println!("\n{}", table::render(&["stage", "passed", "failed", "skipped", "time", "budget"], &rows));
    for skipped in &total.skipped {
        println!("skipped: {skipped}");
    }
    if setup::is_ci() && !total.skipped.is_empty() {
        println!("CI=true: what was skipped counts as failed");
        total.failed += total.skipped.len();
    }
    println!("{} in all", whole.elapsed());
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total.failed == 0)
}

/// Runs a cargo command of the test harness and counts its tests.
fn harness(tally: &mut Tally, arguments: &[&str]) -> Result<()> {
    let failed_before = tally.failed;
    let result = process::run_lines(&mut process::cargo(arguments), |line| {
        tally.count_harness_line(line);
        println!("  {line}");
    });
    if tally.failed > failed_before {
        bail!("tests failed, see above");
    }
    result
}

fn host(tally: &mut Tally) {
    tally.check("tests of all crates, benches run once", |tally| {
        harness(tally, &["test", "--quiet", "--workspace", "--all-targets", "--no-fail-fast"])
    });
    tally.check("examples in the documentation", |tally| {
        harness(tally, &["test", "--quiet", "--workspace", "--doc", "--no-fail-fast"])
    });
}

fn lint(tally: &mut Tally) -> Result<()> {
    let cargo = |arguments: &[&str]| process::run(&mut process::cargo(arguments));
    let firmware = "firmware-example/Cargo.toml";
    tally.check("format", |_| cargo(&["fmt", "--all", "--check"]));
    tally.check("format of the firmware", |_| cargo(&["fmt", "--manifest-path", firmware, "--check"]));
    tally.check("clippy", |_| cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    tally.check("documentation", |_| {
        process::run(process::cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    tally.check("the fuzz target compiles", |_| {
        let fuzz = ["--manifest-path", "fuzz/Cargo.toml"];
        cargo(&["fmt", fuzz[0], fuzz[1], "--check"])?;
        let mut check = process::cargo(&["check", "--quiet", fuzz[0], fuzz[1], "--target-dir"]);
        // A path for the fuzzing engine, which is only needed to link, spares the compilation of its C++ code.
        process::run(check.arg(paths::artifacts("fuzz")).env("CUSTOM_LIBFUZZER_PATH", paths::artifacts("fuzz")))
    });
    for features in feature_combinations("samara-runtime")? {
        // The smallest core: what compiles without a standard library and without atomics compiles everywhere.
        let target: &[&str] = if features.contains("std") { &[] } else { &["--target", "thumbv6m-none-eabi"] };
        let check = ["check", "--quiet", "--package", "samara-runtime", "--no-default-features", "--features", &features];
        let name = if features.is_empty() { "no features" } else { features.as_str() };
        tally.check(&format!("the runtime with {name}"), |_| cargo(&[&check, target].concat()));
    }
    Ok(())
}

/// All sets of a package's features, as `--features` takes them.
fn feature_combinations(package: &str) -> Result<Vec<String>> {
    let metadata = process::output(&mut process::cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let Some(found) = packages.iter().find(|found| found["name"] == package) else {
        bail!("cargo knows no package {package}");
    };
    let names = found["features"].as_object().map(|features| features.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let names: Vec<String> = names.into_iter().filter(|name| name != "default").collect();
    let combine = |set: u32| {
        names
            .iter()
            .enumerate()
            .filter(|(bit, _)| set >> bit & 1 == 1)
            .map(|(_, name)| name.as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    Ok((0..1 << names.len()).map(combine).collect())
}

fn build_firmware(tally: &mut Tally) -> Result<()> {
    let cases = Cases::collect(&[])?;
    for board in &BOARDS {
        tally.check(&format!("self-test for {}", board.name), |_| cases.build(board).map(|_| ()));
        let Some(model) = cases.model(EVERY_INT8_OP).filter(|model| model.fits(board)) else { continue };
        tally.check(&format!("{} holds no code to panic, format, allocate or emulate floats", board.name), |_| {
            let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
            symbols::check(&minimal)?;
            println!(
                "  {} bytes of code for every int8 op",
                thousands(firmware::code_bytes(&minimal, model.bytes.len())? as u64)
            );
            Ok(())
        });
    }
    for name in ["an386", "virt"] {
        let board = crate::boards::find(name)?;
        tally.check(&format!("clippy of the firmware for {name}"), |_| {
            let mut command = firmware::cargo(board, "clippy", &crate::paths::artifacts("firmware").join(name));
            let bundle = Cases::bundle_path(board);
            let embed = cases.embed(&bundle);
            command.args(["--release", "--features", "log"]);
            command.envs(embed.model.map(|model| ("SAMARA_MODEL", model))).env("SAMARA_BUNDLE", &bundle);
            process::run(command.args(["--", "-D", "warnings"]))
        });
    }
    Ok(())
}

fn qemu(tally: &mut Tally) -> Result<()> {
    if !setup::has_emulators() {
        tally.skip("self-test and inference on emulated boards", "QEMU is missing: run `cargo xtask setup`");
        return Ok(());
    }
    let cases = Cases::collect(&[])?;
    let mut ran = Vec::new();
    for board in &BOARDS {
        if let Some(model) = cases.model(EVERY_INT8_OP).filter(|model| model.fits(board)) {
            tally.check(&format!("records streamed through {}", board.name), |_| {
                let elf = firmware::build(board, "infer", cases.embed(&Cases::bundle_path(board)))?;
                let records = device_bench::random_records(model)?;
                let found = emulator::infer(board, &elf, &records, Clock::CountInstructions, EMULATOR_LIMIT)?;
                if found.outputs != model.infer(&records)? {
                    bail!("the outputs differ from this machine's");
                }
                let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
                emulator::run_silent(board, &minimal, EMULATOR_LIMIT)
            });
        }
        tally.check(&format!("self-test on {} ({})", board.name, board.core), |_| {
            let found = cases.run(board)?;
            println!("  {found}");
            ran.push(found);
            Ok(())
        });
    }
    tally.check(&format!("{} says what ran", layers::TABLE), |_| cases.made().check(&ran));
    Ok(())
}

fn data(tally: &mut Tally) {
    match setup::data_directory() {
        None => tally.skip("tests on Fashion-MNIST", "it is not on this machine: run `cargo xtask setup`"),
        Some(_) => tally.check("tests on Fashion-MNIST", |tally| {
            // Tests that need data are marked as ignored, so that the others never depend on it.
            harness(tally, &["test", "--quiet", "--workspace", "--no-fail-fast", "--", "--ignored"])
        }),
    }
}
