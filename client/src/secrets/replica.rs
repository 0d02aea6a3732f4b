//! Sealed rows in SQLite: what an unlocked device keeps, so that nothing of it reads while it is locked. Knows rows and their
//! places; what they say is others' business.
//!
//! Rows are found by marks that are random to who has no key: what can be seen is how many there are, which are of one sort,
//! and lengths, padded as the box has them. A change is on disk, whole, before it is reported (WAL, `synchronous=FULL`), or it never was.

use std::{
    collections::BTreeSet,
    fs::File,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_crypto::secrets::{
    item::padded_bytes,
    local::{LocalKey, Mark, Place},
};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{failure::Failure, rng};

/// How long another process may take for its change.
const PATIENCE: Duration = Duration::from_secs(20);
const VERSION: i64 = 2;
const LENGTH_BYTES: usize = 4;
const DAMAGED: Failure = Failure::Damaged { what: "the replica" };

/// What a row is; the numbers are in the rows' seals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The account's own private keys.
    Own = 1,
    /// Access and refresh token.
    Tokens = 2,
    /// Another account.
    Person = 3,
    /// A vault: role, keys, members.
    Vault = 4,
    /// The history of a vault, as far as this device has seen it.
    Chain = 5,
    /// An item as the box has it.
    Base = 6,
    /// An item that was changed here, and not sent yet.
    Draft = 7,
}

impl Kind {
    const ALL: [Self; 7] = [Self::Own, Self::Tokens, Self::Person, Self::Vault, Self::Chain, Self::Base, Self::Draft];

    fn place(self, vault: Uuid, item: Uuid) -> Place {
        Place { kind: self as u8, vault, item }
    }
}

/// The database of one device.
pub struct Replica {
    connection: Connection,
    key: LocalKey,
    path: PathBuf,
}

/// Its rows, inside of a transaction or outside of one.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    connection: &'a Connection,
    replica: &'a Replica,
}

impl Replica {
    /// Opens it, or makes an empty one.
    pub fn open(path: PathBuf, key: LocalKey) -> Result<Self, Failure> {
        // Made here, because SQLite would make it readable for all; its other files take the mode over.
        let made = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.map_err(Failure::io(format!("the replica in {}", path.display())))?;
        let connection = prepared(&path).map_err(|source| Failure::Replica { path: path.clone(), source })?;
        let version: Result<i64, _> = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
        match version {
            Ok(VERSION) => Ok(Self { connection, key, path }),
            Ok(_) => Err(DAMAGED),
            Err(source) => Err(Failure::Replica { path, source }),
        }
    }

    /// Its rows as they are.
    pub fn rows(&self) -> Rows<'_> {
        Rows { connection: &self.connection, replica: self }
    }

    /// Changes several rows at once, or none; nobody else changes any meanwhile.
    pub fn change<T, E: From<Failure>>(&self, work: impl FnOnce(Rows<'_>) -> Result<T, E>) -> Result<T, E> {
        let begun = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate);
        let transaction = begun.map_err(|source| self.failed(source))?;
        let done = work(Rows { connection: &transaction, replica: self })?;
        transaction.commit().map_err(|source| self.failed(source))?;
        Ok(done)
    }

    fn failed(&self, source: rusqlite::Error) -> Failure {
        Failure::Replica { path: self.path.clone(), source }
    }
}

fn prepared(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    let transaction = Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
    if transaction.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(
            "CREATE TABLE rows (
                place BLOB NOT NULL PRIMARY KEY, vault BLOB NOT NULL, kind BLOB NOT NULL, sealed BLOB NOT NULL
            ) STRICT;
            CREATE INDEX rows_of_vault ON rows (vault);
            CREATE INDEX rows_of_kind ON rows (kind)",
        )?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(connection)
}

