//! Rotations, drop boxes and what lies in them. Members work in a scope of theirs; whoever carries rotations out is nobody, and
//! goes from one state to the next, each change of which is one transaction.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::row;
use crate::model::rotation::{
    self, DropState, DueRotation, NewRotation, Rotation, RotationState, StoredDrop, StoredDropBox,
};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// What a value is made for, as it stands now.
pub(crate) struct Target {
    /// Of the item.
    pub(crate) revision: u64,
    /// `None` when no member has set one for the vault's newest key.
    pub(crate) drop_box: Option<StoredDropBox>,
}

/// Sets the drop box of a vault's newest key. Refused to all but managers.
pub(crate) fn put_drop_box(
    scope: &Scope<'_>,
    vault_id: Uuid,
    generation: u32,
    public: &[u8],
    signature: &[u8],
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_drop_boxes (vault_id, generation, public, signature) VALUES (?1, ?2, ?3, ?4)";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), generation, public, signature])?;
    Ok(())
}

/// The newest drop box of a vault.
pub(crate) fn drop_box(scope: &Scope<'_>, vault_id: Uuid) -> Result<Option<StoredDropBox>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_drop_boxes WHERE vault_id = ?1 ORDER BY generation DESC LIMIT 1";
    row::first(scope.prepare(sql)?.query([vault_id.to_string()])?, stored_drop_box)
}

/// What lies in a vault's drop boxes, oldest first.
pub(crate) fn drops(scope: &Scope<'_>, vault_id: Uuid) -> Result<Vec<StoredDrop>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_drops WHERE vault_id = ?1 ORDER BY id";
    row::all(scope.prepare(sql)?.query([vault_id.to_string()])?, stored_drop)
}

/// One of them.
pub(crate) fn find_drop(scope: &Scope<'_>, vault_id: Uuid, id: Uuid) -> Result<Option<StoredDrop>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_drops WHERE vault_id = ?1 AND id = ?2";
    row::first(scope.prepare(sql)?.query([vault_id.to_string(), id.to_string()])?, stored_drop)
}

