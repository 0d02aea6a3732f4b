//! A box that lies: each deception is named and has its exit code, nothing of it is kept, and the truth is taken afterwards.

use std::sync::Mutex;

use coffer_crypto::secrets::{
    grant::{self, Role, Terms},
    identity::{Identity, PublicIdentity},
    keys::VaultKey,
    manifest::{Change, Claim, Manifest},
    password::Parameters,
};
use data_encoding::BASE64URL_NOPAD;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    box_under_test::BoxUnderTest,
    device::{Device, PASSWORD},
    proxy::Proxy,
};

fn encode(bytes: &[u8]) -> Value {
    json!(BASE64URL_NOPAD.encode(bytes))
}

fn decode(value: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// Flips a bit.
fn spoil(value: &mut Value, place: usize) {
    let mut bytes = decode(value);
    bytes[place] ^= 1;
    *value = encode(&bytes);
}

fn is_sync(label: &str) -> bool {
    label.starts_with("GET ") && label.contains("/sync?since=")
}

fn item<'a>(told: &'a mut Value, id: &str) -> &'a mut Value {
    told["items"].as_array_mut().unwrap().iter_mut().find(|item| item["id"] == id).unwrap()
}

/// Grace writes on one device, and reads on the other, through what lies.
struct Scene {
    proxy: Proxy,
    desk: Device,
    laptop: Device,
    items: [String; 3],
    _box: BoxUnderTest,
}

impl Scene {
    /// Both devices have seen three items; since then two were changed, and one was deleted.
    fn new() -> Self {
        let the_box = BoxUnderTest::new();
        the_box.account("grace");
        the_box.account("henry");
        let (honest, proxy) = (Proxy::before(&the_box), Proxy::before(&the_box));
        let desk = Device::first_of("grace", &honest.url());
        let laptop = Device::another_of("grace", &proxy.url(), "laptop", &desk);
        desk.ok(&["vault", "create", "Home"], "");
        let items = ["Bank", "Mail", "Old"].map(|title| desk.add("Home", title, "first"));
        desk.sync();
        laptop.sync();
        desk.change("Home", "Bank", "second");
        desk.change("Home", "Mail", "second");
        desk.ok(&["item", "rm", "Home", "Old"], "");
        desk.sync();
        Self { proxy, desk, laptop, items, _box: the_box }
    }

    /// The box says this of what has happened; the device has to say that.
    #[track_caller]
    fn caught(&self, code: i32, word: &str, mut lie: impl FnMut(&mut Value) + Send + 'static) {
        self.proxy.lie(move |label, told| {
            if is_sync(label) {
                lie(told);
            }
        });
        let said = self.laptop.fails(&["sync"], code);
        assert!(said.contains(word), "{word}: {said}");
        assert_eq!(self.laptop.get("Home/Bank/password"), "first", "nothing of it was kept");
        self.proxy.tell_the_truth();
    }
}

