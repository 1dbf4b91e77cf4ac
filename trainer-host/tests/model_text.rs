//! Texts that people write, those of models, and those that are wrong.

use samara_trainer::data::Random;
use samara_trainer::initializers::{Constant, Distribution, FanMode, VarianceScaling, he_normal};
use samara_trainer::prelude::*;

fn draw(shape: &[usize], stream: u64) -> Tensor {
    let mut random = Random::new(7, stream);
    let values = (0..shape.iter().product()).map(|_| random.uniform() as f32).collect();
    Tensor::new(shape, values).unwrap()
}

const SEQUENTIAL: &str = r#"
name = "small"
input = [8, 8, 1]

[[layer]]
kind = "Conv2D"
filters = 4
kernel = 3           # as [3, 3]
padding = "same"
activation = "relu"
kernel_initializer = "he_normal"
kernel_regularizer = { l2 = 1e-4 }

[[layer]]
kind = "MaxPooling2D"
pool_size = [2, 2]

[[layer]]
kind = "Flatten"

[[layer]]
kind = "Dense"
name = "out"
units = 1
use_bias = false
"#;

const FUNCTIONAL: &str = r#"
name = "pairs"
outputs = ["distance", "mean"]

[[input]]
name = "left"
shape = [4]

[[input]]
name = "right"
shape = [4]

[[model]]
name = "encoder"
input = [6]

  [[model.layer]]
  kind = "Dense"
  units = 6
  activation = "tanh"

  [[model.layer]]
  kind = "Dense"
  units = 3

[[layer]]
name = "shared"
kind = "Dense"
units = 6
inputs = "left"

[[layer]]
name = "again"       # the same weights
apply = "shared"
inputs = ["right"]

[[layer]]
name = "sum"
kind = "Add"
inputs = ["shared", "again"]

[[layer]]
name = "code"
apply = "encoder"
inputs = "shared"

[[layer]]
name = "other_code"
apply = "encoder"
inputs = "sum"

[[layer]]
name = "distance"
kind = "AbsoluteDifference"
inputs = ["code", "other_code"]

[[layer]]
name = "mean"
kind = "Dense"
units = 1
activation = "sigmoid"
inputs = "sum"
"#;

#[test]
fn a_list_of_layers_is_the_model_that_rust_builds_of_them() -> Result<()> {
    let x = input([8, 8, 1]);
    let y = Conv2D::new(4, 3).padding(Padding::Same).activation(Activation::Relu);
    let y = y.kernel_initializer(he_normal()).kernel_regularizer(L2::new(1e-4)).apply(&x);
    let y = Flatten::new().apply(MaxPooling2D::new(2).apply(y));
    let built = Model::new("small", x, Dense::new(1).without_bias().named("out").apply(y))?;
    let mut read = Model::from_toml(SEQUENTIAL)?;
    assert_eq!(read.to_toml()?, built.to_toml()?);
    for (read, built) in read.parameters().iter().zip(built.parameters()) {
        assert_eq!((&read.name, &read.shape, read.values()), (&built.name, &built.shape, built.values()));
    }
    assert_eq!(read.parameters()[0].regularizer.as_ref().map(|l2| l2.penalty(&[1.0])), Some(f64::from(1e-4f32)));
    let data = Dataset::new(draw(&[32, 8, 8, 1], 0), draw(&[32, 1], 1))?;
    read.compile(Adam::new(0.01), MeanSquaredError)?;
    let history = read.fit(&data, Fit { epochs: 10, verbose: false, ..Fit::default() })?;
    let losses = history.get("loss");
    assert!(losses[9] < losses[0] * 0.8, "{losses:?}");
    Ok(())
}

#[test]
fn graphs_with_shared_layers_and_models_train() -> Result<()> {
    let mut model = Model::from_toml(FUNCTIONAL)?;
    assert_eq!(model.graph().input_names(), ["left", "right"]);
    assert_eq!(model.graph().output_names(), ["distance", "mean"]);
    let names: Vec<&str> = model.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
    let encoder = ["encoder/dense/kernel", "encoder/dense/bias", "encoder/dense_1/kernel", "encoder/dense_1/bias"];
    assert_eq!(names, [&["shared/kernel", "shared/bias"], &encoder[..], &["mean/kernel", "mean/bias"]].concat());
    let data = Dataset::builder()
        .input("left", draw(&[32, 4], 0))
        .input("right", draw(&[32, 4], 1))
        .target("distance", draw(&[32, 3], 2))
        .target("mean", draw(&[32, 1], 3))
        .build()?;
    model.compile(Adam::new(0.01), [MeanSquaredError, MeanSquaredError])?;
    let history = model.fit(&data, Fit { epochs: 10, verbose: false, ..Fit::default() })?;
    let losses = history.get("loss");
    assert!(losses[9] < losses[0] * 0.9, "{losses:?}");
    Ok(())
}

