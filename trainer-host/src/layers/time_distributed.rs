//! TimeDistributed: a layer, or a model, on each step of a sequence: `y[t] = f(x[t])`, with the same parameters at every step.
//!
//! Inputs `[T, ...]`; outputs `[T, ...]`, each step's as the layer gives them of `[...]`. In training, steps are samples: nothing is computed
//! twice or copied. On the device, layers are there once for each step, with one set of constants (in int8 as of all layers that are used
//! several times: where that costs less than 0.3 dB); layers that work along the last axis alone, such as Dense, take all steps at once.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    ALL_LAYERS, Activation, Backward, Conv2D, Example, Flatten, Forward, GlobalAveragePooling2D, InputGradients, Inputs, Layer,
    LayerBase, MaxPooling2D, ParameterGradients, ParameterSpec, Place, RandomKey, Requirements,
};
use crate::device::{Lowering, Value};
use crate::graph::pass::GradientPlace;
use crate::graph::{
    Application, Apply, LayerOptions, LengthRule, Named, Origin, Scope, Shape, SymbolicTensor, input, snake_case,
};

/// Inputs of a layer on each step, at most: their places lie on the stack.
const MOST_INPUTS: usize = 8;

/// A layer or a model for each step of a sequence. It is applied like a layer, and shares the parameters of what is in it.
///
/// ```
/// use samara_trainer::prelude::*;
///
/// let frames = input([5, 8, 8, 1]).named("frames");
/// let x = TimeDistributed::new(Conv2D::new(4, 3).activation(Activation::Relu)).named("eyes").apply(&frames);
/// let x = TimeDistributed::new(GlobalAveragePooling2D::new()).apply(&x);
/// let model = Model::new("gesture", &frames, Dense::new(2).apply(Lstm::new(6).apply(&x)))?;
/// assert_eq!(model.parameter("eyes/conv2d/kernel")?.len(), 3 * 3 * 4);
/// assert_eq!(model.tensor("time_distributed/global_average_pooling2d")?.shape(), Some(&Shape::from([5, 4])));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct TimeDistributed {
    name: Arc<str>,
    what: Arc<dyn Apply + Send + Sync>,
}

impl TimeDistributed {
    /// This layer, or model, on each step.
    pub fn new(what: impl Apply + Send + Sync + 'static) -> Self {
        Self { name: "time_distributed".into(), what: Arc::new(what) }
    }
}

impl fmt::Debug for TimeDistributed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeDistributed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Named for TimeDistributed {
    fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }
}

impl Apply for TimeDistributed {
    fn apply_to(&self, inputs: Vec<SymbolicTensor>) -> SymbolicTensor {
        self.applied(&inputs)
            .unwrap_or_else(|reason| SymbolicTensor::of_fault(format!("layer '{}' on each step: {reason}", self.name)))
    }
}

