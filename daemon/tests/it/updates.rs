//! Updates of the image. The test is the system: it takes wishes away and reports, as coffer-update does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{Reply, exchange, read_reply, send_head, tcp, unix};
use crate::events::Follower;
use crate::harness::{Daemon, content};
use crate::webhooks::wait_until;

const BYTES: [(&str, &str); 1] = [("content-type", "application/octet-stream")];
const UPDATE: &str = "/device/update";

/// The folders by which a daemon and its system speak about updates of an image that has the version 0.2.0.
pub(crate) struct Image {
    root: tempfile::TempDir,
}

impl Image {
    /// One that runs from slot A, and has proved itself.
    pub(crate) fn new() -> Self {
        let image = Self { root: tempfile::tempdir().unwrap() };
        for name in ["updates", "requests", "reports"] {
            fs::create_dir(image.path(name)).unwrap();
        }
        fs::write(image.path("os-release"), "NAME=Coffer\nVERSION_ID=0.2.0\n").unwrap();
        image.runs("A proved");
        image
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// What a daemon is started with.
    pub(crate) fn arguments(&self) -> Vec<String> {
        [
            ("--updates", "updates"),
            ("--update-requests", "requests"),
            ("--update-reports", "reports"),
            ("--image-release", "os-release"),
            ("--update-channel", "channel"),
        ]
        .iter()
        .flat_map(|(option, name)| [(*option).to_owned(), self.path(name).to_str().unwrap().to_owned()])
        .collect()
    }

    fn unlocked(&self) -> Daemon {
        let arguments = self.arguments();
        Daemon::unlocked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn locked(&self) -> Daemon {
        let arguments = self.arguments();
        Daemon::locked_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn runs(&self, slot: &str) {
        self.write("slot", slot);
    }

    fn write(&self, name: &str, line: &str) {
        // Renamed into place: the daemon reads it at any moment.
        let fresh = self.path("reports").join("fresh");
        fs::write(&fresh, format!("{line}\n")).unwrap();
        fs::rename(fresh, self.path("reports").join(name)).unwrap();
    }

    fn wish(&self) -> PathBuf {
        self.path("requests/install")
    }

    /// Waits for a wish, and takes it away; gives its id, and the version that has to be installed.
    pub(crate) fn take_wish(&self) -> (String, Option<String>) {
        wait_until("somebody wishes for an update", || self.wish().exists());
        let wish = fs::read_to_string(self.wish()).unwrap();
        let (id, version) = match wish.split_once(' ') {
            Some((id, version)) => (id.to_owned(), Some(version.to_owned())),
            None => (wish, None),
        };
        self.report(&id, "installing 0");
        fs::remove_file(self.wish()).unwrap();
        (id, version)
    }

    pub(crate) fn report(&self, id: &str, words: &str) {
        self.write("install", &format!("{id} {words}"));
    }

    /// Takes the next wish and ends it in these words.
    pub(crate) fn fulfil(&self, words: &str) {
        let (id, _) = self.take_wish();
        self.report(&id, words);
    }

    /// What lies on the data partition.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("updates")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// As after a restart of the box: what lies in memory is gone.
    fn reboots(&self) {
        for folder in ["requests", "reports"] {
            fs::remove_dir_all(self.path(folder)).unwrap();
            fs::create_dir(self.path(folder)).unwrap();
        }
        let file = self.path("updates/history.json");
        let mut history: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        for record in history.as_array_mut().unwrap() {
            record["boot_id"] = json!("another");
        }
        fs::write(file, history.to_string()).unwrap();
    }
}

/// Something that may be a bundle.
pub(crate) fn bundle() -> Vec<u8> {
    [b"hsqs".as_slice(), &vec![7; 100_000]].concat()
}

fn install(daemon: &Daemon, bundle: &[u8]) -> Reply {
    daemon.request("POST", UPDATE, &BYTES, bundle)
}

/// Uploads a bundle, and has the system end it in these words.
fn install_with(daemon: &Daemon, image: &Image, words: &str) -> Value {
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| install(daemon, &bundle()).expect(202));
        image.fulfil(words);
        reply.join().unwrap();
    });
    wait_until("it has ended", || look(daemon)["state"] != "installing");
    look(daemon)
}

/// As the box's own programs see it, locked or not.
pub(crate) fn look(daemon: &Daemon) -> Value {
    daemon.get_locally(UPDATE).expect(200)
}

