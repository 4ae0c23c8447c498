//! `POST /manage/v1/mcp`: customers' own calls as tools of the Model Context Protocol, for agents (L15).
//!
//! The protocol's HTTP transport without sessions and streams: a message is one JSON-RPC 2.0 request and its answer one
//! JSON document; notifications are taken and answered by nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::App;
use super::extract::Write;
use super::manage::{Customer, check_out, public_plans};
use super::openapi::{IdempotencyHeader, WriteRefusals};
use super::respond::{Answer, Problem};
use crate::dto::OwnChange;
use crate::service::Idempotency;

/// The route of this file.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(message))
}

/// Versions of the protocol that this is one of, latest first.
const VERSIONS: [&str; 2] = ["2025-06-18", "2025-03-26"];

/// JSON-RPC 2.0's codes (§5.1).
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;

/// A message of a client.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = McpMessage)]
struct Message {
    /// `2.0`.
    jsonrpc: String,
    /// What the answer is known by; absent in a notification.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    id: Option<Value>,
    /// `initialize`, `ping`, `tools/list` or `tools/call`.
    #[schema(example = "tools/list")]
    method: String,
    /// Its parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Value,
}

/// The answer to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = McpReply)]
struct Reply {
    /// `2.0`.
    jsonrpc: &'static str,
    /// The message's.
    #[schema(value_type = String)]
    id: Value,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    /// Why nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

/// Why a message was not understood.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = McpError)]
struct Fault {
    /// JSON-RPC's code.
    code: i32,
    /// For people.
    message: String,
}

/// Takes a message of the Model Context Protocol: plan and usage, plans and checkout as tools for agents.
///
/// The tools are `get_billing`, `list_plans` and `create_checkout_session`; what they answer is what the calls of
/// these names answer, as text and as structured content. A refusal is a result with `isError`.
#[utoipa::path(
    post, path = "/manage/v1/mcp", tag = "customers", operation_id = "callTools",
    params(IdempotencyHeader), request_body = Message, security(("api_key" = [])),
    responses(
        (status = 200, description = "The answer", body = Reply),
        (status = 202, description = "A notification was taken"),
        WriteRefusals
    )
)]
async fn message(State(app): State<App>, customer: Customer, write: Write<Message>) -> Answer<Response> {
    let (Message { jsonrpc, id, method, params }, wish, _in_flight) = write.into_parts();
    let Some(id) = id else {
        return Ok(StatusCode::ACCEPTED.into_response());
    };
    let outcome = match method.as_str() {
        _ if jsonrpc != "2.0" => Err(Fault::new(INVALID_REQUEST, "`jsonrpc` must be `2.0`")),
        "initialize" => Ok(introduction(&params)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools()})),
        "tools/call" => call(&app, wish, customer, params).await,
        other => Err(Fault::new(METHOD_NOT_FOUND, format!("there is no method `{other}`"))),
    };
    let (result, error) = match outcome {
        Ok(result) => (Some(result), None),
        Err(fault) => (None, Some(fault)),
    };
    Ok(Json(Reply { jsonrpc: "2.0", id, result, error }).into_response())
}

impl Fault {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What this is, in the version that the client asks for where it is one of these.
fn introduction(params: &Value) -> Value {
    let asked = params.get("protocolVersion").and_then(Value::as_str);
    let [latest, ..] = VERSIONS;
    let version = VERSIONS.into_iter().find(|known| Some(*known) == asked).unwrap_or(latest);
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "bursar", "version": env!("CARGO_PKG_VERSION")},
    })
}

fn tools() -> Value {
    let nothing = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let text = |description: &str| json!({"type": "string", "description": description});
    json!([
        {
            "name": "get_billing",
            "title": "Plan, usage and limits",
            "description": "The plan of this API key's account, what is used of each limit, what is kept, and when it renews.",
            "inputSchema": nothing,
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "list_plans",
            "title": "Plans to choose from",
            "description": "The public plans with their prices, grants, limits and features.",
            "inputSchema": nothing,
            "annotations": {"readOnlyHint": true},
        },
        {
            "name": "create_checkout_session",
            "title": "Begin a change of plan",
            "description": "Begins a change of plan that comes with its payment, and says what to pay and where. Nothing is charged by this call.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "plan": text("The public plan to go to"),
                    "cadence": text("The way to take it, such as yearly; absent: the plan's own"),
                    "coupon": text("A coupon's code"),
                },
                "required": ["plan"],
                "additionalProperties": false,
            },
            "annotations": {"readOnlyHint": false, "destructiveHint": false},
        },
    ])
}

/// A tool's name and what it is given.
#[derive(Deserialize)]
struct ToolCall {
    name: String,
    #[serde(default)]
    arguments: Option<Value>,
}

async fn call(
    app: &App,
    wish: Option<Idempotency>,
    customer: Customer,
    params: Value,
) -> Result<Value, Fault> {
    let invalid = |error: serde_json::Error| Fault::new(INVALID_PARAMS, error.to_string());
    let ToolCall { name, arguments } = serde_json::from_value(params).map_err(invalid)?;
    let done = match name.as_str() {
        "get_billing" => {
            app.service.billing(customer.account().to_owned()).await.map_err(Into::into).and_then(shown)
        }
        "list_plans" => public_plans(app).await.and_then(shown),
        "create_checkout_session" => {
            let change: OwnChange =
                serde_json::from_value(arguments.unwrap_or_else(|| json!({}))).map_err(invalid)?;
            check_out(app, wish, customer, change).await.and_then(shown)
        }
        other => return Err(Fault::new(INVALID_PARAMS, format!("there is no tool `{other}`"))),
    };
    let (content, failed) = match done {
        Ok(content) => (content, false),
        Err(problem) => (shown(problem.body()).unwrap_or_default(), true),
    };
    let text = json!({"type": "text", "text": content.to_string()});
    Ok(json!({"content": [text], "structuredContent": content, "isError": failed}))
}

fn shown(value: impl Serialize) -> Answer<Value> {
    serde_json::to_value(value).map_err(|error| Problem::internal(&error))
}
