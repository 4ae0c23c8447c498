//! The request scanner: what it reads, what it refuses, and that cuts never matter.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use proptest::prelude::*;
use serde_json::Value;
use usage::limits::{COUNT_MAX, MEMBERS_MAX, MODEL_BYTES_MAX};
use usage::request::{Bounded, FaultKind, RequestDialect, RequestError, RequestFacts, RequestScanner, Span};

fn scan_cut(body: &[u8], cuts: &[usize]) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::new(RequestDialect::OpenAi);
    let mut from = 0;
    for to in cuts.iter().copied().chain([body.len()]) {
        if let Err(error) = scanner.feed(&body[from..to]) {
            assert_eq!(scanner.feed(b" "), Err(error.clone()), "an error stays");
            assert!(!scanner.is_complete() && scanner.facts().is_none());
            assert_eq!(scanner.finish(), Err(error.clone()));
            return Err(error);
        }
        from = to;
    }
    let early = scanner.facts().cloned();
    let facts = scanner.finish();
    assert_eq!(early, facts.clone().ok(), "facts by reference are those of the end");
    facts
}

fn scan(body: &str) -> Result<RequestFacts, RequestError> {
    scan_cut(body.as_bytes(), &[])
}

fn facts(body: &str) -> RequestFacts {
    scan(body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn refusal(body: &str) -> RequestError {
    scan(body).expect_err(body)
}

fn assert_no_cut_matters(body: &[u8]) {
    let whole = scan_cut(body, &[]);
    for first in 0..=body.len() {
        assert_eq!(scan_cut(body, &[first]), whole, "{:?} cut at {first}", String::from_utf8_lossy(body));
        if body.len() <= 120 {
            for second in first..=body.len() {
                assert_eq!(scan_cut(body, &[first, second]), whole);
            }
        }
    }
    let every: Vec<usize> = (0..body.len()).collect();
    assert_eq!(scan_cut(body, &every), whole);
}

/// The text under a span.
fn at(body: &str, span: Option<Span>) -> &str {
    let span = span.expect("a span");
    &body[usize::try_from(span.start).unwrap()..usize::try_from(span.end).unwrap()]
}

#[test]
fn reads_what_matters() {
    let body = r#" {"messages":[{"role":"user","content":"{\"model\":\"x\"} é","model":"inner","n":7}],"model":"gpt-4o",
        "stream" : true ,"stream_options": {"include_usage" : false, "x":[{"include_usage":1}] },"n":2,
        "max_tokens":100,"max_completion_tokens": 200 ,"max_output_tokens":0,"temperature":1e-3,
        "metadata":{"stream_options":{"include_usage":true},"max_tokens":-1}} "#;
    let facts = facts(body);
    assert_eq!(facts.model.as_deref(), Some("gpt-4o"));
    assert!(facts.stream);
    assert_eq!(facts.include_usage, Some(false));
    assert_eq!(at(body, facts.include_usage_span), "false");
    assert_eq!(
        at(body, facts.stream_options_span),
        r#"{"include_usage" : false, "x":[{"include_usage":1}] }"#
    );
    assert_eq!(facts.n, Some(2));
    assert_eq!(facts.max_tokens.map(|bound| bound.value), Some(100));
    assert_eq!(at(body, facts.max_tokens.map(|bound| bound.span)), "100");
    assert_eq!(at(body, facts.max_completion_tokens.map(|bound| bound.span)), "200");
    assert_eq!(facts.max_output_tokens.map(|bound| bound.value), Some(0));
    assert_eq!(facts.output_bound(), Some(200));
    assert_eq!(facts.body_bytes, u64::try_from(body.len()).unwrap());
    assert_eq!(facts.object_start, 2);
    assert!(!facts.is_empty_object && !facts.stream_options_empty);
    assert_no_cut_matters(body.as_bytes());
}

#[test]
fn an_empty_object_has_no_facts() {
    let facts = facts(" { } ");
    let expected =
        RequestFacts { body_bytes: 5, object_start: 2, is_empty_object: true, ..RequestFacts::default() };
    assert_eq!(facts, expected);
}

#[test]
fn null_is_absent() {
    let body =
        r#"{"stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null}"#;
    let facts = facts(body);
    assert!(!facts.stream && facts.include_usage.is_none() && facts.n.is_none());
    assert_eq!(facts.output_bound(), None);
    assert_eq!(at(body, facts.stream_options_span), "null");
    assert_eq!(at(body, facts.max_tokens_null), "null");
    assert_eq!(facts.stream_options_start, None);
    let body = r#"{"stream_options":{"include_usage":null}}"#;
    let inner = self::facts(body);
    assert_eq!(inner.include_usage, None);
    assert_eq!(at(body, inner.include_usage_span), "null");
}

#[test]
fn the_model_is_decoded() {
    assert_eq!(facts(r#"{"model":"a\/b\u0041\ud83d\ude00\n"}"#).model.as_deref(), Some("a/bA😀\n"));
    assert_eq!(facts(r#"{"mod\u0065l":"x"}"#).model.as_deref(), Some("x"));
    let longest = "é".repeat(MODEL_BYTES_MAX / 2);
    assert_eq!(facts(&format!(r#"{{"model":"{longest}"}}"#)).model.as_deref(), Some(longest.as_str()));
    assert_eq!(facts(r#"{"model":""}"#).model.as_deref(), Some(""));
}

#[test]
fn names_elsewhere_are_left_alone() {
    let facts = facts(
        r#"{"metadata":{"include_usage":5,"include_usage":6,"Model":1},"stream_options":{"n":"x","n":0}}"#,
    );
    assert_eq!((facts.include_usage, facts.include_usage_span, facts.n), (None, None, None));
}

#[test]
fn names_with_lone_surrogates_are_told_apart() {
    assert!(scan(r#"{"\ud800a":1,"a\ud800":2,"\udc00\ud800":3,"\ud800":4,"\ud800\udc00":5}"#).is_ok());
    assert!(matches!(refusal(r#"{"\ud800a":1,"\uD800\u0061":2}"#), RequestError::Duplicate { .. }));
}

#[test]
fn bounds_reach_to_the_largest_exact_integer() {
    let body = format!(r#"{{"max_tokens":{COUNT_MAX}}}"#);
    let span = Span { start: 14, end: 30 };
    assert_eq!(facts(&body).max_tokens, Some(Bounded { value: COUNT_MAX, span }));
}

/// Bodies that are refused, with the sentence that says why.
fn refused() -> Vec<(String, &'static str)> {
    let case = |body: &str, message| (body.to_owned(), message);
    let model = format!(r#"{{"model":"{}"}}"#, "m".repeat(MODEL_BYTES_MAX + 1));
    let members: Vec<String> = (0..=MEMBERS_MAX).map(|index| format!(r#""m{index}":0"#)).collect();
    let long = "x".repeat(70);
    vec![
        case("", "The request body ends at offset 0, before its JSON object does."),
        case(" \n", "The request body ends at offset 2, before its JSON object does."),
        case(r#"{"model":"x"#, "The request body ends at offset 11, before its JSON object does."),
        case(r#"{"model":"x""#, "The request body ends at offset 12, before its JSON object does."),
        case("hello", "The request body is not valid JSON: unexpected byte at offset 0."),
        case("{} x", "The request body is not valid JSON: unexpected byte at offset 3."),
        case(r#"{"a":1,}"#, "The request body is not valid JSON: unexpected byte at offset 7."),
        case(r#"{"a":NaN}"#, "The request body is not valid JSON: unexpected byte at offset 5."),
        case(
            "{\"a\":\"\n\"}",
            "The request body is not valid JSON: control character in a string at offset 6.",
        ),
        case(r#"{"a":"\x"}"#, "The request body is not valid JSON: invalid escape at offset 7."),
        case("\u{feff}{}", "The request body must not begin with a byte order mark."),
        case("[]", "The request body must be a JSON object."),
        case("\"x\"", "The request body must be a JSON object."),
        case("12", "The request body must be a JSON object."),
        case("null", "The request body must be a JSON object."),
        case(r#"{"model":"a","model":"a"}"#, "The request body has the member \"model\" twice."),
        case(r#"{"model":"a","mod\u0065l":"b"}"#, "The request body has the member \"model\" twice."),
        case(r#"{"é":1,"\u00e9":2}"#, "The request body has the member \"é\" twice."),
        case(r#"{"":1,"":2}"#, "The request body has the member \"\" twice."),
        case(r#"{"n":null,"n":1}"#, "The request body has the member \"n\" twice."),
        case(
            r#"{"stream_options":{"include_usage":true,"include_usage":null}}"#,
            "The request body has the member \"stream_options.include_usage\" twice.",
        ),
        (
            format!(r#"{{"{long}":1,"{long}":2}}"#),
            "The request body has the member \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\" twice.",
        ),
        (format!("{{{}}}", members.join(",")), "The request body has more than 64 top-level members."),
        case(r#"{"Model":"x"}"#, "The member \"model\" must be written in lower case."),
        case(r#"{"model":"x","MODEL":"y"}"#, "The member \"model\" must be written in lower case."),
        case(r#"{"max_to\u212aens":9}"#, "The member \"max_tokens\" must be written in lower case."),
        case("{\"\u{17f}tream\":true}", "The member \"stream\" must be written in lower case."),
        case(
            r#"{"stream_options":{"Include_Usage":false}}"#,
            "The member \"stream_options.include_usage\" must be written in lower case.",
        ),
        case(r#"{"model":null}"#, "\"model\" must be a string."),
        case(r#"{"model":["x"]}"#, "\"model\" must be a string."),
        case(r#"{"model":1}"#, "\"model\" must be a string."),
        case(r#"{"model":true}"#, "\"model\" must be a string."),
        (model, "\"model\" must not be longer than 256 bytes."),
        case(r#"{"model":"a\ud800"}"#, "\"model\" must be valid Unicode."),
        case(r#"{"stream":"true"}"#, "\"stream\" must be true or false."),
        case(r#"{"stream":1}"#, "\"stream\" must be true or false."),
        case(r#"{"stream":{}}"#, "\"stream\" must be true or false."),
        case(r#"{"stream_options":[]}"#, "\"stream_options\" must be an object."),
        case(r#"{"stream_options":true}"#, "\"stream_options\" must be an object."),
        case(r#"{"stream_options":"x"}"#, "\"stream_options\" must be an object."),
        case(
            r#"{"stream_options":{"include_usage":1}}"#,
            "\"stream_options.include_usage\" must be true or false.",
        ),
        case(
            r#"{"stream_options":{"include_usage":{}}}"#,
            "\"stream_options.include_usage\" must be true or false.",
        ),
        case(r#"{"max_tokens":-1}"#, "\"max_tokens\" must be between 0 and 9007199254740991."),
        case(r#"{"max_tokens":-0}"#, "\"max_tokens\" must be between 0 and 9007199254740991."),
        case(
            r#"{"max_completion_tokens":9007199254740992}"#,
            "\"max_completion_tokens\" must be between 0 and 9007199254740991.",
        ),
        case(
            r#"{"max_output_tokens":18446744073709551617}"#,
            "\"max_output_tokens\" must be between 0 and 9007199254740991.",
        ),
        case(r#"{"max_tokens":1.5}"#, "\"max_tokens\" must be an integer without fraction or exponent."),
        case(r#"{"max_tokens":1e3}"#, "\"max_tokens\" must be an integer without fraction or exponent."),
        case(r#"{"max_tokens":"5"}"#, "\"max_tokens\" must be an integer without fraction or exponent."),
        case(r#"{"max_tokens":[5]}"#, "\"max_tokens\" must be an integer without fraction or exponent."),
        case(r#"{"max_tokens":true}"#, "\"max_tokens\" must be an integer without fraction or exponent."),
        case(r#"{"n":0}"#, "\"n\" must be between 1 and 128."),
        case(r#"{"n":129}"#, "\"n\" must be between 1 and 128."),
        case(r#"{"n":-1}"#, "\"n\" must be between 1 and 128."),
        case(r#"{"n":2.0}"#, "\"n\" must be an integer without fraction or exponent."),
    ]
}

#[test]
fn refuses_with_a_sentence_that_says_why() {
    for (body, message) in refused() {
        assert_eq!(refusal(&body).to_string(), message, "{body}");
        assert_no_cut_matters(body.as_bytes());
    }
}

#[test]
fn depth_ends_in_an_error() {
    let body = format!(r#"{{"a":{}"#, "[".repeat(10_000));
    let error = refusal(&body);
    assert_eq!(error, RequestError::Syntax { kind: FaultKind::TooDeep, at: 132 });
    assert_eq!(error.to_string(), "The request body is not valid JSON: nested too deeply at offset 132.");
    assert_eq!(
        refusal(&"{\"a\":".repeat(10_000)),
        RequestError::Syntax { kind: FaultKind::TooDeep, at: 640 }
    );
}

#[test]
fn invalid_utf8_is_refused() {
    for body in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\":1}", b"{\"model\":\"\xed\xa0\x80\"}"] {
        let error = scan_cut(body, &[]).unwrap_err();
        assert!(matches!(error, RequestError::Syntax { kind: FaultKind::InvalidUtf8, .. }), "{error}");
        assert_no_cut_matters(body);
    }
}

#[test]
fn a_second_model_far_behind_is_found() {
    let body = format!(r#"{{"model":"cheap","pad":"{}","model":"dear"}}"#, "x".repeat(2_000_000));
    assert_eq!(refusal(&body), RequestError::Duplicate { member: "model".into() });
}

#[test]
fn all_allowed_members_fit() {
    let members: Vec<String> = (0..MEMBERS_MAX).map(|index| format!(r#""m{index}":0"#)).collect();
    assert!(scan(&format!("{{{}}}", members.join(","))).is_ok());
}

#[test]
fn white_space_may_follow_completion() {
    let mut scanner = RequestScanner::new(RequestDialect::OpenAi);
    scanner.feed(br#"{"model":"x"}"#).unwrap();
    assert!(scanner.is_complete());
    assert_eq!(scanner.facts().unwrap().body_bytes, 13);
    scanner.feed(b"\r\n").unwrap();
    assert!(scanner.is_complete());
    assert_eq!(scanner.facts().unwrap().body_bytes, 15);
    assert!(scanner.feed(b"{").is_err());
    assert!(!scanner.is_complete());
}

/// With cost growing by the square of the bytes this would not end.
#[test]
fn a_megabyte_in_single_bytes() {
    let body = format!(r#"{{"model":"x","a":"{}{}"}}"#, "é\\n".repeat(150_000), "y".repeat(400_000));
    let every: Vec<usize> = (0..body.len()).collect();
    assert_eq!(scan_cut(body.as_bytes(), &every), scan(&body));
    assert!(scan(&body).is_ok());
}

#[test]
fn memory_is_fixed() {
    assert!(size_of::<RequestScanner>() <= 1536, "{}", size_of::<RequestScanner>());
}

/// A request with some of the members that matter, in any order, among others.
fn body() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        Just(r#""model":"gpt-4o""#),
        Just(r#""Model":1"#),
        Just(r#""stream":true"#),
        Just(r#""stream":false"#),
        Just(r#""stream_options":{"include_usage":true}"#),
        Just(r#""stream_options":{"a":{"b":[]},"include_usage":false}"#),
        Just(r#""stream_options":null"#),
        Just(r#""max_tokens":12"#),
        Just(r#""max_tokens":1.5"#),
        Just(r#""max_completion_tokens":99999"#),
        Just(r#""n":3"#),
        Just(r#""messages":[{"role":"user","content":"a\"b\u00e9é"}]"#),
        Just(r#""tools":[{"n":1},[],{}]"#),
        Just(r#""x":-1.5e10"#),
    ];
    prop::collection::vec(member, 0..7).prop_map(|members| format!("{{{}}}", members.join(" , ")))
}

fn scan_at(body: &[u8], cuts: &[prop::sample::Index]) -> Result<RequestFacts, RequestError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.sort_unstable();
    scan_cut(body, &cuts)
}

proptest! {
    #[test]
    fn agrees_with_serde_json(body in body(), cuts: [prop::sample::Index; 4]) {
        let result = scan_at(body.as_bytes(), &cuts);
        prop_assert_eq!(&result, &scan(&body));
        if let Ok(facts) = result {
            let value: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(facts.model.as_deref(), value["model"].as_str());
            prop_assert_eq!(facts.stream, value["stream"] == true);
            prop_assert_eq!(facts.include_usage, value["stream_options"]["include_usage"].as_bool());
            prop_assert_eq!(facts.max_tokens.map(|bound| bound.value), value["max_tokens"].as_u64());
            prop_assert_eq!(facts.n, value["n"].as_u64());
            prop_assert_eq!(facts.is_empty_object, value.as_object().unwrap().is_empty());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), cuts: [prop::sample::Index; 3]) {
        prop_assert_eq!(scan_at(&bytes, &cuts), scan_cut(&bytes, &[]));
    }

    #[test]
    fn any_change_of_a_body_is_survived(
        body in body(), at: prop::sample::Index, byte: u8, cuts: [prop::sample::Index; 3],
    ) {
        let mut bytes = body.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert_eq!(scan_at(&bytes, &cuts), scan_cut(&bytes, &[]));
    }
}

#[test]
fn members_are_found_by_their_paths() {
    use usage::request::Member;
    let body = r#"{"model":"m","n":3,"input":{"size":"1024x1024","deep":{"fps":24.0,"loop":true}},
        "images":[{"size":"x"},["a",{"size":"y"}],null,4],"none":null,"empty":[],"stream_options":{"x":{"y":5}},
        "input.size":"other","messages":[{"content":{"size":"z"}}]}"#;
    assert_no_cut_matters(body.as_bytes());
    let facts = facts(body);
    for (path, expected) in [
        ("n", Member::Whole(3)),
        ("input", Member::Object),
        ("input.size", Member::Text("1024x1024")),
        ("input.deep.fps", Member::OtherNumber),
        ("input.deep.loop", Member::Flag(true)),
        ("images", Member::List(4)),
        ("images.size", Member::Absent),
        ("none", Member::Absent),
        ("empty", Member::List(0)),
        ("stream_options.x.y", Member::Whole(5)),
        ("messages", Member::List(1)),
        ("messages.content.size", Member::Absent),
        ("size", Member::Absent),
        ("", Member::Absent),
    ] {
        assert_eq!(facts.member(path), Ok(expected), "{path}");
    }
}

#[test]
fn the_characters_of_a_long_text_are_counted_as_they_are_meant() {
    use usage::request::Member;
    let said = "Grüße aus 東京 🙂 and the rest of a text that is far longer than what is kept of texts";
    let escaped: String = said.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    for written in [said, &escaped] {
        let body = format!("{{\"input\":\"{written}\",\"n\":2}}");
        assert_eq!(facts(&body).member("input"), Ok(Member::LongText(said.chars().count() as u64)));
        assert_no_cut_matters(body.as_bytes());
    }
    let short = facts(r#"{"input":"a\ud800b"}"#);
    assert_eq!(short.member("input"), Ok(Member::LongText(3)), "half a pair is a character to upstreams");
}

#[test]
fn a_member_that_upstreams_could_disagree_on_is_unclear() {
    use usage::request::{Member, Unclear};
    for (body, path, expected) in [
        (r#"{"a":{"b":1,"b":2}}"#, "a.b", Err(Unclear::Twice)),
        (r#"{"a":{"b":1,"B":2}}"#, "a.b", Err(Unclear::Twice)),
        (r#"{"a":{"b":{"c":1},"b":2}}"#, "a.b.c", Err(Unclear::Twice)),
        (r#"{"a":{"B":1}}"#, "a.b", Err(Unclear::Misspelled)),
        (r#"{"Size":1}"#, "size", Err(Unclear::Misspelled)),
        (r#"{"\u017fize":1}"#, "size", Err(Unclear::Misspelled)),
        (r#"{"A":{"b":1}}"#, "a.b", Err(Unclear::Misspelled)),
        (r#"{"imageSize":1}"#, "imageSize", Ok(Member::Whole(1))),
        (r#"{"a":{"b":1}}"#, "a.b.c", Ok(Member::Absent)),
    ] {
        assert_eq!(facts(body).member(path), expected, "{body}");
    }
}

#[test]
fn nested_members_are_noted_within_bounds() {
    use usage::limits::{NOTED_MAX, NOTED_TEXT_MAX};
    use usage::request::{Member, Unclear};
    let many: Vec<String> = (0..=NOTED_MAX).map(|n| format!("\"m{n}\":1")).collect();
    let facts_of = |members: &[String]| facts(&format!("{{\"a\":{{{}}},\"b\":2}}", members.join(",")));
    assert_eq!(facts_of(&many[1..]).member("a.m2"), Ok(Member::Whole(1)));
    let too_many = facts_of(&many);
    assert_eq!(too_many.member("a.m2"), Err(Unclear::Lost), "what came later may be the same again");
    assert_eq!(too_many.member("b"), Ok(Member::Whole(2)), "the top is always whole");
    let text = |length: usize| facts(&format!("{{\"a\":\"{}\"}}", "x".repeat(length)));
    assert_eq!(text(NOTED_TEXT_MAX).member("a"), Ok(Member::Text(&"x".repeat(NOTED_TEXT_MAX))));
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(NOTED_TEXT_MAX + 1));
    assert_eq!(facts(&long).member("a"), Ok(Member::LongText(NOTED_TEXT_MAX as u64 + 1)));
    assert_no_cut_matters(long.as_bytes());
    let deep = facts(r#"{"a":{"b":{"c":{"d":1,"e":{"f":2}}}}}"#);
    assert_eq!(deep.member("a.b.c.d"), Ok(Member::Whole(1)));
    assert_eq!(deep.member("a.b.c.e"), Ok(Member::Object));
    assert_eq!(deep.member("a.b.c.e.f"), Err(Unclear::Lost), "deeper than any path");
}

fn gemini(body: &str) -> Result<RequestFacts, RequestError> {
    let mut whole = RequestScanner::new(RequestDialect::Gemini);
    let result = whole.feed(body.as_bytes()).and_then(|()| whole.finish());
    let mut single = RequestScanner::new(RequestDialect::Gemini);
    let fed = body.as_bytes().chunks(1).try_for_each(|byte| single.feed(byte));
    assert_eq!(fed.and_then(|()| single.finish()), result, "{body}");
    result
}

#[test]
fn gemini_has_its_bounds_in_generation_config() {
    let body = r#"{"contents":[{"parts":[{"text":"maxOutputTokens"}]}],"model":7,"n":0,"max_tokens":-1,
        "generationConfig":{"temperature":1,"stopSequences":["x"],"maxOutputTokens":800,"candidateCount":3,
        "thinkingConfig":{"maxOutputTokens":1}}}"#;
    let facts = gemini(body).unwrap();
    assert_eq!((facts.output_bound(), facts.answers(), facts.model.as_deref()), (Some(800), 3, None));
    let snake = gemini(r#"{"generation_config":{"max_output_tokens":5,"candidate_count":2}}"#).unwrap();
    assert_eq!((snake.output_bound(), snake.answers()), (Some(5), 2));
    let duplicate = |member: &str| Err(RequestError::Duplicate { member: member.into() });
    for (body, expected) in [
        (r#"{"generationConfig":{},"generation_config":{}}"#, duplicate("generationConfig")),
        (
            r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}"#,
            duplicate("generationConfig.maxOutputTokens"),
        ),
        (
            r#"{"generationConfig":{"candidateCount":1,"candidateCount":1}}"#,
            duplicate("generationConfig.candidateCount"),
        ),
        (
            r#"{"generationConfig":[]}"#,
            Err(RequestError::WrongType { member: "generationConfig", expected: "an object" }),
        ),
        (
            r#"{"generationConfig":{"candidateCount":0}}"#,
            Err(RequestError::OutOfRange { member: "generationConfig.candidateCount", min: 1, max: 128 }),
        ),
    ] {
        assert_eq!(gemini(body), expected, "{body}");
    }
    for bad in ["-1", "1.5", "\"7\"", "true", "{}"] {
        let body = format!(r#"{{"generationConfig":{{"maxOutputTokens":{bad}}}}}"#);
        assert!(gemini(&body).is_err(), "{body}");
    }
}

#[test]
fn of_answers_generated_to_choose_from_all_count() {
    assert_eq!(facts(r#"{"model":"m","n":2,"best_of":5}"#).answers(), 5);
    assert_eq!(facts(r#"{"model":"m","n":2}"#).answers(), 2);
    assert_eq!(facts(r#"{"model":"m","best_of":null}"#).answers(), 1);
    assert!(matches!(refusal(r#"{"best_of":0}"#), RequestError::OutOfRange { member: "best_of", .. }));
}
