//! Comments, and what they said before.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::comment::{Comment, CommentVersion};
use crate::storage::database::DatabaseError;

/// Adds a comment.
pub(crate) fn insert(connection: &Connection, comment: &Comment) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO comments (id, item_id, text, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![
        comment.id.to_string(),
        comment.item_id.to_string(),
        comment.text,
        comment.created_at.as_millisecond(),
        comment.created_by.to_string(),
    ])?;
    Ok(())
}

/// Gives a comment another text; what it said goes to its history.
pub(crate) fn edit(connection: &Connection, before: &Comment, to: &str, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO comment_history (comment_id, number, text, written_at) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        before.id.to_string(),
        before.edits + 1,
        before.text,
        before.written_at().as_millisecond(),
    ])?;
    let sql = "UPDATE comments SET text = ?2, edited_at = ?3, edits = edits + 1 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![before.id.to_string(), to, now.as_millisecond()])?;
    Ok(())
}

/// Deletes a comment with its history.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM comments WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

/// Finds a comment.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Comment>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM comments WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, comment)
}

/// Up to `limit` comments on an item, first to last, behind `after`.
pub(crate) fn list(
    connection: &Connection,
    item_id: Uuid,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Comment>, DatabaseError> {
    let sql = "SELECT * FROM comments WHERE item_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
    row::all(connection.prepare_cached(sql)?.query(params![item_id.to_string(), text(after), limit])?, comment)
}

/// The last `limit` comments on an item, last first.
pub(crate) fn last(connection: &Connection, item_id: Uuid, limit: u32) -> Result<Vec<Comment>, DatabaseError> {
    let sql = "SELECT * FROM comments WHERE item_id = ?1 ORDER BY id DESC LIMIT ?2";
    row::all(connection.prepare_cached(sql)?.query(params![item_id.to_string(), limit])?, comment)
}

/// How many comments an item has.
pub(crate) fn count(connection: &Connection, item_id: Uuid) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM comments WHERE item_id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([item_id.to_string()], |row| row.get(0))?)
}

/// What a comment said before, first to last.
pub(crate) fn history(connection: &Connection, id: Uuid) -> Result<Vec<CommentVersion>, DatabaseError> {
    let sql = "SELECT * FROM comment_history WHERE comment_id = ?1 ORDER BY number";
    row::all(connection.prepare_cached(sql)?.query([id.to_string()])?, |row| {
        Ok(CommentVersion {
            number: row.get("number")?,
            text: row.get("text")?,
            written_at: row::time(row, "written_at")?,
        })
    })
}

fn comment(row: &Row<'_>) -> Result<Comment, DatabaseError> {
    Ok(Comment {
        id: row::id(row, "id")?,
        item_id: row::id(row, "item_id")?,
        text: row.get("text")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
        edited_at: row::optional_time(row, "edited_at")?,
        edits: row.get("edits")?,
    })
}
