//! What lies where at a box: looked up by path, listed, made, moved, put into the trash. What somebody may not see is not there.

use std::ops::ControlFlow;

use coffer_api::{ChangeFolder, CreateFolder, File, Folder, Page, PlaceFile};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use ureq::http::Method;
use uuid::Uuid;

use super::{error::Error, path::RemotePath};
use crate::secrets::{failure::Failure, line::Line};

/// As many as the box gives at a time.
const PAGE: usize = 500;
/// No folder has more pages than this: two million files.
const MAX_PAGES: usize = 4000;

/// Something at a box.
#[derive(Debug)]
pub enum Node {
    /// What everything lies in.
    Root,
    /// A folder.
    Folder(Box<Folder>),
    /// A file.
    File(Box<File>),
}

impl Node {
    /// Of a folder, as what lies in it names it: nothing is the root.
    pub fn folder_id(&self) -> Option<Uuid> {
        match self {
            Self::Folder(folder) => Some(folder.id),
            Self::Root | Self::File(_) => None,
        }
    }
}

/// What lies directly in a folder, by name.
pub struct Listing {
    /// Its folders.
    pub folders: Vec<Folder>,
    /// Its files.
    pub files: Vec<File>,
}

/// The files of a box.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    /// By whom it is asked.
    pub line: &'a Line<'a>,
}

impl Tree<'_> {
    /// What is at a path.
    pub fn find(self, path: &RemotePath) -> Result<Node, Error> {
        let what = if path.is_folder() { "folder" } else { "file or folder" };
        self.look(path)?.ok_or_else(|| Error::Nothing { what, path: path.clone() })
    }

    /// The id of the folder at a path; nothing for the root.
    pub fn folder(self, path: &RemotePath) -> Result<Option<Uuid>, Error> {
        match self.look(path)? {
            Some(Node::Root) => Ok(None),
            Some(Node::Folder(folder)) => Ok(Some(folder.id)),
            Some(Node::File(_)) | None => Err(Error::Nothing { what: "folder", path: path.clone() }),
        }
    }

    /// What is at a path, if anything is.
    pub fn look(self, path: &RemotePath) -> Result<Option<Node>, Error> {
        let Some((last, above)) = path.names().split_last() else { return Ok(Some(Node::Root)) };
        let mut parent = None;
        for name in above {
            match self.folder_in(parent, name)? {
                Some(folder) => parent = Some(folder.id),
                None => return Ok(None),
            }
        }
        if path.is_folder() {
            return Ok(self.folder_in(parent, last)?.map(|folder| Node::Folder(Box::new(folder))));
        }
        self.child(parent, last)
    }

    /// What has that name in a folder.
    pub fn child(self, parent: Option<Uuid>, name: &str) -> Result<Option<Node>, Error> {
        if let Some(folder) = self.folder_in(parent, name)? {
            return Ok(Some(Node::Folder(Box::new(folder))));
        }
        let file = self.first::<File>(&files_in(parent), |file| file.name == name)?;
        Ok(file.map(|file| Node::File(Box::new(file))))
    }

    /// Everything directly in a folder.
    pub fn list(self, parent: Option<Uuid>) -> Result<Listing, Error> {
        let (mut folders, mut files) = (Vec::new(), Vec::new());
        self.pages(&folders_in(parent), |folder| keep(&mut folders, folder))?;
        self.pages(&files_in(parent), |file| keep(&mut files, file))?;
        Ok(Listing { folders, files })
    }

    /// The folder at a path, which is made with those above it where they are missing. Nothing for the root.
    pub fn make(self, path: &RemotePath) -> Result<Option<Uuid>, Error> {
        let mut parent = None;
        for name in path.names() {
            parent = Some(self.make_in(parent, name)?);
        }
        Ok(parent)
    }

    /// The folder of that name in another one, which is made if it is missing.
    pub fn make_in(self, parent_id: Option<Uuid>, name: &str) -> Result<Uuid, Error> {
        if let Some(folder) = self.folder_in(parent_id, name)? {
            return Ok(folder.id);
        }
        let body = CreateFolder { parent_id, name: name.to_owned() };
        let made: Folder = self.line.send(Method::POST, "/folders", Some(&body))?;
        Ok(made.id)
    }

    /// Gives something a new place and a new name.
    pub fn place(self, node: &Node, folder_id: Option<Uuid>, name: &str) -> Result<(), Error> {
        match node {
            Node::Root => return Err(Error::Usage("The root stays where it is.".to_owned())),
            Node::Folder(folder) => {
                let body =
                    ChangeFolder { name: Some(name.to_owned()), parent_id: Some(folder_id), ..ChangeFolder::default() };
                self.line.send::<_, Folder>(Method::PATCH, &format!("/folders/{}", folder.id), Some(&body))?;
            }
            Node::File(file) => {
                let body = PlaceFile { name: Some(name.to_owned()), folder_id: Some(folder_id) };
                self.line.send::<_, File>(Method::PATCH, &format!("/files/{}", file.id), Some(&body))?;
            }
        }
        Ok(())
    }

    /// Puts something into the trash, with all that is in it.
    pub fn trash(self, node: &Node) -> Result<(), Error> {
        let path = match node {
            Node::Root => return Err(Error::Usage("The root stays where it is.".to_owned())),
            Node::Folder(folder) => format!("/folders/{}", folder.id),
            Node::File(file) => format!("/files/{}", file.id),
        };
        Ok(self.line.send::<(), ()>(Method::DELETE, &path, None)?)
    }

    fn folder_in(self, parent: Option<Uuid>, name: &str) -> Result<Option<Folder>, Error> {
        self.first::<Folder>(&folders_in(parent), |folder| folder.name == name)
    }

    fn first<T: DeserializeOwned>(self, path: &str, is_it: impl Fn(&T) -> bool) -> Result<Option<T>, Error> {
        let mut found = None;
        self.pages(path, |item: T| {
            if is_it(&item) {
                found = Some(item);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn pages<T: DeserializeOwned>(self, path: &str, mut take: impl FnMut(T) -> ControlFlow<()>) -> Result<(), Failure> {
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.line.get(&format!("{path}{cursor}"))?;
            if page.items.into_iter().try_for_each(&mut take).is_break() {
                return Ok(());
            }
            let Some(next) = page.next_cursor else { return Ok(()) };
            cursor = format!("&cursor={}", utf8_percent_encode(&next, NON_ALPHANUMERIC));
        }
        Err(self.line.protocol("a list of it has no end"))
    }
}

fn keep<T>(all: &mut Vec<T>, one: T) -> ControlFlow<()> {
    all.push(one);
    ControlFlow::Continue(())
}

fn folders_in(parent: Option<Uuid>) -> String {
    list("/folders", "parent_id", parent)
}

fn files_in(folder: Option<Uuid>) -> String {
    list("/files", "folder_id", folder)
}

fn list(path: &str, name: &str, id: Option<Uuid>) -> String {
    let of = id.map_or_else(String::new, |id| format!("&{name}={id}"));
    format!("{path}?limit={PAGE}&order_by=name{of}")
}
