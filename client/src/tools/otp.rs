//! One-time passwords: from what a service shows when a second factor is set up to the code of this moment.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use zeroize::Zeroizing;

const SCHEME: &str = "otpauth://";
const STEAM_SCHEME: &str = "steam://";
const USUAL_PERIOD_S: u64 = 30;
const USUAL_DIGITS: u8 = 6;
const STEAM_DIGITS: u8 = 5;
/// A day: longer ones would be passwords.
const MAX_PERIOD_S: u64 = 86_400;

/// A generator of codes.
pub struct Otp(Totp);

/// The code of a moment.
pub struct Code {
    /// Digits, or letters where Steam is.
    pub code: Zeroizing<String>,
    /// For how long it is the one.
    pub seconds_left: u64,
}

/// Why there is no code. What was given is a secret, and not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtpError {
    /// RFC 4226: each code counts on from the one before.
    #[error(
        "This one-time password counts its codes (HOTP) instead of following the clock. Two devices would lose count of each other, so it is not supported; ask the service for a time-based one."
    )]
    Counter,
    /// Neither a URI nor a secret.
    #[error("This is no one-time password: neither an otpauth:// URI nor a secret in base 32.")]
    Malformed,
    /// The secret is missing, or empty.
    #[error("The one-time password has no secret in base 32.")]
    NoSecret,
    /// Not one of RFC 6238.
    #[error("The one-time password wants another algorithm than SHA1, SHA256 and SHA512.")]
    Algorithm,
    /// Not what RFC 4226 allows.
    #[error("The one-time password wants another number of digits than 6, 7 or 8.")]
    Digits,
    /// Zero, or absurd.
    #[error("The one-time password wants a period that is not between 1 and {MAX_PERIOD_S} seconds.")]
    Period,
}

struct Parameters {
    algorithm: Algorithm,
    digits: u8,
    period_s: u64,
    secret: Option<Zeroizing<Vec<u8>>>,
}

impl Otp {
    /// Understands `otpauth://totp/…`, `otpauth://steam/…`, `steam://SECRET`, and a secret alone, in base 32 as people type it.
    pub fn parse(text: &str) -> Result<Self, OtpError> {
        let text = text.trim();
        let parameters = if let Some(rest) = without_prefix(text, SCHEME) {
            Parameters::of_uri(rest)?
        } else if let Some(secret) = without_prefix(text, STEAM_SCHEME) {
            Parameters { secret: Some(base32(secret)?), ..Parameters::steam() }
        } else if text.contains("://") {
            return Err(OtpError::Malformed);
        } else {
            Parameters { secret: Some(base32(text).map_err(|_| OtpError::Malformed)?), ..Parameters::usual() }
        };
        let secret = parameters.secret.filter(|secret| !secret.is_empty()).ok_or(OtpError::NoSecret)?;
        let builder = Builder::new()
            .with_algorithm(parameters.algorithm)
            .with_digits(parameters.digits)
            .with_step_duration(parameters.period_s)
            .with_secret(Secret::from(secret.to_vec()));
        // What is checked besides is the length of the secret, and services do hand out short ones.
        Ok(Self(builder.build_noncompliant()))
    }

    /// The code at a time.
    pub fn code(&self, now: Timestamp) -> Code {
        let now = u64::try_from(now.as_second()).unwrap_or(0);
        let code = Zeroizing::new(self.0.generate(now).to_string());
        Code { code, seconds_left: self.0.next_step(now) - now }
    }
}

impl Parameters {
    fn usual() -> Self {
        Self { algorithm: Algorithm::SHA1, digits: USUAL_DIGITS, period_s: USUAL_PERIOD_S, secret: None }
    }

    fn steam() -> Self {
        Self { algorithm: Algorithm::Steam, digits: STEAM_DIGITS, ..Self::usual() }
    }

