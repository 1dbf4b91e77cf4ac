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

#[derive(Debug, clap::Args)]
struct Saving {
    /// Do not save: a restart of the device forgets what it learned
    #[arg(long)]
    no_save: bool,
    /// A number for the list of generations, such as an accuracy in 1/10,000
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    tag: u32,
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
    let mut known = BTreeMap::new();
    for index in 0..samples.count() {
        let class = class_of(samples.label(index));
        if let std::collections::btree_map::Entry::Vacant(entry) = known.entry(class) {
            entry.insert(device.count(class)?);
        }
    }
    samples.each(|_, input, label| {
        let class = class_of(label);
        let count = device.learn(input, class)?;
        let expected = known.entry(class).and_modify(|count| *count += 1).or_default();
        if count != *expected {
            bail!(
                "the device has {count} samples of class {class} where {expected} were learned: it has restarted, and knows what was saved last; learn again"
            );
        }
        Ok(())
    })?;
    device.solve()?;
    let saved = if saving.no_save { None } else { Some(device.save(saving.tag)?) };
    let classes: Vec<u32> = known.keys().copied().collect();
    let value = json!({
        "model": samples.name, "data": data, "learned": samples.count(), "classes": classes, "generation": saved, "repeated": device.repeated(),
        "counts": known.values().collect::<Vec<_>>(),
    });
    let shown = known.iter().map(|(class, count)| format!("{class} ({})", output::thousands(u64::from(*count))));
    let saved = saved.map_or("not saved".to_owned(), |number| format!("saved as generation {number}"));
    let text = format!(
        "{} samples learned; classes with their samples: {}; {saved}",
        output::thousands(samples.count() as u64),
        shown.collect::<Vec<_>>().join(", ")
    );
    report(json, &value, &text)
}
