//! Functions that are known, and studies that are shared, interrupted and gone on with.

use super::*;
use crate::random::mix;
use crate::sampler::{Draw, Past};
use crate::{Direction, Options, Outcome, Pruner, Sampler, Space, Study, Trial};
use std::collections::HashMap;
use tempfile::TempDir;

/// Numbers whose logarithms to the base of ten lie from -3 to 3.
fn space(dimensions: usize) -> Space {
    let lines: Vec<String> = (0..dimensions).map(|place| format!("x{place} = {{ float = [1e-3, 1e3], log = true }}")).collect();
    Space::from_toml(&format!("[space]\n{}", lines.join("\n"))).unwrap()
}

fn study(directory: &TempDir, space: Space, sampler: Sampler, seed: u64) -> Study {
    let options = Options { sampler, seed, pruner: Pruner::Off, ..Options::default() };
    Study::open(&directory.path().join("s.db"), "s", &[Direction::Minimize], space, options).unwrap()
}

type Function = fn(&[f64]) -> f64;

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| (x - 1.0).powi(2)).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|pair| 100.0 * (pair[1] - pair[0] * pair[0]).powi(2) + (1.0 - pair[0]).powi(2)).sum()
}

/// Axes of lengths from 1 to 100, none along a parameter: each pair of parameters is turned by 0.6.
fn ellipsoid(x: &[f64]) -> f64 {
    let mut x: Vec<f64> = x.iter().map(|x| x - 0.7).collect();
    for one in 0..x.len() {
        for other in one + 1..x.len() {
            (x[one], x[other]) =
                (0.6f64.cos() * x[one] - 0.6f64.sin() * x[other], 0.6f64.sin() * x[one] + 0.6f64.cos() * x[other]);
        }
    }
    let last = (x.len() - 1) as f64;
    x.iter().enumerate().map(|(place, x)| 1e4f64.powf(place as f64 / last) * x * x).sum()
}

/// The least of so many trials, one after the other, in no database.
fn best(space: &Space, function: Function, trials: u64, seed: u64, sampler: Sampler) -> f64 {
    let parameters = space.parameters();
    let mut records: Vec<Record> = Vec::new();
    let mut best = f64::INFINITY;
    for number in 0..trials {
        let draw = Draw { seed, trial: number, candidate: 0 };
        let value = |place: usize| records.get(place).map(|record| record.values[0]);
        let (drawn, origin) = if sampler == Sampler::CmaEs {
            let mut random = Random::new(mix(&[seed, number], "evolution"));
            let (drawn, origin) = Evolution::of(parameters, &records, value).draw(parameters, &mut random);
            (drawn, Some(origin))
        } else {
            let past: Vec<Past<'_>> = records
                .iter()
                .map(|record| Past { parameters: &record.parameters, value: record.values.first().copied(), is_feasible: true })
                .collect();
            let one = |(place, own): (usize, &Parameter)| (place, sampler.draw(draw, &own.name, &own.distribution, 0, &past));
            (parameters.iter().enumerate().map(one).collect(), None)
        };
        let x: Vec<f64> = drawn.iter().map(|(_, value)| Distribution::number(value).log10()).collect();
        let loss = function(&x);
        best = if loss < best { loss } else { best };
        let named =
            |(place, value): (usize, Value)| (parameters[place].name.clone(), (value, parameters[place].distribution.clone()));
        records.push(Record {
            id: number as i64,
            number,
            state: State::Complete,
            parameters: drawn.into_iter().map(named).collect(),
            values: vec![loss],
            intermediate: Vec::new(),
            user: HashMap::new(),
            constraints: Vec::new(),
            // As a database gives it back.
            origin: origin.and_then(|origin| Origin::from_json(&serde_json::from_str(&origin.to_json().to_string()).ok()?)),
        });
    }
    best
}

