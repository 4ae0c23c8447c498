//! Buying, giving back, owing, keeping: on the price pages' catalogs, through the API.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::node::Node;
use crate::support::{Reply, Server};

fn post(server: &Server, path: &str, body: &Value) -> Reply {
    server.post(&format!("/v1/accounts/acme/{path}"), body)
}

fn buy(usd: &str, reference: &str) -> Value {
    json!({"amount_usd": usd, "provider": "card", "reference": reference, "consent": true})
}

fn plan(server: &Server) -> Value {
    server.get("/v1/accounts/acme").ok(200)["plan"].clone()
}

fn left(server: &Server, pool: &str) -> String {
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    let found = balance["pools"].as_array().unwrap().iter().find(|own| own["pool"] == pool).unwrap().clone();
    found["available"].as_str().unwrap().to_owned()
}

#[test]
fn c1_c2_c4_c5_a_purchase_is_previewed_then_brings_credits_bonus_and_tier_once() {
    let server = Server::page("upstage.yaml");
    server.account("acme", "no_tier");
    let preview = post(&server, "purchases?preview=true", &json!({"amount_usd": "500"})).ok(200);
    assert_eq!((&preview["credits"], &preview["bonus"]), (&json!("500.000000"), &json!("25.000000")));
    assert_eq!((&preview["plan"], &preview["needs_consent"]), (&json!("build"), &json!(true)));
    assert_eq!(plan(&server), "no_tier");

    let mut silent = buy("500", "p1");
    silent["consent"] = json!(false);
    post(&server, "purchases", &silent).problem(409, "consent_needed");
    let bought = post(&server, "purchases", &buy("500", "p1")).ok(201);
    assert_eq!((&bought["plan"], &bought["payment"]), (&json!("build"), &json!("card/p1")));
    assert_eq!(bought["lots"].as_array().unwrap().len(), 2);
    assert_eq!(
        (left(&server, "paid"), left(&server, "bonus")),
        ("500.000000".to_owned(), "25.000000".to_owned())
    );
    // The bonus ends with the commitment, and so does one that is bought later in it.
    let period = server.get("/v1/accounts/acme").ok(200)["period"]["to"].clone();
    assert_eq!(bought["bonus_expires_at"], period);
    let later = post(&server, "purchases", &buy("1000", "p2")).ok(201);
    assert_eq!((&later["bonus"], &later["bonus_expires_at"]), (&json!("50.000000"), &period));
    // The same payment again is the same purchase; with another sum it is refused.
    assert_eq!(post(&server, "purchases", &buy("500", "p1")).ok(200)["lots"], bought["lots"]);
    post(&server, "purchases", &buy("501", "p1")).problem(409, "reference_conflict");
    assert_eq!(left(&server, "paid"), "1500.000000");
    let up = post(&server, "purchases", &buy("3500", "p3")).ok(201);
    assert_eq!(up["plan"], "scale");
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let kinds: Vec<&str> =
        entries["data"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "payment").count(), 3);
    assert!(server.verify().agrees());
}

#[test]
fn c10_a_purchase_comes_back_only_before_the_first_request() {
    let server = Server::page("upstage.yaml");
    server.account("acme", "no_tier");
    post(&server, "purchases", &buy("500", "p1")).ok(201);
    post(&server, "purchases", &buy("600", "p2")).ok(201);
    let refund = |of: &str, reference: &str| {
        post(&server, "refunds", &json!({"provider": "card", "purchase": of, "reference": reference}))
    };
    let preview =
        |of: &str| post(&server, "refunds?preview=true", &json!({"provider": "card", "purchase": of}));
    let foreseen = preview("p1").ok(200);
    assert_eq!((&foreseen["preview"], foreseen.get("payment")), (&json!(true), None));
    post(&server, "refunds", &json!({"provider": "card", "purchase": "p1"})).problem(422, "invalid_request");
    let back = refund("p1", "re_1").ok(201);
    assert_eq!((&back["amount_usd"], &back["credits"]), (&foreseen["amount_usd"], &foreseen["credits"]));
    preview("p1").problem(409, "no_such_purchase");
    assert_eq!((&back["amount_usd"], &back["credits"]), (&json!("500.00"), &json!("525.000000")));
    assert_eq!(refund("p1", "re_1").ok(200), back);
    refund("p1", "re_2").problem(409, "no_such_purchase");
    assert_eq!(
        (left(&server, "paid"), left(&server, "bonus")),
        ("600.000000".to_owned(), "30.000000".to_owned())
    );
    // A request, however small, ends that for good.
    let mut node = Node::new(&server);
    node.settle("acme", "r1", &json!({"model": "solar-pro-2", "usage": {"input_tokens": 1}}));
    refund("p2", "re_3").problem(409, "not_refundable");
    preview("p2").problem(409, "not_refundable");
    assert!(server.verify().agrees());
}

