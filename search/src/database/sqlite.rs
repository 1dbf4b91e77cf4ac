//! Databases in an SQLite file.

use super::engine::{Access, Cell, Dialect, Engine, Fault, Row, Session, Work, written};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, Transaction, TransactionBehavior, params_from_iter};
use std::path::Path;
use std::time::Duration;

/// How long to wait for others who write.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait for news: nobody tells.
const NEWS: Duration = Duration::from_secs(1);

const DIALECT: &Dialect = &[
    ("{now}", "strftime('%Y-%m-%d %H:%M:%f000', 'now', 'localtime')"),
    ("{clock}", "unixepoch('subsec')"),
    // A transaction that writes has the file alone.
    ("{lock}", ""),
    ("{ids}", "(SELECT value FROM json_each(?1))"),
    ("{tables}", "sqlite_master WHERE name"),
    ("{serial}", "INTEGER"),
    ("{time}", "DATETIME"),
    ("{real}", "FLOAT"),
    ("{direction}", "VARCHAR(8)"),
    ("{state}", "VARCHAR(8)"),
    ("{value_type}", "VARCHAR(7)"),
    ("{step_type}", "VARCHAR(7)"),
];

/// An SQLite file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    shown: String,
    connection: Connection,
}

impl Sqlite {
    /// Opens a file, or makes it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let connection = Connection::open(path).map_err(fault)?;
        connection.busy_timeout(PATIENCE).map_err(fault)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(fault)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { shown: path.display().to_string(), connection })
    }
}

impl Engine for Sqlite {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn within(&mut self, access: Access, work: &mut Work<'_>) -> Result<(), Fault> {
        let behavior = match access {
            Access::Read => TransactionBehavior::Deferred,
            Access::Write => TransactionBehavior::Immediate,
        };
        let mut transaction = self.connection.transaction_with_behavior(behavior).map_err(fault)?;
        work(&mut transaction, false)?;
        transaction.commit().map_err(fault)
    }

    fn wait(&mut self, at_most: Duration) -> Result<(), Fault> {
        std::thread::sleep(at_most.min(NEWS));
        Ok(())
    }

    fn preparation(&self) -> &'static str {
        ""
    }
}

impl Session for Transaction<'_> {
    fn execute(&mut self, statement: &str, cells: &[Cell]) -> Result<u64, Fault> {
        let mut statement = self.prepare_cached(&written(DIALECT, statement)).map_err(fault)?;
        statement.execute(params_from_iter(cells)).map(|rows| rows as u64).map_err(fault)
    }

    fn query(&mut self, statement: &str, cells: &[Cell]) -> Result<Vec<Row>, Fault> {
        let mut statement = self.prepare_cached(&written(DIALECT, statement)).map_err(fault)?;
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Row> {
            (0..columns).map(|place| row.get_ref(place).map(cell)).collect::<rusqlite::Result<_>>().map(Row)
        };
        statement.query_map(params_from_iter(cells), row).and_then(Iterator::collect).map_err(fault)
    }

    fn batch(&mut self, statements: &str) -> Result<(), Fault> {
        self.execute_batch(&written(DIALECT, statements)).map_err(fault)
    }

    fn notify(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
        }))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(value) | ValueRef::Blob(value) => Cell::Text(String::from_utf8_lossy(value).into_owned()),
    }
}

fn fault(error: rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            Fault::Final(format!("{error}; what was written before is whole, and this step is not in it"))
        }
        _ => Fault::Final(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Options, Outcome, Space, State, Storage, Study};

    /// A file that may not grow, as on a full disk.
    #[test]
    fn a_full_disk_is_told_and_loses_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("studies.db");
        let space = || Space::from_toml("[space]\nx = { float = [0.0, 1.0] }").unwrap();
        let mut study = Study::open(&path, "s", &[Direction::Minimize], space(), Options::default()).unwrap();
        for _ in 0..5 {
            let trial = study.ask().unwrap();
            study.tell(&trial, Outcome::Complete(vec![1.0])).unwrap();
        }
        drop(study);
        let sqlite = Sqlite::open(&path).unwrap();
        let pages: i64 = sqlite.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        sqlite.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        let mut study =
            Study::open_in(Storage::of_engine(sqlite), "s", &[Direction::Minimize], space(), Options::default()).unwrap();
        let mut trial = study.ask().unwrap();
        let text = "x".repeat(100_000);
        let full = study.note(&mut trial, "large", text.into()).unwrap_err().to_string();
        let expected = "studies.db: database or disk is full; what was written before is whole, and this step is not in it";
        assert!(full.ends_with(expected), "{full}");
        study.tell(&trial, Outcome::Pruned).unwrap();
        let states: Vec<State> = study.trials().unwrap().iter().map(|trial| trial.state).collect();
        assert_eq!(
            states,
            [State::Complete, State::Complete, State::Complete, State::Complete, State::Complete, State::Pruned]
        );
    }
}