#[test]
fn evolution_finds_more_than_chance() {
    let functions: [(&str, Function, usize, u64, f64); 3] = [
        ("a sphere", sphere, 5, 300, 1e3),
        ("Rosenbrock's valley", rosenbrock, 3, 400, 4.0),
        ("an ellipsoid", ellipsoid, 4, 400, 20.0),
    ];
    for (name, function, dimensions, trials, times) in functions {
        let space = space(dimensions);
        let median = |sampler: Sampler| {
            let mut found: Vec<f64> = (1..=7).map(|seed| best(&space, function, trials, seed, sampler)).collect();
            found.sort_by(f64::total_cmp);
            found[3]
        };
        let [evolution, tpe, chance] = [Sampler::CmaEs, Sampler::Tpe, Sampler::Random].map(median);
        println!(
            "{name} of {dimensions} parameters, best of {trials} trials, median of 7 seeds: evolution {evolution:.1e}, estimators {tpe:.1e}, \
             chance {chance:.1e}"
        );
        assert!(evolution * times < chance, "{name}: {evolution} and {chance}");
    }
}

#[test]
fn ten_thousand_trials_are_no_burden() {
    let space = space(10);
    let offspring = Strategy::new(10).offspring as u64;
    let mut random = Random::new(1);
    let record = |number: u64| {
        let (generation, at) = (number / offspring, (0..10).map(|_| random.uniform()).collect());
        let from = if generation == 0 { Vec::new() } else { ((generation - 1) * offspring..generation * offspring).collect() };
        let origin = Some(Origin { generation, from, at });
        let (parameters, user) = (HashMap::new(), HashMap::new());
        let (intermediate, constraints) = (Vec::new(), Vec::new());
        Record {
            id: 0,
            number,
            state: State::Complete,
            parameters,
            values: vec![random.uniform()],
            intermediate,
            user,
            constraints,
            origin,
        }
    };
    let records: Vec<Record> = (0..10_000).map(record).collect();
    let started = std::time::Instant::now();
    let evolution = Evolution::of(space.parameters(), &records, |place| Some(records[place].values[0]));
    println!("the distribution of {} generations of ten parameters: {:?}", evolution.generation, started.elapsed());
    assert_eq!((evolution.generation, evolution.from.len()), (10_000 / offspring, offspring as usize));
    assert!(evolution.normal.mean.iter().all(|mean| (0.0..=1.0).contains(mean)));
}

#[test]
fn eigenvectors_make_the_matrix_again() {
    let mut random = Random::new(3);
    for count in [1, 2, 7, 20] {
        let half: Vec<Vec<f64>> = (0..count).map(|_| (0..count).map(|_| random.normal()).collect()).collect();
        let matrix: Vec<Vec<f64>> = (0..count)
            .map(|row| (0..count).map(|column| half[row].iter().zip(&half[column]).map(|(a, b)| a * b).sum()).collect())
            .collect();
        let (values, vectors) = eigen(matrix.clone());
        for row in 0..count {
            for column in 0..count {
                let again: f64 = (0..count).map(|own| values[own] * vectors[own][row] * vectors[own][column]).sum();
                assert!((again - matrix[row][column]).abs() < 1e-10, "{again} and {}", matrix[row][column]);
                let product: f64 = vectors[row].iter().zip(&vectors[column]).map(|(a, b)| a * b).sum();
                assert!((product - f64::from(u8::from(row == column))).abs() < 1e-12);
            }
        }
    }
}

/// By hand: two trials of one dimension, the better at 0.6 and the other one behind it, half of a generation of four.
#[test]
fn a_generation_moves_the_distribution_as_the_tutorial_says() {
    let mut normal = Normal::new(1, vec![0.0]);
    let weights = &normal.strategy.weights;
    assert_eq!((normal.strategy.offspring, weights.len()), (4, 2));
    // ln(2.5) and ln(2.5) - ln(2), as parts of their sum.
    assert!((weights[0] - 0.804_162_86).abs() < 1e-6, "{weights:?}");
    normal.learn(&[&[0.6], &[0.7], &[0.2], &[0.1]]);
    let mean = 0.804_162_86 * 0.6 + 0.195_837_14 * 0.7;
    assert!((normal.mean[0] - mean).abs() < 1e-6);
    // mu_eff 1.45978, c_s 0.46380, d_s 1.46380.
    let walked = (0.463_803f64 * (2.0 - 0.463_803) * 1.459_783).sqrt() * (mean - 0.5) / 0.2;
    let length = 1.0 - 0.25 + 1.0 / 21.0;
    let deviation = 0.2 * (0.463_803 / 1.463_803 * (walked / length - 1.0)).exp();
    assert!((normal.deviation - deviation).abs() < 1e-5, "{} and {deviation}", normal.deviation);
}

