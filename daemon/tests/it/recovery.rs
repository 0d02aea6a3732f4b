//! Getting at the files without the daemon: `cofferd passphrase`, and the stock tools of docs/recovery.md.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, content, recovery_key};

/// The passphrase as `cofferd passphrase` prints it, with its exit code and its complaint.
pub(crate) fn passphrase(secrets: &Path, secret: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(COFFERD)
        .arg("passphrase")
        .arg("--secrets")
        .arg(secrets)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it reads: when there is no key file.
    let _ = child.stdin.take().unwrap().write_all(format!("{secret}\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout).trim().to_owned(), text(output.stderr))
}

#[test]
fn the_passphrase_comes_out_with_either_secret_and_with_no_other() {
    let daemon = Daemon::locked();
    let secrets = daemon.path("secrets");
    let (code, by_password, _) = passphrase(&secrets, MASTER_PASSWORD);
    assert_eq!((code, by_password.len()), (Some(0), 64));
    assert_eq!(passphrase(&secrets, &recovery_key()).1, by_password);
    let (code, output, complaint) = passphrase(&secrets, "a wrong master password");
    assert_eq!((code, output.as_str()), (Some(65), ""));
    assert!(complaint.contains("wrong"), "{complaint}");
    let (code, _, complaint) = passphrase(&daemon.path("nowhere"), MASTER_PASSWORD);
    assert_eq!(code, Some(66));
    assert!(complaint.contains("--secrets"), "{complaint}");
    fs::write(secrets.join("vault.keys"), "{}").unwrap();
    assert_eq!(passphrase(&secrets, MASTER_PASSWORD).0, Some(66));
}

#[test]
fn stock_tools_rebuild_the_tree_of_files() {
    let mut daemon = Daemon::unlocked();
    let bytes = content(300_000, 8);
    daemon.upload("top%20file.bin", &bytes).expect(201);
    let folder = daemon.post("/folders", &json!({ "name": "it's \"quoted\"" })).expect(201);
    let inner = json!({ "parent_id": folder["id"], "name": "caf\u{e9}" });
    let inner = daemon.post("/folders", &inner).expect(201)["id"].as_str().unwrap().to_owned();
    daemon.request("POST", &format!("/files?folder_id={inner}&name=deep%20one"), &[], b"old").expect(201);
    daemon.request("POST", &format!("/files?folder_id={inner}&name=deep%20one"), &[], b"deep").expect(200);
    let away = daemon.upload("away", b"in the trash").expect(201)["id"].as_str().unwrap().to_owned();
    daemon.delete(&format!("/files/{away}")).expect(204);
    daemon.upload("away", b"in its place").expect(201);
    daemon.stop();

    let work = tempfile::tempdir().unwrap();
    let output = work.path().join("out");
    // The script of docs/recovery.md, as it is printed there; in a namespace so that no test needs to be root.
    let book = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/recovery.md")).unwrap();
    let script = book.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(work.path().join("recover.sh"), script).unwrap();
    let (_, passphrase, _) = passphrase(&daemon.path("secrets"), MASTER_PASSWORD);
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh"])
        .arg(work.path().join("recover.sh"))
        .arg(daemon.path("cipher"))
        .arg(&output)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{passphrase}\n").as_bytes()).unwrap();
    let run = child.wait_with_output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(fs::read(output.join("top file.bin")).unwrap() == bytes);
    assert_eq!(fs::read(output.join("it's \"quoted\"/caf\u{e9}/deep one")).unwrap(), b"deep");
    assert_eq!(fs::read(output.join(".trash").join(away).join("away")).unwrap(), b"in the trash");
    assert_eq!(fs::read(output.join("away")).unwrap(), b"in its place");
    assert_eq!(crate::harness::files_below(&output).len(), 4);
}
