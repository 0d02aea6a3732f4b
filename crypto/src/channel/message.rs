//! The messages of `docs/ble.md`, section 5, as bytes: type, fixed lengths, nothing of what they mean.

use super::{Channel, VERSION};
use crate::srp::{PROOF_BYTES, SALT_BYTES};

/// A or B.
const SRP_PUBLIC_BYTES: usize = super::keys::GROUP.bytes();
const XX_1_BYTES: usize = 32 + TAG_BYTES;
const XX_2_BYTES: usize = 32 + (32 + TAG_BYTES) + TAG_BYTES;
const XX_3_BYTES: usize = (32 + TAG_BYTES) + TAG_BYTES;
const IK_1_BYTES: usize = 32 + (32 + TAG_BYTES) + TAG_BYTES;
const IK_2_BYTES: usize = 32 + TAG_BYTES;
const COUNTER_BYTES: usize = 4;

/// What authentication adds to a ciphertext.
pub(super) const TAG_BYTES: usize = 16;
/// What sealing adds to a plaintext.
pub(super) const SEALED_EXTRA_BYTES: usize = 1 + COUNTER_BYTES + TAG_BYTES;

const CODE_START: u8 = 0x01;
const CODE_CHALLENGE: u8 = 0x02;
const CODE_PROOF: u8 = 0x03;
const CODE_ACCEPTED: u8 = 0x04;
const CODE_FINISH: u8 = 0x05;
const RESUME: u8 = 0x06;
const RESUMED: u8 = 0x07;
const REFUSED: u8 = 0x0f;
const SEALED: u8 = 0x10;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageError {
    /// A handshake begins, in a version that this does not speak.
    Version,
    /// Unknown type, wrong length, wrong characteristic, wrong direction.
    Shape,
}

/// A sealed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SealedMessage<'a> {
    pub(super) counter: u32,
    pub(super) ciphertext: &'a [u8],
}

/// What a phone may send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromPhone<'a> {
    CodeStart { client_public: &'a [u8] },
    CodeProof { m1: [u8; PROOF_BYTES], noise: &'a [u8] },
    CodeFinish { noise: &'a [u8] },
    Resume { noise: &'a [u8] },
    Sealed(SealedMessage<'a>),
}

/// What a box may send.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromBox<'a> {
    CodeChallenge { salt: [u8; SALT_BYTES], server_public: &'a [u8] },
    CodeAccepted { m2: [u8; PROOF_BYTES], noise: &'a [u8] },
    Resumed { noise: &'a [u8] },
    Refused { json: &'a [u8] },
    Sealed(SealedMessage<'a>),
}

impl<'a> FromPhone<'a> {
    pub(super) fn parse(channel: Channel, message: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, body) = message.split_first().ok_or(MessageError::Shape)?;
        match (*kind, channel) {
            (SEALED, _) => sealed_body(body).map(Self::Sealed),
            (CODE_START, Channel::Session) => {
                let client_public = exactly(SRP_PUBLIC_BYTES, versioned(body)?)?;
                Ok(Self::CodeStart { client_public })
            }
            (CODE_PROOF, Channel::Session) => {
                let (m1, noise) = body.split_first_chunk().ok_or(MessageError::Shape)?;
                Ok(Self::CodeProof { m1: *m1, noise: exactly(XX_1_BYTES, noise)? })
            }
            (CODE_FINISH, Channel::Session) => Ok(Self::CodeFinish { noise: exactly(XX_3_BYTES, body)? }),
            (RESUME, Channel::Session) => Ok(Self::Resume { noise: exactly(IK_1_BYTES, versioned(body)?)? }),
            _ => Err(MessageError::Shape),
        }
    }
}

impl<'a> FromBox<'a> {
    pub(super) fn parse(channel: Channel, message: &'a [u8]) -> Result<Self, MessageError> {
        let (kind, body) = message.split_first().ok_or(MessageError::Shape)?;
        match (*kind, channel) {
            (SEALED, _) => sealed_body(body).map(Self::Sealed),
            (CODE_CHALLENGE, Channel::Session) => {
                let (salt, server_public) = body.split_first_chunk().ok_or(MessageError::Shape)?;
                Ok(Self::CodeChallenge { salt: *salt, server_public: exactly(SRP_PUBLIC_BYTES, server_public)? })
            }
            (CODE_ACCEPTED, Channel::Session) => {
                let (m2, noise) = body.split_first_chunk().ok_or(MessageError::Shape)?;
                Ok(Self::CodeAccepted { m2: *m2, noise: exactly(XX_2_BYTES, noise)? })
            }
            (RESUMED, Channel::Session) => Ok(Self::Resumed { noise: exactly(IK_2_BYTES, body)? }),
            (REFUSED, Channel::Session) => Ok(Self::Refused { json: body }),
            _ => Err(MessageError::Shape),
        }
    }
}

pub(super) fn code_start(client_public: &[u8]) -> Vec<u8> {
    [&[CODE_START, VERSION], client_public].concat()
}

pub(super) fn code_challenge(salt: &[u8; SALT_BYTES], server_public: &[u8]) -> Vec<u8> {
    [&[CODE_CHALLENGE], salt.as_slice(), server_public].concat()
}

pub(super) fn code_proof(m1: &[u8; PROOF_BYTES], noise: &[u8]) -> Vec<u8> {
    [&[CODE_PROOF], m1.as_slice(), noise].concat()
}

pub(super) fn code_accepted(m2: &[u8; PROOF_BYTES], noise: &[u8]) -> Vec<u8> {
    [&[CODE_ACCEPTED], m2.as_slice(), noise].concat()
}

pub(super) fn code_finish(noise: &[u8]) -> Vec<u8> {
    [&[CODE_FINISH], noise].concat()
}

pub(super) fn resume(noise: &[u8]) -> Vec<u8> {
    [&[RESUME, VERSION], noise].concat()
}

pub(super) fn resumed(noise: &[u8]) -> Vec<u8> {
    [&[RESUMED], noise].concat()
}

pub(super) fn refused(json: &[u8]) -> Vec<u8> {
    [&[REFUSED], json].concat()
}

pub(super) fn sealed(counter: u32, ciphertext: &[u8]) -> Vec<u8> {
    [&[SEALED], counter.to_be_bytes().as_slice(), ciphertext].concat()
}

fn versioned(body: &[u8]) -> Result<&[u8], MessageError> {
    let (version, rest) = body.split_first().ok_or(MessageError::Shape)?;
    if *version == VERSION { Ok(rest) } else { Err(MessageError::Version) }
}

fn exactly(length: usize, bytes: &[u8]) -> Result<&[u8], MessageError> {
    if bytes.len() == length { Ok(bytes) } else { Err(MessageError::Shape) }
}

fn sealed_body(body: &[u8]) -> Result<SealedMessage<'_>, MessageError> {
    let (counter, ciphertext) = body.split_first_chunk().ok_or(MessageError::Shape)?;
    Ok(SealedMessage { counter: u32::from_be_bytes(*counter), ciphertext })
}
