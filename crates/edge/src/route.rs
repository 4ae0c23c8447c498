//! Classification: from method and path to what the request is.

pub mod dialect;
pub mod generic;

use crate::config::{Config, Route, RouteAction, Unmatched};
use crate::route::dialect::{Dialect, ErrorShape};
use crate::route::generic::{GenericRoute, Metering};
use usage::limits::MODEL_BYTES_MAX;

/// What a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Passed without key, plan or charge.
    Exempt,
    /// Refused with 403.
    Deny,
    /// Charged a flat price: the catalog's name of it.
    Flat(String),
    /// Metered from the answer.
    Meter(Dialect),
}

impl Operation {
    /// Whether a request's body waits until it is read.
    #[must_use]
    pub const fn reads_body(&self) -> bool {
        matches!(self, Self::Meter(dialect) if dialect.reads_body())
    }

    /// The name in the journal, metrics and the access log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::Deny => "deny",
            Self::Flat(_) => "flat",
            Self::Meter(dialect) => dialect.name(),
        }
    }
}

/// Classifies a request; `path` may carry a query.
#[must_use]
pub fn classify(config: &Config, method: &[u8], path: &[u8]) -> Operation {
    if let Some((at, route)) = own(config, method, path) {
        return operation(at, &route.action);
    }
    let bare = without_query(path);
    built_in(method, bare).unwrap_or_else(|| match &config.unmatched {
        Unmatched::Deny => Operation::Deny,
        Unmatched::Exempt => Operation::Exempt,
        Unmatched::Flat(name) => Operation::Flat(name.clone()),
    })
}

/// The route of the configuration that a request takes, and its place there.
pub(crate) fn own<'c>(config: &'c Config, method: &[u8], path: &[u8]) -> Option<(usize, &'c Route)> {
    let bare = without_query(path);
    config.routes.iter().enumerate().find(|(_, route)| route.matches(method, bare))
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|b| *b == b'?').next().unwrap_or_default()
}

/// What the paths of the known APIs are: OpenAI's (see [`OPENAI_BASES`]), Azure's deployments of it, Vertex AI's,
/// Anthropic's, Gemini's, Bedrock's, Cohere's, Ollama's.
fn built_in(method: &[u8], path: &[u8]) -> Option<Operation> {
    if method == b"GET" {
        let is_models = |version: &[u8]| {
            let rest = path.strip_prefix(version).and_then(|rest| rest.strip_prefix(b"models"));
            rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with(b"/") && stays_below(rest)))
        };
        // Below other bases there may be what is somebody's own (OpenRouter's `models/user`).
        let is_list = || OPENAI_BASES.iter().any(|base| path.strip_prefix(*base) == Some(b"models"));
        return (is_models(b"/v1/") || is_models(b"/v1beta/") || is_list()).then_some(Operation::Exempt);
    }
    if method != b"POST" {
        return None;
    }
    // Without a key only what no hop behind can take for another path passes: one in plain text.
    if let Some(Place { model, action, .. }) = gemini(path) {
        return match action {
            b"generateContent" | b"streamGenerateContent" => Some(Operation::Meter(Dialect::Gemini)),
            b"embedContent" | b"batchEmbedContents" => Some(Operation::Meter(Dialect::GeminiEmbed)),
            b"countTokens" if is_plain_path(path) && in_plain_text(model).is_some() => {
                Some(Operation::Exempt)
            }
            b"predict" => predicted(model),
            b"rawPredict" | b"streamRawPredict" if is_anthropics(path) => Some(match model {
                b"count-tokens" if is_plain_path(path) => Operation::Exempt,
                _ => Operation::Meter(Dialect::AnthropicMessages),
            }),
            _ => None,
        };
    }
    if let Some(Place { before: b"", model, action }) = bedrock(path) {
        return match action {
            b"converse" | b"converse-stream" => Some(Operation::Meter(Dialect::BedrockConverse)),
            b"invoke" | b"invoke-with-response-stream" => Some(Operation::Meter(Dialect::BedrockInvoke)),
            b"count-tokens" if decoded(model).is_some() => Some(Operation::Exempt),
            _ => None,
        };
    }
    if let Some((_, dialect)) = WHOLE.iter().find(|(own, _)| *own == path) {
        return Some(Operation::Meter(*dialect));
    }
    let bare = || OPENAI_BASES.iter().find_map(|base| path.strip_prefix(*base));
    let deployed = deployment(path).map(|place| place.action);
    let api = deployed.or_else(|| vertex_openai(path)).or_else(bare)?;
    Some(match api {
        b"chat/completions" => Operation::Meter(Dialect::OpenaiChat),
        b"completions" => Operation::Meter(Dialect::OpenaiCompletions),
        b"responses" | b"responses/compact" => Operation::Meter(Dialect::OpenaiResponses),
        b"responses/input_tokens" | b"messages/count_tokens" if is_plain_path(path) => Operation::Exempt,
        b"embeddings" => Operation::Meter(Dialect::Embeddings),
        b"images/generations" | b"images/edits" | b"images/variations" => Operation::Meter(Dialect::Items),
        b"audio/transcriptions" | b"audio/translations" => Operation::Meter(Dialect::Transcription),
        b"audio/speech" => Operation::Meter(Dialect::Speech),
        b"moderations" => Operation::Meter(Dialect::Moderation),
        b"rerank" => Operation::Meter(Dialect::Rerank),
        b"messages" => Operation::Meter(Dialect::AnthropicMessages),
        _ => return None,
    })
}

