//! Changes of plan on the price pages' catalogs: now, with the period, once they are paid.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Reply, Server};

fn ago(days: i64) -> String {
    (Timestamp::now() - SignedDuration::from_hours(24 * days)).to_string()
}

/// An account that joined some days ago.
fn joined(server: &Server, plan: &str, days: i64) {
    let body = json!({"id": "acme", "plan": plan, "created_at": ago(days)});
    server.post("/v1/accounts", &body).ok(201);
}

fn post(server: &Server, path: &str, body: &Value) -> Reply {
    server.post(&format!("/v1/accounts/acme/{path}"), body)
}

fn account(server: &Server) -> Value {
    server.get("/v1/accounts/acme").ok(200)
}

fn left(server: &Server, pool: &str) -> String {
    let balance = server.get("/v1/accounts/acme/balance").ok(200);
    let pools = balance["pools"].as_array().unwrap();
    let found = pools.iter().find(|own| own["pool"] == pool).unwrap();
    found["available"].as_str().unwrap().to_owned()
}

fn take(server: &Server, pool: &str, amount: &str) {
    let body = json!({"pool": pool, "amount": format!("-{amount}"), "reason": "use", "reference": format!("{pool}{amount}")});
    post(server, "adjustments", &body).ok(201);
}

#[test]
fn p12_p13_the_new_plan_comes_with_its_payment_and_the_credit_goes_to_the_wallet() {
    let server = Server::page("pools-and-wallet.yaml");
    joined(&server, "starter", 6);
    // Half of what the main pool had: 0.75 x 0.5 is more than six days of 28.
    let had = left(&server, "main");
    let half = tariff::Micros(tariff::Micros::parse(&had).unwrap().get() / 2).to_string();
    take(&server, "main", &half);
    let asked = post(&server, "plan", &json!({"plan": "premium"})).ok(200);
    assert_eq!((&asked["amount_usd"], &asked["credit_usd"]), (&json!("25.00"), &json!("6.25")));
    assert!(asked["at"].is_null(), "{asked}");
    let change = asked["change"].as_str().unwrap();
    let waiting = server.get("/v1/accounts/acme/plan/change").ok(200);
    assert_eq!((&waiting["change"], &waiting["plan"]), (&json!(change), &json!("premium")));
    assert_eq!(account(&server)["plan"], "starter");
    assert_eq!((left(&server, "main"), left(&server, "wallet")), (half, "0.000000".to_owned()));

    let paid = json!({"change": change, "provider": "creem", "reference": "pay_1"});
    let wrong = json!({"change": change, "provider": "creem", "reference": "pay_1", "amount_usd": "24.99"});
    post(&server, "plan/change/confirm", &wrong).problem(409, "amount_mismatch");
    assert_eq!(post(&server, "plan/change/confirm", &paid).ok(200)["plan"], "premium");
    assert_eq!(
        (left(&server, "main"), left(&server, "backup")),
        ("3000.000000".to_owned(), "7500.000000".to_owned())
    );
    assert_eq!(left(&server, "wallet"), "625.000000");
    // The provider's webhook comes twice.
    assert_eq!(post(&server, "plan/change/confirm", &paid).ok(200)["plan"], "premium");
    assert_eq!(left(&server, "wallet"), "625.000000");
    server.get("/v1/accounts/acme/plan/change").problem(404, "no_such_change");
    let entries = server.get("/v1/accounts/acme/entries").ok(200);
    let payment =
        entries["data"].as_array().unwrap().iter().find(|entry| entry["kind"] == "payment").unwrap();
    assert_eq!((&payment["amount_usd"], &payment["reference"]), (&json!("25.00"), &json!("creem/pay_1")));
    assert!(server.verify().agrees());
}

