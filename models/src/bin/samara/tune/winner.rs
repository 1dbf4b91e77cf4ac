//! What a search found: trained again, measured, written, told.

use std::path::Path;

use anyhow::Result;
use samara_search::{Direction, State, Study, Trial};
use samara_trainer::data::Dataset;
use serde_json::{Value, json};

use super::{Tuning, nets};
use crate::losses::Measured;
use crate::{convert, cost, device, files, names, output, task, train};

impl Tuning {
    /// Trains a trial again, and writes and says all of it.
    pub(super) fn finish(&self, study: &mut Study, trial: &Trial, out: &Path, is_json: bool) -> Result<()> {
        let (mut model, recipe) = self.build(&trial.parameters)?;
        let in_f32 = self.fit(&mut model, &recipe, trial.seed(), None)?;
        let again = if recipe.is_measured_as_file { self.value_of_file(&model, &recipe)? } else { in_f32 };
        let before = trial.values.first().copied();
        if before.is_some_and(|before| before != again) {
            output::note(&format!(
                "trained again, trial {} came to {again}, not to {before:?}: the data or the program is another",
                trial.number
            ));
        }
        let measured = |data: &Dataset| -> Result<Measured> { Measured::by_trainer(&model.evaluate(data)?) };
        let (held_out, test) = (measured(&self.data.held_out)?, measured(&self.data.splits.test)?);
        let samples = train::calibration_samples(&self.data.train, train::CALIBRATION_SAMPLES);
        let golden = convert::Golden::default();
        let file = convert::to_int8(&model, &samples, recipe.numbers.options(), convert::Pace::default(), golden)?;
        let int8 = device::measure(&file, &self.data.splits.test, &*self.loss)?;
        let directory = out;
        let out = |name: &str| directory.join(name);
        let mut table = self.template.fill(&trial.parameters)?;
        let recipe_text = table.remove("train").map(|train| train.to_string()).unwrap_or_default();
        files::write(&out("model.toml"), table.to_string().as_bytes())?;
        match &self.data.columns {
            Some(columns) => task::save_columns(columns, directory)?,
            None => files::remove(&out(task::COLUMNS))?,
        }
        model.save_weights(out(train::WEIGHTS))?;
        files::write(&out(nets::WINNER), file.bytes())?;
        let trials = study.trials()?;
        let front = if self.plan.minimize.is_empty() { Vec::new() } else { study.front()? };
        if !front.is_empty() {
            files::write(&out("front.csv"), self.front_csv(&front).as_bytes())?;
        }
        self.write_nets(directory, trial, &front)?;
        let count = |state: State| trials.iter().filter(|trial| trial.state == state).count();
        let (what, held_out_shown) = held_out.shown();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let facts = [
            fact(&format!("{} of trial {}", self.objective(), trial.number), format!("{again:.4}")),
            fact(&format!("{what} on samples that took no part"), held_out_shown.clone()),
            fact(&format!("{} test {what}", names::shown(recipe.numbers)), int8.shown().1),
            fact("bytes of the arena", output::thousands(file.model()?.arena_bytes() as u64)),
            fact("bytes of the file", output::thousands(file.bytes().len() as u64)),
            fact("trials complete", count(State::Complete).to_string()),
            fact("ended early", count(State::Pruned).to_string()),
            fact("failed", count(State::Fail).to_string()),
        ];
        files::write(&out("report.html"), self.report(study, trial, &facts)?.as_bytes())?;
        let mut parameters: Vec<_> = trial.parameters.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        if is_json {
            return output::print_json(&json!({
                "trial": trial.number, "seed": trial.seed(), "parameters": trial.parameters, "train": recipe_text,
                "objective": self.objective(), "validation": again, "held_out_accuracy": held_out.accuracy, "held_out_loss": held_out.loss,
                "test_accuracy": test.accuracy, "test_loss": test.loss, "int8_accuracy": int8.accuracy, "int8_loss": int8.loss,
                "arena_bytes": file.model()?.arena_bytes(), "model_bytes": file.bytes().len(),
                "trials": trials.len(), "complete": count(State::Complete), "pruned": count(State::Pruned), "failed": count(State::Fail),
                "front": front.iter().map(|trial| trial.number).collect::<Vec<_>>(),
            }));
        }
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut rows = vec![row("seed", trial.seed().to_string())];
        rows.extend(parameters.iter().map(|(name, value)| row(name, plain(value))));
        rows.extend([
            row(self.objective(), format!("{again:.4}")),
            row(&format!("held out {what}"), held_out_shown),
            row(&format!("test {what}"), test.shown().1),
            row(&format!("{} test {what}", names::shown(recipe.numbers)), int8.shown().1),
            row("instructions, about", output::thousands(cost::instructions(&file))),
            row("arena bytes", output::thousands(file.model()?.arena_bytes() as u64)),
            row("model bytes", output::thousands(file.bytes().len() as u64)),
        ]);
        output::print(&output::table(&[&format!("trial {}", trial.number), ""], &rows))?;
        if !front.is_empty() {
            output::print(&format!(
                "\nbeaten by nobody in {} and {}:\n{}",
                self.objective(),
                self.minimized().join(", "),
                self.front_table(&front)
            ))?;
        }
        let fooled = match (held_out.accuracy, self.direction()) {
            (Some(held_out), Direction::Maximize) => again - f64::from(held_out as f32),
            _ => held_out.loss - again,
        };
        output::note(&format!(
            "{} trials: {} complete, {} ended early, {} failed. By choosing the best, validation looks better than samples that took no part by {fooled:.4}. \
             Written: model.toml, model.samara, report.html and {} in {}",
            trials.len(),
            count(State::Complete),
            count(State::Pruned),
            count(State::Fail),
            train::WEIGHTS,
            directory.display()
        ));
        Ok(())
    }

