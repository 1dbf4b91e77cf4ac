//! Random models of all layers: forks and merges, norms anywhere, reshapes, shared layers, nested models, several inputs and
//! outputs. A seed and a number of steps give the same model, weights and samples in every run; fewer steps give a part of it.
//!
//! **A new kind of layer** is drawn as soon as it stands in [`ALL_LAYERS`]: `registered` puts one of its examples behind whatever
//! there is, brought into the example's shapes. `random_graphs.rs` fails while a kind of that list does not occur. One that is to
//! be drawn more often, or with more options than its examples have, gets a line in `layer` (one input), `merge` (several) or
//! `passage` (where a norm may pass it). One that takes tokens gets an input of the model. What [`train`] gives its parameters
//! follows their names.

use crate::generator;
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use samara_trainer::layers::ALL_LAYERS;
use samara_trainer::prelude::*;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Samples of a random model.
pub const SAMPLES: usize = 24;
/// Values of a tensor, at most.
const LARGEST: usize = 400;
/// Channels and heights with many divisors: reshapes of what channels mean are where exporters err.
const CHANNELS: [usize; 9] = [1, 2, 2, 3, 4, 4, 6, 8, 8];
/// Models within models, at most.
const DEEPEST: usize = 2;

/// What turns tensors into tensors: a layer or a model, whose parameters all applications share.
type Part = Rc<dyn Fn(Vec<SymbolicTensor>) -> Vec<SymbolicTensor>>;

fn divisors(of: usize) -> Vec<usize> {
    (1..=of).filter(|divisor| of.is_multiple_of(*divisor)).collect()
}

fn part(layer: impl Apply + 'static) -> Part {
    Rc::new(move |inputs| vec![layer.apply_to(inputs)])
}

/// A tensor of a model in the making.
#[derive(Clone)]
struct Open {
    tensor: SymbolicTensor,
    /// Its place among the model's tensors; none for tokens.
    number: usize,
    /// Bit `n`: it depends on input `n`.
    depends: u32,
    is_read: bool,
}

impl Open {
    fn shape(&self) -> &Shape {
        self.tensor.shape().expect("only tensors that can be computed are kept")
    }
}

/// A model in the making.
struct Draft {
    random: StdRng,
    tensors: Vec<Open>,
    /// The inputs; tokens are no tensors that other layers take.
    inputs: Vec<SymbolicTensor>,
    /// Layers and models to be applied again, with the shape they took.
    shared: Vec<(Shape, Part)>,
    /// How often a step goes on from the latest tensor, alone: some models are all branches, some a chain.
    onward: f64,
    depth: usize,
    /// Bit `n`: the samples of input `n` are of several lengths.
    variable: u32,
}

/// How many steps the model of this seed has.
pub fn steps(seed: u64) -> usize {
    generator(seed).random_range(1..=14)
}

/// The model of this seed, cut off after some steps, and samples for it.
///
/// # Panics
/// If the trainer refuses a model made of tensors that have shapes: a defect.
pub fn random_model(seed: u64, steps: usize) -> (Model, Vec<Tensor>) {
    let mut random = generator(seed ^ 0x5eed);
    let shapes: Vec<Shape> = (0..*[1, 1, 1, 2, 3].choose(&mut random).expect("not empty"))
        .map(|_| match random.random_range(0..4) {
            0 => Shape::from([random.random_range(1..=12)]),
            1 => Shape::from([random.random_range(1..=12), *CHANNELS.choose(&mut random).expect("not empty")]),
            _ => Shape::from([0; 3].map(|_| *CHANNELS.choose(&mut random).expect("not empty"))),
        })
        .collect();
    // In every third model, sequences may be shorter than their shapes say.
    let varies = generator(seed ^ 0x1e57).random_range(0..3) == 0;
    let is_variable = |shape: &Shape| varies && shape.len() == 2 && shape[0] > 1;
    let variable = shapes.iter().enumerate().fold(0, |bits, (number, shape)| bits | u32::from(is_variable(shape)) << number);
    let inputs = shapes.into_iter().map(|shape| {
        let is_variable = is_variable(&shape);
        let tensor = input(shape);
        if is_variable { tensor.variable_length() } else { tensor }
    });
    let model = draw("random", inputs.collect(), variable, steps, random, 0);
    let mut random = generator(seed ^ 0xda7a);
    train(&model, &mut random);
    let samples = samples(&model, &mut random);
    (model, samples)
}

