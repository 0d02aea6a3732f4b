//! The machine below the rules: processes, namespaces, file-system calls, the SQLite connection.
//!
//! Knows nothing of users and files. The only layer that starts processes.

pub(crate) mod addresses;
pub(crate) mod capacity;
pub(crate) mod clock_state;
pub(crate) mod converters;
pub(crate) mod database;
pub(crate) mod drive_wear;
pub(crate) mod durable;
pub(crate) mod exif;
pub(crate) mod gocryptfs;
pub(crate) mod hardware;
pub(crate) mod hooks;
pub(crate) mod hygiene;
pub(crate) mod journal;
pub(crate) mod machine;
pub(crate) mod namespace;
pub(crate) mod outbound;
pub(crate) mod pictures;
pub(crate) mod registrar_link;
pub(crate) mod rotation;
pub(crate) mod sandbox;
pub(crate) mod scope;
pub(crate) mod tunnel_metrics;
pub(crate) mod turn;
pub(crate) mod update_channel;
