//! How much of the differences between trials a parameter explains alone.

use crate::database::Record;
use crate::{Distribution, Value};

/// Groups that the values of a number fall into.
const GROUPS: usize = 5;
/// Trials below which nothing is said.
const LEAST: usize = 10;

/// The part of the losses' variance that lies between groups of trials with about the same value of a parameter (omega squared: Hays, *Statistics*,
/// 1963; what chance gives is taken off): 0 of one that does not matter alone, 1 of one that decides all. Trials that do not have the parameter are a
/// group, too. A parameter that matters only together with another one is not seen.
///
/// `None` with too few trials.
pub(crate) fn of(name: &str, trials: &[(&Record, f64)]) -> Option<f64> {
    if trials.len() < LEAST {
        return None;
    }
    let number = |record: &Record| record.parameters.get(name).map(|(value, _)| Distribution::number(value));
    let is_choice = trials.iter().any(|(record, _)| matches!(record.parameters.get(name), Some((Value::Choice(_), _))));
    let mut sorted: Vec<(Option<f64>, f64)> = trials.iter().map(|(record, loss)| (number(record), *loss)).collect();
    sorted.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
    let with = sorted.iter().filter(|(number, _)| number.is_some()).count();
    let most = with.div_ceil(GROUPS).max(1);
    // Equal values stay together.
    let mut groups: Vec<(Option<f64>, Vec<f64>)> = Vec::new();
    for (number, loss) in sorted {
        match groups.last_mut() {
            Some((last, group)) if *last == number || (!is_choice && last.is_some() && group.len() < most) => {
                *last = number;
                group.push(loss);
            }
            _ => groups.push((number, vec![loss])),
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let all: Vec<f64> = trials.iter().map(|(_, loss)| *loss).collect();
    let middle = mean(&all);
    let total: f64 = all.iter().map(|loss| (loss - middle).powi(2)).sum();
    let between: f64 = groups.iter().map(|(_, group)| group.len() as f64 * (mean(group) - middle).powi(2)).sum();
    let free = (groups.len() - 1) as f64;
    let left = all.len() as f64 - groups.len() as f64;
    if total <= 0.0 || left <= 0.0 {
        return Some(0.0);
    }
    let chance = (total - between) / left;
    Some(((between - free * chance) / (total + chance)).clamp(0.0, 1.0))
}
