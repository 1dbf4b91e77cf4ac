//! A question about a text: two inputs, each with an embedding and an LSTM of its own, and one of 500 answers.
//!
//! A text has 40 words of 300. One of them, anywhere, is one of 50 names; a question has 8 words of 60, one of which, anywhere, is one of
//! ten things to ask for. Each name and thing have an answer of their own; the other words say nothing.

use super::{Score, Task, random};
use samara_trainer::{numeric::random::Random, prelude::*};

const TEXT: usize = 40;
const QUESTION: usize = 8;
const WORDS: [usize; 2] = [300, 60];
const NAMES: usize = 50;
const THINGS: usize = 10;

/// The task.
pub const TASK: Task = Task {
    name: "answers",
    description: "a text of 40 words and a question of 8; one of 500 answers",
    build,
    compile: |model| model.compile(Adam::new(3e-3), SparseCategoricalCrossentropy),
    data,
    samples: 12_000,
    epochs: 30,
    scores: &[("answer", Score::Class)],
};

fn build() -> Result<Model> {
    let (text, question) = (input([TEXT]).named("text"), input([QUESTION]).named("question"));
    let told = Lstm::new(32).apply(Embedding::new(WORDS[0], 24).named("text_words").apply(&text));
    let asked = Lstm::new(16).apply(Embedding::new(WORDS[1], 16).named("question_words").apply(&question));
    let both = Concatenate::new().apply([&told, &asked]);
    let answer = Dense::new(NAMES * THINGS).activation(Activation::Softmax).named("answer").apply(&both);
    Model::new("answers", [text, question], [answer])
}

/// So many words that say nothing, and one of those below `telling` among them: the words, and which it was.
fn words(random: &mut Random, length: usize, all: usize, telling: usize) -> (Vec<f32>, usize) {
    let mut words: Vec<usize> = (0..length).map(|_| telling + random.below(all - telling)).collect();
    let told = random.below(telling);
    words[random.below(length)] = told;
    (words.into_iter().map(|word| word as f32).collect(), told)
}

fn data(seed: u64, samples: usize) -> Result<Dataset> {
    let mut random = random(seed, 5);
    let (mut texts, mut questions, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..samples {
        let (text, name) = words(&mut random, TEXT, WORDS[0], NAMES);
        let (question, thing) = words(&mut random, QUESTION, WORDS[1], THINGS);
        texts.extend(text);
        questions.extend(question);
        answers.push((name * THINGS + thing) as f32);
    }
    Dataset::builder()
        .input("text", Tensor::from_samples([TEXT], texts)?)
        .input("question", Tensor::from_samples([QUESTION], questions)?)
        .target("answer", Tensor::from_samples([1], answers)?)
        .build()
}
