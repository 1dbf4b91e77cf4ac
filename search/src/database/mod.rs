//! Studies in Optuna's relational schema, version 12, and a table of leases; in an SQLite file or on a PostgreSQL server.
//!
//! A **lease** is the right to work on a trial that runs: a random token for each attempt, and a time, by the database's clock, at
//! which it ends unless it was renewed. Whoever writes shows the token; a worker that was thought dead and comes back is refused. What
//! ends without a result was interrupted, not failed: it is given out again, as often as is allowed.
//!
//! A transaction may be done again after a lost connection (`again`), when nobody knows whether it was done the first time: those
//! that must not be done twice look for their token first.

#[cfg(feature = "postgres")]
mod encryption;
mod engine;
mod leases;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use crate::evolution::{self, Origin};
use crate::{Direction, Distribution, Error, Result, State, Value};
use engine::{Access, Engine, Fault, Row, Session, cells};
pub(crate) use leases::{Beginning, Lease};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// The version of Optuna's schema that this reads and writes.
const SCHEMA_VERSION: i64 = 12;
/// What Optuna's migrations call it.
const SCHEMA_NAME: &str = "v3.2.0.a";
/// Tables, in words of [`engine::Dialect`].
const TABLES: &str = include_str!("schema.sql");
/// What the URLs of files begin with.
const FILE_SCHEME: &str = "sqlite:///";
/// What the URLs of servers begin with.
const SERVER_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// Trials that are read at once.
const AT_ONCE: usize = 500;

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
    /// Of one that CMA-ES drew.
    pub origin: Option<Origin>,
}

/// A database with studies.
#[derive(Debug)]
pub struct Storage {
    engine: Box<dyn Engine>,
}

