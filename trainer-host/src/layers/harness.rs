//! For tests: runs a layer without a model, and checks it against a naive reference in f64, gradients included.

use super::{Backward, Forward, InputGradients, Inputs, Layer, ParameterGradients, Parameters, Prepare, WeightGradient};
use crate::graph::pass::{GradientPlace, ParameterPlace, Place, RandomKey};
use crate::graph::{ParameterKind, Shape};
use crate::numeric::Aligned;
use crate::numeric::random::Random;

/// A layer with everything that its passes need.
#[derive(Debug)]
pub struct Harness<'a> {
    layer: &'a dyn Layer,
    shapes: Vec<Shape>,
    /// The output's shape.
    pub output_shape: Shape,
    samples: usize,
    /// The inputs' values.
    pub inputs: Vec<Aligned>,
    /// The inputs' gradients.
    pub input_gradients: Vec<Aligned>,
    /// The output's values.
    pub output: Vec<f32>,
    /// The output's gradient.
    pub output_gradient: Vec<f32>,
    weights: Vec<f32>,
    statistics: Vec<f32>,
    gradients: Vec<f32>,
    places: Vec<ParameterPlace>,
    /// Values in a row of each parameter.
    rows: Vec<usize>,
    state: Vec<f32>,
    saved: Vec<f32>,
    /// What goes on from one forward pass to the next.
    pub carried: Vec<f32>,
    scratch: Vec<f32>,
}

impl<'a> Harness<'a> {
    /// A layer on inputs of these shapes, everything filled with random numbers in -1..1.
    pub fn new(layer: &'a dyn Layer, shapes: &[Shape], samples: usize) -> Self {
        let output_shape = layer.output_shape(shapes).expect("shapes that the layer takes");
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        let (mut weights, mut statistics) = (0, 0);
        for spec in layer.parameters(shapes) {
            let end = if spec.kind == ParameterKind::Weight { &mut weights } else { &mut statistics };
            let range = *end..*end + spec.shape.size();
            *end = range.end;
            let lane_range = if spec.kind == ParameterKind::Weight { range.clone() } else { 0..0 };
            places.push(ParameterPlace { kind: spec.kind, range, lane_range });
            rows.push(spec.shape.channels());
        }
        let requirements = layer.requirements(shapes);
        let mut random = Random::new(9, samples as u64);
        let mut fill = |values: &mut [f32]| {
            values.iter_mut().for_each(|value| *value = (random.uniform() * 2.0 - 1.0) as f32);
        };
        let buffer = |shape: &Shape| Aligned::zeros(shape.size() * samples);
        let mut harness = Self {
            layer,
            inputs: shapes.iter().map(buffer).collect(),
            input_gradients: shapes.iter().map(buffer).collect(),
            output: vec![f32::NAN; output_shape.size() * samples],
            output_gradient: vec![0.0; output_shape.size() * samples],
            weights: vec![0.0; weights],
            statistics: vec![0.0; statistics],
            gradients: vec![0.0; weights],
            state: vec![f32::NAN; requirements.state],
            saved: vec![f32::NAN; requirements.saved * samples],
            carried: vec![0.0; requirements.carried * samples],
            scratch: vec![f32::NAN; layer.scratch(shapes, samples)],
            shapes: shapes.to_vec(),
            output_shape,
            samples,
            places,
            rows,
        };
        for (number, input) in harness.inputs.iter_mut().enumerate() {
            fill(input);
            if let Some(vocabulary) = layer.vocabulary(number) {
                input.iter_mut().for_each(|value| *value = ((*value + 1.0) / 2.0 * vocabulary as f32).floor());
            }
        }
        fill(&mut harness.output_gradient);
        fill(&mut harness.weights);
        harness
    }

    /// The values of a parameter, to be set.
    pub fn parameter_mut(&mut self, parameter: usize) -> &mut [f32] {
        let place = &self.places[parameter];
        let values = if place.kind == ParameterKind::Weight { &mut self.weights } else { &mut self.statistics };
        &mut values[place.range.clone()]
    }

