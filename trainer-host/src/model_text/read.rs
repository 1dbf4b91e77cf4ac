//! From text to a model.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fields::{Fields, count};
use super::made::{Made, recurrent};
use super::{ModelTextError, shown};
use crate::error::{Error, Result};
use crate::graph::{Named, Origin, Shape, ShapeFault, SymbolicTensor, input};
use crate::layers::{ALL_LAYERS, Bidirectional, MergeMode, TimeDistributed};
use crate::names::suggest;
use crate::train::Model;

/// Nodes that a text may ask for, models that are applied counted each time: far beyond any model for a microcontroller, and
/// few lines could ask for more than there is memory.
const MOST_NODES: usize = 20_000;
/// Values that all parameters may have, for the same reason.
const MOST_VALUES: usize = 1 << 27;

/// Fields of a `[[layer]]` that are not options.
const OF_LAYER: [&str; 3] = ["kind", "name", "inputs"];

type Fault = ModelTextError;

/// The model that a text describes.
pub(super) fn read(text: &str) -> Result<Model> {
    let reader = Reader { text };
    let table = DeTable::parse(text).map_err(|error| {
        let reason = error.message().trim().replace('\n', "; ");
        reader.fault(error.span().map_or(0, |span| span.start), reason)
    })?;
    reader.model(table.get_ref(), None, &mut Known::default())
}

fn whole(reason: impl Into<String>) -> Fault {
    ModelTextError::Whole(reason.into())
}

struct Reader<'a> {
    text: &'a str,
}

/// The models that stand above, and what was asked for so far.
#[derive(Default)]
struct Known {
    models: HashMap<String, Arc<Model>>,
    nodes: usize,
    /// The layers whose parameters were counted.
    counted: HashSet<usize>,
    values: usize,
}

/// What has a name within a model.
#[derive(Default)]
struct Names {
    /// Where each was given.
    lines: HashMap<String, usize>,
    tensors: HashMap<String, SymbolicTensor>,
    layers: HashMap<String, Made>,
}

