//! Folders and choices of items as one ZIP archive, made while it is sent: no temporary file, one block in memory.
//!
//! What goes into an archive, and how long it gets, is settled before its first byte. So the reply has a length, and one
//! that ends early, by a lock or by an unreadable content, is never taken for a whole one.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::Error;
use super::access::{self, visible};
use super::audit::write;
use super::caller::Caller;
use super::common::Common;
use super::transfer::{self, Content, READ_BYTES, Source};
use super::unlocked::Lease;
use crate::model::access::Viewer;
use crate::model::cursor::{Cursor, Key};
use crate::model::file::{File, FileOrder};
use crate::model::folder::Folder;
use crate::model::name::FileName;
use crate::model::role::Action;
use crate::model::sealing::Blob;
use crate::model::zip::{self, Entry};
use crate::repo::audit::Outcome;
use crate::repo::content_io::ContentReader;
use crate::repo::{files, folders};

/// Archives that are made at once, each with a list of its entries in memory.
const AT_ONCE: usize = 8;

/// Most files and folders in one archive, and the most bytes that their paths take.
const MAX_ENTRIES: usize = 100_000;
const MAX_PATH_BYTES: usize = 16 * 1024 * 1024;

/// Most items that one archive is asked for by.
const MAX_ITEMS: usize = 1000;

/// Rows that are read at once.
const PAGE: u32 = 500;

/// Makes archives.
pub(crate) struct Archives {
    common: Common,
    slots: Arc<Semaphore>,
}

/// An archive that is ready to be sent.
pub(crate) struct Archive {
    /// What it is called when it is saved.
    pub(crate) file_name: String,
    pub(crate) length_bytes: u64,
    /// The folder, when it is all of one.
    folder_id: Option<Uuid>,
    items: Vec<Item>,
    _slot: OwnedSemaphorePermit,
}

/// An entry, with its content if it is a file.
struct Item {
    entry: Entry,
    content: Option<Blob>,
}

impl Archives {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common, slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Prepares the archive of a folder and all that is in it.
    pub(crate) async fn of_folder(&self, caller: &Caller, id: Uuid) -> Result<Archive, Error> {
        caller.require(Action::Read).await?;
        self.of_seen_folder(caller.lease(), access::viewer(caller), id).await
    }

    /// The same, for whoever somebody lets look.
    pub(super) async fn of_seen_folder(&self, lease: &Lease, viewer: Viewer, id: Uuid) -> Result<Archive, Error> {
        let slot = self.slot()?;
        let read = lease.store().database.read(move |connection| access::seen_folder(connection, &viewer, id));
        let (folder, _) = read.await?;
        let mut list = List::default();
        let file_name = format!("{}.zip", folder.name);
        list.add_folder(lease, viewer, folder, String::new()).await?;
        list.into_archive(file_name, Some(id), slot)
    }

    /// Prepares the archive of a choice of files and folders, which may lie anywhere.
    pub(crate) async fn of_items(&self, caller: &Caller, ids: &[Uuid]) -> Result<Archive, Error> {
        caller.require(Action::Read).await?;
        if ids.is_empty() || ids.len() > MAX_ITEMS {
            return Err(Error::field("items", format!("name 1 to {MAX_ITEMS} files and folders")));
        }
        let slot = self.slot()?;
        let viewer = access::viewer(caller);
        let (mut list, mut known, mut taken) = (List::default(), HashSet::new(), HashSet::new());
        for &id in ids.iter().filter(|id| known.insert(**id)) {
            if let Some(mut file) = caller.store().file(id, viewer).await? {
                file.name = free_name(&mut taken, &file.name);
                list.add_file(&file, "")?;
                continue;
            }
            let read = caller.store().database.read(move |connection| access::seen_folder(connection, &viewer, id));
            let (mut folder, _) = read.await.map_err(|error| match error {
                Error::NotFound(_) => Error::NotFound("file or folder"),
                other => other,
            })?;
            folder.name = free_name(&mut taken, &folder.name);
            list.add_folder(caller.lease(), viewer, folder, String::new()).await?;
        }
        list.into_archive("files.zip".to_owned(), None, slot)
    }

    /// Sends an archive.
    pub(crate) async fn send(&self, caller: &Caller, archive: Archive) -> Result<Content, Error> {
        let action = "archive.downloaded";
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, archive.folder_id);
        let entry = entry.with_detail(format!("files: {}", archive.files()));
        let content = archive.pack(caller.lease()).await?;
        write(caller.lease(), entry).await?;
        Ok(content)
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| Error::Busy)
    }
}

