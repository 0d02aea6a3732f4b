//! Through the front door: the channel (a box and a phone, and whoever stands between them), sealed files, and
//! the secrets vault.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod attacks;
mod drive;
mod envelope;
mod garbage;
mod secrets;
mod sessions;
mod support;
mod vectors;
