//! The sessions: between the air, the protocol's state machine, what the box remembers, and the desk that does what phones
//! ask. One task; whatever takes time runs beside it, one request a characteristic.

mod policy;
mod requests;
mod values;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use coffer_api::{SetupAccess, SetupWelcome};
use coffer_crypto::channel::{
    Action, Channel, CodeKind, CodeRequest, Device, Entrance, Guess, Link, Peer, PhoneAnswer, Proof, PublicKey,
    Refusal, Resumption, Session,
};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant as Deadline, MissedTickBehavior, interval, sleep_until},
};
use uuid::Uuid;

use self::{
    requests::{Done, Requests},
    values::Values,
};
use crate::{
    desk::{Asker, Desk, lock},
    gatt::{Air, FromPhone},
    guesses::{Guesses, Moment},
    host,
    info::Model,
    outlook,
    store::{Store, StoreError},
};

/// How often what has no signal of its own is looked at while somebody is there to hear of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the sessions hear from the rest of the program.
#[derive(Debug)]
pub(crate) enum News {
    /// A phone's connection is gone.
    PhoneLeft(Peer),
    /// Somebody touched the box.
    Touched,
    /// The box has this id.
    DeviceId(Uuid),
}

/// What the box is besides, for `welcome`.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) model: Model,
    /// This start of the box.
    pub(crate) boot_id: Uuid,
}

/// The one session that there may be.
struct Current {
    asker: Asker,
    by_key: bool,
    /// As it was sent last.
    welcome: Option<SetupWelcome>,
    /// Nothing came yet, so it may be a recording of a session that was.
    unproved: bool,
}

pub(crate) struct Sessions {
    air: Air,
    device: Device<UnwrapErr<SysRng>>,
    device_id: Uuid,
    identity: Identity,
    store: Arc<Mutex<Store>>,
    desk: Arc<Desk>,
    requests: Requests,
    values: Values,
    current: Option<Current>,
    /// A phone has a session, or is about to.
    is_taken: watch::Sender<bool>,
    started: Instant,
}

impl Sessions {
    pub(crate) fn new(air: Air, identity: Identity, store: Arc<Mutex<Store>>, desk: Arc<Desk>) -> Self {
        let device_id = Uuid::nil();
        let device = device(device_id, &store);
        Self {
            air,
            device,
            device_id,
            identity,
            store,
            requests: Requests::new(Arc::clone(&desk)),
            desk,
            values: Values::default(),
            current: None,
            is_taken: watch::Sender::new(false),
            started: Instant::now(),
        }
    }

    /// Whether a phone has a session or is about to have one, now and whenever that changes.
    pub(crate) fn is_taken(&self) -> watch::Receiver<bool> {
        self.is_taken.subscribe()
    }

    /// Serves phones until the air is gone.
    pub(crate) async fn run(mut self, mut news: mpsc::Receiver<News>) {
        let mut status = self.desk.wifi_status();
        self.values.set_status(&outlook::of(&status.borrow_and_update()));
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let deadline = self.device.deadline().map(|deadline| Deadline::from_std(self.started + deadline));
            let actions = tokio::select! {
                done = self.requests.next() => {
                    self.finish(done).await;
                    Vec::new()
                }
                news = news.recv() => match news {
                    Some(news) => self.hear(news).await,
                    None => return,
                },
                from_phone = self.air.next() => match from_phone {
                    Some(FromPhone::Frame { link, channel, frame }) => {
                        let now = self.now();
                        self.device.frame(link, channel, &frame, now)
                    }
                    Some(FromPhone::Read { link, channel, answer }) => {
                        // Who hung up does not want it any more.
                        drop(answer.send(self.read(link, channel)));
                        Vec::new()
                    }
                    None => return,
                },
                changed = status.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let changed = self.values.set_status(&outlook::of(&status.borrow_and_update()));
                    if changed {
                        self.tell(Channel::WifiStatus).await;
                    }
                    Vec::new()
                }
                _ = look.tick(), if self.current.is_some() => {
                    self.look().await;
                    Vec::new()
                }
                () = wait_until(deadline) => {
                    let now = self.now();
                    self.device.tick(now)
                }
            };
            self.carry_out(actions).await;
            let is_taken = self.current.is_some() || self.device.deadline().is_some();
            self.is_taken.send_if_modified(|known| std::mem::replace(known, is_taken) != is_taken);
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn hear(&mut self, news: News) -> Vec<Action> {
        match news {
            News::PhoneLeft(peer) => self.device.disconnected(peer),
            News::Touched => {
                let reopened = lock(&self.store).guesses().reopened();
                self.remember_guesses(reopened).await;
                Vec::new()
            }
            News::DeviceId(device_id) if device_id == self.device_id => Vec::new(),
            News::DeviceId(device_id) => {
                let actions = self.device.end_session();
                self.device_id = device_id;
                self.device = device(device_id, &self.store);
                actions
            }
        }
    }

