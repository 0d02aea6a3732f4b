//! A phone at the other end of the air: the protocol's own phone side, over the BlueZ of these tests.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use coffer_crypto::{
    channel::{Channel, Credential, Event, Failed, Failure, Phone, PublicKey, StaticKey},
    code::SetupCode,
};
use futures_util::FutureExt;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bluez::{Bluez, MTU, Notifications};

/// docs/ble.md, section 5.
const FIRST_FRAME_HEADER: usize = 5;
const REFUSED: u8 = 0x0f;

/// The characteristic of a channel.
pub(crate) fn uuid(channel: Channel) -> Uuid {
    Uuid::from_u128(0xc0ff_e700_5a1e_4b8e_9c3d_6f2b_1d8a_4e01 + (u128::from(channel.number()) << 96))
}

/// A phone that is connected.
pub(crate) struct Handset {
    bluez: Bluez,
    pub(crate) key: StaticKey,
    phone: Phone<UnwrapErr<SysRng>>,
    notifications: Notifications,
    channels: HashMap<Uuid, Channel>,
    began: Instant,
    requests: u32,
    /// What came and was not asked for.
    pub(crate) told: Vec<(Channel, Value)>,
    /// Every frame that went over the air, either way.
    pub(crate) air: Vec<Vec<u8>>,
}

impl Handset {
    pub(crate) async fn connect(bluez: &Bluez, device_id: Uuid) -> Self {
        Self::connect_with(bluez, device_id, StaticKey::generate(&mut UnwrapErr(SysRng))).await
    }

    pub(crate) async fn connect_with(bluez: &Bluez, device_id: Uuid, key: StaticKey) -> Self {
        let channels = Channel::ALL.map(|channel| (uuid(channel), channel));
        let notifications = bluez.listen(&channels.map(|(uuid, _)| uuid)).await;
        Self {
            bluez: bluez.clone(),
            phone: Phone::new(device_id.into_bytes(), key.clone(), MTU, UnwrapErr(SysRng)),
            key,
            notifications,
            channels: channels.into(),
            began: Instant::now(),
            requests: 0,
            told: Vec::new(),
            air: Vec::new(),
        }
    }

    /// A session by a code: `welcome`, and the box's key.
    pub(crate) async fn prove(&mut self, code: &SetupCode) -> Result<(Value, PublicKey), Failed> {
        let frames = self.phone.start(Credential::Code(code, None), self.now())?;
        self.begin(frames).await
    }

    /// A session by the phone's own key.
    pub(crate) async fn resume(&mut self, box_key: PublicKey) -> Result<(Value, PublicKey), Failed> {
        let frames = self.phone.start(Credential::EnrolledKey(box_key), self.now())?;
        self.begin(frames).await
    }

    /// A request that has to succeed.
    pub(crate) async fn ask(&mut self, channel: Channel, request: Value) -> Value {
        let reply = self.request(channel, request).await;
        reply.get("ok").cloned().unwrap_or_else(|| panic!("no success: {reply}"))
    }

    /// A request that has to fail; the failure's code.
    pub(crate) async fn refusal(&mut self, channel: Channel, request: Value) -> String {
        let reply = self.request(channel, request).await;
        let error: Failure =
            serde_json::from_value(reply["error"].clone()).unwrap_or_else(|_| panic!("no failure: {reply}"));
        error.code.into_owned()
    }

    /// A request and its reply.
    pub(crate) async fn request(&mut self, channel: Channel, mut request: Value) -> Value {
        self.requests += 1;
        request["id"] = json!(self.requests);
        self.say(channel, &request).await;
        self.hear(channel, |value| value.get("id") == request.get("id")).await
    }

    /// Writes an object.
    pub(crate) async fn say(&mut self, channel: Channel, json: &Value) {
        let frames = self.phone.write(channel, json.to_string().as_bytes()).unwrap();
        self.write(channel, frames).await;
    }

    /// Waits for an object like that; keeps the others.
    pub(crate) async fn hear(&mut self, on: Channel, like: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.told.iter().position(|(channel, value)| *channel == on && like(value)) {
            return self.told.remove(index).1;
        }
        loop {
            match self.next().await {
                Event::Message { channel, json } => {
                    let value: Value = serde_json::from_slice(&json).unwrap();
                    if channel == on && like(&value) {
                        return value;
                    }
                    self.told.push((channel, value));
                }
                Event::Failed(failed) => panic!("the session ended: {failed}"),
                Event::Write(_) | Event::Began { .. } => panic!("a handshake in the middle of a session"),
            }
        }
    }

    /// Waits until the box says in clear that there is no session any more.
    pub(crate) async fn is_sent_away(&mut self) {
        loop {
            let (characteristic, frame) = self.notifications.next().await;
            if characteristic == uuid(Channel::Session) && frame.get(FIRST_FRAME_HEADER) == Some(&REFUSED) {
                return;
            }
        }
    }

    /// Reads a characteristic whole.
    pub(crate) async fn read(&mut self, channel: Channel) -> Value {
        loop {
            let frame = self.bluez.read(uuid(channel), 0).await.unwrap();
            // What was notified before the answer is older, and a phone hears it before.
            while let Some((uuid, earlier)) = self.notifications.next().now_or_never() {
                self.take(uuid, earlier);
            }
            self.air.push(frame.clone());
            match self.phone.read(channel, &frame, self.now()) {
                Some(Event::Message { json, .. }) => return serde_json::from_slice(&json).unwrap(),
                Some(_) => panic!("a read that is no message"),
                None => {}
            }
        }
    }

    /// Writes bytes as they are.
    pub(crate) async fn write(&mut self, channel: Channel, frames: Vec<Vec<u8>>) {
        for frame in frames {
            self.bluez.write(uuid(channel), &frame).await.unwrap();
            self.air.push(frame);
        }
    }

    async fn begin(&mut self, frames: Vec<Vec<u8>>) -> Result<(Value, PublicKey), Failed> {
        self.write(Channel::Session, frames).await;
        loop {
            match self.next().await {
                Event::Write(frames) => self.write(Channel::Session, frames).await,
                Event::Began { box_key, welcome } => return Ok((serde_json::from_slice(&welcome).unwrap(), box_key)),
                Event::Failed(failed) => return Err(failed),
                Event::Message { .. } => panic!("a message before the session"),
            }
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            let (uuid, frame) = self.notifications.next().await;
            if let Some(event) = self.notified(uuid, frame) {
                return event;
            }
        }
    }

    /// Keeps a message for later, if the frame completes one.
    fn take(&mut self, uuid: Uuid, frame: Vec<u8>) {
        match self.notified(uuid, frame) {
            Some(Event::Message { channel, json }) => self.told.push((channel, serde_json::from_slice(&json).unwrap())),
            Some(_) => panic!("something else than a message"),
            None => {}
        }
    }

    fn notified(&mut self, uuid: Uuid, frame: Vec<u8>) -> Option<Event> {
        let (channel, now) = (self.channels[&uuid], self.now());
        let event = self.phone.notified(channel, &frame, now);
        self.air.push(frame);
        event
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }
}

/// The code of a refusal.
pub(crate) fn code_of(failed: Failed) -> String {
    match failed {
        Failed::Refused(failure) => failure.code.into_owned(),
        other => panic!("not refused: {other}"),
    }
}
