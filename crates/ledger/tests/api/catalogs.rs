//! Catalogs: put in force at a running ledger by the API, the command line and SIGHUP; shown and compared.

use std::io::Write as _;
use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::process::{Process, bursar};
use crate::support::{ADMIN, CATALOG, Server, bearer};

fn catalog() -> String {
    std::fs::read_to_string(CATALOG).unwrap()
}

fn dearer() -> String {
    let catalog = catalog();
    let changed = catalog.replace("per_request: 0.5", "per_request: 0.75");
    assert_ne!(changed, catalog);
    changed
}

fn publish(server: &Server, query: &str, content_type: &str, file: &str) -> crate::support::Reply {
    let authorization = bearer(ADMIN);
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
    server.call("POST", &format!("/v1/catalog{query}"), &headers, Some(file.as_bytes()))
}

/// The edge's price of a search, in a catalog version.
fn search_price(server: &Server, query: &str) -> String {
    let authorization = bearer(crate::support::EDGE);
    let path = format!("{}{query}", wire::CATALOG_PATH);
    let catalog = server.call("GET", &path, &[("authorization", &authorization)], None).ok(200);
    let models = catalog["models"].as_array().unwrap();
    models.iter().find(|model| model["name"] == "search").unwrap()["prices"].to_string()
}

#[test]
fn a_catalog_comes_in_force_without_a_restart_and_earlier_versions_stay() {
    let server = Server::start();
    server.account("acme", "starter");
    let before = search_price(&server, "");
    let same = publish(&server, "", "application/yaml", &catalog()).ok(200);
    assert_eq!(same, json!({"version": 1, "changed": false}));
    let checked = publish(&server, "?check=true", "application/yaml", &dearer()).ok(200);
    assert_eq!(checked, json!({"version": 1, "changed": false}));
    assert_eq!(search_price(&server, ""), before);

    let published = publish(&server, "", "application/yaml; charset=utf-8", &dearer()).ok(200);
    assert_eq!(published, json!({"version": 2, "changed": true}));
    assert_ne!(search_price(&server, ""), before);
    assert_eq!(search_price(&server, "?version=1"), before);
    // The account moves to it by itself.
    let refreshed = server.edge(&json!({"v": wire::VERSION, "node": wire::NodeId([7; 16]),
        "now": 1_800_000_000_000_i64, "refresh": ["acme"]}));
    let answer = refreshed.ok(200);
    assert_eq!((&answer["catalog"], &answer["snapshots"][0]["catalog"]), (&json!(2), &json!(2)), "{answer}");
    // And back: a version is never used twice.
    assert_eq!(publish(&server, "", "application/json", &catalog()).ok(200)["version"], 3);
    assert_eq!(search_price(&server, ""), before);
}

#[test]
fn a_catalog_with_problems_changes_nothing_and_names_each() {
    let server = Server::start();
    let wrong = catalog().replace("order: 1", "order: first").replace("price_usd: 20", "price_usd: -20");
    let problem = publish(&server, "", "application/yaml", &wrong).problem(422, "invalid_catalog");
    let problems = problem["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{problem}");
    assert_eq!((&problems[0]["line"], &problems[0]["path"]), (&json!(11), &json!("pools.included.order")));
    assert_eq!(problems[1]["path"], "plans.starter.price_usd");
    publish(&server, "", "text/plain", &catalog()).problem(415, "unsupported_media_type");
    publish(&server, "", "application/yaml", &" ".repeat((1 << 20) + 1)).problem(413, "request_too_large");
    publish(&server, "?x=1", "application/yaml", &catalog()).problem(400, "invalid_query");
    assert_eq!(publish(&server, "", "application/yaml", &catalog()).ok(200)["changed"], false);
}

