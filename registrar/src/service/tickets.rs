//! Claim tickets: what a phone gives to a box instead of its person's token. One registers one box, for a quarter of an hour.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Error;
use super::identity::Person;
use crate::clock::{SharedClock, random_key};
use crate::store::database::{Database, Transaction};
use crate::store::tickets;

/// How long a ticket is good.
const LIFE: Duration = Duration::from_mins(15);
/// Tickets of one person that are good at once.
const MAX_OPEN: u32 = 10;
/// So that people and programs see what it is.
const PREFIX: &str = "ct_";

/// Issues tickets.
pub(crate) struct Tickets {
    database: Database,
    clock: SharedClock,
}

impl Tickets {
    /// That are kept there.
    pub(crate) fn new(database: Database, clock: SharedClock) -> Self {
        Self { database, clock }
    }

    /// A new ticket for a person, and when it ends.
    pub(crate) async fn issue(&self, person: &Person) -> Result<(Zeroizing<String>, Timestamp), Error> {
        let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(random_key().as_slice()));
        let ticket = Zeroizing::new(format!("{PREFIX}{}", encoded.as_str()));
        let now = self.clock.now();
        let expires_at = now + LIFE;
        let (hash, owner) = (hash(&ticket), person.0.clone());
        let keep = move |transaction: &mut Transaction<'_>| -> Result<(), Error> {
            if tickets::count_open(transaction, &owner, now.as_millisecond())? >= i64::from(MAX_OPEN) {
                return Err(Error::LimitReached { what: "open tickets", limit: MAX_OPEN });
            }
            Ok(tickets::add(transaction, &hash, &owner, expires_at.as_millisecond())?)
        };
        self.database.run(keep).await?;
        Ok((ticket, expires_at))
    }
}

/// What is kept of a ticket. It holds 256 random bits, so that nothing slower than this is needed.
pub(super) fn hash(ticket: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(ticket.as_bytes()))
}
