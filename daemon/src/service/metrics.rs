//! How the box is doing. Figures only: nothing in them names a person, a file or a folder.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use coffer_api::{
    CacheMetrics, DatabaseMetrics, DiskMetrics, Metrics, ProcessMetrics, QueueMetrics, RouteMetrics, SystemMetrics,
};

use super::Error;
use super::common::Common;
use super::event_stream::EventStreams;
use super::tally::Tally;
use super::unlocked::Lease;
use super::vault::{Vault, blocking};
use crate::repo::{hooks, webhooks};
use crate::storage::capacity;
use crate::storage::database::DatabaseError;
use crate::storage::machine::{Machine, ProcessFigures};

/// Looks at the box.
pub(crate) struct Observatory {
    common: Common,
    vault: Arc<Vault>,
    streams: Arc<EventStreams>,
    events: Tally,
    machine: Arc<Mutex<Machine>>,
    started: Instant,
}

/// What only the unlocked vault knows.
#[derive(Default)]
struct Inside {
    database: Option<DatabaseMetrics>,
    caches: Vec<CacheMetrics>,
    queues: Vec<QueueMetrics>,
}

impl Observatory {
    /// For that vault.
    pub(crate) fn new(common: Common, vault: Arc<Vault>, streams: Arc<EventStreams>, events: Tally) -> Self {
        let started = common.clock.monotonic();
        Self { common, vault, streams, events, machine: Arc::new(Mutex::new(Machine::new())), started }
    }

    /// All figures, with those of the requests that the caller counted.
    pub(crate) async fn look(&self, requests: Vec<RouteMetrics>) -> Result<Metrics, Error> {
        let (machine, cipher, pid) = (Arc::clone(&self.machine), self.vault.drive(), self.vault.gocryptfs_pid());
        let (system, process, gocryptfs, disk) = blocking("metrics", move || {
            let mut machine = machine.lock().unwrap_or_else(PoisonError::into_inner);
            let process = machine.process(std::process::id());
            let gocryptfs = pid.and_then(|pid| machine.process(pid));
            Ok((machine.figures(), process, gocryptfs, capacity::of(&cipher).ok()))
        })
        .await?;
        // Locked, or about to be: then that is how it is.
        let inside = match self.vault.lease() {
            Ok(lease) => look_inside(&lease).await.unwrap_or_default(),
            Err(_) => Inside::default(),
        };
        let observers = self.common.events.waiting();
        let mut queues = inside.queues;
        queues.extend(observers.map(|(name, waiting)| queue(&format!("observer_{name}"), waiting as u64)));
        Ok(Metrics {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.common.clock.monotonic().saturating_duration_since(self.started).as_secs(),
            vault: self.vault.state(),
            system: SystemMetrics {
                uptime_s: system.uptime_s,
                cpus: system.cpus,
                cpu_usage_percent: system.cpu_usage_percent,
                load: system.load,
                memory_total_bytes: system.memory_total_bytes,
                memory_available_bytes: system.memory_available_bytes,
                swap_total_bytes: system.swap_total_bytes,
                swap_used_bytes: system.swap_used_bytes,
                temperature_celsius: system.temperature_celsius,
            },
            process: process.as_ref().map(wire_process),
            gocryptfs: gocryptfs.as_ref().map(wire_process),
            disk: disk.map(|disk| DiskMetrics { total_bytes: disk.total_bytes, available_bytes: disk.available_bytes }),
            database: inside.database,
            caches: inside.caches,
            queues,
            events: self.events.all().into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
            event_streams: self.streams.count(),
            requests,
        })
    }
}

async fn look_inside(lease: &Lease) -> Result<Inside, Error> {
    let store = lease.store();
    let queue_length = store.database.waiting();
    let figures = store.figures().await?;
    let read = store.database.read(|connection| -> Result<_, DatabaseError> {
        Ok((webhooks::waiting(connection)?, hooks::waiting(connection)?))
    });
    let (for_webhooks, for_hooks) = read.await?;
    let caches = store.cache_fill().into_iter().map(|(name, entries, capacity)| CacheMetrics {
        name: name.to_owned(),
        entries: entries as u64,
        capacity: capacity as u64,
    });
    Ok(Inside {
        database: Some(DatabaseMetrics {
            size_bytes: figures.size_bytes,
            free_bytes: figures.free_bytes,
            log_bytes: figures.log_bytes,
        }),
        caches: caches.collect(),
        queues: vec![
            queue("database", queue_length as u64),
            queue("webhooks", for_webhooks.into()),
            queue("hook_programs", for_hooks.into()),
        ],
    })
}

fn queue(name: &str, waiting: u64) -> QueueMetrics {
    QueueMetrics { name: name.to_owned(), waiting }
}

fn wire_process(process: &ProcessFigures) -> ProcessMetrics {
    ProcessMetrics {
        uptime_s: process.uptime_s,
        cpu_s: process.cpu_s,
        resident_bytes: process.resident_bytes,
        virtual_bytes: process.virtual_bytes,
        open_descriptors: process.open_descriptors,
        threads: process.threads,
    }
}
