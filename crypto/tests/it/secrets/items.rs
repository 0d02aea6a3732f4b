//! Sealed items: they come back, in one place and revision alone, and show only a class of size.

use std::collections::BTreeSet;

use coffer_crypto::secrets::Error;
use coffer_crypto::secrets::item::{MAX_ITEM_BYTES, MAX_SEALED_ITEM_BYTES, Version, padded_bytes};
use coffer_crypto::secrets::keys::ItemKey;
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{ITEM, OTHER_ITEM, OTHER_VAULT, VAULT, item_key, rng};

const VERSION: Version = Version { revision: 1, generation: 1 };

#[test]
fn an_item_opens_in_its_place_alone() {
    let sealed = item_key().seal(VERSION, b"hunter2", &mut rng(1)).unwrap();
    assert_eq!(item_key().open(VERSION, &sealed).unwrap().as_slice(), b"hunter2");
    let refused = Err(Error::NotAuthentic("an item"));
    for version in [Version { revision: 2, ..VERSION }, Version { generation: 2, ..VERSION }] {
        assert_eq!(item_key().open(version, &sealed).map(|_| ()), refused);
    }
    // The same key, said to be that of another item or vault.
    for (vault, item) in [(OTHER_VAULT, ITEM), (VAULT, OTHER_ITEM)] {
        let elsewhere = ItemKey::generate(vault, item, &mut rng(400));
        assert_eq!(elsewhere.open(VERSION, &sealed).map(|_| ()), refused);
    }
}

#[test]
fn an_item_has_one_of_few_sizes() {
    let cases = [(0, 256), (252, 256), (253, 512), (4092, 4096), (4093, 4352), (16_380, 16_384), (16_381, 17_408)];
    for (content, padded) in cases {
        assert_eq!(padded_bytes(content), padded, "{content} bytes");
    }
    let sizes: BTreeSet<usize> = (0..=MAX_ITEM_BYTES).map(padded_bytes).collect();
    assert!(sizes.len() < 256, "{} sizes", sizes.len());
    assert!((4096..=MAX_ITEM_BYTES).all(|bytes| padded_bytes(bytes) <= (bytes + 4) * 9 / 8));
}

#[test]
fn the_longest_item_is_taken_and_a_longer_one_is_refused_on_both_sides() {
    let longest = vec![7; MAX_ITEM_BYTES];
    let sealed = item_key().seal(VERSION, &longest, &mut rng(1)).unwrap();
    assert_eq!(sealed.len(), MAX_SEALED_ITEM_BYTES);
    assert!(*item_key().open(VERSION, &sealed).unwrap() == longest);
    let refused = Some(Error::Length("an item"));
    assert_eq!(item_key().seal(VERSION, &vec![7; MAX_ITEM_BYTES + 1], &mut rng(1)).err(), refused);
    assert_eq!(item_key().open(VERSION, &vec![7; MAX_SEALED_ITEM_BYTES + 1]).err(), refused);
}

#[test]
fn an_attachment_opens_in_its_place_alone() {
    let attachment = Uuid::from_u128(0x30);
    let content = vec![5; 50_000];
    let mut sealed = Vec::new();
    let mut writer = item_key().seal_attachment(attachment, &mut rng(1), &mut sealed);
    writer.seal(&content, &mut sealed).unwrap();
    writer.finish(&mut sealed).unwrap();
    let mut source = |offset: u64, out: &mut [u8]| {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&sealed[start..start + out.len()]);
        Ok(())
    };
    let place = 0..sealed.len() as u64;
    let mut reader = item_key().open_attachment(attachment, place.clone(), &mut source).unwrap();
    let mut read = vec![0; content.len()];
    reader.read_at(0, &mut read, &mut source).unwrap();
    assert!(read == content);
    assert!(item_key().open_attachment(Uuid::from_u128(0x31), place.clone(), &mut source).is_err());
    let elsewhere = ItemKey::generate(VAULT, OTHER_ITEM, &mut rng(400));
    assert!(elsewhere.open_attachment(attachment, place, &mut source).is_err());
}

proptest! {
    #[test]
    fn every_item_comes_back_and_no_changed_one(content: Vec<u8>, revision: u64, generation: u32, seed: u64, at: usize) {
        let version = Version { revision, generation };
        let mut sealed = item_key().seal(version, &content, &mut rng(seed)).unwrap();
        prop_assert_eq!(&*item_key().open(version, &sealed).unwrap(), &content);
        let at = at % sealed.len();
        sealed[at] ^= 1;
        prop_assert!(item_key().open(version, &sealed).is_err());
        sealed[at] ^= 1;
        prop_assert!(item_key().open(version, &sealed[..at]).is_err());
    }
}