#[test]
fn p12_a_failed_payment_leaves_everything_as_it_was() {
    let server = Server::page("pools-and-wallet.yaml");
    joined(&server, "starter", 3);
    let before = server.get("/v1/accounts/acme/balance").ok(200);
    let asked = post(&server, "plan", &json!({"plan": "pro"})).ok(200);
    let change = json!({"change": asked["change"]});
    let failed = post(&server, "plan/change/fail", &change).ok(200);
    assert!(failed["scheduled"].is_null() && failed["plan"] == "starter", "{failed}");
    post(&server, "plan/change/fail", &change).problem(409, "no_such_change");
    let late = json!({"change": asked["change"], "provider": "creem", "reference": "late"});
    post(&server, "plan/change/confirm", &late).problem(409, "no_such_change");
    assert_eq!(server.get("/v1/accounts/acme/balance").ok(200), before);
    assert!(server.verify().agrees());
}

#[test]
fn p11_a_plan_is_ended_with_its_period_and_taken_up_again() {
    let server = Server::page("pools-and-wallet.yaml");
    joined(&server, "starter", 3);
    let ended = post(&server, "plan/cancel", &json!({})).ok(200);
    let scheduled = &ended["scheduled"];
    assert_eq!((&scheduled["plan"], &scheduled["cancels"]), (&json!("free"), &json!(true)));
    assert_eq!(scheduled["at"], ended["period"]["to"]);
    let again = server.write("DELETE", "/v1/accounts/acme/plan/change", &[], "").ok(200);
    assert!(again["scheduled"].is_null());
    post(&server, "renew", &json!({"provider": "creem", "reference": "in_1"})).problem(409, "no_such_change");
    let pass = json!({"id": "pass", "plan": "starter", "cadence": "pass"});
    assert_eq!(server.post("/v1/accounts", &pass).ok(201)["cadence"], "pass");
}

