//! The phone's side of the channel: one connection, from the first frame to the end of its session.
//!
//! Used by the `coffer` client and by the tests of the box. It believes nothing before it is proved: who cannot make M2 is not
//! the box, and a long-term key is handed out only together with the first message that was sealed under it.

use std::time::Duration;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::failure::{Failure, Refusal};
use super::frame::{Reassembler, Splitter, frame_bytes};
use super::keys::{GROUP, PublicKey, StaticKey, random};
use super::message::{self, FromBox};
use super::noise::{self, Handshake, HandshakeFailed, Role};
use super::sealed::{OpenError, SealError, Sealed};
use super::{Channel, HANDSHAKE_TIME, PerChannel};
use crate::code::SetupCode;
use crate::srp::{Client, Credentials, PROOF_BYTES, PendingProof, SALT_BYTES};

/// What a phone begins a session with.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A code, and the box's long-term key if this device id was met before.
    Code(&'a SetupCode, Option<PublicKey>),
    /// The key that the box has enrolled; the box's long-term key, which was learnt then.
    EnrolledKey(PublicKey),
}

/// What came of a frame.
pub enum Event {
    /// The handshake goes on: write these frames on `session`.
    Write(Vec<Vec<u8>>),
    /// There is a session.
    Began {
        /// The box's long-term key, to be remembered with the device id.
        box_key: PublicKey,
        /// What the box said first, a JSON object.
        welcome: Zeroizing<Vec<u8>>,
    },
    /// A message of the session, a JSON object.
    Message {
        /// What carried it.
        channel: Channel,
        /// The object. May hold secrets.
        json: Zeroizing<Vec<u8>>,
    },
    /// There is no session, and will be none.
    Failed(Failed),
}

/// Why there is no session any more, or none came to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The box said so. Before there is a session nobody can tell who really said it.
    #[error("the box refused: {}", .0.happened)]
    Refused(Failure),
    /// It could not prove that it is the box, or is not the one it was.
    #[error("this is not the box that it claims to be")]
    NotTheBox,
    /// Something came that does not belong there, or is not authentic.
    #[error("the box does not keep to the protocol, or something was changed on the way")]
    Protocol,
    /// Nothing came in time.
    #[error("the box did not answer in time")]
    TimedOut,
}

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// There is none yet, or none any more.
    #[error("there is no session")]
    NoSession,
    /// It is empty, or longer than [`super::MAX_PLAINTEXT_BYTES`].
    #[error("the message is empty or too long")]
    Length,
    /// The session has used up its numbers: begin another.
    #[error("the session has used up its numbers")]
    Exhausted,
}

/// The phone's side.
pub struct Phone<R> {
    device_id: [u8; 16],
    key: StaticKey,
    mtu: u16,
    rng: R,
    splitters: PerChannel<Splitter>,
    notified: PerChannel<Reassembler>,
    reading: PerChannel<Reassembler>,
    stage: Stage,
    last_valid: Duration,
}

enum Stage {
    Idle,
    /// A was sent.
    Started(CodeStart),
    /// M1 was sent.
    Proved(CodeProof),
    /// `resume` was sent.
    Resuming(Handshake, PublicKey),
    /// The handshake is done, but whether the box has come to the same keys only `welcome` tells.
    AwaitingWelcome(Sealed, PublicKey),
    Session(Sealed),
}

struct CodeStart {
    client: Client,
    password: Zeroizing<String>,
    transcript: Sha256,
    known_box: Option<PublicKey>,
}

struct CodeProof {
    pending: PendingProof,
    handshake: Handshake,
    known_box: Option<PublicKey>,
}

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Notified,
    Read,
}

impl<R: CryptoRng> Phone<R> {
    /// A phone that is connected with the box of this device id (as in `info`); `key` is the phone's, for this box.
    pub fn new(device_id: [u8; 16], key: StaticKey, mtu: u16, rng: R) -> Self {
        Self {
            device_id,
            key,
            mtu,
            rng,
            splitters: PerChannel::default(),
            notified: PerChannel::default(),
            reading: PerChannel::default(),
            stage: Stage::Idle,
            last_valid: Duration::ZERO,
        }
    }