impl TimeDistributed {
    fn applied(&self, inputs: &[SymbolicTensor]) -> Result<SymbolicTensor, String> {
        let wanted = || "expected inputs [steps, ...] of as many steps".to_owned();
        let shapes = inputs.iter().map(|input| input.shape().filter(|shape| shape.len() > 1).cloned());
        let shapes = shapes.collect::<Option<Vec<Shape>>>().filter(|shapes| !shapes.is_empty()).ok_or_else(wanted)?;
        if shapes.iter().any(|shape| shape[0] != shapes[0][0]) {
            return Err(wanted());
        }
        let of_step: Vec<SymbolicTensor> = shapes.iter().map(|shape| input(&shape[1..])).collect();
        let output = self.what.apply_to(of_step.clone());
        // What was applied to a step, in order, applied to all steps.
        let mut tensors: HashMap<u64, SymbolicTensor> =
            of_step.iter().map(SymbolicTensor::number).zip(inputs.iter().cloned()).collect();
        let mut layers: HashMap<usize, Arc<dyn Layer>> = HashMap::new();
        let application = Arc::new(Application(self.name.clone()));
        for tensor in between(&of_step, &output).values() {
            let Origin::Layer { layer, part_of, inputs, scope } = tensor.origin() else {
                return Err("it depends on an input of another model".to_owned());
            };
            let shapes: Vec<Shape> = inputs.iter().filter_map(|input| input.shape().cloned()).collect();
            let Some(shape) = tensor.shape() else {
                let shapes: Vec<String> = shapes.iter().map(Shape::to_string).collect();
                let wanted = layer.output_shape(&inputs.iter().filter_map(|input| input.shape().cloned()).collect::<Vec<_>>());
                let wanted = wanted.err().unwrap_or_else(|| "other inputs".to_owned());
                return Err(format!("{} on steps of shape {}: expected {wanted}", layer.kind(), shapes.join(" and ")));
            };
            let own = |layer: &Arc<dyn Layer>| layer.base().name().map_or_else(|| snake_case(layer.kind()), str::to_owned);
            let node = match (scope, part_of) {
                (Some(scope), _) => format!("{}/{}", scope.application.0, scope.node),
                (None, Some(owner)) => format!("{}/{}", own(owner), snake_case(&layer.describe())),
                (None, None) => own(layer),
            };
            let scope = Scope { application: application.clone(), node, scopes: Vec::new() };
            let part_of = part_of.as_ref().and_then(|owner| layers.get(&owner.base().identity()).cloned());
            let distributed = on_steps(layer, &shapes, shape);
            layers.insert(layer.base().identity(), distributed.clone());
            let inputs = inputs.iter().filter_map(|input| tensors.get(&input.number()).cloned()).collect();
            tensors.insert(tensor.number(), SymbolicTensor::of_layer(distributed, inputs, part_of, Some(scope)));
        }
        tensors.remove(&output.number()).ok_or_else(wanted)
    }
}

/// The tensors that layers make of these inputs on the way to the output, by number, which is an order of computation.
fn between(inputs: &[SymbolicTensor], output: &SymbolicTensor) -> BTreeMap<u64, SymbolicTensor> {
    let (mut reached, mut open) = (BTreeMap::new(), vec![output.clone()]);
    while let Some(tensor) = open.pop() {
        let is_given = inputs.iter().any(|input| input.number() == tensor.number());
        if is_given || reached.contains_key(&tensor.number()) {
            continue;
        }
        if let Origin::Layer { inputs, .. } = tensor.origin() {
            open.extend(inputs.iter().cloned());
        }
        reached.insert(tensor.number(), tensor);
    }
    reached
}

/// What does to all steps what a layer does to one: the layer itself, if the steps are but one more axis to it.
fn on_steps(layer: &Arc<dyn Layer>, inputs: &[Shape], output: &Shape) -> Arc<dyn Layer> {
    let is_same = match layer.kind() {
        "Dense" | "BatchNormalization" => true,
        // Behind layers that the device has for each step, it has these, too, as their clamps.
        "Activation" | "Dropout" => output.len() == 1,
        _ => false,
    };
    if is_same {
        return layer.clone();
    }
    let mut distributed = Distributed::new(layer.clone());
    if layer.parameters(inputs).is_empty() {
        // With nothing to share, it is a layer of its own: the one given may stand elsewhere, too, not on steps.
        distributed.base = layer.base().anew();
    }
    Arc::new(distributed)
}

/// A layer whose samples are the steps of sequences.
#[derive(Debug, Clone)]
struct Distributed {
    /// The layer's, if it has parameters: it is the same layer.
    base: LayerBase,
    layer: Arc<dyn Layer>,
}

/// As it is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    kind: String,
    options: LayerOptions,
}

impl Distributed {
    fn new(layer: Arc<dyn Layer>) -> Self {
        Self { base: layer.base().clone(), layer }
    }

    /// The shape of a step of a sequence.
    fn step(sequence: &Shape) -> Shape {
        sequence.get(1..).unwrap_or_default().into()
    }

    /// The shapes of steps. One layer may be on steps of several shapes, so it has none of its own.
    fn steps(sequences: &[Shape]) -> Vec<Shape> {
        sequences.iter().map(Self::step).collect()
    }

    /// The places of steps, of those of whole sequences.
    fn places(places: &[Place], steps: usize) -> [Place; MOST_INPUTS] {
        std::array::from_fn(|input| {
            places.get(input).map_or(Place { slot: 0, size: 0 }, |place| Place { size: place.size / steps, ..*place })
        })
    }
}

