//! Variables of add-ons and clients: their names, and values of any kind.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Where a variable belongs: 1 to 40 of `a-z`, `0-9`, `_`, `.`, `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace(String);

/// What it is called there: 1 to 100 of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

/// Both: names one variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VariableName {
    pub(crate) namespace: Namespace,
    pub(crate) key: Key,
}

/// The text is not a namespace, or not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VariableNameError {
    #[error("it needs 1 to 40 characters out of a-z, 0-9, _, . and -, and not dots alone")]
    Namespace,
    #[error("it needs 1 to 100 characters out of A-Z, a-z, 0-9, _, . and -, and not dots alone")]
    Key,
}

impl Namespace {
    /// Checks a namespace.
    pub(crate) fn parse(text: &str) -> Result<Self, VariableNameError> {
        let fits = text.len() <= 40 && is_plain(text) && !text.contains(|c: char| c.is_ascii_uppercase());
        if fits { Ok(Self(text.to_owned())) } else { Err(VariableNameError::Namespace) }
    }

    /// The namespace.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Checks a key.
    pub(crate) fn parse(text: &str) -> Result<Self, VariableNameError> {
        if text.len() <= 100 && is_plain(text) { Ok(Self(text.to_owned())) } else { Err(VariableNameError::Key) }
    }

    /// The key.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Every web client resolves `.` and `..` in a path: such names could not be asked for.
fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    text.chars().all(allowed) && text.contains(|c| c != '.')
}

impl VariableName {
    /// Checks both parts.
    pub(crate) fn parse(namespace: &str, key: &str) -> Result<Self, VariableNameError> {
        Ok(Self { namespace: Namespace::parse(namespace)?, key: Key::parse(key)? })
    }
}

/// `namespace/key`: neither part can hold a slash.
impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace.0, self.key.0)
    }
}

/// JSON of any kind, as text without spaces. It may be a secret: it wipes itself, and has no `Debug`.
pub(crate) struct VariableValue(Zeroizing<String>);

/// Why a value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VariableValueError {
    TooLong,
    TooDeep,
}

impl VariableValue {
    /// Longest value, written without spaces.
    pub(crate) const MAX_BYTES: usize = 16 * 1024;
    /// Arrays and objects within each other. Parsers give up at some depth, and lists add to it.
    pub(crate) const MAX_DEPTH: usize = 64;

    /// Checks a value.
    pub(crate) fn parse(value: &Value) -> Result<Self, VariableValueError> {
        if depth(value) > Self::MAX_DEPTH {
            return Err(VariableValueError::TooDeep);
        }
        let text = Zeroizing::new(value.to_string());
        if text.len() > Self::MAX_BYTES { Err(VariableValueError::TooLong) } else { Ok(Self(text)) }
    }

    /// A value that was checked before it was stored.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The JSON.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// Recursion ends where the JSON parser's own limit did.
fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
    }
}

/// A variable, as stored.
pub(crate) struct Variable {
    pub(crate) id: Uuid,
    pub(crate) name: VariableName,
    pub(crate) value: VariableValue,
    /// Another one each time that it is set.
    pub(crate) version: Uuid,
    pub(crate) updated_at: Timestamp,
    pub(crate) updated_by: Uuid,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names() {
        for good in ["a", "photos.import", "0_-.", &"a".repeat(40)] {
            assert_eq!(Namespace::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "A", "a b", "a/b", "é", "a\0", &"a".repeat(41)] {
            assert_eq!(Namespace::parse(bad), Err(VariableNameError::Namespace), "{bad:?}");
        }
        for good in ["A", "apiToken", ".x", &"a".repeat(100)] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "..", "a b", "a/b", "ß", &"a".repeat(101)] {
            assert_eq!(Key::parse(bad), Err(VariableNameError::Key), "{bad:?}");
        }
        assert_eq!(VariableName::parse("a.b", "C").unwrap().to_string(), "a.b/C");
    }

    #[test]
    fn values() {
        let parse = |value: &Value| VariableValue::parse(value).map(|value| value.expose().to_owned());
        assert_eq!(parse(&Value::Null), Ok("null".to_owned()));
        assert_eq!(parse(&json!({ "b": [1, 2.5], "a": "é" })), Ok(r#"{"a":"é","b":[1,2.5]}"#.to_owned()));
        assert!(parse(&json!("x".repeat(VariableValue::MAX_BYTES - 2))).is_ok());
        assert_eq!(parse(&json!("x".repeat(VariableValue::MAX_BYTES - 1))), Err(VariableValueError::TooLong));
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(parse(&nested(VariableValue::MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(VariableValue::MAX_DEPTH + 1)), Err(VariableValueError::TooDeep));
    }
}
