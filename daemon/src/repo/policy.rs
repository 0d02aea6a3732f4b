//! What the administrators decided, kept among the settings.

use std::str::FromStr;

use rusqlite::Connection;
use uuid::Uuid;

use super::{second_factors, settings};
use crate::model::policy::Policy;
use crate::model::sealing::{self, EncryptionMode};
use crate::model::usage::StoragePolicy;
use crate::storage::database::DatabaseError;

const REGISTRATION_CLOSED: &str = "registration_closed";
const SECOND_FACTOR_REQUIRED: &str = "second_factor_required";
const TRASH_DAYS: &str = "trash_days";
const KEEP_REVISIONS: &str = "keep_revisions";
const KEEP_DAYS: &str = "keep_days";
const ENCRYPTION_MODE: &str = "encryption_mode";
const QUOTA_BYTES: &str = "quota_bytes";
const RESERVE_BYTES: &str = "reserve_bytes";

/// Reads the rules; a new vault has open registration and asks for no second factor.
pub(crate) fn get(connection: &Connection) -> Result<Policy, DatabaseError> {
    let is_set = |key| Ok::<_, DatabaseError>(settings::get(connection, key)?.as_deref() == Some("true"));
    Ok(Policy {
        registration_open: !is_set(REGISTRATION_CLOSED)?,
        second_factor_required: is_set(SECOND_FACTOR_REQUIRED)?,
    })
}

/// Whether an account must have a second factor, and has none.
pub(crate) fn must_enrol(connection: &Connection, user_id: Uuid) -> Result<bool, DatabaseError> {
    Ok(get(connection)?.second_factor_required && !second_factors::exists(connection, user_id)?)
}

/// Writes the rules.
pub(crate) fn set(connection: &Connection, policy: Policy) -> Result<(), DatabaseError> {
    settings::set(connection, REGISTRATION_CLOSED, &(!policy.registration_open).to_string())?;
    settings::set(connection, SECOND_FACTOR_REQUIRED, &policy.second_factor_required.to_string())
}

/// What happens to new contents.
pub(crate) fn encryption(connection: &Connection) -> Result<EncryptionMode, DatabaseError> {
    let text = settings::get(connection, ENCRYPTION_MODE)?;
    text.map_or(Ok(EncryptionMode::Off), |text| sealing::mode_named(&text).ok_or(DatabaseError::Value(ENCRYPTION_MODE)))
}

/// Sets what happens to new contents.
pub(crate) fn set_encryption(connection: &Connection, mode: EncryptionMode) -> Result<(), DatabaseError> {
    settings::set(connection, ENCRYPTION_MODE, sealing::mode_name(mode))
}

/// Reads the rules of storage.
pub(crate) fn storage(connection: &Connection) -> Result<StoragePolicy, DatabaseError> {
    let new = StoragePolicy::default();
    Ok(StoragePolicy {
        trash_days: number(connection, TRASH_DAYS, new.trash_days)?,
        keep_revisions: number(connection, KEEP_REVISIONS, new.keep_revisions)?,
        keep_days: number(connection, KEEP_DAYS, new.keep_days)?,
        quota_bytes: number(connection, QUOTA_BYTES, new.quota_bytes)?,
        reserve_bytes: number(connection, RESERVE_BYTES, new.reserve_bytes)?,
    })
}

/// Writes the rules of storage.
pub(crate) fn set_storage(connection: &Connection, policy: StoragePolicy) -> Result<(), DatabaseError> {
    for (key, value) in [
        (TRASH_DAYS, u64::from(policy.trash_days)),
        (KEEP_REVISIONS, policy.keep_revisions.into()),
        (KEEP_DAYS, policy.keep_days.into()),
        (QUOTA_BYTES, policy.quota_bytes),
        (RESERVE_BYTES, policy.reserve_bytes),
    ] {
        settings::set(connection, key, &value.to_string())?;
    }
    Ok(())
}

fn number<N: FromStr>(connection: &Connection, key: &'static str, otherwise: N) -> Result<N, DatabaseError> {
    let text = settings::get(connection, key)?;
    text.map_or(Ok(otherwise), |text| text.parse().map_err(|_| DatabaseError::Value(key)))
}
