//! Workers that are killed, and a server that is started again: no trial is lost, none counts twice, every attempt is accounted for.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use samara_search::{Direction, Options, Space, State, Storage, Study};

use crate::network::Network;
use crate::server::Server;

const WORKERS: usize = 8;
const TRIALS: usize = 400;
/// Of the order in which workers are killed.
const SEED: u64 = 20_261_201;
/// Seconds: of a lease, and of each of a trial's three steps.
const LEASE: &str = "1.5";
const STEP: &str = "0.05";
/// Longer than the whole test should take.
const LIMIT: Duration = Duration::from_secs(120);

/// The example of the crate, built as the tests were.
fn program() -> PathBuf {
    let mut directory = std::env::current_exe().unwrap();
    // Out of `deps`.
    directory.pop();
    directory.pop();
    let program = directory.join("examples/study");
    assert!(program.exists(), "{} is missing: `cargo test` builds it, unless it is told what to build", program.display());
    program
}

/// What a worker said, by the attempt: trial and how manieth time it was begun.
#[derive(Default)]
struct Said {
    began: Vec<(u64, u32)>,
    ended: HashSet<(u64, u32)>,
    refused: HashSet<(u64, u32)>,
}

impl Said {
    fn read(logs: &[PathBuf]) -> Self {
        let mut said = Self::default();
        for log in logs {
            for line in fs::read_to_string(log).unwrap().lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [what, trial, attempt] = words[..] else { continue };
                let (Ok(trial), Ok(attempt)) = (trial.parse(), attempt.parse()) else { continue };
                match what {
                    "began" => said.began.push((trial, attempt)),
                    "ended" => assert!(said.ended.insert((trial, attempt)), "trial {trial} ended twice"),
                    "refused" => assert!(said.refused.insert((trial, attempt))),
                    _ => {}
                }
            }
        }
        said
    }
}

struct Workers<'a> {
    network: Option<&'a Network>,
    url: String,
    directory: &'a Path,
    running: Vec<Child>,
    logs: Vec<PathBuf>,
}

impl Workers<'_> {
    fn begin(&mut self, place: usize) -> Child {
        let log = self.directory.join(format!("worker-{}", self.logs.len()));
        let mut command = match self.network {
            Some(network) => network.command(place, program()),
            None => Command::new(program()),
        };
        command.args([&self.url, &TRIALS.to_string(), "--lease", LEASE, "--step", STEP]).stdin(Stdio::null());
        command.stdout(File::create(&log).unwrap()).stderr(File::create(log.with_extension("errors")).unwrap());
        self.logs.push(log);
        command.spawn().unwrap()
    }

    /// Kills one without a warning, and begins another in its place.
    fn replace(&mut self, place: usize) {
        self.running[place].kill().unwrap();
        self.running[place].wait().unwrap();
        self.running[place] = self.begin(place);
    }
}