/// What a `[[layer]]` made.
struct Entry {
    line: usize,
    what: String,
    tensors: Vec<SymbolicTensor>,
    is_used: bool,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
    }

    fn fault(&self, at: usize, reason: impl Into<String>) -> Fault {
        ModelTextError::Line { line: self.line(at), reason: reason.into() }
    }

    fn at(&self, value: &Spanned<DeValue<'_>>, reason: impl Into<String>) -> Fault {
        self.fault(value.span().start, reason)
    }

    /// The field of a table, of a type that `read` takes.
    fn field<'t, T>(
        &self,
        table: &'t DeTable<'_>,
        name: &str,
        wanted: &str,
        read: impl Fn(&'t DeValue<'_>) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = table.get(name) else { return Ok(None) };
        let read = read(value.get_ref());
        read.map(Some).ok_or_else(|| self.at(value, format!("{name} is {}, but must be {wanted}", shown(value.get_ref()))))
    }

    fn text_field<'t>(&self, table: &'t DeTable<'_>, name: &str) -> Result<Option<&'t str>, Fault> {
        self.field(table, name, "a text that is not empty", |value| value.as_str().filter(|text| !text.is_empty()))
    }

    /// Refuses fields that are none of these.
    fn check_fields(&self, table: &DeTable<'_>, what: &str, known: &[&str]) -> Result<(), Fault> {
        match table.iter().find(|(key, _)| !known.contains(&&**key.get_ref())) {
            Some((key, _)) => {
                let reason = format!("{what} has no field {:?}; {}", key.get_ref(), suggest(key.get_ref(), known));
                Err(self.fault(key.span().start, reason))
            }
            None => Ok(()),
        }
    }

    /// The tables of an array of tables, with where they stand.
    fn tables<'t>(&self, table: &'t DeTable<'_>, name: &str) -> Result<Vec<(usize, &'t DeTable<'t>)>, Fault> {
        let array: Option<&DeArray<'_>> = self.field(table, name, &format!("tables [[{name}]]"), |value| value.as_array())?;
        let items = array.into_iter().flat_map(|items| items.iter());
        let tables = items.map(|item| match item.get_ref() {
            DeValue::Table(table) => Ok((item.span().start, table)),
            other => Err(self.at(item, format!("{name} has {}, but must be tables [[{name}]]", shown(other)))),
        });
        tables.collect()
    }

    fn model(&self, table: &DeTable<'_>, at: Option<usize>, known: &mut Known) -> Result<Model> {
        let is_inner = at.is_some();
        let fields = ["name", "input", "layer", "outputs", "model"];
        self.check_fields(
            table,
            if is_inner { "a [[model]]" } else { "the file" },
            &fields[..fields.len() - usize::from(is_inner)],
        )?;
        let name = self.text_field(table, "name")?;
        let name = name.ok_or_else(|| match at {
            Some(at) => self.fault(at, "a [[model]] needs the field name"),
            None => whole("the name of the model is missing: expected a line name = \"...\" at the top"),
        })?;
        for (at, inner) in self.tables(table, "model")? {
            let model = self.model(inner, Some(at), known)?;
            let name = model.name().to_owned();
            if known.models.insert(name.clone(), Arc::new(model)).is_some() {
                return Err(self.fault(at, format!("the name {name:?} is given to two models")).into());
            }
        }
        let mut names = Names::default();
        let inputs = self.inputs(table, at, &mut names)?;
        let mut entries: Vec<Entry> = Vec::new();
        for (at, layer) in self.tables(table, "layer")? {
            let entry = self.layer(layer, at, &inputs, &mut entries, &mut names, known)?;
            entries.push(entry);
        }
        let outputs = self.outputs(table, &mut entries, &names)?;
        if let Some(entry) = entries.iter().find(|entry| !entry.is_used) {
            let reason = format!("nothing takes what {} makes: name it in inputs or outputs, or leave it out", entry.what);
            return Err(ModelTextError::Line { line: entry.line, reason }.into());
        }
        Model::new(name, inputs, outputs).map_err(|error| match error {
            Error::Graph { faults, .. } => {
                let reason = faults.join("; ");
                at.map_or_else(|| whole(reason.clone()), |at| self.fault(at, reason.clone())).into()
            }
            other => other,
        })
    }

    fn inputs(&self, table: &DeTable<'_>, at: Option<usize>, names: &mut Names) -> Result<Vec<SymbolicTensor>, Fault> {
        let missing = || {
            let reason = "the model has no input: expected input = [28, 28, 1], or tables [[input]] with name and shape";
            at.map_or_else(|| whole(reason), |at| self.fault(at, reason))
        };
        let value = table.get("input").ok_or_else(missing)?;
        let items = match value.get_ref() {
            DeValue::Array(items) => items,
            DeValue::Integer(_) => return Ok(vec![self.shape(value).map(input)?]),
            other => return Err(self.at(value, format!("input is {}, but must be a shape or tables [[input]]", shown(other)))),
        };
        let is_shape = items.iter().all(|item| item.get_ref().is_integer());
        if is_shape {
            return Ok(vec![self.shape(value).map(input)?]);
        }
        let mut inputs = Vec::new();
        for (at, table) in self.tables(table, "input")? {
            self.check_fields(table, "an [[input]]", &["name", "shape", "variable_length"])?;
            let shape = table.get("shape").ok_or_else(|| self.fault(at, "an [[input]] needs the field shape"))?;
            let mut tensor = input(self.shape(shape)?);
            if self.field(table, "variable_length", "true or false", |value| value.as_bool())? == Some(true) {
                tensor = tensor.variable_length();
            }
            if let Some(name) = self.text_field(table, "name")? {
                tensor = tensor.named(name);
                self.take_name(name, at, names)?;
                names.tensors.insert(name.to_owned(), tensor.clone());
            }
            inputs.push(tensor);
        }
        Ok(inputs)
    }

    fn shape(&self, value: &Spanned<DeValue<'_>>) -> Result<Shape, Fault> {
        let sizes = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| count(item.get_ref())).collect(),
            other => count(other).map(|size| vec![size]),
        };
        let wanted = "whole numbers in brackets, such as [28, 28, 1]";
        let shape: Vec<usize> =
            sizes.ok_or_else(|| self.at(value, format!("the shape is {}, but must be {wanted}", shown(value.get_ref()))))?;
        let shape = Shape::from(shape);
        match shape.fault() {
            Some(fault) => Err(self.at(value, format!("the shape is {shape}, but {fault}"))),
            None => Ok(shape),
        }
    }

    fn take_name(&self, name: &str, at: usize, names: &mut Names) -> Result<(), Fault> {
        match names.lines.insert(name.to_owned(), self.line(at)) {
            Some(first) => Err(self.fault(at, format!("the name {name:?} is given twice, first in line {first}"))),
            None => Ok(()),
        }
    }

    fn layer(
        &self,
        table: &DeTable<'_>,
        at: usize,
        inputs: &[SymbolicTensor],
        entries: &mut [Entry],
        names: &mut Names,
        known: &mut Known,
    ) -> Result<Entry> {
        let name = self.text_field(table, "name")?;
        let (kind, applied) = (self.text_field(table, "kind")?, self.text_field(table, "apply")?);
        let (made, what) = match (kind, applied) {
            (Some(kind), None) => (self.made(table, at, kind, name, &OF_LAYER, known)?, name.unwrap_or(kind)),
            (None, Some(applied)) => {
                self.check_fields(table, "a [[layer]] with apply", &["apply", "name", "inputs"])?;
                let found = names.layers.get(applied).cloned();
                let found = found.or_else(|| known.models.get(applied).cloned().map(Made::Model));
                let made = found.ok_or_else(|| {
                    let all: Vec<&str> = names.layers.keys().chain(known.models.keys()).map(String::as_str).collect();
                    self.fault(
                        at,
                        format!("apply is {applied:?}, but no layer or model above has this name; {}", nearest(applied, all)),
                    )
                })?;
                (made, name.unwrap_or(applied))
            }
            _ => return Err(self.fault(at, "a [[layer]] needs one of the fields kind and apply").into()),
        };
        let what = format!("layer {what:?}");
        let given = match (table.get("inputs"), entries.last_mut(), inputs) {
            (Some(given), ..) => self.references(given, "inputs", entries, names)?,
            (None, Some(last), _) => {
                last.is_used = true;
                last.tensors.last().cloned().into_iter().collect()
            }
            (None, None, [only]) => vec![only.clone()],
            (None, None, all) => {
                let reason = format!("{what} is the first and says no inputs, but the model has {} of them", all.len());
                return Err(self.fault(at, reason).into());
            }
        };
        known.nodes += match &made {
            Made::Model(model) => model.graph().nodes.len(),
            _ => 2,
        };
        if known.nodes > MOST_NODES {
            return Err(self.fault(at, format!("{what} is one too many: a text may ask for {MOST_NODES} nodes")).into());
        }
        let shapes = given.iter().filter_map(|tensor| tensor.shape().map(Shape::to_string)).collect::<Vec<_>>().join(" and ");
        let outputs = made.outputs(given.clone());
        if let Some(fault) = outputs.iter().find_map(|(_, tensor)| tensor.fault()) {
            let reason = match fault {
                ShapeFault::Sentence(sentence) => sentence.clone(),
                ShapeFault::Wanted(wanted) => format!("{what} on inputs of shape {shapes}: expected {wanted}"),
                ShapeFault::Upstream => format!("{what} has inputs that cannot be computed"),
            };
            return Err(self.fault(at, reason).into());
        }
        let tensors: Vec<SymbolicTensor> = outputs.iter().map(|(_, tensor)| tensor.clone()).collect();
        self.count_values(&tensors, &given, at, &what, known)?;
        if let Some(name) = name {
            self.take_name(name, at, names)?;
            for (part, tensor) in outputs {
                names.tensors.insert(format!("{name}/{part}"), tensor);
            }
            names.tensors.extend(tensors.last().map(|last| (name.to_owned(), last.clone())));
            names.layers.insert(name.to_owned(), made);
        }
        Ok(Entry { line: self.line(at), what, tensors, is_used: false })
    }

    /// The layer that a table describes.
    fn made(
        &self,
        table: &DeTable<'_>,
        at: usize,
        kind: &str,
        name: Option<&str>,
        known_fields: &[&str],
        known: &Known,
    ) -> Result<Made, Fault> {
        let all =
            |fields: &[&'static str]| -> Vec<&str> { known_fields.iter().copied().chain(fields.iter().copied()).collect() };
        match kind {
            "Bidirectional" => {
                self.check_fields(table, kind, &all(&["layer", "backward_layer", "merge_mode"]))?;
                let part = |field: &str| -> Result<Option<_>, Fault> {
                    let Some(inner) = table.get(field) else { return Ok(None) };
                    let layer = match self.inner(inner, field, known)? {
                        Made::Layer(layer) => recurrent(&layer),
                        _ => None,
                    };
                    let wanted = || self.at(inner, format!("{field} of {kind} must be of kind LSTM, GRU or SimpleRNN"));
                    layer.ok_or_else(wanted).map(Some)
                };
                let layer = part("layer")?.ok_or_else(|| self.fault(at, format!("{kind} needs the field layer")))?;
                let mut made = Bidirectional::new(layer);
                if let Some(layer) = part("backward_layer")? {
                    made = made.backward_layer(layer);
                }
                let modes =
                    [("concat", MergeMode::Concat), ("sum", MergeMode::Sum), ("mul", MergeMode::Mul), ("ave", MergeMode::Ave)];
                let mode =
                    |value: &DeValue<'_>| modes.iter().find(|(name, _)| value.as_str() == Some(*name)).map(|(_, mode)| *mode);
                if let Some(mode) = self.field(table, "merge_mode", "one of concat, sum, mul and ave", mode)? {
                    made = made.merge_mode(mode);
                }
                Ok(Made::Bidirectional(Box::new(if let Some(name) = name { made.named(name) } else { made })))
            }
            "TimeDistributed" => {
                self.check_fields(table, kind, &all(&["layer", "model"]))?;
                let what = match (table.get("layer"), self.text_field(table, "model")?) {
                    (Some(inner), None) => self.inner(inner, "layer", known)?,
                    (None, Some(model)) => known.models.get(model).cloned().map(Made::Model).ok_or_else(|| {
                        let all = known.models.keys().map(String::as_str).collect();
                        self.fault(at, format!("model is {model:?}, but there is no such [[model]]; {}", nearest(model, all)))
                    })?,
                    _ => return Err(self.fault(at, format!("{kind} needs one of the fields layer and model"))),
                };
                let made = TimeDistributed::new(what);
                Ok(Made::TimeDistributed(if let Some(name) = name { made.named(name) } else { made }))
            }
            _ => {
                let names = || ALL_LAYERS.iter().map(|known| known.name).chain(["Bidirectional"]).collect();
                let found = ALL_LAYERS.iter().find(|known| known.name == kind);
                let found = found
                    .ok_or_else(|| self.fault(at, format!("there is no kind of layer {kind:?}; {}", nearest(kind, names()))))?;
                let fault = |at, reason: String| self.fault(at, reason);
                let fields = Fields::of(found).map_err(|reason| fault(at, reason))?;
                let options = fields.read(table, known_fields).map_err(|(place, reason)| fault(place.unwrap_or(at), reason))?;
                let layer = (found.plain)().with_options(&options);
                let mut layer = layer.map_err(|reason| fault(at, format!("{kind}: {reason}")))?;
                if let (Some(name), Some(layer)) = (name, Arc::get_mut(&mut layer)) {
                    layer.base_mut().set_name(name);
                }
                Ok(Made::Layer(layer))
            }
        }
    }

    /// A layer within another.
    fn inner(&self, value: &Spanned<DeValue<'_>>, field: &str, known: &Known) -> Result<Made, Fault> {
        let at = value.span().start;
        let wanted = || self.fault(at, format!("{field} is {}, but must be a layer: {{ kind = ... }}", shown(value.get_ref())));
        let table = value.get_ref().as_table().ok_or_else(wanted)?;
        let kind = self.text_field(table, "kind")?.ok_or_else(|| self.fault(at, format!("{field} needs the field kind")))?;
        if ["Bidirectional", "TimeDistributed"].contains(&kind) {
            return Err(self.fault(at, format!("{field} is of kind {kind}, but must be a layer that is made of no other")));
        }
        self.made(table, at, kind, self.text_field(table, "name")?, &["kind", "name"], known)
    }

    /// The tensors that names stand for.
    fn references(
        &self,
        value: &Spanned<DeValue<'_>>,
        field: &str,
        entries: &mut [Entry],
        names: &Names,
    ) -> Result<Vec<SymbolicTensor>, Fault> {
        let wanted = |found: &DeValue<'_>| format!("{field} has {}, but must be names of inputs or layers above", shown(found));
        let given: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
            DeValue::Array(items) if !items.is_empty() => items.iter().collect(),
            DeValue::String(_) => vec![value],
            other => return Err(self.at(value, wanted(other))),
        };
        let tensor = |item: &Spanned<DeValue<'_>>| {
            let name = item.get_ref().as_str().ok_or_else(|| self.at(item, wanted(item.get_ref())))?;
            names.tensors.get(name).cloned().ok_or_else(|| {
                let all = names.lines.keys().map(String::as_str).collect();
                self.at(
                    item,
                    format!("{field} has {name:?}, but no input or layer above has this name; {}", nearest(name, all)),
                )
            })
        };
        let tensors = given.into_iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
        for entry in entries {
            let is_taken = |tensor: &SymbolicTensor| tensors.iter().any(|taken| taken.number() == tensor.number());
            entry.is_used |= entry.tensors.iter().any(is_taken);
        }
        Ok(tensors)
    }

    fn outputs(&self, table: &DeTable<'_>, entries: &mut [Entry], names: &Names) -> Result<Vec<SymbolicTensor>, Fault> {
        if let Some(given) = table.get("outputs") {
            return self.references(given, "outputs", entries, names);
        }
        let last = entries.last_mut().ok_or_else(|| whole("the model has no layers: expected tables [[layer]]"))?;
        last.is_used = true;
        Ok(last.tensors.last().cloned().into_iter().collect())
    }

    /// Refuses parameters that there is no memory for.
    fn count_values(
        &self,
        outputs: &[SymbolicTensor],
        inputs: &[SymbolicTensor],
        at: usize,
        what: &str,
        known: &mut Known,
    ) -> Result<(), Fault> {
        let mut seen: HashSet<u64> = inputs.iter().map(SymbolicTensor::number).collect();
        let mut open = outputs.to_vec();
        while let Some(tensor) = open.pop() {
            if !seen.insert(tensor.number()) {
                continue;
            }
            let Origin::Layer { layer, inputs, .. } = tensor.origin() else { continue };
            open.extend(inputs.iter().cloned());
            let shapes: Vec<Shape> = inputs.iter().filter_map(|input| input.shape().cloned()).collect();
            if known.counted.insert(layer.base().identity()) {
                let values = layer.parameters(&shapes).iter().fold(0, |sum: usize, spec| sum.saturating_add(spec.shape.size()));
                known.values = known.values.saturating_add(values);
            }
        }
        if known.values > MOST_VALUES {
            let reason = format!("with {what}, the parameters have {} values: a text may ask for {MOST_VALUES}", known.values);
            return Err(self.fault(at, reason));
        }
        Ok(())
    }
}

fn nearest(name: &str, mut known: Vec<&str>) -> String {
    known.sort_unstable();
    if known.is_empty() { "none has a name".to_owned() } else { suggest(name, &known) }
}
