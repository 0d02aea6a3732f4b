//! Why joining failed: from NetworkManager's reason and `wpa_supplicant`'s codes to the closed list. Pure: no bus.
//!
//! NetworkManager's reason alone misleads: it reports a wrong WPA3 password as a network that was not found, and asks
//! for a password when an access point that is full does not answer. `wpa_supplicant` knows better, so it is heard first.

use coffer_api::{SetupFailure, WifiState};

use super::{bus::Properties, profile::Way, signals::Signal};

/// Below this, in percent, a link that breaks off is put down to the signal.
const WEAK_PERCENT: u8 = 25;

/// IEEE 802.11 status codes. WPA3 also answers with those of `NOT_FAILURES` on its way to success.
const UNSPECIFIED_FAILURE: i32 = 1;
const CHALLENGE_FAILURE: i32 = 15;
const TIMED_OUT: i32 = 16;
const PMF_REQUIRED: i32 = 31;
const NOT_FAILURES: [i32; 4] = [0, 76, 126, 127];
/// IEEE 802.11 reason codes; `wpa_supplicant` negates those that this side gave.
const INACTIVITY: i32 = 4;
const FOUR_WAY_HANDSHAKE_TIMEOUT: i32 = 15;
const ENTERPRISE_LOGIN_FAILED: i32 = 23;
const LOW_ACKNOWLEDGEMENT: i32 = 34;

/// What is known about an attempt, besides NetworkManager's reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// The strongest access point, when one was in sight.
    signal_percent: Option<u8>,
    /// It may do WPA3, which begins with the password. WPA2 begins with an authentication that knows none.
    may_be_wpa3: bool,
    auth_status: Option<i32>,
    assoc_status: Option<i32>,
    disconnect_reason: Option<i32>,
    psk_mismatch: bool,
    login_fault: Option<LoginFault>,
}

/// What an enterprise login failed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoginFault {
    /// The server's.
    Certificate,
    /// Ours, as far as is known.
    Account,
}

impl Evidence {
    pub(crate) fn new(signal_percent: Option<u8>, may_be_wpa3: bool) -> Self {
        Self { signal_percent, may_be_wpa3, ..Self::default() }
    }

    pub(crate) fn note(&mut self, signal: &mut Signal) {
        match signal {
            Signal::SupplicantChanged(properties) => self.note_codes(properties),
            Signal::PskMismatch => self.psk_mismatch = true,
            Signal::Eap { status, parameter } => match (status.as_str(), parameter.as_str()) {
                ("remote certificate verification", "success") => {}
                ("remote certificate verification", _) => self.login_fault = Some(LoginFault::Certificate),
                // Also the end of a login that failed by the certificate.
                ("completion", "failure") => self.login_fault = self.login_fault.or(Some(LoginFault::Account)),
                _ => {}
            },
            Signal::DeviceState { .. }
            | Signal::ActiveState { .. }
            | Signal::Changed { .. }
            | Signal::JobRemoved { .. }
            | Signal::NetworkManagerReplaced => {}
        }
    }

    /// A code that means no failure does not take back one that did: `wpa_supplicant` tries again by itself.
    fn note_codes(&mut self, properties: &mut Properties) {
        for (name, code) in [
            ("AuthStatusCode", &mut self.auth_status),
            ("AssocStatusCode", &mut self.assoc_status),
            ("DisconnectReason", &mut self.disconnect_reason),
        ] {
            if let Some(said) = properties.take(name).filter(|said| !NOT_FAILURES.contains(said)) {
                *code = Some(said);
            }
        }
    }

    fn signal_is_weak(&self) -> bool {
        self.signal_percent.is_some_and(|percent| percent < WEAK_PERCENT)
    }

    fn blames_password(&self, way: Way) -> bool {
        let knows_wpa3 = self.may_be_wpa3 && matches!(way, Way::Password | Way::PasswordWpa3);
        let knows_wpa2 = matches!(way, Way::Password | Way::PasswordWpa2);
        let rejected = |status| matches!(status, Some(UNSPECIFIED_FAILURE | CHALLENGE_FAILURE));
        // Broadcom's radios do the handshake themselves, and tell of a wrong password by the outcome of the association.
        let firmware_rejected = matches!(self.assoc_status, Some(CHALLENGE_FAILURE | TIMED_OUT));
        (knows_wpa3 && (rejected(self.auth_status) || rejected(self.assoc_status)))
            || ((knows_wpa2 || knows_wpa3) && firmware_rejected)
            || (knows_wpa2
                && (self.psk_mismatch || self.disconnect_reason.map(i32::abs) == Some(FOUR_WAY_HANDSHAKE_TIMEOUT)))
    }

