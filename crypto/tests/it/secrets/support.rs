//! Two people, a vault and an item.

use coffer_crypto::secrets::identity::Identity;
use coffer_crypto::secrets::keys::{ItemKey, VaultKey};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use uuid::Uuid;

pub(super) const ALICE: Uuid = Uuid::from_u128(1);
pub(super) const BOB: Uuid = Uuid::from_u128(2);
pub(super) const VAULT: Uuid = Uuid::from_u128(0x10);
pub(super) const OTHER_VAULT: Uuid = Uuid::from_u128(0x11);
pub(super) const ITEM: Uuid = Uuid::from_u128(0x20);
pub(super) const OTHER_ITEM: Uuid = Uuid::from_u128(0x21);

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn alice() -> Identity {
    Identity::generate(ALICE, &mut rng(100)).unwrap()
}

pub(super) fn bob() -> Identity {
    Identity::generate(BOB, &mut rng(200)).unwrap()
}

pub(super) fn vault_key() -> VaultKey {
    VaultKey::generate(VAULT, &mut rng(300))
}

pub(super) fn item_key() -> ItemKey {
    ItemKey::generate(VAULT, ITEM, &mut rng(400))
}
