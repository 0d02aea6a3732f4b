//! Credentials that the box rotates, and what devices make of it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use coffer_crypto::secrets::drop_box::{DropBox, Purpose};
use data_encoding::BASE64URL_NOPAD;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{box_under_test::BoxUnderTest, device::Device, proxy::Proxy};

/// Between two looks at what a test waits for.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(50));
}

/// Waits until a rotation says so, however long the machine takes.
fn wait_for(device: &Device, rotation: &str, state: impl Fn(&Value) -> bool) -> Vec<Value> {
    let look = || device.run(&["rotate", "status", "Home", rotation, "--json"], "").json();
    let mut told = look();
    for _ in 0..1200 {
        if state(&told[0]) {
            break;
        }
        pause();
        told = look();
    }
    assert!(state(&told[0]), "not in time: {told:?}");
    told
}

/// Has it carried out; gives when it is done.
fn rotate(device: &Device, rotation: &str) {
    let before = wait_for(device, rotation, |_| true)[0]["rotated_at"].clone();
    device.ok(&["rotate", "now", "Home", rotation], "");
    wait_for(device, rotation, |told| told["state"] == "old_revoked" && told["rotated_at"] != before);
}

/// What a visit found in the vault.
fn synced(device: &Device) -> Value {
    let ended = device.run(&["sync", "--json"], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.json().into_iter().find(|told| told["name"] == "Home").unwrap()
}

#[cfg(postgresql)]
#[test]
fn a_password_of_postgresql_is_rotated_and_taken_over_by_whoever_syncs_first() {
    use super::{hunt::Hunt, postgresql::Server};

    let server = Server::start();
    server.run("CREATE ROLE app LOGIN PASSWORD 'the old password'");
    server.run("CREATE ROLE keeper LOGIN CREATEROLE PASSWORD 'canary-keeper'; GRANT app TO keeper WITH ADMIN OPTION");
    let the_box = BoxUnderTest::with(&["--allow-local-rotations"]);
    the_box.account_with_role("grace", "editor");
    the_box.account("henry");
    let proxy = Proxy::before(&the_box);
    let desk = Device::first_of("grace", &proxy.url());
    let laptop = Device::another_of("grace", &proxy.url(), "laptop", &desk);
    let henry = Device::first_of("henry", &proxy.url());
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "App", "the old password");
    desk.ok(&["share", "Home", "henry", "viewer"], "");
    for device in [&desk, &laptop, &henry] {
        device.sync();
    }
    assert!(server.lets_in("app", "the old password"));

    let place = ["postgresql", "127.0.0.1", "app", "--port", &server.port, "--admin-name", "keeper"];
    let add =
        [&["rotate", "add", "Home", "App", "password", "--every", "30d", "--admin-file", "-", "--json"], &place[..]];
    henry.fails(&add.concat(), 7);
    let made: Value = serde_json::from_str(&desk.ok(&add.concat(), "canary-keeper")).unwrap();
    let id = made["id"].as_str().unwrap();
    rotate(&desk, id);
    assert!(!server.lets_in("app", "the old password"), "it is good for nothing any more");
    assert_eq!(desk.get("Home/App/password"), "the old password", "nobody has fetched it yet");

    // A viewer leaves it for others; another field was changed elsewhere meanwhile.
    assert_eq!(synced(&henry)["rotated"], json!([]));
    laptop.ok(&["item", "edit", "Home", "App", "--field", "user=app"], "");
    let told = synced(&laptop);
    assert_eq!((&told["rotated"], &told["conflicts"], &told["sent"]), (&json!(["App"]), &json!([]), &json!(1)));
    let first = laptop.get("Home/App/password");
    assert!(server.lets_in("app", &first));
    for device in [&desk, &henry] {
        device.sync();
        assert_eq!((device.get("Home/App/password"), device.get("Home/App/user")), (first.clone(), "app".to_owned()));
    }
    assert_eq!(synced(&laptop)["rotated"], json!([]), "it was fetched once");
    let shown = desk.ok(&["item", "get", "Home", "App"], "");
    assert!(shown.contains("••••••  (rotated by the box, "), "{shown}");

    // Both have changed the same: what is in force stands in the item, and what was written beside it.
    rotate(&desk, id);
    desk.change("Home", "App", "mine");
    let told = synced(&desk);
    let second = desk.get("Home/App/password");
    assert!(second != first && server.lets_in("app", &second) && !server.lets_in("app", &first));
    let copy = told["conflicts"][0].as_str().unwrap();
    assert_eq!(desk.get(&format!("Home/{copy}/password")), "mine");

    // A member who has left has the key of before: the next value is not for them.
    desk.ok(&["unshare", "Home", "henry"], "");
    rotate(&desk, id);
    laptop.sync();
    let third = laptop.get("Home/App/password");
    assert!(server.lets_in("app", &third));
    desk.ok(&["rotate", "rm", "Home", id], "");
    desk.fails(&["rotate", "rm", "Home", id], 9);
    assert_eq!(desk.ok(&["rotate", "list", "Home"], ""), "");

    let (log, hunt) = (server.log(), Hunt::of([first, second, third]));
    hunt.expect_none("box", &the_box.everything());
    hunt.expect_none("traffic", &proxy.traffic());
    assert_eq!(hunt.found(log.as_bytes()), Vec::<&str>::new(), "the server sees a verifier");
    assert!(log.contains("ALTER ROLE \"app\" PASSWORD 'SCRAM-SHA-256$"), "{log}");
    let told = [desk.ok(&["rotate", "list", "Home", "--json"], ""), shown].concat();
    assert!(!told.contains("canary-keeper"));
}

