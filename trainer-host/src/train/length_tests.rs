//! Sequences of several lengths: what fills them up changes nothing.

use super::feed::Purpose;
use super::tests::check_gradients;
use super::{Fit, IntoObjectives, Model, Sequential};
use crate::data::{Dataset, Side, Tensor, pad_sequences};
use crate::graph::{SymbolicTensor, input};
use crate::layers::*;
use crate::losses::{MeanSquaredError, SparseCategoricalCrossentropy};
use crate::numeric::random::Random;
use crate::optimizers::Sgd;

/// Values of a step, and the lengths of the samples of a batch.
const FEATURES: usize = 3;
const LENGTHS: [usize; 4] = [9, 5, 7, 6];

type Net = fn(&SymbolicTensor) -> SymbolicTensor;

/// Nets on a sequence, and whether their output is one.
fn nets() -> Vec<(Net, bool)> {
    vec![
        (|x| Dense::new(2).apply(Lstm::new(3).apply(x)), false),
        (|x| Dense::new(2).apply(Lstm::new(3).go_backwards().apply(x)), false),
        (|x| Dense::new(2).apply(Gru::new(3).reset_before().return_sequences().go_backwards().apply(x)), true),
        (|x| SimpleRnn::new(2).apply(Gru::new(2).return_sequences().apply(Dropout::new(0.5).apply(x))), false),
        (
            |x| {
                let y = Conv1D::new(4, 3).strides(2).activation(Activation::Tanh).apply(x);
                let y = DepthwiseConv1D::new(2).padding(Padding::Causal).apply(y);
                Dense::new(2).apply(GlobalMaxPooling1D::new().apply(MaxPooling1D::new(2).strides(1).apply(y)))
            },
            false,
        ),
        (
            |x| {
                let y = Conv1D::new(4, 4).padding(Padding::Same).activation(Activation::Sigmoid).apply(x);
                let y = Conv1D::new(2, 3).padding(Padding::Same).dilation(2).apply(LayerNormalization::new().apply(y));
                GlobalAveragePooling1D::new().apply(y)
            },
            false,
        ),
        (
            |x| {
                let a = Dense::new(3).activation(Activation::Tanh).apply(x);
                let b = SeparableConv1D::new(3, 3).padding(Padding::Same).apply(x);
                let sum = Multiply::new().apply([&Add::new().apply([&a, &b]), &PReLU::new().apply(x)]);
                let both = Concatenate::new().apply([&sum, &a]);
                Dense::new(2).apply(Mean::over_axis(0).apply(Reshape::new([x.shape().unwrap()[0], 2, 3]).apply(both)))
            },
            false,
        ),
        (
            |x| {
                let y = Bidirectional::new(Lstm::new(2).return_sequences()).apply(x);
                Bidirectional::new(Gru::new(2)).merge_mode(MergeMode::Sum).apply(y)
            },
            false,
        ),
        (
            |x| {
                let (_, [hidden, cell]) = Lstm::new(2).return_state().apply_with_states(x);
                Lstm::new(2).return_sequences().apply([x, &hidden, &cell])
            },
            true,
        ),
        (
            |x| {
                let gate = Dense::new(FEATURES).activation(Activation::Sigmoid).apply(GlobalAveragePooling1D::new().apply(x));
                let gated = Multiply::new().apply([x, &Reshape::new([1, FEATURES]).apply(gate)]);
                Dense::new(2).apply(Conv1D::new(2, 3).padding(Padding::Same).activation(Activation::Tanh).apply(gated))
            },
            true,
        ),
        (
            |x| {
                let y = Gru::new(3).return_sequences().apply(x);
                Dense::new(2).apply(Concatenate::new().apply([&Slice::row(0).apply(x), &Slice::last().apply(y)]))
            },
            false,
        ),
        (|x| SimpleRnn::new(3).return_sequences().apply(Slice::rows(2..).apply(x)), true),
        (
            |x| {
                let (y, [hidden, cell]) = Lstm::new(3).return_sequences().return_state().apply_with_states(x);
                let z = Lstm::new(3).return_sequences().go_backwards().apply([&y, &hidden, &cell]);
                Concatenate::new().apply([x, &z])
            },
            true,
        ),
        (
            |x| {
                let layer = Bidirectional::new(Gru::new(2).return_sequences().return_state());
                let ([forward, backward], states) = layer.apply_separately_with_states(x);
                Gru::new(2).apply([&Add::new().apply([&forward, &backward]), &Multiply::new().apply(&states[..])])
            },
            false,
        ),
        (
            |x| {
                let steps = x.shape().unwrap()[0];
                let y = TimeDistributed::new(Conv1D::new(2, 2).padding(Padding::Causal).activation(Activation::Tanh));
                let y = y.apply(Reshape::new([steps, FEATURES, 1]).apply(x));
                TimeDistributed::new(Gru::new(2)).apply(TimeDistributed::new(LayerNormalization::new()).apply(y))
            },
            true,
        ),
        (
            |x| {
                let y = AveragePooling1D::new(2).apply(Conv1D::new(2, 2).padding(Padding::Causal).strides(2).apply(x));
                Conv1D::new(2, 1).strides(2).padding(Padding::Causal).apply(y)
            },
            true,
        ),
    ]
}

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    (0..count).map(|_| (random.uniform() * 2.0 - 1.0) as f32).collect()
}

