//! The rows of sealed blobs, of the keys that they are sealed with, and of headers that are being written.

use coffer_crypto::envelope::CheckValue;
use coffer_crypto::envelope::keys::{KeyId, KeyRecord, KeyState, Owner};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{row, search_index};
use crate::model::file::BlobId;
use crate::model::sealing::{Blob, KeyOwner, Seal, SealMethod};
use crate::storage::database::DatabaseError;

/// The columns that [`seal`] reads, of a table that is joined as `sealed_blobs`.
pub(super) const COLUMNS: &str = "sealed_blobs.method, sealed_blobs.version, sealed_blobs.key_id,
                                  sealed_blobs.key_generation, sealed_blobs.encrypted_bytes";

/// A key as it is kept, and when it came.
pub(crate) struct KeptKey {
    pub(crate) record: KeyRecord,
    pub(crate) created_at: Timestamp,
}

/// A header that was going to be written.
pub(crate) struct JournalledHeader {
    pub(crate) blob: BlobId,
    pub(crate) core: Vec<u8>,
    pub(crate) key_id: String,
    pub(crate) key_generation: u32,
}

/// How many blobs are stored in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    pub(crate) sealed: u64,
    pub(crate) plain: u64,
    pub(crate) client: u64,
}

/// Notes how a blob is sealed. Refuses a key that is not kept any more: nobody could ever open it.
pub(crate) fn insert(connection: &Connection, blob: &BlobId, seal: &Seal) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO sealed_blobs (blob_id, method, version, key_id, key_generation, encrypted_bytes)
               SELECT ?1, ?2, ?3, ?4, ?5, ?6
               WHERE ?2 = 'client' OR EXISTS (SELECT 1 FROM sealing_keys WHERE key_id = ?4 AND generation = ?5)";
    let inserted = connection.prepare_cached(sql)?.execute(params![
        blob.as_str(),
        seal.method.name(),
        seal.version,
        seal.key_id,
        seal.key_generation,
        row::from_size(seal.encrypted_bytes)?,
    ])?;
    if inserted > 0 { Ok(()) } else { Err(DatabaseError::Value("sealing key")) }
}

/// The seal in the columns of a row that was joined with `sealed_blobs`.
pub(super) fn seal(row: &Row<'_>) -> Result<Option<Seal>, DatabaseError> {
    let Some(method) = row.get::<_, Option<String>>("method")? else { return Ok(None) };
    Ok(Some(Seal {
        method: SealMethod::named(&method).ok_or(DatabaseError::Value("encryption method"))?,
        version: row.get("version")?,
        key_id: row.get("key_id")?,
        key_generation: row.get("key_generation")?,
        encrypted_bytes: row::size(row, "encrypted_bytes")?,
    }))
}

/// How many blobs are stored in which way, small pictures included.
pub(crate) fn census(connection: &Connection) -> Result<Census, DatabaseError> {
    let sql = "SELECT (SELECT count(*) FROM contents) + (SELECT count(*) FROM small_pictures),
                      (SELECT count(*) FROM sealed_blobs), (SELECT count(*) FROM sealed_blobs WHERE method = 'client')";
    let (all, with_row, client): (i64, i64, i64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Census { sealed: count(with_row - client), plain: count(all - with_row), client: count(client) })
}

/// Notes which job has sealed a blob.
pub(crate) fn set_job(connection: &Connection, blob: &BlobId, job_id: Uuid) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealed_blobs SET job_id = ?2 WHERE blob_id = ?1";
    connection.prepare_cached(sql)?.execute([blob.as_str(), &job_id.to_string()])?;
    Ok(())
}

