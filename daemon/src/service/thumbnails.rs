//! Small pictures of contents: made one after the other while nobody waits, and handed out.
//!
//! The queue is a table that a trigger fills in the transaction of an upload: nothing is lost over a crash or a lock.
//! Pictures are read in confined processes (`storage/sandbox.rs`): a failure is a row, never a failed upload.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use log::{info, warn};
use sha2::{Digest, Sha256 as Hasher};
use uuid::Uuid;

use super::bell::Bell;
use super::caller::Caller;
use super::unlocked::Lease;
use super::{Error, access, sealing, sweep};
use crate::model::file::Sha256;
use crate::model::role::Action;
use crate::model::sealing::{Blob, Seal};
use crate::model::thumbnail::{Side, SmallPicture, Thumbnail, ThumbnailState};
use crate::repo::blobs::Stored;
use crate::repo::thumbnails::{self, Pending};
use crate::storage::pictures::{MAX_FILE_BYTES, PictureError, Wish, apart};
use crate::storage::sandbox::SandboxError;
use crate::storage::{capacity, converters, sandbox};

/// Small pictures are not worth the last room of the drive.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;

/// How long the maker sleeps when nothing wakes it: an event may have been dropped.
const NAP: Duration = Duration::from_mins(1);

/// What is not made because the system cannot confine programs. Not a program, but waited for like one.
const NO_SANDBOX: &str = "Landlock";

/// Hands small pictures out.
pub(crate) struct Thumbnails;

impl Thumbnails {
    /// The small picture of a file's current content.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid, side: Side) -> Result<SmallPicture, Error> {
        caller.require(Action::Read).await?;
        let file = caller.store().file(id, access::viewer(caller)).await?.ok_or(Error::NotFound("file"))?;
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let thumbnail = thumbnails::find(connection, &file.blob)?.ok_or(Error::NoThumbnail { reason: None })?;
            match thumbnail.state {
                ThumbnailState::Pending => Err(Error::ThumbnailPending),
                ThumbnailState::Failed => Err(Error::ThumbnailFailed { reason: thumbnail.reason }),
                ThumbnailState::Unsupported => Err(Error::NoThumbnail { reason: thumbnail.reason }),
                ThumbnailState::Ready => Ok(thumbnails::picture(connection, &file.blob, side)?),
            }
        });
        read.await?.ok_or(Error::ThumbnailPending)
    }

    /// The bytes of a small picture: a JPEG.
    pub(crate) async fn read(&self, caller: &Caller, picture: &SmallPicture) -> Result<Bytes, Error> {
        if let Some(bytes) = caller.store().small_pictures.get(&picture.blob.id) {
            return Ok(bytes);
        }
        let (lease, blob) = (caller.lease().clone(), picture.blob.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut lease.store().content(&blob)?, &mut bytes)?;
            let bytes = Bytes::from(bytes);
            lease.store().small_pictures.put(blob.id, bytes.clone());
            Ok(bytes)
        });
        read.await.map_err(|error| Error::internal("reading a small picture", error))?.map_err(Error::content)
    }
}

/// Makes what is to be made, until the vault is locked. A chore.
pub(crate) async fn make(lease: Lease, bell: Bell) {
    let mut locking = std::pin::pin!(lease.locking());
    if let Err(error) = try_again(&lease).await {
        warn!(error:% = error; "small pictures that could not be made before are not tried again");
    }
    loop {
        while !lease.is_ending() {
            match make_next(&lease).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if lease.is_ending() => return,
                Err(error) => {
                    warn!(error:% = error; "a small picture was not stored; it is tried again later");
                    break;
                }
            }
        }
        tokio::select! {
            biased;
            () = &mut locking => return,
            () = bell.rung() => {}
            () = tokio::time::sleep(NAP) => {}
        }
    }
}

/// Queues what a program was missing for that is installed now.
async fn try_again(lease: &Lease) -> Result<(), Error> {
    let missing = lease.store().database.read(thumbnails::missing_tools).await?;
    for tool in missing.into_iter().filter(|tool| tool == NO_SANDBOX || sandbox::find(tool).is_some()) {
        let name = tool.clone();
        let forget = lease.store().all_files_forgetter();
        let queued = lease.store().database.write(move |transaction| {
            forget();
            thumbnails::retry(transaction, &name)
        });
        let queued = queued.await?;
        info!(tool, queued; "small pictures are tried again");
    }
    Ok(())
}

