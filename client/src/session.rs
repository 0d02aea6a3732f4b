//! A session with a box: the handshake, requests and their replies, values. Knows how to speak, and not what to say.

use std::{future::Future, pin::pin, time::Duration};

use coffer_api::{MAX_REQUEST_ID, SetupRequest, SetupWelcome};
use coffer_crypto::channel::{Channel, Credential, Event, Failed, Failure, Phone, PublicKey, StaticKey};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::link::{Incoming, Link, Outgoing};

/// What the box does at once, or after a look at something.
const SOON: Duration = Duration::from_secs(30);
/// A box ends a session that is silent for 120 s. People take longer to find a password.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(45);
/// Somebody who has left must not keep others out for ever.
const KEEP_ALIVE_FOR: Duration = Duration::from_mins(15);

/// Why there is no session, or no answer.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The connection is gone, or the box is silent: connect again.
    #[error("the connection with the box was lost")]
    Lost,
    /// The box refused a session. Nobody has proved that it was this box.
    #[error("{}", .0.happened)]
    Refused(Failure),
    /// The box has done nothing, or undone it.
    #[error("{}", .0.happened)]
    Failed(Failure),
    /// It could not prove that it is the box, or shows another key than before.
    #[error("this is not the box that it claims to be")]
    NotTheBox,
    /// What came is not what docs/ble.md promises.
    #[error("the box does not keep to the protocol, or something was changed on the way")]
    Protocol,
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(failure) => Self::Refused(failure),
            Failed::NotTheBox => Self::NotTheBox,
            Failed::Protocol => Self::Protocol,
            Failed::TimedOut => Self::Lost,
        }
    }
}

/// A connection on which a session may begin.
pub struct Door {
    link: Link,
    phone: Phone<UnwrapErr<SysRng>>,
    started: Instant,
}

/// A session.
pub struct Session {
    door: Door,
    box_key: PublicKey,
    welcome: SetupWelcome,
    last_id: u32,
    last_sent: Instant,
    values: Vec<(Channel, Value)>,
}

impl Door {
    /// The door of the box with this id; `key` is this machine's key for it.
    pub fn new(link: Link, device_id: Uuid, key: StaticKey) -> Self {
        let phone = Phone::new(device_id.into_bytes(), key, link.mtu, UnwrapErr(SysRng));
        Self { link, phone, started: Instant::now() }
    }

    /// Begins a session. After a refusal there may be another attempt on the same connection.
    pub async fn enter(&mut self, credential: Credential<'_>) -> Result<(PublicKey, SetupWelcome), Trouble> {
        let frames = self.phone.start(credential, self.started.elapsed())?;
        self.send(Channel::Session, frames).await?;
        loop {
            match self.next().await? {
                Said::Began { box_key, welcome } => {
                    return Ok((box_key, serde_json::from_slice(&welcome).map_err(|_| Trouble::Protocol)?));
                }
                Said::Frames(frames) => self.send(Channel::Session, frames).await?,
                Said::Message(..) | Said::ReadMore => {}
            }
        }
    }

    async fn send(&self, channel: Channel, frames: Vec<Vec<u8>>) -> Result<(), Trouble> {
        for frame in frames {
            self.link.outgoing.send(Outgoing::Write(channel, frame)).await.map_err(|_| Trouble::Lost)?;
        }
        Ok(())
    }

    /// What comes next. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Said, Trouble> {
        loop {
            let limit = self.phone.deadline().map(|deadline| self.started + deadline);
            let incoming = tokio::select! {
                incoming = self.link.incoming.recv() => incoming.ok_or(Trouble::Lost)?,
                () = at(limit) => match self.phone.tick(self.started.elapsed()) {
                    Some(Event::Failed(failed)) => return Err(failed.into()),
                    _ => continue,
                },
            };
            let now = self.started.elapsed();
            let (event, is_read) = match incoming {
                Incoming::Notified(channel, frame) => (self.phone.notified(channel, &frame, now), false),
                Incoming::Read(channel, frame) => (self.phone.read(channel, &frame, now), true),
            };
            match event {
                Some(Event::Write(frames)) => return Ok(Said::Frames(frames)),
                Some(Event::Began { box_key, welcome }) => return Ok(Said::Began { box_key, welcome }),
                Some(Event::Message { channel, json }) => return Ok(Said::Message(channel, json)),
                Some(Event::Failed(failed)) => return Err(failed.into()),
                None if is_read => return Ok(Said::ReadMore),
                None => {}
            }
        }
    }
}