impl Storage {
    /// Opens the database at a URL, `postgres://USER@HOST:PORT/DATABASE` (the password there or in `PGPASSWORD`), or in an SQLite file,
    /// a path or `sqlite:///PATH`. Tables that are missing are made.
    ///
    /// # Errors
    /// If it cannot be reached or is none, or its studies are of another version.
    pub fn open(url: &str) -> Result<Self> {
        if SERVER_SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Self::server(url);
        }
        if let Some((scheme, _)) = url.split_once("://").filter(|_| !url.starts_with(FILE_SCHEME)) {
            let what = format!("storages are {} and files, or {FILE_SCHEME}PATH", SERVER_SCHEMES.join(", "));
            return Err(Error::Storage { storage: format!("{scheme}://..."), what });
        }
        Self::file(Path::new(url.strip_prefix(FILE_SCHEME).unwrap_or(url)))
    }

    /// Opens an SQLite file, or makes it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn file(path: &Path) -> Result<Self> {
        let failed = |fault: Fault| Error::Storage { storage: path.display().to_string(), what: fault.to_string() };
        Self { engine: Box::new(sqlite::Sqlite::open(path).map_err(failed)?) }.prepared()
    }

    #[cfg(feature = "postgres")]
    fn server(url: &str) -> Result<Self> {
        let failed = |(storage, fault): (String, Fault)| Error::Storage { storage, what: fault.to_string() };
        Self { engine: Box::new(postgres::Postgres::open(url).map_err(failed)?) }.prepared()
    }

    #[cfg(not(feature = "postgres"))]
    fn server(_: &str) -> Result<Self> {
        let what = "this program was built without PostgreSQL, the feature postgres".to_owned();
        Err(Error::Storage { storage: "postgres://...".to_owned(), what })
    }

    /// With all tables.
    fn prepared(mut self) -> Result<Self> {
        let preparation = self.engine.preparation();
        let has = |session: &mut dyn Session, name: &str| -> Result<bool, Fault> {
            let count = session.query("SELECT count(*) FROM {tables} = ?1", cells![name])?;
            Ok(first(&count)?.integer(0)? > 0)
        };
        let version = |session: &mut dyn Session| -> Result<Option<i64>, Fault> {
            let found = session.query("SELECT schema_version FROM version_info", &[])?;
            found.first().map(|row| row.integer(0)).transpose()
        };
        // A user who may not make tables may still work with those that are there.
        let found = self.read(|session| {
            let is_whole = has(session, "version_info")? && has(session, "samara_leases")?;
            if is_whole { version(session) } else { Ok(None) }
        })?;
        let found = match found {
            Some(found) => found,
            None => self.write(|session, _| {
                session.batch(preparation)?;
                if has(session, "version_info")?
                    && let Some(found) = version(session)?.filter(|found| *found != SCHEMA_VERSION)
                {
                    return Ok(found);
                }
                session.batch(TABLES)?;
                let own = "INSERT INTO version_info VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING";
                session.execute(own, cells![SCHEMA_VERSION, concat!("samara ", env!("CARGO_PKG_VERSION"))])?;
                session.execute("INSERT INTO alembic_version VALUES (?1) ON CONFLICT DO NOTHING", cells![SCHEMA_NAME])?;
                Ok(SCHEMA_VERSION)
            })?,
        };
        if found == SCHEMA_VERSION {
            return Ok(self);
        }
        let what = format!(
            "its studies have version {found} of Optuna's schema, expected {SCHEMA_VERSION}: `optuna storage upgrade` makes newer ones of older ones"
        );
        Err(self.error(what))
    }

    /// What people call it: a path, or a URL without its password.
    pub fn shown(&self) -> &str {
        self.engine.shown()
    }

    fn error(&self, what: impl ToString) -> Error {
        Error::Storage { storage: self.shown().to_owned(), what: what.to_string() }
    }

    fn within<T>(&mut self, access: Access, mut work: impl FnMut(&mut dyn Session, bool) -> Result<T, Fault>) -> Result<T> {
        let mut done = None;
        let result = self.engine.within(access, &mut |session, again| {
            done = Some(work(session, again)?);
            Ok(())
        });
        match (result, done) {
            (Ok(()), Some(done)) => Ok(done),
            (Err(fault), _) => Err(self.error(fault)),
            (Ok(()), None) => Err(self.error("a transaction was not begun")),
        }
    }

    fn read<T>(&mut self, mut work: impl FnMut(&mut dyn Session) -> Result<T, Fault>) -> Result<T> {
        self.within(Access::Read, |session, _| work(session))
    }

    /// All or nothing; what a second one at the same time would change waits.
    fn write<T>(&mut self, work: impl FnMut(&mut dyn Session, bool) -> Result<T, Fault>) -> Result<T> {
        self.within(Access::Write, work)
    }

    /// Waits for news of any trial, at most so long.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Result<()> {
        self.engine.wait(at_most).map_err(|fault| self.error(fault))
    }

    /// The study of this name, which is made if there is none.
    pub(crate) fn study(&mut self, name: &str, directions: &[Direction]) -> Result<i64> {
        let (id, found) = self.write(|session, _| {
            // Whoever comes second finds it.
            let add = "INSERT INTO studies (study_name) VALUES (?1) ON CONFLICT DO NOTHING RETURNING study_id";
            if let Some(row) = session.query(add, cells![name])?.first() {
                let id = row.integer(0)?;
                for (objective, direction) in directions.iter().enumerate() {
                    let add = "INSERT INTO study_directions (direction, study_id, objective) VALUES (?1, ?2, ?3)";
                    session.execute(add, cells![direction.name(), id, objective as i64])?;
                }
                return Ok((id, None));
            }
            let id = first(&session.query("SELECT study_id FROM studies WHERE study_name = ?1", cells![name])?)?.integer(0)?;
            let found = "SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY objective";
            let found = session.query(found, cells![id])?;
            Ok((id, Some(found.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?)))
        })?;
        let expected: Vec<&str> = directions.iter().map(|direction| direction.name()).collect();
        match found {
            Some(found) if found != expected => {
                let (found, expected) = (found.join(", "), expected.join(", "));
                Err(self.error(format!("the study {name:?} has the objectives {found}, expected {expected}")))
            }
            _ => Ok(id),
        }
    }

    /// What is known of a study by this key; `None` if there is no such key, or no such study.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn attribute(&mut self, study: &str, key: &str) -> Result<Option<Json>> {
        let find = "SELECT a.value_json FROM study_user_attributes a JOIN studies s ON s.study_id = a.study_id
            WHERE s.study_name = ?1 AND a.\"key\" = ?2";
        let found = self.read(|session| {
            let found = session.query(find, cells![study, key])?;
            found.first().map(|row| row.text(0).map(str::to_owned)).transpose()
        })?;
        Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Names of all studies.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn studies(&mut self) -> Result<Vec<String>> {
        self.read(|session| {
            let found = session.query("SELECT study_name FROM studies ORDER BY study_id", &[])?;
            found.iter().map(|row| row.text(0).map(str::to_owned)).collect()
        })
    }

    /// Keeps something that is known of a study.
    pub(crate) fn describe(&mut self, study: i64, key: &str, value: &Json) -> Result<()> {
        self.write(|session, _| set_attribute(session, "study", study, "user", key, value))
    }

    /// Id and state of all trials of a study, in the order of numbers.
    pub(crate) fn states(&mut self, study: i64) -> Result<Vec<(i64, State)>> {
        self.read(|session| {
            let rows =
                session.query("SELECT trial_id, state FROM trials WHERE study_id = ?1 ORDER BY number", cells![study])?;
            rows.iter().map(|row| Ok((row.integer(0)?, state(row.text(1)?)?))).collect()
        })
    }

    /// All that is known of these trials, in their order.
    pub(crate) fn records(&mut self, ids: &[i64]) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let ids_json = Json::from(ids).to_string();
            let mut found = self.read(|session| read_records(session, &ids_json))?;
            for id in ids {
                records.push(found.remove(id).ok_or_else(|| self.error(format!("the trial with the id {id} is gone")))?);
            }
        }
        Ok(records)
    }

    /// All that is known of a trial.
    pub(crate) fn record(&mut self, id: i64) -> Result<Record> {
        self.records(&[id])?.pop().ok_or_else(|| self.error(format!("the trial with the id {id} is gone")))
    }
}

