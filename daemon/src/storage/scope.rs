//! The database as one person may see it: while a scope lasts, the connection prepares no statement but on a surface of
//! views, which filter by that person. What stands behind them is reached by the views and their triggers alone.
//!
//! SQLite asks an authorizer about every table and column while it prepares a statement, and says which view or trigger
//! wants it. Setting one makes SQLite prepare all statements again, so that none of before is good for more than the scope is.

use rusqlite::functions::FunctionFlags;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Statement};
use uuid::Uuid;

use super::database::DatabaseError;

/// The function by which views ask who it is.
const PRINCIPAL: &str = "coffer_principal";

/// Functions that statements, views and triggers may call besides: none of them reads anything but its arguments.
const FUNCTIONS: [&str; 8] = ["count", "sum", "max", "min", "ifnull", "coalesce", "length", "total_changes"];

/// What a scope is made of.
pub(crate) struct Surface {
    /// What statements may name.
    pub(crate) views: &'static [&'static str],
    /// The triggers of the views and of the tables behind them.
    pub(crate) triggers: &'static [&'static str],
    /// What views and triggers may reach, in both ways.
    pub(crate) tables: &'static [&'static str],
    /// What views and triggers may read besides.
    pub(crate) looked_up: &'static [(&'static str, &'static str)],
}

/// A connection for one person. Ends with its life, also when that ends by a panic.
pub(crate) struct Scope<'c> {
    connection: &'c Connection,
}

impl<'c> Scope<'c> {
    /// Begins.
    pub(crate) fn open(
        connection: &'c Connection,
        principal: Uuid,
        surface: &'static Surface,
    ) -> Result<Self, DatabaseError> {
        let name = principal.to_string();
        // Innocuous: the schema is not trusted with other functions.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        connection.create_scalar_function(PRINCIPAL, 0, flags, move |_| Ok(name.clone()))?;
        let scope = Self { connection };
        connection.authorizer(Some(
            move |asked: AuthContext<'_>| {
                if surface.allows(&asked) { Authorization::Allow } else { Authorization::Deny }
            },
        ))?;
        Ok(scope)
    }

    /// Prepares a statement, or refuses it.
    pub(crate) fn prepare(&self, sql: &str) -> Result<Statement<'_>, DatabaseError> {
        Ok(self.connection.prepare(sql)?)
    }
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        // A connection that cannot be given back stays closed to everything else, which is the safe side.
        if self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).is_ok() {
            let _ = self.connection.remove_function(PRINCIPAL, 0);
        }
    }
}

impl Surface {
    fn allows(&self, asked: &AuthContext<'_>) -> bool {
        let from_within =
            asked.accessor.is_some_and(|name| self.views.contains(&name) || self.triggers.contains(&name));
        match asked.action {
            AuthAction::Select => true,
            AuthAction::Function { function_name } => {
                FUNCTIONS.contains(&function_name) || (from_within && function_name == PRINCIPAL)
            }
            AuthAction::Read { table_name, column_name } => {
                self.is_open(table_name, asked.accessor, from_within)
                    || (from_within && self.looked_up.contains(&(table_name, column_name)))
            }
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => self.is_open(table_name, asked.accessor, from_within),
            // Everything else: the schema, other databases, settings, transactions, and what SQLite may learn to do.
            _ => false,
        }
    }

    /// Views are for statements and for each other, tables for views and triggers.
    fn is_open(&self, table: &str, accessor: Option<&str>, from_within: bool) -> bool {
        if self.views.contains(&table) {
            accessor.is_none() || from_within
        } else {
            from_within && self.tables.contains(&table)
        }
    }
}