    /// The network is one of those that say WPA2 and insist on a part of WPA3.
    pub(crate) fn wants_pmf(&self) -> bool {
        self.assoc_status == Some(PMF_REQUIRED)
    }

    fn blames_access_point(&self) -> bool {
        self.auth_status.or(self.assoc_status).is_some()
    }

    fn blames_signal(&self) -> bool {
        let broke_off = matches!(self.disconnect_reason.map(i32::abs), Some(INACTIVITY | LOW_ACKNOWLEDGEMENT));
        broke_off && self.signal_percent.is_none_or(|percent| percent < 2 * WEAK_PERCENT)
    }
}

/// What NetworkManager's reason for leaving a state says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// The access point did not let us in, for whatever cause.
    Link,
    /// The access point did not answer.
    Silence,
    /// The access point was not in sight.
    NotFound,
    /// A password or a login is missing or wrong.
    Credentials,
    /// No address.
    Address,
    /// The device does not work.
    Device,
    /// The device is switched off, or not NetworkManager's.
    Off,
    /// Somebody changed something else meanwhile.
    Interrupted,
}

/// Every value of `NMDeviceStateReason`; those of modems, bridges and the like fail where they would.
const fn says(reason: u32) -> Says {
    match reason {
        // IP config unavailable, expired; DHCP; automatic address; address in use; method not supported.
        5 | 6 | 15..=17 | 20..=22 | 64 | 65 => Says::Address,
        7 => Says::Credentials,
        // Supplicant time-out, carrier, peer not found.
        11 | 40 | 67 => Says::Silence,
        53 => Says::NotFound,
        35 => Says::Device,
        // Now unmanaged, removed, sleeping; the kinds of being unmanaged; networking off.
        3 | 36 | 37 | 69..=78 => Says::Off,
        // Now managed, connection removed, user requested, assumed, supplicant available; new activation; parent.
        2 | 38 | 39 | 41 | 42 | 60..=62 => Says::Interrupted,
        // None, unknown, config failed, the supplicant's other troubles, and what no Wi-Fi device can report.
        _ => Says::Link,
    }
}

/// Why an attempt did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// One of the list.
    Failure(SetupFailure),
    /// Somebody else changed the network meanwhile; nothing is known about this one.
    Interrupted,
}

/// Judges an attempt that NetworkManager gave up in `during` for `reason`.
pub(crate) fn cause(reason: u32, during: WifiState, way: Way, evidence: &Evidence) -> Cause {
    let said = says(reason);
    let failure = match said {
        Says::Interrupted => return Cause::Interrupted,
        Says::Off => SetupFailure::RadioBlocked,
        Says::Device => SetupFailure::FirmwareMissing,
        Says::Address => SetupFailure::NoIp,
        Says::Link | Says::Silence | Says::NotFound | Says::Credentials => match during {
            WifiState::GettingAddress | WifiState::Connected if !evidence.signal_is_weak() => SetupFailure::NoIp,
            WifiState::GettingAddress | WifiState::Connected => SetupFailure::WeakSignal,
            WifiState::Unavailable | WifiState::Disconnected | WifiState::Connecting => link(said, way, evidence),
        },
    };
    Cause::Failure(failure)
}

fn link(said: Says, way: Way, evidence: &Evidence) -> SetupFailure {
    if way == Way::Enterprise {
        match evidence.login_fault {
            Some(LoginFault::Certificate) => return SetupFailure::EapCertificate,
            Some(LoginFault::Account) => return SetupFailure::EapIdentity,
            None if evidence.disconnect_reason.map(i32::abs) == Some(ENTERPRISE_LOGIN_FAILED) => {
                return SetupFailure::EapIdentity;
            }
            None => {}
        }
    }
    if evidence.blames_password(way) {
        return SetupFailure::WrongPassword;
    }
    if evidence.blames_signal() {
        return SetupFailure::WeakSignal;
    }
    if evidence.blames_access_point() {
        return SetupFailure::ApRefused;
    }
    match said {
        Says::Credentials if way == Way::Enterprise => SetupFailure::EapIdentity,
        Says::Credentials if matches!(way, Way::Password | Way::PasswordWpa2 | Way::PasswordWpa3) => {
            SetupFailure::WrongPassword
        }
        Says::NotFound if evidence.signal_percent.is_none() => SetupFailure::NetworkNotFound,
        // It was in sight before: it went out of reach.
        Says::NotFound | Says::Silence if evidence.signal_is_weak() => SetupFailure::WeakSignal,
        Says::NotFound => SetupFailure::NetworkNotFound,
        _ => SetupFailure::ApRefused,
    }
}