#[test]
fn a_bundle_is_taken_in_and_installed_by_the_system() {
    let image = Image::new();
    let daemon = image.unlocked();
    let follower = Follower::start(&daemon, &daemon.token, None);
    let idle = json!({ "version": "0.2.0", "slot": "A", "proved": true, "channel": null, "state": "idle",
        "percent": null, "offered_version": null, "history": [] });
    assert_eq!(daemon.get(UPDATE).expect(200), idle);
    let id = std::thread::scope(|scope| {
        let reply = scope.spawn(|| install(&daemon, &bundle()).expect(202));
        let (id, version) = image.take_wish();
        assert_eq!(version, None, "whoever uploads may choose");
        let file = image.path("updates/bundle.raucb");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read(file).unwrap() == bundle());
        assert_eq!(reply.join().unwrap()["state"], "installing");
        id
    });
    image.report(&id, "installing 40 0.3.0");
    wait_until("it goes on", || look(&daemon)["percent"] == 40);
    assert_eq!((&look(&daemon)["offered_version"], &look(&daemon)["state"]), (&json!("0.3.0"), &json!("installing")));
    image.report(&id, "installed 0.3.0");
    wait_until("it is installed", || look(&daemon)["state"] == "installed");
    let update = look(&daemon);
    let past = &update["history"][0];
    let told = [&past["version"], &past["from_version"], &past["outcome"], &past["failure"], &update["version"]];
    assert_eq!(told, [&json!("0.3.0"), &json!("0.2.0"), &json!("installed"), &Value::Null, &json!("0.2.0")]);
    assert_eq!(image.files(), ["history.json"]);

    let device = daemon.health()["device_id"].clone();
    let changed = rows(&daemon, "action=device.update_changed");
    let [row] = changed.as_slice() else { panic!("{changed:?}") };
    assert_eq!([&row["outcome"], &row["detail"], &row["subject_id"]], [&json!("success"), &json!("0.3.0"), &device]);
    let asked = rows(&daemon, "action=device.update_asked");
    assert_eq!((asked.len(), &asked[0]["request_id"]), (1, &row["request_id"]));
    // Begun, arriving, handed over, two reports, the end.
    let events = || follower.text().matches("event: device.update_changed").count();
    wait_until("it is told of", || events() >= 6);
    assert!(follower.text().contains(&format!("\"subject\":{device}")), "{}", follower.text());
}

#[test]
fn the_history_survives_restarts_and_learns_from_the_slot_what_became_of_an_update() {
    for (slots, expected) in
        [(["B trial", "B proved"], ["on_trial", "proved"]), (["B trial", "A proved"], ["on_trial", "fell_back"])]
    {
        let image = Image::new();
        let mut daemon = image.unlocked();
        install_with(&daemon, &image, "installed 0.3.0");
        daemon = daemon.stop_and_restart();
        assert_eq!(
            (&look(&daemon)["state"], &look(&daemon)["history"][0]["outcome"]),
            (&json!("installed"), &json!("installed"))
        );
        image.reboots();
        daemon = daemon.crash_and_restart();
        assert_eq!(look(&daemon)["history"][0]["outcome"], "installed", "nobody knows yet");
        for (slot, outcome) in slots.into_iter().zip(expected) {
            image.runs(slot);
            let update = look(&daemon);
            assert_eq!(
                (&update["state"], &update["history"][0]["outcome"]),
                (&json!("idle"), &json!(outcome)),
                "{slot}"
            );
        }
        image.reboots();
        daemon = daemon.crash_and_restart();
        assert_eq!(look(&daemon)["history"][0]["outcome"], expected[1], "for ever");
    }
}

#[test]
fn what_goes_wrong_is_told_and_the_next_one_may_go_right() {
    let image = Image::new();
    let daemon = image.unlocked();
    for (words, code) in
        [("refused signature verification failed", "bundle_refused"), ("failed no space left", "install_failed")]
    {
        let update = install_with(&daemon, &image, words);
        let past = &update["history"][0];
        assert_eq!([&update["state"], &past["outcome"]], [&json!("failed"), &json!("failed")]);
        assert_eq!([&past["failure"]["code"], &past["version"]], [&json!(code), &Value::Null]);
        let (_, why) = words.split_once(' ').unwrap();
        assert!(past["failure"]["happened"].as_str().unwrap().contains(why), "{past}");
        assert!(!past["failure"]["try"].as_str().unwrap().is_empty());
        assert_eq!(image.files(), ["history.json"], "the bundle is of no use");
    }
    let outcomes: Vec<_> =
        rows(&daemon, "action=device.update_changed").iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed"]);
    assert_eq!(install_with(&daemon, &image, "installed 0.3.0")["state"], "installed");
    assert_eq!(look(&daemon)["history"].as_array().unwrap().len(), 3);
}

