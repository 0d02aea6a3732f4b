//! Orders to change the network: given by people, fetched and answered by the set-up service, which alone may change it.
//!
//! In memory only, and the device's, not the vault's: a vault that locks stops none, a daemon that restarts has forgotten
//! all. One at a time. What belongs to a change, such as a password, leaves this process with whoever fetches it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coffer_api::{
    FetchedOrder, NetworkChange, NetworkChangeKind, NetworkOrder, NetworkOrderState, OrderOutcome, SetupError,
    SetupErrorCode,
};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::Error;
use super::audit::Context;
use super::vault::Vault;
use crate::model::audit::Outcome;
use crate::model::clock::{Ids, SharedClock};

/// How long an order waits to be fetched. The set-up service asks all the time; starting again takes it longer.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);
/// How long whoever gave an order waits for its end. Clients give up after 30 s, tunnels after 100 s.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// How long the set-up service waits for an order before it asks again.
const ASKED_FOR: Duration = Duration::from_secs(30);
/// The longest change is joining a network in two ways: 220 s. Who takes longer is not going to answer.
const CARRIED_OUT_WITHIN: Duration = Duration::from_mins(5);
/// How many can be looked at.
const KEPT: usize = 16;

/// The orders.
pub(crate) struct NetworkOrders {
    vault: Arc<Vault>,
    clock: SharedClock,
    ids: Ids,
    book: watch::Sender<Book>,
}

/// What there is of them; the newest last. All but the last have ended.
#[derive(Default)]
struct Book {
    orders: VecDeque<Order>,
    closed: bool,
}

struct Order {
    id: Uuid,
    kind: NetworkChangeKind,
    asked_at: Timestamp,
    since: Instant,
    context: Context,
    state: State,
}

enum State {
    Waiting(NetworkChange),
    Running,
    Ended(OrderOutcome),
}

/// What the log is told of an end.
type End = (Context, NetworkChangeKind, Option<SetupErrorCode>);

impl NetworkOrders {
    /// None yet.
    pub(crate) fn new(vault: Arc<Vault>, clock: SharedClock) -> Self {
        let ids = Ids::new(Arc::clone(&clock));
        Self { vault, clock, ids, book: watch::Sender::default() }
    }

    /// Gives an order, and says how far it is after a while: mostly, how it went. Whoever does not wait for that changes
    /// nothing, once it is fetched.
    pub(crate) async fn give(&self, change: NetworkChange, context: Context) -> Result<NetworkOrder, Error> {
        let (kind, id) = (change.kind(), self.ids.next());
        self.make_room().await?;
        // Before anybody can fetch it.
        self.note(&context, "device.network_asked", Outcome::Success, name(kind)).await;
        let asker = context.clone();
        let order = Order {
            id,
            kind,
            asked_at: self.clock.now(),
            since: self.clock.monotonic(),
            context,
            state: State::Waiting(change),
        };
        let mut added = false;
        self.book.send_modify(|book| added = book.add(order));
        if !added {
            self.note_ends(vec![(asker, kind, Some(SetupErrorCode::Busy))]).await;
            return Err(Error::NetworkBusy);
        }
        let mut book = self.book.subscribe();
        let fetched = book.wait_for(|book| book.closed || !book.is_waiting(id));
        let _in_time = timeout(FETCHED_WITHIN, fetched).await.is_ok();
        if self.withdraw(id) {
            self.note_ends(vec![(asker, kind, Some(SetupErrorCode::Unavailable))]).await;
            return Err(Error::SetupServiceUnavailable);
        }
        let ended = book.wait_for(|book| book.closed || book.has_ended(id));
        // What takes longer is looked at later.
        let _in_time = timeout(ANSWERED_WITHIN, ended).await.is_ok();
        self.look(id)
    }

    /// How far an order is.
    pub(crate) fn look(&self, id: Uuid) -> Result<NetworkOrder, Error> {
        let book = self.book.borrow();
        book.orders.iter().find(|order| order.id == id).map(Order::shown).ok_or(Error::NotFound("order"))
    }

    /// For the set-up service: the next order, if one comes in time. It carries out one after the other, so when it asks
    /// while one is under way, it was restarted in between, and that one is lost.
    pub(crate) async fn fetch(&self) -> Option<FetchedOrder> {
        let mut end = None;
        let now = self.clock.monotonic();
        self.book.send_modify(|book| end = book.end_what_takes_too_long(now).or_else(|| book.end_what_runs()));
        self.note_ends(end.into_iter().collect()).await;
        let mut book = self.book.subscribe();
        let due = timeout(ASKED_FOR, book.wait_for(|book| book.closed || book.has_waiting())).await.is_ok();
        let mut fetched = None;
        if due {
            self.book.send_modify(|book| fetched = book.fetch());
        }
        fetched
    }

    /// From the set-up service: how an order went.
    pub(crate) async fn end(&self, id: Uuid, outcome: OrderOutcome) -> Result<(), Error> {
        let mut end = None;
        self.book
            .send_modify(|book| end = book.running().filter(|order| order.id == id).map(|order| order.end(outcome)));
        self.note_ends(vec![end.ok_or(Error::NotFound("order that is under way"))?]).await;
        Ok(())
    }