fn first(rows: &[Row]) -> Result<&Row, Fault> {
    rows.first().ok_or_else(|| Fault::Final("a row is missing".to_owned()))
}

fn state(name: &str) -> Result<State, Fault> {
    State::from_name(name).ok_or_else(|| Fault::Final(format!("{name:?} is no state of a trial")))
}

/// Records by their ids, a JSON list.
fn read_records(session: &mut dyn Session, ids: &str) -> Result<HashMap<i64, Record>, Fault> {
    let damaged = |id: i64, what: &str| Fault::Final(format!("trial with the id {id}: {what}"));
    let mut records = HashMap::new();
    for row in session.query("SELECT trial_id, number, state FROM trials WHERE trial_id IN {ids}", cells![ids])? {
        let record = Record {
            id: row.integer(0)?,
            number: row.integer(1)? as u64,
            state: state(row.text(2)?)?,
            parameters: HashMap::new(),
            values: Vec::new(),
            intermediate: Vec::new(),
            user: HashMap::new(),
            constraints: Vec::new(),
            origin: None,
        };
        records.insert(record.id, record);
    }
    let mut each = |query: &str, read: &dyn Fn(&Row, &mut Record) -> Result<(), Fault>| -> Result<(), Fault> {
        for row in session.query(query, cells![ids])? {
            if let Some(record) = records.get_mut(&row.integer(0)?) {
                read(&row, record)?;
            }
        }
        Ok(())
    };
    let parameters = "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params WHERE trial_id IN {ids}";
    each(parameters, &|row, record| {
        let json: Json = serde_json::from_str(row.text(3)?).map_err(|_| damaged(record.id, "a distribution is no JSON"))?;
        let distribution =
            Distribution::from_json(&json).ok_or_else(|| damaged(record.id, "a distribution of no known kind"))?;
        let value = distribution.value(row.real(2)?);
        let value = value.ok_or_else(|| damaged(record.id, "a value outside of its distribution"))?;
        record.parameters.insert(row.text(1)?.to_owned(), (value, distribution));
        Ok(())
    })?;
    let values = "SELECT trial_id, coalesce(value, 0), value_type FROM trial_values WHERE trial_id IN {ids} ORDER BY objective";
    each(values, &|row, record| {
        record.values.push(read_number(row.real(1)?, row.text(2)?));
        Ok(())
    })?;
    let steps = "SELECT trial_id, step, coalesce(intermediate_value, 0), intermediate_value_type FROM trial_intermediate_values
        WHERE trial_id IN {ids} ORDER BY step";
    each(steps, &|row, record| {
        record.intermediate.push((row.integer(1)? as u64, read_number(row.real(2)?, row.text(3)?)));
        Ok(())
    })?;
    each("SELECT trial_id, \"key\", value_json FROM trial_user_attributes WHERE trial_id IN {ids}", &|row, record| {
        // What others wrote need not be JSON that is read here.
        if let Ok(value) = serde_json::from_str(row.text(2)?) {
            record.user.insert(row.text(1)?.to_owned(), value);
        }
        Ok(())
    })?;
    each("SELECT trial_id, \"key\", value_json FROM trial_system_attributes WHERE trial_id IN {ids}", &|row, record| {
        let key = row.text(1)?;
        let read = || serde_json::from_str::<Json>(row.text(2).ok()?).ok();
        if key == "constraints" {
            let json = read();
            let numbers = json.as_ref().and_then(Json::as_array).into_iter().flatten();
            record.constraints = numbers.filter_map(Json::as_f64).collect();
        } else if key == evolution::ATTRIBUTE {
            record.origin = read().as_ref().and_then(Origin::from_json);
        }
        Ok(())
    })?;
    Ok(records)
}

/// Keeps what is known of a `"trial"` or a `"study"`, of its `"user"` or its `"system"`.
fn set_attribute(session: &mut dyn Session, of: &str, id: i64, kind: &str, key: &str, value: &Json) -> Result<(), Fault> {
    let set = format!(
        "INSERT INTO {of}_{kind}_attributes ({of}_id, \"key\", value_json) VALUES (?1, ?2, ?3)
        ON CONFLICT ({of}_id, \"key\") DO UPDATE SET value_json = excluded.value_json"
    );
    session.execute(&set, cells![id, key, value.to_string()]).map(|_| ())
}

/// A number and its kind, as Optuna writes those that SQL does not have.
fn written_number(value: f64) -> (Option<f64>, &'static str) {
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
