//! Vectors of Project Wycheproof; `vectors/wycheproof/README.md` says where they are from.

use coffer_crypto::envelope::chunked::{CHUNK_BYTES, Reader, Sealer};
use coffer_crypto::envelope::{SecretKey, v1};
use data_encoding::HEXLOWER;
use miniz_oxide::inflate::decompress_to_vec_zlib;
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::support::{File, open_v1, rng};

const CHUNKED: &str = include_str!("../../../vectors/wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json");
const GCM: &str = include_str!("../../../vectors/wycheproof/aes_gcm_test.json");

#[derive(Deserialize)]
struct Vectors<T> {
    #[serde(rename = "numberOfTests")]
    number_of_tests: usize,
    #[serde(rename = "testGroups")]
    groups: Vec<Group<T>>,
}

#[derive(Deserialize)]
struct Group<T> {
    tests: Vec<T>,
}

impl<T> Vectors<T> {
    fn all(self) -> impl Iterator<Item = T> {
        self.groups.into_iter().flat_map(|group| group.tests)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunked {
    tc_id: u32,
    key: String,
    ctx: String,
    ct: String,
    msg_length: Option<usize>,
    msg_sha512: Option<String>,
    result: String,
    flags: Vec<String>,
}

impl Chunked {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }

    fn hash_is(&self, content: &[u8]) -> bool {
        self.msg_sha512 == Some(HEXLOWER.encode(&Sha512::digest(content)))
    }

    fn check(&self) {
        let Ok(key) = SecretKey::from_slice(&bytes(&self.key)) else {
            assert!(self.has("InvalidKeySize"));
            return;
        };
        assert!(!self.has("InvalidKeySize"));
        let mut file = File::new(&decompress_to_vec_zlib(&bytes(&self.ct)).unwrap());
        let ctx = bytes(&self.ctx);
        let length = file.length();
        let opened = Reader::open(&key, &[&ctx], 0..length, &mut |offset, out| file.read(offset, out));
        let Ok(mut reader) = opened else {
            assert!(self.result == "invalid" && !self.has("ValidFinalChunk"));
            return;
        };
        let (content, whole) = read(&mut reader, &mut file);
        let mut at_once = vec![0; usize::try_from(reader.content_bytes()).unwrap()];
        let all = reader.read_at(0, &mut at_once, &mut |offset, out| file.read(offset, out));
        assert_eq!(whole, all.is_ok());
        if self.result == "valid" {
            assert!(whole && self.msg_length == Some(content.len()) && self.hash_is(&content) && content == at_once);
        } else {
            assert!(!whole && self.has("ValidFinalChunk"));
            assert!(content.is_empty() || self.msg_length == Some(content.len()) && self.hash_is(&content));
        }
    }
}

/// What is given out from the beginning, chunk by chunk, and whether all of it was.
fn read(reader: &mut Reader, file: &mut File) -> (Vec<u8>, bool) {
    let length = usize::try_from(reader.content_bytes()).unwrap();
    let mut content = Vec::new();
    while content.len() < length {
        let mut chunk = vec![0; CHUNK_BYTES.min(length - content.len())];
        let read = reader.read_at(content.len() as u64, &mut chunk, &mut |offset, out| file.read(offset, out));
        if read.is_err() {
            return (content, false);
        }
        content.extend_from_slice(&chunk);
    }
    (content, true)
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

#[test]
fn every_vector_of_chunked_encryption_passes() {
    let vectors: Vectors<Chunked> = serde_json::from_str(CHUNKED).unwrap();
    let (expected, mut count, mut valid) = (vectors.number_of_tests, 0, 0);
    for vector in vectors.all() {
        println!("test {}", vector.tc_id);
        vector.check();
        count += 1;
        valid += usize::from(vector.result == "valid");
    }
    assert_eq!((count, valid), (expected, 10));
}

/// The salt of a vector makes the vector.
#[test]
fn every_valid_message_of_the_vectors_is_sealed_the_same_way() {
    let vectors: Vectors<Chunked> = serde_json::from_str(CHUNKED).unwrap();
    for vector in vectors.all().filter(|vector| vector.result == "valid") {
        let key = SecretKey::from_slice(&bytes(&vector.key)).unwrap();
        let mut file = File::new(&decompress_to_vec_zlib(&bytes(&vector.ct)).unwrap());
        let (ctx, length) = (bytes(&vector.ctx), file.length());
        let opened = Reader::open(&key, &[&ctx], 0..length, &mut |offset, out| file.read(offset, out));
        let (content, _) = read(&mut opened.unwrap(), &mut file);
        let mut script = crate::support::Script::new(&[file.bytes[..24].to_vec()]);
        let mut made = Vec::new();
        // The context in two parts is the same context.
        let (first, second) = ctx.split_at(ctx.len() / 2);
        let mut sealer = Sealer::new(&key, &[first, second], &mut script, &mut made);
        sealer.seal(&content, &mut made).unwrap();
        sealer.finish(&mut made).unwrap();
        assert!(made == file.bytes, "test {}", vector.tc_id);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Gcm {
    tc_id: u32,
    key: String,
    iv: String,
    msg: String,
    ct: String,
    tag: String,
    result: String,
}

#[test]
fn every_vector_of_gcm_makes_a_v1_file_that_opens_or_does_not() {
    let vectors: Vectors<Gcm> = serde_json::from_str(GCM).unwrap();
    let (expected, mut count) = (vectors.number_of_tests, 0);
    for vector in vectors.all() {
        let mut key = v1::Key::new(SecretKey::from_slice(&bytes(&vector.key)).unwrap(), 0);
        let [iv, message, ciphertext, tag] = [&vector.iv, &vector.msg, &vector.ct, &vector.tag].map(|hex| bytes(hex));
        let file = [&[1], iv.as_slice(), &ciphertext, &tag].concat();
        let opened = open_v1(&key, &file);
        if vector.result == "valid" {
            assert_eq!(opened.unwrap(), message, "test {}", vector.tc_id);
            let mut made = Vec::new();
            let mut sealer = v1::Sealer::new(&mut key, &mut crate::support::Script::new(&[iv]), &mut made).unwrap();
            sealer.seal(&message, &mut made).unwrap();
            sealer.finish(&mut made).unwrap();
            assert_eq!(made, file, "test {}", vector.tc_id);
        } else {
            assert!(opened.is_err(), "test {}", vector.tc_id);
        }
        count += 1;
    }
    assert_eq!(count, expected);
}

#[test]
fn the_random_range_reads_of_a_long_vector_are_right() {
    let vectors: Vectors<Chunked> = serde_json::from_str(CHUNKED).unwrap();
    let vector = vectors.all().find(|vector| vector.has("CounterRollover")).unwrap();
    let key = SecretKey::from_slice(&bytes(&vector.key)).unwrap();
    let mut file = File::new(&decompress_to_vec_zlib(&bytes(&vector.ct)).unwrap());
    let length = file.length();
    let opened = Reader::open(&key, &[], 0..length, &mut |offset, out| file.read(offset, out));
    let mut reader = opened.unwrap();
    let (content, _) = read(&mut reader, &mut file);
    let mut random = rng(5);
    for _ in 0..40 {
        let mut draw = [0; 8];
        rand_core::Rng::fill_bytes(&mut random, &mut draw);
        let start = u32::from_le_bytes(draw[..4].try_into().unwrap()) as usize % content.len();
        let count = (u32::from_le_bytes(draw[4..].try_into().unwrap()) as usize % 100_000).min(content.len() - start);
        let mut out = vec![0; count];
        reader.read_at(start as u64, &mut out, &mut |offset, out| file.read(offset, out)).unwrap();
        assert!(out == content[start..start + count]);
    }
}
