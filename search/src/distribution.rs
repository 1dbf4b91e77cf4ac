//! What a parameter may be, and how Optuna writes it.

use serde_json::{Value as Json, json};
use std::fmt;

/// The values that a parameter may take.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Real numbers from `low` to `high`.
    Float {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
        /// Equal ratios are equally likely, not equal differences.
        log: bool,
        /// Only `low` and so many steps above it.
        step: Option<f64>,
    },
    /// Integers from `low` to `high`.
    Integer {
        /// The smallest.
        low: i64,
        /// The largest.
        high: i64,
        /// Equal ratios are equally likely, not equal differences.
        log: bool,
        /// Only `low` and so many steps above it.
        step: i64,
    },
    /// One of some values: text, numbers, truth.
    Choice(Vec<Json>),
}

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A real number.
    Float(f64),
    /// An integer.
    Integer(i64),
    /// One of the choices, by its place.
    Choice(usize),
}

impl Distribution {
    /// As Optuna's tables have it.
    pub fn to_json(&self) -> Json {
        let (name, attributes) = match self {
            Self::Float { low, high, log, step } => {
                ("FloatDistribution", json!({"step": step, "low": low, "high": high, "log": log}))
            }
            Self::Integer { low, high, log, step } => {
                ("IntDistribution", json!({"log": log, "step": step, "low": low, "high": high}))
            }
            Self::Choice(choices) => ("CategoricalDistribution", json!({ "choices": choices })),
        };
        json!({"name": name, "attributes": attributes})
    }

    /// From what Optuna wrote; `None` for what it never writes.
    pub fn from_json(json: &Json) -> Option<Self> {
        let attributes = json.get("attributes")?;
        let of = |name: &str| attributes.get(name);
        let log = of("log").and_then(Json::as_bool).unwrap_or(false);
        match json.get("name")?.as_str()? {
            "FloatDistribution" => {
                let (low, high) = (of("low")?.as_f64()?, of("high")?.as_f64()?);
                Some(Self::Float { low, high, log, step: of("step").and_then(Json::as_f64) })
            }
            "IntDistribution" => {
                let (low, high) = (of("low")?.as_i64()?, of("high")?.as_i64()?);
                Some(Self::Integer { low, high, log, step: of("step").and_then(Json::as_i64).unwrap_or(1) })
            }
            "CategoricalDistribution" => Some(Self::Choice(of("choices")?.as_array()?.clone())),
            _ => None,
        }
    }

    /// The number that Optuna's tables have for a value: of a choice its place.
    pub fn number(value: &Value) -> f64 {
        match value {
            Value::Float(value) => *value,
            Value::Integer(value) => *value as f64,
            Value::Choice(place) => *place as f64,
        }
    }

    /// The value that a number stands for; `None` if it is none of these.
    pub fn value(&self, number: f64) -> Option<Value> {
        match self {
            Self::Float { low, high, .. } => (*low <= number && number <= *high).then_some(Value::Float(number)),
            Self::Integer { low, high, .. } => {
                let integer = number as i64;
                (integer as f64 == number && *low <= integer && integer <= *high).then_some(Value::Integer(integer))
            }
            Self::Choice(choices) => {
                let place = number as usize;
                (place as f64 == number && place < choices.len()).then_some(Value::Choice(place))
            }
        }
    }

    /// What a value is, for people and templates.
    pub fn shown(&self, value: &Value) -> Json {
        match (self, value) {
            (Self::Choice(choices), Value::Choice(place)) => choices.get(*place).cloned().unwrap_or(Json::Null),
            (_, Value::Integer(value)) => json!(value),
            (_, Value::Float(value)) => json!(value),
            (_, Value::Choice(place)) => json!(place),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = |log: bool| if log { ", log" } else { "" };
        match self {
            Self::Float { low, high, log, .. } => write!(f, "{low} to {high}{}", scale(*log)),
            Self::Integer { low, high, log, .. } => {
                write!(f, "{low} to {high}, whole{}", scale(*log))
            }
            Self::Choice(choices) => {
                let names: Vec<String> = choices.iter().map(Json::to_string).collect();
                write!(f, "one of {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Word by word what Optuna 5.0 wrote.
    #[test]
    fn distributions_are_those_of_optuna() {
        let written = [
            r#"{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}"#,
            r#"{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 8}}"#,
            r#"{"name": "CategoricalDistribution", "attributes": {"choices": ["a", null, 3]}}"#,
        ];
        let expected = [
            Distribution::Float { low: 0.001, high: 1.0, log: true, step: None },
            Distribution::Integer { low: 1, high: 8, log: false, step: 1 },
            Distribution::Choice(vec![json!("a"), Json::Null, json!(3)]),
        ];
        for (written, expected) in written.iter().zip(expected) {
            let json: Json = serde_json::from_str(written).unwrap();
            assert_eq!(Distribution::from_json(&json), Some(expected.clone()));
            assert_eq!(expected.to_json(), json);
        }
        assert_eq!(Distribution::from_json(&json!({"name": "UniformDistribution", "attributes": {}})), None);
    }

    #[test]
    fn numbers_out_of_range_are_no_values() {
        let integer = Distribution::Integer { low: 1, high: 8, log: false, step: 1 };
        assert_eq!((integer.value(3.0), integer.value(3.5), integer.value(9.0)), (Some(Value::Integer(3)), None, None));
        let choice = Distribution::Choice(vec![json!("a"), json!(true)]);
        assert_eq!((choice.value(1.0), choice.value(2.0), choice.value(-1.0)), (Some(Value::Choice(1)), None, None));
        assert_eq!(choice.shown(&Value::Choice(1)), json!(true));
    }
}
