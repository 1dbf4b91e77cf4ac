//! Milliseconds per training step, Samara's and those of other frameworks, measured in turn.

use std::{collections::BTreeMap, fs, process::Command, thread};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::{paths, process, table};

/// The workloads, and the samples per step that are compared.
const CELLS: [(&str, u32); 10] = [
    ("w1", 32),
    ("w1", 128),
    ("w2", 32),
    ("w2", 128),
    ("w3", 32),
    ("w3", 128),
    ("w4", 100),
    ("w5", 32),
    ("w5", 128),
    ("w6", 128),
];

/// A framework, and how its steps are measured.
struct Framework {
    name: &'static str,
    /// The script in `benches/peers/` with its arguments; none for Samara.
    script: &'static [&'static str],
    /// The workloads that it is compared on; all if there are none.
    only: &'static [&'static str],
}

/// The frameworks, Samara first.
const FRAMEWORKS: [Framework; 4] = [
    Framework { name: "Samara", script: &[], only: &[] },
    Framework { name: "Keras on TensorFlow", script: &["keras_steps.py"], only: &[] },
    // Slower than TensorFlow on convolutions.
    Framework { name: "Keras on JAX", script: &["keras_steps.py", "--backend", "jax"], only: &["w1", "w5", "w6"] },
    Framework { name: "PyTorch", script: &["torch_steps.py"], only: &[] },
];

/// What one measurement printed.
enum Outcome {
    Steps {
        milliseconds: f64,
        parameters: u64,
        versions: String,
    },
    /// The framework is not there; how to install it.
    Missing(String),
}

impl Framework {
    /// Measures one workload, with so many threads.
    fn measure(&self, python: &str, (workload, batch): (&str, u32), threads: usize) -> Result<Outcome> {
        let cell = [workload, &batch.to_string()];
        let mut command = match self.script {
            [script, options @ ..] => {
                let mut command = Command::new(python);
                command.arg(paths::root().join("benches/peers").join(script)).args(cell).args(options);
                command.args(["--threads", &threads.to_string()]);
                command
            }
            [] => {
                let mut command = samara("run");
                command.arg("--").args(cell).arg("--json").env("RAYON_NUM_THREADS", threads.to_string());
                command
            }
        };
        let output = process::output(&mut command)?;
        parse(&output).with_context(|| format!("`{}` printed {output:?}", process::shown(&command)))
    }
}

/// A cargo command for Samara's own measurement.
fn samara(what: &str) -> Command {
    process::cargo(&[what, "--quiet", "--release", "--package", "samara-benches", "--example", "steps"])
}

/// Reads the line of JSON that a measurement prints.
fn parse(output: &str) -> Result<Outcome> {
    let line: Value = serde_json::from_str(output.trim()).context("that is no line of JSON")?;
    if let Some(command) = line["missing"].as_str() {
        return Ok(Outcome::Missing(format!("not installed: {command}")));
    }
    Ok(Outcome::Steps {
        milliseconds: line["milliseconds"].as_f64().context("there is no number `milliseconds`")?,
        parameters: line["parameters"].as_u64().context("there is no number `parameters`")?,
        versions: line["versions"].as_str().context("there is no text `versions`")?.to_owned(),
    })
}

/// One workload with one batch size.
struct Cell {
    workload: &'static str,
    batch: u32,
    /// Parameters of the net, the same for all frameworks.
    parameters: Option<u64>,
    /// Milliseconds per step of each framework, a number per round.
    rounds: BTreeMap<&'static str, Vec<f64>>,
}

impl Cell {
    fn add(&mut self, framework: &'static str, milliseconds: f64, parameters: u64) -> Result<()> {
        let expected = *self.parameters.get_or_insert(parameters);
        if parameters != expected {
            bail!("{framework}'s net for {} has {parameters} parameters, expected {expected}", self.workload);
        }
        self.rounds.entry(framework).or_default().push(milliseconds);
        Ok(())
    }

    /// The framework's median over the rounds.
    fn milliseconds(&self, framework: &str) -> Option<f64> {
        let mut rounds = self.rounds.get(framework)?.clone();
        rounds.sort_by(f64::total_cmp);
        let middle = rounds.len() / 2;
        Some(if rounds.len().is_multiple_of(2) { (rounds[middle - 1] + rounds[middle]) / 2.0 } else { rounds[middle] })
    }

    /// Samara's time in the fastest peer's.
    fn ratio(&self) -> Option<f64> {
        let [samara, peers @ ..] = &FRAMEWORKS;
        let best = peers.iter().filter_map(|peer| self.milliseconds(peer.name)).min_by(f64::total_cmp)?;
        Some(self.milliseconds(samara.name)? / best)
    }

    fn to_json(&self) -> Value {
        let medians: BTreeMap<_, _> = self.rounds.keys().map(|&name| (name, self.milliseconds(name))).collect();
        json!({
            "workload": self.workload,
            "batch": self.batch,
            "parameters": self.parameters,
            "milliseconds": medians,
            "milliseconds_by_round": self.rounds,
            "ratio_to_best_peer": self.ratio(),
        })
    }
}

/// All that was measured.
#[derive(Default)]
struct Comparison {
    cells: Vec<Cell>,
    /// The versions of each framework that ran.
    versions: BTreeMap<&'static str, String>,
    /// How to install each framework that is not there.
    missing: BTreeMap<&'static str, String>,
}

