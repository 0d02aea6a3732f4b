//! The attribute table, and the way from it to the sessions and back. The table is frozen for ever under its UUIDs, because
//! phones cache it; versions live in the messages. Knows frames, and not what is in them.

use std::sync::{Arc, Mutex};

use bluer::{
    Address,
    gatt::local::{
        Application, Characteristic, CharacteristicRead, CharacteristicReadRequest, CharacteristicWrite,
        CharacteristicWriteMethod, CharacteristicWriteRequest, ReqError, ReqResult, Service,
    },
};
use coffer_crypto::channel::{Channel, Link, Peer};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{about::About, desk::lock, notify::Notifiers};

/// The service that a phone looks for.
pub(crate) const SERVICE: Uuid = uuid(0x00);
const INFO: Uuid = uuid(0x01);

/// Frames that wait for the sessions. A phone that writes with response has one; one that does not may fill this, and loses
/// what is too much.
const MAX_WAITING: usize = 256;

const fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(0xc0ff_e700_5a1e_4b8e_9c3d_6f2b_1d8a_4e01 + ((number as u128) << 96))
}

/// What a phone may do with a characteristic.
struct Operations {
    read: bool,
    write: bool,
    notify: bool,
}

fn operations(channel: Channel) -> Operations {
    let (read, write, notify) = match channel {
        Channel::Session | Channel::WifiConfig | Channel::UserToken | Channel::Control => (false, true, true),
        Channel::WifiScan => (true, true, true),
        Channel::WifiStatus | Channel::ServerUrl | Channel::Registration => (true, false, true),
    };
    Operations { read, write, notify }
}

/// What a phone did.
pub(crate) enum FromPhone {
    /// It wrote a frame.
    Frame { link: Link, channel: Channel, frame: Vec<u8> },
    /// It reads; the answer is a frame, or nothing.
    Read { link: Link, channel: Channel, answer: oneshot::Sender<Option<Vec<u8>>> },
}

/// The end of the air that the sessions hold.
pub(crate) struct Air {
    from_phones: mpsc::Receiver<FromPhone>,
    notifiers: Notifiers<Channel>,
}

/// The end that BlueZ calls.
#[derive(Clone)]
pub(crate) struct Bridge {
    to_sessions: mpsc::Sender<FromPhone>,
    notifiers: Notifiers<Channel>,
}

/// Both ends.
pub(crate) fn air() -> (Air, Bridge) {
    let (to_sessions, from_phones) = mpsc::channel(MAX_WAITING);
    let notifiers = Notifiers::default();
    (Air { from_phones, notifiers: notifiers.clone() }, Bridge { to_sessions, notifiers })
}

impl Air {
    /// What a phone did next. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Option<FromPhone> {
        self.from_phones.recv().await
    }

    /// Notifies frames, in order. Whoever does not listen, does not hear.
    pub(crate) async fn notify(&self, channel: Channel, frames: Vec<Vec<u8>>) {
        self.notifiers.notify(channel, frames).await;
    }
}

/// The table. No flag asks for encryption: that would start the pairing of the operating systems, which protects nothing on
/// a box without a screen.
pub(crate) fn application(about: Arc<About>, bridge: &Bridge) -> Application {
    let channels = Channel::ALL.map(|channel| characteristic(channel, bridge));
    let characteristics = std::iter::once(info_characteristic(about)).chain(channels).collect();
    Application {
        services: vec![Service { uuid: SERVICE, primary: true, characteristics, ..Service::default() }],
        ..Application::default()
    }
}

/// Its value is composed at the moment of reading.
fn info_characteristic(about: Arc<About>) -> Characteristic {
    let read = move |request: CharacteristicReadRequest| {
        let about = Arc::clone(&about);
        async move { from_offset(&about.info().await, request.offset) }.boxed()
    };
    Characteristic {
        uuid: INFO,
        read: Some(CharacteristicRead { read: true, fun: Box::new(read), ..CharacteristicRead::default() }),
        ..Characteristic::default()
    }
}

fn characteristic(channel: Channel, bridge: &Bridge) -> Characteristic {
    let Operations { read, write, notify } = operations(channel);
    Characteristic {
        uuid: uuid(channel.number()),
        read: read.then(|| reading(channel, bridge.clone())),
        write: write.then(|| writing(channel, bridge.clone())),
        notify: notify.then(|| bridge.notifiers.listening(channel)),
        ..Characteristic::default()
    }
}

