//! What may be chosen: parameters in an order, some only where another one has certain values.

use crate::{Distribution, Error, Result, Value};
use serde_json::Value as Json;
use std::collections::HashMap;

/// A parameter of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub distribution: Distribution,
    /// It is there only where each of these is true of parameters before it.
    pub when: Vec<Condition>,
}

/// What must be true of another parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The other one.
    pub parameter: String,
    /// What it must be.
    pub test: Test,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// One of these.
    OneOf(Vec<Json>),
    /// A number not below this.
    AtLeast(f64),
    /// A number not above this.
    AtMost(f64),
}

/// Parameters, each behind those that it depends on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Space {
    parameters: Vec<Parameter>,
}

/// Values by name, as people see them.
pub type Chosen = HashMap<String, Json>;

impl Space {
    /// The parameters in their order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Reads the table `[space]` of a TOML file; other tables are others' matter. A parameter is one of
    ///
    /// ```toml
    /// [space]
    /// layers = { integer = [1, 4] }
    /// rate = { float = [1e-4, 1e-1], log = true }
    /// kind = { choice = ["conv", "separable"] }
    /// width_3 = { integer = [8, 64], step = 8, when = { layers = ">= 3", kind = ["separable"] } }
    /// ```
    ///
    /// # Errors
    /// A sentence with the parameter and what is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self> {
        let file: toml::Table =
            text.parse().map_err(|error: toml::de::Error| Error::Space(error.to_string().trim_end().to_owned()))?;
        let Some(table) = file.get("space") else {
            return Err(Error::Space("there is no table [space]".to_owned()));
        };
        let table = table.as_table().ok_or_else(|| Error::Space("space is not a table".to_owned()))?;
        let mut space = Self::default();
        for (name, written) in table {
            let fault = |what: String| Error::Space(format!("{name}: {what}"));
            let parameter = space.read(name, written).map_err(fault)?;
            space.parameters.push(parameter);
        }
        if space.parameters.is_empty() {
            return Err(Error::Space("[space] has no parameter".to_owned()));
        }
        Ok(space)
    }

    fn read(&self, name: &str, written: &toml::Value) -> Result<Parameter, String> {
        let expected = "expected { float = [LOW, HIGH] }, { integer = [LOW, HIGH] } or { choice = [...] }";
        let table = written.as_table().ok_or(expected)?;
        let known = ["float", "integer", "choice", "log", "step", "when"];
        if let Some(other) = table.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("{other} is not known; {} are", known.join(", ")));
        }
        let kinds: Vec<&str> = ["float", "integer", "choice"].into_iter().filter(|kind| table.contains_key(*kind)).collect();
        let [kind] = kinds[..] else {
            return Err(format!("{expected}, one of them"));
        };
        let log = table.get("log").map_or(Some(false), toml::Value::as_bool).ok_or("log is true or false")?;
        let step = table.get("step");
        let distribution = match kind {
            "float" => {
                let [low, high] = pair(&table[kind], number).ok_or("float takes two finite numbers, [LOW, HIGH]")?;
                let step =
                    step.map(|step| number(step).filter(|step| *step > 0.0).ok_or("step is a number above 0")).transpose()?;
                if low > high || (log && low <= 0.0) {
                    return Err(format!(
                        "[{low}, {high}] is no range{}",
                        if log { " with log, which begins above 0" } else { "" }
                    ));
                }
                Distribution::Float { low, high, log, step }
            }
            "integer" => {
                let [low, high] =
                    pair(&table[kind], toml::Value::as_integer).ok_or("integer takes two integers, [LOW, HIGH]")?;
                let step = step
                    .map_or(Some(1), toml::Value::as_integer)
                    .filter(|step| *step > 0)
                    .ok_or("step is an integer above 0")?;
                if low > high || (log && low <= 0) {
                    return Err(format!(
                        "[{low}, {high}] is no range{}",
                        if log { " with log, which begins above 0" } else { "" }
                    ));
                }
                Distribution::Integer { low, high: low + (high - low) / step * step, log, step }
            }
            _ => {
                let choices = table[kind]
                    .as_array()
                    .filter(|choices| !choices.is_empty())
                    .ok_or("choice takes a list, not an empty one")?;
                if log || step.is_some() {
                    return Err("a choice has neither log nor step".to_owned());
                }
                let choices: Option<Vec<Json>> = choices.iter().map(to_json).collect();
                let choices = choices.ok_or("choices are text, numbers, true or false")?;
                if let Some(twice) = choices.iter().enumerate().find(|(place, choice)| choices[..*place].contains(choice)) {
                    return Err(format!("{} is there twice", twice.1));
                }
                Distribution::Choice(choices)
            }
        };
        let when = table.get("when").map_or(Ok(Vec::new()), |when| self.conditions(when))?;
        Ok(Parameter { name: name.to_owned(), distribution, when })
    }

    /// What `when` asks of parameters that are there already.
    pub(crate) fn conditions(&self, when: &toml::Value) -> Result<Vec<Condition>, String> {
        let when = when.as_table().ok_or("when is a table, { OTHER = \">= 2\" } or { OTHER = [VALUES] }")?;
        when.iter().map(|(other, test)| self.condition(other, test)).collect()
    }

    fn condition(&self, other: &str, written: &toml::Value) -> Result<Condition, String> {
        if !self.parameters.iter().any(|parameter| parameter.name == other) {
            let before: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            return Err(format!("when names {other}, which is no parameter before it ({})", before.join(", ")));
        }
        let bound = |text: &str, sign: &str| text.trim().strip_prefix(sign)?.trim().parse::<f64>().ok();
        let test = match written {
            toml::Value::Array(values) => {
                Test::OneOf(values.iter().map(to_json).collect::<Option<_>>().ok_or("when takes text, numbers, true or false")?)
            }
            toml::Value::String(text) if bound(text, ">=").is_some() => Test::AtLeast(bound(text, ">=").unwrap_or_default()),
            toml::Value::String(text) if bound(text, "<=").is_some() => Test::AtMost(bound(text, "<=").unwrap_or_default()),
            single => Test::OneOf(vec![to_json(single).ok_or("when takes text, numbers, true or false")?]),
        };
        Ok(Condition { parameter: other.to_owned(), test })
    }
}

