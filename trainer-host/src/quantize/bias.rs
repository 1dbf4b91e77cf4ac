//! Bias correction: rounded weights move the mean of what a layer gives, and its bias takes that up (Nagel and others, *Data-Free
//! Quantization Through Weight Equalization and Bias Correction*, 2019, with means of samples instead of a batch-norm's).

use super::calibrate::samples_of;
use crate::data::Tensor;
use crate::device::{
    DeviceGraph, ExportError, Form, Quantization,
    encode::{Numbers, encode, to_checked_bytes},
    run::{DeviceModel, write_sample},
};

/// Corrects the bias of every layer whose weights are to be int8. One that is used several times, as the groups `together` say, stays as it is:
/// its inputs have several means.
pub fn correct_biases(
    graph: &mut DeviceGraph,
    samples: &[Tensor],
    quantizations: &[Quantization],
    forms: &[Form],
    together: &[Vec<usize>],
) -> Result<(), ExportError> {
    let means = means(graph, samples)?;
    for (index, &form) in forms.iter().enumerate() {
        if form == Form::F32 || together.iter().any(|group| group.contains(&index)) {
            continue;
        }
        let node = &graph.nodes[index];
        let (input, output) = (node.inputs[0].0, node.output.0);
        let mut op = node.op.clone();
        op.correct_bias(&graph.context(node), quantizations[input], quantizations[output], &means[input]);
        graph.nodes[index].op = op;
    }
    Ok(())
}

/// The mean of each channel (of the last axis) of each value, in f32. Sums go in the order of the samples, so that a file does not depend
/// on threads.
fn means(graph: &DeviceGraph, samples: &[Tensor]) -> Result<Vec<Vec<f32>>, ExportError> {
    let model = DeviceModel::new(&to_checked_bytes(&encode(graph, Numbers::F32)?)?)?;
    let sums_of = |value: usize, values: &mut dyn Iterator<Item = f32>| {
        let channels = graph.values[value].0.channels();
        let mut sums = vec![0.0f64; channels];
        let count = values.enumerate().map(|(place, value)| sums[place % channels] += f64::from(value)).count();
        (sums, count / channels)
    };
    let of_samples = model.work_each(samples_of(graph, samples)?, |session, sample| {
        samples.iter().enumerate().try_for_each(|(index, tensor)| write_sample(session, index, tensor, sample))?;
        let mut all = vec![(Vec::new(), 0); graph.values.len()];
        for input in &graph.inputs {
            all[input.0] = sums_of(input.0, &mut session.tensors().values(input.0 as u32));
        }
        session.run_observed(|node, tensors| {
            let output = graph.nodes[node].output.0;
            all[output] = sums_of(output, &mut tensors.values(output as u32));
        });
        Ok(all)
    });
    let of_samples = of_samples.map_err(|error| ExportError::Calibration(error.to_string()))?;
    let mean = |value: usize| {
        let rows: usize = of_samples.iter().map(|sample| sample[value].1).sum();
        let channel =
            |channel: usize| of_samples.iter().map(|sample| sample[value].0[channel]).sum::<f64>() / rows.max(1) as f64;
        (0..graph.values[value].0.channels()).map(|number| channel(number) as f32).collect()
    };
    Ok((0..graph.values.len()).map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::ops::Reshape;
    use crate::graph::Shape;

    #[test]
    fn means_are_those_of_channels() {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([2, 2]), "x");
        let y = graph.push("same", Reshape, &[x], Shape::from([2, 2]));
        graph.outputs.push(y);
        let samples = [Tensor::from_samples([2, 2], vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 6.0, 60.0]).unwrap()];
        assert_eq!(means(&graph, &samples).unwrap(), [[3.0, 30.0], [3.0, 30.0]]);
    }
}
