//! The wall between people, against everything that SQL can say and against a model of the rules.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use rusqlite::backup::Backup;

use super::*;
use crate::model::file::{BlobId, Sha256};
use crate::model::secret::{AttachmentPlace, SecretAttachment};
use crate::repo::secret_attachments;

const USERS: u128 = 4;
const VAULTS: u128 = 3;
const ITEM: Uuid = Uuid::from_u128(0x30);

fn user(index: u128) -> Uuid {
    Uuid::from_u128(0x100 + index)
}

fn vault_id(index: u128) -> Uuid {
    Uuid::from_u128(0x200 + index)
}

/// A database with some people and nothing else: a copy of one that was made once.
fn database() -> Connection {
    static MADE: LazyLock<Mutex<Connection>> = LazyLock::new(|| Mutex::new(made()));
    let mut copy = Connection::open_in_memory().unwrap();
    let made = MADE.lock().unwrap();
    Backup::new(&made, &mut copy).unwrap().run_to_completion(10_000, Duration::ZERO, None).unwrap();
    copy.pragma_update(None, "foreign_keys", true).unwrap();
    copy.pragma_update(None, "trusted_schema", false).unwrap();
    copy
}

fn made() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    crate::repo::migrate(&mut connection).unwrap();
    for index in 0..USERS {
        let sql = "INSERT INTO users (id, username, display_name, password_hash, role, active, created_at)
                   VALUES (?1, ?2, '', '', 'writer', 1, 0)";
        connection.execute(sql, params![user(index).to_string(), format!("user_{index}")]).unwrap();
    }
    connection
}

fn an_item(vault_id: Uuid, revision: u64, sequence: u64) -> SecretItem {
    SecretItem {
        vault_id,
        id: ITEM,
        revision,
        generation: 1,
        key_generation: 1,
        wrapped_key: vec![1; 104],
        content: Some(vec![2; 300]),
        sequence,
        changed_at: Timestamp::UNIX_EPOCH,
        changed_by: Uuid::nil(),
    }
}

fn an_attachment(id: u128) -> SecretAttachment {
    SecretAttachment {
        id: Uuid::from_u128(id),
        blob: BlobId::parse(&Uuid::new_v4().simple().to_string()).unwrap(),
        size_bytes: 1000,
        sha256: Sha256([7; 32]),
        created_at: Timestamp::UNIX_EPOCH,
        created_by: Uuid::nil(),
    }
}

fn place(vault_id: Uuid, item_id: Uuid, id: u128) -> AttachmentPlace {
    AttachmentPlace { vault_id, item_id, id: Uuid::from_u128(id) }
}

