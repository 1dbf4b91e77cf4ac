//! CMA-ES, the evolution strategy with covariance matrix adaptation (Hansen, *The CMA Evolution Strategy: A Tutorial*, 2016, arXiv:1604.00772; defaults
//! of its table 1, without negative weights): trials are drawn by generations from a normal distribution, which goes where the better half of a
//! generation was, and takes that half's shape.
//!
//! ```text
//! x ~ m + s N(0, C)            y_i = (x_i - m) / s of the i-th best             y_w = sum of w_i y_i over the better half
//! m    <- m + s y_w
//! p_s  <- (1 - c_s) p_s + sqrt(c_s (2 - c_s) mu_eff) C^(-1/2) y_w               s <- s exp(c_s / d_s (|p_s| / E|N(0, I)| - 1))
//! p_c  <- (1 - c_c) p_c + h sqrt(c_c (2 - c_c) mu_eff) y_w                      C <- (1 - c_1 - c_mu) C + c_1 p_c p_c^T + c_mu sum of w_i y_i y_i^T
//! ```
//!
//! Nothing but the recorded trials is needed to know the distribution: each has an attribute with its generation, where it was drawn (before it was
//! rounded to a value), and which trials the generation followed from. The first trial of a generation decides that, and trials that end later change
//! nothing of it. While a generation waits for its trials, more are drawn from the same distribution.
//!
//! Crates were looked at: `cmaes` (0.2) calls the objective itself, that of `optimizer` (1.0.1) keeps its state in the process, `haru_cmaes` (1.0) draws
//! from the thread's random numbers; none can be given trials that others drew.

use crate::database::Record;
use crate::parzen::Scale;
use crate::random::Random;
use crate::{Distribution, Parameter, State, Value};
use serde_json::{Value as Json, json};
use std::cmp::Ordering;

/// The attribute of a trial.
pub(crate) const ATTRIBUTE: &str = "samara:cma_es";
/// The first deviation, in parts of a range, and the largest one.
const DEVIATION: f64 = 0.2;
const LARGEST: f64 = 1.0;
/// The least deviation of what has steps, in steps: below that, all trials would have the same value.
const LEAST_STEPS: f64 = 0.3;
/// Draws until one lies within all ranges; what does not then is moved to their ends.
const DRAWS: usize = 100;

/// What the attribute says of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Origin {
    generation: u64,
    /// Numbers of the trials that the generation's distribution learned from last.
    from: Vec<u64>,
    /// Where it was drawn, each parameter from 0 to 1.
    at: Vec<f64>,
}

impl Origin {
    /// `None` of what this version did not write.
    pub fn from_json(json: &Json) -> Option<Self> {
        let list = |key: &str| json.get(key)?.as_array();
        Some(Self {
            generation: json.get("generation")?.as_u64()?,
            from: list("from")?.iter().map(Json::as_u64).collect::<Option<_>>()?,
            at: list("at")?.iter().map(Json::as_f64).collect::<Option<_>>()?,
        })
    }

    pub fn to_json(&self) -> Json {
        json!({ "generation": self.generation, "from": self.from, "at": self.at })
    }
}

/// The distribution that the next trial is drawn from.
#[derive(Debug)]
pub(crate) struct Evolution {
    /// Places of the parameters that it knows: numbers that are always there, of more than one value.
    known: Vec<usize>,
    normal: Normal,
    generation: u64,
    from: Vec<u64>,
}

