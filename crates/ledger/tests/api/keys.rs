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

#[test]
fn a_key_is_disabled_enabled_and_ended() {
    let server = Server::start();
    server.account("acme", "starter");
    let made = server.post("/v1/accounts/acme/keys", &json!({"auth_class": "internal"})).ok(201);
    assert_eq!((&made["auth_class"], &made["enabled"]), (&json!("internal"), &json!(true)));
    let path = format!("/v1/accounts/acme/keys/{}", made["id"].as_str().unwrap());
    let change = |body: Value| server.write("PATCH", &path, &[], &body.to_string());
    assert_eq!(change(json!({"enabled": false})).ok(200)["enabled"], false);
    // What is not named stays; null is a value.
    let ended = change(json!({"expires_at": "2099-01-01T00:00:00Z", "name": "ci"})).ok(200);
    assert_eq!((&ended["enabled"], &ended["name"]), (&json!(false), &json!("ci")));
    assert_eq!(ended["expires_at"], "2099-01-01T00:00:00Z");
    let back = change(json!({"expires_at": null, "enabled": true, "models": ["small*"]})).ok(200);
    assert_eq!((&back["expires_at"], &back["models"]), (&Value::Null, &json!(["small*"])));
    assert_eq!(change(json!({"models": null})).ok(200)["models"], Value::Null);
    for (body, member) in [
        (json!({"expires_at": "2020-01-01T00:00:00Z"}), "expires_at"),
        (json!({"auth_class": "two words"}), "auth_class"),
        (json!({"models": []}), "models"),
        (json!({"enabled": "no"}), "enabled"),
    ] {
        assert_eq!(change(body).problem(422, "invalid_request")["member"], member);
    }
    server.write("DELETE", &path, &[], "").ok(200);
    change(json!({"enabled": true})).problem(409, "key_revoked");
}

#[test]
fn a_key_is_rotated_with_an_overlap() {
    let server = Server::start();
    server.account("acme", "free");
    let made = server.post("/v1/accounts/acme/keys", &json!({"name": "ci"})).ok(201);
    let path = format!("/v1/accounts/acme/keys/{}/rotate", made["id"].as_str().unwrap());
    let idempotent = [("idempotency-key", "r1")];
    let reply = server.post_with(&path, &idempotent, &json!({"overlap_seconds": 3600}));
    let rotated = reply.ok(201);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(rotated["key"].as_str().unwrap().starts_with("bsr_"));
    assert_eq!((&rotated["name"], &rotated["replaces"]), (&json!("ci"), &made["id"]));
    assert_eq!(rotated["replaced"]["replaced_by"], rotated["id"]);
    assert!(rotated["replaced"]["expires_at"].is_string());
    let again = server.post_with(&path, &idempotent, &json!({"overlap_seconds": 3600}));
    assert_eq!(again.problem(409, "key_already_created")["key_id"], rotated["id"]);
    server.post(&path, &json!({})).problem(409, "key_replaced");
    let next = format!("/v1/accounts/acme/keys/{}/rotate", rotated["id"].as_str().unwrap());
    let long = server.post(&next, &json!({"overlap_seconds": 7_776_001}));
    assert_eq!(long.problem(422, "invalid_request")["member"], "overlap_seconds");
    // A rotation makes no room: the plan has one key.
    server.post("/v1/accounts/acme/keys", &json!({})).problem(402, "limit_reached");
}

#[test]
fn a_key_is_found_and_revoked_by_its_digest() {
    let server = Server::start();
    server.account("acme", "starter");
    let made = server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    let path = format!("/v1/keys/{}", digest(made["key"].as_str().unwrap()));
    let found = server.get(&path).ok(200);
    assert_eq!((&found["id"], &found["account"]), (&made["id"], &json!("acme")));
    assert!(server.write("DELETE", &path, &[], "").ok(200)["revoked_at"].is_string());
    let unknown = format!("/v1/keys/{}", digest("nobody's"));
    server.get(&unknown).problem(404, "key_not_found");
    server.write("DELETE", &unknown, &[], "").problem(404, "key_not_found");
    server.get("/v1/keys/abc").problem(400, "invalid_path");
}
