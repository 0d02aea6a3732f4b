//! Makes a database readable again after a power cut tore blocks of it, before SQLite opens it.
//!
//! gocryptfs authenticates blocks of 4096 bytes; one whose write was torn by a power cut reads as an error, where
//! SQLite expects old or new or mixed bytes. Two kinds of blocks can be torn, and neither holds the only copy of
//! anything that was acknowledged:
//!
//! - a block of the write-ahead log behind the last synced commit: the log is cut off there. Synced commits end on a
//!   block boundary (`psow=0`, see `database`), so they all lie before the cut. When the very first block is torn, the
//!   log was being started anew, which happens only after all of it had been copied to the database: it is removed;
//! - a page of the database that was being copied from the log (a checkpoint): the log still has it, and it is
//!   written again from there. SQLite would do so itself, but it gives up when the first page does not read.
//!
//! Format of the log: sqlite.org/walformat.html.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use log::warn;

use super::database::journal_path;
use super::durable;

/// gocryptfs' block and SQLite's default page; the store is made with both.
const BLOCK: usize = 4096;
const WAL_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC_LITTLE_ENDIAN: u32 = 0x377f_0682;
const MAGIC_BIG_ENDIAN: u32 = 0x377f_0683;

/// What had to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Repair {
    /// Bytes cut off the end of the log: unfinished commits.
    pub(crate) cut_bytes: u64,
    /// Pages written again from the log.
    pub(crate) restored_pages: usize,
}

impl Repair {
    /// Whether anything was changed.
    pub(crate) fn happened(&self) -> bool {
        *self != Self::default()
    }
}

/// Repairs a database that nobody has open. Does nothing, and costs nothing, when it was closed cleanly.
///
/// Fails when a page is unreadable that the log does not have: that is damage, not a power cut.
pub(crate) fn repair(database: &Path) -> io::Result<Repair> {
    let journal = journal_path(database);
    let log = match OpenOptions::new().read(true).write(true).open(&journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Repair::default()),
        other => other?,
    };
    let length = log.metadata()?.len();
    let readable = readable_prefix(&log, length)?;
    let mut repair = Repair { cut_bytes: length - readable.len() as u64, restored_pages: 0 };
    if repair.cut_bytes > 0 {
        warn!(cut_bytes = repair.cut_bytes; "a power cut tore the end of the database's log; it is cut off");
        if readable.is_empty() {
            drop(log);
            durable::remove_file(&journal)?;
            return Ok(repair);
        }
        log.set_len(readable.len() as u64)?;
        log.sync_all()?;
    }
    repair.restored_pages = restore_pages(database, &committed_pages(&readable))?;
    Ok(repair)
}

