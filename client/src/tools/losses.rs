//! What an import or an export could not take along as it was: told to whoever asked for it, with the items that it is about.

use std::collections::BTreeMap;

use serde::Serialize;

/// From what it is to the titles of the items.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Losses(BTreeMap<String, Vec<String>>);

impl Losses {
    /// One more item.
    pub fn add(&mut self, what: impl Into<String>, title: &str) {
        let titles = self.0.entry(what.into()).or_default();
        // Several times in one item is still one item.
        if titles.last().is_none_or(|last| last != title) {
            titles.push(title.to_owned());
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(what, titles)| (what.as_str(), titles.as_slice()))
    }

    /// Whether everything came along.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
