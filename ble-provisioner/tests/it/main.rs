//! The real program against a private system bus, a BlueZ and a NetworkManager of the tests' own, and a control
//! socket that answers as the test wants. What these cannot show (radio, controller, the real bluetoothd) is shown by the emulated appliance.

#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests; clippy exempts only functions marked #[test]")]

mod advertising;
mod bluez;
mod bus;
mod card;
mod daemon;
mod improv;
mod info;
mod lifecycle;
mod network_manager;
mod network_manager_objects;
mod orders;
mod phone;
mod program;
mod sessions;
mod wifi_address;
mod wifi_connect;
mod wifi_country;
mod wifi_enterprise;
mod wifi_home;
mod wifi_scan;
mod wifi_status;

use std::time::Duration;

/// No condition takes a tenth of this, even on a machine that compiles beside it.
const LIMIT: Duration = Duration::from_mins(1);

/// Waits for something that has to happen, and names it when it does not.
async fn eventually<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, happens).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}
