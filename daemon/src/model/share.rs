//! Share links: a token that opens a file or a folder to people without an account.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

pub(crate) use coffer_api::ShareKind;

use super::role::Role;

/// What opens a link: 128 random bits, 22 characters of base 64. Not shown by `Debug`, wiped when dropped.
pub(crate) struct ShareToken(Zeroizing<[u8; 16]>);

impl ShareToken {
    /// Draws a fresh token.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 16]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }

    /// Reads a token from an address. There is one way to write each.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// As it stands in an address.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64URL_NOPAD.encode(self.0.as_slice()))
    }

    /// What is stored of it. Guessing 128 bits needs no slow hash to fail.
    pub(crate) fn hash(&self) -> ShareTokenHash {
        ShareTokenHash(HEXLOWER.encode(&Sha256::digest(self.0.as_slice())))
    }
}

/// SHA-256 of a token, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareTokenHash(String);

impl ShareTokenHash {
    /// The 64 digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharedId {
    File(Uuid),
    Folder(Uuid),
}

/// A link, as stored.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) id: Uuid,
    pub(crate) kind: ShareKind,
    pub(crate) item: SharedId,
    /// The most that it may do of what its maker may.
    pub(crate) role: Role,
    /// What visitors see as its title.
    pub(crate) name: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: Uuid,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) password_hash: Option<String>,
    pub(crate) max_downloads: Option<u32>,
    pub(crate) max_upload_bytes: Option<u64>,
    pub(crate) used: ShareUse,
}

/// What a link was used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShareUse {
    pub(crate) views: u64,
    pub(crate) downloads: u64,
    pub(crate) uploads: u64,
    pub(crate) uploaded_bytes: u64,
    pub(crate) last_at: Option<Timestamp>,
}

impl Share {
    /// How many downloads are left; `None` is as many as one likes.
    pub(crate) fn downloads_left(&self) -> Option<u64> {
        self.max_downloads.map(|limit| u64::from(limit).saturating_sub(self.used.downloads))
    }

    /// How many bytes it still takes; `None` is as many as there is room for.
    pub(crate) fn upload_bytes_left(&self) -> Option<u64> {
        self.max_upload_bytes.map(|limit| limit.saturating_sub(self.used.uploaded_bytes))
    }

    /// Whether its time has not come yet.
    pub(crate) fn is_current(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Which links. Absent conditions hold for all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShareFilter {
    pub(crate) created_by: Option<Uuid>,
    /// The file or folder that they lead to.
    pub(crate) item_id: Option<Uuid>,
}

/// The name under which a kind is stored.
pub(crate) fn kind_name(kind: ShareKind) -> &'static str {
    match kind {
        ShareKind::Download => "download",
        ShareKind::View => "view",
        ShareKind::Drop => "drop",
    }
}

/// Reads a stored name.
pub(crate) fn parse_kind(name: &str) -> Option<ShareKind> {
    [ShareKind::Download, ShareKind::View, ShareKind::Drop].into_iter().find(|kind| kind_name(*kind) == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::system_rng;

    #[test]
    fn a_token_reads_back_and_nothing_else_does() {
        let token = ShareToken::generate(&mut system_rng());
        let text = token.text();
        assert_eq!(text.len(), 22);
        assert_eq!(ShareToken::parse(&text).unwrap().hash(), token.hash());
        assert_ne!(ShareToken::generate(&mut system_rng()).hash(), token.hash());
        let longer = format!("{}AA", *text);
        // The last character carries four bits; written with others it would be another name for the same token.
        for bad in ["", "AAAA", &text[..21], &longer, "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA=", "é"] {
            assert!(ShareToken::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_of_kinds() {
        for kind in [ShareKind::Download, ShareKind::View, ShareKind::Drop] {
            assert_eq!(parse_kind(kind_name(kind)), Some(kind));
        }
        assert_eq!(parse_kind("upload"), None);
    }
}
