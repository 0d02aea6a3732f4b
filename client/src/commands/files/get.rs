//! Files of the box to this machine: one, or a tree.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
};

use coffer_api::File;
use coffer_client::{
    files::{
        error::Error,
        get::{self, Target},
        path::{self, RemotePath, shown},
        target::{Directory, is_part},
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

/// A box has no deeper trees than this.
const MAX_DEPTH: usize = 64;

/// Fetches what the command line says.
pub(crate) fn get(machine: &Machine, options: &cli::Get) -> Result<(), Error> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let from = RemotePath::parse(&options.what)?;
    let local = options.local.clone().unwrap_or_else(|| PathBuf::from("."));
    let tree = Tree { line: &line };
    let node = tree.find(&from)?;
    if local == Path::new("-") {
        return stream(tree, &node, &from, &options.how);
    }
    let mut receiver = Receiver { tree, now: (machine.now)(), report: Report::new(&options.how) };
    let fetched = receiver.node(&node, &from, &local);
    receiver.report.end(&from.to_text(), fetched)
}

fn stream(tree: Tree<'_>, node: &Node, from: &RemotePath, how: &cli::How) -> Result<(), Error> {
    let Node::File(file) = node else {
        return Err(Error::Usage(format!("{from} is a folder, which does not go to standard output.")));
    };
    if how.out.json {
        return Err(Error::Usage("Standard output is the file's: leave --json out.".to_owned()));
    }
    let (progress, called) = (Progress::new(how.is_told()), from.to_text());
    get::stream(tree.line, file, from, &mut io::stdout().lock(), &|done| progress.tell(&called, done, file.size_bytes))
}

struct Receiver<'a> {
    tree: Tree<'a>,
    now: Timestamp,
    report: Report<'a>,
}

impl Receiver<'_> {
    fn node(&mut self, node: &Node, from: &RemotePath, local: &Path) -> Result<(), Error> {
        match node {
            Node::File(file) => {
                let (directory, name) = place(local, &file.name)?;
                self.file(file, from, &Directory::open(&directory)?, &name)
            }
            Node::Root | Node::Folder(_) if !self.report.how.recursive => {
                Err(Error::Usage(format!("{from} is a folder: --recursive fetches it with all that is in it.")))
            }
            Node::Root => self.tree(None, from, &Directory::open(local)?, 0),
            Node::Folder(folder) => {
                let (directory, name) = place(local, &folder.name)?;
                let directory = Directory::open(&directory)?.enter(&name)?;
                self.tree(Some(folder.id), from, &directory, 0)
            }
        }
    }

    fn tree(
        &mut self,
        folder: Option<Uuid>,
        from: &RemotePath,
        directory: &Directory,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::Usage(format!("{from} lies deeper than anything at a box can.")));
        }
        let listing = self.tree.list(folder)?;
        for file in &listing.files {
            let path = from.join(&file.name);
            let received = checked(&file.name).and_then(|name| self.file(file, &path, directory, name));
            self.report.keep(path.to_text(), received)?;
        }
        for folder in &listing.folders {
            let path = from.join(&folder.name);
            let received = checked(&folder.name)
                .and_then(|name| directory.enter(name))
                .and_then(|directory| self.tree(Some(folder.id), &path, &directory, depth + 1));
            self.report.keep(path.to_text(), received)?;
        }
        Ok(())
    }

    fn file(&mut self, file: &File, from: &RemotePath, directory: &Directory, name: &OsStr) -> Result<(), Error> {
        let how = self.report.how;
        let (progress, called) = (Progress::new(how.is_told()), from.to_text());
        let target = Target { directory, name, may_replace: how.force };
        let tell = |done| progress.tell(&called, done, file.size_bytes);
        let moved_bytes = get::get(self.tree.line, self.now, file, from, &target, &tell)?;
        drop(progress);
        let (local, length) = (directory.path_of(name), size(file.size_bytes));
        let called = shown(&local.to_string_lossy());
        let text = match moved_bytes {
            None => format!("{called}: {length}, unchanged"),
            Some(moved) if moved < file.size_bytes => format!("{called}: {length}, fetched, {} of it now", size(moved)),
            Some(_) => format!("{called}: {length}, fetched"),
        };
        let told = json!({
            "path": from.to_text(),
            "local": local.to_string_lossy(),
            "id": file.id,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "revision": file.revision,
            "moved_bytes": moved_bytes,
        });
        self.report.done(&text, told);
        Ok(())
    }
}

/// The directory that something goes to, and its name in there: its own in a directory that is there, or else a new one.
fn place(local: &Path, own_name: &str) -> Result<(PathBuf, OsString), Error> {
    if local.is_dir() {
        return Ok((local.to_owned(), checked(own_name)?.to_owned()));
    }
    let ends_in_slash = local.as_os_str().as_encoded_bytes().ends_with(b"/");
    match (local.parent(), local.file_name()) {
        (Some(above), Some(name)) if !ends_in_slash => {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            Ok((above.to_owned(), name.to_owned()))
        }
        _ => Err(Error::Usage(format!("There is no directory {}.", local.display()))),
    }
}

/// A name that the box gives, as one that may be written.
fn checked(name: &str) -> Result<&OsStr, Error> {
    path::check(name)?;
    if is_part(name.as_ref()) { Err(Error::Name(name.to_owned())) } else { Ok(name.as_ref()) }
}
