//! Changing the network from afar: orders, and the set-up service that carries them out, which is a stand-in here.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{Reply, exchange, read_reply, send_head, unix};
use crate::harness::Daemon;

const NEXT: &str = "/api/v1/device/network/orders/next";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
/// The name of a network that nobody has: whoever forgets it wants the set-up service to end.
const LAST: &str = "TEFTVA";

/// Fetches orders on the control socket, as the set-up service does.
pub(crate) struct SetupService {
    socket: PathBuf,
    thread: JoinHandle<Vec<Value>>,
}

impl SetupService {
    /// Answers every order with that outcome.
    pub(crate) fn start(daemon: &Daemon, outcome: Value) -> Self {
        let socket = daemon.path("run/control.sock");
        let thread = std::thread::spawn({
            let socket = socket.clone();
            move || serve(&socket, &outcome)
        });
        Self { socket, thread }
    }

    /// The changes that it was told to make.
    pub(crate) fn end(self) -> Vec<Value> {
        let path = format!("/api/v1/device/networks/{LAST}");
        exchange(&mut unix(&self.socket), "DELETE", &path, &[], b"").expect(202);
        self.thread.join().unwrap()
    }
}

fn serve(socket: &Path, outcome: &Value) -> Vec<Value> {
    let mut changes = Vec::new();
    loop {
        // The daemon may be killed at the end of a test.
        let Ok(mut stream) = UnixStream::connect(socket) else { return changes };
        send_head(&mut stream, "POST", NEXT, &[]);
        let Some(reply) = read_reply(&mut stream) else { return changes };
        if reply.status == 204 {
            continue;
        }
        let order = reply.expect(200);
        answer(socket, &order, outcome).expect(204);
        if order["change"] == json!({ "forget": LAST }) {
            return changes;
        }
        changes.push(order["change"].clone());
    }
}

fn answer(socket: &Path, order: &Value, outcome: &Value) -> Reply {
    let path = format!("/api/v1/device/network/orders/{}", order["id"].as_str().unwrap());
    exchange(&mut unix(socket), "PUT", &path, &JSON, outcome.to_string().as_bytes())
}

/// Fetches the next order by hand.
fn fetch(daemon: &Daemon) -> Value {
    exchange(&mut unix(&daemon.path("run/control.sock")), "POST", NEXT, &[], b"").expect(200)
}

fn end(daemon: &Daemon, order: &Value, outcome: &Value) -> Reply {
    answer(&daemon.path("run/control.sock"), order, outcome)
}

fn fixed() -> Value {
    json!({ "method": "static", "address": "192.168.1.50", "prefix": 24, "gateway": "192.168.1.1", "dns": ["9.9.9.9"] })
}

fn home() -> Value {
    let credentials = json!({ "kind": "password", "password": "hunter22hunter22" });
    json!({ "ssid": "SG9tZQ", "hidden": false, "credentials": credentials, "local_only": false })
}

#[test]
fn an_address_is_set_and_confirmed_by_orders_that_the_set_up_service_carries_out() {
    let daemon = Daemon::unlocked();
    let service = SetupService::start(&daemon, json!({ "confirm_within_s": 60 }));
    let order = daemon.send("PUT", "/device/network/address", &fixed()).expect(202);
    assert_eq!((&order["kind"], &order["state"]), (&json!("set_address"), &json!("done")));
    assert_eq!((&order["confirm_within_s"], &order["failure"]), (&json!(60), &Value::Null));
    assert_eq!(daemon.get(&format!("/device/network/orders/{}", order["id"].as_str().unwrap())).expect(200), order);
    daemon.send("PUT", "/device/network/address", &json!({ "method": "automatic" })).expect(202);
    daemon.request("POST", "/device/network/address/confirm", &[], b"").expect(202);
    daemon.delete("/device/networks/SG9tZQ").expect(202);
    daemon.post("/device/networks", &home()).expect(202);
    let changes = service.end();
    let expected = [
        json!({ "set_address": fixed() }),
        json!({ "set_address": { "method": "automatic" } }),
        json!({ "confirm_address": {} }),
        json!({ "forget": "SG9tZQ" }),
        json!({ "join": home() }),
    ];
    assert_eq!(changes, expected);
}

