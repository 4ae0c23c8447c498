//! The JSON Schema of catalog files, written from the tables that the readers take their fields from.
//!
//! Draft 7, which is what editors' YAML plug-ins read best. It knows fields, words and forms of values; references
//! and contradictions are `bursar catalog check`'s.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::document::DOCUMENT;
use super::limits::{MODEL_NAME_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};
use super::shape::{Field, Object, Shape};
use crate::meter::Meter;

/// The schema as text, indented, with a line end.
#[must_use]
pub fn schema() -> String {
    let mut kinds: BTreeMap<&str, Value> = BTreeMap::new();
    let root = object(&DOCUMENT, &mut kinds);
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "bursar catalog",
        "definitions": kinds,
    });
    if let (Value::Object(schema), Value::Object(mut root)) = (&mut schema, root) {
        schema.append(&mut root);
    }
    format!("{schema:#}\n")
}

fn object(object: &'static Object, kinds: &mut BTreeMap<&'static str, Value>) -> Value {
    let properties: Map<String, Value> =
        object.fields.iter().map(|own| (own.name.to_owned(), field(own, kinds))).collect();
    let required: Vec<&str> =
        object.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let mut written = json!({
        "type": "object",
        "description": object.about,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Value::Object(written), false) = (&mut written, required.is_empty()) {
        written.insert("required".to_owned(), json!(required));
    }
    written
}

fn field(field: &'static Field, kinds: &mut BTreeMap<&'static str, Value>) -> Value {
    let mut written = shape(&field.shape, kinds);
    // In draft 7 nothing beside a reference is read.
    if written.get("$ref").is_some() {
        written = json!({ "allOf": [written] });
    }
    if let Value::Object(written) = &mut written {
        written.insert("description".to_owned(), json!(field.about));
    }
    written
}

fn shape(shape: &'static Shape, kinds: &mut BTreeMap<&'static str, Value>) -> Value {
    match shape {
        Shape::Text => json!({"type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX}),
        Shape::Link => json!({"type": "string", "pattern": "^(https://|http://|mailto:)\\S+$"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Whole(min, max) => {
            json!({"type": ["integer", "string"], "minimum": min, "maximum": max, "pattern": "^[0-9]+$"})
        }
        Shape::Amount => number(6),
        Shape::Decimal => number(12),
        Shape::Period => {
            json!({"type": "string", "pattern": "^P[0-9YMWDTHS]+$", "examples": ["P1M", "P7D", "P1Y"]})
        }
        Shape::Instant => json!({
            "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}", "examples": ["2026-01-06"],
        }),
        Shape::Name => {
            json!({"type": "string", "maxLength": NAME_BYTES_MAX, "pattern": "^[a-z0-9][a-z0-9_-]*$"})
        }
        Shape::NamePath => json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9_/-]*$"}),
        Shape::Pattern => json!({"type": "string", "minLength": 1, "maxLength": MODEL_NAME_BYTES_MAX}),
        Shape::Scalar => json!({"type": ["string", "number", "boolean"]}),
        Shape::Words(words) => json!({"enum": words()}),
        Shape::OrNull(other) => json!({"anyOf": [{"type": "null"}, self::shape(other, kinds)]}),
        Shape::List(item) => json!({"type": "array", "items": self::shape(item, kinds)}),
        Shape::Map(METER, value) => {
            let value = self::shape(value, kinds);
            let meters: Map<String, Value> =
                Meter::ALL.iter().map(|meter| (meter.as_str().to_owned(), value.clone())).collect();
            json!({"type": "object", "properties": meters, "additionalProperties": false})
        }
        Shape::Map(_, value) => {
            json!({"type": "object", "additionalProperties": self::shape(value, kinds)})
        }
        Shape::Of(kind) => {
            if !kinds.contains_key(kind.name) {
                // Its place is taken first: a kind that contains itself would never end.
                kinds.insert(kind.name, Value::Null);
                let written = object(kind, kinds);
                kinds.insert(kind.name, written);
            }
            json!({"$ref": format!("#/definitions/{}", kind.name)})
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|other| self::shape(other, kinds)).collect();
            json!({"anyOf": any})
        }
    }
}

/// An exact decimal, quoted or not.
fn number(digits: usize) -> Value {
    json!({
        "type": ["number", "string"],
        "minimum": 0,
        "pattern": format!("^[0-9]+(\\.[0-9]{{1,{digits}}})?$"),
    })
}

/// The kind of mapping whose keys are the meters.
const METER: &str = "meter";

#[cfg(test)]
#[path = "schema_test.rs"]
mod tests;
