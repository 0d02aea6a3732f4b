//! Sealed files of Storm Cloud: `0x01 | nonce(12) | AES-256-GCM ciphertext | tag(16)`, no associated data.
//!
//! The one tag stands at the end, so a file is read twice: once to authenticate it, and then to decrypt it. Both passes
//! need a buffer of fixed size and no more; the high-level interface of `aes-gcm` would need the whole file.
//!
//! Its limits are those of the format: it does not commit to its key, does not say which file it is, and two files under
//! the same key and nonce undo both. So it is written for export alone, and each writing is counted.

use std::mem;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek};
use ctr::{Ctr32BE, CtrCore};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::pieces::Pieces;
use super::secret_key::SecretKey;
use super::{Error, Source};

/// What the format adds to a content.
pub const OVERHEAD_BYTES: u64 = (HEAD_BYTES + TAG_BYTES) as u64;

/// How many files may be written under one key. Nonces are random and have 96 bits, so NIST SP 800-38D, section 8.3,
/// allows 2^32 of them; half of these are left to the files that Storm Cloud wrote, which nobody counted.
pub const MAX_WRITES: u64 = 1 << 31;

const FIRST_BYTE: u8 = 1;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = 1 + NONCE_BYTES;
const TAG_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;

/// Where the 32-bit counter of GCM ends (NIST SP 800-38D, section 5.2.1.1).
const MAX_CONTENT_BYTES: u64 = (1 << 36) - 32;

/// What is read at once; whole blocks.
const WINDOW_BYTES: usize = 256 * 1024;

/// A key of Storm Cloud, and how many files were written under it here.
pub struct Key {
    secret: SecretKey,
    writes: u64,
}

impl Key {
    /// Takes a key, and the count that was kept with it.
    pub fn new(secret: SecretKey, writes: u64) -> Self {
        Self { secret, writes }
    }

    /// To be kept before a file that was sealed leaves the box.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    fn count(&mut self) -> Result<(), Error> {
        if self.writes >= MAX_WRITES {
            return Err(Error::KeyUsedUp);
        }
        self.writes += 1;
        Ok(())
    }
}

/// An authentic file.
pub struct Reader {
    gcm: Gcm,
    content_bytes: u64,
    tag: [u8; TAG_BYTES],
}

impl Reader {
    /// Authenticates the whole file of that length.
    ///
    /// Another key and a damaged file are the same: [`Error::NotAuthentic`].
    pub fn open(key: &Key, file_bytes: u64, source: Source<'_>) -> Result<Self, Error> {
        let mut head = [0; HEAD_BYTES];
        let there = usize::try_from(file_bytes).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        source(0, &mut head[..there])?;
        let [FIRST_BYTE, nonce @ ..] = head else { return Err(Error::NotSealed) };
        let content_bytes = file_bytes.checked_sub(OVERHEAD_BYTES).ok_or(Error::Truncated)?;
        if content_bytes > MAX_CONTENT_BYTES {
            return Err(Error::TooLong);
        }
        let mut tag = [0; TAG_BYTES];
        source(HEAD_BYTES as u64 + content_bytes, &mut tag)?;
        let reader = Self { gcm: Gcm::new(&key.secret, nonce), content_bytes, tag };
        let mut window = vec![0; window_bytes(content_bytes)];
        let mut pass = Pass::new(&reader.gcm);
        while pass.offset < content_bytes {
            pass.load(content_bytes, &mut window, source)?;
        }
        if reader.is_authentic(pass) { Ok(reader) } else { Err(Error::NotAuthentic) }
    }

    /// How much the file holds.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Fills `out` with what stands at that offset of the content.
    ///
    /// What was authenticated is the file as it was when it was opened: the source must be a file that is never changed in
    /// place. For a whole content [`Reader::into_stream`] is the safer way.
    pub fn read_at(&self, offset: u64, out: &mut [u8], source: Source<'_>) -> Result<(), Error> {
        let end = offset.checked_add(out.len() as u64).ok_or(Error::PastEnd)?;
        if end > self.content_bytes {
            return Err(Error::PastEnd);
        }
        source(HEAD_BYTES as u64 + offset, out)?;
        self.gcm.apply(offset, out)
    }

    /// Reads the content from its beginning, and authenticates it once more.
    pub fn into_stream(self) -> Stream {
        let window = Zeroizing::new(vec![0; window_bytes(self.content_bytes)]);
        let state = State::Reading(Pass::new(&self.gcm));
        Stream { reader: self, state, window }
    }

    fn is_authentic(&self, pass: Pass) -> bool {
        self.gcm.tag(pass).ct_eq(&self.tag).into()
    }
}

/// The second pass. The last piece is given out only when the file is still the one that was authenticated.
pub struct Stream {
    reader: Reader,
    state: State,
    window: Zeroizing<Vec<u8>>,
}

enum State {
    Reading(Pass),
    Ended,
    /// An error is not followed by what looks like an end.
    Failed,
}

