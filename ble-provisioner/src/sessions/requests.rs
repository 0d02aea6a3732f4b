//! Requests on their way to the desk and back: one at a time on each characteristic, in the order in which they came.

use std::{collections::VecDeque, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use coffer_api::{
    ControlRequest, RegisterRequest, ScanRequest, SetupError, SetupErrorCode, SetupOutcome, SetupReply, SetupRequest,
    WifiRequest, WifiScan,
};
use coffer_crypto::channel::Channel;
use futures_util::FutureExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    desk::{Asker, Desk},
    errors,
};

/// Requests of one characteristic that may wait for the one before them.
const MAX_WAITING: usize = 8;

/// What came of a request.
pub(super) enum Done {
    /// Tell the phone.
    Reply { channel: Channel, reply: Value },
    /// The radio has looked around.
    Scanned(Result<WifiScan, SetupError>),
    /// The box is nobody's now: tell the phone, and forget it.
    Reset { reply: Value },
}

type Work = Pin<Box<dyn Future<Output = Done> + Send>>;

/// Those under way, and those that wait.
pub(super) struct Requests {
    desk: Arc<Desk>,
    running: JoinSet<(Channel, u64, Done)>,
    waiting: Vec<(Channel, VecDeque<Work>)>,
    /// Counts sessions: what one asked for is not told to the next.
    session: u64,
}

impl Requests {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self { desk, running: JoinSet::new(), waiting: Vec::new(), session: 0 }
    }

    /// Takes a request. What cannot be taken has its reply at once.
    pub(super) fn take(&mut self, channel: Channel, json: &[u8], asker: &Asker) -> Result<(), Value> {
        let work = self.understand(channel, json, asker.clone())?;
        match self.waiting.iter_mut().find(|(busy, _)| *busy == channel) {
            Some((_, queue)) if queue.len() >= MAX_WAITING => {
                let what = "There are too many requests on this characteristic.";
                let error = errors::error(SetupErrorCode::Unavailable, what, "Wait for the replies to those before.");
                Err(json!({"error": error}))
            }
            Some((_, queue)) => {
                queue.push_back(work);
                Ok(())
            }
            None => {
                self.waiting.push((channel, VecDeque::new()));
                self.start(channel, work);
                Ok(())
            }
        }
    }

    /// The next outcome that still concerns somebody. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            match self.running.join_next().await {
                None => std::future::pending().await,
                Some(Ok((channel, session, done))) => {
                    self.start_next(channel);
                    // The box was reset, whoever hears of it.
                    if session == self.session || matches!(done, Done::Reset { .. }) {
                        return done;
                    }
                }
                // Nobody aborts them, and they do not panic.
                Some(Err(ended)) => log::error!("a request was lost: {ended}"),
            }
        }
    }

    /// The session is over. What runs goes on to its end: half a change is worse than one that nobody hears of.
    pub(super) fn forget(&mut self) {
        self.session += 1;
        for (_, queue) in &mut self.waiting {
            queue.clear();
        }
    }

    fn start(&mut self, channel: Channel, work: Work) {
        let session = self.session;
        // A bug in one request must not stop those behind it.
        let work = AssertUnwindSafe(work).catch_unwind();
        let spoilt = move || Done::Reply { channel, reply: json!({"error": errors::unavailable()}) };
        self.running.spawn(async move { (channel, session, work.await.unwrap_or_else(|_| spoilt())) });
    }

    fn start_next(&mut self, channel: Channel) {
        let next = self.waiting.iter_mut().find(|(busy, _)| *busy == channel).and_then(|(_, queue)| queue.pop_front());
        match next {
            Some(work) => self.start(channel, work),
            None => self.waiting.retain(|(busy, _)| *busy != channel),
        }
    }

    fn understand(&self, channel: Channel, json: &[u8], asker: Asker) -> Result<Work, Value> {
        let desk = Arc::clone(&self.desk);
        match channel {
            Channel::WifiScan => {
                let request = parse::<ScanRequest>(json)?;
                Ok(Box::pin(async move { Done::Scanned(desk.scan(request).await) }))
            }
            Channel::WifiConfig => {
                let SetupRequest { id, op } = parse::<SetupRequest<WifiRequest>>(json)?;
                Ok(Box::pin(async move { Done::Reply { channel, reply: reply(id, desk.wifi(op).await) } }))
            }
            Channel::UserToken => {
                let SetupRequest { id, op } = parse::<SetupRequest<RegisterRequest>>(json)?;
                Ok(Box::pin(async move { Done::Reply { channel, reply: reply(id, desk.register(op).await) } }))
            }
            Channel::Control => {
                let SetupRequest { id, op } = parse::<SetupRequest<ControlRequest>>(json)?;
                let resets = matches!(op, ControlRequest::FactoryResetConfirm { .. });
                Ok(Box::pin(async move {
                    let outcome = desk.control(&asker, op).await;
                    match (resets, outcome.is_ok()) {
                        (true, true) => Done::Reset { reply: reply(id, outcome) },
                        (_, _) => Done::Reply { channel, reply: reply(id, outcome) },
                    }
                }))
            }
            Channel::Session | Channel::WifiStatus | Channel::ServerUrl | Channel::Registration => {
                Err(json!({"error": errors::malformed("Nothing is asked on this characteristic.")}))
            }
        }
    }
}

fn reply(id: u32, outcome: Result<Value, SetupError>) -> Value {
    let outcome = match outcome {
        Ok(value) => SetupOutcome::Ok(value),
        Err(error) => SetupOutcome::Error(error),
    };
    json!(SetupReply { id, outcome })
}

/// The fault is told without the text of the parser, which may quote a secret.
fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Value> {
    serde_json::from_slice(json).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "The request has a field too many, too few or of another type.",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => "The request is not JSON.",
        };
        let id = serde_json::from_slice::<Value>(json).ok().and_then(|value| value.get("id").cloned());
        json!({"id": id, "error": errors::malformed(what)})
    })
}