/// Up to `limit` blobs behind that one, contents and small pictures, with the length and digest that they should have. Those
/// that the job has sealed itself are left out.
pub(crate) fn blobs_after(
    connection: &Connection,
    job_id: Uuid,
    after_blob_id: &str,
    limit: u32,
) -> Result<Vec<(Blob, u64, String)>, DatabaseError> {
    let some_of = |table: &str| {
        format!(
            "SELECT * FROM (SELECT blob_id, size_bytes, sha256 FROM {table}
                            WHERE blob_id > ?1 AND NOT EXISTS (SELECT 1 FROM sealed_blobs
                                                               WHERE sealed_blobs.blob_id = {table}.blob_id AND job_id = ?3)
                            ORDER BY blob_id LIMIT ?2)"
        )
    };
    let sql = format!(
        "SELECT blobs.blob_id, size_bytes, sha256, {COLUMNS}
         FROM ({} UNION ALL {}) AS blobs LEFT JOIN sealed_blobs ON sealed_blobs.blob_id = blobs.blob_id
         ORDER BY blobs.blob_id LIMIT ?2",
        some_of("contents"),
        some_of("small_pictures")
    );
    row::all(connection.prepare_cached(&sql)?.query(params![after_blob_id, limit, job_id.to_string()])?, |row| {
        let id = super::contents::blob(row)?;
        Ok((Blob { id, seal: seal(row)? }, row::size(row, "size_bytes")?, row.get("sha256")?))
    })
}

/// Lets everything that named a blob name another one of the same content, and forgets the first. False when it was gone
/// already. How the new one is sealed is for the caller to note.
pub(crate) fn replace(connection: &Connection, old: &BlobId, new: &BlobId) -> Result<bool, DatabaseError> {
    let picture = "UPDATE small_pictures SET blob_id = ?2 WHERE blob_id = ?1";
    if connection.prepare_cached(picture)?.execute([old.as_str(), new.as_str()])? > 0 {
        connection.prepare_cached("DELETE FROM sealed_blobs WHERE blob_id = ?1")?.execute([old.as_str()])?;
        return Ok(true);
    }
    // The picture of a content stays with it: it is of the same bytes.
    let sql = "INSERT INTO contents (blob_id, size_bytes, sha256, media_type, created_at, checked_at, fault)
               SELECT ?2, size_bytes, sha256, media_type, created_at, NULL, NULL FROM contents WHERE blob_id = ?1";
    if connection.prepare_cached(sql)?.execute([old.as_str(), new.as_str()])? == 0 {
        return Ok(false);
    }
    for sql in [
        // What the trigger queued for the new one goes; what was made of the old one is its own now.
        "DELETE FROM thumbnails WHERE source_id = ?2 AND EXISTS (SELECT 1 FROM thumbnails WHERE source_id = ?1)",
        "INSERT INTO thumbnails (source_id, state, reason, missing_tool)
         SELECT ?2, state, reason, missing_tool FROM thumbnails WHERE source_id = ?1",
        "UPDATE small_pictures SET source_id = ?2 WHERE source_id = ?1",
        "UPDATE revisions SET blob_id = ?2 WHERE blob_id = ?1",
        "UPDATE files SET blob_id = ?2 WHERE blob_id = ?1",
        "UPDATE secret_attachments SET blob_id = ?2 WHERE blob_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([old.as_str(), new.as_str()])?;
    }
    search_index::rename_content(connection, old, new)?;
    connection.prepare_cached("DELETE FROM contents WHERE blob_id = ?1")?.execute([old.as_str()])?;
    Ok(true)
}

/// Whose key a content is sealed with: of the person who owns its newest revision.
pub(crate) fn owner_of(connection: &Connection, blob: &BlobId) -> Result<Option<(Uuid, Option<Uuid>)>, DatabaseError> {
    let sql = "SELECT revisions.owner_id, files.folder_id FROM revisions JOIN files ON files.id = revisions.file_id
               WHERE revisions.blob_id = ?1
                  OR revisions.blob_id IN (SELECT source_id FROM small_pictures WHERE small_pictures.blob_id = ?1)
               ORDER BY revisions.created_at LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query([blob.as_str()])?, |row| {
        Ok((row::id(row, "owner_id")?, row::optional_id(row, "folder_id")?))
    })
}

