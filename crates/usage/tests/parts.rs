//! Pictures, sounds and films among messages: what of a body is taken for text when its tokens are estimated.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use serde_json::{Value, json};
use usage::request::{RequestDialect, RequestFacts, RequestScanner};

fn scan(pieces: &[&[u8]]) -> RequestFacts {
    let mut scanner = RequestScanner::new(RequestDialect::OpenAi);
    pieces.iter().for_each(|piece| scanner.feed(piece).unwrap());
    scanner.finish().unwrap()
}

/// Bytes that are taken for media, and tokens for them and what is linked.
fn media(body: &Value) -> (u64, u64) {
    let text = body.to_string();
    let facts = scan(&[text.as_bytes()]);
    for at in (0..text.len()).step_by(701) {
        let (before, after) = text.as_bytes().split_at(at);
        assert_eq!(scan(&[before, after]), facts, "cut at {at}");
    }
    let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(scan(&single), facts, "byte by byte");
    assert_eq!(facts.input_tokens(), (facts.body_bytes - facts.media_bytes).div_ceil(4) + facts.media_tokens);
    (facts.media_bytes, facts.media_tokens)
}

fn base64(bytes: usize) -> String {
    "iVBORw0KGgo/+9_-".repeat(bytes / 16)
}

const LINK: &str = "https://example.com/a.png";

#[test]
fn each_api_s_parts_are_known() {
    let (data, url) = (base64(8_000), format!("data:image/png;base64,{}", base64(8_000)));
    let (plain, prefixed) = ((8_000, 1_600), (8_022, 1_600));
    let linked = (0, 1_600);
    let user = |part: Value| json!({"model": "m", "messages": [{"role": "user", "content": ["x", {"type": "text", "text": "hi"}, part]}]});
    let openai = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let gemini = |part: Value| json!({"contents": [{"parts": [{"text": "hi"}, part]}]});
    for (body, expected) in [
        (user(json!({"type": "image_url", "image_url": {"url": url, "detail": "high"}})), prefixed),
        (user(json!({"type": "image_url", "image_url": {"url": LINK}})), linked),
        (user(json!({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})), plain),
        (user(json!({"type": "file", "file": {"file_id": "file-1"}})), linked),
        (
            user(
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
            ),
            plain,
        ),
        (user(json!({"type": "image", "source": {"type": "url", "url": LINK}})), linked),
        (
            user(
                json!({"type": "tool_result", "content": [{"type": "image", "source": {"data": data, "media_type": "image/png"}}]}),
            ),
            plain,
        ),
        (user(json!({"type": "image", "source": {"data": url}})), prefixed),
        (user(json!({"type": "image_url", "image_url": {"url": data}})), plain),
        (
            user(json!({"type": "video_url", "video_url": {"url": url.replace("image/png", "VIDEO/mp4")}})),
            prefixed,
        ),
        (user(json!({"video": {"format": "mp4", "source": {"bytes": data}}})), plain),
        (user(json!({"document": {"format": "txt", "source": {"s3Location": {"uri": LINK}}}})), (0, 0)),
        (user(json!({"image": {"format": "png", "source": {"bytes": data}}})), plain),
        (user(json!({"toolResult": {"content": [{"image": {"source": {"bytes": data}}}]}})), plain),
        (openai(json!({"type": "input_image", "image_url": url})), prefixed),
        (openai(json!({"type": "input_image", "image_url": LINK})), linked),
        (openai(json!({"type": "input_file", "file_url": LINK})), linked),
        (json!({"input": [{"type": "computer_call_output", "output": {"image_url": url}}]}), prefixed),
        (gemini(json!({"inline_data": {"mime_type": "image/png", "data": data}})), plain),
        (gemini(json!({"inlineData": {"mimeType": "audio/mp3", "data": data}})), plain),
        (gemini(json!({"fileData": {"fileUri": LINK}})), linked),
        (gemini(json!({"file_data": {"file_uri": LINK}})), linked),
        (json!({"messages": [{"role": "user", "content": "hi", "images": [data, data]}]}), (16_000, 3_200)),
        (json!({"prompt": "hi", "images": [data]}), plain),
        (json!({"prompt": "hi", "image": url}), prefixed),
    ] {
        assert_eq!(media(&body), expected, "{body}");
    }
    let large =
        user(json!({"type": "image", "source": {"media_type": "image/png", "data": base64(1_024_000)}}));
    let facts = scan(&[large.to_string().as_bytes()]);
    assert_eq!((facts.media_bytes, facts.media_tokens), (1_024_000, 4_000));
}

