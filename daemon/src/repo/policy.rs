//! What the administrators decided, kept among the settings.

use rusqlite::Connection;

use super::settings;
use crate::model::policy::Policy;
use crate::storage::database::DatabaseError;

const REGISTRATION_CLOSED: &str = "registration_closed";
const SECOND_FACTOR_REQUIRED: &str = "second_factor_required";

/// Reads the rules; a new vault has open registration and asks for no second factor.
pub(crate) fn get(connection: &Connection) -> Result<Policy, DatabaseError> {
    let is_set = |key| Ok::<_, DatabaseError>(settings::get(connection, key)?.as_deref() == Some("true"));
    Ok(Policy {
        registration_open: !is_set(REGISTRATION_CLOSED)?,
        second_factor_required: is_set(SECOND_FACTOR_REQUIRED)?,
    })
}

/// Writes the rules.
pub(crate) fn set(connection: &Connection, policy: Policy) -> Result<(), DatabaseError> {
    settings::set(connection, REGISTRATION_CLOSED, &(!policy.registration_open).to_string())?;
    settings::set(connection, SECOND_FACTOR_REQUIRED, &policy.second_factor_required.to_string())
}
