//! Any bytes, from anybody, at any time: one function for the property test here and for the fuzz target in `crypto/fuzz`.
//!
//! The bytes are a script of what two strangers and one honest, enrolled phone do, and of what the box's caller answers. There
//! is nothing to expect of it but that the box survives, and believes nobody but the honest phone.

use std::sync::LazyLock;
use std::time::Duration;

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, CodeVerifier, Credential, Device, Event, Guess, Link, Peer, Phone,
    PhoneAnswer, Refusal, StaticKey,
};
use coffer_crypto::code::SetupCode;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

const DEVICE_ID: [u8; 16] = [7; 16];
const HONEST: Peer = Peer(0);
const MTU: u16 = 100;

/// Making one takes as long as a thousand other steps.
static VERIFIER: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let code = SetupCode::generate(&mut rng(1));
    let verifier = CodeVerifier::enrol(&DEVICE_ID, &code, &mut rng(2));
    (verifier.salt().to_vec(), verifier.value().to_vec())
});

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

struct World {
    device: Device<ChaCha20Rng>,
    phone: Phone<ChaCha20Rng>,
    box_key: StaticKey,
    now: Duration,
    /// Frames of the honest phone that were not delivered yet.
    outbox: Vec<(Channel, Vec<u8>)>,
    questions: Vec<Action>,
    /// What the honest phone has asked for.
    asked: Vec<Vec<u8>>,
    /// The honest phone's handshake may have been let in.
    may_begin: bool,
}

/// Runs a script.
pub(crate) fn drive(script: &[u8]) {
    let (box_key, phone_key) = (StaticKey::from([1; 32]), StaticKey::from([2; 32]));
    let mut world = World {
        device: Device::new(DEVICE_ID, box_key.clone(), rng(3)),
        phone: Phone::new(DEVICE_ID, phone_key, MTU, rng(4)),
        box_key,
        now: Duration::ZERO,
        outbox: Vec::new(),
        questions: Vec::new(),
        asked: Vec::new(),
        may_begin: false,
    };
    let mut rest = script;
    while let [step, argument, more @ ..] = rest {
        let taken = usize::from(*argument).min(more.len());
        let (bytes, later) = if step % 10 < 2 { more.split_at(taken) } else { more.split_at(0) };
        world.step(step % 10, *argument, bytes);
        rest = later;
    }
}

impl World {
    fn step(&mut self, step: u8, argument: u8, bytes: &[u8]) {
        let channel = Channel::ALL[usize::from(argument % 8)];
        let stranger = Link { peer: Peer(1 + u64::from(argument % 2)), mtu: 23 };
        match step {
            // A stranger's frame.
            0 => self.frame(stranger, channel, bytes),
            // A stranger's message on `session`, as well-formed as frames can make it.
            1 => {
                for frame in whole(bytes) {
                    self.frame(stranger, Channel::Session, &frame);
                }
            }
            2 => {
                self.now += Duration::from_secs(argument.into());
                let actions = self.device.tick(self.now);
                self.take(actions);
                self.phone.tick(self.now);
            }
            3 => {
                let actions = self.device.disconnected(Peer(u64::from(argument % 3)));
                self.take(actions);
            }
            4 => self.answer(argument),
            5 => {
                if let Ok(notification) = self.device.send(channel, br#"{"id":1,"ok":{}}"#) {
                    self.take(vec![Action::Notify(notification)]);
                }
            }
            6 => {
                let peer = Peer(u64::from(argument % 3));
                if let Ok(frame) = self.device.read(peer, channel, br#"{"state":"connected"}"#) {
                    self.phone.read(channel, &frame, self.now);
                }
            }
            7 => {
                let frames = self.phone.start(Credential::EnrolledKey(self.box_key.public()), self.now);
                self.may_begin = true;
                self.outbox = frames.into_iter().flatten().map(|frame| (Channel::Session, frame)).collect();
            }
            8 => {
                let json = format!("{{\"id\":{argument}}}").into_bytes();
                if let Ok(frames) = self.phone.write(channel, &json) {
                    self.asked.push(json);
                    self.outbox.extend(frames.into_iter().map(|frame| (channel, frame)));
                }
            }
            _ => {
                if !self.outbox.is_empty() {
                    let (channel, frame) = self.outbox.remove(usize::from(argument) / 64 % self.outbox.len());
                    self.frame(Link { peer: HONEST, mtu: MTU }, channel, &frame);
                }
            }
        }
    }

