//! From a model to text. What is written is read again and compared, so that nothing is lost in silence.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ModelTextError;
use super::fields::Fields;
use crate::error::Result;
use crate::graph::{Application, Graph, Layer, LayerOptions, Node, Origin, Scope, snake_case};
use crate::layers::ALL_LAYERS;
use crate::train::Model;

/// The text of a model.
pub(super) fn write(model: &Model) -> Result<String> {
    let unwritable = |reason: String| ModelTextError::Unwritable { model: model.name().to_owned(), reason };
    let mut reason = String::new();
    // Names that models give by themselves are left out; if they came out otherwise, all are said.
    for says_all_names in [false, true] {
        let text = Text::of(model, says_all_names).map_err(unwritable)?;
        match Model::from_toml(&text).map(|again| difference(model.graph(), again.graph())) {
            Ok(None) => return Ok(text),
            Ok(Some(difference)) => reason = difference,
            Err(error) => reason = error.to_string(),
        }
    }
    Err(unwritable(reason).into())
}

/// What is not the same in two graphs; the order of nodes does not count, that of parameters does.
fn difference(one: &Graph, other: &Graph) -> Option<String> {
    let described = |graph: &Graph, node: &Node| {
        let options = node.layer.as_ref().and_then(|layer| layer.options().ok()).map(|options| without_name(options.value()));
        let inputs = node.inputs.iter().map(|&input| graph.nodes[input].name.clone());
        let layer = node.layer.as_ref().map(|layer| layer.kind());
        (layer, options, inputs.collect::<Vec<_>>(), node.shape.clone(), node.part_of.clone(), node.length_group)
    };
    let nodes: HashMap<&str, &Node> = other.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
    for node in &one.nodes {
        let Some(again) = nodes.get(node.name.as_str()) else {
            return Some(format!("'{}' would have another name", node.name));
        };
        if described(one, node) != described(other, again) {
            return Some(format!("'{}' has what the format has no words for", node.name));
        }
    }
    let parameters =
        |graph: &Graph| -> Vec<_> { graph.parameters.iter().map(|entry| (entry.name.clone(), entry.shape.clone())).collect() };
    let ends =
        |graph: &Graph, nodes: &[usize]| -> Vec<String> { nodes.iter().map(|&node| graph.nodes[node].name.clone()).collect() };
    let is_same = one.nodes.len() == other.nodes.len()
        && parameters(one) == parameters(other)
        && ends(one, &one.inputs) == ends(other, &other.inputs)
        && ends(one, &one.outputs) == ends(other, &other.outputs);
    (!is_same).then(|| "its inputs, outputs or parameters would come in another order".to_owned())
}

/// Options but for names: one that was given and one that a model made by itself are the same.
fn without_name(options: &Value) -> Value {
    match options {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, _)| *key != "name");
            Value::Object(fields.map(|(key, value)| (key.clone(), without_name(value))).collect())
        }
        other => other.clone(),
    }
}

/// A node of a model, or of one that is applied in it.
#[derive(Clone)]
struct Item {
    name: String,
    /// The name was given by the user.
    is_named: bool,
    /// Kind, options and identity of the layer; `None` for inputs.
    layer: Option<(String, Value, usize)>,
    inputs: Vec<usize>,
    /// For what a layer gives behind its `activation` and the like: what stands behind its name.
    part: Option<&'static str>,
    shape: String,
    variable_length: bool,
    scope: Option<Scope>,
}

/// What is written of a model.
struct Text {
    name: String,
    items: Vec<Item>,
    says_all_names: bool,
    inputs: Vec<usize>,
    blocks: Vec<Block>,
    /// What stands for the output of each item.
    references: Vec<Option<Reference>>,
    models: Vec<String>,
}

/// A `[[layer]]`.
struct Block {
    name: String,
    must_be_named: bool,
    inputs: Vec<Reference>,
    /// The other lines.
    lines: Vec<String>,
}

#[derive(Clone, PartialEq)]
enum Reference {
    Input(usize),
    /// A block, and what stands behind its name.
    Block(usize, String),
}

impl Text {
    fn of(model: &Model, says_all_names: bool) -> Result<String, String> {
        let graph = model.graph();
        let items = graph.nodes.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        let mut text = Self::new(model.name(), items, &graph.inputs, says_all_names);
        text.collect()?;
        text.render("", &graph.outputs)
    }

    fn new(name: &str, items: Vec<Item>, inputs: &[usize], says_all_names: bool) -> Self {
        let mut references = vec![None; items.len()];
        for (number, &input) in inputs.iter().enumerate() {
            references[input] = Some(Reference::Input(number));
        }
        let (blocks, models) = (Vec::new(), Vec::new());
        Self { name: name.to_owned(), items, says_all_names, inputs: inputs.to_vec(), blocks, references, models }
    }

