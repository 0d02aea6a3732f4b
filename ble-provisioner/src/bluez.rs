//! Watches what happens to BlueZ: its own coming and going, adapters, adverts, phones that leave. Changes nothing there.
//!
//! `bluer` publishes our objects, but does not tell when bluetoothd is replaced, an advert is dropped or a phone leaves;
//! these signals come over a bus connection of our own.

use std::{collections::HashMap, num::NonZeroUsize};

use bluer::Address;
use futures_util::StreamExt;
use zbus::{
    Connection, MatchRule, Message, MessageStream, ObjectPath, Variant,
    message::{Header, Type},
};

const BLUEZ: &str = "org.bluez";
const BUS: &str = "org.freedesktop.DBus";
const ADAPTER: &str = "org.bluez.Adapter1";
const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
const DEVICE: &str = "org.bluez.Device1";

/// When more wait, the connection stops reading; a phone that connects causes a few dozen.
const MAX_SIGNALS_WAITING: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// Something that may ask for action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// An adapter came, or it or its adverts changed.
    Adapter,
    /// bluetoothd or an adapter is not what it was: whatever was registered there is lost.
    Replaced,
    /// A phone disconnected; controllers stop advertising while one is connected.
    PhoneLeft(Address),
}

/// The signals of BlueZ, in order.
pub(crate) struct Watch {
    connection: Connection,
    signals: MessageStream,
}

impl Watch {
    /// Connects to the system bus and listens from here on.
    pub(crate) async fn open() -> zbus::Result<Self> {
        let connection = Connection::system().await?;
        // One stream for both rules keeps their signals in order; a stream of its own for each would see some twice.
        let mut signals = MessageStream::from(&connection);
        signals.set_max_queued(MAX_SIGNALS_WAITING);
        let signal = || MatchRule::builder().msg_type(Type::Signal);
        for rule in [
            signal().sender(BUS).interface(BUS).member("NameOwnerChanged").arg(0, BLUEZ).build()?,
            signal().sender(BLUEZ).build()?,
        ] {
            connection.call_method(Some(BUS), "/", Some(BUS), "AddMatch", &rule.to_string()).await?;
        }
        Ok(Self { connection, signals })
    }

    /// Whether bluetoothd runs. Asks the bus alone, so that asking does not start it.
    pub(crate) async fn bluetoothd_runs(&self) -> zbus::Result<bool> {
        let reply = self.connection.call_method(Some(BUS), "/", Some(BUS), "NameHasOwner", &BLUEZ).await?;
        reply.body().deserialize()
    }

    /// The next change; `None` when the bus is gone. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        loop {
            let message = self.signals.next().await?.ok()?;
            // A signal of a shape that BlueZ's documentation does not know concerns nobody here.
            if let Ok(Some(change)) = classify(&message) {
                return Some(change);
            }
        }
    }
}

/// The address in the path of a phone's object: `…/dev_F0_F1_F2_F3_F4_F5`.
fn phone(header: &Header<'_>) -> Option<Address> {
    let (_, address) = header.path()?.as_str().rsplit_once("/dev_")?;
    address.replace('_', ":").parse().ok()
}

fn classify(message: &Message) -> zbus::Result<Option<Change>> {
    let header = message.header();
    let body = message.body();
    Ok(match header.member().map(zbus::names::MemberName::as_str) {
        Some("NameOwnerChanged") => Some(Change::Replaced),
        Some("InterfacesAdded") => {
            let (_, interfaces): (ObjectPath<'_>, HashMap<&str, HashMap<&str, Variant<'_>>>) = body.deserialize()?;
            [ADAPTER, ADVERTISING].iter().any(|name| interfaces.contains_key(name)).then_some(Change::Adapter)
        }
        Some("InterfacesRemoved") => {
            let (_, interfaces): (ObjectPath<'_>, Vec<&str>) = body.deserialize()?;
            [ADAPTER, ADVERTISING].iter().any(|name| interfaces.contains(name)).then_some(Change::Replaced)
        }
        Some("PropertiesChanged") => {
            let (interface, changed, _): (&str, HashMap<&str, Variant<'_>>, Vec<&str>) = body.deserialize()?;
            match interface {
                ADAPTER | ADVERTISING => Some(Change::Adapter),
                DEVICE if changed.get("Connected") == Some(&Variant::Bool(false)) => {
                    phone(&header).map(Change::PhoneLeft)
                }
                _ => None,
            }
        }
        _ => None,
    })
}