    /// Begins a handshake; returns frames to be written on `session`. What there was before is over.
    pub fn start(&mut self, credential: Credential<'_>, now: Duration) -> Result<Vec<Vec<u8>>, Failed> {
        self.stage = Stage::Idle;
        self.notified = PerChannel::default();
        self.reading = PerChannel::default();
        let message = match credential {
            Credential::Code(code, known_box) => {
                let client = Client::start(GROUP, &mut self.rng);
                let message = message::code_start(client.public());
                let transcript = Sha256::new_with_prefix(&message);
                self.stage = Stage::Started(CodeStart { client, password: code.secret(), transcript, known_box });
                message
            }
            Credential::EnrolledKey(box_key) => {
                let prologue = noise::key_prologue(&self.device_id);
                let role = Role::KeyPhone(&box_key);
                let mut handshake = Handshake::new(&role, &self.key, &prologue, random(&mut self.rng))?;
                let message = message::resume(&handshake.write()?);
                self.stage = Stage::Resuming(handshake, box_key);
                message
            }
        };
        self.last_valid = now;
        Ok(self.frames(Channel::Session, &message))
    }

    /// A characteristic notified a frame.
    pub fn notified(&mut self, channel: Channel, frame: &[u8], now: Duration) -> Option<Event> {
        // Frames that make no message may be the rest of what somebody else was told.
        let message = self.notified.of(channel).push(frame, now).ok()??;
        self.message(channel, &message, Way::Notified, now)
    }

    /// A read of a characteristic returned a frame. When there is no event, read again for the next frame: the value is not
    /// complete, or it was overtaken by a notification, which is newer.
    pub fn read(&mut self, channel: Channel, frame: &[u8], now: Duration) -> Option<Event> {
        let message = self.reading.of(channel).push(frame, now).ok()??;
        self.message(channel, &message, Way::Read, now)
    }

    /// Seals a JSON object; returns frames to be written on that characteristic.
    pub fn write(&mut self, channel: Channel, json: &[u8]) -> Result<Vec<Vec<u8>>, WriteError> {
        let Stage::Session(sealed) = &mut self.stage else { return Err(WriteError::NoSession) };
        let message = sealed.seal(channel, json).map_err(|error| match error {
            SealError::Length => WriteError::Length,
            SealError::Exhausted => WriteError::Exhausted,
        })?;
        Ok(self.frames(channel, &message))
    }

    /// Ends a handshake that took too long. A session has no limit on this side: the box ends it after
    /// [`super::IDLE_TIME`] without a request, and then answers no more.
    pub fn tick(&mut self, now: Duration) -> Option<Event> {
        self.deadline().filter(|deadline| now >= *deadline)?;
        self.stage = Stage::Idle;
        Some(Event::Failed(Failed::TimedOut))
    }

