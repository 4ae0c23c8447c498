//! Requests of Bedrock and Ollama: what bounds their answers, wherever the API has it, and what is put there.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use usage::request::edit::{OutputBound, apply, max_tokens, prefix_len};
use usage::request::{RequestDialect, RequestError, RequestFacts, RequestScanner};

const CONVERSE: (RequestDialect, OutputBound) =
    (RequestDialect::BedrockConverse, OutputBound::Within("inferenceConfig", "maxTokens"));
const INVOKE: (RequestDialect, OutputBound) = (RequestDialect::BedrockInvoke, OutputBound::Named);
const OLLAMA: (RequestDialect, OutputBound) =
    (RequestDialect::Ollama, OutputBound::Within("options", "num_predict"));

const CHAT: (RequestDialect, OutputBound) = (RequestDialect::OpenAi, OutputBound::Chat);
const TEXT: (RequestDialect, OutputBound) = (RequestDialect::OpenAi, OutputBound::MaxTokens);
const RESPONSES: (RequestDialect, OutputBound) = (RequestDialect::OpenAi, OutputBound::MaxOutputTokens);

/// What a body says, cut at every byte.
fn scan(dialect: RequestDialect, body: &str) -> Result<RequestFacts, RequestError> {
    let read = |pieces: &[&[u8]]| {
        let mut scanner = RequestScanner::new(dialect);
        pieces.iter().try_for_each(|piece| scanner.feed(piece))?;
        scanner.finish()
    };
    let whole = read(&[body.as_bytes()]);
    for at in 0..body.len() {
        let (before, after) = body.as_bytes().split_at(at);
        assert_eq!(read(&[before, after]), whole, "{body} cut at {at}");
    }
    whole
}

