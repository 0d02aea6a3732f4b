//! Who sees which folder: the one rule, as one query, and the lists it reads.

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::folders::text;
use super::row;
use crate::model::access::{self, Access, Grant, Grantee, Viewer};
use crate::storage::database::DatabaseError;

/// What a viewer may do in a folder (`None` is the root). Nothing, when it is not there, or not there for them; what is in
/// the trash is not there.
///
/// Every private folder on the way from the root must let them in; the least of what these grant counts.
pub(crate) fn access(
    connection: &Connection,
    viewer: &Viewer,
    folder_id: Option<Uuid>,
) -> Result<Option<Access>, DatabaseError> {
    look(connection, viewer, folder_id, false)
}

/// As [`access`], for what is in the trash: as if it lay where it came from.
pub(crate) fn access_before_trash(
    connection: &Connection,
    viewer: &Viewer,
    folder_id: Option<Uuid>,
) -> Result<Option<Access>, DatabaseError> {
    look(connection, viewer, folder_id, true)
}

fn look(
    connection: &Connection,
    viewer: &Viewer,
    folder_id: Option<Uuid>,
    trash_too: bool,
) -> Result<Option<Access>, DatabaseError> {
    let Some(folder_id) = folder_id else {
        return Ok(if viewer.scope.is_some() { None } else { capped(viewer, 2) });
    };
    // 0: not let in, 1: read, 2: write. No row, no minimum: then there is no such folder.
    let sql = "WITH RECURSIVE
                   mine (id) AS (SELECT ?2 UNION ALL SELECT group_id FROM group_members WHERE user_id = ?2),
                   up (id, parent_id, private, trashed) AS (
                       SELECT id, parent_id, private, trashed_at IS NOT NULL FROM folders WHERE id = ?1
                       UNION ALL
                       SELECT folders.id, folders.parent_id, folders.private, folders.trashed_at IS NOT NULL
                       FROM folders JOIN up ON folders.id = up.parent_id
                   )
               SELECT min(CASE WHEN trashed AND NOT ?5 THEN 0 WHEN ?3 OR NOT private THEN 2 ELSE
                          ifnull((SELECT max(1 + (access = 'write')) FROM folder_grants
                                  WHERE folder_id = up.id AND grantee_id IN mine), 0) END),
                      ifnull(max(id = ?4), 0)
               FROM up";
    let scope = viewer.scope.map(|id| id.to_string());
    let values = params![folder_id.to_string(), viewer.user_id.to_string(), viewer.sees_all, scope, trash_too];
    let found = connection.prepare_cached(sql)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)));
    let (level, in_scope): (Option<i64>, bool) = found?;
    Ok(if viewer.scope.is_some() && !in_scope { None } else { capped(viewer, level.unwrap_or(0)) })
}

/// A level as the queries count them, cut to what the viewer's role makes of it.
pub(super) fn capped(viewer: &Viewer, level: i64) -> Option<Access> {
    match level {
        ..=0 => None,
        1 => Some(Access::Read),
        2.. => Some(if viewer.may_write { Access::Write } else { Access::Read }),
    }
}

/// Whether anything in the vault is private.
pub(crate) fn is_anything_private(connection: &Connection) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM folders WHERE private = 1)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// The list of a folder, users first, in the order of their ids.
pub(crate) fn grants(connection: &Connection, folder_id: Uuid) -> Result<Vec<Grant>, DatabaseError> {
    let sql = "SELECT user_id, group_id, access FROM folder_grants WHERE folder_id = ?1
               ORDER BY user_id IS NULL, grantee_id";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([folder_id.to_string()])?, grant)
}

/// Makes a folder private with exactly that list, or open to all. An open folder has no list.
pub(crate) fn set(
    connection: &Connection,
    folder_id: Uuid,
    parent_id: Option<Uuid>,
    private: bool,
    grants: &[Grant],
) -> Result<(), DatabaseError> {
    let folder_id = folder_id.to_string();
    connection.prepare_cached("UPDATE folders SET private = ?2 WHERE id = ?1")?.execute(params![folder_id, private])?;
    connection.prepare_cached("DELETE FROM folder_grants WHERE folder_id = ?1")?.execute([&folder_id])?;
    let sql = "INSERT INTO folder_grants (folder_id, parent_id, user_id, group_id, access) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = connection.prepare_cached(sql)?;
    for grant in grants {
        let (user_id, group_id) = match grant.grantee {
            Grantee::User(id) => (Some(id.to_string()), None),
            Grantee::Group(id) => (None, Some(id.to_string())),
        };
        statement.execute(params![folder_id, text(parent_id), user_id, group_id, access::name(grant.access)])?;
    }
    Ok(())
}

