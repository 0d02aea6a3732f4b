//! Why setting a box up did not work: one closed list, in words for a person.
//!
//! Clients translate by `code`; the texts are for those that do not.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What stands between a box and the network, or between a network and its registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum SetupFailure {
    /// The network does not accept the password.
    WrongPassword,
    /// No access point answers to the name.
    NetworkNotFound,
    /// The access point is there and turns the box away.
    ApRefused,
    /// The radio link breaks off, and the signal is bad.
    WeakSignal,
    /// On the network, but without an address.
    NoIp,
    /// The network wants a person to sign in on a web page.
    CaptivePortal,
    /// On the network, which does not reach the internet.
    NoInternet,
    /// Names are not resolved.
    DnsBlocked,
    /// The clock cannot be right, so no certificate can be checked.
    ClockWrong,
    /// Nobody has said in which country the box is.
    CountryMissing,
    /// The radio is switched off.
    RadioBlocked,
    /// There is no working Wi-Fi device.
    FirmwareMissing,
    /// The enterprise network does not accept the account.
    EapIdentity,
    /// The enterprise network's certificate is not the expected one.
    EapCertificate,
    /// The registrar does not answer.
    RegistrarUnreachable,
    /// The claim ticket is too old.
    TicketExpired,
    /// Somebody owns the box.
    AlreadyClaimed,
    /// Too many attempts.
    Throttled {
        /// When the next attempt will be heard.
        retry_after_s: u64,
    },
}

impl SetupFailure {
    /// The cause, in one sentence.
    pub const fn what_happened(self) -> &'static str {
        match self {
            Self::WrongPassword => "The Wi-Fi network did not accept the password.",
            Self::NetworkNotFound => "The box does not see a Wi-Fi network with this name.",
            Self::ApRefused => "The Wi-Fi access point turned the box away.",
            Self::WeakSignal => "The Wi-Fi signal is too weak to stay connected.",
            Self::NoIp => "The Wi-Fi network gave the box no address.",
            Self::CaptivePortal => "The network asks for a sign-in on a web page, which the box cannot do.",
            Self::NoInternet => "The Wi-Fi works, but it has no way to the internet.",
            Self::DnsBlocked => "The network is connected, but it does not resolve names.",
            Self::ClockWrong => "The clock of the box is wrong, so it cannot check any certificate.",
            Self::CountryMissing => "The box does not know which country's radio rules to follow.",
            Self::RadioBlocked => "The Wi-Fi radio of the box is switched off.",
            Self::FirmwareMissing => "The Wi-Fi device of the box is missing or did not load its firmware.",
            Self::EapIdentity => "The enterprise network did not accept the user name or the password.",
            Self::EapCertificate => "The enterprise network's certificate is not the one that was expected.",
            Self::RegistrarUnreachable => "The registration service does not answer.",
            Self::TicketExpired => "The registration ticket has expired.",
            Self::AlreadyClaimed => "This box already belongs to somebody.",
            Self::Throttled { .. } => "There were too many attempts.",
        }
    }

    /// One thing to do next.
    pub const fn what_to_try(self) -> &'static str {
        match self {
            Self::WrongPassword => "Type the password again; capital and small letters differ.",
            Self::NetworkNotFound => "Check the name, bring the box nearer, or say that the network is hidden.",
            Self::ApRefused => "Restart the access point; look there for a list of permitted devices or a full house.",
            Self::WeakSignal => "Put the box nearer to the access point, or use its 2.4 GHz network.",
            Self::NoIp => "Check DHCP on the router and restart it, or give the box a fixed address.",
            Self::CaptivePortal => "Use another network, such as the hotspot of a phone.",
            Self::NoInternet => "Check the router's own connection, or go on without the internet.",
            Self::DnsBlocked => "Check the DNS server that the router hands out, or give the box another one.",
            Self::ClockWrong => "Let the phone set the clock, and try again.",
            Self::CountryMissing => "Choose the country, and try again.",
            Self::RadioBlocked => "Switch the radio on, or restart the box.",
            Self::FirmwareMissing => "Restart the box; when that does not help, use the network cable.",
            Self::EapIdentity => "Type user name and password again; some networks want user@domain.",
            Self::EapCertificate => "Ask who runs the network for its CA certificate and server name.",
            Self::RegistrarUnreachable => "Wait: the box goes on trying. Check the internet connection.",
            Self::TicketExpired => "Ask for a new ticket, and send it within its time.",
            Self::AlreadyClaimed => "Ask the owner, or reset the box if it is yours.",
            Self::Throttled { .. } => "Wait the given time, and try again.",
        }
    }
}

/// What became of the network that the box was on before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoxDid {
    /// Nothing was touched.
    Nothing,
    /// The network of before comes back by itself.
    WentBack,
    /// There was no network before, and there is none now.
    StaysOffline,
}

/// A failure as a client receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureReport {
    /// Which one.
    #[serde(flatten)]
    pub failure: SetupFailure,
    /// The cause, in English.
    pub what_happened: String,
    /// What the box did about it.
    pub box_did: BoxDid,
    /// What to do next, in English.
    pub what_to_try: String,
}

impl FailureReport {
    /// Puts the texts beside a failure.
    pub fn new(failure: SetupFailure, box_did: BoxDid) -> Self {
        Self {
            failure,
            what_happened: failure.what_happened().to_owned(),
            box_did,
            what_to_try: failure.what_to_try().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_one_flat_object() {
        let report = FailureReport::new(SetupFailure::Throttled { retry_after_s: 60 }, BoxDid::Nothing);
        let json = json!({
            "code": "throttled",
            "retry_after_s": 60,
            "what_happened": "There were too many attempts.",
            "box_did": "nothing",
            "what_to_try": "Wait the given time, and try again.",
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), json);
        assert_eq!(serde_json::from_value::<FailureReport>(json).unwrap(), report);
    }

    #[test]
    fn codes_are_the_published_ones() {
        for (failure, code) in [
            (SetupFailure::WrongPassword, "wrong_password"),
            (SetupFailure::NetworkNotFound, "network_not_found"),
            (SetupFailure::ApRefused, "ap_refused"),
            (SetupFailure::WeakSignal, "weak_signal"),
            (SetupFailure::NoIp, "no_ip"),
            (SetupFailure::CaptivePortal, "captive_portal"),
            (SetupFailure::NoInternet, "no_internet"),
            (SetupFailure::DnsBlocked, "dns_blocked"),
            (SetupFailure::ClockWrong, "clock_wrong"),
            (SetupFailure::CountryMissing, "country_missing"),
            (SetupFailure::RadioBlocked, "radio_blocked"),
            (SetupFailure::FirmwareMissing, "firmware_missing"),
            (SetupFailure::EapIdentity, "eap_identity"),
            (SetupFailure::EapCertificate, "eap_certificate"),
            (SetupFailure::RegistrarUnreachable, "registrar_unreachable"),
            (SetupFailure::TicketExpired, "ticket_expired"),
            (SetupFailure::AlreadyClaimed, "already_claimed"),
            (SetupFailure::Throttled { retry_after_s: 1 }, "throttled"),
        ] {
            assert_eq!(serde_json::to_value(failure).unwrap()["code"], code);
        }
    }
}