impl Condition {
    /// Whether it is true of what was chosen; not of a parameter that is not there.
    pub fn is_true(&self, chosen: &Chosen) -> bool {
        chosen.get(&self.parameter).is_some_and(|value| match &self.test {
            Test::OneOf(values) => values.contains(value),
            Test::AtLeast(bound) => value.as_f64().is_some_and(|value| value >= *bound),
            Test::AtMost(bound) => value.as_f64().is_some_and(|value| value <= *bound),
        })
    }
}

impl Parameter {
    /// Whether it is there, given those before it.
    pub fn is_there(&self, chosen: &Chosen) -> bool {
        self.when.iter().all(|condition| condition.is_true(chosen))
    }

    /// The value as people see it.
    pub fn shown(&self, value: &Value) -> Json {
        self.distribution.shown(value)
    }
}

fn pair<T: Copy>(written: &toml::Value, read: impl Fn(&toml::Value) -> Option<T>) -> Option<[T; 2]> {
    let [low, high] = &written.as_array()?[..] else {
        return None;
    };
    Some([read(low)?, read(high)?])
}

fn number(written: &toml::Value) -> Option<f64> {
    written.as_float().or_else(|| written.as_integer().map(|value| value as f64)).filter(|value| value.is_finite())
}

fn to_json(written: &toml::Value) -> Option<Json> {
    Some(match written {
        toml::Value::String(text) => Json::from(text.as_str()),
        toml::Value::Integer(value) => Json::from(*value),
        toml::Value::Float(value) => serde_json::Number::from_f64(*value)?.into(),
        toml::Value::Boolean(value) => Json::from(*value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_come_in_the_order_of_the_file() {
        let space = Space::from_toml(
            "[space]\nz = { integer = [1, 4] }\na = { float = [1e-4, 1e-1], log = true }\nk = { choice = [\"conv\", \"separable\"] }\n\
             w = { integer = [8, 62], step = 8, when = { z = \">= 3\", k = [\"separable\"] } }\n[train]\nepochs = 3",
        )
        .unwrap();
        let names: Vec<&str> = space.parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!(names, ["z", "a", "k", "w"]);
        let width = &space.parameters()[3];
        assert_eq!(width.distribution, Distribution::Integer { low: 8, high: 56, log: false, step: 8 });
        let chosen = |z: i64, k: &str| Chosen::from([("z".to_owned(), json!(z)), ("k".to_owned(), json!(k))]);
        assert!(width.is_there(&chosen(3, "separable")) && width.is_there(&chosen(4, "separable")));
        assert!(
            !width.is_there(&chosen(2, "separable")) && !width.is_there(&chosen(4, "conv")) && !width.is_there(&Chosen::new())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("x = 1", "there is no table [space]"),
            ("[space]", "no parameter"),
            ("[space]\nx = 3", "x: expected { float"),
            ("[space]\nx = { float = [1.0, 0.0] }", "x: [1, 0] is no range"),
            ("[space]\nx = { float = [0, 1], log = true }", "begins above 0"),
            ("[space]\nx = { float = [0, inf] }", "two finite numbers"),
            ("[space]\nx = { integer = [0.5, 1] }", "two integers"),
            ("[space]\nx = { integer = [1, 2], step = 0 }", "step is an integer above 0"),
            ("[space]\nx = { choice = [] }", "not an empty one"),
            ("[space]\nx = { choice = [1, 1] }", "1 is there twice"),
            ("[space]\nx = { integer = [1, 2], float = [1, 2] }", "one of them"),
            ("[space]\nx = { integer = [1, 2], lg = true }", "lg is not known"),
            ("[space]\nx = { integer = [1, 2], when = { y = 1 } }", "when names y"),
            ("[space\n", "the space: TOML parse error"),
        ] {
            let error = Space::from_toml(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
