//! `samara`: trains, quantizes, evaluates and inspects models.
//!
//! Results go to standard output, all else to standard error. What is wrong is told in a sentence, with exit code 1; wrong
//! arguments give exit code 2, an interruption 130. Files appear whole or not at all.

mod arena;
mod augment;
mod aware;
mod board;
mod boards;
mod budget;
mod compare;
mod completions;
mod convert;
mod cost;
mod curves;
mod data;
mod device;
mod doctor;
mod ensemble;
mod evaluate;
mod export;
mod export_samples;
mod files;
mod folds;
mod forest;
mod head;
mod inspect;
mod interrupt;
mod learned;
mod learning_curve;
mod losses;
mod member;
mod model;
mod names;
mod optimizers;
mod output;
mod plot;
mod quantize;
mod report;
mod room;
mod schedule;
mod task;
mod teaching;
mod tensorboard;
mod train;
mod tune;
mod watching;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Machine learning for microcontrollers: train on the desktop, run on the chip.
#[derive(Debug, Parser)]
#[command(name = "samara", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model of the zoo, or a net for a CSV file, and write it as f32 and as int8 file
    Train(Box<train::Arguments>),
    /// Search for a net and its training within the limits of a device
    Tune(Box<tune::Arguments>),
    /// Train a model of the zoo with several optimizers, and draw their learning curves as SVG
    Compare(compare::Arguments),
    /// Let trained nets answer together: find weights for their mean, and write them as one file
    Ensemble(ensemble::Arguments),
    /// Grow a random forest on a data set, and write it as f32 and as int8 file, and as a member of an ensemble
    Forest(forest::Arguments),
    /// Measure the accuracy of a model file, or of trained weights, on the test samples
    Evaluate(evaluate::Arguments),
    /// Make an int8 file from trained weights
    Quantize(quantize::Arguments),
    /// Say which layers int8 hurts, and try what can be done about it
    Doctor(doctor::Arguments),
    /// Add to an int8 file what a device goes on learning with: heads that are solved from exact sums, or trained by gradients
    Head(head::Arguments),
    /// Learn samples as a device with this model would, by the same code and to the same bits
    Learn(learned::Arguments),
    /// Say what a device can learn within so many bytes of RAM
    Budget(budget::Arguments),
    /// Show what is in a model file
    Inspect(inspect::Arguments),
    /// Print the graph of a model as a text file (TOML), as every `--model` takes it
    Model(model::Arguments),
    /// Write trained weights in another format: the library's own, safetensors, or NPZ
    Weights(weights::Arguments),
    /// Draw the graph of a model as SVG or PNG, with shapes
    Plot(plot::Arguments),
    /// Write all that is known of a model file as one page of HTML: curves, confusion, mistakes, layers, memory, boards
    Report(report::Arguments),
    /// List the data sets that are known, or fetch one
    Data(data::Arguments),
    /// Write test samples as a model file takes them, and what it makes of them
    ExportSamples(export_samples::Arguments),
    /// Write a model file with initial weights, quantized on random samples
    ///
    /// It knows nothing: it is for measuring size, speed and parity on devices, also of nets whose data is not at hand
    /// (`cargo xtask device-bench --model FILE`).
    Export(export::Arguments),
    /// Talk to a device: let it infer and learn, and manage what it knows
    Device(board::Arguments),
    /// Print a script that lets a shell complete arguments: `source <(samara completions bash)`
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Train(arguments) => train::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Ensemble(arguments) => ensemble::run(&arguments),
        Command::Forest(arguments) => forest::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Quantize(arguments) => quantize::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Head(arguments) => head::run(&arguments),
        Command::Learn(arguments) => learned::run(&arguments),
        Command::Budget(arguments) => budget::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Weights(arguments) => weights::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::ExportSamples(arguments) => export_samples::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Device(arguments) => board::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // `samara ... | head` closes the pipe: that is no failure.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            if error.is::<interrupt::Interrupted>() {
                output::note(&error.to_string());
                return interrupt::EXIT_CODE.into();
            }
            output::note(&format!("error: {}", output::sentence(&error)));
            ExitCode::FAILURE
        }
    }
}
