//! The response reader on answers as the providers send them, and on what they should not send.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use tariff::{Meter, Usage};
use usage::response::{Delivered, Dialect, Format, Reading, ResponseReader, Status, estimate_output_tokens};

fn reader(format: Format) -> ResponseReader {
    ResponseReader::new(Dialect::OpenAiChat, format)
}

fn read(format: Format, answer: &[u8]) -> Reading {
    let mut reader = reader(format);
    reader.feed(answer);
    reader.reading()
}

fn json(answer: &str) -> Reading {
    read(Format::Json, answer.as_bytes())
}

fn stream(answer: &str) -> Reading {
    read(Format::EventStream, answer.as_bytes())
}

/// The reading of a JSON answer with this as its usage.
fn of_usage(usage: &str) -> Reading {
    json(&format!(r#"{{"model":"m","choices":[],"usage":{usage}}}"#))
}

/// The reading of a stream with these usages, one in each chunk.
fn of_usages(usages: &[&str]) -> Reading {
    let chunk = |usage: &&str| format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\n");
    stream(&format!("{}data: [DONE]\n\n", usages.iter().map(chunk).collect::<String>()))
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage::new().with(Meter::InputTokens, input).with(Meter::OutputTokens, output)
}

/// All cuts at one place, all at two places for short answers, and every byte alone.
fn assert_no_cut_matters(format: Format, answer: &[u8]) {
    let whole = read(format, answer);
    let mut bytewise = reader(format);
    for first in 0..=answer.len() {
        let mut once = bytewise.clone();
        once.feed(&answer[first..]);
        assert_eq!(once.reading(), whole, "cut at {first}");
        if answer.len() <= 500 {
            for second in first..=answer.len() {
                let mut twice = bytewise.clone();
                twice.feed(&answer[first..second]);
                twice.feed(&answer[second..]);
                assert_eq!(twice.reading(), whole, "cut at {first} and {second}");
            }
        }
        if let Some(byte) = answer.get(first) {
            bytewise.feed(&[*byte]);
        }
    }
    assert_eq!(bytewise.reading(), whole);
}

const OPENAI_JSON: &str = r#"{
  "id": "chatcmpl-1", "object": "chat.completion", "created": 1750000000, "model": "gpt-4o-2024-08-06",
  "choices": [{"index": 0, "message": {"role": "assistant",
    "content": "{\"usage\":{\"prompt_tokens\":1}} h\u00e9", "refusal": null}, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 5, "cache_write_tokens": 7},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 3, "accepted_prediction_tokens": 1}},
  "service_tier": "default"
}"#;

const OPENAI_STREAM: &str = "data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\
\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n\
data: {\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é \\\"usage\\\"\"},\"finish_reason\":null}],\
\"usage\":null}\n\n\
data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n\
data: [DONE]\n\n";

#[test]
fn openai_document() {
    let usage = tokens(28, 27)
        .with(Meter::CachedTokens, 60)
        .with(Meter::AudioInputTokens, 5)
        .with(Meter::CacheWriteTokens, 7)
        .with(Meter::ReasoningTokens, 20)
        .with(Meter::AudioOutputTokens, 3);
    let expected = Reading {
        usage: Some(usage),
        status: Status::Complete,
        answered_model: Some("gpt-4o-2024-08-06".into()),
        service_tier: Some("default".into()),
        region_tier: None,
        provider_cost: None,
        total_mismatch: false,
        malformed: 0,
        ended: true,
        streamed: false,
        delivered: Delivered {
            bytes: u64::try_from(OPENAI_JSON.len()).unwrap(),
            content_bytes: u64::try_from(r#"{"usage":{"prompt_tokens":1}} hé"#.len()).unwrap(),
            choices: 1,
            ..Delivered::default()
        },
        error_event: false,
        is_blank: false,
    };
    assert_eq!(json(OPENAI_JSON), expected);
    assert_no_cut_matters(Format::Json, OPENAI_JSON.as_bytes());
}

#[test]
fn openai_stream() {
    let expected = Reading {
        usage: Some(tokens(9, 2)),
        status: Status::Complete,
        answered_model: Some("gpt-4o".into()),
        service_tier: None,
        region_tier: None,
        provider_cost: None,
        total_mismatch: false,
        malformed: 0,
        ended: true,
        streamed: true,
        delivered: Delivered {
            bytes: u64::try_from(OPENAI_STREAM.len()).unwrap(),
            events: 4,
            content_events: 1,
            content_bytes: 10,
            uncounted_bytes: 0,
            uncounted_events: 0,
            choices: 1,
            ..Delivered::default()
        },
        error_event: false,
        is_blank: false,
    };
    assert_eq!(stream(OPENAI_STREAM), expected);
}

#[test]
fn cuts_never_matter_in_streams() {
    assert_no_cut_matters(Format::EventStream, OPENAI_STREAM.as_bytes());
    for ending in ["\r\n", "\r"] {
        let answer = OPENAI_STREAM.replace('\n', ending);
        let reading = Reading { delivered: stream(OPENAI_STREAM).delivered, ..stream(&answer) };
        assert_eq!(reading, stream(OPENAI_STREAM), "{ending:?}");
        assert_no_cut_matters(Format::EventStream, answer.as_bytes());
    }
    // Everything that a stream may have, on little space: all pairs of cuts are tried.
    let dense = "\u{feff}: c\r\nevent:message\rid: 1\ndata:{\"model\":\"m\\u00e9\",\r\ndata: \"choices\":[]}\r\rdata\n\n\
        dat: x\nevent: error\n\ndata: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":-2}}\n\ndata:[DONE] \n\n\
        data:[DO\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\\ude00\u{20ac}\"}}],\"usage\":{\"total_tokens\":7}}";
    assert_no_cut_matters(Format::EventStream, dense.as_bytes());
    let reading = stream(dense);
    assert_eq!(reading.answered_model.as_deref(), Some("mé"));
    assert_eq!(reading.usage, Some(tokens(1, 6)));
    assert_eq!((reading.malformed, reading.error_event, reading.delivered.content_bytes), (2, false, 7));
}

