//! What to try next.
//!
//! Each parameter is asked for alone, with the history of that parameter: so parameters that are there only sometimes, and ones whose
//! ranges happen to be equal, are never taken for each other. Random numbers follow from seed, trial and parameter, so a study that was
//! interrupted goes on as it would have.

use crate::parzen::{self, Scale};
use crate::random::{Random, mix};
use crate::{Distribution, Value};
use std::collections::HashMap;

/// How the next trial is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sampler {
    /// Without memory.
    Random,
    /// All combinations, the last parameter fastest; real numbers without a step at five places.
    Grid,
    /// Tree-structured Parzen estimators: where good trials are dense and bad ones are not. Trials that still run count as bad ones, so
    /// that workers do not try the same.
    #[default]
    Tpe,
    /// A Gaussian process over whole trials: where it expects the most. For few trials of few parameters that work together.
    Gaussian,
    /// An evolution strategy whose normal distribution goes where the better half of a generation was, and takes its shape. For hundreds of trials of
    /// numbers that work together; choices, and what is not always there, are left to chance.
    CmaEs,
}

/// Places of a real number in a grid.
const GRID_PLACES: u64 = 5;
/// What a trial found, as a sampler sees it: small is good.
#[derive(Debug, Clone)]
pub(crate) struct Past<'a> {
    pub parameters: &'a HashMap<String, (Value, Distribution)>,
    /// None of one that still runs, or ended without.
    pub value: Option<f64>,
    /// Whether it kept within all limits.
    pub is_feasible: bool,
}

/// Of one draw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub seed: u64,
    /// The trial's number, and the how manieth candidate for it this is.
    pub trial: u64,
    pub candidate: u64,
}

impl Sampler {
    /// How many combinations a grid has of these parameters.
    pub(crate) fn places(distribution: &Distribution) -> u64 {
        match distribution {
            Distribution::Float { low, high, step: Some(step), .. } => ((high - low) / step) as u64 + 1,
            Distribution::Float { .. } => GRID_PLACES,
            Distribution::Integer { low, high, step, .. } => ((high - low) / step) as u64 + 1,
            Distribution::Choice(choices) => choices.len() as u64,
        }
    }

