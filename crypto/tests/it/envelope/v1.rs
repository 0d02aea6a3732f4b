//! Files of Storm Cloud.

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use coffer_crypto::envelope::{Error, v1};
use proptest::prelude::*;

use super::support::{File, misleading_contents, open_v1, pattern, rng, sealed_v1, secret, v1_key};

/// What the reader takes at once.
const WINDOW: usize = 256 * 1024;

/// The high-level interface, which wants all of it at once.
fn foreign(content: &[u8]) -> Vec<u8> {
    let nonce = *b"twelve bytes";
    let ciphertext = Aes256Gcm::new(&[7; 32].into()).encrypt(&Nonce::from(nonce), content).unwrap();
    [&[1], nonce.as_slice(), &ciphertext].concat()
}

#[test]
fn whatever_a_content_looks_like_it_comes_back() {
    for content in misleading_contents() {
        let file = sealed_v1(&content);
        assert_eq!(file.len() as u64, v1::OVERHEAD_BYTES + content.len() as u64);
        assert_eq!(open_v1(&v1_key(), &file).unwrap(), content);
        assert_eq!(open_v1(&v1_key(), &foreign(&content)).unwrap(), content);
    }
}

#[test]
fn a_content_of_any_length_comes_back() {
    for edge in [16, 16 * 1024, WINDOW, 2 * WINDOW] {
        for length in [edge - 1, edge, edge + 1, edge + 16] {
            let content = pattern(length);
            assert!(open_v1(&v1_key(), &sealed_v1(&content)).unwrap() == content, "{length}");
            assert!(open_v1(&v1_key(), &foreign(&content)).unwrap() == content, "{length}");
        }
    }
}

