//! `stateful` layers: rows go on from batch to batch, and no gradient goes back.

use super::tests::{check_gradients, data_for, quiet, random_tensor, with_squared_errors};
use super::{Fit, Model, Training, TrainingState};
use crate::callbacks::{each_batch, each_epoch};
use crate::checkpoint::Weights;
use crate::data::Tensor;
use crate::graph::{Shape, SymbolicTensor, input};
use crate::layers::*;

const FEATURES: usize = 3;

type Recurrent = fn(bool, &SymbolicTensor) -> SymbolicTensor;

/// Layers, `stateful` or not, of all steps.
const LAYERS: [Recurrent; 4] = [
    |is_stateful, x| {
        let layer = Lstm::new(4).return_sequences();
        if is_stateful { layer.stateful().apply(x) } else { layer.apply(x) }
    },
    |is_stateful, x| {
        let layer = Gru::new(3).return_sequences();
        if is_stateful { layer.stateful().apply(x) } else { layer.apply(x) }
    },
    |is_stateful, x| {
        let layer = Gru::new(3).reset_before().return_sequences();
        if is_stateful { layer.stateful().apply(x) } else { layer.apply(x) }
    },
    |is_stateful, x| {
        let layers = [SimpleRnn::new(5), SimpleRnn::new(2)].map(SimpleRnn::return_sequences);
        let [first, second] = if is_stateful { layers.map(SimpleRnn::stateful) } else { layers };
        second.apply(first.apply(x))
    },
];

fn model(layer: Recurrent, is_stateful: bool, steps: usize) -> Model {
    let x = input([steps, FEATURES]);
    let mut model = Model::new("m", &x, layer(is_stateful, &x)).unwrap();
    model.initialize(7);
    model
}

/// A stateful net for training.
fn net() -> Model {
    let x = input([4, FEATURES]);
    let y = Gru::new(3).stateful().apply(Lstm::new(5).return_sequences().stateful().dropout(0.2).apply(&x));
    let mut model = Model::new("m", &x, Dense::new(2).apply(y)).unwrap();
    with_squared_errors(&mut model);
    model
}

fn fit(epochs: usize, batch: usize) -> Fit<'static> {
    Fit { shuffle: false, batch, ..quiet(epochs) }
}

fn states(model: &Model) -> Vec<Vec<f32>> {
    let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
    layers.map(|layer| layer.base().carried()).filter(|values| !values.is_empty()).collect()
}

/// Steps `from..to` of all samples.
fn piece(whole: &Tensor, steps: usize, from: usize, to: usize) -> Tensor {
    let of_sample = |sample: &[f32]| sample[from * FEATURES..to * FEATURES].to_vec();
    let values = whole.values().chunks(steps * FEATURES).flat_map(of_sample).collect();
    Tensor::from_samples(Shape::from([to - from, FEATURES]), values).unwrap()
}

#[test]
fn a_sequence_in_pieces_is_the_sequence() {
    let samples = 21;
    let whole = random_tensor(samples, &Shape::from([6, FEATURES]), 1);
    for layer in LAYERS {
        let expected = model(layer, false, 6).predict(&whole).unwrap();
        let in_pieces = model(layer, true, 2);
        let pieces = [0, 2, 4].map(|from| piece(&whole, 6, from, from + 2));
        // Batch by batch, and one behind the other in one tensor.
        let given = pieces.each_ref().map(|piece| in_pieces.predict(piece).unwrap());
        let all: Vec<f32> = pieces.iter().flat_map(|piece| piece.values().to_vec()).collect();
        let all = Tensor::from_samples(Shape::from([2, FEATURES]), all).unwrap();
        in_pieces.reset_states();
        let mut predictor = in_pieces.predictor(samples).unwrap();
        assert_eq!(predictor.predict(&all).unwrap().values(), given.each_ref().map(Tensor::values).concat());
        let width = expected.values().len() / samples / 6;
        for sample in 0..samples {
            let found: Vec<f32> =
                given.iter().flat_map(|piece| piece.values()[sample * 2 * width..][..2 * width].to_vec()).collect();
            for (found, expected) in found.iter().zip(&expected.values()[sample * 6 * width..][..6 * width]) {
                assert!((found - expected).abs() < 1e-6, "sample {sample}: {found} in pieces, {expected} whole");
            }
        }
    }
}