/// Takes a deleted account off all lists. The folders stay private, if need be with nobody on their list.
pub(crate) fn delete_of_user(connection: &Connection, user_id: Uuid) -> Result<(), DatabaseError> {
    connection.prepare_cached("DELETE FROM folder_grants WHERE user_id = ?1")?.execute([user_id.to_string()])?;
    Ok(())
}

fn grant(row: &Row<'_>) -> Result<Grant, DatabaseError> {
    let user = row::optional_id(row, "user_id")?.map(Grantee::User);
    let group = row::optional_id(row, "group_id")?.map(Grantee::Group);
    Ok(Grant {
        grantee: user.or(group).ok_or(DatabaseError::Value("grantee"))?,
        access: access::parse(&row.get::<_, String>("access")?).ok_or(DatabaseError::Value("access"))?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;

    use super::*;
    use crate::model::folder::Folder;
    use crate::model::group::GroupName;
    use crate::repo::{folders, groups, migrate};

    const NONE: Option<Access> = None;
    const READ: Option<Access> = Some(Access::Read);
    const WRITE: Option<Access> = Some(Access::Write);

    const ADA: Uuid = Uuid::from_u128(1);
    const BOB: Uuid = Uuid::from_u128(2);
    const TEAM: Uuid = Uuid::from_u128(11);
    const CLUB: Uuid = Uuid::from_u128(12);

    const fn folder_id(number: u128) -> Uuid {
        Uuid::from_u128(100 + number)
    }

    const OUTER: Uuid = folder_id(1);
    const MIDDLE: Uuid = folder_id(2);
    const INNER: Uuid = folder_id(3);

    fn viewer(user_id: Uuid) -> Viewer {
        Viewer { user_id, sees_all: false, may_write: true, edits_all: false, scope: None }
    }

    fn user(id: Uuid, access: Access) -> Grant {
        Grant { grantee: Grantee::User(id), access }
    }

    fn group(id: Uuid, access: Access) -> Grant {
        Grant { grantee: Grantee::Group(id), access }
    }

    /// Two people and two empty groups.
    fn world() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for id in [ADA, BOB] {
            let sql = "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
                       VALUES (?1, ?1, ?1, '', 'writer', 1, 0)";
            connection.execute(sql, [id.to_string()]).unwrap();
        }
        for id in [TEAM, CLUB] {
            groups::insert(&connection, id, &GroupName::parse(&id.to_string()).unwrap(), Timestamp::UNIX_EPOCH)
                .unwrap();
        }
        connection
    }

    fn add_folder(connection: &Connection, id: Uuid, parent_id: Option<Uuid>) {
        let folder = Folder::new(id, parent_id, id.to_string(), Timestamp::UNIX_EPOCH, ADA);
        folders::insert(connection, &folder).unwrap();
    }

    /// Outer, middle and inner, one in the other.
    fn nest(connection: &Connection) {
        add_folder(connection, OUTER, None);
        add_folder(connection, MIDDLE, Some(OUTER));
        add_folder(connection, INNER, Some(MIDDLE));
    }

    fn join(connection: &Connection, group_id: Uuid, user_id: Uuid) {
        groups::add_member(connection, group_id, user_id, Timestamp::UNIX_EPOCH).unwrap();
    }

    fn restrict(connection: &Connection, id: Uuid, grants: &[Grant]) {
        let parent_id = folders::find(connection, id).unwrap().unwrap().parent_id;
        set(connection, id, parent_id, true, grants).unwrap();
    }

    fn sees(connection: &Connection, viewer: Viewer, folder_id: Uuid) -> Option<Access> {
        access(connection, &viewer, Some(folder_id)).unwrap()
    }

    #[test]
    fn every_private_folder_on_the_way_must_let_one_in_and_the_least_counts() {
        let (read, write) = ([user(BOB, Access::Read)], [user(BOB, Access::Write)]);
        let nobody: [Grant; 0] = [];
        let others = [user(ADA, Access::Write)];
        // The lists of outer and inner (`None`: open), and what bob sees of outer, middle, inner.
        let open: Option<&[Grant]> = None;
        for (outer, inner, expected) in [
            (open, open, [WRITE, WRITE, WRITE]),
            (Some(&write[..]), open, [WRITE, WRITE, WRITE]),
            (Some(&read), open, [READ, READ, READ]),
            (Some(&nobody), open, [NONE, NONE, NONE]),
            (Some(&others), open, [NONE, NONE, NONE]),
            (open, Some(&write[..]), [WRITE, WRITE, WRITE]),
            (open, Some(&read), [WRITE, WRITE, READ]),
            (open, Some(&others), [WRITE, WRITE, NONE]),
            (Some(&read), Some(&write), [READ, READ, READ]),
            (Some(&write), Some(&read), [WRITE, WRITE, READ]),
            (Some(&write), Some(&nobody), [WRITE, WRITE, NONE]),
            (Some(&nobody), Some(&write), [NONE, NONE, NONE]),
        ] {
            let connection = world();
            nest(&connection);
            for (id, list) in [(OUTER, outer), (INNER, inner)] {
                if let Some(list) = list {
                    restrict(&connection, id, list);
                }
            }
            let seen = [OUTER, MIDDLE, INNER].map(|id| sees(&connection, viewer(BOB), id));
            assert_eq!(seen, expected, "outer {outer:?}, inner {inner:?}");
        }
    }

    #[test]
    fn the_greatest_of_the_grants_to_a_person_and_their_groups_counts() {
        for (grants, expected) in [
            (vec![user(BOB, Access::Read), group(TEAM, Access::Write)], WRITE),
            (vec![user(BOB, Access::Write), group(TEAM, Access::Read)], WRITE),
            (vec![group(TEAM, Access::Read), group(CLUB, Access::Write)], READ),
            (vec![group(TEAM, Access::Read)], READ),
            (vec![group(CLUB, Access::Write)], NONE),
            (vec![user(ADA, Access::Write)], NONE),
        ] {
            let connection = world();
            nest(&connection);
            join(&connection, TEAM, BOB);
            restrict(&connection, OUTER, &grants);
            assert_eq!(sees(&connection, viewer(BOB), INNER), expected, "{grants:?}");
        }
    }

    #[test]
    fn what_was_granted_ends_with_the_grant_the_membership_the_group_and_the_account() {
        type End = fn(&Connection);
        let ends: [End; 5] = [
            |connection| restrict(connection, OUTER, &[user(ADA, Access::Write)]),
            |connection| assert!(groups::remove_member(connection, TEAM, BOB).unwrap()),
            |connection| assert!(groups::delete(connection, TEAM).unwrap()),
            |connection| groups::delete_of_user(connection, BOB).unwrap(),
            |connection| {
                restrict(connection, OUTER, &[user(BOB, Access::Write)]);
                assert_eq!(sees(connection, viewer(BOB), INNER), WRITE);
                delete_of_user(connection, BOB).unwrap();
            },
        ];
        for (index, end) in ends.into_iter().enumerate() {
            let connection = world();
            nest(&connection);
            restrict(&connection, OUTER, &[group(TEAM, Access::Write)]);
            join(&connection, TEAM, BOB);
            assert_eq!(sees(&connection, viewer(BOB), INNER), WRITE);
            end(&connection);
            assert_eq!(sees(&connection, viewer(BOB), INNER), NONE, "{index}");
            assert!(is_anything_private(&connection).unwrap(), "{index}");
        }
    }

    #[test]
    fn an_opened_folder_forgets_its_list() {
        let connection = world();
        nest(&connection);
        restrict(&connection, OUTER, &[user(ADA, Access::Write), group(TEAM, Access::Read)]);
        let list = grants(&connection, OUTER).unwrap();
        assert_eq!(list, [user(ADA, Access::Write), group(TEAM, Access::Read)]);
        set(&connection, OUTER, None, false, &[]).unwrap();
        assert_eq!(grants(&connection, OUTER).unwrap(), []);
        assert_eq!(sees(&connection, viewer(BOB), INNER), WRITE);
        assert!(!is_anything_private(&connection).unwrap());
    }

    #[test]
    fn a_moved_folder_is_as_hidden_as_its_new_place() {
        let connection = world();
        nest(&connection);
        let other = folder_id(9);
        add_folder(&connection, other, None);
        restrict(&connection, OUTER, &[user(ADA, Access::Write)]);
        restrict(&connection, INNER, &[user(BOB, Access::Read)]);
        let move_to = |parent: Uuid| {
            let sql = "UPDATE folders SET parent_id = ?2 WHERE id = ?1";
            connection.execute(sql, [INNER.to_string(), parent.to_string()]).unwrap();
        };
        let listed = |parent| -> Vec<Uuid> {
            let rows =
                folders::list_by_creation(&connection, &viewer(BOB), Some(parent), Access::Write, None, 10).unwrap();
            rows.into_iter().map(|(folder, _)| folder.id).collect()
        };
        assert_eq!((sees(&connection, viewer(BOB), INNER), listed(other)), (NONE, vec![]));
        move_to(other);
        assert_eq!((sees(&connection, viewer(BOB), INNER), listed(other)), (READ, vec![INNER]));
        assert!(listed(MIDDLE).is_empty());
        move_to(MIDDLE);
        assert_eq!((sees(&connection, viewer(BOB), INNER), listed(other)), (NONE, vec![]));
    }

    #[test]
    fn what_a_role_and_a_scope_make_of_it() {
        let connection = world();
        nest(&connection);
        restrict(&connection, MIDDLE, &[user(BOB, Access::Write)]);
        let reader = Viewer { may_write: false, ..viewer(BOB) };
        let admin = Viewer { sees_all: true, ..viewer(ADA) };
        let scoped = |scope| Viewer { scope: Some(scope), ..viewer(BOB) };
        let gone = folder_id(99);
        // The root, outer, middle, inner.
        for (case, viewer, expected) in [
            ("a writer on the list", viewer(BOB), [WRITE, WRITE, WRITE, WRITE]),
            ("a reader on the list", reader, [READ, READ, READ, READ]),
            ("somebody else", viewer(ADA), [WRITE, WRITE, NONE, NONE]),
            ("an administrator", admin, [WRITE, WRITE, WRITE, WRITE]),
            ("a key for outer", scoped(OUTER), [NONE, WRITE, WRITE, WRITE]),
            ("a key for middle", scoped(MIDDLE), [NONE, NONE, WRITE, WRITE]),
            ("a key for a hidden folder", Viewer { user_id: ADA, ..scoped(INNER) }, [NONE; 4]),
            ("a key for a folder that is gone", scoped(gone), [NONE; 4]),
            ("an administrator's key", Viewer { scope: Some(MIDDLE), ..admin }, [NONE, NONE, WRITE, WRITE]),
        ] {
            let seen =
                [None, Some(OUTER), Some(MIDDLE), Some(INNER)].map(|id| access(&connection, &viewer, id).unwrap());
            assert_eq!(seen, expected, "{case}");
            assert_eq!(sees(&connection, viewer, gone), NONE, "{case}");
        }
    }

    /// Pseudo-random numbers that are the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % sides
        }
    }

    /// The same rule once more, as a person would say it.
    struct Model {
        parents: BTreeMap<Uuid, Option<Uuid>>,
        lists: BTreeMap<Uuid, Vec<Grant>>,
        groups: BTreeSet<Uuid>,
    }

    impl Model {
        fn access(&self, id: Option<Uuid>) -> Option<Access> {
            let Some(id) = id else { return WRITE };
            let mine = |grant: &&Grant| match grant.grantee {
                Grantee::User(user_id) => user_id == BOB,
                Grantee::Group(group_id) => self.groups.contains(&group_id),
            };
            let here = match self.lists.get(&id) {
                None => WRITE,
                Some(list) => list.iter().filter(mine).map(|grant| grant.access).max(),
            };
            self.access(self.parents[&id]).min(here)
        }

        fn children(&self, parent: Option<Uuid>) -> Vec<(Uuid, Access)> {
            let here = self.parents.iter().filter(|(_, of)| **of == parent);
            here.filter_map(|(id, _)| Some((*id, self.access(Some(*id))?))).collect()
        }
    }

    #[test]
    fn lists_and_single_questions_agree_with_the_rule_in_any_tree() {
        for seed in 1..=40 {
            let mut dice = Dice(seed * 0x9e37_79b9);
            let connection = world();
            let mut model = Model { parents: BTreeMap::new(), lists: BTreeMap::new(), groups: BTreeSet::new() };
            for id in [TEAM, CLUB] {
                if dice.roll(2) == 0 {
                    join(&connection, id, BOB);
                    model.groups.insert(id);
                }
            }
            for number in 0..30 {
                let parent = dice.roll(number.min(5) + 1).checked_sub(1).map(|parent| folder_id(parent.into()));
                let id = folder_id(number.into());
                add_folder(&connection, id, parent);
                model.parents.insert(id, parent);
                if dice.roll(2) == 0 {
                    let mut list = Vec::new();
                    for grantee in [Grantee::User(ADA), Grantee::User(BOB), Grantee::Group(TEAM), Grantee::Group(CLUB)]
                    {
                        let access = [Access::Read, Access::Write][usize::from(dice.roll(2) == 0)];
                        if dice.roll(3) == 0 {
                            list.push(Grant { grantee, access });
                        }
                    }
                    restrict(&connection, id, &list);
                    model.lists.insert(id, list);
                }
            }
            let all: Vec<Option<Uuid>> = model.parents.keys().copied().map(Some).chain([None]).collect();
            for id in all {
                let expected = model.access(id);
                assert_eq!(access(&connection, &viewer(BOB), id).unwrap(), expected, "seed {seed}");
                let Some(inside) = expected else { continue };
                let (mut listed, mut after) = (Vec::new(), None);
                loop {
                    let page = folders::list_by_creation(&connection, &viewer(BOB), id, inside, after, 2).unwrap();
                    listed.extend(page.iter().map(|(folder, access)| (folder.id, *access)));
                    let Some((last, _)) = page.last() else { break };
                    after = Some(last.id);
                    assert!(listed.len() <= 30, "seed {seed}: the pages do not end");
                }
                assert_eq!(listed, model.children(id), "seed {seed}");
            }
        }
    }
}
