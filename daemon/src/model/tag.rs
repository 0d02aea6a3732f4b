//! Tags: words that people put on files and folders.

use unicode_normalization::UnicodeNormalization;

use super::name::is_bidi_override;

/// Most tags of one item.
pub(crate) const MAX_TAGS: u32 = 50;

/// A tag: 1 to 50 printable characters of any script in NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagName(String);

/// The text is not a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs 1 to 50 printable characters, and not dots alone")]
pub(crate) struct TagNameError;

impl TagName {
    const MAX_CHARACTERS: usize = 50;

    /// Longest text that is looked at.
    const MAX_BYTES: usize = 4096;

    /// Brings a tag to NFC, without spaces at its ends, and checks it.
    pub(crate) fn parse(text: &str) -> Result<Self, TagNameError> {
        if text.len() > Self::MAX_BYTES {
            return Err(TagNameError);
        }
        let name: String = text.trim().nfc().collect();
        let printable = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_bidi_override(c));
        let fits = !name.is_empty() && name.chars().count() <= Self::MAX_CHARACTERS;
        // It stands in paths, from which clients remove these.
        let is_dots = name == "." || name == "..";
        if fits && !is_dots && name.chars().all(printable) { Ok(Self(name)) } else { Err(TagNameError) }
    }

    /// As it is shown.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for tags that differ in capital letters only.
    pub(crate) fn key(&self) -> String {
        self.0.to_lowercase().nfc().collect()
    }
}

/// A tag, and how many items have it.
#[derive(Clone, Debug)]
pub(crate) struct TagCount {
    pub(crate) name: String,
    pub(crate) items: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_are_accepted() {
        let long = "é".repeat(50);
        for (text, name) in [
            ("x", "x"),
            (" to do ", "to do"),
            ("家族", "家族"),
            ("קיץ", "קיץ"),
            ("🏖", "🏖"),
            ("a/b", "a/b"),
            ("...", "..."),
            ("cafe\u{301}", "caf\u{e9}"),
            (long.as_str(), long.as_str()),
            ("e\u{301}".repeat(50).as_str(), long.as_str()),
        ] {
            assert_eq!(TagName::parse(text).unwrap().as_str(), name);
        }
    }

    #[test]
    fn texts_that_are_no_tags() {
        let long = "é".repeat(51);
        let absurd = " ".repeat(5000) + "x";
        for text in ["", " ", ".", " .. ", "a\nb", "a\tb", "a\0", "a\u{202e}b", "a\u{2028}b", &long, &absurd] {
            assert_eq!(TagName::parse(text), Err(TagNameError), "{text:.20?}");
        }
    }

    #[test]
    fn tags_are_compared_without_their_capitals() {
        let key = |name: &str| TagName::parse(name).unwrap().key();
        assert_eq!(key("Urlaub"), key("URLAUB "));
        assert_eq!(key("CAFÉ"), key("cafe\u{301}"));
        assert_ne!(key("cafe"), key("café"));
    }
}
