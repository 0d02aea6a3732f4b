//! Transfers that are killed, that break, and what changes before they are gone on with.

use std::{fs, os::unix::fs::PermissionsExt, process::Child};

use serde_json::json;

use super::{
    super::{box_under_test::BoxUnderTest, device::Device},
    content, desk_of, fetched, local, names, told, transfers,
    wire::{Fault, Way, Wire},
};

const MEBIBYTE: usize = 1 << 20;
/// Two chunks and a half, as they are sent.
const LENGTH: usize = 40 * MEBIBYTE;
const CHUNK: usize = 16 * MEBIBYTE;

/// Starts something, and kills it when so many bytes have gone.
fn killed(wire: &Wire, device: &Device, arguments: &[&str], way: Way, bytes: usize, ready: impl Fn() -> bool) {
    wire.after(way, bytes, Fault::Stop);
    let mut child: Child = device.start(arguments);
    wire.wait_until_stopped();
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    wire.mend();
}

#[test]
fn sending_goes_on_where_a_killed_process_has_got_to() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let bytes = content(LENGTH, 1);
    let big = local(&desk, "big", &bytes);
    let put = ["put", &big, "/big"];
    killed(&wire, &desk, &put, Way::ToTheBox, CHUNK + 4 * MEBIBYTE, || true);
    assert_eq!(names(&desk, "/"), [""; 0]);
    let kept = transfers(&desk);
    let keys: Vec<&str> = kept[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!((kept.len(), keys), (1, vec!["source", "upload"]), "nothing that opens anything");
    let directory = fs::read_dir(desk.home().join("transfers")).unwrap();
    for entry in directory {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // It may die more than once.
    killed(&wire, &desk, &put, Way::ToTheBox, CHUNK + MEBIBYTE, || true);
    let sent = told(&desk, &put);
    assert_eq!(sent["files"][0]["moved_bytes"], json!(LENGTH - 2 * CHUNK));
    assert!(fetched(&desk, "/big") == bytes);
    assert_eq!(transfers(&desk).len(), 0);
}

#[test]
fn another_local_file_is_sent_from_its_beginning() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let big = local(&desk, "big", &content(LENGTH, 1));
    let put = ["put", &big, "/big"];
    killed(&wire, &desk, &put, Way::ToTheBox, CHUNK + 4 * MEBIBYTE, || true);
    let upload = format!("/uploads/{}", transfers(&desk)[0]["upload"].as_str().unwrap());
    assert_eq!(the_box.send_as("grace", "GET", &upload, &json!({}))["offset_bytes"], json!(CHUNK));
    let other = content(LENGTH, 2);
    fs::write(&big, &other).unwrap();
    assert_eq!(told(&desk, &put)["files"][0]["moved_bytes"], json!(LENGTH));
    assert!(fetched(&desk, "/big") == other);

    // Somebody was faster: what was begun for a new file replaces none.
    let big = local(&desk, "big", &content(LENGTH, 3));
    let put = ["put", &big, "/new"];
    killed(&wire, &desk, &put, Way::ToTheBox, CHUNK + 4 * MEBIBYTE, || true);
    the_box.post_as("grace", "/texts", &json!({ "name": "new", "text": "faster" }));
    assert!(desk.fails(&put, 7).contains("--force"));
    assert_eq!(fetched(&desk, "/new"), b"faster");
    let sent = told(&desk, &[&put[..], &["--force"]].concat());
    assert_eq!((&sent["files"][0]["revision"], &sent["files"][0]["moved_bytes"]), (&json!(2), &json!(LENGTH - CHUNK)));
}

#[test]
fn what_changes_at_the_box_in_the_middle_is_not_replaced() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let big = local(&desk, "big", &content(LENGTH, 1));
    wire.after(Way::ToTheBox, CHUNK + 4 * MEBIBYTE, Fault::Stop);
    let child = desk.start(&["put", &big, "/big"]);
    wire.wait_until_stopped();
    the_box.post_as("grace", "/texts", &json!({ "name": "big", "text": "faster" }));
    wire.mend();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(7) && said.contains("changed at the box meanwhile"), "{said}");
    assert_eq!(fetched(&desk, "/big"), b"faster");
}

