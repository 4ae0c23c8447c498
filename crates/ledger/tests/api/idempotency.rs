//! `Idempotency-Key`.

use std::sync::Barrier;

use serde_json::json;

use crate::support::Server;

#[test]
fn a_repeated_write_has_one_effect_and_the_same_answer() {
    let server = Server::start();
    let headers = [("idempotency-key", "k1")];
    let body = json!({"plan": "free"});
    let first = server.post_with("/v1/accounts", &headers, &body);
    assert_eq!(first.header("idempotency-replayed"), None);
    let second = server.post_with("/v1/accounts", &headers, &body);
    assert_eq!(first.ok(201), second.ok(201));
    assert_eq!(first.text, second.text);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    assert_eq!(server.get("/v1/accounts").ok(200)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn another_call_under_the_same_key_is_refused() {
    let server = Server::start();
    let headers = [("idempotency-key", "k1")];
    server.post_with("/v1/accounts", &headers, &json!({"id": "a", "plan": "free"})).ok(201);
    let other_body = server.post_with("/v1/accounts", &headers, &json!({"id": "b", "plan": "free"}));
    other_body.problem(422, "idempotency_mismatch");
    let grant = json!({"pool": "topup", "amount": "1", "reference": "r"});
    server.post_with("/v1/accounts/a/grants", &headers, &grant).problem(422, "idempotency_mismatch");
    server.get("/v1/accounts/b").problem(404, "account_not_found");
}

#[test]
fn a_refusal_is_not_kept() {
    let server = Server::start();
    let headers = [("idempotency-key", "k1")];
    let grant = json!({"pool": "topup", "amount": "1", "reference": "r"});
    server.post_with("/v1/accounts/a/grants", &headers, &grant).problem(404, "account_not_found");
    server.account("a", "free");
    server.post_with("/v1/accounts/a/grants", &headers, &grant).ok(201);
}

#[test]
fn a_repeated_key_creation_names_the_key_but_cannot_show_it() {
    let server = Server::start();
    server.account("acme", "starter");
    let headers = [("idempotency-key", "k1")];
    let first = server.post_with("/v1/accounts/acme/keys", &headers, &json!({})).ok(201);
    let second = server.post_with("/v1/accounts/acme/keys", &headers, &json!({}));
    assert_eq!(second.problem(409, "key_already_created")["key_id"], first["id"]);
    assert!(!second.text.contains("bsr_"), "{second:?}");
    assert_eq!(server.get("/v1/accounts/acme/keys").ok(200)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_plan_switch_and_a_revocation_are_replayed() {
    let server = Server::start();
    server.account("acme", "starter");
    let switch = || {
        server.post_with(
            "/v1/accounts/acme/plan",
            &[("idempotency-key", "p")],
            &json!({"plan": "pro", "when": "now"}),
        )
    };
    assert_eq!(switch().text, switch().text);
    let key = server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    let path = format!("/v1/accounts/acme/keys/{}", key["id"].as_str().unwrap());
    let revoke = || server.write("DELETE", &path, &[("idempotency-key", "d")], "");
    assert_eq!(revoke().ok(200), revoke().ok(200));
    assert_eq!(revoke().header("idempotency-replayed"), Some("true"));
}

#[test]
fn a_malformed_key_is_refused() {
    let server = Server::start();
    let body = json!({"plan": "free"});
    let long = "x".repeat(256);
    for headers in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", &long)],
        &[("idempotency-key", "a"), ("idempotency-key", "b")],
    ] {
        server.post_with("/v1/accounts", headers, &body).problem(400, "invalid_idempotency_key");
    }
    server.post_with("/v1/accounts", &[("idempotency-key", &long[..255])], &body).ok(201);
}

#[test]
fn parallel_repetitions_have_one_effect() {
    let server = Server::start();
    server.account("acme", "free");
    let body = json!({"pool": "topup", "amount": "1", "reference": "r"});
    let barrier = Barrier::new(8);
    let replies: Vec<_> = std::thread::scope(|scope| {
        let call = || {
            barrier.wait();
            server.post_with("/v1/accounts/acme/grants", &[("idempotency-key", "k")], &body)
        };
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let granted = replies.iter().filter(|reply| reply.status == 201).count();
    assert!(granted >= 1);
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        reply.problem(409, "idempotency_in_flight");
    }
    let fresh =
        replies.iter().filter(|reply| reply.status == 201 && reply.header("idempotency-replayed").is_none());
    assert_eq!(fresh.count(), 1);
    assert_eq!(server.get("/v1/accounts/acme/balance").ok(200)["available"], "1.000000");
}
