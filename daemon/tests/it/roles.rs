//! Every route with every role, as the API describes itself and as docs/api.md says.

use serde_json::{Value, json};

use crate::audit::rows;
use crate::client::{exchange, read_head_of_stream, send_head, tcp};
use crate::contract::{check, document};
use crate::harness::{Daemon, PASSWORD, Person};
use crate::network_orders::SetupService;

const ROLES: [&str; 4] = ["reader", "writer", "editor", "admin"];

/// Actions that are no account's: the credential is another, or none.
const NOBODYS: [&str; 4] = ["public", "setup_code", "master_secret", CONTROL_SOCKET];

/// What nobody may do over the network, whoever they are.
const CONTROL_SOCKET: &str = "control_socket";

/// An identifier of nothing.
const UNKNOWN: &str = "01890000-0000-7000-8000-000000000000";

/// Changes of which the log has no row, by the end of their address: marks are nobody's business but one's own, and the
/// others find nothing to do here.
const UNWRITTEN: [(&str, &str); 9] = [
    ("PUT", "/favourite"),
    ("DELETE", "/favourite"),
    ("PUT", "/label"),
    ("DELETE", "/label"),
    ("DELETE", "/star"),
    ("DELETE", "/tags/{tag}"),
    ("DELETE", "/trash"),
    ("POST", "/bulk"),
    ("POST", "/storage/scrub"),
];

/// One operation of the API.
struct Operation {
    method: String,
    /// Where the path begins: `/api/v1`, or nothing.
    prefix: &'static str,
    path: String,
    action: String,
}

#[test]
fn every_route_lets_in_the_roles_that_its_action_names_and_no_others() {
    let daemon = Daemon::unlocked();
    let people = ROLES.map(|role| daemon.user(&format!("the_{role}"), role));
    let _service = SetupService::start(&daemon, json!({}));
    let operations = operations(&daemon);
    assert!(operations.len() > 40, "the description holds the routes");
    for operation in &operations {
        let label = format!("{} {}", operation.method, operation.path);
        if operation.action == CONTROL_SOCKET {
            for token in ["", &daemon.token] {
                let refused = call(&daemon, token, operation);
                assert_eq!((refused.status, refused.code.as_str()), (403, "forbidden"), "{label}");
            }
            continue;
        }
        if NOBODYS.contains(&operation.action.as_str()) {
            let code = call(&daemon, "", operation).code;
            assert!(code != "forbidden" && code != "unauthenticated", "{label} needs no account");
            continue;
        }
        let refused = call(&daemon, "", operation);
        assert_eq!((refused.status, refused.code.as_str()), (401, "unauthenticated"), "{label} without a token");
        for (role, person) in ROLES.iter().zip(&people) {
            if ends_it_all(operation) && documented(&operation.action, role) {
                continue;
            }
            let operation = aimed(&daemon, person, role, operation);
            let answer = call(&daemon, &person.token, &operation);
            let Answer { status, code, .. } = &answer;
            if documented(&operation.action, role) {
                assert!(*status < 500 && *status != 401 && code != "forbidden", "{label} as {role}: {status} {code}");
            } else {
                assert_eq!((*status, code.as_str()), (403, "forbidden"), "{label} as {role}");
            }
            assert_written_down(&daemon, &operation, person, &answer, &format!("{label} as {role}"));
        }
    }
    ends(&daemon, &people, &operations);
}

#[test]
fn who_must_set_up_a_second_factor_can_do_nothing_else() {
    let daemon = Daemon::unlocked();
    let grace = daemon.user("grace", "admin");
    let rules = json!({ "registration_open": true, "second_factor_required": true });
    daemon.send("PUT", "/policy", &rules).expect(200);
    for operation in operations(&daemon) {
        let label = format!("{} {}", operation.method, operation.path);
        let action = operation.action.as_str();
        let may = NOBODYS.contains(&action) || ["profile", "enrol", CONTROL_SOCKET].contains(&action);
        if ends_it_all(&operation) && may {
            continue;
        }
        let code = call(&daemon, &grace.token, &operation).code;
        assert_eq!(code == "second_factor_needed", !may, "{label}: {code}");
    }
}

/// Every change and every refusal is in the log, with who it was.
fn assert_written_down(daemon: &Daemon, operation: &Operation, person: &Person, answer: &Answer, label: &str) {
    let is_change = answer.status < 300 && operation.method != "GET";
    let is_unwritten =
        UNWRITTEN.iter().any(|(method, end)| operation.method == *method && operation.path.ends_with(end));
    if (!is_change || is_unwritten) && answer.code != "forbidden" {
        return;
    }
    let written = rows(daemon, &format!("request_id={}", answer.request_id));
    let outcome = if is_change { "success" } else { "refused" };
    let told = written.iter().any(|row| row["outcome"] == outcome && row["actor_id"] == person.id.as_str());
    assert!(told, "{label} leaves no row: {} {written:?}", answer.status);
}

