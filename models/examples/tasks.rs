//! Trains the nets of `samara_models::tasks` and shows how good they are on samples that they have not seen, in f32 and in int8.
//!
//! ```text
//! cargo run --release -p samara-models --example tasks
//! cargo run --release -p samara-models --example tasks -- DIRECTORY    # also writes each net's int8 file there
//! ```

use std::{error::Error, path::PathBuf};

use samara_models::tasks::TASKS;
use samara_runtime::format::writer::ModelFile;
use samara_trainer::checkpoint::write_file;
use samara_trainer::device::golden::add_golden_samples;
use samara_trainer::prelude::*;

/// Samples that the scores are taken on.
const TEST_SAMPLES: usize = 1000;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).map(PathBuf::from);
    println!("| net | output | score | f32 | int8 | parameters | bytes in int8 | arena |");
    println!("|---|---|---|---|---|---|---|---|");
    for task in TASKS {
        let (train, test) = ((task.data)(1, task.samples)?, (task.data)(2, TEST_SAMPLES)?);
        let mut model = (task.build)()?;
        model.initialize(1);
        (task.compile)(&mut model)?;
        model.fit(&train, Fit { epochs: task.epochs, batch: 32, seed: 1, verbose: false, ..Fit::default() })?;
        let samples: Vec<Tensor> = train.inputs().iter().map(|input| input.slice(0..512)).collect();
        let mut file = ModelFile::from_bytes(&model.export_int8(&samples, quantize::Options::default())?)?;
        add_golden_samples(&mut file, &samples, None)?;
        let int8 = file.to_bytes();
        let device = DeviceModel::new(&int8)?;
        let (real, quantized) = (model.predict_all(test.inputs())?, device.predict(test.inputs())?);
        let parameters: usize = model.parameters().iter().map(|parameter| parameter.shape.size()).sum();
        for (output, &(name, score)) in task.scores.iter().enumerate() {
            let [f32, int8_score] = [&real, &quantized].map(|outputs| score.of(&outputs[output], &test.targets()[output]));
            println!(
                "| `{}` | {name} | {score:?} | {f32:.4} | {int8_score:.4} | {parameters} | {} | {} |",
                task.name,
                int8.len(),
                device.model()?.arena_bytes()
            );
        }
        if let Some(directory) = &directory {
            write_file(&directory.join(task.name).with_extension("samara"), &int8)?;
        }
    }
    Ok(())
}
