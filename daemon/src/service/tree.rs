//! What every change of the tree has to respect, files and folders alike.

use rusqlite::Connection;
use uuid::Uuid;

use super::Error;
use crate::model::access::{Access, Viewer};
use crate::model::folder::{MAX_DEPTH, MAX_PATH_BYTES};
use crate::repo::tree::{self, Extent};
use crate::repo::{access, usage};

/// Refuses a name that something in that folder has.
pub(super) fn check_free(connection: &Connection, folder_id: Option<Uuid>, name: &str) -> Result<(), Error> {
    if tree::name_is_taken(connection, folder_id, name)? { Err(Error::NameTaken) } else { Ok(()) }
}

/// Refuses a place where a path would get too long.
pub(super) fn check_file_fits(connection: &Connection, folder_id: Option<Uuid>, name: &str) -> Result<(), Error> {
    check_path(tree::way(connection, folder_id)?.path_bytes, name, 0)
}

/// Refuses a place where a folder, or what lies below it, would be too deep or have too long a path.
pub(super) fn check_folder_fits(
    connection: &Connection,
    parent_id: Option<Uuid>,
    name: &str,
    below: Extent,
) -> Result<(), Error> {
    let way = tree::way(connection, parent_id)?;
    if way.depth + 1 + below.depth > MAX_DEPTH {
        return Err(Error::field("parent_id", format!("folders nest at most {MAX_DEPTH} deep")));
    }
    check_path(way.path_bytes, name, below.path_bytes)
}

fn check_path(above_bytes: u32, name: &str, below_bytes: u32) -> Result<(), Error> {
    let name_bytes = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let path_bytes = above_bytes.saturating_add(1).saturating_add(name_bytes).saturating_add(below_bytes);
    if path_bytes <= MAX_PATH_BYTES {
        return Ok(());
    }
    Err(Error::field("name", format!("a path may have at most {MAX_PATH_BYTES} bytes, this one has {path_bytes}")))
}

/// Refuses to take a folder away in which something is write-protected, hidden from the viewer or closed to them, or,
/// for who may change their own things only, somebody else's.
pub(super) fn check_inside(connection: &Connection, viewer: &Viewer, folder_id: Uuid) -> Result<(), Error> {
    for (id, protected) in tree::special_below(connection, folder_id)? {
        if protected {
            return Err(Error::WriteProtected);
        }
        if access::access_before_trash(connection, viewer, Some(id))? != Some(Access::Write) {
            return Err(Error::NotAllOfIt);
        }
    }
    if !viewer.edits_all && tree::others_have_items_below(connection, folder_id, viewer.user_id)? {
        return Err(Error::NotAllOfIt);
    }
    Ok(())
}

/// How much more a person may store; `None` is as much as fits.
pub(super) fn quota_left(connection: &Connection, owner_id: Uuid, general_bytes: u64) -> Result<Option<u64>, Error> {
    let general = (general_bytes > 0).then_some(general_bytes);
    let Some(quota) = usage::quota(connection, owner_id)?.or(general) else { return Ok(None) };
    Ok(Some(quota.saturating_sub(usage::of_user(connection, owner_id)?)))
}

/// Refuses what would go over a person's quota.
pub(super) fn check_quota(
    connection: &Connection,
    owner_id: Uuid,
    general_bytes: u64,
    more_bytes: u64,
) -> Result<(), Error> {
    let left = quota_left(connection, owner_id, general_bytes)?;
    if left.is_some_and(|left| more_bytes > left) { Err(Error::QuotaExceeded) } else { Ok(()) }
}
