//! The program as a process: started, stopped, killed, and what it leaves behind.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{ADMIN, CATALOG, EDGE, Reply, bearer, call, try_call};

/// A `bursar serve` of its own.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    lines: Arc<Mutex<String>>,
    log: Option<JoinHandle<String>>,
}

/// Far more than any log line takes.
const LOGGED_WITHIN: Duration = Duration::from_secs(30);

pub fn bursar() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    // Nothing of the environment that the tests run in may leak into the program.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    command
}

impl Process {
    pub fn start(store: &Path, log: &str, flags: &[&str]) -> Self {
        Self::start_with(Path::new(CATALOG), store, log, flags)
    }

    pub fn start_with(catalog: &Path, store: &Path, log: &str, flags: &[&str]) -> Self {
        let mut child = bursar()
            .args(["serve", "--listen", "127.0.0.1:0", "--log", log, "--catalog"])
            .arg(catalog)
            .arg("--store")
            .arg(format!("sqlite:{}", store.display()))
            .args(flags)
            .env("BURSAR_ADMIN_TOKEN", ADMIN)
            .env("BURSAR_EDGE_TOKEN", EDGE)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        let lines = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&lines);
        let log = std::thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).unwrap() > 0 {
                if line.contains("ready")
                    && let Some(address) = address_in(&line)
                {
                    let _ = found.send(address);
                }
                seen.lock().unwrap().push_str(&line);
                line.clear();
            }
            seen.lock().unwrap().clone()
        });
        let Ok(address) = address.recv() else { panic!("it ended: {}", log.join().unwrap()) };
        Self { address, child, lines, log: Some(log) }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it has logged this.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let begun = Instant::now();
        while !self.lines.lock().unwrap().contains(text) {
            assert!(begun.elapsed() < LOGGED_WITHIN, "no `{text}` in {}", self.lines.lock().unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let authorization = bearer(ADMIN);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        call(self.address, method, path, &headers, body.map(Value::to_string).as_deref().map(str::as_bytes))
    }

    /// Sends a signal and waits for the end; the exit status and the log.
    pub fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        (status.code(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first thing in a log line that reads as an address.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split(['=', ' ', '"', ',', '}']).find_map(|word| word.trim().parse().ok())
}

fn verify(store: &Path) -> Output {
    bursar().args(["verify", "--store"]).arg(format!("sqlite:{}", store.display())).output().unwrap()
}

#[test]
fn it_ends_gracefully_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let process = Process::start(&folder.path().join("ledger.db"), "info", &["--log-format", "json"]);
        process.admin("POST", "/v1/accounts", Some(&json!({"id": "acme", "plan": "starter"}))).ok(201);
        let (status, log) = process.end(signal);
        assert_eq!(status, Some(0), "{log}");
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "closed", "{log}");
    }
}

#[test]
fn connections_without_a_call_do_not_hold_the_end_up() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(&folder.path().join("ledger.db"), "info", &[]);
    let silent = TcpStream::connect(process.address).unwrap();
    let mut begun = TcpStream::connect(process.address).unwrap();
    begun.write_all(b"GET /healthz HT").unwrap();
    let mut idle = TcpStream::connect(process.address).unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: ledger\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    idle.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let (status, log) = process.end(Signal::TERM);
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("cut off"), "{log}");
    drop((silent, begun));
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let process = Process::start(&store, "info", &[]);
        if round == 0 {
            process.admin("POST", "/v1/accounts", Some(&json!({"id": "acme", "plan": "free"}))).ok(201);
        }
        acknowledged.extend(grant_until_killed(process, round));
        let verified = verify(&store);
        assert!(verified.status.success(), "{verified:?}");
    }
    let process = Process::start(&store, "info", &[]);
    // What was under way when the process died may be there or not; what was acknowledged is.
    let balance = process.admin("GET", "/v1/accounts/acme/balance", None).ok(200);
    let available: f64 = balance["available"].as_str().unwrap().parse().unwrap();
    assert!(available >= acknowledged.len() as f64, "{available} of {}", acknowledged.len());
    for (reference, lot) in acknowledged {
        let again = process.admin("POST", "/v1/accounts/acme/grants", Some(&grant(&reference))).ok(200);
        assert_eq!(again["id"], lot, "{reference}");
    }
    assert_eq!(
        process.admin("GET", "/v1/accounts/acme/balance", None).ok(200)["available"],
        balance["available"]
    );
}

/// Grants from four threads and kills the process in the midst of it; what was acknowledged.
fn grant_until_killed(process: Process, round: usize) -> Vec<(String, Value)> {
    let (address, acknowledged) = (process.address, Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for n in 0.. {
                    let reference = format!("r{round}-{thread}-{n}");
                    // The first call without an answer: the process is gone.
                    let Some(lot) = try_grant(address, &reference) else { return };
                    acknowledged.lock().unwrap().push((reference, lot));
                }
            });
        }
        while acknowledged.lock().unwrap().len() < 40 {
            std::thread::yield_now();
        }
        let (status, log) = process.end(Signal::KILL);
        assert_eq!(status, None, "{log}");
    });
    acknowledged.into_inner().unwrap()
}

fn grant(reference: &str) -> Value {
    json!({"pool": "topup", "amount": "1", "reference": reference})
}

