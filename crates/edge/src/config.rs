//! The plugin's configuration: JSON, parsed once into validated types.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::limits::{ACCOUNTS_MAX, BODY_LIMIT_DEFAULT, KEYS_MAX, LABEL_BYTES_MAX, ROUTES_MAX};
use crate::reply::Code;
use crate::route::dialect::Dialect;
use crate::route::generic::{Generic, GenericRoute, Metering};
use crate::shared::tables::Tables;
use usage::limits::TIER_BYTES_MAX;

/// How the plugin is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the ledger is.
    pub ledger: Ledger,
    /// Whether request headers wait for admission.
    pub headers: HeaderMode,
    /// The node's label for people (a pod name).
    #[serde(default)]
    pub label: String,
    /// False: shadow mode for everything; decided, counted and logged, nothing refused.
    #[serde(default = "yes")]
    pub enforce: bool,
    /// Where the API key is looked for.
    #[serde(default)]
    pub credentials: Credentials,
    /// Routes; the first that matches decides, the built-in ones come last.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What becomes of requests that no route matches.
    #[serde(default)]
    pub unmatched: Unmatched,
    /// What becomes of responses that are made in the background.
    #[serde(default)]
    pub background: Background,
    /// The largest metered request body, in bytes; at most Envoy's buffer limit.
    #[serde(default = "body_limit")]
    pub body_limit_bytes: u64,
    /// Prefix of the keys in shared data.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// Keys that each worker remembers.
    #[serde(default = "keys_max")]
    pub keys_max: usize,
    /// Accounts that each worker remembers, and its process; the leases of 2.5 times as many have places.
    #[serde(default = "accounts_max")]
    pub accounts_max: usize,
    /// Status codes to send instead of the documented ones, by the refusal's code.
    #[serde(default)]
    pub statuses: BTreeMap<String, u32>,
    /// Headers on answers.
    #[serde(default)]
    pub answer_headers: AnswerHeaders,
}

/// Headers on answers; `null` leaves one out.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerHeaders {
    /// The request's id.
    pub request_id: Option<Rc<str>>,
    /// What the account can still spend, in credits.
    pub credits_remaining: Option<Rc<str>>,
    /// The charge, where it is known before the headers go (flat prices).
    pub charge: Option<Rc<str>>,
    /// Whether `RateLimit-Policy` and `RateLimit` are sent (IETF draft).
    pub rate_limit: bool,
}

/// Where the ledger is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The Envoy cluster.
    pub cluster: String,
    /// The `:authority` of the calls.
    #[serde(default = "authority")]
    pub authority: String,
    /// The edge token.
    #[serde(default)]
    pub token: String,
    /// How long a call may take, in milliseconds.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

/// Whether request headers wait for admission; must agree with the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderMode {
    /// Headers wait for the body (`allow_on_headers_stop_iteration: true`).
    Hold,
    /// Headers go ahead, the body waits.
    Stream,
}

/// Where the API key is looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Header names; `authorization` is read as a bearer token, the others as the key itself.
    pub headers: Vec<Rc<str>>,
    /// Query parameter names.
    pub query: Vec<String>,
    /// True: the credential is sent upstream.
    pub keep: bool,
}

/// One route of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The exact path.
    #[serde(default)]
    pub path: Option<String>,
    /// The path's beginning.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Methods; empty = all.
    #[serde(default)]
    pub methods: Vec<String>,
    /// What to do.
    pub action: RouteAction,
    /// Whether a stream that does not ask for its usage is made to; false for servers that refuse `stream_options`.
    #[serde(default = "yes")]
    pub include_usage: bool,
    /// False for servers of chat completions that know no `max_completion_tokens`: it bounds nothing there.
    #[serde(default = "yes")]
    pub max_completion_tokens: bool,
    /// The tier of service that its answers are sold in, unless they name another: of a metered route.
    #[serde(default)]
    pub service_tier: Option<Box<str>>,
}

/// What a route does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteAction {
    /// Let it pass without key, plan or charge.
    Exempt,
    /// Refuse it with 403.
    Deny,
    /// Charge the catalog's price of that operation, once per answered request.
    Flat(String),
    /// Read the usage out of the answer.
    Meter(Metering),
}

/// What becomes of requests that no route matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Refused with 403.
    #[default]
    Deny,
    /// Passed without key, plan or charge.
    Exempt,
    /// Charged the catalog's price of that operation.
    Flat(String),
}

/// What becomes of requests for a response in the background (`"background": true`): its answer comes before the
/// result and states no usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// Refused with 400.
    #[default]
    Deny,
    /// Charged all that the request holds, unless its own answer states the usage.
    Hold,
}

