//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::service::passkeys::RelyingParty;
use crate::service::updates::UpdatePaths;
use crate::service::vault::VaultPaths;

/// Coffer's encrypted-storage daemon.
#[derive(Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the daemon.
    Serve(Box<Serve>),
    /// Give a new box its identity and its setup code. On a box that has one, make a new code when a file
    /// NEW-SETUP-CODE beside the setup code's asks for it.
    FirstBoot(FirstBoot),
    /// Remove the file with the setup code once the code was used.
    RemoveUsedCode(RemoveUsedCode),
    /// Print the gocryptfs passphrase of a vault, to read it without this program. See docs/recovery.md.
    Passphrase(Passphrase),
    /// Read everything in a vault back that somebody mounted with gocryptfs, and tell what is lost. Changes no file.
    Check(Check),
    /// Write all files of a vault out that somebody mounted with gocryptfs, opened, or sealed as Storm Cloud seals them.
    Export(Export),
    /// Work on sealed files, through the running daemon: seal what is not sealed, give it other keys, look whether it opens.
    Encrypt(Encrypt),
    /// Print the health document of the running daemon, as `GET /health` answers it.
    Health(HealthOptions),
    /// Run the hook programs for the event on standard input. For systemd: see coffer-hooks@.service.
    RunHooks(RunHooks),
}

/// Either one directory for everything, or each for itself.
#[derive(Args)]
pub(crate) struct Serve {
    /// Keep everything below this directory, make what is missing, and give a new box its identity.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Where to listen; may be given several times.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) listen: Vec<SocketAddr>,
    /// The address of a proxy, mostly the tunnel's on this machine, whose `CF-Connecting-IP` header is believed; may be
    /// given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) trusted_proxy: Vec<IpAddr>,
    /// The address under which people reach this box in a browser. Passkeys are bound to it: those that were made under
    /// another name are of no use.
    #[arg(long, value_name = "URL", default_value = "http://localhost:8000", value_parser = RelyingParty::parse)]
    pub(crate) public_url: RelyingParty,
    /// Moves the clock by the number of seconds in this file, which may change at any time. For tests.
    #[cfg(debug_assertions)]
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) clock_offset: Option<PathBuf>,
    /// Holds vault.keys: the detachable key.
    #[arg(long, value_name = "DIR", required_unless_present = "state")]
    secrets: Option<PathBuf>,
    /// Where the system mounts a stick that may carry vault.keys instead.
    #[arg(long, value_name = "DIR")]
    key_stick: Option<PathBuf>,
    /// Holds the identity of the box.
    #[arg(long, value_name = "DIR", required_unless_present = "state")]
    device: Option<PathBuf>,
    /// Holds the ciphertext.
    #[arg(long, value_name = "DIR", required_unless_present = "state")]
    cipher: Option<PathBuf>,
    /// Where the plaintext appears, to the daemon alone.
    #[arg(long, value_name = "DIR", required_unless_present = "state")]
    mount: Option<PathBuf>,
    /// The control socket; whoever may write to it may create, lock and unlock without a setup code or a token.
    #[arg(long, value_name = "PATH", required_unless_present = "state")]
    control_socket: Option<PathBuf>,
    /// What the system found wrong with the storage drive, in one line; absent while there is nothing.
    #[arg(long, value_name = "PATH")]
    pub(crate) storage_report: Option<PathBuf>,
    /// Where the system leaves what NVMe drives say about their wear: `nvme0.json` as `nvme smart-log` prints it.
    #[arg(long, value_name = "DIR")]
    pub(crate) drive_reports: Option<PathBuf>,
    /// Trust the certificates in this PEM file, besides those that browsers trust, when the box registers.
    #[arg(long, value_name = "FILE")]
    pub(crate) registrar_ca: Option<PathBuf>,
    /// Where the image's updates lie: the system installs what is asked for there. Without it there is no image to update.
    #[arg(long, value_name = "DIR", requires_all = ["update_requests", "update_reports"])]
    updates: Option<PathBuf>,
    /// Where updates and restarts are asked for; the system watches it.
    #[arg(long, value_name = "DIR", requires = "updates")]
    update_requests: Option<PathBuf>,
    /// Where the system tells how far an update is, and which slot runs.
    #[arg(long, value_name = "DIR", requires = "updates")]
    update_reports: Option<PathBuf>,
    /// Which image runs: its os-release(5).
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/os-release")]
    image_release: PathBuf,
    /// Where updates come from: in this file is the `https` address of a document that names the newest one, see
    /// docs/image.md. It need not be there.
    #[arg(long, value_name = "FILE", requires = "updates")]
    pub(crate) update_channel: Option<PathBuf>,
    /// Where cloudflared tells whether it has reached the edge.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:20241")]
    pub(crate) tunnel_metrics: SocketAddr,
    /// Let webhooks reach this machine itself and link-local addresses. Whoever administers the vault can then make the
    /// daemon post to every service here.
    #[arg(long)]
    pub(crate) allow_local_webhooks: bool,
    /// Let rotations of credentials reach this machine itself and link-local addresses, and itself without TLS. Editors can
    /// then make the daemon connect to every service here.
    #[arg(long)]
    pub(crate) allow_local_rotations: bool,
    /// Run the programs in this directory when something happens, as the user that --hooks-user names. Needs a daemon
    /// that root started. See docs/addons.md.
    #[arg(long, value_name = "DIR", requires = "hooks_user", conflicts_with = "hooks_socket")]
    pub(crate) hooks_directory: Option<PathBuf>,
    /// Who runs hook programs: a user that can do nothing else.
    #[arg(long, value_name = "NAME", requires = "hooks_directory")]
    pub(crate) hooks_user: Option<String>,
    /// Where another process runs hook programs: the socket that systemd answers with `cofferd run-hooks`.
    #[arg(long, value_name = "PATH")]
    pub(crate) hooks_socket: Option<PathBuf>,
}

