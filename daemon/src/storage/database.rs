//! The one SQLite connection, on a thread of its own; callers send it closures.
//!
//! The settings answer to measurements on gocryptfs: nothing is ever mapped (`mmap` on a mount that goes away is a
//! crash, and mapped pages outlive the lock), the lock is exclusive (no `-shm` file, which would be mapped), temporary
//! data stays in memory, and journal frames never share a block with frames that were synced before (`psow=0`).

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use log::error;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

/// How many calls may wait for the connection; more are turned away.
const QUEUE: usize = 256;

/// Prepared statements kept; there are fewer than that in the program.
const STATEMENTS: usize = 128;

/// Why a call to the database gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The vault is being locked, or is.
    #[error("the database is closed")]
    Closed,
    /// Too many calls wait already.
    #[error("the database has too much to do")]
    Busy,
    /// The drive is full.
    #[error("there is no room left for the database")]
    Full,
    /// The file is damaged, or is not a database.
    #[error("the database is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// A unique constraint refused the change. Callers turn it into their own refusal.
    #[error("a unique value is taken")]
    Conflict,
    /// A trigger refused the change, or nobody may name what the statement names. Says which rule.
    #[error("the database refused a change: {0}")]
    Refused(&'static str),
    /// Anything else, including failed reads and writes.
    #[error("a database statement failed")]
    Sqlite(#[source] rusqlite::Error),
    /// A stored value does not mean anything to this version.
    #[error("a stored value is not understood: {0}")]
    Value(&'static str),
    /// The closure panicked; its transaction was rolled back.
    #[error("a database operation failed unexpectedly")]
    Panicked,
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error),
            Some(ErrorCode::ConstraintViolation) if is_unique_violation(&error) => Self::Conflict,
            Some(ErrorCode::AuthorizationForStatementDenied) => Self::Refused("surface"),
            Some(ErrorCode::ConstraintViolation) => rule_of(&error).map_or(Self::Sqlite(error), Self::Refused),
            Some(_) | None => Self::Sqlite(error),
        }
    }
}

/// Which of their rules the triggers name.
fn rule_of(error: &rusqlite::Error) -> Option<&'static str> {
    let rusqlite::Error::SqliteFailure(code, Some(message)) = error else { return None };
    let by_trigger = code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER;
    by_trigger.then(|| ["role", "owner", "sequence"].into_iter().find(|rule| rule == message)).flatten()
}

fn is_unique_violation(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the connection's thread.
pub(crate) struct Database {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Database {
    /// Takes an open connection over to its thread.
    pub(crate) fn start(mut connection: Connection) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        let run = move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
            if let Err((_, error)) = connection.close() {
                error!(error:% = error; "the database did not close cleanly");
            }
        };
        let thread = thread::Builder::new().name("database".to_owned()).spawn(run)?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Runs a closure that only reads.
    pub(crate) async fn read<T: Send + 'static, E: From<DatabaseError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.run(move |connection| work(connection)).await
    }

    /// Runs a closure in a transaction: committed and on disk when this returns `Ok`, without effect otherwise.
    pub(crate) async fn write<T: Send + 'static, E: From<DatabaseError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.run(move |connection| {
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            let transaction = begun.map_err(DatabaseError::from)?;
            let result = work(&transaction)?;
            transaction.commit().map_err(DatabaseError::from)?;
            Ok(result)
        })
        .await
    }

    /// How many calls wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.jobs).as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity())
    }

    /// Refuses new calls, finishes those that wait, closes the connection and waits for that.
    pub(crate) fn close(&self) {
        drop(lock(&self.jobs).take());
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            error!("the database thread panicked");
        }
    }

    async fn run<T: Send + 'static, E: From<DatabaseError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A bug in one operation must not take the connection, and so the whole box, with it. Unwinding rolls
            // the transaction back, so nothing half-done is ever seen: that makes the assertion true.
            let work = std::panic::AssertUnwindSafe(|| work(connection));
            let result = std::panic::catch_unwind(work).unwrap_or_else(|_| Err(DatabaseError::Panicked.into()));
            // Nobody waits any more when the client has gone; the work is done all the same.
            drop(reply.send(result));
        });
        let jobs = lock(&self.jobs).clone().ok_or(DatabaseError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DatabaseError::Busy,
            mpsc::error::TrySendError::Closed(_) => DatabaseError::Closed,
        })?;
        drop(jobs);
        answer.await.map_err(|_| DatabaseError::Closed)?
    }
}

/// Opens the connection with the settings that this store needs, and checks that they took.
pub(crate) fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    // psow=0 (sqlite.org/psow.html): after each synced commit the journal is padded to the next 4096-byte block, so
    // that appending never rewrites a gocryptfs block that holds a committed frame; a torn block would hide it.
    let uri = format!("file:{}?psow=0", percent_encoded(path));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON;
         PRAGMA synchronous = FULL;",
    )?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" { Ok(connection) } else { Err(DatabaseError::Value("journal mode")) }
}

/// Copies what the log holds into the database and empties the log. Nobody else may have the database open.
///
/// For a log that a power cut ended: its last synced commit may end inside of a block, because the frames that padded
/// it were not synced. Appending there would write that block again, and a second cut could tear it.
pub(crate) fn empty_the_log(connection: &Connection) -> Result<(), DatabaseError> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(DatabaseError::Busy) } else { Ok(()) }
}

/// How large a database is, and how much of it is free, in bytes.
pub(crate) fn size(connection: &Connection) -> Result<(u64, u64), DatabaseError> {
    let value = |pragma| -> Result<u64, DatabaseError> {
        let number: i64 = connection.query_row(pragma, [], |row| row.get(0))?;
        Ok(u64::try_from(number).unwrap_or(0))
    };
    let page = value("PRAGMA page_size")?;
    Ok((page * value("PRAGMA page_count")?, page * value("PRAGMA freelist_count")?))
}

/// Reads the whole database and compares it with itself. Cost grows with its size.
pub(crate) fn check_integrity(connection: &Connection) -> Result<(), DatabaseError> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(DatabaseError::Corrupt(rusqlite::Error::SqliteFailure(code, None)))
}

/// The write-ahead log that SQLite keeps beside a database (sqlite.org/walformat.html).
pub(crate) fn journal_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    let mut encoded = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
