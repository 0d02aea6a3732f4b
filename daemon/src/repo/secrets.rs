//! Secrets vaults, as one person sees them. Everything here works on a [`Scope`]: it names views alone, and what a person
//! may not see or do is not there or refused by the database itself, whatever the caller has forgotten to ask.

use coffer_crypto::secrets::grant::Role;
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::{rotations, row};
use crate::model::secret::{SecretAccount, SecretItem, SecretKey, SecretMember, SecretRevision, SecretVault};
use crate::storage::database::DatabaseError;
use crate::storage::scope::{Scope, Surface};

/// What statements of a person may name, and what stands behind it.
static SURFACE: Surface = Surface {
    views: &[
        "my_secret_account",
        "my_secret_attachments",
        "my_secret_drop_boxes",
        "my_secret_drops",
        "my_secret_handouts",
        "my_secret_items",
        "my_secret_keys",
        "my_secret_links",
        "my_secret_members",
        "my_secret_peers",
        "my_secret_revisions",
        "my_secret_rotations",
        "my_secret_vaults",
    ],
    triggers: &[
        "my_secret_account_insert",
        "my_secret_attachments_delete",
        "my_secret_attachments_insert",
        "my_secret_drop_boxes_delete",
        "my_secret_drop_boxes_insert",
        "my_secret_drops_delete",
        "my_secret_handouts_delete",
        "my_secret_handouts_insert",
        "my_secret_items_insert",
        "my_secret_items_update",
        "my_secret_keys_insert",
        "my_secret_links_insert",
        "my_secret_members_delete",
        "my_secret_members_insert",
        "my_secret_members_update",
        "my_secret_rotations_delete",
        "my_secret_rotations_insert",
        "my_secret_rotations_update",
        "my_secret_vaults_delete",
        "my_secret_vaults_insert",
        "my_secret_vaults_update",
        "secret_items_keep_changed",
        "secret_items_keep_new",
    ],
    tables: &[
        "secret_accounts",
        "secret_attachments",
        "secret_drop_boxes",
        "secret_drops",
        "secret_handouts",
        "secret_items",
        "secret_keys",
        "secret_links",
        "secret_members",
        "secret_revisions",
        "secret_rotations",
        "secret_vaults",
    ],
    // By foreign keys.
    looked_up: &[("users", "id")],
};

/// The database as that person sees it, until the scope is dropped.
pub(crate) fn scope(connection: &Connection, user_id: Uuid) -> Result<Scope<'_>, DatabaseError> {
    Scope::open(connection, user_id, &SURFACE)
}

/// Makes a vault, owned by the person.
pub(crate) fn create_vault(scope: &Scope<'_>, id: Uuid, now: Timestamp) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_vaults (id, created_at) VALUES (?1, ?2)";
    scope.prepare(sql)?.execute(params![id.to_string(), now.as_millisecond()])?;
    Ok(())
}

/// The person's vaults, up to `limit` behind `after`.
pub(crate) fn vaults(scope: &Scope<'_>, after: Option<Uuid>, limit: u32) -> Result<Vec<SecretVault>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_vaults WHERE id > ?1 ORDER BY id LIMIT ?2";
    let after = after.unwrap_or(Uuid::nil()).to_string();
    row::all(scope.prepare(sql)?.query(params![after, limit])?, vault)
}

/// One of the person's vaults.
pub(crate) fn find_vault(scope: &Scope<'_>, id: Uuid) -> Result<Option<SecretVault>, DatabaseError> {
    row::first(scope.prepare("SELECT * FROM my_secret_vaults WHERE id = ?1")?.query([id.to_string()])?, vault)
}

/// Begins with the next key of a vault. Refused to all but managers.
pub(crate) fn next_generation(scope: &Scope<'_>, id: Uuid) -> Result<(), DatabaseError> {
    let sql = "UPDATE my_secret_vaults SET generation = generation + 1 WHERE id = ?1";
    scope.prepare(sql)?.execute([id.to_string()])?;
    Ok(())
}

/// How many vaults the person is in.
pub(crate) fn count_vaults(scope: &Scope<'_>) -> Result<u32, DatabaseError> {
    Ok(scope.prepare("SELECT count(*) FROM my_secret_vaults")?.query_row([], |row| row.get(0))?)
}

/// Deletes a vault with all that is in it. Refused to all but owners; false when there is none such.
pub(crate) fn delete_vault(scope: &Scope<'_>, id: Uuid) -> Result<bool, DatabaseError> {
    if find_vault(scope, id)?.is_none() {
        return Ok(false);
    }
    rotations::delete_of_vault(scope, id)?;
    scope.prepare("DELETE FROM my_secret_vaults WHERE id = ?1")?.execute([id.to_string()])?;
    Ok(true)
}

/// Who is in a vault.
pub(crate) fn members(scope: &Scope<'_>, vault_id: Uuid) -> Result<Vec<SecretMember>, DatabaseError> {
    let sql = "SELECT user_id, role FROM my_secret_members WHERE vault_id = ?1 ORDER BY user_id";
    row::all(scope.prepare(sql)?.query([vault_id.to_string()])?, |row| {
        Ok(SecretMember { user_id: row::id(row, "user_id")?, role: role(row)? })
    })
}

