//! Turning pictures: the file's next revision, made without loss.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::files::{Files, Saved, Target, Upload};
use super::transfer::BodyError;
use crate::model::precondition::{Precondition, Versions};
use crate::storage::converters;
use crate::storage::pictures::{MAX_FILE_BYTES, PictureError, Wish};
use crate::storage::sandbox::SandboxError;
pub(crate) use crate::storage::turn::Turn;

/// Pictures that are turned at the same time: each may need much memory.
const AT_ONCE: usize = 1;

/// Those who wait for their turn; more are told that there is too much to do.
const WAITING: usize = 8;

/// Pieces of a turned picture that wait to be written.
const PIECES: usize = 4;

/// Turns pictures.
pub(crate) struct Pictures {
    files: Arc<Files>,
    at_work: Arc<Semaphore>,
    admitted: Semaphore,
}

impl Pictures {
    /// A service.
    pub(crate) fn new(files: Arc<Files>) -> Self {
        Self { files, at_work: Arc::new(Semaphore::new(AT_ONCE)), admitted: Semaphore::new(AT_ONCE + WAITING) }
    }

    /// Turns the picture that a file is.
    pub(crate) async fn turn(
        &self,
        caller: &Caller,
        id: Uuid,
        turn: Turn,
        precondition: Precondition,
    ) -> Result<Saved, Error> {
        let file = self.files.get(caller, id).await?;
        let version = file.sha256.to_string();
        // What is replaced is what was turned, whatever the caller asked for.
        let seen = Precondition { one_of: Some(Versions::These(vec![version.clone()])), none_of: None };
        let upload = Upload {
            target: Target::File(id),
            announced_bytes: None,
            sha256: None,
            precondition: seen,
            client_sealed: false,
        };
        self.files.admit(caller, &upload).await?;
        if !precondition.holds(Some(&version)) {
            return Err(Error::PreconditionFailed);
        }
        let known = ["image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/tiff"];
        if !known.contains(&file.media_type.as_str()) {
            return Err(refusal(PictureError::UnknownFormat));
        }
        let _admitted = self.admitted.try_acquire().map_err(|_| Error::Busy)?;
        let lease = caller.lease().clone();
        let permit = tokio::select! {
            biased;
            () = lease.locking() => return Err(Error::Locked),
            permit = Arc::clone(&self.at_work).acquire_owned() => permit.map_err(|_| Error::Busy)?,
        };
        let (sender, receiver) = mpsc::channel(PIECES);
        let turning = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let content = lease.store().content(&file.content()).map_err(SandboxError::Io)?;
            let picture = content.into_descriptor(MAX_FILE_BYTES, converters::memory_file).map_err(SandboxError::Io)?;
            let picture = picture.ok_or(SandboxError::TooMuch)?;
            let mut send = |piece: &[u8]| {
                let sent = sender.blocking_send(Ok(Bytes::copy_from_slice(piece)));
                sent.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
            };
            let stop = || lease.is_ending() || sender.is_closed();
            let turned = converters::picture(picture, Wish::Turn(turn), &mut send, &stop);
            if turned.is_err() {
                // Nobody takes it for the whole picture. Who has gone does not need to know.
                drop(sender.blocking_send(Err(BodyError)));
            }
            turned
        });
        let next =
            |mut receiver: mpsc::Receiver<_>| async move { receiver.recv().await.map(|piece| (piece, receiver)) };
        let saved = self.files.store(caller, upload, stream::unfold(receiver, next)).await;
        let turned = turning.await.map_err(|error| Error::internal("turning a picture", error))?;
        match (saved, turned) {
            (Err(Error::UploadCutShort), Err(error)) => Err(of_sandbox(error)),
            // Not the client was silent, but the picture.
            (Err(Error::RequestTimeout), _) => Err(refusal(PictureError::TooLarge)),
            (saved, _) => saved,
        }
    }
}

fn of_sandbox(error: SandboxError) -> Error {
    match error {
        SandboxError::Stopped => Error::Locked,
        SandboxError::TimedOut | SandboxError::TooMuch => refusal(PictureError::TooLarge),
        SandboxError::Failed(status) => {
            let known = status.code().and_then(PictureError::of_exit_code);
            refusal(known.unwrap_or(PictureError::Damaged))
        }
        SandboxError::Io(error) => Error::storage("turning a picture", error),
        error @ (SandboxError::NotInstalled(_) | SandboxError::NotConfined) => {
            Error::internal("turning a picture", error)
        }
    }
}

fn refusal(error: PictureError) -> Error {
    Error::PictureNotTurned(match error {
        PictureError::Damaged => "The picture is damaged.",
        PictureError::TooLarge => "The picture is too large: at most 100 megapixels, 16384 a side and 256 MiB.",
        PictureError::Moving => "The picture moves, and would stand still. Turn it with a program for animations.",
        PictureError::SeveralPages => "The file holds several pictures, and all but the first would be lost.",
        PictureError::UnknownFormat => "JPEG, PNG, GIF, WebP, BMP and TIFF pictures can be turned, and no others.",
    })
}
