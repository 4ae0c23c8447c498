//! Charging from the access log: the call, and the command that makes it.

use std::cell::RefCell;
use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use wire::SyncRequest;

use crate::process::bursar;
use crate::support::{ADMIN, EDGE, Server, bearer};

const NODE: &str = "07070707070707070707070707070707";

thread_local! {
    /// The id of the account's key.
    static KEY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A server with an account and its key, and a node that has called once.
fn server() -> Server {
    let server = Server::start();
    server.account("acme", "starter");
    let key = server.post("/v1/accounts/acme/keys", &json!({})).ok(201);
    KEY.set(key["id"].as_str().unwrap().to_owned());
    let hello: SyncRequest =
        serde_json::from_value(json!({"v": wire::VERSION, "node": NODE, "now": 1_800_000_000_000_i64}))
            .unwrap();
    let body = serde_json::to_vec(&hello).unwrap();
    let edge = bearer(EDGE);
    let headers = [("authorization", edge.as_str()), ("content-type", "application/json")];
    assert_eq!(server.call("POST", wire::SYNC_PATH, &headers, Some(&body)).status, 200);
    server
}

/// 1,000 input and 2,000 output tokens at 10 and 30 credits per million: 0.07 credits.
fn report(request: &str, seq: u64) -> Value {
    json!({"request": request, "outcome": "settled", "operation": "chat", "account": "acme", "key": KEY.with_borrow(String::clone),
        "plan": "starter", "model": "small", "charge": "0.070000", "source": "reported", "status": "complete",
        "usage": {"input_tokens": 1000, "output_tokens": 2000}, "lease": 1,
        "takes": [{"bucket": "credits", "held": 70000, "used": 70000}], "at": 1_700_000_000_000_i64, "term": 1,
        "lane": format!("{NODE}/0/1"), "seq": seq})
}

/// A line as Envoy's JSON format writes it.
fn line(report: &Value) -> String {
    json!({"start": "2026-11-20T00:00:00Z", "status": 200, "bursar": report.to_string()}).to_string() + "\n"
}

fn run(server: &Server, log: &str, flags: &[&str]) -> Output {
    let mut child = bursar()
        .args(["reconcile", "--access-log", "-"])
        .args(flags)
        .env("BURSAR_LEDGER", format!("http://{}", server.address))
        .env("BURSAR_ADMIN_TOKEN", ADMIN)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn summary(server: &Server, log: &str, flags: &[&str]) -> (Option<i32>, Value) {
    let output = run(server, log, &[flags, &["--json"]].concat());
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}")))
}

fn charges(server: &Server) -> Vec<Value> {
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let entries = entries["data"].as_array().unwrap().clone();
    entries.into_iter().filter(|entry| entry["kind"] == "charge").collect()
}

#[test]
fn a_log_is_charged_once_however_often_it_is_read() {
    let server = server();
    let log: String = (1..=450).map(|seq| line(&report(&format!("req_{seq}"), seq))).collect();
    let twice = line(&report("req_1", 1));
    let log = format!("not ours\n{log}{twice}{}", &line(&report("cut", 451))[..120]);
    let (status, dry) = summary(&server, &log, &["--dry-run"]);
    assert_eq!(
        (status, &dry["posted"], &dry["known"], &dry["charged"]),
        (Some(0), &json!(450), &json!(1), &json!("31.500000")),
        "{dry}"
    );
    assert_eq!(charges(&server).len(), 0, "a dry run changes nothing");
    let (status, first) = summary(&server, &log, &[]);
    assert_eq!(
        (status, &first["posted"], &first["unreadable"]),
        (Some(0), &json!(450), &json!(1)),
        "{first}"
    );
    assert_eq!(first["lines"], 453, "{first}");
    let (status, again) = summary(&server, &log, &[]);
    assert_eq!((status, &again["posted"], &again["known"]), (Some(0), &json!(0), &json!(451)), "{again}");
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    assert_eq!(balance["available"], "468.500000", "{balance}");
    let charges = charges(&server);
    assert!(charges.iter().all(|charge| charge["recovered"] == true), "{charges:?}");
    let text = String::from_utf8(run(&server, &log, &[]).stdout).unwrap();
    assert!(text.contains("known already  451"), "{text}");
}

#[test]
fn what_the_ledger_does_not_know_is_refused_with_its_reason() {
    let server = server();
    let mut nobody = report("req_1", 1);
    nobody["account"] = json!("nobody");
    let mut stranger = report("req_2", 2);
    stranger["lane"] = json!(format!("{}/0/1", "9".repeat(32)));
    let mut negative = report("req_3", 3);
    negative["takes"][0]["held"] = json!(-1);
    let mut unreadable = report("req_4", 4);
    unreadable["usage"] = json!({"input_tokens": -5});
    let mut keyless = report("req_6", 6);
    keyless["key"] = json!("key_of_another");
    let mut placeless = report("req_7", 7);
    placeless["lane"].take();
    let released = json!({"request": "req_5", "outcome": "released", "operation": "chat", "plan": "starter"});
    let log: String =
        [&nobody, &stranger, &negative, &unreadable, &keyless, &placeless, &released, &report("good", 5)]
            .into_iter()
            .map(line)
            .collect();
    let (status, seen) = summary(&server, &log, &[]);
    assert_eq!(status, Some(1), "{seen}");
    assert_eq!(
        seen["reasons"],
        json!({"unknown_account": 1, "unknown_node": 1, "unknown_key": 1, "invalid": 1}),
        "{seen}"
    );
    assert_eq!(
        (&seen["posted"], &seen["nothing"], &seen["unreadable"]),
        (&json!(1), &json!(1), &json!(2)),
        "{seen}"
    );
    assert_eq!(charges(&server).len(), 1, "bad ones block no good one");
    let text = String::from_utf8(run(&server, &log, &[]).stdout).unwrap();
    assert!(text.contains("refused: req_2: unknown_node"), "{text}");
    let (_, after_restore) = summary(&server, &log, &["--unknown-nodes"]);
    assert_eq!(after_restore["posted"], 2, "{after_restore}");
}

#[test]
fn what_a_client_wrote_into_the_log_charges_nothing() {
    let server = server();
    let forged = report("forged", 1).to_string();
    let huge = report(&"r".repeat(60_000), 2);
    let mut log = json!({"agent": forged, "bursar": null}).to_string() + "\n";
    log += &(json!({"agent": forged, "bursar": report("true", 3).to_string()}).to_string() + "\n");
    log += &line(&huge).repeat(100);
    let (status, seen) = summary(&server, &log, &[]);
    assert_eq!((status, &seen["posted"], &seen["unreadable"]), (Some(0), &json!(1), &json!(100)), "{seen}");
    let charges = charges(&server);
    assert!(charges.len() == 1 && charges[0]["request_id"] == "true", "{charges:?}");
}

#[test]
fn the_call_is_bounded_and_for_the_admin_alone() {
    let server = server();
    let body = json!({"reports": [report("req_1", 1)]}).to_string();
    let edge = bearer(EDGE);
    let headers = [("authorization", edge.as_str()), ("content-type", "application/json")];
    let refused = server.call("POST", "/v1/reconcile", &headers, Some(body.as_bytes()));
    assert_eq!(refused.status, 403, "{refused:?}");
    let many: Vec<Value> = (0..501).map(|seq| report("r", seq)).collect();
    let reply = server.post("/v1/reconcile", &json!({"reports": many}));
    assert_eq!(reply.problem(422, "invalid_request")["member"], "reports");
    let unknown = json!({"reports": [], "force": true});
    assert_eq!(server.post("/v1/reconcile", &unknown).status, 422);
    assert_eq!(server.post("/v1/reconcile", &json!({"reports": []})).ok(200), json!({"data": []}));
    let odd = json!({"reports": [null, 7, "x", [], {}, {"request": 5}]});
    let answer = server.post("/v1/reconcile", &odd).ok(200);
    let results = answer["data"].as_array().unwrap();
    assert!(results.len() == 6 && results.iter().all(|one| one["result"] == "unreadable"), "{answer}");
}

#[test]
fn bad_input_is_said() {
    let server = server();
    let missing = bursar()
        .args(["reconcile", "--access-log", "no-such-file"])
        .env("BURSAR_ADMIN_TOKEN", ADMIN)
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2), "{missing:?}");
    let (status, empty) = summary(&server, "", &[]);
    assert_eq!((status, &empty["lines"]), (Some(0), &json!(0)));
    let mut rest = report("", 1);
    rest.as_object_mut().unwrap().remove("request");
    // As the filter writes it: the request first.
    let text = format!("200 {{\"request\":\"req_1\",{}\n", &rest.to_string()[1..]);
    let (status, seen) = summary(&server, &text, &[]);
    assert_eq!((status, &seen["unreadable"]), (Some(1), &json!(1)), "a text log without --mark: {seen}");
    let (status, seen) = summary(&server, &text, &["--mark", "200 "]);
    assert_eq!((status, &seen["posted"]), (Some(0), &json!(1)), "{seen}");
}
