//! How recovery codes are stored: as a keyed hash, so that whoever reads the database alone can use and guess none.
//!
//! | Step | Definition |
//! |---|---|
//! | key | HKDF-SHA-256(token key of the vault, info `coffer/recovery-codes/1`) |
//! | stored | HMAC-SHA-256(key, account id as 36 characters NUL the 14 payload characters of the code, upper case) |

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::code::RecoveryCode;
use crate::seal::{self, Key};

const CONTEXT: &str = "coffer/recovery-codes/1";

/// The key under which the recovery codes of a vault's accounts are stored.
pub struct RecoveryCodeKey(Key);

impl RecoveryCodeKey {
    /// Derives it from the vault's token key.
    pub fn derive(token_key: &[u8; 32]) -> Self {
        Self(seal::derive(&Key::new(*token_key), CONTEXT))
    }

    /// What is stored of an account's code.
    pub fn hash(&self, account_id: Uuid, code: &RecoveryCode) -> [u8; 32] {
        let secret = code.secret();
        let message = Zeroizing::new(format!("{account_id}\0{}", secret.as_str()));
        seal::mac(&self.0, message.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `vectors/make_recovery_codes.py`, like the check characters below.
    const VECTOR: &str = "eeb4fd3872658cd77caeddda8f60ea4ea724ce706c1777d04fd9e07722260ff2";

    #[test]
    fn what_is_stored_is_what_a_second_implementation_computes() {
        let key = RecoveryCodeKey::derive(&[7; 32]);
        let account: Uuid = "01a1fd16-afea-707b-afb4-166dd8225dae".parse().unwrap();
        let code = RecoveryCode::parse("oi23-4567-89ab-cd5f").unwrap();
        let hash = |key: &RecoveryCodeKey, account| data_encoding::HEXLOWER.encode(&key.hash(account, &code));
        assert_eq!(hash(&key, account), VECTOR);
        let other: Uuid = "01a1fd16-afea-707b-afb4-166dd8225daf".parse().unwrap();
        assert_ne!(hash(&key, other), VECTOR, "a row of one account is worth nothing in another");
        assert_ne!(hash(&RecoveryCodeKey::derive(&[8; 32]), account), VECTOR);
    }
}
