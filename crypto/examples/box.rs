//! A box without a radio and without a service behind it: the real channel over JSON lines, for tests of other programs.
//!
//! Whoever starts it plays Bluetooth and the rest of the box: writes what phones do to its input, one command a line, and
//! reads from its output what the box does. Frames are hexadecimal. Commands, by their `do`:
//!
//! | `do` | Fields | Answered by |
//! |---|---|---|
//! | `open_code` | `kind`, `code` | |
//! | `close_code` | | |
//! | `enrol`, `forget` | `phone` | |
//! | `frame` | `peer`, `mtu`, `channel`, `frame` | what it leads to |
//! | `read` | `peer`, `channel`, `latest` | `{"read": FRAME or null}` |
//! | `send` | `channel`, `value` | `notify` |
//! | `end_session` | | `ended` |
//! | `gone` | `peer` | `ended`, if it had a session |
//!
//! And what it says: `notify` (`peer`, `channel`, `frames`), `began` (`phone`, `entrance`), `request` (`channel`, `value`),
//! `guesses`, `ended`.

use std::collections::HashSet;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use coffer_crypto::channel::{
    Action, Channel, CodeAnswer, CodeKind, CodeRequest, CodeVerifier, Device, Entrance, Guess, Link, Peer, PhoneAnswer,
    Proof, PublicKey, Refusal, Resumption, StaticKey,
};
use coffer_crypto::code::SetupCode;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

const FREE_GUESSES: u32 = 5;
const WAIT_S: u32 = 60;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    OpenCode { kind: String, code: String },
    CloseCode {},
    Enrol { phone: PublicKey },
    Forget { phone: PublicKey },
    Frame { peer: u64, mtu: u16, channel: u8, frame: String },
    Read { peer: u64, channel: u8, latest: Value },
    Send { channel: u8, value: Value },
    EndSession {},
    Gone { peer: u64 },
}

struct TestBox {
    device: Device<ChaCha20Rng>,
    device_id: [u8; 16],
    rng: ChaCha20Rng,
    code: Option<(CodeKind, String)>,
    phones: HashSet<PublicKey>,
    wrong_guesses: u32,
    started: Instant,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(device_id), Some(seed), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: box DEVICE-ID SEED".into());
    };
    let device_id = Uuid::parse_str(&device_id)?.into_bytes();
    let mut rng = ChaCha20Rng::seed_from_u64(seed.parse()?);
    let key = StaticKey::generate(&mut rng);
    let device = Device::new(device_id, key, ChaCha20Rng::from_rng(&mut rng));
    let (code, phones) = (None, HashSet::new());
    let mut the_box = TestBox { device, device_id, rng, code, phones, wrong_guesses: 0, started: Instant::now() };
    for line in std::io::stdin().lock().lines() {
        the_box.run(serde_json::from_str(&line?)?)?;
    }
    Ok(())
}

impl TestBox {
    fn run(&mut self, command: Command) -> Result<(), Box<dyn Error>> {
        let now = self.started.elapsed();
        match command {
            Command::OpenCode { kind, code } => {
                let kind = match kind.as_str() {
                    "setup" => CodeKind::Setup,
                    "invitation" => CodeKind::Invitation,
                    "recovery" => CodeKind::Recovery,
                    _ => return Err("there is no such kind of code".into()),
                };
                self.code = Some((kind, code));
            }
            Command::CloseCode {} => self.code = None,
            Command::Enrol { phone } => drop(self.phones.insert(phone)),
            Command::Forget { phone } => drop(self.phones.remove(&phone)),
            Command::Frame { peer, mtu, channel, frame } => {
                let link = Link { peer: Peer(peer), mtu };
                let actions = self.device.frame(link, known(channel)?, &HEX.decode(frame.as_bytes())?, now);
                self.act(actions)?;
            }
            Command::Read { peer, channel, latest } => {
                let frame = self.device.read(Peer(peer), known(channel)?, &serde_json::to_vec(&latest)?);
                say(&json!({"read": frame.ok().map(|frame| HEX.encode(&frame))}))?;
            }
            Command::Send { channel, value } => {
                let notification = self.device.send(known(channel)?, &serde_json::to_vec(&value)?)?;
                self.act(vec![Action::Notify(notification)])?;
            }
            Command::EndSession {} => {
                let actions = self.device.end_session();
                self.act(actions)?;
            }
            Command::Gone { peer } => {
                let actions = self.device.disconnected(Peer(peer));
                self.act(actions)?;
            }
        }
        Ok(())
    }

