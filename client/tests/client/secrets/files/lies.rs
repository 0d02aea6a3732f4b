//! A box that lies about names: nothing is written outside of the directory that was named, and no terminal obeys it.

use std::{fs, os::unix::fs::symlink};

use serde_json::json;

use super::{
    super::{box_under_test::BoxUnderTest, device::Device, proxy::Proxy},
    below, desk_of, ended_with, local, told, url,
};

#[test]
fn no_name_of_a_box_leads_out_of_the_directory() {
    let the_box = BoxUnderTest::new();
    let proxy = Proxy::before(&the_box);
    let honest = desk_of("grace", &the_box, &url(&the_box));
    let desk = Device::another_of("grace", &proxy.url(), "laptop", &honest);
    local(&desk, "tree/file", b"content");
    local(&desk, "tree/folder/inner", b"inner");
    told(&honest, &["put", "-r", desk.path("tree").to_str().unwrap(), "/"]);
    told(&desk, &["get", "/tree/file", desk.path("honest").to_str().unwrap()]);
    let out = desk.path("out/in");
    let before = below(&desk.path("."));
    for name in ["../evil", "..", ".", "", "/tmp/coffer-evil", "a/b", "a\\b", "a\0b", "\x1b[2J", ".file.coffer-part"] {
        fs::create_dir_all(&out).unwrap();
        for list in ["GET /files?", "GET /folders?"] {
            proxy.lie(move |label, told| {
                if label.starts_with(list) && label.contains("_id=") {
                    for item in told["items"].as_array_mut().unwrap() {
                        item["name"] = json!(name);
                    }
                }
            });
            let told = ended_with(&desk, &["get", "/tree", out.to_str().unwrap(), "-r"], 25).remove(0);
            assert_eq!(
                told["failures"].as_array().unwrap().len(),
                if list.contains("files") { 2 } else { 1 },
                "{name:?}: {told}"
            );
            let said = desk.fails(&["get", "/tree", out.to_str().unwrap(), "-r"], 25);
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
        }
        fs::remove_dir_all(desk.path("out")).unwrap();
        assert_eq!(below(&desk.path(".")), before, "{name:?}");
    }
    proxy.lie(|label, told| {
        if label.starts_with("GET /files?") {
            told["items"] = json!([told["items"][0]]);
            told["items"][0]["name"] = json!("one\nforged\x1b[2J\u{202e}");
        }
    });
    let listed = desk.ok(&["ls", "/tree"], "");
    assert_eq!(listed, "folder/\none\\u{a}forged\\u{1b}[2J\\u{202e}\n");
}

#[test]
fn nothing_is_written_through_a_link_in_the_directory() {
    let the_box = BoxUnderTest::new();
    let desk = desk_of("grace", &the_box, &url(&the_box));
    local(&desk, "tree/folder/inner", b"inner");
    local(&desk, "tree/file", b"content");
    told(&desk, &["put", "-r", desk.path("tree").to_str().unwrap(), "/"]);
    let (out, elsewhere) = (desk.path("out"), desk.path("elsewhere"));
    fs::create_dir_all(out.join("tree")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("victim"), "mine").unwrap();
    symlink(&elsewhere, out.join("tree/folder")).unwrap();
    symlink(elsewhere.join("victim"), out.join("tree/file")).unwrap();
    symlink(elsewhere.join("victim"), out.join("tree/.file.coffer-part")).unwrap();
    let get = ["get", "/tree", out.to_str().unwrap(), "-r"];
    let told = ended_with(&desk, &get, 2).remove(0);
    assert_eq!(told["failures"].as_array().unwrap().len(), 2, "{told}");
    ended_with(&desk, &[&get[..], &["--force"]].concat(), 1);
    assert_eq!(fs::read(out.join("tree/file")).unwrap(), b"content");
    assert!(fs::symlink_metadata(out.join("tree/file")).unwrap().is_file(), "the link gave way, not what it leads to");
    assert_eq!(fs::read(elsewhere.join("victim")).unwrap(), b"mine");
    assert_eq!(below(&elsewhere), ["victim"]);
}
