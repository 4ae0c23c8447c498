//! Webhooks, to a receiver that fails, hangs, hangs up, and comes back.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ledger::engine::Delivery;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::process::Process;
use crate::support::Server;

/// What the receiver does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Answers(u16),
    /// Answers long after anybody waits.
    Hangs,
    HangsUp,
    Redirects,
    /// Answers 204 to a process that stands still and is killed before it hears of it.
    Kills(Pid),
}

/// A call as it came.
#[derive(Clone, Debug)]
struct Call {
    id: String,
    timestamp: i64,
    signature: String,
    body: String,
}

/// An HTTP server of few words: what it does is said ahead; then it answers 204.
struct Receiver {
    address: SocketAddr,
    does: Arc<Mutex<VecDeque<Does>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Receiver {
    fn start(does: &[Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let does = Arc::new(Mutex::new(VecDeque::from(does.to_vec())));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (next, kept) = (Arc::clone(&does), Arc::clone(&calls));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (next, kept) = (Arc::clone(&next), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream.unwrap(), address, &next, &kept));
            }
        });
        Self { address, does, calls }
    }

    fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn then(&self, does: &[Does]) {
        self.does.lock().unwrap().extend(does);
    }
}

fn serve(stream: TcpStream, own: SocketAddr, next: &Mutex<VecDeque<Does>>, kept: &Mutex<Vec<Call>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut headers = std::collections::BTreeMap::new();
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        assert!(line.starts_with("POST /hooks "), "{line}");
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let header = |name: &str| headers[name].clone();
        assert_eq!(header("content-type"), "application/json");
        let call = Call {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp").parse().unwrap(),
            signature: header("webhook-signature"),
            body: String::from_utf8(body).unwrap(),
        };
        let does = next.lock().unwrap().pop_front().unwrap_or(Does::Answers(204));
        // Who waits for the call of a process that is killed waits for its end.
        let mut call = Some(call);
        if !matches!(does, Does::Kills(_)) {
            kept.lock().unwrap().extend(call.take());
        }
        let said = match does {
            Does::Answers(status) => format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n"),
            Does::Redirects => {
                format!("HTTP/1.1 302 Found\r\nlocation: http://{own}/hooks\r\ncontent-length: 0\r\n\r\n")
            }
            Does::Hangs => {
                std::thread::sleep(Duration::from_secs(20));
                return;
            }
            Does::HangsUp => return,
            Does::Kills(sender) => {
                kill_process(sender, Signal::STOP).unwrap();
                "HTTP/1.1 204 Said\r\n\r\n".to_owned()
            }
        };
        writer.write_all(said.as_bytes()).unwrap();
        if let Does::Kills(sender) = does {
            kill_process(sender, Signal::KILL).unwrap();
            kept.lock().unwrap().extend(call);
        }
    }
}

impl Call {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether one of its signatures is by a secret, reckoned as the specification says.
    fn is_signed_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.signature.split(' ').any(|signature| signature == expected)
    }
}

/// Three attempts more than usual in a second, so that a test sees all of them.
fn quick(waits: &[u64]) -> Delivery {
    Delivery {
        look_every: Duration::from_millis(20),
        answer_time_max: Duration::from_millis(400),
        waits: waits.iter().copied().map(Duration::from_millis).collect(),
    }
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what} has not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn create(server: &Server, body: &Value) -> (String, String) {
    let shown = server.post("/v1/webhooks", body);
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    let shown = shown.ok(201);
    (shown["id"].as_str().unwrap().to_owned(), shown["secret"].as_str().unwrap().to_owned())
}

fn deliveries(server: &Server, endpoint: &str, query: &str) -> Vec<Value> {
    let list = server.get(&format!("/v1/webhooks/{endpoint}/deliveries{query}")).ok(200);
    list["data"].as_array().unwrap().clone()
}

