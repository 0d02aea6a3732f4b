//! The channel through its front door: a box and a phone, and whoever stands between them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod attacks;
mod drive;
mod garbage;
mod sessions;
mod support;
mod vectors;