/// How many tokens there are for an input of the model, if it is of tokens.
pub fn vocabulary(model: &Model, input: usize) -> Option<usize> {
    let graph = model.graph();
    let reads = |node: &samara_trainer::graph::Node| {
        let place = node.inputs.iter().position(|&from| from == graph.inputs[input])?;
        node.layer.as_ref()?.vocabulary(place)
    };
    graph.nodes.iter().find_map(reads)
}

/// Random samples for a model, of one magnitude for each input, or tokens.
pub fn samples(model: &Model, random: &mut StdRng) -> Vec<Tensor> {
    let graph = model.graph();
    let of_input = |input: usize| {
        let shape = graph.nodes[graph.inputs[input]].shape.clone();
        let reach = *[0.1, 1.0, 1.0, 5.0].choose(random).expect("not empty");
        let mut value = || match vocabulary(model, input) {
            Some(tokens) => random.random_range(0..tokens) as f32,
            None => random.random_range(-reach..reach),
        };
        let values = (0..SAMPLES * shape.size()).map(|_| value()).collect();
        let (least, most) = (graph.least_length(input), shape[0]);
        let samples = Tensor::from_samples(shape, values).expect("whole samples");
        if graph.nodes[graph.inputs[input]].length_group == 0 {
            return samples;
        }
        // What stands behind the steps is drawn, too.
        let lengths: Vec<usize> = (0..SAMPLES).map(|_| random.random_range(least..=most)).collect();
        samples.with_lengths(lengths).expect("lengths that there are")
    };
    (0..graph.inputs.len()).map(of_input).collect()
}

fn draw(name: &str, inputs: Vec<SymbolicTensor>, variable: u32, steps: usize, mut random: StdRng, depth: usize) -> Model {
    let tensors = inputs.iter().enumerate().map(|(number, tensor)| Open {
        tensor: tensor.clone(),
        number,
        depends: 1 << number,
        is_read: false,
    });
    let onward = *[0.4, 0.8, 0.95].choose(&mut random).expect("not empty");
    let mut draft = Draft { tensors: tensors.collect(), inputs, random, shared: Vec::new(), onward, depth, variable };
    (0..steps).for_each(|_| draft.step());
    let outputs = draft.outputs();
    Model::new(name, draft.inputs, outputs).expect("a model of tensors that fit together")
}

/// Weights as training leaves them: channels of different reach, norms that do something, some of them negative or zero.
pub fn train(model: &Model, random: &mut StdRng) {
    for parameter in model.parameters() {
        let kind = parameter.name.rsplit('/').next().unwrap_or_default();
        let (size, outputs) = (parameter.shape.size(), parameter.shape.channels());
        let shape = &parameter.shape;
        // Depthwise kernels are [window, channels, 1], the window of one size or two.
        let is_depthwise = ["DepthwiseConv", "SeparableConv"].iter().any(|start| parameter.layer.kind().starts_with(start));
        let (fan_in, outputs) = match &shape[..] {
            &[ref window @ .., channels, 1] if is_depthwise => (window.iter().product(), channels),
            _ => (size / outputs, outputs),
        };
        let reach: Vec<f32> = (0..outputs).map(|_| random.random_range(-1.0f32..1.0).exp()).collect();
        let mut value = |place: usize| match kind {
            "bias" | "beta" | "moving_mean" => random.random_range(-0.5..0.5),
            "gamma" => {
                let gamma = random.random_range(0.3..1.7);
                *[gamma, gamma, gamma, gamma, gamma, gamma, -gamma, 0.0].choose(random).expect("not empty")
            }
            "moving_variance" => random.random_range(-2.0f32..2.0).exp(),
            // One that grows what it remembers makes chaos of rounding.
            "recurrent_kernel" => (3.0 / fan_in as f32).sqrt() * random.random_range(-1.0..1.0),
            "alpha" => random.random_range(-0.3..0.6),
            _ => reach[place % outputs] * (3.0 / fan_in as f32).sqrt() * random.random_range(-1.0..1.0),
        };
        let values: Vec<f32> = (0..size).map(&mut value).collect();
        model.set_parameter(&parameter.name, &values).expect("as many values");
    }
}

