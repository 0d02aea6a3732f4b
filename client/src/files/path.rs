//! Paths at a box, which begin with a slash, and names that come from one, which nobody has to believe.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::error::Error;

/// Longest name, at a box and on the file systems of laptops.
const MAX_NAME_BYTES: usize = 255;

/// Where something is at a box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePath {
    names: Vec<String>,
    /// It was written with a slash at its end: a folder is meant.
    is_folder: bool,
}

impl RemotePath {
    /// What somebody has typed. Names are brought to NFC, as the box keeps them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let no_path = || Error::NoPath(text.to_owned());
        let inner = text.strip_prefix('/').ok_or_else(no_path)?;
        let names: Vec<String> =
            inner.split('/').filter(|name| !name.is_empty()).map(|name| name.nfc().collect()).collect();
        if names.iter().any(|name| name == "." || name == "..") {
            return Err(no_path());
        }
        Ok(Self { names, is_folder: text.ends_with('/') })
    }

    /// From the top down.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether only a folder can be meant.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// The folder that it lies in, and its name in there; nothing of the root.
    pub fn split(&self) -> Option<(Self, &str)> {
        let (name, above) = self.names.split_last()?;
        Some((Self { names: above.to_vec(), is_folder: true }, name))
    }

    /// What lies in it under that name.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut names = self.names.clone();
        names.push(name.nfc().collect());
        Self { names, is_folder: false }
    }

    /// As programs read it.
    pub fn to_text(&self) -> String {
        format!("/{}", self.names.join("/"))
    }
}

/// As people read it.
impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.to_text()))
    }
}

/// A name with what a terminal would obey written out, and what turns the direction of reading.
pub fn shown(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        if is_visible(c) { shown.push(c) } else { shown.extend(c.escape_unicode()) }
    }
    shown
}

/// Refuses a name that would lead out of a directory, or that no box gives to anything.
pub fn check(name: &str) -> Result<(), Error> {
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "." && name != "..";
    if is_name && name.chars().all(|c| c != '/' && c != '\\' && is_visible(c)) {
        Ok(())
    } else {
        Err(Error::Name(name.to_owned()))
    }
}

fn is_visible(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_slash_is_a_path() {
        for (text, names, is_folder) in [
            ("/", &[][..], true),
            ("//", &[], true),
            ("/a", &["a"], false),
            ("/a//b c/", &["a", "b c"], true),
            ("/cafe\u{301}", &["caf\u{e9}"], false),
            ("/...", &["..."], false),
        ] {
            let path = RemotePath::parse(text).unwrap();
            assert_eq!(
                (path.names(), path.is_folder()),
                (&names.iter().map(ToString::to_string).collect::<Vec<_>>()[..], is_folder)
            );
        }
        for text in ["", "a", "a/b", "-", "./a", "/a/../b", "/.", "/.."] {
            assert!(matches!(RemotePath::parse(text), Err(Error::NoPath(_))), "{text:?}");
        }
    }

    #[test]
    fn names_of_a_liar_are_refused() {
        for bad in
            ["", ".", "..", "a/b", "/etc", "a\\b", "a\0b", "a\nb", "\x1b[2J", "a\u{202e}gpj.exe", &"a".repeat(256)]
        {
            assert!(matches!(check(bad), Err(Error::Name(_))), "{bad:?}");
        }
        for good in ["a", "...", "..a", "-rf", " b ", "caf\u{e9}", &"a".repeat(255)] {
            assert!(check(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(shown("a\x1b[2J\n\u{9b}\u{202e}b"), "a\\u{1b}[2J\\u{a}\\u{9b}\\u{202e}b");
    }
}