    fn act(&mut self, actions: Vec<Action>) -> Result<(), Box<dyn Error>> {
        for action in actions {
            match action {
                Action::Notify(notification) => {
                    let frames: Vec<String> = notification.frames.iter().map(|frame| HEX.encode(frame)).collect();
                    let (peer, channel) = (notification.peer.0, notification.channel.number());
                    say(&json!({"notify": {"peer": peer, "channel": channel, "frames": frames}}))?;
                }
                Action::AskCode(request) => self.answer_code(request)?,
                Action::CountGuess(proof) => self.count(proof)?,
                Action::GuessWasRight(_) => self.wrong_guesses = 0,
                Action::AskPhone(resumption) => self.answer_phone(resumption)?,
                Action::Began(session) => {
                    let entrance = match session.entrance {
                        Entrance::Code(CodeKind::Setup) => "setup",
                        Entrance::Code(CodeKind::Invitation) => "invitation",
                        Entrance::Code(CodeKind::Recovery) => "recovery",
                        Entrance::EnrolledKey => "key",
                    };
                    say(&json!({"began": {"phone": session.phone, "entrance": entrance}}))?;
                }
                Action::Request { channel, json } => {
                    let value: Value = serde_json::from_slice(&json)?;
                    say(&json!({"request": {"channel": channel.number(), "value": value}}))?;
                }
                Action::Ended(why) => say(&json!({"ended": format!("{why:?}")}))?,
            }
        }
        Ok(())
    }

    fn answer_code(&mut self, request: CodeRequest) -> Result<(), Box<dyn Error>> {
        let answer = match &self.code {
            None => CodeAnswer::Refuse(Refusal::AlreadyClaimed),
            Some(_) if self.wrong_guesses > FREE_GUESSES => {
                CodeAnswer::Refuse(Refusal::Throttled { retry_after_s: WAIT_S })
            }
            Some((kind, code)) => {
                let verifier = CodeVerifier::enrol(&self.device_id, &SetupCode::parse(code)?, &mut self.rng);
                CodeAnswer::Open(*kind, verifier)
            }
        };
        let actions = self.device.answer_code(request, answer, self.started.elapsed());
        self.act(actions)
    }

    fn count(&mut self, proof: Proof) -> Result<(), Box<dyn Error>> {
        self.wrong_guesses += 1;
        say(&json!({"guesses": self.wrong_guesses}))?;
        let retry_after_s = (self.wrong_guesses > FREE_GUESSES).then_some(WAIT_S);
        let actions = self.device.check(proof, Guess::Counted { retry_after_s }, self.started.elapsed());
        self.act(actions)
    }

    fn answer_phone(&mut self, resumption: Resumption) -> Result<(), Box<dyn Error>> {
        let enrolled = self.phones.contains(resumption.phone());
        let answer = if enrolled { PhoneAnswer::Enrolled } else { PhoneAnswer::Refuse(Refusal::NotEnrolled) };
        let actions = self.device.answer_phone(resumption, answer, self.started.elapsed());
        self.act(actions)
    }
}

fn known(channel: u8) -> Result<Channel, Box<dyn Error>> {
    Channel::from_number(channel).ok_or_else(|| "there is no such characteristic".into())
}

fn say(what: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}
