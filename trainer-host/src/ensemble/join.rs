//! One model of all members.

use std::collections::HashMap;

use super::EnsembleError;
use super::opinions::check;
use crate::error::Result;
use crate::graph::{Apply, SymbolicTensor};
use crate::layers::{Concatenate, WeightedSum};
use crate::train::Model;

/// How far weights may be from 1 together.
const TOLERANCE: f32 = 1e-4;

/// What is made of the members' probabilities.
#[derive(Debug, Clone, Copy)]
pub enum Combination<'a> {
    /// Their mean with these weights, from 0 on and 1 together.
    Weighted(&'a [f32]),
    /// What a head says of all of them side by side, as [`stack`](super::stack) trains one.
    Stacked(&'a Model),
}

/// One model with the members' input, which runs one member after the other and combines what they give; members are parts of it under
/// their names, and share their parameters with it. Layers that several members have on the same tensors, a common body, are there once.
/// A member of weight 0 is left out.
///
/// # Errors
/// [`EnsembleError`] if there are fewer than two members, their inputs or classes are not the same, or weights or head do not fit them.
pub fn join(name: &str, members: &[&Model], combination: &Combination<'_>) -> Result<Model> {
    let classes = check(members)?;
    let graph = members[0].graph();
    let inputs: Vec<SymbolicTensor> = graph.inputs.iter().map(|&input| graph.nodes[input].symbol.as_input()).collect();
    let mut met = HashMap::new();
    let mut apply = |member: &Model| member.apply_among(&inputs, &mut met);
    let output = match combination {
        Combination::Weighted(weights) => {
            check_weights(weights, members.len())?;
            let counting = || members.iter().zip(*weights).filter(|(_, weight)| **weight > 0.0);
            let outputs: Vec<SymbolicTensor> = counting().flat_map(|(member, _)| apply(member)).collect();
            match &outputs[..] {
                [only] => only.clone(),
                _ => WeightedSum::new(counting().map(|(_, &weight)| weight).collect::<Vec<_>>()).apply(outputs),
            }
        }
        Combination::Stacked(head) => {
            let expected = members.len() * classes;
            let found = head.graph().inputs.first().map(|&input| head.graph().nodes[input].shape.clone()).unwrap_or_default();
            if found[..] != [expected] {
                return Err(EnsembleError::Head { head: head.name().to_owned(), found, expected }.into());
            }
            let outputs: Vec<SymbolicTensor> = members.iter().flat_map(|member| apply(member)).collect();
            head.apply(Concatenate::new().apply(outputs))
        }
    };
    Model::new(name, inputs, output)
}

/// Checks that weights make a mean of so many members.
fn check_weights(weights: &[f32], members: usize) -> Result<()> {
    if weights.len() != members {
        let (what, expected) = ("the weights of an ensemble".to_owned(), format!("one for each of {members} members is"));
        return Err(EnsembleError::Count { what, found: weights.len(), expected }.into());
    }
    let is_mean = weights.iter().all(|weight| *weight >= 0.0) && (weights.iter().sum::<f32>() - 1.0).abs() <= TOLERANCE;
    if !is_mean {
        let found = weights.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
        return Err(EnsembleError::Weights { found }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::run::DeviceModel;
    use crate::prelude::*;

    fn samples(count: usize) -> Tensor {
        Tensor::from_samples([6], (0..count * 6).map(|i| ((i * 29) % 41) as f32 / 20.0 - 1.0).collect()).unwrap()
    }

    fn member(name: &str, activation: Activation, seed: u64) -> Model {
        let x = input([6]).named("x");
        let hidden = Dense::new(8).activation(activation).apply(&x);
        let mut model = Model::new(name, &x, Dense::new(3).activation(Activation::Softmax).apply(&hidden)).unwrap();
        model.initialize(seed);
        model
    }

    #[test]
    fn the_file_gives_the_weighted_mean_of_the_members_files() {
        let members = [
            member("a", Activation::Relu, 1),
            member("a", Activation::Tanh, 2),
            member("unheard", Activation::Relu, 3),
            member("b", Activation::Sigmoid, 4),
        ];
        let members: Vec<&Model> = members.iter().collect();
        let weights = [0.5, 0.125, 0.0, 0.375];
        let all = join("all", &members, &Combination::Weighted(&weights)).unwrap();
        let said = |model: &Model| {
            let file = DeviceModel::new(&model.export_f32().unwrap()).unwrap();
            file.predict(&[samples(50)]).unwrap()[0].values().to_vec()
        };
        let each: Vec<Vec<f32>> = members.iter().map(|member| said(member)).collect();
        let together = said(&all);
        assert_eq!(together.len(), 150);
        for (place, value) in together.iter().enumerate() {
            let expected: f32 = each.iter().zip(&weights).map(|(values, weight)| weight * values[place]).sum();
            assert!((value - expected).abs() < 1e-5, "{place}: {value}, expected {expected}");
        }
        let by_trainer = all.predict(&samples(50)).unwrap();
        assert!(by_trainer.values().iter().zip(&together).all(|(a, b)| (a - b).abs() < 1e-5));
        // Members are found by their names, and that of weight 0 is not there.
        let names: Vec<&str> = all.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert!(names.contains(&"a/dense/kernel") && names.contains(&"a_1/dense/kernel") && names.contains(&"b/dense/bias"));
        assert!(!names.iter().any(|name| name.starts_with("unheard")), "{names:?}");
    }

    #[test]
    fn one_that_has_all_the_weight_is_alone() {
        let members = [member("a", Activation::Relu, 1), member("b", Activation::Tanh, 2)];
        let alone = join("alone", &[&members[0], &members[1]], &Combination::Weighted(&[0.0, 1.0])).unwrap();
        assert_eq!(alone.predict(&samples(4)).unwrap(), members[1].predict(&samples(4)).unwrap());
    }

    #[test]
    fn a_head_answers_in_the_file_as_it_does_alone() {
        let members = [member("a", Activation::Relu, 1), member("b", Activation::Tanh, 2)];
        let said = input([6]);
        let mut head = Model::new("head", &said, Dense::new(3).activation(Activation::Softmax).apply(&said)).unwrap();
        head.initialize(9);
        let all = join("all", &[&members[0], &members[1]], &Combination::Stacked(&head)).unwrap();
        let [first, second] = [0, 1].map(|number: usize| members[number].predict(&samples(20)).unwrap());
        let rows = first.values().chunks(3).zip(second.values().chunks(3));
        let side_by_side = rows.flat_map(|(first, second)| first.iter().chain(second)).copied().collect();
        let expected = head.predict(&Tensor::from_samples([6], side_by_side).unwrap()).unwrap();
        let file = DeviceModel::new(&all.export_f32().unwrap()).unwrap();
        let found = file.predict(&[samples(20)]).unwrap();
        assert!(found[0].values().iter().zip(expected.values()).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }

    #[test]
    fn a_common_body_runs_once() {
        let x = input([6]);
        let body = Dense::new(16).activation(Activation::Relu).apply(Dense::new(16).activation(Activation::Tanh).apply(&x));
        let head = |name: &str| Model::new(name, &x, Dense::new(3).activation(Activation::Softmax).apply(&body)).unwrap();
        let (mut first, second) = (head("first"), head("second"));
        first.initialize(5);
        let both = join("both", &[&first, &second], &Combination::Weighted(&[0.5, 0.5])).unwrap();
        let macs =
            |model: &Model| samara_runtime::format::writer::ModelFile::from_bytes(&model.export_f32().unwrap()).unwrap().macs();
        assert_eq!((macs(&first), macs(&both)), (6 * 16 + 16 * 16 + 16 * 3, 6 * 16 + 16 * 16 + 2 * 16 * 3));
        let (one, other) = (first.predict(&samples(5)).unwrap(), second.predict(&samples(5)).unwrap());
        let mean = one.values().iter().zip(other.values()).map(|(a, b)| 0.5 * a + 0.5 * b);
        assert!(mean.zip(both.predict(&samples(5)).unwrap().values()).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn what_cannot_be_joined_is_told() {
        let (a, b) = (member("a", Activation::Relu, 1), member("b", Activation::Relu, 2));
        let build = |shape: &[usize], classes: usize| {
            let x = input(shape);
            let y = Dense::new(classes).activation(Activation::Softmax).apply(Flatten::new().apply(&x));
            Model::new("other", &x, y).unwrap()
        };
        let message = |members: &[&Model], weights: &[f32]| {
            join("all", members, &Combination::Weighted(weights)).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[]), "an ensemble has two members or more, but 0 were given");
        assert_eq!(message(&[&a], &[1.0]), "an ensemble has two members or more, but 1 was given");
        assert_eq!(
            message(&[&a, &build(&[7], 3)], &[0.5; 2]),
            "member 'other' takes [7], but 'a' takes [6]: members share their input"
        );
        assert_eq!(
            message(&[&a, &build(&[6], 4)], &[0.5; 2]),
            "member 'other' tells 4 classes apart, but 'a' tells 3: members answer the same question"
        );
        assert_eq!(
            message(&[&a, &build(&[6], 1)], &[0.5; 2]),
            "member 'other' gives an output of shape [1], but members give the probabilities of two classes or more, as one output"
        );
        assert_eq!(
            message(&[&a, &b], &[1.0]),
            "the weights of an ensemble: 1 value, but one for each of 2 members is expected"
        );
        assert_eq!(
            message(&[&a, &b], &[1.5, -0.5]),
            "the weights of an ensemble are 1.5, -0.5, but must be from 0 on, and 1 together"
        );
        assert_eq!(
            join("all", &[&a, &b], &Combination::Stacked(&build(&[5], 3))).unwrap_err().to_string(),
            "the head 'other' takes [5], but the members give 6 probabilities together"
        );
    }
}