/// Rows of samples, filled up to `steps` with garbage.
fn filled_up(rows: &[Vec<f32>], width: usize, steps: usize) -> Tensor {
    let mut values = vec![1e3; rows.len() * steps * width];
    values.chunks_exact_mut(steps * width).zip(rows).for_each(|(to, row)| to[..row.len()].copy_from_slice(row));
    let lengths = rows.iter().map(|row| row.len() / width);
    Tensor::new([rows.len(), steps, width], values).unwrap().with_lengths(lengths).unwrap()
}

struct Case {
    model: Model,
    data: Dataset,
}

/// What a step sees of a batch: loss, gradients, statistics.
fn step(Case { model, data }: &Case) -> (f64, Vec<f32>, Vec<f32>) {
    let mut trainer = model.trainer(data.samples(), 0).unwrap();
    let order: Vec<u32> = (0..data.samples() as u32).collect();
    let (loss, gradients) = trainer.gradients(&model.feed(data, Purpose::Evaluate).unwrap(), &order);
    let gradients = gradients.to_vec();
    (loss, gradients, trainer.values().statistics.to_vec())
}

fn compiled(x: &SymbolicTensor, y: SymbolicTensor, objectives: impl IntoObjectives, like: Option<&Model>) -> Model {
    let mut model = Model::new("lengths", x, y).unwrap();
    model.compile(Sgd::new(0.1), objectives).unwrap();
    if let Some(like) = like {
        for parameter in &like.graph().parameters {
            model.set_parameter(&parameter.name, &parameter.values()).unwrap();
        }
    }
    model
}

/// The net with inputs and targets of some samples: filled up to `steps` steps, or, if that is `None`, of one length.
fn case(net: Net, samples: &[usize], steps: Option<usize>, like: Option<&Model>) -> Case {
    let most = steps.unwrap_or(samples[0]);
    let x = input([most, FEATURES]);
    let x = if steps.is_some() { x.variable_length() } else { x };
    let model = compiled(&x, net(&x), MeanSquaredError, like);
    let rows: Vec<Vec<f32>> = samples.iter().map(|&length| random(length * FEATURES, length as u64)).collect();
    let output = &model.graph().nodes[model.graph().outputs[0]].shape;
    let targets = match output[..] {
        [units] => {
            Tensor::new([samples.len(), units], samples.iter().flat_map(|&length| random(units, length as u64)).collect())
        }
        [steps, units] => {
            // More than there are, of which those of the first steps count.
            let of_sample = |&length: &usize| random(16 * units, length as u64)[..steps * units].to_vec();
            Tensor::new([samples.len(), steps, units], samples.iter().flat_map(of_sample).collect())
        }
        _ => unreachable!(),
    };
    let data = Dataset::new(filled_up(&rows, FEATURES, most), targets.unwrap()).unwrap();
    Case { model, data }
}

fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(0.0, |largest: f32, value| if value.abs() > largest { value.abs() } else { largest });
    for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= 2e-6 * (1.0 + largest), "{what}, {place}: {found}, not {wanted}");
    }
}