/// The type may stand behind the data; a second one, which some upstreams obey, makes it text.
#[test]
fn the_order_of_members_does_not_matter() {
    let data = base64(8_000);
    let read = |source: String| {
        let text =
            format!(r#"{{"messages":[{{"content":[{{"source":{source}}},{{"inlineData":{source}}}]}}]}}"#);
        let facts = scan(&[text.as_bytes()]);
        let single: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(scan(&single), facts, "byte by byte");
        (facts.media_bytes, facts.media_tokens)
    };
    for (picture, name) in
        [("image/png", "media_type"), ("Audio/wav", "mimeType"), ("video/mp4", "mime_type")]
    {
        assert_eq!(read(format!(r#"{{"{name}":"{picture}","data":"{data}"}}"#)), (16_000, 3_200));
        assert_eq!(read(format!(r#"{{"data":"{data}","{name}":"{picture}"}}"#)), (16_000, 3_200));
        for other in ["text/plain", "application/pdf", "image", "", "x image/png"] {
            assert_eq!(read(format!(r#"{{"{name}":"{other}","data":"{data}"}}"#)), (0, 0), "{other}");
            assert_eq!(read(format!(r#"{{"data":"{data}","{name}":"{other}"}}"#)), (0, 0), "{other}");
            let twice = |a, b| format!(r#"{{"{name}":"{a}","data":"{data}","{name}":"{b}"}}"#);
            assert_eq!(read(twice(picture, other)), (0, 0), "{other}");
            assert_eq!(read(twice(other, picture)), (0, 0), "{other}");
        }
        // What one object says holds for no other, and what is around it says nothing.
        assert_eq!(read(format!(r#"{{"{name}":"{picture}"}}}},{{"source":{{"data":"{data}"}}"#)), (0, 0));
        assert_eq!(read(format!(r#"{{"x":{{"{name}":"{picture}"}},"data":"{data}"}}"#)), (0, 0));
    }
    assert_eq!(read(format!(r#"{{"data":"{data}"}}"#)), (0, 0));
    assert_eq!(read(format!(r#"{{"data":"{data}","media_type":null}}"#)), (0, 0));
}

/// A document may be plain text, whose every byte the provider counts.
#[test]
fn documents_are_taken_for_text() {
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let openai = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    let gemini = |part: Value| json!({"contents": [{"parts": [part]}]});
    let words = "word\n".repeat(1_600);
    let data = base64(8_000);
    for data in [&words, &data] {
        let of = |kind: &str| format!("data:{kind};base64,{data}");
        for kind in ["text/plain", "application/pdf", "image/png", ""] {
            for body in [
                openai(json!({"type": "input_file", "file_data": of(kind)})),
                user(json!({"type": "file", "file": {"filename": "a.txt", "file_data": of(kind)}})),
                user(json!({"document": {"format": "txt", "source": {"bytes": of(kind)}}})),
                user(json!({"document": {"image": of(kind)}})),
            ] {
                assert_eq!(media(&body), (0, 0), "{body}");
            }
        }
        for kind in ["text/plain", "application/pdf", ""] {
            for body in [
                user(json!({"type": "image_url", "image_url": {"url": of(kind)}})),
                openai(json!({"type": "input_image", "image_url": of(kind)})),
                json!({"images": [of(kind)]}),
                user(json!({"type": "image", "source": {"media_type": "image/png", "data": of(kind)}})),
            ] {
                assert_eq!(media(&body), (0, 0), "{body}");
            }
        }
        for body in [
            user(
                json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": data}}),
            ),
            user(json!({"type": "document", "source": {"type": "text", "data": data}})),
            user(
                json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}),
            ),
            user(json!({"document": {"format": "txt", "name": "a", "source": {"bytes": data}}})),
            user(json!({"document": {"image": {"source": {"bytes": data}}}})),
            gemini(json!({"inlineData": {"mimeType": "text/plain", "data": data}})),
            gemini(json!({"inlineData": {"data": data}})),
            gemini(json!({"data": data})),
        ] {
            assert_eq!(media(&body), (0, 0), "{body}");
        }
    }
}

#[test]
fn what_a_model_reads_as_text_is_text_wherever_it_stands() {
    let data = base64(8_000);
    let words = "word\n".repeat(1_600);
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for body in [
        user(json!({"type": "text", "text": data})),
        json!({"messages": [{"role": "user", "content": data}]}),
        json!({"input": data}),
        json!({"prompt": data}),
        json!({"input": ["hi", data]}),
        user(json!({"type": "document", "source": {"type": "text", "data": words}})),
        user(json!({"type": "image", "source": {"media_type": "image/png", "data": base64(1_008)}})),
        // What a tool is called with, what it is, and what it answered.
        user(json!({"type": "tool_use", "input": {"data": data}})),
        user(json!({"type": "tool_use", "input": {"source": {"data": data}}})),
        user(json!({"type": "tool_use", "input": {"content": [{"source": {"data": data}}]}})),
        json!({"contents": [{"parts": [{"functionCall": {"args": {"data": data}}}]}]}),
        json!({"contents": [{"parts": [{"functionResponse": {"response": {"image": {"data": data}}}}]}]}),
        json!({"tools": [{"function": {"parameters": {"default": {"source": {"data": data}}}}}]}),
        json!({"metadata": {"source": {"data": data}}}),
        user(
            json!({"type": "text", "text": "hi", "annotations": [{"url": LINK}, {"source": {"url": LINK}}]}),
        ),
        user(json!({"type": "x", "url": LINK})),
        user(json!({"images": {"url": "no link"}})),
        user(json!([{"data": 5}, data])),
        user(json!({"image_url": {"detail": "low"}, "text": data})),
    ] {
        assert_eq!(media(&body), (0, 0), "{body}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "content",
        "source",
        "data",
        "url",
        "images",
        "input",
        "image_url",
        "text",
        "media_type",
        "document",
        "messages",
        "args",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(7)),
        Just(json!(LINK)),
        Just(json!(base64(1_040))),
        Just(json!("a word ".repeat(200))),
        Just(json!("image/png")),
    ];
    leaf.prop_recursive(6, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..4).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn never_more_is_media_than_there_is(value in value()) {
        let body = json!({"messages": value}).to_string();
        let facts = scan(&[body.as_bytes()]);
        let single: Vec<&[u8]> = body.as_bytes().chunks(3).collect();
        prop_assert_eq!(&scan(&single), &facts);
        prop_assert!(facts.media_bytes <= facts.body_bytes);
        let links = body.matches("https:").count() as u64 * 1_600;
        prop_assert!(facts.input_tokens() <= facts.body_bytes.div_ceil(4) + links + 1);
    }
}
