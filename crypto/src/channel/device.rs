//! The box's side of the channel: one connection at a time has a handshake or a session.
//!
//! What the machine must know and cannot (may this phone try a code, has the guess been counted, is this key enrolled) it
//! asks by an [`Action`] that carries all of the handshake in a value of its own. The caller answers by handing the value
//! back, as soon as it knows: after a file was written, or a service answered. If the phone is gone by then, nothing
//! happens. A proof cannot be checked in any other way than by saying that the guess was counted.

use std::collections::VecDeque;
use std::time::Duration;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use super::action::{
    Action, Attempt, Challenge, CodeAnswer, CodeKind, CodeRequest, Entrance, Guess, Notification, PhoneAnswer, Proof,
    Resumption, SendError, Session, SessionEnd,
};
use super::failure::Refusal;
use super::frame::{self, Reassembler, Splitter, frame_bytes};
use super::keys::{GROUP, PublicKey, StaticKey, random};
use super::message::{self, FromPhone, MessageError, SealedMessage};
use super::noise::{self, Handshake, HandshakeFailed, Role};
use super::sealed::{SealError, Sealed};
use super::{Channel, HANDSHAKE_TIME, IDLE_TIME, Link, Peer, PerChannel};
use crate::srp::{self, SessionKey};

/// The box's side.
pub struct Device<R> {
    id: [u8; 16],
    key: StaticKey,
    rng: R,
    splitters: PerChannel<Splitter>,
    current: Option<Connection>,
    attempts: Attempt,
}

/// The one connection that is listened to.
struct Connection {
    link: Link,
    inbound: PerChannel<Reassembler>,
    /// What reads have not taken yet.
    reading: PerChannel<VecDeque<Vec<u8>>>,
    stage: Stage,
    /// When something valid came last.
    last_valid: Duration,
}

enum Stage {
    /// Nothing: another connection may take its place.
    Idle,
    /// The caller was asked something, and holds what there is of the handshake.
    Asked(Attempt),
    /// B was sent, M1 is to come.
    Challenged(Box<Challenge>),
    /// M2 was sent, Noise message 3 is to come.
    Accepted(Handshake, CodeKind),
    /// All is sealed.
    Session(Sealed),
}

impl<R: CryptoRng> Device<R> {
    /// A box with this device id (the bytes of the UUID, as in `info`) and long-term key.
    pub fn new(device_id: [u8; 16], key: StaticKey, rng: R) -> Self {
        Self { id: device_id, key, rng, splitters: PerChannel::default(), current: None, attempts: 0 }
    }

    /// A phone wrote a frame.
    pub fn frame(&mut self, link: Link, channel: Channel, frame: &[u8], now: Duration) -> Vec<Action> {
        let mut actions = self.tick(now);
        if self.current.as_ref().is_some_and(|current| current.link.peer != link.peer && current.holds()) {
            // Once a message, not once a frame.
            if frame::begins(frame) {
                actions.extend(self.notify(link, &message::refused(&Refusal::Busy.to_json())));
            }
            return actions;
        }
        match self.connection(link).inbound.of(channel).push(frame, now) {
            Ok(None) => {}
            Ok(Some(message)) => actions.extend(self.message(channel, &message, now)),
            Err(_) if self.session().is_some() => {
                actions.extend(self.notify(link, &message::refused(&Refusal::MalformedFrame.to_json())));
            }
            Err(_) => actions.extend(self.refuse(Refusal::MalformedFrame)),
        }
        actions
    }

    /// A phone is gone.
    pub fn disconnected(&mut self, peer: Peer) -> Vec<Action> {
        let gone = self.current.take_if(|current| current.link.peer == peer);
        let in_session = gone.is_some_and(|gone| matches!(gone.stage, Stage::Session(_)));
        if in_session { vec![Action::Ended(SessionEnd::Disconnected)] } else { Vec::new() }
    }

    /// Ends what took too long. Call it at [`Device::deadline`].
    pub fn tick(&mut self, now: Duration) -> Vec<Action> {
        let Some(current) = &mut self.current else { return Vec::new() };
        current.inbound.iter_mut().for_each(|reassembler| reassembler.expire(now));
        if current.limit().is_none_or(|limit| now < limit) {
            return Vec::new();
        }
        if self.session().is_some() { self.end(SessionEnd::Idle) } else { self.refuse(Refusal::SessionEnded) }
    }

