//! A client that has the edge token and speaks the protocol badly: nobody's money changes beyond what is true.
//!
//! Written by hand, as JSON and bytes, apart from the types that nodes and ledger share. Every scenario ends with
//! the books checked, the victim's balance to the micro-credit, and a good request that passes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{EDGE, Reply, Server, bearer};

const HONEST: &str = "0102030405060708090a0b0c0d0e0f10";
const HOSTILE: &str = "ffeeddccbbaa99887766554433221100";
const STRANGER: &str = "99999999999999999999999999999999";
const NOW: i64 = 1_800_000_000_000;
/// 1,000 input and 2,000 output tokens at 10 and 30 credits per million.
const PRICE: i64 = 70_000;
/// No answer to what is sent here may be larger.
const ANSWER_BYTES_MAX: usize = 512 << 10;

/// A ledger with two accounts, and a node that has delivered two requests of the first.
struct Scene {
    server: Server,
    charged: i64,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let server = Server::start();
        for account in ["acme", "other"] {
            server.account(account, "starter");
        }
        let mut scene = Self { server, charged: 0, next: 1 };
        scene.honest();
        scene.honest();
        scene
    }

    fn send(&self, call: &Value) -> Reply {
        let reply = self.server.edge(call);
        assert!(reply.text.len() < ANSWER_BYTES_MAX, "{} bytes", reply.text.len());
        reply
    }

    fn ok(&self, call: &Value) -> Value {
        self.send(call).ok(200)
    }

    /// The honest node delivers its next request; it is charged.
    fn honest(&mut self) {
        let seq = self.next;
        let answer = self.ok(&batch(HONEST, HONEST, seq, &[settle(seq, &format!("honest-{seq}"))]));
        assert_eq!(answer["ack"]["last"], seq, "{answer}");
        assert_eq!(answer["ack"].get("rejected"), None, "{answer}");
        self.next += 1;
        self.charged += PRICE;
    }

    /// Sends one batch as the hostile node in its own lane, from where that stands.
    fn hostile(&self, first: u64, events: &[Value]) -> Value {
        self.ok(&batch(HOSTILE, HOSTILE, first, events))
    }

    /// The books are sound, nobody was charged but for what was delivered, and the honest go on.
    #[track_caller]
    fn check(mut self, true_charges: i64) {
        self.charged += true_charges;
        self.honest();
        assert_eq!(self.available("acme"), 500_000_000 - self.charged);
        assert_eq!(self.available("other"), 500_000_000);
        let report = self.server.verify();
        assert!(report.agrees(), "{:#?}", report.problems);
    }

    fn available(&self, account: &str) -> i64 {
        let balance = self.server.get(&format!("/v1/accounts/{account}/balance")).ok(200);
        let micros = |name: &str| tariff::Micros::parse(balance[name].as_str().unwrap()).unwrap().get();
        assert_eq!(micros("debt"), 0, "{balance}");
        micros("available")
    }
}

fn lane(node: &str) -> Value {
    json!({"node": node, "slot": 0, "incarnation": 1})
}

fn call(node: &str) -> Value {
    json!({"v": 1, "node": node, "now": NOW})
}

fn batch(caller: &str, of: &str, first: u64, events: &[Value]) -> Value {
    let mut call = call(caller);
    call["batch"] = json!({"lane": lane(of), "first": first, "events": events});
    call
}

fn settle(seq: u64, request: &str) -> Value {
    json!({"seq": seq, "body": {"settle": {
        "request": request, "account": "acme", "key": "key_1", "term": 1, "model": "small", "operation": "chat",
        "outcome": "settled", "source": "reported", "status": "complete",
        "usage": {"input_tokens": 1000, "output_tokens": 2000}, "lease": 1,
        "takes": [{"bucket": "credits", "held": PRICE, "used": PRICE}], "at": NOW}}})
}

/// A settlement with one member changed.
fn with(seq: u64, request: &str, path: &str, value: Value) -> Value {
    let mut event = settle(seq, request);
    *event.pointer_mut(&format!("/body/settle/{path}")).unwrap() = value;
    event
}

