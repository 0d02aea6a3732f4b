//! What somebody looks for: words, and what else must hold.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use uuid::Uuid;

use super::item::ItemKind;
use super::tag::TagName;

/// The words of a search: every one of them must be there, the last one at least its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    words: Vec<String>,
    /// The last one may go on.
    open: bool,
}

/// Why words are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WordsError {
    #[error("the words have more than {} bytes", Words::MAX_BYTES)]
    TooLong,
    #[error("there are more than {} words", Words::MAX_WORDS)]
    TooMany,
    #[error("there is no letter and no digit in it")]
    None,
}

/// A word as texts are compared with it: [`folded`], and whether it is only a beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) folded: String,
    pub(crate) open: bool,
}

impl Words {
    const MAX_BYTES: usize = 400;
    const MAX_WORDS: usize = 16;

    /// Reads words; spaces stand between them. Spaces alone are no search for words.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, WordsError> {
        if text.len() > Self::MAX_BYTES {
            return Err(WordsError::TooLong);
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let text: String = text.nfc().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let words: Vec<String> =
            text.split_whitespace().filter(|word| word.contains(is_of_word)).map(str::to_owned).collect();
        let Some(last) = words.last() else { return Err(WordsError::None) };
        if words.len() > Self::MAX_WORDS {
            return Err(WordsError::TooMany);
        }
        // One letter begins half of all words.
        let long_enough = last.len() > 1;
        let open = long_enough && !text.ends_with(char::is_whitespace);
        Ok(Some(Self { words, open }))
    }

    /// As the full-text index reads it. Each word is a string in its syntax: within the quotes nothing else has a meaning.
    pub(crate) fn expression(&self) -> String {
        let quoted: Vec<String> = self.words.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        quoted.join(" ") + if self.open { "*" } else { "" }
    }

    /// What to mark in a text.
    pub(crate) fn terms(&self) -> Vec<Term> {
        let mut terms: Vec<Term> = self
            .words
            .iter()
            .flat_map(|word| word.split(|c| !is_of_word(c)))
            .filter(|word| !word.is_empty())
            .map(|word| Term { folded: folded(word), open: false })
            .collect();
        if let Some(last) = terms.last_mut() {
            last.open = self.open;
        }
        terms
    }
}

/// Whether a character belongs to a word, for the index as for us.
pub(crate) fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c)
}

/// A word without capitals and accents.
pub(crate) fn folded(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect()
}

/// Types of contents: one, or all of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypePattern(String);

/// The text names no type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a media type nor the part of one before the slash")]
pub(crate) struct TypePatternError;

impl TypePattern {
    /// Reads `image/png`, or `image`.
    pub(crate) fn parse(text: &str) -> Result<Self, TypePatternError> {
        let text = text.to_ascii_lowercase();
        let (family, kind) = text.split_once('/').unwrap_or((&text, "any"));
        let is_token = |part: &str| {
            (1..=100).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
        };
        if is_token(family) && is_token(kind) { Ok(Self(text)) } else { Err(TypePatternError) }
    }

    /// The first type, and what sorts behind the last.
    pub(crate) fn range(&self) -> (String, String) {
        let Self(text) = self;
        // '0' is the character behind the slash.
        if text.contains('/') { (text.clone(), format!("{text}\0")) } else { (format!("{text}/"), format!("{text}0")) }
    }
}

/// What must hold besides the words. What is absent holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) kind: Option<ItemKind>,
    pub(crate) media_type: Option<TypePattern>,
    pub(crate) tag: Option<TagName>,
    /// It lies in there or below.
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) size_from: Option<u64>,
    pub(crate) size_to: Option<u64>,
    pub(crate) modified_from: Option<Timestamp>,
    pub(crate) modified_to: Option<Timestamp>,
}

/// A place in the order of what was found: best first and, of what is as good, the last indexed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) rank: i64,
    /// The number of the document in the index.
    pub(crate) document: i64,
}

impl Position {
    /// In front of everything.
    pub(crate) const START: Self = Self { rank: i64::MIN, document: i64::MAX };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(text: &str) -> String {
        Words::parse(text).unwrap().unwrap().expression()
    }

    #[test]
    fn what_people_write_is_words_and_never_syntax() {
        for (text, expected) in [
            ("report", r#""report"*"#),
            ("report ", r#""report""#),
            ("annual report", r#""annual" "report"*"#),
            ("a", r#""a""#),
            ("日", "\"日\"*"),
            ("x OR y", r#""x" "OR" "y""#),
            ("name:secret", r#""name:secret"*"#),
            (r#"say "hello"#, r#""say" """hello"*"#),
            ("a* NEAR(b c)", r#""a*" "NEAR(b" "c)"*"#),
            ("{name tags}: x^2", r#""{name" "tags}:" "x^2"*"#),
            ("two\0parts\n", r#""two" "parts""#),
            ("- report --", r#""report"*"#),
            ("cafe\u{301}", "\"caf\u{e9}\"*"),
        ] {
            assert_eq!(expression(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_search_for_words() {
        for (text, expected) in [
            ("", Ok(None)),
            (" \t", Ok(None)),
            ("-- *", Err(WordsError::None)),
            ("\0", Err(WordsError::None)),
            (&"x ".repeat(17), Err(WordsError::TooMany)),
            (&"x".repeat(401), Err(WordsError::TooLong)),
        ] {
            assert_eq!(Words::parse(text), expected, "{text:.20?}");
        }
    }

    #[test]
    fn only_the_last_term_is_open() {
        let term = |folded: &str, open| Term { folded: folded.to_owned(), open };
        let terms = |text| Words::parse(text).unwrap().unwrap().terms();
        assert_eq!(terms("Été re-Port"), [term("ete", false), term("re", false), term("port", true)]);
        assert_eq!(terms("one "), [term("one", false)]);
    }

    #[test]
    fn types_and_families() {
        for (text, inside, outside) in [
            ("image", vec!["image/png", "image/x-raw"], vec!["imag/png", "images/png", "image"]),
            ("Image/PNG", vec!["image/png"], vec!["image/pngx", "image/pn"]),
            ("application/ld+json", vec!["application/ld+json"], vec!["application/json"]),
        ] {
            let (from, to) = TypePattern::parse(text).unwrap().range();
            let matches = |kind: &&str| *kind >= from.as_str() && *kind < to.as_str();
            assert!(inside.iter().all(matches) && !outside.iter().any(matches), "{text}");
        }
        for text in ["", "/", "image/", "/png", "a b", "image/p%g", "a/b/c", &"a".repeat(101)] {
            assert_eq!(TypePattern::parse(text), Err(TypePatternError), "{text:.20?}");
        }
    }
}
