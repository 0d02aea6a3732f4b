//! Makes the box nobody's: its vault can never be opened again, and it begins with another identity.
//!
//! What makes the contents unreadable comes first and takes less than a second: the key slots, and the file without
//! which they are of no use to old copies of them either. The rest is done by the next start, which systemd brings about
//! at once: so there is one order of things, whether the power goes in between or not, and nothing of the old box is
//! in memory any more. A mark is set before the first step and goes after the last; while it is there, nothing is
//! created and nothing unlocked.
//!
//! On flash the bytes that were overwritten may live on in spare blocks until the medium erases them. Both of the files
//! would have to be brought back, from two media.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::{error, warn};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::audit::Context;
use super::device;
use super::tunnel::TOKEN_FILE;
use super::vault::{LockReason, Vault, VaultPaths, blocking, to_its_end};
use crate::storage::durable;

/// The mark in the device directory.
const MARK: &str = "factory-reset";
/// What every file of key slots begins with: the one in use, one in the making, one half replaced.
const KEY_FILES: &str = "vault.keys";
/// Holds gocryptfs' master key, sealed by what the key slots seal.
const CIPHER_CONFIGURATION: &str = "gocryptfs.conf";

/// The file by which whoever can put files onto the boot partition asks for a reset. It lies beside the setup code's.
const REQUEST: &str = "FACTORY-RESET";
/// What has to stand in it, in any case of letters: a file can be there by mistake.
const REQUEST_WORDS: &str = "erase everything";
/// More than anybody needs to write that down.
const MAX_REQUEST_BYTES: u64 = 1024;
/// Where it is told, beside it, when the file is not understood.
const ERRORS: &str = "coffer-errors.txt";
const NOT_UNDERSTOOD: &str = "\
FACTORY-RESET: nothing was erased. If this box is to be erased, with all that is stored on it, for ever: write the words
    erase everything
into that file, and nothing else, and start the box again. If not, delete the file.
";

/// Resets the box.
pub(crate) struct FactoryReset {
    vault: Arc<Vault>,
    /// Ends the daemon, to be started anew.
    stop: CancellationToken,
}

impl FactoryReset {
    /// Of that box. `stop` makes the daemon end.
    pub(crate) fn new(vault: Arc<Vault>, stop: CancellationToken) -> Self {
        Self { vault, stop }
    }

    /// Locks the vault and makes it unreadable for ever; then the daemon ends, and its next start does the rest.
    pub(crate) async fn begin(&self) -> Result<(), Error> {
        let (vault, stop) = (Arc::clone(&self.vault), self.stop.clone());
        to_its_end(async move {
            let _turn = vault.wait_for_turn().await;
            let paths = vault.paths.clone();
            let failed = |error| Error::storage("erasing the keys", error);
            set_mark(&paths.device).map_err(|error| Error::storage("writing the mark of the reset", error))?;
            warn!("the box is reset: its vault is erased");
            if let Err(error) = vault.close(LockReason::FactoryReset, &Context::default()).await {
                error!(error:% = error; "the vault was not locked cleanly; it is erased all the same");
            }
            let erased = blocking("factory reset", move || erase_keys(&paths).map_err(failed)).await;
            // Also after a failure: the start tries again.
            stop.cancel();
            erased
        })
        .await
    }
}

/// Whether a reset has begun and not ended.
pub(super) fn is_marked(device: &Path) -> bool {
    device.join(MARK).exists()
}

/// Begins a reset when a file beside the setup code's asks for it; gives whether it did. The mark comes before the file goes,
/// so a power cut in between changes nothing. The next start of the daemon does the rest.
pub(crate) fn take_request(device: &Path, code_file: &Path) -> io::Result<bool> {
    let (request, errors) = (code_file.with_file_name(REQUEST), code_file.with_file_name(ERRORS));
    if !fs::symlink_metadata(&request).is_ok_and(|metadata| metadata.is_file()) {
        return Ok(false);
    }
    // What is too long is not the words either.
    let words = durable::read_small_file(&request, MAX_REQUEST_BYTES).unwrap_or_default();
    if !words.trim_ascii().eq_ignore_ascii_case(REQUEST_WORDS.as_bytes()) {
        warn!("a file asks for a reset in other words than it must: nothing is erased");
        durable::replace_file(&errors, NOT_UNDERSTOOD.as_bytes())?;
        return Ok(false);
    }
    set_mark(device)?;
    durable::remove_file(&request)?;
    durable::remove_file(&errors)?;
    warn!("the box is going to be reset, as a file on the boot partition asks");
    Ok(true)
}

