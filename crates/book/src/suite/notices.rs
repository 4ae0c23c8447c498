//! Notices: what is told, and how often.

use serde_json::{Value, json};
use tariff::Catalog;
use wire::{AccountStatus, Digest};

use super::world::{ACCOUNT, Command, DAY, Subject, Worker, World, credits};
use crate::command::key::{NewKey, Rotation};

/// What was told of a kind since the beginning: the data.
fn told<S: Subject>(world: &mut World<S>, kind: &str) -> Vec<Value> {
    let all = world.subject.notices().into_iter().filter(|body| body["type"] == kind);
    all.map(|body| body["data"].clone()).collect()
}

pub fn w8_low_credits_are_told_once_and_so_is_their_end<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    let mut worker = Worker::new(1);
    for (request, amount, low, exhausted) in
        [("a", 399, 0, 0), ("b", 1, 1, 0), ("c", 50, 1, 0), ("d", 60, 1, 1), ("e", 1, 1, 1)]
    {
        let settle = world.use_of(request, credits(amount));
        world.charge(&mut worker, settle);
        let counts = (told(&mut world, "credits.low").len(), told(&mut world, "credits.exhausted").len());
        assert_eq!(counts, (low, exhausted), "after {request}");
    }
    let low = told(&mut world, "credits.low").remove(0);
    assert_eq!(
        low,
        json!({"account": ACCOUNT, "left": "100.000000", "threshold": "100.000000", "cycle": "2026-01-31T00:00:00Z"})
    );
    let gone = told(&mut world, "credits.exhausted").remove(0);
    assert_eq!(gone, json!({"account": ACCOUNT, "resets_at": "2026-02-28T00:00:00Z"}));
    // A small top-up leaves it low; its end is told anew. A large one is warned of again.
    world.top_up(61, "p");
    let settle = world.use_of("f", credits(60));
    world.charge(&mut worker, settle);
    assert_eq!(told(&mut world, "credits.low").len(), 1);
    assert_eq!(told(&mut world, "credits.exhausted").len(), 2);
    world.top_up(1_000, "q");
    let settle = world.use_of("g", credits(900));
    world.charge(&mut worker, settle);
    assert_eq!(told(&mut world, "credits.low")[1]["threshold"], "312.200000");
}

pub fn a_renewal_is_no_end_of_credits<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.pass(28 * DAY);
    assert_eq!(world.left("included"), credits(500));
    assert_eq!(told(&mut world, "credits.exhausted"), Vec::<Value>::new());
    let expired = told(&mut world, "lot.expired");
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!((&expired[0]["rest"], &expired[0]["pool"]), (&json!("500.000000"), &json!("included")));
}

pub fn plans_standings_and_keys_are_told<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    world.switch("pro");
    let new = NewKey {
        account: ACCOUNT.to_owned(),
        id: "key_1".to_owned(),
        digest: Digest([1; 32]),
        name: Some("ci".to_owned()),
        auth_class: None,
        models: None,
        expires_at: None,
    };
    world.call(Command::CreateKey(new)).unwrap();
    let rotation = Rotation {
        account: ACCOUNT.to_owned(),
        replaces: "key_1".to_owned(),
        id: "key_2".to_owned(),
        digest: Digest([2; 32]),
        overlap_ms: 1_000,
        expires_at: None,
    };
    world.call(Command::RotateKey(rotation)).unwrap();
    for _ in 0..2 {
        world.call(Command::RevokeKey(ACCOUNT.to_owned(), "key_2".to_owned())).unwrap();
        world.call(Command::Status(ACCOUNT.to_owned(), AccountStatus::Suspended)).unwrap();
    }
    let names: Vec<Value> = world.subject.notices().iter().map(|body| body["type"].clone()).collect();
    assert_eq!(
        names,
        [
            "account.opened",
            "plan.changed",
            "key.created",
            "key.created",
            "key.revoked",
            "account.status_changed"
        ]
    );
    let data = |kind: &str, world: &mut World<S>| told(world, kind).pop().unwrap();
    assert_eq!(data("plan.changed", &mut world), json!({"account": ACCOUNT, "from": "starter", "to": "pro"}));
    assert_eq!(data("key.created", &mut world)["replaces"], "key_1");
    assert_eq!(data("key.revoked", &mut world), json!({"account": ACCOUNT, "key": "key_2", "name": "ci"}));
    assert_eq!(data("account.status_changed", &mut world)["status"], "suspended");
}
