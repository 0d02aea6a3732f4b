//! What one account makes for another, for the box, or for a stranger with a link.

use coffer_crypto::secrets::Error;
use coffer_crypto::secrets::drop_box::{self, DropBox, Purpose};
use coffer_crypto::secrets::grant::{self, GRANT_BYTES, Role, Terms};
use coffer_crypto::secrets::identity::{
    Acquaintance, Identity, PUBLIC_IDENTITY_BYTES, PublicIdentity, Trust, from_qr_text,
};
use coffer_crypto::secrets::item::MAX_ITEM_BYTES;
use coffer_crypto::secrets::keys::AccountKey;
use coffer_crypto::secrets::link::LinkSecret;
use uuid::Uuid;

use super::support::{ALICE, BOB, ITEM, OTHER_ITEM, VAULT, alice, bob, rng, vault_key};

const TERMS: Terms = Terms { role: Role::Viewer, made_at_s: 1 };

fn stranger() -> Identity {
    Identity::generate(Uuid::from_u128(3), &mut rng(500)).unwrap()
}

fn given() -> Vec<u8> {
    grant::seal(&vault_key(), TERMS, &alice(), bob().public(), &mut rng(1)).unwrap()
}

#[test]
fn a_grant_gives_the_key_to_its_recipient_and_to_nobody_else() {
    let (key, terms) = grant::open(&given(), alice().public(), &bob()).unwrap();
    assert_eq!((key.vault(), key.generation(), terms), (VAULT, 1, TERMS));
    let account = AccountKey::generate(BOB, &mut rng(2));
    let same = vault_key().wrap(&account, &mut rng(3)).unwrap();
    assert_eq!(key.wrap(&account, &mut rng(3)).unwrap(), same, "it is that key");
    assert_eq!(grant::open(&given(), alice().public(), &stranger()).err(), Some(Error::Elsewhere("a grant")));
    let new_bob = Identity::generate(BOB, &mut rng(201)).unwrap();
    assert_eq!(grant::open(&given(), alice().public(), &new_bob).err(), Some(Error::Elsewhere("a grant")));
}

#[test]
fn a_grant_is_signed_by_the_one_who_is_said_to_have_given_it() {
    assert_eq!(grant::open(&given(), stranger().public(), &bob()).err(), Some(Error::Elsewhere("a grant")));
    let impostor = Identity::generate(ALICE, &mut rng(101)).unwrap();
    let forged = grant::seal(&vault_key(), TERMS, &impostor, bob().public(), &mut rng(1)).unwrap();
    assert_eq!(grant::open(&forged, alice().public(), &bob()).err(), Some(Error::Signature("a grant")));
}

#[test]
fn no_byte_of_a_grant_can_be_changed_and_it_has_one_length() {
    let grant = given();
    assert_eq!(grant.len(), GRANT_BYTES);
    for at in 0..grant.len() {
        let mut changed = grant.clone();
        changed[at] ^= 1;
        assert!(grant::open(&changed, alice().public(), &bob()).is_err(), "byte {at}");
    }
    for found in [&grant[1..], &grant[..GRANT_BYTES - 1], &[&grant[..], &[0]].concat(), &[]] {
        assert_eq!(grant::open(found, alice().public(), &bob()).err(), Some(Error::Length("a grant")));
    }
}

#[test]
fn no_byte_of_a_public_identity_can_be_changed_and_it_belongs_to_one_account() {
    let bytes = alice().public().to_bytes();
    assert_eq!(PublicIdentity::parse(ALICE, &bytes).as_ref(), Ok(alice().public()));
    assert_eq!(PublicIdentity::parse(BOB, &bytes), Err(Error::Elsewhere("an identity")));
    for at in 0..PUBLIC_IDENTITY_BYTES {
        let mut changed = bytes;
        changed[at] ^= 1;
        assert!(PublicIdentity::parse(ALICE, &changed).is_err(), "byte {at}");
    }
    assert_eq!(PublicIdentity::parse(ALICE, &bytes[1..]), Err(Error::Length("an identity")));
}

#[test]
fn private_keys_are_sealed_for_their_account_alone() {
    let account = AccountKey::generate(ALICE, &mut rng(1));
    let sealed = alice().seal(&account, &mut rng(2)).unwrap();
    assert_eq!(Identity::open(&account, &sealed).unwrap().public(), alice().public());
    assert!(Identity::open(&AccountKey::generate(ALICE, &mut rng(3)), &sealed).is_err());
    assert!(Identity::open(&AccountKey::generate(BOB, &mut rng(1)), &sealed).is_err(), "the same key, another account");
}

