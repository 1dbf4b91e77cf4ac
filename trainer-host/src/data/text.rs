//! Text as tokens: a vocabulary, and sequences of one length.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::Tensor;
use super::sources::SourceError;
use crate::checkpoint::write_file;
use crate::error::{Error, Result};

/// The token that fills sequences up.
pub const PADDING: u32 = 0;
/// The token of every word that is not in the vocabulary.
pub const UNKNOWN: u32 = 1;
/// Tokens that no word has.
const RESERVED: usize = 2;
/// Numbers of tokens are values of tensors, and f32 has no more whole numbers than this.
const MOST_TOKENS: usize = 1 << 24;
/// The first line of a file with a vocabulary.
const FIRST_LINE: &str = "samara vocabulary 1";

/// Words and their tokens: 0 is [`PADDING`], 1 [`UNKNOWN`], the words follow, the most frequent first, equally frequent ones in the
/// order of their letters.
///
/// A text becomes words as by Keras's `TextVectorization`: small letters, without the ASCII characters that are neither letters nor
/// digits, split where there is space.
///
/// ```
/// use samara_trainer::data::{Side, Vocabulary, pad_sequences};
///
/// let vocabulary = Vocabulary::of(["The cat sat.", "the dog"], 100)?;
/// assert_eq!(vocabulary.tokens("The bird sat"), [2, 1, 5]); // the, ?, sat
/// let sequences = [vocabulary.tokens("the cat sat"), vocabulary.tokens("dog")];
/// let padded = pad_sequences(&sequences, 2, Side::Before, Side::Before)?;
/// assert_eq!(padded.values(), [3.0, 5.0, 0.0, 4.0]);
/// # Ok::<(), samara_trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    tokens: HashMap<String, u32>,
}

impl Vocabulary {
    /// The most frequent words of texts, those of the training set, at most so many that with the two reserved ones there are
    /// `max_tokens` tokens.
    ///
    /// # Errors
    /// If `max_tokens` leaves room for no word, or is above 16,777,216.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>, max_tokens: usize) -> Result<Self> {
        if !(RESERVED + 1..=MOST_TOKENS).contains(&max_tokens) {
            let expected = format!("from {} to {MOST_TOKENS}: two are reserved", RESERVED + 1);
            return Err(Error::Argument { name: "the size of a vocabulary", found: max_tokens.to_string(), expected });
        }
        let mut counts: HashMap<String, u64> = HashMap::new();
        for text in texts {
            words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        }
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.cmp(of_a).then_with(|| a.cmp(b)));
        counts.truncate(max_tokens - RESERVED);
        Ok(Self::with_words(counts.into_iter().map(|(word, _)| word).collect()))
    }

    fn with_words(words: Vec<String>) -> Self {
        let tokens = words.iter().zip(RESERVED as u32..).map(|(word, token)| (word.clone(), token)).collect();
        Self { words, tokens }
    }

    /// Number of tokens, the two reserved ones included: what an `Embedding` is made for.
    pub fn size(&self) -> usize {
        RESERVED + self.words.len()
    }

    /// The word of a token; none for the reserved ones and beyond the last.
    pub fn word(&self, token: u32) -> Option<&str> {
        self.words.get((token as usize).checked_sub(RESERVED)?).map(String::as_str)
    }

    /// The tokens of a text, one for each word.
    pub fn tokens(&self, text: &str) -> Vec<u32> {
        words(text).map(|word| self.tokens.get(&word).copied().unwrap_or(UNKNOWN)).collect()
    }

    /// Writes the vocabulary: a line that says what it is, then a word a line, in UTF-8, that of token 2 first.
    ///
    /// # Errors
    /// If the file cannot be written; what was there is then still there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let lines: String = self.words.iter().flat_map(|word| [word, "\n"]).collect();
        Ok(write_file(path.as_ref(), format!("{FIRST_LINE}\n{lines}").as_bytes())?)
    }

    /// Reads what [`Vocabulary::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is no vocabulary, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let content = fs::read(path).map_err(|error| SourceError::read(path, error))?;
        Self::parse(&content).map_err(|reason| SourceError::malformed(path, reason).into())
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(content).map_err(|error| format!("byte {} is no UTF-8", error.valid_up_to()))?;
        let lines = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n'));
        let lines = lines.ok_or_else(|| format!("its first line is not {FIRST_LINE:?}"))?;
        if !lines.is_empty() && !lines.ends_with('\n') {
            return Err("its last line has no end: it was cut short".to_owned());
        }
        let read: Vec<String> = lines.lines().map(str::to_owned).collect();
        if read.len() > MOST_TOKENS - RESERVED {
            return Err(format!("it has {} words, expected at most {}", read.len(), MOST_TOKENS - RESERVED));
        }
        if let Some(line) = read.iter().position(|word| !words(word).eq([word.clone()])) {
            return Err(format!("line {} is {:?}, expected one word in small letters", line + 2, read[line]));
        }
        let vocabulary = Self::with_words(read);
        match vocabulary.words.iter().zip(RESERVED as u32..).position(|(word, token)| vocabulary.tokens[word] != token) {
            None => Ok(vocabulary),
            Some(line) => Err(format!("the word {:?} in line {} comes again", vocabulary.words[line], line + 2)),
        }
    }
}

/// Words in small letters, without punctuation. A character that has several small letters has them all.
fn words(text: &str) -> impl Iterator<Item = String> {
    let clean =
        |word: &str| word.chars().filter(|letter| !letter.is_ascii_punctuation()).flat_map(char::to_lowercase).collect();
    text.split_whitespace().map(clean).filter(|word: &String| !word.is_empty())
}

