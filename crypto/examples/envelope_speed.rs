//! How fast contents are sealed and opened, beside the cipher itself: `cargo run --release -p coffer-crypto --example
//! envelope_speed [MIB]`. One thread, all in memory, by the time that the thread had a processor: Linux only.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program to be looked at")]

use std::hint::black_box;
use std::time::Duration;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use coffer_crypto::envelope::keys::{Holder, KeyEncryptionKey, KeyId};
use coffer_crypto::envelope::v2::{self, Header, HeaderSize};
use coffer_crypto::envelope::{SecretKey, v1};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use uuid::Uuid;

/// What the daemon hands over at once.
const PORTION_BYTES: usize = 1024 * 1024;

/// Both formats and the cipher in pieces of this size.
const CHUNK_BYTES: usize = 16 * 1024;

fn main() {
    let mib = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1024_usize);
    let content: Vec<u8> = (0..=250).cycle().take(mib * PORTION_BYTES).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    cipher_alone(&content);
    let key = KeyEncryptionKey::new(KeyId::parse("1").expect("a name"), 1, Holder::Box, SecretKey::generate(&mut rng));
    of_v2(&content, &key, &mut rng);
    of_v1(&content, &mut rng);
}

fn timed<T>(what: &str, bytes: usize, work: impl FnOnce() -> T) -> T {
    let start = on_processor();
    let done = work();
    let seconds = on_processor().saturating_sub(start).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = bytes as f64 / 1024.0 / 1024.0;
    println!("{what:<28} {:>7.0} MiB/s", mib / seconds);
    done
}

/// So long the thread ran; on a busy machine it waits as well.
fn on_processor() -> Duration {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds = line.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first field"))
}

fn cipher_alone(content: &[u8]) {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    let nonce = Nonce::from([1; 12]);
    let mut buffer = vec![0; CHUNK_BYTES];
    timed("AES-256-GCM, seal in place", content.len(), || {
        for _ in content.chunks(CHUNK_BYTES) {
            black_box(cipher.encrypt_inout_detached(&nonce, b"", buffer.as_mut_slice().into()).expect("short"));
        }
    });
    let tag = cipher.encrypt_inout_detached(&nonce, b"", buffer.as_mut_slice().into()).expect("short");
    let mut out = vec![0; CHUNK_BYTES];
    timed("AES-256-GCM, open", content.len(), || {
        for _ in content.chunks(CHUNK_BYTES) {
            out.copy_from_slice(&buffer);
            cipher.decrypt_inout_detached(&nonce, b"", out.as_mut_slice().into(), &tag).expect("authentic");
        }
    });
}

fn of_v2(content: &[u8], key: &KeyEncryptionKey, rng: &mut ChaCha20Rng) {
    let (blob, size) = (Uuid::from_u128(1), HeaderSize::Block);
    let mut file = Vec::with_capacity(content.len() + content.len() / 512 + 8192);
    timed("v2, seal into a file", content.len(), || {
        let mut sealer = v2::seal(key, blob, size, rng, &mut file).expect("sealed");
        for portion in content.chunks(PORTION_BYTES) {
            sealer.seal(portion, &mut file).expect("sealed");
        }
        sealer.finish(&mut file).expect("sealed");
    });
    let mut buffer = Vec::with_capacity(2 * PORTION_BYTES);
    timed("v2, seal and throw away", content.len(), || {
        let mut sealer = v2::seal(key, blob, size, rng, &mut buffer).expect("sealed");
        for portion in content.chunks(PORTION_BYTES) {
            buffer.clear();
            sealer.seal(portion, &mut buffer).expect("sealed");
        }
        sealer.finish(&mut buffer).expect("sealed");
    });
    let length = file.len() as u64;
    let mut source = |offset: u64, out: &mut [u8]| {
        let start = usize::try_from(offset).expect("in memory");
        out.copy_from_slice(&file[start..start + out.len()]);
        Ok(())
    };
    let mut out = vec![0; PORTION_BYTES];
    timed("v2, open", content.len(), || {
        let header = Header::read(length, &mut source).expect("sealed");
        let mut reader = header.open(key, blob, length, &mut source).expect("authentic");
        let portions = (0_u64..).step_by(PORTION_BYTES);
        for (offset, expected) in portions.zip(content.chunks(PORTION_BYTES)) {
            reader.read_at(offset, &mut out, &mut source).expect("authentic");
            assert!(out.first() == expected.first());
        }
    });
    timed("v2, open 64 KiB 1000 times", 1000 * 64 * 1024, || {
        for _ in 0..1000 {
            let header = Header::read(length, &mut source).expect("sealed");
            let mut reader = header.open(key, blob, length, &mut source).expect("authentic");
            reader.read_at(0, &mut out[..64 * 1024], &mut source).expect("authentic");
        }
    });
}

fn of_v1(content: &[u8], rng: &mut ChaCha20Rng) {
    let mut key = v1::Key::new(SecretKey::generate(rng), 0);
    let mut file = Vec::with_capacity(content.len() + 29);
    timed("v1, seal into a file", content.len(), || {
        let mut sealer = v1::Sealer::new(&mut key, rng, &mut file).expect("a new key");
        for portion in content.chunks(PORTION_BYTES) {
            sealer.seal(portion, &mut file).expect("sealed");
        }
        sealer.finish(&mut file).expect("sealed");
    });
    let mut source = |offset: u64, out: &mut [u8]| {
        let start = usize::try_from(offset).expect("in memory");
        out.copy_from_slice(&file[start..start + out.len()]);
        Ok(())
    };
    let length = file.len() as u64;
    let reader =
        timed("v1, authenticate", content.len(), || v1::Reader::open(&key, length, &mut source).expect("authentic"));
    let mut stream = reader.into_stream();
    timed("v1, second pass", content.len(), || while stream.next(&mut source).expect("authentic").is_some() {});
}
