//! The requests on `wifi_config` and `wifi_scan`, in the words of the network module.

use std::net::Ipv4Addr;

use coffer_api::{
    EapMethod, EnterpriseLogin, EnterpriseMethod, EnterpriseRequest, JoinWifi, PendingAddress, ScanRequest, ScanWifi,
    SecretString, SetAddress, SetupError, WifiCredentials, WifiRequest, WifiScan, WifiSecurity,
};
use serde_json::{Value, json};

use super::{Desk, Outcome};
use crate::{
    errors::{self, SetupErrorFrom},
    outlook,
};

impl Desk {
    /// Does what a request on `wifi_config` asks.
    pub(crate) async fn wifi(&self, request: WifiRequest) -> Result<Value, SetupError> {
        self.do_wifi(request).await.map_err(|SetupErrorFrom(error)| error)
    }

    /// Looks around.
    pub(crate) async fn scan(&self, request: ScanRequest) -> Result<WifiScan, SetupError> {
        let ScanRequest::Scan { ssid } = request;
        let scan = self.network.scan(&ScanWifi { hidden: ssid.into_iter().collect() }).await;
        scan.map_err(|error| SetupErrorFrom::from(error).0)
    }

    async fn do_wifi(&self, request: WifiRequest) -> Outcome {
        match request {
            WifiRequest::Connect { ssid, security, password, hidden, enterprise, local_only } => {
                let credentials = credentials(security, password, enterprise)?;
                self.network.connect(&JoinWifi { ssid, hidden, credentials, local_only }).await?;
                Ok(json!(outlook::of(&self.network.look().await)))
            }
            WifiRequest::StaticAddress { address, gateway, dns } => {
                let (address, prefix) = address_and_prefix(&address)?;
                self.set_address(SetAddress::Static { address, prefix, gateway: Some(gateway), dns }).await
            }
            WifiRequest::AutomaticAddress {} => self.set_address(SetAddress::Automatic).await,
            WifiRequest::Confirm {} => {
                self.network.confirm_address().await?;
                Ok(json!({}))
            }
            WifiRequest::Forget { ssid } => {
                self.network.forget(&ssid).await?;
                Ok(json!({}))
            }
        }
    }

    async fn set_address(&self, request: SetAddress) -> Outcome {
        let PendingAddress { confirm_within_s } = self.network.set_address(&request).await?;
        Ok(json!({"confirm_within_s": confirm_within_s}))
    }
}

fn credentials(
    security: Option<WifiSecurity>,
    password: Option<SecretString>,
    enterprise: Option<EnterpriseRequest>,
) -> Result<WifiCredentials, SetupError> {
    match (security, password, enterprise) {
        (Some(WifiSecurity::Wep), _, _) => {
            Err(errors::invalid("WEP protects nothing; the box does not join such networks"))
        }
        (None | Some(WifiSecurity::Enterprise), None, Some(login)) => {
            Ok(WifiCredentials::Enterprise(EnterpriseLogin {
                method: match login.method {
                    EnterpriseMethod::Peap => EapMethod::Peap,
                    EnterpriseMethod::Ttls => EapMethod::TtlsMschapv2,
                },
                identity: login.identity,
                anonymous_identity: login.anonymous_identity,
                password: login.password,
                ca_pem: login.ca_certificate_pem,
                domain_suffix: login.server_domain,
            }))
        }
        (None | Some(WifiSecurity::Wpa2 | WifiSecurity::Wpa3 | WifiSecurity::Wpa2Wpa3), Some(password), None) => {
            Ok(WifiCredentials::Password { password })
        }
        (None | Some(WifiSecurity::Open | WifiSecurity::Owe), None, None) => Ok(WifiCredentials::None),
        (_, _, _) => Err(errors::invalid("password and enterprise do not fit the security of the network")),
    }
}

fn address_and_prefix(text: &str) -> Result<(Ipv4Addr, u8), SetupError> {
    let parts = text.split_once('/').and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    parts.ok_or_else(|| {
        errors::invalid("address: an IPv4 address with the length of its network, as in 192.168.1.20/24")
    })
}

#[cfg(test)]
mod tests {
    use coffer_api::SetupErrorCode;

    use super::*;

    fn secret() -> SecretString {
        SecretString::new("secret".to_owned())
    }

    #[test]
    fn what_a_network_needs_and_nothing_else() {
        for (security, password, fits) in [
            (None, None, true),
            (None, Some(secret()), true),
            (Some(WifiSecurity::Open), None, true),
            (Some(WifiSecurity::Open), Some(secret()), false),
            (Some(WifiSecurity::Wpa2Wpa3), Some(secret()), true),
            (Some(WifiSecurity::Wpa3), None, false),
            (Some(WifiSecurity::Enterprise), Some(secret()), false),
            (Some(WifiSecurity::Wep), Some(secret()), false),
        ] {
            let told = format!("{security:?}, {password:?}");
            assert_eq!(credentials(security, password, None).is_ok(), fits, "{told}");
        }
    }

    #[test]
    fn an_address_has_a_prefix() {
        assert_eq!(address_and_prefix("192.168.1.20/24").unwrap(), (Ipv4Addr::new(192, 168, 1, 20), 24));
        for text in ["192.168.1.20", "192.168.1.20/", "192.168.1/24", "/24", "192.168.1.20/300", "box/24"] {
            assert_eq!(address_and_prefix(text).unwrap_err().code, SetupErrorCode::Invalid, "{text}");
        }
    }
}