fn writing(channel: Channel, bridge: Bridge) -> CharacteristicWrite {
    writes(move |frame, request| {
        let link = link(request.device_address, request.mtu);
        bridge.to_sessions.try_send(FromPhone::Frame { link, channel, frame }).is_ok()
    })
}

/// Writes that `take` hears, before BlueZ calls with the next one, and says whether there was room for.
pub(crate) fn writes(
    take: impl Fn(Vec<u8>, &CharacteristicWriteRequest) -> bool + Send + Sync + 'static,
) -> CharacteristicWrite {
    let write = move |bytes: Vec<u8>, request: CharacteristicWriteRequest| {
        // Taken before the future is polled, so that they stay in order.
        let outcome = if request.offset > 0 {
            // What we take fits into one write, and BlueZ puts long ones together.
            Err(ReqError::InvalidOffset)
        } else if take(bytes, &request) {
            Ok(())
        } else {
            Err(ReqError::Failed)
        };
        async move { outcome }.boxed()
    };
    CharacteristicWrite {
        write: true,
        write_without_response: true,
        method: CharacteristicWriteMethod::Fun(Box::new(write)),
        ..CharacteristicWrite::default()
    }
}

fn reading(channel: Channel, bridge: Bridge) -> CharacteristicRead {
    // What was read last: a phone may fetch a value in pieces, each of which arrives as a request of its own.
    let last = Arc::new(Mutex::new(Vec::new()));
    let read = move |request: CharacteristicReadRequest| {
        let (last, to_sessions) = (Arc::clone(&last), bridge.to_sessions.clone());
        async move {
            if request.offset > 0 {
                return from_offset(&lock(&last), request.offset);
            }
            let (answer, answered) = oneshot::channel();
            let link = link(request.device_address, request.mtu);
            let asked = to_sessions.send(FromPhone::Read { link, channel, answer }).await;
            let frame = asked.ok().and(answered.await.ok().flatten()).ok_or(ReqError::NotPermitted)?;
            lock(&last).clone_from(&frame);
            Ok(frame)
        }
        .boxed()
    };
    CharacteristicRead { read: true, fun: Box::new(read), ..CharacteristicRead::default() }
}

/// A connection, by the phone's address at that time: BlueZ lets no two connections have the same.
pub(crate) fn peer(address: Address) -> Peer {
    Peer(address.0.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

fn link(address: Address, mtu: u16) -> Link {
    Link { peer: peer(address), mtu }
}

/// A phone may read a value in pieces; each piece arrives as a request of its own.
pub(crate) fn from_offset(value: &[u8], offset: u16) -> ReqResult<Vec<u8>> {
    value.get(usize::from(offset)..).map(<[u8]>::to_vec).ok_or(ReqError::InvalidOffset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_frozen() {
        let channels = Channel::ALL.map(|channel| uuid(channel.number()).to_string());
        let numbers = ["02", "03", "04", "05", "06", "07", "08", "09"];
        assert_eq!(SERVICE.to_string(), "c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01");
        assert_eq!(INFO.to_string(), "c0ffe701-5a1e-4b8e-9c3d-6f2b1d8a4e01");
        assert_eq!(channels, numbers.map(|number| format!("c0ffe7{number}-5a1e-4b8e-9c3d-6f2b1d8a4e01")));
    }

    #[test]
    fn a_value_is_read_from_an_offset() {
        let value = [1, 2, 3];
        assert_eq!(from_offset(&value, 0), Ok(vec![1, 2, 3]));
        assert_eq!(from_offset(&value, 2), Ok(vec![3]));
        assert_eq!(from_offset(&value, 3), Ok(vec![]));
        assert_eq!(from_offset(&value, 4), Err(ReqError::InvalidOffset));
    }

    #[test]
    fn each_address_is_a_peer_of_its_own() {
        let address = Address::new([1, 2, 3, 4, 5, 6]);
        assert_eq!(peer(address), peer(address));
        assert_ne!(peer(address), peer(Address::new([1, 2, 3, 4, 5, 7])));
    }
}