    /// The gradient of a weight.
    pub fn gradient(&self, parameter: usize) -> &[f32] {
        &self.gradients[self.places[parameter].range.clone()]
    }

    fn places(&self) -> Vec<Place> {
        self.shapes.iter().enumerate().map(|(slot, shape)| Place { slot, size: shape.size() }).collect()
    }

    /// Runs the forward pass.
    pub fn forward(&mut self) -> &[f32] {
        let (layer, places) = (self.layer, self.places());
        let requirements = layer.requirements(&self.shapes);
        if requirements.in_place {
            self.output.copy_from_slice(&self.inputs[0]);
        }
        let mut sums = vec![0.0; requirements.forward_sums];
        layer.forward_sums(&self.forward_pass(&places, &[]), &mut sums);
        let mut state = std::mem::take(&mut self.state);
        layer.prepare(&mut self.prepare(&sums, &mut state));
        layer.forward(&mut self.forward_pass(&places, &state));
        self.state = state;
        &self.output
    }

    fn forward_pass<'b>(&'b mut self, places: &'b [Place], state: &'b [f32]) -> Forward<'b> {
        Forward {
            samples: self.samples,
            training: true,
            inputs: Inputs { slots: &self.inputs, places, samples: self.samples },
            input_shapes: &self.shapes,
            output_shape: &self.output_shape,
            output: &mut self.output,
            parameters: Parameters { weights: &self.weights, statistics: &self.statistics, places: &self.places },
            lengths: None,
            state,
            saved: &mut self.saved,
            carried: &mut self.carried,
            scratch: &mut self.scratch,
            random: RandomKey::default(),
        }
    }

    fn prepare<'b>(&'b mut self, sums: &'b [f64], state: &'b mut [f32]) -> Prepare<'b> {
        Prepare {
            samples: self.samples,
            steps: None,
            training: true,
            input_shapes: &self.shapes,
            sums,
            state,
            weights: &self.weights,
            statistics: &mut self.statistics,
            places: &self.places,
            gradients: ParameterGradients { values: &mut self.gradients, places: &self.places },
        }
    }

    /// Runs the backward pass after the forward pass. What the layer did not ask for is not there.
    pub fn backward(&mut self, wanted: bool, accumulate: bool) {
        let (layer, places) = (self.layer, self.places());
        let gradient_places: Vec<Option<GradientPlace>> =
            places.iter().map(|&place| wanted.then_some(GradientPlace { place, accumulate })).collect();
        let requirements = layer.requirements(&self.shapes);
        let mut output_gradient = self.output_gradient.clone();
        let (mut sums, mut state) = (vec![0.0; requirements.backward_sums], std::mem::take(&mut self.state));
        layer.backward_sums(&self.backward_pass(&places, &gradient_places, &mut output_gradient, &state), &mut sums);
        layer.prepare_backward(&mut self.prepare(&sums, &mut state));
        layer.backward(&mut self.backward_pass(&places, &gradient_places, &mut output_gradient, &state));
        self.state = state;
        if requirements.in_place && wanted {
            for (sum, part) in self.input_gradients[0].iter_mut().zip(output_gradient) {
                *sum = if accumulate { *sum + part } else { part };
            }
        }
        if layer.has_batch_weight_gradient() {
            self.add_weight_gradients(&places);
        }
    }

    fn backward_pass<'b>(
        &'b mut self,
        places: &'b [Place],
        gradient_places: &'b [Option<GradientPlace>],
        output_gradient: &'b mut [f32],
        state: &'b [f32],
    ) -> Backward<'b> {
        let requirements = self.layer.requirements(&self.shapes);
        Backward {
            samples: self.samples,
            inputs: Inputs {
                slots: if requirements.backward_reads_inputs { &self.inputs } else { &[] },
                places,
                samples: self.samples,
            },
            input_shapes: &self.shapes,
            output: if requirements.backward_reads_output { &self.output } else { &[] },
            output_shape: &self.output_shape,
            output_gradient,
            input_gradients: InputGradients {
                slots: &mut self.input_gradients,
                places: gradient_places,
                samples: self.samples,
            },
            parameters: Parameters { weights: &self.weights, statistics: &self.statistics, places: &self.places },
            parameter_gradients: ParameterGradients { values: &mut self.gradients, places: &self.places },
            lengths: None,
            state,
            saved: &self.saved,
            scratch: &mut self.scratch,
            random: RandomKey::default(),
        }
    }

    /// The gradients that the layer makes over the whole batch: each sample a shard; the first rows of each parameter
    /// replaced, the others added to.
    fn add_weight_gradients(&mut self, places: &[Place]) {
        let part = |values: &[f32], sample: usize| {
            let size = values.len() / self.samples;
            let mut part = Aligned::zeros(size);
            part.copy_from_slice(&values[sample * size..][..size]);
            part
        };
        let samples: Vec<(Vec<Aligned>, Aligned)> = (0..self.samples)
            .map(|sample| {
                let inputs = self.inputs.iter().map(|input| part(input, sample)).collect();
                (inputs, part(&self.output_gradient, sample))
            })
            .collect();
        let shards = |visit: &mut dyn FnMut(Inputs<'_>, &[f32])| {
            samples.iter().for_each(|(slots, gradient)| visit(Inputs { slots, places, samples: 1 }, gradient));
        };
        for (parameter, place) in self.places.iter().enumerate() {
            let (size, row) = (place.range.len(), self.rows[parameter]);
            let middle = size / row / 2 * row;
            for (range, accumulate) in [(0..middle, false), (middle..size, true)] {
                let sums = &mut self.gradients[place.lane_range.clone()][range.clone()];
                let mut gradient = if accumulate { sums.to_vec() } else { vec![f32::NAN; sums.len()] };
                if gradient.is_empty() {
                    continue;
                }
                self.layer.weight_gradient(&mut WeightGradient {
                    parameter,
                    range,
                    gradient: &mut gradient,
                    accumulate,
                    input_shapes: &self.shapes,
                    output_shape: &self.output_shape,
                    shards: &shards,
                });
                sums.iter_mut().zip(gradient).for_each(|(sum, part)| *sum = if accumulate { part } else { *sum + part });
            }
        }
    }
}

