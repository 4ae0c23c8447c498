//! What clients see of a service that fails: statuses and headers, never the cause.

mod life;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ledger::audit::Act;
use ledger::dto::{
    self, Account, Balance, Entry, Grant, Key, KeyChange, KeyRotated, Lot, Plan, Reconciled, Reconciliation,
    UsageReport,
};
use ledger::http::{App, Token, Tokens, serve};
use ledger::metrics::Metrics;
use ledger::service::{
    Access, AccountQuery, AuditQuery, Caller, EventQuery, Export, Gauges, Idempotency, IncidentQuery,
    Journal, LineFilter, NewAccount, NewEndpoint, NewKey, NewToken, Operator, Page, PageRequest, Reply,
    Rotation, Service, ServiceError, UsageQuery, Webhooks, Written,
};
use serde_json::json;
use tariff::EdgeCatalog;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;
use wire::{Digest, MARKER_HEADER, SyncRequest, SyncResponse};

use crate::support::{ADMIN, EDGE, Reply as Answer, bearer, call};

const SECRET: &str = "disk /dev/sda1 is on fire";

#[derive(Clone, Copy)]
enum Fault {
    Internal,
    Unavailable,
    Overloaded,
    Silent,
    /// A change of plan is overloaded once so many calls are under way at a time.
    Together(&'static Barrier),
}

/// A service that does nothing but fail.
struct Failing(Fault);

impl Failing {
    fn fail<T: Send + 'static>(&self) -> Reply<'_, T> {
        let error = match self.0 {
            Fault::Internal => ServiceError::internal(SECRET),
            Fault::Unavailable => ServiceError::Unavailable(SECRET.to_owned()),
            Fault::Overloaded | Fault::Together(_) => ServiceError::Overloaded,
            Fault::Silent => return Box::pin(std::future::pending()),
        };
        Box::pin(async { Err(error) })
    }
}

impl Webhooks for Failing {
    fn events(&self, _: EventQuery, _: PageRequest<u64>) -> Reply<'_, Page<dto::Event, u64>> {
        self.fail()
    }
    fn endpoints(&self) -> Reply<'_, Vec<dto::Endpoint>> {
        self.fail()
    }
    fn create_endpoint(&self, _: Option<Idempotency>, _: NewEndpoint) -> Reply<'_, Written<dto::Endpoint>> {
        self.fail()
    }
    fn change_endpoint(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: dto::EndpointChange,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.fail()
    }
    fn remove_endpoint(&self, _: Option<Idempotency>, _: String) -> Reply<'_, Written<dto::Endpoint>> {
        self.fail()
    }
    fn rotate_secret(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: String,
        _: u64,
    ) -> Reply<'_, Written<dto::Endpoint>> {
        self.fail()
    }
    fn test_endpoint(&self, _: Option<Idempotency>, _: String) -> Reply<'_, Written<dto::Event>> {
        self.fail()
    }
    fn deliveries(
        &self,
        _: String,
        _: Option<dto::DeliveryState>,
        _: PageRequest<u64>,
    ) -> Reply<'_, Page<dto::Delivery, u64>> {
        self.fail()
    }
    fn redeliver(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: dto::Redelivery,
    ) -> Reply<'_, Written<dto::Redelivered>> {
        self.fail()
    }
}

impl Access for Failing {
    fn caller(&self, _: &[u8; 32]) -> Option<Caller> {
        None
    }
    fn tokens(&self) -> Reply<'_, Vec<dto::AdminToken>> {
        self.fail()
    }
    fn create_token(&self, _: Option<Idempotency>, _: NewToken) -> Reply<'_, Written<dto::AdminToken>> {
        self.fail()
    }
    fn revoke_token(&self, _: Option<Idempotency>, _: String) -> Reply<'_, Written<dto::AdminToken>> {
        self.fail()
    }
    fn note_refusal(&self, _: Arc<Act>, _: String) -> Reply<'_, ()> {
        self.fail()
    }
    fn audit(&self, _: AuditQuery, _: PageRequest<u64>) -> Reply<'_, Page<dto::AuditLine, u64>> {
        self.fail()
    }
}

