//! `samara plot`: a picture of a model's graph.

mod frames;
mod from_file;
mod from_model;
mod layout;
mod picture;
mod png;
mod svg;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_runtime::format::writer::ModelFile;
use samara_trainer::Model;
use samara_trainer::device::run::DeviceModel;
use serde_json::{Value, json};

use self::picture::Picture;
use self::svg::draw;
use crate::{files, names, output};

/// Arguments of `samara plot`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model file for devices, one of the trainer with a whole model (`Model::save`), or a text file (FILE.toml)
    #[arg(required_unless_present = "model", conflicts_with = "model")]
    file: Option<PathBuf>,
    /// Instead, a model of the zoo, of the tasks, or of the textbooks (`samara model` lists them), or FILE.toml
    #[arg(long, value_name = "NAME|FILE.toml", value_parser = names::AnyModelParser)]
    model: Option<String>,
    /// The file to write, .svg or .png
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

/// Draws and writes.
///
/// # Errors
/// If the file cannot be read, is no model, or the picture cannot be written.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (picture, mut described) = match (&arguments.file, &arguments.model) {
        (Some(file), _) => of_file(file)?,
        (None, Some(name)) => of_model(&names::any_model(name)?),
        (None, None) => bail!("a model file or --model is needed"),
    };
    let svg = draw(&picture);
    let ending = arguments.out.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("svg") => files::write(&arguments.out, svg.as_bytes())?,
        Some("png") => files::write(&arguments.out, &png::render(&svg)?)?,
        _ => bail!("--out is {}, but must end in .svg or .png", arguments.out.display()),
    }
    let (boxes, arrows) = (picture.blocks.len(), picture.arrows.len());
    if arguments.json {
        for (name, value) in [("file", json!(arguments.file)), ("out", json!(arguments.out)), ("boxes", json!(boxes))] {
            described[name] = value;
        }
        return output::print_json(&described);
    }
    output::note(&format!("{boxes} boxes and {arrows} arrows drawn in {}", arguments.out.display()));
    Ok(())
}

/// The picture, and what is known of the model.
fn of_file(path: &Path) -> Result<(Picture, Value)> {
    let shown = || path.display().to_string();
    if names::is_model_file(path) {
        return Ok(of_model(&names::model_file(path)?));
    }
    let bytes = files::read(path)?;
    if Model::is_in(&bytes) {
        return Ok(of_model(&Model::from_bytes(&bytes, &[]).with_context(shown)?));
    }
    let model = DeviceModel::new(&bytes).with_context(shown)?;
    let file = ModelFile::from_bytes(model.bytes()).with_context(shown)?;
    let described = json!({
        "model": file.metadata.name, "macs": file.macs(), "arena_bytes": file.arena_bytes, "model_bytes": model.bytes().len(),
    });
    Ok((from_file::picture(&file), described))
}

fn of_model(model: &Model) -> (Picture, Value) {
    let parameters: usize = model.parameters().iter().map(|entry| entry.shape.size()).sum();
    (from_model::picture(model), json!({ "model": model.name(), "parameters": parameters }))
}
