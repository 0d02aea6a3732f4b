//! What is attached to the items of secrets vaults, as one person sees it: on a [`Scope`], as all of a vault is. The bytes are
//! contents like any other.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{contents, row};
use crate::model::file::BlobId;
use crate::model::secret::{AttachmentPlace, SecretAttachment};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// What is attached to an item, by id.
pub(crate) fn list(scope: &Scope<'_>, vault_id: Uuid, item_id: Uuid) -> Result<Vec<SecretAttachment>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_attachments WHERE vault_id = ?1 AND item_id = ?2 ORDER BY id";
    row::all(scope.prepare(sql)?.query([vault_id.to_string(), item_id.to_string()])?, attachment)
}

/// One attachment.
pub(crate) fn find(scope: &Scope<'_>, place: AttachmentPlace) -> Result<Option<SecretAttachment>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_attachments WHERE vault_id = ?1 AND item_id = ?2 AND id = ?3";
    row::first(scope.prepare(sql)?.query(key(place))?, attachment)
}

/// How many bytes are attached to the items of a vault.
pub(crate) fn used_bytes(scope: &Scope<'_>, vault_id: Uuid) -> Result<u64, DatabaseError> {
    let sql = "SELECT ifnull(sum(size_bytes), 0) AS used_bytes FROM my_secret_attachments WHERE vault_id = ?1";
    let used = row::first(scope.prepare(sql)?.query([vault_id.to_string()])?, |row| row::size(row, "used_bytes"))?;
    Ok(used.unwrap_or(0))
}

/// Attaches something. Refused to all but editors, and where there is no such item.
pub(crate) fn insert(
    scope: &Scope<'_>,
    place: AttachmentPlace,
    attachment: &SecretAttachment,
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_attachments (vault_id, item_id, id, blob_id, size_bytes, sha256, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let [vault_id, item_id, id] = key(place);
    scope.prepare(sql)?.execute(params![
        vault_id,
        item_id,
        id,
        attachment.blob.as_str(),
        row::from_size(attachment.size_bytes)?,
        attachment.sha256.to_string(),
        attachment.created_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Takes one off, and gives its blob. Refused to all but editors.
pub(crate) fn delete(scope: &Scope<'_>, place: AttachmentPlace) -> Result<Option<BlobId>, DatabaseError> {
    let Some(found) = find(scope, place)? else { return Ok(None) };
    let sql = "DELETE FROM my_secret_attachments WHERE vault_id = ?1 AND item_id = ?2 AND id = ?3";
    scope.prepare(sql)?.execute(key(place))?;
    Ok(Some(found.blob))
}

/// Takes everything off that is attached to an item, and gives the blobs. Refused to all but editors.
pub(crate) fn delete_of_item(scope: &Scope<'_>, vault_id: Uuid, item_id: Uuid) -> Result<Vec<BlobId>, DatabaseError> {
    let found = list(scope, vault_id, item_id)?;
    let sql = "DELETE FROM my_secret_attachments WHERE vault_id = ?1 AND item_id = ?2";
    scope.prepare(sql)?.execute([vault_id.to_string(), item_id.to_string()])?;
    Ok(found.into_iter().map(|attachment| attachment.blob).collect())
}

/// Takes everything off that is attached to the items of a vault, and gives the blobs. Refused to all but editors.
pub(crate) fn delete_of_vault(scope: &Scope<'_>, vault_id: Uuid) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "SELECT blob_id FROM my_secret_attachments WHERE vault_id = ?1";
    let blobs = row::all(scope.prepare(sql)?.query([vault_id.to_string()])?, contents::blob)?;
    scope.prepare("DELETE FROM my_secret_attachments WHERE vault_id = ?1")?.execute([vault_id.to_string()])?;
    Ok(blobs)
}

/// Takes off what is attached to nothing, for nobody in particular, and gives the blobs: an older release has deleted the item.
pub(crate) fn delete_stray(connection: &Connection) -> Result<Vec<BlobId>, DatabaseError> {
    let sql = "DELETE FROM secret_attachments
               WHERE NOT EXISTS (SELECT 1 FROM secret_items
                                 WHERE secret_items.vault_id = secret_attachments.vault_id
                                   AND secret_items.id = item_id AND content IS NOT NULL)
               RETURNING blob_id";
    row::all(connection.prepare_cached(sql)?.raw_query(), contents::blob)
}

fn key(place: AttachmentPlace) -> [String; 3] {
    [place.vault_id, place.item_id, place.id].map(|id| id.to_string())
}

fn attachment(row: &Row<'_>) -> Result<SecretAttachment, DatabaseError> {
    Ok(SecretAttachment {
        id: row::id(row, "id")?,
        blob: contents::blob(row)?,
        size_bytes: row::size(row, "size_bytes")?,
        sha256: contents::sha256(row)?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}
