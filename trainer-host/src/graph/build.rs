//! From symbolic tensors to a checked graph: nodes in order, names, parameters.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::symbolic::ShapeFault;
use super::{
    Application, Layer, Origin, ParameterKind, ParameterValue, Scope, Shape, SharedRounding, SharedTransform, SymbolicTensor,
};
use crate::constraints::SharedConstraint;
use crate::error::{Error, Result};
use crate::numeric::random::Random;
use crate::regularizers::SharedRegularizer;
use samara_runtime::LengthGroup;

/// One application of a layer, or an input.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique among the nodes: the layer's name; a second application of a layer adds `@1`, and so on. Nodes of a model that
    /// was applied like a layer have their names in that model behind its own: `base/dense`, and `base@1/dense` for its second
    /// application.
    pub name: String,
    /// The applied models that the node is part of, outermost first: `["base", "base/inner"]`.
    pub scopes: Vec<String>,
    /// The layer; `None` for inputs of the model.
    pub layer: Option<Arc<dyn Layer>>,
    /// For an activation given as a layer's argument: that layer's name.
    pub part_of: Option<String>,
    /// The nodes whose outputs this one takes.
    pub inputs: Vec<usize>,
    /// The output's shape, without the batch.
    pub shape: Shape,
    /// Number of the length group in [`Graph::length_groups`], from 1 on, of the output's first dimension, if that is the largest of
    /// several lengths; else 0.
    pub length_group: u16,
    /// The node's parameters within [`Graph::parameters`]; the same for all nodes of one layer.
    pub parameters: Range<usize>,
    /// The nodes that take this one's output, in order; one that takes it twice, twice.
    pub consumers: Vec<usize>,
    /// What the output's values are rounded to, if they are.
    pub(crate) rounding: SharedRounding,
    pub(crate) symbol: SymbolicTensor,
}

/// A parameter of a graph's layers.
#[derive(Debug, Clone)]
pub struct ParameterEntry {
    /// The layer's name and the parameter's: `"dense/kernel"`.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// What it is.
    pub kind: ParameterKind,
    /// What its values add to the loss.
    pub regularizer: Option<SharedRegularizer>,
    /// The layer that holds the values.
    pub layer: Arc<dyn Layer>,
    /// Which of the layer's parameters.
    pub index: usize,
}

impl ParameterEntry {
    /// `true` if training changes it now: a weight of a layer that is not frozen.
    pub fn learns(&self) -> bool {
        self.kind == ParameterKind::Weight && self.layer.base().is_trainable()
    }

    /// What makes its effective values.
    pub fn transform(&self) -> Option<SharedTransform> {
        self.layer.base().parameters()[self.index].transform.clone()
    }

    /// What it is kept within.
    pub fn constraint(&self) -> Option<SharedConstraint> {
        self.layer.base().parameters()[self.index].constraint.clone()
    }

    /// The values, as they are now.
    pub fn values(&self) -> Vec<f32> {
        self.layer.base().parameters()[self.index].values.clone()
    }
}

/// The nodes of a model in an order in which they can be computed.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The nodes, each after all its inputs.
    pub nodes: Vec<Node>,
    /// The model's inputs among the nodes.
    pub inputs: Vec<usize>,
    /// The model's outputs among the nodes.
    pub outputs: Vec<usize>,
    /// The parameters of all layers, those of a shared layer once.
    pub parameters: Vec<ParameterEntry>,
    /// How the lengths of sequences follow from those of the inputs, from number 1 on.
    pub length_groups: Vec<LengthGroup>,
}