/// Takes one away. Refused to viewers.
pub(crate) fn delete_drop(scope: &Scope<'_>, id: Uuid) -> Result<(), DatabaseError> {
    scope.prepare("DELETE FROM my_secret_drops WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// Keeps a rotation, due at that time. Refused to all but managers; an id that is taken is [`DatabaseError::Conflict`].
pub(crate) fn insert(
    scope: &Scope<'_>,
    new: &NewRotation,
    next_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    let sql =
        "INSERT INTO my_secret_rotations (id, vault_id, item_id, field_id, handle_field_id, provider, admin, current,
                   every_s, grace_s, next_at, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    scope.prepare(sql)?.execute(params![
        new.id.to_string(),
        new.vault_id.to_string(),
        new.item_id.to_string(),
        new.field_id.to_string(),
        new.handle_field_id.map(|id| id.to_string()),
        provider_text(&new.provider)?,
        new.admin.as_ref().map(|admin| admin.as_str()),
        new.handle,
        new.every_s.map(row::from_size).transpose()?,
        new.grace_s.map(row::from_size).transpose()?,
        next_at.map(Timestamp::as_millisecond),
        now.as_millisecond(),
    ])?;
    Ok(())
}

/// The rotations of a vault, oldest first.
pub(crate) fn list(scope: &Scope<'_>, vault_id: Uuid) -> Result<Vec<Rotation>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_rotations WHERE vault_id = ?1 ORDER BY created_at, id";
    row::all(scope.prepare(sql)?.query([vault_id.to_string()])?, rotation)
}

/// One of them.
pub(crate) fn find(scope: &Scope<'_>, vault_id: Uuid, id: Uuid) -> Result<Option<Rotation>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_rotations WHERE vault_id = ?1 AND id = ?2";
    row::first(scope.prepare(sql)?.query([vault_id.to_string(), id.to_string()])?, rotation)
}

/// Makes one due. Refused to all but managers.
pub(crate) fn hurry(scope: &Scope<'_>, id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE my_secret_rotations SET next_at = ?2 WHERE id = ?1";
    scope.prepare(sql)?.execute(params![id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// Ends one, with its admin credential. Refused to all but managers.
pub(crate) fn delete(scope: &Scope<'_>, id: Uuid) -> Result<(), DatabaseError> {
    scope.prepare("DELETE FROM my_secret_rotations WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// Takes all of a vault away that is about to be deleted.
pub(super) fn delete_of_vault(scope: &Scope<'_>, vault_id: Uuid) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM my_secret_rotations WHERE vault_id = ?1",
        "DELETE FROM my_secret_drops WHERE vault_id = ?1",
        "DELETE FROM my_secret_drop_boxes WHERE vault_id = ?1",
    ] {
        scope.prepare(sql)?.execute([vault_id.to_string()])?;
    }
    Ok(())
}

/// Removes what belongs to no vault any more, which a program of before has deleted, and lets nothing wait longer than it would
/// when it began now: the clock may have been set back.
pub(crate) fn tidy(connection: &Connection, now: Timestamp) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM secret_rotations WHERE vault_id NOT IN (SELECT id FROM secret_vaults)",
        "DELETE FROM secret_drops WHERE vault_id NOT IN (SELECT id FROM secret_vaults)",
        "DELETE FROM secret_drop_boxes WHERE vault_id NOT IN (SELECT id FROM secret_vaults)",
    ] {
        connection.execute(sql, [])?;
    }
    let sql = "UPDATE secret_rotations SET next_at = ?1 + 1000 * every_s WHERE next_at > ?1 + 1000 * every_s";
    connection.execute(sql, [now.as_millisecond()])?;
    Ok(())
}

/// The rotations that are due, the longest first.
pub(crate) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<DueRotation>, DatabaseError> {
    let sql = "SELECT * FROM secret_rotations WHERE next_at <= ?1 ORDER BY next_at, id";
    row::all(connection.prepare_cached(sql)?.query([now.as_millisecond()])?, due_rotation)
}

/// What a rotation's value goes into; `None` when the item is not there.
pub(crate) fn target(connection: &Connection, rotation: &Rotation) -> Result<Option<Target>, DatabaseError> {
    let place = [rotation.vault_id.to_string(), rotation.item_id.to_string()];
    let sql = "SELECT revision FROM secret_items WHERE vault_id = ?1 AND id = ?2 AND content IS NOT NULL";
    let revision =
        row::first(connection.prepare_cached(sql)?.query([&place[0], &place[1]])?, |row| row::size(row, "revision"))?;
    let Some(revision) = revision else { return Ok(None) };
    let sql =
        "SELECT b.* FROM secret_drop_boxes b JOIN secret_vaults v ON v.id = b.vault_id AND v.generation = b.generation
               WHERE b.vault_id = ?1";
    let drop_box = row::first(connection.prepare_cached(sql)?.query([&place[0]])?, stored_drop_box)?;
    Ok(Some(Target { revision, drop_box }))
}

/// The number of changes that a vault has.
pub(crate) fn sequence(connection: &Connection, vault_id: Uuid) -> Result<Option<u64>, DatabaseError> {
    let sql = "SELECT sequence FROM secret_vaults WHERE id = ?1";
    row::first(connection.prepare_cached(sql)?.query([vault_id.to_string()])?, |row| row::size(row, "sequence"))
}

/// What of a rotation changes from one state to the next.
pub(crate) struct Progress<'a> {
    pub(crate) state: RotationState,
    pub(crate) handle: Option<&'a str>,
    pub(crate) current: Option<&'a str>,
    pub(crate) old: &'a [String],
    pub(crate) drop_id: Option<Uuid>,
    pub(crate) attempts: u32,
    pub(crate) problem: Option<&'a str>,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) changed_at: Timestamp,
    pub(crate) rotated_at: Option<Timestamp>,
}

/// Writes how far a rotation is. False when it is gone.
pub(crate) fn advance(connection: &Connection, id: Uuid, progress: &Progress<'_>) -> Result<bool, DatabaseError> {
    let sql =
        "UPDATE secret_rotations SET state = ?2, handle = ?3, current = ?4, old = ?5, drop_id = ?6, attempts = ?7,
                   problem = ?8, next_at = ?9, changed_at = ?10, rotated_at = ?11
               WHERE id = ?1";
    let changed = connection.prepare_cached(sql)?.execute(params![
        id.to_string(),
        rotation::state_name(progress.state),
        progress.handle,
        progress.current,
        serde_json::to_string(progress.old).map_err(|_| DatabaseError::Value("handles"))?,
        progress.drop_id.map(|id| id.to_string()),
        progress.attempts,
        progress.problem,
        progress.next_at.map(Timestamp::as_millisecond),
        progress.changed_at.as_millisecond(),
        progress.rotated_at.map(Timestamp::as_millisecond),
    ])?;
    Ok(changed > 0)
}

/// Keeps a sealed value.
pub(crate) fn insert_drop(connection: &Connection, drop: &StoredDrop) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO secret_drops (id, vault_id, rotation_id, item_id, generation, base_revision, content, made_at, state)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        drop.id.to_string(),
        drop.vault_id.to_string(),
        drop.rotation_id.to_string(),
        drop.item_id.to_string(),
        drop.generation,
        row::from_size(drop.base_revision)?,
        drop.content,
        drop.made_at.as_millisecond(),
        drop.state.name(),
    ])?;
    Ok(())
}