#[test]
fn p11_a_renewal_on_payment_grants_with_the_payment() {
    let server = Server::page("pools-and-wallet.yaml");
    let anchor = (Timestamp::now() + SignedDuration::from_secs(1)).to_zoned(jiff::tz::TimeZone::UTC);
    // A period that ends within a second or two: joined a month ago but for one second.
    let joined = anchor.checked_sub(jiff::Span::new().months(1)).unwrap().timestamp().to_string();
    let body = json!({"id": "acme", "plan": "starter", "created_at": joined});
    server.post("/v1/accounts", &body).ok(201);
    server.write("PATCH", "/v1/accounts/acme", &[], r#"{"renewal": "on_payment"}"#).ok(200);
    let lapsed = loop {
        let account = account(&server);
        if account["period"].is_null() {
            break account;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!((&lapsed["plan"], &lapsed["scheduled"]["amount_usd"]), (&json!("starter"), &json!("10.00")));
    let paid = json!({"provider": "creem", "reference": "in_1"});
    let renewed = post(&server, "renew", &paid).ok(200);
    assert!(renewed["scheduled"].is_null() && renewed["period"].is_object(), "{renewed}");
    assert_eq!(left(&server, "backup"), "3000.000000");
    post(&server, "renew", &paid).ok(200);
    assert_eq!(left(&server, "backup"), "3000.000000");
    assert!(server.verify().agrees());
}

#[test]
fn m10_m11_m12_up_now_down_later_and_half_off_once() {
    let server = Server::page("modelstack.yaml");
    joined(&server, "topup_only", 3);
    let first =
        json!({"plan": "starter", "coupon": "NEW50", "payment": {"provider": "stripe", "reference": "in_1"}});
    let preview = post(&server, "plan?preview=true", &json!({"plan": "starter", "coupon": "NEW50"})).ok(200);
    assert_eq!((&preview["amount_usd"], &preview["preview"]), (&json!("10.00"), &json!(true)));
    let bought = post(&server, "plan", &first).ok(200);
    assert_eq!((&bought["amount_usd"], &bought["change"]), (&json!("10.00"), &Value::Null));
    assert_eq!(left(&server, "included"), "500.000000");
    // Up: at once, in full, the old rest is void.
    take(&server, "included", "100");
    let up = post(&server, "plan", &json!({"plan": "max"})).ok(200);
    assert_eq!((&up["voided"][0]["available"], &up["amount_usd"]), (&json!("400.000000"), &json!("100.00")));
    assert_eq!(left(&server, "included"), "3000.000000");
    post(&server, "plan", &json!({"plan": "pro", "coupon": "NEW50"})).problem(409, "coupon_refused");
    // Down: with the period, and the next change takes its place.
    let down = post(&server, "plan", &json!({"plan": "starter"})).ok(200);
    assert!(down["change"].is_string() && down["at"].is_string(), "{down}");
    let other = post(&server, "plan", &json!({"plan": "pro"})).ok(200);
    let waiting = account(&server);
    assert_eq!((&waiting["plan"], &waiting["scheduled"]["plan"]), (&json!("max"), &json!("pro")));
    assert_eq!(waiting["scheduled"]["change"], other["change"]);
    assert_eq!(left(&server, "included"), "3000.000000");
    post(&server, "plan", &json!({"plan": "max", "cadence": "hourly"})).problem(422, "invalid_request");
    assert!(server.verify().agrees());
}

#[test]
fn m13_a_year_is_one_billing_period_of_monthly_grants() {
    let server = Server::page("modelstack.yaml");
    let yearly = json!({"id": "acme", "plan": "pro", "cadence": "yearly", "created_at": ago(3)});
    let opened = server.post("/v1/accounts", &yearly).ok(201);
    assert_eq!(left(&server, "included"), "1500.000000");
    let instant = |text: &Value| text.as_str().unwrap().parse::<Timestamp>().unwrap();
    let days =
        |period: &Value| instant(&period["to"]).duration_since(instant(&period["from"])).as_hours() / 24;
    assert!((28..=31).contains(&days(&opened["period"])), "{opened}");
    assert!((365..=366).contains(&days(&opened["billing_period"])), "{opened}");
    let price = post(&server, "plan?preview=true", &json!({"plan": "max", "cadence": "yearly"})).ok(200);
    assert_eq!(price["amount_usd"], "960.00");
}

#[test]
fn l5_a_change_is_immediate_in_both_directions() {
    let server = Server::page("modelux.yaml");
    joined(&server, "team", 3);
    for plan in ["pro", "team", "pro"] {
        let changed = post(&server, "plan", &json!({"plan": plan})).ok(200);
        assert!(changed["change"].is_null(), "{changed}");
        assert_eq!(account(&server)["plan"], plan);
    }
    assert!(server.verify().agrees());
}

#[test]
fn p13_what_is_idle_comes_home_before_the_credit_is_reckoned() {
    let server = Server::page("pools-and-wallet.yaml");
    joined(&server, "starter", 0);
    let call = |members: Value| {
        let mut call = json!({"v": wire::VERSION, "node": "07".repeat(16), "now": 1_800_000_000_000_u64});
        call.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        server.edge(&call).ok(200)
    };
    let first = call(json!({"refresh": ["acme"]}));
    let ask = json!({"bucket": "credits", "ask": 900_000_000, "free": 0, "held": 0, "returned": 0});
    let granted = call(json!({"wants": [{"account": "acme", "lease": 1, "asks": [ask]}]}));
    let leased = granted["grants"][0]["granted"].as_i64().unwrap();
    assert!(leased > 500_000_000, "{granted}");
    let asked = post(&server, "plan", &json!({"plan": "premium"})).ok(200);
    let paid = json!({"change": asked["change"], "provider": "creem", "reference": "pay_1"});
    std::thread::scope(|scope| {
        let confirmed = scope.spawn(|| post(&server, "plan/change/confirm", &paid).ok(200));
        // The node hears of it with one of its next calls, and gives back what it does not use.
        let mut cursor = first["cursor"].clone();
        loop {
            let heard = call(json!({"cursor": cursor}));
            cursor = heard["cursor"].clone();
            let changes = heard["changes"].as_array().cloned().unwrap_or_default();
            if changes.iter().any(|change| change["recall"]["account"] == "acme") {
                break;
            }
        }
        assert_eq!(account(&server)["plan"], "starter", "it waits");
        let home = json!({"account": "acme", "lease": 1, "bucket": "credits", "returned": leased});
        call(json!({"returns": [home]}));
        assert_eq!(confirmed.join().unwrap()["plan"], "premium");
    });
    // Nothing was used: nine tenths of the old price.
    assert_eq!(left(&server, "wallet"), "900.000000");
    assert!(server.verify().agrees());
}
