use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;

/// Made by `vectors/make_vault_keys.py`, an implementation of its own.
const FOREIGN: &[u8] = include_bytes!("../vectors/vault.keys");
const PASSWORD: &str = "correct horse battery staple";

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn now() -> Timestamp {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn cost() -> ScryptCost {
    ScryptCost::new(0)
}

fn new_keys() -> OpenKeys {
    OpenKeys::create(Uuid::from_u128(1), now(), PASSWORD, cost(), &mut rng())
}

fn reread(keys: &OpenKeys) -> VaultKeys {
    VaultKeys::parse(&keys.file().to_bytes()).unwrap()
}

fn error_of(file: &VaultKeys, secret: &SlotSecret<'_>) -> OpenError {
    file.open(secret).err().expect("it must not open")
}

#[test]
fn a_file_made_by_another_implementation_opens_with_either_slot() {
    let file = VaultKeys::parse(FOREIGN).unwrap();
    // The password in NFD, as macOS may give it; the file was made with NFC.
    let by_password = file.open(&SlotSecret::MasterPassword("cafe\u{301} tre\u{300}s tranquille")).unwrap();
    assert_eq!(by_password.payload().gocryptfs_passphrase, "ab".repeat(32));
    assert_eq!(by_password.payload().token_key, [b't'; 32]);
    assert_eq!(by_password.payload().envelope_root_key, [b'e'; 32]);
    let recovery_key = RecoveryKey::parse("0123-4567-89AB-CDEF-GHJK-MNPQ-RSJR").unwrap();
    let by_recovery = file.open(&SlotSecret::RecoveryKey(&recovery_key)).unwrap();
    assert_eq!(by_recovery.payload().gocryptfs_passphrase, "ab".repeat(32));
    assert_eq!(file.to_bytes(), FOREIGN, "and it is written back byte for byte");
}

#[test]
fn what_is_created_opens_with_the_password_and_nothing_else() {
    let keys = new_keys();
    let file = reread(&keys);
    let opened = file.open(&SlotSecret::MasterPassword(PASSWORD)).unwrap();
    assert_eq!(opened.payload().gocryptfs_passphrase, keys.payload().gocryptfs_passphrase);
    assert_eq!(opened.payload().gocryptfs_passphrase.len(), 64);
    assert_eq!(opened.generation(), 1);
    assert_eq!(error_of(&file, &SlotSecret::MasterPassword("correct horse battery stapler")), OpenError::WrongSecret);
    let stranger = RecoveryKey::generate(&mut rng());
    assert_eq!(error_of(&file, &SlotSecret::RecoveryKey(&stranger)), OpenError::WrongSecret);
}

#[test]
fn changing_slots_leaves_the_payload_as_it_is() {
    let mut keys = new_keys();
    let before = serde_json::to_string(&keys.file().payload).unwrap();
    let recovery_key = RecoveryKey::generate(&mut rng());
    let added = keys.add_slot(&SlotSecret::RecoveryKey(&recovery_key), now(), cost(), &mut rng());
    keys.replace_slots(&SlotSecret::MasterPassword("another long passphrase"), now(), cost(), &mut rng());
    let file = reread(&keys);
    assert_eq!(serde_json::to_string(&file.payload).unwrap(), before);
    assert_eq!(error_of(&file, &SlotSecret::MasterPassword(PASSWORD)), OpenError::WrongSecret);
    assert!(file.open(&SlotSecret::MasterPassword("another long passphrase")).is_ok());
    let mut opened = file.open(&SlotSecret::RecoveryKey(&recovery_key)).unwrap();
    assert_eq!(opened.generation(), 3);
    opened.remove_slot(added).unwrap();
    assert_eq!(opened.remove_slot(added), Err(SlotError::Unknown));
    assert_eq!(error_of(&reread(&opened), &SlotSecret::RecoveryKey(&recovery_key)), OpenError::WrongSecret);
}

#[test]
fn the_last_master_password_stays() {
    let mut keys = new_keys();
    let only = keys.slots()[0].id;
    assert_eq!(keys.remove_slot(only), Err(SlotError::LastMasterPassword));
    assert_eq!(keys.slots().len(), 1);
}

#[test]
fn every_changed_field_is_noticed() {
    let mut keys = new_keys();
    let recovery_key = RecoveryKey::generate(&mut rng());
    keys.add_slot(&SlotSecret::RecoveryKey(&recovery_key), now(), cost(), &mut rng());
    let genuine: serde_json::Value = serde_json::from_slice(&keys.file().to_bytes()).unwrap();
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut file = genuine.clone();
        change(&mut file);
        let file: VaultKeys = serde_json::from_value(file).unwrap();
        error_of(&VaultKeys::parse(&file.to_bytes()).unwrap(), &SlotSecret::MasterPassword(PASSWORD))
    };
    let other = OpenKeys::create(Uuid::from_u128(1), now(), PASSWORD, cost(), &mut ChaCha20Rng::seed_from_u64(8));
    let other_payload = other.file().payload.clone();
    let zeros = BASE64.encode(&[0; 32]);
    assert_eq!(changed(&|f| f["generation"] = 1.into()), OpenError::Tampered, "an older generation");
    assert_eq!(changed(&|f| drop(f["slots"].as_array_mut().unwrap().pop())), OpenError::Tampered, "a slot removed");
    assert_eq!(changed(&|f| f["slots"].as_array_mut().unwrap().reverse()), OpenError::Tampered, "slots reordered");
    assert_eq!(changed(&|f| f["slots"][1]["kind"] = "master_password".into()), OpenError::Tampered, "kind changed");
    assert_eq!(changed(&|f| f["slots"][1]["created_at"] = "2020-01-01T00:00:00Z".into()), OpenError::Tampered);
    assert_eq!(changed(&|f| f["mac"] = zeros.clone().into()), OpenError::Tampered, "mac changed");
    assert_eq!(changed(&|f| f["slots"][0]["salt"] = zeros.clone().into()), OpenError::WrongSecret, "salt changed");
    assert_eq!(changed(&|f| f["slots"][0]["scrypt"]["log_n"] = 18.into()), OpenError::WrongSecret, "cost changed");
    assert_eq!(changed(&|f| f["vault_id"] = Uuid::nil().to_string().into()), OpenError::WrongSecret, "vault changed");
    assert_eq!(
        changed(&|f| f["payload"] = serde_json::to_value(&other_payload).unwrap()),
        OpenError::Tampered,
        "payload exchanged"
    );
}

