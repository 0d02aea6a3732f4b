//! The tools of the secrets vault: each does one job on [open vaults](crate::secrets::store::Vaults), and knows neither the box
//! nor the other tools. docs/client-tools.md is their manual.
//!
//! | Module | Owns |
//! |---|---|
//! | [`bitwarden`] | Bitwarden's JSON, both ways |
//! | [`csv`] | tables |
//! | [`export`] | to other vaults and to archives |
//! | [`generate`] | passwords and pass phrases, and how hard they are to guess |
//! | [`import`] | from other vaults |
//! | [`inject`] | templates that are filled with values |
//! | [`lazy`] | vaults that are opened when they are needed |
//! | [`losses`] | what did not come along |
//! | [`otp`] | one-time passwords of authenticator apps |
//! | [`private_file`] | files for their owner, there whole or not at all |
//! | [`reference`] | `coffer://vault/item/field`, and what it stands for |
//! | [`run`] | programs with values of items in their environment, and without them in their output |
//! | [`ssh_agent`] | SSH keys that sign and never leave |

pub mod bitwarden;
pub mod csv;
pub mod error;
pub mod export;
pub mod generate;
pub mod import;
pub mod inject;
mod json;
pub mod lazy;
pub mod losses;
pub mod otp;
pub mod private_file;
pub mod reference;
pub mod run;
pub mod ssh_agent;
