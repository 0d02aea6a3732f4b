//! The description of the API, and the page to browse it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{exchange, tcp};
use crate::contract::{codes, document};
use crate::harness::Daemon;
use crate::network_orders::SetupService;

/// The type of every refusal.
const PROBLEM: &str = "application/problem+json";

#[test]
#[expect(clippy::too_many_lines, reason = "one list, one line an address")]
fn every_route_is_described_with_its_errors() {
    let daemon = Daemon::unclaimed();
    let document = exchange(&mut tcp(daemon.address), "GET", "/api/openapi.json", &[], b"").expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/api/v1/api-keys",
        "/api/v1/api-keys/{id}",
        "/api/v1/archives",
        "/api/v1/audit",
        "/api/v1/audit/export",
        "/api/v1/audit/retention",
        "/api/v1/audit/verify",
        "/api/v1/auth/srp/finish",
        "/api/v1/auth/srp/start",
        "/api/v1/auth/srp/verifier",
        "/api/v1/auth/srp/verifier/removal",
        "/api/v1/bulk",
        "/api/v1/comments/{id}",
        "/api/v1/comments/{id}/history",
        "/api/v1/device",
        "/api/v1/device/factory-reset",
        "/api/v1/device/network",
        "/api/v1/device/network/address",
        "/api/v1/device/network/address/confirm",
        "/api/v1/device/network/orders/next",
        "/api/v1/device/network/orders/{id}",
        "/api/v1/device/networks",
        "/api/v1/device/networks/{ssid}",
        "/api/v1/device/problems",
        "/api/v1/device/registration",
        "/api/v1/device/restart",
        "/api/v1/device/setup",
        "/api/v1/device/setup/code",
        "/api/v1/device/stats",
        "/api/v1/device/tunnel",
        "/api/v1/device/update",
        "/api/v1/device/update/channel",
        "/api/v1/encryption",
        "/api/v1/encryption/jobs",
        "/api/v1/encryption/jobs/{id}",
        "/api/v1/encryption/keys",
        "/api/v1/encryption/keys/{id}",
        "/api/v1/encryption/root-key",
        "/api/v1/encryption/seal",
        "/api/v1/events",
        "/api/v1/favourites",
        "/api/v1/items/{id}/comments",
        "/api/v1/items/{id}/details",
        "/api/v1/items/{id}/favourite",
        "/api/v1/items/{id}/label",
        "/api/v1/items/{id}/note",
        "/api/v1/items/{id}/star",
        "/api/v1/items/{id}/tags/{tag}",
        "/api/v1/recent",
        "/api/v1/search",
        "/api/v1/stars",
        "/api/v1/tags",
        "/api/v1/files",
        "/api/v1/files/multipart",
        "/api/v1/files/{id}",
        "/api/v1/files/{id}/content",
        "/api/v1/files/{id}/copy",
        "/api/v1/files/{id}/revisions",
        "/api/v1/files/{id}/revisions/{number}",
        "/api/v1/files/{id}/revisions/{number}/content",
        "/api/v1/files/{id}/revisions/{number}/restore",
        "/api/v1/files/{id}/text",
        "/api/v1/files/{id}/image",
        "/api/v1/files/{id}/thumbnail",
        "/api/v1/folders",
        "/api/v1/folders/{id}",
        "/api/v1/folders/{id}/access",
        "/api/v1/folders/{id}/archive",
        "/api/v1/folders/{id}/copy",
        "/api/v1/groups",
        "/api/v1/groups/{id}",
        "/api/v1/groups/{id}/members",
        "/api/v1/groups/{id}/members/{user_id}",
        "/api/v1/invitations",
        "/api/v1/invitations/{id}",
        "/api/v1/metrics",
        "/api/v1/policy",
        "/api/v1/registrations",
        "/api/v1/secrets/account",
        "/api/v1/secrets/groups/{name}",
        "/api/v1/secrets/handouts",
        "/api/v1/secrets/handouts/{id}",
        "/api/v1/secrets/handouts/{id}/open",
        "/api/v1/secrets/identities/{id}",
        "/api/v1/secrets/people/{username}",
        "/api/v1/secrets/vaults",
        "/api/v1/secrets/vaults/{id}",
        "/api/v1/secrets/vaults/{id}/drop-box",
        "/api/v1/secrets/vaults/{id}/drops",
        "/api/v1/secrets/vaults/{id}/drops/{drop_id}",
        "/api/v1/secrets/vaults/{id}/items/{item_id}",
        "/api/v1/secrets/vaults/{id}/items/{item_id}/attachments",
        "/api/v1/secrets/vaults/{id}/items/{item_id}/attachments/{attachment_id}",
        "/api/v1/secrets/vaults/{id}/items/{item_id}/revisions",
        "/api/v1/secrets/vaults/{id}/keys",
        "/api/v1/secrets/vaults/{id}/members",
        "/api/v1/secrets/vaults/{id}/members/{user_id}",
        "/api/v1/secrets/vaults/{id}/rotations",
        "/api/v1/secrets/vaults/{id}/rotations/{rotation_id}",
        "/api/v1/secrets/vaults/{id}/rotations/{rotation_id}/run",
        "/api/v1/secrets/vaults/{id}/sync",
        "/api/v1/sessions",
        "/api/v1/sessions/current",
        "/api/v1/sessions/refresh",
        "/api/v1/sessions/second-factor",
        "/api/v1/sessions/{id}",
        "/api/v1/settings",
        "/api/v1/settings/{namespace}/{key}",
        "/api/v1/shares",
        "/api/v1/shares/{id}",
        "/api/v1/storage/faults",
        "/api/v1/storage/policy",
        "/api/v1/storage/scrub",
        "/api/v1/storage/usage",
        "/api/v1/texts",
        "/api/v1/trash",
        "/api/v1/trash/{id}",
        "/api/v1/trash/{id}/restore",
        "/api/v1/uploads",
        "/api/v1/uploads/{id}",
        "/api/v1/users",
        "/api/v1/users/me",
        "/api/v1/users/me/second-factors",
        "/api/v1/users/me/second-factors/passkeys",
        "/api/v1/users/me/second-factors/passkeys/{id}",
        "/api/v1/users/me/second-factors/passkeys/{id}/removal",
        "/api/v1/users/me/second-factors/recovery-codes",
        "/api/v1/users/me/second-factors/totp",
        "/api/v1/users/me/second-factors/totp/confirm",
        "/api/v1/users/me/second-factors/totp/removal",
        "/api/v1/users/me/device-link",
        "/api/v1/users/me/storage",
        "/api/v1/users/me/password",
        "/api/v1/users/{id}",
        "/api/v1/users/{id}/password",
        "/api/v1/users/{id}/storage",
        "/api/v1/users/{id}/second-factors",
        "/api/v1/vault",
        "/api/v1/vault/key-slots/list",
        "/api/v1/vault/key-slots/{id}",
        "/api/v1/vault/key-stick",
        "/api/v1/vault/lock",
        "/api/v1/vault/lockdown",
        "/api/v1/vault/master-password",
        "/api/v1/vault/recovery-key",
        "/api/v1/vault/unlock",
        "/api/v1/webhooks",
        "/api/v1/webhooks/{id}",
        "/api/v1/webhooks/{id}/deliveries",
        "/api/v1/webhooks/{id}/test",
        "/health",
        "/metrics",
        "/secret/{id}",
        "/share/{token}",
        "/share/{token}/archive",
        "/share/{token}/content",
        "/share/{token}/info",
        "/share/{token}/items",
        "/share/{token}/upload",
    ];
    assert_eq!(paths, BTreeSet::from(expected));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
            let action =
                operation["x-action"].as_str().unwrap_or_else(|| panic!("{method} {path} declares its action"));
            let public = ["public", "setup_code", "master_secret", "control_socket"].contains(&action);
            assert_ne!(public, operation["security"].is_array(), "{method} {path} names its security");
        }
    }
}