    /// Reads what stands behind `otpauth://`.
    fn of_uri(rest: &str) -> Result<Self, OtpError> {
        let (place, query) = rest.split_once('?').ok_or(OtpError::NoSecret)?;
        let kind = place.split('/').next().unwrap_or_default();
        let mut parameters = match kind.to_ascii_lowercase().as_str() {
            "totp" => Self::usual(),
            "steam" => Self::steam(),
            "hotp" => return Err(OtpError::Counter),
            _ => return Err(OtpError::Malformed),
        };
        let is_steam = parameters.digits == STEAM_DIGITS;
        let query = query.split('#').next().unwrap_or_default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = Zeroizing::new(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned());
            match name.to_ascii_lowercase().as_str() {
                "secret" => parameters.secret = Some(base32(&value)?),
                "algorithm" if !is_steam => parameters.algorithm = algorithm(&value)?,
                "digits" if !is_steam => {
                    let digits = value.parse().ok().filter(|digits| (6..=8).contains(digits));
                    parameters.digits = digits.ok_or(OtpError::Digits)?;
                }
                "period" => {
                    let period_s = value.parse().ok().filter(|period_s| (1..=MAX_PERIOD_S).contains(period_s));
                    parameters.period_s = period_s.ok_or(OtpError::Period)?;
                }
                // Names of people and services, pictures: nothing that a code depends on.
                _ => {}
            }
        }
        Ok(parameters)
    }
}

/// A value that authenticator apps understand: as it is if it is a URI, and one of the usual parameters around a secret.
///
/// Other vaults keep the secret alone.
pub fn as_uri(text: &str, title: &str) -> Result<Zeroizing<String>, OtpError> {
    Otp::parse(text)?;
    let text = text.trim();
    if without_prefix(text, SCHEME).is_some() {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    let (kind, secret) = without_prefix(text, STEAM_SCHEME).map_or(("totp", text), |secret| ("steam", secret));
    let label = percent_encoding::utf8_percent_encode(title, percent_encoding::NON_ALPHANUMERIC);
    let secret = Zeroizing::new(BASE32_NOPAD.encode(&base32(secret)?));
    Ok(Zeroizing::new(format!("{SCHEME}{kind}/{label}?secret={}", *secret)))
}

/// The other way: what other vaults keep, if the URI says no more than [`as_uri`] would make of it.
pub fn as_bare_secret(uri: &str, title: &str) -> Option<Zeroizing<String>> {
    let (_, secret) = uri.split_once("?secret=")?;
    let steam = Zeroizing::new(format!("{STEAM_SCHEME}{secret}"));
    let forms = [Zeroizing::new(secret.to_owned()), steam];
    forms.into_iter().find(|form| as_uri(form, title).is_ok_and(|made| *made == uri))
}

fn without_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len()).filter(|start| start.eq_ignore_ascii_case(prefix))?;
    Some(&text[start.len()..])
}

fn algorithm(name: &str) -> Result<Algorithm, OtpError> {
    match name.to_ascii_uppercase().replace('-', "").as_str() {
        "SHA1" | "HMACSHA1" => Ok(Algorithm::SHA1),
        "SHA256" | "HMACSHA256" => Ok(Algorithm::SHA256),
        "SHA512" | "HMACSHA512" => Ok(Algorithm::SHA512),
        _ => Err(OtpError::Algorithm),
    }
}

