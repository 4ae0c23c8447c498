//! Features that plans have, and parameters that requests state.

use super::fields::Fields;
use super::limits::{ENTRIES_MAX, FEATURES_MAX, PARAMETERS_MAX};
use super::problem::{Report, quoted};
use super::shape::{Field, Object, Shape, words};
use super::tree::{Node, Value};
use crate::catalog::{FeatureGate, Parameter, ParameterRead};

/// A feature.
pub(super) static FEATURE: Object = Object {
    name: "feature",
    about: "What plans may have and models may ask for. Nothing need be said of it beside its name.",
    fields: &[
        Field::new("title", Shape::Text, "Its name for people; as the name."),
        Field::new(
            "levels",
            Shape::List(&Shape::Name),
            "The levels that a plan may have it at, lowest first; a plan has it or not.",
        ),
        Field::new(
            "header",
            Shape::Text,
            "The header that tells the upstream the plan's level (`x-speed`); none.",
        ),
    ],
};

/// A parameter.
pub(super) static PARAMETER: Object = Object {
    name: "parameter",
    about: "A member of request bodies that prices and limits refer to. Its path alone will do.",
    fields: &[
        Field::required(
            "member",
            Shape::Text,
            "The path of the member, names joined by dots (`n`, `input.size`).",
        ),
        Field::new(
            "read",
            Shape::Words(reads),
            "Its `value` as it stands, the number of `items` of a list, or of `characters` of a text; `value`.",
        ),
    ],
};

/// Reads the features, in the file's order.
pub(super) fn features(node: &Node, report: &mut Report) -> Vec<FeatureGate> {
    let mut gates = Vec::new();
    for entry in node.definitions(FEATURES_MAX, report).unwrap_or_default() {
        entry.defines(report);
        let plain = || FeatureGate {
            feature: entry.key.clone(),
            title: entry.key.clone(),
            levels: Vec::new(),
            header: None,
        };
        let gate = entry.node.or_null(|node| {
            let fields = Fields::of(node, &FEATURE, report)?;
            let title = fields.get("title").and_then(|node| node.text(report));
            let levels = fields.get("levels").and_then(|node| node.set(report, Node::name));
            let levels = levels.unwrap_or_default();
            let header = fields.get("header").and_then(|node| header(node, report));
            if let (Some(node), true) = (fields.get("header"), levels.is_empty()) {
                report.on_with(node, "a header without levels to tell", "levels: [standard, fast]");
            }
            Some(FeatureGate { title: title.unwrap_or_else(|| entry.key.clone()), levels, header, ..plain() })
        });
        gates.push(gate.flatten().unwrap_or_else(plain));
    }
    gates
}

/// The name of a header that the gateway may set.
pub(super) fn header(node: &Node, report: &mut Report) -> Option<String> {
    let name = node.text(report)?;
    if let Some(problem) = header_problem(&name) {
        report.on_with(node, format!("{} {problem}", quoted(&name)), HEADER_HINT);
        return None;
    }
    Some(name)
}

/// What is wrong with the name of a header to be set upstream; nothing where it may be set.
pub(super) fn header_problem(name: &str) -> Option<&'static str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(inner) {
        return Some("is not the name of a header in lower case");
    }
    RESERVED.contains(&name).then_some("is a header that the catalog may not set")
}

/// Reads the parameters.
pub(super) fn parameters(node: &Node, report: &mut Report) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for entry in node.bounded(PARAMETERS_MAX, report).unwrap_or_default() {
        let sound = entry.defines(report);
        let read = match entry.node.value {
            Value::Map(_) => parameter(&entry.node, report),
            _ => member(&entry.node, report).map(|member| (member, ParameterRead::Value)),
        };
        if let (true, Some((member, read))) = (sound, read) {
            parameters.push(Parameter { name: entry.key.clone(), member, read });
        }
    }
    parameters
}

fn parameter(node: &Node, report: &mut Report) -> Option<(String, ParameterRead)> {
    let fields = Fields::of(node, &PARAMETER, report)?;
    let member = fields.get("member").and_then(|node| member(node, report));
    let read = fields.or("read", ParameterRead::Value, |node| node.word("way of reading", &READS, report));
    Some((member?, read?))
}

/// A dotted path of members.
fn member(node: &Node, report: &mut Report) -> Option<String> {
    let path = node.text(report)?;
    let names = path.split('.').count();
    let is_name = |name: &str| !name.is_empty() && name.len() <= MEMBER_BYTES_MAX;
    if !path.split('.').all(is_name) || path.contains(char::is_whitespace) || names > MEMBERS_MAX {
        report.on_with(
            node,
            format!("{} is not a path of members", quoted(&path)),
            "such as `n` or `input.size`: at most four names of 30 bytes",
        );
        return None;
    }
    Some(path)
}

/// Headers that carry the request itself, its authority or what others trust.
const RESERVED: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];
const HEADER_HINT: &str = "such as `x-speed`";
/// How deep a parameter may lie in a body: as deep as the filter notes members.
const MEMBERS_MAX: usize = 4;
/// How long each of their names may be, so that the filter notes the whole path.
const MEMBER_BYTES_MAX: usize = 30;
const READS: [(&str, ParameterRead); 3] = [
    ("value", ParameterRead::Value),
    ("items", ParameterRead::Items),
    (CHARACTERS, ParameterRead::Characters),
];
/// The word for reading how long a text is.
pub(super) const CHARACTERS: &str = "characters";
const _: () = assert!(PARAMETERS_MAX <= ENTRIES_MAX, "a variant may ask for all of them");

fn reads() -> Vec<&'static str> {
    words(&READS)
}
