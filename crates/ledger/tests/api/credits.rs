//! Grants, balance, journal.

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Server;

#[test]
fn a_grant_is_a_lot_of_the_balance() {
    let server = Server::start();
    server.account("acme", "free");
    let grant = json!({"pool": "topup", "amount": "12.5", "reference": "payment-1"});
    let lot = server.post("/v1/accounts/acme/grants", &grant).ok(201);
    assert_eq!(
        (&lot["pool"], &lot["amount"], &lot["available"]),
        (&json!("topup"), &json!("12.500000"), &json!("12.500000"))
    );
    assert!(lot["expires_at"].is_string(), "the pool's twelve months: {lot}");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "12.500000");
    assert_eq!(
        (&balance["leased"], &balance["in_flight"], &balance["debt"]),
        (&json!("0.000000"), &json!("0.000000"), &json!("0.000000"))
    );
    let pool =
        balance["pools"].as_array().unwrap().iter().find(|pool| pool["pool"] == "topup").unwrap().clone();
    assert_eq!(pool["available"], "12.500000");
    assert_eq!(pool["lots"][0]["id"], lot["id"]);
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let latest = &entries["data"][0];
    assert_eq!(
        (&latest["kind"], &latest["amount"], &latest["reference"]),
        (&json!("grant"), &json!("12.500000"), &json!("payment-1"))
    );
}

#[test]
fn a_plan_grants_at_its_start_and_discounts_top_ups() {
    let server = Server::start();
    server.account("acme", "starter");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "500.000000");
    let grant = json!({"pool": "topup", "amount": "85", "reference": "payment-1"});
    server.post("/v1/accounts/acme/grants", &grant).ok(201);
    // 85 credits at the factor 0.85 pay for 100 at base price.
    assert_eq!(server.get("/v1/accounts/acme/balance").ok(200)["available"], "600.000000");
}

#[test]
fn a_reference_grants_once() {
    let server = Server::start();
    server.account("acme", "free");
    let post = |body: &Value| server.post("/v1/accounts/acme/grants", body);
    let grant = json!({"pool": "topup", "amount": "5", "reference": "r"});
    let lot = post(&grant).ok(201);
    assert_eq!(post(&grant).ok(200)["id"], lot["id"]);
    post(&json!({"pool": "topup", "amount": "6", "reference": "r"})).problem(409, "reference_conflict");
    assert_eq!(server.get("/v1/accounts/acme/balance").ok(200)["available"], "5.000000");
    server.account("other", "free");
    server.post("/v1/accounts/other/grants", &grant).ok(201);
}

