//! The chunk filter against a plain one that has the whole stream before it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use usage::limits::HELD_BYTES_MAX;
use usage::{Filtered, UsageChunkFilter};

/// The stream without its usage-only events, worked out on the whole of it.
fn expected(stream: &[u8]) -> Vec<u8> {
    let kept = |block: &&Block| !(block.is_usage_only() && block.len_to_blank_line() <= HELD_BYTES_MAX);
    blocks(stream).iter().filter(kept).flat_map(|block| block.lines.concat()).collect()
}

/// The lines of an event, with their ends, and its blank line.
struct Block {
    lines: Vec<Vec<u8>>,
}

impl Block {
    fn is_usage_only(&self) -> bool {
        let data: Vec<Vec<u8>> = self.lines.iter().filter_map(|line| data_of(line)).collect();
        let is_empty_array = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        serde_json::from_slice::<Value>(&data.join(&b'\n')).is_ok_and(|value| {
            value.is_object() && is_empty_array(&value["choices"]) && value["usage"].is_object()
        })
    }

    /// A line feed that follows the carriage return of the blank line does not count: it may never come.
    fn len_to_blank_line(&self) -> usize {
        let len: usize = self.lines.iter().map(Vec::len).sum();
        len - usize::from(self.lines.last().is_some_and(|line| line == b"\r\n"))
    }
}

fn data_of(line: &[u8]) -> Option<Vec<u8>> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let line: Vec<u8> = line.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let value = line.strip_prefix(b"data:")?;
    Some(value.strip_prefix(b" ").unwrap_or(value).to_vec())
}

fn blocks(stream: &[u8]) -> Vec<Block> {
    let mut blocks = vec![Block { lines: Vec::new() }];
    let mut rest = stream;
    while !rest.is_empty() {
        let to_end =
            rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).map_or(rest.len(), |at| at + 1);
        let pair = rest[to_end - 1] == b'\r' && rest.get(to_end) == Some(&b'\n');
        let (line, after) = rest.split_at(to_end + usize::from(pair));
        rest = after;
        blocks.last_mut().unwrap().lines.push(line.to_vec());
        if matches!(line, b"\r" | b"\n" | b"\r\n") {
            blocks.push(Block { lines: Vec::new() });
        }
    }
    blocks
}

/// What comes out for these chunks, and the most that was held back between two of them.
fn filtered<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, usize) {
    let mut filter = UsageChunkFilter::new();
    let (mut output, mut seen, mut held) = (Vec::new(), 0, 0);
    for chunk in chunks {
        match filter.push(chunk) {
            Filtered::Unchanged => output.extend_from_slice(chunk),
            Filtered::Replace(bytes) => output.extend_from_slice(&bytes),
        }
        seen += chunk.len();
        let mut probe = filter.clone();
        held = held.max(probe.finish().map_or(0, |bytes| bytes.len()));
        assert!(output.len() <= seen);
    }
    output.extend(filter.finish().unwrap_or_default());
    assert_eq!(filter.finish(), None, "the rest is given once");
    (output, held)
}

fn filtered_at(stream: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rest = stream;
    let mut chunks = Vec::new();
    for (cut, before) in cuts.iter().zip([0].iter().chain(cuts)) {
        let (chunk, after) = rest.split_at(cut - before);
        chunks.push(chunk);
        rest = after;
    }
    let (output, held) = filtered(chunks.into_iter().chain([rest]));
    assert!(held <= HELD_BYTES_MAX);
    output
}

#[track_caller]
fn assert_filtered(stream: &str, expected_output: &str) {
    let stream = stream.as_bytes();
    assert_eq!(String::from_utf8_lossy(&expected(stream)), expected_output, "the plain filter agrees");
    for first in 0..=stream.len() {
        assert_eq!(
            String::from_utf8_lossy(&filtered_at(stream, &[first])),
            expected_output,
            "cut at {first}"
        );
        if stream.len() <= 250 {
            for second in first..=stream.len() {
                let output = filtered_at(stream, &[first, second]);
                assert_eq!(String::from_utf8_lossy(&output), expected_output, "cut at {first} and {second}");
            }
        }
    }
    let every: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(String::from_utf8_lossy(&filtered_at(stream, &every)), expected_output);
}

const CONTENT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\\"choices\\\":[] é\"}}],\"usage\":null}\n\n";
const USAGE: &str =
    "data: {\"id\":\"x\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn the_usage_event_is_taken_out() {
    assert_filtered(&format!("{CONTENT}{USAGE}{DONE}"), &format!("{CONTENT}{DONE}"));
    assert_filtered(&format!("{USAGE}{CONTENT}"), CONTENT);
    assert_filtered(USAGE, "");
    assert_filtered(&format!("{CONTENT}{USAGE}: c\n\n{USAGE}{DONE}"), &format!("{CONTENT}: c\n\n{DONE}"));
}

