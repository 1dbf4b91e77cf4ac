//! `samara device`: what a device at a serial port knows, learns and answers.

mod capture;
mod evaluate;
mod fine_tune;
mod heads;
mod infer;
mod learn;
mod samples;

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;
use samara_runtime::link::Fault;
use samara_runtime::persist::PersistError;
use samara_trainer::link::{self, Device, Patience, Port};
use serde_json::{Value, json};

use crate::{names, output};

/// Arguments of `samara device`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the device is: a serial port such as /dev/ttyACM0, tcp:HOST:PORT, or unix:PATH
    #[arg(long, value_name = "ADDRESS", global = true, default_value = "/dev/ttyACM0")]
    port: String,
    /// Bits per second of a serial port
    #[arg(long, value_name = "NUMBER", global = true, default_value_t = 115_200)]
    baud: u32,
    /// Seconds to wait for an answer before asking again
    #[arg(long, value_name = "SECONDS", global = true, default_value = "2", value_parser = names::positive)]
    timeout: f32,
    /// How often to ask
    #[arg(long, value_name = "NUMBER", global = true, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Print one line of JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run one sample of a data set on the device, and show what it answers
    Infer(infer::Arguments),
    /// Run a data set on the device, and compare each answer with this machine's
    Evaluate(evaluate::Arguments),
    /// Let the device learn the samples of a data set, and save what it learned
    Learn(learn::Arguments),
    /// Let the device train its head on a data set by gradients, as long as held-out samples gain by it
    FineTune(fine_tune::Arguments),
    /// Let the device learn a class that it does not know
    AddClass(learn::NewClass),
    /// Take samples from the device's sensor, as a data set to train on
    Capture(capture::Arguments),
    /// Write what the device learned to a file
    ExportHead(heads::Export),
    /// Replace what the device learned by a file
    ImportHead(heads::Import),
    /// Add what another device of the same model learned, from a file
    Merge(heads::Import),
    /// List what the device has saved, or go back to one of that
    Generations(heads::Generations),
    /// Discard all that the device learned and saved
    Reset(heads::Reset),
    /// What the device is, and what it counted since it started
    Stats,
}

/// Connects and does what is asked.
///
/// # Errors
/// If the device cannot be reached, or refuses.
pub fn run(arguments: &Arguments) -> Result<()> {
    let patience = Patience { answer: Duration::from_secs_f32(arguments.timeout), tries: arguments.tries };
    let mut device = Device::connect_with(link::open(&arguments.port, arguments.baud)?, patience)?;
    if let Err(fault) = device.description().stored
        && !matches!(fault, Fault::Persist(PersistError::NothingStored) | Fault::NoHead)
    {
        output::note(&format!("what the device has stored is not used: {fault}"));
    }
    let json = arguments.json;
    match &arguments.action {
        Action::Infer(action) => infer::run(&mut device, action, json),
        Action::Evaluate(action) => evaluate::run(&mut device, action, json),
        Action::Learn(action) => learn::run(&mut device, action, json),
        Action::FineTune(action) => fine_tune::run(&mut device, action, json),
        Action::AddClass(action) => learn::add_class(&mut device, action, json),
        Action::Capture(action) => capture::run(&mut device, action, json),
        Action::ExportHead(action) => heads::export(&mut device, action, json),
        Action::ImportHead(action) => heads::import(&mut device, action, false, json),
        Action::Merge(action) => heads::import(&mut device, action, true, json),
        Action::Generations(action) => heads::generations(&mut device, action, json),
        Action::Reset(action) => heads::reset(&mut device, action, json),
        Action::Stats => stats(&mut device, json),
    }
}

/// The device at a port.
type Connected = Device<Box<dyn Port>>;

/// Prints a result: a sentence, or JSON.
fn report(json: bool, value: &Value, text: &str) -> Result<()> {
    if json { output::print_json(value) } else { output::print(text) }
}

fn stats(device: &mut Connected, json: bool) -> Result<()> {
    let (counted, description) = (device.statistics()?, *device.description());
    let generation = description.stored.ok();
    let head = description.head.map(|head| (head.features, head.capacity));
    let value = json!({
        "model_hash": format!("{:016x}", description.model), "input_bytes": description.input_bytes,
        "output_bytes": description.output_bytes, "frame_bytes": description.frame_bytes,
        "features": head.map(|(features, _)| features), "capacity": head.map(|(_, capacity)| capacity),
        "generation": generation, "runs": counted.runs, "learned": counted.learned, "saved": counted.saved,
        "frames": counted.frames.taken, "repeated": counted.frames.repeated, "damaged": counted.frames.damaged,
        "oversized": counted.frames.oversized,
    });
    let kind = if description.head.is_some_and(|head| head.by_gradients) { "trained by gradients" } else { "solved from sums" };
    let head = match head {
        Some((features, capacity)) => format!("a head of {features} features with room for {capacity} classes, {kind}"),
        None => "no head".to_owned(),
    };
    let generation = generation.map_or("the head is the file's".to_owned(), |number| format!("generation {number} is current"));
    report(
        json,
        &value,
        &format!(
            "model {:016x}: {} bytes in, {} bytes out, {head}; {generation}\n\
             since it started: {} runs, {} generations saved, {} samples learned beyond the file\n\
             frames of up to {} bytes: {} taken, {} repeated, {} damaged, {} too long",
            description.model,
            output::thousands(description.input_bytes.into()),
            output::thousands(description.output_bytes.into()),
            output::thousands(counted.runs.into()),
            counted.saved,
            output::thousands(counted.learned.into()),
            description.frame_bytes,
            output::thousands(counted.frames.taken.into()),
            counted.frames.repeated,
            counted.frames.damaged,
            counted.frames.oversized
        ),
    )
}
