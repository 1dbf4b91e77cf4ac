//! What the database systems have in common: statements with places, and transactions that are done again after a lost connection.

use std::fmt;
use std::time::Duration;

/// A value of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Option<f64>> for Cell {
    fn from(value: Option<f64>) -> Self {
        value.map_or(Self::Null, Self::Real)
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// Cells of values of several types.
macro_rules! cells {
    ($($value:expr),* $(,)?) => { &[$($crate::database::engine::Cell::from($value)),*] };
}
pub(crate) use cells;

/// Why a transaction was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection is gone: it may be done again on another one.
    Lost(String),
    /// Others were in the way: it may be done again.
    Crossed(String),
    /// It would not be done another time either.
    Final(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Lost(what) | Self::Crossed(what) | Self::Final(what)) = self;
        f.write_str(what)
    }
}

/// A row of an answer.
#[derive(Debug)]
pub(crate) struct Row(pub Vec<Cell>);

impl Row {
    fn unexpected(&self, place: usize, expected: &str) -> Fault {
        Fault::Final(format!("a table holds {:?}, expected {expected}", self.0.get(place)))
    }

    pub fn integer(&self, place: usize) -> Result<i64, Fault> {
        match self.0.get(place) {
            Some(Cell::Integer(value)) => Ok(*value),
            _ => Err(self.unexpected(place, "an integer")),
        }
    }

    pub fn real(&self, place: usize) -> Result<f64, Fault> {
        match self.0.get(place) {
            Some(Cell::Real(value)) => Ok(*value),
            // SQLite keeps a whole number as it was given.
            Some(Cell::Integer(value)) => Ok(*value as f64),
            _ => Err(self.unexpected(place, "a number")),
        }
    }

    pub fn text(&self, place: usize) -> Result<&str, Fault> {
        match self.0.get(place) {
            Some(Cell::Text(value)) => Ok(value),
            _ => Err(self.unexpected(place, "text")),
        }
    }
}

/// What differs between the systems' SQL: words in braces, and what they are written as.
///
/// | word | meaning |
/// |---|---|
/// | `{now}` | the present, as Optuna writes times |
/// | `{clock}` | the database's clock, in seconds |
/// | `{lock}` | behind a query: nobody else changes these rows until the transaction ends |
/// | `{ids}` | the first place is a JSON list of integers: these |
/// | `{tables}` | all tables with this name |
/// | `{serial}`, `{time}`, `{real}`, `{direction}`, `{state}`, `{value_type}`, `{step_type}` | types of columns |
pub(crate) type Dialect = [(&'static str, &'static str)];

/// A statement in a dialect.
pub(crate) fn written(dialect: &Dialect, statement: &str) -> String {
    dialect.iter().fold(statement.to_owned(), |text, (word, meaning)| text.replace(word, meaning))
}

/// A transaction. Places of statements are `?1`, `?2`, ...
pub(crate) trait Session {
    /// Rows that were changed.
    fn execute(&mut self, statement: &str, cells: &[Cell]) -> Result<u64, Fault>;
    /// Rows that were found.
    fn query(&mut self, statement: &str, cells: &[Cell]) -> Result<Vec<Row>, Fault>;
    /// Several statements, without places.
    fn batch(&mut self, statements: &str) -> Result<(), Fault>;
    /// Wakes those who wait, when the transaction is done.
    fn notify(&mut self) -> Result<(), Fault>;
}

/// Whether a transaction writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Work within a transaction; the flag says that it was tried before, and may have been done.
pub(crate) type Work<'a> = dyn FnMut(&mut dyn Session, bool) -> Result<(), Fault> + 'a;

/// A database system.
pub(crate) trait Engine: fmt::Debug + Send {
    /// The database's name, without secrets.
    fn shown(&self) -> &str;
    /// All or nothing.
    fn within(&mut self, access: Access, work: &mut Work<'_>) -> Result<(), Fault>;
    /// Waits until somebody calls [`Session::notify`], or so long; may end before.
    fn wait(&mut self, at_most: Duration) -> Result<(), Fault>;
    /// What makes types that tables need, and keeps others from making tables at the same time.
    fn preparation(&self) -> &'static str;
}
