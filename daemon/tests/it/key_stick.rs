//! The key file on a stick: moved there and back, pulled out, put in again, in the wrong box, cut off by the power. The stick
//! is a real mount, made and taken away by somebody outside of the daemon's namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Reply;
use crate::harness::{COFFERD, Daemon, MASTER_PASSWORD, creation};

/// Five seconds are promised, of which an idle machine needs three; this is for a busy one.
const LIMIT: Duration = Duration::from_secs(20);

/// A box with a place for a stick, and a stick that is not in it.
struct Appliance {
    daemon: Daemon,
    directory: Arc<tempfile::TempDir>,
}

impl Appliance {
    fn locked() -> Self {
        Self::found(|_| {})
    }

    fn unlocked() -> Self {
        let mut found = Self::locked();
        found.daemon.unlock();
        found.daemon.log_in();
        found
    }

    /// A box that starts with its files as `arrange` leaves them.
    fn found(arrange: impl FnOnce(&Path)) -> Self {
        let mut donor = Daemon::locked();
        donor.stop();
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = |name: &str| directory.path().join(name);
        fs::rename(&donor.state, path("state")).unwrap();
        for name in ["stick", "protected", "port"] {
            fs::create_dir(path(name)).unwrap();
        }
        assert!(Command::new("mkfifo").arg(path("hand")).arg(path("done")).status().unwrap().success());
        arrange(directory.path());
        let daemon = start(&directory);
        Self { daemon, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn hand(&self, command: &str) {
        fs::write(self.path("hand"), command).unwrap();
        assert_eq!(fs::read_to_string(self.path("done")).unwrap().trim(), "0", "{command}");
    }

    fn insert(&self) {
        self.hand("mount --bind stick port\n");
    }

    fn insert_protected(&self) {
        self.hand(
            "mount --bind stick protected && mount -o remount,bind,ro protected && mount --bind protected port\n",
        );
    }

    fn pull(&self) {
        self.hand("umount -l port\n");
    }

    fn move_to_stick(&self) -> Reply {
        self.daemon.send("PUT", "/vault/key-stick", &secret())
    }

    fn move_back(&self) -> Reply {
        self.daemon.send("DELETE", "/vault/key-stick", &secret())
    }

    fn try_unlock(&self) -> Reply {
        self.daemon.post("/vault/unlock", &secret())
    }

    /// Where key files are, and what else begins with their name.
    fn copies(&self) -> Vec<String> {
        let mut copies = Vec::new();
        for place in ["state/secrets", "stick"] {
            for entry in fs::read_dir(self.path(place)).unwrap() {
                copies.push(format!("{place}/{}", entry.unwrap().file_name().into_string().unwrap()));
            }
        }
        copies.sort();
        copies
    }

    fn problems(&self) -> Vec<Value> {
        let problems = self.daemon.send_locally("GET", "/device/problems", &json!(null)).expect(200);
        problems["problems"].as_array().unwrap().iter().map(|problem| problem["code"].clone()).collect()
    }

    fn wait_until_locked(&self) {
        self.daemon.wait_for_vault("locked", LIMIT);
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        drop(fs::write(self.path("hand"), "exit\n"));
    }
}

fn start(directory: &Arc<tempfile::TempDir>) -> Daemon {
    let script = format!(
        "mount --make-rshared / || exit; cd '{}'; \
         (while read -r command <hand; do eval \"$command\"; echo $? >done; done) >/dev/null 2>&1 & \
         exec '{COFFERD}' serve --listen 127.0.0.1:0 --state state --key-stick port",
        directory.path().display()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    Daemon::spawn(command, directory.path().join("state"), directory)
}

fn secret() -> Value {
    json!({ "master_password": MASTER_PASSWORD })
}

const AT_HOME: &str = "state/secrets/vault.keys";
const ON_STICK: &str = "stick/vault.keys";

#[test]
fn a_stick_that_is_pulled_out_locks_and_put_in_again_it_unlocks() {
    let found = Appliance::unlocked();
    found.insert();
    let keys = fs::read(found.path(AT_HOME)).unwrap();
    assert_eq!(found.move_to_stick().expect(200)["vault"], "unlocked", "it stays open");
    assert_eq!(found.copies(), [ON_STICK]);
    assert_eq!(fs::read(found.path(ON_STICK)).unwrap(), keys);
    found.daemon.get("/files").expect(200);
    assert_eq!(found.problems(), [""; 0]);

    found.pull();
    found.wait_until_locked();
    assert_eq!(
        (found.daemon.health()["key_file"].clone(), found.problems()),
        (json!("missing"), vec![json!("key_stick_missing")])
    );
    found.try_unlock().expect_problem(423, "key_file");
    found.insert();
    found.try_unlock().expect(200);
    found.daemon.get("/files").expect(200);
    found.move_to_stick().expect_problem(409, "vault_state");
}

#[test]
fn back_in_the_box_the_key_is_on_no_stick_any_more() {
    let found = Appliance::unlocked();
    found.insert();
    found.move_to_stick().expect(200);
    assert_eq!(found.move_back().expect(200)["vault"], "unlocked");
    assert_eq!(found.copies(), [AT_HOME]);
    found.pull();
    found.daemon.get("/files").expect(200);
    assert_eq!(found.problems(), [""; 0]);
    found.move_back().expect_problem(409, "vault_state");
}

#[test]
fn what_is_changed_while_the_key_is_on_a_stick_is_changed_there() {
    let found = Appliance::unlocked();
    found.insert();
    found.move_to_stick().expect(200);
    let new = "copper lantern harbour";
    let change = json!({ "current_master_password": MASTER_PASSWORD, "new_master_password": new });
    found.daemon.send("PUT", "/vault/master-password", &change).expect(204);
    assert_eq!(found.copies(), [ON_STICK]);
    found.daemon.get("/files").expect(200);
    found.pull();
    found.wait_until_locked();
    found.insert();
    found.daemon.post("/vault/unlock", &json!({ "master_password": new })).expect(200);
}

#[test]
fn only_who_knows_the_master_password_moves_the_key_and_only_to_a_stick() {
    let found = Appliance::locked();
    found.move_to_stick().expect_problem(409, "vault_state");
    assert_eq!(found.copies(), [AT_HOME], "the folder for sticks is none");
    assert_eq!(fs::read_dir(found.path("port")).unwrap().count(), 0);
    found.insert();
    found.move_to_stick().expect(200);
    assert_eq!(found.copies(), [ON_STICK], "of a locked vault as well");
    let wrong = json!({ "master_password": "violet kettle orbits" });
    found.daemon.send("DELETE", "/vault/key-stick", &wrong).expect_problem(403, "wrong_master_secret");
    assert_eq!(found.copies(), [ON_STICK]);
    Daemon::unclaimed().send_locally("PUT", "/vault/key-stick", &secret()).expect_problem(409, "vault_absent");
}

#[test]
fn sticks_of_others_disturb_nobody() {
    let other = Daemon::unclaimed();
    other.send_locally("POST", "/vault", &creation(None)).expect(201);
    let foreign = fs::read(other.path("secrets/vault.keys")).unwrap();
    let found = Appliance::unlocked();
    for content in [&foreign[..], b"holiday"] {
        fs::write(found.path(ON_STICK), content).unwrap();
        found.insert();
        found.daemon.get("/files").expect(200);
        found.move_to_stick().expect_problem(409, "vault_state");
        assert_eq!(fs::read(found.path(ON_STICK)).unwrap(), content);
        found.pull();
    }
    fs::remove_file(found.path(ON_STICK)).unwrap();
    found.insert();
    found.move_to_stick().expect(200);
    let ours = fs::read(found.path(ON_STICK)).unwrap();

    // One in place of ours opens nothing, and is not taken for a way into a new box.
    fs::write(found.path(ON_STICK), &foreign).unwrap();
    found.wait_until_locked();
    found.try_unlock().expect_problem(423, "key_file");
    assert_eq!(found.problems(), [json!("key_file_damaged")]);
    found.move_back().expect_problem(423, "key_file");
    fs::remove_file(found.path(ON_STICK)).unwrap();
    found.try_unlock().expect_problem(423, "key_file");
    fs::write(found.path(ON_STICK), ours).unwrap();
    found.try_unlock().expect(200);
}

#[test]
fn a_stick_is_no_owner_of_a_new_box() {
    let other = Daemon::locked();
    let found = Appliance::found(|root| {
        fs::remove_dir_all(root.join("state")).unwrap();
        fs::copy(other.path("secrets/vault.keys"), root.join(ON_STICK)).unwrap();
    });
    found.insert();
    assert_eq!(found.daemon.health()["vault"], "absent");
}

#[test]
fn a_protected_stick_is_refused_and_the_key_stays_where_it_was() {
    let found = Appliance::unlocked();
    found.insert_protected();
    found.move_to_stick().expect_problem(503, "storage_unavailable");
    assert_eq!(found.copies(), [AT_HOME]);
    found.daemon.get("/files").expect(200);
    found.pull();
    found.insert();
    found.move_to_stick().expect(200);
    found.pull();
    found.wait_until_locked();

    found.insert_protected();
    found.try_unlock().expect(200);
    let refused = found.move_back().expect_problem(503, "storage_unavailable");
    assert!(refused["detail"].as_str().unwrap().contains("is in the box again"), "{refused}");
    assert_eq!(found.copies(), [AT_HOME, ON_STICK]);
    found.pull();
    found.daemon.get("/files").expect(200);
    found.insert();
    found.move_back().expect(200);
    assert_eq!(found.copies(), [AT_HOME]);
}

/// What a power cut leaves, and whether the vault opens without the stick then.
type Cut<'a> = (&'a str, &'a dyn Fn(&Path), bool);

#[test]
fn a_power_cut_anywhere_in_a_move_leaves_a_key_that_opens() {
    let copied = |root: &Path| {
        fs::copy(root.join(AT_HOME), root.join(ON_STICK)).unwrap();
    };
    let marked = |root: &Path| {
        copied(root);
        let keys: Value = serde_json::from_slice(&fs::read(root.join(AT_HOME)).unwrap()).unwrap();
        fs::write(root.join("state/device/key-stick"), keys["vault_id"].as_str().unwrap()).unwrap();
    };
    let set_aside = |root: &Path| {
        marked(root);
        fs::rename(root.join(AT_HOME), root.join("state/secrets/vault.keys.moved")).unwrap();
    };
    let half = |root: &Path| fs::write(root.join("stick/vault.keys.new"), "{").unwrap();
    // Behind the copy in the box, a move back looks like one to the stick behind its mark; behind the mark, like one without.
    let cuts: [Cut<'_>; 4] = [
        ("half of the copy", &half, true),
        ("the copy", &copied, true),
        ("the mark", &marked, true),
        ("the other name", &set_aside, false),
    ];
    for (cut, arrange, opens_without) in cuts {
        let found = Appliance::found(arrange);
        assert_eq!(found.daemon.health()["vault"], "locked", "cut behind {cut}");
        if opens_without {
            found.try_unlock().expect(200);
            found.insert();
            found.move_to_stick().expect(200);
        } else {
            found.try_unlock().expect_problem(423, "key_file");
            found.insert();
            found.try_unlock().expect(200);
        }
        assert_eq!(found.copies(), [ON_STICK], "cut behind {cut}");
        found.move_back().expect(200);
        assert_eq!(found.copies(), [AT_HOME], "cut behind {cut}");
    }
}

#[test]
fn a_factory_reset_wipes_the_stick_that_is_there() {
    let mut found = Appliance::unlocked();
    found.insert();
    found.move_to_stick().expect(200);
    found.daemon.send_locally("POST", "/device/factory-reset", &json!({}));
    assert_eq!(found.daemon.wait_for_end().code(), Some(76));
    assert_eq!(found.copies(), [""; 0]);
}
