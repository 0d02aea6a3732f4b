//! Share links, for who has one: look at what it leads to, download it.
//!
//! A visitor is nobody: what they may is what the link's maker may, asked anew at each step. A link that is unknown, has
//! ended, is used up or was taken back is answered in one way, before any password is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use log::warn;
use rusqlite::Connection;
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::Error;
use super::access::{seen_file, seen_folder, visible};
use super::archives::{Archive, Archives};
use super::attempts::{Attempts, source};
use super::audit::Context;
use super::common::Common;
use super::downloads::Downloads;
use super::passwords::{Asker, Hasher};
use super::tokens::subkey;
use super::transfer::{self, Content, Piece};
use super::unlocked::Lease;
use super::vault::Vault;
use crate::model::access::{Access, Viewer};
use crate::model::cursor::{Cursor, Key};
use crate::model::file::{File, FileOrder};
use crate::model::folder::{Folder, FolderOrder};
use crate::model::item::Item;
use crate::model::role::{self, Action, Role};
use crate::model::share::{Share, ShareKind, ShareToken, ShareTokenHash, SharedId};
use crate::repo::audit::{self, Outcome};
use crate::repo::{files, folders, shares, users};
use crate::storage::database::DatabaseError;

/// Largest page of a list.
const MAX_PAGE: u32 = 500;

/// Wrong passwords in a row, for one link and from one source, that cost nothing.
const FREE: u32 = 10;

/// How long a right password is remembered by the browser that gave it.
pub(crate) const PASS_LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// The label of the key that signs passes.
const PASS_LABEL: &str = "coffer share pass v1";

/// Lets visitors in.
pub(crate) struct ShareVisits {
    vault: Arc<Vault>,
    pub(super) common: Common,
    hasher: Arc<Hasher>,
    by_share: Arc<Attempts>,
    by_source: Arc<Attempts>,
    downloads: Downloads<(Uuid, Option<IpAddr>)>,
    archives: Archives,
}

/// Somebody at the door: what they show, and where they come from.
pub(crate) struct Visit {
    /// `None`: what stands in the address is not a token.
    pub(crate) token: Option<ShareToken>,
    pub(crate) password: Option<Zeroizing<String>>,
    /// What [`ShareVisits::pass`] gave for a right password.
    pub(crate) pass: Option<String>,
    pub(crate) context: Context,
}

/// Somebody who was let in.
pub(crate) struct Visitor {
    pub(crate) share: Share,
    /// What the link leads to.
    pub(crate) item: Item,
    token: ShareTokenHash,
    /// The link's maker, as far as the link goes.
    viewer: Viewer,
    context: Context,
    lease: Lease,
}

/// What a visitor downloads.
#[derive(Clone, Copy)]
enum Taken {
    File(Uuid),
    Archive { files: usize },
}

/// What a link is good for at this moment.
pub(super) struct Live {
    pub(super) share: Share,
    pub(super) viewer: Viewer,
    pub(super) item: Item,
}

/// Where a list of a shared folder goes on: folders come first, then files, both by name.
#[derive(Clone, Debug)]
pub(crate) enum ListCursor {
    Folders(Cursor),
    Files(Cursor),
}

/// A page of a shared folder.
pub(crate) struct SharedPage {
    /// From the shared folder, not included, down to the one that is shown.
    pub(crate) way: Vec<(Uuid, String)>,
    pub(crate) items: Vec<Item>,
    pub(crate) next: Option<ListCursor>,
}

impl ShareVisits {
    /// A service.
    pub(crate) fn new(vault: Arc<Vault>, common: Common, hasher: Arc<Hasher>) -> Self {
        let by_share = Attempts::new(&common, "share", FREE);
        let by_source = Attempts::new(&common, "share_source", FREE);
        // With places of their own: strangers take none of those of people with an account.
        let archives = Archives::new(common.clone());
        Self { vault, common, hasher, by_share, by_source, downloads: Downloads::new(), archives }
    }

    /// Lets somebody in who has a link that is good, and its password.
    pub(crate) async fn enter(&self, visit: Visit) -> Result<Visitor, Error> {
        let (visitor, password, pass) = self.arrive(visit).await?;
        if visitor.share.downloads_left() == Some(0) {
            return Err(gone());
        }
        self.check_password(visitor, password, pass.as_deref()).await
    }

