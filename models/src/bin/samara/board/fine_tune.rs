//! `samara device fine-tune`: a head that the device trains by gradients, guarded by samples that are held out.

use anyhow::{Result, bail};
use samara_runtime::train::Verdict;
use serde_json::json;

use super::learn::{Known, Saving, told};
use super::samples::{self, Part, Samples};
use super::{Connected, report};
use crate::{names, output};

/// Arguments of `samara device fine-tune`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    samples: samples::Choice,
    /// How often to go through the samples
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = names::count)]
    epochs: usize,
    /// Validation samples that the device holds out; the firmware says how many it has room for
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = names::count)]
    held_out: usize,
    #[command(flatten)]
    saving: Saving,
}

/// Trains the head; after each epoch the device keeps it or goes back.
///
/// # Errors
/// If samples do not fit, the head is solved from sums, or the device refuses or restarts.
pub fn run(device: &mut Connected, arguments: &Arguments, json: bool) -> Result<()> {
    let head = device.head()?;
    if !head.by_gradients {
        bail!("the device's head is solved from sums: `samara device learn` teaches it");
    }
    let samples = Samples::of(&arguments.samples, device, Part::Train, |label| label < head.capacity)?;
    let held_out = samples.of_part(Part::Validation, arguments.held_out, |label| label < head.capacity)?;
    held_out.each(|_, input, label| Ok(device.hold(input, label)?))?;
    let mut known = Known::default();
    let mut losses = Vec::new();
    let (mut kept, mut first) = (0, None);
    for epoch in 1..=arguments.epochs {
        samples.each(|_, input, label| known.learn(device, input, label))?;
        match device.check()? {
            Verdict::Kept { loss, best } => {
                kept += 1;
                first.get_or_insert(best);
                losses.push(loss);
                output::note(&format!("epoch {epoch}: loss of {} held-out samples {loss:.4}, kept", held_out.count()));
            }
            Verdict::RolledBack { loss, best } => {
                first.get_or_insert(best);
                losses.push(best);
                output::note(&format!(
                    "epoch {epoch}: loss of {} held-out samples {loss:.4}, {best:.4} before: taken back",
                    held_out.count()
                ));
            }
        }
    }
    let saved = if kept > 0 { arguments.saving.save(device)? } else { None };
    let (before, after) = (first.unwrap_or(0.0), losses.last().copied().unwrap_or(0.0));
    let value = json!({
        "model": samples.name, "data": arguments.samples.data, "learned": samples.count() * arguments.epochs,
        "held_out": held_out.count(), "kept_epochs": kept, "loss_before": before, "loss": after, "generation": saved,
        "repeated": device.repeated(),
    });
    let text = format!(
        "{} of {} epochs on {} samples kept; loss of held-out samples {before:.4} before, {after:.4} after; {}",
        kept,
        arguments.epochs,
        output::thousands(samples.count() as u64),
        told(saved)
    );
    report(json, &value, &text)
}
