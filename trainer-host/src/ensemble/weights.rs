//! Weights for a mean of members, by Nelder and Mead's simplex (1965), which needs no gradient: accuracy has none.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor};
use argmin::solver::neldermead::NelderMead;

use super::{EnsembleError, Opinions};
use crate::error::Result;

/// Steps of a round of the search for each member.
const STEPS: u64 = 100;
/// How far the corners of a round's first simplex lie from the best weights so far.
const ROUNDS: [f64; 4] = [0.5, 0.25, 0.4, 0.1];
/// What cross-entropy counts beside the share of errors.
const SLOPE: f64 = 0.1;
/// The search ends where the costs of the simplex's corners differ by less.
const TOLERANCE: f64 = 1e-7;

/// How good some weights are: fewer errors before all, less cross-entropy among equals.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Badness {
    errors: f64,
    cross_entropy: f64,
}

/// The search, which remembers the best weights that it met.
struct Search<'a> {
    opinions: &'a Opinions,
    best: &'a RefCell<(Badness, Vec<f32>)>,
}

impl Search<'_> {
    fn judge(opinions: &Opinions, weights: &[f32]) -> Badness {
        let mean = opinions.mean(weights);
        Badness { errors: 1.0 - opinions.accuracy(&mean), cross_entropy: opinions.cross_entropy(&mean) }
    }
}

impl CostFunction for Search<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    /// The share of errors has steps, on which a simplex stands still; cross-entropy gives them a slope.
    fn cost(&self, point: &Self::Param) -> std::result::Result<f64, Error> {
        let weights = on_simplex(point);
        let badness = Self::judge(self.opinions, &weights);
        let mut best = self.best.borrow_mut();
        if badness < best.0 {
            *best = (badness, weights);
        }
        Ok(badness.errors + SLOPE * badness.cross_entropy)
    }
}

/// The weights of a point, which has those of all members but the last: negative ones count as 0, and all are 1 together.
fn on_simplex(point: &[f64]) -> Vec<f32> {
    let last = 1.0 - point.iter().sum::<f64>();
    let positive: Vec<f64> =
        point.iter().copied().chain([last]).map(|weight| if weight > 0.0 { weight } else { 0.0 }).collect();
    let sum: f64 = positive.iter().sum();
    positive.iter().map(|weight| (weight / sum) as f32).collect()
}

/// Weights from 0 on, 1 together, for the members' mean that gets most samples right. The search begins at the plain mean, and
/// again where it ended, since a simplex comes to rest on steps. What it gives is at least as good on these samples as the plain mean; they
/// should be none that members were trained on, and on others it may be worse.
///
/// # Errors
/// [`EnsembleError::Search`] if the search fails, which it does not in practice.
pub fn find_weights(opinions: &Opinions) -> Result<Vec<f32>> {
    let plain = opinions.plain_weights();
    let best = RefCell::new((Search::judge(opinions, &plain), plain));
    let free = opinions.members() - 1;
    let failed = |error: Error| EnsembleError::Search { reason: error.to_string() };
    for far in ROUNDS {
        let start: Vec<f64> = best.borrow().1.iter().take(free).map(|&weight| f64::from(weight)).collect();
        let moved = |member: usize| {
            let mut corner = start.clone();
            corner[member] += if corner[member] > 0.5 { -far } else { far };
            corner
        };
        let corners = (0..free).map(moved).chain([start.clone()]).collect();
        let solver = NelderMead::new(corners).with_sd_tolerance(TOLERANCE).map_err(failed)?;
        let search = Search { opinions, best: &best };
        let steps = STEPS * opinions.members() as u64;
        Executor::new(search, solver).configure(|state| state.max_iters(steps)).timer(false).run().map_err(failed)?;
    }
    Ok(best.into_inner().1)
}

#[cfg(test)]
mod tests {
    use super::super::opinions::tests::three;
    use super::*;

    #[test]
    fn points_become_weights() {
        assert_eq!(on_simplex(&[0.25, 0.25]), [0.25, 0.25, 0.5]);
        assert_eq!(on_simplex(&[0.5, 1.0]), [1.0 / 3.0, 2.0 / 3.0, 0.0]);
        assert_eq!(on_simplex(&[-3.0, 0.5]), [0.0, 0.5 / 4.0, 3.5 / 4.0]);
    }

    #[test]
    fn weights_that_get_all_right_are_found() {
        // First classes are 0.625, 0.35 and 0.475 by the plain mean, which is wrong about the last; a weight of the second from 6/11 to 9/13
        // is right about all, and the larger it is, the surer is the mean.
        let of = |first: [f32; 3]| first.iter().flat_map(|&p| [p, 1.0 - p]).collect::<Vec<f32>>();
        let members = vec![("a", of([0.95, 0.6, 0.2])), ("b", of([0.3, 0.1, 0.75]))];
        let opinions = Opinions::new(2, &[0.0, 1.0, 0.0], members).unwrap();
        let weights = find_weights(&opinions).unwrap();
        assert_eq!(opinions.accuracy_of(&opinions.plain_weights()), 2.0 / 3.0);
        assert_eq!(opinions.accuracy_of(&weights), 1.0, "{weights:?}");
        assert!((weights[0] - 4.0 / 13.0).abs() < 1e-3 && (weights[1] - 9.0 / 13.0).abs() < 1e-3, "{weights:?}");
    }

    #[test]
    fn weights_are_never_worse_than_the_plain_mean() {
        let opinions = three();
        let weights = find_weights(&opinions).unwrap();
        assert!(opinions.accuracy_of(&weights) >= 5.0 / 6.0, "{weights:?}");
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6 && weights.iter().all(|weight| *weight >= 0.0), "{weights:?}");
    }

    #[test]
    fn a_member_that_is_always_right_gets_all() {
        let members = vec![("right", vec![0.9, 0.1, 0.2, 0.8]), ("wrong", vec![0.1, 0.9, 0.9, 0.1])];
        let weights = find_weights(&Opinions::new(2, &[0.0, 1.0], members).unwrap()).unwrap();
        assert_eq!(weights, [1.0, 0.0]);
    }
}
