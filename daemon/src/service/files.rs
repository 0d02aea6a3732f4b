//! Files: store, revise, look at, list, read, rename, move, copy, put into the trash.
//!
//! The order of effects of a write: everything that can be refused is refused before the first byte is read; the bytes
//! go straight into a new blob; the blob is synced; the row is committed; the event is published. A crash leaves at
//! most a blob without a row, which the sweep at the next unlock removes, and never a row without its bytes.

use bytes::Bytes;
use futures_util::Stream;
use rusqlite::Transaction;
use uuid::Uuid;

use super::access::{self, editable, editable_file, seen_file, visible, writable};
use super::caller::Caller;
use super::common::Common;
use super::downloads::Downloads;
use super::sealing::{self, Plan};
use super::transfer::{self, Content, Piece, Progress, Received};
use super::tree::{check_file_fits, check_free, check_quota, quota_left};
use super::{Error, retention, sweep};
use crate::model::access::Viewer;
use crate::model::cursor::{Cursor, Key};
use crate::model::event::{Event, Intent};
use crate::model::file::{BlobId, File, FileOrder, Revision, Sha256, Trashed};
use crate::model::folder::{Counts, Placement};
use crate::model::media_type;
use crate::model::name::FileName;
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::model::usage::StoragePolicy;
use crate::repo::audit::{self, Outcome};
use crate::repo::content_io::Protection;
use crate::repo::{contents, files, folders, policy, revisions, thumbnails};

/// Largest page of a list.
pub(crate) const MAX_PAGE: u32 = 500;

/// The files of the vault.
pub(crate) struct Files {
    pub(super) common: Common,
    downloads: Downloads,
}

/// Where a content goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A file of that name in a folder: a new one, or the next revision of the one that is there.
    Name { folder_id: Option<Uuid>, name: FileName },
    /// The next revision of this file.
    File(Uuid),
}

/// A content that somebody wants to store.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) target: Target,
    /// The length that the client promised, if it did.
    pub(crate) announced_bytes: Option<u64>,
    /// What the client says that it is, if it does.
    pub(crate) sha256: Option<Sha256>,
    /// Of the current revision's SHA-256.
    pub(crate) precondition: Precondition,
    /// The client has sealed it: nothing here can read it, or tries to.
    pub(crate) client_sealed: bool,
}

/// What storing a content did.
pub(crate) struct Saved {
    pub(crate) file: File,
    /// There was no file of that name.
    pub(crate) created: bool,
}

/// How much may still come, as it was known before the first byte.
pub(crate) struct Allowance {
    /// What is left of the owner's quota.
    quota_bytes: Option<u64>,
    reserve_bytes: u64,
    /// What it is going to be sealed with.
    plan: Plan,
}

/// Which files of a folder, in which order.
pub(crate) struct FileList {
    pub(crate) folder_id: Option<Uuid>,
    pub(crate) order: FileOrder,
    pub(crate) descending: bool,
    pub(crate) after: Option<Cursor>,
    pub(crate) limit: u32,
}

