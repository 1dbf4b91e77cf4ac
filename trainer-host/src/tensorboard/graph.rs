//! A model's graph for the graph plugin.

use std::collections::BTreeMap;

use super::messages::{Attribute, AttributeValue, DataType, GraphDef, NodeDef, Shapes, TensorShape, VersionDef};
use crate::graph::{Graph, Node, ParameterEntry};

/// The version of TensorFlow's graphs whose nodes these are.
const PRODUCER: i32 = 22;

/// The nodes of a graph, and its parameters as nodes that the layers take: what is shared has several edges. Slashes in names make
/// groups: applied models, and what belongs to a layer.
pub fn graph_def(graph: &Graph) -> GraphDef {
    let parameters = graph.parameters.iter().map(of_parameter);
    let nodes = graph.nodes.iter().map(|node| of_node(graph, node));
    GraphDef { nodes: parameters.chain(nodes).collect(), versions: Some(VersionDef { producer: PRODUCER }) }
}

fn of_parameter(entry: &ParameterEntry) -> NodeDef {
    let shape = TensorShape::new(entry.shape.iter().map(|&size| size as i64));
    let attributes = [
        ("_output_shapes", Attribute::Shapes(Shapes { shapes: vec![shape.clone()] })),
        ("dtype", Attribute::DataType(DataType::Float.into())),
        ("shape", Attribute::Shape(shape)),
        ("values", Attribute::Integer(entry.shape.size() as i64)),
    ];
    NodeDef { name: entry.name.clone(), op: "Variable".to_owned(), inputs: Vec::new(), attributes: table(attributes) }
}

fn of_node(graph: &Graph, node: &Node) -> NodeDef {
    let shape = TensorShape::new([-1].into_iter().chain(node.shape.iter().map(|&size| size as i64)));
    let mut attributes = vec![
        ("_output_shapes", Attribute::Shapes(Shapes { shapes: vec![shape] })),
        ("dtype", Attribute::DataType(DataType::Float.into())),
    ];
    let description = node.layer.as_ref().map_or(String::new(), |layer| layer.describe());
    if !description.is_empty() {
        attributes.push(("options", Attribute::Text(description.into_bytes())));
    }
    let inputs = node.inputs.iter().map(|&input| graph.nodes[input].name.clone());
    let parameters = graph.parameters[node.parameters.clone()].iter().map(|entry| entry.name.clone());
    NodeDef {
        name: node.name.clone(),
        op: node.layer.as_ref().map_or("Placeholder", |layer| layer.kind()).to_owned(),
        inputs: inputs.chain(parameters).collect(),
        attributes: table(attributes),
    }
}

fn table(attributes: impl IntoIterator<Item = (&'static str, Attribute)>) -> BTreeMap<String, AttributeValue> {
    let entry = |(name, value): (&str, Attribute)| (name.to_owned(), AttributeValue { value: Some(value) });
    attributes.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::input;
    use crate::layers::*;
    use crate::train::Model;

    #[test]
    fn shared_layers_take_the_same_parameters() {
        let (a, b) = (input([4]).named("a"), input([4]).named("b"));
        let dense = Dense::new(3).named("twin").activation(Activation::Relu);
        let model = Model::new("pair", [&a, &b], Add::new().apply([dense.apply(&a), dense.apply(&b)])).unwrap();
        let found = graph_def(model.graph());
        let node = |node: &NodeDef| format!("{}: {}({})", node.name, node.op, node.inputs.join(", "));
        let mut shown: Vec<String> = found.nodes.iter().map(node).collect();
        shown.sort();
        let wanted = [
            "a: Placeholder()",
            "add: Add(twin/relu, twin/relu@1)",
            "b: Placeholder()",
            "twin/bias: Variable()",
            "twin/kernel: Variable()",
            "twin/relu: Activation(twin)",
            "twin/relu@1: Activation(twin@1)",
            "twin: Dense(a, twin/kernel, twin/bias)",
            "twin@1: Dense(b, twin/kernel, twin/bias)",
        ];
        assert_eq!(shown, wanted);
        let shape = found.nodes.iter().find(|node| node.name == "twin").unwrap().attributes["_output_shapes"].clone();
        let sizes = |sizes: [i64; 2]| Some(Attribute::Shapes(Shapes { shapes: vec![TensorShape::new(sizes)] }));
        assert_eq!(shape.value, sizes([-1, 3]));
    }
}
