//! What can be set of a layer, as flat fields of a table: `strides`, `kernel_initializer`. They follow from the options that serde
//! writes of a layer, under names that a user of Keras knows: no kind of layer is listed here.

use serde_json::{Number, Value, json};
use toml::de::{DeTable, DeValue};

use super::{number, shown};
use crate::activation::Activation;
use crate::graph::LayerOptions;
use crate::layers::LayerKind;
use crate::names::suggest;

/// Names of options that are others in a table.
const RENAMED: &[(&str, &str)] = &[
    ("backwards", "go_backwards"),
    ("factors", "size"),
    ("has_beta", "center"),
    ("has_bias", "use_bias"),
    ("has_gamma", "scale"),
    ("returns_states", "return_state"),
    ("sequences", "return_sequences"),
];

/// Options that are no one's to set.
const HIDDEN: &[&str] = &["in_order", "name", "rank", "zeros_masked"];

const PADDINGS: [&str; 3] = ["valid", "same", "causal"];

/// How the value of a field is written.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// A whole number, of which the flag says whether it may be below 0.
    Whole(bool),
    Number,
    Flag,
    Padding,
    /// The second of two numbers, the first of which is that of an axis which is not there.
    Single,
    /// Two numbers, or one that is both.
    Pair,
    List(Box<Form>),
    /// An activation; the flag says whether it is that behind another layer.
    Activation(bool),
    Initializer,
    Regularizer,
}

/// A field of a table.
#[derive(Debug)]
struct Field {
    name: String,
    /// Where it stands in the options.
    path: Vec<String>,
    form: Form,
    default: Value,
}

/// All fields of a kind of layer.
#[derive(Debug)]
pub(super) struct Fields {
    pub kind: &'static LayerKind,
    /// The options of a layer of which nothing is set.
    plain: Value,
    fields: Vec<Field>,
}

impl Fields {
    /// Of a kind, those first that have no default.
    pub fn of(kind: &'static LayerKind) -> Result<Self, String> {
        let plain = (kind.plain)().options()?.value().clone();
        let examples = (kind.examples)().into_iter().map(|example| Ok(example.layer.options()?.value().clone()));
        let examples = examples.collect::<Result<Vec<_>, String>>()?;
        let mut fields = Vec::new();
        collect(kind.name, &plain, &examples, &mut Vec::new(), &mut fields);
        let place = |field: &Field| {
            let is_of_parameter = matches!(field.form, Form::Initializer | Form::Regularizer);
            let required = kind.required.iter().position(|name| *name == field.name);
            (required.unwrap_or(usize::MAX), is_of_parameter)
        };
        fields.sort_by_key(place);
        Ok(Self { kind, plain, fields })
    }

    /// The options that a table says; `known` are the table's other fields.
    ///
    /// # Errors
    /// Where the field stands, if it is one's fault, and the end of a sentence that says what is wrong.
    pub fn read(&self, table: &DeTable<'_>, known: &[&str]) -> Result<LayerOptions, (Option<usize>, String)> {
        let mut options = self.plain.clone();
        for (key, value) in table.iter() {
            let (at, key) = (key.span().start, &**key.get_ref());
            if known.contains(&key) {
                continue;
            }
            let Some(field) = self.fields.iter().find(|field| field.name == key) else {
                let fields: Vec<&str> =
                    self.fields.iter().map(|field| field.name.as_str()).chain(known.iter().copied()).collect();
                let kind = self.kind.name;
                return Err((Some(at), format!("{kind} has no field {key:?}; {}", suggest(key, &fields))));
            };
            let read = field.form.read(value.get_ref());
            let read = read.map_err(|wanted| (Some(at), format!("{key} is {}, but must be {wanted}", shown(value.get_ref()))));
            set(&mut options, &field.path, read?);
        }
        if let Some(missing) = self.kind.required.iter().find(|name| table.get(**name).is_none()) {
            return Err((None, format!("{} needs the field {missing}", self.kind.name)));
        }
        if let Some([strides, size]) = self.strides_and_size()
            && table.get(strides.name.as_str()).is_none()
        {
            let size = get(&options, &size.path).clone();
            set(&mut options, &strides.path, size);
        }
        Ok(LayerOptions::from_value(options))
    }