#[test]
fn any_line_end_will_do() {
    for end in ["\r", "\r\n"] {
        let turn = |text: &str| text.replace('\n', end);
        assert_filtered(&turn(&format!("{USAGE}{DONE}")), &turn(DONE));
        assert_filtered(&turn(&format!("{DONE}{USAGE}")), &turn(DONE));
    }
    // Line feeds after the line feed of a blank line are blank lines of their own.
    assert_filtered("data:{\"choices\":[],\"usage\":{}}\r\n\r\n\n\r\n", "\n\r\n");
    assert_filtered("data:{\"choices\":[],\"usage\":{}}\r\r\n\n", "\n");
    assert_filtered("data:{\"choices\":[],\"usage\":{}}\n\r\n\r", "\r");
}

#[test]
fn an_event_may_have_several_lines() {
    let event = ": usage\nevent: x\ndata: {\"choices\" : [ ],\ndata:\"usage\" : { \"a\":[{}] } }\nid: 7\n\n";
    assert_filtered(&format!("{event}{DONE}"), DONE);
    assert_filtered(&format!("\u{feff}{event}{DONE}"), DONE);
}

#[test]
fn the_last_event_needs_no_blank_line() {
    assert_filtered(USAGE.trim_end(), "");
    assert_filtered(&format!("{CONTENT}{}", USAGE.trim_end()), CONTENT);
    assert_filtered(&USAGE[..USAGE.len() - 4], &USAGE[..USAGE.len() - 4]);
}

#[test]
fn every_other_event_stays() {
    let events = [
        // Azure's first one.
        "{\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}",
        "{\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}",
        "{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[null],\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":null,\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":{},\"usage\":{}}",
        "{\"choices\":[],\"usage\":[]}",
        "{\"choices\":[],\"usage\":5}",
        "{\"usage\":{\"prompt_tokens\":1}}",
        "{\"choices\":[],\"x\":{\"usage\":{}}}",
        "{\"x\":{\"choices\":[]},\"usage\":{}}",
        "[{\"choices\":[],\"usage\":{}}]",
        "{\"choices\":[],\"usage\":{}",
        "{\"choices\":[],\"usage\":{}}}",
        "\"x\"",
        "",
    ];
    for event in events {
        let stream = format!("data: {event}\n\n");
        assert_filtered(&stream, &stream);
    }
    let others =
        ["\n\n\n", ": c\n\n", "\r\r\n\n", "data", "\u{feff}data: x\n\n", "", "event: x\n\ndat: {\n\n"];
    others.iter().for_each(|stream| assert_filtered(stream, stream));
}

#[test]
fn chunks_of_whole_events_are_not_copied() {
    let mut filter = UsageChunkFilter::new();
    for chunk in [CONTENT, &CONTENT.repeat(3), "", ": c\n\n", DONE, "\n"] {
        assert_eq!(filter.push(chunk.as_bytes()), Filtered::Unchanged, "{chunk}");
    }
    assert_eq!(filter.push(USAGE.as_bytes()), Filtered::Replace(Vec::new()));
    assert_eq!(filter.finish(), None);
}

#[test]
fn an_event_passes_as_soon_as_it_has_a_choice() {
    let mut filter = UsageChunkFilter::new();
    let (head, tail) = CONTENT.as_bytes().split_at(10);
    assert_eq!(filter.push(head), Filtered::Replace(Vec::new()));
    let (middle, tail) = tail.split_at(20);
    assert_eq!(filter.push(middle), Filtered::Replace([head, middle].concat()));
    assert_eq!(filter.push(tail), Filtered::Unchanged);
    assert_eq!(filter.push(&DONE.as_bytes()[..8]), Filtered::Unchanged, "no JSON from its second byte on");
}

#[test]
fn a_long_event_passes() {
    let event = |len: usize| {
        let without = "data: {\"pad\":\"\",\"choices\":[],\"usage\":{}}\n\n".len();
        let pad = "p".repeat(len - without);
        format!("data: {{\"pad\":\"{pad}\",\"choices\":[],\"usage\":{{}}}}\n\n")
    };
    let (fits, too_long) = (event(HELD_BYTES_MAX), event(HELD_BYTES_MAX + 1));
    let stream = format!("{fits}{too_long}{USAGE}{DONE}").into_bytes();
    assert_eq!(expected(&stream), format!("{too_long}{DONE}").into_bytes());
    for size in [1, 3, 100, 4095, 4096, 4097, stream.len()] {
        let (output, held) = filtered(stream.chunks(size));
        assert_eq!(output, format!("{too_long}{DONE}").into_bytes());
        assert!(held <= HELD_BYTES_MAX);
    }
    let unfinished = format!("data: {{\"pad\":\"{}", "p".repeat(HELD_BYTES_MAX));
    let (_, held) = filtered(unfinished.as_bytes().chunks(1));
    assert_eq!(held, HELD_BYTES_MAX, "and it was held as long as it might have been the one");
}