    /// The daemon stops: nobody needs to wait for an order any more.
    pub(crate) fn close(&self) {
        self.book.send_modify(|book| book.closed = true);
    }

    /// Unless an order is under way.
    async fn make_room(&self) -> Result<(), Error> {
        let (mut end, mut busy) = (None, false);
        let now = self.clock.monotonic();
        self.book.send_modify(|book| {
            end = book.end_what_takes_too_long(now);
            busy = book.is_busy();
        });
        self.note_ends(end.into_iter().collect()).await;
        if busy { Err(Error::NetworkBusy) } else { Ok(()) }
    }

    /// Takes an order back, unless somebody has fetched it; says whether.
    fn withdraw(&self, id: Uuid) -> bool {
        self.book.send_if_modified(|book| {
            let waited = book.is_waiting(id);
            book.orders.retain(|order| order.id != id || !waited);
            waited
        })
    }

    async fn note_ends(&self, ends: Vec<End>) {
        for (context, kind, failure) in ends {
            let (outcome, detail) = match failure {
                None => (Outcome::Success, name(kind)),
                Some(code) => (Outcome::Failed, format!("{}: {}", name(kind), name(code))),
            };
            self.note(&context, "device.network_changed", outcome, detail).await;
        }
    }

    async fn note(&self, context: &Context, action: &str, outcome: Outcome, detail: String) {
        let entry = self.vault.common.auditor.entry(context, action, outcome, None).with_detail(detail);
        self.vault.write_down(self.vault.unlocked().as_deref(), entry).await;
    }
}

impl Book {
    /// Whether there was room for it.
    fn add(&mut self, order: Order) -> bool {
        if self.is_busy() {
            return false;
        }
        self.orders.push_back(order);
        if self.orders.len() > KEPT {
            self.orders.pop_front();
        }
        true
    }

    fn is_busy(&self) -> bool {
        self.orders.back().is_some_and(|last| !matches!(last.state, State::Ended(_)))
    }

    fn fetch(&mut self) -> Option<FetchedOrder> {
        let order = self.orders.back_mut()?;
        match std::mem::replace(&mut order.state, State::Running) {
            State::Waiting(change) => Some(FetchedOrder { id: order.id, change }),
            state @ (State::Running | State::Ended(_)) => {
                order.state = state;
                None
            }
        }
    }

    /// Also one that nobody fetched and whose giver did not stay to take it back.
    fn end_what_takes_too_long(&mut self, now: Instant) -> Option<End> {
        let is_late = |order: &&mut Order| {
            let limit = match order.state {
                State::Waiting(_) => FETCHED_WITHIN,
                State::Running => CARRIED_OUT_WITHIN,
                State::Ended(_) => return false,
            };
            now.saturating_duration_since(order.since) > limit
        };
        self.orders.back_mut().filter(is_late).map(|order| order.end(lost()))
    }

    fn end_what_runs(&mut self) -> Option<End> {
        self.running().map(|order| order.end(lost()))
    }

    fn running(&mut self) -> Option<&mut Order> {
        self.orders.back_mut().filter(|order| matches!(order.state, State::Running))
    }

    fn has_waiting(&self) -> bool {
        self.orders.back().is_some_and(|order| matches!(order.state, State::Waiting(_)))
    }

    fn is_waiting(&self, id: Uuid) -> bool {
        self.has_waiting() && self.orders.back().is_some_and(|order| order.id == id)
    }

    /// Or is forgotten.
    fn has_ended(&self, id: Uuid) -> bool {
        self.orders.iter().all(|order| order.id != id || matches!(order.state, State::Ended(_)))
    }
}

impl Order {
    fn end(&mut self, outcome: OrderOutcome) -> End {
        let failure = outcome.failure.as_ref().map(|failure| failure.code);
        self.state = State::Ended(outcome);
        (self.context.clone(), self.kind, failure)
    }

    fn shown(&self) -> NetworkOrder {
        let (state, outcome) = match &self.state {
            State::Waiting(_) => (NetworkOrderState::Waiting, OrderOutcome::default()),
            State::Running => (NetworkOrderState::Running, OrderOutcome::default()),
            State::Ended(outcome) if outcome.failure.is_none() => (NetworkOrderState::Done, outcome.clone()),
            State::Ended(outcome) => (NetworkOrderState::Failed, outcome.clone()),
        };
        let OrderOutcome { confirm_within_s, failure } = outcome;
        NetworkOrder { id: self.id, kind: self.kind, state, asked_at: self.asked_at, confirm_within_s, failure }
    }
}

/// Of an order whose end nobody tells.
fn lost() -> OrderOutcome {
    let failure = SetupError {
        code: SetupErrorCode::Unavailable,
        happened: "The set-up service of the box did not say how it went.".to_owned(),
        try_next: "Look at the network's status, and try again.".to_owned(),
        retry_after_s: None,
    };
    OrderOutcome { confirm_within_s: None, failure: Some(failure) }
}

/// As it is written on the wire.
fn name(word: impl serde::Serialize) -> String {
    // The name of a variant is a text always.
    serde_json::to_value(word).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}
