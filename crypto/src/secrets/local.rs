//! What a device keeps between two visits: sealed under a key that comes from the account key, so that nothing of it reads
//! while the account is locked, not even what the rows are of: they are found by marks.

use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::keys::AccountKey;
use super::{Error, Fields, Key, derive, open, seal};

const WHAT: &str = "what this device keeps";
const PLACE_BYTES: usize = 1 + 16 + 16;
const LOCAL: &[u8] = b"coffer/secrets/1/local\0";
const MARKS: &[u8] = b"coffer/secrets/1/local/marks\0";
const MARK: &[u8] = b"coffer/secrets/1/local/mark\0";
const ROW: &[u8] = b"coffer/secrets/1/local/row\0";

/// What a row is found by: the same for the same place, and random to who has no key.
pub type Mark = [u8; 32];

/// Seals what one device keeps.
pub struct LocalKey {
    rows: Key,
    marks: Key,
}

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
        let key = |label| derive(account.key.bytes(), &[label, account.account().as_bytes()]);
        Self { rows: key(LOCAL), marks: key(MARKS) }
    }

    /// What the row of a place is found by.
    pub fn mark(&self, place: Place) -> Mark {
        self.mark_of(&place.bytes())
    }

    /// What all rows of a kind that belong to a vault are found by.
    pub fn mark_of_vault(&self, kind: u8, vault: Uuid) -> Mark {
        self.mark_of(&Place { kind, vault, item: Uuid::nil() }.bytes()[..17])
    }

    /// What all rows of a kind are found by.
    pub fn mark_of_kind(&self, kind: u8) -> Mark {
        self.mark_of(&[kind])
    }

    /// The three sorts of marks are of texts of different lengths, so that none is another's.
    fn mark_of(&self, text: &[u8]) -> Mark {
        *derive(self.marks.bytes(), &[MARK, text]).bytes()
    }

    /// Seals a content for its place, and the place with it.
    pub fn seal(&self, place: Place, content: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        let placed = Zeroizing::new([&place.bytes(), content].concat());
        seal(&self.rows, &[ROW, &self.mark(place)], &placed, rng)
    }

    /// Opens what was sealed, where the mark led to: its place, and the content.
    pub fn open(&self, mark: &Mark, sealed: &[u8]) -> Result<(Place, Zeroizing<Vec<u8>>), Error> {
        let placed = open(WHAT, &self.rows, &[ROW, mark], sealed)?;
        let (place, content) = placed.split_first_chunk::<PLACE_BYTES>().ok_or(Error::Length(WHAT))?;
        let place = Place::read(place)?;
        if self.mark(place) == *mark {
            Ok((place, Zeroizing::new(content.to_vec())))
        } else {
            Err(Error::Elsewhere(WHAT))
        }
    }
}

impl Place {
    fn read(bytes: &[u8; PLACE_BYTES]) -> Result<Self, Error> {
        let (kind, ids) = bytes.split_first().ok_or(Error::Length(WHAT))?;
        let mut fields = Fields::of(WHAT, ids, 32)?;
        Ok(Self { kind: *kind, vault: fields.uuid()?, item: fields.uuid()? })
    }

    fn bytes(self) -> [u8; PLACE_BYTES] {
        let mut bytes = [self.kind; PLACE_BYTES];
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
        let [keys, hers] = [&ada, &grace].map(LocalKey::of);
        let sealed = keys.seal(place, b"a title", &mut rng).unwrap();
        let (found, content) = keys.open(&keys.mark(place), &sealed).unwrap();
        assert_eq!((found, content.as_slice()), (place, &b"a title"[..]));
        let copy = LocalKey::of(&AccountKey::from_bytes(ada.account(), ada.bytes()));
        assert_eq!(copy.open(&copy.mark(place), &sealed).unwrap().0, place);
        for other in
            [Place { kind: 2, ..place }, Place { vault: Uuid::nil(), ..place }, Place { item: Uuid::nil(), ..place }]
        {
            assert_ne!(keys.mark(other), keys.mark(place));
            assert_eq!(keys.open(&keys.mark(other), &sealed).err(), Some(Error::NotAuthentic(WHAT)));
        }
        assert_ne!(hers.mark(place), keys.mark(place));
        assert_eq!(hers.open(&keys.mark(place), &sealed).err(), Some(Error::NotAuthentic(WHAT)));
        let nil = Place { kind: 1, vault: Uuid::nil(), item: Uuid::nil() };
        let sorts = [keys.mark(nil), keys.mark_of_vault(1, Uuid::nil()), keys.mark_of_kind(1), keys.mark_of_kind(2)];
        assert!((1..4).all(|last| !sorts[..last].contains(&sorts[last])), "no mark is that of another sort");
    }
}
