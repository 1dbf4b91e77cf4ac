//! The projector's files: tables of tokens as text, their labels, and the file that names them. It needs no checkpoint.

use std::fmt::Write as _;
use std::path::Path;

use crate::checkpoint::write_file;
use crate::error::Result;

/// The file that the projector looks for.
const CONFIG: &str = "projector_config.pbtxt";

/// A table to be shown: a row of numbers for each token.
pub struct Table<'a> {
    /// The parameter's name.
    pub name: &'a str,
    /// Numbers of a row.
    pub width: usize,
    /// All rows.
    pub values: Vec<f32>,
    /// What the tokens are called; none: by number.
    pub labels: Option<&'a [String]>,
}

/// Writes the tables as `NAME.tsv`, with their labels in `NAME-labels.tsv`, and at last the file that names all.
///
/// # Errors
/// If a file cannot be written.
pub fn write(directory: &Path, tables: &[Table<'_>]) -> Result<()> {
    let mut config = String::new();
    for Table { name, width, values, labels } in tables {
        let file = name.replace('/', "-");
        let row = |row: &[f32]| row.iter().map(f32::to_string).collect::<Vec<_>>().join("\t") + "\n";
        let text: String = values.chunks_exact(*width).map(row).collect();
        write_file(&directory.join(format!("{file}.tsv")), text.as_bytes())?;
        let _ = write!(
            config,
            "embeddings {{\n  tensor_name: {}\n  tensor_path: {}\n",
            quoted(name),
            quoted(&format!("{file}.tsv"))
        );
        if let Some(labels) = labels {
            let one_line = |label: &String| label.replace(['\t', '\n', '\r'], " ") + "\n";
            let text: String = labels.iter().map(one_line).collect();
            write_file(&directory.join(format!("{file}-labels.tsv")), text.as_bytes())?;
            let _ = writeln!(config, "  metadata_path: {}", quoted(&format!("{file}-labels.tsv")));
        }
        config += "}\n";
    }
    Ok(write_file(&directory.join(CONFIG), config.as_bytes())?)
}

/// As protocol buffers' text form takes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_name_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let labels = ["a\tb".to_owned(), "c".to_owned()];
        let table = |name, labels| Table { name, width: 2, values: vec![0.5, -1.0, 2.0, 0.25], labels };
        write(directory.path(), &[table("words/embeddings", Some(&labels)), table("say\"so", None)]).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("words-embeddings.tsv"), "0.5\t-1\n2\t0.25\n");
        assert_eq!(read("words-embeddings-labels.tsv"), "a b\nc\n");
        let wanted = "embeddings {\n  tensor_name: \"words/embeddings\"\n  tensor_path: \"words-embeddings.tsv\"\n  \
                      metadata_path: \"words-embeddings-labels.tsv\"\n}\n\
                      embeddings {\n  tensor_name: \"say\\\"so\"\n  tensor_path: \"say\\\"so.tsv\"\n}\n";
        assert_eq!(read(CONFIG), wanted);
    }
}