#[test]
fn a_receiver_that_fails_hangs_and_hangs_up_gets_the_event_in_the_end() {
    let receiver = Receiver::start(&[Does::Answers(500), Does::Hangs, Does::HangsUp, Does::Redirects]);
    let server = Server::delivering(quick(&[20, 20, 20, 20, 20]));
    let (endpoint, secret) = create(&server, &json!({"url": receiver.url(), "events": ["plan.changed"]}));
    server.account("acme", "starter");
    server.post("/v1/accounts/acme/plan", &json!({"plan": "pro", "when": "now"})).ok(200);
    until("the delivery", || !deliveries(&server, &endpoint, "?state=delivered").is_empty());

    let calls = receiver.calls();
    assert_eq!(calls.len(), 5, "{calls:?}");
    assert!(calls.iter().all(|call| call.is_signed_by(&secret)), "{calls:?}");
    assert!(calls.iter().all(|call| call.id == calls[0].id && call.body == calls[0].body), "{calls:?}");
    let body = calls[0].json();
    assert_eq!((&body["type"], &body["id"]), (&json!("plan.changed"), &json!(calls[0].id)));
    assert_eq!(body["data"], json!({"account": "acme", "from": "starter", "to": "pro"}));
    let listed = deliveries(&server, &endpoint, "");
    assert_eq!(listed.len(), 1, "only what the endpoint wants is queued: {listed:?}");
    assert_eq!((&listed[0]["attempts"], &listed[0]["status"]), (&json!(5), &json!(204)));
    let events = server.get("/v1/events?account=acme").ok(200);
    assert_eq!(events["data"][0], body);
    assert_eq!(events["data"][1]["type"], "account.opened");
    let opened = server.get("/v1/events?type=account.opened&limit=1").ok(200);
    assert_eq!((&opened["data"][0], &opened["has_more"]), (&events["data"][1], &json!(false)));
}

#[test]
fn an_answer_that_nobody_noted_is_had_again_under_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    let receiver = Receiver::start(&[]);
    let ledger = Process::start(&store, "info", &[]);
    let endpoint = ledger.admin("POST", "/v1/webhooks", Some(&json!({"url": receiver.url()}))).ok(201);
    receiver.then(&[Does::Kills(ledger.pid())]);
    ledger.admin("POST", "/v1/accounts", Some(&json!({"id": "a", "plan": "free"}))).ok(201);
    until("the answer to a process that is no more", || receiver.calls().len() == 1);
    // It has been killed: waiting for it gives no status of its own.
    assert_eq!(ledger.end(Signal::KILL).0, None);

    let ledger = Process::start(&store, "info", &[]);
    let path = format!("/v1/webhooks/{}/deliveries", endpoint["id"].as_str().unwrap());
    let delivered = || ledger.admin("GET", &format!("{path}?state=delivered"), None).ok(200)["data"].clone();
    until("the delivery", || !delivered().as_array().unwrap().is_empty());
    let calls = receiver.calls();
    let same = |call: &Call| (call.id.clone(), call.body.clone());
    assert_eq!((calls.len(), same(&calls[0])), (2, same(&calls[1])));
    assert!(calls.iter().all(|call| call.is_signed_by(endpoint["secret"].as_str().unwrap())));
    assert_eq!(delivered()[0]["attempts"], 1, "the one that was noted");
}

#[test]
fn what_was_given_up_is_listed_and_delivered_anew_on_demand() {
    let receiver = Receiver::start(&[Does::Answers(503); 4]);
    let server = Server::delivering(quick(&[10]));
    let (endpoint, _) = create(&server, &json!({"url": receiver.url()}));
    server.account("a", "free");
    server.account("b", "free");
    until("the end of attempts", || deliveries(&server, &endpoint, "?state=dead").len() == 2);
    assert_eq!(receiver.calls().len(), 4);
    let dead = deliveries(&server, &endpoint, "?state=dead&limit=1");
    assert_eq!((&dead[0]["attempts"], &dead[0]["status"]), (&json!(2), &json!(503)));
    assert!(dead[0]["error"].as_str().unwrap().contains("503") && dead[0]["due_at"].is_null(), "{dead:?}");

    let path = format!("/v1/webhooks/{endpoint}/redeliveries");
    let one = json!({"delivery": dead[0]["id"]});
    assert_eq!(server.post(&path, &one).ok(200)["queued"], 1);
    until("the one", || deliveries(&server, &endpoint, "?state=delivered").len() == 1);
    assert_eq!(server.post(&path, &json!({"since": "2200-01-01T00:00:00Z"})).ok(200)["queued"], 0);
    assert_eq!(server.post(&path, &json!({})).ok(200)["queued"], 1);
    until("the other", || deliveries(&server, &endpoint, "?state=delivered").len() == 2);
    // What was delivered can be had again too.
    assert_eq!(server.post(&path, &one).ok(200)["queued"], 1);
    until("the one again", || receiver.calls().len() == 7);
    server.post(&path, &json!({"delivery": "999"})).problem(404, "delivery_not_found");
    server.post(&path, &json!({"delivery": "x"})).problem(404, "delivery_not_found");
    let metrics = server.get("/metrics").text;
    assert!(metrics.contains("bursar_ledger_webhook_attempts_total{result=\"dead\"} 2"), "{metrics}");
}

