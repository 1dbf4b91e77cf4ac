//! Models of every op of the runtime, from the registry of the host's twins.

use samara_runtime::format::writer::ModelFile;
use samara_trainer::device::ops::{ALL_DEVICE_OPS, OpExample};

/// Hostile files start from so many of the smallest models of each op: there are as many of them as there are bits.
const SMALLEST: usize = 5;

/// A model of one op, or of two: conversion and back.
#[derive(Debug, Clone)]
pub struct Small {
    /// Says what it is.
    pub name: String,
    /// The model.
    pub file: ModelFile,
}

/// Every example of every op, in int8 and f32.
///
/// # Panics
/// If the exporter refuses one.
pub fn all() -> Vec<Small> {
    let examples = ALL_DEVICE_OPS.iter().flat_map(|kind| (kind.examples)());
    let files = examples.flat_map(|example| example.files().unwrap_or_else(|error| panic!("{}: {error}", example.name)));
    files.map(|(name, file)| Small { name, file }).collect()
}

/// The smallest of [`all`]: every op of the runtime is among them.
pub fn small() -> Vec<Small> {
    let mut models = all();
    models.sort_by_cached_key(|model| model.file.to_bytes().len());
    let mut seen = [0; 128];
    let first = |model: &Small| model.file.nodes.first().map_or(0, |node| usize::from(node.code));
    models.retain(|model| {
        seen[first(model)] += 1;
        seen[first(model)] <= SMALLEST
    });
    models
}

/// The examples of [`small`] in one model, each with inputs and an output of its own.
pub fn side_by_side(name: &str) -> OpExample {
    let small = small();
    let is_small = |example: &OpExample| {
        small.iter().any(|model| model.name.rsplit_once('_').map(|(name, _)| name) == Some(&example.name))
    };
    let examples = ALL_DEVICE_OPS.iter().flat_map(|kind| (kind.examples)());
    OpExample::side_by_side(name, examples.filter(|example| !example.float_ports && is_small(example)))
}
