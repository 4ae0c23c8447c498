//! The schema takes what the reader takes and refuses what it refuses for its form.
//!
//! The validator below knows the keywords that the schema uses, `pattern` aside, and fails on any other.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed unwrap is a failed test"
)]

use std::fs;
use std::path::Path;

use serde_json::{Map, Number, Value, json};

use super::super::problem::Report;
use super::super::tree::{self, Node, Value as Tree};
use super::schema;

const SHIPPED: &str = "../../envoy/catalogs/catalog.schema.json";

fn read() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

/// A catalog file as editors hand it to their validators.
fn document(file: &str) -> Value {
    value(&tree::parse(file.as_bytes(), &mut Report::default()).unwrap())
}

fn value(node: &Node) -> Value {
    match &node.value {
        Tree::Null | Tree::Refused => Value::Null,
        Tree::List(items) => items.iter().map(value).collect(),
        Tree::Map(entries) => {
            Value::Object(entries.iter().map(|own| (own.key.clone(), value(&own.node))).collect())
        }
        Tree::Scalar { text, plain } => match (plain, text.as_str(), text.parse::<Number>()) {
            (true, "true", _) => json!(true),
            (true, "false", _) => json!(false),
            (true, _, Ok(number)) => Value::Number(number),
            _ => json!(text),
        },
    }
}

/// What of a document does not fit a schema: paths with reasons.
fn misfits(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "definitions" | "examples" | "pattern" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/definitions/").unwrap();
                misfits(root, &root["definitions"][name], value, path, found);
                true
            }
            "allOf" => {
                rule.as_array().unwrap().iter().for_each(|all| misfits(root, all, value, path, found));
                true
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|any| {
                let mut none = Vec::new();
                misfits(root, any, value, path, &mut none);
                none.is_empty()
            }),
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap())),
                kind => is_a(value, kind.as_str().unwrap()),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|fields| {
                rule.as_array().unwrap().iter().all(|name| fields.contains_key(name.as_str().unwrap()))
            }),
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    misfits(root, rule, item, &format!("{path}[{at}]"), found);
                }
                true
            }
            "properties" | "additionalProperties" => {
                members(root, schema, keyword, value, path, found);
                true
            }
            other => panic!("the validator does not know {other}"),
        };
        if !fits {
            found.push(format!("{path}: {keyword}"));
        }
    }
}

fn members(root: &Value, schema: &Value, keyword: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    let none = Map::new();
    let named = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (name, member) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match (keyword, named.get(name)) {
            ("properties", Some(rule)) => misfits(root, rule, member, &path, found),
            ("additionalProperties", None) => match &schema["additionalProperties"] {
                Value::Bool(false) => found.push(format!("{path}: unknown")),
                rule => misfits(root, rule, member, &path, found),
            },
            _ => {}
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no such type: {other}"),
    }
}

fn said(file: &str) -> Vec<String> {
    let mut found = Vec::new();
    let root = read();
    misfits(&root, &root, &document(file), "", &mut found);
    found
}

/// With `BLESS=1` in the environment the file is written instead of compared.
#[test]
fn the_shipped_schema_is_the_one_that_the_reader_has() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(SHIPPED);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, schema()).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == schema(),
        "write it with BLESS=1, or `bursar catalog schema`"
    );
}

#[test]
fn every_shipped_catalog_fits_the_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy/catalogs");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/constructs/everything.yaml"));
    let others = ["speech", "search", "pictures"].map(|name| format!("tests/sixth/{name}.yaml"));
    files.extend(others.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)));
    assert!(files.len() >= 6);
    for file in files {
        assert_eq!(said(&fs::read_to_string(&file).unwrap()), [""; 0], "{}", file.display());
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let file = "name: Test\nmodels: {m: {price: {per_1m: {token: 1}}}}\nplans: {p: {rates: [{id: r, max: x}], enforce: yes}}\nextra: 1\n";
    let mut found = said(file);
    found.sort();
    assert_eq!(
        found,
        [
            ".extra: unknown",
            ".models.m.price.per_1m.token: unknown",
            ".plans.p.enforce: type",
            ".plans.p.rates[0]: required",
        ]
    );
}
