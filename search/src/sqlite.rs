//! Studies in an SQLite file, in Optuna's relational schema, version 12, and a table of leases.
//!
//! A **lease** is the right to work on a trial that runs: a random token for each attempt, and a time, by the database's clock, at
//! which it ends unless it was renewed. Whoever writes shows the token; a worker that was thought dead and comes back is refused. What
//! ends without a result was interrupted, not failed: it is given out again, as often as is allowed.

use crate::{Direction, Distribution, Error, Outcome, Result, State, Value};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of Optuna's schema that this reads and writes.
const SCHEMA_VERSION: i64 = 12;
/// What Optuna's migrations call it.
const SCHEMA_NAME: &str = "v3.2.0.a";
/// How long to wait for others who write.
const PATIENCE: Duration = Duration::from_secs(60);
/// The present, as Optuna writes times.
const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f000', 'now', 'localtime')";

/// Tables that are not there yet.
const TABLES: &str = r#"
CREATE TABLE IF NOT EXISTS studies (study_id INTEGER NOT NULL PRIMARY KEY, study_name VARCHAR(512) NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);
CREATE TABLE IF NOT EXISTS version_info (version_info_id INTEGER NOT NULL PRIMARY KEY CHECK (version_info_id = 1),
  schema_version INTEGER, library_version VARCHAR(256));
CREATE TABLE IF NOT EXISTS study_directions (study_direction_id INTEGER NOT NULL PRIMARY KEY, direction VARCHAR(8) NOT NULL,
  study_id INTEGER NOT NULL REFERENCES studies (study_id), objective INTEGER NOT NULL, UNIQUE (study_id, objective));
CREATE TABLE IF NOT EXISTS study_user_attributes (study_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE IF NOT EXISTS study_system_attributes (study_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
  study_id INTEGER REFERENCES studies (study_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE IF NOT EXISTS trials (trial_id INTEGER NOT NULL PRIMARY KEY, number INTEGER,
  study_id INTEGER REFERENCES studies (study_id), state VARCHAR(8) NOT NULL, datetime_start DATETIME, datetime_complete DATETIME);
CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);
CREATE TABLE IF NOT EXISTS trial_user_attributes (trial_user_attribute_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE IF NOT EXISTS trial_system_attributes (trial_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER REFERENCES trials (trial_id), "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE IF NOT EXISTS trial_params (param_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER REFERENCES trials (trial_id),
  param_name VARCHAR(512), param_value FLOAT, distribution_json TEXT, UNIQUE (trial_id, param_name));
CREATE TABLE IF NOT EXISTS trial_values (trial_value_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), objective INTEGER NOT NULL, value FLOAT, value_type VARCHAR(7) NOT NULL,
  UNIQUE (trial_id, objective));
CREATE TABLE IF NOT EXISTS trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), step INTEGER NOT NULL, intermediate_value FLOAT,
  intermediate_value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, step));
CREATE TABLE IF NOT EXISTS trial_heartbeats (trial_heartbeat_id INTEGER NOT NULL PRIMARY KEY,
  trial_id INTEGER NOT NULL REFERENCES trials (trial_id), heartbeat DATETIME NOT NULL, UNIQUE (trial_id));
CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY);
CREATE TABLE IF NOT EXISTS samara_leases (trial_id INTEGER NOT NULL PRIMARY KEY REFERENCES trials (trial_id), token TEXT NOT NULL,
  attempt INTEGER NOT NULL, ends REAL NOT NULL);
"#;

/// A trial as the tables have it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub id: i64,
    pub number: u64,
    pub state: State,
    pub parameters: HashMap<String, (Value, Distribution)>,
    /// One for each objective, of finished ones.
    pub values: Vec<f64>,
    pub intermediate: Vec<(u64, f64)>,
    pub user: HashMap<String, Json>,
    /// Above 0 where a limit was passed.
    pub constraints: Vec<f64>,
}

/// The right to work on a trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lease {
    pub trial: i64,
    pub token: String,
    /// From 1.
    pub attempt: u32,
}

/// A file with studies.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Connection,
}