/// Says who may have a value.
pub(crate) fn set_drop_state(connection: &Connection, id: Uuid, state: DropState) -> Result<(), DatabaseError> {
    let sql = "UPDATE secret_drops SET state = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([id.to_string(), state.name().to_owned()])?;
    Ok(())
}

/// Takes all values of a rotation away but one.
pub(crate) fn keep_only(connection: &Connection, rotation_id: Uuid, drop_id: Uuid) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM secret_drops WHERE rotation_id = ?1 AND id <> ?2";
    connection.prepare_cached(sql)?.execute([rotation_id.to_string(), drop_id.to_string()])?;
    Ok(())
}

/// Takes the oldest values of which nobody knows whether they are in force away, but for so many.
pub(crate) fn forget_unsure(connection: &Connection, rotation_id: Uuid, keep: u32) -> Result<(), DatabaseError> {
    let sql =
        "DELETE FROM secret_drops WHERE id IN (SELECT id FROM secret_drops WHERE rotation_id = ?1 AND state = 'unsure'
                   ORDER BY id DESC LIMIT -1 OFFSET ?2)";
    connection.prepare_cached(sql)?.execute(params![rotation_id.to_string(), keep])?;
    Ok(())
}

/// Whether a value still waits for a member.
pub(crate) fn is_waiting(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT count(*) FROM secret_drops WHERE id = ?1";
    let count: u32 = connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?;
    Ok(count > 0)
}

/// Takes a value away. False when it is gone.
pub(crate) fn remove_drop(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM secret_drops WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

fn provider_text(provider: &rotation::RotationProvider) -> Result<String, DatabaseError> {
    serde_json::to_string(provider).map_err(|_| DatabaseError::Value("provider"))
}

fn rotation(row: &Row<'_>) -> Result<Rotation, DatabaseError> {
    let optional_size = |column: &str| row.get::<_, Option<i64>>(column).map(|size| size.map(i64::unsigned_abs));
    Ok(Rotation {
        id: row::id(row, "id")?,
        vault_id: row::id(row, "vault_id")?,
        item_id: row::id(row, "item_id")?,
        field_id: row::id(row, "field_id")?,
        handle_field_id: row::optional_id(row, "handle_field_id")?,
        provider: serde_json::from_str(&row.get::<_, String>("provider")?)
            .map_err(|_| DatabaseError::Value("provider"))?,
        every_s: optional_size("every_s")?,
        grace_s: optional_size("grace_s")?,
        state: rotation::parse_state(&row.get::<_, String>("state")?).ok_or(DatabaseError::Value("state"))?,
        attempts: row.get("attempts")?,
        problem: row.get("problem")?,
        next_at: row::optional_time(row, "next_at")?,
        changed_at: row::time(row, "changed_at")?,
        rotated_at: row::optional_time(row, "rotated_at")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}

fn due_rotation(row: &Row<'_>) -> Result<DueRotation, DatabaseError> {
    Ok(DueRotation {
        rotation: rotation(row)?,
        admin: row.get::<_, Option<String>>("admin")?.map(Zeroizing::new),
        handle: row.get("handle")?,
        current: row.get("current")?,
        old: serde_json::from_str(&row.get::<_, String>("old")?).map_err(|_| DatabaseError::Value("handles"))?,
        drop_id: row::optional_id(row, "drop_id")?,
    })
}

fn stored_drop_box(row: &Row<'_>) -> Result<StoredDropBox, DatabaseError> {
    Ok(StoredDropBox {
        generation: row.get("generation")?,
        public: row.get("public")?,
        signature: row.get("signature")?,
        set_by: row::id(row, "set_by")?,
    })
}

fn stored_drop(row: &Row<'_>) -> Result<StoredDrop, DatabaseError> {
    Ok(StoredDrop {
        id: row::id(row, "id")?,
        vault_id: row::id(row, "vault_id")?,
        rotation_id: row::id(row, "rotation_id")?,
        item_id: row::id(row, "item_id")?,
        generation: row.get("generation")?,
        base_revision: row::size(row, "base_revision")?,
        content: row.get("content")?,
        made_at: row::time(row, "made_at")?,
        state: DropState::parse(&row.get::<_, String>("state")?).ok_or(DatabaseError::Value("state"))?,
    })
}
