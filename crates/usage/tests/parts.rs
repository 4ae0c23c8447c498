//! Pictures, sounds and documents among messages: what of a body is taken for text when its tokens are estimated.
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
        (user(json!({"type": "file", "file": {"filename": "a.pdf", "file_data": url}})), prefixed),
        (user(json!({"type": "file", "file": {"file_id": "file-1"}})), linked),
        (
            user(
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
            ),
            plain,
        ),
        (user(json!({"type": "image", "source": {"type": "url", "url": LINK}})), linked),
        (
            user(json!({"type": "tool_result", "content": [{"type": "image", "source": {"data": data}}]})),
            plain,
        ),
        (user(json!({"image": {"format": "png", "source": {"bytes": data}}})), plain),
        (user(json!({"toolResult": {"content": [{"image": {"source": {"bytes": data}}}]}})), plain),
        (openai(json!({"type": "input_image", "image_url": url})), prefixed),
        (openai(json!({"type": "input_image", "image_url": LINK})), linked),
        (openai(json!({"type": "input_file", "file_data": url})), prefixed),
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
    let large = user(json!({"type": "image", "source": {"data": base64(1_024_000)}}));
    let facts = scan(&[large.to_string().as_bytes()]);
    assert_eq!((facts.media_bytes, facts.media_tokens), (1_024_000, 4_000));
}

#[test]
fn what_a_model_reads_as_text_is_text_wherever_it_stands() {
    let data = base64(8_000);
    let words = "word ".repeat(1_600);
    let user = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    for body in [
        user(json!({"type": "text", "text": data})),
        json!({"messages": [{"role": "user", "content": data}]}),
        json!({"input": data}),
        json!({"prompt": data}),
        json!({"input": ["hi", data]}),
        user(json!({"type": "document", "source": {"type": "text", "data": words}})),
        user(json!({"type": "image", "source": {"data": base64(1_008)}})),
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
        "messages",
        "args",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        Just(json!(7)),
        Just(json!(LINK)),
        Just(json!(base64(1_040))),
        Just(json!("a word ".repeat(200))),
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
