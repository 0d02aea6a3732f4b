//! The end of a box, and the beginning of the next one on the same hardware.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, creation, run, setup_code};

fn reset(daemon: &Daemon) {
    assert_eq!(daemon.send_locally("POST", "/device/factory-reset", &json!({})).status, 204);
}

fn is_a_new_box(daemon: &Daemon, old_id: &Value) {
    let health = daemon.health();
    assert_eq!(health["vault"], "absent");
    assert_ne!(&health["device_id"], old_id);
    assert_eq!(health["lockdown"], false);
    for gone in ["secrets/vault.keys", "cipher", "device/cloudflared.token", "device/factory-reset"] {
        assert!(!daemon.path(gone).exists(), "{gone}");
    }
    let setup = daemon.get_locally("/device/setup").expect(200);
    assert_eq!((setup["claimed"].clone(), setup["code"]["kind"].clone()), (json!(false), json!("setup")));
    let created = daemon.anonymous("POST", "/vault", &creation(Some(&setup_code(daemon))));
    assert_eq!(created.status, 201, "somebody else can claim it: {created:?}");
}

#[test]
fn a_reset_leaves_a_box_that_nobody_owns_and_a_vault_that_nobody_opens() {
    let mut daemon = Daemon::unlocked();
    daemon.upload("diary", b"dear diary").expect(201);
    daemon.send_locally("POST", "/device/registration", &json!({ "local_only": true })).expect(202);
    let id = daemon.health()["device_id"].clone();
    // A copy of the key that somebody kept.
    let keys = fs::read(daemon.path("secrets/vault.keys")).unwrap();

    daemon.post("/device/factory-reset", &json!({})).expect_problem(403, "forbidden");
    assert_eq!(daemon.health()["vault"], "unlocked");
    reset(&daemon);
    assert_eq!(daemon.wait_for_end().code(), Some(76), "{}", daemon.log());
    assert!(daemon.log().contains("the box is reset"), "{}", daemon.log());
    assert!(!daemon.path("secrets/vault.keys").exists());
    assert!(!daemon.path("cipher/gocryptfs.conf").exists());
    // The key alone does not bring anything back, with all of the ciphertext there.
    fs::write(daemon.path("secrets/vault.keys"), keys).unwrap();
    fs::remove_file(daemon.path("device/factory-reset")).unwrap();
    let daemon = daemon.restart_killed();
    let opened = daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD }));
    opened.expect_problem(503, "storage_unavailable");

    reset(&daemon);
    let mut daemon = daemon;
    assert_eq!(daemon.wait_for_end().code(), Some(76));
    is_a_new_box(&daemon.restart_killed(), &id);
}

#[test]
fn a_reset_that_the_power_interrupts_goes_on_at_the_next_start() {
    let daemon = Daemon::locked();
    let id = daemon.health()["device_id"].clone();
    // As the first step leaves it.
    fs::write(daemon.path("device/factory-reset"), "").unwrap();
    daemon.post("/vault/unlock", &json!({ "master_password": MASTER_PASSWORD })).expect_problem(409, "vault_state");
    is_a_new_box(&daemon.crash_and_restart(), &id);
}

#[test]
fn a_file_on_the_boot_partition_resets_the_box_in_the_right_words_only() {
    let mut daemon = Daemon::locked();
    let id = daemon.health()["device_id"].clone();
    let (request, errors) = (daemon.path("FACTORY-RESET"), daemon.path("coffer-errors.txt"));
    for wrong in ["", "erase", "erase everything please", &"erase everything ".repeat(100)] {
        fs::write(&request, wrong).unwrap();
        daemon = daemon.crash_and_restart();
        let health = daemon.health();
        assert_eq!((&health["vault"], &health["device_id"]), (&json!("locked"), &id), "{wrong}");
        assert!(fs::read_to_string(&errors).unwrap().contains("erase everything"), "{wrong}");
        assert!(request.exists(), "{wrong}: it stays for whoever put it there");
    }
    fs::write(&request, "Erase Everything\r\n").unwrap();
    daemon = daemon.crash_and_restart();
    assert!(!request.exists() && !errors.exists());
    is_a_new_box(&daemon, &id);
    let next = daemon.health()["device_id"].clone();
    assert_eq!(daemon.crash_and_restart().health()["device_id"], next, "once, and not at each start");
}

#[test]
fn a_box_that_nobody_owns_can_be_reset_as_well() {
    let mut daemon = Daemon::unclaimed();
    let (id, code) = (daemon.health()["device_id"].clone(), setup_code(&daemon));
    reset(&daemon);
    assert_eq!(daemon.wait_for_end().code(), Some(76));
    let daemon = daemon.restart_killed();
    assert_ne!(setup_code(&daemon), code);
    is_a_new_box(&daemon, &id);
}

/// As systemd runs it: the identity is another program's to make.
#[test]
fn where_first_boot_makes_identities_the_daemon_leaves_that_to_it() {
    let root = tempfile::tempdir().unwrap();
    for name in ["device", "run", "secrets", "nvme"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    let first_boot = || {
        let mut command = Command::new(COFFERD);
        command.args(["first-boot", "--device", &path("device"), "--setup-code-file", &path("SETUP-CODE.txt")]);
        assert_eq!(run(&mut command).0, Some(0));
        fs::read_to_string(path("device/device.json")).unwrap()
    };
    let before = first_boot();
    fs::write(path("FACTORY-RESET"), "erase everything").unwrap();
    assert_eq!(first_boot(), before, "the identity goes last, and by the daemon");
    assert!(root.path().join("device/factory-reset").exists() && !root.path().join("FACTORY-RESET").exists());
    let mut command = Command::new(COFFERD);
    command.args(["serve", "--listen", "127.0.0.1:0", "--secrets", &path("secrets"), "--device", &path("device")]);
    command.args(["--cipher", &path("nvme/cipher"), "--mount", &path("run/mnt")]);
    command.args(["--control-socket", &path("run/control.sock")]);
    assert_eq!(run(&mut command).0, Some(76));
    assert!(!root.path().join("device/device.json").exists());
    assert_ne!(first_boot(), before);
}
