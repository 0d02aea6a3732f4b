//! Second factors: secrets of authenticator apps, recovery codes, passkeys.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::second_factor::{Passkey, SecondFactorList, TotpSecret};
use crate::storage::database::DatabaseError;

/// A passkey with what it is checked by.
#[derive(Clone, Debug)]
pub(crate) struct PasskeyRow {
    pub(crate) passkey: Passkey,
    pub(crate) credential_id: Vec<u8>,
    /// As JSON.
    pub(crate) credential: String,
}

/// Whether the account has a second factor. Recovery codes alone are none.
pub(crate) fn exists(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM totp WHERE user_id = ?1)
                   OR EXISTS (SELECT 1 FROM passkeys WHERE user_id = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([user_id.to_string()], |row| row.get(0))?)
}

/// All that the account has.
pub(crate) fn list(connection: &Connection, user_id: Uuid) -> Result<SecondFactorList, DatabaseError> {
    let mut totp = connection.prepare_cached("SELECT created_at FROM totp WHERE user_id = ?1")?;
    let sql = "SELECT count(*) FROM recovery_codes WHERE user_id = ?1 AND used_at IS NULL";
    let mut codes = connection.prepare_cached(sql)?;
    Ok(SecondFactorList {
        totp_since: row::first(totp.query([user_id.to_string()])?, |row| row::time(row, "created_at"))?,
        recovery_codes_left: codes.query_row([user_id.to_string()], |row| row.get(0))?,
        passkeys: passkeys(connection, user_id)?.into_iter().map(|row| row.passkey).collect(),
    })
}

/// Takes everything away that the account has.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    for sql in [
        "DELETE FROM totp WHERE user_id = ?1",
        "DELETE FROM totp_enrolments WHERE user_id = ?1",
        "DELETE FROM recovery_codes WHERE user_id = ?1",
        "DELETE FROM passkeys WHERE user_id = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([user_id.to_string()])?;
    }
    Ok(())
}

/// Keeps a secret until its first code comes. An earlier one that waits is forgotten.
pub(crate) fn set_totp_enrolment(
    connection: &Connection,
    user_id: Uuid,
    secret: &TotpSecret,
    expires_at: Timestamp,
) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO totp_enrolments (user_id, secret, expires_at) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![user_id.to_string(), secret.0, expires_at.as_millisecond()])?;
    Ok(())
}

/// Finds a secret that waits for its first code.
pub(crate) fn find_totp_enrolment(
    connection: &Connection,
    user_id: Uuid,
    now: Timestamp,
) -> Result<Option<TotpSecret>, DatabaseError> {
    let sql = "SELECT secret FROM totp_enrolments WHERE user_id = ?1 AND expires_at > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    row::first(statement.query(params![user_id.to_string(), now.as_millisecond()])?, secret)
}

/// Makes the secret the account's, with the step of the code that confirmed it.
pub(crate) fn set_totp(
    connection: &Connection,
    user_id: Uuid,
    secret: &TotpSecret,
    step: i64,
    now: Timestamp,
) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM totp_enrolments WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    let sql = "INSERT OR REPLACE INTO totp (user_id, secret, last_step, created_at) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![user_id.to_string(), secret.0, step, now.as_millisecond()])?;
    Ok(())
}

/// Finds the account's secret.
pub(crate) fn find_totp(connection: &Connection, user_id: Uuid) -> Result<Option<TotpSecret>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT secret FROM totp WHERE user_id = ?1")?;
    row::first(statement.query([user_id.to_string()])?, secret)
}

/// Notes the step of a code. False when a code of that step or of a later one was accepted already.
pub(crate) fn advance_totp(connection: &Connection, user_id: Uuid, step: i64) -> Result<bool, DatabaseError> {
    let sql = "UPDATE totp SET last_step = ?2 WHERE user_id = ?1 AND last_step < ?2";
    Ok(connection.prepare_cached(sql)?.execute(params![user_id.to_string(), step])? == 1)
}

