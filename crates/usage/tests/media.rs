//! Answers of images, speech, transcripts and rerankers: what they come to, whole and cut at any byte.
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

fn stream(dialect: Dialect, data: &[&str]) -> Reading {
    let events: String = data.iter().map(|data| format!("data: {data}\n\n")).collect();
    reading(dialect, Format::EventStream, &events)
}

fn usage(counts: &[(Meter, u64)]) -> Option<Usage> {
    Some(counts.iter().fold(Usage::new(), |usage, (meter, count)| usage.with(*meter, *count)))
}

#[track_caller]
fn assert_whole(reading: &Reading, expected: &[(Meter, u64)]) {
    assert_eq!(reading.usage, usage(expected));
    assert_eq!((reading.status, reading.ended, reading.malformed), (Status::Complete, true, 0));
}

#[test]
fn a_transcript_states_tokens_or_seconds() {
    let tokens = r#"{"text":"hello there","usage":{"type":"tokens","input_tokens":14,
        "input_token_details":{"text_tokens":0,"audio_tokens":14},"output_tokens":45,"total_tokens":59}}"#;
    let of_tokens = [(Meter::InputTokens, 0), (Meter::AudioInputTokens, 14), (Meter::OutputTokens, 45)];
    assert_whole(&json(Dialect::Transcript, tokens), &of_tokens);
    let done = format!(r#"{{"type":"transcript.text.done",{}"#, tokens.replace('\n', " ").split_at(1).1);
    let delta = r#"{"type":"transcript.text.delta","delta":"hello","logprobs":[]}"#;
    assert_whole(&stream(Dialect::Transcript, &[delta, &done]), &of_tokens);
    let cut = stream(Dialect::Transcript, &[delta]);
    assert_eq!((cut.usage, cut.ended), (None, false));
    let seconds = |stated: &str| json(Dialect::Transcript, &format!(r#"{{"text":"x",{stated}}}"#));
    for (stated, expected) in [
        (r#""usage":{"type":"duration","seconds":9}"#, 9),
        (r#""usage":{"type":"duration","seconds":8.470000267028809}"#, 9),
        (r#""duration":8.470000267028809,"language":"en","segments":[{"end":8.4,"seconds":1000}]"#, 9),
        (r#""duration":8.000"#, 8),
        (r#""duration":0.01"#, 1),
        (r#""duration":0"#, 0),
        (r#""duration":8.4,"usage":{"type":"duration","seconds":7}"#, 7),
        (r#""usage":{"type":"duration","seconds":7},"duration":8.4"#, 7),
    ] {
        assert_whole(&seconds(stated), &[(Meter::Seconds, expected)]);
    }
    let mistral = r#""usage":{"prompt_audio_seconds":203,"prompt_tokens":4,"completion_tokens":635,"total_tokens":639}"#;
    assert_whole(
        &seconds(mistral),
        &[(Meter::InputTokens, 4), (Meter::OutputTokens, 635), (Meter::Seconds, 203)],
    );
}

#[test]
fn a_length_that_is_none_is_not_coerced() {
    let beyond = format!(r#""duration":{}.5"#, u64::MAX);
    for stated in
        [r#""duration":-1.5"#, r#""duration":"8.4""#, r#""duration":1e3"#, r#""duration":[1]"#, &*beyond]
    {
        let reading = json(Dialect::Transcript, &format!(r#"{{"text":"x",{stated}}}"#));
        assert_eq!((reading.usage, reading.status), (None, Status::Failed), "{stated}");
        assert_eq!(reading.malformed, 1, "{stated}");
    }
    assert_eq!(json(Dialect::Transcript, r#"{"text":"x","duration":null}"#).malformed, 0);
}

#[test]
fn a_translation_states_nothing() {
    let reading = json(Dialect::Transcript, r#"{"text":"hello"}"#);
    assert_eq!((reading.usage, reading.ended, reading.delivered.content_bytes), (None, true, 5));
}

#[test]
fn spoken_text_states_tokens_in_its_last_event() {
    let delta = r#"{"type":"speech.audio.delta","audio":"AAAA"}"#;
    let done =
        r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#;
    let counts = [(Meter::InputTokens, 14), (Meter::OutputTokens, 101)];
    assert_whole(&stream(Dialect::Speech, &[delta, delta, done]), &counts);
    assert!(!stream(Dialect::Speech, &[delta, delta]).ended);
}

#[test]
fn streamed_images_are_counted_by_their_last_events() {
    let draft = r#"{"type":"image_generation.partial_image","b64_json":"AAAA","partial_image_index":0}"#;
    let done = |kind: &str| {
        format!(
            r#"{{"type":"{kind}.completed","b64_json":"AAAA","usage":{{"total_tokens":100,"input_tokens":50,"output_tokens":50,"input_tokens_details":{{"text_tokens":10,"image_tokens":40}}}}}}"#
        )
    };
    let counts = [(Meter::InputTokens, 10), (Meter::ImageInputTokens, 40), (Meter::OutputTokens, 50)];
    for kind in ["image_generation", "image_edit"] {
        let reading = stream(Dialect::Items, &[draft, draft, &done(kind)]);
        assert_whole(&reading, &counts);
        assert_eq!(reading.delivered.items, Some(1));
    }
    let cut = stream(Dialect::Items, &[draft, draft]);
    assert_eq!((cut.delivered.items, cut.ended), (None, false), "a draft is no image");
}

#[test]
fn a_reranker_states_tokens_or_searches() {
    let answer = |stated: &str| {
        let results = r#"[{"index":0,"relevance_score":0.9}]"#;
        json(Dialect::Rerank, &format!(r#"{{"model":"rr","results":{results},{stated}}}"#))
    };
    for (stated, expected) in [
        (r#""usage":{"total_tokens":815}"#, &[(Meter::InputTokens, 815)][..]),
        (r#""usage":{"prompt_tokens":56,"total_tokens":56}"#, &[(Meter::InputTokens, 56)]),
        (
            r#""meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}"#,
            &[(Meter::Searches, 1)],
        ),
        (
            r#""meta":{"billed_units":{"search_units":2,"input_tokens":7}}"#,
            &[(Meter::InputTokens, 7), (Meter::Searches, 2)],
        ),
    ] {
        assert_whole(&answer(stated), expected);
    }
    assert_eq!(answer(r#""usage":{}"#).usage, None);
    assert_eq!(answer(r#""usage":{"total_tokens":"8"}"#).usage, None);
}
