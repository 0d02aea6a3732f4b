//! Coffer's client over Bluetooth: it sets boxes up, and it is an example of how to speak with them, written against
//! docs/ble.md. What is spoken is here; the command line and the terminal are in the program.

#[cfg_attr(not(target_os = "linux"), path = "no_bluetooth.rs")]
pub mod bluetooth;
pub mod boxes;
pub mod dialogue;
pub mod error;
pub mod files;
pub mod info;
pub mod label;
pub mod link;
pub mod manage;
pub mod qr;
pub mod secrets;
pub mod session;
pub mod setup;
pub mod tools;
pub mod visit;
pub mod wire;
