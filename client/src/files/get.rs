//! Fetching a content: into a neighbour of the file it becomes, which is gone on with later, and has to have the SHA-256 that the box
//! said it has before it takes its name.

use std::{
    ffi::OsStr,
    fs::File as LocalFile,
    io::{self, Read, Seek, Write},
};

use coffer_api::File;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ureq::{
    Body,
    http::{Method, Response, StatusCode, header},
};
use uuid::Uuid;

use super::{
    BLOCK_BYTES,
    error::Error,
    hash, hexadecimal,
    path::RemotePath,
    slot::Slot,
    target::{Directory, Existing, Inode},
};
use crate::secrets::{line::Line, remote::Parcel};

/// Where it goes on this machine.
pub struct Target<'a> {
    /// The directory.
    pub directory: &'a Directory,
    /// The name in there.
    pub name: &'a OsStr,
    /// What is there may give way.
    pub may_replace: bool,
}

/// What a later process has to know.
#[derive(Serialize, Deserialize)]
struct Begun {
    file: Uuid,
    sha256: String,
    part: Inode,
}

/// Fetches a file, unless it is here already. Gives how many bytes came now. `tell` hears how many of them are here.
pub fn get(
    line: &Line<'_>,
    now: Timestamp,
    file: &File,
    path: &RemotePath,
    target: &Target<'_>,
    tell: &dyn Fn(u64),
) -> Result<Option<u64>, Error> {
    let Target { directory, name, may_replace } = *target;
    match directory.existing(name)? {
        Some(Existing::File(existing)) if is_same(&existing, file) => return Ok(None),
        Some(_) if !may_replace => return Err(Error::ThereLocally(directory.path_of(name))),
        Some(_) | None => {}
    }
    let parts = [&b"get"[..], &directory.inode()?.to_bytes(), name.as_encoded_bytes()];
    let mut slot = Slot::take(&line.device.home, now, &directory.path_of(name).display().to_string(), &parts)?;
    let begun = slot.read::<Begun>().filter(|begun| begun.file == file.id && begun.sha256 == file.sha256);
    let mut part = directory.part(name, begun.map(|begun| begun.part))?;
    let unwritten = || Error::io(format!("writing {}", directory.path_of(name).display()));
    let inode = Inode::of(&part).map_err(unwritten())?;
    slot.keep(&Begun { file: file.id, sha256: file.sha256.clone(), part: inode })?;
    let fetching = Fetching { line, file, path, tell };
    let (mut hasher, mut have) = here(&mut part, file.size_bytes).map_err(unwritten())?;
    let mut from = have;
    let is_whole = loop {
        fetching.rest(&mut have, &mut |bytes: &[u8]| {
            hasher.update(bytes);
            part.write_all(bytes).map_err(unwritten())
        })?;
        if hexadecimal(hasher) == file.sha256 {
            break true;
        }
        if from == 0 {
            break false;
        }
        // What an earlier process left may not have survived a power cut.
        part.set_len(0).and_then(|()| part.rewind()).map_err(unwritten())?;
        (hasher, have, from) = (Sha256::new(), 0, 0);
    };
    if !is_whole {
        directory.give_up(name)?;
        slot.clear()?;
        return Err(Error::Altered(path.clone()));
    }
    directory.complete(&part, name, may_replace)?;
    slot.clear()?;
    Ok(Some(file.size_bytes - from))
}

/// Fetches a file to be read at once. What is wrong with it is known at its end only.
pub fn stream(
    line: &Line<'_>,
    file: &File,
    path: &RemotePath,
    out: &mut dyn Write,
    tell: &dyn Fn(u64),
) -> Result<(), Error> {
    let (mut hasher, mut have) = (Sha256::new(), 0);
    Fetching { line, file, path, tell }.rest(&mut have, &mut |bytes: &[u8]| {
        hasher.update(bytes);
        out.write_all(bytes).map_err(Error::io("writing to standard output"))
    })?;
    out.flush().map_err(Error::io("writing to standard output"))?;
    if hexadecimal(hasher) == file.sha256 { Ok(()) } else { Err(Error::Altered(path.clone())) }
}

/// A content on its way.
struct Fetching<'a> {
    line: &'a Line<'a>,
    file: &'a File,
    path: &'a RemotePath,
    tell: &'a dyn Fn(u64),
}

impl Fetching<'_> {
    /// All that is missing. A connection that breaks is made once more, as long as something comes.
    fn rest(&self, have: &mut u64, take: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let mut broke_at = None;
        while *have < self.file.size_bytes {
            let came = self.ask(*have).and_then(|mut reply| self.take(&mut reply, have, take));
            match came {
                Ok(()) => {}
                Err(error) if error.is_offline() && broke_at != Some(*have) => broke_at = Some(*have),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn ask(&self, have: u64) -> Result<Response<Body>, Error> {
        let tag = format!("\"{}\"", self.file.sha256);
        let headers = [("range", format!("bytes={have}-")), ("if-range", tag.clone())];
        let headers = if have > 0 { &headers[..] } else { &headers[..0] };
        let path = format!("/files/{}/content", self.file.id);
        let reply = self.line.carry(&Parcel { method: Method::GET, path: &path, headers, body: None })?;
        let text = |name| reply.headers().get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        // All of it, where a part was asked for, is all of another content.
        let is_other = text(header::ETAG).is_some_and(|etag| etag.trim_start_matches("W/") != tag);
        if is_other || (have > 0 && reply.status() == StatusCode::OK) {
            return Err(Error::Changed(self.path.clone()));
        }
        let size = self.file.size_bytes;
        let range = format!("bytes {have}-{}/{size}", size.saturating_sub(1));
        if have > 0 && text(header::CONTENT_RANGE) != Some(range.as_str()) {
            return Err(self.line.protocol("it sends another part than was asked for").into());
        }
        Ok(reply)
    }

    fn take(
        &self,
        reply: &mut Response<Body>,
        have: &mut u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut body = reply.body_mut().as_reader();
        let mut block = vec![0; BLOCK_BYTES];
        while *have < self.file.size_bytes {
            let length = body.read(&mut block).map_err(|error| self.line.broken(&error))?;
            if length == 0 {
                return Err(self.line.broken(&io::ErrorKind::UnexpectedEof.into()).into());
            }
            if length as u64 > self.file.size_bytes - *have {
                return Err(Error::Altered(self.path.clone()));
            }
            take(&block[..length])?;
            *have += length as u64;
            (self.tell)(*have);
        }
        Ok(())
    }
}

fn is_same(mut existing: &LocalFile, file: &File) -> bool {
    let has_length = existing.metadata().is_ok_and(|metadata| metadata.len() == file.size_bytes);
    has_length && hash(&mut existing, file.size_bytes).is_ok_and(|hash| hexadecimal(hash) == file.sha256)
}

/// What is here of a content, with its hash; written to behind that from now on.
fn here(part: &mut LocalFile, size_bytes: u64) -> io::Result<(Sha256, u64)> {
    let have = part.metadata()?.len();
    if have > size_bytes {
        part.set_len(0)?;
        return Ok((Sha256::new(), 0));
    }
    Ok((hash(part, have)?, have))
}