/// Whose error object the client of a request looks for: by its dialect, else by what its path begins with, for clients
/// also ask for what is not metered or not offered; most of them speak OpenAI's.
pub(crate) fn error_shape(operation: &Operation, path: &[u8]) -> ErrorShape {
    if let Operation::Meter(dialect) = operation
        && !matches!(dialect, Dialect::Generic(_))
    {
        return dialect.errors();
    }
    let bare = without_query(path);
    if gemini(bare).is_some() {
        return ErrorShape::Google;
    }
    let is_part = |own: &[u8]| {
        let rest = bare.strip_prefix(own);
        rest.is_some_and(|rest| own.ends_with(b"/") || rest.is_empty() || rest.starts_with(b"/"))
    };
    let known = FAMILIES.iter().find(|(begin, _)| is_part(begin)).map(|(_, shape)| *shape);
    known.unwrap_or(ErrorShape::OpenAi)
}

/// What paths of APIs other than OpenAI's begin with.
const FAMILIES: &[(&[u8], ErrorShape)] = &[
    (b"/v1/chat/completions", ErrorShape::OpenAi),
    (b"/v1/messages", ErrorShape::Anthropic),
    (b"/v1beta/openai", ErrorShape::OpenAi),
    (b"/v1beta", ErrorShape::Google),
    (b"/v1beta1", ErrorShape::Google),
    (b"/v1alpha", ErrorShape::Google),
    (b"/v1/projects", ErrorShape::Google),
    (b"/v1/cachedContents", ErrorShape::Google),
    (b"/v1/tunedModels", ErrorShape::Google),
    (b"/upload/v1beta", ErrorShape::Google),
    (b"/model", ErrorShape::Aws),
    (b"/async-invoke", ErrorShape::Aws),
    (b"/guardrail", ErrorShape::Aws),
    (b"/v2/", ErrorShape::Cohere),
    (b"/v1/chat", ErrorShape::Cohere),
    (b"/v1/embed", ErrorShape::Cohere),
    (b"/v1/embed-jobs", ErrorShape::Cohere),
    (b"/v1/classify", ErrorShape::Cohere),
    (b"/v1/tokenize", ErrorShape::Cohere),
    (b"/v1/detokenize", ErrorShape::Cohere),
    (b"/v1/datasets", ErrorShape::Cohere),
    (b"/v1/connectors", ErrorShape::Cohere),
    (b"/api/v1", ErrorShape::OpenAi),
    (b"/api/paas", ErrorShape::OpenAi),
    (b"/api/", ErrorShape::Ollama),
];

