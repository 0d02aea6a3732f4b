//! A request to join, as the profiles that NetworkManager is to try one after the other. Pure: no bus.
//!
//! Every value has the exact type that NetworkManager documents; it drops a whole profile over one that has not.

use std::collections::HashMap;

use coffer_api::{EapMethod, EnterpriseLogin, JoinWifi, Ssid, WifiCredentials, WifiSecurity};
use data_encoding::BASE64;
use zbus::Variant;

use super::bus::Settings;

/// Names are in the profile's file, certificates too.
const MAX_IDENTITY_BYTES: usize = 253;
const MAX_PEM_BYTES: usize = 6 * 1024;

/// `NMSettingSecretFlags`: NetworkManager keeps the secret itself. It asks nobody, so a wrong one fails at once.
const KEPT_BY_NETWORK_MANAGER: u32 = 0;
/// `NMSettingWirelessSecurityWpsMethod`: off. Else a wrong password makes NetworkManager wait for somebody to press the
/// access point's button.
const NO_WPS: u32 = 1;
/// `NMSettingWirelessSecurityPmf`: off, and with it everything of WPA3.
const NO_PMF: i32 = 1;
/// Once a password has worked, one that is refused means an access point with troubles. Nobody is there to type it
/// again, and after three refusals NetworkManager would never try again by itself.
const TRY_FOR_EVER: i32 = 0;

/// One way to talk to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Without encryption.
    Open,
    /// Encryption without a password.
    Owe,
    /// What NetworkManager finds best of WPA2 and WPA3.
    Password,
    /// WPA2 alone: radios and access points exist that fail at WPA3 in a mixed network.
    PasswordWpa2,
    /// WPA3 alone.
    PasswordWpa3,
    /// 802.1X.
    Enterprise,
}

/// The ways to try, in order; or why there is none. `seen` is how the network protects itself, when it is in sight.
pub(crate) fn ways(request: &JoinWifi, seen: Option<WifiSecurity>) -> Result<&'static [Way], &'static str> {
    match (&request.credentials, seen) {
        (_, Some(WifiSecurity::Wep)) => Err("this network uses WEP, which protects nothing and is not supported"),
        (WifiCredentials::None, Some(WifiSecurity::Owe)) => Ok(&[Way::Owe]),
        (WifiCredentials::None, None | Some(WifiSecurity::Open)) => Ok(&[Way::Open]),
        (WifiCredentials::None, Some(_)) => Err("this network wants a password"),
        (WifiCredentials::Password { password }, Some(WifiSecurity::Wpa3)) => {
            is_wpa3_password(password.expose()).map(|()| [Way::PasswordWpa3].as_slice())
        }
        (WifiCredentials::Password { password }, Some(WifiSecurity::Wpa2)) => {
            is_wpa2_password(password.expose()).map(|()| [Way::Password].as_slice())
        }
        (WifiCredentials::Password { password }, None | Some(WifiSecurity::Wpa2Wpa3)) => {
            is_wpa2_password(password.expose()).map(|()| [Way::Password, Way::PasswordWpa2].as_slice())
        }
        (WifiCredentials::Enterprise(login), None | Some(WifiSecurity::Enterprise)) => {
            is_safe_login(login).map(|()| [Way::Enterprise].as_slice())
        }
        (WifiCredentials::Password { .. }, Some(WifiSecurity::Enterprise)) => {
            Err("this network wants a user name beside the password")
        }
        (WifiCredentials::Password { .. } | WifiCredentials::Enterprise(_), Some(_)) => {
            Err("this network does not take such credentials")
        }
    }
}

/// Whether WPA2 could take it; why not.
pub fn is_wpa2_password(password: &str) -> Result<(), &'static str> {
    let hexadecimal = password.len() == 64 && password.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal || (8..=63).contains(&password.len()) {
        Ok(())
    } else {
        Err("a WPA2 password has 8 to 63 characters, or 64 hexadecimal digits")
    }
}

fn is_wpa3_password(password: &str) -> Result<(), &'static str> {
    if (1..=128).contains(&password.len()) { Ok(()) } else { Err("a WPA3 password has 1 to 128 bytes") }
}

/// Without a check of the server's certificate anybody who puts up the network's name is handed the password.
fn is_safe_login(login: &EnterpriseLogin) -> Result<(), &'static str> {
    let texts = [Some(&login.identity), login.anonymous_identity.as_ref(), login.domain_suffix.as_ref()];
    if texts.into_iter().flatten().any(|text| text.is_empty() || text.len() > MAX_IDENTITY_BYTES) {
        return Err("a user name and a server name have 1 to 253 bytes");
    }
    match (&login.ca_pem, &login.domain_suffix) {
        (None, None) => Err("an enterprise network needs its CA certificate or its server's name"),
        (None, Some(_)) => Ok(()),
        (Some(pem), _) => der(pem).map(|_| ()).ok_or("the CA certificate is not one PEM certificate of at most 6 KiB"),
    }
}

