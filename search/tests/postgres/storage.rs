//! What a server does to a study: refusals, interruptions, Optuna's own package.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use samara_search::{Direction, Error, Options, Outcome, Sampler, Space, State, Storage, Study};
use serde_json::{Value, json};

use crate::server::Server;

const SPACE: &str =
    "[space]\nx = { float = [1e-3, 1.0], log = true }\nn = { integer = [1, 8] }\nkind = { choice = [\"even\", \"odd\"] }";

fn open(url: &str, directions: &[Direction], options: Options) -> Result<Study, Error> {
    Study::open_in(Storage::open(url)?, "function", directions, Space::from_toml(SPACE).unwrap(), options)
}

fn study(url: &str) -> Study {
    open(url, &[Direction::Minimize], Options::default()).unwrap()
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_gives_the_trials_that_a_file_gives() {
    let server = Server::start();
    // CMA-ES knows from the trials alone what it is to draw.
    for (sampler, database) in [(Sampler::Tpe, "estimators"), (Sampler::CmaEs, "generations")] {
        gives_the_same(&server, sampler, database);
    }
}

fn gives_the_same(server: &Server, sampler: Sampler, database: &str) {
    let place = tempfile::tempdir().unwrap();
    let storages = [server.database(database), place.path().join("studies.db").display().to_string()];
    let [on_server, in_file] = storages.map(|storage| {
        let begun = || open(&storage, &[Direction::Minimize], Options { sampler, ..Options::default() }).unwrap();
        let mut study = begun();
        for number in 0..25 {
            if number % 7 == 6 {
                study = begun();
            }
            let mut trial = study.ask().unwrap();
            study.note(&mut trial, "text", json!("ä' \" $1 ?1 {now}")).unwrap();
            study.report(&mut trial, 1, f64::NAN).unwrap();
            study.report(&mut trial, 1, 1.0 / f64::from(number)).unwrap();
            let value = trial.float("x").unwrap().log10().abs() + trial.integer("n").unwrap() as f64;
            match number {
                0 => study.tell(&trial, Outcome::Complete(vec![f64::NEG_INFINITY])).unwrap(),
                1 => study.tell(&trial, Outcome::Failed("no memory".to_owned())).unwrap(),
                2 => study.tell(&trial, Outcome::Pruned).unwrap(),
                _ => study.tell_limited(&trial, Outcome::Complete(vec![value]), &[value - 5.0]).unwrap(),
            }
        }
        study.describe("device", &json!({"ram": 32768})).unwrap();
        drop(study);
        // Read by another one, which remembers nothing.
        let mut storage = Storage::open(&storage).unwrap();
        assert_eq!(storage.attribute("function", "device").unwrap(), Some(json!({"ram": 32768})));
        assert_eq!(storage.studies().unwrap(), ["function"]);
        let mut again =
            Study::open_in(storage, "function", &[Direction::Minimize], Space::from_toml(SPACE).unwrap(), Options::default())
                .unwrap();
        again.trials().unwrap()
    });
    assert_eq!(on_server, in_file);
    assert_eq!((on_server[0].values[0], on_server[0].intermediate[0].1), (f64::NEG_INFINITY, f64::INFINITY));
    assert_eq!(on_server[1].notes["error"], "no memory");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_faults_are_told_in_a_sentence_and_lose_nothing() {
    let mut server = Server::start();
    let url = server.database("studies");
    let failed = |url: &str, directions: &[Direction]| open(url, directions, Options::default()).unwrap_err().to_string();
    let mut study = study(&url);
    let trial = study.ask().unwrap();
    assert!(
        failed(&server.url("nowhere"), &[Direction::Minimize])
            .ends_with("cannot be reached: database \"nowhere\" does not exist")
    );
    assert!(failed(&url, &[Direction::Maximize]).contains("has the objectives MINIMIZE, expected MAXIMIZE"));

    // A full disk, as PostgreSQL tells it.
    let mut client = server.client("studies");
    client
        .batch_execute(
            "CREATE FUNCTION full_disk() RETURNS trigger AS $$ BEGIN
               RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file \"base/1\": No space left on device'; END $$ LANGUAGE plpgsql;
             CREATE TRIGGER full_disk BEFORE INSERT ON trial_values EXECUTE FUNCTION full_disk();",
        )
        .unwrap();
    let full = study.tell(&trial, Outcome::Complete(vec![1.0])).unwrap_err().to_string();
    assert!(full.contains("the server's disk is full (could not extend file \"base/1\": No space left on device)"), "{full}");
    assert_eq!(study.trials().unwrap()[0].state, State::Running);
    client.batch_execute("DROP TRIGGER full_disk ON trial_values").unwrap();

    // The connection is ended by the server, then the server itself.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'samara'";
    assert_eq!(client.query(others, &[]).unwrap().len(), 1);
    drop(client);
    study.keep(&trial).unwrap();
    server.stop();
    let back = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        server.resume();
        server
    });
    study.tell(&trial, Outcome::Complete(vec![2.0])).unwrap();
    let server = back.join().unwrap();
    assert_eq!(study.best().unwrap().unwrap().values, [2.0]);
    assert!(matches!(study.tell(&trial, Outcome::Complete(vec![3.0])), Err(Error::Refused { trial: 0 })));

    server.client("studies").execute("UPDATE version_info SET schema_version = 11", &[]).unwrap();
    let version = failed(&url, &[Direction::Minimize]);
    assert!(
        version.contains("version 11 of Optuna's schema, expected 12") && version.starts_with("postgres://samara@127.0.0.1:"),
        "{version}"
    );
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_connections_are_encrypted_with_servers_that_are_known() {
    let place = tempfile::tempdir().unwrap();
    let certificate = place.path().join("server.crt");
    let server = Server::start_encrypted(&certificate);
    let url = server.database("studies");
    let opened = |query: &str| open(&format!("{url}{query}"), &[Direction::Minimize], Options::default());
    let refusal = |query: &str| opened(query).err().unwrap().to_string();
    let plain = refusal("");
    assert!(plain.contains("no encryption"), "{plain}");
    // Nobody speaks for a server that has signed for itself.
    let unknown = refusal("?sslmode=require");
    assert!(unknown.contains("invalid peer certificate") || unknown.contains("no certificates"), "{unknown}");
    let known = format!("?sslmode=require&sslrootcert={}", certificate.display());
    let mut study = opened(&known).unwrap();
    for _ in 0..3 {
        let trial = study.ask().unwrap();
        study.tell(&trial, Outcome::Complete(vec![trial.float("x").unwrap()])).unwrap();
    }
    // Another one reads them, and a lost connection is encrypted again.
    let mut again = opened(&known.replace("require", "verify-full")).unwrap();
    assert_eq!(again.trials().unwrap(), study.trials().unwrap());
    server
        .client("template1")
        .batch_execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'studies'")
        .unwrap();
    assert_eq!((again.trials().unwrap().len(), study.ask().unwrap().number), (3, 3));
    let find = "SELECT count(*) FILTER (WHERE s.ssl), count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.datname = 'studies'";
    let row = server.client("template1").query_one(find, &[]).unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 2));
    // A certificate for another name is none for this one.
    let elsewhere = format!("{}{known}", url.replace("127.0.0.1", "localhost"));
    let other = open(&elsewhere, &[Direction::Minimize], Options::default()).err().unwrap().to_string();
    assert!(other.contains("invalid peer certificate"), "{other}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_with_ten_thousand_trials_gives_the_next_at_once() {
    let server = Server::start();
    let url = server.database("studies");
    drop(study(&url));
    let fill = r#"
        INSERT INTO trials (number, study_id, state) SELECT g, 1, 'COMPLETE' FROM generate_series(0, 9999) g;
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) SELECT trial_id, 'x', 0.001 + (number % 997) / 1000.0,
          '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 1.0, "log": true}}' FROM trials;
        INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) SELECT trial_id, 'n', 1 + number % 8,
          '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 8}}' FROM trials;
        INSERT INTO trial_values (trial_id, objective, value, value_type) SELECT trial_id, 0, (number * 7919) % 10007, 'FINITE' FROM trials;"#;
    server.client("studies").batch_execute(fill).unwrap();
    let (mut study, started) = (study(&url), Instant::now());
    let first = study.ask().unwrap();
    let (read, started) = (started.elapsed(), Instant::now());
    let next = study.ask().unwrap();
    let asked = started.elapsed();
    println!("10,000 trials on a server: {read:?} to read them, then {asked:?} to ask for the next");
    assert_eq!((first.number, next.number), (10_000, 10_001));
    // A tenth of a second on a machine with nothing else to do.
    assert!(asked < Duration::from_secs(1), "{asked:?}");
}