/// What stands before the paths of OpenAI's API: with itself, Azure and Groq, OpenRouter, Fireworks, Alibaba, Z.ai, Gemini.
const OPENAI_BASES: &[&[u8]] = &[
    b"/v1/",
    b"/openai/v1/",
    b"/api/v1/",
    b"/inference/v1/",
    b"/compatible-mode/v1/",
    b"/api/paas/v4/",
    b"/v1beta/openai/",
];

/// Paths of APIs that have no version of their own, or another one.
const WHOLE: &[(&[u8], Dialect)] = &[
    (b"/v2/rerank", Dialect::Rerank),
    (b"/v1/chat", Dialect::CohereChat),
    (b"/v2/chat", Dialect::CohereChat),
    (b"/v1/generate", Dialect::CohereChat),
    (b"/v1/embed", Dialect::CohereEmbed),
    (b"/v2/embed", Dialect::CohereEmbed),
    (b"/api/chat", Dialect::OllamaChat),
    (b"/api/generate", Dialect::OllamaChat),
    (b"/api/embed", Dialect::OllamaEmbed),
    (b"/api/embeddings", Dialect::OllamaEmbed),
    // DeepSeek's and Perplexity's.
    (b"/chat/completions", Dialect::OpenaiChat),
];

/// A path that names a model.
struct Place<'a> {
    /// What stands before the list of models.
    before: &'a [u8],
    model: &'a [u8],
    /// What is asked of it.
    action: &'a [u8],
}

/// `…/models/MODEL:ACTION`, under whichever version, project and publisher (Gemini, Vertex AI).
fn gemini(path: &[u8]) -> Option<Place<'_>> {
    let (before, last) = split_last(path, b'/')?;
    let (model, action) = split_last(last, b':')?;
    let lists = [&b"/models"[..], b"/tunedModels"];
    let before = lists.into_iter().find_map(|list| before.strip_suffix(list))?;
    before.starts_with(b"/v1").then_some(Place { before, model, action })
}

/// `/v1…/projects/…/endpoints/openapi/chat/completions`: what Vertex AI has of OpenAI's API.
fn vertex_openai(path: &[u8]) -> Option<&[u8]> {
    const PLACE: &[u8] = b"/endpoints/openapi/";
    let project = path.strip_prefix(b"/v1/projects/").or_else(|| path.strip_prefix(b"/v1beta1/projects/"))?;
    let at = project.windows(PLACE.len()).position(|window| window == PLACE)?;
    let (project, api) = project.split_at_checked(at)?;
    api.strip_prefix(PLACE).filter(|api| is_plain_path(project) && *api == b"chat/completions")
}

/// What is asked of a model of Vertex AI's own that is sold neither by text nor by messages.
fn predicted(model: &[u8]) -> Option<Operation> {
    let model = in_plain_text(model)?;
    let is_image = ["imagen", "imagegeneration"].into_iter().any(|family| model.starts_with(family));
    match (model.contains("embedding"), is_image) {
        (true, _) => Some(Operation::Meter(Dialect::Embeddings)),
        (false, true) => Some(Operation::Meter(Dialect::Items)),
        (false, false) => None,
    }
}

/// Whether a path of Vertex AI names one of Anthropic's models.
fn is_anthropics(path: &[u8]) -> bool {
    split_last(path, b'/').is_some_and(|(before, _)| before.ends_with(b"/publishers/anthropic/models"))
}

/// What stands before and behind the last of these bytes.
fn split_last(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == at)?;
    let (before, rest) = text.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// `/openai/deployments/MODEL/ACTION` (Azure).
fn deployment(path: &[u8]) -> Option<Place<'_>> {
    let rest = path.strip_prefix(b"/openai/deployments/")?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let (model, action) = rest.split_at_checked(slash)?;
    Some(Place { before: b"/openai", model, action: action.get(1..)? })
}

