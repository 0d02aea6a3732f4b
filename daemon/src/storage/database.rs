//! The one SQLite connection, on a thread of its own; callers send it closures.
//!
//! Writes that wait for each other share a commit: each has a savepoint of its own, so that one which fails leaves the
//! others alone, and each is answered when the commit of all is on disk. A commit costs some dozens of pages and a sync
//! on gocryptfs, and most of these pages (the ends of indexes, the log of changes) are the same for the next write.
//!
//! The settings answer to measurements on gocryptfs: nothing is ever mapped (`mmap` on a mount that goes away is a
//! crash, and mapped pages outlive the lock), the lock is exclusive (no `-shm` file, which would be mapped), temporary
//! data stays in memory, and journal frames never share a block with frames that were synced before (`psow=0`).

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use log::error;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

/// How many calls may wait for the connection; more are turned away.
const QUEUE: usize = 256;

/// How many writes share a commit at most, so that what waits behind them is not kept for long.
const GROUP: usize = 32;

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
    /// A newer version has changed the database so that this one cannot use it.
    #[error("a newer version has changed the database")]
    Newer,
    /// The closure panicked; what it had changed was rolled back.
    #[error("a database operation failed unexpectedly")]
    Panicked,
    /// The change was sound, and the commit that it shared with others did not come about.
    #[error("the changes could not be committed")]
    NotCommitted,
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

impl DatabaseError {
    /// What the others hear, whose changes were to be committed together with the one that failed.
    fn of_others(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Closed
            | Self::Busy
            | Self::Corrupt(_)
            | Self::Conflict
            | Self::Refused(_)
            | Self::Sqlite(_)
            | Self::Value(_)
            | Self::Newer
            | Self::Panicked
            | Self::NotCommitted => Self::NotCommitted,
        }
    }
}

/// Which of their rules the triggers name.
fn rule_of(error: &rusqlite::Error) -> Option<&'static str> {
    let rusqlite::Error::SqliteFailure(code, Some(message)) = error else { return None };
    let by_trigger = code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER;
    by_trigger.then(|| ["role", "owner", "sequence", "item"].into_iter().find(|rule| rule == message)).flatten()
}

fn is_unique_violation(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    matches!(code, Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}

/// One call, for the connection's thread.
enum Job {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Write(Write),
}

/// Changes something in the transaction, or hears why there is none, and returns what to do once that has ended.
type Write = Box<dyn FnOnce(Result<&Transaction<'_>, DatabaseError>) -> Reply + Send>;

/// Answers the caller, who is told with the outcome of the commit how his own change ended.
type Reply = Box<dyn FnOnce(Result<(), DatabaseError>)>;

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
            let mut next = queue.blocking_recv();
            while let Some(job) = next {
                let follower = match job {
                    Job::Read(work) => {
                        work(&connection);
                        None
                    }
                    Job::Write(work) => commit_together(&mut connection, work, &mut queue),
                };
                next = follower.or_else(|| queue.blocking_recv());
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
        let (reply, answer) = oneshot::channel();
        let job = Job::Read(Box::new(move |connection| drop(reply.send(unless_it_panics(|| work(connection))))));
        self.run(job, answer).await
    }

    /// Runs a closure in a transaction: committed and on disk when this returns `Ok`, without effect otherwise.
    pub(crate) async fn write<T: Send + 'static, E: From<DatabaseError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Write(Box::new(move |transaction| {
            let changed = transaction.map_err(E::from).and_then(|transaction| in_savepoint(transaction, work));
            Box::new(move |committed| {
                let result = changed.and_then(|value| committed.map(|()| value).map_err(E::from));
                // Nobody waits any more when the client has gone; the work is done all the same.
                drop(reply.send(result));
            })
        }));
        self.run(job, answer).await
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

    async fn run<T, E: From<DatabaseError>>(&self, job: Job, answer: oneshot::Receiver<Result<T, E>>) -> Result<T, E> {
        let jobs = lock(&self.jobs).clone().ok_or(DatabaseError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => DatabaseError::Busy,
            mpsc::error::TrySendError::Closed(_) => DatabaseError::Closed,
        })?;
        drop(jobs);
        answer.await.map_err(|_| DatabaseError::Closed)?
    }
}

