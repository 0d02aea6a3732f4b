//! The laptop's Bluetooth, through BlueZ: hears boxes, connects with one, and moves frames. Knows the attribute table and
//! nothing of what is in the frames.
//!
//! Notifications are taken from BlueZ by a socket for each characteristic. The other way, the property `Value`, also changes
//! with every read, and frames would come twice.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use bluer::{
    Adapter, AdapterEvent, Address, Device, DiscoveryFilter, DiscoveryTransport, ErrorKind,
    gatt::{
        CharacteristicReader, WriteOp,
        remote::{Characteristic, CharacteristicWriteRequest},
    },
};
use coffer_crypto::channel::Channel;
use futures_util::{StreamExt, pin_mut};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    info::Info,
    link::{Found, Incoming, Link, MAX_WAITING, Outgoing, Radio, RadioError},
    visit::name_on_air,
};

const SERVICE: Uuid = uuid(0x00);
const INFO: Uuid = uuid(0x01);

/// After the first box: others that are in reach advertise within this time.
const OTHERS_WITHIN: Duration = Duration::from_secs(4);
/// Controllers give up by themselves after some 20 to 40 s; a box that advertises is heard within one or two.
const CONNECT_WITHIN: Duration = Duration::from_secs(25);
const RESOLVE_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const DISCONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The first attempts fail now and then, for no reason that lasts.
const MAX_CONNECTS: u32 = 3;
const BETWEEN_CONNECTS: Duration = Duration::from_secs(1);

const fn uuid(number: u8) -> Uuid {
    Uuid::from_u128(0xc0ff_e700_5a1e_4b8e_9c3d_6f2b_1d8a_4e01 + ((number as u128) << 96))
}

/// One adapter.
pub struct Bluetooth {
    adapter: Adapter,
    find_within: Duration,
    connection: Option<JoinHandle<()>>,
}

impl Bluetooth {
    /// Opens an adapter by its name, as in `hci0`, or the one that BlueZ prefers.
    pub async fn open(name: Option<&str>, find_within: Duration) -> Result<Self, RadioError> {
        let open = async {
            let session = bluer::Session::new().await?;
            let adapter = match name {
                Some(name) => session.adapter(name)?,
                None => session.default_adapter().await?,
            };
            if !adapter.is_powered().await? {
                adapter.set_powered(true).await?;
            }
            Ok(adapter)
        };
        let adapter = open.await.map_err(RadioError::NoAdapter)?;
        Ok(Self { adapter, find_within, connection: None })
    }

    async fn hear(&self, name: Option<&str>) -> bluer::Result<BTreeMap<Address, String>> {
        let filter = DiscoveryFilter {
            uuids: HashSet::from([SERVICE]),
            transport: DiscoveryTransport::Le,
            ..DiscoveryFilter::default()
        };
        self.adapter.set_discovery_filter(filter).await?;
        let events = self.adapter.discover_devices_with_changes().await?;
        pin_mut!(events);
        let mut heard = BTreeMap::new();
        let mut until = Instant::now() + self.find_within;
        loop {
            let address = tokio::select! {
                event = events.next() => match event {
                    Some(AdapterEvent::DeviceAdded(address)) => address,
                    Some(_) => continue,
                    None => break,
                },
                () = sleep_until(until) => break,
            };
            // A device that is gone again is none.
            let Ok(Some(found)) = self.name_of(address).await else { continue };
            if name == Some(found.as_str()) {
                return Ok(BTreeMap::from([(address, found)]));
            }
            if heard.insert(address, found).is_none() && heard.len() == 1 && name.is_none() {
                until = until.min(Instant::now() + OTHERS_WITHIN);
            }
        }
        Ok(heard)
    }

    /// The name of a box that advertises now; none of what does not, or is no box.
    async fn name_of(&self, address: Address) -> bluer::Result<Option<String>> {
        let device = self.adapter.device(address)?;
        // BlueZ also lists what it remembers; only what is on the air has a strength.
        if device.rssi().await?.is_none() {
            return Ok(None);
        }
        let (uuids, name) = (device.uuids().await?.unwrap_or_default(), device.name().await?);
        // Once BlueZ has read a table it takes no UUIDs from adverts, and it forgets the table with the connection: of a box
        // that was visited a moment ago the name is left.
        let is_called_so = || name.as_deref().is_some_and(|name| name_on_air(name).as_deref() == Some(name));
        let is_box = uuids.contains(&SERVICE) || (uuids.is_empty() && is_called_so());
        Ok(is_box.then(|| name.unwrap_or_else(|| address.to_string())))
    }

    async fn open_link(&mut self, address: Address) -> Result<(Info, Link), RadioError> {
        let device = self.adapter.device(address).map_err(RadioError::Connect)?;
        connect(&device).await?;
        let table = Table::of(&device).await?;
        let info = within(ANSWER_WITHIN, table.info.read()).await?;
        let info = Info::parse(&info)?;
        let mut readers = Vec::new();
        for (channel, characteristic) in &table.channels {
            readers.push((*channel, within(ANSWER_WITHIN, characteristic.notify_io()).await?));
        }
        let mtu = readers.iter().map(|(_, reader)| reader.mtu()).min().unwrap_or_default();
        let (outgoing, to_send) = mpsc::channel(MAX_WAITING);
        let (arrived, incoming) = mpsc::channel(MAX_WAITING);
        self.connection = Some(tokio::spawn(carry(device, table.channels, readers, to_send, arrived)));
        Ok((info, Link { mtu: u16::try_from(mtu).unwrap_or(u16::MAX), outgoing, incoming }))
    }
}

