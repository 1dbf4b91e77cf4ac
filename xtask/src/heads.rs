//! What heads that learn cost on emulated boards.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use samara_runtime::{format::writer::ModelFile, train::HeadKind};
use serde_json::{Value, json};

use crate::{
    boards::{self, Board},
    emulator::{self, Clock},
    firmware::{self, Embed},
    paths, process,
    report::Report,
    samples::samara,
    setup,
    table::{self, thousands},
};

/// The nets whose heads are measured.
const NETS: [&str; 4] = ["fashion-separable", "ds-cnn", "resnet8", "anomaly-autoencoder"];
/// The board where none is named.
const BOARD: &str = "an386";
const EMULATOR_LIMIT: Duration = Duration::from_secs(300);
/// Figures of the firmware's report, and what the table calls them.
const FIGURES: [(&str, &str); 9] = [
    ("features", "features"),
    ("add", "learn a sample"),
    ("solve", "solve"),
    ("classify", "classify"),
    ("sums_memory", "RAM"),
    ("solve_scratch", "scratch"),
    ("forward", "dense: forward"),
    ("step", "step"),
    ("gradient_memory", "RAM"),
];

/// Figures of a last block, likewise.
const BLOCK_FIGURES: [(&str, &str); 7] = [
    ("block_forward", "forward"),
    ("block_add", "learn a sample"),
    ("block_add_open", "the dearest one"),
    ("block_step", "step"),
    ("block_memory", "RAM"),
    ("forward_macs", "MACs forward"),
    ("backward_macs", "backward"),
];

/// What a head is called, and the line of the firmware's report that says what it costs to keep it.
const KEPT: [(&str, &str, &str); 3] =
    [("heads", "closed form", "keep_sums"), ("heads", "dense", "keep_dense"), ("block", "block", "keep_block")];
/// The figures of that line, and what the table calls them.
const KEEP_FIGURES: [(&str, &str); 10] = [
    ("file", "in the file"),
    ("saved", "saved"),
    ("save", "save"),
    ("writes", "writes"),
    ("written", "bytes written"),
    ("erased", "pages erased"),
    ("boot", "boot"),
    ("read", "bytes read"),
    ("working", "RAM"),
    ("flash", "flash"),
];

/// The net by which code is measured: it has heads of all kinds.
const CODE_NET: &str = "ds-cnn";
/// What the firmware `taught` does, and what the table calls its code.
const CODE: [(&str, &str); 6] = [
    ("sample", "sums: a sample"),
    ("solve", "and a solution"),
    ("step", "a dense step"),
    ("block", "a block's step"),
    ("boot", "a boot"),
    ("save", "and a save"),
];

