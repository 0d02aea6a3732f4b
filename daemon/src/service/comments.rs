//! Comments on files and folders, with what they said before they were edited.

use rusqlite::Connection;
use uuid::Uuid;

use super::Error;
use super::access::{self, audited, editable};
use super::caller::Caller;
use super::common::Common;
use super::items::{discussable, seen};
use crate::model::access::Viewer;
use crate::model::comment::{Comment, CommentText, CommentVersion, MAX_COMMENTS, MAX_EDITS};
use crate::model::event::Event;
use crate::model::item::Item;
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::comments;

/// Largest page of a list: 4 MiB, when every comment is as long as it may be.
const MAX_PAGE: u32 = 500;

/// The comments of the vault.
pub(crate) struct Comments {
    common: Common,
}

impl Comments {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// A page of the comments on an item, first to last, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        item_id: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<(Vec<Comment>, Option<Uuid>), Error> {
        caller.require(Action::Read).await?;
        let (viewer, limit) = (access::viewer(caller), limit.clamp(1, MAX_PAGE));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            seen(connection, &viewer, item_id)?;
            Ok(comments::list(connection, item_id, after, limit + 1)?)
        });
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|comment| comment.id);
        Ok((items, next))
    }

    /// Says something about an item.
    pub(crate) async fn add(&self, caller: &Caller, item_id: Uuid, text: CommentText) -> Result<Comment, Error> {
        caller.require(Action::Comment).await?;
        let viewer = access::viewer(caller);
        let comment = Comment {
            id: self.common.ids.next(),
            item_id,
            text: text.into_string(),
            created_at: self.common.clock.now(),
            created_by: caller.user.id,
            edited_at: None,
            edits: 0,
        };
        let entry = self.common.auditor.entry(&caller.context, "comment.added", Outcome::Success, Some(item_id));
        let entry = entry.with_detail(format!("comment: {}", comment.id));
        let added = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let item = discussable(transaction, &viewer, item_id)?;
            if comments::count(transaction, item_id)? >= MAX_COMMENTS {
                return Err(Error::LimitReached { what: "comments on this item", limit: MAX_COMMENTS });
            }
            comments::insert(transaction, &comment)?;
            audit::insert(transaction, &entry)?;
            Ok((comment, item.place()))
        });
        let (comment, place) = audited(&self.common, caller, Action::Comment, Some(item_id), added.await).await?;
        self.common.events.publish(&Event::ItemAnnotated { item_id, place });
        Ok(comment)
    }

    /// Gives the caller's own comment another text; what it said stays in its history.
    pub(crate) async fn edit(&self, caller: &Caller, id: Uuid, text: CommentText) -> Result<Comment, Error> {
        caller.require(Action::Comment).await?;
        let (viewer, now, text) = (access::viewer(caller), self.common.clock.now(), text.into_string());
        let entry = self.common.auditor.entry(&caller.context, "comment.edited", Outcome::Success, Some(id));
        let edited = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let (before, item) = seen_comment(transaction, &viewer, id)?;
            discussable(transaction, &viewer, item.id())?;
            if before.created_by != viewer.user_id {
                return Err(Error::Forbidden);
            }
            if before.text != text {
                if before.edits >= MAX_EDITS {
                    return Err(Error::LimitReached { what: "edits of this comment", limit: MAX_EDITS });
                }
                comments::edit(transaction, &before, &text, now)?;
                audit::insert(transaction, &entry)?;
            }
            Ok((seen_comment(transaction, &viewer, id)?.0, item.place()))
        });
        let (comment, place) = audited(&self.common, caller, Action::Comment, Some(id), edited.await).await?;
        self.common.events.publish(&Event::ItemAnnotated { item_id: comment.item_id, place });
        Ok(comment)
    }

    /// Deletes a comment with its history: the caller's own, or anybody's for who may change everything.
    pub(crate) async fn delete(&self, caller: &Caller, id: Uuid) -> Result<(), Error> {
        caller.require(Action::Comment).await?;
        let viewer = access::viewer(caller);
        let entry = self.common.auditor.entry(&caller.context, "comment.deleted", Outcome::Success, Some(id));
        let deleted = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let (comment, item) = seen_comment(transaction, &viewer, id)?;
            discussable(transaction, &viewer, item.id())?;
            editable(transaction, &viewer, comment.created_by)?;
            comments::delete(transaction, id)?;
            audit::insert(transaction, &entry.with_detail(format!("on: {}", comment.item_id)))?;
            Ok((comment.item_id, item.place()))
        });
        let (item_id, place) = audited(&self.common, caller, Action::Comment, Some(id), deleted.await).await?;
        self.common.events.publish(&Event::ItemAnnotated { item_id, place });
        Ok(())
    }

    /// Everything that a comment ever said, what it says now as the last.
    pub(crate) async fn history(&self, caller: &Caller, id: Uuid) -> Result<Vec<CommentVersion>, Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let (comment, _) = seen_comment(connection, &viewer, id)?;
            let mut versions = comments::history(connection, id)?;
            let written_at = comment.written_at();
            versions.push(CommentVersion { number: comment.edits + 1, text: comment.text, written_at });
            Ok(versions)
        });
        read.await
    }
}

/// A comment on something that is there for the viewer.
fn seen_comment(connection: &Connection, viewer: &Viewer, id: Uuid) -> Result<(Comment, Item), Error> {
    const WHAT: Error = Error::NotFound("comment");
    let comment = comments::find(connection, id)?.ok_or(WHAT)?;
    match seen(connection, viewer, comment.item_id) {
        Ok(item) => Ok((comment, item)),
        Err(Error::NotFound(_)) => Err(WHAT),
        Err(error) => Err(error),
    }
}
