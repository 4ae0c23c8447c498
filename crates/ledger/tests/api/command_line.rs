//! The client commands, against a server in this process.

use std::process::Output;

use serde_json::{Value, json};

use crate::process::bursar;
use crate::support::{ADMIN, CATALOG, Server};

struct Shell<'a>(&'a Server);

impl Shell<'_> {
    fn run(&self, words: &[&str]) -> Output {
        let ledger = format!("http://{}", self.0.address);
        bursar().args(words).env("BURSAR_LEDGER", ledger).env("BURSAR_ADMIN_TOKEN", ADMIN).output().unwrap()
    }

    #[track_caller]
    fn text(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[words, &["--json"]].concat())).unwrap()
    }

    #[track_caller]
    fn fails(&self, status: i32, said: &str, words: &[&str]) {
        let output = self.run(words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn an_account_from_opening_to_balance() {
    let server = Server::start();
    let shell = Shell(&server);
    assert!(shell.text(&["account", "create", "acme", "--plan", "starter"]).contains("acme"));
    shell.fails(1, "account_exists", &["account", "create", "acme", "--plan", "starter"]);
    assert_eq!(shell.json(&["account", "show", "acme"])["plan"], "starter");
    assert!(shell.text(&["account", "list"]).contains("starter"));

    let created =
        shell.json(&["key", "create", "acme", "--name", "ci", "--model", "small*", "--model", "search"]);
    assert_eq!(created["models"], serde_json::json!(["small*", "search"]));
    assert!(created["key"].as_str().unwrap().starts_with("bsr_"));
    assert!(shell.text(&["key", "create", "acme"]).contains("bsr_"));
    shell.fails(1, "more on: pro", &["key", "create", "acme"]);
    let id = created["id"].as_str().unwrap();
    assert!(shell.text(&["key", "revoke", "acme", id]).contains(id));
    let listed = shell.text(&["key", "list", "acme"]);
    assert!(listed.contains("small* search") && !listed.contains("bsr_"), "{listed}");

    let grant = ["grant", "acme", "--pool", "topup", "--amount", "12.5", "--reference", "r1"];
    assert_eq!(shell.json(&grant)["amount"], "12.500000");
    assert_eq!(shell.json(&grant)["amount"], "12.500000");
    let balance = shell.text(&["balance", "acme"]);
    assert!(balance.contains("12.500000") && balance.contains("500.000000"), "{balance}");
    let entries = shell.json(&["entries", "acme", "--limit", "1"]);
    assert_eq!(entries["data"].as_array().unwrap().len(), 1);
    assert_eq!(entries["has_more"], true);
    assert!(shell.text(&["entries", "acme"]).contains("grant"));
    assert_eq!(shell.text(&["usage", "acme", "--by", "day"]), "nothing used\n");

    assert_eq!(shell.json(&["plan", "acme", "pro", "--when", "now", "--preview"])["preview"], true);
    assert!(shell.text(&["plan", "acme", "pro", "--when", "now"]).contains("pro"));
    assert!(shell.text(&["plans"]).contains("starter"));
    assert_eq!(shell.json(&["account", "suspend", "acme"])["status"], "suspended");
    assert_eq!(shell.json(&["account", "resume", "acme"])["status"], "active");
    assert_eq!(shell.json(&["account", "close", "acme"])["status"], "closed");
}

#[test]
fn lists_follow_their_pages() {
    let server = Server::start();
    for n in 0..205 {
        server.account(&format!("a{n:03}"), "free");
    }
    let all = Shell(&server).json(&["account", "list", "--limit", "1000"]);
    assert_eq!(all["data"].as_array().unwrap().len(), 205);
    assert_eq!(all["has_more"], false);
}

#[test]
fn failures_have_their_status() {
    let server = Server::start();
    let shell = Shell(&server);
    shell.fails(1, "account_not_found", &["balance", "none"]);
    shell.fails(2, "unknown_plan", &["account", "create", "x", "--plan", "gold"]);
    shell.fails(2, "not a decimal", &["grant", "x", "--pool", "p", "--amount", "1,5", "--reference", "r"]);
    shell.fails(2, "--plan", &["account", "create", "x"]);
    let nobody = bursar().args(["balance", "acme"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("BURSAR_ADMIN_TOKEN"), "{nobody:?}");
    let wrong = bursar()
        .args(["balance", "acme", "--ledger", &format!("http://{}", server.address)])
        .env("BURSAR_ADMIN_TOKEN", "not-the-token")
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("unauthenticated"), "{wrong:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let absent = bursar()
        .args(["balance", "acme", "--ledger", &format!("http://{closed}")])
        .env("BURSAR_ADMIN_TOKEN", ADMIN)
        .output()
        .unwrap();
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("no answer from"), "{absent:?}");
}

#[test]
fn a_catalog_is_checked() {
    let good = bursar().args(["catalog", "check", CATALOG]).output().unwrap();
    assert!(good.status.success(), "{good:?}");
    assert!(
        String::from_utf8_lossy(&good.stdout).contains("no problems: 3 plans, 2 models, 2 pools"),
        "{good:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "name: X\nplans: {a: {grants: {gold: 5}, colour: red}}\n").unwrap();
    let output = bursar().args(["catalog", "check"]).arg(&bad).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let prefix = format!("{}:2:", bad.display());
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with(&prefix)).collect();
    assert!(lines.len() >= 2, "both problems of line 2: {stderr}");
    assert!(lines.iter().any(|line| line.contains("plans.a.colour")), "{stderr}");
}

#[test]
fn help_teaches() {
    for words in [&["--help"][..], &["serve", "--help"], &["key", "create", "--help"], &["grant", "--help"]] {
        let output = bursar().args(words).output().unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example"), "{words:?}");
    }
}

#[test]
fn keys_are_replaced_imported_found_and_ended() {
    use std::io::Write as _;
    let server = Server::start();
    server.account("acme", "pro");
    let shell = Shell(&server);
    let made = shell.json(&["key", "create", "acme", "--auth-class", "internal"]);
    let id = made["id"].as_str().unwrap();
    assert!(shell.text(&["key", "disable", "acme", id]).contains("disabled"));
    assert!(shell.text(&["key", "enable", "acme", id]).contains("live"));
    assert_eq!(
        shell.json(&["key", "expire", "acme", id, "--at", "2099-01-01T00:00:00Z"])["expires_at"],
        "2099-01-01T00:00:00Z"
    );
    assert_eq!(shell.json(&["key", "expire", "acme", id, "--never"])["expires_at"], Value::Null);
    let rotated = shell.text(&["key", "rotate", "acme", id, "--overlap", "60"]);
    assert!(rotated.contains("bsr_") && rotated.contains(id), "{rotated}");
    assert!(shell.text(&["key", "list", "acme"]).contains("replaced"));

    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "sk-one\n\n  sk-two").unwrap();
    let path = file.path().to_str().unwrap();
    let imported = shell.json(&["key", "import", "acme", "--file", path, "--name", "legacy"]);
    assert_eq!(imported.as_array().unwrap().len(), 2);
    let digest = ledger::keys::digest("sk-two").to_string();
    assert_eq!(shell.json(&["key", "find", "--digest", &digest])["id"], imported[1]["id"]);
    let again = shell.run(&["key", "import", "acme", "--file", path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("key_exists"), "{again:?}");
    assert!(!String::from_utf8_lossy(&again.stderr).contains("sk-"), "{again:?}");
    shell.fails(2, "more than one key", &["key", "revoke", "--file", path]);
    assert!(shell.json(&["key", "revoke", "--digest", &digest])["revoked_at"].is_string());
    shell.fails(2, "required", &["key", "revoke"]);
}

#[test]
fn credits_are_adjusted_charges_reversed_and_lots_ended() {
    let server = Server::start();
    server.account("acme", "starter");
    let shell = Shell(&server);
    let adjust = |amount: &str, reference: &str| {
        let amount = format!("--amount={amount}");
        shell.text(&[
            "adjust",
            "acme",
            "--pool",
            "topup",
            &amount,
            "--reason",
            "goodwill",
            "--reference",
            reference,
        ])
    };
    assert!(adjust("17", "t-1").contains("17.000000"));
    assert!(adjust("-8.5", "t-2").contains("-8.500000"));
    let entry = crate::node::Node::new(&server).charge("acme", "r1", 1_000_000);
    let reversed = shell.text(&["reverse", "acme", &entry, "--reason", "outage"]);
    assert!(reversed.contains("10.000000") && reversed.contains("included"), "{reversed}");
    let balance = shell.json(&["balance", "acme"]);
    assert_eq!(balance["available"], "510.000000");
    let lot = balance["pools"][1]["lots"][0]["id"].as_str().unwrap();
    assert!(
        shell.text(&["lot", "extend", "acme", lot, "--never", "--reason", "goodwill"]).contains("8.500000")
    );
    assert!(shell.text(&["lot", "void", "acme", lot, "--reason", "fraud"]).contains("yes"));
    assert_eq!(shell.json(&["balance", "acme"])["available"], "500.000000");
    let entries = shell.text(&["entries", "acme"]);
    assert!(
        ["adjustment", "reversal", "extension", "void"].iter().all(|kind| entries.contains(kind)),
        "{entries}"
    );
    shell.fails(1, "not_a_charge", &["reverse", "acme", "1", "--reason", "outage"]);
}

#[test]
fn webhooks_are_managed() {
    let server = Server::start();
    let shell = Shell(&server);
    let words =
        ["webhook", "create", "--url", "http://127.0.0.1:9/x", "--event", "plan.*", "--event", "credits.low"];
    let created = shell.json(&words);
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = created["id"].as_str().unwrap();
    assert!(shell.text(&["webhook", "list"]).contains("plan.* credits.low"));
    let changed = shell.json(&["webhook", "change", id, "--disable"]);
    assert_eq!((&changed["enabled"], &changed["url"]), (&false.into(), &"http://127.0.0.1:9/x".into()));
    assert!(shell.text(&["webhook", "rotate", id, "--overlap", "60"]).contains("whsec_"));
    assert!(shell.text(&["webhook", "test", id]).contains("evt_"));
    assert!(shell.text(&["webhook", "deliveries", id, "--state", "pending"]).contains("webhook.test"));
    assert_eq!(shell.text(&["webhook", "redeliver", id]), "0 on their way\n");
    shell.text(&["account", "create", "acme", "--plan", "free"]);
    let events = shell.text(&["events", "--account", "acme"]);
    assert!(events.contains("account.opened") && !events.contains("webhook.test"), "{events}");
    assert!(shell.text(&["events", "--type", "webhook.test", "--limit", "1"]).contains(id));
    assert!(shell.text(&["webhook", "remove", id]).contains("disabled"));
    shell.fails(1, "webhook_endpoint_not_found", &["webhook", "test", id]);
}

#[test]
fn tokens_are_made_and_what_they_did_is_shown() {
    let server = Server::start();
    let shell = Shell(&server);
    let created = shell.json(&["token", "create", "billing", "--scope", "accounts", "--scope", "money"]);
    let (token, id) = (created["token"].as_str().unwrap(), created["id"].as_str().unwrap());
    assert!(shell.text(&["token", "list"]).contains("accounts money"));
    let ledger = format!("http://{}", server.address);
    let as_billing = |words: &[&str]| {
        let run =
            bursar().args(words).env("BURSAR_LEDGER", &ledger).env("BURSAR_ADMIN_TOKEN", token).output();
        String::from_utf8(run.unwrap().stderr).unwrap()
    };
    assert_eq!(as_billing(&["account", "create", "acme", "--plan", "free"]), "");
    assert!(as_billing(&["audit"]).contains("scope_missing"));
    assert!(shell.text(&["audit", "--who", "billing", "--account", "acme"]).contains("POST /v1/accounts"));
    assert!(shell.text(&["token", "revoke", id]).contains("billing"));
    assert!(as_billing(&["plans"]).contains("unauthenticated"));
    shell.fails(2, "--scope", &["token", "create", "x"]);
}

#[test]
fn the_journal_is_searched_and_exported() {
    let server = Server::start();
    let shell = Shell(&server);
    server.account("acme", "starter");
    crate::node::Node::new(&server).charge("acme", "req_1", 1_000_000);
    assert!(shell.text(&["entries", "--request", "req_1"]).contains("acme"));
    assert!(shell.text(&["entries", "acme", "--kind", "charge", "--model", "small"]).contains("req_1"));
    assert_eq!(shell.text(&["entries", "acme", "--key", "none"]), "no entries\n");
    assert_eq!(shell.text(&["export"]).lines().count(), 3);
    assert_eq!(
        shell.text(&["export", "--account", "acme", "--format", "csv", "--kind", "charge"]).lines().count(),
        2
    );
    shell.fails(1, "account_not_found", &["export", "--account", "none"]);
    let now = jiff::Timestamp::now().to_string();
    assert_eq!(shell.json(&["balance", "acme", "--at", &now])["available"], "490.000000");
    assert_eq!(shell.text(&["incidents", "--code", "gap"]), "no incidents\n");
    shell.fails(2, "required", &["entries"]);
}

#[test]
fn entries_tell_the_card_s_cost_from_the_provider_s() {
    let server = Server::with_catalog(
        "name: Carded\npools: { main: { order: 1, expiry: never } }\nmodels:\n  \
         carded: { price: { per_1m: { input_tokens: 10 } }, cost: { per_1m: { input_tokens: 2 } } }\n\
         plans: { starter: { grants: { main: 500 } } }\n",
    );
    server.account("acme", "starter");
    let settle =
        json!({"model": "carded", "usage": {"input_tokens": 1_000}, "provider_cost": 3_000_000_000_u64});
    crate::node::Node::new(&server).settle("acme", "req_1", &settle);
    let table = Shell(&server).text(&["entries", "acme", "--kind", "charge"]);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(table.contains("cost usd  provider usd"), "{table}");
    assert!(words[1].windows(2).any(|pair| pair == ["0.002", "0.003"]), "{table}");
}

#[test]
fn accounts_are_labelled_found_and_explained() {
    let server = Server::start();
    let shell = Shell(&server);
    shell.text(&["account", "create", "acme", "--plan", "starter"]);
    shell.text(&["account", "create", "other", "--plan", "free"]);
    assert!(
        shell
            .text(&["account", "label", "acme", "team=search", "--reference", "cus_1"])
            .contains("team=search")
    );
    let found = shell.text(&["account", "list", "--label", "team=search", "--plan", "starter"]);
    assert!(found.contains("cus_1") && !found.contains("other"), "{found}");
    assert!(shell.text(&["account", "shadow", "acme"]).contains("nothing is refused"));
    let told = shell.text(&["explain", "acme", "--model", "none"]);
    assert!(told.contains("forwarded even so") && told.contains("400 unknown_model"), "{told}");
    let told = shell.text(&["explain", "acme", "--model", "small", "--use", "input_tokens=60000000"]);
    assert!(told.contains("on a hold of 500.000000") && told.contains("charged as small"), "{told}");
    shell.fails(2, "openai_chat", &["explain", "acme", "--model", "small", "--operation", "psychic"]);
    shell.fails(2, "none.json", &["explain", "acme", "--body", "/nowhere/none.json"]);
    assert!(shell.text(&["account", "shadow", "acme", "--off"]).contains("shadow        no"));
    assert!(shell.text(&["explain", "acme", "--model", "small"]).contains("forwarded, unless a rate"));
    assert!(shell.text(&["catalog", "versions"]).contains("free starter pro"));
    assert_eq!(shell.text(&["catalog", "publish", "--dry-run", CATALOG]), "no difference\n");
    assert_eq!(shell.text(&["catalog", "versions", "--diff", "1"]), "no difference\n");
    shell.fails(2, "NAME=VALUE", &["account", "label", "acme", "team"]);
}

#[test]
fn plans_purchases_and_settings_from_the_command_line() {
    let server = Server::page("upstage.yaml");
    let shell = Shell(&server);
    shell.text(&["account", "create", "acme", "--plan", "no_tier", "--time-zone", "Asia/Seoul"]);
    let set =
        ["account", "set", "acme", "--card-on-file", "true", "--overage-cap", "50", "--renewal", "auto"];
    let shown = shell.json(&set);
    let told = shell.text(&["account", "show", "acme"]);
    for line in [
        "time zone     Asia/Seoul",
        "card on file  yes",
        "overage cap   50.000000",
        "cadence       the plan's own",
        "renews        by itself",
        "billed for    ",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!((&shown["card_on_file"], &shown["overage_cap"]), (&true.into(), &"50.000000".into()));
    assert_eq!(shown["time_zone"], "Asia/Seoul");
    assert_eq!(shell.json(&["account", "set", "acme", "--overage-cap", "none"])["overage_cap"], Value::Null);
    assert!(shell.text(&["programme", "enrol", "acme", "education"]).contains("education"));
    shell.fails(2, "programme", &["programme", "enrol", "acme", "tea"]);
    assert_eq!(shell.json(&["programme", "leave", "acme", "education"])["programmes"], Value::Null);

    let preview = shell.text(&["purchase", "preview", "acme", "--amount", "500"]);
    assert!(
        preview.contains("25.000000") && preview.contains("build") && preview.contains("needed"),
        "{preview}"
    );
    let confirm = ["purchase", "confirm", "acme", "--amount", "500", "--payment", "card/p1"];
    shell.fails(1, "consent_needed", &confirm);
    let bought = shell.json(&[confirm.as_slice(), &["--consent"]].concat());
    assert_eq!((&bought["plan"], &bought["payment"]), (&"build".into(), &"card/p1".into()));
    let refund = ["purchase", "refund", "acme", "--payment", "card/p1", "--reference", "re1"];
    assert!(shell.text(&refund).contains("500.00 USD"));
    shell.fails(2, "PROVIDER/REF", &["purchase", "confirm", "acme", "--amount", "5", "--payment", "p1"]);

    assert!(
        shell.text(&["recharge", "set", "acme", "--amount", "100", "--every", "P1M"]).contains("100.00 USD")
    );
    assert_eq!(shell.json(&["recharge", "show", "acme"])["requested"][0]["amount_usd"], "100.00");
    assert_eq!(shell.json(&["recharge", "end", "acme"])["requested"], serde_json::json!([]));
    assert!(shell.text(&["receivable", "list"]).contains("nobody owes"));
    shell.fails(
        1,
        "nothing_owed",
        &["receivable", "settle", "acme", "--amount", "1", "--payment", "card/s1"],
    );
    let quote = shell.text(&["quote", "--plan", "build", "solar-pro-2", "input_tokens=1000000"]);
    assert!(quote.contains("0.150000") && quote.contains("paid"), "{quote}");
    shell.fails(1, "no_such_change", &["renew", "acme", "--payment", "card/r1"]);
    shell.fails(1, "no_such_change", &["change", "show", "acme"]);
}

#[test]
fn changes_that_wait_and_things_kept_from_the_command_line() {
    let server = Server::page("pools-and-wallet.yaml");
    let shell = Shell(&server);
    shell.text(&["account", "create", "acme", "--plan", "starter"]);
    let asked = shell.json(&["plan", "acme", "premium"]);
    let change = asked["change"].as_str().unwrap();
    assert!(shell.text(&["change", "show", "acme"]).contains("25.00 USD"));
    let confirmed = shell.json(&["change", "confirm", "acme", change, "--payment", "creem/p1"]);
    assert_eq!(confirmed["plan"], "premium");
    assert!(shell.text(&["cancel", "acme"]).contains("free at"));
    assert_eq!(shell.json(&["change", "take-back", "acme"])["scheduled"], Value::Null);
    let asked = shell.json(&["plan", "acme", "pro"]);
    let change = asked["change"].as_str().unwrap();
    assert_eq!(shell.json(&["change", "fail", "acme", change])["plan"], "premium");
    assert_eq!(shell.json(&["account", "set", "acme", "--opt-in", "wallet"])["opted_in"][0], "wallet");

    let server = Server::page("modelstack.yaml");
    let shell = Shell(&server);
    shell.text(&["account", "create", "acme", "--plan", "starter"]);
    assert_eq!(shell.json(&["resource", "add", "acme", "stacks", "3"])["count"], 3);
    shell.fails(1, "more on", &["resource", "add", "acme", "stacks"]);
    assert_eq!(shell.json(&["resource", "remove", "acme", "stacks", "2"])["count"], 1);
    assert_eq!(shell.json(&["resource", "set", "acme", "stacks", "7"])["count"], 7);
    assert!(shell.text(&["resource", "list", "acme"]).contains("stacks"));
}

#[test]
fn customers_own_calls_from_the_command_line() {
    let server = Server::page("modelux.yaml");
    let shell = Shell(&server);
    shell.text(&["account", "create", "acme", "--plan", "free"]);
    let key = shell.json(&["key", "create", "acme"])["key"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.txt");
    std::fs::write(&file, key + "\n").unwrap();
    let run = |words: &[&str]| {
        let gateway = format!("http://{}", server.address);
        let mut command = bursar();
        command.arg("customer").args(words).args(["--gateway", &gateway, "--api-key-file"]).arg(&file);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (status, billing) = run(&["billing"]);
    assert!(status == 0 && billing.contains("free, monthly") && billing.contains("api_keys"), "{billing}");
    assert!(run(&["plans"]).1.contains("pro"));
    let (status, refused) = run(&["change-plan", "pro"]);
    assert!(status == 1 && refused.contains("payment_needed"), "{refused}");
    assert!(run(&["checkout", "pro"]).1.contains("to pay"));
    assert!(run(&["portal"]).1.starts_with("https://"));
    let no_key = bursar().args(["customer", "plans"]).output().unwrap();
    assert_eq!(no_key.status.code(), Some(2));
}
