//! Keeps the index of words up to date: a worker drains the queue that the triggers of the tree fill.
//!
//! What is in the queue is in the database, so nothing is lost over a lock or a crash. A content that ends the daemon
//! while it is looked at is left alone after a few attempts.

use std::time::Duration;

use log::warn;
use rusqlite::{Connection, Transaction};

use super::bell::Bell;
use super::unlocked::Lease;
use super::{Error, extraction};
use crate::model::file::BlobId;
use crate::model::item::Item;
use crate::model::sealing::{Blob, Seal};
use crate::repo::search_index::{self, Due};
use crate::repo::trash;
use crate::storage::database::DatabaseError;

/// Items that are taken from the queue at once.
const STEP: u32 = 32;

/// Text that is indexed in one transaction, at most, and the last document's.
const STEP_BYTES: usize = extraction::MAX_TEXT_BYTES;

/// How often looking at one content is begun.
const MAX_ATTEMPTS: u32 = 3;

/// When to look at the queue though nobody said that something changed.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// After a failure: the database may have too much to do.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// An item of the queue, with the text of its content when that is not in the index yet.
struct Prepared {
    due: Due,
    text: Option<(BlobId, String)>,
}

/// A content whose text is not in the index.
struct Unread {
    blob: Blob,
    size_bytes: u64,
    media_type: String,
}

/// Brings the index up to date whenever something changed, until the vault is locked.
pub(crate) async fn keep(lease: Lease, bell: Bell) {
    let mut locking = std::pin::pin!(lease.locking());
    loop {
        let pause = match drain(&lease).await {
            Ok(()) | Err(Error::Locked) => LONGEST_PAUSE,
            Err(error) => {
                warn!(error:% = error; "the search index is behind");
                PAUSE_AFTER_FAILURE
            }
        };
        tokio::select! {
            biased;
            () = &mut locking => return,
            () = bell.rung() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn drain(lease: &Lease) -> Result<(), Error> {
    loop {
        let found = lease.store().database.read(look).await?;
        if found.is_empty() {
            return Ok(());
        }
        let begun: Vec<Due> = found.iter().filter(|(_, unread)| unread.is_some()).map(|(due, _)| *due).collect();
        note(lease, begun.clone(), search_index::begin).await?;
        let (mut prepared, mut bytes) = (Vec::new(), 0);
        for (due, unread) in found {
            let text = match unread {
                Some(unread) if due.attempts < MAX_ATTEMPTS => {
                    Some((unread.blob.id.clone(), extract(lease, unread).await))
                }
                Some(unread) => {
                    warn!(item:% = due.item_id; "a content is not indexed: looking at it ended the daemon before");
                    Some((unread.blob.id, String::new()))
                }
                None => None,
            };
            if lease.is_ending() {
                // What was extracted may be cut short; and nothing of it is the fault of a content.
                note(lease, begun, search_index::give_back).await?;
                return Err(Error::Locked);
            }
            bytes += text.as_ref().map_or(0, |(_, text)| text.len());
            prepared.push(Prepared { due, text });
            if bytes >= STEP_BYTES {
                index(lease, std::mem::take(&mut prepared)).await?;
                bytes = 0;
            }
        }
        index(lease, prepared).await?;
    }
}

/// The next items of the queue, each with its content when that is not in the index yet.
fn look(connection: &Connection) -> Result<Vec<(Due, Option<Unread>)>, Error> {
    let mut found = Vec::new();
    for due in search_index::due(connection, STEP)? {
        let file = match trash::find(connection, due.item_id)? {
            Some(Item::File(file)) if file.trashed.is_none() => Some(file),
            Some(Item::File(_) | Item::Folder(_)) | None => None,
        };
        let unread = match file {
            Some(file) if !search_index::has_text_of(connection, file.id, &file.blob)? => {
                Some(Unread { blob: file.content(), size_bytes: file.size_bytes, media_type: file.media_type })
            }
            Some(_) | None => None,
        };
        found.push((due, unread));
    }
    Ok(found)
}

/// Notes that the contents of these are going to be looked at, or takes that back.
async fn note(
    lease: &Lease,
    all: Vec<Due>,
    what: fn(&Connection, &Due) -> Result<(), DatabaseError>,
) -> Result<(), Error> {
    if all.is_empty() {
        return Ok(());
    }
    let noted = lease.store().database.write(move |transaction| all.iter().try_for_each(|due| what(transaction, due)));
    Ok(noted.await?)
}

/// The words in a content. One that is gone or damaged has none: it is reported where it is read for somebody.
async fn extract(lease: &Lease, Unread { blob, size_bytes, media_type }: Unread) -> String {
    let lease = lease.clone();
    if blob.seal.as_ref().is_some_and(Seal::is_clients) {
        return String::new();
    }
    let looking = tokio::task::spawn_blocking(move || {
        let content = lease.store().content(&blob)?;
        extraction::text_of(content, size_bytes, &media_type, &|| lease.is_ending())
    });
    match looking.await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            warn!(error:% = error; "a content cannot be read for the search index");
            String::new()
        }
        Err(_panic) => {
            warn!("looking for the words in a content failed unexpectedly");
            String::new()
        }
    }
}

async fn index(lease: &Lease, prepared: Vec<Prepared>) -> Result<(), Error> {
    if prepared.is_empty() {
        return Ok(());
    }
    let indexed = lease.store().database.write(move |transaction| -> Result<(), Error> {
        prepared.iter().try_for_each(|prepared| index_one(transaction, prepared))
    });
    indexed.await
}

/// Writes what the item is now, which may not be what it was when its content was read.
fn index_one(transaction: &Transaction<'_>, Prepared { due, text }: &Prepared) -> Result<(), Error> {
    match trash::find(transaction, due.item_id)?.filter(|item| item.trashed().is_none()) {
        Some(item) => {
            let text = text.as_ref().filter(|(blob, _)| match &item {
                // Of an older revision. The change put the item into the queue again.
                Item::File(file) => file.blob == *blob,
                Item::Folder(_) => false,
            });
            search_index::put(transaction, &item, text.map(|(blob, text)| (blob, text.as_str())))?;
        }
        None => search_index::remove(transaction, due.item_id)?,
    }
    Ok(search_index::done(transaction, due)?)
}
