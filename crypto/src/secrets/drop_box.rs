//! Values that are left for a vault by somebody who cannot read it: what a rotation made, sealed to the vault.
//!
//! The key pair comes from the vault key, so every member can open and nothing more has to be kept. Whoever has the public
//! half can leave something; a member therefore takes a value for what it is, the word of the box, and not of a member.

use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::identity::{Identity, PublicIdentity, SIGNATURE_BYTES};
use super::item::{MAX_ITEM_BYTES, pad, padded_bytes, unpad};
use super::keys::VaultKey;
use super::{Error, hpke_box};

const WHAT: &str = "a dropped value";
const BOX: &str = "a drop box";
const SECRET: &[u8] = b"coffer/secrets/1/drop-box\0";
const INFO: &[u8] = b"coffer/secrets/1/drop\0";
const PUBLIC: &[u8] = b"coffer/secrets/1/drop-box/public\0";

/// Length of a member's signature of a drop box.
pub const DROP_BOX_SIGNATURE_BYTES: usize = SIGNATURE_BYTES;

/// The public half: what a box seals to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropBox {
    /// Which vault.
    pub vault: Uuid,
    /// Which of its keys.
    pub generation: u32,
    /// X25519.
    pub public: [u8; hpke_box::PUBLIC_BYTES],
}

/// What a value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The item that it belongs into.
    pub item: Uuid,
    /// The item's revision when it was made.
    pub base_revision: u64,
}

impl DropBox {
    /// That of a vault.
    pub fn of(vault: &VaultKey) -> Result<Self, Error> {
        let public = hpke_box::public(&vault.derive(SECRET))?;
        Ok(Self { vault: vault.vault(), generation: vault.generation(), public })
    }

    /// A member says that this is the vault's. Members need not believe it: they have what it is derived from.
    pub fn sign(&self, member: &Identity) -> [u8; DROP_BOX_SIGNATURE_BYTES] {
        member.sign(PUBLIC, &self.signed_bytes(member.public().account()))
    }

    /// Checks whether that member has said so.
    pub fn verify(&self, member: &PublicIdentity, signature: &[u8]) -> Result<(), Error> {
        let signature = signature.try_into().map_err(|_| Error::Length(BOX))?;
        member.verify(BOX, PUBLIC, &self.signed_bytes(member.account()), signature)
    }

    fn signed_bytes(&self, member: Uuid) -> [u8; 68] {
        let mut bytes = [0; 68];
        bytes[..16].copy_from_slice(self.vault.as_bytes());
        bytes[16..20].copy_from_slice(&self.generation.to_be_bytes());
        bytes[20..52].copy_from_slice(&self.public);
        bytes[52..].copy_from_slice(member.as_bytes());
        bytes
    }

    /// Leaves a value. Whoever did so cannot read it again.
    pub fn seal(&self, purpose: Purpose, value: &[u8], rng: &mut impl CryptoRng) -> Result<Vec<u8>, Error> {
        hpke_box::seal(&self.public, INFO, &place(self.vault, self.generation, purpose), &pad(value)?, rng)
    }
}

/// Reads a value that was left for a vault.
pub fn open(vault: &VaultKey, purpose: Purpose, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if sealed.len() > padded_bytes(MAX_ITEM_BYTES) + hpke_box::OVERHEAD_BYTES {
        return Err(Error::Length(WHAT));
    }
    let place = place(vault.vault(), vault.generation(), purpose);
    unpad(hpke_box::open(WHAT, &vault.derive(SECRET), INFO, &place, sealed)?)
}

fn place(vault: Uuid, generation: u32, purpose: Purpose) -> [u8; 44] {
    let mut place = [0; 44];
    place[..16].copy_from_slice(vault.as_bytes());
    place[16..20].copy_from_slice(&generation.to_be_bytes());
    place[20..36].copy_from_slice(purpose.item.as_bytes());
    place[36..].copy_from_slice(&purpose.base_revision.to_be_bytes());
    place
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_drop_box_is_signed_by_one_member_for_one_vault_and_generation() {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let key = VaultKey::generate(Uuid::from_u128(1), &mut rng);
        let [ada, bob] = [2, 3].map(|id| Identity::generate(Uuid::from_u128(id), &mut rng).unwrap());
        let drop_box = DropBox::of(&key).unwrap();
        let signature = drop_box.sign(&ada);
        assert_eq!(drop_box.verify(ada.public(), &signature), Ok(()));
        let refused = Err(Error::Signature(BOX));
        assert_eq!(drop_box.verify(bob.public(), &signature), refused);
        let next = DropBox::of(&key.next(&mut rng).unwrap()).unwrap();
        for other in [
            DropBox { vault: Uuid::from_u128(4), ..drop_box },
            DropBox { generation: 2, ..drop_box },
            DropBox { public: next.public, ..drop_box },
        ] {
            assert_eq!(other.verify(ada.public(), &signature), refused, "{other:?}");
        }
        assert_eq!(drop_box.verify(ada.public(), &signature[1..]), Err(Error::Length(BOX)));
    }
}