#[test]
fn one_update_at_a_time_and_none_on_trial() {
    let image = Image::new();
    let daemon = image.unlocked();
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| install(&daemon, &bundle()).expect(202));
        let (id, _) = image.take_wish();
        reply.join().unwrap();
        install(&daemon, &bundle()).expect_problem(409, "update_running");
        daemon.post("/device/restart", &json!({})).expect_problem(409, "update_running");
        assert_eq!(image.files(), ["bundle.raucb", "history.json"]);
        image.report(&id, "installed 0.3.0");
    });
    wait_until("it is installed", || look(&daemon)["state"] == "installed");
    // It may be replaced before it was tried, and the image that runs may not be lost.
    assert_eq!(install_with(&daemon, &image, "installed 0.4.0")["history"][0]["version"], "0.4.0");
    image.runs("B trial");
    install(&daemon, &bundle()).expect_problem(409, "update_running");
    assert!(!image.wish().exists());
}

#[test]
fn not_while_somebody_uploads_or_sealed_files_are_worked_on() {
    let image = Image::new();
    let daemon = image.unlocked();
    let bearer = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let headers = [("authorization", bearer.as_str()), ("content-length", "10")];
    send_head(&mut stream, "POST", "/api/v1/files?name=slow", &headers);
    stream.write_all(b"01234").unwrap();
    wait_until("the upload has begun", || daemon.post("/device/restart", &json!({})).status == 409);
    daemon.post("/device/restart", &json!({})).expect_problem(409, "uploads_running");
    install(&daemon, &bundle()).expect_problem(409, "uploads_running");
    stream.write_all(b"56789").unwrap();
    read_reply(&mut stream).unwrap().expect(201);

    daemon.upload("large", &content(2_000_000, 3)).expect(201);
    let job = daemon.post("/encryption/jobs", &json!({ "kind": "verify", "bytes_per_s": 100_000 })).expect(202);
    install(&daemon, &bundle()).expect_problem(409, "job_running");
    daemon.delete(&format!("/encryption/jobs/{}", job["id"].as_str().unwrap())).expect(204);
    assert_eq!(install_with(&daemon, &image, "installed 0.3.0")["state"], "installed");
}

#[test]
fn an_administrator_updates_the_box_and_an_editor_may_look() {
    let image = Image::new();
    let daemon = image.unlocked();
    let [reader, editor] = ["reader", "editor"].map(|role| daemon.user(&format!("{role}_"), role).token);
    for token in [&reader, &editor] {
        daemon.request_as(token, "POST", UPDATE, &BYTES, &bundle()).expect_problem(403, "forbidden");
        for path in ["/device/update/channel", "/device/restart"] {
            daemon.send_as(token, "POST", path, &json!({})).expect_problem(403, "forbidden");
        }
    }
    daemon.get_as(&reader, UPDATE).expect_problem(403, "forbidden");
    assert_eq!(daemon.get_as(&editor, UPDATE).expect(200)["state"], "idle");
    assert!(!daemon.request_as("", "POST", UPDATE, &BYTES, &bundle()).status.eq(&202));
    assert_eq!(image.files(), [""; 0], "a refused upload is refused before its body is read");
    daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
    install(&daemon, &bundle()).expect_problem(423, "vault_locked");
    // The box's own programs need no vault.
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| {
            let mut socket = unix(&daemon.path("run/control.sock"));
            exchange(&mut socket, "POST", "/api/v1/device/update", &BYTES, &bundle()).expect(202)
        });
        image.fulfil("installed 0.3.0");
        reply.join().unwrap();
    });
    wait_until("it is installed", || look(&daemon)["state"] == "installed");
}

#[test]
fn what_is_no_bundle_or_does_not_arrive_leaves_nothing_behind() {
    let image = Image::new();
    let daemon = image.unlocked();
    for nothing in [b"".as_slice(), b"hs", b"<html>no</html>"] {
        install(&daemon, nothing).expect_problem(422, "invalid_field");
        assert_eq!(image.files(), [""; 0]);
    }
    let bearer = format!("Bearer {}", daemon.token);
    let headers = |length| [("authorization", bearer.as_str()), ("content-length", length)];
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "POST", "/api/v1/device/update", &headers("600000000"));
    read_reply(&mut stream).unwrap().expect_problem(413, "too_large");
    // Somebody hangs up.
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "POST", "/api/v1/device/update", &headers("1000"));
    stream.write_all(&bundle()[..600]).unwrap();
    wait_until("half of it is here", || look(&daemon)["percent"] == 60);
    assert_eq!(look(&daemon)["state"], "receiving");
    install(&daemon, &bundle()).expect_problem(409, "update_running");
    drop(stream);
    wait_until("it is forgotten", || look(&daemon)["state"] == "idle");
    assert_eq!(image.files(), [""; 0]);
    // The power goes.
    let mut stream = tcp(daemon.address);
    send_head(&mut stream, "POST", "/api/v1/device/update", &headers("1000"));
    stream.write_all(&bundle()[..600]).unwrap();
    wait_until("half of it is here", || look(&daemon)["percent"] == 60);
    let daemon = daemon.crash_and_restart();
    assert_eq!((&look(&daemon)["state"], image.files()), (&json!("idle"), Vec::new()));
}

