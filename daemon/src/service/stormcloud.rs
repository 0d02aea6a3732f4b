//! Taking over the files of a Storm Cloud: a directory of the box, sealed files in it or plain ones, or both.
//!
//! What authenticates under a key that is here is taken over as it lies there, sealed in its own format; the job `upgrade`
//! then seals it in ours. What only looks sealed is ambiguous: it stays where it is, and is listed. Everything else is plain,
//! and stored as a new content is. Nothing in the directory is changed; what was taken over already is passed by.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction};
use uuid::Uuid;

use super::audit::Context;
use super::common::Common;
use super::files::add_file;
use super::sealing_jobs::note;
use super::sealing_work::Outcome;
use super::transfer::FIRST_BYTES;
use super::tree::{check_file_fits, check_free};
use super::unlocked::Lease;
use super::{Error, sealing, sweep};
use crate::model::file::{Revision, Sha256};
use crate::model::folder::{Counts, Folder};
use crate::model::media_type;
use crate::model::name::FileName;
use crate::model::sealing::{Blob, Seal};
use crate::model::sealing_job::{Finding, Job};
use crate::repo::audit;
use crate::repo::blobs::Stored;
use crate::repo::content_io::{self, ContentReader, Protection};
use crate::repo::sealed::Guess;
use crate::repo::{contents, files, folders, tree, users};

/// Most files that are taken over at once.
const MAX_FILES: usize = 1_000_000;

/// Files between which progress is written down.
const STEP: usize = 16;

/// What a file of the directory has become on the drive.
struct Taken {
    stored: Stored,
    seal: Option<Seal>,
    size_bytes: u64,
    sha256: Sha256,
    first_bytes: Vec<u8>,
}

/// What is to be done with a file.
enum Found {
    Taken(Box<Taken>),
    Ambiguous,
}

/// Takes over what lies in the directory that the job names. `None` when somebody stopped it.
pub(super) async fn import(lease: &Lease, common: &Common, mut job: Job) -> Result<Option<Job>, Error> {
    let top = PathBuf::from(job.directory.clone().unwrap_or_default());
    let walked = top.clone();
    let listed = tokio::task::spawn_blocking(move || list(&walked)).await;
    let listed = listed.map_err(|error| Error::internal("looking for files", error))?;
    let paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            let finding = Finding { subject: top.display().to_string(), finding: error.to_string() };
            let outcome = Outcome { kind: "failed", bytes: 0, finding: Some(finding) };
            let goes_on = note(lease, &mut job, vec![outcome]).await?;
            return Ok(goes_on.then_some(job));
        }
    };
    job.total = paths.len() as u64;
    let owner_id = lease.store().database.read(users::first_admin).await?.ok_or(Error::NotFound("administrator"))?;
    let left: Vec<String> = paths.into_iter().filter(|path| *path > job.after).collect();
    for step in left.chunks(STEP) {
        let mut outcomes = Vec::new();
        for path in step {
            if lease.is_ending() {
                return Err(Error::Locked);
            }
            outcomes.push(one(lease, common, &job, &top, path, owner_id).await?);
            path.clone_into(&mut job.after);
        }
        if !note(lease, &mut job, outcomes).await? {
            return Ok(None);
        }
    }
    Ok(Some(job))
}

/// The regular files below a directory, by their paths from it, in their order.
fn list(top: &Path) -> io::Result<Vec<String>> {
    let (mut found, mut waiting) = (Vec::new(), VecDeque::from([top.to_owned()]));
    while let Some(directory) = waiting.pop_front() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push_back(entry.path());
            } else if kind.is_file()
                && let Ok(path) = entry.path().strip_prefix(top)
                && let Some(path) = path.to_str()
            {
                found.push(path.to_owned());
            }
            if found.len() > MAX_FILES {
                return Err(io::Error::other("there are more than a million files"));
            }
        }
    }
    found.sort();
    Ok(found)
}

async fn one(
    lease: &Lease,
    common: &Common,
    job: &Job,
    top: &Path,
    path: &str,
    owner_id: Uuid,
) -> Result<Outcome, Error> {
    let failed = |why: String| {
        let finding = Finding { subject: path.to_owned(), finding: why };
        Outcome { kind: "failed", bytes: 0, finding: Some(finding) }
    };
    let plan = lease.store().database.read(move |connection| sealing::plan(connection, owner_id, None)).await?;
    let protection = sealing::protection(lease, &common.clock, plan).await?;
    let (worker, from, dry_run) = (lease.clone(), top.join(path), job.dry_run);
    let working = tokio::task::spawn_blocking(move || take(&worker, &from, protection, dry_run));
    let found = match working.await.map_err(|error| Error::internal("taking a file over", error))? {
        Ok(found) => found,
        Err(_) if lease.is_ending() => return Err(Error::Locked),
        Err(error) => return Ok(failed(error.to_string())),
    };
    let taken = match found {
        None => return Ok(Outcome { kind: "would_be_taken", bytes: 0, finding: None }),
        Some(Found::Ambiguous) => {
            let why = "it looks sealed, and opens under no key here; it was left where it is".to_owned();
            let finding = Finding { subject: path.to_owned(), finding: why };
            return Ok(Outcome { kind: "ambiguous", bytes: 0, finding: Some(finding) });
        }
        Some(Found::Taken(taken)) => *taken,
    };
    let (bytes, kind) = (taken.size_bytes, if taken.seal.is_some() { "sealed" } else { "plaintext" });
    match commit(lease, common, path, taken, owner_id).await {
        Ok(true) => Ok(Outcome { kind, bytes, finding: None }),
        Ok(false) => Ok(Outcome { kind: "unchanged", bytes, finding: None }),
        Err(error @ (Error::Locked | Error::StorageFull | Error::Internal(..) | Error::Busy)) => Err(error),
        Err(error) => Ok(failed(error.to_string())),
    }
}

