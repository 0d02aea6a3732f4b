//! Where updates come from: a small document at an `https` address, which names the newest bundle. That lies beside it.
//!
//!     {"version": "0.2.0", "bundle": "coffer-rpi5.raucb", "size_bytes": 104857600, "sha256": "…"}
//!
//! Nothing is asked of any other host: a bundle is named and not linked, and redirects are not followed. The digest keeps a
//! box from installing half a download. What may be installed at all, the bundle's signature says.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::durable;
use super::registrar_link::{LinkError, agent, refused};

/// Largest file that names the address.
const MAX_FILE_BYTES: u64 = 2048;
/// Largest document.
const MAX_DOCUMENT_BYTES: u64 = 16 * 1024;
/// How long the document may take: somebody waits for it.
const DOCUMENT_LIMIT: Duration = Duration::from_secs(15);
/// How long a whole bundle may take.
const BUNDLE_LIMIT: Duration = Duration::from_hours(2);
/// What is fetched at once.
const BLOCK_BYTES: usize = 256 * 1024;
/// The longest name of a bundle.
const MAX_NAME: usize = 100;

/// What a channel offers.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Offer {
    /// As [`release`] understands it.
    pub(crate) version: String,
    /// The name of a file beside the document.
    bundle: String,
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
    /// The one whose `https` address is in that file; none without the file. Trusts the certificates in that PEM file
    /// besides those that browsers trust.
    pub(crate) fn find(file: &Path, additional_roots: Option<&Path>) -> io::Result<Option<Self>> {
        let bytes = match durable::read_small_file(file, MAX_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let url = std::str::from_utf8(&bytes).ok().map(str::trim).filter(|url| is_address(url));
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "not the https address of a document");
        let url = url.ok_or_else(wrong)?.to_owned();
        Ok(Some(Self { url, agent: agent(additional_roots, BUNDLE_LIMIT)? }))
    }

    /// The address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What it offers now. Blocks.
    pub(crate) fn offer(&self) -> Result<Offer, ChannelError> {
        let mut document = Vec::new();
        let mut body = self.get(&self.url, MAX_DOCUMENT_BYTES, DOCUMENT_LIMIT)?;
        body.read_to_end(&mut document).map_err(|_| ChannelError::Document)?;
        let offer: Offer = serde_json::from_slice(&document).map_err(|_| ChannelError::Document)?;
        if offer.is_sound() { Ok(offer) } else { Err(ChannelError::Document) }
    }

    /// Fetches the bundle, block by block. Blocks.
    pub(crate) fn fetch(
        &self,
        offer: &Offer,
        write: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), ChannelError> {
        let folder = self.url.rsplit_once('/').map_or("", |(folder, _)| folder);
        // One more, to tell apart what is too long.
        let limit_bytes = offer.size_bytes.saturating_add(1);
        let mut body = self.get(&format!("{folder}/{}", offer.bundle), limit_bytes, BUNDLE_LIMIT)?;
        let (mut hasher, mut length, mut block) = (Sha256::new(), 0, vec![0; BLOCK_BYTES]);
        while length <= offer.size_bytes {
            let read = body.read(&mut block).map_err(|_| LinkError::Connection)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            length += read as u64;
            write(&block[..read])?;
        }
        let sha256 = data_encoding::HEXLOWER.encode(&hasher.finalize());
        let is_as_announced = length == offer.size_bytes && sha256.eq_ignore_ascii_case(&offer.sha256);
        if is_as_announced { Ok(()) } else { Err(ChannelError::Digest) }
    }

    fn get(&self, url: &str, limit_bytes: u64, limit: Duration) -> Result<impl Read + use<>, ChannelError> {
        let request = self.agent.get(url).config().timeout_global(Some(limit)).build();
        let reply = request.call().map_err(|error| refused(&error))?;
        let status = reply.status().as_u16();
        if status != 200 {
            return Err(ChannelError::Status(status));
        }
        Ok(reply.into_body().into_with_config().limit(limit_bytes).reader())
    }
}

impl Offer {
    fn is_sound(&self) -> bool {
        let is_name = |name: &str| {
            name.len() <= MAX_NAME
                && !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        release(&self.version).is_some()
            && self.bundle.strip_suffix(".raucb").is_some_and(|name| !name.is_empty() && is_name(name))
            && self.size_bytes > 0
            && self.sha256.len() == 64
    }
}

/// A version as releases have them: three numbers, which are compared one after the other.
pub(crate) fn release(version: &str) -> Option<[u32; 3]> {
    let mut numbers =
        version.split('.').map(|part| part.parse::<u32>().ok().filter(|number| number.to_string() == part));
    let release = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(release)
}

/// Whether that is the `https` address of a document, with nothing behind it.
fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let Some((host, path)) = rest.split_once('/') else { return false };
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\\"".contains(&byte));
    !host.is_empty() && !path.is_empty() && !path.ends_with('/') && is_plain(host) && is_plain(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_document_and_says_nothing_else() {
        for (url, expected) in [
            ("https://updates.example/coffer-rpi5.json", true),
            ("https://updates.example:8443/stable/coffer.json", true),
            ("http://updates.example/coffer.json", false),
            ("https://updates.example", false),
            ("https://updates.example/", false),
            ("https://updates.example/stable/", false),
            ("https:///coffer.json", false),
            ("https://somebody@updates.example/coffer.json", false),
            ("https://updates.example/coffer.json?channel=beta", false),
            ("https://updates.example/cof fer.json", false),
            ("", false),
        ] {
            assert_eq!(is_address(url), expected, "{url}");
        }
    }

    #[test]
    fn an_offer_names_a_file_beside_the_document_and_a_release() {
        let offer = |version: &str, bundle: &str, size_bytes, sha256: &str| Offer {
            version: version.to_owned(),
            bundle: bundle.to_owned(),
            size_bytes,
            sha256: sha256.to_owned(),
        };
        let sha256 = "0".repeat(64);
        assert!(offer("0.2.0", "coffer-rpi5_1.raucb", 1, &sha256).is_sound());
        for bundle in
            ["", ".raucb", "..raucb", "../x.raucb", "a/b.raucb", "x.json", "https:x.raucb", "a b.raucb", "x.raucb?y"]
        {
            assert!(!offer("0.2.0", bundle, 1, &sha256).is_sound(), "{bundle}");
        }
        assert!(!offer("0.2.0", &format!("{}.raucb", "x".repeat(MAX_NAME + 1)), 1, &sha256).is_sound());
        assert!(!offer("newest", "x.raucb", 1, &sha256).is_sound());
        assert!(!offer("0.2.0", "x.raucb", 0, &sha256).is_sound());
        assert!(!offer("0.2.0", "x.raucb", 1, "00").is_sound());
    }

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert!(release("0.10.0") > release("0.9.12"));
        assert!(release("0.0.1") > release("unknown"));
        for version in ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.03", "1.2.-3", "1.2.+3", "1..3", "1.2.4294967296"] {
            assert_eq!(release(version), None, "{version}");
        }
    }
}