/// Judges an attempt that took too long.
pub(crate) fn cause_of_timeout(during: WifiState, way: Way, evidence: &Evidence) -> Cause {
    const SUPPLICANT_TIMEOUT: u32 = 11;
    cause(SUPPLICANT_TIMEOUT, during, way, evidence)
}

/// Of the two attempts at a mixed network: the second, unless it did not come as far as the password, and the first has
/// blamed it.
pub(crate) fn telling(first: Cause, second: Cause, second_evidence: &Evidence) -> Cause {
    let never_asked = second_evidence.wants_pmf() || second == Cause::Failure(SetupFailure::NetworkNotFound);
    if never_asked && first == Cause::Failure(SetupFailure::WrongPassword) { first } else { second }
}

/// Whether WPA2 alone could fare better.
pub(crate) fn is_about_the_link(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Failure(SetupFailure::WrongPassword | SetupFailure::ApRefused | SetupFailure::NetworkNotFound)
    )
}

#[cfg(test)]
mod tests {
    use zbus::{OwnedVariant, Variant};

    use super::*;

    /// `NMDeviceStateReason` has 80 values.
    const REASONS: u32 = 80;

    fn seen(signal_percent: u8) -> Evidence {
        Evidence::new(Some(signal_percent), true)
    }

    #[test]
    fn every_reason_of_network_manager_while_connecting_with_a_password() {
        let expected = |reason| match reason {
            5 | 6 | 15..=17 | 20..=22 | 64 | 65 => Cause::Failure(SetupFailure::NoIp),
            7 => Cause::Failure(SetupFailure::WrongPassword),
            35 => Cause::Failure(SetupFailure::FirmwareMissing),
            53 => Cause::Failure(SetupFailure::NetworkNotFound),
            3 | 36 | 37 | 69 | 70 | 71 | 72 | 73 | 74 | 75 | 76 | 77 | 78 => Cause::Failure(SetupFailure::RadioBlocked),
            2 | 38 | 39 | 41 | 42 | 60 | 61 | 62 => Cause::Interrupted,
            0 | 1 | 4 | 8..=14 | 18 | 19 | 23..=34 | 40 | 43..=52 | 54..=59 | 63 | 66..=68 | 79 => {
                Cause::Failure(SetupFailure::ApRefused)
            }
            // Whatever a later NetworkManager adds.
            80.. => Cause::Failure(SetupFailure::ApRefused),
        };
        for reason in 0..=REASONS {
            assert_eq!(
                cause(reason, WifiState::Connecting, Way::Password, &seen(70)),
                expected(reason),
                "reason {reason}"
            );
        }
    }

    #[test]
    fn a_link_that_goes_while_getting_an_address_gave_none() {
        for reason in 0..=REASONS {
            let found = cause(reason, WifiState::GettingAddress, Way::Password, &seen(70));
            let expected = match says(reason) {
                Says::Interrupted => Cause::Interrupted,
                Says::Off => Cause::Failure(SetupFailure::RadioBlocked),
                Says::Device => Cause::Failure(SetupFailure::FirmwareMissing),
                Says::Address | Says::Link | Says::Silence | Says::NotFound | Says::Credentials => {
                    Cause::Failure(SetupFailure::NoIp)
                }
            };
            assert_eq!(found, expected, "reason {reason}");
        }
    }

    fn told(codes: &[(&str, i32)]) -> Evidence {
        let mut evidence = seen(70);
        for (name, code) in codes {
            let value = OwnedVariant::try_from(Variant::from(*code)).unwrap();
            let properties = Properties([((*name).to_owned(), value)].into());
            evidence.note(&mut Signal::SupplicantChanged(properties));
        }
        evidence
    }

