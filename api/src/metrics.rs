//! How the box is doing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::VaultState;

/// How the box is doing. What cannot be known, or not while the vault is locked, is null.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Metrics {
    /// The daemon's version.
    #[schema(example = "1.0.0")]
    pub version: String,
    /// For how long the daemon has been running.
    pub uptime_s: u64,
    /// Where the vault is in its life.
    pub vault: VaultState,
    /// The machine.
    pub system: SystemMetrics,
    /// The daemon itself.
    pub process: Option<ProcessMetrics>,
    /// The process that encrypts; absent while the vault is locked.
    pub gocryptfs: Option<ProcessMetrics>,
    /// The drive that holds the ciphertext.
    pub disk: Option<DiskMetrics>,
    /// The database; absent while the vault is locked.
    pub database: Option<DatabaseMetrics>,
    /// What is kept in memory.
    pub caches: Vec<CacheMetrics>,
    /// What waits to be worked on.
    pub queues: Vec<QueueMetrics>,
    /// What happened since the daemon started: how often which event.
    #[schema(example = json!({ "file.stored": 12 }))]
    pub events: BTreeMap<String, u64>,
    /// Open streams of events.
    pub event_streams: u32,
    /// Requests since the daemon started, by route.
    pub requests: Vec<RouteMetrics>,
}

/// The machine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SystemMetrics {
    /// For how long it has been running.
    pub uptime_s: Option<u64>,
    /// Processors.
    pub cpus: u32,
    /// How busy they were together, of 100, since the metrics were looked at before.
    pub cpu_usage_percent: Option<f64>,
    /// Processes that ran or wanted to, on average over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Memory.
    pub memory_total_bytes: Option<u64>,
    /// Memory that programs can still get.
    pub memory_available_bytes: Option<u64>,
    /// Swap.
    pub swap_total_bytes: Option<u64>,
    /// Swap that is in use.
    pub swap_used_bytes: Option<u64>,
    /// The temperature of the processor.
    pub temperature_celsius: Option<f64>,
}

/// A process.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProcessMetrics {
    /// For how long it has been running.
    pub uptime_s: u64,
    /// Time on processors.
    pub cpu_s: f64,
    /// Memory that it holds.
    pub resident_bytes: u64,
    /// Addresses that it has taken.
    pub virtual_bytes: u64,
    /// Descriptors that it has open.
    pub open_descriptors: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// A drive.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiskMetrics {
    /// Its size.
    pub total_bytes: u64,
    /// What is left.
    pub available_bytes: u64,
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DatabaseMetrics {
    /// The file.
    pub size_bytes: u64,
    /// Parts of it that are free.
    pub free_bytes: u64,
    /// The write-ahead log.
    pub log_bytes: u64,
}

/// A cache.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CacheMetrics {
    /// Which.
    #[schema(example = "files")]
    pub name: String,
    /// What it holds.
    pub entries: u64,
    /// What it can hold.
    pub capacity: u64,
}

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct QueueMetrics {
    /// Which.
    #[schema(example = "webhooks")]
    pub name: String,
    /// What waits in it.
    pub waiting: u64,
}

/// Requests to one route.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RouteMetrics {
    /// The method.
    #[schema(example = "GET")]
    pub method: String,
    /// The route's pattern; `-` for what has none.
    #[schema(example = "/api/v1/files/{id}")]
    pub route: String,
    /// The first digit of the status.
    #[schema(example = 2)]
    pub status_class: u16,
    /// How many.
    pub count: u64,
    /// How long they took together, to the head of the reply.
    pub total_s: f64,
    /// How many took at most 1, 5, 10, 50, 100, 500 ms, 1, 5, 10 s. The rest took longer.
    pub within: Vec<u64>,
}
