//! Sending a content: in chunks that the box acknowledges, so that whoever dies goes on where the box has got to. Nothing at the box is
//! replaced that was not seen, and what arrived is compared with what was sent.

use std::{
    fs::{self, File as LocalFile},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use coffer_api::{File, ProblemCode, Upload};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::SpooledTempFile;
use ureq::http::{Method, header};
use uuid::Uuid;

use super::{error::Error, hash, hexadecimal, path::RemotePath, slot::Slot};
use crate::secrets::{
    line::Line,
    remote::{Outgoing, Parcel},
};

/// Bytes of one request. Tunnels let 100 MB pass; a connection that breaks costs at most this.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// Standard input that is not longer stays in memory.
const SPOOL_BYTES: usize = CHUNK_BYTES;
/// For how long the box may believe that a process that died is still sending.
const BUSY_LIMIT: Duration = Duration::from_secs(30);
const BUSY_PAUSE: Duration = Duration::from_millis(250);

/// A file as it was when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_s: i64,
    modified_ns: i64,
}

enum Content {
    File(LocalFile, Identity),
    Piped(SpooledTempFile),
}

/// What is sent.
pub struct Source {
    content: Content,
    path: PathBuf,
    size_bytes: u64,
}

/// Where it goes.
pub struct Place<'a> {
    /// The folder; nothing for the root.
    pub folder: Option<Uuid>,
    /// The whole path.
    pub path: &'a RemotePath,
    /// What is there, as it was seen.
    pub current: Option<&'a File>,
}

/// What became of it.
pub struct Put {
    /// The file at the box.
    pub file: File,
    /// How much of it was sent now; nothing when the box had the same content.
    pub sent_bytes: Option<u64>,
}

/// What a later process has to know.
#[derive(Serialize, Deserialize)]
struct Begun {
    source: Identity,
    upload: Uuid,
}

impl Source {
    /// A file of this machine.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = (|| {
            // A pipe would wait for whoever writes.
            if !fs::metadata(path)?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
            }
            let file = LocalFile::open(path)?;
            let identity = Identity::of(&file)?;
            Ok(Self { size_bytes: identity.size_bytes, content: Content::File(file, identity), path: path.to_owned() })
        })();
        opened.map_err(Error::io(format!("opening {}", path.display())))
    }

    /// What is piped in, to its end: the box wants to know how long it is. What does not fit into memory waits in a file without a
    /// name.
    pub fn piped(mut input: impl Read) -> Result<Self, Error> {
        let mut spool = SpooledTempFile::new(SPOOL_BYTES);
        let copied = io::copy(&mut input, &mut spool).map_err(Error::io("reading standard input"));
        Ok(Self { size_bytes: copied?, content: Content::Piped(spool), path: PathBuf::from("standard input") })
    }

    /// How long it is.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn identity(&self) -> Option<Identity> {
        match &self.content {
            Content::File(_, identity) => Some(*identity),
            Content::Piped(_) => None,
        }
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        match &self.content {
            Content::File(file, opened) if Identity::of(file).map_err(self.unread())? != *opened => {
                Err(Error::SourceChanged(self.path.clone()))
            }
            Content::File(..) | Content::Piped(_) => Ok(()),
        }
    }

    fn hash(&mut self, length_bytes: u64) -> Result<Sha256, Error> {
        let hashed = self.at(0).and_then(|reader| hash(reader, length_bytes));
        hashed.map_err(|error| self.cut(error))
    }

    fn read(&mut self, offset: u64, chunk: &mut [u8]) -> Result<(), Error> {
        let read = self.at(offset).and_then(|reader| reader.read_exact(chunk));
        read.map_err(|error| self.cut(error))
    }

    fn at(&mut self, offset: u64) -> io::Result<&mut dyn Read> {
        match &mut self.content {
            Content::File(file, _) => file.seek(SeekFrom::Start(offset)).map(|_| file as &mut dyn Read),
            Content::Piped(spool) => spool.seek(SeekFrom::Start(offset)).map(|_| spool as &mut dyn Read),
        }
    }

    /// Shorter than it was is another file.
    fn cut(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::SourceChanged(self.path.clone()),
            _ => self.unread()(error),
        }
    }

    fn unread(&self) -> impl FnOnce(io::Error) -> Error + use<> {
        Error::io(format!("reading {}", self.path.display()))
    }
}