/// The operations that end a session or lock the vault, at the end.
fn ends(daemon: &Daemon, people: &[Person; 4], operations: &[Operation]) {
    let all: Vec<&Operation> = operations.iter().filter(|operation| ends_it_all(operation)).collect();
    assert_eq!(all.len(), 3);
    for person in people {
        daemon.request_as(&person.token, "DELETE", "/sessions/current", &[], b"").expect(204);
        daemon.get_as(&person.token, "/users/me").expect_problem(401, "unauthenticated");
    }
    let admin = daemon.log_in_as("the_admin", PASSWORD);
    daemon.send_as(&admin.token, "POST", "/vault/lock", &json!({})).expect(200);
    daemon.unlock();
    daemon.send_as(&admin.token, "PUT", "/vault/lockdown", &json!({})).expect(200);
}

fn ends_it_all(operation: &Operation) -> bool {
    let known = [("DELETE", "/sessions/current"), ("POST", "/vault/lock"), ("PUT", "/vault/lockdown")];
    known.contains(&(operation.method.as_str(), operation.path.as_str()))
}

fn operations(daemon: &Daemon) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document(daemon.address)["paths"].as_object().unwrap() {
        let below = path.strip_prefix("/api/v1");
        let (prefix, path) = below.map_or(("", path.as_str()), |path| ("/api/v1", path));
        for (method, operation) in item.as_object().unwrap() {
            let action = operation["x-action"].as_str().unwrap_or_else(|| panic!("{method} {path} has no action"));
            operations.push(Operation {
                method: method.to_uppercase(),
                prefix,
                path: path.to_owned(),
                action: action.to_owned(),
            });
        }
    }
    operations
}

/// What the table in docs/api.md says.
fn documented(action: &str, role: &str) -> bool {
    let document = include_str!("../../../docs/api.md");
    let start = format!("| `{action}` |");
    let row = document.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("docs/api.md has no row for the action {action}"));
    let column = 2 + ROLES.iter().position(|known| *known == role).unwrap();
    row.split('|').nth(column).unwrap().trim() == "yes"
}

/// The operation on something that exists: the person's own where they can own anything, else somebody else's.
fn aimed(daemon: &Daemon, person: &Person, role: &str, operation: &Operation) -> Operation {
    let maker = if role == "reader" { &daemon.token } else { &person.token };
    let name = uuid::Uuid::new_v4();
    let target = if operation.path.starts_with("/files/{id}") || operation.path.starts_with("/items/{id}") {
        daemon.request_as(maker, "POST", &format!("/files?name={name}"), &[], b"x").expect(201)["id"].clone()
    } else if operation.path.starts_with("/folders/{id}") {
        daemon.send_as(maker, "POST", "/folders", &json!({ "name": name.to_string() })).expect(201)["id"].clone()
    } else {
        json!(UNKNOWN)
    };
    let path = operation.path.replacen("{id}", target.as_str().unwrap(), 1);
    Operation { method: operation.method.clone(), prefix: operation.prefix, path, action: operation.action.clone() }
}

/// What came back.
struct Answer {
    status: u16,
    /// The code of the problem, or nothing.
    code: String,
    /// By which the log finds it.
    request_id: String,
}

/// Calls an operation with a body that it understands.
fn call(daemon: &Daemon, token: &str, operation: &Operation) -> Answer {
    let (query, body) = request(&operation.method, &operation.path);
    let mut path = operation.path.replace("{number}", "1") + &query;
    while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(start..=end, UNKNOWN);
    }
    path.insert_str(0, operation.prefix);
    let (bearer, request_id) = (format!("Bearer {token}"), uuid::Uuid::new_v4().simple().to_string());
    // As through a proxy: who is on the box itself sees the metrics without a token.
    let mut headers = vec![("x-request-id", request_id.as_str()), ("via", "1.1 edge")];
    if !token.is_empty() {
        headers.push(("authorization", &bearer));
    }
    let mut stream = tcp(daemon.address);
    let reply = match body {
        // A stream without end: its head is all that counts.
        None if operation.path == "/events" => {
            send_head(&mut stream, &operation.method, &path, &headers);
            read_head_of_stream(&mut stream)
        }
        Some(body) => {
            headers.push(("content-type", "application/json"));
            exchange(&mut stream, &operation.method, &path, &headers, body.to_string().as_bytes())
        }
        None => exchange(&mut stream, &operation.method, &path, &headers, b""),
    };
    check(daemon.address, &operation.method, &path, &reply);
    let code = if reply.header("content-type") == "application/problem+json" {
        reply.json()["code"].as_str().unwrap().to_owned()
    } else {
        String::new()
    };
    Answer { status: reply.status, code, request_id }
}

