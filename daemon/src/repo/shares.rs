//! Share links, and what they were used for.

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use uuid::Uuid;

use super::row;
use crate::model::role;
use crate::model::share::{self, Share, ShareFilter, ShareTokenHash, ShareUse, SharedId};
use crate::storage::database::DatabaseError;

/// Adds a link that was never used.
pub(crate) fn insert(connection: &Connection, share: &Share, token: &ShareTokenHash) -> Result<(), DatabaseError> {
    let (file_id, folder_id) = match share.item {
        SharedId::File(id) => (Some(id.to_string()), None),
        SharedId::Folder(id) => (None, Some(id.to_string())),
    };
    let sql = "INSERT INTO shares (id, token_hash, kind, file_id, folder_id, role, name, created_at, created_by,
                                   expires_at, password_hash, max_downloads, max_upload_bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    connection.prepare_cached(sql)?.execute(params![
        share.id.to_string(),
        token.as_str(),
        share::kind_name(share.kind),
        file_id,
        folder_id,
        role::name(share.role),
        share.name,
        share.created_at.as_millisecond(),
        share.created_by.to_string(),
        share.expires_at.map(Timestamp::as_millisecond),
        share.password_hash,
        share.max_downloads,
        share.max_upload_bytes.map(row::from_size).transpose()?,
    ])?;
    Ok(())
}

/// Writes everything of a link that its maker can change.
pub(crate) fn update(connection: &Connection, share: &Share) -> Result<(), DatabaseError> {
    let sql = "UPDATE shares SET name = ?2, expires_at = ?3, password_hash = ?4, max_downloads = ?5,
                                 max_upload_bytes = ?6
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![
        share.id.to_string(),
        share.name,
        share.expires_at.map(Timestamp::as_millisecond),
        share.password_hash,
        share.max_downloads,
        share.max_upload_bytes.map(row::from_size).transpose()?,
    ])?;
    Ok(())
}

/// Finds a link, ended or not.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Share>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM shares WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, share)
}

/// Finds the link that a token opens, ended or not.
pub(crate) fn find_by_token(connection: &Connection, token: &ShareTokenHash) -> Result<Option<Share>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM shares WHERE token_hash = ?1")?;
    row::first(statement.query([token.as_str()])?, share)
}

/// Up to `limit` links, newest first, older than `before`; the ended ones as well.
pub(crate) fn list(
    connection: &Connection,
    filter: ShareFilter,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Share>, DatabaseError> {
    let mut values = vec![Value::Integer(limit.into())];
    let conditions = [("created_by", filter.created_by), ("item_id", filter.item_id)];
    for value in conditions.iter().filter_map(|(_, value)| *value).chain(before) {
        values.push(Value::Text(value.to_string()));
    }
    let mut statement = connection.prepare_cached(&list_sql(filter, before.is_some()))?;
    row::all(statement.query(params_from_iter(values))?, share)
}

fn list_sql(filter: ShareFilter, from_the_middle: bool) -> String {
    let given = [
        filter.created_by.map(|_| "created_by ="),
        filter.item_id.map(|_| "item_id ="),
        from_the_middle.then_some("id <"),
    ];
    let conditions: Vec<String> =
        given.into_iter().flatten().zip(2..).map(|(condition, number)| format!("{condition} ?{number}")).collect();
    let wanted = if conditions.is_empty() { "TRUE".to_owned() } else { conditions.join(" AND ") };
    format!("SELECT * FROM shares WHERE {wanted} ORDER BY id DESC LIMIT ?1")
}

/// How many links somebody has.
pub(crate) fn count_of_user(connection: &Connection, user_id: Uuid) -> Result<u32, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT count(*) FROM shares WHERE created_by = ?1")?;
    Ok(statement.query_row([user_id.to_string()], |row| row.get(0))?)
}

/// Deletes a link.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM shares WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// Deletes all links of a person.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM shares WHERE created_by = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

