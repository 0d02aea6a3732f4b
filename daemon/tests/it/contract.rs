//! What the API says of itself, held against what it does: every reply of every test must be one that is described.

use std::net::SocketAddr;
use std::sync::OnceLock;

use serde_json::Value;

use crate::client::{Reply, exchange, tcp};

/// The description is the same for every box.
static DOCUMENT: OnceLock<Value> = OnceLock::new();

/// The description of the API.
pub(crate) fn document(address: SocketAddr) -> &'static Value {
    DOCUMENT.get_or_init(|| exchange(&mut tcp(address), "GET", "/api/openapi.json", &[], b"").expect(200))
}

/// The codes that a described refusal names.
pub(crate) fn codes(response: &Value) -> Vec<&str> {
    let description = response["description"].as_str().unwrap_or_default();
    let head = description.split_once(": ").map_or("", |(head, _)| head);
    head.split(", ").map(|code| code.trim_matches('`')).filter(|code| !code.is_empty()).collect()
}

/// Fails when the description knows the address and the method, but not that reply.
#[track_caller]
pub(crate) fn check(address: SocketAddr, method: &str, path: &str, reply: &Reply) {
    let method = if method == "HEAD" { "GET" } else { method };
    let Some((template, item)) = described(document(address), path) else { return };
    let operation = &item[method.to_lowercase()];
    if operation.is_null() {
        assert_eq!(reply.status, 405, "{method} {template} is not described: {reply:?}");
        return;
    }
    let response = &operation["responses"][reply.status.to_string()];
    if reply.header("content-type") == "application/problem+json" && !reply.body.is_empty() {
        let problem = reply.json();
        let code = problem["code"].as_str().unwrap();
        let status = reply.status;
        assert!(codes(response).contains(&code), "{method} {template} does not describe {status} {code}: {problem}");
    } else if reply.status < 400 {
        assert!(response.is_object(), "{method} {template} does not describe {}", reply.status);
    }
}

/// The address of the description that fits best: what stands there as it is counts more than a parameter.
fn described<'a>(document: &'a Value, path: &str) -> Option<(&'a str, &'a Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        let same = |(known, given): (&&str, &&str)| known == given || (known.starts_with('{') && !given.is_empty());
        template.len() == parts.len() && template.iter().zip(&parts).all(same)
    };
    let known = document["paths"].as_object().unwrap().iter();
    let fitting = known.filter(|(template, _)| fits(template));
    fitting.min_by_key(|(template, _)| template.matches('{').count()).map(|(template, item)| (template.as_str(), item))
}
