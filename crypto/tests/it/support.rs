//! A box and a phone, and the air between them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, CodeVerifier, Credential, Device, Entrance, Event, Failed, Guess, Link,
    Notification, Peer, Phone, PhoneAnswer, PublicKey, Refusal, SessionEnd, StaticKey,
};
use coffer_crypto::code::SetupCode;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_core::{TryCryptoRng, TryRng};

pub(crate) const DEVICE_ID: [u8; 16] = *b"\x01\x92\xf3\xa4\x5b\x6c\x7d\x8e\x9f\xa0\xb1\xc2\xd3\xe4\xf5\x06";
pub(crate) const LINK: Link = Link { peer: Peer(1), mtu: 185 };
pub(crate) const STRANGER: Link = Link { peer: Peer(2), mtu: 23 };
pub(crate) const START: Duration = Duration::from_secs(1000);
pub(crate) const WELCOME: &[u8] = br#"{"type":"welcome"}"#;

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn code() -> SetupCode {
    SetupCode::parse("0000-0000-1010").unwrap()
}

pub(crate) fn wrong_code() -> SetupCode {
    SetupCode::parse("ZZZZ-ZZZZ-ZZ7J").unwrap()
}

pub(crate) fn verifier() -> CodeVerifier {
    CodeVerifier::enrol(&DEVICE_ID, &code(), &mut rng(3))
}

pub(crate) fn box_key() -> StaticKey {
    StaticKey::from([0xb0; 32])
}

pub(crate) fn phone_key() -> StaticKey {
    StaticKey::from([0xf0; 32])
}

pub(crate) fn device(seed: u64) -> Device<ChaCha20Rng> {
    Device::new(DEVICE_ID, box_key(), rng(seed))
}

pub(crate) fn phone(seed: u64) -> Phone<ChaCha20Rng> {
    Phone::new(DEVICE_ID, phone_key(), LINK.mtu, rng(seed))
}

/// The message that frames make, by the table of `docs/ble.md` and nothing else.
pub(crate) fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().enumerate().flat_map(|(i, frame)| &frame[if i == 0 { 5 } else { 3 }..]).copied().collect()
}

/// Frames for a message that no phone of ours would send.
pub(crate) fn cut(message: &[u8], id: u8) -> Vec<Vec<u8>> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let mut frames: Vec<Vec<u8>> = message.chunks(200).map(|chunk| [&[0, id, 0], chunk].concat()).collect();
    let count = frames.len();
    for (index, frame) in frames.iter_mut().enumerate() {
        frame[0] = u8::from(index == 0) | if index + 1 == count { 2 } else { 0 };
        frame[2] = u8::try_from(index).unwrap();
    }
    frames[0].splice(3..3, length);
    frames
}

/// Randomness that was written down before.
pub(crate) struct Script(VecDeque<u8>);

impl Script {
    pub(crate) fn new(parts: &[Vec<u8>]) -> Self {
        Self(parts.concat().into())
    }
}

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for byte in out {
            *byte = self.0.pop_front().expect("as much as was written down");
        }
        Ok(())
    }
}

impl TryCryptoRng for Script {}

/// What somebody in the middle sees, in order, and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Phone,
    Box,
}

/// Who may do what, as the box's caller would say.
pub(crate) struct House {
    pub(crate) refuse_code: Option<Refusal>,
    pub(crate) count: Guess,
    pub(crate) enrolled: Vec<PublicKey>,
}

impl Default for House {
    fn default() -> Self {
        Self { refuse_code: None, count: Guess::Counted { retry_after_s: None }, enrolled: vec![phone_key().public()] }
    }
}

/// A conversation, and what came of it.
#[derive(Default)]
pub(crate) struct Heard {
    /// Every message on `session`, whole.
    pub(crate) messages: Vec<(Sender, Vec<u8>)>,
    pub(crate) guesses: usize,
    pub(crate) right: Vec<CodeKind>,
    pub(crate) entrances: Vec<Entrance>,
    pub(crate) known_phones: Vec<PublicKey>,
    pub(crate) requests: Vec<(Channel, Vec<u8>)>,
    pub(crate) ended: Vec<SessionEnd>,
    pub(crate) welcomes: Vec<PublicKey>,
    pub(crate) failed: Vec<Failed>,
}

impl Heard {
    pub(crate) fn in_session(&self) -> bool {
        !self.welcomes.is_empty() && self.failed.is_empty()
    }
}

/// Changes a message on its way; nothing lets it vanish.
pub(crate) type Middle<'a> = &'a mut dyn FnMut(Sender, Vec<u8>) -> Option<Vec<u8>>;

