//! `samara device learn` and `add-class`: samples that the device learns, one by one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::samples::{self, Part, Samples};
use super::{Connected, report};
use crate::output;

/// Arguments of `samara device learn`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    samples: samples::Choice,
    /// Learn samples of this class alone; once for each
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<u32>,
    #[command(flatten)]
    saving: Saving,
}

/// Arguments of `samara device add-class`.
#[derive(Debug, clap::Args)]
pub struct NewClass {
    #[command(flatten)]
    samples: samples::Choice,
    /// The class of the data set whose samples are learned
    #[arg(long, value_name = "CLASS")]
    label: u32,
    /// The device's number for it [default: the first that it has no sample of]
    #[arg(long = "as", value_name = "CLASS")]
    class: Option<u32>,
    #[command(flatten)]
    saving: Saving,
}

/// Whether what was learned is saved.
#[derive(Debug, clap::Args)]
pub struct Saving {
    /// Do not save: a restart of the device forgets what it learned
    #[arg(long)]
    no_save: bool,
    /// A number for the list of generations, such as an accuracy in 1/10,000
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    tag: u32,
}

impl Saving {
    /// Saves, if it is to be; the generation's number.
    ///
    /// # Errors
    /// If the device refuses.
    pub fn save(&self, device: &mut Connected) -> Result<Option<u32>> {
        Ok(if self.no_save { None } else { Some(device.save(self.tag)?) })
    }
}

/// How a saving is told.
pub fn told(saved: Option<u32>) -> String {
    saved.map_or("not saved".to_owned(), |number| format!("saved as generation {number}"))
}

/// Counts along with the device.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<u32, u32>);

impl Known {
    /// Lets the device learn a sample.
    ///
    /// # Errors
    /// If it refuses, or has restarted.
    pub fn learn(&mut self, device: &mut Connected, input: &[u8], class: u32) -> Result<()> {
        let before = match self.0.get(&class) {
            Some(count) => *count,
            None => device.count(class)?,
        };
        let count = device.learn(input, class)?;
        if count != before + 1 {
            bail!(
                "the device has {count} samples of class {class} where {} were learned: it has restarted, and knows what was saved last; learn again",
                before + 1
            );
        }
        self.0.insert(class, count);
        Ok(())
    }
}

/// Learns the samples of a data set.
///
/// # Errors
/// If they do not fit, or the device refuses or restarts.
pub fn run(device: &mut Connected, arguments: &Arguments, json: bool) -> Result<()> {
    let wanted = |label| arguments.classes.is_empty() || arguments.classes.contains(&label);
    let samples = Samples::of(&arguments.samples, device, Part::Train, wanted)?;
    learn(device, (&samples, &arguments.samples.data), |label| label, &arguments.saving, json)
}

/// Learns a class that the device does not know.
///
/// # Errors
/// As [`run`]; if the device knows the class, or has no room for more.
pub fn add_class(device: &mut Connected, arguments: &NewClass, json: bool) -> Result<()> {
    let capacity = device.head()?.capacity;
    let class = match arguments.class {
        Some(class) if class < capacity && device.count(class)? > 0 => {
            bail!("the device knows class {class} from {} samples: `samara device learn` adds to it", device.count(class)?)
        }
        Some(class) => class,
        None => {
            let mut free = None;
            for class in (0..capacity).rev() {
                free = if device.count(class)? == 0 { Some(class) } else { free };
            }
            free.with_context(|| format!("the device has samples of all {capacity} classes that its head has room for"))?
        }
    };
    let samples = Samples::of(&arguments.samples, device, Part::Train, |label| label == arguments.label)?;
    learn(device, (&samples, &arguments.samples.data), |_| class, &arguments.saving, json)
}

fn learn(
    device: &mut Connected,
    (samples, data): (&Samples, &str),
    class_of: impl Fn(u32) -> u32,
    saving: &Saving,
    json: bool,
) -> Result<()> {
    let capacity = device.head()?.capacity;
    // Before the first sample is learned, not in the middle.
    if let Some(label) = (0..samples.count()).map(|index| class_of(samples.label(index))).find(|&class| class >= capacity) {
        bail!("the data has class {label}, but the head has room for {capacity}, 0 to {}", capacity - 1);
    }
    let mut known = Known::default();
    samples.each(|_, input, label| known.learn(device, input, class_of(label)))?;
    device.solve()?;
    let saved = saving.save(device)?;
    let Known(known) = known;
    let classes: Vec<u32> = known.keys().copied().collect();
    let value = json!({
        "model": samples.name, "data": data, "learned": samples.count(), "classes": classes, "generation": saved, "repeated": device.repeated(),
        "counts": known.values().collect::<Vec<_>>(),
    });
    let shown = known.iter().map(|(class, count)| format!("{class} ({})", output::thousands(u64::from(*count))));
    let text = format!(
        "{} samples learned; classes with their samples: {}; {}",
        output::thousands(samples.count() as u64),
        shown.collect::<Vec<_>>().join(", "),
        told(saved)
    );
    report(json, &value, &text)
}