#[test]
fn azure_begins_with_an_event_without_choices() {
    let answer = "data: {\"choices\":[],\"model\":\"\",\"prompt_filter_results\":[{\"usage\":{\"prompt_tokens\":5}}]}\n\n\
        data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"model\":\"gpt-4o\"}\n\n";
    let reading = stream(answer);
    assert_eq!((reading.usage, reading.status, reading.ended), (None, Status::Failed, false));
    assert_eq!(reading.answered_model.as_deref(), Some("gpt-4o"));
}

#[test]
fn usage_comes_wherever_the_provider_puts_it() {
    let usage = r#""usage":{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}"#;
    let content = r#"{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}"#;
    // DeepSeek and Mistral: with the last content, after comments; without [DONE]; after [DONE].
    let answers = [
        format!(": keep-alive\n\n\ndata: {{\"choices\":[{content}],{usage}}}\n\ndata: [DONE]\n\n"),
        format!("data: {{\"choices\":[{content}]}}\n\ndata: {{\"choices\":[],{usage}}}\n\n"),
        format!(
            "data: {{{usage}}}\n\ndata: {{\"choices\":[{content}]}}\n\ndata: {{\"ping\":1}}\n\ndata: [DONE]\n\n"
        ),
        format!("data: {{\"choices\":[{content}]}}\n\ndata: [DONE]\n\ndata: {{{usage}}}\n\n"),
        // Groq has it twice in one event, and floats beside it.
        format!(
            "data: {{\"x_groq\":{{{usage}}},\"choices\":[{content}],\
             \"usage\":{{\"queue_time\":0.5,\"prompt_tokens\":4,\"completion_tokens\":6,\"total_tokens\":10}}}}\n\n"
        ),
        // Moonshot has it in the choice.
        format!(
            "data: {{\"choices\":[{{\"index\":0}}]}}\n\n\
             data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\",{usage}}}]}}\n\n"
        ),
        // Neither a reason nor a line end after the marker.
        format!("data: {{\"choices\":[],{usage}}}\n\ndata: [DONE]"),
        // No blank line at the end, nor any line end.
        format!("data: {{\"choices\":[{content}]}}\n\ndata: {{\"choices\":[],{usage}}}"),
    ];
    for answer in answers {
        let reading = stream(&answer);
        assert_eq!(reading.usage, Some(tokens(4, 6)), "{answer}");
        assert_eq!((reading.status, reading.malformed), (Status::Complete, 0), "{answer}");
        assert!(reading.ended, "{answer}");
        assert_no_cut_matters(Format::EventStream, answer.as_bytes());
    }
}

