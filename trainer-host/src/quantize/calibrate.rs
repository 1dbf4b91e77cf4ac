//! The ranges that tensors take on calibration samples.

use super::sketch::Sketch;
use crate::data::Tensor;
use crate::device::{
    DeviceGraph, ExportError,
    encode::{Numbers, encode, to_checked_bytes},
    run::{DeviceModel, write_sample},
};
use samara_runtime::{Session, Tensors};

/// How a tensor's range is taken from its values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Calibration {
    /// From the smallest to the largest value.
    #[default]
    MinMax,
    /// This part of the values, 0.5 to 1, lies within; as many lie below as above. Outliers are clipped.
    Percentile(f64),
}

/// A range of real numbers that contains 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// At most 0.
    pub minimum: f32,
    /// At least 0.
    pub maximum: f32,
}

impl Range {
    /// Zero alone.
    pub const ZERO: Self = Self { minimum: 0.0, maximum: 0.0 };

    /// The range of both.
    pub fn union(self, other: Self) -> Self {
        Self {
            minimum: if other.minimum < self.minimum { other.minimum } else { self.minimum },
            maximum: if other.maximum > self.maximum { other.maximum } else { self.maximum },
        }
    }
}

/// What the values of a graph were on the samples, by value.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The range, as the calibration takes it.
    pub ranges: Vec<Range>,
    /// The largest magnitude in each channel (of the last axis).
    pub magnitudes: Vec<Vec<f32>>,
    /// The largest magnitude of what the op that makes the value keeps to itself.
    pub inner: Vec<f32>,
}

/// What was seen of one value so far.
#[derive(Debug, Clone)]
struct Seen {
    range: Range,
    magnitudes: Vec<f32>,
    inner: f32,
    /// For percentiles.
    sketch: Option<Sketch>,
}

impl Seen {
    fn nothing(channels: usize, method: Calibration) -> Self {
        let sketch = matches!(method, Calibration::Percentile(_)).then(Sketch::new);
        Self { range: Range::ZERO, magnitudes: vec![0.0; channels], inner: 0.0, sketch }
    }

    fn add(&mut self, values: impl Iterator<Item = f32>) {
        let channels = self.magnitudes.len();
        for (place, value) in values.enumerate() {
            // No comparison lets a NaN through: it must not be lost.
            let value = if value.is_nan() { f32::INFINITY } else { value };
            self.range = self.range.union(Range { minimum: value, maximum: value });
            let largest = &mut self.magnitudes[place % channels];
            *largest = larger(*largest, value.abs());
            if let Some(sketch) = self.sketch.as_mut().filter(|_| value.is_finite()) {
                sketch.add(value);
            }
        }
    }

    fn join(self, more: Self) -> Self {
        let magnitudes = self.magnitudes.into_iter().zip(more.magnitudes).map(|(a, b)| larger(a, b)).collect();
        let sketch = self.sketch.zip(more.sketch).map(|(a, b)| a.join(b));
        Self { range: self.range.union(more.range), magnitudes, inner: larger(self.inner, more.inner), sketch }
    }

    /// The range, cut to the percentile; never beyond what was seen.
    fn range(&self, method: Calibration) -> Range {
        let (Calibration::Percentile(part), Some(sketch)) = (method, &self.sketch) else { return self.range };
        let [negative, positive] = sketch.reaches(part);
        let Range { minimum, maximum } = self.range;
        Range {
            minimum: if -negative > minimum { -negative } else { minimum },
            maximum: if positive < maximum { positive } else { maximum },
        }
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The graph as an f32 file, and the samples to run it on.
#[derive(Debug)]
pub struct Observer<'a> {
    graph: &'a DeviceGraph,
    inputs: &'a [Tensor],
    samples: usize,
    model: DeviceModel,
}

impl<'a> Observer<'a> {
    /// Encodes the graph. `inputs` are the samples of each input.
    ///
    /// # Errors
    /// If there is no sample, or the inputs are not as many or not as long as the model's.
    pub fn new(graph: &'a DeviceGraph, inputs: &'a [Tensor]) -> Result<Self, ExportError> {
        let samples = samples_of(graph, inputs)?;
        let model = DeviceModel::new(&to_checked_bytes(&encode(graph, Numbers::F32)?)?)?;
        Ok(Self { graph, inputs, samples, model })
    }

