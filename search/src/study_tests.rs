//! Studies that go on, are shared, limited and refused.

use super::*;
use crate::Sampler;
use tempfile::TempDir;

const SPACE: &str =
    "[space]\nn = { integer = [1, 3] }\nx = { float = [-4.0, 4.0] }\ny = { float = [-4.0, 4.0], when = { n = \">= 2\" } }";

fn study(directory: &TempDir, options: Options) -> Study {
    let space = Space::from_toml(SPACE).unwrap();
    Study::open(&directory.path().join("studies.db"), "s", &[Direction::Minimize], space, options).unwrap()
}

fn loss(trial: &Trial) -> f64 {
    let y = if trial.parameters.contains_key("y") { trial.float("y").unwrap() - 1.0 } else { 2.0 };
    trial.float("x").unwrap().powi(2) + y.powi(2)
}

/// The losses of so many trials.
fn run(study: &mut Study, trials: usize) -> Vec<f64> {
    let one = |_| {
        let trial = study.ask().unwrap();
        study.tell(&trial, Outcome::Complete(vec![loss(&trial)])).unwrap();
        loss(&trial)
    };
    (0..trials).map(one).collect()
}

#[test]
fn a_study_that_was_left_goes_on_as_it_would_have() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = run(&mut study(&one, Options::default()), 30);
    let mut parts = run(&mut study(&other, Options::default()), 13);
    parts.extend(run(&mut study(&other, Options::default()), 17));
    assert_eq!(whole, parts);
    let gaussian = || Options { sampler: Sampler::Gaussian, ..Options::default() };
    let (one, another) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole_gaussian = run(&mut study(&one, gaussian()), 16);
    let mut parts = run(&mut study(&another, gaussian()), 12);
    parts.extend(run(&mut study(&another, gaussian()), 4));
    assert_eq!(whole_gaussian, parts);
    let other = Options { seed: 2, ..Options::default() };
    assert_ne!(whole, run(&mut study(&tempfile::tempdir().unwrap(), other), 30));
}

#[test]
fn estimators_find_more_than_chance() {
    let best = |sampler: Sampler, seed: u64| {
        let options = Options { sampler, seed, ..Options::default() };
        let losses = run(&mut study(&tempfile::tempdir().unwrap(), options), 60);
        losses.into_iter().fold(f64::INFINITY, f64::min)
    };
    let mean = |sampler: Sampler| (1..=5).map(|seed| best(sampler, seed)).sum::<f64>() / 5.0;
    let (estimators, gaussian, chance) = (mean(Sampler::Tpe), mean(Sampler::Gaussian), mean(Sampler::Random));
    println!(
        "best of 60 trials, mean of 5 seeds: estimators {estimators:.4}, Gaussian process {gaussian:.4}, chance {chance:.4}"
    );
    assert!(gaussian < chance / 2.0, "{gaussian} and {chance}");
    assert!(estimators < chance / 2.0, "{estimators} and {chance}");
}

#[test]
fn a_grid_ends() {
    let space = Space::from_toml("[space]\na = { choice = [1, 2, 3] }\nb = { integer = [0, 1] }").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sampler: Sampler::Grid, ..Options::default() };
    let mut study = Study::open(&directory.path().join("g.db"), "g", &[Direction::Maximize], space, options).unwrap();
    let mut found = Vec::new();
    while let Ok(trial) = study.ask_where(|chosen| chosen["a"] != 2) {
        found.push((trial.integer("a").unwrap(), trial.integer("b").unwrap()));
        study.tell(&trial, Outcome::Complete(vec![1.0])).unwrap();
    }
    assert_eq!(found, [(1, 0), (1, 1), (3, 0), (3, 1)]);
}