/// An end of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The start: `pre` of Keras.
    Before,
    /// The end: `post` of Keras.
    After,
}

/// Sequences of tokens as `[sequences, length]`: shorter ones get [`PADDING`] on the side `padding`, longer ones lose tokens on the
/// side `truncating`. (Keras's `pad_sequences` does both before, if not told.) Padded at the end, they have their lengths with them, at
/// least 1, for [`variable_length`](crate::graph::SymbolicTensor::variable_length).
///
/// # Errors
/// If there is no sequence, `length` is 0, or a token is above 16,777,215.
pub fn pad_sequences<S: AsRef<[u32]>>(sequences: &[S], length: usize, padding: Side, truncating: Side) -> Result<Tensor> {
    if sequences.is_empty() {
        return Err(Error::EmptyData { what: "the list of sequences".to_owned() });
    }
    if length == 0 {
        let expected = "at least 1".to_owned();
        return Err(Error::Argument { name: "the length of padded sequences", found: "0".to_owned(), expected });
    }
    let mut values = vec![PADDING as f32; sequences.len() * length];
    for (number, (to, sequence)) in values.chunks_exact_mut(length).zip(sequences).enumerate() {
        let sequence = sequence.as_ref();
        if let Some(token) = sequence.iter().find(|&&token| token as usize >= MOST_TOKENS) {
            let (found, expected) = (format!("{token}, in sequence {number}"), format!("below {MOST_TOKENS}"));
            return Err(Error::Argument { name: "a token", found, expected });
        }
        let kept = sequence.len().min(length);
        let kept = match truncating {
            Side::Before => &sequence[sequence.len() - kept..],
            Side::After => &sequence[..kept],
        };
        let start = match padding {
            Side::Before => length - kept.len(),
            Side::After => 0,
        };
        to[start..][..kept.len()].iter_mut().zip(kept).for_each(|(to, &token)| *to = token as f32);
    }
    let padded = Tensor::new([sequences.len(), length], values)?;
    match padding {
        Side::Before => Ok(padded),
        // A sequence without tokens is one token of padding.
        Side::After => padded.with_lengths(sequences.iter().map(|sequence| sequence.as_ref().len().clamp(1, length))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ordered_by_frequency_then_letters() {
        let texts = ["b a, c!", "C b?", "ä-Ä Z\u{a0}z"];
        let vocabulary = Vocabulary::of(texts, 100).unwrap();
        let all: Vec<&str> = (0..9).filter_map(|token| vocabulary.word(token)).collect();
        assert_eq!((all, vocabulary.size()), (vec!["b", "c", "z", "a", "ää"], 7));
        assert_eq!(vocabulary.tokens("C, d; a - B!"), [3, UNKNOWN, 5, 2]);
        assert_eq!(vocabulary.tokens(" ... "), [0u32; 0]);
        let small = Vocabulary::of(texts, 4).unwrap();
        assert_eq!((small.word(3), small.word(4), small.tokens("z")), (Some("c"), None, vec![UNKNOWN]));
        let message = Vocabulary::of(texts, 2).unwrap_err().to_string();
        assert_eq!(message, "the size of a vocabulary is 2, but must be from 3 to 16777216: two are reserved");
    }

    #[test]
    fn a_file_gives_the_same_vocabulary_and_its_faults_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("words.txt");
        for vocabulary in [Vocabulary::of(["ça va, ça ira"], 100).unwrap(), Vocabulary::of([""], 100).unwrap()] {
            vocabulary.save(&path).unwrap();
            assert_eq!(Vocabulary::load(&path).unwrap(), vocabulary);
        }
        let reason = |text: &str| Vocabulary::parse(text.as_bytes()).unwrap_err();
        assert_eq!(reason("the\n"), "its first line is not \"samara vocabulary 1\"");
        assert_eq!(reason("samara vocabulary 1\nthe\nca"), "its last line has no end: it was cut short");
        assert_eq!(reason("samara vocabulary 1\nthe\nThe\n"), "line 3 is \"The\", expected one word in small letters");
        assert_eq!(reason("samara vocabulary 1\n\n"), "line 2 is \"\", expected one word in small letters");
        assert_eq!(reason("samara vocabulary 1\na\nb\na\n"), "the word \"a\" in line 2 comes again");
        assert_eq!(Vocabulary::parse(b"samara\xff").unwrap_err(), "byte 6 is no UTF-8");
        let message = Vocabulary::load(directory.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("none cannot be read"), "{message}");
    }

    #[test]
    fn sequences_are_padded_and_cut_on_either_side() {
        let sequences = [vec![5, 6, 7], vec![8]];
        let padded = |padding, truncating| pad_sequences(&sequences, 2, padding, truncating).unwrap().values().to_vec();
        assert_eq!(padded(Side::Before, Side::Before), [6.0, 7.0, 0.0, 8.0]);
        assert_eq!(padded(Side::After, Side::Before), [6.0, 7.0, 8.0, 0.0]);
        assert_eq!(padded(Side::Before, Side::After), [5.0, 6.0, 0.0, 8.0]);
        assert_eq!(padded(Side::After, Side::After), [5.0, 6.0, 8.0, 0.0]);
        let message = |sequences: &[Vec<u32>], length| {
            pad_sequences(sequences, length, Side::After, Side::After).unwrap_err().to_string()
        };
        assert_eq!(message(&[vec![0], vec![1 << 24]], 3), "a token is 16777216, in sequence 1, but must be below 16777216");
        assert_eq!(message(&[vec![1]], 0), "the length of padded sequences is 0, but must be at least 1");
        assert!(message(&[], 3).contains("the list of sequences has no samples"));
    }
}