#[test]
fn every_refusal_names_the_problems_that_it_can_be() {
    let daemon = Daemon::unclaimed();
    let document = document(daemon.address);
    let known = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    let examples = &document["components"]["examples"];
    let mut named = BTreeSet::new();
    for (label, operation) in operations(document) {
        let refusals = operation["responses"].as_object().unwrap().iter();
        for (status, response) in refusals.filter(|(_, response)| response["content"].get(PROBLEM).is_some()) {
            let codes = codes(response);
            assert!(!codes.is_empty(), "{label} {status} names no code: {response}");
            for code in codes {
                assert!(known.contains(&json!(code)), "{label} {status}: {code} is not known");
                let shown = &response["content"][PROBLEM]["examples"][code]["$ref"];
                assert_eq!(*shown, format!("#/components/examples/{code}"), "{label} {status}");
                let example = &examples[code]["value"];
                assert_eq!((&example["code"], example["status"].to_string()), (&json!(code), status.clone()));
                assert!(documented(status, code), "docs/api.md does not say that {code} is {status}");
                named.insert(code);
            }
        }
        let statuses: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(statuses.contains(&"500"), "{label}: {statuses:?}");
        if operation["security"].as_array().is_some_and(|security| !security.contains(&json!({}))) {
            assert!(["401", "403", "423"].iter().all(|status| statuses.contains(status)), "{label}: {statuses:?}");
        }
    }
    assert!(named.len() > 40, "{named:?}");
}

