//! One SQL layer over SQLite and PostgreSQL: the same statements, with parameters written `$1`, `$2`, and the same promise.
//!
//! The promise: a transaction sees the database as if no other ran beside it. SQLite has one writer anyway; PostgreSQL
//! runs at its level `SERIALIZABLE`, and a transaction that lost to another one is run again. So `work` must do nothing
//! but speak to the database. Columns hold text and 64-bit numbers and nothing else, which both spell alike.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::Semaphore;

use super::source::{Connection, Source};

/// How often a transaction is begun that loses to others, or meets a connection that has broken meanwhile. There are fewer
/// connections than that.
const ATTEMPTS: u32 = 8;
/// How long a call may wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a transaction gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("the database has too much to do")]
    Busy,
    #[error("the database cannot be reached")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a database statement failed")]
    Statement(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a stored value is not understood: {0}")]
    Value(&'static str),
    #[error("the database was made by a newer version of this program")]
    Newer,
    #[error("a database operation failed unexpectedly")]
    Panicked,
}

/// A parameter of a statement.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

/// A row of a reply.
pub(crate) struct Row(Vec<Cell>);

enum Cell {
    Null,
    Text(String),
    Number(i64),
}

impl Row {
    /// The text in that column.
    pub(crate) fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        self.optional_text(column)?.ok_or(DatabaseError::Value("null"))
    }

    /// The text in that column, if there is one.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, DatabaseError> {
        match self.0.get(column) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Number(_)) | None => Err(DatabaseError::Value("not a text")),
        }
    }

    /// The number in that column.
    pub(crate) fn number(&self, column: usize) -> Result<i64, DatabaseError> {
        match self.0.get(column) {
            Some(Cell::Number(number)) => Ok(*number),
            Some(Cell::Text(_) | Cell::Null) | None => Err(DatabaseError::Value("not a number")),
        }
    }
}

/// The database, through a few connections.
#[derive(Clone)]
pub(crate) struct Database(Arc<Pool>);

struct Pool {
    source: Source,
    slots: Arc<Semaphore>,
    // Dropping a connection to PostgreSQL blocks, so it must not happen on an async worker.
    idle: Mutex<Vec<Connection>>,
}

impl Database {
    /// Connects, and brings the tables up to date. Blocks.
    pub(crate) fn open(source: Source) -> Result<Self, DatabaseError> {
        let mut connection = source.connect()?;
        super::migrate(&mut connection)?;
        let slots = Arc::new(Semaphore::new(source.connections()));
        Ok(Self(Arc::new(Pool { source, slots, idle: Mutex::new(vec![connection]) })))
    }

    /// Runs one transaction: committed when `work` succeeds, rolled back when it does not.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.0.slots).acquire_owned());
        let Ok(Ok(slot)) = waiting.await else { return Err(DatabaseError::Busy.into()) };
        let pool = Arc::clone(&self.0);
        let run = tokio::task::spawn_blocking(move || {
            let result = pool.run(work);
            drop(slot);
            result
        });
        run.await.map_err(|_| DatabaseError::Panicked)?
    }
}

impl Pool {
    fn run<T, E: From<DatabaseError>>(
        &self,
        mut work: impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let used_before = idle.is_some();
            let mut connection = idle.map_or_else(|| self.source.connect(), Ok)?;
            let attempt = attempt(&mut connection, &mut work);
            if !connection.is_closed() {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            match attempt {
                Attempt::Done(result) => return result,
                Attempt::Lost => {}
                // The server was restarted since: nothing was done yet, and a new connection may do it.
                Attempt::NotBegun(DatabaseError::Away(_)) if used_before => {}
                Attempt::NotBegun(error) => return Err(error.into()),
            }
        }
        Err(DatabaseError::Busy.into())
    }
}

enum Attempt<T, E> {
    Done(Result<T, E>),
    Lost,
    NotBegun(DatabaseError),
}

fn attempt<T, E: From<DatabaseError>>(
    connection: &mut Connection,
    work: &mut impl FnMut(&mut Transaction<'_>) -> Result<T, E>,
) -> Attempt<T, E> {
    let mut transaction = match Transaction::begin(connection) {
        Ok(transaction) => transaction,
        Err(error) => return Attempt::NotBegun(error),
    };
    match work(&mut transaction) {
        Err(_) if transaction.lost => Attempt::Lost,
        Err(error) => Attempt::Done(Err(error)),
        Ok(value) => match transaction.commit() {
            Ok(()) => Attempt::Done(Ok(value)),
            Err(Refused::Lost) => Attempt::Lost,
            Err(Refused::Error(error)) => Attempt::Done(Err(error.into())),
        },
    }
}

enum Refused {
    /// Another transaction was first: begin again.
    Lost,
    Error(DatabaseError),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Lost,
            _ => Self::Error(DatabaseError::Statement(error.into())),
        }
    }
}

impl From<postgres::Error> for Refused {
    fn from(error: postgres::Error) -> Self {
        use postgres::error::SqlState;
        match error.code() {
            // At this level a doubled key can be another transaction's row, which the next attempt will see.
            Some(
                &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED | &SqlState::UNIQUE_VIOLATION,
            ) => Self::Lost,
            Some(_) => Self::Error(DatabaseError::Statement(error.into())),
            None => Self::Error(DatabaseError::Away(error.into())),
        }
    }
}

