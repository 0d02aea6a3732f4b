//! What an item said before: the box keeps all of its revisions, and the item's own key opens them.

use coffer_api::{Page, SecretRevision};
use coffer_crypto::secrets::item::Version;
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    content::Content, decode, failure::Failure, line::Line, pull::read, push::Writer, replica::Kind, rows::Base,
};

/// A state of an item.
pub struct Past {
    /// Counts from 1.
    pub revision: u64,
    /// When, by the box's clock.
    pub changed_at: Timestamp,
    /// By whom, by the box's word.
    pub changed_by: Uuid,
    /// What it said; `None` when it was deleted by that.
    pub content: Option<Content>,
}

/// The revisions that the box has of an item, newest first, from one on.
///
/// Each opens as what it is said to be: one of this item, of this number, written by somebody who had its key. When, and by
/// whom, is the box's word.
pub fn of(line: &Line<'_>, vault: Uuid, item: Uuid) -> Result<Vec<Past>, Failure> {
    let base: Option<Base> = line.device.replica.rows().get(Kind::Base, vault, item)?;
    let Some(base) = base else { return Ok(Vec::new()) };
    let key = Writer::of(line, vault)?.item_key(item, &base)?;
    let mut past = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/secrets/vaults/{vault}/items/{item}/revisions{cursor}");
        let page: Page<SecretRevision> = line.get(&path)?;
        for told in page.items {
            if past.last().is_some_and(|last: &Past| last.revision <= told.revision) {
                return Err(line.protocol("the revisions of an item are not in their order"));
            }
            let version = Version { revision: told.revision, generation: told.generation };
            let sealed = told.content.as_deref().map(|content| decode(content).unwrap_or_default());
            let content = sealed.map(|sealed| Ok::<_, Failure>(read(&key.open(version, &sealed)?))).transpose()?;
            let SecretRevision { revision, changed_at, changed_by, .. } = told;
            past.push(Past { revision, changed_at, changed_by, content });
        }
        match page.next_cursor {
            Some(next) => cursor = format!("?cursor={next}"),
            None => return Ok(past),
        }
    }
}
