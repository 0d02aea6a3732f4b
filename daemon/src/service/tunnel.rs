//! The tunnel: its token file, by which systemd starts it and stops it, and whether it has reached the edge.
//!
//! Who runs it is `cloudflared.service`. It tells on a port of its own how it is; nothing here can start it.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coffer_api::{DeviceTunnel, TunnelState};
use jiff::Timestamp;
use log::info;
use tokio::sync::Notify;

use super::Error;
use super::device::Device;
use crate::model::clock::SharedClock;
use crate::storage::durable;
use crate::storage::tunnel_metrics::{self, Readiness};

/// The file in the device directory that holds the token, and nothing else.
pub(super) const TOKEN_FILE: &str = "cloudflared.token";

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same while it starts: somebody is waiting.
const STARTING_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to connect before that is a fault.
const START_LIMIT: Duration = Duration::from_mins(1);

/// The tunnel of this box.
pub(crate) struct Tunnel {
    device: Arc<Device>,
    token_file: PathBuf,
    metrics: SocketAddr,
    clock: SharedClock,
    seen: Mutex<Seen>,
    changed: Notify,
}

struct Seen {
    state: TunnelState,
    since: Timestamp,
    connections: Option<u32>,
    /// Which token file it was started with, and when.
    token: Option<(TokenMark, Instant)>,
}

/// Changes with the token.
#[derive(PartialEq, Eq)]
struct TokenMark {
    inode: u64,
    modified: (i64, i64),
}

impl Tunnel {
    /// For that box. `metrics` is where `cloudflared` tells how it is.
    pub(crate) fn start(device: Arc<Device>, metrics: SocketAddr, clock: SharedClock) -> Arc<Self> {
        let tunnel = Arc::new(Self {
            token_file: device.directory().join(TOKEN_FILE),
            device,
            metrics,
            seen: Mutex::new(Seen { state: TunnelState::None, since: clock.now(), connections: None, token: None }),
            clock,
            changed: Notify::new(),
        });
        tunnel.look_at_token();
        tokio::spawn(Arc::clone(&tunnel).watch());
        tunnel
    }

    /// How it is.
    pub(crate) fn state(&self) -> TunnelState {
        self.seen().state
    }

    /// How it is, since when, and where it leads.
    pub(crate) fn look(&self) -> DeviceTunnel {
        let server_url = self.device.read().registration.connection.server_url().map(str::to_owned);
        let seen = self.seen();
        DeviceTunnel { server_url, tunnel: seen.state, since: Some(seen.since), connections: seen.connections }
    }

    /// Gives the tunnel its token, which makes systemd start it, or start it anew. Blocks.
    pub(super) fn hand_over(&self, token: &str) -> Result<(), Error> {
        durable::replace_file(&self.token_file, token.as_bytes())
            .map_err(|error| Error::storage("writing the tunnel's token", error))?;
        self.look_at_token();
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the token away, which makes systemd stop the tunnel. Blocks.
    pub(super) fn take_away(&self) -> Result<(), Error> {
        // Also what a power cut left of a token half handed over.
        for path in [self.token_file.clone(), self.token_file.with_added_extension("new")] {
            durable::remove_file(&path).map_err(|error| Error::storage("removing the tunnel's token", error))?;
        }
        self.look_at_token();
        Ok(())
    }

    async fn watch(self: Arc<Self>) {
        loop {
            let interval = if self.state() == TunnelState::Starting { STARTING_INTERVAL } else { INTERVAL };
            let _due_or_rung = tokio::time::timeout(interval, self.changed.notified()).await;
            if !self.look_at_token() {
                continue;
            }
            let metrics = self.metrics;
            let asked = tokio::task::spawn_blocking(move || tunnel_metrics::ask(metrics)).await;
            self.note(asked.unwrap_or(Readiness::Silent));
        }
    }

    /// Whether there is a token. A new one begins anew.
    fn look_at_token(&self) -> bool {
        let mark = match std::fs::metadata(&self.token_file) {
            Ok(metadata) => Some(TokenMark::of(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            // What cannot be looked at has not changed.
            Err(_) => return self.seen().token.is_some(),
        };
        let mut seen = self.seen();
        let same = seen.token.as_ref().map(|(mark, _)| mark) == mark.as_ref();
        let there = mark.is_some();
        if !same {
            seen.token = mark.map(|mark| (mark, self.clock.monotonic()));
            seen.become_state(if there { TunnelState::Starting } else { TunnelState::None }, &self.clock);
        }
        there
    }

    fn note(&self, readiness: Readiness) {
        let mut seen = self.seen();
        let Some((_, started)) = &seen.token else { return };
        let is_young = self.clock.monotonic().saturating_duration_since(*started) < START_LIMIT;
        let state = match readiness {
            Readiness::Connected(_) => TunnelState::Connected,
            Readiness::Waiting | Readiness::Silent if seen.state == TunnelState::Starting && is_young => {
                TunnelState::Starting
            }
            Readiness::Waiting | Readiness::Silent => TunnelState::Disconnected,
        };
        seen.become_state(state, &self.clock);
        seen.connections = match readiness {
            Readiness::Connected(connections) => connections,
            Readiness::Waiting | Readiness::Silent => None,
        };
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn become_state(&mut self, state: TunnelState, clock: &SharedClock) {
        if self.state != state {
            info!(state:? = state; "the tunnel");
            (self.state, self.since, self.connections) = (state, clock.now(), None);
        }
    }
}

impl TokenMark {
    fn of(metadata: &Metadata) -> Self {
        Self { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) }
    }
}