/// Lets a phone and a box talk on `session` until both are silent.
pub(crate) fn converse(
    device: &mut Device<impl rand_core::CryptoRng>,
    phone: &mut Phone<impl rand_core::CryptoRng>,
    credential: Credential<'_>,
    house: &House,
    middle: Middle<'_>,
) -> Heard {
    let mut heard = Heard::default();
    let mut to_box = VecDeque::from([joined(&phone.start(credential, START).unwrap())]);
    let mut id = 0;
    while let Some(message) = to_box.pop_front() {
        let Some(message) = middle(Sender::Phone, message) else { continue };
        heard.messages.push((Sender::Phone, message.clone()));
        id += 1;
        let mut actions: VecDeque<Action> =
            cut(&message, id).iter().flat_map(|frame| device.frame(LINK, Channel::Session, frame, START)).collect();
        while let Some(action) = actions.pop_front() {
            let Some(notification) = answer(device, action, house, &mut actions, &mut heard) else { continue };
            assert_eq!((notification.peer, notification.channel), (LINK.peer, Channel::Session));
            let Some(message) = middle(Sender::Box, joined(&notification.frames)) else { continue };
            heard.messages.push((Sender::Box, message.clone()));
            id += 1;
            for event in cut(&message, id).iter().filter_map(|frame| phone.notified(Channel::Session, frame, START)) {
                match event {
                    Event::Write(frames) => to_box.push_back(joined(&frames)),
                    Event::Began { box_key, welcome } => {
                        assert_eq!(welcome.as_slice(), WELCOME);
                        heard.welcomes.push(box_key);
                    }
                    Event::Message { .. } => unreachable!("the box sends nothing else"),
                    Event::Failed(failed) => heard.failed.push(failed),
                }
            }
        }
    }
    heard
}

/// Does what an action asks for; returns what is to be notified.
fn answer(
    device: &mut Device<impl rand_core::CryptoRng>,
    action: Action,
    house: &House,
    actions: &mut VecDeque<Action>,
    heard: &mut Heard,
) -> Option<Notification> {
    match action {
        Action::Notify(notification) => return Some(notification),
        Action::AskCode(request) => {
            let open = || CodeAnswer::Open(CodeKind::Setup, verifier());
            let answer = house.refuse_code.map_or_else(open, CodeAnswer::Refuse);
            actions.extend(device.answer_code(request, answer, START));
        }
        Action::CountGuess(proof) => {
            heard.guesses += 1;
            actions.extend(device.check(proof, house.count, START));
        }
        Action::GuessWasRight(kind) => heard.right.push(kind),
        Action::AskPhone(resumption) => {
            let enrolled = house.enrolled.contains(resumption.phone());
            let answer = if enrolled { PhoneAnswer::Enrolled } else { PhoneAnswer::Refuse(Refusal::NotEnrolled) };
            actions.extend(device.answer_phone(resumption, answer, START));
        }
        Action::Began(session) => {
            heard.entrances.push(session.entrance);
            heard.known_phones.push(session.phone);
            return Some(device.send(Channel::Session, WELCOME).unwrap());
        }
        Action::Request { channel, json } => heard.requests.push((channel, json.to_vec())),
        Action::Ended(why) => heard.ended.push(why),
    }
    None
}

/// Nobody in the middle.
pub(crate) fn honest(
    device: &mut Device<impl rand_core::CryptoRng>,
    phone: &mut Phone<impl rand_core::CryptoRng>,
    credential: Credential<'_>,
) -> Heard {
    converse(device, phone, credential, &House::default(), &mut |_, message| Some(message))
}

/// A box and a phone in a session.
pub(crate) fn in_session() -> (Device<ChaCha20Rng>, Phone<ChaCha20Rng>) {
    let (mut device, mut phone) = (device(1), phone(2));
    let heard = honest(&mut device, &mut phone, Credential::EnrolledKey(box_key().public()));
    assert!(heard.in_session());
    (device, phone)
}

/// Writes frames, and returns what the box makes of them.
pub(crate) fn write(device: &mut Device<ChaCha20Rng>, link: Link, channel: Channel, frames: &[Vec<u8>]) -> Vec<Action> {
    frames.iter().flat_map(|frame| device.frame(link, channel, frame, START)).collect()
}

/// Each action in a word: the code of a refusal, or what it is.
pub(crate) fn words(actions: &[Action]) -> Vec<String> {
    actions.iter().map(word).collect()
}

fn word(action: &Action) -> String {
    match action {
        Action::Notify(notification) => {
            let message = joined(&notification.frames);
            match message[0] {
                0x0f => {
                    let failure: serde_json::Value = serde_json::from_slice(&message[1..]).unwrap();
                    failure["code"].as_str().unwrap().to_owned()
                }
                kind => format!("message {kind:02x}"),
            }
        }
        Action::AskCode(_) => "ask code".to_owned(),
        Action::CountGuess(_) => "count guess".to_owned(),
        Action::GuessWasRight(kind) => format!("right {kind:?}"),
        Action::AskPhone(_) => "ask phone".to_owned(),
        Action::Began(session) => format!("began {:?}", session.entrance),
        Action::Request { channel, json } => format!("request {channel:?} {}", String::from_utf8_lossy(json)),
        Action::Ended(why) => format!("ended {why:?}"),
    }
}