    /// Lets somebody in who wants to download. Whose last download is going on may finish it.
    pub(crate) async fn enter_to_read(&self, visit: Visit, item: Option<Uuid>) -> Result<(Visitor, File), Error> {
        let (visitor, password, pass) = self.arrive(visit).await?;
        if visitor.share.downloads_left() == Some(0) {
            let file = find_file(&visitor, item).await.map_err(|error| or_gone(&error).unwrap_or(error))?;
            if !self.downloads.knows(&(visitor.who(), file.blob.clone()), self.common.clock.monotonic()) {
                return Err(gone());
            }
        }
        let visitor = self.check_password(visitor, password, pass.as_deref()).await?;
        let file = find_file(&visitor, item).await?;
        Ok((visitor, file))
    }

    /// What stands for the right password for some time. `None` for a link without one.
    pub(crate) fn pass(&self, visitor: &Visitor) -> Result<Option<String>, Error> {
        let Some(hash) = &visitor.share.password_hash else { return Ok(None) };
        let end = self.common.clock.now() + PASS_LIFETIME;
        let signature = pass_mac(&visitor.lease, visitor.share.id, hash, end.as_second())?.finalize().into_bytes();
        let signature = BASE64URL_NOPAD.encode(&signature);
        Ok(Some(format!("{}.{signature}", end.as_second())))
    }

    /// Counts that a link's page was opened.
    pub(crate) async fn note_view(&self, visitor: &Visitor) {
        let (id, now) = (visitor.share.id, self.common.clock.now());
        let noted = visitor
            .lease
            .store()
            .database
            .write(move |transaction| -> Result<(), DatabaseError> { shares::count_view(transaction, id, now) });
        // On a full drive people must still be able to read.
        if let Err(error) = noted.await {
            warn!(error:% = error; "a visit of a share link was not counted");
        }
    }

    /// A page of the shared folder, or of one below it.
    pub(crate) async fn list(
        &self,
        visitor: &Visitor,
        folder_id: Option<Uuid>,
        after: Option<ListCursor>,
        limit: u32,
    ) -> Result<SharedPage, Error> {
        let SharedId::Folder(top) = visitor.share.item else { return Err(Error::ShareForbids) };
        match visitor.share.kind {
            ShareKind::Download | ShareKind::View => {}
            ShareKind::Drop => return Err(Error::ShareForbids),
        }
        let (viewer, id, limit) = (visitor.viewer, folder_id.unwrap_or(top), limit.clamp(1, MAX_PAGE));
        let read = visitor.lease.store().database.read(move |connection| -> Result<SharedPage, Error> {
            let inside = visible(connection, &viewer, Some(id))?;
            let way = shares::way_down(connection, top, id)?;
            let (items, next) = list(connection, &viewer, (id, inside), after.as_ref(), limit)?;
            Ok(SharedPage { way, items, next })
        });
        read.await
    }

    /// Pieces of the bytes of a file. Counts a download, unless it is one that goes on.
    pub(crate) async fn read(&self, visitor: &Visitor, file: &File, pieces: Vec<Piece>) -> Result<Content, Error> {
        let start = transfer::start(&pieces);
        let content = transfer::send(&visitor.lease, file.content(), pieces).await?;
        let key = (visitor.who(), file.blob.clone());
        let counted = self.downloads.part_of(key, start, self.common.clock.monotonic());
        counted.get_or_try_init(|| self.count_download(visitor, Taken::File(file.id))).await?;
        Ok(content)
    }

    /// Prepares the archive of the shared folder, or of one below it, with all in it that the visitor may see.
    pub(crate) async fn archive(&self, visitor: &Visitor, folder_id: Option<Uuid>) -> Result<Archive, Error> {
        let (ShareKind::Download, SharedId::Folder(top)) = (visitor.share.kind, visitor.share.item) else {
            return Err(Error::ShareForbids);
        };
        self.archives.of_seen_folder(&visitor.lease, visitor.viewer, folder_id.unwrap_or(top)).await
    }

    /// Sends an archive, and counts a download.
    pub(crate) async fn send(&self, visitor: &Visitor, archive: Archive) -> Result<Content, Error> {
        let taken = Taken::Archive { files: archive.files() };
        let content = archive.pack(&visitor.lease).await?;
        self.count_download(visitor, taken).await?;
        Ok(content)
    }

    /// Counts a download, if there may be another one.
    async fn count_download(&self, visitor: &Visitor, taken: Taken) -> Result<(), Error> {
        let now = self.common.clock.now();
        let (id, action) = (Some(visitor.share.id), "share.downloaded");
        let entry = self.common.auditor.entry(&visitor.context, action, Outcome::Success, id);
        let entry = entry.with_detail(match taken {
            Taken::File(id) => format!("file: {id}"),
            Taken::Archive { files } => format!("archive, files: {files}"),
        });
        let again = visitor.again();
        let counted = visitor.lease.store().database.write(move |transaction| -> Result<(), Error> {
            let live = again.look(transaction, now)?;
            if let Taken::File(id) = taken {
                seen_file(transaction, &live.viewer, id)?;
            }
            if !shares::count_download(transaction, live.share.id, now)? {
                return Err(gone());
            }
            Ok(audit::insert(transaction, &entry)?)
        });
        counted.await
    }

