//! Bytes that somebody made up: each parser answers, and none panics.

use std::collections::BTreeMap;

use coffer_crypto::secrets::code::SecretKeyCode;
use coffer_crypto::secrets::drop_box::{self, Purpose};
use coffer_crypto::secrets::grant::{self, GRANT_BYTES};
use coffer_crypto::secrets::identity::{Identity, PUBLIC_IDENTITY_BYTES, PublicIdentity};
use coffer_crypto::secrets::item::Version;
use coffer_crypto::secrets::keys::{AccountKey, ItemKey, VaultKey};
use coffer_crypto::secrets::link::LinkSecret;
use coffer_crypto::secrets::manifest::{LINK_BYTES, Manifest, Witness};
use coffer_crypto::secrets::password::{PARAMETERS_BYTES, Parameters};
use proptest::prelude::*;

use super::support::{ALICE, ITEM, VAULT, alice, bob, item_key, rng, vault_key};

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let exact = |length| prop::collection::vec(any::<u8>(), length..=length).boxed();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600).boxed(),
        exact(104),
        exact(GRANT_BYTES),
        exact(LINK_BYTES),
        exact(PUBLIC_IDENTITY_BYTES),
    ]
}

proptest! {
    #[test]
    fn nothing_that_was_made_up_is_believed(bytes in any_bytes(), text: String) {
        let account = AccountKey::generate(ALICE, &mut rng(1));
        prop_assert!(VaultKey::unwrap(&account, VAULT, 1, &bytes).is_err());
        prop_assert!(ItemKey::unwrap(&vault_key(), ITEM, &bytes).is_err());
        let (version, purpose) = (Version { revision: 1, generation: 1 }, Purpose { item: ITEM, base_revision: 1 });
        prop_assert!(item_key().open(version, &bytes).is_err());
        prop_assert!(Identity::open(&account, &bytes).is_err());
        prop_assert!(PublicIdentity::parse(ALICE, &bytes).is_err());
        prop_assert!(grant::open(&bytes, alice().public(), &bob()).is_err());
        prop_assert!(drop_box::open(&vault_key(), purpose, &bytes).is_err());
        prop_assert!(LinkSecret::generate(ITEM, &mut rng(1)).open(&bytes).is_err());
        let witness = Witness { writers: &[alice().public().clone()], keys: &[vault_key()] };
        prop_assert!(Manifest::empty(VAULT).follow(&[&bytes], witness).is_err());
        prop_assert!(Manifest::adopt(VAULT, &bytes, BTreeMap::new(), witness).is_err());
        prop_assert!(SecretKeyCode::parse(&text).is_err());
        prop_assert!(LinkSecret::parse(ITEM, &text).is_err());
    }

    #[test]
    fn parameters_that_are_read_are_written_back_as_the_same(bytes in prop::collection::vec(any::<u8>(), PARAMETERS_BYTES)) {
        if let Ok(parameters) = Parameters::parse(&bytes) {
            prop_assert_eq!(parameters.to_bytes().to_vec(), bytes);
        }
    }
}
