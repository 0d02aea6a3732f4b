//! The client against the box's own side of the protocol, in memory; and secrets against the box itself.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "these are tests; clippy exempts only functions marked #[test]"
)]

mod bluez;
mod errands;
mod fake_box;
mod keys;
mod labels;
mod merge;
mod program;
mod remote;
mod script;
mod secrets;
mod setup;
mod tools;