#[test]
fn amounts_are_decimal_strings_above_zero() {
    let server = Server::start();
    server.account("acme", "free");
    for amount in [
        json!(5),
        json!(5.5),
        json!("5,5"),
        json!("0.0000001"),
        json!("0"),
        json!("-1"),
        json!("1e3"),
        json!("99999999999999"),
    ] {
        let body = json!({"pool": "topup", "amount": amount, "reference": "r"});
        let problem = server.post("/v1/accounts/acme/grants", &body).problem(422, "invalid_request");
        assert_eq!(problem["member"], "amount", "{amount}: {problem}");
        if amount.is_number() {
            assert!(problem["detail"].as_str().unwrap().contains("decimal string"), "{problem}");
        }
    }
    let unknown = json!({"pool": "gold", "amount": "1", "reference": "r"});
    assert_eq!(
        server.post("/v1/accounts/acme/grants", &unknown).problem(422, "unknown_pool")["member"],
        "pool"
    );
    let past =
        json!({"pool": "topup", "amount": "1", "reference": "r", "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(
        server.post("/v1/accounts/acme/grants", &past).problem(422, "invalid_request")["member"],
        "expires_at"
    );
    let no_reference = json!({"pool": "topup", "amount": "1", "reference": ""});
    server.post("/v1/accounts/acme/grants", &no_reference).problem(422, "invalid_request");
    server
        .post("/v1/accounts/none/grants", &json!({"pool": "topup", "amount": "1", "reference": "r"}))
        .problem(404, "account_not_found");
}

#[test]
fn entries_are_paged_latest_first() {
    let server = Server::start();
    server.account("acme", "free");
    for n in 0..7 {
        let body = json!({"pool": "topup", "amount": "1", "reference": format!("r{n}")});
        server.post("/v1/accounts/acme/grants", &body).ok(201);
    }
    let mut ids: Vec<u64> = Vec::new();
    let mut path = "/v1/accounts/acme/entries?limit=3".to_owned();
    loop {
        let page = server.get(&path).ok(200);
        ids.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| entry["id"].as_str().unwrap().parse::<u64>().unwrap()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/accounts/acme/entries?limit=3&cursor={cursor}");
    }
    assert!(ids.len() >= 7, "{ids:?}");
    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
}

#[test]
fn usage_has_a_span() {
    let server = Server::start();
    server.account("acme", "free");
    let report = server
        .get("/v1/accounts/acme/usage?by=day&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z")
        .ok(200);
    assert_eq!(
        (&report["by"], &report["from"], &report["to"]),
        (&json!("day"), &json!("2026-01-01T00:00:00Z"), &json!("2026-02-01T00:00:00Z"))
    );
    assert_eq!(report["data"], json!([]));
    for query in [
        "by=colour",
        "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=x",
    ] {
        server.get(&format!("/v1/accounts/acme/usage?{query}")).problem(400, "invalid_query");
    }
    server.get("/v1/accounts/none/usage").problem(404, "account_not_found");
    server.get("/v1/accounts/none/balance").problem(404, "account_not_found");
    server.get("/v1/accounts/none/entries").problem(404, "account_not_found");
}

#[test]
fn w5_what_is_counted_apart_is_told_apart() {
    let server = Server::page("image-credits.yaml");
    server.account("acme", "pro");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "450.000000", "{balance}");
    let training = json!({"asset": "training", "available": "1.000000", "leased": "0.000000", "in_flight": "0.000000", "debt": "0.000000"});
    assert_eq!(balance["assets"], json!([training]));
    let change = json!({"plan": "max", "when": "now"});
    let preview = server.post("/v1/accounts/acme/plan?preview=true", &change).ok(200);
    let lots = |side: &str| -> Vec<(Value, Value, Value)> {
        let amount = if side == "voided" { "available" } else { "amount" };
        let lots = preview[side].as_array().unwrap().iter();
        lots.map(|lot| (lot["pool"].clone(), lot["asset"].clone(), lot[amount].clone())).collect()
    };
    let row = |pool: &str, asset: &str, amount: &str| (json!(pool), json!(asset), json!(amount));
    let voided = lots("voided");
    assert!(voided.contains(&row("weekly", "credits", "450.000000")), "{preview}");
    assert!(voided.contains(&row("train_week", "training", "1.000000")), "{preview}");
    assert!(lots("granted").iter().any(|(_, asset, _)| asset == "training"), "{preview}");
    assert!(preview["voided"].as_array().unwrap().iter().all(|lot| lot["voided"] == false), "as they stood");
    let quoted = json!({"plan": "pro", "model": "flux-training", "usage": {"requests": 1}});
    let quote = server.post("/v1/quote", &quoted).ok(200);
    assert_eq!((&quote["asset"], &quote["lines"][0]["amount"]), (&json!("training"), &json!("1")));
    assert!(
        quote["paid_by"]
            .as_array()
            .unwrap()
            .iter()
            .all(|pool| pool["pool"].as_str().unwrap().starts_with("train"))
    );
}

#[test]
fn a_balance_says_what_the_next_cycle_does_not_take_over() {
    let server = Server::with_catalog(
        "name: Rollover\nmax_output_default: 100\npools:\n  saved: { order: 1, expiry: cycle_end, rollover: { cycles: 1, max: 200 } }\n  rest: { order: 2, expiry: never }\n\
         models: { small: { price: { per_1m: { input_tokens: 10, output_tokens: 10 } } } }\nplans:\n  pro: { price_usd: 20, grants: { saved: 1000 } }\n",
    );
    server.account("acme", "pro");
    let balance = || server.get("/v1/accounts/acme/balance").ok(200);
    let period = server.get("/v1/accounts/acme").ok(200)["period"].clone();
    let rollover = |loses: &str| json!({"at": period["to"], "max": "200.000000", "loses": loses});
    assert_eq!(balance()["pools"][0]["rollover"], rollover("800.000000"));
    assert_eq!(balance()["pools"][1].get("rollover"), None);
    // 90 million tokens: 900 credits; what is left is carried over whole.
    Node::new(&server).charge("acme", "r", 90_000_000);
    assert_eq!(balance()["pools"][0]["rollover"], rollover("0.000000"));
}
