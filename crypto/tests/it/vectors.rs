//! `vectors/ble.json`, written by `make_ble.py`, an implementation of its own: box and phone say every byte of it.

use std::collections::VecDeque;

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, CodeVerifier, Credential, Device, Event, Guess, Phone, PhoneAnswer,
    StaticKey,
};
use coffer_crypto::code::SetupCode;
use data_encoding::HEXLOWER;
use serde::Deserialize;

use crate::support::{LINK, START, Script, joined};

const VECTORS: &str = include_str!("../../vectors/ble.json");

#[derive(Deserialize)]
struct Vectors {
    device_id: String,
    code: String,
    keys: Keys,
    by_code: Session,
    by_key: Session,
}

#[derive(Deserialize)]
struct Keys {
    phone_static: String,
    phone_static_public: String,
    phone_ephemeral: String,
    box_static: String,
    box_static_public: String,
    box_ephemeral: String,
}

#[derive(Deserialize)]
struct Session {
    #[serde(default)]
    salt: String,
    #[serde(default)]
    a: String,
    #[serde(default)]
    b: String,
    #[serde(default)]
    v: String,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    from: String,
    channel: u8,
    #[serde(rename = "message")]
    bytes: String,
    plaintext: Option<String>,
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

struct Table<'a> {
    vectors: &'a Vectors,
    session: &'a Session,
    device: Device<Script>,
    phone: Phone<Script>,
    /// What a side says next of the handshake.
    pending: VecDeque<Vec<Vec<u8>>>,
}

impl<'a> Table<'a> {
    fn new(vectors: &'a Vectors, session: &'a Session) -> Self {
        let keys = &vectors.keys;
        let device_id = array(&vectors.device_id);
        let device_draws = Script::new(&[bytes(&session.b), bytes(&keys.box_ephemeral)]);
        let phone_draws = Script::new(&[bytes(&session.a), bytes(&keys.phone_ephemeral)]);
        Self {
            vectors,
            session,
            device: Device::new(device_id, StaticKey::from(array(&keys.box_static)), device_draws),
            phone: Phone::new(device_id, StaticKey::from(array(&keys.phone_static)), LINK.mtu, phone_draws),
            pending: VecDeque::new(),
        }
    }

    /// Each message has to be what the side whose turn it is says by itself.
    fn play(&mut self, credential: Credential<'_>) {
        self.pending.push_back(self.phone.start(credential, START).unwrap());
        for message in &self.session.messages {
            let channel = Channel::from_number(message.channel).unwrap();
            let from_phone = message.from == "phone";
            let frames = match &message.plaintext {
                None => self.pending.pop_front().unwrap(),
                Some(text) if from_phone => self.phone.write(channel, text.as_bytes()).unwrap(),
                Some(text) => self.device.send(channel, text.as_bytes()).unwrap().frames,
            };
            assert_eq!(HEXLOWER.encode(&joined(&frames)), message.bytes);
            for frame in frames {
                if from_phone {
                    let actions = self.device.frame(LINK, channel, &frame, START);
                    self.box_does(actions, message);
                } else if let Some(event) = self.phone.notified(channel, &frame, START) {
                    self.phone_does(event, message);
                }
            }
        }
        assert!(self.pending.is_empty());
    }

    fn box_does(&mut self, actions: Vec<Action>, message: &Message) {
        for action in actions {
            let next = match action {
                Action::Notify(notification) => {
                    self.pending.push_back(notification.frames);
                    continue;
                }
                Action::AskCode(request) => {
                    let parts = (bytes(&self.session.salt), bytes(&self.session.v));
                    let verifier = CodeVerifier::from_parts(&parts.0, &parts.1).unwrap();
                    self.device.answer_code(request, CodeAnswer::Open(CodeKind::Setup, verifier), START)
                }
                Action::CountGuess(proof) => self.device.check(proof, Guess::Counted { retry_after_s: None }, START),
                Action::AskPhone(resumption) => self.device.answer_phone(resumption, PhoneAnswer::Enrolled, START),
                Action::Began(session) => {
                    assert_eq!(format!("{:x}", session.phone), self.vectors.keys.phone_static_public);
                    continue;
                }
                Action::Request { json, .. } => {
                    assert_eq!(Some(json.as_slice()), message.plaintext.as_deref().map(str::as_bytes));
                    continue;
                }
                Action::GuessWasRight(_) => continue,
                Action::Ended(why) => panic!("{why:?}"),
            };
            self.box_does(next, message);
        }
    }

    fn phone_does(&mut self, event: Event, message: &Message) {
        match event {
            Event::Write(frames) => self.pending.push_back(frames),
            Event::Began { box_key, welcome } => {
                assert_eq!(format!("{box_key:x}"), self.vectors.keys.box_static_public);
                assert_eq!(Some(welcome.as_slice()), message.plaintext.as_deref().map(str::as_bytes));
            }
            Event::Message { json, .. } => {
                assert_eq!(Some(json.as_slice()), message.plaintext.as_deref().map(str::as_bytes));
            }
            Event::Failed(failed) => panic!("{failed}"),
        }
    }
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).unwrap()
}

#[test]
fn a_session_by_a_code_is_what_the_second_implementation_says() {
    let vectors = vectors();
    let code = SetupCode::parse(&vectors.code).unwrap();
    Table::new(&vectors, &vectors.by_code).play(Credential::Code(&code, None));
}

#[test]
fn a_session_by_a_key_is_what_the_second_implementation_says() {
    let vectors = vectors();
    let box_key = StaticKey::from(array(&vectors.keys.box_static)).public();
    Table::new(&vectors, &vectors.by_key).play(Credential::EnrolledKey(box_key));
}
