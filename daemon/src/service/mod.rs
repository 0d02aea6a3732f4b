//! The rules: who may do what, in which order, with which effect. Knows neither HTTP nor SQL.

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod api_keys;
mod attempts;
pub(crate) mod audit;
mod authentication;
pub(crate) mod caller;
pub(crate) mod common;
pub(crate) mod creation_mark;
pub(crate) mod device;
pub(crate) mod device_links;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod key_file;
pub(crate) mod passkeys;
pub(crate) mod password_check;
pub(crate) mod passwords;
mod qr;
pub(crate) mod recovery_codes;
pub(crate) mod second_factors;
pub(crate) mod sessions;
pub(crate) mod throttle;
pub(crate) mod tokens;
pub(crate) mod totp;
pub(crate) mod transfer;
pub(crate) mod unlocked;
pub(crate) mod users;
pub(crate) mod vault;
pub(crate) mod vault_create;
pub(crate) mod vault_keys;
pub(crate) mod watchdog;

pub(crate) use error::Error;
