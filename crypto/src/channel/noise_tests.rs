use data_encoding::HEXLOWER;
use serde::Deserialize;

use super::*;

/// From the vectors that the Haskell implementation cacophony published, and that `snow` and others repeat.
const VECTORS: &str = include_str!("../../vectors/noise.json");

#[derive(Deserialize)]
struct Vector {
    protocol_name: String,
    prologue: String,
    psk: Option<String>,
    init_static: String,
    init_ephemeral: String,
    resp_static: String,
    resp_ephemeral: String,
    handshake_hash: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn key(hex: &str) -> Key {
    Zeroizing::new(bytes(hex).try_into().unwrap())
}

fn pair(vector: &Vector) -> [Handshake; 2] {
    let (phone, device) = (StaticKey::from(*key(&vector.init_static)), StaticKey::from(*key(&vector.resp_static)));
    let box_key = device.public();
    let roles = match vector.protocol_name.as_str() {
        XX_PSK3 => [Role::CodePhone, Role::CodeBox],
        IK => [Role::KeyPhone(&box_key), Role::KeyBox],
        other => panic!("{other}"),
    };
    let prologue = bytes(&vector.prologue);
    let mut sides = [
        Handshake::new(&roles[0], &phone, &prologue, key(&vector.init_ephemeral)).unwrap(),
        Handshake::new(&roles[1], &device, &prologue, key(&vector.resp_ephemeral)).unwrap(),
    ];
    if let Some(psk) = &vector.psk {
        for side in &mut sides {
            side.set_psk(&key(psk)).unwrap();
        }
    }
    sides
}

#[test]
fn the_published_vectors_are_reproduced() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.iter().map(|vector| vector.protocol_name.as_str()).collect::<Vec<_>>(), [XX_PSK3, IK]);
    for vector in vectors {
        let mut sides = pair(&vector);
        let mut keys: Option<[Key; 2]> = None;
        let mut nonces = [0, 0];
        for (index, message) in vector.messages.iter().enumerate() {
            let (payload, expected, from) = (bytes(&message.payload), bytes(&message.ciphertext), index % 2);
            if let Some(keys) = &keys {
                assert_eq!(sealed::encrypt(&keys[from], nonces[from], &[], &payload), expected);
                assert_eq!(sealed::decrypt(&keys[from], nonces[from], &[], &expected), Some(payload));
                nonces[from] += 1;
                continue;
            }
            let mut buffer = [0; 256];
            let length = sides[from].0.write_message(&payload, &mut buffer).unwrap();
            assert_eq!(HEXLOWER.encode(&buffer[..length]), message.ciphertext, "message {index}");
            let length = sides[1 - from].0.read_message(&expected, &mut buffer).unwrap();
            assert_eq!(buffer[..length], payload);
            if sides[0].0.is_handshake_finished() {
                assert_eq!(HEXLOWER.encode(sides[0].0.get_handshake_hash()), vector.handshake_hash);
                let split = sides[0].0.dangerously_get_raw_split();
                assert_eq!(split, sides[1].0.dangerously_get_raw_split());
                keys = Some([Zeroizing::new(split.0), Zeroizing::new(split.1)]);
            }
        }
        assert!(keys.is_some());
    }
}

fn handshake(role: &Role<'_>, secret: u8) -> Handshake {
    Handshake::new(role, &StaticKey::from([secret; 32]), b"prologue", Zeroizing::new([secret + 1; 32])).unwrap()
}

/// Points of small order: with them every shared secret would be zero, whoever holds which key.
#[test]
fn a_public_key_that_makes_the_secret_zero_ends_the_handshake() {
    for low in [0, 1] {
        let mut zero = PublicKey([0; 32]);
        zero.0[0] = low;
        assert_eq!(handshake(&Role::KeyPhone(&zero), 1).write().err(), Some(HandshakeFailed));
        assert!(X25519::from([1; 32]).dh(&zero.0, &mut [0; 32]).is_err());
    }
}

#[test]
fn messages_have_no_payload() {
    let mut phone = handshake(&Role::CodePhone, 1);
    let mut buffer = [0; 128];
    let length = phone.0.write_message(b"payload", &mut buffer).unwrap();
    assert_eq!(handshake(&Role::CodeBox, 3).read(&buffer[..length]), Err(HandshakeFailed));
}

#[test]
fn an_ephemeral_key_is_good_for_one_handshake() {
    let mut drawn = Drawn(Some(Zeroizing::new([7; 32])));
    let mut out = [0; 32];
    drawn.try_fill_bytes(&mut out).unwrap();
    assert_eq!(out, [7; 32]);
    assert!(drawn.try_fill_bytes(&mut out).is_err());
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_done() {
    let mut phone = handshake(&Role::CodePhone, 1);
    phone.write().unwrap();
    assert!(phone.split().is_err());
}
