//! Holds the shape that ARCHITECTURE.md promises: layers, sizes, where things may stand. Reads sources as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file.
const MAX_LINES: usize = 600;

/// Each layer of the daemon with the layers that it may see, besides itself.
const ARROWS: [(&str, &[&str]); 6] = [
    ("http", &["service", "model"]),
    ("addon", &["service", "model"]),
    ("service", &["repo", "storage", "model"]),
    ("repo", &["storage", "model"]),
    ("storage", &[]),
    ("model", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Source files of the workspace below that folder, by their path from the root.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_symlink()
                || ["target", "build", "var", "__pycache__"].contains(&name.as_str())
                || name.starts_with('.')
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.push((path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds sources");
    found
}

/// The program's own code, without its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// Rust sources, less this one, which names everything that it forbids.
fn rust(folder: &str) -> impl Iterator<Item = (String, String)> {
    let is_rust = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "rs");
    sources(folder).into_iter().filter(move |(path, _)| is_rust(path) && !path.ends_with("/tidy.rs"))
}

#[test]
fn the_arrows_between_the_layers_point_down() {
    for (layer, may_see) in ARROWS {
        for (path, text) in rust(&format!("daemon/src/{layer}")) {
            for (number, line) in code(&text).lines().enumerate() {
                for seen in line.split("crate::").skip(1) {
                    let seen: String = seen.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    let known = ARROWS.iter().any(|(other, _)| *other == seen);
                    assert!(known, "{path}:{}: {layer} may not see crate::{seen}", number + 1);
                    assert!(
                        seen == layer || may_see.contains(&seen.as_str()),
                        "{path}:{}: {layer} sees {seen}",
                        number + 1
                    );
                }
            }
        }
    }
}

#[test]
fn each_thing_stands_in_the_layer_that_owns_it() {
    let only_in = |needle: &str, homes: &[&str]| {
        for (path, text) in rust("daemon/src") {
            let home = homes.iter().any(|home| path.starts_with(&format!("daemon/src/{home}")));
            assert!(home || !code(&text).contains(needle), "{path}: {needle:?} belongs to {homes:?}");
        }
    };
    for statement in ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE "] {
        only_in(&format!("\"{statement}"), &["repo/"]);
    }
    only_in("PRAGMA", &["storage/database.rs"]);
    only_in(
        "Command::new(",
        &["storage/gocryptfs.rs", "storage/hooks.rs", "storage/rotation/ssh.rs", "storage/sandbox.rs"],
    );
    only_in("axum", &["http/", "main.rs"]);
    only_in("StatusCode::from_u16", &["http/problem.rs"]);
    only_in("Timestamp::now()", &["model/clock.rs"]);
    only_in("Instant::now()", &["model/clock.rs", "storage/gocryptfs.rs", "storage/sandbox.rs"]);
    only_in("SysRng", &["model/clock.rs"]);
    only_in("mmap(", &[]);
    // A route that is added otherwise is not in the description, and no test walks it.
    only_in(".route(", &["http/docs.rs"]);
    for refusal in ["BAD_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "CONFLICT", "LOCKED", "INTERNAL_SERVER"] {
        only_in(&format!("StatusCode::{refusal}"), &["http/problem.rs"]);
    }
}

#[test]
fn the_add_on_that_the_documents_show_is_the_one_that_is_built() {
    let shown = fs::read_to_string(root().join("docs/addons.md")).unwrap();
    let built = fs::read_to_string(root().join("daemon/src/addon/event_counts.rs")).unwrap();
    assert!(shown.contains(&built), "docs/addons.md shows another event_counts.rs");
}

#[test]
fn the_crates_know_each_other_in_one_direction() {
    let manifest = |name: &str| fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
    for (name, may_know) in [
        ("api", &[][..]),
        ("crypto", &[]),
        ("daemon", &["coffer-api", "coffer-crypto"]),
        ("ble-provisioner", &["coffer-api", "coffer-crypto"]),
        ("client", &["coffer-api", "coffer-crypto"]),
        ("registrar", &["coffer-api"]),
    ] {
        let dependencies = manifest(name).split("[dependencies]").nth(1).unwrap().to_owned();
        let ours = dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        for known in ours.filter(|name| name.starts_with("coffer")) {
            assert!(may_know.contains(&known), "{name} depends on {known}");
        }
    }
}

#[test]
fn files_stay_readable() {
    let prose = [".md", ".lock", ".json", ".keys"];
    for folder in ["api", "crypto", "daemon", "ble-provisioner", "registrar", "tests", "scripts", "systemd", "overlay"]
    {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= MAX_LINES || prose.iter().any(|end| path.ends_with(end)), "{path} has {lines} lines");
        }
        for (path, text) in rust(folder) {
            assert!(!text.contains("#[allow("), "{path}: use #[expect] with a reason");
        }
    }
}

#[test]
fn a_file_opens_with_its_job() {
    for folder in ["api/src", "crypto/src", "daemon/src", "ble-provisioner/src", "registrar/src"] {
        for (path, text) in rust(folder).filter(|(path, _)| !path.ends_with("_tests.rs")) {
            assert!(text.starts_with("//! "), "{path} does not say what it owns");
        }
    }
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let named: BTreeSet<&str> =
        architecture.split("`test: ").skip(1).map(|rest| rest.split('`').next().unwrap()).collect();
    assert!(named.len() >= 10, "{named:?}");
    let all: Vec<String> = ["daemon", "crypto", "ble-provisioner", "registrar", "tests"]
        .iter()
        .flat_map(|f| sources(f))
        .map(|(_, text)| text)
        .collect();
    for test in named {
        let (function, python) = (format!("fn {test}("), format!("def {test}("));
        assert!(all.iter().any(|text| text.contains(&function) || text.contains(&python)), "no test is called {test}");
    }
}
