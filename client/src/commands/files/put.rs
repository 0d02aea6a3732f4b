//! Files of this machine to the box: one, several, or trees.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use coffer_api::File;
use coffer_client::{
    files::{
        error::Error,
        path::{RemotePath, shown},
        put::{self, Place, Put, Source},
        target::is_part,
        tree::{Node, Tree},
    },
    secrets::line::Line,
};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::Report;
use crate::{
    cli,
    commands::{
        Machine,
        progress::{Progress, size},
    },
};

/// Sends what the command line says.
pub(crate) fn put(machine: &Machine, options: &cli::Put) -> Result<(), Error> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let to = RemotePath::parse(&options.path)?;
    let mut sender = Sender { tree: Tree { line: &line }, now: (machine.now)(), report: Report::new(&options.how) };
    let sent = sender.all(&options.local, &to);
    sender.report.end(&to.to_text(), sent)
}

struct Sender<'a> {
    tree: Tree<'a>,
    now: Timestamp,
    report: Report<'a>,
}

impl Sender<'_> {
    fn all(&mut self, local: &[PathBuf], to: &RemotePath) -> Result<(), Error> {
        // Before anything is made at the box.
        for path in local.iter().filter(|path| path.as_path() != Path::new("-")) {
            let metadata = fs::metadata(path).map_err(Error::io(format!("looking at {}", path.display())))?;
            if metadata.is_dir() && !self.report.how.recursive {
                let text = format!("{} is a directory: --recursive sends it with all that is in it.", path.display());
                return Err(Error::Usage(text));
            }
        }
        let is_folder = to.is_folder() || matches!(self.tree.look(to)?, Some(Node::Root | Node::Folder(_)));
        if let ([path], false) = (local, is_folder) {
            let (above, _) = to.split().ok_or_else(|| Error::NoPath(to.to_text()))?;
            let folder = self.tree.folder(&above)?;
            return self.one(path, folder, to);
        }
        if !is_folder {
            return Err(Error::Nothing { what: "folder", path: to.clone() });
        }
        let folder = self.tree.make(to)?;
        for path in local {
            let sent = own_name(path).and_then(|name| self.one(path, folder, &to.join(&name)));
            self.report.keep(path.display().to_string(), sent)?;
        }
        Ok(())
    }

    fn one(&mut self, local: &Path, folder: Option<Uuid>, to: &RemotePath) -> Result<(), Error> {
        let current = |(_, name): (RemotePath, &str)| self.tree.child(folder, name).transpose();
        let current = to.split().and_then(current).transpose()?;
        if local == Path::new("-") {
            let mut source = Source::piped(io::stdin().lock())?;
            return self.send(local, &mut source, folder, to, file(current, to)?.as_ref());
        }
        if local.is_dir() {
            return self.tree(local, folder, to);
        }
        self.file(local, folder, to, file(current, to)?.as_ref())
    }

    /// A directory, into a folder of that path. What is no file and no directory is left out: a link could lead anywhere.
    fn tree(&mut self, local: &Path, parent: Option<Uuid>, to: &RemotePath) -> Result<(), Error> {
        let (_, name) = to.split().ok_or_else(|| Error::NoPath(to.to_text()))?;
        let folder = Some(self.tree.make_in(parent, name)?);
        let there = self.tree.list(folder)?.files;
        let unread = || Error::io(format!("reading {}", local.display()));
        let mut entries = fs::read_dir(local).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unread())?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(unread())?;
            let sent = if kind.is_symlink() || !(kind.is_dir() || kind.is_file()) {
                self.report.left_out(&shown(&path.to_string_lossy()), "it is no file and no directory");
                Ok(())
            } else if is_part(&entry.file_name()) {
                self.report.left_out(&shown(&path.to_string_lossy()), "a file that is not whole");
                Ok(())
            } else {
                own_name(&path).map(|name| to.join(&name)).and_then(|to| {
                    if kind.is_dir() {
                        return self.tree(&path, folder, &to);
                    }
                    let is_it = |file: &&File| to.split().is_some_and(|(_, name)| file.name == name);
                    self.file(&path, folder, &to, there.iter().find(is_it))
                })
            };
            self.report.keep(path.display().to_string(), sent)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        local: &Path,
        folder: Option<Uuid>,
        to: &RemotePath,
        current: Option<&File>,
    ) -> Result<(), Error> {
        self.send(local, &mut Source::open(local)?, folder, to, current)
    }

    fn send(
        &mut self,
        local: &Path,
        source: &mut Source,
        folder: Option<Uuid>,
        to: &RemotePath,
        current: Option<&File>,
    ) -> Result<(), Error> {
        let how = self.report.how;
        let (progress, called, total_bytes) = (Progress::new(how.is_told()), to.to_text(), source.size_bytes());
        let place = Place { folder, path: to, current };
        let tell = |done| progress.tell(&called, done, total_bytes);
        let Put { file, sent_bytes } = put::put(self.tree.line, self.now, source, &place, how.force, &tell)?;
        drop(progress);
        let length = size(file.size_bytes);
        let text = match sent_bytes {
            None => format!("{to}: {length}, unchanged"),
            Some(sent) if sent < file.size_bytes => format!("{to}: {length}, stored, {} of it now", size(sent)),
            Some(_) => format!("{to}: {length}, stored"),
        };
        let told = json!({
            "local": local.to_string_lossy(),
            "path": to.to_text(),
            "id": file.id,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "revision": file.revision,
            "moved_bytes": sent_bytes,
        });
        self.report.done(&text, told);
        Ok(())
    }
}

/// The file that is there, if anything is.
fn file(current: Option<Node>, at: &RemotePath) -> Result<Option<File>, Error> {
    match current {
        None => Ok(None),
        Some(Node::File(file)) => Ok(Some(*file)),
        Some(Node::Root | Node::Folder(_)) => Err(Error::Usage(format!("{at} is a folder at the box."))),
    }
}

/// What a file or a directory is called, also where it is named by dots.
fn own_name(path: &Path) -> Result<String, Error> {
    let whole = match path.file_name() {
        Some(_) => path.to_owned(),
        None => fs::canonicalize(path).map_err(Error::io(format!("looking at {}", path.display())))?,
    };
    let is_piped = path == Path::new("-");
    let name = whole.file_name().and_then(|name| name.to_str()).filter(|_| !is_piped);
    let no_name = || Error::Usage(format!("{} has no name that a box takes. Give the file one.", path.display()));
    name.map(ToOwned::to_owned).ok_or_else(no_name)
}
