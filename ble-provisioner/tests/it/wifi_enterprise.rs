//! Networks with an account for everybody.

use coffer_api::{EapMethod, EnterpriseLogin, JoinWifi, SecretString, SetupFailure, WifiCredentials};
use coffer_ble::network::NetworkError;

use crate::{
    network_manager::{Point, State, Step, open_point},
    wifi_connect::signatures,
    wifi_home::{ENTERPRISE, Home, failure, open_network},
};

const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";

fn login(method: EapMethod) -> EnterpriseLogin {
    EnterpriseLogin {
        method,
        identity: "ada@example.org".to_owned(),
        anonymous_identity: None,
        password: SecretString::new("secret".to_owned()),
        ca_pem: None,
        domain_suffix: Some("radius.example.org".to_owned()),
    }
}

fn request(login: EnterpriseLogin) -> JoinWifi {
    JoinWifi { credentials: WifiCredentials::Enterprise(login), ..open_network(b"work") }
}

fn state(steps: &[Step]) -> State {
    let point = Point { flags: 1, rsn: ENTERPRISE, ..open_point(b"work", 70) };
    State { points: vec![point], attempts: [steps.to_vec()].into(), ..State::default() }
}

#[tokio::test]
async fn an_account_is_written_as_network_manager_expects() {
    for (method, outer, inner) in [
        (EapMethod::Peap, "peap", "mschapv2"),
        (EapMethod::TtlsMschapv2, "ttls", "mschapv2"),
        (EapMethod::TtlsPap, "ttls", "pap"),
    ] {
        let home = Home::new(state(&[Step::Active(2)])).await;
        home.network.connect(&request(login(method))).await.unwrap();
        let state = home.nm.state.borrow();
        let profile = &state.joined[0].0;
        assert_eq!(signatures(profile, "802-11-wireless-security"), ["key-mgmt:s"]);
        assert_eq!(profile["802-11-wireless-security"]["key-mgmt"].downcast_ref::<&str>(), Ok("wpa-eap"));
        assert_eq!(
            signatures(profile, "802-1x"),
            [
                "domain-suffix-match:s",
                "eap:as",
                "identity:s",
                "password-flags:u",
                "password:s",
                "phase2-auth:s",
                "system-ca-certs:b",
            ]
        );
        let eap = Vec::<String>::try_from(profile["802-1x"]["eap"].try_clone().unwrap()).unwrap();
        assert_eq!(eap, [outer]);
        assert_eq!(profile["802-1x"]["phase2-auth"].downcast_ref::<&str>(), Ok(inner));
    }
}

#[tokio::test]
async fn a_certificate_of_ones_own_stands_for_those_of_the_system() {
    let home = Home::new(state(&[Step::Active(2)])).await;
    let own = EnterpriseLogin {
        ca_pem: Some(PEM.to_owned()),
        anonymous_identity: Some("anonymous@example.org".to_owned()),
        domain_suffix: None,
        ..login(EapMethod::Peap)
    };
    home.network.connect(&request(own)).await.unwrap();
    let state = home.nm.state.borrow();
    let words = &state.joined[0].0["802-1x"];
    assert_eq!(Vec::<u8>::try_from(words["ca-cert"].try_clone().unwrap()).unwrap(), [0x30, 3, 2, 1, 1]);
    assert_eq!(words["anonymous-identity"].downcast_ref::<&str>(), Ok("anonymous@example.org"));
    assert!(!words.contains_key("system-ca-certs"));
}

#[tokio::test]
async fn without_any_check_of_the_server_no_password_is_sent() {
    let home = Home::new(state(&[Step::Active(2)])).await;
    let blind = EnterpriseLogin { domain_suffix: None, ..login(EapMethod::Peap) };
    assert!(matches!(home.network.connect(&request(blind)).await, Err(NetworkError::Invalid(_))));
    assert!(home.nm.done().is_empty());
}

#[tokio::test]
async fn an_account_fails_by_itself_or_by_the_certificate() {
    let end = [Step::Device(120, 7), Step::Active(4)];
    let both = [Step::Eap("remote certificate verification", "expired"), Step::Eap("completion", "failure")];
    let home = Home::new(state(&[&[Step::Device(40, 0)], &both[..], &end[..]].concat())).await;
    let outcome = home.network.connect(&request(login(EapMethod::Peap))).await;
    assert_eq!(failure(outcome).0, SetupFailure::EapCertificate);

    for (step, expected) in [
        (Step::Eap("completion", "failure"), SetupFailure::EapIdentity),
        (Step::Eap("remote certificate verification", "unable to get issuer"), SetupFailure::EapCertificate),
        (Step::Eap("remote certificate verification", "success"), SetupFailure::EapIdentity),
        (Step::Code("DisconnectReason", 23), SetupFailure::EapIdentity),
    ] {
        let home = Home::new(state(&[&[Step::Device(40, 0), step], &end[..]].concat())).await;
        let outcome = home.network.connect(&request(login(EapMethod::Peap))).await;
        assert_eq!(failure(outcome).0, expected, "{step:?}");
    }
}
