//! What visitors of a share link send: it becomes a file of the link's maker, in the shared folder.

use bytes::Bytes;
use futures_util::Stream;
use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::Error;
use super::access::writable;
use super::files::add_file;
use super::sealing::{self, Plan};
use super::share_visits::{Live, ShareVisits, Visitor, gone};
use super::transfer::{self, BodyError, Progress, Received};
use super::tree::{check_file_fits, quota_left};
use crate::model::event::{Event, Intent};
use crate::model::file::{File, Revision};
use crate::model::media_type;
use crate::model::name::FileName;
use crate::model::share::{ShareKind, SharedId};
use crate::repo::audit::{self, Outcome};
use crate::repo::{contents, policy, shares, tree};

/// Names that are tried for something whose name is taken.
const MAX_NUMBER: u32 = 1000;

/// How much may still come, as it was known before the first byte.
struct Room {
    /// What is left of the maker's quota.
    quota_bytes: Option<u64>,
    /// What is left of the link's limit.
    share_bytes: Option<u64>,
    reserve_bytes: u64,
    plan: Plan,
}

impl ShareVisits {
    /// Refuses who may not send anything, before it is known what.
    pub(crate) async fn admit(&self, visitor: &Visitor) -> Result<(), Error> {
        self.room(visitor).await.map(|_| ())
    }

    /// Stores something that a visitor sends. A name that is taken gets a number. `body` is not polled before everything
    /// else was checked.
    pub(crate) async fn upload(
        &self,
        visitor: &Visitor,
        name: FileName,
        announced_bytes: Option<u64>,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
    ) -> Result<File, Error> {
        let room = self.room(visitor).await?;
        let free_bytes = transfer::free_bytes(visitor.lease()).await?;
        let announced_bytes = announced_bytes.unwrap_or(0);
        self.check_room(&room, announced_bytes, Progress { received_bytes: 0, free_bytes })?;
        let allow = |progress| self.check_room(&room, 0, progress);
        let protection = sealing::protection(visitor.lease(), &self.common.clock, room.plan).await?;
        let received = transfer::receive(visitor.lease(), protection, body, &allow).await?;
        self.commit_drop(visitor, name, received).await
    }

    async fn room(&self, visitor: &Visitor) -> Result<Room, Error> {
        let (again, now) = (visitor.again(), self.common.clock.now());
        let read = visitor.lease().store().database.read(move |connection| -> Result<Room, Error> {
            let live = again.look(connection, now)?;
            let folder_id = drop_folder(connection, &live)?;
            let rules = policy::storage(connection)?;
            Ok(Room {
                quota_bytes: quota_left(connection, live.viewer.user_id, rules.quota_bytes)?,
                share_bytes: live.share.upload_bytes_left(),
                reserve_bytes: rules.reserve_bytes,
                plan: sealing::plan(connection, live.viewer.user_id, Some(folder_id))?,
            })
        });
        read.await
    }

    fn check_room(&self, room: &Room, announced_bytes: u64, progress: Progress) -> Result<(), Error> {
        let coming = announced_bytes.max(progress.received_bytes);
        if let Some(left_bytes) = room.share_bytes.filter(|left| coming > *left) {
            return Err(Error::ShareFull { left_bytes });
        }
        if room.quota_bytes.is_some_and(|left| coming > left) {
            return Err(Error::QuotaExceeded);
        }
        self.common.events.check(&Intent::StoreFile {
            size_bytes: announced_bytes,
            free_bytes: progress.free_bytes,
            reserve_bytes: room.reserve_bytes,
        })
    }

    async fn commit_drop(&self, visitor: &Visitor, name: FileName, received: Received) -> Result<File, Error> {
        let (id, now, again) = (self.common.ids.next(), self.common.clock.now(), visitor.again());
        let revision = Revision {
            number: 1,
            blob: received.stored.id().clone(),
            seal: received.seal.clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256,
            media_type: media_type::detect(&received.first_bytes, name.as_str()).to_string(),
            created_at: now,
            created_by: visitor.share.created_by,
        };
        let share_id = visitor.share.id;
        let entry = self.common.auditor.entry(visitor.context(), "share.uploaded", Outcome::Success, Some(share_id));
        let entry = entry.with_detail(format!("file: {id}"));
        let committed = visitor.lease().store().database.write(move |transaction| -> Result<File, Error> {
            // The world may have changed while the bytes came in.
            let live = again.look(transaction, now)?;
            let folder_id = drop_folder(transaction, &live)?;
            let name = free_name(transaction, folder_id, &name)?;
            check_file_fits(transaction, Some(folder_id), &name)?;
            contents::insert(transaction, &revision)?;
            let file = add_file(transaction, id, Some(folder_id), &name, &revision)?;
            if !shares::count_upload(transaction, share_id, file.size_bytes, now)? {
                return Err(Error::ShareFull { left_bytes: live.share.upload_bytes_left().unwrap_or(0) });
            }
            audit::insert(transaction, &entry)?;
            Ok(file)
        });
        let file = received.keep_if(visitor.lease(), committed.await)?;
        let File { id: file_id, folder_id, revision, size_bytes, .. } = file;
        self.common.events.publish(&Event::FileStored { file_id, folder_id, revision, size_bytes });
        Ok(file)
    }
}

/// The folder that a link drops files into, when its maker may.
fn drop_folder(connection: &Connection, live: &Live) -> Result<Uuid, Error> {
    let (ShareKind::Drop, SharedId::Folder(id)) = (live.share.kind, live.share.item) else {
        return Err(Error::ShareForbids);
    };
    match writable(connection, &live.viewer, Some(id)) {
        Ok(()) => Ok(id),
        Err(Error::ReadOnlyFolder | Error::Forbidden | Error::Unauthenticated | Error::NotFound(_)) => Err(gone()),
        Err(other) => Err(other),
    }
}

/// The name itself, or the first with a number that nothing in the folder has.
fn free_name(transaction: &Transaction<'_>, folder_id: Uuid, name: &FileName) -> Result<String, Error> {
    let mut free = name.as_str().to_owned();
    for number in 2..=MAX_NUMBER {
        if !tree::name_is_taken(transaction, Some(folder_id), &free)? {
            return Ok(free);
        }
        free = FileName::numbered(name.as_str(), number);
    }
    Err(Error::NameTaken)
}
