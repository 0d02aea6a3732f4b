//! Where the next page of an ordered list begins: behind the row with this key and this id.

use data_encoding::BASE64URL_NOPAD;
use uuid::Uuid;

/// A place between two rows. Clients hand it back as they got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The value of the column that the list is ordered by.
    pub(crate) key: Key,
    /// Tells rows of the same value apart.
    pub(crate) id: Uuid,
}

/// A value that lists are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Text(String),
    Number(i64),
}

impl Cursor {
    /// Longest cursor that is looked at.
    const MAX_BYTES: usize = 2048;

    /// As it goes to the client.
    pub(crate) fn to_text(&self) -> String {
        let (kind, key) = match &self.key {
            Key::Text(text) => ('t', text.clone()),
            Key::Number(number) => ('n', number.to_string()),
        };
        BASE64URL_NOPAD.encode(format!("{}{kind}{key}", self.id.simple()).as_bytes())
    }

    /// As it comes back. `None` when it is not one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > Self::MAX_BYTES {
            return None;
        }
        let decoded = String::from_utf8(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?).ok()?;
        let (id, rest) = decoded.split_at_checked(32)?;
        let key = match rest.split_at_checked(1)? {
            ("t", text) => Key::Text(text.to_owned()),
            ("n", number) => Key::Number(number.parse().ok()?),
            (_unknown, _) => return None,
        };
        Some(Self { key, id: id.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        for key in [Key::Text("zoë n5".to_owned()), Key::Text(String::new()), Key::Number(-7)] {
            let cursor = Cursor { key, id: Uuid::from_u128(99) };
            assert_eq!(Cursor::parse(&cursor.to_text()), Some(cursor));
        }
    }

    #[test]
    fn what_is_not_a_cursor() {
        let id = Uuid::nil().simple();
        let encode = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
        let unkeyed = [encode(id.to_string()), encode(format!("{id}nx")), encode(format!("{id}q1"))];
        for bad in ["", "%", "abc", &"A".repeat(4096)].into_iter().chain(unkeyed.iter().map(String::as_str)) {
            assert_eq!(Cursor::parse(bad), None, "{bad}");
        }
    }
}
