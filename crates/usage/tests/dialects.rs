//! Answers of each dialect, as the providers word them: what they come to, whole and cut at any byte.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use tariff::{Meter, Usage};
use usage::response::{Dialect, Format, Reading, ResponseReader, Status};

fn read(dialect: Dialect, format: Format, pieces: &[&[u8]]) -> Reading {
    let mut reader = ResponseReader::new(dialect, format);
    pieces.iter().for_each(|piece| reader.feed(piece));
    reader.reading()
}

/// What an answer comes to, cut at every byte.
fn reading(dialect: Dialect, format: Format, answer: &str) -> Reading {
    let bytes = answer.as_bytes();
    let whole = read(dialect, format, &[bytes]);
    for at in 0..bytes.len() {
        let (before, after) = bytes.split_at(at);
        assert_eq!(read(dialect, format, &[before, after]), whole, "cut at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(dialect, format, &single), whole, "byte by byte");
    whole
}

fn json(dialect: Dialect, answer: &str) -> Reading {
    reading(dialect, Format::Json, answer)
}

/// A stream of events with these data; those with a `type` have it as the event's name too.
fn stream(dialect: Dialect, data: &[&str]) -> Reading {
    let event = |data: &&str| {
        let data = data.replace('\n', " ");
        let name = serde_json::from_str::<serde_json::Value>(&data).ok();
        let name = name.and_then(|data| data.get("type")?.as_str().map(str::to_owned));
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {data}\n\n")
    };
    reading(dialect, Format::EventStream, &data.iter().map(event).collect::<String>())
}

fn usage(counts: &[(Meter, u64)]) -> Option<Usage> {
    Some(counts.iter().fold(Usage::new(), |usage, (meter, count)| usage.with(*meter, *count)))
}

#[track_caller]
fn assert_whole(reading: &Reading, expected: &[(Meter, u64)]) {
    assert_eq!(reading.usage, usage(expected));
    assert_eq!((reading.status, reading.ended, reading.total_mismatch), (Status::Complete, true, false));
}

#[track_caller]
fn assert_partial(reading: &Reading, expected: &[(Meter, u64)]) {
    assert_eq!((reading.usage.clone(), reading.status), (usage(expected), Status::Partial));
}

const RESPONSE_USAGE: &str = r#"{"input_tokens":75,"input_tokens_details":{"cached_tokens":64},"output_tokens":1186,
 "output_tokens_details":{"reasoning_tokens":1024},"total_tokens":1261}"#;
const RESPONSE_COUNTS: [(Meter, u64); 4] = [
    (Meter::InputTokens, 11),
    (Meter::CachedTokens, 64),
    (Meter::OutputTokens, 162),
    (Meter::ReasoningTokens, 1024),
];

#[test]
fn a_response_states_its_usage_in_the_document() {
    let answer = format!(
        r#"{{"id":"resp_1","object":"response","error":null,"model":"gpt-5-2025-08-07","status":"completed",
        "output":[{{"type":"reasoning","summary":[{{"type":"summary_text","text":"so"}}]}},
        {{"type":"message","content":[{{"type":"output_text","text":"hello","annotations":[]}}]}},
        {{"type":"function_call","name":"f","arguments":"{{}}"}}],"usage":{RESPONSE_USAGE}}}"#
    );
    let reading = json(Dialect::OpenAiResponses, &answer);
    assert_whole(&reading, &RESPONSE_COUNTS);
    assert_eq!(reading.answered_model.as_deref(), Some("gpt-5-2025-08-07"));
    assert_eq!(reading.delivered.content_bytes, 2 + 5 + 1 + 2);
}

