//! The edge's calls: marker, bounds, and one request's whole way from key to journal.

use ledger::keys::digest;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tariff::{Meter, Micros, Usage};
use wire::{
    Ask, Batch, Event, EventBody, Health, Lane, MARKER_HEADER, Need, NodeId, Outcome, ParkedRequest, Settle,
    SyncRequest, SyncResponse, Take, UsageSource, UsageStatus, Want,
};

use crate::support::{ADMIN, EDGE, Reply, Server, bearer};

const NODE: NodeId = NodeId([7; 16]);

fn request() -> SyncRequest {
    SyncRequest {
        v: wire::VERSION,
        node: NODE,
        label: "test".to_owned(),
        now: 1_800_000_000_000,
        generation: None,
        cursor: None,
        batch: None,
        lookups: Vec::new(),
        refresh: Vec::new(),
        wants: Vec::new(),
        returns: Vec::new(),
        rates: Vec::new(),
        health: Health::default(),
    }
}

fn answer(reply: &Reply) -> SyncResponse {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_str(&reply.text).unwrap()
}

#[test]
fn every_answer_carries_the_marker_refusals_too() {
    let server = Server::start();
    let generation = server.service.generation().to_owned();
    assert!(!generation.is_empty());
    let edge = bearer(EDGE);
    let json = ("content-type", "application/json");
    let authorization = ("authorization", edge.as_str());
    let long = vec![b' '; (8 << 20) + 1];
    let replies = [
        (200, server.edge(&request())),
        (200, server.call("GET", "/v1/edge/catalog", &[authorization], None)),
        (400, server.call("POST", "/v1/edge/sync", &[authorization, json], Some(b"{"))),
        (401, server.call("POST", "/v1/edge/sync", &[], Some(b"{}"))),
        (403, server.call("POST", "/v1/edge/sync", &[("authorization", &bearer(ADMIN))], Some(b"{}"))),
        (404, server.call("GET", "/v1/edge/catalog?version=99", &[authorization], None)),
        (404, server.call("GET", "/v1/edge/nothing", &[authorization], None)),
        (405, server.call("GET", "/v1/edge/sync", &[authorization], None)),
        (413, server.call("POST", "/v1/edge/sync", &[authorization, json], Some(&long))),
        (415, server.call("POST", "/v1/edge/sync", &[authorization], Some(b"{}"))),
        (422, server.call("POST", "/v1/edge/sync", &[authorization, json], Some(b"{}"))),
    ];
    for (status, reply) in replies {
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header(MARKER_HEADER), Some(generation.as_str()), "{reply:?}");
    }
    assert_eq!(server.get("/v1/plans").header(MARKER_HEADER), None);
}

#[test]
fn bounds_and_version_are_checked() {
    let server = Server::start();
    let old = SyncRequest { v: 99, ..request() };
    assert_eq!(server.edge(&old).problem(422, "unsupported_version")["member"], "v");
    let lookups = SyncRequest { lookups: vec![digest("x"); wire::LOOKUPS_MAX + 1], ..request() };
    assert_eq!(server.edge(&lookups).problem(422, "invalid_request")["member"], "lookups");
    let refresh = SyncRequest { refresh: vec!["a".to_owned(); wire::REFRESH_MAX + 1], ..request() };
    assert_eq!(server.edge(&refresh).problem(422, "invalid_request")["member"], "refresh");
    let event = RawValue::from_string("{}".to_owned()).unwrap();
    let lane = Lane { node: NODE, slot: 0, incarnation: 1 };
    let events = vec![event; wire::BATCH_EVENTS_MAX + 1];
    let batch = Batch { lane, first: 1, events, gap: None, close: false };
    let reply = server.edge(&SyncRequest { batch: Some(batch), ..request() });
    assert_eq!(reply.problem(422, "invalid_request")["member"], "batch.events");
}

#[test]
fn unknown_members_are_ignored() {
    let server = Server::start();
    let mut newer = serde_json::to_value(request()).unwrap();
    newer["added_later"] = json!({"x": 1});
    answer(&server.edge(&newer));
}

#[test]
fn the_catalog_has_the_models() {
    let server = Server::start();
    let reply = server.call("GET", "/v1/edge/catalog", &[("authorization", &bearer(EDGE))], None);
    let catalog: tariff::EdgeCatalog = serde_json::from_str(&reply.text).unwrap();
    assert!(catalog.model("small").is_some() && catalog.model("search").is_some());
    let path = format!("/v1/edge/catalog?version={}", catalog.version);
    let same = server.call("GET", &path, &[("authorization", &bearer(EDGE))], None);
    assert_eq!(same.text, reply.text);
}

