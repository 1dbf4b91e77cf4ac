//! Channels of the same range, where that costs nothing: a factor per channel goes into the layer before, its inverse into the
//! layer behind.
//!
//! An int8 tensor has one scale for all its channels. Where one channel reaches 10 and another 0.1, the second is left with three
//! of the 256 steps, and a batch-norm or a layer with large weights behind makes that rounding as large as the first channel's
//! values. Between two layers that are linear but for a ReLU, `w2 relu(w1 x) = (w2 / s) relu(s w1 x)` for any `s > 0`
//! (cross-layer equalization: Nagel and others, *Data-Free Quantization Through Weight Equalization and Bias Correction*, 2019). The
//! layer before has a scale of its own for each channel, so its precision stays; so has a depthwise convolution behind, or a
//! batch-norm that could not be folded. A dense layer or a convolution behind has not: there, the factors were tried as the paper
//! balances them, and lost as often as they won. So that is an option, which pays where channels differ by far.

use crate::device::{DeviceGraph, Value, simplify::behind_passing};

/// A channel counts as at least this part of the largest: one that calibration hardly saw must not be blown up without bounds.
const SMALLEST_PART: f32 = 1.0 / 64.0;

/// Between which layers channels are evened out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Equalization {
    /// Nowhere.
    Off,
    /// Where it costs nothing: before a depthwise convolution or a batch-norm.
    #[default]
    Free,
    /// Before dense layers and convolutions, too, by the root of the factors: half of the difference stays with the tensor, half goes
    /// into the weights.
    Balanced,
    /// Before dense layers and convolutions, too, by the whole factors.
    Full,
}

impl Equalization {
    /// What becomes of a factor before a layer, whose weights share a scale or not; `None` if nothing is evened out there.
    fn factor(self, factor: f32, is_free: bool) -> Option<f32> {
        match self {
            Self::Off => None,
            _ if is_free => Some(factor),
            Self::Free => None,
            Self::Balanced => Some(factor.sqrt()),
            Self::Full => Some(factor),
        }
    }
}

/// Evens out the channels of every value that lies between two layers that take factors, given each channel's largest
/// magnitude. The graph computes what it did, in real numbers. `false` if nothing was changed. The nodes of each group in
/// `together` stay equal: they get the same factors, or none.
pub fn equalize(graph: &mut DeviceGraph, magnitudes: &[Vec<f32>], equalization: Equalization, together: &[Vec<usize>]) -> bool {
    let links = graph.links();
    let mut group_of: Vec<Option<usize>> = vec![None; graph.nodes.len()];
    for (number, group) in together.iter().enumerate() {
        group.iter().for_each(|&node| group_of[node] = Some(number));
    }
    let all_of = |node: usize| group_of[node].map_or_else(|| vec![node], |number| together[number].clone());
    let mut changed = false;
    for first in 0..graph.nodes.len() {
        let producers = all_of(first);
        if producers[0] != first {
            continue;
        }
        let outputs: Vec<Value> = producers.iter().map(|&producer| graph.nodes[producer].output).collect();
        let largest = outputs.iter().map(|output| magnitudes[output.0].clone()).reduce(largest_of_both);
        let Some(factors) = largest.and_then(|magnitudes| factors(&magnitudes)) else { continue };
        let consumers: Option<Vec<usize>> =
            outputs.iter().map(|&output| behind_passing(graph, &links, output, &factors)).collect();
        let Some(consumers) = consumers else { continue };
        let mut sorted = consumers.clone();
        sorted.sort_unstable();
        if sorted != all_of(sorted[0]) {
            continue;
        }
        let is_free = graph.nodes[sorted[0]].op.takes_factors_for_free();
        let factors: Option<Vec<f32>> = factors.iter().map(|&factor| equalization.factor(factor, is_free)).collect();
        let Some(factors) = factors else { continue };
        let inverse: Vec<f32> = factors.iter().map(|factor| 1.0 / factor).collect();
        for (&producer, &consumer) in producers.iter().zip(&consumers) {
            if graph.nodes[producer].op.scale_output(&factors) {
                let folded = graph.nodes[consumer].op.fold_input(&inverse, &vec![0.0; factors.len()]);
                if !folded {
                    graph.nodes[producer].op.scale_output(&inverse);
                }
                changed |= folded;
            }
        }
    }
    changed
}

