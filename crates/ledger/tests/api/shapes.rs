//! Requests that are wrong in shape, each with its answer, and the next good one served.

use serde_json::json;

use crate::support::{ADMIN, Server, bearer};

#[test]
fn bodies_that_cannot_be_read() {
    let server = Server::start();
    let post = |body: &str| server.write("POST", "/v1/accounts", &[], body);
    for body in ["{", "not json", "{\"plan\": \"free\"} x", "\u{feff}{}", "\"\\ud800\""] {
        post(body).problem(400, "malformed_json");
    }
    let deep = "[".repeat(100_000);
    let reply = post(&deep[..60_000]);
    assert!([400, 422].contains(&reply.status), "{reply:?}");
    for (body, member) in [
        ("[]", None),
        ("{}", None),
        ("{\"plan\": 5}", Some("plan")),
        ("{\"plan\": \"free\", \"plan\": \"pro\"}", None),
        ("{\"plan\": \"free\", \"extra\": 1}", Some("extra")),
        ("{\"plan\": \"free\", \"created_at\": 5}", Some("created_at")),
    ] {
        let problem = post(body).problem(422, "invalid_request");
        if let Some(member) = member {
            assert_eq!(problem["member"], member, "{body}: {problem}");
        }
    }
    server.account("acme", "free");
}

#[test]
fn a_body_has_a_size_and_a_type() {
    let server = Server::start();
    let long = format!("{{\"plan\": \"{}\"}}", "x".repeat(64 << 10));
    server.write("POST", "/v1/accounts", &[], &long).problem(413, "request_too_large");
    let authorization = bearer(ADMIN);
    let text = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
    server.call("POST", "/v1/accounts", &text, Some(b"{}")).problem(415, "unsupported_media_type");
    let none = [("authorization", authorization.as_str())];
    server.call("POST", "/v1/accounts", &none, Some(b"{}")).problem(415, "unsupported_media_type");
    let charset =
        [("authorization", authorization.as_str()), ("content-type", "Application/JSON; charset=utf-8")];
    server.call("POST", "/v1/accounts", &charset, Some(b"{\"plan\": \"free\"}")).ok(201);
}

#[test]
fn paths_and_methods_that_do_not_exist() {
    let server = Server::start();
    server.get("/v1/nothing").problem(404, "route_not_found");
    server.get("/").problem(404, "route_not_found");
    server.get("/v1/accounts/acme/nothing").problem(404, "route_not_found");
    let reply = server.write("PUT", "/v1/accounts", &[], "{}");
    reply.problem(405, "method_not_allowed");
    let mut allowed: Vec<&str> = reply.header("allow").unwrap().split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    server.write("DELETE", "/healthz", &[], "").problem(405, "method_not_allowed");
    server.get("/v1/accounts/%ff").problem(400, "invalid_path");
}

#[test]
fn queries_are_read_strictly() {
    let server = Server::start();
    server.account("acme", "starter");
    let body = json!({"plan": "pro"});
    server.post("/v1/accounts/acme/plan?preview=yes", &body).problem(400, "invalid_query");
    server.post("/v1/accounts/acme/plan?prevew=true", &body).problem(400, "invalid_query");
    assert_eq!(server.get("/v1/accounts/acme").ok(200)["plan"], "starter");
}

#[test]
fn ids_in_paths_may_be_anything() {
    let server = Server::start();
    for id in ["%2e%2e", "a%20b", "%F0%9F%92%B0", "a%00b", &"x".repeat(2_000)] {
        server.get(&format!("/v1/accounts/{id}/balance")).problem(404, "account_not_found");
    }
}
