//! C2SP chunked-encryption, version 1, with SHA-512 and AES-256-GCM: "Cobblestone-256".
//!
//! A message is `salt(24) | commitment(32) | chunk…`. Each chunk holds 16 KiB and a tag; the last one is always shorter,
//! and thereby ends the message. The key, the base nonce and the commitment come from HKDF-Expand over the input key,
//! the salt and a context that says what the message is. A chunk's nonce is the base nonce XOR its number, so that no chunk
//! passes for another, and no chunk of another message for one of this.
//!
//! Not one byte of a chunk is given out before its tag was checked, and none at all before the commitment was.

use std::mem;
use std::ops::Range;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::pieces::Pieces;
use super::secret_key::{KEY_BYTES, SecretKey};
use super::{Error, Source};

/// What a chunk holds.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// What stands before the first chunk: the salt and the commitment.
pub const HEAD_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES;

/// A key, sealed: the head, 32 bytes, a tag.
pub const SEALED_KEY_BYTES: usize = HEAD_BYTES + KEY_BYTES + TAG_BYTES;

const SALT_BYTES: usize = 24;
const COMMITMENT_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const SEALED_CHUNK_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
const MAX_CHUNKS: u64 = 1 << 38;

/// Chunks that are read at once. Larger reads are not faster; smaller ones cost a system call for each 16 KiB.
const WINDOW_CHUNKS: usize = 16;

const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// The length of the message that holds so many bytes.
pub const fn sealed_bytes(content_bytes: u64) -> u64 {
    let chunks = content_bytes / CHUNK_BYTES as u64 + 1;
    content_bytes.saturating_add(HEAD_BYTES as u64 + chunks * TAG_BYTES as u64)
}

/// Seals a message, in portions of any size. Keeps at most one chunk.
pub struct Sealer {
    chunks: Chunks,
    pieces: Pieces,
}

impl Sealer {
    /// Begins a message, and appends what stands before its first chunk to `out`.
    ///
    /// `context` is joined; whoever reads it needs the same. It must be clear where its parts end.
    pub fn new(key: &SecretKey, context: &[&[u8]], rng: &mut impl CryptoRng, out: &mut Vec<u8>) -> Self {
        let mut salt = [0; SALT_BYTES];
        rng.fill_bytes(&mut salt);
        let message = Message::derive(key, &salt, context);
        out.extend_from_slice(&salt);
        out.extend_from_slice(&message.commitment);
        Self { chunks: Chunks { message, next: 0 }, pieces: Pieces::of(CHUNK_BYTES) }
    }

    /// Appends the chunks that are now full to `out`: sealed, as many bytes as came in and a little more.
    pub fn seal(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let chunks = &mut self.chunks;
        self.pieces.push(content, |chunk| chunks.seal(chunk, out))
    }

    /// Appends the last chunk. What was sealed without it counts as cut short.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        self.chunks.seal(&self.pieces.into_rest(), out)
    }
}

/// The chunks of a message, in their order.
struct Chunks {
    message: Message,
    next: u64,
}

impl Chunks {
    fn seal(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.next >= MAX_CHUNKS {
            return Err(Error::TooLong);
        }
        let start = out.len();
        out.extend_from_slice(chunk);
        let tag = self.message.seal(self.next, &mut out[start..])?;
        out.extend_from_slice(&tag);
        self.next += 1;
        Ok(())
    }
}

/// Reads any part of a message. Keeps at most one window of chunks.
pub struct Reader {
    message: Message,
    /// Where the first chunk begins in the source.
    start: u64,
    /// All chunks with their tags.
    sealed_bytes: u64,
    content_bytes: u64,
    window: Zeroizing<Vec<u8>>,
}

