//! What `explain` says of a request, against what becomes of it: the real edge core, synced with the server.

use std::collections::BTreeMap;
use std::rc::Rc;

use edge::config::Config;
use edge::route::Operation;
use edge::route::dialect::Dialect;
use edge::{CallAnswer, CallKind, Origin};
use jiff::Timestamp;
use serde_json::{Value, json};
use sim::{Node, Seen};
use tariff::Catalog;

use crate::support::{EDGE, Server, bearer};

/// Members of a refusal that both tell.
const TOLD: [&str; 11] = [
    "code",
    "detail",
    "limit_source",
    "limit",
    "required",
    "available",
    "affordable_tokens",
    "resets_at",
    "unlocks",
    "top_up_url",
    "contact_url",
];

/// A server and an Envoy of it.
struct Scene {
    server: Server,
    node: Node,
    accounts: usize,
    /// How often each verdict was given.
    seen: BTreeMap<String, usize>,
}

impl Scene {
    fn new(server: Server, catalog: &Catalog) -> Self {
        let flat = catalog.models.iter().filter(|model| model.prices.is_flat());
        let route = |name: &str| json!({"path": format!("/flat/{name}"), "action": {"flat": name}});
        let routes: Vec<Value> = flat.map(|model| route(&model.name)).collect();
        let config = json!({"ledger": {"cluster": "l"}, "headers": "hold", "routes": routes});
        let config = Config::parse(config.to_string().as_bytes()).unwrap();
        let begin_us = 1_000_000_000;
        let base_ms = Timestamp::now().as_millisecond() - 1_000_000;
        let node = Node::new(1, Rc::new(config), begin_us, base_ms, 1);
        Self { server, node, accounts: 0, seen: BTreeMap::new() }
    }

    /// An account with a key that may use such models; gives both names.
    fn account(&mut self, plan: &str, models: Option<&str>) -> (String, String) {
        self.accounts += 1;
        let id = format!("a{}", self.accounts);
        self.server.account(&id, plan);
        let digest = edge::request::credential::digest(format!("key-{id}").as_bytes()).unwrap();
        let mut key = json!({"digest": digest.to_string()});
        if let Some(models) = models {
            key["models"] = json!([models]);
        }
        let key = self.server.post(&format!("/v1/accounts/{id}/keys"), &key).ok(201);
        (id, key["id"].as_str().unwrap().to_owned())
    }

    /// Makes the calls that the node wants made until there are none.
    fn sync(&mut self) {
        let authorization = bearer(EDGE);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        for _ in 0..100 {
            self.node.run();
            let calls = std::mem::take(&mut self.node.outbox);
            if calls.is_empty() {
                return;
            }
            for call in calls {
                let method = if matches!(call.kind, CallKind::Sync(_)) { "POST" } else { "GET" };
                let body = (method == "POST").then_some(&*call.body);
                let reply = self.server.call(method, &call.path, &headers, body);
                let marked = reply.header(wire::MARKER_HEADER).is_some();
                let answer = CallAnswer { status: reply.status.into(), marked, body: reply.text.as_bytes() };
                self.node.hear(call.worker, call.kind, Some(answer));
            }
        }
        panic!("calls never end");
    }

    /// Sends a request and waits until it is decided; it ends without having been answered.
    fn send(&mut self, account: &str, operation: &Operation, body: &Value) -> Seen {
        let stream = self.open(account, operation, body);
        let seen = self.node.streams[stream].seen.clone().unwrap();
        self.node.log(stream, Origin::Host);
        self.node.tick(0);
        self.sync();
        seen
    }

    /// Sends a request that is forwarded and answered.
    fn use_up(&mut self, account: &str, operation: &Operation, body: &Value, answer: &Value) {
        let stream = self.open(account, operation, body);
        self.node.answer(stream, 200, &answer.to_string());
        self.node.now_us += 2_000_000;
        self.node.tick(0);
        self.sync();
    }

