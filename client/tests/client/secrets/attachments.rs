//! Files that are attached to items: by one device, read by another, through a box that cannot read them, and lies about them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{box_under_test::BoxUnderTest, device::Device, hunt::Hunt, proxy::Proxy};

/// Grace has a vault with an item, and two devices behind a box that may lie.
struct Scene {
    the_box: BoxUnderTest,
    proxy: Proxy,
    desk: Device,
    laptop: Device,
}

impl Scene {
    fn new() -> Self {
        let the_box = BoxUnderTest::new();
        the_box.account("grace");
        the_box.account("henry");
        let proxy = Proxy::before(&the_box);
        let desk = Device::first_of("grace", &proxy.url());
        desk.ok(&["vault", "create", "Home"], "");
        desk.ok(&["item", "create", "Home", "--title", "House", "--type", "file"], "");
        desk.sync();
        let laptop = Device::another_of("grace", &proxy.url(), "laptop", &desk);
        laptop.sync();
        Self { the_box, proxy, desk, laptop }
    }
}

/// Attaches a file; gives its id.
#[track_caller]
fn attach(device: &Device, name: &str, content: &[u8]) -> String {
    fs::write(device.path(name), content).unwrap();
    let path = device.path(name).to_str().unwrap().to_owned();
    let made: Value =
        serde_json::from_str(&device.ok(&["attachment", "add", "Home", "House", &path, "--json"], "")).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// What an attachment holds, by way of a file.
#[track_caller]
fn fetched(device: &Device, [vault, item]: [&str; 2], name: &str) -> Vec<u8> {
    let to = device.path("fetched").to_str().unwrap().to_owned();
    device.ok(&["attachment", "get", vault, item, name, "--output", &to, "--force"], "");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    fs::read(to).unwrap()
}

fn names(device: &Device, more: &[&str]) -> Vec<String> {
    let arguments = [&["attachment", "list", "Home", "House", "--json"], more].concat();
    let listed = device.run(&arguments, "").json();
    listed.iter().map(|one| one["name"].as_str().unwrap_or("(unnamed)").to_owned()).collect()
}

/// Bytes that no compression makes shorter, and no two blocks of which are the same.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_one_device_attaches_the_other_reads_and_nobody_between_them_can() {
    let scene = Scene::new();
    let (desk, laptop) = (&scene.desk, &scene.laptop);
    let plan = [b"canary-beginning ".as_slice(), &bytes(300_000), b" canary-end"].concat();
    attach(desk, "canary-plan.bin", &plan);
    attach(desk, "canary-empty", b"");
    laptop.sync();
    assert_eq!(names(laptop, &[]), ["canary-plan.bin", "canary-empty"]);
    let listed = laptop.run(&["attachment", "list", "Home", "House", "--json"], "").json();
    assert_eq!((&listed[0]["size"], &listed[1]["size"]), (&json!(plan.len()), &json!(0)));
    assert!(fetched(laptop, ["Home", "House"], "canary-plan.bin") == plan);
    assert_eq!(fetched(laptop, ["Home", "House"], "canary-empty"), b"");

    // What is there stays, and what is no text does not come to pieces in a pipe.
    let to = laptop.path("fetched").to_str().unwrap().to_owned();
    let said = laptop.fails(&["attachment", "get", "Home", "House", "canary-plan.bin", "--output", &to], 2);
    assert!(said.contains("--force"), "{said}");
    fs::write(desk.path("note"), "canary-short\n").unwrap();
    let note = desk.path("note").to_str().unwrap().to_owned();
    desk.ok(&["attachment", "add", "Home", "House", &note], "");
    assert_eq!(laptop.ok(&["attachment", "get", "Home", "House", "note", "-o", "-"], ""), "canary-short\n");
    assert!(laptop.ok(&["item", "get", "Home", "House"], "").contains("attached: note  (13 bytes)"));

    desk.fails(&["attachment", "add", "Home", "House", &note], 2);
    desk.fails(&["attachment", "add", "Home", "House", desk.home().to_str().unwrap()], 2);
    desk.fails(&["attachment", "get", "Home", "House", "nothing"], 9);
    scene.proxy.take_down(true);
    desk.fails(&["attachment", "add", "Home", "House", &to], 3);
    desk.fails(&["attachment", "get", "Home", "House", "note", "-o", "-"], 3);
    assert_eq!(names(desk, &[]).len(), 3, "what there is, is known without the box");
    scene.proxy.take_down(false);

    let words = ["canary-plan", "canary-empty", "canary-beginning", "canary-end", "canary-short"];
    let hunt = Hunt::of(words.map(str::to_owned));
    let (traffic, kept) = (scene.proxy.traffic(), scene.the_box.everything());
    hunt.expect_none("traffic", &traffic);
    hunt.expect_none("box", &kept);
    hunt.expect_none("devices", &[desk.disk(), laptop.disk()].concat());
    // What was looked through is where they would have been.
    assert!(traffic.len() > 2 * plan.len() && kept.len() > plan.len());
}