#[test]
fn an_order_that_fails_says_why_in_the_words_of_the_set_up_service() {
    let daemon = Daemon::unlocked();
    let failure = json!({ "code": "wrong_password", "happened": "No.", "try": "Again." });
    let _service = SetupService::start(&daemon, json!({ "failure": failure }));
    let order = daemon.request(
        "POST",
        "/device/networks",
        &[JSON[0], ("x-request-id", "the-one")],
        home().to_string().as_bytes(),
    );
    let order = order.expect(202);
    assert_eq!((&order["state"], &order["failure"]), (&json!("failed"), &failure));
    let told: Vec<_> = rows(&daemon, "request_id=the-one")
        .into_iter()
        .map(|row| [row["action"].clone(), row["outcome"].clone(), row["detail"].clone()])
        .collect();
    let expected = [
        [json!("device.network_changed"), json!("failed"), json!("join: wrong_password")],
        [json!("device.network_asked"), json!("success"), json!("join")],
    ];
    assert_eq!(told, expected);
}

#[test]
fn one_change_at_a_time() {
    let daemon = Daemon::unlocked();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| daemon.delete("/device/networks/SG9tZQ").expect(202));
        let order = fetch(&daemon);
        daemon.delete("/device/networks/SG9tZQ").expect_problem(409, "network_busy");
        let path = format!("/device/network/orders/{}", order["id"].as_str().unwrap());
        assert_eq!(daemon.get(&path).expect(200)["state"], "running");
        end(&daemon, &order, &json!({})).expect(204);
        assert_eq!(first.join().unwrap()["state"], "done");
        end(&daemon, &order, &json!({})).expect_problem(404, "not_found");
    });
}

#[test]
fn a_box_whose_set_up_service_does_not_run_changes_nothing_later_either() {
    let daemon = Daemon::unlocked();
    let reply = daemon.request("PUT", "/device/network/address", &JSON, fixed().to_string().as_bytes());
    assert_eq!(reply.header("retry-after"), "10");
    reply.expect_problem(503, "setup_service_unavailable");
    let told = rows(&daemon, "action=device.network_changed");
    assert_eq!((&told[0]["outcome"], &told[0]["detail"]), (&json!("failed"), &json!("set_address: unavailable")));
    let service = SetupService::start(&daemon, json!({}));
    assert_eq!(service.end(), [] as [Value; 0]);
}

#[test]
fn an_order_that_the_set_up_service_was_killed_over_has_failed() {
    let daemon = Daemon::unlocked();
    std::thread::scope(|scope| {
        let given = scope.spawn(|| daemon.delete("/device/networks/SG9tZQ").expect(202));
        let order = fetch(&daemon);
        // As after its restart.
        let _service = SetupService::start(&daemon, json!({}));
        let told = given.join().unwrap();
        assert_eq!((&told["state"], &told["failure"]["code"]), (&json!("failed"), &json!("unavailable")));
        end(&daemon, &order, &json!({})).expect_problem(404, "not_found");
        assert_eq!(daemon.delete("/device/networks/SG9tZQ").expect(202)["state"], "done");
    });
}

#[test]
fn an_order_outlives_the_vault_and_its_rows_are_kept() {
    let mut daemon = Daemon::unlocked();
    let order = std::thread::scope(|scope| {
        let given = scope.spawn(|| daemon.delete("/device/networks/SG9tZQ").expect(202));
        let order = fetch(&daemon);
        daemon.send_locally("POST", "/vault/lock", &json!({})).expect(200);
        end(&daemon, &order, &json!({})).expect(204);
        assert_eq!(given.join().unwrap()["state"], "done");
        order
    });
    let path = format!("/device/network/orders/{}", order["id"].as_str().unwrap());
    daemon.get(&path).expect_problem(423, "vault_locked");
    assert_eq!(daemon.get_locally(&path).expect(200)["state"], "done");
    daemon.unlock();
    daemon.log_in();
    assert_eq!(daemon.get(&path).expect(200)["state"], "done");
    // What is written down beside a locked vault does not say who it was; the request does, by which it was asked for.
    let me = daemon.get("/users/me").expect(200)["id"].clone();
    let ended = rows(&daemon, "action=device.network_changed");
    assert_eq!((&ended[0]["actor_id"], &ended[0]["detail"]), (&Value::Null, &json!("forget")));
    let asked = rows(&daemon, &format!("request_id={}", ended[0]["request_id"].as_str().unwrap()));
    assert!(asked.iter().any(|row| row["action"] == "device.network_asked" && row["actor_id"] == me), "{asked:?}");
    let daemon = daemon.stop_and_restart();
    daemon.get_locally(&path).expect_problem(404, "not_found");
}

