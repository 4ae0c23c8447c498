//! What answers say beside their counts: the tier of service that they were served in, and what they cost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use usage::response::{Dialect, Format, Reading, ResponseReader};

/// The reading of an answer, which is the same however it is cut.
fn read(dialect: Dialect, format: Format, answer: &str) -> Reading {
    let answer = answer.as_bytes();
    let new = || ResponseReader::new(dialect, format);
    let mut whole = new();
    whole.feed(answer);
    let mut bytewise = new();
    answer.iter().for_each(|byte| bytewise.feed(&[*byte]));
    assert_eq!(whole.reading(), bytewise.reading());
    whole.reading()
}

fn tier(dialect: Dialect, format: Format, answer: &str) -> Option<String> {
    read(dialect, format, answer).service_tier.map(String::from)
}

fn cost(usage: &str) -> Option<u64> {
    let answer = format!(r#"{{"choices":[],"usage":{{"prompt_tokens":3,"completion_tokens":2,{usage}}}}}"#);
    let reading = read(Dialect::OpenAiChat, Format::Json, &answer);
    assert!(reading.usage.is_some() && reading.malformed == 0, "evidence spoils no count: {usage}");
    reading.provider_cost
}

#[test]
fn the_tier_is_where_each_provider_says_it() {
    let (json, events) = (Format::Json, Format::EventStream);
    let chat = r#"{"choices":[{"index":0,"service_tier":"no"}],"service_tier":"priority","usage":{"prompt_tokens":1}}"#;
    assert_eq!(tier(Dialect::OpenAiChat, json, chat).as_deref(), Some("priority"));
    let stream = "data: {\"service_tier\":\"auto\",\"choices\":[]}\n\ndata: {\"service_tier\":\"flex\",\"choices\":[]}\n\n\
                  data: {\"service_tier\":null,\"choices\":[]}\n\ndata: [DONE]\n\n";
    assert_eq!(tier(Dialect::OpenAiChat, events, stream).as_deref(), Some("flex"));
    let response = "data: {\"type\":\"response.created\",\"response\":{\"service_tier\":\"auto\"}}\n\n\
                    data: {\"type\":\"response.completed\",\"response\":{\"service_tier\":\"default\",\"usage\":{}}}\n\n";
    assert_eq!(tier(Dialect::OpenAiResponses, events, response).as_deref(), Some("default"));
    assert_eq!(tier(Dialect::OpenAiResponses, json, r#"{"service_tier":"scale"}"#).as_deref(), Some("scale"));
    let message = r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":2,"service_tier":"batch"}}"#;
    assert_eq!(tier(Dialect::Anthropic, json, message).as_deref(), Some("batch"));
    let started = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"service_tier\":\"standard\"}}}\n\n";
    assert_eq!(tier(Dialect::Anthropic, events, started).as_deref(), Some("standard"));
    let fast = r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":2,"service_tier":"standard","speed":"fast"}}"#;
    assert_eq!(tier(Dialect::Anthropic, json, fast).as_deref(), Some("fast"));
    assert_eq!(tier(Dialect::BedrockInvoke, json, fast).as_deref(), Some("fast"));
    // Inference in one region alone has a price of its own; anywhere has not.
    let placed = |more: &str| {
        format!(r#"{{"usage":{{"input_tokens":1,"inference_geo":"us","output_tokens":2{more}}}}}"#)
    };
    for (more, expected) in [
        ("", None),
        (r#","service_tier":"standard""#, Some("us")),
        (r#","service_tier":"priority""#, Some("priority")),
        (r#","speed":"fast""#, Some("fast")),
        (r#","service_tier":"standard","inference_geo":"global""#, Some("us")),
    ] {
        assert_eq!(tier(Dialect::Anthropic, json, &placed(more)).as_deref(), expected, "{more}");
    }
    let region = |answer: &str| read(Dialect::Anthropic, json, answer).region_tier;
    assert_eq!(region(&placed("")).as_deref(), Some("us"), "where no tier is named");
    assert_eq!(region(&placed(r#","service_tier":"standard""#)), None);
    assert_eq!(region(&placed(r#","inference_geo":"not_available""#)).as_deref(), Some("us"));
    let anywhere = placed("").replace(r#""us""#, r#""global""#);
    assert_eq!((tier(Dialect::Anthropic, json, &anywhere), region(&anywhere)), (None, None));
    let usual = fast.replace(r#""fast""#, r#""standard""#);
    assert_eq!(tier(Dialect::Anthropic, json, &usual).as_deref(), Some("standard"));
    let started = "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":1,\"speed\":\"fast\"}}}\n\n\
                   data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":2,\"service_tier\":\"standard\"}}\n\n";
    assert_eq!(tier(Dialect::Anthropic, events, started).as_deref(), Some("fast"));
    let conversed =
        r#"{"output":{},"usage":{"inputTokens":1,"outputTokens":2},"serviceTier":{"type":"flex"}}"#;
    assert_eq!(tier(Dialect::BedrockConverse, json, conversed).as_deref(), Some("flex"));
    let chunk = r#"[{"usageMetadata":{"promptTokenCount":1,"trafficType":"PROVISIONED_THROUGHPUT"}}]"#;
    assert_eq!(tier(Dialect::Gemini, json, chunk).as_deref(), Some("provisioned_throughput"));
}

#[test]
fn the_tier_that_a_platform_says_beside_an_answer_goes_before_the_model_s() {
    let name = "x-amzn-bedrock-service-tier";
    let message = br#"{"usage":{"input_tokens":1,"output_tokens":2,"service_tier":"standard"}}"#;
    for (format, headers) in [(Format::Json, 5), (Format::AwsEventStream, 1)] {
        assert_eq!(ResponseReader::headers(Dialect::BedrockInvoke, format).count(), headers);
        assert_eq!(ResponseReader::headers(Dialect::BedrockConverse, format).count(), 0);
        for (value, expected) in
            [(&b"Priority"[..], Some("priority")), (b"flex", Some("flex")), (b"a b", None)]
        {
            let mut reader = ResponseReader::new(Dialect::BedrockInvoke, format);
            reader.state_header(name, value);
            assert_eq!(reader.reading().service_tier.as_deref(), expected);
            // Nor does what is no frame, or a broken one, take it back.
            reader.feed(message);
            let said = (format == Format::Json).then_some("standard");
            assert_eq!(reader.reading().service_tier.as_deref(), expected.or(said));
        }
    }
}

#[test]
fn what_is_no_tier_is_none() {
    for said in [
        r#""""#,
        r#""auto""#,
        r#""AUTO""#,
        "null",
        "3",
        "{}",
        r#"["flex"]"#,
        r#""a b""#,
        r#""ä""#,
        r#""a\u0000""#,
    ] {
        let answer = format!(r#"{{"service_tier":{said},"choices":[]}}"#);
        assert_eq!(tier(Dialect::OpenAiChat, Format::Json, &answer), None, "{said}");
    }
    let long = |bytes: usize| format!(r#"{{"service_tier":"{}","choices":[]}}"#, "x".repeat(bytes));
    let most = usage::limits::TIER_BYTES_MAX;
    assert_eq!(tier(Dialect::OpenAiChat, Format::Json, &long(most)), Some("x".repeat(most)));
    assert_eq!(tier(Dialect::OpenAiChat, Format::Json, &long(most + 1)), None);
}

#[test]
fn a_stated_cost_is_read_exactly() {
    // OpenRouter, Perplexity, xAI.
    assert_eq!(cost(r#""cost":0.00014"#), Some(140_000_000));
    assert_eq!(
        cost(r#""cost":{"input_tokens_cost":1,"request_cost":0.006,"total_cost":0.00615}"#),
        Some(6_150_000_000)
    );
    assert_eq!(cost(r#""cost_in_usd_ticks":1234567"#), Some(123_456_700));
    let images = r#"{"data":[{"b64_json":"x"}],"usage":{"cost_in_usd_ticks":200000000}}"#;
    assert_eq!(read(Dialect::Items, Format::Json, images).provider_cost, Some(20_000_000_000));
    assert_eq!(cost(r#""cost":1.4e-05"#), Some(14_000_000));
    assert_eq!(cost(r#""cost":14E-6"#), Some(14_000_000));
    assert_eq!(cost(r#""cost":1e+1"#), Some(10_000_000_000_000));
    assert_eq!(cost(r#""cost":2"#), Some(2_000_000_000_000));
    // Rounded half up to a millionth of a millionth; what floats leave behind is no matter.
    assert_eq!(cost(r#""cost":0.00001400000000000000000000077"#), Some(14_000_000));
    assert_eq!(cost(r#""cost":0.0000000000005"#), Some(1));
    assert_eq!(cost(r#""cost":0.00000000000049999"#), Some(0));
    assert_eq!(cost(r#""cost":1e-999999999999"#), Some(0));
    assert_eq!(cost(r#""cost":0e99999"#), Some(0));
    let most = usage::limits::COST_MAX;
    assert_eq!(cost(&format!(r#""cost":9007.{}"#, most % 1_000_000_000_000)), Some(most));
}

#[test]
fn what_is_no_cost_is_none_and_spoils_nothing() {
    for said in [
        "null",
        "-0.1",
        "-0",
        r#""0.1""#,
        "true",
        "[]",
        "{}",
        "9008",
        "1e9",
        "1e999",
        "18446744073709551616",
        "18446744073709551616.5",
    ] {
        assert_eq!(cost(&format!(r#""cost":{said}"#)), None, "{said}");
    }
    // The last one that can be believed stands.
    assert_eq!(cost(r#""cost":0.5,"cost":-1"#), Some(500_000_000_000));
}

proptest! {
    #[test]
    fn a_decimal_is_its_digits(whole in 0..9_000_u64, digits in "[0-9]{1,12}", by in 0..6_i32) {
        let fraction: u64 = format!("{digits:0<12}").parse().unwrap();
        let picos = whole * 1_000_000_000_000 + fraction;
        prop_assert_eq!(cost(&format!(r#""cost":{whole}.{digits}"#)), Some(picos));
        // The same with the point elsewhere.
        let all: u64 = format!("{whole}{digits}").parse().unwrap();
        let shifted = format!("{all}e-{}", digits.len());
        prop_assert_eq!(cost(&format!(r#""cost":{shifted}"#)), Some(picos));
        let small = format!("{whole}.{digits}E-{by}");
        let scale = 10_u64.pow(by.unsigned_abs());
        prop_assert_eq!(cost(&format!(r#""cost":{small}"#)), Some((2 * picos + scale) / (2 * scale)));
    }
}