/// Base 32 as services print it: in groups, in any case, with or without padding.
fn base32(text: &str) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    let mut digits = Zeroizing::new(String::with_capacity(text.len()));
    digits.extend(text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()));
    let digits = digits.trim_end_matches('=');
    // Some services do not set the bits to zero that the last digit has too many.
    let mut tolerant = BASE32_NOPAD.specification();
    tolerant.check_trailing_bits = false;
    let tolerant = tolerant.encoding().map_err(|_| OtpError::NoSecret)?;
    tolerant.decode(digits.as_bytes()).map(Zeroizing::new).map_err(|_| OtpError::NoSecret)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn code(text: &str, second: i64) -> String {
        Otp::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).code(at(second)).code.to_string()
    }

    /// RFC 6238, appendix B: the secret is "1234567890" again and again, as long as the hash.
    #[test]
    fn the_codes_of_the_rfc() {
        let digits = b"1234567890".repeat(7);
        for (name, length, codes) in [
            ("SHA1", 20, ["94287082", "07081804", "14050471", "89005924", "69279037", "65353130"]),
            ("SHA256", 32, ["46119246", "68084774", "67062674", "91819424", "90698825", "77737706"]),
            ("SHA512", 64, ["90693936", "25091201", "99943326", "93441116", "38618901", "47863826"]),
        ] {
            let secret = BASE32_NOPAD.encode(&digits[..length]);
            let uri = format!("otpauth://totp/RFC:6238?secret={secret}&algorithm={name}&digits=8&period=30");
            let seconds = [59, 1_111_111_109, 1_111_111_111, 1_234_567_890, 2_000_000_000, 20_000_000_000];
            for (second, expected) in seconds.into_iter().zip(codes) {
                assert_eq!(code(&uri, second), expected, "{name} {second}");
            }
        }
    }

    #[test]
    fn a_secret_is_understood_as_people_type_it() {
        for text in [
            SHA1_SECRET,
            "  gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n",
            "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ======",
            "otpauth://totp/a%20b?issuer=c&secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&image=https%3A%2F%2Fx",
            "OTPAUTH://TOTP/?SECRET=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ#x",
        ] {
            assert_eq!(code(text, 59), "287082", "{text}");
        }
    }

    #[test]
    fn steam_writes_five_letters() {
        for text in [
            &format!("steam://{SHA1_SECRET}"),
            &format!("otpauth://steam/Steam:me?secret={SHA1_SECRET}&digits=6&algorithm=SHA512"),
        ] {
            // 0x4e397082 & 0x7fffffff of RFC 4226's first step, in the 26 letters of Steam, the lowest digit first.
            assert_eq!(code(text, 59), "PV9M4", "{text}");
        }
    }

    #[test]
    fn a_code_lasts_until_the_next() {
        let otp = Otp::parse(&format!("otpauth://totp/x?secret={SHA1_SECRET}&period=60")).unwrap();
        for (second, left) in [(0, 60), (1, 59), (59, 1), (60, 60)] {
            assert_eq!(otp.code(at(second)).seconds_left, left);
        }
    }

    #[test]
    fn what_gives_no_code_is_refused() {
        for (text, error) in [
            ("otpauth://hotp/x?secret=GEZDGNBV&counter=1", OtpError::Counter),
            ("otpauth://other/x?secret=GEZDGNBV", OtpError::Malformed),
            ("https://example.com", OtpError::Malformed),
            ("correct horse 1890!", OtpError::Malformed),
            ("", OtpError::NoSecret),
            ("otpauth://totp/x", OtpError::NoSecret),
            ("otpauth://totp/x?secret=", OtpError::NoSecret),
            ("otpauth://totp/x?secret=1!", OtpError::NoSecret),
            ("otpauth://totp/x?secret=GEZDGNBV&algorithm=MD5", OtpError::Algorithm),
            ("otpauth://totp/x?secret=GEZDGNBV&digits=5", OtpError::Digits),
            ("otpauth://totp/x?secret=GEZDGNBV&digits=9", OtpError::Digits),
            ("otpauth://totp/x?secret=GEZDGNBV&period=0", OtpError::Period),
            ("otpauth://totp/x?secret=GEZDGNBV&period=x", OtpError::Period),
        ] {
            assert_eq!(Otp::parse(text).err(), Some(error), "{text}");
        }
    }

    #[test]
    fn a_secret_alone_becomes_a_uri() {
        let uri = as_uri("gezd gnbv", "A b").unwrap();
        assert_eq!(*uri, "otpauth://totp/A%20b?secret=GEZDGNBV");
        assert_eq!(code(&uri, 59), code("GEZDGNBV", 59));
        assert_eq!(*as_uri("steam://GEZDGNBV", "A").unwrap(), "otpauth://steam/A?secret=GEZDGNBV");
        let same = "otpauth://totp/x?secret=GEZDGNBV&digits=8";
        assert_eq!(*as_uri(same, "A").unwrap(), same);
        for (uri, bare) in [
            ("otpauth://totp/A%20b?secret=GEZDGNBV", Some("GEZDGNBV")),
            ("otpauth://steam/A%20b?secret=GEZDGNBV", Some("steam://GEZDGNBV")),
            ("otpauth://totp/other?secret=GEZDGNBV", None),
            ("otpauth://totp/A%20b?secret=GEZDGNBV&digits=8", None),
        ] {
            assert_eq!(as_bare_secret(uri, "A b").as_ref().map(|bare| bare.as_str()), bare, "{uri}");
        }
    }
}
