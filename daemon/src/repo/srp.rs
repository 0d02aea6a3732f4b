//! The verifiers of accounts that log in by SRP-6a.

use coffer_crypto::secrets::password::Parameters;
use coffer_crypto::srp::{Group, Verifier};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{row, users};
use crate::model::user::{User, Username};
use crate::storage::database::DatabaseError;

/// What an account logs in with.
pub(crate) struct SrpRow {
    pub(crate) verifier: Verifier,
    pub(crate) parameters: Parameters,
    pub(crate) is_only: bool,
    pub(crate) created_at: Timestamp,
}

/// Sets the verifier of an account, in place of one that it may have.
pub(crate) fn set(connection: &Connection, user_id: Uuid, srp: &SrpRow) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO srp_verifiers
                   (user_id, group_bits, salt, verifier, parameters, is_only, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        user_id.to_string(),
        bits(srp.verifier.group()),
        srp.verifier.salt(),
        srp.verifier.value(),
        srp.parameters.to_bytes(),
        srp.is_only,
        srp.created_at.as_millisecond(),
    ])?;
    Ok(())
}

/// What an account logs in with.
pub(crate) fn find(connection: &Connection, user_id: Uuid) -> Result<Option<SrpRow>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM srp_verifiers WHERE user_id = ?1")?;
    row::first(statement.query([user_id.to_string()])?, srp)
}

/// Finds an account and what it logs in with, by its name.
pub(crate) fn find_by_name(
    connection: &Connection,
    username: &Username,
) -> Result<Option<(User, SrpRow)>, DatabaseError> {
    let sql = "SELECT users.* FROM users JOIN srp_verifiers ON user_id = id WHERE username = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let Some(user) = row::first(statement.query([username.as_str()])?, users::user)? else { return Ok(None) };
    Ok(find(connection, user.id)?.map(|srp| (user, srp)))
}

/// Whether the account's password opens no session.
pub(crate) fn is_only(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM srp_verifiers WHERE user_id = ?1 AND is_only)";
    Ok(connection.prepare_cached(sql)?.query_row([user_id.to_string()], |row| row.get(0))?)
}

/// Takes the verifier away. False when there was none.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "DELETE FROM srp_verifiers WHERE user_id = ?1";
    Ok(connection.prepare_cached(sql)?.execute([user_id.to_string()])? > 0)
}

/// When the first account of this box was made.
pub(crate) fn first_account_at(connection: &Connection) -> Result<Timestamp, DatabaseError> {
    let sql = "SELECT min(created_at) AS created_at FROM users";
    let mut statement = connection.prepare_cached(sql)?;
    let first = row::first(statement.query([])?, |row| row::optional_time(row, "created_at"))?;
    Ok(first.flatten().unwrap_or(Timestamp::UNIX_EPOCH))
}

fn srp(row: &Row<'_>) -> Result<SrpRow, DatabaseError> {
    let group = match row.get("group_bits")? {
        3072 => Group::Bits3072,
        4096 => Group::Bits4096,
        _ => return Err(DatabaseError::Value("group")),
    };
    let (salt, value): (Vec<u8>, Vec<u8>) = (row.get("salt")?, row.get("verifier")?);
    Ok(SrpRow {
        verifier: Verifier::from_parts(group, &salt, &value).map_err(|_| DatabaseError::Value("verifier"))?,
        parameters: Parameters::parse(&row.get::<_, Vec<u8>>("parameters")?)
            .map_err(|_| DatabaseError::Value("parameters"))?,
        is_only: row.get("is_only")?,
        created_at: row::time(row, "created_at")?,
    })
}

/// The group as it is written.
pub(crate) fn bits(group: Group) -> u16 {
    match group {
        Group::Bits3072 => 3072,
        Group::Bits4096 => 4096,
    }
}