/// The numbers that tests against Keras are made with: `7 i mod modulus - offset`.
pub fn ramp(values: &mut [f32], modulus: usize, offset: f32) {
    for (number, value) in values.iter_mut().enumerate() {
        *value = (number * 7 % modulus) as f32 - offset;
    }
}

/// The output of the naive reference, from the inputs and the parameters: one sample's, or the whole batch's.
pub type Reference<'a> = &'a dyn Fn(&[Vec<f64>], &[Vec<f64>]) -> Vec<f64>;

/// Compares a layer's output and gradients with those of the reference for one sample, for several numbers of samples; the
/// gradients by differences in f64. The reference must be linear around the inputs, or nearly so.
pub fn check(layer: &dyn Layer, shapes: &[Shape], reference: Reference<'_>) {
    [1, 2, 5].iter().for_each(|&samples| check_parts(layer, shapes, samples, samples, reference));
}

/// As [`check`], for layers whose samples depend on each other or on their number: the reference is of the whole batch.
pub fn check_batch(layer: &dyn Layer, shapes: &[Shape], reference: Reference<'_>) {
    [1, 2, 5].iter().for_each(|&samples| check_parts(layer, shapes, samples, 1, reference));
}

/// Compares with a reference of each of some equal parts of a batch.
fn check_parts(layer: &dyn Layer, shapes: &[Shape], samples: usize, parts: usize, reference: Reference<'_>) {
    let mut harness = Harness::new(layer, shapes, samples);
    harness.forward();
    let weights = harness.places.iter().filter(|place| place.kind == ParameterKind::Weight);
    let parameters: Vec<Vec<f64>> = weights.map(|place| wide(&harness.weights[place.range.clone()])).collect();
    let mut parameter_gradients: Vec<Vec<f64>> = parameters.iter().map(|values| vec![0.0; values.len()]).collect();
    let mut input_gradients: Vec<Vec<f64>> = vec![Vec::new(); shapes.len()];
    for number in 0..parts {
        let part = |values: &[f32]| {
            let size = values.len() / parts;
            wide(&values[number * size..][..size])
        };
        let inputs: Vec<Vec<f64>> = harness.inputs.iter().map(|input| part(input)).collect();
        let (output, weights) = (part(&harness.output), part(&harness.output_gradient));
        near(&output, &reference(&inputs, &parameters), &format!("output, part {number} of {samples} samples, {layer:?}"));
        let loss = |inputs: &[Vec<f64>], parameters: &[Vec<f64>]| -> f64 {
            reference(inputs, parameters).iter().zip(&weights).map(|(y, w)| y * w).sum()
        };
        for (number, gradients) in input_gradients.iter_mut().enumerate() {
            gradients.extend(slopes(&inputs, number, |changed| loss(changed, &parameters)));
        }
        for (number, gradients) in parameter_gradients.iter_mut().enumerate() {
            let slopes = slopes(&parameters, number, |changed| loss(&inputs, changed));
            gradients.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum += slope);
        }
    }
    harness.backward(true, false);
    let compare = |harness: &Harness<'_>, times: f64, parameter_times: f64| {
        for (number, gradients) in input_gradients.iter().enumerate() {
            let wanted: Vec<f64> = gradients.iter().map(|g| g * times).collect();
            near(
                &wide(&harness.input_gradients[number]),
                &wanted,
                &format!("gradient of input {number}, {samples} samples, {layer:?}"),
            );
        }
        for (number, gradients) in parameter_gradients.iter().enumerate() {
            let wanted: Vec<f64> = gradients.iter().map(|g| g * parameter_times).collect();
            near(
                &wide(harness.gradient(number)),
                &wanted,
                &format!("gradient of parameter {number}, {samples} samples, {layer:?}"),
            );
        }
    };
    compare(&harness, 1.0, 1.0);
    // The second time it adds; the third time only to the parameters.
    harness.backward(true, true);
    compare(&harness, 2.0, 2.0);
    harness.backward(false, false);
    compare(&harness, 2.0, 3.0);
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Slopes of `loss` along the values of one of several lists: along some 100 of them, and NaN for the others of a list
/// that is long.
fn slopes(lists: &[Vec<f64>], number: usize, loss: impl Fn(&[Vec<f64>]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-6;
    let mut changed = lists.to_vec();
    // An odd distance meets all places within a vector, odd and even channels, all corners of windows.
    let distance = (lists[number].len() / 100) | 1;
    (0..lists[number].len())
        .map(|place| {
            if place % distance != 0 {
                return f64::NAN;
            }
            let value = lists[number][place];
            changed[number][place] = value + STEP;
            let above = loss(&changed);
            changed[number][place] = value - STEP;
            let below = loss(&changed);
            changed[number][place] = value;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

fn near(found: &[f64], wanted: &[f64], what: &str) {
    assert_eq!(found.len(), wanted.len(), "length of the {what}");
    for (place, (found, wanted)) in found.iter().zip(wanted).enumerate().filter(|(_, (_, wanted))| !wanted.is_nan()) {
        // f32 sums of a few hundred products of numbers below 1.
        assert!((found - wanted).abs() <= 2e-5 * (1.0 + wanted.abs()), "{what}: {found} at {place}, wanted {wanted}");
    }
}
