//! The layers of a model and how they are connected, as JSON: a table of layers, and the nodes that apply them.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{CheckpointError, SavedParameter};
use crate::constraints::SavedConstraint;
use crate::error::Result;
use crate::graph::{
    Application, Graph, Layer, LayerOptions, Named, Origin, ParameterValue, Scope, Shape, SymbolicTensor, input,
};
use crate::layers::ALL_LAYERS;
use crate::train::Model;

/// What of a model is no number. Layers, nodes and applications of models go by their place in these lists.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Architecture {
    /// Every layer once, in the order in which nodes first apply them.
    layers: Vec<SavedLayer>,
    /// The names of the models that were applied like layers.
    models: Vec<String>,
    /// For each of their applications which model it is.
    applications: Vec<usize>,
    /// Each behind all whose outputs it takes.
    nodes: Vec<SavedNode>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLayer {
    kind: String,
    /// What the names of its parameters begin with.
    name: String,
    options: LayerOptions,
    /// What its parameters are kept within, by their names within it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    constraints: BTreeMap<String, SavedConstraint>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SavedNode {
    Input {
        shape: Shape,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Of several lengths up to the first dimension.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        variable_length: bool,
    },
    Layer {
        layer: usize,
        inputs: Vec<usize>,
        /// The layer whose activation it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part_of: Option<usize>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<SavedScope>,
    },
}

/// As [`Scope`].
#[derive(Debug, Serialize, Deserialize)]
struct SavedScope {
    application: usize,
    node: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
}

/// The place of a thing in its list, to which it is added if it is new.
fn place<K: Hash + Eq, V>(seen: &mut HashMap<K, usize>, key: K, list: &mut Vec<V>, new: impl FnOnce() -> V) -> usize {
    *seen.entry(key).or_insert_with(|| {
        list.push(new());
        list.len() - 1
    })
}

impl Architecture {
    /// That of a graph.
    ///
    /// # Errors
    /// If there is a layer that cannot be saved.
    pub fn of(graph: &Graph) -> Result<Self, CheckpointError> {
        let (mut layers, mut models, mut applications) = (Vec::new(), Vec::new(), Vec::new());
        let (mut seen_layers, mut seen_models, mut seen_applications) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut nodes = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            // A tensor within another model that is an input of this one is one like all others.
            let (Some(layer), Origin::Layer { part_of, scope, .. }) = (&node.layer, node.symbol.origin()) else {
                nodes.push(SavedNode::Input {
                    shape: node.shape.clone(),
                    name: node.symbol.input_name(),
                    variable_length: node.symbol.has_variable_length(),
                });
                continue;
            };
            let part_of = part_of.as_ref().and_then(|owner| seen_layers.get(&owner.base().identity()).copied());
            let layer = place(&mut seen_layers, layer.base().identity(), &mut layers, || (node.name.as_str(), layer));
            let scope = scope.as_ref().map(|Scope { application, node, scopes }| {
                let name = &application.0;
                let model = place(&mut seen_models, name.as_ptr(), &mut models, || name.to_string());
                let application = place(&mut seen_applications, Arc::as_ptr(application), &mut applications, || model);
                SavedScope { application, node: node.clone(), scopes: scopes.clone() }
            });
            nodes.push(SavedNode::Layer { layer, inputs: node.inputs.clone(), part_of, scope });
        }
        let layers = layers.into_iter().map(|(name, layer)| {
            let refused = |reason| refuse(name, layer.kind(), "saved", reason);
            let options = layer.options().map_err(refused)?;
            let parameters = layer.base().parameters();
            let kept = parameters.iter().filter_map(|own| Some((own.name.to_owned(), own.constraint.as_ref()?)));
            let kept = kept.map(|(parameter, constraint)| Ok((parameter, SavedConstraint::of(&**constraint)?)));
            let constraints = kept.collect::<Result<_, _>>().map_err(refused)?;
            Ok(SavedLayer { kind: layer.kind().to_owned(), name: name.to_owned(), options, constraints })
        });
        let layers = layers.collect::<Result<_, CheckpointError>>()?;
        Ok(Self { layers, models, applications, nodes, inputs: graph.inputs.clone(), outputs: graph.outputs.clone() })
    }

    /// The model, with parameters taken from among these: no memory is asked for that the file does not fill. `outside` has
    /// layers of kinds that the library does not have.
    ///
    /// # Errors
    /// If it makes no sense, has a layer of an unknown kind, or parameters are missing or of other shapes.
    pub fn build(
        &self,
        model: &str,
        parameters: &mut HashMap<String, SavedParameter>,
        outside: &[&dyn Layer],
    ) -> Result<Model> {
        let layers = self.layers.iter().map(|layer| layer.load(outside)).collect::<Result<Vec<_>, _>>()?;
        let models: Vec<Arc<str>> = self.models.iter().map(|name| name.as_str().into()).collect();
        let applications = self.applications.iter().map(|&model| Some(Arc::new(Application(models.get(model)?.clone()))));
        let applications = applications.collect::<Option<Vec<_>>>().ok_or_else(|| nonsense("an application of no model"))?;
        let mut tensors: Vec<SymbolicTensor> = Vec::with_capacity(self.nodes.len());
        for (number, node) in self.nodes.iter().enumerate() {
            let tensor = match node {
                SavedNode::Input { shape, name, variable_length } => {
                    let tensor = input(shape.clone());
                    let tensor = if *variable_length { tensor.variable_length() } else { tensor };
                    if let Some(name) = name { tensor.named(name) } else { tensor }
                }
                SavedNode::Layer { layer, inputs, part_of, scope } => {
                    let made = |what: &str| nonsense(&format!("node {number}, which {what}"));
                    let inputs: Option<Vec<_>> = inputs.iter().map(|&input| tensors.get(input).cloned()).collect();
                    let inputs = inputs.filter(|inputs| !inputs.is_empty()).ok_or_else(|| made("takes no node before it"))?;
                    let own = layers.get(*layer).ok_or_else(|| made("has no layer"))?;
                    let owner = match part_of {
                        Some(owner) => Some(layers.get(*owner).cloned().ok_or_else(|| made("is part of no layer"))?),
                        None => None,
                    };
                    let scope = match scope {
                        Some(SavedScope { application, node, scopes }) => {
                            let application = applications.get(*application).cloned();
                            let application = application.ok_or_else(|| made("is part of no application"))?;
                            Some(Scope { application, node: node.clone(), scopes: scopes.clone() })
                        }
                        None => None,
                    };
                    let shapes: Option<Vec<Shape>> = inputs.iter().map(|input| input.shape().cloned()).collect();
                    let tensor = SymbolicTensor::of_layer(own.clone(), inputs, owner, scope);
                    if let (Some(shapes), Some(_)) = (shapes, tensor.shape()) {
                        self.layers[*layer].fill(&**own, &shapes, model, parameters)?;
                    }
                    tensor
                }
            };
            tensors.push(tensor);
        }
        let chosen = |nodes: &[usize]| -> Result<Vec<SymbolicTensor>, CheckpointError> {
            let tensors = nodes.iter().map(|&node| tensors.get(node).cloned()).collect::<Option<_>>();
            tensors.ok_or_else(|| nonsense("an input or output that is no node"))
        };
        Model::new(model, chosen(&self.inputs)?, chosen(&self.outputs)?)
    }
}

