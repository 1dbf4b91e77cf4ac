//! A teacher in training: an ensemble, or a larger net, whose probabilities a small net learns beside the classes.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use samara_trainer::Model;
use samara_trainer::data::Dataset;
use samara_trainer::data::sources::{Columns, Splits, Targets};
use samara_trainer::ensemble::taught;
use samara_trainer::losses::{Distillation, Loss};
use serde_json::{Value, json};

use crate::losses::LossName;
use crate::member::MemberArgument;
use crate::{names, output};

/// The arguments that say who teaches, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct TeachingArguments {
    /// Learn what this trained net says, too (distillation): an ensemble.model that `samara ensemble` wrote, or a net as that takes it
    #[arg(long, value_name = "[MODEL=]DIR|FILE", value_parser = MemberArgument::parse)]
    teacher: Option<MemberArgument>,
    /// What the teacher's and the net's probabilities are softened by, from 1 on
    #[arg(long, value_name = "NUMBER", default_value = "4", value_parser = names::positive, requires = "teacher")]
    temperature: f32,
    /// The teacher's share of the loss, from 0 to 1; the rest is that of the classes
    #[arg(long, value_name = "SHARE", default_value = "0.5", requires = "teacher")]
    alpha: f32,
}

/// What a net learns from a teacher.
pub struct Lessons {
    pub train: Dataset,
    pub validation: Dataset,
    pub loss: Arc<dyn Loss>,
}

impl TeachingArguments {
    /// Asks the teacher, if there is one, about all samples to train and to validate.
    ///
    /// # Errors
    /// If it cannot be read, does not tell the same classes apart, or does not take the samples.
    pub fn lessons(
        &self,
        model: &Model,
        splits: &Splits,
        loss: LossName,
        columns: Option<&Columns>,
    ) -> Result<Option<Lessons>> {
        let Some(argument) = &self.teacher else { return Ok(None) };
        if loss.targets() != Targets::Classes {
            bail!("--teacher teaches to tell classes apart, but --loss is {}", names::shown(loss));
        }
        let (path, teacher) = argument.read("--teacher", columns)?;
        let shown = || format!("the teacher {}", path.display());
        let shape = |model: &Model| {
            let graph = model.graph();
            graph.outputs.iter().map(|&output| graph.nodes[output].shape.to_string()).collect::<Vec<_>>().join(" and ")
        };
        let (gives, wanted) = (shape(&teacher), shape(model));
        if gives != wanted {
            bail!("{} gives {gives}, but {} gives {wanted}: a teacher tells the same classes apart", shown(), model.name());
        }
        let distillation = Distillation::new(self.temperature, self.alpha);
        let graph = model.graph();
        if let Some(&output) = graph.outputs.first()
            && let Err(reason) = distillation.target_shape(&graph.nodes[output].shape)
        {
            bail!("{reason}");
        }
        let ask = |samples: &Dataset| taught(&teacher, samples).with_context(shown);
        let (train, validation) = (ask(&splits.train)?, ask(&splits.validation)?);
        output::note(&format!(
            "{} was asked about {} samples; temperature {}, its share of the loss {}",
            shown(),
            output::thousands((train.samples() + validation.samples()) as u64),
            self.temperature,
            self.alpha
        ));
        Ok(Some(Lessons { train, validation, loss: Arc::new(distillation) }))
    }

    /// What was asked for.
    pub fn to_json(&self) -> Value {
        let of = |argument: &MemberArgument| {
            json!({
                "file": argument.path, "temperature": output::decimal(self.temperature), "alpha": output::decimal(self.alpha),
            })
        };
        self.teacher.as_ref().map_or(Value::Null, of)
    }
}
