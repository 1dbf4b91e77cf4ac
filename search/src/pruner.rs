//! Which trials are not worth going on with.

use crate::Direction;
use optimizer::Direction as TheirDirection;
use optimizer::TrialState;
use optimizer::pruner::{MedianPruner, Pruner as _, SuccessiveHalvingPruner};
use optimizer::sampler::CompletedTrial;
use std::collections::HashMap;

/// When a trial is ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pruner {
    /// Never.
    #[default]
    Off,
    /// Where it is worse than the median of the others at this step, once five have ended.
    Median,
    /// Where it is not among the best third of those that came to a rung; rungs are at steps 1, 3, 9, ... (asynchronous successive
    /// halving: Li and others, *A System for Massively Parallel Hyperparameter Tuning*, 2020).
    Halving,
    /// The same with trials in turn in brackets, whose first rungs are at steps 1, 3, 9, ... (Li and others, *Hyperband*, 2018).
    Hyperband,
}

/// Other trials before the median says anything.
const MEDIAN_TRIALS: usize = 5;
const REDUCTION: u64 = 3;

impl Pruner {
    /// Whether a trial with these values of steps should end, given those of others that ended; steps go up to `most`.
    pub(crate) fn prunes(
        self,
        direction: Direction,
        trial: u64,
        own: &[(u64, f64)],
        others: &[(u64, Vec<(u64, f64)>)],
        most: u64,
    ) -> bool {
        let Some(&(step, value)) = own.last() else {
            return false;
        };
        if value.is_nan() {
            return true;
        }
        let direction = match direction {
            Direction::Minimize => TheirDirection::Minimize,
            Direction::Maximize => TheirDirection::Maximize,
        };
        let ended = |(number, values): &(u64, Vec<(u64, f64)>)| {
            let last = values.last().map_or(f64::NAN, |last| last.1);
            let mut trial = CompletedTrial::new(*number, HashMap::new(), HashMap::new(), HashMap::new(), last);
            trial.intermediate_values.clone_from(values);
            trial.state = TrialState::Complete;
            trial
        };
        let history: Vec<CompletedTrial> = others.iter().map(ended).collect();
        let halving = |first: u64| {
            let halving = SuccessiveHalvingPruner::new().min_resource(first).max_resource(most.max(first));
            halving.reduction_factor(REDUCTION).direction(direction)
        };
        match self {
            Self::Off => false,
            Self::Median => MedianPruner::new(direction).n_min_trials(MEDIAN_TRIALS).should_prune(trial, step, own, &history),
            Self::Halving => halving(1).should_prune(trial, step, own, &history),
            Self::Hyperband => {
                let bracket = |trial: u64| trial % u64::from(most.max(1).ilog(REDUCTION) + 1);
                let own_bracket = bracket(trial);
                let first = REDUCTION.pow(own_bracket as u32);
                let own_rung = |number: &CompletedTrial| bracket(number.id) == own_bracket;
                let history: Vec<CompletedTrial> = history.into_iter().filter(own_rung).collect();
                halving(first).should_prune(trial, step, own, &history)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(count: u64) -> Vec<(u64, Vec<(u64, f64)>)> {
        (0..count)
            .map(|other| (other, (1..=9).map(|step| (step, other as f64 / 10.0 + step as f64 / 100.0)).collect()))
            .collect()
    }

    #[test]
    fn what_is_worse_than_most_ends() {
        for pruner in [Pruner::Median, Pruner::Halving, Pruner::Hyperband] {
            let prunes = |trial: u64, value: f64| pruner.prunes(Direction::Maximize, trial, &[(1, value)], &others(12), 9);
            assert!(!(12..18).any(|trial| prunes(trial, 2.0)), "{pruner:?} ends the best");
            // Not each bracket of Hyperband has a rung at the first step.
            assert!((12..18).any(|trial| prunes(trial, 0.0)), "{pruner:?} keeps the worst");
            assert!(prunes(12, f64::NAN));
        }
        assert!(!Pruner::Median.prunes(Direction::Maximize, 3, &[(1, 0.0)], &others(3), 9), "three others are no median");
        assert!(!Pruner::Off.prunes(Direction::Maximize, 12, &[(1, 0.0)], &others(12), 9));
    }
}
