//! Groups of people, for the lists of private folders.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::name::is_bidi_override;

/// A group's name: 1 to 100 printable characters in NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupName(String);

/// The text is not a name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs 1 to 100 printable characters, and no space at either end")]
pub(crate) struct GroupNameError;

impl GroupName {
    const MAX_CHARACTERS: usize = 100;

    /// Brings a name to NFC and checks it.
    pub(crate) fn parse(text: &str) -> Result<Self, GroupNameError> {
        // One more than fits is enough to know; normalising all of an absurd text is not worth the work.
        let name: String = text.nfc().take(Self::MAX_CHARACTERS + 1).collect();
        let printable = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_bidi_override(c));
        let fits = !name.is_empty() && name.chars().count() <= Self::MAX_CHARACTERS;
        if fits && name.chars().all(printable) && name.trim() == name { Ok(Self(name)) } else { Err(GroupNameError) }
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for names that differ in capital letters only.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase().nfc().collect()
    }
}

/// A group, as stored.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
}

/// Somebody in a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) display_name: String,
    pub(crate) added_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_accepted() {
        for name in ["x", "The family", "Büro 2", "家族", &"é".repeat(100)] {
            assert_eq!(GroupName::parse(name).unwrap().as_str(), name);
        }
        assert_eq!(GroupName::parse("cafe\u{301}").unwrap().as_str(), "caf\u{e9}");
        assert_eq!(GroupName::parse(&"e\u{301}".repeat(100)).unwrap().as_str(), "é".repeat(100));
    }

    #[test]
    fn names_that_are_refused() {
        let long = "é".repeat(101);
        for name in ["", " ", " a", "a ", "a\nb", "a\tb", "a\0", "a\u{7f}", "a\u{202e}b", "a\u{2028}b", long.as_str()] {
            assert_eq!(GroupName::parse(name), Err(GroupNameError), "{name:?}");
        }
    }

    #[test]
    fn names_are_compared_without_their_capitals() {
        let key = |name: &str| GroupName::parse(name).unwrap().key();
        assert_eq!(key("The Family"), key("the family"));
        assert_eq!(key("CAFÉ"), key("cafe\u{301}"));
        assert_ne!(key("cafe"), key("café"));
    }
}
