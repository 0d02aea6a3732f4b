//! A connection with a box, as frames in and out. Whoever makes one moves the frames; nobody here knows how they travel.

use std::future::Future;

use coffer_crypto::channel::Channel;
use tokio::sync::mpsc;

use crate::info::Info;

/// Frames that wait on their way, in each direction.
pub const MAX_WAITING: usize = 256;

/// What the phone does with a characteristic.
#[derive(Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Writes a frame, with response.
    Write(Channel, Vec<u8>),
    /// Reads a frame.
    Read(Channel),
}

/// What the box does.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Notifies a frame.
    Notified(Channel, Vec<u8>),
    /// Answers a read.
    Read(Channel, Vec<u8>),
}

/// A connection. It is gone when `incoming` ends; dropping it disconnects.
#[derive(Debug)]
pub struct Link {
    /// How much it carries at a time.
    pub mtu: u16,
    /// To the box.
    pub outgoing: mpsc::Sender<Outgoing>,
    /// From the box.
    pub incoming: mpsc::Receiver<Incoming>,
}

/// A box that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// By which the radio knows it again.
    pub address: [u8; 6],
    /// `Coffer-XXXX`.
    pub name: String,
    /// Present when the box had to be asked, because there are several.
    pub info: Option<Info>,
}

/// What finds boxes and connects with them: Bluetooth, or what stands for it in a test.
pub trait Radio {
    /// Boxes in reach. With a name it may stop looking as soon as it hears that one.
    fn find(&mut self, name: Option<&str>) -> impl Future<Output = Result<Vec<Found>, RadioError>>;

    /// Connects, and reads `info`. A connection that there was before is closed.
    fn connect(&mut self, found: &Found) -> impl Future<Output = Result<(Info, Link), RadioError>>;

    /// Disconnects, once the link was dropped.
    fn close(&mut self) -> impl Future<Output = ()>;
}

/// What the system's Bluetooth complains of.
#[cfg(target_os = "linux")]
pub type Cause = bluer::Error;
/// Nothing, where there is none.
#[cfg(not(target_os = "linux"))]
pub type Cause = std::convert::Infallible;

/// What a radio cannot do.
#[derive(Debug, thiserror::Error)]
pub enum RadioError {
    /// There is none, or it is switched off and does not come on.
    #[error("there is no Bluetooth adapter to use: {0}")]
    NoAdapter(#[source] Cause),
    /// Nobody has written it for this system.
    #[error(
        "this program uses Bluetooth on Linux only: set the box up from a phone, at the address that is printed on it"
    )]
    NotHere,
    /// The box was heard, but a connection did not come about.
    #[error("connecting with the box: {0}")]
    Connect(#[source] Cause),
    /// It does not have the service, or not all of it.
    #[error("the device does not offer what a Coffer box does")]
    NotABox,
    /// What it says of itself is not understood.
    #[error("the box says something of itself that is not understood: {0}")]
    Info(#[from] crate::info::InfoError),
    /// It did not answer in time.
    #[error("the box does not answer")]
    Silent,
}
