//! Claim tickets, by their hash.

use uuid::Uuid;

use super::database::{DatabaseError, Row, Transaction, Value};

/// A ticket.
pub(crate) struct Ticket {
    /// Who asked for it.
    pub(crate) owner: String,
    /// When it ends, in milliseconds since 1970.
    pub(crate) expires_at: i64,
    /// The box that used it.
    pub(crate) device_id: Option<Uuid>,
}

/// Keeps a new ticket.
pub(crate) fn add(
    transaction: &mut Transaction<'_>,
    hash: &str,
    owner: &str,
    expires_at: i64,
) -> Result<(), DatabaseError> {
    let values = [Value::Text(hash), Value::Text(owner), Value::Number(expires_at)];
    transaction.execute("INSERT INTO tickets (hash, owner, expires_at) VALUES ($1, $2, $3)", &values)?;
    Ok(())
}

/// The ticket with that hash.
pub(crate) fn find(transaction: &mut Transaction<'_>, hash: &str) -> Result<Option<Ticket>, DatabaseError> {
    let sql = "SELECT owner, expires_at, device_id FROM tickets WHERE hash = $1";
    let rows = transaction.query(sql, &[Value::Text(hash)])?;
    rows.first().map(ticket).transpose()
}

fn ticket(row: &Row) -> Result<Ticket, DatabaseError> {
    let device_id = row.optional_text(2)?.map(super::devices::parse_id).transpose()?;
    Ok(Ticket { owner: row.text(0)?.to_owned(), expires_at: row.number(1)?, device_id })
}

/// How many tickets of a person can still be used.
pub(crate) fn count_open(transaction: &mut Transaction<'_>, owner: &str, now: i64) -> Result<i64, DatabaseError> {
    let sql = "SELECT COUNT(*) FROM tickets WHERE owner = $1 AND device_id IS NULL AND expires_at > $2";
    let rows = transaction.query(sql, &[Value::Text(owner), Value::Number(now)])?;
    rows.first().map_or(Ok(0), |row| row.number(0))
}

/// Notes which box used a ticket.
pub(crate) fn use_up(transaction: &mut Transaction<'_>, hash: &str, device_id: Uuid) -> Result<(), DatabaseError> {
    let id = device_id.to_string();
    let sql = "UPDATE tickets SET device_id = $1 WHERE hash = $2";
    transaction.execute(sql, &[Value::Text(&id), Value::Text(hash)])?;
    Ok(())
}

/// Forgets the tickets that a box used.
pub(crate) fn delete_of_device(transaction: &mut Transaction<'_>, device_id: Uuid) -> Result<(), DatabaseError> {
    let id = device_id.to_string();
    transaction.execute("DELETE FROM tickets WHERE device_id = $1", &[Value::Text(&id)])?;
    Ok(())
}

/// Forgets tickets that ended before: the ones nobody used, and the ones that were used.
pub(crate) fn prune(
    transaction: &mut Transaction<'_>,
    unused_before: i64,
    used_before: i64,
) -> Result<u64, DatabaseError> {
    let sql = "DELETE FROM tickets WHERE (device_id IS NULL AND expires_at < $1)
        OR (device_id IS NOT NULL AND expires_at < $2)";
    transaction.execute(sql, &[Value::Number(unused_before), Value::Number(used_before)])
}