#[test]
fn a_streamed_response_states_its_usage_in_the_last_event() {
    let created =
        r#"{"type":"response.created","response":{"model":"gpt-5","error":null,"usage":null,"output":[]}}"#;
    let delta = r#"{"type":"response.output_text.delta","item_id":"m","delta":"hello"}"#;
    let echoed = r#"[{"content":[{"text":"hello"}]}]"#;
    for (last, is_error) in [("completed", false), ("incomplete", false), ("failed", true)] {
        let error = if is_error { r#"{"code":"server_error","message":"no"}"# } else { "null" };
        let end = format!(
            r#"{{"type":"response.{last}","response":{{"model":"gpt-5","error":{error},"output":{echoed},"usage":{RESPONSE_USAGE}}}}}"#
        );
        let reading = stream(Dialect::OpenAiResponses, &[created, delta, &end]);
        assert_eq!(reading.usage, usage(&RESPONSE_COUNTS), "{last}");
        assert_eq!((reading.ended, reading.error_event), (true, is_error), "{last}");
        assert_eq!(reading.status == Status::Complete, !is_error, "{last}");
        assert_eq!(reading.delivered.content_bytes, 5, "{last}: what is repeated is not generated twice");
    }
    let cut = stream(Dialect::OpenAiResponses, &[created, delta]);
    assert_eq!((cut.usage, cut.ended, cut.status), (None, false, Status::Failed));
}

#[test]
fn an_older_completion_is_read_like_a_chat() {
    let answer = r#"{"object":"text_completion","model":"m",
        "choices":[{"text":"hi","index":0,"finish_reason":"length"}],
        "usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12}}"#;
    let reading = json(Dialect::OpenAiChat, answer);
    assert_whole(&reading, &[(Meter::InputTokens, 5), (Meter::OutputTokens, 7)]);
    assert_eq!(reading.delivered.content_bytes, 2);
}

#[test]
fn embeddings_are_input_alone() {
    let answer = |usage: &str| {
        let data = r#"[{"object":"embedding","index":0,"embedding":[0.1,-0.2]}]"#;
        json(Dialect::Embeddings, &format!(r#"{{"data":{data},"model":"e","usage":{usage}}}"#))
    };
    assert_whole(&answer(r#"{"prompt_tokens":8,"total_tokens":8}"#), &[(Meter::InputTokens, 8)]);
    assert_whole(&answer(r#"{"total_tokens":8}"#), &[(Meter::InputTokens, 8)]);
    assert!(answer(r#"{"prompt_tokens":8,"total_tokens":9}"#).total_mismatch);
    assert_eq!(answer("{}").usage, None);
}

/// What was not billed does not stand for what was, where that cannot be read.
#[test]
fn billed_units_that_cannot_be_read_are_not_made_up_for() {
    let answer = |billed: &str| {
        let usage =
            format!(r#"{{"tokens":{{"input_tokens":507,"output_tokens":11}},"billed_units":{billed}}}"#);
        json(Dialect::CohereChat, &format!(r#"{{"usage":{usage}}}"#))
    };
    let tokens = &[(Meter::InputTokens, 507), (Meter::OutputTokens, 11)];
    assert_whole(&answer("null"), tokens);
    assert_whole(&answer("{}"), tokens);
    for unreadable in [r#"{"input_tokens":12.5,"output_tokens":"3"}"#, "[12,3]"] {
        let reading = answer(unreadable);
        assert_eq!((reading.usage, reading.status), (None, Status::Failed), "{unreadable}");
        assert!(reading.malformed > 0, "{unreadable}");
    }
    assert_partial(&answer(r#"{"input_tokens":12.5,"output_tokens":3.0}"#), &[(Meter::OutputTokens, 3)]);
}

#[test]
fn a_message_s_cache_is_beside_its_input() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5",
        "content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"hello"},
        {"type":"tool_use","id":"t","name":"f","input":{"input_tokens":1}}],"stop_reason":"tool_use",
        "usage":{"input_tokens":21,"cache_creation_input_tokens":300,"cache_read_input_tokens":1885,
        "cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},
        "output_tokens":393,"output_tokens_details":{"thinking_tokens":93},
        "server_tool_use":{"web_search_requests":2,"web_fetch_requests":1},"service_tier":"standard"}}"#;
    let reading = json(Dialect::Anthropic, answer);
    let expected = [
        (Meter::InputTokens, 21),
        (Meter::CachedTokens, 1885),
        (Meter::CacheWriteTokens, 100),
        (Meter::CacheWriteHourTokens, 200),
        (Meter::OutputTokens, 300),
        (Meter::ReasoningTokens, 93),
        (Meter::Searches, 2),
    ];
    assert_whole(&reading, &expected);
    assert_eq!(reading.answered_model.as_deref(), Some("claude-sonnet-4-5"));
    assert_eq!(reading.delivered.content_bytes, 7);
}

#[test]
fn what_is_written_to_the_cache_has_a_lifetime_and_short_is_the_default() {
    let written = |members: &str| {
        let answer = format!(r#"{{"usage":{{"input_tokens":1,"output_tokens":1,{members}}}}}"#);
        let reading = json(Dialect::Anthropic, &answer);
        let usage = reading.usage.unwrap();
        ((usage.get(Meter::CacheWriteTokens), usage.get(Meter::CacheWriteHourTokens)), reading.status)
    };
    let by = |short: u64, hour: u64| {
        format!(
            r#""cache_creation":{{"ephemeral_5m_input_tokens":{short},"ephemeral_1h_input_tokens":{hour}}}"#
        )
    };
    let total = |count: u64| format!(r#""cache_creation_input_tokens":{count}"#);
    let (complete, partial) = (Status::Complete, Status::Partial);
    assert_eq!(written(&total(9)), ((9, 0), complete));
    assert_eq!(written(&by(4, 5)), ((4, 5), complete));
    assert_eq!(written(&format!("{},{}", total(9), by(4, 5))), ((4, 5), complete));
    assert_eq!(written(&format!("{},{}", total(12), by(4, 5))), ((7, 5), partial), "not less than the total");
    assert_eq!(written(&format!("{},{}", total(6), by(4, 5))), ((4, 5), partial), "not less than the parts");
}

const STARTED: &str = r#"{"type":"message_start","message":{"model":"claude-sonnet-4-5","content":[],
    "usage":{"input_tokens":1051,"cache_read_input_tokens":10,"cache_creation_input_tokens":0,"output_tokens":2}}}"#;
const GENERATED: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#;
const STOPPED: &str = r#"{"type":"message_stop"}"#;

#[test]
fn a_streamed_message_states_its_input_first_and_may_state_it_again() {
    let of_input = |input, output| {
        [(Meter::InputTokens, input), (Meter::CachedTokens, 10), (Meter::OutputTokens, output)]
    };
    let streamed = |usage: &str| {
        let delta =
            format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{usage}}}"#);
        stream(Dialect::Anthropic, &[STARTED, r#"{"type":"ping"}"#, GENERATED, &delta, STOPPED])
    };
    let reading = streamed(r#"{"output_tokens":40}"#);
    assert_whole(&reading, &of_input(1051, 40));
    assert_eq!(reading.delivered.content_bytes, 5);
    assert_whole(&streamed(r#"{"input_tokens":4727,"output_tokens":40}"#), &of_input(4727, 40));
    assert_whole(&streamed(r#"{"input_tokens":612,"output_tokens":40}"#), &of_input(612, 40));
    assert_partial(&streamed(r#"{"input_tokens":0,"output_tokens":40}"#), &of_input(1051, 40));
}

#[test]
fn a_message_that_breaks_off_is_what_it_had_stated() {
    let so_far = [(Meter::InputTokens, 1051), (Meter::CachedTokens, 10), (Meter::OutputTokens, 2)];
    let cut = stream(Dialect::Anthropic, &[STARTED, GENERATED]);
    assert_partial(&cut, &so_far);
    assert!(!cut.ended);
    // With the reason why it ended come the last counts.
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":40}}"#;
    let counted = [(Meter::InputTokens, 1051), (Meter::CachedTokens, 10), (Meter::OutputTokens, 40)];
    assert_whole(&stream(Dialect::Anthropic, &[STARTED, GENERATED, delta]), &counted);
    let begun = format!("data: {}\n\ndata: {}", STARTED.replace('\n', " "), delta.split_at(70).0);
    assert_partial(&reading(Dialect::Anthropic, Format::EventStream, &begun), &so_far);
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let failed = stream(Dialect::Anthropic, &[STARTED, GENERATED, error]);
    assert_partial(&failed, &so_far);
    assert!(failed.error_event);
}

#[test]
fn rounds_that_are_billed_one_by_one_stand_for_the_counts_beside_them() {
    let rounds = r#"[{"type":"compaction","input_tokens":60385,"output_tokens":700},
        {"type":"message","input_tokens":612,"output_tokens":40,"cache_read_input_tokens":8}]"#;
    let delta = format!(
        r#"{{"type":"message_delta","delta":{{}},"usage":{{"input_tokens":612,"output_tokens":40,
        "server_tool_use":{{"web_search_requests":1}},"iterations":{rounds}}}}}"#
    );
    let expected = [
        (Meter::InputTokens, 60997),
        (Meter::CachedTokens, 8),
        (Meter::OutputTokens, 740),
        (Meter::Searches, 1),
    ];
    assert_whole(&stream(Dialect::Anthropic, &[STARTED, &delta, STOPPED]), &expected);
    assert_whole(&stream(Dialect::Anthropic, &[STARTED, &delta, &delta, STOPPED]), &expected);
    // A list that breaks off says less than the counts beside it.
    let told = format!("data: {STARTED}\n\ndata: {delta}").replace('\n', " ").replace("  data:", "\n\ndata:");
    let cut = told.split_at(told.find(r#""type":"message","input"#).unwrap()).0;
    let broken = read(Dialect::Anthropic, Format::EventStream, &[cut.as_bytes()]);
    let expected = [
        (Meter::InputTokens, 612),
        (Meter::CachedTokens, 10),
        (Meter::OutputTokens, 40),
        (Meter::Searches, 1),
    ];
    assert_partial(&broken, &expected);
    let advised = r#"{"usage":{"input_tokens":5,"output_tokens":6,"iterations":[
        {"type":"message","input_tokens":5,"output_tokens":6},
        {"type":"advisor_message","model":"claude-opus","input_tokens":7,"output_tokens":8}]}}"#;
    assert_partial(
        &json(Dialect::Anthropic, advised),
        &[(Meter::InputTokens, 12), (Meter::OutputTokens, 14)],
    );
    let empty = r#"{"usage":{"input_tokens":5,"output_tokens":6,"iterations":[]}}"#;
    assert_whole(&json(Dialect::Anthropic, empty), &[(Meter::InputTokens, 5), (Meter::OutputTokens, 6)]);
}

#[test]
fn rounds_of_another_model_are_in_doubt() {
    let told = |answer: &str, rounds: &[&str]| {
        let round = |model: &&str| format!(r#"{{"model":{model},"input_tokens":5,"output_tokens":6}}"#);
        let rounds = rounds.iter().map(round).collect::<Vec<_>>().join(",");
        let counts = r#""input_tokens":10,"output_tokens":12"#;
        let usage = format!(r#""usage":{{{counts},"iterations":[{rounds}]}}"#);
        // Whichever comes first.
        let orders = [format!("{{{usage},{answer}}}"), format!("{{{answer},{usage}}}")];
        orders.map(|message| json(Dialect::Anthropic, &message))
    };
    let expected = [(Meter::InputTokens, 10), (Meter::OutputTokens, 12)];
    let answer = r#""model":"claude-a""#;
    for own in [[r#""claude-a""#, r#""claude-a""#], ["null", r#""claude-a""#], ["null", "null"]] {
        told(answer, &own).iter().for_each(|reading| assert_whole(reading, &expected));
    }
    for other in [[r#""claude-a""#, r#""claude-b""#], [r#""claude-b""#, "null"], [r#""claude-b""#; 2]] {
        told(answer, &other).iter().for_each(|reading| assert_partial(reading, &expected));
    }
    told(r#""model":null"#, &[r#""claude-a""#; 2])
        .iter()
        .for_each(|reading| assert_partial(reading, &expected));
    let long = format!(r#""{}""#, "x".repeat(usage::limits::MODEL_BYTES_MAX + 1));
    told(answer, &[&long, "null"]).iter().for_each(|reading| assert_partial(reading, &expected));
}

#[test]
fn a_list_of_rounds_is_as_old_as_its_event() {
    let started = r#"{"type":"message_start","message":{"model":"m","usage":{"input_tokens":612,"output_tokens":1,
        "iterations":[{"type":"compaction","input_tokens":60385,"output_tokens":700},
        {"type":"message","input_tokens":612,"output_tokens":1}]}}}"#;
    let delta = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":40}}"#;
    let later = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":44}}"#;
    let expected = [(Meter::InputTokens, 60997), (Meter::OutputTokens, 744)];
    assert_whole(&stream(Dialect::Anthropic, &[started, delta, later, STOPPED]), &expected);
    // The same event may state the counts before its list or behind it.
    let anew = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":44,
        "iterations":[{"input_tokens":3,"output_tokens":50}],"input_tokens":613}}"#;
    let expected = [(Meter::InputTokens, 3), (Meter::OutputTokens, 50)];
    assert_whole(&stream(Dialect::Anthropic, &[started, delta, anew, STOPPED]), &expected);
}

#[test]
fn what_no_round_tells_of_the_cache_stands_beside() {
    let told = |top: &str, round: &str| {
        let usage = format!(
            r#"{{"usage":{{"input_tokens":5,"output_tokens":6,{top},"iterations":[
            {{"type":"compaction","input_tokens":7,"output_tokens":8}},
            {{"type":"message","input_tokens":5,"output_tokens":6{round}}}]}}}}"#
        );
        json(Dialect::Anthropic, &usage)
    };
    let tokens = [(Meter::InputTokens, 12), (Meter::OutputTokens, 14)];
    let with = |further: &[(Meter, u64)]| [&tokens, further].concat();
    let top = r#""cache_creation_input_tokens":9,
        "cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":7}"#;
    let lifetimes = with(&[(Meter::CacheWriteTokens, 2), (Meter::CacheWriteHourTokens, 7)]);
    assert_whole(&told(top, ""), &lifetimes);
    assert_whole(&told(top, r#","cache_creation_input_tokens":9"#), &lifetimes);
    // What the rounds tell is not told twice, nor are lifetimes of more than they wrote.
    let round = r#","cache_creation":{"ephemeral_1h_input_tokens":9}"#;
    assert_whole(&told(top, round), &with(&[(Meter::CacheWriteHourTokens, 9)]));
    assert_whole(&told(top, r#","cache_creation_input_tokens":8"#), &with(&[(Meter::CacheWriteTokens, 8)]));
}

/// What Gemini sends of an answer, with the counts so far.
fn generated(text: &str, finish: &str, usage: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}],"role":"model"}}{finish}}}],
        "usageMetadata":{usage},"modelVersion":"gemini-2.5-pro"}}"#
    )
}

const FINISHED: &str = r#","finishReason":"STOP","index":0"#;

#[test]
fn gemini_counts_thoughts_and_tools_beside() {
    let usage = r#"{"promptTokenCount":264,"candidatesTokenCount":30,"totalTokenCount":1006,
        "thoughtsTokenCount":700,"toolUsePromptTokenCount":12,"cachedContentTokenCount":50,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":106},{"tokenCount":158,"modality":"IMAGE"}],
        "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":20}],"trafficType":"ON_DEMAND"}"#;
    let expected = [
        (Meter::InputTokens, 264 + 12 - 158 - 50),
        (Meter::ImageInputTokens, 158),
        (Meter::CachedTokens, 50),
        (Meter::OutputTokens, 10),
        (Meter::AudioOutputTokens, 20),
        (Meter::ReasoningTokens, 700),
    ];
    let reading = json(Dialect::Gemini, &generated("hello", FINISHED, usage));
    assert_whole(&reading, &expected);
    assert_eq!(reading.answered_model.as_deref(), Some("gemini-2.5-pro"));
    let crowded = usage.replace("158", "258");
    let reading = json(Dialect::Gemini, &generated("hello", FINISHED, &crowded)).usage.unwrap();
    let input =
        [Meter::InputTokens, Meter::ImageInputTokens, Meter::CachedTokens].map(|meter| reading.get(meter));
    assert_eq!(input, [0, 226, 50], "cached images are in both counts; the sum is the whole");
}