impl Radio for Bluetooth {
    async fn find(&mut self, name: Option<&str>) -> Result<Vec<Found>, RadioError> {
        let heard = self.hear(name).await.map_err(RadioError::NoAdapter)?;
        let mut found: Vec<_> =
            heard.into_iter().map(|(address, name)| Found { address: address.0, name, info: None }).collect();
        if found.len() > 1 {
            for one in &mut found {
                // One that does not answer is still one to choose.
                one.info = self.connect(one).await.ok().map(|(info, _)| info);
            }
            self.close().await;
        }
        Ok(found)
    }

    async fn connect(&mut self, found: &Found) -> Result<(Info, Link), RadioError> {
        self.close().await;
        let address = Address(found.address);
        let link = self.open_link(address).await;
        if link.is_err() {
            let device = self.adapter.device(address).map_err(RadioError::Connect)?;
            disconnect(&device).await;
        }
        link
    }

    async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // It ends by itself, because its link is gone. If BlueZ does not answer there is nothing else to be done.
            drop(timeout(DISCONNECT_WITHIN * 2, connection).await);
        }
    }
}

/// The characteristics of a box.
struct Table {
    info: Characteristic,
    channels: Vec<(Channel, Characteristic)>,
}

impl Table {
    async fn of(device: &Device) -> Result<Self, RadioError> {
        // Includes the time that BlueZ takes to learn the table.
        let characteristics = within(RESOLVE_WITHIN, characteristics(device)).await?;
        let find = |wanted| characteristics.iter().find(|(uuid, _)| *uuid == wanted).map(|(_, found)| found.clone());
        let channels = Channel::ALL.map(|channel| find(uuid(channel.number())).map(|found| (channel, found)));
        let channels: Option<Vec<_>> = channels.into_iter().collect();
        match (find(INFO), channels) {
            (Some(info), Some(channels)) => Ok(Self { info, channels }),
            _ => Err(RadioError::NotABox),
        }
    }
}

async fn characteristics(device: &Device) -> bluer::Result<Vec<(Uuid, Characteristic)>> {
    let mut all = Vec::new();
    for service in device.services().await? {
        if service.uuid().await? == SERVICE {
            for characteristic in service.characteristics().await? {
                all.push((characteristic.uuid().await?, characteristic));
            }
        }
    }
    Ok(all)
}

async fn connect(device: &Device) -> Result<(), RadioError> {
    let mut attempt = 1;
    loop {
        match within(CONNECT_WITHIN, device.connect()).await {
            Ok(()) => return Ok(()),
            Err(RadioError::Connect(error)) if error.kind == ErrorKind::AlreadyConnected => return Ok(()),
            Err(error) if attempt == MAX_CONNECTS => return Err(error),
            Err(_) => {
                attempt += 1;
                // Also takes back an attempt that is still under way.
                disconnect(device).await;
                sleep(BETWEEN_CONNECTS).await;
            }
        }
    }
}

async fn disconnect(device: &Device) {
    // It is a courtesy: the box notices by itself when nobody is there any more.
    drop(timeout(DISCONNECT_WITHIN, device.disconnect()).await);
}

async fn within<T>(time: Duration, call: impl Future<Output = bluer::Result<T>>) -> Result<T, RadioError> {
    timeout(time, call).await.map_err(|_| RadioError::Silent)?.map_err(RadioError::Connect)
}

/// Moves frames until one of the two sides is gone; then disconnects.
async fn carry(
    device: Device,
    channels: Vec<(Channel, Characteristic)>,
    readers: Vec<(Channel, CharacteristicReader)>,
    mut to_send: mpsc::Receiver<Outgoing>,
    arrived: mpsc::Sender<Incoming>,
) {
    let mut notifications = JoinSet::new();
    for (channel, reader) in readers {
        notifications.spawn(listen(channel, reader, arrived.clone()));
    }
    loop {
        let outgoing = tokio::select! {
            outgoing = to_send.recv() => outgoing,
            _ = notifications.join_next() => None,
        };
        let Some(outgoing) = outgoing else { break };
        if send(&channels, outgoing, &arrived).await.is_none() {
            break;
        }
    }
    notifications.shutdown().await;
    // Before disconnecting: whoever waits for frames need not wait for that.
    drop((to_send, arrived));
    disconnect(&device).await;
}

async fn send(
    channels: &[(Channel, Characteristic)],
    outgoing: Outgoing,
    arrived: &mpsc::Sender<Incoming>,
) -> Option<()> {
    let of = |wanted| channels.iter().find(|(channel, _)| *channel == wanted).map(|(_, found)| found);
    match outgoing {
        Outgoing::Write(channel, frame) => {
            let request = CharacteristicWriteRequest { op_type: WriteOp::Request, ..Default::default() };
            within(ANSWER_WITHIN, of(channel)?.write_ext(&frame, &request)).await.ok()
        }
        Outgoing::Read(channel) => {
            let frame = within(ANSWER_WITHIN, of(channel)?.read()).await.ok()?;
            arrived.send(Incoming::Read(channel, frame)).await.ok()
        }
    }
}

async fn listen(channel: Channel, reader: CharacteristicReader, arrived: mpsc::Sender<Incoming>) {
    while let Ok(frame) = reader.recv().await {
        // BlueZ closes the socket when the connection is gone, which reads as nothing.
        if frame.is_empty() || arrived.send(Incoming::Notified(channel, frame)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_as_documented() {
        assert_eq!(SERVICE.to_string(), "c0ffe700-5a1e-4b8e-9c3d-6f2b1d8a4e01");
        assert_eq!(INFO.to_string(), "c0ffe701-5a1e-4b8e-9c3d-6f2b1d8a4e01");
        assert_eq!(uuid(Channel::Control.number()).to_string(), "c0ffe709-5a1e-4b8e-9c3d-6f2b1d8a4e01");
    }
}