#[test]
fn a_batch_is_its_samples_without_what_fills_them_up() {
    for (number, (net, is_sequence)) in nets().into_iter().enumerate() {
        let whole = case(net, &LENGTHS, Some(11), None);
        let (loss, gradients, _) = step(&whole);
        let (mut losses, mut sums) = (0.0, vec![0.0; gradients.len()]);
        let outputs = whole.model.predict(&whole.data).unwrap();
        for (sample, length) in LENGTHS.into_iter().enumerate() {
            let alone = case(net, &[length], None, Some(&whole.model));
            if number != 3 {
                // Of dropout, what a sample sees depends on its place in the batch.
                let (loss, gradients, _) = step(&alone);
                losses += loss / LENGTHS.len() as f64;
                sums.iter_mut().zip(gradients).for_each(|(sum, part)| *sum += part / LENGTHS.len() as f32);
            }
            let wanted = alone.model.predict(&alone.data).unwrap();
            let found = &outputs.sample(sample).unwrap();
            assert_close(&found[..wanted.values().len()], wanted.values(), &format!("net {number}, sample {sample}"));
            assert!(found[wanted.values().len()..].iter().all(|&value| value == 0.0));
            assert_eq!(
                outputs.lengths().map(|lengths| lengths[sample] as usize),
                is_sequence.then(|| wanted.sample_shape()[0])
            );
        }
        if number != 3 {
            assert!((loss - losses).abs() <= 1e-6 * (1.0 + losses), "net {number}: a loss of {loss}, not {losses}");
            assert_close(&gradients, &sums, &format!("gradients of net {number}"));
            let measured = whole.model.evaluate(&whole.data).unwrap().get("loss").unwrap();
            assert!(
                (measured - losses).abs() <= 1e-6 * (1.0 + losses),
                "net {number}: evaluation gives {measured}, not {losses}"
            );
        }
        // Filled up further, with more in the way.
        let longer = step(&case(net, &LENGTHS, Some(14), Some(&whole.model)));
        assert!((loss - longer.0).abs() <= 1e-6 * (1.0 + loss));
        assert_close(&longer.1, &gradients, &format!("net {number}, filled up further"));
    }
}

#[test]
fn gradients_are_those_of_the_loss() {
    for (net, _) in nets().into_iter().enumerate().filter(|(number, _)| *number != 3).map(|(_, net)| net) {
        let Case { mut model, data } = case(net, &LENGTHS, Some(11), None);
        check_gradients(&mut model, &data);
    }
}

#[test]
fn moments_of_a_batch_are_of_its_steps() {
    let net = |x: &SymbolicTensor| {
        let y = BatchNormalization::new().apply(Conv1D::new(3, 2).apply(BatchNormalization::new().apply(x)));
        GlobalAveragePooling1D::new().apply(ActivationLayer::new(Activation::Tanh).apply(y))
    };
    let whole = case(net, &LENGTHS, Some(9), None);
    let (loss, gradients, statistics) = step(&whole);
    let longer = step(&case(net, &LENGTHS, Some(13), Some(&whole.model)));
    assert!((loss - longer.0).abs() <= 1e-6);
    assert_close(&longer.1, &gradients, "gradients");
    assert_close(&longer.2, &statistics, "statistics");
    // One sample alone, with and without.
    let filled_up = case(net, &[6], Some(9), None);
    let alone = case(net, &[6], None, Some(&filled_up.model));
    let (found, wanted) = (step(&filled_up), step(&alone));
    assert!((found.0 - wanted.0).abs() <= 1e-6);
    assert_close(&found.1, &wanted.1, "gradients of one");
    assert_close(&found.2, &wanted.2, "statistics of one");
    let Case { mut model, data } = whole;
    check_gradients(&mut model, &data);
}

#[test]
fn each_step_has_its_class_and_padding_none() {
    let x = input([4, 2]).variable_length();
    let y = Dense::new(3).activation(Activation::Softmax).apply(SimpleRnn::new(2).return_sequences().apply(&x));
    let mut model = compiled(&x, y, SparseCategoricalCrossentropy, None);
    let inputs = filled_up(&[random(8, 1), random(4, 2)], 2, 4);
    // Labels that are none stand behind the last step.
    let targets = Tensor::new([2, 4], vec![0.0, 1.0, 2.0, 1.0, 2.0, 0.0, -1.0, 99.0]).unwrap();
    let data = Dataset::new(inputs, targets.clone()).unwrap();
    check_gradients(&mut model, &data);
    let outputs = model.predict(&data).unwrap();
    let loss = |sample: usize, steps: usize| {
        let of_step = |step: usize| {
            let class = targets.values()[sample * 4 + step] as usize;
            -f64::from(outputs.sample(sample).unwrap()[step * 3 + class]).ln()
        };
        (0..steps).map(of_step).sum::<f64>() / steps as f64
    };
    let measured = model.evaluate(&data).unwrap();
    let wanted = (loss(0, 4) + loss(1, 2)) / 2.0;
    assert!((measured.get("loss").unwrap() - wanted).abs() < 1e-6, "{measured:?}, not {wanted}");
    let right = |sample: usize, steps: usize| {
        let is_right = |step: &usize| {
            let row = &outputs.sample(sample).unwrap()[step * 3..][..3];
            crate::metrics::largest(row) == targets.values()[sample * 4 + step] as usize
        };
        (0..steps).filter(is_right).count() as f64 / steps as f64
    };
    let accuracy = measured.get("accuracy").unwrap();
    assert!((accuracy - (right(0, 4) + right(1, 2)) / 2.0).abs() < 1e-9, "{accuracy}");
    // Of a sample of all four steps, they count.
    let wrong = Dataset::new(filled_up(&[random(8, 1), random(8, 2)], 2, 4), targets).unwrap();
    assert!(model.evaluate(&wrong).unwrap_err().to_string().contains("-1"));
}

