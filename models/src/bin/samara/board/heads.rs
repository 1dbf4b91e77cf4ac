//! `samara device export-head`, `import-head`, `merge`, `generations` and `reset`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use samara_trainer::link::HeadFile;
use serde_json::json;

use super::learn::{Saving, told};
use super::{Connected, report};
use crate::{files, output};

/// Arguments of `samara device export-head`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// The file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `samara device import-head` and `merge`.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// A file that `export-head` wrote
    file: PathBuf,
    #[command(flatten)]
    saving: Saving,
}

/// Arguments of `samara device generations`.
#[derive(Debug, clap::Args)]
pub struct Generations {
    /// Make this one current again
    #[arg(long, value_name = "NUMBER")]
    roll_back: Option<u32>,
}

/// Arguments of `samara device reset`.
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// Say that it is meant
    #[arg(long)]
    yes: bool,
}

/// Writes what the device learned.
///
/// # Errors
/// If it cannot be read or written.
pub fn export(device: &mut Connected, arguments: &Export, json: bool) -> Result<()> {
    let head = HeadFile { model: device.description().model, head: device.learned()? };
    files::write(&arguments.out, &head.to_bytes())?;
    let (bytes, shown) = (head.head.len(), arguments.out.display());
    report(
        json,
        &json!({"file": arguments.out, "model_hash": format!("{:016x}", head.model), "bytes": bytes}),
        &format!("{shown}: {} bytes of model {:016x}", output::thousands(bytes as u64), head.model),
    )
}

/// Replaces what the device learned, or adds to it.
///
/// # Errors
/// If the file is no head, or another model's; if the device refuses it.
pub fn import(device: &mut Connected, arguments: &Import, merge: bool, json: bool) -> Result<()> {
    let shown = || arguments.file.display().to_string();
    let head = HeadFile::from_bytes(&files::read(&arguments.file)?).with_context(shown)?;
    let model = device.description().model;
    if head.model != model {
        bail!("{} is of model {:016x}, the device runs {model:016x}", shown(), head.model);
    }
    if merge {
        device.merge(&head.head)?;
    } else {
        device.restore(&head.head)?;
    }
    let saved = arguments.saving.save(device)?;
    let what = if merge { "merged" } else { "imported" };
    report(json, &json!({"file": arguments.file, "done": what, "generation": saved}), &format!("{what}, {}", told(saved)))
}

/// Lists what is saved, or goes back.
///
/// # Errors
/// If the device refuses.
pub fn generations(device: &mut Connected, arguments: &Generations, json: bool) -> Result<()> {
    if let Some(number) = arguments.roll_back {
        device.roll_back(number)?;
    }
    let (list, count) = device.generations()?;
    let value: Vec<_> = list
        .iter()
        .map(|found| json!({"generation": found.number, "tag": found.tag, "bytes": found.bytes, "current": found.current}))
        .collect();
    let rows: Vec<Vec<String>> = list
        .iter()
        .map(|found| {
            let current = if found.current { "current" } else { "" };
            let numbers = [found.number, found.tag, found.bytes, found.pages].map(|number| output::thousands(number.into()));
            numbers.into_iter().chain([current.to_owned()]).collect()
        })
        .collect();
    let text = match rows[..] {
        [] => "the device has saved nothing".to_owned(),
        _ => output::table(&["generation", "tag", "bytes", "pages", ""], &rows),
    };
    let more = count as usize - list.len().min(count as usize);
    let more = if more > 0 { format!("\nand {more} older ones") } else { String::new() };
    report(json, &json!({"generations": value, "count": count}), &format!("{text}{more}"))
}

/// Discards all.
///
/// # Errors
/// If it is not meant, or the device refuses.
pub fn reset(device: &mut Connected, arguments: &Reset, json: bool) -> Result<()> {
    if !arguments.yes {
        bail!("this discards all that the device learned and saved: say --yes");
    }
    device.reset()?;
    report(json, &json!({"reset": true}), "the device is as its firmware was made")
}
