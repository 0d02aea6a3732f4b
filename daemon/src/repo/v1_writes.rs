//! How many files were sealed in Storm Cloud's format under which key: its nonces are random, so there is an end.

use coffer_crypto::envelope::{CheckValue, v1};
use data_encoding::HEXLOWER;
use rusqlite::Connection;

use super::settings;
use crate::storage::database::DatabaseError;

/// Takes that many writes under a key, and tells how many there were before. `None`, and nothing is taken, when they would be
/// more than [`v1::MAX_WRITES`].
pub(crate) fn take(connection: &mut Connection, key: CheckValue, number: u64) -> Result<Option<u64>, DatabaseError> {
    let setting = format!("v1_writes:{}", HEXLOWER.encode(&key.0));
    let transaction = connection.transaction()?;
    let before = match settings::get(&transaction, &setting)? {
        Some(text) => text.parse().map_err(|_| DatabaseError::Value("count of writes"))?,
        None => 0_u64,
    };
    let Some(after) = before.checked_add(number).filter(|after| *after <= v1::MAX_WRITES) else { return Ok(None) };
    settings::set(&transaction, &setting, &after.to_string())?;
    transaction.commit()?;
    Ok(Some(before))
}
