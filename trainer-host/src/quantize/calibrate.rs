//! The ranges that tensors take on calibration samples.

use crate::device::{
    DeviceGraph, ExportError,
    encode::{Numbers, encode, to_checked_bytes},
    run::DeviceModel,
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

    fn of(values: impl Iterator<Item = f32>) -> Self {
        let widen = |range: Self, value: f32| {
            // No comparison lets a NaN through: it must not be lost.
            let value = if value.is_nan() { f32::INFINITY } else { value };
            range.union(Self { minimum: value, maximum: value })
        };
        values.fold(Self::ZERO, widen)
    }
}

/// Bins of a histogram.
const BINS: usize = 4096;

/// The graph as an f32 file, and the samples to run it on.
#[derive(Debug)]
pub struct Observer<'a> {
    graph: &'a DeviceGraph,
    inputs: &'a [&'a [f32]],
    samples: usize,
    model: DeviceModel,
}

impl<'a> Observer<'a> {
    /// Encodes the graph. For each input, `inputs` has all samples one after the other.
    ///
    /// # Errors
    /// If there is no sample, or the inputs are not as many or not as long as the model's.
    pub fn new(graph: &'a DeviceGraph, inputs: &'a [&'a [f32]]) -> Result<Self, ExportError> {
        let samples = samples_of(graph, inputs)?;
        let model = DeviceModel::new(&to_checked_bytes(&encode(graph, Numbers::F32)?)?)?;
        Ok(Self { graph, inputs, samples, model })
    }

    /// Runs all samples. For each of the graph's values, `look` sees the tensor of every sample as soon as it is there, and `join` joins what it found.
    fn each_value<T: Send>(
        &self,
        look: impl Fn(usize, &mut dyn Iterator<Item = f32>) -> T + Sync,
        join: impl Fn(T, T) -> T,
    ) -> Result<Vec<T>, ExportError> {
        let sizes: Vec<usize> = self.graph.inputs.iter().map(|&input| self.graph.shape(input).size()).collect();
        let work = |session: &mut Session<'_>, sample: usize| {
            for (index, (values, &size)) in self.inputs.iter().zip(&sizes).enumerate() {
                session.write_f32(index, &values[sample * size..(sample + 1) * size])?;
            }
            // What no node writes has no values; the file's tensors and nodes are the graph's, in their order.
            let mut found: Vec<T> = (0..self.graph.values.len()).map(|value| look(value, &mut std::iter::empty())).collect();
            let mut see = |tensors: &Tensors<'_>, value: usize| found[value] = look(value, &mut tensors.values(value as u32));
            self.graph.inputs.iter().for_each(|input| see(&session.tensors(), input.0));
            session.run_observed(|node, tensors| see(tensors, self.graph.nodes[node].output.0));
            Ok(found)
        };
        let found = self.model.work_each(self.samples, work);
        let found = found.map_err(|error| ExportError::Calibration(error.to_string()))?;
        let all = found.into_iter().reduce(|all, more| all.into_iter().zip(more).map(|(a, b)| join(a, b)).collect());
        Ok(all.unwrap_or_default())
    }

    /// Each value's range.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn ranges(&self, method: Calibration) -> Result<Vec<Range>, ExportError> {
        if let Calibration::Percentile(part) = method
            && !(0.5..=1.0).contains(&part)
        {
            return Err(ExportError::Calibration(format!("a percentile lies between 0.5 and 1, this is {part}")));
        }
        let ranges = self.each_value(|_, values| Range::of(values), Range::union)?;
        for (range, (_, name)) in ranges.iter().zip(&self.graph.values) {
            if !(range.minimum.is_finite() && range.maximum.is_finite()) {
                return Err(ExportError::Calibration(format!("tensor {name:?} has values in f32 that are infinite or NaN")));
            }
        }
        let Calibration::Percentile(part) = method else { return Ok(ranges) };
        let add = |a: Vec<u64>, b: Vec<u64>| a.into_iter().zip(b).map(|(a, b)| a + b).collect();
        let histograms = self.each_value(|value, values| histogram(values, ranges[value]), add)?;
        Ok(ranges.iter().zip(histograms).map(|(range, histogram)| clip(*range, &histogram, part)).collect())
    }

    /// The largest magnitude in each channel (of the last axis) of each value.
    ///
    /// # Errors
    /// If the samples do not fit.
    pub fn channel_magnitudes(&self) -> Result<Vec<Vec<f32>>, ExportError> {
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let look = |value: usize, values: &mut dyn Iterator<Item = f32>| {
            let mut largest = vec![0.0; self.graph.values[value].0.channels()];
            let channels = largest.len();
            values.enumerate().for_each(|(place, value)| {
                let largest = &mut largest[place % channels];
                *largest = larger(*largest, value.abs());
            });
            largest
        };
        self.each_value(look, |a, b| a.into_iter().zip(b).map(|(a, b)| larger(a, b)).collect())
    }
}