impl Graph {
    /// Checks what lies between inputs and outputs and puts it in order; makes the parameters of new layers.
    pub(crate) fn build(model: &str, inputs: &[SymbolicTensor], outputs: &[SymbolicTensor]) -> Result<Self> {
        let mut faults = Vec::new();
        if inputs.is_empty() || outputs.is_empty() {
            faults.push("a model needs at least one input and one output".to_owned());
        }
        let reached = reach(inputs, outputs, &mut faults);
        let mut names = Names::default();
        let mut nodes: Vec<Node> = Vec::new();
        let mut place_of = HashMap::new();
        let given: HashSet<u64> = inputs.iter().map(SymbolicTensor::number).collect();
        for symbol in reached.values() {
            let given = given.contains(&symbol.number());
            let place = nodes.len();
            let node = match symbol.origin() {
                Origin::Layer { layer, part_of, inputs, scope } if !given => {
                    let (name, part_of) = names.of_layer(layer, part_of.as_ref(), scope.as_ref());
                    explain(&name, symbol, inputs, &mut faults);
                    Node {
                        name,
                        scopes: scope.as_ref().map(|scope| names.scopes_of(scope)).unwrap_or_default(),
                        layer: Some(layer.clone()),
                        part_of,
                        inputs: inputs.iter().filter_map(|input| place_of.get(&input.number()).copied()).collect(),
                        shape: symbol.shape().cloned().unwrap_or_default(),
                        length_group: 0,
                        parameters: 0..0,
                        consumers: Vec::new(),
                        rounding: SharedRounding::default(),
                        symbol: symbol.clone(),
                    }
                }
                _ => {
                    if let Some(ShapeFault::Sentence(sentence)) = symbol.fault() {
                        faults.push(sentence.clone());
                    }
                    Node {
                        name: match symbol.input_name() {
                            Some(name) => names.explicit(&name),
                            None => names.numbered("input"),
                        },
                        scopes: Vec::new(),
                        layer: None,
                        part_of: None,
                        inputs: Vec::new(),
                        shape: symbol.shape().cloned().unwrap_or_default(),
                        length_group: 0,
                        parameters: 0..0,
                        consumers: Vec::new(),
                        rounding: SharedRounding::default(),
                        symbol: symbol.clone(),
                    }
                }
            };
            for &input in &node.inputs {
                nodes[input].consumers.push(place);
            }
            place_of.insert(symbol.number(), place);
            nodes.push(node);
        }
        for Node { name, layer, inputs, .. } in &nodes {
            let takes_tokens = |number: usize| layer.as_ref().is_some_and(|layer| layer.vocabulary(number).is_some());
            let is_made = |&(number, &input): &(usize, &usize)| takes_tokens(number) && nodes[input].layer.is_some();
            if let Some((_, &input)) = inputs.iter().enumerate().find(is_made) {
                let maker = &nodes[input].name;
                faults.push(format!("layer '{name}' takes tokens, an input of the model, not what layer '{maker}' makes"));
            }
        }
        faults.append(&mut names.faults);
        let find = |tensors: &[SymbolicTensor]| -> Vec<usize> {
            tensors.iter().filter_map(|tensor| place_of.get(&tensor.number()).copied()).collect()
        };
        let mut graph =
            Self { inputs: find(inputs), outputs: find(outputs), nodes, parameters: Vec::new(), length_groups: Vec::new() };
        if faults.is_empty() {
            graph.find_lengths(&mut faults);
        }
        if faults.is_empty() {
            graph.make_parameters(&mut faults);
            graph.check_carrying(&mut faults);
        }
        if faults.is_empty() { Ok(graph) } else { Err(Error::Graph { model: model.to_owned(), faults }) }
    }