/// Lets somebody in. Somebody who is in already is [`DatabaseError::Conflict`].
pub(crate) fn add_member(scope: &Scope<'_>, vault_id: Uuid, user_id: Uuid, role: Role) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_members (vault_id, user_id, role) VALUES (?1, ?2, ?3)";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), user_id.to_string(), role.number()])?;
    Ok(())
}

/// Gives a member another role. False when there is no such member.
pub(crate) fn set_role(scope: &Scope<'_>, vault_id: Uuid, user_id: Uuid, role: Role) -> Result<bool, DatabaseError> {
    if !is_member(scope, vault_id, user_id)? {
        return Ok(false);
    }
    let sql = "UPDATE my_secret_members SET role = ?3 WHERE vault_id = ?1 AND user_id = ?2";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), user_id.to_string(), role.number()])?;
    Ok(true)
}

/// Puts a member out, with their keys. False when there is no such member.
pub(crate) fn remove_member(scope: &Scope<'_>, vault_id: Uuid, user_id: Uuid) -> Result<bool, DatabaseError> {
    if !is_member(scope, vault_id, user_id)? {
        return Ok(false);
    }
    let sql = "DELETE FROM my_secret_members WHERE vault_id = ?1 AND user_id = ?2";
    scope.prepare(sql)?.execute([vault_id.to_string(), user_id.to_string()])?;
    Ok(true)
}

fn is_member(scope: &Scope<'_>, vault_id: Uuid, user_id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT count(*) FROM my_secret_members WHERE vault_id = ?1 AND user_id = ?2";
    Ok(scope.prepare(sql)?.query_row([vault_id.to_string(), user_id.to_string()], |row| row.get(0))?)
}

/// Leaves a key of the vault for a member. One's own is replaced; another member's that is there already is
/// [`DatabaseError::Conflict`].
pub(crate) fn put_key(
    scope: &Scope<'_>,
    vault_id: Uuid,
    user_id: Uuid,
    generation: u32,
    sealed: &[u8],
) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_keys (vault_id, user_id, generation, sealed) VALUES (?1, ?2, ?3, ?4)";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), user_id.to_string(), generation, sealed])?;
    Ok(())
}

/// The person's own keys of a vault, oldest first.
pub(crate) fn keys(scope: &Scope<'_>, vault_id: Uuid) -> Result<Vec<SecretKey>, DatabaseError> {
    let sql = "SELECT generation, sealed FROM my_secret_keys WHERE vault_id = ?1 ORDER BY generation";
    row::all(scope.prepare(sql)?.query([vault_id.to_string()])?, |row| {
        Ok(SecretKey { generation: row.get("generation")?, sealed: row.get("sealed")? })
    })
}

/// One item, deleted or not.
pub(crate) fn find_item(scope: &Scope<'_>, vault_id: Uuid, id: Uuid) -> Result<Option<SecretItem>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_items WHERE vault_id = ?1 AND id = ?2";
    row::first(scope.prepare(sql)?.query([vault_id.to_string(), id.to_string()])?, item)
}

/// What changed in a vault after a change, in its order, up to `limit` items.
pub(crate) fn items_since(
    scope: &Scope<'_>,
    vault_id: Uuid,
    sequence: u64,
    limit: u32,
) -> Result<Vec<SecretItem>, DatabaseError> {
    let sql = "SELECT * FROM my_secret_items WHERE vault_id = ?1 AND sequence > ?2 ORDER BY sequence LIMIT ?3";
    row::all(scope.prepare(sql)?.query(params![vault_id.to_string(), row::from_size(sequence)?, limit])?, item)
}

/// The states of an item before a revision, newest first, up to `limit`.
pub(crate) fn revisions_before(
    scope: &Scope<'_>,
    vault_id: Uuid,
    item_id: Uuid,
    before: u64,
    limit: u32,
) -> Result<Vec<SecretRevision>, DatabaseError> {
    let sql = "SELECT revision, generation, content, changed_at, changed_by FROM my_secret_revisions
               WHERE vault_id = ?1 AND item_id = ?2 AND revision < ?3 ORDER BY revision DESC LIMIT ?4";
    let parameters = params![vault_id.to_string(), item_id.to_string(), row::from_size(before)?, limit];
    row::all(scope.prepare(sql)?.query(parameters)?, |row| {
        Ok(SecretRevision {
            revision: row::size(row, "revision")?,
            generation: row.get("generation")?,
            content: row.get("content")?,
            changed_at: row::time(row, "changed_at")?,
            changed_by: row::id(row, "changed_by")?,
        })
    })
}

