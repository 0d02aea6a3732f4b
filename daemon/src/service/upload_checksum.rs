//! Check sums that a client sends with some bytes of an upload.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The algorithms, as tus names them.
pub(crate) const ALGORITHMS: &str = "sha1,sha256";

/// A check sum that bytes should have, and what came of them.
pub(crate) struct Checksum {
    expected: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Checksum {
    /// A sum by an algorithm of that name. `None` when it is not one of [`ALGORITHMS`].
    pub(crate) fn new(algorithm: &str, expected: Vec<u8>) -> Option<Self> {
        let hasher = match algorithm {
            "sha1" => Hasher::Sha1(Sha1::new()),
            "sha256" => Hasher::Sha256(Sha256::new()),
            _unknown => return None,
        };
        Some(Self { expected, hasher })
    }

    /// Takes more of the bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Whether they are what they should be.
    pub(super) fn matches(self) -> bool {
        let found = match self.hasher {
            Hasher::Sha1(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
        };
        found.ct_eq(&self.expected).into()
    }
}
