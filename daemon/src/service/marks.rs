//! Favourites and labels, everybody's own, and stars, which all see.

use rusqlite::Transaction;
use uuid::Uuid;

use super::Error;
use super::access::{self, audited};
use super::caller::Caller;
use super::common::Common;
use super::items::{MAX_PAGE, Places, editable, seen, seen_page};
use crate::model::cursor::{Cursor, Key};
use crate::model::event::Event;
use crate::model::mark::{Colour, MarkedItem};
use crate::model::role::Action;
use crate::repo::audit::{self, Outcome};
use crate::repo::marks;
use crate::storage::database::DatabaseError;

/// Favourites that one person may have.
const MAX_FAVOURITES: u32 = 10_000;

/// The marks in the vault.
pub(crate) struct Marks {
    common: Common,
}

impl Marks {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Makes an item a favourite of the caller's, or none. No change when it is that already.
    pub(crate) async fn set_favourite(&self, caller: &Caller, item_id: Uuid, wanted: bool) -> Result<(), Error> {
        let (user_id, now) = (caller.user.id, self.common.clock.now());
        let action = if wanted { "favourite.added" } else { "favourite.removed" };
        self.change_own(caller, item_id, action, move |transaction| {
            if !wanted {
                return Ok(marks::remove_favourite(transaction, user_id, item_id)?);
            }
            let added = marks::add_favourite(transaction, user_id, item_id, now)?;
            if added && marks::count_favourites(transaction, user_id)? > MAX_FAVOURITES {
                return Err(Error::LimitReached { what: "favourites of yours", limit: MAX_FAVOURITES });
            }
            Ok(added)
        })
        .await
    }

    /// Gives an item a colour for the caller, or takes it away. No change when it is that already.
    pub(crate) async fn set_label(&self, caller: &Caller, item_id: Uuid, colour: Option<Colour>) -> Result<(), Error> {
        let user_id = caller.user.id;
        let action = if colour.is_some() { "label.set" } else { "label.removed" };
        self.change_own(caller, item_id, action, move |transaction| {
            Ok(match colour {
                Some(colour) => marks::set_label(transaction, user_id, item_id, colour)?,
                None => marks::remove_label(transaction, user_id, item_id)?,
            })
        })
        .await
    }

    async fn change_own(
        &self,
        caller: &Caller,
        item_id: Uuid,
        action: &str,
        change: impl FnOnce(&Transaction<'_>) -> Result<bool, Error> + Send + 'static,
    ) -> Result<(), Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(item_id));
        let changed = caller.store().database.write(move |transaction| -> Result<(), Error> {
            seen(transaction, &viewer, item_id)?;
            if change(transaction)? {
                audit::insert(transaction, &entry)?;
            }
            Ok(())
        });
        changed.await
    }

    /// Gives an item a star, or takes it away. No change when it is that already.
    pub(crate) async fn set_star(&self, caller: &Caller, item_id: Uuid, wanted: bool) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let (viewer, now) = (access::viewer(caller), self.common.clock.now());
        let action = if wanted { "star.added" } else { "star.removed" };
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(item_id));
        let changed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let item = editable(transaction, &viewer, item_id)?;
            let changed = if wanted {
                marks::add_star(transaction, viewer.user_id, item_id, now)?
            } else {
                marks::remove_star(transaction, item_id)?
            };
            if changed {
                audit::insert(transaction, &entry)?;
            }
            Ok(changed.then(|| item.place()))
        });
        let changed = audited(&self.common, caller, Action::Edit, Some(item_id), changed.await).await?;
        if let Some(place) = changed {
            self.common.events.publish(&Event::ItemAnnotated { item_id, place });
        }
        Ok(())
    }

    /// A page of the caller's favourites, the last first, and where the next page starts.
    pub(crate) async fn favourites(
        &self,
        caller: &Caller,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<MarkedItem>, Option<Cursor>), Error> {
        let user_id = caller.user.id;
        self.list(caller, after, limit, move |connection, after, limit| {
            marks::favourites(connection, user_id, after, limit)
        })
        .await
    }

    /// A page of what has a star and the caller sees, the last first, and where the next page starts.
    pub(crate) async fn stars(
        &self,
        caller: &Caller,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<(Vec<MarkedItem>, Option<Cursor>), Error> {
        self.list(caller, after, limit, marks::stars).await
    }

    async fn list(
        &self,
        caller: &Caller,
        after: Option<Cursor>,
        limit: u32,
        fetch: impl Fn(&rusqlite::Connection, Option<&Cursor>, u32) -> Result<Vec<marks::Mark>, DatabaseError>
        + Send
        + 'static,
    ) -> Result<(Vec<MarkedItem>, Option<Cursor>), Error> {
        caller.require(Action::Read).await?;
        let (viewer, limit) = (access::viewer(caller), limit.clamp(1, MAX_PAGE));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let mut places = Places::new(connection, viewer);
            let fetch = |after: Option<&Cursor>| Ok(fetch(connection, after, limit)?);
            seen_page(limit, after, fetch, |mark: marks::Mark| {
                let cursor = Cursor { key: Key::Number(mark.added_at.as_millisecond()), id: mark.item_id };
                let item = places.item(mark.item_id)?;
                Ok((cursor, item.map(|item| MarkedItem { item, added_at: mark.added_at })))
            })
        });
        read.await
    }
}
