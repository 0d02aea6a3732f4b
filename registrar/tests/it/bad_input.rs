//! Whatever is sent, the answer is a problem that says what to change, and nothing happens.

use serde_json::{Value, json};
use ureq::http::Request;

use crate::box_key::BoxKey;
use crate::harness::{Registrar, Where, reply};

fn post(registrar: &Registrar, kind: &str, body: &[u8]) -> crate::harness::Reply {
    let request = Request::post(format!("{}/register-device", registrar.url)).header("content-type", kind);
    reply(registrar.agent.run(request.body(body).unwrap()).unwrap())
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let json_kind = "application/json";
    let large = " ".repeat(20_000);
    for (kind, body, status, code) in [
        (json_kind, &b""[..], 400, "bad_request"),
        (json_kind, b"{", 400, "bad_request"),
        (json_kind, b"\xff\xfe", 400, "bad_request"),
        (json_kind, b"{} {}", 422, "invalid_field"),
        (json_kind, b"[]", 422, "invalid_field"),
        (json_kind, b"null", 422, "invalid_field"),
        (json_kind, b"{}", 422, "invalid_field"),
        ("text/plain", b"{}", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", b"ticket=1", 415, "unsupported_media_type"),
        (json_kind, large.as_bytes(), 413, "too_large"),
    ] {
        post(&registrar, kind, body).expect_problem(status, code);
    }
    registrar.call("GET", "/", None, None).expect_problem(404, "not_found");
    registrar.call("GET", "/register-device/x", None, None).expect_problem(404, "not_found");
    registrar.call("GET", "/register-device", None, None).expect_problem(405, "method_not_allowed");
    registrar.call("PUT", "/devices", None, None).expect_problem(405, "method_not_allowed");
    registrar.call("GET", "/health", None, None).expect(200);
}

#[test]
fn a_field_that_is_not_accepted_is_named_and_not_repeated() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(1));
    let good = json!({ "ticket": ticket, "public_key": device.public(), "proof": device.proof(&ticket) });
    let secret = "hunter2-in-the-wrong-place";
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("   ")),
        ("name", json!("x".repeat(65))),
        ("name", json!("a\u{7}b")),
        ("name", json!({ secret: secret })),
        ("public_key", json!(secret)),
        ("public_key", json!("AAAA")),
        ("public_key", json!("")),
        ("public_key", json!(format!("{}=", device.public()))),
        ("public_key", json!([secret])),
        ("proof", json!("!")),
        ("ticket", json!([secret])),
        ("ticket", Value::Null),
        ("user_token", json!(secret)),
        ("surprise", json!(secret)),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let problem =
            registrar.call("POST", "/register-device", None, Some(&body)).expect_problem(422, "invalid_field");
        let named = if field == "user_token" { "ticket" } else { field };
        let told = problem["errors"][0].to_string();
        assert!(told.contains(named), "{field} {value}: {problem}");
        assert!(!problem.to_string().contains(secret), "{problem}");
    }
    let body = json!({ "device_id": "not an id" });
    let problem =
        registrar.as_person("ada", "POST", "/device-tokens", Some(&body)).expect_problem(422, "invalid_field");
    assert_eq!(problem["errors"][0]["field"], "device_id");
    assert_eq!(registrar.cloudflare.counts(), (0, 0));
    assert_eq!(registrar.devices("ada").len(), 0);
    registrar.register(&ticket, &device).expect(200);
}

#[test]
fn every_reply_has_an_id_and_is_kept_by_nobody() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let reply = registrar.call("GET", "/devices", None, None);
    assert_eq!(reply.headers["cache-control"], "no-store");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    assert_eq!(reply.headers["x-request-id"].len(), 32);
    let registered = registrar.registered("ada", 1);
    assert!(registered["shared_secret"].is_string());
}

#[test]
fn the_example_in_the_contract_has_a_right_proof() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/registrar.md")).unwrap();
    let blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let example =
        blocks.filter_map(|block| serde_json::from_str::<Value>(block).ok()).find(|json| json["proof"].is_string());
    let example = example.unwrap();
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    // The proof is looked at first, and the ticket is nobody's.
    registrar.call("POST", "/register-device", None, Some(&example)).expect_problem(403, "wrong_ticket");
    let mut other = example.clone();
    other["ticket"] = json!("ct_another");
    registrar.call("POST", "/register-device", None, Some(&other)).expect_problem(403, "wrong_proof");
}

#[test]
fn a_page_of_another_origin_may_ask() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let url = format!("{}/device-tokens", registrar.url);
    let request = Request::builder().method("OPTIONS").uri(url).header("origin", "https://setup.example.org");
    let request = request.header("access-control-request-method", "POST").body(()).unwrap();
    let preflight = reply(registrar.agent.run(request).unwrap());
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "*");
    assert!(preflight.headers["access-control-allow-headers"].to_str().unwrap().contains("authorization"));
    let refused = registrar.call("GET", "/devices", None, None);
    assert_eq!(refused.headers["access-control-allow-origin"], "*");
    assert!(!refused.headers.contains_key("access-control-allow-credentials"));
    registrar.call("OPTIONS", "/devices", None, None).expect_problem(405, "method_not_allowed");
}