/// Differences of the loss are taken with the states held as they are.
#[test]
fn gradients_take_states_of_the_batch_before_as_given() {
    for layer in LAYERS {
        let mut model = model(layer, true, 3);
        with_squared_errors(&mut model);
        let data = data_for(&model, 5);
        model.predict(&random_tensor(5, &Shape::from([3, FEATURES]), 9)).unwrap();
        let before = states(&model);
        assert!(before.iter().flatten().all(|&value| value != 0.0));
        check_gradients(&mut model, &data);
        assert_eq!(states(&model), before, "measuring gradients moves no state");
    }
}

#[test]
fn fit_evaluate_and_predict_go_on_where_the_last_ended() {
    let data = data_for(&net(), 40);
    let inputs = data.inputs()[0].clone();
    let mut model = net();
    model.fit(&data, fit(1, 20)).unwrap();
    let fresh = net();
    Weights::of(&model).restore(&fresh).unwrap();
    let [next, anew] = [&model, &fresh].map(|model| model.predict(&inputs).unwrap().sample(0).unwrap().to_vec());
    assert_ne!(next, anew, "the states that `fit` left count");
    // Validation goes on from the training, and the next epoch from validation.
    let validated = |epochs: usize| {
        let mut model = net();
        let history = model.fit(&data, Fit { validation: Some(&data), ..fit(epochs, 20) }).unwrap();
        (history.epochs.last().unwrap().measurements.get("val_loss").unwrap(), states(&model))
    };
    let mut by_hand = net();
    by_hand.fit(&data, fit(1, 20)).unwrap();
    let measured = by_hand.evaluate(&data).unwrap().get("loss").unwrap();
    assert_eq!(validated(1), (measured, states(&by_hand)));
    // A reset in a callback at the end of each epoch.
    let reset = |training: &mut Training<'_>| {
        training.reset_states();
        Ok(())
    };
    let mut model = net();
    model.fit(&data, Fit { callbacks: vec![Box::new(each_epoch(reset))], ..fit(2, 20) }).unwrap();
    assert!(states(&model).is_empty());
    let mut again = net();
    again.fit(&data, fit(2, 20)).unwrap();
    assert_ne!(
        model.parameter("lstm/kernel").unwrap(),
        again.parameter("lstm/kernel").unwrap(),
        "epochs go on without a reset"
    );
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let train = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let mut model = net();
            let data = data_for(&model, 150);
            model.fit(&data, fit(2, 75)).unwrap();
            (model.parameter("lstm/kernel").unwrap(), states(&model))
        })
    };
    let expected = train(1);
    assert_eq!(expected.1.iter().map(Vec::len).collect::<Vec<_>>(), [75 * 10, 75 * 3]);
    for threads in [2, 3, 8] {
        assert_eq!(train(threads), expected, "{threads} threads");
    }
}

#[test]
fn a_resumed_training_has_its_states() {
    let data = data_for(&net(), 60);
    let train = |resume: Option<TrainingState>, end: Option<usize>| {
        let mut model = net();
        let mut state = None;
        let stop = each_batch(|training: &mut Training<'_>| {
            if Some((training.epoch() - 1) * training.steps() + training.step()) == end {
                state = Some(training.state());
                training.stop();
            }
            Ok(())
        });
        model.fit(&data, Fit { resume, callbacks: vec![Box::new(stop)], ..fit(2, 20) }).unwrap();
        ((model.parameter("lstm/kernel").unwrap(), states(&model)), state)
    };
    let (expected, _) = train(None, None);
    for end in [1, 3, 5] {
        let bytes = train(None, Some(end)).1.unwrap().to_bytes();
        assert_eq!(train(Some(TrainingState::from_bytes(&bytes).unwrap()), None).0, expected, "after step {end}");
    }
    // A state of a model whose layers are not stateful has none for these.
    let x = input([4, FEATURES]);
    let y = Gru::new(3).apply(Lstm::new(5).return_sequences().dropout(0.2).apply(&x));
    let mut without = Model::new("m", &x, Dense::new(2).apply(y)).unwrap();
    with_squared_errors(&mut without);
    let state = train(None, Some(1)).1;
    let message = without.fit(&data, Fit { resume: state, ..fit(2, 20) }).unwrap_err().to_string();
    assert!(message.contains("state") && message.contains("lstm [20, 10]") && message.contains("none"), "{message}");
}

#[test]
fn copies_have_states_of_their_own() {
    let model = net();
    let inputs = data_for(&model, 20).inputs()[0].clone();
    model.predict(&inputs).unwrap();
    let copy = model.duplicate().unwrap();
    let expected = model.predict(&inputs).unwrap();
    copy.reset_states();
    assert_ne!(copy.predict(&inputs).unwrap(), expected);
    let mut predictor = model.predictor(20).unwrap();
    let next = predictor.predict(&inputs).unwrap();
    predictor.reset_states();
    assert_ne!(predictor.predict(&inputs).unwrap(), next);
    assert_eq!(model.predict(&inputs).unwrap(), next, "what a predictor does changes no state of the model");
}