#[test]
fn a_request_goes_from_key_to_journal() {
    let server = Server::start();
    server.account("acme", "starter");
    let created = server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    let key = created["key"].as_str().unwrap();

    let looked_up =
        answer(&server.edge(&SyncRequest { lookups: vec![digest(key), digest("unknown")], ..request() }));
    assert_eq!(looked_up.keys.len(), 1);
    assert_eq!(&*looked_up.keys[0].account, "acme");
    assert_eq!(looked_up.unknown, [digest("unknown")]);
    let snapshot = &looked_up.snapshots[0];
    assert_eq!(snapshot.policy.plan, "starter");
    let bucket = snapshot.policy.buckets[0].id.clone();

    // 1,000 input and 2,000 output tokens at 10 and 30 credits per million: 0.07 credits.
    let price = Micros(70_000);
    let ask = |free, held| Ask { bucket: bucket.clone(), ask: price, free, held, returned: Micros::ZERO };
    let need = Need { bucket: bucket.clone(), need: price };
    let parked = ParkedRequest { request: "req-1".to_owned(), needs: vec![need] };
    let want = Want {
        account: "acme".to_owned(),
        lease: 1,
        term: 0,
        asks: vec![ask(Micros::ZERO, Micros::ZERO)],
        rates: None,
        requests: vec![parked],
    };
    let granted = answer(&server.edge(&SyncRequest { wants: vec![want], ..request() }));
    assert!(granted.grants[0].granted >= price, "{granted:?}");

    let settle = Settle {
        request: "req-1".to_owned(),
        account: "acme".to_owned(),
        key: created["id"].as_str().unwrap().to_owned(),
        term: snapshot.term,
        model: "small".to_owned(),
        answered_model: None,
        service_tier: None,
        provider_cost: None,
        operation: "chat".to_owned(),
        outcome: Outcome::Settled,
        source: Some(UsageSource::Reported),
        status: Some(UsageStatus::Complete),
        usage: Usage::new().with(Meter::InputTokens, 1_000).with(Meter::OutputTokens, 2_000),
        lease: 1,
        takes: vec![Take { bucket, held: price, used: price }],
        at: 1_800_000_000_000,
    };
    let event = Event { seq: 1, body: EventBody::Settle(Box::new(settle)) };
    let lane = Lane { node: NODE, slot: 0, incarnation: 1 };
    let batch =
        Batch { lane, first: 1, events: vec![to_raw_value(&event).unwrap()], gap: None, close: false };
    let send = || answer(&server.edge(&SyncRequest { batch: Some(batch.clone()), ..request() }));
    assert_eq!(send().ack.unwrap().last, 1);
    // The same again changes nothing.
    assert_eq!(send().ack.unwrap().last, 1);
    check_books(&server, &created);
}

fn check_books(server: &Server, key: &Value) {
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let charges: Vec<&Value> =
        entries["data"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "charge").collect();
    assert_eq!(charges.len(), 1, "{entries}");
    let charge = charges[0];
    assert_eq!(charge["amount"], "-0.070000");
    assert_eq!(charge["request_id"], "req-1");
    assert_eq!(charge["key"], key["id"]);
    assert_eq!(charge["model"], "small");
    assert_eq!(charge["usage"], json!({"input_tokens": 1000, "output_tokens": 2000}));
    assert_eq!(charge["usage_source"], "reported");
    assert_eq!(charge["usage_status"], "complete");
    assert_eq!(charge["outcome"], "settled");
    assert_eq!(charge["pools"][0]["pool"], "included");
    assert_eq!(charge["pools"][0]["amount"], "-0.070000");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "499.930000", "{balance}");
    assert_eq!(balance["in_flight"], "0.000000");
    for (by, group) in [("model", json!("small")), ("key", key["id"].clone())] {
        let usage = server.get(&format!("/v1/accounts/acme/usage?by={by}")).ok(200);
        let expected = json!([{"group": group, "requests": 1, "amount": "0.070000",
            "usage": {"input_tokens": 1000, "output_tokens": 2000}}]);
        assert_eq!(usage["data"], expected, "{by}");
    }
}