fn try_grant(address: SocketAddr, reference: &str) -> Option<Value> {
    let authorization = bearer(ADMIN);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = grant(reference).to_string();
    let reply =
        try_call(address, "POST", "/v1/accounts/acme/grants", &headers, Some(body.as_bytes())).ok()?;
    Some(reply.ok(201)["id"].clone())
}

#[test]
fn a_key_is_in_no_file_log_or_later_answer() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    let process = Process::start(&store, "trace", &[]);
    process.admin("POST", "/v1/accounts", Some(&json!({"id": "acme", "plan": "starter"}))).ok(201);
    let authorization = bearer(ADMIN);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "k"),
    ];
    let create = || call(process.address, "POST", "/v1/accounts/acme/keys", &headers, Some(b"{}"));
    let created = create().ok(201);
    let key = created["key"].as_str().unwrap();
    let secret = &key[4..26];
    let later = [
        create(),
        process.admin("GET", "/v1/accounts/acme/keys", None),
        process.admin("GET", "/v1/accounts/acme/entries", None),
        process.admin("GET", "/metrics", None),
    ];
    for reply in later {
        assert!(!reply.text.contains(secret), "{reply:?}");
    }
    let (_, log) = process.end(Signal::TERM);
    assert!(log.contains("/v1/accounts/{account}/keys"), "the log has the calls: {log}");
    for canary in [secret, ADMIN, EDGE] {
        assert!(!log.contains(canary));
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let mut bytes = Vec::new();
            std::fs::File::open(file.unwrap().path()).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()));
        }
    }
}

#[test]
fn tokens_are_made_and_printed_once_where_none_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = bursar()
        .args(["serve", "--catalog", CATALOG, "--listen", "127.0.0.1:0", "--store"])
        .arg(format!("sqlite:{}", folder.path().join("ledger.db").display()))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut token = |name: &str| {
        let line = lines.next().unwrap();
        let token = line.strip_prefix(&format!("{name} token, made for this run: ")).unwrap().to_owned();
        assert_eq!(token.len(), 43);
        token
    };
    let (admin, edge) = (token("admin"), token("edge"));
    assert_ne!(admin, edge);
    let address = lines.find_map(|line| address_in(&line)).unwrap();
    assert_eq!(call(address, "GET", "/v1/plans", &[("authorization", &bearer(&admin))], None).status, 200);
    assert_eq!(
        call(address, "GET", "/v1/edge/catalog", &[("authorization", &bearer(&edge))], None).status,
        200
    );
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(lines.all(|line| !line.contains(&admin) && !line.contains(&edge)));
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "name: X\nplans: {a: {grants: {gold: 5}, colour: red}}\n").unwrap();
    let store = format!("sqlite:{}", folder.path().join("ledger.db").display());
    let serve = |flags: &[&str], admin: &str, edge: &str| {
        bursar()
            .arg("serve")
            .args(flags)
            .env("BURSAR_ADMIN_TOKEN", admin)
            .env("BURSAR_EDGE_TOKEN", edge)
            .output()
            .unwrap()
    };
    let bad_text = bad.display().to_string();
    for (flags, admin, edge, said) in [
        (&["--catalog", &bad_text, "--store", &store][..], ADMIN, EDGE, "bad.yaml:2:"),
        (&["--catalog", "none.yaml", "--store", &store], ADMIN, EDGE, "none.yaml"),
        (&["--catalog", CATALOG, "--store", "mysql://x"], ADMIN, EDGE, "expected sqlite:PATH"),
        (&["--catalog", CATALOG, "--store", &store], "short", EDGE, "admin token"),
        (&["--catalog", CATALOG, "--store", &store], ADMIN, ADMIN, "must differ"),
        (&["--catalog", CATALOG, "--store", &store, "--log", "=,="], ADMIN, EDGE, "--log"),
        (&["--catalog", CATALOG, "--store", &store, "--listen", "nowhere"], ADMIN, EDGE, "--listen"),
    ] {
        let output = serve(flags, admin, edge);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(said), "{flags:?}: {stderr}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = serve(&["--catalog", CATALOG, "--store", &store, "--listen", &address], ADMIN, EDGE);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn verify_says_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("ledger.db");
    assert_eq!(verify(&store).status.code(), Some(2), "no file");
    let process = Process::start(&store, "info", &[]);
    process.admin("POST", "/v1/accounts", Some(&json!({"id": "acme", "plan": "starter"}))).ok(201);
    let beside = verify(&store);
    assert!(beside.status.success(), "beside a running ledger: {beside:?}");
    process.end(Signal::TERM);
    let after = verify(&store);
    assert!(after.status.success(), "{after:?}");
    assert!(String::from_utf8_lossy(&after.stdout).contains("accounts: 1"), "{after:?}");
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection
        .execute_batch("UPDATE account SET state = replace(state, '\"debt\":0', '\"debt\":7')")
        .unwrap();
    drop(connection);
    let disagrees = verify(&store);
    assert_eq!(disagrees.status.code(), Some(1), "{disagrees:?}");
    let line = String::from_utf8_lossy(&disagrees.stdout).into_owned();
    assert!(line.contains("account acme") && line.contains("debt 0") && line.contains("debt 7"), "{line}");
    let url = format!("sqlite:{}", store.display());
    let json = bursar().args(["verify", "--json", "--store", &url]).output().unwrap();
    assert_eq!(json.status.code(), Some(1), "{json:?}");
    let report: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(report["problems"][0]["property"], "projection_is_fold", "{report}");
    assert_eq!(report["problems"][0]["account"], "acme", "{report}");
}