    /// When [`Phone::tick`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        match self.stage {
            Stage::Idle | Stage::Session(_) => None,
            Stage::Started(_) | Stage::Proved(_) | Stage::Resuming(..) | Stage::AwaitingWelcome(..) => {
                Some(self.last_valid.saturating_add(HANDSHAKE_TIME))
            }
        }
    }

    fn message(&mut self, channel: Channel, message: &[u8], way: Way, now: Duration) -> Option<Event> {
        let message_of_box = FromBox::parse(channel, message).ok()?;
        match (message_of_box, std::mem::replace(&mut self.stage, Stage::Idle)) {
            (FromBox::CodeChallenge { salt, server_public }, Stage::Started(start)) => {
                let proved = self.prove(start, message, &salt, server_public);
                Some(self.go_on(proved, now))
            }
            (FromBox::CodeAccepted { m2, noise }, Stage::Proved(proof)) => {
                let finished = finish(proof, &m2, noise);
                Some(self.go_on(finished, now))
            }
            (FromBox::Resumed { noise }, Stage::Resuming(mut handshake, box_key)) => {
                match handshake.read(noise).and_then(|()| handshake.split()) {
                    Ok(sealed) => {
                        self.go_to(Stage::AwaitingWelcome(sealed, box_key), now);
                        None
                    }
                    Err(failed) => Some(Event::Failed(failed.into())),
                }
            }
            (FromBox::Sealed(message), Stage::AwaitingWelcome(mut sealed, box_key))
                if channel == Channel::Session && way == Way::Notified =>
            {
                let Ok(welcome) = sealed.open(channel, message) else { return Some(Event::Failed(Failed::Protocol)) };
                self.go_to(Stage::Session(sealed), now);
                Some(Event::Began { box_key, welcome })
            }
            (FromBox::Sealed(message), Stage::Session(mut sealed)) => {
                let opened = sealed.open(channel, message);
                let overtaken = way == Way::Read && matches!(opened, Err(OpenError::Behind));
                match opened {
                    Ok(json) => {
                        self.stage = Stage::Session(sealed);
                        Some(Event::Message { channel, json })
                    }
                    Err(_) if overtaken => {
                        self.stage = Stage::Session(sealed);
                        None
                    }
                    Err(_) => Some(Event::Failed(Failed::Protocol)),
                }
            }
            (FromBox::Refused { json }, stage) => self.refused(json, stage),
            // A box that notifies everybody tells this phone what is meant for another.
            (_, stage) => {
                self.stage = stage;
                None
            }
        }
    }

    /// What was refused: this handshake, or something of somebody else's.
    fn refused(&mut self, json: &[u8], stage: Stage) -> Option<Event> {
        let failure = serde_json::from_slice::<Failure>(json).ok();
        let meant_for_us = match stage {
            Stage::Idle | Stage::Session(_) => false,
            Stage::Started(_) | Stage::Resuming(..) => true,
            // The box has answered this handshake, so it is another phone that is told to wait.
            Stage::Proved(_) | Stage::AwaitingWelcome(..) => {
                failure.as_ref().is_some_and(|failure| failure.code != Refusal::Busy.code())
            }
        };
        let refused = failure.filter(|_| meant_for_us).map(|failure| Event::Failed(Failed::Refused(failure)));
        if refused.is_none() {
            self.stage = stage;
        }
        refused
    }

    /// M1, and the first Noise message. What it is bound to has M2 in it, which is computed here and arrives later.
    fn prove(
        &mut self,
        start: CodeStart,
        challenge: &[u8],
        salt: &[u8; SALT_BYTES],
        server_public: &[u8],
    ) -> Result<(Stage, Vec<u8>), Failed> {
        let CodeStart { client, password, transcript, known_box } = start;
        let credentials = Credentials { identity: &self.device_id, password: password.as_bytes() };
        let proof = client.finish(server_public, salt, &credentials);
        let (m1, pending) = proof.map_err(|_| Failed::Protocol)?;
        let prologue = noise::code_prologue(transcript.chain_update(challenge), &m1, pending.expected());
        let mut handshake = Handshake::new(&Role::CodePhone, &self.key, &prologue, random(&mut self.rng))?;
        let message = message::code_proof(&m1, &handshake.write()?);
        Ok((Stage::Proved(CodeProof { pending, handshake, known_box }), message))
    }

    fn go_on(&mut self, next: Result<(Stage, Vec<u8>), Failed>, now: Duration) -> Event {
        match next {
            Ok((stage, message)) => {
                self.go_to(stage, now);
                Event::Write(self.frames(Channel::Session, &message))
            }
            Err(failed) => Event::Failed(failed),
        }
    }

    fn go_to(&mut self, stage: Stage, now: Duration) {
        self.stage = stage;
        self.last_valid = now;
    }

    fn frames(&mut self, channel: Channel, message: &[u8]) -> Vec<Vec<u8>> {
        // Nothing that is built here is empty, or too long.
        self.splitters.of(channel).split(message, frame_bytes(self.mtu)).unwrap_or_default()
    }
}

/// Checks M2 and the second Noise message, and makes the third.
fn finish(proof: CodeProof, m2: &[u8; PROOF_BYTES], noise: &[u8]) -> Result<(Stage, Vec<u8>), Failed> {
    let CodeProof { pending, mut handshake, known_box } = proof;
    let session_key = pending.verify(m2).map_err(|_| Failed::NotTheBox)?;
    handshake.read(noise)?;
    let box_key = handshake.theirs()?;
    if known_box.is_some_and(|known| known != box_key) {
        return Err(Failed::NotTheBox);
    }
    handshake.set_psk(&noise::code_psk(&session_key))?;
    let message = message::code_finish(&handshake.write()?);
    Ok((Stage::AwaitingWelcome(handshake.split()?, box_key), message))
}

impl From<HandshakeFailed> for Failed {
    fn from(_: HandshakeFailed) -> Self {
        Self::Protocol
    }
}
