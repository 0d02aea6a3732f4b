//! What the system tells about updates, one line a file: coffer-update how far it is, coffer-slot-good which slot runs.
//!
//! | File | Line |
//! |---|---|
//! | `install` | the id of the wish, then `installing PERCENT`, `installing PERCENT VERSION` once the signature was verified, `installed VERSION`, `refused WHY`, `failed WHY` |
//! | `slot` | `A proved`, `B trial` |
//!
//! What does not look so is none. It may come from a signed bundle, but is kept short all the same.

use std::path::Path;

use uuid::Uuid;

use crate::storage::durable;

pub(super) const MAX_BYTES: u64 = 1024;
/// Largest os-release(5).
const MAX_RELEASE_BYTES: u64 = 16 * 1024;
/// How far an installation is.
const INSTALL: &str = "install";
/// Which slot runs.
const SLOT: &str = "slot";

/// How far an installation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Installing {
        percent: u8,
        version: Option<String>,
    },
    Installed {
        version: String,
    },
    /// The bundle is not one for this box.
    Refused(String),
    Failed(String),
}

impl Report {
    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        Some(match word {
            "installing" => {
                let (percent, version) = match rest.split_once(' ') {
                    Some((percent, version)) => (percent, Some(version.to_owned())),
                    None => (rest, None),
                };
                Self::Installing { percent: percent.parse().ok().filter(|percent| *percent <= 100)?, version }
            }
            "installed" => Self::Installed { version: rest.to_owned() },
            "refused" => Self::Refused(rest.to_owned()),
            "failed" => Self::Failed(rest.to_owned()),
            _ => return None,
        })
    }
}

/// The slot that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// `A` or `B`.
    pub(super) name: String,
    /// Whether it starts from now on.
    pub(super) is_proved: bool,
}

/// How far the installation of that wish is, when somebody works on it.
pub(super) fn install(reports: &Path, id: Uuid) -> Option<Report> {
    let line = line(&reports.join(INSTALL))?;
    let (named, report) = line.split_once(' ')?;
    if Uuid::try_parse(named).is_ok_and(|named| named == id) { Report::parse(report) } else { None }
}

/// The slot that runs, once the system has looked.
pub(super) fn slot(reports: &Path) -> Option<Slot> {
    let line = line(&reports.join(SLOT))?;
    let (name, state) = line.split_once(' ')?;
    let is_proved = match state {
        "proved" => true,
        "trial" => false,
        _ => return None,
    };
    matches!(name, "A" | "B").then(|| Slot { name: name.to_owned(), is_proved })
}

/// The `VERSION_ID` of an os-release(5) file.
pub(super) fn version(release: &Path) -> Option<String> {
    let bytes = durable::read_small_file(release, MAX_RELEASE_BYTES).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("VERSION_ID="))?;
    Some(value.trim_matches('"').to_owned())
}

fn line(path: &Path) -> Option<String> {
    let bytes = durable::read_small_file(path, MAX_BYTES).ok()?;
    Some(std::str::from_utf8(&bytes).ok()?.lines().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_and_others_are_none() {
        let version = |text: &str| Some(text.to_owned());
        for (line, expected) in [
            ("installing 0", Some(Report::Installing { percent: 0, version: None })),
            ("installing 40 0.2.0", Some(Report::Installing { percent: 40, version: version("0.2.0") })),
            ("installed 0.2.0", Some(Report::Installed { version: "0.2.0".to_owned() })),
            (
                "refused signature verification failed",
                Some(Report::Refused("signature verification failed".to_owned())),
            ),
            ("failed no room", Some(Report::Failed("no room".to_owned()))),
            ("installing 101", None),
            ("installing", None),
            ("", None),
            ("dancing 3", None),
        ] {
            assert_eq!(Report::parse(line), expected, "{line}");
        }
    }

    #[test]
    fn a_report_is_of_the_wish_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let [this, other] = [1, 2].map(Uuid::from_u128);
        std::fs::write(folder.path().join(INSTALL), format!("{this} installed 0.2.0\n")).unwrap();
        assert_eq!(install(folder.path(), this), Some(Report::Installed { version: "0.2.0".to_owned() }));
        assert_eq!(install(folder.path(), other), None);
    }

    #[test]
    fn a_slot_is_one_of_two() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(slot(folder.path()), None);
        for (line, expected) in
            [("A proved\n", Some(("A", true))), ("B trial\n", Some(("B", false))), ("C proved", None)]
        {
            std::fs::write(folder.path().join(SLOT), line).unwrap();
            let found = slot(folder.path());
            assert_eq!(found.as_ref().map(|slot| (slot.name.as_str(), slot.is_proved)), expected, "{line}");
        }
    }
}
