//! Mistakes of users: a clear sentence each, and nothing lost.

use samara_trainer::{prelude::*, quantize::Options};

fn message<T>(result: Result<T>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

fn classifier() -> Model {
    let x = input([2, 2, 1]).named("image");
    let y = Dense::new(3).activation(Activation::Softmax).apply(Flatten::new().apply(&x));
    let mut model = Model::new("classifier", x, y).unwrap();
    model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy).unwrap();
    model
}

fn quiet() -> Fit<'static> {
    Fit { verbose: false, ..Fit::default() }
}

#[test]
fn all_faults_of_a_graph_are_told_at_once() {
    let (a, b) = (input([8, 8, 3]), input([4]).named("other"));
    let sum = Add::new().apply([&a, &b]);
    let big = Conv2D::new(4, 9).named("too_big").apply(&a);
    let dead = Dense::new(0).apply(&b);
    let end = Concatenate::new().apply([&sum, &big, &dead]);
    let text = message(Model::new("broken", &a, end));
    for part in [
        "model 'broken' cannot be built:",
        "the outputs depend on the input 'other' of shape [4], which is not among the model's inputs: add it to them",
        "layer 'add' on inputs of shapes [8, 8, 3] and [4]: expected two or more inputs of the same shape: a `Dense`, `Conv2D` or `Reshape` before one makes them so",
        "layer 'too_big' on an input of shape [8, 8, 3]: expected",
        "layer 'dense' on an input of shape [4]: expected at least 1 unit",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert_eq!(text.matches("\n  - ").count(), 4, "{text}");
}

#[test]
fn names_and_shared_layers_must_fit() {
    let x = input([4]);
    let y = Dense::new(2).named("one").apply(Dense::new(3).named("one").apply(&x));
    assert!(message(Model::new("names", &x, y)).contains(
        "the name 'one' is given twice: give one of them another name or none, or apply one layer twice to share it"
    ));
    let shared = Dense::new(3).named("shared");
    let text = message(Model::new("sharing", &x, shared.apply(shared.apply(&x))));
    let wanted = "layer 'shared@1' is shared: its kernel has the shape [4, 3], but here it would have to be [3, 3]";
    assert!(text.contains(wanted), "{text}");
    let unused = input([2]);
    let text = message(Model::new("unused", [&x, &unused], Dense::new(1).apply(&x)));
    assert!(text.contains("no output depends on input 1: leave it out, or apply a layer to it"), "{text}");
}

#[test]
fn tokens_are_integers_of_the_vocabulary_and_inputs_of_the_model() {
    let x = input([3]).named("words");
    let model = Model::new("text", &x, Flatten::new().apply(Embedding::new(5, 2).apply(&x))).unwrap();
    let told = |tokens: [f32; 3]| {
        let all = [[0.0; 3], tokens].concat();
        message(model.predict_all(&[Tensor::from_samples([3], all).unwrap()]))
    };
    assert_eq!(told([0.0, 4.0, 1.0]), "");
    let wanted = |token| {
        format!(
            "input 'words' has the token {token} in sample 1, position 2, but the vocabulary has 5: integers from 0 to 4; give `Embedding` more tokens, or replace those that it does not have"
        )
    };
    assert_eq!(told([1.0, 4.0, 5.0]), wanted("5"));
    assert_eq!(told([0.0, 0.0, -1.0]), wanted("-1"));
    assert_eq!(told([2.0, 0.0, 1.5]), wanted("1.5"));
    let made = Dense::new(3).apply(&x);
    let text = message(Model::new("made", &x, Embedding::new(5, 2).apply(made)));
    assert!(text.contains("layer 'embedding' takes tokens, an input of the model, not what layer 'dense' makes"), "{text}");
    // An input that is tokens here and numbers there has no type on the device.
    let both = Concatenate::new().apply([&Flatten::new().apply(Embedding::new(5, 2).apply(&x)), &Dense::new(2).apply(&x)]);
    let error = Model::new("both", &x, both).unwrap().export_f32().unwrap_err().to_string();
    assert!(error.contains("they must be an input of the model that embeddings alone read"), "{error}");
}

/// A layer that a user wrote, and that has another length in mind than it says.
#[derive(Debug, Clone)]
struct Careless {
    base: LayerBase,
    fails_in: &'static str,
}

impl Careless {
    fn new(fails_in: &'static str) -> Self {
        Self { base: LayerBase::new(), fails_in }
    }
}

impl Layer for Careless {
    identity!("Careless");

    fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(if self.fails_in == "place" { Shape::from([2]) } else { inputs[0].clone() })
    }

    fn requirements(&self, _inputs: &[Shape]) -> Requirements {
        Requirements { in_place: self.fails_in == "place", state: 1, ..Requirements::default() }
    }

    fn forward(&self, pass: &mut Forward<'_>) {
        let input = pass.inputs.get(0);
        let length = if self.fails_in == "forward" { input.len() - 1 } else { input.len() };
        pass.output.copy_from_slice(&input[..length]);
    }

    fn prepare(&self, pass: &mut Prepare<'_>) {
        if self.fails_in == "prepare" {
            pass.state[1] = 0.0;
        }
    }

    fn backward(&self, pass: &mut Backward<'_>) {
        if let Some(slot) = pass.input_gradients.get_mut(0) {
            slot.values.copy_from_slice(&pass.output_gradient[1..]);
        }
    }

    fn lower(&self, lowering: &mut samara_trainer::device::Lowering<'_>) -> Result<samara_trainer::device::Value, String> {
        Ok(lowering.inputs[0])
    }
}

