//! Work that goes on by itself as long as the vault is unlocked: sweeping, ageing, everything with a durable queue.

use std::pin::Pin;
use std::time::{Duration, Instant};

use super::unlocked::Lease;
use crate::model::clock::SharedClock;

/// How often [`every`] looks at the clock: it may be moved.
const TICK: Duration = Duration::from_secs(5);

/// What [`daily`] waits for.
const DAY: Duration = Duration::from_hours(24);

/// Started at each unlock, each as a task of its own. It must end when [`Lease::locking`] says so: locking waits for it.
pub(crate) type Chore = Box<dyn Fn(Lease) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Makes an async function a chore.
pub(crate) fn chore<F>(work: impl Fn(Lease) -> F + Send + Sync + 'static) -> Chore
where
    F: Future<Output = ()> + Send + 'static,
{
    Box::new(move |lease| Box::pin(work(lease)))
}

/// Does something at once and then daily, until the vault is locked.
pub(super) async fn daily<F>(lease: &Lease, clock: &SharedClock, work: impl Fn() -> F + Send)
where
    F: Future<Output = ()> + Send,
{
    every(DAY, lease, clock, work).await;
}

/// Does something at once and then after each such time, until the vault is locked.
pub(super) async fn every<F>(pause: Duration, lease: &Lease, clock: &SharedClock, work: impl Fn() -> F + Send)
where
    F: Future<Output = ()> + Send,
{
    let mut locking = std::pin::pin!(lease.locking());
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            () = &mut locking => return,
            _ = ticks.tick() => {}
        }
        let now = clock.monotonic();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= pause) {
            last = Some(now);
            work().await;
        }
    }
}