/// Hands on what a client and a server say, but after each of these commits hangs up before the client hears that it was done.
fn deaf_proxy(server: &str, deaf: &'static [usize]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), server.to_owned());
    std::thread::spawn(move || {
        let mut commits = 0;
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
            let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let is_deaf = Arc::new(AtomicBool::new(false));
            let hangs_up = is_deaf.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 65536];
                while let Ok(length @ 1..) = back.read(&mut buffer) {
                    if hangs_up.load(Ordering::SeqCst) || to_client.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
                let _ = to_client.shutdown(Shutdown::Both);
            });
            let mut buffer = [0; 65536];
            while let Ok(length @ 1..) = client.read(&mut buffer) {
                if buffer[..length].windows(6).any(|window| window == b"COMMIT") {
                    is_deaf.store(deaf.contains(&commits), Ordering::SeqCst);
                    commits += 1;
                }
                if server.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = server.shutdown(Shutdown::Both);
        }
    });
    port
}

/// The answer to a commit is lost: nobody knows whether it was done, and it was. It is not done twice.
#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_commits_whose_answer_is_lost_count_once() {
    const DEAF: [usize; 12] = [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26];
    let server = Server::start();
    let url = server.database("studies");
    let address = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let port = deaf_proxy(address, &DEAF);
    let mut study = study(&format!("postgres://samara@127.0.0.1:{port}/studies"));
    for number in 0..8 {
        let mut trial = study.ask().unwrap();
        assert_eq!((trial.number, trial.attempt), (number, 1));
        study.note(&mut trial, "text", json!(number)).unwrap();
        study.report(&mut trial, 1, 0.5).unwrap();
        study.tell(&trial, Outcome::Complete(vec![number as f64])).unwrap();
    }
    let trials = self::study(&url).trials().unwrap();
    let found: Vec<_> = trials.iter().map(|trial| (trial.number, trial.state, trial.values.clone())).collect();
    let expected: Vec<_> = (0..8).map(|number| (number, State::Complete, vec![number as f64])).collect();
    assert_eq!(found, expected);
    assert!(trials.iter().all(|trial| !trial.notes.contains_key("interrupted")), "{trials:?}");
}

