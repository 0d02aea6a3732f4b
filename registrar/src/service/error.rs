//! Why a service refuses or fails.

use std::time::Duration;

use crate::outside::cloudflare::CloudflareError;
use crate::store::database::DatabaseError;

/// A refusal, or a failure. Only the last ones have causes, which are for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no valid token of a person")]
    Unauthenticated,
    #[error("no such ticket")]
    WrongTicket,
    #[error("the ticket has expired")]
    TicketExpired,
    #[error("the proof does not fit the public key and the ticket or token")]
    WrongProof,
    #[error("the ticket was used for another box, or the box is somebody else's")]
    AlreadyClaimed,
    #[error("no such {0}, or not yours")]
    NotFound(&'static str),
    #[error("the box is not registered to its end")]
    NotReady,
    #[error("the box is being removed")]
    BeingRemoved,
    #[error("there are {limit} {what} already")]
    LimitReached { what: &'static str, limit: u32 },
    #[error("too many requests")]
    TooManyRequests { retry_after: Duration },
    #[error("{field}: {detail}")]
    Field { field: &'static str, detail: &'static str },
    #[error("the keys of the identity provider cannot be had")]
    IdentityUnavailable,
    #[error("Cloudflare did not do what was asked")]
    Cloudflare(#[from] CloudflareError),
    #[error("Cloudflare took too long")]
    CloudflareSlow,
    #[error("the database did not do what was asked")]
    Database(#[from] DatabaseError),
    #[error("{0} failed")]
    Internal(&'static str),
}