#[test]
fn a_layer_from_outside_that_panics_is_named() {
    let data = Dataset::new(Tensor::new([4, 3], vec![0.5; 12]).unwrap(), Tensor::from_labels(&[0u8, 1, 2, 0])).unwrap();
    let model = |fails_in| {
        let x = input([3]);
        let y = Careless::new(fails_in).named("mine").apply(Dense::new(3).apply(&x));
        let mut model = Model::new("careless", &x, ActivationLayer::new(Activation::Softmax).apply(&y))?;
        model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy)?;
        Ok(model)
    };
    let start = "layer 'mine' of kind Careless failed in ";
    let text = message(model("forward").unwrap().predict(&data));
    assert!(text.starts_with(&format!("{start}its forward pass: ")) && text.contains("length"), "{text}");
    assert_eq!(message(model("forward").unwrap().evaluate(&data)), text);
    let text = message(model("prepare").unwrap().predict(&data));
    assert!(text.starts_with(&format!("{start}what it prepares for a pass: index out of bounds")), "{text}");
    let mut trained = model("backward").unwrap();
    let before = trained.parameter("dense/kernel").unwrap();
    let text = message(trained.fit(&data, quiet()));
    assert!(text.starts_with(&format!("{start}its backward pass: ")), "{text}");
    assert_eq!(trained.parameter("dense/kernel").unwrap(), before);
    let text = message(model("place"));
    let wanted =
        "layer 'mine' is to work in place, but makes an output of shape [2] of [3]: expected one input of the output's size";
    assert!(text.contains(wanted), "{text}");
}

#[test]
fn model_files_take_as_many_tensors_as_they_have_inputs() {
    let model = classifier();
    let device = DeviceModel::new(&model.export_f32().unwrap()).unwrap();
    let images = Tensor::new([3, 2, 2, 1], (0..12u8).map(|i| f32::from(i) / 12.0).collect()).unwrap();
    let (here, there) = (model.predict(&images).unwrap(), device.predict(std::slice::from_ref(&images)).unwrap());
    assert_eq!((there.len(), there[0].samples(), &there[0].sample_shape()[..]), (1, 3, &[3][..]));
    assert!(here.values().iter().zip(there[0].values()).all(|(a, b)| (a - b).abs() < 1e-6));
    let text = message(device.predict(&[]));
    assert_eq!(text, "model 'classifier' has 1 input, but 0 input tensors were given: give one for each");
    let text = message(device.predict(&[images.clone(), images]));
    assert_eq!(text, "model 'classifier' has 1 input, but 2 input tensors were given: give one for each");
    let text = message(device.predict(&[Tensor::new([2, 3], vec![0.0; 6]).unwrap()]));
    assert!(text.starts_with("sample 0: "), "{text}");
}

