//! Databases on a PostgreSQL server.

use super::encryption;
use super::engine::{Access, Cell, Dialect, Engine, Fault, Row, Session, Work, written};
use postgres::config::{Host, SslMode};
use postgres::error::SqlState;
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls, Statement, Transaction};
use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a connection is tried to be had again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same of the first one: a server that is just being started again is waited for, one that was never there is told of soon.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts: at first, and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// After which a server that does not answer is taken for lost.
const SILENCE: Duration = Duration::from_secs(30);
/// Where news is told.
const CHANNEL: &str = "samara_trials";

const DIALECT: &Dialect = &[
    ("{now}", "clock_timestamp()::timestamp"),
    ("{clock}", "extract(epoch FROM clock_timestamp())::float8"),
    ("{lock}", "FOR UPDATE"),
    ("{ids}", "(SELECT value::int FROM json_array_elements_text(?1::text::json))"),
    ("{tables}", "information_schema.tables WHERE table_schema = current_schema() AND table_name"),
    ("{serial}", "SERIAL"),
    ("{time}", "TIMESTAMP WITHOUT TIME ZONE"),
    ("{real}", "DOUBLE PRECISION"),
    ("{direction}", "studydirection"),
    ("{state}", "trialstate"),
    ("{value_type}", "trialvaluetype"),
    ("{step_type}", "trialintermediatevaluetype"),
    // Places.
    ("?", "$"),
];

/// One who makes tables at a time; Optuna's types.
const PREPARATION: &str = "
SELECT pg_advisory_xact_lock(hashtext('samara_tables'));
DO $types$ BEGIN
  IF to_regtype('studydirection') IS NULL THEN CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE'); END IF;
  IF to_regtype('trialstate') IS NULL THEN CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING'); END IF;
  IF to_regtype('trialvaluetype') IS NULL THEN CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG'); END IF;
  IF to_regtype('trialintermediatevaluetype') IS NULL THEN
    CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN'); END IF;
END $types$;
";

/// A database of a server.
pub(crate) struct Postgres {
    shown: String,
    config: Config,
    /// What encrypts, if that is asked for.
    encryption: Option<MakeRustlsConnect>,
    connection: Option<Connection>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("shown", &self.shown).field("connection", &self.connection).finish_non_exhaustive()
    }
}

struct Connection {
    client: Client,
    prepared: HashMap<String, Statement>,
    /// It was said that news is wanted.
    listens: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("listens", &self.listens).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Connects to the database of a URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; the password may be in `PGPASSWORD`. With
    /// `?sslmode=require` the connection is encrypted, and the server known by its certificate.
    pub fn open(url: &str) -> Result<Self, (String, Fault)> {
        let unread = |error: postgres::Error| {
            let what = format!("expected postgres://USER@HOST:PORT/DATABASE: {}", sentence(&error));
            // The URL itself may hold a password.
            ("the storage's URL".to_owned(), Fault::Final(what))
        };
        let (url, certificates) = encryption::asked(url);
        let mut config: Config = url.parse().map_err(unread)?;
        if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
            config.password(password);
        }
        config.application_name("samara");
        config.connect_timeout(*config.get_connect_timeout().unwrap_or(&SILENCE));
        // A cable that was pulled says nothing: a write that is not acknowledged ends the connection.
        config.tcp_user_timeout(*config.get_tcp_user_timeout().unwrap_or(&SILENCE));
        config.keepalives_idle(SILENCE / 3);
        let shown = shown(&config);
        let is_encrypted = config.get_ssl_mode() == SslMode::Require;
        let encryption = is_encrypted.then(|| encryption::connector(certificates.as_deref())).transpose();
        let encryption = encryption.map_err(|fault| (shown.clone(), fault))?;
        let mut database = Self { shown: shown.clone(), config, encryption, connection: None };
        let started = Instant::now();
        loop {
            let (fault, patience) = match database.connect() {
                Ok(()) => return Ok(database),
                // It says that it starts or stops.
                Err((fault @ Fault::Lost(_), true)) => (fault, PATIENCE),
                Err((fault @ Fault::Lost(_), false)) => (fault, FIRST_PATIENCE),
                Err((fault, _)) => (fault, Duration::ZERO),
            };
            if started.elapsed() >= patience {
                return Err((shown, Fault::Final(format!("the database cannot be reached: {fault}"))));
            }
            std::thread::sleep(PAUSES[0] * 4);
        }
    }

    /// With a fault: whether it is one of a server that starts or stops.
    fn connect(&mut self) -> Result<(), (Fault, bool)> {
        if self.connection.is_none() {
            let connect = match &self.encryption {
                Some(encryption) => self.config.connect(encryption.clone()),
                None => self.config.connect(NoTls),
            };
            let client = connect.map_err(|error| {
                let is_starting = error.code() == Some(&SqlState::CANNOT_CONNECT_NOW);
                let is_server = error.as_db_error().is_some();
                (if is_server { fault(&error) } else { Fault::Lost(sentence(&error)) }, is_starting)
            })?;
            self.connection = Some(Connection { client, prepared: HashMap::new(), listens: false });
        }
        Ok(())
    }

    fn once(&mut self, access: Access, work: &mut Work<'_>, again: bool) -> Result<(), Fault> {
        self.connect().map_err(|(fault, _)| fault)?;
        let Some(connection) = &mut self.connection else { return Err(Fault::Lost("there is no connection".to_owned())) };
        let read_only = access == Access::Read;
        let begin = connection.client.build_transaction().read_only(read_only).start();
        let transaction = begin.map_err(|error| fault(&error))?;
        let mut session = Within { transaction, prepared: &mut connection.prepared };
        work(&mut session, again)?;
        session.transaction.commit().map_err(|error| fault(&error))
    }
}