impl Layer for Distributed {
    fn kind(&self) -> &'static str {
        "TimeDistributed"
    }

    fn base(&self) -> &LayerBase {
        &self.base
    }

    fn base_mut(&mut self) -> &mut LayerBase {
        &mut self.base
    }

    fn duplicate(&self) -> Arc<dyn Layer> {
        Arc::new(Self::new(self.layer.duplicate()))
    }

    fn options(&self) -> Result<LayerOptions, String> {
        let (kind, options) = (self.layer.kind().to_owned(), self.layer.options()?);
        LayerOptions::of(&Saved { kind, options })
    }

    fn with_options(&self, options: &LayerOptions) -> Result<Arc<dyn Layer>, String> {
        let Saved { kind, options } = options.read()?;
        let known = ALL_LAYERS.iter().find(|own| own.name == kind);
        let layer = known.ok_or_else(|| format!("the library has no layer '{kind}' to be applied to each step"))?;
        Ok(Arc::new(Self::new((layer.plain)().with_options(&options)?)))
    }

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let steps = inputs.first().and_then(|shape| shape.first()).copied().unwrap_or(0);
        if inputs.iter().any(|shape| shape.len() < 2 || shape[0] != steps) {
            return Err("inputs [steps, ...] of as many steps".to_owned());
        }
        let of_steps = Self::steps(inputs);
        // What else the layer says of them is of no meaning before it takes them.
        let output = self.layer.output_shape(&of_steps)?;
        let Requirements { forward_sums, backward_sums, state, carried, .. } = self.layer.requirements(&of_steps);
        if carried > 0 {
            return Err(format!("a layer that begins each step anew, {} without `stateful`", self.layer.kind()));
        }
        let is_of_batch = forward_sums + backward_sums + state > 0 || self.layer.has_batch_weight_gradient();
        if is_of_batch || self.layer.vocabulary(0).is_some() || inputs.len() > MOST_INPUTS {
            return Err(format!("a layer of single samples and at most {MOST_INPUTS} inputs, not {}", self.layer.kind()));
        }
        Ok([&[steps], &output[..]].concat().into())
    }

    fn length_rule(&self, _inputs: &[Shape]) -> Result<LengthRule, String> {
        Ok(LengthRule::Kept)
    }

    fn parameters(&self, inputs: &[Shape]) -> Vec<ParameterSpec> {
        self.layer.parameters(&Self::steps(inputs))
    }

    fn requirements(&self, inputs: &[Shape]) -> Requirements {
        let requirements = self.layer.requirements(&Self::steps(inputs));
        Requirements { saved: requirements.saved * inputs[0][0], ..requirements }
    }

    fn scratch(&self, inputs: &[Shape], samples: usize) -> usize {
        self.layer.scratch(&Self::steps(inputs), samples * inputs[0][0])
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let steps = pass.output_shape[0];
        let samples = pass.samples * steps;
        let places = Self::places(pass.inputs.places, steps);
        let (input_shapes, output_shape) = (Self::steps(pass.input_shapes), Self::step(pass.output_shape));
        self.layer.forward(&mut Forward {
            samples,
            training: pass.training,
            inputs: Inputs { slots: pass.inputs.slots, places: &places[..pass.inputs.places.len()], samples },
            input_shapes: &input_shapes,
            output_shape: &output_shape,
            output: pass.output,
            parameters: pass.parameters,
            lengths: None,
            state: pass.state,
            saved: pass.saved,
            carried: &mut [],
            scratch: pass.scratch,
            random: RandomKey { first_sample: pass.random.first_sample * steps, ..pass.random },
        });
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        let steps = pass.output_shape[0];
        let samples = pass.samples * steps;
        let places = Self::places(pass.inputs.places, steps);
        let of_gradients: [Option<GradientPlace>; MOST_INPUTS] = std::array::from_fn(|input| {
            let GradientPlace { place, accumulate } = pass.input_gradients.places.get(input).copied()??;
            Some(GradientPlace { place: Place { size: place.size / steps, ..place }, accumulate })
        });
        let gradients = &mut pass.input_gradients;
        let (input_shapes, output_shape) = (Self::steps(pass.input_shapes), Self::step(pass.output_shape));
        self.layer.backward(&mut Backward {
            samples,
            inputs: Inputs { slots: pass.inputs.slots, places: &places[..pass.inputs.places.len()], samples },
            input_shapes: &input_shapes,
            output: pass.output,
            output_shape: &output_shape,
            output_gradient: pass.output_gradient,
            input_gradients: InputGradients {
                slots: gradients.slots,
                places: &of_gradients[..gradients.places.len()],
                samples,
            },
            parameters: pass.parameters,
            parameter_gradients: ParameterGradients {
                values: pass.parameter_gradients.values,
                places: pass.parameter_gradients.places,
            },
            lengths: None,
            state: pass.state,
            saved: pass.saved,
            scratch: pass.scratch,
            random: RandomKey { first_sample: pass.random.first_sample * steps, ..pass.random },
        });
    }

    fn describe(&self) -> String {
        let own = self.layer.describe();
        if own.is_empty() { self.layer.kind().to_owned() } else { format!("{}, {own}", self.layer.kind()) }
    }

    fn lower(&self, lowering: &mut Lowering<'_>) -> Result<Value, String> {
        let mut outputs = Vec::new();
        let inputs: Vec<Shape> = (0..lowering.inputs.len()).map(|input| Self::step(lowering.input_shape(input))).collect();
        let output = Self::step(&lowering.output_shape);
        for step in 0..lowering.output_shape[0] {
            let inputs = inputs.iter().enumerate().map(|(input, shape)| lowering.step_of(input, step, shape)).collect();
            let name = format!("{}/{step}", lowering.name());
            outputs.push(self.layer.lower(&mut lowering.on_step(&name, inputs, output.clone()))?);
        }
        Ok(lowering.pack_steps(&outputs))
    }
}

