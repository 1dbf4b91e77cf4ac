//! The nodes of a model file: what each costs, and what quantization changes there.

use std::collections::HashMap;
use std::fmt::Write as _;

use anyhow::Result;
use samara_runtime::format::writer::ModelFile;
use samara_runtime::{ALL_OPS, Session};
use samara_trainer::checkpoint::Weights;
use samara_trainer::data::Tensor;
use samara_trainer::device::run::{DeviceModel, write_sample};

use crate::output::thousands;
use samara_models::chart::escape;

/// Samples that are run node by node.
const SAMPLES: usize = 32;

/// Decibels from the signal to the error that quantization makes, by node.
pub type Noise = HashMap<String, f64>;

/// Of a channel, over all samples: the sums of squares of what is exact and of what is quantized, and of their products.
type Sums = [f64; 3];

/// Runs both files on the first samples, and compares what nodes of the same name give; up to a factor for each channel, since
/// quantization moves such factors from layer to layer.
///
/// # Errors
/// If the samples do not fit.
pub fn noise(int8: &DeviceModel, f32: &DeviceModel, samples: &Tensor) -> Result<Noise> {
    let file = ModelFile::from_bytes(int8.bytes())?;
    let (quantized, exact) = (outputs(int8, samples)?, outputs(f32, samples)?);
    let mut noise = Noise::new();
    for (node, name) in file.nodes.iter().zip(&file.metadata.nodes) {
        let channels = file.tensors[node.output as usize].shape().last().map_or(1, |&size| size as usize).max(1);
        let mut sums: Vec<Sums> = vec![[0.0; 3]; channels];
        for (quantized, exact) in quantized.iter().zip(&exact) {
            let (Some(values), Some(wanted)) = (quantized.get(name), exact.get(name)) else { continue };
            for (place, (value, wanted)) in values.iter().zip(wanted).enumerate() {
                let (value, wanted) = (f64::from(*value), f64::from(*wanted));
                let [signal, square, product] = &mut sums[place % channels];
                *signal += wanted * wanted;
                *square += value * value;
                *product += value * wanted;
            }
        }
        let signal: f64 = sums.iter().map(|[signal, ..]| signal).sum();
        let error: f64 = sums.iter().map(rest).sum();
        // What is equal to rounding has no error to speak of.
        if signal > 0.0 && error > 1e-12 * signal {
            noise.insert(name.clone(), 10.0 * (signal / error).log10());
        }
    }
    Ok(noise)
}

/// The square of what is left of a channel where the best multiple of what is quantized is taken away.
fn rest([signal, square, product]: &Sums) -> f64 {
    if *square > 0.0 { signal - product * product / square } else { *signal }
}

/// What each node gives, by name, for each of the first samples.
fn outputs(model: &DeviceModel, samples: &Tensor) -> Result<Vec<HashMap<String, Vec<f32>>>> {
    let file = ModelFile::from_bytes(model.bytes())?;
    let work = |session: &mut Session<'_>, sample: usize| {
        write_sample(session, 0, samples, sample)?;
        let mut seen = HashMap::new();
        session.run_observed(|node, tensors| {
            if let (Some(name), Some(record)) = (file.metadata.nodes.get(node), file.nodes.get(node)) {
                seen.insert(name.clone(), tensors.values(record.output).collect());
            }
        });
        Ok(seen)
    };
    Ok(model.work_each(samples.samples().min(SAMPLES), work)?)
}

