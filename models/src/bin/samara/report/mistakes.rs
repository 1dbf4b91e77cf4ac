//! What a model gets wrong, worst first.

use std::fmt::Write as _;

use anyhow::Result;

use super::Tested;
use super::media::Media;
use crate::device::Answer;
use crate::losses::LossName;
use samara_models::chart::escape;

/// Samples that are shown.
const SHOWN: usize = 12;

/// An answer of a class.
pub struct Judged {
    pub label: usize,
    pub said: usize,
    /// What the model gives for what it says, from 0 to 1.
    pub confidence: f64,
}

/// The answers of a model that tells classes apart.
pub struct Judgement {
    pub classes: usize,
    pub answers: Vec<Judged>,
}

/// What a model says, where its outputs are one probability for each class, or one of "yes" (class 1); none for other outputs.
pub fn judge(answers: &[Answer], loss: LossName) -> Option<Judgement> {
    let judged = |answer: &Answer| {
        let (output, target) = (&answer.output[..], &answer.target[..]);
        let label = match target {
            [label] if *label >= 0.0 && label.fract() == 0.0 => *label as usize,
            _ => return None,
        };
        match (loss, output) {
            (LossName::BinaryCrossentropy, [probability]) => {
                let said = usize::from(*probability > 0.5);
                let confidence = if said == 1 { *probability } else { 1.0 - probability };
                (label < 2).then_some(Judged { label, said, confidence: confidence.into() })
            }
            (LossName::SparseCategoricalCrossentropy, _) if label < output.len() => {
                let said = (0..output.len()).max_by(|&a, &b| output[a].total_cmp(&output[b]).then(b.cmp(&a)))?;
                Some(Judged { label, said, confidence: output[said].clamp(0.0, 1.0).into() })
            }
            _ => None,
        }
    };
    let classes = if loss == LossName::BinaryCrossentropy { 2 } else { answers.first()?.output.len() };
    Some(Judgement { classes, answers: answers.iter().map(judged).collect::<Option<_>>()? })
}

/// The samples with the largest losses, of those that are wrong where that can be told, as figures.
///
/// # Errors
/// If a sample cannot be shown.
pub fn draw(tested: &Tested, judgement: Option<&Judgement>, media: &Media<'_>) -> Result<String> {
    let is_wrong =
        |sample: &usize| judgement.is_none_or(|judged| judged.answers[*sample].label != judged.answers[*sample].said);
    let mut samples: Vec<usize> = (0..tested.answers.len()).filter(is_wrong).collect();
    samples.sort_by(|&a, &b| tested.answers[b].loss.total_cmp(&tested.answers[a].loss).then(a.cmp(&b)));
    let mut html = String::new();
    for &sample in samples.iter().take(SHOWN) {
        let values = tested.test.samples.inputs()[0].sample(sample).unwrap_or_default();
        let name = |class: usize| escape(tested.test.class_names.get(class).map_or(&class.to_string(), |name| name));
        let answer = &tested.answers[sample];
        let told = match judgement {
            Some(judgement) => {
                let Judged { label, said, confidence } = &judgement.answers[sample];
                format!("is <b>{}</b>, taken for <b>{}</b> ({:.0}%)", name(*label), name(*said), 100.0 * confidence)
            }
            None => format!("is {}, said to be {}", numbers(&answer.target), numbers(&answer.output)),
        };
        let _ = write!(
            html,
            "<figure>{}<figcaption>{told}<br/>sample {sample}, loss {:.3}</figcaption></figure>",
            media.show(&values)?,
            answer.loss
        );
    }
    Ok(html)
}

/// The first numbers, in short.
fn numbers(values: &[f32]) -> String {
    let shown: Vec<String> = values.iter().take(4).map(|value| format!("{value:.3}")).collect();
    shown.join(", ") + if values.len() > 4 { ", .." } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(output: &[f32], target: f32) -> Answer {
        Answer { output: output.to_vec(), target: vec![target], loss: 0.0, right: None }
    }

    #[test]
    fn the_largest_output_is_what_is_said() {
        let judged = judge(&[answer(&[0.1, 0.7, 0.2], 2.0)], LossName::SparseCategoricalCrossentropy).unwrap();
        assert_eq!((judged.classes, judged.answers[0].label, judged.answers[0].said), (3, 2, 1));
        assert!((judged.answers[0].confidence - 0.7).abs() < 1e-6);
        let judged = judge(&[answer(&[0.2], 1.0)], LossName::BinaryCrossentropy).unwrap();
        assert_eq!((judged.classes, judged.answers[0].said), (2, 0));
        assert!((judged.answers[0].confidence - 0.8).abs() < 1e-6);
    }

    #[test]
    fn numbers_are_not_judged() {
        assert!(judge(&[answer(&[0.5], 1.0)], LossName::MeanSquaredError).is_none());
        assert!(judge(&[answer(&[0.5], 0.5)], LossName::BinaryCrossentropy).is_none());
    }
}
