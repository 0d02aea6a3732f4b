//! `vectors/secrets.json`, written by `make_secrets.py`, an implementation of its own: the same randomness makes the same
//! bytes, so each side reads what the other wrote.

use std::collections::BTreeMap;

use coffer_crypto::secrets::code::{RecoveryKeyCode, SecretKeyCode};
use coffer_crypto::secrets::drop_box::{self, DropBox, Purpose};
use coffer_crypto::secrets::grant::{self, Role, Terms};
use coffer_crypto::secrets::identity::{Identity, PublicIdentity};
use coffer_crypto::secrets::item::Version;
use coffer_crypto::secrets::keys::{AccountKey, ItemKey, VaultKey};
use coffer_crypto::secrets::link::LinkSecret;
use coffer_crypto::secrets::manifest::{Change, Entry, Manifest, Witness};
use coffer_crypto::secrets::password::{Parameters, Password, derive};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::Script;

const VECTORS: &str = include_str!("../../../vectors/secrets.json");

#[derive(Deserialize)]
struct Vectors {
    account: Uuid,
    other_account: Uuid,
    vault: Uuid,
    item: Uuid,
    second_item: Uuid,
    attachment_id: Uuid,
    link_id: Uuid,
    password: String,
    secret_key: String,
    recovery_key: String,
    parameters: String,
    unknown_parameters: String,
    authentication_key: String,
    wrap_salt: String,
    account_key: String,
    account_by_password: String,
    account_by_recovery: String,
    vault_key: String,
    next_vault_key: String,
    wrapped_vault_key: String,
    item_key: String,
    wrapped_item_key: String,
    items: Vec<Item>,
    attachment: String,
    alice: Person,
    bob: Person,
    ephemeral: String,
    grant: String,
    drop_box: String,
    drop: String,
    link_secret: String,
    link_access: String,
    link_access_hash: String,
    link: String,
    contents: Vec<String>,
    links: Vec<String>,
}

#[derive(Deserialize)]
struct Item {
    length: usize,
    sealed_bytes: usize,
    sha256: String,
    sealed: Option<String>,
}

#[derive(Deserialize)]
struct Person {
    secrets: String,
    sealed: Option<String>,
    public: String,
    fingerprint: String,
    words: Vec<String>,
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

/// A generator that gives what the vectors say was drawn.
fn drawn(hex: &str) -> Script {
    Script::new(&[bytes(hex)])
}

impl Vectors {
    fn account_key(&self) -> AccountKey {
        AccountKey::generate(self.account, &mut drawn(&self.account_key))
    }

    fn vault_key(&self) -> VaultKey {
        VaultKey::generate(self.vault, &mut drawn(&self.vault_key))
    }

    fn item_key(&self) -> ItemKey {
        ItemKey::generate(self.vault, self.item, &mut drawn(&self.item_key))
    }

    fn salt(&self) -> Script {
        drawn(&self.wrap_salt)
    }

    fn alice(&self) -> Identity {
        Identity::generate(self.account, &mut drawn(&self.alice.secrets)).unwrap()
    }