#[test]
fn lengths_follow_from_padding() {
    let model = |embedding: Embedding, steps: usize| {
        let build = Sequential::new("tokens", [steps]).add(embedding.named("table"));
        let mut model = build.add(Lstm::new(3)).add(Dense::new(1)).build().unwrap();
        model.compile(Sgd::new(0.1), MeanSquaredError).unwrap();
        model
    };
    let tokens = |steps: usize| Tensor::new([1, steps], [&[3.0, 1.0, 2.0][..], &vec![0.0; steps - 3]].concat()).unwrap();
    let masked = model(Embedding::new(5, 2).mask_zero(), 6);
    let plain = model(Embedding::new(5, 2), 3);
    for parameter in &masked.graph().parameters {
        plain.set_parameter(&parameter.name, &parameter.values()).unwrap();
    }
    let wanted = plain.predict(&tokens(3)).unwrap();
    assert_eq!(masked.predict(&tokens(6)).unwrap(), wanted);
    // Said lengths come first: here two tokens.
    let said = masked.predict(&tokens(6).with_lengths([2]).unwrap()).unwrap();
    assert_ne!(said, wanted);
    assert_eq!(said, masked.predict(&Tensor::new([1, 6], vec![3.0, 1.0, 0.0, 0.0, 0.0, 0.0]).unwrap()).unwrap());
    let before = pad_sequences(&[vec![3, 1, 2]], 6, Side::Before, Side::Before).unwrap();
    assert_eq!(
        masked.predict(&before).unwrap_err().to_string(),
        "padding is in step 0 of sample 0 of input 'input', before others, but must be behind all that count: `pad_sequences` with \
         `Side::After` puts it there; lengths can also be said, by `Tensor::with_lengths`"
    );
    let net = Sequential::new("masking", [5, 2]).add(Masking::new(-1.0)).add(GlobalAveragePooling1D::new()).build().unwrap();
    let values = vec![1.0, 2.0, -1.0, 4.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0];
    assert_eq!(net.predict(&Tensor::new([1, 5, 2], values).unwrap()).unwrap().values(), [0.0, 3.0]);
    // Samples may also be of fewer steps than the model takes.
    assert_eq!(
        net.predict(&Tensor::new([1, 3, 2], vec![1.0, 2.0, -1.0, 4.0, -1.0, -1.0]).unwrap()).unwrap().values(),
        [0.0, 3.0]
    );
    assert_eq!(masked.predict(&tokens(4)).unwrap(), wanted);
    let nothing = net.predict(&Tensor::new([1, 5, 2], vec![-1.0; 10]).unwrap()).unwrap();
    assert_eq!(nothing.values(), [-1.0, -1.0], "one step is always there");
}

