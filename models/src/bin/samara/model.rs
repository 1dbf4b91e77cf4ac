//! `samara model`: the graph of a net as a text file.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::{files, names, output};

/// Arguments of `samara model`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model of the zoo, of the tasks, or of the textbooks, or FILE.toml to have it as this program writes it; without one, all names
    /// are listed
    #[arg(value_name = "NAME|FILE.toml", value_parser = names::AnyModelParser)]
    model: Option<String>,
    /// The text file to write, instead of standard output
    #[arg(long, value_name = "FILE.toml", requires = "model")]
    out: Option<PathBuf>,
    /// Print one line of JSON, with the text or the names in it
    #[arg(long)]
    json: bool,
}

/// Prints or writes.
///
/// # Errors
/// If there is no such model, or the file cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Some(name) = &arguments.model else {
        let known = names::of_known();
        return if arguments.json { output::print_json(&json!({ "models": known })) } else { output::print(&known.join("\n")) };
    };
    let model = names::any_model(name)?;
    let text = model.to_toml()?;
    if let Some(out) = &arguments.out {
        files::write(out, text.as_bytes())?;
    }
    match &arguments.out {
        _ if arguments.json => output::print_json(&json!({ "model": model.name(), "out": arguments.out, "text": text })),
        Some(out) => {
            output::note(&format!("{} written to {}", model.name(), out.display()));
            Ok(())
        }
        None => output::print(&text),
    }
}
