//! Boxes.

use uuid::Uuid;

use super::database::{DatabaseError, Row, Transaction, Value};

/// How far a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Registering,
    Ready,
    Removing,
    Removed,
}

/// A box.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: Uuid,
    /// Whose it is: the subject of the person's tokens.
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) state: State,
    /// In base64url; none once it is removed.
    pub(crate) public_key: Option<String>,
    /// None once it is being removed.
    pub(crate) sealed_secret: Option<String>,
    /// In milliseconds since 1970.
    pub(crate) registered_at: i64,
}

/// A box that was not there before.
#[derive(Clone)]
pub(crate) struct NewDevice {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) public_key: String,
    pub(crate) sealed_secret: String,
    pub(crate) registered_at: i64,
}

/// Adds a box.
pub(crate) fn add(transaction: &mut Transaction<'_>, owner: &str, new: &NewDevice) -> Result<(), DatabaseError> {
    let id = new.id.to_string();
    transaction.execute(
        "INSERT INTO devices (id, owner, name, state, public_key, sealed_secret, registered_at)
            VALUES ($1, $2, $3, 'registering', $4, $5, $6)",
        &[
            Value::Text(&id),
            Value::Text(owner),
            Value::Text(&new.name),
            Value::Text(&new.public_key),
            Value::Text(&new.sealed_secret),
            Value::Number(new.registered_at),
        ],
    )?;
    Ok(())
}

/// The box with that id.
pub(crate) fn find(transaction: &mut Transaction<'_>, id: Uuid) -> Result<Option<Device>, DatabaseError> {
    let id = id.to_string();
    let sql = "SELECT id, owner, name, state, public_key, sealed_secret, registered_at FROM devices WHERE id = $1";
    transaction.query(sql, &[Value::Text(&id)])?.first().map(device).transpose()
}

/// The box with that public key.
pub(crate) fn find_by_key(
    transaction: &mut Transaction<'_>,
    public_key: &str,
) -> Result<Option<Device>, DatabaseError> {
    let sql =
        "SELECT id, owner, name, state, public_key, sealed_secret, registered_at FROM devices WHERE public_key = $1";
    transaction.query(sql, &[Value::Text(public_key)])?.first().map(device).transpose()
}

/// The boxes of a person, the oldest first, without those that are removed.
pub(crate) fn list(transaction: &mut Transaction<'_>, owner: &str) -> Result<Vec<Device>, DatabaseError> {
    let sql = "SELECT id, owner, name, state, public_key, sealed_secret, registered_at FROM devices
        WHERE owner = $1 AND state <> 'removed' ORDER BY id";
    transaction.query(sql, &[Value::Text(owner)])?.iter().map(device).collect()
}

/// How many that would be.
pub(crate) fn count(transaction: &mut Transaction<'_>, owner: &str) -> Result<i64, DatabaseError> {
    let sql = "SELECT COUNT(*) FROM devices WHERE owner = $1 AND state <> 'removed'";
    transaction.query(sql, &[Value::Text(owner)])?.first().map_or(Ok(0), |row| row.number(0))
}

/// Some boxes whose removal has begun and not ended.
pub(crate) fn being_removed(transaction: &mut Transaction<'_>, limit: i64) -> Result<Vec<Uuid>, DatabaseError> {
    let sql = "SELECT id FROM devices WHERE state = 'removing' ORDER BY id LIMIT $1";
    transaction.query(sql, &[Value::Number(limit)])?.iter().map(|row| parse_id(row.text(0)?)).collect()
}

/// Notes that the tunnel of a box is there. False when its removal has begun meanwhile.
pub(crate) fn set_ready(transaction: &mut Transaction<'_>, id: Uuid) -> Result<bool, DatabaseError> {
    let id = id.to_string();
    let sql = "UPDATE devices SET state = 'ready' WHERE id = $1 AND state IN ('registering', 'ready')";
    Ok(transaction.execute(sql, &[Value::Text(&id)])? == 1)
}

/// Begins to remove a box: its secret is gone at once.
pub(crate) fn set_removing(transaction: &mut Transaction<'_>, id: Uuid) -> Result<(), DatabaseError> {
    let id = id.to_string();
    let sql = "UPDATE devices SET state = 'removing', sealed_secret = NULL WHERE id = $1 AND state <> 'removed'";
    transaction.execute(sql, &[Value::Text(&id)])?;
    Ok(())
}

/// Ends the removal of a box: what is left says that it was there and whose it was.
pub(crate) fn set_removed(transaction: &mut Transaction<'_>, id: Uuid, now: i64) -> Result<(), DatabaseError> {
    let id = id.to_string();
    let sql = "UPDATE devices SET state = 'removed', name = '', public_key = NULL, removed_at = $1
        WHERE id = $2 AND state = 'removing'";
    transaction.execute(sql, &[Value::Number(now), Value::Text(&id)])?;
    Ok(())
}

/// Forgets boxes that were removed before.
pub(crate) fn prune(transaction: &mut Transaction<'_>, removed_before: i64) -> Result<u64, DatabaseError> {
    let sql = "DELETE FROM devices WHERE state = 'removed' AND removed_at < $1";
    transaction.execute(sql, &[Value::Number(removed_before)])
}

/// An id as it is stored.
pub(super) fn parse_id(text: &str) -> Result<Uuid, DatabaseError> {
    text.parse().map_err(|_| DatabaseError::Value("id"))
}

fn device(row: &Row) -> Result<Device, DatabaseError> {
    let state = match row.text(3)? {
        "registering" => State::Registering,
        "ready" => State::Ready,
        "removing" => State::Removing,
        "removed" => State::Removed,
        _ => return Err(DatabaseError::Value("state")),
    };
    Ok(Device {
        id: parse_id(row.text(0)?)?,
        owner: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        state,
        public_key: row.optional_text(4)?.map(ToOwned::to_owned),
        sealed_secret: row.optional_text(5)?.map(ToOwned::to_owned),
        registered_at: row.number(6)?,
    })
}
