//! Weights of Keras 3: `model.save_weights("x.weights.h5")`, or the same within `model.save("x.keras")`, a ZIP archive.
//!
//! An HDF5 file has a group for each layer, `layers/conv2d_1`, numbered by class in the order of the model's layers, with the layer's own
//! name as an attribute of its `vars`, which are `0`, `1` and so on. Layers that are made of others have theirs inside: `cell` of
//! recurrent ones, `forward_layer` and `backward_layer`, `layer` of a `TimeDistributed`, `layers` of a model.
//!
//! Layers are matched by name, and those whose names Keras made up, `dense_3`, by their order among those of their class. Parameters
//! have Keras's order and layout here, GRU's two biases included, so that values are taken as they are.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use hdf5_pure::{AttrValue, File, Group};

use super::{CheckpointError, SavedParameter, Weights};
use crate::data::sources::NpzFile;
use crate::error::Result;
use crate::graph::{ParameterEntry, snake_case};
use crate::train::Model;

/// The weights within a `.keras` file.
const MEMBER: &str = "model.weights.h5";
/// The first bytes of an HDF5 file.
const HDF5: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// Layers within layers, at most: far beyond any model.
const DEEPEST: usize = 16;

/// What of a file became what of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KerasMatch {
    /// The layer's place in the file: `layers/dense_1`.
    pub group: String,
    /// The name that Keras has for it; empty in files of versions that do not keep it.
    pub keras: String,
    /// The layer that has its weights now: what the names of its parameters begin with.
    pub layer: String,
    /// `true` if the names are equal, `false` if the order among those of its class decided.
    pub by_name: bool,
}

impl fmt::Display for KerasMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, keras, layer, by_name } = self;
        let name = if keras.is_empty() { String::new() } else { format!(" ({keras:?})") };
        write!(f, "{group}{name} is {layer}, by {}", if *by_name { "name" } else { "order" })
    }
}

impl Weights {
    /// The weights that Keras 3 saved, for this model: of a `.weights.h5` or a `.keras` file; and what was taken for what.
    ///
    /// # Errors
    /// If the file is damaged or of another version; if it has layers that the model has not, or the other way round, or
    /// parameters are of other shapes.
    pub fn from_keras(bytes: &[u8], model: &Model) -> Result<(Self, Vec<KerasMatch>)> {
        let damaged = |reason: String| CheckpointError::Damaged { reason: format!("no weights of Keras 3: {reason}") };
        let content = if bytes.starts_with(&HDF5) {
            bytes.to_vec()
        } else {
            NpzFile::parse(Path::new("the .keras file"), bytes.to_vec())?.content(MEMBER)?
        };
        let read = || -> Result<Vec<Saved>, String> {
            let file = File::from_bytes(content).map_err(|error| error.to_string())?;
            let root = file.root();
            let groups = root.groups().map_err(|error| error.to_string())?;
            if !groups.iter().any(|group| group == "layers") {
                return Err(format!("it has no group layers, but {}; files of Keras 2 are not read", groups.join(", ")));
            }
            layers_of(&root.group("layers").map_err(|error| error.to_string())?, "layers", 0)
        };
        let saved = read().map_err(damaged)?;
        let own = own_layers(model.parameters(), 0);
        let refuse = |reason: String| CheckpointError::Parameters { model: model.name().to_owned(), reason };
        let (mut matches, mut values) = (Vec::new(), BTreeMap::new());
        pair(&saved, &own, "the model", &mut matches, &mut values).map_err(refuse)?;
        let parameter = |entry: &ParameterEntry| {
            let values = values.remove(&entry.name).unwrap_or_default();
            SavedParameter { name: entry.name.clone(), shape: entry.shape.to_vec(), values }
        };
        let parameters = model.parameters().iter().map(parameter).collect();
        Ok((Self { model: model.name().to_owned(), parameters }, matches))
    }

    /// `true` if the bytes begin as an HDF5 file, or are an archive with Keras's weights in it.
    pub fn are_of_keras(bytes: &[u8]) -> bool {
        let is_archive =
            || NpzFile::parse(Path::new(""), bytes.to_vec()).is_ok_and(|archive| archive.names().any(|name| name == MEMBER));
        bytes.starts_with(&HDF5) || Self::may_be_npz(bytes) && is_archive()
    }
}

/// An array: its shape and its values.
type Variable = (Vec<usize>, Vec<f32>);

/// A layer with weights in a file.
#[derive(Debug)]
struct Saved {
    group: String,
    /// `conv2d` and 1 of `conv2d_1`.
    class: String,
    number: usize,
    name: String,
    values: Vec<Variable>,
    within: Vec<Saved>,
}

impl Saved {
    /// Keras made the name up.
    fn is_automatic(&self) -> bool {
        self.name.is_empty() || split_number(&self.name).0 == self.class
    }
}

