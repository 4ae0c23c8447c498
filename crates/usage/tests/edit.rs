//! Edits: only the member meant changes, and only the bytes that must.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use usage::request::edit::{OutputBound, apply, include_usage, max_tokens, prefix_len};
use usage::request::{Edit, RequestDialect, RequestFacts, RequestScanner};

fn facts(body: &str) -> RequestFacts {
    let mut scanner = RequestScanner::new(RequestDialect::OpenAi);
    scanner.feed(body.as_bytes()).unwrap();
    scanner.finish().unwrap()
}

/// The body after the edits, made as the filter makes them: on the shortest prefix.
fn edited(body: &str, edits: &[Edit]) -> String {
    let prefix = usize::try_from(prefix_len(edits)).unwrap();
    let mut bytes = apply(&body.as_bytes()[..prefix], edits);
    bytes.extend_from_slice(&body.as_bytes()[prefix..]);
    String::from_utf8(bytes).unwrap()
}

fn with_usage(body: &str) -> String {
    let edits: Vec<Edit> = include_usage(&facts(body)).into_iter().collect();
    edited(body, &edits)
}

fn capped(body: &str, cap: u64) -> String {
    edited(body, &max_tokens(&facts(body), cap, OutputBound::Chat))
}

#[test]
fn include_usage_is_set_where_it_is_missing() {
    let cases = [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (" { \"stream\":true}", " {\"stream_options\":{\"include_usage\":true}, \"stream\":true}"),
        (
            r#"{"stream":true,"stream_options":null}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options":{},"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream_options":{ },"stream":true}"#,
            r#"{"stream_options":{"include_usage":true },"stream":true}"#,
        ),
        (
            r#"{"stream_options": { "x" : 1e2 } ,"stream":true}"#,
            r#"{"stream_options": {"include_usage":true, "x" : 1e2 } ,"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"x":"é","include_usage" : false },"stream":true}"#,
            r#"{"stream_options":{"x":"é","include_usage" : true },"stream":true}"#,
        ),
        (
            r#"{"stream_options":{"include\u005fusage":null},"stream":true}"#,
            r#"{"stream_options":{"include\u005fusage":true},"stream":true}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(with_usage(body), expected);
    }
}

#[test]
fn include_usage_is_left_alone_where_it_is_set_or_of_no_use() {
    let bodies = [
        "{}",
        r#"{"stream":false}"#,
        r#"{"stream":null,"stream_options":null}"#,
        r#"{"stream_options":{"include_usage":false}}"#,
        r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
    ];
    for body in bodies {
        assert_eq!(include_usage(&facts(body)), None, "{body}");
        assert_eq!(with_usage(body), body);
    }
}

#[test]
fn bounds_are_lowered_to_the_cap_or_put_in() {
    let cases = [
        ("{}", r#"{"max_tokens":50}"#),
        (" {  } ", " {\"max_tokens\":50  } "),
        (r#"{"a":1}"#, r#"{"max_tokens":50,"a":1}"#),
        (r#"{"max_tokens":51}"#, r#"{"max_tokens":50}"#),
        (r#"{"max_tokens":50}"#, r#"{"max_tokens":50}"#),
        (r#"{"max_tokens":5}"#, r#"{"max_tokens":5}"#),
        (r#"{"max_tokens":null}"#, r#"{"max_tokens":50}"#),
        (r#"{"max_completion_tokens":null}"#, r#"{"max_tokens":50,"max_completion_tokens":null}"#),
        (r#"{"max_completion_tokens":1000 }"#, r#"{"max_completion_tokens":50 }"#),
        (
            r#"{"max_output_tokens":1000,"max_tokens":7,"max_completion_tokens":9007199254740991}"#,
            r#"{"max_output_tokens":50,"max_tokens":7,"max_completion_tokens":50}"#,
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(capped(body, 50), expected);
    }
}

#[test]
fn edits_at_one_place_go_together() {
    let body = r#"{"stream":true,"x":1}"#;
    let facts = facts(body);
    let mut edits = max_tokens(&facts, 9, OutputBound::Chat);
    edits.extend(include_usage(&facts));
    let expected = r#"{"max_tokens":9,"stream_options":{"include_usage":true},"stream":true,"x":1}"#;
    assert_eq!(edited(body, &edits), expected);
    assert_eq!(prefix_len(&edits), 1, "insertions need no more than the bracket");
    edits.reverse();
    let expected = r#"{"stream_options":{"include_usage":true},"max_tokens":9,"stream":true,"x":1}"#;
    assert_eq!(edited(body, &edits), expected);
}

#[test]
fn edits_out_of_place_are_left_out() {
    let edit = |start, end| Edit { start, end, replacement: b"X".to_vec() };
    assert_eq!(apply(b"abcd", &[edit(1, 9)]), b"abcd");
    assert_eq!(apply(b"abcd", &[edit(3, 2)]), b"abcd");
    assert_eq!(apply(b"abcd", &[edit(0, 2), edit(1, 3)]), b"Xcd");
    assert_eq!(apply(b"abcd", &[edit(3, 4), edit(1, 2), edit(1, 1)]), b"aXXcX");
    assert_eq!(apply(b"abcd", &[edit(u64::MAX, u64::MAX)]), b"abcd");
    assert_eq!(apply(b"abcd", &[]), b"abcd");
    assert_eq!(apply(b"", &[edit(0, 0)]), b"X");
    assert_eq!(prefix_len(&[]), 0);
}

fn body() -> impl Strategy<Value = String> {
    let options = prop_oneof![
        Just(""),
        Just(r#","stream_options":null"#),
        Just(r#","stream_options":{}"#),
        Just(r#","stream_options":{"a":[1,{"include_usage":false}]}"#),
        Just(r#","stream_options" : { "a":"}" ,"include_usage" : false , "b":null}"#),
        Just(r#","stream_options":{"include_usage":null}"#),
        Just(r#","stream_options":{"include_usage":true}"#),
    ];
    let bound = |name: &'static str| {
        prop_oneof![
            Just(String::new()),
            Just(format!(r#", "{name}": null"#)),
            (0..2000_u64).prop_map(move |value| format!(r#","{name}" : {value}"#)),
        ]
    };
    let stream = prop_oneof![Just("true"), Just("false"), Just("null")];
    (
        stream,
        options,
        bound("max_tokens"),
        bound("max_completion_tokens"),
        bound("max_output_tokens"),
        any::<bool>(),
    )
        .prop_map(|(stream, options, first, second, third, options_last)| {
            let members = match options_last {
                true => format!("{first}{second}{third}{options}"),
                false => format!("{options}{third}{second}{first}"),
            };
            format!(
                " {{ \"stream\":{stream}{members},\"messages\":[{{\"content\":\"é\\u00e9\"}}],\"x\":1.50}}\n"
            )
        })
}

proptest! {
    #[test]
    fn only_the_members_meant_change(body in body(), cap in 1..2000_u64, first: bool) {
        let facts = facts(&body);
        let mut edits = Vec::new();
        if first {
            edits.extend(include_usage(&facts));
        }
        edits.extend(max_tokens(&facts, cap, OutputBound::Chat));
        if !first {
            edits.extend(include_usage(&facts));
        }
        let after = edited(&body, &edits);
        let prefix = usize::try_from(prefix_len(&edits)).unwrap();
        prop_assert!(after.ends_with(&body[prefix..]));

        let mut expected: Value = serde_json::from_str(&body).unwrap();
        let names = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
        // The last is another API's.
        if names[..2].iter().all(|name| !expected[*name].is_u64()) {
            expected["max_tokens"] = json!(cap);
        }
        for name in names {
            if expected[name].as_u64().is_some_and(|value| value > cap || value == 0) {
                expected[name] = json!(cap);
            } else if expected[name].is_null() && !body.contains(&format!("\"{name}\"")) {
                expected.as_object_mut().unwrap().remove(name);
            }
        }
        if expected["stream"] == true {
            expected["stream_options"]["include_usage"] = json!(true);
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected);
        // Nothing stands twice after it, and there is nothing more to do.
        let again = self::facts(&after);
        prop_assert_eq!(include_usage(&again), None);
        prop_assert_eq!(max_tokens(&again, cap, OutputBound::Chat), Vec::new());
    }
}

#[test]
fn each_dialect_has_its_own_bound() {
    let bounded = |dialect, bound, body: &str| {
        let mut scanner = RequestScanner::new(dialect);
        scanner.feed(body.as_bytes()).unwrap();
        let edits = max_tokens(&scanner.finish().unwrap(), 9, bound);
        edited(body, &edits)
    };
    for (body, expected) in [
        (r#"{"model":"m"}"#, r#"{"max_output_tokens":9,"model":"m"}"#),
        (r#"{"max_output_tokens":null}"#, r#"{"max_output_tokens":9}"#),
        (r#"{"max_output_tokens":10}"#, r#"{"max_output_tokens":9}"#),
        (r#"{"max_output_tokens":8}"#, r#"{"max_output_tokens":8}"#),
    ] {
        assert_eq!(bounded(RequestDialect::OpenAi, OutputBound::MaxOutputTokens, body), expected, "{body}");
    }
    for (body, expected) in [
        ("{}", r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"contents":[]}"#, r#"{"generationConfig":{"maxOutputTokens":9},"contents":[]}"#),
        (r#"{"generationConfig":null}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generationConfig":{}}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generation_config": {"topK":1}}"#, r#"{"generation_config": {"maxOutputTokens":9,"topK":1}}"#),
        (
            r#"{"generationConfig":{"max_output_tokens":null}}"#,
            r#"{"generationConfig":{"max_output_tokens":9}}"#,
        ),
        (r#"{"generationConfig":{"maxOutputTokens":10}}"#, r#"{"generationConfig":{"maxOutputTokens":9}}"#),
        (r#"{"generationConfig":{"maxOutputTokens":8}}"#, r#"{"generationConfig":{"maxOutputTokens":8}}"#),
        (
            r#"{"maxOutputTokens":7,"x":{"maxOutputTokens":7}}"#,
            r#"{"generationConfig":{"maxOutputTokens":9},"maxOutputTokens":7,"x":{"maxOutputTokens":7}}"#,
        ),
    ] {
        assert_eq!(
            bounded(RequestDialect::Gemini, OutputBound::Within("generationConfig", "maxOutputTokens"), body),
            expected,
            "{body}"
        );
    }
}