impl SavedLayer {
    fn load(&self, outside: &[&dyn Layer]) -> Result<Arc<dyn Layer>, CheckpointError> {
        let Self { kind, name, options, .. } = self;
        let loaded = if let Some(layer) = outside.iter().find(|layer| layer.kind() == kind) {
            layer.with_options(options)
        } else if let Some(own) = ALL_LAYERS.iter().find(|own| own.name == kind) {
            (own.plain)().with_options(options)
        } else {
            Err("the library has no such kind: give a layer of it to `Model::load_with`".to_owned())
        };
        loaded.map_err(|reason| refuse(name, kind, "loaded", reason))
    }

    /// Gives the layer its parameters, if it has none yet.
    fn fill(
        &self,
        layer: &dyn Layer,
        inputs: &[Shape],
        model: &str,
        saved: &mut HashMap<String, SavedParameter>,
    ) -> Result<(), CheckpointError> {
        let name = &self.name;
        let mut own = layer.base().parameters_mut();
        if !own.is_empty() {
            return Ok(());
        }
        for spec in layer.parameters(inputs) {
            let parameter = format!("{name}/{}", spec.name);
            let reason = match saved.remove(&parameter) {
                None => format!("{parameter} is missing"),
                Some(saved) if saved.shape[..] != spec.shape[..] => {
                    format!("found {parameter} of shape {:?}, expected {}", saved.shape, spec.shape)
                }
                Some(saved) if saved.values.iter().any(|value| !value.is_finite()) => {
                    format!("{parameter} has values that are not finite")
                }
                Some(SavedParameter { values, .. }) => {
                    let (transform, constraint) = (None, self.constraints.get(spec.name).map(|saved| saved.shared()));
                    own.push(ParameterValue {
                        name: spec.name,
                        shape: spec.shape,
                        kind: spec.kind,
                        values,
                        transform,
                        constraint,
                    });
                    continue;
                }
            };
            return Err(CheckpointError::Parameters { model: model.to_owned(), reason });
        }
        Ok(())
    }
}

fn nonsense(what: &str) -> CheckpointError {
    CheckpointError::Damaged { reason: format!("its architecture has {what}") }
}

fn refuse(layer: &str, kind: &str, done: &'static str, reason: String) -> CheckpointError {
    CheckpointError::Layer { layer: layer.to_owned(), kind: kind.to_owned(), done, reason }
}