/// Who waits is woken by what happens, not by a clock.
#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_wakes_who_waits() {
    let server = Server::start();
    let url = server.database("studies");
    let (mut one, mut other) = (study(&url), study(&url));
    assert!(!one.wait(Duration::from_secs(30)).unwrap(), "nothing runs");
    let trial = other.ask().unwrap();
    let started = Instant::now();
    let worker = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        other.tell(&trial, Outcome::Complete(vec![1.0])).unwrap();
    });
    while one.wait(Duration::from_secs(30)).unwrap() {}
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&started.elapsed()), "{:?}", started.elapsed());
    worker.join().unwrap();
    // One that was given back is there at once, and its attempt was none.
    let trial = one.ask().unwrap();
    one.release(&trial).unwrap();
    let again = one.ask().unwrap();
    assert_eq!((again.number, again.attempt, again.notes.get("interrupted")), (trial.number, 1, None));
}

#[test]
#[ignore = "needs PostgreSQL and Optuna"]
fn optuna_reads_and_adds_trials_on_a_server() {
    const THEIRS: usize = 6;
    let server = Server::start();
    let url = server.database("studies");
    let mut ours = study(&url);
    for number in 0..12 {
        let mut trial = ours.ask().unwrap();
        ours.report(&mut trial, 1, f64::from(number) + 0.5).unwrap();
        let outcome = match number {
            3 => Outcome::Pruned,
            5 => Outcome::Failed("no memory".to_owned()),
            11 => break,
            _ => Outcome::Complete(vec![f64::from(number)]),
        };
        ours.tell(&trial, outcome).unwrap();
    }
    let before = ours.trials().unwrap();
    let python = std::env::var("SAMARA_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/optuna/take_part.py");
    let theirs = url.replace("postgres://", "postgresql+psycopg2://");
    let output = Command::new(&python).arg(script).args([&theirs, &THEIRS.to_string()]).output().unwrap();
    assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let seen = seen["trials"].as_array().unwrap();
    assert_eq!(seen.len(), before.len());
    for (ours, theirs) in before.iter().zip(seen) {
        assert_eq!((theirs["number"].as_u64(), &theirs["params"]), (Some(ours.number), &json!(ours.parameters)));
        assert_eq!(
            (theirs["steps"]["1"].as_f64(), theirs["ended"].as_bool()),
            (Some(ours.intermediate[0].1), Some(ours.state.is_finished()))
        );
        if ours.state == State::Complete {
            assert_eq!(theirs["values"], json!(ours.values));
        }
    }
    let after = ours.trials().unwrap();
    assert_eq!(after.len(), before.len() + THEIRS);
    for theirs in &after[before.len()..] {
        let (x, n) = (theirs.float("x").unwrap(), theirs.integer("n").unwrap() as f64);
        let value = x.log10().powi(2) + n + if theirs.parameters["kind"] == "odd" { 1.0 } else { 0.0 };
        assert!(theirs.state == State::Complete && (theirs.values[0] - value).abs() < 1e-9, "{theirs:?}");
    }
    assert_eq!(study(&url).ask().unwrap().number, after.len() as u64);
}