    /// The fields that say these options, with what stands behind the `=`.
    pub fn write(&self, options: &LayerOptions) -> Vec<(&str, String)> {
        let options = options.value();
        let mut written = Vec::new();
        for field in &self.fields {
            let value = get(options, &field.path);
            let default = match self.strides_and_size() {
                Some([strides, size]) if strides.name == field.name => get(options, &size.path),
                _ => &field.default,
            };
            if value != default || self.kind.required.contains(&field.name.as_str()) {
                written.extend(field.form.write(value).map(|text| (field.name.as_str(), text)));
            }
        }
        written
    }

    /// Windows of pools go on by their size, if nothing else is said.
    fn strides_and_size(&self) -> Option<[&Field; 2]> {
        let find = |name: &str| self.fields.iter().find(|field| field.name == name);
        Some([find("strides")?, find("pool_size")?])
    }
}

/// The fields of an object and of those within it.
fn collect(kind: &str, object: &Value, examples: &[Value], path: &mut Vec<String>, fields: &mut Vec<Field>) {
    let empty = Value::Null;
    let rank = object.get("rank").and_then(Value::as_u64);
    let mut keys: Vec<&String> =
        std::iter::once(object).chain(examples).filter_map(Value::as_object).flat_map(|o| o.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let default = object.get(key).unwrap_or(&empty);
        let within: Vec<Value> =
            examples.iter().filter_map(|example| example.get(key)).filter(|value| !value.is_null()).cloned().collect();
        let sample = if default.is_null() { within.first().unwrap_or(&empty) } else { default };
        path.push(key.clone());
        let mut add = |name: String, key: Option<&str>, form: Form| {
            let path = path.iter().cloned().chain(key.map(str::to_owned)).collect();
            let default = key.map_or(default, |key| default.get(key).unwrap_or(&empty)).clone();
            fields.push(Field { name, path, form, default });
        };
        if HIDDEN.contains(&key.as_str()) || kind == "ZeroPadding1D" && key == "rows" {
        } else if key == "activation" {
            add(key.clone(), None, Form::Activation(kind != "Activation"));
        } else if sample.get("initializer").is_some() {
            add(format!("{key}_initializer"), Some("initializer"), Form::Initializer);
            add(format!("{key}_regularizer"), Some("regularizer"), Form::Regularizer);
        } else if sample.is_object() {
            collect(kind, sample, &within, path, fields);
        } else {
            let name = RENAMED.iter().find(|(own, _)| own == key).map_or(key.as_str(), |(_, name)| name);
            let name = match name {
                "kernel" if kind.contains("Pooling") => "pool_size",
                "columns" if kind == "ZeroPadding1D" => "steps",
                name => name,
            };
            let form = match (sample, rank) {
                (Value::Array(_), Some(1)) if kind != "ZeroPadding1D" => Some(Form::Single),
                (Value::Array(_), Some(_)) => Some(Form::Pair),
                _ => form_of(key, sample),
            };
            if let Some(form) = form {
                add(name.to_owned(), None, form);
            }
        }
        path.pop();
    }
}

/// How a value like this one is written.
fn form_of(key: &str, sample: &Value) -> Option<Form> {
    match sample {
        Value::Bool(_) => Some(Form::Flag),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            Some(Form::Whole(key == "axis" && number.as_i64().is_some_and(|number| number < 0)))
        }
        Value::Number(_) => Some(Form::Number),
        Value::String(_) if key == "padding" => Some(Form::Padding),
        Value::Array(items) => Some(Form::List(Box::new(form_of(key, items.first()?)?))),
        _ => None,
    }
}

fn get<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&Value::Null)
}

fn set(value: &mut Value, path: &[String], new: Value) {
    *path.iter().fold(value, |value, key| &mut value[key]) = new;
}

