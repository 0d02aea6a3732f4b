//! What comes back from a sealed file, and every way to tamper with one.

use std::io;

use coffer_crypto::envelope::Error;
use coffer_crypto::envelope::chunked::CHUNK_BYTES;
use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, KeyId};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use uuid::Uuid;

use super::support::{
    BLOB, File, SEALED_CHUNK, kek, key, lengths_at_edges, misleading_contents, open, opened, pattern, rng, seal,
    sealed, secret,
};

const BOTH_SIZES: [HeaderSize; 2] = [HeaderSize::Compact, HeaderSize::Block];

/// Where the first chunk of a file with a compact header begins.
const CHUNKS_AT: usize = 192 + 56;

fn header_of(file: &[u8]) -> Header {
    let mut file = File::new(file);
    Header::read(file.length(), &mut |offset, out| file.read(offset, out)).unwrap()
}

/// The place of a chunk in a file with a compact header.
fn chunk(number: usize) -> std::ops::Range<usize> {
    CHUNKS_AT + number * SEALED_CHUNK..CHUNKS_AT + (number + 1) * SEALED_CHUNK
}

#[test]
fn whatever_a_content_looks_like_it_comes_back() {
    for content in misleading_contents() {
        for size in BOTH_SIZES {
            let file = seal(&kek(), BLOB, size, &content, 1);
            assert_eq!(file.len() as u64, v2::sealed_bytes(size, content.len() as u64));
            assert_eq!(opened(&file).unwrap(), content);
        }
    }
}

#[test]
fn a_content_of_any_length_comes_back() {
    for length in lengths_at_edges() {
        let content = pattern(length);
        let file = sealed(&content);
        assert_eq!(file.len() as u64, v2::sealed_bytes(HeaderSize::Compact, length as u64));
        assert!(opened(&file).unwrap() == content, "{length}");
    }
}

#[test]
fn portions_do_not_matter() {
    let content = pattern(3 * CHUNK_BYTES + 5);
    let whole = sealed(&content);
    for portion in [1, 7, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
        let mut file = Vec::new();
        let mut sealer = v2::seal(&kek(), BLOB, HeaderSize::Compact, &mut rng(1), &mut file).unwrap();
        for portion in content.chunks(portion) {
            sealer.seal(portion, &mut file).unwrap();
        }
        sealer.seal(b"", &mut file).unwrap();
        sealer.finish(&mut file).unwrap();
        assert!(file == whole, "{portion}");
    }
}

#[test]
fn the_same_content_is_never_sealed_the_same_way() {
    let (first, second) = (sealed(b"same"), seal(&kek(), BLOB, HeaderSize::Compact, b"same", 2));
    let equal = first.iter().zip(&second).skip(64).filter(|(a, b)| a == b).count();
    // The reserved bytes, and what chance makes equal.
    assert!((24..32).contains(&equal), "{equal}");
}

