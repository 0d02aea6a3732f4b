//! The set-up channel over Bluetooth: frames, handshakes and sealed messages, as `docs/ble.md` defines them.
//!
//! Two state machines without any I/O: [`Device`], the box, and [`Phone`]. They are fed with frames, the time and what
//! their caller answers, and return what is to be done. Nothing that arrives can make them panic; what cannot be
//! authenticated ends a session, and a session begins in no other way than by a code or by an enrolled key.
//!
//! Neither knows Bluetooth, a disk, or what the JSON inside of sealed messages means.

mod action;
mod device;
mod failure;
mod frame;
mod keys;
mod message;
mod noise;
mod phone;
mod sealed;

use std::time::Duration;

pub use self::action::{
    Action, CodeAnswer, CodeKind, CodeRequest, Entrance, Guess, Notification, PhoneAnswer, Proof, Resumption,
    SendError, Session, SessionEnd,
};
pub use self::device::Device;
pub use self::failure::{Failure, Refusal};
pub use self::keys::{CodeVerifier, KeyError, PublicKey, StaticKey};
pub use self::phone::{Credential, Event, Failed, Phone, WriteError};
pub use self::sealed::MAX_PLAINTEXT_BYTES;

/// The version of the protocol that this speaks.
pub const VERSION: u8 = 1;

/// A message must be complete this long after its first frame.
pub const MESSAGE_TIME: Duration = Duration::from_secs(30);

/// A handshake ends when this long nothing valid arrived.
pub const HANDSHAKE_TIME: Duration = Duration::from_mins(1);

/// A session ends when this long nothing valid arrived.
pub const IDLE_TIME: Duration = Duration::from_mins(2);

/// A connection, by a number that its caller gives it: the phone's address, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(pub u64);

/// A connection, and how much it carries at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which one.
    pub peer: Peer,
    /// Its MTU, as it is now.
    pub mtu: u16,
}

/// A characteristic, by the number that its UUID has in the place of `NN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Channel {
    /// The handshake, then the session's own messages.
    Session = 0x02,
    /// The networks in reach.
    WifiScan = 0x03,
    /// A change of the network, and its outcome.
    WifiConfig = 0x04,
    /// How the network is.
    WifiStatus = 0x05,
    /// How to register.
    UserToken = 0x06,
    /// Where the box is reached.
    ServerUrl = 0x07,
    /// How far the registration is.
    Registration = 0x08,
    /// Everything else.
    Control = 0x09,
}

impl Channel {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Session,
        Self::WifiScan,
        Self::WifiConfig,
        Self::WifiStatus,
        Self::UserToken,
        Self::ServerUrl,
        Self::Registration,
        Self::Control,
    ];

    /// The number by which messages are bound to this characteristic.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The characteristic with this number; none for the service itself and for `info`, which carries no messages.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.number() == number)
    }
}

/// Something for each channel.
#[derive(Default)]
struct PerChannel<T>([T; Channel::ALL.len()]);

impl<T> PerChannel<T> {
    fn get(&self, channel: Channel) -> &T {
        &self.0[Self::index(channel)]
    }

    fn of(&mut self, channel: Channel) -> &mut T {
        &mut self.0[Self::index(channel)]
    }

    fn index(channel: Channel) -> usize {
        usize::from(channel.number() - Channel::Session.number())
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}