    /// A value for a parameter. `place` is that of a grid; `history` may be in any order.
    pub(crate) fn draw(self, draw: Draw, name: &str, distribution: &Distribution, place: u64, history: &[Past<'_>]) -> Value {
        let mut random = Random::new(mix(&[draw.seed, draw.trial, draw.candidate], name));
        let finished = history.iter().filter(|past| past.value.is_some()).count();
        match self {
            Self::Grid => at_place(distribution, place),
            Self::Tpe if finished >= parzen::STARTUP => {
                let (good, others) = split(name, distribution, history, parzen::good_count(finished));
                parzen::draw(distribution, &good, &others, &mut random)
            }
            // Whole trials are drawn at random, and chosen from, or numbers together: `Study::draw`.
            Self::Random | Self::Tpe | Self::Gaussian | Self::CmaEs => {
                let scale = Scale::of(distribution);
                scale.value(scale.low + random.uniform() * (scale.high - scale.low))
            }
        }
    }
}

/// The parameter's values in good trials and in others. What still runs, ended without a value or did not keep within limits is worse
/// than all else.
fn split(name: &str, distribution: &Distribution, history: &[Past<'_>], good: usize) -> (Vec<f64>, Vec<f64>) {
    let loss = |past: &Past<'_>| past.value.filter(|value| past.is_feasible && !value.is_nan()).unwrap_or(f64::INFINITY);
    let mut order: Vec<&Past<'_>> = history.iter().collect();
    order.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
    let own = |past: &&Past<'_>| {
        let number = Distribution::number(&past.parameters.get(name)?.0);
        distribution.value(number).map(|_| number)
    };
    let (good, others) = order.split_at(good);
    (good.iter().filter_map(own).collect(), others.iter().filter_map(own).collect())
}

/// One of a grid's places.
fn at_place(distribution: &Distribution, place: u64) -> Value {
    match *distribution {
        Distribution::Float { low, step: Some(step), .. } => Value::Float(low + place as f64 * step),
        Distribution::Float { low, high, log, .. } => {
            let part = place as f64 / (GRID_PLACES - 1) as f64;
            let value = if log { low * (high / low).powf(part) } else { low + (high - low) * part };
            Value::Float(value.clamp(low, high))
        }
        Distribution::Integer { low, step, .. } => Value::Integer(low + place as i64 * step),
        Distribution::Choice(_) => Value::Choice(place as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_grid_has_all_places() {
        let log = Distribution::Float { low: 1e-4, high: 1.0, log: true, step: None };
        let places: Vec<Value> = (0..5).map(|place| at_place(&log, place)).collect();
        let expected = [1e-4, 1e-3, 1e-2, 1e-1, 1.0];
        for (found, expected) in places.iter().zip(expected) {
            assert!(matches!(found, Value::Float(found) if (found / expected - 1.0).abs() < 1e-9));
        }
        let integer = Distribution::Integer { low: 8, high: 56, log: false, step: 8 };
        assert_eq!((Sampler::places(&integer), at_place(&integer, 6)), (7, Value::Integer(56)));
    }

    #[test]
    fn draws_are_within_and_the_same_again() {
        let distributions = [
            Distribution::Float { low: 0.1, high: 0.7, log: true, step: None },
            Distribution::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) },
            Distribution::Integer { low: 1, high: 9, log: true, step: 1 },
            Distribution::Integer { low: 8, high: 56, log: false, step: 8 },
            Distribution::Choice(vec![json!("a"), json!("b")]),
        ];
        for distribution in distributions {
            let parameters: Vec<_> = (0..30)
                .map(|trial| {
                    let value = Sampler::Random.draw(Draw { seed: 1, trial, candidate: 0 }, "x", &distribution, 0, &[]);
                    HashMap::from([("x".to_owned(), (value, distribution.clone()))])
                })
                .collect();
            let history: Vec<Past<'_>> = parameters
                .iter()
                .map(|parameters| Past { parameters, value: Some(Distribution::number(&parameters["x"].0)), is_feasible: true })
                .collect();
            for sampler in [Sampler::Random, Sampler::Tpe] {
                for trial in 0..50 {
                    let draw = Draw { seed: 2, trial, candidate: 0 };
                    let drawn = sampler.draw(draw, "x", &distribution, 0, &history);
                    assert!(distribution.value(Distribution::number(&drawn)).is_some(), "{drawn:?} of {distribution}");
                    if let (Value::Integer(value), Distribution::Integer { low, step, .. }) = (&drawn, &distribution) {
                        assert_eq!((value - low) % step, 0);
                    }
                    assert_eq!(drawn, sampler.draw(draw, "x", &distribution, 0, &history));
                }
            }
        }
    }

    /// Two parameters with one range: the good values of one are not those of the other.
    #[test]
    fn parameters_of_equal_ranges_are_not_confused() {
        let range = Distribution::Float { low: 0.0, high: 1.0, log: false, step: None };
        let parameters: Vec<_> = (0..60)
            .map(|trial| {
                let draw = |name: &str| Sampler::Random.draw(Draw { seed: 3, trial, candidate: 0 }, name, &range, 0, &[]);
                HashMap::from(["x", "y"].map(|name| (name.to_owned(), (draw(name), range.clone()))))
            })
            .collect();
        let number =
            |parameters: &HashMap<String, (Value, Distribution)>, name: &str| Distribution::number(&parameters[name].0);
        let loss = |parameters: &HashMap<_, _>| (number(parameters, "x") - 0.1).abs() + (number(parameters, "y") - 0.9).abs();
        let history: Vec<Past<'_>> =
            parameters.iter().map(|parameters| Past { parameters, value: Some(loss(parameters)), is_feasible: true }).collect();
        let mean = |name: &str| {
            let draw = |trial| Sampler::Tpe.draw(Draw { seed: 4, trial, candidate: 0 }, name, &range, 0, &history);
            (0..40).map(|trial| Distribution::number(&draw(trial))).sum::<f64>() / 40.0
        };
        assert!(mean("x") < 0.35 && mean("y") > 0.65, "{} and {}", mean("x"), mean("y"));
    }
}