/// A service that keeps one password, and does as it is told: `refuse`, `mute`, or its work.
struct Service {
    address: SocketAddr,
    mode: Arc<Mutex<&'static str>>,
    password: Arc<Mutex<String>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            mode: Arc::new(Mutex::new("work")),
            password: Arc::default(),
            heads: Arc::default(),
        };
        let (mode, password, heads) =
            (Arc::clone(&service.mode), Arc::clone(&service.password), Arc::clone(&service.heads));
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    head.push_str(&line.to_lowercase());
                    line.clear();
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).unwrap();
                heads.lock().unwrap().push(head);
                let asked: Value = serde_json::from_slice(&body).unwrap();
                let (status, answer) = Self::answer(*mode.lock().unwrap(), &asked, &mut password.lock().unwrap());
                let text = answer.to_string();
                let reply =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}", text.len());
                drop(reader.get_mut().write_all(reply.as_bytes()));
            }
        });
        service
    }

    fn answer(mode: &str, asked: &Value, password: &mut String) -> (&'static str, Value) {
        let value = asked["value"].as_str().unwrap().to_owned();
        match (mode, asked["step"].as_str().unwrap()) {
            ("refuse", "apply") => ("200 OK", json!({ "ok": false, "problem": "not today" })),
            ("mute", "apply") => {
                *password = value;
                ("500 Oops", Value::Null)
            }
            ("mute", _) => ("503 Later", Value::Null),
            (_, "apply") => {
                *password = value;
                ("200 OK", json!({ "ok": true }))
            }
            (_, _) => ("200 OK", json!({ "ok": *password == value })),
        }
    }

    fn set(&self, mode: &'static str) {
        *self.mode.lock().unwrap() = mode;
    }

    fn password(&self) -> String {
        self.password.lock().unwrap().clone()
    }
}

#[test]
fn a_service_is_asked_and_what_may_be_in_force_can_be_taken_by_hand() {
    let service = Service::start();
    let the_box = BoxUnderTest::with(&["--allow-local-rotations"]);
    the_box.account_with_role("grace", "editor");
    let desk = Device::first_of("grace", &format!("http://{}", the_box.address()));
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "App", "old");
    desk.sync();
    let url = format!("http://{}/rotate", service.address);
    let add = ["rotate", "add", "Home", "App", "password", "--admin-file", "-", "--json", "http", &url];
    let made: Value = serde_json::from_str(&desk.ok(&add, "canary-admin")).unwrap();
    let id = made["id"].as_str().unwrap();

    service.set("refuse");
    desk.ok(&["rotate", "now", "Home", id], "");
    let told = wait_for(&desk, id, |told| told["problem"] == "not today");
    assert_eq!((told.len(), &told[0]["state"]), (1, &json!("idle")));

    service.set("mute");
    desk.ok(&["rotate", "now", "Home", id], "");
    let told = wait_for(&desk, id, |told| told["problem"] == "the service failed (500)");
    assert_eq!((told.len(), &told[0]["state"], &told[1]["is_certain"]), (2, &json!("pending"), &json!(false)));
    assert_eq!(synced(&desk)["rotated"], json!([]), "nobody knows whether it counts");
    assert_eq!(desk.get("Home/App/password"), "old");
    let value = told[1]["value"].as_str().unwrap();
    desk.ok(&["rotate", "take", "Home", value], "");
    assert_eq!(desk.get("Home/App/password"), service.password());
    desk.fails(&["rotate", "take", "Home", value], 9);

    service.set("work");
    rotate(&desk, id);
    assert_eq!(synced(&desk)["rotated"], json!(["App"]));
    assert_eq!(desk.get("Home/App/password"), service.password());
    let heads = service.heads.lock().unwrap();
    assert!(heads.iter().all(|head| head.contains("authorization: bearer canary-admin")), "{heads:?}");
    drop(heads);

    desk.fails(&["rotate", "add", "Home", "App", "pin", "http", &url], 9);
    desk.fails(&["rotate", "add", "Home", "App", "password", "http", "http://service.example/"], 7);
    desk.fails(&["rotate", "add", "Home", "App", "password", "--every", "5m", "http", &url], 2);
    desk.fails(&["rotate", "now", "Home", "ffffffff"], 9);
}