impl Engine for Postgres {
    fn shown(&self) -> &str {
        &self.shown
    }

    /// What was lost is done again; a database that is started again in between is not noticed.
    fn within(&mut self, access: Access, work: &mut Work<'_>) -> Result<(), Fault> {
        let (mut again, mut pause, started) = (false, PAUSES[0], Instant::now());
        loop {
            let what = match self.once(access, work, again) {
                Ok(()) => return Ok(()),
                Err(Fault::Final(what)) => return Err(Fault::Final(what)),
                Err(Fault::Crossed(what)) => what,
                Err(Fault::Lost(what)) => {
                    self.connection = None;
                    again = true;
                    what
                }
            };
            if started.elapsed() > PATIENCE {
                let what = format!("the database was lost, and was not back within {} s: {what}", PATIENCE.as_secs());
                return Err(Fault::Final(what));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSES[1]);
        }
    }

    fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        let Some(connection) = self.connection.as_mut() else { return Ok(()) };
        if !connection.listens {
            // What was told before it listened is looked at once more.
            connection.listens = connection.client.batch_execute(&format!("LISTEN {CHANNEL}")).is_ok();
            return Ok(());
        }
        let is_lost = {
            let mut notifications = connection.client.notifications();
            let first = notifications.timeout_iter(at_most).next();
            // All that are there are one piece of news.
            first.is_err() || notifications.iter().count().is_err()
        };
        if is_lost {
            // The next transaction gets it back, or says that it cannot.
            self.connection = None;
        }
        Ok(())
    }

    fn preparation(&self) -> &'static str {
        PREPARATION
    }
}

/// A transaction, and what the connection has prepared.
struct Within<'a> {
    transaction: Transaction<'a>,
    prepared: &'a mut HashMap<String, Statement>,
}

impl Within<'_> {
    fn prepare(&mut self, statement: &str) -> Result<Statement, Fault> {
        if let Some(prepared) = self.prepared.get(statement) {
            return Ok(prepared.clone());
        }
        let prepared = self.transaction.prepare(&written(DIALECT, statement)).map_err(|error| fault(&error))?;
        self.prepared.insert(statement.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

/// Cells as parameters.
fn parameters(cells: &[Cell]) -> Vec<&(dyn ToSql + Sync)> {
    cells.iter().map(|cell| cell as &(dyn ToSql + Sync)).collect()
}

impl Session for Within<'_> {
    fn execute(&mut self, statement: &str, cells: &[Cell]) -> Result<u64, Fault> {
        let statement = self.prepare(statement)?;
        self.transaction.execute(&statement, &parameters(cells)).map_err(|error| fault(&error))
    }

    fn query(&mut self, statement: &str, cells: &[Cell]) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(statement)?;
        let rows = self.transaction.query(&statement, &parameters(cells)).map_err(|error| fault(&error))?;
        let row = |row: &postgres::Row| (0..row.len()).map(|place| row.try_get(place)).collect::<Result<_, _>>().map(Row);
        rows.iter().map(row).collect::<Result<_, _>>().map_err(|error| fault(&error))
    }

    fn batch(&mut self, statements: &str) -> Result<(), Fault> {
        self.transaction.batch_execute(&written(DIALECT, statements)).map_err(|error| fault(&error))
    }

    fn notify(&mut self) -> Result<(), Fault> {
        self.execute("SELECT pg_notify(?1, '')", &[Cell::from(CHANNEL)]).map(|_| ())
    }
}

