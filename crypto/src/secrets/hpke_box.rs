//! HPKE (RFC 9180) in one way: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, one message each.
//!
//! It says nothing about the sender; who needs to know signs. What comes out is `enc(32) | ciphertext and tag`.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{Error, Key};

/// What is longer in a sealed message than in its content.
pub(super) const OVERHEAD_BYTES: usize = ENC_BYTES + 16;

/// Length of a public key.
pub(super) const PUBLIC_BYTES: usize = 32;

const ENC_BYTES: usize = 32;

type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type Encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey;

/// The public half of 32 uniformly random bytes.
pub(super) fn public(secret: &Key) -> Result<[u8; PUBLIC_BYTES], Error> {
    let secret = PrivateKey::from_bytes(secret.bytes()).map_err(|_| Error::Malformed("a private key"))?;
    Ok(X25519HkdfSha256::sk_to_pk(&secret).to_bytes().into())
}

/// Seals to a public key. One that would fix the key, such as zero, is refused.
pub(super) fn seal(
    recipient: &[u8; PUBLIC_BYTES],
    info: &[u8],
    aad: &[u8],
    content: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, Error> {
    let bad_key = |_| Error::Malformed("a public key");
    let recipient = PublicKey::from_bytes(recipient).map_err(bad_key)?;
    let (enc, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &recipient,
        info,
        content,
        aad,
        rng,
    )
    .map_err(bad_key)?;
    let mut sealed = enc.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Opens what was sealed to the public half of this secret.
pub(super) fn open(
    what: &'static str,
    secret: &Key,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    if sealed.len() < OVERHEAD_BYTES {
        return Err(Error::Length(what));
    }
    let (enc, ciphertext) = sealed.split_at(ENC_BYTES);
    let secret = PrivateKey::from_bytes(secret.bytes()).map_err(|_| Error::Malformed("a private key"))?;
    let enc = Encapsulated::from_bytes(enc).map_err(|_| Error::Malformed(what))?;
    let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &enc,
        info,
        ciphertext,
        aad,
    );
    opened.map(Zeroizing::new).map_err(|_| Error::NotAuthentic(what))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use data_encoding::HEXLOWER;
    use rand_core::{TryCryptoRng, TryRng};

    use super::*;

    /// RFC 9180, appendix A.2.1, the first message: what was drawn for either side, and what came out.
    const IKM_E: &str = "909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b";
    const SECRET_R: &str = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    const PUBLIC_R: &str = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    const ENC: &str = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    const CIPHERTEXT: &str =
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28";
    const INFO: &[u8] = b"Ode on a Grecian Urn";
    const AAD: &[u8] = b"Count-0";
    const CONTENT: &[u8] = b"Beauty is truth, truth beauty";

    struct Drawn(VecDeque<u8>);

    impl TryRng for Drawn {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("only bytes are drawn")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("only bytes are drawn")
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            out.fill_with(|| self.0.pop_front().unwrap());
            Ok(())
        }
    }

    impl TryCryptoRng for Drawn {}

    fn bytes(hex: &str) -> Vec<u8> {
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn array(hex: &str) -> [u8; 32] {
        bytes(hex).try_into().unwrap()
    }

    #[test]
    fn the_vector_of_rfc_9180_is_reproduced_by_both_sides() {
        let secret = Key::from_slice(&bytes(SECRET_R)).unwrap();
        assert_eq!(public(&secret).unwrap(), array(PUBLIC_R));
        let sealed = [bytes(ENC), bytes(CIPHERTEXT)].concat();
        let mut drawn = Drawn(bytes(IKM_E).into());
        assert_eq!(seal(&array(PUBLIC_R), INFO, AAD, CONTENT, &mut drawn).unwrap(), sealed);
        assert_eq!(open("it", &secret, INFO, AAD, &sealed).unwrap().as_slice(), CONTENT);
    }

    #[test]
    fn another_key_place_or_byte_does_not_open_and_short_ones_are_no_message() {
        let secret = Key::from_slice(&bytes(SECRET_R)).unwrap();
        let sealed = [bytes(ENC), bytes(CIPHERTEXT)].concat();
        let refused = Some(Error::NotAuthentic("it"));
        assert_eq!(open("it", &Key::from_array(&[7; 32]), INFO, AAD, &sealed).err(), refused);
        assert_eq!(open("it", &secret, b"Ode", AAD, &sealed).err(), refused);
        assert_eq!(open("it", &secret, INFO, b"Count-1", &sealed).err(), refused);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open("it", &secret, INFO, AAD, &changed).err(), refused, "byte {at}");
        }
        for length in 0..OVERHEAD_BYTES {
            assert_eq!(open("it", &secret, INFO, AAD, &sealed[..length]).err(), Some(Error::Length("it")));
        }
    }

    #[test]
    fn public_keys_that_fix_the_secret_are_refused() {
        let mut drawn = Drawn(bytes(IKM_E).into());
        assert_eq!(seal(&[0; 32], INFO, AAD, CONTENT, &mut drawn), Err(Error::Malformed("a public key")));
        let secret = Key::from_slice(&bytes(SECRET_R)).unwrap();
        let sealed = [vec![0; 32], bytes(CIPHERTEXT)].concat();
        assert_eq!(open("it", &secret, INFO, AAD, &sealed).err(), Some(Error::NotAuthentic("it")));
    }
}