impl Reader {
    /// Opens the message that fills this part of the source: checks the commitment, and that the end is the end.
    ///
    /// A wrong key, another context and a damaged head are [`Error::NotAuthentic`].
    pub fn open(key: &SecretKey, context: &[&[u8]], place: Range<u64>, source: Source<'_>) -> Result<Self, Error> {
        let length = place.end.saturating_sub(place.start);
        let sealed_bytes = length.checked_sub(HEAD_BYTES as u64).ok_or(Error::Truncated)?;
        let (whole_chunks, last_bytes) = split(sealed_bytes, SEALED_CHUNK_BYTES);
        let last_content = last_bytes.checked_sub(TAG_BYTES).ok_or(Error::Truncated)?;
        if whole_chunks >= MAX_CHUNKS {
            return Err(Error::TooLong);
        }
        let mut head = [0; HEAD_BYTES];
        source(place.start, &mut head)?;
        let (salt, commitment) = halves::<SALT_BYTES, COMMITMENT_BYTES>(&head).ok_or(Error::Truncated)?;
        let message = Message::derive(key, salt, context);
        if !bool::from(message.commitment.ct_eq(commitment)) {
            return Err(Error::NotAuthentic);
        }
        let content_bytes = whole_chunks * CHUNK_BYTES as u64 + last_content as u64;
        let start = place.start + HEAD_BYTES as u64;
        let mut reader = Self { message, start, sealed_bytes, content_bytes, window: Zeroizing::default() };
        reader.load(whole_chunks, 1, source)?;
        reader.message.open(whole_chunks, &mut reader.window).map_err(|_| Error::Truncated)?;
        Ok(reader)
    }

    /// How much the message holds. It is authentic.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Fills `out` with what stands at that offset of the content, all of it or nothing that counts.
    ///
    /// After an error `out` may hold chunks that came before the damaged one; those are authentic.
    pub fn read_at(&mut self, offset: u64, mut out: &mut [u8], source: Source<'_>) -> Result<(), Error> {
        let end = offset.checked_add(out.len() as u64).ok_or(Error::PastEnd)?;
        if end > self.content_bytes {
            return Err(Error::PastEnd);
        }
        let (mut index, mut skip) = split(offset, CHUNK_BYTES);
        while !out.is_empty() {
            let chunks = skip.saturating_add(out.len()).div_ceil(CHUNK_BYTES).min(WINDOW_CHUNKS);
            self.load(index, chunks, source)?;
            for sealed in self.window.chunks_mut(SEALED_CHUNK_BYTES) {
                let content_bytes = sealed.len().saturating_sub(TAG_BYTES);
                let wanted = out.len().min(content_bytes.saturating_sub(skip));
                let (now, later) = mem::take(&mut out).split_at_mut(wanted);
                if wanted == content_bytes {
                    self.message.open_into(index, sealed, now)?;
                } else {
                    let content = self.message.open(index, sealed)?;
                    now.copy_from_slice(&content[skip..skip + wanted]);
                }
                out = later;
                index += 1;
                skip = 0;
            }
        }
        Ok(())
    }

    /// Reads sealed chunks into the window; fewer when the message ends before.
    fn load(&mut self, first: u64, chunks: usize, source: Source<'_>) -> Result<(), Error> {
        let start = first * SEALED_CHUNK_BYTES as u64;
        let rest = usize::try_from(self.sealed_bytes.saturating_sub(start)).unwrap_or(usize::MAX);
        let length = rest.min(chunks * SEALED_CHUNK_BYTES);
        if self.window.capacity() < length {
            // Growing would leave what was opened in place behind, unwiped.
            self.window = Zeroizing::new(Vec::with_capacity(length));
        }
        self.window.resize(length, 0);
        Ok(source(self.start + start, &mut self.window)?)
    }
}

/// Seals a short message that is in memory.
pub(crate) fn seal_bytes(
    key: &SecretKey,
    context: &[&[u8]],
    message: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(sealed_bytes(message.len() as u64)).map_err(|_| Error::TooLong)?;
    let mut out = Vec::with_capacity(length);
    let mut sealer = Sealer::new(key, context, rng, &mut out);
    sealer.seal(message, &mut out)?;
    sealer.finish(&mut out)?;
    Ok(out)
}

