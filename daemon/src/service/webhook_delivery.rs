//! Sends what waits for webhooks, while the vault is unlocked.
//!
//! The queue is in the database, filled by triggers in the transaction of each change; so nothing is lost over a lock
//! or a crash, and something may arrive twice: when the vault is locked while a request is under way, its end is not
//! noted. Each webhook gets one request at a time, so that one that does not answer holds up nobody else.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use log::{info, warn};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Error;
use super::bell::Bell;
use super::common::Common;
use super::unlocked::Lease;
use crate::model::webhook::{DeliveryState, DueDelivery};
use crate::repo::webhooks::{self, Attempt};
use crate::storage::database::DatabaseError;
use crate::storage::outbound::{Outbound, OutboundError};

/// Requests at once, to all webhooks together; also those that a lock has left behind.
const CONCURRENT: usize = 4;
/// The pauses after failed attempts. When they are used up, after some 22 hours, the delivery has failed.
const PAUSES: [SignedDuration; 8] = [
    SignedDuration::from_secs(10),
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(5),
    SignedDuration::from_mins(15),
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(3),
    SignedDuration::from_hours(6),
    SignedDuration::from_hours(12),
];
/// The longest of them.
const LONGEST_PAUSE: SignedDuration = PAUSES[PAUSES.len() - 1];
/// How often the worker looks at the clock, for what is due by now.
const TICK: Duration = Duration::from_secs(1);
/// How often it cleans up, in ticks.
const TICKS_PER_CLEANING: u32 = 60;
/// What may wait for one webhook.
const MAX_WAITING: u32 = 10_000;
/// How long the log is kept.
const LOG_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Rows of the log that one transaction removes.
const PRUNED_AT_ONCE: u32 = 1000;

/// What it takes to send.
pub(crate) struct Deliveries {
    common: Common,
    outbound: Arc<Outbound>,
    bell: Bell,
    slots: Arc<Semaphore>,
}

/// A request that has ended.
struct Ended {
    delivery: DueDelivery,
    answer: Result<u16, OutboundError>,
}

impl Deliveries {
    /// With `local_too` receivers may be on this box itself.
    pub(crate) fn new(common: Common, bell: Bell, local_too: bool) -> Self {
        let outbound = Arc::new(Outbound::new(local_too));
        Self { common, outbound, bell, slots: Arc::new(Semaphore::new(CONCURRENT)) }
    }

    /// Rings when something was queued.
    pub(super) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Whether a receiver may be at that address.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.outbound.allows(address)
    }

    /// Sends until the vault is locked.
    pub(crate) async fn run(self: Arc<Self>, lease: Lease) {
        let mut locking = std::pin::pin!(lease.locking());
        let (mut under_way, mut busy) = (JoinSet::new(), HashSet::new());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut until_cleaning = 0;
        loop {
            if until_cleaning == 0 {
                report(self.clean(&lease).await);
                until_cleaning = TICKS_PER_CLEANING;
            }
            report(self.start_due(&lease, &mut under_way, &mut busy).await);
            tokio::select! {
                biased;
                // Requests that are under way end by themselves. They hold nothing of the vault.
                () = &mut locking => return,
                Some(ended) = under_way.join_next() => {
                    // One that panicked is not noted: it stays due, and its webhook stays busy until the next unlock.
                    let Ok(Some(ended)) = ended else { continue };
                    busy.remove(&ended.delivery.webhook_id);
                    report(self.note(&lease, ended).await);
                }
                () = self.bell.rung() => {}
                _ = ticks.tick() => until_cleaning -= 1,
            }
        }
    }

    async fn start_due(
        &self,
        lease: &Lease,
        under_way: &mut JoinSet<Option<Ended>>,
        busy: &mut HashSet<Uuid>,
    ) -> Result<(), Error> {
        let now = self.common.clock.now();
        let due = lease.store().database.read(move |connection| webhooks::due(connection, now)).await?;
        for delivery in due {
            if busy.insert(delivery.webhook_id) {
                under_way.spawn(send(Arc::clone(&self.outbound), Arc::clone(&self.slots), delivery, now));
            }
        }
        Ok(())
    }

    async fn note(&self, lease: &Lease, ended: Ended) -> Result<(), Error> {
        let Ended { delivery, answer } = ended;
        let attempt = attempt(self.common.clock.now(), delivery.attempts, answer);
        info!(
            webhook_id:% = delivery.webhook_id, event_id:% = delivery.told.id, status:? = attempt.status,
            problem = attempt.problem.unwrap_or(""), attempts = delivery.attempts + 1;
            "a webhook was called"
        );
        let noted = lease.store().database.write(move |transaction| -> Result<(), DatabaseError> {
            webhooks::note(transaction, delivery.webhook_id, delivery.told.id, &attempt)
        });
        Ok(noted.await?)
    }

    /// Keeps queue and log bounded, and what waits within reach of the clock.
    async fn clean(&self, lease: &Lease) -> Result<(), Error> {
        let now = self.common.clock.now();
        let cleaned = lease.store().database.write(move |transaction| -> Result<usize, DatabaseError> {
            webhooks::wait_no_longer_than(transaction, now + LONGEST_PAUSE)?;
            let mut given_up = 0;
            if webhooks::waiting(transaction)? > MAX_WAITING {
                for webhook in webhooks::list(transaction, None, u32::MAX)? {
                    let problem = "too much waited for this webhook";
                    given_up += webhooks::shorten_queue(transaction, webhook.id, MAX_WAITING, problem)?;
                }
            }
            webhooks::prune(transaction, now - LOG_KEPT, PRUNED_AT_ONCE)?;
            Ok(given_up)
        });
        let given_up = cleaned.await?;
        if given_up > 0 {
            warn!(given_up; "too much waits for a webhook; the oldest events are not sent");
        }
        Ok(())
    }
}