/// The random numbers of the kills (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn study(url: &str) -> Study {
    let space =
        "[space]\nx = { float = [1e-3, 1.0], log = true }\nn = { integer = [1, 8] }\nkind = { choice = [\"even\", \"odd\"] }";
    let (storage, space) = (Storage::open(url).unwrap(), Space::from_toml(space).unwrap());
    Study::open_in(storage, "function", &[Direction::Minimize], space, Options::default()).unwrap()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_workers_that_are_killed_lose_nothing() {
    let network = Network::new(WORKERS);
    if network.is_none() {
        println!("this process may make no network namespaces: the workers are plain processes");
    }
    let address = network.as_ref().map(Network::address);
    let mut server = Server::start_for(address.as_deref().map(|address| (address, 24)));
    server.database("studies");
    let directory = tempfile::tempdir().unwrap();
    let url = server.url_at(address.as_deref().unwrap_or("127.0.0.1"), "studies");
    let mut workers =
        Workers { network: network.as_ref(), url, directory: directory.path(), running: Vec::new(), logs: Vec::new() };
    for place in 0..WORKERS {
        let worker = workers.begin(place);
        workers.running.push(worker);
    }

    let (mut random, started, mut kills, mut was_restarted) = (Random(SEED), Instant::now(), 0, false);
    let mut observer = study(&server.url("studies"));
    loop {
        let trials = observer.trials().unwrap();
        let (begun, ended) = (trials.len(), trials.iter().filter(|trial| trial.state.is_finished()).count());
        assert!(started.elapsed() < LIMIT, "{ended} of {begun} trials ended");
        if begun >= TRIALS {
            break;
        }
        if begun >= TRIALS / 2 && !was_restarted {
            server.stop();
            std::thread::sleep(Duration::from_millis(500));
            server.resume();
            was_restarted = true;
        }
        std::thread::sleep(Duration::from_millis(60 + random.below(120)));
        workers.replace(random.below(WORKERS as u64) as usize);
        kills += 1;
    }
    for (place, worker) in workers.running.iter_mut().enumerate() {
        while worker.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < LIMIT, "worker {place} does not come to an end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    // Who was not killed ended by itself and well, the restart notwithstanding.
    for log in &workers.logs {
        let errors = fs::read_to_string(log.with_extension("errors")).unwrap();
        assert!(errors.is_empty(), "{}: {errors}", log.display());
    }
    let codes: Vec<_> = workers.running.iter_mut().map(|worker| worker.wait().unwrap().code()).collect();
    assert_eq!(codes, [Some(0); WORKERS]);

    // No trial is lost, none counts twice.
    let trials = observer.trials().unwrap();
    assert_eq!(trials.iter().map(|trial| trial.number).collect::<Vec<_>>(), (0..TRIALS as u64).collect::<Vec<_>>());
    for trial in &trials {
        assert!(trial.state == State::Complete || trial.state == State::Pruned, "{trial:?}");
        let kind = if trial.parameters["kind"] == "even" { 0.0 } else { 1.0 };
        let value = (trial.float("x").unwrap().log10() + 2.0).powi(2) + (trial.integer("n").unwrap() as f64 - 5.0).abs() + kind;
        match trial.state {
            State::Complete => assert!(trial.values.len() == 1 && (trial.values[0] - value).abs() < 1e-12, "{trial:?}"),
            _ => assert!(trial.values.is_empty(), "{trial:?}"),
        }
        for (step, reported) in &trial.intermediate {
            assert!((reported - value - 1.0 / *step as f64).abs() < 1e-12, "{trial:?}");
        }
    }

    // Every attempt: all but a trial's last were interrupted, by a kill or because the lease ended while the server was away.
    let said = Said::read(&workers.logs);
    let attempts: HashMap<u64, u32> = observer.attempts().unwrap().into_iter().collect();
    assert_eq!(attempts.len(), TRIALS);
    let began: HashSet<(u64, u32)> = said.began.iter().copied().collect();
    assert_eq!(began.len(), said.began.len(), "no attempt was given out twice");
    let (mut unsaid, mut cut, mut unsaid_ends) = (0, 0, 0);
    for trial in &trials {
        let last = attempts[&trial.number];
        let interrupted = trial.notes.get("interrupted").and_then(serde_json::Value::as_u64).unwrap_or(0);
        assert_eq!(interrupted, u64::from(last) - 1, "{trial:?}");
        for attempt in 1..=last {
            let attempt = (trial.number, attempt);
            let is_last = attempt.1 == last;
            assert!(is_last || !said.ended.contains(&attempt), "{attempt:?} ended, and was begun again");
            if !began.contains(&attempt) {
                // Killed between the database's answer and the worker's own line.
                unsaid += 1;
            } else if is_last {
                unsaid_ends += usize::from(!said.ended.contains(&attempt));
            } else if !said.refused.contains(&attempt) {
                cut += 1;
            }
        }
    }
    let known: u32 = attempts.values().sum();
    assert!(began.iter().all(|(trial, attempt)| *attempt <= attempts[trial]), "an attempt that the database does not know");
    assert!(said.refused.iter().all(|(trial, attempt)| *attempt < attempts[trial]), "a last attempt was refused");
    // Each kill ends at most one attempt.
    assert!(unsaid + cut + unsaid_ends <= kills, "{unsaid}, {cut} and {unsaid_ends} attempts, {kills} kills");
    assert!(was_restarted && cut > 10, "the test is to interrupt: {cut} of {kills} kills did");
    println!(
        "{WORKERS} workers{}, {TRIALS} trials, {known} attempts: {TRIALS} ended, {cut} cut by kills, {} refused after the lease had ended, {} not \
         told of by their workers; {kills} kills, 1 restart of the server, {:.0} s",
        if network.is_some() { " in network namespaces of their own" } else { "" },
        said.refused.len(),
        unsaid + unsaid_ends,
        started.elapsed().as_secs_f64()
    );
}
