//! The members of a JSON object, which are taken out one by one: what is left was not understood. Wiped when dropped.

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

#[derive(Default)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Of an object; nothing of anything else.
    pub(super) fn of(mut value: Value) -> Option<Self> {
        if let Value::Object(members) = &mut value {
            return Some(Self(std::mem::take(members)));
        }
        wipe(&mut value);
        None
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().and_then(Self::of)
    }

    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(mut old) = self.0.insert(name.to_owned(), value.into()) {
            wipe(&mut old);
        }
    }

    /// The others come on top.
    pub(super) fn overlay(&mut self, mut others: Self) {
        for (name, value) in std::mem::take(&mut others.0) {
            self.set(&name, value);
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A text that is not empty; anything else stays.
    pub(super) fn text(&mut self, name: &str) -> Option<Zeroizing<String>> {
        match self.0.get_mut(name) {
            Some(Value::String(text)) => {
                let text = Zeroizing::new(std::mem::take(text));
                self.0.remove(name);
                Some(text).filter(|text| !text.is_empty())
            }
            _ => None,
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        let number = self.0.get(name)?.as_u64()?;
        self.0.remove(name);
        Some(number)
    }

    pub(super) fn flag(&mut self, name: &str) -> bool {
        let flag = self.0.get(name).and_then(Value::as_bool);
        if flag.is_some() {
            self.0.remove(name);
        }
        flag.unwrap_or(false)
    }

    pub(super) fn members(&mut self, name: &str) -> Option<Self> {
        match self.0.get_mut(name) {
            Some(Value::Object(members)) => {
                let members = Self(std::mem::take(members));
                self.0.remove(name);
                Some(members)
            }
            _ => None,
        }
    }

    pub(super) fn list(&mut self, name: &str) -> Vec<Value> {
        match self.0.get_mut(name) {
            Some(Value::Array(values)) => {
                let values = std::mem::take(values);
                self.0.remove(name);
                values
            }
            _ => Vec::new(),
        }
    }

    /// Takes away what says nothing.
    pub(super) fn tidy(&mut self) {
        self.0.retain(|_, value| match value {
            Value::Null => false,
            Value::Array(values) => !values.is_empty(),
            Value::Object(members) => !members.is_empty(),
            Value::String(_) | Value::Bool(_) | Value::Number(_) => true,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn into_value(mut self) -> Value {
        Value::Object(std::mem::take(&mut self.0))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(serde_json::to_string(&self.0).unwrap_or_default())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
