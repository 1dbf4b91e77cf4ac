//! Weights that int8 does not like: the same net in f32, with channels between its depthwise and pointwise convolutions that differ by far.
//!
//! Each channel of a depthwise convolution is multiplied by a factor between 1/32 and 32, and what the pointwise convolution behind makes of it
//! divided by it. In f32 nothing changes; in int8, a tensor has one scale for all channels. `samara doctor` finds the layers and what
//! helps:
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(from), Some(to)) = (arguments.next(), arguments.next()) else {
        return Err("expected two directories: with weights.bin, and to write one to; then a seed or nothing".into());
    };
    let seed = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
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
        let factors: Vec<f32> =
            (0..channels).map(|_| (random.uniform() * 2.0 * OCTAVES - OCTAVES).round().exp2() as f32).collect();
        taps.iter_mut().zip(factors.iter().cycle()).for_each(|(tap, factor)| *tap *= factor);
        weights
            .chunks_exact_mut(filters)
            .zip(&factors)
            .for_each(|(row, factor)| row.iter_mut().for_each(|weight| *weight /= factor));
        model.set_parameter(&before, &taps)?;
        model.set_parameter(&behind, &weights)?;
    }
    std::fs::create_dir_all(&to)?;
    write_file(&Path::new(&to).join("weights.bin"), &Weights::of(&model).to_bytes())?;
    println!(
        "{to}/weights.bin: the function of {from}/weights.bin in f32, channels up to {} times apart",
        (2.0 * OCTAVES).exp2()
    );
    Ok(())
}
