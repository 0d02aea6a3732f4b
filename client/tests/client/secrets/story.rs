//! Two people on three devices: they share, edit without the box, merge, and part.

use serde_json::{Value, json};

use super::{
    box_under_test::{ACCOUNT_PASSWORD, BoxUnderTest},
    device::{Device, PASSWORD},
    hunt::Hunt,
    proxy::Proxy,
};

#[test]
fn two_people_on_three_devices_share_edit_merge_and_part() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    the_box.account("henry");
    let proxy = Proxy::before(&the_box);
    let url = proxy.url();
    let desk = Device::first_of("grace", &url);
    let laptop = Device::another_of("grace", &url, "laptop", &desk);
    let henry = Device::first_of("henry", &url);

    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "canary-one");
    desk.ok(&["item", "edit", "Home", "Bank", "--field", "user=canary-two", "--tag", "canary-money"], "");
    desk.sync();
    laptop.sync();
    assert_eq!(laptop.get("Home/Bank/password"), "canary-one");

    share(&desk, &henry);

    // Nobody is connected, and everybody works.
    proxy.take_down(true);
    desk.fails(&["sync"], 3);
    desk.change("Home", "Bank", "canary-three");
    laptop.ok(&["item", "edit", "Home", "Bank", "--field", "user=canary-four"], "");
    henry.change("Home", "Bank", "canary-five");
    henry.add("Home", "canary-router", "canary-six");
    assert_eq!(henry.get("Home/canary-router/password"), "canary-six");
    laptop.ok(&["lock"], "");
    laptop.fails(&["get", "Home/Bank/user"], 8);
    laptop.ok(&["unlock", "--password-file", "-"], PASSWORD);
    assert_eq!(laptop.get("Home/Bank/user"), "canary-four");
    proxy.take_down(false);

    // Different fields go together; the same field has one winner, and nothing is lost.
    for device in [&desk, &laptop, &henry, &desk, &laptop, &henry] {
        device.sync();
    }
    for device in [&desk, &laptop, &henry] {
        assert_eq!(device.get("Home/Bank/password"), "canary-three");
        assert_eq!(device.get("Home/Bank/user"), "canary-four");
        let titles = device.titles("Home");
        assert!(titles.len() == 3 && titles[1].starts_with("Bank (conflict of henry, "), "{titles:?}");
        assert_eq!(device.get(&format!("Home/{}/password", titles[1])), "canary-five");
    }

    part(&desk, &laptop, &henry);

    // Canaries of all sorts are hunted in hunt.rs; these were edited without the box, merged, and read before somebody left.
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "router", "money"];
    let mut hunt = Hunt::of(words.map(|word| format!("canary-{word}")));
    for (place, bytes) in [
        ("traffic", proxy.traffic()),
        ("box", the_box.everything()),
        ("devices", [desk.disk(), laptop.disk(), henry.disk()].concat()),
    ] {
        hunt.expect_none(place, &bytes);
    }
    hunt = Hunt::of([desk.code("Secret Key"), desk.code("Recovery key"), PASSWORD.to_owned()]);
    hunt.expect_none("traffic", &proxy.traffic());
    hunt.expect_none("box", &the_box.everything());
    // What the search would find, it does find.
    assert_eq!(Hunt::of([ACCOUNT_PASSWORD.to_owned()]).found(&proxy.traffic()), [ACCOUNT_PASSWORD]);
    assert_eq!(Hunt::of(["henry".to_owned()]).found(&the_box.everything()), ["henry"]);
}

/// Grace lets Henry in; they compare their words.
fn share(desk: &Device, henry: &Device) {
    desk.fails(&["share", "Home", "nobody", "editor"], 9);
    let ended = desk.run(&["share", "Home", "henry", "editor", "--json"], "");
    assert_eq!((ended.code, &ended.json()[0]["verified"]), (Some(0), &json!(false)), "{ended:?}");
    henry.sync();
    assert_eq!(henry.get("Home/Bank/password"), "canary-one");
    let words = |device: &Device, arguments: &[&str]| device.run(arguments, "").json()[0]["words"].clone();
    assert_eq!(words(desk, &["verify", "henry", "--json"]), words(henry, &["verify", "--json"]));
    desk.ok(&["verify", "henry", "--confirm"], "");
    let members = desk.run(&["members", "Home", "--json"], "").json();
    let of_henry = members.iter().find(|member| member["name"] == "henry").unwrap();
    assert_eq!((&of_henry["role"], &of_henry["trust"]), (&json!("editor"), &json!("verified")));
    henry.fails(&["share", "Home", "grace", "viewer"], 7);
    desk.ok(&["share", "Home", "henry", "viewer"], "");
    henry.sync();
    henry.fails(&["item", "rm", "Home", "Bank"], 7);
    desk.ok(&["share", "Home", "henry", "editor"], "");
    henry.sync();
}

/// Henry is put out, and learns nothing more.
fn part(desk: &Device, laptop: &Device, henry: &Device) {
    let told: Value = serde_json::from_str(&desk.ok(&["unshare", "Home", "henry", "--json"], "")).unwrap();
    assert_eq!(told["to_be_changed"].as_array().unwrap().len(), 3, "what he has read");
    desk.change("Home", "Bank", "canary-seven");
    desk.sync();
    laptop.sync();
    laptop.add("Home", "Server", "canary-eight");
    laptop.sync();
    desk.sync();
    assert_eq!(
        (laptop.get("Home/Bank/password"), desk.get("Home/Server/password")),
        ("canary-seven".into(), "canary-eight".into())
    );
    let gone = henry.fails(&["sync"], 30);
    assert!(gone.contains("Home"), "{gone}");
    assert_eq!(henry.get("Home/Bank/password"), "canary-three");
    henry.ok(&["vault", "forget", "Home"], "");
    henry.sync();
    assert_eq!(henry.run(&["vault", "list"], "").output, "");

    desk.ok(&["item", "rm", "Home", "canary-router"], "");
    desk.ok(&["item", "restore", "Home", "Bank", "1"], "");
    desk.ok(&["vault", "rename", "Home", "House"], "");
    desk.sync();
    laptop.sync();
    assert_eq!(laptop.get("House/Bank/password"), "canary-one");
    assert!(!laptop.titles("House").contains(&"canary-router".to_owned()));
    let past = laptop.run(&["item", "history", "House", "Bank", "--show", "--json"], "").json();
    assert!(past.len() >= 5 && past[0]["content"]["fields"][0]["value"] == "canary-one", "{past:?}");
}
