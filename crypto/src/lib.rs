//! Coffer's cryptography: the codes that people type, how those of an account are stored, the key file with its slots,
//! the login that never sends a password, the channel over Bluetooth, sealed files, and the secrets vault as its clients have it.
//!
//! Sans-I/O: nothing here reads a clock, a file or the operating system's random numbers; callers pass them in. That
//! keeps every result reproducible by a known-answer test and readable by a second implementation.

pub mod channel;
pub mod code;
pub mod envelope;
pub mod recovery_codes;
pub mod secrets;
pub mod srp;
pub mod vault_keys;

mod seal;
