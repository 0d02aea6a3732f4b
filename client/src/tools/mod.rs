//! The tools of the secrets vault: each does one job on [open vaults](crate::secrets::store::Vaults), and knows neither the box
//! nor the other tools. docs/client-tools.md is their manual.
//!
//! | Module | Owns |
//! |---|---|
//! | [`generate`] | passwords and pass phrases, and how hard they are to guess |
//! | [`inject`] | templates that are filled with values |
//! | [`otp`] | one-time passwords of authenticator apps |
//! | [`private_file`] | files for their owner, there whole or not at all |
//! | [`reference`] | `coffer://vault/item/field`, and what it stands for |
//! | [`run`] | programs with values of items in their environment, and without them in their output |

pub mod error;
pub mod generate;
pub mod inject;
pub mod otp;
pub mod private_file;
pub mod reference;
pub mod run;