/// Runs a write and those that wait right behind it in one transaction, and answers all of them when it has ended. Never
/// waits for more. Returns the read that came next, when one did: it sees what the writes before it committed.
fn commit_together(connection: &mut Connection, first: Write, queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            first(Err(error.into()))(Ok(()));
            return None;
        }
    };
    let mut replies = vec![first(Ok(&transaction))];
    let mut follower = None;
    // A failure can end the transaction itself (sqlite.org/lang_transaction.html, section 3): nothing follows then.
    while replies.len() < GROUP && !transaction.is_autocommit() {
        match queue.try_recv() {
            Ok(Job::Write(work)) => replies.push(work(Ok(&transaction))),
            Ok(read) => {
                follower = Some(read);
                break;
            }
            Err(_) => break,
        }
    }
    let committed = if transaction.is_autocommit() {
        Err(DatabaseError::NotCommitted)
    } else {
        transaction.commit().map_err(DatabaseError::from)
    };
    if let Err(error @ (DatabaseError::Corrupt(cause) | DatabaseError::Sqlite(cause))) = &committed {
        error!(cause:% = cause; "{error}");
    }
    for reply in replies {
        reply(committed.as_ref().map_err(DatabaseError::of_others).copied());
    }
    follower
}

/// Runs a closure so that it changes all that it wants to, or nothing.
fn in_savepoint<T, E: From<DatabaseError>>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let run = |statement| transaction.prepare_cached(statement)?.execute([]).map_err(DatabaseError::from);
    run("SAVEPOINT one")?;
    let result = unless_it_panics(|| work(transaction));
    let ended = match &result {
        Ok(_) => run("RELEASE one"),
        // Whatever failed may have ended everything.
        Err(_) if transaction.is_autocommit() => Ok(0),
        Err(_) => run("ROLLBACK TO one").and_then(|_| run("RELEASE one")),
    };
    if let Err(error) = ended {
        // What is neither there nor undone must not be committed with the rest.
        if !transaction.is_autocommit() {
            run("ROLLBACK")?;
        }
        return Err(error.into());
    }
    result
}

/// A bug in one operation must not take the connection, and so the whole box, with it. What it had changed is rolled
/// back, so nothing half-done is ever seen: that makes the assertion true.
fn unless_it_panics<T, E: From<DatabaseError>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let work = std::panic::AssertUnwindSafe(work);
    std::panic::catch_unwind(work).unwrap_or_else(|_| Err(DatabaseError::Panicked.into()))
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

/// Copies a database, page by page, to where nothing is yet. Half a copy may be there after a failure, and a whole one is
/// not synced.
pub(crate) fn copy(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let mut target = Connection::open(path)?;
    target.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA mmap_size = 0;
         PRAGMA journal_mode = OFF;
         PRAGMA synchronous = OFF;",
    )?;
    let whole = Backup::new(connection, &mut target)?.step(-1)?;
    target.close().map_err(|(_, error)| DatabaseError::from(error))?;
    if whole == StepResult::Done { Ok(()) } else { Err(DatabaseError::Busy) }
}

