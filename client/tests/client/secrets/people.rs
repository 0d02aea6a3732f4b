//! Comparing keys by a picture of somebody's code.

use super::{box_under_test::BoxUnderTest, device::Device};
use crate::labels::qr;

/// A photo of what a device shows of its own keys.
fn photo(device: &Device, of: &Device, name: &str) -> String {
    let told = of.run(&["verify", "--json"], "").json().remove(0);
    let path = device.path(name);
    qr(told["qr"].as_str().unwrap(), 5).save(&path).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_picture_of_the_right_code_verifies_and_one_of_another_does_not() {
    let the_box = BoxUnderTest::new();
    for name in ["grace", "henry", "iris"] {
        the_box.account(name);
    }
    let url = format!("http://{}", the_box.address());
    let [desk, henry, iris] = ["grace", "henry", "iris"].map(|name| Device::first_of(name, &url));
    let [his, hers] = [photo(&desk, &henry, "his.png"), photo(&desk, &iris, "hers.png")];

    let said = desk.fails(&["verify", "henry", "--photo", &hers], 28);
    assert!(said.contains("not what the box names") && said.contains("henry"), "{said}");
    let trust = |arguments: &[&str]| desk.run(&[arguments, &["--json"]].concat(), "").json()[0]["trust"].clone();
    assert_eq!(trust(&["verify", "henry"]), "unverified", "nothing was believed");
    for _ in 0..2 {
        assert_eq!(trust(&["verify", "henry", "--photo", &his]), "verified");
    }
    assert_eq!(trust(&["verify", "henry"]), "verified");
    assert_eq!(trust(&["verify", "iris"]), "unverified");

    let other = desk.path("other.png");
    qr("coffer:1?c=0000-0000-0000", 5).save(&other).unwrap();
    desk.fails(&["verify", "iris", "--photo", other.to_str().unwrap()], 2);
    desk.fails(&["verify", "iris", "--photo", "/dev/null"], 2);
    desk.fails(&["verify", "--photo", &his], 2);
    desk.fails(&["verify", "nobody", "--photo", &his], 9);
    assert!(!desk.ok(&["verify"], "").contains('\u{2588}'), "no pictures for programs");
}
