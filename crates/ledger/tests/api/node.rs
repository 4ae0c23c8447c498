//! An Envoy, as far as these tests need one: it settles requests, one call each.

use serde_json::{Value, json};

use crate::support::Server;

/// A node with one lane.
pub struct Node<'a> {
    server: &'a Server,
    next: u64,
}

impl<'a> Node<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self { server, next: 1 }
    }

    /// Settles a request of so many input tokens; gives the entry of its charge.
    pub fn charge(&mut self, account: &str, request: &str, tokens: u64) -> String {
        self.settle(account, request, &json!({"usage": {"input_tokens": tokens}}));
        let found = self.server.get(&format!("/v1/accounts/{account}/entries?limit=1")).ok(200);
        assert_eq!(found["data"][0]["request_id"], request, "{found}");
        found["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Settles a request; `with` replaces members of the settlement.
    pub fn settle(&mut self, account: &str, request: &str, with: &Value) {
        let mut settle = json!({
            "request": request, "account": account, "key": "key_test", "term": 1, "model": "small",
            "operation": "chat", "outcome": "settled", "source": "reported", "status": "complete",
            "usage": {"input_tokens": 1}, "lease": 1, "takes": [], "at": 1_800_000_000_000_u64,
        });
        settle.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
        let event = json!({"seq": self.next, "body": {"settle": settle}});
        let lane = json!({"node": "07".repeat(16), "slot": 0, "incarnation": 1});
        let batch = json!({"lane": lane, "first": self.next, "events": [event]});
        let call = json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 1_800_000_000_000_u64, "batch": batch});
        let answer = self.server.edge(&call).ok(200);
        assert_eq!(answer["ack"]["last"], self.next, "{answer}");
        assert_eq!(answer["ack"].get("rejected"), None, "{answer}");
        self.next += 1;
    }
}
