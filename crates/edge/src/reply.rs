//! Refusals: what the client is told, as an RFC 9457 problem with the API dialect's own error object inside.
//!
//! The status codes and codes are a documented contract (README, "What the client sees").

pub(crate) mod refuse;

use std::borrow::Cow;

use serde::Serialize;
use tariff::Unlock;

use crate::config::Config;
use crate::route::dialect::{ErrorObject, ErrorShape, anthropic_type, aws_exception, google_status};

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// 401: no key, several keys, an unknown or revoked key.
    InvalidApiKey,
    /// 402: credits are gone.
    InsufficientCredits,
    /// 402: a cap that money lifts.
    LimitReached,
    /// 402: the plan does not open this model.
    PlanRequired,
    /// 403: the key may not use this model.
    ForbiddenModel,
    /// 403: the account is suspended or closed.
    AccountSuspended,
    /// 403: the path is not offered.
    RouteDenied,
    /// 429: a rate.
    RateLimited,
    /// 413: the body is above the cap.
    RequestTooLarge,
    /// 400: the body cannot be read where it must be.
    InvalidRequest,
    /// 400: the model is unknown or has no price.
    UnknownModel,
    /// 502: the upstream answered before admission.
    UpstreamAnsweredEarly,
    /// 503: the ledger is needed and cannot be reached.
    LedgerUnavailable,
    /// 503: a table or queue of the edge is full.
    Overloaded,
}

impl Code {
    /// Every code, in the order of the metrics.
    pub const ALL: &[Self] = &[
        Self::InvalidApiKey,
        Self::InsufficientCredits,
        Self::LimitReached,
        Self::PlanRequired,
        Self::ForbiddenModel,
        Self::AccountSuspended,
        Self::RouteDenied,
        Self::RateLimited,
        Self::RequestTooLarge,
        Self::InvalidRequest,
        Self::UnknownModel,
        Self::UpstreamAnsweredEarly,
        Self::LedgerUnavailable,
        Self::Overloaded,
    ];

    /// The code in the body, in `RESPONSE_CODE_DETAILS` and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidApiKey => "invalid_api_key",
            Self::InsufficientCredits => "insufficient_credits",
            Self::LimitReached => "limit_reached",
            Self::PlanRequired => "plan_required",
            Self::ForbiddenModel => "forbidden_model",
            Self::AccountSuspended => "account_suspended",
            Self::RouteDenied => "route_denied",
            Self::RateLimited => "rate_limited",
            Self::RequestTooLarge => "request_too_large",
            Self::InvalidRequest => "invalid_request",
            Self::UnknownModel => "unknown_model",
            Self::UpstreamAnsweredEarly => "upstream_answered_early",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::Overloaded => "overloaded",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u32 {
        match self {
            Self::InvalidApiKey => 401,
            Self::InsufficientCredits | Self::LimitReached | Self::PlanRequired => 402,
            Self::ForbiddenModel | Self::AccountSuspended | Self::RouteDenied => 403,
            Self::RateLimited => 429,
            Self::RequestTooLarge => 413,
            Self::InvalidRequest | Self::UnknownModel => 400,
            Self::UpstreamAnsweredEarly => 502,
            Self::LedgerUnavailable | Self::Overloaded => 503,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::InvalidApiKey => "Invalid API key",
            Self::InsufficientCredits => "Credits exhausted",
            Self::LimitReached => "Limit reached",
            Self::PlanRequired => "Not part of the plan",
            Self::ForbiddenModel => "Model not allowed for this key",
            Self::AccountSuspended => "Account suspended",
            Self::RouteDenied => "Path not offered",
            Self::RateLimited => "Rate limit exceeded",
            Self::RequestTooLarge => "Request too large",
            Self::InvalidRequest => "Invalid request",
            Self::UnknownModel => "Unknown model",
            Self::UpstreamAnsweredEarly => "Upstream answered early",
            Self::LedgerUnavailable => "Metering unavailable",
            Self::Overloaded => "Overloaded",
        }
    }

