//! API keys.

use ledger::keys::digest;
use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn a_key_is_shown_once_and_listed_without_itself() {
    let server = Server::start();
    server.account("acme", "starter");
    let body = json!({"name": "ci", "models": ["small*"]});
    let reply = server.post("/v1/accounts/acme/keys", &body);
    let created = reply.ok(201);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let key = created["key"].as_str().unwrap();
    assert_eq!(key.len(), "bsr_".len() + 22 + 1 + 6);
    assert_eq!(created["digest_id"], digest(key).to_string()[..8]);
    let listed = server.get("/v1/accounts/acme/keys").ok(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(listed["data"][0], expected);
}

#[test]
fn a_body_is_not_needed() {
    let server = Server::start();
    server.account("acme", "starter");
    let authorization = crate::support::bearer(crate::support::ADMIN);
    let headers = [("authorization", authorization.as_str())];
    server.call("POST", "/v1/accounts/acme/keys", &headers, Some(b"")).ok(201);
}

#[test]
fn the_plans_number_of_keys_is_a_limit_that_revoking_frees() {
    let server = Server::start();
    server.account("acme", "starter");
    let create = || server.post("/v1/accounts/acme/keys", &json!({}));
    let first = create().ok(201);
    create().ok(201);
    let refused = create().problem(402, "limit_reached");
    assert_eq!((&refused["resource"], &refused["max"]), (&json!("api_keys"), &json!(2)));
    assert_eq!(refused["unlocks"][0]["plan"], "pro", "{refused}");
    let path = format!("/v1/accounts/acme/keys/{}", first["id"].as_str().unwrap());
    let revoked = server.write("DELETE", &path, &[], "").ok(200);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    assert_eq!(server.write("DELETE", &path, &[], "").ok(200), revoked);
    create().ok(201);
    server.write("DELETE", "/v1/accounts/acme/keys/key_none", &[], "").problem(404, "key_not_found");
}

#[test]
fn a_foreign_key_is_taken_over_by_its_digest() {
    let server = Server::start();
    server.account("acme", "starter");
    server.account("other", "starter");
    let body = json!({"digest": digest("sk-foreign").to_string()});
    let created = server.post("/v1/accounts/acme/keys", &body).ok(201);
    assert_eq!(created.get("key"), None);
    server.post("/v1/accounts/other/keys", &body).problem(409, "key_exists");
    let short =
        server.post("/v1/accounts/acme/keys", &json!({"digest": "ab"})).problem(422, "invalid_request");
    assert_eq!(short["member"], "digest");
}

#[test]
fn what_cannot_be_taken_names_its_member() {
    let server = Server::start();
    server.account("acme", "starter");
    let long = "x".repeat(129);
    for (body, member) in [
        (json!({"name": ""}), "name"),
        (json!({"name": long}), "name"),
        (json!({"models": []}), "models"),
        (json!({"models": ["a", ""]}), "models[1]"),
        (json!({"models": ["a", 1]}), "models[1]"),
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let problem = server.post("/v1/accounts/acme/keys", &body).problem(422, "invalid_request");
        assert_eq!(problem["member"], member, "{body}: {problem}");
    }
    server.post("/v1/accounts/none/keys", &json!({})).problem(404, "account_not_found");
    server.get("/v1/accounts/none/keys").problem(404, "account_not_found");
}

#[test]
fn keys_are_listed_by_page_oldest_first() {
    let server = Server::start();
    server.account("acme", "pro");
    let made: Vec<Value> =
        (0..5).map(|_| server.post("/v1/accounts/acme/keys", &json!({})).ok(201)["id"].clone()).collect();
    let mut listed = Vec::new();
    let mut path = "/v1/accounts/acme/keys?limit=2".to_owned();
    loop {
        let page = server.get(&path).ok(200);
        listed.extend(page["data"].as_array().unwrap().iter().map(|key| key["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/accounts/acme/keys?limit=2&cursor={cursor}");
    }
    assert_eq!(listed, made);
}
