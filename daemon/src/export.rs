//! `cofferd export`: writes the files of a mounted vault out, without the daemon: opened, or sealed as Storm Cloud seals them.
//!
//! What is in the trash stays there, and so do older revisions. The directory is a new one, so nothing is overwritten; after a
//! power cut it may hold less than all, and the command is given again with another.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path};

use coffer_crypto::envelope::{SecretKey, v1};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::cli::Export;
use crate::exit::Failure;
use crate::model::clock::system_rng;
use crate::model::file::PlacedFile;
use crate::offline::Offline;
use crate::repo::{placed, v1_writes};
use crate::service::given_key;
use crate::storage::durable;

/// Read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// Writes every file, names each one that could not be written whole, and prints a summary.
#[expect(clippy::print_stdout, reason = "its result is what this command is for")]
pub(crate) fn run(options: &Export) -> Result<(), Failure> {
    let secret = if options.storm_cloud { Some(given_key::configured(&given_key::from_outside)?) } else { None };
    let mut vault = Offline::open(&options.vault, Some(&options.secrets))?;
    let unusable = |error: &dyn std::error::Error| Failure::Check(format!("the vault cannot be read: {error}"));
    let number = placed::count(&vault.connection).map_err(|error| unusable(&error))?;
    // First, so that nothing is counted for a directory that cannot be used.
    make_top(&options.to).map_err(|cause| Failure::Directory { directory: options.to.clone(), cause })?;
    let counted = secret.map(|secret| count_writes(&mut vault, secret, number)).transpose();
    let mut key = counted.inspect_err(|_| drop(std::fs::remove_dir(&options.to)))?;
    let (mut exported, mut bytes, mut faults) = (0_u64, 0_u64, 0_u64);
    let listed = placed::each(&vault.connection, |file| match write_one(&vault, &options.to, file, key.as_mut()) {
        Ok(length) => (exported, bytes) = (exported + 1, bytes + length),
        Err(error) => {
            faults += 1;
            println!("{}: {error}", file.path);
        }
    });
    listed.map_err(|error| unusable(&error))?;
    durable::sync_file_system(&options.to)
        .map_err(|cause| Failure::Directory { directory: options.to.clone(), cause })?;
    println!("exported {exported} files of {bytes} bytes: {faults} faults");
    if faults > 0 { Err(Failure::Lost { faults }) } else { Ok(()) }
}

/// Takes as many writes as there are files off what may be written under that key, for good: before the first is sealed, so that
/// a power cut makes the count too high at worst.
fn count_writes(vault: &mut Offline, secret: SecretKey, number: u64) -> Result<v1::Key, Failure> {
    let check = secret.check_value();
    let before = v1_writes::take(&mut vault.connection, check, number)
        .map_err(|error| Failure::Check(format!("the writes under this key cannot be counted: {error}")))?;
    before.map(|before| v1::Key::new(secret, before)).ok_or_else(|| {
        let most = v1::MAX_WRITES;
        Failure::Check(format!(
            "no more than {most} files may be sealed under one key in this format: give another key."
        ))
    })
}

fn make_top(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)?;
    durable::sync_parent(directory)
}

/// Writes one file, and compares it with the digest that the vault has.
fn write_one(vault: &Offline, top: &Path, file: &PlacedFile, key: Option<&mut v1::Key>) -> io::Result<u64> {
    let path = Path::new(&file.path);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, "a name that leads elsewhere"));
    }
    let path = top.join(path);
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut content = vault.content(&file.blob).ok_or(io::ErrorKind::PermissionDenied)??;
    let mut sink = Sink::create(&path, key)?;
    let (mut digest, mut length) = (Sha256::new(), 0_u64);
    let mut window = Zeroizing::new(vec![0; WINDOW_BYTES]);
    loop {
        let read = content.read(&mut window)?;
        if read == 0 {
            break;
        }
        length += read as u64;
        digest.update(&window[..read]);
        sink.write(&window[..read])?;
    }
    sink.finish()?;
    if digest.finalize()[..] == file.sha256.0 {
        Ok(length)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "its digest is another one; it was written as it is"))
    }
}

/// Where one file goes.
struct Sink {
    file: File,
    sealer: Option<v1::Sealer>,
    ready: Vec<u8>,
}

impl Sink {
    fn create(path: &Path, key: Option<&mut v1::Key>) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let mut ready = Vec::new();
        let sealer = key.map(|key| v1::Sealer::new(key, &mut system_rng(), &mut ready)).transpose();
        Ok(Self { file, sealer: sealer.map_err(io::Error::other)?, ready })
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let Some(sealer) = &mut self.sealer else { return self.file.write_all(content) };
        sealer.seal(content, &mut self.ready).map_err(io::Error::other)?;
        self.file.write_all(&self.ready)?;
        self.ready.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(sealer) = self.sealer.take() {
            sealer.finish(&mut self.ready).map_err(io::Error::other)?;
            self.file.write_all(&self.ready)?;
        }
        Ok(())
    }
}
