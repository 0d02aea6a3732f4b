//! Which passwords are strong enough. Strength is measured (zxcvbn), not prescribed by composition rules.

use zeroize::Zeroizing;

/// The longest password that is looked at: hashing must not become a way to keep the box busy.
pub(crate) const MAX_CHARACTERS: usize = 1024;

/// The least zxcvbn score (0 to 4): "safely unguessable" by its authors' scale.
const MIN_SCORE: u8 = 3;

/// zxcvbn's cost grows faster than its input; more characters cannot make a password weaker.
const SCORED_CHARACTERS: usize = 100;

/// What a password protects, which decides its least length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The vault itself: a thief can guess offline.
    Master,
    /// An account: guesses are throttled.
    Account,
}

impl Purpose {
    fn min_characters(self) -> usize {
        match self {
            Self::Master => 14,
            Self::Account => 12,
        }
    }
}

/// A password that was found strong enough, wiped when dropped.
pub(crate) struct StrongPassword(Zeroizing<String>);

/// Why a password is refused. Never says what the password was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("it needs at least {0} characters")]
    TooShort(usize),
    #[error("it may have at most {MAX_CHARACTERS} characters")]
    TooLong,
    #[error("it is too easy to guess: {0}")]
    Guessable(String),
}

impl StrongPassword {
    /// Measures a password. `known_words` are words an attacker would try first, such as the user name.
    pub(crate) fn parse(password: &str, purpose: Purpose, known_words: &[&str]) -> Result<Self, PasswordError> {
        let characters = password.chars().count();
        if characters < purpose.min_characters() {
            return Err(PasswordError::TooShort(purpose.min_characters()));
        }
        if characters > MAX_CHARACTERS {
            return Err(PasswordError::TooLong);
        }
        let scored: Zeroizing<String> = Zeroizing::new(password.chars().take(SCORED_CHARACTERS).collect());
        let estimate = zxcvbn::zxcvbn(&scored, known_words);
        if u8::from(estimate.score()) < MIN_SCORE {
            let warning = estimate.feedback().and_then(zxcvbn::feedback::Feedback::warning);
            let advice = "a few unrelated words make a good one".to_owned();
            return Err(PasswordError::Guessable(warning.map_or(advice, |w| w.to_string())));
        }
        Ok(Self(Zeroizing::new(password.to_owned())))
    }

    /// The password.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(password: &str, purpose: Purpose, known: &[&str]) -> PasswordError {
        StrongPassword::parse(password, purpose, known).err().expect("refused")
    }

    #[test]
    fn a_few_unrelated_words_are_accepted() {
        assert!(StrongPassword::parse("violet kettle orbit", Purpose::Master, &[]).is_ok());
        assert!(StrongPassword::parse(&"violet kettle orbit ".repeat(50), Purpose::Master, &[]).is_ok());
    }

    #[test]
    fn short_long_and_guessable_passwords_are_refused() {
        assert_eq!(refusal("violet kettle", Purpose::Master, &[]), PasswordError::TooShort(14));
        assert_eq!(refusal("violet kett", Purpose::Account, &[]), PasswordError::TooShort(12));
        assert_eq!(refusal(&"x".repeat(1025), Purpose::Account, &[]), PasswordError::TooLong);
        assert!(matches!(refusal("passwordpassword", Purpose::Master, &[]), PasswordError::Guessable(_)));
        assert!(matches!(refusal("aaaaaaaaaaaaaaaaaaaa", Purpose::Master, &[]), PasswordError::Guessable(_)));
    }

    #[test]
    fn the_users_own_name_does_not_make_a_password() {
        let known = ["qvrxunblm_tkzdw"];
        assert!(matches!(refusal("qvrxunblm_tkzdw", Purpose::Account, &known), PasswordError::Guessable(_)));
        assert!(StrongPassword::parse("qvrxunblm_tkzdw", Purpose::Account, &[]).is_ok());
    }

    #[test]
    fn a_refusal_does_not_repeat_the_password() {
        assert!(!refusal("qwertyuiopasdf", Purpose::Master, &[]).to_string().contains("qwertyuiop"));
    }
}