    /// Makes a block of each layer that is applied.
    fn collect(&mut self) -> Result<(), String> {
        let mut first_of: HashMap<usize, usize> = HashMap::new();
        let mut first_of_model: HashMap<*const u8, usize> = HashMap::new();
        for index in 0..self.items.len() {
            if self.references[index].is_some() {
                continue;
            }
            let item = self.items[index].clone();
            let Some((kind, options, identity)) = &item.layer else { continue };
            if let Some(scope) = &item.scope {
                self.application(scope, &mut first_of_model)?;
                continue;
            }
            if let (Some(part), Some(Reference::Block(block, _))) =
                (item.part, item.inputs.first().and_then(|&input| self.references[input].clone()))
            {
                self.references[index] = Some(Reference::Block(block, part.to_owned()));
                continue;
            }
            let inputs = self.references_of(&item.inputs)?;
            let block = self.blocks.len();
            let lines = match first_of.get(identity) {
                Some(&first) => {
                    self.blocks[first].must_be_named = true;
                    vec![format!("apply = {}", quoted(&self.blocks[first].name))]
                }
                None => {
                    first_of.insert(*identity, block);
                    lines_of(kind, options)?
                }
            };
            let has_parts = self.items.iter().any(|other| other.part.is_some() && other.inputs == [index]);
            self.references[index] = Some(Reference::Block(block, if has_parts { "linear" } else { "" }.to_owned()));
            let must_be_named = item.is_named;
            self.blocks.push(Block { name: item.name, must_be_named, inputs, lines });
        }
        Ok(())
    }

    fn references_of(&self, items: &[usize]) -> Result<Vec<Reference>, String> {
        let of =
            |&item: &usize| self.references[item].clone().ok_or_else(|| format!("'{}' has no place", self.items[item].name));
        items.iter().map(of).collect()
    }

    /// Makes a block of the application of a model, or of what is made of layers.
    fn application(&mut self, scope: &Scope, first_of_model: &mut HashMap<*const u8, usize>) -> Result<(), String> {
        let model = scope.application.0.clone();
        let mut applications: Vec<Vec<usize>> = Vec::new();
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        for (index, item) in self.items.iter().enumerate() {
            if let Some(scope) = item.scope.as_ref().filter(|scope| Arc::ptr_eq(&scope.application.0, &model)) {
                let number = *numbers.entry(Arc::as_ptr(&scope.application).addr()).or_insert(applications.len());
                if number == applications.len() {
                    applications.push(Vec::new());
                }
                applications[number].push(index);
            }
        }
        let own = numbers.get(&Arc::as_ptr(&scope.application).addr()).copied().unwrap_or(0);
        let inner = |item: usize| self.items[item].scope.as_ref().map(|scope| scope.node.as_str());
        let names = |items: &[usize]| items.iter().map(|&item| inner(item)).collect::<Vec<_>>();
        if applications.iter().any(|items| names(items) != names(&applications[0])) {
            return Err(format!("'{model}' is applied in whole and in part"));
        }
        // What each of its nodes takes from outside, in all applications: an input of the model for each that differs.
        let mut given: Vec<Vec<usize>> = Vec::new();
        let mut inner_inputs: Vec<Vec<Result<usize, usize>>> = Vec::new();
        for place in 0..applications[0].len() {
            let count = self.items[applications[0][place]].inputs.len();
            let inputs = (0..count).map(|input| {
                let taken: Vec<usize> = applications.iter().map(|items| self.items[items[place]].inputs[input]).collect();
                match applications[0].iter().position(|&item| item == taken[0]) {
                    Some(inside) => Ok(inside),
                    None => Err(given.iter().position(|known| *known == taken).unwrap_or_else(|| {
                        given.push(taken);
                        given.len() - 1
                    })),
                }
            });
            inner_inputs.push(inputs.collect());
        }
        let taken_outside = |place: &usize| {
            applications.iter().any(|items| {
                let is_taken = |other: usize| !items.contains(&other) && self.items[other].inputs.contains(&items[*place]);
                let has_consumers = (0..self.items.len()).any(is_taken);
                has_consumers || (0..self.items.len()).all(|other| !self.items[other].inputs.contains(&items[*place]))
            })
        };
        let outputs: Vec<usize> = (0..applications[0].len()).filter(taken_outside).collect();
        let inputs = given.iter().map(|taken| taken[own]).collect::<Vec<_>>();
        let inputs = self.references_of(&inputs)?;
        let block = self.blocks.len();
        let (mut lines, mut parts) = (Vec::new(), vec![String::new()]);
        let first = first_of_model.get(&model.as_ptr().cast()).copied();
        let is_made = self.bidirectional(&applications[0]).or_else(|| self.time_distributed(&applications[0]));
        match (first, is_made) {
            (Some(first), Some(_)) => {
                self.blocks[first].must_be_named = true;
                lines.push(format!("apply = {}", quoted(&self.blocks[first].name)));
            }
            (None, Some(made)) => lines = made,
            (_, None) => {
                let is_on_steps = applications[0].iter().any(|&item| self.kind(item) == "TimeDistributed");
                if is_on_steps {
                    return Err(format!("'{model}' applies a model to each step"));
                }
                let sub = self.inner_model(&model, &applications[0], &given, &inner_inputs);
                if first.is_none() {
                    let mut sub = sub;
                    sub.collect()?;
                    // Models within it stand before it.
                    let new = std::mem::take(&mut sub.models).into_iter().filter(|text| !self.models.contains(text));
                    let new: Vec<String> = new.collect();
                    self.models.extend(new);
                    let outputs: Vec<usize> = outputs.iter().map(|output| output + given.len()).collect();
                    self.models.push(sub.render("model", &outputs)?);
                }
                lines.push(format!("apply = {}", quoted(&model)));
                if outputs.len() > 1 {
                    parts = outputs.iter().map(|&output| self.layer_name(&applications[0], output)).collect();
                }
            }
        }
        first_of_model.entry(model.as_ptr().cast()).or_insert(block);
        for (number, &output) in outputs.iter().enumerate() {
            let part = parts.get(number).cloned().unwrap_or_default();
            self.references[applications[own][output]] = Some(Reference::Block(block, part));
        }
        for &item in &applications[own] {
            self.references[item].get_or_insert(Reference::Block(block, "inside".to_owned()));
        }
        let name = self.items[applications[own][0]].name.clone();
        let node = scope.node.as_str();
        let name = name.strip_suffix(node).and_then(|name| name.strip_suffix('/')).unwrap_or(&name).to_owned();
        let must_be_named = name != snake_case("Bidirectional") && lines.first().is_some_and(|line| line.starts_with("kind"));
        self.blocks.push(Block { name, must_be_named, inputs, lines });
        Ok(())
    }