#[test]
fn what_is_not_a_key_file_is_refused_by_name() {
    let genuine = String::from_utf8(new_keys().file().to_bytes()).unwrap();
    let parse = |text: &str| VaultKeys::parse(text.as_bytes()).err();
    assert_eq!(parse(""), Some(ParseError::Shape));
    assert_eq!(parse(&genuine[..genuine.len() / 2]), Some(ParseError::Shape), "cut short");
    assert_eq!(parse("{\"format\":\"other\",\"version\":1}"), Some(ParseError::Shape));
    assert_eq!(parse(&genuine.replace("\"version\":1", "\"version\":2")), Some(ParseError::Version(2)));
    assert_eq!(parse(&genuine.replace("\"mac\"", "\"more\":1,\"mac\"")), Some(ParseError::Shape), "unknown field");
    assert_eq!(parse(&genuine.replace("\"log_n\":17", "\"log_n\":14")), Some(ParseError::Cost), "too cheap");
    assert_eq!(parse(&genuine.replace("\"log_n\":17", "\"log_n\":31")), Some(ParseError::Cost), "too dear");
    assert_eq!(parse(&genuine.replace("\"p\":1", "\"p\":4096")), Some(ParseError::Cost));
}

#[test]
fn the_root_key_is_exchanged_in_two_steps_and_nothing_else_is() {
    let (mut keys, rng) = (new_keys(), &mut rng());
    let (before, passphrase) = (keys.payload().envelope_root_key, keys.payload().gocryptfs_passphrase.clone());
    let reopened = |keys: &OpenKeys| reread(keys).open(&SlotSecret::MasterPassword(PASSWORD)).unwrap();
    keys.rotate_root_key(rng);
    let between = reopened(&keys);
    assert_ne!(between.payload().envelope_root_key, before);
    assert_eq!(between.payload().previous_envelope_root_key, Some(before));
    keys.forget_previous_root_key(rng);
    let after = reopened(&keys);
    assert_eq!(after.payload().envelope_root_key, between.payload().envelope_root_key);
    assert_eq!(after.payload().previous_envelope_root_key, None);
    assert_eq!(after.payload().gocryptfs_passphrase, passphrase);
    assert_eq!(after.generation(), between.generation() + 1);
}
