//! Recovery codes: each stands in, once, for a second factor that was lost. Shown when they are made, and never again.

use coffer_crypto::code::RecoveryCode;
use coffer_crypto::recovery_codes::RecoveryCodeKey;
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::caller::Caller;
use super::second_factors::SecondFactors;
use crate::model::clock::system_rng;
use crate::model::role::Action;
use crate::repo::audit;
use crate::repo::second_factors as repo;
use crate::storage::database::DatabaseError;

/// Codes of an account.
const COUNT: usize = 10;

/// Codes as a person writes them down.
pub(crate) type ShownCodes = Vec<Zeroizing<String>>;

impl SecondFactors {
    /// Makes new recovery codes; those of before are worth nothing from now on.
    pub(crate) async fn replace_recovery_codes(&self, caller: &Caller, password: &str) -> Result<ShownCodes, Error> {
        caller.require(Action::Account).await?;
        self.passwords.require(caller, password).await?;
        let user_id = caller.user.id;
        let entry = self.entry(caller, "second_factor.recovery_codes_replaced", user_id);
        let key = RecoveryCodeKey::derive(caller.lease().token_key());
        let stored = caller.store().database.write(move |transaction| -> Result<_, Error> {
            if !repo::exists(transaction, user_id)? {
                return Err(Error::NotFound("second factor that the codes could stand in for"));
            }
            let codes = replace(transaction, &key, user_id)?;
            audit::insert(transaction, &entry)?;
            Ok(codes)
        });
        stored.await
    }
}

/// Codes for an account that is about to get its first second factor; none for one that has a factor already.
pub(super) fn for_the_first_factor(
    connection: &Connection,
    key: &RecoveryCodeKey,
    user_id: Uuid,
) -> Result<Option<ShownCodes>, DatabaseError> {
    if repo::exists(connection, user_id)? { Ok(None) } else { replace(connection, key, user_id).map(Some) }
}

/// Whether it is a code of the account that was not used yet; from now on it is.
pub(super) fn accept(
    connection: &Connection,
    key: &RecoveryCodeKey,
    user_id: Uuid,
    code: &RecoveryCode,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    // Without a factor there is nothing to stand in for.
    Ok(repo::exists(connection, user_id)?
        && repo::use_recovery_code(connection, user_id, &key.hash(user_id, code), now)?)
}

fn replace(connection: &Connection, key: &RecoveryCodeKey, user_id: Uuid) -> Result<ShownCodes, DatabaseError> {
    let rng = &mut system_rng();
    let codes: Vec<RecoveryCode> = std::iter::repeat_with(|| RecoveryCode::generate(rng)).take(COUNT).collect();
    let hashes: Vec<[u8; 32]> = codes.iter().map(|code| key.hash(user_id, code)).collect();
    repo::set_recovery_codes(connection, user_id, &hashes)?;
    Ok(codes.iter().map(RecoveryCode::to_text).collect())
}
