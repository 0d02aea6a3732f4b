//! Files and folders alike: who may look at one and who may change what people put on it, all of that together, and what
//! changed last.

use std::collections::HashMap;

use rusqlite::Connection;
use uuid::Uuid;

use super::Error;
use super::access::{self, acting, editable_file, editable_folder, seen_file, seen_folder};
use super::caller::Caller;
use crate::model::access::Viewer;
use crate::model::comment::Comment;
use crate::model::cursor::{Cursor, Key};
use crate::model::item::Item;
use crate::model::mark::{Colour, Star};
use crate::model::note::Note;
use crate::model::role::Action;
use crate::repo::{access as rule, comments, items, marks, notes, tags, trash, tree};

/// Largest page of a list.
pub(super) const MAX_PAGE: u32 = 500;

/// Rows that are looked at for one page, at most; the cursor goes on behind them.
const MAX_LOOKED_AT: u32 = 5000;

/// Comments that the details hold.
const LAST_COMMENTS: u32 = 20;

/// What there is to know of single items.
pub(crate) struct Items;

/// All that people put on an item, and the caller.
pub(crate) struct Details {
    pub(crate) item: Item,
    pub(crate) tags: Vec<String>,
    pub(crate) favourite: bool,
    pub(crate) label: Option<Colour>,
    pub(crate) star: Option<Star>,
    pub(crate) note: Option<Note>,
    pub(crate) comment_count: u32,
    /// First to last.
    pub(crate) last_comments: Vec<Comment>,
}

impl Items {
    /// All that people put on an item.
    pub(crate) async fn details(&self, caller: &Caller, id: Uuid) -> Result<Details, Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let item = seen(connection, &viewer, id)?;
            let mut last_comments = comments::last(connection, id, LAST_COMMENTS)?;
            last_comments.reverse();
            Ok(Details {
                item,
                tags: tags::of_item(connection, id)?,
                favourite: marks::is_favourite(connection, viewer.user_id, id)?,
                label: marks::label(connection, viewer.user_id, id)?,
                star: marks::star(connection, id)?,
                note: notes::find(connection, id)?,
                comment_count: comments::count(connection, id)?,
                last_comments,
            })
        });
        read.await
    }

    /// A page of the files that the caller sees, from all folders, the last changed first; only those that the caller
    /// changed last when `own`.
    pub(crate) async fn recent(
        &self,
        caller: &Caller,
        own: bool,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<Item>, Option<Cursor>), Error> {
        caller.require(Action::Read).await?;
        let (viewer, limit) = (access::viewer(caller), limit.clamp(1, MAX_PAGE));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let mut places = Places::new(connection, viewer);
            let fetch = |after: Option<&Cursor>| {
                Ok(if own {
                    items::recent_of(connection, viewer.user_id, after, limit)?
                } else {
                    items::recent(connection, after, limit)?
                })
            };
            seen_page(limit, after, fetch, |file| {
                let cursor = Cursor { key: Key::Number(file.modified_at.as_millisecond()), id: file.id };
                let is_seen = places.sees(file.folder_id)?;
                Ok((cursor, is_seen.then_some(Item::File(file))))
            })
        });
        read.await
    }
}

/// A file or a folder that is there for the viewer.
pub(super) fn seen(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Item, Error> {
    alike(match trash::find(connection, id)? {
        Some(Item::File(_)) => seen_file(connection, viewer, id).map(Item::File),
        Some(Item::Folder(_)) => seen_folder(connection, viewer, id).map(|(folder, _)| Item::Folder(folder)),
        None => Err(NOT_THERE),
    })
}

/// As [`seen`], for a viewer who may change it.
pub(super) fn editable(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Item, Error> {
    alike(match trash::find(connection, id)? {
        Some(Item::File(_)) => editable_file(connection, viewer, id).map(Item::File),
        Some(Item::Folder(_)) => editable_folder(connection, viewer, id).map(Item::Folder),
        None => Err(NOT_THERE),
    })
}

const NOT_THERE: Error = Error::NotFound("item");

/// Whether something is a file or a folder is not told to who does not see it.
fn alike(result: Result<Item, Error>) -> Result<Item, Error> {
    result.map_err(|error| if matches!(error, Error::NotFound(_)) { NOT_THERE } else { error })
}

/// As [`seen`], for a viewer who may say something about it: whoever may write anything may, wherever they may look.
pub(super) fn discussable(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<Item, Error> {
    let item = seen(connection, viewer, id)?;
    acting(connection, viewer, Action::Comment)?;
    if tree::is_protected(connection, item.place())? { Err(Error::WriteProtected) } else { Ok(item) }
}

/// The rule of access, asked once for each folder within one call.
pub(super) struct Places<'a> {
    connection: &'a Connection,
    viewer: Viewer,
    known: HashMap<Option<Uuid>, bool>,
}

impl<'a> Places<'a> {
    /// Nothing asked yet.
    pub(super) fn new(connection: &'a Connection, viewer: Viewer) -> Self {
        Self::knowing(connection, viewer, HashMap::new())
    }

    /// With what was asked a moment ago.
    pub(super) fn knowing(connection: &'a Connection, viewer: Viewer, known: HashMap<Option<Uuid>, bool>) -> Self {
        Self { connection, viewer, known }
    }

    /// What was asked.
    pub(super) fn into_known(self) -> HashMap<Option<Uuid>, bool> {
        self.known
    }

    /// Whether the viewer sees what is in a folder.
    pub(super) fn sees(&mut self, folder_id: Option<Uuid>) -> Result<bool, Error> {
        if let Some(known) = self.known.get(&folder_id) {
            return Ok(*known);
        }
        let sees = rule::access(self.connection, &self.viewer, folder_id)?.is_some();
        self.known.insert(folder_id, sees);
        Ok(sees)
    }

    /// The item of that id, when it is there for the viewer.
    pub(super) fn item(&mut self, id: Uuid) -> Result<Option<Item>, Error> {
        let Some(item) = trash::find(self.connection, id)?.filter(|item| item.trashed().is_none()) else {
            return Ok(None);
        };
        Ok(self.sees(item.place())?.then_some(item))
    }
}

/// A page of what is seen of a long list, and where the next one starts. `fetch` gives up to `limit` rows behind a
/// cursor, `look` the cursor of a row and what is seen of it.
pub(super) fn seen_page<Row, T>(
    limit: u32,
    mut after: Option<Cursor>,
    fetch: impl Fn(Option<&Cursor>) -> Result<Vec<Row>, Error>,
    mut look: impl FnMut(Row) -> Result<(Cursor, Option<T>), Error>,
) -> Result<(Vec<T>, Option<Cursor>), Error> {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    loop {
        let rows = fetch(after.as_ref())?;
        let is_last = rows.len() < limit as usize;
        for row in rows {
            let (cursor, seen) = look(row)?;
            after = Some(cursor);
            looked_at += 1;
            found.extend(seen);
            if found.len() == limit as usize {
                return Ok((found, after));
            }
        }
        if is_last {
            return Ok((found, None));
        }
        if looked_at >= MAX_LOOKED_AT {
            return Ok((found, after));
        }
    }
}
