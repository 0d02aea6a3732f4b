//! What NetworkManager, `wpa_supplicant` and systemd tell by themselves, in order. Judges nothing.

use std::{collections::HashMap, num::NonZeroUsize};

use futures_util::StreamExt;
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, fdo::DBusProxy, message::Type,
    names::OwnedUniqueName,
};

use super::bus::{ACTIVE, BUS, Bus, DEVICE, NETWORK_MANAGER, Properties, SUPPLICANT, SYSTEMD};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const SYSTEMD_MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SUPPLICANT_INTERFACE: &str = "fi.w1.wpa_supplicant1.Interface";

/// When more wait, the connection stops reading and the bus keeps the rest: nothing is lost, and no call is held up,
/// as calls have a connection of their own.
const MAX_WAITING: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// One of them.
pub(crate) enum Signal {
    /// A device went on to another state.
    DeviceState { device: OwnedObjectPath, state: u32, reason: u32 },
    /// An activation did.
    ActiveState { active: OwnedObjectPath, state: u32 },
    /// Something about an object of NetworkManager's changed.
    Changed { path: OwnedObjectPath, interface: String, properties: Properties },
    /// Something about `wpa_supplicant`'s radio did.
    SupplicantChanged(Properties),
    /// A step of an enterprise login.
    Eap { status: String, parameter: String },
    /// `wpa_supplicant` takes the password for wrong.
    PskMismatch,
    /// systemd finished a job.
    JobRemoved { job: OwnedObjectPath, result: String },
    /// NetworkManager came or went.
    NetworkManagerReplaced,
}

type Changes = (String, HashMap<String, OwnedVariant>, Vec<String>);

/// Asks the bus for the signals, once for each connection.
pub(crate) async fn subscribe(connection: &Connection) -> zbus::Result<()> {
    let signal = || MatchRule::builder().msg_type(Type::Signal);
    let bus = DBusProxy::new(connection).await?;
    for rule in [
        signal().sender(BUS).interface(BUS).member("NameOwnerChanged").arg(0, NETWORK_MANAGER).build()?,
        signal().sender(BUS).interface(BUS).member("NameOwnerChanged").arg(0, SUPPLICANT).build()?,
        signal().sender(NETWORK_MANAGER).member("StateChanged").build()?,
        signal().sender(NETWORK_MANAGER).member("PropertiesChanged").build()?,
        // Its scan results come as a signal each, and are NetworkManager's to handle.
        signal().sender(SUPPLICANT).member("PropertiesChanged").arg(0, SUPPLICANT_INTERFACE).build()?,
        signal().sender(SUPPLICANT).interface(SUPPLICANT_INTERFACE).member("EAP").build()?,
        signal().sender(SUPPLICANT).interface(SUPPLICANT_INTERFACE).member("PskMismatch").build()?,
        signal().sender(SYSTEMD).member("JobRemoved").build()?,
    ] {
        bus.add_match_rule(rule).await?;
    }
    Ok(())
}

/// The signals from the moment on when it was made.
pub(crate) struct Listener {
    connection: Connection,
    stream: MessageStream,
    owners: Owners,
    replaced: Option<Replaced>,
}

/// Who has another owner now, which `owners` does not know yet.
enum Replaced {
    NetworkManager,
    Supplicant,
}

enum Heard {
    Signal(Signal),
    Replaced(Replaced),
    Nothing,
}

/// Who may say what. Anybody on the bus can address a signal to us alone, whatever we asked the bus for.
#[derive(Default)]
struct Owners {
    network_manager: Option<OwnedUniqueName>,
    supplicant: Option<OwnedUniqueName>,
    systemd: Option<OwnedUniqueName>,
}

impl Listener {
    pub(crate) async fn new(bus: &Bus) -> zbus::Result<Self> {
        let mut stream = MessageStream::from(&bus.signals);
        stream.set_max_queued(MAX_WAITING);
        let owners = Owners::look(&bus.calls).await?;
        Ok(Self { connection: bus.calls.clone(), stream, owners, replaced: None })
    }

    /// The next one; `None` when the bus is gone. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Signal> {
        loop {
            if let Some(replaced) = &self.replaced {
                self.owners = Owners::look(&self.connection).await.ok()?;
                let is_network_manager = matches!(replaced, Replaced::NetworkManager);
                self.replaced = None;
                if is_network_manager {
                    return Some(Signal::NetworkManagerReplaced);
                }
            }
            let message = self.stream.next().await?.ok()?;
            // A signal of a shape that the documentation does not know concerns nobody here.
            match self.owners.classify(&message).unwrap_or(Heard::Nothing) {
                Heard::Signal(signal) => return Some(signal),
                Heard::Replaced(replaced) => self.replaced = Some(replaced),
                Heard::Nothing => {}
            }
        }
    }
}

impl Owners {
    async fn look(connection: &Connection) -> zbus::Result<Self> {
        let bus = DBusProxy::new(connection).await?;
        let mut owners = Self::default();
        for (name, owner) in [
            (NETWORK_MANAGER, &mut owners.network_manager),
            (SUPPLICANT, &mut owners.supplicant),
            (SYSTEMD, &mut owners.systemd),
        ] {
            *owner = bus.get_name_owner(name.try_into()?).await.ok();
        }
        Ok(owners)
    }

    fn classify(&self, message: &Message) -> zbus::Result<Heard> {
        let header = message.header();
        let (Some(sender), Some(interface), Some(member), Some(path)) =
            (header.sender(), header.interface(), header.member(), header.path())
        else {
            return Ok(Heard::Nothing);
        };
        let from = |owner: &Option<OwnedUniqueName>| owner.as_ref().is_some_and(|owner| owner == sender);
        let (body, path) = (message.body(), || OwnedObjectPath::from(path.to_owned()));
        Ok(Heard::Signal(match (interface.as_str(), member.as_str()) {
            (BUS, "NameOwnerChanged") if sender == BUS => {
                let (name, _, _): (&str, &str, &str) = body.deserialize()?;
                let is_network_manager = name == NETWORK_MANAGER;
                return Ok(Heard::Replaced(if is_network_manager {
                    Replaced::NetworkManager
                } else {
                    Replaced::Supplicant
                }));
            }
            (DEVICE, "StateChanged") if from(&self.network_manager) => {
                let (state, _, reason): (u32, u32, u32) = body.deserialize()?;
                Signal::DeviceState { device: path(), state, reason }
            }
            (ACTIVE, "StateChanged") if from(&self.network_manager) => {
                let (state, _): (u32, u32) = body.deserialize()?;
                Signal::ActiveState { active: path(), state }
            }
            (PROPERTIES, "PropertiesChanged") if from(&self.network_manager) => {
                let (interface, changed, _): Changes = body.deserialize()?;
                Signal::Changed { path: path(), interface, properties: Properties(changed) }
            }
            (PROPERTIES, "PropertiesChanged") if from(&self.supplicant) => {
                let (_, changed, _): Changes = body.deserialize()?;
                Signal::SupplicantChanged(Properties(changed))
            }
            (SUPPLICANT_INTERFACE, "EAP") if from(&self.supplicant) => {
                let (status, parameter) = body.deserialize()?;
                Signal::Eap { status, parameter }
            }
            (SUPPLICANT_INTERFACE, "PskMismatch") if from(&self.supplicant) => Signal::PskMismatch,
            (SYSTEMD_MANAGER, "JobRemoved") if from(&self.systemd) => {
                let (_, job, _, result): (u32, OwnedObjectPath, String, String) = body.deserialize()?;
                Signal::JobRemoved { job, result }
            }
            _ => return Ok(Heard::Nothing),
        }))
    }
}