/// `…/model/MODEL/ACTION` (Amazon Bedrock), under whichever prefix a gateway has for it.
fn bedrock(path: &[u8]) -> Option<Place<'_>> {
    let (before, action) = split_last(path, b'/')?;
    let (before, model) = split_last(before, b'/')?;
    let known =
        [&b"converse"[..], b"converse-stream", b"invoke", b"invoke-with-response-stream", b"count-tokens"];
    let before = before.strip_suffix(b"/model").filter(|_| known.contains(&action))?;
    Some(Place { before, model, action })
}

/// The model that a path names, where it does: then that counts, whatever the body says. Nothing in place of a name
/// that is not written so that all read it the same.
#[must_use]
pub fn path_model(path: &[u8]) -> Option<Option<Box<str>>> {
    let bare = without_query(path);
    // What stands before it could hide another model's path, `%3F` behind that.
    let alone = |place: &Place<'_>| is_plain_path(place.before);
    if let Some(place) = bedrock(bare) {
        return Some(alone(&place).then(|| decoded(place.model)).flatten());
    }
    let place = gemini(bare).or_else(|| deployment(bare))?;
    Some(in_plain_text(place.model).filter(|_| alone(&place)).map(Into::into))
}

/// Whether all read a path the same: there is nothing in it to decode, to cut off or to step back over.
fn is_plain_path(path: &[u8]) -> bool {
    path.iter().all(|byte| is_plain(*byte) || *byte == b'/')
        && path.split(|byte| *byte == b'/').all(|step| !steps_out(step))
}

/// Whether a path's rest names what is below its beginning, decoded or not.
fn stays_below(rest: &[u8]) -> bool {
    unescaped(rest).is_some_and(|rest| is_plain_path(rest.as_bytes()))
}

fn steps_out(step: &[u8]) -> bool {
    matches!(step, b"." | b"..")
}

/// A model's name as it stands in a path. One that is encoded could mean another model upstream than here.
fn in_plain_text(model: &[u8]) -> Option<&str> {
    let model = str::from_utf8(model).ok().filter(|model| model.len() <= MODEL_BYTES_MAX)?;
    model.bytes().all(is_plain).then_some(model)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte)
}

/// A model's name that Amazon's clients encode and its servers decode: once, to what needs no encoding, or to an ARN
/// with its slashes (decision 37).
fn decoded(model: &[u8]) -> Option<Box<str>> {
    let name = unescaped(model)?;
    let may_have_slashes = name.starts_with("arn:") || !name.contains('/');
    let is_odd = name.split('/').any(|step| step.is_empty() || steps_out(step.as_bytes()));
    (may_have_slashes && !is_odd && name.len() <= MODEL_BYTES_MAX).then(|| name.into())
}

/// What stands in a path, decoded once; nothing where that needs encoding.
fn unescaped(text: &[u8]) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
                ((digit(high)? << 4) | digit(low)?, after)
            }
            _ => (byte, after),
        };
        if !is_plain(byte) && byte != b'/' {
            return None;
        }
        name.push(char::from(byte));
        rest = after;
    }
    Some(name)
}

impl Route {
    fn matches(&self, method: &[u8], path: &[u8]) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|m| m.as_bytes() == method);
        let exact = self.path.as_ref().is_none_or(|own| own.as_bytes() == path);
        let begins = self.prefix.as_ref().is_none_or(|own| path.starts_with(own.as_bytes()));
        method_fits && exact && begins
    }
}

