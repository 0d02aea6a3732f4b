//! One-time links: made by somebody with an account, opened by somebody without one.

use coffer_client::secrets::content::Content;
use serde_json::{Value, json};

use super::{box_under_test::BoxUnderTest, device::Device, hunt::Hunt, proxy::Proxy};

fn create(device: &Device, arguments: &[&str]) -> Value {
    let all = [&["link", "create", "Home", "Bank", "--json"][..], arguments].concat();
    device.run(&all, "").json().remove(0)
}

fn open(device: &Device, link: &Value) -> Value {
    serde_json::from_str(&device.ok(&["link", "open", "--link-file", "-", "--json"], link.as_str().unwrap())).unwrap()
}

#[test]
fn a_link_opens_once_for_somebody_without_an_account_and_the_box_learns_nothing() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let proxy = Proxy::before(&the_box);
    let desk = Device::first_of("grace", &proxy.url());
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "canary-one");
    desk.ok(&["item", "edit", "Home", "Bank", "--field", "user=canary-two", "--tag", "canary-three"], "");

    let stranger = Device::new();
    let made = create(&desk, &[]);
    let whole = open(&stranger, &made["link"]);
    let content: Content = serde_json::from_value(whole.clone()).unwrap();
    assert_eq!(content.field("password").unwrap().value.as_str(), "canary-one");
    assert_eq!(content.field("user").unwrap().value.as_str(), "canary-two");
    assert!(content.tags.is_empty(), "tags are one's own");
    assert_eq!(whole["views_left"], 0);
    let used_up = stranger.run(&["link", "open", "--link-file", "-"], made["link"].as_str().unwrap());
    assert_eq!((used_up.code, used_up.output.as_str()), (Some(7), ""), "{used_up:?}");

    let part = create(&desk, &["--field", "user", "--views", "2", "--hours", "1"]);
    let shown = open(&stranger, &part["link"]);
    assert_eq!((shown["fields"].as_array().unwrap().len(), &shown["fields"][0]["name"]), (1, &json!("user")));
    let listed = desk.run(&["link", "list", "--json"], "").json();
    assert_eq!(listed.iter().map(|link| link["views_left"].as_u64().unwrap()).sum::<u64>(), 1, "{listed:?}");
    desk.ok(&["link", "rm", part["id"].as_str().unwrap()], "");
    desk.fails(&["link", "rm", part["id"].as_str().unwrap()], 7);
    assert_eq!(stranger.run(&["link", "open", "--link-file", "-"], part["link"].as_str().unwrap()).code, Some(7));

    desk.fails(&["link", "create", "Home", "Bank", "--field", "pin"], 9);
    desk.fails(&["link", "create", "Home", "Bank", "--views", "0"], 2);
    for broken in ["", "nonsense", "http://127.0.0.1/secret/", made["link"].as_str().unwrap().split_at(80).0] {
        assert_eq!(stranger.run(&["link", "open", "--link-file", "-"], broken).code, Some(2), "{broken:?}");
    }

    let secrets = [&made, &part].map(|link| link["link"].as_str().unwrap().rsplit_once('#').unwrap().1.to_owned());
    let hunt = Hunt::of(["canary-one", "canary-two"].map(str::to_owned).into_iter().chain(secrets));
    hunt.expect_none("traffic", &proxy.traffic());
    hunt.expect_none("box", &the_box.everything());
}