    #[test]
    fn the_supplicant_knows_better_than_network_manager() {
        use SetupFailure::{ApRefused, NetworkNotFound, WeakSignal, WrongPassword};
        const NO_SECRETS: u32 = 7;
        const TIMEOUT: u32 = 11;
        const SSID_NOT_FOUND: u32 = 53;
        for (reason, way, codes, expected) in [
            (SSID_NOT_FOUND, Way::PasswordWpa3, [("AuthStatusCode", 1)].as_slice(), WrongPassword),
            (SSID_NOT_FOUND, Way::PasswordWpa3, &[("AuthStatusCode", 15)], WrongPassword),
            (SSID_NOT_FOUND, Way::Password, &[("AuthStatusCode", 1)], WrongPassword),
            (SSID_NOT_FOUND, Way::PasswordWpa3, &[("AuthStatusCode", 1), ("AuthStatusCode", 0)], WrongPassword),
            (SSID_NOT_FOUND, Way::PasswordWpa3, &[("AuthStatusCode", 126)], NetworkNotFound),
            (SSID_NOT_FOUND, Way::PasswordWpa3, &[("AuthStatusCode", 76)], NetworkNotFound),
            // WPA2 begins with an authentication that knows no password.
            (SSID_NOT_FOUND, Way::PasswordWpa2, &[("AuthStatusCode", 1)], ApRefused),
            (SSID_NOT_FOUND, Way::Open, &[("AuthStatusCode", 1)], ApRefused),
            (NO_SECRETS, Way::Password, &[("AuthStatusCode", 17)], ApRefused),
            (NO_SECRETS, Way::Password, &[("AssocStatusCode", 17)], ApRefused),
            (NO_SECRETS, Way::Password, &[("DisconnectReason", 15)], WrongPassword),
            (SSID_NOT_FOUND, Way::Password, &[("DisconnectReason", -15)], WrongPassword),
            (TIMEOUT, Way::Password, &[("AssocStatusCode", 16)], WrongPassword),
            (TIMEOUT, Way::Open, &[("AssocStatusCode", 16)], ApRefused),
            (TIMEOUT, Way::Open, &[("DisconnectReason", -4)], ApRefused),
        ] {
            let found = cause(reason, WifiState::Connecting, way, &told(codes));
            assert_eq!(found, Cause::Failure(expected), "{reason} {way:?} {codes:?}");
        }
        let weak = Evidence { signal_percent: Some(20), ..told(&[("DisconnectReason", -4)]) };
        assert_eq!(cause(TIMEOUT, WifiState::Connecting, Way::Open, &weak), Cause::Failure(WeakSignal));
    }

    #[test]
    fn a_network_of_wpa2_alone_refuses_before_it_knows_the_password() {
        let evidence = Evidence { may_be_wpa3: false, ..told(&[("AuthStatusCode", 1)]) };
        let found = cause(53, WifiState::Connecting, Way::Password, &evidence);
        assert_eq!(found, Cause::Failure(SetupFailure::ApRefused));
    }

    #[test]
    fn a_weak_network_that_vanishes_was_too_weak() {
        for (evidence, expected) in [
            (Evidence::default(), SetupFailure::NetworkNotFound),
            (seen(70), SetupFailure::NetworkNotFound),
            (seen(10), SetupFailure::WeakSignal),
        ] {
            assert_eq!(cause(53, WifiState::Connecting, Way::Open, &evidence), Cause::Failure(expected));
        }
    }

    #[test]
    fn an_enterprise_login_fails_by_account_or_by_certificate() {
        let eap = |status: &str, parameter: &str| {
            let mut evidence = seen(70);
            evidence.note(&mut Signal::Eap { status: status.to_owned(), parameter: parameter.to_owned() });
            evidence
        };
        for (evidence, expected) in [
            (eap("completion", "failure"), SetupFailure::EapIdentity),
            (eap("remote certificate verification", "unable to get issuer"), SetupFailure::EapCertificate),
            (eap("remote certificate verification", "success"), SetupFailure::EapIdentity),
            (told(&[("DisconnectReason", 23)]), SetupFailure::EapIdentity),
        ] {
            let found = cause(7, WifiState::Connecting, Way::Enterprise, &evidence);
            assert_eq!(found, Cause::Failure(expected), "{evidence:?}");
        }
    }

    #[test]
    fn of_two_attempts_the_telling_one_counts() {
        use SetupFailure::{ApRefused, NetworkNotFound, NoIp, WrongPassword};
        let filtered = told(&[("AuthStatusCode", 1)]);
        let pmf = told(&[("AssocStatusCode", 31)]);
        for (first, second, evidence, expected) in [
            (ApRefused, WrongPassword, &seen(70), WrongPassword),
            // A list of permitted devices, which refuses the right password too.
            (WrongPassword, ApRefused, &filtered, ApRefused),
            (WrongPassword, ApRefused, &pmf, WrongPassword),
            (ApRefused, ApRefused, &pmf, ApRefused),
            (WrongPassword, NetworkNotFound, &seen(70), WrongPassword),
            (WrongPassword, NoIp, &seen(70), NoIp),
        ] {
            let found = telling(Cause::Failure(first), Cause::Failure(second), evidence);
            assert_eq!(found, Cause::Failure(expected), "{first:?} {second:?}");
        }
    }
}
