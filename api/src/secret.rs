//! A string that is wiped when dropped and does not show itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A password, key or code on its way in or out.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = Password)]
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes a secret over.
    pub fn new(secret: impl Into<Zeroizing<String>>) -> Self {
        Self(secret.into())
    }

    /// The secret itself. Do not log, store or return it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(..)")
    }
}