fn operation(at: usize, action: &RouteAction) -> Operation {
    match action {
        RouteAction::Exempt => Operation::Exempt,
        RouteAction::Deny => Operation::Deny,
        RouteAction::Flat(name) => Operation::Flat(name.clone()),
        RouteAction::Meter(Metering::Known(dialect)) => Operation::Meter(*dialect),
        RouteAction::Meter(Metering::Generic(generic)) => {
            Operation::Meter(Dialect::Generic(GenericRoute::new(at, generic)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(extra: &str) -> Config {
        let json = format!(r#"{{"ledger":{{"cluster":"l"}},"headers":"hold"{extra}}}"#);
        Config::parse(json.as_bytes()).expect("valid")
    }

    #[test]
    fn built_in_routes_and_unmatched() {
        let deny = config("");
        let flat = config(r#","unmatched":{"flat":"other"}"#);
        for (method, path, expected) in [
            ("POST", "/v1/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/v1/chat/completions?x=1", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/v1/images/generations", Operation::Meter(Dialect::Items)),
            ("POST", "/v1/images/edits", Operation::Meter(Dialect::Items)),
            ("POST", "/v1/images/variations", Operation::Meter(Dialect::Items)),
            ("POST", "/v1/audio/transcriptions", Operation::Meter(Dialect::Transcription)),
            ("POST", "/v1/audio/translations", Operation::Meter(Dialect::Transcription)),
            ("POST", "/openai/v1/audio/transcriptions", Operation::Meter(Dialect::Transcription)),
            ("POST", "/openai/deployments/w/audio/translations", Operation::Meter(Dialect::Transcription)),
            ("POST", "/v1/audio/speech", Operation::Meter(Dialect::Speech)),
            ("POST", "/v1/moderations", Operation::Meter(Dialect::Moderation)),
            ("POST", "/v1/rerank", Operation::Meter(Dialect::Rerank)),
            ("POST", "/v2/rerank", Operation::Meter(Dialect::Rerank)),
            ("POST", "/v3/rerank", Operation::Deny),
            ("POST", "/v1/responses/compact", Operation::Meter(Dialect::OpenaiResponses)),
            ("POST", "/v1/responses/input_tokens", Operation::Exempt),
            ("GET", "/v1/responses/resp_1", Operation::Deny),
            ("POST", "/v1/responses/resp_1/cancel", Operation::Deny),
            ("POST", "/openai/v1/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/api/v1/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/inference/v1/embeddings", Operation::Meter(Dialect::Embeddings)),
            ("POST", "/compatible-mode/v1/responses", Operation::Meter(Dialect::OpenaiResponses)),
            ("POST", "/api/paas/v4/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/v1beta/openai/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/chat/completions", Operation::Meter(Dialect::OpenaiChat)),
            ("POST", "/x/chat/completions", Operation::Deny),
            (
                "POST",
                "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
                Operation::Meter(Dialect::OpenaiChat),
            ),
            ("POST", "/v1/locations/l/endpoints/openapi/chat/completions", Operation::Deny),
            ("POST", "/v1/projects/p%2F../endpoints/openapi/chat/completions", Operation::Deny),
            ("POST", "/v1/projects/p/endpoints/openapi/responses/input_tokens", Operation::Deny),
            ("GET", "/openai/v1/models", Operation::Exempt),
            ("GET", "/api/v1/models", Operation::Exempt),
            ("GET", "/api/v1/models/user", Operation::Deny),
            ("POST", "/openai/deployments/d/responses/input_tokens", Operation::Exempt),
            ("POST", "/openai/deployments/d%2Fchat%2Fcompletions%3F/responses/input_tokens", Operation::Deny),
            ("POST", "/openai/deployments/d%2Fchat%2Fcompletions;/messages/count_tokens", Operation::Deny),
            ("GET", "/api/v1/key", Operation::Deny),
            ("POST", "/v1/completions", Operation::Meter(Dialect::OpenaiCompletions)),
            ("POST", "/v1/responses", Operation::Meter(Dialect::OpenaiResponses)),
            ("POST", "/v1/embeddings", Operation::Meter(Dialect::Embeddings)),
            ("POST", "/v1/messages", Operation::Meter(Dialect::AnthropicMessages)),
            ("POST", "/v1/messages/count_tokens", Operation::Exempt),
            (
                "POST",
                "/openai/deployments/d/chat/completions?api-version=1",
                Operation::Meter(Dialect::OpenaiChat),
            ),
            ("POST", "/openai/deployments/d/embeddings", Operation::Meter(Dialect::Embeddings)),
            ("POST", "/openai/deployments/d", Operation::Deny),
            ("POST", "/openai/deployments/d/x/chat/completions", Operation::Deny),
            ("POST", "/v1beta/models/gemini-2.5-pro:generateContent", Operation::Meter(Dialect::Gemini)),
            ("POST", "/v1/models/m:streamGenerateContent?alt=sse", Operation::Meter(Dialect::Gemini)),
            (
                "POST",
                "/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
                Operation::Meter(Dialect::Gemini),
            ),
            ("POST", "/v1beta/models/m:countTokens", Operation::Exempt),
            ("POST", "/v1beta/models/m%3AgenerateContent%3F:countTokens", Operation::Deny),
            ("POST", "/model/claude%2Finvoke%3F/count-tokens", Operation::Deny),
            ("POST", "/model/claude-v2%3A1/count-tokens", Operation::Exempt),
            ("POST", "/model/claude/converse%3F/model/m/count-tokens", Operation::Deny),
            ("POST", "/model/claude/converse;/model/m/count-tokens", Operation::Deny),
            ("POST", "/aws/model/m/count-tokens", Operation::Deny),
            ("POST", "/v1beta/models/dear:generateContent%3F/models/m:countTokens", Operation::Deny),
            ("POST", "/v1beta/models/dear:generateContent;/models/m:countTokens", Operation::Deny),
            ("POST", "/v1beta/x/../models/m:countTokens", Operation::Deny),
            (
                "POST",
                "/v1/projects/a.b:p/locations/l/publishers/google/models/m:countTokens",
                Operation::Exempt,
            ),
            ("POST", "/v1beta/models/m:embedContent", Operation::Meter(Dialect::GeminiEmbed)),
            ("POST", "/v1beta/models/m:batchEmbedContents", Operation::Meter(Dialect::GeminiEmbed)),
            ("POST", "/v1beta/models/m:asyncBatchEmbedContent", Operation::Deny),
            ("POST", "/v1beta/models/imagen-4.0-generate-001:predict", Operation::Meter(Dialect::Items)),
            (
                "POST",
                "/v1/a/publishers/google/models/gemini-embedding-001:predict",
                Operation::Meter(Dialect::Embeddings),
            ),
            ("POST", "/v1/a/publishers/google/models/veo-3.1:predict", Operation::Deny),
            ("POST", "/v1/a/publishers/google/models/embedding%2F:predict", Operation::Deny),
            (
                "POST",
                "/v1/a/publishers/anthropic/models/c@1:rawPredict",
                Operation::Meter(Dialect::AnthropicMessages),
            ),
            (
                "POST",
                "/v1/a/publishers/anthropic/models/c:streamRawPredict",
                Operation::Meter(Dialect::AnthropicMessages),
            ),
            ("POST", "/v1/a/publishers/anthropic/models/count-tokens:rawPredict", Operation::Exempt),
            // Refused, as its path names no model (below).
            (
                "POST",
                "/v1/a/publishers/anthropic/models/c:rawPredict%3F/publishers/anthropic/models/count-tokens:rawPredict",
                Operation::Meter(Dialect::AnthropicMessages),
            ),
            ("POST", "/v1/a/publishers/mistralai/models/c:rawPredict", Operation::Deny),
            ("POST", "/v1/generate", Operation::Meter(Dialect::CohereChat)),
            ("POST", "/v1beta/models/cheap:generateContent/../dear:generateContent", Operation::Deny),
            ("POST", "/v1beta/models/m", Operation::Deny),
            ("POST", "/models/m:generateContent", Operation::Deny),
            ("POST", "/", Operation::Deny),
            ("POST", "/model/m/converse", Operation::Meter(Dialect::BedrockConverse)),
            ("POST", "/model/m%3A0/converse-stream", Operation::Meter(Dialect::BedrockConverse)),
            ("POST", "/model/m/invoke", Operation::Meter(Dialect::BedrockInvoke)),
            ("POST", "/model/m/invoke-with-response-stream", Operation::Meter(Dialect::BedrockInvoke)),
            ("POST", "/model/m/count-tokens", Operation::Exempt),
            ("POST", "/model/m/invoke-with-bidirectional-stream", Operation::Deny),
            ("POST", "/model/m/x/converse", Operation::Deny),
            ("POST", "/model/converse", Operation::Deny),
            ("GET", "/model/m/converse", Operation::Deny),
            ("POST", "/v1/chat", Operation::Meter(Dialect::CohereChat)),
            ("POST", "/v2/chat?x", Operation::Meter(Dialect::CohereChat)),
            ("POST", "/v1/embed", Operation::Meter(Dialect::CohereEmbed)),
            ("POST", "/v2/embed", Operation::Meter(Dialect::CohereEmbed)),
            ("POST", "/api/chat", Operation::Meter(Dialect::OllamaChat)),
            ("POST", "/api/generate", Operation::Meter(Dialect::OllamaChat)),
            ("POST", "/api/embed", Operation::Meter(Dialect::OllamaEmbed)),
            ("POST", "/api/embeddings", Operation::Meter(Dialect::OllamaEmbed)),
            ("POST", "/api/pull", Operation::Deny),
            ("GET", "/api/tags", Operation::Deny),
            ("GET", "/v1beta/models", Operation::Exempt),
            ("GET", "/v1/modelsx", Operation::Deny),
            ("GET", "/v1/models", Operation::Exempt),
            ("GET", "/v1/models/gpt-5", Operation::Exempt),
            ("GET", "/v1/models/", Operation::Exempt),
            ("GET", "/v1/models/a/b/endpoints?x=%2e%2e", Operation::Exempt),
            ("GET", "/v1/models/a%2Fb%3A1", Operation::Exempt),
            ("GET", "/v1/models/../responses/resp_1", Operation::Deny),
            ("GET", "/v1/models/%2e%2e/responses/resp_1", Operation::Deny),
            ("GET", "/v1/models/..%2Fresponses%2Fresp_1", Operation::Deny),
            ("GET", "/v1/models/%252e%252e/responses", Operation::Deny),
            ("GET", "/v1/models/a;/../../responses", Operation::Deny),
            ("GET", "/v1/models/a\\..\\..\\responses", Operation::Deny),
            ("DELETE", "/v1/models/gpt-5", Operation::Deny),
            ("GET", "/v1/chat/completions", Operation::Deny),
            ("POST", "/v1/chat/completions/", Operation::Deny),
        ] {
            assert_eq!(classify(&deny, method.as_bytes(), path.as_bytes()), expected, "{method} {path}");
        }
        assert_eq!(classify(&flat, b"GET", b"/x"), Operation::Flat("other".to_owned()));
    }

    #[test]
    fn a_refusal_is_in_the_words_of_the_api_that_a_path_is_of() {
        let own = config(
            r#","routes":[{"prefix":"/v1/messages/batches","action":{"flat":"batch"}},{"path":"/api/pull","action":{"meter":{"price":"pull"}}}]"#,
        );
        use ErrorShape::{Anthropic, Aws, Cohere, Google, Ollama, OpenAi};
        for (method, path, expected) in [
            ("POST", "/v1/chat/completions", OpenAi),
            ("DELETE", "/v1/chat/completions/chatcmpl-1", OpenAi),
            ("POST", "/v1/chat?x", Cohere),
            ("GET", "/v1/files", OpenAi),
            ("POST", "/v1/embeddingsx", OpenAi),
            ("POST", "/v1/embed", Cohere),
            ("POST", "/v2/chats", Cohere),
            ("POST", "/v2/rerank", OpenAi),
            ("POST", "/v1/messages", Anthropic),
            ("POST", "/v1/messages/batches", Anthropic),
            ("POST", "/v1/messagesx", OpenAi),
            ("POST", "/v1beta/models/m:embedContent", Google),
            ("POST", "/v1/models/m:embedContent", Google),
            ("GET", "/v1beta/files?key=x", Google),
            ("POST", "/v1/projects/p/locations/l/publishers/google/models/m:predict", Google),
            ("POST", "/model/m/invoke-with-bidirectional-stream", Aws),
            ("POST", "/models", OpenAi),
            ("GET", "/api/tags", Ollama),
            ("POST", "/api/pull", Ollama),
            ("GET", "/apis", OpenAi),
            ("GET", "/", OpenAi),
            ("GET", "", OpenAi),
        ] {
            let operation = classify(&own, method.as_bytes(), path.as_bytes());
            assert_eq!(error_shape(&operation, path.as_bytes()), expected, "{method} {path}");
        }
    }

    #[test]
    fn some_paths_name_the_model() {
        for (path, expected) in [
            ("/v1beta/models/gemini-2.5-pro:generateContent?key=x", Some("gemini-2.5-pro")),
            ("/v1beta/tunedModels/own:1:generateContent", Some("own:1")),
            ("/openai/deployments/gpt-5/chat/completions", Some("gpt-5")),
            ("/v1beta/models/:generateContent", Some("")),
            ("/aws/model/m/converse", Some("m")),
            ("/aws/model/m/chat", None),
            ("/v1/chat/completions", None),
            ("/v1beta/models/m", None),
            ("", None),
        ] {
            let model = path_model(path.as_bytes());
            assert_eq!(model.as_ref().map(Option::as_deref), expected.map(Some), "{path}");
        }
    }

    #[test]
    fn a_model_that_is_not_in_plain_text_is_none_but_for_amazon() {
        for path in [
            "/v1beta/models/a%2Db:generateContent",
            "/openai/deployments/a b/embeddings",
            "/v1beta/models/dear:generateContent%3F/models/cheap:generateContent",
            "/v1/a/publishers/anthropic/models/c:rawPredict%3F/publishers/anthropic/models/count-tokens:rawPredict",
            "/model/dear/converse%3F/model/cheap/converse",
            "/aws;/model/cheap/converse",
        ] {
            assert_eq!(path_model(path.as_bytes()), Some(None), "{path}");
        }
        let profile = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-lite-v1:0";
        for (model, expected) in [
            ("anthropic.claude-v2", Some("anthropic.claude-v2")),
            ("anthropic.claude-v2%3A1", Some("anthropic.claude-v2:1")),
            ("anthropic.claude-v2%3a1", Some("anthropic.claude-v2:1")),
            ("anthropic.claude-v2:1", Some("anthropic.claude-v2:1")),
            ("%6Dodel", Some("model")),
            (&*profile.replace(':', "%3A").replace('/', "%2F"), Some(profile)),
            ("model%253A1", None),
            ("model%00", None),
            ("model%0A", None),
            ("model%20", None),
            ("model%", None),
            ("model%3", None),
            ("model%zz", None),
            ("model%+1", None),
            ("model%C3%A9", None),
            ("a%2Fb", None),
            ("arn:a%2F..%2Fb", None),
            ("arn:a%2F%2E%2Fb", None),
            ("arn:a%2F", None),
            ("..", None),
            ("%2e%2E", None),
            ("", None),
            (&*"x".repeat(257), None),
        ] {
            let path = format!("/model/{model}/converse");
            assert_eq!(path_model(path.as_bytes()), Some(expected.map(Into::into)), "{path}");
        }
        assert_eq!(path_model(b"/model/a/b/converse"), None);
    }

    #[test]
    fn own_routes_come_first() {
        let config = config(
            r#","routes":[{"path":"/v1/models","action":"deny"},{"prefix":"/p/","methods":["GET"],"action":{"flat":"search"}}]"#,
        );
        assert_eq!(classify(&config, b"GET", b"/v1/models"), Operation::Deny);
        assert_eq!(classify(&config, b"GET", b"/p/x?y"), Operation::Flat("search".to_owned()));
        assert_eq!(classify(&config, b"POST", b"/p/x"), Operation::Deny);
    }
}
