//! Search: what the caller sees of what has the words, best first.

use super::Error;
use super::access::{self, visible};
use super::caller::Caller;
use super::items::Places;
use super::unlocked::Lease;
use crate::model::item::Item;
use crate::model::role::Action;
use crate::model::search::{Filter, Position, Term, Words};
use crate::model::snippet::{self, Snippet, SnippetSource};
use crate::repo::search::{self, Hits, Texts};

/// Largest page.
const MAX_PAGE: u32 = 100;

/// Hits that are looked at for one page, at most; the cursor goes on behind them.
const MAX_LOOKED_AT: u32 = 2000;

/// Documents whose texts are read at once, of up to 400 KiB each.
const AT_ONCE: usize = 8;

/// The search of the vault.
pub(crate) struct Search;

/// What to look for.
pub(crate) struct Wanted {
    /// Without words everything that passes the filter is found, last changed first.
    pub(crate) words: Option<Words>,
    pub(crate) filter: Filter,
    pub(crate) after: Position,
    pub(crate) limit: u32,
}

/// Something that was found.
pub(crate) struct Found {
    pub(crate) item: Item,
    pub(crate) snippet: Option<Snippet>,
}

/// A page of what was found.
pub(crate) struct Results {
    pub(crate) found: Vec<Found>,
    pub(crate) next: Option<Position>,
    /// Not everything that has the words was looked at.
    pub(crate) limited: bool,
}

/// A page before its snippets: each item with the number of its document.
struct Page {
    items: Vec<(Item, i64)>,
    next: Option<Position>,
    limited: bool,
}

impl Search {
    /// A page of what the caller sees of what is found.
    pub(crate) async fn run(&self, caller: &Caller, wanted: Wanted) -> Result<Results, Error> {
        caller.require(Action::Read).await?;
        let viewer = access::viewer(caller);
        let terms = wanted.words.as_ref().map(Words::terms);
        let read = caller.store().database.read(move |connection| -> Result<Page, Error> {
            let Wanted { words, mut filter, after, limit } = wanted;
            // For a key for one folder there is nothing else.
            filter.folder_id = filter.folder_id.or(viewer.scope);
            if filter.folder_id.is_some() {
                visible(connection, &viewer, filter.folder_id)?;
            }
            let hits = match &words {
                Some(words) => search::ranked(connection, &words.expression(), &filter, after, MAX_LOOKED_AT)?,
                None => search::latest(connection, &filter, after, MAX_LOOKED_AT)?,
            };
            page(Places::new(connection, viewer), hits, limit.clamp(1, MAX_PAGE))
        });
        let Page { items, next, limited } = read.await?;
        let found = match terms {
            Some(terms) => with_snippets(caller.lease(), items, terms).await?,
            None => items.into_iter().map(|(item, _)| Found { item, snippet: None }).collect(),
        };
        Ok(Results { found, next, limited })
    }
}

/// What the viewer sees of the hits. The index may be a moment behind, and knows nothing of who sees what.
fn page(mut places: Places<'_>, hits: Hits, limit: u32) -> Result<Page, Error> {
    let mut items = Vec::new();
    for hit in hits.found {
        if items.len() == limit as usize {
            let next = items.last().map(|(_, position)| *position);
            return Ok(Page { items: numbered(items), next, limited: hits.limited });
        }
        if let Some(item) = places.item(hit.item_id)? {
            items.push((item, hit.position));
        }
    }
    Ok(Page { items: numbered(items), next: hits.rest, limited: hits.limited })
}

fn numbered(items: Vec<(Item, Position)>) -> Vec<(Item, i64)> {
    items.into_iter().map(|(item, position)| (item, position.document)).collect()
}

/// Shows where the words are. Reading a text is short for the database, looking through it is done beside it.
async fn with_snippets(lease: &Lease, items: Vec<(Item, i64)>, terms: Vec<Term>) -> Result<Vec<Found>, Error> {
    let mut found = Vec::with_capacity(items.len());
    let mut items = items.into_iter();
    loop {
        let batch: Vec<(Item, i64)> = items.by_ref().take(AT_ONCE).collect();
        if batch.is_empty() {
            return Ok(found);
        }
        let documents: Vec<i64> = batch.iter().map(|(_, document)| *document).collect();
        let read = lease.store().database.read(move |connection| {
            documents.into_iter().map(|document| search::texts(connection, document)).collect::<Result<Vec<_>, _>>()
        });
        let (texts, terms) = (read.await?, terms.clone());
        let looking = tokio::task::spawn_blocking(move || {
            texts.into_iter().map(|texts| show(&texts?, &terms)).collect::<Vec<Option<Snippet>>>()
        });
        let snippets = looking.await.map_err(|error| Error::internal("looking for words", error))?;
        found.extend(batch.into_iter().zip(snippets).map(|((item, _), snippet)| Found { item, snippet }));
    }
}

fn show(texts: &Texts, terms: &[Term]) -> Option<Snippet> {
    let Texts { note, comments, content } = texts;
    [(SnippetSource::Note, note), (SnippetSource::Comments, comments), (SnippetSource::Content, content)]
        .into_iter()
        .find_map(|(source, text)| Some(Snippet { source, parts: snippet::around(text, terms)? }))
}
