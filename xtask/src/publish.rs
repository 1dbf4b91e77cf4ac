//! What users of the published crates rely on: packages that are whole, and the oldest compiler that they were promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{paths, process, stages::Tally};

/// Each package holds these.
const FILES: [&str; 5] = ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"];
/// What users read about a package before they take it.
const FIELDS: [&str; 6] = ["description", "license", "readme", "rust_version", "keywords", "categories"];
/// No package is larger, compressed, trained nets included.
const MOST_BYTES: u64 = 10_000_000;

/// What cargo knows of the workspace's packages.
///
/// # Errors
/// If cargo fails.
pub fn packages() -> Result<Vec<Value>> {
    let metadata = process::output(&mut process::cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    Ok(metadata["packages"].as_array().cloned().unwrap_or_default())
}

/// Those that are published; the others have an empty list of places to publish to.
fn published() -> Result<Vec<Value>> {
    Ok(packages()?.into_iter().filter(|package| package["publish"].is_null()).collect())
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Packs the published crates, and compiles each by the oldest compiler that it declares.
///
/// # Errors
/// If cargo does not know the packages.
pub fn check(tally: &mut Tally) -> Result<()> {
    let published = published()?;
    tally.check("packages of the published crates", |_| pack(&published));
    let mut by_compiler: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &published {
        by_compiler.entry(text(package, "rust_version")).or_default().push(text(package, "name"));
    }
    for (version, crates) in by_compiler {
        let what = format!("Rust {version} compiles {}", crates.join(", "));
        match toolchain(version) {
            Ok(()) => tally.check(&what, |_| compile(version, &crates)),
            Err(reason) => tally.skip(&what, &format!("{reason:#}")),
        }
    }
    Ok(())
}

/// Packs all together, since each needs the others, which are in no registry; offline, since all else was built before.
fn pack(published: &[Value]) -> Result<()> {
    let selected = published.iter().flat_map(|package| ["--package", text(package, "name")]);
    let mut pack = process::cargo(&["package", "--quiet", "--no-verify", "--allow-dirty", "--offline"]);
    process::run(pack.args(selected))?;
    for package in published {
        let (name, version) = (text(package, "name"), text(package, "version"));
        let empty = |field: &&&str| match &package[**field] {
            Value::Array(words) => words.is_empty(),
            value => value.as_str().is_none_or(str::is_empty),
        };
        if let Some(field) = FIELDS.iter().find(empty) {
            bail!("{name} declares no {}", field.replace('_', "-"));
        }
        let list =
            process::output(&mut process::cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", name]))?;
        let list: BTreeSet<&str> = list.lines().collect();
        if let Some(file) = FILES.iter().find(|&&file| !list.contains(file)) {
            bail!("the package of {name} holds no {file}");
        }
        let path = paths::root().join("target/package").join(format!("{name}-{version}.crate"));
        let bytes = fs::metadata(&path).with_context(|| format!("cargo made no {}", paths::shown(&path)))?.len();
        if bytes > MOST_BYTES {
            bail!("the package of {name} has {bytes} bytes, expected at most {MOST_BYTES}");
        }
        println!("  {name}: {} files, {} KB", list.len(), bytes / 1000);
    }
    Ok(())
}

/// Adds a toolchain, unless it is there.
fn toolchain(version: &str) -> Result<()> {
    if process::starts(Command::new("rustup").args(["run", version, "rustc"])) {
        return Ok(());
    }
    let mut install = Command::new("rustup");
    process::run(install.args(["toolchain", "install", version, "--profile", "minimal", "--no-self-update"]))
        .with_context(|| format!("the toolchain {version} is missing, and cannot be added"))
}

/// Each compiler has a target directory of its own, or it would undo what the others made.
fn compile(version: &str, crates: &[&str]) -> Result<()> {
    let mut check = process::cargo_of(version);
    check.args(["check", "--quiet", "--all-features", "--target-dir"]);
    check.arg(paths::artifacts("rust").join(version));
    process::run(check.args(crates.iter().flat_map(|name| ["--package", name])))
}
