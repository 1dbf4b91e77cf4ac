//! `cargo xtask layers`: which layers and nets were trained and run, and where, as a table in docs/layers.md.
//!
//! Nothing in the table is written by hand: the tests `layers`, `zoo`, `ops` and `random_graphs` train and run on this machine, and
//! leave their model files; the self-test runs these on the boards.

use std::{fmt::Write as _, fs};

use anyhow::{Result, bail};

use crate::{
    boards::{self, BOARDS},
    made::{Layer, Made, Ran},
    paths,
    selftest::Cases,
    setup,
};

/// The table, in the repository.
pub const TABLE: &str = "docs/layers.md";

const HINT: &str = "write it again with `cargo xtask layers`";

/// The table of what was made here and ran there.
fn table(made: &Made, ran: &[Ran]) -> String {
    let cores: Vec<&str> = ran.iter().map(|ran| ran.board.core).collect();
    let mut text = format!(
        "# What runs where\n\n\
         Written by `cargo xtask layers` from what ran; `cargo xtask test` fails where it would write something else.\n\n\
         ## Layers\n\n\
         Each layer is tried in several configurations (`examples` in its file), so that every option is used. *Train*: how many\n\
         were trained, with other layers before them, and lowered the loss. *f32*, *int8*: how many gave on this machine, by the\n\
         device's code, what the trainer gives (within 1e-5 in f32, with at least 25 dB of signal to quantization noise in\n\
         int8). Cores: how many f32 + int8 files gave on the emulated core, bit for bit, what they gave on this machine.\n\n\
         | layer | train | f32 | int8 | {} |\n|---|---|---|---|{}\n",
        cores.join(" | "),
        "---|".repeat(cores.len())
    );
    for Layer { name, trained, files } in &made.layers {
        let [f32_files, int8_files] = files.each_ref().map(Vec::len);
        let _ = write!(text, "| {name} | {trained} | {f32_files} | {int8_files} |");
        for ran in ran {
            let [f32_ran, int8_ran] =
                files.each_ref().map(|files| files.iter().filter(|&file| ran.models.contains(file)).count());
            let all = f32_ran == f32_files && int8_ran == int8_files;
            let _ = write!(text, " {f32_ran} + {int8_ran}{} |", if all { "" } else { ", others too big" });
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "\n## The zoo\n\n\
         In int8: the trained file where the repository has one, else random weights. *equal*: bit for bit what it gives on this\n\
         machine. *too big*: it needs more RAM or flash than the board has.\n\n\
         | net | weights | {} |\n|---|---|{}\n",
        cores.join(" | "),
        "---|".repeat(cores.len())
    );
    for path in &made.zoo {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let weights = if made.is_of_tests(path) { "random" } else { "trained" };
        let _ = write!(text, "| `{name}` | {weights} |");
        for ran in ran {
            text.push_str(if ran.models.contains(name.as_ref()) { " equal |" } else { " too big |" });
        }
        text.push('\n');
    }
    let files: Vec<_> = made.random.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    let count = |ran: &Ran| files.iter().filter(|&&file| ran.models.contains(file)).count().to_string();
    let _ = write!(
        text,
        "\n## Random models\n\n\
         Models of all kinds of layers, put together at random (`tests/src/graphs.rs`), in f32 and int8. Cores: how many gave, bit for\n\
         bit, what they gave on this machine; the others are too big.\n\n\
         | files | {} |\n|---|{}\n| {} | {} |\n",
        cores.join(" | "),
        "---|".repeat(cores.len()),
        files.len(),
        ran.iter().map(count).collect::<Vec<_>>().join(" | ")
    );
    text
}

/// Holds the repository's table against what ran.
///
/// # Errors
/// If a board did not run, or the table says something else.
pub fn check(made: &Made, ran: &[Ran]) -> Result<()> {
    if ran.len() != BOARDS.len() {
        bail!("only {} of {} boards ran their self-test, see above", ran.len(), BOARDS.len());
    }
    let found = fs::read_to_string(paths::root().join(TABLE)).unwrap_or_default();
    let expected = table(made, ran);
    match found.lines().zip(expected.lines()).find(|(found, expected)| found != expected) {
        Some((found, expected)) => bail!("{TABLE} has the line {found:?}, what ran gives {expected:?}: {HINT}"),
        None if found != expected => bail!("{TABLE} has {} bytes, what ran gives {}: {HINT}", found.len(), expected.len()),
        None => Ok(()),
    }
}

/// Runs everything, and writes the table.
///
/// # Errors
/// If a test fails, or a board gives other bits than this machine.
pub fn run() -> Result<()> {
    setup::require(&boards::all())?;
    let cases = Cases::collect(&[])?;
    let mut all = Vec::new();
    for board in &BOARDS {
        let ran = cases.run(board)?;
        println!("{}: {ran}", board.core);
        all.push(ran);
    }
    paths::write_if_changed(&paths::root().join(TABLE), table(cases.made(), &all).as_bytes())?;
    println!("{TABLE} written.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_what_ran_and_says_why_a_cell_is_smaller() {
        let files = [vec!["Dense-0-f32".to_owned(), "Dense-1-f32".to_owned()], vec!["Dense-0-int8".to_owned()]];
        let layers = vec![Layer { name: "Dense".to_owned(), trained: 2, files }];
        let made = Made::for_test(layers, &["results/zoo/net.samara", "models/small.samara"]);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let small =
            Ran { board: &BOARDS[0], checksums: 6, models: names(&["Dense-1-f32", "Dense-0-int8", "small", "random-0-int8"]) };
        let all = names(&["Dense-0-f32", "Dense-1-f32", "Dense-0-int8", "small", "net", "random-0-f32", "random-0-int8"]);
        let large = Ran { board: &BOARDS[1], checksums: 9, models: all };
        let table = table(&made, &[small, large]);
        assert!(table.contains("| Dense | 2 | 2 | 1 | 1 + 1, others too big | 2 + 1 |\n"), "{table}");
        assert!(table.contains("| `net` | random | too big | equal |\n| `small` | trained | equal | equal |\n"), "{table}");
        assert!(table.ends_with("| files | Cortex-M0 (16 KiB RAM) | Cortex-M0 |\n|---|---|---|\n| 2 | 1 | 2 |\n"), "{table}");
    }
}
