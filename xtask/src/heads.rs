//! What heads that learn cost on emulated boards.

use std::{fs, time::Duration};

use anyhow::Result;
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

/// Measures, prints a table and writes `target/samara/heads.json`.
///
/// # Errors
/// If a build or a run fails, or instructions are counted wrongly.
pub fn run(board_names: &[String]) -> Result<()> {
    let boards = boards::select(board_names, || boards::find(BOARD).into_iter().collect())?;
    setup::require(&boards)?;
    let place = paths::artifacts("heads");
    fs::create_dir_all(&place)?;
    let (mut rows, mut records) = (Vec::new(), Vec::new());
    for net in NETS {
        let file = place.join(net).with_extension("samara");
        process::run(samara(&["export", "--heads", "--model", net, "--out"]).arg(&file))?;
        for board in &boards {
            let report = measure(board, &file)?;
            let numbers = FIGURES.iter().map(|(key, _)| report.number(key)).collect::<Result<Vec<u64>>>()?;
            rows.push([vec![net.to_owned(), board.core.to_owned()], numbers.iter().map(|&n| thousands(n)).collect()].concat());
            let figures = FIGURES.iter().zip(&numbers).map(|((key, _), &number)| ((*key).to_owned(), json!(number)));
            let mut record: serde_json::Map<String, Value> = figures.collect();
            record.extend([("model", net), ("core", board.core)].map(|(key, value)| (key.to_owned(), json!(value))));
            record.insert("batch".to_owned(), json!(report.number("batch")?));
            records.push(Value::from(record));
        }
    }
    let path = paths::artifacts("heads.json");
    fs::write(&path, format!("{:#}\n", Value::from(records)))?;
    let titles: Vec<&str> = ["head of", "core"].into_iter().chain(FIGURES.map(|(_, title)| title)).collect();
    println!("\n{}", table::render(&titles, &rows));
    println!("Instructions, and bytes of RAM; a step has a batch of 8 samples. {} written.", paths::shown(&path));
    Ok(())
}

fn measure(board: &'static Board, model: &std::path::Path) -> Result<Report> {
    let elf = firmware::build(board, "heads", Embed::model(model))?;
    let place = emulator::run(board, &elf, &[], &[], Clock::CountInstructions, EMULATOR_LIMIT)?;
    let report = Report::read(&place.join("report"))?;
    emulator::check_counter(board, &report)?;
    Ok(report)
}
