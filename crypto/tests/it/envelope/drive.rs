//! What any bytes do to the readers: nothing but an error. Run on random bytes here, and by `crypto/fuzz` on its own.

use std::io;

use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, KeyId};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use coffer_crypto::envelope::{SecretKey, v1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use uuid::Uuid;

const KEY: [u8; 32] = [7; 32];
const BLOB: Uuid = Uuid::from_u128(1);
/// A chunk and a bit: both kinds of chunks, and short enough for many runs a second.
static CONTENT: [u8; 16_500] = [0x5a; 16_500];

fn secret() -> SecretKey {
    SecretKey::from_slice(&KEY).unwrap()
}

fn kek() -> KeyEncryptionKey {
    KeyEncryptionKey::new(KeyId::parse("1").unwrap(), 1, Holder::Box, secret())
}

fn read(file: &[u8], offset: u64, out: &mut [u8]) -> io::Result<()> {
    let rest = usize::try_from(offset).ok().and_then(|start| file.get(start..start.checked_add(out.len())?));
    out.copy_from_slice(rest.ok_or(io::ErrorKind::UnexpectedEof)?);
    Ok(())
}

fn open_v2(file: &[u8]) -> Option<Vec<u8>> {
    let length = file.len() as u64;
    let header = Header::read(length, &mut |offset, out| read(file, offset, out)).ok()?;
    assert!(file.starts_with(&header.core()), "a header that is understood says all that was read");
    let mut reader = header.open(&kek(), BLOB, length, &mut |offset, out| read(file, offset, out)).ok()?;
    assert_eq!(v2::sealed_bytes(header.size(), reader.content_bytes()), length);
    let mut content = vec![0; usize::try_from(reader.content_bytes()).unwrap()];
    reader.read_at(0, &mut content, &mut |offset, out| read(file, offset, out)).ok()?;
    Some(content)
}

fn open_v1(file: &[u8]) -> Option<Vec<u8>> {
    let key = v1::Key::new(secret(), 0);
    let reader = v1::Reader::open(&key, file.len() as u64, &mut |offset, out| read(file, offset, out)).ok()?;
    let mut stream = reader.into_stream();
    let mut content = Vec::new();
    while let Some(piece) = stream.next(&mut |offset, out| read(file, offset, out)).unwrap() {
        content.extend_from_slice(piece);
    }
    Some(content)
}

/// Changes a file as the script says: `offset(2) xor(1)`, and what is left over cuts the end.
fn edited(mut file: Vec<u8>, script: &[u8]) -> Vec<u8> {
    let edits = script.chunks_exact(3);
    let cut = edits.remainder().iter().map(|byte| usize::from(*byte)).sum::<usize>();
    for edit in edits {
        let offset = usize::from(edit[0]) << 8 | usize::from(edit[1]);
        if let Some(byte) = file.get_mut(offset) {
            *byte ^= edit[2];
        }
    }
    file.truncate(file.len() - cut);
    file
}

/// The script as a file of our format, and as changes to one.
pub(crate) fn v2(script: &[u8]) {
    open_v2(script);
    for size in [HeaderSize::Compact, HeaderSize::Block] {
        let mut file = Vec::new();
        let mut sealer = v2::seal(&kek(), BLOB, size, &mut ChaCha20Rng::seed_from_u64(1), &mut file).unwrap();
        sealer.seal(&CONTENT, &mut file).unwrap();
        sealer.finish(&mut file).unwrap();
        let edited = edited(file.clone(), script);
        assert_eq!(open_v2(&edited), (edited == file).then(|| CONTENT.to_vec()));
    }
}

/// The script as a file of Storm Cloud, and as changes to one.
pub(crate) fn v1(script: &[u8]) {
    open_v1(script);
    let (mut key, mut file) = (v1::Key::new(secret(), 0), Vec::new());
    let mut sealer = v1::Sealer::new(&mut key, &mut ChaCha20Rng::seed_from_u64(1), &mut file).unwrap();
    sealer.seal(&CONTENT, &mut file).unwrap();
    sealer.finish(&mut file).unwrap();
    let edited = edited(file.clone(), script);
    assert_eq!(open_v1(&edited), (edited == file).then(|| CONTENT.to_vec()));
}