impl Journal for Failing {
    fn entries(&self, _: String, _: LineFilter, _: PageRequest<u64>) -> Reply<'_, Page<Entry, u64>> {
        self.fail()
    }
    fn entries_of_request(&self, _: String) -> Reply<'_, Vec<dto::ExportedEntry>> {
        self.fail()
    }
    fn export(&self, _: Option<String>, _: LineFilter) -> Reply<'_, Export> {
        self.fail()
    }
    fn balance_at(&self, _: String, _: jiff::Timestamp) -> Reply<'_, Balance> {
        self.fail()
    }
    fn incidents(&self, _: IncidentQuery, _: PageRequest<u64>) -> Reply<'_, Page<dto::Incident, u64>> {
        self.fail()
    }
}

impl Operator for Failing {
    fn catalogs(&self) -> Reply<'_, Vec<dto::CatalogInfo>> {
        self.fail()
    }
    fn catalog(&self, _: Option<u64>) -> Reply<'_, (u64, tariff::Catalog)> {
        self.fail()
    }
    fn dry_run(&self, _: tariff::Catalog) -> Reply<'_, dto::CatalogVersion> {
        self.fail()
    }
    fn explain(&self, _: String, _: dto::ExplainRequest) -> Reply<'_, dto::Explanation> {
        self.fail()
    }
    fn change_key(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: String,
        _: KeyChange,
    ) -> Reply<'_, Written<Key>> {
        self.fail()
    }
    fn rotate_key(&self, _: Option<Idempotency>, _: Rotation) -> Reply<'_, Written<KeyRotated>> {
        self.fail()
    }
    fn find_key(&self, _: Digest) -> Reply<'_, Key> {
        self.fail()
    }
    fn revoke_digest(&self, _: Option<Idempotency>, _: Digest) -> Reply<'_, Written<Key>> {
        self.fail()
    }
    fn adjust(&self, _: Option<Idempotency>, _: String, _: dto::Adjustment) -> Reply<'_, Written<Entry>> {
        self.fail()
    }
    fn reverse(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: u64,
        _: String,
    ) -> Reply<'_, Written<dto::Reversal>> {
        self.fail()
    }
    fn void_lot(&self, _: Option<Idempotency>, _: String, _: u64) -> Reply<'_, Written<dto::LotState>> {
        self.fail()
    }
    fn extend_lot(
        &self,
        _: Option<Idempotency>,
        _: String,
        _: u64,
        _: dto::LotChange,
    ) -> Reply<'_, Written<dto::LotState>> {
        self.fail()
    }
}

impl Service for Failing {
    fn create_account(&self, _: Option<Idempotency>, _: NewAccount) -> Reply<'_, Written<Account>> {
        self.fail()
    }
    fn account(&self, _: String) -> Reply<'_, Account> {
        self.fail()
    }
    fn accounts(&self, _: AccountQuery, _: PageRequest<String>) -> Reply<'_, Page<Account, String>> {
        self.fail()
    }
    fn create_key(&self, _: Option<Idempotency>, _: NewKey) -> Reply<'_, Written<Key>> {
        self.fail()
    }
    fn keys(&self, _: String, _: PageRequest<String>) -> Reply<'_, Page<Key, String>> {
        self.fail()
    }
    fn revoke_key(&self, _: Option<Idempotency>, _: String, _: String) -> Reply<'_, Written<Key>> {
        self.fail()
    }
    fn create_grant(&self, _: Option<Idempotency>, _: String, _: Grant) -> Reply<'_, Written<Lot>> {
        self.fail()
    }
    fn publish(&self, _: tariff::Catalog) -> Reply<'_, dto::CatalogVersion> {
        self.fail()
    }
    fn balance(&self, _: String) -> Reply<'_, Balance> {
        self.fail()
    }
    fn usage(&self, _: String, _: UsageQuery) -> Reply<'_, UsageReport> {
        self.fail()
    }
    fn reconcile(&self, _: Reconciliation) -> Reply<'_, Reconciled> {
        self.fail()
    }
    fn plans(&self) -> Reply<'_, Vec<Plan>> {
        self.fail()
    }
    fn sync(&self, _: SyncRequest) -> Reply<'_, SyncResponse> {
        self.fail()
    }
    fn edge_catalog(&self, _: Option<u64>) -> Reply<'_, Arc<EdgeCatalog>> {
        self.fail()
    }
    fn generation(&self) -> &str {
        "generation-1"
    }
    fn ready(&self) -> Reply<'_, ()> {
        self.fail()
    }
    fn gauges(&self) -> Reply<'_, Gauges> {
        self.fail()
    }
    fn close(&self) -> Reply<'_, ()> {
        self.fail()
    }
}

