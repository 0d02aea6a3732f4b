//! Variables of add-ons and clients.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::variable::{Namespace, Variable, VariableName, VariableValue};
use crate::storage::database::DatabaseError;

/// Adds a variable, or gives the one of that name another value.
pub(crate) fn set(connection: &Connection, variable: &Variable) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO variables (id, namespace, key, value, version, updated_at, updated_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, version = excluded.version,
                   updated_at = excluded.updated_at, updated_by = excluded.updated_by";
    connection.prepare_cached(sql)?.execute(params![
        variable.id.to_string(),
        variable.name.namespace.as_str(),
        variable.name.key.as_str(),
        variable.value.expose(),
        variable.version.to_string(),
        variable.updated_at.as_millisecond(),
        variable.updated_by.to_string(),
    ])?;
    Ok(())
}

/// Finds a variable.
pub(crate) fn find(connection: &Connection, name: &VariableName) -> Result<Option<Variable>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM variables WHERE namespace = ?1 AND key = ?2")?;
    row::first(statement.query([name.namespace.as_str(), name.key.as_str()])?, variable)
}

/// Up to `limit` variables of all namespaces, by name, after `after`.
pub(crate) fn list(
    connection: &Connection,
    after: Option<&VariableName>,
    limit: u32,
) -> Result<Vec<Variable>, DatabaseError> {
    let (namespace, key) = after.map_or(("", ""), |name| (name.namespace.as_str(), name.key.as_str()));
    let sql = "SELECT * FROM variables WHERE (namespace, key) > (?1, ?2) ORDER BY namespace, key LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![namespace, key, limit])?, variable)
}

/// Up to `limit` variables of one namespace, by name, after `after`.
pub(crate) fn list_of(
    connection: &Connection,
    namespace: &Namespace,
    after: Option<&VariableName>,
    limit: u32,
) -> Result<Vec<Variable>, DatabaseError> {
    let sql = "SELECT * FROM variables WHERE namespace = ?1 AND (namespace, key) > (?2, ?3)
               ORDER BY namespace, key LIMIT ?4";
    let (after_namespace, after_key) = after.map_or(("", ""), |name| (name.namespace.as_str(), name.key.as_str()));
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![namespace.as_str(), after_namespace, after_key, limit])?, variable)
}

/// How many there are in all, and in that namespace.
pub(crate) fn count(connection: &Connection, namespace: &Namespace) -> Result<(u32, u32), DatabaseError> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE namespace = ?1) FROM variables";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([namespace.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Deletes a variable.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM variables WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(())
}

fn variable(row: &Row<'_>) -> Result<Variable, DatabaseError> {
    let (namespace, key): (String, String) = (row.get("namespace")?, row.get("key")?);
    Ok(Variable {
        id: row::id(row, "id")?,
        name: VariableName::parse(&namespace, &key).map_err(|_| DatabaseError::Value("name of a variable"))?,
        value: VariableValue::from_stored(row.get("value")?),
        version: row::id(row, "version")?,
        updated_at: row::time(row, "updated_at")?,
        updated_by: row::id(row, "updated_by")?,
    })
}
