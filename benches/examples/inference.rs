//! Microseconds per inference of model files on one thread of this machine:
//! `cargo run --release -p samara-benches --example inference -- FILE...`.
//!
//! The fastest of 50 rounds of 50 inferences on one input, as `benches/peers/litert_inference.py` measures LiteRT.

use std::{error::Error, fs, path::PathBuf, time::Instant};

use clap::Parser;
use samara_runtime::{Session, arena::AlignedBuffer, simd};
use samara_trainer::device::run::DeviceModel;

const ROUNDS: usize = 50;
const INFERENCES: usize = 50;

#[derive(Parser)]
#[command(about = "Microseconds per inference of model files on one thread")]
struct Arguments {
    /// Model files
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("kernels: {}", simd::VARIANT.name());
    for file in Arguments::parse().files {
        let device = DeviceModel::new(&fs::read(&file)?)?;
        let model = device.model()?;
        let mut arena = AlignedBuffer::zeros(model.arena_bytes());
        let mut session = Session::new(model, arena.as_mut_slice())?;
        let mut round = || {
            let start = Instant::now();
            (0..INFERENCES).for_each(|_| session.run());
            start.elapsed().as_secs_f64() * 1e6 / INFERENCES as f64
        };
        let fastest = (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min);
        println!("{}: {fastest:.0} us", file.display());
    }
    Ok(())
}
