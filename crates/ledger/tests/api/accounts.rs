//! Accounts and plans.

use serde_json::{Value, json};

use crate::support::Server;

#[test]
fn an_account_is_opened_and_read() {
    let server = Server::start();
    let body = json!({"id": "acme", "plan": "starter", "created_at": "2026-01-31T12:00:00+02:00"});
    let created = server.post("/v1/accounts", &body).ok(201);
    assert_eq!(created["id"], "acme");
    assert_eq!(created["plan"], "starter");
    assert_eq!(created["status"], "active");
    assert_eq!(created["created_at"], "2026-01-31T10:00:00Z");
    assert_eq!(server.get("/v1/accounts/acme").ok(200), created);
}

#[test]
fn an_id_is_made_where_none_is_given() {
    let server = Server::start();
    let created = server.post("/v1/accounts", &json!({"plan": "free"})).ok(201);
    let id = created["id"].as_str().unwrap();
    assert!(id.starts_with("acct_"), "{id}");
    assert_eq!(server.get(&format!("/v1/accounts/{id}")).status, 200);
}

#[test]
fn what_cannot_be_opened_is_refused() {
    let server = Server::start();
    server.account("acme", "free");
    let open = |body: Value| server.post("/v1/accounts", &body);
    open(json!({"id": "acme", "plan": "free"})).problem(409, "account_exists");
    let unknown = open(json!({"id": "b", "plan": "gold"})).problem(422, "unknown_plan");
    assert_eq!(unknown["member"], "plan");
    let id = open(json!({"id": "a b", "plan": "free"})).problem(422, "invalid_request");
    assert_eq!(id["member"], "id");
    let future = json!({"id": "b", "plan": "free", "created_at": "2999-01-01T00:00:00Z"});
    assert_eq!(open(future).problem(422, "invalid_request")["member"], "created_at");
    server.get("/v1/accounts/b").problem(404, "account_not_found");
}

