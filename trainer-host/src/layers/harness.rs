//! For tests: runs a layer without a model, and checks it against a naive reference in f64, gradients included.

use super::{Backward, Forward, InputGradients, Inputs, Layer, ParameterGradients, Parameters};
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
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    places: Vec<ParameterPlace>,
    saved: Vec<f32>,
    scratch: Vec<f32>,
}

impl<'a> Harness<'a> {
    /// A layer on inputs of these shapes, everything filled with random numbers in -1..1.
    pub fn new(layer: &'a dyn Layer, shapes: &[Shape], samples: usize) -> Self {
        let output_shape = layer.output_shape(shapes).expect("shapes that the layer takes");
        let mut places = Vec::new();
        let mut end = 0;
        for spec in layer.parameters(shapes) {
            let range = end..end + spec.shape.size();
            end = range.end;
            places.push(ParameterPlace { kind: ParameterKind::Weight, range: range.clone(), lane_range: range });
        }
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
            parameters: vec![0.0; end],
            gradients: vec![0.0; end],
            saved: vec![f32::NAN; layer.requirements(shapes).saved * samples],
            scratch: vec![f32::NAN; layer.scratch(shapes, samples)],
            shapes: shapes.to_vec(),
            output_shape,
            samples,
            places,
        };
        harness.inputs.iter_mut().for_each(|input| fill(input));
        fill(&mut harness.output_gradient);
        fill(&mut harness.parameters);
        harness
    }

    /// The values of a parameter, to be set.
    pub fn parameter_mut(&mut self, parameter: usize) -> &mut [f32] {
        &mut self.parameters[self.places[parameter].range.clone()]
    }

    /// The gradient of a parameter.
    pub fn gradient(&self, parameter: usize) -> &[f32] {
        &self.gradients[self.places[parameter].range.clone()]
    }

    fn places(&self) -> Vec<Place> {
        self.shapes.iter().enumerate().map(|(slot, shape)| Place { slot, size: shape.size() }).collect()
    }

    /// Runs the forward pass.
    pub fn forward(&mut self) -> &[f32] {
        let places = self.places();
        let in_place = self.layer.requirements(&self.shapes).in_place;
        if in_place {
            self.output.copy_from_slice(&self.inputs[0]);
        }
        self.layer.forward(&mut Forward {
            samples: self.samples,
            training: true,
            inputs: Inputs { slots: &self.inputs, places: &places, samples: self.samples },
            input_shapes: &self.shapes,
            output_shape: &self.output_shape,
            output: &mut self.output,
            parameters: Parameters { weights: &self.parameters, statistics: &[], places: &self.places },
            state: &[],
            saved: &mut self.saved,
            scratch: &mut self.scratch,
            random: RandomKey::default(),
        });
        &self.output
    }

    /// Runs the backward pass after the forward pass. What the layer did not ask for is not there.
    pub fn backward(&mut self, wanted: bool, accumulate: bool) {
        let places = self.places();
        let gradient_places: Vec<Option<GradientPlace>> =
            places.iter().map(|&place| wanted.then_some(GradientPlace { place, accumulate })).collect();
        let requirements = self.layer.requirements(&self.shapes);
        let none: Vec<Aligned> = Vec::new();
        let inputs = if requirements.backward_reads_inputs { &self.inputs } else { &none };
        let mut output_gradient = self.output_gradient.clone();
        self.layer.backward(&mut Backward {
            samples: self.samples,
            inputs: Inputs { slots: inputs, places: &places, samples: self.samples },
            input_shapes: &self.shapes,
            output: if requirements.backward_reads_output { &self.output } else { &[] },
            output_shape: &self.output_shape,
            output_gradient: &mut output_gradient,
            input_gradients: InputGradients {
                slots: &mut self.input_gradients,
                places: &gradient_places,
                samples: self.samples,
            },
            parameters: Parameters { weights: &self.parameters, statistics: &[], places: &self.places },
            parameter_gradients: ParameterGradients { values: &mut self.gradients, places: &self.places },
            state: &[],
            saved: &self.saved,
            scratch: &mut self.scratch,
            random: RandomKey::default(),
        });
        if requirements.in_place && wanted {
            for (sum, part) in self.input_gradients[0].iter_mut().zip(output_gradient) {
                *sum = if accumulate { *sum + part } else { part };
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

/// One sample's output of the naive reference, from the inputs and the parameters.
pub type Reference<'a> = &'a dyn Fn(&[Vec<f64>], &[Vec<f64>]) -> Vec<f64>;

/// Compares a layer's output and gradients with those of the reference, for several numbers of samples; the gradients
/// by differences in f64. The reference must be linear around the inputs, or nearly so.
pub fn check(layer: &dyn Layer, shapes: &[Shape], reference: Reference<'_>) {
    for samples in [1, 2, 5] {
        let mut harness = Harness::new(layer, shapes, samples);
        harness.forward();
        let parameters: Vec<Vec<f64>> = harness.places.iter().map(|p| wide(&harness.parameters[p.range.clone()])).collect();
        let mut parameter_gradients: Vec<Vec<f64>> = parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        let mut input_gradients: Vec<Vec<f64>> = vec![Vec::new(); shapes.len()];
        for sample in 0..samples {
            let part = |values: &[f32]| {
                let size = values.len() / samples;
                wide(&values[sample * size..][..size])
            };
            let inputs: Vec<Vec<f64>> = harness.inputs.iter().map(|input| part(input)).collect();
            let (output, weights) = (part(&harness.output), part(&harness.output_gradient));
            near(&output, &reference(&inputs, &parameters), &format!("output of sample {sample} of {samples}, {layer:?}"));
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
