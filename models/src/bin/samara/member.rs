//! A trained net on the command line, with its weights: a member of an ensemble, or a teacher.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use samara_models::table_mlp;
use samara_trainer::Model;
use samara_trainer::data::sources::Columns;

use crate::names::{self, ModelName};
use crate::{files, forest, task, train, weights};

/// `[MODEL=]DIR|FILE`.
#[derive(Debug, Clone)]
pub struct MemberArgument {
    model: Option<ModelName>,
    pub path: PathBuf,
}

impl MemberArgument {
    /// Reads the argument.
    ///
    /// # Errors
    /// If there is no such model, or no file behind it.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((model, path)) if !Path::new(text).exists() => {
                if path.is_empty() {
                    return Err(format!("behind {model}= a directory or file of weights is missing"));
                }
                Ok(Self { model: Some(names::model(model)?), path: path.into() })
            }
            _ => Ok(Self { model: None, path: text.into() }),
        }
    }

    /// The net with its weights, and where they were. `option` is the argument's name; `columns` are those of a CSV file, if the data is one.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged, or its weights are not the model's.
    pub fn read(&self, option: &str, columns: Option<&Columns>) -> Result<(PathBuf, Model)> {
        let shown = || self.path.display().to_string();
        let forest = self.path.join(forest::MODEL);
        let is_forest = self.path.is_dir() && !self.path.join(train::WEIGHTS).exists() && forest.exists();
        if is_forest && let Some(columns) = columns {
            self.check_columns(columns)?;
        }
        if is_forest || !self.path.is_dir() {
            let path = if is_forest { &forest } else { &self.path };
            let bytes = files::read(path)?;
            if Model::is_in(&bytes) {
                if let Some(model) = &self.model {
                    bail!("{option} {model}={}: the file has a whole model, which needs none before it", shown());
                }
                return Ok((path.clone(), Model::from_bytes(&bytes, &[]).with_context(shown)?));
            }
        }
        let (path, saved) = weights::read(&self.path, self.model.as_ref())?;
        let model = match (&self.model, columns) {
            (Some(model), _) => model.build()?,
            (None, Some(columns)) => {
                self.check_columns(columns)?;
                table_mlp(columns)?
            }
            (None, None) => {
                let known = names::model(&saved.model).map_err(|reason| {
                    let path = path.display();
                    anyhow::anyhow!("{path} names a model that is not of the zoo, say {option} MODEL={}: {reason}", shown())
                })?;
                known.build()?
            }
        };
        saved.restore(&model).with_context(|| path.display().to_string())?;
        Ok((path, model))
    }

    /// Refuses a member that learned from other columns.
    fn check_columns(&self, columns: &Columns) -> Result<()> {
        if task::columns_in(&self.directory())? != *columns {
            bail!("{}: its columns are not those that the others learned from", self.path.display());
        }
        Ok(())
    }

    /// The directory of a training, of which this is a file, or itself.
    pub fn directory(&self) -> PathBuf {
        let directory = if self.path.is_dir() { Some(&*self.path) } else { self.path.parent() };
        directory.unwrap_or(Path::new("")).to_owned()
    }
}
