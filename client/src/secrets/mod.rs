//! The secrets vault on this machine. docs/secrets.md is the contract with the box, which knows none of it.

pub mod content;
pub mod merge;
pub mod remote;
pub mod store;