/// Opens what [`seal_bytes`] made.
pub(crate) fn open_bytes(key: &SecretKey, context: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut source = slice_source(sealed);
    let mut reader = Reader::open(key, context, 0..sealed.len() as u64, &mut source)?;
    let length = usize::try_from(reader.content_bytes()).map_err(|_| Error::TooLong)?;
    let mut message = Zeroizing::new(vec![0; length]);
    reader.read_at(0, &mut message, &mut source)?;
    Ok(message)
}

/// Seals one key under another.
pub(crate) fn seal_key(
    key: &SecretKey,
    context: &[&[u8]],
    secret: &SecretKey,
    rng: &mut impl CryptoRng,
) -> Result<[u8; SEALED_KEY_BYTES], Error> {
    seal_bytes(key, context, secret.bytes(), rng)?.try_into().map_err(|_| Error::TooLong)
}

/// Opens what [`seal_key`] made.
pub(crate) fn open_key(
    key: &SecretKey,
    context: &[&[u8]],
    sealed: &[u8; SEALED_KEY_BYTES],
) -> Result<SecretKey, Error> {
    SecretKey::from_slice(&open_bytes(key, context, sealed)?).map_err(|_| Error::Damaged)
}

fn slice_source(bytes: &[u8]) -> impl FnMut(u64, &mut [u8]) -> std::io::Result<()> {
    move |offset, out| {
        let rest = usize::try_from(offset).ok().and_then(|start| bytes.get(start..start.checked_add(out.len())?));
        out.copy_from_slice(rest.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// The keys of one message.
struct Message {
    cipher: Aes256Gcm,
    base_nonce: [u8; NONCE_BYTES],
    commitment: [u8; COMMITMENT_BYTES],
}

impl Message {
    fn derive(key: &SecretKey, salt: &[u8; SALT_BYTES], context: &[&[u8]]) -> Self {
        let mut derived = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES]);
        let info: Vec<&[u8]> = [LABEL, salt].into_iter().chain(context.iter().copied()).collect();
        key.expand(&info, derived.as_mut_slice());
        let mut aead_key = Zeroizing::new([0; KEY_BYTES]);
        let (mut base_nonce, mut commitment) = ([0; NONCE_BYTES], [0; COMMITMENT_BYTES]);
        aead_key.copy_from_slice(&derived[..KEY_BYTES]);
        base_nonce.copy_from_slice(&derived[KEY_BYTES..KEY_BYTES + NONCE_BYTES]);
        commitment.copy_from_slice(&derived[KEY_BYTES + NONCE_BYTES..]);
        Self { cipher: Aes256Gcm::new((&*aead_key).into()), base_nonce, commitment }
    }

    fn seal(&self, index: u64, chunk: &mut [u8]) -> Result<Tag, Error> {
        self.cipher.encrypt_inout_detached(&self.nonce(index), b"", chunk.into()).map_err(|_| Error::TooLong)
    }

    /// Opens a chunk where it stands.
    fn open<'a>(&self, index: u64, sealed: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let (chunk, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or(Error::Truncated)?;
        self.decrypt(index, (&mut *chunk).into(), tag)?;
        Ok(chunk)
    }

    /// Opens a chunk into a buffer of its length.
    fn open_into(&self, index: u64, sealed: &[u8], out: &mut [u8]) -> Result<(), Error> {
        let (chunk, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Error::Truncated)?;
        self.decrypt(index, InOutBuf::new(chunk, out).map_err(|_| Error::Damaged)?, tag)
    }

    fn decrypt(&self, index: u64, chunk: InOutBuf<'_, '_, u8>, tag: &[u8; TAG_BYTES]) -> Result<(), Error> {
        self.cipher.decrypt_inout_detached(&self.nonce(index), b"", chunk, tag.into()).map_err(|_| Error::Damaged)
    }

    fn nonce(&self, index: u64) -> Nonce<aes_gcm::aead::consts::U12> {
        let mut nonce = self.base_nonce;
        for (byte, counter) in nonce.iter_mut().rev().zip(index.to_le_bytes()) {
            *byte ^= counter;
        }
        nonce.into()
    }
}