    fn bob(&self) -> Identity {
        Identity::generate(self.other_account, &mut drawn(&self.bob.secrets)).unwrap()
    }
}

#[test]
fn the_password_and_the_codes_lead_to_the_same_keys() {
    let vectors = vectors();
    let parameters = Parameters::parse(&bytes(&vectors.parameters)).unwrap();
    assert_eq!(parameters.to_bytes().as_slice(), bytes(&vectors.parameters));
    let server_secret: Vec<u8> = (0..32).collect();
    let unknown = Parameters::of_unknown(&server_secret.try_into().unwrap(), b"nobody");
    assert_eq!(unknown.to_bytes().as_slice(), bytes(&vectors.unknown_parameters));
    let password = Password::new(&vectors.password).unwrap();
    let secret_key = SecretKeyCode::parse(&vectors.secret_key).unwrap();
    assert_eq!(*secret_key.to_text(), vectors.secret_key);
    let (authentication, unlock) = derive(&password, &secret_key, vectors.account, &parameters).unwrap();
    assert_eq!(authentication.bytes().as_slice(), bytes(&vectors.authentication_key));

    let by_password = vectors.account_key().wrap(&unlock, &mut vectors.salt()).unwrap();
    assert_eq!(by_password.as_slice(), bytes(&vectors.account_by_password));
    let recovery = RecoveryKeyCode::parse(&vectors.recovery_key).unwrap();
    let by_recovery = vectors.account_key().wrap_for_recovery(&recovery, &mut vectors.salt()).unwrap();
    assert_eq!(by_recovery.as_slice(), bytes(&vectors.account_by_recovery));
    for account_key in [
        AccountKey::unwrap(vectors.account, &unlock, &by_password).unwrap(),
        AccountKey::recover(vectors.account, &recovery, &by_recovery).unwrap(),
    ] {
        let wrapped = vectors.vault_key().wrap(&account_key, &mut vectors.salt()).unwrap();
        assert_eq!(wrapped.as_slice(), bytes(&vectors.wrapped_vault_key));
    }
}

#[test]
fn keys_items_and_attachments_are_sealed_to_the_same_bytes() {
    let vectors = vectors();
    let vault_key =
        VaultKey::unwrap(&vectors.account_key(), vectors.vault, 1, &bytes(&vectors.wrapped_vault_key)).unwrap();
    let wrapped = vectors.item_key().wrap(&vault_key, &mut vectors.salt()).unwrap();
    assert_eq!(wrapped.as_slice(), bytes(&vectors.wrapped_item_key));
    let item_key = ItemKey::unwrap(&vault_key, vectors.item, &wrapped).unwrap();
    let version = Version { revision: 3, generation: 2 };
    for item in &vectors.items {
        let content: Vec<u8> = (0..item.length).map(|i| u8::try_from(7 * i % 256).unwrap()).collect();
        let sealed = item_key.seal(version, &content, &mut vectors.salt()).unwrap();
        assert_eq!(sealed.len(), item.sealed_bytes);
        assert_eq!(HEXLOWER.encode(&Sha256::digest(&sealed)), item.sha256, "{} bytes", item.length);
        if let Some(expected) = &item.sealed {
            assert_eq!(&HEXLOWER.encode(&sealed), expected);
        }
        assert!(*item_key.open(version, &sealed).unwrap() == content);
    }
    let mut attachment = Vec::new();
    let mut sealer = item_key.seal_attachment(vectors.attachment_id, &mut vectors.salt(), &mut attachment);
    sealer.seal(b"attached", &mut attachment).unwrap();
    sealer.finish(&mut attachment).unwrap();
    assert_eq!(attachment, bytes(&vectors.attachment));
}

#[test]
fn identities_have_the_same_keys_signatures_and_words() {
    let vectors = vectors();
    for (identity, expected) in [(vectors.alice(), &vectors.alice), (vectors.bob(), &vectors.bob)] {
        let public = identity.public();
        assert_eq!(public.to_bytes().as_slice(), bytes(&expected.public));
        assert_eq!(PublicIdentity::parse(public.account(), &bytes(&expected.public)).as_ref(), Ok(public));
        assert_eq!(public.fingerprint().0.as_slice(), bytes(&expected.fingerprint));
        assert_eq!(public.fingerprint().words().as_slice(), expected.words);
    }
    let sealed = vectors.alice().seal(&vectors.account_key(), &mut vectors.salt()).unwrap();
    assert_eq!(sealed, bytes(vectors.alice.sealed.as_ref().unwrap()));
    assert_eq!(Identity::open(&vectors.account_key(), &sealed).unwrap().public(), vectors.alice().public());
}

#[test]
fn grants_drops_and_links_are_the_same() {
    let vectors = vectors();
    let (vault_key, alice, bob) = (vectors.vault_key(), vectors.alice(), vectors.bob());
    let terms = Terms { role: Role::Editor, made_at_s: 1_790_000_000 };
    let sealed = grant::seal(&vault_key, terms, &alice, bob.public(), &mut drawn(&vectors.ephemeral)).unwrap();
    assert_eq!(sealed, bytes(&vectors.grant));
    let (opened, found) = grant::open(&sealed, alice.public(), &bob).unwrap();
    assert_eq!(found, terms);
    let wrapped = opened.wrap(&vectors.account_key(), &mut vectors.salt()).unwrap();
    assert_eq!(wrapped.as_slice(), bytes(&vectors.wrapped_vault_key));

    let drop_box = DropBox::of(&vault_key).unwrap();
    assert_eq!(drop_box.public.as_slice(), bytes(&vectors.drop_box));
    let purpose = Purpose { item: vectors.item, base_revision: 3 };
    let dropped = drop_box.seal(purpose, b"new password", &mut drawn(&vectors.ephemeral)).unwrap();
    assert_eq!(dropped, bytes(&vectors.drop));
    assert_eq!(drop_box::open(&vault_key, purpose, &dropped).unwrap().as_slice(), b"new password");

    let link = LinkSecret::generate(vectors.link_id, &mut drawn(&vectors.link_secret));
    assert_eq!(BASE64URL_NOPAD.decode(link.access_text().as_bytes()).unwrap(), bytes(&vectors.link_access));
    assert_eq!(link.access_hash().as_slice(), bytes(&vectors.link_access_hash));
    let sealed = link.seal(b"for you alone", &mut vectors.salt()).unwrap();
    assert_eq!(sealed, bytes(&vectors.link));
    let read = LinkSecret::parse(vectors.link_id, &link.to_text()).unwrap();
    assert_eq!(read.open(&sealed).unwrap().as_slice(), b"for you alone");
}

#[test]
fn a_history_is_the_same() {
    let vectors = vectors();
    let first = vectors.vault_key();
    let second = first.next(&mut drawn(&vectors.next_vault_key)).unwrap();
    let keys = [first, second];
    let alice = vectors.alice();
    let witness = Witness { writers: &[alice.public().clone()], keys: &keys };
    let content = |index: usize| Some(bytes(&vectors.contents[index]).try_into().unwrap());
    let changes = [
        Change::Item(vectors.item, Entry { revision: 1, content: content(0) }),
        Change::Item(vectors.second_item, Entry { revision: 1, content: content(1) }),
        Change::Item(vectors.item, Entry { revision: 2, content: content(2) }),
        Change::NewKey,
        Change::Item(vectors.second_item, Entry { revision: 2, content: None }),
    ];
    let links: Vec<Vec<u8>> = vectors.links.iter().map(|hex| bytes(hex)).collect();
    let mut manifest = Manifest::empty(vectors.vault);
    for (index, (change, link)) in changes.into_iter().zip(&links).enumerate() {
        let key = &keys[usize::from(index >= 3)];
        assert_eq!(&manifest.write(change, key, &alice).unwrap(), link);
        let seen = index.saturating_sub(1);
        manifest = manifest.follow(&links[seen..=index], witness).unwrap();
    }
    assert_eq!((manifest.sequence(), manifest.generation()), (5, 2));
    let entries = BTreeMap::from([
        (vectors.item, Entry { revision: 2, content: content(2) }),
        (vectors.second_item, Entry { revision: 2, content: None }),
    ]);
    assert_eq!(manifest.entries(), &entries);
    assert_eq!(Manifest::adopt(vectors.vault, &links[4], entries, witness), Ok(manifest));
}