#[test]
fn usage_of_a_choice_is_second_to_that_of_the_answer() {
    let choice = |prompt: u64| format!(r#"{{"usage":{{"prompt_tokens":{prompt},"completion_tokens":1}}}}"#);
    let answer = format!(
        r#"{{"choices":[{},{}],"usage":{{"prompt_tokens":2,"completion_tokens":3}}}}"#,
        choice(8),
        choice(9)
    );
    assert_eq!(json(&answer).usage, Some(tokens(2, 3)));
    let answer = format!(r#"{{"choices":[{},{}],"usage":null}}"#, choice(8), choice(9));
    assert_eq!(json(&answer).usage, Some(tokens(8, 1)));
    let answer = format!(r#"{{"choices":[{{}},{}]}}"#, choice(9));
    assert_eq!(json(&answer).usage, None);
}

#[test]
fn usage_elsewhere_is_none() {
    let elsewhere = [
        r#"{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}","usage":{"prompt_tokens":1}}}]}"#,
        r#"{"data":{"usage":{"prompt_tokens":1}}}"#,
        r#"[{"usage":{"prompt_tokens":1}}]"#,
        r#"{"choices":{"usage":{"prompt_tokens":1}}}"#,
        r#"{"choices":[[{"usage":{"prompt_tokens":1}}]]}"#,
        r#"{"usage ":{"prompt_tokens":1}}"#,
        r#"{"Usage":{"prompt_tokens":1}}"#,
        r#"{"x":{"usage":1}}"#,
        r#"{"error":{"usage":{"prompt_tokens":1}}}"#,
    ];
    for answer in elsewhere {
        let reading = json(answer);
        assert_eq!((reading.usage, reading.status, reading.malformed), (None, Status::Failed, 0), "{answer}");
    }
}

#[test]
fn escapes_in_names_are_read() {
    let reading = json(r#"{"us\u0061ge":{"prompt\u005ftokens":3,"completion_tokens":4}}"#);
    assert_eq!(reading.usage, Some(tokens(3, 4)));
}

#[test]
fn the_last_value_wins_per_field() {
    let cumulative = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}"#,
        r#"{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}"#,
    ]);
    assert_eq!((cumulative.usage, cumulative.status), (Some(tokens(5, 2)), Status::Complete));
    let restated = of_usages(&[
        r#"{"prompt_tokens":60385,"completion_tokens":9}"#,
        r#"{"prompt_tokens":612,"completion_tokens":9}"#,
    ]);
    assert_eq!((restated.usage, restated.status), (Some(tokens(612, 9)), Status::Complete));
    let fields = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":1}"#,
        r#"{"completion_tokens":7}"#,
        "{}",
        "null",
    ]);
    assert_eq!((fields.usage, fields.status), (Some(tokens(5, 7)), Status::Complete));
    let nulls = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}"#,
        r#"{"prompt_tokens":null,"completion_tokens":null,"prompt_tokens_details":null}"#,
        r#"{"prompt_tokens_details":{"cached_tokens":null}}"#,
    ]);
    assert_eq!(
        (nulls.usage, nulls.status),
        (Some(tokens(3, 1).with(Meter::CachedTokens, 2)), Status::Complete)
    );
    let twice_in_one = of_usage(r#"{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens":4}"#);
    assert_eq!(twice_in_one.usage, Some(tokens(4, 1)));
}

#[test]
fn zero_after_a_positive_value_is_not_taken() {
    let zeroed = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":7}"#,
        r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#,
    ]);
    assert_eq!((zeroed.usage, zeroed.status), (Some(tokens(5, 7)), Status::Partial));
    let restated = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":7}"#,
        r#"{"completion_tokens":0}"#,
        r#"{"completion_tokens":8}"#,
    ]);
    assert_eq!((restated.usage, restated.status), (Some(tokens(5, 8)), Status::Partial));
    let zero = of_usage(r#"{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#);
    assert_eq!((zero.usage, zero.status), (Some(tokens(0, 0)), Status::Complete));
    let from_zero = of_usages(&[
        r#"{"prompt_tokens":5,"completion_tokens":0}"#,
        r#"{"prompt_tokens":5,"completion_tokens":3}"#,
    ]);
    assert_eq!((from_zero.usage, from_zero.status), (Some(tokens(5, 3)), Status::Complete));
}

