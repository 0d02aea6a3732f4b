//! Which account of this box a person of the cloud is. Proved by a token that the cloud issued for this device.

use std::sync::Arc;

use jiff::Timestamp;

use super::Error;
use super::authentication::device_claims;
use super::caller::Caller;
use super::common::Common;
use super::vault::Vault;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::device_links;

/// The links.
pub(crate) struct DeviceLinks {
    vault: Arc<Vault>,
    common: Common,
}

impl DeviceLinks {
    /// For the device of that vault.
    pub(crate) fn new(vault: Arc<Vault>, common: Common) -> Self {
        Self { vault, common }
    }

    /// The caller's subject at the cloud, and since when.
    pub(crate) async fn get(&self, caller: &Caller) -> Result<(String, Timestamp), Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let found = caller.store().database.read(move |connection| device_links::find(connection, user_id)).await?;
        found.ok_or(Error::NotFound("link"))
    }

    /// Links the caller's account to the subject of a token, in place of the one before.
    pub(crate) async fn link(&self, caller: &Caller, token: &str) -> Result<(String, Timestamp), Error> {
        caller.require(Action::Account).await?;
        let now = self.common.clock.now();
        let claims = device_claims(token, self.vault.device(), now).map_err(|_| Error::WrongDeviceToken)?;
        let subject = claims.sub;
        let user_id = caller.user.id;
        let entry = self.common.auditor.entry(&caller.context, "device_link.created", Outcome::Success, Some(user_id));
        let linked = subject.clone();
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if device_links::user(transaction, &subject)?.is_some_and(|holder| holder.id != user_id) {
                return Err(Error::LinkTaken);
            }
            device_links::set(transaction, &subject, user_id, now)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        Ok((linked, now))
    }

    /// Unlinks the caller's account; tokens of the cloud are refused from then on.
    pub(crate) async fn unlink(&self, caller: &Caller) -> Result<(), Error> {
        caller.require(Action::Account).await?;
        let user_id = caller.user.id;
        let entry = self.common.auditor.entry(&caller.context, "device_link.deleted", Outcome::Success, Some(user_id));
        let forget = caller.store().people_forgetter();
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !device_links::delete_of_user(transaction, user_id)? {
                return Err(Error::NotFound("link"));
            }
            forget();
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await
    }
}