/// How much memory a process has had at most, while it ran.
fn peak_kib(mut child: Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(high_water_kib(child.id()));
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(peak > 0);
    peak
}

fn high_water_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn a_large_file_takes_no_more_memory_than_a_small_one() {
    const LARGE: usize = 50 * 1024 * 1024;
    const MOST_KIB: u64 = 32 * 1024;
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let url = format!("http://{}", the_box.address());
    let desk = Device::first_of("grace", &url);
    desk.ok(&["vault", "create", "Home"], "");
    desk.ok(&["item", "create", "Home", "--title", "House", "--type", "file"], "");
    desk.sync();
    let large = bytes(LARGE);
    fs::write(desk.path("large"), &large).unwrap();
    let (path, to) = (desk.path("large").to_str().unwrap().to_owned(), desk.path("to").to_str().unwrap().to_owned());
    // From now on its highest is of this.
    fs::write(format!("/proc/{}/clear_refs", the_box.pid()), "5").unwrap();
    let before = high_water_kib(the_box.pid());
    for arguments in [
        &["attachment", "add", "Home", "House", &path][..],
        &["attachment", "get", "Home", "House", "large", "--output", &to],
    ] {
        let peak = peak_kib(desk.start(arguments));
        assert!(peak < MOST_KIB, "{arguments:?}: {peak} KiB");
    }
    let more = high_water_kib(the_box.pid()).saturating_sub(before);
    assert!(more < MOST_KIB, "the box: {more} KiB more");
    assert!(fs::read(to).unwrap() == large);
}

#[test]
fn an_archive_has_what_is_attached_and_says_when_the_box_did_not_give_it() {
    let scene = Scene::new();
    let (desk, proxy) = (&scene.desk, &scene.proxy);
    let plan = bytes(200_000);
    let id = attach(desk, "plan", &plan);
    let identity = desk.path("identity");
    let made = Command::new("age-keygen").arg("-o").arg(&identity).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("left out: no age");
        return;
    }
    let public = Command::new("age-keygen").arg("-y").arg(&identity).output().unwrap();
    let recipient = String::from_utf8(public.stdout).unwrap();
    let archive = |name: &str| {
        let path = desk.path(name).to_str().unwrap().to_owned();
        let told = desk.run(&["export", "age", &path, "--vault", "Home", "--recipient", recipient.trim()], "");
        let opened = Command::new("age").arg("-d").arg("-i").arg(&identity).arg(&path).output().unwrap();
        (told, serde_json::from_slice::<Value>(&opened.stdout).unwrap_or_default())
    };
    let (told, opened) = archive("whole");
    assert_eq!(told.code, Some(0), "{told:?}");
    let file = opened["files"][&id].as_str().unwrap();
    assert!(BASE64.decode(file.as_bytes()).unwrap() == plan);

    proxy.take_down(true);
    let (told, opened) = archive("names");
    assert!(told.code == Some(0) && format!("{told:?}").contains("only their names are in it"), "{told:?}");
    assert!(opened["files"].is_null() && opened["items"][0]["content"]["attachments"][0]["name"] == "plan");
    proxy.take_down(false);
    proxy.forge(move |path, _, body| {
        if path.starts_with("GET ") && path.ends_with(&id) {
            body[30_000] ^= 1;
        }
    });
    let (told, _) = archive("altered");
    assert!(told.code == Some(1) && told.errors.contains("altered"), "{told:?}");
    assert!(!desk.path("altered").exists());
}

