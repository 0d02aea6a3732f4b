//! From other vaults to ours: a file is read whole, and then all of its items are added, or none.

mod keepass;
mod pass;
mod tables;

use std::{io, path::Path};

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    bitwarden::{self, BitwardenError},
    csv::CsvError,
    error::Error,
    losses::Losses,
    private_file,
};
use crate::secrets::{content::Content, store::Vaults};

/// Exports of ten thousands of items have some megabytes.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON of Bitwarden, in clear or under a password.
    BitwardenJson,
    /// A table of Bitwarden.
    BitwardenCsv,
    /// A table of Chrome, or a browser of its family.
    ChromeCsv,
    /// A table of Firefox.
    FirefoxCsv,
    /// A table of 1Password.
    OnePasswordCsv,
    /// A database of KeePass, KDBX 4 or older.
    KeePass,
    /// A directory of `pass`, with files that `gpg` opens.
    Pass,
}

/// What was read, and not written yet.
#[derive(Default)]
pub struct Brought {
    /// In the order of the file.
    pub contents: Vec<Content>,
    /// What is attached to some of them.
    pub attached: Vec<Attached>,
    /// What is not as it was.
    pub losses: Losses,
}

/// A file that is attached to an item.
pub struct Attached {
    /// The place of the item among [`Brought::contents`].
    pub to: usize,
    /// What it is called.
    pub name: String,
    /// What is in it.
    pub content: Zeroizing<Vec<u8>>,
}

/// Asks for the password of a file.
pub type AskPassword<'a> = dyn FnMut() -> Result<Zeroizing<String>, Error> + 'a;

/// Why nothing is imported. What is in the file is not told.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// JSON of Bitwarden.
    #[error("{0}")]
    Bitwarden(#[from] BitwardenError),
    /// No table at all.
    #[error("The table does not read: {0}.")]
    Csv(#[from] CsvError),
    /// A table without what is needed.
    #[error("This is no table of {format}: there is no column {missing:?} in its first line.")]
    Columns {
        /// Of whom it should be.
        format: &'static str,
        /// What is not there.
        missing: &'static str,
    },
    /// A row that has not as many values as the first.
    #[error("line {line} has {found} columns, where the first line has {expected}.")]
    Width {
        /// Counts from 1.
        line: usize,
        /// What it has.
        found: usize,
        /// What it should have.
        expected: usize,
    },
    /// A database of KeePass.
    #[error("The database does not open: {0}.")]
    KeePass(String),
    /// A file of `pass`.
    #[error("{}: {why}", .path.display())]
    Gpg {
        /// Which.
        path: std::path::PathBuf,
        /// What gpg says.
        why: String,
    },
    /// There is no program `gpg`.
    #[error("`gpg` does not start: {0}. It opens the files of pass.")]
    NoGpg(#[source] io::Error),
    /// There is nothing in it.
    #[error("There is no item in it.")]
    Empty,
}

/// Reads a file, or a directory.
pub fn read(format: Format, path: &Path, key_file: Option<&Path>, ask: &mut AskPassword<'_>) -> Result<Brought, Error> {
    let mut brought = Brought::default();
    let file = || private_file::read(path, MAX_FILE_BYTES);
    match format {
        Format::BitwardenJson => {
            let mut document = file()?;
            if bitwarden::sealed::is_sealed(&document) {
                document = bitwarden::sealed::open(&document, &ask()?).map_err(ImportError::from)?;
            }
            let read = bitwarden::reading::read(&document, &mut brought.losses);
            brought.contents = read.map_err(ImportError::from)?;
        }
        Format::BitwardenCsv | Format::ChromeCsv | Format::FirefoxCsv | Format::OnePasswordCsv => {
            let text = private_file::read_text(path, MAX_FILE_BYTES)?;
            tables::read(format, &text, &mut brought)?;
        }
        Format::KeePass => {
            let key_file = key_file.map(|path| private_file::read(path, MAX_FILE_BYTES)).transpose()?;
            keepass::read(&file()?, &ask()?, key_file.as_ref().map(|key| key.as_slice()), &mut brought)?;
        }
        Format::Pass => pass::read(path, &mut brought)?,
    }
    if brought.contents.is_empty() {
        return Err(ImportError::Empty.into());
    }
    Ok(brought)
}

/// Adds what was read to a vault, all items or none, and then what is attached to them. Tells how many items there are more, and
/// what is not as it was.
pub fn add(vaults: &mut dyn Vaults, vault: Uuid, brought: Brought) -> Result<(usize, Losses), Error> {
    let Brought { contents, attached, mut losses } = brought;
    let items = vaults.create(vault, contents)?;
    for Attached { to, name, content } in attached {
        let Some(item) = items.get(to) else { continue };
        // The item is there, and stays without it.
        if let Err(error) = vaults.attach(item, &name, &content) {
            losses.add(format!("the attached file {name:?}: not taken along ({error})"), &item.content.title);
        }
    }
    Ok((items.len(), losses))
}
