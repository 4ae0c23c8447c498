//! The price pages through the API: what requests draw and count, in entries and balances, and books that agree.

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Server;

fn term(server: &Server) -> u64 {
    let call = json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 0, "refresh": ["acme"]});
    server.edge(&call).ok(200)["snapshots"][0]["term"].as_u64().unwrap()
}

/// Settles a request of a model, admitted now; gives what each pool paid.
fn charge(
    server: &Server,
    node: &mut Node<'_>,
    request: &str,
    model: &str,
    usage: Value,
) -> Vec<(String, String)> {
    let with = json!({"term": term(server), "model": model, "usage": usage});
    node.settle("acme", request, &with);
    let found = server.get("/v1/accounts/acme/entries?limit=1").ok(200);
    assert_eq!(found["data"][0]["request_id"], request, "{found}");
    let pools = found["data"][0]["pools"].as_array().unwrap();
    let text = |pool: &Value, member: &str| pool[member].as_str().unwrap().to_owned();
    pools.iter().map(|pool| (text(pool, "pool"), text(pool, "amount"))).collect()
}

fn drawn(pools: &[(&str, &str)]) -> Vec<(String, String)> {
    pools.iter().map(|(pool, amount)| ((*pool).to_owned(), (*amount).to_owned())).collect()
}

fn used(server: &Server) -> Vec<(Value, Value, Value)> {
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    let limits = balance["limits"].as_array().unwrap().clone();
    limits
        .into_iter()
        .map(|limit| (limit["window"].clone(), limit["used"].clone(), limit["max"].clone()))
        .collect()
}

#[test]
fn p1_p4_p5_p8_a_cap_skips_main_and_two_amounts_count() {
    let server = Server::page("pools-and-wallet.yaml");
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    // 300 credits per million tokens, and 2.40 USD of cost.
    let tokens = |count: u64| json!({"input_tokens": count});
    assert_eq!(
        charge(&server, &mut node, "a", "atlas-large", tokens(300_000)),
        drawn(&[("main", "-90.000000")])
    );
    let both = drawn(&[("main", "-10.000000"), ("backup", "-50.000000")]);
    assert_eq!(charge(&server, &mut node, "b", "atlas-large", tokens(200_000)), both);
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "2950.000000", "main gives nothing more today");
    let row = |window: &str, used: &str, max: &str| (json!(window), json!(used), json!(max));
    assert_eq!(
        used(&server),
        [row("day", "100", "100"), row("P7D", "100", "300"), row("cycle", "1.2", "100")]
    );
    assert!(server.verify().agrees(), "{:?}", server.verify().problems);
}

#[test]
fn p9_p10_the_wallet_pays_after_opting_in_and_alone_for_models_of_no_tier() {
    let server = Server::page("pools-and-wallet.yaml");
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    let grant = json!({"pool": "wallet", "amount": "40", "reference": "w"});
    server.post("/v1/accounts/acme/grants", &grant).ok(201);
    let opted = json!({"opted_in": ["wallet"]});
    server.write("PATCH", "/v1/accounts/acme", &[], &opted.to_string()).ok(200);
    let call = json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 0, "refresh": ["acme"]});
    let bypass =
        |server: &Server| server.edge(&call).ok(200)["snapshots"][0]["policy"]["bypass_rates"].clone();
    assert_eq!(bypass(&server), true);
    let paid = charge(&server, &mut node, "a", "frontier-max", json!({"input_tokens": 20_000}));
    assert_eq!(paid, drawn(&[("wallet", "-30.000000")]));
    charge(&server, &mut node, "b", "frontier-max", json!({"input_tokens": 10_000}));
    assert_eq!(bypass(&server), false, "nothing is left in it");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["debt"], "5.000000", "{balance}");
    assert!(server.verify().agrees());
}

#[test]
fn c8_usage_beyond_the_credits_goes_to_the_card() {
    let server = Server::page("upstage.yaml");
    server.account("acme", "no_tier");
    let mut node = Node::new(&server);
    server.write("PATCH", "/v1/accounts/acme", &[], &json!({"card_on_file": true}).to_string()).ok(200);
    server
        .post("/v1/accounts/acme/grants", &json!({"pool": "paid", "amount": "1", "reference": "p"}))
        .ok(201);
    let paid = charge(&server, &mut node, "a", "document-parse", json!({"pages": 250}));
    assert_eq!(paid, drawn(&[("paid", "-1.000000")]));
    let entry = server.get("/v1/accounts/acme/entries?limit=1").ok(200)["data"][0].clone();
    assert_eq!((&entry["amount"], &entry["debt"]), (&json!("-2.500000"), &json!("0.000000")));
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["debt"], "0.000000", "it is no debt");
    assert!(server.verify().agrees(), "{:?}", server.verify().problems);
}

#[test]
fn l2_l7_l9_requests_are_metered_by_the_cycle() {
    let server = Server::page("modelux.yaml");
    server.account("acme", "free");
    let mut node = Node::new(&server);
    for request in ["a", "b", "c"] {
        charge(&server, &mut node, request, "gpt-5", json!({"requests": 1}));
    }
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    let limit = &balance["limits"][0];
    assert_eq!((&limit["meter"], &limit["window"]), (&json!("requests"), &json!("cycle")));
    assert_eq!((&limit["used"], &limit["max"]), (&json!("3"), &json!("10000")));
    let account = server.get("/v1/accounts/acme").ok(200);
    assert_eq!(limit["resets_at"], account["period"]["to"], "the renewal day");
    assert!(server.verify().agrees());
}

#[test]
fn w5_trainings_and_credits_are_accounted_apart() {
    let server = Server::page("image-credits.yaml");
    server.account("acme", "pro");
    let mut node = Node::new(&server);
    let one = json!({"requests": 1});
    assert_eq!(
        charge(&server, &mut node, "a", "flux-training", one.clone()),
        drawn(&[("train_week", "-1.000000")])
    );
    charge(&server, &mut node, "b", "flux-training", one);
    let images = charge(&server, &mut node, "c", "flux-schnell@large", json!({"images": 2}));
    assert_eq!(images, drawn(&[("weekly", "-30.000000")]));
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!((&balance["available"], &balance["debt"]), (&json!("420.000000"), &json!("0.000000")));
    assert!(server.verify().agrees(), "{:?}", server.verify().problems);
}