fn sum(trial: &Trial) -> f64 {
    sphere(&(0..3).map(|place| trial.float(&format!("x{place}")).unwrap().log10()).collect::<Vec<f64>>())
}

#[test]
fn a_study_of_generations_goes_on_as_it_would_have() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |study: &mut Study, trials: usize| -> Vec<f64> {
        let one = |number| {
            let trial = study.ask().unwrap();
            let outcome =
                if number % 5 == 4 { Outcome::Failed("no memory".to_owned()) } else { Outcome::Complete(vec![sum(&trial)]) };
            study.tell(&trial, outcome).unwrap();
            sum(&trial)
        };
        (0..trials).map(one).collect()
    };
    let expected = run(&mut study(&whole, space(3), Sampler::CmaEs, 1), 40);
    let found: Vec<f64> = (0..8).flat_map(|_| run(&mut study(&parts, space(3), Sampler::CmaEs, 1), 5)).collect();
    assert_eq!(found, expected);
    assert_ne!(found, run(&mut study(&tempfile::tempdir().unwrap(), space(3), Sampler::CmaEs, 2), 40));
}

/// Three workers that end in another order than they began, with trials that fail, end early and are interrupted.
#[test]
fn generations_are_the_same_for_all_workers() {
    let directory = tempfile::tempdir().unwrap();
    let mut workers: Vec<Study> = (0..3).map(|_| study(&directory, space(3), Sampler::CmaEs, 1)).collect();
    let mut running: Vec<(usize, Trial)> = Vec::new();
    let mut random = Random::new(5);
    for number in 0..120 {
        let worker = number % 3;
        running.push((worker, workers[worker].ask().unwrap()));
        while running.len() > 5 {
            let (worker, mut trial) = running.swap_remove(random.below(running.len()));
            let study = &mut workers[worker];
            match random.below(6) {
                0 => study.tell(&trial, Outcome::Failed("no memory".to_owned())).unwrap(),
                1 => study.release(&trial).unwrap(),
                2 => {
                    let loss = sum(&trial);
                    study.report(&mut trial, 1, loss).unwrap();
                    study.tell(&trial, Outcome::Pruned).unwrap();
                }
                _ => study.tell(&trial, Outcome::Complete(vec![sum(&trial)])).unwrap(),
            }
        }
    }
    let records = workers[0].records().unwrap();
    let origin = |number: u64| records[number as usize].origin.as_ref().unwrap();
    let offspring = Strategy::new(3).offspring;
    let last = records.iter().map(|record| origin(record.number).generation).max().unwrap();
    assert!(last >= 6, "{last} generations of {} trials", records.len());
    for record in &records {
        let own = origin(record.number);
        let same = records.iter().find(|other| origin(other.number).generation == own.generation).unwrap();
        assert_eq!(own.from, origin(same.number).from, "trial {}", record.number);
        assert_eq!(own.from.len(), if own.generation == 0 { 0 } else { offspring });
        for number in &own.from {
            let parent = &records[*number as usize];
            assert!(
                origin(*number).generation + 1 == own.generation && matches!(parent.state, State::Complete | State::Pruned)
            );
        }
        // No generation is younger than one that was begun before it.
        assert!(records[record.number as usize..].iter().all(|later| origin(later.number).generation >= own.generation));
    }
    // What ends later changes nothing of the generations that were.
    let of = |records: &[Record]| {
        Evolution::of(workers[0].space().parameters(), records, |place| records[place].values.first().copied())
    };
    let before: Vec<Record> = records.iter().filter(|record| origin(record.number).generation < last).cloned().collect();
    let all = of(&records);
    assert!(all.generation >= last && of(&before).generation == last, "{} and {last}", all.generation);
    let mut late = records.clone();
    late.iter_mut().filter(|record| origin(record.number).generation + 1 < last).for_each(|record| {
        if record.state == State::Running {
            (record.state, record.values) = (State::Complete, vec![-1e9]);
        }
    });
    assert_eq!((all.generation, all.normal.mean), (of(&late).generation, of(&late).normal.mean));
    let mean: Vec<f64> = of(&records).normal.mean.iter().map(|part| part * 6.0 - 3.0).collect();
    assert!(sphere(&mean) < 0.3, "{mean:?}");
}