/// `?` takes what any call of a program that trains, exports and runs models can return.
#[test]
fn one_error_for_a_whole_program() {
    fn converts<E>()
    where
        Error: From<E>,
    {
    }
    converts::<samara_runtime::LoadError>();
    converts::<samara_runtime::InputError>();
    converts::<samara_runtime::SelfTestError>();
    converts::<samara_runtime::format::writer::GraphError>();
    converts::<samara_trainer::checkpoint::CheckpointError>();
    converts::<samara_trainer::data::sources::SourceError>();
    converts::<samara_trainer::device::ExportError>();
    converts::<samara_trainer::device::run::RunError>();
    converts::<std::io::Error>();
}

#[test]
fn penalties_must_be_sizes() {
    let x = input([4]);
    let shared = Dense::new(4).kernel_regularizer(L2::new(-0.5)).named("shared");
    let y = Dense::new(2).bias_regularizer(L1L2::new(0.1, f32::NAN)).apply(shared.apply(shared.apply(&x)));
    assert_eq!(
        message(Model::new("penalties", &x, BatchNormalization::new().gamma_regularizer(L1::new(f32::INFINITY)).apply(&y))),
        "model 'penalties' cannot be built:\n  \
         - layer 'shared', regularizer of its kernel: l2 is -0.5, but must be a finite number of at least 0\n  \
         - layer 'dense', regularizer of its bias: l2 is NaN, but must be a finite number of at least 0\n  \
         - layer 'batch_normalization', regularizer of its gamma: l1 is inf, but must be a finite number of at least 0"
    );
}

#[test]
fn initial_values_and_given_ones_are_finite() {
    let x = input([2]);
    let y = Dense::new(1).named("last").bias_initializer(samara_trainer::initializers::Constant::new(f32::NAN)).apply(&x);
    let text = message(Model::new("net", &x, y));
    assert!(text.contains("layer 'last', initial values of its bias: NaN is among them, but all must be finite"), "{text}");
    let text = message(classifier().set_parameter("dense/bias", &[0.0, f32::INFINITY, 0.0]));
    assert_eq!(text, "a value of the parameter is inf, but must be finite");
}

#[test]
fn losses_must_fit_outputs() {
    let x = input([4]);
    let mut model = Model::new("single", &x, Dense::new(1).apply(&x)).unwrap();
    assert_eq!(
        message(model.compile(Sgd::new(0.1), SparseCategoricalCrossentropy)),
        "loss sparse_categorical_crossentropy for output 'dense' of shape [1]: the last axis holds the classes and must \
         be at least 2; for one output use binary_crossentropy"
    );
    assert_eq!(
        message(model.compile(Sgd::new(0.1), Vec::<Objective>::new())),
        "model 'single' has 1 output, but 0 losses were given: give one for each"
    );
    let data = Dataset::new(Tensor::new([1, 4], vec![0.0; 4]).unwrap(), Tensor::from_labels(&[0u8])).unwrap();
    assert_eq!(message(model.fit(&data, quiet())), "model 'single' has no optimizer and loss yet: call `compile` before `fit`");
}

#[test]
fn data_must_fit_the_model() {
    let mut model = classifier();
    let images = |samples: usize| Tensor::new([samples, 2, 2, 1], vec![0.5; samples * 4]).unwrap();
    let labels = |labels: &[u8]| Tensor::from_labels(labels);
    let wrong = Dataset::new(Tensor::new([2, 5], vec![0.0; 10]).unwrap(), labels(&[0, 1])).unwrap();
    assert_eq!(message(model.fit(&wrong, quiet())), "input 'image' has samples of shape [5], but [2, 2, 1] is expected");
    let wrong = Dataset::new(images(3), labels(&[0, 1, 7])).unwrap();
    let out_of_range = "the target of output 'dense/softmax' has the label 7 in sample 2, but the model has 3 classes: 0 to 2";
    assert_eq!(message(model.fit(&wrong, quiet())), out_of_range);
    assert_eq!(message(model.evaluate(&wrong)), out_of_range);
    let one_hot = Dataset::new(images(1), Tensor::new([1, 3], vec![0.0, 1.0, 0.0]).unwrap()).unwrap();
    assert_eq!(
        message(model.fit(&one_hot, quiet())),
        "the target of output 'dense/softmax' has samples of shape [3], but [] is expected"
    );
    let mut image = images(1);
    image.values_mut()[2] = f32::NAN;
    assert_eq!(
        message(model.predict(&image)),
        "input 'image' has the value NaN in sample 0, position 2: all values must be finite"
    );
    let good = Dataset::new(images(3), labels(&[0, 1, 2])).unwrap();
    assert_eq!(message(model.fit(&good, Fit { batch: 0, ..quiet() })), "batch is 0, but must be at least 1");
    assert_eq!(message(model.fit(&good, Fit { validation: Some(&wrong), ..quiet() })), out_of_range);
}

