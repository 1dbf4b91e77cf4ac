//! What is set of a layer, to be saved with a model.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is set of a layer, its name included and its parameters not: what [`Model::save`](crate::Model::save) keeps of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerOptions(Value);

impl LayerOptions {
    /// The fields of a layer, as serde writes them.
    ///
    /// # Errors
    /// What cannot be written, such as an initializer from outside of the library.
    pub fn of(layer: &impl Serialize) -> Result<Self, String> {
        serde_json::to_value(layer).map(Self).map_err(|error| error.to_string())
    }

    pub(crate) fn from_value(value: Value) -> Self {
        Self(value)
    }

    pub(crate) fn value(&self) -> &Value {
        &self.0
    }

    /// The layer with these fields: a new one, without parameters.
    ///
    /// # Errors
    /// If fields are missing, are unknown, or have values that they cannot have.
    pub fn read<T: Serialize + DeserializeOwned>(&self) -> Result<T, String> {
        let layer = T::deserialize(&self.0).map_err(|error| error.to_string())?;
        match unknown(&self.0, &Self::of(&layer)?.0) {
            Some(field) => Err(format!("the option '{field}' is unknown to this version")),
            None => Ok(layer),
        }
    }
}

/// The name of a field that was read, but is not written again.
fn unknown<'a>(read: &'a Value, written: &Value) -> Option<&'a str> {
    match read {
        Value::Object(fields) => fields.iter().find_map(|(name, value)| match written.get(name) {
            Some(written) => unknown(value, written),
            None if value.is_null() => None,
            None => Some(name.as_str()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Named;
    use crate::layers::{Conv2D, Dense, Layer};

    fn read<T: Serialize + DeserializeOwned>(text: &str) -> Result<T, String> {
        LayerOptions(serde_json::from_str(text).unwrap()).read()
    }

    #[test]
    fn fields_survive_the_round_trip_and_unknown_ones_are_told() {
        let layer = Dense::new(3).activation(crate::layers::Activation::LeakyRelu { slope: 0.1 }).without_bias().named("head");
        let options = LayerOptions::of(&layer).unwrap();
        let again: Dense = options.read().unwrap();
        assert_eq!(LayerOptions::of(&again).unwrap(), options);
        assert_eq!((again.units(), again.has_bias(), again.base().name()), (3, false, Some("head")));
        assert!(!again.base().is_same(layer.base()));
        let text = serde_json::to_string(&options.0).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} is not in {text}");
            read::<Dense>(&text.replacen(from, to, 1)).unwrap_err()
        };
        assert_eq!(changed("\"units\":3", "\"units\":3,\"depth\":1"), "the option 'depth' is unknown to this version");
        // What it says depends on features of the JSON library that other crates of a build choose.
        assert!(changed("\"units\":3", "\"units\":-3").contains("invalid"));
        let factor = changed("\"learning_rate_factor\":1.0", "\"learning_rate_factor\":-1.0");
        assert_eq!(factor, "the learning-rate factor is -1, but must be 0 or a positive number");
        let text = serde_json::to_string(&LayerOptions::of(&Conv2D::new(1, 3)).unwrap().0).unwrap();
        assert_eq!(read::<Conv2D>(&text.replace("\"rank\":2", "\"rank\":3")).unwrap_err(), "3 axes, but there are 1 or 2");
    }
}
