//! Reads complete parts of an upload one behind the other.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::Error;
use super::transfer::{self, BodyError, READ_BYTES, Source};
use super::unlocked::Lease;
use crate::model::upload::Upload;

/// All bytes of the parts. One that does not read back ends the stream by an error.
pub(super) async fn read(
    lease: &Lease,
    parts: Vec<Upload>,
) -> Result<impl Stream<Item = Result<Bytes, BodyError>> + Send + use<>, Error> {
    let reader = lease.clone();
    let content = transfer::stream(lease, move |_| Ok(Parts { lease: reader, left: parts.into(), current: None }));
    Ok(content.await?.into_stream().map(|block| block.map_err(|_| BodyError)))
}

/// Parts on their way into the whole. Blocks the thread.
struct Parts {
    lease: Lease,
    left: VecDeque<Upload>,
    current: Option<Reading>,
}

struct Reading {
    file: std::fs::File,
    read_bytes: u64,
}

impl Source for Parts {
    fn block(&mut self) -> std::io::Result<Bytes> {
        let mut block = Vec::with_capacity(READ_BYTES);
        while block.len() < READ_BYTES {
            let Some(part) = self.left.front() else { break };
            let reading = match &mut self.current {
                Some(reading) => reading,
                empty => {
                    let blob = part.blob.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
                    empty.insert(Reading { file: self.lease.store().blobs.open(blob)?, read_bytes: 0 })
                }
            };
            let left = part.stored_bytes - reading.read_bytes;
            let length = left.min((READ_BYTES - block.len()) as u64);
            transfer::read_plain_into(&mut block, &reading.file, reading.read_bytes, length)?;
            reading.read_bytes += length;
            if length == left {
                block.extend_from_slice(&part.tail);
                self.left.pop_front();
                self.current = None;
            }
        }
        Ok(block.into())
    }

    fn is_done(&self) -> bool {
        self.left.is_empty()
    }
}
