//! `coffer.toml`: what a person writes onto the boot partition so that a new box needs no phone to be in its network. This
//! program takes it there, has the service do what it says, tells beside it what went wrong, and wipes it.
//!
//! The file stays until all of it has worked, or until somebody owns the box: so it can be corrected, and a router that starts
//! together with the box is found the next time. What it asks for is done again then, which changes nothing. It is not used
//! at all when it cannot be removed: its secrets would stay for whoever finds the card.

mod file;
mod reader;

use std::path::{Path, PathBuf};

use coffer_api::{RegisterRequest, SetupError, WifiRequest};
use serde::{Deserialize, Serialize};

use self::file::BootPartition;
use crate::touch::{self, TouchError};

/// What a file asks for, in the words in which a phone does.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Card {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) country: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wifi: Option<WifiRequest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reach: Option<RegisterRequest>,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Applied {
    /// Somebody owns the box, now: then such a file has nothing to say.
    pub(crate) claimed: bool,
    pub(crate) failures: Vec<Failure>,
}

/// A part that did not work.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    /// As the file calls it.
    pub(crate) part: String,
    pub(crate) error: SetupError,
}

/// Why a file was not dealt with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CardError {
    /// The partition cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The service does not answer, or not in words that are known here.
    #[error(transparent)]
    Service(#[from] TouchError),
    /// It may work the next time.
    #[error("coffer.toml: {0} of its parts did not work; coffer-errors.txt beside it tells why")]
    NotAll(usize),
}

const CLAIMED: &str = "this box has an owner already, so nothing was taken from the file, and it was removed because of the \
                       passwords in it. Change what you want to change with a phone of the owner's, or in a browser.";

/// Deals with the file in `boot`, if there is one. The second time there is none.
pub(crate) fn take(boot: &Path, touch: &Path) -> Result<(), CardError> {
    let partition = BootPartition::new(boot);
    partition.finish_wiping()?;
    let Some(found) = partition.open()? else {
        return partition.report(&partition.misnamed());
    };
    let text = found.read()?;
    let (card, mut report) = match text.as_deref().map(|text| reader::read(text)) {
        Some(Ok(card)) => (card, Vec::new()),
        Some(Err(mistakes)) => (Card::default(), told(&mistakes)),
        None => (
            Card::default(),
            vec![format!("{} of text, in UTF-8. Save it like that, from a plain editor.", file::LIMITS)],
        ),
    };
    drop(text);
    let has_mistakes = !report.is_empty();
    // Also when there is nothing to do: whether somebody owns the box is the service's to tell.
    let Applied { claimed, failures } = touch::hand_over(touch, card)?;
    if claimed {
        found.wipe()?;
        return partition.report(&[CLAIMED.to_owned()]);
    }
    let failed = failures.len();
    report.extend(
        failures.into_iter().map(|Failure { part, error }| format!("{part}: {} {}", error.happened, error.try_next)),
    );
    if report.is_empty() {
        found.wipe()?;
        log::info!("coffer.toml was applied, and is gone");
        return partition.report(&[]);
    }
    if has_mistakes {
        report.insert(0, "nothing was taken from the file. Correct what follows, and start the box again.".to_owned());
    } else {
        let what = "not all of it worked. The box tries again in some minutes, and at its next start; correct the file first where it is wrong.";
        report.insert(0, what.to_owned());
    }
    log::warn!("coffer.toml: {} entries in coffer-errors.txt", report.len() - 1);
    partition.report(&report)?;
    if failed == 0 { Ok(()) } else { Err(CardError::NotAll(failed)) }
}

fn told(mistakes: &[reader::Mistake]) -> Vec<String> {
    mistakes.iter().map(|mistake| format!("line {}: {}.", mistake.line, mistake.what)).collect()
}