#[test]
fn a_receiver_that_hangs_holds_up_no_other() {
    let (slow, quick_one) = (Receiver::start(&[Does::Hangs; 40]), Receiver::start(&[]));
    let server = Server::delivering(Delivery { answer_time_max: Duration::from_secs(3), ..quick(&[60_000]) });
    let (slow_id, _) = create(&server, &json!({"url": slow.url()}));
    create(&server, &json!({"url": quick_one.url()}));
    for n in 0..8 {
        server.account(&format!("a{n}"), "free");
    }
    until("all at the quick one", || quick_one.calls().len() == 8);
    assert!(slow.calls().len() <= 4, "no more calls at a time than that");
    assert_eq!(deliveries(&server, &slow_id, "?state=pending").len(), 8, "none has come, none is given up");
    // What was under way goes with the endpoint.
    let path = format!("/v1/webhooks/{slow_id}");
    server.write("DELETE", &path, &[], "").ok(200);
    server.get(&format!("{path}/deliveries")).problem(404, "webhook_endpoint_not_found");
    assert_eq!(server.get("/v1/webhooks").ok(200)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_receiver_that_is_gone_is_left_alone() {
    let receiver = Receiver::start(&[Does::Answers(410)]);
    let server = Server::delivering(quick(&[10, 10]));
    let (endpoint, _) = create(&server, &json!({"url": receiver.url()}));
    server.account("a", "free");
    until("its end", || server.get("/v1/webhooks").ok(200)["data"][0]["enabled"] == false);
    let reason = server.get("/v1/webhooks").ok(200)["data"][0]["disabled_reason"].clone();
    assert!(reason.as_str().unwrap().contains("410"), "{reason}");
    server.account("b", "free");
    assert_eq!(deliveries(&server, &endpoint, "").len(), 1, "nothing is queued for it");
    let path = format!("/v1/webhooks/{endpoint}");
    let enabled = server.write("PATCH", &path, &[], r#"{"enabled": true}"#).ok(200);
    assert_eq!((&enabled["enabled"], enabled.get("disabled_reason")), (&json!(true), None));
    server.account("c", "free");
    until("the next", || deliveries(&server, &endpoint, "?state=delivered").len() == 1);
}

#[test]
fn secrets_are_shown_once_and_both_sign_for_a_while() {
    let receiver = Receiver::start(&[]);
    let server = Server::delivering(quick(&[]));
    let body = json!({"url": receiver.url(), "description": "mail"});
    let headers = [("idempotency-key", "w")];
    let shown = server.post_with("/v1/webhooks", &headers, &body).ok(201);
    let again = server.post_with("/v1/webhooks", &headers, &body);
    again.problem(409, "secret_already_shown");
    let (endpoint, first) = (shown["id"].as_str().unwrap(), shown["secret"].as_str().unwrap());
    let list = server.get("/v1/webhooks");
    assert_eq!(list.ok(200)["data"].as_array().unwrap().len(), 1);
    assert!(!list.text.contains("whsec_") && !again.text.contains("whsec_"), "{list:?}");

    let path = format!("/v1/webhooks/{endpoint}");
    let rotate = |body: Value| {
        let rotated = server.post(&format!("{path}/secret"), &body).ok(201);
        (rotated["secret"].as_str().unwrap().to_owned(), rotated)
    };
    let test = |count: usize| {
        let sent = server.post(&format!("{path}/test"), &json!({})).ok(201);
        until("the test", || receiver.calls().len() == count);
        let call = receiver.calls().pop().unwrap();
        assert_eq!((call.json(), &call.id), (sent.clone(), &sent["id"].as_str().unwrap().to_owned()));
        assert_eq!((&sent["type"], &sent["data"]["endpoint"]), (&json!("webhook.test"), &json!(endpoint)));
        call
    };
    assert!(test(1).is_signed_by(first));
    let (second, rotated) = rotate(json!({}));
    assert!(rotated["old_secret_until"].is_string(), "{rotated}");
    let call = test(2);
    assert!(call.is_signed_by(first) && call.is_signed_by(&second), "{call:?}");
    let (third, rotated) = rotate(json!({"overlap_seconds": 0}));
    assert_eq!(rotated.get("old_secret_until"), None);
    let call = test(3);
    assert!(call.is_signed_by(&third) && !call.is_signed_by(first) && !call.is_signed_by(&second));
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(rotate(json!({"secret": own})).0, own);
    server.post(&format!("{path}/secret"), &json!({"secret": "abc"})).problem(422, "invalid_request");
    server.post("/v1/webhooks/ep_x/secret", &json!({})).problem(404, "webhook_endpoint_not_found");
}

#[test]
fn deliveries_wait_while_an_endpoint_is_disabled() {
    let receiver = Receiver::start(&[Does::Answers(500)]);
    let server = Server::delivering(quick(&[300, 10]));
    let (endpoint, _) = create(&server, &json!({"url": receiver.url()}));
    server.account("a", "free");
    until("the first attempt", || receiver.calls().len() == 1);
    let path = format!("/v1/webhooks/{endpoint}");
    server.write("PATCH", &path, &[], r#"{"enabled": false}"#).ok(200);
    receiver.then(&[Does::Answers(200)]);
    until("its time", || {
        deliveries(&server, &endpoint, "?state=pending").first().is_some_and(|delivery| {
            let due: jiff::Timestamp = delivery["due_at"].as_str().unwrap().parse().unwrap();
            due < jiff::Timestamp::now() - Duration::from_millis(200)
        })
    });
    assert_eq!(receiver.calls().len(), 1);
    server.write("PATCH", &path, &[], r#"{"enabled": true}"#).ok(200);
    until("the second attempt", || deliveries(&server, &endpoint, "?state=delivered").len() == 1);
}

#[test]
fn endpoints_that_cannot_work_are_refused() {
    let server = Server::start();
    let ftp = json!({"url": "ftp://example.com/x"});
    let url = "https://example.com/hooks";
    for (body, member) in [
        (ftp.clone(), "url"),
        (json!({"url": "/hooks"}), "url"),
        (json!({"url": "https://user:secret@example.com/"}), "url"),
        (json!({"url": format!("https://example.com/{}", "x".repeat(2_048))}), "url"),
        (json!({"url": url, "events": ["credits.gone"]}), "events"),
        (json!({"url": url, "secret": "whsec_YWJj"}), "secret"),
        (json!({"url": url, "description": "x".repeat(129)}), "description"),
        (json!({"url": url, "colour": "red"}), "colour"),
    ] {
        assert_eq!(
            server.post("/v1/webhooks", &body).problem(422, "invalid_request")["member"],
            member,
            "{body}"
        );
    }
    for _ in 0..16 {
        create(&server, &json!({"url": url}));
    }
    server.post("/v1/webhooks", &json!({"url": url})).problem(409, "too_many_endpoints");
    server.write("PATCH", "/v1/webhooks/none", &[], "{}").problem(404, "webhook_endpoint_not_found");
    let first = server.get("/v1/webhooks").ok(200)["data"][0]["id"].as_str().unwrap().to_owned();
    server
        .write("PATCH", &format!("/v1/webhooks/{first}"), &[], &ftp.to_string())
        .problem(422, "invalid_request");
}
