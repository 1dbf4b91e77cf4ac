//! `samara report`: one page that stands for itself, with the numbers that the other commands give.

use std::fs;

use samara_trainer::prelude::*;

use crate::common::{Place, archive, images, json, refusal, success, train};

/// All text of a page, checked to be well-formed and to name nothing that is elsewhere.
fn text_of(html: &str) -> String {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let document = roxmltree::Document::parse_with_options(html, options).unwrap();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            let is_own = !["src", "href"].contains(&name) || value.starts_with("data:");
            assert!(is_own && !value.contains("://"), "{name}={value}");
        }
        assert!(!["script", "link", "iframe"].contains(&node.tag_name().name()));
    }
    assert!(!html.contains("url(") && !html.contains("@import"));
    document.descendants().filter(roxmltree::Node::is_text).filter_map(|node| node.text()).collect::<Vec<_>>().join("|")
}

#[test]
fn a_trained_model_is_reported_with_the_numbers_of_other_commands() {
    let place = Place::new();
    let (data, out, page) = (images(&place, 300, |sample| (sample % 10) as u8), place.text("out"), place.text("report.html"));
    let mut arguments = train(&data, &out);
    arguments[4] = "2";
    let trained = json(&arguments);
    let model = trained["int8_model"].as_str().unwrap();
    let reported = json(&["report", model, "--data", &data, "--out", &page]);
    let evaluated = json(&["evaluate", model, "--data", &data]);
    assert_eq!((&reported["accuracy"], &reported["samples"]), (&evaluated["accuracy"], &20.into()));
    let html = fs::read_to_string(&page).unwrap();
    let text = text_of(&html);
    for title in ["Learning curves", "Confusion", "Confidence", "Layers", "Arena over time", "Boards"] {
        assert!(text.contains(title), "{title}");
    }
    // Both epochs are in the chart of the loss, training and validation.
    let chart = html.split("aria-label=\"loss\"").nth(1).unwrap().split("</svg>").next().unwrap();
    let lines: Vec<usize> =
        chart.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap().split(' ').count()).collect();
    assert_eq!(lines, [2, 2], "{chart}");
    // 20 test samples, two of each class, each in one cell.
    let table = html.split("<table class=\"confusion\">").nth(1).unwrap().split("</table>").next().unwrap();
    let cells = table.split("<td").skip(1).filter_map(|cell| cell.split('>').nth(1)?.split('<').next()?.parse::<usize>().ok());
    assert_eq!(cells.sum::<usize>(), 20, "{table}");
    let wrong = 20 - (evaluated["accuracy"].as_f64().unwrap() * 20.0).round() as usize;
    assert_eq!(html.matches("data:image/png;base64,").count(), wrong.min(12));
    assert!(text.contains("int8, dB"), "model-f32.samara lies beside the model");
}

/// Three samples of two classes, whose answers are known: 0.75, 0.75 and 0.25 for the first class.
#[test]
fn confusion_and_calibration_of_three_samples_are_right() {
    let place = Place::new();
    let x = input([2]);
    let y = Dense::new(2).without_bias().activation(Activation::Softmax).named("y").apply(&x);
    let model = Model::new("known", &x, y).unwrap();
    // The softmax of 0 and -ln 3 is 0.75 and 0.25.
    let third = -3f32.ln();
    model.set_parameter("y/kernel", &[0.0, third, third, 0.0]).unwrap();
    let file = place.write("known.samara", &model.export_f32().unwrap());
    let data = place.write("known.npz", &archive(("3, 2", &[1.0, 0.0, 1.0, 0.0, 0.0, 1.0]), ("3,", &[0.0, 1.0, 1.0])));
    let page = place.text("report.html");
    let reported = json(&["report", &file, "--data", &data, "--out", &page]);
    let near = |value: &serde_json::Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-6;
    assert!(near(&reported["accuracy"], 2.0 / 3.0), "{reported}");
    // All are 0.75 sure, two of three are right.
    assert!(near(&reported["calibration_error"], 0.75 - 2.0 / 3.0), "{reported}");
    let loss = -(2.0 * 0.75f64.ln() + 0.25f64.ln()) / 3.0;
    assert!(near(&reported["loss"], loss), "{reported} {loss}");
    let html = fs::read_to_string(&page).unwrap();
    let text = text_of(&html);
    assert!(text.contains(", taken for |0| (75%)|sample 1, loss 1.386"), "{text}");
    assert!(!text.contains("Learning curves"), "there is no history beside the model");
}

#[test]
fn a_page_without_data_has_what_the_file_says() {
    let place = Place::new();
    let (model, page) = (place.write("small.samara", &crate::common::small_model()), place.text("report.html"));
    let history = place.write("log.csv", b"epoch,loss,val_loss\n1,0.5,0.75\n2,0.25,0.5\n");
    success(&["report", &model, "--history", &history, "--out", &page]);
    let text = text_of(&fs::read_to_string(&page).unwrap());
    assert!(text.contains("Learning curves") && text.contains("Boards") && !text.contains("Confusion"), "{text}");
    let broken = place.write("broken.csv", b"loss\n1,2\n");
    let message = refusal(1, &["report", &model, "--history", &broken, "--out", &page]);
    assert!(message.contains("line 2 has 2 fields, the header has 1"), "{message}");
}
