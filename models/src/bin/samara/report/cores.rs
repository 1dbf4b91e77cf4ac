//! What an inference costs on each core, as it was measured.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use samara_runtime::format::writer::ModelFile;
use serde_json::Value;

use crate::files;
use crate::output::thousands;
use samara_models::chart::escape;

/// A row for each core on which this model was measured.
///
/// # Errors
/// If the file cannot be read, is no measurement, or none of this model.
pub fn draw(path: &Path, file: &ModelFile, model_bytes: usize) -> Result<String> {
    let shown = || path.display().to_string();
    let measured: Vec<Value> = serde_json::from_slice(&files::read(path)?).with_context(shown)?;
    let number = |record: &Value, name: &str| record[name].as_u64().unwrap_or(0);
    // The name is that of the file that was measured.
    let is_own = |record: &&Value| {
        let own = [("model_bytes", model_bytes as u64), ("macs", file.macs()), ("arena_bytes", u64::from(file.arena_bytes))];
        own.iter().all(|(name, value)| number(record, name) == *value)
    };
    let mut html = String::from(
        "<table><tr><th class=\"left\">core</th><th>instructions</th><th>per MAC</th><th>stack bytes</th><th>code bytes</th>\
         <th>instructions to start</th></tr>",
    );
    let mut rows = 0;
    for record in measured.iter().filter(is_own) {
        let instructions = number(record, "instructions");
        let per_mac = if file.macs() > 0 { format!("{:.2}", instructions as f64 / file.macs() as f64) } else { "-".to_owned() };
        let _ = write!(
            html,
            "<tr><td class=\"left\">{}</td><td>{}</td><td>{per_mac}</td>",
            escape(record["core"].as_str().unwrap_or_default()),
            thousands(instructions)
        );
        for name in ["stack_bytes", "flash_code_bytes", "startup_instructions"] {
            let _ = write!(html, "<td>{}</td>", thousands(number(record, name)));
        }
        html += "</tr>";
        rows += 1;
    }
    if rows == 0 {
        bail!(
            "{} has no measurement of this model of {model_bytes} bytes: run cargo xtask device-bench --model FILE",
            path.display()
        );
    }
    Ok(html + "</table>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_measurements_of_this_model_are_shown() {
        let file = ModelFile { arena_bytes: 48, ..ModelFile::default() };
        let record = |core: &str, arena: u32| {
            json!({"core": core, "instructions": 1234, "macs": 0, "arena_bytes": arena, "model_bytes": 300, "stack_bytes": 5,
                "flash_code_bytes": 6, "startup_instructions": 7})
        };
        let place = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(place.path(), json!([record("Cortex-M4F", 48), record("RV32IMAC", 64)]).to_string()).unwrap();
        let html = draw(place.path(), &file, 300).unwrap();
        assert!(html.contains(">1,234<") && html.contains("Cortex-M4F") && !html.contains("RV32IMAC"), "{html}");
        let message = draw(place.path(), &file, 301).unwrap_err().to_string();
        assert!(message.contains("has no measurement of this model of 301 bytes"), "{message}");
    }
}
