//! Files: what each command does with the command line, the tree and the library, and what it tells. docs/client-files.md is the
//! manual.

mod get;
mod put;

use std::iter;

use coffer_api::SecretString;
use coffer_client::{
    files::{
        error::Error,
        path::{RemotePath, shown},
        share::{self, Made, Terms},
        tree::{Node, Tree},
    },
    secrets::line::Line,
};
use serde_json::{Value, json};

pub(crate) use self::{get::get, put::put};
use super::{Machine, ask::Question, show};
use crate::cli::{Files, How, Out, Share, Unshare};

/// Does what a command says.
pub(crate) fn run(machine: &Machine, command: Files) -> Result<(), Error> {
    match command {
        Files::Ls { path, long, out } => list(machine, &path, long, &out),
        Files::Put(options) => put(machine, &options),
        Files::Mv { from, to, out } => rename(machine, &from, &to, &out),
        Files::Rm { path, recursive, out } => remove(machine, &path, recursive, &out),
    }
}

fn list(machine: &Machine, path: &str, is_long: bool, out: &Out) -> Result<(), Error> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let (tree, path) = (Tree { line: &line }, RemotePath::parse(path)?);
    let nodes: Vec<Node> = match tree.find(&path)? {
        file @ Node::File(_) => vec![file],
        folder @ (Node::Root | Node::Folder(_)) => {
            let listing = tree.list(folder.folder_id())?;
            let folders = listing.folders.into_iter().map(|folder| Node::Folder(Box::new(folder)));
            folders.chain(listing.files.into_iter().map(|file| Node::File(Box::new(file)))).collect()
        }
    };
    if out.json {
        let entries: Vec<Value> = nodes.iter().map(entry).collect();
        show::done(out, "", &json!({ "path": path.to_text(), "entries": entries }));
    } else {
        for node in &nodes {
            show::done(out, &described(node, is_long), &Value::Null);
        }
    }
    Ok(())
}

/// As programs read it.
fn entry(node: &Node) -> Value {
    match node {
        Node::Root => json!({ "kind": "folder", "name": "/" }),
        Node::Folder(folder) => json!({
            "kind": "folder",
            "name": folder.name,
            "id": folder.id,
            "modified_at": folder.modified_at,
            "total_bytes": folder.total_bytes,
        }),
        Node::File(file) => json!({
            "kind": "file",
            "name": file.name,
            "id": file.id,
            "modified_at": file.modified_at,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "revision": file.revision,
        }),
    }
}

fn described(node: &Node, is_long: bool) -> String {
    let (name, size_bytes, modified_at) = match node {
        Node::Root => return "/".to_owned(),
        Node::Folder(folder) => (format!("{}/", shown(&folder.name)), folder.total_bytes, folder.modified_at),
        Node::File(file) => (shown(&file.name), file.size_bytes, file.modified_at),
    };
    if is_long { format!("{size_bytes:>14}  {modified_at:.0}  {name}") } else { name }
}

fn rename(machine: &Machine, from: &str, to: &str, out: &Out) -> Result<(), Error> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let (tree, from, to) = (Tree { line: &line }, RemotePath::parse(from)?, RemotePath::parse(to)?);
    let node = tree.find(&from)?;
    let Some((_, name)) = from.split() else { return Err(Error::Usage("The root stays where it is.".to_owned())) };
    let is_into = to.is_folder() || matches!(tree.look(&to)?, Some(Node::Root | Node::Folder(_)));
    let to = if is_into { to.join(name) } else { to };
    let Some((above, name)) = to.split() else { return Err(Error::Usage("It needs a name.".to_owned())) };
    tree.place(&node, tree.folder(&above)?, name)?;
    show::done(out, &format!("{from} is {to} now."), &json!({ "from": from.to_text(), "to": to.to_text() }));
    Ok(())
}

fn remove(machine: &Machine, path: &str, is_recursive: bool, out: &Out) -> Result<(), Error> {
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let (tree, path) = (Tree { line: &line }, RemotePath::parse(path)?);
    let node = tree.find(&path)?;
    if let (Node::Folder(_), false) = (&node, is_recursive) {
        return Err(Error::Usage(format!("{path} is a folder: --recursive takes it with all that is in it.")));
    }
    tree.trash(&node)?;
    let text = format!("{path} is in the trash of the box, which keeps it for as long as its rules say.");
    show::done(out, &text, &json!({ "path": path.to_text(), "trashed": true }));
    Ok(())
}

