//! How the box is doing, and who may know.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Reply, exchange, tcp};
use crate::harness::Daemon;
use crate::webhooks::wait_until;

/// The text for Prometheus.
fn text(daemon: &Daemon, headers: &[(&str, &str)]) -> Reply {
    exchange(&mut tcp(daemon.address), "GET", "/metrics", headers, b"")
}

/// The value of a line.
fn value(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

fn page(daemon: &Daemon) -> String {
    let reply = text(daemon, &[]);
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").starts_with("text/plain; version=0.0.4"));
    String::from_utf8(reply.body).unwrap()
}

#[test]
fn the_open_box_shows_all_its_figures() {
    let daemon = Daemon::unlocked();
    daemon.upload("a", b"content").expect(201);
    daemon.get("/nothing/of/this/name");
    let metrics = daemon.get("/metrics").expect(200);
    assert_eq!((&metrics["version"], &metrics["vault"]), (&json!(env!("CARGO_PKG_VERSION")), &json!("unlocked")));
    let positive = [
        "/system/uptime_s",
        "/system/cpus",
        "/system/memory_total_bytes",
        "/system/memory_available_bytes",
        "/process/resident_bytes",
        "/process/cpu_s",
        "/process/threads",
        "/process/open_descriptors",
        "/gocryptfs/resident_bytes",
        "/disk/total_bytes",
        "/disk/available_bytes",
        "/database/size_bytes",
        "/events/file.stored",
    ];
    for pointer in positive {
        assert!(metrics.pointer(pointer).and_then(Value::as_f64).is_some_and(|n| n > 0.0), "{pointer}: {metrics}");
    }
    let names = |list: &str| -> Vec<String> {
        metrics[list].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("caches"), ["files", "sessions"]);
    assert!(names("queues").starts_with(&["database", "webhooks", "hook_programs"].map(str::to_owned)));
    assert_eq!(metrics["caches"][1]["entries"], 1, "one session");
    let upload = |route: &Value| route["route"] == "/api/v1/files" && route["method"] == "POST";
    let uploads: Vec<&Value> = metrics["requests"].as_array().unwrap().iter().filter(|route| upload(route)).collect();
    assert_eq!((&uploads[0]["count"], &uploads[0]["status_class"], uploads.len()), (&json!(1), &json!(2), 1));
    let before = metrics["uptime_s"].as_u64().unwrap();
    daemon.advance(Duration::from_mins(10));
    assert!(daemon.get("/metrics").expect(200)["uptime_s"].as_u64().unwrap() >= before + 600);
}

#[test]
fn the_text_says_the_same_and_names_nobody() {
    let daemon = Daemon::unlocked();
    daemon.user("grace", "reader");
    daemon.upload("tax-return", b"content").expect(201);
    daemon.get("/files/tax-return");
    daemon.request("BREW", "/files/secret-path", &[], b"");
    wait_until("the event is counted", || {
        value(&page(&daemon), "coffer_events_total{event=\"file.stored\"}") == Some(1.0)
    });
    let page = page(&daemon);
    assert_eq!(value(&page, "coffer_vault_unlocked"), Some(1.0));
    assert_eq!(value(&page, "coffer_queue_waiting{queue=\"webhooks\"}"), Some(0.0));
    let uploads = "coffer_http_request_duration_seconds_count{method=\"POST\",route=\"/api/v1/files\",status=\"2xx\"}";
    assert_eq!(value(&page, uploads), Some(1.0), "{page}");
    assert_eq!(value(&page, &uploads.replace("_count{", "_bucket{").replace("\"}", "\",le=\"+Inf\"}")), Some(1.0));
    assert!(page.contains("method=\"OTHER\""), "an invented method is no label: {page}");
    for name in ["tax-return", "secret-path", "BREW", "grace", "ada_"] {
        assert!(!page.contains(name), "{name}: {page}");
    }
    // What is no comment is a name, labels and a number.
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<f64>().is_ok() && name.starts_with(|c: char| c.is_ascii_lowercase()), "{line}");
    }
}

#[test]
fn the_locked_box_shows_what_it_knows() {
    let daemon = Daemon::locked();
    let page = page(&daemon);
    assert_eq!(value(&page, "coffer_vault_unlocked"), Some(0.0));
    assert!(value(&page, "process_resident_memory_bytes").is_some());
    assert!(value(&page, "coffer_disk_total_bytes").is_some());
    assert!(!page.contains("coffer_gocryptfs") && !page.contains("coffer_database"), "{page}");
    let metrics = daemon.send_locally("GET", "/metrics", &json!({})).expect(200);
    assert_eq!(
        (&metrics["vault"], &metrics["database"], &metrics["gocryptfs"]),
        (&json!("locked"), &Value::Null, &Value::Null)
    );
    daemon.get("/metrics").expect_problem(423, "vault_locked");
    let unclaimed = Daemon::unclaimed();
    assert_eq!(value(&self::page(&unclaimed), "coffer_vault_unlocked"), Some(0.0));
}

#[test]
fn through_a_proxy_it_takes_the_token_of_an_administrator() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "editor");
    let key = |role: &str| {
        let key = daemon.post("/api-keys", &json!({ "name": role, "role": role })).expect(201);
        format!("Bearer {}", key["key"].as_str().unwrap())
    };
    let (admin, reader) = (key("admin"), key("reader"));
    let forwarded = [
        ("cf-connecting-ip", "203.0.113.7"),
        ("cf-connecting-ip", "127.0.0.1"),
        ("cf-connecting-ip", "nonsense"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "::1"),
        ("via", "1.1 proxy"),
    ];
    for header in forwarded {
        text(&daemon, &[header]).expect_problem(401, "unauthenticated");
        assert_eq!(text(&daemon, &[header, ("authorization", &admin)]).status, 200, "{header:?}");
        text(&daemon, &[header, ("authorization", &reader)]).expect_problem(403, "forbidden");
    }
    // A token that is sent counts, wherever it comes from.
    text(&daemon, &[("authorization", "Bearer nonsense")]).expect_problem(401, "unauthenticated");
    daemon.get_as(&grace.token, "/metrics").expect_problem(403, "forbidden");
    daemon.get_as("", "/metrics").expect_problem(401, "unauthenticated");
}
