//! From a trained model to a model file: each layer says in its own file what it is on the device.

use crate::{
    Model,
    data::Tensor,
    device::{DeviceGraph, ExportError, Lowering, Value, encode, simplify},
    graph::{Graph, ParameterValue},
    quantize,
};

/// Lowers a graph, node by node.
///
/// # Errors
/// If a layer has no counterpart on the device.
pub fn lower(name: &str, graph: &Graph) -> Result<DeviceGraph, ExportError> {
    let mut device = DeviceGraph { name: name.to_owned(), ..DeviceGraph::default() };
    let mut values: Vec<Value> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let value = match &node.layer {
            None => device.value(node.shape.clone(), &node.name),
            Some(layer) => {
                let parameters = layer.base().parameters();
                let effective: Vec<_> = parameters.iter().map(ParameterValue::effective).collect();
                let names = parameters.iter().map(|parameter| parameter.name);
                let parameters: Vec<(&str, &[f32])> = names.zip(effective.iter().map(|values| &values[..])).collect();
                let inputs = node.inputs.iter().map(|&input| values[input]).collect();
                let mut lowering = Lowering::new(&mut device, &node.name, &parameters, inputs, node.shape.clone());
                let failed = |reason| ExportError::Layer { layer: node.name.clone(), reason };
                layer.lower(&mut lowering).map_err(failed)?
            }
        };
        values.push(value);
    }
    device.inputs = graph.inputs.iter().map(|&input| values[input]).collect();
    device.outputs = graph.outputs.iter().map(|&output| values[output]).collect();
    Ok(device)
}

impl Model {
    /// The model as a simplified graph of the runtime's ops, with the parameters' present values.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device.
    pub fn device_graph(&self) -> Result<DeviceGraph, ExportError> {
        let mut graph = lower(self.name(), self.graph())?;
        simplify::simplify(&mut graph);
        Ok(graph)
    }

    /// The model as a file in f32.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device.
    pub fn export_f32(&self) -> Result<Vec<u8>, ExportError> {
        encode::to_checked_bytes(&encode::encode(&self.device_graph()?, encode::Numbers::F32)?)
    }

    /// The model as a file in int8, quantized after training: ranges are taken from the samples, one tensor per input.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device, or the samples do not fit the model's inputs.
    pub fn export_int8(&self, samples: &[Tensor], options: quantize::Options) -> Result<Vec<u8>, ExportError> {
        self.check_inputs(samples).map_err(|error| ExportError::Calibration(error.to_string()))?;
        let inputs: Vec<&[f32]> = samples.iter().map(|tensor| tensor.values()).collect();
        encode::to_checked_bytes(&quantize::quantize(&mut self.device_graph()?, &inputs, options)?)
    }
}