#[test]
fn changed_keys_stop_everything_until_a_person_accepts_them() {
    let changed = Identity::generate(BOB, &mut rng(201)).unwrap();
    let seen = Acquaintance::new(bob().public());
    assert_eq!(seen.trust, Trust::Unverified);
    assert_eq!(
        seen.meet(changed.public()).unwrap().fingerprint,
        changed.public().fingerprint(),
        "nothing was done yet"
    );
    for known in [seen.pinned(), seen.pinned().verified(), seen.verified().pinned()] {
        assert_eq!(known.meet(bob().public()), Ok(known));
        let blocked = known.meet(changed.public()).unwrap_err();
        assert_eq!((blocked.known, blocked.named), (known, changed.public().fingerprint()));
        let accepted = blocked.accept();
        assert_eq!(accepted.trust, Trust::Pinned, "nobody has compared the new ones");
        assert_eq!(accepted.meet(changed.public()), Ok(accepted));
        assert!(accepted.meet(bob().public()).is_err());
    }
    assert_eq!(seen.verified().pinned().trust, Trust::Verified);
}

#[test]
fn fingerprints_are_six_words_and_a_text_with_all_of_it() {
    let (of_alice, of_bob) = (alice().public().fingerprint(), bob().public().fingerprint());
    assert!(of_alice.words().iter().all(|word| (3..=8).contains(&word.len())));
    assert_ne!(of_alice.words(), of_bob.words());
    let text = of_alice.to_qr_text(ALICE);
    assert_eq!(from_qr_text(&text), Some((ALICE, of_alice)));
    let others = [&text[..text.len() - 2], &format!("{text}00"), &text.replace(":1:", ":2:"), "coffer:1?c=1", ""];
    assert_eq!(others.map(from_qr_text), [None; 5]);
    assert!(text.starts_with("coffer-identity:1:00000000-0000-0000-0000-000000000001:"));
    assert_eq!(text.rsplit(':').next().map(str::len), Some(64));
}

#[test]
fn what_is_dropped_is_read_by_members_for_one_purpose_and_key() {
    let purpose = Purpose { item: ITEM, base_revision: 4 };
    let drop_box = DropBox::of(&vault_key()).unwrap();
    let dropped = drop_box.seal(purpose, b"s3cret", &mut rng(1)).unwrap();
    assert_eq!(drop_box::open(&vault_key(), purpose, &dropped).unwrap().as_slice(), b"s3cret");
    let next = vault_key().next(&mut rng(2)).unwrap();
    assert!(drop_box::open(&next, purpose, &dropped).is_err());
    assert_ne!(DropBox::of(&next).unwrap().public, drop_box.public);
    for other in [Purpose { item: OTHER_ITEM, ..purpose }, Purpose { base_revision: 5, ..purpose }] {
        assert!(drop_box::open(&vault_key(), other, &dropped).is_err());
    }
    let empty = drop_box.seal(purpose, b"", &mut rng(1)).unwrap();
    assert_eq!(empty.len(), dropped.len(), "the length tells nothing");
    assert!(drop_box::open(&vault_key(), purpose, &vec![0; 2 * MAX_ITEM_BYTES]).is_err());
}

#[test]
fn a_link_is_opened_by_what_stands_behind_its_mark_alone() {
    let link = Uuid::from_u128(0x40);
    let secret = LinkSecret::generate(link, &mut rng(1));
    let sealed = secret.seal(b"once", &mut rng(2)).unwrap();
    let text = secret.to_text();
    assert_eq!(LinkSecret::parse(link, &text).unwrap().open(&sealed).unwrap().as_slice(), b"once");
    assert!(LinkSecret::parse(Uuid::from_u128(0x41), &text).unwrap().open(&sealed).is_err());
    assert!(LinkSecret::generate(link, &mut rng(3)).open(&sealed).is_err());
    assert_ne!(secret.access_hash(), LinkSecret::generate(link, &mut rng(3)).access_hash());
    for wrong in ["", "x", &text[1..], &format!("{}A", text.as_str()), &"ä".repeat(21), &format!("{}!", &text[1..])] {
        assert!(LinkSecret::parse(link, wrong).is_err(), "{wrong}");
    }
}
