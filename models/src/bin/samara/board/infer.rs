//! `samara device infer`: one sample.

use anyhow::{Result, bail};
use serde_json::json;

use super::samples::{self, Part, Samples, class_of};
use super::{Connected, report};

/// Arguments of `samara device infer`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    samples: samples::Choice,
    /// Which sample, from 0 on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    sample: usize,
}

/// Runs the sample.
///
/// # Errors
/// If it does not fit, or the device refuses it.
pub fn run(device: &mut Connected, arguments: &Arguments, json: bool) -> Result<()> {
    let samples = Samples::of(&arguments.samples, device, Part::Test, |_| true)?;
    if arguments.sample >= samples.count() {
        bail!("there is no sample {}: there are {}", arguments.sample, samples.count());
    }
    let output_type = samples.output_type()?;
    let samples = samples.only(arguments.sample);
    let (name, data) = (&samples.name, &arguments.samples.data);
    samples.each(|session, input, label| {
        let there = device.infer(input)?;
        session.run();
        let same = session.output_bytes(0) == Some(&there.outputs);
        let class = class_of(&there.outputs, output_type);
        let head = there.answer.map(|answer| {
            json!({"class": answer.class, "margin": answer.margin, "strangeness": answer.strangeness, "known": answer.known})
        });
        let value = json!({"model": name, "data": data, "sample": arguments.sample, "label": label, "class": class, "same_bits": same, "head": head});
        let head = match there.answer {
            Some(answer) if answer.known => format!("; its head says class {}, ahead by {:.2}", answer.class, answer.margin),
            Some(answer) => {
                format!("; its head says unknown, at best class {} (strangeness {:.2})", answer.class, answer.strangeness)
            }
            None => String::new(),
        };
        let same = if same { "the same bits as here" } else { "OTHER BITS THAN HERE" };
        report(json, &value, &format!("class {class} ({same}), the data says {label}{head}"))
    })
}
