//! `samara device evaluate`: a data set, with the device in the loop.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::json;

use super::samples::{self, Part, Samples, class_of};
use super::{Connected, report};
use crate::output;

/// Arguments of `samara device evaluate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    samples: samples::Choice,
}

/// Runs the samples on the device and here.
///
/// # Errors
/// If they do not fit; if the device gives other bits than this machine.
pub fn run(device: &mut Connected, arguments: &Arguments, json: bool) -> Result<()> {
    let samples = Samples::of(&arguments.samples, device, Part::Test, |_| true)?;
    let (output_type, count) = (samples.output_type()?, samples.count());
    let (mut right, mut head_right, mut unknown, mut different) = (0, 0, 0, 0);
    let start = Instant::now();
    samples.each(|session, input, label| {
        let there = device.infer(input)?;
        session.run();
        different += usize::from(session.output_bytes(0) != Some(&there.outputs));
        right += usize::from(class_of(&there.outputs, output_type) == label);
        head_right += usize::from(there.answer.is_some_and(|answer| answer.class == label));
        unknown += usize::from(there.answer.is_some_and(|answer| !answer.known));
        Ok(())
    })?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / count as f64;
    let share = |part: usize| part as f64 / count as f64;
    let head = device.description().head.map(|_| (share(head_right), share(unknown)));
    let value = json!({
        "model": samples.name, "data": arguments.samples.data, "samples": count, "accuracy": share(right), "different": different, "milliseconds": milliseconds,
        "head_accuracy": head.map(|(right, _)| right), "head_unknown": head.map(|(_, unknown)| unknown),
        "repeated": device.repeated(),
    });
    let head = head.map_or(String::new(), |(right, unknown)| {
        format!("; its head is right on {right:.4}, and takes {unknown:.4} for unknown")
    });
    let text = format!(
        "accuracy {:.4} on {} samples{head}; {different} outputs differ from this machine's; {milliseconds:.1} ms per sample, {} requests repeated",
        share(right),
        output::thousands(count as u64),
        device.repeated()
    );
    report(json, &value, &text)?;
    if different > 0 {
        bail!("{different} of {count} outputs of the device differ from this machine's: run its self-test");
    }
    Ok(())
}