    /// Builds the table of parameters, and the values where a layer is new.
    fn make_parameters(&mut self, faults: &mut Vec<String>) {
        // Where the parameters of each layer are that was met, and how many of these layers have some.
        let mut seen: HashMap<usize, Range<usize>> = HashMap::new();
        let mut kinds: HashMap<usize, &str> = HashMap::new();
        let mut position = 0;
        for index in 0..self.nodes.len() {
            let Some(layer) = self.nodes[index].layer.clone() else { continue };
            let shapes = self.input_shapes(index);
            let is_same_size = shapes.len() == 1 && shapes[0].size() == self.nodes[index].shape.size();
            if layer.requirements(&shapes).in_place && !is_same_size {
                let Node { name, shape, .. } = &self.nodes[index];
                let shapes = shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(" and ");
                faults.push(format!(
                    "layer '{name}' is to work in place, but makes an output of shape {shape} of {shapes}: expected one input of the output's size"
                ));
                continue;
            }
            let specs = layer.parameters(&shapes);
            let too_large = specs.iter().find_map(|spec| Some((spec.name, &spec.shape, spec.shape.fault()?)));
            if let Some((name, shape, fault)) = too_large {
                let layer = &self.nodes[index].name;
                faults.push(format!("layer '{layer}' would have a {name} of shape {shape}, but {fault}"));
                continue;
            }
            {
                let mut values = layer.base().parameters_mut();
                if values.is_empty() {
                    *values = specs
                        .iter()
                        .enumerate()
                        .map(|(number, spec)| {
                            let mut value = ParameterValue {
                                name: spec.name,
                                shape: spec.shape.clone(),
                                kind: spec.kind,
                                values: vec![0.0; spec.shape.size()],
                                transform: None,
                                constraint: None,
                            };
                            let stream = (position * 256 + number) as u64;
                            spec.initializer.fill(&spec.shape, &mut Random::new(0, stream), &mut value.values);
                            value
                        })
                        .collect();
                }
                for (spec, value) in specs.iter().zip(values.iter()) {
                    if let Some(value) = value.values.iter().find(|value| !value.is_finite()) {
                        faults.push(format!(
                            "layer '{}', initial values of its {}: {value} is among them, but all must be finite",
                            self.nodes[index].name, spec.name
                        ));
                    }
                    if spec.shape != value.shape {
                        faults.push(format!(
                            "layer '{}' is shared: its {} has the shape {}, but here it would have to be {}",
                            self.nodes[index].name, spec.name, value.shape, spec.shape
                        ));
                    }
                }
            }
            let identity = layer.base().identity();
            let kind = layer.kind();
            if *kinds.entry(identity).or_insert(kind) != kind {
                faults.push(format!(
                    "layer '{}' is applied alone and in a `TimeDistributed`: apply it within one in both places, or make two layers",
                    self.nodes[index].name
                ));
            }
            self.nodes[index].parameters = if let Some(range) = seen.get(&identity) {
                range.clone()
            } else {
                let start = self.parameters.len();
                let prefix = self.nodes[index].name.clone();
                for spec in &specs {
                    if let Some(Err(fault)) = spec.regularizer.as_ref().map(|regularizer| regularizer.check()) {
                        faults.push(format!("layer '{prefix}', regularizer of its {}: {fault}", spec.name));
                    }
                }
                self.parameters.extend(specs.into_iter().enumerate().map(|(number, spec)| ParameterEntry {
                    name: format!("{prefix}/{}", spec.name),
                    shape: spec.shape,
                    kind: spec.kind,
                    regularizer: spec.regularizer,
                    layer: layer.clone(),
                    index: number,
                }));
                let range = start..self.parameters.len();
                position += usize::from(!range.is_empty());
                seen.insert(identity, range.clone());
                range
            };
        }
    }

    /// Draws new initial values for all parameters.
    pub(crate) fn initialize(&self, seed: u64) {
        let mut done = HashSet::new();
        for index in 0..self.nodes.len() {
            let range = self.nodes[index].parameters.clone();
            let Some(layer) = &self.nodes[index].layer else { continue };
            if range.is_empty() || !done.insert(range.start) {
                continue;
            }
            let specs = layer.parameters(&self.input_shapes(index));
            for (number, (spec, value)) in specs.iter().zip(layer.base().parameters_mut().iter_mut()).enumerate() {
                let stream = ((done.len() - 1) * 256 + number) as u64;
                spec.initializer.fill(&spec.shape, &mut Random::new(seed, stream), &mut value.values);
            }
        }
    }

    /// The name of a node's layer; for an activation given as a layer's argument, that layer's, as it is applied here.
    pub fn layer_name(&self, node: usize) -> &str {
        match &self.nodes[node] {
            Node { part_of: Some(_), inputs, .. } => &self.nodes[inputs[0]].name,
            own => &own.name,
        }
    }

    /// For an input of the model that holds tokens: how many there are, to all layers that read it.
    pub(crate) fn vocabulary(&self, input: usize) -> Option<usize> {
        let of_reader = |&reader: &usize| {
            let Node { layer, inputs, .. } = &self.nodes[reader];
            let numbers = (0..inputs.len()).filter(|&number| inputs[number] == input);
            numbers.filter_map(|number| layer.as_ref()?.vocabulary(number)).min()
        };
        self.nodes[input].consumers.iter().filter_map(of_reader).min()
    }

    /// The names of the inputs, by which data is given.
    pub fn input_names(&self) -> Vec<&str> {
        self.inputs.iter().map(|&input| self.nodes[input].name.as_str()).collect()
    }

