//! A box: the real protocol core, and behind it a desk that does as it is told by the test.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use coffer_client::{
    info::Info,
    link::{Found, Incoming, Link, MAX_WAITING, Outgoing, Radio, RadioError},
};
use coffer_crypto::{
    channel::{
        Action, Channel, CodeAnswer, CodeKind, CodeVerifier, Device, Entrance, Guess, Link as BoxLink, Peer,
        PhoneAnswer, PublicKey, Refusal, StaticKey,
    },
    code::SetupCode,
};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

pub(crate) const DEVICE_ID: Uuid = Uuid::from_u128(0x0192_f3a4_5b6c_7d8e_9fa0_b1c2_d3e4_f506);
pub(crate) const CODE: &str = "0000-0000-1010";
pub(crate) const OTHER_CODE: &str = "ZZZZ-ZZZZ-ZZ7J";
pub(crate) const WIFI_PASSWORD: &str = "correct horse";
pub(crate) const TICKET: &str = "ticket-of-the-owner";
pub(crate) const MASTER_PASSWORD: &str = "open sesame 42";
pub(crate) const ACCOUNT_PASSWORD: &str = "for every day 7";
pub(crate) const RECOVERY_KEY: &str = "KEEP-THIS-KEY0";

/// When a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Before this request was read.
    Before(&'static str),
    /// When it was done, and before its reply.
    After(&'static str),
}

/// What the box is, and what it was asked.
pub(crate) struct State {
    pub(crate) key: StaticKey,
    pub(crate) claimed: bool,
    pub(crate) open_code: Option<CodeKind>,
    pub(crate) not_ready_for: u32,
    pub(crate) phones: Vec<PublicKey>,
    /// What is said to the next wrong codes.
    pub(crate) guesses: VecDeque<Guess>,
    /// What is said to the next phones that want to try a code.
    pub(crate) refusals: VecDeque<Refusal>,
    pub(crate) breaks: VecDeque<Break>,
    /// What `registration` goes through, after each request to register.
    pub(crate) registrations: VecDeque<Vec<Value>>,
    /// Whether that shows only after the next look at it.
    pub(crate) registers_late: bool,
    /// What `connect` fails with, before it looks at the password.
    pub(crate) connect_failures: VecDeque<&'static str>,
    pub(crate) looks_again_at: Option<Instant>,
    pub(crate) country: Option<String>,
    pub(crate) status: Value,
    pub(crate) registration: Value,
    pub(crate) server_url: Value,
    /// What was asked, by `op`; the request that keeps a session is counted instead.
    pub(crate) asked: Vec<String>,
    pub(crate) requests: Vec<Value>,
    pub(crate) kept_alive: u32,
    /// How long it takes to make a vault.
    pub(crate) claim_takes: Duration,
    pub(crate) connections: u32,
    pub(crate) handshakes: u32,
    pub(crate) sniffed: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct FakeBox(Arc<Mutex<State>>);

impl FakeBox {
    /// A new box.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            key: StaticKey::generate(&mut UnwrapErr(SysRng)),
            claimed: false,
            open_code: Some(CodeKind::Setup),
            not_ready_for: 0,
            phones: Vec::new(),
            guesses: VecDeque::new(),
            refusals: VecDeque::new(),
            breaks: VecDeque::new(),
            registrations: VecDeque::new(),
            registers_late: false,
            connect_failures: VecDeque::new(),
            looks_again_at: None,
            country: None,
            status: json!({"state": "disconnected", "connectivity": "none", "wired": false}),
            registration: json!({"state": "none"}),
            server_url: json!({"server_url": null, "tunnel": "none"}),
            asked: Vec::new(),
            requests: Vec::new(),
            kept_alive: 0,
            claim_takes: Duration::ZERO,
            connections: 0,
            handshakes: 0,
            sniffed: Vec::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The requests of one kind.
    pub(crate) fn requests(&self, op: &str) -> Vec<Value> {
        self.state().requests.iter().filter(|request| request["op"] == op).cloned().collect()
    }
}

impl State {
    pub(crate) fn info(&mut self) -> Vec<u8> {
        let is_ready = self.not_ready_for == 0;
        self.not_ready_for = self.not_ready_for.saturating_sub(1);
        let codes = u8::from(self.open_code.is_some()) << 2;
        let flags = if is_ready { u8::from(self.claimed) | codes } else { 1 << 7 };
        [&[1, 1, 1, flags, 2], DEVICE_ID.as_bytes().as_slice()].concat()
    }

    fn value(&self, channel: Channel) -> Value {
        match channel {
            Channel::WifiScan => json!({"age_s": 3, "scanning": false, "networks": [
                {"ssid": "SG9tZQ", "ssid_text": "Home", "signal_percent": 82, "security": "wpa2_wpa3", "bands": ["5"], "known": false},
                {"ssid": "Q2FmZQ", "ssid_text": "Cafe", "signal_percent": 40, "security": "open", "bands": ["2.4"], "known": false},
                {"ssid": "V29yaw", "ssid_text": "Work", "signal_percent": 30, "security": "enterprise", "bands": ["5"], "known": false},
            ]}),
            Channel::WifiStatus => self.status.clone(),
            Channel::Registration => self.registration.clone(),
            Channel::ServerUrl => self.server_url.clone(),
            Channel::Session | Channel::WifiConfig | Channel::UserToken | Channel::Control => unreachable!(),
        }
    }

    /// Does what is asked: the reply's content, and whether it is `ok`.
    fn act(&mut self, request: &Value, phone: PublicKey) -> Result<Value, Value> {
        let op = request["op"].as_str().unwrap();
        match op {
            "set_country" if request["country"] == "XX" => return Err(failure("invalid")),
            "set_country" => self.country = Some(request["country"].as_str().unwrap().to_owned()),
            "connect" => {
                if let Some(code) = self.connect_failures.pop_front() {
                    return Err(failure(code));
                }
                let is_open = request["ssid"] == "Q2FmZQ";
                if !is_open
                    && request["password"] != WIFI_PASSWORD
                    && request["enterprise"]["password"] != WIFI_PASSWORD
                {
                    return Err(failure(if request["enterprise"].is_null() {
                        "wrong_password"
                    } else {
                        "eap_identity"
                    }));
                }
                self.status = json!({"state": "connected", "ssid_text": "Home", "signal_percent": 80,
                    "addresses": ["192.168.1.20/24"], "connectivity": "full", "wired": false, "later": "ignored"});
                return Ok(self.status.clone());
            }
            "claim" if self.claimed => return Err(failure("conflict")),
            "claim" => {
                self.claimed = true;
                self.open_code = None;
                self.phones = vec![phone];
                return Ok(json!({"recovery_key": RECOVERY_KEY, "vault_id": Uuid::nil(), "user_id": Uuid::nil()}));
            }
            "enroll" => {
                self.phones.push(phone);
                self.open_code = None;
                return Ok(json!({"phone": {}}));
            }
            "phones" => {
                let shown = |(index, key): (usize, &PublicKey)| {
                    json!({"id": Uuid::from_u128(index as u128 + 1), "name": format!("phone {index}"), "this": *key == phone,
                        "enrolled_at": "2026-01-01T00:00:00Z", "last_seen_at": "2026-01-02T00:00:00Z"})
                };
                return Ok(json!({"phones": self.phones.iter().enumerate().map(shown).collect::<Vec<_>>()}));
            }
            "revoke_phone" => {
                let id: Uuid = request["phone"].as_str().unwrap().parse().unwrap();
                self.phones.remove(usize::try_from(id.as_u128()).unwrap() - 1);
            }
            "issue_code" => {
                self.open_code = Some(CodeKind::Invitation);
                return Ok(json!({"code": CODE, "expires_at": "2026-01-01T00:10:00Z"}));
            }
            "set_improv" => {
                let risk = request["enabled"].as_bool().unwrap().then_some("Others can read along.");
                return Ok(json!({"risk": risk}));
            }
            "unlock" => self.unlock(request)?,
            "factory_reset" => return Ok(json!({"token": "of the reset", "expires_in_s": 60})),
            "factory_reset_confirm" if request["token"] != "of the reset" => return Err(failure("not_found")),
            "factory_reset_confirm" => {
                self.claimed = false;
                self.open_code = Some(CodeKind::Setup);
                self.phones.clear();
                self.key = StaticKey::generate(&mut UnwrapErr(SysRng));
            }
            "problems" => {
                return Ok(json!({"problems": [
                    {"code": "disk_full", "severity": "warning", "happened": "The disk is full.", "try": "Delete something."}]}));
            }
            _ => {}
        }
        Ok(json!({}))
    }

    /// After a wrong password the box looks at none for two seconds.
    fn unlock(&mut self, request: &Value) -> Result<(), Value> {
        let now = Instant::now();
        if self.looks_again_at.is_some_and(|at| now < at) {
            let mut refusal = failure("throttled");
            refusal["retry_after_s"] = json!(2);
            return Err(refusal);
        }
        if request["master_password"] != MASTER_PASSWORD {
            self.looks_again_at = Some(now + Duration::from_secs(2));
            return Err(failure("wrong_master_password"));
        }
        Ok(())
    }
}

/// A failure as a box words it, more or less.
pub(crate) fn failure(code: &str) -> Value {
    json!({"code": code, "happened": format!("It failed: {code}."), "try": "Do something.", "retry_after_s": null})
}

/// The air around some boxes.
pub(crate) struct Air {
    pub(crate) found: Vec<Found>,
    pub(crate) fake_box: FakeBox,
    pub(crate) mtu: u16,
}

impl Air {
    pub(crate) fn around(fake_box: &FakeBox) -> Self {
        let found = Found { address: [1; 6], name: "Coffer-F506".to_owned(), info: None };
        Self { found: vec![found], fake_box: fake_box.clone(), mtu: 185 }
    }
}

impl Radio for Air {
    async fn find(&mut self, _name: Option<&str>) -> Result<Vec<Found>, RadioError> {
        Ok(self.found.clone())
    }

    async fn connect(&mut self, found: &Found) -> Result<(Info, Link), RadioError> {
        assert!(self.found.contains(found), "{found:?}");
        let info = Info::parse(&self.fake_box.state().info()).unwrap();
        self.fake_box.state().connections += 1;
        let (outgoing, to_box) = mpsc::channel(MAX_WAITING);
        let (to_phone, incoming) = mpsc::channel(MAX_WAITING);
        let key = self.fake_box.state().key.clone();
        let connection = Connection {
            fake_box: self.fake_box.clone(),
            device: Device::new(DEVICE_ID.into_bytes(), key, UnwrapErr(SysRng)),
            link: BoxLink { peer: Peer(1), mtu: self.mtu },
            to_phone,
            started: Instant::now(),
            phone: None,
            entrance: None,
            late: None,
        };
        tokio::spawn(connection.run(to_box));
        Ok((info, Link { mtu: self.mtu, outgoing, incoming }))
    }

    async fn close(&mut self) {}
}

/// The box's side of a connection.
struct Connection {
    fake_box: FakeBox,
    device: Device<UnwrapErr<SysRng>>,
    link: BoxLink,
    to_phone: mpsc::Sender<Incoming>,
    started: Instant,
    phone: Option<PublicKey>,
    entrance: Option<Entrance>,
    /// What is answered later.
    late: Option<(Instant, Value)>,
}

/// The connection is gone.
struct Gone;

impl Connection {
    async fn run(mut self, mut from_phone: mpsc::Receiver<Outgoing>) {
        loop {
            let deadline = self.device.deadline().map(|deadline| self.started + deadline);
            let far = Instant::now() + Duration::from_hours(24);
            let outgoing = tokio::select! {
                outgoing = from_phone.recv() => outgoing,
                () = sleep_until(self.late.as_ref().map_or(far, |(at, _)| *at)) => {
                    let Some((_, request)) = self.late.take() else { continue };
                    if self.answer(Channel::Control, &request, false).await.is_err() {
                        return;
                    }
                    continue;
                }
                () = sleep_until(deadline.unwrap_or(far)) => {
                    let actions = self.device.tick(self.started.elapsed());
                    if self.carry_out(actions).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let Some(outgoing) = outgoing else { return };
            if self.hear(outgoing).await.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        match outgoing {
            Outgoing::Write(channel, frame) => {
                self.fake_box.state().sniffed.push(frame.clone());
                let actions = self.device.frame(self.link, channel, &frame, self.started.elapsed());
                self.carry_out(actions).await
            }
            Outgoing::Read(channel) => {
                let value = self.fake_box.state().value(channel).to_string();
                let frame = self.device.read(self.link.peer, channel, value.as_bytes()).map_err(|_| Gone)?;
                self.send(Incoming::Read(channel, frame)).await?;
                let is_late = channel == Channel::Registration && {
                    let state = self.fake_box.state();
                    state.registers_late && state.asked.iter().any(|op| op == "register")
                };
                if is_late {
                    self.fake_box.state().registers_late = false;
                    self.register().await?;
                }
                Ok(())
            }
        }
    }

    async fn carry_out(&mut self, actions: Vec<Action>) -> Result<(), Gone> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let now = self.started.elapsed();
            let more = match action {
                Action::Notify(notification) => {
                    for frame in notification.frames {
                        self.send(Incoming::Notified(notification.channel, frame)).await?;
                    }
                    Vec::new()
                }
                Action::AskCode(request) => {
                    let answer = self.answer_code();
                    self.device.answer_code(request, answer, now)
                }
                Action::CountGuess(proof) => {
                    let guess = self.fake_box.state().guesses.pop_front();
                    self.device.check(proof, guess.unwrap_or(Guess::Counted { retry_after_s: None }), now)
                }
                Action::AskPhone(resumption) => {
                    let mut state = self.fake_box.state();
                    state.handshakes += 1;
                    let answer = if state.phones.contains(resumption.phone()) {
                        PhoneAnswer::Enrolled
                    } else {
                        PhoneAnswer::Refuse(Refusal::NotEnrolled)
                    };
                    drop(state);
                    self.device.answer_phone(resumption, answer, now)
                }
                Action::Began(session) => {
                    (self.phone, self.entrance) = (Some(session.phone), Some(session.entrance));
                    let welcome = self.welcome();
                    self.say(Channel::Session, &welcome).await?;
                    Vec::new()
                }
                Action::Request { channel, json } => {
                    self.request(channel, &serde_json::from_slice(&json).unwrap()).await?;
                    Vec::new()
                }
                Action::GuessWasRight(_) | Action::Ended(_) => Vec::new(),
            };
            actions.extend(more);
        }
        Ok(())
    }

    fn answer_code(&self) -> CodeAnswer {
        let mut state = self.fake_box.state();
        state.handshakes += 1;
        match (state.refusals.pop_front(), state.open_code) {
            (Some(refusal), _) => CodeAnswer::Refuse(refusal),
            (None, Some(kind)) => {
                let code = SetupCode::parse(CODE).unwrap();
                CodeAnswer::Open(kind, CodeVerifier::enrol(DEVICE_ID.as_bytes(), &code, &mut UnwrapErr(SysRng)))
            }
            (None, None) => CodeAnswer::Refuse(Refusal::AlreadyClaimed),
        }
    }

    fn welcome(&self) -> Value {
        let state = self.fake_box.state();
        let access = match self.entrance.unwrap() {
            Entrance::Code(CodeKind::Setup) => "setup",
            Entrance::Code(CodeKind::Recovery) => "recovery",
            Entrance::Code(CodeKind::Invitation) | Entrance::EnrolledKey => "owner",
        };
        json!({"type": "welcome", "access": access, "device_id": DEVICE_ID, "device_name": "coffer", "claimed": state.claimed,
            "vault": if state.claimed { "unlocked" } else { "absent" }, "model": 2, "version": "0.1.0",
            "enrolled": state.phones.contains(&self.phone.unwrap()), "clock_is_set": false, "country": state.country})
    }

    async fn request(&mut self, channel: Channel, request: &Value) -> Result<(), Gone> {
        let op = request["op"].as_str().unwrap().to_owned();
        let must_break = {
            let mut state = self.fake_box.state();
            let must_break = state.breaks.front().copied();
            match must_break {
                Some(Break::Before(at) | Break::After(at)) if at == op => state.breaks.pop_front(),
                _ => None,
            }
        };
        if matches!(must_break, Some(Break::Before(_))) {
            return Err(Gone);
        }
        {
            let mut state = self.fake_box.state();
            if op == "phones" {
                state.kept_alive += 1;
            } else {
                state.asked.push(op.clone());
            }
            state.requests.push(request.clone());
        }
        if op == "scan" {
            let value = self.fake_box.state().value(Channel::WifiScan);
            return self.say(channel, &value).await;
        }
        let takes = self.fake_box.state().claim_takes;
        if op == "claim" && takes > Duration::ZERO {
            self.late = Some((Instant::now() + takes, request.clone()));
            return Ok(());
        }
        self.answer(channel, request, must_break.is_some()).await
    }

    async fn answer(&mut self, channel: Channel, request: &Value, must_break: bool) -> Result<(), Gone> {
        let was_claimed = self.fake_box.state().claimed;
        let reply = match self.fake_box.state().act(request, self.phone.unwrap()) {
            Ok(ok) => json!({"id": request["id"], "ok": ok}),
            Err(error) => json!({"id": request["id"], "error": error}),
        };
        if must_break {
            return Err(Gone);
        }
        self.say(channel, &reply).await?;
        if self.fake_box.state().claimed != was_claimed {
            let welcome = self.welcome();
            self.say(Channel::Session, &welcome).await?;
        }
        if channel == Channel::UserToken && !self.fake_box.state().registers_late {
            self.register().await?;
        }
        Ok(())
    }

    async fn register(&mut self) -> Result<(), Gone> {
        let values = self.fake_box.state().registrations.pop_front();
        for value in values.unwrap_or_else(|| vec![json!({"state": "local_only"})]) {
            if value["state"] == "registered" {
                self.fake_box.state().server_url =
                    json!({"server_url": "https://box.example.com", "tunnel": "connected"});
            }
            self.fake_box.state().registration = value.clone();
            self.say(Channel::Registration, &value).await?;
        }
        Ok(())
    }

    async fn say(&mut self, channel: Channel, json: &Value) -> Result<(), Gone> {
        let Ok(notification) = self.device.send(channel, json.to_string().as_bytes()) else { return Err(Gone) };
        for frame in notification.frames {
            self.send(Incoming::Notified(channel, frame)).await?;
        }
        Ok(())
    }

    async fn send(&self, incoming: Incoming) -> Result<(), Gone> {
        let (Incoming::Notified(_, frame) | Incoming::Read(_, frame)) = &incoming;
        self.fake_box.state().sniffed.push(frame.clone());
        self.to_phone.send(incoming).await.map_err(|_| Gone)
    }
}
