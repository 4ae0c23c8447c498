//! Health, metrics, graceful end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::support::{ADMIN, Server};

#[test]
fn probes_answer() {
    let server = Server::start();
    assert_eq!(server.call("GET", "/healthz", &[], None).text, "ok\n");
    assert_eq!(server.call("GET", "/readyz", &[], None).text, "ready\n");
}

#[test]
fn metrics_count_by_route_template() {
    let server = Server::start();
    server.account("acme", "free");
    server.get("/v1/accounts/acme");
    server.get("/v1/accounts/none");
    server.get("/any/path");
    server.call("BREW", "/v1/accounts", &[], None);
    let reply = server.call("GET", "/metrics", &[], None);
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    for line in [
        "bursar_ledger_http_requests_total{route=\"/v1/accounts/{account}\",method=\"GET\",status=\"200\"} 1",
        "bursar_ledger_http_requests_total{route=\"/v1/accounts/{account}\",method=\"GET\",status=\"404\"} 1",
        "bursar_ledger_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "bursar_ledger_accounts 1",
        "bursar_ledger_up 1",
    ] {
        assert!(reply.text.lines().any(|found| found == line), "{line}\n{}", reply.text);
    }
    assert!(reply.text.contains("method=\"other\""), "{}", reply.text);
    for name in ["acme", "none", "BREW", "/any/path"] {
        assert!(!reply.text.contains(name), "{name} is in a label: {}", reply.text);
    }
    assert!(reply.text.ends_with("# EOF\n"));
}

#[test]
fn a_call_under_way_is_ended_and_answered() {
    let mut server = Server::start();
    server.account("acme", "free");
    let body = json!({"plan": "free", "id": "late"}).to_string();
    let (first, second) = body.split_at(5);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: ledger\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body once the handler reads it: from here on the call is under way.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{interim:?}");
    stream.write_all(first.as_bytes()).unwrap();
    let address = server.address;
    let stopping = std::thread::spawn(move || {
        server.stop();
        server
    });
    // The listener closes first; then the rest of the body comes.
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(second.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    stopping.join().unwrap();
}
