//! Parts of sealed files, against a plain model.

use coffer_crypto::envelope::Error;
use coffer_crypto::envelope::chunked::{CHUNK_BYTES, Reader};
use coffer_crypto::envelope::v2::{Header, HeaderSize};
use proptest::prelude::*;

use super::support::{BLOB, File, SEALED_CHUNK, kek, pattern, seal};

fn opened(content: &[u8], size: HeaderSize) -> (File, Reader) {
    let mut file = File::new(&seal(&kek(), BLOB, size, content, 1));
    let length = file.length();
    let header = Header::read(length, &mut |offset, out| file.read(offset, out)).unwrap();
    let reader = header.open(&kek(), BLOB, length, &mut |offset, out| file.read(offset, out)).unwrap();
    assert_eq!(reader.content_bytes(), content.len() as u64);
    (file, reader)
}

#[test]
fn a_byte_costs_at_most_three_chunks() {
    let content = pattern(40 * CHUNK_BYTES + 5);
    for offset in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 20 * CHUNK_BYTES + 77, content.len() - 1] {
        let (mut file, mut reader) = opened(&content, HeaderSize::Block);
        let mut byte = [0];
        reader.read_at(offset as u64, &mut byte, &mut |offset, out| file.read(offset, out)).unwrap();
        assert_eq!(byte[0], content[offset]);
        let read: usize = file.reads.iter().sum();
        assert!(read <= 3 * SEALED_CHUNK, "{read} bytes were read for one");
        assert!(file.reads.len() <= 5, "{:?}", file.reads);
    }
}

#[test]
fn no_read_is_larger_than_the_window() {
    let content = pattern(100 * CHUNK_BYTES);
    let (mut file, mut reader) = opened(&content, HeaderSize::Block);
    let mut out = vec![0; content.len()];
    reader.read_at(0, &mut out, &mut |offset, out| file.read(offset, out)).unwrap();
    assert!(out == content);
    assert_eq!(file.reads.iter().max(), Some(&(16 * SEALED_CHUNK)));
}

#[test]
fn nothing_stands_behind_the_end() {
    for length in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1] {
        let (mut file, mut reader) = opened(&pattern(length), HeaderSize::Compact);
        let end = length as u64;
        reader.read_at(end, &mut [], &mut |offset, out| file.read(offset, out)).unwrap();
        for (offset, count) in [(end, 1), (end + 1, 0), (0, length + 1), (u64::MAX, 1), (u64::MAX, 0)] {
            let read = reader.read_at(offset, &mut vec![0; count], &mut |offset, out| file.read(offset, out));
            assert!(matches!(read, Err(Error::PastEnd)), "{count} at {offset} of {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_ranges_of_any_content_are_right(
        length in 0..20 * CHUNK_BYTES,
        ranges in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..5),
    ) {
        let content = pattern(length);
        let (mut file, mut reader) = opened(&content, HeaderSize::Compact);
        for (one, other) in ranges {
            let (one, other) = (one.index(length + 1), other.index(length + 1));
            let range = one.min(other)..one.max(other);
            let mut out = vec![0; range.len()];
            reader.read_at(range.start as u64, &mut out, &mut |offset, out| file.read(offset, out)).unwrap();
            prop_assert!(out == content[range]);
        }
    }
}