    /// Finds the link; its password is not looked at yet.
    async fn arrive(&self, visit: Visit) -> Result<(Visitor, Option<Zeroizing<String>>, Option<String>), Error> {
        let lease = self.vault.lease()?;
        let (now, token) = (self.common.clock.now(), visit.token.ok_or_else(gone)?.hash());
        let wanted = token.clone();
        let Live { share, viewer, item } =
            lease.store().database.read(move |connection| live(connection, &wanted, now)).await?;
        let visitor = Visitor { share, item, token, viewer, context: visit.context, lease };
        Ok((visitor, visit.password, visit.pass))
    }

    async fn check_password(
        &self,
        visitor: Visitor,
        password: Option<Zeroizing<String>>,
        pass: Option<&str>,
    ) -> Result<Visitor, Error> {
        let Some(hash) = visitor.share.password_hash.clone() else { return Ok(visitor) };
        let now = self.common.clock.now();
        if pass.is_some_and(|pass| is_pass(&visitor.lease, visitor.share.id, &hash, pass, now)) {
            return Ok(visitor);
        }
        let password = password.ok_or(Error::SharePassword { wrong: false })?;
        let (by_share, by_source) = (visitor.share.id.to_string(), source(visitor.context.address));
        self.by_source.begin(&by_source)?;
        self.by_share.begin(&by_share).inspect_err(|_| self.by_source.take_back(&by_source))?;
        let verified = self.hasher.verify(Asker::Stranger, &password, Some(hash)).await.inspect_err(|_| {
            // Turned away unheard: that was no guess.
            self.by_share.take_back(&by_share);
            self.by_source.take_back(&by_source);
        })?;
        if verified {
            self.by_share.take_back(&by_share);
            self.by_source.take_back(&by_source);
            return Ok(visitor);
        }
        self.by_share.failed(&by_share);
        self.by_source.failed(&by_source);
        let (action, id) = ("share.password_refused", Some(visitor.share.id));
        let entry = self.common.auditor.entry(&visitor.context, action, Outcome::Failed, id);
        self.common.auditor.record(&visitor.lease, entry).await;
        Err(Error::SharePassword { wrong: true })
    }
}

impl Visitor {
    /// Of what a link that leads to a file leads to.
    pub(crate) fn file(&self) -> Option<&File> {
        match &self.item {
            Item::File(file) => Some(file),
            Item::Folder(_) => None,
        }
    }