#[test]
fn accounts_are_listed_by_page() {
    let server = Server::start();
    for id in ["c", "a", "e", "b", "d"] {
        server.account(id, "free");
    }
    let mut ids = Vec::new();
    let mut path = "/v1/accounts?limit=2".to_owned();
    loop {
        let page = server.get(&path).ok(200);
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        ids.extend(data.iter().map(|account| account["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["has_more"], !page["next_cursor"].is_null());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/accounts?limit=2&cursor={cursor}");
    }
    assert_eq!(ids, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_page_has_bounds() {
    let server = Server::start();
    for query in ["limit=0", "limit=201", "limit=x", "cursor=%20", "colour=red"] {
        server.get(&format!("/v1/accounts?{query}")).problem(400, "invalid_query");
    }
    server.account("acme", "free");
    server.get("/v1/accounts/acme/entries?cursor=x").problem(400, "invalid_query");
}

#[test]
fn an_account_is_suspended_resumed_and_closed_for_good() {
    let server = Server::start();
    server.account("acme", "free");
    let set = |status: &str| {
        server.write("PATCH", "/v1/accounts/acme", &[], &json!({"status": status}).to_string())
    };
    assert_eq!(set("suspended").ok(200)["status"], "suspended");
    assert_eq!(set("active").ok(200)["status"], "active");
    assert_eq!(set("closed").ok(200)["status"], "closed");
    set("active").problem(409, "account_closed");
    assert_eq!(server.get("/v1/accounts/acme").ok(200)["status"], "closed");
}

#[test]
fn a_plan_is_previewed_and_then_switched() {
    let server = Server::start();
    server.account("acme", "starter");
    let body = json!({"plan": "pro", "when": "now"});
    let preview = server.post("/v1/accounts/acme/plan?preview=true", &body).ok(200);
    assert_eq!(
        (&preview["preview"], &preview["from"], &preview["to"]),
        (&json!(true), &json!("starter"), &json!("pro"))
    );
    assert_eq!(server.get("/v1/accounts/acme").ok(200)["plan"], "starter");
    let done = server.post("/v1/accounts/acme/plan", &body).ok(200);
    assert_eq!(done["preview"], false);
    assert_eq!(done["voided"], preview["voided"]);
    assert_eq!(server.get("/v1/accounts/acme").ok(200)["plan"], "pro");
    server.post("/v1/accounts/acme/plan", &json!({"plan": "gold"})).problem(422, "unknown_plan");
    server.post("/v1/accounts/none/plan", &body).problem(404, "account_not_found");
}

#[test]
fn plans_are_listed_in_the_catalogs_order() {
    let server = Server::start();
    let plans = server.get("/v1/plans").ok(200);
    let names: Vec<&str> =
        plans["data"].as_array().unwrap().iter().map(|plan| plan["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["free", "starter", "pro"]);
    let starter = &plans["data"][1];
    assert_eq!(starter["resources"]["api_keys"], 2);
    assert_eq!(starter["rates"][0]["id"], "rpm");
    assert_eq!(starter["pools"][0]["grant"], "500.000000");
    assert_eq!(starter["pools"][1]["factor"], "0.85");
}

#[test]
fn accounts_are_found_by_plan_standing_reference_and_label() {
    let server = Server::start();
    for (id, plan) in [("a1", "free"), ("a2", "starter"), ("b1", "starter"), ("b2", "pro")] {
        server.account(id, plan);
    }
    let set =
        |id: &str, body: &Value| server.write("PATCH", &format!("/v1/accounts/{id}"), &[], &body.to_string());
    let labelled =
        set("a2", &json!({"labels": {"team": "search", "tier": "gold"}, "reference": "cus_1"})).ok(200);
    assert_eq!((&labelled["labels"]["tier"], &labelled["reference"]), (&json!("gold"), &json!("cus_1")));
    set("b2", &json!({"labels": {"team": "search"}})).ok(200);
    set("b1", &json!({"status": "suspended"})).ok(200);
    let found = |query: &str| -> Vec<String> {
        let list = server.get(&format!("/v1/accounts{query}")).ok(200);
        list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(found(""), ["a1", "a2", "b1", "b2"]);
    assert_eq!(found("?plan=starter"), ["a2", "b1"]);
    assert_eq!(found("?status=suspended"), ["b1"]);
    assert_eq!(found("?plan=starter&status=active"), ["a2"]);
    assert_eq!(found("?label=team%3Dsearch"), ["a2", "b2"]);
    assert_eq!(found("?label=team%3Dsearch&plan=pro"), ["b2"]);
    assert_eq!(found("?reference=cus_1"), ["a2"]);
    assert_eq!(found("?prefix=b"), ["b1", "b2"]);
    assert_eq!(found("?label=team%3Dsearch&limit=1"), ["a2"]);
    assert_eq!(found("?label=team%3Dsearch&limit=1&cursor=a2"), ["b2"]);
    // Found at once by what they have become.
    server.post("/v1/accounts/a1/plan", &json!({"plan": "pro", "when": "now"})).ok(200);
    assert_eq!(found("?plan=pro"), ["a1", "b2"]);
    set("a2", &json!({"labels": {"tier": "gold"}, "reference": null})).ok(200);
    assert_eq!((found("?label=team%3Dsearch"), found("?reference=cus_1")), (vec!["b2".to_owned()], vec![]));
    assert_eq!(found("?label=tier%3Dgold"), ["a2"]);
    let many: serde_json::Map<String, Value> = (0..17).map(|n| (format!("l{n}"), json!("x"))).collect();
    for (body, member) in [
        (json!({"labels": many}), "labels"),
        (json!({"labels": {"a=b": "x"}}), "labels"),
        (json!({"labels": {"a": "x".repeat(129)}}), "labels"),
        (json!({"reference": ""}), "reference"),
    ] {
        assert_eq!(set("a2", &body).problem(422, "invalid_request")["member"], member, "{body}");
    }
    server.get("/v1/accounts?label=team").problem(400, "invalid_query");
    server.get("/v1/accounts?status=asleep").problem(400, "invalid_query");
}
