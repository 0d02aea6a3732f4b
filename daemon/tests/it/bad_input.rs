//! Whatever a client sends, it gets a clear answer.

use std::io::Write;

use serde_json::json;

use crate::client::{exchange, read_reply, tcp};
use crate::harness::Daemon;
use crate::network_orders::SetupService;

const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn bodies_that_are_not_what_was_asked_for() {
    let daemon = Daemon::locked();
    let unlock = |headers: &[(&str, &str)], body: &[u8]| daemon.request("POST", "/vault/unlock", headers, body);
    unlock(&[], b"{}").expect_problem(415, "unsupported_media_type");
    unlock(&[("content-type", "text/plain")], b"{}").expect_problem(415, "unsupported_media_type");
    let broken = unlock(&[JSON], b"{\"master_password\": \"hunter2 hunter2\",}").expect_problem(400, "bad_request");
    assert!(broken["detail"].as_str().unwrap().contains("line 1, column"), "{broken}");
    unlock(&[JSON], b"").expect_problem(400, "bad_request");
    unlock(&[JSON], b"{} {}").expect_problem(400, "bad_request");
    unlock(&[JSON], b"\xff\xfe").expect_problem(400, "bad_request");
    let unknown = unlock(&[JSON], b"{\"pasword\": \"hunter2\"}").expect_problem(422, "invalid_field");
    assert_eq!(unknown["errors"][0]["field"], "pasword");
    assert!(!unknown.to_string().contains("hunter2"));
    let kind = unlock(&[JSON], b"{\"master_password\": [\"hunter2\"]}").expect_problem(422, "invalid_field");
    assert!(!kind.to_string().contains("hunter2"), "{kind}");
    let huge = format!("{{\"master_password\": \"{}\"}}", "x".repeat(100_000));
    unlock(&[JSON], huge.as_bytes()).expect_problem(413, "too_large");
    let deep = "[".repeat(10_000);
    unlock(&[JSON], deep.as_bytes()).expect_problem(422, "invalid_field");
}

#[test]
fn addresses_and_methods_that_do_not_exist() {
    let daemon = Daemon::locked();
    daemon.get("/nothing").expect_problem(404, "not_found");
    daemon.request("PATCH", "/vault", &[], b"").expect_problem(405, "method_not_allowed");
    daemon.request("DELETE", "/files", &[], b"").expect_problem(405, "method_not_allowed");
    exchange(&mut tcp(daemon.address), "GET", "/../../etc/passwd", &[], b"").expect_problem(404, "not_found");
}

#[test]
fn queries_that_make_no_sense() {
    let daemon = Daemon::unlocked();
    for query in ["limit=x", "limit=-1", "folder_id=x", "unknown=1", "limit=1&limit=2"] {
        daemon.get(&format!("/files?{query}")).expect_problem(400, "bad_request");
    }
    daemon.get("/files?cursor=x").expect_problem(422, "invalid_field");
    daemon.get("/files?limit=0").expect(200);
    daemon.get("/files?limit=4294967295").expect(200);
    daemon.request("POST", "/files", &[], b"x").expect_problem(400, "bad_request");
    for name in ["", ".", "..", "a%2Fb", "a%5Cb", "a%00b", "%20", "a%0Ab", &"x".repeat(256)] {
        daemon.upload(name, b"x").expect_problem(422, "invalid_field");
    }
}

#[test]
fn every_reply_has_an_id_and_the_clients_own_is_kept_when_it_is_sane() {
    let daemon = Daemon::locked();
    let reply = daemon.request("GET", "/vault", &[("x-request-id", "my-id_1")], b"");
    assert_eq!(reply.header("x-request-id"), "my-id_1");
    for bad in ["", "a b", "\u{e9}", &"x".repeat(65), "<script>"] {
        let reply = daemon.request("GET", "/nothing", &[("x-request-id", bad)], b"");
        let id = reply.header("x-request-id");
        assert!(id.len() == 32 && id != bad, "{id:?}");
    }
}

