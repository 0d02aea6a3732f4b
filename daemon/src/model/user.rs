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

/// A person, as stored.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) role: Role,
    pub(crate) active: bool,
    pub(crate) created_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Username::parse(" Ada_99 ").unwrap().as_str(), "ada_99");
        for bad in ["", "ada", "ada lovelace", "adá_", &"a".repeat(41), "ada\0xx"] {
            assert_eq!(Username::parse(bad), Err(UsernameError), "{bad:?}");
        }
    }
}