impl Stream {
    /// The next piece of the content, or nothing behind its end.
    pub fn next(&mut self, source: Source<'_>) -> Result<Option<&[u8]>, Error> {
        let mut pass = match mem::replace(&mut self.state, State::Failed) {
            State::Reading(pass) => pass,
            State::Ended => {
                self.state = State::Ended;
                return Ok(None);
            }
            State::Failed => return Err(Error::Damaged),
        };
        let (start, content_bytes) = (pass.offset, self.reader.content_bytes);
        let piece = pass.load(content_bytes, &mut self.window, source)?;
        self.reader.gcm.apply(start, piece)?;
        if pass.offset < content_bytes {
            self.state = State::Reading(pass);
        } else if self.reader.is_authentic(pass) {
            self.state = State::Ended;
        } else {
            return Err(Error::Damaged);
        }
        Ok(if piece.is_empty() { None } else { Some(piece) })
    }
}

/// Seals a content, in portions of any size. Keeps at most one piece.
pub struct Sealer {
    gcm: Gcm,
    pass: Pass,
    pieces: Pieces,
}

impl Sealer {
    /// Begins a file, and appends what stands before the ciphertext to `out`.
    pub fn new(key: &mut Key, rng: &mut impl CryptoRng, out: &mut Vec<u8>) -> Result<Self, Error> {
        key.count()?;
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        out.push(FIRST_BYTE);
        out.extend_from_slice(&nonce);
        let gcm = Gcm::new(&key.secret, nonce);
        let pass = Pass::new(&gcm);
        Ok(Self { gcm, pass, pieces: Pieces::of(1024 * BLOCK_BYTES) })
    }

    /// Appends what can be sealed already to `out`: as many bytes as came in, and what waited.
    pub fn seal(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let (gcm, pass) = (&self.gcm, &mut self.pass);
        self.pieces.push(content, |piece| seal_piece(gcm, pass, piece, out))
    }

    /// Appends the rest, and the tag.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        seal_piece(&self.gcm, &mut self.pass, &self.pieces.into_rest(), out)?;
        out.extend_from_slice(&self.gcm.tag(self.pass));
        Ok(())
    }
}

fn seal_piece(gcm: &Gcm, pass: &mut Pass, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    if pass.offset + piece.len() as u64 > MAX_CONTENT_BYTES {
        return Err(Error::TooLong);
    }
    let start = out.len();
    out.extend_from_slice(piece);
    gcm.apply(pass.offset, &mut out[start..])?;
    pass.update(&out[start..]);
    Ok(())
}

/// AES-256-GCM under one key and nonce (NIST SP 800-38D, section 7), in the pieces that streams need.
struct Gcm {
    cipher: Aes256,
    nonce: [u8; NONCE_BYTES],
}

impl Gcm {
    fn new(key: &SecretKey, nonce: [u8; NONCE_BYTES]) -> Self {
        Self { cipher: Aes256::new(key.bytes().into()), nonce }
    }

    /// Encrypts or decrypts what stands at that offset.
    fn apply(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let mut keystream = self.keystream(2);
        keystream.try_seek(offset).map_err(|_| Error::TooLong)?;
        keystream.try_apply_keystream(bytes).map_err(|_| Error::TooLong)
    }

    fn tag(&self, pass: Pass) -> [u8; TAG_BYTES] {
        let mut tag = pass.finish();
        self.keystream(1).apply_keystream(&mut tag);
        tag
    }

    fn keystream(&self, counter: u32) -> Ctr32BE<&Aes256> {
        let mut block = [0; BLOCK_BYTES];
        block[..NONCE_BYTES].copy_from_slice(&self.nonce);
        block[NONCE_BYTES..].copy_from_slice(&counter.to_be_bytes());
        Ctr32BE::from_core(CtrCore::inner_iv_init(&self.cipher, &block.into()))
    }
}

/// GHASH over a ciphertext, and how far it came.
struct Pass {
    hash: GHash,
    offset: u64,
}

impl Pass {
    fn new(gcm: &Gcm) -> Self {
        let mut hash_key = ghash::Key::default();
        gcm.cipher.encrypt_block(&mut hash_key);
        let hash = GHash::new(&hash_key);
        zeroize::Zeroize::zeroize(hash_key.as_mut_slice());
        Self { hash, offset: 0 }
    }

    /// Reads as much as fits, and hashes it.
    fn load<'a>(
        &mut self,
        content_bytes: u64,
        window: &'a mut [u8],
        source: Source<'_>,
    ) -> Result<&'a mut [u8], Error> {
        let rest = usize::try_from(content_bytes - self.offset).unwrap_or(usize::MAX);
        let length = rest.min(window.len());
        let piece = &mut window[..length];
        source(HEAD_BYTES as u64 + self.offset, piece)?;
        self.update(piece);
        Ok(piece)
    }

    /// Only the last piece may end inside a block.
    fn update(&mut self, ciphertext: &[u8]) {
        self.hash.update_padded(ciphertext);
        self.offset += ciphertext.len() as u64;
    }

    fn finish(mut self) -> [u8; TAG_BYTES] {
        let mut lengths = [0; BLOCK_BYTES];
        lengths[8..].copy_from_slice(&(self.offset * 8).to_be_bytes());
        self.hash.update(&[lengths.into()]);
        self.hash.finalize().into()
    }
}

fn window_bytes(content_bytes: u64) -> usize {
    usize::try_from(content_bytes).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES)
}