/// What is written is read as the same model, with the same outputs.
fn check(model: &Model) -> String {
    let text = model.to_toml().unwrap_or_else(|error| panic!("{error}"));
    let again = Model::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for (one, other) in model.parameters().iter().zip(again.parameters()) {
        assert_eq!((&one.name, &one.shape), (&other.name, &other.shape), "{text}");
        again.set_parameter(&other.name, &one.values()).unwrap();
    }
    let graph = model.graph();
    let shape = |input: usize| [&[2], &graph.nodes[input].shape[..]].concat();
    let inputs: Vec<Tensor> = graph.inputs.iter().map(|&input| draw(&shape(input), input as u64)).collect();
    if !text.contains("\"Embedding\"") {
        let [one, other] = [model, &again].map(|model| model.predictor(2).unwrap().predict_all(&inputs[..]).unwrap());
        assert_eq!(one, other, "{text}");
    }
    text
}

#[test]
fn every_layer_with_every_option_survives() -> Result<()> {
    for kind in ALL_LAYERS {
        for (number, example) in (kind.examples)().into_iter().enumerate() {
            if kind.name == "TimeDistributed" {
                continue; // it is never applied alone
            }
            let inputs: Vec<_> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
            let output = example.apply(inputs.clone());
            println!("{} {number}", kind.name);
            let text = check(&Model::new("one", inputs, output)?);
            assert!(text.contains(&format!("kind = \"{}\"", kind.name)), "{text}");
        }
    }
    Ok(())
}

#[test]
fn options_that_layers_share_survive() -> Result<()> {
    let x = input([6, 3]).named("words \"of\" a\tbook\u{7f}");
    let scaled = VarianceScaling::new(0.3, FanMode::Out, Distribution::Normal);
    let y = Conv1D::new(4, 3).dilation(2).kernel_initializer(scaled).bias_initializer(Constant::new(0.1)).apply(&x);
    let frozen = Dense::new(3).kernel_regularizer(L1L2::new(0.1, 1e-7)).activation(Activation::LeakyRelu { slope: 0.1 });
    frozen.set_trainable(false);
    let y = frozen.named("frozen").apply(y);
    let text = check(&Model::new("m", x, y)?);
    for line in [
        "dilation = 2",
        r#"kernel_initializer = { kind = "variance_scaling", distribution = "normal", mode = "out", scale = 0.3 }"#,
        r#"bias_initializer = { kind = "constant", value = 0.1 }"#,
        "kernel_regularizer = { l1 = 0.1, l2 = 1e-7 }",
        r#"activation = { kind = "leaky_relu", slope = 0.1 }"#,
        "trainable = false",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
    }
    Ok(())
}

