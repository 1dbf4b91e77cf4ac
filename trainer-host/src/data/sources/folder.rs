//! Folders of files: one sub-folder for each class, or a table of file names with values.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use crate::error::{Error, Result};
use crate::graph::Shape;

/// Files, each with its target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Files {
    pub paths: Vec<PathBuf>,
    /// The names of the classes, in the order of their numbers; none where targets are values.
    pub class_names: Vec<String>,
    /// The shape of a target: `[]` for class numbers.
    pub target_shape: Shape,
    /// File by file.
    pub targets: Vec<f32>,
}

impl Files {
    /// The files with one of these endings in the sub-folders of a directory, which are the classes, both in the order of their
    /// names' bytes. What begins with a dot and files with other endings are passed over.
    ///
    /// # Errors
    /// If a folder cannot be read, there is no sub-folder, or one holds no such file.
    pub fn of_classes(directory: &Path, endings: &[&str]) -> Result<Self, SourceError> {
        let mut files =
            Self { paths: Vec::new(), class_names: Vec::new(), target_shape: Shape::default(), targets: Vec::new() };
        for folder in sorted(directory)?.into_iter().filter(|path| path.is_dir()) {
            let paths: Vec<PathBuf> = sorted(&folder)?.into_iter().filter(|path| has_ending(path, endings)).collect();
            if paths.is_empty() {
                return Err(SourceError::malformed(
                    &folder,
                    format!("it holds no file {}, expected those of a class", any_of(endings)),
                ));
            }
            files.targets.extend(vec![files.class_names.len() as f32; paths.len()]);
            files.class_names.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
            files.paths.extend(paths);
        }
        if files.class_names.is_empty() {
            let reason = format!("it has no sub-folder, expected one for each class with files {}", any_of(endings));
            return Err(SourceError::malformed(directory, reason));
        }
        Ok(files)
    }

    /// The files of a table: names below a directory, and one or more values for each.
    ///
    /// # Errors
    /// If there is none, a file is not there, or the numbers of values differ.
    pub fn of_table(directory: &Path, table: &[(String, Vec<f32>)]) -> Result<Self, SourceError> {
        let malformed = |reason| Err(SourceError::malformed(directory, reason));
        let Some((_, first)) = table.first() else {
            return malformed("its table names no file".to_owned());
        };
        for (row, (name, values)) in table.iter().enumerate() {
            if values.len() != first.len() || values.is_empty() {
                let expected = first.len().max(1);
                return malformed(format!("row {row} of its table, {name}, has {} values, expected {expected}", values.len()));
            }
            if !directory.join(name).is_file() {
                return malformed(format!("row {row} of its table names the file {name}, which is not there"));
            }
        }
        Ok(Self {
            paths: table.iter().map(|(name, _)| directory.join(name)).collect(),
            class_names: Vec::new(),
            target_shape: [first.len()].into(),
            targets: table.iter().flat_map(|(_, values)| values).copied().collect(),
        })
    }

    /// Copies the targets of these samples.
    pub fn gather_targets(&self, samples: &[u32], to: &mut [f32]) {
        let size = self.target_shape.size();
        for (to, &sample) in to.chunks_exact_mut(size).zip(samples) {
            to.copy_from_slice(&self.targets[sample as usize * size..][..size]);
        }
    }

    /// The file of a sample.
    pub fn path(&self, sample: u32) -> Result<&Path> {
        self.paths.get(sample as usize).map(PathBuf::as_path).ok_or_else(|| Error::Argument {
            name: "the number of a sample",
            found: sample.to_string(),
            expected: format!("less than {}, the number of files", self.paths.len()),
        })
    }
}

/// Whether there is a sub-folder, one that a data set may have as a class or part.
pub(super) fn has_folders(directory: &Path) -> bool {
    sorted(directory).is_ok_and(|paths| paths.iter().any(|path| path.is_dir()))
}

/// Whether the name of a file has one of these endings, in capitals or not.
pub(super) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    path.is_file() && endings.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

/// What is in a directory and does not begin with a dot, by name.
pub(super) fn sorted(directory: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let read = |error| SourceError::read(directory, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let entry = entry.map_err(read)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// "*.png, *.jpg".
fn any_of(endings: &[&str]) -> String {
    endings.iter().map(|ending| format!("*.{ending}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_and_other_files_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for file in ["b/2.wav", "b/1.WAV", "a/x.wav", "a/notes.txt", ".git/y.wav", "a/.z.wav"] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), "").unwrap();
        }
        fs::write(path.join("readme.wav"), "").unwrap();
        let files = Files::of_classes(path, &["wav"]).unwrap();
        assert_eq!(files.class_names, ["a", "b"]);
        assert_eq!(files.paths, ["a/x.wav", "b/1.WAV", "b/2.wav"].map(|file| path.join(file)));
        assert_eq!(files.targets, [0.0, 1.0, 1.0]);
        let mut targets = [9.0; 2];
        files.gather_targets(&[2, 0], &mut targets);
        assert_eq!(targets, [1.0, 0.0]);
        assert!(files.path(3).unwrap_err().to_string().contains("is 3, but must be less than 3"));
        fs::create_dir(path.join("c")).unwrap();
        let message = Files::of_classes(path, &["wav", "png"]).unwrap_err().to_string();
        assert!(message.ends_with("c: it holds no file *.wav, *.png, expected those of a class"), "{message}");
        let message = Files::of_classes(&path.join("c"), &["wav"]).unwrap_err().to_string();
        assert!(message.ends_with("c: it has no sub-folder, expected one for each class with files *.wav"), "{message}");
    }

    #[test]
    fn rows_of_a_table_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a"), "").unwrap();
        let message = |table: &[(String, Vec<f32>)]| {
            let message = Files::of_table(directory.path(), table).unwrap_err().to_string();
            message.split_once(": ").unwrap().1.to_owned()
        };
        let row = |name: &str, values: &[f32]| (name.to_owned(), values.to_vec());
        assert_eq!(message(&[]), "its table names no file");
        assert_eq!(message(&[row("a", &[])]), "row 0 of its table, a, has 0 values, expected 1");
        assert_eq!(message(&[row("a", &[1.0]), row("a", &[1.0, 2.0])]), "row 1 of its table, a, has 2 values, expected 1");
        assert_eq!(message(&[row("b", &[1.0])]), "row 0 of its table names the file b, which is not there");
    }
}
