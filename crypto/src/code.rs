//! Codes that a person reads from a label or a sheet of paper and types: setup code, recovery key, recovery codes.
//!
//! Letters and digits are Douglas Crockford's base 32 (no I, L, O, U; lower case, `I`, `L` and `O` are understood), in
//! groups of four. The last two characters are a check: the payload as a number, modulo 1021. Because 1021 is prime
//! and below 32², every single wrong character and every swap of two neighbours is caught before a guess is spent.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHECK_MODULUS: u32 = 1021;
const CHECK_CHARACTERS: usize = 2;
const GROUP: usize = 4;

/// The code on the label of a box: 50 random bits, `XXXX-XXXX-XXXX`.
pub type SetupCode = Code<10>;

/// The printed key that opens the vault when the master password is lost: 130 random bits, seven groups of four.
pub type RecoveryKey = Code<26>;

/// What stands in, once, for a second factor that was lost: 70 random bits, four groups of four.
pub type RecoveryCode = Code<14>;

/// A random code of `N` base-32 characters, wiped from memory when dropped.
///
/// It has no `Debug`; [`Code::to_text`] is the one way to show it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Code<const N: usize> {
    digits: [u8; N],
}

/// Why a typed code cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// It has too few or too many characters.
    #[error("the code has {found} characters, it should have {expected}")]
    Length {
        /// Characters found, not counting dashes and spaces.
        found: usize,
        /// Characters that the code has, check characters included.
        expected: usize,
    },
    /// A character is not part of the alphabet.
    #[error("the character at position {position} cannot be part of a code")]
    Character {
        /// Counted from 1, dashes and spaces not counted.
        position: usize,
    },
    /// The check characters do not fit: something was mistyped.
    #[error("the code has a typing mistake")]
    Check,
}

impl<const N: usize> Code<N> {
    /// Draws a new code.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut digits = [0; N];
        rng.fill_bytes(&mut digits);
        for digit in &mut digits {
            *digit &= 31;
        }
        Self { digits }
    }

    /// Reads a code as a person typed it.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let expected = N + CHECK_CHARACTERS;
        let typed: Zeroizing<Vec<char>> =
            Zeroizing::new(text.chars().filter(|c| *c != '-' && !c.is_whitespace()).collect());
        if typed.len() != expected {
            return Err(CodeError::Length { found: typed.len(), expected });
        }
        let mut code = Self { digits: [0; N] };
        let mut check = 0;
        for (index, character) in typed.iter().enumerate() {
            let digit = digit_of(*character).ok_or(CodeError::Character { position: index + 1 })?;
            match code.digits.get_mut(index) {
                Some(slot) => *slot = digit,
                None => check = check * 32 + u32::from(digit),
            }
        }
        if check == code.check() { Ok(code) } else { Err(CodeError::Check) }
    }

    /// The code as it is shown to a person, in groups of four.
    pub fn to_text(&self) -> Zeroizing<String> {
        let check = self.check();
        let mut text = Zeroizing::new(String::with_capacity((N + CHECK_CHARACTERS) * 5 / GROUP));
        let check_digits = [check / 32, check % 32];
        let digits = self.digits.iter().map(|d| u32::from(*d)).chain(check_digits);
        for (index, digit) in digits.enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(character_of(digit));
        }
        text
    }

    /// What goes into a key derivation: the payload characters, upper case, without check characters and dashes.
    pub fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.digits.iter().map(|d| character_of(u32::from(*d))).collect())
    }

    fn check(&self) -> u32 {
        self.digits.iter().fold(0, |sum, digit| (sum * 32 + u32::from(*digit)) % CHECK_MODULUS)
    }
}

impl fmt::Debug for Code<10> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetupCode(..)")
    }
}

impl fmt::Debug for Code<26> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

impl fmt::Debug for Code<14> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryCode(..)")
    }
}

fn character_of(digit: u32) -> char {
    char::from(ALPHABET[(digit & 31) as usize])
}

fn digit_of(character: char) -> Option<u8> {
    let plain = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    ALPHABET.iter().position(|a| char::from(*a) == plain).and_then(|i| u8::try_from(i).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn setup_code(seed: u64) -> SetupCode {
        SetupCode::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn the_check_is_the_number_modulo_1021() {
        // 0000000010 in base 32 is 32; 32 mod 1021 = 32 = "10".
        assert_eq!(SetupCode::parse("0000-0000-1010").unwrap().to_text().as_str(), "0000-0000-1010");
        // ZZZZZZZZZZ is 2^50 - 1; (2^50 - 1) mod 1021 = 242 = 7 * 32 + 18 = "7J".
        assert_eq!(SetupCode::parse("ZZZZ-ZZZZ-ZZ7J").unwrap().secret().as_str(), "ZZZZZZZZZZ");
    }

    #[test]
    fn a_typed_code_may_be_lower_case_spaced_and_confuse_look_alikes() {
        assert_eq!(SetupCode::parse(" oooo oooo-ioIo ").unwrap().to_text().as_str(), "0000-0000-1010");
        assert_eq!(SetupCode::parse("0000-0000-l0L0").unwrap().to_text().as_str(), "0000-0000-1010");
    }

    #[test]
    fn a_wrong_length_or_letter_is_named() {
        assert_eq!(SetupCode::parse("0000").unwrap_err(), CodeError::Length { found: 4, expected: 12 });
        assert_eq!(SetupCode::parse("000U-0000-1010").unwrap_err(), CodeError::Character { position: 4 });
        assert_eq!(SetupCode::parse("").unwrap_err(), CodeError::Length { found: 0, expected: 12 });
        assert_eq!(SetupCode::parse("0000-0000-101é").unwrap_err(), CodeError::Character { position: 12 });
    }

    #[test]
    fn a_recovery_key_has_seven_groups_of_four() {
        let text = RecoveryKey::generate(&mut ChaCha20Rng::seed_from_u64(1)).to_text();
        assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
        assert_eq!(RecoveryKey::parse(&text).unwrap().to_text(), text);
    }

    proptest! {
        #[test]
        fn every_code_reads_back(seed: u64) {
            let code = setup_code(seed);
            prop_assert_eq!(SetupCode::parse(&code.to_text()).unwrap().secret(), code.secret());
        }

        #[test]
        fn every_single_wrong_character_is_caught(seed: u64, at in 0_usize..12, to in 0_usize..32) {
            let text: String = setup_code(seed).to_text().replace('-', "");
            let mut wrong: Vec<char> = text.chars().collect();
            wrong[at] = char::from(ALPHABET[to]);
            let wrong: String = wrong.into_iter().collect();
            prop_assume!(wrong != text);
            prop_assert_eq!(SetupCode::parse(&wrong).unwrap_err(), CodeError::Check);
        }

        #[test]
        fn every_swap_of_neighbours_in_the_payload_is_caught(seed: u64, at in 0_usize..9) {
            let text: String = setup_code(seed).to_text().replace('-', "");
            let mut wrong: Vec<char> = text.chars().collect();
            wrong.swap(at, at + 1);
            let wrong: String = wrong.into_iter().collect();
            prop_assume!(wrong != text);
            prop_assert_eq!(SetupCode::parse(&wrong).unwrap_err(), CodeError::Check);
        }
    }
}
