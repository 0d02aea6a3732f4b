//! Keys as they are given, named, and kept.

use coffer_crypto::envelope::keys::{KeyEncryptionKey, KeyId, KeyIdError, KeyState, Owner, RootKey};
use coffer_crypto::envelope::{CheckValue, Error, GivenKeyError, SecretKey};
use uuid::Uuid;

use super::support::{kek, rng, secret};

fn parsed(text: &str) -> Result<Vec<u8>, GivenKeyError> {
    SecretKey::parse(text).map(|key| key.bytes().to_vec())
}

#[test]
fn a_key_is_read_in_all_the_ways_it_may_be_written() {
    let counted: Vec<u8> = (0..32).collect();
    let high = vec![0xfb; 32];
    let same: [(&str, &Vec<u8>); 9] = [
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", &counted),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", &counted),
        ("  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", &counted),
        ("-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s=", &high),
        ("-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", &high),
        ("+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s=", &high),
        ("+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s", &high),
        ("+/v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s", &high),
        // Somebody typed it; the last two bits belong to no byte, and Python does not look at them.
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", &counted),
    ];
    for (text, bytes) in same {
        assert_eq!(parsed(text).as_ref(), Ok(bytes), "{text}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let cases = [
        ("", GivenKeyError::Length(0)),
        ("=", GivenKeyError::NotBase64),
        ("====", GivenKeyError::NotBase64),
        ("AAECAwQFBgcICQoLDA0ODw==", GivenKeyError::Length(16)),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", GivenKeyError::Length(31)),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", GivenKeyError::Length(33)),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==", GivenKeyError::NotBase64),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=8", GivenKeyError::NotBase64),
        ("AAECAwQFBgcICQoL DA0ODxAREhMUFRYXGBkaGxwdHh8", GivenKeyError::NotBase64),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh\u{e9}", GivenKeyError::NotBase64),
        ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", GivenKeyError::Length(48)),
    ];
    for (text, error) in cases {
        assert_eq!(parsed(text), Err(error), "{text}");
    }
}

#[test]
fn a_name_of_a_key_can_be_shown_anywhere() {
    for text in ["1", "primary", "key-2026.11_a", "sixteen-letters!"] {
        assert_eq!(KeyId::parse(text).unwrap().as_str(), text);
    }
    for text in ["", "seventeen-letters", "with space", "line\n", "nul\0", "\0", "schl\u{fc}ssel", "\u{1f511}"] {
        assert_eq!(KeyId::parse(text), Err(KeyIdError), "{text:?}");
    }
}

#[test]
fn a_key_comes_back_from_its_record() {
    let (root, owner) = (RootKey::new(secret(1)), Owner::User(Uuid::from_u128(5)));
    let key = KeyEncryptionKey::generate(KeyId::parse("1").unwrap(), 4, &mut rng(1));
    let record = key.wrap(owner, KeyState::Active, &root, &mut rng(2)).unwrap();
    let opened = record.open(&root).unwrap();
    let same = |key: &KeyEncryptionKey| (key.id(), key.generation(), key.holder(), key.check_value());
    assert_eq!(same(&opened), same(&key));
    assert_eq!((record.owner, record.state, record.check), (owner, KeyState::Active, key.check_value()));
    // To another root key and back; the key itself stays.
    let next = RootKey::new(secret(2));
    assert_ne!(root.check_value(), next.check_value());
    let moved = opened.wrap(record.owner, KeyState::Retired, &next, &mut rng(3)).unwrap();
    assert_eq!(moved.open(&next).unwrap().check_value(), key.check_value());
    assert!(matches!(moved.open(&root), Err(Error::NotAuthentic)));
}

#[test]
fn a_record_that_was_changed_does_not_open() {
    let root = RootKey::new(secret(1));
    let record = kek().wrap(Owner::Shared, KeyState::Active, &root, &mut rng(2)).unwrap();
    let mut changed = [0; 6].map(|_| record.clone());
    changed[0].id = KeyId::parse("2").unwrap();
    changed[1].generation = 2;
    changed[2].owner = Owner::User(Uuid::nil());
    changed[3].check = CheckValue([0; 8]);
    changed[4].wrapped[0] ^= 1;
    changed[5].wrapped[103] ^= 1;
    for (case, record) in changed.iter().enumerate() {
        assert!(record.open(&root).is_err(), "case {case}");
    }
    let retired = coffer_crypto::envelope::keys::KeyRecord { state: KeyState::Retired, ..record };
    assert!(retired.open(&root).is_ok(), "the state changes without the root key");
}
