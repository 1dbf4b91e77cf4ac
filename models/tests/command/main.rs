//! The command `samara` as a user meets it: every bad input is told in a sentence, with an exit code, and leaves no file.

mod arguments;
mod common;
mod comparison;
mod data;
mod device;
mod ensembles;
mod fashion_mnist;
mod forests;
mod heads;
mod kills;
mod model_files;
mod quantities;
mod report;
mod tables;
mod tensorboard;
mod training;
mod tuning;
mod tuning_workers;
