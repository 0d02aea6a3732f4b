//! Starting where something is wrong: a clear message and a documented exit code (docs/operations.md).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{COFFERD, Daemon, run};

fn serve(arguments: &[&str]) -> (Option<i32>, String) {
    let (code, _, complaint) = run(Command::new(COFFERD).arg("serve").args(arguments));
    (code, complaint)
}

fn appliance(root: &Path) -> Vec<String> {
    let path = |name: &str| root.join(name).to_str().unwrap().to_owned();
    let mut arguments = vec!["--listen".to_owned(), "127.0.0.1:0".to_owned()];
    for (flag, name) in [
        ("--secrets", "secrets"),
        ("--device", "device"),
        ("--cipher", "nvme/cipher"),
        ("--mount", "run/mnt"),
        ("--control-socket", "run/control.sock"),
    ] {
        arguments.extend([flag.to_owned(), path(name)]);
    }
    arguments
}

#[test]
fn a_taken_port_is_named() {
    let daemon = Daemon::unclaimed();
    let state = tempfile::tempdir().unwrap();
    let address = daemon.address.to_string();
    let (code, complaint) = serve(&["--listen", &address, "--state", state.path().to_str().unwrap()]);
    assert_eq!(code, Some(69));
    assert!(complaint.contains(&address) && complaint.contains("--listen"), "{complaint}");
}

#[test]
fn a_missing_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    let arguments = appliance(root.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, complaint) = serve(&arguments);
    assert_eq!(code, Some(73));
    assert!(complaint.contains("device") && complaint.contains("Create it"), "{complaint}");
}

#[test]
fn a_box_without_an_identity_says_how_to_get_one_and_gets_it_once() {
    let root = tempfile::tempdir().unwrap();
    for name in ["device", "run", "secrets", "nvme"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let arguments = appliance(root.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, complaint) = serve(&arguments);
    assert_eq!(code, Some(78));
    assert!(complaint.contains("cofferd first-boot --device"), "{complaint}");

    let (device, code_file) = (root.path().join("device"), root.path().join("SETUP-CODE.txt"));
    let first_boot = || {
        let mut command = Command::new(COFFERD);
        command.arg("first-boot").arg("--device").arg(&device).arg("--setup-code-file").arg(&code_file);
        assert_eq!(run(&mut command).0, Some(0));
        (fs::read(device.join("device.json")).unwrap(), fs::read_to_string(&code_file).unwrap())
    };
    let (identity, text) = first_boot();
    let code = text.lines().next().unwrap();
    assert_eq!(code.split('-').map(str::len).collect::<Vec<_>>(), [4; 3]);
    assert!(!String::from_utf8_lossy(&identity).contains(code), "the code is on the label only");
    assert_eq!(fs::metadata(device.join("device.json")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(first_boot(), (identity, text.clone()), "the second time changes nothing");
}

#[test]
fn what_the_system_found_wrong_with_the_drive_is_shown() {
    let directory = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name);
    let found = "/dev/nvme0n1 holds a file system that is not Coffer's (ntfs). It was left alone.";
    fs::write(path("problem"), format!("{found}\n")).unwrap();
    let mut command = Command::new(COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(path("state"));
    command.arg("--cipher").arg(path("drive/cipher")).arg("--storage-report").arg(path("problem"));
    let daemon = Daemon::spawn(command, path("state"), &directory);
    assert_eq!(daemon.health()["problems"], serde_json::json!([]), "the drive is there all the same");
    fs::remove_dir(path("drive")).unwrap();
    let problems = daemon.health()["problems"].clone();
    assert!(problems[0].as_str().unwrap().starts_with(found) && problems.as_array().unwrap().len() == 1, "{problems}");
    assert_eq!(daemon.health()["status"], "attention");
}

#[test]
fn a_damaged_identity_is_not_replaced() {
    let mut daemon = Daemon::unclaimed();
    daemon.stop();
    fs::write(daemon.path("device/device.json"), "{").unwrap();
    let (code, complaint) = serve(&["--listen", "127.0.0.1:0", "--state", daemon.state.to_str().unwrap()]);
    assert_eq!(code, Some(78));
    assert!(complaint.contains("device.json is damaged"), "{complaint}");
    assert_eq!(fs::read(daemon.path("device/device.json")).unwrap(), b"{");
}

#[test]
fn a_file_where_a_directory_should_be_is_named() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("state");
    fs::write(&state, "").unwrap();
    let (code, complaint) = serve(&["--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()]);
    assert_eq!(code, Some(73));
    assert!(complaint.contains(state.to_str().unwrap()), "{complaint}");
}

#[test]
fn an_unknown_argument_is_refused() {
    assert_eq!(serve(&["--stat", "x"]).0, Some(2));
    assert_eq!(serve(&[]).0, Some(2));
    assert_eq!(serve(&["--listen", "nonsense", "--state", "x"]).0, Some(2));
}

#[test]
fn what_is_made_belongs_to_the_daemon_alone() {
    let daemon = Daemon::unlocked();
    is_closed_to_others(&daemon.state);
}

fn is_closed_to_others(path: &Path) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let mode = metadata.permissions().mode() & 0o077;
    assert!(mode == 0 || path.ends_with("control.sock"), "{} is open to others", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            is_closed_to_others(&entry.unwrap().path());
        }
    }
}

#[test]
fn a_read_only_key_directory_does_not_keep_the_owner_out() {
    let daemon = Daemon::locked();
    fs::set_permissions(daemon.path("secrets"), Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(daemon.path("device"), Permissions::from_mode(0o500)).unwrap();
    daemon.unlock();
    for directory in ["secrets", "device"] {
        fs::set_permissions(daemon.path(directory), Permissions::from_mode(0o700)).unwrap();
    }
}