/// The one certificate in a PEM text. NetworkManager takes one, and only in DER.
fn der(pem: &str) -> Option<Vec<u8>> {
    if pem.len() > MAX_PEM_BYTES {
        return None;
    }
    let (_, after) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, rest) = after.split_once("-----END CERTIFICATE-----")?;
    let compact: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let der = BASE64.decode(&compact).ok()?;
    // An ASN.1 sequence, as every certificate is.
    (!rest.contains("-----BEGIN") && der.first() == Some(&0x30)).then_some(der)
}

/// The profile for one way.
pub(crate) fn settings(request: &JoinWifi, way: Way) -> Settings<'_> {
    let mut connection = HashMap::from([
        ("type", Variant::from("802-11-wireless")),
        ("id", Variant::from(request.ssid.to_text())),
        ("autoconnect", Variant::from(true)),
    ]);
    let mut wireless =
        HashMap::from([("mode", Variant::from("infrastructure")), ("ssid", Variant::from(request.ssid.as_bytes()))]);
    if request.hidden {
        wireless.insert("hidden", Variant::from(true));
    }
    let mut settings = Settings::from([
        ("ipv4", HashMap::from([("method", Variant::from("auto"))])),
        ("ipv6", HashMap::from([("method", Variant::from("auto"))])),
    ]);
    if let Some(key_management) = key_management(way) {
        let mut security = HashMap::from([("key-mgmt", Variant::from(key_management))]);
        match &request.credentials {
            WifiCredentials::None => {}
            WifiCredentials::Password { password } => {
                connection.insert("auth-retries", Variant::from(TRY_FOR_EVER));
                security.insert("psk", Variant::from(password.expose()));
                security.insert("psk-flags", Variant::from(KEPT_BY_NETWORK_MANAGER));
                security.insert("wps-method", Variant::from(NO_WPS));
            }
            WifiCredentials::Enterprise(login) => {
                settings.insert("802-1x", enterprise(login));
            }
        }
        if way == Way::PasswordWpa2 {
            security.insert("pmf", Variant::from(NO_PMF));
        }
        settings.insert("802-11-wireless-security", security);
    }
    settings.insert("connection", connection);
    settings.insert("802-11-wireless", wireless);
    settings
}

fn key_management(way: Way) -> Option<&'static str> {
    match way {
        Way::Open => None,
        Way::Owe => Some("owe"),
        // Despite its name it takes WPA3 where radio and access point know it, unless PMF is off.
        Way::Password | Way::PasswordWpa2 => Some("wpa-psk"),
        Way::PasswordWpa3 => Some("sae"),
        Way::Enterprise => Some("wpa-eap"),
    }
}

fn enterprise(login: &EnterpriseLogin) -> HashMap<&str, Variant<'_>> {
    let (outer, inner) = match login.method {
        EapMethod::Peap => ("peap", "mschapv2"),
        EapMethod::TtlsMschapv2 => ("ttls", "mschapv2"),
        EapMethod::TtlsPap => ("ttls", "pap"),
    };
    let mut settings = HashMap::from([
        ("eap", Variant::from(vec![outer])),
        ("phase2-auth", Variant::from(inner)),
        ("identity", Variant::from(login.identity.as_str())),
        ("password", Variant::from(login.password.expose())),
        ("password-flags", Variant::from(KEPT_BY_NETWORK_MANAGER)),
    ]);
    if let Some(anonymous) = &login.anonymous_identity {
        settings.insert("anonymous-identity", Variant::from(anonymous.as_str()));
    }
    if let Some(suffix) = &login.domain_suffix {
        settings.insert("domain-suffix-match", Variant::from(suffix.as_str()));
    }
    match login.ca_pem.as_deref().and_then(der) {
        Some(der) => settings.insert("ca-cert", Variant::from(der)),
        None => settings.insert("system-ca-certs", Variant::from(true)),
    };
    settings
}

/// How the network in a profile of NetworkManager's is joined; `None` for ways that are none of ours.
pub(crate) fn security_of(settings: &super::bus::OwnedSettings) -> Option<WifiSecurity> {
    let Some(security) = settings.get("802-11-wireless-security") else { return Some(WifiSecurity::Open) };
    let without_wpa3 = security.get("pmf").and_then(|pmf| pmf.downcast_ref::<i32>().ok()) == Some(NO_PMF);
    match security.get("key-mgmt")?.downcast_ref::<&str>().ok()? {
        "wpa-psk" if without_wpa3 => Some(WifiSecurity::Wpa2),
        "wpa-psk" => Some(WifiSecurity::Wpa2Wpa3),
        "sae" => Some(WifiSecurity::Wpa3),
        "owe" => Some(WifiSecurity::Owe),
        "wpa-eap" => Some(WifiSecurity::Enterprise),
        _ => None,
    }
}

