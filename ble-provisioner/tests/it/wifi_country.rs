//! No radio without a country, and no country that the kernel was not told.

use std::sync::atomic::{AtomicBool, Ordering};

use coffer_api::{BoxDid, ScanWifi, SetupFailure};
use coffer_ble::network::NetworkError;
use tokio::sync::watch;
use zbus::{Connection, ObjectPath, OwnedObjectPath, connection, interface};

use crate::{
    eventually,
    network_manager::State,
    wifi_home::{Home, failure, open_network},
};

/// A service manager whose jobs end as the test wants.
struct Systemd {
    result: &'static str,
    restarted: watch::Sender<Vec<String>>,
    subscribed: AtomicBool,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum SystemdError {
    #[zbus(error)]
    ZBus(zbus::Error),
    AlreadySubscribed(String),
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Systemd {
    fn subscribe(&self) -> Result<(), SystemdError> {
        let before = self.subscribed.swap(true, Ordering::Relaxed);
        if before { Err(SystemdError::AlreadySubscribed("Client is already subscribed.".to_owned())) } else { Ok(()) }
    }

    async fn restart_unit(
        &self,
        name: String,
        mode: String,
        #[zbus(connection)] connection: &Connection,
    ) -> OwnedObjectPath {
        assert_eq!(mode, "replace");
        self.restarted.send_modify(|restarted| restarted.push(name.clone()));
        let job = |number: u32| ObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{number}")).unwrap();
        // Somebody else's job first.
        for (number, unit, result) in [(1_u32, "other.service", "failed"), (2, name.as_str(), self.result)] {
            let body = (number, job(number), unit, result);
            let path = "/org/freedesktop/systemd1";
            let interface = "org.freedesktop.systemd1.Manager";
            connection.emit_signal(None::<&str>, path, interface, "JobRemoved", &body).await.unwrap();
        }
        job(2).into()
    }
}

pub(crate) async fn systemd(address: &str, result: &'static str) -> (Connection, watch::Receiver<Vec<String>>) {
    let restarted = watch::Sender::new(Vec::new());
    let seen = restarted.subscribe();
    let connection = connection::Builder::address(address)
        .serve_at("/org/freedesktop/systemd1", Systemd { result, restarted, subscribed: AtomicBool::new(false) })
        .name("org.freedesktop.systemd1")
        .build();
    (connection.await.unwrap(), seen)
}

fn stored(home: &Home) -> Option<String> {
    std::fs::read_to_string(home.directory().join("country")).ok()
}

#[tokio::test]
async fn without_a_country_the_radio_is_not_used() {
    for text in [None, Some("Switzerland\n"), Some("ch\n"), Some("")] {
        let home = Home::new(State::default()).await;
        let file = home.directory().join("country");
        match text {
            None => std::fs::remove_file(file).unwrap(),
            Some(text) => std::fs::write(file, text).unwrap(),
        }
        let outcome = home.network.connect(&open_network(b"home")).await;
        assert_eq!(failure(outcome), (SetupFailure::CountryMissing, BoxDid::Nothing), "{text:?}");
        let outcome = home.network.scan(&ScanWifi::default()).await.map(|_| ());
        assert_eq!(failure(outcome).0, SetupFailure::CountryMissing, "{text:?}");
        assert!(home.nm.done().is_empty() && home.nm.state.borrow().scans.is_empty());
    }
}

#[tokio::test]
async fn a_country_is_stored_and_told_to_the_kernel() {
    let home = Home::new(State::default()).await;
    let (_systemd, restarted) = systemd(&home.bus.address, "done").await;
    let mut status = home.network.status();
    home.network.set_country("DE").await.unwrap();
    assert_eq!(*restarted.borrow(), ["coffer-country.service"]);
    assert_eq!(stored(&home).as_deref(), Some("DE\n"));
    assert_eq!(home.network.country().await.as_deref(), Some("DE"));
    home.network.set_country("AT").await.unwrap();
    assert_eq!(stored(&home).as_deref(), Some("AT\n"), "and again");
    home.network.set_country("DE").await.unwrap();
    let told = status.wait_for(|status| status.country.as_deref() == Some("DE"));
    eventually("the status tells", told).await.unwrap();
}

#[tokio::test]
async fn a_country_that_the_kernel_did_not_hear_does_not_count() {
    let home = Home::new(State::default()).await;
    let (_systemd, _restarted) = systemd(&home.bus.address, "failed").await;
    let outcome = home.network.set_country("DE").await;
    assert!(matches!(&outcome, Err(NetworkError::Service { name, .. }) if name == "failed"), "{outcome:?}");
    assert_eq!(stored(&home).as_deref(), Some("CH\n"));

    std::fs::remove_file(home.directory().join("country")).unwrap();
    home.network.set_country("DE").await.unwrap_err();
    assert_eq!(stored(&home), None);
}

#[tokio::test]
async fn what_is_no_country_is_not_stored() {
    let home = Home::new(State::default()).await;
    for code in ["", "D", "DEU", "de", "00", "D\n", "../"] {
        let outcome = home.network.set_country(code).await;
        assert!(matches!(outcome, Err(NetworkError::Invalid(_))), "{code:?}");
    }
    assert_eq!(stored(&home).as_deref(), Some("CH\n"));
}
