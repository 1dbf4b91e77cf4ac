//! Deep copies of models.

use super::tests::{quiet, random_tensor};
use super::transform_tests::RoundToInt8;
use super::{Model, Sequential};
use crate::checkpoint::Weights;
use crate::data::{Dataset, Tensor};
use crate::graph::{Shape, input};
use crate::layers::*;
use crate::losses::SparseCategoricalCrossentropy;
use crate::optimizers::Adam;

/// Two cameras over one base, which has a shared layer and a model of its own in it; a head with dropout.
pub(super) fn two_cameras() -> Model {
    let inner = Sequential::new("inner", [4]).add(Dense::new(4)).add(BatchNormalization::new()).build().unwrap();
    let view = input([4]);
    let shared = Dense::new(4).activation(Activation::Tanh).named("shared");
    let base = Model::new("base", &view, shared.apply(inner.apply(shared.apply(&view)))).unwrap();
    let (left, right) = (input([4]).named("left"), input([4]));
    let both = Concatenate::new().apply([&base.apply(&left), &base.apply(&right)]);
    let head = Dense::new(3).activation(Activation::Softmax).apply(Dropout::new(0.2).apply(&both));
    let mut model = Model::new("cameras", [&left, &right], &head).unwrap();
    model.compile(Adam::new(0.01), SparseCategoricalCrossentropy).unwrap();
    model
}

pub(super) fn data() -> Dataset {
    let shape = Shape::from([4]);
    let labels: Vec<u8> = (0..60).map(|sample| sample % 3).collect();
    let inputs = vec![random_tensor(60, &shape, 5), random_tensor(60, &shape, 6)];
    Dataset::with_many(inputs, vec![Tensor::from_labels(&labels)]).unwrap()
}

pub(super) fn names(model: &Model) -> Vec<(String, Vec<String>, Vec<usize>)> {
    model.graph().nodes.iter().map(|node| (node.name.clone(), node.scopes.clone(), node.inputs.clone())).collect()
}

#[test]
fn a_copy_is_equal_and_goes_its_own_way() {
    let data = data();
    let mut model = two_cameras();
    model.set_trainable("base/inner", false).unwrap();
    model.set_learning_rate_factor("dense", 0.5).unwrap();
    model.set_transform("base/shared/kernel", RoundToInt8).unwrap();
    model.fit(&data, quiet(2)).unwrap();

    let mut copy = model.duplicate().unwrap();
    assert_eq!(names(&copy), names(&model));
    let (weights, outputs) = (Weights::of(&model), model.predict(&data).unwrap());
    assert_eq!(Weights::of(&copy), weights);
    assert_eq!((copy.predict(&data).unwrap(), copy.trainable_size()), (outputs.clone(), model.trainable_size()));
    assert!(copy.export_f32().unwrap() == model.export_f32().unwrap(), "the files differ");

    // The trap: what is made of the same layers learns with them. The copy does not.
    copy.fit(&data, quiet(3)).unwrap();
    copy.set_trainable("base", false).unwrap();
    copy.remove_transform("base/shared/kernel").unwrap();
    assert_ne!(Weights::of(&copy), weights);
    assert_eq!((Weights::of(&model), model.predict(&data).unwrap()), (weights, outputs));
    assert!(model.trainable_size() > copy.trainable_size());
    // A model that was applied is frozen by its own handle, too: all of it.
    let frozen = copy.duplicate().unwrap();
    frozen.set_trainable("", false).unwrap();
    assert_eq!(frozen.trainable_size(), 0);
    // Optimizer's state and rates were copied, too: the model learns what the copy has learned.
    let learned = Weights::of(&copy);
    model.fit(&data, quiet(3)).unwrap();
    assert_eq!(Weights::of(&model), learned);
}

#[test]
fn layers_are_shared_within_a_copy_and_not_with_it() {
    let model = two_cameras();
    let copy = model.duplicate().unwrap();
    for (own, other) in model.parameters().iter().zip(copy.parameters()) {
        assert!(!own.layer.base().is_same(other.layer.base()), "{}", own.name);
    }
    // A part that is cut out of the copy has its layers, and a copy of a part begins at the cut.
    let part = Model::new("part", copy.tensor("base/shared").unwrap(), copy.tensor("base/shared@1").unwrap()).unwrap();
    let again = part.duplicate().unwrap();
    assert_eq!(names(&again), names(&part));
    copy.set_parameter("base/shared/bias", &[1.0; 4]).unwrap();
    assert_eq!(part.parameter("base/shared@1/bias").unwrap(), [1.0; 4]);
    assert_eq!(again.parameter("base/shared@1/bias").unwrap(), [0.0; 4]);
    assert_eq!(model.parameter("base/shared/bias").unwrap(), [0.0; 4]);
}

/// Every kind of layer can be copied, with all that is set of it.
#[test]
fn all_layers_have_copies() {
    for example in ALL_LAYERS.iter().flat_map(|kind| (kind.examples)()) {
        let inputs: Vec<_> = example.inputs.iter().map(|shape| input(shape.clone())).collect();
        let mut model = Model::new("m", inputs.clone(), example.apply(inputs)).unwrap();
        model.initialize(4);
        let copy = model.duplicate().unwrap();
        let told = |model: &Model| {
            let layers = model.graph().nodes.iter().filter_map(|node| node.layer.as_ref());
            layers.map(|layer| format!("{} {}", layer.kind(), layer.describe())).collect::<Vec<_>>()
        };
        assert_eq!((told(&copy), Weights::of(&copy)), (told(&model), Weights::of(&model)));
        // What it is on the device shows the options that a description leaves out.
        let file = |model: &Model| model.export_f32().map_err(|error| error.to_string());
        assert!(file(&copy) == file(&model), "{:?}", example.layer);
    }
}