/// A new box.
#[derive(Args)]
pub(crate) struct FirstBoot {
    /// Holds the identity of the box.
    #[arg(long, value_name = "DIR")]
    pub(crate) device: PathBuf,
    /// Where the owner will look for the setup code.
    #[arg(long, value_name = "PATH")]
    pub(crate) setup_code_file: PathBuf,
}

/// Which code.
#[derive(Args)]
pub(crate) struct RemoveUsedCode {
    /// Holds the identity of the box.
    #[arg(long, value_name = "DIR")]
    pub(crate) device: PathBuf,
    /// Holds vault.keys, once the box is claimed.
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets: PathBuf,
    /// Shows the code.
    #[arg(long, value_name = "PATH")]
    pub(crate) setup_code_file: PathBuf,
}

/// Which vault.
#[derive(Args)]
pub(crate) struct Passphrase {
    /// Holds vault.keys.
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets: PathBuf,
}

/// Which vault.
#[derive(Args)]
pub(crate) struct Check {
    /// Where gocryptfs shows the vault: the directory with coffer.db and blobs. No daemon may have it open.
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// Holds vault.keys, to open what is sealed: asks for the master password or the recovery key. Without it, only the
    /// length of a sealed content is looked at.
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets: Option<PathBuf>,
}

/// Which vault, and where to.
#[derive(Args)]
pub(crate) struct Export {
    /// Where gocryptfs shows the vault: the directory with coffer.db and blobs. No daemon may have it open.
    #[arg(long, value_name = "DIR")]
    pub(crate) vault: PathBuf,
    /// Holds vault.keys: asks for the master password or the recovery key.
    #[arg(long, value_name = "DIR")]
    pub(crate) secrets: PathBuf,
    /// Seal each file in Storm Cloud's format, under the key that `STORMCLOUD_ENCRYPTION_KEY` holds, instead of writing it as it is.
    #[arg(long)]
    pub(crate) storm_cloud: bool,
    /// A directory that is not there yet, on a disk that you trust with your files.
    #[arg(value_name = "DIR")]
    pub(crate) to: PathBuf,
}