/// Measures, prints tables and writes `target/samara/heads.json`.
///
/// # Errors
/// If a build or a run fails, or instructions are counted wrongly.
pub fn run(board_names: &[String]) -> Result<()> {
    let boards = boards::select(board_names, || boards::find(BOARD).into_iter().collect())?;
    setup::require(&boards)?;
    let place = paths::artifacts("heads");
    fs::create_dir_all(&place)?;
    let (mut rows, mut block_rows, mut keep_rows, mut code_rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut records = Vec::new();
    for net in NETS {
        let file = place.join(net).with_extension("samara");
        process::run(samara(&["export", "--heads", "--model", net, "--out"]).arg(&file))?;
        for board in &boards {
            let names = || [net, board.core].map(str::to_owned).to_vec();
            let report = measure(board, "heads", &file)?;
            let numbers = numbers(&report, &FIGURES)?;
            rows.push([names(), numbers.iter().map(|&n| thousands(n)).collect()].concat());
            let figures = FIGURES.iter().zip(&numbers).map(|((key, _), &number)| ((*key).to_owned(), json!(number)));
            let mut record: serde_json::Map<String, Value> = figures.collect();
            record.extend([("model", net), ("core", board.core)].map(|(key, value)| (key.to_owned(), json!(value))));
            record.insert("batch".to_owned(), json!(report.number("batch")?));
            let mut keep = |program, report: &Report| -> Result<()> {
                for (_, kind, line) in KEPT.iter().filter(|(of, ..)| *of == program) {
                    let numbers = report.numbers::<{ KEEP_FIGURES.len() }>(line)?;
                    keep_rows.push(
                        [vec![net.to_owned(), (*kind).to_owned(), board.core.to_owned()], numbers.map(thousands).to_vec()]
                            .concat(),
                    );
                    let figures = KEEP_FIGURES.iter().zip(numbers).map(|((key, _), number)| ((*key).to_owned(), json!(number)));
                    record.insert((*line).to_owned(), Value::Object(figures.collect()));
                }
                Ok(())
            };
            keep("heads", &report)?;
            if has_block(&file)? {
                let report = measure(board, "block", &file)?;
                keep("block", &report)?;
                let numbers = self::numbers(&report, &BLOCK_FIGURES)?;
                let per_mac = |with: &str| -> Result<String> {
                    let backward = report.number(with)? - report.number("block_forward")?;
                    Ok(format!("{:.2}", backward as f64 / report.number("backward_macs")? as f64))
                };
                let ratios = vec![per_mac("block_add")?, per_mac("block_add_open")?];
                block_rows.push([names(), numbers.iter().map(|&n| thousands(n)).collect(), ratios].concat());
                let figures = BLOCK_FIGURES.iter().zip(&numbers);
                record.extend(figures.map(|((key, _), &number)| ((*key).to_owned(), json!(number))));
            }
            if net == CODE_NET {
                let bytes = code(board, &file)?;
                code_rows.push([vec![board.core.to_owned()], bytes.map(thousands).to_vec()].concat());
                let figures = CODE.iter().zip(bytes).map(|((key, _), bytes)| ((*key).to_owned(), json!(bytes)));
                record.insert("code".to_owned(), Value::Object(figures.collect()));
            }
            records.push(Value::from(record));
        }
    }
    let path = paths::artifacts("heads.json");
    fs::write(&path, format!("{:#}\n", Value::from(records)))?;
    let titles = |first, figures: &[(&'static str, &'static str)], more: &[&'static str]| -> Vec<&str> {
        [first, "core"].into_iter().chain(figures.iter().map(|(_, title)| *title)).chain(more.iter().copied()).collect()
    };
    println!("\n{}", table::render(&titles("head of", &FIGURES, &[]), &rows));
    println!("Instructions, and bytes of RAM; a step has a batch of 8 samples.\n");
    println!("{}", table::render(&titles("last block of", &BLOCK_FIGURES, &["back per MAC", "the dearest one"]), &block_rows));
    println!("The dearest sample has every unit within its bounds everywhere.\n");
    let titles: Vec<&str> = ["kept", "head", "core"].into_iter().chain(KEEP_FIGURES.iter().map(|(_, title)| *title)).collect();
    println!("{}", table::render(&titles, &keep_rows));
    println!(
        "Bytes, and instructions of a save beside two generations, and of a boot from three of them: the store opened, the head"
    );
    println!("loaded and restored. The flash is an array in RAM: what a chip takes comes on top.\n");
    let titles: Vec<&str> = ["code of"].into_iter().chain(CODE.iter().map(|(_, title)| *title)).collect();
    println!("{}", table::render(&titles, &code_rows));
    println!("Bytes beyond those of firmware that only runs {CODE_NET}. {} written.", paths::shown(&path));
    Ok(())
}

/// Bytes of flash that learning takes beyond running the model, at the profile's opt-level. Each program is run.
fn code(board: &'static Board, model: &Path) -> Result<[u64; CODE.len()]> {
    let bytes = |taught| -> Result<u64> {
        let elf = firmware::build(board, "taught", Embed { taught: Some(taught), ..Embed::model(model) })?;
        emulator::run_silent(board, &elf, EMULATOR_LIMIT)?;
        Ok(firmware::flash_bytes(&elf)? as u64)
    };
    let alone = bytes("none")?;
    let mut all = [0; CODE.len()];
    for (to, (taught, _)) in all.iter_mut().zip(CODE) {
        *to = bytes(taught)?.saturating_sub(alone);
    }
    Ok(all)
}

fn numbers(report: &Report, figures: &[(&str, &str)]) -> Result<Vec<u64>> {
    figures.iter().map(|(key, _)| report.number(key)).collect()
}

/// Whether a file has a last block.
fn has_block(file: &Path) -> Result<bool> {
    let file = ModelFile::from_bytes(&fs::read(file)?)?;
    Ok(file.heads.iter().any(|head| head.kind == HeadKind::Block as u8))
}

fn measure(board: &'static Board, program: &'static str, model: &Path) -> Result<Report> {
    let elf = firmware::build(board, program, Embed::model(model))?;
    let place = emulator::run(board, &elf, &[], &[], Clock::CountInstructions, EMULATOR_LIMIT)?;
    let report = Report::read(&place.join("report"))?;
    emulator::check_counter(board, &report)?;
    Ok(report)
}