#[test]
fn what_ended_early_or_passed_limits_comes_behind() {
    let directory = tempfile::tempdir().unwrap();
    let mut study = study(&directory, space(1), Sampler::CmaEs, 1);
    for (steps, outcome, limit) in [
        (2, Outcome::Pruned, 0.0),
        (1, Outcome::Pruned, 0.0),
        (1, Outcome::Complete(vec![1.0]), 1.0),
        (1, Outcome::Complete(vec![f64::INFINITY]), 0.0),
        (1, Outcome::Complete(vec![7.0]), -1.0),
    ] {
        let mut trial = study.ask().unwrap();
        study.report(&mut trial, steps, 0.5).unwrap();
        study.tell_limited(&trial, outcome, &[limit]).unwrap();
    }
    let mut records = study.records().unwrap();
    let loss = |record: &Record| record.values.first().copied().or(Some(0.5));
    records.sort_by(|a, b| compare(a, loss(a), b, loss(b)));
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [4, 3, 0, 1, 2]);
}

#[test]
fn choices_and_what_is_not_always_there_are_left_to_chance() {
    let text = "[space]\nkind = { choice = [\"a\", \"b\"] }\nunits = { integer = [8, 64], step = 8 }\n\
                rate = { float = [1e-4, 1.0], log = true }\nmore = { float = [0.0, 1.0], when = { kind = \"b\" } }\none = { integer = [3, 3] }";
    let directory = tempfile::tempdir().unwrap();
    let mut study = study(&directory, Space::from_toml(text).unwrap(), Sampler::CmaEs, 1);
    let (mut kinds, mut more, mut last) = (0, Vec::new(), Vec::new());
    for number in 0..120 {
        // Every other candidate does not fit, and is drawn again.
        let mut is_first = true;
        let trial = study.ask_where(|_| !std::mem::take(&mut is_first)).unwrap();
        let (units, rate) = (trial.integer("units").unwrap(), trial.float("rate").unwrap());
        assert!(
            (8..=64).contains(&units) && units % 8 == 0 && (1e-4..=1.0).contains(&rate) && trial.integer("one").unwrap() == 3
        );
        kinds += usize::from(trial.parameters["kind"] == "b");
        assert_eq!(trial.parameters.contains_key("more"), trial.parameters["kind"] == "b");
        more.extend(trial.float("more").ok());
        if number >= 90 {
            last.push((units, rate.log10()));
        }
        let loss = ((units - 48) as f64 / 8.0).powi(2)
            + (rate.log10() + 1.0).powi(2)
            + if trial.parameters["kind"] == "b" { 0.0 } else { 3.0 };
        study.tell(&trial, Outcome::Complete(vec![loss])).unwrap();
    }
    assert!((40..=80).contains(&kinds), "{kinds} of 120");
    assert!(more.iter().any(|more| *more < 0.2) && more.iter().any(|more| *more > 0.8));
    let near = last.iter().filter(|(units, rate)| (40..=56).contains(units) && (rate + 1.0).abs() < 0.7).count();
    assert!(near > 20, "{near} of {}: {last:?}", last.len());
    // Steps keep a width: not all of the last ones have the same value.
    assert!(last.iter().any(|(units, _)| *units != last[0].0), "{last:?}");
    // Without any number that is always there, all is left to chance.
    let space = Space::from_toml("[space]\nkind = { choice = [\"a\", \"b\"] }").unwrap();
    let mut study = self::study(&tempfile::tempdir().unwrap(), space, Sampler::CmaEs, 1);
    let kinds: Vec<bool> = (0..12).map(|_| study.ask().unwrap().parameters["kind"] == "a").collect();
    assert!(kinds.contains(&true) && kinds.contains(&false));
}
