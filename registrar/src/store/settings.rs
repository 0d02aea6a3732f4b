//! Single values with a name.

use super::database::{DatabaseError, Transaction, Value};

/// The value of that name.
pub(crate) fn get(transaction: &mut Transaction<'_>, name: &str) -> Result<Option<String>, DatabaseError> {
    let rows = transaction.query("SELECT value FROM settings WHERE name = $1", &[Value::Text(name)])?;
    rows.first().map(|row| row.text(0).map(ToOwned::to_owned)).transpose()
}

/// Gives a name its first value.
pub(crate) fn add(transaction: &mut Transaction<'_>, name: &str, value: &str) -> Result<(), DatabaseError> {
    let values = [Value::Text(name), Value::Text(value)];
    transaction.execute("INSERT INTO settings (name, value) VALUES ($1, $2)", &values)?;
    Ok(())
}
