//! `cargo xtask test`: everything, in stages with time budgets.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::Value;

use crate::{
    boards::{self, BOARDS, Board},
    device_bench,
    emulator::{self, Clock},
    firmware::{self, Embed},
    host::ModelBytes,
    layers, link,
    made::Results,
    paths, process, publish,
    selftest::{Cases, EVERY_INT8_OP},
    setup::{self, Programs, Unavailable},
    stages::{Shown, Stopwatch, Tally},
    symbols,
    table::{self, thousands},
};

/// Boards whose firmware runs golden samples, right ones and others: an Arm core with a floating-point unit, and a RISC-V one.
const GOLDEN_BOARDS: [&str; 2] = ["an386", "virt"];

/// Boards that learn over their UART: one of each kind of UART.
const LINK_BOARDS: [&str; 2] = ["an386", "virt"];

/// A stage of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Tests of all crates, documentation's examples included
    Host,
    /// Format, lints, documentation, the runtime's features, packages, the oldest compilers
    Lint,
    /// Firmware for all boards builds, and holds no forbidden code
    Firmware,
    /// Emulated boards give this machine's bits
    Qemu,
    /// Tests that need Fashion-MNIST, TensorBoard, Optuna or PostgreSQL
    Data,
}

impl Stage {
    /// Minutes that the stage may take on two cores, from a clean clone.
    const fn budget_minutes(self) -> u64 {
        match self {
            Self::Host => 8,
            Self::Lint => 6,
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

/// Boards of every processor family, for which the firmware is linted.
const CLIPPY_BOARDS: [&str; 2] = ["an386", "virt"];
/// What the names of tests that need TensorBoard or Optuna begin with.
const IN_PYTHON: [&str; 2] = ["tensorboard_shows", "optuna_reads"];
/// What the names of tests that need PostgreSQL begin with.
const ON_SERVER: &str = "postgres_";
const EMULATOR_LIMIT: Duration = Duration::from_secs(60);

/// Runs the stages, prints a table, and ends with a line `N passed, N failed`. `true` if nothing failed, and, in continuous
/// integration, nothing was skipped. Each stage sets up what it needs, and skips what cannot run here.
pub fn run(stages: &[Stage]) -> bool {
    let stages = if stages.is_empty() { Stage::value_variants() } else { stages };
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
    total.failed == 0
}

/// Runs a cargo command of the test harness and counts its tests.
fn harness(tally: &mut Tally, command: &mut Command) -> Result<()> {
    let failed_before = tally.failed;
    let result = process::run_lines(command, |line| {
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
        let results = Results::here()?;
        results.clear()?;
        let mut tests = process::cargo(&["test", "--quiet", "--workspace", "--all-targets", "--no-fail-fast"]);
        harness(tally, results.environment(&mut tests))?;
        results.keep()
    });
    tally.check("examples in the documentation", |tally| {
        harness(tally, &mut process::cargo(&["test", "--quiet", "--workspace", "--doc", "--no-fail-fast"]))
    });
}

fn lint(tally: &mut Tally) -> Result<()> {
    let cargo = |arguments: &[&str]| process::run(&mut process::cargo(arguments));
    match setup::components() {
        Ok(()) => {
            tally.check("format", |_| {
                cargo(&["fmt", "--all", "--check"])?;
                cargo(&["fmt", "--manifest-path", "firmware-example/Cargo.toml", "--check"])?;
                cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
            });
            tally.check("clippy", |_| cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]));
        }
        Err(reason) => tally.skip("format and clippy", &format!("{reason:#}")),
    }
    tally.check("documentation", |_| {
        process::run(process::cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    tally.check("the fuzz target compiles", |_| {
        let mut check = process::cargo(&["check", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
        // A path for the fuzzing engine, which is only needed to link, spares the compilation of its C++ code.
        process::run(check.arg(paths::artifacts("fuzz")).env("CUSTOM_LIBFUZZER_PATH", paths::artifacts("fuzz")))
    });
    let smallest = boards::find("microbit")?;
    let unavailable = setup::targets(&[smallest]);
    for features in feature_combinations("samara-runtime")? {
        // The smallest core: what compiles without a standard library and without atomics compiles everywhere.
        let target: &[&str] = if features.contains("std") { &[] } else { &["--target", smallest.target] };
        let check = ["check", "--quiet", "--package", "samara-runtime", "--no-default-features", "--features", &features];
        let name = if features.is_empty() { "no features" } else { features.as_str() };
        let what = format!("the runtime with {name}");
        match unavailable.first() {
            Some(missing) if !target.is_empty() => tally.skip(&what, &missing.reason),
            _ => tally.check(&what, |_| cargo(&[&check, target].concat())),
        }
    }
    publish::check(tally)
}

/// All sets of a package's features that build different things, as `--features` takes them.
fn feature_combinations(package: &str) -> Result<Vec<String>> {
    let packages = publish::packages()?;
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
    // A set without what its features imply is the same build as one with it.
    let implied = |name: &str| -> Vec<usize> {
        let implies = found["features"][name].as_array().into_iter().flatten().filter_map(Value::as_str);
        implies.filter_map(|other| names.iter().position(|name| name == other)).collect()
    };
    let is_whole = |set: &u32| {
        let mut inside = names.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
        inside.all(|(_, name)| implied(name).into_iter().all(|bit| set >> bit & 1 == 1))
    };
    Ok((0..1 << names.len()).filter(is_whole).map(combine).collect())
}

fn build_firmware(tally: &mut Tally) -> Result<()> {
    let boards = available(tally, "firmware", setup::targets(&boards::all()));
    if boards.is_empty() {
        return Ok(());
    }
    let cases = Cases::collect(&[])?;
    for &board in &boards {
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
    for board in boards.into_iter().filter(|board| CLIPPY_BOARDS.contains(&board.name)) {
        let name = board.name;
        tally.check(&format!("clippy of the firmware for {name}"), |_| {
            let mut command = firmware::cargo(board, "clippy", &crate::paths::artifacts("firmware").join(name));
            let bundle = Cases::bundle_path(board);
            let embed = cases.embed(&bundle);
            command.args(["--release", "--features", "log"]);
            command.envs(embed.model.map(|model| ("SAMARA_MODEL", model))).env("SAMARA_BUNDLE", &bundle);
            process::run(command.args(["--", "-D", "warnings"]))?;
            let mut command = firmware::cargo(board, "clippy", &crate::paths::artifacts("firmware").join(name));
            command
                .args(["--release", "--bin", "learn", "--features", "learn"])
                .env("SAMARA_MODEL", cases.made().link().join("learner.samara"));
            process::run(command.args(["--", "-D", "warnings"]))
        });
    }
    Ok(())
}

fn qemu(tally: &mut Tally) -> Result<()> {
    let boards = available(tally, "self-test and inference", setup::boards(&boards::all()));
    if boards.is_empty() {
        return Ok(());
    }
    let cases = Cases::collect(&[])?;
    let mut ran = Vec::new();
    for &board in &boards {
        if let Some(model) = cases.model(EVERY_INT8_OP).filter(|model| model.fits(board)) {
            tally.check(&format!("records streamed through {}", board.name), |_| {
                let elf = firmware::build(board, "infer", cases.embed(&Cases::bundle_path(board)))?;
                let records = device_bench::random_records(model)?;
                let found = emulator::infer(board, &elf, &records, None, Clock::CountInstructions, EMULATOR_LIMIT)?;
                if found.outputs != model.infer(&records)? {
                    bail!("the outputs differ from this machine's");
                }
                let minimal = firmware::build(board, "minimal", Embed::model(&model.path))?;
                emulator::run_silent(board, &minimal, EMULATOR_LIMIT)
            });
        }
        if let Some(model) = cases.model(EVERY_INT8_OP).filter(|model| GOLDEN_BOARDS.contains(&board.name) && model.fits(board))
        {
            tally.check(&format!("golden samples on {}", board.name), |_| golden_samples(board, model));
        }
        if LINK_BOARDS.contains(&board.name) {
            tally.check(&format!("a host lets {} learn over its UART", board.name), |_| link::check(board, cases.made()));
        }
        tally.check(&format!("self-test on {} ({})", board.name, board.core), |_| {
            let found = cases.run(board)?;
            println!("  {found}");
            ran.push(found);
            Ok(())
        });
    }
    if boards.len() == BOARDS.len() {
        tally.check(&format!("{} says what ran", layers::TABLE), |_| layers::check(cases.made(), &ran));
    }
    Ok(())
}

/// A golden sample that is right, and one whose checksum was tampered with: the firmware must tell them apart, and the second must
/// still run its records, so that it is refused for nothing else.
fn golden_samples(board: &'static Board, model: &ModelBytes) -> Result<()> {
    let build = |right| firmware::build(board, "infer", Embed::model(&model.with_golden_sample(right)?.path));
    let samples = emulator::golden_samples(board, &build(true)?, EMULATOR_LIMIT)?;
    if samples != 1 {
        bail!("the firmware found {samples} golden samples, 1 is there");
    }
    let tampered = build(false)?;
    emulator::infer(board, &tampered, &device_bench::random_records(model)?, None, Clock::Free, EMULATOR_LIMIT)?;
    match emulator::golden_samples(board, &tampered, EMULATOR_LIMIT) {
        Err(error) if error.to_string().contains("ended with code 1.") => Ok(()),
        Err(error) => Err(error.context("with a tampered golden sample the firmware must end with code 1")),
        Ok(_) => bail!("the firmware took a tampered golden sample for right"),
    }
}

/// The boards that are not `unavailable`; these are counted as skipped, with the reason.
fn available(tally: &mut Tally, what: &str, unavailable: Vec<Unavailable>) -> Vec<&'static Board> {
    for Unavailable { board, reason } in &unavailable {
        tally.skip(&format!("{what} on {}", board.name), reason);
    }
    boards::all().into_iter().filter(|board| unavailable.iter().all(|missing| missing.board.name != board.name)).collect()
}

fn data(tally: &mut Tally) {
    match setup::data() {
        Err(reason) => tally.skip("tests on Fashion-MNIST", &format!("{reason:#}")),
        Ok(()) => tally.check("tests on Fashion-MNIST", |tally| {
            // Tests that need data are marked as ignored, so that the others never depend on it.
            let test = ["test", "--quiet", "--workspace", "--no-fail-fast", "--", "--ignored"];
            harness(tally, process::cargo(&test).args(IN_PYTHON.iter().chain([&ON_SERVER]).flat_map(|name| ["--skip", name])))
        }),
    }
    let python = setup::python();
    match &python {
        Err(reason) => tally.skip("tests with TensorBoard and Optuna", &format!("{reason:#}")),
        Ok(python) => tally.check("tests with TensorBoard and Optuna", |tally| {
            let test = ["test", "--quiet", "--workspace", "--test", "tensorboard", "--test", "optuna", "--", "--ignored"];
            harness(tally, process::cargo(&test).args(IN_PYTHON).env("SAMARA_PYTHON", python))
        }),
    }
    match setup::postgres() {
        Err(reason) => tally.skip("studies on a PostgreSQL server", &format!("{reason:#}")),
        Ok(programs) => {
            tally.check("studies on a PostgreSQL server", |tally| on_server(tally, &programs, &[ON_SERVER], None));
            match &python {
                Err(reason) => tally.skip("Optuna on a PostgreSQL server", &format!("{reason:#}")),
                Ok(python) => tally
                    .check("Optuna on a PostgreSQL server", |tally| on_server(tally, &programs, &[IN_PYTHON[1]], Some(python))),
            }
        }
    }
}

/// Tests that start a PostgreSQL server, and the example that is their worker.
fn on_server(tally: &mut Tally, programs: &Programs, names: &[&str], python: Option<&PathBuf>) -> Result<()> {
    process::run(&mut process::cargo(&["build", "--quiet", "--workspace", "--example", "study"]))?;
    let mut test = process::cargo(&["test", "--quiet", "--workspace", "--test", "postgres", "--", "--ignored"]);
    test.args(names).envs(python.map(|python| ("SAMARA_PYTHON", python)));
    harness(tally, programs.environment(&mut test))
}