#[test]
fn what_is_not_http_does_not_disturb() {
    let daemon = Daemon::locked();
    let zeros = vec![0; 100_000];
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"GET\r\n\r\n", &zeros] {
        let mut stream = tcp(daemon.address);
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let reply = read_reply(&mut stream);
        assert!(reply.is_none_or(|reply| reply.status == 400));
    }
    let headers: Vec<(String, String)> = (0..200).map(|n| (format!("h{n}"), "x".repeat(1000))).collect();
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let reply = daemon.request("GET", "/vault", &headers, b"");
    assert_eq!(reply.status, 431);
    assert_eq!(daemon.health()["vault"], "locked");
    daemon.send("POST", "/vault/unlock", &json!({ "master_password": crate::harness::MASTER_PASSWORD })).expect(200);
}

#[test]
fn no_value_of_any_field_of_any_route_is_a_fault_of_ours() {
    let daemon = Daemon::unlocked();
    let document = exchange(&mut tcp(daemon.address), "GET", "/api/openapi.json", &[], b"").expect(200);
    let mut fields = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        // These lock the vault when they are told to, and their bodies are those of others.
        let Some(path) = path.strip_prefix("/api/v1").filter(|path| !path.starts_with("/vault/lock")) else { continue };
        let path =
            path.replace("{id}", "01890000-0000-7000-8000-000000000000").replace("{namespace}/{key}", "odd/value");
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let Some(name) = schema["$ref"].as_str() else { continue };
            let name = name.rsplit('/').next().unwrap();
            let properties = document["components"]["schemas"][name]["properties"].as_object();
            for field in properties.into_iter().flatten().map(|(field, _)| field) {
                for value in ODD_VALUES {
                    let body = format!("{{{}: {value}}}", json!(field));
                    let reply = daemon.request(&method.to_uppercase(), &path, &[JSON], body.as_bytes());
                    assert!(reply.status < 500, "{method} {path} with {body}: {reply:?}");
                }
                fields += 1;
            }
        }
    }
    assert!(fields > 40, "the description names the fields");
    assert_eq!(daemon.health()["vault"], "unlocked");
}

#[test]
fn no_value_of_any_parameter_of_any_list_is_a_fault_of_ours() {
    let daemon = Daemon::unlocked();
    let document = exchange(&mut tcp(daemon.address), "GET", "/api/openapi.json", &[], b"").expect(200);
    let mut parameters = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        let path = path.replace("{id}", "01890000-0000-7000-8000-000000000000");
        let named = item["get"]["parameters"].as_array().into_iter().flatten();
        for parameter in named.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            for value in
                ["", "-1", "99999999999999999999", "%00", "%FF", "x%27%3B--", &"a".repeat(5000), "true", "null"]
            {
                let reply = daemon.get(&format!("{path}?{name}={value}"));
                assert!(reply.status < 500, "{path}?{name}={value:.40}: {reply:?}");
            }
            parameters += 1;
        }
    }
    assert!(parameters > 10, "the description names the parameters");
}

#[test]
fn no_name_in_any_address_is_a_fault_of_ours() {
    let daemon = Daemon::unlocked();
    let _service = SetupService::start(&daemon, json!({}));
    let document = crate::contract::document(daemon.address);
    let mut addresses = 0;
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.contains('{')) {
        for odd in ["x", "-1", "%00", "%FF", "%2e%2e", "%2F", "00000000-0000-0000-0000-000000000000", &"a".repeat(5000)]
        {
            let mut path = path.clone();
            while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
                path.replace_range(start..=end, odd);
            }
            let token = format!("Bearer {}", daemon.token);
            for method in item.as_object().unwrap().keys() {
                let headers = [("authorization", token.as_str()), JSON];
                let reply = exchange(&mut tcp(daemon.address), &method.to_uppercase(), &path, &headers, b"{}");
                assert!(reply.status < 500, "{method} {path:.80}: {reply:?}");
            }
        }
        addresses += 1;
    }
    assert!(addresses > 40, "the description names the addresses");
}

/// JSON that fits no field, or fits and is absurd.
const ODD_VALUES: [&str; 10] = [
    "null",
    "true",
    "-1",
    "1e308",
    "18446744073709551615",
    "\"\"",
    "\"\\u0000\\ud83d\\udca9\"",
    "\"9999-12-31T23:59:59Z\"",
    "[{}]",
    "{\"a\": [[[]]]}",
];