/// Counts that a link's page was opened.
pub(crate) fn count_view(connection: &Connection, id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE shares SET views = views + 1, last_used_at = ?2 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// Counts a download. False, and not counted, when there were as many as there may be.
pub(crate) fn count_download(connection: &Connection, id: Uuid, now: Timestamp) -> Result<bool, DatabaseError> {
    let sql = "UPDATE shares SET downloads = downloads + 1, last_used_at = ?2
               WHERE id = ?1 AND (max_downloads IS NULL OR downloads < max_downloads)";
    Ok(connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond()])? > 0)
}

/// Counts something that was sent. False, and not counted, when that is more than may come.
pub(crate) fn count_upload(
    connection: &Connection,
    id: Uuid,
    size_bytes: u64,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let sql = "UPDATE shares SET uploads = uploads + 1, uploaded_bytes = uploaded_bytes + ?2, last_used_at = ?3
               WHERE id = ?1 AND (max_upload_bytes IS NULL OR uploaded_bytes + ?2 <= max_upload_bytes)";
    let size_bytes = row::from_size(size_bytes)?;
    Ok(connection.prepare_cached(sql)?.execute(params![id.to_string(), size_bytes, now.as_millisecond()])? > 0)
}

/// The folders from `top` down to another one below it, `top` not included; nothing when it does not lie there.
pub(crate) fn way_down(connection: &Connection, top: Uuid, id: Uuid) -> Result<Vec<(Uuid, String)>, DatabaseError> {
    let sql = "WITH RECURSIVE up (level, id, parent_id, name) AS (
                   SELECT 0, id, parent_id, name FROM folders WHERE id = ?2 AND id <> ?1
                   UNION ALL
                   SELECT up.level + 1, folders.id, folders.parent_id, folders.name
                   FROM folders JOIN up ON folders.id = up.parent_id WHERE folders.id <> ?1
               ) SELECT id, name FROM up ORDER BY level DESC";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([top.to_string(), id.to_string()])?, |row| Ok((row::id(row, "id")?, row.get("name")?)))
}

fn share(row: &Row<'_>) -> Result<Share, DatabaseError> {
    let file = row::optional_id(row, "file_id")?.map(SharedId::File);
    let folder = row::optional_id(row, "folder_id")?.map(SharedId::Folder);
    let size = |column| -> Result<Option<u64>, DatabaseError> {
        let value: Option<i64> = row.get(column)?;
        value.map(|value| u64::try_from(value).map_err(|_| DatabaseError::Value("size"))).transpose()
    };
    Ok(Share {
        id: row::id(row, "id")?,
        kind: share::parse_kind(&row.get::<_, String>("kind")?).ok_or(DatabaseError::Value("kind of share"))?,
        item: file.or(folder).ok_or(DatabaseError::Value("shared item"))?,
        role: row::role(row, "role")?,
        name: row.get("name")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
        expires_at: row::optional_time(row, "expires_at")?,
        password_hash: row.get("password_hash")?,
        max_downloads: row.get("max_downloads")?,
        max_upload_bytes: size("max_upload_bytes")?,
        used: ShareUse {
            views: row::size(row, "views")?,
            downloads: row::size(row, "downloads")?,
            uploads: row::size(row, "uploads")?,
            uploaded_bytes: row::size(row, "uploaded_bytes")?,
            last_at: row::optional_time(row, "last_used_at")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::migrate;

    #[test]
    fn every_list_steps_through_an_index_in_its_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let some = Some(Uuid::nil());
        for (created_by, item_id) in [(None, None), (some, None), (None, some), (some, some)] {
            for from_the_middle in [false, true] {
                let sql = list_sql(ShareFilter { created_by, item_id }, from_the_middle);
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps: Vec<String> = row::all(statement.raw_query(), |row| Ok(row.get("detail")?)).unwrap();
                let stepped = steps.len() == 1 && steps[0].contains("USING INDEX");
                assert!(stepped, "{sql}: {steps:?}");
            }
        }
    }
}
