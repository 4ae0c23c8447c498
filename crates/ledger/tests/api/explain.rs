//! Why a request would be refused, without sending one.

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Server;

fn explain(server: &Server, body: &Value) -> Value {
    server.post("/v1/accounts/acme/explain", body).ok(200)
}

#[test]
fn each_reason_is_told_in_the_clients_words() {
    let server = Server::start();
    server.account("acme", "starter");
    let small = json!({"model": "small", "usage": {"input_tokens": 1_000_000, "output_tokens": 0}});
    let told = explain(&server, &small);
    assert_eq!(
        (&told["allowed"], &told["plan"], &told["charged_as"]),
        (&json!(true), &json!("starter"), &json!("small"))
    );
    assert_eq!(
        told["buckets"],
        json!([{"bucket": "credits", "required": "10.000000", "available": "500.000000", "enough": true, "unit": "credits"}])
    );
    assert_eq!((&told["rates"][0]["id"], &told["rates"][0]["amount"]), (&json!("rpm"), &json!(15)));
    // The model's default where nothing is said of output: 1,000 tokens at 30 credits a million; a quarter of the
    // body's 17 bytes at 10.
    assert_eq!(explain(&server, &json!({"model": "small"}))["buckets"][0]["required"], "0.030050");
    let two = json!({"body": {"model": "small", "max_tokens": 400, "n": 2}, "usage": {"input_tokens": 0}});
    assert_eq!(explain(&server, &two)["buckets"][0]["required"], "0.024000");

    let refusal = |body: &Value, status: u16, code: &str| {
        let told = explain(&server, body);
        assert_eq!(told["allowed"], false, "{told}");
        let refusal = told["refusal"].clone();
        assert_eq!((&refusal["status"], &refusal["code"]), (&json!(status), &json!(code)), "{told}");
        refusal
    };
    refusal(&json!({"model": "unheard-of"}), 400, "unknown_model");
    // M9: the last credits go to one request.
    let dear = explain(&server, &json!({"model": "small", "usage": {"input_tokens": 60_000_000}}));
    assert_eq!((&dear["allowed"], &dear["clipped_to"]), (&json!(true), &json!("500.000000")), "{dear}");
    assert_eq!(dear["buckets"][0]["enough"], false, "{dear}");
    let mut node = Node::new(&server);
    node.charge("acme", "r", 49_999_999);
    assert_eq!(explain(&server, &small)["clipped_to"], "0.000010");
    node.charge("acme", "s", 1);
    let dry = refusal(&small, 402, "insufficient_credits");
    assert_eq!(
        (&dry["top_up_url"], &dry["limit_source"]),
        (&json!("https://shop.example/top-up"), &json!("pool"))
    );
    assert_eq!((&dry["required"], &dry["available"]), (&json!("10.000000"), &json!("0.000000")));
    assert!(dry["resets_at"].is_string(), "{dry}");

    let key = server.post("/v1/accounts/acme/keys", &json!({"models": ["search"]})).ok(201)["id"].clone();
    let with_key = json!({"model": "small", "key": key});
    assert_eq!(refusal(&with_key, 403, "forbidden_model")["limit_source"], "key");
    let path = format!("/v1/accounts/acme/keys/{}", key.as_str().unwrap());
    server.write("DELETE", &path, &[], "").ok(200);
    refusal(&with_key, 401, "invalid_api_key");
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"status": "suspended"}"#).ok(200);
    refusal(&small, 403, "account_suspended");

    let none = |body: &Value| server.post("/v1/accounts/acme/explain", body);
    none(&json!({"model": "small", "key": "key_none"})).problem(404, "key_not_found");
    none(&json!({"model": "small", "usage": {"smiles": 1}})).problem(422, "invalid_request");
    none(&json!({"usage": {"input_tokens": 1}})).problem(422, "invalid_request");
    none(&json!({"model": "small", "parameters": {"model.name": 1}})).problem(422, "invalid_request");
    server.post("/v1/accounts/none/explain", &small).problem(404, "account_not_found");
    // It is a question: nothing has changed by it.
    let log = server.get("/v1/audit?limit=200").ok(200);
    let asked =
        |line: &&Value| line["outcome"] == "done" && line["operation"].as_str().unwrap().contains("explain");
    assert_eq!(log["data"].as_array().unwrap().iter().filter(asked).count(), 0);
}

#[test]
fn accounts_in_shadow_mode_are_told_so() {
    let server = Server::start();
    server.account("acme", "free");
    let small = json!({"model": "small", "usage": {"input_tokens": 1_000}});
    assert_eq!(explain(&server, &small)["enforced"], true);
    let shadow = |on: bool| {
        let body = json!({"shadow": on}).to_string();
        server.write("PATCH", "/v1/accounts/acme", &[], &body).ok(200)
    };
    assert_eq!(shadow(true)["shadow"], true);
    let told = explain(&server, &small);
    assert_eq!((&told["enforced"], &told["allowed"]), (&json!(false), &json!(false)), "{told}");
    // Nodes are told: nothing is refused.
    let call = json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 1, "refresh": ["acme"]});
    assert_eq!(server.edge(&call).ok(200)["snapshots"][0]["policy"]["enforce"], false);
    assert_eq!(shadow(false).get("shadow"), None);
    assert_eq!(server.edge(&call).ok(200)["snapshots"][0]["policy"]["enforce"], true);
}

#[test]
fn a_route_s_tier_of_service_is_what_would_be_held() {
    let server = Server::with_catalog(
        "name: Tiers\npools: { main: { order: 1, expiry: never } }\nmodels:\n  m:\n    \
         price: { per_1k: { input_tokens: 10, output_tokens: 20 } }\n    service_tiers: { batch: { factor: 0.5 } }\n\
         plans:\n  starter: { grants: { main: 100 } }\n",
    );
    server.account("acme", "starter");
    let usage = json!({"input_tokens": 1_000, "output_tokens": 0});
    let held = |body: Value| explain(&server, &body)["buckets"][0]["required"].clone();
    assert_eq!(held(json!({"model": "m", "usage": usage})), "10.000000");
    assert_eq!(held(json!({"model": "m", "usage": usage, "service_tier": "batch"})), "5.000000");
    assert_eq!(held(json!({"model": "m", "usage": usage, "service_tier": "unheard-of"})), "10.000000");
    // Asked for by the client it is not: an upstream may ignore it.
    let body = json!({"model": "m", "service_tier": "batch"});
    assert_eq!(held(json!({"body": body, "usage": usage})), "10.000000");
}
