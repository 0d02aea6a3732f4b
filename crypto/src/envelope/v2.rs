//! Sealed files of our own format: a header that names the key and holds the wrapped data key, and a body under that key.
//!
//! | Offset | Bytes | Field |
//! |---|---|---|
//! | 0 | 8 | `0x02 "COFFER\n"` |
//! | 8 | 2 | length of the header: 192, or 4096 so that it owns one block of gocryptfs |
//! | 10 | 1 | suite: `0x01` is Cobblestone-256 |
//! | 11 | 1 | flags of the body: none yet |
//! | 12 | 1 | flags of the wrap: bit 0, only a client has the key |
//! | 13 | 3 | zero |
//! | 16 | 16 | key id, NUL behind it |
//! | 32 | 4 | key generation |
//! | 36 | 4 | zero |
//! | 40 | 8 | check value of the key |
//! | 48 | 16 | blob id |
//! | 64 | 104 | data key, sealed under the key; binds bytes 0 to 64 and 168 to 192 |
//! | 168 | … | zero, to the end of the header |
//!
//! The body binds what never changes: magic, suite, flags of the body, blob id. So a new key means new bytes 16 to 168,
//! and no others.

use rand_core::CryptoRng;
use uuid::Uuid;

use super::chunked::{self, Reader, SEALED_KEY_BYTES, Sealer};
use super::keys::{Holder, KEY_ID_BYTES, KeyEncryptionKey, KeyId};
use super::secret_key::{CheckValue, SecretKey};
use super::{Error, Source};

/// What every sealed file of this format begins with.
pub const MAGIC: [u8; 8] = *b"\x02COFFER\n";

/// The part of a header that is not all zeros, and that changes when the key does.
pub const CORE_BYTES: usize = 192;

const BOUND_BYTES: usize = 64;
const RESERVED_AT: usize = BOUND_BYTES + SEALED_KEY_BYTES;
const SUITE: u8 = 1;
const BODY_FLAGS: u8 = 0;
const CLIENT_FLAG: u8 = 1;
const WRAP_CONTEXT: &[u8] = b"coffer.envelope.v2/wrap\0";
const BODY_CONTEXT: &[u8] = b"coffer.envelope.v2/body\0";

/// How much room a header takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderSize {
    /// 192 bytes. A new header means a new file.
    Compact,
    /// 4096 bytes: one block of gocryptfs, so that a torn header never damages the body.
    Block,
}

impl HeaderSize {
    /// From this size on a header gets a block of its own.
    pub const BLOCK_FROM_BYTES: u64 = 1024 * 1024;

    /// What suits a content. One of unknown size should get [`HeaderSize::Block`].
    pub fn for_content(content_bytes: u64) -> Self {
        if content_bytes < Self::BLOCK_FROM_BYTES { Self::Compact } else { Self::Block }
    }

    /// In bytes; the body begins there.
    pub const fn bytes(self) -> u16 {
        match self {
            Self::Compact => 192,
            Self::Block => 4096,
        }
    }
}

/// The length of the file that holds so many bytes.
pub fn sealed_bytes(header: HeaderSize, content_bytes: u64) -> u64 {
    chunked::sealed_bytes(content_bytes).saturating_add(header.bytes().into())
}

/// Begins a sealed file under a fresh data key, and appends everything before the first chunk to `out`.
///
/// A blob id is used once: whoever writes another content gives it another id.
pub fn seal(
    key: &KeyEncryptionKey,
    blob_id: Uuid,
    size: HeaderSize,
    rng: &mut impl CryptoRng,
    out: &mut Vec<u8>,
) -> Result<Sealer, Error> {
    let data_key = SecretKey::generate(rng);
    let header = Header::wrap(key, &data_key, blob_id, size, rng)?;
    let start = out.len();
    out.extend_from_slice(&header.core());
    out.resize(start + usize::from(size.bytes()), 0);
    Ok(Sealer::new(&data_key, &header.body_context(), rng, out))
}

/// The header of a sealed file, well-formed; nothing in it is authentic before [`Header::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    size: HeaderSize,
    holder: Holder,
    key_id: KeyId,
    generation: u32,
    check: CheckValue,
    blob_id: Uuid,
    wrapped: [u8; SEALED_KEY_BYTES],
}

impl Header {
    /// Reads the header of a file of that length.
    pub fn read(file_bytes: u64, source: Source<'_>) -> Result<Self, Error> {
        let mut core = [0; CORE_BYTES];
        let there = usize::try_from(file_bytes).unwrap_or(CORE_BYTES).min(CORE_BYTES);
        source(0, &mut core[..there])?;
        if !core.starts_with(&MAGIC) {
            return Err(Error::NotSealed);
        }
        if there < CORE_BYTES {
            return Err(Error::Truncated);
        }
        let header = Self::parse(&core)?;
        if header.size == HeaderSize::Block {
            let mut rest = [0; HeaderSize::Block.bytes() as usize - CORE_BYTES];
            if file_bytes < HeaderSize::Block.bytes().into() {
                return Err(Error::Truncated);
            }
            source(CORE_BYTES as u64, &mut rest)?;
            if rest.iter().any(|byte| *byte != 0) {
                return Err(Error::DamagedHeader);
            }
        }
        Ok(header)
    }