/// The next tick tries again.
fn report(result: Result<(), Error>) {
    match result {
        Ok(()) | Err(Error::Locked) => {}
        Err(error) => warn!(error:% = error; "the queue of webhooks cannot be worked on"),
    }
}

/// Makes one request. The place is held by the thread, not by whoever waits for it.
async fn send(outbound: Arc<Outbound>, slots: Arc<Semaphore>, delivery: DueDelivery, now: Timestamp) -> Option<Ended> {
    let slot = slots.acquire_owned().await.ok()?;
    let sent = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        let body = delivery.told.to_json();
        let signature = signature(&delivery.secret, now, &body);
        let id = delivery.told.id.to_string();
        let headers = [
            ("x-coffer-event", delivery.told.event.as_str()),
            ("x-coffer-event-id", id.as_str()),
            ("x-coffer-signature", signature.as_str()),
        ];
        let answer = outbound.post_json(&delivery.url, &headers, &body);
        Ended { delivery, answer }
    });
    sent.await.ok()
}

/// What becomes of a delivery after an attempt.
fn attempt(now: Timestamp, attempts_before: u32, answer: Result<u16, OutboundError>) -> Attempt {
    let (status, problem) = match answer {
        Ok(status @ 200..=299) => {
            let state = DeliveryState::Delivered;
            return Attempt { state, at: now, next_at: None, status: Some(status), problem: None };
        }
        Ok(status @ 300..=399) => (Some(status), "the receiver redirects, which is not followed"),
        Ok(status) => (Some(status), "the receiver answered with an error"),
        Err(error) => (None, problem(error)),
    };
    let pause = usize::try_from(attempts_before).ok().and_then(|attempts| PAUSES.get(attempts));
    let next_at = pause.map(|pause| now + *pause);
    let state = if next_at.is_some() { DeliveryState::Waiting } else { DeliveryState::Failed };
    Attempt { state, at: now, next_at, status, problem: Some(problem) }
}

fn problem(error: OutboundError) -> &'static str {
    match error {
        OutboundError::Forbidden => "the address is not allowed: it is this box itself, or link-local",
        OutboundError::UnknownHost => "the name of the host is not known",
        OutboundError::TimedOut => "no answer in time",
        OutboundError::Insecure => "the connection could not be secured: check the receiver's certificate",
        OutboundError::Connection => "the connection failed",
        OutboundError::NotHttp => "what came back is not HTTP",
    }
}

/// `t=<seconds since 1970>,v1=<HMAC-SHA256 over "t.body" in hexadecimal>`. The time keeps a recorded request from
/// being replayed later.
fn signature(secret: &str, now: Timestamp, body: &str) -> String {
    let time = now.as_second();
    // A key of any length is taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{time}.").as_bytes());
    mac.update(body.as_bytes());
    format!("t={time},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_others_compute() {
        // printf '1792573200.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let now = Timestamp::from_second(1_792_573_200).unwrap();
        assert_eq!(
            signature("whsec_test", now, "{\"a\":1}"),
            "t=1792573200,v1=304052f1eaffc1d5c3dd447877e2c533cb94956a4b27d30ad289025bf0d78759"
        );
    }

    #[test]
    fn attempts_are_spaced_out_over_a_day_and_end() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let (mut now, mut attempts) = (start, 0);
        loop {
            let failed = attempt(now, attempts, Err(OutboundError::TimedOut));
            attempts += 1;
            let Some(next_at) = failed.next_at else {
                assert!(failed.state == DeliveryState::Failed);
                break;
            };
            assert!(failed.state == DeliveryState::Waiting && next_at > now);
            now = next_at;
        }
        assert_eq!(attempts, 9);
        let whole = now.duration_since(start);
        assert!((SignedDuration::from_hours(20)..SignedDuration::from_hours(24)).contains(&whole), "{whole:?}");
    }

    #[test]
    fn what_counts_as_delivered() {
        for (answer, expected) in [
            (Ok(200), DeliveryState::Delivered),
            (Ok(204), DeliveryState::Delivered),
            (Ok(299), DeliveryState::Delivered),
            (Ok(199), DeliveryState::Waiting),
            (Ok(301), DeliveryState::Waiting),
            (Ok(410), DeliveryState::Waiting),
            (Ok(500), DeliveryState::Waiting),
            (Err(OutboundError::Forbidden), DeliveryState::Waiting),
        ] {
            assert!(attempt(Timestamp::UNIX_EPOCH, 0, answer).state == expected, "{answer:?}");
        }
    }
}