#[test]
fn the_command_line_publishes_shows_and_compares() {
    let server = Server::start();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(dearer().as_bytes()).unwrap();
    let path = file.path().to_str().unwrap();
    let run = |words: &[&str]| {
        let ledger = format!("http://{}", server.address);
        let output = bursar()
            .args(words)
            .env("BURSAR_LEDGER", ledger)
            .env("BURSAR_ADMIN_TOKEN", ADMIN)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run(&["catalog", "publish", path]).1, "version 2 in force\n");
    assert_eq!(run(&["catalog", "publish", path]).1, "version 2 was in force already: nothing has changed\n");

    let (status, shown, _) = run(&["catalog", "show", CATALOG, "--plan", "starter"]);
    assert_eq!(status, Some(0));
    for said in [
        "Starter (starter)\n",
        "20 USD a month",
        "500 credits a month\n",
        "what is left ends with the cycle\n",
        "use worth 1 credit takes 0.85\n",
        "each grant lasts 12 months\n",
        "15 requests a minute",
        "at most 2",
        "0.5 for a request (credits)",
    ] {
        assert!(shown.contains(said), "{said}\nis missing in\n{shown}");
    }
    let (status, _, said) = run(&["catalog", "show", CATALOG, "--plan", "gold"]);
    assert_eq!(
        (status, said.as_str()),
        (Some(2), "bursar: there is no plan `gold` (known: free, starter, pro)\n")
    );

    let (_, changes, _) = run(&["catalog", "diff", CATALOG, path]);
    assert_eq!(
        changes,
        "  model search\n-   price: 0.5 for a request (credits)\n+   price: 0.75 for a request (credits)\n"
    );
    assert_eq!(run(&["catalog", "diff", CATALOG, CATALOG]).1, "no difference\n");
}

#[test]
fn sighup_reads_the_file_again_and_keeps_what_is_in_force_where_it_has_problems() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalog.yaml");
    std::fs::write(&file, catalog()).unwrap();
    let process = Process::start_with(&file, &folder.path().join("ledger.db"), "info", &[]);
    let price =
        |process: &Process| process.admin("GET", "/v1/plans", None).ok(200)["data"][1]["price"].clone();
    assert_eq!(price(&process), "20 USD");

    write(&file, &catalog().replace("price_usd: 20", "price_usd: 25"));
    process.signal(Signal::HUP);
    process.wait_for_log("catalog in force version=2");
    assert_eq!(price(&process), "25 USD");

    write(&file, "name: [");
    process.signal(Signal::HUP);
    process.wait_for_log("the catalog has problems: the one in force stays");
    assert_eq!(price(&process), "25 USD");
    let (status, log) = process.end(Signal::TERM);
    assert_eq!(status, Some(0), "{log}");
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[test]
fn versions_are_listed_compared_and_tried_without_effect() {
    let server = Server::start();
    server.account("acme", "starter");
    server.account("other", "pro");
    let tried = publish(&server, "?dry_run=true", "application/yaml", &dearer()).ok(200);
    assert_eq!(
        (&tried["version"], &tried["changed"], &tried["dry_run"]),
        (&json!(1), &json!(true), &json!(true))
    );
    let diff = tried["diff"].as_str().unwrap();
    assert!(diff.contains("search") && diff.contains("0.75"), "{diff}");
    assert_eq!(tried.get("accounts_left_behind"), None);
    // A file without a plan that an account is on.
    let all = catalog();
    let without = all.split("  pro:\n").next().unwrap();
    let left = publish(&server, "?dry_run=true", "application/yaml", without).ok(200);
    assert_eq!(left["accounts_left_behind"], json!({"pro": 1}), "{left}");
    let same = publish(&server, "?dry_run=true", "application/yaml", &all).ok(200);
    assert_eq!((&same["changed"], &same["diff"]), (&json!(false), &json!("")));
    assert_eq!(server.get("/v1/catalog/versions").ok(200)["data"].as_array().unwrap().len(), 1);

    publish(&server, "", "application/yaml", &dearer()).ok(200);
    let versions = server.get("/v1/catalog/versions").ok(200)["data"].clone();
    assert_eq!((&versions[0]["version"], &versions[0]["in_force"]), (&json!(2), &json!(true)));
    assert_eq!((&versions[1]["version"], &versions[1]["in_force"]), (&json!(1), &json!(false)));
    assert_eq!(
        (&versions[0]["name"], &versions[0]["plans"]),
        (&json!("Test"), &json!(["free", "starter", "pro"]))
    );
    let read = server.get("/v1/catalog/versions/1").ok(200);
    assert_eq!((&read["name"], &read["plans"][1]["name"]), (&json!("Test"), &json!("starter")));
    server.get("/v1/catalog/versions/9").problem(404, "catalog_not_found");
    let compared = server.get("/v1/catalog/diff?from=1").ok(200);
    assert_eq!((&compared["from"], &compared["to"], &compared["diff"]), (&json!(1), &json!(2), &json!(diff)));
    assert_eq!(server.get("/v1/catalog/diff?from=2&to=2").ok(200)["diff"], "");
    server.get("/v1/catalog/diff?from=7").problem(404, "catalog_not_found");
}