    /// How much room it takes.
    pub fn size(&self) -> HeaderSize {
        self.size
    }

    /// Which key opens the file.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which key of that name.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Who has that key.
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Tells that key from others.
    pub fn check_value(&self) -> CheckValue {
        self.check
    }

    /// Whose content it says to be.
    pub fn blob_id(&self) -> Uuid {
        self.blob_id
    }

    /// Opens the file, when it is authentic, whole at its end, and the content of that blob.
    ///
    /// Whoever has no row to take the blob id from, and adopts what it finds, passes [`Header::blob_id`].
    pub fn open(
        &self,
        key: &KeyEncryptionKey,
        blob_id: Uuid,
        file_bytes: u64,
        source: Source<'_>,
    ) -> Result<Reader, Error> {
        let data_key = self.data_key(key)?;
        if self.blob_id != blob_id {
            return Err(Error::OtherBlob);
        }
        let body = self.size.bytes().into()..file_bytes;
        Reader::open(&data_key, &self.body_context(), body, source).map_err(|error| match error {
            // The data key is authentic, so it is not the key.
            Error::NotAuthentic => Error::Damaged,
            other => other,
        })
    }

    /// The same data key under another key. Only the core of the file changes, and its length does not.
    pub fn rewrap(
        &self,
        old: &KeyEncryptionKey,
        new: &KeyEncryptionKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        Self::wrap(new, &self.data_key(old)?, self.blob_id, self.size, rng)
    }

    /// The bytes of the file that are this header; behind them are zeros to its size.
    pub fn core(&self) -> [u8; CORE_BYTES] {
        let mut core = [0; CORE_BYTES];
        core[..8].copy_from_slice(&MAGIC);
        core[8..10].copy_from_slice(&self.size.bytes().to_be_bytes());
        core[10..13].copy_from_slice(&[SUITE, BODY_FLAGS, wrap_flags(self.holder)]);
        core[16..32].copy_from_slice(self.key_id.label());
        core[32..36].copy_from_slice(&self.generation.to_be_bytes());
        core[40..48].copy_from_slice(&self.check.0);
        core[48..64].copy_from_slice(self.blob_id.as_bytes());
        core[BOUND_BYTES..RESERVED_AT].copy_from_slice(&self.wrapped);
        core
    }

    fn parse(core: &[u8; CORE_BYTES]) -> Result<Self, Error> {
        let [suite, body_flags, wrap_flags] = field(core, 10);
        let holder = match wrap_flags {
            0 => Holder::Box,
            CLIENT_FLAG => Holder::Client,
            _ => return Err(Error::Unsupported),
        };
        if suite != SUITE || body_flags != BODY_FLAGS {
            return Err(Error::Unsupported);
        }
        let size = match u16::from_be_bytes(field(core, 8)) {
            192 => HeaderSize::Compact,
            4096 => HeaderSize::Block,
            _ => return Err(Error::DamagedHeader),
        };
        let header = Self {
            size,
            holder,
            key_id: KeyId::from_label(field::<KEY_ID_BYTES>(core, 16)).ok_or(Error::DamagedHeader)?,
            generation: u32::from_be_bytes(field(core, 32)),
            check: CheckValue(field(core, 40)),
            blob_id: Uuid::from_bytes(field(core, 48)),
            wrapped: field(core, BOUND_BYTES),
        };
        // What no field holds is zero.
        if header.core() == *core { Ok(header) } else { Err(Error::DamagedHeader) }
    }

    fn wrap(
        key: &KeyEncryptionKey,
        data_key: &SecretKey,
        blob_id: Uuid,
        size: HeaderSize,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, Error> {
        let mut header = Self {
            size,
            holder: key.holder(),
            key_id: key.id(),
            generation: key.generation(),
            check: key.check_value(),
            blob_id,
            wrapped: [0; SEALED_KEY_BYTES],
        };
        header.wrapped = chunked::seal_key(key.secret(), &wrap_context(&header.core()), data_key, rng)?;
        Ok(header)
    }

    fn data_key(&self, key: &KeyEncryptionKey) -> Result<SecretKey, Error> {
        let named = (self.key_id, self.generation, self.holder, self.check);
        if named != (key.id(), key.generation(), key.holder(), key.check_value()) {
            return Err(Error::WrongKey);
        }
        let opened = chunked::open_key(key.secret(), &wrap_context(&self.core()), &self.wrapped);
        opened.map_err(|_| Error::DamagedHeader)
    }

    fn body_context(&self) -> [&[u8]; 4] {
        [BODY_CONTEXT, &MAGIC, &[SUITE, BODY_FLAGS], self.blob_id.as_bytes()]
    }
}

fn wrap_context(core: &[u8; CORE_BYTES]) -> [&[u8]; 3] {
    [WRAP_CONTEXT, &core[..BOUND_BYTES], &core[RESERVED_AT..]]
}

fn wrap_flags(holder: Holder) -> u8 {
    match holder {
        Holder::Box => 0,
        Holder::Client => CLIENT_FLAG,
    }
}

fn field<const N: usize>(core: &[u8; CORE_BYTES], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&core[offset..offset + N]);
    field
}