#[test]
fn layers_without_it_run_with_the_weights_of_one_with_it() {
    let x = input([4, FEATURES]);
    let layer = Lstm::new(2);
    let trained = Model::new("trained", &x, layer.apply(&x)).unwrap();
    let stream = Model::new("stream", &x, layer.clone().stateful().apply(&x)).unwrap();
    let data = random_tensor(2, &Shape::from([4, FEATURES]), 1);
    let first = trained.predict(&data).unwrap();
    assert_eq!(stream.predict(&data).unwrap(), first);
    assert_ne!(stream.predict(&data).unwrap(), first);
    assert_eq!(trained.predict(&data).unwrap(), first);
    layer.reset_states();
    assert_eq!(stream.predict(&data).unwrap(), first);
}

#[test]
fn shorter_samples_go_on_from_their_last_step() {
    let x = input([4, FEATURES]).variable_length();
    let model = Model::new("m", &x, Lstm::new(2).stateful().apply(&x)).unwrap();
    let whole = random_tensor(1, &Shape::from([4, FEATURES]), 1);
    let expected = model.predict(&whole).unwrap();
    model.reset_states();
    for steps in [(0, 1), (1, 4)] {
        let length = steps.1 - steps.0;
        let mut values = piece(&whole, 4, steps.0, steps.1).values().to_vec();
        values.resize(4 * FEATURES, 5.0);
        let piece = Tensor::new([1, 4, FEATURES], values).unwrap().with_lengths([length]).unwrap();
        let found = model.predict(&piece).unwrap();
        if steps.1 == 4 {
            let pairs = found.values().iter().zip(expected.values());
            pairs.for_each(|(found, expected)| assert!((found - expected).abs() < 1e-6, "{found}, whole {expected}"));
        }
    }
}

#[test]
fn what_it_cannot_take_is_told_with_the_fix() {
    let data = data_for(&net(), 70);
    let message = |result: crate::Result<()>| result.unwrap_err().to_string();
    let trained = |options: Fit<'_>| message(net().fit(&data, options).map(drop));
    assert_eq!(
        trained(fit(1, 32)),
        "the number of samples is 70, but must be a multiple of the batch, 32, since row i of a batch goes on with the states of row i \
         of the one before in the `stateful` layer 'lstm': leave the last 6 out, or take a batch that divides the number"
    );
    assert!(
        trained(Fit { shuffle: true, ..fit(1, 35) })
            .starts_with("shuffle is true, but must be false: row i of a batch goes on")
    );
    let validation = data_for(&net(), 36);
    let text = trained(Fit { validation: Some(&validation), ..fit(1, 35) });
    assert!(text.starts_with("the number of samples is 36, but must be a multiple of the batch, 35"), "{text}");
    let mut model = net();
    model.fit(&data, fit(1, 35)).unwrap();
    assert_eq!(
        message(model.fit(&data, fit(1, 14)).map(drop)),
        "the batch is 14, but must be 35, since the `stateful` layer 'lstm' has the states of 35 samples: take batches of 35, or call \
         `reset_states` before others"
    );
    assert!(message(model.evaluate_in_batches(&data, 10).map(drop)).starts_with("the batch is 10, but must be 35"));
    let inputs = &data.inputs()[0];
    assert!(message(model.predictor(1).unwrap().predict(inputs).map(drop)).starts_with("the batch is 1, but must be 35"));
    model.evaluate(&data).unwrap();
    model.predict(inputs).unwrap();
    model.reset_states();
    model.fit(&data, fit(1, 14)).unwrap();

    let x = input([4, FEATURES]);
    let layer = Lstm::new(3).return_sequences().stateful();
    let text = message(Model::new("m", &x, Add::new().apply([&layer.apply(&x), &layer.apply(&x)])).map(drop));
    assert!(
        text.contains("layer 'lstm' is `stateful` and applied again as 'lstm@1', which would mix up their states"),
        "{text}"
    );
    let x = input([2, 4, FEATURES]);
    let text = message(Model::new("m", &x, TimeDistributed::new(Gru::new(3).stateful()).apply(&x)).map(drop));
    assert!(text.contains("expected a layer that begins each step anew, GRU without `stateful`"), "{text}");
}
