use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Deserialize;
use sha1::Sha1;

use super::*;

/// Made by `vectors/make_srp.py`, an implementation of its own.
static VECTORS: LazyLock<Vectors> =
    LazyLock::new(|| serde_json::from_str(include_str!("../vectors/srp.json")).unwrap());

const ALICE: Credentials<'_> = Credentials { identity: b"alice", password: b"password123" };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    groups: Vec<GroupVector>,
    logins: Vec<Login>,
    unknown: Vec<Unknown>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupVector {
    bits: usize,
    #[serde(rename = "N")]
    n: Hex,
    g: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    name: String,
    hash: String,
    bits: usize,
    #[serde(rename = "I")]
    identity: Hex,
    #[serde(rename = "P")]
    password: Hex,
    s: Hex,
    a: Hex,
    b: Hex,
    k: Hex,
    x: Hex,
    v: Hex,
    #[serde(rename = "A")]
    client_public: Hex,
    #[serde(rename = "B")]
    server_public: Hex,
    u: Hex,
    #[serde(rename = "S")]
    premaster: Hex,
    #[serde(rename = "K")]
    key: Hex,
    #[serde(rename = "M1")]
    m1: Hex,
    #[serde(rename = "M2")]
    m2: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unknown {
    bits: usize,
    server_secret: Hex,
    name: Hex,
    s: Hex,
    v: Hex,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Hex(Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = data_encoding::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        HEXLOWER.decode(text.as_bytes()).map(Self)
    }
}

impl Hex {
    fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

fn group(bits: usize) -> Group {
    let all = [Group::Bits1024, Group::Bits2048, Group::Bits3072, Group::Bits4096];
    all.into_iter().find(|group| group.bytes() * 8 == bits).unwrap()
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The two sides after A and B were drawn, in a group that is quick.
fn both(seed: u64) -> (Client, Server) {
    both_in(Group::Bits1024, &ALICE, &mut rng(seed))
}

fn both_in(group: Group, credentials: &Credentials<'_>, rng: &mut ChaCha20Rng) -> (Client, Server) {
    let verifier = Verifier::enrol(group, credentials, rng);
    (Client::start(group, rng), Server::start(verifier, credentials.identity, rng))
}

/// A whole login; both sides must end with the same key.
fn log_in(client: Client, server: Server, credentials: &Credentials<'_>) -> SessionKey {
    let client_public = client.public().to_vec();
    let (m1, proof) = client.finish(server.public(), server.salt(), credentials).unwrap();
    let (m2, server_key) = server.check(&client_public, &m1).unwrap();
    let client_key = proof.verify(&m2).unwrap();
    assert_eq!(client_key.as_bytes(), server_key.as_bytes());
    client_key
}

fn wrong(result: Result<(impl Sized, impl Sized), SrpError>) -> SrpError {
    result.err().expect("it must be refused")
}

#[test]
fn the_groups_are_those_of_a_second_implementation() {
    assert_eq!(VECTORS.groups.len(), 4);
    for expected in &VECTORS.groups {
        let group = group(expected.bits);
        assert_eq!(group.modulus(), expected.n.0, "{group:?}");
        assert_eq!(group.generator(), expected.g, "{group:?}");
    }
    assert_eq!(Group::default(), Group::Bits4096);
}

/// RFC 5054, appendix B: SHA-1 and 1024 bits, so it tells of the arithmetic and of what goes into each hash.
#[test]
fn the_vector_of_rfc_5054_is_reproduced() {
    let of_rfc = &VECTORS.logins[0];
    assert_eq!((of_rfc.hash.as_str(), of_rfc.bits), ("sha1", 1024));
    let arithmetic = Arithmetic::new(Group::Bits1024);
    let sha1 = |parts: &[&[u8]]| Hex(Sha1::digest(parts.concat()).to_vec());
    let mut padded_g = vec![0; 128];
    padded_g[127] = 2;
    let inner = sha1(&[&of_rfc.identity.0, b":", &of_rfc.password.0]);
    assert_eq!(sha1(&[&Group::Bits1024.modulus(), &padded_g]), of_rfc.k);
    assert_eq!(sha1(&[&of_rfc.s.0, &inner.0]), of_rfc.x);
    assert_eq!(sha1(&[&of_rfc.client_public.0, &of_rfc.server_public.0]), of_rfc.u);
    let Login { a, b, k, x, v, client_public, server_public, u, premaster, .. } = of_rfc;
    assert_eq!(*arithmetic.power_of_g(&x.0), v.0);
    assert_eq!(*arithmetic.power_of_g(&a.0), client_public.0);
    assert_eq!(*arithmetic.server_public(&k.0, &v.0, &b.0), server_public.0);
    assert_eq!(*arithmetic.client_premaster(&server_public.0, &k.0, &x.0, &a.0, &u.0), premaster.0);
    assert_eq!(*arithmetic.server_premaster(&client_public.0, &v.0, &u.0, &b.0), premaster.0);
}

#[test]
fn published_vectors_and_numbers_that_begin_with_zeros_are_reproduced_by_both_sides() {
    let logins: Vec<&Login> = VECTORS.logins.iter().filter(|login| login.hash == "sha256").collect();
    assert_eq!(logins.iter().map(|l| l.bits).collect::<Vec<_>>(), [2048, 3072, 4096, 4096, 4096, 4096]);
    for expected in logins {
        let (name, group) = (&expected.name, group(expected.bits));
        let credentials = Credentials { identity: &expected.identity.0, password: &expected.password.0 };
        let salt = expected.s.array();
        assert_eq!(multiplier(group), expected.k.array(), "{name}: k");
        assert_eq!(*private_key(&salt, &credentials), expected.x.array(), "{name}: x");
        let verifier = Verifier::with_salt(group, &credentials, salt);
        assert_eq!(verifier.value(), expected.v.0, "{name}: v");
        let client = Client::with_ephemeral(group, Zeroizing::new(expected.a.array()));
        assert_eq!(client.public(), expected.client_public.0, "{name}: A");
        let server = Server::with_ephemeral(verifier, credentials.identity, Zeroizing::new(expected.b.array()));
        assert_eq!(server.public(), expected.server_public.0, "{name}: B");
        assert_eq!(scrambling(client.public(), server.public()).unwrap(), expected.u.array(), "{name}: u");
        assert_eq!(hash(&[&expected.premaster.0]), expected.key.array(), "{name}: K is the hash of S");
        let (m1, proof) = client.finish(server.public(), server.salt(), &credentials).unwrap();
        assert_eq!(m1, expected.m1.array(), "{name}: M1");
        let (m2, server_key) = server.check(&expected.client_public.0, &m1).unwrap();
        assert_eq!(m2, expected.m2.array(), "{name}: M2");
        assert_eq!(*server_key.as_bytes(), expected.key.array(), "{name}: K of the server");
        assert_eq!(*proof.verify(&m2).unwrap().as_bytes(), expected.key.array(), "{name}: K of the client");
    }
}

/// About one in 85 of these has an A, B or S that begins with a zero byte.
#[test]
fn two_thousand_random_logins_succeed() {
    let mut short = 0;
    for seed in 0..2000 {
        let mut rng = rng(seed);
        let (mut identity, mut password) = ([0; 16], [0; 32]);
        rng.fill_bytes(&mut identity);
        rng.fill_bytes(&mut password);
        let credentials = Credentials { identity: &identity, password: &password };
        let (client, server) = both_in(Group::Bits1024, &credentials, &mut rng);
        short += usize::from(client.public()[0] == 0) + usize::from(server.public()[0] == 0);
        log_in(client, server, &credentials);
    }
    assert!(short > 5, "only {short} numbers began with a zero byte");
}

#[test]
fn random_logins_succeed_in_the_groups_that_are_used() {
    for group in [Group::Bits3072, Group::Bits4096] {
        for seed in 0..25 {
            let (client, server) = both_in(group, &ALICE, &mut rng(seed));
            log_in(client, server, &ALICE);
        }
    }
}

#[test]
fn two_logins_share_no_value() {
    let mut rng = rng(1);
    let (first_client, first_server) = both_in(Group::Bits1024, &ALICE, &mut rng);
    let (second_client, second_server) = both_in(Group::Bits1024, &ALICE, &mut rng);
    assert_ne!(first_client.public(), second_client.public());
    assert_ne!(first_server.public(), second_server.public());
    assert_ne!(first_server.salt(), second_server.salt());
    let first = log_in(first_client, first_server, &ALICE);
    let second = log_in(second_client, second_server, &ALICE);
    assert_ne!(first.as_bytes(), second.as_bytes());
}

#[test]
fn a_wrong_password_or_identity_is_refused_by_the_server() {
    let strangers = [
        Credentials { password: b"password124", ..ALICE },
        Credentials { password: b"", ..ALICE },
        Credentials { identity: b"alicf", ..ALICE },
        // The same bytes around the colon.
        Credentials { identity: b"alice:p", password: b"assword123" },
    ];
    for stranger in strangers {
        let (client, server) = both(2);
        let client_public = client.public().to_vec();
        let (m1, _) = client.finish(server.public(), server.salt(), &stranger).unwrap();
        assert_eq!(wrong(server.check(&client_public, &m1)), SrpError::WrongProof);
    }
}

#[test]
fn what_was_changed_on_the_way_is_noticed() {
    let flipped = |bytes: &[u8]| {
        let mut changed = bytes.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        changed
    };
    let (client, server) = both(3);
    let a = client.public().to_vec();
    let (m1, proof) = client.finish(server.public(), server.salt(), &ALICE).unwrap();
    assert_eq!(wrong(both(3).1.check(&flipped(&a), &m1)), SrpError::WrongProof, "A");
    assert_eq!(wrong(both(3).1.check(&a, &flipped(&m1))), SrpError::WrongProof, "M1");
    let (m2, _) = server.check(&a, &m1).unwrap();
    assert_eq!(proof.verify(&flipped(&m2)).err(), Some(SrpError::WrongProof), "M2");

    let (client, server) = both(3);
    let (m1, _) = client.finish(&flipped(server.public()), server.salt(), &ALICE).unwrap();
    assert_eq!(wrong(server.check(&a, &m1)), SrpError::WrongProof, "B");
    let (client, server) = both(3);
    let (m1, _) = client.finish(server.public(), &flipped(server.salt()), &ALICE).unwrap();
    assert_eq!(wrong(server.check(&a, &m1)), SrpError::WrongProof, "salt");
}

#[test]
fn a_proof_is_worth_nothing_in_another_handshake() {
    let (client, server) = both(4);
    let a = client.public().to_vec();
    let (m1, _) = client.finish(server.public(), server.salt(), &ALICE).unwrap();
    let salt = *server.salt();
    let verifier = Verifier::with_salt(Group::Bits1024, &ALICE, salt);
    let later = Server::start(verifier, ALICE.identity, &mut rng(5));
    assert_eq!(wrong(later.check(&a, &m1)), SrpError::WrongProof);
    assert!(server.check(&a, &m1).is_ok());
}

/// It can compute everything but S: it answers with the M2 that follows from the verifier of another password.
#[test]
fn a_server_without_the_verifier_is_refused_by_the_client() {
    let mut rng = rng(6);
    let client = Client::start(Group::Bits1024, &mut rng);
    let a = client.public().to_vec();
    let guess = Verifier::enrol(Group::Bits1024, &Credentials { password: b"guess", ..ALICE }, &mut rng);
    let server = Server::start(guess, ALICE.identity, &mut rng);
    let (m1, proof) = client.finish(server.public(), server.salt(), &ALICE).unwrap();
    let u = scrambling(&a, server.public()).unwrap();
    let premaster = server.arithmetic.server_premaster(&a, server.verifier.value(), &u, server.b.as_slice());
    let m2 = server_proof(&a, &m1, &SessionKey(hash(&[&premaster])));
    assert_eq!(proof.verify(&m2).err(), Some(SrpError::WrongProof));
}

#[test]
fn public_values_that_would_fix_the_key_are_refused() {
    for group in [Group::Bits1024, Group::Bits3072, Group::Bits4096] {
        let bytes = group.bytes();
        let n = group.modulus();
        let mut twice = vec![0; bytes + 1];
        for (index, byte) in n.iter().enumerate() {
            twice[index] |= byte >> 7;
            twice[index + 1] = byte << 1;
        }
        let length = |value, found| SrpError::Length { value, found, expected: bytes };
        let cases = |value| {
            [
                (vec![0; bytes], SrpError::Range(value)),
                (n.clone(), SrpError::Range(value)),
                (vec![255; bytes], SrpError::Range(value)),
                (twice.clone(), length(value, bytes + 1)),
                (Vec::new(), length(value, 0)),
                (vec![1], length(value, 1)),
                (vec![1; bytes - 1], length(value, bytes - 1)),
                ([vec![0], vec![1; bytes]].concat(), length(value, bytes + 1)),
                (vec![1; 100_000], length(value, 100_000)),
            ]
        };
        for (sent, error) in cases(Value::ClientPublic) {
            assert_eq!(check_client_public(group, &sent), Err(error));
            let (_, server) = both_in(group, &ALICE, &mut rng(7));
            assert_eq!(wrong(server.check(&sent, &[0; 32])), error);
        }
        for (sent, error) in cases(Value::ServerPublic) {
            let client = Client::start(group, &mut rng(7));
            assert_eq!(wrong(client.finish(&sent, &[0; 16], &ALICE)), error);
        }
        for (sent, error) in cases(Value::Verifier) {
            assert_eq!(Verifier::from_parts(group, &[0; 16], &sent).err(), Some(error));
        }
        let mut below = n.clone();
        *below.last_mut().unwrap() -= 1;
        assert_eq!(check_client_public(group, &below), Ok(()), "N - 1 is the largest that is allowed");
    }
}

#[test]
fn salts_and_proofs_have_one_length() {
    for found in [0, 15, 17, 1000] {
        let error = SrpError::Length { value: Value::Salt, found, expected: SALT_BYTES };
        let (client, server) = both(8);
        assert_eq!(wrong(client.finish(server.public(), &vec![1; found], &ALICE)), error);
        let verifier = Verifier::from_parts(Group::Bits1024, &vec![1; found], server.verifier.value());
        assert_eq!(verifier.err(), Some(error));
    }
    for found in [0, 31, 33, 1000] {
        let error = SrpError::Length { value: Value::Proof, found, expected: PROOF_BYTES };
        let (client, server) = both(8);
        let a = client.public().to_vec();
        let (_, proof) = client.finish(server.public(), server.salt(), &ALICE).unwrap();
        assert_eq!(wrong(server.check(&a, &vec![1; found])), error);
        assert_eq!(proof.verify(&vec![1; found]).err(), Some(error));
    }
}

#[test]
fn a_scrambling_of_zero_is_refused() {
    assert_eq!(not_zero([0; 32]), Err(SrpError::ZeroScrambling));
    let mut one = [0; 32];
    one[31] = 1;
    assert_eq!(not_zero(one), Ok(one));
}

#[test]
fn a_stored_verifier_reads_back() {
    let made = Verifier::enrol(Group::Bits1024, &ALICE, &mut rng(9));
    let stored = Verifier::from_parts(made.group(), made.salt(), made.value()).unwrap();
    let server = Server::start(stored, ALICE.identity, &mut rng(10));
    log_in(Client::start(Group::Bits1024, &mut rng(11)), server, &ALICE);
}

#[test]
fn an_unknown_name_has_a_verifier_that_stays_and_that_nothing_fits() {
    assert_eq!(VECTORS.unknown.len(), 2);
    for expected in &VECTORS.unknown {
        let group = group(expected.bits);
        let secret = expected.server_secret.array();
        let unknown = Verifier::of_unknown(group, &secret, &expected.name.0);
        assert_eq!(unknown.salt(), expected.s.0.as_slice());
        assert_eq!(unknown.value(), expected.v.0);
        assert!(Verifier::from_parts(group, unknown.salt(), unknown.value()).is_ok(), "it looks like a real one");
        let another = Verifier::of_unknown(group, &secret, b"somebody");
        assert_ne!(another.salt(), unknown.salt());
        assert_ne!(another.value(), unknown.value());
        let elsewhere = Verifier::of_unknown(group, &[9; 32], &expected.name.0);
        assert_ne!(elsewhere.salt(), unknown.salt(), "two boxes tell nothing about each other");
        assert_ne!(elsewhere.value(), unknown.value());
    }
    let unknown = Verifier::of_unknown(Group::Bits1024, &[1; 32], b"alice");
    let server = Server::start(unknown, ALICE.identity, &mut rng(12));
    let client = Client::start(Group::Bits1024, &mut rng(13));
    let a = client.public().to_vec();
    let (m1, _) = client.finish(server.public(), server.salt(), &ALICE).unwrap();
    assert_eq!(wrong(server.check(&a, &m1)), SrpError::WrongProof);
}