#[test]
fn recurrent_layers_in_both_directions_on_steps_and_with_states_survive() -> Result<()> {
    let x = input([5, 4, 4, 1]).named("frames");
    let y = TimeDistributed::new(Conv2D::new(2, 3).activation(Activation::Relu)).named("eyes").apply(&x);
    let y = TimeDistributed::new(Flatten::new()).apply(&y);
    let y = Bidirectional::new(Gru::new(3).return_sequences()).apply(&y);
    let y = Bidirectional::new(Lstm::new(3).named("own")).merge_mode(MergeMode::Sum).named("both").apply(&y);
    let text = check(&Model::new("gesture", &x, Dense::new(2).apply(y))?);
    assert!(text.contains(r#"layer = { kind = "GRU", units = 3, return_sequences = true }"#), "{text}");

    let (x, y) = (input([5, 2]).named("told"), input([4, 2]).named("asked"));
    let (_, states) = Lstm::new(3).return_state().named("encoder").apply_with_states(&x);
    let decoded = Lstm::new(3).apply([&y, &states[0], &states[1]]);
    let text = check(&Model::new("translate", [&x, &y], decoded)?);
    assert!(text.contains(r#"inputs = ["asked", "encoder/h", "encoder/c"]"#), "{text}");
    Ok(())
}

#[test]
fn models_with_several_outputs_and_lengths_survive() -> Result<()> {
    let x = input([3]);
    let y = Dense::new(2).activation(Activation::Relu).apply(&x);
    let inner = Model::new("inner", &x, [&y, &Dense::new(4).named("wide").apply(&y)])?;
    let (a, b) = (input([3]).named("a"), input([3]).named("b"));
    let (one, other) = (inner.apply_all(&a), inner.apply_all(&b));
    let sum = Add::new().apply([&one[1], &other[1]]);
    let text = check(&Model::new("outer", [&a, &b], [&Concatenate::new().apply([&sum, &one[0]]), &other[0]])?);
    assert!(text.contains("[[model.layer]]") && text.matches("apply = \"inner\"").count() == 2, "{text}");

    let x = input([7, 2]).variable_length();
    let text = check(&Model::new("lengths", &x, Lstm::new(2).apply(&x))?);
    assert!(text.contains("variable_length = true"), "{text}");
    Ok(())
}

#[test]
fn a_layer_s_value_before_its_activation_can_be_meant() -> Result<()> {
    let model = Model::from_toml(
        "name = \"m\"\ninput = [2]\noutputs = [\"a\", \"b\"]\n[[layer]]\nkind = \"Dense\"\nname = \"a\"\nunits = 1\n\
         activation = \"relu\"\n[[layer]]\nkind = \"Dense\"\nname = \"b\"\nunits = 1\ninputs = \"a/linear\"\n",
    )?;
    check(&model);
    assert_eq!(model.graph().nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["input", "a", "a/relu", "b"]);
    assert_eq!(model.graph().nodes[3].inputs, [1]);
    Ok(())
}

/// The sentence about a text that is wrong.
fn refused(text: &str) -> String {
    let message = Model::from_toml(text).expect_err(text).to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn mistakes_are_told_with_their_line() {
    let with = |layers: &str| format!("name = \"m\"\ninput = [4]\n{layers}");
    let dense = "[[layer]]\nkind = \"Dense\"\n";
    for (text, message) in [
        ("", "the name of the model is missing: expected a line name = \"...\" at the top"),
        ("name = \"m\"", "the model has no input: expected input = [28, 28, 1], or tables [[input]] with name and shape"),
        (&with(""), "the model has no layers: expected tables [[layer]]"),
        (&with("[[layer]]\nkind = \"Densee\"\nunits = 1"), "line 3: there is no kind of layer \"Densee\"; did you mean Dense?"),
        (&with(dense), "line 3: Dense needs the field units"),
        (&with(&format!("{dense}units = 1\nunit = 2")), "line 6: Dense has no field \"unit\"; did you mean units?"),
        (&with(&format!("{dense}units = \"many\"")), "line 5: units is \"many\", but must be a whole number from 0 on"),
        (&with(&format!("{dense}units = -1")), "line 5: units is -1, but must be a whole number from 0 on"),
        (&with(&format!("{dense}units = 0")), "line 3: layer \"Dense\" on inputs of shape [4]: expected at least 1 unit"),
        (
            &with(&format!("{dense}units = 1\nactivation = \"rellu\"")),
            "line 6: activation is \"rellu\", but must be a known one; did you mean relu?",
        ),
        (
            &with(&format!("{dense}units = 1\nkernel_regularizer = {{ l3 = 1 }}")),
            "line 6: kernel_regularizer is a table, but must be { l1 = ... }, { l2 = ... } or both in one",
        ),
        (
            &with(&format!("{dense}units = 1\nname = \"a\"\ninputs = \"b\"\n{dense}units = 1\nname = \"b\"\ninputs = \"a\"")),
            "line 7: inputs has \"b\", but no input or layer above has this name; none has a name",
        ),
        (
            &with(&format!("{dense}units = 1\nname = \"a\"\n{dense}units = 1\nname = \"a\"")),
            "line 7: the name \"a\" is given twice, first in line 3",
        ),
        (
            &with(&format!("{dense}units = 1\nname = \"first\"\n{dense}units = 1\ninputs = \"firs\"")),
            "line 10: inputs has \"firs\", but no input or layer above has this name; did you mean first?",
        ),
        (&with("[[layer]]\nunits = 1"), "line 3: a [[layer]] needs one of the fields kind and apply"),
        (
            &with("[[layer]]\napply = \"base\""),
            "line 3: apply is \"base\", but no layer or model above has this name; none has a name",
        ),
        ("name = \"m\"\ninput = [4\n", "line 2: unclosed array, expected `]`"),
        ("name = 3", "line 1: name is 3, but must be a text that is not empty"),
        ("name = \"m\"\ninput = [4, 0]", "line 2: the shape is [4, 0], but every dimension must be at least 1"),
        (
            "name = \"m\"\ninput = [99999999, 99999999]",
            "line 2: the shape is [99999999, 99999999], but a tensor may have at most 2147483647 values",
        ),
        ("name = \"m\"\ninput = [4]\nlayers = 1", "line 3: the file has no field \"layers\"; did you mean layer?"),
        (
            &with(&format!("{dense}units = 100000000")),
            "line 3: with layer \"Dense\", the parameters have 500000000 values: a text may ask for 134217728",
        ),
        (
            &with("[[layer]]\nkind = \"Bidirectional\"\nlayer = { kind = \"Dense\", units = 1 }"),
            "line 5: layer of Bidirectional must be of kind LSTM, GRU or SimpleRNN",
        ),
        (
            "name = \"m\"\n[[input]]\nname = \"a\"\nshape = [1]\n[[input]]\nname = \"b\"\nshape = [1]\n[[layer]]\nkind = \"Add\"",
            "line 8: layer \"Add\" is the first and says no inputs, but the model has 2 of them",
        ),
        (
            &with(
                &format!("{dense}units = 1\nname = \"lost\"\n{dense}units = 1\nname = \"b\"\n{dense}units = 1\ninputs = \"b\"")
                    .replace("name = \"b\"", "name = \"b\"\ninputs = \"lost\"")
                    .replace("inputs = \"lost\"", "inputs = \"c\""),
            ),
            "line 11: inputs has \"c\", but no input or layer above has this name; known are lost",
        ),
    ] {
        assert_eq!(refused(text), message, "{text}");
    }
    let lost = format!(
        "name = \"m\"\noutputs = [\"b\"]\n[[input]]\nname = \"x\"\nshape = [4]\n{dense}units = 1\n{dense}name = \"b\"\nunits = 1\ninputs = \"x\""
    );
    assert_eq!(
        refused(&lost),
        "line 6: nothing takes what layer \"Dense\" makes: name it in inputs or outputs, or leave it out"
    );
}

#[test]
fn few_lines_cannot_ask_for_more_than_there_is_memory() {
    let mut text = "name = \"m\"\ninput = [2]\n[[model]]\nname = \"m0\"\ninput = [2]\n".to_owned();
    text += &"[[model.layer]]\nkind = \"Flatten\"\n".repeat(20);
    for model in 1..6 {
        text += &format!("[[model]]\nname = \"m{model}\"\ninput = [2]\n");
        text += &format!("[[model.layer]]\napply = \"m{}\"\n", model - 1).repeat(20);
    }
    text += "[[layer]]\napply = \"m5\"\n";
    assert!(refused(&text).contains("is one too many: a text may ask for 20000 nodes"));
    let deep = format!("name = \"m\"\ninput = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(&deep);
}

#[test]
fn texts_that_are_cut_or_changed_are_refused_or_read_without_panic() {
    for text in [SEQUENTIAL, FUNCTIONAL] {
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            let _ = Model::from_toml(&text[..end]);
        }
        let mut random = Random::new(3, 0);
        for _ in 0..500 {
            let mut bytes = text.as_bytes().to_vec();
            let place = random.below(bytes.len());
            bytes[place] = b" \n\"=[]{}0-a"[random.below(11)];
            let _ = Model::from_toml(&String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn what_cannot_be_said_is_refused() -> Result<()> {
    let x = input([2, 3]);
    let (output, _) = Bidirectional::new(Lstm::new(2).return_state()).apply_with_states(&x);
    let model = Model::new("states", &x, output)?;
    let message = model.to_toml().unwrap_err().to_string();
    assert!(message.starts_with("the model states cannot be written as text: "), "{message}");
    assert_eq!(model.graph().nodes[0].shape, Shape::from([2, 3]));
    Ok(())
}

#[test]
fn sizes_beyond_all_measure_are_refused_without_panic() -> Result<()> {
    for kind in ALL_LAYERS {
        assert_eq!((kind.plain)().kind(), kind.name);
        for example in (kind.examples)() {
            if kind.name == "TimeDistributed" {
                continue;
            }
            let inputs: Vec<_> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
            let text = Model::new("one", inputs.clone(), example.apply(inputs))?.to_toml()?;
            let digits: Vec<usize> =
                text.match_indices(|letter: char| letter.is_ascii_digit()).map(|(place, _)| place).collect();
            for place in digits.into_iter().filter(|&place| [" ", "["].contains(&&text[place - 1..place])) {
                let end = place + text[place..].find(|letter: char| !letter.is_ascii_digit()).unwrap_or(0);
                for size in ["9223372036854775807", "99999999999", "70000", "-1"] {
                    let _ = Model::from_toml(&format!("{}{size}{}", &text[..place], &text[end..]));
                }
            }
        }
    }
    Ok(())
}
