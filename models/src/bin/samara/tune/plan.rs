//! What a search tries, and within which limits: what all its workers are told.

use anyhow::{Context, Result};
use clap::{Args, FromArgMatches, ValueEnum};
use samara_search::{Options, Pruner, Sampler};

use super::cost::Cost;
use crate::losses::LossName;
use crate::names;
use crate::task::TableArguments;

/// The part of the arguments that a study keeps.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// What training makes small; accuracy is searched for where it tells classes apart, else the loss itself [default: as for `samara train`]
    #[arg(long, value_enum)]
    pub loss: Option<LossName>,
    #[command(flatten)]
    pub table: TableArguments,
    /// Trials of the study, those of earlier calls included
    #[arg(long, default_value = "20", value_parser = names::count)]
    pub trials: usize,
    /// What is tried next
    #[arg(long, value_enum, default_value = "tpe")]
    sampler: SamplerName,
    /// Which trials end early [default: halving; off with --minimize, since who is small need not be good early]
    #[arg(long, value_enum)]
    pruner: Option<PrunerName>,
    /// Where random numbers come from: the same seed gives the same study, if one process works on it
    #[arg(long, default_value = "1")]
    seed: u64,
    /// Make these small, too, and print who is beaten by nobody (the Pareto front): ram, flash, macs, instructions, training-ram
    #[arg(long, value_enum, value_delimiter = ',', value_name = "COST")]
    pub minimize: Vec<Cost>,
    /// Try only nets whose arena in int8 is not larger, such as 32k
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_ram: Option<usize>,
    /// Try only nets whose file is not larger, such as 64k
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_flash: Option<usize>,
    /// Try only nets of at most so many multiply-accumulates, such as 500k (of 1,000 each)
    #[arg(long, value_name = "N", value_parser = names::amount)]
    max_macs: Option<u64>,
    /// Try only nets that take about so many instructions on a Cortex-M4F at most, such as 1.9M (docs/tune.md says how far the estimate is off)
    #[arg(long, value_name = "N", value_parser = names::amount)]
    max_instructions: Option<u64>,
    /// Try only nets of which a device can learn in so many bytes beside the arena, in the cheapest way that `samara budget` lists
    #[arg(long, value_name = "BYTES", value_parser = names::bytes)]
    max_training_ram: Option<usize>,
}

/// [`Sampler`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SamplerName {
    /// Without memory
    Random,
    /// All combinations in turn
    Grid,
    /// Tree-structured Parzen estimators
    Tpe,
    /// A Gaussian process over whole trials
    Gaussian,
    /// CMA-ES, an evolution strategy: for hundreds of trials of numbers; choices, and what is not always there, are left to chance
    CmaEs,
}

/// [`Pruner`] by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrunerName {
    /// None
    Off,
    /// Those below the median
    Median,
    /// All but the best third at epochs 1, 3, 9, ... (asynchronous successive halving)
    Halving,
    /// The same in brackets
    Hyperband,
}

impl Plan {
    /// Of a study whose trials have so many epochs at most.
    pub fn options(&self, epochs: u64) -> Options {
        let usual = if self.minimize.is_empty() { PrunerName::Halving } else { PrunerName::Off };
        Options {
            sampler: match self.sampler {
                SamplerName::Random => Sampler::Random,
                SamplerName::Grid => Sampler::Grid,
                SamplerName::Tpe => Sampler::Tpe,
                SamplerName::Gaussian => Sampler::Gaussian,
                SamplerName::CmaEs => Sampler::CmaEs,
            },
            pruner: match self.pruner.unwrap_or(usual) {
                PrunerName::Off => Pruner::Off,
                PrunerName::Median => Pruner::Median,
                PrunerName::Halving => Pruner::Halving,
                PrunerName::Hyperband => Pruner::Hyperband,
            },
            seed: self.seed,
            steps: epochs,
            ..Options::default()
        }
    }

    /// The largest value of a cost that is tried.
    pub fn limit(&self, cost: Cost) -> Option<u64> {
        let bytes = |limit: Option<usize>| limit.map(|limit| limit as u64);
        match cost {
            Cost::Ram => bytes(self.max_ram),
            Cost::Flash => bytes(self.max_flash),
            Cost::Macs => self.max_macs,
            Cost::Instructions => self.max_instructions,
            Cost::TrainingRam => bytes(self.max_training_ram),
        }
    }

    /// Whether a cost matters.
    pub fn wants(&self, cost: Cost) -> bool {
        self.limit(cost).is_some() || self.minimize.contains(&cost)
    }

    /// As the command takes it.
    pub fn to_arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |name: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [format!("--{name}"), value]));
        };
        add("loss", self.loss.map(names::shown));
        add("trials", Some(self.trials.to_string()));
        add("sampler", Some(names::shown(self.sampler)));
        add("pruner", self.pruner.map(names::shown));
        add("seed", Some(self.seed.to_string()));
        for cost in &self.minimize {
            add("minimize", Some(names::shown(*cost)));
        }
        for cost in Cost::value_variants() {
            add(&format!("max-{}", names::shown(*cost)), self.limit(*cost).map(|limit| limit.to_string()));
        }
        arguments.extend(self.table.to_arguments());
        arguments
    }

    /// What [`to_arguments`](Self::to_arguments) gave.
    ///
    /// # Errors
    /// If it is not of this version.
    pub fn from_arguments(arguments: &[String]) -> Result<Self> {
        let command = Self::augment_args(clap::Command::new("plan").no_binary_name(true));
        let matches = command.try_get_matches_from(arguments).map_err(|error| {
            let text = error.to_string();
            anyhow::anyhow!("{}", text.lines().next().unwrap_or_default())
        })?;
        Self::from_arg_matches(&matches).context("a plan")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_told_the_whole_plan() {
        let given = [
            "--loss",
            "mean-squared-error",
            "--trials",
            "7",
            "--sampler",
            "random",
            "--pruner",
            "median",
            "--seed",
            "9",
            "--minimize",
            "flash",
            "--minimize",
            "training-ram",
            "--max-ram",
            "32768",
            "--max-flash",
            "65536",
            "--max-macs",
            "500000",
            "--max-instructions",
            "2000000",
            "--max-training-ram",
            "1024",
            "--target",
            "y",
            "--category",
            "a",
            "--category",
            "b",
            "--leave-out",
            "c",
        ];
        let given = given.map(str::to_owned);
        let plan = Plan::from_arguments(&given).unwrap();
        assert_eq!(plan.to_arguments(), given);
        let short = ["--max-ram", "32k", "--max-instructions", "2M", "--minimize", "ram,macs"].map(str::to_owned);
        let short = Plan::from_arguments(&short).unwrap();
        assert_eq!((short.limit(Cost::Ram), short.limit(Cost::Instructions)), (Some(32768), Some(2_000_000)));
        assert_eq!((short.minimize.len(), short.options(5).pruner, short.options(5).steps), (2, Pruner::Off, 5));
        let other = Plan::from_arguments(&["--colour".to_owned(), "red".to_owned()]).unwrap_err().to_string();
        assert!(other.contains("--colour"), "{other}");
    }
}