/// What a route wants to be asked with. A new route whose body is not `{}` needs a line: a reader is refused for the
/// body otherwise, and not for the role.
fn request(method: &str, path: &str) -> (String, Option<Value>) {
    let name = uuid::Uuid::new_v4().simple().to_string();
    let new_password = json!({ "new_password": "quiet marble lantern" });
    let body = match (method, path) {
        ("POST", "/files") => return (format!("?name={name}"), None),
        ("POST", path) if path.ends_with("/image") => json!({ "rotate": 90 }),
        ("GET", "/audit/export") => return ("?format=csv".to_owned(), None),
        ("PUT", "/audit/retention") => json!({ "days": 0 }),
        ("PUT", path) if path.ends_with("/content") => return (String::new(), None),
        ("POST", "/texts") => json!({ "name": name, "text": "" }),
        ("PUT", path) if path.ends_with("/text") => json!({ "text": "" }),
        ("POST", path) if path.ends_with("/copy") => json!({ "name": name }),
        ("POST", "/bulk") => json!({ "action": "trash", "items": [UNKNOWN] }),
        ("PUT", "/storage/policy") => json!({
            "trash_days": 30, "keep_revisions": 100, "keep_days": 0, "quota_bytes": 0, "reserve_bytes": 33_554_432
        }),
        ("PUT", path) if path.starts_with("/users/") && path.ends_with("/storage") => json!({ "quota_bytes": null }),
        ("PUT", "/encryption") => json!({ "mode": "off" }),
        ("POST", "/encryption/jobs") => json!({ "kind": "audit" }),
        ("POST", "/folders" | "/groups") => json!({ "name": name }),
        ("PUT", path) if path.starts_with("/items/") && path.ends_with("/label") => json!({ "colour": "red" }),
        ("PUT", path) if path.starts_with("/items/") && path.ends_with("/note") => json!({ "text": name }),
        ("POST", path) if path.starts_with("/items/") && path.ends_with("/comments") => json!({ "text": name }),
        ("PATCH", path) if path.starts_with("/files/") || path.starts_with("/folders/") => json!({ "name": name }),
        ("PATCH", path) if path.starts_with("/comments/") => json!({ "text": name }),
        ("PATCH", path) if path.starts_with("/groups/") => json!({ "name": name }),
        ("PUT", path) if path.ends_with("/access") => json!({ "private": true }),
        ("POST", "/device/networks") => json!({ "ssid": "SG9tZQ", "credentials": { "kind": "none" } }),
        ("PUT", "/device/network/address") => json!({ "method": "automatic" }),
        ("POST", "/archives") => json!({ "items": [UNKNOWN] }),
        ("POST", "/users") => json!({ "username": name, "password": PASSWORD }),
        ("PUT", "/users/me/password") => json!({ "current_password": "wrong", "new_password": "quiet marble lantern" }),
        ("PUT", path) if path.starts_with("/users/") && path.ends_with("/password") => new_password,
        ("PUT", "/users/me/device-link") => json!({ "device_token": "x" }),
        ("POST", "/invitations") => json!({ "role": "reader" }),
        ("PUT", path) if path.starts_with("/settings/") => json!({ "value": true }),
        ("POST", path) if path.ends_with("/rotations") => json!({
            "id": UNKNOWN, "item_id": UNKNOWN, "field_id": UNKNOWN, "provider": { "kind": "command", "program": "x" }
        }),
        ("POST", "/webhooks") => json!({ "url": "https://receiver.example/" }),
        ("POST", "/api-keys") => json!({ "name": name, "role": "reader" }),
        ("POST", "/shares") => json!({ "kind": "download", "file_id": UNKNOWN }),
        ("POST", "/users/me/second-factors/totp/confirm") => json!({ "code": "000000" }),
        ("POST", "/users/me/second-factors/passkeys") => json!({ "password": "wrong", "name": name }),
        ("POST", "/users/me/second-factors/passkeys/{id}") => json!({ "credential": {} }),
        ("POST", path) if path.starts_with("/users/me/second-factors/") => json!({ "password": "wrong" }),
        ("PATCH", path) if path.starts_with("/users/me/second-factors/passkeys/") => json!({ "name": name }),
        ("PUT", "/policy") => json!({ "registration_open": true, "second_factor_required": false }),
        ("GET" | "DELETE", path) if !path.starts_with("/vault") => return (String::new(), None),
        (_, _) => json!({}),
    };
    (String::new(), Some(body))
}
