//! The index of words, as it is asked. It knows more than a viewer may see: whoever asks looks at every hit again.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use uuid::Uuid;

use super::{row, tags};
use crate::model::item::ItemKind;
use crate::model::search::{Filter, Position};
use crate::storage::database::DatabaseError;

/// Of the documents that have the words, those that are looked at, the last indexed first: words that everything has
/// would cost more with every file.
const LOOKED_AT: u32 = 15_000;

/// Of those that pass the filter, the ones that are ranked.
const RANKED: u32 = 4_000;

/// What a word counts in the name, the tags, the note, the comments and the text.
const WEIGHTS: &str = "10.0, 5.0, 3.0, 1.0, 1.0";

/// Something that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    pub(crate) position: Position,
    pub(crate) item_id: Uuid,
}

/// What was found.
pub(crate) struct Hits {
    /// Best first.
    pub(crate) found: Vec<Hit>,
    /// Where to go on behind them, when there may be more.
    pub(crate) rest: Option<Position>,
    /// Not everything was looked at.
    pub(crate) limited: bool,
}

/// The texts of a document that are not shown anyway.
pub(crate) struct Texts {
    pub(crate) note: String,
    pub(crate) comments: String,
    pub(crate) content: String,
}

/// Up to `limit` documents that have the words of an expression in the index's syntax, best first, behind `after`.
pub(crate) fn ranked(
    connection: &Connection,
    expression: &str,
    filter: &Filter,
    after: Position,
    limit: u32,
) -> Result<Hits, DatabaseError> {
    let sql = "SELECT ifnull(min(number), 0), count(*) FROM (
                   SELECT rowid AS number FROM search_index WHERE search_index MATCH ?1
                   ORDER BY rowid DESC LIMIT ?2)";
    let bound = connection
        .prepare_cached(sql)?
        .query_row(params![expression, LOOKED_AT], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u32>(1)?)));
    let (oldest, matching) = bound?;
    let Some(conditions) = conditions(connection, filter, 6)? else { return Ok(Hits::none()) };
    let (below, condition) = (&conditions.below, &conditions.condition);
    // CROSS JOIN: the words first, then the filter. Whole numbers, so that a page begins exactly where one ended.
    let sql = format!(
        "WITH RECURSIVE {below} found (number, item_id, rank) AS MATERIALIZED (
             SELECT document.id, document.item_id, CAST(bm25(search_index, {WEIGHTS}) * 1000000000 AS INTEGER)
             FROM search_index CROSS JOIN search_items AS document ON document.id = search_index.rowid
             WHERE search_index MATCH ?1 AND search_index.rowid >= ?2 {condition}
             ORDER BY search_index.rowid DESC LIMIT {RANKED}
         )
         SELECT number, item_id, rank, (SELECT count(*) FROM found) AS ranked FROM found
         WHERE rank > ?3 OR (rank = ?3 AND number < ?4) ORDER BY rank, number DESC LIMIT ?5"
    );
    let mut values = vec![
        Value::Text(expression.to_owned()),
        Value::Integer(oldest),
        Value::Integer(after.rank),
        Value::Integer(after.document),
        Value::Integer(limit.into()),
    ];
    values.extend(conditions.values);
    let mut statement = connection.prepare_cached(&sql)?;
    let found =
        row::all(statement.query(params_from_iter(values))?, |row| Ok((hit(row)?, row.get::<_, u32>("ranked")?)))?;
    let limited = matching >= LOOKED_AT || found.first().is_some_and(|(_, ranked)| *ranked >= RANKED);
    let hits: Vec<Hit> = found.into_iter().map(|(hit, _)| hit).collect();
    let rest = hits.last().filter(|_| hits.len() == limit as usize).map(|hit| hit.position);
    Ok(Hits { found: hits, rest, limited })
}