    /// What the state machine wants, and what it wants in turn once it has that.
    async fn carry_out(&mut self, actions: Vec<Action>) {
        let mut todo = std::collections::VecDeque::from(actions);
        while let Some(action) = todo.pop_front() {
            let next = match action {
                Action::Notify(notification) => {
                    self.air.notify(notification.channel, notification.frames).await;
                    Vec::new()
                }
                Action::AskCode(request) => self.ask_code(request).await,
                Action::CountGuess(proof) => self.count_guess(proof).await,
                Action::GuessWasRight(kind) => {
                    self.guess_was_right(kind).await;
                    Vec::new()
                }
                Action::AskPhone(resumption) => self.ask_phone(resumption),
                Action::Began(session) => {
                    self.begin(session).await;
                    Vec::new()
                }
                Action::Request { channel, json } => {
                    self.request(channel, json.as_slice()).await;
                    Vec::new()
                }
                Action::Ended(end) => {
                    log::info!("the session ended: {end:?}");
                    self.current = None;
                    self.requests.forget();
                    Vec::new()
                }
            };
            // Answers come before what was waiting: they belong to what was just done.
            for action in next.into_iter().rev() {
                todo.push_front(action);
            }
        }
    }

    async fn ask_code(&mut self, request: CodeRequest) -> Vec<Action> {
        let allowed = lock(&self.store).guesses().allow(self.moment());
        let invitation = self.desk.invitation(Instant::now());
        let setup = if allowed.is_ok() && invitation.is_none() { self.desk.setup().await } else { None };
        let answer = policy::answer(allowed, invitation, setup);
        let now = self.now();
        self.device.answer_code(request, answer, now)
    }

    /// On disk before the proof is looked at: pulling the plug does not give a guess back.
    async fn count_guess(&mut self, proof: Proof) -> Vec<Action> {
        let moment = self.moment();
        let before = lock(&self.store).guesses().clone();
        let guess = if let Err(refusal) = before.allow(moment) {
            Guess::Refused(policy::refused(refusal))
        } else {
            let counted = before.counted(moment);
            let retry_after_s = counted.allow(moment).err().and_then(retry_after_s);
            if self.remember_guesses(counted).await {
                Guess::Counted { retry_after_s }
            } else {
                Guess::Refused(Refusal::StorageUnavailable)
            }
        };
        let now = self.now();
        self.device.check(proof, guess, now)
    }

    async fn guess_was_right(&mut self, kind: CodeKind) {
        self.remember_guesses(Guesses::default()).await;
        if kind == CodeKind::Invitation {
            self.desk.use_invitation();
        }
    }

    fn ask_phone(&mut self, resumption: Resumption) -> Vec<Action> {
        let known = lock(&self.store).phones().by_key(resumption.phone()).is_some();
        let answer = if known { PhoneAnswer::Enrolled } else { PhoneAnswer::Refuse(Refusal::NotEnrolled) };
        let now = self.now();
        self.device.answer_phone(resumption, answer, now)
    }

    async fn begin(&mut self, session: Session) {
        let (access, by_key) = match session.entrance {
            Entrance::Code(CodeKind::Setup) => (SetupAccess::Setup, false),
            Entrance::Code(CodeKind::Invitation) => (SetupAccess::Owner, false),
            Entrance::Code(CodeKind::Recovery) => (SetupAccess::Recovery, false),
            Entrance::EnrolledKey => (SetupAccess::Owner, true),
        };
        log::info!(access:? = access; "a session began");
        let asker = Asker { access, key: session.phone, device_id: self.device_id };
        self.current = Some(Current { asker, by_key, welcome: None, unproved: by_key });
        self.look().await;
    }

