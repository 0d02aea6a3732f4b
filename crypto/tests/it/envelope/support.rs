//! Keys, files in memory, and how they are read.

use std::io;

use coffer_crypto::envelope::chunked::CHUNK_BYTES;
use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, KeyId};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use coffer_crypto::envelope::{Error, SecretKey, v1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use uuid::Uuid;

pub(super) const BLOB: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);

/// A chunk with its tag.
pub(super) const SEALED_CHUNK: usize = CHUNK_BYTES + 16;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn secret(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).unwrap()
}

/// A key of the box; the secret tells keys of one name and generation apart.
pub(super) fn key(id: &str, generation: u32, secret_byte: u8) -> KeyEncryptionKey {
    KeyEncryptionKey::new(KeyId::parse(id).unwrap(), generation, Holder::Box, secret(secret_byte))
}

pub(super) fn kek() -> KeyEncryptionKey {
    key("1", 1, 7)
}

pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(7 * i % 256).unwrap()).collect()
}

/// What a file may begin with, and be no sealed file.
pub(super) fn misleading_contents() -> Vec<Vec<u8>> {
    let prefixes: [&[u8]; 4] = [b"", b"\x01", b"\x02", &v2::MAGIC];
    let lengths = prefixes.iter().flat_map(|prefix| (0..=64).map(move |length| (prefix, length)));
    lengths.map(|(prefix, length)| prefix.iter().copied().chain(pattern(64)).take(length).collect()).collect()
}

/// Lengths where chunks and windows begin and end.
pub(super) fn lengths_at_edges() -> Vec<usize> {
    let chunks = [1, 2, 15, 16, 17, 32];
    chunks.iter().flat_map(|count| [count * CHUNK_BYTES - 1, count * CHUNK_BYTES, count * CHUNK_BYTES + 1]).collect()
}

/// A file in memory, and how it was read.
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    /// Length of each read, in their order.
    pub(super) reads: Vec<usize>,
}

impl File {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), reads: Vec::new() }
    }

    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn read(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.reads.push(out.len());
        let offset = usize::try_from(offset).unwrap();
        let there = self.bytes.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(there);
        Ok(())
    }
}

pub(super) fn seal(key: &KeyEncryptionKey, blob: Uuid, size: HeaderSize, content: &[u8], seed: u64) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sealer = v2::seal(key, blob, size, &mut rng(seed), &mut file).unwrap();
    sealer.seal(content, &mut file).unwrap();
    sealer.finish(&mut file).unwrap();
    file
}

pub(super) fn sealed(content: &[u8]) -> Vec<u8> {
    seal(&kek(), BLOB, HeaderSize::Compact, content, 1)
}

/// Opens all of it as the caller does that has a row for it.
pub(super) fn open(key: &KeyEncryptionKey, blob: Uuid, file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut file = File::new(file);
    let header = Header::read(file.length(), &mut |offset, out| file.read(offset, out))?;
    let length = file.length();
    let mut reader = header.open(key, blob, length, &mut |offset, out| file.read(offset, out))?;
    let mut content = vec![0; usize::try_from(reader.content_bytes()).unwrap()];
    reader.read_at(0, &mut content, &mut |offset, out| file.read(offset, out))?;
    Ok(content)
}

pub(super) fn opened(file: &[u8]) -> Result<Vec<u8>, Error> {
    open(&kek(), BLOB, file)
}

pub(super) fn v1_key() -> v1::Key {
    v1::Key::new(secret(7), 0)
}

pub(super) fn sealed_v1(content: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sealer = v1::Sealer::new(&mut v1_key(), &mut rng(1), &mut file).unwrap();
    sealer.seal(content, &mut file).unwrap();
    sealer.finish(&mut file).unwrap();
    file
}

/// Opens all of it by both ways of reading.
pub(super) fn open_v1(key: &v1::Key, file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut file = File::new(file);
    let length = file.length();
    let reader = v1::Reader::open(key, length, &mut |offset, out| file.read(offset, out))?;
    let mut content = vec![0; usize::try_from(reader.content_bytes()).unwrap()];
    reader.read_at(0, &mut content, &mut |offset, out| file.read(offset, out))?;
    let mut stream = reader.into_stream();
    let mut streamed = Vec::new();
    while let Some(piece) = stream.next(&mut |offset, out| file.read(offset, out))? {
        streamed.extend_from_slice(piece);
    }
    assert!(streamed == content);
    Ok(content)
}