impl ToSql for Cell {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Integer(value) if *kind == Type::FLOAT8 => (*value as f64).to_sql(kind, out),
            Self::Integer(value) => value.to_sql(kind, out),
            Self::Real(value) => value.to_sql(kind, out),
            // Of an enumeration, too: its names are what is sent.
            Self::Text(value) => value.as_str().to_sql(&Type::TEXT, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            _ => Self::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        let known = [Type::INT4, Type::INT8, Type::FLOAT8, Type::TEXT, Type::VARCHAR, Type::VOID];
        known.contains(kind) || matches!(kind.kind(), Kind::Enum(_))
    }
}

/// What a server's database is called, without its password.
fn shown(config: &Config) -> String {
    let user = config.get_user().map_or_else(String::new, |user| format!("{user}@"));
    let hosts = config.get_hosts().iter().enumerate().map(|(place, host)| {
        let host = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        let ports = config.get_ports();
        let port = ports.get(place).or_else(|| ports.first());
        port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    });
    let hosts: Vec<String> = hosts.collect();
    format!("postgres://{user}{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

/// What the server says, or else the last reason of the client.
fn sentence(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    let mut source: &dyn Error = error;
    while let Some(next) = source.source() {
        source = next;
    }
    source.to_string()
}

fn fault(error: &postgres::Error) -> Fault {
    let what = sentence(error);
    let Some(code) = error.code() else {
        return if error.is_closed() || is_of_the_line(error) { Fault::Lost(what) } else { Fault::Final(what) };
    };
    let stops =
        [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW, SqlState::TOO_MANY_CONNECTIONS];
    let crosses = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    if stops.contains(code) || code.code().starts_with("08") {
        Fault::Lost(what)
    } else if crosses.contains(code) {
        Fault::Crossed(what)
    } else if *code == SqlState::DISK_FULL {
        Fault::Final(format!(
            "the server's disk is full ({what}); what was written before is whole, and this step is not in it"
        ))
    } else {
        Fault::Final(what)
    }
}

/// Whether an error is one of reading or writing the connection.
fn is_of_the_line(error: &postgres::Error) -> bool {
    let mut source = error.source();
    while let Some(next) = source {
        if next.is::<std::io::Error>() {
            return true;
        }
        source = next.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let config = |url: &str| shown(&url.parse().unwrap());
        assert_eq!(config("postgres://me:secret@db.example:5433/studies"), "postgres://me@db.example:5433/studies");
        assert_eq!(config("postgresql://me@a,b/studies"), "postgres://me@a:5432,b:5432/studies");
        let (name, fault) = Postgres::open("postgres://me:secret@db:port/x").unwrap_err();
        assert!(!format!("{name} {fault}").contains("secret"), "{name} {fault}");
    }

    #[test]
    fn a_server_that_is_not_there_is_named_soon() {
        let started = Instant::now();
        let (name, fault) = Postgres::open("postgres://me:secret@127.0.0.1:1/studies").unwrap_err();
        assert_eq!(name, "postgres://me@127.0.0.1:1/studies");
        assert!(fault.to_string().starts_with("the database cannot be reached: Connection refused"), "{fault}");
        assert!(started.elapsed() < FIRST_PATIENCE * 2, "{:?}", started.elapsed());
    }

    #[test]
    fn statements_are_written_in_the_dialect() {
        let statement = "SELECT state FROM trials WHERE trial_id = ?1 AND number = ?2 {lock}";
        assert_eq!(written(DIALECT, statement), "SELECT state FROM trials WHERE trial_id = $1 AND number = $2 FOR UPDATE");
    }
}