impl Evolution {
    /// Rebuilt from all trials, with their losses: small is good, none of those that have none yet or failed.
    pub fn of<'a>(parameters: &[Parameter], records: &'a [Record], loss: impl Fn(usize) -> Option<f64>) -> Self {
        let is_known = |parameter: &Parameter| {
            let scale = Scale::of(&parameter.distribution);
            parameter.when.is_empty() && !matches!(parameter.distribution, Distribution::Choice(_)) && scale.edges(2).len() > 2
        };
        let known: Vec<usize> = (0..parameters.len()).filter(|place| is_known(&parameters[*place])).collect();
        let least = known.iter().map(|place| LEAST_STEPS * Scale::of(&parameters[*place].distribution).step_part()).collect();
        let mut own = Self { normal: Normal::new(known.len(), least), known, generation: 0, from: Vec::new() };
        if own.known.is_empty() {
            return own;
        }
        let dimensions = own.known.len();
        let origin = |record: &'a Record| record.origin.as_ref().filter(|origin| origin.at.len() == dimensions);
        let origins: Vec<Option<&Origin>> = records.iter().map(origin).collect();
        // They come in the order of their numbers.
        let place_of = |number: u64| records.binary_search_by_key(&number, |record| record.number).ok();
        loop {
            // The trials that the next generation follows from: those that its first one names, or those that have ended.
            let next = origins.iter().flatten().find(|origin| origin.generation == own.generation + 1);
            let places: Vec<usize> = match next {
                Some(next) => next.from.iter().filter_map(|number| place_of(*number)).collect(),
                None => {
                    let is_own = |place: &usize| origins[*place].is_some_and(|origin| origin.generation == own.generation);
                    let ended = (0..records.len()).filter(|place| is_own(place) && loss(*place).is_some());
                    ended.take(own.normal.strategy.offspring).collect()
                }
            };
            if next.is_none() && places.len() < own.normal.strategy.offspring {
                return own;
            }
            let mut order: Vec<usize> = places.into_iter().filter(|place| origins[*place].is_some()).collect();
            own.from = order.iter().map(|place| records[*place].number).collect();
            order.sort_by(|a, b| compare(&records[*a], loss(*a), &records[*b], loss(*b)));
            let points: Vec<&[f64]> = order.iter().filter_map(|place| Some(origins[*place]?.at.as_slice())).collect();
            own.normal.learn(&points);
            own.generation += 1;
        }
    }

    /// A value for each parameter that it knows, by its place in the space, and where the trial comes from.
    pub fn draw(&self, parameters: &[Parameter], random: &mut Random) -> (Vec<(usize, Value)>, Origin) {
        let at = self.normal.draw(random);
        let value = |(place, part): (&usize, &f64)| {
            let scale = Scale::of(&parameters[*place].distribution);
            (*place, scale.value(scale.low + part * (scale.high - scale.low)))
        };
        let values = self.known.iter().zip(&at).map(value).collect();
        (values, Origin { generation: self.generation, from: self.from.clone(), at })
    }
}

/// The better one first: complete within limits, then what ended early, those that came far before others, then what passed limits.
fn compare(one: &Record, own: Option<f64>, other: &Record, others: Option<f64>) -> Ordering {
    let class = |record: &Record| {
        let is_beyond = record.constraints.iter().any(|constraint| *constraint > 0.0);
        let steps = record.intermediate.last().map_or(0, |last| last.0);
        match record.state {
            _ if is_beyond => (2, 0),
            State::Complete => (0, 0),
            _ => (1, u64::MAX - steps),
        }
    };
    let loss = |loss: Option<f64>| loss.filter(|loss| !loss.is_nan()).unwrap_or(f64::INFINITY);
    class(one).cmp(&class(other)).then(loss(own).total_cmp(&loss(others))).then(one.number.cmp(&other.number))
}

/// How fast what is learned, by the number of dimensions.
#[derive(Debug)]
struct Strategy {
    /// Trials of a generation.
    offspring: usize,
    /// Of the better half, the best first; they sum to 1.
    weights: Vec<f64>,
    /// Of how many equal trials the weights are worth.
    effective: f64,
    /// Of the path and the size of the deviation.
    path_rate: f64,
    damping: f64,
    /// Of the path and the two parts of the covariance.
    covariance_path_rate: f64,
    one_rate: f64,
    half_rate: f64,
    /// The mean length of a normal vector.
    length: f64,
}

