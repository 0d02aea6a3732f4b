//! From our vaults to other ones, and to archives: a file for its owner alone, there whole or not at all.

mod age;
mod archive;
mod table;

use std::{path::Path, str::FromStr};

use coffer_api::SecretString;
use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::age::{Recipient, To};
use super::{
    bitwarden::{self, BitwardenError},
    error::Error,
    losses::Losses,
    private_file::{self, Existing},
};
use crate::secrets::{content::Content, store::Vaults};

/// What is written.
pub enum Format {
    /// JSON of Bitwarden, in clear.
    BitwardenJson,
    /// The same under a password.
    BitwardenSealed(SecretString),
    /// A table of Bitwarden, in clear.
    Csv,
    /// Everything that items say, and what is attached to them, sealed as age seals files.
    Age(To),
}

/// Why nothing is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Sealing for Bitwarden.
    #[error("{0}")]
    Bitwarden(#[from] BitwardenError),
    /// Not a public key of age.
    #[error("{0:?} is no recipient of age. One begins with age1.")]
    Recipient(String),
    /// An empty password protects nothing.
    #[error("An export needs a password that is not empty.")]
    NoPassword,
    /// Sealing for age.
    #[error("The archive could not be sealed.")]
    Seal,
}

/// Writes all items of a vault to a file that is not there yet. Tells how many, and what is not in it.
pub fn export(
    vaults: &mut dyn Vaults,
    (vault, name): (Uuid, &str),
    format: &Format,
    output: &Path,
    rng: &mut impl CryptoRng,
) -> Result<(usize, Losses), Error> {
    let items = vaults.items(vault)?;
    let mut losses = Losses::default();
    let content = match format {
        Format::BitwardenJson => bitwarden::writing::write(&items, &mut losses),
        Format::BitwardenSealed(password) if password.expose().is_empty() => {
            return Err(ExportError::NoPassword.into());
        }
        Format::BitwardenSealed(password) => {
            let clear = bitwarden::writing::write(&items, &mut losses);
            let sealed = bitwarden::sealed::seal(&clear, password.expose(), rng).map_err(ExportError::from)?;
            Zeroizing::new(sealed)
        }
        Format::Csv => {
            let table = table::write(&items, &mut losses);
            Zeroizing::new(table.as_bytes().to_vec())
        }
        Format::Age(to) => {
            private_file::write_with(output, Existing::Keep, |out| {
                let mut sealing = age::Sealing::begin(to, rng, out)?;
                archive::write(vaults, name, &items, &mut losses, &mut sealing)?;
                sealing.finish()
            })?;
            return Ok((items.len(), losses));
        }
    };
    private_file::write(output, &content, Existing::Keep)?;
    Ok((items.len(), losses))
}

/// What neither Bitwarden nor its tables have: `known` is the member that they do.
pub(super) fn tell_what_no_other_vault_takes(content: &Content, known: &str, losses: &mut Losses) {
    if !content.attachments.is_empty() {
        losses.add("attached files: not in it", &content.title);
    }
    let members = content.other.keys().chain(content.fields.iter().flat_map(|field| field.other.keys()));
    if members.into_iter().any(|name| name != known) {
        losses.add("what a newer version of this program wrote: not in it", &content.title);
    }
}

impl FromStr for Recipient {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        Self::parse(text).ok_or_else(|| ExportError::Recipient(text.to_owned()))
    }
}
