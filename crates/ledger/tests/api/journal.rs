//! The journal as it is looked up: filters, requests, exports, the past, incidents.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::node::Node;
use crate::support::Server;

fn list(server: &Server, query: &str) -> Vec<Value> {
    server.get(&format!("/v1/accounts/acme/entries{query}")).ok(200)["data"].as_array().unwrap().clone()
}

fn requests(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["request_id"].as_str()).collect()
}

#[test]
fn lines_are_found_by_what_they_are_about() {
    let server = Server::start();
    server.account("acme", "starter");
    server.account("other", "starter");
    let mut node = Node::new(&server);
    for n in 0..6 {
        let key = if n % 2 == 0 { "key_even" } else { "key_odd" };
        let (model, meter) = if n == 5 { ("search", "requests") } else { ("small", "input_tokens") };
        node.settle("acme", &format!("r{n}"), &json!({"key": key, "model": model, "usage": {meter: 1_000}}));
        node.settle("other", &format!("o{n}"), &json!({}));
    }
    assert_eq!(requests(&list(&server, "")), ["r5", "r4", "r3", "r2", "r1", "r0"]);
    assert_eq!(requests(&list(&server, "?key=key_odd")), ["r5", "r3", "r1"]);
    assert_eq!(requests(&list(&server, "?key=key_odd&model=small")), ["r3", "r1"]);
    assert_eq!(requests(&list(&server, "?request_id=r3")), ["r3"]);
    assert_eq!(list(&server, "?request_id=o3"), Vec::<Value>::new());
    let grants = list(&server, "?kind=grant");
    assert!(grants.len() == 1 && grants[0]["kind"] == "grant", "{grants:?}");
    let (third, fourth) = (
        list(&server, "?request_id=r3")[0]["time"].clone(),
        list(&server, "?request_id=r4")[0]["time"].clone(),
    );
    let (third, fourth) = (third.as_str().unwrap(), fourth.as_str().unwrap());
    let before = requests(&list(&server, &format!("?to={third}")))
        .iter()
        .map(|r| (*r).to_owned())
        .collect::<BTreeSet<_>>();
    let since = requests(&list(&server, &format!("?from={third}")))
        .iter()
        .map(|r| (*r).to_owned())
        .collect::<BTreeSet<_>>();
    assert!(before.is_disjoint(&since) && before.len() + since.len() == 6, "{before:?} {since:?}");
    assert!(since.contains("r3") && since.contains("r5"), "{since:?} {fourth}");
    // Pages of a filtered list go on where they ended.
    let page = server.get("/v1/accounts/acme/entries?key=key_odd&limit=2").ok(200);
    assert_eq!(requests(page["data"].as_array().unwrap()), ["r5", "r3"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = server.get(&format!("/v1/accounts/acme/entries?key=key_odd&limit=2&cursor={cursor}")).ok(200);
    assert_eq!(requests(page["data"].as_array().unwrap()), ["r1"]);
    assert_eq!(page["has_more"], false);
    for bad in ["?kind=gift", "?limit=0", "?from=yesterday", "?colour=red"] {
        server.get(&format!("/v1/accounts/acme/entries{bad}")).problem(400, "invalid_query");
    }
}

#[test]
fn a_request_is_found_without_its_account() {
    let server = Server::start();
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    let charge = node.charge("acme", "req_lost", 1_000_000);
    node.charge("acme", "req_other", 1_000_000);
    let find = |id: &str| server.get(&format!("/v1/entries?request_id={id}")).ok(200)["data"].clone();
    let found = find("req_lost");
    assert_eq!((&found[0]["account"], &found[0]["id"]), (&json!("acme"), &json!(charge)));
    assert_eq!(found.as_array().unwrap().len(), 1);
    let path = format!("/v1/accounts/acme/entries/{charge}/reversal");
    server.post(&path, &json!({"reason": "outage"})).ok(201);
    let found = find("req_lost");
    assert_eq!((&found[1]["kind"], &found[1]["reverses"]), (&json!("reversal"), &json!(charge)));
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert_eq!(find("none"), json!([]));
    server.get("/v1/entries").problem(400, "invalid_query");
}

/// A model with a cost card, and one without.
const CARDED: &str = "
name: Carded
pools: { main: { order: 1, expiry: never } }
models:
  small: { price: { per_1m: { input_tokens: 10, output_tokens: 30 } } }
  carded: { price: { per_1m: { input_tokens: 10 } }, cost: { per_1m: { input_tokens: 2 } } }
plans:
  starter: { grants: { main: 500 } }
";

#[test]
fn a_charge_tells_its_tier_and_what_its_provider_says_it_cost() {
    let server = Server::with_catalog(CARDED);
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    let tokens = json!({"input_tokens": 1_000});
    node.settle("acme", "plain", &json!({"usage": tokens}));
    node.settle("acme", "served", &json!({"service_tier": "priority", "provider_cost": 140_000_001}));
    // 0.002 dollars by the card: within one per cent, and beyond it, and nothing to compare.
    for (id, stated) in
        [("agreed", Some(2_010_000_000_u64)), ("apart", Some(3_000_000_000)), ("silent", None)]
    {
        let stated = stated.map_or(json!({}), |cost| json!({"provider_cost": cost}));
        let mut settle = json!({"model": "carded", "usage": tokens});
        settle.as_object_mut().unwrap().extend(stated.as_object().unwrap().clone());
        node.settle("acme", id, &settle);
    }
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let of = |id: &str| {
        let all = entries["data"].as_array().unwrap();
        all.iter().find(|entry| entry["request_id"] == id).unwrap().clone()
    };
    let (plain, served) = (of("plain"), of("served"));
    assert_eq!(
        (&served["service_tier"], &served["provider_cost_usd"]),
        (&json!("priority"), &json!("0.000140000001"))
    );
    assert_eq!(
        (plain.get("service_tier"), plain.get("provider_cost_usd"), plain.get("cost_usd")),
        (None, None, None)
    );
    let costs = |id: &str| (of(id)["cost_usd"].clone(), of(id)["provider_cost_usd"].clone());
    assert_eq!(costs("agreed"), (json!("0.002"), json!("0.00201")));
    assert_eq!(costs("apart"), (json!("0.002"), json!("0.003")));
    assert_eq!(costs("silent"), (json!("0.002"), Value::Null));
    let csv = server.get("/v1/entries/export?format=csv&account=acme").text;
    let rows: Vec<&str> = csv.split("\r\n").collect();
    let ends =
        [",plan,service_tier,cost_usd,provider_cost_usd", ",,0.002,", ",,0.002,0.003", ",,0.002,0.00201"];
    assert!(rows.iter().zip(ends).all(|(row, end)| row.ends_with(end)), "{csv}");
    assert!(rows[4].ends_with(",priority,,0.000140000001"), "{csv}");
    // What has a card and a claim is counted, the claims and what the card says of the same requests.
    let metrics = server.get("/metrics").text;
    for (name, value) in [
        ("cost_mismatches_total", 1),
        ("provider_cost_nanodollars_total", 5_010_000),
        ("card_cost_nanodollars_total", 4_000_000),
    ] {
        assert!(metrics.contains(&format!("bursar_ledger_{name} {value}\n")), "{name}: {metrics}");
    }
}

#[test]
fn the_journal_is_exported_whole() {
    let server = Server::start();
    let mut node = Node::new(&server);
    for account in ["acme", "other"] {
        server.account(account, "starter");
        // More than one piece of the export.
        for n in 0..620 {
            node.settle(account, &format!("{account}-{n}"), &json!({"usage": {"input_tokens": 1_000}}));
        }
    }
    let reference = "a \"quoted\", odd one";
    let adjustment = json!({"pool": "topup", "amount": "5", "reason": reference, "reference": "t"});
    server.post("/v1/accounts/acme/adjustments", &adjustment).ok(201);

    let all = server.get("/v1/entries/export");
    assert_eq!((all.status, all.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> = all.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<u64> = lines.iter().map(|line| line["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "latest first, each once");
    assert_eq!(lines.iter().filter(|line| line["kind"] == "charge").count(), 1_240);
    // The same lines as the lists have, page by page.
    let mut listed = Vec::new();
    for account in ["acme", "other"] {
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("/v1/accounts/{account}/entries?limit=200{cursor}")).ok(200);
            for mut line in page["data"].as_array().unwrap().clone() {
                line["account"] = account.into();
                listed.push(line);
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
    }
    listed.sort_by_key(|line| std::cmp::Reverse(line["id"].as_str().unwrap().parse::<u64>().unwrap()));
    assert_eq!(lines, listed);

    let csv = server.get("/v1/entries/export?format=csv&account=acme");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    let rows: Vec<&str> = csv.text.split("\r\n").collect();
    assert!(rows[0].starts_with("id,time,account,kind,amount,"), "{}", rows[0]);
    assert_eq!(rows.len(), 1 + lines.iter().filter(|line| line["account"] == "acme").count() + 1);
    assert!(rows[1].contains("\"a \"\"quoted\"\", odd one\""), "{}", rows[1]);
    let few = server.get("/v1/entries/export?account=acme&kind=adjustment").text;
    assert_eq!(few.lines().count(), 1);
    assert_eq!(server.get("/v1/entries/export?to=2020-01-01T00:00:00Z").text, "");
    assert_eq!(server.get("/v1/entries/export?from=2200-01-01T00:00:00Z&account=acme").text, "");
    server.get("/v1/entries/export?account=none").problem(404, "account_not_found");
    server.get("/v1/entries/export?format=xml").problem(400, "invalid_query");
}

#[test]
fn the_past_is_what_the_journal_says() {
    let server = Server::start();
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    let balance = |query: &str| server.get(&format!("/v1/accounts/acme/balance{query}")).ok(200);
    let mut seen = Vec::new();
    let mut note = || {
        let now = balance("");
        // The next thing is posted in another millisecond.
        let at = jiff::Timestamp::now();
        while jiff::Timestamp::now().as_millisecond() <= at.as_millisecond() {
            std::thread::yield_now();
        }
        seen.push((at.to_string(), now));
    };
    note();
    node.charge("acme", "r1", 1_000_000);
    note();
    server
        .post("/v1/accounts/acme/grants", &json!({"pool": "topup", "amount": "85", "reference": "p"}))
        .ok(201);
    note();
    node.charge("acme", "r2", 55_000_000);
    note();
    let entry = list(&server, "?request_id=r1")[0]["id"].as_str().unwrap().to_owned();
    server.post(&format!("/v1/accounts/acme/entries/{entry}/reversal"), &json!({"reason": "r"})).ok(201);
    note();
    server.post("/v1/accounts/acme/plan", &json!({"plan": "pro", "when": "now"})).ok(200);
    note();
    node.charge("acme", "r3", 100_000_000);
    note();
    for (at, then) in &seen {
        let mut past = balance(&format!("?at={at}"));
        assert!(past["at"].is_string(), "{past}");
        past.as_object_mut().unwrap().remove("at");
        assert_eq!(past, *then, "at {at}");
    }
    assert!(seen.windows(2).all(|pair| pair[0].1 != pair[1].1), "each step changed it");
    server.get("/v1/accounts/acme/balance?at=2200-01-01T00:00:00Z").problem(422, "invalid_request");
    server.get("/v1/accounts/acme/balance?at=2020-01-01T00:00:00Z").problem(422, "invalid_request");
    server.get("/v1/accounts/none/balance?at=2020-01-01T00:00:00Z").problem(404, "account_not_found");
}

#[test]
fn incidents_are_listed_by_kind() {
    let server = Server::start();
    server.account("acme", "starter");
    let mut node = Node::new(&server);
    let wrong =
        json!({"usage": {"input_tokens": 1_000_000}, "takes": [{"bucket": "credits", "held": 1, "used": 1}]});
    node.settle("acme", "r1", &wrong);
    node.settle("acme", "r2", &json!({"usage": {"input_tokens": 900_000_000}}));
    let codes = |query: &str| {
        let list = server.get(&format!("/v1/incidents{query}")).ok(200);
        let codes = list["data"].as_array().unwrap().iter().map(|incident| incident["code"].clone());
        (codes.collect::<Vec<_>>(), list["data"][0].clone())
    };
    let (found, first) = codes("?code=price_mismatch");
    assert_eq!(found, [json!("price_mismatch")]);
    assert_eq!(
        (&first["account"], &first["seq"], &first["lane"]),
        (&json!("acme"), &json!(1), &json!("0/1"))
    );
    assert!(first["detail"].as_str().unwrap().contains("10.000000 here, 0.000001 at the edge"), "{first}");
    assert_eq!(codes("?account=acme&code=price_mismatch").0.len(), 1);
    assert_eq!(codes("?account=other").0.len(), 0);
    assert_eq!(codes("?from=2200-01-01T00:00:00Z").0.len(), 0);
    assert_eq!(codes("?code=gap").0.len(), 0);
}