/// Makes a link to a file or a folder.
pub(crate) fn share(machine: &Machine, options: &Share) -> Result<(), Error> {
    if options.name.is_some() {
        return Err(Error::Usage("A path is shared by a link, not with somebody: leave the name out.".to_owned()));
    }
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let path = RemotePath::parse(&options.what)?;
    let node = Tree { line: &line }.find(&path)?;
    let password = password(options)?;
    let expires_at = options.expires.and_then(|life| (machine.now)().checked_add(life).ok());
    let Made { link: address, share } =
        share::create(&line, &node, Terms { password, expires_at, downloads: options.views })?;
    let told = json!({
        "path": path.to_text(),
        "id": share.id,
        "link": address.expose(),
        "expires_at": share.expires_at,
        "downloads": share.max_downloads,
        "has_password": share.has_password,
    });
    show::done(&options.out, address.expose(), &told);
    if !options.out.json {
        let times = share.max_downloads.map(|downloads| format!("for {downloads} downloads"));
        let until = share.expires_at.map(|end| format!("until {end:.0}"));
        let limits: Vec<String> = times.into_iter().chain(until).collect();
        let limits = if limits.is_empty() { "until `coffer unshare` ends it".to_owned() } else { limits.join(", ") };
        show::note(&format!("Whoever has the link gets {path}, {limits}."));
    }
    Ok(())
}

fn password(options: &Share) -> Result<Option<SecretString>, Error> {
    if !options.password && options.password_file.is_none() {
        return Ok(None);
    }
    let question = Question {
        what: "The password of the link",
        flag: "--password-file",
        file: options.password_file.as_deref(),
        is_new: true,
    };
    Ok(Some(question.ask()?))
}

/// Takes one's own links to a file or a folder back.
pub(crate) fn unshare(machine: &Machine, options: &Unshare) -> Result<(), Error> {
    if options.name.is_some() {
        return Err(Error::Usage("A path is shared by links, not with somebody: leave the name out.".to_owned()));
    }
    let device = machine.device()?;
    let line = Line::new(&device)?;
    let path = RemotePath::parse(&options.what)?;
    let node = Tree { line: &line }.find(&path)?;
    let ended = share::take_back(&line, &node)?;
    let text = match ended {
        0 => format!("There was no link of yours to {path}."),
        1 => format!("The link to {path} opens nothing any more."),
        more => format!("The {more} links to {path} open nothing any more."),
    };
    show::done(&options.out, &text, &json!({ "path": path.to_text(), "ended": ended }));
    Ok(())
}

/// What became of the files of a command. With JSON it is one document, told at the end.
struct Report<'a> {
    how: &'a How,
    done: Vec<Value>,
    failed: Vec<(String, Error)>,
}

impl<'a> Report<'a> {
    fn new(how: &'a How) -> Self {
        Self { how, done: Vec::new(), failed: Vec::new() }
    }

    fn done(&mut self, text: &str, told: Value) {
        if !self.how.quiet && !self.how.out.json {
            show::done(&self.how.out, text, &told);
        }
        self.done.push(told);
    }

    /// Says what was left out.
    fn left_out(&self, what: &str, why: &str) {
        if !self.how.quiet {
            show::note(&format!("{what} is left out: {why}."));
        }
    }

    /// A failure of one file is kept, so that the others are moved; what all would meet ends the command.
    fn keep(&mut self, what: String, moved: Result<(), Error>) -> Result<(), Error> {
        match moved {
            Err(error) if !error.is_of_all() => {
                self.failed.push((what, error));
                Ok(())
            }
            moved => moved,
        }
    }

    fn end(mut self, what: &str, ended: Result<(), Error>) -> Result<(), Error> {
        self.failed.extend(ended.err().map(|error| (what.to_owned(), error)));
        if self.how.out.json {
            let failure = |(what, error): &(String, Error)| json!({ "what": what, "exit_code": error.exit_code(), "text": error.to_string() });
            let failures: Vec<Value> = self.failed.iter().map(failure).collect();
            show::done(&self.how.out, "", &json!({ "files": self.done, "failures": failures }));
        }
        let Some((what, first)) = (!self.failed.is_empty()).then(|| self.failed.remove(0)) else { return Ok(()) };
        if self.done.is_empty() && self.failed.is_empty() {
            return Err(first);
        }
        let code = first.exit_code();
        let all = iter::once((what, first)).chain(self.failed);
        let count = all.inspect(|(what, error)| show::note(&format!("{}: {error}", shown(what)))).count();
        Err(Error::Partly { count, code })
    }
}