impl Strategy {
    fn new(dimensions: usize) -> Self {
        let n = dimensions.max(1) as f64;
        let offspring = 4 + (3.0 * n.ln()) as usize;
        let raw: Vec<f64> =
            (1..=offspring / 2).map(|place| ((offspring as f64 + 1.0) / 2.0).ln() - (place as f64).ln()).collect();
        let sum: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|weight| weight / sum).collect();
        let effective = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let path_rate = (effective + 2.0) / (n + effective + 5.0);
        let one_rate = 2.0 / ((n + 1.3).powi(2) + effective);
        let half_rate = 2.0 * (0.25 + effective + 1.0 / effective - 2.0) / ((n + 2.0).powi(2) + effective);
        Self {
            offspring,
            weights,
            effective,
            path_rate,
            damping: 1.0 + 2.0 * (((effective - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + path_rate,
            covariance_path_rate: (4.0 + effective / n) / (n + 4.0 + 2.0 * effective / n),
            one_rate,
            half_rate: if half_rate < 1.0 - one_rate { half_rate } else { 1.0 - one_rate },
            length: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
        }
    }
}

/// A normal distribution in the unit cube, and the paths by which it learns.
#[derive(Debug)]
struct Normal {
    strategy: Strategy,
    generation: i32,
    mean: Vec<f64>,
    deviation: f64,
    covariance: Vec<Vec<f64>>,
    /// Its eigenvectors, one a row, and the roots of its eigenvalues.
    vectors: Vec<Vec<f64>>,
    roots: Vec<f64>,
    path: Vec<f64>,
    covariance_path: Vec<f64>,
    /// Of each dimension the least deviation.
    least: Vec<f64>,
}

impl Normal {
    fn new(dimensions: usize, least: Vec<f64>) -> Self {
        let unit =
            || (0..dimensions).map(|row| (0..dimensions).map(|column| f64::from(u8::from(row == column))).collect()).collect();
        let mut own = Self {
            strategy: Strategy::new(dimensions),
            generation: 0,
            mean: vec![0.5; dimensions],
            deviation: DEVIATION,
            covariance: unit(),
            vectors: unit(),
            roots: vec![1.0; dimensions],
            path: vec![0.0; dimensions],
            covariance_path: vec![0.0; dimensions],
            least,
        };
        own.widen();
        own
    }

    /// A point within the unit cube.
    fn draw(&self, random: &mut Random) -> Vec<f64> {
        let mut point = Vec::new();
        for _ in 0..DRAWS {
            point.clone_from(&self.mean);
            for (vector, root) in self.vectors.iter().zip(&self.roots) {
                let length = self.deviation * root * random.normal();
                point.iter_mut().zip(vector).for_each(|(place, part)| *place += length * part);
            }
            if point.iter().all(|place| (0.0..=1.0).contains(place)) {
                return point;
            }
        }
        point.into_iter().map(|place| place.clamp(0.0, 1.0)).collect()
    }

    /// From a generation, the best first.
    fn learn(&mut self, points: &[&[f64]]) {
        let Strategy { effective, path_rate, damping, covariance_path_rate, one_rate, half_rate, length, .. } = self.strategy;
        self.generation += 1;
        let step = |point: &&[f64]| -> Vec<f64> {
            point.iter().zip(&self.mean).map(|(place, mean)| (place - mean) / self.deviation).collect()
        };
        // Weights sum to 1 where a generation has half of its trials, which it has unless others took them out of the database.
        let steps: Vec<(f64, Vec<f64>)> = self.strategy.weights.iter().copied().zip(points.iter().map(step)).collect();
        let mut middle = vec![0.0; self.mean.len()];
        for (weight, step) in &steps {
            middle.iter_mut().zip(step).for_each(|(middle, step)| *middle += weight * step);
        }
        self.mean.iter_mut().zip(&middle).for_each(|(mean, step)| *mean += self.deviation * step);

        let kept = (path_rate * (2.0 - path_rate) * effective).sqrt();
        let white = self.whitened(&middle);
        self.path.iter_mut().zip(white).for_each(|(path, step)| *path = (1.0 - path_rate) * *path + kept * step);
        let walked = self.path.iter().map(|step| step * step).sum::<f64>().sqrt();
        // A path that is long because the deviation is still too small says nothing of the shape.
        let expected =
            (1.0 - (1.0 - path_rate).powi(2 * self.generation)).sqrt() * (1.4 + 2.0 / (middle.len() as f64 + 1.0)) * length;
        let is_usual = if walked < expected { 1.0 } else { 0.0 };
        let kept = is_usual * (covariance_path_rate * (2.0 - covariance_path_rate) * effective).sqrt();
        self.covariance_path
            .iter_mut()
            .zip(&middle)
            .for_each(|(path, step)| *path = (1.0 - covariance_path_rate) * *path + kept * step);
        let lost = (1.0 - is_usual) * covariance_path_rate * (2.0 - covariance_path_rate);
        for row in 0..middle.len() {
            for column in 0..middle.len() {
                let half: f64 = steps.iter().map(|(weight, step)| weight * step[row] * step[column]).sum();
                let one = self.covariance_path[row] * self.covariance_path[column];
                let old = self.covariance[row][column];
                self.covariance[row][column] =
                    (1.0 + one_rate * lost - one_rate - half_rate) * old + one_rate * one + half_rate * half;
            }
        }
        let grown = self.deviation * (path_rate / damping * (walked / length - 1.0)).exp();
        self.deviation = if grown < LARGEST { grown } else { LARGEST };
        self.widen();
    }

    /// Gives what has steps its least deviation, and finds the covariance's roots.
    fn widen(&mut self) {
        for (place, least) in self.least.iter().enumerate() {
            let least = (least / self.deviation).powi(2);
            if self.covariance[place][place] < least {
                self.covariance[place][place] = least;
            }
        }
        let (values, vectors) = eigen(self.covariance.clone());
        self.vectors = vectors;
        self.roots = values.into_iter().map(|value| value.max(1e-20).sqrt()).collect();
    }

    /// `C^(-1/2)` times a vector.
    fn whitened(&self, vector: &[f64]) -> Vec<f64> {
        let mut white = vec![0.0; vector.len()];
        for (own, root) in self.vectors.iter().zip(&self.roots) {
            let part: f64 = own.iter().zip(vector).map(|(own, other)| own * other).sum::<f64>() / root;
            white.iter_mut().zip(own).for_each(|(white, own)| *white += part * own);
        }
        white
    }
}

/// Eigenvalues and eigenvectors, one a row, of a symmetric matrix (Jacobi's rotations: Golub and van Loan, *Matrix Computations*, 8.5).
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let count = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..count).map(|row| (0..count).map(|column| f64::from(u8::from(row == column))).collect()).collect();
    // It converges with the square of what is left: ten rounds are more than enough.
    for _ in 0..30 {
        let beside: f64 = (0..count)
            .flat_map(|row| (0..row).map(move |column| (row, column)))
            .map(|(row, column)| matrix[row][column].powi(2))
            .sum();
        let all: f64 = (0..count).map(|place| matrix[place][place].powi(2)).sum();
        if beside <= all * 1e-24 {
            break;
        }
        for one in 0..count {
            for other in one + 1..count {
                if matrix[one][other] == 0.0 {
                    continue;
                }
                let ratio = (matrix[other][other] - matrix[one][one]) / (2.0 * matrix[one][other]);
                let tangent = ratio.signum() / (ratio.abs() + (1.0 + ratio * ratio).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                let sine = tangent * cosine;
                let turn = |a: &mut f64, b: &mut f64| (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                for row in &mut matrix {
                    let (before, behind) = row.split_at_mut(other);
                    turn(&mut before[one], &mut behind[0]);
                }
                for rows in [&mut matrix, &mut vectors] {
                    let (before, behind) = rows.split_at_mut(other);
                    before[one].iter_mut().zip(&mut behind[0]).for_each(|(a, b)| turn(a, b));
                }
            }
        }
    }
    ((0..count).map(|place| matrix[place][place]).collect(), vectors)
}

#[cfg(test)]
#[path = "evolution_tests.rs"]
mod tests;
