//! The machine below the rules: processes, namespaces, file-system calls, the SQLite connection.
//!
//! Knows nothing of users and files. The only layer that starts processes.

pub(crate) mod capacity;
pub(crate) mod converters;
pub(crate) mod database;
pub(crate) mod durable;
pub(crate) mod exif;
pub(crate) mod gocryptfs;
pub(crate) mod hooks;
pub(crate) mod hygiene;
pub(crate) mod journal;
pub(crate) mod machine;
pub(crate) mod namespace;
pub(crate) mod outbound;
pub(crate) mod pictures;
pub(crate) mod sandbox;
pub(crate) mod turn;
