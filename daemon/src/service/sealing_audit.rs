//! What is stored in which way: each blob as its row says it, as it really is, and what has no row at all.

use std::io;

use super::Error;
use super::audit::going_on;
use super::sealing_work::{Item, Outcome};
use super::unlocked::Lease;
use crate::model::file::BlobId;
use crate::model::sealing::Seal;
use crate::model::sealing_job::Finding;
use crate::repo::content_io::{self, ContentReader, SealFault};
use crate::repo::contents::{self, Claim};
use crate::repo::sealed::Guess;
use crate::repo::store::Store;

/// The kind that a blob is counted as, and what is wrong with it. The end of one of ours, and its header, are authenticated;
/// one of Storm Cloud's as a whole.
pub(super) fn classify(store: &Store, (blob, size_bytes, _): &Item) -> (&'static str, Option<String>) {
    let read = store.content(blob);
    match (&blob.seal, read) {
        (_, Err(error)) => fault(&error),
        (Some(seal), Ok(_)) if seal.is_clients() => ("client", None),
        (_, Ok(content)) if content.content_bytes() != *size_bytes => {
            ("corrupt", Some("it has another length".to_owned()))
        }
        (Some(Seal { version: 1, .. }), Ok(_)) => ("sealed_v1", None),
        (Some(_), Ok(_)) => ("sealed_v2", None),
        (None, Ok(_)) => match store.sealed.guess(&store.blobs, &blob.id) {
            // The row decides. But where it says nothing, and the content is one that was sealed here, it was lost.
            Ok(Guess::Ours | Guess::StormClouds) => {
                ("ambiguous", Some("it has no row, and opens as a sealed content".to_owned()))
            }
            Ok(Guess::LooksSealed | Guess::Other) => ("plaintext", None),
            Err(error) => fault(&error),
        },
    }
}

/// Reads a blob to its end, and compares it with its digest.
pub(super) fn verify(
    store: &Store,
    (blob, size_bytes, sha256): &Item,
    stop: &dyn Fn() -> bool,
) -> (&'static str, Option<String>) {
    let read = store.content(blob).and_then(|mut content: ContentReader| {
        let digest = content_io::digest(&mut content, stop)?;
        Ok((content.content_bytes(), digest))
    });
    match read {
        Err(error) => fault(&error),
        Ok((length, Some(digest)))
            if (length, data_encoding::HEXLOWER.encode(&digest).as_str()) == (*size_bytes, sha256.as_str()) =>
        {
            ("whole", None)
        }
        Ok(_) => ("corrupt", Some("its length or its digest is another one".to_owned())),
    }
}

fn fault(error: &io::Error) -> (&'static str, Option<String>) {
    use coffer_crypto::envelope::Error as Sealed;
    let kind = match SealFault::of(error) {
        Some(SealFault::KeyGone | SealFault::OtherKey | SealFault::Refused(Sealed::WrongKey | Sealed::OtherBlob)) => {
            "wrong_key"
        }
        Some(SealFault::NotSealed) => "plaintext",
        None if error.kind() == io::ErrorKind::NotFound => "missing",
        Some(SealFault::Refused(_)) | None => "corrupt",
    };
    (kind, Some(error.to_string()))
}

/// What lies on the drive and has no row: it waits for the next sweep, or is in quarantine already. What looks sealed and opens
/// under no key here is ambiguous, until somebody says what it is, or brings the key.
pub(super) async fn strays(lease: &Lease) -> Result<Vec<Outcome>, Error> {
    let mut outcomes = Vec::new();
    for directory in 0..=u8::MAX {
        for id in listed(going_on(lease)?, move |store| store.blobs.settled(directory)).await? {
            let wanted = id.clone();
            let claim = lease.store().database.read(move |connection| contents::claim(connection, &wanted)).await?;
            if claim == Claim::Unknown {
                let of = id.clone();
                let look = move |store: &Store| {
                    let length = store.blobs.open(&of)?.metadata()?.len();
                    Ok((store.sealed.guess(&store.blobs, &of)?, length))
                };
                outcomes.push(stray(lease, format!("blob {}", id.as_str()), look).await?);
            }
        }
    }
    for id in listed(lease, |store| store.blobs.quarantined()).await? {
        let subject = format!("quarantine {}", id.as_str());
        let look = move |store: &Store| store.sealed.guess_quarantined(&store.blobs, &id);
        outcomes.push(stray(going_on(lease)?, subject, look).await?);
    }
    Ok(outcomes)
}

async fn listed(
    lease: &Lease,
    list: impl FnOnce(&Store) -> io::Result<Vec<BlobId>> + Send + 'static,
) -> Result<Vec<BlobId>, Error> {
    let reader = lease.clone();
    let listed = tokio::task::spawn_blocking(move || list(reader.store())).await;
    let listed = listed.map_err(|error| Error::internal("listing contents", error))?;
    listed.map_err(|error| Error::storage("listing contents", error))
}

async fn stray(
    lease: &Lease,
    subject: String,
    look: impl FnOnce(&Store) -> io::Result<(Guess, u64)> + Send + 'static,
) -> Result<Outcome, Error> {
    let reader = lease.clone();
    let guessed = tokio::task::spawn_blocking(move || look(reader.store())).await;
    let guessed = guessed.map_err(|error| Error::internal("looking at a content", error))?;
    let (kind, why, bytes) = match guessed {
        Ok((Guess::LooksSealed, bytes)) => ("ambiguous", "it looks sealed, and opens under no key here", bytes),
        Ok((Guess::Ours | Guess::StormClouds, bytes)) => ("orphan", "it is sealed, and belongs to nothing", bytes),
        Ok((Guess::Other, bytes)) => ("orphan", "it belongs to nothing", bytes),
        Err(_) => ("corrupt", "it belongs to nothing, and does not read back", 0),
    };
    Ok(Outcome { kind, bytes, finding: Some(Finding { subject, finding: why.to_owned() }) })
}
