//! Second factors: what an account has besides its password.

use std::fmt;

use jiff::Timestamp;
use rand_core::CryptoRng;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What an account has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecondFactorList {
    /// Since when an authenticator app makes codes.
    pub(crate) totp_since: Option<Timestamp>,
    pub(crate) recovery_codes_left: u32,
    /// Oldest first.
    pub(crate) passkeys: Vec<Passkey>,
}

/// A passkey, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passkey {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

/// What an authenticator app makes its codes from: 160 random bits (RFC 4226, section 4).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct TotpSecret(pub(crate) [u8; 20]);

impl TotpSecret {
    /// Draws a new secret.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self([0; 20]);
        rng.fill_bytes(&mut secret.0);
        secret
    }
}

/// What a person calls a passkey: 1 to 64 characters, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PasskeyName(String);

/// The text does not do as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it needs 1 to 64 characters, none of them a control character")]
pub(crate) struct PasskeyNameError;

impl PasskeyName {
    const MAX_CHARACTERS: usize = 64;

    /// Trims and checks a name.
    pub(crate) fn parse(text: &str) -> Result<Self, PasskeyNameError> {
        let name = text.trim();
        let fits = !name.is_empty() && name.chars().count() <= Self::MAX_CHARACTERS;
        if fits && !name.chars().any(char::is_control) { Ok(Self(name.to_owned())) } else { Err(PasskeyNameError) }
    }
}

impl fmt::Display for PasskeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_passkeys() {
        assert_eq!(PasskeyName::parse(" Ada's phone ").unwrap().to_string(), "Ada's phone");
        assert!(PasskeyName::parse(&"é".repeat(64)).is_ok());
        for bad in ["", "  ", "a\nb", "a\0", &"x".repeat(65)] {
            assert_eq!(PasskeyName::parse(bad), Err(PasskeyNameError), "{bad:?}");
        }
    }
}