    fn minimized(&self) -> Vec<String> {
        self.plan.minimize.iter().map(|cost| names::shown(*cost)).collect()
    }

    /// The trials that none beats, the best first: their values.
    fn front_table(&self, front: &[Trial]) -> String {
        let costs = self.minimized();
        let titles: Vec<&str> = ["trial", self.objective()].into_iter().chain(costs.iter().map(String::as_str)).collect();
        let row = |trial: &Trial| {
            let (value, costs) = trial.values.split_first().map_or((f64::NAN, &[][..]), |(value, costs)| (*value, costs));
            let costs = costs.iter().map(|cost| output::thousands(*cost as u64));
            [trial.number.to_string(), format!("{value:.4}")].into_iter().chain(costs).collect()
        };
        output::table(&titles, &front.iter().map(row).collect::<Vec<Vec<String>>>())
    }

    /// The same with all parameters, for other programs.
    fn front_csv(&self, front: &[Trial]) -> String {
        let parameters: Vec<&str> =
            self.template.space().parameters().iter().map(|parameter| parameter.name.as_str()).collect();
        let head = ["trial", self.objective()].map(str::to_owned).into_iter().chain(self.minimized());
        let head: Vec<String> = head.chain(parameters.iter().map(|name| quoted(name))).collect();
        let mut text = head.join(",") + "\n";
        for trial in front {
            let values = trial.values.iter().map(f64::to_string);
            let chosen = parameters
                .iter()
                .map(|name| trial.parameters.get(*name).map_or_else(String::new, |value| quoted(&plain(value))));
            let cells: Vec<String> = [trial.number.to_string()].into_iter().chain(values).chain(chosen).collect();
            text += &(cells.join(",") + "\n");
        }
        text
    }
}

/// A value as people write it.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A cell of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(["a b", "a,b", "a\"b"].map(quoted), ["a b", "\"a,b\"", "\"a\"\"b\""]);
        assert_eq!(
            (plain(&json!("relu")), plain(&json!(0.5)), plain(&json!(true))),
            ("relu".into(), "0.5".into(), "true".into())
        );
    }
}