/// Copies one file to the drive. `None` when that is only looked at.
fn take(lease: &Lease, path: &Path, protection: Protection, dry_run: bool) -> io::Result<Option<Found>> {
    let store = lease.store();
    let file = File::options().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path)?;
    let guess = store.sealed.guess_file(&file, None)?;
    let stop = || lease.is_ending();
    let (copied, seal) = match guess {
        Guess::LooksSealed | Guess::Ours => return Ok(Some(Found::Ambiguous)),
        _ if dry_run => return Ok(None),
        Guess::StormClouds => {
            let Some(seal) = store.sealed.v1_seal(&file)? else { return Ok(Some(Found::Ambiguous)) };
            // As it lies there: sealed already, and not by us.
            let copied =
                content_io::copy(&mut ContentReader::of_plain(file)?, store.new_content(Protection::Client)?, &stop)?;
            (copied, Some(seal))
        }
        Guess::Other => {
            let copied = content_io::copy(&mut ContentReader::of_plain(file)?, store.new_content(protection)?, &stop)?;
            let seal = copied.as_ref().and_then(|(_, seal, _)| seal.clone());
            (copied, seal)
        }
    };
    let (stored, ..) = copied.ok_or(io::ErrorKind::Interrupted)?;
    let mut content = store.content(&Blob { id: stored.id().clone(), seal: seal.clone() })?;
    let digest = content_io::digest(&mut content, &stop)?.ok_or(io::ErrorKind::Interrupted)?;
    let mut first_bytes = Vec::new();
    let size_bytes = content.content_bytes();
    io::Seek::rewind(&mut content)?;
    content.take(FIRST_BYTES as u64).read_to_end(&mut first_bytes)?;
    Ok(Some(Found::Taken(Box::new(Taken { stored, seal, size_bytes, sha256: Sha256(digest), first_bytes }))))
}

/// Makes it a file, in folders as it lay in. False when it is there already.
async fn commit(lease: &Lease, common: &Common, path: &str, taken: Taken, owner_id: Uuid) -> Result<bool, Error> {
    let Taken { stored, seal, size_bytes, sha256, first_bytes } = taken;
    let (id, now, ids) = (common.ids.next(), common.clock.now(), common.clone());
    let revision = Revision {
        number: 1,
        blob: stored.id().clone(),
        seal,
        size_bytes,
        sha256,
        media_type: String::new(),
        created_at: now,
        created_by: owner_id,
    };
    let entry = common.auditor.entry(&Context::default(), "file.stored", audit::Outcome::Success, Some(id));
    let place = path.to_owned();
    let committed = lease.store().database.write(move |transaction| -> Result<bool, Error> {
        let mut parts: Vec<&str> = place.split('/').collect();
        let name = FileName::parse(parts.pop().unwrap_or_default())?;
        let mut folder_id = None;
        for part in parts {
            let part = FileName::parse(part)?;
            folder_id = Some(folder(transaction, &ids, folder_id, part.as_str(), owner_id)?);
        }
        if let Some(there) = files::find_by_name(transaction, folder_id, name.as_str())? {
            return if there.sha256 == revision.sha256 { Ok(false) } else { Err(Error::NameTaken) };
        }
        check_free(transaction, folder_id, name.as_str())?;
        check_file_fits(transaction, folder_id, name.as_str())?;
        let media_type = media_type::detect(&first_bytes, name.as_str()).to_string();
        let revision = Revision { media_type, ..revision };
        contents::insert(transaction, &revision)?;
        add_file(transaction, id, folder_id, name.as_str(), &revision)?;
        audit::insert(transaction, &entry)?;
        Ok(true)
    });
    let committed = committed.await;
    if matches!(committed, Ok(true)) {
        sweep::keep(lease, stored);
    } else {
        drop(tokio::task::spawn_blocking(move || drop(stored)));
    }
    committed
}

/// The folder of that name, which is made when it is not there.
fn folder(
    transaction: &Transaction<'_>,
    common: &Common,
    parent_id: Option<Uuid>,
    name: &str,
    owner_id: Uuid,
) -> Result<Uuid, Error> {
    if let Some(id) = known_folder(transaction, parent_id, name)? {
        return Ok(id);
    }
    check_free(transaction, parent_id, name)?;
    let folder = Folder::new(common.ids.next(), parent_id, name.to_owned(), common.clock.now(), owner_id);
    folders::insert(transaction, &folder)?;
    folders::count(transaction, parent_id, Counts::default().of_folder())?;
    Ok(folder.id)
}

fn known_folder(connection: &Connection, parent_id: Option<Uuid>, name: &str) -> Result<Option<Uuid>, Error> {
    Ok(tree::folder_named(connection, parent_id, name)?)
}