/// Up to `limit` documents that pass the filter, last changed first, behind `after`.
pub(crate) fn latest(
    connection: &Connection,
    filter: &Filter,
    after: Position,
    limit: u32,
) -> Result<Hits, DatabaseError> {
    let behind = (after.rank.checked_neg().unwrap_or(i64::MAX), after.document);
    // What is rare would be looked for in everything; so many are looked at, and the rest with the next page.
    let sql = "SELECT modified_at, id FROM search_items WHERE (modified_at, id) < (?1, ?2)
               ORDER BY modified_at DESC, id DESC LIMIT 1 OFFSET ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let floor = row::first(statement.query(params![behind.0, behind.1, LOOKED_AT])?, |row| {
        Ok((row.get::<_, i64>("modified_at")?, row.get::<_, i64>("id")?))
    })?;
    let Some(conditions) = conditions(connection, filter, 6)? else { return Ok(Hits::none()) };
    let condition = &conditions.condition;
    let with = match conditions.below.strip_suffix(',') {
        Some(below) => format!("WITH RECURSIVE {below}"),
        None => String::new(),
    };
    let sql = format!(
        "{with}
         SELECT id AS number, item_id, -modified_at AS rank FROM search_items AS document
         WHERE (modified_at, id) < (?1, ?2) AND (modified_at, id) >= (?3, ?4) {condition}
         ORDER BY modified_at DESC, id DESC LIMIT ?5"
    );
    let (from_at, from_id) = floor.unwrap_or((i64::MIN, i64::MIN));
    let mut values: Vec<Value> =
        [behind.0, behind.1, from_at, from_id, limit.into()].into_iter().map(Value::Integer).collect();
    values.extend(conditions.values);
    let hits = row::all(connection.prepare_cached(&sql)?.query(params_from_iter(values))?, hit)?;
    let full = hits.last().filter(|_| hits.len() == limit as usize).map(|hit| hit.position);
    let rest = full.or(floor.map(|(at, id)| Position { rank: -at, document: id }));
    Ok(Hits { found: hits, rest, limited: false })
}

/// The texts of a document.
pub(crate) fn texts(connection: &Connection, document: i64) -> Result<Option<Texts>, DatabaseError> {
    let sql = "SELECT note, comments, text FROM search_index WHERE rowid = ?1";
    row::first(connection.prepare_cached(sql)?.query([document])?, |row| {
        Ok(Texts { note: row.get("note")?, comments: row.get("comments")?, content: row.get("text")? })
    })
}

impl Hits {
    fn none() -> Self {
        Self { found: Vec::new(), rest: None, limited: false }
    }
}

/// What a filter adds to a statement about `document`.
struct Conditions {
    /// A common table with a comma behind it, or nothing.
    below: String,
    condition: String,
    values: Vec<Value>,
}

/// `None` when nothing can pass. The parameters begin with that number.
fn conditions(connection: &Connection, filter: &Filter, first: usize) -> Result<Option<Conditions>, DatabaseError> {
    let mut all = Conditions { below: String::new(), condition: String::new(), values: Vec::new() };
    let mut add = |condition: &str, value: Value| {
        let number = first + all.values.len();
        all.values.push(value);
        all.condition += " AND ";
        all.condition += &condition.replace('?', &format!("?{number}"));
    };
    if let Some(kind) = filter.kind {
        add("document.is_folder = ?", Value::Integer(i64::from(kind == ItemKind::Folder)));
    }
    if let Some(pattern) = &filter.media_type {
        let (from, to) = pattern.range();
        add("document.media_type >= ?", Value::Text(from));
        add("document.media_type < ?", Value::Text(to));
    }
    if let Some(tag) = &filter.tag {
        let Some(id) = tags::id(connection, tag)? else { return Ok(None) };
        let condition = "EXISTS (SELECT 1 FROM item_tags WHERE item_id = document.item_id AND tag_id = ?)";
        add(condition, Value::Integer(id));
    }
    if let Some(id) = filter.owner_id {
        add("document.owner_id = ?", Value::Text(id.to_string()));
    }
    let size = |bytes: u64| Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX));
    if let Some(bytes) = filter.size_from {
        add("document.is_folder = 0 AND document.size_bytes >= ?", size(bytes));
    }
    if let Some(bytes) = filter.size_to {
        add("document.is_folder = 0 AND document.size_bytes <= ?", size(bytes));
    }
    if let Some(at) = filter.modified_from {
        add("document.modified_at >= ?", Value::Integer(at.as_millisecond()));
    }
    if let Some(at) = filter.modified_to {
        add("document.modified_at <= ?", Value::Integer(at.as_millisecond()));
    }
    if let Some(id) = filter.folder_id {
        let number = first + all.values.len();
        all.values.push(Value::Text(id.to_string()));
        all.condition += " AND document.folder_id IN (SELECT id FROM below)";
        all.below = format!(
            "below (id) AS (SELECT ?{number} UNION ALL
                 SELECT folders.id FROM folders JOIN below ON folders.parent_id = below.id),"
        );
    }
    Ok(Some(all))
}

