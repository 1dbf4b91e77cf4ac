//! The table that `Model::summary` prints.

use std::collections::HashSet;
use std::fmt;

use super::{Graph, ParameterEntry, ParameterKind};

/// A printable table of a graph.
struct Summary<'a> {
    graph: &'a Graph,
    name: &'a str,
}

impl Graph {
    /// A table of the nodes with shapes, parameters and connections.
    pub(crate) fn summary<'a>(&'a self, name: &'a str) -> impl fmt::Display + 'a {
        Summary { graph: self, name }
    }
}

/// A number with commas between thousands.
fn with_commas(number: usize) -> String {
    let digits = number.to_string();
    let mut result = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            result.push(',');
        }
        result.push(digit);
    }
    result
}

/// What stands in an applied model stands further right.
fn indented(depth: usize, name: &str) -> String {
    format!("{}{name}", "  ".repeat(depth))
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["layer", "kind", "output", "parameters", "inputs"].map(str::to_owned);
        let mut rows = vec![header];
        let mut counted = HashSet::new();
        let mut open: &[String] = &[];
        for node in &self.graph.nodes {
            let common = open.iter().zip(&node.scopes).take_while(|(open, own)| open == own).count();
            for (depth, scope) in node.scopes.iter().enumerate().skip(common) {
                rows.push([indented(depth, scope), "Model".to_owned(), String::new(), String::new(), String::new()]);
            }
            open = &node.scopes;
            let parameters = &self.graph.parameters[node.parameters.clone()];
            let size = parameters.iter().map(|parameter| parameter.shape.size()).sum();
            let shared = !node.parameters.is_empty() && !counted.insert(node.parameters.start);
            let inputs: Vec<&str> = node.inputs.iter().map(|&input| self.graph.nodes[input].name.as_str()).collect();
            rows.push([
                indented(node.scopes.len(), &node.name),
                node.layer.as_ref().map_or("Input", |layer| layer.kind()).to_owned(),
                match &node.shape[..] {
                    [first, rest @ ..] if node.length_group > 0 => {
                        let rest: String = rest.iter().map(|size| format!(", {size}")).collect();
                        format!("[<={first}{rest}]")
                    }
                    _ => node.shape.to_string(),
                },
                if shared { "shared".to_owned() } else { with_commas(size) },
                inputs.join(", "),
            ]);
        }
        let mut widths = [0; 5];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = "-".repeat(widths.iter().sum::<usize>() + 8);
        writeln!(f, "model '{}'", self.name)?;
        for (position, [name, kind, shape, parameters, inputs]) in rows.iter().enumerate() {
            let [a, b, c, d, _] = widths;
            let row = format!("{name:a$}  {kind:b$}  {shape:c$}  {parameters:>d$}  {inputs}");
            writeln!(f, "{}", row.trim_end())?;
            if position == 0 {
                writeln!(f, "{line}")?;
            }
        }
        let size = |which: fn(&ParameterEntry) -> bool| -> usize {
            self.graph.parameters.iter().filter(|p| which(p)).map(|p| p.shape.size()).sum()
        };
        let (all, learning) = (size(|_| true), size(ParameterEntry::learns));
        let statistics = size(|parameter| parameter.kind == ParameterKind::Statistic);
        let frozen = match all - learning - statistics {
            0 => String::new(),
            frozen => format!("{} frozen, ", with_commas(frozen)),
        };
        let [all, learning, statistics] = [all, learning, statistics].map(with_commas);
        writeln!(f, "{line}")?;
        write!(f, "{all} parameters: {learning} trainable, {frozen}{statistics} statistics")
    }
}