#[test]
fn every_bit_counts() {
    let file = sealed_v1(b"content of more than a block");
    for bit in 0..8 * file.len() {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let error = open_v1(&v1_key(), &damaged).unwrap_err();
        let expected = if bit < 8 { matches!(error, Error::NotSealed) } else { matches!(error, Error::NotAuthentic) };
        assert!(expected, "bit {bit}: {error:?}");
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    let file = sealed_v1(&pattern(100));
    for length in 0..file.len() {
        let error = open_v1(&v1_key(), &file[..length]).unwrap_err();
        let expected = match length {
            0 => matches!(error, Error::NotSealed),
            1..29 => matches!(error, Error::Truncated),
            _ => matches!(error, Error::NotAuthentic),
        };
        assert!(expected, "{length}: {error:?}");
    }
    assert!(matches!(open_v1(&v1_key(), &[&file[..], &[0]].concat()), Err(Error::NotAuthentic)));
    let endless = v1::Reader::open(&v1_key(), 1 << 40, &mut |_, out| {
        out.fill(1);
        Ok(())
    });
    assert!(matches!(endless, Err(Error::TooLong)));
}

#[test]
fn another_key_does_not_open() {
    assert!(matches!(open_v1(&v1::Key::new(secret(8), 0), &sealed_v1(b"content")), Err(Error::NotAuthentic)));
}

#[test]
fn a_file_that_changes_between_the_passes_has_no_end() {
    let content = pattern(WINDOW + 100);
    for changed_at in [13, 13 + WINDOW + 99] {
        let mut file = File::new(&sealed_v1(&content));
        let length = file.length();
        let reader = v1::Reader::open(&v1_key(), length, &mut |offset, out| file.read(offset, out)).unwrap();
        let mut stream = reader.into_stream();
        file.bytes[changed_at] ^= 1;
        let first = stream.next(&mut |offset, out| file.read(offset, out)).unwrap().map(<[u8]>::len);
        assert_eq!(first, Some(WINDOW), "what came before the last piece is gone already");
        for _ in 0..2 {
            let next = stream.next(&mut |offset, out| file.read(offset, out));
            assert!(matches!(next, Err(Error::Damaged)));
        }
    }
}

#[test]
fn a_stream_that_failed_does_not_end_well() {
    let mut file = File::new(&sealed_v1(&pattern(WINDOW + 100)));
    let length = file.length();
    let reader = v1::Reader::open(&v1_key(), length, &mut |offset, out| file.read(offset, out)).unwrap();
    let mut stream = reader.into_stream();
    let broken = stream.next(&mut |_, _| Err(std::io::ErrorKind::PermissionDenied.into()));
    assert!(matches!(broken, Err(Error::Io(_))));
    assert!(stream.next(&mut |offset, out| file.read(offset, out)).is_err());
}

#[test]
fn a_stream_that_ended_stays_ended() {
    let mut file = File::new(&sealed_v1(b"short"));
    let length = file.length();
    let reader = v1::Reader::open(&v1_key(), length, &mut |offset, out| file.read(offset, out)).unwrap();
    let mut stream = reader.into_stream();
    assert_eq!(stream.next(&mut |offset, out| file.read(offset, out)).unwrap(), Some(&b"short"[..]));
    for _ in 0..2 {
        assert_eq!(stream.next(&mut |offset, out| file.read(offset, out)).unwrap(), None);
    }
}

#[test]
fn both_passes_take_a_window_at_a_time() {
    let mut file = File::new(&sealed_v1(&pattern(5 * WINDOW)));
    let length = file.length();
    let reader = v1::Reader::open(&v1_key(), length, &mut |offset, out| file.read(offset, out)).unwrap();
    let mut stream = reader.into_stream();
    while stream.next(&mut |offset, out| file.read(offset, out)).unwrap().is_some() {}
    assert_eq!(file.reads.iter().max(), Some(&WINDOW));
}

#[test]
fn a_key_is_used_up_after_two_to_the_31_files() {
    let mut key = v1::Key::new(secret(7), (1 << 31) - 1);
    let mut out = Vec::new();
    assert!(v1::Sealer::new(&mut key, &mut rng(1), &mut out).is_ok());
    assert_eq!(key.writes(), 1 << 31);
    out.clear();
    for _ in 0..2 {
        assert!(matches!(v1::Sealer::new(&mut key, &mut rng(1), &mut out), Err(Error::KeyUsedUp)));
    }
    assert_eq!((key.writes(), out.len()), (1 << 31, 0));
    assert!(open_v1(&key, &sealed_v1(b"still opens")).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn portions_do_not_matter(length in 0..70_000_usize, portions in proptest::collection::vec(1..20_000_usize, 1..8)) {
        let content = pattern(length);
        let (mut file, mut rest) = (Vec::new(), content.as_slice());
        let mut sealer = v1::Sealer::new(&mut v1_key(), &mut rng(1), &mut file).unwrap();
        for portion in portions {
            let (now, later) = rest.split_at(portion.min(rest.len()));
            sealer.seal(now, &mut file).unwrap();
            rest = later;
        }
        sealer.seal(rest, &mut file).unwrap();
        sealer.finish(&mut file).unwrap();
        prop_assert!(file == sealed_v1(&content));
        let nonce: [u8; 12] = file[1..13].try_into().unwrap();
        let opened = Aes256Gcm::new(&[7; 32].into()).decrypt(&Nonce::from(nonce), &file[13..]).unwrap();
        prop_assert!(opened == content, "the high-level interface reads it");
    }

    #[test]
    fn any_ranges_are_right(length in 0..70_000_usize, one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let content = pattern(length);
        let mut file = File::new(&foreign(&content));
        let file_bytes = file.length();
        let reader = v1::Reader::open(&v1_key(), file_bytes, &mut |offset, out| file.read(offset, out)).unwrap();
        let (one, other) = (one.index(length + 1), other.index(length + 1));
        let range = one.min(other)..one.max(other);
        let mut out = vec![0; range.len()];
        reader.read_at(range.start as u64, &mut out, &mut |offset, out| file.read(offset, out)).unwrap();
        prop_assert!(out == content[range]);
        let behind = reader.read_at(length as u64, &mut [0], &mut |offset, out| file.read(offset, out));
        prop_assert!(matches!(behind, Err(Error::PastEnd)));
    }
}
