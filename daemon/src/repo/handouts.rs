//! Secrets behind one-time links. Their makers work in a scope of theirs; visitors are nobody, and show what opens one.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::secret::{Handout, NewHandout};
use crate::storage::database::DatabaseError;
use crate::storage::scope::Scope;

/// What a visitor is given.
pub(crate) struct Opened {
    pub(crate) content: Vec<u8>,
    pub(crate) views_left: u32,
}

/// Keeps one. An id that is taken is [`DatabaseError::Conflict`].
pub(crate) fn insert(scope: &Scope<'_>, new: &NewHandout, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_handouts (id, access_hash, content, views, created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let NewHandout { id, access_hash, content, views, expires_at } = new;
    let (created_at, expires_at) = (now.as_millisecond(), expires_at.as_millisecond());
    scope.prepare(sql)?.execute(params![id.to_string(), access_hash, content, views, created_at, expires_at])?;
    Ok(())
}

/// One of the person's.
pub(crate) fn find(scope: &Scope<'_>, id: Uuid) -> Result<Option<Handout>, DatabaseError> {
    row::first(scope.prepare("SELECT * FROM my_secret_handouts WHERE id = ?1")?.query([id.to_string()])?, handout)
}

/// Whether the person has that one, opened by the same.
pub(crate) fn is_there(scope: &Scope<'_>, id: Uuid, access_hash: &[u8; 32]) -> Result<bool, DatabaseError> {
    let sql = "SELECT count(*) FROM my_secret_handouts WHERE id = ?1 AND access_hash = ?2";
    Ok(scope.prepare(sql)?.query_row(params![id.to_string(), access_hash], |row| row.get(0))?)
}

/// The person's, up to `limit` behind `after`.
pub(crate) fn list(scope: &Scope<'_>, after: Option<Uuid>, limit: u32) -> Result<Vec<Handout>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_handouts WHERE id > ?1 ORDER BY id LIMIT ?2";
    let after = after.unwrap_or(Uuid::nil()).to_string();
    row::all(scope.prepare(sql)?.query(params![after, limit])?, handout)
}

/// How many the person has, and the bytes that they take.
pub(crate) fn usage(scope: &Scope<'_>) -> Result<(u32, u64), DatabaseError> {
    let sql = "SELECT count(*), ifnull(sum(size), 0) FROM my_secret_handouts";
    let (count, size): (u32, i64) = scope.prepare(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((count, size.unsigned_abs()))
}

/// Takes one back. False when the person has none such.
pub(crate) fn delete(scope: &Scope<'_>, id: Uuid) -> Result<bool, DatabaseError> {
    if find(scope, id)?.is_none() {
        return Ok(false);
    }
    scope.prepare("DELETE FROM my_secret_handouts WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(true)
}

/// Uses up a view, and hands the content out. `None` when there is none such, it is over, or its maker may not log in any more.
pub(crate) fn open(
    connection: &Connection,
    id: Uuid,
    access_hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Opened>, DatabaseError> {
    let sql = "SELECT content, views_left FROM secret_handouts JOIN users ON users.id = user_id AND users.active
               WHERE secret_handouts.id = ?1 AND access_hash = ?2 AND views_left > 0 AND expires_at > ?3";
    let found = row::first(
        connection.prepare_cached(sql)?.query(params![id.to_string(), access_hash, now.as_millisecond()])?,
        |row| Ok((row.get::<_, Vec<u8>>("content")?, row.get::<_, u32>("views_left")?)),
    )?;
    let Some((content, views)) = found else { return Ok(None) };
    let views_left = views.saturating_sub(1);
    let sql = "UPDATE secret_handouts SET views_left = ?2, content = CASE WHEN ?2 = 0 THEN NULL ELSE content END
               WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id.to_string(), views_left])?;
    Ok(Some(Opened { content, views_left }))
}

/// Removes what has ended, and tells how many there were.
pub(crate) fn delete_ended(connection: &Connection, now: Timestamp) -> Result<usize, DatabaseError> {
    let sql = "DELETE FROM secret_handouts WHERE expires_at <= ?1";
    Ok(connection.prepare_cached(sql)?.execute([now.as_millisecond()])?)
}

/// Removes all of somebody's, who has no account any more.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM secret_handouts WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

fn handout(row: &Row<'_>) -> Result<Handout, DatabaseError> {
    Ok(Handout {
        id: row::id(row, "id")?,
        views: row.get("views")?,
        views_left: row.get("views_left")?,
        created_at: row::time(row, "created_at")?,
        expires_at: row::time(row, "expires_at")?,
    })
}
