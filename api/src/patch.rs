//! Fields that can be absent, null, or something.

use serde::{Deserialize, Deserializer};

/// For `Option<Option<T>>`: what is there, null too, is `Some`. Use it with `default`, which stands for what is absent.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