/// Which programs.
#[derive(Args)]
pub(crate) struct RunHooks {
    /// Holds the hook programs.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// Which daemon is asked.
#[derive(Args)]
pub(crate) struct RunningDaemon {
    /// The directory that the daemon was started with.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Where its control socket lies.
    #[arg(long, value_name = "PATH", default_value = "/run/coffer/control.sock")]
    control_socket: PathBuf,
}

/// Whose health it is.
#[derive(Args)]
pub(crate) struct HealthOptions {
    #[command(flatten)]
    pub(crate) daemon: RunningDaemon,
}

/// Which daemon, and what it is to do.
#[derive(Args)]
pub(crate) struct Encrypt {
    #[command(flatten)]
    pub(crate) daemon: RunningDaemon,
    #[command(subcommand)]
    pub(crate) command: EncryptCommand,
}

/// What is to be done with what is stored. Everything can be stopped at any moment, and goes on after a lock or a power cut.
#[derive(Subcommand)]
pub(crate) enum EncryptCommand {
    /// Count what is stored in which way, and list what does not open.
    Audit(JobOptions),
    /// Seal what is not sealed.
    Files(JobOptions),
    /// Seal what is in Storm Cloud's format in ours.
    Upgrade(JobOptions),
    /// A new key for every owner, and every header under it; contents stay as they are.
    Rewrap(JobOptions),
    /// Another root key: rewrites the key file, for which it asks for the master password.
    RotateRoot,
    /// Seal everything anew, under fresh keys.
    Reencrypt(JobOptions),
    /// Read everything back, and compare it with its digest.
    Verify(JobOptions),
    /// Refuse contents that are not sealed, for good.
    Seal,
    /// Take over the files of a Storm Cloud.
    ImportStormcloud {
        /// Where they lie.
        directory: PathBuf,
        #[command(flatten)]
        options: JobOptions,
    },
}

/// How it is done.
#[derive(Args)]
pub(crate) struct JobOptions {
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Read at most so many bytes a second.
    #[arg(long, value_name = "BYTES")]
    pub(crate) bytes_per_s: Option<u64>,
}

impl RunningDaemon {
    /// Where the control socket lies.
    pub(crate) fn control_socket(&self) -> PathBuf {
        match &self.state {
            Some(state) => state.join("run/control.sock"),
            None => self.control_socket.clone(),
        }
    }
}

impl Serve {
    /// Where the parts of an update lie, on a box with an image.
    pub(crate) fn update_paths(&self) -> Option<UpdatePaths> {
        Some(UpdatePaths {
            folder: self.updates.clone()?,
            requests: self.update_requests.clone()?,
            reports: self.update_reports.clone()?,
            release: self.image_release.clone(),
        })
    }

    /// Where the parts of the vault lie.
    pub(crate) fn vault_paths(&self) -> VaultPaths {
        VaultPaths {
            secrets: self.path(self.secrets.as_ref(), "secrets"),
            device: self.path(self.device.as_ref(), "device"),
            cipher: self.path(self.cipher.as_ref(), "cipher"),
            mount_point: self.path(self.mount.as_ref(), "run/mnt"),
            key_stick: self.key_stick.clone(),
            setup_code_file: self.state.as_ref().map(|state| state.join("SETUP-CODE.txt")),
        }
    }

    /// Where the control socket lies.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.path(self.control_socket.as_ref(), "run/control.sock")
    }

    fn path(&self, given: Option<&PathBuf>, below_state: &str) -> PathBuf {
        let default = || self.state.as_ref().map(|state| state.join(below_state));
        given.cloned().or_else(default).unwrap_or_default()
    }
}
