//! `cargo xtask layers`: which layers and nets were trained and run, and where, as a table in docs/layers.md.
//!
//! Nothing in the table is written by hand: the tests `layers`, `zoo` and `ops` train and run on this machine, and leave their model
//! files; the self-test runs these on the boards.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    boards::{self, BOARDS},
    host, paths, process,
    selftest::{Cases, Ran},
    setup,
};

/// The table, in the repository.
pub const TABLE: &str = "docs/layers.md";

/// A kind of layer, and the model files of its examples.
#[derive(Debug)]
struct Layer {
    name: String,
    trained: u64,
    /// Names of files without their ending: f32, int8.
    files: [Vec<String>; 2],
}

/// What the tests made on this machine.
#[derive(Debug)]
pub struct Made {
    directory: PathBuf,
    layers: Vec<Layer>,
    /// Model files of every op, and of all int8 ops in one.
    pub ops: Vec<PathBuf>,
    /// Model files of the zoo's nets: the trained one where the repository has one, else one with random weights.
    pub zoo: Vec<PathBuf>,
}

impl Made {
    /// Runs the tests that leave files.
    ///
    /// # Errors
    /// If a test fails.
    pub fn collect() -> Result<Self> {
        let directory = paths::artifacts("results");
        // What an older test left is no result.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("zoo"))?;
        let mut tests =
            process::cargo(&["test", "--quiet", "--workspace", "--test", "layers", "--test", "zoo", "--test", "ops"]);
        let printed = process::output(tests.env("SAMARA_RESULTS", &directory))?;
        let list = directory.join("layers.json");
        let text = fs::read_to_string(&list).with_context(|| format!("the tests left no list of layers: {printed}"))?;
        let list: Value = serde_json::from_str(&text)?;
        let layers = list.as_array().context("layers.json holds no list")?.iter().map(Layer::read).collect::<Result<_>>()?;
        let trained = host::repository_models()?;
        let mut zoo = files(&directory.join("zoo"))?;
        for path in &mut zoo {
            if let Some(model) = trained.iter().find(|model| Some(model.name.as_ref()) == path.file_stem()) {
                path.clone_from(&model.path);
            }
        }
        Ok(Self { layers, ops: files(&directory.join("ops"))?, zoo, directory })
    }

    /// The model files of all layers.
    pub fn layer_files(&self) -> impl Iterator<Item = PathBuf> {
        let names = self.layers.iter().flat_map(|layer| layer.files.iter().flatten());
        names.map(|name| self.directory.join(format!("{name}.samara")))
    }

    /// The table of what was made here and ran there.
    fn table(&self, ran: &[Ran]) -> String {
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
        for Layer { name, trained, files } in &self.layers {
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
        for path in &self.zoo {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let weights = if path.starts_with(&self.directory) { "random" } else { "trained" };
            let _ = write!(text, "| `{name}` | {weights} |");
            for ran in ran {
                text.push_str(if ran.models.contains(name.as_ref()) { " equal |" } else { " too big |" });
            }
            text.push('\n');
        }
        text
    }

    /// Holds the repository's table against what ran.
    ///
    /// # Errors
    /// If a board did not run, or the table says something else.
    pub fn check(&self, ran: &[Ran]) -> Result<()> {
        if ran.len() != BOARDS.len() {
            bail!("only {} of {} boards ran their self-test, see above", ran.len(), BOARDS.len());
        }
        let found = fs::read_to_string(paths::root().join(TABLE)).unwrap_or_default();
        let expected = self.table(ran);
        match found.lines().zip(expected.lines()).find(|(found, expected)| found != expected) {
            Some((found, expected)) => bail!("{TABLE} has the line {found:?}, what ran gives {expected:?}: {HINT}"),
            None if found != expected => bail!("{TABLE} has {} bytes, what ran gives {}: {HINT}", found.len(), expected.len()),
            None => Ok(()),
        }
    }
}

/// The files in a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("the tests left no {}", paths::shown(directory)))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

const HINT: &str = "write it again with `cargo xtask layers`";

impl Layer {
    fn read(value: &Value) -> Result<Self> {
        let names = |key: &str| -> Option<Vec<String>> {
            value[key].as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let read = || {
            let (name, trained) = (value["layer"].as_str()?.to_owned(), value["trained"].as_u64()?);
            Some(Self { name, trained, files: [names("f32")?, names("int8")?] })
        };
        read().with_context(|| format!("layers.json has the entry {value}, expected layer, trained, f32 and int8"))
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
    paths::write_if_changed(&paths::root().join(TABLE), cases.made().table(&all).as_bytes())?;
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
        let made = Made {
            directory: "results".into(),
            layers,
            ops: Vec::new(),
            zoo: vec!["results/zoo/net.samara".into(), "models/small.samara".into()],
        };
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let small = Ran { board: &BOARDS[0], checksums: 6, models: names(&["Dense-1-f32", "Dense-0-int8", "small"]) };
        let all = names(&["Dense-0-f32", "Dense-1-f32", "Dense-0-int8", "small", "net"]);
        let large = Ran { board: &BOARDS[1], checksums: 9, models: all };
        let table = made.table(&[small, large]);
        assert!(table.contains("| Dense | 2 | 2 | 1 | 1 + 1, others too big | 2 + 1 |\n"), "{table}");
        assert!(table.contains("| `net` | random | too big | equal |\n| `small` | trained | equal | equal |\n"), "{table}");
    }

    #[test]
    fn an_entry_without_files_is_named() {
        let entry: Value = serde_json::from_str(r#"{"layer": "Dense", "trained": 2, "f32": ["a"]}"#).unwrap();
        assert!(Layer::read(&entry).unwrap_err().to_string().contains("Dense"));
    }
}