/// Keeps a key.
pub(crate) fn insert_key(connection: &Connection, record: &KeyRecord, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO sealing_keys (key_id, generation, owner_id, check_value, state, wrapped, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        record.id.as_str(),
        record.generation,
        owner(record).user().map(|id| id.to_string()),
        record.check.0.as_slice(),
        state_name(record.state),
        record.wrapped.as_slice(),
        now.as_millisecond(),
    ])?;
    Ok(())
}

/// From now on new blobs are sealed with another key of that owner.
pub(crate) fn retire_keys(connection: &Connection, of: KeyOwner) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealing_keys SET state = 'retired' WHERE ifnull(owner_id, '') = ?1";
    connection.prepare_cached(sql)?.execute([owner_text(of)])?;
    Ok(())
}

/// Forgets all keys of an owner; tells how many. The drive may remember them.
pub(crate) fn delete_keys(connection: &Connection, of: KeyOwner) -> Result<usize, DatabaseError> {
    let sql = "DELETE FROM sealing_keys WHERE ifnull(owner_id, '') = ?1";
    Ok(connection.prepare_cached(sql)?.execute([owner_text(of)])?)
}

/// Forgets a key that no blob needs.
pub(crate) fn delete_unused_key(connection: &Connection, id: KeyId, generation: u32) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM sealing_keys WHERE key_id = ?1 AND generation = ?2 AND state = 'retired'
                 AND NOT EXISTS (SELECT 1 FROM sealed_blobs WHERE key_id = ?1 AND key_generation = ?2)
                 AND NOT EXISTS (SELECT 1 FROM header_journal)";
    Ok(connection.prepare_cached(sql)?.execute(params![id.as_str(), generation])? > 0)
}

/// Writes the wrapping of a key anew.
pub(crate) fn set_wrapping(connection: &Connection, record: &KeyRecord) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealing_keys SET wrapped = ?3 WHERE key_id = ?1 AND generation = ?2";
    let values = params![record.id.as_str(), record.generation, record.wrapped.as_slice()];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// All keys that are kept.
pub(crate) fn keys(connection: &Connection) -> Result<Vec<KeptKey>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sealing_keys ORDER BY key_id, generation")?;
    row::all(statement.raw_query(), kept_key)
}

/// The key that new blobs of an owner are sealed with.
pub(crate) fn active_key(connection: &Connection, of: KeyOwner) -> Result<Option<KeyRecord>, DatabaseError> {
    let sql = "SELECT * FROM sealing_keys WHERE ifnull(owner_id, '') = ?1 AND state = 'active'";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(row::first(statement.query([owner_text(of)])?, kept_key)?.map(|kept| kept.record))
}