    /// Opens a stream with a request and waits until it is decided.
    fn open(&mut self, account: &str, operation: &Operation, body: &Value) -> usize {
        let (path, body) = match operation {
            Operation::Flat(name) => (format!("/flat/{name}"), String::new()),
            Operation::Meter(Dialect::Items) => ("/v1/images/generations".to_owned(), body.to_string()),
            _ => ("/v1/chat/completions".to_owned(), body.to_string()),
        };
        let (authorization, length) = (bearer(&format!("key-{account}")), body.len().to_string());
        let headers = [
            (":method", "POST"),
            (":path", path.as_str()),
            ("authorization", authorization.as_str()),
            ("content-length", length.as_str()),
        ];
        let stream = self.node.open(0, &headers, body.is_empty(), body.clone().into_bytes());
        if !body.is_empty() {
            self.node.body(stream);
        }
        for _ in 0..40 {
            self.sync();
            if self.node.streams[stream].seen.is_some() {
                break;
            }
            self.node.now_us += 50_000;
            self.node.tick(0);
        }
        stream
    }

    fn explain(&self, account: &str, question: &Value) -> Value {
        self.server.post(&format!("/v1/accounts/{account}/explain"), question).ok(200)
    }

    /// Asks, then tries; the two must agree. Gives the explanation.
    fn check(&mut self, (account, key): (&str, &str), operation: &Operation, body: &Value) -> Value {
        let word = match operation {
            Operation::Flat(_) => "flat",
            Operation::Meter(Dialect::Items) => "items",
            _ => "openai_chat",
        };
        let question = json!({"key": key, "operation": word, "body": body});
        let told = self.explain(account, &question);
        let mut account = account.to_owned();
        let mut seen = self.send(&account, operation, body);
        if matches!(&seen, Seen::Reply(429, reply) if reply["limit_source"] == "rate") {
            // Rates are not explained: the same by an account that has rested.
            let plan = told["plan"].as_str().unwrap();
            account = self.account(plan, None).0;
            seen = self.send(&account, operation, body);
        }
        let verdict = match &seen {
            Seen::Forwarded => {
                assert_eq!((&told["allowed"], told.get("refusal")), (&json!(true), None), "{body}: {told}");
                told["charged_as"].to_string() + if told["clipped_to"].is_null() { "" } else { " clipped" }
            }
            Seen::Reply(status, reply) => {
                let told = &told["refusal"];
                assert_eq!(told["status"], *status, "{body}: {told} {reply}");
                for member in TOLD {
                    let (told, reply) = (bare(&told[member]), bare(&reply[member]));
                    assert_eq!(told, reply, "{member} of {body}");
                }
                format!("{} {}", reply["code"], reply["limit_source"])
            }
        };
        *self.seen.entry(verdict).or_default() += 1;
        told
    }
}

/// Without members that are null or empty: one side leaves them out.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => items.iter().map(bare).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), bare(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Bodies of every kind for a model: bounds, choices, and each parameter written in many ways.
fn bodies(catalog: &Catalog, model: &str) -> Vec<Value> {
    let with = |path: &str, value: Value| {
        let mut body = json!({"model": model, "prompt": "hi"});
        let pointer = path.split('.').fold(&mut body, |within, step| &mut within[step]);
        *pointer = value;
        body
    };
    let mut bodies = vec![
        with("user", json!("u")),
        with("max_tokens", json!(100)),
        with("max_tokens", json!(2_000_000_000_u64)),
        with("n", json!(4)),
        with("n", json!("4")),
    ];
    for parameter in &catalog.parameters {
        for value in [
            json!("2"),
            json!(3),
            json!("2048x2048 "),
            json!(0),
            json!(1_000_000),
            json!("high"),
            json!([1, 2, 3, 4, 5, 6, 7]),
            json!(1.5),
        ] {
            bodies.push(with(&parameter.member, value));
        }
    }
    bodies
}