/// The number that whoever made the schema has left in the file.
pub(crate) fn user_version(connection: &Connection) -> Result<i64, DatabaseError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
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

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    type Change = fn(&Transaction<'_>) -> Result<(), DatabaseError>;

    struct Fixture {
        database: std::sync::Arc<Database>,
        path: PathBuf,
        _directory: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let connection = connect(&path).unwrap();
        connection.execute_batch("CREATE TABLE numbers (number INTEGER PRIMARY KEY)").unwrap();
        empty_the_log(&connection).unwrap();
        Fixture { database: Database::start(connection).unwrap().into(), path, _directory: directory }
    }

    impl Fixture {
        /// Queues writes behind one that ends when all are there, so that they wait together. Each makes what it says.
        async fn together(&self, writes: Vec<Change>) -> Vec<bool> {
            let gate = std::sync::Arc::new(Barrier::new(2));
            let (held, count) = (std::sync::Arc::clone(&gate), writes.len());
            let database = &self.database;
            let gatekeeper = database.read(move |_| -> Result<(), DatabaseError> {
                held.wait();
                Ok(())
            });
            let writes = futures_util::future::join_all(writes.into_iter().map(|write| database.write(write)));
            let open = async {
                while database.waiting() < count {
                    tokio::task::yield_now().await;
                }
                gate.wait();
            };
            let (gate_opened, results, ()) = tokio::join!(gatekeeper, writes, open);
            gate_opened.unwrap();
            results.into_iter().map(|result| result.is_ok()).collect()
        }

        async fn numbers(&self) -> Vec<i64> {
            let all = |connection: &Connection| -> Result<Vec<i64>, DatabaseError> {
                let mut statement = connection.prepare("SELECT number FROM numbers ORDER BY number")?;
                Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
            };
            self.database.read(all).await.unwrap()
        }

        fn log_bytes(&self) -> u64 {
            std::fs::metadata(journal_path(&self.path)).unwrap().len()
        }
    }

    fn insert<const N: i64>(transaction: &Transaction<'_>) -> Result<(), DatabaseError> {
        transaction.execute("INSERT INTO numbers VALUES (?1)", [N])?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn writes_that_wait_share_a_commit() {
        let alone = fixture();
        alone.together(vec![insert::<1>]).await;
        let together = fixture();
        let done = together.together(vec![insert::<1>, insert::<2>, insert::<3>, insert::<4>]).await;
        assert_eq!(done, [true; 4]);
        assert_eq!(together.numbers().await, [1, 2, 3, 4]);
        assert_eq!(together.log_bytes(), alone.log_bytes());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_that_fails_or_panics_leaves_the_others_alone() {
        let fixture = fixture();
        let refused: Change = |transaction| {
            insert::<8>(transaction)?;
            insert::<1>(transaction)
        };
        let panics: Change = |transaction| {
            insert::<9>(transaction)?;
            panic!("on purpose")
        };
        let done = fixture.together(vec![insert::<1>, refused, insert::<2>, panics, insert::<3>]).await;
        assert_eq!(done, [true, false, true, false, true]);
        assert_eq!(fixture.numbers().await, [1, 2, 3]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn all_are_refused_when_one_ends_the_transaction() {
        let fixture = fixture();
        let ends: Change = |transaction| {
            transaction.execute_batch("ROLLBACK")?;
            Err(DatabaseError::Full)
        };
        assert_eq!(fixture.together(vec![insert::<1>, ends, insert::<2>]).await, [false, false, true]);
        assert_eq!(fixture.numbers().await, [2]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_answered_is_there_when_the_drive_is_full() {
        let fixture = fixture();
        let limit =
            |connection: &Connection| Ok::<_, DatabaseError>(connection.execute_batch("PRAGMA max_page_count = 8")?);
        fixture.database.read(limit).await.unwrap();
        let large: Change = |transaction| {
            insert::<5>(transaction)?;
            transaction.execute_batch("CREATE TABLE large AS SELECT zeroblob(100000)")?;
            Ok(())
        };
        let done = fixture.together(vec![insert::<1>, large, insert::<2>]).await;
        assert!(!done[1]);
        let acknowledged: Vec<i64> =
            [1, 2].into_iter().zip([done[0], done[2]]).filter_map(|(n, ok)| ok.then_some(n)).collect();
        assert_eq!(fixture.numbers().await, acknowledged);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_commit_that_fails_is_told_to_everybody() {
        let fixture = fixture();
        let later: Change = |transaction| {
            // Checked when the transaction is committed, not when the row comes.
            transaction.execute_batch(
                "CREATE TABLE parents (id INTEGER PRIMARY KEY);
                 CREATE TABLE children (parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
                 INSERT INTO children VALUES (1)",
            )?;
            Ok(())
        };
        assert_eq!(fixture.together(vec![insert::<1>, later]).await, [false, false]);
        assert_eq!(fixture.numbers().await, [] as [i64; 0]);
        assert_eq!(fixture.together(vec![insert::<2>]).await, [true], "and the next one goes through");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_read_sees_the_writes_before_it_and_none_behind_it() {
        let fixture = fixture();
        let database = &fixture.database;
        let (first, seen, second) =
            tokio::join!(database.write(insert::<1>), fixture.numbers(), database.write(insert::<2>));
        first.unwrap();
        second.unwrap();
        assert_eq!(seen, [1]);
    }
}
