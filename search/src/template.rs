//! A TOML file with places that a trial fills: what is searched, as people write it.

use crate::space::{Chosen, Condition};
use crate::{Error, Result, Space};
use serde_json::Value as Json;
use toml::{Table, Value};

/// A file with a table `[space]`, and tables that name its parameters.
///
/// Text that is `"$width"` stands for the value of `width`; a table of a list may have `when`, as parameters have, and is left out
/// where that is not true, and `repeat`, a number or a parameter, and then stands as many times below itself.
///
/// ```
/// use samara_search::Template;
/// use serde_json::json;
///
/// let template = Template::from_toml(r#"
///     [space]
///     width = { integer = [8, 64] }
///     blocks = { integer = [0, 3] }
///     pool = { choice = ["max", "none"] }
///     [[layer]]
///     filters = "$width"
///     repeat = "$blocks"
///     [[layer]]
///     kind = "MaxPooling2D"
///     when = { pool = "max" }
/// "#)?;
/// let chosen = [("width", json!(24)), ("blocks", json!(2)), ("pool", json!("none"))];
/// let filled = template.fill(&chosen.map(|(name, value)| (name.to_owned(), value)).into())?;
/// assert_eq!(filled.to_string(), "[[layer]]\nfilters = 24\n\n[[layer]]\nfilters = 24\n");
/// # Ok::<(), samara_search::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    space: Space,
    table: Table,
}

/// Most times that a table is repeated.
const MOST_REPEATS: i64 = 1000;

impl Template {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is no TOML, its space is none ([`Space::from_toml`]), or it names what is no parameter.
    pub fn from_toml(text: &str) -> Result<Self> {
        let space = Space::from_toml(text)?;
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| Error::Space(error.to_string()))?;
        table.remove("space");
        let template = Self { space, table };
        template.check(&Value::Table(template.table.clone()), "")?;
        Ok(template)
    }

    /// What may be chosen.
    pub fn space(&self) -> &Space {
        &self.space
    }

    fn is_parameter(&self, name: &str) -> bool {
        self.space.parameters().iter().any(|parameter| parameter.name == name)
    }

    fn check(&self, value: &Value, place: &str) -> Result<()> {
        match value {
            Value::String(text) => match text.strip_prefix('$') {
                Some(name) if !self.is_parameter(name) => {
                    let names: Vec<&str> = self.space.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
                    Err(Error::Space(format!("{place}: {text} is no parameter; {} are", names.join(", "))))
                }
                _ => Ok(()),
            },
            Value::Array(values) => {
                values.iter().enumerate().try_for_each(|(index, value)| self.check(value, &format!("{place}[{index}]")))
            }
            Value::Table(table) => table.iter().try_for_each(|(key, value)| {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                if key == "when" { self.conditions(value, &place).map(|_| ()) } else { self.check(value, &place) }
            }),
            _ => Ok(()),
        }
    }

    fn conditions(&self, when: &Value, place: &str) -> Result<Vec<Condition>> {
        self.space.conditions(when).map_err(|what| Error::Space(format!("{place}: {what}")))
    }

    /// The file of a trial: without the space, all places filled.
    ///
    /// # Errors
    /// If a place that is there needs a parameter that is not, or repeats something other than some times.
    pub fn fill(&self, chosen: &Chosen) -> Result<Table> {
        self.filled_table(&self.table, chosen, "")
    }

    /// The same of one of the file's tables or values; `None` if there is none of this name.
    ///
    /// # Errors
    /// As [`fill`](Self::fill).
    pub fn fill_only(&self, name: &str, chosen: &Chosen) -> Result<Option<Value>> {
        self.table.get(name).map(|value| self.filled(value, chosen, name)).transpose()
    }

    fn filled_table(&self, table: &Table, chosen: &Chosen, place: &str) -> Result<Table> {
        let mut filled = Table::new();
        for (key, value) in table.iter().filter(|(key, _)| !["when", "repeat"].contains(&key.as_str())) {
            let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            filled.insert(key.clone(), self.filled(value, chosen, &place)?);
        }
        Ok(filled)
    }

    fn filled(&self, value: &Value, chosen: &Chosen, place: &str) -> Result<Value> {
        Ok(match value {
            Value::String(text) => match text.strip_prefix('$') {
                None => value.clone(),
                Some(name) => {
                    let missing =
                        || Error::Space(format!("{place}: {text} is not there in this trial; give it the same `when`"));
                    to_toml(chosen.get(name).ok_or_else(missing)?)
                }
            },
            Value::Table(table) => Value::Table(self.filled_table(table, chosen, place)?),
            Value::Array(values) => {
                let mut filled = Vec::new();
                for (index, value) in values.iter().enumerate() {
                    let place = format!("{place}[{index}]");
                    let times = match value {
                        Value::Table(table) => self.times(table, chosen, &place)?,
                        _ => 1,
                    };
                    for _ in 0..times {
                        filled.push(self.filled(value, chosen, &place)?);
                    }
                }
                Value::Array(filled)
            }
            _ => value.clone(),
        })
    }

    /// How often a table of a list is there.
    fn times(&self, table: &Table, chosen: &Chosen, place: &str) -> Result<i64> {
        let conditions = table.get("when").map_or(Ok(Vec::new()), |when| self.conditions(when, place))?;
        if !conditions.iter().all(|condition| condition.is_true(chosen)) {
            return Ok(0);
        }
        let Some(repeat) = table.get("repeat") else { return Ok(1) };
        let times = self.filled(repeat, chosen, place)?;
        let times = times.as_integer().filter(|times| (0..=MOST_REPEATS).contains(times));
        times.ok_or_else(|| {
            Error::Space(format!("{place}: repeat is {repeat}, expected 0 to {MOST_REPEATS} or a parameter like that"))
        })
    }
}

fn to_toml(value: &Json) -> Value {
    match value {
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(0.0)), Value::Integer),
        other => Value::String(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let space = "[space]\nn = { integer = [1, 3] }\nm = { integer = [1, 3], when = { n = 3 } }\n";
        for (rest, expected) in [
            ("[train]\nrate = \"$r\"", "train.rate: $r is no parameter; n, m are"),
            ("[[layer]]\nwhen = { q = 1 }", "layer[0].when: when names q"),
        ] {
            let error = Template::from_toml(&format!("{space}{rest}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let chosen = Chosen::from([("n".to_owned(), Json::from(1))]);
        for (rest, expected) in [
            ("[train]\nx = \"$m\"", "train.x: $m is not there"),
            ("[[layer]]\nrepeat = -1", "layer[0]: repeat is -1"),
            ("[[layer]]\nrepeat = \"many\"", "expected 0 to 1000"),
        ] {
            let error = Template::from_toml(&format!("{space}{rest}")).unwrap().fill(&chosen).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