fn samples_of(graph: &DeviceGraph, inputs: &[&[f32]]) -> Result<usize, ExportError> {
    if inputs.len() != graph.inputs.len() {
        let found = inputs.len();
        return Err(ExportError::Calibration(format!(
            "the model has {} inputs, samples are given for {found}",
            graph.inputs.len()
        )));
    }
    let mut samples = None;
    for (values, &input) in inputs.iter().zip(&graph.inputs) {
        let (shape, name) = &graph.values[input.0];
        let (count, rest) = (values.len() / shape.size(), values.len() % shape.size());
        if count == 0 || rest != 0 || samples.is_some_and(|samples| samples != count) {
            return Err(ExportError::Calibration(format!(
                "input {name:?} takes samples of shape {shape}, {} values are no whole number of them, or another than for the first input",
                values.len()
            )));
        }
        samples = Some(count);
    }
    samples.ok_or_else(|| ExportError::Calibration("the model has no inputs".to_owned()))
}

fn histogram(values: impl Iterator<Item = f32>, range: Range) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    let width = (f64::from(range.maximum) - f64::from(range.minimum)) / BINS as f64;
    for value in values {
        let bin = if width > 0.0 { (f64::from(value) - f64::from(range.minimum)) / width } else { 0.0 };
        bins[(bin as usize).min(BINS - 1)] += 1;
    }
    bins
}

/// Cuts both ends of a range until `part` of the values is left, never beyond 0.
fn clip(range: Range, histogram: &[u64], part: f64) -> Range {
    let total: u64 = histogram.iter().sum();
    let spare = ((1.0 - part) / 2.0 * total as f64) as u64;
    let bins_within_spare = |bins: &mut dyn Iterator<Item = &u64>| {
        let mut seen = 0;
        bins.take_while(|&&count| {
            seen += count;
            seen <= spare
        })
        .count()
    };
    let width = (range.maximum - range.minimum) / BINS as f32;
    let minimum = range.minimum + width * bins_within_spare(&mut histogram.iter()) as f32;
    let maximum = range.maximum - width * bins_within_spare(&mut histogram.iter().rev()) as f32;
    Range { minimum: if minimum < 0.0 { minimum } else { 0.0 }, maximum: if maximum > 0.0 { maximum } else { 0.0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_cuts_outliers_but_never_zero() {
        let range = Range { minimum: -1.0, maximum: 1000.0 };
        let values = (0..1000).map(|i| i as f32 / 1000.0).chain([1000.0, -1.0]);
        let clipped = clip(range, &histogram(values, range), 0.99);
        assert!(clipped.maximum < 2.0 && clipped.maximum >= 0.24, "{clipped:?}");
        assert!(clipped.minimum <= 0.0, "{clipped:?}");
        let positive = Range { minimum: 0.0, maximum: 1.0 };
        let none = [0.5, f32::NAN, 1.0].into_iter();
        assert_eq!(Range::of(none), Range { minimum: 0.0, maximum: f32::INFINITY }, "a NaN must be seen");
        let whole = clip(positive, &histogram([0.5; 100].into_iter(), positive), 1.0);
        assert_eq!(whole, Range { minimum: 0.0, maximum: 0.500_244_14 }, "empty bins go, the last full one stays");
    }
}
