//! A Gaussian process over whole trials, and where it expects the most (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006,
//! algorithm 2.1; expected improvement: Jones and others, *Efficient Global Optimization of Expensive Black-Box Functions*, 1998).
//!
//! That of the `optimizer` crate (1.0.1) knows dimensions by the order in which a sampler was asked and by their ranges, keeps them in the process,
//! and leaves choices to chance: it cannot be driven from recorded trials of a space whose parameters depend on others.

use crate::parzen::Scale;
use crate::random::Random;
use crate::sampler::Past;
use crate::{Distribution, Parameter, Value};

/// Trials that it is made of, at most: the best half and the latest ones, since its cost is the cube of their number.
const MOST: usize = 120;
/// Lengths, in parts of a parameter's range, and variances of noise that are tried; the likeliest are taken.
const LENGTHS: [f64; 4] = [0.15, 0.3, 0.6, 1.2];
const NOISES: [f64; 3] = [1e-4, 1e-2, 0.2];
/// How many times longer the length of a parameter is that does not matter.
const IRRELEVANT: f64 = 4.0;

/// A value for each parameter that is there, by its place in the space.
pub(crate) type Drawn = Vec<(usize, Value)>;

/// Losses become places in their order, spread as a logistic distribution is: what failed is worst, however bad, and no outlier counts more than its
/// place. Equal ones share theirs.
fn scores(losses: &[f64]) -> Vec<f64> {
    let count = losses.len() as f64;
    let score = |loss: &f64| {
        let below = losses.iter().filter(|other| **other < *loss).count() as f64;
        let equal = losses.iter().filter(|other| *other == loss).count() as f64;
        let part = (below + equal / 2.0) / count;
        // A logistic distribution of variance 1.
        (part / (1.0 - part)).ln() * 3f64.sqrt() / std::f64::consts::PI
    };
    losses.iter().map(score).collect()
}

/// Where a trial is: each number between 0 and 1, each choice on an axis of its own; what is not there in the middle, and marked.
fn point<'a>(parameters: &[Parameter], value: impl Fn(usize) -> Option<&'a Value>) -> Vec<f64> {
    let mut point = Vec::new();
    for (place, parameter) in parameters.iter().enumerate() {
        let value = value(place);
        if !parameter.when.is_empty() {
            point.push(if value.is_some() { 0.5 } else { 0.0 });
        }
        match &parameter.distribution {
            Distribution::Choice(choices) => {
                let chosen = if let Some(Value::Choice(chosen)) = value { Some(*chosen) } else { None };
                // Two choices are as far from each other as the ends of a number.
                point.extend((0..choices.len()).map(|place| if chosen == Some(place) { 0.5f64.sqrt() } else { 0.0 }));
            }
            distribution => {
                let scale = Scale::of(distribution);
                let part = |value: &Value| (scale.place(Distribution::number(value)) - scale.low) / (scale.high - scale.low);
                point.push(value.map(part).filter(|part| part.is_finite()).map_or(0.5, |part| part.clamp(0.0, 1.0)));
            }
        }
    }
    point
}