    /// The names of the outputs, by which losses and targets are given: those of their layers; where a layer makes two of them,
    /// those of the nodes.
    pub fn output_names(&self) -> Vec<&str> {
        let layers: Vec<&str> = self.outputs.iter().map(|&output| self.layer_name(output)).collect();
        let is_unique = |name: &str| layers.iter().filter(|other| **other == name).count() == 1;
        let nodes = self.outputs.iter().map(|&output| self.nodes[output].name.as_str());
        layers.iter().zip(nodes).map(|(&layer, node)| if is_unique(layer) { layer } else { node }).collect()
    }

    /// The nodes that carry something from batch to batch, with the number of values for each row.
    pub(crate) fn carrying(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.nodes.len()).filter_map(|node| {
            let layer = self.nodes[node].layer.as_ref()?;
            let carried = layer.requirements(&self.input_shapes(node)).carried;
            (carried > 0).then_some((node, carried))
        })
    }

    /// `true` if a layer goes on from batch to batch.
    pub(crate) fn is_stateful(&self) -> bool {
        self.carrying().next().is_some()
    }

    /// What a layer carries is its own, so it cannot stand at two nodes.
    fn check_carrying(&self, faults: &mut Vec<String>) {
        let mut met = HashMap::new();
        for (node, _) in self.carrying() {
            let Node { name, layer: Some(layer), .. } = &self.nodes[node] else { continue };
            if let Some(other) = met.insert(layer.base().identity(), name) {
                faults.push(format!(
                    "layer '{other}' is `stateful` and applied again as '{name}', which would mix up their states: make two layers, or \
                     leave `stateful` out"
                ));
            }
        }
    }

    /// The shapes of a node's inputs.
    pub fn input_shapes(&self, node: usize) -> Vec<Shape> {
        self.nodes[node].inputs.iter().map(|&input| self.nodes[input].shape.clone()).collect()
    }
}

/// All tensors from the outputs back to the inputs, by number, which is an order of computation.
fn reach(inputs: &[SymbolicTensor], outputs: &[SymbolicTensor], faults: &mut Vec<String>) -> BTreeMap<u64, SymbolicTensor> {
    let given: HashSet<u64> = inputs.iter().map(SymbolicTensor::number).collect();
    if given.len() < inputs.len() {
        faults.push("one tensor is given twice among the inputs".to_owned());
    }
    let produced: HashSet<u64> = outputs.iter().map(SymbolicTensor::number).collect();
    if produced.len() < outputs.len() {
        faults.push("one tensor is given twice among the outputs".to_owned());
    }
    let mut reached: BTreeMap<u64, SymbolicTensor> = inputs.iter().map(|i| (i.number(), i.clone())).collect();
    let mut used = HashSet::new();
    let mut open: Vec<SymbolicTensor> = outputs.to_vec();
    while let Some(tensor) = open.pop() {
        if !used.insert(tensor.number()) {
            continue;
        }
        reached.insert(tensor.number(), tensor.clone());
        if given.contains(&tensor.number()) {
            continue;
        }
        match tensor.origin() {
            Origin::Layer { inputs, .. } => open.extend(inputs.iter().cloned()),
            Origin::Input { .. } => {
                let name = tensor.input_name().map(|name| format!("'{name}' ")).unwrap_or_default();
                let shape = tensor.shape().map(Shape::to_string).unwrap_or_default();
                faults.push(format!(
                    "the outputs depend on the input {name}of shape {shape}, which is not among the model's inputs: add it to them"
                ));
            }
            Origin::Nothing => {}
        }
    }
    for (position, input) in inputs.iter().enumerate() {
        if !used.contains(&input.number()) {
            let name = input.input_name().map(|name| format!(" ('{name}')")).unwrap_or_default();
            faults.push(format!("no output depends on input {position}{name}: leave it out, or apply a layer to it"));
        }
    }
    reached
}

/// The sentence for a layer that does not take its inputs.
fn explain(name: &str, symbol: &SymbolicTensor, inputs: &[SymbolicTensor], faults: &mut Vec<String>) {
    if let Some(ShapeFault::Wanted(wanted)) = symbol.fault() {
        let shapes: Vec<String> = inputs.iter().map(|input| input.shape().map(Shape::to_string).unwrap_or_default()).collect();
        faults.push(match &shapes[..] {
            [] => format!("layer '{name}' without inputs: expected {wanted}"),
            [shape] => format!("layer '{name}' on an input of shape {shape}: expected {wanted}"),
            shapes => format!("layer '{name}' on inputs of shapes {}: expected {wanted}", shapes.join(" and ")),
        });
    }
}