#[test]
fn c6_c7_a_schedule_asks_and_a_purchase_answers() {
    let server = Server::page("upstage.yaml");
    server.account("acme", "no_tier");
    let set = |body: &str| server.write("PUT", "/v1/accounts/acme/recharge", &[], body);
    set(r#"{"amount_usd": "100", "every": "P7D"}"#).problem(422, "invalid_request");
    set(r#"{"amount_usd": "100", "every": "P1M", "from": "2020-01-01T00:00:00Z"}"#)
        .problem(422, "invalid_request");
    let schedule = set(r#"{"amount_usd": "100", "every": "P1M"}"#).ok(200);
    let request = schedule["requested"][0]["request"].as_str().unwrap();
    assert_eq!(left(&server, "paid"), "0.000000");
    let mut paid = buy("100", "p1");
    paid["request"] = json!(request);
    assert_eq!(post(&server, "purchases", &paid).ok(201)["plan"], "explore");
    let schedule = server.get("/v1/accounts/acme/recharge").ok(200);
    assert_eq!((&schedule["requested"], &schedule["every"]), (&json!([]), &json!("P1M")));
    let ended = server.write("DELETE", "/v1/accounts/acme/recharge", &[], "").ok(200);
    assert!(ended["next"].is_null() && ended["amount_usd"].is_null());
    assert_eq!(left(&server, "paid"), "100.000000");
    assert!(server.verify().agrees());
}

#[test]
fn c8_usage_beyond_the_credits_is_a_receivable_until_it_is_paid() {
    let server = Server::page("upstage.yaml");
    server.account("acme", "no_tier");
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"card_on_file": true}"#).ok(200);
    let term = json!({"model": "solar-pro-2", "usage": {"input_tokens": 10_000_000}, "term": 2});
    Node::new(&server).settle("acme", "r1", &term);
    let pay = |usd: &str, reference: &str| {
        post(
            &server,
            "receivable/settle",
            &json!({"provider": "card", "reference": reference, "amount_usd": usd}),
        )
    };
    // 10M tokens at 0.15 a million: 1.5 credits, 1.50 US dollars.
    let billing = pay("0.50", "s1").ok(200);
    assert_eq!((&billing["owed"], &billing["owed_usd"]), (&json!("1.000000"), &json!("1.00")));
    assert_eq!(pay("0.50", "s1").ok(200)["owed"], "1.000000");
    pay("2", "s2").problem(422, "invalid_request");
    let listed = loop {
        let page = server.get("/v1/receivables").ok(200);
        if page["data"].as_array().is_some_and(|data| !data.is_empty()) {
            break page;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert_eq!(
        (&listed["data"][0]["account"], &listed["data"][0]["owed"]),
        (&json!("acme"), &json!("1.000000"))
    );
    assert_eq!(pay("1", "s3").ok(200)["owed"], "0.000000");
    pay("1", "s4").problem(409, "nothing_owed");
    assert!(server.verify().agrees());
}

#[test]
fn p9_a_wallet_is_opted_in_to_and_each_provider_has_its_minimum() {
    let server = Server::page("pools-and-wallet.yaml");
    server.account("acme", "free");
    let wallet = |usd: &str, provider: &str| {
        post(&server, "purchases", &json!({"amount_usd": usd, "provider": provider, "reference": "p1"}))
    };
    wallet("5", "creem").problem(409, "opt_in_needed");
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"opted_in": ["wallet"]}"#).ok(200);
    assert_eq!(wallet("9.99", "nowpayments").problem(422, "invalid_request")["member"], "amount_usd");
    let bought = wallet("5", "creem").ok(201);
    assert_eq!((&bought["credits"], &bought["bonus"]), (&json!("500.000000"), &json!("0.000000")));
    assert!(bought["lots"][0]["expires_at"].is_null());
    assert_eq!(left(&server, "wallet"), "500.000000");
    assert!(server.verify().agrees());
}

#[test]
fn l10_l12_l3_making_more_than_the_plan_allows_is_402_with_the_plan_that_does() {
    let server = Server::page("modelstack.yaml");
    server.account("acme", "starter");
    let stacks = |change: Value| post(&server, "resources/stacks", &change);
    let full = loop {
        let made = stacks(json!({"add": 1}));
        if made.status != 200 {
            break made.problem(402, "limit_reached");
        }
    };
    assert_eq!((&full["max"], &full["resource"]), (&json!(3), &json!("stacks")));
    assert_eq!(full["unlocks"][0]["plan"], "topup_only");
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"overrides": {"resources": {"stacks": 4}}}"#).ok(200);
    assert_eq!(stacks(json!({"add": 1})).ok(200)["count"], 4);
    stacks(json!({"add": 1})).problem(402, "limit_reached");
    assert_eq!(stacks(json!({"remove": 2})).ok(200)["count"], 2);
    assert_eq!(stacks(json!({"set": 9})).ok(200)["count"], 9);
    stacks(json!({"set": 1, "add": 1})).problem(422, "invalid_request");
    post(&server, "resources/tea", &json!({"add": 1})).problem(422, "invalid_request");
    let listed = server.get("/v1/accounts/acme/resources").ok(200);
    let keys = listed["data"].as_array().unwrap().iter().find(|kept| kept["name"] == "api_keys").unwrap();
    assert_eq!((&keys["count"], &keys["max"]), (&json!(0), &json!(5)));
    assert!(server.verify().agrees());
}

#[test]
fn m4_a_quote_says_the_price_by_meter_and_pool() {
    let server = Server::page("modelstack.yaml");
    let usage = json!({"input_tokens": 100_000, "output_tokens": 20_000});
    let ask = |body: Value| server.post("/v1/quote", &body);
    let quote = ask(json!({"plan": "max", "model": "claude-sonnet-4.5", "usage": usage})).ok(200);
    assert_eq!((&quote["base"], &quote["open"]), (&json!("6.000000"), &json!(true)));
    assert_eq!(quote["paid_by"][1], json!({"pool": "topup", "amount": "3.600000"}));
    assert_eq!(quote["lines"][0]["amount"], "3");
    server.account("acme", "starter");
    let own = ask(json!({"account": "acme", "model": "claude-sonnet-4.5", "usage": usage})).ok(200);
    assert_eq!((&own["plan"], &own["paid_by"][1]["amount"]), (&json!("starter"), &json!("5.100000")));
    ask(json!({"plan": "max", "model": "none", "usage": usage})).problem(422, "invalid_request");
    ask(json!({"plan": "max", "model": "claude-sonnet-4.5", "usage": {"tea": 1}}))
        .problem(422, "invalid_request");
    ask(json!({"model": "claude-sonnet-4.5", "usage": usage})).problem(422, "invalid_request");
}

/// A customer of page 003, by its own key.
fn customer(server: &Server, plan: &str) -> String {
    let joined = (Timestamp::now() - SignedDuration::from_hours(72)).to_string();
    server.post("/v1/accounts", &json!({"id": "acme", "plan": plan, "created_at": joined})).ok(201);
    let key = server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    key["key"].as_str().unwrap().to_owned()
}

fn own(server: &Server, key: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = body.map(ToString::to_string);
    server.call(method, &format!("/manage/v1/{path}"), &headers, body.as_deref().map(str::as_bytes))
}

#[test]
fn l7_l15_customers_see_plan_usage_and_limits_with_their_own_key() {
    let server = Server::page("modelux.yaml");
    let key = customer(&server, "free");
    let billing = own(&server, &key, "GET", "billing", None).ok(200);
    assert_eq!((&billing["plan"], &billing["account"]), (&json!("free"), &json!("acme")));
    let meters = billing["meters"].as_array().unwrap();
    assert!(
        meters.iter().any(|meter| meter["max"].is_string() && meter["resets_at"] == billing["period"]["to"])
    );
    let kept: Vec<&str> =
        billing["resources"].as_array().unwrap().iter().map(|kept| kept["name"].as_str().unwrap()).collect();
    assert!(kept.contains(&"api_keys") && kept.contains(&"projects"), "{kept:?}");
    let plans = own(&server, &key, "GET", "plans", None).ok(200);
    let names: Vec<&str> =
        plans["data"].as_array().unwrap().iter().map(|plan| plan["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["free", "pro", "team"]);

    // No key, another's token, a key that ended: nothing is shown.
    server.call("GET", "/manage/v1/billing", &[], None).problem(401, "unauthenticated");
    own(&server, crate::support::ADMIN, "GET", "billing", None).problem(401, "unauthenticated");
    let (begin, _) = key.rsplit_once('_').unwrap();
    let mistyped = own(&server, &format!("{begin}_000000"), "GET", "billing", None);
    let detail = mistyped.problem(401, "unauthenticated")["detail"].clone();
    assert!(detail.as_str().unwrap().contains("malformed"), "{detail}");
    let authorization = format!("Bearer {key}");
    server
        .call("GET", "/v1/accounts", &[("authorization", &authorization)], None)
        .problem(401, "unauthenticated");
    let keys = server.get("/v1/accounts/acme/keys").ok(200);
    let id = keys["data"][0]["id"].as_str().unwrap();
    server.write("DELETE", &format!("/v1/accounts/acme/keys/{id}"), &[], "").ok(200);
    own(&server, &key, "GET", "billing", None).problem(401, "unauthenticated");
}

#[test]
fn l15_customers_change_their_plan_once_they_can_pay_and_check_out_where_they_cannot() {
    let server = Server::page("modelux.yaml");
    let key = customer(&server, "free");
    let change = |plan: &str| own(&server, &key, "POST", "billing/change-plan", Some(&json!({"plan": plan})));
    change("pro").problem(409, "payment_needed");
    change("enterprise").problem(422, "unknown_plan");
    let check_out = || {
        let authorization = format!("Bearer {key}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", "1"),
        ];
        server.call("POST", "/manage/v1/billing/checkout", &headers, Some(br#"{"plan": "pro"}"#)).ok(200)
    };
    let checkout = check_out();
    assert_eq!(check_out(), checkout, "the same change, not another one");
    assert_eq!(plan(&server), "free");
    let paid = json!({"change": checkout["change"], "provider": "stripe", "reference": "cs_1"});
    post(&server, "plan/change/confirm", &paid).ok(200);
    assert_eq!(plan(&server), "pro");
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"card_on_file": true}"#).ok(200);
    assert_eq!(change("team").ok(200)["to"], "team");
    assert_eq!(change("free").ok(200)["to"], "free");
    assert_eq!(plan(&server), "free");
    let portal = own(&server, &key, "POST", "billing/portal", Some(&json!({}))).ok(200);
    assert!(portal["url"].as_str().unwrap().starts_with("https://"));
    let noted = server.get("/v1/audit?account=acme&limit=100").ok(200);
    let keys = server.get("/v1/accounts/acme/keys").ok(200);
    let who = format!("customer {}", keys["data"][0]["id"].as_str().unwrap());
    let own = noted["data"].as_array().unwrap().iter().filter(|line| line["who"] == who.as_str());
    assert_eq!(own.count(), 3, "checkout and two changes: {noted}");
    assert!(server.verify().agrees());
}

#[test]
fn l15_agents_call_tools_with_their_customer_s_key() {
    let server = Server::page("modelux.yaml");
    let key = customer(&server, "free");
    let send = |message: &Value| own(&server, &key, "POST", "mcp", Some(message));
    let ask = |method: &str, params: Value| {
        send(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).ok(200)
    };
    let tool = |name: &str, arguments: Value| {
        let answer = ask("tools/call", json!({"name": name, "arguments": arguments}));
        let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let told: Value = serde_json::from_str(text).unwrap();
        assert_eq!(answer["result"]["structuredContent"], told);
        (told, answer["result"]["isError"].as_bool().unwrap())
    };
    let begun = ask("initialize", json!({"protocolVersion": "2025-03-26", "capabilities": {}}));
    assert_eq!((&begun["id"], &begun["result"]["protocolVersion"]), (&json!(7), &json!("2025-03-26")));
    assert_eq!(ask("initialize", json!({"protocolVersion": "1"}))["result"]["protocolVersion"], "2025-06-18");
    let noted = send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!((noted.status, noted.text.clone()), (202, String::new()));
    assert_eq!(ask("ping", json!({}))["result"], json!({}));
    let list = ask("tools/list", json!({}));
    let names: Vec<_> =
        list["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["get_billing", "list_plans", "create_checkout_session"]);
    assert_eq!(tool("get_billing", json!({})), (own(&server, &key, "GET", "billing", None).ok(200), false));
    assert_eq!(tool("list_plans", Value::Null), (own(&server, &key, "GET", "plans", None).ok(200), false));
    let (checkout, failed) = tool("create_checkout_session", json!({"plan": "pro"}));
    assert!(!failed && checkout["plan"] == "pro", "{checkout}");
    let paid = json!({"change": checkout["change"], "provider": "stripe", "reference": "cs_1"});
    post(&server, "plan/change/confirm", &paid).ok(200);
    assert_eq!(plan(&server), "pro");
    let (refused, failed) = tool("create_checkout_session", json!({"plan": "enterprise"}));
    assert!(failed && refused["code"] == "unknown_plan", "{refused}");
    for (method, params, code) in [
        ("resources/list", json!({}), -32_601),
        ("tools/call", json!({"name": "delete_account"}), -32_602),
        ("tools/call", json!({}), -32_602),
        ("tools/call", json!({"name": "create_checkout_session", "arguments": {"plan": 7}}), -32_602),
    ] {
        assert_eq!(ask(method, params)["error"]["code"], code, "{method}");
    }
    assert_eq!(send(&json!({"jsonrpc": "1.0", "id": 1, "method": "ping"})).ok(200)["error"]["code"], -32_600);
    let stranger = own(&server, "bsr_nobody", "POST", "mcp", Some(&json!({})));
    stranger.problem(401, "unauthenticated");
    assert!(server.verify().agrees());
}

#[test]
fn c1_nobody_takes_a_tier_that_was_not_bought() {
    let server = Server::page("upstage.yaml");
    let key = customer(&server, "no_tier");
    for path in ["billing/change-plan", "billing/checkout"] {
        let answer = own(&server, &key, "POST", path, Some(&json!({"plan": "scale"})));
        answer.problem(409, "not_yours_to_change");
    }
    assert_eq!(plan(&server), "no_tier");
}

#[test]
fn w5_a_dearer_cadence_of_a_cheaper_plan_is_not_had_unpaid() {
    let server = Server::page("image-credits.yaml");
    let key = customer(&server, "pro");
    let yearly = json!({"plan": "starter", "cadence": "yearly"});
    own(&server, &key, "POST", "billing/change-plan", Some(&yearly)).problem(409, "payment_needed");
    // What ends the plan is not undone by asking for another.
    post(&server, "plan/cancel", &json!({})).ok(200);
    let change = own(&server, &key, "POST", "billing/checkout", Some(&json!({"plan": "max"})));
    change.problem(409, "not_yours_to_change");
}