#[test]
fn each_deception_is_named_and_nothing_of_it_is_kept() {
    let scene = Scene::new();
    let [bank, mail, old] = scene.items.clone();
    scene.caught(20, "rolled back", |told| {
        told["links"] = json!([]);
        told["items"] = json!([]);
    });
    scene.caught(21, "forked", |told| spoil(&mut told["links"][0], 90));
    scene.caught(22, "dropped", |told| drop(told["links"].as_array_mut().unwrap().remove(1)));
    scene.caught(22, "dropped", |told| {
        let second = told["links"][1].clone();
        told["links"].as_array_mut().unwrap().insert(1, second);
    });
    // One that was written, and one that was deleted.
    for withheld in [bank.clone(), old.clone()] {
        scene.caught(22, "dropped", move |told| {
            told["items"].as_array_mut().unwrap().retain(|item| item["id"] != withheld.as_str());
        });
    }
    scene.caught(23, "signature", |told| spoil(&mut told["links"][1], 240));
    scene.caught(23, "no member", |told| spoil(&mut told["links"][1], 150));
    let (one, other) = (bank.clone(), mail.clone());
    scene.caught(24, "swapped", move |told| {
        let content = item(told, &one)["content"].clone();
        item(told, &other)["content"] = content;
    });
    let one = bank.clone();
    scene.caught(25, "altered", move |told| spoil(&mut item(told, &one)["content"], 60));
    let one = bank.clone();
    scene.caught(25, "altered", move |told| spoil(&mut item(told, &one)["wrapped_key"], 60));
    scene.caught(26, "revived", move |told| {
        let content = item(told, &bank)["content"].clone();
        item(told, &old)["content"] = content;
    });
    scene.caught(27, "invented", move |told| {
        let mut another = item(told, &mail).clone();
        another["id"] = json!(Uuid::new_v4());
        told["items"].as_array_mut().unwrap().push(another);
    });
    scene.laptop.sync();
    assert_eq!(scene.laptop.get("Home/Bank/password"), "second");
    assert_eq!(scene.laptop.titles("Home"), ["Bank", "Mail"]);
    scene.desk.change("Home", "Bank", "third");
    scene.desk.sync();
    // What the box told before, again.
    let seen = Mutex::new(None::<Value>);
    scene.proxy.lie(move |label, told| {
        if is_sync(label) {
            let mut seen = seen.lock().unwrap();
            match &*seen {
                Some(before) => told.clone_from(before),
                None => *seen = Some(told.clone()),
            }
        }
    });
    scene.laptop.sync();
    let said = scene.laptop.fails(&["sync"], 20);
    assert!(said.contains("rolled back"), "{said}");
}

