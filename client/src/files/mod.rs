//! The files that a box keeps for people: listed, sent, fetched, moved, shared. docs/client-files.md is the manual, docs/api.md the
//! contract with the box.
//!
//! Whoever is logged in is known to [`crate::secrets::line`]; nothing here knows a token. A box may lie: its names never leave the
//! directory that somebody named, and a content is taken when it has the SHA-256 that the box said it has.
//!
//! | Module | Owns |
//! |---|---|
//! | [`path`] | paths at a box, and names that come from one |
//! | [`tree`] | looking up, listing, moving, putting into the trash |
//! | [`put`] | sending a content, and going on with it |
//! | [`get`], [`target`] | fetching one, and where it may be written |
//! | [`slot`] | what outlives a process that dies in a transfer |
//! | [`share`] | links for people without an account |
//! | [`error`] | why a command ends before it is done |

pub mod error;
pub mod get;
pub mod path;
pub mod put;
pub mod share;
pub mod slot;
pub mod target;
pub mod tree;

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// Bytes that are read, hashed or written at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Hashes so many bytes of what is read; fewer are an error.
fn hash(reader: &mut dyn Read, length_bytes: u64) -> io::Result<Sha256> {
    let (mut hasher, mut left) = (Sha256::new(), length_bytes);
    let mut block = vec![0; BLOCK_BYTES];
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        reader.read_exact(&mut block[..length])?;
        hasher.update(&block[..length]);
        left -= length as u64;
    }
    Ok(hasher)
}

/// As the box writes it.
fn hexadecimal(hasher: Sha256) -> String {
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}