    /// Ready when the vault is being locked: whoever waits for a visitor stops.
    pub(crate) fn locking(&self) -> impl Future<Output = ()> + Send + use<> {
        self.lease.locking()
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// To ask once more, inside of a transaction that relies on it.
    pub(super) fn again(&self) -> Again {
        Again { token: self.token.clone(), password_hash: self.share.password_hash.clone() }
    }

    /// Tells downloads apart.
    fn who(&self) -> (Uuid, Option<IpAddr>) {
        (self.share.id, self.context.address)
    }
}

/// A visitor who was let in a moment ago.
pub(super) struct Again {
    token: ShareTokenHash,
    password_hash: Option<String>,
}

impl Again {
    /// The link, when it is still good and its password still the one that was given.
    pub(super) fn look(&self, connection: &Connection, now: Timestamp) -> Result<Live, Error> {
        let live = live(connection, &self.token, now)?;
        if live.share.password_hash != self.password_hash {
            return Err(Error::SharePassword { wrong: false });
        }
        Ok(live)
    }
}

/// The one answer to a link that is not good, whatever is wrong with it.
pub(super) fn gone() -> Error {
    Error::NotFound("share link")
}

/// The same for an item that is not there, where nothing may be told of the link.
fn or_gone(error: &Error) -> Option<Error> {
    matches!(error, Error::NotFound(_) | Error::ShareForbids | Error::InvalidField { .. }).then(gone)
}

/// The link of a token, unless it has ended: by itself, with its maker's account or role, with the item, or with what the
/// maker may do with that. Its downloads may be used up.
fn live(connection: &Connection, token: &ShareTokenHash, now: Timestamp) -> Result<Live, Error> {
    let share = shares::find_by_token(connection, token)?.filter(|share| share.is_current(now)).ok_or_else(gone)?;
    let maker = users::find(connection, share.created_by)?.filter(|user| user.active).ok_or_else(gone)?;
    let role = share.role.min(maker.role);
    if !role::allowed(role, Action::Share) {
        return Err(gone());
    }
    let viewer = Viewer {
        user_id: maker.id,
        sees_all: role == Role::Admin,
        may_write: role::allowed(role, Action::Add),
        edits_all: role::allowed(role, Action::Edit),
        scope: match share.item {
            SharedId::File(_) => None,
            SharedId::Folder(id) => Some(id),
        },
    };
    let item = shared_item(connection, &viewer, &share).map_err(|error| or_gone(&error).unwrap_or(error))?;
    Ok(Live { share, viewer, item })
}

fn shared_item(connection: &Connection, viewer: &Viewer, share: &Share) -> Result<Item, Error> {
    match share.item {
        SharedId::File(id) => Ok(Item::File(seen_file(connection, viewer, id)?)),
        SharedId::Folder(id) => {
            let (folder, access) = seen_folder(connection, viewer, id)?;
            match (share.kind, access) {
                (ShareKind::Drop, Access::Read) => Err(gone()),
                (ShareKind::Drop, Access::Write) | (ShareKind::Download | ShareKind::View, _) => {
                    Ok(Item::Folder(folder))
                }
            }
        }
    }
}

/// The shared file, or one in the shared folder.
async fn find_file(visitor: &Visitor, item: Option<Uuid>) -> Result<File, Error> {
    let (ShareKind::Download | ShareKind::View) = visitor.share.kind else { return Err(Error::ShareForbids) };
    match (&visitor.item, item) {
        (Item::File(file), None) => Ok(file.clone()),
        (Item::File(file), Some(id)) if file.id == id => Ok(file.clone()),
        (Item::File(_), Some(_)) => Err(Error::NotFound("file")),
        (Item::Folder(_), None) => Err(Error::field("item", "say which file of the folder")),
        (Item::Folder(_), Some(id)) => {
            visitor.lease.store().file(id, visitor.viewer).await?.ok_or(Error::NotFound("file"))
        }
    }
}

fn list(
    connection: &Connection,
    viewer: &Viewer,
    (id, inside): (Uuid, Access),
    after: Option<&ListCursor>,
    limit: u32,
) -> Result<(Vec<Item>, Option<ListCursor>), Error> {
    let (place, order) = ((Some(id), inside), (FolderOrder::Name, false));
    let (after_folder, after_file) = match after {
        None => (Some(None), None),
        Some(ListCursor::Folders(cursor)) => (Some(Some(cursor)), None),
        Some(ListCursor::Files(cursor)) => (None, Some(cursor)),
    };
    // One more tells whether there are more.
    let wanted = limit as usize + 1;
    let mut items: Vec<Item> = Vec::new();
    if let Some(after) = after_folder {
        let found = folders::list(connection, viewer, place, order, after, limit + 1)?;
        items.extend(found.into_iter().map(|(folder, _)| Item::Folder(folder)));
    }
    if let Ok(missing) = u32::try_from(wanted - items.len())
        && missing > 0
    {
        let found = files::list(connection, Some(id), FileOrder::Name, false, after_file, missing)?;
        items.extend(found.into_iter().map(Item::File));
    }
    let more = items.len() == wanted;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|last| match last {
        Item::Folder(Folder { id, name, .. }) => ListCursor::Folders(Cursor { key: Key::Text(name.clone()), id: *id }),
        Item::File(File { id, name, .. }) => ListCursor::Files(Cursor { key: Key::Text(name.clone()), id: *id }),
    });
    Ok((items, next))
}

/// Binds a pass to the link, to its password as it is now, and to a time.
fn pass_mac(lease: &Lease, share_id: Uuid, password_hash: &str, end_s: i64) -> Result<Hmac<Sha256>, Error> {
    let key = subkey(lease.token_key(), PASS_LABEL)?;
    let mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).map_err(|error| Error::internal("share pass", error))?;
    // Of fixed lengths, but the last.
    Ok(mac.chain_update(share_id.as_bytes()).chain_update(end_s.to_be_bytes()).chain_update(password_hash.as_bytes()))
}

fn is_pass(lease: &Lease, share_id: Uuid, password_hash: &str, pass: &str, now: Timestamp) -> bool {
    let parsed = pass.split_once('.').and_then(|(end, signature)| {
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        Some((end.parse::<i64>().ok()?, signature))
    });
    let Some((end_s, signature)) = parsed else { return false };
    let mac = pass_mac(lease, share_id, password_hash, end_s);
    now.as_second() < end_s && mac.is_ok_and(|mac| mac.verify_slice(&signature).is_ok())
}