/// How many blobs need a key.
pub(crate) fn blobs_of_key(connection: &Connection, id: KeyId, generation: u32) -> Result<u64, DatabaseError> {
    let sql = "SELECT count(*) FROM sealed_blobs WHERE key_id = ?1 AND key_generation = ?2";
    let count: i64 = connection.prepare_cached(sql)?.query_row(params![id.as_str(), generation], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Notes a header that is going to be written over an old one.
pub(crate) fn journal(connection: &Connection, header: &JournalledHeader) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO header_journal (blob_id, core, key_id, key_generation) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (blob_id) DO UPDATE SET core = excluded.core, key_id = excluded.key_id,
                                                   key_generation = excluded.key_generation";
    let values = params![header.blob.as_str(), header.core, header.key_id, header.key_generation];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Headers of which it is not known that they were written.
pub(crate) fn journalled(connection: &Connection) -> Result<Vec<JournalledHeader>, DatabaseError> {
    row::all(connection.prepare_cached("SELECT * FROM header_journal")?.raw_query(), |row| {
        Ok(JournalledHeader {
            blob: super::contents::blob(row)?,
            core: row.get("core")?,
            key_id: row.get("key_id")?,
            key_generation: row.get("key_generation")?,
        })
    })
}

/// A header is on the drive: the row says so from now on, and the journal nothing.
pub(crate) fn header_written(
    connection: &Connection,
    blob: &BlobId,
    key_id: &str,
    key_generation: u32,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealed_blobs SET key_id = ?2, key_generation = ?3 WHERE blob_id = ?1";
    connection.prepare_cached(sql)?.execute(params![blob.as_str(), key_id, key_generation])?;
    connection.prepare_cached("DELETE FROM header_journal WHERE blob_id = ?1")?.execute([blob.as_str()])?;
    Ok(())
}

/// Whether a folder, or the closest one above it that has a list, is shared by a list with somebody else.
pub(crate) fn is_shared_by_list(
    connection: &Connection,
    folder_id: Option<Uuid>,
    owner_id: Uuid,
) -> Result<bool, DatabaseError> {
    let Some(folder_id) = folder_id else { return Ok(false) };
    let sql = "WITH RECURSIVE up (id, parent_id) AS (
                   SELECT id, parent_id FROM folders WHERE id = ?1
                   UNION ALL SELECT folders.id, folders.parent_id FROM folders JOIN up ON folders.id = up.parent_id
               )
               SELECT EXISTS (SELECT 1 FROM up JOIN folder_grants ON folder_grants.folder_id = up.id
                              WHERE grantee_id <> ?2)";
    let values = params![folder_id.to_string(), owner_id.to_string()];
    Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
}

/// Whether new blobs are sealed with a key.
pub(crate) fn is_active(record: &KeyRecord) -> bool {
    record.state == KeyState::Active
}

/// Takes the words of contents out of the index that are sealed with the keys of an owner.
pub(crate) fn forget_words(connection: &Connection, of: KeyOwner) -> Result<(), DatabaseError> {
    let sql = "SELECT blob_id FROM sealed_blobs JOIN sealing_keys
               ON sealing_keys.key_id = sealed_blobs.key_id AND sealing_keys.generation = sealed_blobs.key_generation
               WHERE ifnull(owner_id, '') = ?1";
    let blobs = row::all(connection.prepare_cached(sql)?.query([owner_text(of)])?, super::contents::blob)?;
    blobs.iter().try_for_each(|blob| search_index::forget_content(connection, blob))
}

/// The owner of a kept key.
pub(crate) fn owner(record: &KeyRecord) -> KeyOwner {
    match record.owner {
        Owner::Shared => KeyOwner::Shared,
        Owner::User(id) => KeyOwner::User(id),
    }
}

fn owner_text(owner: KeyOwner) -> String {
    owner.user().map(|id| id.to_string()).unwrap_or_default()
}

fn state_name(state: KeyState) -> &'static str {
    match state {
        KeyState::Active => "active",
        KeyState::Retired => "retired",
    }
}

fn kept_key(row: &Row<'_>) -> Result<KeptKey, DatabaseError> {
    let bad = |_| DatabaseError::Value("sealing key");
    let (id, state): (String, String) = (row.get("key_id")?, row.get("state")?);
    let (check, wrapped): (Vec<u8>, Vec<u8>) = (row.get("check_value")?, row.get("wrapped")?);
    let record = KeyRecord {
        id: KeyId::parse(&id).map_err(|_| DatabaseError::Value("sealing key"))?,
        generation: row.get("generation")?,
        owner: row::optional_id(row, "owner_id")?.map_or(Owner::Shared, Owner::User),
        check: CheckValue(check.try_into().map_err(bad)?),
        state: if state == "active" { KeyState::Active } else { KeyState::Retired },
        wrapped: wrapped.try_into().map_err(bad)?,
    };
    Ok(KeptKey { record, created_at: row::time(row, "created_at")? })
}