/// Of a vault that a device sees for the first time: the newest link, and what it says that there is.
fn believed(vault: Uuid, told: &Value) -> Manifest {
    let newest = decode(told["links"].as_array().unwrap().last().unwrap());
    let claim = Claim::read(vault, &newest).unwrap();
    let mut items: Vec<&Value> = told["items"].as_array().unwrap().iter().collect();
    items.sort_by_key(|item| item["id"].as_str().unwrap().to_owned());
    let mut bytes = vault.as_bytes().to_vec();
    bytes.extend(claim.sequence.to_be_bytes());
    bytes.extend(claim.generation.to_be_bytes());
    bytes.extend(claim.hash);
    for item in items {
        bytes.extend(item["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_bytes());
        bytes.extend(item["revision"].as_u64().unwrap().to_be_bytes());
        bytes.push(u8::from(!item["content"].is_null()));
        let hash = if item["content"].is_null() { [0; 32] } else { Sha256::digest(decode(&item["content"])).into() };
        bytes.extend(hash);
    }
    Manifest::from_bytes(&bytes).unwrap()
}

#[test]
fn a_new_key_of_somebody_whom_the_box_has_made_up_is_not_taken() {
    let scene = Scene::new();
    let laptop = &scene.laptop;
    laptop.sync();
    let mut rng = UnwrapErr(getrandom::SysRng);
    let stranger = Identity::generate(Uuid::new_v4(), &mut rng).unwrap();
    let public = encode(&stranger.public().to_bytes());
    let id = stranger.public().account();
    let vault: Uuid = laptop.run(&["vault", "list", "--json"], "").json()[0]["id"].as_str().unwrap().parse().unwrap();
    let key = VaultKey::generate(vault, &mut rng).next(&mut rng).unwrap();
    let grace = laptop.run(&["verify", "--json"], "").json()[0]["account"].as_str().unwrap().parse().unwrap();
    let (mut link, mut recipient) = (None::<Value>, None::<PublicIdentity>);
    let lie = move |label: &str, told: &mut Value| {
        if label == "GET /secrets/account" {
            recipient = Some(PublicIdentity::parse(grace, &decode(&told["public"])).unwrap());
        }
        if is_sync(label) {
            // The first to ask knows nothing yet, and is told everything.
            let made = || encode(&believed(vault, told).write(Change::NewKey, &key, &stranger).unwrap());
            let link = link.get_or_insert_with(made).clone();
            told["links"].as_array_mut().unwrap().push(link);
        }
        if label.ends_with("/keys") {
            let terms = Terms { role: Role::Owner, made_at_s: 0 };
            let grant = grant::seal(&key, terms, &stranger, recipient.as_ref().unwrap(), &mut rng).unwrap();
            told.as_array_mut().unwrap().push(json!({ "generation": 2, "sealed": encode(&grant) }));
        }
        if label == format!("GET /secrets/identities/{id}") {
            *told = json!({ "user_id": id, "username": "mallory", "public": public });
        }
    };
    scene.proxy.lie(lie);
    // A new device, and then one that has seen the vault.
    let tablet = Device::another_of("grace", &scene.proxy.url(), "tablet", &scene.desk);
    for device in [&tablet, laptop] {
        let said = device.fails(&["sync"], 23);
        assert!(said.contains("mallory") && said.contains("made this up"), "{said}");
    }
    scene.proxy.tell_the_truth();
    tablet.sync();
    laptop.sync();
}

#[test]
fn keys_parameters_and_vaults_that_change_are_not_taken_silently() {
    let scene = Scene::new();
    let laptop = &scene.laptop;
    laptop.sync();
    scene.proxy.lie(|label, told| {
        if label == "GET /secrets/vaults" {
            told["items"] = json!([]);
        }
    });
    laptop.fails(&["sync"], 30);
    assert_eq!(laptop.get("Home/Bank/password"), "second");

    // Cheaper for who guesses, or only other than before.
    let name_other = |cheaper: bool| {
        move |label: &str, told: &mut Value| {
            if label != "POST /auth/srp/start" {
                return;
            }
            let mut bytes = decode(&told["parameters"]);
            if cheaper {
                bytes[7] -= 1;
            } else {
                bytes[20] ^= 1;
            }
            told["parameters"] = encode(&bytes);
            assert!(cheaper || Parameters::parse(&bytes).is_ok());
        }
    };
    for (cheaper, flag, code) in
        [(true, "--password-changed", 29), (false, "--json", 29), (false, "--password-changed", 4)]
    {
        scene.proxy.lie(name_other(cheaper));
        let ended = laptop.run(&["login", "--password-file", "-", flag], PASSWORD);
        assert_eq!(ended.code, Some(code), "{cheaper} {flag}: {ended:?}");
    }
    scene.proxy.lie(|label, told| {
        if label == "POST /auth/srp/finish" {
            spoil(&mut told["server_proof"], 0);
        }
    });
    let said = laptop.run(&["login", "--password-file", "-"], PASSWORD);
    assert!(said.code == Some(4) && said.errors.contains("prove"), "{said:?}");
    scene.proxy.tell_the_truth();

    let henry = Device::first_of("henry", &scene.proxy.url());
    laptop.ok(&["share", "Home", "henry", "editor"], "");
    scene.proxy.lie(|label, told| {
        if label.starts_with("GET /secrets/people/") {
            let account = told["user_id"].as_str().unwrap().parse().unwrap();
            let false_keys = Identity::generate(account, &mut UnwrapErr(getrandom::SysRng)).unwrap();
            told["public"] = encode(&false_keys.public().to_bytes());
        }
    });
    for arguments in [&["share", "Home", "henry", "owner"][..], &["verify", "henry"], &["verify", "henry", "--confirm"]]
    {
        let said = laptop.fails(arguments, 28);
        assert!(said.contains("have changed"), "{said}");
    }
    laptop.ok(&["verify", "henry", "--accept"], "");
    scene.proxy.tell_the_truth();
    laptop.fails(&["verify", "henry"], 28);
    drop(henry);
}

/// Throws the same numbers every time.
struct Dice(u64);

impl Dice {
    /// Less than `sides`.
    fn throw(&mut self, sides: usize) -> usize {
        self.0 += 1;
        let hash = Sha256::digest(self.0.to_be_bytes());
        usize::from_be_bytes(*hash.first_chunk().unwrap()) % sides
    }
}

/// Where in a document values are.
fn places(document: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match document {
        Value::Array(all) => (0..all.len()).for_each(|index| places(&all[index], &format!("{at}/{index}"), found)),
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Changes something, somewhere in what the box says. False where there is nothing to be changed.
fn distort(told: &mut Value, dice: &mut Dice) -> bool {
    let mut found = Vec::new();
    places(told, "", &mut found);
    let (place, other) = (&found[dice.throw(found.len())], &found[dice.throw(found.len())]);
    let sibling = told.pointer(other).unwrap().clone();
    let target = told.pointer_mut(place).unwrap();
    let before = target.clone();
    match target {
        Value::Array(all) if !all.is_empty() => {
            let (one, two) = (dice.throw(all.len()), dice.throw(all.len()));
            match dice.throw(3) {
                0 => drop(all.remove(one)),
                1 => all.insert(two, all[one].clone()),
                _ => all.swap(one, two),
            }
        }
        Value::String(text) => match BASE64URL_NOPAD.decode(text.as_bytes()) {
            Ok(bytes) if !bytes.is_empty() && dice.throw(4) > 0 => spoil(target, dice.throw(bytes.len())),
            _ if sibling.is_string() => *target = sibling,
            _ => {}
        },
        Value::Number(number) => {
            *target = json!(number.as_u64().unwrap().wrapping_add([1, 2, u64::MAX][dice.throw(3)]));
        }
        Value::Bool(it) => *it = !*it,
        Value::Null => *target = sibling,
        Value::Object(_) | Value::Array(_) => {}
    }
    *target != before
}

#[test]
fn whatever_the_box_changes_is_noticed_or_changes_nothing() {
    let scene = Scene::new();
    let laptop = &scene.laptop;
    let (home, kept) = (laptop.home(), laptop.path("kept"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        drop(std::fs::remove_dir_all(to));
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    // Each lie meets a device that has seen nothing of the second values.
    copy(&home, &kept);
    let (mut named, mut harmless) = (0, 0);
    for number in 0..200 {
        let mut dice = Dice(number * 1000);
        let told = std::sync::Arc::new(Mutex::new(None::<String>));
        let lied = std::sync::Arc::clone(&told);
        scene.proxy.lie(move |label, told| {
            let mut lied = lied.lock().unwrap();
            // Mostly about what is in the vault; never about the same thing twice in one visit.
            if lied.is_none()
                && label.starts_with("GET ")
                && (is_sync(label) || dice.throw(4) == 0)
                && distort(told, &mut dice)
            {
                *lied = Some(format!("{number}: {label}: {told}"));
            }
        });
        let ended = laptop.run(&["sync"], "");
        let lie = told.lock().unwrap().clone();
        let has = (laptop.get("Home/Bank/password"), laptop.titles("Home").len());
        let (old, new) = (("first".to_owned(), 3), ("second".to_owned(), 2));
        if ended.code == Some(0) {
            assert_eq!(has, new, "{lie:?}");
            harmless += u32::from(lie.is_some());
        } else {
            // It may have been about something that came after this vault.
            assert!(has == old || has == new, "nothing of it was kept: {has:?}: {lie:?}");
            named += u32::from(ended.code.is_some_and(|code| (20..=30).contains(&code)));
        }
        copy(&kept, &home);
    }
    // What does not read at all is no lie; times, and what else proves nothing, are told and not believed.
    assert!(named > 60 && harmless > 20, "{named} were named, {harmless} harmless");
    scene.proxy.tell_the_truth();
    laptop.sync();
    assert_eq!(laptop.get("Home/Bank/password"), "second");
}