/// What a box said, put together.
enum Said {
    Frames(Vec<Vec<u8>>),
    Began { box_key: PublicKey, welcome: Zeroizing<Vec<u8>> },
    Message(Channel, Zeroizing<Vec<u8>>),
    ReadMore,
}

async fn at(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// What [`Door::enter`] led into.
    pub fn new(door: Door, (box_key, welcome): (PublicKey, SetupWelcome)) -> Self {
        Self { door, box_key, welcome, last_id: 0, last_sent: Instant::now(), values: Vec::new() }
    }

    /// The box as it described itself last.
    pub fn welcome(&self) -> &SetupWelcome {
        &self.welcome
    }

    /// The box's long-term key.
    pub fn box_key(&self) -> PublicKey {
        self.box_key
    }

    /// Asks for something that is done soon.
    pub async fn request<T: DeserializeOwned>(&mut self, channel: Channel, op: &impl Serialize) -> Result<T, Trouble> {
        self.request_within(SOON, channel, op).await
    }

    /// Asks for something that may take its time.
    pub async fn request_within<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
        channel: Channel,
        op: &impl Serialize,
    ) -> Result<T, Trouble> {
        let id = self.send_request(channel, op).await?;
        timeout(patience, self.reply(channel, id)).await.map_err(|_| Trouble::Lost)?
    }

    /// Writes something that has no reply: the answer is the characteristic's next value.
    pub async fn write(&mut self, channel: Channel, op: &impl Serialize) -> Result<(), Trouble> {
        self.values.retain(|(of, _)| *of != channel);
        let json = Zeroizing::new(serde_json::to_vec(op).map_err(|_| Trouble::Protocol)?);
        self.seal_and_send(channel, &json).await
    }

    /// Reads the latest value of a characteristic.
    pub async fn read<T: DeserializeOwned>(&mut self, channel: Channel) -> Result<T, Trouble> {
        timeout(SOON, self.read_value(channel)).await.map_err(|_| Trouble::Lost)??;
        self.latest(channel)
    }

    /// Waits until a characteristic notifies; none if it does not within this time.
    pub async fn changed<T: DeserializeOwned>(
        &mut self,
        channel: Channel,
        within: Duration,
    ) -> Result<Option<T>, Trouble> {
        let until = Instant::now() + within;
        loop {
            let wake = until.min(self.last_sent + KEEP_ALIVE_EVERY);
            tokio::select! {
                said = self.door.next() => if self.note(said?)? == Some(channel) {
                    return self.latest(channel).map(Some);
                },
                () = sleep_until(wake) => {
                    if wake == until {
                        return Ok(None);
                    }
                    self.keep_alive().await?;
                }
            }
        }
    }

    /// Keeps the session while a person thinks. That it was lost meanwhile, the next request tells.
    pub async fn while_waiting<T>(&mut self, person: impl Future<Output = T>) -> T {
        let mut person = pin!(person);
        let give_up = Instant::now() + KEEP_ALIVE_FOR;
        loop {
            let wake = self.last_sent + KEEP_ALIVE_EVERY;
            let alive = tokio::select! {
                answer = &mut person => return answer,
                said = self.door.next() => said.and_then(|said| self.note(said)).is_ok(),
                () = sleep_until(wake) => wake < give_up && self.keep_alive().await.is_ok(),
            };
            if !alive {
                return person.await;
            }
        }
    }

    /// Any request does; this one changes nothing.
    async fn keep_alive(&mut self) -> Result<(), Trouble> {
        self.send_request(Channel::Control, &json!({"op": "phones"})).await.map(drop)
    }

    async fn send_request(&mut self, channel: Channel, op: &impl Serialize) -> Result<u32, Trouble> {
        let id = if self.last_id == MAX_REQUEST_ID { 1 } else { self.last_id + 1 };
        self.last_id = id;
        let request = serde_json::to_vec(&SetupRequest { id, op }).map_err(|_| Trouble::Protocol)?;
        self.seal_and_send(channel, &Zeroizing::new(request)).await?;
        Ok(id)
    }

    async fn seal_and_send(&mut self, channel: Channel, json: &[u8]) -> Result<(), Trouble> {
        let frames = self.door.phone.write(channel, json).map_err(|error| match error {
            coffer_crypto::channel::WriteError::Length => Trouble::Failed(too_long()),
            coffer_crypto::channel::WriteError::NoSession | coffer_crypto::channel::WriteError::Exhausted => {
                Trouble::Lost
            }
        })?;
        self.last_sent = Instant::now();
        self.door.send(channel, frames).await
    }

    /// The `ok` of the reply with this id. What takes its time keeps the session: the box counts the silence of who waits.
    async fn reply<T: DeserializeOwned>(&mut self, channel: Channel, id: u32) -> Result<T, Trouble> {
        loop {
            let wake = self.last_sent + KEEP_ALIVE_EVERY;
            let said = tokio::select! {
                said = self.door.next() => said?,
                () = sleep_until(wake) => {
                    self.keep_alive().await?;
                    continue;
                }
            };
            let Said::Message(from, json) = &said else { continue };
            if *from != channel {
                self.note(said)?;
                continue;
            }
            let Numbered { id: of } = serde_json::from_slice(json).map_err(|_| Trouble::Protocol)?;
            // Without a number it is about a request that was not understood so far; with another one, nobody waits for it.
            if of.is_none_or(|of| of == id) {
                let reply = serde_json::from_slice(json).map_err(|_| Trouble::Protocol)?;
                return match reply {
                    Reply { error: Some(failure), .. } => Err(Trouble::Failed(failure)),
                    Reply { ok: Some(ok), .. } => Ok(ok),
                    Reply { .. } => Err(Trouble::Protocol),
                };
            }
        }
    }

    async fn read_value(&mut self, channel: Channel) -> Result<(), Trouble> {
        self.values.retain(|(of, _)| *of != channel);
        loop {
            self.door.link.outgoing.send(Outgoing::Read(channel)).await.map_err(|_| Trouble::Lost)?;
            loop {
                let said = self.door.next().await?;
                let read_more = matches!(said, Said::ReadMore);
                self.note(said)?;
                if self.values.iter().any(|(of, _)| *of == channel) {
                    return Ok(());
                }
                if read_more {
                    break;
                }
            }
        }
    }

    fn latest<T: DeserializeOwned>(&self, channel: Channel) -> Result<T, Trouble> {
        let value = self.values.iter().find(|(of, _)| *of == channel).ok_or(Trouble::Protocol)?;
        T::deserialize(&value.1).map_err(|_| Trouble::Protocol)
    }

    /// Remembers what is not the answer to anything; returns where there is a new value.
    fn note(&mut self, said: Said) -> Result<Option<Channel>, Trouble> {
        let Said::Message(channel, json) = said else { return Ok(None) };
        match channel {
            Channel::Session => {
                // A later version may say other things here.
                if let Ok(welcome) = serde_json::from_slice(&json) {
                    self.welcome = welcome;
                }
                Ok(None)
            }
            Channel::WifiScan | Channel::WifiStatus | Channel::ServerUrl | Channel::Registration => {
                let value = serde_json::from_slice(&json).map_err(|_| Trouble::Protocol)?;
                self.values.retain(|(of, _)| *of != channel);
                self.values.push((channel, value));
                Ok(Some(channel))
            }
            // The reply to what nobody waits for any more.
            Channel::WifiConfig | Channel::UserToken | Channel::Control => Ok(None),
        }
    }
}

#[derive(Deserialize)]
struct Numbered {
    id: Option<u32>,
}

#[derive(Deserialize)]
struct Reply<T> {
    ok: Option<T>,
    error: Option<Failure>,
}

fn too_long() -> Failure {
    Failure {
        code: "invalid".into(),
        happened: "What you gave is longer than a message to the box may be; nothing was sent.".into(),
        advice: "Give a shorter value; of a certificate, leave everything but the certificate away.".into(),
        retry_after_s: None,
    }
}