#[test]
fn a_system_that_installs_nothing_is_not_asked_for_ever() {
    let image = Image::new();
    let daemon = image.unlocked();
    install(&daemon, &bundle()).expect_problem(503, "updater_unavailable");
    assert!(!image.wish().exists(), "it is taken back");
    assert_eq!((&look(&daemon)["history"], image.files()), (&json!([]), vec!["history.json".to_owned()]));
    assert_eq!(install_with(&daemon, &image, "installed 0.3.0")["state"], "installed");
}

#[test]
fn an_installation_outlives_the_daemon_and_whoever_asked_for_it() {
    let image = Image::new();
    let daemon = image.unlocked();
    let bearer = format!("Bearer {}", daemon.token);
    let mut stream = tcp(daemon.address);
    let length = bundle().len().to_string();
    let headers = [("authorization", bearer.as_str()), ("content-length", &length)];
    send_head(&mut stream, "POST", "/api/v1/device/update", &headers);
    stream.write_all(&bundle()).unwrap();
    wait_until("it is asked for", || image.wish().exists());
    drop(stream);
    let (id, _) = image.take_wish();
    let daemon = daemon.crash_and_restart();
    assert_eq!(look(&daemon)["state"], "installing");
    assert_eq!(image.files(), ["bundle.raucb", "history.json"], "it is being read");
    image.report(&id, "installing 70 0.3.0");
    wait_until("it goes on", || look(&daemon)["percent"] == 70);
    let daemon = daemon.crash_and_restart();
    image.report(&id, "installed 0.3.0");
    wait_until("it is installed", || look(&daemon)["state"] == "installed");
    assert_eq!(look(&daemon)["history"][0]["version"], "0.3.0");
    assert_eq!(image.files(), ["history.json"]);
}

#[test]
fn an_installation_that_the_power_interrupts_has_failed_and_is_not_begun_again() {
    let image = Image::new();
    let daemon = image.unlocked();
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| install(&daemon, &bundle()).expect(202));
        image.take_wish();
        reply.join().unwrap();
    });
    image.reboots();
    let daemon = daemon.crash_and_restart();
    wait_until("it is told of", || look(&daemon)["state"] == "failed");
    let update = look(&daemon);
    assert_eq!(update["history"][0]["failure"]["code"], "interrupted");
    assert_eq!((image.files(), image.wish().exists()), (vec!["history.json".to_owned()], false));
    // Also one that nobody had taken up.
    image.runs("A proved");
    let mut daemon = daemon;
    daemon.unlock();
    daemon.log_in();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = tcp(daemon.address);
            let (bearer, length) = (format!("Bearer {}", daemon.token), bundle().len().to_string());
            let headers = [("authorization", bearer.as_str()), ("content-length", &length)];
            send_head(&mut stream, "POST", "/api/v1/device/update", &headers);
            stream.write_all(&bundle()).unwrap();
            wait_until("it is asked for", || image.wish().exists());
        });
    });
    let daemon = daemon.crash_and_restart();
    wait_until("it is told of", || look(&daemon)["history"].as_array().unwrap().len() == 2);
    assert_eq!(look(&daemon)["history"][0]["failure"]["code"], "interrupted");
    assert!(!image.wish().exists());
}

#[test]
fn the_box_is_restarted_by_the_system() {
    let image = Image::new();
    let daemon = image.unlocked();
    assert_eq!(daemon.post("/device/restart", &json!({})).status, 202);
    assert!(image.path("requests/restart").exists());
    assert_eq!(rows(&daemon, "action=device.restart_asked").len(), 1);
    drop(daemon);
    fs::remove_file(image.path("requests/restart")).unwrap();
    let daemon = image.locked();
    assert_eq!(daemon.send_locally("POST", "/device/restart", &json!({})).status, 202);
    assert!(image.path("requests/restart").exists());
}

#[test]
fn where_there_is_no_image_there_is_nothing_to_update() {
    let daemon = Daemon::unlocked();
    daemon.get(UPDATE).expect_problem(404, "not_found");
    install(&daemon, &bundle()).expect_problem(404, "not_found");
    daemon.post("/device/update/channel", &json!({})).expect_problem(404, "not_found");
    daemon.post("/device/restart", &json!({})).expect_problem(404, "not_found");
    let image = Image::new();
    let daemon = image.unlocked();
    daemon.post("/device/update/channel", &json!({})).expect_problem(404, "not_found");
}
