//! Nets for text and other sequences.

use samara_trainer::prelude::*;

/// What posts tell of who wrote them: age (a number), income (one of ten groups) and gender (a probability).
///
/// Input `posts`, `[length]` tokens below 50,000; outputs `age` `[1]`, `income` `[10]`, `gender` `[1]`. 14,146,316 parameters.
/// The book weighs their losses by 0.25, 1 and 10.
///
/// # Errors
/// If the sequence is too short for the convolutions: below 369 tokens.
pub fn posts(length: usize) -> Result<Model> {
    let posts = input([length]).named("posts");
    let conv = |filters, x: &SymbolicTensor| Conv1D::new(filters, 5).activation(Activation::Relu).apply(x);
    let x = conv(128, &Embedding::new(50_000, 256).apply(&posts));
    let x = MaxPooling1D::new(5).apply(&x);
    let x = MaxPooling1D::new(5).apply(conv(256, &conv(256, &x)));
    let x = GlobalMaxPooling1D::new().apply(conv(256, &conv(256, &x)));
    let x = Dense::new(128).activation(Activation::Relu).apply(&x);
    let age = Dense::new(1).named("age").apply(&x);
    let income = Dense::new(10).activation(Activation::Softmax).named("income").apply(&x);
    let gender = Dense::new(1).activation(Activation::Sigmoid).named("gender").apply(&x);
    Model::new("posts", [posts], [age, income, gender])
}

/// Good or bad, of a film's review: an embedding and two convolutions along the text.
///
/// Input `[500]`, tokens below 2,000; the convolutions have 494 and 92 places, the maximum between them 98; output `[1]`, a
/// probability. 291,937 parameters.
///
/// # Errors
/// None in practice: the graph is tested.
pub fn imdb_text() -> Result<Model> {
    Sequential::new("imdb-text", [500])
        .add(Embedding::new(2_000, 128).named("embed"))
        .add(Conv1D::new(32, 7).activation(Activation::Relu))
        .add(MaxPooling1D::new(5))
        .add(Conv1D::new(32, 7).activation(Activation::Relu))
        .add(GlobalMaxPooling1D::new())
        .add(Dense::new(1).activation(Activation::Sigmoid))
        .build()
}

/// The answer to a question about a text: an embedding and an LSTM for each, and one of 500 answers.
///
/// Inputs `text` and `question`, `[length]` tokens below 10,000 each; output `answer`, `[500]`, probabilities. 1,000,052 parameters.
///
/// # Errors
/// If a length is 0.
pub fn question_answering(text_length: usize, question_length: usize) -> Result<Model> {
    let (text, question) = (input([text_length]).named("text"), input([question_length]).named("question"));
    let told = Lstm::new(32).apply(Embedding::new(10_000, 64).apply(&text));
    let asked = Lstm::new(16).apply(Embedding::new(10_000, 32).apply(&question));
    let both = Concatenate::new().apply([&told, &asked]);
    let answer = Dense::new(500).activation(Activation::Softmax).named("answer").apply(&both);
    Model::new("question-answering", [text, question], [answer])
}

/// Whether two sequences mean the same: one LSTM, with one set of weights, on both.
///
/// Inputs `left` and `right`, `[length, 128]` features; output `[1]`, a probability. 20,673 parameters.
///
/// # Errors
/// If the length is 0.
pub fn siamese_lstm(length: usize) -> Result<Model> {
    let [left, right] = ["left", "right"].map(|name| input([length, 128]).named(name));
    let lstm = Lstm::new(32);
    let both = Concatenate::new().apply([&lstm.apply(&left), &lstm.apply(&right)]);
    let same = Dense::new(1).activation(Activation::Sigmoid).apply(&both);
    Model::new("siamese-lstm", [left, right], [same])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect;

    #[test]
    fn they_have_the_printed_sizes() {
        assert_eq!(expect::parameters(&posts(400).unwrap()), 14_146_316);
        assert_eq!(expect::parameters(&question_answering(100, 100).unwrap()), 1_000_052);
        let siamese = siamese_lstm(20).unwrap();
        assert_eq!(expect::parameters(&siamese), 20_673);
        // The shared LSTM's constants are in the file once.
        let floats = expect::file(&siamese).constants.len() / 4;
        assert!(floats < 20_673 + 1000, "{floats} numbers");
        let imdb = imdb_text().unwrap();
        assert_eq!(expect::parameters(&imdb), 291_937);
        let lengths = imdb.graph().nodes.iter().filter(|node| node.shape.len() == 2 && node.part_of.is_none());
        assert_eq!(lengths.map(|node| node.shape[0]).collect::<Vec<_>>(), [500, 494, 98, 92]);
    }
}
