//! `coffer.toml` on the boot partition, from the file to NetworkManager and the daemon, by the real programs; and what is
//! left on the partition.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output};

use coffer_api::VaultState;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;
use zbus::{Connection, connection, interface};

use crate::{
    daemon::health,
    eventually,
    network_manager::{Done, Point, open_point},
    program::Program,
    sessions::World,
    wifi_connect::{GOOD, fails},
    wifi_country::systemd,
    wifi_home::PSK,
};

const TOKEN: &str = "eyJhIjoiMWYyZSIsInMiOiJjMlZqY21WMCIsInQiOiI2ZmY0MmFlMi03NjVkLTRhZGYtODExMi0zMWM1NWMxNTUxZWYifQ==";
const PASSWORD: &str = "correct horse battery";

/// A new box, its card, and the parts of its system that a file has to do with.
struct NewBox {
    world: World,
    _systemd: Connection,
    _hostnamed: Connection,
}

/// Takes one name.
struct Hostnamed(&'static str);

#[interface(name = "org.freedesktop.hostname1")]
impl Hostnamed {
    fn set_hostname(&self, hostname: &str, interactive: bool) {
        assert_eq!((hostname, interactive), (self.0, false));
    }
}

impl NewBox {
    async fn new() -> (Self, Program) {
        let world = World::new(VaultState::Absent).await;
        fs::create_dir(world.place.boot()).unwrap();
        world.network.set(|state| {
            state.points[0] = Point { flags: 1, rsn: PSK, ..open_point(b"Attic", 70) };
            state.attempts.extend([GOOD.to_vec()]);
        });
        let device = json!({"device_id": Uuid::nil(), "name": "attic", "claimed": false, "version": "0.1.0"});
        world.daemon.answer("PATCH /api/v1/device", 200, device);
        world.daemon.answer("POST /api/v1/device/registration", 202, json!({}));
        let (systemd, _) = systemd(world.address(), "done").await;
        let hostnamed = connection::Builder::address(world.address())
            .serve_at("/org/freedesktop/hostname1", Hostnamed("attic"))
            .name("org.freedesktop.hostname1");
        let new = Self { _systemd: systemd, _hostnamed: hostnamed.build().await.unwrap(), world };
        let program = new.world.start().await;
        (new, program)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.place.boot().join(name)
    }

    fn put(&self, text: &str) {
        fs::write(self.path("coffer.toml"), text).unwrap();
    }

    /// As at each start of the box.
    async fn take(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer-ble"));
        command.arg("card").arg("--boot").arg(self.world.place.boot());
        command.arg("--touch-socket").arg(self.world.place.touch_socket());
        eventually("the file is dealt with", command.output()).await.unwrap()
    }

    async fn takes(&self) {
        let output = self.take().await;
        assert!(output.status.success(), "{output:?}");
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.path("coffer-errors.txt")).unwrap_or_default()
    }

    /// The names on the partition.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.world.place.boot()).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        left
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.world.daemon.asked().into_iter().map(|asked| (asked.what, asked.body)).collect()
    }

    fn joined(&self) -> usize {
        self.world.network.state.borrow().joined.len()
    }
}

fn whole() -> String {
    format!(
        "name = \"Attic\"\ncountry = \"ch\"\n\n[wifi]\nssid = \"Attic\"\npassword = \"{PASSWORD}\"\n\n\
         [tunnel]\ntoken = \"{TOKEN}\"\nhostname = \"files.example.org\"\n"
    )
}