/// Makes the pictures of one content. False when none waits, or there is no room.
async fn make_next(lease: &Lease) -> Result<bool, Error> {
    let Some(pending) = lease.store().database.read(thumbnails::next).await? else { return Ok(false) };
    let (source, maker) = (pending.source.id.clone(), lease.clone());
    let made = tokio::task::spawn_blocking(move || {
        if capacity::free_bytes(maker.store().mount_point())? < RESERVE_BYTES {
            return Ok(None);
        }
        match draw(&maker, &pending) {
            Ok(drawn) => store(&maker, pending.source.seal.as_ref(), &drawn).map(|stored| Some(Ok(stored))),
            Err(reason) => Ok(Some(Err(reason))),
        }
    });
    let made = made.await.map_err(|error| Error::internal("making a small picture", error))?;
    let made = made.map_err(|error| Error::storage("storing a small picture", error))?;
    let (result, missing_tool, stored) = match made {
        None | Some(Err(Undrawn::Stopped)) => return Ok(false),
        Some(Ok(stored)) => (Thumbnail { state: ThumbnailState::Ready, reason: None }, None, stored),
        Some(Err(Undrawn::Failed(reason))) => (settled(ThumbnailState::Failed, reason), None, Vec::new()),
        Some(Err(Undrawn::Unsupported(reason))) => (settled(ThumbnailState::Unsupported, reason), None, Vec::new()),
        Some(Err(Undrawn::Missing { tool, reason })) => {
            (settled(ThumbnailState::Unsupported, reason), Some(tool), Vec::new())
        }
    };
    info!(content = source.as_str(), state = result.state.name(), reason = result.reason.as_deref(); "small pictures");
    let rows: Vec<SmallPicture> = stored.iter().map(|(picture, _)| picture.clone()).collect();
    let forget = lease.store().file_forgetter();
    let written = lease.store().database.write(move |transaction| {
        // Those in memory say what became of it before.
        thumbnails::files_of(transaction, &source)?.into_iter().for_each(&forget);
        thumbnails::settle(transaction, &source, &result, missing_tool.as_deref(), &rows)
    });
    if written.await? {
        for (_, blob) in stored {
            sweep::keep(lease, blob);
        }
    } else {
        // The content went meanwhile; removing what was made of it blocks.
        drop(tokio::task::spawn_blocking(move || drop(stored)));
    }
    Ok(true)
}

fn settled(state: ThumbnailState, reason: String) -> Thumbnail {
    Thumbnail { state, reason: Some(reason) }
}

/// Why there are no small pictures of a content.
enum Undrawn {
    /// The vault is being locked: it is tried again after the next unlock.
    Stopped,
    Failed(String),
    Unsupported(String),
    Missing {
        tool: String,
        reason: String,
    },
}

/// Where the picture of a content comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// We read it ourselves.
    Picture,
    /// The programs of libheif, or else ffmpeg.
    Heif,
    Film,
    Pdf,
    Nowhere,
}

fn origin(media_type: &str) -> Origin {
    match media_type {
        "image/jpeg" | "image/png" | "image/gif" | "image/webp" | "image/bmp" | "image/tiff" => Origin::Picture,
        "image/heif" | "image/heic" | "image/avif" => Origin::Heif,
        "application/pdf" => Origin::Pdf,
        film if film.starts_with("video/") => Origin::Film,
        _ => Origin::Nowhere,
    }
}