/// Why a configuration was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, an unknown or missing member, or a wrong type; with line and column.
    #[error("plugin configuration: {0}")]
    Json(String),
    /// A value that makes no sense.
    #[error("plugin configuration: {0}")]
    Value(String),
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the member and what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let config: Self =
            serde_json::from_slice(json).map_err(|error| ConfigError::Json(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// The sizes of tables that it asks for.
    #[must_use]
    pub fn tables(&self) -> Tables {
        Tables { keys: self.keys_max, accounts: self.accounts_max }
    }

    /// What it says of a generic route.
    pub(crate) fn generic(&self, place: GenericRoute) -> Option<&Generic> {
        match &self.routes.get(place.route())?.action {
            RouteAction::Meter(Metering::Generic(generic)) => Some(generic),
            RouteAction::Meter(Metering::Known(_))
            | RouteAction::Exempt
            | RouteAction::Deny
            | RouteAction::Flat(_) => None,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: &str| Err(ConfigError::Value(text.to_owned()));
        if self.ledger.cluster.is_empty() {
            return fail("ledger.cluster: must name an Envoy cluster");
        }
        if !(10..=30_000).contains(&self.ledger.timeout_ms) {
            return fail("ledger.timeout_ms: must be 10 to 30000");
        }
        if self.label.len() > LABEL_BYTES_MAX || self.label.chars().any(char::is_control) {
            return fail("label: must have at most 253 bytes and no control characters");
        }
        if self.credentials.headers.is_empty() && self.credentials.query.is_empty() {
            return fail("credentials: needs at least one header or query parameter");
        }
        if self.credentials.headers.iter().any(|name| name.bytes().any(|b| b.is_ascii_uppercase())) {
            return fail("credentials.headers: names must be in lower case");
        }
        if self.prefix.is_empty() || self.prefix.len() > 64 {
            return fail("prefix: must have 1 to 64 characters");
        }
        if !(1..=1_000_000).contains(&self.keys_max) {
            return fail("keys_max: must be 1 to 1000000");
        }
        if !(1..=1_000_000).contains(&self.accounts_max) {
            return fail("accounts_max: must be 1 to 1000000");
        }
        if !(1..=268_435_456).contains(&self.body_limit_bytes) {
            return fail("body_limit_bytes: must be 1 to 268435456");
        }
        for (code, status) in &self.statuses {
            if !Code::ALL.iter().any(|known| known.as_str() == code) {
                return Err(ConfigError::Value(format!("statuses.{code}: is no code of a refusal")));
            }
            if !(400..=599).contains(status) {
                return Err(ConfigError::Value(format!("statuses.{code}: must be 400 to 599")));
            }
        }
        if self.routes.len() > ROUTES_MAX {
            return Err(ConfigError::Value(format!("routes: must be at most {ROUTES_MAX}")));
        }
        for (n, route) in self.routes.iter().enumerate() {
            if route.path.is_some() == route.prefix.is_some() {
                return Err(ConfigError::Value(format!("routes[{n}]: needs either path or prefix")));
            }
            let asks = matches!(&route.action, RouteAction::Meter(Metering::Known(dialect)) if dialect.asks_for_usage());
            if !route.include_usage && !asks {
                let text = "is for the meters openai_chat and openai_completions";
                return Err(ConfigError::Value(format!("routes[{n}].include_usage: {text}")));
            }
            let is_chat = matches!(route.action, RouteAction::Meter(Metering::Known(Dialect::OpenaiChat)));
            if !route.max_completion_tokens && !is_chat {
                let text = "is for the meter openai_chat";
                return Err(ConfigError::Value(format!("routes[{n}].max_completion_tokens: {text}")));
            }
            let is_name = |tier: &str| {
                let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
                (1..=TIER_BYTES_MAX).contains(&tier.len()) && tier.bytes().all(is_part)
            };
            let is_metered = matches!(route.action, RouteAction::Meter(_));
            if route.service_tier.as_deref().is_some_and(|tier| !is_metered || !is_name(tier)) {
                let text = "is a tier of the catalog, in small letters, on a route with a meter";
                return Err(ConfigError::Value(format!("routes[{n}].service_tier: {text}")));
            }
        }
        Ok(())
    }
}

impl Default for AnswerHeaders {
    fn default() -> Self {
        let named = |name: &str| Some(Rc::from(name));
        Self {
            request_id: named("x-bursar-request-id"),
            credits_remaining: named("x-bursar-credits-remaining"),
            charge: named("x-bursar-charge"),
            rate_limit: true,
        }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        let headers = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
        Self { headers: headers.map(Rc::from).to_vec(), query: Vec::new(), keep: false }
    }
}

fn yes() -> bool {
    true
}

fn body_limit() -> u64 {
    BODY_LIMIT_DEFAULT
}

fn prefix() -> String {
    "bursar".to_owned()
}

fn keys_max() -> usize {
    KEYS_MAX
}

fn accounts_max() -> usize {
    ACCOUNTS_MAX
}

fn authority() -> String {
    "ledger".to_owned()
}

fn timeout_ms() -> u64 {
    1_000
}

#[cfg(test)]
mod tests {
    use super::{Config, Unmatched};

    const LEAST: &str = r#"{"ledger":{"cluster":"ledger"},"headers":"hold"}"#;

    #[test]
    fn the_least_configuration_is_enough() {
        let config = Config::parse(LEAST.as_bytes()).expect("valid");
        assert_eq!(
            (config.unmatched, config.enforce, config.prefix.as_str()),
            (Unmatched::Deny, true, "bursar")
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (json, expected) in [
            ("", "EOF"),
            (r#"{"headers":"hold"}"#, "missing field `ledger`"),
            (r#"{"ledger":{"cluster":"l"},"headers":"later"}"#, "unknown variant `later`"),
            (r#"{"ledger":{"cluster":"l"},"headers":"hold","enforced":true}"#, "unknown field `enforced`"),
            (r#"{"ledger":{"cluster":""},"headers":"hold"}"#, "ledger.cluster"),
            (r#"{"ledger":{"cluster":"l"},"headers":"hold","label":"a\nb"}"#, "label"),
            (r#"{"ledger":{"cluster":"l"},"headers":"hold","routes":[{"action":"deny"}]}"#, "routes[0]"),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","routes":[{"path":"/a","action":"deny","include_usage":false}]}"#,
                "routes[0].include_usage",
            ),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","routes":[{"path":"/a","action":{"meter":"openai_responses"},"max_completion_tokens":false}]}"#,
                "routes[0].max_completion_tokens",
            ),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","routes":[{"path":"/a","action":{"flat":"x"},"service_tier":"batch"}]}"#,
                "routes[0].service_tier",
            ),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","routes":[{"path":"/a","action":{"meter":"openai_chat"},"service_tier":"Batch"}]}"#,
                "routes[0].service_tier",
            ),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","credentials":{"headers":["X-Key"]}}"#,
                "lower case",
            ),
            (
                r#"{"ledger":{"cluster":"l"},"headers":"hold","statuses":{"no_money":429}}"#,
                "statuses.no_money",
            ),
            (r#"{"ledger":{"cluster":"l"},"headers":"hold","statuses":{"rate_limited":200}}"#, "400 to 599"),
        ] {
            let error = Config::parse(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }

    #[test]
    fn mistakes_of_generic_meters_are_named() {
        let parse = |meter: &str| {
            let json = format!(
                r#"{{"ledger":{{"cluster":"l"}},"headers":"hold","routes":[{{"path":"/ocr","action":{{"meter":{meter}}}}}]}}"#
            );
            Config::parse(json.as_bytes()).map_err(|error| error.to_string())
        };
        for valid in [
            r#""items""#,
            r#"{"pointers":{"/usage/pages":"pages"}}"#,
            r#"{"headers":{"x-tokens":"input_tokens"},"price":"ocr","body":"pass"}"#,
            r#"{"price":"film"}"#,
        ] {
            assert!(parse(valid).is_ok(), "{valid}");
        }
        for (meter, expected) in [
            (r#""oatmeal""#, "unknown variant `oatmeal`"),
            (r#""generic""#, "unknown variant `generic`"),
            ("7", "the name of a dialect, or an object with pointers"),
            ("{}", "needs pointers, headers or a price"),
            (r#"{"pointer":{}}"#, "unknown field `pointer`"),
            (r#"{"pointers":{"/a":"apples"}}"#, "unknown variant `apples`"),
            (r#"{"pointers":{"a":"pages"}}"#, "\"a\" must be a JSON pointer"),
            (r#"{"pointers":{"/a":"tokens"}}"#, "may not state this meter"),
            (r#"{"pointers":{"/a":"pages","/b":"pages"}}"#, "the meter `pages` is stated twice"),
            (
                r#"{"pointers":{"/a":"pages"},"headers":{"x-pages":"pages"}}"#,
                "the meter `pages` is stated twice",
            ),
            (r#"{"pointers":{"/a":"pages","/a/b":"images"}}"#, "the place of another pointer"),
            (r#"{"headers":{"X-Pages":"pages"}}"#, "must be a header in lower case"),
            (r#"{"headers":{"x-requests":"requests"}}"#, "a meter that answers state"),
            (r#"{"pointers":{"/a":"pages"},"body":"pass"}"#, "needs a price where the body passes"),
            (r#"{"price":"x","body":"drop"}"#, "unknown variant `drop`"),
        ] {
            let error = parse(meter).expect_err(meter);
            assert!(error.contains(expected), "{meter}: {error}");
        }
    }
}