    async fn request(&mut self, channel: Channel, json: &[u8]) {
        let Some(current) = &mut self.current else { return };
        if std::mem::take(&mut current.unproved) {
            let key = current.asker.key;
            self.note_seen(key).await;
        }
        let Some(current) = &self.current else { return };
        let scans = channel == Channel::WifiScan;
        match self.requests.take(channel, json, &current.asker) {
            Ok(()) if scans => {
                self.values.scan_began();
                self.tell(channel).await;
            }
            Ok(()) => {}
            Err(reply) => self.send(channel, &reply).await,
        }
    }

    /// A request has its outcome.
    async fn finish(&mut self, done: Done) {
        match done {
            Done::Reply { channel, reply } => self.send(channel, &reply).await,
            Done::Scanned(outcome) => {
                self.values.scanned(outcome);
                self.tell(Channel::WifiScan).await;
            }
            Done::Reset { reply } => {
                self.send(Channel::Control, &reply).await;
                let actions = self.device.end_session();
                self.device = device(self.device_id, &self.store);
                Box::pin(self.carry_out(actions)).await;
            }
        }
        self.look().await;
        self.end_if_revoked().await;
    }

    /// A phone that came by its key stays only while the box knows the key.
    async fn end_if_revoked(&mut self) {
        let revoked = self
            .current
            .as_ref()
            .is_some_and(|current| current.by_key && lock(&self.store).phones().by_key(&current.asker.key).is_none());
        if revoked {
            let actions = self.device.end_session();
            Box::pin(self.carry_out(actions)).await;
        }
    }

    fn read(&mut self, link: Link, channel: Channel) -> Option<Vec<u8>> {
        let latest = self.values.of(channel)?.to_string();
        self.device.read(link.peer, channel, latest.as_bytes()).ok()
    }

    /// Looks at what changes without a signal, and tells what is news.
    async fn look(&mut self) {
        let Some(current) = &mut self.current else { return };
        let mut seen = self.desk.look(&current.asker, &self.identity).await;
        if current.asker.access == SetupAccess::Setup && seen.welcome.claimed && seen.welcome.enrolled {
            // The setup code has done what it is for: this phone owns the box now.
            current.asker.access = SetupAccess::Owner;
            seen.welcome.access = SetupAccess::Owner;
        }
        if current.welcome.as_ref() != Some(&seen.welcome) {
            self.send(Channel::Session, &json!(seen.welcome)).await;
            if let Some(current) = &mut self.current {
                current.welcome = Some(seen.welcome);
            }
        }
        if seen.tunnel.is_some_and(|tunnel| self.values.set_tunnel(&tunnel)) {
            self.tell(Channel::ServerUrl).await;
        }
        if seen.registration.is_some_and(|registration| self.values.set_registration(&registration)) {
            self.tell(Channel::Registration).await;
        }
    }

    /// Notifies the latest value.
    async fn tell(&mut self, channel: Channel) {
        if let Some(value) = self.values.of(channel) {
            self.send(channel, &value).await;
        }
    }

    async fn send(&mut self, channel: Channel, json: &Value) {
        if self.current.is_none() {
            return;
        }
        match self.device.send(channel, json.to_string().as_bytes()) {
            Ok(notification) => self.air.notify(notification.channel, notification.frames).await,
            Err(error) => log::warn!("a message to the phone was not sent: {error}"),
        }
    }

    /// Whether it is on disk.
    async fn remember_guesses(&mut self, guesses: Guesses) -> bool {
        self.remember(move |store| store.set_guesses(guesses)).await
    }

    async fn note_seen(&mut self, key: PublicKey) {
        self.remember(move |store| {
            let mut phones = store.phones().clone();
            phones.seen(&key, host::now());
            store.set_phones(phones)
        })
        .await;
    }

    async fn remember(&mut self, change: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static) -> bool {
        let store = Arc::clone(&self.store);
        let changed = tokio::task::spawn_blocking(move || change(&mut lock(&store))).await;
        match changed {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                log::error!("{error}");
                false
            }
            Err(_) => false,
        }
    }

    fn moment(&self) -> Moment {
        Moment::now(self.identity.boot_id)
    }
}

fn device(device_id: Uuid, store: &Mutex<Store>) -> Device<UnwrapErr<SysRng>> {
    Device::new(device_id.into_bytes(), lock(store).key(), UnwrapErr(SysRng))
}

fn retry_after_s(refusal: crate::guesses::Refusal) -> Option<u32> {
    match refusal {
        crate::guesses::Refusal::Throttled { retry_after } => Some(policy::seconds(retry_after)),
        crate::guesses::Refusal::WindowClosed => None,
    }
}

async fn wait_until(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
