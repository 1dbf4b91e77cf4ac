//! From a trained model to a model file: each layer says in its own file what it is on the device.

use std::borrow::Cow;

use samara_runtime::{Tensor as DeviceTensor, format::writer::ModelFile};

use crate::{
    Error, Model,
    data::Tensor,
    device::{
        DeviceGraph, ExportError, Lowering, Value, encode, fuse,
        run::{DeviceModel, write_sample},
        simplify, stream,
    },
    graph::{Graph, ParameterValue, length_before_padding},
    quantize,
};

/// Lowers a graph, node by node.
///
/// # Errors
/// If a layer has no counterpart on the device.
pub fn lower(name: &str, graph: &Graph) -> Result<DeviceGraph, ExportError> {
    let mut device = DeviceGraph { name: name.to_owned(), ..DeviceGraph::default() };
    let mut packs = Vec::new();
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
                let is_variable = node.inputs.iter().any(|&input| graph.nodes[input].length_group > 0);
                let (shape, packs) = (node.shape.clone(), &mut packs);
                let mut lowering = Lowering::new(&mut device, packs, &node.name, &parameters, inputs, shape, is_variable);
                let failed = |reason| ExportError::Layer { layer: node.name.clone(), reason };
                layer.lower(&mut lowering).map_err(failed)?
            }
        };
        values.push(value);
    }
    device.inputs = graph.inputs.iter().map(|&input| values[input]).collect();
    let variable = graph.inputs.iter().filter(|&&input| graph.nodes[input].length_group > 0);
    device.variable_inputs = variable.map(|&input| values[input]).collect();
    device.outputs = graph.outputs.iter().map(|&output| values[output]).collect();
    device.drop_unread();
    Ok(device)
}

impl DeviceModel {
    /// What the model gives for samples, one tensor for each input, by the device's own code: one tensor of numbers for each
    /// output. Of inputs of variable length, each sample has as many steps as its tensor says, and so have outputs that are sequences
    /// of such: zeros fill them up. [`DeviceModel::run_each`] sees all else that a session does.
    ///
    /// # Errors
    /// If there are not as many tensors as inputs, or their samples do not fit them.
    pub fn predict(&self, inputs: &[Tensor]) -> crate::Result<Vec<Tensor>> {
        let model = self.model()?;
        let expected = (0..).map_while(|number| model.input(number)).count();
        if inputs.len() != expected {
            let (model, found_what) = (ModelFile::from_bytes(self.bytes())?.metadata.name, "input tensor");
            return Err(Error::Count { model, what: "inputs", expected, found: inputs.len(), found_what });
        }
        let samples = inputs.first().map_or(0, Tensor::samples);
        if let Some(number) = inputs.iter().position(|tensor| tensor.samples() != samples) {
            let (what, found) = (format!("input {number}"), inputs[number].samples());
            return Err(Error::SampleCount { what, found, expected: samples });
        }
        let outputs: Vec<_> = (0..).map_while(|number| model.output(number)).map(|output| model.tensor(output)).collect();
        let rows = self.run_each(
            samples,
            |session, sample| {
                let mut inputs = inputs.iter().enumerate();
                inputs.try_for_each(|(number, tensor)| write_sample(session, number, tensor, sample))
            },
            |session, _| -> Vec<Vec<f32>> {
                let numbers = 0..outputs.len();
                numbers.map(|number| session.output_f32(number).map(Iterator::collect).unwrap_or_default()).collect()
            },
        )?;
        let tensor = |(number, output): (usize, &DeviceTensor)| {
            let (size, steps) = (output.elements(), output.dimensions[0] as usize);
            let mut values = vec![0.0; samples * size];
            values
                .chunks_exact_mut(size)
                .zip(&rows)
                .for_each(|(to, row)| to[..row[number].len()].copy_from_slice(&row[number]));
            let shape = output.shape().iter().map(|&size| size as usize);
            let tensor = Tensor::new([samples].into_iter().chain(shape).collect::<Vec<_>>(), values)?;
            match output.length_group {
                0 => Ok(tensor),
                _ => tensor.with_lengths(rows.iter().map(|row| row[number].len() * steps / size)),
            }
        };
        outputs.iter().enumerate().map(tensor).collect()
    }
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

    /// The model as a file in f32 through which a stream runs, `hop` rows of each input at a time: a step of a sequence, some frames
    /// of features. See [`stream`](crate::device::stream) for what it computes.
    ///
    /// # Errors
    /// As [`export_f32`](Self::export_f32); if no input has rows, or a stride does not divide the rows that come at a time.
    pub fn export_f32_stream(&self, hop: usize) -> Result<Vec<u8>, ExportError> {
        let streamed = stream::stream(&self.device_graph()?, hop)?;
        encode::to_checked_bytes(&streamed.noted(encode::encode(&streamed.graph, encode::Numbers::F32)?))
    }

    /// The model as a file in int8, quantized after training: ranges are taken from the samples, one tensor per input.
    ///
    /// # Errors
    /// If a layer has no counterpart on the device, or the samples do not fit the model's inputs.
    pub fn export_int8(&self, samples: &[Tensor], options: quantize::Options) -> Result<Vec<u8>, ExportError> {
        let inputs = self.calibration(samples)?;
        encode::to_checked_bytes(&fuse::fuse(quantize::quantize(&mut self.device_graph()?, &inputs, options)?)?)
    }

    /// The model as a file in int8 through which a stream runs, `hop` rows of each input at a time. The samples are whole sequences,
    /// and the numbers those of [`export_int8`](Self::export_int8).
    ///
    /// # Errors
    /// As [`export_int8`](Self::export_int8) and [`export_f32_stream`](Self::export_f32_stream).
    pub fn export_int8_stream(
        &self,
        samples: &[Tensor],
        options: quantize::Options,
        hop: usize,
    ) -> Result<Vec<u8>, ExportError> {
        let inputs = self.calibration(samples)?;
        let file = quantize::quantize_stream(&mut self.device_graph()?, &inputs, options, hop)?;
        encode::to_checked_bytes(&fuse::fuse(file)?)
    }

    /// Samples that fit the model's inputs, with lengths where padding says them.
    pub(crate) fn calibration<'a>(&self, samples: &'a [Tensor]) -> Result<Cow<'a, [Tensor]>, ExportError> {
        let failed = |error: Error| ExportError::Calibration(error.to_string());
        self.check_inputs(samples).map_err(failed)?;
        let graph = self.graph();
        if graph.inputs.iter().all(|&input| graph.padding(input).is_none()) {
            return Ok(Cow::Borrowed(samples));
        }
        let with_lengths = |(tensor, &input): (&Tensor, &usize)| match (graph.padding(input), tensor.lengths()) {
            (Some(padding), None) => {
                let (shape, tensor) = (tensor.sample_shape(), tensor.clone());
                let row = shape.size() / shape[0];
                let lengths: Vec<usize> = tensor
                    .values()
                    .chunks_exact(shape.size())
                    .map(|sample| length_before_padding(sample, row, padding))
                    .collect();
                tensor.with_lengths(lengths)
            }
            _ => Ok(tensor.clone()),
        };
        let samples = samples.iter().zip(&graph.inputs).map(with_lengths).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(Cow::Owned(samples))
    }
}
