//! Models as text: those of the zoo as they are printed, and those of the documentation.

use samara_models::{ZOO, tasks::TASKS, textbook};
use samara_trainer::prelude::*;

/// The model of the text of a model, which is the same but for its weights.
fn again(model: &Model) -> Model {
    let text = model.to_toml().unwrap_or_else(|error| panic!("{error}"));
    let again = Model::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let parameters = |model: &Model| -> Vec<(String, Shape)> {
        model.parameters().iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect()
    };
    assert_eq!(parameters(model), parameters(&again), "{text}");
    assert_eq!(model.graph().input_names(), again.graph().input_names(), "{text}");
    assert_eq!(model.graph().output_names(), again.graph().output_names(), "{text}");
    assert_eq!(model.name(), again.name());
    again
}

#[test]
fn every_model_of_the_zoo_is_the_same_as_text_and_gives_the_same() {
    for zoo in ZOO {
        let mut model = zoo.build().unwrap();
        model.initialize(7);
        let again = again(&model);
        for entry in model.parameters() {
            again.set_parameter(&entry.name, &entry.values()).unwrap();
        }
        let shape = &model.graph().nodes[model.graph().inputs[0]].shape;
        let values = (0..2 * shape.size()).map(|number| ((number * 37) % 101) as f32 / 101.0).collect();
        let data = Tensor::from_samples(shape.clone(), values).unwrap();
        assert_eq!(model.predict(&data).unwrap(), again.predict(&data).unwrap(), "{}", zoo.name);
    }
}

#[test]
fn the_nets_of_tasks_and_textbooks_are_the_same_as_text() {
    for task in TASKS {
        again(&(task.build)().unwrap());
    }
    again(&textbook::inception_module([28, 28, 16], Padding::Same).unwrap());
    again(&textbook::question_answering(100, 20).unwrap());
    again(&textbook::siamese_lstm(20).unwrap());
    again(&textbook::xception().unwrap());
    again(&textbook::dual_camera().unwrap());
}

#[test]
fn a_sequential_net_is_a_plain_list() {
    let text = samara_models::fashion_mlp_deep().unwrap().to_toml().unwrap();
    assert!(text.starts_with("name = \"fashion-mlp-deep\"\n") && !text.contains("inputs ="), "{text}");
}

#[test]
fn the_texts_of_the_documentation_are_models() {
    let page = include_str!("../../docs/model-files.md");
    let texts: Vec<&str> = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(texts.len(), 3);
    for text in texts {
        again(&Model::from_toml(text).unwrap_or_else(|error| panic!("{error}\n{text}")));
    }
}
