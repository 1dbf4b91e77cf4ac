//! What the tests made on this machine, and what ran on the boards.

use std::{
    collections::BTreeSet,
    fmt, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{boards::Board, host, paths, process};

/// What the files are made from.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "runtime", "trainer-host", "models", "tests"];

/// The directory with the files that tests leave, so that each test runs once.
#[derive(Debug)]
pub struct Results {
    directory: PathBuf,
    /// Of all that the files are made from.
    hash: String,
}

impl Results {
    /// The directory, and the state of the sources now.
    ///
    /// # Errors
    /// If a source cannot be read.
    pub fn here() -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        let mut pending: Vec<PathBuf> = SOURCES.iter().map(|source| paths::root().join(source)).collect();
        while let Some(path) = pending.pop() {
            path.hash(&mut hasher);
            if path.is_dir() {
                pending.extend(files(&path)?);
            } else {
                fs::read(&path).with_context(|| format!("{} cannot be read", paths::shown(&path)))?.hash(&mut hasher);
            }
        }
        Ok(Self { directory: paths::artifacts("results"), hash: format!("{:016x}", hasher.finish()) })
    }

    fn stamp(&self) -> PathBuf {
        self.directory.join("sources.hash")
    }

    /// `true` if the files were made from the sources as they are.
    fn are_fresh(&self) -> bool {
        fs::read_to_string(self.stamp()).is_ok_and(|hash| hash == self.hash)
    }

    /// Makes the directory empty: what an older test left is no result.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn clear(&self) -> Result<()> {
        let _ = fs::remove_dir_all(&self.directory);
        fs::create_dir_all(self.directory.join("zoo"))
            .with_context(|| format!("{} cannot be made", paths::shown(&self.directory)))
    }

    /// Says that all tests that leave files have run.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn keep(&self) -> Result<()> {
        fs::write(self.stamp(), &self.hash).with_context(|| format!("{} cannot be written", paths::shown(&self.stamp())))
    }

    /// Lets the tests that the command runs leave their files here.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("SAMARA_RESULTS", &self.directory)
    }
}

/// A kind of layer, and the model files of its examples.
#[derive(Debug)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Number of examples that were trained.
    pub trained: u64,
    /// Names of files without their ending: f32, int8.
    pub files: [Vec<String>; 2],
}

/// What the tests made on this machine.
#[derive(Debug)]
pub struct Made {
    directory: PathBuf,
    /// What was made of each kind of layer.
    pub layers: Vec<Layer>,
    /// Model files of every op, and of all int8 ops in one.
    pub ops: Vec<PathBuf>,
    /// Model files of some random models, f32 and int8.
    pub random: Vec<PathBuf>,
    /// Model files of the zoo's nets: the trained one where the repository has one, else one with random weights.
    pub zoo: Vec<PathBuf>,
}

impl Made {
    /// What the tests left in [`Results`], which are run if they have not been since the last change of a source file.
    ///
    /// # Errors
    /// If a test fails.
    pub fn collect() -> Result<Self> {
        let results = Results::here()?;
        if !results.are_fresh() {
            results.clear()?;
            let mut arguments = vec!["test", "--quiet", "--workspace"];
            arguments.extend(["layers", "zoo", "ops", "random_graphs", "device_link"].iter().flat_map(|test| ["--test", test]));
            process::output(results.environment(&mut process::cargo(&arguments)))?;
            results.keep()?;
        }
        Self::read(results.directory)
    }

    fn read(directory: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(directory.join("layers.json")).context("the tests left no list of layers")?;
        let list: Value = serde_json::from_str(&text)?;
        let layers = list.as_array().context("layers.json holds no list")?.iter().map(Layer::read).collect::<Result<_>>()?;
        let trained = host::repository_models()?;
        let mut zoo = files(&directory.join("zoo"))?;
        for path in &mut zoo {
            if let Some(model) = trained.iter().find(|model| Some(model.name.as_ref()) == path.file_stem()) {
                path.clone_from(&model.path);
            }
        }
        let [ops, random] = ["ops", "random"].map(|kind| files(&directory.join(kind)));
        Ok(Self { layers, ops: ops?, random: random?, zoo, directory })
    }

    /// The directory with small models that learn, `learner.samara` and `dense.samara`, and `data` for them.
    pub fn link(&self) -> PathBuf {
        self.directory.join("link")
    }

    /// What tests would have made in a directory `results`.
    #[cfg(test)]
    pub fn for_test(layers: Vec<Layer>, zoo: &[&str]) -> Self {
        let zoo = zoo.iter().map(PathBuf::from).collect();
        let random = vec!["results/random/random-0-f32.samara".into(), "results/random/random-0-int8.samara".into()];
        Self { directory: "results".into(), layers, ops: Vec::new(), random, zoo }
    }

    /// `true` if the file was made by a test, and is not one of the repository's.
    pub fn is_of_tests(&self, path: &Path) -> bool {
        path.starts_with(&self.directory)
    }

    /// The model files of all layers.
    pub fn layer_files(&self) -> impl Iterator<Item = PathBuf> {
        let names = self.layers.iter().flat_map(|layer| layer.files.iter().flatten());
        names.map(|name| self.directory.join(format!("{name}.samara")))
    }
}

impl Layer {
    fn read(value: &Value) -> Result<Self> {
        let names = |key: &str| -> Option<Vec<String>> {
            value[key].as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let read = || {
            let (name, trained) = (value["layer"].as_str()?.to_owned(), value["trained"].as_u64()?);
            Some(Self { name, trained, files: [names("f32")?, names("int8")?] })
        };
        read().with_context(|| format!("layers.json has the entry {value}, expected layer, trained, f32 and int8"))
    }
}

/// What a board's self-test ran, every checksum equal to this machine's.
#[derive(Debug)]
pub struct Ran {
    /// The board.
    pub board: &'static Board,
    /// Number of checksums.
    pub checksums: usize,
    /// Names of the models.
    pub models: BTreeSet<String>,
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (checksums, models, variant) = (self.checksums, self.models.len(), self.board.simd_variant);
        write!(f, "{checksums} checksums of {models} models equal this machine's, {variant} kernels")
    }
}

/// The files in a directory, by name.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("{} cannot be read", paths::shown(directory)))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_files_is_named() {
        let entry: Value = serde_json::from_str(r#"{"layer": "Dense", "trained": 2, "f32": ["a"]}"#).unwrap();
        assert!(Layer::read(&entry).unwrap_err().to_string().contains("Dense"));
    }

    #[test]
    fn results_of_other_sources_are_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let results = |hash: &str| Results { directory: directory.path().join("results"), hash: hash.to_owned() };
        assert!(!results("a").are_fresh());
        results("a").clear().unwrap();
        assert!(!results("a").are_fresh(), "the tests have not run yet");
        results("a").keep().unwrap();
        assert!(results("a").are_fresh());
        assert!(!results("b").are_fresh());
        results("a").clear().unwrap();
        assert!(!results("a").are_fresh());
    }
}
