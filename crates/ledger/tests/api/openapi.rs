//! The API's description is part of the contract: it changes on purpose only.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Server;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi.json");

#[test]
fn the_description_is_the_golden_file() {
    let text = ledger::http::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("BURSAR_BLESS").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        text == golden,
        "the API's description differs from crates/ledger/tests/openapi.json; where that is meant, write it anew:\n  \
         BURSAR_BLESS=1 cargo test -p ledger --test api openapi"
    );
}

#[test]
fn it_is_served() {
    let server = Server::start();
    let served = server.call("GET", "/openapi.json", &[], None).ok(200);
    let document: Value = serde_json::from_str(&ledger::http::document().to_pretty_json().unwrap()).unwrap();
    assert_eq!(served, document);
}

#[test]
fn every_operation_says_who_may_call_it_and_how_it_is_refused() {
    let document: Value = serde_json::from_str(&ledger::http::document().to_json().unwrap()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            assert!(
                names.insert(operation["operationId"].as_str().unwrap_or_default().to_owned()),
                "{place}: two of one name"
            );
            let schemes: Vec<&String> = operation["security"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|scheme| scheme.as_object().unwrap().keys())
                .collect();
            let expected: &[&str] = match path {
                path if path.starts_with("/v1/edge/") => &["edge"],
                path if path.starts_with("/v1/") => &["admin"],
                path if path.starts_with("/manage/") => &["api_key"],
                _ => &[],
            };
            assert_eq!(schemes, expected, "{place}");
            if path.starts_with("/v1/") {
                for status in ["401", "403", "503"] {
                    let schema =
                        &operation["responses"][status]["content"]["application/problem+json"]["schema"];
                    assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{place} {status}");
                }
            }
        }
    }
    assert!(names.len() >= 31, "{names:?}");
}

#[test]
fn no_reference_dangles() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    found.insert(reference.to_owned());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(&ledger::http::document().to_json().unwrap()).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