impl Archive {
    /// How many files are in it.
    pub(super) fn files(&self) -> usize {
        self.items.iter().filter(|item| item.content.is_some()).count()
    }

    /// Begins to make it. Nobody is told yet.
    pub(super) async fn pack(self, lease: &Lease) -> Result<Content, Error> {
        let reader = lease.clone();
        transfer::stream(lease, move |_| Ok(Packing::new(reader, self))).await
    }
}

/// What goes into an archive.
#[derive(Default)]
struct List {
    items: Vec<Item>,
    path_bytes: usize,
}

impl List {
    /// Adds a folder and all in it that is there for the viewer.
    async fn add_folder(&mut self, lease: &Lease, viewer: Viewer, top: Folder, above: String) -> Result<(), Error> {
        let mut waiting = vec![(top, above)];
        while let Some((folder, above)) = waiting.pop() {
            let (id, path) = (folder.id, format!("{above}{}/", folder.name));
            self.add(Entry { path: path.clone(), size_bytes: 0, modified_at: folder.modified_at }, None)?;
            for file in all_files(lease, viewer, id).await? {
                self.add_file(&file, &path)?;
            }
            let inside = all_folders(lease, viewer, id).await?;
            waiting.extend(inside.into_iter().map(|folder| (folder, path.clone())));
            if self.items.len() + waiting.len() > MAX_ENTRIES {
                return Err(too_large());
            }
        }
        Ok(())
    }

    fn add_file(&mut self, file: &File, above: &str) -> Result<(), Error> {
        let path = format!("{above}{}", file.name);
        let entry = Entry { path, size_bytes: file.size_bytes, modified_at: file.modified_at };
        self.add(entry, Some(file.content()))
    }

    fn add(&mut self, entry: Entry, content: Option<Blob>) -> Result<(), Error> {
        self.path_bytes += entry.path.len();
        if self.items.len() == MAX_ENTRIES || self.path_bytes > MAX_PATH_BYTES {
            return Err(too_large());
        }
        self.items.push(Item { entry, content });
        Ok(())
    }

    fn into_archive(
        self,
        file_name: String,
        folder_id: Option<Uuid>,
        slot: OwnedSemaphorePermit,
    ) -> Result<Archive, Error> {
        let length = zip::length(self.items.iter().map(|item| &item.entry));
        Ok(Archive {
            file_name,
            length_bytes: length.ok_or_else(too_large)?,
            folder_id,
            items: self.items,
            _slot: slot,
        })
    }
}

fn too_large() -> Error {
    Error::ArchiveTooLarge { entries: MAX_ENTRIES }
}

/// All files directly inside a folder; none when it has just gone.
async fn all_files(lease: &Lease, viewer: Viewer, id: Uuid) -> Result<Vec<File>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let read = lease.store().database.read(move |connection| -> Result<_, Error> {
            visible(connection, &viewer, Some(id))?;
            Ok(files::list(connection, Some(id), FileOrder::CreatedAt, false, after.as_ref(), PAGE)?)
        });
        let page = or_gone(read.await)?;
        after = page.last().map(|file| Cursor { key: Key::Number(file.created_at.as_millisecond()), id: file.id });
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
        if all.len() > MAX_ENTRIES {
            return Err(too_large());
        }
    }
}

/// All folders directly inside one that are there for the viewer.
async fn all_folders(lease: &Lease, viewer: Viewer, id: Uuid) -> Result<Vec<Folder>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let read = lease.store().database.read(move |connection| -> Result<_, Error> {
            let inside = visible(connection, &viewer, Some(id))?;
            Ok(folders::list_by_creation(connection, &viewer, Some(id), inside, after, PAGE)?)
        });
        let page = or_gone(read.await)?;
        after = page.last().map(|(folder, _)| folder.id);
        let is_last = page.len() < PAGE as usize;
        all.extend(page.into_iter().map(|(folder, _)| folder));
        if is_last {
            return Ok(all);
        }
        if all.len() > MAX_ENTRIES {
            return Err(too_large());
        }
    }
}

fn or_gone<T>(read: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    match read {
        Err(Error::NotFound(_)) => Ok(Vec::new()),
        other => other,
    }
}

