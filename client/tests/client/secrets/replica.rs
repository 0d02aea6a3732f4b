//! What a device keeps: whole after every power cut, merged without loss, and for one reader.

use std::time::Instant;

use coffer_client::secrets::{
    failure::Failure,
    replica::{Kind, Replica},
};
use coffer_crypto::secrets::{
    keys::AccountKey,
    local::{LocalKey, Place},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    box_under_test::BoxUnderTest,
    device::{Device, PASSWORD},
};

const VAULT: Uuid = Uuid::from_u128(0x7a0c_51f3_9be2_4d68_8a17_c3d5_e604_b92f);

fn key(seed: u8) -> LocalKey {
    LocalKey::of(&AccountKey::from_bytes(Uuid::from_u128(9), &[seed; 32]))
}

#[test]
fn a_kill_while_it_is_written_leaves_the_old_or_the_new() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let desk = Device::first_of("grace", &format!("http://{}", the_box.address()));
    desk.ok(&["vault", "create", "Home"], "");
    // As much as fits: written for as long as possible.
    let value = |number: usize| format!("{number}:{}", "x".repeat(900_000));
    desk.add("Home", "Big", "small");
    let started = Instant::now();
    let file = desk.file("next", &value(0));
    desk.ok(&["item", "edit", "Home", "Big", "--secret-file", &format!("password={file}")], "");
    let whole = started.elapsed();
    // Each cut tells whether the next one has to come earlier or later: soon all are about the moment that decides.
    let (mut current, mut kills, mut cut) = (value(0), [0, 0], whole);
    for number in 1..=30_u32 {
        let next = value(number as usize);
        let file = desk.file("next", &next);
        let mut child = desk.start(&["item", "edit", "Home", "Big", "--secret-file", &format!("password={file}")]);
        let started = Instant::now();
        while started.elapsed() < cut && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        drop(child.kill());
        child.wait().unwrap();
        let found = desk.get("Home/Big/password");
        assert!(found == current || found == next, "after {cut:?} neither the old nor the new: {} bytes", found.len());
        kills[usize::from(found == next)] += 1;
        cut = if found == next { cut * 9 / 10 } else { cut * 11 / 10 };
        current = found;
    }
    assert!(kills[0] > 0 && kills[1] > 0, "{kills:?} before and after: the cuts were not in between");
    desk.sync();
    desk.ok(&["lock"], "");
    desk.ok(&["unlock", "--password-file", "-"], PASSWORD);
    assert_eq!(desk.get("Home/Big/password"), current);
}

#[test]
fn a_change_is_whole_and_rows_open_in_their_place_with_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replica.db");
    let replica = Replica::open(path.clone(), key(1)).unwrap();
    let rows = replica.rows();
    let [one, other] = [Uuid::new_v4(), Uuid::new_v4()];
    rows.put(Kind::Base, VAULT, one, &json!({ "title": "canary" })).unwrap();
    let failed: Result<(), Failure> = replica.change(|rows| {
        rows.put(Kind::Base, VAULT, one, &json!("changed"))?;
        rows.delete(Kind::Base, VAULT, one)?;
        Err(Failure::Locked)
    });
    failed.unwrap_err();
    assert_eq!(rows.get::<Value>(Kind::Base, VAULT, one).unwrap().unwrap()["title"], "canary");
    assert!(rows.get::<Value>(Kind::Draft, VAULT, one).unwrap().is_none());
    drop(replica);

    let bytes = std::fs::read(&path).unwrap();
    for told in [&b"canary"[..], VAULT.as_bytes(), one.as_bytes()] {
        assert!(!bytes.windows(told.len()).any(|window| window == told), "{told:?}");
    }
    let stranger = Replica::open(path.clone(), key(2)).unwrap();
    assert!(stranger.rows().get::<Value>(Kind::Base, VAULT, one).unwrap().is_none());
    // Whoever has the disk, and not the key, puts one row in another's place.
    let connection = rusqlite::Connection::open(&path).unwrap();
    let replica = Replica::open(path.clone(), key(1)).unwrap();
    let rows = replica.rows();
    rows.put(Kind::Base, VAULT, other, &json!("theirs")).unwrap();
    let place = |item| key(1).mark(Place { kind: Kind::Base as u8, vault: VAULT, item });
    let exchange = "UPDATE rows SET sealed = (SELECT sealed FROM rows WHERE place = ?1) WHERE place = ?2";
    assert_eq!(connection.execute(exchange, [place(other), place(one)]).unwrap(), 1);
    assert!(matches!(rows.get::<Value>(Kind::Base, VAULT, one), Err(Failure::Damaged { .. })));
    assert!(matches!(rows.of_vault::<Value>(Kind::Base, VAULT), Err(Failure::Damaged { .. })));
    // Nor does it read as a row of another kind.
    let fiction = key(1).mark_of_vault(Kind::Draft as u8, VAULT);
    connection.execute("UPDATE rows SET vault = ?1 WHERE place = ?2", [fiction, place(other)]).unwrap();
    assert!(matches!(rows.of_vault::<Value>(Kind::Draft, VAULT), Err(Failure::Damaged { .. })));
}