    fn kind(&self, item: usize) -> &str {
        self.items[item].layer.as_ref().map_or("", |(kind, ..)| kind)
    }

    /// The name of the layer that a node within a model is, or is the activation of.
    fn layer_name(&self, items: &[usize], place: usize) -> String {
        let item = &self.items[items[place]];
        let owner = item.part.and_then(|_| item.inputs.first()).map_or(item, |&owner| &self.items[owner]);
        owner.scope.as_ref().map(|scope| scope.node.clone()).unwrap_or_default()
    }

    /// A model that is applied, as one of its own.
    fn inner_model(&self, name: &str, items: &[usize], given: &[Vec<usize>], inputs: &[Vec<Result<usize, usize>>]) -> Self {
        let input = |(number, taken): (usize, &Vec<usize>)| {
            let Item { shape, variable_length, .. } = &self.items[taken[0]];
            let (name, shape) = (format!("input_{}", number + 1), shape.clone());
            let is_named = given.len() > 1;
            Item {
                name,
                is_named,
                layer: None,
                inputs: Vec::new(),
                part: None,
                shape,
                variable_length: *variable_length,
                scope: None,
            }
        };
        let mut all: Vec<Item> = given.iter().enumerate().map(input).collect();
        let mut nested = Nested::default();
        for (&item, inputs) in items.iter().zip(inputs) {
            let inputs = inputs.iter().map(|input| match input {
                Ok(inside) => inside + given.len(),
                Err(outside) => *outside,
            });
            let own = &self.items[item];
            let name = own.scope.as_ref().map(|scope| scope.node.clone()).unwrap_or_default();
            let scope = own.scope.as_ref().and_then(|scope| nested.of(scope));
            all.push(Item { name, inputs: inputs.collect(), scope, ..own.clone() });
        }
        Self::new(name, all, &(0..given.len()).collect::<Vec<_>>(), self.says_all_names)
    }