#[test]
fn every_bit_of_a_compact_header_counts() {
    let file = sealed(b"content");
    for bit in 0..8 * 192 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(opened(&damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn every_byte_of_a_block_header_counts() {
    let file = seal(&kek(), BLOB, HeaderSize::Block, b"content", 1);
    for offset in 0..4096 {
        let mut damaged = file.clone();
        damaged[offset] ^= 0x40;
        assert!(opened(&damaged).is_err(), "byte {offset}");
    }
}

#[test]
fn every_byte_of_a_short_body_counts() {
    let file = sealed(b"content");
    for offset in 192..file.len() {
        let mut damaged = file.clone();
        damaged[offset] ^= 0x01;
        assert!(matches!(opened(&damaged), Err(Error::Damaged | Error::Truncated)), "byte {offset}");
    }
}

/// What a damaged header is called.
#[test]
fn a_damaged_header_says_what_it_can() {
    type Expected = fn(&Error) -> bool;
    let cases: [(usize, u8, Expected); 12] = [
        (0, 1, |error| matches!(error, Error::NotSealed)),
        (1, b'X', |error| matches!(error, Error::NotSealed)),
        (8, 1, |error| matches!(error, Error::DamagedHeader)),
        (10, 2, |error| matches!(error, Error::Unsupported)),
        (11, 1, |error| matches!(error, Error::Unsupported)),
        (12, 2, |error| matches!(error, Error::Unsupported)),
        (13, 1, |error| matches!(error, Error::DamagedHeader)),
        (16, 0, |error| matches!(error, Error::DamagedHeader)),
        (35, 9, |error| matches!(error, Error::WrongKey)),
        (40, 0, |error| matches!(error, Error::WrongKey)),
        (48, 9, |error| matches!(error, Error::DamagedHeader)),
        (100, 9, |error| matches!(error, Error::DamagedHeader)),
    ];
    let file = sealed(b"content");
    for (offset, byte, expected) in cases {
        let mut damaged = file.clone();
        damaged[offset] = byte;
        let error = opened(&damaged).unwrap_err();
        assert!(expected(&error), "byte {offset}: {error:?}");
    }
}

/// A header that was copied from another file, or whose lengths were exchanged, is not the header of this one.
#[test]
fn a_header_of_another_size_is_refused() {
    let mut file = seal(&kek(), BLOB, HeaderSize::Block, b"content", 1);
    file[8..10].copy_from_slice(&192_u16.to_be_bytes());
    assert!(matches!(opened(&file), Err(Error::DamagedHeader)));
    let mut file = sealed(&pattern(5000));
    file[8..10].copy_from_slice(&4096_u16.to_be_bytes());
    assert!(matches!(opened(&file), Err(Error::DamagedHeader)));
}

#[test]
fn a_file_that_was_cut_is_refused() {
    let file = sealed(&pattern(3 * CHUNK_BYTES + 100));
    let boundaries = (0..4).map(|number| CHUNKS_AT + number * SEALED_CHUNK);
    let at_boundaries = boundaries.flat_map(|end| [end - 1, end, end + 1, end + 15, end + 16, end + 17]);
    for length in at_boundaries.chain(0..CHUNKS_AT).chain([file.len() - 1]) {
        let error = opened(&file[..length]).unwrap_err();
        let expected = if length < 8 { matches!(error, Error::NotSealed) } else { matches!(error, Error::Truncated) };
        assert!(expected, "{length}: {error:?}");
    }
    let block = seal(&kek(), BLOB, HeaderSize::Block, b"", 1);
    for length in [192, 4095, 4096, block.len() - 1] {
        assert!(matches!(opened(&block[..length]), Err(Error::Truncated)), "{length}");
    }
}

#[test]
fn a_file_that_was_lengthened_is_refused() {
    let file = sealed(&pattern(CHUNK_BYTES + 100));
    let last = &file[chunk(1).start..];
    for more in [&b"\0"[..], &[0; 16], &vec![0; SEALED_CHUNK], last, &file[chunk(0)]] {
        assert!(opened(&[&file, more].concat()).is_err(), "{} more", more.len());
    }
}

#[test]
fn chunks_that_are_swapped_doubled_or_gone_are_refused() {
    let content = pattern(4 * CHUNK_BYTES + 100);
    let file = sealed(&content);
    let (head, last) = (&file[..CHUNKS_AT], &file[chunk(4).start..]);
    let [a, b, c, d] = [0, 1, 2, 3].map(|number| &file[chunk(number)]);
    assert!(opened(&[head, a, b, c, d, last].concat()).is_ok());
    let tampered: [&[&[u8]]; 10] = [
        &[head, b, a, c, d, last],
        &[head, a, b, d, c, last],
        &[head, a, a, c, d, last],
        &[head, a, b, c, c, last],
        &[head, a, b, c, d, d, last],
        &[head, a, b, c, d, last, last],
        &[head, b, c, d, last],
        &[head, a, b, c, last],
        &[head, a, b, c, d],
        &[head, last],
    ];
    for (case, parts) in tampered.into_iter().enumerate() {
        assert!(opened(&parts.concat()).is_err(), "case {case}");
    }
}

#[test]
fn not_a_byte_of_a_damaged_chunk_is_given_out() {
    let content = pattern(4 * CHUNK_BYTES + 100);
    let file = sealed(&content);
    for (tampered, whole_chunks) in [
        ([&file[..chunk(1).start], &file[chunk(2)], &file[chunk(1)], &file[chunk(3).start..]].concat(), 1),
        ([&file[..chunk(2).start], &file[chunk(1)], &file[chunk(3).start..]].concat(), 2),
        ([&file[..chunk(3).end - 1], &[file[chunk(3).end - 1] ^ 1], &file[chunk(3).end..]].concat(), 3),
    ] {
        let mut tampered = File::new(&tampered);
        let length = tampered.length();
        let header = header_of(&file);
        let mut reader = header.open(&kek(), BLOB, length, &mut |at, out| tampered.read(at, out)).unwrap();
        // The last byte is asked for as well, and once so that a chunk is not wanted whole.
        for start in [0, 1] {
            let mut out = vec![0xee; content.len() - start];
            let read = reader.read_at(start as u64, &mut out, &mut |at, out| tampered.read(at, out));
            assert!(matches!(read, Err(Error::Damaged)));
            let authentic = whole_chunks * CHUNK_BYTES - start;
            assert!(out[..authentic] == content[start..start + authentic]);
            assert!(out[authentic..].iter().all(|byte| *byte == 0xee));
        }
        // What is whole can still be had; a part of the damaged chunk cannot.
        let mut out = vec![0; CHUNK_BYTES];
        reader.read_at(0, &mut out, &mut |at, out| tampered.read(at, out)).unwrap();
        assert!(out == content[..CHUNK_BYTES]);
        let damaged_at = (whole_chunks * CHUNK_BYTES + 7) as u64;
        assert!(matches!(
            reader.read_at(damaged_at, &mut out[..1], &mut |at, out| tampered.read(at, out)),
            Err(Error::Damaged)
        ));
    }
}

#[test]
fn two_files_that_changed_places_are_refused() {
    let other_blob = Uuid::from_u128(2);
    let (mine, theirs) = (sealed(&pattern(100)), seal(&kek(), other_blob, HeaderSize::Compact, &pattern(100), 2));
    assert!(open(&kek(), other_blob, &theirs).is_ok());
    assert!(matches!(opened(&theirs), Err(Error::OtherBlob)));
    assert!(matches!(open(&kek(), other_blob, &mine), Err(Error::OtherBlob)));
    // The header of one, the body of the other; and one that says to be the other.
    assert!(matches!(opened(&[&mine[..192], &theirs[192..]].concat()), Err(Error::Damaged)));
    let mut forged = theirs.clone();
    forged[48..64].copy_from_slice(BLOB.as_bytes());
    assert!(matches!(opened(&forged), Err(Error::DamagedHeader)));
    // Chunks of a file that holds the same, sealed anew for the same blob.
    let content = pattern(2 * CHUNK_BYTES);
    let (first, second) = (sealed(&content), seal(&kek(), BLOB, HeaderSize::Compact, &content, 2));
    let mixed = [&first[..chunk(0).end], &second[chunk(1)], &first[chunk(1).end..]].concat();
    assert!(matches!(opened(&mixed), Err(Error::Damaged)));
}

#[test]
fn only_the_very_key_opens() {
    let file = sealed(b"content");
    let client = KeyEncryptionKey::new(KeyId::parse("1").unwrap(), 1, Holder::Client, secret(7));
    for other in [key("2", 1, 7), key("1", 2, 7), key("1", 1, 8), client] {
        assert!(matches!(open(&other, BLOB, &file), Err(Error::WrongKey)));
    }
}

#[test]
fn a_file_for_a_client_says_so() {
    let client = KeyEncryptionKey::new(KeyId::parse("phone").unwrap(), 3, Holder::Client, secret(9));
    let file = seal(&client, BLOB, HeaderSize::Compact, b"content", 1);
    assert_eq!(open(&client, BLOB, &file).unwrap(), b"content");
    let header = header_of(&file);
    let says = (header.holder(), header.key_id().as_str().to_owned(), header.generation(), header.blob_id());
    assert_eq!(says, (Holder::Client, "phone".to_owned(), 3, BLOB));
    assert_eq!(header.check_value(), client.check_value());
    let mut as_the_box_s = file.clone();
    as_the_box_s[12] = 0;
    assert!(matches!(open(&key("phone", 3, 9), BLOB, &as_the_box_s), Err(Error::DamagedHeader)));
}

#[test]
fn a_new_key_changes_the_header_alone() {
    for size in BOTH_SIZES {
        let content = pattern(2 * CHUNK_BYTES + 9);
        let file = seal(&kek(), BLOB, size, &content, 1);
        let (mut rewrapped, next) = (file.clone(), key("2", 5, 8));
        let header = header_of(&file).rewrap(&kek(), &next, &mut rng(2)).unwrap();
        rewrapped[..v2::CORE_BYTES].copy_from_slice(&header.core());
        assert_eq!(header_of(&rewrapped), header);
        assert!(open(&next, BLOB, &rewrapped).unwrap() == content);
        assert!(matches!(opened(&rewrapped), Err(Error::WrongKey)));
        let changed: Vec<usize> = (0..file.len()).filter(|offset| file[*offset] != rewrapped[*offset]).collect();
        assert!(changed.iter().all(|offset| (16..168).contains(offset)), "{changed:?}");
        // And back again, with the same key and another salt.
        let back = header.rewrap(&next, &kek(), &mut rng(3)).unwrap();
        rewrapped[..v2::CORE_BYTES].copy_from_slice(&back.core());
        assert!(opened(&rewrapped).unwrap() == content);
        assert!(rewrapped != file);
    }
}

#[test]
fn what_does_not_open_is_not_wrapped_anew() {
    let mut file = sealed(b"content");
    assert!(matches!(header_of(&file).rewrap(&key("2", 1, 8), &kek(), &mut rng(2)), Err(Error::WrongKey)));
    file[70] ^= 1;
    assert!(matches!(header_of(&file).rewrap(&kek(), &key("2", 1, 8), &mut rng(2)), Err(Error::DamagedHeader)));
}

#[test]
fn a_small_content_gets_a_small_header() {
    let sizes = [0, 1, HeaderSize::BLOCK_FROM_BYTES - 1, HeaderSize::BLOCK_FROM_BYTES].map(HeaderSize::for_content);
    assert_eq!(sizes, [HeaderSize::Compact, HeaderSize::Compact, HeaderSize::Compact, HeaderSize::Block]);
}

#[test]
fn an_unreadable_drive_is_not_a_damaged_file() {
    let broken = Header::read(1000, &mut |_, _| Err(io::ErrorKind::PermissionDenied.into()));
    assert!(matches!(broken, Err(Error::Io(_))));
    // It became shorter after its length was asked for.
    let mut file = File::new(&sealed(b"content")[..200]);
    let header = header_of(&file.bytes);
    let opened = header.open(&kek(), BLOB, 271, &mut |offset, out| file.read(offset, out));
    assert!(matches!(opened, Err(Error::Truncated)));
}