#[test]
fn a_drop_box_or_a_value_that_is_not_the_vaults_is_told_of_and_changes_nothing() {
    let service = Service::start();
    let the_box = BoxUnderTest::with(&["--allow-local-rotations"]);
    the_box.account_with_role("grace", "editor");
    let proxy = Proxy::before(&the_box);
    let desk = Device::first_of("grace", &proxy.url());
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "App", "old");
    desk.sync();
    let url = format!("http://{}/rotate", service.address);
    let add = ["rotate", "add", "Home", "App", "password", "--json", "http", &url];
    let made: Value = serde_json::from_str(&desk.ok(&add, "")).unwrap();
    rotate(&desk, made["id"].as_str().unwrap());

    let is_drops = |label: &str| label.starts_with("GET ") && label.ends_with("/drops");
    let another = |told: &mut Value| {
        let text = told.as_str().unwrap();
        let other = if text.starts_with('A') { "B" } else { "A" };
        *told = json!(format!("{other}{}", &text[1..]));
    };
    proxy.lie(move |label, told| {
        if is_drops(label) {
            another(&mut told["drops"][0]["content"]);
        }
    });
    desk.ok(&["item", "edit", "Home", "App", "--field", "user=app"], "");
    let told = desk.fails(&["sync"], 25);
    assert!(told.contains("does not open"), "{told}");
    assert_eq!(desk.get("Home/App/password"), "old");
    let told = desk.run(&["status", "--json"], "").json();
    assert_eq!(told[0]["unsent"], 0, "the rest was done");
    proxy.lie(move |label, told| {
        if is_drops(label) {
            another(&mut told["drop_box"]["public"]);
        }
    });
    let told = desk.fails(&["sync"], 25);
    assert!(told.contains("sealed to a key that is none of the vault's"), "{told}");
    proxy.tell_the_truth();
    desk.sync();
    assert_eq!((desk.get("Home/App/password"), desk.get("Home/App/user")), (service.password(), "app".to_owned()));

    // Who deletes it does not know what is in force now.
    rotate(&desk, made["id"].as_str().unwrap());
    desk.ok(&["item", "rm", "Home", "App"], "");
    desk.sync();
    assert_eq!(desk.get("Home/App/password"), service.password());
}

#[test]
fn the_box_changes_nothing_but_what_a_member_has_let_it_rotate() {
    let service = Service::start();
    let the_box = BoxUnderTest::with(&["--allow-local-rotations"]);
    the_box.account_with_role("grace", "editor");
    let proxy = Proxy::before(&the_box);
    let desk = Device::first_of("grace", &proxy.url());
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "App", "old");
    desk.ok(&["item", "edit", "Home", "App", "--secret", "pin"], "1234");
    desk.add("Home", "Bank", "mine");
    desk.sync();
    let url = format!("http://{}/rotate", service.address);
    let add = ["rotate", "add", "Home", "App", "password", "--json", "http", &url];
    let made: Value = serde_json::from_str(&desk.ok(&add, "")).unwrap();
    rotate(&desk, made["id"].as_str().unwrap());

    let vault: Uuid = desk.run(&["vault", "list", "--json"], "").json()[0]["id"].as_str().unwrap().parse().unwrap();
    let shown = |title: &str| desk.run(&["item", "get", "Home", title, "--json"], "").json().remove(0);
    let id_of = |item: &Value, name: &str| {
        let fields = item["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap()["id"].clone()
    };
    let (app, bank) = (shown("App"), shown("Bank"));
    for (item, field) in [(&bank, "password"), (&app, "pin")] {
        let item_id: Uuid = item["id"].as_str().unwrap().parse().unwrap();
        let purpose = Purpose { item: item_id, base_revision: item["revision"].as_u64().unwrap() };
        let document = json!({ "fields": { id_of(item, field).as_str().unwrap(): "of the box's own" } }).to_string();
        proxy.lie(move |label, told| {
            if !label.ends_with("/drops") {
                return;
            }
            // Whoever knows the public key can seal something to it.
            let public = BASE64URL_NOPAD.decode(told["drop_box"]["public"].as_str().unwrap().as_bytes()).unwrap();
            let drop_box = DropBox { vault, generation: 1, public: public.try_into().unwrap() };
            let mut rng = UnwrapErr(getrandom::SysRng);
            let sealed = drop_box.seal(purpose, document.as_bytes(), &mut rng).unwrap();
            let mut made_up = told["drops"][0].clone();
            made_up["id"] = json!(Uuid::new_v4());
            made_up["item_id"] = json!(item_id);
            made_up["base_revision"] = json!(purpose.base_revision);
            made_up["content"] = json!(BASE64URL_NOPAD.encode(&sealed));
            *told["drops"].as_array_mut().unwrap() = vec![made_up];
        });
        let said = desk.fails(&["sync"], 25);
        assert!(said.contains("let it rotate"), "{said}");
        assert_eq!((desk.get("Home/Bank/password"), desk.get("Home/App/pin")), ("mine".into(), "1234".into()));
    }
    proxy.tell_the_truth();
    desk.sync();
    assert_eq!(desk.get("Home/App/password"), service.password());
}