/// `conv2d_1` to `conv2d` and 1.
fn split_number(name: &str) -> (&str, usize) {
    let split = name.rsplit_once('_').and_then(|(stem, number)| Some((stem, number.parse().ok()?)));
    split.unwrap_or((name, 0))
}

/// The layers with weights in a group of layers, in their order within each class.
fn layers_of(group: &Group, path: &str, depth: usize) -> Result<Vec<Saved>, String> {
    let mut layers = Vec::new();
    for key in group.groups().map_err(|error| format!("{path}: {error}"))? {
        let inner = group.group(&key).map_err(|error| format!("{path}/{key}: {error}"))?;
        let (class, number) = split_number(&key);
        layers.extend(layer_of(&inner, format!("{path}/{key}"), class, number, depth + 1)?);
    }
    layers.sort_by(|a, b| (&a.class, a.number).cmp(&(&b.class, b.number)));
    Ok(layers)
}

/// A layer, or none if there are no weights in it.
fn layer_of(group: &Group, path: String, class: &str, number: usize, depth: usize) -> Result<Option<Saved>, String> {
    if depth > DEEPEST {
        return Err(format!("{path} lies too deep"));
    }
    let fault = |error: hdf5_pure::Error| format!("{path}: {error}");
    let mut layer = Saved {
        group: path.clone(),
        class: class.to_owned(),
        number,
        name: String::new(),
        values: Vec::new(),
        within: Vec::new(),
    };
    for key in group.groups().map_err(fault)? {
        let inner = group.group(&key).map_err(fault)?;
        let inner_path = format!("{path}/{key}");
        match key.as_str() {
            "vars" => {
                layer.name = match inner.attrs().map_err(fault)?.remove("name") {
                    Some(AttrValue::VarLenString(name) | AttrValue::VarLenAsciiString(name) | AttrValue::String(name)) => name,
                    _ => String::new(),
                };
                layer.values.extend(variables_of(&inner, &inner_path)?);
            }
            // What a recurrent layer has is its cell's.
            "cell" => {
                let cell = layer_of(&inner, inner_path, class, number, depth + 1)?;
                layer.values.extend(cell.into_iter().flat_map(|cell| cell.values));
            }
            "layers" => layer.within.extend(layers_of(&inner, &inner_path, depth + 1)?),
            // Random numbers of dropout.
            "seed_generator" => {}
            other => layer.within.extend(layer_of(&inner, inner_path, other, 0, depth + 1)?),
        }
    }
    Ok((!layer.values.is_empty() || !layer.within.is_empty()).then_some(layer))
}

/// The arrays of a group: shapes and values.
fn variables_of(group: &Group, path: &str) -> Result<Vec<Variable>, String> {
    let fault = |error: hdf5_pure::Error| format!("{path}: {error}");
    let mut keys = group.datasets().map_err(fault)?;
    keys.sort_by_key(|key| key.parse::<usize>().unwrap_or(usize::MAX));
    let variable = |key: &String| {
        let dataset = group.dataset(key).map_err(fault)?;
        let shape: Vec<usize> = dataset.shape().map_err(fault)?.into_iter().map(|size| size as usize).collect();
        Ok((shape, dataset.read_f32().map_err(fault)?))
    };
    keys.iter().map(variable).collect()
}

/// A layer with parameters in a model, or what is made of layers.
struct Own<'a> {
    /// What the names of its parameters begin with, those before it included.
    path: String,
    class: String,
    parameters: Vec<&'a ParameterEntry>,
    within: Vec<Own<'a>>,
}

impl Own<'_> {
    fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// The layers of parameters, whose names are split at this depth; in the model's order.
fn own_layers<'a>(parameters: impl IntoIterator<Item = &'a ParameterEntry>, depth: usize) -> Vec<Own<'a>> {
    let mut groups: Vec<(String, Vec<&ParameterEntry>)> = Vec::new();
    for entry in parameters {
        let path = entry.name.split('/').take(depth + 1).collect::<Vec<_>>().join("/");
        match groups.iter_mut().find(|(known, _)| *known == path) {
            Some((_, entries)) => entries.push(entry),
            None => groups.push((path, vec![entry])),
        }
    }
    let layer = |(path, entries): (String, Vec<&'a ParameterEntry>)| {
        // The last part of a parameter's name is its own.
        let is_leaf = entries.iter().all(|entry| entry.name.split('/').count() == depth + 2);
        if is_leaf {
            let class = class_of(entries[0]);
            return Own { path, class, parameters: entries, within: Vec::new() };
        }
        let within = own_layers(entries, depth + 1);
        let goes = |direction: &str| within.iter().any(|layer| layer.name().starts_with(direction));
        let is_both_ways = within.len() == 2 && goes("forward_") && goes("backward_");
        let class = if is_both_ways { "bidirectional" } else { "model" };
        Own { path, class: class.to_owned(), parameters: Vec::new(), within }
    };
    groups.into_iter().map(layer).collect()
}