/// Whether the wall refused it. Any other failure fails the test.
fn is_refused<T: std::fmt::Debug>(result: Result<T, DatabaseError>) -> bool {
    match result {
        Ok(_) => false,
        Err(DatabaseError::Refused(_)) => true,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_scoped_statement_on_any_table_is_refused_when_it_is_prepared() {
    let connection = database();
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    drop(statement);
    assert!(tables.len() > 40 && tables.iter().any(|name| name == "secret_items"), "{tables:?}");
    let scope = scope(&connection, user(0)).unwrap();
    for table in tables.iter().map(String::as_str).chain(["sqlite_schema", "sqlite_master", "sqlite_temp_schema"]) {
        for sql in [
            format!("SELECT * FROM \"{table}\""),
            format!("SELECT count(*) FROM \"{table}\""),
            format!("SELECT 1 FROM my_secret_vaults WHERE EXISTS (SELECT 1 FROM \"{table}\")"),
            format!("WITH t AS (SELECT * FROM \"{table}\") SELECT * FROM t"),
            format!("DELETE FROM \"{table}\""),
            format!("INSERT INTO \"{table}\" DEFAULT VALUES"),
            format!("DROP TABLE \"{table}\""),
        ] {
            assert!(scope.prepare(&sql).is_err(), "{sql}");
        }
    }
}

#[test]
fn nothing_but_views_is_within_reach() {
    let connection = database();
    let scope = scope(&connection, user(0)).unwrap();
    for sql in [
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "pragma writable_schema = ON",
        "pragma table_info(users)",
        "SELECT * FROM pragma_table_info('users')",
        "SELECT * FROM pragma_database_list",
        "CREATE TABLE mine (a)",
        "CREATE TEMP TABLE mine (a)",
        "CREATE VIEW mine AS SELECT * FROM secret_items",
        "CREATE TEMP VIEW mine AS SELECT * FROM secret_items",
        "CREATE TEMP TRIGGER mine INSTEAD OF INSERT ON my_secret_items BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE mine USING fts5(a)",
        "DROP VIEW my_secret_items",
        "ALTER TABLE secret_items RENAME TO mine",
        "REINDEX",
        "ANALYZE",
        "VACUUM INTO '/tmp/copy'",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT mine",
        "SELECT coffer_principal()",
        "SELECT load_extension('x')",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n",
    ] {
        let refused = scope.prepare(sql).and_then(|mut statement| Ok(statement.execute([])?));
        assert!(refused.is_err(), "{sql}");
    }
    assert_eq!(vaults(&scope, None, 10).unwrap(), []);
}

#[test]
fn the_views_and_triggers_are_all_of_the_surface_and_it_names_no_others() {
    let connection = database();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let kind = |kind: &str| {
        names(&format!(
            "SELECT name FROM sqlite_schema WHERE type = '{kind}' AND (name LIKE 'secret\\_%' ESCAPE '\\'
                 OR name LIKE 'my\\_secret%' ESCAPE '\\') ORDER BY name"
        ))
    };
    assert_eq!(kind("view"), SURFACE.views);
    assert_eq!(kind("trigger"), SURFACE.triggers);
    assert_eq!(kind("table"), SURFACE.tables);
}

#[test]
fn a_statement_of_before_is_no_way_around_and_the_scope_ends() {
    let connection = database();
    let all = "SELECT count(*) FROM users";
    let count = || connection.prepare_cached(all).unwrap().query_row([], |row| row.get::<_, u32>(0));
    assert_eq!(count().unwrap(), 4);
    let mut old = connection.prepare(all).unwrap();
    let scoped = scope(&connection, user(0)).unwrap();
    assert!(old.query_row([], |row| row.get::<_, u32>(0)).is_err(), "prepared before");
    drop(scoped);
    assert_eq!(count().unwrap(), 4);
    assert!(connection.prepare("SELECT * FROM my_secret_vaults").is_err(), "nobody is nobody");
}

#[test]
fn a_vault_is_seen_by_its_members_alone_and_a_change_of_them_counts_at_once() {
    let connection = database();
    let of = |index| scope(&connection, user(index)).unwrap();
    let id = vault_id(0);
    create_vault(&of(0), id, Timestamp::UNIX_EPOCH).unwrap();
    append_link(&of(0), id, 1, &[9; 261]).unwrap();
    insert_item(&of(0), &an_item(id, 1, 1)).unwrap();
    assert_eq!(find_vault(&of(1), id).unwrap(), None);
    assert_eq!(find_item(&of(1), id, ITEM).unwrap(), None);

    add_member(&of(0), id, user(1), Role::Viewer).unwrap();
    let seen = find_item(&of(1), id, ITEM).unwrap().unwrap();
    assert_eq!(seen.changed_by, user(0), "whatever the row said");
    assert!(is_refused(update_item(&of(1), &an_item(id, 2, 2))));
    assert!(set_role(&of(0), id, user(1), Role::Editor).unwrap());
    update_item(&of(1), &an_item(id, 2, 2)).unwrap();
    assert!(remove_member(&of(0), id, user(1)).unwrap());
    assert_eq!(find_item(&of(1), id, ITEM).unwrap(), None);
    assert!(links_from(&of(1), id, 0, 10).unwrap().is_empty());
    let vault = find_vault(&of(0), id).unwrap().unwrap();
    assert_eq!((vault.sequence, vault.used_bytes), (1, 2 * (512 + 300)), "both revisions are kept");
}

#[test]
fn the_last_owner_stays_and_owners_are_made_by_owners() {
    let connection = database();
    let of = |index| scope(&connection, user(index)).unwrap();
    let id = vault_id(0);
    create_vault(&of(0), id, Timestamp::UNIX_EPOCH).unwrap();
    assert!(is_refused(remove_member(&of(0), id, user(0))));
    assert!(is_refused(set_role(&of(0), id, user(0), Role::Viewer)));
    add_member(&of(0), id, user(1), Role::Manager).unwrap();
    assert!(is_refused(add_member(&of(1), id, user(2), Role::Owner)));
    assert!(is_refused(set_role(&of(1), id, user(1), Role::Owner)));
    assert!(is_refused(set_role(&of(1), id, user(0), Role::Viewer)));
    assert!(is_refused(remove_member(&of(1), id, user(0))));
    assert!(is_refused(delete_vault(&of(1), id)));
    assert!(set_role(&of(0), id, user(1), Role::Owner).unwrap());
    assert!(remove_member(&of(0), id, user(0)).unwrap(), "one may leave");
    assert!(delete_vault(&of(1), id).unwrap());
    assert!(!delete_vault(&of(1), id).unwrap());
}

#[test]
fn a_key_is_read_by_its_member_alone_and_given_by_managers() {
    let connection = database();
    let of = |index| scope(&connection, user(index)).unwrap();
    let id = vault_id(0);
    create_vault(&of(0), id, Timestamp::UNIX_EPOCH).unwrap();
    add_member(&of(0), id, user(1), Role::Editor).unwrap();
    put_key(&of(0), id, user(1), 1, &[7; 237]).unwrap();
    assert_eq!(keys(&of(0), id).unwrap(), []);
    assert_eq!(keys(&of(1), id).unwrap(), [SecretKey { generation: 1, sealed: vec![7; 237] }]);
    assert!(matches!(put_key(&of(0), id, user(1), 1, &[8; 237]), Err(DatabaseError::Conflict)));
    put_key(&of(1), id, user(1), 1, &[9; 104]).unwrap();
    assert_eq!(keys(&of(1), id).unwrap()[0].sealed, [9; 104]);
    assert!(is_refused(put_key(&of(1), id, user(0), 1, &[8; 237])));
    assert!(is_refused(put_key(&of(2), id, user(2), 1, &[8; 104])));
}

#[test]
fn something_is_attached_to_an_item_that_is_there_and_goes_when_its_item_or_its_vault_goes() {
    let connection = database();
    let of = |index| scope(&connection, user(index)).unwrap();
    let (id, other) = (vault_id(0), Uuid::from_u128(0x31));
    let attach =
        |index, item_id, name| secret_attachments::insert(&of(index), place(id, item_id, name), &an_attachment(name));
    create_vault(&of(0), id, Timestamp::UNIX_EPOCH).unwrap();
    assert!(is_refused(attach(0, ITEM, 0x40)), "there is no such item yet");
    insert_item(&of(0), &an_item(id, 1, 1)).unwrap();
    insert_item(&of(0), &SecretItem { id: other, ..an_item(id, 1, 2) }).unwrap();
    for (item, name) in [(ITEM, 0x40), (ITEM, 0x41), (other, 0x40)] {
        attach(0, item, name).unwrap();
    }
    assert!(matches!(attach(0, ITEM, 0x40), Err(DatabaseError::Conflict)));
    let found = secret_attachments::find(&of(0), place(id, ITEM, 0x41)).unwrap().unwrap();
    assert_eq!((found.id, found.created_by), (Uuid::from_u128(0x41), user(0)), "whatever the row said");
    assert_eq!(secret_attachments::used_bytes(&of(0), id).unwrap(), 3000);
    assert_eq!(secret_attachments::used_bytes(&of(1), id).unwrap(), 0);
    assert_eq!(secret_attachments::delete(&of(1), place(id, ITEM, 0x41)).unwrap(), None);

    update_item(&of(0), &SecretItem { content: None, ..an_item(id, 2, 3) }).unwrap();
    assert!(is_refused(attach(0, ITEM, 0x42)), "it was deleted");
    assert_eq!(secret_attachments::delete_stray(&connection).unwrap().len(), 2);
    assert_eq!(secret_attachments::list(&of(0), id, ITEM).unwrap(), []);
    assert_eq!(secret_attachments::delete_of_vault(&of(0), id).unwrap().len(), 1);
    assert_eq!(secret_attachments::list(&of(0), id, other).unwrap(), []);
}

#[test]
fn links_come_one_after_the_other() {
    let connection = database();
    let id = vault_id(0);
    let scope = scope(&connection, user(0)).unwrap();
    create_vault(&scope, id, Timestamp::UNIX_EPOCH).unwrap();
    for wrong in [0, 2, 3] {
        assert!(is_refused(append_link(&scope, id, wrong, &[1; 261])), "{wrong}");
    }
    append_link(&scope, id, 1, &[1; 261]).unwrap();
    assert!(is_refused(append_link(&scope, id, 1, &[1; 261])));
    append_link(&scope, id, 2, &[2; 261]).unwrap();
    assert_eq!(links_from(&scope, id, 2, 10).unwrap(), [vec![2; 261]]);
}

/// Who has which role where, and nothing else: what the database has to agree with.
type Policy = BTreeMap<(u128, u128), u8>;

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::collection::vec(0_u8..=4, usize::try_from(USERS * VAULTS).unwrap()).prop_map(|roles| {
        let pairs = (0..USERS).flat_map(|user| (0..VAULTS).map(move |vault| (user, vault)));
        pairs.zip(roles).filter(|(_, role)| *role > 0).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_random_policy_is_what_a_naive_model_says(policy in any_policy(), to in 1_u8..=4) {
        let connection = database();
        for vault in 0..VAULTS {
            let id = vault_id(vault).to_string();
            connection.execute("INSERT INTO secret_vaults VALUES (?1, 0, 1, 0, 0, ?2)", [&id, &user(0).to_string()]).unwrap();
            let item = "INSERT INTO secret_items VALUES (?1, ?2, 1, 1, 1, zeroblob(104), zeroblob(9), 1, 0, ?3)";
            connection.execute(item, [&id, &ITEM.to_string(), &user(0).to_string()]).unwrap();
            let attached = "INSERT INTO secret_attachments VALUES (?1, ?2, ?3, ?4, 9, ?5, 0, ?6)";
            let (name, sha256) = (Uuid::from_u128(0x40).to_string(), Sha256([7; 32]).to_string());
            let blob = Uuid::from_u128(vault).simple().to_string();
            connection.execute(attached, [&id, &ITEM.to_string(), &name, &blob, &sha256, &user(0).to_string()]).unwrap();
        }
        for ((who, vault), role) in &policy {
            let sql = "INSERT INTO secret_members VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![vault_id(*vault).to_string(), user(*who).to_string(), role]).unwrap();
        }
        let role = |who, vault| policy.get(&(who, vault)).copied().unwrap_or(0);
        let owners = |vault| policy.iter().filter(|((_, of), role)| *of == vault && **role == 4).count();
        // Each is tried and taken back.
        let attempt = |who, work: &dyn Fn(&Scope<'_>) -> Result<(), DatabaseError>| {
            connection.execute_batch("SAVEPOINT attempt").unwrap();
            let refused = is_refused(work(&scope(&connection, user(who)).unwrap()));
            connection.execute_batch("ROLLBACK TO attempt; RELEASE attempt").unwrap();
            !refused
        };
        for who in 0..USERS {
            let seen: Vec<(Uuid, u8)> = vaults(&scope(&connection, user(who)).unwrap(), None, 10)
                .unwrap().into_iter().map(|vault| (vault.id, vault.role.number())).collect();
            let expected: Vec<(Uuid, u8)> = (0..VAULTS)
                .map(|vault| (vault_id(vault), role(who, vault))).filter(|(_, role)| *role > 0).collect();
            prop_assert_eq!(seen, expected);
            for vault in 0..VAULTS {
                let (mine, id) = (role(who, vault), vault_id(vault));
                let found = find_item(&scope(&connection, user(who)).unwrap(), id, ITEM).unwrap();
                prop_assert_eq!(found.is_some(), mine > 0);
                let attached = secret_attachments::list(&scope(&connection, user(who)).unwrap(), id, ITEM).unwrap();
                prop_assert_eq!(attached.len(), usize::from(mine > 0));
                let more = an_attachment(0x41);
                let attach = |scope: &Scope<'_>| secret_attachments::insert(scope, place(id, ITEM, 0x41), &more);
                prop_assert_eq!(attempt(who, &attach), mine >= 2);
                let detach = |scope: &Scope<'_>| secret_attachments::delete(scope, place(id, ITEM, 0x40)).map(drop);
                // To whom it is not there, there is nothing to be refused.
                prop_assert_eq!(attempt(who, &detach), mine != 1);
                let new = SecretItem { id: Uuid::from_u128(0x31), ..an_item(id, 1, 1) };
                prop_assert_eq!(attempt(who, &|scope| insert_item(scope, &new)), mine >= 2);
                prop_assert_eq!(attempt(who, &|scope| append_link(scope, id, 1, &[1; 261])), mine >= 2);
                for other in 0..USERS {
                    let theirs = role(other, vault);
                    let may_manage = mine >= 3 && (mine == 4 || (theirs < 4 && to < 4));
                    let wanted = Role::from_number(to).unwrap();
                    let keeps_an_owner = to == 4 || theirs < 4 || owners(vault) > 1;
                    if theirs == 0 {
                        let added = attempt(who, &|scope| add_member(scope, id, user(other), wanted));
                        prop_assert_eq!(added, may_manage);
                    } else if mine > 0 {
                        let set = attempt(who, &|scope| set_role(scope, id, user(other), wanted).map(|_| ()));
                        let has_one = owners(vault) > 0 || to == 4;
                        prop_assert_eq!(set, may_manage && keeps_an_owner && has_one);
                        let removed = attempt(who, &|scope| remove_member(scope, id, user(other)).map(|_| ()));
                        let may_remove = who == other || (mine >= 3 && (mine == 4 || theirs < 4));
                        let left = owners(vault) - usize::from(theirs == 4);
                        prop_assert_eq!(removed, may_remove && left > 0);
                    }
                }
            }
        }
    }
}