/// The name in a profile of NetworkManager's; `None` when it is not one for Wi-Fi.
pub(crate) fn ssid_of(settings: &mut super::bus::OwnedSettings) -> Option<Ssid> {
    let ssid = settings.get_mut("802-11-wireless")?.remove("ssid")?;
    Ssid::new(Vec::<u8>::try_from(ssid).ok()?)
}

#[cfg(test)]
mod tests {
    use coffer_api::SecretString;

    use super::*;

    fn request(credentials: WifiCredentials) -> JoinWifi {
        JoinWifi { ssid: Ssid::new(*b"Home").unwrap(), hidden: false, credentials, local_only: false }
    }

    fn password(text: &str) -> WifiCredentials {
        WifiCredentials::Password { password: SecretString::new(text.to_owned()) }
    }

    fn login(ca_pem: Option<&str>, domain_suffix: Option<&str>) -> WifiCredentials {
        WifiCredentials::Enterprise(EnterpriseLogin {
            method: EapMethod::Peap,
            identity: "ada".to_owned(),
            anonymous_identity: None,
            password: SecretString::new("secret".to_owned()),
            ca_pem: ca_pem.map(str::to_owned),
            domain_suffix: domain_suffix.map(str::to_owned),
        })
    }

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_is_tried_depends_on_what_is_in_sight() {
        for (credentials, seen, expected) in [
            (WifiCredentials::None, None, [Way::Open].as_slice()),
            (WifiCredentials::None, Some(WifiSecurity::Open), &[Way::Open]),
            (WifiCredentials::None, Some(WifiSecurity::Owe), &[Way::Owe]),
            (password("password"), Some(WifiSecurity::Wpa2), &[Way::Password]),
            (password("short"), Some(WifiSecurity::Wpa3), &[Way::PasswordWpa3]),
            (password("password"), Some(WifiSecurity::Wpa2Wpa3), &[Way::Password, Way::PasswordWpa2]),
            (password(&"f0".repeat(32)), None, &[Way::Password, Way::PasswordWpa2]),
            (login(Some(PEM), None), Some(WifiSecurity::Enterprise), &[Way::Enterprise]),
            (login(None, Some("example.org")), None, &[Way::Enterprise]),
        ] {
            assert_eq!(ways(&request(credentials), seen), Ok(expected), "{seen:?}");
        }
    }

    #[test]
    fn what_cannot_work_is_not_tried() {
        for (credentials, seen) in [
            (WifiCredentials::None, Some(WifiSecurity::Wpa2)),
            (WifiCredentials::None, Some(WifiSecurity::Enterprise)),
            (password("password"), Some(WifiSecurity::Open)),
            (password("password"), Some(WifiSecurity::Wep)),
            (password("password"), Some(WifiSecurity::Enterprise)),
            (password("short"), Some(WifiSecurity::Wpa2)),
            (password(&"g0".repeat(32)), None),
            (password(""), Some(WifiSecurity::Wpa3)),
            (login(None, None), Some(WifiSecurity::Enterprise)),
            (login(Some("no certificate"), None), Some(WifiSecurity::Enterprise)),
            (login(Some(&PEM.repeat(2)), None), Some(WifiSecurity::Enterprise)),
            (login(None, Some("")), Some(WifiSecurity::Enterprise)),
            (login(None, Some("example.org")), Some(WifiSecurity::Wpa2)),
        ] {
            assert!(ways(&request(credentials), seen).is_err(), "{seen:?}");
        }
    }

    #[test]
    fn a_profile_tells_how_its_network_is_joined() {
        for (way, credentials, expected) in [
            (Way::Open, WifiCredentials::None, WifiSecurity::Open),
            (Way::Owe, WifiCredentials::None, WifiSecurity::Owe),
            (Way::Password, password("password"), WifiSecurity::Wpa2Wpa3),
            (Way::PasswordWpa2, password("password"), WifiSecurity::Wpa2),
            (Way::PasswordWpa3, password("password"), WifiSecurity::Wpa3),
            (Way::Enterprise, login(Some(PEM), None), WifiSecurity::Enterprise),
        ] {
            let request = request(credentials);
            let owned = |value: Variant<'_>| zbus::OwnedVariant::try_from(value).unwrap();
            let setting = |words: HashMap<&str, Variant<'_>>| {
                words.into_iter().map(|(word, value)| (word.to_owned(), owned(value))).collect::<HashMap<_, _>>()
            };
            let profile = settings(&request, way).into_iter().map(|(name, words)| (name.to_owned(), setting(words)));
            assert_eq!(security_of(&profile.collect()), Some(expected), "{way:?}");
        }
    }

    #[test]
    fn a_certificate_reaches_network_manager_as_der() {
        assert_eq!(der(PEM), Some(vec![0x30, 0x03, 0x02, 0x01, 0x01]));
    }
}