impl Comparison {
    /// Measures each cell once with each framework that it is compared on.
    fn round(&mut self, python: &str, threads: usize) -> Result<()> {
        for cell in &mut self.cells {
            let workload = cell.workload;
            for framework in
                FRAMEWORKS.iter().filter(|framework| framework.only.is_empty() || framework.only.contains(&workload))
            {
                let name = framework.name;
                if self.missing.contains_key(name) {
                    continue;
                }
                match framework.measure(python, (workload, cell.batch), threads)? {
                    Outcome::Steps { milliseconds, parameters, versions } => {
                        println!("  {workload} batch {}: {name} {milliseconds:.2} ms", cell.batch);
                        cell.add(name, milliseconds, parameters)?;
                        self.versions.insert(name, versions);
                    }
                    Outcome::Missing(how) => {
                        println!("  {name}: {how}");
                        self.missing.insert(name, how);
                    }
                }
            }
        }
        Ok(())
    }

    fn render(&self) -> String {
        let number = |number: Option<f64>| number.map(|number| format!("{number:.2}"));
        let row = |cell: &Cell| {
            let mut row = vec![cell.workload.to_owned(), cell.batch.to_string()];
            row.extend(FRAMEWORKS.iter().map(|framework| {
                let empty = if self.missing.contains_key(framework.name) { "not installed" } else { "-" };
                number(cell.milliseconds(framework.name)).unwrap_or_else(|| empty.to_owned())
            }));
            row.push(number(cell.ratio()).unwrap_or_else(|| "-".to_owned()));
            row
        };
        let mut titles = vec!["workload", "batch"];
        titles.extend(FRAMEWORKS.map(|framework| framework.name));
        titles.push("Samara to best peer");
        let mut text = table::render(&titles, &self.cells.iter().map(row).collect::<Vec<_>>());
        for (name, versions_or_how) in self.versions.iter().chain(&self.missing) {
            text += &format!("{name}: {versions_or_how}\n");
        }
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "steps": self.cells.iter().map(Cell::to_json).collect::<Vec<_>>(),
            "versions": self.versions,
            "missing": self.missing,
        })
    }
}

/// Measures Samara and the peers in turn, prints a table of the medians and writes `target/samara/peers.json`. A framework
/// that is not installed has no numbers, and a line that says so.
///
/// # Errors
/// If there is no such workload or no Python; if a measurement fails; if the frameworks' nets differ in size.
pub fn run(python: &str, workloads: &[String], rounds: u32) -> Result<()> {
    if let Some(unknown) = workloads.iter().find(|wanted| CELLS.iter().all(|cell| cell.0 != wanted.as_str())) {
        bail!("there is no workload {unknown:?}: choose one of w1, w2, w3, w4, w5, w6");
    }
    process::output(Command::new(python).arg("--version")).context("no Python: name one with --python")?;
    process::run(&mut samara("build"))?;
    let wanted = CELLS.iter().filter(|cell| workloads.is_empty() || workloads.iter().any(|name| name == cell.0));
    let cells = wanted.map(|&(workload, batch)| Cell { workload, batch, parameters: None, rounds: BTreeMap::new() });
    let mut comparison = Comparison { cells: cells.collect(), ..Comparison::default() };
    let threads = thread::available_parallelism()?.get();
    for round in 1..=rounds {
        println!("\nRound {round} of {rounds}, {threads} threads, milliseconds per step");
        comparison.round(python, threads)?;
    }
    println!("\n{}", comparison.render());
    let path = paths::artifacts("peers.json");
    fs::create_dir_all(paths::artifacts(""))?;
    fs::write(&path, format!("{:#}\n", comparison.to_json()))?;
    println!("{} written.", paths::shown(&path));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(workload: &'static str, batch: u32, rounds: &[(&'static str, &[f64])]) -> Cell {
        let rounds = rounds.iter().map(|&(name, rounds)| (name, rounds.to_vec())).collect();
        Cell { workload, batch, parameters: Some(7), rounds }
    }

    #[test]
    fn a_missing_framework_has_no_numbers_and_a_line() {
        let cells = vec![
            cell(
                "w1",
                32,
                &[("Samara", &[3.0, 1.0, 2.0]), ("PyTorch", &[8.0, 5.0, 6.0]), ("Keras on TensorFlow", &[4.0, 6.0])],
            ),
            cell("w2", 128, &[("Samara", &[1.0])]),
        ];
        let versions = BTreeMap::from([("Samara", "samara 0.1.0".to_owned())]);
        let missing = BTreeMap::from([("Keras on JAX", "not installed: pip install keras jax".to_owned())]);
        let text = Comparison { cells, versions, missing }.render();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
        let words = |line: usize| lines[line].iter().copied().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        assert_eq!(words(2), ["w1", "32", "2.00", "5.00", "not installed", "6.00", "0.40"]);
        assert_eq!(words(3), ["w2", "128", "1.00", "-", "not installed", "-", "-"]);
        assert_eq!(words(4), ["Samara: samara 0.1.0"]);
        assert_eq!(words(5), ["Keras on JAX: not installed: pip install keras jax"]);
    }

    #[test]
    fn what_measurements_print_is_read() {
        let Outcome::Missing(how) = parse("{\"missing\": \"pip install torch\"}\n").unwrap() else { panic!("it is missing") };
        assert_eq!(how, "not installed: pip install torch");
        let line = r#"{"workload": "w1", "milliseconds": 1.5, "parameters": 7, "versions": "torch 2"}"#;
        let Outcome::Steps { milliseconds, parameters, versions } = parse(line).unwrap() else { panic!("it ran") };
        assert_eq!((milliseconds, parameters, versions.as_str()), (1.5, 7, "torch 2"));
        assert!(parse("Traceback").is_err() && parse("{}").is_err());
    }

    #[test]
    fn nets_of_other_sizes_are_not_compared() {
        let mut cell = cell("w1", 32, &[]);
        cell.add("Samara", 1.0, 7).unwrap();
        let message = cell.add("PyTorch", 1.0, 8).unwrap_err().to_string();
        assert!(message.contains("PyTorch") && message.contains("8 parameters, expected 7"), "{message}");
    }
}