impl Files {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common, downloads: Downloads::new() }
    }

    /// Stores a content. `body` is not polled before everything else was checked.
    pub(crate) async fn store(
        &self,
        caller: &Caller,
        upload: Upload,
        body: impl Stream<Item = Result<Bytes, transfer::BodyError>> + Send,
    ) -> Result<Saved, Error> {
        let allowance = self.admit(caller, &upload).await?;
        let free_bytes = transfer::free_bytes(caller.lease()).await?;
        let announced_bytes = upload.announced_bytes.unwrap_or(0);
        self.check_room(&allowance, announced_bytes, Progress { received_bytes: 0, free_bytes })?;
        let allow = |progress| self.check_room(&allowance, 0, progress);
        let protection = self.protection(caller, &upload, &allowance).await?;
        let received = transfer::receive(caller.lease(), protection, body, &allow).await?;
        self.commit(caller, upload, received).await
    }

    /// Refuses what is going to be refused, before a byte of it is read.
    pub(crate) async fn admit(&self, caller: &Caller, upload: &Upload) -> Result<Allowance, Error> {
        caller.require(Action::Add).await?;
        let (wanted, viewer) = (upload.clone(), access::viewer(caller));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let current = find_place(connection, &viewer, &wanted)?;
            let rules = policy::storage(connection)?;
            let folder_id = match (&current, &wanted.target) {
                (Some(file), _) => file.folder_id,
                (None, Target::Name { folder_id, .. }) => *folder_id,
                (None, Target::File(_)) => None,
            };
            let owner_id = current.map_or(viewer.user_id, |file| file.created_by);
            let quota_bytes = quota_left(connection, owner_id, rules.quota_bytes)?;
            let plan = sealing::plan(connection, owner_id, folder_id)?;
            Ok(Allowance { quota_bytes, reserve_bytes: rules.reserve_bytes, plan })
        });
        access::audited(&self.common, caller, Action::Add, upload.target.id(), read.await).await
    }

    /// Refuses who may not store anything in a folder, before it is known what.
    pub(crate) async fn admit_some(&self, caller: &Caller, folder_id: Option<Uuid>) -> Result<(), Error> {
        caller.require(Action::Add).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| writable(connection, &viewer, folder_id));
        access::audited(&self.common, caller, Action::Add, folder_id, read.await).await
    }

    /// How much a caller may store of whom it is not known yet where it goes.
    pub(super) async fn allowance(&self, caller: &Caller) -> Result<Allowance, Error> {
        let owner_id = caller.user.id;
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let rules = policy::storage(connection)?;
            let quota_bytes = quota_left(connection, owner_id, rules.quota_bytes)?;
            let plan = sealing::plan(connection, owner_id, None)?;
            Ok(Allowance { quota_bytes, reserve_bytes: rules.reserve_bytes, plan })
        });
        read.await
    }

    /// How an admitted content is stored.
    pub(super) async fn protection(
        &self,
        caller: &Caller,
        upload: &Upload,
        allowance: &Allowance,
    ) -> Result<Protection, Error> {
        if upload.client_sealed {
            return Ok(Protection::Client);
        }
        sealing::protection(caller.lease(), &self.common.clock, allowance.plan).await
    }

    /// Refuses what would not leave enough room on the drive, or go over the quota.
    pub(crate) fn check_room(
        &self,
        allowance: &Allowance,
        announced_bytes: u64,
        progress: Progress,
    ) -> Result<(), Error> {
        if allowance.quota_bytes.is_some_and(|left| announced_bytes.max(progress.received_bytes) > left) {
            return Err(Error::QuotaExceeded);
        }
        self.common.events.check(&Intent::StoreFile {
            size_bytes: announced_bytes,
            free_bytes: progress.free_bytes,
            reserve_bytes: allowance.reserve_bytes,
        })
    }

    /// Makes a received content a file or the next revision of one.
    pub(crate) async fn commit(&self, caller: &Caller, upload: Upload, received: Received) -> Result<Saved, Error> {
        self.commit_with(caller, upload, received, |_, _| Ok(())).await
    }

    /// As [`Files::commit`]. `also` is done in the same transaction, and told the file's id.
    pub(super) async fn commit_with(
        &self,
        caller: &Caller,
        upload: Upload,
        received: Received,
        also: impl FnOnce(&Transaction<'_>, Uuid) -> Result<(), Error> + Send + 'static,
    ) -> Result<Saved, Error> {
        let subject = upload.target.id();
        let (committed, received) = self.try_commit(caller, upload, received, also).await;
        let committed = received.keep_if(caller.lease(), committed);
        let (saved, unused) = access::audited(&self.common, caller, Action::Add, subject, committed).await?;
        let File { id: file_id, folder_id, revision, size_bytes, .. } = saved.file;
        self.common.events.publish(&Event::FileStored { file_id, folder_id, revision, size_bytes });
        sweep::remove(caller.lease(), unused).await;
        Ok(saved)
    }

    async fn try_commit(
        &self,
        caller: &Caller,
        upload: Upload,
        received: Received,
        also: impl FnOnce(&Transaction<'_>, Uuid) -> Result<(), Error> + Send + 'static,
    ) -> (Result<(Saved, Vec<BlobId>), Error>, Received) {
        if upload.sha256.is_some_and(|expected| expected != received.sha256) {
            return (Err(Error::DigestMismatch), received);
        }
        let (id, now, viewer) = (self.common.ids.next(), self.common.clock.now(), access::viewer(caller));
        let revision = Revision {
            number: 1,
            blob: received.stored.id().clone(),
            seal: received.seal.clone(),
            size_bytes: received.size_bytes,
            sha256: received.sha256,
            media_type: String::new(),
            created_at: now,
            created_by: caller.user.id,
        };
        let (first_bytes, common, context) =
            (received.first_bytes.clone(), self.common.clone(), caller.context.clone());
        let forget = caller.store().file_forgetter();
        let committed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            // The world may have changed while the bytes came in.
            let current = find_place(transaction, &viewer, &upload)?;
            let mut revision = revision;
            revision.media_type = if upload.client_sealed {
                media_type::UNKNOWN.to_owned()
            } else {
                media_type::detect(&first_bytes, upload.name(current.as_ref())).to_string()
            };
            contents::insert(transaction, &revision)?;
            let (saved, unused) = match (current, &upload.target) {
                (Some(file), _) => {
                    forget(file.id);
                    let (file, unused) = add_revision(transaction, file, revision)?;
                    (Saved { file, created: false }, unused)
                }
                (None, Target::Name { folder_id, name }) => {
                    let file = add_file(transaction, id, *folder_id, name.as_str(), &revision)?;
                    (Saved { file, created: true }, Vec::new())
                }
                (None, Target::File(_)) => return Err(Error::NotFound("file")),
            };
            let action = if saved.created { "file.stored" } else { "file.revised" };
            let entry = common.auditor.entry(&context, action, Outcome::Success, Some(saved.file.id));
            audit::insert(transaction, &entry)?;
            also(transaction, saved.file.id)?;
            Ok((saved, unused))
        });
        (committed.await, received)
    }

    /// One file's metadata.
    pub(crate) async fn get(&self, caller: &Caller, id: Uuid) -> Result<File, Error> {
        caller.require(Action::Read).await?;
        caller.store().file(id, access::viewer(caller)).await?.ok_or(Error::NotFound("file"))
    }

    /// A page of the files directly inside a folder, and where the next page starts.
    pub(crate) async fn list(&self, caller: &Caller, wanted: FileList) -> Result<(Vec<File>, Option<Cursor>), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let limit = wanted.limit.clamp(1, MAX_PAGE);
        let (order, descending) = (wanted.order, wanted.descending);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            visible(connection, &viewer, wanted.folder_id)?;
            let after = wanted.after.as_ref();
            Ok(files::list(connection, wanted.folder_id, order, descending, after, limit + 1)?)
        });
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|file| Cursor { key: key(file, order), id: file.id });
        Ok((items, next))
    }

    /// Pieces of the bytes of a file, of whichever revision `file` says.
    pub(crate) async fn read(&self, caller: &Caller, file: &File, pieces: Vec<Piece>) -> Result<Content, Error> {
        caller.require(Action::Read).await?;
        let start = transfer::start(&pieces);
        let content = transfer::send(caller.lease(), file.content(), pieces).await?;
        self.downloads.report(&self.common, caller, file, start).await?;
        Ok(content)
    }

    /// Gives a file another name, another place, or both.
    pub(crate) async fn change(&self, caller: &Caller, id: Uuid, placement: Placement) -> Result<File, Error> {
        caller.require(Action::EditOwn).await?;
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let entry = self.common.auditor.entry(&caller.context, "file.moved", Outcome::Success, Some(id));
        let forget = caller.store().file_forgetter();
        let changed = caller.store().database.write(move |transaction| -> Result<File, Error> {
            let mut file = editable_file(transaction, &viewer, id)?;
            let folder_id = placement.folder_id.unwrap_or(file.folder_id);
            let name = placement.name.map_or_else(|| file.name.clone(), |name| name.as_str().to_owned());
            if (folder_id, &name) == (file.folder_id, &file.name) {
                return Ok(file);
            }
            writable(transaction, &viewer, folder_id)?;
            check_free(transaction, folder_id, &name)?;
            check_file_fits(transaction, folder_id, &name)?;
            let counts = Counts::of_file(file.size_bytes);
            folders::count(transaction, file.folder_id, counts.negated())?;
            folders::count(transaction, folder_id, counts)?;
            (file.folder_id, file.name) = (folder_id, name);
            (file.modified_at, file.modified_by) = (now, viewer.user_id);
            files::update(transaction, &file)?;
            forget(id);
            audit::insert(transaction, &entry)?;
            Ok(file)
        });
        let file = access::audited(&self.common, caller, Action::Edit, Some(id), changed.await).await?;
        self.common.events.publish(&Event::FileChanged { file_id: id, folder_id: file.folder_id });
        Ok(file)
    }

    /// Makes another file of the same bytes, which it shares. Only the current revision is copied.
    pub(crate) async fn copy(&self, caller: &Caller, id: Uuid, placement: Placement) -> Result<File, Error> {
        caller.require(Action::Add).await?;
        let (copy_id, now, viewer) = (self.common.ids.next(), self.common.clock.now(), access::viewer(caller));
        let entry = self.common.auditor.entry(&caller.context, "file.copied", Outcome::Success, Some(copy_id));
        let copied = caller.store().database.write(move |transaction| -> Result<File, Error> {
            let file = seen_file(transaction, &viewer, id)?;
            let folder_id = placement.folder_id.unwrap_or(file.folder_id);
            let name = placement.name.map_or_else(|| file.name.clone(), |name| name.as_str().to_owned());
            writable(transaction, &viewer, folder_id)?;
            check_free(transaction, folder_id, &name)?;
            check_file_fits(transaction, folder_id, &name)?;
            let revision = Revision {
                number: 1,
                blob: file.blob,
                seal: file.seal,
                size_bytes: file.size_bytes,
                sha256: file.sha256,
                media_type: file.media_type,
                created_at: now,
                created_by: viewer.user_id,
            };
            let copy = add_file(transaction, copy_id, folder_id, &name, &revision)?;
            audit::insert(transaction, &entry.with_detail(format!("of: {id}")))?;
            Ok(copy)
        });
        let copy = access::audited(&self.common, caller, Action::Add, Some(id), copied.await).await?;
        let File { id: file_id, folder_id, revision, size_bytes, .. } = copy;
        self.common.events.publish(&Event::FileStored { file_id, folder_id, revision, size_bytes });
        Ok(copy)
    }

    /// Puts a file into the trash.
    pub(crate) async fn trash(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let (now, viewer) = (self.common.clock.now(), access::viewer(caller));
        let entry = self.common.auditor.entry(&caller.context, "file.trashed", Outcome::Success, Some(id));
        let forget = caller.store().file_forgetter();
        let trashed = caller.store().database.write(move |transaction| -> Result<Option<Uuid>, Error> {
            let mut file = editable_file(transaction, &viewer, id)?;
            file.trashed = Some(Trashed { at: now, by: viewer.user_id });
            files::update(transaction, &file)?;
            folders::count(transaction, file.folder_id, Counts::of_file(file.size_bytes).negated())?;
            forget(id);
            audit::insert(transaction, &entry)?;
            Ok(file.folder_id)
        });
        let folder_id = access::audited(&self.common, caller, Action::Edit, Some(id), trashed.await).await?;
        self.common.events.publish(&Event::FileTrashed { file_id: id, folder_id });
        Ok(())
    }
}

