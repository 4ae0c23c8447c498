//! Adjustments, reversals, lots that are voided or extended.

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Server;

fn available(server: &Server) -> Value {
    server.get("/v1/accounts/acme/balance").ok(200)["available"].clone()
}

#[test]
fn an_adjustment_adds_and_takes_back_once_per_reference() {
    let server = Server::start();
    server.account("acme", "free");
    let post = |body: &Value| server.post("/v1/accounts/acme/adjustments", body);
    let up = json!({"pool": "topup", "amount": "5", "reason": "slow answers", "reference": "t-1"});
    let line = post(&up).ok(201);
    assert_eq!((&line["kind"], &line["amount"]), (&json!("adjustment"), &json!("5.000000")));
    assert_eq!((&line["reason"], &line["reference"]), (&json!("slow answers"), &json!("t-1")));
    assert!(line["expires_at"].is_string(), "as the pool says: {line}");
    assert_eq!(post(&up).ok(200), line);
    post(&json!({"pool": "topup", "amount": "6", "reason": "slow answers", "reference": "t-1"}))
        .problem(409, "reference_conflict");
    // Grants have references of their own.
    server
        .post("/v1/accounts/acme/grants", &json!({"pool": "topup", "amount": "1", "reference": "t-1"}))
        .ok(201);
    assert_eq!(available(&server), "6.000000");

    let down = |amount: &str, reference: &str| json!({"pool": "topup", "amount": amount, "reason": "paid twice", "reference": reference});
    post(&down("-7", "t-2")).problem(409, "insufficient_credits");
    let taken = post(&down("-5.5", "t-2")).ok(201);
    assert_eq!(taken["pools"].as_array().unwrap().len(), 2, "{taken}");
    assert_eq!(available(&server), "0.500000");
    let mut owed = down("-2", "t-3");
    owed["allow_debt"] = json!(true);
    assert_eq!(post(&owed).ok(201)["debt"], "1.500000");
    assert_eq!(server.get("/v1/accounts/acme/balance").ok(200)["debt"], "1.500000");
    for (body, member) in [
        (json!({"pool": "topup", "amount": "0", "reason": "r", "reference": "x"}), "amount"),
        (json!({"pool": "topup", "amount": "1", "reason": "", "reference": "x"}), "reason"),
        (json!({"pool": "topup", "amount": "1", "reason": "r", "reference": ""}), "reference"),
        (json!({"pool": "topup", "amount": 1, "reason": "r", "reference": "x"}), "amount"),
    ] {
        assert_eq!(post(&body).problem(422, "invalid_request")["member"], member, "{body}");
    }
    post(&json!({"pool": "gold", "amount": "1", "reason": "r", "reference": "x"}))
        .problem(422, "unknown_pool");
    assert_eq!(server.verify().problems, []);
}

#[test]
fn a_charge_is_given_back_once() {
    let server = Server::start();
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    // 10 credits per million input tokens.
    let entry = node.charge("acme", "r1", 1_000_000);
    assert_eq!(available(&server), "490.000000");
    let path = format!("/v1/accounts/acme/entries/{entry}/reversal");
    let reason = json!({"reason": "provider outage"});
    let reversal = server.post(&path, &reason).ok(201);
    let line = &reversal["entries"][0];
    assert_eq!((&line["kind"], &line["amount"]), (&json!("reversal"), &json!("10.000000")));
    assert_eq!((&line["reverses"], &line["request_id"]), (&json!(entry), &json!("r1")));
    assert_eq!(line["pools"][0]["pool"], "included");
    assert_eq!(available(&server), "500.000000");
    assert_eq!(server.post(&path, &json!({"reason": "again"})).ok(200), reversal);
    assert_eq!(available(&server), "500.000000");
    let listed = server.get("/v1/accounts/acme/entries").ok(200);
    assert_eq!(listed["data"][0], *line);
    server.post("/v1/accounts/acme/entries/1/reversal", &reason).problem(409, "not_a_charge");
    server.post("/v1/accounts/acme/entries/999/reversal", &reason).problem(404, "entry_not_found");
    server.post("/v1/accounts/acme/entries/x/reversal", &reason).problem(404, "entry_not_found");
    server.account("other", "free");
    server
        .post(&format!("/v1/accounts/other/entries/{entry}/reversal"), &reason)
        .problem(404, "entry_not_found");
    assert_eq!(server.verify().problems, []);
}

#[test]
fn a_lot_is_extended_and_voided() {
    let server = Server::start();
    server.account("acme", "starter");
    let lot = server
        .post("/v1/accounts/acme/grants", &json!({"pool": "topup", "amount": "85", "reference": "p"}))
        .ok(201);
    let path = format!("/v1/accounts/acme/lots/{}", lot["id"].as_str().unwrap());
    let extend = |to: Value| {
        server.write("PATCH", &path, &[], &json!({"expires_at": to, "reason": "goodwill"}).to_string())
    };
    assert_eq!(extend(json!("2099-01-01T00:00:00Z")).ok(200)["expires_at"], "2099-01-01T00:00:00Z");
    extend(json!("2098-01-01T00:00:00Z")).problem(422, "invalid_request");
    assert_eq!(extend(Value::Null).ok(200)["expires_at"], Value::Null);
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    assert_eq!(
        (&entries["data"][0]["kind"], &entries["data"][0]["reason"]),
        (&json!("extension"), &json!("goodwill"))
    );
    assert_eq!(available(&server), "600.000000");
    let void = || server.post(&format!("{path}/void"), &json!({"reason": "payment failed"}));
    let voided = void().ok(200);
    assert_eq!((&voided["voided"], &voided["available"]), (&json!(true), &json!("85.000000")));
    assert_eq!(available(&server), "500.000000");
    void().problem(404, "lot_not_found");
    extend(Value::Null).problem(404, "lot_not_found");
    server.post("/v1/accounts/acme/lots/lot_x/void", &json!({"reason": "r"})).problem(404, "lot_not_found");
    assert_eq!(server.verify().problems, []);
}