    /// The `type` of `OpenAI`'s error object that its clients know for this kind of refusal.
    const fn openai_type(self) -> &'static str {
        match self {
            Self::InsufficientCredits | Self::LimitReached | Self::PlanRequired => "insufficient_quota",
            Self::RateLimited => "rate_limit_error",
            Self::ForbiddenModel | Self::AccountSuspended | Self::RouteDenied => "permission_error",
            Self::InvalidApiKey | Self::RequestTooLarge | Self::InvalidRequest | Self::UnknownModel => {
                "invalid_request_error"
            }
            Self::UpstreamAnsweredEarly | Self::LedgerUnavailable | Self::Overloaded => "server_error",
        }
    }
}

/// A refusal with all that would help the client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Help {
    /// What ran out: `pool`, `limit`, `rate`, `gate`, `key`, `in_flight`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_source: Option<&'static str>,
    /// The limit that is reached, where it is one of the plan's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What the request would have held, in credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// What can be spent, in credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<String>,
    /// Output tokens that `available` pays for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affordable_tokens: Option<u64>,
    /// When waiting would help (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// Plans that would help, cheapest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unlocks: Vec<Unlock>,
    /// Where to buy credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_up_url: Option<String>,
    /// Whom to ask, where no public plan helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_url: Option<String>,
    /// The rates that were exceeded (IETF RateLimit draft: `violated-policies`).
    #[serde(rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// The same for a person.
    pub detail: String,
    /// What would help.
    pub help: Box<Help>,
    /// Seconds until a retry makes sense; sent as `Retry-After`.
    pub retry_after_s: Option<u64>,
}

/// A local reply as the host sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u32,
    /// The headers.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// For `RESPONSE_CODE_DETAILS`.
    pub details: String,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    detail: &'a str,
    code: &'static str,
    #[serde(flatten)]
    help: &'a Help,
    /// What Amazon's and Cohere's clients show.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'a>>,
}

