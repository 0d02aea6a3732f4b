//! What anybody nearby may know of the box, put together at the moment of asking.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use uuid::Uuid;

use crate::{
    desk::{Desk, lock},
    guesses::Moment,
    health::Health,
    info::{self, Daemon},
    sessions::Identity,
};

/// Where `info` comes from.
pub(crate) struct About {
    health: Arc<Health>,
    desk: Arc<Desk>,
    identity: Identity,
    /// The daemon keeps a code that was made after the phones were lost.
    recovering: AtomicBool,
}

impl About {
    pub(crate) fn new(health: Arc<Health>, desk: Arc<Desk>, identity: Identity) -> Self {
        Self { health, desk, identity, recovering: AtomicBool::new(false) }
    }

    /// The value of `info`.
    pub(crate) async fn info(&self) -> [u8; info::LEN] {
        let daemon = self.health.ask().await;
        let codes_accepted = match daemon {
            Daemon::Reachable { claimed, .. } => self.has_code(claimed) && self.may_guess(),
            Daemon::Unreachable => false,
        };
        info::encode(self.identity.model, self.device_id(), daemon, codes_accepted)
    }

    /// The box, nil while nobody has told.
    pub(crate) fn device_id(&self) -> Uuid {
        self.health.device_id()
    }

    /// Whether a code is waiting to be used that is not the setup code of a new box.
    pub(crate) fn is_invited(&self) -> bool {
        self.recovering.load(Ordering::Relaxed) || self.desk.invitation(Instant::now()).is_some()
    }

    /// Asks the daemon how it is; whether somebody owns the box, when it answers.
    pub(crate) async fn refresh(&self) -> Option<bool> {
        let Daemon::Reachable { claimed, .. } = self.health.ask().await else { return None };
        let code = if claimed { self.desk.setup().await.and_then(|setup| setup.code) } else { None };
        self.recovering.store(code.is_some(), Ordering::Relaxed);
        Some(claimed)
    }

    fn has_code(&self, claimed: bool) -> bool {
        !claimed || self.is_invited()
    }

    fn may_guess(&self) -> bool {
        lock(self.desk.store()).guesses().allow(Moment::now(self.identity.boot_id)).is_ok()
    }
}