#[tokio::test]
async fn a_file_sets_a_new_box_up_and_is_gone() {
    let (new, program) = NewBox::new().await;
    new.put(&whole());
    new.takes().await;
    assert_eq!(fs::read_to_string(new.world.place.state().join("country")).unwrap(), "CH\n");
    assert_eq!(
        new.asked(),
        [
            ("PATCH /api/v1/device".to_owned(), json!({"name": "attic"})),
            (
                "POST /api/v1/device/registration".to_owned(),
                json!({"own_tunnel": {"tunnel_token": TOKEN, "hostname": "files.example.org"}})
            ),
        ]
    );
    assert_eq!(new.world.network.done().last(), Some(&Done::CheckpointDestroyed));
    assert_eq!(new.left(), [""; 0]);

    new.takes().await;
    assert_eq!((new.joined(), new.asked().len()), (1, 2), "once");
    program.signal(nix::sys::signal::Signal::SIGTERM);
    let (_, log) = program.ends().await;
    assert!(!log.contains(PASSWORD) && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn a_file_with_mistakes_does_nothing_and_each_is_told() {
    let (new, _program) = NewBox::new().await;
    let text = format!("{}\n[wfii]\n", whole().replace("hostname", "hostnmae").replace("\"ch\"", "41"));
    new.put(&text);
    new.takes().await;
    let errors = new.errors();
    for told in [
        "coffer.toml: nothing was taken",
        "line 2: `country` is a text",
        "line 8: `hostname` is missing",
        "line 10: there is no `hostnmae`",
        "line 12: there is no `wfii`",
    ] {
        assert!(errors.contains(told), "{told} in {errors}");
    }
    assert!(!errors.contains(PASSWORD) && !errors.contains(TOKEN), "{errors}");
    assert_eq!((new.joined(), new.asked()), (0, vec![]));
    assert_eq!(fs::read_to_string(new.path("coffer.toml")).unwrap(), text, "to be corrected");

    new.put(&whole());
    new.takes().await;
    assert_eq!(new.left(), [""; 0], "also what was told");
}

#[tokio::test]
async fn what_did_not_work_is_told_and_tried_again() {
    let (new, _program) = NewBox::new().await;
    new.world.network.set(|state| state.attempts = [fails(&[], 7), GOOD.to_vec()].into());
    new.put(&whole());
    let output = new.take().await;
    assert_eq!(output.status.code(), Some(1), "so that it is tried again");
    let errors = new.errors();
    assert!(errors.contains("coffer.toml: [wifi]: ") && errors.contains("password"), "{errors}");
    assert!(!errors.contains(PASSWORD) && !format!("{output:?}").contains(PASSWORD));
    assert_eq!(new.left(), ["coffer-errors.txt", "coffer.toml"]);

    new.takes().await;
    assert_eq!(new.left(), [""; 0]);
}

#[tokio::test]
async fn an_owned_box_takes_nothing_and_wipes_it() {
    let (new, _program) = NewBox::new().await;
    new.world.daemon.say(health(Uuid::from_u128(1), VaultState::Locked));
    for text in [whole(), "name = 5".to_owned()] {
        new.put(&text);
        new.takes().await;
        assert_eq!(new.left(), ["coffer-errors.txt"]);
        assert!(new.errors().contains("coffer.toml: this box has an owner"));
        assert_eq!((new.joined(), new.asked()), (0, vec![]));
    }
    new.takes().await;
    assert_eq!(new.left(), [""; 0], "it was told for one start");
}

#[tokio::test]
async fn a_file_that_cannot_be_wiped_is_not_used() {
    if nix::unistd::geteuid().is_root() {
        // Nothing is read-only to root but a file system that is.
        return read_only_file_system().await;
    }
    let (new, _program) = NewBox::new().await;
    new.put(&whole());
    fs::set_permissions(new.path("coffer.toml"), fs::Permissions::from_mode(0o400)).unwrap();
    not_used(&new).await;
}

async fn read_only_file_system() {
    let (new, _program) = NewBox::new().await;
    new.put(&whole());
    let boot = new.world.place.boot();
    for options in [&["--bind"][..], &["-o", "remount,ro,bind"]] {
        let mut mount = Command::new("mount");
        assert!(mount.args(options).arg(&boot).arg(&boot).status().await.unwrap().success());
    }
    not_used(&new).await;
    assert!(Command::new("umount").arg(&boot).status().await.unwrap().success());
}

async fn not_used(new: &NewBox) {
    let output = new.take().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("to be able to wipe it"), "{output:?}");
    assert_eq!((new.joined(), new.asked()), (0, vec![]));
}

#[tokio::test]
async fn a_wiping_that_a_power_cut_ended_is_finished_and_nothing_is_used_again() {
    let (new, _program) = NewBox::new().await;
    fs::write(new.path("coffer.used"), whole()).unwrap();
    new.takes().await;
    assert_eq!(new.left(), [""; 0]);
    assert_eq!((new.joined(), new.asked()), (0, vec![]));
}

#[tokio::test]
async fn a_service_that_is_not_there_leaves_the_file_for_the_next_start() {
    let (new, program) = NewBox::new().await;
    program.kill().await;
    new.put(&whole());
    assert_eq!(new.take().await.status.code(), Some(1));
    assert_eq!(fs::read_to_string(new.path("coffer.toml")).unwrap(), whole());
}

#[tokio::test]
async fn a_storage_service_that_is_not_there_is_told_of() {
    let (new, _program) = NewBox::new().await;
    new.world.daemon.say(crate::daemon::Answer::Bytes(3));
    new.put(&whole());
    assert_eq!(new.take().await.status.code(), Some(1));
    assert!(new.errors().contains("The storage service of the box does not answer"), "{}", new.errors());
    assert_eq!((new.joined(), new.asked()), (0, vec![]));
}

#[tokio::test]
async fn what_others_told_stays() {
    let (new, _program) = NewBox::new().await;
    let others = "FACTORY-RESET: nothing was erased. Write\n    erase everything\ninto that file.\n";
    fs::write(new.path("coffer-errors.txt"), others).unwrap();
    new.put("nmae = \"a\"");
    new.takes().await;
    new.takes().await;
    let errors = new.errors();
    assert!(errors.starts_with(others) && errors.matches("there is no `nmae`").count() == 1, "{errors}");
    new.put("name = \"attic\"");
    new.takes().await;
    assert_eq!(new.errors(), others);
}

#[tokio::test]
async fn what_is_no_such_file_is_told_of() {
    let (new, _program) = NewBox::new().await;
    fs::write(new.path("coffer.toml.txt"), whole()).unwrap();
    new.takes().await;
    assert!(new.errors().contains("Take the `.txt` away"), "{}", new.errors());
    for bytes in [&b"\xff\xfen\0a\0m\0e\0"[..], &b"#".repeat(20_000)] {
        fs::write(new.path("coffer.toml"), bytes).unwrap();
        new.takes().await;
        assert!(new.errors().contains("16 KiB of text, in UTF-8"), "{}", new.errors());
    }
    assert_eq!((new.joined(), new.asked()), (0, vec![]));
}