/// The API in front of it; lives as long as the runtime.
fn api(fault: Fault) -> (Runtime, SocketAddr) {
    let tokens = Tokens::new(Token::new(ADMIN).unwrap(), Token::new(EDGE).unwrap()).unwrap();
    let app = App::new(Arc::new(Failing(fault)), Arc::new(Metrics::default()), tokens).unwrap();
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { serve(listener, app.router(), std::future::pending()).await });
    (runtime, address)
}

fn calls(address: SocketAddr) -> Vec<Answer> {
    let get = |path: &str| call(address, "GET", path, &[("authorization", &bearer(ADMIN))], None);
    let json = ("content-type", "application/json");
    let admin = bearer(ADMIN);
    let create =
        call(address, "POST", "/v1/accounts", &[("authorization", &admin), json], Some(br#"{"plan": "a"}"#));
    let sync = json!({"v": wire::VERSION, "node": "0".repeat(32), "now": 1}).to_string();
    let edge = bearer(EDGE);
    let sync =
        call(address, "POST", wire::SYNC_PATH, &[("authorization", &edge), json], Some(sync.as_bytes()));
    assert_eq!(sync.header(MARKER_HEADER), Some("generation-1"), "{sync:?}");
    vec![get("/v1/accounts"), get("/v1/plans"), get("/v1/accounts/a/balance"), create, sync]
}

#[test]
fn a_fault_of_ours_is_500_without_its_cause() {
    let (_runtime, address) = api(Fault::Internal);
    for answer in calls(address) {
        answer.problem(500, "internal_error");
        assert!(!answer.text.contains("fire"), "{answer:?}");
    }
}

#[test]
fn what_passes_is_503_with_retry_after() {
    for (fault, code) in [(Fault::Unavailable, "ledger_unavailable"), (Fault::Overloaded, "overloaded")] {
        let (_runtime, address) = api(fault);
        for answer in calls(address) {
            answer.problem(503, code);
            assert_eq!(answer.header("retry-after"), Some("1"));
            assert!(!answer.text.contains("fire"), "{answer:?}");
        }
    }
}

#[test]
fn probes_tell_a_store_that_is_gone_from_a_process_that_is() {
    for fault in [Fault::Unavailable, Fault::Silent] {
        let (_runtime, address) = api(fault);
        let get = |path: &str| call(address, "GET", path, &[], None);
        get("/readyz").problem(503, "ledger_unavailable");
        assert_eq!(get("/healthz").status, 200);
        let metrics = get("/metrics");
        assert_eq!(metrics.status, 200);
        assert!(metrics.text.contains("\nbursar_ledger_up 0\n"), "{}", metrics.text);
    }
}

#[test]
fn one_customers_call_does_not_stand_in_anothers_way() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    let (_runtime, address) = api(Fault::Together(&BOTH));
    let change = |key: &str| {
        let key = bearer(key);
        let headers =
            [("authorization", key.as_str()), ("content-type", "application/json"), ("idempotency-key", "1")];
        call(address, "POST", "/manage/v1/billing/change-plan", &headers, Some(br#"{"plan": "pro"}"#))
    };
    // Each is answered only while the other is under way.
    std::thread::scope(|scope| {
        let calls = ["customer-a", "customer-b"].map(|key| scope.spawn(move || change(key)));
        for call in calls {
            call.join().unwrap().problem(503, "overloaded");
        }
    });
}

#[test]
fn customers_have_so_much_room_and_no_more() {
    let (_runtime, address) = api(Fault::Silent);
    let headers = format!("host: {address}\r\nauthorization: Bearer customer-a\r\n");
    let mut calls: Vec<TcpStream> = (0..65)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /manage/v1/billing HTTP/1.1\r\n{headers}\r\n").unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    // One of them is put off; the others are under way, and stay so.
    let mut answered = Vec::new();
    let begun = Instant::now();
    while answered.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody is put off");
        for stream in &mut calls {
            let mut text = [0; 64];
            if let Ok(read) = stream.read(&mut text) {
                answered.push(String::from_utf8_lossy(&text[..read]).into_owned());
            }
        }
        std::thread::yield_now();
    }
    assert!(answered.len() == 1 && answered[0].starts_with("HTTP/1.1 503 "), "{answered:?}");
    // Whoever goes makes room.
    drop(calls);
    let headers = [("authorization", "Bearer customer-b")];
    while call(address, "POST", "/manage/v1/billing/portal", &headers, None).status != 409 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no room again");
        std::thread::yield_now();
    }
}