impl Identity {
    fn of(file: &LocalFile) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified_s: metadata.mtime(),
            modified_ns: metadata.mtime_nsec(),
        })
    }
}

/// Sends a content, unless it is there already. `tell` hears how many bytes of it the box has, or are on their way.
pub fn put(
    line: &Line<'_>,
    now: Timestamp,
    source: &mut Source,
    place: &Place<'_>,
    force: bool,
    tell: &dyn Fn(u64),
) -> Result<Put, Error> {
    let same = match place.current.filter(|current| current.size_bytes == source.size_bytes) {
        Some(current) if hexadecimal(source.hash(current.size_bytes)?) == current.sha256 => Some(current),
        Some(_) | None => None,
    };
    if place.current.is_some() && same.is_none() && !force {
        return Err(Error::There(place.path.clone()));
    }
    let profile = &line.device.profile;
    let path = place.path.to_text();
    let slot = source.identity().map(|_| {
        let parts = [&b"put"[..], profile.url.as_bytes(), profile.account.as_bytes(), path.as_bytes()];
        Slot::take(&line.device.home, now, &place.path.to_string(), &parts)
    });
    let mut slot = slot.transpose()?;
    if let Some(same) = same {
        // The last reply of the process that sent it may have been lost.
        slot.map_or(Ok(()), Slot::clear)?;
        return Ok(Put { file: same.clone(), sent_bytes: None });
    }
    let sending = Sending { line, place, tell };
    let (file, from) = match sending.left_over(source, slot.as_mut())? {
        Some(upload) => (sending.all(source, upload.id, upload.offset_bytes)?, upload.offset_bytes),
        None => (sending.anew(source, slot.as_mut())?, 0),
    };
    slot.map_or(Ok(()), Slot::clear)?;
    Ok(Put { file, sent_bytes: Some(source.size_bytes - from) })
}

/// A content on its way.
struct Sending<'a> {
    line: &'a Line<'a>,
    place: &'a Place<'a>,
    tell: &'a dyn Fn(u64),
}