fn page(name: &str) -> (Server, Catalog) {
    let path = format!("{}/../../envoy/catalogs/{name}", env!("CARGO_MANIFEST_DIR"));
    (Server::page(name), ledger::config::load_catalog(path.as_ref()).unwrap())
}

/// Plays every model of some plans; gives how often each verdict was given.
fn play((server, catalog): (Server, Catalog), plans: &[&str]) -> BTreeMap<String, usize> {
    let mut scene = Scene::new(server, &catalog);
    for plan in plans {
        let mut told = BTreeMap::new();
        for model in &catalog.models {
            // One model in full, the others of its kind with what tells them apart.
            let kind = (model.variants.len(), model.stated.len(), model.prices.is_flat());
            let all = bodies(&catalog, &model.name);
            let bodies = if told.insert(kind, ()).is_none() { &all[..] } else { &all[..3] };
            for operation in [Dialect::OpenaiChat, Dialect::Items].map(Operation::Meter) {
                let (account, key) = scene.account(plan, None);
                for body in bodies {
                    scene.check((&account, &key), &operation, body);
                }
            }
            if model.prices.is_flat() {
                let (account, key) = scene.account(plan, None);
                scene.check(
                    (&account, &key),
                    &Operation::Flat(model.name.clone()),
                    &json!({"model": model.name}),
                );
            }
        }
        let (account, key) = scene.account(plan, Some("none-of-them"));
        let first = json!({"model": catalog.models[0].name});
        for body in [first, json!({"model": "unheard-of"}), json!({"prompt": "hi"})] {
            scene.check((&account, &key), &Operation::Meter(Dialect::OpenaiChat), &body);
        }
    }
    scene.seen
}

#[test]
fn explanations_are_what_becomes_of_requests() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (name, plans) in [
        ("image-credits.yaml", &["free", "starter"][..]),
        ("modelstack.yaml", &["topup_only", "starter"]),
        ("pools-and-wallet.yaml", &["free", "starter"]),
        ("modelux.yaml", &["free"]),
        ("upstage.yaml", &["no_tier"]),
    ] {
        for (verdict, count) in play(page(name), plans) {
            *seen.entry(verdict).or_default() += count;
        }
    }
    let refusals: Vec<&str> =
        seen.keys().map(String::as_str).filter(|verdict| verdict.contains(' ')).collect();
    for verdict in [
        "\"forbidden_model\" \"key\"",
        "\"insufficient_credits\" \"pool\"",
        "\"invalid_request\" null",
        "\"limit_reached\" \"request\"",
        "\"plan_required\" \"gate\"",
        "\"unknown_model\" null",
    ] {
        assert!(refusals.contains(&verdict), "{verdict} was never given: {seen:?}");
    }
    assert!(refusals.iter().any(|verdict| verdict.ends_with("clipped")), "{seen:?}");
}

const CATALOG: &str = r#"
name: Verdicts
links: { top_up: "https://shop.example/top-up", contact: "https://shop.example/contact" }
exhaustion: { action: deny402, admission: full }
max_output_default: 1000
parameters: { batch: n, size: image.size, seconds: clip.seconds }
pools:
  included: { order: 1, expiry: cycle_end }
  trainings: { order: 2, expiry: cycle_end, asset: training }
models:
  chat: { price: { per_1m: { input_tokens: 10, output_tokens: 30 } } }
  paint:
    price: { per_unit: { images: 10 } }
    variants: { large: { when: { size: [big, "2048"] }, price: { per_unit: { images: 15 } } } }
    quantity: { images: batch }
  film:
    price: { per_unit: { seconds: 4 } }
    quantity: { seconds: { parameter: seconds, default: 5, max: 20 } }
  train: { asset: training, price: { per_request: 1 } }
  secret: { price: { per_request: 1 } }