/// Two workers: what one left is given to the other, and the one is refused when it comes back.
#[test]
fn interrupted_trials_are_given_out_again_and_late_results_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { lease_seconds: 0.05, attempts: 2, ..Options::default() };
    let (mut one, mut other) = (study(&directory, options()), study(&directory, options()));
    let mut left = one.ask().unwrap();
    assert!(!one.report(&mut left, 1, 0.5).unwrap());
    assert_eq!(other.ask().unwrap().number, 1, "a lease that has not ended is not taken");
    std::thread::sleep(std::time::Duration::from_millis(120));
    let taken = other.ask().unwrap();
    assert_eq!((taken.number, taken.attempt, &taken.parameters, taken.seed()), (0, 2, &left.parameters, left.seed()));
    assert!(taken.intermediate.is_empty());
    let refused = one.tell(&left, Outcome::Complete(vec![0.0])).unwrap_err().to_string();
    assert_eq!(refused, "trial 0: it was given to another worker, or has ended");
    assert!(one.report(&mut left, 2, 0.1).is_err());
    other.tell(&taken, Outcome::Complete(vec![3.0])).unwrap();
    assert!(other.tell(&taken, Outcome::Complete(vec![4.0])).is_err(), "a result is told once");
    // The second was begun once: it is begun again, then failed.
    assert_eq!(other.ask().unwrap().number, 1);
    std::thread::sleep(std::time::Duration::from_millis(120));
    assert_eq!(other.ask().unwrap().number, 2);
    let trials = one.trials().unwrap();
    let states: Vec<State> = trials.iter().map(|trial| trial.state).collect();
    assert_eq!(states, [State::Complete, State::Fail, State::Running]);
    assert_eq!((trials[0].values[0], &trials[1].notes["interrupted"]), (3.0, &Json::from(2)));
    assert_eq!(one.best().unwrap().unwrap().number, 0);
}

#[test]
fn candidates_that_do_not_fit_are_counted_and_limits_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut study = study(&directory, Options::default());
    for _ in 0..20 {
        let trial = study.ask_where(|chosen| chosen["x"].as_f64() > Some(1.0)).unwrap();
        assert!(trial.float("x").unwrap() > 1.0);
        study.tell_limited(&trial, Outcome::Complete(vec![loss(&trial)]), &[1.5 - trial.float("x").unwrap()]).unwrap();
    }
    let rejected: u64 = study.trials().unwrap().iter().filter_map(|trial| trial.notes["rejected"].as_u64()).sum();
    assert!(rejected > 0);
    assert!(study.best().unwrap().unwrap().float("x").unwrap() >= 1.5);
    let none = study.ask_where(|_| false).unwrap_err().to_string();
    assert!(none.contains("none of 1000 candidates"), "{none}");
}

#[test]
fn ten_thousand_trials_are_no_burden() {
    let directory = tempfile::tempdir().unwrap();
    let mut study = study(&directory, Options { sampler: Sampler::Random, ..Options::default() });
    study.storage.fill_for_tests(study.id, 10_000);
    study.options.sampler = Sampler::Tpe;
    let first = study.ask().unwrap();
    study.tell(&first, Outcome::Complete(vec![1.0])).unwrap();
    let started = std::time::Instant::now();
    let next = study.ask().unwrap();
    println!("the next of {} trials: {:?}", next.number, started.elapsed());
    assert_eq!(next.number, 10_001);
    study.options.sampler = Sampler::Gaussian;
    let started = std::time::Instant::now();
    assert_eq!(study.ask().unwrap().number, 10_002);
    println!("by a Gaussian process: {:?}", started.elapsed());
}

#[test]
fn what_is_no_study_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str, directions: &[Direction]| {
        let space = Space::from_toml(SPACE).unwrap();
        Study::open(&directory.path().join(name), "s", directions, space, Options::default()).map(|_| ())
    };
    std::fs::write(directory.path().join("text.db"), "certainly no database, but long enough to be read as one").unwrap();
    assert!(open("text.db", &[Direction::Minimize]).unwrap_err().to_string().contains("text.db: file is not a database"));
    assert!(open("no/where.db", &[Direction::Minimize]).unwrap_err().to_string().contains("unable to open"));
    open("a.db", &[Direction::Minimize]).unwrap();
    let other = open("a.db", &[Direction::Maximize]).unwrap_err().to_string();
    assert!(other.contains("has the objectives MINIMIZE, expected MAXIMIZE"), "{other}");
    let connection = rusqlite::Connection::open(directory.path().join("a.db")).unwrap();
    connection.execute("UPDATE version_info SET schema_version = 11", []).unwrap();
    let version = open("a.db", &[Direction::Minimize]).unwrap_err().to_string();
    assert!(version.contains("version 11 of Optuna's schema, expected 12"), "{version}");
}

