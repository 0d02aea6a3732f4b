//! The file of keys.

use std::{fs, os::unix::fs::PermissionsExt};

use coffer_client::boxes::{Boxes, BoxesError};
use coffer_crypto::channel::StaticKey;
use getrandom::SysRng;
use rand_core::UnwrapErr;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

#[test]
fn a_key_is_made_once_and_for_one_box() {
    let home = tempfile::tempdir().unwrap();
    let boxes = Boxes::in_directory(home.path().join("a/coffer"));
    assert_eq!(boxes.all().unwrap().len(), 0);
    let known = boxes.get_or_add(ID, "Coffer-0001", &mut rng()).unwrap();
    let again = boxes.get_or_add(ID, "Coffer-0001", &mut rng()).unwrap();
    let other = boxes.get_or_add(OTHER, "Coffer-0002", &mut rng()).unwrap();
    assert_eq!(known.key.public(), again.key.public());
    assert_ne!(known.key.public(), other.key.public());

    let box_key = StaticKey::generate(&mut rng()).public();
    boxes.pin(ID, "Coffer-0009", box_key).unwrap();
    let known = boxes.get(ID).unwrap().unwrap();
    assert_eq!((known.box_key, known.name.as_str()), (Some(box_key), "Coffer-0009"));
    assert_eq!(boxes.get(OTHER).unwrap().unwrap().box_key, None);

    assert!(boxes.forget(ID).unwrap());
    assert!(!boxes.forget(ID).unwrap());
    assert!(boxes.get(ID).unwrap().is_none());
    assert_eq!(boxes.get(OTHER).unwrap().unwrap().key.public(), other.key.public());
}

#[test]
fn only_its_owner_reads_the_file() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("coffer");
    Boxes::in_directory(directory.clone()).get_or_add(ID, "Coffer-0001", &mut rng()).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(directory.clone()), mode(directory.join("boxes.json"))), (0o700, 0o600));
}

#[test]
fn a_damaged_file_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("boxes.json");
    let boxes = Boxes::in_directory(home.path().to_owned());
    for text in ["", "{}", r#"{"layout": 2, "boxes": []}"#, r#"{"layout": 1, "boxes": [{"device_id": 1}]}"#] {
        fs::write(&path, text).unwrap();
        assert!(matches!(boxes.get_or_add(ID, "Coffer-0001", &mut rng()), Err(BoxesError::Damaged { .. })), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn two_programs_do_not_lose_each_others_keys() {
    let home = tempfile::tempdir().unwrap();
    let add = |id: u128| {
        let boxes = Boxes::in_directory(home.path().to_owned());
        move || boxes.get_or_add(Uuid::from_u128(id), "Coffer", &mut rng()).map(drop).unwrap()
    };
    std::thread::scope(|scope| {
        for id in 0..8 {
            scope.spawn(add(id));
        }
    });
    assert_eq!(Boxes::in_directory(home.path().to_owned()).all().unwrap().len(), 8);
}