impl Target {
    /// What it is about, for the audit.
    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Name { folder_id, .. } => *folder_id,
            Self::File(id) => Some(*id),
        }
    }
}

impl Upload {
    fn name<'a>(&'a self, current: Option<&'a File>) -> &'a str {
        match (&self.target, current) {
            (Target::Name { name, .. }, _) => name.as_str(),
            (Target::File(_), current) => current.map_or("", |file| file.name.as_str()),
        }
    }
}

/// The file that a content would be the next revision of, if there is one; refuses what the viewer may not do.
fn find_place(connection: &rusqlite::Connection, viewer: &Viewer, upload: &Upload) -> Result<Option<File>, Error> {
    let current = match &upload.target {
        Target::File(id) => Some(editable_file(connection, viewer, *id)?),
        Target::Name { folder_id, name } => {
            writable(connection, viewer, *folder_id)?;
            let current = files::find_by_name(connection, *folder_id, name.as_str())?;
            if let Some(file) = &current {
                editable(connection, viewer, file.created_by)?;
            } else {
                check_free(connection, *folder_id, name.as_str())?;
                check_file_fits(connection, *folder_id, name.as_str())?;
            }
            current
        }
    };
    let version = current.as_ref().map(|file| file.sha256.to_string());
    if upload.precondition.holds(version.as_deref()) { Ok(current) } else { Err(Error::PreconditionFailed) }
}