    fn frame(&mut self, link: Link, channel: Channel, frame: &[u8]) {
        let actions = self.device.frame(link, channel, frame, self.now);
        self.take(actions);
        assert!(self.device.deadline().is_none_or(|deadline| deadline > self.now), "nothing is overdue");
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Notify(notification) => {
                    let longest = if notification.peer == HONEST { 97 } else { 20 };
                    assert!(notification.frames.iter().all(|frame| (4..=longest).contains(&frame.len())));
                    for frame in notification.frames {
                        if let Some(Event::Began { box_key, .. }) =
                            self.phone.notified(notification.channel, &frame, self.now)
                        {
                            assert_eq!(box_key, self.box_key.public());
                        }
                    }
                }
                Action::AskCode(_) | Action::CountGuess(_) | Action::AskPhone(_) => self.questions.push(action),
                Action::GuessWasRight(_) => panic!("nobody knows the code"),
                Action::Began(session) => {
                    assert!(self.may_begin, "nobody else has a key");
                    assert_eq!(session.phone, StaticKey::from([2; 32]).public());
                    let welcome = self.device.send(Channel::Session, b"{}").expect("a session has begun");
                    self.take(vec![Action::Notify(welcome)]);
                }
                Action::Request { json, .. } => {
                    let at = self.asked.iter().position(|asked| **asked == **json);
                    self.asked.remove(at.expect("what is asked was asked by the honest phone, once"));
                }
                Action::Ended(_) => {}
            }
        }
    }

    /// Answers a question, not always the newest, and not always with yes.
    fn answer(&mut self, argument: u8) {
        let at = usize::from(argument / 2);
        if self.questions.is_empty() {
            return;
        }
        let yes = argument.is_multiple_of(2);
        let actions = match self.questions.remove(at % self.questions.len()) {
            Action::AskCode(request) if yes => {
                let verifier = CodeVerifier::from_parts(&VERIFIER.0, &VERIFIER.1).expect("it was one");
                self.device.answer_code(request, CodeAnswer::Open(CodeKind::Setup, verifier), self.now)
            }
            Action::AskCode(request) => {
                self.device.answer_code(request, CodeAnswer::Refuse(Refusal::WindowClosed), self.now)
            }
            Action::CountGuess(proof) => {
                let counted = Guess::Counted { retry_after_s: None };
                let guess = if yes { counted } else { Guess::Refused(Refusal::StorageUnavailable) };
                self.device.check(proof, guess, self.now)
            }
            Action::AskPhone(resumption) => {
                assert_eq!(*resumption.phone(), StaticKey::from([2; 32]).public(), "nobody else has a key");
                let answer = if yes { PhoneAnswer::Enrolled } else { PhoneAnswer::Refuse(Refusal::NotEnrolled) };
                self.device.answer_phone(resumption, answer, self.now)
            }
            _ => unreachable!("only questions are kept"),
        };
        self.take(actions);
    }
}

/// Frames of a message of these bytes; of a full length where they say `code_start`, so that scripts get that far.
fn whole(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut message = bytes.to_vec();
    match bytes {
        [] => return Vec::new(),
        [1, id, ..] => {
            message.resize(514, *id);
            message[1] = 1;
        }
        [3, ..] => message.resize(81, 0),
        _ => {}
    }
    let length = u16::try_from(message.len()).expect("short").to_be_bytes();
    let chunks: Vec<&[u8]> = message.chunks(200).collect();
    let frame = |(index, chunk): (usize, &&[u8])| {
        let flags = u8::from(index == 0) | if index + 1 == chunks.len() { 2 } else { 0 };
        let length: &[u8] = if index == 0 { &length } else { &[] };
        [&[flags, 0, u8::try_from(index).expect("few")], length, chunk].concat()
    };
    chunks.iter().enumerate().map(frame).collect()
}