#[test]
fn malformed_counts_are_not_taken() {
    let counts = [
        "-1",
        "-0",
        "1.5",
        "5.0",
        "1e3",
        "\"5\"",
        "true",
        "false",
        "[5]",
        "{\"x\":5}",
        "9007199254740992",
        "18446744073709551616",
        "1e308",
    ];
    for count in counts {
        let reading =
            of_usage(&format!(r#"{{"prompt_tokens":4,"completion_tokens":{count},"total_tokens":10}}"#));
        // The total stands in for what cannot be read.
        assert_eq!((reading.usage, reading.status), (Some(tokens(4, 6)), Status::Partial), "{count}");
        assert_eq!(reading.malformed, 1, "{count}");
        let reading =
            of_usage(&format!(r#"{{"prompt_tokens":4,"completion_tokens":6,"total_tokens":{count}}}"#));
        assert_eq!((reading.usage, reading.status), (Some(tokens(4, 6)), Status::Partial), "{count}");
        let reading = of_usage(&format!(r#"{{"prompt_tokens":{count}}}"#));
        assert_eq!((reading.usage, reading.status, reading.malformed), (None, Status::Failed, 1), "{count}");
        let details = format!(r#"{{"cached_tokens":{count},"audio_tokens":1}}"#);
        let reading = of_usage(&format!(
            r#"{{"prompt_tokens":4,"completion_tokens":6,"prompt_tokens_details":{details}}}"#
        ));
        assert_eq!(reading.usage, Some(tokens(3, 6).with(Meter::AudioInputTokens, 1)), "{count}");
        assert_eq!(reading.status, Status::Partial, "{count}");
    }
    let largest = of_usage(r#"{"prompt_tokens":9007199254740991,"completion_tokens":9007199254740991}"#);
    assert_eq!(largest.usage, Some(tokens(9_007_199_254_740_991, 9_007_199_254_740_991)));
}

#[test]
fn usage_that_is_no_object_is_malformed() {
    for usage in ["5", "\"x\"", "true", "[]", "[{\"prompt_tokens\":1}]"] {
        let reading = of_usage(usage);
        assert_eq!((reading.usage, reading.status, reading.malformed), (None, Status::Failed, 1), "{usage}");
    }
    for usage in ["null", "{}", r#"{"tokens":5}"#, r#"{"prompt_tokens_details":{"cached_tokens":5}}"#] {
        let reading = of_usage(usage);
        assert_eq!((reading.usage, reading.status, reading.malformed), (None, Status::Failed, 0), "{usage}");
    }
    let details = of_usage(r#"{"prompt_tokens":4,"completion_tokens":6,"completion_tokens_details":[]}"#);
    assert_eq!((details.usage, details.status), (Some(tokens(4, 6)), Status::Partial));
}

#[test]
fn parts_larger_than_their_whole_are_cut() {
    let reading = of_usage(
        r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
        "prompt_tokens_details":{"cached_tokens":12,"audio_tokens":3},
        "completion_tokens_details":{"reasoning_tokens":9}}"#,
    );
    let expected = tokens(0, 0).with(Meter::CachedTokens, 10).with(Meter::ReasoningTokens, 5);
    assert_eq!(
        (reading.usage, reading.status, reading.total_mismatch),
        (Some(expected), Status::Partial, false)
    );
}

/// It keeps a connection open until there is an answer.
#[test]
fn white_space_alone_is_no_answer_yet() {
    let mut reader = reader(Format::Json);
    for piece in [" ", "\n\n", "\t \r\n"] {
        reader.feed(piece.as_bytes());
        assert!(reader.reading().is_blank, "{piece:?}");
    }
    reader.feed(br#" {"usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#);
    let reading = reader.reading();
    assert_eq!(
        (reading.usage, reading.status, reading.is_blank),
        (Some(tokens(4, 2)), Status::Complete, false)
    );
}

#[test]
fn a_missing_whole_is_the_rest_of_the_total() {
    let cases = [
        (r#"{"prompt_tokens":4,"total_tokens":10}"#, tokens(4, 6)),
        (r#"{"completion_tokens":4,"total_tokens":10}"#, tokens(6, 4)),
        (r#"{"prompt_tokens":4}"#, Usage::new().with(Meter::InputTokens, 4)),
        (r#"{"completion_tokens":4}"#, Usage::new().with(Meter::OutputTokens, 4)),
        (r#"{"total_tokens":10}"#, tokens(10, 0)),
        (r#"{"prompt_tokens":12,"total_tokens":10}"#, tokens(12, 0)),
    ];
    for (usage, expected) in cases {
        let reading = of_usage(usage);
        assert_eq!((reading.usage, reading.status), (Some(expected), Status::Partial), "{usage}");
    }
}

#[test]
fn reasoning_beside_the_completion_is_told_by_the_total() {
    let usage = |total: u64| {
        of_usage(&format!(
            r#"{{"prompt_tokens":12,"completion_tokens":1,"total_tokens":{total},
            "completion_tokens_details":{{"reasoning_tokens":290,"audio_tokens":0}}}}"#
        ))
    };
    let xai = usage(303);
    assert_eq!(xai.usage, Some(tokens(12, 1).with(Meter::ReasoningTokens, 290)));
    assert_eq!((xai.status, xai.total_mismatch), (Status::Complete, false));
    let inside = usage(13);
    assert_eq!(inside.usage, Some(tokens(12, 0).with(Meter::ReasoningTokens, 1)));
    assert_eq!((inside.status, inside.total_mismatch), (Status::Partial, false));
    assert!(usage(20).total_mismatch);
}

#[test]
fn a_total_that_does_not_match_is_told() {
    let of = |more: &str| {
        let reading = of_usage(&format!(r#"{{"prompt_tokens":4,"completion_tokens":6,{more}}}"#));
        assert_eq!((reading.status, reading.total_mismatch), (Status::Complete, true), "{more}");
        reading.usage
    };
    assert_eq!(of(r#""total_tokens":9"#), Some(tokens(4, 6)));
    // What is beyond both and has no name is reasoning, as Gemini's compatible endpoint has it.
    assert_eq!(of(r#""total_tokens":11"#), Some(tokens(4, 6).with(Meter::ReasoningTokens, 1)));
    let named = r#""total_tokens":15,"completion_tokens_details":{"reasoning_tokens":2}"#;
    assert_eq!(of(named), Some(tokens(4, 4).with(Meter::ReasoningTokens, 2)));
    let seconds = r#""total_tokens":419,"prompt_audio_seconds":12"#;
    assert_eq!(of(seconds), Some(tokens(4, 6).with(Meter::AudioInputTokens, 409).with(Meter::Seconds, 12)));
}

#[test]
fn cached_tokens_under_other_names() {
    for name in ["cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens"] {
        let reading = of_usage(&format!(r#"{{"prompt_tokens":9,"completion_tokens":1,"{name}":4}}"#));
        assert_eq!(reading.usage, Some(tokens(5, 1).with(Meter::CachedTokens, 4)));
        let both = of_usage(&format!(
            r#"{{"{name}":9,"prompt_tokens_details":{{"cached_tokens":4}},"prompt_tokens":9,"completion_tokens":1}}"#
        ));
        assert_eq!(both.usage, Some(tokens(5, 1).with(Meter::CachedTokens, 4)), "not counted twice");
    }
}

#[test]
fn an_answer_that_was_cut_is_partial() {
    for to in 0..OPENAI_JSON.len() {
        let reading = json(&OPENAI_JSON[..to]);
        assert!(!reading.ended && reading.status != Status::Complete, "{to}");
    }
    // A number that may go on is not believed.
    let cut = json(r#"{"usage":{"prompt_tokens":7,"completion_tokens":12"#);
    assert_eq!((cut.usage, cut.status), (Some(Usage::new().with(Meter::InputTokens, 7)), Status::Partial));
    let chunk = |completion: u64| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"ab\"}},\"finish_reason\":null}}],\
             \"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{completion}}}}}\n\n"
        )
    };
    let cumulative = stream(&(chunk(1) + &chunk(2)));
    assert_eq!((cumulative.usage, cumulative.status), (Some(tokens(5, 2)), Status::Partial));
    assert_eq!(cumulative.delivered.content_events, 2);
}

#[test]
fn every_choice_must_finish() {
    let chunk = |index: u32, reason: &str| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"delta\":{{}},\"finish_reason\":{reason}}}]}}\n\n")
    };
    let (first, second) = (chunk(0, "\"stop\""), chunk(1, "\"length\""));
    assert!(!stream(&(chunk(1, "null") + &first)).ended);
    let both = stream(&(chunk(1, "null") + &first + &second));
    assert!(both.ended);
    assert_eq!(both.delivered.choices, 2);
    assert!(!stream(&chunk(0, "\"\"")).ended, "an empty reason is none");
    assert!(stream(&chunk(5_000_000, "\"stop\"")).ended);
}

#[test]
fn errors_are_told() {
    let usage = "data: {\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":6}}\n\n";
    let errors = [
        "data: {\"error\":{\"message\":\"x\"}}\n\n",
        "data: {\"error\":\"x\"}\n\n",
        "event: error\ndata: {\"message\":\"x\"}\n\n",
        "event:error\rdata: {}\r\r",
    ];
    for error in errors {
        let reading = stream(&format!("{usage}{error}data: [DONE]\n\n"));
        assert!(reading.error_event, "{error}");
        assert_eq!((reading.usage, reading.status), (Some(tokens(4, 6)), Status::Partial), "{error}");
    }
    for fine in
        ["data: {\"error\":null}\n\n", "event: errors\ndata: {}\n\n", "event: error\nevent: x\ndata: {}\n\n"]
    {
        let reading = stream(&format!("{usage}{fine}data: [DONE]\n\n"));
        assert_eq!((reading.error_event, reading.status), (false, Status::Complete), "{fine}");
    }
    assert!(json(r#"{"error":{"code":429}}"#).error_event);
}

#[test]
fn what_is_not_json_is_counted() {
    for answer in ["<html>", "{\"a\":}", "data: {}", "\u{1}"] {
        let reading = json(answer);
        assert_eq!((reading.malformed, reading.ended, reading.usage), (1, false, None), "{answer}");
    }
    let answer = "data: oops\n\ndata: {\"a\":\n\ndata: {}}\n\ndata: [DONE]x\n\ndata: [1]\n\ndata: 5\n\n";
    // A bare number is JSON of no use: it counts as unfinished.
    assert_eq!(stream(answer).malformed, 5);
    let doubtful =
        stream("data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}\n\ndata: [DONE]\n\n");
    assert_eq!((doubtful.usage, doubtful.status), (Some(tokens(1, 1)), Status::Partial));
    let nested = json(&format!("{{\"a\":{}", "[".repeat(10_000)));
    assert_eq!((nested.malformed, nested.usage), (1, None));
}

#[test]
fn a_broken_event_says_nothing_of_the_others() {
    let usage = "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n";
    let before = stream(&format!("data: {{\"x\":\"\\ud83d\n\n{usage}data: [DONE]\n\n"));
    assert_eq!((before.usage, before.status, before.malformed), (Some(tokens(1, 1)), Status::Complete, 1));
    let after = stream(&format!("{usage}data: {{\"x\n\ndata: [DONE]\n\n"));
    assert_eq!((after.usage, after.status, after.malformed), (Some(tokens(1, 1)), Status::Complete, 1));
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\n\n";
    let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    assert_eq!(stream(&format!("{half}{whole}")).delivered.content_bytes, 1);
}

#[test]
fn lines_of_data_are_joined_by_a_line_end() {
    let joined =
        stream("data: {\"usage\":{\"prompt_tokens\":1\ndata: ,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n");
    assert_eq!((joined.usage, joined.status), (Some(tokens(1, 2)), Status::Complete));
    let cut_number = stream("data: {\"usage\":{\"prompt_tokens\":1\ndata: 2}}\n\n");
    assert_eq!((cut_number.usage, cut_number.malformed), (Some(Usage::new().with(Meter::InputTokens, 1)), 1));
}

#[test]
fn leading_white_space_and_byte_order_mark_are_skipped() {
    let usage = r#"{"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    for before in ["\n\n \t\r\n", "\u{feff}", "\u{feff}  "] {
        let answer = format!("{before}{usage}\n");
        assert_eq!((json(&answer).usage, json(&answer).status), (Some(tokens(1, 2)), Status::Complete));
        assert_no_cut_matters(Format::Json, answer.as_bytes());
    }
}

#[test]
fn usage_is_the_last_member_of_a_large_body() {
    let content = "x\\\"usage\\\":{ é".repeat(20_000);
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}"#;
    let answer = format!(r#"{{"choices":[{{"message":{{"content":"{content}"}}}}],{usage}}}"#);
    for size in [1, 7, 1024, 16_384, answer.len()] {
        let mut reader = reader(Format::Json);
        answer.as_bytes().chunks(size).for_each(|chunk| reader.feed(chunk));
        assert_eq!(reader.reading(), json(&answer));
    }
    assert_eq!(json(&answer).usage, Some(tokens(1, 2)));
}

#[test]
fn an_event_may_be_of_any_size() {
    let content = "y".repeat(300_000);
    let usage = r#""usage":{"prompt_tokens":1,"completion_tokens":2}"#;
    let event =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}],\ndata: {usage}}}\n\n");
    for size in [1, 1000, event.len()] {
        let mut reader = reader(Format::EventStream);
        event.as_bytes().chunks(size).for_each(|chunk| reader.feed(chunk));
        assert_eq!(reader.reading().usage, Some(tokens(1, 2)));
        assert_eq!(reader.reading().delivered.content_bytes, 300_000);
    }
}

/// With cost growing by the square of the bytes this would not end.
#[test]
fn a_megabyte_without_a_line_end_in_single_bytes() {
    let mut reader = reader(Format::EventStream);
    let line = format!("data: {{\"a\":\"{}", "z\\u00e9".repeat(150_000));
    line.as_bytes().chunks(1).for_each(|byte| reader.feed(byte));
    assert_eq!(reader.reading().delivered.bytes, u64::try_from(line.len()).unwrap());
    assert!(!reader.reading().ended);
}

#[test]
fn generated_text_of_every_kind_is_counted() {
    let reading = json(
        r#"{"choices":[{"message":{"content":"1234","reasoning_content":"12","refusal":"1",
        "tool_calls":[{"id":"nope","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}],
        "audio":{"id":"nope","data":"nope","transcript":"12"}}},
        {"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"123"}]},
        {"type":"text","text":"12345"}]}}]}"#,
    );
    assert_eq!(reading.delivered.content_bytes, 4 + 2 + 1 + 1 + 7 + 2 + 3 + 5);
    assert_eq!(reading.delivered.choices, 2);
}

#[test]
fn the_model_is_the_first_that_is_named() {
    let long = "m".repeat(257);
    let model = |models: &[&str]| {
        let events: String = models.iter().map(|model| format!("data: {{\"model\":{model}}}\n\n")).collect();
        stream(&events).answered_model
    };
    assert_eq!(model(&["\"a\"", "\"b\""]).as_deref(), Some("a"));
    assert_eq!(
        model(&["\"\"", "null", "5", &format!("\"{long}\""), "\"\\ud800\"", "\"b\""]).as_deref(),
        Some("b")
    );
    assert_eq!(model(&[&format!("\"{}\"", &long[1..])]).as_deref(), Some(&long[1..]));
}

#[test]
fn estimates_go_by_bytes_or_events() {
    let delivered =
        |content_bytes, content_events| Delivered { content_bytes, content_events, ..Delivered::default() };
    assert_eq!(estimate_output_tokens(&Delivered::default()), 0);
    assert_eq!(estimate_output_tokens(&delivered(1, 0)), 1);
    assert_eq!(estimate_output_tokens(&delivered(8, 0)), 2);
    assert_eq!(estimate_output_tokens(&delivered(9, 2)), 3);
    assert_eq!(estimate_output_tokens(&delivered(9, 5)), 5);
    assert_eq!(estimate_output_tokens(&delivered(u64::MAX, 0)), 1 << 62);
}

#[test]
fn what_no_count_has_followed_is_told() {
    let uncounted = |dialect, format, answer: &str| {
        let mut reader = ResponseReader::new(dialect, format);
        reader.feed(answer.as_bytes());
        let delivered = reader.reading().delivered;
        (delivered.uncounted_bytes, delivered.uncounted_events)
    };
    let text = r#"data: {"choices":[{"delta":{"content":"abc"}}]}"#;
    let counted = |count: u64| {
        format!(
            r#"data: {{"usage":{{"completion_tokens":{count}}},"choices":[{{"delta":{{"content":"de"}}}}]}}"#
        )
    };
    let chat = |events: &[&str]| uncounted(Dialect::OpenAiChat, Format::EventStream, &events.join("\n\n"));
    assert_eq!(chat(&[text, text, ""]), (6, 2));
    assert_eq!(chat(&[text, &counted(2), ""]), (0, 0));
    assert_eq!(chat(&[text, &counted(2)]), (0, 0), "an event without its end");
    assert_eq!(chat(&[text, &counted(0), ""]), (5, 2), "none is no count");
    assert_eq!(chat(&[&counted(2), text, text, ""]), (6, 2));
    let element =
        |usage: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{{"text":"abc"}}]}}}}]{usage}}}"#);
    let usage = r#","usageMetadata":{"candidatesTokenCount":3}"#;
    let array =
        |elements: &[String]| uncounted(Dialect::Gemini, Format::Json, &format!("[{}", elements.join(",")));
    assert_eq!(array(&[element(usage), element(usage)]), (0, 0));
    assert_eq!(array(&[element(usage), element("")]), (3, 0));
}

#[test]
fn memory_is_fixed() {
    assert!(size_of::<ResponseReader>() <= 2048, "{}", size_of::<ResponseReader>());
}

fn read_at(format: Format, answer: &[u8], cuts: &[prop::sample::Index]) -> Reading {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).collect();
    cuts.sort_unstable();
    let mut reader = reader(format);
    let mut from = 0;
    for to in cuts.into_iter().chain([answer.len()]) {
        reader.feed(&answer[from..to]);
        from = to;
    }
    reader.reading()
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Json), Just(Format::EventStream)]
}

