//! The way from a password down to an item key: what a server cannot weaken, and what a change leaves alone.

use std::sync::LazyLock;

use coffer_crypto::secrets::Error;
use coffer_crypto::secrets::code::{MarkedCodeError, RecoveryKeyCode, SecretKeyCode};
use coffer_crypto::secrets::keys::{AccountKey, ItemKey, VaultKey};
use coffer_crypto::secrets::password::{
    AuthenticationKey, Cost, CostError, MAX_PASSWORD_BYTES, Parameters, ParametersError, Password, UnlockKey, derive,
};

use super::support::{ALICE, BOB, ITEM, OTHER_ITEM, OTHER_VAULT, VAULT, item_key, rng, vault_key};

fn parameters(seed: u64) -> Parameters {
    Parameters::generate(Cost::FLOOR, &mut rng(seed))
}

/// Takes a sixth of a second: few of them, and shared where they can be.
fn keys(password: &str, secret_key_seed: u64, parameters: &Parameters) -> (AuthenticationKey, UnlockKey) {
    let secret_key = SecretKeyCode::generate(&mut rng(secret_key_seed));
    derive(&Password::new(password).unwrap(), &secret_key, ALICE, parameters).unwrap()
}

static KEYS: LazyLock<(AuthenticationKey, UnlockKey)> = LazyLock::new(|| keys("correct horse", 1, &parameters(1)));

fn account_key() -> AccountKey {
    AccountKey::generate(ALICE, &mut rng(5))
}

#[test]
fn a_server_can_make_the_derivation_neither_cheap_nor_endless() {
    let cases = [
        (64 * 1024 - 1, 3, 4, Err(CostError::Cheap)),
        (64 * 1024, 2, 4, Err(CostError::Cheap)),
        (64 * 1024, 3, 3, Err(CostError::Cheap)),
        (0, 0, 0, Err(CostError::Cheap)),
        (64 * 1024, 3, 4, Ok(Cost::FLOOR)),
        (256 * 1024, 3, 4, Ok(Cost::DEFAULT)),
        (1024 * 1024, 16, 16, Ok(Cost::CEILING)),
        (1024 * 1024 + 1, 3, 4, Err(CostError::Dear)),
        (64 * 1024, 17, 4, Err(CostError::Dear)),
        (64 * 1024, 3, 17, Err(CostError::Dear)),
        (u32::MAX, u32::MAX, u32::MAX, Err(CostError::Dear)),
    ];
    for (memory_kib, passes, lanes, expected) in cases {
        assert_eq!(Cost::new(memory_kib, passes, lanes), expected);
        let mut sent = parameters(1).to_bytes();
        sent[..4].copy_from_slice(&memory_kib.to_be_bytes());
        sent[4..8].copy_from_slice(&passes.to_be_bytes());
        sent[8..12].copy_from_slice(&lanes.to_be_bytes());
        let read = Parameters::parse(&sent).map(|parameters| parameters.cost());
        assert_eq!(read, expected.map_err(ParametersError::Cost));
    }
    for length in [0, 59, 61, 1000] {
        let refused = ParametersError::Form(Error::Length("the parameters of a key derivation"));
        assert_eq!(Parameters::parse(&vec![1; length]), Err(refused));
    }
}

#[test]
fn a_device_takes_the_parameters_that_it_has_pinned_and_never_cheaper_ones() {
    let pinned = Parameters::generate(Cost::DEFAULT, &mut rng(1));
    let same_salts = |cost| Parameters::generate(cost, &mut rng(1));
    assert_eq!(pinned.admit(&pinned), Ok(()));
    assert_eq!(pinned.admit(&same_salts(Cost::FLOOR)), Err(ParametersError::Weakened));
    let fewer_lanes = Cost::new(1024 * 1024, 16, 4).unwrap();
    let more_lanes = same_salts(Cost::new(256 * 1024, 3, 8).unwrap());
    assert_eq!(more_lanes.admit(&same_salts(fewer_lanes)), Err(ParametersError::Weakened), "in one way is enough");
    assert_eq!(pinned.admit(&same_salts(Cost::CEILING)), Err(ParametersError::Changed));
    let other_salts = Parameters::generate(Cost::DEFAULT, &mut rng(2));
    assert_eq!(pinned.admit(&other_salts), Err(ParametersError::Changed));
}

#[test]
fn a_password_is_the_same_however_its_letters_are_composed_and_else_only_itself() {
    let composed = keys("Zwölf Boxkämpfer Å", 1, &parameters(1));
    let decomposed = keys("Zwo\u{308}lf Boxka\u{308}mpfer \u{212b}", 1, &parameters(1));
    assert_eq!(composed.0.bytes(), decomposed.0.bytes());
    let spaced = keys("Zwölf Boxkämpfer Å ", 1, &parameters(1));
    assert_ne!(composed.0.bytes(), spaced.0.bytes());
    assert!(Password::new("").is_err());
    assert!(Password::new(&"x".repeat(MAX_PASSWORD_BYTES)).is_ok());
    assert!(Password::new(&"x".repeat(MAX_PASSWORD_BYTES + 1)).is_err());
    // U+1D160 becomes three times as long in NFC.
    assert!(Password::new(&"\u{1d160}".repeat(MAX_PASSWORD_BYTES / 4)).is_err());
}

