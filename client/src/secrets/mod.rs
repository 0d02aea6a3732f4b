//! The secrets vault on this machine. docs/secrets.md is the contract with the box, which knows none of it;
//! docs/secrets-client.md says what this machine keeps, and what each command does.
//!
//! | Module | Owns |
//! |---|---|
//! | [`content`], [`merge`] | what an item says, and what it says after two people have changed it |
//! | [`remote`], [`line`] | requests to a box, and requests of somebody who is logged in |
//! | [`home`], [`agent`] | the files of this device, and the process that holds the account key |
//! | [`replica`], [`rows`] | sealed rows in SQLite, and what they say |
//! | [`login`] | from a password to a session and the account key |
//! | [`device`] | an unlocked device: [`store::Vaults`] for the tools |
//! | [`people`] | other accounts' keys, and how far they are believed |
//! | [`sync`], [`pull`], [`push`] | news from the box, proven; edits to the box |
//! | [`sharing`] | members, and new keys |
//! | [`attachments`] | what is attached to items, sealed as a stream |
//! | [`rotation`] | what the box rotates, and has left for its members |
//! | [`handouts`] | one-time links, for people without an account |
//! | [`history`] | what an item said before |
//! | [`failure`] | why a command ends before it is done |

pub mod agent;
pub mod attachments;
pub mod content;
pub mod device;
pub mod failure;
pub mod handouts;
pub mod history;
pub mod home;
pub mod line;
pub mod login;
pub mod merge;
pub mod people;
pub mod pull;
pub mod push;
pub mod remote;
pub mod replica;
pub mod rotation;
pub mod rows;
pub mod sharing;
pub mod store;
pub mod sync;

use data_encoding::BASE64URL_NOPAD;
use rand_core::{CryptoRng, UnwrapErr};

/// The operating system's random numbers. Where it has none there is nothing sane to go on with, so failing aborts.
fn rng() -> impl CryptoRng {
    UnwrapErr(getrandom::SysRng)
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Bytes as the box, and this device's rows, write them.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}