impl Sending<'_> {
    /// The upload of a process that died, if it was of the same file, and the box has it still.
    fn left_over(&self, source: &Source, slot: Option<&mut Slot>) -> Result<Option<Upload>, Error> {
        let Some(begun) = slot.and_then(Slot::read::<Begun>) else { return Ok(None) };
        let path = format!("/uploads/{}", begun.upload);
        let upload = match self.line.get::<Upload>(&path) {
            Ok(upload) => upload,
            Err(failure) if failure.is_not_found() => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let is_same = Some(begun.source) == source.identity()
            && upload.file_id.is_none()
            && upload.length_bytes == source.size_bytes
            && upload.folder_id == self.place.folder
            && upload.offset_bytes <= upload.length_bytes;
        if is_same {
            return Ok(Some(upload));
        }
        // Where this fails, the box forgets it by itself in a week.
        drop(self.line.send::<(), ()>(Method::DELETE, &path, None));
        Ok(None)
    }

    fn anew(&self, source: &mut Source, slot: Option<&mut Slot>) -> Result<File, Error> {
        let (_, name) = self.place.path.split().ok_or_else(|| Error::Usage("A file needs a name.".to_owned()))?;
        let folder =
            self.place.folder.map(|folder| format!(",folder_id {}", BASE64.encode(folder.to_string().as_bytes())));
        let metadata = format!("filename {}{}", BASE64.encode(name.as_bytes()), folder.unwrap_or_default());
        let length = source.size_bytes.to_string();
        let headers = [
            ("tus-resumable", "1.0.0".to_owned()),
            ("upload-length", length),
            ("upload-metadata", metadata),
            self.condition(),
        ];
        let parcel = Parcel { method: Method::POST, path: "/uploads", headers: &headers, body: None };
        let reply = self.line.carry(&parcel).map_err(|failure| self.refused(failure.into()))?;
        if let Some(file) = id_in(reply.headers(), "coffer-file") {
            return self.compared(file, source.hash(0)?);
        }
        let upload = id_in(reply.headers(), header::LOCATION.as_str());
        let upload = upload.ok_or_else(|| self.line.protocol("it does not say where an upload goes"))?;
        if let (Some(slot), Some(source)) = (slot, source.identity()) {
            slot.keep(&Begun { source, upload })?;
        }
        self.all(source, upload, 0)
    }

    /// Everything from there on. A chunk whose connection breaks is sent once more.
    fn all(&self, source: &mut Source, upload: Uuid, from: u64) -> Result<File, Error> {
        let mut hasher = source.hash(from)?;
        let (mut offset, mut broke_at, mut waited) = (from, None, Duration::ZERO);
        let mut chunk = Vec::new();
        loop {
            let length = usize::try_from(source.size_bytes - offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            chunk.resize(length, 0);
            source.read(offset, &mut chunk)?;
            let end = offset + length as u64;
            if end == source.size_bytes {
                source.check_unchanged()?;
            }
            let file = match self.chunk(upload, offset, &chunk) {
                Ok(file) => file,
                Err(error) if error.is_offline() && broke_at != Some(offset) => {
                    broke_at = Some(offset);
                    let told: Upload = self.line.get(&format!("/uploads/{upload}"))?;
                    if told.offset_bytes != end || length == 0 {
                        continue;
                    }
                    told.file_id
                }
                Err(error) if error.is(ProblemCode::UploadBusy) && waited < BUSY_LIMIT => {
                    waited += BUSY_PAUSE;
                    pause();
                    continue;
                }
                Err(error) => return Err(self.refused(error)),
            };
            hasher.update(&chunk);
            offset = end;
            if offset == source.size_bytes {
                let file = file.ok_or_else(|| self.line.protocol("it does not say what an upload has become"))?;
                return self.compared(file, hasher);
            }
        }
    }

    /// Sends a chunk; gives the file that the upload has become by it.
    fn chunk(&self, upload: Uuid, offset: u64, bytes: &[u8]) -> Result<Option<Uuid>, Error> {
        let headers = [
            ("tus-resumable", "1.0.0".to_owned()),
            ("content-type", "application/offset+octet-stream".to_owned()),
            ("upload-offset", offset.to_string()),
            ("upload-checksum", format!("sha256 {}", BASE64.encode(&Sha256::digest(bytes)))),
            self.condition(),
        ];
        let tell = |sent| (self.tell)(offset + sent);
        let path = format!("/uploads/{upload}");
        let parcel = Parcel {
            method: Method::PATCH,
            path: &path,
            headers: &headers,
            body: Some(Outgoing { bytes, tell: &tell }),
        };
        Ok(id_in(self.line.carry(&parcel)?.headers(), "coffer-file"))
    }

    /// Only what was seen is replaced.
    fn condition(&self) -> (&'static str, String) {
        match self.place.current {
            Some(current) => ("if-match", format!("\"{}\"", current.sha256)),
            None => ("if-none-match", "*".to_owned()),
        }
    }

    fn refused(&self, error: Error) -> Error {
        if error.is(ProblemCode::PreconditionFailed) { Error::Changed(self.place.path.clone()) } else { error }
    }

    fn compared(&self, file: Uuid, sent: Sha256) -> Result<File, Error> {
        let file: File = self.line.get(&format!("/files/{file}"))?;
        if file.sha256 == hexadecimal(sent) { Ok(file) } else { Err(Error::Mangled(self.place.path.clone())) }
    }
}

/// The id at the end of a header.
fn id_in(headers: &header::HeaderMap, name: &str) -> Option<Uuid> {
    headers.get(name)?.to_str().ok()?.rsplit('/').next()?.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "the box tells nobody when it has noticed that a sender is gone")]
fn pause() {
    std::thread::sleep(BUSY_PAUSE);
}
