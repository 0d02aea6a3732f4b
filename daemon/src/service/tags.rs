//! Tags: put them on files and folders, take them off, see which there are.

use std::collections::HashMap;

use uuid::Uuid;

use super::Error;
use super::access::{self, audited};
use super::caller::Caller;
use super::common::Common;
use super::items::{Places, editable};
use crate::model::event::Event;
use crate::model::role::Action;
use crate::model::tag::{MAX_TAGS, TagCount, TagName};
use crate::repo::audit::{self, Outcome};
use crate::repo::tags;

/// Largest page of the list of tags.
const MAX_PAGE: u32 = 500;

/// Places that are looked at before others get at the database.
const PLACES: u32 = 500;

/// Tags that are looked at for one page, at most; the cursor goes on behind them.
const MAX_LOOKED_AT: usize = 2000;

/// The tags of the vault.
pub(crate) struct Tags {
    common: Common,
}

impl Tags {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// Gives an item a tag. No change when it has it.
    pub(crate) async fn add(&self, caller: &Caller, item_id: Uuid, tag: TagName) -> Result<(), Error> {
        self.change(caller, item_id, tag, true).await
    }

    /// Takes a tag from an item. No change when it does not have it.
    pub(crate) async fn remove(&self, caller: &Caller, item_id: Uuid, tag: TagName) -> Result<(), Error> {
        self.change(caller, item_id, tag, false).await
    }

    async fn change(&self, caller: &Caller, item_id: Uuid, tag: TagName, wanted: bool) -> Result<(), Error> {
        caller.require(Action::EditOwn).await?;
        let viewer = access::viewer(caller);
        let action = if wanted { "tag.added" } else { "tag.removed" };
        let entry = self.common.auditor.entry(&caller.context, action, Outcome::Success, Some(item_id));
        let entry = entry.with_detail(tag.as_str());
        let changed = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let item = editable(transaction, &viewer, item_id)?;
            let changed =
                if wanted { tags::add(transaction, item_id, &tag)? } else { tags::remove(transaction, item_id, &tag)? };
            if wanted && tags::count(transaction, item_id)? > MAX_TAGS {
                return Err(Error::LimitReached { what: "tags on this item", limit: MAX_TAGS });
            }
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

    /// A page of the tags of what the caller sees, by name, and behind which key the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        after: Option<String>,
        limit: u32,
    ) -> Result<(Vec<TagCount>, Option<String>), Error> {
        caller.require(Action::Read).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let (mut after, mut found, mut looked_at) = (after.unwrap_or_default(), Vec::new(), 0);
        let mut known = HashMap::new();
        loop {
            let start = after.clone();
            let read = caller.store().database.read(move |connection| tags::list(connection, &start, limit));
            let batch = read.await?;
            let is_last = batch.len() < limit as usize;
            for tag in batch {
                let items = count(caller, tag.id, &mut known).await?;
                after = tag.key;
                looked_at += 1;
                if items > 0 {
                    found.push(TagCount { name: tag.name, items });
                }
                if found.len() == limit as usize || looked_at >= MAX_LOOKED_AT {
                    return Ok((found, Some(after)));
                }
            }
            if is_last {
                return Ok((found, None));
            }
        }
    }
}

/// How many items with a tag the caller sees. Whether they see a folder is asked once.
async fn count(caller: &Caller, tag_id: i64, known: &mut HashMap<Option<Uuid>, bool>) -> Result<u64, Error> {
    let viewer = access::viewer(caller);
    let (mut items, mut after) = (0, None);
    loop {
        let (start, mut carried) = (after.clone(), std::mem::take(known));
        let read = caller.store().database.read(move |connection| -> Result<_, Error> {
            let found = tags::places(connection, tag_id, start.as_deref(), PLACES)?;
            let mut places = Places::knowing(connection, viewer, carried);
            let mut items = 0;
            for place in &found {
                if places.sees(place.folder_id)? {
                    items += place.items;
                }
            }
            carried = places.into_known();
            let is_last = found.len() < PLACES as usize;
            Ok((items, found.into_iter().last().filter(|_| !is_last).map(|place| place.key), carried))
        });
        let (more, next, learned) = read.await?;
        *known = learned;
        items += more;
        let Some(next) = next else { return Ok(items) };
        after = Some(next);
    }
}
