//! `cofferd export`: everything written out of a vault that was mounted by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use coffer_crypto::envelope::{SecretKey, v1};
use data_encoding::BASE64URL;
use serde_json::json;

use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, content};
use crate::recovery::passphrase;
use crate::sealing::{id, inside, sealing, set_mode};

/// Mounts the vault as docs/recovery.md says, and exports it.
fn export(daemon: &Daemon, to: &Path, arguments: &[&str], key: Option<&str>) -> (Option<i32>, String, String) {
    let script = "set -eu; IFS= read -r passphrase; view=$2; mkdir -p \"$view\"
                  printf '%s\\n' \"$passphrase\" | gocryptfs -q \"$1\" \"$view\"
                  trap 'fusermount3 -u \"$view\" || umount \"$view\"' EXIT
                  shift 2; \"$@\"";
    let (_, passphrase, _) = passphrase(&daemon.path("secrets"), MASTER_PASSWORD);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(daemon.path("cipher")).arg(daemon.path("view")).arg(COFFERD).args(["export", "--vault"]);
    command.arg(daemon.path("view")).arg("--secrets").arg(daemon.path("secrets")).args(arguments).arg(to);
    if let Some(key) = key {
        command.env("STORMCLOUD_ENCRYPTION_KEY", key);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{passphrase}\n{MASTER_PASSWORD}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Every file below a directory, by its path.
fn tree(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut waiting) = (BTreeMap::new(), vec![top.to_owned()]);
    while let Some(directory) = waiting.pop() {
        assert_eq!(directory.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// A vault with all that there may be, and what should come out of it.
fn filled() -> (Daemon, BTreeMap<String, Vec<u8>>) {
    let daemon = sealing("server-user");
    let folder = |parent: Option<&str>, name: &str| {
        id(&daemon.post("/folders", &json!({ "parent_id": parent, "name": name })).expect(201))
    };
    let upload = |folder: &str, name: &str, bytes: &[u8]| {
        id(&daemon.request("POST", &format!("/files?folder_id={folder}&name={name}"), &[], bytes).expect(201))
    };
    let outer = folder(None, "it's \u{e9}");
    let inner = folder(Some(&outer), "deep");
    let gone = folder(None, "gone");
    let below_gone = folder(Some(&gone), "below");
    daemon.upload("long", &content(1_500_000, 1)).expect(201);
    daemon.upload("empty", b"").expect(201);
    upload(&inner, "short", b"first");
    daemon.request("POST", &format!("/files?folder_id={inner}&name=short"), &[], b"second").expect(200);
    upload(&below_gone, "with-its-folder", b"gone");
    daemon.delete(&format!("/folders/{gone}")).expect(204);
    let trashed = upload(&outer, "trashed", b"gone");
    daemon.delete(&format!("/files/{trashed}")).expect(204);
    set_mode(&daemon, "off");
    upload(&outer, "plain", b"\x01 as it is");
    let expected = [
        ("long", content(1_500_000, 1)),
        ("empty", Vec::new()),
        ("it's \u{e9}/deep/short", b"second".to_vec()),
        ("it's \u{e9}/plain", b"\x01 as it is".to_vec()),
    ];
    (daemon, expected.map(|(path, bytes)| (path.to_owned(), bytes)).into())
}

#[test]
fn all_files_come_out_opened_by_their_paths_and_what_is_damaged_is_named() {
    let (mut daemon, expected) = filled();
    assert!(daemon.stop().success());
    let out = tempfile::tempdir().unwrap();
    let (code, told, complaint) = export(&daemon, &out.path().join("all"), &[], None);
    assert_eq!((code, told.as_str()), (Some(0), "exported 4 files of 1500016 bytes: 0 faults\n"), "{complaint}");
    assert!(tree(&out.path().join("all")) == expected);

    let (code, _, complaint) = export(&daemon, &out.path().join("all"), &[], None);
    assert_eq!(code, Some(73), "a directory that is there already: {complaint}");
    let script = "
file = db.execute(\"SELECT id FROM files WHERE name = 'long'\").fetchone()[0]
d = bytearray(read(file)); d[700000] ^= 1; write(file, bytes(d))
";
    inside(&daemon, script);
    let (code, told, _) = export(&daemon, &out.path().join("again"), &[], None);
    assert_eq!(code, Some(74), "{told}");
    assert!(told.starts_with("long: ") && told.ends_with("exported 3 files of 16 bytes: 1 faults\n"), "{told}");
    let written = tree(&out.path().join("again"));
    assert!(expected["long"].starts_with(&written["long"]), "nothing that does not authenticate");
}

#[test]
fn all_files_come_out_as_storm_cloud_seals_them_and_each_writing_is_counted_for_ever() {
    let (mut daemon, expected) = filled();
    assert!(daemon.stop().success());
    let out = tempfile::tempdir().unwrap();
    let to = |name: &str| out.path().join(name);
    let key = BASE64URL.encode(&[7; 32]);
    let (code, _, complaint) = export(&daemon, &to("none"), &["--storm-cloud"], None);
    assert_eq!(code, Some(78));
    assert!(complaint.contains("STORMCLOUD_ENCRYPTION_KEY"), "{complaint}");
    for round in ["first", "second"] {
        let (code, told, complaint) = export(&daemon, &to(round), &["--storm-cloud"], Some(&key));
        assert_eq!((code, told.as_str()), (Some(0), "exported 4 files of 1500016 bytes: 0 faults\n"), "{complaint}");
        assert!(!told.contains(&key) && !complaint.contains(&key));
        let opened = tree(&to(round)).into_keys().map(|path| {
            let bytes = open(&to(round).join(&path));
            (path, bytes)
        });
        assert!(opened.collect::<BTreeMap<_, _>>() == expected);
    }
    assert_ne!(tree(&to("first")), tree(&to("second")), "another nonce each time");
    let (code, _, complaint) = export(&daemon, &to("first"), &["--storm-cloud"], Some(&key));
    assert_eq!(code, Some(73), "what is there is not written over, nor counted: {complaint}");
    let count = "print(db.execute(\"SELECT value FROM settings WHERE key LIKE 'v1_writes:%'\").fetchall())";
    assert_eq!(inside(&daemon, count).trim(), "[('8',)]");
    // Almost at the end of what a key may be used for.
    inside(&daemon, "db.execute(\"UPDATE settings SET value = 2147483645 WHERE key LIKE 'v1_writes:%'\")");
    let (code, _, complaint) = export(&daemon, &to("third"), &["--storm-cloud"], Some(&key));
    assert_eq!(code, Some(66));
    assert!(complaint.contains("2147483648 files") && !to("third").exists(), "{complaint}");
    let other = BASE64URL.encode(&[8; 32]);
    assert_eq!(export(&daemon, &to("other"), &["--storm-cloud"], Some(&other)).0, Some(0), "another key has its own");
}

/// What a file of Storm Cloud's holds.
fn open(path: &Path) -> Vec<u8> {
    let file = fs::File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    let key = v1::Key::new(SecretKey::from_slice(&[7; 32]).unwrap(), 0);
    let mut source = |offset, out: &mut [u8]| file.read_exact_at(out, offset);
    let mut stream = v1::Reader::open(&key, length, &mut source).unwrap().into_stream();
    let mut content = Vec::new();
    while let Some(piece) = stream.next(&mut source).unwrap() {
        content.extend_from_slice(piece);
    }
    content
}