/// Pieces of which streams are made, put together at random.
fn near_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: "),
        Just("data:"),
        Just("data"),
        Just("event: error"),
        Just(": c"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("[DONE]"),
        Just("{"),
        Just("}"),
        Just("\"usage\":"),
        Just("null"),
        Just(","),
        Just("{\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}"),
        Just("\"prompt_tokens\":12"),
        Just("\u{feff}"),
        Just("{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"h\u{e9}\"},\"finish_reason\":\"stop\"}]}"),
        Just("\"completion_tokens\":-1"),
        Just("\"total_tokens\":0"),
        Just("\"choices\":[]"),
        Just("\"model\":\"m\""),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_cuts_of_anything_like_a_stream(answer in near_stream(), format in format(), cuts: [prop::sample::Index; 5]) {
        prop_assert_eq!(read_at(format, &answer, &cuts), read(format, &answer));
    }

    #[test]
    fn any_bytes_are_survived(
        answer in prop::collection::vec(any::<u8>(), 0..200), format in format(), cuts: [prop::sample::Index; 3],
    ) {
        prop_assert_eq!(read_at(format, &answer, &cuts), read(format, &answer));
    }

    #[test]
    fn any_change_of_an_answer_is_survived(at: prop::sample::Index, byte: u8, cuts: [prop::sample::Index; 3]) {
        for (format, answer) in [(Format::Json, OPENAI_JSON), (Format::EventStream, OPENAI_STREAM)] {
            let mut answer = answer.as_bytes().to_vec();
            let at = at.index(answer.len());
            answer[at] = byte;
            prop_assert_eq!(read_at(format, &answer, &cuts), read(format, &answer));
        }
    }

    /// Whatever the parts, the sum of the disjoint counts is the sum of prompt and completion, or more where the total
    /// is, by as much as some part.
    #[test]
    fn no_token_is_lost_or_counted_twice(
        prompt in 0..50_u64, completion in 0..50_u64, total in prop::option::of(0..200_u64),
        parts in prop::array::uniform5(0..60_u64),
    ) {
        let [cached, written, audio_input, reasoning, audio_output] = parts;
        let total_member = total.map_or(String::new(), |total| format!(r#""total_tokens":{total},"#));
        let reading = of_usage(&format!(
            r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},{total_member}
            "prompt_tokens_details":{{"cached_tokens":{cached},"cache_write_tokens":{written},"audio_tokens":{audio_input}}},
            "completion_tokens_details":{{"reasoning_tokens":{reasoning},"audio_tokens":{audio_output}}}}}"#
        ));
        let usage = reading.usage.unwrap();
        let sum: u64 = usage.iter().map(|(_, count)| count).sum();
        let more = total.and_then(|total| total.checked_sub(prompt + completion)).unwrap_or(0);
        let (input, output) = match more {
            more if more == reasoning => (prompt, completion + more),
            more if more == cached + written || more == audio_input => (prompt + more, completion),
            _ => (prompt, completion),
        };
        prop_assert_eq!(sum, input + output);
        let fits = cached + written + audio_input <= input && reasoning + audio_output <= output;
        prop_assert_eq!(reading.status == Status::Complete, fits);
        prop_assert_eq!(reading.total_mismatch, total.is_some_and(|total| total != input + output));
    }
}