fn codes(answer: &Value) -> Vec<String> {
    let rejected = answer["ack"]["rejected"].as_array().cloned().unwrap_or_default();
    rejected.iter().map(|one| one["code"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn replays_in_every_shape_charge_nothing() {
    let scene = Scene::new();
    let events = [settle(1, "honest-1"), settle(2, "honest-2")];
    for _ in 0..20 {
        for (first, slice) in [(1, &events[..]), (1, &events[..1]), (2, &events[1..])] {
            assert_eq!(scene.ok(&batch(HONEST, HONEST, first, slice))["ack"]["last"], 2);
        }
    }
    // The same numbers with more in them: a conflict, and what was posted stays.
    let more = with(1, "honest-1", "usage/output_tokens", json!(900_000));
    assert_eq!(scene.ok(&batch(HONEST, HONEST, 1, &[more]))["ack"]["last"], 2);
    // The same requests under other numbers and in other lanes.
    let again = scene.hostile(1, &[settle(1, "honest-1"), settle(2, "honest-2")]);
    assert_eq!(codes(&again), ["duplicate_request", "duplicate_request"]);
    scene.check(0);
}

#[test]
fn gaps_and_numbers_far_ahead_swallow_nothing() {
    let scene = Scene::new();
    for first in [4, 1 << 20, 1 << 40, u64::MAX - 1, u64::MAX, 0] {
        let answer = scene.ok(&batch(HONEST, HONEST, first, &[settle(first, "ahead")]));
        assert_eq!((&answer["ack"]["last"], &answer["ack"]["expected"]), (&json!(2), &json!(3)), "{first}");
    }
    // Gaps that do not join, that lie behind, that are as wide as can be.
    for (from, to, first) in [
        (5, 9, 10),
        (1, 2, 3),
        (9, 3, 4),
        (3, u64::MAX, 3),
        (3, u64::MAX - 1, u64::MAX),
        (3, 1 << 30, (1 << 30) + 1),
    ] {
        let mut request = batch(HONEST, HONEST, first, &[]);
        request["batch"]["gap"] = json!({"from": from, "to": to});
        assert_eq!(scene.ok(&request)["ack"]["last"], 2, "{from} to {to}");
    }
    scene.check(0);
}

#[test]
fn the_lane_of_another_node_is_not_to_be_written() {
    let scene = Scene::new();
    for events in [vec![settle(3, "forged")], vec![settle(3, "f1"), settle(4, "f2")], vec![]] {
        let answer = scene.ok(&batch(HOSTILE, HONEST, 3, &events));
        assert_eq!(answer["ack"]["last"], 2, "the next number is still the honest node's: {answer}");
    }
    let mut close = batch(HOSTILE, HONEST, 4, &[]);
    close["batch"]["gap"] = json!({"from": 3, "to": 3});
    close["batch"]["close"] = json!(true);
    assert_eq!(scene.ok(&close)["ack"]["last"], 2);
    // A lane of a node that nobody knows: each event is refused.
    let answer = scene.ok(&batch(HOSTILE, STRANGER, 1, &[settle(1, "s1"), settle(2, "s2")]));
    assert_eq!(codes(&answer), ["unknown_node", "unknown_node"]);
    for lane in [
        json!({"node": "xyz", "slot": 0, "incarnation": 1}),
        json!({"node": HONEST, "slot": -1, "incarnation": 1}),
        json!(null),
    ] {
        let mut request = batch(HOSTILE, HOSTILE, 1, &[settle(1, "x")]);
        request["batch"]["lane"] = lane;
        assert_eq!(scene.send(&request).status, 422);
    }
    scene.check(0);
}

#[test]
fn numbers_that_are_none_are_refused_one_by_one() {
    let scene = Scene::new();
    let big = json!(9_007_199_254_740_993_u64);
    let bad = [
        ("usage", json!({"input_tokens": -1})),
        ("usage", json!({"input_tokens": 1.5})),
        ("usage", json!({"input_tokens": "7"})),
        ("usage", json!({"input_tokens": 18_446_744_073_709_551_615_u64})),
        ("usage", json!({"input_tokens": 1e300})),
        ("usage", json!({"no_such_meter": 1})),
        ("usage", json!([1, 2])),
        ("takes/0/held", json!(-1)),
        ("takes/0/used", json!(-70_000)),
        ("takes/0/used", big.clone()),
        ("takes/0/held", json!(i64::MAX)),
        ("takes/0/held", json!(i64::MIN)),
        ("takes/0/bucket", json!("")),
        ("takes/0/bucket", json!("x".repeat(1_000))),
        ("takes", json!(vec![json!({"bucket": "credits", "held": 1, "used": 1}); 9])),
        ("request", json!("")),
        ("request", json!("x".repeat(129))),
        ("request", json!("line\nbreak")),
        ("account", json!("nobody")),
        ("account", json!("../other")),
        ("account", json!("x".repeat(10_000))),
        ("key", json!("\u{0}")),
        ("model", json!("")),
        ("term", json!(-1)),
        ("term", json!(1.5)),
        ("lease", json!(-1)),
        ("at", json!("yesterday")),
        ("outcome", json!("refunded")),
        ("source", json!("invented")),
        ("source", json!(null)),
    ];
    let mut events = Vec::new();
    for (seq, (path, value)) in (1_u64..).zip(&bad) {
        events.push(with(seq, &format!("bad-{seq}"), path, value.clone()));
    }
    let count = events.len() as u64;
    for odd in [json!(null), json!(7), json!("x"), json!([]), json!({}), settle(1, "wrong seq")] {
        events.push(odd);
    }
    events.push(settle(count + 7, "good-among-bad"));
    let answer = scene.hostile(1, &events);
    assert_eq!(answer["ack"]["last"], count + 7, "one bad event never blocks a good one");
    let codes = codes(&answer);
    assert_eq!(codes.len() as u64, count + 6, "{codes:?}");
    scene.check(PRICE);
}

#[test]
fn use_beyond_the_hold_counts_only_where_it_was_reported_and_priced_by_the_ledger() {
    let scene = Scene::new();
    let mut estimated = with(1, "estimated", "source", json!("estimated"));
    estimated["body"]["settle"]["usage"] = json!({"output_tokens": 9_000_000});
    estimated["body"]["settle"]["takes"][0]["held"] = json!(5);
    // What a node says that something costs is no price.
    let priced = with(2, "priced", "takes/0/used", json!(400_000_000));
    let free = with(3, "free", "takes/0/used", json!(0));
    let answer = scene.hostile(1, &[estimated, priced, free]);
    assert_eq!(codes(&answer), [""; 0]);
    scene.check(5 + 2 * PRICE);
}

#[test]
fn terms_buckets_and_times_of_nowhere_change_no_price() {
    let scene = Scene::new();
    let mut events = Vec::new();
    for (seq, (path, value)) in (1_u64..).zip([
        ("term", json!(0)),
        ("term", json!(u64::MAX)),
        ("lease", json!(u64::MAX)),
        ("takes/0/bucket", json!("no-such-bucket")),
        ("at", json!(i64::MAX)),
        ("at", json!(i64::MIN)),
        ("at", json!(NOW + 86_400_000)),
    ]) {
        events.push(with(seq, &format!("odd-{seq}"), path, value));
    }
    let count = events.len() as i64;
    let mut request = batch(HOSTILE, HOSTILE, 1, &events);
    request["now"] = json!(i64::MIN);
    assert_eq!(codes(&scene.ok(&request)), [""; 0]);
    let entries = scene.server.get("/v1/accounts/acme/entries").ok(200);
    let times = entries["data"].as_array().unwrap().iter().filter_map(|entry| entry["time"].as_str());
    // As instants: texts of them have as many digits as they need.
    let times: Vec<jiff::Timestamp> = times.map(|time| time.parse().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the ledger's own clock posts: {times:?}");
    scene.check(count * PRICE);
}

#[test]
fn grants_returns_and_wants_create_no_credits() {
    let scene = Scene::new();
    let ask = |ask: i64, free: i64, held: i64, returned: i64| json!({"bucket": "credits", "ask": ask, "free": free, "held": held, "returned": returned});
    let want = |account: &str, lease: u64, ask: Value, need: i64| {
        json!({"account": account, "lease": lease, "asks": [ask],
            "requests": [{"request": "w", "needs": [{"bucket": "credits", "need": need}]}]})
    };
    let granted = |answer: &Value| -> i64 {
        let grants = answer["grants"].as_array().cloned().unwrap_or_default();
        grants.iter().map(|grant| grant["granted"].as_i64().unwrap()).sum()
    };
    let mut request = call(HOSTILE);
    request["wants"] = json!([want("acme", 1, ask(1_000_000, 0, 0, 0), 1_000_000)]);
    assert!(granted(&scene.ok(&request)) >= 1_000_000);
    for odd in [
        want("acme", 1, ask(-1, 0, 0, 0), 1),
        want("acme", 1, ask(1, -1, 0, 0), 1),
        want("acme", 1, ask(1, 0, i64::MIN, 0), 1),
        want("acme", 1, ask(i64::MAX, 0, 0, 0), 1),
        want("acme", 2, ask(0, 0, 0, 0), -5),
        want("acme", 2, ask(0, 0, 0, 0), 0),
        want("acme", 2, ask(0, 0, 0, i64::MAX), 1),
        want("nobody", 1, ask(1, 0, 0, 0), 1),
        want("", 1, ask(1, 0, 0, 0), 1),
        json!({"account": "acme", "lease": 3, "asks": [{"bucket": "gold", "ask": 5, "free": 0, "held": 0, "returned": 0}]}),
    ] {
        request["wants"] = json!([odd]);
        assert!(granted(&scene.ok(&request)) <= 500_000_000, "{odd}");
    }
    request["wants"] = json!([]);
    for returned in [json!(i64::MAX), json!(-1), json!(i64::MIN), json!(900_000_000_000_i64)] {
        for (account, lease, bucket) in
            [("acme", 1, "credits"), ("acme", 77, "credits"), ("other", 1, "credits"), ("nobody", 1, "x")]
        {
            request["returns"] =
                json!([{"account": account, "lease": lease, "bucket": bucket, "returned": returned}]);
            scene.ok(&request);
        }
    }
    // It says that it gave everything back, and then reports what it used: that is charged, and nothing else.
    let answer = scene.hostile(1, &[settle(1, "after-return")]);
    assert_eq!(codes(&answer), [""; 0]);
    let mut ends = Vec::new();
    for (seq, (lease, used)) in (2_u64..).zip([(1, 0), (1, i64::MAX), (9, 5), (1, -1)]) {
        let used = json!([{"bucket": "credits", "used": used}]);
        ends.push(
            json!({"seq": seq, "body": {"lease_closed": {"account": "acme", "lease": lease, "used": used}}}),
        );
    }
    scene.hostile(2, &ends);
    scene.check(PRICE);
}

#[test]
fn the_leases_of_others_are_not_to_be_returned_or_ended() {
    let scene = Scene::new();
    let asks = json!([{"bucket": "credits", "ask": 5_000_000, "free": 0, "held": 0, "returned": 0}]);
    let mut request = call(HONEST);
    request["wants"] = json!([{"account": "acme", "lease": 1, "asks": asks, "requests": [
        {"request": "mine", "needs": [{"bucket": "credits", "need": 1_000_000}]}]}]);
    scene.ok(&request);
    let leased = || scene.server.get("/v1/accounts/acme/balance").ok(200)["leased"].clone();
    let before = leased();
    assert_ne!(before, "0.000000");
    let mut give = call(HOSTILE);
    give["returns"] = json!([{"account": "acme", "lease": 1, "bucket": "credits", "returned": 5_000_000}]);
    scene.ok(&give);
    let end = json!({"seq": 1, "body": {"lease_closed": {"account": "acme", "lease": 1,
        "used": [{"bucket": "credits", "used": 0}]}}});
    scene.hostile(1, &[end]);
    assert_eq!(leased(), before);
    scene.check(0);
}

#[test]
fn another_generation_closes_the_caller_alone() {
    let scene = Scene::new();
    let mut request = call(HOSTILE);
    request["generation"] = json!("of another ledger");
    request["cursor"] = json!(u64::MAX);
    let answer = scene.ok(&request);
    assert_eq!((&answer["node_open"], &answer["feed_reset"]), (&json!(false), &json!(true)), "{answer}");
    assert_eq!(scene.ok(&call(HONEST))["node_open"], true);
    assert_eq!(scene.ok(&call(HOSTILE))["node_open"], false, "closed is for ever");
    scene.check(0);
}

#[test]
fn huge_calls_are_refused_and_large_ones_bounded() {
    let scene = Scene::new();
    let many: Vec<Value> = (1..=2_001).map(|seq| settle(seq, &format!("m{seq}"))).collect();
    assert_eq!(scene.send(&batch(HOSTILE, HOSTILE, 1, &many)).status, 422);
    let refused: Vec<Value> = (1..=2_000).map(|seq| with(seq, "r", "account", json!("nobody"))).collect();
    let answer = scene.hostile(1, &refused);
    assert_eq!(codes(&answer).len(), 2_000);
    for (member, one, max) in [
        ("lookups", json!("0".repeat(64)), 64),
        ("refresh", json!("acme"), 256),
        ("wants", json!({"account": "acme", "lease": 1, "asks": []}), 512),
        ("returns", json!({"account": "a", "lease": 1, "bucket": "b", "returned": 1}), 256),
    ] {
        let mut request = call(HOSTILE);
        request[member] = json!(vec![one.clone(); max + 1]);
        assert_eq!(scene.send(&request).status, 422, "{member}");
        request[member] = json!(vec![one; max]);
        scene.ok(&request);
    }
    assert!(announced(&scene, 9 << 20).starts_with("HTTP/1.1 413 "));
    scene.check(0);
}

#[test]
fn bytes_that_are_no_call_are_refused_and_nothing_stands_still() {
    let scene = Scene::new();
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested = format!(r#"{{"v":1,"node":"{HOSTILE}","now":1,"x":{}}}"#, deep(1_000_000));
    let in_event = format!(
        r#"{{"v":1,"node":"{HOSTILE}","now":1,"batch":{{"lane":{},"first":1,"events":[{}]}}}}"#,
        lane(HOSTILE),
        deep(1_000_000)
    );
    let objects = format!(
        r#"{{"v":1,"node":"{HOSTILE}","now":1,"batch":{{"lane":{},"first":1,"events":[{}1{}]}}}}"#,
        lane(HOSTILE),
        r#"{"body":"#.repeat(500_000),
        "}".repeat(500_000)
    );
    for body in [
        nested.as_bytes(),
        in_event.as_bytes(),
        objects.as_bytes(),
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{\"v\":1e999}",
        b"{\"v\":1",
    ] {
        let reply = raw(&scene, body);
        assert!(matches!(reply.status, 200 | 400 | 422), "{reply:?}");
    }
    for version in [json!(0), json!(2), json!(-1), json!("1"), json!(u64::MAX), json!(null)] {
        let mut request = call(HOSTILE);
        request["v"] = version.clone();
        assert_eq!(scene.send(&request).status, 422, "{version}");
    }
    scene.check(0);
}

#[test]
fn a_body_that_trickles_holds_up_nobody() {
    let mut scene = Scene::new();
    let mut slow: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(scene.server.address).unwrap();
            let head = format!(
                "POST /v1/edge/sync HTTP/1.1\r\nhost: l\r\nauthorization: Bearer {EDGE}\r\n\
                 content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{{\"v\":1"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..10 {
        scene.honest();
    }
    // Each is ended by the ledger itself.
    let first = slow.first_mut().unwrap();
    first.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = first.read_to_end(&mut answer);
    assert!(began.elapsed() < Duration::from_secs(30), "it was never ended");
    assert!(answer.starts_with(b"HTTP/1.1 503"), "{}", String::from_utf8_lossy(&answer));
    drop(slow);
    scene.check(0);
}

#[test]
fn without_the_token_nothing_is_heard_and_nothing_is_told() {
    let scene = Scene::new();
    let body = batch(HOSTILE, HOSTILE, 1, &[settle(1, "x")]).to_string();
    let mut said = Vec::new();
    for token in [
        "Bearer ",
        "Bearer x",
        &bearer("edge-token-of-the-test"),
        &bearer("edge-token-of-the-testsX"),
        "Basic abc",
    ] {
        let headers = [("authorization", token), ("content-type", "application/json")];
        let reply = scene.server.call("POST", wire::SYNC_PATH, &headers, Some(body.as_bytes()));
        assert_eq!(reply.status, 401, "{reply:?}");
        if token.starts_with("Bearer ") && token.len() > 7 {
            said.push(reply.text);
        }
    }
    said.dedup();
    assert_eq!(said.len(), 1, "one message for every wrong token: {said:?}");
    scene.check(0);
}

/// What is answered to a call whose body is said to be this long. None of it is sent: bytes that nobody reads make
/// the kernel reset the connection, perhaps before the answer is read.
fn announced(scene: &Scene, length: usize) -> String {
    let mut stream = TcpStream::connect(scene.server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (path, authorization) = (wire::SYNC_PATH, bearer(EDGE));
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: ledger\r\nauthorization: {authorization}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn raw(scene: &Scene, body: &[u8]) -> Reply {
    let authorization = bearer(EDGE);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let reply = scene.server.call("POST", wire::SYNC_PATH, &headers, Some(body));
    assert!(reply.text.len() < ANSWER_BYTES_MAX, "{} bytes", reply.text.len());
    reply
}