/// With cost growing by the square of the bytes this would not end.
#[test]
fn a_megabyte_without_a_line_end_in_single_bytes() {
    let line = format!("data: {{\"pad\":\"{}", "z\\u00e9".repeat(150_000));
    let mut filter = UsageChunkFilter::new();
    let mut passed = 0;
    for byte in line.as_bytes().chunks(1) {
        passed += match filter.push(byte) {
            Filtered::Unchanged => 1,
            Filtered::Replace(bytes) => bytes.len(),
        };
    }
    assert_eq!(passed, line.len());
}

#[test]
fn memory_is_fixed() {
    assert!(size_of::<UsageChunkFilter>() <= 768, "{}", size_of::<UsageChunkFilter>());
}

/// An event of a stream, in many forms.
fn event() -> impl Strategy<Value = String> {
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2});
    let data = prop_oneof![
        4 => Just(json!({"choices": [], "usage": usage})),
        1 => (0..3000_usize).prop_map(|pad| json!({"a": "x".repeat(pad * 2), "choices": [], "usage": {}})),
        2 => "[a-z\\[\\]{}\":é]{0,20}".prop_map(|text| json!({"choices": [{"delta": {"content": text}}], "usage": null})),
        1 => Just(json!({"choices": [], "prompt_filter_results": []})),
    ];
    let data = (data, any::<bool>()).prop_map(|(data, pretty)| match pretty {
        true => serde_json::to_string_pretty(&data).unwrap().replace('\n', "\ndata: "),
        false => data.to_string(),
    });
    prop_oneof![
        6 => data.prop_map(|data| format!("data: {data}\n\n")),
        1 => Just(DONE.to_owned()),
        1 => Just(": keep-alive\n\n".to_owned()),
        1 => Just("\n".to_owned()),
        1 => "[a-z:{}\\[\\], \"]{0,20}\n".prop_map(|line| line),
    ]
}

/// A stream with line ends of one kind or mixed, perhaps cut short.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line_ends = prop::collection::vec(prop::sample::select(vec!["\n", "\r", "\r\n"]), 1..4);
    (prop::collection::vec(event(), 0..8), line_ends, prop::option::of(any::<prop::sample::Index>()))
        .prop_map(|(events, ends, cut)| {
            let lines = events.concat();
            let ends = ends.iter().cycle();
            let mut bytes: Vec<u8> = lines
                .split_inclusive('\n')
                .zip(ends)
                .flat_map(|(line, end)| line.replace('\n', end).into_bytes())
                .collect();
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        })
}

fn sorted(cuts: &[prop::sample::Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn everything_else_stays_byte_for_byte(stream in stream(), cuts: [prop::sample::Index; 6]) {
        let output = filtered_at(&stream, &sorted(&cuts, stream.len()));
        let (output, wanted) = (String::from_utf8_lossy(&output).into_owned(), expected(&stream));
        prop_assert_eq!(output, String::from_utf8_lossy(&wanted));
    }

    #[test]
    fn chunks_of_any_size(stream in stream(), size in 1..40_usize) {
        let (output, held) = filtered(stream.chunks(size));
        prop_assert!(output == expected(&stream));
        prop_assert!(held <= HELD_BYTES_MAX);
    }

    #[test]
    fn any_bytes_pass(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts: [prop::sample::Index; 4]) {
        prop_assert_eq!(filtered_at(&bytes, &sorted(&cuts, bytes.len())), bytes);
    }
}

/// A host that ends a stream in trailers takes nothing more: what is held back then is lost.
#[test]
fn an_unfinished_event_is_kept_from_the_client_only_where_it_says_nothing() {
    let without_end = |tail: &str| {
        let stream = format!("data: {{\"choices\":[{{\"delta\":{{}}}}]}}\n\n{tail}");
        let mut filter = UsageChunkFilter::new();
        let passed = match filter.push(stream.as_bytes()) {
            Filtered::Unchanged => stream.clone().into_bytes(),
            Filtered::Replace(bytes) => bytes,
        };
        passed.ends_with(tail.as_bytes())
    };
    for readable in [
        "data: [DONE]",
        "data: [DONE]\n",
        "data: hello",
        "data: {\"error\":{\"message\":\"overloaded\"}}",
        "data: {\"error\":{\"message\":\"overloaded\"}}\n",
        "event: error\ndata: {\"error\":{}}\n",
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"half a wo",
    ] {
        assert!(without_end(readable), "{readable}");
    }
    for unreadable in [
        ": ping\n",
        "event: error\n",
        "data: {\"id\":\"x\",\"obj",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n",
    ] {
        assert!(!without_end(unreadable), "{unreadable}");
    }
}