#[test]
fn the_two_keys_differ_and_depend_on_every_input() {
    let (authentication, unlock) = &*KEYS;
    let wrapped = account_key().wrap(unlock, &mut rng(6)).unwrap();
    assert!(AccountKey::unwrap(ALICE, unlock, &wrapped).is_ok());
    let secret_key = SecretKeyCode::generate(&mut rng(1));
    let of_bob = derive(&Password::new("correct horse").unwrap(), &secret_key, BOB, &parameters(1)).unwrap();
    let others = [
        keys("correct horsf", 1, &parameters(1)),
        keys("correct horse", 2, &parameters(1)),
        keys("correct horse", 1, &parameters(2)),
        of_bob,
    ];
    for (other_authentication, other_unlock) in others {
        assert_ne!(authentication.bytes(), other_authentication.bytes());
        assert!(AccountKey::unwrap(ALICE, &other_unlock, &wrapped).is_err());
    }
    assert!(AccountKey::unwrap(BOB, unlock, &wrapped).is_err(), "bound to its account");
}

#[test]
fn a_new_password_or_secret_key_touches_nothing_below_the_account_key() {
    let account = account_key();
    let vault = vault_key().wrap(&account, &mut rng(7)).unwrap();
    let old = account.wrap(&KEYS.1, &mut rng(8)).unwrap();
    let (_, new_unlock) = keys("battery staple", 9, &parameters(9));
    let reopened = AccountKey::unwrap(ALICE, &KEYS.1, &old).unwrap();
    let new = reopened.wrap(&new_unlock, &mut rng(10)).unwrap();
    assert!(AccountKey::unwrap(ALICE, &KEYS.1, &new).is_err(), "the old password is worth nothing");
    let account = AccountKey::unwrap(ALICE, &new_unlock, &new).unwrap();
    assert!(VaultKey::unwrap(&account, VAULT, 1, &vault).is_ok());
}

#[test]
fn the_recovery_key_opens_the_account_and_no_other_way_of_wrapping() {
    let account = account_key();
    let recovery = RecoveryKeyCode::generate(&mut rng(11));
    let wrapped = account.wrap_for_recovery(&recovery, &mut rng(12)).unwrap();
    assert!(AccountKey::recover(ALICE, &recovery, &wrapped).is_ok());
    assert!(AccountKey::recover(BOB, &recovery, &wrapped).is_err());
    assert!(AccountKey::recover(ALICE, &RecoveryKeyCode::generate(&mut rng(13)), &wrapped).is_err());
    assert!(AccountKey::unwrap(ALICE, &KEYS.1, &wrapped).is_err());
}

#[test]
fn the_two_codes_cannot_be_mixed_up() {
    let secret_key = SecretKeyCode::generate(&mut rng(1)).to_text();
    assert_eq!(secret_key.len(), "S1-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX-XXXX".len());
    assert_eq!(SecretKeyCode::parse(&format!("  {} ", secret_key.to_lowercase())).unwrap().to_text(), secret_key);
    assert_eq!(RecoveryKeyCode::parse(&secret_key).err(), Some(MarkedCodeError::OtherMark('R')));
    assert_eq!(SecretKeyCode::parse(&secret_key[3..]).err(), Some(MarkedCodeError::OtherMark('S')));
    assert_eq!(SecretKeyCode::parse("").err(), Some(MarkedCodeError::OtherMark('S')));
    let mut wrong = secret_key.to_string();
    wrong.replace_range(3..4, if wrong.as_bytes()[3] == b'7' { "8" } else { "7" });
    assert!(matches!(SecretKeyCode::parse(&wrong), Err(MarkedCodeError::Code(_))));
}

#[test]
fn a_wrapped_key_fits_one_place() {
    let account = account_key();
    let first = vault_key();
    let second = first.next(&mut rng(20)).unwrap();
    assert_eq!(second.generation(), 2);
    let wrapped = first.wrap(&account, &mut rng(21)).unwrap();
    assert!(VaultKey::unwrap(&account, VAULT, 1, &wrapped).is_ok());
    assert!(VaultKey::unwrap(&account, VAULT, 2, &wrapped).is_err(), "another generation");
    assert!(VaultKey::unwrap(&account, OTHER_VAULT, 1, &wrapped).is_err(), "another vault");

    let item = item_key().wrap(&first, &mut rng(22)).unwrap();
    assert!(ItemKey::unwrap(&first, ITEM, &item).is_ok());
    assert!(ItemKey::unwrap(&first, OTHER_ITEM, &item).is_err(), "another item");
    assert!(ItemKey::unwrap(&second, ITEM, &item).is_err(), "the next key");
    let elsewhere = VaultKey::generate(OTHER_VAULT, &mut rng(23));
    assert_eq!(item_key().wrap(&elsewhere, &mut rng(24)).err(), Some(Error::Elsewhere("an item key")));

    let rewrapped = ItemKey::unwrap(&first, ITEM, &item).unwrap().wrap(&second, &mut rng(25)).unwrap();
    assert!(ItemKey::unwrap(&second, ITEM, &rewrapped).is_ok());
    assert!(ItemKey::unwrap(&first, ITEM, &rewrapped).is_err(), "who left with the old key has nothing of it");
}