/// Writes an item that is new.
pub(crate) fn insert_item(scope: &Scope<'_>, item: &SecretItem) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_items
                   (vault_id, id, revision, generation, key_generation, wrapped_key, content, sequence, changed_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    write_item(scope, sql, item)
}

/// Writes the next revision of an item.
pub(crate) fn update_item(scope: &Scope<'_>, item: &SecretItem) -> Result<(), DatabaseError> {
    let sql = "UPDATE my_secret_items SET revision = ?3, generation = ?4, key_generation = ?5, wrapped_key = ?6,
                   content = ?7, sequence = ?8, changed_at = ?9
               WHERE vault_id = ?1 AND id = ?2";
    write_item(scope, sql, item)
}

fn write_item(scope: &Scope<'_>, sql: &str, item: &SecretItem) -> Result<(), DatabaseError> {
    scope.prepare(sql)?.execute(params![
        item.vault_id.to_string(),
        item.id.to_string(),
        row::from_size(item.revision)?,
        item.generation,
        item.key_generation,
        item.wrapped_key,
        item.content,
        row::from_size(item.sequence)?,
        item.changed_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Adds the next link of a vault's history. Another than the next is refused.
pub(crate) fn append_link(scope: &Scope<'_>, vault_id: Uuid, sequence: u64, link: &[u8]) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_links (vault_id, sequence, link) VALUES (?1, ?2, ?3)";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), row::from_size(sequence)?, link])?;
    Ok(())
}

/// The links of a vault from one on, in their order, up to `limit`.
pub(crate) fn links_from(
    scope: &Scope<'_>,
    vault_id: Uuid,
    sequence: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, DatabaseError> {
    let sql = "SELECT link FROM my_secret_links WHERE vault_id = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";
    let mut statement = scope.prepare(sql)?;
    row::all(statement.query(params![vault_id.to_string(), row::from_size(sequence)?, limit])?, |row| {
        Ok(row.get("link")?)
    })
}

/// Wraps an item's key anew, under the vault's newest. False when there is no such item.
pub(crate) fn rewrap(
    scope: &Scope<'_>,
    vault_id: Uuid,
    id: Uuid,
    key_generation: u32,
    wrapped_key: &[u8],
) -> Result<bool, DatabaseError> {
    if find_item(scope, vault_id, id)?.is_none() {
        return Ok(false);
    }
    let sql = "UPDATE my_secret_items SET key_generation = ?3, wrapped_key = ?4 WHERE vault_id = ?1 AND id = ?2";
    scope.prepare(sql)?.execute(params![vault_id.to_string(), id.to_string(), key_generation, wrapped_key])?;
    Ok(true)
}

/// Whether some item's key is not wrapped under that generation.
pub(crate) fn is_any_left(scope: &Scope<'_>, vault_id: Uuid, generation: u32) -> Result<bool, DatabaseError> {
    let sql = "SELECT count(*) FROM my_secret_items WHERE vault_id = ?1 AND key_generation <> ?2";
    let left: u32 = scope.prepare(sql)?.query_row(params![vault_id.to_string(), generation], |row| row.get(0))?;
    Ok(left > 0)
}

/// Keeps what the person's other devices need, in place of what there was.
pub(crate) fn set_account(scope: &Scope<'_>, account: &SecretAccount) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO my_secret_account (by_password, by_recovery, identity, public) VALUES (?1, ?2, ?3, ?4)";
    let SecretAccount { by_password, by_recovery, identity, public } = account;
    scope.prepare(sql)?.execute(params![by_password, by_recovery, identity, public])?;
    Ok(())
}

/// What the person's other devices need.
pub(crate) fn account(scope: &Scope<'_>) -> Result<Option<SecretAccount>, DatabaseError> {
    row::first(scope.prepare("SELECT * FROM my_secret_account")?.query([])?, |row| {
        Ok(SecretAccount {
            by_password: row.get("by_password")?,
            by_recovery: row.get("by_recovery")?,
            identity: row.get("identity")?,
            public: row.get("public")?,
        })
    })
}

/// The public keys of an account.
pub(crate) fn public(scope: &Scope<'_>, user_id: Uuid) -> Result<Option<Vec<u8>>, DatabaseError> {
    let sql = "SELECT public FROM my_secret_peers WHERE user_id = ?1";
    row::first(scope.prepare(sql)?.query([user_id.to_string()])?, |row| Ok(row.get("public")?))
}

fn vault(row: &Row<'_>) -> Result<SecretVault, DatabaseError> {
    Ok(SecretVault {
        id: row::id(row, "id")?,
        sequence: row::size(row, "sequence")?,
        generation: row.get("generation")?,
        used_bytes: row::size(row, "used_bytes")?,
        role: role(row)?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}

fn item(row: &Row<'_>) -> Result<SecretItem, DatabaseError> {
    Ok(SecretItem {
        vault_id: row::id(row, "vault_id")?,
        id: row::id(row, "id")?,
        revision: row::size(row, "revision")?,
        generation: row.get("generation")?,
        key_generation: row.get("key_generation")?,
        wrapped_key: row.get("wrapped_key")?,
        content: row.get("content")?,
        sequence: row::size(row, "sequence")?,
        changed_at: row::time(row, "changed_at")?,
        changed_by: row::id(row, "changed_by")?,
    })
}

fn role(row: &Row<'_>) -> Result<Role, DatabaseError> {
    Role::from_number(row.get("role")?).ok_or(DatabaseError::Value("role"))
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