#[test]
fn results_that_are_none_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut study = study(&directory, Options::default());
    let trial = study.ask().unwrap();
    for values in [vec![], vec![1.0, 2.0], vec![f64::NAN]] {
        assert!(study.tell(&trial, Outcome::Complete(values)).unwrap_err().to_string().contains("expected 1 numbers"));
    }
    study.tell(&trial, Outcome::Complete(vec![f64::INFINITY])).unwrap();
    let listed = study.trials().unwrap().remove(0);
    assert_eq!(listed.values, [f64::INFINITY]);
    assert!(study.tell(&listed, Outcome::Pruned).is_err());
}

/// A net's error and its size: the one grows where the other falls.
#[test]
fn several_objectives_have_a_front() {
    let space = || Space::from_toml("[space]\nx = { float = [0.0, 1.0] }\ny = { float = [0.0, 1.0] }").unwrap();
    let objectives = [Direction::Maximize, Direction::Minimize];
    let excess = |sampler: Sampler| {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { sampler, pruner: Pruner::Off, ..Options::default() };
        let mut study = Study::open(&directory.path().join("f.db"), "f", &objectives, space(), options).unwrap();
        for _ in 0..80 {
            let trial = study.ask().unwrap();
            let (x, y) = (trial.float("x").unwrap(), trial.float("y").unwrap());
            study.tell(&trial, Outcome::Complete(vec![x - y, x + y])).unwrap();
        }
        let front = study.front().unwrap();
        // From the most accurate on, each next one is smaller.
        assert!(front.windows(2).all(|pair| pair[0].values[0] > pair[1].values[0] && pair[0].values[1] > pair[1].values[1]));
        // None is better than those on the line where `y` is 0.
        (front.len(), front.iter().map(|trial| trial.float("y").unwrap()).sum::<f64>() / front.len() as f64)
    };
    let ((found, tpe), (by_chance, chance)) = (excess(Sampler::Tpe), excess(Sampler::Random));
    println!("80 trials: a front of {found}, on the mean {tpe:.3} from the best; by chance {by_chance}, {chance:.3}");
    assert!(found > by_chance && tpe < chance, "{found} {tpe}, {by_chance} {chance}");
}

#[test]
fn what_matters_is_told_from_what_does_not() {
    let space = "[space]\nmuch = { float = [0.0, 1.0] }\nlittle = { float = [0.0, 1.0] }\nnothing = { integer = [0, 9] }\n\
                 kind = { choice = [\"a\", \"b\", \"c\"] }\nsometimes = { float = [0.0, 1.0], when = { kind = \"a\" } }";
    let directory = tempfile::tempdir().unwrap();
    let options = Options { sampler: Sampler::Random, ..Options::default() };
    let space = Space::from_toml(space).unwrap();
    let mut study = Study::open(&directory.path().join("i.db"), "i", &[Direction::Maximize], space, options).unwrap();
    for _ in 0..200 {
        let trial = study.ask().unwrap();
        let is_b = f64::from(u8::from(trial.parameters["kind"] == "b"));
        // Far from linear: what is in the middle is best.
        let value = -4.0 * (trial.float("much").unwrap() - 0.5).abs() + 0.5 * trial.float("little").unwrap() + is_b;
        assert!(study.importance().unwrap().is_none() || trial.number >= 10);
        study.tell(&trial, Outcome::Complete(vec![value])).unwrap();
    }
    let found = study.importance().unwrap().unwrap();
    println!("{found:?}");
    assert_eq!(found.parameters.iter().map(|(name, _)| name.as_str()).take(2).collect::<Vec<_>>(), ["much", "kind"]);
    let of = |name: &str| found.parameters.iter().find(|(other, _)| other == name).unwrap().1;
    // Variances: 16/12 / 4, 1/48 and 2/9, of 0.576 in all.
    assert!(
        (of("much") - 0.58).abs() < 0.08 && (of("kind") - 0.39).abs() < 0.08 && (of("little") - 0.04).abs() < 0.03,
        "{found:?}"
    );
    assert!(of("nothing") < 0.02 && of("sometimes") < 0.02 && found.explained > 0.9, "{found:?}");
    assert!(found.pairs.windows(2).all(|pair| pair[0].1 >= pair[1].1) && found.pairs[0].1 < 0.03, "{found:?}");
}
