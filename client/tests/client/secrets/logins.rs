//! Logging in and out, opening and closing, the password, and what is nowhere to be seen.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use super::{
    box_under_test::{ACCOUNT_PASSWORD, BoxUnderTest},
    device::{Device, PASSWORD},
};

const OTHER: &str = "another lantern, another sea";

#[test]
fn who_has_lost_the_password_or_the_secret_key_gets_in_by_the_recovery_key() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let url = format!("http://{}", the_box.address());
    let desk = Device::first_of("grace", &url);
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "hunter2");
    desk.sync();
    let account = desk.file("account", ACCOUNT_PASSWORD);
    let again = desk.path("codes-again");
    let lost = Device::new();
    let codes = lost.path("codes");
    let first_time = ["--first-time", "--account-password-file", &account, "--codes-file", again.to_str().unwrap()];
    let ended = lost.run(&Device::login("grace", &url, &first_time), PASSWORD);
    assert_eq!(ended.code, Some(7), "{ended:?}");
    let recovery = lost.file("recovery", &desk.code("Recovery key"));
    let wrong = lost.file("wrong", "R1-0000-0000-0000-0000-0000-0000-0000");
    let recover = |key: &str, password: &str| {
        let more = ["--recover", "--memory", "64", "--account-password-file", &account, "--recovery-key-file", key];
        let codes = ["--codes-file", codes.to_str().unwrap()];
        lost.run(&Device::login("grace", &url, &[&more[..], &codes].concat()), password)
    };
    assert_eq!(recover(&wrong, OTHER).code, Some(2));
    assert_eq!(recover(&recovery, ACCOUNT_PASSWORD).code, Some(2), "the box knows that one");
    assert_eq!(recover(&recovery, "short").code, Some(2));
    assert!(!codes.exists());
    let ended = recover(&recovery, OTHER);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    lost.sync();
    assert_eq!(lost.get("Home/Bank/password"), "hunter2");
    // The other device is out until somebody says that this was no lie.
    desk.fails(&["sync"], 4);
    let secret_key = desk.file("new-key", &lost.code("Secret Key"));
    let back = ["login", "--password-file", "-", "--secret-key-file", &secret_key];
    assert_eq!(desk.run(&back, OTHER).code, Some(29));
    desk.ok(&[&back[..], &["--password-changed"]].concat(), OTHER);
    desk.sync();
}

#[test]
fn a_password_is_changed_and_the_second_factor_is_asked_for() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let url = format!("http://{}", the_box.address());
    let desk = Device::first_of("grace", &url);
    let [old, new, account] =
        [("old", PASSWORD), ("new", OTHER), ("account", ACCOUNT_PASSWORD)].map(|(name, text)| desk.file(name, text));
    let change = |old: &str, new: &str| {
        let files = ["--password-file", old, "--new-password-file", new, "--account-password-file", &account];
        desk.run(&[&["password", "--memory", "64"][..], &files].concat(), "").code
    };
    assert_eq!(change(&new, &old), Some(4));
    assert_eq!(change(&old, &account), Some(2));
    assert_eq!(change(&old, &new), Some(0));
    desk.sync();
    desk.ok(&["lock"], "");
    assert_eq!(desk.run(&["unlock", "--password-file", "-"], PASSWORD).code, Some(4));
    desk.ok(&["unlock", "--password-file", "-"], OTHER);

    let secret = the_box.post_as("grace", "/users/me/second-factors/totp", &json!({ "password": ACCOUNT_PASSWORD }));
    let secret = BASE32_NOPAD.decode(secret["secret"].as_str().unwrap().as_bytes()).unwrap();
    let code = json!({ "code": totp(&secret) });
    let confirmed = the_box.post_as("grace", "/users/me/second-factors/totp/confirm", &code);
    let recovery_code = desk.file("second", confirmed["recovery_codes"][0].as_str().unwrap());
    let login = ["login", "--password-file", "-"];
    assert_eq!(desk.run(&login, OTHER).code, Some(2), "nobody is here to be asked");
    desk.ok(&[&login[..], &["--second-factor-file", &recovery_code]].concat(), OTHER);
    assert_eq!(desk.run(&[&login[..], &["--second-factor-file", &recovery_code]].concat(), OTHER).code, Some(4));
    desk.sync();
}