/// The bytes up to the first block that does not read.
fn readable_prefix(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut block = vec![0; BLOCK];
    while (bytes.len() as u64) < length {
        match read_block(file, bytes.len() as u64, &mut block) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(block.get(..count).unwrap_or_default()),
            Err(error) if is_torn(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn read_block(file: &File, offset: u64, block: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < block.len() {
        match file.read_at(block.get_mut(count..).unwrap_or_default(), offset + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// gocryptfs answers EIO for a block whose authentication fails.
fn is_torn(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EIO)
}

fn restore_pages(database: &Path, pages: &HashMap<u32, &[u8]>) -> io::Result<usize> {
    if pages.is_empty() {
        return Ok(0);
    }
    let file = OpenOptions::new().read(true).write(true).open(database)?;
    let length = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    let mut restored = 0;
    for (index, offset) in (0..length).step_by(BLOCK).enumerate() {
        match read_block(&file, offset, &mut block) {
            Ok(_) => {}
            Err(error) if is_torn(&error) => {
                let number = u32::try_from(index + 1).map_err(io::Error::other)?;
                let page = pages.get(&number).ok_or(error)?;
                // A whole aligned block: gocryptfs need not read what was there.
                file.write_all_at(page, offset)?;
                restored += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if restored > 0 {
        file.sync_all()?;
        warn!(restored; "a power cut tore pages of the database; they were written again from its log");
    }
    Ok(restored)
}

/// The latest committed content of each page in the log, by page number.
fn committed_pages(log: &[u8]) -> HashMap<u32, &[u8]> {
    let mut committed = HashMap::new();
    let Some((header, mut rest)) = log.split_at_checked(WAL_HEADER) else { return committed };
    let little_endian = match word(header, 0) {
        MAGIC_LITTLE_ENDIAN => true,
        MAGIC_BIG_ENDIAN => false,
        _ => return committed,
    };
    let mut sum = Checksum { little_endian, s0: 0, s1: 0 };
    sum.add(header.get(..24).unwrap_or_default());
    if !sum.is(word(header, 6), word(header, 7)) || word(header, 2) as usize != BLOCK {
        return committed;
    }
    let salt = (word(header, 4), word(header, 5));
    let mut uncommitted = Vec::new();
    while let Some((frame, page)) =
        rest.split_at_checked(FRAME_HEADER).and_then(|(frame, rest)| Some((frame, rest.get(..BLOCK)?)))
    {
        sum.add(frame.get(..8).unwrap_or_default());
        sum.add(page);
        if (word(frame, 2), word(frame, 3)) != salt || !sum.is(word(frame, 4), word(frame, 5)) {
            break;
        }
        uncommitted.push((word(frame, 0), page));
        // The second word is the size of the database after a commit, and zero in all other frames.
        if word(frame, 1) != 0 {
            committed.extend(uncommitted.drain(..));
        }
        rest = rest.get(FRAME_HEADER + BLOCK..).unwrap_or_default();
    }
    committed
}

/// The log's running checksum over pairs of 32-bit words.
struct Checksum {
    little_endian: bool,
    s0: u32,
    s1: u32,
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let read = if self.little_endian { u32::from_le_bytes } else { u32::from_be_bytes };
        let (words, _) = bytes.as_chunks::<4>();
        for pair in words.chunks_exact(2) {
            if let [first, second] = pair {
                self.s0 = self.s0.wrapping_add(read(*first)).wrapping_add(self.s1);
                self.s1 = self.s1.wrapping_add(read(*second)).wrapping_add(self.s0);
            }
        }
    }

    fn is(&self, s0: u32, s1: u32) -> bool {
        (self.s0, self.s1) == (s0, s1)
    }
}

/// The big-endian word at that index; the fields of the log are always big-endian.
fn word(bytes: &[u8], index: usize) -> u32 {
    let field = bytes.get(index * 4..index * 4 + 4).and_then(|field| field.try_into().ok());
    field.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::storage::database;

    /// A database whose log holds three commits, as a killed program leaves it.
    fn abandoned() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>, rusqlite::Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("live.db");
        let connection = database::connect(&path).unwrap();
        connection.execute_batch("CREATE TABLE t(x); INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)").unwrap();
        let log = fs::read(journal_path(&path)).unwrap();
        // The connection comes along: closing it would empty the log.
        (dir, path, log, connection)
    }

    #[test]
    fn synced_commits_end_on_a_block_boundary() {
        let (_dir, _path, log, _connection) = abandoned();
        let frames = (log.len() - WAL_HEADER) / (FRAME_HEADER + BLOCK);
        let mut last_commit_end = 0;
        for index in 0..frames {
            let at = WAL_HEADER + index * (FRAME_HEADER + BLOCK);
            let is_commit = word(&log[at..], 1) != 0;
            let starts_commit = index > 0 && word(&log[at - FRAME_HEADER - BLOCK..], 1) != 0 && !is_commit;
            if starts_commit {
                assert!(at >= last_commit_end, "a new commit shares no block with the one before");
            }
            if is_commit {
                last_commit_end = at + 1;
            }
        }
        // Three commits of at most four frames each would fit in thirteen frames without any padding.
        let commits = (0..frames).filter(|i| word(&log[WAL_HEADER + i * (FRAME_HEADER + BLOCK)..], 1) != 0).count();
        assert!(commits > 3, "the padding repeats commit frames: {commits} commit frames in {frames}");
    }

    #[test]
    fn the_log_is_read_up_to_its_last_commit() {
        let (_dir, path, log, _connection) = abandoned();
        let pages = committed_pages(&log);
        let main = fs::read(&path).unwrap();
        assert!(pages.contains_key(&1) && pages.contains_key(&2), "{:?}", pages.keys());
        assert!(main.len() <= BLOCK, "nothing but the header page has been copied yet");
        let cut = &log[..log.len() - 1];
        assert_eq!(committed_pages(cut).len(), pages.len(), "the last frame is padding");
        let mut damaged = log.clone();
        damaged[WAL_HEADER + FRAME_HEADER + 5] ^= 1;
        assert!(committed_pages(&damaged).is_empty(), "a frame whose checksum fails ends the log");
        assert!(committed_pages(&[]).is_empty());
        assert!(committed_pages(&[0; 100]).is_empty());
    }

    #[test]
    fn a_cleanly_closed_database_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clean.db");
        database::connect(&path).unwrap().execute_batch("CREATE TABLE t(x)").unwrap();
        assert!(!journal_path(&path).exists());
        assert!(!repair(&path).unwrap().happened());
    }
}