#[test]
fn gemini_streams_events_or_one_array_with_all_counts_so_far() {
    let first = generated("hel", "", r#"{"promptTokenCount":9,"totalTokenCount":9}"#);
    let last = generated(
        "lo",
        FINISHED,
        r#"{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":112,"thoughtsTokenCount":100}"#,
    );
    let expected = [(Meter::InputTokens, 9), (Meter::OutputTokens, 3), (Meter::ReasoningTokens, 100)];
    let events = stream(Dialect::Gemini, &[&first, &last]);
    assert_whole(&events, &expected);
    assert_eq!(events.delivered.content_bytes, 5);
    let array = json(Dialect::Gemini, &format!("[{first}\n,\r\n{last}\n]"));
    assert_whole(&array, &expected);
    assert_eq!(array.delivered.content_bytes, 5);
    let so_far = [(Meter::InputTokens, 9), (Meter::OutputTokens, 0)];
    assert_partial(&json(Dialect::Gemini, &format!("[{first},")), &so_far);
    assert_partial(&stream(Dialect::Gemini, &[&first]), &so_far);
}

#[test]
fn a_prompt_that_gemini_blocks_is_charged_its_input() {
    let blocked = r#"{"promptFeedback":{"blockReason":"SAFETY"},
        "usageMetadata":{"promptTokenCount":319,"totalTokenCount":319}}"#;
    let expected = [(Meter::InputTokens, 319), (Meter::OutputTokens, 0)];
    assert_whole(&json(Dialect::Gemini, blocked), &expected);
    assert_whole(&stream(Dialect::Gemini, &[blocked]), &expected);
}

