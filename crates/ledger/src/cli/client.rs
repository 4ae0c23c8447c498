//! The HTTP API from the command line: one blocking call after another.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{Request, StatusCode, header};

use super::failure::{Failure, Outcome};
use super::print::{self, printable};
use crate::config::read_token_file;
use crate::http::ProblemBody;

/// Where the ledger is and who calls.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ledger")]
pub struct ClientArgs {
    /// The ledger's address
    #[arg(
        long,
        visible_alias = "server",
        env = "BURSAR_LEDGER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8700"
    )]
    ledger: String,
    /// A file whose first line is the admin token [default: the variable BURSAR_ADMIN_TOKEN]
    #[arg(long, env = "BURSAR_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// A caller of the API.
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// An answer: the API's own text, and what it says.
pub struct Answer<T> {
    /// The JSON as it came.
    pub json: String,
    /// The same, read.
    pub value: T,
}

/// The longest that one call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// What is read at once of an answer that may be long, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// The variable with the admin token: not a flag, which every user of the machine could read.
const TOKEN_VARIABLE: &str = "BURSAR_ADMIN_TOKEN";

// === impl ClientArgs ===

impl ClientArgs {
    /// The client.
    ///
    /// # Errors
    /// Bad input where there is no token or no usable address.
    pub fn client(&self) -> Outcome<Client> {
        let token = match &self.admin_token_file {
            Some(path) => read_token_file(path)?,
            None => std::env::var(TOKEN_VARIABLE).map_err(|_| {
                let hint = "set BURSAR_ADMIN_TOKEN, or give --admin-token-file";
                Failure::BadInput(format!("bursar: no admin token: {hint}"))
            })?,
        };
        Client::new("--ledger", &self.ledger, token)
    }
}

// === impl Client ===

impl Client {
    /// A caller of an address that a flag gave.
    ///
    /// # Errors
    /// Bad input where the address is of no use.
    pub fn new(flag: &str, url: &str, token: String) -> Outcome<Self> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let text = format!("bursar: {flag} `{url}`: expected http://… or https://…");
            return Err(Failure::BadInput(text));
        }
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(CALL_TIME_MAX));
        let agent = Agent::new_with_config(config.build());
        Ok(Self { agent, base: url.trim_end_matches('/').to_owned(), token })
    }

    /// Reads.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Outcome<Answer<T>> {
        self.call("GET", path, None)
    }

    /// Writes.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<Answer<T>> {
        self.call("POST", path, Some(("application/json", encode(body)?)))
    }

    /// Writes a text that is YAML.
    pub fn post_yaml<T: DeserializeOwned>(&self, path: &str, text: Vec<u8>) -> Outcome<Answer<T>> {
        self.call("POST", path, Some(("application/yaml", text)))
    }

    /// Changes.
    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<Answer<T>> {
        self.call("PATCH", path, Some(("application/json", encode(body)?)))
    }

    /// Sets.
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Outcome<Answer<T>> {
        self.call("PUT", path, Some(("application/json", encode(body)?)))
    }

    /// Removes.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<Answer<T>> {
        self.call("DELETE", path, None)
    }

    /// Writes an answer of any length to standard output as it comes.
    pub fn download(&self, path: &str) -> Outcome {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::Refused(format!("bursar: the answer of {} broke off: {error}", self.base))
        };
        let request = self.agent.get(format!("{}{path}", self.base));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let request = request.config().timeout_global(None).timeout_connect(Some(CALL_TIME_MAX)).build();
        let mut response = request.call().map_err(|error| unreachable(&error))?;
        if !response.status().is_success() {
            let json = response.body_mut().read_to_string().map_err(|error| unreachable(&error))?;
            return Err(refusal(response.status(), &json));
        }
        let mut body = response.into_body().into_reader();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = body.read(&mut piece).map_err(|error| unreachable(&error))?;
            let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else { return Ok(()) };
            print::bytes(read)?;
        }
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Outcome<Answer<T>> {
        let unreachable = |error: &dyn std::fmt::Display| {
            Failure::Refused(format!("bursar: no answer from {}: {error}", self.base))
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::ACCEPT, "application/json");
        let bad_request = |error: ureq::http::Error| Failure::BadInput(format!("bursar: {error}"));
        let response = match body {
            Some((content_type, body)) => {
                let request = request.header(header::CONTENT_TYPE, content_type);
                self.agent.run(request.body(body).map_err(bad_request)?)
            }
            None => self.agent.run(request.body(()).map_err(bad_request)?),
        };
        let mut response = response.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let json = response.body_mut().read_to_string().map_err(|error| unreachable(&error))?;
        if !status.is_success() {
            return Err(refusal(status, &json));
        }
        let value = serde_json::from_str(&json).map_err(|error| {
            Failure::Refused(format!("bursar: {} answered something else than a ledger: {error}", self.base))
        })?;
        Ok(Answer { json, value })
    }
}

/// A path segment: all but unreserved characters (RFC 3986 §2.3) percent-encoded.
pub fn segment(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn encode(body: &impl Serialize) -> Outcome<Vec<u8>> {
    serde_json::to_vec(body).map_err(|error| Failure::Refused(format!("bursar: {error}")))
}

fn refusal(status: StatusCode, json: &str) -> Failure {
    let text = match serde_json::from_str::<ProblemBody>(json) {
        Ok(problem) => {
            let member = problem.member.map(|member| format!("{member}: ")).unwrap_or_default();
            let plans: Vec<&str> = problem.unlocks.iter().map(|unlock| unlock.plan.as_str()).collect();
            let unlocks = match plans.as_slice() {
                [] => String::new(),
                plans => format!(" (more on: {})", plans.join(", ")),
            };
            format!("bursar: {} ({}): {member}{}{unlocks}", problem.code, problem.status, problem.detail)
        }
        Err(_) => format!("bursar: the ledger's address answered {status}"),
    };
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Failure::BadInput(printable(&text)),
        _ => Failure::Refused(printable(&text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded() {
        assert_eq!(segment("acme-1.x_~"), "acme-1.x_~");
        assert_eq!(segment("../a b?é"), "..%2Fa%20b%3F%C3%A9");
    }
}
