//! Weights that int8 does not like: the same net in f32, with channels between its depthwise and pointwise convolutions that differ by far.
//!
//! Each channel of a depthwise convolution is multiplied by a factor between 1/32 and 32, and what the pointwise convolution behind makes of it
//! divided by it. In f32 nothing changes; in int8, a tensor has one scale for all channels. `samara doctor` finds the layers and what
//! helps. With `outlier`, one channel of each is multiplied by 64, that of which the layer behind makes least, and nothing is made of it
//! any more, as of a pruned one: a tensor's range is that of a channel which does not matter.
//!
//! ```text
//! samara train --model fashion-separable --data fashion-mnist --epochs 3 --batch 128 --learning-rate 0.004 --schedule cosine --out trained
//! cargo run --release -p samara-models --example hostile_weights -- trained hostile
//! samara doctor --model fashion-separable --weights hostile --data fashion-mnist --fix --out mended.samara
//! ```

use std::error::Error;
use std::path::Path;

use samara_models::fashion_separable;
use samara_trainer::checkpoint::{Weights, write_file};
use samara_trainer::data::Random;

/// Largest factor, as a power of two.
const OCTAVES: f64 = 5.0;
/// The factor of an outlier.
const OUTLIER: f32 = 64.0; // above the largest factor otherwise

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err(
            "expected two directories: with weights.bin, and to write one to; then a seed, or \"outlier\", or nothing".into()
        );
    };
    let kind = arguments.next().unwrap_or_else(|| "1".to_owned());
    let is_outlier = kind == "outlier";
    let seed = if is_outlier { 1 } else { kind.parse()? };
    let model = fashion_separable()?;
    Weights::from_bytes(&std::fs::read(Path::new(&from).join("weights.bin"))?)?.restore(&model)?;
    let mut random = Random::new(seed, 0);
    let depthwise = |name: &str| name.strip_suffix("/depthwise_kernel").map(str::to_owned);
    for layer in model.parameters().iter().filter_map(|parameter| depthwise(&parameter.name)) {
        let [before, behind] = ["depthwise_kernel", "pointwise_kernel"].map(|kernel| format!("{layer}/{kernel}"));
        let (mut taps, mut weights) = (model.parameter(&before)?, model.parameter(&behind)?);
        let channels = taps.len() / 9;
        let filters = weights.len() / channels;
        // Powers of two: no value is rounded, and f32 gives the same bits.
        let factors: Vec<f32> = if is_outlier {
            let use_of =
                |channel: usize| -> f32 { weights[channel * filters..][..filters].iter().map(|weight| weight * weight).sum() };
            let least = (0..channels).min_by(|&a, &b| use_of(a).total_cmp(&use_of(b)));
            (0..channels).map(|channel| if Some(channel) == least { OUTLIER } else { 1.0 }).collect()
        } else {
            (0..channels).map(|_| (random.uniform() * 2.0 * OCTAVES - OCTAVES).round().exp2() as f32).collect()
        };
        taps.iter_mut().zip(factors.iter().cycle()).for_each(|(tap, factor)| *tap *= factor);
        weights.chunks_exact_mut(filters).zip(&factors).for_each(|(row, &factor)| {
            let divided = |weight: f32| if factor == OUTLIER { 0.0 } else { weight / factor };
            row.iter_mut().for_each(|weight| *weight = divided(*weight));
        });
        model.set_parameter(&before, &taps)?;
        model.set_parameter(&behind, &weights)?;
    }
    std::fs::create_dir_all(&to)?;
    write_file(&Path::new(&to).join("weights.bin"), &Weights::of(&model).to_bytes())?;
    println!(
        "{to}/weights.bin: {from}/weights.bin with channels up to {} times apart",
        if is_outlier { OUTLIER } else { (2.0 * OCTAVES).exp2() as f32 }
    );
    Ok(())
}
