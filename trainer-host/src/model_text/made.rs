//! What a `[[layer]]` applies: a layer, a model, or one of the library's layers that are made of layers.

use std::any::Any;
use std::sync::Arc;

use crate::graph::{Apply, Layer, SymbolicTensor, apply_shared};
use crate::layers::{Bidirectional, Gru, Lstm, RecurrentLayer, SimpleRnn, TimeDistributed};
use crate::train::Model;

/// What can be applied, once or several times.
#[derive(Clone)]
pub(super) enum Made {
    Layer(Arc<dyn Layer>),
    Model(Arc<Model>),
    Bidirectional(Box<Bidirectional>),
    TimeDistributed(TimeDistributed),
}

impl Made {
    /// What it makes of the inputs: the outputs, of which the last is what one means by its name; each with what stands behind that name
    /// and a `/` to mean it.
    pub fn outputs(&self, inputs: Vec<SymbolicTensor>) -> Vec<(String, SymbolicTensor)> {
        match self {
            Self::Layer(layer) => {
                if let Some(given) = with_states(layer, inputs.clone()) {
                    return given;
                }
                let output = SymbolicTensor::of_layer(layer.clone(), inputs, None, None);
                let mut outputs = vec![("linear".to_owned(), output.clone())];
                if let Some(activation) = layer.activation_layer() {
                    let output = SymbolicTensor::of_layer(activation, vec![output], Some(layer.clone()), None);
                    outputs.push((String::new(), output));
                }
                outputs
            }
            Self::Model(model) => {
                let names = model.graph().output_names().into_iter().map(str::to_owned);
                let names: Vec<String> = names.collect();
                names.into_iter().zip(model.apply_all(inputs)).collect()
            }
            Self::Bidirectional(layer) => vec![(String::new(), layer.apply_to(inputs))],
            Self::TimeDistributed(layer) => vec![(String::new(), layer.apply_to(inputs))],
        }
    }
}

impl Apply for Made {
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        match self {
            Self::Layer(layer) => apply_shared(layer, inputs),
            Self::Model(model) => model.apply_to(inputs),
            Self::Bidirectional(layer) => layer.apply_to(inputs),
            Self::TimeDistributed(layer) => layer.apply_to(inputs),
        }
    }
}

/// A recurrent layer, to go in both directions.
pub(super) fn recurrent(layer: &Arc<dyn Layer>) -> Option<RecurrentLayer> {
    let any: &dyn Any = &**layer;
    let lstm = any.downcast_ref::<Lstm>().cloned().map(RecurrentLayer::from);
    let gru = any.downcast_ref::<Gru>().cloned().map(RecurrentLayer::from);
    lstm.or(gru).or(any.downcast_ref::<SimpleRnn>().cloned().map(RecurrentLayer::from))
}

/// States, then outputs, of a recurrent layer that gives both.
fn with_states(layer: &Arc<dyn Layer>, inputs: Vec<SymbolicTensor>) -> Option<Vec<(String, SymbolicTensor)>> {
    layer.activation_layer().filter(|part| part.kind() == "Slice")?;
    let (output, states) = match recurrent(layer)? {
        RecurrentLayer::Lstm(layer) => with_all(layer.apply_with_states(inputs)),
        RecurrentLayer::Gru(layer) => with_all(layer.apply_with_states(inputs)),
        RecurrentLayer::SimpleRnn(layer) => with_all(layer.apply_with_states(inputs)),
    };
    let names = ["h", "c"].map(str::to_owned);
    Some(names.into_iter().zip(states).chain([(String::new(), output)]).collect())
}

fn with_all<const N: usize>(given: (SymbolicTensor, [SymbolicTensor; N])) -> (SymbolicTensor, Vec<SymbolicTensor>) {
    (given.0, given.1.into())
}