/// The JPEGs of a content, the largest first.
fn draw(lease: &Lease, pending: &Pending) -> Result<Vec<u8>, Undrawn> {
    let stop = || lease.is_ending();
    let open = || {
        let opened = lease.store().content(&pending.source);
        let opened = opened.and_then(|content| content.into_descriptor(MAX_FILE_BYTES, converters::memory_file));
        let opened = opened.map_err(|_| Undrawn::Failed("the content does not read back".to_owned()))?;
        opened.ok_or_else(|| Undrawn::Unsupported("it is sealed, and too large to be opened in memory".to_owned()))
    };
    let side = Side::ALL[0].px();
    let picture = match origin(&pending.media_type) {
        Origin::Picture => open()?,
        Origin::Film => in_memory(&converters::film_picture(open()?, side, &stop).map_err(undrawn)?)?,
        Origin::Pdf => in_memory(&converters::pdf_picture(open()?, side, &stop).map_err(undrawn)?)?,
        Origin::Heif => in_memory(&heif(lease, &open()?, side, &stop)?)?,
        Origin::Nowhere => {
            return Err(Undrawn::Unsupported(format!("nothing here draws {}", pending.media_type)));
        }
    };
    let mut jpegs = Vec::new();
    let mut collect = |piece: &[u8]| {
        jpegs.extend_from_slice(piece);
        Ok(())
    };
    let wish = Wish::Shrink(Side::ALL.map(Side::px));
    converters::picture(picture, wish, &mut collect, &stop).map_err(undrawn)?;
    Ok(jpegs)
}

fn heif(lease: &Lease, picture: &File, side: u32, stop: &dyn Fn() -> bool) -> Result<Vec<u8>, Undrawn> {
    // Beside the mount: a link, which says nothing about any content.
    let beside = lease.store().mount_point().parent().unwrap_or(lease.store().mount_point());
    let drawn = match converters::heif_picture(picture, beside, stop) {
        Err(SandboxError::NotInstalled(_) | SandboxError::Failed(_)) => {
            let again = picture.try_clone().map_err(SandboxError::Io);
            again.and_then(|picture| converters::film_picture(picture, side, stop))
        }
        other => other,
    };
    drawn.map_err(undrawn)
}

/// A file that lies in memory alone, as the next process wants one.
fn in_memory(bytes: &[u8]) -> Result<File, Undrawn> {
    let made = converters::memory_file().and_then(|mut file| file.write_all(bytes).map(|()| file));
    made.map_err(|error| undrawn(SandboxError::Io(error)))
}

/// For people: without names of files, and without what a program had to say about the content.
fn undrawn(error: SandboxError) -> Undrawn {
    match error {
        SandboxError::Stopped => Undrawn::Stopped,
        SandboxError::NotInstalled(tool) => Undrawn::Missing { reason: format!("{tool} is not installed"), tool },
        SandboxError::NotConfined => {
            let reason = "this system cannot confine programs".to_owned();
            Undrawn::Missing { tool: NO_SANDBOX.to_owned(), reason }
        }
        SandboxError::TimedOut => Undrawn::Failed("it takes too long".to_owned()),
        SandboxError::TooMuch => Undrawn::Failed(PictureError::TooLarge.to_string()),
        SandboxError::Failed(status) => {
            let refusal = status.code().and_then(PictureError::of_exit_code);
            Undrawn::Failed(refusal.unwrap_or(PictureError::Damaged).to_string())
        }
        SandboxError::Io(error) => {
            warn!(error:% = error; "a picture could not be read");
            Undrawn::Failed("the program that reads it could not be run".to_owned())
        }
    }
}

/// Writes the JPEGs that [`draw`] made to new blobs, sealed as the content is.
fn store(lease: &Lease, like: Option<&Seal>, drawn: &[u8]) -> io::Result<Vec<(SmallPicture, Stored)>> {
    let mut stored = Vec::new();
    for (side, jpeg) in Side::ALL.into_iter().zip(apart(drawn)) {
        let mut writer = lease.store().new_content(sealing::like(lease.store(), like))?;
        writer.write(jpeg)?;
        let (kept, seal) = writer.finish()?;
        let picture = SmallPicture {
            side,
            blob: Blob { id: kept.id().clone(), seal },
            size_bytes: jpeg.len() as u64,
            sha256: Sha256(Hasher::digest(jpeg).into()),
        };
        stored.push((picture, kept));
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_picture_comes_from() {
        for (media_type, expected) in [
            ("image/jpeg", Origin::Picture),
            ("image/tiff", Origin::Picture),
            ("image/avif", Origin::Heif),
            ("image/svg+xml", Origin::Nowhere),
            ("image/x-nikon-nef", Origin::Nowhere),
            ("video/mp4", Origin::Film),
            ("application/pdf", Origin::Pdf),
            ("text/plain", Origin::Nowhere),
        ] {
            assert_eq!(origin(media_type), expected, "{media_type}");
        }
    }
}