impl Form {
    /// The option that a value says, or what it must be instead.
    fn read(&self, value: &DeValue<'_>) -> Result<Value, String> {
        match self {
            Self::Whole(true) => whole(value).map(Value::from).ok_or_else(|| "a whole number".to_owned()),
            Self::Whole(false) => count(value).map(Value::from).ok_or_else(|| "a whole number from 0 on".to_owned()),
            Self::Number => float(value).ok_or_else(|| "a number".to_owned()),
            Self::Flag => value.as_bool().map(Value::from).ok_or_else(|| "true or false".to_owned()),
            Self::Padding => {
                let known = value.as_str().filter(|name| PADDINGS.contains(name));
                known.map(|name| json!(pascal_case(name))).ok_or_else(|| one_of(value, &PADDINGS))
            }
            Self::Single => count(value).map(|number| json!([1, number])).ok_or_else(|| "a whole number from 0 on".to_owned()),
            Self::Pair => {
                let pair = match value {
                    DeValue::Array(items) if items.len() == 2 => Some([count(items[0].get_ref()), count(items[1].get_ref())]),
                    DeValue::Integer(_) => Some([count(value); 2]),
                    _ => None,
                };
                let wanted = || "a whole number from 0 on, or two of them in brackets".to_owned();
                match pair {
                    Some([Some(first), Some(second)]) => Ok(json!([first, second])),
                    _ => Err(wanted()),
                }
            }
            Self::List(form) => {
                let items = value.as_array().ok_or_else(|| "a list of numbers in brackets".to_owned())?;
                items
                    .iter()
                    .map(|item| form.read(item.get_ref()))
                    .collect::<Result<Vec<_>, _>>()
                    .map(Value::from)
                    .map_err(|wanted| format!("a list in brackets, each {wanted}"))
            }
            Self::Activation(is_behind) => {
                let names = Activation::ALL.map(|activation| activation.name());
                let known = |name: &str| Activation::ALL.into_iter().find(|activation| activation.name() == name);
                let activation = match value {
                    DeValue::String(name) => known(name).and_then(|activation| serde_json::to_value(activation).ok()),
                    other => tagged(other),
                };
                let activation = activation.ok_or_else(|| one_of(value, &names))?;
                Ok(match (is_behind, activation == json!("Linear")) {
                    (true, true) => Value::Null,
                    (true, false) => {
                        json!({ "activation": activation, "base": { "learning_rate_factor": 1.0, "trainable": true } })
                    }
                    (false, _) => activation,
                })
            }
            Self::Initializer => {
                let named = named_initializers();
                let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
                match value {
                    DeValue::String(name) => named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()),
                    other => tagged(other),
                }
                .ok_or_else(|| one_of(value, &names))
            }
            Self::Regularizer => {
                let wanted = || "{ l1 = ... }, { l2 = ... } or both in one".to_owned();
                let table = value.as_table().ok_or_else(wanted)?;
                let part = |name: &str| table.get(name).map(|part| float(part.get_ref()).ok_or_else(wanted)).transpose();
                match (part("l1")?, part("l2")?, table.len()) {
                    (Some(l1), None, 1) => Ok(json!({ "L1": { "l1": l1 } })),
                    (None, Some(l2), 1) => Ok(json!({ "L2": { "l2": l2 } })),
                    (Some(l1), Some(l2), 2) => Ok(json!({ "L1L2": { "l1": { "l1": l1 }, "l2": { "l2": l2 } } })),
                    _ => Err(wanted()),
                }
            }
        }
    }

    /// What stands behind the `=`; nothing for an option that is not there.
    fn write(&self, value: &Value) -> Option<String> {
        match self {
            Self::Single => self.write_plain(&value[1]),
            Self::Activation(true) => Self::Activation(false).write(&value["activation"]),
            Self::Activation(false) => {
                let is_known = |activation: &Activation| serde_json::to_value(activation).is_ok_and(|known| known == *value);
                let known = Activation::ALL.into_iter().find(is_known);
                known.map(|activation| format!("{:?}", activation.name())).or_else(|| write_tagged(value))
            }
            Self::Initializer => {
                let known = named_initializers().into_iter().find(|(_, known)| known == value);
                known.map(|(name, _)| format!("{name:?}")).or_else(|| write_tagged(value))
            }
            Self::Regularizer => {
                let (_, parts) = value.as_object()?.iter().next()?;
                let part = |name: &str| Some((name.to_owned(), parts.get(name).map(|part| part.get(name).unwrap_or(part))?));
                let parts = ["l1", "l2"].into_iter().filter_map(part);
                let parts: Option<Vec<String>> =
                    parts.map(|(name, value)| Some(format!("{name} = {}", number(value)?))).collect();
                Some(format!("{{ {} }}", parts?.join(", ")))
            }
            _ => self.write_plain(value),
        }
    }

    fn write_plain(&self, value: &Value) -> Option<String> {
        match value {
            Value::Null | Value::Object(_) => None,
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(_) => number(value),
            Value::String(name) => Some(format!("{:?}", crate::graph::snake_case(name))),
            Value::Array(items) => {
                let items: Option<Vec<String>> = items.iter().map(|item| self.write_plain(item)).collect();
                Some(format!("[{}]", items?.join(", ")))
            }
        }
    }
}