impl Draft {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from.choose(&mut self.random).expect("not empty").clone()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.random.random_range(0..count) == 0
    }

    /// The latest tensor, or any.
    fn any(&mut self) -> Open {
        let onward = self.random.random_bool(self.onward);
        let place = if onward { self.tensors.len() - 1 } else { self.random.random_range(0..self.tensors.len()) };
        self.tensors[place].clone()
    }

    /// Adds what a part makes of the inputs, if it takes them and the tensors are small. `false` if not.
    fn apply(&mut self, part: &Part, inputs: &[Open]) -> bool {
        let depends = inputs.iter().fold(0, |all, input| all | input.depends);
        let outputs = part(inputs.iter().map(|input| input.tensor.clone()).collect());
        let fits = |output: &SymbolicTensor| output.shape().is_some_and(|shape| shape.size() <= LARGEST);
        if !outputs.iter().all(fits) || !self.follows_lengths(&outputs, depends) {
            return false;
        }
        for input in inputs {
            if let Some(read) = self.tensors.get_mut(input.number) {
                read.is_read = true;
            }
        }
        for tensor in outputs {
            self.tensors.push(Open { tensor, number: self.tensors.len(), depends, is_read: false });
        }
        true
    }

    /// `true` if what depends on these inputs can be computed of sequences of any length, where they are such.
    fn follows_lengths(&self, outputs: &[SymbolicTensor], depends: u32) -> bool {
        let inputs = self.inputs.iter().enumerate().filter(|(number, _)| depends >> number & 1 == 1);
        let inputs: Vec<SymbolicTensor> = inputs.map(|(_, input)| input.clone()).collect();
        depends & self.variable == 0 || Model::new("trial", inputs, outputs.to_vec()).is_ok()
    }

    /// Adds a layer, a merge, a nested model, or a second application of one that is there.
    fn step(&mut self) {
        // What does not fit is drawn again.
        for _ in 0..60 {
            let x = self.any();
            let alone = self.random.random_bool(self.onward);
            let done = match self.random.random_range(0..20) {
                0..=4 if !alone => self.merge(&x),
                5 | 6 if !alone => self.again(&x),
                7 if self.depth < DEEPEST => self.nested(&x),
                8..=11 => self.passage(x),
                12 => self.registered(),
                13 if x.shape().len() == 3 => self.residual(x),
                _ => {
                    let layer = self.layer(x.shape());
                    self.shared.push((x.shape().clone(), layer.clone()));
                    self.apply(&layer, &[x])
                }
            };
            if done {
                break;
            }
        }
    }

    /// Two convolutions that keep the shape, and their sum with what went in.
    fn residual(&mut self, x: Open) -> bool {
        let channels = x.shape()[2];
        let [first, second] = [self.behind(), self.behind()];
        let mut last = x.clone();
        for activation in [first, second] {
            let kernel = self.sizes(3);
            self.follow(&mut last, &part(Conv2D::new(channels, kernel).padding(Padding::Same).activation(activation)));
        }
        let inputs = if self.random.random() { [x, last] } else { [last, x] };
        self.apply(&part(Add::new()), &inputs)
    }

    fn again(&mut self, x: &Open) -> bool {
        let fitting: Vec<Part> =
            self.shared.iter().filter(|(shape, _)| shape == x.shape()).map(|(_, part)| part.clone()).collect();
        !fitting.is_empty() && {
            let part = self.pick(&fitting);
            self.apply(&part, std::slice::from_ref(x))
        }
    }

    /// Applies a layer to `last` and goes on from there, if it fits.
    fn follow(&mut self, last: &mut Open, layer: &Part) {
        if self.apply(layer, std::slice::from_ref(last)) {
            *last = self.tensors.last().cloned().expect("just added");
        }
    }

    /// A norm or what it might be folded into, a reshape to an image of other channels, what mixes or moves its pixels, perhaps
    /// another reshape, and what might take the norm: where exporters fold most, and err.
    fn passage(&mut self, mut last: Open) -> bool {
        let before = self.tensors.len();
        let (units, kernel) = (self.pick(&CHANNELS), self.sizes(2));
        let activation = self.pick(&[Activation::Relu, Activation::Relu6, Activation::Linear]);
        let first = match self.random.random_range(0..8) {
            0 => part(DepthwiseConv2D::new(kernel).padding(self.padding()).activation(activation)),
            1 => part(Conv2D::new(units, kernel).activation(activation)),
            2 => part(Dense::new(units).activation(activation)),
            _ => part(BatchNormalization::new()),
        };
        self.follow(&mut last, &first);
        if !self.one_in(4) {
            let image = self.image(&last.shape().clone());
            self.follow(&mut last, &part(Reshape::new(image)));
        }
        for _ in 0..self.pick(&[0, 1, 1, 2]) {
            let (kernel, strides, padding) = (self.sizes(2), self.sizes(2), self.padding());
            let mover = match self.random.random_range(0..13) {
                0..=3 => part(AveragePooling2D::new(kernel).strides(strides).padding(padding)),
                4 | 5 => part(MaxPooling2D::new(kernel).strides(strides).padding(padding)),
                6..=8 => part(UpSampling2D::new(kernel)),
                9 => part(ZeroPadding2D::new(1)),
                10 | 11 => self.mean(&last.shape().clone()),
                _ => self.pick(&[part(PReLU::new()), part(GlobalAveragePooling2D::new()), part(GlobalMaxPooling2D::new())]),
            };
            self.follow(&mut last, &mover);
        }
        match self.random.random_range(0..5) {
            0 => {
                let shape = self.reshaped(&last.shape().clone());
                self.follow(&mut last, &part(Reshape::new(shape)));
            }
            1 | 2 => self.follow(&mut last, &part(Flatten::new())),
            _ => {}
        }
        for _ in 0..self.pick(&[0, 1, 2]) {
            if last.shape().len() == 2 {
                let layer = self.sequence_layer();
                self.follow(&mut last, &layer);
            }
        }
        let (kernel, padding) = (self.sizes(2), self.padding());
        let layers = [
            part(Dense::new(units)),
            part(Dense::new(units)),
            part(Conv2D::new(units, kernel).padding(padding)),
            part(DepthwiseConv2D::new(kernel).padding(padding)),
            part(BatchNormalization::new()),
            self.layer(&last.shape().clone()),
        ];
        let layer = self.pick(&layers);
        self.follow(&mut last, &layer);
        self.tensors.len() > before
    }

    /// An example of any kind of layer, on tensors that are brought into its shapes.
    fn registered(&mut self) -> bool {
        let examples = (self.pick(&ALL_LAYERS.iter().collect::<Vec<_>>()).examples)();
        let example = self.pick(&examples);
        let is_of_model = |place| {
            let layer = &example.layer;
            layer.vocabulary(place).is_some() || layer.padding(place).is_some() || !layer.passes_gradient()
        };
        if (0..example.inputs.len()).any(is_of_model) && (self.depth > 0 || self.inputs.len() >= 6) {
            return false;
        }
        let mut inputs = Vec::new();
        for (place, shape) in example.inputs.iter().enumerate() {
            let mut x = self.any();
            if is_of_model(place) {
                self.variable |= u32::from(example.layer.padding(place).is_some()) << self.inputs.len();
                let depends = 1 << self.inputs.len();
                x = Open { tensor: input(shape.clone()), number: usize::MAX, depends, is_read: false };
                self.inputs.push(x.tensor.clone());
                inputs.push(x);
                continue;
            }
            if x.shape() != shape {
                let layers = [part(Flatten::new()), part(Dense::new(shape.size())), part(Reshape::new(shape.to_vec()))];
                layers.iter().for_each(|layer| self.follow(&mut x, layer));
            }
            inputs.push(x);
        }
        let layer: Part = Rc::new(move |inputs| vec![example.apply(inputs)]);
        self.apply(&layer, &inputs)
    }

    /// A mean over some of a shape's axes.
    fn mean(&mut self, shape: &Shape) -> Part {
        let axes: Vec<usize> = (0..shape.len()).filter(|_| self.random.random()).collect();
        let mean = Mean::over_axes(if axes.is_empty() { vec![0] } else { axes });
        part(if self.random.random() { mean.keep_axes() } else { mean })
    }

    fn nested(&mut self, x: &Open) -> bool {
        let steps = self.random.random_range(1..=4);
        let random = generator(self.random.random());
        let model = draw("nested", vec![input(x.shape().clone())], 0, steps, random, self.depth + 1);
        let nested: Part = Rc::new(move |inputs| model.apply_all(inputs));
        self.shared.push((x.shape().clone(), nested.clone()));
        self.apply(&nested, std::slice::from_ref(x))
    }

    fn merge(&mut self, x: &Open) -> bool {
        let concatenates = self.one_in(4);
        let axis = self.random.random_range(0..x.shape().len().max(1));
        let fits = |other: &&Open| {
            let (other, own) = (other.shape(), x.shape());
            let same = |place: usize| place == axis && concatenates || own[place] == other[place];
            own.len() == other.len() && (0..own.len()).all(same)
        };
        let mut partners: Vec<Open> = self.tensors.iter().filter(fits).cloned().collect();
        if partners.len() < 2 {
            // A branch of its own.
            let layers: [Part; 4] = [
                part(BatchNormalization::new()),
                part(PReLU::new()),
                part(Dense::new(x.shape().channels())),
                part(ActivationLayer::new(self.activation())),
            ];
            let layer = self.pick(&layers);
            if !self.apply(&layer, std::slice::from_ref(x)) {
                return false;
            }
            partners.extend(self.tensors.last().cloned());
        }
        let mut inputs = vec![x.clone()];
        (0..self.random.random_range(1..=2)).for_each(|_| inputs.push(self.pick(&partners)));
        if concatenates {
            return self.apply(&part(Concatenate::new().axis(axis)), &inputs);
        }
        match self.random.random_range(0..6) {
            0 | 1 => self.apply(&part(Add::new()), &inputs),
            2 if inputs.len() == 3 => self.apply(&part(WeightedSum::new([0.5, -0.75, 1.25])), &inputs),
            2 => self.apply(&part(Average::new()), &inputs),
            3 => self.apply(&part(Maximum::new()), &inputs),
            4 => self.apply(&part(Subtract::new()), &inputs[..2]),
            // Squeeze and excitation: one value per channel.
            _ if self.random.random() && x.shape().len() == 3 => {
                let squeeze = part(GlobalAveragePooling2D::new());
                let gate = part(Dense::new(x.shape().channels()).activation(Activation::Sigmoid));
                self.apply(&squeeze, std::slice::from_ref(x)) && {
                    let squeezed = self.tensors.last().cloned().expect("just added");
                    self.apply(&gate, &[squeezed]) && {
                        let gate = self.tensors.last().cloned().expect("just added");
                        self.apply(&part(Multiply::new()), &[x.clone(), gate])
                    }
                }
            }
            _ => self.apply(&part(Multiply::new()), &inputs[..2]),
        }
    }

    fn activation(&mut self) -> Activation {
        use Activation::*;
        self.pick(&[
            Relu,
            Relu,
            Relu,
            Relu6,
            LeakyRelu { slope: 0.3 },
            Elu,
            Selu,
            Sigmoid,
            Tanh,
            Softplus,
            Gelu,
            Swish,
            HardSigmoid,
            HardSwish,
            Linear,
            Softmax,
        ])
    }

    /// The activation that a layer is given.
    fn behind(&mut self) -> Activation {
        if self.random.random() { Activation::Linear } else { self.activation() }
    }

    fn sizes(&mut self, largest: usize) -> [usize; 2] {
        let vertical = self.random.random_range(1..=largest);
        if self.random.random() { [vertical; 2] } else { [vertical, self.random.random_range(1..=largest)] }
    }

    fn padding(&mut self) -> Padding {
        self.pick(&[Padding::Same, Padding::Valid])
    }

    /// A layer of one input. It need not fit.
    fn layer(&mut self, shape: &Shape) -> Part {
        let units = self.pick(&CHANNELS);
        let (kernel, strides, dilation, padding) = (self.sizes(3), self.sizes(2), self.sizes(2), self.padding());
        let (activation, has_bias) = (self.behind(), !self.one_in(4));
        if shape.len() == 2 && self.random.random() {
            return self.sequence_layer();
        }
        match self.random.random_range(0..27) {
            0..=2 => {
                let layer = Dense::new(units).activation(activation);
                part(if has_bias { layer } else { layer.without_bias() })
            }
            3 | 4 => {
                let layer = Conv2D::new(units, kernel).strides(strides).padding(padding).activation(activation);
                part(if has_bias { layer } else { layer.without_bias() })
            }
            5 => part(Conv2D::new(units, kernel).dilation(dilation).padding(padding).activation(activation)),
            6 | 7 => {
                let layer = DepthwiseConv2D::new(kernel).strides(strides).padding(padding).activation(activation);
                part(if has_bias { layer } else { layer.without_bias() })
            }
            8 => part(DepthwiseConv2D::new(kernel).dilation(dilation).padding(padding)),
            9 => part(SeparableConv2D::new(units, kernel).strides(strides).padding(padding).activation(activation)),
            10..=13 => part(BatchNormalization::new()),
            14 => part(MaxPooling2D::new(kernel).strides(strides).padding(padding)),
            15 => part(AveragePooling2D::new(kernel).strides(strides).padding(padding)),
            16 => self.pick(&[part(GlobalAveragePooling2D::new()), part(GlobalMaxPooling2D::new())]),
            17 => part(UpSampling2D::new(self.sizes(2))),
            18 => {
                let mut side = || self.random.random_range(0..=2);
                part(ZeroPadding2D::with_sides([side(), side()], [side(), side()]))
            }
            19 => self.pick(&[part(PReLU::new()), part(RReLU::new()), part(Dropout::new(0.3))]),
            20 => part(Flatten::new()),
            21..=23 => part(Reshape::new(self.reshaped(shape))),
            24 => self.mean(shape),
            _ => part(ActivationLayer::new(self.activation())),
        }
    }

    /// A layer of one sequence. It need not fit.
    fn sequence_layer(&mut self) -> Part {
        let units = self.pick(&CHANNELS);
        let ([kernel, strides], [dilation, factor]) = (self.sizes(3), self.sizes(2));
        let padding = self.pick(&[Padding::Same, Padding::Valid, Padding::Causal]);
        let activation = self.behind();
        match self.random.random_range(0..14) {
            0..=2 => part(Conv1D::new(units, kernel).strides(strides).padding(padding).activation(activation)),
            3 => part(Conv1D::new(units, kernel).dilation(dilation).padding(padding).activation(activation)),
            4 => part(DepthwiseConv1D::new(kernel).strides(strides).padding(padding).activation(activation)),
            5 => part(SeparableConv1D::new(units, kernel).dilation(dilation).padding(padding).activation(activation)),
            6 => part(MaxPooling1D::new(kernel).strides(strides).padding(padding)),
            7 => part(AveragePooling1D::new(kernel).strides(strides).padding(padding)),
            8 => self.pick(&[part(GlobalAveragePooling1D::new()), part(GlobalMaxPooling1D::new())]),
            9 => part(UpSampling1D::new(factor)),
            10 => part(ZeroPadding1D::with_sides([kernel - 1, factor])),
            11 => self.bidirectional(),
            12 => self.encoder_and_decoder(),
            _ => part(BatchNormalization::new()),
        }
    }

    /// Two recurrent layers of a kind, one of which goes backward.
    fn bidirectional(&mut self) -> Part {
        let (units, sequences) = (self.pick(&CHANNELS), self.random.random());
        let mode = self.pick(&[MergeMode::Concat, MergeMode::Sum, MergeMode::Mul, MergeMode::Ave]);
        macro_rules! of {
            ($layer:expr) => {
                Bidirectional::new(if sequences { $layer.return_sequences() } else { $layer })
            };
        }
        let layer = match self.random.random_range(0..3) {
            0 => of!(Lstm::new(units)),
            1 => of!(Gru::new(units)),
            _ => of!(SimpleRnn::new(units)),
        };
        part(layer.merge_mode(mode))
    }

    /// A recurrent layer that begins with the states that another one ends with.
    fn encoder_and_decoder(&mut self) -> Part {
        let (units, sequences) = (self.pick(&CHANNELS), self.random.random());
        macro_rules! of {
            ($layer:expr) => {{
                let (encoder, decoder) = ($layer.return_state(), $layer.return_sequences());
                let encoder = if sequences { encoder.return_sequences() } else { encoder };
                Rc::new(move |inputs| {
                    let (encoded, states) = encoder.apply_with_states(&inputs[..]);
                    let decoded = decoder.apply([&inputs[..], &states[..]].concat());
                    vec![encoded, decoded]
                })
            }};
        }
        match self.random.random_range(0..3) {
            0 => of!(Lstm::new(units)),
            1 => of!(Gru::new(units)),
            _ => of!(SimpleRnn::new(units)),
        }
    }

    /// As many values as an image with more or fewer channels, not a line where that can be.
    fn image(&mut self, from: &Shape) -> Vec<usize> {
        let (channels, size) = (from.channels(), from.size());
        let channels = if self.random.random() {
            self.pick(&divisors(channels))
        } else {
            channels * self.pick(&divisors(size / channels))
        };
        let pixels = size / channels;
        let heights = divisors(pixels);
        // Without 1 and all, if there are others.
        let inner = if heights.len() > 2 { &heights[1..heights.len() - 1] } else { &heights[..] };
        let height = if self.one_in(4) { self.pick(&heights) } else { self.pick(inner) };
        vec![height, pixels / height, channels]
    }

    /// As many values in one to four dimensions, half of the time an image.
    fn reshaped(&mut self, from: &Shape) -> Vec<usize> {
        if self.random.random() {
            return self.image(from);
        }
        let (mut shape, mut rest) = (Vec::new(), from.size());
        for _ in 0..self.pick(&[0, 1, 2, 3]) {
            let divisor = self.pick(&divisors(rest));
            shape.push(divisor);
            rest /= divisor;
        }
        shape.push(rest);
        shape
    }

    /// The last tensor, what nobody reads or not, some in the middle, and what is needed so that every input counts.
    fn outputs(&mut self) -> Vec<SymbolicTensor> {
        let inputs = self.inputs.len();
        if self.depth > 0 && self.tensors.len() == inputs {
            // A nested model that gives back its input makes no tensor of its own.
            let layer = part(ActivationLayer::new(self.activation()));
            let first = [self.tensors[0].clone()];
            self.apply(&layer, &first);
        }
        let mut outputs = vec![self.tensors.len() - 1];
        if self.random.random() {
            outputs.extend((0..self.tensors.len()).filter(|&number| !self.tensors[number].is_read));
        }
        while self.one_in(3) {
            // Now and then an input as it came.
            outputs.push(self.any().number);
        }
        for input in 0..inputs {
            let counts = |&number: &usize| self.tensors[number].depends >> input & 1 == 1;
            if !outputs.iter().any(counts) {
                outputs.extend((0..self.tensors.len()).rev().find(counts));
            }
        }
        // The trainer takes no tensor twice.
        let mut seen = BTreeSet::new();
        let is_new = |number: &usize| (self.depth == 0 || *number >= inputs) && seen.insert(*number);
        outputs.into_iter().filter(is_new).map(|number| self.tensors[number].tensor.clone()).collect()
    }
}
