//! `samara data`: the data sets that are known.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use samara_trainer::data::sources::{KnownData, SOURCES};
use serde_json::{Value, json};

use crate::{names, output};

/// Arguments of `samara data`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the data sets, and where they are on this machine
    List {
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Find a data set on this machine, or download it
    Fetch {
        /// Its name
        #[arg(value_parser = source)]
        name: &'static KnownData,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
}

fn source(name: &str) -> Result<&'static KnownData, String> {
    let known: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
    SOURCES
        .iter()
        .find(|source| source.name == name)
        .ok_or_else(|| format!("there is no data set {name:?}; {}", names::suggest(name, &known)))
}

/// Lists or fetches.
///
/// # Errors
/// If the data set cannot be had.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        Command::List { json: true } => {
            output::print_json(&SOURCES.iter().map(|source| describe(source, (source.locate)())).collect())
        }
        Command::List { json: false } => {
            let row = |source: &KnownData| {
                let place = (source.locate)().map_or("not on this machine".to_owned(), |place| place.display().to_string());
                vec![source.name.to_owned(), source.description.to_owned(), place]
            };
            output::print(&output::table(&["name", "what", "where"], &SOURCES.iter().map(row).collect::<Vec<_>>()))
        }
        Command::Fetch { name, json: true } => output::print_json(&describe(name, Some((name.fetch)()?))),
        Command::Fetch { name, json: false } => output::print(&(name.fetch)()?.display().to_string()),
    }
}

fn describe(source: &KnownData, directory: Option<PathBuf>) -> Value {
    json!({"data": source.name, "description": source.description, "directory": directory})
}