#[test]
fn rows_are_listed_by_vault_and_kind_and_forgotten_with_their_vault() {
    let directory = tempfile::tempdir().unwrap();
    let replica = Replica::open(directory.path().join("replica.db"), key(1)).unwrap();
    let rows = replica.rows();
    let elsewhere = Uuid::from_u128(8);
    for (kind, vault, item) in
        [(Kind::Base, VAULT, 3), (Kind::Base, VAULT, 2), (Kind::Draft, VAULT, 2), (Kind::Base, elsewhere, 4)]
    {
        rows.put(kind, vault, Uuid::from_u128(item), &item).unwrap();
    }
    let listed = |kind, vault| rows.of_vault::<u128>(kind, vault).unwrap().into_iter().map(|(_, item)| item);
    assert_eq!(listed(Kind::Base, VAULT).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(rows.vaults(Kind::Base).unwrap(), [VAULT, elsewhere].into());
    rows.forget(VAULT).unwrap();
    assert_eq!(listed(Kind::Base, VAULT).chain(listed(Kind::Draft, VAULT)).count(), 0);
    assert_eq!((rows.vaults(Kind::Base).unwrap(), listed(Kind::Base, elsewhere).count()), ([elsewhere].into(), 1));
}

#[test]
fn sizes_on_the_disk_are_those_of_a_few_classes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replica.db");
    let replica = Replica::open(path.clone(), key(1)).unwrap();
    for length in 0..200 {
        let text = "x".repeat(length);
        replica.rows().put(Kind::Base, VAULT, Uuid::from_u128(length as u128), &text).unwrap();
        assert_eq!(
            replica.rows().get::<String>(Kind::Base, VAULT, Uuid::from_u128(length as u128)).unwrap(),
            Some(text)
        );
    }
    let connection = rusqlite::Connection::open(path).unwrap();
    let sizes: i64 =
        connection.query_row("SELECT count(DISTINCT length(sealed)) FROM rows", [], |row| row.get(0)).unwrap();
    assert_eq!(sizes, 1);
}

#[test]
fn others_wait_for_a_change_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("replica.db");
    let id = Uuid::new_v4();
    let open = || Replica::open(path.clone(), key(1)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let replica = open();
                for _ in 0..25 {
                    let added = replica.change(|rows| {
                        let count: Option<u64> = rows.get(Kind::Base, VAULT, id)?;
                        rows.put(Kind::Base, VAULT, id, &(count.unwrap_or(0) + 1))
                    });
                    added.unwrap();
                }
            });
        }
    });
    assert_eq!(open().rows().get::<u64>(Kind::Base, VAULT, id).unwrap(), Some(100));
}
