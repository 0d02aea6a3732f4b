//! Items and attachments as a server keeps them: sealed whole, bound to their place, items padded.
//!
//! What an item says (its type, name, fields and tags) is inside, and not this module's business. A server learns ids,
//! the revision, the generation of the key, and one of a few sizes.

use std::ops::Range;

use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::ItemKey;
use super::{Error, open, seal};
use crate::envelope::chunked::{Reader, Sealer, sealed_bytes};
use crate::envelope::{self, Source};

/// The most that an item holds. Longer things are attachments.
pub const MAX_ITEM_BYTES: usize = 1024 * 1024;

/// The longest sealed item.
#[expect(clippy::cast_possible_truncation, reason = "little more than a MiB")]
pub const MAX_SEALED_ITEM_BYTES: usize = sealed_bytes(padded_bytes(MAX_ITEM_BYTES) as u64) as usize;

const WHAT: &str = "an item";
const ITEM: &[u8] = b"coffer/secrets/1/item\0";
const ATTACHMENT: &[u8] = b"coffer/secrets/1/attachment\0";

/// What stands in front of a padded content: how long it is.
const LENGTH_BYTES: usize = 4;
/// Steps of size up to the size where Padmé becomes coarser than they are.
const STEP_BYTES: usize = 256;
const STEPS_END: usize = 4096;

/// Which state of an item: the revision counts from 1, and the generation is the vault key's at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1.
    pub revision: u64,
    /// That of the vault key when it was written. The item key may have been wrapped anew since.
    pub generation: u32,
}

impl ItemKey {
    /// Seals a revision of the item.
    pub fn seal(&self, version: Version, content: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        let padded = pad(content)?;
        seal(&self.key, &[ITEM, &self.place(), &version.bytes()], &padded, rng)
    }

    /// Opens a revision of the item; another revision, item or vault does not open.
    pub fn open(&self, version: Version, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        if sealed.len() > MAX_SEALED_ITEM_BYTES {
            return Err(Error::Length(WHAT));
        }
        unpad(open(WHAT, &self.key, &[ITEM, &self.place(), &version.bytes()], sealed)?)
    }

    /// Begins an attachment, and appends what stands before its first chunk to `out`. An attachment never changes: other
    /// content is another attachment with another id.
    pub fn seal_attachment(&self, attachment: Uuid, rng: &mut impl CryptoRng, out: &mut Vec<u8>) -> Sealer {
        Sealer::new(&self.key, &[ATTACHMENT, &self.place(), attachment.as_bytes()], rng, out)
    }

    /// Opens the attachment that fills this part of the source.
    pub fn open_attachment(
        &self,
        attachment: Uuid,
        place: Range<u64>,
        source: Source<'_>,
    ) -> Result<Reader, envelope::Error> {
        Reader::open(&self.key, &[ATTACHMENT, &self.place(), attachment.as_bytes()], place, source)
    }

    fn place(&self) -> [u8; 32] {
        let mut place = [0; 32];
        place[..16].copy_from_slice(self.vault().as_bytes());
        place[16..].copy_from_slice(self.item().as_bytes());
        place
    }
}

impl Version {
    fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.revision.to_be_bytes());
        bytes[8..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }
}

/// The length of what holds so many bytes: steps of 256 up to 4 KiB, then Padmé, which leaves of the length's bits only as
/// many as its magnitude has, and adds at most an eighth.
pub const fn padded_bytes(content_bytes: usize) -> usize {
    let bytes = content_bytes + LENGTH_BYTES;
    let step = if bytes <= STEPS_END { STEP_BYTES } else { padme_step(bytes) };
    bytes.div_ceil(step) * step
}

const fn padme_step(bytes: usize) -> usize {
    let magnitude = bytes.ilog2();
    1 << (magnitude - (magnitude.ilog2() + 1))
}

pub(super) fn pad(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if content.len() > MAX_ITEM_BYTES {
        return Err(Error::Length(WHAT));
    }
    let length = u32::try_from(content.len()).map_err(|_| Error::Length(WHAT))?;
    let mut padded = Zeroizing::new(vec![0; padded_bytes(content.len())]);
    padded[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    padded[LENGTH_BYTES..LENGTH_BYTES + content.len()].copy_from_slice(content);
    Ok(padded)
}

/// Takes the padding away. One content has one padding, and every other is refused.
pub(super) fn unpad(mut padded: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_BYTES>().ok_or(Error::Malformed(WHAT))?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Error::Malformed(WHAT))?;
    let (_, padding) = rest.split_at_checked(length).ok_or(Error::Malformed(WHAT))?;
    if padded.len() != padded_bytes(length) || padding.iter().any(|byte| *byte != 0) {
        return Err(Error::Malformed(WHAT));
    }
    padded.copy_within(LENGTH_BYTES..LENGTH_BYTES + length, 0);
    padded[length..].fill(0);
    padded.truncate(length);
    Ok(padded)
}
