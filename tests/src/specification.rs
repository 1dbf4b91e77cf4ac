//! The table of ops in docs/format.md, from the registry. `cargo run -p samara-tests --example op_table` writes it.

use samara_runtime::{
    OpDef,
    format::{
        cursor::Cursor,
        writer::{ModelFile, NodeRecord},
    },
    op::Alias,
};
use samara_trainer::device::ops::ALL_DEVICE_OPS;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

const HEAD: &str = "| code | name | inputs | parameters | |\n|---|---|---|---|---|\n";

/// Where the specification lies.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md")
}

/// The specification `text` with the table of today's ops.
///
/// # Errors
/// If it has no table, or the table has a code that is another op's today or none's: files in the field have these codes.
pub fn with_table(text: &str) -> Result<String, String> {
    let (before, rest) = text.split_once(HEAD).ok_or("the specification has no table of ops")?;
    let (found, after) = rest.split_once("\n\n").ok_or("the table of ops has no end")?;
    let rows = rows();
    for row in found.lines() {
        let key = |row: &str| row.split('|').take(3).collect::<Vec<_>>().join("|");
        if !rows.iter().any(|ours| key(ours) == key(row)) {
            return Err(format!("{row:?} is in the table of released ops; codes and names never change"));
        }
    }
    Ok(format!("{before}{HEAD}{}\n\n{after}", rows.join("\n")))
}

/// The rows, by code.
fn rows() -> Vec<String> {
    let mut rows: Vec<(u8, String)> = ALL_DEVICE_OPS
        .iter()
        .flat_map(|kind| kind.encodings.iter().map(|encoding| (encoding.op, inputs(encoding.op), encoding.parameters)))
        .map(|(op, inputs, parameters)| {
            (op.code, format!("| {} | `{}` | {inputs} | {parameters} |{} |", op.code, op.name, place(op)))
        })
        .collect();
    rows.sort();
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Every node of the examples that is `op`.
fn nodes(op: &OpDef) -> Vec<(ModelFile, NodeRecord)> {
    let files = crate::examples::all().into_iter().map(|small| small.file);
    let of = |file: ModelFile| {
        let nodes: Vec<NodeRecord> = file.nodes.iter().filter(|node| node.code == u16::from(op.code)).cloned().collect();
        nodes.into_iter().map(move |node| (file.clone(), node))
    };
    files.flat_map(of).collect()
}

/// Where the output may lie, as far as the examples tell.
fn place(op: &OpDef) -> &'static str {
    let alias = |(file, node): &(ModelFile, NodeRecord)| {
        let [input, output] = [node.inputs[0], node.output].map(|tensor| &file.tensors[tensor as usize]);
        (op.alias)(input, output, Cursor::new(&node.parameters))
    };
    let all: Vec<Alias> = nodes(op).iter().map(alias).collect();
    let overlapping = all.iter().filter(|alias| matches!(alias, Alias::Overlap { .. })).count();
    match all.first() {
        Some(Alias::InPlace(0)) => " in place",
        Some(Alias::InPlace(_)) => " in place on either",
        Some(_) if overlapping == all.len() => " overlap",
        Some(_) if overlapping > 0 => " some overlap",
        _ => "",
    }
}

/// Number of inputs, as far as the examples tell: `any` where they differ. And the types, where these differ.
fn inputs(op: &OpDef) -> String {
    let mut found = BTreeSet::new();
    for (file, node) in nodes(op) {
        let name = |tensor: u32| file.tensors[tensor as usize].element_type.name();
        let types = (name(node.inputs[0]), name(node.output));
        let types = match types {
            ("i32", _) => " i32".to_owned(), // the output is of either type
            (input, output) if input == output => String::new(),
            (input, output) => format!(" {input}, output {output}"),
        };
        found.insert(format!("{}{types}", node.inputs.len()));
    }
    match found.len() {
        1 => found.pop_first().unwrap_or_default(),
        _ => "any".to_owned(),
    }
}
