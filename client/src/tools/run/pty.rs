//! A terminal in place of ours: the child sees one, of the size of ours, and what it writes comes through here.
//!
//! It is not the child's controlling terminal. That stays ours, where keys are pressed and signals come from.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags, open},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize},
};

pub(super) struct Pty {
    /// Where what the child writes is read.
    pub(super) ours: File,
    /// What the child writes to.
    pub(super) theirs: OwnedFd,
}

impl Pty {
    /// One that passes every byte on as it is: our terminal does with it what terminals do.
    pub(super) fn open(like: &impl AsFd) -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        // Not every system can do both at once; nothing is started in between.
        fcntl_setfd(&ours, FdFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs = open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let mut settings = tcgetattr(&theirs)?;
        settings.make_raw();
        tcsetattr(&theirs, OptionalActions::Now, &settings)?;
        let pty = Self { ours: File::from(ours), theirs };
        resize(&pty.ours, like)?;
        Ok(pty)
    }
}

/// Makes one as large as another.
pub(super) fn resize(ours: &impl AsFd, like: &impl AsFd) -> io::Result<()> {
    Ok(tcsetwinsize(ours, tcgetwinsize(like)?)?)
}