/// A row for each node. Parameters are those of the trained layer of that name; what was folded into others comes last.
pub fn draw(file: &ModelFile, weights: Option<&Weights>, noise: Option<&Noise>) -> String {
    let mut parameters: Vec<(String, usize)> = Vec::new();
    for parameter in weights.iter().flat_map(|weights| &weights.parameters) {
        let layer = parameter.name.rsplit_once('/').map_or("", |(layer, _)| layer);
        match parameters.iter_mut().find(|(known, _)| known == layer) {
            Some((_, count)) => *count += parameter.values.len(),
            None => parameters.push((layer.to_owned(), parameter.values.len())),
        }
    }
    let mut html = String::from(
        "<table><tr><th>#</th><th class=\"left\">node</th><th class=\"left\">op</th><th>output</th><th>parameters</th><th>MACs</th>\
         <th>output bytes</th><th>scratch bytes</th>",
    );
    html += if noise.is_some() { "<th>int8, dB</th></tr>" } else { "</tr>" };
    for (number, node) in file.nodes.iter().enumerate() {
        let name = file.metadata.nodes.get(number).map_or("", String::as_str);
        let op = ALL_OPS.iter().find(|op| u16::from(op.code) == node.code).map_or("", |op| op.name);
        let output = &file.tensors[node.output as usize];
        let sizes: Vec<String> = output.shape().iter().map(u32::to_string).collect();
        let own = parameters.iter().position(|(layer, _)| layer == name).map(|place| parameters.remove(place).1);
        let count = |number: Option<usize>| number.map_or(String::new(), |number| thousands(number as u64));
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"left\">{}</td><td class=\"left\">{op}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>",
            number + 1,
            escape(name),
            sizes.join(" x "),
            count(own),
            thousands(u64::from(node.macs)),
            thousands(output.bytes() as u64),
            thousands(u64::from(node.scratch_bytes))
        );
        if let Some(noise) = noise {
            let _ = write!(html, "<td>{}</td>", noise.get(name).map_or(String::new(), |decibels| format!("{decibels:.1}")));
        }
        html += "</tr>";
    }
    for (layer, count) in &parameters {
        let columns = if noise.is_some() { 4 } else { 3 };
        let _ = write!(
            html,
            "<tr><td></td><td class=\"left\">{}</td><td class=\"left\">folded into others</td><td></td><td>{}</td>{}</tr>",
            escape(layer),
            thousands(*count as u64),
            "<td></td>".repeat(columns)
        );
    }
    html + "</table>"
}

#[cfg(test)]
mod tests {
    use samara_trainer::prelude::*;

    use super::*;

    fn files() -> (Model, DeviceModel, DeviceModel, Tensor) {
        let x = input([4]);
        let hidden = Dense::new(3).named("hidden").apply(&x);
        let norm = BatchNormalization::new().named("norm").apply(&hidden);
        let model = Model::new("m", &x, Dense::new(2).named("out").apply(&norm)).unwrap();
        let samples = Tensor::new([8, 4], (0..32u8).map(|number| f32::from(number % 7) / 7.0).collect()).unwrap();
        let int8 = model.export_int8(std::slice::from_ref(&samples), quantize::Options::default()).unwrap();
        let f32 = model.export_f32().unwrap();
        (model, DeviceModel::new(&int8).unwrap(), DeviceModel::new(&f32).unwrap(), samples)
    }

    /// Exact values of 1 and 2: twice as much of both is no error; of 2 and 2 the best multiple is 1.5 and 1.5, which leaves 0.5.
    #[test]
    fn a_factor_is_no_error() {
        assert_eq!(rest(&[5.0, 20.0, 10.0]), 0.0);
        assert_eq!(rest(&[5.0, 8.0, 6.0]), 0.5);
        assert_eq!(rest(&[5.0, 0.0, 0.0]), 5.0);
    }

    #[test]
    fn int8_is_near_and_not_the_same() {
        let (_, int8, f32, samples) = files();
        let found = noise(&int8, &f32, &samples).unwrap();
        assert!(found["out"] > 20.0 && found["out"] < 80.0, "{found:?}");
        assert!(noise(&f32, &f32, &samples).unwrap().is_empty());
    }

    #[test]
    fn parameters_stand_with_their_nodes_and_what_is_folded_at_the_end() {
        let (model, int8, ..) = files();
        let file = ModelFile::from_bytes(int8.bytes()).unwrap();
        let html = draw(&file, Some(&Weights::of(&model)), None);
        let row = |name: &str| html.split("<tr>").find(|row| row.contains(&format!(">{name}<"))).unwrap_or_default();
        assert!(row("hidden").contains(">15<") && row("out").contains(">8<"), "{html}");
        assert!(row("norm").contains("folded into others") && row("norm").contains(">12<"), "{html}");
    }
}