    /// The lines of a `Bidirectional`, if these are its nodes.
    fn bidirectional(&self, items: &[usize]) -> Option<Vec<String>> {
        let [forward, backward, merge] = items[..] else { return None };
        let mode = match self.kind(merge) {
            "Concatenate" => "concat",
            "Add" => "sum",
            "Multiply" => "mul",
            "Average" => "ave",
            _ => return None,
        };
        let part = |item: usize, direction: &str| {
            let (kind, options, _) = self.items[item].layer.as_ref()?;
            let mut options = options.clone();
            let recurrent = options.get_mut("recurrent")?;
            (recurrent["in_order"], recurrent["zeros_masked"]) = (json!(false), json!(false));
            let name = self.items[item].scope.as_ref()?.node.strip_prefix(direction)?.to_owned();
            Some((kind.clone(), options, (name != snake_case(kind)).then_some(name)))
        };
        let (kind, options, name) = part(forward, "forward_")?;
        let (other, backward_options, other_name) = part(backward, "backward_")?;
        let mut lines =
            vec!["kind = \"Bidirectional\"".to_owned(), format!("layer = {}", inline(&kind, name.as_deref(), &options).ok()?)];
        let mut turned = options;
        turned["recurrent"]["backwards"] = json!(true);
        if (&other, &backward_options, &other_name) != (&kind, &turned, &name) {
            lines.push(format!("backward_layer = {}", inline(&other, other_name.as_deref(), &backward_options).ok()?));
        }
        if mode != "concat" {
            lines.push(format!("merge_mode = {mode:?}"));
        }
        Some(lines)
    }

    /// The lines of a `TimeDistributed`, if these are the nodes of one of a single layer.
    fn time_distributed(&self, items: &[usize]) -> Option<Vec<String>> {
        let (&first, rest) = items.split_first()?;
        if rest.iter().any(|&item| self.items[item].part.is_none()) {
            return None;
        }
        let (kind, options, _) = self.items[first].layer.as_ref()?;
        let scope = self.items[first].scope.as_ref()?;
        let (kind, options) = match kind.as_str() {
            "TimeDistributed" => (options.get("kind")?.as_str()?, options.get("options")?),
            kind if scope.application.0.starts_with("time_distributed") => (kind, options),
            _ => return None,
        };
        let name = (scope.node != snake_case(kind)).then_some(scope.node.as_str());
        Some(vec!["kind = \"TimeDistributed\"".to_owned(), format!("layer = {}", inline(kind, name, options).ok()?)])
    }

    /// The text; `prefix` is the table of a model that is applied.
    fn render(mut self, prefix: &str, outputs: &[usize]) -> Result<String, String> {
        let ends = self.references_of(outputs)?;
        let last = Reference::Block(self.blocks.len().saturating_sub(1), String::new());
        let says_outputs = ends != [last];
        // Who is called by name.
        let mut called: BTreeSet<usize> = BTreeSet::new();
        let mut spoken: BTreeMap<usize, ()> = BTreeMap::new();
        for (number, block) in self.blocks.iter().enumerate() {
            let before = match number.checked_sub(1) {
                Some(before) => Reference::Block(before, String::new()),
                None if self.inputs.len() == 1 => Reference::Input(0),
                None => Reference::Input(usize::MAX),
            };
            if block.inputs != [before] {
                spoken.insert(number, ());
                called.extend(
                    block
                        .inputs
                        .iter()
                        .filter_map(|input| if let Reference::Block(block, _) = input { Some(*block) } else { None }),
                );
            }
        }
        if says_outputs {
            called.extend(ends.iter().filter_map(|end| if let Reference::Block(block, _) = end { Some(*block) } else { None }));
        }
        for block in called {
            self.blocks[block].must_be_named = true;
        }
        let inputs_are_called = self.blocks.iter().enumerate().any(|(number, block)| {
            spoken.contains_key(&number) && block.inputs.iter().any(|input| matches!(input, Reference::Input(_)))
        });
        let reference = |reference: &Reference| {
            quoted(&match reference {
                Reference::Input(input) => self.items[self.inputs[*input]].name.clone(),
                Reference::Block(block, part) if part.is_empty() => self.blocks[*block].name.clone(),
                Reference::Block(block, part) => format!("{}/{part}", self.blocks[*block].name),
            })
        };
        let list = |references: &[Reference]| format!("[{}]", references.iter().map(reference).collect::<Vec<_>>().join(", "));
        let table = |name: &str| if prefix.is_empty() { format!("[[{name}]]") } else { format!("[[{prefix}.{name}]]") };
        let mut text = String::new();
        if !prefix.is_empty() {
            let _ = writeln!(text, "[[{prefix}]]");
        }
        let _ = writeln!(text, "name = {}", quoted(&self.name));
        let inputs: Vec<&Item> = self.inputs.iter().map(|&input| &self.items[input]).collect();
        let is_plain = !inputs_are_called && inputs.len() == 1 && !inputs[0].is_named && !inputs[0].variable_length;
        if is_plain {
            let _ = writeln!(text, "input = {}", inputs[0].shape);
        }
        if says_outputs {
            let _ = writeln!(text, "outputs = {}", list(&ends));
        }
        for input in inputs.iter().filter(|_| !is_plain) {
            let _ = writeln!(text, "\n{}\nname = {}\nshape = {}", table("input"), quoted(&input.name), input.shape);
            if input.variable_length {
                let _ = writeln!(text, "variable_length = true");
            }
        }
        for model in &self.models {
            let _ = write!(text, "\n{model}");
        }
        for (number, block) in self.blocks.iter().enumerate() {
            let _ = writeln!(text, "\n{}", table("layer"));
            if let Some(what) = block.lines.first() {
                let _ = writeln!(text, "{what}");
            }
            if block.must_be_named || self.says_all_names {
                let _ = writeln!(text, "name = {}", quoted(&block.name));
            }
            if spoken.contains_key(&number) {
                let _ = writeln!(text, "inputs = {}", list(&block.inputs));
            }
            for line in block.lines.iter().skip(1) {
                let _ = writeln!(text, "{line}");
            }
        }
        Ok(text)
    }
}

