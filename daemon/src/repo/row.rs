//! Values of a row that are not SQLite's own.

use jiff::Timestamp;
use rusqlite::Row;
use uuid::Uuid;

use crate::model::role::{self, Role};
use crate::storage::database::DatabaseError;

pub(super) fn id(row: &Row<'_>, column: &str) -> Result<Uuid, DatabaseError> {
    parse_id(&row.get::<_, String>(column)?)
}

pub(super) fn optional_id(row: &Row<'_>, column: &str) -> Result<Option<Uuid>, DatabaseError> {
    row.get::<_, Option<String>>(column)?.map(|text| parse_id(&text)).transpose()
}

pub(super) fn time(row: &Row<'_>, column: &str) -> Result<Timestamp, DatabaseError> {
    parse_time(row.get(column)?)
}

pub(super) fn optional_time(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, DatabaseError> {
    row.get::<_, Option<i64>>(column)?.map(parse_time).transpose()
}

pub(super) fn role(row: &Row<'_>, column: &str) -> Result<Role, DatabaseError> {
    role::parse(&row.get::<_, String>(column)?).ok_or(DatabaseError::Value("role"))
}

pub(super) fn size(row: &Row<'_>, column: &str) -> Result<u64, DatabaseError> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| DatabaseError::Value("size"))
}

/// As [`size`], on the way in.
pub(super) fn from_size(size_bytes: u64) -> Result<i64, DatabaseError> {
    i64::try_from(size_bytes).map_err(|_| DatabaseError::Value("size"))
}

fn parse_id(text: &str) -> Result<Uuid, DatabaseError> {
    text.parse().map_err(|_| DatabaseError::Value("identifier"))
}

fn parse_time(milliseconds: i64) -> Result<Timestamp, DatabaseError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| DatabaseError::Value("time"))
}

/// The first row of a query, read by `map`.
pub(super) fn first<T>(
    mut rows: rusqlite::Rows<'_>,
    map: impl Fn(&Row<'_>) -> Result<T, DatabaseError>,
) -> Result<Option<T>, DatabaseError> {
    rows.next()?.map(map).transpose()
}

/// All rows of a query, read by `map`.
pub(super) fn all<T>(
    mut rows: rusqlite::Rows<'_>,
    map: impl Fn(&Row<'_>) -> Result<T, DatabaseError>,
) -> Result<Vec<T>, DatabaseError> {
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(map(row)?);
    }
    Ok(items)
}