#[test]
fn counts_that_are_none_are_not_coerced() {
    for count in ["-1", "1.5", "\"7\"", "null", "9007199254740993", "[1]", "{}"] {
        let message = format!(r#"{{"usage":{{"input_tokens":{count},"output_tokens":6}}}}"#);
        // What is not known is not said to be nothing.
        assert_partial(&json(Dialect::Anthropic, &message), &[(Meter::OutputTokens, 6)]);
        let gemini = format!(r#"{{"usageMetadata":{{"promptTokenCount":{count},"totalTokenCount":6}}}}"#);
        let expected = [(Meter::InputTokens, 6), (Meter::OutputTokens, 0)];
        assert_partial(&json(Dialect::Gemini, &gemini), &expected);
        let round = format!(r#"{{"usage":{{"iterations":[{{"input_tokens":{count},"output_tokens":6}}]}}}}"#);
        assert_partial(&json(Dialect::Anthropic, &round), &[(Meter::OutputTokens, 6)]);
    }
    for rounds in ["7", "\"x\"", "{}", "[7]", "[[]]"] {
        let message = format!(r#"{{"usage":{{"input_tokens":5,"output_tokens":6,"iterations":{rounds}}}}}"#);
        let expected = [(Meter::InputTokens, 5), (Meter::OutputTokens, 6)];
        assert_partial(&json(Dialect::Anthropic, &message), &expected);
    }
}

/// For the estimate, where such an answer states no usage.
#[test]
fn the_text_of_a_conversation_is_generated_text() {
    let answer = r#"{"outputs":[{"type":"tool.execution","name":"web_search","arguments":"{}"},
        {"type":"message.output","model":"m","content":"word"},
        {"type":"message.output","model":"m","content":[{"type":"text","text":"words"},{"type":"tool_file"}]}]}"#;
    let reading = json(Dialect::OpenAiChat, answer);
    assert_eq!((reading.status, reading.delivered.content_bytes), (Status::Failed, 9));
}