/// The models that are applied within one that is.
#[derive(Default)]
struct Nested {
    models: HashMap<String, Arc<str>>,
    applications: HashMap<String, Arc<Application>>,
}

impl Nested {
    /// Where a node stands within the model whose node it is, if that is in another one's application.
    fn of(&mut self, scope: &Scope) -> Option<Scope> {
        let first = scope.scopes.first()?;
        let within = |name: &str| Some(name.strip_prefix(first.as_str())?.strip_prefix('/')?.to_owned());
        let model = first.split('@').next().unwrap_or(first);
        let model = self.models.entry(model.to_owned()).or_insert_with(|| model.into()).clone();
        let application = self.applications.entry(first.clone()).or_insert_with(|| Arc::new(Application(model)));
        let scopes = scope.scopes[1..].iter().filter_map(|scope| within(scope)).collect();
        Some(Scope { application: application.clone(), node: within(&scope.node)?, scopes })
    }
}

fn item(node: &Node) -> Result<Item, String> {
    let (part, scope) = match node.symbol.origin() {
        Origin::Layer { part_of, scope, .. } => (part_of.is_some(), scope.clone()),
        _ => (false, None),
    };
    let part = part.then(|| match node.layer.as_ref().map(|layer| layer.describe()).as_deref() {
        Some("h") => "h",
        Some("c") => "c",
        _ => "",
    });
    let layer = node.layer.as_ref().map(|layer: &Arc<dyn Layer>| {
        let options = layer.options().map_err(|reason| format!("layer '{}': {reason}", node.name))?;
        Ok::<_, String>((layer.kind().to_owned(), without_name(options.value()), layer.base().identity()))
    });
    let is_named = match &node.layer {
        Some(layer) => layer.base().name().is_some(),
        None => node.symbol.input_name().is_some(),
    };
    Ok(Item {
        name: node.name.clone(),
        is_named,
        layer: layer.transpose()?,
        inputs: node.inputs.clone(),
        part,
        shape: node.shape.to_string(),
        variable_length: node.symbol.has_variable_length(),
        scope,
    })
}

/// The lines of a layer.
fn lines_of(kind: &str, options: &Value) -> Result<Vec<String>, String> {
    let first = format!("kind = {kind:?}");
    let fields = fields(kind, options)?;
    Ok(std::iter::once(first).chain(fields.into_iter().map(|(name, value)| format!("{name} = {value}"))).collect())
}

/// A layer within another.
fn inline(kind: &str, name: Option<&str>, options: &Value) -> Result<String, String> {
    let mut parts = vec![format!("kind = {kind:?}")];
    parts.extend(name.map(|name| format!("name = {}", quoted(name))));
    parts.extend(fields(kind, options)?.into_iter().map(|(name, value)| format!("{name} = {value}")));
    Ok(format!("{{ {} }}", parts.join(", ")))
}

fn fields(kind: &str, options: &Value) -> Result<Vec<(String, String)>, String> {
    let known = ALL_LAYERS.iter().find(|known| known.name == kind && kind != "TimeDistributed");
    let known = known.ok_or_else(|| format!("the library has no kind of layer '{kind}' that a text can say"))?;
    let fields = Fields::of(known)?;
    let written = fields.write(&LayerOptions::from_value(options.clone()));
    Ok(written.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A text as TOML has it: what JSON escapes, TOML does, too, and one letter more.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