/// Layers of this kind for the conformance tests.
pub(super) fn examples() -> Vec<Example> {
    let example = |layer: Arc<dyn Layer>, steps: usize, input: &[usize]| {
        Example::new(Distributed::new(layer), &[&[&[steps], input].concat()])
    };
    vec![
        example(Arc::new(Conv2D::new(3, 2)), 3, &[4, 3, 2]),
        example(Arc::new(MaxPooling2D::new(2)), 2, &[4, 4, 3]),
        example(Arc::new(GlobalAveragePooling2D::new()), 4, &[3, 2, 5]),
        example(Arc::new(Flatten::new()), 3, &[2, 2, 2]),
        example(Arc::new(super::ActivationLayer::new(Activation::Relu)), 2, &[2, 3, 2]),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::{
        ActivationLayer, Add, BatchNormalization, Concatenate, Dense, Dropout, Embedding, LayerNormalization, Lstm, Reshape,
        Slice,
    };
    use super::*;
    use crate::data::{Dataset, Tensor};
    use crate::device::run::DeviceModel;
    use crate::losses::MeanSquaredError;
    use crate::numeric::random::Random;
    use crate::optimizers::Sgd;
    use crate::{Fit, Model, Result};

    const STEPS: usize = 3;

    fn draw(shape: &[usize], stream: u64) -> Tensor {
        let mut random = Random::new(5, stream);
        let values = (0..shape.iter().product()).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect();
        Tensor::new(shape, values).unwrap()
    }

    /// What an image becomes: two paths, with an activation, a norm and a layer that works in place.
    fn eyes() -> Result<Model> {
        let x = input([6, 5, 2]);
        let y = Conv2D::new(4, 3).activation(Activation::Relu).apply(&x);
        let y = BatchNormalization::new().apply(&y);
        let y = Add::new().apply([&y, &Conv2D::new(4, 3).apply(&x)]);
        let y = Flatten::new().apply(MaxPooling2D::new(2).apply(Dropout::new(0.0).apply(&y)));
        Model::new("eyes", &x, Dense::new(3).activation(Activation::Tanh).apply(y))
    }

    /// A net on all steps at once, and the same with the model applied to each.
    fn both() -> Result<[Model; 2]> {
        let x = input([STEPS, 6, 5, 2]);
        let at_once = Model::new("m", &x, Lstm::new(4).named("lstm").apply(TimeDistributed::new(eyes()?).apply(&x)))?;
        let model = eyes()?;
        let rows = (0..STEPS).map(|step| Reshape::new([1, 3]).apply(model.apply(Slice::row(step).apply(&x))));
        let rows = Concatenate::new().axis(0).apply(rows.collect::<Vec<_>>());
        let apart = Model::new("m", &x, Lstm::new(4).named("lstm").apply(rows))?;
        for entry in at_once.parameters() {
            let name = entry.name.strip_prefix("time_distributed/").unwrap_or(&entry.name);
            apart.set_parameter(name, &entry.values())?;
        }
        Ok([at_once, apart])
    }

    #[test]
    fn a_device_takes_as_many_steps_as_a_sequence_has() -> Result<()> {
        let x = input([STEPS, 6, 5, 2]).variable_length();
        let steps = TimeDistributed::new(eyes()?).apply(&x);
        // Steps in steps; some of the sequence's, and all there are.
        let rows = TimeDistributed::new(Reshape::new([5, 12])).apply(&x);
        let inner = TimeDistributed::new(TimeDistributed::new(Reshape::new([4, 3]))).apply(rows);
        let pooled = TimeDistributed::new(GlobalAveragePooling2D::new())
            .apply(TimeDistributed::new(Reshape::new([5, 4, 3])).apply(inner));
        let both = Concatenate::new().apply([&steps, &pooled]);
        let ends = Concatenate::new().apply([&Slice::row(0).apply(&both), &Slice::last().apply(&both)]);
        let mut model = Model::new("m", &x, [both.clone(), ends, Lstm::new(4).apply(&both)])?;
        model.initialize(3);
        let x = draw(&[4, STEPS, 6, 5, 2], 1).with_lengths([1, 3, 2, 3])?;
        let expected = model.predict_all(std::slice::from_ref(&x))?;
        let found = DeviceModel::new(&model.export_f32()?)?.predict(std::slice::from_ref(&x))?;
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected.sample_shape(), found.sample_shape());
            let near = expected.values().iter().zip(found.values()).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near, "{:?}, {:?}", expected.values(), found.values());
        }
        let int8 = model.export_int8(std::slice::from_ref(&x), Default::default())?;
        assert_eq!(DeviceModel::new(&int8)?.predict(&[x])?.len(), 3);
        Ok(())
    }

    #[test]
    fn it_gives_and_learns_what_the_model_does_on_each_step() -> Result<()> {
        let [mut at_once, mut apart] = both()?;
        // The moments of a norm are those of all steps, not of each: it is frozen, with the moments that it has.
        for (model, norm) in [(&at_once, "time_distributed/eyes/batch_normalization"), (&apart, "eyes/batch_normalization")] {
            let node = model.graph().nodes.iter().find(|node| node.name == norm).unwrap();
            node.layer.as_ref().unwrap().set_trainable(false);
        }
        let (x, y) = (draw(&[7, STEPS, 6, 5, 2], 1), draw(&[7, 4], 2));
        let near = |a: &[f32], b: &[f32]| {
            assert_eq!(a.len(), b.len());
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5), "{a:?}, {b:?}");
        };
        near(at_once.predict(&x)?.values(), apart.predict(&x)?.values());
        let before = at_once.parameter("time_distributed/eyes/conv2d/kernel")?;
        let data = Dataset::new(x.clone(), y)?;
        for model in [&mut at_once, &mut apart] {
            model.compile(Sgd::new(0.5), MeanSquaredError)?;
            model.fit(&data, Fit { epochs: 3, batch: 4, verbose: false, shuffle: false, ..Fit::default() })?;
        }
        assert!(
            before.iter().zip(at_once.parameter("time_distributed/eyes/conv2d/kernel")?).any(|(a, b)| (a - b).abs() > 1e-3)
        );
        for entry in at_once.parameters() {
            near(&entry.values(), &apart.parameter(entry.name.strip_prefix("time_distributed/").unwrap_or(&entry.name))?);
        }
        let expected = at_once.predict(&x)?;
        let saved = Model::from_bytes(&at_once.to_bytes()?, &[])?;
        for copy in [&saved, &at_once.duplicate()?] {
            assert_eq!(copy.predict(&x)?, expected);
        }
        near(DeviceModel::new(&saved.export_f32()?)?.predict(std::slice::from_ref(&x))?[0].values(), expected.values());
        Ok(())
    }

    #[test]
    fn a_layer_on_steps_of_several_shapes_is_saved_and_copied() -> Result<()> {
        let frame = input([8, 8, 3]);
        let (convolution, pool) = (Conv2D::new(3, 3), MaxPooling2D::new(2));
        let relu = ActivationLayer::new(Activation::Relu);
        let y = pool.apply(convolution.apply(relu.apply(convolution.apply(&frame))));
        let y = relu.apply(Flatten::new().apply(pool.apply(y)));
        let eyes = Model::new("eyes", &frame, y)?;
        let x = input([STEPS, 8, 8, 3]);
        let mut model = Model::new("m", &x, TimeDistributed::new(eyes).apply(&x))?;
        model.initialize(3);
        let data = draw(&[2, STEPS, 8, 8, 3], 1);
        let expected = model.predict(&data)?;
        for copy in [Model::from_bytes(&model.to_bytes()?, &[])?, model.duplicate()?] {
            assert_eq!((copy.parameters().len(), copy.predict(&data)?), (2, expected.clone()));
        }
        Ok(())
    }

    #[test]
    fn constants_are_there_once_and_activations_are_clamps() -> Result<()> {
        let x = input([STEPS, 6, 5, 2]);
        let layer = TimeDistributed::new(Conv2D::new(4, 3).activation(Activation::Relu));
        let pooled = TimeDistributed::new(GlobalAveragePooling2D::new()).apply(layer.apply(&x));
        let graph = Model::new("m", &x, pooled)?.device_graph()?;
        let names: Vec<&str> =
            graph.nodes.iter().map(|node| node.name.as_str()).filter(|name| !name.contains("rows")).collect();
        // For each step a slice, the convolution and the pool; one concatenation.
        assert_eq!(names.len(), 3 * STEPS + 1, "{names:?}");
        Ok(())
    }

    #[test]
    fn dense_layers_take_all_steps_at_once() -> Result<()> {
        let x = input([STEPS, 5]);
        let y = TimeDistributed::new(Dense::new(2).activation(Activation::Softmax).named("head")).apply(&x);
        let model = Model::new("m", &x, y)?;
        let kinds: Vec<&str> = model.graph().nodes.iter().filter_map(|node| Some(node.layer.as_ref()?.kind())).collect();
        assert_eq!(kinds, ["Dense", "Activation"]);
        assert_eq!(model.parameters()[0].name, "time_distributed/head/kernel");
        assert_eq!(model.device_graph()?.nodes.len(), 2);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let told = |shape: &[usize], output: &dyn Fn(&SymbolicTensor) -> SymbolicTensor| {
            let x = input(shape);
            Model::new("m", &x, output(&x)).unwrap_err().to_string()
        };
        let message = told(&[4], &|x| TimeDistributed::new(Flatten::new()).apply(x));
        assert!(
            message.contains("layer 'time_distributed' on each step: expected inputs [steps, ...] of as many steps"),
            "{message}"
        );
        let message = told(&[4, 3], &|x| TimeDistributed::new(Conv2D::new(2, 3)).apply(x));
        assert!(message.contains("Conv2D on steps of shape [3]: expected"), "{message}");
        let message = told(&[4, 3], &|x| TimeDistributed::new(Embedding::new(5, 2)).apply(x));
        assert!(message.contains("expected a layer of single samples and at most 8 inputs, not Embedding"), "{message}");
        let message = told(&[4, 4, 1], &|x| {
            let layer = LayerNormalization::new();
            Concatenate::new().apply([&TimeDistributed::new(layer.clone()).apply(x), &layer.apply(x)])
        });
        assert!(message.contains("is applied alone and in a `TimeDistributed`"), "{message}");
    }
}