impl Rows<'_> {
    /// What a row says.
    pub fn get<T: DeserializeOwned>(self, kind: Kind, vault: Uuid, item: Uuid) -> Result<Option<T>, Failure> {
        let place = kind.place(vault, item);
        let mark = self.replica.key.mark(place);
        let rows = self.all("SELECT place, sealed FROM rows WHERE place = ?1", &mark, |found| found == place)?;
        Ok(rows.into_iter().next().map(|(_, content)| content))
    }

    /// All rows of a kind that belong to a vault, with their items, in the order of these.
    pub fn of_vault<T: DeserializeOwned>(self, kind: Kind, vault: Uuid) -> Result<Vec<(Uuid, T)>, Failure> {
        let mark = self.replica.key.mark_of_vault(kind as u8, vault);
        let belongs = |place: Place| place.kind == kind as u8 && place.vault == vault;
        let rows = self.all("SELECT place, sealed FROM rows WHERE vault = ?1", &mark, belongs)?;
        let mut items: Vec<(Uuid, T)> = rows.into_iter().map(|(place, content)| (place.item, content)).collect();
        items.sort_by_key(|(item, _)| *item);
        Ok(items)
    }

    /// The vaults that have a row of a kind, in the order of their ids.
    pub fn vaults(self, kind: Kind) -> Result<BTreeSet<Uuid>, Failure> {
        let mark = self.replica.key.mark_of_kind(kind as u8);
        let sql = "SELECT place, sealed FROM rows WHERE kind = ?1";
        let rows: Vec<(Place, IgnoredAny)> = self.all(sql, &mark, |place| place.kind == kind as u8)?;
        Ok(rows.into_iter().map(|(place, _)| place.vault).collect())
    }

    /// Writes a row, in place of what there was.
    pub fn put<T: Serialize>(self, kind: Kind, vault: Uuid, item: Uuid, content: &T) -> Result<(), Failure> {
        let damaged = |_| Failure::Damaged { what: "a row of the replica" };
        let content = Zeroizing::new(serde_json::to_vec(content).map_err(damaged)?);
        let (key, place) = (&self.replica.key, kind.place(vault, item));
        let sealed = key.seal(place, &padded(&content), &mut rng())?;
        let sql = "INSERT INTO rows VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (place) DO UPDATE SET sealed = excluded.sealed";
        let mut statement = self.ok(self.connection.prepare_cached(sql))?;
        let marks = (key.mark(place), key.mark_of_vault(place.kind, vault), key.mark_of_kind(place.kind));
        self.ok(statement.execute(params![marks.0, marks.1, marks.2, sealed]))?;
        Ok(())
    }

    /// Deletes a row, if it is there.
    pub fn delete(self, kind: Kind, vault: Uuid, item: Uuid) -> Result<(), Failure> {
        let mark = self.replica.key.mark(kind.place(vault, item));
        self.ok(self.connection.execute("DELETE FROM rows WHERE place = ?1", params![mark]))?;
        Ok(())
    }

    /// Deletes all rows of a vault.
    pub fn forget(self, vault: Uuid) -> Result<(), Failure> {
        for kind in Kind::ALL {
            let mark = self.replica.key.mark_of_vault(kind as u8, vault);
            self.ok(self.connection.execute("DELETE FROM rows WHERE vault = ?1", params![mark]))?;
        }
        Ok(())
    }

    /// The rows that a statement finds by a mark, opened. One that does not belong there was put there by who has no key.
    fn all<T: DeserializeOwned>(
        self,
        sql: &str,
        mark: &Mark,
        belongs: impl Fn(Place) -> bool,
    ) -> Result<Vec<(Place, T)>, Failure> {
        let mut statement = self.ok(self.connection.prepare_cached(sql))?;
        let pair = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Mark>(0)?, row.get::<_, Vec<u8>>(1)?));
        let found = statement.query_map(params![mark], pair);
        let rows: Vec<(Mark, Vec<u8>)> = self.ok(found.and_then(Iterator::collect))?;
        let opened = rows.iter().map(|(mark, sealed)| self.opened(mark, sealed));
        opened.map(|row| row.and_then(|row| if belongs(row.0) { Ok(row) } else { Err(DAMAGED) })).collect()
    }

    fn opened<T: DeserializeOwned>(self, mark: &Mark, sealed: &[u8]) -> Result<(Place, T), Failure> {
        let (place, padded) = self.replica.key.open(mark, sealed).map_err(|_| DAMAGED)?;
        let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(DAMAGED)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
        let content = rest.get(..length).ok_or(DAMAGED)?;
        Ok((place, serde_json::from_slice(content).map_err(|_| DAMAGED)?))
    }

    fn ok<T>(self, result: rusqlite::Result<T>) -> Result<T, Failure> {
        result.map_err(|source| self.replica.failed(source))
    }
}

/// Length, content, zeros: as long as the box sees the sealed items.
fn padded(content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new(vec![0; padded_bytes(content.len()).max(LENGTH_BYTES + content.len())]);
    // What is longer than this counts would not fit into SQLite either.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    padded[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    padded[LENGTH_BYTES..LENGTH_BYTES + content.len()].copy_from_slice(content);
    padded
}
