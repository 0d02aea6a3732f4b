//! Webhooks: who is told of events outside of the box, and the log of what was sent. Sending is `webhook_delivery.rs`.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use rand_core::Rng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
use super::webhook_delivery::Deliveries;
use crate::model::clock::system_rng;
use crate::model::role::Action;
use crate::model::told::{self, Told};
use crate::model::webhook::{Delivery, DeliveryState, EventFilter, Webhook, WebhookChange, WebhookUrl};
use crate::repo::audit::{self, Entry, Outcome};
use crate::repo::webhooks;

/// Largest page of a list.
const MAX_PAGE: u32 = 500;
/// How many webhooks there may be.
const MAX_WEBHOOKS: u32 = 50;

/// What every secret begins with, so that a leaked one is recognised.
const PREFIX: &str = "whsec_";

/// The webhooks of the vault.
pub(crate) struct Webhooks {
    common: Common,
    deliveries: Arc<Deliveries>,
}

impl Webhooks {
    /// A service.
    pub(crate) fn new(common: Common, deliveries: Arc<Deliveries>) -> Self {
        Self { common, deliveries }
    }

    /// Makes a webhook. Its secret is shown this once.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        url: WebhookUrl,
        events: EventFilter,
    ) -> Result<(Webhook, Zeroizing<String>), Error> {
        caller.require(Action::ManageWebhooks).await?;
        self.check(&url)?;
        let mut random = Zeroizing::new([0; 32]);
        system_rng().fill_bytes(random.as_mut_slice());
        let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(random.as_slice()));
        let secret = Zeroizing::new(format!("{PREFIX}{}", *encoded));
        let webhook = Webhook {
            id: self.common.ids.next(),
            url,
            events,
            active: true,
            created_at: self.common.clock.now(),
            created_by: caller.user.id,
        };
        let entry = self.entry(caller, "webhook.created", &webhook);
        let (row, stored_secret) = (webhook.clone(), secret.clone());
        let stored = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if webhooks::count(transaction)? >= MAX_WEBHOOKS {
                return Err(Error::LimitReached { what: "webhooks", limit: MAX_WEBHOOKS });
            }
            webhooks::insert(transaction, &row, &stored_secret)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        stored.await?;
        Ok((webhook, secret))
    }

    /// One webhook.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<Webhook, Error> {
        caller.require(Action::ManageWebhooks).await?;
        let found = caller.store().database.read(move |connection| webhooks::find(connection, id)).await?;
        found.ok_or(Error::NotFound("webhook"))
    }

    /// A page of the webhooks, oldest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Webhook>, Option<Uuid>), Error> {
        caller.require(Action::ManageWebhooks).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| webhooks::list(connection, after, limit + 1));
        Ok(page(read.await?, limit, |webhook| webhook.id))
    }

    /// Changes a webhook. What waits for one that is switched off is given up.
    pub(crate) async fn change(&self, caller: &Caller, id: Uuid, change: WebhookChange) -> Result<Webhook, Error> {
        caller.require(Action::ManageWebhooks).await?;
        if let Some(url) = &change.url {
            self.check(url)?;
        }
        let (auditor, context) = (self.common.auditor.clone(), caller.context.clone());
        let changed = caller.store().database.write(move |transaction| -> Result<Webhook, Error> {
            let mut webhook = webhooks::find(transaction, id)?.ok_or(Error::NotFound("webhook"))?;
            webhook.url = change.url.unwrap_or(webhook.url);
            webhook.events = change.events.unwrap_or(webhook.events);
            webhook.active = change.active.unwrap_or(webhook.active);
            webhooks::update(transaction, &webhook)?;
            if !webhook.active {
                webhooks::give_up(transaction, id, "the webhook was switched off")?;
            }
            let entry = auditor.entry(&context, "webhook.changed", Outcome::Success, Some(id));
            audit::insert(transaction, &entry.with_detail(format!("host: {}", webhook.url.host())))?;
            Ok(webhook)
        });
        changed.await
    }

    /// Deletes a webhook with its log. What waits for it is not sent.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::ManageWebhooks).await?;
        let entry = self.common.auditor.entry(&caller.context, "webhook.deleted", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            if !webhooks::delete(transaction, id)? {
                return Err(Error::NotFound("webhook"));
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        deleted.await
    }

    /// Sends a webhook something that is no event, also when it is switched off. Its log says what became of it.
    pub(crate) async fn test(&self, caller: &Caller, id: Uuid) -> Result<Delivery, Error> {
        caller.require(Action::ManageWebhooks).await?;
        let entry = self.common.auditor.entry(&caller.context, "webhook.tested", Outcome::Success, Some(id));
        let told = Told {
            id: entry.id,
            event: told::TEST.to_owned(),
            at: entry.at,
            subject_id: id,
            folder_id: None,
            size_bytes: None,
            revision: None,
        };
        let delivery = Delivery {
            told: told.clone(),
            state: DeliveryState::Waiting,
            attempts: 0,
            next_attempt_at: Some(told.at),
            last_attempt_at: None,
            status: None,
            problem: None,
        };
        let queued = caller.store().database.write(move |transaction| -> Result<(), Error> {
            webhooks::find(transaction, id)?.ok_or(Error::NotFound("webhook"))?;
            webhooks::enqueue(transaction, id, &told)?;
            Ok(audit::insert(transaction, &entry)?)
        });
        queued.await?;
        self.deliveries.bell().ring();
        Ok(delivery)
    }

    /// A page of what was sent to a webhook and what waits, newest first, and where the next page starts.
    pub(crate) async fn deliveries(
        &self,
        caller: &Caller,
        id: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Delivery>, Option<Uuid>), Error> {
        caller.require(Action::ManageWebhooks).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            webhooks::find(connection, id)?.ok_or(Error::NotFound("webhook"))?;
            Ok(webhooks::deliveries(connection, id, before, limit + 1)?)
        });
        Ok(page(read.await?, limit, |delivery| delivery.told.id))
    }

    /// Refuses an address at once that would never be connected to. What a name stands for is looked at when sending.
    fn check(&self, url: &WebhookUrl) -> Result<(), Error> {
        let refused = url.address().is_some_and(|address| !self.deliveries.allows(address));
        if refused {
            Err(Error::field("url", "this box itself and link-local addresses are not allowed"))
        } else {
            Ok(())
        }
    }

    /// With the host alone: the rest of the URL may be a secret of the receiver.
    fn entry(&self, caller: &Caller, action: &str, webhook: &Webhook) -> Entry {
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(webhook.id));
        entry.with_detail(format!("host: {}", webhook.url.host()))
    }
}