/// Whether the table of problems in docs/api.md has that code with that status.
fn documented(status: &str, code: &str) -> bool {
    let page = include_str!("../../../docs/api.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| {status} | `")));
    row.is_some_and(|row| row.contains(&format!("`{code}`")))
}

#[test]
fn every_body_in_json_has_an_example_and_what_is_asked_for_is_understood() {
    let mut daemon = Daemon::unlocked();
    let _service = SetupService::start(&daemon, json!({}));
    let document = document(daemon.address);
    let mut understood = 0;
    for (label, operation) in operations(document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let schema = &response["content"]["application/json"]["schema"];
            assert!(schema.is_null() || example(document, schema).is_some(), "{label} {status} has no example");
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let body = example(document, schema).unwrap_or_else(|| panic!("{label} asks for what has no example"));
        let (method, path) = label.split_once(' ').unwrap();
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        // These shut everybody out: the password of the example is the one that the tests use.
        if ["/policy", "/users/me/password", "/vault/lock", "/vault/lockdown"].contains(&path) {
            continue;
        }
        // A code is of this moment, keys are signed for one account, a link is of one vault, and ends within a month.
        let for_once = [
            "/users/me/second-factors/totp/confirm",
            "/secrets/account",
            "/secrets/vaults/{id}/keys",
            "/secrets/vaults/{id}/drop-box",
            "/secrets/handouts",
        ];
        if for_once.contains(&path) {
            continue;
        }
        daemon.log_in();
        let path = path.replace("{id}", "01890000-0000-7000-8000-000000000000");
        let path = path.replace("{namespace}/{key}", "photos.import/source");
        let reply = daemon.send(method, &path, &body);
        assert!(![400, 415, 422].contains(&reply.status) && reply.status < 500, "{label} with {body}: {reply:?}");
        understood += 1;
    }
    assert!(understood > 30, "{understood}");
}

/// What a schema says itself as an example, or what its parts do.
fn example(document: &Value, schema: &Value) -> Option<Value> {
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"))
    {
        return Some(example.clone());
    }
    if let Some(name) = schema["$ref"].as_str() {
        return example(document, document.pointer(name.trim_start_matches('#')).unwrap());
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.first().cloned();
    }
    let nothing = json!({ "type": "null" });
    if let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return choices.iter().filter(|choice| **choice != nothing).find_map(|choice| example(document, choice));
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts: Option<Vec<Value>> = parts.iter().map(|part| example(document, part)).collect();
        let members = parts?.into_iter().flat_map(|part| part.as_object().cloned().unwrap_or_default());
        return Some(Value::Object(members.collect()));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match (kind, schema["format"].as_str()) {
        (Some("object"), _) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let members = schema["properties"].as_object()?.iter().filter(|(name, _)| required.contains(&json!(name)));
            members.map(|(name, part)| Some((name.clone(), example(document, part)?))).collect()
        }
        (Some("array"), _) => Some(json!([example(document, &schema["items"])?])),
        (Some("boolean"), _) => Some(json!(true)),
        (Some("integer" | "number"), _) => Some(schema.get("minimum").cloned().unwrap_or_else(|| json!(0))),
        (Some("string"), Some("uuid")) => Some(json!("01890000-0000-7000-8000-000000000000")),
        (Some("string"), Some("date-time")) => Some(json!("2026-11-21T09:30:00Z")),
        _ => None,
    }
}

/// Each operation with its method and its address.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
    })
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let daemon = Daemon::unclaimed();
    let get = |path: &str| exchange(&mut tcp(daemon.address), "GET", path, &[], b"");
    let root = get("/");
    assert_eq!((root.status, root.header("location")), (307, "/docs/"));
    let page = get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src=\"//"), "{html}");
    let is_asset = |text: &&str| Path::new(text).extension().is_some_and(|e| e == "js" || e == "css");
    for asset in html.split(['"', '\'']).filter(is_asset) {
        let reply = get(&format!("/docs/{}", asset.trim_start_matches("./")));
        assert_eq!(reply.status, 200, "{asset}");
        assert!(!reply.body.is_empty());
    }
    let start = String::from_utf8(get("/docs/swagger-initializer.js").body).unwrap();
    assert!(start.contains("/api/openapi.json"), "{start}");
}
