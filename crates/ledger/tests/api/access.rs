//! Tokens with scopes, and the audit log.

use serde_json::{Value, json};

use crate::support::{ADMIN, EDGE, Reply, Server, bearer};

/// A token with scopes; gives it and its id.
fn token(server: &Server, name: &str, scopes: &[&str]) -> (String, String) {
    let made = server.post("/v1/tokens", &json!({"name": name, "scopes": scopes})).ok(201);
    (made["token"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
}

fn call(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Reply {
    let authorization = bearer(token);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = body.to_string();
    server.call(method, path, &headers, (method != "GET").then_some(body.as_bytes()))
}

fn audit(server: &Server, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/audit{query}")).ok(200)["data"].as_array().unwrap().clone()
}

#[test]
fn a_token_may_do_what_its_scopes_say_and_no_more() {
    let server = Server::start();
    server.account("acme", "starter");
    let calls: &[(&str, &str, &str)] = &[
        ("read", "GET", "/v1/accounts/acme/balance"),
        ("read", "GET", "/v1/plans"),
        ("read", "GET", "/v1/webhooks"),
        ("accounts", "PATCH", "/v1/accounts/acme"),
        ("accounts", "POST", "/v1/accounts"),
        ("accounts", "POST", "/v1/accounts/acme/keys"),
        ("accounts", "DELETE", "/v1/accounts/acme/keys/none"),
        ("money", "POST", "/v1/accounts/acme/grants"),
        ("money", "POST", "/v1/accounts/acme/adjustments"),
        ("money", "POST", "/v1/accounts/acme/plan"),
        ("money", "POST", "/v1/accounts/acme/lots/lot_1/void"),
        ("money", "POST", "/v1/accounts/acme/entries/1/reversal"),
        ("money", "POST", "/v1/reconcile"),
        ("catalog", "POST", "/v1/catalog"),
        ("admin", "POST", "/v1/webhooks"),
        ("admin", "GET", "/v1/tokens"),
        ("admin", "POST", "/v1/tokens"),
        ("admin", "DELETE", "/v1/tokens/none"),
        ("admin", "GET", "/v1/audit"),
    ];
    for scope in ["read", "accounts", "money", "catalog", "admin"] {
        let (token, _) = token(&server, scope, &[scope]);
        for (asked, method, path) in calls {
            let answer = call(&server, &token, method, path, &json!({"no": "body"}));
            let may = scope == *asked || scope == "admin" || *asked == "read";
            assert_eq!(answer.status != 403, may, "{scope}: {method} {path}: {answer:?}");
            if !may {
                answer.problem(403, "scope_missing");
            }
        }
        call(&server, &token, "POST", wire::SYNC_PATH, &json!({})).problem(403, "wrong_credential");
    }
}

#[test]
fn a_token_is_shown_once_and_ends() {
    let server = Server::start();
    let body = json!({"name": "billing", "scopes": ["money", "read", "money"]});
    let made = server.post_with("/v1/tokens", &[("idempotency-key", "t")], &body);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = made.ok(201);
    assert_eq!(made["scopes"], json!(["read", "money"]));
    server.post_with("/v1/tokens", &[("idempotency-key", "t")], &body).problem(409, "secret_already_shown");
    let token = made["token"].as_str().unwrap();
    assert!(token.starts_with("bat_") && token.len() == 47, "{token}");
    let list = server.get("/v1/tokens");
    assert_eq!(list.ok(200)["data"][0]["id"], made["id"]);
    assert!(!list.text.contains(token));
    server.post("/v1/tokens", &body).problem(409, "token_exists");
    assert_eq!(call(&server, token, "GET", "/v1/plans", &json!({})).status, 200);

    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert!(server.write("DELETE", &path, &[], "").ok(200)["revoked_at"].is_string());
    call(&server, token, "GET", "/v1/plans", &json!({})).problem(401, "unauthenticated");
    server.write("DELETE", &path, &[], "").ok(200);
    server.write("DELETE", "/v1/tokens/none", &[], "").problem(404, "token_not_found");
    // The name is free again.
    let soon = jiff::Timestamp::now() + std::time::Duration::from_millis(1_500);
    let short = json!({"name": "billing", "scopes": ["read"], "expires_at": soon.to_string()});
    let short = server.post("/v1/tokens", &short).ok(201);
    let short = short["token"].as_str().unwrap();
    assert_eq!(call(&server, short, "GET", "/v1/plans", &json!({})).status, 200);
    while jiff::Timestamp::now() < soon {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    call(&server, short, "GET", "/v1/plans", &json!({})).problem(401, "unauthenticated");
    for (body, member) in [
        (json!({"name": "root", "scopes": ["read"]}), "name"),
        (json!({"name": "a b", "scopes": ["read"]}), "name"),
        (json!({"name": "x", "scopes": []}), "scopes"),
        (json!({"name": "x", "scopes": ["everything"]}), "scopes[0]"),
        (json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
    ] {
        assert_eq!(
            server.post("/v1/tokens", &body).problem(422, "invalid_request")["member"],
            member,
            "{body}"
        );
    }
}

#[test]
fn every_change_is_in_the_log_with_who_made_it() {
    let server = Server::start();
    server.account("acme", "starter");
    let (billing, _) = token(&server, "billing", &["money"]);
    let grant = json!({"pool": "topup", "amount": "5", "reference": "p-1"});
    let done = call(&server, &billing, "POST", "/v1/accounts/acme/grants", &grant);
    done.ok(201);
    let id = done.header("x-request-id").unwrap().to_owned();
    assert!(id.starts_with("req_"), "{id}");
    let lines = audit(&server, "?account=acme");
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    assert_eq!(
        (
            &line["who"],
            &line["operation"],
            &line["path"],
            &line["outcome"],
            &line["request_id"],
            &line["body"]
        ),
        (
            &json!("billing"),
            &json!("POST /v1/accounts/{account}/grants"),
            &json!("POST /v1/accounts/acme/grants"),
            &json!("done"),
            &json!(id),
            &grant
        )
    );
    assert_eq!((&lines[1]["who"], &lines[1]["operation"]), (&json!("root"), &json!("POST /v1/accounts")));

    // What changes nothing leaves no line: reads, previews, repetitions.
    call(&server, &billing, "POST", "/v1/accounts/acme/grants", &grant).ok(200);
    let pro = json!({"plan": "pro", "when": "now"});
    server.post("/v1/accounts/acme/plan?preview=true", &pro).ok(200);
    server.get("/v1/accounts/acme/balance").ok(200);
    for _ in 0..2 {
        server.post_with("/v1/accounts/acme/plan", &[("idempotency-key", "k")], &pro).ok(200);
    }
    let lines = audit(&server, "?account=acme");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["body"], pro);

    // Refusals are there too, with their code; secrets are not.
    let (reader, _) = token(&server, "reader", &["read"]);
    call(&server, &reader, "POST", "/v1/accounts/acme/grants", &grant).problem(403, "scope_missing");
    server
        .post_with(
            "/v1/accounts/acme/grants",
            &[("x-request-id", "mine-1")],
            &json!({"pool": "none", "amount": "1", "reference": "r"}),
        )
        .problem(422, "unknown_pool");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    server.post("/v1/webhooks", &json!({"url": "https://example.com/", "secret": secret})).ok(201);
    let refused =
        || audit(&server, "?outcome=unknown_pool").len() + audit(&server, "?outcome=scope_missing").len();
    while refused() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(audit(&server, "?who=reader")[0]["outcome"], "scope_missing");
    assert_eq!(audit(&server, "?outcome=unknown_pool")[0]["request_id"], "mine-1");
    let all = server.get("/v1/audit?limit=200");
    assert!(!all.text.contains(secret) && all.text.contains("(hidden)"), "{all:?}");
    assert!(!all.text.contains(&billing) && !all.text.contains("\"who\":\"edge"), "{all:?}");
    assert_eq!(audit(&server, "?from=2200-01-01T00:00:00Z"), Vec::<Value>::new());
    assert_eq!(audit(&server, "?to=2020-01-01T00:00:00Z"), Vec::<Value>::new());
    let page = server.get("/v1/audit?limit=1").ok(200);
    let next =
        server.get(&format!("/v1/audit?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).ok(200);
    assert_ne!(page["data"][0]["id"], next["data"][0]["id"]);
}

#[test]
fn nodes_leave_no_line() {
    let server = Server::start();
    server.edge(&json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 1})).ok(200);
    let authorization = bearer(EDGE);
    server
        .call("GET", "/v1/tokens", &[("authorization", &authorization)], None)
        .problem(403, "wrong_credential");
    assert_eq!(audit(&server, ""), Vec::<Value>::new());
}

#[test]
fn a_word_in_the_query_keeps_no_change_out_of_the_log() {
    let server = Server::start();
    server.account("acme", "starter");
    let grant = json!({"pool": "topup", "amount": "5", "reference": "g"});
    for (query, reference) in [("preview=true", "a"), ("dry_run=true", "b"), ("check=true", "c")] {
        let mut grant = grant.clone();
        grant["reference"] = reference.into();
        let answer = call(&server, ADMIN, "POST", &format!("/v1/accounts/acme/grants?{query}"), &grant);
        let lines = audit(&server, "?account=acme&limit=100");
        let noted = lines.iter().filter(|line| line["body"]["reference"] == reference).count();
        assert_eq!(noted, 1, "{query}: {answer:?}: {lines:?}");
    }
}
