//! Wakes a worker that sleeps until there is something in its queue.

use std::sync::Arc;

use tokio::sync::Notify;

/// Rings for one worker. A ring that nobody waits for is heard by the next who does.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Notify>);

impl Bell {
    /// There may be something to do.
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits for a ring.
    pub(super) async fn rung(&self) {
        self.0.notified().await;
    }
}
