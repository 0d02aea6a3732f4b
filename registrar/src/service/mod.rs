//! What the registrar does and whom it lets. Knows no HTTP and no SQL.

pub(crate) mod devices;
pub(crate) mod error;
pub(crate) mod identity;
mod jwks;
pub(crate) mod limits;
pub(crate) mod registrations;
pub(crate) mod sealing;
pub(crate) mod tickets;
pub(crate) mod tokens;

pub(crate) use error::Error;

/// Where a box with that id is reached: its host name below the domain of all boxes.
fn host(id: uuid::Uuid, domain: &str) -> String {
    format!("{id}.{domain}")
}

/// The name of its tunnel at Cloudflare. Cloudflare takes no bare UUID there.
fn tunnel_name(id: uuid::Uuid) -> String {
    format!("coffer-{id}")
}