/// Adds a file with its first revision, whose content is there.
pub(super) fn add_file(
    transaction: &Transaction<'_>,
    id: Uuid,
    folder_id: Option<Uuid>,
    name: &str,
    revision: &Revision,
) -> Result<File, Error> {
    let general_bytes = policy::storage(transaction)?.quota_bytes;
    check_quota(transaction, revision.created_by, general_bytes, revision.size_bytes)?;
    let file = File {
        id,
        folder_id,
        name: name.to_owned(),
        created_at: revision.created_at,
        created_by: revision.created_by,
        revision: revision.number,
        blob: revision.blob.clone(),
        seal: revision.seal.clone(),
        size_bytes: revision.size_bytes,
        sha256: revision.sha256,
        media_type: revision.media_type.clone(),
        thumbnail: thumbnails::find(transaction, &revision.blob)?,
        modified_at: revision.created_at,
        modified_by: revision.created_by,
        trashed: None,
    };
    files::insert(transaction, &file)?;
    revisions::insert(transaction, id, file.created_by, revision)?;
    folders::count(transaction, folder_id, Counts::of_file(file.size_bytes))?;
    Ok(file)
}

/// Adds the next revision, whose content is there, to a file, whatever number it has, and drops old ones that are not
/// kept. Tells which blobs are not needed any more.
pub(super) fn add_revision(
    transaction: &Transaction<'_>,
    mut file: File,
    mut revision: Revision,
) -> Result<(File, Vec<BlobId>), Error> {
    let rules: StoragePolicy = policy::storage(transaction)?;
    check_quota(transaction, file.created_by, rules.quota_bytes, revision.size_bytes)?;
    revision.number = file.revision + 1;
    let before = Counts { files: 0, ..Counts::of_file(file.size_bytes) };
    let after = Counts { files: 0, ..Counts::of_file(revision.size_bytes) };
    revision.becomes_current(&mut file);
    file.thumbnail = thumbnails::find(transaction, &file.blob)?;
    revisions::insert(transaction, file.id, file.created_by, &revision)?;
    files::update(transaction, &file)?;
    folders::count(transaction, file.folder_id, before.negated())?;
    folders::count(transaction, file.folder_id, after)?;
    let unused = retention::prune(transaction, &file, rules, revision.created_at)?;
    Ok((file, unused))
}

fn key(file: &File, order: FileOrder) -> Key {
    match order {
        FileOrder::Name => Key::Text(file.name.clone()),
        FileOrder::CreatedAt => Key::Number(file.created_at.as_millisecond()),
        FileOrder::ModifiedAt => Key::Number(file.modified_at.as_millisecond()),
        FileOrder::SizeBytes => Key::Number(i64::try_from(file.size_bytes).unwrap_or(i64::MAX)),
    }
}
