//! What each command on secrets does: asks, calls the library, shows. docs/secrets-client.md is the manual.

mod account;
mod ask;
mod attachments;
pub(crate) mod files;
mod find;
mod items;
mod links;
mod people;
mod progress;
mod rotate;
mod show;

use std::{path::PathBuf, time::Duration};

use coffer_client::secrets::{agent, device::Device, failure::Failure, home::Home, line::Line, sync};
use jiff::Timestamp;

use crate::cli::{Out, Secrets};

/// What a command has to know of this machine.
pub(crate) struct Machine {
    /// The files.
    pub(crate) home: Home,
    /// The time.
    pub(crate) now: fn() -> Timestamp,
    /// What it is called, as long as nobody says otherwise.
    pub(crate) host_name: String,
    /// This program.
    pub(crate) program: PathBuf,
}

impl Machine {
    /// The device, if it is unlocked.
    pub(crate) fn device(&self) -> Result<Device, Failure> {
        self.home.profile()?;
        let key = agent::key(&self.home)?.ok_or(Failure::Locked)?;
        Device::open(self.home.clone(), key, self.now)
    }
}

/// Does what a command says.
pub(crate) fn run(machine: &Machine, command: Secrets) -> Result<(), Failure> {
    match command {
        Secrets::Login(options) => account::login(machine, &options),
        Secrets::Unlock(options) => account::unlock(machine, &options),
        Secrets::Lock(out) => account::lock(machine, &out),
        Secrets::Logout { discard, out } => account::logout(machine, discard, &out),
        Secrets::Status(out) => account::status(machine, &out),
        Secrets::Password(options) => account::password(machine, &options),
        Secrets::Agent { socket, idle_s } => agent::run(&socket, Duration::from_secs(idle_s)),
        Secrets::Sync(out) => synchronise(machine, &out),
        Secrets::Vault(command) => items::vault(machine, command),
        Secrets::Item(command) => items::item(machine, command),
        Secrets::Attachment(command) => attachments::run(machine, command),
        Secrets::Search { words, out } => items::search(machine, &words, &out),
        Secrets::Get(options) => items::get(machine, &options),
        Secrets::Members { vault, out } => people::members(machine, &vault, &out),
        Secrets::Share(options) => people::share(machine, &options),
        Secrets::Unshare(options) => people::unshare(machine, &options),
        Secrets::Link(command) => links::run(machine, command),
        Secrets::Rotate(command) => rotate::run(machine, command),
        Secrets::Verify { name: None, out, .. } => people::own_words(machine, &out),
        Secrets::Verify { name: Some(name), photo, confirm, accept, out } => {
            let step = match (&photo, confirm, accept) {
                (Some(photo), _, _) => people::Step::Compare(photo),
                (None, true, _) => people::Step::Confirm,
                (None, _, true) => people::Step::Accept,
                (None, false, false) => people::Step::Look,
            };
            people::verify(machine, &name, &step, &out)
        }
    }
}

fn synchronise(machine: &Machine, out: &Out) -> Result<(), Failure> {
    let device = machine.device()?;
    let visited = sync::all(&Line::new(&device)?)?;
    show::visits(&visited, out);
    // Each was told; the first one is what the program ends with.
    visited.into_iter().find_map(|visit| visit.failure).map_or(Ok(()), Err)
}
