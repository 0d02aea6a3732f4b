//! Takes a bundle in: what arrives is written to a file of its own, which becomes the bundle when all of it is there.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::Error;
use super::transfer::{BodyError, SILENCE_LIMIT};
use super::vault::blocking;
use crate::storage::update_channel::{ChannelError, Offer, UpdateChannel};
use crate::storage::{capacity, durable};

/// The largest bundle: the image has at most 140 MB, packed.
pub(super) const MAX_BUNDLE_BYTES: u64 = 512 * 1024 * 1024;
/// What stays free beside a bundle, where keys and connections are kept, too.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;
/// How long a whole upload may take.
const RECEIVED_WITHIN: Duration = Duration::from_hours(2);
/// What every bundle begins with: it is a squashfs (RAUC's manual, "Bundle Formats").
const MAGIC: &[u8] = b"hsqs";

const BUNDLE: &str = "bundle.raucb";
const INCOMING: &str = "incoming";

/// How large a bundle may be.
#[derive(Clone, Copy)]
pub(super) struct Room {
    bytes: u64,
}

impl Room {
    /// What there is now. Blocks.
    pub(super) fn look(folder: &Path) -> Result<Self, Error> {
        let free = capacity::free_bytes(folder).map_err(|error| Error::storage("looking for room", error))?;
        Ok(Self { bytes: free.saturating_sub(RESERVE_BYTES) })
    }

    /// Refuses what is too large.
    pub(super) fn check(self, size_bytes: u64) -> Result<(), Error> {
        if size_bytes > MAX_BUNDLE_BYTES {
            return Err(Error::UploadTooLong { limit_bytes: MAX_BUNDLE_BYTES });
        }
        if size_bytes > self.bytes { Err(Error::StorageFull) } else { Ok(()) }
    }
}

/// Removes the bundle, and what was not whole. Blocks.
pub(super) fn clear(folder: &Path) -> Result<(), Error> {
    let removed = [BUNDLE, INCOMING].iter().try_for_each(|name| durable::remove_file(&folder.join(name)));
    removed.map_err(|error| Error::storage("removing an update", error))
}

/// Takes a body in. `arrived` hears of each part how many bytes it has.
pub(super) async fn receive(
    folder: &Path,
    room: Room,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    arrived: impl Fn(usize) + Send,
) -> Result<(), Error> {
    let incoming = folder.join(INCOMING);
    let received = timeout(RECEIVED_WITHIN, write_body(&incoming, room, body, arrived)).await;
    let (received, folder) = (received.unwrap_or(Err(Error::RequestTimeout)), folder.to_owned());
    blocking("keeping an update", move || keep_if(&folder, received)).await
}

async fn write_body(
    incoming: &Path,
    room: Room,
    body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    arrived: impl Fn(usize) + Send,
) -> Result<(), Error> {
    let path = incoming.to_owned();
    let mut file = blocking("writing an update", move || create(&path)).await?;
    let mut body = std::pin::pin!(body);
    let mut received_bytes = 0;
    while let Some(frame) = timeout(SILENCE_LIMIT, body.next()).await.map_err(|_| Error::RequestTimeout)? {
        let frame = frame.map_err(|BodyError| Error::UploadCutShort)?;
        received_bytes += frame.len() as u64;
        room.check(received_bytes)?;
        arrived(frame.len());
        file = blocking("writing an update", move || {
            file.write_all(&frame).map_err(unwritten)?;
            Ok(file)
        })
        .await?;
    }
    blocking("writing an update", move || file.sync_all().map_err(unwritten)).await
}

/// Fetches what a channel offers. `arrived` hears of each part how many bytes it has. Blocks.
pub(super) fn fetch(
    folder: &Path,
    channel: &UpdateChannel,
    offer: &Offer,
    arrived: impl Fn(usize),
) -> Result<(), Error> {
    let fetched = create(&folder.join(INCOMING)).and_then(|mut file| {
        let fetched = channel.fetch(offer, &mut |bytes| {
            file.write_all(bytes)?;
            arrived(bytes.len());
            Ok(())
        });
        fetched.map_err(|error| match error {
            ChannelError::Storage(cause) => unwritten(cause),
            other => Error::Channel(other),
        })?;
        file.sync_all().map_err(unwritten)
    });
    keep_if(folder, fetched)
}

/// What did not arrive whole is removed, and what cannot be a bundle.
fn keep_if(folder: &Path, arrived: Result<(), Error>) -> Result<(), Error> {
    let [incoming, bundle]: [PathBuf; 2] = [INCOMING, BUNDLE].map(|name| folder.join(name));
    let kept = arrived.and_then(|()| {
        if !is_bundle(&incoming).map_err(|error| Error::storage("reading an update", error))? {
            return Err(Error::field("body", "this is not an update bundle (.raucb)"));
        }
        durable::rename(&incoming, &bundle).map_err(unwritten)
    });
    if kept.is_err() {
        durable::remove_file(&incoming).map_err(|error| Error::storage("removing half an update", error))?;
    }
    kept
}

fn create(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.map_err(unwritten)
}

fn is_bundle(path: &Path) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path)?.read_exact(&mut magic) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| magic == *MAGIC),
    }
}

fn unwritten(error: io::Error) -> Error {
    Error::storage("writing an update", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_leaves_room_for_what_else_lies_there() {
        let room = Room { bytes: 1000 };
        assert!(room.check(1000).is_ok());
        assert!(matches!(room.check(1001), Err(Error::StorageFull)));
        assert!(matches!(room.check(MAX_BUNDLE_BYTES + 1), Err(Error::UploadTooLong { .. })));
        let folder = tempfile::tempdir().unwrap();
        let free = capacity::free_bytes(folder.path()).unwrap();
        assert!(Room::look(folder.path()).unwrap().check(free).is_err());
    }
}