impl Database {
    /// Opens a file, or makes it.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| storage(path, error);
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
        let mut database = Self { path: path.to_owned(), connection };
        let is_there = "SELECT count(*) FROM sqlite_master WHERE name = 'version_info'";
        let found = database.within(|transaction| {
            if transaction.query_row(is_there, [], |row| row.get::<_, i64>(0))? > 0 {
                let version = "SELECT schema_version FROM version_info";
                let found = transaction.query_row(version, [], |row| row.get::<_, i64>(0)).optional()?;
                if found.is_some_and(|found| found != SCHEMA_VERSION) {
                    return Ok(found);
                }
            }
            transaction.execute_batch(TABLES)?;
            let version = "INSERT OR IGNORE INTO version_info VALUES (1, ?1, ?2)";
            transaction.execute(version, params![SCHEMA_VERSION, concat!("samara ", env!("CARGO_PKG_VERSION"))])?;
            transaction.execute("INSERT OR IGNORE INTO alembic_version VALUES (?1)", [SCHEMA_NAME])?;
            Ok(None)
        })?;
        match found {
            None => Ok(database),
            Some(found) => {
                let what = format!(
                    "its studies have version {found} of Optuna's schema, expected {SCHEMA_VERSION}: `optuna storage upgrade` makes newer ones of older ones"
                );
                Err(Error::Storage { path: path.to_owned(), what })
            }
        }
    }

    /// All or nothing, with nobody else writing.
    fn within<T>(&mut self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let done = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|error| storage(&self.path, error))
    }

    /// The study of this name, which is made if there is none.
    pub fn study(&mut self, name: &str, directions: &[Direction]) -> Result<i64> {
        let (id, found) = self.within(|transaction| {
            let id = "SELECT study_id FROM studies WHERE study_name = ?1";
            if let Some(id) = transaction.query_row(id, [name], |row| row.get::<_, i64>(0)).optional()? {
                let mut found =
                    transaction.prepare("SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY objective")?;
                let found = found.query_map([id], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
                return Ok((id, Some(found)));
            }
            transaction.execute("INSERT INTO studies (study_name) VALUES (?1)", [name])?;
            let id = transaction.last_insert_rowid();
            for (objective, direction) in directions.iter().enumerate() {
                let add = "INSERT INTO study_directions (direction, study_id, objective) VALUES (?1, ?2, ?3)";
                transaction.execute(add, params![direction.name(), id, objective as i64])?;
            }
            Ok((id, None))
        })?;
        let expected: Vec<&str> = directions.iter().map(|direction| direction.name()).collect();
        match found {
            Some(found) if found != expected => {
                let what =
                    format!("the study {name:?} has the objectives {}, expected {}", found.join(", "), expected.join(", "));
                Err(Error::Storage { path: self.path.clone(), what })
            }
            _ => Ok(id),
        }
    }

    /// Id, state and number of all trials of a study, in the order of numbers.
    pub fn states(&self, study: i64) -> Result<Vec<(i64, State)>> {
        let read = || -> rusqlite::Result<Vec<(i64, String)>> {
            let mut query =
                self.connection.prepare_cached("SELECT trial_id, state FROM trials WHERE study_id = ?1 ORDER BY number")?;
            query.query_map([study], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        let rows = read().map_err(|error| storage(&self.path, error))?;
        rows.into_iter().map(|(id, state)| Ok((id, self.state(&state)?))).collect()
    }

    fn state(&self, name: &str) -> Result<State> {
        let unknown = || Error::Storage { path: self.path.clone(), what: format!("{name:?} is no state of a trial") };
        State::from_name(name).ok_or_else(unknown)
    }

    /// All that is known of a trial.
    pub fn record(&self, id: i64) -> Result<Record> {
        let failed = |error: rusqlite::Error| storage(&self.path, error);
        let damaged = |what: &str| Error::Storage { path: self.path.clone(), what: format!("trial with the id {id}: {what}") };
        let head = "SELECT number, state FROM trials WHERE trial_id = ?1";
        let head = self.connection.query_row(head, [id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let (number, state) = head.map_err(failed)?;
        let mut parameters = HashMap::new();
        for (name, number, distribution) in self.rows::<(String, f64, String)>(
            "SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ?1",
            id,
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )? {
            let json: Json = serde_json::from_str(&distribution).map_err(|_| damaged("a distribution is no JSON"))?;
            let distribution = Distribution::from_json(&json).ok_or_else(|| damaged("a distribution of no known kind"))?;
            let value = distribution.value(number).ok_or_else(|| damaged("a value outside of its distribution"))?;
            parameters.insert(name, (value, distribution));
        }
        let values = self.rows::<(f64, String)>(
            "SELECT coalesce(value, 0), value_type FROM trial_values WHERE trial_id = ?1 ORDER BY objective",
            id,
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        let intermediate = self.rows::<(i64, f64, String)>(
            "SELECT step, coalesce(intermediate_value, 0), intermediate_value_type FROM trial_intermediate_values WHERE trial_id = ?1 ORDER BY step",
            id,
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let attributes = |table: &str| -> Result<HashMap<String, Json>> {
            let query = format!("SELECT \"key\", value_json FROM {table} WHERE trial_id = ?1");
            let rows = self.rows::<(String, String)>(&query, id, |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.into_iter().filter_map(|(key, text)| Some((key, serde_json::from_str(&text).ok()?))).collect())
        };
        let system = attributes("trial_system_attributes")?;
        let constraints = system.get("constraints").and_then(Json::as_array);
        Ok(Record {
            id,
            number: number as u64,
            state: self.state(&state)?,
            parameters,
            values: values.into_iter().map(|(value, kind)| read_number(value, &kind)).collect(),
            intermediate: intermediate
                .into_iter()
                .map(|(step, value, kind)| (step as u64, read_number(value, &kind)))
                .collect(),
            user: attributes("trial_user_attributes")?,
            constraints: constraints.into_iter().flatten().filter_map(Json::as_f64).collect(),
        })
    }

    fn rows<T>(&self, query: &str, id: i64, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>> {
        let all = || -> rusqlite::Result<Vec<T>> {
            self.connection.prepare_cached(query)?.query_map([id], |row| read(row))?.collect()
        };
        all().map_err(|error| storage(&self.path, error))
    }

    /// A trial whose lease ended without a result, with a new lease of so many seconds; one that was given out `attempts` times is
    /// failed instead.
    pub fn take_over(&mut self, study: i64, token: &str, seconds: f64, attempts: u32) -> Result<Option<Lease>> {
        self.within(|transaction| {
            let ended = "SELECT l.trial_id, l.attempt FROM samara_leases l JOIN trials t ON t.trial_id = l.trial_id
                WHERE t.study_id = ?1 AND t.state = 'RUNNING' AND l.ends < unixepoch('subsec') ORDER BY l.trial_id";
            let mut ended = transaction.prepare_cached(ended)?;
            let ended = ended.query_map([study], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?)))?.collect::<rusqlite::Result<Vec<(i64, u32)>>>()?;
            for (trial, attempt) in ended {
                if attempt >= attempts {
                    set_attribute(transaction, "trial_user_attributes", trial, "interrupted", &Json::from(attempt))?;
                    finish(transaction, trial, State::Fail)?;
                    continue;
                }
                let renew = "UPDATE samara_leases SET token = ?2, attempt = attempt + 1, ends = unixepoch('subsec') + ?3 WHERE trial_id = ?1";
                transaction.execute(renew, params![trial, token, seconds])?;
                // What the attempt before reported would be told twice.
                transaction.execute("DELETE FROM trial_intermediate_values WHERE trial_id = ?1", [trial])?;
                return Ok(Some(Lease { trial, token: token.to_owned(), attempt: attempt + 1 }));
            }
            Ok(None)
        })
    }

    /// A new trial with these parameters.
    pub fn begin(
        &mut self,
        study: i64,
        parameters: &[(&str, Value, &Distribution)],
        user: &[(&str, Json)],
        token: &str,
        seconds: f64,
    ) -> Result<(Lease, u64)> {
        self.within(|transaction| {
            let count = "SELECT count(*) FROM trials WHERE study_id = ?1";
            let number: i64 = transaction.query_row(count, [study], |row| row.get(0))?;
            let add = format!("INSERT INTO trials (number, study_id, state, datetime_start) VALUES (?1, ?2, 'RUNNING', {NOW})");
            transaction.execute(&add, params![number, study])?;
            let trial = transaction.last_insert_rowid();
            for (name, value, distribution) in parameters {
                let add =
                    "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)";
                transaction
                    .execute(add, params![trial, name, Distribution::number(value), distribution.to_json().to_string()])?;
            }
            for (key, value) in user {
                set_attribute(transaction, "trial_user_attributes", trial, key, value)?;
            }
            let lease = "INSERT INTO samara_leases VALUES (?1, ?2, 1, unixepoch('subsec') + ?3)";
            transaction.execute(lease, params![trial, token, seconds])?;
            Ok((Lease { trial, token: token.to_owned(), attempt: 1 }, number as u64))
        })
    }

    /// Writes with a lease, which is renewed; `false` if it is not the trial's any more.
    fn with_lease(
        &mut self,
        lease: &Lease,
        seconds: f64,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<bool> {
        self.within(|transaction| {
            let renew = "UPDATE samara_leases SET ends = unixepoch('subsec') + ?3 WHERE trial_id = ?1 AND token = ?2
                AND EXISTS (SELECT 1 FROM trials t WHERE t.trial_id = ?1 AND t.state = 'RUNNING')";
            if transaction.execute(renew, params![lease.trial, lease.token, seconds])? == 0 {
                return Ok(false);
            }
            work(transaction)?;
            Ok(true)
        })
    }

    /// Renews a lease.
    pub fn renew(&mut self, lease: &Lease, seconds: f64) -> Result<bool> {
        self.with_lease(lease, seconds, |_| Ok(()))
    }

    /// Keeps a value of a step.
    pub fn report(&mut self, lease: &Lease, seconds: f64, step: u64, value: f64) -> Result<bool> {
        self.with_lease(lease, seconds, |transaction| {
            let (value, kind) = written(value);
            let add =
                "INSERT OR REPLACE INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
                VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(add, params![lease.trial, step as i64, value, kind]).map(|_| ())
        })
    }

    /// Keeps something that is known of a trial.
    pub fn note(&mut self, lease: &Lease, seconds: f64, key: &str, value: &Json) -> Result<bool> {
        self.with_lease(lease, seconds, |transaction| {
            set_attribute(transaction, "trial_user_attributes", lease.trial, key, value)
        })
    }

    /// Ends a trial.
    pub fn tell(&mut self, lease: &Lease, outcome: &Outcome, constraints: &[f64]) -> Result<bool> {
        self.with_lease(lease, 0.0, |transaction| {
            if !constraints.is_empty() {
                set_attribute(transaction, "trial_system_attributes", lease.trial, "constraints", &Json::from(constraints))?;
            }
            let state = match outcome {
                Outcome::Complete(values) => {
                    for (objective, value) in values.iter().enumerate() {
                        let (value, kind) = written(*value);
                        let add = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, ?2, ?3, ?4)";
                        transaction.execute(add, params![lease.trial, objective as i64, value, kind])?;
                    }
                    State::Complete
                }
                Outcome::Pruned => State::Pruned,
                Outcome::Failed(reason) => {
                    set_attribute(transaction, "trial_user_attributes", lease.trial, "error", &Json::from(reason.as_str()))?;
                    State::Fail
                }
            };
            finish(transaction, lease.trial, state)
        })
    }
}

#[cfg(test)]
impl Database {
    /// So many complete trials of two parameters.
    pub fn fill_for_tests(&mut self, study: i64, trials: usize) {
        let range = Distribution::Float { low: -4.0, high: 4.0, log: false, step: None }.to_json().to_string();
        self.within(|transaction| {
            for number in 0..trials as i64 {
                transaction.execute("INSERT INTO trials (number, study_id, state) VALUES (?1, ?2, 'COMPLETE')", params![number, study])?;
                let trial = transaction.last_insert_rowid();
                for name in ["x", "y"] {
                    let value = (number as f64 * if name == "x" { 0.37 } else { 0.11 }).sin() * 4.0;
                    let add = "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4)";
                    transaction.execute(add, params![trial, name, value, range])?;
                }
                let add = "INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?1, 0, ?2, 'FINITE')";
                transaction.execute(add, params![trial, number as f64 / 100.0])?;
            }
            Ok(())
        })
        .unwrap();
    }
}

fn storage(path: &Path, error: rusqlite::Error) -> Error {
    Error::Storage { path: path.to_owned(), what: error.to_string() }
}

fn finish(transaction: &Transaction<'_>, trial: i64, state: State) -> rusqlite::Result<()> {
    let set = format!("UPDATE trials SET state = ?2, datetime_complete = {NOW} WHERE trial_id = ?1");
    transaction.execute(&set, params![trial, state.name()]).map(|_| ())
}

fn set_attribute(transaction: &Transaction<'_>, table: &str, trial: i64, key: &str, value: &Json) -> rusqlite::Result<()> {
    let set = format!("INSERT OR REPLACE INTO {table} (trial_id, \"key\", value_json) VALUES (?1, ?2, ?3)");
    transaction.execute(&set, params![trial, key, value.to_string()]).map(|_| ())
}

/// A number and its kind, as Optuna writes those that SQL does not have.
fn written(value: f64) -> (Option<f64>, &'static str) {
    match value {
        value if value.is_finite() => (Some(value), "FINITE"),
        value if value.is_nan() => (None, "NAN"),
        f64::INFINITY => (None, "INF_POS"),
        _ => (None, "INF_NEG"),
    }
}

fn read_number(value: f64, kind: &str) -> f64 {
    match kind {
        "INF_POS" => f64::INFINITY,
        "INF_NEG" => f64::NEG_INFINITY,
        "NAN" => f64::NAN,
        _ => value,
    }
}