#[test]
fn what_is_left_open_is_closed_and_what_is_left_behind_is_nothing() {
    let the_box = BoxUnderTest::new();
    the_box.account("grace");
    let url = format!("http://{}", the_box.address());
    let desk = Device::first_of("grace", &url);
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    let (files, sockets) = (["profile.json", "secret-key", "replica.db"], desk.path("run/coffer"));
    assert!(files.iter().all(|name| mode(&format!("home/{name}")) == 0o600) && mode("home") == 0o700);
    let socket = fs::read_dir(&sockets).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    nothing_is_to_be_seen(&desk);

    // Somebody else's directory is no place for a socket.
    fs::set_permissions(&sockets, fs::Permissions::from_mode(0o755)).unwrap();
    let said = desk.fails(&["status"], 1);
    assert!(said.contains("not a directory of yours alone"), "{said}");
    fs::set_permissions(&sockets, fs::Permissions::from_mode(0o700)).unwrap();

    desk.fails(&["login", "https://other.example"], 2);
    desk.ok(&["vault", "create", "Home"], "");
    desk.add("Home", "Bank", "hunter2");
    desk.fails(&["logout"], 2);
    desk.ok(&["lock"], "");
    assert!(!socket.exists());
    desk.ok(&["lock"], "");
    desk.fails(&["logout"], 2);
    desk.fails(&["get", "Home/Bank/password"], 8);
    desk.ok(&["unlock", "--password-file", "-"], PASSWORD);
    desk.sync();
    desk.ok(&["logout"], "");
    assert_eq!(fs::read_dir(desk.home()).unwrap().count(), 0);
    for arguments in [&["logout"][..], &["sync"], &["unlock", "--password-file", "-"]] {
        desk.fails(arguments, 8);
    }
    let status = desk.run(&["status", "--json"], "").json();
    assert_eq!(status[0], json!({ "logged_in": false, "unlocked": false }));
}

/// Neither what was typed nor a key stands where others could read it, and no core would hold it.
fn nothing_is_to_be_seen(desk: &Device) {
    desk.ok(&["vault", "create", "Seen"], "");
    let mut waiting = desk.start(&["item", "create", "Seen", "--title", "Bank", "--secret", "password"]);
    let agents = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let line = fs::read(path.join("cmdline")).ok()?;
        let home = desk.path("run");
        line.windows(home.as_os_str().len()).any(|part| part == home.as_os_str().as_encoded_bytes()).then_some(path)
    });
    let agents: Vec<_> = agents.collect();
    assert_eq!(agents.len(), 1, "one agent");
    let limits = fs::read_to_string(agents[0].join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    let status = fs::read_to_string(agents[0].join("status")).unwrap();
    let locked = status.lines().find(|line| line.starts_with("VmLck:")).unwrap();
    assert_ne!(locked.split_whitespace().nth(1), Some("0"), "the key may be swapped out: {locked}");
    for process in [agents[0].clone(), format!("/proc/{}", waiting.id()).into()] {
        for file in ["cmdline", "environ"] {
            let text = fs::read(process.join(file)).unwrap();
            let text = String::from_utf8_lossy(&text);
            for secret in [PASSWORD, ACCOUNT_PASSWORD, &desk.code("Secret Key"), "hunter2"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }
    writeln!(waiting.stdin.take().unwrap(), "hunter2").unwrap();
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    assert_eq!(desk.get("Seen/Bank/password"), "hunter2");
    let shown = desk.ok(&["item", "get", "Seen", "Bank"], "");
    assert!(!shown.contains("hunter2"), "{shown}");
    desk.ok(&["item", "rm", "Seen", "Bank"], "");
}

/// RFC 6238, as an authenticator app does it.
fn totp(secret: &[u8]) -> String {
    let step = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() / 30;
    let mac = Hmac::<Sha1>::new_from_slice(secret).unwrap().chain_update(step.to_be_bytes()).finalize().into_bytes();
    let offset = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}
