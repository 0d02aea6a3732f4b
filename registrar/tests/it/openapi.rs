//! The description of the API is the one in the documents.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::PROGRAM;

fn document() -> String {
    let run = Command::new(PROGRAM).arg("openapi").output().unwrap();
    assert!(run.status.success());
    String::from_utf8(run.stdout).unwrap()
}

#[test]
fn the_document_in_the_tree_is_the_one_of_this_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/registrar.openapi.json");
    let in_the_tree = fs::read_to_string(path).unwrap_or_default();
    let told = "stale: cargo run -p coffer-registrar -- openapi >docs/registrar.openapi.json";
    assert!(in_the_tree == document(), "{told}");
}

#[test]
fn every_route_is_described_with_its_problems() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, route) in methods.as_object().unwrap() {
            described.insert(format!("{method} {path}"));
            assert!(!route["summary"].as_str().unwrap().is_empty());
            let problems =
                route["responses"].as_object().unwrap().iter().filter(|(status, _)| status.as_str() >= "400");
            for (status, response) in problems {
                let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/RegistrarProblem", "{method} {path} {status}");
            }
        }
    }
    let expected = [
        "delete /devices/{id}",
        "get /devices",
        "get /health",
        "post /claim-tickets",
        "post /device-tokens",
        "post /register-device",
    ];
    assert_eq!(described, expected.map(ToOwned::to_owned).into());
}

#[test]
fn the_contract_names_every_code_and_every_route() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/registrar.md")).unwrap();
    let document: Value = serde_json::from_str(&document()).unwrap();
    for code in document["components"]["schemas"]["RegistrarCode"]["enum"].as_array().unwrap() {
        assert!(text.contains(&format!("`{}`", code.as_str().unwrap())), "{code}");
    }
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(text.contains(path), "{path}");
    }
}