/// Another status, and another body.
type Forgery = Box<dyn FnMut(&mut u16, &mut Vec<u8>) + Send>;

#[test]
fn a_box_that_lies_about_what_is_attached_is_named_and_nothing_is_kept() {
    let scene = Scene::new();
    let (desk, laptop, proxy) = (&scene.desk, &scene.laptop, &scene.proxy);
    let (first, second) = (bytes(40_000), bytes(70_000));
    let (one, other) = (attach(desk, "one", &first), attach(desk, "other", &second));
    laptop.sync();
    let to = laptop.path("to");
    let caught = |code: i32, word: &str, mut forgery: Forgery| {
        let label = format!("/attachments/{one}");
        proxy.forge(move |path, status, body| {
            if path.starts_with("GET ") && path.ends_with(&label) {
                forgery(status, body);
            }
        });
        let arguments = ["attachment", "get", "Home", "House", "one", "--output", to.to_str().unwrap()];
        let said = laptop.fails(&arguments, code);
        assert!(said.contains(word) && said.contains("\"one\""), "{word}: {said}");
        assert!(!to.exists(), "nothing of it was kept");
        proxy.tell_the_truth();
    };
    let not_found = json!({ "type": "about:blank", "status": 404, "code": "not_found", "title": "-", "detail": "-" });
    caught(
        22,
        "dropped",
        Box::new(move |status, body| {
            *status = 404;
            *body = not_found.to_string().into_bytes();
        }),
    );
    let sealed = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let (seen, label) = (std::sync::Arc::clone(&sealed), format!("/attachments/{other}"));
    proxy.forge(move |path, _, body| {
        if path.ends_with(&label) {
            seen.lock().unwrap().clone_from(body);
        }
    });
    assert!(fetched(laptop, ["Home", "House"], "other") == second);
    caught(24, "swapped: it delivers \"other\"", Box::new(move |_, body| body.clone_from(&sealed.lock().unwrap())));
    caught(25, "cut short", Box::new(|_, body| body.truncate(30_000)));
    // Whole chunks less, so that every one that is left is authentic; and nothing at all.
    caught(25, "cut short", Box::new(|_, body| body.truncate(56 + 16_400)));
    caught(25, "cut short", Box::new(|_, body| body.clear()));
    caught(25, "altered", Box::new(|_, body| body.push(0)));
    for place in [0, 40, 60, 20_000, 40_000] {
        caught(25, "altered", Box::new(move |_, body| body[place] ^= 1));
    }
    assert!(fetched(laptop, ["Home", "House"], "one") == first);
    // Between what is told of the item and what is fetched, somebody may have removed it: that is no lie.
    desk.ok(&["attachment", "rm", "Home", "House", "one"], "");
    laptop.fails(&["attachment", "get", "Home", "House", "one", "-o", "-"], 9);
}

