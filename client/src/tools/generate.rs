//! Passwords and pass phrases, drawn evenly from all that fit the wishes, and how hard they are to guess.

use coffer_crypto::secrets::identity::WORDS;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Lengths of passwords, in characters.
pub const LENGTHS: std::ops::RangeInclusive<usize> = 4..=256;
/// Lengths of pass phrases, in words.
pub const WORD_COUNTS: std::ops::RangeInclusive<usize> = 3..=64;

/// Characters that people mistake for each other, on paper and in many typefaces.
const LOOK_ALIKES: &str = "0Oo1lI|5S2Z8B";

/// A kind of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// a to z.
    Lower,
    /// A to Z.
    Upper,
    /// 0 to 9.
    Digits,
    /// Those that are on every keyboard.
    Symbols,
}

/// What a password is made of. At least one character of every class is in it.
#[derive(Clone, Debug)]
pub struct PasswordWish {
    /// In characters.
    pub length: usize,
    /// Each counts once.
    pub classes: Vec<Class>,
    /// Without characters that look like others.
    pub no_look_alikes: bool,
}

/// What a pass phrase is made of.
#[derive(Clone, Debug)]
pub struct PhraseWish {
    /// How many words.
    pub words: usize,
    /// What stands between them.
    pub separator: String,
}

/// What was drawn.
pub struct Generated {
    /// The password, or the phrase.
    pub secret: Zeroizing<String>,
    /// The logarithm, to the base of 2, of how many others it could have been.
    pub entropy_bits: f64,
}

/// Why nothing is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// Too short to be of use, or longer than anything takes.
    #[error("A password has {} to {} characters.", LENGTHS.start(), LENGTHS.end())]
    Length,
    /// Likewise.
    #[error("A pass phrase has {} to {} words.", WORD_COUNTS.start(), WORD_COUNTS.end())]
    Words,
    /// There is nothing to draw from.
    #[error("A password needs at least one class of characters.")]
    NoClass,
}

impl Class {
    const ALL: [Self; 4] = [Self::Lower, Self::Upper, Self::Digits, Self::Symbols];

    fn characters(self) -> &'static str {
        match self {
            Self::Lower => "abcdefghijklmnopqrstuvwxyz",
            Self::Upper => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            Self::Digits => "0123456789",
            Self::Symbols => "!#$%&()*+,-./:;<=>?@[]^_{|}~",
        }
    }
}

impl PasswordWish {
    /// Draws a password.
    ///
    /// All that fit are equally likely: characters are drawn from all classes together, and a password that lacks a class
    /// is thrown away. Putting one of each class in by hand would favour some.
    pub fn draw(&self, rng: &mut impl CryptoRng) -> Result<Generated, GenerateError> {
        if !LENGTHS.contains(&self.length) {
            return Err(GenerateError::Length);
        }
        let classes = self.alphabets();
        let all: Vec<char> = classes.iter().flatten().copied().collect();
        if all.is_empty() {
            return Err(GenerateError::NoClass);
        }
        loop {
            let mut secret = Zeroizing::new(String::with_capacity(self.length));
            for _ in 0..self.length {
                secret.push(all[below(all.len(), rng)]);
            }
            if classes.iter().all(|class| secret.contains(class.as_slice())) {
                let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
                return Ok(Generated { secret, entropy_bits: entropy_bits(self.length, &sizes) });
            }
        }
    }

    fn alphabets(&self) -> Vec<Vec<char>> {
        let fits = |c: &char| !self.no_look_alikes || !LOOK_ALIKES.contains(*c);
        let wanted = Class::ALL.into_iter().filter(|class| self.classes.contains(class));
        wanted.map(|class| class.characters().chars().filter(fits).collect()).collect()
    }
}

impl PhraseWish {
    /// Draws words, each independently of the others.
    pub fn draw(&self, rng: &mut impl CryptoRng) -> Result<Generated, GenerateError> {
        if !WORD_COUNTS.contains(&self.words) {
            return Err(GenerateError::Words);
        }
        let list: Vec<&str> = WORDS.split_whitespace().collect();
        let longest = list.iter().map(|word| word.len()).max().unwrap_or(0);
        // As large as it may be, so that it is not moved and left behind while it grows.
        let mut secret = Zeroizing::new(String::with_capacity(self.words * (longest + self.separator.len())));
        for position in 0..self.words {
            if position > 0 {
                secret.push_str(&self.separator);
            }
            secret.push_str(list[below(list.len(), rng)]);
        }
        Ok(Generated { secret, entropy_bits: real(self.words) * real(list.len()).log2() })
    }
}

/// A number below another one, each as likely as the next: what is left over at the top of the range is drawn again.
fn below(end: usize, rng: &mut impl CryptoRng) -> usize {
    let end = u32::try_from(end).unwrap_or(u32::MAX);
    let whole = u32::MAX - u32::MAX % end;
    loop {
        let drawn = rng.next_u32();
        if drawn < whole {
            return (drawn % end) as usize;
        }
    }
}

