//! What is set of an account: the way it takes its plan, its zone, its payment method, its own terms.

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::{ADMIN, CATALOG, Server, bearer};

fn patch(server: &Server, body: &Value) -> crate::support::Reply {
    server.write("PATCH", "/v1/accounts/acme", &[], &body.to_string())
}

#[test]
fn an_account_is_opened_with_cadence_anchor_and_zone() {
    let server = Server::start();
    let body = json!({
        "id": "acme", "plan": "starter", "cadence": "monthly", "anchor": "2026-01-31T10:00:00Z",
        "time_zone": "Europe/Berlin",
    });
    let created = server.post("/v1/accounts", &body).ok(201);
    assert_eq!((&created["cadence"], &created["time_zone"]), (&json!("monthly"), &json!("Europe/Berlin")));
    // Billing periods are counted from the anchor, not from the day of opening.
    assert!(created["period"]["from"].as_str().unwrap().ends_with("T10:00:00Z"), "{created}");
    assert_eq!(server.get("/v1/accounts/acme").ok(200), created);

    let open = |body: Value| server.post("/v1/accounts", &body);
    let none =
        open(json!({"id": "b", "plan": "starter", "cadence": "yearly"})).problem(422, "invalid_request");
    assert_eq!(none["member"], "cadence");
    assert!(none["detail"].as_str().unwrap().contains("monthly"), "{none}");
    let zone = open(json!({"id": "b", "plan": "starter", "time_zone": "Mars/Base"}));
    assert_eq!(zone.problem(422, "invalid_request")["member"], "time_zone");
    let anchor = open(json!({"id": "b", "plan": "starter", "anchor": "2999-01-01T00:00:00Z"}));
    assert_eq!(anchor.problem(422, "invalid_request")["member"], "anchor");
    server.get("/v1/accounts/b").problem(404, "account_not_found");
}

#[test]
fn settings_are_changed_one_by_one_and_taken_back() {
    let server = Server::start();
    server.account("acme", "starter");
    let zone = patch(&server, &json!({"time_zone": "America/New_York"})).ok(200);
    assert_eq!(zone["time_zone"], "America/New_York");
    let card = patch(&server, &json!({"card_on_file": true, "overage_cap": "25.5"})).ok(200);
    assert_eq!((&card["card_on_file"], &card["overage_cap"]), (&json!(true), &json!("25.500000")));
    assert_eq!(card["time_zone"], "America/New_York");
    let back = patch(&server, &json!({"time_zone": null, "overage_cap": null})).ok(200);
    assert!(back["time_zone"].is_null() && back["overage_cap"].is_null(), "{back}");
    assert_eq!(back["card_on_file"], true);

    let wrong = |body: Value, code: &str, member: &str| {
        assert_eq!(patch(&server, &body).problem(422, code)["member"], member);
    };
    wrong(json!({"overage_cap": "-1"}), "invalid_request", "overage_cap");
    wrong(json!({"time_zone": "CET+25"}), "invalid_request", "time_zone");
    wrong(json!({"opted_in": ["gold"]}), "unknown_pool", "pool");
    wrong(json!({"opted_in": ["topup"]}), "invalid_request", "opted_in");
    // All or nothing: the standing stays too.
    patch(&server, &json!({"status": "suspended", "time_zone": "Mars/Base"})).problem(422, "invalid_request");
    assert_eq!(server.get("/v1/accounts/acme").ok(200)["status"], "active");
    patch(&server, &json!({"status": "closed", "card_on_file": false})).ok(200);
    patch(&server, &json!({"card_on_file": true})).problem(409, "account_closed");
    assert!(server.verify().agrees());
}

#[test]
fn c12_a_customer_has_own_terms_over_the_plan() {
    let server = Server::start();
    server.account("acme", "free");
    let own = json!({
        "rates": [{"id": "rpm", "amount": 600}],
        "resources": {"api_keys": 3, "projects": null},
    });
    let shown = patch(&server, &json!({"overrides": own})).ok(200);
    let rate = &shown["overrides"]["rates"][0];
    assert_eq!(
        (&rate["amount"], &rate["per_ms"], &rate["burst"]),
        (&json!(600), &json!(60_000), &json!(600))
    );
    assert_eq!(shown["overrides"]["resources"], json!({"api_keys": 3, "projects": null}));
    // The plan has one key; the customer three.
    for _ in 0..3 {
        server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    }
    let refused = server.post("/v1/accounts/acme/keys", &json!({})).problem(402, "limit_reached");
    assert_eq!(refused["max"], 3);
    let wrong = |own: Value, code: &str| {
        patch(&server, &json!({"overrides": own})).problem(422, code);
    };
    wrong(json!({"limits": {"tea": "1"}}), "invalid_request");
    wrong(json!({"rates": [{"id": "rpm", "amount": 0}]}), "invalid_request");
    wrong(json!({"rates": [{"id": "rpm", "amount": 1, "meter": "tea"}]}), "invalid_request");
    wrong(json!({"prices_of": "gold"}), "unknown_plan");
    let none = patch(&server, &json!({"overrides": {}})).ok(200);
    assert!(none["overrides"].is_null());
    assert!(server.verify().agrees());
}

#[test]
fn c12_a_customer_is_charged_by_its_own_price_card() {
    let server = Server::start();
    let card = "  acme_card:\n    public: false\n    price_usd: null\n    \
                prices: { small: { per_1m: { input_tokens: 4, output_tokens: 12 } } }\n";
    let catalog = std::fs::read_to_string(CATALOG).unwrap() + card;
    let authorization = bearer(ADMIN);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/yaml")];
    server.call("POST", "/v1/catalog", &headers, Some(catalog.as_bytes())).ok(200);
    server.account("acme", "starter");
    let amount = |node: &mut Node<'_>, request: &str, term: u64| {
        let settle = json!({"usage": {"input_tokens": 1_000_000}, "term": term});
        node.settle("acme", request, &settle);
        let entries = server.get(&format!("/v1/accounts/acme/entries?request_id={request}")).ok(200);
        entries["data"][0]["amount"].as_str().unwrap().to_owned()
    };
    let mut node = Node::new(&server);
    assert_eq!(amount(&mut node, "r1", 1), "-10.000000");
    patch(&server, &json!({"overrides": {"prices_of": "acme_card"}})).ok(200);
    assert_eq!(amount(&mut node, "r2", 2), "-4.000000");
    // What was admitted before is charged by what held then.
    assert_eq!(amount(&mut node, "r3", 1), "-10.000000");
    assert!(server.verify().agrees());
}