#[test]
fn fetching_goes_on_where_a_killed_process_has_got_to() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let [bytes, other] = [1, 2].map(|seed| content(LENGTH, seed));
    told(&desk, &["put", &local(&desk, "big", &bytes), "/big"]);
    let (target, part) = (desk.path("copy"), desk.path(".copy.coffer-part"));
    let get = ["get", "/big", target.to_str().unwrap()];
    let is_half = || fs::metadata(&part).is_ok_and(|part| part.len() > CHUNK as u64);
    killed(&wire, &desk, &get, Way::FromTheBox, 20 * MEBIBYTE, is_half);
    assert!(!target.exists());
    let moved = told(&desk, &get)["files"][0]["moved_bytes"].as_u64().unwrap();
    assert!((1..=(LENGTH - CHUNK) as u64).contains(&moved), "{moved}");
    assert!(fs::read(&target).unwrap() == bytes && !part.exists());

    // A part that somebody has put there, or written to, is nobody's word.
    fs::remove_file(&target).unwrap();
    fs::write(&part, &other[..CHUNK]).unwrap();
    assert_eq!(told(&desk, &get)["files"][0]["moved_bytes"], json!(LENGTH));
    fs::remove_file(&target).unwrap();
    killed(&wire, &desk, &get, Way::FromTheBox, 20 * MEBIBYTE, is_half);
    fs::write(&part, &other[..CHUNK]).unwrap();
    assert_eq!(told(&desk, &get)["files"][0]["moved_bytes"], json!(LENGTH));
    assert!(fs::read(&target).unwrap() == bytes && !part.exists());

    // The box has another content meanwhile.
    fs::remove_file(&target).unwrap();
    killed(&wire, &desk, &get, Way::FromTheBox, 20 * MEBIBYTE, is_half);
    told(&desk, &["put", "--force", &local(&desk, "big", &other), "/big"]);
    assert_eq!(told(&desk, &get)["files"][0]["moved_bytes"], json!(LENGTH));
    assert!(fs::read(&target).unwrap() == other && !part.exists());
    assert_eq!(transfers(&desk).len(), 0);
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let bytes = content(LENGTH, 1);
    wire.after(Way::ToTheBox, 20 * MEBIBYTE, Fault::Break);
    told(&desk, &["put", &local(&desk, "big", &bytes), "/big"]);
    assert!(wire.has_happened());
    wire.after(Way::FromTheBox, 20 * MEBIBYTE, Fault::Break);
    told(&desk, &["get", "/big", desk.path("copy").to_str().unwrap()]);
    assert!(wire.has_happened());
    assert!(fs::read(desk.path("copy")).unwrap() == bytes);
}

#[test]
fn a_content_that_was_garbled_on_the_way_is_not_taken() {
    let the_box = BoxUnderTest::new();
    let wire = Wire::before(&the_box);
    let desk = desk_of("grace", &the_box, &wire.url());
    let bytes = content(4 * MEBIBYTE, 1);
    let big = local(&desk, "big", &bytes);
    wire.after(Way::ToTheBox, 2 * MEBIBYTE, Fault::Garble);
    desk.fails(&["put", &big, "/big"], 7);
    assert_eq!(names(&desk, "/"), [""; 0]);
    told(&desk, &["put", &big, "/big"]);

    let (target, part) = (desk.path("copy"), desk.path(".copy.coffer-part"));
    let get = ["get", "/big", target.to_str().unwrap()];
    wire.after(Way::FromTheBox, 2 * MEBIBYTE, Fault::Garble);
    let said = desk.fails(&get, 25);
    assert!(said.contains("not what the box says") && !target.exists() && !part.exists(), "{said}");
    wire.after(Way::FromTheBox, 2 * MEBIBYTE, Fault::Garble);
    let streamed = desk.start(&["get", "/big", "-"]).wait_with_output().unwrap();
    assert_eq!(streamed.status.code(), Some(25));
    told(&desk, &get);
    assert!(fs::read(&target).unwrap() == bytes);
}