fn hit(row: &Row<'_>) -> Result<Hit, DatabaseError> {
    let position = Position { rank: row.get("rank")?, document: row.get("number")? };
    Ok(Hit { position, item_id: row::id(row, "item_id")? })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::search::{TypePattern, Words};
    use crate::model::tag::TagName;
    use crate::repo::migrate;

    #[test]
    fn every_condition_can_be_asked_with_words_and_without() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let (user, folder) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let tag = TagName::parse("t").unwrap();
        tags::add(&connection, folder, &tag).unwrap();
        let sql = format!(
            "INSERT INTO search_index (rowid, name, tags, note, comments, text) VALUES (7, 'lynx', '', '', '', '');
             INSERT INTO search_items (id, item_id, is_folder, folder_id, owner_id, media_type, size_bytes, modified_at)
                 VALUES (7, '{folder}', 0, '{folder}', '{user}', 'text/plain', 10, 1000);"
        );
        connection.execute_batch(&sql).unwrap();
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let pattern = |text| TypePattern::parse(text).ok();
        let filter = Filter::default;
        let expression = Words::parse("lynx").unwrap().unwrap().expression();
        for (filter, passes) in [
            (filter(), true),
            (Filter { kind: Some(ItemKind::File), ..filter() }, true),
            (Filter { kind: Some(ItemKind::Folder), ..filter() }, false),
            (Filter { media_type: pattern("text"), ..filter() }, true),
            (Filter { media_type: pattern("text/html"), ..filter() }, false),
            (Filter { tag: Some(tag), ..filter() }, true),
            (Filter { tag: TagName::parse("u").ok(), ..filter() }, false),
            (Filter { folder_id: Some(folder), ..filter() }, true),
            (Filter { folder_id: Some(user), ..filter() }, false),
            (Filter { owner_id: Some(user), ..filter() }, true),
            (Filter { owner_id: Some(folder), ..filter() }, false),
            (Filter { size_from: Some(10), size_to: Some(10), ..filter() }, true),
            (Filter { size_from: Some(11), ..filter() }, false),
            (Filter { size_to: Some(9), ..filter() }, false),
            (Filter { size_from: Some(u64::MAX), ..filter() }, false),
            (Filter { modified_from: at(1), modified_to: at(1), ..filter() }, true),
            (Filter { modified_from: at(2), ..filter() }, false),
            (Filter { modified_to: at(0), ..filter() }, false),
        ] {
            let ranked = ranked(&connection, &expression, &filter, Position::START, 10).unwrap();
            let latest = latest(&connection, &filter, Position::START, 10).unwrap();
            let found = [ranked.found.len(), latest.found.len()].map(|hits| hits == 1);
            assert_eq!(found, [passes; 2], "{filter:?}");
            assert!(ranked.rest.is_none() && latest.rest.is_none() && !ranked.limited);
        }
    }
}