/// The name itself, or the first of `name (2).ext`, `name (3).ext` that no other item has.
fn free_name(taken: &mut HashSet<String>, name: &str) -> String {
    let mut free = name.to_owned();
    let mut number = 1_u32;
    while !taken.insert(free.clone()) {
        number += 1;
        free = numbered(name, number);
    }
    free
}

/// `name (2).ext`. What comes out is no longer than a name may be.
fn numbered(name: &str, number: u32) -> String {
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, format!(" ({number}).{ending}")),
        Some(_) | None => (name, format!(" ({number})")),
    };
    let room = FileName::MAX_BYTES.saturating_sub(ending.len());
    let kept = stem.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= room).last();
    format!("{}{ending}", &stem[..kept.unwrap_or(0)])
}

/// An archive on its way out. Blocks the thread.
struct Packing {
    lease: Lease,
    archive: Archive,
    /// For each entry that is out: where it begins, and its check sum.
    out: Vec<(u64, u32)>,
    /// Lines of the central directory that are out.
    lines: usize,
    /// Bytes that are out.
    place: u64,
    /// Where the central directory begins.
    directory: u64,
    /// The file whose bytes are going out.
    current: Option<Reading>,
    is_done: bool,
}

struct Reading {
    content: ContentReader,
    start: u64,
    read_bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Packing {
    fn new(lease: Lease, archive: Archive) -> Self {
        let out = Vec::with_capacity(archive.items.len());
        Self { lease, archive, out, lines: 0, place: 0, directory: 0, current: None, is_done: false }
    }

    /// The next record, or the next bytes of a file.
    fn step(&mut self, block: &mut Vec<u8>) -> std::io::Result<()> {
        let before = block.len();
        if let Some(item) = self.archive.items.get(self.out.len()) {
            if let Some(reading) = &mut self.current {
                let left = item.entry.size_bytes - reading.read_bytes;
                let length = left.min((READ_BYTES.saturating_sub(block.len()) as u64).max(1));
                transfer::read_into(block, &mut reading.content, reading.read_bytes, length)?;
                reading.crc32.update(&block[before..]);
                reading.read_bytes += length;
                if length == left {
                    let crc32 = reading.crc32.clone().finalize();
                    block.extend_from_slice(&item.entry.tail(crc32));
                    self.out.push((reading.start, crc32));
                    self.current = None;
                }
            } else {
                block.extend_from_slice(&item.entry.head());
                match &item.content {
                    Some(blob) => {
                        let content = self.lease.store().content(blob)?;
                        let crc32 = crc32fast::Hasher::new();
                        self.current = Some(Reading { content, start: self.place, read_bytes: 0, crc32 });
                    }
                    None => self.out.push((self.place, 0)),
                }
            }
        } else if let (Some(item), Some(&(start, crc32))) =
            (self.archive.items.get(self.lines), self.out.get(self.lines))
        {
            if self.lines == 0 {
                self.directory = self.place;
            }
            block.extend_from_slice(&item.entry.line(crc32, start));
            self.lines += 1;
        } else {
            let length = self.place - self.directory;
            block.extend_from_slice(&zip::end(self.lines as u64, self.directory, length));
            self.is_done = true;
        }
        self.place += (block.len() - before) as u64;
        Ok(())
    }
}

impl Source for Packing {
    fn block(&mut self) -> std::io::Result<Bytes> {
        let mut block = Vec::with_capacity(READ_BYTES + 1024);
        while block.len() < READ_BYTES && !self.is_done {
            self.step(&mut block)?;
        }
        Ok(block.into())
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_collide_are_numbered_before_their_ending() {
        let mut taken = HashSet::new();
        let mut free = |name: &str| free_name(&mut taken, name);
        for (name, expected) in [
            ("a.txt", "a.txt"),
            ("a.txt", "a (2).txt"),
            ("a (2).txt", "a (2) (2).txt"),
            ("a.txt", "a (3).txt"),
            ("folder", "folder"),
            ("folder", "folder (2)"),
            (".profile", ".profile"),
            (".profile", ".profile (2)"),
            ("a.tar.gz", "a.tar.gz"),
            ("a.tar.gz", "a.tar (2).gz"),
        ] {
            assert_eq!(free(name), expected);
        }
        let long = format!("{}.txt", "\u{e9}".repeat(125));
        assert_eq!(free(&long), long);
        assert_eq!(free(&long), format!("{} (2).txt", "\u{e9}".repeat(123)));
    }
}
