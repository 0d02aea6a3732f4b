//! What the registrar asks of others: HTTP requests, and Cloudflare's API on top of them.

pub(crate) mod cloudflare;
pub(crate) mod outbound;
