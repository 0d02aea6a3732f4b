//! Files: store, look at, list, read, delete.
//!
//! The order of effects of a write: everything that can be refused is refused before the first byte is read; the bytes
//! go straight into a new blob; the blob is synced; the row is committed; the event is published. A crash leaves at
//! most a blob without a row, which the sweep at the next unlock removes, and never a row without its bytes.

use bytes::Bytes;
use futures_util::Stream;
use log::{info, warn};
use uuid::Uuid;

use super::Error;
use super::access::{self, visible, writable};
use super::audit::page;
use super::caller::Caller;
use super::common::Common;
use super::downloads::Downloads;
use super::transfer::{self, Content, Piece};
use super::unlocked::Lease;
use crate::model::access::Viewer;
use crate::model::event::{Event, Intent};
use crate::model::file::File;
use crate::model::name::FileName;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::{files, folders};

/// Largest page of a list.
pub(crate) const MAX_PAGE: u32 = 500;

/// The files of the vault.
pub(crate) struct Files {
    common: Common,
    downloads: Downloads,
}

impl Files {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common, downloads: Downloads::new() }
    }

    /// Stores a new file. `announced_bytes` is the length that the client promised, if it did; `body` is not polled
    /// before everything else was checked.
    pub(crate) async fn store(
        &self,
        caller: &Caller,
        folder_id: Option<Uuid>,
        name: &FileName,
        announced_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, transfer::BodyError>> + Send,
    ) -> Result<File, Error> {
        caller.require(Action::Add).await?;
        let (wanted, viewer) = (name.as_str().to_owned(), access::viewer(caller));
        let read = caller.store().database.read(move |connection| check_place(connection, &viewer, folder_id, &wanted));
        access::audited(&self.common, caller, Action::Add, folder_id, read.await).await?;
        let free_bytes = transfer::free_bytes(caller.lease()).await?;
        self.check_room(announced_bytes.unwrap_or(0), free_bytes)?;

        let received = transfer::receive(caller.lease(), body, &|free_bytes| self.check_room(0, free_bytes)).await?;
        let file = File {
            id: self.common.ids.next(),
            folder_id,
            name: name.as_str().to_owned(),
            blob: received.stored.id().clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256,
            created_at: self.common.clock.now(),
            created_by: caller.user.id,
        };
        let entry = self.common.auditor.entry(&caller.context, "file.stored", Outcome::Success, Some(file.id));
        let row = file.clone();
        let committed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            // The world may have changed while the bytes came in.
            check_place(transaction, &viewer, folder_id, &row.name)?;
            files::insert(transaction, &row)?;
            audit::insert(transaction, &entry)?;
            Ok(())
        });
        let committed = received.keep_if(committed.await);
        access::audited(&self.common, caller, Action::Add, folder_id, committed).await?;
        self.common.events.publish(&Event::FileStored { file_id: file.id, size_bytes: file.size_bytes });
        Ok(file)
    }

    /// One file's metadata.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<File, Error> {
        caller.require(Action::Read).await?;
        caller.store().file(id, access::viewer(caller)).await?.ok_or(Error::NotFound("file"))
    }

    /// A page of the files directly inside a folder, oldest first, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        folder_id: Option<Uuid>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<File>, Option<Uuid>), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            visible(connection, &viewer, folder_id)?;
            Ok(files::list(connection, folder_id, after, limit + 1)?)
        });
        Ok(page(read.await?, limit, |file| file.id))
    }

    /// The bytes of a file, or parts of them.
    pub(crate) async fn read(&self, caller: &Caller, file: &File, pieces: Vec<Piece>) -> Result<Content, Error> {
        caller.require(Action::Read).await?;
        let start = transfer::start(&pieces);
        let content = transfer::send(caller.lease(), file.blob.clone(), pieces).await?;
        self.downloads.report(&self.common, caller, file, start).await?;
        Ok(content)
    }

    /// Deletes a file for good.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let file = caller.store().file(id, viewer).await?.ok_or(Error::NotFound("file"))?;
        // Who stored it never changes; all else is looked at again below.
        caller.require_edit(file.created_by).await?;
        let entry = self.common.auditor.entry(&caller.context, "file.deleted", Outcome::Success, Some(id));
        let forget = caller.store().file_forgetter();
        let deleted = caller.store().database.write(move |transaction| -> Result<File, Error> {
            let file = files::find(transaction, id)?.ok_or(Error::NotFound("file"))?;
            access::writable_file(transaction, &viewer, &file)?;
            files::delete(transaction, id)?;
            audit::insert(transaction, &entry)?;
            forget(id);
            Ok(file)
        });
        let file = access::audited(&self.common, caller, Action::Edit, Some(id), deleted.await).await?;
        self.common.events.publish(&Event::FileDeleted { file_id: id });
        let lease = caller.lease().clone();
        let removed = tokio::task::spawn_blocking(move || lease.store().blobs.remove(&file.blob)).await;
        if !matches!(removed, Ok(Ok(()))) {
            warn!("a deleted file's bytes were not removed; the next unlock will do it");
        }
        Ok(())
    }

    fn check_room(&self, size_bytes: u64, free_bytes: u64) -> Result<(), Error> {
        self.common.events.check(&Intent::StoreFile { size_bytes, free_bytes })
    }
}

/// Removes the blobs that no row names: what interrupted uploads left behind. Runs once after each unlock.
pub(crate) async fn sweep(lease: Lease) {
    let mut removed = 0_u32;
    for directory in 0..=u8::MAX {
        let reader = lease.clone();
        let listed = tokio::task::spawn_blocking(move || reader.store().blobs.settled(directory)).await;
        let Ok(Ok(blobs)) = listed else {
            warn!(directory; "a directory of contents cannot be read");
            continue;
        };
        for blob in blobs {
            if lease.is_ending() {
                return;
            }
            let wanted = blob.clone();
            let known = lease.store().database.read(move |connection| files::refers_to(connection, &wanted)).await;
            let owner = lease.clone();
            match known {
                Ok(true) => {}
                Ok(false) => {
                    let done = tokio::task::spawn_blocking(move || owner.store().blobs.remove(&blob)).await;
                    removed += u32::from(matches!(done, Ok(Ok(()))));
                }
                // Being locked, or busy: the next unlock sweeps again.
                Err(_) => return,
            }
        }
    }
    if removed > 0 {
        info!(removed; "contents of interrupted uploads were removed");
    }
}

fn check_place(
    connection: &rusqlite::Connection,
    viewer: &Viewer,
    folder_id: Option<Uuid>,
    name: &str,
) -> Result<(), Error> {
    writable(connection, viewer, folder_id)?;
    if folders::name_is_taken(connection, folder_id, name)? { Err(Error::NameTaken) } else { Ok(()) }
}