impl From<Refused> for DatabaseError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lost => Self::Busy,
            Refused::Error(error) => error,
        }
    }
}

/// A running transaction.
pub(crate) struct Transaction<'a> {
    kind: Kind<'a>,
    lost: bool,
}

enum Kind<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    Postgres(postgres::Transaction<'a>),
}

impl<'a> Transaction<'a> {
    /// Begins one that may write.
    pub(super) fn begin(connection: &'a mut Connection) -> Result<Self, DatabaseError> {
        let kind = match connection {
            Connection::Sqlite(connection) => {
                let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
                Kind::Sqlite(begun.map_err(Refused::from)?)
            }
            Connection::Postgres(client) => {
                let level = postgres::IsolationLevel::Serializable;
                let begun = client.build_transaction().isolation_level(level).start();
                Kind::Postgres(begun.map_err(|error| DatabaseError::Away(error.into()))?)
            }
        };
        Ok(Self { kind, lost: false })
    }

    /// Runs a statement; gives the number of rows that it changed.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, DatabaseError> {
        let changed = match &mut self.kind {
            Kind::Sqlite(transaction) => execute_sqlite(transaction, sql, values).map_err(Refused::from),
            Kind::Postgres(transaction) => transaction.execute(sql, &for_postgres(values)).map_err(Refused::from),
        };
        changed.map_err(|refused| self.note(refused))
    }

    /// Runs a question.
    pub(crate) fn query(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, DatabaseError> {
        let rows = match &mut self.kind {
            Kind::Sqlite(transaction) => query_sqlite(transaction, sql, values).map_err(Refused::from),
            Kind::Postgres(transaction) => query_postgres(transaction, sql, values).map_err(Refused::from),
        };
        rows.map_err(|refused| self.note(refused))
    }

    /// Runs statements without parameters.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let done = match &mut self.kind {
            Kind::Sqlite(transaction) => transaction.execute_batch(sql).map_err(Refused::from),
            Kind::Postgres(transaction) => transaction.batch_execute(sql).map_err(Refused::from),
        };
        done.map_err(|refused| self.note(refused))
    }

    /// As [`Transaction::commit`], for whoever does not try again.
    pub(super) fn finish(self) -> Result<(), DatabaseError> {
        Ok(self.commit()?)
    }

    fn commit(self) -> Result<(), Refused> {
        match self.kind {
            Kind::Sqlite(transaction) => Ok(transaction.commit()?),
            Kind::Postgres(transaction) => Ok(transaction.commit()?),
        }
    }

    fn note(&mut self, refused: Refused) -> DatabaseError {
        self.lost |= matches!(refused, Refused::Lost);
        refused.into()
    }
}

fn bind(statement: &mut rusqlite::CachedStatement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (number, value) in (1_usize..).zip(values) {
        // SQLite numbers parameters by where they first stand, PostgreSQL by their name; the name counts.
        let name = format!("${number}");
        let index = statement.parameter_index(&name)?.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        match value {
            Value::Text(text) => statement.raw_bind_parameter(index, text)?,
            Value::Number(number) => statement.raw_bind_parameter(index, number)?,
        }
    }
    Ok(())
}

fn execute_sqlite(transaction: &rusqlite::Transaction<'_>, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<u64> {
    let mut statement = transaction.prepare_cached(sql)?;
    bind(&mut statement, values)?;
    Ok(u64::try_from(statement.raw_execute()?).unwrap_or(u64::MAX))
}

fn query_sqlite(
    transaction: &rusqlite::Transaction<'_>,
    sql: &str,
    values: &[Value<'_>],
) -> rusqlite::Result<Vec<Row>> {
    use rusqlite::types::ValueRef;
    let mut statement = transaction.prepare_cached(sql)?;
    let columns = statement.column_count();
    bind(&mut statement, values)?;
    let (mut rows, mut found) = (statement.raw_query(), Vec::new());
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(columns);
        for column in 0..columns {
            cells.push(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Number(number),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Real(_) | ValueRef::Blob(_) => return Err(rusqlite::Error::InvalidQuery),
            });
        }
        found.push(Row(cells));
    }
    Ok(found)
}

fn for_postgres<'v>(values: &'v [Value<'v>]) -> Vec<&'v (dyn postgres::types::ToSql + Sync)> {
    values
        .iter()
        .map(|value| match value {
            Value::Text(text) => text as &(dyn postgres::types::ToSql + Sync),
            Value::Number(number) => number,
        })
        .collect()
}

fn query_postgres(
    transaction: &mut postgres::Transaction<'_>,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<Row>, postgres::Error> {
    use postgres::types::Type;
    let mut found = Vec::new();
    for row in transaction.query(sql, &for_postgres(values))? {
        let mut cells = Vec::with_capacity(row.len());
        for (index, column) in row.columns().iter().enumerate() {
            cells.push(if *column.type_() == Type::INT8 {
                row.try_get::<_, Option<i64>>(index)?.map_or(Cell::Null, Cell::Number)
            } else {
                row.try_get::<_, Option<String>>(index)?.map_or(Cell::Null, Cell::Text)
            });
        }
        found.push(Row(cells));
    }
    Ok(found)
}