#[test]
fn the_bound_is_found_where_each_api_has_it() {
    for ((dialect, _), body, bound, answers) in [
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":5,"temperature":0}}"#, Some(5), 1),
        (CONVERSE, r#"{"maxTokens":5,"additionalModelRequestFields":{"maxTokens":6},"n":9}"#, None, 1),
        (CONVERSE, r#"{"inferenceconfig":{"maxTokens":5}}"#, None, 1),
        (CONVERSE, r#"{"inferenceConfig":{"max_new_tokens":5}}"#, None, 1),
        (INVOKE, r#"{"anthropic_version":"bedrock-2023-05-31","max_tokens":5}"#, Some(5), 1),
        (INVOKE, r#"{"prompt":"\n\nHuman:","max_tokens_to_sample":5}"#, Some(5), 1),
        (INVOKE, r#"{"max_gen_len":5}"#, Some(5), 1),
        (INVOKE, r#"{"maxTokens":5,"numResults":2}"#, Some(5), 2),
        (INVOKE, r#"{"max_completion_tokens":5,"n":3}"#, Some(5), 3),
        (INVOKE, r#"{"textGenerationConfig":{"maxTokenCount":5}}"#, Some(5), 1),
        (INVOKE, r#"{"inferenceConfig":{"max_new_tokens":5}}"#, Some(5), 1),
        (INVOKE, r#"{"inputText":"max_tokens","x":{"max_tokens":7}}"#, None, 1),
        (OLLAMA, r#"{"options":{"num_predict":5,"num_ctx":4096}}"#, Some(5), 1),
        (OLLAMA, r#"{"options":{"num_predict":-1}}"#, None, 1),
        (OLLAMA, r#"{"options":{"num_predict":0}}"#, None, 1),
        (OLLAMA, r#"{"options":{"num_predict":null},"num_predict":3,"max_tokens":9}"#, None, 1),
        (OLLAMA, r#"{"options":null}"#, None, 1),
    ] {
        let facts = scan(dialect, body).unwrap();
        assert_eq!((facts.output_bound(), facts.answers()), (bound, answers), "{body}");
        assert_eq!(facts.model, None, "{body}");
    }
}

#[test]
fn ollama_streams_unless_it_is_told_not_to() {
    for (body, streams) in [
        (r#"{"model":"m"}"#, true),
        (r#"{"model":"m","stream":null}"#, true),
        (r#"{"model":"m","stream":true}"#, true),
        (r#"{"model":"m","stream":false}"#, false),
    ] {
        let facts = scan(RequestDialect::Ollama, body).unwrap();
        assert_eq!((facts.stream, facts.model.as_deref()), (streams, Some("m")), "{body}");
    }
    // Bedrock's paths say it: what a body calls `model` or `stream` is the model's own business.
    for dialect in [RequestDialect::BedrockInvoke, RequestDialect::BedrockConverse] {
        let facts = scan(dialect, r#"{"model":7,"stream":"yes"}"#).unwrap();
        assert_eq!((facts.stream, facts.model), (false, None));
    }
}

#[test]
fn what_upstreams_could_read_in_two_ways_is_refused() {
    for ((dialect, _), body) in [
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":1},"inferenceConfig":{"maxTokens":2}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":1,"maxTokens":2}}"#),
        (CONVERSE, r#"{"inferenceConfig":[]}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":1.5}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":-1}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":"1"}}"#),
        (INVOKE, r#"{"max_tokens":1,"max_gen_len":2}"#),
        (INVOKE, r#"{"Max_Tokens":1}"#),
        (INVOKE, r#"{"max_tokens":-1}"#),
        (INVOKE, r#"{"textGenerationConfig":{"maxTokenCount":1},"inferenceConfig":{}}"#),
        (OLLAMA, r#"{"options":{"num_predict":1},"Options":{"num_predict":2}}"#),
        (OLLAMA, r#"{"Stream":false}"#),
        (OLLAMA, r#"{"stream":"false"}"#),
        (OLLAMA, r#"{"options":{"num_predict":1.0}}"#),
    ] {
        assert!(scan(dialect, body).is_err(), "{body}");
    }
}

#[test]
fn a_cap_is_put_where_the_api_has_it_and_nothing_else_changes() {
    for ((dialect, bound), body, expected) in [
        (CONVERSE, "{}", r#"{"inferenceConfig":{"maxTokens":9}}"#),
        (CONVERSE, r#"{"inferenceConfig":null}"#, r#"{"inferenceConfig":{"maxTokens":9}}"#),
        (
            CONVERSE,
            r#"{ "inferenceConfig": {"topP":1} }"#,
            r#"{ "inferenceConfig": {"maxTokens":9,"topP":1} }"#,
        ),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":null}}"#, r#"{"inferenceConfig":{"maxTokens":9}}"#),
        (CONVERSE, r#"{"inferenceConfig":{"maxTokens":8}}"#, r#"{"inferenceConfig":{"maxTokens":8}}"#),
        (INVOKE, r#"{"max_gen_len":10}"#, r#"{"max_gen_len":9}"#),
        (INVOKE, r#"{"inputText":"x"}"#, r#"{"inputText":"x"}"#),
        (INVOKE, r#"{"max_tokens":null}"#, r#"{"max_tokens":null}"#),
        (OLLAMA, r#"{"options":{"num_predict":-2}}"#, r#"{"options":{"num_predict":9}}"#),
        (OLLAMA, r#"{"options":{"num_predict":0}}"#, r#"{"options":{"num_predict":9}}"#),
        (CHAT, r#"{"max_completion_tokens":10}"#, r#"{"max_completion_tokens":9}"#),
        (CHAT, r#"{"max_completion_tokens":0}"#, r#"{"max_completion_tokens":9}"#),
        // A name of another API's bounds nothing here.
        (CHAT, r#"{"max_output_tokens":1}"#, r#"{"max_tokens":9,"max_output_tokens":1}"#),
        (CHAT, r#"{"max_output_tokens":10}"#, r#"{"max_tokens":9,"max_output_tokens":9}"#),
        (TEXT, r#"{"max_completion_tokens":1}"#, r#"{"max_tokens":9,"max_completion_tokens":1}"#),
        (TEXT, r#"{"max_tokens":0,"echo":true}"#, r#"{"max_tokens":0,"echo":true}"#),
        (RESPONSES, r#"{"max_tokens":1}"#, r#"{"max_output_tokens":9,"max_tokens":1}"#),
        (OLLAMA, r#"{"model":"m"}"#, r#"{"options":{"num_predict":9},"model":"m"}"#),
    ] {
        let edits = max_tokens(&scan(dialect, body).unwrap(), 9, bound);
        let (prefix, rest) = body.as_bytes().split_at(usize::try_from(prefix_len(&edits)).unwrap());
        let edited = [apply(prefix, &edits), rest.to_vec()].concat();
        assert_eq!(String::from_utf8(edited).unwrap(), expected, "{body}");
    }
}

#[test]
fn each_text_of_a_list_of_prompts_is_counted_and_tokens_are_one() {
    for (prompt, texts) in [
        (r#""one""#, 1),
        (r#"["one"]"#, 1),
        (r#"["one","two","three"]"#, 3),
        ("[1,2,3]", 1),
        ("[[1,2],[3],[4,5]]", 3),
        ("[]", 1),
        ("null", 1),
    ] {
        let facts =
            scan(RequestDialect::OpenAi, &format!(r#"{{"prompt":{prompt},"stop":["a","b"]}}"#)).unwrap();
        assert_eq!((facts.texts("prompt"), facts.texts("suffix")), (texts, 1), "{prompt}");
    }
}