#[test]
fn what_two_attach_is_both_kept_and_what_one_removes_is_gone() {
    let scene = Scene::new();
    let (desk, laptop, proxy) = (&scene.desk, &scene.laptop, &scene.proxy);
    attach(desk, "one", b"first");
    attach(laptop, "other", b"second");
    desk.sync();
    assert_eq!(names(desk, &["--all"]), ["one", "other"]);
    // One changes the item without the box, the other one removes something of it: both count.
    proxy.take_down(true);
    desk.ok(&["item", "edit", "Home", "House", "--field", "street=Elm"], "");
    proxy.take_down(false);
    laptop.ok(&["attachment", "rm", "Home", "House", "one"], "");
    desk.sync();
    assert_eq!((names(desk, &["--all"]), desk.get("Home/House/street")), (vec!["other".to_owned()], "Elm".to_owned()));
    laptop.fails(&["attachment", "rm", "Home", "House", "one"], 9);

    // An earlier state named it; it does not come back.
    let restored = desk.run(&["item", "restore", "Home", "House", "3"], "");
    assert!(restored.code == Some(0) && restored.errors.contains("is gone: one"), "{restored:?}");
    desk.sync();
    laptop.sync();
    assert_eq!(fetched(laptop, ["Home", "House"], "other"), b"second");

    // A change wins over a deletion, and what was attached is gone all the same.
    proxy.take_down(true);
    desk.ok(&["item", "edit", "Home", "House", "--field", "street=Oak"], "");
    proxy.take_down(false);
    laptop.ok(&["item", "rm", "Home", "House"], "");
    laptop.sync();
    desk.sync();
    laptop.sync();
    for device in [desk, laptop] {
        assert_eq!(
            (names(device, &["--all"]), device.get("Home/House/street")),
            (Vec::<String>::new(), "Oak".to_owned())
        );
    }
    attach(laptop, "third", b"after all");
    desk.sync();
    assert_eq!(fetched(desk, ["Home", "House"], "third"), b"after all");

    // Of two states that become two items, the first keeps what is attached: it would not open in the other one.
    laptop.ok(&["item", "edit", "Home", "House", "--field", "street=Ash"], "");
    laptop.sync();
    desk.ok(&["item", "edit", "Home", "House", "--field", "street=Fir"], "");
    desk.sync();
    let titles = desk.titles("Home");
    assert!(titles.len() == 2 && titles[1].starts_with("House (conflict of "), "{titles:?}");
    assert_eq!(desk.ok(&["attachment", "list", "Home", &titles[1]], ""), "");
    assert_eq!(fetched(desk, ["Home", "House"], "third"), b"after all");
}

#[test]
fn what_came_to_the_box_and_was_never_named_is_found_and_removed() {
    let scene = Scene::new();
    let desk = &scene.desk;
    attach(desk, "one", b"first");
    let item = &desk.run(&["item", "get", "Home", "House", "--json"], "").json()[0];
    let [vault, item] = ["vault", "id"].map(|member| item[member].as_str().unwrap().to_owned());
    // As an addition leaves it that ended before its last step.
    let id = Uuid::new_v4().to_string();
    scene.the_box.send_as(
        "grace",
        "PUT",
        &format!("/secrets/vaults/{vault}/items/{item}/attachments/{id}"),
        &json!("sealed"),
    );
    assert_eq!(
        (names(desk, &[]), names(desk, &["--all"])),
        (vec!["one".to_owned()], ["one", "(unnamed)"].map(str::to_owned).to_vec())
    );
    desk.fails(&["attachment", "get", "Home", "House", &id, "-o", "-"], 9);
    desk.ok(&["attachment", "rm", "Home", "House", &id], "");
    assert_eq!(names(desk, &["--all"]), ["one"]);
    assert_eq!(fetched(desk, ["Home", "House"], "one"), b"first");
}

#[test]
fn what_is_attached_outlives_a_new_key_and_moves_with_its_item() {
    let scene = Scene::new();
    let (desk, laptop) = (&scene.desk, &scene.laptop);
    let plan = bytes(100_000);
    attach(desk, "plan", &plan);
    let henry = Device::first_of("henry", &scene.proxy.url());
    desk.ok(&["share", "Home", "henry", "viewer"], "");
    henry.sync();
    assert!(fetched(&henry, ["Home", "House"], "plan") == plan);
    let note = henry.file("note", "mine");
    henry.fails(&["attachment", "add", "Home", "House", &note], 7);
    henry.fails(&["attachment", "rm", "Home", "House", "plan"], 7);

    desk.ok(&["unshare", "Home", "henry"], "");
    laptop.sync();
    for device in [desk, laptop] {
        assert!(fetched(device, ["Home", "House"], "plan") == plan, "under the key of before, with the item's own");
    }
    henry.ok(&["vault", "forget", "Home"], "");

    laptop.ok(&["item", "share", "Home", "House", "henry", "viewer"], "");
    henry.sync();
    assert!(fetched(&henry, ["House", "House"], "plan") == plan, "sealed anew, for its new place");
    desk.sync();
    assert_eq!(desk.titles("Home"), Vec::<String>::new());
    assert!(fetched(desk, ["House", "House"], "plan") == plan);
}