/// Gives every node a name of its own.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    /// The layers that were met, by identity: their names, and how many further times they were applied.
    layers: HashMap<usize, (String, usize)>,
    /// The last number given to each stem.
    numbers: HashMap<String, usize>,
    /// The names of applications of models, and of each model the name and how many further times it was applied.
    scopes: HashMap<*const Application, String>,
    models: HashMap<*const u8, (String, usize)>,
    faults: Vec<String>,
}

impl Names {
    fn of_layer(
        &mut self,
        layer: &Arc<dyn Layer>,
        part_of: Option<&Arc<dyn Layer>>,
        scope: Option<&Scope>,
    ) -> (String, Option<String>) {
        let owner = part_of.and_then(|owner| self.layers.get(&owner.base().identity()));
        let owner = owner.map(|(name, _)| name.clone());
        if let Some(scope) = scope {
            // The names of the model itself, so that its weights are found by them.
            let name = format!("{}/{}", self.of_scope(&scope.application), scope.node);
            let name = self.explicit(&name);
            self.layers.entry(layer.base().identity()).or_insert_with(|| (name.clone(), 0));
            return (name, owner);
        }
        if let Some((name, uses)) = self.layers.get_mut(&layer.base().identity()) {
            *uses += 1;
            let (stem, first) = (format!("{name}@"), *uses);
            return (self.numbered_with(&stem, first), owner);
        }
        let name = match (layer.base().name(), &owner) {
            (Some(name), _) => self.explicit(name),
            (None, Some(owner)) => self.numbered(&format!("{owner}/{}", snake_case(&layer.describe()))),
            (None, None) => self.numbered(&snake_case(layer.kind())),
        };
        self.layers.insert(layer.base().identity(), (name.clone(), 0));
        (name, owner)
    }

    /// The name of an application of a model: the model's, with a number where it is taken; further ones of the same model add
    /// `@1` and so on.
    fn of_scope(&mut self, application: &Arc<Application>) -> String {
        if let Some(name) = self.scopes.get(&Arc::as_ptr(application)) {
            return name.clone();
        }
        let model = Arc::as_ptr(&application.0).cast();
        let name = if let Some((name, uses)) = self.models.get_mut(&model) {
            *uses += 1;
            let (stem, first) = (format!("{name}@"), *uses);
            self.numbered_with(&stem, first)
        } else {
            let name = self.numbered(&application.0);
            self.models.insert(model, (name.clone(), 0));
            name
        };
        self.scopes.insert(Arc::as_ptr(application), name.clone());
        name
    }

    /// As in [`Node::scopes`].
    fn scopes_of(&mut self, scope: &Scope) -> Vec<String> {
        let outer = self.of_scope(&scope.application);
        let inner = scope.scopes.iter().map(|inner| format!("{outer}/{inner}"));
        std::iter::once(outer.clone()).chain(inner).collect()
    }

    fn explicit(&mut self, name: &str) -> String {
        if !self.taken.insert(name.to_owned()) {
            self.faults.push(format!(
                "the name '{name}' is given twice: give one of them another name or none, or apply one layer twice to share it"
            ));
        }
        name.to_owned()
    }

    fn numbered(&mut self, stem: &str) -> String {
        if self.taken.insert(stem.to_owned()) {
            return stem.to_owned();
        }
        let stem = format!("{stem}_");
        let first = self.numbers.get(&stem).map_or(1, |last| last + 1);
        self.numbered_with(&stem, first)
    }

    fn numbered_with(&mut self, stem: &str, first: usize) -> String {
        let mut number = first;
        loop {
            let name = format!("{stem}{number}");
            if self.taken.insert(name.clone()) {
                self.numbers.insert(stem.to_owned(), number);
                return name;
            }
            number += 1;
        }
    }
}

/// `SeparableConv2D` to `separable_conv2d`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut result = String::new();
    let mut previous_is_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && previous_is_lower {
            result.push('_');
        }
        previous_is_lower = letter.is_lowercase();
        result.extend(letter.to_lowercase());
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_to_names() {
        assert_eq!(snake_case("Dense"), "dense");
        assert_eq!(snake_case("BatchNormalization"), "batch_normalization");
        assert_eq!(snake_case("SeparableConv2D"), "separable_conv2d");
        assert_eq!(snake_case("MaxPooling2D"), "max_pooling2d");
    }
}