    /// Runs all samples once, and looks at each tensor as soon as it is there. What is kept does not grow with the number of
    /// samples.
    ///
    /// # Errors
    /// If a value is not finite, or the percentile is none.
    pub fn observe(&self, method: Calibration) -> Result<Observed, ExportError> {
        if let Calibration::Percentile(part) = method
            && !(0.5..=1.0).contains(&part)
        {
            return Err(ExportError::Calibration(format!("a percentile lies between 0.5 and 1, this is {part}")));
        }
        let new =
            || -> Vec<Seen> { self.graph.values.iter().map(|(shape, _)| Seen::nothing(shape.channels(), method)).collect() };
        let work = |all: &mut Vec<Seen>, session: &mut Session<'_>, sample: usize| {
            for (index, tensor) in self.inputs.iter().enumerate() {
                write_sample(session, index, tensor, sample)?;
            }
            // The file's tensors and nodes are the graph's, in their order.
            let see = |all: &mut Vec<Seen>, tensors: &Tensors<'_>, value: usize| all[value].add(tensors.values(value as u32));
            self.graph.inputs.iter().for_each(|input| see(all, &session.tensors(), input.0));
            session.run_observed(|node, tensors| {
                let node = &self.graph.nodes[node];
                see(all, tensors, node.output.0);
                // Ops that keep something to themselves leave their inputs as they are.
                let input = |number: usize| tensors.values(node.inputs[number].0 as u32).collect();
                let seen = &mut all[node.output.0];
                seen.inner = larger(seen.inner, node.op.inner_magnitude(&self.graph.context(node), &input));
            });
            Ok(())
        };
        let join = |all: Vec<Seen>, more: Vec<Seen>| all.into_iter().zip(more).map(|(a, b)| a.join(b)).collect();
        let seen = self.model.fold_each(self.samples, new, work, join);
        let seen = seen.map_err(|error| ExportError::Calibration(error.to_string()))?;
        for (Seen { range, .. }, (_, name)) in seen.iter().zip(&self.graph.values) {
            if !(range.minimum.is_finite() && range.maximum.is_finite()) {
                return Err(ExportError::Calibration(format!("tensor {name:?} has values in f32 that are infinite or NaN")));
            }
        }
        let ranges = seen.iter().map(|seen| seen.range(method)).collect();
        let inner = seen.iter().map(|seen| seen.inner).collect();
        Ok(Observed { ranges, inner, magnitudes: seen.into_iter().map(|seen| seen.magnitudes).collect() })
    }
}

/// How many samples there are, if they are samples of the graph's inputs.
pub(super) fn samples_of(graph: &DeviceGraph, inputs: &[Tensor]) -> Result<usize, ExportError> {
    if inputs.len() != graph.inputs.len() {
        let found = inputs.len();
        return Err(ExportError::Calibration(format!(
            "the model has {} inputs, samples are given for {found}",
            graph.inputs.len()
        )));
    }
    let mut samples = None;
    for (tensor, &input) in inputs.iter().zip(&graph.inputs) {
        let (shape, name) = &graph.values[input.0];
        let (count, found) = (tensor.samples(), tensor.sample_shape());
        let is_shorter =
            graph.variable_inputs.contains(&input) && found.first() < shape.first() && found.get(1..) == shape.get(1..);
        if count == 0 || (found.size() != shape.size() && !is_shorter) || samples.is_some_and(|samples| samples != count) {
            return Err(ExportError::Calibration(format!(
                "input {name:?} takes samples of shape {shape}, as many as the first input has and at least one, but {count} of shape {found} \
                 are given"
            )));
        }
        samples = Some(count);
    }
    samples.ok_or_else(|| ExportError::Calibration("the model has no inputs".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{device::ops::Reshape, graph::Shape};

    const PERCENTILE: Calibration = Calibration::Percentile(0.99);

    fn observed(values: &[f32], method: Calibration) -> Result<Range, ExportError> {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([1]), "x");
        let y = graph.push("same", Reshape, &[x], Shape::from([1]));
        graph.outputs.push(y);
        let inputs = [Tensor::from_samples([1], values.to_vec()).unwrap()];
        let observed = Observer::new(&graph, &inputs)?.observe(method)?;
        assert_eq!(observed.ranges[0], observed.ranges[1]);
        Ok(observed.ranges[1])
    }

    #[test]
    fn a_percentile_cuts_outliers_but_never_zero() {
        let values: Vec<f32> = (1..=1000).map(|i| i as f32 / 1000.0).chain([1000.0, -1.0]).collect();
        // Five of 1,002 values go on each side: 0.996 is the largest that stays.
        let Range { minimum, maximum } = observed(&values, PERCENTILE).unwrap();
        assert!(minimum == 0.0 && (0.996..=1.004).contains(&maximum), "{minimum} to {maximum}");
        assert_eq!(observed(&values, Calibration::Percentile(1.0)).unwrap(), Range { minimum: -1.0, maximum: 1000.0 });
        assert_eq!(observed(&values, Calibration::MinMax).unwrap(), Range { minimum: -1.0, maximum: 1000.0 });
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let mut seen = Seen::nothing(1, PERCENTILE);
        seen.add([0.5, f32::NAN, 1.0].into_iter());
        assert_eq!(seen.range, Range { minimum: 0.0, maximum: f32::INFINITY }, "a NaN must be seen");
        for method in [Calibration::MinMax, PERCENTILE] {
            assert!(observed(&[1.0, f32::INFINITY], method).is_err());
        }
        assert!(observed(&[1.0], Calibration::Percentile(0.4)).unwrap_err().to_string().contains("0.4"));
    }

    #[test]
    fn channels_are_the_last_axis() {
        let mut seen = Seen::nothing(2, Calibration::MinMax);
        seen.add([1.0, -5.0, -3.0, 2.0].into_iter());
        assert_eq!(seen.magnitudes, [3.0, 5.0]);
    }
}