#[test]
fn what_lengths_do_not_go_through_is_refused() {
    let faults = |net: Net| {
        let x = input([6, 2]).variable_length();
        Model::new("refused", &x, net(&x)).unwrap_err().to_string()
    };
    for (net, wanted) in [
        (
            (|x| Dense::new(1).apply(Flatten::new().apply(x))) as Net,
            "layer 'flatten' on sequences of variable length: expected before it a layer that makes one vector of the steps: a \
             `GlobalAveragePooling1D`, or a recurrent layer without `return_sequences`",
        ),
        (
            |x| Conv1D::new(1, 3).strides(2).padding(Padding::Same).apply(x),
            "layer 'conv1d' on sequences of variable length: expected valid or causal padding: where `same` padding begins depends \
             with a stride on the length",
        ),
        (
            |x| MaxPooling1D::new(2).strides(1).padding(Padding::Same).apply(x),
            "layer 'max_pooling1d' on sequences of variable length: expected valid or causal padding",
        ),
        (
            |x| Concatenate::new().axis(0).apply([x, x]),
            "layer 'concatenate' on sequences of variable length: expected another axis than that of the steps, whose ends lie \
             elsewhere for each length",
        ),
        (
            |x| {
                Add::new()
                    .apply([x, &Conv1D::new(2, 1).apply(Conv1D::new(2, 3).padding(Padding::Same).apply(x))])
                    .variable_length()
            },
            "`variable_length` is said of a tensor that is no input: lengths come with the samples of an input, and what layers make \
             of it follows",
        ),
        (
            |x| Multiply::new().apply([x, &GlobalAveragePooling1D::new().apply(x)]),
            "expected the factors of all steps in one row: a `Reshape` of [2] to [1, 2] before it",
        ),
        (
            |x| UpSampling1D::new(2).apply(x),
            "layer 'up_sampling1d' on sequences of variable length: expected sequences of one length",
        ),
        (
            |x| Slice::row(1).apply(x),
            "layer 'slice' on sequences of variable length: expected the first step (`Slice::row(0)`), the last (`Slice::last()`), or all \
             from one on (`Slice::rows(1..)`): samples may be too short to have others",
        ),
    ] {
        assert!(faults(net).contains(wanted), "{}", faults(net));
    }
    let (a, b) = (input([4, 2]).variable_length(), input([4, 2]));
    let message = Model::new("one", [&a, &b], Add::new().apply([&a, &b])).unwrap_err().to_string();
    assert!(message.contains("expected all inputs to be such"), "{message}");
    let b = b.variable_length();
    let message = Model::new("two", [&a, &b], Add::new().apply([&a, &b])).unwrap_err().to_string();
    assert!(message.contains("expected all of one length, which follows from one input by the same windows"), "{message}");
    let vector = input([4]).variable_length();
    let message = Model::new("vector", &vector, Dense::new(1).apply(&vector)).unwrap_err().to_string();
    assert!(message.contains("input 'input' of shape [4] is of variable length: expected a shape [steps, ...]"), "{message}");

    let Case { model, .. } = case(nets()[4].0, &LENGTHS, Some(9), None);
    let short = filled_up(&[random(5 * FEATURES, 1), random(4 * FEATURES, 2)], FEATURES, 9);
    assert_eq!(
        model.predict(&short).unwrap_err().to_string(),
        "the length of a sequence is 4, of sample 1 of input 'input', but must be from 5 to 9: the model's windows take at least 5 steps"
    );
}

#[test]
fn lengths_that_count_nowhere_are_told() {
    let dropped = |is_variable: bool, lengths: [usize; 2]| {
        let x = input([3, 1]).named("x");
        let x = if is_variable { x.variable_length() } else { x };
        let model = compiled(&x, SimpleRnn::new(1).apply(&x), MeanSquaredError, None);
        let inputs = Tensor::new([2, 3, 1], vec![0.5; 6]).unwrap().with_lengths(lengths).unwrap();
        let data = Dataset::new(inputs, Tensor::new([2, 1], vec![0.0; 2]).unwrap()).unwrap();
        model.feed(&data, Purpose::Train).unwrap().dropped_lengths()
    };
    assert_eq!([dropped(true, [3, 1]), dropped(false, [3, 3])], [[""; 0], [""; 0]]);
    let wanted =
        "input 'x' takes what fills its samples up for steps of theirs: `variable_length` makes it take as many as they have";
    assert_eq!(dropped(false, [3, 1]), [wanted]);
}

#[test]
fn copies_and_files_keep_lengths() {
    let Case { mut model, data } = case(nets()[0].0, &LENGTHS, Some(9), None);
    let wanted = model.predict(&data).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model");
    model.save(&path).unwrap();
    assert_eq!(Model::load(&path).unwrap().predict(&data).unwrap(), wanted);
    assert_eq!(model.duplicate().unwrap().predict(&data).unwrap(), wanted);
    model.fit(&data, Fit { epochs: 2, verbose: false, validation: Some(&data), ..Fit::default() }).unwrap();
    // As a layer, on an input of its own.
    let x = input([9, FEATURES]).variable_length();
    let outer = Model::new("outer", &x, model.apply(&x)).unwrap();
    assert_eq!(outer.predict(&data).unwrap(), model.predict(&data).unwrap());
}
