//! Sharing with everybody who is in a group, and sharing one item alone.

use super::{box_under_test::BoxUnderTest, device::Device};

#[test]
fn everybody_in_a_group_is_let_in_once_and_nobody_is_let_in_by_the_box() {
    let the_box = BoxUnderTest::new();
    let [grace, henry, iris, kim] = ["grace", "henry", "iris", "kim_"].map(|name| the_box.account(name));
    the_box.group("The Family", &[&grace, &henry, &kim]);
    let url = format!("http://{}", the_box.address());
    let [desk, of_henry, of_iris] = ["grace", "henry", "iris"].map(|name| Device::first_of(name, &url));
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "canary");
    desk.sync();
    desk.fails(&["share", "Home", "@Nobody", "viewer"], 9);
    of_iris.ok(&["vault", "create", "Home"], "");
    of_iris.fails(&["share", "Home", "@The Family", "viewer"], 9);

    let shared = desk.run(&["share", "Home", "@the family", "viewer", "--json"], "");
    assert_eq!((shared.code, shared.json().len()), (Some(0), 1), "{shared:?}");
    assert_eq!(shared.json()[0]["account"], henry.as_str());
    assert!(shared.errors.contains("kim_"), "{shared:?}");
    of_henry.sync();
    assert_eq!(of_henry.get("Home/Bank/password"), "canary");

    // Somebody comes into the group: a person lets them in, and who is in keeps their role.
    desk.ok(&["share", "Home", "henry", "editor"], "");
    the_box.group("Friends", &[&grace, &henry, &iris]);
    assert_eq!(desk.run(&["share", "Home", "@Friends", "viewer", "--json"], "").json().len(), 1);
    of_iris.sync();
    let roles = desk.run(&["members", "Home", "--json"], "").json();
    let role = |name: &str| roles.iter().find(|member| member["name"] == name).unwrap()["role"].clone();
    assert_eq!((role("henry"), role("iris")), ("editor".into(), "viewer".into()));
    assert!(desk.run(&["share", "Home", "@Friends", "viewer", "--json"], "").json().is_empty(), "twice");
}

#[test]
fn one_item_is_shared_alone_and_stays_one() {
    let the_box = BoxUnderTest::new();
    for name in ["grace", "henry"] {
        the_box.account(name);
    }
    let url = format!("http://{}", the_box.address());
    let [desk, of_henry] = ["grace", "henry"].map(|name| Device::first_of(name, &url));
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "canary-one");
    desk.add("Home", "Router", "canary-two");
    desk.sync();
    desk.fails(&["item", "share", "Home", "Bank", "nobody", "editor"], 9);
    assert_eq!(desk.run(&["vault", "list"], "").output.lines().count(), 1, "nothing is made for nobody");
    desk.ok(&["item", "share", "Home", "Bank", "henry", "editor"], "");
    assert_eq!(desk.titles("Home"), ["Router"]);
    of_henry.sync();
    assert_eq!(of_henry.run(&["vault", "list"], "").output.lines().count(), 1, "the rest is not shared");
    of_henry.change("Bank", "Bank", "canary-three");
    of_henry.sync();
    desk.sync();
    assert_eq!(desk.get("Bank/Bank/password"), "canary-three");
}