fn largest_of_both(a: Vec<f32>, b: Vec<f32>) -> Vec<f32> {
    a.into_iter().zip(b).map(|(a, b)| if b > a { b } else { a }).collect()
}

/// What makes every channel reach as far as the largest. `None` if the value is always zero.
fn factors(magnitudes: &[f32]) -> Option<Vec<f32>> {
    let largest = magnitudes.iter().fold(0.0, |largest: f32, &magnitude| if magnitude > largest { magnitude } else { largest });
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let factor = |&magnitude: &f32| {
        let part = magnitude / largest;
        if part > SMALLEST_PART { 1.0 / part } else { 1.0 / SMALLEST_PART }
    };
    Some(magnitudes.iter().map(factor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device::{
            Clamp,
            ops::{Kind, Linear, Reshape, ScaleShift},
        },
        graph::Shape,
    };

    const RELU: Clamp = Clamp { minimum: 0.0, maximum: f32::INFINITY };
    const MAGNITUDES: [f32; 2] = [16.0, 1.0];

    /// A dense layer and a batch-norm with a reshape between them.
    fn graph(clamp: Clamp) -> DeviceGraph {
        let mut graph = DeviceGraph::default();
        let x = graph.input(Shape::from([2]), "x");
        let rows = vec![vec![8.0, 0.0], vec![0.0, 0.5]];
        let dense = Linear { clamp, ..Linear::new(Kind::Dense, rows, vec![8.0, 0.5]) };
        let y = graph.push("dense", dense, &[x], Shape::from([2]));
        let y = graph.push("reshape", Reshape, &[y], Shape::from([1, 2]));
        let norm = ScaleShift { scale: vec![1.0, 32.0], shift: vec![3.0, 4.0], clamp: Clamp::NONE };
        let y = graph.push("norm", norm, &[y], Shape::from([1, 2]));
        graph.outputs.push(y);
        graph
    }

    fn equalized(graph: DeviceGraph) -> String {
        equalized_with(graph, Equalization::Free)
    }

    fn equalized_with(mut graph: DeviceGraph, equalization: Equalization) -> String {
        let magnitudes = vec![MAGNITUDES.to_vec(); graph.values.len()];
        let before = format!("{graph:?}");
        let changed = equalize(&mut graph, &magnitudes, equalization, &[]);
        let after = format!("{graph:?}");
        assert_eq!(changed, before != after);
        after
    }

    #[test]
    fn factors_pass_a_relu_and_a_reshape() {
        let text = equalized(graph(RELU));
        assert!(text.contains("rows: [[8.0, 0.0], [0.0, 8.0]], bias: [8.0, 8.0]"), "{text}");
        assert!(text.contains("scale: [1.0, 2.0], shift: [3.0, 4.0]"), "{text}");
    }

    /// Before a dense layer, whose weights share a scale, the factor of 16 is left out, its root or the whole.
    #[test]
    fn layers_that_pay_for_factors_take_them_when_asked() {
        let two = || {
            let mut graph = graph(RELU);
            let rows = vec![vec![1.0, 32.0]];
            graph.nodes[2].op = Box::new(Linear::new(Kind::Dense, rows, vec![3.0]));
            graph
        };
        assert_eq!(equalized_with(two(), Equalization::Free), format!("{:?}", two()));
        for (equalization, first, second) in [(Equalization::Balanced, "2.0", "8.0"), (Equalization::Full, "8.0", "2.0")] {
            let text = equalized_with(two(), equalization);
            assert!(text.contains(&format!("rows: [[8.0, 0.0], [0.0, {first}]]")), "{text}");
            assert!(text.contains(&format!("rows: [[1.0, {second}]]")), "{text}");
        }
    }

    #[test]
    fn a_bounded_relu_keeps_its_bound() {
        let bounded = || graph(Clamp { minimum: 0.0, maximum: 6.0 });
        assert_eq!(equalized(bounded()), format!("{:?}", bounded()));
    }

    #[test]
    fn an_output_of_the_model_keeps_its_values() {
        let with_output = || {
            let mut graph = graph(RELU);
            graph.outputs.push(graph.nodes[0].output);
            graph
        };
        assert_eq!(equalized(with_output()), format!("{:?}", with_output()));
    }

    #[test]
    fn factors_are_bounded() {
        assert_eq!(factors(&[4.0, 0.0, 0.5]), Some(vec![1.0, 64.0, 8.0]));
        assert_eq!(factors(&[0.0, 0.0]), None);
    }
}
