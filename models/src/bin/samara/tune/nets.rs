//! Files of the nets that a search came to, for `cargo xtask device-bench --study`, which counts on an emulated device what was estimated of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use samara_search::Trial;
use serde_json::{Value, json};

use super::Tuning;
use super::cost::Cost;
use crate::files;

/// The list, the directory of the front's files, and what an earlier count left of other files.
const LIST: &str = "nets.json";
const FRONT: &str = "front";
const COUNTED: &str = "device.json";
/// The winner's file.
pub const WINNER: &str = "model.samara";

impl Tuning {
    /// Writes a file for each net of the front beside the winner's, and the list of all. They are as they were planned, not trained again.
    pub(super) fn write_nets(&self, directory: &Path, winner: &Trial, front: &[Trial]) -> Result<()> {
        files::remove(&directory.join(COUNTED))?;
        let folder = directory.join(FRONT);
        if folder.exists() {
            clear(&folder).with_context(|| format!("{} cannot be emptied", folder.display()))?;
        }
        let mut nets = vec![self.net(winner, WINNER)];
        for trial in front.iter().filter(|trial| trial.number != winner.number) {
            let (model, recipe) = self.build(&trial.parameters)?;
            let bytes = Self::planned(&model, &recipe)?;
            let name = format!("{FRONT}/trial-{}.samara", trial.number);
            files::write(&directory.join(&name), &bytes)?;
            nets.push(self.net(trial, &name));
        }
        let list = json!({ "objective": self.objective(), "nets": nets });
        files::write(&directory.join(LIST), format!("{list:#}\n").as_bytes())
    }

    /// What is known of a net.
    fn net(&self, trial: &Trial, file: &str) -> Value {
        let known = |cost: Cost| trial.notes.get(cost.key()).cloned().unwrap_or_default();
        json!({
            "trial": trial.number, "file": file, "value": trial.values.first(), "instructions": known(Cost::Instructions), "arena_bytes": known(Cost::Ram),
            "model_bytes": known(Cost::Flash),
        })
    }
}

/// Removes the files of an earlier front.
fn clear(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("trial-") && name.ends_with(".samara") {
            files::remove(&path)?;
        }
    }
    Ok(())
}