fn items(answer: &str) -> Reading {
    let mut reader = ResponseReader::new(Dialect::Items, Format::Json);
    reader.feed(answer.as_bytes());
    reader.reading()
}

#[test]
fn delivered_items_are_counted() {
    for (answer, expected) in [
        (r#"{"created":1,"data":[{"url":"a"},{"b64_json":"b"}]}"#, Some(2)),
        (r#"{"images":["https://a",{"url":"b","data":[1,2,3]}]}"#, Some(2)),
        (r#"{"data":[]}"#, Some(0)),
        (r#"{"data":[null,{}]}"#, Some(1)),
        (r#"{"id":"job_1","status":"queued"}"#, None),
        (r#"{"data":{"url":"a"}}"#, None),
        (r#"{"data":[{"url":"a"},{"url":"#, Some(2)),
    ] {
        let reading = items(answer);
        assert_eq!(reading.delivered.items, expected, "{answer}");
        assert_eq!((reading.usage, reading.status), (None, Status::Failed), "{answer}");
    }
    assert!(items(r#"{"error":{"message":"no"}}"#).error_event);
    assert_eq!(json(r#"{"data":[1,2],"choices":[]}"#).delivered.items, None, "not of a chat completion");
}

#[test]
fn stated_units_are_read() {
    let pages = items(r#"{"content":{"html":"x"},"model":"parse-1","usage":{"pages":12}}"#);
    assert_eq!(pages.usage, Some(Usage::new().with(Meter::Pages, 12)));
    assert_eq!((pages.status, pages.answered_model.as_deref()), (Status::Complete, Some("parse-1")));
    let all = items(
        r#"{"data":[{}],"usage":{"images":1,"seconds":5,"characters":7,"input_tokens":10,"output_tokens":20,"total_tokens":30}}"#,
    );
    let units = Usage::new().with(Meter::Images, 1).with(Meter::Seconds, 5).with(Meter::Characters, 7);
    assert_eq!(all.usage, Some(units.with(Meter::InputTokens, 10).with(Meter::OutputTokens, 20)));
    assert!(!all.total_mismatch);
    let negative = items(r#"{"usage":{"pages":-1}}"#);
    assert_eq!((negative.usage, negative.malformed), (None, 1));
    let cut = items(r#"{"usage":{"pages":3}"#);
    assert_eq!((cut.usage, cut.status), (Some(Usage::new().with(Meter::Pages, 3)), Status::Partial));
}