/// Takes the authenticator app away, and one that waits. False when there was none.
pub(crate) fn delete_totp(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    connection.prepare_cached("DELETE FROM totp_enrolments WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    let mut statement = connection.prepare_cached("DELETE FROM totp WHERE user_id = ?1")?;
    Ok(statement.execute([user_id.to_string()])? > 0)
}

/// Replaces all recovery codes of the account.
pub(crate) fn set_recovery_codes(
    connection: &Connection,
    user_id: Uuid,
    hashes: &[[u8; 32]],
) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM recovery_codes WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    let mut statement = connection.prepare_cached("INSERT INTO recovery_codes (user_id, hash) VALUES (?1, ?2)")?;
    for hash in hashes {
        statement.execute(params![user_id.to_string(), hash])?;
    }
    Ok(())
}

/// Uses a recovery code up. False when there is none such, or not any more.
pub(crate) fn use_recovery_code(
    connection: &Connection,
    user_id: Uuid,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE recovery_codes SET used_at = ?3 WHERE user_id = ?1 AND hash = ?2 AND used_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute(params![user_id.to_string(), hash, now.as_millisecond()])? == 1)
}

/// Adds a passkey. A credential that is known already, whosever it is, is [`DatabaseError::Conflict`].
pub(crate) fn insert_passkey(connection: &Connection, user_id: Uuid, row: &PasskeyRow) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO passkeys (id, user_id, name, credential_id, credential, counter, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)";
    connection.prepare_cached(sql)?.execute(params![
        row.passkey.id.to_string(),
        user_id.to_string(),
        row.passkey.name,
        row.credential_id,
        row.credential,
        row.passkey.created_at.as_millisecond(),
    ])?;
    Ok(())
}

/// The passkeys of an account, oldest first.
pub(crate) fn passkeys(connection: &Connection, user_id: Uuid) -> Result<Vec<PasskeyRow>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM passkeys WHERE user_id = ?1 ORDER BY id")?;
    row::all(statement.query([user_id.to_string()])?, passkey)
}

/// Notes a login. False when the authenticator has counted no further since the last one: somebody has a copy of it.
pub(crate) fn advance_passkey(
    connection: &Connection,
    id: Uuid,
    credential: &str,
    counter: u32,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE passkeys SET credential = ?2, counter = ?3, last_used_at = ?4
               WHERE id = ?1 AND (counter < ?3 OR (counter = 0 AND ?3 = 0))";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.execute(params![id.to_string(), credential, counter, now.as_millisecond()])? == 1)
}

/// Renames a passkey of that account. `None` when there is none such.
pub(crate) fn rename_passkey(
    connection: &Connection,
    user_id: Uuid,
    id: Uuid,
    name: &str,
) -> Result<Option<Passkey>, DatabaseError> {
    let sql = "UPDATE passkeys SET name = ?3 WHERE user_id = ?1 AND id = ?2 RETURNING *";
    let mut statement = connection.prepare_cached(sql)?;
    let renamed = row::first(statement.query(params![user_id.to_string(), id.to_string(), name])?, passkey)?;
    Ok(renamed.map(|row| row.passkey))
}

/// Removes a passkey of that account. False when there is none such.
pub(crate) fn delete_passkey(connection: &Connection, user_id: Uuid, id: Uuid) -> Result<bool, DatabaseError> {
    let mut statement = connection.prepare_cached("DELETE FROM passkeys WHERE user_id = ?1 AND id = ?2")?;
    Ok(statement.execute([user_id.to_string(), id.to_string()])? > 0)
}

fn secret(row: &Row<'_>) -> Result<TotpSecret, DatabaseError> {
    Ok(TotpSecret(row.get("secret")?))
}

fn passkey(row: &Row<'_>) -> Result<PasskeyRow, DatabaseError> {
    Ok(PasskeyRow {
        passkey: Passkey {
            id: row::id(row, "id")?,
            name: row.get("name")?,
            created_at: row::time(row, "created_at")?,
            last_used_at: row::optional_time(row, "last_used_at")?,
        },
        credential_id: row.get("credential_id")?,
        credential: row.get("credential")?,
    })
}