#[test]
fn a_daemon_that_stops_does_not_wait_for_who_waits_for_an_order() {
    let mut daemon = Daemon::unlocked();
    let service = SetupService::start(&daemon, json!({}));
    daemon.delete("/device/networks/SG9tZQ").expect(202);
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains("some requests did not end in time"), "{}", daemon.log());
    drop(service);
}

#[test]
fn what_is_no_change_is_refused_before_anybody_is_asked() {
    let daemon = Daemon::unlocked();
    let mut other = fixed();
    other["address"] = json!("192.168.1.50/24");
    daemon.send("PUT", "/device/network/address", &other).expect_problem(422, "invalid_field");
    daemon.send("PUT", "/device/network/address", &json!({ "method": "dhcp" })).expect_problem(422, "invalid_field");
    let mut other = home();
    other["ssid"] = json!("not base64url!");
    let refused = daemon.post("/device/networks", &other).expect_problem(422, "invalid_field");
    assert!(!refused.to_string().contains("hunter22"), "{refused}");
    for name in ["not!", "SG9tZQ==", &"QUFB".repeat(11)] {
        daemon.delete(&format!("/device/networks/{name}")).expect_problem(404, "not_found");
    }
    let unknown = format!("/device/network/orders/{}", uuid::Uuid::nil());
    daemon.get(&unknown).expect_problem(404, "not_found");
    daemon.send_locally("PUT", &unknown, &json!({})).expect_problem(404, "not_found");
}

#[test]
fn a_password_is_in_no_log_and_in_no_reply() {
    let mut daemon = Daemon::unlocked();
    let service = SetupService::start(&daemon, json!({}));
    let order = daemon.post("/device/networks", &home()).expect(202);
    let looked = daemon.get(&format!("/device/network/orders/{}", order["id"].as_str().unwrap())).expect(200);
    let told = json!([order, looked, rows(&daemon, "action=device.network_asked")]).to_string();
    assert!(!told.contains("hunter22"), "{told}");
    service.end();
    assert!(daemon.stop().success());
    assert!(!daemon.log().contains("hunter22"));
}

#[test]
fn the_saved_networks_are_shown_as_reported() {
    let daemon = Daemon::unlocked();
    let [editor, reader] = ["editor", "reader"].map(|role| daemon.user(role, role));
    assert_eq!(daemon.get("/device/networks").expect(200), json!({ "reported_at": null, "networks": [] }));
    let report =
        json!({ "networks": [{ "ssid": "SG9tZQ", "security": "wpa3" }, { "ssid": "_wBh", "security": null }] });
    daemon.send("PUT", "/device/networks", &report).expect_problem(403, "forbidden");
    daemon.send_locally("PUT", "/device/networks", &report).expect(204);
    let status = json!({ "state": "connected", "ssid": "SG9tZQ", "connectivity": "full", "wired": false });
    daemon.send_locally("PUT", "/device/network", &status).expect(204);
    let shown = daemon.get_as(&editor.token, "/device/networks").expect(200);
    let expected = json!([
        { "ssid": "SG9tZQ", "ssid_text": "Home", "security": "wpa3", "current": true },
        { "ssid": "_wBh", "ssid_text": "\u{fffd}\u{0}a", "security": null, "current": false },
    ]);
    assert_eq!(shown["networks"], expected);
    assert!(shown["reported_at"].is_string());
    daemon.get_as(&reader.token, "/device/networks").expect_problem(403, "forbidden");
    let many: Vec<Value> = (0..65).map(|_| json!({ "ssid": "SG9tZQ" })).collect();
    daemon.send_locally("PUT", "/device/networks", &json!({ "networks": many })).expect_problem(422, "invalid_field");
    assert_eq!(daemon.get("/device/networks").expect(200)["networks"], expected);
}

#[test]
fn nobody_takes_an_order_over_the_network() {
    let daemon = Daemon::unlocked();
    let path = format!("/device/network/orders/{}", uuid::Uuid::nil());
    for token in ["", &daemon.token] {
        daemon.request_as(token, "POST", "/device/network/orders/next", &[], b"").expect_problem(403, "forbidden");
        daemon.send_as(token, "PUT", &path, &json!({})).expect_problem(403, "forbidden");
    }
}

#[test]
fn nobody_waits_for_longer_than_a_tunnel_does() {
    let daemon = Daemon::unlocked();
    let began = std::time::Instant::now();
    let order = std::thread::scope(|scope| {
        let given = scope.spawn(|| daemon.post("/device/networks", &home()).expect(202));
        let order = fetch(&daemon);
        assert_eq!(given.join().unwrap()["state"], "running");
        order
    });
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    end(&daemon, &order, &json!({})).expect(204);
}