/// Which unit, and how far into it.
fn split(offset: u64, unit: usize) -> (u64, usize) {
    let unit = unit as u64;
    #[expect(clippy::cast_possible_truncation, reason = "smaller than a usize")]
    (offset / unit, (offset % unit) as usize)
}

fn halves<const A: usize, const B: usize>(bytes: &[u8]) -> Option<(&[u8; A], &[u8; B])> {
    let (first, second) = bytes.split_first_chunk()?;
    Some((first, second.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_byte_at_nine_gib_reads_at_most_three_chunks() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = SecretKey::generate(&mut rng);
        let content_bytes = (10_u64 << 30) + 5;
        let (wanted, last) = ((9_u64 << 30) / CHUNK_BYTES as u64, content_bytes / CHUNK_BYTES as u64);
        let mut head = Vec::new();
        let mut sealer = Sealer::new(&key, &[], &mut rng, &mut head);
        // The two chunks that are needed, where they stand; of the others there is nothing to read.
        let mut chunk = |index: u64, content: &[u8]| {
            let mut out = Vec::new();
            sealer.chunks.next = index;
            sealer.chunks.seal(content, &mut out).unwrap();
            (HEAD_BYTES as u64 + index * SEALED_CHUNK_BYTES as u64, out)
        };
        let there = [(0, head.clone()), chunk(wanted, &[7; CHUNK_BYTES]), chunk(last, b"ended")];
        let mut reads = Vec::new();
        let mut source = |offset: u64, out: &mut [u8]| {
            reads.push(out.len());
            let part = there.iter().find_map(|(start, bytes)| {
                let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
                bytes.get(from..from.checked_add(out.len())?)
            });
            out.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
            Ok(())
        };
        let mut reader = Reader::open(&key, &[], 0..sealed_bytes(content_bytes), &mut source).unwrap();
        assert_eq!(reader.content_bytes(), content_bytes);
        let mut byte = [0];
        reader.read_at(9 << 30, &mut byte, &mut source).unwrap();
        assert_eq!((byte, reader.window.capacity()), ([7], SEALED_CHUNK_BYTES));
        assert!(reads.iter().sum::<usize>() <= 3 * SEALED_CHUNK_BYTES, "{reads:?}");
    }

    #[test]
    fn no_message_has_more_than_two_to_the_38_chunks() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let key = SecretKey::generate(&mut rng);
        let mut out = Vec::new();
        let mut sealer = Sealer::new(&key, &[], &mut rng, &mut out);
        sealer.chunks.next = MAX_CHUNKS - 1;
        sealer.seal(&[0; CHUNK_BYTES], &mut out).unwrap();
        assert!(matches!(sealer.seal(&[0; CHUNK_BYTES], &mut out), Err(Error::TooLong)));
        sealer.chunks.next = MAX_CHUNKS;
        assert!(matches!(sealer.finish(&mut out), Err(Error::TooLong)));
        let longest = HEAD_BYTES as u64 + MAX_CHUNKS * SEALED_CHUNK_BYTES as u64 - 1;
        let opened = Reader::open(&key, &[], 0..longest, &mut |_, _| Ok(()));
        assert!(matches!(opened, Err(Error::NotAuthentic)), "the length alone is accepted");
        let opened = Reader::open(&key, &[], 0..longest + 1 + TAG_BYTES as u64, &mut |_, _| Ok(()));
        assert!(matches!(opened, Err(Error::TooLong)));
    }
}
