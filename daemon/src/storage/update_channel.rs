//! Where updates come from: a small document at an `https` address, which names the newest bundle and its digest.
//!
//!     {"version": "0.2.0", "url": "https://…/coffer-rpi5.raucb", "size_bytes": 104857600, "sha256": "…"}
//!
//! The digest saves a box from installing half a download. What may be installed at all, the bundle's signature says.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::registrar_link::{LinkError, agent, refused};

/// Largest document.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024;
/// How long a whole bundle may take.
const LIMIT: Duration = Duration::from_hours(2);
/// What is fetched at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// What a channel offers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Offer {
    pub(crate) version: String,
    url: String,
    pub(crate) size_bytes: u64,
    /// Hexadecimal.
    sha256: String,
}

/// Why nothing came from a channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the server answered with the status {0}")]
    Status(u16),
    #[error("the document is not one of a channel")]
    Document,
    #[error("what came is not what the channel announced")]
    Digest,
    #[error("it cannot be stored: {0}")]
    Storage(#[from] io::Error),
}

/// Asks one address.
pub(crate) struct UpdateChannel {
    url: String,
    agent: ureq::Agent,
}

impl UpdateChannel {
    /// At that `https` address. Trusts the certificates in that PEM file besides those that browsers trust.
    pub(crate) fn new(url: &str, additional_roots: Option<&Path>) -> io::Result<Self> {
        Ok(Self { url: url.to_owned(), agent: agent(additional_roots, LIMIT)? })
    }

    /// The address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it offers now. Blocks.
    pub(crate) fn offer(&self) -> Result<Offer, ChannelError> {
        let mut document = Vec::new();
        self.get(&self.url, MAX_DOCUMENT_BYTES)?.read_to_end(&mut document).map_err(|_| ChannelError::Document)?;
        serde_json::from_slice(&document).map_err(|_| ChannelError::Document)
    }

    /// Fetches the bundle, block by block. Blocks.
    pub(crate) fn fetch(
        &self,
        offer: &Offer,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ChannelError> {
        let mut body = self.get(&offer.url, offer.size_bytes.saturating_add(1))?;
        let (mut hasher, mut length, mut block) = (Sha256::new(), 0, vec![0; BLOCK_BYTES]);
        loop {
            let read = body.read(&mut block).map_err(|_| LinkError::Connection)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            length += read as u64;
            write(&block[..read])?;
        }
        let sha256 = data_encoding::HEXLOWER.encode(&hasher.finalize());
        let as_announced = length == offer.size_bytes && sha256.eq_ignore_ascii_case(&offer.sha256);
        if as_announced { Ok(()) } else { Err(ChannelError::Digest) }
    }

    fn get(&self, url: &str, limit_bytes: u64) -> Result<impl Read + use<>, ChannelError> {
        let reply = self.agent.get(url).call().map_err(|error| refused(&error))?;
        let status = reply.status().as_u16();
        if status != 200 {
            return Err(ChannelError::Status(status));
        }
        Ok(reply.into_body().into_with_config().limit(limit_bytes).reader())
    }
}