/// Of a password that has at least one character of each class: by inclusion and exclusion, the share of all passwords of this
/// length that lack none.
fn entropy_bits(length: usize, class_sizes: &[usize]) -> f64 {
    let all: usize = class_sizes.iter().sum();
    let share: f64 = (0..1_u32 << class_sizes.len())
        .map(|without| {
            let missing = |index: &usize| without & (1 << index) != 0;
            let lost: usize = (0..class_sizes.len()).filter(missing).map(|index| class_sizes[index]).sum();
            let sign = if without.count_ones() % 2 == 0 { 1.0 } else { -1.0 };
            sign * (real(length) * (real(all - lost) / real(all)).log2()).exp2()
        })
        .sum();
    real(length) * real(all).log2() + share.log2()
}

#[expect(clippy::cast_precision_loss, reason = "lengths and sizes here are below ten thousand")]
fn real(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;

    fn wish(length: usize, classes: &[Class]) -> PasswordWish {
        PasswordWish { length, classes: classes.to_vec(), no_look_alikes: false }
    }

    #[test]
    fn every_class_that_is_wanted_is_in_and_no_other() {
        for length in [4, 5, 20, 256] {
            let drawn = wish(length, &Class::ALL).draw(&mut UnwrapErr(SysRng)).unwrap().secret;
            assert_eq!(drawn.chars().count(), length);
            for class in Class::ALL {
                assert!(drawn.contains(|c| class.characters().contains(c)), "{class:?} {length}");
            }
        }
        let digits = wish(40, &[Class::Digits, Class::Digits]).draw(&mut UnwrapErr(SysRng)).unwrap();
        assert!(digits.secret.chars().all(|c| c.is_ascii_digit()));
        assert!((digits.entropy_bits - 40.0 * 10_f64.log2()).abs() < 1e-9);
    }

    #[test]
    fn look_alikes_are_left_out() {
        let all = PasswordWish { no_look_alikes: true, ..wish(256, &Class::ALL) };
        for _ in 0..20 {
            let drawn = all.draw(&mut UnwrapErr(SysRng)).unwrap().secret;
            assert!(!drawn.contains(|c| LOOK_ALIKES.contains(c)));
        }
    }

    /// Two digits and two letters of a tiny alphabet would show the bias of putting a character of each class in by hand.
    #[test]
    fn all_that_fit_are_equally_likely() {
        let mut counts: HashMap<usize, u32> = HashMap::new();
        let rounds = 20_000;
        for _ in 0..rounds {
            let drawn = wish(4, &[Class::Digits, Class::Symbols]).draw(&mut UnwrapErr(SysRng)).unwrap().secret;
            *counts.entry(drawn.chars().filter(char::is_ascii_digit).count()).or_default() += 1;
        }
        // With d digits and 4 - d symbols: C(4, d) * 10^d * 28^(4 - d) of them.
        let weight =
            |digits: u32| f64::from([0, 4, 6, 4][digits as usize] * 10_u32.pow(digits) * 28_u32.pow(4 - digits));
        let all: f64 = (1..4).map(weight).sum();
        for digits in 1..4 {
            let expected = weight(digits) / all * f64::from(rounds);
            let counted = f64::from(counts[&(digits as usize)]);
            // Six standard deviations: once in a hundred million runs by chance.
            assert!((counted - expected).abs() < 6.0 * expected.sqrt(), "{digits}: {counted}, not {expected}");
        }
        let bits = entropy_bits(4, &[10, 28]);
        assert!((bits - all.log2()).abs() < 1e-6, "{bits}");
    }

    #[test]
    fn phrases_are_words_of_the_list() {
        let wish = PhraseWish { words: 6, separator: "-".to_owned() };
        let drawn = wish.draw(&mut UnwrapErr(SysRng)).unwrap();
        let words: Vec<_> = drawn.secret.split('-').collect();
        assert_eq!(words.len(), 6);
        assert!(words.iter().all(|word| WORDS.split_whitespace().any(|known| known == *word)));
        assert!((drawn.entropy_bits - 66.0).abs() < 1e-9);
        assert_ne!(wish.draw(&mut UnwrapErr(SysRng)).unwrap().secret, drawn.secret);
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        let rng = &mut UnwrapErr(SysRng);
        for (length, classes, error) in [
            (3, &Class::ALL[..], GenerateError::Length),
            (257, &Class::ALL[..], GenerateError::Length),
            (20, &[], GenerateError::NoClass),
        ] {
            assert_eq!(wish(length, classes).draw(rng).err(), Some(error));
        }
        for words in [0, 2, 65] {
            let wish = PhraseWish { words, separator: String::new() };
            assert_eq!(wish.draw(rng).err(), Some(GenerateError::Words));
        }
    }
}
