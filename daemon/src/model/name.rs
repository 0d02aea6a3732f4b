//! Names that people give to files and folders.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// One path segment: 1 to 255 bytes of UTF-8 in NFC, safe on every system that it may be downloaded to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileName(String);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("the name is empty")]
    Empty,
    #[error("the name is longer than 255 bytes")]
    TooLong,
    #[error("the name may not contain a slash, a backslash or a control character")]
    Character,
    #[error("the name is reserved")]
    Reserved,
    #[error("the name may not begin or end with a space, or end with a dot")]
    Edge,
}

impl FileName {
    /// The file systems on either end allow this many bytes.
    pub(crate) const MAX_BYTES: usize = 255;

    /// Brings a name to NFC and checks it.
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        // Normalising can triple the length; what is absurd already is not worth the work.
        if text.len() > 4 * Self::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        let name: String = text.nfc().collect();
        if name.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if name.chars().any(|c| c == '/' || c == '\\' || c.is_control() || is_bidi_override(c)) {
            return Err(NameError::Character);
        }
        if name == "." || name == ".." {
            return Err(NameError::Reserved);
        }
        if name.starts_with(char::is_whitespace) || name.ends_with(|c: char| c.is_whitespace() || c == '.') {
            return Err(NameError::Edge);
        }
        Ok(Self(name))
    }

    /// A stored name with a number, before its extension: `report (2).pdf`. Cut where it would get too long.
    pub(crate) fn numbered(name: &str, number: u32) -> String {
        let (stem, extension) = match name.rfind('.') {
            Some(dot) if dot > 0 && name.len() - dot <= 16 => name.split_at(dot),
            Some(_) | None => (name, ""),
        };
        let end = format!(" ({number}){extension}");
        let mut cut = stem.len().min(Self::MAX_BYTES.saturating_sub(end.len()));
        while !stem.is_char_boundary(cut) {
            cut -= 1;
        }
        stem.get(..cut).unwrap_or_default().to_owned() + &end
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Overrides that make `gpj.exe` look like `exe.jpg`. The marks that scripts need (LRM, RLM, ALM) stay allowed.
pub(super) fn is_bidi_override(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_accepted_as_they_are() {
        for name in ["a", "report.pdf", ".profile", "CON", "two  spaces", "日本語.txt", "👩‍👩‍👧.png", &"x".repeat(255)]
        {
            assert_eq!(FileName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_are_brought_to_nfc() {
        assert_eq!(FileName::parse("cafe\u{301}").unwrap().as_str(), "caf\u{e9}");
    }

    #[test]
    fn a_number_stands_before_the_extension() {
        let long = format!("{}.txt", "é".repeat(125));
        let cut = format!("{} (10).txt", "é".repeat(123));
        for (name, number, expected) in [
            ("report.pdf", 2, "report (2).pdf"),
            ("report", 3, "report (3)"),
            (".profile", 2, ".profile (2)"),
            ("a.b.c", 2, "a.b (2).c"),
            ("what. a long sentence", 2, "what. a long sentence (2)"),
            (&long, 10, &cut),
        ] {
            let name = FileName::numbered(name, number);
            assert_eq!(name, expected);
            assert!(FileName::parse(&name).is_ok());
        }
    }

    #[test]
    fn names_that_are_refused() {
        let too_long = "é".repeat(128);
        let absurd = "x".repeat(1 << 20);
        for (name, why) in [
            ("", NameError::Empty),
            ("   ", NameError::Empty),
            ("a/b", NameError::Character),
            ("..\\x", NameError::Character),
            ("a\0b", NameError::Character),
            ("a\nb", NameError::Character),
            ("a\u{7f}", NameError::Character),
            ("gpj\u{202e}.exe", NameError::Character),
            (".", NameError::Reserved),
            ("..", NameError::Reserved),
            (" a", NameError::Edge),
            ("a ", NameError::Edge),
            ("a.", NameError::Edge),
            (too_long.as_str(), NameError::TooLong),
            (absurd.as_str(), NameError::TooLong),
        ] {
            assert_eq!(FileName::parse(name), Err(why), "{name:.20?}");
        }
    }
}
