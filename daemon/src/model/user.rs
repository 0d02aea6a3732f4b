//! People with an account.

use jiff::Timestamp;
use uuid::Uuid;

use super::role::Role;

/// An account's name: 4 to 40 of `a-z`, `0-9`, `_`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Username(String);

/// The text is not a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs 4 to 40 characters out of a-z, 0-9, _ and -")]
pub(crate) struct UsernameError;

impl Username {
    /// Lowers and checks a name.
    pub(crate) fn parse(text: &str) -> Result<Self, UsernameError> {
        let name = text.trim().to_ascii_lowercase();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let fits = (4..=40).contains(&name.len()) && name.chars().all(allowed);
        if fits { Ok(Self(name)) } else { Err(UsernameError) }
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What others see of a person: 1 to 100 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(String);

/// The text is not a display name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs 1 to 100 printable characters")]
pub(crate) struct DisplayNameError;

impl DisplayName {
    const MAX_CHARACTERS: usize = 100;

    /// Trims and checks a name.
    pub(crate) fn parse(text: &str) -> Result<Self, DisplayNameError> {
        let name = text.trim();
        let fits = !name.is_empty() && name.chars().count() <= Self::MAX_CHARACTERS;
        if fits && !name.chars().any(char::is_control) { Ok(Self(name.to_owned())) } else { Err(DisplayNameError) }
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a person says of themselves: up to 500 characters, line breaks allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct About(String);

/// The text is too long, or has control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it may have at most 500 printable characters")]
pub(crate) struct AboutError;

impl About {
    const MAX_CHARACTERS: usize = 500;

    /// Trims and checks a text.
    pub(crate) fn parse(text: &str) -> Result<Self, AboutError> {
        let text = text.trim();
        let printable = text.chars().all(|c| c == '\n' || !c.is_control());
        if printable && text.chars().count() <= Self::MAX_CHARACTERS {
            Ok(Self(text.to_owned()))
        } else {
            Err(AboutError)
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person, as stored.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) about: String,
    pub(crate) role: Role,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) last_login_at: Option<Timestamp>,
}

/// The columns that a list of people may be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserOrder {
    Username,
    CreatedAt,
    LastLoginAt,
}

/// Which people a list shows. Absent conditions hold for all.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFilter {
    pub(crate) role: Option<Role>,
    pub(crate) active: Option<bool>,
    /// A part of the user name or the display name.
    pub(crate) contains: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_and_texts() {
        assert_eq!(DisplayName::parse("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
        for bad in ["", "  ", "a\nb", "a\u{7}", &"a".repeat(101)] {
            assert_eq!(DisplayName::parse(bad), Err(DisplayNameError), "{bad:?}");
        }
        assert_eq!(About::parse(" two\nlines ").unwrap().as_str(), "two\nlines");
        assert_eq!(About::parse(&"ä".repeat(500)).unwrap().as_str().chars().count(), 500);
        for bad in ["a\u{0}", &"a".repeat(501)] {
            assert_eq!(About::parse(bad), Err(AboutError), "{bad:?}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(Username::parse(" Ada_99 ").unwrap().as_str(), "ada_99");
        for bad in ["", "ada", "ada lovelace", "adá_", &"a".repeat(41), "ada\0xx"] {
            assert_eq!(Username::parse(bad), Err(UsernameError), "{bad:?}");
        }
    }
}
