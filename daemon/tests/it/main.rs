//! The daemon through its front door: the real program with real gocryptfs, SQLite and files. One module a feature.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers as well"
)]

mod access;
mod accounts;
mod archives;
mod audit;
#[expect(dead_code, reason = "the passkeys' unit tests use the rest of it")]
mod authenticator;
mod bad_input;
mod client;
mod content;
mod contract;
mod control;
mod crashes;
mod credentials;
mod device;
mod downloads;
mod events;
mod export;
mod express;
mod factory_reset;
mod files;
mod flood;
mod folders;
mod forms;
mod groups;
mod handouts;
mod harness;
mod hooks;
mod hygiene;
mod integrity;
mod key_rotation;
mod key_stick;
mod keys;
mod lockdown;
mod locking;
mod login;
mod metrics;
mod network_orders;
mod openapi;
mod organisation;
mod pictures;
mod quarantine;
mod recovery;
mod registrar;
mod registration;
mod revisions;
mod roles;
mod rotation_places;
mod rotation_ssh;
mod rotations;
mod sandbox;
mod sealing;
mod search;
mod second_factors;
mod secret_attachments;
mod secrets;
mod sessions;
mod share_drops;
mod shares;
mod srp_login;
mod startup;
mod storage;
mod stormcloud;
mod thumbnails;
mod trash;
mod tree;
mod tunnel;
mod update_channel;
mod updates;
mod uploads;
mod variables;
mod vault;
mod watchdog;
mod webhooks;