#[test]
fn divergence_is_an_error_and_keeps_the_last_good_parameters() {
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).apply(&x)).unwrap();
    model.compile(Sgd::new(1e12), MeanSquaredError).unwrap();
    let before = model.parameter("dense/kernel").unwrap();
    let values: Vec<f32> = (0..64).map(|number| number as f32).collect();
    let tensor = Tensor::new([64, 1], values).unwrap();
    let data = Dataset::new(tensor.clone(), tensor).unwrap();
    let text = message(model.fit(&data, Fit { batch: 4, ..quiet() }));
    assert!(text.starts_with("the loss became"), "{text}");
    assert_eq!(model.parameter("dense/kernel").unwrap(), before);
}

#[test]
fn parameters_are_found_by_name_and_checked() {
    let model = classifier();
    assert_eq!(model.parameter("dense/kernel").unwrap().len(), 12);
    assert_eq!(
        message(model.parameter("dense/weight")),
        "model 'classifier' has no parameter named 'dense/weight'; it has dense/kernel, dense/bias"
    );
    assert_eq!(message(model.set_parameter("dense/bias", &[1.0])), "a tensor of shape [3] has 3 values, but 1 were given");
    model.set_parameter("dense/bias", &[0.0, 2.0, 0.0]).unwrap();
    assert_eq!(model.parameter("dense/bias").unwrap(), [0.0, 2.0, 0.0]);
}

#[test]
fn a_model_as_a_layer_must_fit() {
    let model = classifier();
    let x = input([3, 3, 1]);
    assert!(
        message(Model::new("outer", &x, model.apply(&x)))
            .contains("model 'classifier' applied as a layer expects the shape [2, 2, 1] at input 'image', not [3, 3, 1]")
    );
}

