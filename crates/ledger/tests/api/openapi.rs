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

/// The documentation's text, and what commands it shows.
const DOCS: [&str; 2] =
    [include_str!("../../../../docs/api.md"), include_str!("../../../../docs/operations.md")];

#[test]
fn every_operation_has_its_place_in_the_documentation() {
    let document: Value = serde_json::from_str(&ledger::http::document().to_json().unwrap()).unwrap();
    let docs = DOCS.concat();
    // `/resources/projects {"add": 1}` stands for `/resources/{name}`.
    let shown = |path: &str| {
        let steps: Vec<&str> = path.split('/').collect();
        docs.match_indices(&format!("{}/", steps[1]))
            .map(|(at, _)| at)
            .chain(docs.match_indices(steps[1]).map(|(at, _)| at))
            .any(|at| {
                let text: String = docs[at..].chars().take_while(|c| !" `?|\n".contains(*c)).collect();
                let text: Vec<&str> = text.split('/').collect();
                let same = |(own, step): (&&str, &&str)| step.starts_with('{') || own == step;
                text.len() == steps.len() - 1 && text.iter().zip(&steps[1..]).all(same)
            })
    };
    let paths = document["paths"].as_object().unwrap().keys();
    for path in paths.filter(|path| !path.starts_with("/v1/edge/")) {
        let tail =
            path.strip_prefix("/v1/accounts/{account}").filter(|tail| !tail.is_empty()).unwrap_or(path);
        assert!(shown(tail), "{path} is in no documentation");
    }
}

#[test]
fn every_command_has_its_place_in_the_documentation() {
    let docs =
        DOCS.concat() + include_str!("../../../../README.md") + include_str!("../../../../docs/catalog.md");
    let listed = |words: &[&str]| -> Vec<String> {
        let help = crate::process::bursar().args(words).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
        let lines = commands.lines().take_while(|line| !line.is_empty());
        let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
        names.filter(|name| name != "help").collect()
    };
    let mut missing = Vec::new();
    let all = listed(&[]);
    assert!(all.len() > 25, "{all:?}");
    for command in &all {
        let inner = listed(&[command]);
        let shown = |words: String| docs.contains(&format!("bursar {words}"));
        if inner.is_empty() && !shown(command.clone()) {
            missing.push(command.clone());
        }
        // `bursar account suspend` / `resume` / `close` are shown in one cell.
        let named = |name: &str| shown(format!("{command} {name}")) || docs.contains(&format!("`{name}"));
        missing.extend(inner.iter().filter(|name| !named(name)).map(|name| format!("{command} {name}")));
    }
    assert_eq!(missing, Vec::<String>::new(), "commands that no documentation shows");
}