/// The candidate that promises the most; none without candidates or trials.
pub(crate) fn choose(parameters: &[Parameter], mut candidates: Vec<Drawn>, past: &[Past<'_>]) -> Option<Drawn> {
    let process = Process::of(parameters, past)?;
    let promise = |drawn: &Drawn| {
        let of = |place: usize| drawn.iter().find(|(own, _)| *own == place).map(|(_, value)| value);
        process.expected_improvement(&point(parameters, of))
    };
    let promises: Vec<f64> = candidates.iter().map(promise).collect();
    let best = (0..candidates.len()).max_by(|a, b| promises[*a].total_cmp(&promises[*b]))?;
    Some(candidates.swap_remove(best))
}

/// A value beside another one.
pub(crate) fn beside(distribution: &Distribution, value: &Value, random: &mut Random) -> Value {
    let scale = Scale::of(distribution);
    let anywhere = |random: &mut Random| scale.value(scale.low + random.uniform() * (scale.high - scale.low));
    match distribution {
        Distribution::Choice(_) if random.uniform() < 0.8 => value.clone(),
        Distribution::Choice(_) => anywhere(random),
        _ => {
            let width = (scale.high - scale.low) * [0.0, 0.02, 0.1, 0.3][random.below(4)];
            let place = scale.place(Distribution::number(value)) + width * random.normal();
            scale.value(place.clamp(scale.low, scale.high))
        }
    }
}

/// A Gaussian process with a Matérn kernel of smoothness 5/2.
struct Process {
    points: Vec<Vec<f64>>,
    /// Of the covariance of the points: lower triangle, row by row.
    factor: Vec<f64>,
    /// The inverse covariance times the scores.
    weights: Vec<f64>,
    lengths: Vec<f64>,
    best: f64,
}

impl Process {
    fn of(parameters: &[Parameter], past: &[Past<'_>]) -> Option<Self> {
        let loss = |past: &Past<'_>| past.value.filter(|value| past.is_feasible && !value.is_nan()).unwrap_or(f64::INFINITY);
        let mut order: Vec<usize> = (0..past.len()).collect();
        if past.len() > MOST {
            order.sort_by(|a, b| loss(&past[*a]).total_cmp(&loss(&past[*b])));
            let mut late = order.split_off(MOST / 2);
            late.sort_unstable_by(|a, b| b.cmp(a));
            order.extend(late.into_iter().take(MOST - MOST / 2));
        }
        let losses: Vec<f64> = order.iter().map(|place| loss(&past[*place])).collect();
        let value = |place: usize, own: usize| past[place].parameters.get(&parameters[own].name).map(|(value, _)| value);
        let points: Vec<Vec<f64>> = order.iter().map(|&place| point(parameters, |own| value(place, own))).collect();
        let dimensions = points.first()?.len();
        let scores = scores(&losses);
        let mut found: Option<(f64, f64, Self)> = None;
        for length in LENGTHS {
            for noise in NOISES {
                keep_likelier(&mut found, &points, &scores, vec![length; dimensions], noise);
            }
        }
        for dimension in 0..dimensions {
            let Some((_, noise, process)) = &found else { break };
            let (noise, mut lengths) = (*noise, process.lengths.clone());
            lengths[dimension] *= IRRELEVANT;
            keep_likelier(&mut found, &points, &scores, lengths, noise);
        }
        found.map(|(_, _, process)| process)
    }

    fn covariance(&self, point: &[f64]) -> Vec<f64> {
        self.points.iter().map(|other| matern(point, other, &self.lengths)).collect()
    }

    /// By how much less than the best score is expected.
    fn expected_improvement(&self, point: &[f64]) -> f64 {
        let covariance = self.covariance(point);
        let mean: f64 = covariance.iter().zip(&self.weights).map(|(covariance, weight)| covariance * weight).sum();
        let half = forward(&self.factor, &covariance);
        let deviation = (1.0 - half.iter().map(|value| value * value).sum::<f64>()).max(1e-12).sqrt();
        let gain = (self.best - mean) / deviation;
        let density = (-0.5 * gain * gain).exp() / std::f64::consts::TAU.sqrt();
        let below = 0.5 * (1.0 + libm::erf(gain / std::f64::consts::SQRT_2));
        deviation * (gain * below + density)
    }
}

/// Takes these lengths and this noise if the scores are likelier with them.
fn keep_likelier(found: &mut Option<(f64, f64, Process)>, points: &[Vec<f64>], scores: &[f64], lengths: Vec<f64>, noise: f64) {
    let count = points.len();
    let mut factor = vec![0.0; count * count];
    for row in 0..count {
        for column in 0..=row {
            let own = if row == column { noise } else { 0.0 };
            factor[row * count + column] = matern(&points[row], &points[column], &lengths) + own;
        }
    }
    if !factorize(&mut factor, count) {
        return;
    }
    let half = forward(&factor, scores);
    let logarithms: f64 = (0..count).map(|row| factor[row * count + row].ln()).sum();
    let likelihood = -0.5 * half.iter().map(|value| value * value).sum::<f64>() - logarithms;
    if found.as_ref().is_none_or(|(other, _, _)| likelihood > *other) {
        let weights = backward(&factor, half);
        let best = scores.iter().copied().fold(f64::INFINITY, f64::min);
        *found = Some((likelihood, noise, Process { points: points.to_vec(), factor, weights, lengths, best }));
    }
}

/// 1 of equal points, falling with their distance.
fn matern(one: &[f64], other: &[f64], lengths: &[f64]) -> f64 {
    let parts = one.iter().zip(other).zip(lengths).map(|((one, other), length)| ((one - other) / length).powi(2));
    let distance = (5.0 * parts.sum::<f64>()).sqrt();
    (1.0 + distance + distance * distance / 3.0) * (-distance).exp()
}

/// The lower factor of a symmetric matrix in its place (Cholesky); `false` if it has none.
fn factorize(matrix: &mut [f64], count: usize) -> bool {
    for row in 0..count {
        for column in 0..=row {
            let products = (0..column).map(|inner| matrix[row * count + inner] * matrix[column * count + inner]);
            let left = matrix[row * count + column] - products.sum::<f64>();
            if row == column {
                if left <= 0.0 {
                    return false;
                }
                matrix[row * count + row] = left.sqrt();
            } else {
                matrix[row * count + column] = left / matrix[column * count + column];
            }
        }
    }
    true
}

/// What the factor makes of the result into `values`.
fn forward(factor: &[f64], values: &[f64]) -> Vec<f64> {
    let count = values.len();
    let mut solved: Vec<f64> = Vec::with_capacity(count);
    for row in 0..count {
        let products: f64 = solved.iter().zip(&factor[row * count..]).map(|(value, factor)| value * factor).sum();
        solved.push((values[row] - products) / factor[row * count + row]);
    }
    solved
}

/// The same of the factor's transpose.
fn backward(factor: &[f64], mut values: Vec<f64>) -> Vec<f64> {
    let count = values.len();
    for row in (0..count).rev() {
        let products: f64 = (row + 1..count).map(|below| factor[below * count + row] * values[below]).sum();
        values[row] = (values[row] - products) / factor[row * count + row];
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        // Of [[4, 2], [2, 5]]: the factor is [[2, 0], [1, 2]].
        let mut matrix = vec![4.0, 0.0, 2.0, 5.0];
        assert!(factorize(&mut matrix, 2));
        assert_eq!(matrix, [2.0, 0.0, 1.0, 2.0]);
        assert_eq!(backward(&matrix, forward(&matrix, &[8.0, 12.0])), [1.0, 2.0]);
        assert!(!factorize(&mut [1.0, 0.0, 2.0, 1.0], 2));
    }

    #[test]
    fn scores_are_places_and_failures_the_worst() {
        let scores = scores(&[3.0, f64::INFINITY, 1.0, f64::INFINITY, 1e9]);
        assert!(scores[2] < scores[0] && scores[0] < scores[4] && scores[4] < scores[1]);
        assert_eq!(scores[1], scores[3]);
        assert!((scores[2] - (0.1f64 / 0.9).ln() * 3f64.sqrt() / std::f64::consts::PI).abs() < 1e-12);
    }

    #[test]
    fn a_process_goes_through_what_it_has_seen() {
        let points: Vec<Vec<f64>> = (0..9).map(|place| vec![f64::from(place) / 8.0]).collect();
        let scores: Vec<f64> = points.iter().map(|point| (6.0 * point[0]).sin()).collect();
        let mut found = None;
        keep_likelier(&mut found, &points, &scores, vec![0.3], 1e-6);
        let process = found.unwrap().2;
        let mean = |at: f64| process.covariance(&[at]).iter().zip(&process.weights).map(|(a, b)| a * b).sum::<f64>();
        assert!(
            (mean(0.5) - 3f64.sin()).abs() < 1e-3 && (mean(0.3) - 1.8f64.sin()).abs() < 0.02,
            "{} {}",
            mean(0.5),
            mean(0.3)
        );
        // The least is near 0.785: more is hoped for there than where it is high, or where all is known.
        let promise = |at: f64| process.expected_improvement(&[at]);
        assert!(promise(0.79) > 10.0 * promise(0.26) && promise(0.79) > promise(0.75), "{} {}", promise(0.79), promise(0.75));
    }
}