    /// When [`Device::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        let current = self.current.as_ref()?;
        current.inbound.iter().filter_map(Reassembler::deadline).chain(current.limit()).min()
    }

    /// Answers [`Action::AskCode`].
    pub fn answer_code(&mut self, request: CodeRequest, answer: CodeAnswer, now: Duration) -> Vec<Action> {
        let CodeRequest { attempt, client_public, transcript } = request;
        self.answer(attempt, now, |device, link| {
            let (kind, verifier) = match answer {
                CodeAnswer::Open(kind, verifier) => (kind, verifier),
                CodeAnswer::Refuse(refusal) => return device.refuse(refusal),
            };
            let server = srp::Server::start(verifier.0, &device.id, &mut device.rng);
            let message = message::code_challenge(server.salt(), server.public());
            let transcript = transcript.chain_update(&message);
            let challenge = Challenge { kind, server, client_public, transcript };
            device.go_to(Stage::Challenged(Box::new(challenge)), now);
            device.notify(link, &message)
        })
    }

    /// Answers [`Action::CountGuess`]: checks the proof, now that the guess is counted.
    pub fn check(&mut self, proof: Proof, guess: Guess, now: Duration) -> Vec<Action> {
        let Proof { attempt, challenge, m1, noise } = proof;
        let Challenge { kind, server, client_public, transcript } = *challenge;
        self.answer(attempt, now, |device, link| {
            let retry_after_s = match guess {
                Guess::Counted { retry_after_s } => retry_after_s,
                Guess::Refused(refusal) => return device.refuse(refusal),
            };
            let Ok((m2, session_key)) = server.check(&client_public, &m1) else {
                return device.refuse(Refusal::WrongCode { retry_after_s });
            };
            let mut actions = vec![Action::GuessWasRight(kind)];
            actions.extend(match device.accept(&noise::code_prologue(transcript, &m1, &m2), &session_key, &noise) {
                Ok((handshake, noise)) => {
                    device.go_to(Stage::Accepted(handshake, kind), now);
                    device.notify(link, &message::code_accepted(&m2, &noise))
                }
                Err(HandshakeFailed) => device.refuse(Refusal::MalformedMessage),
            });
            actions
        })
    }

    /// Answers [`Action::AskPhone`].
    pub fn answer_phone(&mut self, resumption: Resumption, answer: PhoneAnswer, now: Duration) -> Vec<Action> {
        let Resumption { attempt, phone, mut handshake } = resumption;
        self.answer(attempt, now, |device, link| {
            if let PhoneAnswer::Refuse(refusal) = answer {
                return device.refuse(refusal);
            }
            let Ok(noise) = handshake.write() else { return device.refuse(Refusal::MalformedMessage) };
            let mut actions = device.notify(link, &message::resumed(&noise));
            actions.extend(device.begin(handshake, phone, Entrance::EnrolledKey, now));
            actions
        })
    }

    /// Seals a JSON object for the phone that has the session.
    pub fn send(&mut self, channel: Channel, json: &[u8]) -> Result<Notification, SendError> {
        let (peer, frames) = self.seal(channel, json)?;
        Ok(Notification { peer, channel, frames })
    }

    /// A phone reads a characteristic: the next frame of the value that it began to read, else the first of `latest`, a
    /// JSON object.
    pub fn read(&mut self, peer: Peer, channel: Channel, latest: &[u8]) -> Result<Vec<u8>, SendError> {
        let current = self.current.as_mut().filter(|current| current.link.peer == peer && current.in_session());
        let current = current.ok_or(SendError::NoSession)?;
        if let Some(frame) = current.reading.of(channel).pop_front() {
            return Ok(frame);
        }
        let mut frames = VecDeque::from(self.seal(channel, latest)?.1);
        let frame = frames.pop_front().ok_or(SendError::Length)?;
        if let Some(current) = &mut self.current {
            *current.reading.of(channel) = frames;
        }
        Ok(frame)
    }

    /// Ends the session, if there is one: its phone was revoked, or the box is about to be reset.
    pub fn end_session(&mut self) -> Vec<Action> {
        if self.session().is_some() { self.end(SessionEnd::Closed) } else { Vec::new() }
    }

    fn message(&mut self, channel: Channel, message: &[u8], now: Duration) -> Vec<Action> {
        match FromPhone::parse(channel, message) {
            Ok(FromPhone::CodeStart { client_public }) => self.code_start(message, client_public, now),
            Ok(FromPhone::CodeProof { m1, noise }) => {
                let stage = self.take_stage();
                let Some(Stage::Challenged(challenge)) = stage else { return self.out_of_order(stage.as_ref()) };
                let attempt = self.ask(now);
                vec![Action::CountGuess(Proof { attempt, challenge, m1, noise: noise.to_vec() })]
            }
            Ok(FromPhone::CodeFinish { noise }) => {
                let stage = self.take_stage();
                let Some(Stage::Accepted(handshake, kind)) = stage else { return self.out_of_order(stage.as_ref()) };
                self.finish(handshake, kind, noise, now)
            }
            Ok(FromPhone::Resume { noise }) => self.resume(noise, now),
            Ok(FromPhone::Sealed(sealed)) => self.sealed(channel, sealed, now),
            Err(MessageError::Version) => {
                let mut actions = self.replace_session();
                actions.extend(self.refuse(Refusal::UnsupportedVersion));
                actions
            }
            Err(MessageError::Shape) if self.session().is_some() => self.end(SessionEnd::Invalid),
            Err(MessageError::Shape) => self.refuse(Refusal::MalformedMessage),
        }
    }

    fn code_start(&mut self, message: &[u8], client_public: &[u8], now: Duration) -> Vec<Action> {
        let mut actions = self.replace_session();
        if srp::check_client_public(GROUP, client_public).is_err() {
            actions.extend(self.refuse(Refusal::MalformedMessage));
            return actions;
        }
        let transcript = Sha256::new_with_prefix(message);
        let attempt = self.ask(now);
        actions.push(Action::AskCode(CodeRequest { attempt, client_public: client_public.to_vec(), transcript }));
        actions
    }

    fn resume(&mut self, noise: &[u8], now: Duration) -> Vec<Action> {
        let mut actions = self.replace_session();
        let Ok((handshake, phone)) = self.read_resumption(noise) else {
            actions.extend(self.refuse(Refusal::MalformedMessage));
            return actions;
        };
        let attempt = self.ask(now);
        actions.push(Action::AskPhone(Resumption { attempt, phone, handshake }));
        actions
    }

    fn sealed(&mut self, channel: Channel, sealed: SealedMessage<'_>, now: Duration) -> Vec<Action> {
        let Some(session) = self.session() else { return self.refuse(Refusal::SessionEnded) };
        let Ok(json) = session.open(channel, sealed) else { return self.end(SessionEnd::Invalid) };
        if let Some(current) = &mut self.current {
            current.last_valid = now;
        }
        vec![Action::Request { channel, json }]
    }

    /// Noise messages 1 and 2 of a handshake by code.
    fn accept(
        &mut self,
        prologue: &[u8],
        session_key: &SessionKey,
        noise: &[u8],
    ) -> Result<(Handshake, Vec<u8>), HandshakeFailed> {
        let mut handshake = Handshake::new(&Role::CodeBox, &self.key, prologue, random(&mut self.rng))?;
        handshake.set_psk(&noise::code_psk(session_key))?;
        handshake.read(noise)?;
        let answer = handshake.write()?;
        Ok((handshake, answer))
    }

    /// Noise message 3 of a handshake by code.
    fn finish(&mut self, mut handshake: Handshake, kind: CodeKind, noise: &[u8], now: Duration) -> Vec<Action> {
        let Ok(phone) = handshake.read(noise).and_then(|()| handshake.theirs()) else {
            return self.refuse(Refusal::SessionEnded);
        };
        self.begin(handshake, phone, Entrance::Code(kind), now)
    }

    /// Noise message 1 of a handshake by key.
    fn read_resumption(&mut self, noise: &[u8]) -> Result<(Handshake, PublicKey), HandshakeFailed> {
        let prologue = noise::key_prologue(&self.id);
        let mut handshake = Handshake::new(&Role::KeyBox, &self.key, &prologue, random(&mut self.rng))?;
        handshake.read(noise)?;
        let phone = handshake.theirs()?;
        Ok((handshake, phone))
    }

    fn begin(&mut self, handshake: Handshake, phone: PublicKey, entrance: Entrance, now: Duration) -> Vec<Action> {
        let Ok(sealed) = handshake.split() else { return self.refuse(Refusal::SessionEnded) };
        self.go_to(Stage::Session(sealed), now);
        let Some(current) = &mut self.current else { return Vec::new() };
        // What a session before this one left half-sent or half-read does not belong to this one.
        current.inbound = PerChannel::default();
        current.reading = PerChannel::default();
        vec![Action::Began(Session { peer: current.link.peer, phone, entrance })]
    }

    /// The connection of this phone. It is a new one unless the phone is the one that was listened to.
    fn connection(&mut self, link: Link) -> &mut Connection {
        if self.current.as_ref().is_some_and(|current| current.link.peer != link.peer) {
            self.current = None;
        }
        let current = self.current.get_or_insert_with(|| Connection::new(link));
        current.link = link;
        current
    }

    fn session(&mut self) -> Option<&mut Sealed> {
        match &mut self.current.as_mut()?.stage {
            Stage::Session(sealed) => Some(sealed),
            Stage::Idle | Stage::Asked(_) | Stage::Challenged(_) | Stage::Accepted(..) => None,
        }
    }

    fn take_stage(&mut self) -> Option<Stage> {
        self.current.as_mut().map(|current| std::mem::replace(&mut current.stage, Stage::Idle))
    }

    fn go_to(&mut self, stage: Stage, now: Duration) {
        if let Some(current) = &mut self.current {
            current.stage = stage;
            current.last_valid = now;
        }
    }

    /// Waits for the caller's answer to a question with this number.
    fn ask(&mut self, now: Duration) -> Attempt {
        self.attempts = self.attempts.wrapping_add(1);
        self.go_to(Stage::Asked(self.attempts), now);
        self.attempts
    }

    /// Goes on with an answer of the caller's, if it is the one that is waited for.
    fn answer(
        &mut self,
        attempt: Attempt,
        now: Duration,
        go_on: impl FnOnce(&mut Self, Link) -> Vec<Action>,
    ) -> Vec<Action> {
        let mut actions = self.tick(now);
        let waiting = self.current.as_ref();
        let waiting = waiting.filter(|current| matches!(current.stage, Stage::Asked(asked) if asked == attempt));
        if let Some(link) = waiting.map(|current| current.link) {
            actions.extend(go_on(self, link));
        }
        actions
    }

    /// Another handshake begins.
    fn replace_session(&mut self) -> Vec<Action> {
        match self.take_stage() {
            Some(Stage::Session(_)) => vec![Action::Ended(SessionEnd::Replaced)],
            None | Some(Stage::Idle | Stage::Asked(_) | Stage::Challenged(_) | Stage::Accepted(..)) => Vec::new(),
        }
    }

    /// A message that has no place at this stage, which is over with it.
    fn out_of_order(&mut self, stage: Option<&Stage>) -> Vec<Action> {
        let mut actions = self.refuse(Refusal::SessionEnded);
        if matches!(stage, Some(Stage::Session(_))) {
            actions.push(Action::Ended(SessionEnd::Invalid));
        }
        actions
    }

    fn end(&mut self, why: SessionEnd) -> Vec<Action> {
        let mut actions = self.refuse(Refusal::SessionEnded);
        actions.push(Action::Ended(why));
        actions
    }

    /// Ends whatever the connection has, and says why, in clear.
    fn refuse(&mut self, refusal: Refusal) -> Vec<Action> {
        let Some(current) = &mut self.current else { return Vec::new() };
        current.stage = Stage::Idle;
        let link = current.link;
        self.notify(link, &message::refused(&refusal.to_json()))
    }

    /// A message in clear.
    fn notify(&mut self, link: Link, message: &[u8]) -> Vec<Action> {
        let split = self.splitters.of(Channel::Session).split(message, frame_bytes(link.mtu));
        let notify = |frames| Action::Notify(Notification { peer: link.peer, channel: Channel::Session, frames });
        split.map(notify).into_iter().collect()
    }

    fn seal(&mut self, channel: Channel, json: &[u8]) -> Result<(Peer, Vec<Vec<u8>>), SendError> {
        let session = self.session().ok_or(SendError::NoSession)?;
        let message = session.seal(channel, json).map_err(|error| match error {
            SealError::Length => SendError::Length,
            SealError::Exhausted => SendError::Exhausted,
        })?;
        let link = self.current.as_ref().map(|current| current.link).ok_or(SendError::NoSession)?;
        let split = self.splitters.of(channel).split(&message, frame_bytes(link.mtu));
        Ok((link.peer, split.map_err(|_| SendError::Length)?))
    }
}

impl Connection {
    fn new(link: Link) -> Self {
        Self {
            link,
            inbound: PerChannel::default(),
            reading: PerChannel::default(),
            stage: Stage::Idle,
            last_valid: Duration::ZERO,
        }
    }

    fn in_session(&self) -> bool {
        matches!(self.stage, Stage::Session(_))
    }

    /// Whether others have to wait: also while the first message of a handshake is on its way.
    fn holds(&self) -> bool {
        !matches!(self.stage, Stage::Idle) || self.inbound.get(Channel::Session).deadline().is_some()
    }

    fn limit(&self) -> Option<Duration> {
        let time = match self.stage {
            Stage::Idle => return None,
            Stage::Asked(_) | Stage::Challenged(_) | Stage::Accepted(..) => HANDSHAKE_TIME,
            Stage::Session(_) => IDLE_TIME,
        };
        Some(self.last_valid.saturating_add(time))
    }
}