/// Carries a reset that has begun to its end; gives whether there was one. Afterwards there is no identity.
pub(crate) fn finish(paths: &VaultPaths) -> io::Result<bool> {
    if !is_marked(&paths.device) {
        return Ok(false);
    }
    erase_keys(paths)?;
    for directory in cipher_directories(paths) {
        // A drive that is missing or broken must not keep the box from becoming somebody else's.
        if let Err(error) = remove_directory(&directory) {
            error!(error:% = error; "the ciphertext was not removed; without the keys it is noise");
        }
    }
    // The identity goes last, and its mark after it: until then this is the old box, being erased.
    for entry in entries(&paths.device)? {
        let keep = [MARK, device::FILE, device::LOCK_FILE];
        if !keep.iter().any(|name| entry.ends_with(name)) {
            durable::erase_file(&entry)?;
        }
    }
    if let Some(file) = &paths.setup_code_file {
        durable::remove_file(file)?;
    }
    durable::erase_file(&paths.device.join(device::FILE))?;
    durable::remove_file(&paths.device.join(MARK))?;
    warn!("the box was reset, and is nobody's");
    Ok(true)
}

fn set_mark(device: &Path) -> io::Result<()> {
    durable::replace_file(&device.join(MARK), b"")
}

/// After this the contents cannot be read any more, with no secret.
fn erase_keys(paths: &VaultPaths) -> io::Result<()> {
    for file in entries(&paths.secrets)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(KEY_FILES) {
            durable::erase_file(&file)?;
        }
    }
    for directory in cipher_directories(paths) {
        if let Err(error) = durable::erase_file(&directory.join(CIPHER_CONFIGURATION)) {
            error!(error:% = error; "the drive's part of the keys was not erased; the key slots are");
        }
    }
    durable::erase_file(&paths.device.join(TOKEN_FILE))
}

/// The ciphertext, and what an interrupted creation may have left.
fn cipher_directories(paths: &VaultPaths) -> [PathBuf; 2] {
    [paths.cipher.clone(), paths.cipher.with_added_extension("creating")]
}

/// The regular files of a directory. One that is away holds none: a stick may be anywhere.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in listed {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => durable::sync_parent(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> VaultPaths {
        let paths = VaultPaths {
            secrets: root.join("secrets"),
            device: root.join("device"),
            cipher: root.join("drive/cipher"),
            mount_point: root.join("mnt"),
            setup_code_file: Some(root.join("SETUP-CODE.txt")),
        };
        for directory in [&paths.secrets, &paths.device, &paths.cipher] {
            fs::create_dir_all(directory).unwrap();
        }
        for (directory, names) in [
            (&paths.secrets, &["vault.keys", "vault.keys.new", "vault.keys.creating", "holiday.jpg"][..]),
            (
                &paths.device,
                &["device.json", "device.json.new", "cloudflared.token", "attempts-network.json", "cofferd.lock"],
            ),
            (&paths.cipher, &["gocryptfs.conf", "blob"]),
        ] {
            for name in names {
                fs::write(directory.join(name), "secret").unwrap();
            }
        }
        paths
    }

    fn left(root: &Path) -> Vec<String> {
        let mut left: Vec<String> = ["secrets", "device", "drive"]
            .iter()
            .flat_map(|name| fs::read_dir(root.join(name)).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        left
    }

    #[test]
    fn nothing_is_erased_without_the_mark() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        assert!(!finish(&paths).unwrap());
        assert_eq!(left(root.path()).len(), 10);
    }

    #[test]
    fn a_reset_that_was_cut_off_anywhere_ends_with_nothing_but_what_is_not_ours() {
        // What each step removes, in the order of the steps: a cut behind any of them leaves the rest.
        let steps = [
            "secrets/vault.keys",
            "secrets/vault.keys.creating",
            "drive/cipher/gocryptfs.conf",
            "device/cloudflared.token",
            "drive/cipher",
            "device/attempts-network.json",
            "device/device.json",
        ];
        for done in 0..=steps.len() {
            let root = tempfile::tempdir().unwrap();
            let paths = paths(root.path());
            set_mark(&paths.device).unwrap();
            for step in &steps[..done] {
                let path = root.path().join(step);
                if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
            }
            assert!(finish(&paths).unwrap());
            assert_eq!(left(root.path()), ["cofferd.lock", "holiday.jpg"], "cut after {done} steps");
            assert!(!finish(&paths).unwrap(), "the second time there is nothing to do");
        }
    }

    #[test]
    fn a_stick_and_a_drive_that_are_away_keep_nobody_from_a_reset() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path());
        set_mark(&paths.device).unwrap();
        fs::remove_dir_all(&paths.secrets).unwrap();
        fs::remove_dir_all(root.path().join("drive")).unwrap();
        assert!(finish(&paths).unwrap());
        assert!(!paths.device.join("device.json").exists());
    }
}
