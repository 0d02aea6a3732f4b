//! The two codes of an account, as they are printed once and typed later: Secret Key and recovery key.
//!
//! Both are codes of [`crate::code`]: 130 random bits with check characters. A mark in front tells them apart, because
//! they lie in the same drawer, and says which version of the format they belong to.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::code::{Code, CodeError};

const CHARACTERS: usize = 26;

/// What a new device needs besides the password: `S1-XXXX-…`, seven groups of four. No server ever has it.
pub type SecretKeyCode = MarkedCode<b'S'>;

/// What opens an account when its password is lost: `R1-XXXX-…`, seven groups of four.
pub type RecoveryKeyCode = MarkedCode<b'R'>;

/// A code with a mark in front, wiped when dropped.
pub struct MarkedCode<const MARK: u8>(Code<CHARACTERS>);

/// Why a typed code is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkedCodeError {
    /// It does not begin with the mark: it is the other code, or none.
    #[error("it should begin with {0}1")]
    OtherMark(char),
    /// The rest is not a code.
    #[error(transparent)]
    Code(#[from] CodeError),
}

impl<const MARK: u8> MarkedCode<MARK> {
    /// Draws a new one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Code::generate(rng))
    }

    /// Reads it as a person typed it.
    pub fn parse(text: &str) -> Result<Self, MarkedCodeError> {
        let mut rest = text.trim_start().chars();
        let mark = (rest.next().map(|c| c.to_ascii_uppercase()), rest.next());
        if mark != (Some(char::from(MARK)), Some('1')) {
            return Err(MarkedCodeError::OtherMark(char::from(MARK)));
        }
        Ok(Self(Code::parse(rest.as_str())?))
    }

    /// As it is printed.
    pub fn to_text(&self) -> Zeroizing<String> {
        let code = self.0.to_text();
        let mut text = Zeroizing::new(String::with_capacity(code.len() + 3));
        text.push(char::from(MARK));
        text.push_str("1-");
        text.push_str(&code);
        text
    }

    /// What goes into a key derivation: the 26 payload characters.
    pub(super) fn secret(&self) -> Zeroizing<String> {
        self.0.secret()
    }
}
