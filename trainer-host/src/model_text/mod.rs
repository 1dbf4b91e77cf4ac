//! A model's graph as a text file (TOML) that people write: layers in order, what is left out set by default. docs/model-files.md has
//! the format. Weights are no part of it.
//!
//! ```
//! use samara_trainer::prelude::*;
//!
//! let model = Model::from_toml(
//!     r#"
//!     name = "digits"
//!     input = [28, 28, 1]
//!
//!     [[layer]]
//!     kind = "Conv2D"
//!     filters = 8
//!     kernel = [3, 3]
//!     activation = "relu"
//!
//!     [[layer]]
//!     kind = "GlobalAveragePooling2D"
//!
//!     [[layer]]
//!     kind = "Dense"
//!     units = 10
//!     activation = "softmax"
//!     "#,
//! )?;
//! assert_eq!(model.parameter("dense/kernel")?.len(), 80);
//! assert_eq!(Model::from_toml(&model.to_toml()?)?.to_toml()?, model.to_toml()?);
//! # Ok::<(), Error>(())
//! ```

mod fields;
mod made;
mod read;
mod write;

use serde_json::Value;
use toml::de::DeValue;

use crate::error::Result;
use crate::train::Model;

/// Why a text is no model, or a model has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelTextError {
    /// Something in the text.
    #[error("line {line}: {reason}")]
    Line {
        /// The line, from 1 on.
        line: usize,
        /// What was found there and what was expected.
        reason: String,
    },
    /// Something that is in no line.
    #[error("{0}")]
    Whole(String),
    /// A model that cannot be said in this form.
    #[error("the model {model} cannot be written as text: {reason}")]
    Unwritable {
        /// The model's name.
        model: String,
        /// What stands against it.
        reason: String,
    },
}

impl Model {
    /// The model that a text describes, with initial parameters; docs/model-files.md has the format.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn from_toml(text: &str) -> Result<Self> {
        read::read(text)
    }

    /// The text that gives this model, its parameters' values apart: layers, shared ones and applied models as they are here, under
    /// their names.
    ///
    /// # Errors
    /// If there are layers from outside of the library, or what the format has no words for.
    pub fn to_toml(&self) -> Result<String> {
        write::write(self)
    }
}

/// A value as a message shows it.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(items) if items.len() <= 8 => {
            let items: Vec<String> = items.iter().map(|item| shown(item.get_ref())).collect();
            format!("[{}]", items.join(", "))
        }
        DeValue::Array(_) => "a long list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A number as it is written: that with the fewest digits which gives the same bits.
fn number(value: &Value) -> Option<String> {
    if value.is_i64() || value.is_u64() {
        return Some(value.to_string());
    }
    let number = value.as_f64()?;
    let single = number as f32;
    Some(if f64::from(single) == number { format!("{single:?}") } else { format!("{number:?}") })
}