impl Refusal {
    /// A refusal without further help.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), help: Box::default(), retry_after_s: None }
    }

    /// The same with a `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// The error object that the client's SDK looks for; none where it looks for a message alone.
    fn error(&self, shape: ErrorShape, status: u32) -> Option<ErrorObject<'_>> {
        let message = &*self.detail;
        Some(match shape {
            ErrorShape::Aws | ErrorShape::Cohere => return None,
            ErrorShape::Ollama => ErrorObject::Ollama(message),
            ErrorShape::OpenAi => {
                let (r#type, code) = (self.code.openai_type(), self.code.as_str());
                ErrorObject::OpenAi { message, r#type, param: None, code }
            }
            ErrorShape::Anthropic => ErrorObject::Anthropic { r#type: anthropic_type(status), message },
            ErrorShape::Google => {
                ErrorObject::Google { code: status, message, status: google_status(status) }
            }
        })
    }

    /// The reply to send, in the words of the client's API and with the configured status.
    #[must_use]
    pub fn reply(&self, config: &Config, shape: ErrorShape, request: &str) -> Reply {
        let r#type = if self.code == Code::RateLimited {
            "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned()
        } else {
            format!("urn:bursar:problem:{}", self.code.as_str().replace('_', "-"))
        };
        let (status, title, code) = (self.code.status(), self.code.title(), self.code.as_str());
        let status = config.statuses.get(code).copied().unwrap_or(status);
        // Google's client takes a `status` beside its error object for the one inside, whose words programs compare.
        let stated = (shape != ErrorShape::Google).then_some(status);
        let (detail, help) = (&*self.detail, &*self.help);
        let error = self.error(shape, status);
        let message = matches!(shape, ErrorShape::Aws | ErrorShape::Cohere).then_some(detail);
        let problem = Problem { r#type, title, status: stated, detail, code, help, message, error };
        let mut headers: Vec<(Cow<'static, str>, String)> = vec![
            ("content-type".into(), "application/problem+json".to_owned()),
            ("cache-control".into(), "no-store".to_owned()),
        ];
        if let Some(name) = &config.answer_headers.request_id {
            headers.push((name.to_string().into(), request.to_owned()));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.push(("retry-after".into(), seconds.to_string()));
        }
        if shape == ErrorShape::Aws {
            // Amazon's clients do not look at `retry-after`, but at milliseconds of their own.
            if let Some(seconds) = self.retry_after_s {
                headers.push(("x-amz-retry-after".into(), seconds.saturating_mul(1_000).to_string()));
            }
            headers.push(("x-amzn-errortype".into(), aws_exception(status).to_owned()));
        }
        if self.code == Code::InvalidApiKey {
            headers.push(("www-authenticate".into(), "Bearer".to_owned()));
        }
        // A struct of strings and numbers always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        Reply { status, headers, body, details: format!("bursar_{code}") }
    }
}

/// An amount as the API shows it.
#[must_use]
pub fn credits(amount: i64) -> String {
    let mut text = String::with_capacity(CREDITS_BYTES);
    if amount < 0 {
        text.push('-');
    }
    let mut digits = itoa::Buffer::new();
    text.push_str(digits.format(amount.unsigned_abs() / MICROS));
    text.push('.');
    let fraction = digits.format(amount.unsigned_abs() % MICROS);
    text.push_str("000000".get(fraction.len()..).unwrap_or_default());
    text.push_str(fraction);
    text
}

/// Micro-credits in one credit.
const MICROS: u64 = 1_000_000;
/// The longest amount: sign, 13 digits, point, 6 digits.
const CREDITS_BYTES: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::dialect::Dialect;

    fn config() -> Config {
        Config::parse(br#"{"ledger":{"cluster":"l"},"headers":"hold","statuses":{"rate_limited":503}}"#)
            .expect("valid")
    }

    #[test]
    fn a_status_can_be_configured() {
        let reply = Refusal::new(Code::RateLimited, "x").reply(&config(), ErrorShape::OpenAi, "r");
        assert_eq!(reply.status, 503);
        assert!(String::from_utf8_lossy(&reply.body).contains(r#""status":503"#));
    }

    #[test]
    fn a_402_says_what_would_help_and_never_when_to_retry() {
        let mut refusal = Refusal::new(Code::InsufficientCredits, "Credits exhausted");
        refusal.help.required = Some(credits(3_400_000));
        refusal.help.available = Some(credits(0));
        refusal.help.unlocks = vec![Unlock { plan: "pro".to_owned(), url: None }];
        let reply = refusal.reply(&config(), ErrorShape::OpenAi, "req_1");
        let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(reply.status, 402);
        assert!(reply.headers.iter().all(|(name, _)| *name != "retry-after"));
        assert_eq!(body["required"], "3.400000");
        assert_eq!(body["available"], "0.000000");
        assert_eq!(body["unlocks"][0]["plan"], "pro");
        assert_eq!(body["error"]["code"], "insufficient_credits");
        assert_eq!(body["error"]["type"], "insufficient_quota");
    }

    #[test]
    fn each_api_has_its_own_error_object() {
        let error = |dialect: Dialect, code| {
            let reply = Refusal::new(code, "why").reply(&config(), dialect.errors(), "r");
            let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
            assert_eq!(body["code"], code.as_str());
            let stated = body["status"].as_u64() == Some(code.status().into());
            assert_eq!(stated, dialect != Dialect::Gemini, "{body}");
            body["error"].clone()
        };
        for (code, r#type, google, status) in [
            (Code::InvalidApiKey, "authentication_error", "UNAUTHENTICATED", 401),
            (Code::InsufficientCredits, "billing_error", "FAILED_PRECONDITION", 402),
            (Code::ForbiddenModel, "permission_error", "PERMISSION_DENIED", 403),
            (Code::RequestTooLarge, "request_too_large", "INVALID_ARGUMENT", 413),
            (Code::UnknownModel, "invalid_request_error", "INVALID_ARGUMENT", 400),
            (Code::LedgerUnavailable, "overloaded_error", "UNAVAILABLE", 503),
            (Code::UpstreamAnsweredEarly, "api_error", "INTERNAL", 502),
        ] {
            let anthropic = serde_json::json!({"type": r#type, "message": "why"});
            assert_eq!(error(Dialect::AnthropicMessages, code), anthropic);
            let google = serde_json::json!({"code": status, "message": "why", "status": google});
            assert_eq!(error(Dialect::Gemini, code), google);
            assert_eq!(error(Dialect::OpenaiResponses, code)["code"], code.as_str());
            assert_eq!(error(Dialect::OllamaChat, code), "why");
            assert_eq!(error(Dialect::CohereEmbed, code), serde_json::Value::Null);
        }
    }

    #[test]
    fn clients_that_look_for_a_message_find_it() {
        for (code, exception) in [
            (Code::InvalidApiKey, "UnrecognizedClientException"),
            (Code::InsufficientCredits, "ServiceQuotaExceededException"),
            (Code::RouteDenied, "AccessDeniedException"),
            (Code::RequestTooLarge, "ValidationException"),
            (Code::LedgerUnavailable, "ServiceUnavailableException"),
            (Code::UpstreamAnsweredEarly, "InternalServerException"),
        ] {
            for (dialect, amazon) in [(Dialect::BedrockInvoke, true), (Dialect::CohereChat, false)] {
                let reply = Refusal::new(code, "why").reply(&config(), dialect.errors(), "r");
                let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
                assert_eq!((&body["message"], &body["detail"]), (&"why".into(), &"why".into()));
                let named = reply.headers.iter().find(|(name, _)| *name == "x-amzn-errortype");
                assert_eq!(named.map(|(_, value)| &**value), Some(exception).filter(|_| amazon));
                let waits = Refusal::new(code, "why").retry_after(3);
                let reply = waits.reply(&config(), dialect.errors(), "r");
                assert_eq!(reply.headers.contains(&("x-amz-retry-after".into(), "3000".to_owned())), amazon);
            }
        }
    }

    /// What a stock client shows of a refusal stands where that client looks for it, whatever it is refused for.
    #[test]
    fn every_code_is_readable_in_every_shape() {
        use ErrorShape::{Anthropic, Aws, Cohere, Google, Ollama, OpenAi};
        for code in Code::ALL {
            for (shape, place) in [
                (OpenAi, "/error/message"),
                (Anthropic, "/error/message"),
                (Google, "/error/message"),
                (Aws, "/message"),
                (Cohere, "/message"),
                (Ollama, "/error"),
            ] {
                let reply = Refusal::new(*code, "why").reply(&config(), shape, "r");
                let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
                assert_eq!(body.pointer(place), Some(&"why".into()), "{code:?} {shape:?}");
                assert_eq!(body["code"], code.as_str());
            }
        }
    }

    #[test]
    fn a_503_says_when() {
        let reply = Refusal::new(Code::LedgerUnavailable, "x").retry_after(0).reply(
            &config(),
            ErrorShape::OpenAi,
            "r",
        );
        let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(body["error"]["type"], "server_error");
        assert!(reply.headers.contains(&("retry-after".into(), "1".to_owned())));
        assert_eq!(reply.details, "bursar_ledger_unavailable");
    }

    #[test]
    fn amounts_are_shown_as_the_ledger_shows_them() {
        let amounts = [0, 1, -1, 999_999, 1_000_000, -1_000_001, 12_345_678_901_234, i64::MAX, i64::MIN];
        for amount in amounts {
            assert_eq!(credits(amount), tariff::Micros(amount).to_string());
        }
    }

    #[test]
    fn every_code_has_its_own_name() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
