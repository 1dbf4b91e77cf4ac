//! House-keeping: `cargo xtask demo` and `cargo xtask test` are all that a newcomer needs.

mod boards;
mod classify;
mod demo;
mod device_bench;
mod emulator;
mod firmware;
mod heads;
mod host;
mod layers;
mod learn;
mod link;
mod made;
mod paths;
mod peers;
mod process;
mod publish;
mod report;
mod samples;
mod selftest;
mod sequences;
mod setup;
mod stages;
mod study;
mod symbols;
mod table;
mod test;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Samara's house-keeping.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks for Rust targets, QEMU and data, and adds what is missing for this user, without root
    Setup,
    /// Trains a network on Fashion-MNIST, quantizes it, and runs it on emulated microcontrollers
    Demo {
        /// Epochs of training
        #[arg(long, default_value_t = demo::EPOCHS)]
        epochs: u32,
        /// Boards to run on, by name [default: an386 and virt]
        #[arg(long = "board")]
        boards: Vec<String>,
        /// Instead, lets an emulated Cortex-M4F learn two classes that the network never saw, and cuts its power in between
        #[arg(long, conflicts_with_all = ["epochs", "boards"])]
        learn: bool,
    },
    /// Trains nets for sequences, and classifies their test samples on an emulated microcontroller, whole and as streams
    Sequences {
        /// The board, by name
        #[arg(long, default_value = "an386")]
        board: String,
    },
    /// Classifies test samples on an emulated microcontroller with a model file, and compares all outputs with this machine's
    Classify {
        /// The board, by name
        #[arg(long, default_value = "an386")]
        board: String,
        /// The model file, of a net with one input and one output
        #[arg(long)]
        model: PathBuf,
        /// The data set, by name or path
        #[arg(long)]
        data: String,
        /// Test samples, from the first
        #[arg(long, default_value_t = 1000)]
        count: usize,
    },
    /// Runs every test, as CI does
    Test {
        /// Only these stages [default: all]
        #[arg(long = "stage", value_enum)]
        stages: Vec<test::Stage>,
    },
    /// Builds firmware with a model in it, and prints its size
    Firmware {
        /// The board, by name
        #[arg(long)]
        board: String,
        /// The model file
        #[arg(long)]
        model: PathBuf,
    },
    /// Compares checksums of every op's outputs on emulated boards with this machine's
    Selftest {
        /// Boards to run on, by name [default: all]
        #[arg(long = "board")]
        boards: Vec<String>,
        /// More model files to run
        #[arg(long = "model")]
        models: Vec<PathBuf>,
    },
    /// Trains and runs every layer and every net of the zoo here and on all boards, and writes docs/layers.md
    Layers,
    /// Measures instructions, memory and flash of models on emulated boards
    DeviceBench {
        /// Model files [default: MLPerf Tiny's four nets, with random weights]
        #[arg(long = "model")]
        models: Vec<PathBuf>,
        /// Boards to measure on, by name [default: all that hold the model]
        #[arg(long = "board")]
        boards: Vec<String>,
        /// Also prints the instructions of each node
        #[arg(long)]
        nodes: bool,
        /// Instead, measures heads that learn: what a sample, a solution, a step of training, a save and a start cost
        #[arg(long, conflicts_with_all = ["models", "nodes"])]
        heads: bool,
        /// Instead, measures the winner of a search, and the nets that none beats, beside what `samara tune --out DIR` estimated [default board: an386]
        #[arg(long, value_name = "DIR", conflicts_with_all = ["models", "nodes", "heads"])]
        study: Option<PathBuf>,
    },
    /// Measures training steps of Samara, Keras and PyTorch in turn
    Peers {
        /// The Python that has the other frameworks
        #[arg(long, default_value = "python3")]
        python: String,
        /// Workloads, w1 to w6 [default: all]
        #[arg(long = "workload")]
        workloads: Vec<String>,
        /// Rounds, of which the medians are shown
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(success) => {
            if success {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command. `false` if it ran to its end but what it tested failed.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Setup => setup::all()?,
        Command::Demo { learn: true, .. } => learn::run()?,
        Command::Demo { epochs, boards, .. } => demo::run(epochs, &boards)?,
        Command::Sequences { board } => sequences::run(&board)?,
        Command::Classify { board, model, data, count } => classify::run(&board, &model, &data, count)?,
        Command::Test { stages } => return Ok(test::run(&stages)),
        Command::Firmware { board, model } => device_bench::firmware(boards::find(&board)?, &model)?,
        Command::Layers => layers::run()?,
        Command::Selftest { boards, models } => selftest::run(&boards, &models)?,
        Command::DeviceBench { boards, heads: true, .. } => heads::run(&boards)?,
        Command::DeviceBench { boards, study: Some(study), .. } => study::run(&study, &boards)?,
        Command::DeviceBench { models, boards, nodes, .. } => device_bench::run(&models, &boards, nodes)?,
        Command::Peers { python, workloads, rounds } => peers::run(&python, &workloads, rounds)?,
    }
    Ok(true)
}