/// Keras's name for the class of a layer with this parameter.
fn class_of(entry: &ParameterEntry) -> String {
    match entry.layer.kind() {
        "PReLU" => "p_re_lu".to_owned(),
        "SimpleRNN" => "simple_rnn".to_owned(),
        kind => snake_case(kind),
    }
}

/// Keras's classes that are a model when they are part of another, or but one layer on each step.
fn is_model(class: &str) -> bool {
    ["sequential", "functional", "model", "time_distributed"].contains(&class)
}

fn is_of_class(saved: &Saved, own: &Own<'_>) -> bool {
    saved.class == own.class
        || is_model(&saved.class) && (own.class == "model" || own.class == "time_distributed")
        // Of the two layers of a `Bidirectional`.
        || ["forward_layer", "backward_layer"].contains(&saved.class.as_str())
            && own.name().starts_with(saved.class.trim_end_matches("layer"))
        || saved.class == "layer"
}

/// Pairs layers by name and by order, and takes their values under the names of the model's parameters.
fn pair(
    saved: &[Saved],
    own: &[Own<'_>],
    whole: &str,
    matches: &mut Vec<KerasMatch>,
    values: &mut BTreeMap<String, Vec<f32>>,
) -> Result<(), String> {
    let by_name = |layer: &Saved| {
        let same = |other: &&Own<'_>| other.name() == layer.name && is_of_class(layer, other);
        own.iter().find(same).filter(|_| !layer.is_automatic())
    };
    let named: Vec<Option<&Own<'_>>> = saved.iter().map(by_name).collect();
    let is_taken = |layer: &Own<'_>| named.iter().flatten().any(|taken| taken.path == layer.path);
    let mut left: Vec<&Own<'_>> = own.iter().filter(|layer| !is_taken(layer)).collect();
    for (layer, named) in saved.iter().zip(&named) {
        let Saved { group, name, class, .. } = layer;
        if let Some(found) = named {
            take(layer, found, true, matches, values)?;
            continue;
        }
        let place = left.iter().position(|other| is_of_class(layer, other));
        let is_part = ["forward_layer", "backward_layer", "layer"].contains(&class.as_str());
        if !layer.is_automatic() && !is_part {
            let names: Vec<&str> = left.iter().map(|own| own.name()).collect();
            let others = if names.is_empty() { "none are left".to_owned() } else { format!("left are {}", names.join(", ")) };
            return Err(format!(
                "the file has the layer {name:?} at {group}, but {whole} has none of this name and class {class}; {others}"
            ));
        }
        let Some(place) = place else {
            return Err(format!("the file has a layer of class {class} at {group}, but {whole} has no such layer left for it"));
        };
        let found = left.remove(place);
        take(layer, found, false, matches, values)?;
    }
    match left.first() {
        Some(layer) => Err(format!("{whole} has the layer {} of class {}, which the file has not", layer.path, layer.class)),
        None => Ok(()),
    }
}

/// Takes the values of a layer.
fn take(
    saved: &Saved,
    own: &Own<'_>,
    by_name: bool,
    matches: &mut Vec<KerasMatch>,
    values: &mut BTreeMap<String, Vec<f32>>,
) -> Result<(), String> {
    let Saved { group, name, .. } = saved;
    // A `TimeDistributed` of a layer that takes all steps at once is that layer here.
    if own.within.is_empty() && !saved.within.is_empty() {
        let [inner] = &saved.within[..] else {
            return Err(format!("{group} has {} layers, but {} is one", saved.within.len(), own.path));
        };
        return take(inner, own, by_name, matches, values);
    }
    if !own.within.is_empty() {
        return pair(&saved.within, &own.within, &own.path, matches, values);
    }
    let shapes = |shapes: Vec<String>| if shapes.is_empty() { "none".to_owned() } else { shapes.join(", ") };
    let found = shapes(saved.values.iter().map(|(shape, _)| format!("{shape:?}")).collect());
    let wanted = shapes(own.parameters.iter().map(|entry| entry.shape.to_string()).collect());
    // An axis of 1 is none: slopes that are shared along an image.
    let significant = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<_>>();
    let is_fitting = |(entry, (shape, _)): (&&ParameterEntry, &Variable)| significant(&entry.shape) == significant(shape);
    if saved.values.len() != own.parameters.len() || !own.parameters.iter().zip(&saved.values).all(is_fitting) {
        return Err(format!("{group} ({name:?}) has arrays of shapes {found}, but {} wants {wanted}", own.path));
    }
    for (entry, (_, taken)) in own.parameters.iter().zip(&saved.values) {
        if taken.len() != entry.shape.size() {
            return Err(format!(
                "{group} ({name:?}) has {} values for {}, expected {}",
                taken.len(),
                entry.name,
                entry.shape.size()
            ));
        }
        values.insert(entry.name.clone(), taken.clone());
    }
    matches.push(KerasMatch { group: group.clone(), keras: name.clone(), layer: own.path.clone(), by_name });
    Ok(())
}