#[test]
fn sizes_beyond_all_memory_are_faults_and_not_allocations() {
    let (row, image) = (input([6]), input([6, 6, 2]));
    let far = ZeroPadding2D::new(40_000).apply(&image);
    let values = Reshape::new([usize::MAX, 2]).apply(&row);
    let x = Flatten::new().apply(DepthwiseConv2D::new(60_000).padding(Padding::Same).apply(&image));
    let kernel = Concatenate::new().apply([&x, &Dense::new(1 << 40).apply(&row)]);
    let text = message(Model::new("large", [&row, &image], [&far, &values, &kernel]));
    for part in [
        "layer 'zero_padding2d' on an input of shape [6, 6, 2]: expected a smaller output than [80006, 80006, 2]: a tensor \
         may have at most 2147483647 values",
        "layer 'reshape' on an input of shape [6]: expected an input of 18446744073709551615 values",
        "layer 'dense' on an input of shape [6]: expected a smaller output than [1099511627776]",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let text = message(Model::new("large_kernel", &image, x));
    assert!(text.contains("layer 'depthwise_conv2d' would have a kernel of shape [60000, 60000, 2, 1], but"), "{text}");
    let text = message(Model::new("large_input", input([1 << 32, 1 << 32]), Flatten::new().apply(input([1]))));
    assert!(text.contains("an input has the shape [4294967296, 4294967296], but a tensor may have at most"), "{text}");
    assert_eq!(
        message(Tensor::new([usize::MAX, 2], vec![1.0])),
        "a tensor of shape [18446744073709551615, 2] has 18446744073709551615 values, but 1 were given"
    );
}

#[test]
fn options_of_optimizers_must_make_sense() {
    let fault = |optimizer: &dyn Fn(&mut Model) -> Result<()>| {
        let x = input([2]);
        let mut model = Model::new("m", &x, Dense::new(1).apply(&x)).unwrap();
        message(optimizer(&mut model))
    };
    macro_rules! faults {
        ($($optimizer:expr => $sentence:literal),* $(,)?) => {
            $(assert_eq!(fault(&|model| model.compile($optimizer, MeanSquaredError)), $sentence);)*
        };
    }
    faults! {
        Sgd::new(-0.1) => "the learning rate is -0.1, but must be 0 or a positive number",
        Adam::new(f32::NAN).clip_norm(1.0) => "the learning rate is NaN, but must be 0 or a positive number",
        Sgd::new(0.1).momentum(2.0) => "momentum is 2, but must be from 0 to 1",
        RmsProp::new(0.1).rho(-1.0) => "rho is -1, but must be from 0 to 1",
        Adam::new(0.1).betas(1.0, 0.9) => "beta_1 is 1, but must be at least 0 and below 1",
        Nadam::new(0.1).betas(0.9, f32::NAN).clip_value(1.0) => "beta_2 is NaN, but must be at least 0 and below 1",
        RmsProp::new(0.1).epsilon(0.0) => "epsilon is 0, but must be a positive number",
        AdamW::new(0.1).epsilon(-1.0) => "epsilon is -1, but must be a positive number",
        AdamW::new(0.1).weight_decay(f32::INFINITY) => "weight_decay is inf, but must be 0 or a positive number",
        AdaGrad::new(0.1).initial_accumulator(-1.0) => "initial_accumulator is -1, but must be 0 or a positive number",
        Sgd::new(0.1).clip_norm(0.0) => "the limit of the clipping is 0, but must be a positive number",
        Sgd::new(0.0) => "",
    }
    assert_eq!(
        fault(&|model| model.compile(Sgd::new(0.1), Objective::new(MeanSquaredError).weight(f32::NAN))),
        "a loss's weight is NaN, but must be a finite number"
    );
    assert_eq!(
        fault(&|model| model.compile(Sgd::new(0.1), Objective::new(MeanSquaredError).class_weights([1.0, -1.0]))),
        "a class's weight is -1, but must be 0 or a positive number"
    );
}

#[test]
fn metrics_must_fit_outputs_and_targets() {
    let mut model = classifier();
    assert_eq!(
        message(model.compile(Sgd::new(0.1), on("dense", SparseCategoricalCrossentropy).metric(metrics::MeanSquaredError))),
        "metric mean_squared_error for output 'dense/softmax' of shape [3]: expected a target for each value, but the loss \
         has targets of shape []"
    );
    let objective = on("dense", SparseCategoricalCrossentropy).metric(metrics::TopKCategoricalAccuracy::new(2));
    model.compile(Sgd::new(0.1), objective).unwrap();
    // A regression's target is no class; that counts as wrong.
    let x = input([1]);
    let mut model = Model::new("line", &x, Dense::new(1).apply(&x)).unwrap();
    let objective = Objective::new(MeanSquaredError).metric(metrics::TopKCategoricalAccuracy::new(1)).class_weights([1.0; 9]);
    model.compile(Sgd::new(0.1), objective).unwrap();
    let data = Dataset::new(Tensor::new([1, 1], vec![1.0]).unwrap(), Tensor::new([1, 1], vec![5.0]).unwrap()).unwrap();
    assert_eq!(model.evaluate(&data).unwrap().get("top_k_categorical_accuracy"), Some(0.0));
    assert_eq!(message(model.fit(&data, quiet())), "");
    let data = Dataset::new(Tensor::new([1, 1], vec![1.0]).unwrap(), Tensor::new([1, 1], vec![-5.0]).unwrap()).unwrap();
    assert_eq!(
        message(model.fit(&data, quiet())),
        "class_weights is given for the target -5, but must be for numbers of classes or parts that sum to 1, also in sample 0"
    );
}

#[test]
fn what_cannot_be_exported_is_named() {
    let fault = |shape: &[usize], layer: &dyn Fn(&SymbolicTensor) -> SymbolicTensor| {
        let x = input(shape);
        Model::new("m", &x, layer(&x)).unwrap().export_f32().unwrap_err().to_string()
    };
    assert_eq!(
        fault(&[300, 300, 1], &|x| MaxPooling2D::new(300).apply(x)),
        "layer \"max_pooling2d\" cannot be exported: on the device, a pool's window has at most 65536 pixels, this one has 90000"
    );
    assert_eq!(
        fault(&[1, 40_000, 1], &|x| Conv2D::new(1, [1, 3]).apply(x)),
        "layer \"conv2d\" cannot be exported: on the device, windows slide over images of at most 32767 pixels a side, not 40000"
    );
    assert_eq!(
        fault(&[1 << 30], &|x| Add::new().apply([x, &ActivationLayer::new(Activation::Tanh).apply(x)])),
        "the model has 8589934592 bytes in its arena, a file holds at most 4294967295"
    );
    let x = input([1]);
    let model = Model::new("m", &x, Dense::new(1).apply(Dense::new(1).apply(&x))).unwrap();
    model.set_parameter("dense/kernel", &[-1e30]).unwrap();
    model.set_parameter("dense_1/kernel", &[1e30]).unwrap();
    assert_eq!(
        model.export_int8(&[Tensor::new([1, 1], vec![0.0]).unwrap()], Options::default()).unwrap_err().to_string(),
        "layer \"dense_1\" cannot be exported: its values are beyond int8: a scale of inf is no normal f32"
    );
}

#[test]
fn calibration_wants_the_models_inputs_and_finite_values() {
    let model = classifier();
    let fault = |samples: Tensor| model.export_int8(&[samples], Options::default()).unwrap_err().to_string();
    assert_eq!(
        fault(Tensor::new([3, 8], vec![0.5; 24]).unwrap()),
        "calibration: input 'image' has samples of shape [8], but [2, 2, 1] is expected"
    );
    // 4 * 0.5 * 3e38 is beyond f32.
    model.set_parameter("dense/kernel", &[3e38; 12]).unwrap();
    assert_eq!(
        fault(Tensor::new([3, 2, 2, 1], vec![0.5; 12]).unwrap()),
        "calibration: tensor \"dense\" has values in f32 that are infinite or NaN"
    );
}

/// Two inputs and two outputs of equal shapes.
fn pair() -> Model {
    let (a, b) = (input([2]).named("picture"), input([2]).named("facts"));
    let both = Concatenate::new().apply([&a, &b]);
    let outputs = [Dense::new(1).named("price").apply(&both), Dense::new(1).named("rent").apply(&both)];
    Model::new("shop", [a, b], outputs).unwrap()
}

#[test]
fn names_of_losses_must_be_those_of_the_outputs() {
    let fault = |objectives: Vec<Objective>| message(pair().compile(Sgd::new(0.1), objectives));
    let of = |output: &str| on(output, MeanSquaredError);
    assert_eq!(fault(vec![of("rent"), of("prize")]), "model 'shop' has no output named 'prize'; it has price, rent");
    assert_eq!(fault(vec![of("rent"), of("rent")]), "the loss for the output 'rent' is given twice");
    assert_eq!(
        fault(vec![of("rent")]),
        "model 'shop' has the output 'price', but no loss is given for it, only for rent: give one under that name"
    );
    assert_eq!(
        fault(vec![of("rent"), Objective::new(MeanSquaredError)]),
        "loss is given without a name, as number 1, but must be named, as others are"
    );
    assert_eq!(message(pair().compile(Sgd::new(0.1), (MeanSquaredError, Huber::default()))), "");
}

#[test]
fn names_of_data_must_be_those_of_the_model() {
    let mut model = pair();
    model.compile(Sgd::new(0.1), [MeanSquaredError, MeanSquaredError]).unwrap();
    let tensor = |size: usize| Tensor::new([3, size], vec![0.5; 3 * size]).unwrap();
    let mut fault = |inputs: &[&str], targets: &[&str]| {
        let data = inputs.iter().fold(Dataset::builder(), |builder, name| builder.input(name, tensor(2)));
        let data = targets.iter().fold(data, |builder, name| builder.target(name, tensor(1)));
        message(model.fit(&data.build().unwrap(), quiet()))
    };
    assert_eq!(fault(&["facts", "picture"], &["rent", "price"]), "");
    assert_eq!(
        fault(&["facts", "photo"], &["rent", "price"]),
        "model 'shop' has no input named 'photo'; it has picture, facts"
    );
    assert_eq!(
        fault(&["facts"], &["rent", "price"]),
        "model 'shop' has the input 'picture', but no tensor is given for it, only for facts: give one under that name"
    );
    assert_eq!(
        fault(&["facts", "picture"], &["price"]),
        "model 'shop' has the output 'rent', but no target is given for it, only for price: give one under that name"
    );
    assert_eq!(fault(&["facts", "picture"], &["rent", "cost"]), "model 'shop' has no output named 'cost'; it has price, rent");
}

#[test]
fn only_inputs_and_layers_take_names() {
    let x = input([4]);
    let text = message(Model::new("m", &x, Dense::new(1).apply(&x).named("price")));
    assert!(
        text.contains("the name 'price' is given to a tensor that is no input: name the layer that makes it instead"),
        "{text}"
    );
    // A clone is the same input.
    let clone = x.clone();
    let named = x.named("x");
    let model = Model::new("m", &clone, Dense::new(1).apply(&named)).unwrap();
    assert_eq!(model.graph().input_names(), ["x"]);
}

#[test]
fn sequences_beyond_the_length_of_the_input_are_told() {
    let words = input([5]).named("words");
    let y = Dense::new(1).apply(GlobalAveragePooling1D::new().apply(Embedding::new(9, 2).apply(&words)));
    let model = Model::new("text", &words, y).unwrap();
    let told = |length: usize| message(model.predict(&Tensor::new([2, length], vec![1.0; 2 * length]).unwrap()));
    assert_eq!(
        told(7),
        "input 'words' has samples of shape [7], but [5] is expected: cut the sequences, as `pad_sequences` does, or make the \
         model's input longer"
    );
    // Of samples of several lengths, too, of any rank.
    let frames = input([5, 2, 2]).named("frames").variable_length();
    let y = GlobalAveragePooling1D::new().apply(Reshape::new([5, 4]).apply(&frames));
    let text = message(Model::new("video", &frames, y).unwrap().predict(&Tensor::new([1, 6, 2, 2], vec![1.0; 24]).unwrap()));
    assert!(
        text.starts_with("input 'frames' has samples of shape [6, 2, 2], but [5, 2, 2] is expected: cut the sequences"),
        "{text}"
    );
    let features = Model::new("features", &words, Dense::new(1).apply(&words)).unwrap();
    let text = message(features.predict(&Tensor::new([2, 7], vec![1.0; 14]).unwrap()));
    assert_eq!(text, "input 'words' has samples of shape [7], but [5] is expected");
}

#[test]
fn a_missing_loss_or_a_second_one_is_told() {
    assert_eq!(
        message(pair().compile(Sgd::new(0.1), MeanSquaredError)),
        "model 'shop' has 2 outputs, but 1 loss was given: give one for each"
    );
    assert_eq!(
        message(pair().compile(Sgd::new(0.1), [on("price", MeanSquaredError)])),
        "model 'shop' has the output 'rent', but no loss is given for it, only for price: give one under that name"
    );
}

#[test]
fn a_norm_is_of_the_last_axis() {
    let x = input([3, 8, 8]).named("image");
    let norm = |axis: isize| message(Model::new("m", &x, BatchNormalization::new().axis(axis).apply(&x)));
    assert_eq!(norm(-1), "");
    assert_eq!(norm(2), "");
    for (axis, shown) in [(1, "1"), (0, "0"), (-3, "-3"), (3, "3")] {
        let wanted = format!(
            "layer 'batch_normalization' on an input of shape [3, 8, 8]: expected `axis(-1)`, or 2, the last axis, not {shown}: \
             channels are the last axis in all layers, as [height, width, channels]; give the data in that order"
        );
        assert!(norm(axis).contains(&wanted), "{}", norm(axis));
    }
}

#[test]
fn a_model_with_several_outputs_is_not_for_predict() {
    let tensors = [Tensor::new([1, 2], vec![0.0; 2]).unwrap(), Tensor::new([1, 2], vec![0.0; 2]).unwrap()];
    assert_eq!(
        message(pair().predict(&tensors)),
        "the number of outputs for `predict` is 2, but must be 1: `predict_all` gives all"
    );
    assert_eq!(pair().predict_all(&tensors).unwrap().len(), 2);
}

/// A graph made by hand has no cycles, for what a layer takes is made before; one in a file has none either.
#[test]
fn parts_of_a_graph_that_hang_together_by_nothing_are_told() {
    let (a, b) = (input([4]).named("a"), input([4]).named("b"));
    assert_eq!(
        message(Model::new("apart", [&a, &b], Dense::new(1).apply(&a))),
        "model 'apart' cannot be built:\n  - no output depends on input 1 ('b'): leave it out, or apply a layer to it"
    );
    assert_eq!(
        message(Model::new("apart", &a, [Dense::new(1).apply(&a), Dense::new(1).apply(&b)])),
        "model 'apart' cannot be built:\n  - the outputs depend on the input 'b' of shape [4], which is not among the model's \
         inputs: add it to them"
    );
}

#[test]
fn a_loss_that_does_not_go_with_the_last_activation_warns_and_says_what_to_write() {
    let warnings = |units: usize, last: Option<Activation>, loss: std::sync::Arc<dyn Loss>| {
        let x = input([4]);
        let layer = Dense::new(units).named("y");
        let y = match last {
            Some(activation) => layer.activation(activation).apply(&x),
            None => layer.apply(&x),
        };
        let mut model = Model::new("m", &x, Reshape::new([1, units]).apply(&y)).unwrap();
        model.compile_with(std::sync::Arc::new(Sgd::new(0.1)), loss).unwrap();
        model.warnings()
    };
    use std::sync::Arc;
    let write = |loss: &str, activation: &str, logits: &str| {
        format!(
            "but the loss {loss} expects probabilities: write `.activation(Activation::{activation})` at the last layer, or use \
             `{logits}` with values that no activation has changed"
        )
    };
    let binary = write("binary_crossentropy", "Sigmoid", "BinaryCrossentropyFromLogits");
    let start = "output 'reshape' ends in";
    assert_eq!(warnings(1, None, Arc::new(BinaryCrossentropy)), [format!("{start} Dense without activation, {binary}")]);
    assert_eq!(warnings(2, Some(Activation::Softmax), Arc::new(BinaryCrossentropy)), [format!("{start} softmax, {binary}")]);
    let categorical = write("categorical_crossentropy", "Softmax", "CategoricalCrossentropyFromLogits");
    assert_eq!(
        warnings(3, Some(Activation::Sigmoid), Arc::new(CategoricalCrossentropy)),
        [format!("{start} sigmoid, {categorical}")]
    );
    let sparse = write("sparse_categorical_crossentropy", "Softmax", "SparseCategoricalCrossentropyFromLogits");
    assert_eq!(
        warnings(3, Some(Activation::Relu), Arc::new(SparseCategoricalCrossentropy)),
        [format!("{start} relu, {sparse}")]
    );
    assert_eq!(
        warnings(1, Some(Activation::Sigmoid), Arc::new(BinaryCrossentropyFromLogits)),
        [format!(
            "{start} sigmoid, but the loss binary_crossentropy_from_logits expects logits: leave the last activation out, or use \
             `BinaryCrossentropy`"
        )]
    );
    assert_eq!(
        warnings(1, Some(Activation::Softmax), Arc::new(MeanSquaredError)),
        ["output 'reshape' is a softmax over one value, which is always 1: write `.activation(Activation::Sigmoid)` with \
          `BinaryCrossentropy`, or give the layer a unit for each class"]
    );
    // What goes together.
    let none: [String; 0] = [];
    assert_eq!(warnings(2, Some(Activation::Sigmoid), Arc::new(BinaryCrossentropy)), none);
    assert_eq!(warnings(2, Some(Activation::HardSigmoid), Arc::new(BinaryCrossentropy)), none);
    assert_eq!(warnings(3, Some(Activation::Softmax), Arc::new(SparseCategoricalCrossentropy)), none);
    assert_eq!(warnings(3, None, Arc::new(SparseCategoricalCrossentropyFromLogits)), none);
    assert_eq!(warnings(3, Some(Activation::Relu), Arc::new(MeanSquaredError)), none);
}

#[test]
fn weights_of_another_model_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.bin");
    pair().save_weights(&path).unwrap();
    assert_eq!(
        message(classifier().load_weights(&path)),
        "the weights do not fit the model classifier: dense/kernel is missing, they are of model shop; `restore_by_name` takes those that \
         there are"
    );
    // Of the same names in other shapes.
    let x = input([2, 2, 1]);
    let y = Dense::new(4).activation(Activation::Softmax).apply(Flatten::new().apply(&x));
    let path = directory.path().join("wider.bin");
    Model::new("wider", x, y).unwrap().save_weights(&path).unwrap();
    assert_eq!(
        message(classifier().load_weights(&path)),
        "the weights do not fit the model classifier: found dense/kernel of shape [4, 4], expected dense/kernel of shape [4, 3]; build the \
         layer as it was when they were saved, or give it another name and take the others by `restore_by_name`"
    );
    assert_eq!(message(Model::load(&path)), "the file does not start with SMRM: it is no such checkpoint");
}