/// Initializers that go by a name alone.
fn named_initializers() -> Vec<(&'static str, Value)> {
    let scaled = |scale: f64, mode: &str, distribution: &str| json!({ "VarianceScaling": { "scale": scale, "mode": mode, "distribution": distribution } });
    vec![
        ("zeros", json!({ "Constant": { "value": 0.0 } })),
        ("ones", json!({ "Constant": { "value": 1.0 } })),
        ("orthogonal", json!({ "Orthogonal": { "gain": 1.0 } })),
        ("unit_forget_bias", json!({ "UnitForgetBias": null })),
        ("glorot_uniform", scaled(1.0, "Average", "Uniform")),
        ("glorot_normal", scaled(1.0, "Average", "TruncatedNormal")),
        ("he_uniform", scaled(2.0, "In", "Uniform")),
        ("he_normal", scaled(2.0, "In", "TruncatedNormal")),
        ("lecun_uniform", scaled(1.0, "In", "Uniform")),
        ("lecun_normal", scaled(1.0, "In", "TruncatedNormal")),
    ]
}

/// `{ kind = "constant", value = 0.5 }`, as serde has it: `{ "Constant": { "value": 0.5 } }`.
fn tagged(value: &DeValue<'_>) -> Option<Value> {
    let table = value.as_table()?;
    let mut options = serde_json::Map::new();
    for (key, value) in table.iter().filter(|(key, _)| key.get_ref() != "kind") {
        let value = match value.get_ref() {
            DeValue::String(name) => json!(pascal_case(name)),
            other => float(other)?,
        };
        options.insert(key.get_ref().to_string(), value);
    }
    Some(json!({ pascal_case(table.get("kind")?.get_ref().as_str()?): options }))
}

fn write_tagged(value: &Value) -> Option<String> {
    let (kind, options) = value.as_object()?.iter().next()?;
    let mut parts = vec![format!("kind = {:?}", crate::graph::snake_case(kind))];
    for (key, value) in options.as_object()? {
        let value = match value {
            Value::String(name) => format!("{:?}", crate::graph::snake_case(name)),
            other => number(other)?,
        };
        parts.push(format!("{key} = {value}"));
    }
    Some(format!("{{ {} }}", parts.join(", ")))
}

fn one_of(value: &DeValue<'_>, known: &[&str]) -> String {
    let text = value.as_str().or_else(|| value.as_table()?.get("kind")?.get_ref().as_str());
    text.map_or_else(|| format!("one of {}", known.join(", ")), |text| format!("a known one; {}", suggest(text, known)))
}

/// A whole number.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A whole number from 0 on.
pub(super) fn count(value: &DeValue<'_>) -> Option<usize> {
    whole(value).and_then(|number| usize::try_from(number).ok())
}

/// A finite number.
fn float(value: &DeValue<'_>) -> Option<Value> {
    let number = match value {
        DeValue::Float(float) => float.as_str().parse().ok()?,
        other => whole(other)? as f64,
    };
    Number::from_f64(number).map(Value::Number)
}

/// `leaky_relu` to `LeakyRelu`.
fn pascal_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    });
    words.collect()
}
