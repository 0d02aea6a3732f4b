//! Files, moved by real `coffer` processes between a real disk and a real `cofferd`.

mod breaks;
mod everyday;
mod lies;
mod wire;

use std::{fs, path::Path};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{box_under_test::BoxUnderTest, device::Device};

/// Whoever may store files, at a desk.
fn desk_of(name: &str, the_box: &BoxUnderTest, url: &str) -> Device {
    the_box.account_with_role(name, "writer");
    Device::first_of(name, url)
}

fn url(the_box: &BoxUnderTest) -> String {
    format!("http://{}", the_box.address())
}

/// Bytes of which no page is like another.
fn content(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = Sha256::digest(seed.to_be_bytes());
    while bytes.len() < length {
        bytes.extend_from_slice(&block);
        if bytes.len().is_multiple_of(1 << 12) {
            block = Sha256::digest(block);
        }
    }
    bytes.truncate(length);
    bytes
}

/// Runs what has to work; gives the document that it prints.
#[track_caller]
fn told(device: &Device, arguments: &[&str]) -> Value {
    let mut documents = ended_with(device, arguments, 0);
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents.remove(0)
}

/// Runs what has to end so; gives what it prints.
#[track_caller]
fn ended_with(device: &Device, arguments: &[&str], code: i32) -> Vec<Value> {
    let ended = device.run(&[arguments, &["--json"]].concat(), "");
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
    ended.json()
}

/// The names in a folder, as they are told.
#[track_caller]
fn names(device: &Device, path: &str) -> Vec<String> {
    let entries = told(device, &["ls", path])["entries"].clone();
    entries.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// Writes a file of this machine; gives its path.
fn local(device: &Device, name: &str, bytes: &[u8]) -> String {
    let path = device.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Fetches a file by another way than into a file.
#[track_caller]
fn fetched(device: &Device, path: &str) -> Vec<u8> {
    let output = device.start(&["get", path, "-"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Everything below a directory, by name.
fn below(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            all.push(path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                left.push(path);
            }
        }
    }
    all.sort();
    all
}

/// What outlives a process that dies in a transfer.
fn transfers(device: &Device) -> Vec<Value> {
    let files = fs::read_dir(device.home().join("transfers")).map_or(Vec::new(), Iterator::collect);
    let read = |entry: std::io::Result<fs::DirEntry>| fs::read(entry.unwrap().path()).unwrap();
    files.into_iter().map(|entry| serde_json::from_slice(&read(entry)).unwrap_or(json!(null))).collect()
}
