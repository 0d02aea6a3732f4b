//! What a device keeps between two visits: sealed under a key that comes from the account key, so that nothing of it reads
//! while the account is locked.

use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::AccountKey;
use super::{Error, Key, derive, open, seal};

const WHAT: &str = "what this device keeps";
const LOCAL: &[u8] = b"coffer/secrets/1/local\0";
const ROW: &[u8] = b"coffer/secrets/1/local/row\0";

/// Seals what one device keeps.
pub struct LocalKey(Key);

/// Where something is kept. What was sealed for one place opens in no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// What it is; devices number their own.
    pub kind: u8,
    /// The vault that it belongs to, or nil.
    pub vault: Uuid,
    /// The item that it belongs to, or nil.
    pub item: Uuid,
}

impl LocalKey {
    /// The key of an account, the same on all of its devices.
    pub fn of(account: &AccountKey) -> Self {
        Self(derive(account.key.bytes(), &[LOCAL, account.account().as_bytes()]))
    }

    /// Seals a content for its place.
    pub fn seal(&self, place: Place, content: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        seal(&self.0, &[ROW, &place.bytes()], content, rng)
    }

    /// Opens what was sealed for the place.
    pub fn open(&self, place: Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        open(WHAT, &self.0, &[ROW, &place.bytes()], sealed)
    }
}

impl Place {
    fn bytes(self) -> [u8; 33] {
        let mut bytes = [self.kind; 33];
        bytes[1..17].copy_from_slice(self.vault.as_bytes());
        bytes[17..].copy_from_slice(self.item.as_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn what_is_kept_opens_in_its_place_for_its_account_alone() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let [ada, grace] = [1, 2].map(|id| AccountKey::generate(Uuid::from_u128(id), &mut rng));
        let place = Place { kind: 1, vault: Uuid::from_u128(3), item: Uuid::from_u128(4) };
        let sealed = LocalKey::of(&ada).seal(place, b"a title", &mut rng).unwrap();
        assert_eq!(LocalKey::of(&ada).open(place, &sealed).unwrap().as_slice(), b"a title");
        let copy = AccountKey::from_bytes(ada.account(), ada.bytes());
        assert_eq!(LocalKey::of(&copy).open(place, &sealed).unwrap().as_slice(), b"a title");
        for other in
            [Place { kind: 2, ..place }, Place { vault: Uuid::nil(), ..place }, Place { item: Uuid::nil(), ..place }]
        {
            assert_eq!(LocalKey::of(&ada).open(other, &sealed), Err(Error::NotAuthentic(WHAT)));
        }
        assert_eq!(LocalKey::of(&grace).open(place, &sealed), Err(Error::NotAuthentic(WHAT)));
    }
}