plans:
  small:
    price_usd: 20
    grants: { included: 100, trainings: 1 }
    models: [chat, paint, film, train]
    request_limits: { batch: 4 }
    limits:
      - { id: films, meter: requests, window: day, max: 1, models: [film] }
      - { id: chats, meter: requests, window: day, max: 1, models: [chat], on_exceed: deny429 }
  large:
    price_usd: 50
    grants: { included: 100 }
    models: [chat, paint, film]
    prices: { paint: { per_unit: { images: 7 } } }
    request_limits: { batch: 8 }
"#;

#[test]
fn what_is_used_up_closed_or_priced_by_the_plan_is_explained_as_it_is() {
    let server = Server::with_catalog(CATALOG);
    let catalog = tariff::source::load(CATALOG).unwrap();
    let mut scene = Scene::new(server, &catalog);
    let (chat, items) = (Operation::Meter(Dialect::OpenaiChat), Operation::Meter(Dialect::Items));
    let (account, key) = scene.account("small", None);
    let small = (account.as_str(), key.as_str());
    let code = |told: &Value| told["refusal"]["code"].as_str().unwrap_or("none").to_owned();

    // Nothing opens it: whom to ask.
    let told = scene.check(small, &items, &json!({"model": "secret"}));
    assert_eq!(
        (code(&told), &told["refusal"]["contact_url"]),
        ("plan_required".to_owned(), &json!("https://shop.example/contact"))
    );
    assert_eq!(told["buckets"], json!([]), "nothing is reckoned for what is closed");
    // Seconds up to what is offered, however they are written; so many choices of each.
    for (seconds, n, status) in
        [("20", 1, 0), ("21", 1, 400), ("\"20\"", 1, 0), ("\" 21 \"", 1, 400), ("20", 5, 402)]
    {
        let seconds: Value = serde_json::from_str(seconds).unwrap();
        let body = json!({"model": "film", "n": n, "clip": {"seconds": seconds}});
        let told = scene.check(small, &items, &body);
        assert_eq!(told["refusal"]["status"].as_u64().unwrap_or(0), status, "{body}: {told}");
    }
    let many = scene.explain(small.0, &json!({"model": "film", "parameters": {"seconds": 20, "n": 4}}));
    assert_eq!(many["refusal"]["required"], "320.000000", "4 credits for each second of each choice: {many}");
    let told = scene.check(small, &items, &json!({"model": "paint", "n": 4, "image": {"size": " BIG "}}));
    assert_eq!(
        (&told["charged_as"], &told["buckets"][0]["required"]),
        (&json!("paint@large"), &json!("60.000000"))
    );
    // The same under a plan with prices of its own.
    let (account, key) = scene.account("large", None);
    let told =
        scene.check((&account, &key), &items, &json!({"model": "paint", "n": 8, "image": {"size": "big"}}));
    assert_eq!(
        (&told["charged_as"], &told["buckets"][0]["required"]),
        (&json!("paint"), &json!("56.000000"))
    );

    // Each asset is its own.
    let told = scene.check(small, &items, &json!({"model": "train"}));
    assert_eq!(told["buckets"][0]["unit"], "training", "{told}");
    scene.use_up(small.0, &items, &json!({"model": "train"}), &json!({"data": []}));
    assert_eq!(code(&scene.check(small, &items, &json!({"model": "train"}))), "insufficient_credits");
    // Limits that money lifts, and that only time does.
    scene.use_up(small.0, &items, &json!({"model": "film"}), &json!({"data": []}));
    let told = scene.check(small, &items, &json!({"model": "film"}));
    assert_eq!((code(&told), &told["refusal"]["limit"]), ("limit_reached".to_owned(), &json!("films")));
    let asked = json!({"model": "chat", "messages": []});
    scene.use_up(small.0, &chat, &asked, &serde_json::from_str(&sim::usage(1, 1)).unwrap());
    let told = scene.check(small, &chat, &asked);
    assert_eq!((code(&told), &told["refusal"]["status"]), ("rate_limited".to_owned(), &json!(429)));
    assert!(scene.server.verify().agrees());
}
